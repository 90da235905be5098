/* SPDX-License-Identifier: MIT */
/*
 * bootwork.c - the end of start-up: with every processor idle, find the devices, then do what the
 * command line asks for.
 */
#include <arch/hal.h>
#include <arch/mmu.h>
#include <iop.h>
#include <kd.h>
#include <kdp.h>
#include <mi.h>
#include <obp.h>
#include <psp.h>
#include <work.h>

#include "clock.h"
#include "log.h"
#include "start.h"

#define VERSION "0.1"

VOID KiReportBanner(PBOOT_INFO BootInfo)
{
    KiLog(KiLogInfo, "Interlock " VERSION " %s on %s, loaded by %s, seed=0x%llx",
          DBG ? "checked" : "free", HalpHypervisorName(),
          BootInfo->LoaderName[0] != '\0' ? BootInfo->LoaderName : "PVH", KiOptions.Seed);
    KiLog(KiLogInfo, "command line: %s", BootInfo->CommandLine);
    if (BootInfo->RangesDropped != 0 || BootInfo->ModulesDropped != 0 ||
        BootInfo->CommandLineTruncated)
    {
        KiLog(KiLogWarning,
              "the loader passed more than fits: %u memory ranges and %u modules "
              "dropped, command line %s",
              BootInfo->RangesDropped, BootInfo->ModulesDropped,
              BootInfo->CommandLineTruncated ? "cut" : "whole");
    }
}

static VOID KiReportReady(VOID)
{
    MI_STATISTICS Memory;

    MiQueryStatistics(&Memory);
    KiLog(KiLogInfo, "ready: %u CPUs, counter %s, %llu KiB of %llu KiB memory used",
          KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), HalpCounterName,
          (Memory.TotalPages - Memory.FreePages) * PAGE_SIZE / 1024,
          Memory.TotalPages * PAGE_SIZE / 1024);
}

VOID KiBootWork(PVOID Context)
{
    BOOLEAN Passed = TRUE;

    UNREFERENCED_PARAMETER(Context);
    KdpSetStage(KdpStageThreads);
    KiStartLogWriter();
    KiStartDpcThreads();
    KdpSetStage(KdpStageExecutive);
    ObpInitialize();
    PspInitialize();
    ExpInitializeWorkers();
    KdpSetStage(KdpStageTime);
    KiFinishTime();
    KdpSetStage(KdpStagePci);
    HalpInitializePci();
    KdpSetStage(KdpStageDevices);
    IopInitialize();
    MiProtectKernel();
    KiReportReady();
    KdpSetStage(KdpStageReady);

    if (KiOptions.Test[0] != '\0')
    {
        KdpSetStage(KdpStageTests);
        Passed = KtRunTests(KiOptions.Test);
    }
    if (KiOptions.Bench[0] != '\0')
    {
        KdpSetStage(KdpStageBenchmarks);
        KtRunBenchmarks(KiOptions.Bench);
    }
    if (KiOptions.Exit != KiExitNone)
    {
        KdpSetStage(KdpStageEnd);
        KiLogFlush();
        KiExit(Passed ? HALP_EXIT_PASSED : HALP_EXIT_FAILED);
    }
    KdpStartReader();
}
