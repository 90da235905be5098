/* SPDX-License-Identifier: MIT */
/* apckit.h - for the APC tests: an APC that says what it saw, and threads to send it to. */
#pragma once

#include <scheduler.h>

#include "kt.h"

#define KT_APC_LIMIT KT_SECONDS(20)

/* An APC and what its last run saw. Written by its routines; the counts last, with a locked add. */
typedef struct _KT_APC
{
    KAPC Apc;
    VOID (*OnKernel)(struct _KT_APC *Apc); /* called by the kernel routine, or NULL */
    VOID (*OnNormal)(struct _KT_APC *Apc); /* called by the normal routine, or NULL */
    PVOID Context;                         /* the test's own */
    PKTHREAD Thread;                       /* where it ran */
    ULONG Processor;
    KIRQL KernelIrql, NormalIrql, RundownIrql;
    PVOID NormalContext, Argument1, Argument2; /* as the last routine got them */
    LONG Order;                                /* of the kernel routine, from 1 */
    volatile LONG KernelRuns, NormalRuns, Rundowns;
} KT_APC, *PKT_APC;

/* Makes a special / normal APC for Thread. The latter's context is NormalContext. */
VOID KtInitializeSpecialApc(PKT_APC Apc, PKTHREAD Thread);
VOID KtInitializeNormalApc(PKT_APC Apc, PKTHREAD Thread, PVOID NormalContext);
/* KeInsertQueueApc without arguments and boost. */
BOOLEAN KtInsertApc(PKT_APC Apc);
/* Begins the count in Order again. */
VOID KtResetApcOrder(VOID);

/* Threads begin in a critical region: leaves all that the caller is in; and enters them again. */
SHORT KtLeaveRegions(VOID);
VOID KtEnterRegions(SHORT Depth);

/* A thread on a given processor, outside all regions, that runs Body and ends. */
typedef struct _KT_TARGET
{
    KT_THREAD Own;
    VOID (*Body)(struct _KT_TARGET *Target);
    PVOID Context;
    PKTHREAD Thread;      /* constant */
    volatile LONG Ready;  /* 1: it runs; itself */
    volatile LONG Rounds; /* itself: progress */
    volatile LONG Stop;   /* the test: its loops should end */
    KEVENT Event;         /* synchronization */
    volatile LONG Status; /* what its wait returned; itself */
} KT_TARGET, *PKT_TARGET;

/* Starts it and returns when it runs. FALSE, and the case has failed, if it never does. */
BOOLEAN KtStartTarget(PKT_TARGET Target, ULONG Processor, VOID (*Body)(PKT_TARGET Target));
/* Stop, sets Event, joins. */
VOID KtStopTarget(PKT_TARGET Target);
/* Gives way until *Value is at least Wanted; FALSE after KT_APC_LIMIT. */
BOOLEAN KtAwait(volatile LONG *Value, LONG Wanted);
/* Returns when the thread is committed to a wait; FALSE after KT_APC_LIMIT. */
BOOLEAN KtAwaitCommitted(PKTHREAD Thread);
/* Bodies: runs at PASSIVE_LEVEL without a call until Stop; waits once for Event. */
VOID KtTargetSpins(PKT_TARGET Target);
VOID KtTargetWaits(PKT_TARGET Target);
