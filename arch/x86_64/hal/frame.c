/* SPDX-License-Identifier: MIT */
/*
 * frame.c - characters as pixels.
 *
 * Any pitch, 2 to 4 bytes a pixel, any place of the colours in it. A run of characters is drawn
 * line by line from left to right, so that a write-combining processor sends whole bursts; nothing
 * is ever read back, because reading such memory takes about a microsecond a word. A screen of more
 * characters than anybody can read gets each pixel of the font Scale times as large.
 */
#include "frame.h"

#include <rtl.h>

/* The colours of VGA's text mode, as 0xRRGGBB. */
static const ULONG HalpColors[16] = {0x000000, 0x0000AA, 0x00AA00, 0x00AAAA, 0xAA0000, 0xAA00AA,
                                     0xAA5500, 0xAAAAAA, 0x555555, 0x5555FF, 0x55FF55, 0x55FFFF,
                                     0xFF5555, 0xFF55FF, 0xFFFF55, 0xFFFFFF};

/* Pixels stand where the pitch puts them: at any address. */
typedef USHORT __attribute__((aligned(1), may_alias)) HALP_PIXEL16;
typedef ULONG __attribute__((aligned(1), may_alias)) HALP_PIXEL32;

/* Eight bits of a colour, as the Size bits from Shift on. */
static ULONG HalpChannel(ULONG Value, ULONG Shift, ULONG Size)
{
    ULONG64 Bits = Size <= 8 ? Value >> (8 - Size)
                             : ((ULONG64)Value << (Size - 8)) |
                                   (Value >> 7 ? (1ull << (Size - 8)) - 1 : 0);

    return (ULONG)(Bits << Shift);
}

static VOID HalpPreparePalette(PHALP_FRAME Frame, const BOOT_FRAMEBUFFER *Framebuffer)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(HalpColors); Index++)
    {
        ULONG Color = HalpColors[Index];

        Frame->Palette[Index] =
            HalpChannel(Color >> 16 & 0xFF, Framebuffer->RedShift, Framebuffer->RedSize) |
            HalpChannel(Color >> 8 & 0xFF, Framebuffer->GreenShift, Framebuffer->GreenSize) |
            HalpChannel(Color & 0xFF, Framebuffer->BlueShift, Framebuffer->BlueSize);
    }
}

BOOLEAN HalpPrepareFrame(PHALP_FRAME Frame, const BOOT_FRAMEBUFFER *Framebuffer)
{
    Frame->Base = NULL;
    Frame->Width = Framebuffer->Width;
    Frame->Height = Framebuffer->Height;
    Frame->Pitch = Framebuffer->Pitch;
    Frame->BytesPerPixel = (Framebuffer->BitsPerPixel + 7u) / 8;
    Frame->Scale = 1;
    while (Frame->Width / (HALP_GLYPH_WIDTH * Frame->Scale) > HALP_MAXIMUM_COLUMNS ||
           Frame->Height / (HALP_GLYPH_HEIGHT * Frame->Scale) > HALP_MAXIMUM_ROWS)
    {
        Frame->Scale++;
    }
    Frame->Columns = Frame->Width / (HALP_GLYPH_WIDTH * Frame->Scale);
    Frame->Rows = Frame->Height / (HALP_GLYPH_HEIGHT * Frame->Scale);
    HalpPreparePalette(Frame, Framebuffer);
    return Frame->Columns != 0 && Frame->Rows != 0;
}

/* Count pixels of one value; returns what lies behind them. */
FORCEINLINE volatile UCHAR *HalpPutPixels(volatile UCHAR *To, ULONG BytesPerPixel, ULONG Value,
                                          ULONG Count)
{
    for (; Count != 0; Count--)
    {
        switch (BytesPerPixel)
        {
        case 4:
            *(volatile HALP_PIXEL32 *)To = Value;
            break;
        case 3:
            To[0] = (UCHAR)Value;
            To[1] = (UCHAR)(Value >> 8);
            To[2] = (UCHAR)(Value >> 16);
            break;
        default:
            *(volatile HALP_PIXEL16 *)To = (USHORT)Value;
            break;
        }
        To += BytesPerPixel;
    }
    return To;
}

/* One of the glyphs' 16 lines, of Count characters. BytesPerPixel is a constant where this is
 * inlined, so the choice of it costs nothing for a pixel. */
FORCEINLINE VOID HalpDrawLine(const HALP_FRAME *Frame, volatile UCHAR *To, ULONG BytesPerPixel,
                              ULONG Line, const HALP_CELL *Cells, ULONG Count)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        ULONG Glyph = (ULONG)Cells[Index].Character - ' ';
        ULONG Foreground = Frame->Palette[Cells[Index].Color & 15];
        ULONG Background = Frame->Palette[Cells[Index].Color >> 4];
        ULONG Bits = HalpFont[Glyph < HALP_GLYPHS ? Glyph : HALP_GLYPHS - 1][Line];

        for (ULONG Pixel = 0; Pixel < HALP_GLYPH_WIDTH; Pixel++, Bits <<= 1)
        {
            To = HalpPutPixels(To, BytesPerPixel, Bits & 0x80 ? Foreground : Background,
                               Frame->Scale);
        }
    }
}

VOID HalpDrawOnFrame(const HALP_FRAME *Frame, ULONG Row, ULONG Column, const HALP_CELL *Cells,
                     ULONG Count)
{
    volatile UCHAR *To;

    if (Frame->Base == NULL || Row >= Frame->Rows || Column >= Frame->Columns)
    {
        return;
    }
    Count = Count < Frame->Columns - Column ? Count : Frame->Columns - Column;
    To = Frame->Base + (SIZE_T)Row * HALP_GLYPH_HEIGHT * Frame->Scale * Frame->Pitch +
         (SIZE_T)Column * HALP_GLYPH_WIDTH * Frame->Scale * Frame->BytesPerPixel;
    for (ULONG Line = 0; Line < HALP_GLYPH_HEIGHT * Frame->Scale; Line++, To += Frame->Pitch)
    {
        switch (Frame->BytesPerPixel)
        {
        case 4:
            HalpDrawLine(Frame, To, 4, Line / Frame->Scale, Cells, Count);
            break;
        case 3:
            HalpDrawLine(Frame, To, 3, Line / Frame->Scale, Cells, Count);
            break;
        default:
            HalpDrawLine(Frame, To, 2, Line / Frame->Scale, Cells, Count);
            break;
        }
    }
}

VOID HalpClearFrame(const HALP_FRAME *Frame, UCHAR Color)
{
    ULONG Background = Frame->Palette[Color >> 4];

    for (ULONG Line = 0; Line < Frame->Height && Frame->Base != NULL; Line++)
    {
        HalpPutPixels(Frame->Base + (SIZE_T)Line * Frame->Pitch, Frame->BytesPerPixel, Background,
                      Frame->Width);
    }
}
