/* SPDX-License-Identifier: MIT */
/*
 * guardedmutex.c - guarded mutexes: the mutex word (mutexword.h) in a guarded region, so that no
 * APC of any kind runs on the owner. Its IRQL stays what it was.
 */
#include "mutexword.h"

/* Unsafe: no APC may run here already. */
#define ASSERT_GUARDED() KI_ASSERT_VALUES(KeAreAllApcsDisabled(), KeGetCurrentIrql(), Mutex)

VOID KeInitializeGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KiInitializeMutexWord(Mutex);
}

/* The region before the word: an APC between the two would find its own thread waiting or owning.
 */
VOID KeAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KeEnterGuardedRegion();
    KiAcquireMutexWord(Mutex, WrGuardedMutex);
}

BOOLEAN KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KeEnterGuardedRegion();
    if (KiTryToAcquireMutexWord(Mutex))
    {
        return TRUE;
    }
    KeLeaveGuardedRegion();
    return FALSE;
}

VOID KeReleaseGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KiReleaseMutexWord(Mutex);
    KeLeaveGuardedRegion();
}

VOID KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX Mutex)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    ASSERT_GUARDED();
    KiAcquireMutexWord(Mutex, WrGuardedMutex);
}

VOID KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX Mutex)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    ASSERT_GUARDED();
    KiReleaseMutexWord(Mutex);
}
