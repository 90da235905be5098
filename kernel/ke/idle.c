/* SPDX-License-Identifier: MIT */
/*
 * idle.c - what a processor does when it has nothing to do, and the work it can be handed.
 *
 * The loop looks for work, DPCs and log text with interrupts on, and decides to halt with
 * interrupts off: STI takes effect after the HLT behind it, so whatever arrives after the decision
 * wakes it. CR8 is 0 there; a HLT at DISPATCH_LEVEL would sleep through a DPC. Idle is set under
 * the queue's lock at the moment the queue is seen empty, so an insertion either finds it set and
 * interrupts, or was there before and is found (dpc.c). A poster of work stores it and then
 * interrupts: vector 0x2F on an empty queue does nothing but end the HLT.
 *
 * Idle means that the processor has no tick, and nothing else: it stays set through interrupts that
 * end the HLT, and the DPCs that they bring, and the tick starts again only with work to do. Three
 * writes to the timer for each packet would cost more than the packet.
 */
#include "ki.h"

#include <arch/hal.h>

#include "clock.h"
#include "spinlock.h"

BOOLEAN KiPostWork(ULONG Processor, PKI_WORK Work)
{
    PKPRCB Prcb = KiProcessorBlock[Processor];

    WriteRelease(&Work->Done, FALSE);
    /* pairs with: KiTakeWork */
    if (InterlockedCompareExchangePointer((PVOID volatile *)&Prcb->Work, Work, NULL) != NULL)
    {
        return FALSE;
    }
    HalpSendIpi(Processor, DISPATCH_VECTOR);
    return TRUE;
}

/* The tick first: whoever sees Idle clear relies on it. One who still sees it set sends an
 * interrupt too many. */
static VOID KiLeaveIdle(PKI_DPC_QUEUE Queue)
{
    if (Queue->Idle)
    {
        _disable();
        KiStartTick();
        Queue->Idle = FALSE;
        _enable();
    }
}

static BOOLEAN KiTakeWork(PKPRCB Prcb)
{
    PKI_WORK Work = ReadPointerAcquire(&Prcb->Work); /* pairs with: KiPostWork */

    if (Work == NULL)
    {
        return FALSE;
    }
    WritePointerRelease(&Prcb->Work, NULL);
    KiLeaveIdle(&Prcb->Dpc);
    Work->Routine(Work->Context);
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    WriteRelease(&Work->Done, TRUE); /* the poster may reuse it from here on */
    return TRUE;
}

/* TRUE if the queue was empty, and then Idle is set. Interrupts off. */
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
    BOOLEAN Ticking = !Prcb->Dpc.Idle;

    _disable();
    if (ReadPointerAcquire(&Prcb->Work) != NULL || KiLogIsWaiting() || !KiEnterIdle(&Prcb->Dpc))
    {
        _enable();
        return;
    }
    KiStopTick(Ticking);
    Prcb->IdleHalts++;
    ArchEnableAndHalt();
}

VOID KiIdleLoop(VOID)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KiStartTick();
    _enable();
    for (;;)
    {
        if (KiTakeWork(Prcb))
        {
            continue;
        }
        if (Prcb->Dpc.Depth != 0)
        {
            KiDrainAfterLower(PASSIVE_LEVEL);
            continue;
        }
        KiLogDrain();
        KiHaltUntilInterrupt(Prcb);
    }
}
