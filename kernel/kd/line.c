/* SPDX-License-Identifier: MIT */
/* line.c - a line being typed: one character after the other, from a keyboard or a terminal. */
#include "kdp.h"

#define KEY_CONTROL_C 0x03
#define KEY_BELL 0x07
#define KEY_BACKSPACE 0x08
#define KEY_CONTROL_U 0x15
#define KEY_ESCAPE 0x1B
#define KEY_DELETE 0x7F

/* Passes over what a terminal sends for arrows and the like: ESC, or ESC [ parameters and a last
 * character from @ on. TRUE while it does. */
static BOOLEAN KdpSkipEscape(PKDP_LINE Line, CHAR Character)
{
    if (Line->Escape == 0)
    {
        Line->Escape = Character == KEY_ESCAPE;
        return Line->Escape != 0;
    }
    if (Line->Escape == 1)
    {
        Line->Escape = Character == '[' || Character == 'O' ? 2 : 0;
        return TRUE;
    }
    if (Character < ' ' || Character >= '@')
    {
        Line->Escape = 0;
    }
    return TRUE;
}

static VOID KdpErase(PKDP_LINE Line, ULONG Count, KDP_ECHO *Echo)
{
    for (; Count != 0 && Line->Length != 0; Count--)
    {
        Line->Length--;
        Echo("\b \b");
    }
}

BOOLEAN KdpEditLine(PKDP_LINE Line, CHAR Character, KDP_ECHO *Echo)
{
    CHAR Text[2] = {Character, '\0'};
    BOOLEAN Companion = Line->AfterReturn && Character == '\n';

    if (Line->AfterReturn)
    {
        Line->AfterReturn = FALSE;
    }
    if (Companion || KdpSkipEscape(Line, Character))
    {
        return FALSE;
    }
    switch (Character)
    {
    case '\r':
    case '\n':
        Line->AfterReturn = Character == '\r';
        Line->Text[Line->Length] = '\0';
        Echo("\n");
        return TRUE;
    case KEY_BACKSPACE:
    case KEY_DELETE:
        KdpErase(Line, 1, Echo);
        return FALSE;
    case KEY_CONTROL_U:
    case KEY_CONTROL_C:
        KdpErase(Line, Line->Length, Echo);
        return FALSE;
    default:
        break;
    }
    if (Character < ' ' || Character > '~')
    {
        return FALSE;
    }
    if (Line->Length == sizeof(Line->Text) - 1)
    {
        Text[0] = KEY_BELL;
    }
    else
    {
        Line->Text[Line->Length++] = Character;
    }
    Echo(Text);
    return FALSE;
}
