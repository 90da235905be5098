/* SPDX-License-Identifier: MIT */
/*
 * switch.c - from one thread to another, and the hand-over of a thread between processors.
 *
 * PURPOSE
 *   A thread that waits can be woken at once, by another processor, while its own is still saving
 *   its registers. It must not run in two places, must not be resumed half saved, and must not be
 *   forgotten; and no processor should have to wait for another to finish.
 *
 * HOW IT WORKS
 *   SwapState says whether a processor still stands on the thread's stack:
 *       InUse   -> Saved     the processor that has switched away: the thread is at rest
 *       InUse   -> Claimed   who readies it before that; he leaves it at that
 *       Claimed -> Saved     the processor that has switched away, and it queues the thread
 *       Saved   -> InUse     the processor that has taken the thread from a queue
 *   The two who meet, the waker's compare-exchange and the switcher's exchange, are on one word, so
 *   one of them comes second, and the second queues the thread. A thread that goes on being ready -
 *   preempted, or giving way - is claimed by its own processor before it switches, and takes the
 *   same path.
 *
 *   Saved can be set only when nothing uses the old stack any more: by the next thread, on its own
 *   stack, as the first thing that it does (KiFinishSwitch). A thread that has ended is handed to
 *   the reaper there.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL from the choice of the next thread until after KiFinishSwitch. The states and
 *   Prcb->CurrentThread change under the processor's Ready.Lock, which is released before the
 *   stacks are exchanged: nobody runs the new thread (it is Standby, then Running), and nobody the
 *   old one (it is InUse).
 *
 * ORDERING
 *   The old thread's registers are stored before the exchange to Saved, and the processor that
 *   takes it later sees Saved or was told by the queue's lock. The exchange is also the full
 *   barrier between "State is Running" and the look at KernelApcPending.
 *   pairs with: KiUnwaitThread; KeInsertQueueApc.
 *
 * FURTHER READING
 *   docs/scheduler.md; tests/models/switch.pml. Laws L8, L76, L77; regressions R-h, R-q.
 */
#include "switch.h"

/* On the new thread's stack, at DISPATCH_LEVEL. Old is not touched after the exchange unless it
 * has ended or is ours to queue: somebody may be running it. */
static VOID KiFinishSwitch(PKTHREAD Old)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    KTHREAD_STATE State = Old->State;
    BOOLEAN Ended = State == Terminated && Old->Reaper != NULL;
    LONG SwapState;

    KI_TWIN_LONG_DELAY(KiTwinUnwaitIgnoresSwap);
    SwapState = InterlockedExchange(&Old->SwapState, KiSwapSaved);
    if (SwapState == KiSwapClaimed)
    {
        if (State == DeferredReady && KiMayRunOn(Old, Prcb))
        {
            KiRequeueThread(Prcb, Old);
        }
        else
        {
            KiReadyThread(Old);
        }
    }
    else if (Ended)
    {
        Old->Reaper(Old);
    }
    KiNoteApcs(Prcb->CurrentThread);
    if (Old == Prcb->IdleThread)
    {
        KiOfferAllReady();
    }
    else if (Prcb->Ready.Summary != 0)
    {
        KiOfferReady(Prcb);
    }
}

VOID KiSwitchTo(PKPRCB Prcb, PKTHREAD New, KTHREAD_STATE NewState)
{
    PKTHREAD Old = Prcb->CurrentThread;

    KI_ASSERT_VALUES(!Prcb->DpcRoutineActive && New != Old, Old, New);
    KI_ASSERT_VALUES(New->SwapState == KiSwapSaved, New, New->SwapState);
    Old->State = NewState;
    New->State = Running;
    New->SwapState = KiSwapInUse;
    New->ContextSwitches++;
    Prcb->CurrentThread = New;
    Prcb->ContextSwitches++;
    Prcb->Ready.RunningPriority = New == Prcb->IdleThread ? KI_IDLE_PRIORITY : New->Priority;
    Prcb->Ready.QuantumEnded = FALSE;
    Prcb->Due.Schedule = KiIsBetterReady(Prcb); /* than a thread that came from elsewhere */
    KiReleaseSpinLock(&Prcb->Ready.Lock);

    if (Old == Prcb->IdleThread)
    {
        KiLeaveIdle(Prcb);
    }
    if (Old->ExtendedState != NULL || New->ExtendedState != NULL)
    {
        KiSwapExtendedState(Old, New);
    }
    if (!KI_TWIN(KiTwinCanaryStays))
    {
        CONTAINING_RECORD(Prcb, KI_PROCESSOR, Prcb)->Pcr.StackCanary = New->StackCanary;
    }
    KiFinishSwitch(KiSwapContext(Old, New));
}

/* Where a new thread begins, at DISPATCH_LEVEL. */
VOID KiThreadStartup(PKTHREAD Old)
{
    PKTHREAD Thread;

    KiFinishSwitch(Old);
    Thread = KeGetCurrentThread();
    KiLowerIrql(PASSIVE_LEVEL);
    ((VOID(*)(PVOID))Thread->StartRoutine)(Thread->StartContext);
    KiTerminateThread();
}
