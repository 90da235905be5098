/* SPDX-License-Identifier: MIT */
/*
 * spinlock.c - ticket spin locks, the word behind KSPIN_LOCK.
 *
 * PURPOSE
 *   Between acquire and release exactly one processor runs, and nothing that wants the same lock
 *   can interrupt it. The first half is the ticket; the second is the IRQL, and on one processor it
 *   is the half that matters: a DPC that interrupted the holder would spin for ever on a processor
 *   whose owner cannot run.
 *
 * HOW IT WORKS
 *   A lock is two counters, (next, serving), both zero when it is new.
 *       draw      (n, s) -> (n + 1, s)      one locked add; the drawer holds ticket n
 *       enter     wait until s == n         first come, first served
 *       release   (n, s) -> (n, s + 1)      only the holder writes serving: a plain store
 *   Free means n == s; n - s - 1 processors wait. The counters wrap (at 2^32, in checked builds at
 *   2^16), and far fewer processors draw at once, so equality is exact. Checked builds keep the
 *   owner and the lock's rank in the other half of the word: see lockcheck.c.
 *
 * LOCKS AND IRQL
 *   Raise first, then draw. The other way round, the interrupt that arrives between the two finds
 *   its own processor ahead of it in the queue. For the same reason release comes before lower.
 *   Callers at DISPATCH_LEVEL or above use the AtDpcLevel pair, which never writes CR8.
 *
 * ORDERING
 *   The locked add is a full barrier. Serving is read with acquire order and stored with release
 *   order, and those two pair: whatever the last holder wrote is seen by the next. Neither costs an
 *   instruction on x86; both stop the compiler.
 *
 * FURTHER READING
 *   Microsoft: "Introduction to Spin Locks", "KeAcquireSpinLock", "Multiprocessor-Safe". Intel SDM
 *   3A 9.2 (memory ordering), volume 2 PAUSE. Model: tests/models/ticket.pml. docs/locks.md. Laws
 *   L9-L15, L17.
 */
#include "spinlock.h"

#include "lockcheck.h"

VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    *SpinLock = 0;
}

VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeAcquire(SpinLock, KiLockKindSpin);
    KiDrawTicket((PKI_SPIN_LOCK)SpinLock);
    KiLockCheckAfterAcquire(SpinLock, KiLockKindSpin);
}

VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeRelease(SpinLock, KiLockKindSpin);
    KiGiveTicket((PKI_SPIN_LOCK)SpinLock);
}

KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (KI_LOCK_TWIN(KiTwinRaiseAfterDraw, (PKI_SPIN_LOCK)SpinLock))
    {
        KiDrawTicket((PKI_SPIN_LOCK)SpinLock);
        KI_TWIN_DELAY(KiTwinRaiseAfterDraw);
        OldIrql = KiRaiseIrqlToDpcLevel();
        KiLockCheckAfterAcquire(SpinLock, KiLockKindSpin);
        return OldIrql;
    }
    OldIrql = KiRaiseIrqlToDpcLevel(); /* before the draw: see LOCKS AND IRQL */
    KiLockCheckBeforeAcquire(SpinLock, KiLockKindSpin);
    KiDrawTicket((PKI_SPIN_LOCK)SpinLock);
    KiLockCheckAfterAcquire(SpinLock, KiLockKindSpin);
    return OldIrql;
}

VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KiLockCheckBeforeRelease(SpinLock, KiLockKindSpin);
    KiGiveTicket((PKI_SPIN_LOCK)SpinLock);
    KiLowerIrql(NewIrql);
}

/* An ordinary DPC is at DISPATCH_LEVEL already, a threaded one is not: raising if needed serves
 * both, and that is what KiRaiseIrqlToDpcLevel does. */
KIRQL KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock)
{
    return KeAcquireSpinLockRaiseToDpc(SpinLock);
}

VOID KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KeReleaseSpinLock(SpinLock, OldIrql);
}

/* Takes the next ticket only if it is being served: (n, n) -> (n + 1, n) in one compare-exchange of
 * both counters. */
BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    PKI_SPIN_LOCK Lock = (PKI_SPIN_LOCK)SpinLock;
    KI_SPIN_LOCK Old, New;

    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    Old.Word = (KSPIN_LOCK)ReadNoFence64((volatile LONG64 *)SpinLock);
    if (Old.Next != Old.Serving)
    {
        return FALSE;
    }
    New = Old;
    New.Next++;
    if (InterlockedCompareExchange64((volatile LONG64 *)&Lock->Word, (LONG64)New.Word,
                                     (LONG64)Old.Word) != (LONG64)Old.Word)
    {
        return FALSE;
    }
    KiLockCheckAfterAcquire(SpinLock, KiLockKindSpin);
    return TRUE;
}

BOOLEAN KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    KI_SPIN_LOCK Lock = {.Word = (KSPIN_LOCK)ReadNoFence64((volatile LONG64 *)SpinLock)};

    if (Lock.Next != Lock.Serving)
    {
        YieldProcessor();
        return FALSE;
    }
    return TRUE;
}
