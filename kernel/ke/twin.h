/* SPDX-License-Identifier: MIT */
/*
 * twin.h - broken twins: deliberately wrong variants of a mechanism, chosen by fault=NAME.
 *
 * A test is worth what it can catch. Each twin is one wrong step at the place where the right one
 * stands, and names the test that must fail with it (tests/harness/matrix). It is active only while
 * a test case runs: start-up and the runner itself need the right mechanism. Delay points make the
 * window that a twin opens wide enough to be hit: a pause whose length follows from the seed. Both
 * exist in checked builds only; in free builds KI_TWIN is the constant FALSE.
 */
#pragma once

#include <ntdef.h>

typedef enum _KI_TWIN
{
    KiTwinNone,
    KiTwinTicketNoAtomic,  /* spinlock.c: the draw is a load and a store             */
    KiTwinRaiseAfterDraw,  /* spinlock.c: the IRQL is raised after the lock is taken */
    KiTwinDpcRunsQueued,   /* dpc.c: dequeued after it ran                           */
    KiTwinDpcFlagUnlocked, /* dpc.c: the request flag is cleared outside the lock    */
    KiTwinInterruptNoLock, /* interrupt.c: the ISR runs without the interrupt's lock */
    KiTwinNicNoLock,       /* drivers/e1000/twins.c, selected by the test: no lock      */
    KiTwinNicNoRaise,      /* the same: the lock without the IRQL                       */
    KiTwinRwReaderJoins,   /* ex/rwspinlock.c: a reader goes in while a writer waits    */
    KiTwinFastMutexNoWake, /* mutexword.h: a release wakes nobody                       */
    KiTwinPushAnySharer,   /* ex/pushlock.c: the first sharer to leave hands over       */
    KiTwinResourceBarges,  /* ex/resource.c: new sharers overtake who waits exclusively */
    KiTwinRundownNoWait,   /* ex/rundown.c: the wait does not wait                      */
    KiTwinSlistNoSequence, /* ex/slist.c: a change leaves the sequence alone            */
    KiTwinMaximum
} KI_TWIN_ID;

#if DBG
extern KI_TWIN_ID KiActiveTwin;
#define KI_TWIN(Twin) __builtin_expect(KiActiveTwin == (Twin), 0)
/* A pause of up to a few hundred microseconds, if some twin is active. Any IRQL. */
VOID KiDelayPoint(VOID);
#define KI_TWIN_DELAY(Twin) (KI_TWIN(Twin) ? KiDelayPoint() : (void)0)
/* Chooses the twin called Name; FALSE if there is none of that name. */
BOOLEAN KiSelectTwin(PCSTR Name);
/* Makes the chosen twin, if there is one, active or not. Other processors idle. */
VOID KiArmTwin(BOOLEAN Armed);
#else
#define KI_TWIN(Twin) FALSE
#define KI_TWIN_DELAY(Twin) ((void)0)
#define KiArmTwin(Armed) ((void)0)
#endif
