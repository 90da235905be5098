/* SPDX-License-Identifier: MIT */
/* sched.h - the scheduler's parts to one another, and to what makes threads ready. */
#pragma once

#include "ki.h"

/* All of these at DISPATCH_LEVEL. */

/* ready.c: DeferredReady -> Ready, on a processor that suits it; interrupts that processor if it
 * should look. No lock of rank KiRankThread or above held. */
VOID KiReadyThread(PKTHREAD Thread);

/* wait.c: ends in readiness a wait that the caller has decided (WaitState left Committed by his
 * compare-exchange), with his boost: Waiting -> DeferredReady -> Ready. No lock needed but none of
 * rank KiRankThread or above held; the thread may be gone when this returns. */
VOID KiUnwaitThread(PKTHREAD Thread, KPRIORITY Increment);

/* The same for several, linked by QueueEntry, first come first: filled under an object's lock,
 * emptied after it is released. */
VOID KiUnwaitList(PLIST_ENTRY Threads, KPRIORITY Increment);

/* switch.c: gives the processor to the best ready thread, or to the idle thread. The caller has set
 * nothing yet: State becomes NewState under Ready.Lock. Returns when the thread runs again, perhaps
 * on another processor, at DISPATCH_LEVEL. */
VOID KiSwapThread(KTHREAD_STATE NewState);

/* sched.c: looks whether another thread should run here instead, and switches. For Due.Schedule. */
VOID KiReschedule(VOID);
/* sched.c: gives way to a ready thread of at least the same priority; FALSE if there is none. IRQL
 * <= APC_LEVEL. */
BOOLEAN KiYieldThread(VOID);
/* sched.c: has this or another processor do that. Under that processor's Ready.Lock; the caller
 * sends the interrupt with KiKickProcessor after releasing it. */
VOID KiRequestReschedule(PKPRCB Prcb);
/* Interrupts Prcb's processor if it is not this one. */
VOID KiKickProcessor(PKPRCB Prcb);

/* ready.c: empty. Before the processor runs. */
VOID KiInitializeReadyQueues(PKPRCB Prcb);
/* thread.c: the parts of a thread that idle threads have too. */
VOID KiInitializeThreadObject(PKTHREAD Thread, PVOID StackTop, SIZE_T StackBytes, PCSTR Name);

/* ready.c: the best thread of this processor's own queue, if its priority is at least Lowest:
 * Ready -> Standby. Under its Ready.Lock. NULL if there is none. */
PKTHREAD KiTakeReadyThread(PKPRCB Prcb, KPRIORITY Lowest);
/* ready.c: a thread that this processor may run, from another's queue: Ready -> Standby. No lock
 * held. NULL if there is none. */
PKTHREAD KiStealThread(PKPRCB Prcb);

/* apc.c: a terminating thread takes no more APCs; those it has run, or are run down. Itself, at
 * PASSIVE_LEVEL, not in a guarded region (else bug check 0x20). */
VOID KiRundownApcs(PKTHREAD Thread);
/* apc.c: TRUE if the thread was alerted; it is so no more. Itself, at IRQL <= DISPATCH_LEVEL. */
BOOLEAN KiConsumeAlert(PKTHREAD Thread);
/* queue.c: the thread ends. Itself, at PASSIVE_LEVEL. */
VOID KiDisassociateQueue(PKTHREAD Thread);

/* log.c: has the log's writer look. IRQL <= DISPATCH_LEVEL, no ranked lock held. */
VOID KiLogKick(VOID);

/* clock.c: makes sure that this processor's timer goes off by its next tick (unless it is idle) and
 * its next timer. Interrupts off or IRQL >= CLOCK_LEVEL. */
VOID KiArmClock(PKPRCB Prcb);

/* timer.c */
VOID KiInitializeTimers(PKPRCB Prcb);
/* Expires what is due on this processor. On the DPC stack, for Due.Timer. */
VOID KiExpireTimers(PKPRCB Prcb);
/* A wait's time-out: set before the commit; taken back after the wait, TRUE if it was still set. */
VOID KiSetTimeout(PKTHREAD Thread, LARGE_INTEGER Timeout);
BOOLEAN KiCancelTimeout(PKTHREAD Thread);
/* Sets system time and moves all absolute timers with it. PASSIVE_LEVEL. */
VOID KiSetSystemTime(ULONGLONG SystemTime);

/* apc.c: runs the current thread's APCs that may run now. At APC_LEVEL; returns there. */
VOID KiDeliverApcs(VOID);
/* The handler of APC_VECTOR. */
VOID KiApcInterrupt(PKTRAP_FRAME Frame);
/* TRUE if the thread, as it would return from a wait to WaitIrql, has an APC to run. Itself, or
 * while it is committed to a wait; a stale answer only wakes it in vain. */
BOOLEAN KiApcIsDeliverable(PKTHREAD Thread);
/* switch.c and apc.c: a thread with APCs pending has come to this processor. */
FORCEINLINE VOID KiNoteApcs(PKTHREAD Thread)
{
    KI_CURRENT_PRCB->Due.Apc = Thread->KernelApcPending;
}
/* Ends an alertable wait, or the next one. IRQL <= DISPATCH_LEVEL. */
VOID KiAlertThread(PKTHREAD Thread);

/* queue.c: the thread, associated with a queue, begins and ends a wait for something else. At
 * DISPATCH_LEVEL, no lock. */
VOID KiQueueThreadBlocks(PKTHREAD Thread);
VOID KiQueueThreadResumes(PKTHREAD Thread);

/* xstate.c: saves and loads the extended registers of threads that use them. */
VOID KiSwapExtendedState(PKTHREAD Old, PKTHREAD New);
/* The current thread must have restored whatever was saved since ExtendedState was Before: NULL
 * when it ends; else what it was when a DPC began. Bug check 0xE7 if not. */
VOID KiCheckExtendedState(PVOID Before);
