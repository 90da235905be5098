/* SPDX-License-Identifier: MIT */
/* frame.h - drawing characters on a linear framebuffer: arithmetic only, no machine. */
#pragma once

#include <arch/screen.h>

#define HALP_GLYPH_WIDTH 8u
#define HALP_GLYPH_HEIGHT 16u
#define HALP_GLYPHS 96u /* ' ' to '~', and the box for all others */

/* From the font by tools/font.py: a byte a row, the leftmost pixel in bit 7. */
extern const UCHAR HalpFont[HALP_GLYPHS][HALP_GLYPH_HEIGHT];

/* Constant once prepared, but for Base. */
typedef struct _HALP_FRAME
{
    volatile UCHAR *Base; /* where pixel (0, 0) is; NULL: do not draw */
    ULONG Width, Height, Pitch;
    ULONG BytesPerPixel; /* 2, 3 or 4 */
    ULONG Scale;
    ULONG Columns, Rows;
    ULONG Palette[16]; /* a pixel's value for each colour */
} HALP_FRAME, *PHALP_FRAME;

/* Fills *Frame from a frame that the loader's parser found sane. FALSE if it is too small for one
 * character. */
BOOLEAN HalpPrepareFrame(PHALP_FRAME Frame, const BOOT_FRAMEBUFFER *Framebuffer);

/* Draws what lies inside the frame. */
VOID HalpDrawOnFrame(const HALP_FRAME *Frame, ULONG Row, ULONG Column, const HALP_CELL *Cells,
                     ULONG Count);
VOID HalpClearFrame(const HALP_FRAME *Frame, UCHAR Color);
