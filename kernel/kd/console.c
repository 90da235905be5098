/* SPDX-License-Identifier: MIT */
/*
 * console.c - the screen: the log on it, and the stage in its corner.
 *
 * PURPOSE
 *   What the log says and how far start-up has come, for who sits in front of the machine. There
 *   may be no screen, and nothing else changes then.
 *
 * HOW IT WORKS
 *   Lines go into a grid in ordinary memory; the screen is drawn from it when the log has nothing
 *   more to put out, or a tenth of a second after it was drawn last: a burst of lines is drawn
 *   once. The stage's cells belong to the boot processor alone and are drawn at once, so that they
 *   are right when whatever begins never ends.
 *
 * LOCKS AND IRQL
 *   The grid belongs to the holder of the log's drain flag, of whom there is one. In a bug check it
 *   belongs to the one processor left: whoever had it has stopped for ever, perhaps in the middle
 *   of a change, so the grid is begun anew and nothing in it is believed. No lock is taken.
 *
 * ORDERING
 *   Drawing ends with a fence, which empties the write-combining buffers: what was drawn is to be
 *   seen even if this processor never stores again.
 *
 * FURTHER READING
 *   docs/screen.md. Intel SDM 3A, 12.3.1 "Buffering of Write Combining Memory Locations".
 */
#include "kd.h"

#include <arch/hal.h>

#define POST_CODE_PORT 0x80

#define STAGE_DIGITS 3u
#define STAGE_CELLS (STAGE_DIGITS + 1) /* a blank before it */
#define STAGE_COLOR HALP_COLOR(HALP_BLACK, HALP_GREY)
#define TEXT_COLOR HALP_COLOR(HALP_GREY, HALP_BLACK)
#define PREFIX_COLOR HALP_COLOR(HALP_DARK_GREY, HALP_BLACK)

#define DRAW_INTERVAL 1000000u /* 100 ns */

static KDP_GRID KdpGrid;      /* the holder of the log's drain flag; in a bug check its reporter */
static BOOLEAN KdpHaveScreen; /* the boot processor, at start-up                                 */
static ULONG64 KdpDrawnAt;    /* interrupt time; as the grid                                     */
static volatile ULONG
    KdpStage;              /* the boot processor                                              */
static BOOLEAN KdpStopped; /* the reporter of a bug check, once                               */

static VOID KdpDrawStage(VOID)
{
    HALP_CELL Cells[STAGE_CELLS] = {{' ', STAGE_COLOR}};
    ULONG Columns = KdpGrid.Columns;
    ULONG Stage = KdpStage;

    for (ULONG Index = STAGE_DIGITS; Index != 0; Index--, Stage /= 10)
    {
        Cells[Index].Character = (UCHAR)('0' + Stage % 10);
        Cells[Index].Color = STAGE_COLOR;
    }
    if (KdpHaveScreen && Columns > STAGE_CELLS)
    {
        HalpDrawCells(0, Columns - STAGE_CELLS, Cells, STAGE_CELLS);
        KeMemoryBarrier(); /* write-combining buffers out; pairs with: what shows the memory */
    }
}

VOID KdpSetStage(ULONG Stage)
{
    __outbyte(POST_CODE_PORT, (UCHAR)(Stage / 10 % 10 << 4 | Stage % 10));
    KdpStage = Stage;
    KdpDrawStage();
}

VOID KdpFlushScreen(VOID)
{
    if (!KdpHaveScreen || KdpStopped)
    {
        return;
    }
    if (KdpDrawGrid(&KdpGrid, STAGE_CELLS, HalpDrawCells) != 0)
    {
        KeMemoryBarrier(); /* write-combining buffers out; pairs with: what shows the memory */
    }
    KdpDrawnAt = KeQueryInterruptTime();
}

/* The last that was put is a line, whose end has not been put: what comes next begins a row. */
static BOOLEAN KdpOwesRow;

VOID KdpPutLine(KI_LOG_LEVEL Level, PCSTR Line, SIZE_T Length, SIZE_T PrefixLength)
{
    static const UCHAR Colors[] = {
        HALP_COLOR(HALP_LIGHT_RED, HALP_BLACK),
        HALP_COLOR(HALP_YELLOW, HALP_BLACK),
        TEXT_COLOR,
        PREFIX_COLOR,
    };

    if (!KdpHaveScreen || KdpStopped)
    {
        return;
    }
    if (KdpGrid.Column != 0)
    {
        KdpPutText(&KdpGrid, TEXT_COLOR, "\n", 1); /* not at the line's end: it would cost a row */
    }
    if (Length != 0 && Line[Length - 1] == '\n')
    {
        Length--;
    }
    PrefixLength = PrefixLength < Length ? PrefixLength : Length;
    KdpOwesRow = TRUE;
    KdpPutText(&KdpGrid, PREFIX_COLOR, Line, PrefixLength);
    KdpPutText(&KdpGrid, Colors[Level], Line + PrefixLength, Length - PrefixLength);
    if (KeQueryInterruptTime() - KdpDrawnAt >= DRAW_INTERVAL)
    {
        KdpFlushScreen();
    }
}

VOID KdpPutRaw(PCSTR Text, SIZE_T Length)
{
    if (KdpHaveScreen && !KdpStopped)
    {
        if (KdpOwesRow && KdpGrid.Column != 0)
        {
            KdpPutText(&KdpGrid, TEXT_COLOR, "\n", 1);
        }
        KdpOwesRow = FALSE;
        KdpPutText(&KdpGrid, TEXT_COLOR, Text, Length);
    }
}

static VOID KdpDescribeScreen(VOID)
{
    HALP_SCREEN_INFORMATION Screen;

    HalpQueryScreen(&Screen);
    if (Screen.Type == BootFramebufferText)
    {
        KiLog(KiLogInfo, "screen: VGA text, %ux%u characters", Screen.Columns, Screen.Rows);
    }
    else
    {
        KiLog(KiLogInfo, "screen: framebuffer at 0x%llx, %ux%u, %u bits: %ux%u characters",
              Screen.Physical, Screen.Width, Screen.Height, Screen.BitsPerPixel, Screen.Columns,
              Screen.Rows);
    }
}

VOID KdpInitializeScreen(PBOOT_INFO BootInfo)
{
    const BOOT_FRAMEBUFFER *Frame = &BootInfo->Framebuffer;
    ULONG Columns, Rows;
    PCSTR Problem;

    if (!(KiOptions.Console & KI_CONSOLE_FRAMEBUFFER))
    {
        return;
    }
    Problem = HalpInitializeScreen(BootInfo, &Columns, &Rows);
    if (Problem != NULL)
    {
        KiLog(KiLogWarning,
              "screen: the loader's is not used, for %s (0x%llx, %ux%u, %u bits, pitch %u)",
              Problem, Frame->Address, Frame->Width, Frame->Height, Frame->BitsPerPixel,
              Frame->Pitch);
    }
    else if (Columns == 0)
    {
        KiLog(KiLogInfo, "screen: none");
    }
    else
    {
        KdpInitializeGrid(&KdpGrid, Columns, Rows, TEXT_COLOR);
        KdpHaveScreen = TRUE;
        KdpDescribeScreen();
        KdpDrawStage();
    }
}

VOID KdpMapScreen(VOID)
{
    if (!KdpHaveScreen)
    {
        return;
    }
    if (!HalpMapScreen(KiOptions.WriteCombining != KiSwitchOff))
    {
        KdpHaveScreen = FALSE;
        KiLog(KiLogWarning, "screen: no memory to map it; not used");
        return;
    }
    HalpClearScreen(TEXT_COLOR);
    KdpForgetDrawn(&KdpGrid);
    KdpFlushScreen();
    KdpDrawStage();
}

VOID KdpStopLog(VOID)
{
    KdpStopped = TRUE;
}

PKDP_GRID KdpBeginPage(UCHAR Color)
{
    HALP_SCREEN_INFORMATION Screen;

    if (!KdpHaveScreen)
    {
        return NULL;
    }
    HalpQueryScreen(&Screen);
    KdpInitializeGrid(&KdpGrid, Screen.Columns, Screen.Rows, Color);
    HalpClearScreen(Color);
    return &KdpGrid;
}

VOID KdpShowPage(VOID)
{
    KdpDrawGrid(&KdpGrid, STAGE_CELLS, HalpDrawCells);
    KdpDrawStage();
}
