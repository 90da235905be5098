/* SPDX-License-Identifier: MIT */
/*
 * test_screen.c - characters as pixels in every layout a loader may name, and the grid of text.
 *
 * The drawer is compared, pixel by pixel, with a picture computed here from the font and the
 * colours' names; the memory is exactly as long as the frame, so the sanitizer sees each byte past
 * it, and what lies between rows must stay as it was. The grid draws on a screen of this file's,
 * which must then show what the text says.
 */
#include "host.h"

#include <frame.h>
#include <grid.h>

/* ------------------------------------------------------------------ Frames. */

#define UNTOUCHED 0xE7

typedef struct _LAYOUT
{
    UCHAR BitsPerPixel;
    UCHAR Red, RedSize, Green, GreenSize, Blue, BlueSize;
    ULONG Padding; /* bytes behind each row */
} LAYOUT;

static const LAYOUT Layouts[] = {
    {32, 16, 8, 8, 8, 0, 8, 0},  {32, 0, 8, 8, 8, 16, 8, 64},     /* swapped */
    {32, 24, 8, 16, 8, 8, 8, 4}, {32, 20, 10, 10, 10, 0, 10, 12}, /* ten bits */
    {24, 16, 8, 8, 8, 0, 8, 0},  {24, 0, 8, 8, 8, 16, 8, 7},      /* odd pitch */
    {16, 11, 5, 5, 6, 0, 5, 0},  {16, 0, 5, 5, 6, 11, 5, 1},
    {15, 10, 5, 5, 5, 0, 5, 6},  {32, 0, 1, 1, 1, 2, 1, 0}, /* one bit each */
};

/* A frame in memory of its own, which begins at an odd address. */
typedef struct _CANVAS
{
    HALP_FRAME Frame;
    BOOT_FRAMEBUFFER Boot;
    PUCHAR Memory;
    SIZE_T Size;
} CANVAS, *PCANVAS;

static SIZE_T RowBytes(const CANVAS *Canvas)
{
    return (SIZE_T)Canvas->Frame.Width * Canvas->Frame.BytesPerPixel;
}

static BOOLEAN OpenCanvas(PCANVAS Canvas, const LAYOUT *Layout, ULONG Width, ULONG Height)
{
    ULONG Bytes = (Layout->BitsPerPixel + 7u) / 8;

    memset(Canvas, 0, sizeof(*Canvas));
    Canvas->Boot = (BOOT_FRAMEBUFFER){.Type = BootFramebufferLinear,
                                      .Pitch = Width * Bytes + Layout->Padding,
                                      .Width = Width,
                                      .Height = Height,
                                      .BitsPerPixel = Layout->BitsPerPixel,
                                      .RedShift = Layout->Red,
                                      .RedSize = Layout->RedSize,
                                      .GreenShift = Layout->Green,
                                      .GreenSize = Layout->GreenSize,
                                      .BlueShift = Layout->Blue,
                                      .BlueSize = Layout->BlueSize};
    if (!HalpPrepareFrame(&Canvas->Frame, &Canvas->Boot))
    {
        return FALSE;
    }
    Canvas->Size = (SIZE_T)Canvas->Boot.Pitch * (Height - 1) + RowBytes(Canvas);
    Canvas->Memory = malloc(Canvas->Size + 1);
    assert_non_null(Canvas->Memory);
    memset(Canvas->Memory, UNTOUCHED, Canvas->Size + 1);
    Canvas->Frame.Base = Canvas->Memory + 1;
    return TRUE;
}

static ULONG ReadPixel(const CANVAS *Canvas, ULONG X, ULONG Y)
{
    const UCHAR *At = Canvas->Memory + 1 + (SIZE_T)Y * Canvas->Boot.Pitch +
                      (SIZE_T)X * Canvas->Frame.BytesPerPixel;
    ULONG Value = 0;

    for (ULONG Byte = 0; Byte < Canvas->Frame.BytesPerPixel; Byte++)
    {
        Value |= (ULONG)At[Byte] << (8 * Byte);
    }
    return Value;
}

/* A colour of VGA's sixteen by its bits, scaled to a channel's size. */
static ULONG Intensity(ULONG Color, ULONG Bit, ULONG Size)
{
    ULONG Value = (Color >> Bit & 1 ? 170 : 0) + (Color & 8 ? 85 : 0);
    ULONG64 Full = (1ull << Size) - 1;

    if (Color == 6 && Bit == 1)
    {
        Value = 85; /* brown, not dark yellow */
    }
    return Size <= 8 ? Value >> (8 - Size)
                     : (ULONG)((Value * (Full + 1) / 256) | (Value >= 128 ? Full >> 8 : 0));
}

static ULONG ExpectedPixel(const CANVAS *Canvas, ULONG Color)
{
    const BOOT_FRAMEBUFFER *Boot = &Canvas->Boot;

    return Intensity(Color, 2, Boot->RedSize) << Boot->RedShift |
           Intensity(Color, 1, Boot->GreenSize) << Boot->GreenShift |
           Intensity(Color, 0, Boot->BlueSize) << Boot->BlueShift;
}

/* The cell's pixels are the glyph's, and of its colours. */
static VOID AssertCell(const CANVAS *Canvas, ULONG Row, ULONG Column, HALP_CELL Cell)
{
    ULONG Scale = Canvas->Frame.Scale;
    ULONG Glyph = Cell.Character >= ' ' && Cell.Character <= '~' ? Cell.Character - ' ' : 95;

    for (ULONG Y = 0; Y < 16 * Scale; Y++)
    {
        for (ULONG X = 0; X < 8 * Scale; X++)
        {
            BOOLEAN Ink = HalpFont[Glyph][Y / Scale] >> (7 - X / Scale) & 1;

            assert_int_equal(ReadPixel(Canvas, Column * 8 * Scale + X, Row * 16 * Scale + Y),
                             ExpectedPixel(Canvas, Ink ? Cell.Color & 15 : Cell.Color >> 4));
        }
    }
}

/* What lies between two rows belongs to nobody. */
static VOID AssertPadding(const CANVAS *Canvas)
{
    assert_int_equal(Canvas->Memory[0], UNTOUCHED);
    for (ULONG Y = 0; Y + 1 < Canvas->Boot.Height; Y++)
    {
        for (SIZE_T Byte = RowBytes(Canvas); Byte < Canvas->Boot.Pitch; Byte++)
        {
            assert_int_equal(Canvas->Memory[1 + (SIZE_T)Y * Canvas->Boot.Pitch + Byte], UNTOUCHED);
        }
    }
}

static HALP_CELL RandomCell(VOID)
{
    return (HALP_CELL){(UCHAR)(' ' + HostRandomBelow(96)), (UCHAR)HostRandomBelow(128)};
}

/* Random runs of characters on a screen of a random size with an edge, checked at the end. */
static VOID DrawAndCompare(const LAYOUT *Layout)
{
    ULONG Width = 8 + (ULONG)HostRandomBelow(200), Height = 16 + (ULONG)HostRandomBelow(120);
    HALP_CELL Shown[16][32];
    CANVAS Canvas;

    assert_true(OpenCanvas(&Canvas, Layout, Width, Height));
    assert_int_equal(Canvas.Frame.Scale, 1);
    assert_int_equal(Canvas.Frame.Columns, Width / 8);
    assert_int_equal(Canvas.Frame.Rows, Height / 16);
    HalpClearFrame(&Canvas.Frame, HALP_COLOR(3, 5));
    for (ULONG X = 0; X < Width; X++)
    {
        assert_int_equal(ReadPixel(&Canvas, X, Height - 1), ExpectedPixel(&Canvas, 5));
    }
    for (ULONG Row = 0; Row < Height / 16; Row++)
    {
        for (ULONG Column = 0; Column < Width / 8; Column++)
        {
            Shown[Row][Column] = (HALP_CELL){' ', HALP_COLOR(3, 5)};
        }
    }
    for (ULONG Run = 0; Run < 20; Run++)
    {
        ULONG Row = (ULONG)HostRandomBelow(Height / 16 + 2);
        ULONG Column = (ULONG)HostRandomBelow(Width / 8 + 2);
        ULONG Count = (ULONG)HostRandomBelow(32);
        HALP_CELL Cells[32];

        for (ULONG Index = 0; Index < Count; Index++)
        {
            Cells[Index] = RandomCell();
            if (Row < Height / 16 && Column + Index < Width / 8)
            {
                Shown[Row][Column + Index] = Cells[Index];
            }
        }
        HalpDrawOnFrame(&Canvas.Frame, Row, Column, Cells, Count);
    }
    for (ULONG Row = 0; Row < Height / 16; Row++)
    {
        for (ULONG Column = 0; Column < Width / 8; Column++)
        {
            AssertCell(&Canvas, Row, Column, Shown[Row][Column]);
        }
    }
    AssertPadding(&Canvas);
    free(Canvas.Memory);
}

static void EveryLayoutIsDrawn(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Layouts); Index++)
    {
        for (ULONG Round = 0; Round < 10; Round++)
        {
            DrawAndCompare(&Layouts[Index]);
        }
    }
}

static void WhiteIsAllBits(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Layouts); Index++)
    {
        const LAYOUT *L = &Layouts[Index];
        CANVAS Canvas;

        assert_true(OpenCanvas(&Canvas, L, 8, 16));
        assert_int_equal(Canvas.Frame.Palette[0], 0);
        assert_int_equal(Canvas.Frame.Palette[15], ((1ull << L->RedSize) - 1) << L->Red |
                                                       ((1ull << L->GreenSize) - 1) << L->Green |
                                                       ((1ull << L->BlueSize) - 1) << L->Blue);
        free(Canvas.Memory);
    }
}

/* Width, height -> scale, columns, rows. */
static VOID AssertScale(ULONG Width, ULONG Height, ULONG Scale, ULONG Columns, ULONG Rows)
{
    HALP_FRAME Frame;
    BOOT_FRAMEBUFFER Boot = {.Type = BootFramebufferLinear,
                             .Width = Width,
                             .Height = Height,
                             .Pitch = Width * 4,
                             .BitsPerPixel = 32,
                             .RedSize = 8,
                             .GreenSize = 8,
                             .BlueSize = 8};

    assert_true(HalpPrepareFrame(&Frame, &Boot));
    assert_int_equal(Frame.Scale, Scale);
    assert_int_equal(Frame.Columns, Columns);
    assert_int_equal(Frame.Rows, Rows);
}

static void LargeScreensHaveLargeCharacters(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertScale(640, 480, 1, 80, 30);
    AssertScale(1920, 1080, 1, 240, 67);
    AssertScale(1080, 1920, 2, 67, 60);
    AssertScale(2560, 1440, 2, 160, 45);
    AssertScale(3840, 2160, 2, 240, 67);
    AssertScale(7680, 4320, 4, 240, 67);
    AssertScale(16384, 16384, 11, 186, 93);
}

static void FourKIsDrawn(void **State)
{
    CANVAS Canvas;
    UNREFERENCED_PARAMETER(State);

    assert_true(OpenCanvas(&Canvas, &Layouts[1], 3840, 2160));
    HalpClearFrame(&Canvas.Frame, 0);
    for (ULONG Index = 0; Index < 50; Index++)
    {
        HALP_CELL Cell = RandomCell();
        ULONG Row = (ULONG)HostRandomBelow(Canvas.Frame.Rows);
        ULONG Column = (ULONG)HostRandomBelow(Canvas.Frame.Columns);

        HalpDrawOnFrame(&Canvas.Frame, Row, Column, &Cell, 1);
        AssertCell(&Canvas, Row, Column, Cell);
    }
    AssertPadding(&Canvas);
    free(Canvas.Memory);
}

static void TooSmallIsRefused(void **State)
{
    CANVAS Canvas;
    UNREFERENCED_PARAMETER(State);

    assert_false(OpenCanvas(&Canvas, &Layouts[0], 7, 100));
    assert_false(OpenCanvas(&Canvas, &Layouts[0], 100, 15));
    assert_false(OpenCanvas(&Canvas, &Layouts[0], 16384, 16));
}

/* ------------------------------------------------------------------ The grid. */

#define COLOR 7

static KDP_GRID Grid;
static HALP_CELL Screen[HALP_MAXIMUM_ROWS][HALP_MAXIMUM_COLUMNS];
static ULONG Runs;

/* Draws on Screen; each cell drawn must be one that differs. */
static VOID Draw(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count)
{
    assert_true(Row < Grid.Rows && Count != 0 && Column + Count <= Grid.Columns);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        HALP_CELL *Cell = &Screen[Row][Column + Index];

        assert_true(Cell->Character != Cells[Index].Character || Cell->Color != Cells[Index].Color);
        *Cell = Cells[Index];
    }
    Runs++;
}

static VOID StartGrid(ULONG Columns, ULONG Rows)
{
    memset(&Grid, 0xA5, sizeof(Grid)); /* whatever a stopped processor may have left */
    memset(Screen, 0, sizeof(Screen));
    KdpInitializeGrid(&Grid, Columns, Rows, COLOR);
}

static VOID PutLine(PCSTR Text)
{
    KdpPutText(&Grid, COLOR, Text, strlen(Text));
}

/* After a drawing, the screen's row is that text and blanks. */
static VOID AssertRow(ULONG Row, PCSTR Text)
{
    for (ULONG Column = 0; Column < Grid.Columns; Column++)
    {
        CHAR Wanted = Column < strlen(Text) ? Text[Column] : ' ';

        assert_int_equal(Screen[Row][Column].Character, Wanted);
    }
}

static void TextWraps(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartGrid(5, 4);
    PutLine("abcdefg");
    KdpDrawGrid(&Grid, 0, Draw);
    AssertRow(0, "abcde");
    AssertRow(1, "fg");
    PutLine("\n12345\nx"); /* a line that just fits takes one row */
    KdpDrawGrid(&Grid, 0, Draw);
    AssertRow(2, "12345");
    AssertRow(3, "x");
}

static void ControlCharactersMove(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartGrid(20, 3);
    PutLine("a\tb\rc\n\t\tz\x01\xFF\x7F");
    KdpDrawGrid(&Grid, 0, Draw);
    AssertRow(0, "c       b");
    AssertRow(1, "                z\x7F\x7F\x7F");
    StartGrid(10, 3);
    PutLine("12345678\tx"); /* a tab ends at the edge */
    KdpDrawGrid(&Grid, 0, Draw);
    AssertRow(0, "12345678");
    AssertRow(1, "x");
}

static void TextScrolls(void **State)
{
    CHAR Line[16];
    UNREFERENCED_PARAMETER(State);

    StartGrid(10, 4);
    for (ULONG Index = 0; Index < 1000; Index++)
    {
        snprintf(Line, sizeof(Line), "%sline %u", Index != 0 ? "\n" : "", Index);
        PutLine(Line);
    }
    assert_true(KdpDrawGrid(&Grid, 0, Draw) <= 40);
    AssertRow(0, "line 996");
    AssertRow(3, "line 999");
    assert_int_equal(KdpDrawGrid(&Grid, 0, Draw), 0);
}

static void OnlyWhatDiffersIsDrawn(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartGrid(80, 25);
    assert_int_equal(KdpDrawGrid(&Grid, 0, Draw), 80 * 25);
    Runs = 0;
    PutLine("one two");
    assert_int_equal(KdpDrawGrid(&Grid, 0, Draw), 6); /* the blank is there already */
    assert_int_equal(Runs, 2);
    KdpMoveTo(&Grid, 0, 0);
    PutLine("one");
    assert_int_equal(KdpDrawGrid(&Grid, 0, Draw), 0);
    KdpMoveTo(&Grid, 24, 0);
    PutLine("x");
    Runs = 0;
    assert_int_equal(KdpDrawGrid(&Grid, 0, Draw), 1);
    assert_int_equal(Runs, 1);
    memset(Screen, 0, sizeof(Screen));
    KdpForgetDrawn(&Grid);
    assert_int_equal(KdpDrawGrid(&Grid, 0, Draw), 80 * 25);
}

static void TheCornerIsLeftAlone(void **State)
{
    UNREFERENCED_PARAMETER(State);

    StartGrid(10, 2);
    PutLine("0123456789abcdefghij");
    assert_int_equal(KdpDrawGrid(&Grid, 4, Draw), 16);
    for (ULONG Column = 6; Column < 10; Column++)
    {
        assert_int_equal(Screen[0][Column].Character, 0);
    }
    AssertRow(1, "abcdefghij");
    PutLine("\n");
    KdpDrawGrid(&Grid, 4, Draw);
    assert_int_equal(Screen[0][6].Character, 0);
    StartGrid(3, 2); /* no room for it */
    assert_int_equal(KdpDrawGrid(&Grid, 4, Draw), 6);
}

/* Any text on any size: the screen shows the shadow, whenever it is drawn. */
static void RandomTextIsShown(void **State)
{
    static const CHAR Alphabet[] = "abc \n\t\r\x80";
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 200; Round++)
    {
        StartGrid(1 + (ULONG)HostRandomBelow(40), 1 + (ULONG)HostRandomBelow(10));
        for (ULONG Piece = 0; Piece < 50; Piece++)
        {
            CHAR Text[64];
            SIZE_T Length = HostRandomBelow(sizeof(Text));

            for (SIZE_T Index = 0; Index < Length; Index++)
            {
                Text[Index] = Alphabet[HostRandomBelow(sizeof(Alphabet) - 1)];
            }
            KdpPutText(&Grid, (UCHAR)HostRandomBelow(128), Text, Length);
            if (HostRandomBelow(4) != 0)
            {
                continue;
            }
            KdpDrawGrid(&Grid, 0, Draw);
            for (ULONG Row = 0; Row < Grid.Rows; Row++)
            {
                assert_memory_equal(Screen[Row], Grid.Cells[(Grid.Top + Row) % Grid.Rows],
                                    Grid.Columns * sizeof(HALP_CELL));
            }
        }
    }
}

HOST_MAIN(cmocka_unit_test(EveryLayoutIsDrawn), cmocka_unit_test(WhiteIsAllBits),
          cmocka_unit_test(LargeScreensHaveLargeCharacters), cmocka_unit_test(FourKIsDrawn),
          cmocka_unit_test(TooSmallIsRefused), cmocka_unit_test(TextWraps),
          cmocka_unit_test(ControlCharactersMove), cmocka_unit_test(TextScrolls),
          cmocka_unit_test(OnlyWhatDiffersIsDrawn), cmocka_unit_test(TheCornerIsLeftAlone),
          cmocka_unit_test(RandomTextIsShown))
