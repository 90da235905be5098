/* SPDX-License-Identifier: MIT */
/*
 * due.c - what a processor owes before its IRQL falls: timers, DPCs, a better thread, APCs.
 *
 * PURPOSE
 *   Interrupts and other processors ask for work that has to wait until this processor's IRQL
 *   allows it. It asks in one word, Due, of four flags; whoever lowers the IRQL looks at that word
 *   and calls KiServeDue, and so does the way out of each interrupt. There is no other place where
 *   a thread loses its processor against its will.
 *
 * HOW IT WORKS
 *       Dpc, Timer    -> the DPC stack, at DISPATCH_LEVEL (dpc.c, timer.c)
 *       Schedule      -> another thread, at DISPATCH_LEVEL (sched.c)
 *       Apc           -> the thread's own calls, at APC_LEVEL, if it returns to PASSIVE_LEVEL
 *   in that order, and from the beginning again: each of them may make another due. DPCs make
 *   threads ready, hence before the choice of a thread; the thread chosen has its own APCs, hence
 *   after it.
 *
 * LOCKS AND IRQL
 *   Called at DISPATCH_LEVEL on a thread's stack. The thread may come back on another processor, so
 *   each look at Due is a look at this processor's by one gs: load.
 *
 * ORDERING
 *   Each flag has its own rule (ki.h). Lower first, then look: irql.c says why.
 *
 * FURTHER READING
 *   docs/irql.md, docs/scheduler.md. Laws L3, L8, L27, L73, L80.
 */
#include <arch/hal.h>

#include "scheduler.h"
#include "trap.h"

/* Which flags count for a processor that returns to Irql. */
FORCEINLINE ULONG KiDueMask(KIRQL Irql)
{
    return Irql == PASSIVE_LEVEL ? MAXULONG : KI_DUE_DISPATCH;
}

VOID KiServeDue(KIRQL Irql)
{
    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    for (;;)
    {
        KI_DUE Due = {.Any = KI_CURRENT_PRCB->Due.Any & KiDueMask(Irql)};

        if (Due.Dpc || Due.Timer)
        {
            KiRetireDpcList();
        }
        else if (Due.Schedule)
        {
            KiReschedule();
        }
        else if (Due.Apc)
        {
            __writecr8(APC_LEVEL);
            KiDeliverApcs();
            __writecr8(DISPATCH_LEVEL);
        }
        else
        {
            return;
        }
    }
}

/* An interrupt may have served already: then there is nothing, which costs little. Routines run
 * with interrupts on, so a caller who keeps them off leaves it to the APIC. */
VOID KiServeAfterLower(KIRQL Irql)
{
    ULONG Due = KI_CURRENT_PRCB->Due.Any & KiDueMask(Irql);

    if (Due != 0 && !(__readeflags() & EFLAGS_IF))
    {
        HalpSendIpiSelf((Due & KI_DUE_DISPATCH) != 0 ? DISPATCH_VECTOR : APC_VECTOR);
        return;
    }
    while (Due != 0)
    {
        __writecr8(DISPATCH_LEVEL);
        KiServeDue(Irql);
        __writecr8(Irql);
        Due = KI_CURRENT_PRCB->Due.Any & KiDueMask(Irql);
    }
}

/* The handler of DISPATCH_VECTOR: whoever sent it has set a flag, and the way out looks. */
VOID KiDispatchInterrupt(PKTRAP_FRAME Frame)
{
    UNREFERENCED_PARAMETER(Frame);
}
