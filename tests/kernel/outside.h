/* SPDX-License-Identifier: MIT */
/*
 * outside.h - the desk: one page where a test in here and a scenario out there meet.
 *
 * The host finds it by the log ("outside: desk at ADDRESS.") and reads and writes it as physical
 * memory while we run. tests/harness/outside.py has the same layout.
 */
#pragma once

#include "kt.h"

#define OUTSIDE_MAGIC 0x4B5345444C54494Eull
#define OUTSIDE_PROCESSORS 32 /* records that fit the page */

/* Wishes. */
#define OUTSIDE_NOTHING 0u
#define OUTSIDE_END 1u

/* Arguments of OUTSIDE_NOTHING, bits. */
#define OUTSIDE_DEAF 1u         /* the edus' ISR claims nothing and acknowledges nothing */
#define OUTSIDE_SLOW_NIC 0x100u /* the network card's DPC takes a millisecond; checked builds */

/* An edu device that the test has connected; the ISR counts, under its own interrupt's lock. */
#define OUTSIDE_EDUS 2
typedef struct _OUTSIDE_EDU
{
    ULONG Gsi;
    ULONG Vector;
    volatile ULONG64 Calls;
    volatile ULONG64 Claims;
} OUTSIDE_EDU, *POUTSIDE_EDU;

/* What a processor counts; copied here when the host asks. */
typedef struct _OUTSIDE_RECORD
{
    ULONG64 Turns;
    ULONG64 Dpcs;
    ULONG64 Timers;
    ULONG64 Interrupts;
    ULONG64 Spurious;
    ULONG64 Unclaimed;
    ULONG64 Nmis;
    ULONG64 ApicErrors;
    ULONG64 Clocks;
    ULONG64 NmisAt; /* physical address of the count itself: it moves while nobody can answer */
    ULONG64 Switches;
    ULONG64 Storms; /* of all lines, in the first record */
} OUTSIDE_RECORD, *POUTSIDE_RECORD;

typedef struct DECLSPEC_ALIGN(4096) _OUTSIDE_DESK
{
    volatile ULONG64 Magic; /* the test, last of all */
    ULONG Processors;
    ULONG State;
    volatile ULONG Wish;           /* the host, after Argument                            */
    volatile ULONG Argument;       /* the host                                            */
    volatile ULONG Asked;          /* the host: a question's number                       */
    volatile ULONG Answered;       /* the test: the number, once the records are newer    */
    UCHAR Owned[VECTOR_COUNT / 8]; /* bits of the vectors that have an owner        */
    OUTSIDE_EDU Edus[OUTSIDE_EDUS];
    UCHAR Unused[16];
    OUTSIDE_RECORD Records[OUTSIDE_PROCESSORS];
} OUTSIDE_DESK, *POUTSIDE_DESK;

C_ASSERT(FIELD_OFFSET(OUTSIDE_DESK, Wish) == 16 && FIELD_OFFSET(OUTSIDE_DESK, Owned) == 32 &&
         FIELD_OFFSET(OUTSIDE_DESK, Records) == 128 && sizeof(OUTSIDE_DESK) == 4096);

extern OUTSIDE_DESK KtDesk;

/* Connects the edu devices in odd slots, with shared interrupts, and takes them away again
 * (outsideedu.c). Those in even slots stay without a driver. PASSIVE_LEVEL. */
VOID KtConnectEdus(VOID);
VOID KtDisconnectEdus(VOID);

/* Opens the desk: owned vectors, magic, the line in the log. PASSIVE_LEVEL. */
VOID KtOpenDesk(VOID);
/* Answers the question that was put, if there is one. Fill may be NULL: it adds what only the test
 * knows to each processor's record. PASSIVE_LEVEL. */
VOID KtAnswer(VOID (*Fill)(ULONG Processor, POUTSIDE_RECORD Record));

/* The network card's counters, as text on a page of its own (outsidenic.c); nothing without a card.
 * Close checks its books. PASSIVE_LEVEL. */
VOID KtOpenNicDesk(VOID);
VOID KtFillNicDesk(VOID);
VOID KtCloseNicDesk(VOID);
