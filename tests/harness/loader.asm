; SPDX-License-Identifier: MIT
;
; loader.asm - the test loader: enters the kernel with whatever structure the test has made.
;
; QEMU's own Multiboot 1 loader starts it (-kernel). By then QEMU has put the kernel's segments, the
; structure and ACPI's tables into memory (-device loader; bootinfo.py chooses the places), and
; three words at PARAMETERS say where to go. It enters as GRUB would: 32-bit protected mode, flat
; segments, interrupts off, EAX the magic, EBX the structure (Multiboot2 Specification, 3.2).

PARAMETERS  equ 0x110000            ; entry, EAX, EBX

MB1_MAGIC   equ 0x1BADB002

bits 32
section .text
align 4
    dd MB1_MAGIC, 0, -MB1_MAGIC

global start
start:
    cli
    mov ecx, [PARAMETERS]
    mov eax, [PARAMETERS + 4]
    mov ebx, [PARAMETERS + 8]
    jmp ecx
