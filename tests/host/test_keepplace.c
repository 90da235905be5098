/* SPDX-License-Identifier: MIT */
/*
 * test_keepplace.c - holds the choice of the kept log's place (boot/keep.c) to its promises: it is
 * usable memory and nobody's, it does not depend on the map's borders, and there may be none.
 */
#include "host.h"

#include <boot_info.h>

#define MIB(Count) ((ULONG64)(Count) << 20)

static BOOT_INFO Info;

static VOID AddRange(ULONG64 Start, ULONG64 End, BOOT_MEMORY_TYPE Type)
{
    Info.Ranges[Info.RangeCount++] = (BOOT_MEMORY_RANGE){Start, End, Type};
}

/* A PC with so much memory, the top of it firmware's. */
static VOID MakePc(ULONG64 Bytes)
{
    memset(&Info, 0, sizeof(Info));
    AddRange(0, 0x9F000, BootMemoryUsable);
    AddRange(MIB(1), Bytes - 0x20000, BootMemoryUsable);
    AddRange(Bytes - 0x20000, Bytes, BootMemoryReserved);
    BootNormalizeMemoryMap(&Info);
}

static ULONG64 Choose(VOID)
{
    BootChooseKeptLog(&Info);
    return Info.KeptLog;
}

static void ItLiesAtSixtyFourMegabytes(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (ULONG64 Size = 66; Size <= 4096; Size *= 2)
    {
        MakePc(MIB(Size));
        assert_true(Choose() == MIB(64));
    }
}

static void ASmallMachineHasALowerPlace(void **State)
{
    UNREFERENCED_PARAMETER(State);

    MakePc(MIB(64));
    assert_true(Choose() == MIB(48));
    MakePc(MIB(32));
    assert_true(Choose() == MIB(24));
    MakePc(MIB(18));
    assert_true(Choose() == MIB(16));
    MakePc(MIB(16));
    assert_true(Choose() == 0);
}

/* The same however the borders around it move. */
static void BordersDoNotMatter(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 1000; Round++)
    {
        memset(&Info, 0, sizeof(Info));
        AddRange(HostRandomBelow(MIB(64)), MIB(65) + HostRandomBelow(MIB(1000)), BootMemoryUsable);
        AddRange(HostRandomBelow(MIB(30)), MIB(30) + HostRandomBelow(MIB(34)), BootMemoryReserved);
        BootNormalizeMemoryMap(&Info);
        assert_true(Choose() == MIB(64));
    }
}

static void WhatIsTakenIsPassedOver(void **State)
{
    UNREFERENCED_PARAMETER(State);

    MakePc(MIB(256));
    AddRange(MIB(64) + 0x3F000, MIB(64) + 0x40000, BootMemoryAcpiNvs);
    BootNormalizeMemoryMap(&Info);
    assert_true(Choose() == MIB(48));
    MakePc(MIB(256));
    Info.Modules[Info.ModuleCount++] = (BOOT_MODULE){.Start = MIB(63), .End = MIB(64) + 1};
    assert_true(Choose() == MIB(48));
    MakePc(MIB(256));
    Info.Modules[Info.ModuleCount++] = (BOOT_MODULE){.Start = MIB(16), .End = MIB(65)};
    assert_true(Choose() == MIB(80));
}

static void WithoutMemoryThereIsNone(void **State)
{
    UNREFERENCED_PARAMETER(State);

    memset(&Info, 0, sizeof(Info));
    assert_true(Choose() == 0);
    AddRange(MIB(4096), MIB(8192), BootMemoryUsable);
    assert_true(Choose() == 0);
}

/* Random maps: the place is usable throughout, above 16 MiB, below 4 GiB. */
static void ThePlaceIsAlwaysUsable(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 5000; Round++)
    {
        ULONG64 Place;
        BOOLEAN Inside = FALSE;

        memset(&Info, 0, sizeof(Info));
        for (ULONG Index = 0; Index < 20; Index++)
        {
            ULONG64 Start = HostRandomBelow(MIB(1100));

            AddRange(Start, Start + HostRandomBelow(MIB(100)),
                     (BOOT_MEMORY_TYPE)HostRandomBelow(4));
        }
        BootNormalizeMemoryMap(&Info);
        Place = Choose();
        for (ULONG Index = 0; Index < Info.RangeCount; Index++)
        {
            Inside |= Info.Ranges[Index].Type == BootMemoryUsable &&
                      Info.Ranges[Index].Start <= Place &&
                      Info.Ranges[Index].End >= Place + BOOT_KEPT_LOG_SIZE;
        }
        assert_true(Place == 0 || (Inside && Place >= MIB(16) && Place < MIB(4096)));
    }
}

HOST_MAIN(cmocka_unit_test(ItLiesAtSixtyFourMegabytes),
          cmocka_unit_test(ASmallMachineHasALowerPlace), cmocka_unit_test(BordersDoNotMatter),
          cmocka_unit_test(WhatIsTakenIsPassedOver), cmocka_unit_test(WithoutMemoryThereIsNone),
          cmocka_unit_test(ThePlaceIsAlwaysUsable))
