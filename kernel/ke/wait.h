/* SPDX-License-Identifier: MIT */
/*
 * wait.h - what the dispatcher objects share: locking one, signalling it, and its side effects.
 */
#pragma once

#include "scheduler.h"

VOID KiInitializeHeader(PDISPATCHER_HEADER Header, UCHAR Type, LONG SignalState);

/* ------------------------------------------------------------------ For who signals: the pattern
 * of every routine that can make an object signaled.
 *
 *     KI_SIGNAL Signal;
 *     KiBeginSignal(&Signal, Header);      raises to DISPATCH_LEVEL; the object's lock is held
 *     Header->SignalState = ...;
 *     KiReleaseWaiters(&Signal);           satisfies waiters while the object is signaled
 *     KiEndSignal(&Signal, Increment, Wait);   releases, readies, restores the IRQL
 */
typedef struct _KI_SIGNAL
{
    PDISPATCHER_HEADER Header;
    LIST_ENTRY Released; /* threads to ready, first come first */
    KIRQL OldIrql;
    BOOLEAN WaitAllLocked; /* KiWaitAllLock is held too, for the object has wait-all waiters */
} KI_SIGNAL, *PKI_SIGNAL;

VOID KiBeginSignal(PKI_SIGNAL Signal, PDISPATCHER_HEADER Header);
/* At DISPATCH_LEVEL already (timers, terminating threads): leaves the IRQL alone. */
VOID KiBeginSignalAtDpcLevel(PKI_SIGNAL Signal, PDISPATCHER_HEADER Header);
VOID KiReleaseWaiters(PKI_SIGNAL Signal);
/* Wait: leaves the IRQL at DISPATCH_LEVEL for the KeWait... that follows. */
VOID KiEndSignal(PKI_SIGNAL Signal, KPRIORITY Increment, BOOLEAN Wait);
VOID KiEndSignalAtDpcLevel(PKI_SIGNAL Signal, KPRIORITY Increment);

/* ------------------------------------------------------------------ For who waits. */

/* TRUE if the object would end Thread's wait now. Under its lock. */
BOOLEAN KiIsSignaled(PDISPATCHER_HEADER Header, PKTHREAD Thread);
/* The side effect of a wait that ends by it: on the object. Under its lock. */
VOID KiSatisfyWait(PDISPATCHER_HEADER Header, PKTHREAD Thread);
/* The side effect on the thread that now owns a mutant, and its status: by the thread itself,
 * when it has been satisfied. STATUS_SUCCESS, or STATUS_ABANDONED_WAIT_0. No lock. */
NTSTATUS KiFinishMutantWait(PKMUTANT Mutant, PKTHREAD Thread);

/* The last part of each wait, for those that link their own blocks (queue.c): commits, gives the
 * processor away, returns how the wait ended (KI_WAIT_...). At DISPATCH_LEVEL, nothing held;
 * WaitState is Preparing, WaitIrql, Alertable and WaitReason are set. */
LONG KiCommitWait(PKTHREAD Thread);

/* The lock over all wait-all waits: before object locks, and whoever holds it may take several. */
extern KSPIN_LOCK KiWaitAllLock;
/* waitall.c: whether the wait of Block's thread, of type WaitAll, can end now; ends it if so: all
 * objects' side effects, WaitState Satisfied. Under KiWaitAllLock and the lock of Held alone.
 * TRUE if it did, and then *WasCommitted says whether the thread is to be readied. */
BOOLEAN KiTrySatisfyAll(PKWAIT_BLOCK Block, PDISPATCHER_HEADER Held, PBOOLEAN WasCommitted);
/* waitall.c: KeWaitForMultipleObjects' other half, after KiBeginWait; restores the IRQL. */
NTSTATUS KiWaitForAll(PKTHREAD Thread, ULONG Count, PVOID Object[], PLARGE_INTEGER Timeout,
                      PKWAIT_BLOCK Blocks);

/* A wait's first step: raises to DISPATCH_LEVEL (unless a Wait = TRUE call has), WaitIrql being the
 * IRQL to return to; stops who may not wait. Timeout as in KeWaitForSingleObject. */
VOID KiBeginWait(PKTHREAD Thread, PVOID Object, KWAIT_REASON WaitReason, BOOLEAN Alertable,
                 PLARGE_INTEGER Timeout);
/* After KI_WAIT_APC: runs the APCs; then what is left of *Timeout (never more than 0, for a
 * relative one) until Deadline, which KiWaitDeadline gave before. */
VOID KiBeginWaitAgain(PKTHREAD Thread, PLARGE_INTEGER Timeout, ULONG64 Deadline);
ULONG64 KiWaitDeadline(PLARGE_INTEGER Timeout);
/* The last step: restores the IRQL; raises what a wait can raise. */
VOID KiEndWait(PKTHREAD Thread);

/* (Preparing | Committed) -> Outcome; returns which of the two it was, 0 if it was neither. Whoever
 * gets Committed readies the thread. At DISPATCH_LEVEL. */
LONG KiDecideWait(PKTHREAD Thread, LONG Outcome);
