/* SPDX-License-Identifier: MIT */
/*
 * nmi.c - NMIs that nobody in here sent: a button, a watchdog, memory or a bus in trouble.
 *
 * PURPOSE
 *   Survive one at any instruction, say so later, or stop at once if the option nmi=panic asks for
 *   it: then a button shows where every processor is.
 *
 * HOW IT WORKS
 *   The handler runs on a stack of its own and only stores: how many there were, and where and at
 *   which IRQL the last one came. The processor's next tick, or its idle loop, logs that, at once
 *   for the first and then at most every ten seconds.
 *
 * LOCKS AND IRQL
 *   None. An NMI can come between any two instructions of this processor, also of those that hold
 *   the log's slot or a lock, so its handler neither logs nor locks, lowers no IRQL and lets no
 *   interrupt in: what is due would be served on the NMI's stack, perhaps by another thread, and
 *   the next NMI would write over it.
 *
 * ORDERING
 *   All of it is the processor's own. A report that an NMI interrupts may show the place of the
 *   next; the count is read first, so that one is reported again.
 *
 * FURTHER READING
 *   Intel SDM 3A 6.7. Microsoft: "Bug Check 0x80: NMI_HARDWARE_FAILURE". docs/faults.md.
 */
#include "nmi.h"

#include "symbols.h"
#include "twin.h"

#define REPORT_EVERY 100000000ull /* 100 ns units: 10 s */

VOID KiNoteNmi(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    Prcb->NmiRip = Frame->Rip;
    Prcb->NmiIrql = (KIRQL)Frame->PreviousIrql;
    if (KI_TWIN(KiTwinNmiEnables))
    {
        _enable();
        KI_TWIN_DELAY(KiTwinNmiEnables);
        _disable();
    }
    if (KiOptions.Nmi == KiNmiPanic)
    {
        KiBugCheckFrame(NMI_HARDWARE_FAILURE, 0, Prcb->NmiCount, Frame->Rip, Prcb->Index, Frame);
    }
}

VOID KiReportNmis(PKPRCB Prcb)
{
    ULONG64 Now = KeQueryInterruptTime();
    ULONG64 Count = Prcb->NmiCount;
    ULONG64 Offset = 0;
    PCSTR Name;

    if (Prcb->NmisReported != 0 && Now - Prcb->NmiReportTime < REPORT_EVERY)
    {
        return;
    }
    Prcb->NmisReported = Count; /* first: the idle loop may be preempted in the middle of this */
    Prcb->NmiReportTime = Now;
    Name = KiFindSymbol(Prcb->NmiRip, &Offset);
    KiLog(KiLogWarning, "NMI: %llu on this CPU so far; the last came at IRQL %u in %s+0x%llx",
          Count, Prcb->NmiIrql, Name != NULL ? Name : "?", Offset);
}
