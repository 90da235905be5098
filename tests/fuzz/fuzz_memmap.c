/* SPDX-License-Identifier: MIT */
/*
 * fuzz_memmap.c - the memory map: any ranges in any order, then reservations.
 *
 * Input: records of an operation byte, an 8-byte start and an 8-byte length. Oracle: the map is
 * sorted, disjoint, page-aligned, merged; and each page next to a boundary of the input is what
 * the worst of the ranges that touch it makes it. A full table may cost memory; it never makes a
 * page usable that is not.
 */
#include "fuzz.h"

#include "bootp.h"
#include "mapcheck.h"

#define RECORD 17
#define MAXIMUM_RECORDS 180 /* more than the table holds */
#define RESERVE 0x40 /* of the operation: BootReserveRange; the rest is the firmware's type */

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static BOOT_INFO Info;
    static MAP_ORACLE Oracle;
    FUZZ_INPUT Input = {Data, Size};
    BOOLEAN Exact = TRUE, Reserving = FALSE;

    memset(&Info, 0, sizeof(Info));
    Oracle.Count = 0;
    for (ULONG Record = 0; Record < MAXIMUM_RECORDS && Input.Left >= RECORD; Record++)
    {
        ULONG Operation = (ULONG)FuzzTake(&Input, 1);
        ULONG64 Start = FuzzTake(&Input, 8);
        ULONG64 Length = FuzzTake(&Input, 8);

        if (!(Operation & RESERVE) && !Reserving)
        {
            BOOT_MEMORY_TYPE Type = BootMemoryTypeFromFirmware(Operation & 7);

            BootAddRange(&Info, Start, Length, Type);
            MapOracleAdd(&Oracle, Start, Length, Type);
            continue;
        }
        if (!Reserving)
        {
            BootNormalizeMemoryMap(&Info);
            MapCheck(&Info, &Oracle, Exact && Info.RangesDropped == 0);
            Reserving = TRUE; /* reservations come last, as in the kernel */
        }
        if (Length <= MAXULONG64 - Start)
        {
            Exact &= BootReserveRange(&Info, Start, Start + Length);
            MapOracleAdd(&Oracle, Start, Length, MAP_ORACLE_RESERVATION);
        }
    }
    if (!Reserving)
    {
        BootNormalizeMemoryMap(&Info);
    }
    MapCheck(&Info, &Oracle, Exact && Info.RangesDropped == 0);
    return 0;
}
