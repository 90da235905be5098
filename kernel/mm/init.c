/* SPDX-License-Identifier: MIT */
/*
 * init.c - brings the memory manager up, and counts what it has.
 */
#include "mi.h"
#include "pfn.h"
#include "space.h"

#include "../ex/exp.h"

#include <ki.h>

/* For arch/mm, which zeroes the page. Runs with MiSystemPteLock held and takes a page-frame lock:
 * the order of their ranks. */
static ULONG64 MiAllocatePageTable(VOID)
{
    return MiAllocateFrames(KeGetCurrentNodeNumber(), 1, NULL, MiPageTable);
}

VOID MiInitializeMemory(PBOOT_INFO BootInfo)
{
    MiInitializePageFrames(BootInfo);
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
