/* SPDX-License-Identifier: MIT */
/*
 * exp.h - the executive's private side: the pool's insides, shared by pool.c (allocating and
 * freeing), slab.c (where small blocks come from) and poolchk.c (what a bad free is called).
 */
#pragma once

#include "../mm/mi.h"
#include "../mm/pfn.h"

#include <ex.h>
#include <ki.h>

/* ------------------------------------------------------------------ For the memory manager. */

VOID ExpInitializePool(VOID);
/* Fills in the pool's fields. Any IRQL; a snapshot. */
VOID ExpQueryPool(PMI_STATISTICS Statistics);

/* ------------------------------------------------------------------ Blocks. */

#define EXP_ALLOCATED 0xA1
#define EXP_FREED 0xF3

/*
 * In front of each small allocation. Allocated: the owner's alone, written when it is allocated.
 * Freed: written by the processor whose fast list it is in, or under its class's lock.
 */
typedef struct _EXP_BLOCK
{
    union
    {
        struct
        {
            ULONG Tag;    /* kept when freed: reports name the last owner */
            USHORT Slack; /* bytes of the block that were not asked for   */
            UCHAR Class;
            UCHAR State; /* EXP_ALLOCATED or EXP_FREED */
        };
        ULONG64 Word; /* the four above as one */
    };
    union
    {
        ULONG64 Seal;            /* allocated: ExpSeal of this header        */
        struct _EXP_BLOCK *Next; /* freed: the list it is in, NULL at the end */
    };
} EXP_BLOCK, *PEXP_BLOCK;

C_ASSERT(sizeof(EXP_BLOCK) == 16);

/* Chosen at boot, constant afterwards. */
extern ULONG64 ExpSecret;

/* What an allocated header's second word must be: any change of the first word, and any header that
 * was copied or made up, breaks it. */
FORCEINLINE ULONG64 ExpSeal(const EXP_BLOCK *Block)
{
    return ExpSecret ^ (ULONG64)Block ^ Block->Word;
}

/* ------------------------------------------------------------------ Slabs and size classes. */

/* At the start of each page that is cut into blocks. All fields but the constant ones: under the
 * class's lock. */
typedef struct _EXP_SLAB
{
    LIST_ENTRY Link; /* the class's list, if a block is left in it */
    PEXP_BLOCK Free; /* blocks that came back                      */
    USHORT InUse;    /* blocks with callers or in fast lists       */
    USHORT Cut;      /* blocks ever handed out; the rest of the page is untouched */
    USHORT Capacity; /* constant */
    UCHAR Class;     /* constant */
    ULONG64 Seal;    /* constant: ExpSecret ^ the slab's address   */
} EXP_SLAB, *PEXP_SLAB;

/* The first block starts here, so that its memory, and that of all blocks whose size is a multiple
 * of 64, starts on a cache line. */
#define EXP_SLAB_HEADER 48
C_ASSERT(sizeof(EXP_SLAB) <= EXP_SLAB_HEADER);

#define EXP_CLASSES 20
#define EXP_LARGEST_BLOCK 1984

/* Bytes of a class's blocks, header included. */
extern const USHORT ExpBlockBytes[EXP_CLASSES];

/* How many blocks pass between a fast list and its class at once; a fast list holds up to twice as
 * many. */
FORCEINLINE ULONG ExpBatch(ULONG Class)
{
    ULONG Blocks = 4096u / ExpBlockBytes[Class];

    return Blocks < 16 ? Blocks : 16;
}

FORCEINLINE PEXP_SLAB ExpSlabOfBlock(const EXP_BLOCK *Block)
{
    return (PEXP_SLAB)PAGE_ALIGN(Block);
}

VOID ExpInitializeSlabs(VOID);

/* Takes up to Count blocks of the class, freed and linked by Next; NULL if there is no memory. At
 * DISPATCH_LEVEL; takes the class's lock. */
PEXP_BLOCK ExpTakeBlocks(ULONG Class, ULONG Count, PULONG Taken);
/* Gives back a chain of freed blocks of the class. At DISPATCH_LEVEL; takes the class's lock. */
VOID ExpReturnBlocks(ULONG Class, PEXP_BLOCK Chain);

/* Pages that slabs and large allocations hold. Changed by interlocked add. */
extern volatile LONG64 ExpPoolPages;

/* ------------------------------------------------------------------ Checks (poolchk.c). */

/* Stops with the bug check that a free of P deserves, which ExFreePoolWithTag found to be no
 * allocation. */
DECLSPEC_NORETURN VOID ExpBadFree(PVOID P);

#define EXP_POISON_FREED 0xDD
#define EXP_RED_ZONE 0xFD

/* Checked builds keep at least this many bytes behind each small allocation, and check at its free
 * that nobody wrote there. */
#if DBG
#define EXP_RED_ZONE_BYTES 8
#else
#define EXP_RED_ZONE_BYTES 0
#endif

/* The bytes [Bytes, Bytes + Slack) of the allocation at P: filled, and found unchanged, or
 * BAD_POOL_HEADER with 0x21. */
VOID ExpFillRedZone(PVOID P, SIZE_T Bytes, SIZE_T Slack);
VOID ExpCheckRedZone(PVOID P, SIZE_T Bytes, SIZE_T Slack);
