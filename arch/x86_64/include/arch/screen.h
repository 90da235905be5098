/* SPDX-License-Identifier: MIT */
/*
 * screen.h - the machine's screen as rows of characters, whatever is behind it: a linear
 * framebuffer or VGA text. It is only ever written; what it shows is the caller's to remember.
 */
#pragma once

#include <boot_info.h>
#include <ntdef.h>

/* One character on the screen. Colours are VGA's: the background's in bits 4 to 6 (bit 7 is 0, or
 * VGA text might blink), the foreground's in bits 0 to 3. */
typedef struct _HALP_CELL
{
    UCHAR Character; /* ' ' to '~', or HALP_OTHER_CHARACTER */
    UCHAR Color;
} HALP_CELL, *PHALP_CELL;

#define HALP_OTHER_CHARACTER 0x7F /* shown as a box */

#define HALP_COLOR(Foreground, Background) ((UCHAR)((Background) << 4 | (Foreground)))
#define HALP_BLACK 0
#define HALP_BLUE 1
#define HALP_GREY 7
#define HALP_DARK_GREY 8
#define HALP_LIGHT_RED 12
#define HALP_YELLOW 14
#define HALP_WHITE 15

/* No screen has more characters: larger ones get larger characters. */
#define HALP_MAXIMUM_COLUMNS 256u
#define HALP_MAXIMUM_ROWS 100u

/*
 * HalpInitializeScreen - finds the screen that the loader described.
 *
 * Called once, by the boot processor, on the loader's maps, where what lies below 4 GiB can be
 * drawn on until those maps go. Returns NULL and the size, or 0 by 0 if there is none; or, as a
 * static sentence, why what there is cannot be used. Source: Multiboot2 3.6.12.
 */
PCSTR HalpInitializeScreen(PBOOT_INFO BootInfo, PULONG Columns, PULONG Rows);

/* Gives the screen its address for good: write-combining if so asked and if the processors can.
 * Once memory can be mapped. FALSE, and no screen from then on, if it cannot. */
BOOLEAN HalpMapScreen(BOOLEAN WriteCombined);

/* Any IRQL; not two at once for the same cells. Nothing happens while there is no screen. */
VOID HalpDrawCells(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count);
/* The whole screen, its edges included, in the background of Color. */
VOID HalpClearScreen(UCHAR Color);

/* What the log and the tests want to know of it. */
typedef struct _HALP_SCREEN_INFORMATION
{
    BOOT_FRAMEBUFFER_TYPE Type; /* BootFramebufferNone: no screen */
    ULONG Columns, Rows;
    ULONG Width, Height, BitsPerPixel; /* linear only */
    ULONG Scale;                       /* linear only: pixels to a pixel of the font */
    ULONG64 Physical;
    PVOID Address; /* NULL: not drawn on at the moment */
    SIZE_T Bytes;
} HALP_SCREEN_INFORMATION, *PHALP_SCREEN_INFORMATION;

VOID HalpQueryScreen(PHALP_SCREEN_INFORMATION Information);
