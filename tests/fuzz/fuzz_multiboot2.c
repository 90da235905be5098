/* SPDX-License-Identifier: MIT */
/*
 * fuzz_multiboot2.c - GRUB's information structure: any bytes.
 *
 * Input: the structure; a total size of 0 stands for the input's own length. Oracle: every string
 * terminated, every count within its array, a framebuffer only if its rows and colours fit; and no
 * page usable that the memory map's tags, read a second time and naively, do not give.
 */
#include "fuzz.h"

#include "infocheck.h"
#include "mapcheck.h"

/* Every entry of every map tag before the first thing that ends the parser's walk. */
static VOID ReadMaps(const UCHAR *Data, ULONG Size, MAP_ORACLE *Oracle)
{
    for (ULONG64 Tag = 8; Tag + 8 <= Size;)
    {
        ULONG Head[4] = {0};
        ULONG64 End;

        memcpy(Head, Data + Tag, Tag + 16 <= Size ? 16 : 8);
        End = Tag + Head[1];
        if (Head[0] == 0 || Head[1] < 8 || End > Size)
        {
            return;
        }
        for (ULONG64 At = Tag + 16; Head[0] == 6 && Head[2] >= 20 && At + Head[2] <= End;
             At += Head[2])
        {
            ULONG64 Range[2];
            ULONG Type;

            memcpy(Range, Data + At, sizeof(Range));
            memcpy(&Type, Data + At + 16, sizeof(Type));
            MapOracleAdd(Oracle, Range[0], Range[1], BootMemoryTypeFromFirmware(Type));
        }
        Tag += ((ULONG64)Head[1] + 7) & ~7ull;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static BOOT_INFO Info;
    static MAP_ORACLE Oracle;
    PUCHAR Copy = FuzzCopy(Data, Size);
    ULONG Total = 0;
    PCSTR Problem;

    if (Size >= sizeof(Total))
    {
        memcpy(&Total, Copy, sizeof(Total));
        Total = Total == 0 ? (ULONG)Size : Total;
        memcpy(Copy, &Total, sizeof(Total));
    }
    memset(&Info, 0xA5, sizeof(Info));
    Problem = BootParseMultiboot2(Copy, (ULONG)Size, &Info);
    CheckBootInfo(&Info, Problem);
    if (Problem == NULL)
    {
        FUZZ_REQUIRE(Total >= 8 && Total <= Size);
        Oracle.Count = 0;
        ReadMaps(Copy, Total, &Oracle);
        BootNormalizeMemoryMap(&Info);
        MapCheck(&Info, &Oracle, Info.RangesDropped == 0);
    }
    free(Copy);
    return 0;
}
