/* SPDX-License-Identifier: MIT */
/* expect.c - landing pads for expected bug checks. See expect.h. */
#include "expect.h"

#if DBG

static LONG KiNesting(PKPRCB Prcb)
{
    return CONTAINING_RECORD(Prcb, KI_PROCESSOR, Prcb)->Pcr.InterruptNesting;
}

ULONG KiExpectBugCheck(PKI_LANDING_PAD Pad, VOID (*Routine)(PVOID Context), PVOID Context)
{
    PKPRCB Prcb;
    KIRQL OldIrql = KeGetCurrentIrql();

    if (OldIrql < DISPATCH_LEVEL)
    {
        __writecr8(DISPATCH_LEVEL); /* the block's owner does not change while it is read */
    }
    Prcb = KiGetCurrentPrcb();
    Pad->Code = 0;
    Pad->Irql = OldIrql;
    Pad->HeldLockCount = Prcb->HeldLockCount;
    Pad->InterruptNesting = KiNesting(Prcb);
    Pad->DpcRoutineActive = Prcb->DpcRoutineActive;
    KiLowerIrql(OldIrql);
    if (ArchSetJump(&Pad->Jump) == 0)
    {
        KeGetCurrentThread()->LandingPad = Pad;
        Routine(Context);
    }
    KeGetCurrentThread()->LandingPad = NULL;
    if (Pad->Irql < DISPATCH_LEVEL)
    {
        KiLowerIrql(Pad->Irql); /* what was asked for at the level we were thrown from */
    }
    return Pad->Code;
}

VOID KiLandIfExpected(ULONG Code, const ULONG_PTR Parameters[4])
{
    PKTHREAD Thread = KeGetCurrentThread();
    PKI_LANDING_PAD Pad = Thread != NULL ? Thread->LandingPad : NULL;
    PKPRCB Prcb;

    if (Pad == NULL)
    {
        return;
    }
    if (KeGetCurrentIrql() < DISPATCH_LEVEL)
    {
        __writecr8(DISPATCH_LEVEL);
    }
    Prcb = KiGetCurrentPrcb();
    if (Pad->InterruptNesting != KiNesting(Prcb) || Pad->DpcRoutineActive != Prcb->DpcRoutineActive)
    {
        return;
    }
    Thread->LandingPad = NULL;
    Pad->Code = Code;
    RtlCopyMemory(Pad->Parameters, Parameters, sizeof(Pad->Parameters));
    Prcb->HeldLockCount = Pad->HeldLockCount;
    __writecr8(Pad->Irql);
    ArchLongJump(&Pad->Jump, 1);
}

#endif
