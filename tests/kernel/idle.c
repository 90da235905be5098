/* SPDX-License-Identifier: MIT */
/*
 * idle.c - what the machine does when it has nothing to do: next to nothing. Law L73's other side:
 * an idle processor has no periodic interrupt, only those of its own timers.
 *
 * For idle= seconds all threads wait. Each processor's clock interrupts in that time are counted
 * and must be a handful: what was armed before, the timer that ends the time, the counter's
 * keep-alive.
 * The lines around it let the harness measure what the host spends (tests/harness/hostcpu.py).
 */
#include "kt.h"
#include "runner.h"

#define SETTLE KT_MILLISECONDS(100) /* ticks that were armed while it was busy, log text */
#define MOST_OF_ITS_OWN 3           /* on any processor, in any time */
#define MOST_PER_SECOND 2           /* on processor 0: keep-alive, storms to be tried again */

typedef struct _IDLE_COUNTS
{
    ULONG64 Clock, Device, Switches, Halts;
} IDLE_COUNTS, *PIDLE_COUNTS;

static IDLE_COUNTS Before[MAXIMUM_PROCESSORS];

static IDLE_COUNTS CountsOf(ULONG Processor)
{
    PKPRCB Prcb = KiProcessorBlock[Processor];
    IDLE_COUNTS Counts = {Prcb->ClockInterrupts, Prcb->InterruptCount, Prcb->ContextSwitches,
                          Prcb->IdleHalts};

    return Counts;
}

static VOID ReportProcessor(ULONG Processor, ULONG Seconds)
{
    IDLE_COUNTS Now = CountsOf(Processor);
    ULONG64 Clock = Now.Clock - Before[Processor].Clock;
    ULONG64 Most = MOST_OF_ITS_OWN + (Processor == 0 ? MOST_PER_SECOND * Seconds : 0);

    KtNote("CPU %u: %llu clock and %llu device interrupts, %llu switches, %llu halts", Processor,
           Clock, Now.Device - Before[Processor].Device, Now.Switches - Before[Processor].Switches,
           Now.Halts - Before[Processor].Halts);
    KT_CHECK(Clock <= Most, "CPU %u: %llu clock interrupts in %u s, at most %llu are due",
             Processor, Clock, Seconds, Most);
}

static VOID NoPeriodicInterrupt(VOID)
{
    ULONG Seconds = KiOptions.IdleSeconds;

    KtSleep(SETTLE);
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        Before[Processor] = CountsOf(Processor);
    }
    KtPrint("# idle begins\n");
    KtSleep(KT_SECONDS(Seconds));
    KtPrint("# idle ends\n");
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        ReportProcessor(Processor, Seconds);
    }
}

static const KT_CASE Cases[] = {
    {"L73-no-periodic-interrupt", NoPeriodicInterrupt, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtIdleSuite, "idle", Cases);
