/* SPDX-License-Identifier: MIT */
/* threads.h - what the benchmarks with threads of their own share. */
#pragma once

#include "bench.h"

typedef VOID KB_THREAD_ROUTINE(PVOID Context);

/* Runs Measure(Context) on one processor and Answer(Context) on another or the same, each in a
 * thread of its own, and returns when both have ended. Answer is started first. */
VOID KbRunPair(ULONG FirstProcessor, ULONG SecondProcessor, KPRIORITY Priority,
               KB_THREAD_ROUTINE *Measure, KB_THREAD_ROUTINE *Answer, PVOID Context);

/* Waits for one object, without a limit. */
VOID KbWait(PVOID Object);
