/* SPDX-License-Identifier: MIT */
/*
 * timer.c - timers one at a time: never early, set and cancelled exactly, periods in step, waited
 * for by one or by all, on processors that idle. Laws L58-L63, L65. A loaded host may be as late as
 * it likes: what is checked is order and number, and that it happens at all.
 */
#include <arch/hal.h>
#include <clock.h>
#include <timer.h>

#include "kt.h"

#define LIMIT KT_SECONDS(30)
#define TOLD_LIMIT KT_SECONDS(10) /* the broken twin takes all of it */
#define HOUR KT_SECONDS(3600)

static LARGE_INTEGER After(ULONG64 Units)
{
    return (LARGE_INTEGER){.QuadPart = -(LONGLONG)Units};
}

/* What a timer's DPC has seen: its processor's DPCs, read when they have run. */
typedef struct _PROBE
{
    KTIMER Timer;
    KDPC Dpc;
    ULONG64 NotBefore;
    ULONG Processor; /* where the DPC ran last */
    volatile LONG Runs;
} PROBE, *PPROBE;

static VOID ProbeRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PPROBE Probe = Context;
    ULONG64 Now = KtNow();
    ULONG64 Expired = ((ULONG64)(ULONG_PTR)Argument2 << 32) | (ULONG_PTR)Argument1;
    LARGE_INTEGER System;

    KeQuerySystemTime(&System);
    KT_CHECK(Dpc == &Probe->Dpc, "%p is not %p", Dpc, &Probe->Dpc);
    KT_CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(Now >= Probe->NotBefore, "%llu x 100 ns early", Probe->NotBefore - Now);
    KT_CHECK(Expired <= (ULONG64)System.QuadPart, "expired at %llu, later than %llu", Expired,
             System.QuadPart);
    Probe->Processor = KeGetCurrentProcessorIndex();
    InterlockedIncrement(&Probe->Runs);
}

static VOID InitializeProbe(PPROBE Probe, TIMER_TYPE Type)
{
    RtlZeroMemory(Probe, sizeof(*Probe));
    KeInitializeTimerEx(&Probe->Timer, Type);
    KeInitializeDpc(&Probe->Dpc, ProbeRoutine, Probe);
}

static BOOLEAN SetProbe(PPROBE Probe, ULONG64 Units)
{
    Probe->NotBefore = KtNow() + Units;
    return KeSetTimer(&Probe->Timer, After(Units), &Probe->Dpc);
}

/* ------------------------------------------------------------------ Never early (L58). */

#define CROWD 64

static VOID NeverEarly(VOID)
{
    static PROBE Crowd[CROWD];
    KT_RANDOM Random;

    KtSeed(&Random, 0);
    for (ULONG Index = 0; Index < CROWD; Index++)
    {
        InitializeProbe(&Crowd[Index], NotificationTimer);
        SetProbe(&Crowd[Index], KtRandom(&Random) % KT_MILLISECONDS(50));
    }
    for (ULONG Index = 0; Index < CROWD; Index++)
    {
        KT_CHECK(KtWaitFor(&Crowd[Index].Runs, 1, LIMIT), "timer %u never expired", Index);
        KT_CHECK(KeReadStateTimer(&Crowd[Index].Timer), "timer %u is not signaled", Index);
        KeCancelTimer(&Crowd[Index].Timer);
    }
}

static VOID DelayIsNeverShort(VOID)
{
    static const ULONG64 Units[] = {1, 1000, 50000, 160000, 300000};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Units); Index++)
    {
        LARGE_INTEGER Interval = After(Units[Index]);
        ULONG64 Start = KtNow(), End;
        NTSTATUS Status = KeDelayExecutionThread(KernelMode, FALSE, &Interval);

        End = KtNow();
        KT_CHECK(Status == STATUS_SUCCESS, "status %x", (ULONG)Status);
        KT_CHECK(End - Start >= Units[Index], "%llu x 100 ns instead of %llu", End - Start,
                 Units[Index]);
        KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    }
}

static VOID DelayOfNothing(VOID)
{
    LARGE_INTEGER Interval = {.QuadPart = 0}, Past = {.QuadPart = 1};

    KT_CHECK(KeDelayExecutionThread(KernelMode, FALSE, &Interval) == STATUS_SUCCESS, "of 0");
    KT_CHECK(KeDelayExecutionThread(KernelMode, TRUE, &Past) == STATUS_SUCCESS, "until 1601");
}

/* At APC_LEVEL the wait is the same. */
static VOID DelayAtApcLevel(VOID)
{
    LARGE_INTEGER Interval = After(KT_MILLISECONDS(1));
    ULONG64 Start = KtNow();
    KIRQL OldIrql;

    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KT_CHECK(KeDelayExecutionThread(KernelMode, FALSE, &Interval) == STATUS_SUCCESS, "status");
    KT_CHECK(KeGetCurrentIrql() == APC_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KeLowerIrql(OldIrql);
    KT_CHECK(KtNow() - Start >= KT_MILLISECONDS(1), "%llu x 100 ns", KtNow() - Start);
}

static VOID TimeoutIsNeverShort(VOID)
{
    KEVENT Never;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    for (ULONG Round = 0; Round < 8; Round++)
    {
        ULONG64 Units = KT_MILLISECONDS(Round) + 1;
        LARGE_INTEGER Timeout = After(Units);
        ULONG64 Start = KtNow();
        NTSTATUS Status = KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, &Timeout);

        KT_CHECK(Status == STATUS_TIMEOUT, "status %x", (ULONG)Status);
        KT_CHECK(KtNow() - Start >= Units, "%llu x 100 ns instead of %llu", KtNow() - Start, Units);
    }
}

/* ------------------------------------------------------------------ Set and cancel (L59-L61). */

/* At DISPATCH_LEVEL, on the processor that it belongs to, a timer does not expire: there a loaded
 * host has no say in what comes first. */
static VOID SetReplaces(VOID)
{
    static PROBE First, Second;
    KIRQL OldIrql;

    InitializeProbe(&First, NotificationTimer);
    InitializeProbe(&Second, NotificationTimer);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KT_CHECK(!SetProbe(&First, HOUR), "it was not set");
    KT_CHECK(SetProbe(&First, KT_MILLISECONDS(5)), "it was set");
    Second.NotBefore = KtNow() + KT_MILLISECONDS(2); /* the same timer with another DPC */
    KT_CHECK(KeSetTimer(&First.Timer, After(KT_MILLISECONDS(2)), &Second.Dpc), "it was set");
    KeLowerIrql(OldIrql);
    KT_CHECK(KtWaitFor(&Second.Runs, 1, LIMIT), "it never expired");
    KT_CHECK(!KeSetTimer(&First.Timer, After(HOUR), NULL), "it had expired");
    KeStallExecutionProcessor(10000);
    KT_CHECK(First.Runs == 0, "a replaced setting's DPC ran, %d", First.Runs);
    KT_CHECK(KeCancelTimer(&First.Timer), "it was set");
    KT_CHECK(!KeCancelTimer(&First.Timer), "it was not set");
    KT_CHECK(Second.Runs == 1, "%d runs", Second.Runs);
}

static VOID CancelIsFinal(VOID)
{
    static PROBE Probe;

    InitializeProbe(&Probe, NotificationTimer);
    KT_CHECK(!KeCancelTimer(&Probe.Timer), "a new one is not set");
    for (ULONG Round = 0; Round < 20; Round++)
    {
        KIRQL OldIrql;

        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        SetProbe(&Probe, KT_MILLISECONDS(1) / 2);
        KeStallExecutionProcessor(Round * 50); /* it is due, or is not */
        KT_CHECK(KeCancelTimer(&Probe.Timer), "it was set");
        KeLowerIrql(OldIrql);
    }
    KeStallExecutionProcessor(3000);
    KeFlushQueuedDpcs();
    KT_CHECK(Probe.Runs == 0, "%d runs of cancelled settings", Probe.Runs);
    KT_CHECK(!KeReadStateTimer(&Probe.Timer), "signaled by a cancelled setting");
}

static VOID SetMakesNotSignaled(VOID)
{
    static PROBE Probe;

    InitializeProbe(&Probe, NotificationTimer);
    KT_CHECK(!KeReadStateTimer(&Probe.Timer), "a new one is signaled");
    SetProbe(&Probe, 0);
    KT_CHECK(KtWaitFor(&Probe.Runs, 1, LIMIT), "it never expired");
    KT_CHECK(KeReadStateTimer(&Probe.Timer), "it has expired");
    KT_CHECK(!KeCancelTimer(&Probe.Timer), "it has expired");
    KT_CHECK(KeReadStateTimer(&Probe.Timer), "to cancel is not to reset");
    SetProbe(&Probe, HOUR);
    KT_CHECK(!KeReadStateTimer(&Probe.Timer), "it has been set");
    KT_CHECK(KeCancelTimer(&Probe.Timer), "it was set");
    KT_CHECK(!KeReadStateTimer(&Probe.Timer), "to cancel is not to signal");
}

/* In the past means at once; below DISPATCH_LEVEL, on return. */
static VOID PastMeansNow(VOID)
{
    static PROBE Probe;
    LARGE_INTEGER Past[] = {{.QuadPart = 0}, {.QuadPart = 1}, {.QuadPart = 100000000}};

    InitializeProbe(&Probe, NotificationTimer);
    for (LONG Index = 0; Index < (LONG)RTL_NUMBER_OF(Past); Index++)
    {
        KeSetTimer(&Probe.Timer, Past[Index], &Probe.Dpc);
        KT_CHECK(KtWaitFor(&Probe.Runs, Index + 1, LIMIT), "due %lld", Past[Index].QuadPart);
    }
}

static VOID WithoutRoutine(PVOID Context)
{
    static KTIMER Timer;
    static KDPC Dpc;

    UNREFERENCED_PARAMETER(Context);
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, NULL, NULL);
    KeSetTimer(&Timer, After(HOUR), &Dpc);
}

static VOID NullRoutine(VOID)
{
    KtExpectBugCheck(TIMER_OR_DPC_INVALID, 0, WithoutRoutine, NULL);
}

/* ------------------------------------------------------------------ Periods (L62). */

#define PERIOD_MS 4
#define PERIODS 10

typedef struct _BEAT
{
    KTIMER Timer;
    KDPC Dpc;
    ULONG64 First;  /* when it was first due */
    ULONG64 Latest; /* number of the latest period that it has expired in */
    ULONG64 Missed; /* periods without an expiry */
    volatile LONG Runs;
} BEAT, *PBEAT;

/* The arguments are the time of the expiry, whatever has kept the DPC. */
static VOID BeatRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PBEAT Beat = Context;
    ULONG64 Expired = ((ULONG64)(ULONG_PTR)Argument2 << 32) | (ULONG_PTR)Argument1;
    ULONG64 Number;

    UNREFERENCED_PARAMETER(Dpc);
    Expired -= (ULONG64)KiQuerySystemTimeOffset();
    KT_CHECK(Expired >= Beat->First, "%llu x 100 ns early", Beat->First - Expired);
    Number = (Expired - Beat->First) / KT_MILLISECONDS(PERIOD_MS) + 1;
    KT_CHECK(Number > Beat->Latest, "twice in period %llu", Number);
    Beat->Missed += Number - Beat->Latest - 1;
    Beat->Latest = Number;
    InterlockedIncrement(&Beat->Runs);
}

static VOID PeriodKeepsStep(VOID)
{
    static BEAT Beat;
    KIRQL OldIrql;
    ULONG64 Stop;

    RtlZeroMemory(&Beat, sizeof(Beat));
    KeInitializeTimerEx(&Beat.Timer, SynchronizationTimer);
    KeInitializeDpc(&Beat.Dpc, BeatRoutine, &Beat);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql); /* it does not expire before First is stored */
    KT_CHECK(!KeSetTimerEx(&Beat.Timer, After(KT_MILLISECONDS(PERIOD_MS)), PERIOD_MS, &Beat.Dpc),
             "it was not set");
    Beat.First = Beat.Timer.HeapNode.Key;
    KeLowerIrql(OldIrql);
    KT_CHECK(KtWaitFor(&Beat.Runs, PERIODS, LIMIT), "%d expiries only", Beat.Runs);
    Stop = (Beat.Timer.HeapNode.Key - Beat.First) % KT_MILLISECONDS(PERIOD_MS);
    KT_CHECK(Stop == 0, "%llu x 100 ns out of step", Stop);
    KT_CHECK(KeReadStateTimer(&Beat.Timer), "it has expired");
    KT_CHECK(KeCancelTimer(&Beat.Timer), "a periodic timer is always set");
    KT_CHECK(!KeCancelTimer(&Beat.Timer), "until it is cancelled");
    KeFlushQueuedDpcs();
    Stop = (KtNow() - Beat.First) / KT_MILLISECONDS(PERIOD_MS) + 1;
    KT_CHECK(Beat.Latest <= Stop, "%llu periods in the time of %llu", Beat.Latest, Stop);
    KT_CHECK((ULONG64)Beat.Runs + Beat.Missed == Beat.Latest, "%d, %llu missed, of %llu", Beat.Runs,
             Beat.Missed, Beat.Latest);
    KtNote("%d expiries, %llu missed", Beat.Runs, Beat.Missed);
    Stop = (ULONG64)Beat.Runs;
    KeStallExecutionProcessor(PERIOD_MS * 3000);
    KT_CHECK((ULONG64)Beat.Runs == Stop, "it goes on after it was cancelled");
}

typedef struct _OVERLAP
{
    KTIMER Timer;
    KDPC Dpc;
    volatile LONG Inside;
    volatile LONG Most;
    volatile LONG Stop;
} OVERLAP, *POVERLAP;

/* Sends the next one elsewhere and stays until it is there too. */
static VOID OverlapRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    POVERLAP This = Context;
    ULONG Next = (KeGetCurrentProcessorIndex() + 1) % KtProcessors();
    LONG Inside = InterlockedIncrement(&This->Inside);
    PROCESSOR_NUMBER Number;

    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (Inside > This->Most)
    {
        InterlockedExchange(&This->Most, Inside);
    }
    if (!ReadAcquire(&This->Stop))
    {
        KeGetProcessorNumberFromIndex(Next, &Number);
        KeSetTargetProcessorDpcEx(Dpc, &Number);
        KtWaitFor(&This->Most, 2, KT_MILLISECONDS(20));
    }
    InterlockedDecrement(&This->Inside);
}

/* It is the driver that has to reckon with it: the kernel only has to survive. */
static VOID PeriodOverlapsItself(VOID)
{
    static OVERLAP This;

    RtlZeroMemory(&This, sizeof(This));
    KeInitializeTimer(&This.Timer);
    KeInitializeDpc(&This.Dpc, OverlapRoutine, &This);
    KeSetImportanceDpc(&This.Dpc, HighImportance);
    KeSetTimerEx(&This.Timer, After(KT_MILLISECONDS(1)), 1, &This.Dpc);
    KT_CHECK(KtWaitFor(&This.Most, 2, LIMIT), "never twice at once");
    WriteRelease(&This.Stop, TRUE);
    KT_CHECK(KeCancelTimer(&This.Timer), "it was set");
    KeFlushQueuedDpcs();
    KT_CHECK(This.Inside == 0, "%d still inside after the flush", This.Inside);
}

/* ------------------------------------------------------------------ Who waits (L63). */

#define WAITERS 3

typedef struct _WAITING
{
    KTIMER Timer;
    volatile LONG Begun;
    volatile LONG Released;
    NTSTATUS Status[WAITERS];
} WAITING, *PWAITING;

static WAITING Waiters;

static VOID WaitForTimer(PVOID Context)
{
    LARGE_INTEGER Limit = After(LIMIT);
    LONG Mine = InterlockedIncrement(&Waiters.Begun) - 1;

    UNREFERENCED_PARAMETER(Context);
    Waiters.Status[Mine] = KeWaitForSingleObject(&Waiters.Timer, Executive, KernelMode, FALSE,
                                                 &Limit);
    InterlockedIncrement(&Waiters.Released);
}

static BOOLEAN AllWait(ULONG Wanted)
{
    ULONG64 End = KtNow() + LIMIT;
    ULONG Found;

    do
    {
        KIRQL OldIrql = KeAcquireSpinLockRaiseToDpc(&Waiters.Timer.Header.Lock);

        Found = 0;
        for (PLIST_ENTRY Entry = Waiters.Timer.Header.WaitListHead.Flink;
             Entry != &Waiters.Timer.Header.WaitListHead; Entry = Entry->Flink)
        {
            Found++;
        }
        KeReleaseSpinLock(&Waiters.Timer.Header.Lock, OldIrql);
        YieldProcessor();
    } while (Found != Wanted && KtNow() < End);
    return Found == Wanted;
}

static VOID CheckReleases(TIMER_TYPE Type)
{
    static KT_THREAD Threads[WAITERS];

    RtlZeroMemory(&Waiters, sizeof(Waiters));
    KeInitializeTimerEx(&Waiters.Timer, Type);
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtCreateThread(&Threads[Index], WaitForTimer, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    }
    for (ULONG Left = WAITERS; Left != 0;)
    {
        ULONG Release = Type == SynchronizationTimer ? 1 : Left;

        KT_CHECK(AllWait(Left), "not all %u wait", Left);
        KT_CHECK(!KeSetTimer(&Waiters.Timer, After(1000), NULL), "it was not set");
        KT_CHECK(KtWaitFor(&Waiters.Released, (LONG)(WAITERS - Left + Release), LIMIT),
                 "%d released", Waiters.Released);
        Left -= Release;
        KT_CHECK(AllWait(Left), "more than %u released", WAITERS - Left);
        KT_CHECK(KeReadStateTimer(&Waiters.Timer) == (Type == NotificationTimer), "state %d",
                 Waiters.Timer.Header.SignalState);
    }
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtJoinThread(&Threads[Index]);
        KT_CHECK(Waiters.Status[Index] == STATUS_SUCCESS, "status %x",
                 (ULONG)Waiters.Status[Index]);
    }
}

static VOID SynchronizationReleasesOne(VOID)
{
    CheckReleases(SynchronizationTimer);
}

static VOID NotificationReleasesAll(VOID)
{
    CheckReleases(NotificationTimer);
}

/* ------------------------------------------------------------------ Idle processors (L65). */

static PROBE Idlers[MAXIMUM_PROCESSORS];

static VOID SetOnThis(PVOID Context, ULONG Processor)
{
    SetProbe(&Idlers[Processor], *(ULONG64 *)Context);
}

static VOID SetOnAll(ULONG64 Units)
{
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        InitializeProbe(&Idlers[Index], NotificationTimer);
        KtRunOn(Index, SetOnThis, &Units);
    }
}

static VOID ExpectOnAll(PCSTR What)
{
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_REQUIRE(KtWaitFor(&Idlers[Index].Runs, 1, LIMIT), "CPU %u: %s", Index, What);
        KT_CHECK(Idlers[Index].Processor == Index, "CPU %u's ran on CPU %u", Index,
                 Idlers[Index].Processor);
    }
}

static VOID ExpiresWhileIdle(VOID)
{
    SetOnAll(KT_MILLISECONDS(30));
    ExpectOnAll("never expired");
}

/* A processor that sleeps until a timer of its own, or for ever, hears of an earlier one. */
static VOID SoonerByAnother(VOID)
{
    SetOnAll(HOUR);
    KeStallExecutionProcessor(40000); /* they have gone idle, and had their last tick */
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_CHECK(SetProbe(&Idlers[Index], KT_MILLISECONDS(1)), "CPU %u's was set", Index);
    }
    ExpectOnAll("does not know of an earlier timer");
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KeCancelTimer(&Idlers[Index].Timer);
    }
}

/* Its clock stopped, so that it hears of nothing but by an interrupt from elsewhere; and back. */
static VOID SetWithoutClock(PVOID Context, ULONG Processor)
{
    SetOnThis(Context, Processor);
    _disable();
    HalpStopClock();
    KiGetCurrentPrcb()->ClockArmed = 0;
    _enable();
}

static VOID GiveClockBack(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    _disable();
    KiGetCurrentPrcb()->ClockArmed = MAXULONG64;
    KiArmClock(KiGetCurrentPrcb());
    _enable();
}

static VOID ToldByAnother(VOID)
{
    static const LARGE_INTEGER Now = {.QuadPart = 0};
    ULONG64 Units = HOUR;

    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        InitializeProbe(&Idlers[Index], NotificationTimer);
        KtRunOn(Index, SetWithoutClock, &Units);
    }
    for (ULONG Index = 1; Index < KtProcessors() && !KtHasFailed(); Index++)
    {
        Idlers[Index].NotBefore = 0;
        KT_CHECK(KeSetTimer(&Idlers[Index].Timer, Now, &Idlers[Index].Dpc), "it was set");
        KT_CHECK(KtWaitFor(&Idlers[Index].Runs, 1, TOLD_LIMIT), "CPU %u was not told", Index);
    }
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KtRunOn(Index, GiveClockBack, NULL);
        KeCancelTimer(&Idlers[Index].Timer);
    }
}

/* One tick finds it idle, and is the last. Some thread of the kernel's may come by. */
static VOID IdleHasNoTick(VOID)
{
    ULONG64 Before[MAXIMUM_PROCESSORS];
    const ULONG Ticks = 12;

    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        Before[Index] = KiProcessorBlock[Index]->ClockInterrupts;
    }
    KeStallExecutionProcessor(Ticks * KI_TICK_LENGTH / 10);
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        ULONG64 Found = KiProcessorBlock[Index]->ClockInterrupts - Before[Index];

        KT_CHECK(Found <= Ticks / 2, "CPU %u: %llu clock interrupts in %u ticks", Index, Found,
                 Ticks);
    }
}

/* ------------------------------------------------------------------ Giving way. */

#define TURNS 50

typedef struct _TURNS_TAKEN
{
    volatile LONG Mine;
    volatile LONG Other;
    volatile LONG Yielded; /* ZwYieldExecution said so: any of the two, locked add */
} TURNS_TAKEN;

static VOID TakeTurns(volatile LONG *Mine, TURNS_TAKEN *Turns)
{
    LARGE_INTEGER Nothing = {.QuadPart = 0};

    for (LONG Turn = 1; Turn <= TURNS; Turn++)
    {
        NTSTATUS Status = ZwYieldExecution();

        KT_CHECK(Status == STATUS_SUCCESS || Status == STATUS_NO_YIELD_PERFORMED, "status %x",
                 (ULONG)Status);
        if (Status == STATUS_SUCCESS)
        {
            InterlockedIncrement(&Turns->Yielded);
        }
        WriteRelease(Mine, Turn);
        KeDelayExecutionThread(KernelMode, FALSE, &Nothing);
    }
}

static VOID OtherTurns(PVOID Context)
{
    TURNS_TAKEN *Turns = Context;

    TakeTurns(&Turns->Other, Turns);
}

/* Two threads of one processor and one priority: neither gets through before the other begins. */
static VOID YieldGivesWay(VOID)
{
    static KT_THREAD Thread;
    TURNS_TAKEN Turns = {0};

    KtCreateThread(&Thread, OtherTurns, &Turns, KI_DEFAULT_PRIORITY, KeGetCurrentProcessorIndex());
    TakeTurns(&Turns.Mine, &Turns);
    KT_CHECK(Turns.Other != 0, "the other has not run");
    KtJoinThread(&Thread);
    KT_CHECK(Turns.Other == TURNS, "%d turns", Turns.Other);
    KT_CHECK(Turns.Yielded >= TURNS / 2, "%d yields", Turns.Yielded);
}

static const KT_CASE Cases[] = {
    {"timer-L58-never-early", NeverEarly, 0, FALSE},
    {"timer-L58-delay", DelayIsNeverShort, 0, FALSE},
    {"timer-L58-delay-of-nothing", DelayOfNothing, 0, FALSE},
    {"timer-L58-delay-at-apc-level", DelayAtApcLevel, 0, FALSE},
    {"timer-L58-time-out", TimeoutIsNeverShort, 0, FALSE},
    {"timer-L59-set-replaces", SetReplaces, 0, FALSE},
    {"timer-L60-cancel-is-final", CancelIsFinal, 0, FALSE},
    {"timer-L61-set-makes-not-signaled", SetMakesNotSignaled, 0, FALSE},
    {"timer-past-means-now", PastMeansNow, 0, FALSE},
    {"timer-null-routine", NullRoutine, 0, TRUE},
    {"timer-L62-period-keeps-step", PeriodKeepsStep, 0, FALSE},
    {"timer-L62-period-overlaps-itself", PeriodOverlapsItself, 2, FALSE},
    {"timer-L63-synchronization-releases-one", SynchronizationReleasesOne, 0, FALSE},
    {"timer-L63-notification-releases-all", NotificationReleasesAll, 0, FALSE},
    {"timer-L65-expires-while-idle", ExpiresWhileIdle, 0, FALSE},
    {"timer-L65-sooner-by-another", SoonerByAnother, 2, FALSE},
    {"timer-L65-told-by-another", ToldByAnother, 2, FALSE},
    {"timer-L65-idle-has-no-tick", IdleHasNoTick, 2, FALSE},
    {"timer-yield-gives-way", YieldGivesWay, 0, FALSE},
};

KT_DEFINE_SUITE(KtTimerSuite, "ke", Cases);
