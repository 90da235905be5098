/* SPDX-License-Identifier: MIT */
/*
 * waitall.c - waiting for all of several objects at once.
 *
 * PURPOSE
 *   All side effects happen at one instant, when every object is signaled, and none before. Nobody
 *   ever holds some of them while he waits for the others, so two threads that name the same
 *   objects in opposite orders cannot deadlock.
 *
 * HOW IT WORKS
 *   To look at several objects at one instant is to hold several objects' locks. Whoever does that
 *   holds KiWaitAllLock first, and everybody else holds one object's lock at a time and asks for
 *   no second: so there is no cycle. The price is paid by those who use it: a wait for all, and who
 *   signals an object that somebody so waits for (WaitAllCount, under the object's lock); see
 *   KiBeginSignal. Others only ever take signals away, and that satisfies nobody.
 *       who signals:  WaitAllLock, his object's lock; for each wait-all block, in order: the locks
 *                     of that wait's other objects; all signaled? WaitState -> Satisfied, all side
 *                     effects, the locks back
 *   The word WaitState decides as in every wait. The waiter's blocks and its array of objects are
 *   his until he has taken KiWaitAllLock to clean up, so who holds it may read them.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL. KiWaitAllLock, then objects' locks in any order, each once: the same object
 *   twice in one wait is refused.
 *
 * FURTHER READING
 *   Microsoft: "KeWaitForMultipleObjects". docs/waits.md; tests/models/waitall.pml. Laws L66, L71.
 */
#include "spinlock.h"
#include "twin.h"
#include "wait.h"

KSPIN_LOCK KiWaitAllLock = KI_RANKED_SPIN_LOCK(KiRankWaitAll);

/* The locks of one rank that may be held together, because KiWaitAllLock is: taken without the
 * rank's check. */
static VOID KiLockOthers(PKWAIT_BLOCK Blocks, ULONG Count, PDISPATCHER_HEADER Held)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        if (Blocks[Index].Object != Held)
        {
            KiDrawTicket((PKI_SPIN_LOCK)&Blocks[Index].Object->Lock);
        }
    }
}

static VOID KiUnlockOthers(PKWAIT_BLOCK Blocks, ULONG Count, PDISPATCHER_HEADER Held)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        if (Blocks[Index].Object != Held)
        {
            KiGiveTicket((PKI_SPIN_LOCK)&Blocks[Index].Object->Lock);
        }
    }
}

static BOOLEAN KiAreAllSignaled(PKWAIT_BLOCK Blocks, ULONG Count, PKTHREAD Thread)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        if (!KiIsSignaled(Blocks[Index].Object, Thread))
        {
            return FALSE;
        }
    }
    return TRUE;
}

/* All of them signaled and locked: the wait ends here unless it has ended already. Returns the
 * state it was in, 0 if it had ended. */
static LONG KiSatisfyAll(PKWAIT_BLOCK Blocks, ULONG Count, PKTHREAD Thread)
{
    LONG State = KiDecideWait(Thread, KI_WAIT_SATISFIED);

    if (State == 0 && !KI_TWIN(KiTwinWaitAllSpendsLost))
    {
        return 0;
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        KiSatisfyWait(Blocks[Index].Object, Thread);
    }
    return State;
}

BOOLEAN KiTrySatisfyAll(PKWAIT_BLOCK Block, PDISPATCHER_HEADER Held, PBOOLEAN WasCommitted)
{
    PKTHREAD Thread = Block->Thread;
    PKWAIT_BLOCK Blocks = Thread->WaitBlockList;
    ULONG Count = Thread->WaitCount;
    LONG State = 0;

    KI_ASSERT_VALUES(!KeTestSpinLock(&KiWaitAllLock), Block, Held);
    if (!KI_TWIN(KiTwinWaitAllOneLock))
    {
        KiLockOthers(Blocks, Count, Held);
    }
    if (KiAreAllSignaled(Blocks, Count, Thread))
    {
        KI_TWIN_DELAY(KiTwinWaitAllOneLock);
        State = KiSatisfyAll(Blocks, Count, Thread);
    }
    else if (KI_TWIN(KiTwinWaitAllPiecemeal))
    {
        KiSatisfyWait(Held, Thread);
    }
    if (!KI_TWIN(KiTwinWaitAllOneLock))
    {
        KiUnlockOthers(Blocks, Count, Held);
    }
    *WasCommitted = State == KI_WAIT_COMMITTED;
    return State != 0;
}

/* ------------------------------------------------------------------ The waiter. */

static BOOLEAN KiNamesTwice(ULONG Count, PVOID Object[])
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        for (ULONG Other = 0; Other < Index; Other++)
        {
            if (Object[Other] == Object[Index])
            {
                return TRUE;
            }
        }
    }
    return FALSE;
}

static VOID KiFillBlocks(PKTHREAD Thread, ULONG Count, PVOID Object[], PKWAIT_BLOCK Blocks)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        Blocks[Index].Thread = Thread;
        Blocks[Index].Object = Object[Index];
        Blocks[Index].WaitType = WaitAll;
        Blocks[Index].WaitKey = 0;
        Blocks[Index].Linked = FALSE;
    }
    Thread->WaitBlockList = Blocks;
    Thread->WaitCount = (UCHAR)Count;
}

/* Whether it owns one of them as often as a count can say. Nobody else changes that count, so whoever
 * signals the others later needs not ask again. */
static BOOLEAN KiIsAtLimit(PKWAIT_BLOCK Blocks, ULONG Count, PKTHREAD Thread)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        PDISPATCHER_HEADER Header = Blocks[Index].Object;

        if (Header->Type == MutantObject && Header->SignalState == MINLONG &&
            KiIsSignaled(Header, Thread))
        {
            return TRUE;
        }
    }
    return FALSE;
}

/* Under all the locks. */
static VOID KiLinkAll(PKWAIT_BLOCK Blocks, ULONG Count)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        Blocks[Index].Linked = TRUE;
        InsertTailList(&Blocks[Index].Object->WaitListHead, &Blocks[Index].WaitListEntry);
        Blocks[Index].Object->WaitAllCount++;
    }
}

static VOID KiUnlinkAll(PKWAIT_BLOCK Blocks, ULONG Count)
{
    KiAcquireSpinLock(&KiWaitAllLock);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        PKWAIT_BLOCK Block = &Blocks[Index];

        KiAcquireSpinLock(&Block->Object->Lock);
        RemoveEntryList(&Block->WaitListEntry);
        Block->Linked = FALSE;
        Block->Object->WaitAllCount--;
        KiReleaseSpinLock(&Block->Object->Lock);
    }
    KiReleaseSpinLock(&KiWaitAllLock);
}

/* One attempt: how it ended, or Preparing if it was only asked and not all are signaled. */
static LONG KiTryWaitAll(PKTHREAD Thread, ULONG Count, PVOID Object[], PKWAIT_BLOCK Blocks,
                         PLARGE_INTEGER Timeout)
{
    BOOLEAN Poll = Timeout != NULL && Timeout->QuadPart == 0;
    LONG Outcome;

    KiFillBlocks(Thread, Count, Object, Blocks);
    WriteRelease(&Thread->WaitState, KI_WAIT_PREPARING); /* pairs with: KiDecideWait */
    KiAcquireSpinLock(&KiWaitAllLock);
    KiLockOthers(Blocks, Count, NULL);
    if (KiIsAtLimit(Blocks, Count, Thread))
    {
        KiDecideWait(Thread, KI_WAIT_AT_LIMIT);
    }
    else if (KiAreAllSignaled(Blocks, Count, Thread))
    {
        KiSatisfyAll(Blocks, Count, Thread);
    }
    else if (!Poll)
    {
        KiLinkAll(Blocks, Count);
    }
    Outcome = Thread->WaitState;
    KiUnlockOthers(Blocks, Count, NULL);
    KiReleaseSpinLock(&KiWaitAllLock);

    if (Outcome != KI_WAIT_PREPARING || Poll)
    {
        return Outcome;
    }
    if (Timeout != NULL)
    {
        KiSetTimeout(Thread, *Timeout);
    }
    Outcome = KiCommitWait(Thread);
    if (Timeout != NULL)
    {
        KiCancelTimeout(Thread);
    }
    KiUnlinkAll(Blocks, Count);
    return Outcome;
}

static NTSTATUS KiWaitAllStatus(PKTHREAD Thread, ULONG Count, PVOID Object[], LONG Outcome)
{
    NTSTATUS Status = STATUS_WAIT_0;

    if (Outcome == KI_WAIT_ALERTED)
    {
        KiConsumeAlert(Thread);
        return STATUS_ALERTED;
    }
    if (Outcome < KI_WAIT_SATISFIED)
    {
        return STATUS_TIMEOUT;
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        PDISPATCHER_HEADER Header = Object[Index];

        if (Header->Type == MutantObject &&
            KiFinishMutantWait(CONTAINING_RECORD(Header, KMUTANT, Header), Thread) ==
                STATUS_ABANDONED_WAIT_0)
        {
            Status = STATUS_ABANDONED_WAIT_0;
        }
    }
    return Status;
}

NTSTATUS KiWaitForAll(PKTHREAD Thread, ULONG Count, PVOID Object[], PLARGE_INTEGER Timeout,
                      PKWAIT_BLOCK Blocks)
{
    ULONG64 Deadline = KiWaitDeadline(Timeout);
    LARGE_INTEGER Left;
    NTSTATUS Status;
    LONG Outcome;

    if (KiNamesTwice(Count, Object))
    {
        KiLowerIrql(Thread->WaitIrql);
        return STATUS_INVALID_PARAMETER_MIX;
    }
    if (Timeout != NULL)
    {
        Left = *Timeout;
        Timeout = &Left;
    }
    while ((Outcome = KiTryWaitAll(Thread, Count, Object, Blocks, Timeout)) == KI_WAIT_APC)
    {
        KiBeginWaitAgain(Thread, Timeout, Deadline);
    }
    Status = KiWaitAllStatus(Thread, Count, Object, Outcome);
    KiEndWait(Thread);
    return Status;
}
