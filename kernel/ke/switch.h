/* SPDX-License-Identifier: MIT */
/* switch.h - the switch itself, for the scheduler. */
#pragma once

#include "scheduler.h"
#include "spinlock.h"
#include "twin.h"

/* Gives this processor to New, which it has taken (Standby), or to its idle thread; the current
 * thread's state becomes NewState. At DISPATCH_LEVEL, Prcb's Ready.Lock held, which is released.
 * Returns when the current thread runs again, perhaps elsewhere. */
VOID KiSwitchTo(PKPRCB Prcb, PKTHREAD New, KTHREAD_STATE NewState);

/* TRUE if the thread may run on that processor. Under the thread's Lock or, if it is placed, its
 * processor's Ready.Lock. */
FORCEINLINE BOOLEAN KiMayRunOn(PKTHREAD Thread, PKPRCB Prcb)
{
    return Thread->Affinity.Group == Prcb->Group &&
           ((Thread->Affinity.Mask >> Prcb->GroupNumber) & 1) != 0;
}

/* Prcb's Ready.Lock, with a count of how often it is taken, and a note of who does: they show what
 * is shared. */
FORCEINLINE VOID KiLockReady(PKPRCB Prcb)
{
    KiAcquireSpinLock(&Prcb->Ready.Lock);
    Prcb->Ready.Acquisitions++;
    Prcb->Ready.Acquirers |= 1ull << KI_CURRENT_PRCB->Index % 64;
}

/* Whether a thread that waits here is better than the one that runs here. Under Ready.Lock. */
FORCEINLINE BOOLEAN KiIsBetterReady(PKPRCB Prcb)
{
    ULONG Summary = Prcb->Ready.Summary;

    return Summary != 0 && 31 - __builtin_clz(Summary) > Prcb->Ready.RunningPriority;
}

/* ready.c: a new priority for a thread, wherever it is / a new affinity for the running thread,
 * which leaves its processor, if it must, when its IRQL falls. Under the thread's Lock. */
VOID KiChangePriority(PKTHREAD Thread, KPRIORITY Priority);
VOID KiChangeAffinity(PKTHREAD Thread, const GROUP_AFFINITY *Affinity);

/* ready.c: the thread, DeferredReady and Claimed, that gave way here and may run here, waits here
 * again. Its Lock is not needed: nobody else readies it, only a running thread changes its
 * affinity, and its priority changes under this processor's Ready.Lock. The caller offers it. */
VOID KiRequeueThread(PKPRCB Prcb, PKTHREAD Thread);

/* ready.c: wakes an idle processor for a thread in Prcb's queues, if there is one for the other /
 * the same for all processors' queues. At DISPATCH_LEVEL, by who has chosen a thread and leaves
 * others. No lock held. */
VOID KiOfferReady(PKPRCB Prcb);
VOID KiOfferAllReady(VOID);

/* switch.asm */
PKTHREAD KiSwapContext(PKTHREAD Old, PKTHREAD New);
VOID KiThreadEntry(VOID);
VOID KiThreadStartup(PKTHREAD Old);

/* idle.c: the processor has something to run: it counts as idle no more, and has its tick. At
 * DISPATCH_LEVEL. */
VOID KiLeaveIdle(PKPRCB Prcb);

/* Processors that want a thread to run, by group. A bit is set by its processor when it finds
 * nothing; cleared by locked and, by itself when it runs something, or by who claims it to run the
 * thread that he is making ready there. */
extern volatile LONG64 KiIdleMask[MAXIMUM_GROUPS];
