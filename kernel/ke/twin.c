/* SPDX-License-Identifier: MIT */
/* twin.c - the names of the broken twins, and the delay points' pause. See twin.h. */
#include "twin.h"

#include "ki.h"

#if DBG

#define LONGEST_DELAY_US 256
#define DELAYS_IN_A_LONG_ONE 48

KI_TWIN_ID KiActiveTwin;
BOOLEAN KiApcEoiLate;

/* By fault=; written once, at start-up. */
KI_TWIN_ID KiSelectedTwin KI_RO_AFTER_INIT;

#define KI_TWIN_NAME(Symbol, Name, What) [Symbol] = Name,

static const PCSTR KiTwinNames[KiTwinMaximum] = {KI_TWINS(KI_TWIN_NAME)};

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
    KiApcEoiLate = KI_TWIN(KiTwinApcEoiLate);
}

VOID KiDelayPoint(VOID)
{
    ULONG64 Mix = (ULONG64)InterlockedIncrement64(&KiDelaySequence) + KiOptions.Seed;

    Mix *= 0x9E3779B97F4A7C15ull; /* Fibonacci hashing: the golden ratio's bits */
    KeStallExecutionProcessor((ULONG)(Mix >> 56) % LONGEST_DELAY_US);
}

VOID KiLongDelayPoint(VOID)
{
    for (ULONG Delay = 0; Delay < DELAYS_IN_A_LONG_ONE; Delay++)
    {
        KiDelayPoint();
    }
}

#endif
