/* SPDX-License-Identifier: MIT */
/* mutexword.c - the mutex word's slow path, and what checked builds say of it. See mutexword.h. */
#include "mutexword.h"

VOID KiInitializeMutexWord(PFAST_MUTEX Mutex)
{
    Mutex->Count = KI_MUTEX_FREE;
    Mutex->Owner = NULL;
    Mutex->Contention = 0;
    Mutex->OldIrql = PASSIVE_LEVEL;
    KeInitializeEvent(&Mutex->Event, SynchronizationEvent, FALSE);
}

VOID KiWaitForMutexWord(PFAST_MUTEX Mutex, KWAIT_REASON Reason)
{
    InterlockedIncrement(&Mutex->Contention);
    KeWaitForSingleObject(&Mutex->Event, Reason, KernelMode, FALSE, NULL);
}

#if DBG

#define VERIFIER_SELF_DEADLOCK 0x1000u
#define VERIFIER_FOREIGN_RELEASE 0x1004u
#define VERIFIER_NOT_ACQUIRED 0x1007u

/* Only the calling thread can make itself the owner, so its own answer is exact; somebody else's is
 * a moment's. */
VOID KiCheckMutexAcquire(PFAST_MUTEX Mutex)
{
    if (Mutex->Owner == KI_CURRENT_PRCB->CurrentThread)
    {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, VERIFIER_SELF_DEADLOCK, (ULONG_PTR)Mutex,
                     0, 0);
    }
}

VOID KiCheckMutexRelease(PFAST_MUTEX Mutex)
{
    PKTHREAD Owner = Mutex->Owner;
    PKTHREAD Thread = KI_CURRENT_PRCB->CurrentThread;

    if (Owner == NULL)
    {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, VERIFIER_NOT_ACQUIRED, (ULONG_PTR)Mutex, 0,
                     0);
    }
    if (Owner != Thread)
    {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, VERIFIER_FOREIGN_RELEASE, (ULONG_PTR)Mutex,
                     (ULONG_PTR)Owner, (ULONG_PTR)Thread);
    }
}

#endif
