/* SPDX-License-Identifier: MIT */
/*
 * screen.c - which screen there is, where it is mapped, and drawing on it.
 *
 * Until the kernel has its own maps the screen is drawn on at its physical address, if that lies
 * below 4 GiB, where the loader-time maps (entry.asm) reach; by CR3 it can be told whether they are
 * still in use. After that it is a mapping of device memory: write-combining for a framebuffer, by
 * entry 4 of the PAT, which each processor has set before it counts as started; uncached for VGA
 * text.
 *
 * A frame that overlaps what firmware calls memory is refused: drawing there would write over the
 * kernel.
 */
#include "frame.h"
#include "halp.h"

#include <mm.h>

#define EARLY_MAP_END 0x100000000ull

#define VGA_CRTC 0x3D4
#define CRTC_CURSOR_START 0x0A
#define CURSOR_OFF 0x20

#define TEXT_BOX 0xFE /* code page 437: a small black square */

/* Written by the boot processor at start-up; constant afterwards. */
static HALP_SCREEN_INFORMATION HalpScreen;
static HALP_FRAME HalpFrame;
static ULONG HalpTextPitch;
static ULONG64 HalpEarlyCr3; /* CR3 on the loader-time maps; 0 once the screen has its own */

static BOOLEAN HalpTouchesMemory(PBOOT_INFO BootInfo, ULONG64 Start, ULONG64 End)
{
    for (ULONG Index = 0; Index < BootInfo->RangeCount; Index++)
    {
        PBOOT_MEMORY_RANGE Range = &BootInfo->Ranges[Index];

        if (Range->Type != BootMemoryReserved && Range->Type != BootMemoryDefective &&
            Start < Range->End && End > Range->Start)
        {
            return TRUE;
        }
    }
    return FALSE;
}

static VOID HalpHideCursor(VOID)
{
    __outbyte(VGA_CRTC, CRTC_CURSOR_START);
    __outbyte(VGA_CRTC + 1, CURSOR_OFF);
}

static BOOLEAN HalpTakeFrame(const BOOT_FRAMEBUFFER *Framebuffer)
{
    if (Framebuffer->Type == BootFramebufferText)
    {
        HalpTextPitch = Framebuffer->Pitch;
        HalpScreen.Columns = Framebuffer->Width;
        HalpScreen.Rows = Framebuffer->Height;
        return Framebuffer->Width <= HALP_MAXIMUM_COLUMNS &&
               Framebuffer->Height <= HALP_MAXIMUM_ROWS;
    }
    if (!HalpPrepareFrame(&HalpFrame, Framebuffer))
    {
        return FALSE;
    }
    HalpScreen.Columns = HalpFrame.Columns;
    HalpScreen.Rows = HalpFrame.Rows;
    HalpScreen.Width = Framebuffer->Width;
    HalpScreen.Height = Framebuffer->Height;
    HalpScreen.BitsPerPixel = Framebuffer->BitsPerPixel;
    HalpScreen.Scale = HalpFrame.Scale;
    return TRUE;
}

static VOID HalpSetScreenAddress(PVOID Address)
{
    HalpScreen.Address = Address;
    HalpFrame.Base = Address;
}

PCSTR HalpInitializeScreen(PBOOT_INFO BootInfo, PULONG Columns, PULONG Rows)
{
    const BOOT_FRAMEBUFFER *Framebuffer = &BootInfo->Framebuffer;
    ULONG64 Bytes = (ULONG64)Framebuffer->Pitch * Framebuffer->Height;

    *Columns = *Rows = 0;
    if (Framebuffer->Type == BootFramebufferNone)
    {
        return Framebuffer->Problem;
    }
    if (HalpTouchesMemory(BootInfo, Framebuffer->Address, Framebuffer->Address + Bytes))
    {
        return "it overlaps the machine's memory";
    }
    if (!HalpTakeFrame(Framebuffer))
    {
        return "it holds no character, or too many";
    }
    HalpScreen.Type = Framebuffer->Type;
    HalpScreen.Physical = Framebuffer->Address;
    HalpScreen.Bytes = Bytes;
    if (Framebuffer->Address + Bytes <= EARLY_MAP_END)
    {
        HalpEarlyCr3 = __readcr3();
        HalpSetScreenAddress((PVOID)Framebuffer->Address);
    }
    if (Framebuffer->Type == BootFramebufferText)
    {
        HalpHideCursor();
    }
    *Columns = HalpScreen.Columns;
    *Rows = HalpScreen.Rows;
    return NULL;
}

BOOLEAN HalpMapScreen(BOOLEAN WriteCombined)
{
    PHYSICAL_ADDRESS Physical = {.QuadPart = (LONGLONG)HalpScreen.Physical};
    BOOLEAN Combine = WriteCombined && HalpScreen.Type == BootFramebufferLinear;
    PVOID Address = NULL;

    if (HalpScreen.Type != BootFramebufferNone)
    {
        Address = MmMapIoSpace(Physical, HalpScreen.Bytes, Combine ? MmWriteCombined : MmNonCached);
    }
    HalpSetScreenAddress(Address);
    HalpEarlyCr3 = 0;
    if (Address == NULL)
    {
        HalpScreen.Type = BootFramebufferNone;
    }
    return Address != NULL;
}

static BOOLEAN HalpCanDraw(VOID)
{
    return HalpScreen.Address != NULL && (HalpEarlyCr3 == 0 || __readcr3() == HalpEarlyCr3);
}

static VOID HalpDrawText(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count)
{
    volatile USHORT *To;

    if (Row >= HalpScreen.Rows || Column >= HalpScreen.Columns)
    {
        return;
    }
    To = (volatile USHORT *)((PUCHAR)HalpScreen.Address + (SIZE_T)Row * HalpTextPitch) + Column;
    for (ULONG Index = 0; Index < Count && Index < HalpScreen.Columns - Column; Index++)
    {
        UCHAR Character = Cells[Index].Character;

        To[Index] = (USHORT)(Cells[Index].Color << 8 |
                             (Character == HALP_OTHER_CHARACTER ? TEXT_BOX : Character));
    }
}

VOID HalpDrawCells(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count)
{
    if (!HalpCanDraw())
    {
        return;
    }
    if (HalpScreen.Type == BootFramebufferText)
    {
        HalpDrawText(Row, Column, Cells, Count);
    }
    else
    {
        HalpDrawOnFrame(&HalpFrame, Row, Column, Cells, Count);
    }
}

VOID HalpClearScreen(UCHAR Color)
{
    if (!HalpCanDraw())
    {
        return;
    }
    if (HalpScreen.Type == BootFramebufferLinear)
    {
        HalpClearFrame(&HalpFrame, Color);
        return;
    }
    for (ULONG Row = 0; Row < HalpScreen.Rows; Row++)
    {
        for (ULONG Column = 0; Column < HalpScreen.Columns; Column++)
        {
            const HALP_CELL Blank = {' ', Color};

            HalpDrawText(Row, Column, &Blank, 1);
        }
    }
}

VOID HalpQueryScreen(PHALP_SCREEN_INFORMATION Information)
{
    *Information = HalpScreen;
}
