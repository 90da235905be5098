/* SPDX-License-Identifier: MIT */
/*
 * schedidle.c - no processor idles while a thread that may run there is ready. Law L73; regression
 * R-i.
 *
 * The director keeps processor 0, hogs keep the others, and one of them is let go at the worst
 * moment: the worse thread in question must then be found, by the processor itself or by who made
 * the thread ready. Where it is not, it would have to wait until the hogs end, which they do not
 * before the test has given up.
 */
#include <switch.h>

#include "schedkit.h"

#define HOG_PRIORITY 12
#define WORSE_PRIORITY 8

static HOG Hogs[2 * MAXIMUM_PROCESSORS];

/* ------------------------------------------------------------------ All work. */

#define SETTLED_FOR KT_MILLISECONDS(40)
#define LOOK_EVERY KT_MILLISECONDS(5)

static BOOLEAN RunsHog(PKPRCB Prcb)
{
    PUCHAR Thread = (PUCHAR) * (PKTHREAD volatile *)&Prcb->CurrentThread;

    return Thread >= (PUCHAR)Hogs && Thread < (PUCHAR)(Hogs + RTL_NUMBER_OF(Hogs));
}

/* Each processor runs a hog, or the director's. */
static BOOLEAN AllWork(VOID)
{
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        if (!RunsHog(KiProcessorBlock[Index]))
        {
            return FALSE;
        }
    }
    return TRUE;
}

static ULONG64 CountHalts(VOID)
{
    ULONG64 Halts = 0;

    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        Halts += *(volatile ULONG64 *)&KiProcessorBlock[Index]->IdleHalts;
    }
    return Halts;
}

/* Twice as many threads as processors, none of which ever waits. */
static VOID AllProcessorsWork(VOID)
{
    KPRIORITY Old = SchedSetPriority(DIRECTOR_PRIORITY);
    ULONG64 End = KtNow() + SCHED_LIMIT, Settled, Halts;
    ULONG Count = 2 * KtProcessors();

    for (ULONG Index = 0; Index < Count; Index++)
    {
        HogStart(&Hogs[Index], WORSE_PRIORITY, KT_ANYWHERE);
    }
    while (!AllWork() && KtNow() < End)
    {
        KtSleep(LOOK_EVERY);
    }
    KT_CHECK(AllWork(), "a processor has no thread");
    KtSleep(LOOK_EVERY);
    Halts = CountHalts();
    for (Settled = KtNow(); KtNow() - Settled < SETTLED_FOR;)
    {
        KtSleep(LOOK_EVERY);
    }
    Halts = CountHalts() - Halts;
    KT_CHECK(Halts == 0, "%llu halts while threads were ready", Halts);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        HogStop(&Hogs[Index]);
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        HogJoin(&Hogs[Index]);
    }
    SchedSetPriority(Old);
}

/* ------------------------------------------------------------------ Every other processor busy. */

static VOID StartHogs(VOID)
{
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        HogStart(&Hogs[Index], HOG_PRIORITY, Index);
    }
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        HogAwait(&Hogs[Index]);
    }
}

static VOID JoinHogs(VOID)
{
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        HogStop(&Hogs[Index]);
    }
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        HogJoin(&Hogs[Index]);
    }
}

/* A thread waits in the queue of a busy processor, and another becomes idle. */
static VOID IdleTakesFromOthers(VOID)
{
    static HOG Worse;
    KPRIORITY Old = SchedSetPriority(DIRECTOR_PRIORITY);

    for (ULONG Round = 0; Round < 3 && !KtHasFailed(); Round++)
    {
        ULONG Free = 1 + Round % (KtProcessors() - 1);

        StartHogs();
        HogStart(&Worse, WORSE_PRIORITY, KT_ANYWHERE);
        if (SchedAwaitReady(&Worse.Thread))
        {
            KT_CHECK(!Worse.Started, "a worse thread runs");
            HogStop(&Hogs[Free]);
            HogAwait(&Worse);
        }
        HogStop(&Worse);
        JoinHogs();
        HogJoin(&Worse);
    }
    SchedSetPriority(Old);
}

/* ------------------------------------------------------------------ Made ready while all are busy,
 * and then one is not. */

#define RACES 40
#define LONGEST_WORK_US 64

typedef struct _SEASONAL
{
    KT_THREAD Thread;
    KEVENT Work;
    volatile LONG Busy;  /* itself; 0 while it waits, or is about to */
    volatile LONG Turns; /* itself */
    ULONG64 Ticks;       /* itself: its processor's clock interrupts when it was about to wait */
} SEASONAL, *PSEASONAL;

typedef struct _WANTED
{
    KT_THREAD Thread;
    KEVENT Wake;
    volatile LONG Woken; /* itself, and the rest: when it last was, where, and at which tick */
    ULONG Processor;
    ULONG64 Ticks;
} WANTED, *PWANTED;

static SEASONAL Seasonals[MAXIMUM_PROCESSORS];
static WANTED Wanted;
static volatile LONG Release; /* round * MAXIMUM_PROCESSORS + who is to wait: the director */
static volatile LONG Over;

/* Busy until it is named, and a little longer; then it waits until it is told to be busy. */
static VOID SeasonalMain(PVOID Context)
{
    PSEASONAL This = Context;
    LONG Own = (LONG)(This - Seasonals);
    LONG Last = 0;
    KT_RANDOM Random;

    KtSeed(&Random, (ULONG64)Own);
    while (!ReadAcquire(&Over))
    {
        LONG Named = ReadAcquire(&Release);

        WriteRelease(&This->Busy, TRUE);
        if (Named != Last && Named % MAXIMUM_PROCESSORS == Own)
        {
            Last = Named;
            KeStallExecutionProcessor((ULONG)(KtRandom(&Random) >> 32) % LONGEST_WORK_US);
            WriteRelease(&This->Busy, FALSE);
            This->Ticks = KiProcessorBlock[Own]->ClockInterrupts;
            KtWait(&This->Work);
        }
        This->Turns++;
        YieldProcessor();
    }
}

static VOID WantedMain(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (;;)
    {
        KtWait(&Wanted.Wake);
        if (ReadAcquire(&Over))
        {
            return;
        }
        Wanted.Processor = KeGetCurrentProcessorIndex();
        Wanted.Ticks = KiProcessorBlock[Wanted.Processor]->ClockInterrupts;
        InterlockedIncrement(&Wanted.Woken);
    }
}

static VOID StartSeasonals(VOID)
{
    Release = Over = Wanted.Woken = 0;
    KeInitializeEvent(&Wanted.Wake, SynchronizationEvent, FALSE);
    KtCreateThread(&Wanted.Thread, WantedMain, NULL, WORSE_PRIORITY, KT_ANYWHERE);
    SchedAwaitBlocked(&Wanted.Thread);
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        Seasonals[Index].Busy = FALSE;
        KeInitializeEvent(&Seasonals[Index].Work, SynchronizationEvent, FALSE);
        KtCreateThread(&Seasonals[Index].Thread, SeasonalMain, &Seasonals[Index], HOG_PRIORITY,
                       Index);
    }
}

static VOID JoinSeasonals(VOID)
{
    WriteRelease(&Over, TRUE);
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KeSetEvent(&Seasonals[Index].Work, IO_NO_INCREMENT, FALSE);
    }
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KtJoinThread(&Seasonals[Index].Thread);
    }
    KeSetEvent(&Wanted.Wake, IO_NO_INCREMENT, FALSE);
    KtJoinThread(&Wanted.Thread);
}

/* A busy host lets only some processors run at a time: returns while that one does. */
static VOID AwaitTurns(PSEASONAL Seasonal)
{
    LONG Turns = ReadAcquire(&Seasonal->Turns);

    KtWaitFor(&Seasonal->Turns, Turns + 2, SCHED_LIMIT);
}

/* The thread ran last where somebody is busy again, so it is queued there. TRUE if it runs before
 * the processor that becomes idle has another clock interrupt, which would have it look around. */
static BOOLEAN Race(LONG Round)
{
    LONG Free = 1 + Round % ((LONG)KtProcessors() - 1);
    BOOLEAN InTime = TRUE, AtOnce;

    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        InTime &= KtWaitFor(&Seasonals[Index].Busy, TRUE, SCHED_LIMIT);
    }
    KT_CHECK(InTime, "somebody is not busy");
    AwaitTurns(&Seasonals[Free]);
    WriteRelease(&Release, (Round + 1) * MAXIMUM_PROCESSORS + Free);
    KeSetEvent(&Wanted.Wake, IO_NO_INCREMENT, FALSE);
    InTime = KtWaitFor(&Wanted.Woken, Round + 1, SCHED_LIMIT);
    KT_CHECK(InTime, "round %d: ready on CPU %u while CPU %d idles, or state %d", Round,
             Wanted.Thread.Thread.Processor, Free, Wanted.Thread.Thread.State);
    AtOnce = Wanted.Processor == (ULONG)Free && Wanted.Ticks == Seasonals[Free].Ticks;
    SchedAwaitBlocked(&Wanted.Thread);
    SchedAwaitBlocked(&Seasonals[Free].Thread);
    KeSetEvent(&Seasonals[Free].Work, IO_NO_INCREMENT, FALSE);
    return AtOnce;
}

static VOID WokenWhileOneBecomesIdle(VOID)
{
    KPRIORITY Old = SchedSetPriority(DIRECTOR_PRIORITY);
    ULONG AtOnce = 0;

    StartSeasonals();
    for (LONG Round = 0; Round < RACES && !KtHasFailed(); Round++)
    {
        AtOnce += Race(Round);
    }
    KtNote("%u of %u at once", AtOnce, RACES);
    KT_CHECK(AtOnce >= RACES / 4, "%u times of %u it took no clock interrupt", AtOnce, RACES);
    JoinSeasonals();
    SchedSetPriority(Old);
}

/* ------------------------------------------------------------------ Idle again: a processor that
 * took its last thread from another's queue is found idle afterwards, and not by its own next tick.
 * */

#define AGAIN_ROUNDS 12
#define HOME 2 /* where the two threads have run before; 1 is the processor that becomes idle */

typedef struct _GUEST
{
    KT_THREAD Thread;
    KEVENT Wake;
    volatile LONG Woken;
    ULONG64 Ticks; /* its processor's clock interrupts then */
} GUEST, *PGUEST;

static GUEST Guests[2];

static VOID GuestMain(PVOID Context)
{
    PGUEST This = Context;

    KeSetSystemAffinityThread((KAFFINITY)1 << HOME);
    KeRevertToUserAffinityThread();
    KtWait(&This->Wake);
    This->Ticks = KiProcessorBlock[KeGetCurrentProcessorIndex()]->ClockInterrupts;
    WriteRelease(&This->Woken, TRUE);
}

static VOID StartGuests(VOID)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Guests); Index++)
    {
        PGUEST Guest = &Guests[Index];

        Guest->Woken = FALSE;
        KeInitializeEvent(&Guest->Wake, SynchronizationEvent, FALSE);
        KtCreateThread(&Guest->Thread, GuestMain, Guest, WORSE_PRIORITY, KT_ANYWHERE);
        SchedAwaitBlocked(&Guest->Thread);
    }
}

static BOOLEAN CountsAsIdle(ULONG Processor)
{
    return (ReadNoFence64(&KiIdleMask[0]) >> Processor & 1) != 0;
}

/* TRUE if the processor counts as idle before its next clock interrupt after so many. */
static BOOLEAN IdleAtOnce(ULONG Processor, ULONG64 Before)
{
    volatile ULONG64 *Ticks = &KiProcessorBlock[Processor]->ClockInterrupts;
    ULONG64 End = KtNow() + SCHED_LIMIT;

    while (!CountsAsIdle(Processor) && KtNow() < End)
    {
        YieldProcessor();
    }
    KT_CHECK(CountsAsIdle(Processor), "CPU %u idles unseen", Processor);
    return *Ticks == Before;
}

static BOOLEAN IdleAgain(VOID)
{
    BOOLEAN AtOnce, Found;

    StartGuests();
    StartHogs();
    KeSetEvent(&Guests[0].Wake, IO_NO_INCREMENT, FALSE);
    HogStop(&Hogs[1]);
    Found = KtWaitFor(&Guests[0].Thread.Reaped, TRUE, SCHED_LIMIT);
    KT_CHECK(Found, "nobody takes it: state %d", Guests[0].Thread.Thread.State);
    AtOnce = IdleAtOnce(1, Guests[0].Ticks);
    KeSetEvent(&Guests[1].Wake, IO_NO_INCREMENT, FALSE);
    Found = KtWaitFor(&Guests[1].Woken, TRUE, SCHED_LIMIT);
    KT_CHECK(Found, "nobody finds CPU 1: state %d", Guests[1].Thread.Thread.State);
    JoinHogs();
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Guests); Index++)
    {
        KtJoinThread(&Guests[Index].Thread);
    }
    return AtOnce;
}

static VOID IdleAgainIsFound(VOID)
{
    KPRIORITY Old = SchedSetPriority(DIRECTOR_PRIORITY);
    ULONG AtOnce = 0;

    for (ULONG Round = 0; Round < AGAIN_ROUNDS && !KtHasFailed(); Round++)
    {
        AtOnce += IdleAgain();
    }
    KtNote("%u of %u at once", AtOnce, AGAIN_ROUNDS);
    KT_CHECK(AtOnce >= AGAIN_ROUNDS / 3, "%u times of %u it took no clock interrupt", AtOnce,
             AGAIN_ROUNDS);
    SchedSetPriority(Old);
}

/* ------------------------------------------------------------------ Two for one idle processor:
 * the one that gets it is bound to it, the other is not and must not be left behind. */

#define BOUND_TO 1
#define ALSO_FREE 2

typedef struct _PAIR
{
    KEVENT Free;  /* the wake-up of the one that may run on either */
    KEVENT Bound; /* of the better one that may run on the first only */
    volatile LONG FreeRan, BoundRan;
    volatile LONG Stop;
    KDPC Dpc;
} PAIR, *PPAIR;

static PAIR Pair;
static KT_THREAD FreeThread, BoundThread;

static VOID FreeMain(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeSetSystemAffinityThread((KAFFINITY)1 << BOUND_TO);
    KeSetSystemAffinityThread((KAFFINITY)1 << BOUND_TO | (KAFFINITY)1 << ALSO_FREE);
    KtWait(&Pair.Free);
    WriteRelease(&Pair.FreeRan, TRUE);
}

static VOID BoundMain(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtWait(&Pair.Bound);
    WriteRelease(&Pair.BoundRan, TRUE);
    while (!ReadAcquire(&Pair.Stop))
    {
        YieldProcessor();
    }
}

/* On the idle processor's idle thread: it can switch only when both are ready. */
static VOID WakeBoth(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&Pair.Free, IO_NO_INCREMENT, FALSE);
    KeSetEvent(&Pair.Bound, IO_NO_INCREMENT, FALSE);
}

static VOID NobodyIsLeftBehind(VOID)
{
    KPRIORITY Old = SchedSetPriority(DIRECTOR_PRIORITY);
    PROCESSOR_NUMBER Number;

    RtlZeroMemory(&Pair, sizeof(Pair));
    KeInitializeEvent(&Pair.Free, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Pair.Bound, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Pair.Dpc, WakeBoth, NULL);
    KeGetProcessorNumberFromIndex(BOUND_TO, &Number);
    KeSetTargetProcessorDpcEx(&Pair.Dpc, &Number);
    KtCreateThread(&FreeThread, FreeMain, NULL, WORSE_PRIORITY, BOUND_TO);
    KtCreateThread(&BoundThread, BoundMain, NULL, HOG_PRIORITY, BOUND_TO);
    SchedAwaitBlocked(&FreeThread);
    SchedAwaitBlocked(&BoundThread);

    KeInsertQueueDpc(&Pair.Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Pair.BoundRan, TRUE, SCHED_LIMIT), "the better one has not run");
    KT_CHECK(KtWaitFor(&Pair.FreeRan, TRUE, SCHED_LIMIT), "state %d on CPU %u while CPU %u idles",
             FreeThread.Thread.State, FreeThread.Thread.Processor, ALSO_FREE);
    WriteRelease(&Pair.Stop, TRUE);
    KtJoinThread(&BoundThread);
    KtJoinThread(&FreeThread);
    SchedSetPriority(Old);
}

static const KT_CASE Cases[] = {
    {"sched-L73-all-processors-work", AllProcessorsWork, 0, FALSE},
    {"sched-L73-idle-takes-from-others", IdleTakesFromOthers, 2, FALSE},
    {"sched-L73-woken-while-one-becomes-idle", WokenWhileOneBecomesIdle, 3, FALSE},
    {"sched-L73-idle-again-is-found", IdleAgainIsFound, 3, FALSE},
    {"sched-L73-nobody-is-left-behind", NobodyIsLeftBehind, 3, FALSE},
};

KT_DEFINE_SUITE(KtSchedulerIdleSuite, "ke", Cases);
