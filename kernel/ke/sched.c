/* SPDX-License-Identifier: MIT */
/*
 * sched.c - when a processor changes its thread: because it waits, gives way, or must.
 *
 * PURPOSE
 *   Each processor runs the best thread of its own queues: the highest priority that is ready
 *   there, and among equals each in turn. It does so at any moment at which its IRQL is below
 *   DISPATCH_LEVEL, whatever the thread is doing.
 *
 * HOW IT WORKS
 *   A thread leaves its processor in one of three ways:
 *       KiSwapThread    it waits, or has ended: whoever is best comes next, or the idle thread
 *       KiYieldThread   it gives way to one of at least its own priority
 *       KiReschedule    Due.Schedule was set: by who made a better thread ready here, by the clock
 *                       at the end of a quantum, or because the thread may not run here any more
 *   At the end of its quantum a thread goes to the tail of its queue, with one step less of what
 *   boosts it has; preempted earlier it goes to the head, and its quantum goes on.
 *   The idle thread is what runs when nothing else does. It is in no queue, has no priority, and
 *   when it is told to look it also looks at the other processors' queues.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL; the choice is made under the processor's Ready.Lock, which KiSwitchTo releases.
 *   No thread is switched away from in a DPC or above DISPATCH_LEVEL: there is no thread to blame.
 *
 * ORDERING
 *   Due.Schedule is set and cleared under Ready.Lock; the clock of the processor itself sets it
 *   without, which at worst looks once in vain. Who sets it elsewhere sends vector 0x2F afterwards,
 *   and that processor looks on its way out of the interrupt.
 *
 * FURTHER READING
 *   Microsoft: "Thread Scheduling", "Thread Priority". docs/scheduler.md. Laws L8, L31, L73, L75,
 *   L78.
 */
#include "switch.h"

PKTHREAD KeGetCurrentThread(VOID)
{
    return KI_CURRENT_PRCB->CurrentThread;
}

/* Whoever leaves a processor takes its lock to do so: under it the thread there cannot be gone. */
PCSTR KiQueryRunningName(PKPRCB Prcb)
{
    KIRQL OldIrql = KiRaiseIrqlToDpcLevel();
    PCSTR Name;

    KiLockReady(Prcb);
    Name = Prcb->CurrentThread->Name;
    KiReleaseSpinLock(&Prcb->Ready.Lock);
    KiLowerIrql(OldIrql);
    return Name;
}

VOID KiSwapThread(KTHREAD_STATE NewState)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    PKTHREAD New;

    if (Prcb->DpcRoutineActive)
    {
        KeBugCheckEx(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)Prcb->CurrentThread, 0,
                     (ULONG_PTR)Prcb->RunningDpc, 0);
    }
    KiLockReady(Prcb);
    New = KiTakeReadyThread(Prcb, LOW_PRIORITY);
    KiSwitchTo(Prcb, New != NULL ? New : Prcb->IdleThread, NewState);
}

/* The running thread goes on being ready, elsewhere or later. Under Ready.Lock. */
static VOID KiGiveWay(PKPRCB Prcb, PKTHREAD New, BOOLEAN AtFront)
{
    PKTHREAD Old = Prcb->CurrentThread;

    Old->AtFront = AtFront;
    Old->SwapState = KiSwapClaimed; /* nobody else readies a running thread */
    KiSwitchTo(Prcb, New, DeferredReady);
}

BOOLEAN KiYieldThread(VOID)
{
    KIRQL OldIrql = KiRaiseIrqlToDpcLevel();
    PKPRCB Prcb = KiGetCurrentPrcb();
    PKTHREAD Old = Prcb->CurrentThread;
    PKTHREAD New;

    KiLockReady(Prcb);
    New = KiTakeReadyThread(Prcb, Old->Priority);
    if (New == NULL)
    {
        KiReleaseSpinLock(&Prcb->Ready.Lock);
    }
    else
    {
        Old->Quantum = KI_QUANTUM;
        KiGiveWay(Prcb, New, FALSE);
    }
    KiLowerIrql(OldIrql);
    return New != NULL;
}

/* A new quantum, and a boost wears off. Under Ready.Lock. */
static VOID KiEndQuantum(PKPRCB Prcb, PKTHREAD Thread)
{
    Prcb->Ready.QuantumEnded = FALSE;
    Thread->Quantum = KI_QUANTUM;
    if (Thread->Priority < LOW_REALTIME_PRIORITY && Thread->Priority > Thread->BasePriority &&
        !KI_TWIN(KiTwinSchedNoDecay))
    {
        Thread->Priority--;
        Prcb->Ready.RunningPriority = Thread->Priority;
    }
}

/* The idle thread was told to look. */
static VOID KiLookForWork(PKPRCB Prcb)
{
    PKTHREAD New;

    KiLockReady(Prcb);
    Prcb->Due.Schedule = FALSE;
    New = KiTakeReadyThread(Prcb, LOW_PRIORITY);
    if (New == NULL)
    {
        KiReleaseSpinLock(&Prcb->Ready.Lock);
        New = KiStealThread(Prcb);
        if (New == NULL)
        {
            return;
        }
        KiLockReady(Prcb);
    }
    if (KI_TWIN(KiTwinIdleInLine))
    {
        KiGiveWay(Prcb, New, FALSE);
        return;
    }
    KiSwitchTo(Prcb, New, Standby);
}

VOID KiReschedule(VOID)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    PKTHREAD Old = Prcb->CurrentThread;
    BOOLEAN QuantumEnded;
    PKTHREAD New;

    if (Old == Prcb->IdleThread)
    {
        KiLookForWork(Prcb);
        return;
    }
    KiLockReady(Prcb);
    Prcb->Due.Schedule = FALSE;
    QuantumEnded = Prcb->Ready.QuantumEnded;
    if (QuantumEnded)
    {
        KiEndQuantum(Prcb, Old);
    }
    if (!KI_TWIN(KiTwinSchedIgnoresAffinity) && !KiMayRunOn(Old, Prcb))
    {
        New = KiTakeReadyThread(Prcb, LOW_PRIORITY);
        KiGiveWay(Prcb, New != NULL ? New : Prcb->IdleThread, TRUE);
        return;
    }
    New = KiTakeReadyThread(Prcb, Old->Priority + (QuantumEnded ? 0 : 1));
    if (New == NULL)
    {
        KiReleaseSpinLock(&Prcb->Ready.Lock);
        KiOfferReady(Prcb); /* who was put here because it would run, and does not */
        return;
    }
    KiGiveWay(Prcb, New, !QuantumEnded || KI_TWIN(KiTwinSchedTailStarves));
}
