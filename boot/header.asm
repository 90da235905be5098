; SPDX-License-Identifier: MIT
;
; header.asm - how loaders recognise the kernel: a Multiboot2 header for GRUB and a PVH note for
; QEMU's -kernel.
;
; Sources: Multiboot2 specification 3.1; Xen's "PVH" boot ABI (XEN_ELFNOTE_PHYS32_ENTRY, 18).

extern MultibootEntry
extern PvhEntry

MULTIBOOT2_MAGIC        equ 0xE85250D6
ARCHITECTURE_I386       equ 0
TAG_INFORMATION_REQUEST equ 1
TAG_FRAMEBUFFER         equ 5
TAG_MODULE_ALIGNMENT    equ 6
TAG_OPTIONAL            equ 1

section .multiboot2 progbits alloc noexec nowrite align=8
header:
    dd MULTIBOOT2_MAGIC, ARCHITECTURE_I386, header_end - header
    dd -(MULTIBOOT2_MAGIC + ARCHITECTURE_I386 + (header_end - header))

    align 8
    dw TAG_FRAMEBUFFER, TAG_OPTIONAL    ; optional: a machine without a screen boots too
    dd 20
    dd 0, 0, 32                         ; any width and height, 32 bits a pixel

    align 8
    dw TAG_MODULE_ALIGNMENT, 0
    dd 8

    align 8
    dw 0, 0
    dd 8
header_end:

section .note.pvh note alloc noexec nowrite align=4
    dd 4, 4, 18                         ; name size, descriptor size, PHYS32_ENTRY
    db "Xen", 0
    dd PvhEntry
