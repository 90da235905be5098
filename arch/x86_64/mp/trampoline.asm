; SPDX-License-Identifier: MIT
;
; trampoline.asm - an AP's way from real mode to its own stack in the kernel.
;
; Copied to the code page below 1 MiB; the page after it holds the data block. An AP arrives here
; with CS:IP = page:0, interrupts off. It goes through protected mode to long mode on page tables
; below 4 GiB that map these two pages (code read/execute, data read/write) and the kernel's half;
; finds its own slot by its APIC id, claims it with a compare-exchange, takes the slot's stack, and
; jumps to the kernel. An id without a slot, or a slot that is closed because we were too late,
; parks. The pages and tables are kept for ever: a late AP must land on its feet.
;
; Sources: Intel SDM 3A 9.4.4 (MP initialization), 10.8.5 (long mode), 11.12 (x2APIC ids).

%include "offsets.inc"

global HalpTrampolineStart
global HalpTrampolineEnd
extern KiApplicationProcessorStartup

; The data block, one page above the code; filled by start.c (HALP_TRAMPOLINE_DATA).
DATA            equ 0x1000
DATA_CR3        equ DATA + 0
DATA_CR4        equ DATA + 4
DATA_EFER       equ DATA + 8
DATA_SLOTS      equ DATA + 16
DATA_COUNT      equ DATA + 24
DATA_ENTRY      equ DATA + 32
DATA_KERNEL_CR3 equ DATA + 40
DATA_PARKED     equ DATA + 48
DATA_GDT_PTR    equ DATA + 56
DATA_FAR32      equ DATA + 64
DATA_FAR64      equ DATA + 72

MSR_EFER        equ 0xC0000080
MSR_GS_BASE     equ 0xC0000101
CR0_LONG        equ 0x80010033          ; PG, WP, NE, ET, MP, PE

section .text
align 16
HalpTrampolineStart:
bits 16
    cli
    cld
    mov ax, cs                          ; the page; data segments follow it
    mov ds, ax
    movzx ebx, ax
    shl ebx, 4                          ; EBX: the code page's address, from here to the end
    o32 lgdt [DATA_GDT_PTR]
    mov eax, 0x11                       ; PE, ET
    mov cr0, eax
    jmp far dword [DATA_FAR32]

bits 32
protected_mode:
    mov ax, 0x18
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, [ebx + DATA_CR4]
    mov cr4, eax
    mov eax, [ebx + DATA_CR3]
    mov cr3, eax
    mov ecx, MSR_EFER
    mov eax, [ebx + DATA_EFER]
    xor edx, edx
    wrmsr
    mov eax, CR0_LONG
    mov cr0, eax
    jmp far dword [ebx + DATA_FAR64]

bits 64
long_mode:
    mov ebx, ebx
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov r13, rax                        ; when this AP got here

    ; R12D: this processor's APIC id; 32 bits from leaf 0Bh if it has one, else 8 from leaf 1.
    mov rbp, rbx
    xor eax, eax
    cpuid
    cmp eax, 0x0B
    jb .id8
    mov eax, 0x0B
    xor ecx, ecx
    cpuid
    test ebx, ebx                       ; leaf exists if EBX is not zero
    mov r12d, edx
    jnz .have_id
.id8:
    mov eax, 1
    cpuid
    mov r12d, ebx
    shr r12d, 24
.have_id:
    mov rbx, rbp

    ; Where ids are dense a processor's slot has its id's number: no search, however many there are.
    mov rdi, [rbx + DATA_SLOTS]
    mov ecx, [rbx + DATA_COUNT]
    cmp r12d, ecx
    ja .search
    imul eax, r12d, SlSize
    cmp [rdi + rax + SlApicId], r12d
    jne .search
    add rdi, rax
    jmp .found
.search:
    sub ecx, 1
    jb .park
    add rdi, SlSize                     ; slot 0 is the boot processor's
    cmp [rdi + SlApicId], r12d
    jne .search
.found:
    xor eax, eax                        ; HALP_SLOT_OFFERED -> HALP_SLOT_CLAIMED
    mov edx, 1
    lock cmpxchg [rdi + SlState], edx
    jne .park

    mov rsp, [rdi + SlStackTop]
    mov rdi, [rdi + SlProcessor]
    mov rax, [rbx + DATA_KERNEL_CR3]
    mov rcx, [rbx + DATA_ENTRY]         ; HalpProcessorEntry
    jmp rcx
.park:
    lock inc dword [rbx + DATA_PARKED]
.halt:
    cli
    hlt
    jmp .halt

HalpTrampolineEnd:

; HalpProcessorEntry - not copied: it runs in the kernel's half, which both sets of tables map, so
; here the AP can leave its own. RDI the processor's block, RAX the kernel's CR3, R13 the TSC at
; arrival.
global HalpProcessorEntry
align 16
HalpProcessorEntry:
    mov cr3, rax
    mov rax, rdi                        ; GS before any C: stack checks read the canary there
    mov rdx, rdi
    shr rdx, 32
    mov ecx, MSR_GS_BASE
    wrmsr
    mov [rdi + PcStartTime], r13
    xor ebp, ebp                        ; end of the frame-pointer chain
    call KiApplicationProcessorStartup
    ud2

global HalpTrampolineProtected
global HalpTrampolineLong
HalpTrampolineProtected equ protected_mode - HalpTrampolineStart
HalpTrampolineLong      equ long_mode - HalpTrampolineStart
