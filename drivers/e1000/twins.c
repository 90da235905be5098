/* SPDX-License-Identifier: MIT */
/*
 * twins.c - checked builds: the DPC's way into the state area, right and wrong on demand, and the
 * delay points that make the wrong ways fail every time. A test that passes with a twin selected
 * has no power; see E1000_TWIN in e1000ctl.h for what each must show.
 */
#include "e1000.h"

#if DBG

VOID E1000EnterArea(PE1000_EXTENSION Extension, E1000_AREA_HOLD *Hold)
{
    Hold->Twin = (UCHAR)Extension->Twin; /* left as it was entered, whatever the test sets next */

    switch (Hold->Twin)
    {
    case E1000TwinNoLock:
        KeRaiseIrql((KIRQL)Extension->InterruptResource.u.Interrupt.Level, &Hold->OldIrql);
        break;
    case E1000TwinNoRaise:
        KeAcquireSpinLockAtDpcLevel(&Extension->InterruptLock);
        break;
    default:
        Hold->OldIrql = E1000LockArea(Extension);
        break;
    }
}

VOID E1000LeaveArea(PE1000_EXTENSION Extension, const E1000_AREA_HOLD *Hold)
{
    switch (Hold->Twin)
    {
    case E1000TwinNoLock:
        KeLowerIrql(Hold->OldIrql);
        break;
    case E1000TwinNoRaise:
        KeReleaseSpinLockFromDpcLevel(&Extension->InterruptLock);
        break;
    default:
        E1000UnlockArea(Extension, Hold->OldIrql);
        break;
    }
}

/*
 * E1000DelayPoint - stalls, for a time drawn from the seed and the point's name, when a test has
 * asked for it. The DPC's point first makes the device interrupt, as often as the test allowed.
 */
VOID E1000DelayPoint(PE1000_EXTENSION Extension, PCSTR Name)
{
    ULONG Longest = Extension->DelayMicroseconds;
    ULONG Hash;

    if (Longest == 0)
    {
        return;
    }

    if (Name[0] == 'd' && Extension->DelayFires > 0 &&
        InterlockedDecrement(&Extension->DelayFires) >= 0)
    {
        E1000Write(Extension, E1000_ICS, E1000_CAUSE_LSC);
    }

    /* A multiplicative hash (Knuth 6.4) of seed, name and draw. */
    Hash = Extension->DelaySeed + (ULONG)InterlockedIncrement(&Extension->DelayDraws);
    for (; *Name != 0; Name++)
    {
        Hash = (Hash ^ (UCHAR)*Name) * 2654435761u;
    }
    KeStallExecutionProcessor(1 + (ULONG)((ULONG64)Hash * Longest >> 32));
}

#endif
