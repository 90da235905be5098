/* SPDX-License-Identifier: MIT */
/* nmi.h - NMIs outside of bug checks. */
#pragma once

#include "ki.h"

/* Stores where it came, or stops the machine (nmi=panic). From the NMI handler, once NmiCount has
 * counted it; no bug check is being reported. */
VOID KiNoteNmi(PKTRAP_FRAME Frame);

/* Logs what this processor's NMIs have left to say, if it is time. Its tick or its idle loop. */
VOID KiReportNmis(PKPRCB Prcb);

/* TRUE if there is something to say. */
FORCEINLINE BOOLEAN KiHasUnreportedNmis(PKPRCB Prcb)
{
    return *(volatile ULONG64 *)&Prcb->NmiCount != Prcb->NmisReported;
}
