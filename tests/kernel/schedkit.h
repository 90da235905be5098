/* SPDX-License-Identifier: MIT */
/* schedkit.h - what the scheduler's tests share: threads that never wait, and where they may be. */
#pragma once

#include "waitkit.h"

/* How long what must happen may take before a test gives up and lets everybody go. */
#define SCHED_LIMIT KT_SECONDS(10)

/* The boot thread, while it directs a test: nothing that the test starts preempts it. */
#define DIRECTOR_PRIORITY 24

/* A thread that keeps its processor busy until it is told to end. */
typedef struct _HOG
{
    KT_THREAD Thread;
    volatile LONG Started;
    volatile LONG Stop;
    volatile LONG64 Turns; /* itself */
} HOG, *PHOG;

VOID HogStart(PHOG Hog, KPRIORITY Priority, ULONG Processor);
/* TRUE when it has run. */
BOOLEAN HogAwait(PHOG Hog);
/* Has it end; HogJoin waits for that. */
VOID HogStop(PHOG Hog);
VOID HogJoin(PHOG Hog);

/* The calling thread's priority; returns what it was. */
KPRIORITY SchedSetPriority(KPRIORITY Priority);

/* An affinity of one processor, by index. */
GROUP_AFFINITY SchedOneProcessor(ULONG Processor);

/* Waits until that thread is in a ready queue; FALSE, and the case has failed, if it never is. */
BOOLEAN SchedAwaitReady(PKT_THREAD Thread);

/* KtAwaitBlocked for a thread that may need the caller's processor meanwhile. */
BOOLEAN SchedAwaitBlocked(PKT_THREAD Thread);
