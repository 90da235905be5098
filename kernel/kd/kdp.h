/* SPDX-License-Identifier: MIT */
/*
 * kdp.h - the console's reader: from keys and serial characters to commands. scancode.c and line.c
 * keep no state of their own and are tested on the host. docs/keyboard.md.
 */
#pragma once

#include <ntdef.h>

/* ------------------------------------------------------------------ Keys (scancode.c). */

/* What is held down, and where in a sequence of bytes the keyboard is. All zero: nothing. */
typedef struct _KDP_KEYS
{
    BOOLEAN LeftShift, RightShift;
    BOOLEAN LeftControl, RightControl;
    BOOLEAN Caps;
    BOOLEAN Extended; /* E0 came                              */
    UCHAR Skip;       /* bytes of a sequence to pass over (E1) */
} KDP_KEYS, *PKDP_KEYS;

/* One byte of scan code set 1; the character that it means on a US keyboard, or 0. Enter is CR,
 * Backspace 8, Control with a letter 1 to 26. */
CHAR KdpDecodeKey(PKDP_KEYS Keys, UCHAR Byte);

/* ------------------------------------------------------------------ Lines (line.c). */

#define KDP_LINE_SIZE 80

/* A line being typed. All zero: an empty one. */
typedef struct _KDP_LINE
{
    ULONG Length;
    CHAR Text[KDP_LINE_SIZE];
    UCHAR Escape;        /* where in a terminal's escape sequence: 0, 1 after ESC, 2 after ESC [ */
    BOOLEAN AfterReturn; /* the last character was CR: a LF now is its companion                 */
} KDP_LINE, *PKDP_LINE;

/* Where the echo goes. */
typedef VOID KDP_ECHO(PCSTR Text);

/* Takes one character. TRUE if it ends the line: Text is terminated, and Length, which is its
 * length, is the caller's to set to 0 for a new one. Backspace and DEL erase, Control-U and
 * Control-C empty the line; a character too many rings the bell. */
BOOLEAN KdpEditLine(PKDP_LINE Line, CHAR Character, KDP_ECHO *Echo);

/* ------------------------------------------------------------------ Commands (commands.c). */

#define KDP_PROMPT "> "

/* printf to where the log goes, between its lines. PASSIVE_LEVEL. */
VOID KdpPrint(PCSTR Format, ...) __attribute__((format(printf, 1, 2)));

/* Runs what was typed. PASSIVE_LEVEL. */
VOID KdpRunCommand(PCSTR Line);

/* ------------------------------------------------------------------ The reader (reader.c). */

/* Starts the thread that looks for a keyboard and a serial port and reads both. PASSIVE_LEVEL,
 * once, after the devices. */
VOID KdpStartReader(VOID);
