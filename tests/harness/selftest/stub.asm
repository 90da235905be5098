; SPDX-License-Identifier: MIT
;
; stub.asm - a guest that does what its command line says, to test the test harness.
;
; It boots as Interlock does, by PVH (QEMU -kernel) and by Multiboot2 (GRUB), looks for "stub=" in
; its command line, and carries out the steps that follow, which ';' separates:
;   1TEXT  write TEXT to COM1      2TEXT  write TEXT to COM2, both as a line; '_' stands for a space
;   3TEXT  write TEXT to COM2 without ending the line
;   xH     write 0x10 + H (one digit) to the debug-exit port: QEMU exits with (0x10 + H) * 2 + 1
;   c      write the whole command line to COM1
;   h      hang with interrupts off      r  triple fault
; Running off the end hangs.

bits 32

COM1        equ 0x3F8
COM2        equ 0x2F8
DEBUG_EXIT  equ 0xF4

MB2_MAGIC   equ 0xE85250D6
MB2_LOADED  equ 0x36D76289          ; what the loader leaves in EAX
PVH_CMDLINE equ 24                  ; offset of cmdline_paddr in hvm_start_info

section .note.pvh note alloc align=4
    dd 4, 4, 18                     ; name size, desc size, XEN_ELFNOTE_PHYS32_ENTRY
    db "Xen", 0
    dd start

section .multiboot2 alloc progbits align=8
header:
    dd MB2_MAGIC, 0, header.end - header
    dd -(MB2_MAGIC + header.end - header)
    dw 0, 0                         ; end tag
    dd 8
.end:

section .bss
command_line:
    resd 1

section .text
global start

; EBX: hvm_start_info (PVH) or the Multiboot2 information, told apart by EAX. Never returns.
start:
    cld
    cmp eax, MB2_LOADED
    je .multiboot2
    mov esi, [ebx + PVH_CMDLINE]
    jmp .found
.multiboot2:
    lea esi, [ebx + 8]
.tag:
    cmp dword [esi], 0              ; end tag: no command line
    je hang
    cmp dword [esi], 1              ; the command line, as a string
    je .string
    add esi, [esi + 4]
    add esi, 7
    and esi, -8
    jmp .tag
.string:
    add esi, 8
.found:
    mov [command_line], esi
.find:                              ; ESI -> the text behind "stub="
    cmp byte [esi], 0
    je hang
    cmp dword [esi], "stub"
    lea esi, [esi + 1]
    jne .find
    add esi, 4

step:
    lodsb
    cmp al, 'r'
    je triple_fault
    cmp al, 'x'
    je exit
    cmp al, 'c'
    je show_command_line
    mov edx, COM1
    cmp al, '1'
    je write
    mov edx, COM2
    cmp al, '2'
    je write
    cmp al, '3'
    je write
hang:
    cli
    hlt
    jmp hang

; Writes the text at ESI up to ';' or its end to port EDX; a line feed ends it unless the step is 3.
write:
    mov bl, al
.next:
    mov al, [esi]
    test al, al
    jz .done
    inc esi
    cmp al, ';'
    je .done
    cmp al, '_'
    jne .put
    mov al, ' '
.put:
    out dx, al
    jmp .next
.done:
    cmp bl, '3'
    je step
    mov al, 10
    out dx, al
    jmp step

; Takes the ';' behind the step with it.
show_command_line:
    inc esi
    mov edi, [command_line]
    mov edx, COM1
.next:
    mov al, [edi]
    inc edi
    test al, al
    jz .done
    out dx, al
    jmp .next
.done:
    mov al, 10
    out dx, al
    jmp step

exit:
    lodsb
    sub al, '0' - 0x10
    out DEBUG_EXIT, al
    jmp hang

triple_fault:
    lidt [no_idt]
    ud2

section .rodata
no_idt:
    dw 0
    dd 0
