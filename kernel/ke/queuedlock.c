/* SPDX-License-Identifier: MIT */
/*
 * queuedlock.c - in-stack queued spin locks: first come, first served, each waiter on its own line.
 *
 * PURPOSE
 *   Under contention a ticket lock's waiters all watch one word, and each release makes every one
 *   of them fetch it again. Here each waits on its own node and a release touches only the next
 *   one.
 *
 * HOW IT WORKS
 *   The lock word is the tail: NULL while free, else the last node of the queue (Mellor-Crummey and
 *   Scott, "Algorithms for Scalable Synchronization", 1991). Per node (Next, Waiting), where
 *   Waiting is bit 0 of LockQueue.Lock:
 *       enqueue    tail: t -> me                        one exchange; it decides the order
 *         t == NULL   mine
 *         t != NULL   (-, 1); t.Next = me; wait for (-, 0)
 *       release    Next == NULL: tail: me -> NULL       compare-exchange; on failure somebody is
 *                                                       between his exchange and his link: wait for
 *                                                       Next
 *                  Next != NULL: Next.Waiting = 0       the lock is handed over
 *
 * LOCKS AND IRQL
 *   As for spinlock.c: raise, then enqueue; hand over, then lower. The node is on the caller's
 *   stack, so it must live until the release, and is nobody's afterwards. A release may wait for
 *   the next in line to link himself, and he may be in an ISR just then: release in the reverse
 *   order of acquisition, so that no interrupt lock is held meanwhile.
 *
 * ORDERING
 *   The exchange is a full barrier: the node is initialized before others can find it. Waiting is
 *   cleared with release and read with acquire. pairs with: each other, and Next's store with its
 *   load in the release.
 *
 * FURTHER READING
 *   Microsoft: "Queued Spin Locks", "KeAcquireInStackQueuedSpinLock". Model: tests/models/mcs.pml.
 *   docs/locks.md. Laws L9-L12, L15, L17.
 */
#include "ki.h"

#include "lockcheck.h"

#define QUEUE_WAITING 1ull

static DECLSPEC_NOINLINE VOID KiWaitInQueue(PKSPIN_LOCK_QUEUE Node, PKSPIN_LOCK_QUEUE Previous)
{
    Node->Lock = (PKSPIN_LOCK)((ULONG_PTR)Node->Lock | QUEUE_WAITING);
    WritePointerRelease(&Previous->Next, Node); /* pairs with: KiDequeue's load of Next */

    /* pairs with: KiDequeue's store of Lock */
    while ((ULONG_PTR)ReadPointerAcquire(&Node->Lock) & QUEUE_WAITING)
    {
        YieldProcessor();
    }
}

FORCEINLINE VOID KiEnqueue(PKSPIN_LOCK SpinLock, PKSPIN_LOCK_QUEUE Node)
{
    PKSPIN_LOCK_QUEUE Previous;

    Node->Next = NULL;
    Node->Lock = SpinLock;
    Previous = InterlockedExchangePointer((PVOID volatile *)SpinLock, Node);
    if (Previous != NULL)
    {
        KiWaitInQueue(Node, Previous);
    }
}

FORCEINLINE VOID KiDequeue(PKSPIN_LOCK_QUEUE Node)
{
    PVOID volatile *Tail = (PVOID volatile *)Node->Lock;
    PKSPIN_LOCK_QUEUE Next = ReadPointerAcquire(&Node->Next); /* pairs with: KiWaitInQueue */

    if (Next == NULL)
    {
        if (InterlockedCompareExchangePointer(Tail, NULL, Node) == Node)
        {
            return;
        }
        /* Somebody is in the queue behind us; his link is a few instructions away. */
        while ((Next = ReadPointerAcquire(&Node->Next)) == NULL)
        {
            YieldProcessor();
        }
    }
    /* pairs with: KiWaitInQueue's wait */
    WritePointerRelease(&Next->Lock, (PKSPIN_LOCK)((ULONG_PTR)Next->Lock & ~QUEUE_WAITING));
}

VOID KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeAcquire(SpinLock, KiLockKindQueued);
    KiEnqueue(SpinLock, &LockHandle->LockQueue);
    KiLockCheckAfterAcquire(SpinLock, KiLockKindQueued);
}

VOID KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    KiLockCheckBeforeRelease(LockHandle->LockQueue.Lock, KiLockKindQueued);
    KiDequeue(&LockHandle->LockQueue);
}

VOID KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiRaiseIrqlToDpcLevel();
    KeAcquireInStackQueuedSpinLockAtDpcLevel(SpinLock, LockHandle);
    LockHandle->OldIrql = OldIrql;
}

VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KIRQL OldIrql = LockHandle->OldIrql;

    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(LockHandle);
    KiLowerIrql(OldIrql);
}

VOID KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeAcquireInStackQueuedSpinLock(SpinLock, LockHandle);
}

VOID KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeReleaseInStackQueuedSpinLock(LockHandle);
}
