/* SPDX-License-Identifier: MIT */
/*
 * workers.h - a few threads that stay, for tests that need more of them than there are processors.
 * Each runs one routine at a time and waits for the next.
 */
#pragma once

#include "kt.h"

#define KT_WORKERS 8

typedef struct _KT_WORKER
{
    KTHREAD Thread;
    ULONG Index;
    KEVENT Start, Done;
    VOID (*Routine)(struct _KT_WORKER *Worker);
    PVOID Context;
    KT_RANDOM Random;
} KT_WORKER, *PKT_WORKER;

/* Has worker Index, which has nothing to do, run Routine at PASSIVE_LEVEL, anywhere; its Context is
 * there. */
PKT_WORKER KtEmploy(ULONG Index, VOID (*Routine)(PKT_WORKER Worker), PVOID Context);
/* Waits until it has; fails the case if that takes too long. */
VOID KtAwaitWorker(PKT_WORKER Worker);

/* Sleeps until *Value is at least Wanted; FALSE if that takes too long. PASSIVE_LEVEL. */
BOOLEAN KtSleepFor(volatile LONG *Value, LONG Wanted);
/* Sleeps for so long, in 100 ns units; 0: gives way. */
VOID KtSleep(ULONG64 Units);
