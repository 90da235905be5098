/* SPDX-License-Identifier: MIT */
/*
 * test_memmap.c - holds boot/memmap.c to a page-by-page oracle: a page is usable if a usable range
 * holds all of it and no other range touches it; else it takes the worst type that touches it; else
 * no range names it. Maps are random, unsorted, overlapping, empty, inverted and cut at any byte,
 * around address 0, across 4 GiB and up to the end of the address space. Where the table overflows,
 * memory may be lost, but none may become usable that is not.
 */
#include "host.h"

#include "bootp.h"

#define PAGES 1024 /* of the stretch of addresses that one random map plays in */

#define PAGE_UNNAMED 0xFF

#define STRETCH (PAGES * PAGE_SIZE)

static const ULONG64 Bases[] = {0, (1ull << 32) - STRETCH / 2, (1ull << 52) - STRETCH, 0 - STRETCH};

/* A list of ranges longer than BOOT_INFO's own. */
#define LONGEST_LIST 400

typedef struct _RANGE_LIST
{
    ULONG Count;
    BOOT_MEMORY_RANGE Ranges[LONGEST_LIST];
} RANGE_LIST;

static ULONG Severity(BOOT_MEMORY_TYPE Type)
{
    static const ULONG Order[] = {[BootMemoryUsable] = 0,
                                  [BootMemoryAcpiReclaim] = 1,
                                  [BootMemoryAcpiNvs] = 2,
                                  [BootMemoryReserved] = 3,
                                  [BootMemoryDefective] = 4};
    return Order[Type];
}

/* What one page is, from the list as it stands. */
static UCHAR OraclePage(const BOOT_MEMORY_RANGE *Ranges, ULONG Count, ULONG64 Page)
{
    ULONG64 Last = Page + (PAGE_SIZE - 1);
    UCHAR Type = PAGE_UNNAMED;

    for (ULONG Index = 0; Index < Count; Index++)
    {
        const BOOT_MEMORY_RANGE *Range = &Ranges[Index];
        BOOLEAN Touches = Range->Start < Range->End && Range->Start <= Last && Range->End > Page;
        BOOLEAN Holds = Touches && Range->Start <= Page && Range->End - 1 >= Last;

        if ((Range->Type == BootMemoryUsable) ? Holds : Touches)
        {
            if (Type == PAGE_UNNAMED || Severity(Range->Type) > Severity(Type))
            {
                Type = (UCHAR)Range->Type;
            }
        }
    }
    return Type;
}

/* What one page is in a normalized map. */
static UCHAR MapPage(const BOOT_INFO *Info, ULONG64 Page)
{
    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        if (Info->Ranges[Index].Start <= Page && Page < Info->Ranges[Index].End)
        {
            return (UCHAR)Info->Ranges[Index].Type;
        }
    }
    return PAGE_UNNAMED;
}

static VOID AssertNormal(const BOOT_INFO *Info)
{
    assert_true(Info->RangeCount <= BOOT_MAXIMUM_RANGES);
    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        const BOOT_MEMORY_RANGE *Range = &Info->Ranges[Index];

        assert_int_equal(Range->Start % PAGE_SIZE, 0);
        assert_int_equal(Range->End % PAGE_SIZE, 0);
        assert_true(Range->Start < Range->End);
        if (Index != 0)
        {
            assert_true(Range[-1].End <= Range->Start);
            assert_false(Range[-1].End == Range->Start && Range[-1].Type == Range->Type);
        }
    }
}

/* The last page of the address space cannot be named by a half-open range: it is never usable. */
static BOOLEAN IsLastPage(ULONG64 Page)
{
    return Page == 0 - PAGE_SIZE;
}

static VOID AssertAsOracle(const BOOT_INFO *Info, const RANGE_LIST *List, ULONG64 Base)
{
    AssertNormal(Info);
    for (ULONG Index = 0; Index < PAGES; Index++)
    {
        ULONG64 Page = Base + Index * PAGE_SIZE;

        if (IsLastPage(Page))
        {
            assert_int_not_equal(MapPage(Info, Page), BootMemoryUsable);
        }
        else if (MapPage(Info, Page) != OraclePage(List->Ranges, List->Count, Page))
        {
            fail_msg("page %#llx: %d, not %d", (unsigned long long)Page, MapPage(Info, Page),
                     OraclePage(List->Ranges, List->Count, Page));
        }
    }
}

/* An address in the stretch: often on a page boundary, often just off one. */
static ULONG64 RandomAddress(ULONG64 Base)
{
    ULONG64 Offset = HostRandomBelow(PAGES) * PAGE_SIZE;

    switch (HostRandomBelow(4))
    {
    case 0:
        return Base + Offset + HostRandomBelow(PAGE_SIZE);
    case 1:
        return Base + Offset + 1;
    case 2:
        return Base + Offset + PAGE_SIZE - 1;
    default:
        return Base + Offset;
    }
}

static VOID RandomList(RANGE_LIST *List, ULONG Count, ULONG64 Base, ULONG64 LongestPages)
{
    List->Count = Count;
    for (ULONG Index = 0; Index < Count; Index++)
    {
        ULONG64 Start = RandomAddress(Base);
        ULONG64 End = Start + HostRandomBelow(LongestPages * PAGE_SIZE);
        ULONG64 Limit = Base + STRETCH;

        if (End < Start || (Limit != 0 && End > Limit))
        {
            End = (Limit != 0) ? Limit : MAXULONG64;
        }
        if (HostRandomBelow(16) == 0)
        {
            End = Start - HostRandomBelow(2) * (Start - Base); /* empty or inverted */
        }
        List->Ranges[Index] = (BOOT_MEMORY_RANGE){
            Start, End,
            (HostRandomBelow(2) == 0) ? BootMemoryUsable : (BOOT_MEMORY_TYPE)HostRandomBelow(5)};
    }
}

static VOID LoadList(PBOOT_INFO Info, const RANGE_LIST *List)
{
    assert_true(List->Count <= BOOT_MAXIMUM_RANGES);
    memset(Info, 0, sizeof(*Info));
    memcpy(Info->Ranges, List->Ranges, List->Count * sizeof(List->Ranges[0]));
    Info->RangeCount = List->Count;
}

static void RandomMapsNormalizeAsTheOracleSays(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    RANGE_LIST List;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 1200; Round++)
    {
        ULONG64 Base = Bases[Round % RTL_NUMBER_OF(Bases)];

        RandomList(&List, (ULONG)HostRandomBelow(40), Base, 1 + HostRandomBelow(PAGES));
        LoadList(Info, &List);
        BootNormalizeMemoryMap(Info);
        assert_int_equal(Info->RangesDropped, 0);
        AssertAsOracle(Info, &List, Base);
    }
    free(Info);
}

static void NormalizingAgainChangesNothing(void **State)
{
    BOOT_INFO *Once = malloc(sizeof(*Once));
    BOOT_INFO *Twice = malloc(sizeof(*Twice));
    RANGE_LIST List;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 200; Round++)
    {
        RandomList(&List, 40, Bases[Round % RTL_NUMBER_OF(Bases)], 20);
        LoadList(Once, &List);
        BootNormalizeMemoryMap(Once);
        *Twice = *Once;
        BootNormalizeMemoryMap(Twice);
        assert_int_equal(Twice->RangeCount, Once->RangeCount);
        assert_memory_equal(Twice->Ranges, Once->Ranges,
                            Once->RangeCount * sizeof(Once->Ranges[0]));
    }
    free(Once);
    free(Twice);
}

static VOID AssertReserved(const BOOT_INFO *Before, const BOOT_INFO *After, ULONG64 Base,
                           ULONG64 Start, ULONG64 End)
{
    for (ULONG Index = 0; Index < PAGES; Index++)
    {
        ULONG64 Page = Base + Index * PAGE_SIZE;
        BOOLEAN Touched = Start < End && Start <= Page + (PAGE_SIZE - 1) && End > Page;
        UCHAR Old = MapPage(Before, Page);

        assert_int_equal(MapPage(After, Page),
                         (Touched && Old == BootMemoryUsable) ? BootMemoryReserved : Old);
    }
}

/* An address to reserve from or to: any, or the border of a range that is there. */
static ULONG64 RandomBorder(const BOOT_INFO *Info, ULONG64 Base)
{
    const BOOT_MEMORY_RANGE *Range;

    if (Info->RangeCount == 0 || HostRandomBelow(2) == 0)
    {
        return RandomAddress(Base);
    }
    Range = &Info->Ranges[HostRandomBelow(Info->RangeCount)];
    return (HostRandomBelow(2) == 0) ? Range->Start : Range->End;
}

static void ReservingTakesExactlyTheUsablePages(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    BOOT_INFO *Before = malloc(sizeof(*Before));
    RANGE_LIST List;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 300; Round++)
    {
        ULONG64 Base = Bases[Round % RTL_NUMBER_OF(Bases)];

        RandomList(&List, (ULONG)HostRandomBelow(16), Base, PAGES);
        LoadList(Info, &List);
        BootNormalizeMemoryMap(Info);
        for (ULONG Step = 0; Step < 6; Step++)
        {
            ULONG64 Start = RandomBorder(Info, Base);
            ULONG64 End = (Step == 0) ? Start : RandomBorder(Info, Base);

            *Before = *Info;
            assert_true(BootReserveRange(Info, Start, End));
            AssertNormal(Info);
            AssertReserved(Before, Info, Base, Start, End);
        }
    }
    free(Info);
    free(Before);
}

/* A comb of Count teeth from page 0: three usable pages and one that nobody names. */
static VOID LoadComb(PBOOT_INFO Info, ULONG Count)
{
    memset(Info, 0, sizeof(*Info));
    for (ULONG Index = 0; Index < Count; Index++)
    {
        BootAddRange(Info, Index * 4 * PAGE_SIZE, 3 * PAGE_SIZE, BootMemoryUsable);
    }
}

static void ReservingInAFullTableGivesUpTheSmallestRanges(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    BOOT_INFO *Before = malloc(sizeof(*Before));
    UNREFERENCED_PARAMETER(State);

    for (ULONG Free = 0; Free <= 2; Free++)
    {
        ULONG Lost = 0;

        LoadComb(Info, BOOT_MAXIMUM_RANGES - Free);
        *Before = *Info;
        /* The middle page of the second tooth: that needs two more entries. */
        assert_true(BootReserveRange(Info, 5 * PAGE_SIZE, 5 * PAGE_SIZE + 1));
        AssertNormal(Info);
        assert_int_equal(MapPage(Info, 4 * PAGE_SIZE), BootMemoryUsable);
        assert_int_equal(MapPage(Info, 5 * PAGE_SIZE), BootMemoryReserved);
        assert_int_equal(MapPage(Info, 6 * PAGE_SIZE), BootMemoryUsable);
        for (ULONG64 Page = 0; Page < BOOT_MAXIMUM_RANGES * 4 * PAGE_SIZE; Page += PAGE_SIZE)
        {
            if (Page != 5 * PAGE_SIZE && MapPage(Info, Page) != MapPage(Before, Page))
            {
                assert_int_equal(MapPage(Before, Page), BootMemoryUsable);
                Lost++;
            }
        }
        assert_int_equal(Lost, 3 * (2 - Free));
        assert_int_equal(Info->RangesDropped, 2 - Free);
    }
    /* Whole ranges and their edges need no more than one entry more. */
    LoadComb(Info, BOOT_MAXIMUM_RANGES);
    assert_true(BootReserveRange(Info, 4 * PAGE_SIZE, 7 * PAGE_SIZE));
    assert_int_equal(Info->RangesDropped, 0);
    LoadComb(Info, BOOT_MAXIMUM_RANGES - 1);
    assert_true(BootReserveRange(Info, 4 * PAGE_SIZE, 5 * PAGE_SIZE));
    assert_int_equal(MapPage(Info, 5 * PAGE_SIZE), BootMemoryUsable);
    free(Info);
    free(Before);
}

/* Wherever in the table the range to cut is: those that make room may lie before it. */
static void AnyRangeOfAFullTableCanBeCut(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    UNREFERENCED_PARAMETER(State);

    for (ULONG64 Tooth = 0; Tooth < BOOT_MAXIMUM_RANGES; Tooth++)
    {
        ULONG64 Middle = (Tooth * 4 + 1) * PAGE_SIZE;

        LoadComb(Info, BOOT_MAXIMUM_RANGES);
        assert_true(BootReserveRange(Info, Middle, Middle + 1));
        AssertNormal(Info);
        assert_int_equal(MapPage(Info, Middle - PAGE_SIZE), BootMemoryUsable);
        assert_int_equal(MapPage(Info, Middle), BootMemoryReserved);
        assert_int_equal(MapPage(Info, Middle + PAGE_SIZE), BootMemoryUsable);
        assert_int_equal(Info->RangesDropped, 2);
    }
    free(Info);
}

/* Ranges that say what is so without them make room first; ACPI's, which are RAM, never. */
static void ReservedRangesMakeRoom(void **State)
{
    BOOT_INFO *Info = calloc(1, sizeof(*Info));
    UNREFERENCED_PARAMETER(State);

    for (ULONG Type = 0; Type < 2; Type++)
    {
        memset(Info, 0, sizeof(*Info));
        for (ULONG Index = 0; Index < BOOT_MAXIMUM_RANGES - 1; Index++)
        {
            BootAddRange(Info, Index * 2 * PAGE_SIZE, PAGE_SIZE,
                         Type == 0 ? BootMemoryDefective : BootMemoryAcpiNvs);
        }
        BootAddRange(Info, 0x10000000, 0x10000000, BootMemoryUsable);
        BootNormalizeMemoryMap(Info);
        assert_int_equal(Info->RangeCount, BOOT_MAXIMUM_RANGES);
        assert_int_equal(BootReserveRange(Info, 0x11000000, 0x12000000), Type == 0);
        AssertNormal(Info);
        assert_int_equal(MapPage(Info, 0x11000000), BootMemoryReserved);
        assert_int_equal(MapPage(Info, 0x12000000),
                         Type == 0 ? BootMemoryUsable : BootMemoryReserved);
        assert_true(Type == 0 || MapPage(Info, 0) == BootMemoryAcpiNvs);
    }
    free(Info);
}

/* However many small ranges there are, and wherever in the list, the large one is kept. */
static void TheLargestRangesAreKept(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    UNREFERENCED_PARAMETER(State);

    for (ULONG Place = 0; Place <= 1000; Place += 100)
    {
        memset(Info, 0, sizeof(*Info));
        for (ULONG Index = 0; Index < 1000; Index++)
        {
            if (Index == Place)
            {
                BootAddRange(Info, 0x100000, 0x7F00000, BootMemoryUsable);
            }
            BootAddRange(Info, 0x8000000 + Index * 2 * PAGE_SIZE, PAGE_SIZE, BootMemoryUsable);
        }
        if (Place == 1000)
        {
            BootAddRange(Info, 0x100000, 0x7F00000, BootMemoryUsable);
        }
        BootAddRange(Info, 0x200000, PAGE_SIZE, BootMemoryReserved);
        BootNormalizeMemoryMap(Info);
        AssertNormal(Info);
        assert_int_equal(MapPage(Info, 0x100000), BootMemoryUsable);
        assert_int_equal(MapPage(Info, 0x200000), BootMemoryReserved);
        assert_int_equal(MapPage(Info, 0x7FFF000), BootMemoryUsable);
        assert_true(Info->RangesDropped >= 1000 - BOOT_MAXIMUM_RANGES);
    }
    free(Info);
}

static void ALossNeverMakesMemoryUsable(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    RANGE_LIST List;
    ULONG Overflows = 0;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 400; Round++)
    {
        ULONG64 Base = Bases[Round % RTL_NUMBER_OF(Bases)];

        RandomList(&List, BOOT_MAXIMUM_RANGES + (ULONG)HostRandomBelow(LONGEST_LIST - 128), Base,
                   1 + HostRandomBelow(3));
        memset(Info, 0, sizeof(*Info));
        for (ULONG Index = 0; Index < List.Count; Index++)
        {
            const BOOT_MEMORY_RANGE *Range = &List.Ranges[Index];

            List.Ranges[Index].End = (Range->End < Range->Start) ? Range->Start : Range->End;
            BootAddRange(Info, Range->Start, Range->End - Range->Start, Range->Type);
        }
        BootNormalizeMemoryMap(Info);
        AssertNormal(Info);
        Overflows += Info->RangesDropped != 0;
        for (ULONG64 Index = 0; Index < PAGES; Index++)
        {
            ULONG64 Page = Base + Index * PAGE_SIZE;

            if (MapPage(Info, Page) == BootMemoryUsable)
            {
                assert_int_equal(OraclePage(List.Ranges, List.Count, Page), BootMemoryUsable);
            }
        }
    }
    assert_in_range(Overflows, 40, 400);
    free(Info);
}

static void ManyNeighboursFitByMerging(void **State)
{
    BOOT_INFO *Info = calloc(1, sizeof(*Info));
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < 10 * BOOT_MAXIMUM_RANGES; Index++)
    {
        BootAddRange(Info, Index * PAGE_SIZE, PAGE_SIZE, BootMemoryUsable);
    }
    BootNormalizeMemoryMap(Info);
    assert_int_equal(Info->RangesDropped, 0);
    assert_int_equal(Info->RangeCount, 1);
    assert_int_equal(Info->Ranges[0].End, 10 * BOOT_MAXIMUM_RANGES * PAGE_SIZE);
    free(Info);
}

static void RangesThatDoNotFitAreCounted(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    UNREFERENCED_PARAMETER(State);

    LoadComb(Info, BOOT_MAXIMUM_RANGES + 7);
    assert_int_equal(Info->RangeCount, BOOT_MAXIMUM_RANGES);
    assert_int_equal(Info->RangesDropped, 7);
    /* Two overlapping combs: more stretches than the table holds. */
    LoadComb(Info, BOOT_MAXIMUM_RANGES / 2);
    for (ULONG Index = 0; Index < BOOT_MAXIMUM_RANGES / 2; Index++)
    {
        BootAddRange(Info, (Index * 4 + 1) * PAGE_SIZE, 1, BootMemoryReserved);
    }
    BootNormalizeMemoryMap(Info);
    AssertNormal(Info);
    assert_int_equal(Info->RangeCount, BOOT_MAXIMUM_RANGES);
    assert_int_equal(Info->RangesDropped, BOOT_MAXIMUM_RANGES / 2 * 3 - BOOT_MAXIMUM_RANGES);
    free(Info);
}

static void RangesThatWrapEndAtTheTop(void **State)
{
    BOOT_INFO *Info = calloc(1, sizeof(*Info));
    UNREFERENCED_PARAMETER(State);

    BootAddRange(Info, 0x1000, MAXULONG64, BootMemoryUsable);
    BootAddRange(Info, 0 - 0x2000ull, 0x2000, BootMemoryReserved);
    BootNormalizeMemoryMap(Info);
    assert_int_equal(Info->RangeCount, 2);
    assert_int_equal(Info->Ranges[0].Start, 0x1000);
    assert_int_equal(Info->Ranges[0].End, 0 - 0x2000ull);
    assert_int_equal(Info->Ranges[1].Type, BootMemoryReserved);
    free(Info);
}

static void ModulesAreBoundedAndChecked(void **State)
{
    BOOT_INFO *Info = malloc(sizeof(*Info));
    UNREFERENCED_PARAMETER(State);

    memset(Info, 0xA5, sizeof(*Info));
    Info->ModuleCount = 0;
    Info->ModulesDropped = 0;
    assert_null(BootAddModule(Info, 2, 1));
    for (ULONG Index = 0; Index < BOOT_MAXIMUM_MODULES; Index++)
    {
        PBOOT_MODULE Module = BootAddModule(Info, 7, 7 + Index);

        assert_ptr_equal(Module, &Info->Modules[Index]);
        assert_int_equal(Module->Start, 7);
        assert_int_equal(Module->End, 7 + Index);
        assert_string_equal(Module->Name, "");
    }
    assert_null(BootAddModule(Info, 0, 1));
    assert_int_equal(Info->ModuleCount, BOOT_MAXIMUM_MODULES);
    assert_int_equal(Info->ModulesDropped, 2);
    free(Info);
}

static void FirmwareTypesAreKnown(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(BootMemoryTypeFromFirmware(1), BootMemoryUsable);
    assert_int_equal(BootMemoryTypeFromFirmware(2), BootMemoryReserved);
    assert_int_equal(BootMemoryTypeFromFirmware(3), BootMemoryAcpiReclaim);
    assert_int_equal(BootMemoryTypeFromFirmware(4), BootMemoryAcpiNvs);
    assert_int_equal(BootMemoryTypeFromFirmware(5), BootMemoryDefective);
    assert_int_equal(BootMemoryTypeFromFirmware(0), BootMemoryReserved);
    assert_int_equal(BootMemoryTypeFromFirmware(6), BootMemoryReserved);
    assert_int_equal(BootMemoryTypeFromFirmware(MAXULONG), BootMemoryReserved);
}

HOST_MAIN(cmocka_unit_test(RandomMapsNormalizeAsTheOracleSays),
          cmocka_unit_test(NormalizingAgainChangesNothing),
          cmocka_unit_test(ReservingTakesExactlyTheUsablePages),
          cmocka_unit_test(ReservingInAFullTableGivesUpTheSmallestRanges),
          cmocka_unit_test(AnyRangeOfAFullTableCanBeCut), cmocka_unit_test(ReservedRangesMakeRoom),
          cmocka_unit_test(TheLargestRangesAreKept), cmocka_unit_test(ALossNeverMakesMemoryUsable),
          cmocka_unit_test(ManyNeighboursFitByMerging),
          cmocka_unit_test(RangesThatDoNotFitAreCounted),
          cmocka_unit_test(RangesThatWrapEndAtTheTop),
          cmocka_unit_test(ModulesAreBoundedAndChecked), cmocka_unit_test(FirmwareTypesAreKnown))
