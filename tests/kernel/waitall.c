/* SPDX-License-Identifier: MIT */
/* waitall.c - waits for all of several objects at once: law L66; and L48, L53, L54, L72 there. */
#include "waitkit.h"

static KT_WAITER Waiter;

static VOID PrepareWaiter(ULONG Count)
{
    RtlZeroMemory(&Waiter, sizeof(Waiter));
    Waiter.Type = WaitAll;
    Waiter.Count = Count;
}

/* ------------------------------------------------------------------ L66: nothing until all are. */

#define KINDS 4

static struct
{
    KEVENT Event;
    KSEMAPHORE Semaphore;
    KTIMER Timer;
    KMUTEX Mutex;
} Kinds;

static VOID ReleaseKindsMutex(PKT_WAITER Self)
{
    if (Self->Status == STATUS_WAIT_0)
    {
        KT_CHECK(KeReleaseMutex(&Kinds.Mutex, FALSE) == 0, "the mutex is owned more than once");
    }
}

static VOID PrepareKinds(VOID)
{
    PVOID Objects[KINDS] = {&Kinds.Event, &Kinds.Semaphore, &Kinds.Timer, &Kinds.Mutex};

    KeInitializeEvent(&Kinds.Event, SynchronizationEvent, FALSE);
    KeInitializeSemaphore(&Kinds.Semaphore, 0, 10);
    KeInitializeTimerEx(&Kinds.Timer, SynchronizationTimer);
    KeInitializeMutex(&Kinds.Mutex, 0);
    KtWait(&Kinds.Mutex);
    PrepareWaiter(KINDS);
    RtlCopyMemory(Waiter.Objects, Objects, sizeof(Objects));
    Waiter.After = ReleaseKindsMutex;
}

static VOID SignalKind(ULONG Kind)
{
    ULONG64 End = KtNow() + WAIT_LIMIT;

    switch (Kind)
    {
    case 0:
        KeSetEvent(&Kinds.Event, IO_NO_INCREMENT, FALSE);
        break;
    case 1:
        KeReleaseSemaphore(&Kinds.Semaphore, IO_NO_INCREMENT, 1, FALSE);
        break;
    case 2:
        KeSetTimer(&Kinds.Timer, KtRelative(1), NULL);
        while (Kinds.Timer.Inserted && KtNow() < End)
        {
            YieldProcessor();
        }
        break;
    default:
        KeReleaseMutex(&Kinds.Mutex, FALSE);
        break;
    }
}

/* In each rotation of their order. What has been signaled stays so, for others to take too. */
static VOID NothingUntilAll(VOID)
{
    for (ULONG First = 0; First < KINDS && !KtHasFailed(); First++)
    {
        PrepareKinds();
        KtStartWaiter(&Waiter, KT_ANYWHERE);
        for (ULONG Turn = 0; Turn < KINDS; Turn++)
        {
            ULONG Kind = (First + Turn) % KINDS;
            PDISPATCHER_HEADER Header = Waiter.Objects[Kind];

            KT_CHECK(Waiter.Thread.Thread.WaitState == KI_WAIT_COMMITTED, "over with %u of %u",
                     Turn, KINDS);
            SignalKind(Kind);
            KT_CHECK(Turn == KINDS - 1 || Header->SignalState == 1,
                     "object %u taken with %u of %u signaled", Kind, Turn + 1, KINDS);
        }
        KtFinishWaiter(&Waiter, STATUS_WAIT_0);
        for (ULONG Kind = 0; Kind < KINDS; Kind++)
        {
            PDISPATCHER_HEADER Header = Waiter.Objects[Kind];

            KT_CHECK(Header->SignalState == (Kind == 3), "object %u: state %d", Kind,
                     Header->SignalState);
            KtCheckNobodyWaits(Header);
        }
    }
}

/* A waiter that has been released but has not run yet still stands in the lists. */
static VOID SpendsOnce(VOID)
{
    KSEMAPHORE Semaphore;
    KEVENT Event;
    KIRQL OldIrql;

    PrepareWaiter(2);
    Waiter.Objects[0] = &Event;
    Waiter.Objects[1] = &Semaphore;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeSemaphore(&Semaphore, 0, 2);
    KtStartWaiter(&Waiter, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (LONG Round = 0; Round < 2; Round++)
    {
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
        KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 1, FALSE);
        KT_CHECK(KeReadStateEvent(&Event) == Round && KeReadStateSemaphore(&Semaphore) == Round,
                 "round %d: the states are %d and %d", Round, KeReadStateEvent(&Event),
                 KeReadStateSemaphore(&Semaphore));
    }
    KeLowerIrql(OldIrql);
    KtFinishWaiter(&Waiter, STATUS_WAIT_0);
    KT_CHECK(KeReadStateEvent(&Event) == 1 && KeReadStateSemaphore(&Semaphore) == 1,
             "the states are %d and %d", KeReadStateEvent(&Event),
             KeReadStateSemaphore(&Semaphore));
    KtCheckNobodyWaits(&Event);
    KtCheckNobodyWaits(&Semaphore);
}

/* ------------------------------------------------------------------ L66: any order, no deadlock.
 * */

#define FORKS 3
#define EATERS 5

/* With their boosts too: they keep one another boosted, and would keep the case from a processor.
 * */
#define BELOW_THE_CASE (KI_DEFAULT_PRIORITY - 2)

typedef union _FORK
{
    DISPATCHER_HEADER Header;
    KEVENT Event;
    KMUTEX Mutex;
    KSEMAPHORE Semaphore;
} FORK, *PFORK;

static struct
{
    FORK Forks[FORKS];
    volatile LONG Holders[FORKS]; /* by who holds the fork */
    volatile LONG Meals[EATERS];  /* each its own */
    volatile LONG Stop;
    KT_THREAD Threads[EATERS];
} Table;

static VOID PutBack(ULONG Fork)
{
    switch (Fork)
    {
    case 0:
        KeSetEvent(&Table.Forks[0].Event, EVENT_INCREMENT, FALSE);
        break;
    case 1:
        KeReleaseMutex(&Table.Forks[1].Mutex, FALSE);
        break;
    default:
        KeReleaseSemaphore(&Table.Forks[2].Semaphore, SEMAPHORE_INCREMENT, 1, FALSE);
        break;
    }
}

/* Two or three forks, in any order. */
static BOOLEAN EatOnce(ULONG Self, PKT_RANDOM Random)
{
    ULONG First = (ULONG)(KtRandom(Random) % FORKS), Step = 1 + (ULONG)(KtRandom(Random) % 2);
    ULONG Count = 2 + (ULONG)(KtRandom(Random) % 2);
    LARGE_INTEGER Timeout = KtRelative(WAIT_LIMIT);
    PVOID Objects[FORKS];
    ULONG Chosen[FORKS];

    for (ULONG Index = 0; Index < Count; Index++)
    {
        Chosen[Index] = (First + Index * Step) % FORKS;
        Objects[Index] = &Table.Forks[Chosen[Index]];
    }
    if (KtWaitMany(WaitAll, Count, Objects, &Timeout) != STATUS_WAIT_0)
    {
        KT_CHECK(FALSE, "eater %u starves after %d meals", Self, Table.Meals[Self]);
        return FALSE;
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        LONG Other = InterlockedExchange(&Table.Holders[Chosen[Index]], (LONG)Self + 1);

        KT_CHECK(Other == 0, "fork %u is eater %d's", Chosen[Index], Other - 1);
    }
    if (KtRandom(Random) % 4 == 0)
    {
        KiYieldThread();
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        WriteRelease(&Table.Holders[Chosen[Index]], 0);
        PutBack(Chosen[Index]);
    }
    return TRUE;
}

static VOID Eat(PVOID Context)
{
    ULONG Self = (ULONG)(ULONG_PTR)Context;
    KT_RANDOM Random;

    KtSeed(&Random, Self + 200);
    do
    {
        if (!EatOnce(Self, &Random))
        {
            return;
        }
        InterlockedIncrement(&Table.Meals[Self]);
    } while (!ReadAcquire(&Table.Stop));
}

static VOID OppositeOrders(VOID)
{
    ULONG64 End = KtNow() + KtBudget();
    LONG Meals = 0;

    RtlZeroMemory(&Table, sizeof(Table));
    KeInitializeEvent(&Table.Forks[0].Event, SynchronizationEvent, TRUE);
    KeInitializeMutex(&Table.Forks[1].Mutex, 0);
    KeInitializeSemaphore(&Table.Forks[2].Semaphore, 1, 1);
    for (ULONG Index = 0; Index < EATERS; Index++)
    {
        KtCreateThread(&Table.Threads[Index], Eat, (PVOID)(ULONG_PTR)Index, BELOW_THE_CASE,
                       KT_ANYWHERE);
    }
    while (KtNow() < End && !KtHasFailed())
    {
        KtSleep(KT_MILLISECONDS(5));
    }
    WriteRelease(&Table.Stop, TRUE);
    for (ULONG Index = 0; Index < EATERS; Index++)
    {
        KtJoinThread(&Table.Threads[Index]);
        KT_CHECK(Table.Meals[Index] > 0, "eater %u had no meal", Index);
        Meals += Table.Meals[Index];
    }
    for (ULONG Fork = 0; Fork < FORKS; Fork++)
    {
        KT_CHECK(Table.Forks[Fork].Header.SignalState == 1, "fork %u: state %d", Fork,
                 Table.Forks[Fork].Header.SignalState);
        KtCheckNobodyWaits(&Table.Forks[Fork]);
    }
    KtNote("%d meals", Meals);
}

/* ------------------------------------------------------------------ L66 against L67: who takes
 * both and who takes one, at the same two semaphores. */

#define TAKERS 4
#define LIMIT 1000000

static struct
{
    KSEMAPHORE Semaphores[2];
    volatile LONG Stop;
    volatile LONG Given[2], TakenAlone[2], TakenTogether; /* locked add */
    KT_THREAD Threads[TAKERS];
} Flow;

/* Even ones take one, odd ones both; half of each the other way round. */
static VOID Take(PVOID Context)
{
    ULONG Self = (ULONG)(ULONG_PTR)Context, Turned = Self / 2 % 2;
    PVOID Objects[2] = {&Flow.Semaphores[Turned], &Flow.Semaphores[1 - Turned]};
    WAIT_TYPE Type = Self % 2 == 0 ? WaitAny : WaitAll;
    KT_RANDOM Random;

    KtSeed(&Random, Self + 300);
    while (!ReadAcquire(&Flow.Stop))
    {
        LARGE_INTEGER Timeout = KtRelative(1 + KtRandom(&Random) % KT_MILLISECONDS(2));
        NTSTATUS Status = KtWaitMany(Type, 2, Objects, &Timeout);

        if (Status == STATUS_TIMEOUT)
        {
            continue;
        }
        KT_REQUIRE(Status == 0 || (Status == 1 && Type == WaitAny), "taker %u: %x", Self, Status);
        InterlockedIncrement(Type == WaitAll ? &Flow.TakenTogether
                                             : &Flow.TakenAlone[(ULONG)Status ^ Turned]);
    }
}

static VOID Give(PVOID Context, ULONG Processor)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor + 400);
    for (ULONG Round = 0; Round < 20 || KtNow() < End; Round++)
    {
        ULONG Which = (ULONG)(KtRandom(&Random) % 2);

        KeReleaseSemaphore(&Flow.Semaphores[Which], SEMAPHORE_INCREMENT, 1, FALSE);
        InterlockedIncrement(&Flow.Given[Which]);
        if (KtRandom(&Random) % 4 == 0)
        {
            KtSleep(1 + KtRandom(&Random) % KT_MILLISECONDS(1));
        }
    }
}

static VOID AllAgainstAny(VOID)
{
    RtlZeroMemory(&Flow, sizeof(Flow));
    for (ULONG Which = 0; Which < 2; Which++)
    {
        KeInitializeSemaphore(&Flow.Semaphores[Which], 0, LIMIT);
    }
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtCreateThread(&Flow.Threads[Index], Take, (PVOID)(ULONG_PTR)Index, KI_DEFAULT_PRIORITY + 1,
                       KT_ANYWHERE);
    }
    KtParallel(Give, NULL);
    WriteRelease(&Flow.Stop, TRUE);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtJoinThread(&Flow.Threads[Index]);
    }
    for (ULONG Which = 0; Which < 2; Which++)
    {
        LONG Left = KeReadStateSemaphore(&Flow.Semaphores[Which]);

        KT_CHECK(Flow.Given[Which] == Flow.TakenAlone[Which] + Flow.TakenTogether + Left,
                 "semaphore %u: given %d, taken alone %d, together %d, left %d", Which,
                 Flow.Given[Which], Flow.TakenAlone[Which], Flow.TakenTogether, Left);
        KtCheckNobodyWaits(&Flow.Semaphores[Which]);
    }
    KtNote("%d and %d given, %d taken together", Flow.Given[0], Flow.Given[1], Flow.TakenTogether);
}

/* ------------------------------------------------------------------ What may be waited for. */

static VOID NamesTwice(VOID)
{
    KSEMAPHORE Semaphore;
    KEVENT Event;
    PVOID Objects[3] = {&Event, &Semaphore, &Event};
    LARGE_INTEGER Short = KtRelative(KT_MILLISECONDS(2));

    KeInitializeEvent(&Event, SynchronizationEvent, TRUE);
    KeInitializeSemaphore(&Semaphore, 1, 1);
    for (ULONG Round = 0; Round < 3; Round++)
    {
        PLARGE_INTEGER Timeout = Round == 0 ? NULL : Round == 1 ? &Short : &KtPoll;
        NTSTATUS Status = KtWaitMany(WaitAll, 3, Objects, Timeout);

        KT_CHECK(Status == STATUS_INVALID_PARAMETER_MIX, "the wait returned %x", Status);
        KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    }
    KT_CHECK(KeReadStateEvent(&Event) == 1 && KeReadStateSemaphore(&Semaphore) == 1,
             "a refused wait took something");
    KtCheckNobodyWaits(&Event);
    KtCheckNobodyWaits(&Semaphore);
}

static VOID AsManyAsThereMayBe(VOID)
{
    static KEVENT Events[MAXIMUM_WAIT_OBJECTS];

    PrepareWaiter(MAXIMUM_WAIT_OBJECTS);
    for (ULONG Index = 0; Index < MAXIMUM_WAIT_OBJECTS; Index++)
    {
        KeInitializeEvent(&Events[Index], SynchronizationEvent, FALSE);
        Waiter.Objects[Index] = &Events[Index];
    }
    KtStartWaiter(&Waiter, KT_ANYWHERE);
    for (ULONG Turn = 0; Turn < MAXIMUM_WAIT_OBJECTS; Turn++)
    {
        ULONG Index = (Turn * 5 + 3) % MAXIMUM_WAIT_OBJECTS;

        KT_CHECK(Waiter.Thread.Thread.WaitState == KI_WAIT_COMMITTED, "over with %u", Turn);
        KeSetEvent(&Events[Index], IO_NO_INCREMENT, FALSE);
    }
    KtFinishWaiter(&Waiter, STATUS_WAIT_0);
    for (ULONG Index = 0; Index < MAXIMUM_WAIT_OBJECTS; Index++)
    {
        KT_CHECK(KeReadStateEvent(&Events[Index]) == 0, "event %u is set", Index);
        KtCheckNobodyWaits(&Events[Index]);
    }
}

/* L48: a pulse is for those who lack nothing else at that instant. */
static VOID PulseLeavesWhoLacksMore(VOID)
{
    for (ULONG Type = NotificationEvent; Type <= SynchronizationEvent; Type++)
    {
        KEVENT Pulsed, Other;

        KeInitializeEvent(&Pulsed, (EVENT_TYPE)Type, FALSE);
        KeInitializeEvent(&Other, SynchronizationEvent, FALSE);
        PrepareWaiter(2);
        Waiter.Objects[0] = &Pulsed;
        Waiter.Objects[1] = &Other;
        KtStartWaiter(&Waiter, KT_ANYWHERE);
        KT_CHECK(KePulseEvent(&Pulsed, IO_NO_INCREMENT, FALSE) == 0, "was set");
        KeSetEvent(&Other, IO_NO_INCREMENT, FALSE);
        KT_CHECK(Waiter.Thread.Thread.WaitState == KI_WAIT_COMMITTED &&
                     KeReadStateEvent(&Pulsed) == 0 && KeReadStateEvent(&Other) == 1,
                 "type %u: a pulse was kept: wait %x, states %d and %d", Type,
                 Waiter.Thread.Thread.WaitState, KeReadStateEvent(&Pulsed),
                 KeReadStateEvent(&Other));
        KePulseEvent(&Pulsed, IO_NO_INCREMENT, FALSE);
        KT_CHECK(KeReadStateEvent(&Pulsed) == 0 && KeReadStateEvent(&Other) == 0,
                 "type %u: the states are %d and %d", Type, KeReadStateEvent(&Pulsed),
                 KeReadStateEvent(&Other));
        KtFinishWaiter(&Waiter, STATUS_WAIT_0);
        KtCheckNobodyWaits(&Pulsed);
        KtCheckNobodyWaits(&Other);
    }
}

/* ------------------------------------------------------------------ Mutants and threads. */

static struct
{
    KMUTANT Owned, Abandoned;
    KEVENT Go;
    KT_THREAD Thread;
} Ends;

static VOID OwnAndEnd(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtWait(&Ends.Abandoned);
    KtWait(&Ends.Go);
}

static VOID OwnOne(PKT_WAITER Self)
{
    UNREFERENCED_PARAMETER(Self);
    KtWait(&Ends.Owned);
}

static VOID ReleaseBoth(PKT_WAITER Self)
{
    if (Self->Status == STATUS_ABANDONED_WAIT_0 || Self->Status == STATUS_WAIT_0)
    {
        KT_CHECK(KeReleaseMutant(&Ends.Abandoned, IO_NO_INCREMENT, FALSE, FALSE) == 0,
                 "the abandoned one is owned more than once");
        KT_CHECK(KeReleaseMutant(&Ends.Owned, IO_NO_INCREMENT, FALSE, FALSE) == -1,
                 "the owned one is not owned twice");
    }
    KeReleaseMutant(&Ends.Owned, IO_NO_INCREMENT, FALSE, FALSE);
}

/* A mutant it has already, a thread's end, and what that thread abandons. */
static VOID OwnedAndAbandoned(VOID)
{
    for (ULONG Round = 0; Round < 2; Round++)
    {
        RtlZeroMemory(&Ends, sizeof(Ends));
        KeInitializeMutant(&Ends.Owned, FALSE);
        KeInitializeMutant(&Ends.Abandoned, FALSE);
        KeInitializeEvent(&Ends.Go, NotificationEvent, FALSE);
        KtCreateThread(&Ends.Thread, OwnAndEnd, NULL, KI_DEFAULT_PRIORITY + 1, KT_ANYWHERE);
        KtAwaitBlocked(&Ends.Thread);
        PrepareWaiter(3);
        Waiter.Objects[0] = &Ends.Owned;
        Waiter.Objects[1] = &Ends.Thread.Thread;
        Waiter.Objects[2] = &Ends.Abandoned;
        Waiter.Before = OwnOne;
        Waiter.After = ReleaseBoth;
        if (Round == 0)
        {
            KtStartWaiter(&Waiter, KT_ANYWHERE);
            KT_CHECK(KeReadStateMutex(&Ends.Owned) == 0, "state %d", KeReadStateMutex(&Ends.Owned));
            KeSetEvent(&Ends.Go, IO_NO_INCREMENT, FALSE);
            KtJoinThread(&Ends.Thread);
        }
        else
        {
            KeSetEvent(&Ends.Go, IO_NO_INCREMENT, FALSE);
            KtJoinThread(&Ends.Thread);
            KtStartWaiter(&Waiter, KT_ANYWHERE);
        }
        KtFinishWaiter(&Waiter, STATUS_ABANDONED_WAIT_0);
        KT_CHECK(KtAsk(&Ends.Thread.Thread) == STATUS_SUCCESS, "the thread is not signaled");
        KT_CHECK(KeReadStateMutex(&Ends.Owned) == 1 && KeReadStateMutex(&Ends.Abandoned) == 1,
                 "the states are %d and %d", KeReadStateMutex(&Ends.Owned),
                 KeReadStateMutex(&Ends.Abandoned));
        KtCheckNobodyWaits(&Ends.Owned);
        KtCheckNobodyWaits(&Ends.Abandoned);
        KtCheckNobodyWaits(&Ends.Thread.Thread);
    }
}

static struct
{
    KMUTEX Mutex;
    KEVENT Event;
} Limit;

static VOID OwnOnceMoreWithEvent(PVOID Context)
{
    LARGE_INTEGER Short = KtRelative(KT_MILLISECONDS(2));
    PVOID Objects[2] = {&Limit.Event, &Limit.Mutex};

    UNREFERENCED_PARAMETER(Context);
    KtWaitMany(WaitAll, 2, Objects, &Short);
}

/* L54, whether or not the other object is signaled. */
static VOID RecursionHasALimit(VOID)
{
    KeInitializeMutex(&Limit.Mutex, 0);
    KtWait(&Limit.Mutex);
    Limit.Mutex.Header.SignalState = MINLONG;
    for (LONG Set = 0; Set < 2; Set++)
    {
        KeInitializeEvent(&Limit.Event, SynchronizationEvent, Set != 0);
        KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_MUTANT_LIMIT_EXCEEDED,
                         OwnOnceMoreWithEvent, NULL);
        KT_CHECK(KeReadStateEvent(&Limit.Event) == Set, "the event's state is %d",
                 KeReadStateEvent(&Limit.Event));
        KT_CHECK(Limit.Mutex.Header.SignalState == MINLONG, "state %x",
                 Limit.Mutex.Header.SignalState);
        KtCheckNobodyWaits(&Limit.Event);
        KtCheckNobodyWaits(&Limit.Mutex);
    }
    Limit.Mutex.Header.SignalState = 0;
    KT_CHECK(KeReleaseMutex(&Limit.Mutex, FALSE) == 0, "the release");
}

static const KT_CASE Cases[] = {
    {"waitall-L66-nothing-until-all", NothingUntilAll, 0, FALSE},
    {"waitall-L66-spends-once", SpendsOnce, 0, FALSE},
    {"waitall-L66-opposite-orders", OppositeOrders, 0, FALSE},
    {"waitall-L66-L67-all-against-any", AllAgainstAny, 0, FALSE},
    {"waitall-names-twice", NamesTwice, 0, FALSE},
    {"waitall-as-many-as-there-may-be", AsManyAsThereMayBe, 0, FALSE},
    {"waitall-L48-pulse-leaves-who-lacks-more", PulseLeavesWhoLacksMore, 0, FALSE},
    {"waitall-L53-L72-owned-and-abandoned", OwnedAndAbandoned, 0, FALSE},
    {"waitall-L54-recursion-has-a-limit", RecursionHasALimit, 0, TRUE},
};

KT_DEFINE_SUITE(KtWaitAllSuite, "ke", Cases);
