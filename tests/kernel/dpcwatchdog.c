/* SPDX-License-Identifier: MIT */
/*
 * dpcwatchdog.c - the DPC watchdog: what it says while all is well, that ticks which a processor
 * has not seen do not count, and (each in a boot of its own) that it stops what does not end. Law
 * L34.
 */
#include "kt.h"

#define TICK_MS 16 /* a little more than one */
#define SHORT_LIMIT 4
#define LIMIT KT_SECONDS(60)

/* A routine to run in a DPC, and when it has. */
typedef struct _IN_DPC
{
    KDPC Dpc;
    VOID (*Routine)(VOID);
    volatile LONG Done;
} IN_DPC, *PIN_DPC;

static VOID RunInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PIN_DPC InDpc = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InDpc->Routine();
    WriteRelease(&InDpc->Done, TRUE);
}

static VOID DoInDpc(VOID (*Routine)(VOID))
{
    IN_DPC InDpc = {.Routine = Routine};

    KeInitializeDpc(&InDpc.Dpc, RunInDpc, &InDpc);
    KeInsertQueueDpc(&InDpc.Dpc, NULL, NULL);
    KT_CHECK(InDpc.Done, "it did not run");
}

static VOID AskInDpc(VOID)
{
    KDPC_WATCHDOG_INFORMATION Information;
    NTSTATUS Status = KeQueryDpcWatchdogInformation(&Information);

    KT_CHECK(Status == STATUS_SUCCESS, "%x", Status);
    KT_CHECK(Information.DpcTimeLimit == KiDpcTimeLimit &&
                 Information.DpcWatchdogLimit == KiDpcWatchdogLimit,
             "limits %u and %u", Information.DpcTimeLimit, Information.DpcWatchdogLimit);
    KT_CHECK(Information.DpcTimeCount <= Information.DpcTimeLimit &&
                 Information.DpcTimeCount >= Information.DpcTimeLimit - 1,
             "%u left of %u", Information.DpcTimeCount, Information.DpcTimeLimit);
    KT_CHECK(Information.DpcWatchdogCount <= Information.DpcWatchdogLimit, "%u left of %u",
             Information.DpcWatchdogCount, Information.DpcWatchdogLimit);
}

static VOID WhatItSays(VOID)
{
    KDPC_WATCHDOG_INFORMATION Information;
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    NTSTATUS Status = KeQueryDpcWatchdogInformation(&Information);

    KeLowerIrql(OldIrql);
    KT_CHECK(Status == STATUS_UNSUCCESSFUL, "%x outside of a DPC", Status);
    DoInDpc(AskInDpc);
}

/* Sees so many ticks go by, at DISPATCH_LEVEL. */
static BOOLEAN SeeTicks(ULONG64 Count)
{
    volatile ULONG64 *Ticks = &KiGetCurrentPrcb()->ClockInterrupts;
    ULONG64 End = KtNow() + LIMIT;
    ULONG64 Start = *Ticks;

    while (*Ticks - Start < Count && KtNow() < End)
    {
        YieldProcessor();
    }
    return *Ticks - Start >= Count;
}

/* Information: what is left after some ticks, in the same DPC. */
static VOID CountDown(VOID)
{
    KDPC_WATCHDOG_INFORMATION Information;

    KeQueryDpcWatchdogInformation(&Information);
    for (ULONG64 End = KtNow() + LIMIT;
         Information.DpcTimeLimit - Information.DpcTimeCount < 3 && KtNow() < End;)
    {
        YieldProcessor();
        KeQueryDpcWatchdogInformation(&Information);
    }
    KT_CHECK(Information.DpcTimeLimit - Information.DpcTimeCount >= 3, "%u left of %u",
             Information.DpcTimeCount, Information.DpcTimeLimit);
    KT_CHECK(KeShouldYieldProcessor(), "a DPC of three ticks should go on");
}

static VOID CountsTicks(VOID)
{
    DoInDpc(CountDown);
    DoInDpc(AskInDpc); /* the next one has all its time again */
}

static VOID LoopsShouldPause(VOID)
{
    ULONG64 End = KtNow() + LIMIT;
    LOGICAL Told = FALSE;
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    while (!Told && KtNow() < End)
    {
        Told = KeShouldYieldProcessor();
    }
    KeLowerIrql(OldIrql);
    KT_CHECK(Told, "nobody told a loop at DISPATCH_LEVEL to pause");
}

/* Long by the clock on the wall, but its processor sees no tick. */
static VOID StayDeaf(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    KeStallExecutionProcessor((SHORT_LIMIT + 2) * TICK_MS * 1000);
    KeLowerIrql(OldIrql);
}

static VOID UnseenTicksDoNotCount(VOID)
{
    ULONG OldLimit = KiDpcTimeLimit;

    KiDpcTimeLimit = SHORT_LIMIT;
    DoInDpc(StayDeaf);
    KiDpcTimeLimit = OldLimit;
}

/* Many DPCs that are short take none of each other's time. */
static VOID StayForTicks(VOID)
{
    SeeTicks(SHORT_LIMIT / 2);
}

static VOID EachHasItsOwnTime(VOID)
{
    ULONG OldLimit = KiDpcTimeLimit;
    IN_DPC InDpc[3];
    KIRQL OldIrql;

    KiDpcTimeLimit = SHORT_LIMIT;
    OldIrql = KeRaiseIrqlToDpcLevel();
    for (ULONG Index = 0; Index < 3; Index++)
    {
        InDpc[Index].Routine = StayForTicks;
        InDpc[Index].Done = FALSE;
        KeInitializeDpc(&InDpc[Index].Dpc, RunInDpc, &InDpc[Index]);
        KeInsertQueueDpc(&InDpc[Index].Dpc, NULL, NULL);
    }
    KeLowerIrql(OldIrql);
    KiDpcTimeLimit = OldLimit;
    KT_CHECK(InDpc[2].Done, "they did not run");
}

static const KT_CASE Cases[] = {
    {"dpcwatchdog-what-it-says", WhatItSays, 0, FALSE},
    {"dpcwatchdog-L34-counts-ticks", CountsTicks, 0, FALSE},
    {"dpcwatchdog-loops-should-pause", LoopsShouldPause, 0, FALSE},
    {"dpcwatchdog-L34-unseen-ticks", UnseenTicksDoNotCount, 0, FALSE},
    {"dpcwatchdog-L34-each-its-own-time", EachHasItsOwnTime, 0, FALSE},
};

KT_DEFINE_SUITE(KtDpcWatchdogSuite, "ke", Cases);

/* ------------------------------------------------------------------ What it stops. */

static VOID NeverEnd(VOID)
{
    ULONG64 End = KtNow() + LIMIT;

    while (KtNow() < End)
    {
        YieldProcessor();
    }
}

static VOID DpcThatNeverEnds(VOID)
{
    KiDpcTimeLimit = SHORT_LIMIT;
    DoInDpc(NeverEnd);
    KT_CHECK(FALSE, "the machine did not stop");
}

/* The target is idle, and without a tick of its own. */
static VOID DpcThatNeverEndsElsewhere(VOID)
{
    static IN_DPC InDpc;

    KiDpcTimeLimit = SHORT_LIMIT;
    InDpc.Routine = NeverEnd;
    KeInitializeDpc(&InDpc.Dpc, RunInDpc, &InDpc);
    KeSetTargetProcessorDpc(&InDpc.Dpc, (CHAR)(KtProcessors() - 1));
    KeInsertQueueDpc(&InDpc.Dpc, NULL, NULL);
    KtWaitFor(&InDpc.Done, TRUE, LIMIT);
    KT_CHECK(FALSE, "the machine did not stop");
}

static VOID RequeueForEver(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (KtNow() < (ULONG64)Context)
    {
        KeInsertQueueDpc(Dpc, NULL, NULL);
    }
}

static VOID DpcsWithoutAPause(VOID)
{
    KDPC Dpc;

    KiDpcWatchdogLimit = SHORT_LIMIT;
    KeInitializeDpc(&Dpc, RequeueForEver, (PVOID)(KtNow() + LIMIT));
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KT_CHECK(FALSE, "the machine did not stop");
}

static VOID ThreadAtDispatch(VOID)
{
    KIRQL OldIrql;

    KiDpcWatchdogLimit = SHORT_LIMIT;
    OldIrql = KeRaiseIrqlToDpcLevel();
    NeverEnd();
    KeLowerIrql(OldIrql);
    KT_CHECK(FALSE, "the machine did not stop");
}

static const KT_CASE DeathCases[] = {
    {"L34-dpc-never-ends", DpcThatNeverEnds, 0, FALSE},
    {"L34-dpc-never-ends-elsewhere", DpcThatNeverEndsElsewhere, 2, FALSE},
    {"L34-dpcs-without-a-pause", DpcsWithoutAPause, 0, FALSE},
    {"L34-thread-at-dispatch", ThreadAtDispatch, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtDeathWatchdogSuite, "death", DeathCases);
