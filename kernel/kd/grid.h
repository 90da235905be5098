/* SPDX-License-Identifier: MIT */
/* grid.h - text as a grid of cells in ordinary memory, and what of it is on the screen already. */
#pragma once

#include <arch/screen.h>
#include <ntdef.h>

#define KDP_TAB 8u

/*
 * Cells is a ring of rows: the screen's row r is the ring's (Top + r) % Rows, so that scrolling
 * moves nothing. Drawn is what the screen shows, by the screen's own rows; a cell that was never
 * drawn has character 0, which no cell of the text has.
 */
typedef struct _KDP_GRID
{
    ULONG Columns, Rows;
    ULONG Top;
    ULONG Row, Column; /* of the next character; Column == Columns: it begins a row */
    HALP_CELL Cells[HALP_MAXIMUM_ROWS][HALP_MAXIMUM_COLUMNS];
    HALP_CELL Drawn[HALP_MAXIMUM_ROWS][HALP_MAXIMUM_COLUMNS];
    BOOLEAN Dirty[HALP_MAXIMUM_ROWS]; /* may differ from what is drawn */
} KDP_GRID, *PKDP_GRID;

/* Draws cells of one row. */
typedef VOID KDP_DRAW_CELLS(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count);

/* Blank, of that size (at least one cell, at most the maximum), nothing drawn. Trusts nothing that
 * is in *Grid. */
VOID KdpInitializeGrid(PKDP_GRID Grid, ULONG Columns, ULONG Rows, UCHAR Color);

/* Forgets what is drawn: the screen was cleared, or is another. */
VOID KdpForgetDrawn(PKDP_GRID Grid);

/* Writes text behind what is there: wraps at the edge, scrolls at the bottom, where the new row is
 * blank in Color; \n, \r and \t move, what is not printable ASCII is HALP_OTHER_CHARACTER. */
VOID KdpPutText(PKDP_GRID Grid, UCHAR Color, PCSTR Text, SIZE_T Length);

/* The next character goes there. Inside the grid. */
VOID KdpMoveTo(PKDP_GRID Grid, ULONG Row, ULONG Column);

/* Draws what differs from the screen but for the Corner last cells of row 0; returns how many cells
 * were drawn. */
ULONG KdpDrawGrid(PKDP_GRID Grid, ULONG Corner, KDP_DRAW_CELLS *Draw);
