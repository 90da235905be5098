/* SPDX-License-Identifier: MIT */
/* waitkit.h - what the tests of dispatcher objects share: threads that wait, and how to see it. */
#pragma once

#include <scheduler.h>

#include "kt.h"

/* How long a test waits for what must happen: long enough for a very busy host. */
#define WAIT_LIMIT KT_SECONDS(30)

/* Returns when the thread is in its wait, has left its processor and is at rest; fails the case if
 * that never happens. */
VOID KtAwaitBlocked(PKT_THREAD Thread);

/* Time-outs for waits, in 100 ns units as KeWait... takes them. */
LARGE_INTEGER KtRelative(ULONG64 Units);
extern LARGE_INTEGER KtPoll; /* 0: asks and does not wait */

/* KeWaitForSingleObject without a time-out / that only asks. */
NTSTATUS KtWait(PVOID Object);
NTSTATUS KtAsk(PVOID Object);

/* KeWaitForMultipleObjects for up to THREAD_WAIT_OBJECTS, not alertable / that only asks. */
NTSTATUS KtWaitMany(WAIT_TYPE Type, ULONG Count, PVOID Objects[], PLARGE_INTEGER Timeout);
NTSTATUS KtAskMany(WAIT_TYPE Type, ULONG Count, PVOID Objects[]);

/* Nobody is in the object's list (L70). */
VOID KtCheckNobodyWaits(PVOID Object);

/* A thread that waits once for up to MAXIMUM_WAIT_OBJECTS objects. Its wait is bounded, so that it
 * comes back from a broken kernel too, with STATUS_TIMEOUT. The test sets what is not marked. */
typedef struct _KT_WAITER
{
    WAIT_TYPE Type;
    ULONG Count;
    PVOID Objects[MAXIMUM_WAIT_OBJECTS];
    LARGE_INTEGER Timeout; /* 0: WAIT_LIMIT */
    BOOLEAN Alertable;
    VOID (*Before)(struct _KT_WAITER *Waiter); /* called first, or NULL */
    VOID (*After)(struct _KT_WAITER *Waiter);  /* called with Status set, or NULL */
    volatile LONG Done;                        /* itself: the wait is over */
    NTSTATUS Status;                           /* itself: what the wait returned */
    ULONG64 Took;                              /* itself: 100 ns units */
    KWAIT_BLOCK Blocks[MAXIMUM_WAIT_OBJECTS];
    KT_THREAD Thread;
} KT_WAITER, *PKT_WAITER;

/* Starts it, with a higher priority than the case's; returns when it is at rest in its wait,
 * or out of it. */
VOID KtStartWaiter(PKT_WAITER Waiter, ULONG Processor);
/* Joins it; its wait must have returned Expected. */
VOID KtFinishWaiter(PKT_WAITER Waiter, NTSTATUS Expected);
