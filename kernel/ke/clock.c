/* SPDX-License-Identifier: MIT */
/*
 * clock.c - the tick that a busy processor has and an idle one has not.
 *
 * The APIC timer is one-shot. While a processor runs something it is armed for the next tick, which
 * bounds how long a DPC that did not ask for an interrupt can wait, and measures the DPC rate. An
 * idle processor stops it. Two chores outlive that on the boot processor: a counter that wraps must
 * be read in time, and a line masked for a storm must be tried again.
 */
#include "clock.h"

#include <arch/hal.h>

#include "interrupt.h"

VOID KiStartTick(PKPRCB Prcb)
{
    UNREFERENCED_PARAMETER(Prcb);
    HalpArmClock(KI_TICK_LENGTH);
}

VOID KiArmClock(PKPRCB Prcb)
{
    KiStopTick(!Prcb->Dpc.Idle);
}

/* A chore's timer is one-shot too, so it is armed anew before each halt. */
VOID KiStopTick(BOOLEAN Ticking)
{
    ULONG64 Wake = 0;

    if (KI_CURRENT_PRCB->Index == 0)
    {
        Wake = KiStormsPending() ? KI_STORM_BACKOFF : HalpCounterKeepAlive;
    }
    if (Wake != 0)
    {
        HalpArmClock(Wake);
    }
    else if (Ticking)
    {
        HalpStopClock();
    }
}

/* A queue that nobody asked to drain is drained at the tick: the common exit looks at Requested. */
static VOID KiRequestOverdueDpcs(PKI_DPC_QUEUE Queue)
{
    _disable();
    KeAcquireSpinLockAtDpcLevel(&Queue->Lock);
    if (Queue->Depth != 0)
    {
        CONTAINING_RECORD(Queue, KPRCB, Dpc)->Due.Dpc = TRUE;
    }
    KeReleaseSpinLockFromDpcLevel(&Queue->Lock);
    _enable();
}

VOID KiClockInterrupt(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    UNREFERENCED_PARAMETER(Frame);
    Prcb->ClockInterrupts++;
    Prcb->DpcRate = (ULONG)(Prcb->DpcCount - Prcb->DpcCountAtTick);
    Prcb->DpcCountAtTick = Prcb->DpcCount;
    KiRequestOverdueDpcs(&Prcb->Dpc);
    if (Prcb->Index == 0)
    {
        HalpQueryCounter();
        KiRetryStormyLines();
    }
    if (!Prcb->Dpc.Idle)
    {
        if (--Prcb->CurrentThread->Quantum <= 0)
        {
            Prcb->Ready.QuantumEnded = TRUE;
            Prcb->Due.Schedule = TRUE;
        }
        HalpArmClock(KI_TICK_LENGTH);
    }
}
