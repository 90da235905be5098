/* SPDX-License-Identifier: MIT */
/*
 * exlocks.h - actors: threads that a test tells, step by step, what to do, so that who holds a lock
 * and who waits for it is as the test says. The test sees from the lock itself that somebody waits.
 */
#pragma once

#include <scheduler.h>

#include "kt.h"

typedef struct _ACTOR
{
    KT_THREAD Thread;
    KEVENT Go;
    VOID (*volatile Step)(struct _ACTOR *Actor); /* NULL: the end; written before Go is set   */
    PVOID Context;
    ULONG Number;           /* the test's */
    BOOLEAN Result;         /* the step's; read after it is done */
    volatile LONG Started;  /* steps begun, by the test */
    volatile LONG Finished; /* steps done, by the actor */
} ACTOR, *PACTOR;

#define MAXIMUM_ACTORS 16
extern ACTOR Actors[MAXIMUM_ACTORS]; /* of the running case */

/* Hires Count actors, all with Context; dismisses them, once each has done its last step. */
VOID HireActors(ULONG Count, PVOID Context);
VOID DismissActors(ULONG Count);

/* Begins a step; waits for its end; both. */
VOID Begin(ULONG Number, VOID (*Step)(PACTOR Actor));
VOID Finish(ULONG Number);
VOID Do(ULONG Number, VOID (*Step)(PACTOR Actor));
BOOLEAN IsFinished(ULONG Number);

/* Gives way until Condition holds; fails the case after a minute. */
#define UNTIL(Condition)                                                                           \
    do                                                                                             \
    {                                                                                              \
        ULONG64 UntilEnd = KtNow() + KT_SECONDS(60);                                               \
                                                                                                   \
        while (!(Condition))                                                                       \
        {                                                                                          \
            if (KtNow() > UntilEnd)                                                                \
            {                                                                                      \
                KtFail(__FILE__, __LINE__, #Condition, "not within a minute");                     \
                break;                                                                             \
            }                                                                                      \
            KiYieldThread();                                                                       \
            YieldProcessor();                                                                      \
        }                                                                                          \
    } while (0)

#define CHECK_IRQL(Expected)                                                                       \
    KT_CHECK(KeGetCurrentIrql() == (Expected), "IRQL %u, not %u", KeGetCurrentIrql(), (Expected))
