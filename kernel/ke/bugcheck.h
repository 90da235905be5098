/* SPDX-License-Identifier: MIT */
/* bugcheck.h - a bug check, as those see it who report it. */
#pragma once

#include "ki.h"

typedef struct _KI_STOP
{
    ULONG Code;
    ULONG_PTR Parameters[4];
    PKTRAP_FRAME Frame; /* the trap that led to it; NULL: a call */
    ULONG64 Rbp;        /* its stack's innermost frame */
    KIRQL Irql;         /* before it */
    PKPRCB Prcb;        /* where it was found */
} KI_STOP, *PKI_STOP;

/* The code's name, or "UNKNOWN". */
PCSTR KiBugCheckName(ULONG Code);

/* The processor of that index if it is another than Owner and can be stopped, else NULL. */
PKPRCB KiOtherProcessor(ULONG Index, ULONG Owner);
