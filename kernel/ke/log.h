/* SPDX-License-Identifier: MIT */
/* log.h - the log's less public side. */
#pragma once

#include "ki.h"

/* Makes the ring usable; before the first line. */
VOID KiInitializeLog(VOID);

/* Creates the thread that puts lines out from then on. PASSIVE_LEVEL. */
VOID KiStartLogWriter(VOID);

VOID KiLogV(KI_LOG_LEVEL Level, PCSTR Format, va_list Arguments);

/* How many lines the ring holds. */
#define KI_LOG_CAPACITY 1024u

/* Text as it is, between the log's lines: for a console. It is not kept. Any IRQL. */
VOID KiLogRaw(PCSTR Text);

/* The position that the next line will get. */
LONG64 KiLogPosition(VOID);

/* Gives the kept log the lines before position End, of those that the ring still has from the
 * start: early in the boot, all. Boot processor, alone. */
VOID KiKeepEarlierLines(LONG64 End);

/* For the tests: while there is a sink, lines go to it and not to the serial port; on the processor
 * that drains, one at a time. Set at PASSIVE_LEVEL while nobody logs. */
typedef VOID KI_LOG_SINK(ULONG Processor, KIRQL Irql, PCSTR Text);
VOID KiSetLogSink(KI_LOG_SINK *Sink);

/* The text of the line that was logged Back lines before the ring's last one, or that it was not
 * finished; NULL if there is none. In a bug check, after KiLogEmergency: what the report itself
 * logs does not count. */
PCSTR KiOldLine(ULONG Back);

/* Whether somebody is putting lines out, or was when he was stopped. Any IRQL. */
BOOLEAN KiLogIsDraining(VOID);

/* Lines that found the ring full, since the start. Any IRQL. */
LONG KiQueryLostLines(VOID);
