/* SPDX-License-Identifier: MIT */
/* timer.h - timer.c's parts, for who walks all timers (systemtime.c) and for the tests. */
#pragma once

#include "scheduler.h"

/* When a set timer expires, in interrupt time, from when it is due and how much later will do.
 * Under its processor's timer lock. */
ULONG64 KiTimerKey(PKTIMER Timer);

/*
 * Ends a hold of Home's timer lock: NextDue is brought up to date, and if the first timer has
 * become an earlier one, Home hears of it. Now: interrupt time; what is due by it is served when
 * the IRQL falls. At DISPATCH_LEVEL.
 */
VOID KiUnlockTimers(PKPRCB Home, ULONG64 Now);

/* The latest point in [Due, Due + Tolerance] that many others choose too: that which is a multiple
 * of the greatest power of two. */
ULONG64 KiCoalesce(ULONG64 Due, ULONG64 Tolerance);
