/* SPDX-License-Identifier: MIT */
/*
 * keep.h - the kept log: lines in memory that outlives a warm reset. keep.c is the format, which is
 * tested on the host; keptlog.c uses it. docs/keptlog.md.
 */
#pragma once

#include <ntdef.h>

/* ------------------------------------------------------------------ The format. A bank is a header
 * and slots, all of one size; the region has two, for this boot and for the one before. */
#define KI_KEEP_BANK_SIZE 0x20000u
#define KI_KEEP_SLOT_SIZE 256u
#define KI_KEEP_SLOTS (KI_KEEP_BANK_SIZE / KI_KEEP_SLOT_SIZE - 1)
#define KI_KEEP_TEXT_SIZE 228u

/* How a boot ended. What is not one of these words has not been written: it did not end. */
typedef enum _KI_KEEP_END
{
    KiKeepNotEnded,
    KiKeepPoweredOff,
    KiKeepRebooted,
    KiKeepHalted,
    KiKeepLeft, /* by the emulator's exit port */
    KiKeepBugCheck,
    KiKeepEnds
} KI_KEEP_END;

/* One line, copied out. Text is terminated and printable, whatever lay in memory. */
typedef struct _KI_KEEP_LINE
{
    ULONG64 Position;
    ULONG64 Time; /* 100 ns units since that boot's start */
    USHORT Processor;
    UCHAR Irql;
    UCHAR Level;
    CHAR Text[KI_KEEP_TEXT_SIZE];
} KI_KEEP_LINE, *PKI_KEEP_LINE;

typedef struct _KI_KEEP_INFO
{
    ULONG64 Generation; /* counts the boots that found the region valid */
    KI_KEEP_END End;
    ULONG Lines;   /* slots that are whole                          */
    ULONG Damaged; /* slots that are neither whole nor empty        */
    ULONG64 Next;  /* the position after the last line              */
} KI_KEEP_INFO, *PKI_KEEP_INFO;

/* Makes an empty bank. Whoever opens the log, alone. */
VOID KiKeepFormat(PVOID Bank, ULONG64 Generation, ULONG64 Salt);

/* What a bank of unknown contents holds. NULL and *Info; else a static sentence: KiKeepNothing if
 * there is no log at all (a cold start), any other if there is one that cannot be believed. */
extern const CHAR KiKeepNothing[];
PCSTR KiKeepExamine(const VOID *Bank, PKI_KEEP_INFO Info);

/* Copies a line in; Text is cut to what fits. Any IRQL, any number of writers. */
VOID KiKeepStore(PVOID Bank, ULONG64 Position, ULONG64 Time, ULONG Processor, UCHAR Irql,
                 UCHAR Level, PCSTR Text);

/* Copies the line of that position out; FALSE if it is not there or not whole. Any IRQL. */
BOOLEAN KiKeepRead(const VOID *Bank, ULONG64 Position, PKI_KEEP_LINE Line);

VOID KiKeepMarkEnd(PVOID Bank, KI_KEEP_END End);

/* ------------------------------------------------------------------ Its use (keptlog.c). */

/* Tells of the boot before, and begins to keep this one's lines: those logged so far, at once.
 * Region: KiLogFlush's and everybody's from here on. Boot processor, alone, once; not with keep=off
 * and without a region, when the other routines do nothing. */
VOID KiOpenKeptLog(PVOID Region);

/* One line of this boot. Any IRQL; also in a bug check. */
VOID KiKeepLine(ULONG64 Position, ULONG64 Time, ULONG Processor, UCHAR Irql, UCHAR Level,
                PCSTR Text);

/* How this boot ends: the last thing before it does. Any IRQL. */
VOID KiKeepEndOfBoot(KI_KEEP_END End);

/* This boot's bank, or the one before's; NULL without one. */
const VOID *KiKeptBank(BOOLEAN Previous);
