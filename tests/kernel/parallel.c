/* SPDX-License-Identifier: MIT */
/*
 * parallel.c - work for other processors, time and chance, for the tests.
 *
 * Each processor's idle thread takes one job at a time (KiPostWork). KtParallel's start is a
 * barrier, so that what follows overlaps from the first instruction.
 */
#include "kt.h"

#define JOIN_LIMIT KT_SECONDS(120)

ULONG KtProcessors(VOID)
{
    return KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
}

ULONG64 KtNow(VOID)
{
    return KeQueryInterruptTime();
}

ULONG64 KtBudget(VOID)
{
    return KT_MILLISECONDS(KiOptions.BudgetMilliseconds);
}

BOOLEAN KtWaitFor(volatile LONG *Value, LONG Wanted, ULONG64 Limit)
{
    ULONG64 End = KtNow() + Limit;

    while (ReadAcquire(Value) < Wanted)
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
        YieldProcessor();
    }
    return TRUE;
}

/* xorshift64* (G. Marsaglia, S. Vigna): the state is never zero. */
VOID KtSeed(PKT_RANDOM Random, ULONG64 Stream)
{
    Random->State = (KiOptions.Seed ^ (Stream * 0x9E3779B97F4A7C15ull)) | 1;
    for (ULONG Warm = 0; Warm < 8; Warm++)
    {
        KtRandom(Random);
    }
}

ULONG64 KtRandom(PKT_RANDOM Random)
{
    Random->State ^= Random->State >> 12;
    Random->State ^= Random->State << 25;
    Random->State ^= Random->State >> 27;
    return Random->State * 0x2545F4914F6CDD1Dull;
}

static VOID KtJobMain(PVOID Context)
{
    PKT_JOB Job = Context;

    Job->Routine(Job->Context, Job->Processor);
}

VOID KtStart(PKT_JOB Job, ULONG Processor, KT_PARALLEL_ROUTINE *Routine, PVOID Context)
{
    Job->Routine = Routine;
    Job->Context = Context;
    Job->Processor = Processor;
    Job->Work.Routine = KtJobMain;
    Job->Work.Context = Job;
    while (!KiPostWork(Processor, &Job->Work))
    {
        YieldProcessor(); /* the last job is being taken */
    }
}

VOID KtJoin(PKT_JOB Job)
{
    if (!KtWaitFor(&Job->Work.Done, TRUE, JOIN_LIMIT))
    {
        KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, JOIN_LIMIT, 0,
                     (ULONG_PTR)KiProcessorBlock[Job->Processor], Job->Processor);
    }
}

VOID KtRunOn(ULONG Processor, KT_PARALLEL_ROUTINE *Routine, PVOID Context)
{
    KT_JOB Job;

    if (Processor == KeGetCurrentProcessorIndex())
    {
        Routine(Context, Processor);
        return;
    }
    KtStart(&Job, Processor, Routine, Context);
    KtJoin(&Job);
}

typedef struct _KT_GANG
{
    KT_PARALLEL_ROUTINE *Routine;
    PVOID Context;
    LONG Count;
    volatile LONG Arrived;
} KT_GANG, *PKT_GANG;

static VOID KtGangMember(PVOID Context, ULONG Processor)
{
    PKT_GANG Gang = Context;

    InterlockedIncrement(&Gang->Arrived);
    while (ReadAcquire(&Gang->Arrived) != Gang->Count)
    {
        YieldProcessor();
    }
    Gang->Routine(Gang->Context, Processor);
}

VOID KtParallel(KT_PARALLEL_ROUTINE *Routine, PVOID Context)
{
    static KT_JOB Jobs[MAXIMUM_PROCESSORS]; /* one case at a time */
    KT_GANG Gang = {Routine, Context, (LONG)KtProcessors(), 0};
    ULONG Self = KeGetCurrentProcessorIndex();

    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        if (Index != Self)
        {
            KtStart(&Jobs[Index], Index, KtGangMember, &Gang);
        }
    }
    KtGangMember(&Gang, Self);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        if (Index != Self)
        {
            KtJoin(&Jobs[Index]);
        }
    }
}

#if DBG
VOID KtExpectBugCheck(ULONG Code, ULONG_PTR Parameter1, VOID (*Routine)(PVOID Context),
                      PVOID Context)
{
    KI_LANDING_PAD Pad;
    ULONG Found = KiExpectBugCheck(&Pad, Routine, Context);

    KT_CHECK(Found == Code, "expected bug check 0x%X, got 0x%X (0 is none)", Code, Found);
    if (Found == Code && Parameter1 != KT_ANY)
    {
        KT_CHECK(Pad.Parameters[0] == Parameter1, "expected parameter 1 0x%llX, got 0x%llX",
                 Parameter1, Pad.Parameters[0]);
    }
}
#endif
