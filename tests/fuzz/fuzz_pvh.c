/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pvh.c - QEMU's start information, in a physical memory of any contents.
 *
 * Input: what lies at MEMORY_BASE, the start information first. Every mapping is a heap block of
 * exactly the bytes asked for. Oracle: as for Multiboot2; nothing is mapped that wraps; and no page
 * is usable that the map, read a second time, does not give.
 */
#include "fuzz.h"

#include "infocheck.h"
#include "mapcheck.h"

#define MEMORY_BASE 0x1000ull
#define MAXIMUM_MAPS 16384

/* BOOT_MAP_ROUTINE has no context: the memory of the current call. */
static const UCHAR *Memory;
static ULONG64 MemorySize;
static PVOID Maps[MAXIMUM_MAPS];
static ULONG MapCount;

static const VOID *Map(ULONG64 Physical, ULONG64 Length)
{
    ULONG64 Offset = Physical - MEMORY_BASE;

    FUZZ_REQUIRE(Physical != 0 && Length != 0 && Length <= MAXULONG64 - Physical);
    if (Physical < MEMORY_BASE || Offset > MemorySize || Length > MemorySize - Offset)
    {
        return NULL;
    }
    FUZZ_REQUIRE(MapCount < MAXIMUM_MAPS);
    Maps[MapCount] = FuzzCopy(Memory + Offset, Length);
    return Maps[MapCount++];
}

static VOID ReadMap(MAP_ORACLE *Oracle)
{
    ULONG64 Address;
    ULONG Entries;

    memcpy(&Address, Memory + 40, sizeof(Address));
    memcpy(&Entries, Memory + 48, sizeof(Entries));
    for (ULONG64 At = Address - MEMORY_BASE; Entries != 0; Entries--, At += 24)
    {
        ULONG64 Range[2];
        ULONG Type;

        memcpy(Range, Memory + At, sizeof(Range));
        memcpy(&Type, Memory + At + 16, sizeof(Type));
        MapOracleAdd(Oracle, Range[0], Range[1], BootMemoryTypeFromFirmware(Type));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static BOOT_INFO Info;
    static MAP_ORACLE Oracle;
    PCSTR Problem;

    Memory = Data;
    MemorySize = Size;
    memset(&Info, 0xA5, sizeof(Info));
    Problem = BootParsePvh(MEMORY_BASE, Map, &Info);
    CheckBootInfo(&Info, Problem);
    if (Problem == NULL)
    {
        Oracle.Count = 0;
        ReadMap(&Oracle);
        BootNormalizeMemoryMap(&Info);
        MapCheck(&Info, &Oracle, Info.RangesDropped == 0);
    }
    while (MapCount != 0)
    {
        free(Maps[--MapCount]);
    }
    return 0;
}
