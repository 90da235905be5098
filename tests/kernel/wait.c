/* SPDX-License-Identifier: MIT */
/* wait.c - waits for one object and for any of several: laws L67 to L71, and L31's for waits. */
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

/* ------------------------------------------------------------------ L47: a signal that comes as the
 * waiter is about to leave its processor (R-q). */

#define LONGEST_STALL_US 30

static struct
{
    KEVENT Event;
    volatile LONG Asked, Stop; /* by the waiter; rounds */
} Late;

/* Sets it once for each wait, about when the waiter, who stands in its list, leaves his processor. */
static VOID SetWhenLinked(PVOID Context, ULONG Processor)
{
    PLIST_ENTRY Waiters = &Late.Event.Header.WaitListHead;
    KT_RANDOM Random;
    LONG Round = 0;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    while (!ReadAcquire(&Late.Stop))
    {
        if (ReadAcquire(&Late.Asked) != Round &&
            ReadPointerAcquire((PVOID volatile *)&Waiters->Flink) != Waiters)
        {
            Round++;
            KeStallExecutionProcessor((ULONG)(KtRandom(&Random) % LONGEST_STALL_US));
            KeSetEvent(&Late.Event, IO_NO_INCREMENT, FALSE);
        }
        YieldProcessor();
    }
}

static VOID SetAsItCommits(VOID)
{
    ULONG64 End = KtNow() + KtBudget();
    LARGE_INTEGER Limit = KtRelative(WAIT_LIMIT);
    PVOID Objects[2] = {&Late.Event, &Late.Event};
    ULONG Round = 0;
    KT_JOB Job;

    Late.Asked = Late.Stop = 0;
    KeInitializeEvent(&Late.Event, SynchronizationEvent, FALSE);
    KtStart(&Job, 1, SetWhenLinked, NULL);
    for (; !KtHasFailed() && (KtNow() < End || Round < 200); Round++)
    {
        NTSTATUS Status;

        InterlockedIncrement(&Late.Asked);
        Status = KtWaitMany(WaitAny, 1 + Round % 2, Objects, &Limit);
        KT_CHECK(Status != STATUS_TIMEOUT, "round %u: the set is lost", Round);
    }
    WriteRelease(&Late.Stop, TRUE);
    KtJoin(&Job);
    KtNote("%u rounds", Round);
}

/* ------------------------------------------------------------------ L67: one, and the lowest. */

#define KINDS 4

/* Each subset of four kinds of objects signaled. */
static VOID LowestOnly(VOID)
{
    KWAIT_BLOCK Blocks[KINDS];
    KSEMAPHORE Semaphore;
    KEVENT First, Last;
    KMUTEX Mutex;
    PVOID Objects[KINDS] = {&First, &Semaphore, &Mutex, &Last};

    for (ULONG Mask = 0; Mask < 1u << KINDS; Mask++)
    {
        LONG Lowest = Mask & 1 ? 0 : Mask & 2 ? 1 : Mask & 4 ? 2 : 3;
        NTSTATUS Status;

        KeInitializeEvent(&First, SynchronizationEvent, Mask & 1);
        KeInitializeSemaphore(&Semaphore, Mask & 2, 5);
        KeInitializeMutex(&Mutex, 0);
        Mutex.Header.SignalState = (Mask & 4) != 0; /* owned by nobody that could be asked */
        KeInitializeEvent(&Last, SynchronizationEvent, (Mask & 8) != 0);
        Status = KeWaitForMultipleObjects(KINDS, Objects, WaitAny, Executive, KernelMode, FALSE,
                                          &KtPoll, Blocks);
        KT_CHECK(Status == (Mask == 0 ? STATUS_TIMEOUT : STATUS_WAIT_0 + Lowest),
                 "signaled: mask %x; the wait returned %x", Mask, Status);
        KT_CHECK(KeReadStateEvent(&First) == 0, "mask %x: the first is set", Mask);
        KT_CHECK(KeReadStateSemaphore(&Semaphore) == (LONG)(Mask & 2) - (Lowest == 1),
                 "mask %x: the count is %d", Mask, KeReadStateSemaphore(&Semaphore));
        KT_CHECK(KeReadStateMutex(&Mutex) == ((Mask & 4) != 0) - (Mask != 0 && Lowest == 2),
                 "mask %x: the mutex's state is %d", Mask, KeReadStateMutex(&Mutex));
        KT_CHECK(KeReadStateEvent(&Last) == ((Mask & 8) != 0 && Lowest != 3),
                 "mask %x: the last's state is %d", Mask, KeReadStateEvent(&Last));
        if (Mask != 0 && Lowest == 2)
        {
            KeReleaseMutex(&Mutex, FALSE);
        }
    }
}

/* A waiter that has been released but has not run yet still stands in the other lists: what is
 * signaled there stays signaled. */
static VOID OneOfTwoAtOnce(VOID)
{
    KSEMAPHORE Second;
    KEVENT First;
    KIRQL OldIrql;

    for (LONG Sooner = 0; Sooner < 2; Sooner++)
    {
        PrepareWaiter(WaitAny, 2);
        Waiter.Objects[0] = &First;
        Waiter.Objects[1] = &Second;
        KeInitializeEvent(&First, SynchronizationEvent, FALSE);
        KeInitializeSemaphore(&Second, 0, 2);
        KtStartWaiter(&Waiter, 0);
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        for (LONG Turn = 0; Turn < 2; Turn++)
        {
            if (Turn == Sooner)
            {
                KeSetEvent(&First, IO_NO_INCREMENT, FALSE);
            }
            else
            {
                KeReleaseSemaphore(&Second, IO_NO_INCREMENT, 1, FALSE);
            }
        }
        KT_CHECK(KeReadStateEvent(&First) == (Sooner != 0), "the event's state is %d",
                 KeReadStateEvent(&First));
        KT_CHECK(KeReadStateSemaphore(&Second) == (Sooner == 0), "the count is %d",
                 KeReadStateSemaphore(&Second));
        KeLowerIrql(OldIrql);
        KtFinishWaiter(&Waiter, STATUS_WAIT_0 + Sooner);
        KtCheckNobodyWaits(&First);
        KtCheckNobodyWaits(&Second);
    }
}

/* The same object twice is once too often only for who waits for all. */
static VOID TwiceInOne(VOID)
{
    KEVENT Event;

    PrepareWaiter(WaitAny, 3);
    Waiter.Objects[0] = Waiter.Objects[1] = Waiter.Objects[2] = &Event;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KtStartWaiter(&Waiter, KT_ANYWHERE);
    KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    KtFinishWaiter(&Waiter, STATUS_WAIT_0);
    KT_CHECK(KeReadStateEvent(&Event) == 0, "still set");
    KtCheckNobodyWaits(&Event);
}

/* As many objects as there may be. */
static VOID AsManyAsThereMayBe(VOID)
{
    static KEVENT Events[MAXIMUM_WAIT_OBJECTS];
    static const ULONG Chosen[] = {0, 1, 37, 62, 63};

    for (ULONG Round = 0; Round < RTL_NUMBER_OF(Chosen); Round++)
    {
        PrepareWaiter(WaitAny, MAXIMUM_WAIT_OBJECTS);
        for (ULONG Index = 0; Index < MAXIMUM_WAIT_OBJECTS; Index++)
        {
            KeInitializeEvent(&Events[Index], SynchronizationEvent, FALSE);
            Waiter.Objects[Index] = &Events[Index];
        }
        KtStartWaiter(&Waiter, KT_ANYWHERE);
        KeSetEvent(&Events[Chosen[Round]], IO_NO_INCREMENT, FALSE);
        KtFinishWaiter(&Waiter, STATUS_WAIT_0 + (NTSTATUS)Chosen[Round]);
        for (ULONG Index = 0; Index < MAXIMUM_WAIT_OBJECTS; Index++)
        {
            KT_CHECK(KeReadStateEvent(&Events[Index]) == 0, "event %u is set", Index);
            KtCheckNobodyWaits(&Events[Index]);
        }
    }
}

typedef struct _TOO_MANY
{
    ULONG Count;
    WAIT_TYPE Type;
    PKWAIT_BLOCK Blocks;
} TOO_MANY, *PTOO_MANY;

static VOID WaitForTooMany(PVOID Context)
{
    static PVOID Objects[MAXIMUM_WAIT_OBJECTS + 1];
    static KEVENT Event;
    PTOO_MANY Wait = Context;

    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    for (ULONG Index = 0; Index <= MAXIMUM_WAIT_OBJECTS; Index++)
    {
        Objects[Index] = &Event;
    }
    KeWaitForMultipleObjects(Wait->Count, Objects, Wait->Type, Executive, KernelMode, FALSE,
                             &KtPoll, Wait->Blocks);
}

static VOID TooManyStop(VOID)
{
    static KWAIT_BLOCK Blocks[MAXIMUM_WAIT_OBJECTS + 1];

    for (WAIT_TYPE Type = WaitAll; Type <= WaitAny; Type++)
    {
        TOO_MANY WithArray = {MAXIMUM_WAIT_OBJECTS + 1, Type, Blocks};
        TOO_MANY Without = {THREAD_WAIT_OBJECTS + 1, Type, NULL};

        KtExpectBugCheck(MAXIMUM_WAIT_OBJECTS_EXCEEDED, KT_ANY, WaitForTooMany, &WithArray);
        KtExpectBugCheck(MAXIMUM_WAIT_OBJECTS_EXCEEDED, KT_ANY, WaitForTooMany, &Without);
    }
}

/* ------------------------------------------------------------------ L68: who only asks. */

static struct
{
    KEVENT Set, Clear;
    KSEMAPHORE Semaphore;
    KMUTEX Mutex;
    KDPC Dpc;
    volatile LONG Asked;
} Questions;

static VOID Ask(KIRQL Level)
{
    PVOID Both[2] = {&Questions.Clear, &Questions.Set};
    PVOID Free[2] = {&Questions.Set, &Questions.Semaphore};

    KT_CHECK(KtAsk(&Questions.Set) == STATUS_SUCCESS, "IRQL %u: a set event", Level);
    KT_CHECK(KtAsk(&Questions.Clear) == STATUS_TIMEOUT, "IRQL %u: a clear event", Level);
    KT_CHECK(KtAsk(&Questions.Semaphore) == STATUS_SUCCESS &&
                 KtAsk(&Questions.Semaphore) == STATUS_TIMEOUT,
             "IRQL %u: a semaphore of one", Level);
    KT_CHECK(KeReleaseSemaphore(&Questions.Semaphore, IO_NO_INCREMENT, 1, FALSE) == 0,
             "IRQL %u: the count", Level);
    KT_CHECK(KtAskMany(WaitAny, 2, Both) == STATUS_WAIT_0 + 1, "IRQL %u: any", Level);
    KT_CHECK(KtAskMany(WaitAll, 2, Both) == STATUS_TIMEOUT, "IRQL %u: all of two", Level);
    KT_CHECK(KtAskMany(WaitAll, 2, Free) == STATUS_WAIT_0, "IRQL %u: all", Level);
    KT_CHECK(KeReleaseSemaphore(&Questions.Semaphore, IO_NO_INCREMENT, 1, FALSE) == 0,
             "IRQL %u: all took no count", Level);
    KT_CHECK(KeGetCurrentIrql() == Level, "IRQL %u, before it %u", KeGetCurrentIrql(), Level);
    InterlockedIncrement(&Questions.Asked);
}

static VOID AskInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Ask(DISPATCH_LEVEL);
}

static VOID AskedAnywhere(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();

    RtlZeroMemory(&Questions, sizeof(Questions));
    KeInitializeEvent(&Questions.Set, NotificationEvent, TRUE);
    KeInitializeEvent(&Questions.Clear, SynchronizationEvent, FALSE);
    KeInitializeSemaphore(&Questions.Semaphore, 1, 1);
    KeInitializeMutex(&Questions.Mutex, 0);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= DISPATCH_LEVEL; Level++)
    {
        ULONG64 Switches;
        KIRQL OldIrql;

        KeRaiseIrql(Level, &OldIrql);
        Switches = Thread->ContextSwitches;
        Ask(Level);
        KT_CHECK(KtAsk(&Questions.Mutex) == STATUS_SUCCESS, "IRQL %u: a mutex", Level);
        KT_CHECK(KeReleaseMutex(&Questions.Mutex, FALSE) == 0, "IRQL %u: its release", Level);
        KT_CHECK(Level < DISPATCH_LEVEL || Thread->ContextSwitches == Switches,
                 "switched at DISPATCH_LEVEL");
        KeLowerIrql(OldIrql);
    }
    KeInitializeDpc(&Questions.Dpc, AskInDpc, NULL);
    KeInsertQueueDpc(&Questions.Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Questions.Asked, DISPATCH_LEVEL + 2, WAIT_LIMIT), "the DPC never asked");
    KtCheckNobodyWaits(&Questions.Set);
    KtCheckNobodyWaits(&Questions.Clear);
    KtCheckNobodyWaits(&Questions.Semaphore);
}

/* ------------------------------------------------------------------ L69, L31: who may not wait.
 * The objects are signaled, so a kernel that forgets to look lets the caller go. */

typedef enum _KIND
{
    Single,
    Any,
    All,
    MaximumKind
} KIND;

typedef struct _RAISED_WAIT
{
    KIND Kind;
    KIRQL Irql;
    PLARGE_INTEGER Timeout;
} RAISED_WAIT, *PRAISED_WAIT;

static KEVENT Signaled[2];

static VOID WaitRaised(PVOID Context)
{
    PVOID Objects[2] = {&Signaled[0], &Signaled[1]};
    PRAISED_WAIT Wait = Context;
    KIRQL OldIrql = KeGetCurrentIrql();

    if (OldIrql < Wait->Irql)
    {
        KeRaiseIrql(Wait->Irql, &OldIrql);
    }
    if (Wait->Kind == Single)
    {
        KeWaitForSingleObject(&Signaled[0], Executive, KernelMode, FALSE, Wait->Timeout);
    }
    else
    {
        KtWaitMany(Wait->Kind == Any ? WaitAny : WaitAll, 2, Objects, Wait->Timeout);
    }
    KeLowerIrql(OldIrql);
}

static VOID StopsWhenRaised(VOID)
{
    LARGE_INTEGER Short = KtRelative(KT_MILLISECONDS(1));

    KeInitializeEvent(&Signaled[0], NotificationEvent, TRUE);
    KeInitializeEvent(&Signaled[1], NotificationEvent, TRUE);
    for (KIND Kind = Single; Kind < MaximumKind; Kind++)
    {
        RAISED_WAIT ForEver = {Kind, DISPATCH_LEVEL, NULL};
        RAISED_WAIT Limited = {Kind, DISPATCH_LEVEL, &Short};
        RAISED_WAIT Asks = {Kind, SYNCH_LEVEL, &KtPoll};
        RAISED_WAIT High = {Kind, HIGH_LEVEL, NULL};

        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x121, WaitRaised, &ForEver);
        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x122, WaitRaised, &Limited);
        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x120, WaitRaised, &Asks);
        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x120, WaitRaised, &High);
        KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    }
}

static struct
{
    KDPC Dpc;
    volatile LONG Done;
} Deferred;

static VOID WaitInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LARGE_INTEGER Short = KtRelative(KT_MILLISECONDS(1));

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (KIND Kind = Single; Kind < MaximumKind; Kind++)
    {
        RAISED_WAIT ForEver = {Kind, DISPATCH_LEVEL, NULL};
        RAISED_WAIT Limited = {Kind, DISPATCH_LEVEL, &Short};

        KtExpectBugCheck(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)KeGetCurrentThread(), WaitRaised,
                         &ForEver);
        KtExpectBugCheck(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)KeGetCurrentThread(), WaitRaised,
                         &Limited);
    }
    WriteRelease(&Deferred.Done, TRUE);
}

static VOID StopsInDpc(VOID)
{
    KeInitializeEvent(&Signaled[0], NotificationEvent, TRUE);
    KeInitializeEvent(&Signaled[1], NotificationEvent, TRUE);
    Deferred.Done = FALSE;
    KeInitializeDpc(&Deferred.Dpc, WaitInDpc, NULL);
    KeInsertQueueDpc(&Deferred.Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Deferred.Done, TRUE, WAIT_LIMIT), "the DPC never ran");
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

/* Waits of a length that the signals' pauses have too: every signal that was given has been taken by
 * one wait that says so, or is still there. */
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

/* ------------------------------------------------------------------ Each kind of object (L72: a
 * thread's end is for all who wait for it, then and later). */

static struct
{
    KEVENT Go;
    KTIMER Timer;
    KMUTEX Mutex;
    KSEMAPHORE Semaphore;
    KT_THREAD Thread;
    KT_WAITER Waiters[3];
} Mixed;

static VOID AwaitGo(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtWait(&Mixed.Go);
}

static VOID ReleaseIfOwned(PKT_WAITER Self)
{
    if (Self->Status == STATUS_WAIT_0 + 3)
    {
        KT_CHECK(KeReleaseMutex(&Mixed.Mutex, FALSE) == 0, "owned more than once");
    }
}

/* All wait for any of the four; then that one of them is signaled. */
static VOID EndMixedWaits(ULONG Which)
{
    PVOID Objects[4] = {&Mixed.Thread.Thread, &Mixed.Timer, &Mixed.Semaphore, &Mixed.Mutex};

    RtlZeroMemory(&Mixed, sizeof(Mixed));
    KeInitializeEvent(&Mixed.Go, NotificationEvent, FALSE);
    KeInitializeTimerEx(&Mixed.Timer, NotificationTimer);
    KeInitializeSemaphore(&Mixed.Semaphore, 0, 10);
    KeInitializeMutex(&Mixed.Mutex, 0);
    KtWait(&Mixed.Mutex);
    KtCreateThread(&Mixed.Thread, AwaitGo, NULL, KI_DEFAULT_PRIORITY + 1, KT_ANYWHERE);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Mixed.Waiters); Index++)
    {
        PKT_WAITER Self = &Mixed.Waiters[Index];

        Self->Type = WaitAny;
        Self->Count = RTL_NUMBER_OF(Objects);
        RtlCopyMemory(Self->Objects, Objects, sizeof(Objects));
        Self->After = ReleaseIfOwned;
        KtStartWaiter(Self, KT_ANYWHERE);
    }
    switch (Which)
    {
    case 0:
        KeSetEvent(&Mixed.Go, IO_NO_INCREMENT, FALSE);
        break;
    case 1:
        KeSetTimer(&Mixed.Timer, KtRelative(1), NULL);
        break;
    case 2:
        KeReleaseSemaphore(&Mixed.Semaphore, IO_NO_INCREMENT, RTL_NUMBER_OF(Mixed.Waiters), FALSE);
        break;
    default:
        KeReleaseMutex(&Mixed.Mutex, FALSE);
        break;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Mixed.Waiters); Index++)
    {
        KtFinishWaiter(&Mixed.Waiters[Index], STATUS_WAIT_0 + (NTSTATUS)Which);
    }
    KT_CHECK(KtAskMany(WaitAny, 2, Objects) ==
                 (Which < 2 ? STATUS_WAIT_0 + (NTSTATUS)Which : STATUS_TIMEOUT),
             "object %u did not stay as it was", Which);
    KeSetEvent(&Mixed.Go, IO_NO_INCREMENT, FALSE);
    KtJoinThread(&Mixed.Thread);
    KT_CHECK(KtAsk(&Mixed.Thread.Thread) == STATUS_SUCCESS, "an ended thread is not signaled");
    if (Which < 3)
    {
        KeReleaseMutex(&Mixed.Mutex, FALSE);
    }
    KT_CHECK(KeReadStateMutex(&Mixed.Mutex) == 1, "the mutex's state is %d",
             KeReadStateMutex(&Mixed.Mutex));
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Objects); Index++)
    {
        KtCheckNobodyWaits(Objects[Index]);
    }
}

static VOID AnyOfEachKind(VOID)
{
    for (ULONG Which = 0; Which < 4; Which++)
    {
        EndMixedWaits(Which);
    }
}

static const KT_CASE Cases[] = {
    {"wait-L47-set-as-it-commits", SetAsItCommits, 2, FALSE},
    {"wait-L67-lowest-only", LowestOnly, 0, FALSE},
    {"wait-L67-one-of-two-at-once", OneOfTwoAtOnce, 0, FALSE},
    {"wait-L67-twice-in-one", TwiceInOne, 0, FALSE},
    {"wait-L67-as-many-as-there-may-be", AsManyAsThereMayBe, 0, FALSE},
    {"wait-too-many-stop", TooManyStop, 0, TRUE},
    {"wait-L68-asked-anywhere", AskedAnywhere, 0, FALSE},
    {"wait-L69-stops-when-raised", StopsWhenRaised, 0, TRUE},
    {"wait-L31-stops-in-dpc", StopsInDpc, 0, TRUE},
    {"wait-L70-time-out-leaves-nothing", TimeoutLeavesNothing, 0, FALSE},
    {"wait-L70-success-leaves-nothing", SuccessLeavesNothing, 0, FALSE},
    {"wait-L71-signal-before-time", SignalBeforeTime, 0, FALSE},
    {"wait-L71-none-lost-to-time", NoneLostToTime, 0, FALSE},
    {"wait-L70-apcs-do-not-end-waits", ApcsDoNotEndWaits, 0, FALSE},
    {"wait-L70-alert-ends-waits", AlertEndsWaits, 0, FALSE},
    {"wait-L67-L72-any-of-each-kind", AnyOfEachKind, 0, FALSE},
};

KT_DEFINE_SUITE(KtWaitSuite, "ke", Cases);
