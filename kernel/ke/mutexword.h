/* SPDX-License-Identifier: MIT */
/*
 * mutexword.h - the word that fast mutexes and guarded mutexes are made of: handed over directly.
 *
 * PURPOSE
 *   One thread at a time, for the price of one locked instruction at either end while nobody
 *   waits. What differs between the two kinds is how each keeps APCs out: kernel/ex/fastmutex.c
 *   raises the IRQL, guardedmutex.c enters a guarded region.
 *
 * HOW IT WORKS
 *   (count, event): 1 is free, 0 held, -n held while n wait. The event is a synchronization event;
 *   that it is set means that the mutex belongs to one of those who wait.
 *       acquire    (1, -) -> (0, -)          mine
 *                  (-n, e) -> (-n - 1, e)    wait for the event, and then it is mine
 *       try        (1, -) -> (0, -)          or FALSE
 *       release    (0, -) -> (1, -)          free
 *                  (-n, -) -> (-n + 1, set)  n > 0: still held, by whoever the event lets through
 *   No wake-up is lost, and none is given twice: releases come from owners only, and between the
 *   set and its consumption there is none; so the event is set at most once at a time, and each
 *   set meets a thread that has counted itself and waits for the event or is about to. Events
 *   serve in order of arrival, so this mutex does. The price of that is a switch for each release
 *   that finds somebody waiting.
 *
 * LOCKS AND IRQL
 *   IRQL <= APC_LEVEL. No APC may run on an owner that could want the mutex again: see above.
 *   After its locked instruction a release touches nothing but the event, and that only while
 *   somebody cannot get on without it; so the last owner may free the mutex.
 *
 * ORDERING
 *   Both locked instructions are full barriers, and so are the event's.
 *
 * FURTHER READING
 *   Microsoft: "Fast Mutexes and Guarded Mutexes". docs/exlocks.md.
 */
#pragma once

#include <ex.h>
#include <ki.h>

#include "twin.h"

#define KI_MUTEX_FREE 1

VOID KiInitializeMutexWord(PFAST_MUTEX Mutex);

/* Counts the wait and waits for the event. The caller has taken the count below 0. */
VOID KiWaitForMutexWord(PFAST_MUTEX Mutex, KWAIT_REASON Reason);

#if DBG
/* Stops for a second acquisition by the owner, and for a release by somebody else. */
VOID KiCheckMutexAcquire(PFAST_MUTEX Mutex);
VOID KiCheckMutexRelease(PFAST_MUTEX Mutex);
#else
#define KiCheckMutexAcquire(Mutex) ((void)0)
#define KiCheckMutexRelease(Mutex) ((void)0)
#endif

FORCEINLINE VOID KiAcquireMutexWord(PFAST_MUTEX Mutex, KWAIT_REASON Reason)
{
    KiCheckMutexAcquire(Mutex);
    if (InterlockedDecrement(&Mutex->Count) != 0)
    {
        KiWaitForMutexWord(Mutex, Reason);
    }
    Mutex->Owner = KI_CURRENT_PRCB->CurrentThread;
}

FORCEINLINE BOOLEAN KiTryToAcquireMutexWord(PFAST_MUTEX Mutex)
{
    if (ReadNoFence(&Mutex->Count) != KI_MUTEX_FREE ||
        InterlockedCompareExchange(&Mutex->Count, 0, KI_MUTEX_FREE) != KI_MUTEX_FREE)
    {
        return FALSE;
    }
    Mutex->Owner = KI_CURRENT_PRCB->CurrentThread;
    return TRUE;
}

FORCEINLINE VOID KiReleaseMutexWord(PFAST_MUTEX Mutex)
{
    KiCheckMutexRelease(Mutex);
    Mutex->Owner = NULL;
    if (InterlockedIncrement(&Mutex->Count) != KI_MUTEX_FREE && !KI_TWIN(KiTwinFastMutexNoWake))
    {
        KeSetEvent(&Mutex->Event, EVENT_INCREMENT, FALSE);
    }
}
