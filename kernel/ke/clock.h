/* SPDX-License-Identifier: MIT */
/* clock.h - the tick, for the idle loop and start-up. */
#pragma once

#include "sched.h"

#define KI_TICK_LENGTH 156250u /* 100 ns units: 15.625 ms */

/* Starts this processor's tick; stops it, if it is Ticking, but for what must be done even while
 * idle. Interrupts off or only this processor's start-up running. */
VOID KiStartTick(PKPRCB Prcb);
VOID KiStopTick(BOOLEAN Ticking);

/* Boot processor: interrupt time starts at 0, system time at the CMOS clock's. */
VOID KiInitializeTime(VOID);
/* All processors are up: runs the warp test, chooses the counter, keeps time continuous. */
VOID KiFinishTime(VOID);

/* The handler of CLOCK_VECTOR. */
VOID KiClockInterrupt(PKTRAP_FRAME Frame);
