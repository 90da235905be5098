; SPDX-License-Identifier: MIT
;
; trap.asm - the way into the kernel and out of it, for all 256 vectors.
;
; PURPOSE
;   An interrupt's handler runs at the IRQL that its vector names, with interrupts on, on the
;   processor's own ISR stack; and nothing below DISPATCH_LEVEL goes on while a timer, a DPC or a
;   better thread is due.
;
; HOW IT WORKS
;   Three ways in, by kind of vector:
;     exceptions (0..30), NMI, spurious    keep the IRQL and the interrupt flag; all registers saved
;     software interrupts (0x1F, 0x2F)     EOI at entry, then the handler on the interrupted stack:
;                                          it may switch threads, and no switch may come before EOI
;     every other interrupt                handler on the ISR stack, EOI after it: a level line is
;                                          quiet by then
;   and one way out of an interrupt: if the IRQL returned to is below DISPATCH_LEVEL and one of this
;   processor's Due flags is set, KiServeDue is called right here, on the interrupted thread's
;   stack, before the IRQL falls. It may switch threads: the frame then waits on its stack, and the
;   rest of the way out is gone on some other day and perhaps another processor. The test and IRETQ
;   run with interrupts off, so nothing can become due in between; what another processor asks for
;   then is held as 0x2F or 0x1F in our APIC.
;
; LOCKS AND IRQL
;   CR8 is saved in the frame, then set to vector >> 4; only then are interrupts enabled. Nesting is
;   counted per processor: the ISR stack is entered when it goes from 0 to 1.
;
; ORDERING
;   Interrupts off, EOI, restore CR8, IRETQ. EOI first: the other order would leave a moment in
;   which a lower vector could be delivered on top of one that is still in service, and stack up.
;
; FURTHER READING
;   Intel SDM 3A 6.14 (64-bit mode stack frame), 11.8 (TPR, PPR, EOI). Microsoft: "Managing Hardware
;   Priorities". docs/interrupts.md.

%include "offsets.inc"

APIC_EOI        equ ApicBase + 0xB0
APIC_ISR0       equ ApicBase + 0x100
MSR_X2APIC_EOI  equ 0x80B
MSR_X2APIC_ISR0 equ 0x810

global KiVectorStubs
global ArchCallOnStack
global ArchSetJump
global ArchLongJump
extern HalpVectorRoutines
extern HalpX2ApicMode
extern KiDispatchException
extern KiServeDue
%if Checked
extern KiApcEoiLate
%endif

section .text
bits 64

; CLEAR_FLAGS - AC and DF, which a gate leaves as they were; the NOP becomes CLAC (entrypatch.c).
%macro CLEAR_FLAGS 0
%%patch:
    db 0x0F, 0x1F, 0x00                 ; nop dword [rax]
    cld
[section .entry_patches progbits alloc noexec nowrite align=8]
    dq %%patch
__SECT__
%endmacro

; SAVE_VOLATILE - builds the frame below [error][vector] with the registers a C routine may change.
; Leaves RBP = the frame-pointer link, RSP = the frame, 16-byte aligned.
%macro SAVE_VOLATILE 0
    push rbp
    mov rbp, rsp
    sub rsp, TrapFrameSize
    mov [rsp + TrRax], rax
    mov [rsp + TrRcx], rcx
    mov [rsp + TrRdx], rdx
    mov [rsp + TrRsi], rsi
    mov [rsp + TrRdi], rdi
    mov [rsp + TrR8], r8
    mov [rsp + TrR9], r9
    mov [rsp + TrR10], r10
    mov [rsp + TrR11], r11
    CLEAR_FLAGS
%endmacro

%macro RESTORE_VOLATILE_AND_RETURN 0
    mov rax, [rsp + TrRax]
    mov rcx, [rsp + TrRcx]
    mov rdx, [rsp + TrRdx]
    mov rsi, [rsp + TrRsi]
    mov rdi, [rsp + TrRdi]
    mov r8, [rsp + TrR8]
    mov r9, [rsp + TrR9]
    mov r10, [rsp + TrR10]
    mov r11, [rsp + TrR11]
    mov rbp, [rsp + TrapFrameSize]
    add rsp, TrRip
    iretq
%endmacro

; SEND_EOI - clobbers RAX, RCX, RDX.
%macro SEND_EOI 0
    cmp byte [rel HalpX2ApicMode], 0
    jne %%msr
    mov dword [abs APIC_EOI], 0
    jmp %%done
%%msr:
    mov ecx, MSR_X2APIC_EOI
    xor eax, eax
    xor edx, edx
    wrmsr
%%done:
%endmacro

; KiVectorStubs - 256 stubs, 16 bytes apart, where the IDT points.
align 16
KiVectorStubs:
%assign vector 0
%rep 256
    align 16
    %if vector == 8 || (vector >= 10 && vector <= 14)
        push qword vector
        jmp KiExceptionEntry
    %elif vector == 17 || vector == 21 || vector == 29 || vector == 30
        push qword vector               ; with an error code below it, unless it was injected
        jmp KiMaybeErrorCode
    %elif vector < 31 || vector == SpuriousVector
        push qword 0
        push qword vector
        jmp KiExceptionEntry
    %elif vector == ApicVector || vector == DispatchVector
        push qword 0
        push qword vector
        jmp KiSoftwareInterruptEntry
    %else
        push qword 0
        push dword vector
        jmp KiInterruptEntry
    %endif
%assign vector vector + 1
%endrep

; KiMaybeErrorCode - vectors 17, 21, 29 and 30 carry an error code as exceptions, none when they
; were sent as interrupts. The two differ in the APIC's in-service bit. Interrupts are off.
;   in: [rsp] vector, then an error code or RIP
KiMaybeErrorCode:
    push rax
    push rcx
    push rdx
    cmp byte [rel HalpX2ApicMode], 0
    jne .msr
    mov eax, [abs APIC_ISR0]
    jmp .test
.msr:
    mov ecx, MSR_X2APIC_ISR0
    rdmsr
.test:
    mov ecx, [rsp + 24]
    bt eax, ecx
    pop rdx
    pop rcx
    jc .interrupt
    pop rax
    jmp KiExceptionEntry
.interrupt:                             ; [rax][vector][rip...] -> [vector][0][rip...]
    mov rax, [rsp + 8]
    mov qword [rsp + 8], 0
    xchg rax, [rsp]
    jmp KiExceptionEntry

; KiExceptionEntry - exceptions, NMI, the spurious vector: KiDispatchException(Frame), which returns
; only for what can be gone on from. Interrupts stay as the gate left them: off.
;   in: [rsp] vector, error code, hardware frame
align 16
KiExceptionEntry:
    SAVE_VOLATILE
    mov [rsp + TrRbx], rbx
    mov [rsp + TrR12], r12
    mov [rsp + TrR13], r13
    mov [rsp + TrR14], r14
    mov [rsp + TrR15], r15
    mov qword [rsp + TrFull], 1
    mov rax, cr8
    mov [rsp + TrPreviousIrql], rax
    mov rdi, rsp
    call KiDispatchException
    mov rbx, [rsp + TrRbx]
    mov r12, [rsp + TrR12]
    mov r13, [rsp + TrR13]
    mov r14, [rsp + TrR14]
    mov r15, [rsp + TrR15]
    RESTORE_VOLATILE_AND_RETURN

; KiInterruptEntry - device, clock, IPI: handler on the ISR stack at the vector's IRQL.
align 16
KiInterruptEntry:
    SAVE_VOLATILE
    mov rax, cr8
    mov [rsp + TrPreviousIrql], rax
    mov qword [rsp + TrFull], 0
    mov rdi, rsp
    mov eax, [rsp + TrVector]
    mov ecx, eax
    shr ecx, 4
    mov cr8, rcx
    inc dword [gs:PcInterruptNesting]
    cmp dword [gs:PcInterruptNesting], 1
    jne .on_isr_stack
    mov rsp, [gs:PcIsrStack]
.on_isr_stack:
    push rdi                            ; the frame: also the way back to the interrupted stack
    push rdi
    sti
    call [HalpVectorRoutines + rax * 8]
    cli
    mov rsp, [rsp]
    dec dword [gs:PcInterruptNesting]
    SEND_EOI

; KiInterruptExit - interrupts off, EOI sent, RSP = the frame.
KiInterruptExit:
    mov rax, [rsp + TrPreviousIrql]
    cmp eax, DispatchLevel
    jae .restore
    mov ecx, [gs:PcDue]
    test eax, eax
    jz .due
    and ecx, DueDispatch                ; at APC_LEVEL an APC is not due yet
.due:
    test ecx, ecx
    jnz .serve
.restore:
    mov cr8, rax
    RESTORE_VOLATILE_AND_RETURN
.serve:
    mov edi, eax
    mov eax, DispatchLevel
    mov cr8, rax
    sti
    call KiServeDue                     ; returns at DISPATCH_LEVEL, perhaps on another processor
    cli
    jmp KiInterruptExit

; KiSoftwareInterruptEntry - APC and DISPATCH: EOI first, handler on the interrupted stack.
align 16
KiSoftwareInterruptEntry:
    SAVE_VOLATILE
    mov rax, cr8
    mov [rsp + TrPreviousIrql], rax
    mov qword [rsp + TrFull], 0
    mov eax, [rsp + TrVector]
    shr eax, 4
    mov cr8, rax
%if Checked
    cmp byte [rel KiApcEoiLate], 0
    jne .late
.early:
%endif
    SEND_EOI
    mov rdi, rsp
    mov eax, [rsp + TrVector]
    sti
    call [HalpVectorRoutines + rax * 8]
    cli
    jmp KiInterruptExit
%if Checked
.late:                                  ; the broken twin: see twin.h
    cmp dword [rsp + TrVector], ApicVector
    jne .early
    mov rdi, rsp
    sti
    call [HalpVectorRoutines + ApicVector * 8]
    cli
    SEND_EOI
    jmp KiInterruptExit
%endif

; VOID ArchCallOnStack(RDI Context, RSI Routine, RDX StackTop)
align 16
ArchCallOnStack:
    push rbp
    mov rbp, rsp
    mov rsp, rdx
    call rsi
    mov rsp, rbp
    pop rbp
    ret

; ULONG64 ArchSetJump(RDI Jump)
align 16
ArchSetJump:
    mov [rdi + 0], rbx
    mov [rdi + 8], rbp
    mov [rdi + 16], r12
    mov [rdi + 24], r13
    mov [rdi + 32], r14
    mov [rdi + 40], r15
    lea rax, [rsp + 8]
    mov [rdi + 48], rax
    mov rax, [rsp]
    mov [rdi + 56], rax
    pushfq
    pop rax
    mov [rdi + 64], rax
    xor eax, eax
    ret

; VOID ArchLongJump(RDI Jump, RSI Value)
align 16
ArchLongJump:
    mov rbx, [rdi + 0]
    mov rbp, [rdi + 8]
    mov r12, [rdi + 16]
    mov r13, [rdi + 24]
    mov r14, [rdi + 32]
    mov r15, [rdi + 40]
    mov rax, rsi
    mov rsp, [rdi + 48]
    push qword [rdi + 56]
    push qword [rdi + 64]
    popfq
    ret
