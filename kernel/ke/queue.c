/* SPDX-License-Identifier: MIT */
/*
 * queue.c - queues of entries for a pool of threads, of which about so many run at a time.
 *
 * PURPOSE
 *   Worker threads wait for work at a KQUEUE. More of them than processors would only switch among
 *   themselves, fewer would leave a processor idle while one waits for a disk: so a queue lets
 *   MaximumCount of them run, and when one blocks for something else it releases the next.
 *
 * HOW IT WORKS
 *   A thread is associated with the last queue it took from. CurrentCount is how many associated
 *   threads are not waiting, neither for the queue nor for anything else:
 *       KeRemoveQueue begins           -1   its earlier entry is done (no change the first time)
 *       it is given an entry           +1   by itself, or by who hands it over
 *       it returns without one         +1   time-out: it runs on, and is still associated
 *       it blocks / resumes elsewhere  -1 / +1   KiQueueThreadBlocks, KiQueueThreadResumes
 *       it changes queues or ends      -1
 *   An entry is given only while CurrentCount < MaximumCount. Whoever subtracts gives the first
 *   entry to a waiter if he can, so while entries and waiters are both there, the count is at the
 *   limit. Only a thread that resumes, or whose wait timed out, can take it beyond: he is not
 *   stopped, and nobody else is started until the count has fallen.
 *
 *   Waiters are served last come first served: the thread that ran last still has a warm cache. An
 *   entry for a waiter never passes through the list: (block linked, Preparing | Committed) ->
 *   (unlinked, QueueItem = entry, Satisfied), in this order, since with the last step the thread is
 *   off, block and all. A waiter who has meanwhile timed out or has an APC to run does not win his
 *   compare-exchange, finds his block unlinked or unlinks it, and the next one is tried.
 *
 *   A queue may be run down and its memory freed while threads are associated with it, so the
 *   association is one word, Thread->Queue, and its thread pins it while it uses the queue:
 *       NULL     -> Q | 1      the thread, to associate itself
 *       Q        -> Q | 1      the thread, compare-exchange: the queue stays until it lets go
 *       Q | 1    -> Q | NULL   the thread; NULL: it leaves
 *       Q        -> NULL       KeRundownQueue, compare-exchange, under Q's lock
 *   A pin is held at DISPATCH_LEVEL and for a few instructions; rundown waits for it.
 *
 * LOCKS AND IRQL
 *   Header.Lock, at DISPATCH_LEVEL, guards all of a queue, and the blocks and list entries of its
 *   threads. Two queues' locks are never held together. Threads are readied after it is released.
 *
 * ORDERING
 *   The pin and rundown meet in one word's compare-exchange; the rest is under the lock, or handed
 *   over by the compare-exchange of WaitState. pairs with: KiCommitWait.
 *
 * FURTHER READING
 *   Microsoft: "KeInitializeQueue", "KeInsertQueue", "KeRemoveQueue", "KeRundownQueue"; the same
 *   idea for user mode: "I/O Completion Ports". docs/queues.md.
 */
#include "spinlock.h"
#include "twin.h"
#include "wait.h"

#define KI_QUEUE_PINNED 1ull

/* ------------------------------------------------------------------ The association. */

/* Q -> Q | 1. NULL if the thread has no queue (any more). The thread itself, at DISPATCH_LEVEL. */
static PKQUEUE KiPinQueue(PKTHREAD Thread)
{
    PVOID volatile *Word = (PVOID volatile *)&Thread->Queue;
    PKQUEUE Queue = ReadPointerAcquire(Word);

    if (Queue == NULL)
    {
        return NULL;
    }
    KI_ASSERT_VALUES(((ULONG_PTR)Queue & KI_QUEUE_PINNED) == 0, Thread, Queue);
    /* pairs with: KiDropAssociation */
    if (InterlockedCompareExchangePointer(Word, (PVOID)((ULONG_PTR)Queue | KI_QUEUE_PINNED),
                                          Queue) != Queue)
    {
        return NULL;
    }
    return Queue;
}

/* Q | 1 -> Queue: Q itself, or NULL for a thread that has left its list. */
static VOID KiUnpinQueue(PKTHREAD Thread, PKQUEUE Queue)
{
    WritePointerRelease((PVOID volatile *)&Thread->Queue,
                        Queue); /* pairs with: KiDropAssociation */
}

/* Q -> NULL for another thread; FALSE while that thread has it pinned. Under the queue's lock, so
 * the thread is still in the list and has not ended. */
static BOOLEAN KiDropAssociation(PKQUEUE Queue, PKTHREAD Thread)
{
    return InterlockedCompareExchangePointer((PVOID volatile *)&Thread->Queue, NULL, Queue) ==
           Queue;
}

/* ------------------------------------------------------------------ Handing over. All under the
 * queue's lock. */

static BOOLEAN KiMayRunAnother(PKQUEUE Queue)
{
    return Queue->CurrentCount < Queue->MaximumCount || KI_TWIN(KiTwinQueueNoLimit);
}

/* Ends one waiter's wait with Item, if it has not ended. *Wake: the thread, if it is to be readied;
 * it is off already if it was still preparing. */
static BOOLEAN KiEndQueueWait(PKWAIT_BLOCK Block, PLIST_ENTRY Item, PKTHREAD *Wake)
{
    PKTHREAD Thread = Block->Thread;
    LONG State;

    RemoveEntryList(&Block->WaitListEntry);
    Block->Linked = FALSE;
    Thread->QueueItem = Item;
    State = KiDecideWait(Thread, KI_WAIT_SATISFIED); /* pairs with: KiCommitWait */
    *Wake = State == KI_WAIT_COMMITTED ? Thread : NULL;
    return State != 0;
}

/* Gives Entry to the waiter that came last. FALSE if there is none, or it may not run now. */
static BOOLEAN KiGiveToWaiter(PKQUEUE Queue, PLIST_ENTRY Entry, PKTHREAD *Wake)
{
    while (KiMayRunAnother(Queue) && !IsListEmpty(&Queue->Header.WaitListHead))
    {
        PKWAIT_BLOCK Block = CONTAINING_RECORD(Queue->Header.WaitListHead.Flink, KWAIT_BLOCK,
                                               WaitListEntry);

        if (KiEndQueueWait(Block, Entry, Wake))
        {
            Queue->CurrentCount++;
            return TRUE;
        }
    }
    return FALSE;
}

/* One thread fewer runs: gives the first entry to a waiter. Returns the thread to be readied. */
static PKTHREAD KiUncountThread(PKQUEUE Queue)
{
    PKTHREAD Wake = NULL;
    PLIST_ENTRY Entry;

    KI_ASSERT_VALUES(Queue->CurrentCount != 0, Queue, Queue->MaximumCount);
    Queue->CurrentCount--;
    if (IsListEmpty(&Queue->EntryListHead) || IsListEmpty(&Queue->Header.WaitListHead) ||
        !KiMayRunAnother(Queue))
    {
        return NULL;
    }
    /* Out of the list first: its taker may use it at once. */
    Entry = RemoveHeadList(&Queue->EntryListHead);
    if (KiGiveToWaiter(Queue, Entry, &Wake))
    {
        Queue->Header.SignalState--;
    }
    else
    {
        InsertHeadList(&Queue->EntryListHead, Entry);
    }
    return Wake;
}

static VOID KiWakeTaker(PKTHREAD Wake)
{
    if (Wake != NULL)
    {
        KiUnwaitThread(Wake, IO_NO_INCREMENT);
    }
}

/* ------------------------------------------------------------------ Threads that block, resume and
 * leave. */

VOID KiQueueThreadBlocks(PKTHREAD Thread)
{
    PKQUEUE Queue = KiPinQueue(Thread);
    PKTHREAD Wake;

    if (Queue == NULL)
    {
        return;
    }
    KiAcquireSpinLock(&Queue->Header.Lock);
    Wake = KiUncountThread(Queue);
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiUnpinQueue(Thread, Queue);
    KiWakeTaker(Wake);
}

VOID KiQueueThreadResumes(PKTHREAD Thread)
{
    PKQUEUE Queue = KiPinQueue(Thread);

    if (Queue == NULL)
    {
        return;
    }
    KiAcquireSpinLock(&Queue->Header.Lock);
    Queue->CurrentCount++;
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiUnpinQueue(Thread, Queue);
}

/* Pinned: out of the list and the count. At DISPATCH_LEVEL. */
static VOID KiLeaveQueue(PKTHREAD Thread, PKQUEUE Queue)
{
    PKTHREAD Wake;

    KiAcquireSpinLock(&Queue->Header.Lock);
    RemoveEntryList(&Thread->QueueListEntry);
    Wake = KiUncountThread(Queue);
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiUnpinQueue(Thread, NULL);
    KiWakeTaker(Wake);
}

VOID KiDisassociateQueue(PKTHREAD Thread)
{
    KIRQL OldIrql = KiRaiseIrqlToDpcLevel();
    PKQUEUE Queue = KiPinQueue(Thread);

    if (Queue != NULL)
    {
        KiLeaveQueue(Thread, Queue);
    }
    KiLowerIrql(OldIrql);
}

/* Makes Queue the thread's: pinned and locked, the thread listed and not counted. Again: it was
 * before, and FALSE says that the queue has been run down since. */
static BOOLEAN KiAssociateQueue(PKTHREAD Thread, PKQUEUE Queue, BOOLEAN Again)
{
    PKQUEUE Previous = KiPinQueue(Thread);

    if (Again && Previous == NULL)
    {
        return FALSE;
    }
    if (Previous != NULL && Previous != Queue)
    {
        KiLeaveQueue(Thread, Previous);
        Previous = NULL;
    }
    if (Previous == NULL)
    {
        KiUnpinQueue(Thread, (PKQUEUE)((ULONG_PTR)Queue | KI_QUEUE_PINNED));
    }
    KiAcquireSpinLock(&Queue->Header.Lock);
    if (Previous == NULL)
    {
        InsertTailList(&Queue->ThreadListHead, &Thread->QueueListEntry);
    }
    else
    {
        Queue->CurrentCount--; /* no need to give anything away: it takes the first entry itself */
    }
    return TRUE;
}

/* ------------------------------------------------------------------ Inserting. */

VOID KeInitializeQueue(PRKQUEUE Queue, ULONG Count)
{
    RtlZeroMemory(Queue, sizeof(*Queue));
    KiInitializeHeader(&Queue->Header, QueueObject, 0);
    InitializeListHead(&Queue->EntryListHead);
    InitializeListHead(&Queue->ThreadListHead);
    Queue->MaximumCount = Count != 0 ? Count : KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
}

static LONG KiInsertQueue(PKQUEUE Queue, PLIST_ENTRY Entry, BOOLEAN Head)
{
    PKTHREAD Wake = NULL;
    KIRQL OldIrql;
    LONG Previous;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiRaiseIrqlToDpcLevel();
    KiAcquireSpinLock(&Queue->Header.Lock);
    KI_ASSERT_VALUES(!Queue->Abandoned, Queue, Entry);
    Previous = Queue->Header.SignalState;
    if (!KiGiveToWaiter(Queue, Entry, &Wake))
    {
        if (Head)
        {
            InsertHeadList(&Queue->EntryListHead, Entry);
        }
        else
        {
            InsertTailList(&Queue->EntryListHead, Entry);
        }
        Queue->Header.SignalState = Previous + 1;
    }
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiWakeTaker(Wake);
    KiLowerIrql(OldIrql);
    return Previous;
}

LONG KeInsertQueue(PRKQUEUE Queue, PLIST_ENTRY Entry)
{
    return KiInsertQueue(Queue, Entry, FALSE);
}

LONG KeInsertHeadQueue(PRKQUEUE Queue, PLIST_ENTRY Entry)
{
    return KiInsertQueue(Queue, Entry, TRUE);
}

LONG KeReadStateQueue(PRKQUEUE Queue)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return ReadNoFence(&Queue->Header.SignalState);
}

/* ------------------------------------------------------------------ Removing. */

/* A status in place of an entry, as documented. */
FORCEINLINE PLIST_ENTRY KiStatusEntry(NTSTATUS Status)
{
    return (PLIST_ENTRY)(ULONG_PTR)(ULONG)Status;
}

/* Links the thread's block in front of the others and lets go of the queue. */
static VOID KiLinkQueueWait(PKTHREAD Thread, PKQUEUE Queue)
{
    PKWAIT_BLOCK Block = &Thread->WaitBlock[0];

    Thread->WaitType = WaitAny;
    Thread->WaitBlockList = Block;
    Thread->WaitCount = 1;
    Thread->QueueItem = NULL;
    WriteRelease(&Thread->WaitState, KI_WAIT_PREPARING);

    Block->Thread = Thread;
    Block->Object = &Queue->Header;
    Block->WaitType = WaitAny;
    Block->WaitKey = 0;
    Block->Linked = TRUE;
    InsertHeadList(&Queue->Header.WaitListHead, &Block->WaitListEntry);
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiUnpinQueue(Thread, Queue);
}

/* After a wait that brought no entry: takes the block back, counts the thread again. FALSE if the
 * queue is gone. */
static BOOLEAN KiEndVainQueueWait(PKTHREAD Thread)
{
    PKQUEUE Queue = KiPinQueue(Thread);

    if (Queue == NULL)
    {
        return FALSE;
    }
    KiAcquireSpinLock(&Queue->Header.Lock);
    if (Thread->WaitBlock[0].Linked)
    {
        RemoveEntryList(&Thread->WaitBlock[0].WaitListEntry);
        Thread->WaitBlock[0].Linked = FALSE;
    }
    Queue->CurrentCount++;
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiUnpinQueue(Thread, Queue);
    return TRUE;
}

/* Takes the first entry, or says why not; KI_MUST_WAIT: the queue is still locked and pinned. */
#define KI_MUST_WAIT ((PLIST_ENTRY)0)

static PLIST_ENTRY KiTryRemoveQueue(PKTHREAD Thread, PKQUEUE Queue, PLARGE_INTEGER Timeout)
{
    PKQUEUE After = Queue;
    PLIST_ENTRY Result;

    if (Queue->Abandoned)
    {
        RemoveEntryList(&Thread->QueueListEntry);
        After = NULL;
        Result = KiStatusEntry(STATUS_ABANDONED);
    }
    else if (!IsListEmpty(&Queue->EntryListHead) && KiMayRunAnother(Queue))
    {
        Result = RemoveHeadList(&Queue->EntryListHead);
        Queue->Header.SignalState--;
        Queue->CurrentCount++;
    }
    else if (Timeout != NULL && Timeout->QuadPart == 0)
    {
        Queue->CurrentCount++;
        Result = KiStatusEntry(STATUS_TIMEOUT);
    }
    else
    {
        return KI_MUST_WAIT;
    }
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiUnpinQueue(Thread, After);
    return Result;
}

/* One wait; returns how it ended. Afterwards the thread has no block in the list. */
static LONG KiWaitForEntry(PKTHREAD Thread, PKQUEUE Queue, PLARGE_INTEGER Timeout)
{
    LONG Outcome;

    KiLinkQueueWait(Thread, Queue);
    if (Timeout != NULL)
    {
        KiSetTimeout(Thread, *Timeout);
    }
    Outcome = KiCommitWait(Thread);
    if (Timeout != NULL)
    {
        KiCancelTimeout(Thread);
    }
    return Outcome;
}

/* At DISPATCH_LEVEL, by KiBeginWait. Timeout is the caller's copy. */
static PLIST_ENTRY KiRemoveQueue(PKTHREAD Thread, PKQUEUE Queue, PLARGE_INTEGER Timeout)
{
    ULONG64 Deadline = KiWaitDeadline(Timeout);

    for (BOOLEAN Again = FALSE; KiAssociateQueue(Thread, Queue, Again); Again = TRUE)
    {
        PLIST_ENTRY Result = KiTryRemoveQueue(Thread, Queue, Timeout);
        LONG Outcome;

        if (Result != KI_MUST_WAIT)
        {
            return Result;
        }
        Outcome = KiWaitForEntry(Thread, Queue, Timeout);
        if (Outcome == KI_WAIT_SATISFIED)
        {
            return Thread->QueueItem; /* it is counted already */
        }
        if (!KiEndVainQueueWait(Thread))
        {
            break;
        }
        if (Outcome == KI_WAIT_TIMED_OUT)
        {
            return KiStatusEntry(STATUS_TIMEOUT);
        }
        KiBeginWaitAgain(Thread, Timeout, Deadline); /* the APC that ended the wait runs here */
    }
    return KiStatusEntry(STATUS_ABANDONED);
}

PLIST_ENTRY KeRemoveQueue(PRKQUEUE Queue, KPROCESSOR_MODE WaitMode, PLARGE_INTEGER Timeout)
{
    PKTHREAD Thread = KeGetCurrentThread();
    PLIST_ENTRY Result;
    LARGE_INTEGER Left;

    UNREFERENCED_PARAMETER(WaitMode);
    if (Timeout != NULL)
    {
        Left = *Timeout;
        Timeout = &Left;
    }
    KiBeginWait(Thread, Queue, WrQueue, FALSE, Timeout);
    Result = KiRemoveQueue(Thread, Queue, Timeout);
    KiLowerIrql(Thread->WaitIrql);
    return Result;
}

/* ------------------------------------------------------------------ Rundown. */

/* Ends one wait; FALSE if there is none left. */
static BOOLEAN KiAbandonWaiter(PKQUEUE Queue)
{
    PKTHREAD Wake = NULL;

    KiAcquireSpinLock(&Queue->Header.Lock);
    if (IsListEmpty(&Queue->Header.WaitListHead))
    {
        KiReleaseSpinLock(&Queue->Header.Lock);
        return FALSE;
    }
    if (KiEndQueueWait(
            CONTAINING_RECORD(Queue->Header.WaitListHead.Flink, KWAIT_BLOCK, WaitListEntry),
            KiStatusEntry(STATUS_ABANDONED), &Wake))
    {
        Queue->CurrentCount++;
    }
    KiReleaseSpinLock(&Queue->Header.Lock);
    KiWakeTaker(Wake);
    return TRUE;
}

/* Ends one association; FALSE if there is none left. One that its thread has pinned ends by itself,
 * or the next time: a pin lasts for a few instructions. */
static BOOLEAN KiAbandonThread(PKQUEUE Queue)
{
    BOOLEAN Found;

    KiAcquireSpinLock(&Queue->Header.Lock);
    Found = !IsListEmpty(&Queue->ThreadListHead);
    if (Found)
    {
        PKTHREAD Thread = CONTAINING_RECORD(Queue->ThreadListHead.Flink, KTHREAD, QueueListEntry);

        if (KiDropAssociation(Queue, Thread))
        {
            RemoveEntryList(&Thread->QueueListEntry);
        }
    }
    KiReleaseSpinLock(&Queue->Header.Lock);
    return Found;
}

PLIST_ENTRY KeRundownQueue(PRKQUEUE Queue)
{
    PLIST_ENTRY First = NULL;
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiRaiseIrqlToDpcLevel();
    KiAcquireSpinLock(&Queue->Header.Lock);
    Queue->Abandoned = TRUE; /* nobody begins to wait from here on */
    if (!IsListEmpty(&Queue->EntryListHead))
    {
        First = Queue->EntryListHead.Flink;
        RemoveEntryList(&Queue->EntryListHead);
        InitializeListHead(&Queue->EntryListHead);
        Queue->Header.SignalState = 0;
    }
    KiReleaseSpinLock(&Queue->Header.Lock);
    while (KiAbandonWaiter(Queue))
    {
    }
    while (KiAbandonThread(Queue))
    {
        YieldProcessor();
    }
    Queue->CurrentCount = 0;
    KiLowerIrql(OldIrql);
    return First;
}
