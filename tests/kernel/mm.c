/* SPDX-License-Identifier: MIT */
/*
 * mm.c - memory: no mapping is both writable and executable, device registers are reached,
 * contiguous memory keeps its limits, and the pool survives all processors at once.
 */
#include <arch/mmu.h>
#include <mi.h>

#include "kt.h"

#define TAG_TEST 'tseT'
#define APIC_PHYSICAL 0xFEC00000ull /* the first IOAPIC, on every PC */
#define POOL_SLOTS 64

typedef struct _MAPPINGS
{
    ULONG64 Count;
    ULONG64 Low; /* mappings in the lower half: there is no identity map */
} MAPPINGS;

static BOOLEAN VisitMapping(ULONG64 VirtualAddress, ULONG64 Physical, ULONG64 Size, ULONG Rights,
                            PVOID Context)
{
    MAPPINGS *Mappings = Context;

    Mappings->Count++;
    Mappings->Low += VirtualAddress < MM_PHYSICAL_MAP_BASE;
    KT_CHECK(!((Rights & ARCH_PAGE_WRITE) && (Rights & ARCH_PAGE_EXECUTE)) || !ArchHasNoExecute(),
             "%llx (%llx, %llx bytes) is writable and executable", VirtualAddress, Physical, Size);
    return TRUE;
}

static VOID WritableXorExecutable(VOID)
{
    MAPPINGS Mappings = {0};

    ArchVisitMappings(VisitMapping, &Mappings);
    KT_CHECK(Mappings.Count > 100, "only %llu mappings seen", Mappings.Count);
    KT_CHECK(Mappings.Low == 0, "%llu mappings in the lower half", Mappings.Low);
    KT_CHECK(ArchTranslate(NULL) == ARCH_NOT_MAPPED, "page 0 is mapped");
}

/* An idle thread's stack and the pages around it. */
static VOID GuardPages(VOID)
{
    PUCHAR Top = KiGetCurrentPrcb()->CurrentThread->InitialStack;
    SIZE_T Bytes = KiGetCurrentPrcb()->CurrentThread->StackBytes;

    KT_CHECK(ArchTranslate(Top - 8) != ARCH_NOT_MAPPED, "the stack's top is not mapped");
    KT_CHECK(ArchTranslate(Top - Bytes) != ARCH_NOT_MAPPED, "the stack's last page is not mapped");
    KT_CHECK(ArchTranslate(Top) == ARCH_NOT_MAPPED, "no guard page above the stack");
    KT_CHECK(ArchTranslate(Top - Bytes - 8) == ARCH_NOT_MAPPED, "no guard page below the stack");
}

static VOID IoSpace(VOID)
{
    PHYSICAL_ADDRESS Physical = {.QuadPart = APIC_PHYSICAL + 0x10};
    PHYSICAL_ADDRESS None = {.QuadPart = -0x1000};
    PUCHAR Mapped = MmMapIoSpace(Physical, 4, MmNonCached);

    KT_REQUIRE(Mapped != NULL, "not mapped");
    KT_CHECK(MmGetPhysicalAddress(Mapped).QuadPart == Physical.QuadPart, "mapped to %llx",
             MmGetPhysicalAddress(Mapped).QuadPart);
    MmUnmapIoSpace(Mapped, 4);
    KT_CHECK(ArchTranslate(Mapped) == ARCH_NOT_MAPPED, "still mapped");
    KT_CHECK(MmMapIoSpace(Physical, 0, MmNonCached) == NULL, "no bytes were mapped");
    KT_CHECK(MmMapIoSpace(None, 0x2000, MmNonCached) == NULL, "a range that wraps was mapped");
}

static VOID Contiguous(VOID)
{
    PHYSICAL_ADDRESS Low = {.QuadPart = 0x100000}, High = {.QuadPart = 0x7FFFFFF};
    PHYSICAL_ADDRESS Boundary = {.QuadPart = 0x10000};
    const SIZE_T Size = 0x9000;
    PUCHAR Block = MmAllocateContiguousMemorySpecifyCache(Size, Low, High, Boundary, MmCached);
    ULONG64 First;

    KT_REQUIRE(Block != NULL, "no memory");
    First = (ULONG64)MmGetPhysicalAddress(Block).QuadPart;
    KT_CHECK(First % PAGE_SIZE == 0 && First >= 0x100000 && First + Size - 1 <= 0x7FFFFFF,
             "at %llx", First);
    KT_CHECK(First / 0x10000 == (First + Size - 1) / 0x10000, "crosses 64 KiB: %llx", First);
    for (SIZE_T Page = 0; Page < Size; Page += PAGE_SIZE)
    {
        KT_CHECK((ULONG64)MmGetPhysicalAddress(Block + Page).QuadPart == First + Page,
                 "page %llx is elsewhere", Page);
    }
    MmFreeContiguousMemorySpecifyCache(Block, Size, MmCached);
}

/* Fills what it allocates with its own pattern and finds it unharmed when it frees it. */
static VOID PoolWorker(PVOID Context, ULONG Processor)
{
    PUCHAR Blocks[POOL_SLOTS] = {0};
    ULONG Sizes[POOL_SLOTS];
    ULONG64 End = KtNow() + KtBudget();
    volatile LONG *Rounds = Context;
    KT_RANDOM Random;

    KtSeed(&Random, Processor);
    do
    {
        ULONG Slot = (ULONG)(KtRandom(&Random) % POOL_SLOTS);
        UCHAR Pattern = (UCHAR)(Slot * 31 + Processor);

        if (Blocks[Slot] != NULL)
        {
            KT_CHECK(Blocks[Slot][0] == Pattern && Blocks[Slot][Sizes[Slot] - 1] == Pattern,
                     "block of %u bytes was overwritten", Sizes[Slot]);
            ExFreePoolWithTag(Blocks[Slot], TAG_TEST);
            Blocks[Slot] = NULL;
            continue;
        }
        Sizes[Slot] = (ULONG)(KtRandom(&Random) % 3000) + 1;
        Blocks[Slot] = ExAllocatePool2(POOL_FLAG_NON_PAGED, Sizes[Slot], TAG_TEST);
        if (Blocks[Slot] != NULL)
        {
            KT_CHECK(Blocks[Slot][0] == 0 && Blocks[Slot][Sizes[Slot] - 1] == 0, "not zeroed");
            RtlFillMemory(Blocks[Slot], Sizes[Slot], Pattern);
            InterlockedIncrement(Rounds);
        }
    } while (KtNow() < End && !KtHasFailed());
    for (ULONG Slot = 0; Slot < POOL_SLOTS; Slot++)
    {
        if (Blocks[Slot] != NULL)
        {
            ExFreePoolWithTag(Blocks[Slot], TAG_TEST);
        }
    }
}

static VOID PoolOnAllProcessors(VOID)
{
    static volatile LONG Rounds;
    MI_STATISTICS Before, After;

    Rounds = 0;
    MiQueryStatistics(&Before);
    KtParallel(PoolWorker, (PVOID)&Rounds);
    MiQueryStatistics(&After);
    KT_CHECK(Rounds > (LONG)KtProcessors(), "%d allocations", Rounds);
    KT_CHECK(After.PoolAllocations == Before.PoolAllocations, "%llu allocations before, %llu after",
             Before.PoolAllocations, After.PoolAllocations);
    KT_CHECK(After.PoolBytesInUse == Before.PoolBytesInUse, "%llu bytes before, %llu after",
             Before.PoolBytesInUse, After.PoolBytesInUse);
}

static VOID FreeTwice(PVOID Context)
{
    PVOID Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 40, TAG_TEST);

    UNREFERENCED_PARAMETER(Context);
    ExFreePoolWithTag(Block, TAG_TEST);
    ExFreePoolWithTag(Block, TAG_TEST);
}

static VOID FreeWithWrongTag(PVOID Context)
{
    ExFreePoolWithTag(Context, 'gnoW');
}

static VOID PoolMisuse(VOID)
{
    PVOID Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TAG_TEST);

    KT_REQUIRE(Block != NULL, "no memory");
    KtExpectBugCheck(BAD_POOL_CALLER, KT_ANY, FreeWithWrongTag, Block);
    ExFreePoolWithTag(Block, TAG_TEST);
    KtExpectBugCheck(BAD_POOL_CALLER, KT_ANY, FreeTwice, NULL);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 0, TAG_TEST);
    KT_CHECK(Block == NULL, "no bytes at %p", Block);
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, 0);
    KT_CHECK(Block == NULL, "no tag at %p", Block);
}

static const KT_CASE Cases[] = {
    {"writable-xor-executable", WritableXorExecutable, 0, FALSE},
    {"guard-pages", GuardPages, 0, FALSE},
    {"io-space", IoSpace, 0, FALSE},
    {"contiguous", Contiguous, 0, FALSE},
    {"pool-on-all-processors", PoolOnAllProcessors, 0, FALSE},
    {"pool-misuse", PoolMisuse, 0, TRUE},
};

KT_DEFINE_SUITE(KtMemorySuite, "mm", Cases);
