/* SPDX-License-Identifier: MIT */
/*
 * linear.c - small random programs on dispatcher objects, for the host to explain. Laws L43 to L50,
 * L52, L55 to L57, L66 to L68, L71: whatever they promise about one object's calls shows in what
 * the calls return, or does not matter.
 *
 * A case passes here if nothing broke; the verdict is the host's (history/..., linear.py).
 */
#include "history.h"

static VOID Events(VOID)
{
    static const HISTORY_KINDS Kinds = {
        "linear/L43-events",
        3,
        {{HistorySynchronization, 0, 0},
         {HistoryNotification, 0, 0},
         {HistorySynchronization, 1, 0}},
        TRUE,
        HistoryWait,
    };

    HistoryRun(&Kinds);
}

/* One event, so that calls meet. */
static VOID OneEvent(VOID)
{
    static const HISTORY_KINDS Kinds = {
        "linear/L47-one-event", 1, {{HistorySynchronization, 0, 0}}, TRUE, HistoryWait,
    };

    HistoryRun(&Kinds);
}

static VOID Semaphores(VOID)
{
    static const HISTORY_KINDS Kinds = {
        "linear/L55-semaphores",
        2,
        {{HistorySemaphore, 0, 3}, {HistorySemaphore, 1, 2}},
        TRUE,
        HistoryWait,
    };

    HistoryRun(&Kinds);
}

static VOID Mutexes(VOID)
{
    static const HISTORY_KINDS Kinds = {
        "linear/L49-mutexes", 2, {{HistoryMutex, 1, 0}, {HistoryMutex, 1, 0}}, TRUE, HistoryWait,
    };

    HistoryRun(&Kinds);
}

static VOID Queues(VOID)
{
    static const HISTORY_KINDS Kinds = {
        "linear/queues", 2, {{HistoryQueue, 0, 0}, {HistoryQueue, 0, 0}}, TRUE, HistoryWait,
    };

    HistoryRun(&Kinds);
}

static VOID AnyOfSeveral(VOID)
{
    static const HISTORY_KINDS Kinds = {
        "linear/L67-any",
        3,
        {{HistorySynchronization, 0, 0}, {HistorySemaphore, 0, 3}, {HistoryMutex, 1, 0}},
        TRUE,
        HistoryAny,
    };

    HistoryRun(&Kinds);
}

static VOID AllOfSeveral(VOID)
{
    static const HISTORY_KINDS Kinds = {
        "linear/L66-all",
        3,
        {{HistorySynchronization, 1, 0}, {HistorySemaphore, 1, 3}, {HistoryMutex, 1, 0}},
        FALSE,
        HistoryAll,
    };

    HistoryRun(&Kinds);
}

static const KT_CASE Cases[] = {
    {"L43-events", Events, 0, FALSE},
    {"L47-one-event", OneEvent, 0, FALSE},
    {"L55-semaphores", Semaphores, 0, FALSE},
    {"L49-mutexes", Mutexes, 0, FALSE},
    {"queues", Queues, 0, FALSE},
    {"L67-any", AnyOfSeveral, 0, FALSE},
    {"L66-all", AllOfSeveral, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtLinearSuite, "linear", Cases);
