/* SPDX-License-Identifier: MIT */
/*
 * vga.c - is there a VGA in text mode, when no loader says so? See BootProbeVgaText.
 */
#include <arch/intrin.h>
#include <boot_info.h>
#include <rtl.h>

#define VGA_SEQUENCER 0x3C4 /* index; data behind it */
#define VGA_MISCELLANEOUS 0x3CC
#define VGA_GRAPHICS 0x3CE
#define VGA_CRTC 0x3D4

#define SEQUENCER_MAP_MASK 2
#define CRTC_COLUMNS 1 /* displayed, less one */
#define GRAPHICS_MISCELLANEOUS 6

#define MISCELLANEOUS_COLOR 0x01 /* the CRT controller answers at 0x3D4 */
#define GRAPHICS_MODE_MASK 0x0D  /* memory at 0xB8000, and no graphics: 11x0 */
#define GRAPHICS_TEXT_AT_B8000 0x0C

#define VGA_COLUMNS 80
#define VGA_ROWS 25

/* A register behind an index port that keeps what is written; TRUE if it did. */
static BOOLEAN BootReadVga(USHORT Port, UCHAR Index, PUCHAR Value)
{
    UCHAR Saved = __inbyte(Port);
    BOOLEAN Kept;

    __outbyte(Port, Index);
    Kept = (__inbyte(Port) & 0x1F) == Index;
    *Value = __inbyte(Port + 1);
    __outbyte(Port, Saved);
    return Kept;
}

BOOLEAN BootProbeVgaText(PBOOT_FRAMEBUFFER Framebuffer)
{
    UCHAR Miscellaneous = __inbyte(VGA_MISCELLANEOUS);
    UCHAR MapMask, Mode, Columns;

    if (Miscellaneous == 0xFF || !(Miscellaneous & MISCELLANEOUS_COLOR) ||
        !BootReadVga(VGA_SEQUENCER, SEQUENCER_MAP_MASK, &MapMask) ||
        !BootReadVga(VGA_GRAPHICS, GRAPHICS_MISCELLANEOUS, &Mode) ||
        !BootReadVga(VGA_CRTC, CRTC_COLUMNS, &Columns) ||
        (Mode & GRAPHICS_MODE_MASK) != GRAPHICS_TEXT_AT_B8000 || Columns != VGA_COLUMNS - 1)
    {
        return FALSE;
    }
    RtlZeroMemory(Framebuffer, sizeof(*Framebuffer));
    Framebuffer->Type = BootFramebufferText;
    Framebuffer->Address = 0xB8000;
    Framebuffer->Pitch = VGA_COLUMNS * sizeof(USHORT);
    Framebuffer->Width = VGA_COLUMNS;
    Framebuffer->Height = VGA_ROWS;
    Framebuffer->BitsPerPixel = 16;
    return TRUE;
}
