; SPDX-License-Identifier: MIT
;
; protectasm.asm - what C cannot do to itself: run on a stack pointer that leads nowhere, and be
; interrupted with flags set that C never sets.

global KtAwaitOnBadStack
global KtMachineCheckOnBadStack
global KtPushOnBadStack
global KtInterruptWithFlags
global KtDispatchWithFlags

TEST_VECTOR equ 0x9C                    ; protect.c: FLAGS_VECTOR
DISPATCH    equ 0x2F

section .text
bits 64

; VOID KtAwaitOnBadStack(RDI volatile ULONG64 *Counter, RSI Seen, RDX BadStack, RCX Spins)
;   Spins with RSP = BadStack until *Counter is not Seen, Spins times at most. Interrupts off.
align 16
KtAwaitOnBadStack:
    mov rax, rsp
    mov rsp, rdx
.again:
    pause
    cmp [rdi], rsi
    jne .done
    dec rcx
    jnz .again
.done:
    mov rsp, rax
    ret

; VOID KtMachineCheckOnBadStack(RDI BadStack) - vector 18 with RSP = BadStack. Interrupts off.
align 16
KtMachineCheckOnBadStack:
    push rbx
    mov rbx, rsp
    mov rsp, rdi
    int 18
    mov rsp, rbx
    pop rbx
    ret

; VOID KtPushOnBadStack(RDI BadStack) - a push that faults, and so does the delivery of its fault.
align 16
KtPushOnBadStack:
    push rbx
    mov rbx, rsp
    mov rsp, rdi
    push rax
    mov rsp, rbx
    pop rbx
    ret

; VOID KtInterruptWithFlags(RDI Flags) - the test's vector, with those flags set as well.
align 16
KtInterruptWithFlags:
    pushfq
    pushfq
    or [rsp], rdi
    popfq
    int TEST_VECTOR
    popfq
    ret

; VOID KtDispatchWithFlags(RDI Flags) - the same by the software interrupts' way in.
align 16
KtDispatchWithFlags:
    pushfq
    pushfq
    or [rsp], rdi
    popfq
    int DISPATCH
    popfq
    ret
