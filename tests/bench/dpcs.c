/* SPDX-License-Identifier: MIT */
/* dpcs.c - from KeInsertQueueDpc to the routine: here, many at once, on another processor. */
#include "bench.h"

#define MANY 100
#define FLIGHT_LIMIT KT_SECONDS(2)

static KDPC Dpcs[MANY];

/* When the routine ran, and that it did: the routine, read by the one that queued it. */
static volatile ULONG64 RanAt;
static volatile LONG Ran;

static VOID NoteTime(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    RanAt = __rdtsc();
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    WriteRelease(&Ran, TRUE);
}

static VOID DoNothing(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

/* Queued at DISPATCH_LEVEL; the lowering runs it. */
static VOID ScheduledToRunning(VOID)
{
    KeInitializeDpc(&Dpcs[0], NoteTime, NULL);
    KbBegin("dpc-to-running", "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KIRQL OldIrql;
        ULONG64 Start;

        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        Start = __rdtsc();
        KeInsertQueueDpc(&Dpcs[0], NULL, NULL);
        KeLowerIrql(OldIrql);
        KbSample(RanAt - Start - KbEmptyTicks);
    }
    KbEnd();
}

/* Queued at PASSIVE_LEVEL: it has run when KeInsertQueueDpc returns. There and back. */
static VOID AtPassiveLevel(VOID)
{
    KeInitializeDpc(&Dpcs[0], DoNothing, NULL);
    KB_MEASURE("dpc-passive", KeInsertQueueDpc(&Dpcs[0], NULL, NULL));
}

static VOID ManyQueued(VOID)
{
    for (ULONG Index = 0; Index < MANY; Index++)
    {
        KeInitializeDpc(&Dpcs[Index], DoNothing, NULL);
    }
    KbBegin("dpc-each-of-100", "tsc", MANY);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KIRQL OldIrql;

        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        KB_START();
        for (ULONG Index = 0; Index < MANY; Index++)
        {
            KeInsertQueueDpc(&Dpcs[Index], NULL, NULL);
        }
        KeLowerIrql(OldIrql);
        KB_STOP();
    }
    KbEnd();
}

/* From the insertion here until the routine's mark, made there, is seen here. */
static VOID MeasureRemote(PCSTR Name)
{
    KeInitializeDpc(&Dpcs[0], NoteTime, NULL);
    KeSetImportanceDpc(&Dpcs[0], MediumHighImportance);
    KeSetTargetProcessorDpc(&Dpcs[0], 1);
    KbBegin(Name, "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KeStallExecutionProcessor(200); /* time for it to halt, if that is what it does */
        Ran = FALSE;
        {
            KB_START();
            KeInsertQueueDpc(&Dpcs[0], NULL, NULL);
            if (!KtWaitFor(&Ran, TRUE, FLIGHT_LIMIT))
            {
                KiLog(KiLogError, "%s: the DPC did not run", Name);
            }
            KB_STOP();
        }
    }
    KbEnd();
}

static VOID RemoteIdle(VOID)
{
    MeasureRemote("dpc-remote-idle");
}

static volatile LONG StopSpinning;

static VOID Spin(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    while (!ReadAcquire(&StopSpinning))
    {
    }
}

static VOID RemoteBusy(VOID)
{
    KT_JOB Job;

    StopSpinning = FALSE;
    KtStart(&Job, 1, Spin, NULL);
    MeasureRemote("dpc-remote-busy");
    WriteRelease(&StopSpinning, TRUE);
    KtJoin(&Job);
}

static const KB_BENCH Benches[] = {
    {"dpc-to-running", ScheduledToRunning, 1}, {"dpc-passive", AtPassiveLevel, 1},
    {"dpc-each-of-100", ManyQueued, 1},        {"dpc-remote-idle", RemoteIdle, 2},
    {"dpc-remote-busy", RemoteBusy, 2},
};

KB_DEFINE_GROUP(KbDpcGroup, Benches);
