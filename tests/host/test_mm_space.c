/* SPDX-License-Identifier: MIT */
/*
 * test_mm_space.c - holds MmMapIoSpace, MmUnmapIoSpace and the kernel stacks to their contracts:
 * guard pages, cache types, and above all the order in which something is unmapped, forgotten by
 * every TLB, and only then reused. The page tables are a hash table here; so is the TLB.
 */
#include "mmhost.h"

#include "../../kernel/ex/pool.c"
#include "../../kernel/ex/poolchk.c"
#include "../../kernel/ex/slab.c"
#include "../../kernel/mm/init.c"
#include "../../kernel/mm/iospace.c"
#include "../../kernel/mm/pfn.c"
#include "../../kernel/mm/pfndb.c"
#include "../../kernel/mm/space.c"
#include "../../kernel/mm/stack.c"

/* ------------------------------------------------------------------ The machine's page tables. */

#define TABLE_SIZE 65536

/* A page's translation. Mapped: it is in the tables. Cached: some TLB may hold it. */
typedef struct _TABLE_ENTRY
{
    ULONG64 Page; /* 0: never used */
    ULONG64 Physical;
    ULONG Protection;
    BOOLEAN Mapped;
    BOOLEAN Cached;
} TABLE_ENTRY;

static TABLE_ENTRY Table[TABLE_SIZE];
static LONG MapsUntilFailure; /* negative: never */
static ULONG Flushes;
static VOID (*DuringFlush)(VOID);

static TABLE_ENTRY *FindEntry(ULONG64 Address)
{
    ULONG64 Page = Address >> PAGE_SHIFT;
    ULONG Index = (ULONG)((Page * 0x9E3779B97F4A7C15ull) >> 48);

    while (Table[Index].Page != 0 && Table[Index].Page != Page)
    {
        Index = (Index + 1) % TABLE_SIZE;
    }
    Table[Index].Page = Page;
    return &Table[Index];
}

VOID ArchSetPageTableAllocator(ARCH_PAGE_TABLE_ALLOCATOR *Allocator)
{
    assert_non_null(Allocator);
}

BOOLEAN ArchMapPage(PVOID VirtualAddress, ULONG64 Physical, ULONG Protection)
{
    TABLE_ENTRY *Entry = FindEntry((ULONG64)VirtualAddress);

    HOST_REQUIRE(HostHeldCount == 1 && HostHeldLocks[0] == &MiSystemPteLock);
    HOST_REQUIRE(!Entry->Mapped);
    HOST_REQUIRE(!Entry->Cached); /* else a stale translation would be used */
    if (MapsUntilFailure == 0)
    {
        return FALSE;
    }
    MapsUntilFailure--;
    Entry->Physical = Physical;
    Entry->Protection = Protection;
    Entry->Mapped = TRUE;
    Entry->Cached = TRUE;
    return TRUE;
}

ULONG64 ArchUnmapPage(PVOID VirtualAddress)
{
    TABLE_ENTRY *Entry = FindEntry((ULONG64)VirtualAddress);
    BOOLEAN Mapped = Entry->Mapped;

    HOST_REQUIRE(HostHeldCount == 1 && HostHeldLocks[0] == &MiSystemPteLock);
    Entry->Mapped = FALSE;
    return Mapped ? Entry->Physical : ARCH_NOT_MAPPED;
}

/* The physical map holds what the boot information calls RAM. */
static ULONG64 PhysicalLimit = 1ull << 52;

ULONG64 ArchPhysicalLimit(VOID)
{
    return PhysicalLimit;
}

ULONG64 ArchTranslate(PVOID VirtualAddress)
{
    ULONG64 Physical = (ULONG64)VirtualAddress - (ULONG64)HostMemory;
    TABLE_ENTRY *Entry;

    for (ULONG Index = 0; Index < HostBootInfo.RangeCount; Index++)
    {
        if (Physical >= HostBootInfo.Ranges[Index].Start &&
            Physical < HostBootInfo.Ranges[Index].End)
        {
            return Physical;
        }
    }
    Entry = FindEntry((ULONG64)VirtualAddress);
    return Entry->Mapped ? Entry->Physical + BYTE_OFFSET(VirtualAddress) : ARCH_NOT_MAPPED;
}

/* No broken twin. */
KI_TWIN_ID KiSelectedTwin;

/* Memory is not poisoned. */
KI_OPTIONS KiOptions;

VOID KiFlushTlbRange(PVOID VirtualAddress, SIZE_T PageCount)
{
    HOST_REQUIRE(HostHeldCount == 0 && HostIrql <= DISPATCH_LEVEL);
    Flushes++;
    if (DuringFlush != NULL)
    {
        DuringFlush();
    }
    for (SIZE_T Page = 0; Page < PageCount; Page++)
    {
        TABLE_ENTRY *Entry = FindEntry((ULONG64)VirtualAddress + Page * PAGE_SIZE);

        HOST_REQUIRE(!Entry->Mapped);
        Entry->Cached = FALSE;

        /* What a stack was made of stays allocated until here. */
        PMI_PAGE Frame = MiLookupPage(Entry->Physical);
        HOST_REQUIRE(Frame == NULL || Frame->Use == MiPageStack);
    }
}

static VOID StartMachine(ULONG64 Pages)
{
    HostResetMachine();
    HostAddRange(0x100, 0x100 + Pages, BootMemoryUsable);
    memset(MiRuns, 0, sizeof(MiRuns));
    memset(MiNodes, 0, sizeof(MiNodes));
    memset(MiRecycled, 0, sizeof(MiRecycled));
    memset(ExpClasses, 0, sizeof(ExpClasses));
    memset(ExpCaches, 0, sizeof(ExpCaches));
    memset(Table, 0, sizeof(Table));
    MiRunCount = 0;
    ExpPoolPages = ExpOtherAllocations = ExpOtherBytes = 0;
    MapsUntilFailure = -1;
    Flushes = 0;
    DuringFlush = NULL;
    MiInitializeMemory(&HostBootInfo);
}

static PHYSICAL_ADDRESS Address(ULONG64 Value)
{
    return (PHYSICAL_ADDRESS){.QuadPart = (LONGLONG)Value};
}

static ULONG MappedPages(VOID)
{
    ULONG Count = 0;

    for (ULONG Index = 0; Index < TABLE_SIZE; Index++)
    {
        Count += Table[Index].Mapped;
    }
    return Count;
}

/* ------------------------------------------------------------------ Device registers. */

static VOID MappingsKeepOffsetAndGuards(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x200);
    for (ULONG Round = 0; Round < 300; Round++)
    {
        ULONG64 Physical = 0xFE000000 + HostRandomBelow(0x100000);
        SIZE_T Bytes = 1 + HostRandomBelow(0x40000);
        PUCHAR Base = MmMapIoSpace(Address(Physical), Bytes, MmNonCached);
        ULONG64 First = (ULONG64)Base & ~0xFFFull, Last = ((ULONG64)Base + Bytes - 1) & ~0xFFFull;

        assert_non_null(Base);
        assert_true((ULONG64)Base >= MM_IO_SPACE_BASE + PAGE_SIZE &&
                    Last + PAGE_SIZE < MM_IO_SPACE_BASE + MM_IO_SPACE_SIZE);
        assert_int_equal(BYTE_OFFSET(Base), BYTE_OFFSET(Physical));
        for (ULONG64 Page = First; Page <= Last; Page += PAGE_SIZE)
        {
            assert_true(FindEntry(Page)->Mapped);
            assert_int_equal(FindEntry(Page)->Physical, (Physical & ~0xFFFull) + Page - First);
            assert_int_equal(FindEntry(Page)->Protection, ARCH_PAGE_WRITE | ARCH_PAGE_UNCACHED);
        }
        assert_false(FindEntry(First - PAGE_SIZE)->Mapped);
        assert_false(FindEntry(Last + PAGE_SIZE)->Mapped);
        if (Round % 3 != 0)
        {
            MmUnmapIoSpace(Base, Bytes);
            assert_false(FindEntry(First)->Mapped || FindEntry(Last)->Mapped);
            assert_false(FindEntry(First)->Cached || FindEntry(Last)->Cached);
        }
    }
}

static VOID CacheTypesAreTheCallersExceptForRam(void **State)
{
    static const ULONG Protections[] = {ARCH_PAGE_WRITE | ARCH_PAGE_UNCACHED, ARCH_PAGE_WRITE,
                                        ARCH_PAGE_WRITE | ARCH_PAGE_WRITE_COMBINED};
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x200);
    for (ULONG Type = MmNonCached; Type <= MmWriteCombined; Type++)
    {
        /* The last page of RAM and the first of something else. */
        PUCHAR Base = MmMapIoSpace(Address(0x2FF000), 2 * PAGE_SIZE, (MEMORY_CACHING_TYPE)Type);

        assert_int_equal(FindEntry((ULONG64)Base)->Protection, ARCH_PAGE_WRITE);
        assert_int_equal(FindEntry((ULONG64)Base + PAGE_SIZE)->Protection, Protections[Type]);
    }
}

static VOID BadMappingsAreRefused(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x200);
    assert_null(MmMapIoSpace(Address(0xFE000000), 0, MmNonCached));
    assert_null(MmMapIoSpace(Address(0xFE000000), MAXULONG64, MmNonCached));
    assert_null(MmMapIoSpace(Address(MAXULONG64), 1, MmNonCached));
    assert_null(MmMapIoSpace(Address((1ull << 52) - 1), 2, MmNonCached));
    PhysicalLimit = 1ull << 40;
    assert_null(MmMapIoSpace(Address(1ull << 40), 1, MmNonCached));
    assert_null(MmMapIoSpace(Address((1ull << 40) - 1), 2, MmNonCached));
    assert_null(MmMapIoSpace(Address(1ull << 51), PAGE_SIZE, MmNonCached));
    PhysicalLimit = 1ull << 52;
    assert_null(MmMapIoSpace(Address(0), MM_IO_SPACE_SIZE, MmNonCached));
    assert_int_equal(MappedPages(), 0);
}

static PVOID BeingUnmapped;

/* Another processor looks for addresses, and one unmaps the same ones, while this one is still
 * waiting for the TLBs. */
static VOID UseAddressesMeanwhile(VOID)
{
    DuringFlush = NULL;
    assert_null(MmMapIoSpace(Address(0xD0000000), 1, MmNonCached));
    ASSERT_BUGCHECK(SYSTEM_PTE_MISUSE, 0x3, MmUnmapIoSpace(BeingUnmapped, 5 * PAGE_SIZE));
}

/* ArchMapPage above asserts that no mapping is made of addresses that a TLB still holds. */
static VOID AddressesAreReusedOnlyAfterTheFlush(void **State)
{
    PVOID First, Second, Third;
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x200);
    MiIoRegion.Size = 11 * PAGE_SIZE;
    First = MmMapIoSpace(Address(0xFE000000), PAGE_SIZE, MmNonCached);
    Second = MmMapIoSpace(Address(0xFE000000), 5 * PAGE_SIZE, MmNonCached);
    Third = MmMapIoSpace(Address(0xFE000000), PAGE_SIZE, MmNonCached);
    assert_true(First != NULL && Second != NULL && Third != NULL);
    assert_null(MmMapIoSpace(Address(0xFE000000), 1, MmNonCached)); /* full */

    MmUnmapIoSpace(Second, 5 * PAGE_SIZE);
    assert_int_equal(Flushes, 1);
    assert_null(MmMapIoSpace(Address(0xFE000000), 6 * PAGE_SIZE, MmNonCached));
    assert_ptr_equal(MmMapIoSpace(Address(0xFE000000), 5 * PAGE_SIZE, MmNonCached), Second);

    /* Nor while the flush is under way. */
    BeingUnmapped = Second;
    DuringFlush = UseAddressesMeanwhile;
    MmUnmapIoSpace(Second, 5 * PAGE_SIZE);
    assert_int_equal(Flushes, 2);
    assert_int_equal(MappedPages(), 2);
}

static VOID FailedMappingsLeaveNothing(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x200);
    for (LONG Limit = 0; Limit < 100; Limit++)
    {
        MapsUntilFailure = Limit;
        assert_null(MmMapIoSpace(Address(0xFE000000), 100 * PAGE_SIZE, MmNonCached));
        assert_int_equal(MappedPages(), 0);
        MapsUntilFailure = -1;
        /* Not at the addresses that may still be cached: ArchMapPage asserts it. */
        assert_non_null(MmMapIoSpace(Address(0xFE000000), PAGE_SIZE, MmNonCached));
        memset(Table, 0, sizeof(Table));
    }
    assert_int_equal(Flushes, 0); /* a caller with a spin lock could not have waited */
}

static VOID WrongUnmapsAreFound(void **State)
{
    PUCHAR Base;
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x200);
    Base = MmMapIoSpace(Address(0xFE000010), 3 * PAGE_SIZE, MmNonCached);
    ASSERT_BUGCHECK(SYSTEM_PTE_MISUSE, 0x2, MmUnmapIoSpace(Base, PAGE_SIZE));
    ASSERT_BUGCHECK(SYSTEM_PTE_MISUSE, 0x3, MmUnmapIoSpace(Base + PAGE_SIZE, PAGE_SIZE));
    ASSERT_BUGCHECK(SYSTEM_PTE_MISUSE, 0x3, MmUnmapIoSpace(NULL, PAGE_SIZE));
    MmUnmapIoSpace(Base, 3 * PAGE_SIZE);
    ASSERT_BUGCHECK(SYSTEM_PTE_MISUSE, 0x3, MmUnmapIoSpace(Base, 3 * PAGE_SIZE));
}

/* ------------------------------------------------------------------ Stacks. */

static VOID StacksAreZeroedAndGuarded(void **State)
{
    static const SIZE_T Sizes[] = {MI_KERNEL_STACK_SIZE, MI_SMALL_STACK_SIZE, 0x1000, 0x10000};
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x800);
    for (ULONG Round = 0; Round < 100; Round++)
    {
        SIZE_T Bytes = Sizes[Round % RTL_NUMBER_OF(Sizes)];
        PUCHAR Top = MiAllocateKernelStack(Bytes, 0);
        PUCHAR Base = Top - Bytes;

        assert_non_null(Top);
        assert_int_equal((ULONG64)Top % 16, 0);
        assert_int_equal(ArchTranslate(Base - 1), ARCH_NOT_MAPPED);
        assert_int_equal(ArchTranslate(Top), ARCH_NOT_MAPPED);
        for (SIZE_T Offset = 0; Offset < Bytes; Offset++)
        {
            assert_int_equal(Base[Offset], 0);
        }
        for (SIZE_T Offset = 0; Offset < Bytes; Offset += PAGE_SIZE)
        {
            assert_int_equal(FindEntry((ULONG64)Base + Offset)->Protection, ARCH_PAGE_WRITE);
        }
        memset(Base, 0xEE, Bytes);
        if (Round % 3 != 0)
        {
            MiFreeKernelStack(Top, Bytes);
        }
    }
}

static VOID CommonSizesAreRecycled(void **State)
{
    PVOID Tops[MI_RECYCLED_STACKS + 4];
    ULONG64 Free;
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x800);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Tops); Index++)
    {
        Tops[Index] = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);
        assert_non_null(Tops[Index]);
    }
    Free = MiFreePages();
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Tops); Index++)
    {
        MiFreeKernelStack(Tops[Index], MI_KERNEL_STACK_SIZE);
    }
    assert_int_equal(Flushes, 4); /* those for which the list had no room */
    assert_int_equal(MiFreePages(), Free + 4 * 4);
    assert_int_equal(MappedPages(), MI_RECYCLED_STACKS * 4);

    assert_ptr_equal(MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0), Tops[MI_RECYCLED_STACKS - 1]);
    assert_int_equal(MappedPages(), MI_RECYCLED_STACKS * 4);
    ASSERT_BUGCHECK(SYSTEM_PTE_MISUSE, 0x3,
                    MiFreeKernelStack(Tops[MI_RECYCLED_STACKS], MI_KERNEL_STACK_SIZE));
}

static VOID StacksThatCannotBeHadCostNothing(void **State)
{
    ULONG Count = 0;
    UNREFERENCED_PARAMETER(State);

    StartMachine(0x100);
    while (MiAllocateKernelStack(0x10000, 0) != NULL)
    {
        Count++;
    }
    assert_in_range(Count, 14, 15);
    assert_true(MiFreePages() < 16);
    assert_int_equal(MappedPages(), Count * 16);

    StartMachine(0x100);
    for (LONG Limit = 0; Limit < 16; Limit++)
    {
        ULONG64 Free = MiFreePages();

        MapsUntilFailure = Limit;
        assert_null(MiAllocateKernelStack(0x10000, 0));
        assert_int_equal(MappedPages(), 0);
        assert_true(Limit == 0 || MiFreePages() == Free); /* the first time, pool takes a page */
    }
}

HOST_MAIN(cmocka_unit_test(MappingsKeepOffsetAndGuards),
          cmocka_unit_test(CacheTypesAreTheCallersExceptForRam),
          cmocka_unit_test(BadMappingsAreRefused),
          cmocka_unit_test(AddressesAreReusedOnlyAfterTheFlush),
          cmocka_unit_test(FailedMappingsLeaveNothing), cmocka_unit_test(WrongUnmapsAreFound),
          cmocka_unit_test(StacksAreZeroedAndGuarded), cmocka_unit_test(CommonSizesAreRecycled),
          cmocka_unit_test(StacksThatCannotBeHadCostNothing))
