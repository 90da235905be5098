/* SPDX-License-Identifier: MIT */
/*
 * log.c - the log's ring: from every processor at every IRQL, from ISRs and DPCs, no line is lost
 * while there is room, lines of one origin stay in order and whole, and what finds no room is
 * counted. The lines go to this file's sink, which reads them back.
 */
#include <log.h>

#include <arch/hal.h>
#include <io.h>

#include "trapkit.h"

#define DEVICE_IRQL 8

/* Who writes lines of one sequence: on one processor an ISR may write between its thread's. */
typedef enum _ORIGIN
{
    FromThread,
    FromIsr,
    OriginCount
} ORIGIN;

typedef struct DECLSPEC_ALIGN(64) _WRITER
{
    ULONG Written[OriginCount]; /* by that origin only  */
    ULONG Read[OriginCount];    /* by the sink only     */
} WRITER, *PWRITER;

static WRITER Writers[MAXIMUM_PROCESSORS];
static BOOLEAN MayHaveGaps;
static volatile LONG64 LinesRead;

/* ---------------------------------------------------------- Lines and their reading. */

#define MARK "kt-log"

/* Each line says who wrote it, which of his it is, at which IRQL, and ends in what shows a cut. */
static VOID WriteLine(ORIGIN Origin)
{
    ULONG Processor = KeGetCurrentProcessorIndex();
    PULONG Written = &Writers[Processor].Written[Origin];

    KiLog(KiLogError, MARK " %u %u %u %u end", Processor, (ULONG)Origin, *Written,
          KeGetCurrentIrql());
    ++*Written;
}

/* The number at *Text, which moves behind it and the blank. */
static ULONG ReadNumber(PCSTR *Text)
{
    ULONG Number = 0;

    for (; **Text >= '0' && **Text <= '9'; ++*Text)
    {
        Number = Number * 10 + (ULONG)(**Text - '0');
    }
    *Text += **Text == ' ';
    return Number;
}

static VOID ReadLine(ULONG Processor, KIRQL Irql, PCSTR Text)
{
    PCSTR Rest = Text + sizeof(MARK);
    ULONG Writer, Origin, Sequence, Level;
    PULONG Read;

    if (strncmp(Text, MARK " ", sizeof(MARK)) != 0)
    {
        return; /* somebody else's */
    }
    Writer = ReadNumber(&Rest);
    Origin = ReadNumber(&Rest);
    Sequence = ReadNumber(&Rest);
    Level = ReadNumber(&Rest);
    KT_REQUIRE(Writer < KtProcessors() && Origin < OriginCount && strcmp(Rest, "end") == 0,
               "line '%s'", Text);
    KT_CHECK(Processor == Writer && Irql == Level, "'%s' is said to be from CPU %u, IRQL %u", Text,
             Processor, Irql);
    Read = &Writers[Writer].Read[Origin];
    KT_CHECK(MayHaveGaps ? Sequence >= *Read : Sequence == *Read, "'%s': line %u was next", Text,
             *Read);
    *Read = Sequence + 1;
    InterlockedIncrement64(&LinesRead);
}

static VOID StartReading(BOOLEAN Gaps)
{
    RtlZeroMemory(Writers, sizeof(Writers));
    MayHaveGaps = Gaps;
    LinesRead = 0;
    KiSetLogSink(ReadLine);
}

/* Returns how many lines were written. */
static ULONG64 StopReading(VOID)
{
    ULONG64 Written = 0;

    KiLogDrain();
    KiSetLogSink(NULL);
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        for (ULONG Origin = 0; Origin < OriginCount; Origin++)
        {
            Written += Writers[Processor].Written[Origin];
        }
    }
    return Written;
}

/* ---------------------------------------------------------- With room for all: nobody drains,
 * for all are at DISPATCH_LEVEL before the first line and until the last, and no thread runs. */

static ULONG IsrVector;
static volatile LONG StillWriting;
static volatile LONG Raised;

static BOOLEAN WriteFromIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    WriteLine(FromIsr);
    return TRUE;
}

/* Lines at every IRQL, each with an interrupt in the middle of them. */
static VOID WriteAtEveryLevel(ULONG Lines)
{
    volatile ULONG *FromInterrupts = &Writers[KeGetCurrentProcessorIndex()].Written[FromIsr];
    ULONG64 End = KtNow() + KT_SECONDS(20);

    for (ULONG Line = 0; Line < Lines; Line++)
    {
        KIRQL Level = (KIRQL)(DISPATCH_LEVEL + Line % (HIGH_LEVEL - DISPATCH_LEVEL + 1));
        KIRQL OldIrql;

        KeRaiseIrql(Level, &OldIrql);
        if (Line % 4 == 0)
        {
            HalpSendIpi(KeGetCurrentProcessorIndex(), IsrVector);
        }
        WriteLine(FromThread);
        KeLowerIrql(OldIrql);
    }
    while (*FromInterrupts == 0 && KtNow() < End)
    {
        YieldProcessor();
    }
}

static VOID WriteWithoutDraining(PVOID Context, ULONG Processor)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Processor);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    InterlockedIncrement(&Raised);
    KtWaitFor(&Raised, (LONG)KtProcessors(), KT_SECONDS(20));
    WriteAtEveryLevel(*(const ULONG *)Context);
    InterlockedDecrement(&StillWriting);
    while (ReadAcquire(&StillWriting) > 0 && !KtHasFailed())
    {
        YieldProcessor();
    }
    KeLowerIrql(OldIrql);
}

/* Writes from all processors at once; returns how many lines were. */
static ULONG64 WriteFromAll(ULONG LinesOfEach, BOOLEAN Gaps)
{
    PKINTERRUPT Interrupt;

    IsrVector = KtUnusedVector(DEVICE_IRQL, 0);
    Interrupt = KtConnect(IsrVector, DEVICE_IRQL, NULL, LevelSensitive, FALSE, WriteFromIsr, NULL);
    StillWriting = (LONG)KtProcessors();
    Raised = 0;
    StartReading(Gaps);
    KtParallel(WriteWithoutDraining, &LinesOfEach);
    IoDisconnectInterrupt(Interrupt);
    return StopReading();
}

static VOID NoneLostWithRoom(VOID)
{
    ULONG Lines = KI_LOG_CAPACITY / 2 / KtProcessors(); /* the interrupts write a quarter more */
    LONG LostBefore = KiQueryLostLines();
    ULONG64 Written = WriteFromAll(Lines, FALSE);

    KT_CHECK(KiQueryLostLines() == LostBefore, "%d lines lost", KiQueryLostLines() - LostBefore);
    KT_CHECK((ULONG64)LinesRead == Written, "%lld of %llu lines", LinesRead, Written);
    KT_CHECK(Written > Lines * KtProcessors(), "%llu lines: no interrupt wrote any", Written);
}

static VOID WhatFindsNoRoomIsCounted(VOID)
{
    ULONG Lines = KI_LOG_CAPACITY * 3 / KtProcessors();
    LONG LostBefore = KiQueryLostLines();
    ULONG64 Written = WriteFromAll(Lines, TRUE);
    LONG Lost = KiQueryLostLines() - LostBefore;

    KT_CHECK(LinesRead == KI_LOG_CAPACITY, "%lld lines, the ring holds %u", LinesRead,
             KI_LOG_CAPACITY);
    KT_CHECK((ULONG64)LinesRead + (ULONG64)Lost == Written, "%lld read, %d lost, %llu written",
             LinesRead, Lost, Written);
}

/* What no reader could take in time is lost and counted; all the rest comes out. */
static VOID FullRingIsDrained(VOID)
{
    LONG LostBefore = KiQueryLostLines();
    KIRQL OldIrql;
    LONG Lost;

    StartReading(TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG Line = 0; Line < 2 * KI_LOG_CAPACITY; Line++)
    {
        WriteLine(FromThread);
    }
    KeLowerIrql(OldIrql);
    KiLogFlush();
    Lost = KiQueryLostLines() - LostBefore;
    KT_CHECK(LinesRead >= KI_LOG_CAPACITY, "%lld lines put out", LinesRead);
    KT_CHECK(LinesRead + Lost == 2 * KI_LOG_CAPACITY, "%lld lines put out, %d lost", LinesRead,
             Lost);
    StopReading();
}

/* ---------------------------------------------------------- Written and drained at once. */

static VOID WriteAndDrain(PVOID Context, ULONG Processor)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    for (ULONG Round = 0; Round < 100 || (KtNow() < End && !KtHasFailed()); Round++)
    {
        KIRQL OldIrql;

        KeRaiseIrql((KIRQL)(KtRandom(&Random) % (HIGH_LEVEL + 1)), &OldIrql);
        WriteLine(FromThread);
        KeLowerIrql(OldIrql);
    }
}

static VOID DrainedMeanwhile(VOID)
{
    LONG LostBefore = KiQueryLostLines();
    ULONG64 Written;
    LONG Lost;

    StartReading(TRUE);
    KtParallel(WriteAndDrain, NULL);
    Written = StopReading();
    Lost = KiQueryLostLines() - LostBefore;
    KT_CHECK((ULONG64)LinesRead + (ULONG64)Lost == Written, "%lld read, %d lost, %llu written",
             LinesRead, Lost, Written);
    KT_CHECK(LinesRead > KI_LOG_CAPACITY / 10, "%lld lines", LinesRead);
    KtNote("%lld lines, %d of them lost", Written, Lost);
}

static const KT_CASE Cases[] = {
    {"log-none-lost-with-room", NoneLostWithRoom, 0, FALSE},
    {"log-overflow-is-counted", WhatFindsNoRoomIsCounted, 0, FALSE},
    {"log-full-ring-is-drained", FullRingIsDrained, 0, FALSE},
    {"log-drained-meanwhile", DrainedMeanwhile, 0, FALSE},
};

KT_DEFINE_SUITE(KtLogSuite, "ke", Cases);
