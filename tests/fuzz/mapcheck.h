/* SPDX-License-Identifier: MIT */
/*
 * mapcheck.h - what a normalized memory map must be, from the ranges that went into it.
 *
 * A page can only change what it is at a boundary of some range, so the oracle looks at the pages
 * on both sides of each boundary, one by one and naively, instead of at all 2^52.
 */
#pragma once

#include "fuzz.h"

#include <boot_info.h>

#define MAP_ORACLE_MAXIMUM 1024
#define MAP_ORACLE_NOTHING 0xFF
#define MAP_ORACLE_RESERVATION 0x80 /* makes usable pages reserved, and no others anything */

typedef struct _MAP_ORACLE
{
    ULONG Count;
    struct
    {
        ULONG64 Start, End;
        ULONG Type;
    } Ranges[MAP_ORACLE_MAXIMUM];
} MAP_ORACLE;

static inline VOID MapOracleAdd(MAP_ORACLE *Oracle, ULONG64 Start, ULONG64 Length, ULONG Type)
{
    FUZZ_REQUIRE(Oracle->Count < MAP_ORACLE_MAXIMUM);
    Oracle->Ranges[Oracle->Count].Start = Start;
    Oracle->Ranges[Oracle->Count].End = Length > MAXULONG64 - Start ? MAXULONG64 : Start + Length;
    Oracle->Ranges[Oracle->Count++].Type = Type;
}

static inline ULONG MapSeverity(ULONG Type)
{
    static const UCHAR Order[] = {[BootMemoryUsable] = 1,
                                  [BootMemoryAcpiReclaim] = 2,
                                  [BootMemoryAcpiNvs] = 3,
                                  [BootMemoryReserved] = 4,
                                  [BootMemoryDefective] = 5};
    return Type == MAP_ORACLE_NOTHING ? 0 : Order[Type];
}

static inline ULONG MapOraclePage(const MAP_ORACLE *Oracle, ULONG64 Page)
{
    ULONG64 Last = Page + (PAGE_SIZE - 1);
    ULONG Type = MAP_ORACLE_NOTHING;
    BOOLEAN Taken = FALSE;

    for (ULONG Index = 0; Index < Oracle->Count; Index++)
    {
        ULONG64 Start = Oracle->Ranges[Index].Start, End = Oracle->Ranges[Index].End;
        ULONG Kind = Oracle->Ranges[Index].Type;
        BOOLEAN Touches = Start < End && Start <= Last && End > Page;
        BOOLEAN Holds = Touches && Start <= Page && End - 1 >= Last;

        if (Kind == MAP_ORACLE_RESERVATION)
        {
            Taken |= Touches;
        }
        else if ((Kind == BootMemoryUsable ? Holds : Touches) &&
                 MapSeverity(Kind) > MapSeverity(Type))
        {
            Type = Kind;
        }
    }
    return Taken && Type == BootMemoryUsable ? BootMemoryReserved : Type;
}

static inline ULONG MapPage(const BOOT_INFO *Info, ULONG64 Page)
{
    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        if (Info->Ranges[Index].Start <= Page && Page < Info->Ranges[Index].End)
        {
            return Info->Ranges[Index].Type;
        }
    }
    return MAP_ORACLE_NOTHING;
}

static inline VOID MapCheckPage(const BOOT_INFO *Info, const MAP_ORACLE *Oracle, ULONG64 Page,
                                BOOLEAN Exact)
{
    ULONG Found = MapPage(Info, Page), Expected = MapOraclePage(Oracle, Page);

    if (Page == 0 - PAGE_SIZE) /* no half-open range can name it */
    {
        FUZZ_REQUIRE(Found == MAP_ORACLE_NOTHING);
        return;
    }
    FUZZ_REQUIRE(Found != BootMemoryUsable || Expected == BootMemoryUsable);
    FUZZ_REQUIRE(!Exact || Found == Expected);
}

/* Exact: nothing was lost for want of room. */
static inline VOID MapCheck(const BOOT_INFO *Info, const MAP_ORACLE *Oracle, BOOLEAN Exact)
{
    FUZZ_REQUIRE(Info->RangeCount <= BOOT_MAXIMUM_RANGES);
    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        const BOOT_MEMORY_RANGE *Range = &Info->Ranges[Index];

        FUZZ_REQUIRE(Range->Start % PAGE_SIZE == 0 && Range->End % PAGE_SIZE == 0);
        FUZZ_REQUIRE(Range->Start < Range->End);
        FUZZ_REQUIRE(Range->Type <= BootMemoryDefective);
        FUZZ_REQUIRE(Index == 0 || Range[-1].End <= Range->Start);
        FUZZ_REQUIRE(Index == 0 || Range[-1].End != Range->Start || Range[-1].Type != Range->Type);
    }
    for (ULONG Index = 0; Index < Oracle->Count; Index++)
    {
        for (ULONG Offset = 0; Offset < 3; Offset++)
        {
            ULONG64 Beside = (Offset - 1ull) * PAGE_SIZE;

            MapCheckPage(Info, Oracle,
                         ALIGN_DOWN_BY(Oracle->Ranges[Index].Start, PAGE_SIZE) + Beside, Exact);
            MapCheckPage(Info, Oracle, ALIGN_DOWN_BY(Oracle->Ranges[Index].End, PAGE_SIZE) + Beside,
                         Exact);
        }
    }
}
