/* SPDX-License-Identifier: MIT */
/*
 * dpcstorm.c - DPCs from everywhere at once: none is lost, none runs twice for one insertion, none
 * overlaps another on its processor, and a flush waits for all that came before it.
 */
#include <arch/hal.h>
#include <scheduler.h>

#include "kt.h"

#define STORM_DPCS 12
#define REQUEUES 1000
#define HAND_OVERS 500
#define RUN_LIMIT KT_SECONDS(20)

/* ------------------------------------------------------------------ Conservation (L21, L22, L24,
 * L25; regressions R-a, R-r). */

typedef struct _STORM_DPC
{
    KDPC Dpc;
    volatile LONG Inserts; /* calls that said TRUE: any processor, locked add */
    volatile LONG Removes;
    volatile LONG Runs;
} STORM_DPC, *PSTORM_DPC;

static STORM_DPC Storm[STORM_DPCS];

/* Set while a DPC runs on that processor: its own processor only. */
static volatile BOOLEAN Inside[MAXIMUM_PROCESSORS];

static VOID StormRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PSTORM_DPC Mine = Context;
    ULONG Processor = KeGetCurrentProcessorIndex();

    UNREFERENCED_PARAMETER(Dpc);
    KT_CHECK(Argument2 == (PVOID)((ULONG_PTR)Argument1 * 3), "arguments of two insertions: %p %p",
             Argument1, Argument2);
    KT_CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(!Inside[Processor], "two DPCs at once on CPU %u", Processor);
    Inside[Processor] = TRUE;
    InterlockedIncrement(&Mine->Runs);
    Inside[Processor] = FALSE;
}

static VOID StormStep(PSTORM_DPC Dpc, PKT_RANDOM Random)
{
    ULONG64 Draw = KtRandom(Random);
    PVOID Argument = (PVOID)(Draw >> 40);
    PROCESSOR_NUMBER Number;
    KIRQL OldIrql;

    switch (Draw % 8)
    {
    case 0:
        KeGetProcessorNumberFromIndex((ULONG)(Draw >> 8) % KtProcessors(), &Number);
        KeSetTargetProcessorDpcEx(&Dpc->Dpc, &Number);
        break;
    case 1:
        KeSetImportanceDpc(&Dpc->Dpc, (KDPC_IMPORTANCE)((Draw >> 8) % 4));
        break;
    case 2:
    case 3:
        if (KeRemoveQueueDpc(&Dpc->Dpc))
        {
            InterlockedIncrement(&Dpc->Removes);
        }
        break;
    default:
        KeRaiseIrql((KIRQL)((Draw >> 16) % 4) * 4, &OldIrql); /* 0, 4, 8 or 12 */
        if (KeInsertQueueDpc(&Dpc->Dpc, Argument, (PVOID)((ULONG_PTR)Argument * 3)))
        {
            InterlockedIncrement(&Dpc->Inserts);
        }
        KeLowerIrql(OldIrql);
        break;
    }
}

static VOID StormWorker(PVOID Context, ULONG Processor)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    do
    {
        for (ULONG Step = 0; Step < 16; Step++)
        {
            StormStep(&Storm[KtRandom(&Random) % STORM_DPCS], &Random);
        }
    } while (KtNow() < End && !KtHasFailed());
}

static VOID Conservation(VOID)
{
    LONG Total = 0;

    RtlZeroMemory(Storm, sizeof(Storm));
    for (ULONG Index = 0; Index < STORM_DPCS; Index++)
    {
        KeInitializeDpc(&Storm[Index].Dpc, StormRoutine, &Storm[Index]);
    }
    KtParallel(StormWorker, NULL);
    KeFlushQueuedDpcs();
    for (ULONG Index = 0; Index < STORM_DPCS; Index++)
    {
        PSTORM_DPC Dpc = &Storm[Index];

        KT_CHECK(Dpc->Runs == Dpc->Inserts - Dpc->Removes,
                 "DPC %u: %d runs, %d inserts, %d removes", Index, Dpc->Runs, Dpc->Inserts,
                 Dpc->Removes);
        Total += Dpc->Runs;
    }
    KT_CHECK(Total > STORM_DPCS, "only %d runs", Total);
    KtNote("%d DPCs ran", Total);
}

/* ------------------------------------------------------------------ A DPC that queues itself. */

static volatile LONG Requeues;

static VOID RequeueRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(&Requeues) < REQUEUES)
    {
        KT_CHECK(KeInsertQueueDpc(Dpc, NULL, NULL), "it was still queued while it ran");
    }
}

/* Dequeued before it runs, so its own routine may queue it again. */
static VOID RequeuesItself(VOID)
{
    KDPC Dpc;

    Requeues = 0;
    KeInitializeDpc(&Dpc, RequeueRoutine, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KT_CHECK(Requeues == REQUEUES, "%d runs", Requeues);
}

/* ------------------------------------------------------------------ No request is lost (L32;
 * regressions R-c, R-d). */

static VOID CountRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement((volatile LONG *)Context);
}

/* The next insertion follows as soon as the last one ran: right where the target drains, looks
 * again, and goes back to what it was doing. */
static VOID HandOver(ULONG Processor, KDPC_IMPORTANCE Importance)
{
    volatile LONG Runs = 0;
    PROCESSOR_NUMBER Number;
    KDPC Dpc;

    KeInitializeDpc(&Dpc, CountRoutine, (PVOID)&Runs);
    KeSetImportanceDpc(&Dpc, Importance);
    KeGetProcessorNumberFromIndex(Processor, &Number);
    KeSetTargetProcessorDpcEx(&Dpc, &Number);
    for (LONG Count = 1; Count <= HAND_OVERS; Count++)
    {
        KT_CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL), "insertion %d: still queued", Count);
        if (!KtWaitFor(&Runs, Count, RUN_LIMIT))
        {
            KtFail(__FILE__, __LINE__, "lost", "insertion %d on CPU %u never ran", Count,
                   Processor);
            KeRemoveQueueDpc(&Dpc);
            return;
        }
    }
}

static VOID NoneLostOnIdle(VOID)
{
    HandOver(1, LowImportance);
    HandOver(KtProcessors() - 1, HighImportance);
}

typedef struct _BUSY
{
    volatile LONG Started;
    volatile LONG Stop;
} BUSY;

/* At PASSIVE_LEVEL with its tick stopped, so that only a request's own interrupt can drain. */
static VOID BusyWithoutTick(PVOID Context, ULONG Processor)
{
    BUSY *Busy = Context;

    UNREFERENCED_PARAMETER(Processor);
    _disable();
    HalpStopClock();
    KiGetCurrentPrcb()->ClockArmed = 0; /* and nobody arms it */
    _enable();
    WriteRelease(&Busy->Started, TRUE);
    while (!ReadAcquire(&Busy->Stop))
    {
        YieldProcessor();
    }
    _disable();
    KiGetCurrentPrcb()->ClockArmed = MAXULONG64;
    KiArmClock(KiGetCurrentPrcb());
    _enable();
}

static VOID NoneLostOnBusy(VOID)
{
    BUSY Busy = {0};
    KT_JOB Job;

    KtStart(&Job, 1, BusyWithoutTick, &Busy);
    KtWaitFor(&Busy.Started, TRUE, RUN_LIMIT);
    HandOver(1, HighImportance);
    HandOver(1, MediumHighImportance);
    WriteRelease(&Busy.Stop, TRUE);
    KtJoin(&Job);
}

/* Medium for a busy processor asks for nothing: the tick brings it. */
static VOID BusyWithTick(PVOID Context, ULONG Processor)
{
    BUSY *Busy = Context;

    UNREFERENCED_PARAMETER(Processor);
    WriteRelease(&Busy->Started, TRUE);
    while (!ReadAcquire(&Busy->Stop))
    {
        YieldProcessor();
    }
}

static VOID MediumByTheTick(VOID)
{
    volatile LONG Runs = 0;
    BUSY Busy = {0};
    KT_JOB Job;
    KDPC Dpc;

    KeInitializeDpc(&Dpc, CountRoutine, (PVOID)&Runs);
    KeSetTargetProcessorDpc(&Dpc, 1);
    KtStart(&Job, 1, BusyWithTick, &Busy);
    KtWaitFor(&Busy.Started, TRUE, RUN_LIMIT);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Runs, 1, RUN_LIMIT), "no tick brought it");
    WriteRelease(&Busy.Stop, TRUE);
    KtJoin(&Job);
}

/* ------------------------------------------------------------------ Flush (L29; R-e). */

#define FLUSH_STALL_US 20000

typedef struct _SLOW
{
    KDPC Dpc;
    volatile LONG Entered;
    volatile LONG Done;
} SLOW;

static VOID SlowRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    SLOW *Slow = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Slow->Entered);
    KeStallExecutionProcessor(FLUSH_STALL_US);
    InterlockedIncrement(&Slow->Done);
}

static VOID FlushWaits(VOID)
{
    static SLOW Slow[MAXIMUM_PROCESSORS];
    ULONG Others = KtProcessors() < 8 ? KtProcessors() : 8;

    RtlZeroMemory(Slow, sizeof(Slow));
    for (ULONG Index = 1; Index < Others; Index++)
    {
        KeInitializeDpc(&Slow[Index].Dpc, SlowRoutine, &Slow[Index]);
        KeSetImportanceDpc(&Slow[Index].Dpc, HighImportance);
        KeSetTargetProcessorDpc(&Slow[Index].Dpc, (CHAR)Index);
        KeInsertQueueDpc(&Slow[Index].Dpc, NULL, NULL);
    }
    /* One of them is out of its queue and running: a look at the queues would miss it. */
    KT_CHECK(KtWaitFor(&Slow[1].Entered, 1, RUN_LIMIT), "it never started");
    KeFlushQueuedDpcs();
    for (ULONG Index = 1; Index < Others; Index++)
    {
        KT_CHECK(Slow[Index].Done == 1, "the flush returned before the DPC of CPU %u", Index);
    }
}

static const KT_CASE Cases[] = {
    {"dpc-L25-requeues-itself", RequeuesItself, 0, FALSE},
    {"dpc-L21-conservation", Conservation, 0, FALSE},
    {"dpc-L32-none-lost-on-idle", NoneLostOnIdle, 2, FALSE},
    {"dpc-L32-none-lost-on-busy", NoneLostOnBusy, 2, FALSE},
    {"dpc-L32-medium-by-the-tick", MediumByTheTick, 2, FALSE},
    {"dpc-L29-flush-waits", FlushWaits, 2, FALSE},
};

KT_DEFINE_SUITE(KtDpcStormSuite, "ke", Cases);
