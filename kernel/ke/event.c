/* SPDX-License-Identifier: MIT */
/*
 * event.c - events: a bit that threads wait for.
 *
 * (state, waiters): a notification event lets all through while it is 1; a synchronization event
 * lets one through and is 0 again. Microsoft: "Event Objects". docs/waits.md. Laws L43-L48.
 */
#include "spinlock.h"
#include "twin.h"
#include "wait.h"

VOID KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    KiInitializeHeader(
        &Event->Header,
        Type == NotificationEvent ? EventNotificationObject : EventSynchronizationObject, State);
}

/* With Wait the caller is about to wait: he must be a thread that may. */
static VOID KiAssertMaySignal(BOOLEAN Wait)
{
    KI_ASSERT_IRQL_MAX(Wait ? APC_LEVEL : DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(Wait);
}

LONG KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    KI_SIGNAL Signal;
    LONG Old;

    KiAssertMaySignal(Wait);
    KiBeginSignal(&Signal, &Event->Header);
    Old = Event->Header.SignalState;
    Event->Header.SignalState = 1;
    if (Old == 0)
    {
        KiReleaseWaiters(&Signal);
    }
    KiEndSignal(&Signal, Increment, Wait);
    return Old;
}

LONG KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    KI_SIGNAL Signal;
    LONG Old;

    KiAssertMaySignal(Wait);
    KiBeginSignal(&Signal, &Event->Header);
    Old = Event->Header.SignalState;
    Event->Header.SignalState = 1;
    if (Old == 0)
    {
        KiReleaseWaiters(&Signal);
    }
    if (!KI_TWIN(KiTwinPulseStaysSet))
    {
        Event->Header.SignalState = 0;
    }
    KiEndSignal(&Signal, Increment, Wait);
    return Old;
}

LONG KeResetEvent(PRKEVENT Event)
{
    KIRQL OldIrql;
    LONG Old;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KeAcquireSpinLockRaiseToDpc(&Event->Header.Lock);
    Old = Event->Header.SignalState;
    Event->Header.SignalState = 0;
    KeReleaseSpinLock(&Event->Header.Lock, OldIrql);
    return Old;
}

VOID KeClearEvent(PRKEVENT Event)
{
    KeResetEvent(Event);
}

LONG KeReadStateEvent(PRKEVENT Event)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return ReadNoFence(&Event->Header.SignalState);
}
