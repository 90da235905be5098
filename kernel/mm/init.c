/* SPDX-License-Identifier: MIT */
/*
 * init.c - brings the memory manager up, and counts what it has.
 */
#include "mi.h"
#include "pfn.h"
#include "pfndb.h"
#include "space.h"

#include "../ex/exp.h"

#include <ki.h>

#define MI_POISON 0xCC

/* For arch/mm, which zeroes the page. Runs with MiSystemPteLock held and takes a page-frame lock:
 * the order of their ranks. */
static ULONG64 MiAllocatePageTable(VOID)
{
    return MiAllocateFrames(KeGetCurrentNodeNumber(), 1, NULL, MiPageTable);
}

/* Emulators and some firmware hand over zeroed memory, and then nobody notices who counts on it.
 * Right after the page frames' start all of them are free. */
static VOID MiPoisonFreeMemory(VOID)
{
    for (ULONG Index = 0; Index < MiRunCount; Index++)
    {
        const MI_RUN *Run = &MiRuns[Index];

        RtlFillMemory(ArchPhysicalToVirtual(Run->FirstFrame << PAGE_SHIFT),
                      (Run->EndFrame - Run->FirstFrame) << PAGE_SHIFT, MI_POISON);
    }
    KiLog(KiLogInfo, "mm: free memory poisoned with %02x", MI_POISON);
}

VOID MiInitializeMemory(PBOOT_INFO BootInfo)
{
    MiInitializePageFrames(BootInfo);
    if (KiOptions.Poison == KiSwitchOn)
    {
        MiPoisonFreeMemory();
    }
    ArchSetPageTableAllocator(MiAllocatePageTable);
    ExpInitializePool();
    MiInitializeIoSpace();
    MiInitializeStackSpace();
    KiLog(KiLogInfo, "mm: %llu MiB in use, page-frame database %llu KiB",
          MiTotalPages() >> (20 - PAGE_SHIFT),
          (MiTotalPages() - MiFreePages()) << (PAGE_SHIFT - 10));
}

VOID MiQueryStatistics(PMI_STATISTICS Statistics)
{
    Statistics->TotalPages = MiTotalPages();
    Statistics->FreePages = MiFreePages();
    ExpQueryPool(Statistics);
}
