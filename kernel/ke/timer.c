/* SPDX-License-Identifier: MIT */
/*
 * timer.c - timers, and the time-outs of waits.
 *
 * PURPOSE
 *   A timer is a dispatcher object that becomes signaled when its time comes, and queues a DPC then
 *   if it has one. It never does so early; and once it is cancelled or set anew, what it was set to
 *   before does not happen at all.
 *
 * HOW IT WORKS
 *   Each processor has a heap of timers by time (lib/heap.c), served by that processor: its clock
 *   interrupt, or whoever puts in an earlier first timer, sets Due.Timer, and KiRetireDpcList calls
 *   KiExpireTimers on the DPC stack. A timer is (inserted, signaled); its Processor, its home, says
 *   in which heap and so under which lock:
 *       set      (any, any)     -> (yes, no)    TRUE if it was inserted
 *       cancel   (yes, s)       -> (no, s)      TRUE
 *                (no, s)        -> (no, s)      FALSE
 *       expire   (yes, no)      -> (no, yes)    and its DPC is queued; if it has a period, rather
 *                               -> (yes, yes)   at the next point of time in step that is to come
 *   Each is one hold of one lock, so for one timer they happen one after the other. A cancel that
 *   says FALSE has seen the expiry whole: the DPC is queued, and a flush will wait for it. And a
 *   set cannot be overtaken by the signal of the setting that it replaces. (Waiters change signaled
 *   too, under the object's own lock, as with every object.)
 *
 *   A timer that is set moves to the setter's processor: that is where its DPC is wanted, and the
 *   lock is at hand. It moves while it is not inserted, under the old home's lock, and whoever
 *   wants a timer looks at its home again once he has that home's lock. One that is inserted stays
 *   where it is, for between two homes it would be seen as not set at all.
 *
 *   Time is interrupt time, which never goes back and is not set. Due at a system time means due at
 *   that less the clock's offset, and when the clock is set all such timers get new places in their
 *   heaps (systemtime.c). A period begins at the first expiry, so it is relative from then on.
 *
 *   A thread has a timer for its waits' time-outs. It signals nothing: its expiry ends the wait,
 *       (Preparing | Committed) -> (TimedOut)
 *   and only if it was committed is there a thread to be readied.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL, KiRankTimers. Expiry holds the lock while it signals, so dispatcher locks, APC
 *   and thread locks and the DPC queues come after it; it gives the lock back after each timer, so
 *   that a setter waits for one expiry and not for a thousand. Whoever is released by a signal may
 *   free a timer that is not periodic: after the signal expiry touches it no more. A DPC may free
 *   it too, and is queued last.
 *
 * ORDERING
 *   Everything is under a lock but two things. NextDue is read by the clock: its processor lowered
 *   it itself, and then arms the clock after that; or another did, and then Due.Timer and an
 *   interrupt come after that. Due.Timer is cleared before time is read and the heap looked at; an
 *   interrupt that sets it later brings us back. pairs with: KiClockInterrupt.
 *
 * FURTHER READING
 *   Microsoft: "Timer Objects and DPCs", "KeSetTimerEx", "KeSetCoalescableTimer", "KeCancelTimer".
 *   docs/time.md. Laws L58-L65, L70, L71.
 */
#include "timer.h"

#include <arch/hal.h>

#include "clock.h"
#include "spinlock.h"
#include "twin.h"
#include "wait.h"

#define UNITS_PER_MILLISECOND 10000ull

VOID KiInitializeTimers(PKPRCB Prcb)
{
    KiInitializeRankedSpinLock(&Prcb->Timers.Lock, KiRankTimers);
    Prcb->Timers.Root = NULL;
    Prcb->Timers.NextDue = MAXULONG64;
    KiInitializeClock(Prcb);
}

VOID KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    RtlZeroMemory(Timer, sizeof(*Timer));
    KiInitializeHeader(
        &Timer->Header,
        Type == SynchronizationTimer ? TimerSynchronizationObject : TimerNotificationObject, 0);
    Timer->Processor = KeGetCurrentProcessorIndex();
}

VOID KeInitializeTimer(PKTIMER Timer)
{
    KeInitializeTimerEx(Timer, NotificationTimer);
}

BOOLEAN KeReadStateTimer(PKTIMER Timer)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return Timer->Header.SignalState > 0;
}

/* ------------------------------------------------------------------ Points of time. */

/* Where the binary forms of Due - 1 and the last moment that will do first differ, the latter has a
 * 1; all below that cleared, it is still later than Due - 1. */
ULONG64 KiCoalesce(ULONG64 Due, ULONG64 Tolerance)
{
    ULONG64 Last = Due + Tolerance;

    if (Tolerance == 0 || Due == 0 || Last < Due)
    {
        return Due;
    }
    return Last & ~(((ULONG64)1 << (63 - __builtin_clzll((Due - 1) ^ Last))) - 1);
}

/* When it is due, in interrupt time; 0 for what was due before that began. */
static ULONG64 KiTimerDue(PKTIMER Timer)
{
    LONG64 Due = (LONG64)Timer->DueTime;

    if (!Timer->Absolute)
    {
        return Timer->DueTime;
    }
    Due -= KiQuerySystemTimeOffset(); /* pairs with: KiSetSystemTime */
    return Due > 0 ? (ULONG64)Due : 0;
}

ULONG64 KiTimerKey(PKTIMER Timer)
{
    return KiCoalesce(KiTimerDue(Timer), Timer->TolerableDelay * UNITS_PER_MILLISECOND);
}

/* ------------------------------------------------------------------ Heaps and homes. */

VOID KiUnlockTimers(PKPRCB Home, ULONG64 Now)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    PKI_TIMERS Timers = &Home->Timers;
    ULONG64 First = Timers->Root != NULL ? Timers->Root->Key : MAXULONG64;
    BOOLEAN Sooner = First < Timers->NextDue;
    BOOLEAN Serve = Sooner && (Home == Prcb ? First <= Now : !KI_TWIN(KiTwinTimerNoKick));

    Timers->NextDue = First;
    if (Serve)
    {
        Home->Due.Timer = TRUE;
    }
    KiReleaseSpinLock(&Timers->Lock);
    if (Sooner && Home == Prcb)
    {
        BOOLEAN Enabled = ArchDisableInterrupts();

        KiArmClock(Prcb);
        ArchRestoreInterrupts(Enabled);
    }
    else if (Serve)
    {
        KiKickProcessor(Home);
    }
}

/* Takes the lock of the timer's home, and returns whose that is. */
static PKPRCB KiLockTimer(PKTIMER Timer)
{
    for (;;)
    {
        ULONG Processor = ReadULongNoFence(&Timer->Processor);
        PKPRCB Home = KiProcessorBlock[Processor];

        KiAcquireSpinLock(&Home->Timers.Lock);
        if (Timer->Processor == Processor)
        {
            return Home;
        }
        KiReleaseSpinLock(&Home->Timers.Lock); /* somebody has set it meanwhile, and moved it */
    }
}

/* The same for who sets it: moves it here first, if it is not inserted. One try: another setter may
 * move it on, and then that is as good. */
static PKPRCB KiLockTimerToSet(PKTIMER Timer)
{
    PKPRCB Home = KiLockTimer(Timer);
    ULONG Here = KiGetCurrentPrcb()->Index;

    if (Home->Index == Here || Timer->Inserted)
    {
        return Home;
    }
    WriteULongRelease(&Timer->Processor, Here); /* pairs with: KiLockTimer, which has a lock then */
    KiReleaseSpinLock(&Home->Timers.Lock);
    return KiLockTimer(Timer);
}

static VOID KiInsertTimer(PKPRCB Home, PKTIMER Timer, ULONG64 Key)
{
    Timer->HeapNode.Key = Key;
    Timer->Inserted = TRUE;
    RtlpInsertHeap(&Home->Timers.Root, &Timer->HeapNode);
}

/* TRUE if it was inserted. */
static BOOLEAN KiRemoveTimer(PKPRCB Home, PKTIMER Timer)
{
    if (!Timer->Inserted)
    {
        return FALSE;
    }
    RtlpRemoveHeap(&Home->Timers.Root, &Timer->HeapNode);
    Timer->Inserted = FALSE;
    return TRUE;
}

/* Fills in when it is due: DueTime as in KeSetTimer. */
static VOID KiSetDueTime(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG64 Now)
{
    Timer->Absolute = DueTime.QuadPart >= 0;
    Timer->DueTime = Timer->Absolute ? (ULONG64)DueTime.QuadPart : Now + -(ULONG64)DueTime.QuadPart;
}

/* In the past means now: what is set while a pass expires timers is for the next pass, or two
 * processors could keep a third one expiring for ever. */
static ULONG64 KiKeyFromNow(PKTIMER Timer, ULONG64 Now)
{
    ULONG64 Key = KiTimerKey(Timer);

    return Key > Now ? Key : Now;
}

/* ------------------------------------------------------------------ Set and cancel. */

/* Only expiry makes it signaled, and that needs the lock that is held. */
static VOID KiClearTimer(PKTIMER Timer)
{
    if (Timer->Header.SignalState != 0)
    {
        KiAcquireSpinLock(&Timer->Header.Lock);
        Timer->Header.SignalState = 0;
        KiReleaseSpinLock(&Timer->Header.Lock);
    }
}

BOOLEAN KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period,
                              ULONG TolerableDelay, PKDPC Dpc)
{
    BOOLEAN WasInserted;
    KIRQL OldIrql;
    PKPRCB Home;
    ULONG64 Now;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    KI_ASSERT_VALUES(Timer->Header.Type == TimerNotificationObject ||
                         Timer->Header.Type == TimerSynchronizationObject,
                     Timer, Timer->Header.Type);
    KI_ASSERT_VALUES(Period <= MAXLONG, Timer, Period);
#if DBG
    if (Dpc != NULL && Dpc->DeferredRoutine == NULL)
    {
        KeBugCheckEx(TIMER_OR_DPC_INVALID, 0, (ULONG_PTR)Dpc, 0, 0);
    }
#endif
    OldIrql = KiRaiseIrqlToDpcLevel();
    Home = KiLockTimerToSet(Timer);
    WasInserted = KiRemoveTimer(Home, Timer);
    KiClearTimer(Timer);
    Now = KeQueryInterruptTime();
    KiSetDueTime(Timer, DueTime, Now);
    Timer->Period = Period;
    Timer->TolerableDelay = TolerableDelay;
    Timer->Dpc = Dpc;
    KiInsertTimer(Home, Timer, KiKeyFromNow(Timer, Now));
    KiUnlockTimers(Home, Now);
    KiLowerIrql(OldIrql);
    return WasInserted;
}

BOOLEAN KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc)
{
    return KeSetCoalescableTimer(Timer, DueTime, (ULONG)Period, 0, Dpc);
}

BOOLEAN KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc)
{
    return KeSetCoalescableTimer(Timer, DueTime, 0, 0, Dpc);
}

BOOLEAN KeCancelTimer(PKTIMER Timer)
{
    BOOLEAN Guess = Timer->Inserted;
    BOOLEAN WasInserted;
    KIRQL OldIrql;
    PKPRCB Home;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    KI_TWIN_DELAY(KiTwinTimerCancelGuess);
    OldIrql = KiRaiseIrqlToDpcLevel();
    Home = KiLockTimer(Timer);
    WasInserted = KiRemoveTimer(Home, Timer);
    KiUnlockTimers(Home, 0); /* its first timer is no earlier than it was */
    KiLowerIrql(OldIrql);
    return KI_TWIN(KiTwinTimerCancelGuess) ? Guess : WasInserted;
}

/* ------------------------------------------------------------------ Time-outs. */

/* Only the thread itself sets its timer and takes it back, so its home is where it is now. */
VOID KiSetTimeout(PKTHREAD Thread, LARGE_INTEGER Timeout)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    PKTIMER Timer = &Thread->Timer;
    ULONG64 Now;

    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KI_ASSERT_VALUES(!Timer->Inserted, Thread, Timeout.QuadPart);
    KiAcquireSpinLock(&Prcb->Timers.Lock);
    Timer->Processor = Prcb->Index;
    Now = KeQueryInterruptTime();
    KiSetDueTime(Timer, Timeout, Now);
    KiInsertTimer(Prcb, Timer, KiKeyFromNow(Timer, Now));
    KiUnlockTimers(Prcb, Now);
}

/* With the lock even if it has expired: the expiry may not have got to WaitState yet, and must not
 * find the thread's next wait there. */
BOOLEAN KiCancelTimeout(PKTHREAD Thread)
{
    BOOLEAN WasInserted;
    PKPRCB Home;

    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    Home = KiProcessorBlock[Thread->Timer.Processor];
    KiAcquireSpinLock(&Home->Timers.Lock);
    WasInserted = KiRemoveTimer(Home, &Thread->Timer);
    KiUnlockTimers(Home, 0);
    return WasInserted;
}

/* (Preparing | Committed) -> (TimedOut). A wait that is being prepared sees it when it commits. */
static VOID KiExpireTimeout(PKTHREAD Thread)
{
    if (KiDecideWait(Thread, KI_WAIT_TIMED_OUT) == KI_WAIT_COMMITTED)
    {
        KiUnwaitThread(Thread, 0);
    }
}

/* ------------------------------------------------------------------ Expiry. */

/* Puts a periodic timer back in: the first point in step with the last that is later than Now. */
static VOID KiBeginPeriod(PKPRCB Home, PKTIMER Timer, ULONG64 Now)
{
    ULONG64 Period = Timer->Period * UNITS_PER_MILLISECOND;
    ULONG64 Due = KiTimerDue(Timer);
    ULONG64 Missed = Now > Due ? (Now - Due) / Period : 0;

    Timer->Absolute = FALSE;
    Timer->DueTime = Due + (Missed + 1) * Period;
    KiInsertTimer(Home, Timer, KiTimerKey(Timer));
}

/* (yes, no) -> (no, yes) or (yes, yes). What is needed after the signal is read before it. */
static VOID KiExpireTimer(PKPRCB Home, PKTIMER Timer, ULONG64 Now)
{
    PKDPC Dpc = Timer->Dpc;
    KI_SIGNAL Signal;

    if (Timer->Period != 0)
    {
        KiBeginPeriod(Home, Timer, Now);
    }
    if (KI_TWIN(KiTwinTimerTwoHolds))
    {
        KiUnlockTimers(Home, 0);
        KI_TWIN_DELAY(KiTwinTimerTwoHolds);
        KiAcquireSpinLock(&Home->Timers.Lock);
    }
    KiBeginSignalAtDpcLevel(&Signal, &Timer->Header);
    Timer->Header.SignalState = 1;
    KiReleaseWaiters(&Signal);
    KiEndSignalAtDpcLevel(&Signal, 0);
    if (Dpc != NULL)
    {
        LARGE_INTEGER Time = {.QuadPart = (LONGLONG)Now + KiQuerySystemTimeOffset()};

        KeInsertQueueDpc(Dpc, (PVOID)(ULONG_PTR)Time.LowPart,
                         (PVOID)(ULONG_PTR)(ULONG)Time.HighPart);
    }
}

/* Expires the first timer if it is due. Under the lock. */
static BOOLEAN KiExpireFirst(PKPRCB Prcb, ULONG64 Now)
{
    PRTLP_HEAP_NODE First = Prcb->Timers.Root;
    PKTIMER Timer;

    if (First == NULL || First->Key > Now)
    {
        return FALSE;
    }
    Timer = CONTAINING_RECORD(First, KTIMER, HeapNode);
    KiRemoveTimer(Prcb, Timer);
    Prcb->Timers.Expirations++;
    if (Timer->Header.Type == KI_TIMEOUT_OBJECT)
    {
        KiExpireTimeout(CONTAINING_RECORD(Timer, KTHREAD, Timer));
    }
    else
    {
        KiExpireTimer(Prcb, Timer, Now);
    }
    return TRUE;
}

/* One pass: what is due when it begins. Bounded, for what is put in meanwhile is due later. */
VOID KiExpireTimers(PKPRCB Prcb)
{
    ULONG64 Now;

    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KiAcquireSpinLock(&Prcb->Timers.Lock);
    Prcb->Due.Timer = FALSE;
    KeMemoryBarrierWithoutFence(); /* pairs with: KiClockInterrupt */
    Now = KeQueryInterruptTime() + (KI_TWIN(KiTwinTimerEarly) ? KI_TICK_LENGTH : 0);
    while (KiExpireFirst(Prcb, Now))
    {
        KiUnlockTimers(Prcb, 0);
        KiAcquireSpinLock(&Prcb->Timers.Lock);
    }
    KiUnlockTimers(Prcb, 0);
    _disable();
    KiArmClock(Prcb);
    _enable();
}
