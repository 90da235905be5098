/* SPDX-License-Identifier: MIT */
/* symbols.h - names for code addresses, and walking stacks. */
#pragma once

#include "ki.h"

/* The routine that Address lies in, and how far in; NULL if it is not the kernel's. */
PCSTR KiFindSymbol(ULONG64 Address, ULONG64 *Offset);

/* Calls Visit for each return address from the given frame pointer up, across interrupt frames and
 * stack switches, at most Limit of them. Touches only memory that is mapped. */
typedef VOID KI_VISIT_FRAME(ULONG64 Rip, PKTRAP_FRAME Trap, PVOID Context);
VOID KiWalkStack(ULONG64 Rbp, ULONG Limit, KI_VISIT_FRAME *Visit, PVOID Context);
