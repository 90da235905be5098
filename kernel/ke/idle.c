/* SPDX-License-Identifier: MIT */
/*
 * idle.c - what a processor does when it has nothing to do.
 *
 * PURPOSE
 *   A processor without a thread halts, takes no periodic interrupt, and misses nothing.
 *
 * HOW IT WORKS
 *   (busy)    -> (looking)   the idle thread runs: its bit in the idle mask is set
 *   (looking) -> (halted)    it has looked at its own queues and at all others, and then, with
 *                            interrupts off, at its Due flags, its bit, its DPC queue, and the log
 *   (halted)  -> (looking)   any interrupt
 *   (any)     -> (busy)      KiReschedule found a thread: KiLeaveIdle, before it runs. If that was
 *                            in the look around, the idle thread comes back to the middle of it,
 *                            without its bit, and so looks again
 *   STI takes effect after the HLT behind it, so whatever arrives after the last look wakes it. CR8
 *   is 0 there; a HLT at DISPATCH_LEVEL would sleep through a DPC.
 *
 *   Dpc.Idle means that the processor has no tick of its own, and nothing else: it is set under the
 *   DPC queue's lock at the moment the queue is seen empty, so an insertion either finds it set and
 *   interrupts, or was there before and is found (dpc.c). It stays set through interrupts and their
 *   DPCs, which start a tick only if the last one is over: three writes to the timer for each
 *   packet would cost more than the packet.
 *
 * LOCKS AND IRQL
 *   The idle thread runs at PASSIVE_LEVEL, never waits, and never leaves its processor.
 *
 * ORDERING
 *   The bit is set (locked) before the queues are read; who queues a thread reads the mask after.
 *   pairs with: KiReadyThread.
 *
 * FURTHER READING
 *   docs/scheduler.md; tests/models/idle.pml. Laws L32, L65, L73; regressions R-c, R-i.
 */
#include "clock.h"
#include "log.h"
#include "nmi.h"
#include "switch.h"

FORCEINLINE LONG64 KiIdleBit(PKPRCB Prcb)
{
    return (LONG64)(1ull << Prcb->GroupNumber);
}

/* The tick first: whoever sees Idle clear relies on it. One who still sees it set sends an
 * interrupt too many. */
VOID KiLeaveIdle(PKPRCB Prcb)
{
    if (ReadNoFence64(&KiIdleMask[Prcb->Group]) & KiIdleBit(Prcb))
    {
        InterlockedAnd64(&KiIdleMask[Prcb->Group], ~KiIdleBit(Prcb));
    }
    if (Prcb->Dpc.Idle)
    {
        _disable();
        KiStartTick(Prcb);
        Prcb->Dpc.Idle = FALSE;
        _enable();
    }
}

/* FALSE if it has run something since it looked around, or is claimed for a thread. */
FORCEINLINE BOOLEAN KiCountsAsIdle(PKPRCB Prcb)
{
    return (ReadNoFence64(&KiIdleMask[Prcb->Group]) & KiIdleBit(Prcb)) != 0;
}

/* TRUE if the DPC queue was empty, and then Idle is set. Interrupts off. */
static BOOLEAN KiEnterIdle(PKI_DPC_QUEUE Queue)
{
    BOOLEAN Empty;

    KiAcquireSpinLock(&Queue->Lock);
    Empty = Queue->Depth == 0;
    if (Empty)
    {
        Queue->Idle = TRUE;
    }
    KiReleaseSpinLock(&Queue->Lock);
    return Empty;
}

static VOID KiHaltUntilInterrupt(PKPRCB Prcb)
{
    _disable();
    if (Prcb->Due.Any != 0 || (!KiCountsAsIdle(Prcb) && !KI_TWIN(KiTwinIdleHaltsBlind)) ||
        KiLogIsWaiting() || !KiEnterIdle(&Prcb->Dpc))
    {
        _enable();
        return;
    }
    KiArmClock(Prcb);
    Prcb->IdleHalts++;
    ArchEnableAndHalt();
}

/* DPCs that nobody asked to drain, then threads. */
static VOID KiLookAround(PKPRCB Prcb)
{
    __writecr8(DISPATCH_LEVEL);
    if (Prcb->Dpc.Depth != 0)
    {
        KiRetireDpcList();
    }
    KiReschedule();
    KiLowerIrql(PASSIVE_LEVEL);
}

VOID KiIdleLoop(VOID)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KiStartTick(Prcb);
    _enable();
    for (;;)
    {
        if (KiHasUnreportedNmis(Prcb))
        {
            KiReportNmis(Prcb);
        }
        if (KiLogIsWaiting())
        {
            KiLogKick();
        }
        InterlockedOr64(&KiIdleMask[Prcb->Group], KiIdleBit(Prcb)); /* pairs with: KiReadyThread */
        KiLookAround(Prcb);
        KiHaltUntilInterrupt(Prcb);
    }
}
