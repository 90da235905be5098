/* SPDX-License-Identifier: MIT */
/* stacks.h - whose stack an address is on. */
#pragma once

#include "ki.h"

typedef struct _KI_STACK_PLACE
{
    PCSTR Kind;      /* "DPC", "thread's", ... */
    ULONG Processor; /* whose stack it is, or on which its thread runs */
    ULONG64 Base;    /* the stack is Base up to End; below it is the guard page */
    ULONG64 End;
} KI_STACK_PLACE, *PKI_STACK_PLACE;

/* The stack that Address lies on, or below in its guard page: those of all processors and of the
 * threads that run. FALSE if it is on none of them. Any IRQL. */
BOOLEAN KiFindStack(ULONG64 Address, PKI_STACK_PLACE Place);
