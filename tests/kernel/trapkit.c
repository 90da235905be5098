/* SPDX-License-Identifier: MIT */
/* trapkit.c - vectors and the local APIC, for the tests. See trapkit.h. */
#include "trapkit.h"

#include <arch/mmu.h>
#include <io.h>

#define MSR_APIC_BASE 0x1Bu
#define APIC_BASE_EXTD (1ull << 10)
#define MSR_X2APIC_FIRST 0x800u

#define APIC_TPR 0x080u
#define APIC_SPURIOUS 0x0F0u
#define APIC_ISR 0x100u
#define APIC_IRR 0x200u
#define APIC_WORDS 8u

#define RTE_MASKED 0x10000u

/* The table in vectors.c: read here to know what to give back. */
extern HALP_VECTOR_ROUTINE *HalpVectorRoutines[VECTOR_COUNT];

/* What was there before; written at PASSIVE_LEVEL before the vectors are taken. */
static HALP_VECTOR_ROUTINE *KtTakenFrom[VECTOR_COUNT];
static BOOLEAN KtLineWasOpen[VECTOR_COUNT];

static ULONG KtReadApic(ULONG Register)
{
    if (__readmsr(MSR_APIC_BASE) & APIC_BASE_EXTD)
    {
        return (ULONG)__readmsr(MSR_X2APIC_FIRST + (Register >> 4));
    }
    return *(volatile ULONG *)(MM_APIC_BASE + Register);
}

static VOID KtWriteApic(ULONG Register, ULONG Value)
{
    if (__readmsr(MSR_APIC_BASE) & APIC_BASE_EXTD)
    {
        __writemsr(MSR_X2APIC_FIRST + (Register >> 4), Value);
        return;
    }
    *(volatile ULONG *)(MM_APIC_BASE + Register) = Value;
}

ULONG KtTaskPriority(VOID)
{
    return KtReadApic(APIC_TPR);
}

BOOLEAN KtIsRequested(ULONG Vector)
{
    return (KtReadApic(APIC_IRR + Vector / 32 * 0x10) >> (Vector % 32)) & 1;
}

ULONG KtCountInService(VOID)
{
    ULONG Count = 0;

    for (ULONG Word = 0; Word < APIC_WORDS; Word++)
    {
        for (ULONG Bits = KtReadApic(APIC_ISR + Word * 0x10); Bits != 0; Bits &= Bits - 1)
        {
            Count++;
        }
    }
    return Count;
}

/* Where the EOI does nothing for the vector that the spurious vector register names, it does once
 * that names another. */
BOOLEAN KtSpuriousVectorEnds(VOID)
{
    ULONG64 End = KtNow() + KT_SECONDS(5);
    BOOLEAN Enabled, Ends;

    HalpSendIpi(KeGetCurrentProcessorIndex(), SPURIOUS_VECTOR);
    while (KtIsRequested(SPURIOUS_VECTOR) && KtNow() < End)
    {
        YieldProcessor();
    }
    Enabled = ArchDisableInterrupts();
    Ends = !HalpIsInService(SPURIOUS_VECTOR);
    if (!Ends)
    {
        ULONG Register = KtReadApic(APIC_SPURIOUS);

        KtWriteApic(APIC_SPURIOUS, Register | 0xFF);
        HalpEndOfInterrupt();
        KtWriteApic(APIC_SPURIOUS, Register);
    }
    ArchRestoreInterrupts(Enabled);
    return Ends;
}

BOOLEAN KtWaitRequested(ULONG Vector)
{
    ULONG64 End = KtNow() + KT_SECONDS(5);

    while (!KtIsRequested(Vector))
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
        YieldProcessor();
    }
    return TRUE;
}

static VOID KtTakeVector(ULONG Vector, HALP_VECTOR_ROUTINE *Routine)
{
    HALP_LINE Line;

    KtLineWasOpen[Vector] = HalpVectorLine(Vector, &Line) && !(HalpReadLine(Line.Gsi) & RTE_MASKED);
    if (KtLineWasOpen[Vector])
    {
        HalpMaskLine(Line.Gsi);
    }
    KtTakenFrom[Vector] = HalpVectorRoutines[Vector];
    HalpSetVectorRoutine(Vector, Routine);
}

static VOID KtGiveVector(ULONG Vector)
{
    HALP_LINE Line;

    HalpSetVectorRoutine(Vector, KtTakenFrom[Vector]);
    if (KtLineWasOpen[Vector] && HalpVectorLine(Vector, &Line))
    {
        HalpUnmaskLine(Line.Gsi);
    }
}

VOID KtTakeVectors(HALP_VECTOR_ROUTINE *Routine)
{
    for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
    {
        if (Vector != SPURIOUS_VECTOR)
        {
            KtTakeVector(Vector, Routine);
        }
    }
}

VOID KtGiveVectors(VOID)
{
    for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
    {
        if (Vector != SPURIOUS_VECTOR)
        {
            KtGiveVector(Vector);
        }
    }
}

VOID KtChainVector(PKTRAP_FRAME Frame)
{
    switch (Frame->Vector)
    {
    case APC_VECTOR:
    case DISPATCH_VECTOR:
    case CLOCK_VECTOR:
    case IPI_VECTOR:
        KtTakenFrom[Frame->Vector](Frame);
        break;
    default:
        break;
    }
}

BOOLEAN KtArrivesByItself(ULONG Vector)
{
    return Vector == CLOCK_VECTOR || Vector == DISPATCH_VECTOR;
}

ULONG KtUnusedVector(KIRQL Irql, ULONG Nth)
{
    ULONG Vector = ((ULONG)Irql << 4) | 0xF;

    for (;; Vector--)
    {
        HALP_LINE Line;

        if (!HalpVectorLine(Vector, &Line) && Nth-- == 0)
        {
            return Vector;
        }
    }
}

PKINTERRUPT KtConnect(ULONG Vector, KIRQL SynchronizeIrql, PKSPIN_LOCK SpinLock,
                      KINTERRUPT_MODE Mode, BOOLEAN Shared, PKSERVICE_ROUTINE Routine,
                      PVOID Context)
{
    PKINTERRUPT Interrupt;
    NTSTATUS Status = IoConnectInterrupt(&Interrupt, Routine, Context, SpinLock, Vector,
                                         VECTOR_IRQL(Vector), SynchronizeIrql, Mode, Shared,
                                         KeQueryActiveProcessors(), FALSE);

    KT_CHECK(NT_SUCCESS(Status), "vector %02x, IRQL %u: status %x", Vector, SynchronizeIrql,
             Status);
    return Interrupt;
}

ULONG64 KtTicksToMicroseconds(ULONG64 Ticks)
{
    static ULONG64 TicksPerMillisecond;

    if (TicksPerMillisecond == 0)
    {
        ULONG64 Start = KtNow(), Before = __rdtsc();

        KeStallExecutionProcessor(2000);
        TicksPerMillisecond = (__rdtsc() - Before) * 10000 / (KtNow() - Start) + 1;
    }
    return Ticks * 1000 / TicksPerMillisecond;
}
