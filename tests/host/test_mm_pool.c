/* SPDX-License-Identifier: MIT */
/*
 * test_mm_pool.c - holds the pool to "ExAllocatePool2" and "ExFreePoolWithTag": sizes, alignment,
 * zeroed contents, no memory handed out twice, every page accounted for, and each kind of wrong
 * free found with the right bug check. test_mm_pool_free.c is the same for the free build.
 */
#include "mmhost.h"

#include "../../kernel/ex/pool.c"
#include "../../kernel/ex/poolchk.c"
#include "../../kernel/ex/slab.c"
#include "../../kernel/mm/pfn.c"
#include "../../kernel/mm/pfndb.c"

#define TAG 'tseT'

static VOID StartPool(ULONG64 Pages)
{
    HostResetMachine();
    HostAddRange(0x100, 0x100 + Pages, BootMemoryUsable);
    memset(MiRuns, 0, sizeof(MiRuns));
    memset(MiNodes, 0, sizeof(MiNodes));
    MiRunCount = 0;
    MiInitializePageFrames(&HostBootInfo);

    memset(ExpClasses, 0, sizeof(ExpClasses));
    memset(ExpCaches, 0, sizeof(ExpCaches));
    ExpPoolPages = 0;
    ExpOtherAllocations = ExpOtherBytes = 0;
    ExpInitializePool();
}

/* The pool's statistics are right, and its pages and the free ones are all there are. */
static VOID CheckPool(ULONG64 Allocations, ULONG64 Bytes)
{
    MI_STATISTICS Statistics;

    ExpQueryPool(&Statistics);
    assert_int_equal(Statistics.PoolAllocations, Allocations);
    assert_int_equal(Statistics.PoolBytesInUse, Bytes);
    assert_int_equal(Statistics.PoolPages + MiFreePages(), MiManagedPages);
}

static PVOID Allocate(SIZE_T Bytes)
{
    return ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, Bytes, TAG);
}

static BOOLEAN IsZero(const UCHAR *Memory, SIZE_T Bytes)
{
    return Bytes == 0 || (Memory[0] == 0 && memcmp(Memory, Memory + 1, Bytes - 1) == 0);
}

static VOID SizeClassesCoverAllSizes(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartPool(0x100);
    for (ULONG Units = 0; Units < RTL_NUMBER_OF(ExpClassByUnits); Units++)
    {
        ULONG Class = ExpClassByUnits[Units];

        assert_true(ExpBlockBytes[Class] >= Units * 16);
        assert_true(Class == 0 || ExpBlockBytes[Class - 1] < Units * 16);
    }
    for (ULONG Class = 0; Class < EXP_CLASSES; Class++)
    {
        ULONG Count = (PAGE_SIZE - EXP_SLAB_HEADER) / ExpBlockBytes[Class];

        assert_int_equal(ExpBlockBytes[Class] % 16, 0);
        assert_true(ExpBatch(Class) >= 1 && Count >= 2);
    }
    assert_int_equal(ExpBlockBytes[EXP_CLASSES - 1], EXP_LARGEST_BLOCK);
    assert_int_equal(EXP_LARGEST_BLOCK % 64, 0);
}

static VOID EverySizeIsAlignedZeroedAndWhole(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartPool(0x400);
    for (SIZE_T Bytes = 1; Bytes <= 3 * PAGE_SIZE + 1; Bytes += 1 + Bytes / 64)
    {
        for (ULONG Aligned = 0; Aligned < 2; Aligned++)
        {
            POOL_FLAGS Flags = POOL_FLAG_NON_PAGED | (Aligned ? POOL_FLAG_CACHE_ALIGNED : 0);
            PUCHAR Memory[3];

            for (ULONG Index = 0; Index < 3; Index++)
            {
                ULONG_PTR Address;

                Memory[Index] = ExAllocatePool2(Flags, Bytes, TAG);
                Address = (ULONG_PTR)Memory[Index];
                assert_non_null(Memory[Index]);
                assert_int_equal(Address % (Aligned ? 64 : 16), 0);
                assert_true(Bytes < PAGE_SIZE || Address % PAGE_SIZE == 0);
                assert_true(Bytes > PAGE_SIZE ||
                            Address / PAGE_SIZE == (Address + Bytes - 1) / PAGE_SIZE);
                assert_true(IsZero(Memory[Index], Bytes));
                memset(Memory[Index], 0xA5, Bytes);
            }
            CheckPool(3, 3 * Bytes);
            ExFreePoolWithTag(Memory[1], TAG);
            ExFreePool(Memory[0]);
            ExFreePoolWithTag(Memory[2], 0);
            CheckPool(0, 0);
        }
    }
}

static VOID BadRequestsAreRefused(void **State)
{
    PVOID Memory;
    UNREFERENCED_PARAMETER(State);

    StartPool(0x100);
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, 0, TAG));
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, 1, 0));
    assert_null(ExAllocatePool2(0, 1, TAG));
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x100, 1, TAG)); /* paged */
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x80000000, 1, TAG));
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, MAXULONG64, TAG));
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, 0x100 * PAGE_SIZE, TAG));
    Memory = ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x100000000, 1, TAG); /* optional: ignored */
    assert_non_null(Memory);
    ExFreePoolWithTag(Memory, TAG);
}

/* ------------------------------------------------------------------ Against the oracle: each
 * allocation is filled with bytes of its own, so that any two that overlap spoil each other. */

typedef struct _ORACLE_ALLOCATION
{
    PUCHAR Memory;
    SIZE_T Bytes;
    ULONG Tag;
    UCHAR Fill;
} ORACLE_ALLOCATION;

static SIZE_T RandomSize(VOID)
{
    switch (HostRandomBelow(8))
    {
    case 0:
        return 1 + HostRandomBelow(5 * PAGE_SIZE);
    case 1:
        return 1900 + HostRandomBelow(200);
    default:
        return 1 + HostRandomBelow(1ull << (1 + HostRandomBelow(11)));
    }
}

static VOID RandomUseNeverOverlaps(void **State)
{
    static ORACLE_ALLOCATION Live[1500];
    ULONG Count = 0;
    ULONG64 Bytes = 0;
    UNREFERENCED_PARAMETER(State);

    StartPool(0x2000);
    for (ULONG Step = 0; Step < 120000; Step++)
    {
        HostProcessor = (ULONG)HostRandomBelow(3); /* blocks wander between processors */
        if (Count == 0 ||
            (Count < RTL_NUMBER_OF(Live) && HostRandomBelow(8) < ((Step / 20000) % 2 ? 3 : 5)))
        {
            ORACLE_ALLOCATION New = {NULL, RandomSize(), (ULONG)HostRandom() | 1,
                                     (UCHAR)HostRandom()};

            New.Memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, New.Bytes, New.Tag);
            assert_non_null(New.Memory);
            assert_true(IsZero(New.Memory, New.Bytes));
            memset(New.Memory, New.Fill, New.Bytes);
            Bytes += New.Bytes;
            Live[Count++] = New;
        }
        else
        {
            ULONG Index = (ULONG)HostRandomBelow(Count);
            ORACLE_ALLOCATION Old = Live[Index];

            Live[Index] = Live[--Count];
            assert_true(Old.Memory[0] == Old.Fill &&
                        memcmp(Old.Memory, Old.Memory + 1, Old.Bytes - 1) == 0);
            ExFreePoolWithTag(Old.Memory, Old.Tag);
            Bytes -= Old.Bytes;
        }
        if (Step % 1000 == 0)
        {
            CheckPool(Count, Bytes);
        }
    }
    while (Count != 0)
    {
        ExFreePool(Live[--Count].Memory);
    }
    CheckPool(0, 0);
    HostProcessor = 0;
}

/* What fast lists and spare slabs may keep, if all allocations are free: for each class one empty
 * slab, and one page for each block in a list. */
static ULONG64 MostPagesKept(ULONG Processors)
{
    ULONG64 Pages = 1;

    for (ULONG Class = 0; Class < EXP_CLASSES; Class++)
    {
        Pages += 1 + (ULONG64)Processors * 2 * ExpBatch(Class);
    }
    return Pages;
}

static VOID ExhaustionIsNullAndEverythingComesBack(void **State)
{
    static PVOID Blocks[70000];
    static const SIZE_T Sizes[] = {1, 16, 100, 500, 1000, 1900, 2500, 4096, 10000};
    UNREFERENCED_PARAMETER(State);

    StartPool(0x200);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++)
    {
        ULONG Count = 0;

        while ((Blocks[Count] = Allocate(Sizes[Index])) != NULL)
        {
            Count++;
            assert_true(Count < RTL_NUMBER_OF(Blocks));
        }
        CheckPool(Count, Count * Sizes[Index]);
        assert_true(MiFreePages() == 0 || Sizes[Index] > PAGE_SIZE);
        assert_true(Count >= MiManagedPages / 2 || Sizes[Index] > PAGE_SIZE);
        while (Count != 0)
        {
            ULONG Victim = (ULONG)HostRandomBelow(Count--);

            ExFreePoolWithTag(Blocks[Victim], TAG);
            Blocks[Victim] = Blocks[Count];
        }
        CheckPool(0, 0);
    }
    assert_true(ExpPoolPages <= (LONG64)MostPagesKept(1));
}

/* A processor whose first use of the pool is a free, while not even its cache can be had. */
static VOID FreeWorksWithoutMemory(void **State)
{
    static PVOID Blocks[70000];
    ULONG Count = 0;
    UNREFERENCED_PARAMETER(State);

    StartPool(0x100);
    while ((Blocks[Count] = Allocate(400)) != NULL) /* the class of the caches */
    {
        Count++;
    }
    HostProcessor = 9;
    assert_null(Allocate(16));
    ExFreePoolWithTag(Blocks[--Count], TAG);
    assert_null(ExpCaches[9]);
    CheckPool(Count, Count * 400);
    ExFreePoolWithTag(Blocks[--Count], TAG); /* the first made room */
    assert_non_null(ExpCaches[9]);
    CheckPool(Count, Count * 400);
    while (Count != 0)
    {
        ExFreePoolWithTag(Blocks[--Count], TAG);
    }
    CheckPool(0, 0);
    HostProcessor = 0;
}

/* ------------------------------------------------------------------ Wrong frees. */

static VOID DoubleFreesAreFound(void **State)
{
    static const SIZE_T Sizes[] = {1, 24, 500, 1500};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++)
    {
        PVOID Blocks[64];

        StartPool(0x200);
        for (ULONG Block = 0; Block < RTL_NUMBER_OF(Blocks); Block++)
        {
            Blocks[Block] = Allocate(Sizes[Index]);
        }
        ExFreePoolWithTag(Blocks[20], TAG);
        ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x7, ExFreePoolWithTag(Blocks[20], TAG));
        assert_int_equal(HostBugCheckParameters[3], (ULONG_PTR)Blocks[20]);
        ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x7, ExFreePool(Blocks[20]));

        /* Also when the block has gone back to its slab: all but the last are free. */
        for (ULONG Block = 0; Block < RTL_NUMBER_OF(Blocks) - 1; Block++)
        {
            if (Block != 20)
            {
                ExFreePoolWithTag(Blocks[Block], TAG);
            }
        }
        HostBugCheckExpected = TRUE;
        if (setjmp(HostBugCheckJump) == 0)
        {
            ExFreePoolWithTag(Blocks[0], TAG);
            fail();
        }
        HostBugCheckExpected = FALSE;
        /* 0x41 if its whole page has been given back. */
        assert_int_equal(HostBugCheckCode, BAD_POOL_CALLER);
        assert_true(HostBugCheckParameters[0] == 0x7 || HostBugCheckParameters[0] == 0x41);
    }
}

static VOID LargeDoubleFreesAreFound(void **State)
{
    PVOID Block;
    UNREFERENCED_PARAMETER(State);

    StartPool(0x200);
    Block = Allocate(3 * PAGE_SIZE);
    ExFreePoolWithTag(Block, TAG);
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x41, ExFreePoolWithTag(Block, TAG));
    assert_int_equal(HostBugCheckParameters[2], MiVirtualToPhysical(Block) >> PAGE_SHIFT);
}

static VOID WrongTagsAreFound(void **State)
{
    static const SIZE_T Sizes[] = {40, 2 * PAGE_SIZE};
    UNREFERENCED_PARAMETER(State);

    StartPool(0x200);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++)
    {
        PVOID Block = Allocate(Sizes[Index]);

        ASSERT_BUGCHECK(BAD_POOL_CALLER, 0xA, ExFreePoolWithTag(Block, 'rehO'));
        assert_int_equal(HostBugCheckParameters[1], (ULONG_PTR)Block);
        assert_int_equal(HostBugCheckParameters[2], TAG);
        assert_int_equal(HostBugCheckParameters[3], 'rehO');
        ExFreePoolWithTag(Block, TAG);
    }
    CheckPool(0, 0);
}

static VOID PointersToNoAllocationAreFound(void **State)
{
    static UCHAR Static[64];
    PUCHAR Small, Large, Frame;
    UNREFERENCED_PARAMETER(State);

    StartPool(0x200);
    Small = Allocate(200);
    Large = Allocate(2 * PAGE_SIZE);
    Frame = ArchPhysicalToVirtual(MiAllocatePageFrame(0));

    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x40, ExFreePool(NULL));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x40, ExFreePool(Static));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x42, ExFreePool((PVOID)MM_IMAGE_BASE));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x41, ExFreePool(Frame));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x46, ExFreePool(Large + PAGE_SIZE));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x46, ExFreePool(Large + 16));
    for (volatile ULONG Offset = 1; Offset < 200; Offset++)
    {
        ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x46, ExFreePool(Small + Offset));
    }
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x46, ExFreePool(PAGE_ALIGN(Small)));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x46, ExFreePool((PUCHAR)PAGE_ALIGN(Small) + 48));
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x46, ExFreePool((PUCHAR)PAGE_ALIGN(Small) + 4080));

    /* A block that has not been cut from its page yet. */
    ASSERT_BUGCHECK(BAD_POOL_CALLER, 0x46, ExFreePool((PUCHAR)PAGE_ALIGN(Small) + 64 + 17 * 224));
    ExFreePool(Small);
    ExFreePool(Large);
}

static VOID SmashedHeadersAreFound(void **State)
{
    PUCHAR Blocks[2];
    UNREFERENCED_PARAMETER(State);

    for (volatile ULONG Byte = 0; Byte < 16; Byte++)
    {
        PEXP_BLOCK Header;

        StartPool(0x100);
        Blocks[0] = Allocate(100);
        Header = (PEXP_BLOCK)Blocks[0] - 1;
        ((PUCHAR)Header)[Byte] ^= 0x10;
        ASSERT_BUGCHECK(BAD_POOL_HEADER, 0x20, ExFreePool(Blocks[0]));
        assert_int_equal(HostBugCheckParameters[1], (ULONG_PTR)Header);
        ((PUCHAR)Header)[Byte] ^= 0x10;
        ExFreePool(Blocks[0]);
    }

    /* A slab's own header, run over from the page before. */
    StartPool(0x100);
    Blocks[0] = Allocate(100);
    memset(PAGE_ALIGN(Blocks[0]), 0x41, EXP_SLAB_HEADER);
    ASSERT_BUGCHECK(BAD_POOL_HEADER, 0x20, ExFreePool(Blocks[0] + 8));

    /* A freed block's header, written to before it is allocated again. */
    StartPool(0x100);
    Blocks[0] = Allocate(100);
    ExFreePool(Blocks[0]);
    ((PEXP_BLOCK)Blocks[0] - 1)->Word = 0x4141414141414141;
    ASSERT_BUGCHECK(BAD_POOL_HEADER, 0x3, Blocks[1] = Allocate(100));
}

#if DBG
static VOID WritesBehindTheEndAreFound(void **State)
{
    static const SIZE_T Sizes[] = {1, 8, 16, 17, 1000, 1960, 2000, 5000};
    UNREFERENCED_PARAMETER(State);

    for (volatile ULONG Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++)
    {
        PUCHAR Block;

        StartPool(0x100);
        Block = Allocate(Sizes[Index]);
        Block[Sizes[Index]] ^= 1;
        ASSERT_BUGCHECK(BAD_POOL_HEADER, 0x21, ExFreePool(Block));
        assert_int_equal(HostBugCheckParameters[1], (ULONG_PTR)Block);
        assert_int_equal(HostBugCheckParameters[2], Sizes[Index]);
        Block[Sizes[Index]] ^= 1;
        ExFreePool(Block);
    }
}

static VOID FreedMemoryIsPoisoned(void **State)
{
    PUCHAR Block;
    UNREFERENCED_PARAMETER(State);

    StartPool(0x100);
    Block = Allocate(300);
    memset(Block, 0, 300);
    ExFreePool(Block);
    for (ULONG Index = 0; Index < 300; Index++)
    {
        assert_int_equal(Block[Index], EXP_POISON_FREED);
    }
}
#endif

/* ------------------------------------------------------------------ Several processors. */

#define SHARED_SLOTS 64

static PVOID Shared[SHARED_SLOTS];

/* Allocates, fills, swaps with whatever another processor left in a slot, checks that and frees. */
static VOID UsePoolOnOneProcessor(ULONG Processor)
{
    ULONG64 Random = Processor * 0x9E3779B97F4A7C15ull + 7;

    for (ULONG Step = 0; Step < 30000; Step++)
    {
        Random = Random * 6364136223846793005ull + 1442695040888963407ull;

        SIZE_T Bytes = 16 + (Random >> 50) % ((Step & 15) == 0 ? 9000 : 300);
        PULONG Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, Bytes, TAG);

        HOST_REQUIRE(Block != NULL && IsZero((PUCHAR)Block, Bytes));
        memset(Block, (UCHAR)Step, Bytes);
        Block[0] = (ULONG)Bytes;
        Block = __atomic_exchange_n((PULONG *)&Shared[(Random >> 33) % SHARED_SLOTS], Block,
                                    __ATOMIC_ACQ_REL);
        if (Block != NULL)
        {
            PUCHAR Rest = (PUCHAR)(Block + 1);

            HOST_REQUIRE(memcmp(Rest, Rest + 1, Block[0] - 5) == 0);
            ExFreePoolWithTag(Block, TAG);
        }
    }
}

static VOID ProcessorsNeverShareABlock(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartPool(0x1000);
    HostRunProcessors(UsePoolOnOneProcessor, 4);
    for (ULONG Slot = 0; Slot < SHARED_SLOTS; Slot++)
    {
        if (Shared[Slot] != NULL)
        {
            ExFreePoolWithTag(Shared[Slot], TAG);
        }
    }
    CheckPool(0, 0);
    assert_true(ExpPoolPages <= (LONG64)MostPagesKept(4));
}

HOST_MAIN(cmocka_unit_test(SizeClassesCoverAllSizes),
          cmocka_unit_test(EverySizeIsAlignedZeroedAndWhole),
          cmocka_unit_test(BadRequestsAreRefused), cmocka_unit_test(RandomUseNeverOverlaps),
          cmocka_unit_test(ExhaustionIsNullAndEverythingComesBack),
          cmocka_unit_test(FreeWorksWithoutMemory), cmocka_unit_test(DoubleFreesAreFound),
          cmocka_unit_test(LargeDoubleFreesAreFound), cmocka_unit_test(WrongTagsAreFound),
          cmocka_unit_test(PointersToNoAllocationAreFound),
          cmocka_unit_test(SmashedHeadersAreFound),
#if DBG
          cmocka_unit_test(WritesBehindTheEndAreFound), cmocka_unit_test(FreedMemoryIsPoisoned),
#endif
          cmocka_unit_test(ProcessorsNeverShareABlock))
