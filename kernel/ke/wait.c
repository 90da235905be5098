/* SPDX-License-Identifier: MIT */
/*
 * wait.c - waiting for one object, or for any of several; and what signalling has to do with it.
 *
 * PURPOSE
 *   A thread gives up its processor until an object is signaled, a time has passed, or it is called
 *   upon; these may happen at once, on different processors, and exactly one of them may win.
 *
 * HOW IT WORKS
 *   Each object has its own lock and list of waiters; there is no lock over all of them. What ties
 *   a wait for several objects together is one word of the thread, WaitState:
 *       (Preparing)              before the first block is linked
 *       (Preparing) -> (Committed)   by the thread: it is about to leave its processor
 *       (Preparing | Committed) -> (Satisfied k)   under object k's lock, by whoever finds it
 *                                signaled: the waiter himself while he links, or who signals
 *       (Preparing | Committed) -> (TimedOut)      the time-out
 *       (Committed) -> (Apc | Alerted)             who has something for the thread to do
 *   All by compare-exchange; only the winner acts. Who makes the word Satisfied k holds object k's
 *   lock and consumes its signal there and then, so a signal is spent exactly once and never on a
 *   wait that ended otherwise. Who takes the word from Committed readies the thread; from Preparing
 *   there is nothing to ready: the thread itself will fail to commit and see why.
 *
 *   The thread takes its left-over blocks out of their lists itself, each under its object's lock.
 *   After Apc it runs its APCs and begins again, at the tail of each list.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL from the first look until the thread is back. Signallers collect those they
 *   release and ready them after the object's lock is dropped. A wait that is for all of its
 *   objects takes KiWaitAllLock first; see waitall.c.
 *
 * ORDERING
 *   Preparing is stored before the first lock is taken, so who finds a block finds it set. A commit
 *   is a locked instruction, and comes before the look at KernelApcPending and Alerted: either the
 *   thread sees what was asked of it, or the one who asked sees Committed.
 *   pairs with: KeInsertQueueApc, KiAlertThread.
 *
 * FURTHER READING
 *   Microsoft: "KeWaitForSingleObject", "KeWaitForMultipleObjects". docs/waits.md;
 *   tests/models/wait.pml. Laws L43-L49, L52, L55, L67-L71; regression R-q.
 */
#include "wait.h"

#include <ex.h>

#include "spinlock.h"
#include "twin.h"

VOID KiInitializeHeader(PDISPATCHER_HEADER Header, UCHAR Type, LONG SignalState)
{
    KiInitializeRankedSpinLock(&Header->Lock, KiRankDispatcher);
    Header->Type = Type;
    Header->WaitAllCount = 0;
    Header->SignalState = SignalState;
    InitializeListHead(&Header->WaitListHead);
}

/* ------------------------------------------------------------------ Objects, under their locks. */

BOOLEAN KiIsSignaled(PDISPATCHER_HEADER Header, PKTHREAD Thread)
{
    return Header->SignalState > 0 ||
           (Header->Type == MutantObject &&
            CONTAINING_RECORD(Header, KMUTANT, Header)->OwnerThread == Thread);
}

VOID KiSatisfyWait(PDISPATCHER_HEADER Header, PKTHREAD Thread)
{
    switch (Header->Type)
    {
    case EventSynchronizationObject:
    case TimerSynchronizationObject:
        Header->SignalState = 0;
        break;
    case SemaphoreObject:
        Header->SignalState--;
        break;
    case MutantObject:
        Header->SignalState--;
        CONTAINING_RECORD(Header, KMUTANT, Header)->OwnerThread = Thread;
        break;
    case ThreadObject:
        if (KI_TWIN(KiTwinEndSpent))
        {
            Header->SignalState = 0;
        }
        break;
    default:
        break;
    }
}

/* ------------------------------------------------------------------ Signalling. */

/* With wait-all waiters the order of locks is another one; what came between the two is what would
 * have come before. */
FORCEINLINE VOID KiLockForSignal(PKI_SIGNAL Signal, PDISPATCHER_HEADER Header)
{
    Signal->Header = Header;
    Signal->WaitAllLocked = FALSE;
    InitializeListHead(&Signal->Released);
    KiAcquireSpinLock(&Header->Lock);
    if (Header->WaitAllCount != 0 && !KI_TWIN(KiTwinSignalIgnoresAll))
    {
        KiReleaseSpinLock(&Header->Lock);
        KiAcquireSpinLock(&KiWaitAllLock);
        KiAcquireSpinLock(&Header->Lock);
        Signal->WaitAllLocked = TRUE;
    }
}

VOID KiBeginSignalAtDpcLevel(PKI_SIGNAL Signal, PDISPATCHER_HEADER Header)
{
    KiLockForSignal(Signal, Header);
}

VOID KiBeginSignal(PKI_SIGNAL Signal, PDISPATCHER_HEADER Header)
{
    Signal->OldIrql = KiRaiseIrqlToDpcLevel();
    KiLockForSignal(Signal, Header);
}

LONG KiDecideWait(PKTHREAD Thread, LONG Outcome)
{
    LONG State = ReadAcquire(&Thread->WaitState);

    while (State == KI_WAIT_PREPARING || State == KI_WAIT_COMMITTED)
    {
        LONG Seen = InterlockedCompareExchange(&Thread->WaitState, Outcome, State);

        if (Seen == State)
        {
            return State;
        }
        State = Seen;
    }
    return 0;
}

/* Under the object's lock. */
static VOID KiUnlinkBlock(PKWAIT_BLOCK Block)
{
    RemoveEntryList(&Block->WaitListEntry);
    WriteUCharRelease(&Block->Linked, FALSE); /* pairs with: KiUnlinkBlocks */
}

/* One waiter: TRUE if its wait ended by this and it is to be readied. One that was still preparing
 * is off already, and the object may be on its stack: its block stays linked, so that it comes for
 * the lock that we hold. One that had committed runs only after the lock is released. */
static BOOLEAN KiReleaseWaiter(PKWAIT_BLOCK Block, PDISPATCHER_HEADER Header)
{
    PKTHREAD Thread = Block->Thread;
    BOOLEAN Committed;
    LONG State;

    if (Block->WaitType == WaitAll)
    {
        return KiTrySatisfyAll(Block, Header, &Committed) && Committed;
    }
    if (KI_TWIN(KiTwinMutexBarges) && Header->Type == MutantObject)
    {
        return KiDecideWait(Thread, KI_WAIT_APC) == KI_WAIT_COMMITTED;
    }
    State = KiDecideWait(Thread, KI_WAIT_SATISFIED + Block->WaitKey);
    if (State == 0 && !KI_TWIN(KiTwinSignalSpendsLost))
    {
        return FALSE;
    }
    KiSatisfyWait(Header, Thread);
    if (State == KI_WAIT_COMMITTED || KI_TWIN(KiTwinUnlinksEarly))
    {
        KiUnlinkBlock(Block);
        KI_TWIN_LONG_DELAY(KiTwinUnlinksEarly);
    }
    return State == KI_WAIT_COMMITTED;
}

/* First come, first served. */
static PLIST_ENTRY KiNextWaiter(PLIST_ENTRY Entry)
{
    return KI_TWIN(KiTwinWaitLastFirst) ? Entry->Blink : Entry->Flink;
}

VOID KiReleaseWaiters(PKI_SIGNAL Signal)
{
    PDISPATCHER_HEADER Header = Signal->Header;
    PLIST_ENTRY Entry = KiNextWaiter(&Header->WaitListHead);

    while (Entry != &Header->WaitListHead && Header->SignalState > 0)
    {
        PKWAIT_BLOCK Block = CONTAINING_RECORD(Entry, KWAIT_BLOCK, WaitListEntry);
        PKTHREAD Thread = Block->Thread;

        Entry = KiNextWaiter(Entry);
        if (KiReleaseWaiter(Block, Header))
        {
            InsertTailList(&Signal->Released, &Thread->QueueEntry);
            if (KI_TWIN(KiTwinSignalReleasesOne))
            {
                break;
            }
        }
    }
}

VOID KiUnwaitThread(PKTHREAD Thread, KPRIORITY Increment)
{
    Thread->WaitIncrement = (SCHAR)Increment;
    /* pairs with: KiFinishSwitch */
    if (InterlockedCompareExchange(&Thread->SwapState, KiSwapClaimed, KiSwapInUse) == KiSwapSaved ||
        KI_TWIN(KiTwinUnwaitIgnoresSwap))
    {
        KiReadyThread(Thread);
    }
}

VOID KiUnwaitList(PLIST_ENTRY Threads, KPRIORITY Increment)
{
    while (!IsListEmpty(Threads))
    {
        PKTHREAD Thread = CONTAINING_RECORD(RemoveHeadList(Threads), KTHREAD, QueueEntry);

        KiUnwaitThread(Thread, Increment);
    }
}

FORCEINLINE VOID KiUnlockAndReady(PKI_SIGNAL Signal, KPRIORITY Increment)
{
    KiReleaseSpinLock(&Signal->Header->Lock);
    if (Signal->WaitAllLocked)
    {
        KiReleaseSpinLock(&KiWaitAllLock);
    }
    KiUnwaitList(&Signal->Released, Increment);
}

VOID KiEndSignalAtDpcLevel(PKI_SIGNAL Signal, KPRIORITY Increment)
{
    KiUnlockAndReady(Signal, Increment);
}

VOID KiEndSignal(PKI_SIGNAL Signal, KPRIORITY Increment, BOOLEAN Wait)
{
    KiUnlockAndReady(Signal, Increment);
    if (Wait)
    {
        PKTHREAD Thread = KeGetCurrentThread();

        Thread->WaitNext = TRUE;
        Thread->WaitIrql = Signal->OldIrql;
        return;
    }
    KiLowerIrql(Signal->OldIrql);
}

/* ------------------------------------------------------------------ Waiting. */

/* Who was above APC_LEVEL may only ask, and not above DISPATCH_LEVEL. */
static VOID KiCheckRaisedWait(PKTHREAD Thread, PVOID Object, PLARGE_INTEGER Timeout)
{
    BOOLEAN Asks = Timeout != NULL && Timeout->QuadPart == 0;
    KIRQL Irql = Thread->WaitIrql;
    ULONG SubCode = Irql > DISPATCH_LEVEL ? 0x120 : Timeout == NULL ? 0x121 : 0x122;

    if (KI_CURRENT_PRCB->DpcRoutineActive && !Asks)
    {
        KeBugCheckEx(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)Thread, (ULONG_PTR)Object,
                     (ULONG_PTR)KI_CURRENT_PRCB->RunningDpc, 0);
    }
    if ((Irql > DISPATCH_LEVEL || !Asks) && !KI_TWIN(KiTwinWaitsRaised))
    {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, SubCode, Irql, (ULONG_PTR)Object,
                     (ULONG_PTR)Timeout);
    }
}

VOID KiBeginWait(PKTHREAD Thread, PVOID Object, KWAIT_REASON WaitReason, BOOLEAN Alertable,
                 PLARGE_INTEGER Timeout)
{
    if (Thread->WaitNext)
    {
        Thread->WaitNext = FALSE;
    }
    else
    {
        Thread->WaitIrql = KiRaiseIrqlToDpcLevel();
    }
    if (Thread->WaitIrql > APC_LEVEL)
    {
        KiCheckRaisedWait(Thread, Object, Timeout);
    }
    Thread->WaitReason = (UCHAR)WaitReason;
    Thread->Alertable = Alertable;
}

/* Committed -> Outcome, by the thread itself. */
static BOOLEAN KiTakeBack(PKTHREAD Thread, LONG Outcome)
{
    return InterlockedCompareExchange(&Thread->WaitState, Outcome, KI_WAIT_COMMITTED) ==
           KI_WAIT_COMMITTED;
}

/* Preparing -> Committed. */
static BOOLEAN KiCommit(PKTHREAD Thread)
{
    if (KI_TWIN(KiTwinWaitCommitStore) && Thread->WaitState == KI_WAIT_PREPARING)
    {
        KI_TWIN_DELAY(KiTwinWaitCommitStore);
        WriteRelease(&Thread->WaitState, KI_WAIT_COMMITTED);
        return TRUE;
    }
    /* pairs with: KeInsertQueueApc, KiAlertThread */
    return InterlockedCompareExchange(&Thread->WaitState, KI_WAIT_COMMITTED, KI_WAIT_PREPARING) ==
           KI_WAIT_PREPARING;
}

LONG KiCommitWait(PKTHREAD Thread)
{
    if (!KiCommit(Thread))
    {
        return Thread->WaitState;
    }
    if ((Thread->KernelApcPending && KiApcIsDeliverable(Thread) &&
         KiTakeBack(Thread, KI_WAIT_APC)) ||
        (Thread->Alertable && Thread->Alerted && KiTakeBack(Thread, KI_WAIT_ALERTED)))
    {
        KiNoteApcs(Thread); /* who saw Committed sent no interrupt, and no switch will look */
        return Thread->WaitState;
    }
    /* Committed, or decided by somebody who therefore readies us. */
    if (Thread->Queue != NULL && Thread->WaitReason != WrQueue)
    {
        KiQueueThreadBlocks(Thread);
        KiSwapThread(Waiting);
        KiQueueThreadResumes(Thread);
    }
    else
    {
        KiSwapThread(Waiting);
    }
    return Thread->WaitState;
}

NTSTATUS KiFinishMutantWait(PKMUTANT Mutant, PKTHREAD Thread)
{
    /* The first ownership: nobody else changes what its owner holds. */
    if (Mutant->Header.SignalState == 0)
    {
        Thread->KernelApcDisable -= Mutant->ApcDisable;
        InsertTailList(&Thread->MutantListHead, &Mutant->MutantListEntry);
        if (Mutant->Abandoned)
        {
            Mutant->Abandoned = FALSE;
            return STATUS_ABANDONED_WAIT_0;
        }
    }
    return STATUS_SUCCESS;
}

VOID KiEndWait(PKTHREAD Thread)
{
    BOOLEAN AtLimit = Thread->WaitState == KI_WAIT_AT_LIMIT;

    KiLowerIrql(Thread->WaitIrql);
    if (AtLimit)
    {
        ExRaiseStatus(STATUS_MUTANT_LIMIT_EXCEEDED);
    }
}

/* The object is signaled: the wait ends by it, unless it has ended, or its owner already has a
 * mutant as often as its count can say. Under the object's lock. */
static VOID KiTakeSignal(PDISPATCHER_HEADER Header, PKTHREAD Thread, ULONG Index)
{
    BOOLEAN AtLimit = Header->Type == MutantObject && Header->SignalState == MINLONG &&
                      !KI_TWIN(KiTwinMutexNoLimit);
    LONG Outcome = AtLimit ? KI_WAIT_AT_LIMIT : KI_WAIT_SATISFIED + (LONG)Index;

    if (KiDecideWait(Thread, Outcome) != 0 && !AtLimit)
    {
        KiSatisfyWait(Header, Thread);
    }
}

static VOID KiLinkBlock(PKWAIT_BLOCK Block, PKTHREAD Thread, PDISPATCHER_HEADER Header, ULONG Key)
{
    Block->Thread = Thread;
    Block->Object = Header;
    Block->WaitType = WaitAny;
    Block->WaitKey = (UCHAR)Key;
    Block->Linked = TRUE;
    InsertTailList(&Header->WaitListHead, &Block->WaitListEntry);
}

/* The first Count blocks, those that are still in a list. */
static VOID KiUnlinkBlocks(PKWAIT_BLOCK Blocks, ULONG Count)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        PKWAIT_BLOCK Block = &Blocks[Index];

        if (ReadUCharAcquire(&Block->Linked)) /* pairs with: KiUnlinkBlock */
        {
            KiAcquireSpinLock(&Block->Object->Lock);
            if (Block->Linked)
            {
                KiUnlinkBlock(Block);
            }
            KiReleaseSpinLock(&Block->Object->Lock);
        }
    }
}

/* Looks at each object; satisfies the wait by the first that is signaled, or links a block to each
 * (unless it is only asked). Returns how many blocks are linked. */
static ULONG KiPrepareWait(PKTHREAD Thread, ULONG Count, PVOID Object[], PKWAIT_BLOCK Blocks,
                           BOOLEAN Poll)
{
    WriteRelease(&Thread->WaitState, KI_WAIT_PREPARING); /* pairs with: KiDecideWait */
    for (ULONG Index = 0; Index < Count; Index++)
    {
        PDISPATCHER_HEADER Header = Object[Index];
        BOOLEAN Missed = KI_TWIN(KiTwinWaitLooksEarly) && !KiIsSignaled(Header, Thread);

        KI_TWIN_DELAY(KiTwinWaitLooksEarly);
        KiAcquireSpinLock(&Header->Lock);
        if (!Missed && KiIsSignaled(Header, Thread))
        {
            KiTakeSignal(Header, Thread, Index);
            KiReleaseSpinLock(&Header->Lock);
            return Poll ? 0 : Index;
        }
        if (!Poll)
        {
            KiLinkBlock(&Blocks[Index], Thread, Header, Index);
        }
        KiReleaseSpinLock(&Header->Lock);
    }
    return Poll ? 0 : Count;
}

/* The wait ended by Outcome: its time-out, which may have passed since, does not matter any more.
 * */
static LONG KiEndTimeout(PKTHREAD Thread, LONG Outcome)
{
    BOOLEAN WasSet = !KI_TWIN(KiTwinTimeoutStaysSet) && KiCancelTimeout(Thread);

    return KI_TWIN(KiTwinTimeoutWinsLate) && !WasSet ? KI_WAIT_TIMED_OUT : Outcome;
}

/* One attempt: how it ended, or Preparing if it was only asked and nothing is signaled. */
static LONG KiTryWaitAny(PKTHREAD Thread, ULONG Count, PVOID Object[], PKWAIT_BLOCK Blocks,
                         PLARGE_INTEGER Timeout)
{
    BOOLEAN Poll = Timeout != NULL && Timeout->QuadPart == 0 && !KI_TWIN(KiTwinZeroWaits);
    ULONG Linked = KiPrepareWait(Thread, Count, Object, Blocks, Poll);
    LONG Outcome = Thread->WaitState;

    if (Linked == 0)
    {
        return Outcome;
    }
    if (Outcome == KI_WAIT_PREPARING && Linked == Count)
    {
        if (Timeout != NULL)
        {
            KiSetTimeout(Thread, *Timeout);
        }
        KI_TWIN_LONG_DELAY(KiTwinUnlinksEarly);
        Outcome = KiCommitWait(Thread);
        if (Timeout != NULL)
        {
            Outcome = KiEndTimeout(Thread, Outcome);
        }
    }
    if (Outcome != KI_WAIT_TIMED_OUT || !KI_TWIN(KiTwinTimeoutLeavesBlock))
    {
        KiUnlinkBlocks(Blocks, Linked);
    }
    return Outcome;
}

/* APCs may wait themselves, so what they overwrite is put back. */
VOID KiBeginWaitAgain(PKTHREAD Thread, PLARGE_INTEGER Timeout, ULONG64 Deadline)
{
    UCHAR WaitReason = Thread->WaitReason;
    BOOLEAN Alertable = Thread->Alertable;

    KiNoteApcs(Thread);
    KiLowerIrql(Thread->WaitIrql);
    Thread->WaitIrql = KiRaiseIrqlToDpcLevel();
    Thread->WaitReason = WaitReason;
    Thread->Alertable = Alertable;
    if (Timeout != NULL && Timeout->QuadPart < 0)
    {
        ULONG64 Now = KeQueryInterruptTime();

        Timeout->QuadPart = Now < Deadline ? (LONGLONG)(Now - Deadline) : 0;
    }
}

static NTSTATUS KiWaitStatus(PKTHREAD Thread, LONG Outcome, PVOID Object[])
{
    if (Outcome >= KI_WAIT_SATISFIED)
    {
        LONG Index = Outcome - KI_WAIT_SATISFIED;
        PDISPATCHER_HEADER Header = Object[Index];

        if (Header->Type == MutantObject)
        {
            return KiFinishMutantWait(CONTAINING_RECORD(Header, KMUTANT, Header), Thread) + Index;
        }
        return STATUS_WAIT_0 + Index;
    }
    if (Outcome == KI_WAIT_ALERTED)
    {
        KiConsumeAlert(Thread);
        return STATUS_ALERTED;
    }
    return STATUS_TIMEOUT;
}

ULONG64 KiWaitDeadline(PLARGE_INTEGER Timeout)
{
    return Timeout != NULL && Timeout->QuadPart < 0
               ? KeQueryInterruptTime() + (ULONG64)-Timeout->QuadPart
               : 0;
}

/* At DISPATCH_LEVEL; restores the IRQL. */
static NTSTATUS KiWaitForAny(PKTHREAD Thread, ULONG Count, PVOID Object[], PLARGE_INTEGER Timeout,
                             PKWAIT_BLOCK Blocks)
{
    ULONG64 Deadline = KiWaitDeadline(Timeout);
    LARGE_INTEGER Left;
    NTSTATUS Status;
    LONG Outcome;

    if (Timeout != NULL)
    {
        Left = *Timeout;
        Timeout = &Left;
    }
    while ((Outcome = KiTryWaitAny(Thread, Count, Object, Blocks, Timeout)) == KI_WAIT_APC)
    {
        KiBeginWaitAgain(Thread, Timeout, Deadline);
    }
    Status = KiWaitStatus(Thread, Outcome, Object);
    KiEndWait(Thread);
    return Status;
}

NTSTATUS KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                               BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    PKTHREAD Thread = KI_CURRENT_PRCB->CurrentThread;

    UNREFERENCED_PARAMETER(WaitMode);
    KiBeginWait(Thread, Object, WaitReason, Alertable, Timeout);
    return KiWaitForAny(Thread, 1, &Object, Timeout, Thread->WaitBlock);
}

NTSTATUS KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType,
                                  KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                  BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                  PKWAIT_BLOCK WaitBlockArray)
{
    PKTHREAD Thread = KeGetCurrentThread();

    UNREFERENCED_PARAMETER(WaitMode);
    if (Count > (WaitBlockArray != NULL ? MAXIMUM_WAIT_OBJECTS : THREAD_WAIT_OBJECTS))
    {
        KeBugCheckEx(MAXIMUM_WAIT_OBJECTS_EXCEEDED, Count, (ULONG_PTR)WaitBlockArray, 0, 0);
    }
    if (WaitBlockArray == NULL)
    {
        WaitBlockArray = Thread->WaitBlock;
    }
    KiBeginWait(Thread, Object, WaitReason, Alertable, Timeout);
    if (Count == 0)
    {
        KiLowerIrql(Thread->WaitIrql);
        return STATUS_INVALID_PARAMETER;
    }
    return WaitType == WaitAny ? KiWaitForAny(Thread, Count, Object, Timeout, WaitBlockArray)
                               : KiWaitForAll(Thread, Count, Object, Timeout, WaitBlockArray);
}
