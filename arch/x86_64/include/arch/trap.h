/* SPDX-License-Identifier: MIT */
/*
 * trap.h - what an exception or interrupt leaves on the stack, and who handles which vector.
 */
#pragma once

#include <arch/vectors.h>
#include <ntdef.h>

/*
 * The frame, lowest address first. Rbp lies directly below Vector, so a frame pointer to &Rbp makes
 * the frame look like a call frame whose return address is below 256: that is how a backtrace
 * recognises it and goes on at Rip. Interrupts save only the registers a C routine may change;
 * then Rbx and R12 to R15 are not meaningful (Full is FALSE). The offsets that assembly uses are
 * generated from this structure.
 */
typedef struct _KTRAP_FRAME
{
    ULONG64 PreviousIrql; /* CR8 before */
    ULONG64 Full;
    ULONG64 Rbx, R12, R13, R14, R15;
    ULONG64 Rax, Rcx, Rdx, Rsi, Rdi, R8, R9, R10, R11;
    ULONG64 Rbp;
    ULONG64 Vector;
    ULONG64 ErrorCode;
    ULONG64 Rip, Cs, Rflags, Rsp, Ss;
} KTRAP_FRAME, *PKTRAP_FRAME;

/*
 * A vector's handler. For an interrupt (0x1F and up, but NMI): IRQL is the vector's class,
 * interrupts are on, on the processor's ISR stack; the common code sends the EOI afterwards. APC
 * and DISPATCH are the exception: their EOI is sent at entry and they run on the interrupted
 * thread's own stack, for they may switch threads.
 */
typedef VOID HALP_VECTOR_ROUTINE(PKTRAP_FRAME Frame);

/* Installs Routine for Vector (>= 0x1F); before the vector can arrive. */
VOID HalpSetVectorRoutine(ULONG Vector, HALP_VECTOR_ROUTINE *Routine);

/* Runs Routine(Context) on another stack whose top is StackTop, then comes back. The frame pointer
 * chain stays intact, so backtraces cross the switch. */
VOID ArchCallOnStack(PVOID Context, VOID (*Routine)(PVOID Context), PVOID StackTop);

/* Registers that a checked non-local return restores; see kernel/ke/expect.c. */
typedef struct _ARCH_JUMP
{
    ULONG64 Rbx, Rbp, R12, R13, R14, R15, Rsp, Rip, Rflags;
} ARCH_JUMP, *PARCH_JUMP;

/* 0 at first; Value (not 0) when ArchLongJump comes back to it. */
__attribute__((returns_twice)) ULONG64 ArchSetJump(PARCH_JUMP Jump);
DECLSPEC_NORETURN VOID ArchLongJump(PARCH_JUMP Jump, ULONG64 Value);
