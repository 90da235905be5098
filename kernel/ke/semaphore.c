/* SPDX-License-Identifier: MIT */
/*
 * semaphore.c - semaphores: a count that waits take one from.
 *
 * 0 <= count <= Limit at every instant: a release that would exceed it changes nothing and raises a
 * status. Microsoft: "Semaphore Objects". docs/waits.md. Laws L55-L57.
 */
#include <ex.h>

#include "wait.h"

VOID KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KI_ASSERT_VALUES(Count >= 0 && Limit > 0 && Count <= Limit, Count, Limit);
    KiInitializeHeader(&Semaphore->Header, SemaphoreObject, Count);
    Semaphore->Limit = Limit;
}

LONG KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait)
{
    KI_SIGNAL Signal;
    LONG Old;

    KI_ASSERT_IRQL_MAX(Wait ? PASSIVE_LEVEL : DISPATCH_LEVEL);
    KiBeginSignal(&Signal, &Semaphore->Header);
    Old = Semaphore->Header.SignalState;
    if (Adjustment <= 0 || Adjustment > Semaphore->Limit - Old)
    {
        KiEndSignal(&Signal, Increment, FALSE);
        ExRaiseStatus(STATUS_SEMAPHORE_LIMIT_EXCEEDED);
    }
    Semaphore->Header.SignalState = Old + Adjustment;
    if (Old == 0)
    {
        KiReleaseWaiters(&Signal);
    }
    KiEndSignal(&Signal, Increment, Wait);
    return Old;
}

LONG KeReadStateSemaphore(PRKSEMAPHORE Semaphore)
{
    return ReadNoFence(&Semaphore->Header.SignalState);
}
