; SPDX-License-Identifier: MIT
;
; entry.asm - from the loader's 32-bit world to 64-bit code in the higher half.
;
; Both loaders enter in 32-bit protected mode, paging off, interrupts off: GRUB with the Multiboot2
; magic in EAX and its structure in EBX, QEMU's PVH with its structure in EBX. We check that the
; processor has long mode, map the first 4 GiB twice (at 0, and the first GiB at the image's base)
; with 2 MiB pages, switch, clear .bss, and call BootMain(Magic, Structure). The maps are temporary:
; the kernel builds its own and drops these. A processor that cannot go on says so on COM1 and, if a
; VGA answers that shows text, there; and halts.
;
; Sources: Intel SDM 3A 10.8.5 (Initializing IA-32e Mode); Multiboot2 3.2 (I386 machine state).

%include "offsets.inc"

IMAGE_BASE      equ 0xFFFFFFFF80000000
PVH_MAGIC       equ 0x336EC578          ; what BootMain is told for PVH: its structure's own magic

CR0_PE          equ 1 << 0
CR0_WP          equ 1 << 16
CR0_PG          equ 1 << 31
CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xC0000080
MSR_GS_BASE     equ 0xC0000101
EFER_LME        equ 1 << 8
EFLAGS_ID       equ 1 << 21
PTE_PRESENT     equ 1 << 0
PTE_WRITE       equ 1 << 1
PTE_LARGE       equ 1 << 7
COM1            equ 0x3F8
VGA_TEXT        equ 0xB8000
VGA_MISC        equ 0x3CC
VGA_GRAPHICS    equ 0x3CE               ; index; data behind it

global MultibootEntry
global PvhEntry
extern BootMain
extern KiImageBssStart
extern KiImageBssEnd
extern KiBootProcessor

section .boot.text progbits alloc exec nowrite align=16
bits 32

PvhEntry:
    mov eax, PVH_MAGIC
MultibootEntry:
    cli
    cld
    mov esp, boot_stack_top
    mov ebp, eax                        ; magic, through all of what follows
    mov esi, ebx                        ; structure

    pushfd                              ; CPUID exists if EFLAGS.ID can be changed
    pop eax
    mov ecx, eax
    xor eax, EFLAGS_ID
    push eax
    popfd
    pushfd
    pop eax
    xor eax, ecx
    mov edi, message_no_long_mode
    test eax, EFLAGS_ID
    jz fail

    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb fail
    mov eax, 0x80000001
    cpuid
    test edx, 1 << 29                   ; LM
    jz fail

    ; Directories: 4 x 512 pages of 2 MiB, mapped at 0 and (the first) at the image's base.
    mov edi, boot_directories
    mov eax, PTE_PRESENT | PTE_WRITE | PTE_LARGE
    mov ecx, 4 * 512
.fill:
    mov [edi], eax
    mov dword [edi + 4], 0
    add eax, 0x200000
    add edi, 8
    loop .fill

    mov eax, boot_directories + (PTE_PRESENT | PTE_WRITE)
    mov edi, boot_pdpt_low
    mov ecx, 4
.link:
    mov [edi], eax
    add eax, 0x1000
    add edi, 8
    loop .link
    mov dword [boot_pdpt_high + 510 * 8], boot_directories + (PTE_PRESENT | PTE_WRITE)
    mov dword [boot_pml4], boot_pdpt_low + (PTE_PRESENT | PTE_WRITE)
    mov dword [boot_pml4 + 511 * 8], boot_pdpt_high + (PTE_PRESENT | PTE_WRITE)

    mov eax, CR4_PAE                    ; the whole register: no LA57, nothing left by firmware
    mov cr4, eax
    mov eax, boot_pml4
    mov cr3, eax
    mov ecx, MSR_EFER
    xor edx, edx
    mov eax, EFER_LME
    wrmsr
    mov eax, CR0_PE | CR0_WP | CR0_PG | (1 << 4) | (1 << 5) ; and ET, NE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    jmp 0x08:long_mode

; fail - says EDI's text on COM1 and in VGA text, then halts for ever. Nothing is written where no
; VGA shows text: its ports then read as all ones, or its memory holds graphics (Graphics 6: bit 0),
; or lies elsewhere (bits 2 and 3).
fail:
    xor ebx, ebx                        ; the next character's place; 0: no screen
    mov dx, VGA_MISC
    in al, dx
    cmp al, 0xFF
    je .next
    mov dx, VGA_GRAPHICS
    mov al, 6
    out dx, al
    inc edx
    in al, dx
    and al, 0x0D
    cmp al, 0x0C
    jne .next
    mov ebx, VGA_TEXT
.next:
    mov al, [edi]
    inc edi
    test al, al
    jz .halt
    mov ah, al
    test ebx, ebx
    jz .serial
    mov [ebx], al
    mov byte [ebx + 1], 0x4F
    add ebx, 2
.serial:
    mov ecx, 100000                     ; bounded: there may be no UART
.wait:
    mov dx, COM1 + 5
    in al, dx
    test al, 0x20
    jnz .send
    loop .wait
.send:
    mov al, ah
    mov dx, COM1
    out dx, al
    jmp .next
.halt:
    cli
    hlt
    jmp .halt

bits 64
long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov ebp, ebp                        ; upper halves are undefined after the switch
    mov esi, esi
    mov rax, higher_half
    jmp rax

message_no_long_mode:
    db "Interlock: this processor has no 64-bit mode. Stopped.", 13, 10, 0

align 8
boot_gdt:
    dq 0
    dq 0x00209A0000000000               ; 64-bit code
    dq 0x0000920000000000               ; data
boot_gdt_pointer:
    dw $ - boot_gdt - 1
    dd boot_gdt

section .boot.bss nobits alloc noexec write align=4096
boot_pml4:          resb 4096
boot_pdpt_low:      resb 4096
boot_pdpt_high:     resb 4096
boot_directories:   resb 4 * 4096
boot_stack:         resb 4096
boot_stack_top:

section .text
bits 64
; Interrupts off, on the temporary maps; RBP magic, RSI structure.
higher_half:
    mov r8, rsi
    mov rdi, KiImageBssStart
    mov rcx, KiImageBssEnd
    sub rcx, rdi
    shr rcx, 3
    xor eax, eax
    rep stosq
    mov rsp, main_stack_top

    ; GS and its canary before any C: the compiler's stack checks read gs:PcStackCanary.
    mov rdi, KiBootProcessor
    mov rax, rdi
    mov rdx, rdi
    shr rdx, 32
    mov ecx, MSR_GS_BASE
    wrmsr
    rdtsc
    shl rax, 8                          ; lowest byte 0: no string's end writes it
    mov [rdi + PcStackCanary], rax

    mov edi, ebp
    mov rsi, r8
    xor ebp, ebp                        ; end of the frame-pointer chain
    call BootMain
    ud2

section .bss nobits alloc noexec write align=4096
; The boot processor's stack until it has its idle thread's. Not guarded: nothing deep runs on it.
main_stack:         resb 16384
main_stack_top:
