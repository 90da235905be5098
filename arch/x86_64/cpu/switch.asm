; SPDX-License-Identifier: MIT
;
; switch.asm - from one thread's stack to another's.
;
; A thread that does not run is its stack: on top of it lie the registers that a C routine must
; preserve, and below them the return into whoever called KiSwapContext. The others are already
; saved or dead, for this is a call. The IRQL is DISPATCH_LEVEL on both sides. Interrupts may be on:
; whichever stack RSP points to is whole, before the one instruction that changes it and after.

%include "offsets.inc"

global KiSwapContext
global KiThreadEntry
extern KiThreadStartup

section .text
bits 64

; PKTHREAD KiSwapContext(RDI Old, RSI New)
;   Returns when Old is switched to again, on whatever processor; in RAX the thread that ran there
;   before it. The caller then says that that one's stack is free (KiFinishSwitch).
align 16
KiSwapContext:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi + ThKernelStack], rsp
    mov rsp, [rsi + ThKernelStack]
    mov rax, rdi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

; KiThreadEntry - where a new thread's first switch returns to: RAX the thread before it, RSP
; 16-byte aligned, RBP 0, which ends backtraces.
align 16
KiThreadEntry:
    mov rdi, rax
    call KiThreadStartup
    ud2
