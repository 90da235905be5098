/* SPDX-License-Identifier: MIT */
/*
 * semaphore.c - semaphores: a count that waits take one from.
 *
 * 0 <= count <= Limit at every instant: a release that would exceed it changes nothing and raises a
 * status. Microsoft: "Semaphore Objects". docs/waits.md. Laws L55-L57.
 */
#include <ex.h>

#include "twin.h"
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
    LONG Early = KI_TWIN(KiTwinSemaphoreLooksEarly) ? Semaphore->Header.SignalState : 0;
    LONG Old;

    KI_ASSERT_IRQL_MAX(Wait ? PASSIVE_LEVEL : DISPATCH_LEVEL);
    KI_TWIN_DELAY(KiTwinSemaphoreLooksEarly);
    KiBeginSignal(&Signal, &Semaphore->Header);
    Old = KI_TWIN(KiTwinSemaphoreLooksEarly) ? Early : Semaphore->Header.SignalState;
    if (Adjustment <= 0 ||
        (Adjustment > Semaphore->Limit - Old && !KI_TWIN(KiTwinSemaphoreNoLimit)))
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
