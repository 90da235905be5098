/* SPDX-License-Identifier: MIT */
/*
 * grid.c - the text on the screen: a shadow in ordinary memory, drawn where it has changed.
 *
 * A framebuffer is slow to write and very slow to read, so text never scrolls there: the shadow
 * scrolls, by turning its ring of rows, and drawing compares it with a second shadow of what the
 * screen shows. However many lines came in between, a cell is drawn once, and only if it differs;
 * most lines of a log are short, and their blank rest does not.
 */
#include "grid.h"

#include <rtl.h>

static HALP_CELL *KdpCellsOf(PKDP_GRID Grid, ULONG Row)
{
    return Grid->Cells[(Grid->Top + Row) % Grid->Rows];
}

static VOID KdpBlankRow(PKDP_GRID Grid, ULONG Row, UCHAR Color)
{
    HALP_CELL *Cells = KdpCellsOf(Grid, Row);

    for (ULONG Column = 0; Column < Grid->Columns; Column++)
    {
        Cells[Column].Character = ' ';
        Cells[Column].Color = Color;
    }
    Grid->Dirty[Row] = TRUE;
}

VOID KdpForgetDrawn(PKDP_GRID Grid)
{
    RtlZeroMemory(Grid->Drawn, sizeof(Grid->Drawn));
    for (ULONG Row = 0; Row < Grid->Rows; Row++)
    {
        Grid->Dirty[Row] = TRUE;
    }
}

VOID KdpInitializeGrid(PKDP_GRID Grid, ULONG Columns, ULONG Rows, UCHAR Color)
{
    Grid->Columns = Columns;
    Grid->Rows = Rows;
    Grid->Top = Grid->Row = Grid->Column = 0;
    KdpForgetDrawn(Grid);
    for (ULONG Row = 0; Row < Rows; Row++)
    {
        KdpBlankRow(Grid, Row, Color);
    }
}

VOID KdpMoveTo(PKDP_GRID Grid, ULONG Row, ULONG Column)
{
    Grid->Row = Row;
    Grid->Column = Column;
}

static VOID KdpNextRow(PKDP_GRID Grid, UCHAR Color)
{
    Grid->Column = 0;
    if (Grid->Row + 1 < Grid->Rows)
    {
        Grid->Row++;
        return;
    }
    Grid->Top = (Grid->Top + 1) % Grid->Rows;
    KdpBlankRow(Grid, Grid->Rows - 1, Color);
    for (ULONG Row = 0; Row < Grid->Rows; Row++)
    {
        Grid->Dirty[Row] = TRUE;
    }
}

/* A row is left when the character after its last comes, so a line that just fits takes one. */
static VOID KdpPutCharacter(PKDP_GRID Grid, UCHAR Color, UCHAR Character)
{
    HALP_CELL *Cell;

    if (Grid->Column >= Grid->Columns)
    {
        KdpNextRow(Grid, Color);
    }
    Cell = &KdpCellsOf(Grid, Grid->Row)[Grid->Column++];
    Cell->Character = Character >= ' ' && Character <= '~' ? Character : HALP_OTHER_CHARACTER;
    Cell->Color = Color;
    Grid->Dirty[Grid->Row] = TRUE;
}

VOID KdpPutText(PKDP_GRID Grid, UCHAR Color, PCSTR Text, SIZE_T Length)
{
    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        switch (Text[Index])
        {
        case '\n':
            KdpNextRow(Grid, Color);
            break;
        case '\r':
            Grid->Column = 0;
            break;
        case '\b':
            Grid->Column -= Grid->Column != 0;
            break;
        case '\a':
            break;
        case '\t':
            do
            {
                KdpPutCharacter(Grid, Color, ' ');
            } while (Grid->Column % KDP_TAB != 0 && Grid->Column < Grid->Columns);
            break;
        default:
            KdpPutCharacter(Grid, Color, (UCHAR)Text[Index]);
            break;
        }
    }
}

static BOOLEAN KdpDiffers(const HALP_CELL *Wanted, const HALP_CELL *Drawn)
{
    return Wanted->Character != Drawn->Character || Wanted->Color != Drawn->Color;
}

/* Draws the first End cells of a row where they differ, neighbours together. */
static ULONG KdpDrawRow(PKDP_GRID Grid, ULONG Row, ULONG End, KDP_DRAW_CELLS *Draw)
{
    const HALP_CELL *Wanted = KdpCellsOf(Grid, Row);
    HALP_CELL *Drawn = Grid->Drawn[Row];
    ULONG Total = 0;

    for (ULONG First = 0; First < End;)
    {
        ULONG Last = First;

        while (Last < End && KdpDiffers(&Wanted[Last], &Drawn[Last]))
        {
            Drawn[Last] = Wanted[Last];
            Last++;
        }
        if (Last != First)
        {
            Draw(Row, First, &Wanted[First], Last - First);
        }
        Total += Last - First;
        First = Last + 1;
    }
    return Total;
}

ULONG KdpDrawGrid(PKDP_GRID Grid, ULONG Corner, KDP_DRAW_CELLS *Draw)
{
    ULONG Total = 0;

    for (ULONG Row = 0; Row < Grid->Rows; Row++)
    {
        ULONG Kept = Row == 0 && Corner < Grid->Columns ? Corner : 0;

        if (Grid->Dirty[Row])
        {
            Grid->Dirty[Row] = FALSE;
            Total += KdpDrawRow(Grid, Row, Grid->Columns - Kept, Draw);
        }
    }
    return Total;
}
