/* SPDX-License-Identifier: MIT */
/*
 * rwspinlock.c - reader/writer spin locks, the 32-bit word behind EX_SPIN_LOCK.
 *
 * PURPOSE
 *   Readers together, a writer alone, at DISPATCH_LEVEL or above; and no reader goes in while a
 *   writer waits, so that readers who come and go cannot keep a writer out.
 *
 * HOW IT WORKS
 *   A ticket lock (kernel/ke/spinlock.c) for the writers, and a count of readers beside it:
 *   (readers, serving, next), all zero when it is new. next != serving: some writer is inside or
 *   waits.
 *       acquire shared       (r, s, s) -> (r + 1, s, s)      a compare-exchange; while next != s,
 *                                                            wait
 *       release shared       (r, s, n) -> (r - 1, s, n)      one locked subtraction
 *       acquire exclusive    (r, s, n) -> (r, s, n + 1)      one locked add: ticket n; no reader
 *                                                            goes in from now on
 *                            wait for (0, n, -)              the earlier tickets are served, and
 *                                                            the readers that were inside are out
 *       release exclusive    (0, s, n) -> (0, s + 1, n)      one locked add
 *       convert              (1, s, s) -> (0, s, s + 1)      or FALSE
 *   Writers are served in order of arrival. Readers get in only when no writer is left: writers
 *   that never cease keep readers out, which is what the law asks (L16). The tickets wrap; there
 *   are more of them than processors, so equality is exact.
 *
 * LOCKS AND IRQL
 *   Raise first, then acquire; release, then lower: as in spinlock.c. Not recursive, and for
 *   readers neither: the second acquisition would wait for a writer who waits for the first.
 *   Checked builds find both (lockcheck.c).
 *
 * ORDERING
 *   Every change of the word is one locked instruction, a full barrier; a waiting writer's loads
 *   have acquire order. What a writer wrote, the next reader and the next writer see; what a
 *   reader read, no later writer has written. pairs with: each other.
 *
 * FURTHER READING
 *   Microsoft: "Reader-Writer Spin Locks", "ExAcquireSpinLockExclusive". Model:
 *   tests/models/rwspin.pml. docs/exlocks.md. Law L16.
 */
#include "rwspinlock.h"

#include <ex.h>
#include <lockcheck.h>
#include <twin.h>

C_ASSERT(MAXIMUM_PROCESSORS < EXP_RW_TICKETS);
C_ASSERT(MAXIMUM_PROCESSORS <= EXP_RW_READERS);

/* No writer is inside and none waits. */
FORCEINLINE BOOLEAN ExpMayRead(ULONG Word)
{
    if (KI_TWIN(KiTwinRwReaderJoins) && ExpRwReaders(Word) != 0)
    {
        return TRUE;
    }
    return ExpRwServing(Word) == ExpRwNext(Word);
}

FORCEINLINE BOOLEAN ExpChangeRw(PEX_SPIN_LOCK SpinLock, ULONG Old, ULONG New)
{
    return InterlockedCompareExchange(SpinLock, (LONG)New, (LONG)Old) == (LONG)Old;
}

FORCEINLINE VOID ExpEnterShared(PEX_SPIN_LOCK SpinLock)
{
    ULONG Word = (ULONG)ReadNoFence(SpinLock);

    while (!ExpMayRead(Word) || !ExpChangeRw(SpinLock, Word, Word + 1))
    {
        YieldProcessor();
        Word = (ULONG)ReadNoFence(SpinLock);
    }
}

FORCEINLINE VOID ExpEnterExclusive(PEX_SPIN_LOCK SpinLock)
{
    ULONG Word = (ULONG)InterlockedExchangeAdd(SpinLock, (LONG)EXP_RW_NEXT_ONE);
    ULONG Ticket = ExpRwNext(Word);

    while (ExpRwServing(Word) != Ticket || ExpRwReaders(Word) != 0)
    {
        YieldProcessor();
        Word = (ULONG)ReadAcquire(SpinLock); /* pairs with: ExpLeaveShared, ExpLeaveExclusive */
    }
}

FORCEINLINE VOID ExpLeaveShared(PEX_SPIN_LOCK SpinLock)
{
    InterlockedDecrement(SpinLock);
}

/* Only the holder changes serving, so it may be read beforehand; a carry out of it would be drawn
 * as a ticket. */
FORCEINLINE VOID ExpLeaveExclusive(PEX_SPIN_LOCK SpinLock)
{
    ULONG Serving = ExpRwServing((ULONG)ReadNoFence(SpinLock));
    ULONG Next = (Serving + 1) % EXP_RW_TICKETS;

    InterlockedExchangeAdd(SpinLock, (LONG)((Next - Serving) << EXP_RW_SERVING_SHIFT));
}

/* ------------------------------------------------------------------ At DISPATCH_LEVEL or above. */

VOID ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeAcquireRw(SpinLock);
    ExpEnterShared(SpinLock);
    KiLockCheckAfterAcquireRw(SpinLock, KiLockKindShared);
}

VOID ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeAcquireRw(SpinLock);
    ExpEnterExclusive(SpinLock);
    KiLockCheckAfterAcquireRw(SpinLock, KiLockKindExclusive);
}

VOID ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeReleaseRw(SpinLock, KiLockKindShared);
    ExpLeaveShared(SpinLock);
}

VOID ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeReleaseRw(SpinLock, KiLockKindExclusive);
    ExpLeaveExclusive(SpinLock);
}

BOOLEAN ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    ULONG Word = (ULONG)ReadNoFence(SpinLock);

    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    if (ExpRwReaders(Word) != 1 || ExpRwServing(Word) != ExpRwNext(Word) ||
        !ExpChangeRw(SpinLock, Word, Word - 1 + EXP_RW_NEXT_ONE))
    {
        return FALSE;
    }
    KiLockCheckConverted(SpinLock);
    return TRUE;
}

/* ------------------------------------------------------------------ With the IRQL. */

KIRQL ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)
{
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiRaiseIrqlToDpcLevel();
    KiLockCheckBeforeAcquireRw(SpinLock);
    ExpEnterShared(SpinLock);
    KiLockCheckAfterAcquireRw(SpinLock, KiLockKindShared);
    return OldIrql;
}

KIRQL ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiRaiseIrqlToDpcLevel();
    KiLockCheckBeforeAcquireRw(SpinLock);
    ExpEnterExclusive(SpinLock);
    KiLockCheckAfterAcquireRw(SpinLock, KiLockKindExclusive);
    return OldIrql;
}

VOID ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KiLockCheckBeforeReleaseRw(SpinLock, KiLockKindShared);
    ExpLeaveShared(SpinLock);
    KiLowerIrql(OldIrql);
}

VOID ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KiLockCheckBeforeReleaseRw(SpinLock, KiLockKindExclusive);
    ExpLeaveExclusive(SpinLock);
    KiLowerIrql(OldIrql);
}
