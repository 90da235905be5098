/* SPDX-License-Identifier: MIT */
/*
 * stoppage.c - the page of a bug check: what a photograph of the screen should hold.
 *
 * It comes in two parts. The first needs nothing but the code and its parameters, and is on the
 * screen before anything else is tried; the second follows pointers (stacks, threads), which may be
 * what is broken, and comes after the report on the serial port. If the report fails, the page says
 * so. What there is room for follows from the screen's height: the rows between the first part and
 * the advice at the bottom are the other processors' up to half, then the stack's; what is left
 * shows the end of the log.
 */
#include "kd.h"

#include <arch/hal.h>
#include <bugcheck.h>
#include <log.h>
#include <symbols.h>
#include <twin.h>

#define PAGE_COLOR HALP_COLOR(HALP_WHITE, HALP_BLUE)
#define QUIET_COLOR HALP_COLOR(HALP_GREY, HALP_BLUE)
#define STOP_COLOR HALP_COLOR(HALP_YELLOW, HALP_BLUE)

#define MARGIN 2u
#define LONGEST_ROW 200
#define HEADER_ROWS 8u /* the first row of the second part */
#define ADVICE_ROWS 4u
#define DEEPEST_STACK 64u

/* The page's grid; NULL while there is none. The reporter's. */
static PKDP_GRID KdpPage;

/* Text on one row, cut at the screen's edge; nothing outside the screen. */
static VOID KdpWriteRow(ULONG Row, ULONG Indent, UCHAR Color, PCSTR Format, ...)
    __attribute__((format(printf, 4, 5)));

static VOID KdpWriteRow(ULONG Row, ULONG Indent, UCHAR Color, PCSTR Format, ...)
{
    CHAR Text[LONGEST_ROW];
    va_list Arguments;
    SIZE_T Length, Room;

    if (Row >= KdpPage->Rows || Indent >= KdpPage->Columns)
    {
        return;
    }
    va_start(Arguments, Format);
    RtlStringCbVPrintfA(Text, sizeof(Text), Format, Arguments);
    va_end(Arguments);
    for (Length = 0; Text[Length] != '\0'; Length++)
    {
        Text[Length] = Text[Length] < ' ' ? ' ' : Text[Length]; /* nothing that moves */
    }
    Room = KdpPage->Columns - Indent;
    KdpMoveTo(KdpPage, Row, Indent);
    KdpPutText(KdpPage, Color, Text, Length < Room ? Length : Room);
}

static VOID KdpWriteLastAdvice(ULONG Row)
{
    switch (KiOptions.Panic != KiExitNone ? KiOptions.Panic : KiOptions.Exit)
    {
    case KiExitReboot:
        KdpWriteRow(Row, MARGIN, PAGE_COLOR, "The machine then restarts by itself, after %u s.",
                    KiOptions.Panic != KiExitNone ? KiOptions.PanicSeconds : 0);
        break;
    case KiExitPowerOff:
        KdpWriteRow(Row, MARGIN, PAGE_COLOR, "The machine then switches itself off.");
        break;
    default:
        KdpWriteRow(Row, MARGIN, PAGE_COLOR, "%s",
                    KiOptions.KeepLines != 0
                        ? "Then reset the machine, by its button: its next start shows the report."
                        : "Then switch the machine off and on again.");
        break;
    }
}

/* Where the advice begins: at the bottom, or where a very low screen has room. */
static ULONG KdpAdviceRow(VOID)
{
    return KdpPage->Rows > HEADER_ROWS + ADVICE_ROWS ? KdpPage->Rows - ADVICE_ROWS : HEADER_ROWS;
}

static VOID KdpWriteAdvice(VOID)
{
    BOOLEAN Serial = HalpSerialPresent(0) && (KiOptions.Console & KI_CONSOLE_SERIAL);
    ULONG Row = KdpAdviceRow();

    KdpWriteRow(Row, MARGIN, PAGE_COLOR,
                "What to do: take a photograph of this screen, or note the STOP line.");
    KdpWriteRow(Row + 1, MARGIN, PAGE_COLOR, "%sdocs/testing.md explains it.",
                Serial ? "The full report is on the first serial port; " : "");
    KdpWriteLastAdvice(Row + 2);
}

VOID KdpBeginStopPage(const KI_STOP *Stop)
{
    KdpStopLog();
    if (KI_TWIN(KiTwinStopPageWaits) && KiLogIsDraining())
    {
        return;
    }
    KdpPage = KdpBeginPage(PAGE_COLOR);
    if (KdpPage == NULL)
    {
        return;
    }
    KdpWriteRow(1, MARGIN, PAGE_COLOR,
                "Interlock has stopped: something is wrong, and going on could do harm.");
    KdpWriteRow(3, MARGIN, STOP_COLOR, "STOP: 0x%08X %s", Stop->Code, KiBugCheckName(Stop->Code));
    KdpWriteRow(4, MARGIN + 2, PAGE_COLOR, "1: 0x%016llX   2: 0x%016llX", Stop->Parameters[0],
                Stop->Parameters[1]);
    KdpWriteRow(5, MARGIN + 2, PAGE_COLOR, "3: 0x%016llX   4: 0x%016llX", Stop->Parameters[2],
                Stop->Parameters[3]);
    KdpWriteAdvice();
    KdpShowPage();
    KdpSetStage(KdpStageStopped);
}

/* The rows that a stack may fill. */
typedef struct _KDP_STACK_ROWS
{
    ULONG Next, End;
} KDP_STACK_ROWS, *PKDP_STACK_ROWS;

static VOID KdpWriteFrame(ULONG64 Rip, PKTRAP_FRAME Trap, PVOID Context)
{
    PKDP_STACK_ROWS Rows = Context;
    ULONG64 Offset = 0;
    PCSTR Name = KiFindSymbol(Rip, &Offset);

    if (Rows->Next >= Rows->End)
    {
        return;
    }
    if (Name != NULL && Trap != NULL)
    {
        KdpWriteRow(Rows->Next++, MARGIN + 2, PAGE_COLOR, "%016llx %s+0x%llx, before vector %02llx",
                    Rip, Name, Offset, Trap->Vector);
    }
    else if (Name != NULL)
    {
        KdpWriteRow(Rows->Next++, MARGIN + 2, PAGE_COLOR, "%016llx %s+0x%llx", Rip, Name, Offset);
    }
    else
    {
        KdpWriteRow(Rows->Next++, MARGIN + 2, PAGE_COLOR, "%016llx", Rip);
    }
}

static VOID KdpWriteStack(const KI_STOP *Stop, PKDP_STACK_ROWS Rows)
{
    if (Stop->Frame != NULL)
    {
        KdpWriteFrame(Stop->Frame->Rip, NULL, Rows);
    }
    KiWalkStack(Stop->Rbp, DEEPEST_STACK, KdpWriteFrame, Rows);
}

static VOID KdpWriteOther(ULONG Row, PKPRCB Prcb)
{
    ULONG64 Offset = 0;
    PCSTR Name, In = Prcb->DpcRoutineActive ? ", in a DPC" : "";
    PCSTR Thread = Prcb->CurrentThread != NULL ? Prcb->CurrentThread->Name : "none";

    if (!ReadAcquire(&Prcb->Frozen))
    {
        KdpWriteRow(Row, MARGIN, QUIET_COLOR, "CPU %u did not stop", Prcb->Index);
        return;
    }
    Name = Prcb->FreezeFrameAddress != NULL ? KiFindSymbol(Prcb->FreezeFrame.Rip, &Offset) : NULL;
    KdpWriteRow(Row, MARGIN, QUIET_COLOR, "CPU %u, IRQL %llu, thread %s%s: %s+0x%llx", Prcb->Index,
                Prcb->FreezeFrame.PreviousIrql, Thread, In, Name != NULL ? Name : "?", Offset);
}

static ULONG KdpCountOthers(const KI_STOP *Stop)
{
    ULONG Count = 0;

    for (ULONG Index = 0; Index < MAXIMUM_PROCESSORS; Index++)
    {
        Count += KiOtherProcessor(Index, Stop->Prcb->Index) != NULL;
    }
    return Count;
}

/* Rows [Row, End): one for each of the others, and the last one for those that do not fit. */
static VOID KdpWriteOthers(const KI_STOP *Stop, ULONG Count, ULONG Row, ULONG End)
{
    for (ULONG Index = 0; Index < MAXIMUM_PROCESSORS && Row < End; Index++)
    {
        PKPRCB Other = KiOtherProcessor(Index, Stop->Prcb->Index);

        if (Other == NULL)
        {
            continue;
        }
        if (Row + 1 == End && Count > 1)
        {
            KdpWriteRow(Row, MARGIN, QUIET_COLOR, "... and %u more CPUs", Count);
            return;
        }
        KdpWriteOther(Row++, Other);
        Count--;
    }
}

/* Rows [Row, End): a title, and as many of the log's last lines as there are and fit. */
static VOID KdpWriteLog(ULONG Row, ULONG End)
{
    ULONG Lines = 0;

    if (Row + 1 >= End)
    {
        return;
    }
    while (Lines < End - Row - 1 && KiOldLine(Lines) != NULL)
    {
        Lines++;
    }
    KdpWriteRow(Row++, MARGIN, PAGE_COLOR, "The log's last lines:");
    while (Lines-- != 0)
    {
        KdpWriteRow(Row++, MARGIN + 2, QUIET_COLOR, "%s", KiOldLine(Lines));
    }
}

VOID KdpFinishStopPage(const KI_STOP *Stop)
{
    PKPRCB Prcb = Stop->Prcb;
    KDP_STACK_ROWS Rows;
    ULONG Others, Shown, End;

    if (KdpPage == NULL)
    {
        return;
    }
    Rows.Next = HEADER_ROWS;
    End = KdpAdviceRow() > HEADER_ROWS ? KdpAdviceRow() - 1 : HEADER_ROWS;
    KdpWriteRow(HEADER_ROWS - 1, MARGIN, PAGE_COLOR, "CPU %u, IRQL %u, thread %s%s", Prcb->Index,
                Stop->Irql, Prcb->CurrentThread != NULL ? Prcb->CurrentThread->Name : "none",
                Prcb->DpcRoutineActive ? ", in a DPC" : "");
    Others = KdpCountOthers(Stop);
    Shown = Others < (End - Rows.Next) / 2 ? Others : (End - Rows.Next) / 2;
    Rows.End = End - Shown;
    KdpWriteStack(Stop, &Rows);
    Rows.Next += Rows.Next < Rows.End; /* a blank row, if there is one left */
    KdpWriteOthers(Stop, Others, Rows.Next, Rows.Next + Shown);
    KdpWriteLog(Rows.Next + Shown + 1, End);
    KdpShowPage();
}

VOID KdpReportFailed(VOID)
{
    if (KdpPage != NULL)
    {
        KdpWriteRow(HEADER_ROWS - 1, MARGIN, STOP_COLOR,
                    "The report of this bug check failed itself.");
        KdpShowPage();
    }
}
