/* SPDX-License-Identifier: MIT */
/* clock.h - the tick, for the idle loop and start-up; system time's offset, for the timers. */
#pragma once

#include "scheduler.h"

#define KI_TICK_LENGTH 156250u /* 100 ns units: 15.625 ms */

/* This processor has no tick and no timer: before its first interrupt. */
VOID KiInitializeClock(PKPRCB Prcb);

/*
 * This processor leaves idleness: it has a tick from now on. Before its Dpc.Idle is cleared, for
 * whoever sees that cleared relies on the tick. Costs a look if the last tick is still to come.
 * There is no opposite: the first tick that finds Dpc.Idle set is the last. Interrupts off.
 */
VOID KiStartTick(PKPRCB Prcb);

/* Before each halt, interrupts off, the idle loop calls KiArmClock (scheduler.h): whoever masks a
 * line for a storm wakes the boot processor for no other reason. */

/* Boot processor: interrupt time starts at 0, system time at the CMOS clock's. */
VOID KiInitializeTime(VOID);
/* All processors are up: runs the warp test, chooses the counter, keeps time continuous. */
VOID KiFinishTime(VOID);

/* System time less interrupt time, in 100 ns units. Any IRQL. */
LONG64 KiQuerySystemTimeOffset(VOID);
/* Changes that alone; a full barrier. KiSetSystemTime takes the timers along. */
VOID KiChangeSystemTime(ULONGLONG SystemTime);

/* The handler of CLOCK_VECTOR. */
VOID KiClockInterrupt(PKTRAP_FRAME Frame);
