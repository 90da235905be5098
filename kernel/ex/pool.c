/* SPDX-License-Identifier: MIT */
/*
 * pool.c - ExAllocatePool2 and ExFreePool: nonpaged memory by the byte.
 *
 * PURPOSE
 *   Gives any code at or below DISPATCH_LEVEL memory of any size, mostly without touching anything
 *   that another processor touches; and finds, when memory is freed, that it is the wrong memory,
 *   freed twice, freed by a stranger, or written past its end.
 *
 * HOW IT WORKS
 *   An allocation has one of two forms, and the page-frame database says which (Use):
 *       small   a block of a size class, cut from a page (slab.c), behind a 16-byte header
 *       large   whole pages of its own; tag and slack are in the database, there is no header
 *   So a small allocation never crosses a page boundary, a large one begins a page, and a pointer
 *   is looked up before anything that it points to is believed.
 *
 *   Each processor has a fast list of free blocks for each class:
 *       allocate   pop; if the list is empty, fetch a batch from the class first
 *       free       push; if the list is twice a batch long, return the older half to the class
 *   A block may be freed on another processor than it was allocated on: it joins that one's list.
 *   What lies in a processor's lists is free memory only that processor can use, at most about
 *   8 KiB a class.
 *
 *   A block's header is (tag, slack, class, state) and a seal over these, the header's address and
 *   a secret of this boot:
 *       allocate   (freed, next block) -> (allocated, seal)
 *       free       (allocated, seal)   -> (freed, next block)
 *   A free that finds no valid seal is a bug check; poolchk.c finds out which. Two processors that
 *   free one block in the same instant can both find the seal: a check that also caught this would
 *   cost every free a locked instruction.
 *
 *   Checked builds fill what is freed with 0xDD, and what lies between an allocation's end and its
 *   block's (at least 8 bytes) with 0xFD, which must still be there when it is freed.
 *
 * LOCKS AND IRQL
 *   A fast list has no lock: only its own processor touches it, at DISPATCH_LEVEL, where nothing
 *   else runs there. Beyond it lie a class's lock (KiRankPool) and a node's (KiRankPageFrames),
 *   never held together. Memory is zeroed and poisoned at the caller's IRQL.
 *
 * ORDERING
 *   ExpCaches[n] is published by a release store and read by other processors, for statistics,
 *   with acquire: they see a cache whose counters have begun at zero.
 *
 * FURTHER READING
 *   Microsoft: "ExAllocatePool2", "POOL_FLAGS", "ExFreePoolWithTag". Bonwick and Adams, "Magazines
 *   and Vmem" (USENIX 2001): slabs with per-processor lists.
 */
#include "exp.h"

#define EXP_TAG_CACHE 'hcaC'

#define EXP_REQUIRED_FLAGS 0xFFFFFFFFull /* of these, what is not known fails the allocation */
#define EXP_KNOWN_FLAGS (POOL_FLAG_UNINITIALIZED | POOL_FLAG_CACHE_ALIGNED | POOL_FLAG_NON_PAGED)

#define EXP_LARGEST_SMALL (EXP_LARGEST_BLOCK - sizeof(EXP_BLOCK) - EXP_RED_ZONE_BYTES)
#define EXP_UNIT 16

typedef struct _EXP_FAST_LIST
{
    PEXP_BLOCK First;
    ULONG Count;
} EXP_FAST_LIST, *PEXP_FAST_LIST;

/* A processor's part of the pool. Written by that processor only, at DISPATCH_LEVEL; others read
 * the counters. These are differences: a block freed elsewhere makes one negative, the sum is
 * right. */
typedef struct DECLSPEC_ALIGN(64) _EXP_CACHE
{
    EXP_FAST_LIST Lists[EXP_CLASSES];
    volatile LONG64 Allocations;
    volatile LONG64 Bytes;
} EXP_CACHE, *PEXP_CACHE;

/* Each entry: written once, by its processor, at its first allocation or free. */
static PEXP_CACHE ExpCaches[MAXIMUM_PROCESSORS];

/* The same counters for frees on a processor that cannot get its cache; interlocked add. */
static volatile LONG64 ExpOtherAllocations;
static volatile LONG64 ExpOtherBytes;

/* The smallest class for a block of that many units; constant after initialization. */
static UCHAR ExpClassByUnits[EXP_LARGEST_BLOCK / EXP_UNIT + 1] KI_RO_AFTER_INIT;

ULONG64 ExpSecret KI_RO_AFTER_INIT;

VOID ExpInitializePool(VOID)
{
    ULONG Class = 0;

    ExpSecret = __rdtsc() * 0x9E3779B97F4A7C15ull;
    for (ULONG Units = 0; Units < RTL_NUMBER_OF(ExpClassByUnits); Units++)
    {
        if (Units * EXP_UNIT > ExpBlockBytes[Class])
        {
            Class++;
        }
        ExpClassByUnits[Units] = (UCHAR)Class;
    }
    ExpInitializeSlabs();
}

/* ------------------------------------------------------------------ Fast lists. All of this runs
 * at DISPATCH_LEVEL. */

/* (freed, next) -> (allocated, seal) */
static PVOID ExpSealBlock(PEXP_BLOCK Block, SIZE_T Bytes, ULONG Tag)
{
    Block->Tag = Tag;
    Block->Slack = (USHORT)(ExpBlockBytes[Block->Class] - sizeof(EXP_BLOCK) - Bytes);
    Block->State = EXP_ALLOCATED;
    Block->Seal = ExpSeal(Block);
    return Block + 1;
}

/* This processor's cache; NULL if it has none yet and there is no memory for it. */
static PEXP_CACHE ExpCurrentCache(VOID)
{
    PEXP_CACHE *Slot = &ExpCaches[KeGetCurrentProcessorIndex()];

    if (*Slot == NULL)
    {
        ULONG Class =
            ExpClassByUnits[(sizeof(EXP_CACHE) + sizeof(EXP_BLOCK) + EXP_UNIT - 1) / EXP_UNIT];
        ULONG Taken;
        PEXP_BLOCK Block = ExpTakeBlocks(Class, 1, &Taken);

        if (Block != NULL)
        {
            PEXP_CACHE Cache = ExpSealBlock(Block, sizeof(EXP_CACHE), EXP_TAG_CACHE);

            RtlZeroMemory(Cache, sizeof(*Cache));
            WritePointerRelease(Slot, Cache); /* pairs with: ExpQueryPool */
        }
    }
    return *Slot;
}

/* One more or less allocation and its bytes. Only this processor writes its counters, so they need
 * no interlocked add. */
static VOID ExpCount(PEXP_CACHE Cache, LONG64 Allocations, LONG64 Bytes)
{
    if (Cache != NULL)
    {
        Cache->Allocations += Allocations;
        Cache->Bytes += Bytes;
    }
    else
    {
        InterlockedExchangeAdd64(&ExpOtherAllocations, Allocations);
        InterlockedExchangeAdd64(&ExpOtherBytes, Bytes);
    }
}

static PEXP_BLOCK ExpPopBlock(PEXP_CACHE Cache, ULONG Class)
{
    PEXP_FAST_LIST List = &Cache->Lists[Class];

    if (List->First == NULL)
    {
        List->First = ExpTakeBlocks(Class, ExpBatch(Class), &List->Count);
        if (List->First == NULL)
        {
            return NULL;
        }
    }

    PEXP_BLOCK Block = List->First;

    if (Block->State != EXP_FREED || Block->Class != Class)
    {
        KeBugCheckEx(BAD_POOL_HEADER, 0x3, (ULONG_PTR)Block, Block->Word, (ULONG_PTR)Block->Next);
    }
    List->First = Block->Next;
    List->Count--;
    return Block;
}

/* (allocated, seal) -> (freed, next), in this processor's list. */
static VOID ExpPushBlock(PEXP_CACHE Cache, PEXP_BLOCK Block)
{
    ULONG Class = Block->Class;
    PEXP_FAST_LIST List = &Cache->Lists[Class];
    ULONG Batch = ExpBatch(Class);

    Block->State = EXP_FREED;
    Block->Next = List->First;
    List->First = Block;
    List->Count++;

    if (List->Count > 2 * Batch)
    {
        PEXP_BLOCK Last = List->First; /* of those that stay: the newest, still in the cache */

        for (ULONG Index = 1; Index < Batch; Index++)
        {
            Last = Last->Next;
        }

        PEXP_BLOCK Surplus = Last->Next;

        Last->Next = NULL;
        List->Count = Batch;
        ExpReturnBlocks(Class, Surplus);
    }
}

/* ------------------------------------------------------------------ The two forms. */

static PVOID ExpAllocateSmall(POOL_FLAGS Flags, SIZE_T Bytes, ULONG Tag)
{
    SIZE_T Needed = Bytes + EXP_RED_ZONE_BYTES + sizeof(EXP_BLOCK);
    ULONG Class = ExpClassByUnits[(Needed + EXP_UNIT - 1) / EXP_UNIT];
    PVOID Result = NULL;

    while ((Flags & POOL_FLAG_CACHE_ALIGNED) && ExpBlockBytes[Class] % 64 != 0)
    {
        Class++; /* ends: the largest is a multiple */
    }

    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    PEXP_CACHE Cache = ExpCurrentCache();
    PEXP_BLOCK Block = Cache != NULL ? ExpPopBlock(Cache, Class) : NULL;

    if (Block != NULL)
    {
        Result = ExpSealBlock(Block, Bytes, Tag);
        ExpCount(Cache, 1, (LONG64)Bytes);
    }
    KeLowerIrql(OldIrql);

#if DBG
    if (Result != NULL)
    {
        ExpFillRedZone(Result, Bytes, Block->Slack);
    }
#endif
    return Result;
}

static VOID ExpFreeSmall(PVOID P, ULONG Tag)
{
    PEXP_BLOCK Block = (PEXP_BLOCK)P - 1;

    if (BYTE_OFFSET(P) < EXP_SLAB_HEADER + sizeof(EXP_BLOCK) || BYTE_OFFSET(P) % EXP_UNIT != 0 ||
        Block->Seal != ExpSeal(Block))
    {
        ExpBadFree(P);
    }
    if (Tag != 0 && Tag != Block->Tag)
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0xA, (ULONG_PTR)P, Block->Tag, Tag);
    }

    SIZE_T Room = ExpBlockBytes[Block->Class] - sizeof(EXP_BLOCK);
    SIZE_T Bytes = Room - Block->Slack;

#if DBG
    ExpCheckRedZone(P, Bytes, Block->Slack);
    RtlFillMemory(P, Room, EXP_POISON_FREED);
#endif

    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    PEXP_CACHE Cache = ExpCurrentCache();

    if (Cache != NULL)
    {
        ExpPushBlock(Cache, Block);
    }
    else
    {
        Block->State = EXP_FREED;
        Block->Next = NULL;
        ExpReturnBlocks(Block->Class, Block);
    }
    ExpCount(Cache, -1, -(LONG64)Bytes);
    KeLowerIrql(OldIrql);
}

static VOID ExpCountLarge(ULONG64 Pages, LONG64 Sign, SIZE_T Bytes)
{
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    ExpCount(ExpCurrentCache(), Sign, Sign * (LONG64)Bytes);
    KeLowerIrql(OldIrql);
    InterlockedExchangeAdd64(&ExpPoolPages, Sign * (LONG64)Pages);
}

static PVOID ExpAllocateLarge(SIZE_T Bytes, ULONG Tag)
{
    ULONG64 Pages = (Bytes >> PAGE_SHIFT) + (BYTE_OFFSET(Bytes) != 0);
    ULONG64 Physical = MiAllocateFrames(KeGetCurrentNodeNumber(), Pages, NULL, MiPagePoolLarge);

    if (Physical == 0)
    {
        return NULL;
    }

    PMI_PAGE Page = MiLookupPage(Physical);
    PVOID Result = ArchPhysicalToVirtual(Physical);

    Page->Owner.Tag = Tag;
    Page->Owner.Slack = (ULONG)(Pages * PAGE_SIZE - Bytes);
#if DBG
    ExpFillRedZone(Result, Bytes, Page->Owner.Slack);
#endif
    ExpCountLarge(Pages, 1, Bytes);
    return Result;
}

static VOID ExpFreeLarge(PVOID P, PMI_PAGE Page, ULONG Tag)
{
    ULONG64 Pages = Page->PageCount;
    SIZE_T Bytes = Pages * PAGE_SIZE - Page->Owner.Slack;

    if (Tag != 0 && Tag != Page->Owner.Tag)
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0xA, (ULONG_PTR)P, Page->Owner.Tag, Tag);
    }
#if DBG
    ExpCheckRedZone(P, Bytes, Page->Owner.Slack);
#endif
    MiFreeFrames(MiVirtualToPhysical(P), MiPagePoolLarge);
    ExpCountLarge(Pages, -1, Bytes);
}

/* ------------------------------------------------------------------ The interface. */

/*
 * ExAllocatePool2 - allocates nonpaged memory.
 *
 *   Flags          POOL_FLAG_NON_PAGED, and if wanted _UNINITIALIZED and _CACHE_ALIGNED. Of the
 *                  others, those in the low half fail the allocation and those in the high half,
 *                  which are optional, are ignored
 *   NumberOfBytes  not 0
 *   Tag            not 0
 *
 * Returns zeroed memory, unless told not to; 16-byte aligned, on a cache line (64 bytes) if asked,
 * within one page up to PAGE_SIZE bytes and at the start of a page from there on. NULL if it
 * cannot.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    PVOID Result;

    if (NumberOfBytes == 0 || Tag == 0 || !(Flags & POOL_FLAG_NON_PAGED) ||
        (Flags & EXP_REQUIRED_FLAGS & ~EXP_KNOWN_FLAGS) != 0)
    {
        return NULL;
    }
    if (NumberOfBytes <= EXP_LARGEST_SMALL)
    {
        Result = ExpAllocateSmall(Flags, NumberOfBytes, Tag);
    }
    else
    {
        Result = ExpAllocateLarge(NumberOfBytes, Tag);
    }
    if (Result != NULL && !(Flags & POOL_FLAG_UNINITIALIZED))
    {
        RtlZeroMemory(Result, NumberOfBytes);
    }
    return Result;
}

/*
 * ExFreePoolWithTag - gives it back.
 *
 *   P    what ExAllocatePool2 returned
 *   Tag  the allocation's, or 0 for any
 *
 * BAD_POOL_CALLER (0xC2): 0x7 freed already, 0xA wrong tag, 0x40 to 0x46 no allocation.
 * BAD_POOL_HEADER (0x19): 0x20 header overwritten, 0x21 written behind its end.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    PMI_PAGE Page = MiLookupVirtual(P);

    if (Page != NULL && Page->Use == MiPagePoolSlab)
    {
        ExpFreeSmall(P, Tag);
    }
    else if (Page != NULL && Page->Use == MiPagePoolLarge && Page->Head && BYTE_OFFSET(P) == 0)
    {
        ExpFreeLarge(P, Page, Tag);
    }
    else
    {
        ExpBadFree(P);
    }
}

_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExFreePool(PVOID P)
{
    ExFreePoolWithTag(P, 0);
}

VOID ExpQueryPool(PMI_STATISTICS Statistics)
{
    LONG64 Allocations = ReadNoFence64(&ExpOtherAllocations);
    LONG64 Bytes = ReadNoFence64(&ExpOtherBytes);

    for (ULONG Index = 0; Index < MAXIMUM_PROCESSORS; Index++)
    {
        PEXP_CACHE Cache = ReadPointerAcquire(&ExpCaches[Index]); /* pairs with: ExpCurrentCache */

        if (Cache != NULL)
        {
            Allocations += ReadNoFence64(&Cache->Allocations);
            Bytes += ReadNoFence64(&Cache->Bytes);
        }
    }
    Statistics->PoolPages = (ULONG64)ReadNoFence64(&ExpPoolPages);
    Statistics->PoolBytesInUse = (ULONG64)Bytes;
    Statistics->PoolAllocations = (ULONG64)Allocations;
}
