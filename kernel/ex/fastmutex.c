/* SPDX-License-Identifier: MIT */
/*
 * fastmutex.c - fast mutexes: the mutex word (mutexword.h) at APC_LEVEL, so that no APC runs on the
 * owner. Raise before acquiring, release before lowering: an APC between the two would find its own
 * thread waiting or owning.
 */
#include <mutexword.h>

#include "verify.h"

/* What the verifier calls each wrong level: IRQL, mutex / IRQL, APC disable count, mutex. */
#define VERIFIER_ACQUIRE_ABOVE_APC 0x33u
#define VERIFIER_RELEASE_NOT_AT_APC 0x34u
#define VERIFIER_ACQUIRE_UNSAFE 0x39u
#define VERIFIER_RELEASE_UNSAFE 0x3Au

VOID ExInitializeFastMutex(PFAST_MUTEX FastMutex)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    KiInitializeMutexWord(FastMutex);
}

VOID ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql;

    EXP_VERIFY(KeGetCurrentIrql() <= APC_LEVEL, VERIFIER_ACQUIRE_ABOVE_APC, FastMutex, 0);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KiAcquireMutexWord(FastMutex, WrFastMutex);
    FastMutex->OldIrql = OldIrql;
}

BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql;

    EXP_VERIFY(KeGetCurrentIrql() <= APC_LEVEL, VERIFIER_ACQUIRE_ABOVE_APC, FastMutex, 0);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    if (KiTryToAcquireMutexWord(FastMutex))
    {
        FastMutex->OldIrql = OldIrql;
        return TRUE;
    }
    KeLowerIrql(OldIrql);
    return FALSE;
}

VOID ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql = (KIRQL)FastMutex->OldIrql; /* the next owner's, once it is released */

    EXP_VERIFY(KeGetCurrentIrql() == APC_LEVEL, VERIFIER_RELEASE_NOT_AT_APC, FastMutex, 0);
    KiReleaseMutexWord(FastMutex);
    KeLowerIrql(OldIrql);
}

VOID ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    EXP_VERIFY_NO_APCS(VERIFIER_ACQUIRE_UNSAFE, FastMutex);
    KiAcquireMutexWord(FastMutex, WrFastMutex);
}

VOID ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    EXP_VERIFY_NO_APCS(VERIFIER_RELEASE_UNSAFE, FastMutex);
    KiReleaseMutexWord(FastMutex);
}
