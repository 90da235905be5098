/* SPDX-License-Identifier: MIT */
/*
 * keptlog.c - this boot's lines go to one bank of the kept region, the boot's before lie in the
 * other.
 *
 * The banks take turns: of two that can be believed, the one of the higher generation is the boot
 * before, and this boot overwrites the other. So what is left of a hang stays readable for a whole
 * boot, and is lost only with the second reset after it. Nothing here ever stops a boot: what
 * cannot be believed is named and overwritten, and a cold start's garbage, which has no magic
 * number, is passed over in silence.
 */
#include "keep.h"

#include "log.h"

#define KEEP_LINES_AFTER_CLEAN_END 10

/* Set once by KiOpenKeptLog, before other processors run. */
static PVOID KiThisBank, KiPreviousBank;

static VOID KiTellLines(const VOID *Bank, const KI_KEEP_INFO *Info, ULONG Count)
{
    static const CHAR Marks[] = {'!', '?', ' ', '.'};
    KI_KEEP_LINE Line;

    Count = Count < KI_KEEP_SLOTS ? Count : KI_KEEP_SLOTS;
    for (ULONG64 Position = Info->Next > Count ? Info->Next - Count : 0; Position < Info->Next;
         Position++)
    {
        if (KiKeepRead(Bank, Position, &Line))
        {
            KiLog(KiLogInfo, "| %llu.%06llu %u/%x%c %s", Line.Time / 10000000,
                  Line.Time / 10 % 1000000, Line.Processor, Line.Irql, Marks[Line.Level & 3],
                  Line.Text);
        }
    }
}

static VOID KiTellPrevious(const VOID *Bank, const KI_KEEP_INFO *Info)
{
    static const PCSTR Ends[KiKeepEnds] = {
        [KiKeepNotEnded] = "did not end: it hung, was reset, or lost its power",
        [KiKeepPoweredOff] = "ended cleanly: power off",
        [KiKeepRebooted] = "ended cleanly: reboot",
        [KiKeepHalted] = "ended cleanly: halt",
        [KiKeepLeft] = "ended cleanly: exit=debug",
        [KiKeepBugCheck] = "ended in a bug check",
    };
    BOOLEAN Clean = Info->End != KiKeepNotEnded && Info->End != KiKeepBugCheck;
    ULONG Count = KiOptions.KeepLines;

    if (Clean && Count > KEEP_LINES_AFTER_CLEAN_END)
    {
        Count = KEEP_LINES_AFTER_CLEAN_END;
    }
    KiLog(Clean ? KiLogInfo : KiLogWarning,
          "previous boot: %s; %u lines kept, %u damaged; its last ones, each marked |:",
          Ends[Info->End], Info->Lines, Info->Damaged);
    KiTellLines(Bank, Info, Count);
    KiLog(KiLogInfo, "previous boot: end of its lines");
}

VOID KiOpenKeptLog(PVOID Region)
{
    PVOID Banks[2] = {Region, (PUCHAR)Region + KI_KEEP_BANK_SIZE};
    KI_KEEP_INFO Info[2];
    BOOLEAN Good[2];
    LONG64 Logged = KiLogPosition();
    ULONG Last;

    if (Region == NULL || KiOptions.KeepLines == 0)
    {
        KiLog(KiLogTrace, "kept log: %s", Region == NULL ? "no place for it" : "off");
        return;
    }
    KiLog(KiLogTrace, "kept log: at %p", Region);
    for (ULONG Index = 0; Index < 2; Index++)
    {
        PCSTR Problem = KiKeepExamine(Banks[Index], &Info[Index]);

        Good[Index] = Problem == NULL;
        if (Problem != NULL && Problem != KiKeepNothing)
        {
            KiLog(KiLogWarning, "kept log at %p: %s: ignored", Banks[Index], Problem);
        }
    }
    Last = Good[1] && (!Good[0] || Info[1].Generation > Info[0].Generation);
    if (Good[Last])
    {
        KiTellPrevious(Banks[Last], &Info[Last]);
        KiPreviousBank = Banks[Last];
    }
    KiKeepFormat(Banks[!Last], Info[Last].Generation + 1, KiOptions.Seed);
    KiThisBank = Banks[!Last];
    KiKeepEarlierLines(Logged);
}

VOID KiKeepLine(ULONG64 Position, ULONG64 Time, ULONG Processor, UCHAR Irql, UCHAR Level,
                PCSTR Text)
{
    if (KiThisBank != NULL)
    {
        KiKeepStore(KiThisBank, Position, Time, Processor, Irql, Level, Text);
    }
}

VOID KiKeepEndOfBoot(KI_KEEP_END End)
{
    if (KiThisBank != NULL)
    {
        KiKeepMarkEnd(KiThisBank, End);
    }
}

const VOID *KiKeptBank(BOOLEAN Previous)
{
    return Previous ? KiPreviousBank : KiThisBank;
}
