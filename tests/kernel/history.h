/* SPDX-License-Identifier: MIT */
/*
 * history.h - small runs of a few threads on a few objects, with every call written down.
 *
 * A round: each thread makes the calls of its program, as fast as it can; begin, end and result of
 * each go into an array of its own. Afterwards the round is written to the results port, and the
 * host looks for an order of instants that explains it (tests/harness/history.py, linear.py).
 */
#pragma once

#include "kt.h"

#define HISTORY_OBJECTS 3
#define HISTORY_THREADS 4
#define HISTORY_PROGRAM 8 /* calls that a program has at most */

typedef enum _HISTORY_KIND
{
    HistorySynchronization,
    HistoryNotification,
    HistorySemaphore,
    HistoryMutex,
    HistoryQueue
} HISTORY_KIND;

typedef enum _HISTORY_OPERATION
{
    HistorySet,
    HistoryReset,
    HistoryClear,
    HistoryPulse,
    HistoryRead,
    HistoryWait,
    HistoryAny,
    HistoryAll,
    HistoryRelease,
    HistoryHead,
    HistoryTail,
    HistoryRemove,
    HistoryLook, /* at another thread: is it waiting? */
    HistoryOperationCount
} HISTORY_OPERATION;

/* What a case is about: its objects, and what the calls are drawn from besides those that signal
 * and wait for one object. */
typedef struct _HISTORY_KINDS
{
    PCSTR Name; /* suite/case */
    ULONG ObjectCount;
    struct
    {
        HISTORY_KIND Kind;
        LONG First, Limit;
    } Objects[HISTORY_OBJECTS];
    BOOLEAN Reads;
    HISTORY_OPERATION Several; /* HistoryAny or HistoryAll; or HistoryWait: neither */
} HISTORY_KINDS;

/* Makes rounds and writes them out; the host decides. The case fails only by what shows at once. */
VOID HistoryRun(const HISTORY_KINDS *Kinds);

/* ------------------------------------------------------------------ Between who records and who
 * writes out (historyprint.c). */

/* Results that are not numbers. */
#define RESULT_TIMEOUT (MINLONG + 1)
#define RESULT_LIMIT (MINLONG + 2)
#define RESULT_NOT_OWNER (MINLONG + 3)

typedef struct _HISTORY_CALL
{
    ULONG64 Start, End; /* HalpQueryCounter */
    LONG64 Argument;
    LONG Result;
    HISTORY_OPERATION Operation;
    ULONG Objects; /* a mask; of a look, the other thread's number */
} HISTORY_CALL, *PHISTORY_CALL;

/* A semaphore's: without a landing pad, in a free build, no release may be refused. */
FORCEINLINE LONG HistoryLimit(const HISTORY_KINDS *Kinds, ULONG Object)
{
    return DBG ? Kinds->Objects[Object].Limit : MAXLONG;
}

/* The beginning of a round's line, without an end; then each call, with times from Base on. */
VOID HistoryPrintHead(const HISTORY_KINDS *Kinds, LONG Round);
VOID HistoryPrintCall(ULONG Thread, const HISTORY_CALL *Call, ULONG64 Base);
