/* SPDX-License-Identifier: MIT */
/*
 * schedpriority.c - priorities: boosts and how they wear off, what the calls that set priorities
 * return, and that equals take turns. Laws L75, L78.
 */
#include "schedkit.h"

/* ------------------------------------------------------------------ Boosts. */

#define LOOKS 4 /* the end of a quantum may come before the thread has looked at itself */

typedef struct _BOOSTED
{
    KT_THREAD Thread;
    KEVENT Wake;
    KEVENT Done;
    volatile LONG Seen; /* its priority when it was woken */
    volatile LONG Stop;
} BOOSTED, *PBOOSTED;

static BOOSTED Boosted;

static VOID BoostedMain(PVOID Context)
{
    PBOOSTED This = Context;

    while (!ReadAcquire(&This->Stop))
    {
        KtWait(&This->Wake);
        WriteRelease(&This->Seen, KeQueryPriorityThread(KeGetCurrentThread()));
        KeSetEvent(&This->Done, IO_NO_INCREMENT, FALSE);
    }
}

static VOID StartBoosted(KPRIORITY Base)
{
    KeInitializeEvent(&Boosted.Wake, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Boosted.Done, SynchronizationEvent, FALSE);
    Boosted.Stop = Boosted.Seen = 0;
    KtCreateThread(&Boosted.Thread, BoostedMain, &Boosted, Base, KT_ANYWHERE);
    SchedAwaitBlocked(&Boosted.Thread);
}

/* Its priority after it was woken with that increment. */
static LONG WakeBoosted(KPRIORITY Increment)
{
    SchedAwaitBlocked(&Boosted.Thread);
    KeSetEvent(&Boosted.Wake, Increment, FALSE);
    KtWait(&Boosted.Done);
    return Boosted.Seen;
}

static VOID JoinBoosted(VOID)
{
    WriteRelease(&Boosted.Stop, TRUE);
    KeSetEvent(&Boosted.Wake, IO_NO_INCREMENT, FALSE);
    KtJoinThread(&Boosted.Thread);
}

static VOID BoostIsCapped(VOID)
{
    static const struct
    {
        KPRIORITY Base, Increment, Expected;
    } Boosts[] = {
        {8, 0, 8},   {8, 1, 9},   {8, 6, 14}, {8, 7, 15},  {8, 8, 15},  {12, 6, 15}, {14, 1, 15},
        {14, 6, 15}, {15, 8, 15}, {1, 2, 3},  {16, 6, 16}, {20, 1, 20}, {31, 8, 31},
    };

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Boosts); Index++)
    {
        LONG Highest = 0;

        StartBoosted(Boosts[Index].Base);
        for (ULONG Look = 0; Look < LOOKS && Highest < Boosts[Index].Expected; Look++)
        {
            LONG Seen = WakeBoosted(Boosts[Index].Increment);

            Highest = Seen > Highest ? Seen : Highest;
        }
        KT_CHECK(Highest == Boosts[Index].Expected, "base %d, increment %d: priority %d, not %d",
                 Boosts[Index].Base, Boosts[Index].Increment, Highest, Boosts[Index].Expected);
        KT_CHECK(Boosted.Thread.Thread.BasePriority == Boosts[Index].Base, "base %d became %d",
                 Boosts[Index].Base, Boosted.Thread.Thread.BasePriority);
        JoinBoosted();
    }
}

static VOID BoostsDoNotAddUp(VOID)
{
    StartBoosted(8);
    for (ULONG Wake = 0; Wake < LOOKS; Wake++)
    {
        LONG Seen = WakeBoosted(2);

        KT_CHECK(Seen >= 8 && Seen <= 10, "priority %d", Seen);
    }
    JoinBoosted();
}

/* ------------------------------------------------------------------ And how they wear off. */

#define DECAY_BASE 6
#define DECAY_BOOST 6

typedef struct _DECAY
{
    KT_THREAD Thread;
    KEVENT Wake;
    ULONG Levels; /* seen, the first included  */
    LONG Level[DECAY_BOOST + 2];
    ULONG64 Ticks[DECAY_BOOST + 2]; /* clock interrupts of its processor by then */
    BOOLEAN InTime;
} DECAY;

static DECAY Decay;

/* What it sees of itself while it computes. */
static VOID DecayMain(PVOID Context)
{
    PKTHREAD Thread = KeGetCurrentThread();
    LONG Last = MAXIMUM_PRIORITY;
    ULONG64 End;

    UNREFERENCED_PARAMETER(Context);
    KtWait(&Decay.Wake);
    for (End = KtNow() + SCHED_LIMIT; Last > DECAY_BASE && KtNow() < End;)
    {
        ULONG64 Ticks = *(volatile ULONG64 *)&KiGetCurrentPrcb()->ClockInterrupts;
        LONG Now = *(volatile SCHAR *)&Thread->Priority;

        if (Now != Last && Decay.Levels < RTL_NUMBER_OF(Decay.Level))
        {
            Decay.Level[Decay.Levels] = Now;
            Decay.Ticks[Decay.Levels++] = Ticks;
        }
        Last = Now;
    }
    Decay.InTime = Last == DECAY_BASE;
}

/* Quanta of KI_QUANTUM ticks; the ticks that are seen may begin within one. */
static VOID BoostWearsOff(VOID)
{
    ULONG Processor = KtProcessors() - 1;

    Decay.Levels = 0;
    KeInitializeEvent(&Decay.Wake, SynchronizationEvent, FALSE);
    KtCreateThread(&Decay.Thread, DecayMain, NULL, DECAY_BASE, Processor);
    SchedAwaitBlocked(&Decay.Thread);
    KeSetEvent(&Decay.Wake, DECAY_BOOST, FALSE);
    KtJoinThread(&Decay.Thread);
    KT_CHECK(Decay.InTime, "the boost is still there");
    KT_CHECK(Decay.Levels > 1, "%u levels were seen", Decay.Levels);
    for (ULONG Index = 1; Index < Decay.Levels; Index++)
    {
        LONG Steps = Decay.Level[Index - 1] - Decay.Level[Index];
        LONG64 Ticks = (LONG64)(Decay.Ticks[Index] - Decay.Ticks[0]);
        LONG64 Quanta = Decay.Level[0] - Decay.Level[Index];

        KT_CHECK(Steps > 0, "from %d to %d", Decay.Level[Index - 1], Decay.Level[Index]);
        KT_CHECK(Ticks >= (Quanta - 1) * KI_QUANTUM, "%lld steps in %lld ticks", Quanta, Ticks);
    }
}

/* ------------------------------------------------------------------ Calls that set priorities. */

static VOID SetPriority(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KPRIORITY Before = KeQueryPriorityThread(Thread), Last = Before;

    for (KPRIORITY Priority = 1; Priority <= HIGH_PRIORITY; Priority++)
    {
        KPRIORITY Old = KeSetPriorityThread(Thread, Priority);

        KT_CHECK(Old == Last, "the old priority is %d, not %d", Old, Last);
        KT_CHECK(KeQueryPriorityThread(Thread) == Priority, "priority %d, not %d",
                 KeQueryPriorityThread(Thread), Priority);
        KT_CHECK(Thread->BasePriority == Priority, "base %d", Thread->BasePriority);
        KT_CHECK(KiProcessorBlock[0]->Ready.RunningPriority == Priority, "the scheduler sees %d",
                 KiProcessorBlock[0]->Ready.RunningPriority);
        Last = Priority;
    }
    KeSetPriorityThread(Thread, Before);
}

/* The increment is counted from KI_DEFAULT_PRIORITY, whatever the base was. */
static VOID SetBasePriority(VOID)
{
    static const struct
    {
        KPRIORITY From;
        LONG Increment;
        KPRIORITY Expected;
    } Sets[] = {
        {8, 0, 8},    {8, 3, 11},   {8, -3, 5},   {8, 7, 15},    {8, 8, 15},    {8, -7, 1},
        {8, -8, 1},   {8, 16, 15},  {8, -16, 1},  {8, 1000, 15}, {8, -1000, 1}, {12, 1, 9},
        {24, 8, 16},  {24, 10, 18}, {24, 0, 16},  {16, 15, 23},  {24, 16, 31},  {24, -16, 16},
        {24, 99, 31}, {31, -1, 16}, {15, 99, 15}, {16, -99, 16},
    };
    PKTHREAD Thread = KeGetCurrentThread();
    KPRIORITY Before = KeQueryPriorityThread(Thread);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Sets); Index++)
    {
        LONG Old;

        KeSetPriorityThread(Thread, Sets[Index].From);
        Old = KeSetBasePriorityThread(Thread, Sets[Index].Increment);
        KT_CHECK(Old == Sets[Index].From - KI_DEFAULT_PRIORITY, "base %d: the old increment is %d",
                 Sets[Index].From, Old);
        KT_CHECK(Thread->BasePriority == Sets[Index].Expected &&
                     KeQueryPriorityThread(Thread) == Sets[Index].Expected,
                 "base %d, increment %d: base %d, priority %d, not %d", Sets[Index].From,
                 Sets[Index].Increment, Thread->BasePriority, KeQueryPriorityThread(Thread),
                 Sets[Index].Expected);
    }
    KeSetPriorityThread(Thread, Before);
}

/* ------------------------------------------------------------------ Equals take turns. */

#define EQUALS 4
#define STINTS 32 /* that are looked at */

typedef struct _EQUAL
{
    KT_THREAD Thread;
    ULONG Number;
    BOOLEAN Yields;
} EQUAL, *PEQUAL;

static EQUAL Equals[EQUALS];
static ULONG Stint[STINTS];  /* who had the processor, in this order: at DISPATCH_LEVEL on it */
static volatile LONG Stints; /* the same */
static LONG OnProcessor;     /* the same: number + 1 */
static volatile LONG Enough; /* the director has waited long enough */
static volatile LONG Here;   /* how many have begun: locked add */

static VOID EqualMain(PVOID Context)
{
    PEQUAL This = Context;

    /* Two that yield to each other take many turns before a slow director has made the third. */
    InterlockedIncrement(&Here);
    while (ReadAcquire(&Here) < EQUALS && !ReadAcquire(&Enough))
    {
        ZwYieldExecution();
    }
    while (Stints < STINTS && !ReadAcquire(&Enough))
    {
        KIRQL OldIrql;

        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        if (OnProcessor != (LONG)This->Number + 1 && Stints < STINTS)
        {
            OnProcessor = (LONG)This->Number + 1;
            Stint[Stints] = This->Number;
            WriteRelease(&Stints, Stints + 1);
        }
        KeLowerIrql(OldIrql);
        if (This->Yields)
        {
            ZwYieldExecution();
        }
    }
}

static VOID RunEquals(BOOLEAN Yield)
{
    ULONG Processor = KtProcessors() - 1;

    Stints = Enough = Here = 0;
    OnProcessor = 0;
    for (ULONG Number = 0; Number < EQUALS; Number++)
    {
        Equals[Number].Number = Number;
        Equals[Number].Yields = Yield;
        KtCreateThread(&Equals[Number].Thread, EqualMain, &Equals[Number], KI_DEFAULT_PRIORITY,
                       Processor);
    }
    for (ULONG64 End = KtNow() + SCHED_LIMIT; Stints < STINTS && KtNow() < End;)
    {
        KtSleep(KT_MILLISECONDS(2));
    }
    WriteRelease(&Enough, TRUE);
    for (ULONG Number = 0; Number < EQUALS; Number++)
    {
        KtJoinThread(&Equals[Number].Thread);
    }
    KT_CHECK(Stints == STINTS, "%d stints only", Stints);
}

/* Whoever follows had it longest ago, once all have seen that all are there. */
static VOID CheckStints(VOID)
{
    for (LONG Index = 2 * EQUALS; Index < Stints; Index++)
    {
        for (LONG Back = 1; Back < EQUALS; Back++)
        {
            KT_CHECK(Stint[Index] != Stint[Index - Back],
                     "stint %d: thread %u again, %d stints after its last", Index, Stint[Index],
                     Back);
        }
    }
}

static VOID EqualsTakeTurns(VOID)
{
    RunEquals(FALSE);
    CheckStints();
}

static VOID EqualsYield(VOID)
{
    RunEquals(TRUE);
    CheckStints();
}

/* ------------------------------------------------------------------ Giving way. */

static volatile LONG Ran;

static VOID RunOnce(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Ran);
}

/* To an equal and to a better one, not to a worse one, and not where there is nobody. */
static VOID YieldToEquals(VOID)
{
    static KT_THREAD Thread;
    LARGE_INTEGER Zero = {.QuadPart = 0};
    KPRIORITY Old = SchedSetPriority(DIRECTOR_PRIORITY);
    NTSTATUS Status = ZwYieldExecution();

    KT_CHECK(Status == STATUS_NO_YIELD_PERFORMED, "status %x with nobody there", Status);
    for (LONG Round = 0; Round < 2; Round++)
    {
        Ran = 0;
        KtCreateThread(&Thread, RunOnce, NULL, DIRECTOR_PRIORITY, 0);
        KT_CHECK(Ran == 0, "an equal preempted");
        Status = Round == 0 ? ZwYieldExecution() : KeDelayExecutionThread(KernelMode, FALSE, &Zero);
        KT_CHECK(Status == STATUS_SUCCESS, "status %x", Status);
        KT_CHECK(Ran == 1, "the equal has not run");
        KtJoinThread(&Thread);

        Ran = 0;
        KtCreateThread(&Thread, RunOnce, NULL, DIRECTOR_PRIORITY - 1, 0);
        Status = Round == 0 ? ZwYieldExecution() : KeDelayExecutionThread(KernelMode, FALSE, &Zero);
        KT_CHECK(Status == (Round == 0 ? STATUS_NO_YIELD_PERFORMED : STATUS_SUCCESS), "status %x",
                 Status);
        KT_CHECK(Ran == 0, "gave way to a worse one");
        KtJoinThread(&Thread);
    }
    SchedSetPriority(Old);
}

static VOID YieldRaised(PVOID Context)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ZwYieldExecution();
}

static VOID YieldIrql(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(APC_LEVEL, &OldIrql);
    ZwYieldExecution();
    KT_CHECK(KeGetCurrentIrql() == APC_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KeLowerIrql(OldIrql);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, YieldRaised, NULL);
}

static const KT_CASE Cases[] = {
    {"sched-L75-boost-is-capped", BoostIsCapped, 0, FALSE},
    {"sched-L75-boosts-do-not-add-up", BoostsDoNotAddUp, 0, FALSE},
    {"sched-L75-boost-wears-off", BoostWearsOff, 0, FALSE},
    {"sched-L75-set-priority", SetPriority, 0, FALSE},
    {"sched-L75-set-base-priority", SetBasePriority, 0, FALSE},
    {"sched-L78-equals-take-turns", EqualsTakeTurns, 0, FALSE},
    {"sched-L78-equals-yield", EqualsYield, 0, FALSE},
    {"sched-yields-to-equals", YieldToEquals, 0, FALSE},
    {"sched-yield-irql", YieldIrql, 0, TRUE},
};

KT_DEFINE_SUITE(KtSchedulerPrioritySuite, "ke", Cases);
