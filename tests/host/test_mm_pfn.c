/* SPDX-License-Identifier: MIT */
/*
 * test_mm_pfn.c - holds the page-frame allocator to its contract: every page accounted for, no page
 * handed out twice, limits kept, failure only when nothing fits, and whatever comes back can be had
 * again in one piece. A plain array of owners is the oracle.
 */
#include "mmhost.h"

#include "../../kernel/mm/contiguous.c"
#include "../../kernel/mm/pfn.c"
#include "../../kernel/mm/pfndb.c"

ULONG64 ArchTranslate(PVOID VirtualAddress)
{
    ULONG64 Physical = (ULONG64)VirtualAddress - (ULONG64)HostMemory;

    return Physical < HOST_MEMORY_BYTES ? Physical : ARCH_NOT_MAPPED;
}

/* The allocator as it is at boot, on the machine's ranges. */
static VOID StartAllocator(VOID)
{
    memset(MiRuns, 0, sizeof(MiRuns));
    memset(MiNodes, 0, sizeof(MiNodes));
    MiRunCount = 0;
    MiInitializePageFrames(&HostBootInfo);
}

/* Four runs with holes of all kinds: odd borders, one page, neighbours of a large block. */
static VOID StartSmallMachine(VOID)
{
    HostResetMachine();
    HostAddRange(0x10, 0x9F, BootMemoryUsable);
    HostAddRange(0x9F, 0x105, BootMemoryReserved);
    HostAddRange(0x105, 0x733, BootMemoryUsable);
    HostAddRange(0x733, 0x734, BootMemoryAcpiNvs);
    HostAddRange(0x734, 0x735, BootMemoryUsable);
    HostAddRange(0x736, 0x1FF1, BootMemoryUsable);
    HostAddRange(0x3000, 0x3400, BootMemoryUsable);
    StartAllocator();
}

/* Every frame is in one block; free blocks are aligned, merged, and exactly those in the lists. */
static VOID CheckFrames(VOID)
{
    ULONG64 Free = 0, Blocks = 0, Listed = 0;

    for (ULONG RunIndex = 0; RunIndex < MiRunCount; RunIndex++)
    {
        PMI_RUN Run = &MiRuns[RunIndex];
        ULONG64 Frame = Run->FirstFrame;

        while (Frame < Run->EndFrame)
        {
            PMI_PAGE Page = MiPageOfFrame(Run, Frame);
            BOOLEAN IsFree = Page->Use == MiPageFree;
            ULONG64 Count = IsFree ? 1ull << Page->Order : Page->PageCount;

            assert_int_equal(MiFrameOfPage(Page), Frame);
            assert_int_equal(Page->Run, RunIndex);
            assert_int_equal(Page->Head, !IsFree);
            assert_true(Count != 0 && Frame + Count <= Run->EndFrame);
            for (ULONG64 Index = 1; Index < Count; Index++)
            {
                assert_int_equal(Page[Index].Use, IsFree ? MiPageUnused : Page->Use);
                assert_false(Page[Index].Head);
                assert_int_equal(Page[Index].PageCount, 0);
            }
            if (IsFree)
            {
                ULONG64 Buddy = Frame ^ Count;

                assert_int_equal(Frame % Count, 0);
                if (Page->Order < MI_MAXIMUM_ORDER && MiFindRun(Buddy) == Run)
                {
                    PMI_PAGE BuddyPage = MiPageOfFrame(Run, Buddy);

                    assert_false(BuddyPage->Use == MiPageFree && BuddyPage->Order == Page->Order);
                }
                Free += Count;
                Blocks++;
            }
            Frame += Count;
        }
        assert_int_equal(Frame, Run->EndFrame);
    }
    for (USHORT Node = 0; Node < MiNodeCount; Node++)
    {
        for (ULONG Order = 0; Order <= MI_MAXIMUM_ORDER; Order++)
        {
            ULONG Previous = MI_NO_PAGE;

            for (ULONG Index = MiNodes[Node].FreeHead[Order]; Index != MI_NO_PAGE;
                 Index = MiPages[Index].Next)
            {
                assert_int_equal(MiPages[Index].Use, MiPageFree);
                assert_int_equal(MiPages[Index].Order, Order);
                assert_int_equal(MiPages[Index].Previous, Previous);
                assert_int_equal(MiPageNode(&MiPages[Index]), Node);
                Previous = Index;
                Listed++;
            }
        }
    }
    assert_int_equal(Listed, Blocks);
    assert_int_equal(MiFreePages(), Free);
}

static VOID EveryUsableFrameIsManagedOrDatabase(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 200; Round++)
    {
        ULONG64 Page = HostRandomBelow(0x200), Usable = 0;
        ULONG Count = 1 + (ULONG)HostRandomBelow(BOOT_MAXIMUM_RANGES);

        HostResetMachine();
        for (ULONG Index = 0; Index < Count; Index++)
        {
            ULONG64 Length = 1 + HostRandomBelow(1ull << HostRandomBelow(13));

            HostAddRange(Page, Page + Length, BootMemoryUsable);
            Usable += Page + Length <= 0x100 ? 0 : Page >= 0x100 ? Length : Page + Length - 0x100;
            Page += Length + 1 + HostRandomBelow(1ull << HostRandomBelow(15));
        }
        if (Usable == 0)
        {
            continue;
        }
        StartAllocator();
        CheckFrames();
        assert_int_equal(MiTotalPages(), Usable);
        assert_int_equal(MiFreePages(), MiManagedPages);
        assert_int_equal(Usable - MiManagedPages, (Usable * 16 + PAGE_SIZE - 1) / PAGE_SIZE);
        assert_null(MiLookupPage(0xFF000));
        assert_null(MiLookupPage(Page << PAGE_SHIFT));
        assert_null(MiLookupVirtual(MiPages)); /* the database is nobody's to free */
    }
}

static VOID NoUsableMemoryIsABugCheck(void **State)
{
    UNREFERENCED_PARAMETER(State);

    HostResetMachine();
    HostAddRange(0, 0x100, BootMemoryUsable);
    HostAddRange(0x100, 0x10000, BootMemoryReserved);
    MiRunCount = 0;
    ASSERT_BUGCHECK(PHASE0_INITIALIZATION_FAILED, 2, MiInitializePageFrames(&HostBootInfo));
}

/* More than the first 4 GiB, with the hole that PCs have below it. */
static VOID LargeMemoryIsManaged(void **State)
{
    ULONG64 Count = 0;
    UNREFERENCED_PARAMETER(State);

    HostResetMachine();
    HostAddRange(0x100, 0xC0000, BootMemoryUsable);
    HostAddRange(0x100000, 0x500000, BootMemoryUsable);
    StartAllocator();
    assert_int_equal(MiTotalPages(), 0x500000 - 0x40000 - 0x100);
    while (MiAllocateFrames(0, 1024, NULL, MiPagePoolLarge) != 0)
    {
        Count++;
    }
    /* All whole 4 MiB blocks, but for the run ends that are not multiples. */
    assert_in_range(Count, MiManagedPages / 1024 - 2, MiManagedPages / 1024);
    CheckFrames();
}

/* Memory that was never used before is no cleaner than what was. */
static VOID FreshPagesArePoisoned(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartSmallMachine();
    for (ULONG64 Pages = 1; DBG && Pages <= 64; Pages *= 2)
    {
        ULONG64 Physical = MiAllocateFrames(0, Pages, NULL, MiPagePoolLarge);
        PUCHAR Bytes = ArchPhysicalToVirtual(Physical);

        assert_int_not_equal(Physical, 0);
        for (ULONG64 Index = 0; Index < Pages * PAGE_SIZE; Index++)
        {
            assert_int_equal(Bytes[Index], 0xCC);
        }
    }
}

static VOID ExhaustionIsZeroAndEverythingComesBack(void **State)
{
    static ULONG64 Frames[0x4000];
    ULONG64 Count = 0, Physical;
    UNREFERENCED_PARAMETER(State);

    StartSmallMachine();

    ULONG64 All = MiFreePages();

    while ((Physical = MiAllocatePageFrame(0)) != 0)
    {
        assert_true(Physical >= 0x100000 && Physical % PAGE_SIZE == 0);
        Frames[Count++] = Physical;
    }
    assert_int_equal(Count, All);
    assert_int_equal(MiFreePages(), 0);
    assert_int_equal(MiAllocateFrames(0, 2, NULL, MiPagePoolLarge), 0);
    CheckFrames();
    while (Count != 0)
    {
        ULONG64 Index = HostRandomBelow(Count--);

        MiFreePageFrame(Frames[Index]);
        Frames[Index] = Frames[Count];
    }
    assert_int_equal(MiFreePages(), All);
    CheckFrames();
    assert_int_not_equal(MiAllocateFrames(0, 0x1000, NULL, MiPagePoolLarge), 0);
    assert_int_equal(MiAllocateFrames(0, 0, NULL, MiPagePoolLarge), 0);
    assert_int_equal(MiAllocateFrames(0, MAXULONG64, NULL, MiPagePoolLarge), 0);
}

/* ------------------------------------------------------------------ Against the oracle. */

#define ORACLE_FRAMES 0x3400

typedef struct _ORACLE_BLOCK
{
    ULONG64 Frame;
    ULONG64 Count;
} ORACLE_BLOCK;

static BOOLEAN OracleFree[ORACLE_FRAMES];
static ORACLE_BLOCK OracleBlocks[512];
static ULONG OracleCount;

static BOOLEAN OracleFits(ULONG64 Frame, ULONG64 Count, const MI_FRAME_LIMITS *Limits)
{
    if (Frame < Limits->LowFrame || Frame + Count > Limits->EndFrame)
    {
        return FALSE;
    }
    return Limits->BoundaryFrames == 0 ||
           Frame / Limits->BoundaryFrames == (Frame + Count - 1) / Limits->BoundaryFrames;
}

static BOOLEAN OracleHasRoom(ULONG64 Count, const MI_FRAME_LIMITS *Limits)
{
    ULONG64 Stretch = 0;

    for (ULONG64 Frame = 0; Frame < ORACLE_FRAMES; Frame++)
    {
        Stretch = OracleFree[Frame] ? Stretch + 1 : 0;
        if (Stretch >= Count && OracleFits(Frame + 1 - Count, Count, Limits))
        {
            return TRUE;
        }
    }
    return FALSE;
}

static MI_FRAME_LIMITS RandomLimits(VOID)
{
    MI_FRAME_LIMITS Limits = {0, MAXULONG64 >> PAGE_SHIFT, 0};

    if (HostRandomBelow(2))
    {
        Limits.LowFrame = HostRandomBelow(ORACLE_FRAMES);
    }
    if (HostRandomBelow(2))
    {
        Limits.EndFrame = HostRandomBelow(ORACLE_FRAMES + 0x100);
    }
    if (HostRandomBelow(2))
    {
        Limits.BoundaryFrames = 1ull << HostRandomBelow(12);
    }
    return Limits;
}

static VOID OracleAllocate(VOID)
{
    static const MI_FRAME_LIMITS NoLimits = {0, ORACLE_FRAMES, 0};
    ULONG64 Count = 1 + HostRandomBelow(1ull << HostRandomBelow(12));
    BOOLEAN Limited = HostRandomBelow(3) == 0;
    MI_FRAME_LIMITS Limits = Limited ? RandomLimits() : NoLimits;
    ULONG64 Frame = MiAllocateFrames(0, Count, Limited ? &Limits : NULL, MiPageContiguous) >>
                    PAGE_SHIFT;

    if (Frame == 0)
    {
        assert_false(OracleHasRoom(Count, &Limits));
        return;
    }
    assert_true(OracleFits(Frame, Count, &Limits));
    for (ULONG64 Index = 0; Index < Count; Index++)
    {
        assert_true(OracleFree[Frame + Index]);
        OracleFree[Frame + Index] = FALSE;
    }
    OracleBlocks[OracleCount++] = (ORACLE_BLOCK){Frame, Count};
}

static VOID OracleRelease(VOID)
{
    ULONG Index = (ULONG)HostRandomBelow(OracleCount);
    ORACLE_BLOCK Block = OracleBlocks[Index];

    OracleBlocks[Index] = OracleBlocks[--OracleCount];
    MiFreeFrames(Block.Frame << PAGE_SHIFT, MiPageContiguous);
    for (ULONG64 Page = 0; Page < Block.Count; Page++)
    {
        OracleFree[Block.Frame + Page] = TRUE;
    }
}

static VOID RandomUseAgreesWithTheOracle(void **State)
{
    ULONG64 All, Free = 0;
    UNREFERENCED_PARAMETER(State);

    StartSmallMachine();
    All = MiFreePages();
    for (ULONG64 Frame = 0; Frame < ORACLE_FRAMES; Frame++)
    {
        OracleFree[Frame] = MiFindRun(Frame) != NULL;
        Free += OracleFree[Frame];
    }
    assert_int_equal(Free, All);

    for (ULONG Step = 0; Step < 40000; Step++)
    {
        /* Phases that fill memory and phases that empty it. */
        if (OracleCount == 0 || (OracleCount < RTL_NUMBER_OF(OracleBlocks) &&
                                 HostRandomBelow(8) < ((Step / 4000) % 2 ? 3 : 5)))
        {
            OracleAllocate();
        }
        else
        {
            OracleRelease();
        }
        if (Step % 500 == 0)
        {
            CheckFrames();
        }
    }
    while (OracleCount != 0)
    {
        OracleRelease();
    }
    CheckFrames();
    assert_int_equal(MiFreePages(), All);
}

/* ------------------------------------------------------------------ Rules. */

static VOID WrongFreesAreFound(void **State)
{
    ULONG64 Block, Frame;
    UNREFERENCED_PARAMETER(State);

    StartSmallMachine();
    Block = MiAllocateFrames(0, 5, NULL, MiPagePoolLarge);
    Frame = MiAllocatePageFrame(0);
    ASSERT_BUGCHECK(PFN_LIST_CORRUPT, 0x99, MiFreePageFrame(Block));
    ASSERT_BUGCHECK(PFN_LIST_CORRUPT, 0x99, MiFreeFrames(Block + PAGE_SIZE, MiPagePoolLarge));
    ASSERT_BUGCHECK(PFN_LIST_CORRUPT, 0x99, MiFreePageFrame(0));
    ASSERT_BUGCHECK(PFN_LIST_CORRUPT, 0x99, MiFreePageFrame(0x2800ull << PAGE_SHIFT));
    ASSERT_BUGCHECK(PFN_LIST_CORRUPT, 0x99, MiFreePageFrame(~0xFFFull));
    MiFreePageFrame(Frame);
    ASSERT_BUGCHECK(PFN_LIST_CORRUPT, 0x99, MiFreePageFrame(Frame));
    MiFreeFrames(Block, MiPagePoolLarge);
    ASSERT_BUGCHECK(PFN_LIST_CORRUPT, 0x99, MiFreeFrames(Block, MiPagePoolLarge));
    CheckFrames();
    assert_int_equal(MiFreePages(), MiManagedPages);
}

static VOID OtherNodesHelpOut(void **State)
{
    ULONG64 First = 0, Physical;
    UNREFERENCED_PARAMETER(State);

    HostResetMachine();
    HostAddRange(0x100, 0x200, BootMemoryUsable);
    HostAddRange(0x300, 0x400, BootMemoryUsable);
    StartAllocator();

    /* The second run becomes a node of its own. */
    while (MiAllocatePageFrame(0) != 0)
    {
    }
    MiNodeCount = 2;
    MiRuns[1].Node = 1;
    KiInitializeRankedSpinLock(&MiNodes[1].Lock, KiRankPageFrames);
    memset(MiNodes[1].FreeHead, 0xFF, sizeof(MiNodes[1].FreeHead));
    for (ULONG RunIndex = 0; RunIndex < 2; RunIndex++)
    {
        for (ULONG64 Frame = MiRuns[RunIndex].FirstFrame; Frame < MiRuns[RunIndex].EndFrame;
             Frame++)
        {
            MiFreePageFrame(Frame << PAGE_SHIFT);
        }
    }
    CheckFrames();

    assert_true(MiAllocatePageFrame(0) < 0x200000);
    assert_true(MiAllocatePageFrame(1) >= 0x300000);
    assert_true(MiAllocatePageFrame(7) >= 0x300000); /* a node that does not exist: any */
    while ((Physical = MiAllocatePageFrame(1)) != 0)
    {
        First = First == 0 && Physical < 0x200000 ? (ULONG64)MiNodes[1].FreePages + 1 : First;
    }
    assert_int_equal(First, 1); /* node 0 only once node 1 had nothing left */
    CheckFrames();
}

static PHYSICAL_ADDRESS Address(ULONG64 Value)
{
    return (PHYSICAL_ADDRESS){.QuadPart = (LONGLONG)Value};
}

static VOID ContiguousMemoryKeepsItsLimits(void **State)
{
    PVOID Block;
    UNREFERENCED_PARAMETER(State);

    StartSmallMachine();

    /* The last byte may be the highest address itself. */
    Block = MmAllocateContiguousMemory(PAGE_SIZE, Address(0x105FFF));
    assert_ptr_equal(Block, HostMemory + 0x105000);
    assert_int_equal(MmGetPhysicalAddress(Block).QuadPart, 0x105000);
    assert_null(MmAllocateContiguousMemory(1, Address(0x105FFF)));
    MmFreeContiguousMemory(Block);
    assert_null(MmAllocateContiguousMemory(PAGE_SIZE, Address(0x105FFE)));
    assert_null(MmAllocateContiguousMemory(0, Address(MAXULONG64)));
    assert_null(MmAllocateContiguousMemory(~0ull, Address(MAXULONG64)));

    for (ULONG Round = 0; Round < 200; Round++)
    {
        ULONG64 Bytes = 1 + HostRandomBelow(0x40000);
        ULONG64 Boundary = 0x1000ull << HostRandomBelow(8);
        ULONG64 Low = HostRandomBelow(0x1000000);
        ULONG64 Physical;

        Block = MmAllocateContiguousMemorySpecifyCache(Bytes, Address(Low), Address(0x1FFFFFF),
                                                       Address(Boundary), MmNonCached);
        if (Bytes > Boundary)
        {
            assert_null(Block);
            continue;
        }
        assert_non_null(Block);
        Physical = (ULONG64)((PUCHAR)Block - HostMemory);
        assert_int_equal(Physical % PAGE_SIZE, 0);
        assert_true(Physical >= Low && Physical + Bytes - 1 <= 0x1FFFFFF);
        assert_int_equal(Physical / Boundary, (Physical + Bytes - 1) / Boundary);
        memset(Block, 0x55, Bytes);
        MmFreeContiguousMemorySpecifyCache(Block, Bytes, MmNonCached);
    }
    assert_null(MmAllocateContiguousMemorySpecifyCache(1, Address(0), Address(MAXULONG64),
                                                       Address(512), MmCached));
    CheckFrames();
    assert_int_equal(MiFreePages(), MiManagedPages);

    Block = MmAllocateContiguousMemory(3 * PAGE_SIZE, Address(MAXULONG64));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x60, MmFreeContiguousMemory((PUCHAR)Block + PAGE_SIZE));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x60, MmFreeContiguousMemory((PUCHAR)Block + 16));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x60, MmFreeContiguousMemory(&Block));
    MmFreeContiguousMemory(Block);
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x60, MmFreeContiguousMemory(Block));
}

/* ------------------------------------------------------------------ Several processors. */

static VOID UseFramesOnOneProcessor(ULONG Processor)
{
    ULONG64 Blocks[24] = {0};
    ULONG64 Random = Processor * 0x9E3779B97F4A7C15ull + 1;

    for (ULONG Step = 0; Step < 20000; Step++)
    {
        Random = Random * 6364136223846793005ull + 1442695040888963407ull;

        ULONG64 *Block = &Blocks[(Random >> 33) % RTL_NUMBER_OF(Blocks)];

        if (*Block != 0)
        {
            HOST_REQUIRE(*(PULONG64)ArchPhysicalToVirtual(*Block) == *Block + Processor);
            MiFreeFrames(*Block, MiPageContiguous);
            *Block = 0;
        }
        else
        {
            MI_FRAME_LIMITS Limits = {0x400, 0x3200, 64};
            ULONG64 Count = 1 + (Random >> 45) % 40;

            *Block = MiAllocateFrames(0, Count, Step % 8 == 0 ? &Limits : NULL, MiPageContiguous);
            HOST_REQUIRE(*Block != 0);
            for (ULONG64 Page = 0; Page < Count; Page++)
            {
                *(PULONG64)ArchPhysicalToVirtual(*Block + Page * PAGE_SIZE) = *Block + Processor;
            }
        }
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Blocks); Index++)
    {
        if (Blocks[Index] != 0)
        {
            MiFreeFrames(Blocks[Index], MiPageContiguous);
        }
    }
}

static VOID ProcessorsNeverShareAFrame(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartSmallMachine();
    HostRunProcessors(UseFramesOnOneProcessor, 4);
    CheckFrames();
    assert_int_equal(MiFreePages(), MiManagedPages);
}

HOST_MAIN(cmocka_unit_test(EveryUsableFrameIsManagedOrDatabase),
          cmocka_unit_test(NoUsableMemoryIsABugCheck), cmocka_unit_test(LargeMemoryIsManaged),
          cmocka_unit_test(FreshPagesArePoisoned),
          cmocka_unit_test(ExhaustionIsZeroAndEverythingComesBack),
          cmocka_unit_test(RandomUseAgreesWithTheOracle), cmocka_unit_test(WrongFreesAreFound),
          cmocka_unit_test(OtherNodesHelpOut), cmocka_unit_test(ContiguousMemoryKeepsItsLimits),
          cmocka_unit_test(ProcessorsNeverShareAFrame))
