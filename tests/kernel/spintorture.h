/* SPDX-License-Identifier: MIT */
/*
 * spintorture.h - one torture for every kind of spin lock, and locks that it must catch.
 *
 * All processors fight for one lock, from threads at PASSIVE_LEVEL, APC_LEVEL and DISPATCH_LEVEL,
 * from DPCs, and for locks held at a device's IRQL from its ISR. What the lock guards is a word of
 * many parts, all equal between holders, and the number of its holder.
 */
#pragma once

#include "kt.h"

typedef struct _TORTURE *PTORTURE;

/* What an acquisition leaves for its release. */
typedef union _TORTURE_SAVED
{
    KIRQL OldIrql;
    KLOCK_QUEUE_HANDLE Handle;
} TORTURE_SAVED, *PTORTURE_SAVED;

/* One pair of routines that acquire and release; for callers at Lowest to Highest. */
typedef struct _TORTURE_PAIR
{
    VOID (*Acquire)(PTORTURE Torture, PTORTURE_SAVED Saved);
    VOID (*Release)(PTORTURE Torture, PTORTURE_SAVED Saved);
    KIRQL Lowest;
    KIRQL Highest;
} TORTURE_PAIR;

typedef struct _TORTURE_KIND
{
    PCSTR Name;
    KIRQL Irql;        /* the level of a holder that was below it                            */
    BOOLEAN FromIsr;   /* the ISR enters too                                                 */
    BOOLEAN HeldInIsr; /* ... and is called with the lock held                               */
    BOOLEAN Tickets;   /* the word is a KI_SPIN_LOCK                                         */
    BOOLEAN Busted;    /* the lock is no lock: violations are counted, and are not failures  */
    ULONG PairCount;
    const TORTURE_PAIR *Pairs;
} TORTURE_KIND;

extern const TORTURE_KIND TorturePlain;     /* KeAcquireSpinLock and its kin                  */
extern const TORTURE_KIND TortureTry;       /* KeTryToAcquireSpinLockAtDpcLevel, repeated     */
extern const TORTURE_KIND TortureRaised;    /* the AtDpcLevel pair at a device's IRQL         */
extern const TORTURE_KIND TortureInterrupt; /* KeAcquireInterruptSpinLock, and the dispatcher */
extern const TORTURE_KIND TortureQueued;    /* KeAcquireInStackQueuedSpinLock and its kin     */
extern const TORTURE_KIND TortureBusted;    /* looks, waits, then takes: for two processors   */
extern const TORTURE_KIND TortureUnraised;  /* does not raise the IRQL: for one               */

/* Runs it for KtBudget(), or until the first violation; returns the number of violations. */
ULONG TortureRun(const TORTURE_KIND *Kind);
