/* SPDX-License-Identifier: MIT */
/* waitends.c - how waits end: by a signal, by time, by an alert, and never by an APC: laws L70,
 * L71. */
#include "apckit.h"
#include "waitkit.h"

/* Nobody waits so long, and no timer expires so late. */
#define AN_HOUR KT_SECONDS(3600)

static KT_WAITER Waiter;

static VOID PrepareWaiter(WAIT_TYPE Type, ULONG Count)
{
    RtlZeroMemory(&Waiter, sizeof(Waiter));
    Waiter.Type = Type;
    Waiter.Count = Count;
}

/* ------------------------------------------------------------------ L70: what a wait leaves. */

static VOID CheckNoTimer(PCSTR After)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KIRQL OldIrql;

    if (Thread->Timer.Inserted)
    {
        KT_CHECK(FALSE, "the time-out is still set after %s", After);
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        KiCancelTimeout(Thread);
        KeLowerIrql(OldIrql);
    }
}

static KEVENT Never[3];

static VOID CheckNothingLeft(PCSTR After)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Never); Index++)
    {
        KtCheckNobodyWaits(&Never[Index]);
        KeInitializeEvent(&Never[Index], SynchronizationEvent, FALSE);
    }
    CheckNoTimer(After);
}

static VOID TimeoutLeavesNothing(VOID)
{
    PVOID Objects[3] = {&Never[0], &Never[1], &Never[2]};
    LARGE_INTEGER Short = KtRelative(KT_MILLISECONDS(2)), Past = {.QuadPart = 1};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Never); Index++)
    {
        KeInitializeEvent(&Never[Index], SynchronizationEvent, FALSE);
    }
    for (ULONG Round = 0; Round < 4; Round++)
    {
        PLARGE_INTEGER Timeout = Round % 2 == 0 ? &Short : &Past;

        KT_CHECK(KeWaitForSingleObject(&Never[0], Executive, KernelMode, FALSE, Timeout) ==
                     STATUS_TIMEOUT,
                 "one");
        CheckNothingLeft("one");
        KT_CHECK(KtWaitMany(WaitAny, 3, Objects, Timeout) == STATUS_TIMEOUT, "any");
        CheckNothingLeft("any");
        KT_CHECK(KtWaitMany(WaitAll, 3, Objects, Timeout) == STATUS_TIMEOUT, "all");
        CheckNothingLeft("all");
    }
}

static VOID SuccessLeavesNothing(VOID)
{
    LARGE_INTEGER Hour = KtRelative(AN_HOUR), Short = KtRelative(KT_MILLISECONDS(2));
    PVOID Objects[3];
    KTIMER Timer;

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Never); Index++)
    {
        KeInitializeEvent(&Never[Index], SynchronizationEvent, FALSE);
        Objects[Index] = &Never[Index];
    }
    KeInitializeTimer(&Timer);
    KeSetTimer(&Timer, Short, NULL);
    KT_CHECK(KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, &Hour) == STATUS_SUCCESS,
             "the timer alone");
    CheckNothingLeft("one");
    Objects[2] = &Timer;
    KeSetTimer(&Timer, Short, NULL);
    KT_CHECK(KtWaitMany(WaitAny, 3, Objects, &Hour) == STATUS_WAIT_0 + 2, "the timer among others");
    CheckNothingLeft("any");
    KeSetEvent(&Never[0], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&Never[1], IO_NO_INCREMENT, FALSE);
    KeSetTimer(&Timer, Short, NULL);
    KT_CHECK(KtWaitMany(WaitAll, 3, Objects, &Hour) == STATUS_WAIT_0, "the timer and others");
    CheckNothingLeft("all");
    KtCheckNobodyWaits(&Timer);
}

/* ------------------------------------------------------------------ L71: the signal and the time.
 * One of the two, and the object agrees. */

#define TRIES 20

/* FALSE if the time was over before the signal could be given: so slow is the host. */
static BOOLEAN SignalThenTime(WAIT_TYPE Type)
{
    PKTIMER Timer = &Waiter.Thread.Thread.Timer;
    ULONG64 End = KtNow() + KT_SECONDS(1);
    KSEMAPHORE Semaphore;
    BOOLEAN InTime;
    KIRQL OldIrql;

    KeInitializeSemaphore(&Semaphore, 0, 1);
    PrepareWaiter(Type, 1);
    Waiter.Objects[0] = &Semaphore;
    Waiter.Timeout = KtRelative(KT_MILLISECONDS(30));
    KtStartWaiter(&Waiter, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    InTime = ReadAcquire(&Waiter.Thread.Thread.WaitState) == KI_WAIT_COMMITTED && Timer->Inserted;
    if (InTime)
    {
        ULONG64 Due = Timer->HeapNode.Key;

        KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 1, FALSE);
        while (KtNow() <= Due + KT_MILLISECONDS(20) && KtNow() < End)
        {
            YieldProcessor();
        }
        KT_CHECK(KeReadStateSemaphore(&Semaphore) == 0, "the count is %d",
                 KeReadStateSemaphore(&Semaphore));
    }
    KeLowerIrql(OldIrql);
    KtFinishWaiter(&Waiter, InTime ? STATUS_SUCCESS : STATUS_TIMEOUT);
    KtCheckNobodyWaits(&Semaphore);
    return InTime;
}

/* Both have come before the waiter runs again, first the signal: it was spent on this wait. */
static VOID SignalBeforeTime(VOID)
{
    for (WAIT_TYPE Type = WaitAll; Type <= WaitAny; Type++)
    {
        ULONG Tries = 1;

        while (!SignalThenTime(Type) && Tries < TRIES)
        {
            Tries++;
        }
        if (Tries == TRIES)
        {
            KtSkip("the host is too slow");
        }
    }
}

#define TAKERS 4
#define LIMIT 1000000

static struct
{
    KSEMAPHORE Semaphore;
    KEVENT Event;
    volatile LONG Stop;
    volatile LONG Taken[2], TimedOut; /* locked add */
    KT_THREAD Threads[TAKERS];
} Edge;

static VOID TakeInTime(PVOID Context)
{
    PVOID Objects[2] = {&Edge.Semaphore, &Edge.Event};
    KT_RANDOM Random;

    KtSeed(&Random, (ULONG_PTR)Context + 100);
    while (!ReadAcquire(&Edge.Stop))
    {
        LARGE_INTEGER Timeout = KtRelative(1 + KtRandom(&Random) % KT_MILLISECONDS(2));
        NTSTATUS Status = KtRandom(&Random) % 2 == 0
                              ? KtWaitMany(WaitAny, 2, Objects, &Timeout)
                              : KeWaitForSingleObject(&Edge.Semaphore, Executive, KernelMode, FALSE,
                                                      &Timeout);

        if (Status == STATUS_TIMEOUT)
        {
            InterlockedIncrement(&Edge.TimedOut);
        }
        else
        {
            KT_REQUIRE(Status == 0 || Status == 1, "the wait returned %x", Status);
            InterlockedIncrement(&Edge.Taken[Status]);
        }
    }
}

/* Waits of a length that the signals' pauses have too: every signal that was given has been taken
 * by one wait that says so, or is still there. */
static VOID NoneLostToTime(VOID)
{
    ULONG64 End = KtNow() + KtBudget();
    LONG Given = 0, Sets = 0;
    KT_RANDOM Random;

    RtlZeroMemory(&Edge, sizeof(Edge));
    KtSeed(&Random, 99);
    KeInitializeSemaphore(&Edge.Semaphore, 0, LIMIT);
    KeInitializeEvent(&Edge.Event, SynchronizationEvent, FALSE);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtCreateThread(&Edge.Threads[Index], TakeInTime, (PVOID)(ULONG_PTR)Index,
                       KI_DEFAULT_PRIORITY + 1, KT_ANYWHERE);
    }
    for (ULONG Round = 0; KtNow() < End || Round < 20; Round++)
    {
        KtSleep(1 + KtRandom(&Random) % KT_MILLISECONDS(1));
        KeReleaseSemaphore(&Edge.Semaphore, IO_NO_INCREMENT, 1, FALSE);
        Given++;
        Sets += KeSetEvent(&Edge.Event, IO_NO_INCREMENT, FALSE) == 0;
    }
    WriteRelease(&Edge.Stop, TRUE);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtJoinThread(&Edge.Threads[Index]);
    }
    KT_CHECK(Given == Edge.Taken[0] + KeReadStateSemaphore(&Edge.Semaphore),
             "given %d, taken %d, left %d", Given, Edge.Taken[0],
             KeReadStateSemaphore(&Edge.Semaphore));
    KT_CHECK(Sets == Edge.Taken[1] + KeReadStateEvent(&Edge.Event), "set %d, taken %d, left %d",
             Sets, Edge.Taken[1], KeReadStateEvent(&Edge.Event));
    KtCheckNobodyWaits(&Edge.Semaphore);
    KtCheckNobodyWaits(&Edge.Event);
    KtNote("%d signals, %d taken, %d time-outs", Given + Sets, Edge.Taken[0] + Edge.Taken[1],
           Edge.TimedOut);
}

/* ------------------------------------------------------------------ Waits that APCs interrupt. */

#define LENGTH KT_MILLISECONDS(20)

/* As many APCs as the wait takes; it must not end before its time. */
static VOID InterruptWait(WAIT_TYPE Type, BOOLEAN Absolute)
{
    ULONG64 End = KtNow() + WAIT_LIMIT;
    LONG Runs = 0;
    KT_APC Apc;

    PrepareWaiter(Type, 2);
    for (ULONG Index = 0; Index < 2; Index++)
    {
        KeInitializeEvent(&Never[Index], SynchronizationEvent, Type == WaitAll && Index == 1);
        Waiter.Objects[Index] = &Never[Index];
    }
    Waiter.Timeout = KtRelative(LENGTH);
    if (Absolute)
    {
        KeQuerySystemTime(&Waiter.Timeout);
        Waiter.Timeout.QuadPart += LENGTH;
    }
    KtStartWaiter(&Waiter, KtProcessors() - 1);
    KtInitializeSpecialApc(&Apc, &Waiter.Thread.Thread);
    while (!ReadAcquire(&Waiter.Done) && KtNow() < End)
    {
        if (ReadAcquire(&Apc.KernelRuns) == Runs) /* the last one has ended */
        {
            Runs += KtInsertApc(&Apc);
        }
        KtSleep(1);
    }
    KT_CHECK(Waiter.Done, "type %u: the time-out never came; %d APCs", Type, Runs);
    KtFinishWaiter(&Waiter, STATUS_TIMEOUT);
    KT_CHECK(Absolute || Waiter.Took >= LENGTH, "type %u: %llu us", Type, Waiter.Took / 10);
    KT_CHECK(KeReadStateEvent(&Never[1]) == (Type == WaitAll), "the wait took a signal");
    KtCheckNobodyWaits(&Never[0]);
    KtCheckNobodyWaits(&Never[1]);
}

static VOID ApcsDoNotEndWaits(VOID)
{
    for (WAIT_TYPE Type = WaitAll; Type <= WaitAny; Type++)
    {
        InterruptWait(Type, FALSE);
        InterruptWait(Type, TRUE);
    }
}

/* An alert ends those that are alertable, and they leave nothing. */
static VOID AlertEndsWaits(VOID)
{
    for (WAIT_TYPE Type = WaitAll; Type <= WaitAny; Type++)
    {
        PrepareWaiter(Type, 2);
        for (ULONG Index = 0; Index < 2; Index++)
        {
            KeInitializeEvent(&Never[Index], SynchronizationEvent, FALSE);
            Waiter.Objects[Index] = &Never[Index];
        }
        Waiter.Alertable = TRUE;
        KtStartWaiter(&Waiter, KT_ANYWHERE);
        KiAlertThread(&Waiter.Thread.Thread);
        KtFinishWaiter(&Waiter, STATUS_ALERTED);
        KtCheckNobodyWaits(&Never[0]);
        KtCheckNobodyWaits(&Never[1]);
    }
}
static const KT_CASE Cases[] = {
    {"wait-L70-time-out-leaves-nothing", TimeoutLeavesNothing, 0, FALSE},
    {"wait-L70-success-leaves-nothing", SuccessLeavesNothing, 0, FALSE},
    {"wait-L71-signal-before-time", SignalBeforeTime, 0, FALSE},
    {"wait-L71-none-lost-to-time", NoneLostToTime, 0, FALSE},
    {"wait-L70-apcs-do-not-end-waits", ApcsDoNotEndWaits, 0, FALSE},
    {"wait-L70-alert-ends-waits", AlertEndsWaits, 0, FALSE},
};

KT_DEFINE_SUITE(KtWaitEndsSuite, "ke", Cases);
