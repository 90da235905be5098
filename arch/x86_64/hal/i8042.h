/* SPDX-License-Identifier: MIT */
/*
 * i8042.h - the keyboard controller's protocol, apart from how its two ports are reached, so that
 * the host's tests can stand in for the controller.
 */
#pragma once

#include <ntdef.h>

#define I8042_DATA 0x60
#define I8042_STATUS 0x64 /* read; written, it is the command port */

#define I8042_OUTPUT_FULL 0x01 /* a byte for us          */
#define I8042_INPUT_FULL 0x02  /* one of ours is not read */
#define I8042_FROM_AUX 0x20    /* the byte is the mouse's */

typedef struct _HALP_I8042
{
    BOOLEAN Present;  /* the controller passed its self-test             */
    BOOLEAN Keyboard; /* ... and a keyboard its own                      */
    PCSTR Problem;    /* a static sentence about what is not there; NULL */
    UCHAR Settings;   /* the command byte, interrupt off                 */
} HALP_I8042, *PHALP_I8042;

/* Tests controller and keyboard and leaves them quiet: interrupts off, the second port off, scan
 * codes translated to set 1. Takes 4 s at most, a millisecond if all is well. */
VOID HalpI8042Start(PHALP_I8042 Controller);

/* Drops what has come and switches the keyboard's interrupt on. FALSE: it took no command. */
BOOLEAN HalpI8042Enable(PHALP_I8042 Controller);

/* The next byte of the keyboard; FALSE if there is none. Drops what is the mouse's. */
BOOLEAN HalpI8042Read(PUCHAR Byte);

/* What the protocol stands on: the two ports, and waiting for a moment; the caller counts how often
 * it has waited already for one thing. */
UCHAR HalpI8042In(USHORT Port);
VOID HalpI8042Out(USHORT Port, UCHAR Value);
VOID HalpI8042Pause(ULONG Waited);

/* Pauses for one answer at most: of the controller; of a keyboard; of its self-test. */
#define I8042_QUICK_PAUSES 250u
#define I8042_SLOW_PAUSES 1000u
