/* SPDX-License-Identifier: MIT */
/*
 * log.c - the log: a lock-free ring that any code can write, put out at PASSIVE_LEVEL.
 *
 * PURPOSE
 *   A line may be logged from an ISR, under any lock, at any IRQL, without waiting; and it takes a
 *   UART 87 microseconds a character to say it. So saying it is somebody else's business, later.
 *   Should there be no later, the line lies in the kept log already (keep.c).
 *
 * HOW IT WORKS
 *   A ring of slots, each with a sequence number (D. Vyukov's bounded queue, one consumer). For the
 *   slot of position p, over the ring's length N:
 *       (p)          free for the writer that draws p     writer: compare-exchange of the head
 *       (p + 1)      written, for the reader              writer: store with release
 *       (p + N)      free for the writer of p + N         reader: store with release
 *   A writer that finds its slot not free yet counts the line as lost and goes on. The reader is
 *   whoever gets the drain flag: the log's own thread, which is woken by who logs at PASSIVE_LEVEL,
 *   else by the next tick or idle processor; before there are threads, who logs. In a bug check the
 *   one processor left reads the rest, steps over what a stopped writer left unfinished, and from
 *   then on writes straight to the port.
 *
 * LOCKS AND IRQL
 *   None, and any. From draw to store a writer is at DISPATCH_LEVEL at least, lest a slot wait for
 *   a preempted thread. Not from an NMI handler: it could interrupt a writer between draw and
 *   store, and the reader would then stop at that slot; KiNonMaskableInterrupt only counts.
 *
 * ORDERING
 *   The text is stored before the sequence (release) and read after it (acquire). pairs with: each
 *   other, in KiStoreLine and KiReadSlot.
 *
 * FURTHER READING
 *   docs/testing.md, "What the log says".
 */
#include "log.h"

#include <arch/hal.h>
#include <io.h>
#include <kd.h>
#include <mi.h>

#include "keep.h"
#include "scheduler.h"

#define LOG_SLOTS KI_LOG_CAPACITY /* a power of two */
#define LOG_TEXT_SIZE 168
#define LOG_LONGEST_TEXT 360 /* in a bug check, which does not go through the ring */

typedef struct DECLSPEC_ALIGN(64) _KI_LOG_SLOT
{
    volatile LONG64 Sequence;
    ULONG64 Time; /* 100 ns units since boot */
    USHORT Processor;
    UCHAR Irql;
    UCHAR Level;
    CHAR Text[LOG_TEXT_SIZE];
} KI_LOG_SLOT, *PKI_LOG_SLOT;

static KI_LOG_SLOT KiLogRing[LOG_SLOTS];
static volatile LONG64 KiLogHead;       /* next position to draw: any writer, compare-exchange */
static volatile LONG64 KiLogTail;       /* next position to read: holder of KiLogDraining */
static volatile LONG KiLogDraining;     /* compare-exchange; at PASSIVE_LEVEL or in a bug check */
static volatile LONG KiLogLost;         /* lines that found the ring full: any writer          */
static LONG KiLogLostReported;          /* the holder of KiLogDraining                         */
static BOOLEAN KiLogIsEmergency;        /* the processor that reports a bug check, alone        */
static LONG64 KiLogRingEnd;             /* it too: the first position that went past the ring   */
static KI_LOG_SINK *volatile KiLogSink; /* a test; NULL otherwise */

VOID KiInitializeLog(VOID)
{
    for (LONG64 Position = 0; Position < LOG_SLOTS; Position++)
    {
        KiLogRing[Position].Sequence = Position;
    }
}

/* Draws a position: NULL if the ring is full. */
static PKI_LOG_SLOT KiDrawSlot(LONG64 *Position)
{
    for (;;)
    {
        LONG64 Head = ReadAcquire64(&KiLogHead);
        PKI_LOG_SLOT Slot = &KiLogRing[Head % LOG_SLOTS];
        LONG64 Sequence = ReadAcquire64(&Slot->Sequence);

        if (Sequence < Head)
        {
            return NULL;
        }
        if (Sequence == Head && InterlockedCompareExchange64(&KiLogHead, Head + 1, Head) == Head)
        {
            *Position = Head;
            return Slot;
        }
    }
}

/* A whole line to the sinks that console= names. By the holder of KiLogDraining, or in a bug
 * check. */
static VOID KiPutOut(KI_LOG_LEVEL Level, PCSTR Line, SIZE_T Length, SIZE_T PrefixLength)
{
    if (KiOptions.Console & KI_CONSOLE_SERIAL)
    {
        HalpSerialWrite(0, Line, Length);
    }
    KdpPutLine(Level, Line, Length, PrefixLength);
}

/* What KiLogRaw was given goes out as it is; a line that comes when it has not ended yet begins on
 * a new one. The holder of KiLogDraining. */
static BOOLEAN KiLogMidLine;

static VOID KiPutRaw(PCSTR Text)
{
    SIZE_T Length = strlen(Text);

    if (Length != 0)
    {
        if (KiOptions.Console & KI_CONSOLE_SERIAL)
        {
            HalpSerialWrite(0, Text, Length);
        }
        KdpPutRaw(Text, Length);
        KiLogMidLine = Text[Length - 1] != '\n';
    }
}

/* One line, from where and when it was logged. */
static VOID KiPutLine(ULONG64 Time, ULONG Processor, KIRQL Irql, KI_LOG_LEVEL Level, PCSTR Text)
{
    static const CHAR Marks[] = {'!', '?', ' ', '.'};
    CHAR Line[LOG_LONGEST_TEXT + 48];
    SIZE_T Length, PrefixLength;

    if (Level == KiLogUnformatted)
    {
        KiPutRaw(Text);
        return;
    }
    if (KiLogMidLine)
    {
        KiPutRaw("\n");
    }
    RtlStringCbPrintfA(Line, sizeof(Line), "%5llu.%06llu %2u/%x%c ", Time / 10000000,
                       Time / 10 % 1000000, Processor, Irql, Marks[Level]);
    PrefixLength = strlen(Line);
    RtlStringCbPrintfA(Line + PrefixLength, sizeof(Line) - PrefixLength, "%s\n", Text);
    Length = strlen(Line);
    if (Line[Length - 1] == '\n' && Length >= 2 && Line[Length - 2] == '\n')
    {
        Length--; /* DbgPrint's callers end their lines themselves */
    }
    KiPutOut(Level, Line, Length, PrefixLength);
}

/* In a bug check: nobody else runs, and a line may be longer than a slot. */
static VOID KiPutAtOnce(KI_LOG_LEVEL Level, PCSTR Format, va_list Arguments)
{
    CHAR Text[LOG_LONGEST_TEXT];
    ULONG64 Time = KeQueryInterruptTime();
    ULONG Processor = KeGetCurrentProcessorIndex();

    RtlStringCbVPrintfA(Text, sizeof(Text), Format, Arguments);
    KiKeepLine((ULONG64)KiLogHead, Time, Processor, KeGetCurrentIrql(), (UCHAR)Level, Text);
    KiLogTail = ++KiLogHead; /* positions go on, for the kept lines */
    KiPutLine(Time, Processor, KeGetCurrentIrql(), Level, Text);
}

/* What is written for the reader is kept too. */
static VOID KiKeepSlotText(const KI_LOG_SLOT *Slot, LONG64 Position)
{
    if (Slot->Level != KiLogUnformatted)
    {
        KiKeepLine((ULONG64)Position, Slot->Time, Slot->Processor, Slot->Irql, Slot->Level,
                   Slot->Text);
    }
}

LONG64 KiLogPosition(VOID)
{
    return ReadAcquire64(&KiLogHead); /* pairs with: KiDrawSlot */
}

VOID KiKeepEarlierLines(LONG64 End)
{
    for (LONG64 Position = 0; Position < End && Position < LOG_SLOTS; Position++)
    {
        KiKeepSlotText(&KiLogRing[Position], Position);
    }
}

/* Into the ring, or among the lost. Irql: the caller's. */
static VOID KiStoreLine(KI_LOG_LEVEL Level, KIRQL Irql, PCSTR Format, va_list Arguments)
{
    LONG64 Position;
    PKI_LOG_SLOT Slot = KiDrawSlot(&Position);

    if (Slot == NULL)
    {
        InterlockedIncrement(&KiLogLost);
        return;
    }
    Slot->Time = KeQueryInterruptTime();
    Slot->Processor = (USHORT)KeGetCurrentProcessorIndex();
    Slot->Irql = Irql;
    Slot->Level = (UCHAR)Level;
    RtlStringCbVPrintfA(Slot->Text, sizeof(Slot->Text), Format, Arguments);
    KiKeepSlotText(Slot, Position);
    WriteRelease64(&Slot->Sequence, Position + 1); /* pairs with: KiReadSlot */
}

VOID KiLogV(KI_LOG_LEVEL Level, PCSTR Format, va_list Arguments)
{
    KIRQL OldIrql;

    if ((ULONG)Level > KiOptions.LogLevel && Level != KiLogUnformatted)
    {
        return;
    }
    if (KiLogIsEmergency)
    {
        KiPutAtOnce(Level, Format, Arguments);
        return;
    }
    OldIrql = KeGetCurrentIrql();
    if (OldIrql < DISPATCH_LEVEL)
    {
        __writecr8(DISPATCH_LEVEL);
    }
    KiStoreLine(Level, OldIrql, Format, Arguments);
    KiLowerIrql(OldIrql);
    if (OldIrql == PASSIVE_LEVEL && (__readeflags() & EFLAGS_IF))
    {
        KiLogKick();
    }
}

VOID KiLog(KI_LOG_LEVEL Level, PCSTR Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    KiLogV(Level, Format, Arguments);
    va_end(Arguments);
}

VOID KiLogRaw(PCSTR Text)
{
    for (SIZE_T Length = strlen(Text); Length != 0;)
    {
        SIZE_T Part = Length < LOG_TEXT_SIZE - 1 ? Length : LOG_TEXT_SIZE - 1;

        KiLog(KiLogUnformatted, "%.*s", (int)Part, Text);
        Text += Part;
        Length -= Part;
    }
}

static VOID KiPutSlot(PKI_LOG_SLOT Slot)
{
    KI_LOG_SINK *Sink = ReadPointerAcquire(&KiLogSink);

    if (Sink != NULL && !KiLogIsEmergency)
    {
        Sink(Slot->Processor, Slot->Irql, Slot->Text);
        return;
    }
    KiPutLine(Slot->Time, Slot->Processor, Slot->Irql, (KI_LOG_LEVEL)Slot->Level, Slot->Text);
}

/* Puts out one line; FALSE if there is none. By the holder of KiLogDraining. */
static BOOLEAN KiReadSlot(VOID)
{
    PKI_LOG_SLOT Slot = &KiLogRing[KiLogTail % LOG_SLOTS];

    if (ReadAcquire64(&Slot->Sequence) != KiLogTail + 1) /* pairs with: KiStoreLine */
    {
        return FALSE;
    }
    KiPutSlot(Slot);
    WriteRelease64(&Slot->Sequence, KiLogTail + LOG_SLOTS); /* pairs with: KiDrawSlot */
    KiLogTail++;
    return TRUE;
}

static VOID KiReportLost(VOID)
{
    LONG Lost = ReadNoFence(&KiLogLost);
    CHAR Line[64];

    if (Lost != KiLogLostReported)
    {
        RtlStringCbPrintfA(Line, sizeof(Line), "log: %d lines lost, the ring was full\n",
                           Lost - KiLogLostReported);
        KiPutOut(KiLogWarning, Line, strlen(Line), 0);
        KiLogLostReported = Lost;
    }
}

BOOLEAN KiLogIsWaiting(VOID)
{
    LONG64 Tail = ReadNoFence64(&KiLogTail);

    return !ReadAcquire(&KiLogDraining) &&
           ReadAcquire64(&KiLogRing[Tail % LOG_SLOTS].Sequence) == Tail + 1;
}

/* Gives the flag up before the last look, so a line stored meanwhile is seen by one side. */
VOID KiLogDrain(VOID)
{
    while (KiLogIsWaiting())
    {
        if (InterlockedCompareExchange(&KiLogDraining, TRUE, FALSE) != FALSE)
        {
            return;
        }
        while (KiReadSlot())
        {
        }
        KiReportLost();
        KdpFlushScreen();
        InterlockedExchange(&KiLogDraining, FALSE);
    }
}

BOOLEAN KiLogIsDraining(VOID)
{
    return ReadAcquire(&KiLogDraining) != FALSE; /* pairs with: KiLogDrain */
}

/* ------------------------------------------------------------------ The log's thread. Real time,
 * so that no boosted thread keeps a report from being seen. */

#define LOG_PRIORITY LOW_REALTIME_PRIORITY

static KEVENT KiLogEvent;            /* there is a line */
static KDPC KiLogDpc;                /* sets it for those above DISPATCH_LEVEL */
static volatile LONG KiLogHasWriter; /* once, by KiStartLogWriter */

VOID KiLogKick(VOID)
{
    if (!ReadAcquire(&KiLogHasWriter)) /* pairs with: KiStartLogWriter */
    {
        if (KeGetCurrentIrql() == PASSIVE_LEVEL)
        {
            KiLogDrain();
        }
    }
    else if (KeGetCurrentIrql() > DISPATCH_LEVEL)
    {
        KeInsertQueueDpc(&KiLogDpc, NULL, NULL);
    }
    else
    {
        KeMemoryBarrier(); /* the line, then the event. pairs with: KiLogWriter's wait */
        if (KeReadStateEvent(&KiLogEvent) == 0)
        {
            KeSetEvent(&KiLogEvent, IO_NO_INCREMENT, FALSE);
        }
    }
}

static VOID KiLogKickDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KiLogKick();
}

static VOID KiLogWriter(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (;;)
    {
        KeWaitForSingleObject(&KiLogEvent, Executive, KernelMode, FALSE, NULL);
        KiLogDrain();
    }
}

VOID KiStartLogWriter(VOID)
{
    static KTHREAD Writer;

    KeInitializeEvent(&KiLogEvent, SynchronizationEvent, FALSE);
    KeInitializeDpc(&KiLogDpc, KiLogKickDpc, NULL);
    if (!KiRunThread(&Writer, "log", KiLogWriter, LOG_PRIORITY))
    {
        KiLog(KiLogWarning, "log: no memory for its thread; lines wait for an idle moment");
        return;
    }
    WriteRelease(&KiLogHasWriter, TRUE); /* pairs with: KiLogKick */
}

VOID KiLogFlush(VOID)
{
    LONG64 Head = ReadAcquire64(&KiLogHead);

    while (ReadAcquire64(&KiLogTail) < Head)
    {
        KiLogKick();
        if (!KiYieldThread())
        {
            YieldProcessor();
        }
    }
}

VOID KiSetLogSink(KI_LOG_SINK *Sink)
{
    do
    {
        KiLogFlush();
    } while (ReadAcquire(&KiLogDraining) || KiLogIsWaiting());
    WritePointerRelease(&KiLogSink, Sink);
}

LONG KiQueryLostLines(VOID)
{
    return ReadAcquire(&KiLogLost);
}

/* Every other processor has been stopped wherever it was: perhaps between drawing a slot and
 * finishing it, perhaps while draining. One that did not stop may still count the tail up, even
 * past the end; what it puts out meanwhile is out. */
VOID KiLogEmergency(VOID)
{
    ULONG Unfinished = 0;

    KiLogRingEnd = ReadAcquire64(&KiLogHead); /* pairs with: KiDrawSlot */
    KiLogIsEmergency = TRUE;
    while (KiLogTail < KiLogRingEnd)
    {
        if (!KiReadSlot())
        {
            KiLogTail++;
            Unfinished++;
        }
    }
    if (Unfinished != 0)
    {
        KiLog(KiLogError, "log: %u lines were being written when their CPUs stopped", Unfinished);
    }
}

PCSTR KiOldLine(ULONG Back)
{
    LONG64 Position = KiLogRingEnd - 1 - (LONG64)Back;
    PKI_LOG_SLOT Slot;

    if (Position < 0 || Back >= LOG_SLOTS)
    {
        return NULL;
    }
    Slot = &KiLogRing[Position % LOG_SLOTS];
    return Slot->Sequence == Position + LOG_SLOTS ? Slot->Text : "(this line was being written)";
}

ULONG DbgPrint(PCSTR Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    KiLogV(KiLogInfo, Format, Arguments);
    va_end(Arguments);
    return STATUS_SUCCESS;
}

ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
{
    static const KI_LOG_LEVEL Levels[] = {KiLogError, KiLogWarning, KiLogTrace, KiLogInfo};
    va_list Arguments;

    UNREFERENCED_PARAMETER(ComponentId);
    va_start(Arguments, Format);
    KiLogV(Levels[Level & 3], Format, Arguments);
    va_end(Arguments);
    return STATUS_SUCCESS;
}
