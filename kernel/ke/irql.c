/* SPDX-License-Identifier: MIT */
/*
 * irql.c - raising and lowering the processor's interrupt request level.
 *
 * PURPOSE
 *   While a processor is at IRQL k, no interrupt of class k or below starts on it. That, on one
 *   processor, is what a lock is between processors.
 *
 * HOW IT WORKS
 *   The IRQL is CR8, the task-priority register, and nothing else: no shadow copy, no deferred
 *   mask. Raising is one write. Lowering is a write and a look at one flag: if DPCs became due on
 *   this processor while it was at DISPATCH_LEVEL or above, they run before KeLowerIrql returns.
 *
 * LOCKS AND IRQL
 *   Nothing is locked; a processor's IRQL is its own. A CR8 write costs more than a spin lock, so
 *   code that may find itself at the wanted level already does not write it.
 *
 * ORDERING
 *   Lower first, then look at the flag. An interrupt between the two sees the low level and drains
 *   the queue itself on its way out; one before them leaves the flag for us. The other order has a
 *   gap: look (clear), interrupt queues a DPC and returns to the still raised level, lower: nobody
 *   drains. CR8 writes and the flag are this processor's own, so program order is all there is to
 *   it. pairs with: KeInsertQueueDpc. Model: tests/models/dpc.pml.
 *
 * FURTHER READING
 *   Microsoft: "Managing Hardware Priorities", "KeRaiseIrql", "KeLowerIrql". Intel SDM 3A 11.8.6.
 *   docs/irql.md. Laws L1-L8.
 */
#include "ki.h"

VOID KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql)
{
    KIRQL Current = KeGetCurrentIrql();

#if DBG
    if (NewIrql < Current || NewIrql > HIGH_LEVEL)
    {
        KeBugCheckEx(IRQL_NOT_GREATER_OR_EQUAL, Current, NewIrql, 0,
                     (ULONG_PTR)__builtin_return_address(0));
    }
#endif
    *OldIrql = Current;
    if (NewIrql != Current)
    {
        __writecr8(NewIrql);
    }
}

VOID KeLowerIrql(KIRQL NewIrql)
{
#if DBG
    KIRQL Current = KeGetCurrentIrql();

    if (NewIrql > Current)
    {
        KeBugCheckEx(IRQL_NOT_LESS_OR_EQUAL, NewIrql, Current, 0,
                     (ULONG_PTR)__builtin_return_address(0));
    }
#endif
    KiLowerIrql(NewIrql);
}

KIRQL KeRaiseIrqlToDpcLevel(VOID)
{
    KIRQL OldIrql;

#if DBG
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
#else
    OldIrql = KiRaiseIrqlToDpcLevel();
#endif
    return OldIrql;
}

KIRQL KeRaiseIrqlToSynchLevel(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(SYNCH_LEVEL, &OldIrql);
    return OldIrql;
}

#if DBG
/* Interrupts off counts as HIGH_LEVEL: nothing can happen on this processor either way. */
VOID KiAssertIrql(KIRQL Minimum, KIRQL Maximum, PCSTR Routine)
{
    KIRQL Irql = KeGetCurrentIrql();

    if (Irql >= Minimum && Irql <= Maximum)
    {
        return;
    }
    if (Irql < Minimum && Maximum == HIGH_LEVEL && !(__readeflags() & EFLAGS_IF))
    {
        return;
    }
    KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, Irql, (ULONG_PTR)Routine,
                 ((ULONG_PTR)Minimum << 8) | Maximum);
}
#endif
