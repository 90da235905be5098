/* SPDX-License-Identifier: MIT */
/*
 * pfn.h - page frames as the memory manager and the pool see them: the page-frame database, and
 * blocks of consecutive frames. pfn.c explains both.
 */
#pragma once

#include <arch/mmu.h>
#include <boot_info.h>
#include <ntdef.h>
#include <sal.h>

#define MI_MAXIMUM_NODES 8

/* What a frame is used for. Allocated blocks carry the use they were allocated for, and only a free
 * that names the same use takes them back. */
typedef enum _MI_PAGE_USE
{
    MiPageUnused,     /* inside a free block, not its first page */
    MiPageFree,       /* first page of a free block              */
    MiPageFrame,      /* MiAllocatePageFrame                     */
    MiPageTable,      /* page tables                             */
    MiPageContiguous, /* MmAllocateContiguousMemory              */
    MiPageStack,      /* kernel stacks                           */
    MiPagePoolSlab,   /* pool: a page of small blocks            */
    MiPagePoolLarge   /* pool: one allocation of whole pages     */
} MI_PAGE_USE;

/*
 * One entry of the page-frame database. While a page is free its node's lock guards the entry; once
 * allocated, Use, Head and PageCount do not change until it is freed, so its owner reads them
 * without a lock, and Owner is the owner's to write. Run never changes.
 */
typedef struct _MI_PAGE
{
    union
    {
        struct
        {
            ULONG Next;     /* MiPageFree: the order's list of free blocks, by index ... */
            ULONG Previous; /* ... MI_NO_PAGE at either end; under the node's lock       */
        };
        struct
        {
            ULONG Tag;   /* MiPagePoolLarge: the allocation's tag and ...                 */
            ULONG Slack; /* ... the bytes of its last page that were not asked for; owner */
        } Owner;
    };
    ULONG PageCount; /* first page of an allocated block: its pages; else 0. Node's lock */
    UCHAR Use;       /* MI_PAGE_USE; node's lock                                         */
    UCHAR Order;     /* MiPageFree: the block is 2^Order pages; node's lock              */
    BOOLEAN Head;    /* first page of an allocated block; node's lock                    */
    UCHAR Run;       /* the run of memory it lies in; constant                           */
} MI_PAGE, *PMI_PAGE;

C_ASSERT(sizeof(MI_PAGE) == 16);

/* Where a block may lie: frames [LowFrame, EndFrame), crossing no multiple of BoundaryFrames (0: no
 * limit; else a power of two). */
typedef struct _MI_FRAME_LIMITS
{
    ULONG64 LowFrame;
    ULONG64 EndFrame;
    ULONG64 BoundaryFrames;
} MI_FRAME_LIMITS, *PMI_FRAME_LIMITS;

/* Builds the database from the usable ranges. Once, on the boot processor, alone. */
VOID MiInitializePageFrames(PBOOT_INFO BootInfo);

/*
 * PageCount consecutive frames, on Node if it has them, else on another; the first one's physical
 * address, or 0 if no node has such a block. Limits may be NULL. Contents undefined. The
 * page-frame lock is taken inside.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
ULONG64 MiAllocateFrames(USHORT Node, ULONG64 PageCount, const MI_FRAME_LIMITS *Limits,
                         MI_PAGE_USE Use);

/* Gives back a block by its first frame. PFN_LIST_CORRUPT if that is not the start of a block
 * allocated for Use. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MiFreeFrames(ULONG64 Physical, MI_PAGE_USE Use);

/* The database entry of a physical address, or NULL if the allocator does not own it. Any IRQL. */
PMI_PAGE MiLookupPage(ULONG64 Physical);

/* The node that an allocated or free page lies on. Any IRQL. */
USHORT MiPageNode(const MI_PAGE *Page);

/* The allocator's highest frame number, for reports; all frames it was given, its own database
 * included; those free now. Any IRQL; the last is a snapshot. */
ULONG64 MiHighestFrame(VOID);
ULONG64 MiTotalPages(VOID);
ULONG64 MiFreePages(VOID);

/* The entry behind an address in the physical map, or NULL if it is none of ours. */
FORCEINLINE PMI_PAGE MiLookupVirtual(PVOID VirtualAddress)
{
    ULONG64 Physical = (ULONG64)VirtualAddress - MM_PHYSICAL_MAP_BASE;

    return Physical < MM_PHYSICAL_MAP_SIZE ? MiLookupPage(Physical) : NULL;
}

/* The physical address behind an address for which MiLookupVirtual found an entry. */
FORCEINLINE ULONG64 MiVirtualToPhysical(PVOID VirtualAddress)
{
    return (ULONG64)VirtualAddress - MM_PHYSICAL_MAP_BASE;
}
