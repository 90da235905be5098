/* SPDX-License-Identifier: MIT */
/*
 * interruptline.c - a real line: each edge is seen once, on the processor the line is routed to;
 * a line that stays up and that nobody claims is masked and tried again; and IOAPIC registers are
 * not mixed up between processors. Laws L38, L40; regression R-j.
 *
 * The device is channel 0 of the PIT, which the kernel leaves alone, on the line of ISA interrupt
 * 0. In mode 0 its output falls when a count is written, rises when the count is over, and stays
 * up: one edge a count, and a level for as long as anybody wants. Source: Intel 8254 datasheet.
 */
#include "trapkit.h"

#include <ex.h>
#include <io.h>

#define PIT_CHANNEL0 0x40
#define PIT_COMMAND 0x43
#define PIT_CHANNEL0_MODE0 0x30 /* low byte, then high byte */
#define PIT_LATCH_CHANNEL0 0x00
#define PIT_STATUS_CHANNEL0 0xE2 /* read-back: the status, not the count */
#define PIT_STATUS_OUT 0x80
#define PIT_SOON 100                       /* counts of 0.84 us */
#define PIT_LONGEST 0                      /* 65,536 of them: 55 ms */
#define PIT_QUIET_TIME KT_MILLISECONDS(40) /* quiet for at least that long after PIT_LONGEST */

#define LINE_IRQL 8
#define ARRIVAL_LIMIT KT_SECONDS(10)

/* ------------------------------------------------------------------ The device. */

static VOID StartCount(USHORT Counts)
{
    BOOLEAN Enabled = ArchDisableInterrupts(); /* the two bytes belong together */

    __outbyte(PIT_COMMAND, PIT_CHANNEL0_MODE0);
    __outbyte(PIT_CHANNEL0, (UCHAR)Counts);
    __outbyte(PIT_CHANNEL0, (UCHAR)(Counts >> 8));
    ArchRestoreInterrupts(Enabled);
}

static USHORT ReadCount(VOID)
{
    USHORT Count;

    __outbyte(PIT_COMMAND, PIT_LATCH_CHANNEL0);
    Count = __inbyte(PIT_CHANNEL0);
    return (USHORT)(Count | __inbyte(PIT_CHANNEL0) << 8);
}

/* The device's interrupt status: its line is up. */
static BOOLEAN LineIsUp(VOID)
{
    __outbyte(PIT_COMMAND, PIT_STATUS_CHANNEL0);
    return (__inbyte(PIT_CHANNEL0) & PIT_STATUS_OUT) != 0;
}

/* Without a PIT the ports read as ones. */
static BOOLEAN PitCounts(VOID)
{
    USHORT First;

    StartCount(PIT_LONGEST);
    KeStallExecutionProcessor(50);
    First = ReadCount();
    KeStallExecutionProcessor(200);
    return ReadCount() != First;
}

/* The line, its vector, and the ISR's side of it. */
typedef struct _PIT_LINE
{
    HALP_LINE Line;
    ULONG Vector;
    PKINTERRUPT Interrupt;
    BOOLEAN Claims;
    BOOLEAN Restarts;         /* the ISR starts the next count itself            */
    BOOLEAN Armed;            /* a count was started and has not been seen; lock */
    volatile LONG Calls;      /* of the ISR                                      */
    volatile LONG Seen;       /* counts that the ISR has seen                    */
    volatile LONG Late;       /* times that the line rose after PIT_LONGEST      */
    volatile ULONG SeenOn;    /* processor                                       */
    volatile ULONG64 Quieted; /* when the ISR lowered the line                   */
    volatile LONG SeenBy[MAXIMUM_PROCESSORS];
} PIT_LINE, *PPIT_LINE;

static PIT_LINE Pit;

/* The line is down from here on: by a new count, or for long. The interrupt's lock is held. */
static VOID Quieten(VOID)
{
    Pit.Armed = Pit.Restarts;
    StartCount(Pit.Restarts ? PIT_SOON : PIT_LONGEST);
    Pit.Quieted = KtNow();
}

/* Level: the line must be lowered. Latched: it may stay up, and a second pass finds nothing. */
static BOOLEAN PitIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    BOOLEAN Level = Pit.Line.Mode == LevelSensitive;

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Pit.Calls);
    if (!Pit.Claims || !LineIsUp() || (!Pit.Armed && !Level))
    {
        return FALSE;
    }
    Pit.SeenOn = KeGetCurrentProcessorIndex();
    Pit.SeenBy[Pit.SeenOn]++;
    if (!Pit.Armed)
    {
        KT_CHECK(KtNow() - Pit.Quieted >= PIT_QUIET_TIME, "interrupted %llu us after quieting",
                 (KtNow() - Pit.Quieted) / 10);
        Pit.Late++;
    }
    else
    {
        Pit.Armed = FALSE;
        InterlockedIncrement(&Pit.Seen);
    }
    if (Level || Pit.Restarts)
    {
        Quieten();
    }
    return TRUE;
}

static BOOLEAN Arm(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    Pit.Armed = TRUE;
    StartCount(PIT_SOON);
    return TRUE;
}

/* FALSE, and the case is skipped, if there is no PIT or no line. */
static BOOLEAN ConnectPit(KINTERRUPT_MODE Mode, BOOLEAN Claims)
{
    RtlZeroMemory(&Pit, sizeof(Pit));
    Pit.Line = HalpIsaLine(0);
    if (!HalpLineExists(Pit.Line.Gsi) || !PitCounts())
    {
        KtSkip("no PIT, or no IOAPIC");
        return FALSE;
    }
    Pit.Vector = HalpAssignVector(&Pit.Line, LINE_IRQL);
    Pit.Line.Mode = Mode;
    Pit.Claims = Claims;
    Pit.Interrupt = KtConnect(Pit.Vector, VECTOR_IRQL(Pit.Vector), NULL, Mode, FALSE, PitIsr, NULL);
    return Pit.Interrupt != NULL;
}

static ULONG64 InterruptsOf(ULONG Vector)
{
    KI_VECTOR_STATISTICS Statistics;

    KiQueryVector(Vector, &Statistics);
    return Statistics.Interrupts;
}

/* ------------------------------------------------------------------ L40: n raised, n seen, each on
 * the processor that the line was routed to. */

#define ROUNDS 48

static VOID RaiseAndSee(KINTERRUPT_MODE Mode)
{
    ULONG64 Interrupts;

    if (!ConnectPit(Mode, TRUE))
    {
        return;
    }
    Interrupts = InterruptsOf(Pit.Vector);
    for (LONG Round = 0; Round < ROUNDS && !KtHasFailed(); Round++)
    {
        ULONG Target = (ULONG)Round % KeQueryActiveProcessorCountEx(0);
        NTSTATUS Status = KiRetargetInterrupt(Pit.Interrupt, Target);

        KT_CHECK(NT_SUCCESS(Status), "to CPU %u: status %x", Target, Status);
        KeSynchronizeExecution(Pit.Interrupt, Arm, NULL);
        KT_CHECK(KtWaitFor(&Pit.Seen, Round + 1, ARRIVAL_LIMIT), "interrupt %d for CPU %u is lost",
                 Round, Target);
        KT_CHECK(Pit.SeenOn == Target, "for CPU %u, came to %u", Target, Pit.SeenOn);
        KeFlushQueuedDpcs(); /* until the chain's last pass is over: it may claim the next one */
    }
    IoDisconnectInterrupt(Pit.Interrupt);
    Interrupts = InterruptsOf(Pit.Vector) - Interrupts;
    KT_CHECK(Pit.Seen == ROUNDS && Interrupts == (ULONG64)(Pit.Seen + Pit.Late),
             "%u raised, %d seen, %d late, %llu interrupts", ROUNDS, Pit.Seen, Pit.Late,
             Interrupts);
}

static VOID EdgesAreSeen(VOID)
{
    RaiseAndSee(Latched);
}

static VOID LevelsAreSeen(VOID)
{
    RaiseAndSee(LevelSensitive);
}

static VOID WrongTargetRefused(VOID)
{
    NTSTATUS Status;

    if (ConnectPit(Latched, TRUE))
    {
        Status = KiRetargetInterrupt(Pit.Interrupt, KeQueryActiveProcessorCountEx(0));
        KT_CHECK(Status == STATUS_INVALID_PARAMETER, "status %x", Status);
        IoDisconnectInterrupt(Pit.Interrupt);
    }
}

/* ------------------------------------------------------------------ The same under way: each ISR
 * starts the next count, so one edge lost is the last one. Meanwhile the line goes round. */

static VOID MoveAround(VOID)
{
    ULONG64 End = KtNow() + KtBudget();
    ULONG Moves = 0;

    do
    {
        KiRetargetInterrupt(Pit.Interrupt, Moves % KeQueryActiveProcessorCountEx(0));
        if (Moves++ % 16 == 0)
        {
            LONG Seen = Pit.Seen;

            KT_CHECK(KtWaitFor(&Pit.Seen, Seen + 1, ARRIVAL_LIMIT), "an edge is lost, move %u",
                     Moves);
        }
    } while (KtNow() < End && !KtHasFailed());
    KtNote("%u moves, %d interrupts", Moves, Pit.Seen);
}

static BOOLEAN StopRestarting(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    Pit.Restarts = FALSE;
    return TRUE;
}

static VOID MovedUnderWay(VOID)
{
    if (!ConnectPit(Latched, TRUE))
    {
        return;
    }
    Pit.Restarts = TRUE;
    KeSynchronizeExecution(Pit.Interrupt, Arm, NULL);
    MoveAround();
    KeSynchronizeExecution(Pit.Interrupt, StopRestarting, NULL);
    IoDisconnectInterrupt(Pit.Interrupt);
}

/* ------------------------------------------------------------------ L38: a line that stays up. */

#define REPEAT_US 5000

/* Waits for that many storms, ever; the time at which the last one was there. */
static ULONG64 AwaitStorm(ULONG Storms)
{
    ULONG64 End = KtNow() + ARRIVAL_LIMIT;
    KI_VECTOR_STATISTICS Statistics;

    do
    {
        KiQueryVector(Pit.Vector, &Statistics);
        YieldProcessor();
    } while (Statistics.Storms != Storms && KtNow() < End);
    KT_CHECK(Statistics.Storms == Storms && Statistics.Masked, "%u storms of %u, masked %u",
             Statistics.Storms, Storms, Statistics.Masked);
    return KtNow();
}

static VOID CheckSilent(VOID)
{
    LONG Calls;

    KeStallExecutionProcessor(50);
    Calls = Pit.Calls;
    KeStallExecutionProcessor(2000);
    KT_CHECK(Pit.Calls == Calls, "%d calls while masked", Pit.Calls - Calls);
}

static BOOLEAN StartClaiming(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    Pit.Claims = TRUE;
    return TRUE;
}

/* Masked, silent, tried again after the back-off, masked for twice as long; and when somebody
 * claims at last, all is well. */
static VOID TakeStorms(ULONG Before)
{
    ULONG64 First = AwaitStorm(Before + 1), Second;

    CheckSilent();
    Second = AwaitStorm(Before + 2);
    CheckSilent();
    KeSynchronizeExecution(Pit.Interrupt, StartClaiming, NULL);
    KT_CHECK(KtWaitFor(&Pit.Seen, 1, ARRIVAL_LIMIT), "the line stays masked for ever");
    KT_CHECK(Second - First >= KI_STORM_BACKOFF * 8 / 10 &&
                 KtNow() - Second >= KI_STORM_BACKOFF * 18 / 10,
             "tried again after %llu and %llu ms", (Second - First) / 10000,
             (KtNow() - Second) / 10000);
    KtNote("%d calls that nobody claimed, back-off %llu and %llu ms", Pit.Calls - Pit.Seen,
           (Second - First) / 10000, (KtNow() - Second) / 10000);
}

#define RTE_MASKED 0x10000u

/* An IOAPIC sends a level again at the EOI while the line is up; Bochs's looks only at its next
 * change. FALSE only if the kernel has done its part: the line is unmasked, nothing in service. */
static BOOLEAN LevelComesAgain(VOID)
{
    KT_CHECK(KtWaitFor(&Pit.Calls, 1, ARRIVAL_LIMIT), "the line never interrupted");
    KeStallExecutionProcessor(REPEAT_US);
    return Pit.Calls != 1 || KtCountInService() != 0 || !LineIsUp() ||
           (HalpReadLine(Pit.Line.Gsi) & RTE_MASKED) != 0;
}

static VOID StormIsMasked(VOID)
{
    KI_VECTOR_STATISTICS Before;

    if (!ConnectPit(LevelSensitive, FALSE))
    {
        return;
    }
    KiQueryVector(Pit.Vector, &Before);
    KeSynchronizeExecution(Pit.Interrupt, Arm, NULL);
    if (LevelComesAgain())
    {
        TakeStorms(Before.Storms);
    }
    else
    {
        KtSkip("this IOAPIC does not repeat a level that stays up");
    }
    IoDisconnectInterrupt(Pit.Interrupt);
}

/* ------------------------------------------------------------------ R-j: each of some processors
 * has a line of its own and does what it likes to it; each entry holds what its owner wrote. */

#define RTE_DELIVERY_STATUS 0x1000u
#define NOBODYS_VECTOR 0xC0 /* of the class in which no interrupt lives */
#define MINIMUM_ROUNDS 3
#define MAXIMUM_HAMMERS 4 /* a FIFO lock with more waiters than the host has processors is slow */

typedef struct _HAMMER
{
    ULONG Lines[MAXIMUM_PROCESSORS]; /* the processor's line */
    ULONG Count;
    ULONG64 End;
    volatile LONG Rounds;
} HAMMER, *PHAMMER;

static BOOLEAN HasVector(ULONG Gsi)
{
    for (ULONG Vector = DEVICE_VECTOR_FIRST; Vector <= DEVICE_VECTOR_LAST; Vector++)
    {
        HALP_LINE Line;

        if (HalpVectorLine(Vector, &Line) && Line.Gsi == Gsi)
        {
            return TRUE;
        }
    }
    return FALSE;
}

static VOID CheckEntry(ULONG Gsi, ULONG Vector, BOOLEAN Masked, ULONG Target)
{
    ULONG64 Entry = HalpReadLine(Gsi) & ~(ULONG64)RTE_DELIVERY_STATUS;
    PKI_PROCESSOR Processor = CONTAINING_RECORD(KiProcessorBlock[Target], KI_PROCESSOR, Prcb);
    ULONG64 Expected = ((ULONG64)Processor->Pcr.ApicId << 56) | (Masked ? RTE_MASKED : 0) | Vector;

    KT_CHECK(Entry == Expected, "line %u holds %016llx, expected %016llx", Gsi, Entry, Expected);
}

static VOID HammerLine(PVOID Context, ULONG Processor)
{
    PHAMMER Hammer = Context;
    ULONG Vector = NOBODYS_VECTOR + Processor % 16;
    ULONG Rounds = 0;
    KT_RANDOM Random;
    HALP_LINE Line;

    if (Processor >= Hammer->Count)
    {
        return;
    }
    KtSeed(&Random, Processor);
    Line = (HALP_LINE){Hammer->Lines[Processor], Latched, HalpActiveHigh};
    HalpProgramLine(&Line, Vector, 0);
    CheckEntry(Line.Gsi, Vector, TRUE, 0);
    do
    {
        ULONG Target = (ULONG)(KtRandom(&Random) % KeQueryActiveProcessorCountEx(0));

        HalpRetargetLine(Line.Gsi, Target);
        HalpUnmaskLine(Line.Gsi);
        CheckEntry(Line.Gsi, Vector, FALSE, Target);
        HalpMaskLine(Line.Gsi);
        CheckEntry(Line.Gsi, Vector, TRUE, Target);
        Rounds++;
    } while ((KtNow() < Hammer->End || Rounds < MINIMUM_ROUNDS) && !KtHasFailed());
    InterlockedExchangeAdd(&Hammer->Rounds, (LONG)Rounds);
    HalpProgramLine(&Line, 0, 0); /* as start-up left it */
}

static VOID RegistersAreNotMixed(VOID)
{
    static HAMMER Hammer;

    RtlZeroMemory(&Hammer, sizeof(Hammer));
    for (ULONG Gsi = 0; Gsi < HalpLineCount() && Hammer.Count < MAXIMUM_HAMMERS; Gsi++)
    {
        if (HalpLineExists(Gsi) && !HasVector(Gsi))
        {
            Hammer.Lines[Hammer.Count++] = Gsi;
        }
    }
    Hammer.End = KtNow() + KtBudget();
    KtParallel(HammerLine, &Hammer);
    KtNote("%u lines, %d rounds", Hammer.Count, Hammer.Rounds);
}

static const KT_CASE Cases[] = {
    {"interrupt-L40-edges-are-seen", EdgesAreSeen, 0, FALSE},
    {"interrupt-L40-levels-are-seen", LevelsAreSeen, 0, FALSE},
    {"interrupt-L40-moved-under-way", MovedUnderWay, 0, FALSE},
    {"interrupt-wrong-target-refused", WrongTargetRefused, 0, FALSE},
    {"interrupt-L38-storm-is-masked", StormIsMasked, 0, FALSE},
    {"interrupt-Rj-ioapic-registers", RegistersAreNotMixed, 0, FALSE},
};

KT_DEFINE_SUITE(KtInterruptLineSuite, "ke", Cases);
