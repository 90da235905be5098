/* SPDX-License-Identifier: MIT */
/* event.c - events: laws L43 to L48, and no wake-up is ever lost (R-q). */
#include "waitkit.h"

/* ------------------------------------------------------------------ One thread: the states. */

static VOID ReturnsPreviousState(VOID)
{
    for (ULONG Type = NotificationEvent; Type <= SynchronizationEvent; Type++)
    {
        KEVENT Event;

        KeInitializeEvent(&Event, (EVENT_TYPE)Type, FALSE);
        KT_CHECK(KeReadStateEvent(&Event) == 0, "type %u: new and set", Type);
        KT_CHECK(KeSetEvent(&Event, IO_NO_INCREMENT, FALSE) == 0, "type %u: first set", Type);
        KT_CHECK(KeSetEvent(&Event, IO_NO_INCREMENT, FALSE) == 1, "type %u: second set", Type);
        KT_CHECK(KeReadStateEvent(&Event) == 1, "type %u: set twice", Type);
        KT_CHECK(KeResetEvent(&Event) == 1 && KeResetEvent(&Event) == 0, "type %u: resets", Type);
        KT_CHECK(KePulseEvent(&Event, IO_NO_INCREMENT, FALSE) == 0, "type %u: pulse", Type);
        KT_CHECK(KeReadStateEvent(&Event) == 0, "type %u: set after a pulse", Type);
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
        KT_CHECK(KePulseEvent(&Event, IO_NO_INCREMENT, FALSE) == 1, "type %u: pulse of 1", Type);
        KT_CHECK(KeReadStateEvent(&Event) == 0, "type %u: set after a pulse of 1", Type);
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
        KeClearEvent(&Event);
        KT_CHECK(KeReadStateEvent(&Event) == 0, "type %u: set after clear", Type);
        KeInitializeEvent(&Event, (EVENT_TYPE)Type, TRUE);
        KT_CHECK(KeReadStateEvent(&Event) == 1, "type %u: made set", Type);
    }
}

/* Two sets with nobody waiting are one signal; a notification is not used up. */
static VOID SetIsIdempotent(VOID)
{
    KEVENT Event;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    KT_CHECK(KtAsk(&Event) == STATUS_SUCCESS, "the first wait");
    KT_CHECK(KtAsk(&Event) == STATUS_TIMEOUT, "two sets were two signals");
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KT_CHECK(KtAsk(&Event) == STATUS_SUCCESS && KtAsk(&Event) == STATUS_SUCCESS &&
                 KeReadStateEvent(&Event) == 1,
             "a wait used a notification up");
}

/* ------------------------------------------------------------------ Several waiters. */

#define WAITERS 6

typedef struct _GROUP
{
    KEVENT Event;
    volatile LONG Drawn;          /* places in Order that were given */
    volatile LONG Order[WAITERS]; /* who came when */
    volatile LONG Released;       /* how many are in Order */
    KT_THREAD Threads[WAITERS];
} GROUP, *PGROUP;

static GROUP Group;

static VOID WaitOnce(PVOID Context)
{
    LONG Self = (LONG)(ULONG_PTR)Context;

    KT_CHECK(KtWait(&Group.Event) == STATUS_SUCCESS, "waiter %d", Self);
    Group.Order[InterlockedIncrement(&Group.Drawn) - 1] = Self;
    InterlockedIncrement(&Group.Released); /* pairs with: who waits for Released */
}

/* All of them wait, in the order of their numbers. */
static VOID StartGroup(EVENT_TYPE Type)
{
    Group.Drawn = Group.Released = 0;
    KeInitializeEvent(&Group.Event, Type, FALSE);
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtCreateThread(&Group.Threads[Index], WaitOnce, (PVOID)(ULONG_PTR)Index,
                       KI_DEFAULT_PRIORITY, KT_ANYWHERE);
        KtAwaitBlocked(&Group.Threads[Index]);
    }
}

/* Lets those go that a broken event still holds. */
static VOID EndGroup(VOID)
{
    while (ReadAcquire(&Group.Released) < WAITERS)
    {
        KeClearEvent(&Group.Event);
        KeSetEvent(&Group.Event, IO_NO_INCREMENT, FALSE);
    }
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtJoinThread(&Group.Threads[Index]);
    }
}

/* L43, L46: each set one, the first that came first. */
static VOID OnePerSetInOrder(VOID)
{
    StartGroup(SynchronizationEvent);
    for (LONG Sets = 1; Sets <= WAITERS; Sets++)
    {
        KT_CHECK(KeSetEvent(&Group.Event, IO_NO_INCREMENT, FALSE) == 0, "set %d", Sets);
        KT_CHECK(KtWaitFor(&Group.Released, Sets, WAIT_LIMIT), "set %d released nobody", Sets);
        KT_CHECK(Group.Order[Sets - 1] == Sets - 1, "set %d released waiter %d", Sets,
                 Group.Order[Sets - 1]);
        KT_CHECK(KeReadStateEvent(&Group.Event) == 0, "set %d left it set", Sets);
        for (LONG Index = Sets; Index < WAITERS && !KtHasFailed(); Index++)
        {
            KtAwaitBlocked(&Group.Threads[Index]);
        }
        KT_CHECK(Group.Released == Sets, "%d sets released %d", Sets, Group.Released);
    }
    EndGroup();
}

/* L44 */
static VOID NotificationReleasesAll(VOID)
{
    StartGroup(NotificationEvent);
    KT_CHECK(KeSetEvent(&Group.Event, IO_NO_INCREMENT, FALSE) == 0, "was set");
    KT_CHECK(KtWaitFor(&Group.Released, WAITERS, WAIT_LIMIT), "%d of %u released", Group.Released,
             WAITERS);
    KT_CHECK(KeReadStateEvent(&Group.Event) == 1, "not set any more");
    EndGroup();
}

/* L45, L48: all who wait at that instant, or one, and nobody later. */
static VOID PulseReleasesWhoWaits(VOID)
{
    StartGroup(NotificationEvent);
    KePulseEvent(&Group.Event, IO_NO_INCREMENT, FALSE);
    KT_CHECK(KtWaitFor(&Group.Released, WAITERS, WAIT_LIMIT), "%d of %u released", Group.Released,
             WAITERS);
    KT_CHECK(KeReadStateEvent(&Group.Event) == 0 && KtAsk(&Group.Event) == STATUS_TIMEOUT,
             "still set after the pulse");
    EndGroup();

    StartGroup(SynchronizationEvent);
    KePulseEvent(&Group.Event, IO_NO_INCREMENT, FALSE);
    KT_CHECK(KtWaitFor(&Group.Released, 1, WAIT_LIMIT), "the pulse released nobody");
    for (ULONG Index = 1; Index < WAITERS && !KtHasFailed(); Index++)
    {
        KtAwaitBlocked(&Group.Threads[Index]);
    }
    KT_CHECK(Group.Released == 1, "the pulse released %d", Group.Released);
    EndGroup();
}

/* ------------------------------------------------------------------ L47: sets race with waits. */

typedef struct _PAIR
{
    KEVENT Ping;
    KEVENT Pong;
    volatile LONG Rounds; /* by the one that answers */
    volatile LONG Stop;   /* by the case */
    volatile LONG Done;   /* by the one that calls: that was the last */
    KT_THREAD Caller;
    KT_THREAD Answerer;
} PAIR, *PPAIR;

static VOID Call(PVOID Context)
{
    PPAIR Pair = Context;

    do
    {
        KeSetEvent(&Pair->Ping, EVENT_INCREMENT, FALSE);
        KtWait(&Pair->Pong);
    } while (!ReadAcquire(&Pair->Stop));
    WriteRelease(&Pair->Done, TRUE);
    KeSetEvent(&Pair->Ping, EVENT_INCREMENT, FALSE);
}

static VOID Answer(PVOID Context)
{
    PPAIR Pair = Context;

    while (KtWait(&Pair->Ping), !ReadAcquire(&Pair->Done))
    {
        InterlockedIncrement(&Pair->Rounds);
        KeSetEvent(&Pair->Pong, EVENT_INCREMENT, FALSE);
    }
}

/* Two threads that wake each other: a wake-up that is lost stops them for good. */
static VOID PingPong(ULONG CallerCpu, ULONG AnswererCpu)
{
    static PAIR Pair;
    ULONG64 End = KtNow() + KtBudget();
    LONG Seen = 0;

    Pair.Rounds = Pair.Stop = Pair.Done = 0;
    KeInitializeEvent(&Pair.Ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Pair.Pong, SynchronizationEvent, FALSE);
    KtCreateThread(&Pair.Answerer, Answer, &Pair, KI_DEFAULT_PRIORITY, AnswererCpu);
    KtCreateThread(&Pair.Caller, Call, &Pair, KI_DEFAULT_PRIORITY, CallerCpu);
    while ((KtNow() < End || Seen == 0) && !KtHasFailed())
    {
        KT_CHECK(KtWaitFor(&Pair.Rounds, Seen + 1, WAIT_LIMIT), "stuck after %d rounds", Seen);
        Seen = Pair.Rounds;
    }
    WriteRelease(&Pair.Stop, TRUE);
    End = KtNow() + WAIT_LIMIT;
    while (Pair.Caller.Thread.Header.SignalState == 0 ||
           Pair.Answerer.Thread.Header.SignalState == 0)
    {
        KT_CHECK(KtHasFailed() || KtNow() < End, "stuck in the last of %d rounds", Pair.Rounds);
        if (KtHasFailed())
        {
            KeSetEvent(&Pair.Ping, EVENT_INCREMENT, FALSE);
            KeSetEvent(&Pair.Pong, EVENT_INCREMENT, FALSE);
        }
        KiYieldThread();
    }
    KtJoinThread(&Pair.Caller);
    KtJoinThread(&Pair.Answerer);
}

static VOID PingPongHere(VOID)
{
    PingPong(0, 0);
}

static VOID PingPongAcross(VOID)
{
    PingPong(0, KtProcessors() - 1);
    PingPong(1, KtProcessors() - 1);
}

static VOID PingPongAnywhere(VOID)
{
    PingPong(KT_ANYWHERE, KT_ANYWHERE);
}

/* ------------------------------------------------------------------ L43 under fire: every
 * processor sets and takes; a set that found it clear is taken once. */

#define TAKERS 8

static struct
{
    KEVENT Event;
    volatile LONG Sets;  /* that found it clear: locked add */
    volatile LONG Takes; /* locked add */
    volatile LONG Stop;
    KT_THREAD Takers[TAKERS];
} Fire;

static VOID Take(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!ReadAcquire(&Fire.Stop))
    {
        KtWait(&Fire.Event);
        InterlockedIncrement(&Fire.Takes);
    }
}

static VOID SetMany(PVOID Context, ULONG Processor)
{
    ULONG64 End = KtNow() + KtBudget();

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Round = 0; Round < 4 || KtNow() < End; Round++)
    {
        if (KeSetEvent(&Fire.Event, EVENT_INCREMENT, FALSE) == 0)
        {
            InterlockedIncrement(&Fire.Sets);
        }
    }
}

static VOID EachSetIsTakenOnce(VOID)
{
    RtlZeroMemory(&Fire, sizeof(Fire));
    KeInitializeEvent(&Fire.Event, SynchronizationEvent, FALSE);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtCreateThread(&Fire.Takers[Index], Take, NULL, KI_DEFAULT_PRIORITY + 1, KT_ANYWHERE);
    }
    KtParallel(SetMany, NULL);
    KT_CHECK(KtWaitFor(&Fire.Takes, Fire.Sets, WAIT_LIMIT), "%d sets, %d takes", Fire.Sets,
             Fire.Takes);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtAwaitBlocked(&Fire.Takers[Index]);
    }
    KT_CHECK(Fire.Takes == Fire.Sets, "%d sets, %d takes", Fire.Sets, Fire.Takes);
    WriteRelease(&Fire.Stop, TRUE);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        while (Fire.Takers[Index].Thread.Header.SignalState == 0)
        {
            KeSetEvent(&Fire.Event, EVENT_INCREMENT, FALSE);
            KiYieldThread();
        }
        KtJoinThread(&Fire.Takers[Index]);
    }
}

/* ------------------------------------------------------------------ Wait = TRUE. */

static VOID SetAndWait(VOID)
{
    KEVENT First, Second;

    KeInitializeEvent(&First, NotificationEvent, FALSE);
    KeInitializeEvent(&Second, NotificationEvent, TRUE);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= APC_LEVEL; Level++)
    {
        KIRQL OldIrql;

        KeRaiseIrql(Level, &OldIrql);
        KeSetEvent(&First, IO_NO_INCREMENT, TRUE);
        KT_CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL, "IRQL %u after Wait = TRUE",
                 KeGetCurrentIrql());
        KT_CHECK(KtWait(&Second) == STATUS_SUCCESS, "the wait");
        KT_CHECK(KeGetCurrentIrql() == Level, "IRQL %u, before it %u", KeGetCurrentIrql(), Level);
        KeLowerIrql(OldIrql);
    }
}

static VOID SetWithWaitAtDispatch(PVOID Context)
{
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    KeSetEvent(Context, IO_NO_INCREMENT, TRUE);
    KeLowerIrql(OldIrql);
}

static VOID SetAboveDispatch(PVOID Context)
{
    KIRQL OldIrql;

    KeRaiseIrql(SYNCH_LEVEL, &OldIrql);
    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    KeLowerIrql(OldIrql);
}

static VOID WrongIrqlStops(VOID)
{
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, SetWithWaitAtDispatch, &Event);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, SetAboveDispatch, &Event);
}

static const KT_CASE Cases[] = {
    {"event-L45-returns-previous-state", ReturnsPreviousState, 0, FALSE},
    {"event-L45-set-is-idempotent", SetIsIdempotent, 0, FALSE},
    {"event-L43-L46-one-per-set-in-order", OnePerSetInOrder, 0, FALSE},
    {"event-L44-notification-releases-all", NotificationReleasesAll, 0, FALSE},
    {"event-L48-pulse-releases-who-waits", PulseReleasesWhoWaits, 0, FALSE},
    {"event-L47-ping-pong-here", PingPongHere, 0, FALSE},
    {"event-L47-ping-pong-across", PingPongAcross, 2, FALSE},
    {"event-L47-ping-pong-anywhere", PingPongAnywhere, 0, FALSE},
    {"event-L43-each-set-is-taken-once", EachSetIsTakenOnce, 0, FALSE},
    {"event-set-and-wait", SetAndWait, 0, FALSE},
    {"event-wrong-irql-stops", WrongIrqlStops, 0, TRUE},
};

KT_DEFINE_SUITE(KtEventSuite, "ke", Cases);
