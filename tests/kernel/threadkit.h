/* SPDX-License-Identifier: MIT */
/* threadkit.h - threads for the tests and benchmarks: started on a given processor, and joined. */
#pragma once

#include "kt.h"

#define KT_ANY_PROCESSOR MAXULONG

typedef VOID KT_THREAD_ROUTINE(PVOID Context);

typedef struct _KT_THREAD
{
    KTHREAD Thread;
    PVOID StackTop;
    KT_THREAD_ROUTINE *Routine;
    PVOID Context;
} KT_THREAD, *PKT_THREAD;

/* Runs Routine(Context) in a thread of its own, at PASSIVE_LEVEL, on Processor only or anywhere;
 * FALSE if there is no memory. PASSIVE_LEVEL. */
BOOLEAN KtStartThread(PKT_THREAD Thread, ULONG Processor, KPRIORITY Priority,
                      KT_THREAD_ROUTINE *Routine, PVOID Context);
/* Waits until it has ended and takes its stack back. PASSIVE_LEVEL. */
VOID KtJoinThread(PKT_THREAD Thread);
