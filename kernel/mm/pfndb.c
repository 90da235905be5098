/* SPDX-License-Identifier: MIT */
/*
 * pfndb.c - the page-frame database: one entry for each usable frame, and how to find it.
 *
 * The entries of all runs stand in one array, at the end of the largest run, reached through the
 * physical map. It always fits: runs are at most 128, so the largest has at least 1/128 of all
 * frames, and sixteen bytes a page are 1/256.
 */
#include "mi.h"
#include "pfndb.h"

#include <ki.h>

#define MI_LOWEST_FRAME 0x100ull       /* below 1 MiB: firmware's and the AP trampoline's */
#define MI_MAXIMUM_PAGES 0xFFFF0000ull /* indexes are ULONGs; RAM beyond 16 TiB is not used */

C_ASSERT(BOOT_MAXIMUM_RANGES <= 128);
C_ASSERT(sizeof(MI_PAGE) * 256 <= PAGE_SIZE);

MI_RUN MiRuns[BOOT_MAXIMUM_RANGES] KI_RO_AFTER_INIT;
ULONG MiRunCount KI_RO_AFTER_INIT;
PMI_PAGE MiPages KI_RO_AFTER_INIT;
ULONG64 MiManagedPages KI_RO_AFTER_INIT;
USHORT MiNodeCount KI_RO_AFTER_INIT;
MI_NODE MiNodes[MI_MAXIMUM_NODES];

static ULONG64 MiDatabasePages
    KI_RO_AFTER_INIT; /* as MiManagedPages: constant after initialization */

PMI_RUN MiFindRun(ULONG64 Frame)
{
    ULONG Low = 0;
    ULONG High = MiRunCount;

    while (Low < High)
    {
        ULONG Middle = (Low + High) / 2;

        if (Frame < MiRuns[Middle].FirstFrame)
        {
            High = Middle;
        }
        else if (Frame >= MiRuns[Middle].EndFrame)
        {
            Low = Middle + 1;
        }
        else
        {
            return &MiRuns[Middle];
        }
    }
    return NULL;
}

PMI_PAGE MiLookupPage(ULONG64 Physical)
{
    PMI_RUN Run = MiFindRun(Physical >> PAGE_SHIFT);

    return Run != NULL ? MiPageOfFrame(Run, Physical >> PAGE_SHIFT) : NULL;
}

USHORT MiPageNode(const MI_PAGE *Page)
{
    return MiRuns[Page->Run].Node;
}

ULONG64 MiHighestFrame(VOID)
{
    return MiRuns[MiRunCount - 1].EndFrame - 1;
}

ULONG64 MiTotalPages(VOID)
{
    return MiManagedPages + MiDatabasePages;
}

ULONG64 MiFreePages(VOID)
{
    ULONG64 Sum = 0;

    for (USHORT Node = 0; Node < MiNodeCount; Node++)
    {
        Sum += (ULONG64)ReadNoFence64(&MiNodes[Node].FreePages);
    }
    return Sum;
}

/* Collects the usable ranges as runs; returns how many frames they have. */
static ULONG64 MiCollectRuns(PBOOT_INFO BootInfo)
{
    ULONG64 Total = 0;

    for (ULONG Index = 0; Index < BootInfo->RangeCount; Index++)
    {
        PBOOT_MEMORY_RANGE Range = &BootInfo->Ranges[Index];
        ULONG64 First = Range->Start >> PAGE_SHIFT;
        ULONG64 End = Range->End >> PAGE_SHIFT;

        First = First > MI_LOWEST_FRAME ? First : MI_LOWEST_FRAME;
        if (End > MM_PHYSICAL_MAP_SIZE >> PAGE_SHIFT)
        {
            End = MM_PHYSICAL_MAP_SIZE >> PAGE_SHIFT;
        }
        if (End > First + (MI_MAXIMUM_PAGES - Total))
        {
            End = First + (MI_MAXIMUM_PAGES - Total);
        }
        if (Range->Type == BootMemoryUsable && First < End)
        {
            MiRuns[MiRunCount].FirstFrame = First;
            MiRuns[MiRunCount].EndFrame = End;
            MiRunCount++;
            Total += End - First;
        }
    }
    return Total;
}

/* Cuts the database off the end of the largest run. */
static VOID MiPlaceDatabase(ULONG64 Total)
{
    PMI_RUN Largest = &MiRuns[0];

    for (ULONG Index = 1; Index < MiRunCount; Index++)
    {
        PMI_RUN Run = &MiRuns[Index];

        if (Run->EndFrame - Run->FirstFrame > Largest->EndFrame - Largest->FirstFrame)
        {
            Largest = Run;
        }
    }
    MiDatabasePages = BYTES_TO_PAGES(Total * sizeof(MI_PAGE));
    MiManagedPages = Total - MiDatabasePages;
    Largest->EndFrame -= MiDatabasePages;
    MiPages = ArchPhysicalToVirtual(Largest->EndFrame << PAGE_SHIFT);
}

VOID MiInitializePageFrames(PBOOT_INFO BootInfo)
{
    ULONG64 Total = MiCollectRuns(BootInfo);
    ULONG Index = 0;

    if (Total == 0)
    {
        KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, BootInfo->RangeCount, 0, 0, 0);
    }
    MiPlaceDatabase(Total);

    MiNodeCount = 1;
    for (USHORT Node = 0; Node < MiNodeCount; Node++)
    {
        KiInitializeRankedSpinLock(&MiNodes[Node].Lock, KiRankPageFrames);
        for (ULONG Order = 0; Order <= MI_MAXIMUM_ORDER; Order++)
        {
            MiNodes[Node].FreeHead[Order] = MI_NO_PAGE;
        }
    }

    /* Blocks are freed in ascending order and taken last in, first out: the low memory that old
     * DMA devices need goes last. */
    for (ULONG RunIndex = 0; RunIndex < MiRunCount; RunIndex++)
    {
        PMI_RUN Run = &MiRuns[RunIndex];

        Run->FirstIndex = Index;
        for (ULONG64 Frame = Run->FirstFrame; Frame < Run->EndFrame; Frame++)
        {
            MiPages[Index++] = (MI_PAGE){.Use = MiPageUnused, .Run = (UCHAR)RunIndex};
        }
        MiFreeRange(&MiNodes[Run->Node], Run, Run->FirstFrame, Run->EndFrame);
    }
}
