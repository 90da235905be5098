/* SPDX-License-Identifier: MIT */
/*
 * memmap.c - makes the firmware's memory map fit to hand out memory from.
 *
 * Firmware lists ranges unsorted, overlapping, empty, and cut at any byte. The one rule that keeps
 * us safe is that doubt makes memory unusable: where ranges overlap the worse type wins, partial
 * pages are lost, and what no range names is reserved. So losing a range may cost memory, but never
 * hands out a page that is not ours; each path through a full table keeps that rule, and gives up
 * the smallest usable ranges first.
 */
#include "bootp.h"

#include <rtl.h>

/* The last page boundary below 2^64: no range reaches beyond it. */
#define BOOT_LAST_BOUNDARY (~(PAGE_SIZE - 1))

static ULONG64 BootPageUp(ULONG64 Address)
{
    return (Address > BOOT_LAST_BOUNDARY) ? BOOT_LAST_BOUNDARY : ALIGN_UP_BY(Address, PAGE_SIZE);
}

static ULONG64 BootPageDown(ULONG64 Address)
{
    return ALIGN_DOWN_BY(Address, PAGE_SIZE);
}

BOOT_MEMORY_TYPE BootMemoryTypeFromFirmware(ULONG Type)
{
    switch (Type)
    {
    case 1:
        return BootMemoryUsable;
    case 3:
        return BootMemoryAcpiReclaim;
    case 4:
        return BootMemoryAcpiNvs;
    case 5:
        return BootMemoryDefective;
    default:
        return BootMemoryReserved;
    }
}

/* Which type wins where ranges overlap: the higher number. */
static ULONG BootSeverity(BOOT_MEMORY_TYPE Type)
{
    switch (Type)
    {
    case BootMemoryUsable:
        return 0;
    case BootMemoryAcpiReclaim:
        return 1;
    case BootMemoryAcpiNvs:
        return 2;
    case BootMemoryDefective:
        return 4;
    default:
        return 3;
    }
}

static VOID BootRemoveRange(PBOOT_INFO Info, ULONG Index)
{
    Info->RangeCount--;
    RtlMoveMemory(&Info->Ranges[Index], &Info->Ranges[Index + 1],
                  (Info->RangeCount - Index) * sizeof(Info->Ranges[0]));
}

#define BOOT_NO_RANGE MAXULONG

/* Gives up the smallest usable range but the one at Spare, if it is smaller than Limit bytes, and
 * returns where it was; BOOT_NO_RANGE if there is none. Only memory is lost by that: what no range
 * names is reserved. */
static ULONG BootDropSmallest(PBOOT_INFO Info, ULONG Spare, ULONG64 Limit)
{
    ULONG Smallest = BOOT_NO_RANGE;

    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        PBOOT_MEMORY_RANGE Range = &Info->Ranges[Index];

        if (Range->Type == BootMemoryUsable && Index != Spare && Range->End - Range->Start < Limit)
        {
            Limit = Range->End - Range->Start;
            Smallest = Index;
        }
    }
    if (Smallest != BOOT_NO_RANGE)
    {
        Info->RangesDropped++;
        BootRemoveRange(Info, Smallest);
    }
    return Smallest;
}

/* Adds a range that begins at or above the end of the last one. In a full table it takes the place
 * of a smaller usable one. */
static VOID BootAppendRange(PBOOT_INFO Info, BOOT_MEMORY_RANGE Range)
{
    PBOOT_MEMORY_RANGE Last = (Info->RangeCount != 0) ? &Info->Ranges[Info->RangeCount - 1] : NULL;

    if (Last != NULL && Last->End == Range.Start && Last->Type == Range.Type)
    {
        Last->End = Range.End;
    }
    else if (Info->RangeCount < BOOT_MAXIMUM_RANGES ||
             (Range.Type == BootMemoryUsable &&
              BootDropSmallest(Info, BOOT_NO_RANGE, Range.End - Range.Start) != BOOT_NO_RANGE))
    {
        Info->Ranges[Info->RangeCount++] = Range;
    }
    else
    {
        Info->RangesDropped++;
        Info->UnusableDropped |= Range.Type != BootMemoryUsable;
    }
}

/* Copies the ranges, each clipped to whole pages, and leaves out what is empty then. */
static ULONG BootClipRanges(const BOOT_INFO *Info, PBOOT_MEMORY_RANGE Clipped)
{
    ULONG Count = 0;

    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        BOOT_MEMORY_RANGE Range = Info->Ranges[Index];

        if (Range.Start >= Range.End)
        {
            continue;
        }
        if (Range.Type == BootMemoryUsable)
        {
            Range.Start = BootPageUp(Range.Start);
            Range.End = BootPageDown(Range.End);
        }
        else
        {
            Range.Start = BootPageDown(Range.Start);
            Range.End = BootPageUp(Range.End);
        }
        if (Range.Start < Range.End)
        {
            Clipped[Count++] = Range;
        }
    }
    return Count;
}

/* The first stretch at or above Position over which the same ranges lie, with the worst of their
 * types. FALSE if nothing lies there. */
static BOOLEAN BootNextStretch(const BOOT_MEMORY_RANGE *Ranges, ULONG Count, ULONG64 Position,
                               PBOOT_MEMORY_RANGE Stretch)
{
    Stretch->Start = MAXULONG64;
    Stretch->End = MAXULONG64;
    Stretch->Type = BootMemoryUsable;
    for (ULONG Index = 0; Index < Count; Index++)
    {
        ULONG64 Start = (Ranges[Index].Start > Position) ? Ranges[Index].Start : Position;

        if (Ranges[Index].End > Position && Start < Stretch->Start)
        {
            Stretch->Start = Start;
        }
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        const BOOT_MEMORY_RANGE *Range = &Ranges[Index];
        ULONG64 Boundary = (Range->Start > Stretch->Start) ? Range->Start : Range->End;

        if (Boundary > Stretch->Start && Boundary < Stretch->End)
        {
            Stretch->End = Boundary;
        }
        if (Range->Start <= Stretch->Start && Range->End > Stretch->Start &&
            BootSeverity(Range->Type) > BootSeverity(Stretch->Type))
        {
            Stretch->Type = Range->Type;
        }
    }
    return Stretch->Start != MAXULONG64;
}

VOID BootNormalizeMemoryMap(PBOOT_INFO Info)
{
    BOOT_MEMORY_RANGE Clipped[BOOT_MAXIMUM_RANGES];
    BOOT_MEMORY_RANGE Stretch;
    ULONG Count = BootClipRanges(Info, Clipped);

    Info->RangeCount = 0;
    for (ULONG64 Position = 0; BootNextStretch(Clipped, Count, Position, &Stretch);
         Position = Stretch.End)
    {
        BootAppendRange(Info, Stretch);
    }
}

/* Makes room for Count more ranges beside the one at *Index, in a normalized table: first ranges
 * that say what is so without them, then the smallest usable ones. */
static BOOLEAN BootMakeRoom(PBOOT_INFO Info, PULONG Index, ULONG Count)
{
    for (ULONG Other = Info->RangeCount;
         Other-- > 0 && Count > BOOT_MAXIMUM_RANGES - Info->RangeCount;)
    {
        if (Info->Ranges[Other].Type == BootMemoryReserved ||
            Info->Ranges[Other].Type == BootMemoryDefective)
        {
            Info->RangesDropped++;
            BootRemoveRange(Info, Other);
            *Index -= Other < *Index;
        }
    }
    while (Count > BOOT_MAXIMUM_RANGES - Info->RangeCount)
    {
        ULONG Dropped = BootDropSmallest(Info, *Index, MAXULONG64);

        if (Dropped == BOOT_NO_RANGE)
        {
            return FALSE;
        }
        *Index -= Dropped < *Index;
    }
    return TRUE;
}

/* Makes the part of a usable range that lies in [Start, End) reserved; all of it, and FALSE, if the
 * table has no room for the rest. *Index follows the range when others before it make room. */
static BOOLEAN BootCutRange(PBOOT_INFO Info, PULONG Index, ULONG64 Start, ULONG64 End)
{
    const BOOT_MEMORY_RANGE Whole = Info->Ranges[*Index];
    ULONG Below = Whole.Start < Start;
    ULONG Above = Whole.End > End;
    BOOLEAN Room = BootMakeRoom(Info, Index, Below + Above);
    PBOOT_MEMORY_RANGE Range = &Info->Ranges[*Index];
    PBOOT_MEMORY_RANGE Middle = Range + Below;

    if (!Room)
    {
        Range->Type = BootMemoryReserved;
        return FALSE;
    }
    RtlMoveMemory(Range + Below + Above, Range, (Info->RangeCount - *Index) * sizeof(*Range));
    Info->RangeCount += Below + Above;

    *Range = (BOOT_MEMORY_RANGE){Whole.Start, Start, BootMemoryUsable};
    Middle[Above] = (BOOT_MEMORY_RANGE){End, Whole.End, BootMemoryUsable};
    *Middle = (BOOT_MEMORY_RANGE){Below ? Start : Whole.Start, Above ? End : Whole.End,
                                  BootMemoryReserved};
    return TRUE;
}

BOOLEAN BootReserveRange(PBOOT_INFO Info, ULONG64 Start, ULONG64 End)
{
    BOOLEAN Exact = TRUE;

    if (Start >= End)
    {
        return TRUE;
    }
    Start = BootPageDown(Start);
    End = BootPageUp(End);
    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        PBOOT_MEMORY_RANGE Range = &Info->Ranges[Index];

        if (Range->Type == BootMemoryUsable && Range->Start < End && Range->End > Start)
        {
            Exact &= BootCutRange(Info, &Index, Start, End);
        }
    }

    ULONG Count = Info->RangeCount;
    Info->RangeCount = 0;
    for (ULONG Index = 0; Index < Count; Index++)
    {
        BootAppendRange(Info, Info->Ranges[Index]);
    }
    return Exact;
}

VOID BootAddRange(PBOOT_INFO Info, ULONG64 Start, ULONG64 Length, BOOT_MEMORY_TYPE Type)
{
    ULONG64 End = (Length > MAXULONG64 - Start) ? MAXULONG64 : Start + Length;

    if (Info->RangeCount == BOOT_MAXIMUM_RANGES)
    {
        BootNormalizeMemoryMap(Info);
    }
    if (Type == BootMemoryUsable && Info->UnusableDropped)
    {
        Info->RangesDropped++; /* it might overlap an unusable range that was lost */
    }
    else if (Info->RangeCount < BOOT_MAXIMUM_RANGES ||
             BootDropSmallest(Info, BOOT_NO_RANGE,
                              Type == BootMemoryUsable ? End - Start : MAXULONG64) != BOOT_NO_RANGE)
    {
        Info->Ranges[Info->RangeCount++] = (BOOT_MEMORY_RANGE){Start, End, Type};
    }
    else
    {
        Info->RangesDropped++;
        Info->UnusableDropped |= Type != BootMemoryUsable;
    }
}

PBOOT_MODULE BootAddModule(PBOOT_INFO Info, ULONG64 Start, ULONG64 End)
{
    if (End < Start || Info->ModuleCount == BOOT_MAXIMUM_MODULES)
    {
        Info->ModulesDropped++;
        return NULL;
    }

    PBOOT_MODULE Module = &Info->Modules[Info->ModuleCount++];
    Module->Start = Start;
    Module->End = End;
    Module->Name[0] = '\0';
    return Module;
}
