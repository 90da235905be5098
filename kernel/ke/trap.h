/* SPDX-License-Identifier: MIT */
/* trap.h - the kernel's own vector handlers. */
#pragma once

#include "ki.h"

/* Installs them. Boot processor, before interrupts are on. */
VOID KiInitializeTraps(VOID);

VOID KiDispatchInterrupt(PKTRAP_FRAME Frame); /* due.c */
VOID KiIpiInterrupt(PKTRAP_FRAME Frame);      /* ipi.c */
