/* SPDX-License-Identifier: MIT */
/*
 * scancode.c - from scan codes of set 1 to characters, as a US keyboard has them.
 *
 * A key is its number, on release with bit 7 set. E0 begins a key that the first keyboards did not
 * have; a shift after E0 is no shift but frames such a key. E1 begins Pause, three bytes twice.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards", scan code set 1.
 */
#include "kdp.h"

#define CODE_EXTENDED 0xE0
#define CODE_PAUSE 0xE1
#define CODE_RELEASED 0x80
#define CODE_OVERRUN 0x00
#define CODE_ERROR 0xFF

#define KEY_CONTROL 0x1D
#define KEY_LEFT_SHIFT 0x2A
#define KEY_RIGHT_SHIFT 0x36
#define KEY_CAPS 0x3A
#define KEY_ENTER 0x1C
#define KEY_SLASH 0x35

/* By key number: backspace, tab and return among them; 0 for keys that mean no character. */
static const CHAR KdpPlain[] = "\0\0"
                               "1234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const CHAR KdpShifted[] = "\0\0"
                                 "!@#$%^&*()_+\b\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

C_ASSERT(sizeof(KdpPlain) == sizeof(KdpShifted) && sizeof(KdpPlain) == 0x3A + 1);

static BOOLEAN KdpIsLetter(CHAR Character)
{
    return Character >= 'a' && Character <= 'z';
}

static CHAR KdpPressed(const KDP_KEYS *Keys, UCHAR Key)
{
    BOOLEAN Shift = Keys->LeftShift || Keys->RightShift;
    CHAR Plain;

    if (Key >= sizeof(KdpPlain) - 1)
    {
        return 0;
    }
    Plain = KdpPlain[Key];
    if (Keys->LeftControl || Keys->RightControl)
    {
        return KdpIsLetter(Plain) ? (CHAR)(Plain - 'a' + 1) : 0;
    }
    if (Keys->Caps && KdpIsLetter(Plain))
    {
        Shift = !Shift;
    }
    return Shift ? KdpShifted[Key] : Plain;
}

/* A key that follows E0. */
static CHAR KdpExtendedKey(PKDP_KEYS Keys, UCHAR Key, BOOLEAN Pressed)
{
    if (Key == KEY_CONTROL)
    {
        Keys->RightControl = Pressed;
    }
    return !Pressed ? 0 : Key == KEY_ENTER ? '\r' : Key == KEY_SLASH ? '/' : 0;
}

CHAR KdpDecodeKey(PKDP_KEYS Keys, UCHAR Byte)
{
    UCHAR Key = Byte & (UCHAR)~CODE_RELEASED;
    BOOLEAN Pressed = !(Byte & CODE_RELEASED);
    BOOLEAN Caps = Keys->Caps;

    if (Keys->Skip != 0)
    {
        Keys->Skip--;
        return 0;
    }
    switch (Byte)
    {
    case CODE_EXTENDED:
        Keys->Extended = TRUE;
        return 0;
    case CODE_PAUSE:
        Keys->Skip = 2;
        return 0;
    case CODE_OVERRUN: /* keys were lost, releases perhaps among them: none is held */
    case CODE_ERROR:
        *Keys = (KDP_KEYS){.Caps = Caps};
        return 0;
    default:
        break;
    }
    if (Keys->Extended)
    {
        Keys->Extended = FALSE;
        return KdpExtendedKey(Keys, Key, Pressed);
    }
    switch (Key)
    {
    case KEY_LEFT_SHIFT:
        Keys->LeftShift = Pressed;
        return 0;
    case KEY_RIGHT_SHIFT:
        Keys->RightShift = Pressed;
        return 0;
    case KEY_CONTROL:
        Keys->LeftControl = Pressed;
        return 0;
    case KEY_CAPS:
        Keys->Caps ^= Pressed;
        return 0;
    default:
        return Pressed ? KdpPressed(Keys, Key) : 0;
    }
}
