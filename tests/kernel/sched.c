/* SPDX-License-Identifier: MIT */
/*
 * sched.c - each processor runs the best of its own queue, and a better thread gets it at once,
 * here and elsewhere. Law L73.
 *
 * "At once" is tested by order, not by time: a thread that is better has run before the call that
 * made it ready returns, or before the IRQL's lowering returns on the processor it is bound to.
 * Where a processor is preempted while its thread computes, that thread's place in the queue tells:
 * preempted it waits at the front, at the end of its quantum at the tail.
 */
#include "schedkit.h"

#define ROUNDS 24

/* ------------------------------------------------------------------ A thread that is woken, and
 * counts how often. */

typedef struct _SLEEPER
{
    KT_THREAD Thread;
    KEVENT Wake;
    volatile LONG Woken; /* itself */
    volatile LONG Stop;
} SLEEPER, *PSLEEPER;

static SLEEPER Sleeper;

static VOID SleeperMain(PVOID Context)
{
    PSLEEPER This = Context;

    for (;;)
    {
        KtWait(&This->Wake);
        if (ReadAcquire(&This->Stop))
        {
            return;
        }
        InterlockedIncrement(&This->Woken);
    }
}

static VOID StartSleeper(PSLEEPER This, KPRIORITY Priority, ULONG Processor)
{
    KeInitializeEvent(&This->Wake, SynchronizationEvent, FALSE);
    This->Woken = This->Stop = 0;
    KtCreateThread(&This->Thread, SleeperMain, This, Priority, Processor);
    SchedAwaitBlocked(&This->Thread);
}

static VOID JoinSleeper(PSLEEPER This)
{
    WriteRelease(&This->Stop, TRUE);
    KeSetEvent(&This->Wake, IO_NO_INCREMENT, FALSE);
    KtJoinThread(&This->Thread);
}

/* ------------------------------------------------------------------ The best first. */

#define QUEUED 12

typedef struct _TURN
{
    KT_THREAD Thread;
    ULONG Number;
} TURN, *PTURN;

static TURN Turns[QUEUED];
static volatile LONG Came; /* they, one after another, on one processor */
static ULONG Order[QUEUED];

static VOID TakeTurn(PVOID Context)
{
    Order[InterlockedIncrement(&Came) - 1] = ((PTURN)Context)->Number;
}

/* Started while a better thread has the processor; priorities 12 9 15, each four times. */
static VOID BestOfItsQueue(VOID)
{
    static const KPRIORITY Priorities[] = {12, 9, 15};
    KPRIORITY Old = SchedSetPriority(DIRECTOR_PRIORITY);
    ULONG Expected = 0;

    Came = 0;
    for (ULONG Number = 0; Number < QUEUED; Number++)
    {
        Turns[Number].Number = Number;
        KtCreateThread(&Turns[Number].Thread, TakeTurn, &Turns[Number], Priorities[Number % 3], 0);
    }
    KT_CHECK(Came == 0, "%d threads ran before a better one", Came);
    for (ULONG Number = 0; Number < QUEUED; Number++)
    {
        KtJoinThread(&Turns[Number].Thread);
    }
    for (ULONG First = 2; Expected < QUEUED; First = (First + 1) % 3)
    {
        for (ULONG Number = First; Number < QUEUED; Number += 3, Expected++)
        {
            KT_CHECK(Order[Expected] == Number, "place %u: thread %u, not %u", Expected,
                     Order[Expected], Number);
        }
    }
    SchedSetPriority(Old);
}

/* ------------------------------------------------------------------ Preemption. */

static VOID BetterPreemptsHere(VOID)
{
    KPRIORITY Old = SchedSetPriority(8);
    KIRQL OldIrql;

    StartSleeper(&Sleeper, 10, KeGetCurrentProcessorIndex());
    for (LONG Round = 0; Round < ROUNDS && !KtHasFailed(); Round += 2)
    {
        KeSetEvent(&Sleeper.Wake, IO_NO_INCREMENT, FALSE);
        KT_CHECK(Sleeper.Woken == Round + 1, "woken %d times, not %d", Sleeper.Woken, Round + 1);

        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        KeSetEvent(&Sleeper.Wake, IO_NO_INCREMENT, FALSE);
        KT_CHECK(Sleeper.Woken == Round + 1, "preempted at DISPATCH_LEVEL");
        KeLowerIrql(OldIrql);
        KT_CHECK(Sleeper.Woken == Round + 2, "woken %d times, not %d", Sleeper.Woken, Round + 2);
    }
    JoinSleeper(&Sleeper);
    SchedSetPriority(Old);
}

static VOID ChangedPriorityPreemptsHere(VOID)
{
    KPRIORITY Old = SchedSetPriority(8);

    for (LONG Round = 0; Round < ROUNDS / 2 && !KtHasFailed(); Round++)
    {
        StartSleeper(&Sleeper, 4, KeGetCurrentProcessorIndex());
        KeSetEvent(&Sleeper.Wake, IO_NO_INCREMENT, FALSE);
        KT_CHECK(Sleeper.Woken == 0, "a worse thread preempted a better one");
        if (Round % 2 == 0)
        {
            KeSetPriorityThread(&Sleeper.Thread.Thread, 12);
        }
        else
        {
            SchedSetPriority(2);
        }
        KT_CHECK(Sleeper.Woken == 1, "it has not run after %s priority changed",
                 Round % 2 == 0 ? "its" : "my");
        SchedSetPriority(8);
        JoinSleeper(&Sleeper);
    }
    SchedSetPriority(Old);
}

/* On the last processor: Phase goes from 0 to 1 raised, to 2 when the director has woken somebody,
 * to 3 after
 * lowering, to 4 when he goes on. */
typedef struct _RAISED
{
    KT_THREAD Thread;
    volatile LONG Phase;
    volatile LONG Seen; /* Woken right after the lowering */
} RAISED, *PRAISED;

static RAISED Raised;

static VOID RaiseAndLower(PVOID Context)
{
    PRAISED This = Context;
    KIRQL OldIrql;

    for (LONG Round = 0; Round < ROUNDS; Round++)
    {
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        WriteRelease(&This->Phase, Round * 4 + 1);
        KtWaitFor(&This->Phase, Round * 4 + 2, SCHED_LIMIT);
        KeLowerIrql(OldIrql);
        This->Seen = ReadAcquire(&Sleeper.Woken);
        WriteRelease(&This->Phase, Round * 4 + 3);
        KtWaitFor(&This->Phase, Round * 4 + 4, SCHED_LIMIT);
    }
}

/* Due.Schedule is what the lowering looks at; who made the thread ready has set it. */
static VOID BetterPreemptsThereWhenLowered(VOID)
{
    ULONG Processor = KtProcessors() - 1;

    Raised.Phase = 0;
    StartSleeper(&Sleeper, 12, Processor);
    KtCreateThread(&Raised.Thread, RaiseAndLower, &Raised, 8, Processor);
    for (LONG Round = 0; Round < ROUNDS; Round++)
    {
        KtWaitFor(&Raised.Phase, Round * 4 + 1, SCHED_LIMIT);
        KeSetEvent(&Sleeper.Wake, IO_NO_INCREMENT, FALSE);
        KT_CHECK(ReadAcquire(&Sleeper.Woken) <= Round, "preempted at DISPATCH_LEVEL");
        WriteRelease(&Raised.Phase, Round * 4 + 2);
        KtWaitFor(&Raised.Phase, Round * 4 + 3, SCHED_LIMIT);
        KT_CHECK(Raised.Seen == Round + 1, "round %d: woken %d times after the lowering", Round,
                 Raised.Seen);
        SchedAwaitBlocked(&Sleeper.Thread);
        WriteRelease(&Raised.Phase, Round * 4 + 4);
    }
    KtJoinThread(&Raised.Thread);
    JoinSleeper(&Sleeper);
}

/* The better thread looks at the one it finds ready on its processor. */
typedef struct _INTRUDER
{
    SLEEPER Sleeper;
    PHOG Hog;
    volatile LONG Preempted;
} INTRUDER, *PINTRUDER;

static INTRUDER Intruder;
static HOG Victim;

static VOID Intrude(PVOID Context)
{
    PINTRUDER This = Context;

    for (LONG Round = 0; Round < ROUNDS; Round++)
    {
        KtWait(&This->Sleeper.Wake);
        This->Preempted += This->Hog->Thread.Thread.AtFront;
        InterlockedIncrement(&This->Sleeper.Woken);
    }
}

static VOID BetterPreemptsThere(VOID)
{
    ULONG Processor = KtProcessors() - 1;

    KeInitializeEvent(&Intruder.Sleeper.Wake, SynchronizationEvent, FALSE);
    Intruder.Sleeper.Woken = Intruder.Preempted = 0;
    Intruder.Hog = &Victim;
    KtCreateThread(&Intruder.Sleeper.Thread, Intrude, &Intruder, 12, Processor);
    SchedAwaitBlocked(&Intruder.Sleeper.Thread);
    HogStart(&Victim, 8, Processor);
    HogAwait(&Victim);
    for (LONG Round = 0; Round < ROUNDS; Round++)
    {
        KeSetEvent(&Intruder.Sleeper.Wake, IO_NO_INCREMENT, FALSE);
        KT_CHECK(KtWaitFor(&Intruder.Sleeper.Woken, Round + 1, SCHED_LIMIT), "not woken");
        if (Round + 1 < ROUNDS)
        {
            SchedAwaitBlocked(&Intruder.Sleeper.Thread);
        }
    }
    KT_CHECK(Intruder.Preempted > 0,
             "in %d rounds the thread always lost its processor by the "
             "end of its quantum",
             ROUNDS);
    KtNote("%d of %d found the other preempted", Intruder.Preempted, ROUNDS);
    HogJoin(&Victim);
    KtJoinThread(&Intruder.Sleeper.Thread);
}

static const KT_CASE Cases[] = {
    {"sched-L73-best-of-its-queue", BestOfItsQueue, 0, FALSE},
    {"sched-L73-preempts-here", BetterPreemptsHere, 0, FALSE},
    {"sched-L73-changed-priority-preempts", ChangedPriorityPreemptsHere, 0, FALSE},
    {"sched-L73-preempts-there-when-lowered", BetterPreemptsThereWhenLowered, 2, FALSE},
    {"sched-L73-preempts-there", BetterPreemptsThere, 2, FALSE},
};

KT_DEFINE_SUITE(KtSchedulerSuite, "ke", Cases);
