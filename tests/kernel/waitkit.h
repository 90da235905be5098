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
