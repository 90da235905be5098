/* SPDX-License-Identifier: MIT */
/*
 * offsets.c - structure offsets for assembly, computed by the compiler.
 *
 * Compiled to assembly text only; the Makefile turns each "->NAME value" line into a NASM %define.
 */
#include <ki.h>

#include <arch/hal.h>
#include <arch/mmu.h>

#define DEFINE(Name, Value) __asm__ volatile("\n->" #Name " %0" ::"i"(Value))

VOID ArchOffsets(VOID);

VOID ArchOffsets(VOID)
{
    DEFINE(TrapFrameSize, offsetof(KTRAP_FRAME, Rbp));
    DEFINE(TrPreviousIrql, offsetof(KTRAP_FRAME, PreviousIrql));
    DEFINE(TrFull, offsetof(KTRAP_FRAME, Full));
    DEFINE(TrRbx, offsetof(KTRAP_FRAME, Rbx));
    DEFINE(TrR12, offsetof(KTRAP_FRAME, R12));
    DEFINE(TrR13, offsetof(KTRAP_FRAME, R13));
    DEFINE(TrR14, offsetof(KTRAP_FRAME, R14));
    DEFINE(TrR15, offsetof(KTRAP_FRAME, R15));
    DEFINE(TrRax, offsetof(KTRAP_FRAME, Rax));
    DEFINE(TrRcx, offsetof(KTRAP_FRAME, Rcx));
    DEFINE(TrRdx, offsetof(KTRAP_FRAME, Rdx));
    DEFINE(TrRsi, offsetof(KTRAP_FRAME, Rsi));
    DEFINE(TrRdi, offsetof(KTRAP_FRAME, Rdi));
    DEFINE(TrR8, offsetof(KTRAP_FRAME, R8));
    DEFINE(TrR9, offsetof(KTRAP_FRAME, R9));
    DEFINE(TrR10, offsetof(KTRAP_FRAME, R10));
    DEFINE(TrR11, offsetof(KTRAP_FRAME, R11));
    DEFINE(TrVector, offsetof(KTRAP_FRAME, Vector));
    DEFINE(TrErrorCode, offsetof(KTRAP_FRAME, ErrorCode));
    DEFINE(TrRip, offsetof(KTRAP_FRAME, Rip));

    DEFINE(PcStackCanary, offsetof(KI_PROCESSOR, Pcr.StackCanary));
    DEFINE(PcIsrStack, offsetof(KI_PROCESSOR, Pcr.IsrStack));
    DEFINE(PcStartTime, offsetof(KI_PROCESSOR, Pcr.StartTime));
    DEFINE(PcInterruptNesting, offsetof(KI_PROCESSOR, Pcr.InterruptNesting));
    DEFINE(PcDue, offsetof(KI_PROCESSOR, Prcb.Due));
    DEFINE(DueDispatch, KI_DUE_DISPATCH);

    DEFINE(ThKernelStack, offsetof(KTHREAD, KernelStack));

    DEFINE(SlApicId, offsetof(HALP_START_SLOT, ApicId));
    DEFINE(SlState, offsetof(HALP_START_SLOT, State));
    DEFINE(SlStackTop, offsetof(HALP_START_SLOT, StackTop));
    DEFINE(SlProcessor, offsetof(HALP_START_SLOT, Processor));
    DEFINE(SlSize, sizeof(HALP_START_SLOT));

    DEFINE(ApicVector, APC_VECTOR);
    DEFINE(DispatchVector, DISPATCH_VECTOR);
    DEFINE(SpuriousVector, SPURIOUS_VECTOR);
    DEFINE(DispatchLevel, DISPATCH_LEVEL);
    DEFINE(ApicBase, (LONG64)MM_APIC_BASE);
    DEFINE(Checked, DBG);
}
