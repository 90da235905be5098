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
    PKPRCB Prcb = KiGetCurrentPrcb();

    Pad->Code = 0;
    Pad->Irql = KeGetCurrentIrql();
    Pad->HeldLockCount = Prcb->HeldLockCount;
    Pad->InterruptNesting = KiNesting(Prcb);
    Pad->DpcRoutineActive = Prcb->DpcRoutineActive;
    if (ArchSetJump(&Pad->Jump) == 0)
    {
        Prcb->CurrentThread->LandingPad = Pad;
        Routine(Context);
    }
    KI_CURRENT_PRCB->CurrentThread->LandingPad = NULL;
    if (Pad->Irql < DISPATCH_LEVEL)
    {
        KiLowerIrql(Pad->Irql); /* what was asked for at the level we were thrown from */
    }
    return Pad->Code;
}

VOID KiLandIfExpected(ULONG Code, const ULONG_PTR Parameters[4])
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    PKI_LANDING_PAD Pad = Prcb->CurrentThread != NULL ? Prcb->CurrentThread->LandingPad : NULL;

    if (Pad == NULL || Pad->InterruptNesting != KiNesting(Prcb) ||
        Pad->DpcRoutineActive != Prcb->DpcRoutineActive)
    {
        return;
    }
    Prcb->CurrentThread->LandingPad = NULL;
    Pad->Code = Code;
    RtlCopyMemory(Pad->Parameters, Parameters, sizeof(Pad->Parameters));
    Prcb->HeldLockCount = Pad->HeldLockCount;
    __writecr8(Pad->Irql);
    ArchLongJump(&Pad->Jump, 1);
}

#endif
