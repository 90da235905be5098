/* SPDX-License-Identifier: MIT */
/*
 * mmpool.c - the pool gives nobody what another has, at any IRQL it may be called at, wherever the
 * memory is freed; it refuses what is no request and stops at what is no allocation.
 */
#include "kt.h"

#include <mi.h>

#define TAG_MM 'mmtK'

/* ------------------------------------------------------------------ Pool. */

#define POOL_SLOTS 24
#define MINIMUM_ROUNDS 200

typedef struct _POOL_SLOT
{
    PUCHAR Memory;
    SIZE_T Bytes;
    UCHAR Fill;
} POOL_SLOT, *PPOOL_SLOT;

typedef struct _POOL_STRESS
{
    ULONG64 End;
    volatile LONG Rounds;
} POOL_STRESS, *PPOOL_STRESS;

/* Small ones mostly, and now and then some pages. */
static SIZE_T ChooseSize(PKT_RANDOM Random)
{
    ULONG64 Choice = KtRandom(Random) % 16;

    if (Choice == 0)
    {
        return PAGE_SIZE + KtRandom(Random) % (3 * PAGE_SIZE);
    }
    return 1 + KtRandom(Random) % (Choice < 4 ? PAGE_SIZE : 256);
}

static VOID CheckFill(const POOL_SLOT *Slot, UCHAR Fill)
{
    for (SIZE_T Byte = 0; Byte < Slot->Bytes; Byte++)
    {
        if (Slot->Memory[Byte] != Fill)
        {
            KT_CHECK(FALSE, "%llu bytes at %p: byte %llu is %02x, expected %02x", Slot->Bytes,
                     (PVOID)Slot->Memory, Byte, Slot->Memory[Byte], Fill);
            return;
        }
    }
}

static VOID FillSlot(PPOOL_SLOT Slot, PKT_RANDOM Random)
{
    BOOLEAN Aligned = KtRandom(Random) % 4 == 0;
    ULONG64 Alignment = Aligned ? 64 : 16;

    Slot->Bytes = ChooseSize(Random);
    Slot->Fill = (UCHAR)(KtRandom(Random) | 1);
    Slot->Memory = ExAllocatePool2(POOL_FLAG_NON_PAGED | (Aligned ? POOL_FLAG_CACHE_ALIGNED : 0),
                                   Slot->Bytes, TAG_MM);
    KT_REQUIRE(Slot->Memory != NULL, "no memory for %llu bytes", Slot->Bytes);
    KT_CHECK((ULONG64)Slot->Memory % Alignment == 0, "%p is not aligned to %llu",
             (PVOID)Slot->Memory, Alignment);
    KT_CHECK(Slot->Bytes > PAGE_SIZE || BYTE_OFFSET(Slot->Memory) + Slot->Bytes <= PAGE_SIZE,
             "%llu bytes at %p cross a page", Slot->Bytes, (PVOID)Slot->Memory);
    CheckFill(Slot, 0);
    RtlFillMemory(Slot->Memory, Slot->Bytes, Slot->Fill);
}

static VOID EmptySlot(PPOOL_SLOT Slot)
{
    CheckFill(Slot, Slot->Fill);
    ExFreePoolWithTag(Slot->Memory, TAG_MM);
    Slot->Memory = NULL;
}

static VOID StressPool(PVOID Context, ULONG Processor)
{
    PPOOL_STRESS Stress = Context;
    POOL_SLOT Slots[POOL_SLOTS] = {{NULL, 0, 0}};
    LONG Rounds = 0;
    KT_RANDOM Random;

    KtSeed(&Random, Processor);
    do
    {
        PPOOL_SLOT Slot = &Slots[KtRandom(&Random) % POOL_SLOTS];
        KIRQL Old = PASSIVE_LEVEL;

        KeRaiseIrql((KIRQL)(KtRandom(&Random) % (DISPATCH_LEVEL + 1)), &Old);
        if (Slot->Memory == NULL)
        {
            FillSlot(Slot, &Random);
        }
        else
        {
            EmptySlot(Slot);
        }
        KeLowerIrql(Old);
        Rounds++;
    } while ((Rounds < MINIMUM_ROUNDS || KtNow() < Stress->End) && !KtHasFailed());
    for (ULONG Index = 0; Index < POOL_SLOTS; Index++)
    {
        if (Slots[Index].Memory != NULL)
        {
            EmptySlot(&Slots[Index]);
        }
    }
    InterlockedExchangeAdd(&Stress->Rounds, Rounds);
}

static VOID PoolUnderStress(VOID)
{
    POOL_STRESS Stress = {KtNow() + KtBudget(), 0};
    MI_STATISTICS Before, After;

    MiQueryStatistics(&Before);
    KtParallel(StressPool, &Stress);
    MiQueryStatistics(&After);
    KT_CHECK(After.PoolBytesInUse == Before.PoolBytesInUse &&
                 After.PoolAllocations == Before.PoolAllocations,
             "%lld bytes in %lld allocations leaked", After.PoolBytesInUse - Before.PoolBytesInUse,
             After.PoolAllocations - Before.PoolAllocations);
    KtNote("%d rounds", Stress.Rounds);
}

/* Given by one processor, checked and freed by the next. */
static VOID FreeNeighbours(PVOID Context, ULONG Processor)
{
    PPOOL_SLOT Slots = Context;
    PPOOL_SLOT Slot = &Slots[(Processor + 1) % KtProcessors()];

    CheckFill(Slot, Slot->Fill);
    ExFreePoolWithTag(Slot->Memory, TAG_MM);
}

static VOID AllocateOwn(PVOID Context, ULONG Processor)
{
    PPOOL_SLOT Slot = &((PPOOL_SLOT)Context)[Processor];

    Slot->Bytes = 100;
    Slot->Fill = (UCHAR)(Processor + 1);
    Slot->Memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, Slot->Bytes, TAG_MM);
    KT_REQUIRE(Slot->Memory != NULL, "no memory");
    CheckFill(Slot, 0);
    RtlFillMemory(Slot->Memory, Slot->Bytes, Slot->Fill);
}

static VOID FreedElsewhere(VOID)
{
    PPOOL_SLOT Slots = ExAllocatePool2(POOL_FLAG_NON_PAGED, KtProcessors() * sizeof(POOL_SLOT),
                                       TAG_MM);

    KT_REQUIRE(Slots != NULL, "no memory");
    for (ULONG Round = 0; Round < 3 && !KtHasFailed(); Round++)
    {
        KtParallel(AllocateOwn, Slots);
        if (!KtHasFailed())
        {
            KtParallel(FreeNeighbours, Slots);
        }
    }
    ExFreePoolWithTag(Slots, TAG_MM);
}

static VOID PoolRefusals(VOID)
{
    KT_CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 0, TAG_MM) == NULL, "no bytes");
    KT_CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 0) == NULL, "no tag");
    KT_CHECK(ExAllocatePool2(0, 16, TAG_MM) == NULL, "no pool");
    KT_CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x80000000ull, 16, TAG_MM) == NULL,
             "an unknown required flag");
    KT_CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, 1ull << 50, TAG_MM) == NULL, "a pebibyte");
    KT_CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED, ~0ull, TAG_MM) == NULL, "a size that wraps");
}

typedef struct _BAD_FREE
{
    PVOID Memory;
    ULONG Tag;
} BAD_FREE, *PBAD_FREE;

static VOID FreeBadly(PVOID Context)
{
    PBAD_FREE Bad = Context;

    ExFreePoolWithTag(Bad->Memory, Bad->Tag);
}

static VOID BadFreesStop(VOID)
{
    PUCHAR Memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TAG_MM);
    PUCHAR Pages = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE, TAG_MM);
    BAD_FREE WrongTag = {Memory, 'xxxx'}, Inside = {Memory + 16, TAG_MM};
    BAD_FREE LaterPage = {Pages + PAGE_SIZE, TAG_MM}, Stack = {&Stack, TAG_MM};
    BAD_FREE Null = {NULL, TAG_MM};

    KT_REQUIRE(Memory != NULL && Pages != NULL, "no memory");
    KtExpectBugCheck(BAD_POOL_CALLER, 0xA, FreeBadly, &WrongTag);
    KtExpectBugCheck(BAD_POOL_CALLER, 0x46, FreeBadly, &Inside);
    KtExpectBugCheck(BAD_POOL_CALLER, 0x46, FreeBadly, &LaterPage);
    KtExpectBugCheck(BAD_POOL_CALLER, KT_ANY, FreeBadly, &Stack);
    KtExpectBugCheck(BAD_POOL_CALLER, 0x40, FreeBadly, &Null);
    ExFreePoolWithTag(Memory, TAG_MM);
    ExFreePoolWithTag(Pages, TAG_MM);
}

static const KT_CASE Cases[] = {
    {"pool-whole-blocks-under-stress", PoolUnderStress, 0, FALSE},
    {"pool-freed-elsewhere", FreedElsewhere, 0, FALSE},
    {"pool-refusals", PoolRefusals, 0, FALSE},
    {"pool-bad-frees-stop", BadFreesStop, 0, TRUE},
};

KT_DEFINE_SUITE(KtPoolSuite, "mm", Cases);
