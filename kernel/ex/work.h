/* SPDX-License-Identifier: MIT */
/* work.h - the worker threads' private side. */
#pragma once

#include <ex.h>
#include <ki.h>
#include <ps.h>

/* Makes the queues: from here on work can be queued, but nobody does it yet. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ExpInitializeWorkQueues(VOID);

/* Starts the workers. On a thread, after PspInitialize. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ExpInitializeWorkers(VOID);

/* ------------------------------------------------------------------ One queue and its threads. */

typedef struct _EXP_WORK_QUEUE
{
    KQUEUE Queue;          /* MaximumCount: as many as there are processors              */
    PCSTR Name;            /* constant: its threads' */
    KPRIORITY Priority;    /* constant */
    LONG Permanent;        /* constant: threads that never end */
    volatile LONG Threads; /* changed by interlocked operations: who adds one, and who ends       */
    BOOLEAN Exhausted;     /* workpool.c's thread: said so in the log */
} EXP_WORK_QUEUE, *PEXP_WORK_QUEUE;

/* By WORK_QUEUE_TYPE. */
extern EXP_WORK_QUEUE ExpWorkQueues[MaximumWorkQueue];

/* How many threads may be blocked in a queue's work before the rest of its work has to wait. */
#define EXP_MAXIMUM_BLOCKED 16

/* How long (100 ns units) a thread that is not permanent waits for work before it ends. */
#define EXP_IDLE_LIMIT (10 * 10000000ll)

/* A worker's life: Context is its queue. */
KSTART_ROUTINE ExpWorker;

/* workpool.c: there is work in some queue that nobody took. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExpWatchQueues(VOID);
