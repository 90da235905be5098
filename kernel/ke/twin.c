/* SPDX-License-Identifier: MIT */
/* twin.c - the names of the broken twins, and the delay points' pause. See twin.h. */
#include "twin.h"

#include "ki.h"

#if DBG

#define LONGEST_DELAY_US 256

KI_TWIN_ID KiActiveTwin;

/* By fault=; written once, at start-up. */
static KI_TWIN_ID KiSelectedTwin;

static const PCSTR KiTwinNames[KiTwinMaximum] = {
    [KiTwinTicketNoAtomic] = "ticket-no-atomic",
    [KiTwinRaiseAfterDraw] = "raise-after-draw",
    [KiTwinDpcRunsQueued] = "dpc-runs-queued",
    [KiTwinDpcFlagUnlocked] = "dpc-flag-unlocked",
    [KiTwinInterruptNoLock] = "interrupt-no-lock",
    [KiTwinNicNoLock] = "nic-no-lock",
    [KiTwinNicNoRaise] = "nic-no-raise",
    [KiTwinRwReaderJoins] = "rw-reader-joins",
    [KiTwinFastMutexNoWake] = "fast-mutex-no-wake",
    [KiTwinPushAnySharer] = "push-any-sharer",
    [KiTwinResourceBarges] = "resource-barges",
    [KiTwinRundownNoWait] = "rundown-no-wait",
    [KiTwinSlistNoSequence] = "slist-no-sequence",
};

/* Advanced by any processor without order: it only has to vary. */
static volatile LONG64 KiDelaySequence;

BOOLEAN KiSelectTwin(PCSTR Name)
{
    for (ULONG Twin = KiTwinNone + 1; Twin < KiTwinMaximum; Twin++)
    {
        if (strcmp(KiTwinNames[Twin], Name) == 0)
        {
            KiSelectedTwin = (KI_TWIN_ID)Twin;
            return TRUE;
        }
    }
    return FALSE;
}

VOID KiArmTwin(BOOLEAN Armed)
{
    KiActiveTwin = Armed ? KiSelectedTwin : KiTwinNone;
}

VOID KiDelayPoint(VOID)
{
    ULONG64 Mix = (ULONG64)InterlockedIncrement64(&KiDelaySequence) + KiOptions.Seed;

    Mix *= 0x9E3779B97F4A7C15ull; /* Fibonacci hashing: the golden ratio's bits */
    KeStallExecutionProcessor((ULONG)(Mix >> 56) % LONGEST_DELAY_US);
}

#endif
