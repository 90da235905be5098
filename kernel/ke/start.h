/* SPDX-License-Identifier: MIT */
/* start.h - start-up's parts: processors, and the work that ends it. */
#pragma once

#include "ki.h"

extern KI_PROCESSOR KiBootProcessor;

/* Fills in a processor's block but for its stacks: index, queues, links. */
VOID KiPrepareProcessor(PKI_PROCESSOR Processor, ULONG Index);

/* Gives the boot processor its guarded stacks and idle thread, starts all others, awaits them. */
VOID KiStartAllProcessors(VOID);

/* The TSC at start-up's turning points: the kernel's first C instruction, the first INIT, the last
 * processor ready. Written by the boot processor; the benchmarks read them. */
typedef struct _KI_START_TIMES
{
    ULONG64 Entered;
    ULONG64 Sent;
    ULONG64 Online;
} KI_START_TIMES;

extern KI_START_TIMES KiStartTimes;

/* Goes to the boot processor's idle thread, having started the boot thread with Work(Context). */
DECLSPEC_NORETURN VOID KiEnterIdleThread(VOID (*Work)(PVOID Context), PVOID Context);

/* The first line of the log. */
VOID KiReportBanner(PBOOT_INFO BootInfo);

/* Devices, tests, benchmarks: the boot thread, at PASSIVE_LEVEL on the boot processor, all others
 * idle. Context is the BOOT_INFO. */
VOID KiBootWork(PVOID Context);

/* Tests (tests/kernel/runner.c): runs those that Pattern matches; TRUE if none failed. */
BOOLEAN KtRunTests(PCSTR Pattern);
/* Benchmarks (tests/bench/runner.c). */
VOID KtRunBenchmarks(PCSTR Pattern);
