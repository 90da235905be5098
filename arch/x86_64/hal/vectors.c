/* SPDX-License-Identifier: MIT */
/*
 * vectors.c - who handles which vector, and which line a device vector stands for.
 *
 * A vector without an owner goes to HalpStrayVector, which counts it: an interrupt that nobody
 * asked for is reported, never fatal. Lines get their vectors here because choosing one chooses the
 * IRQL.
 */
#include "halp.h"

static VOID HalpStrayVector(PKTRAP_FRAME Frame);

/* Written by HalpSetVectorRoutine before the vector can arrive; read by trap.asm. */
HALP_VECTOR_ROUTINE *HalpVectorRoutines[VECTOR_COUNT];

/* The line of each device vector, once assigned: written under HalpVectorLock, kept for ever. */
static HALP_LINE HalpVectorLines[VECTOR_COUNT];
static BOOLEAN HalpVectorAssigned[VECTOR_COUNT];
static KSPIN_LOCK HalpVectorLock = KI_RANKED_SPIN_LOCK(KiRankVectors);

/* Counting is all there is to do, and the common exit sends the EOI. */
static VOID HalpStrayVector(PKTRAP_FRAME Frame)
{
    KiUnclaimedVector((ULONG)Frame->Vector);
}

VOID HalpInitializeVectors(VOID)
{
    for (ULONG Vector = 0; Vector < VECTOR_COUNT; Vector++)
    {
        HalpVectorRoutines[Vector] = HalpStrayVector;
    }
}

VOID HalpSetVectorRoutine(ULONG Vector, HALP_VECTOR_ROUTINE *Routine)
{
    KI_ASSERT_VALUES(Vector >= APC_VECTOR && Vector < VECTOR_COUNT, Vector, Routine);
    WritePointerRelease(&HalpVectorRoutines[Vector], Routine);
}

ULONG HalpAssignVector(const HALP_LINE *Line, KIRQL Irql)
{
    ULONG Assigned = 0;
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&HalpVectorLock);
    for (ULONG Vector = DEVICE_VECTOR_FIRST; Vector <= DEVICE_VECTOR_LAST; Vector++)
    {
        if (HalpVectorAssigned[Vector] && HalpVectorLines[Vector].Gsi == Line->Gsi)
        {
            HalpVectorLines[Vector] = *Line; /* the polarity may be another guess */
            Assigned = Vector;
            break;
        }
    }
    for (ULONG Vector = (ULONG)Irql << 4; Assigned == 0 && VECTOR_IRQL(Vector) == Irql; Vector++)
    {
        if (Vector >= DEVICE_VECTOR_FIRST && Vector <= DEVICE_VECTOR_LAST &&
            !HalpVectorAssigned[Vector])
        {
            HalpVectorAssigned[Vector] = TRUE;
            HalpVectorLines[Vector] = *Line;
            Assigned = Vector;
        }
    }
    KeReleaseSpinLockFromDpcLevel(&HalpVectorLock);
    KeLowerIrql(OldIrql);
    return Assigned;
}

BOOLEAN HalpVectorLine(ULONG Vector, PHALP_LINE Line)
{
    BOOLEAN Assigned;
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&HalpVectorLock);
    Assigned = HalpVectorAssigned[Vector];
    *Line = HalpVectorLines[Vector];
    KeReleaseSpinLockFromDpcLevel(&HalpVectorLock);
    KeLowerIrql(OldIrql);
    return Assigned;
}
