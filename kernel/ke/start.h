/* SPDX-License-Identifier: MIT */
/* start.h - start-up's parts: processors, and the work that ends it. */
#pragma once

#include "ki.h"

/* Fills in a processor's block but for its stacks: index, queues, links. */
VOID KiPrepareProcessor(PKI_PROCESSOR Processor, ULONG Index);

/* Gives the boot processor its guarded stacks and idle thread, starts all others, waits for them. */
VOID KiStartAllProcessors(VOID);

/* Goes to the boot processor's idle thread with Work(Context) to do first. */
DECLSPEC_NORETURN VOID KiEnterIdleThread(VOID (*Work)(PVOID Context), PVOID Context);

/* The first line of the log. */
VOID KiReportBanner(PBOOT_INFO BootInfo);

/* Devices, tests, benchmarks; at PASSIVE_LEVEL on the boot processor, all others idle. Context is the
 * BOOT_INFO. */
VOID KiBootWork(PVOID Context);

/* Tests (tests/kernel/runner.c): runs those that Pattern matches; TRUE if none failed. */
BOOLEAN KtRunTests(PCSTR Pattern);
/* Benchmarks (tests/bench/runner.c). */
VOID KtRunBenchmarks(PCSTR Pattern);
