/* SPDX-License-Identifier: MIT */
/*
 * keep.c - the kept log from inside: what is logged lies in it at once, whatever the IRQL; and, in
 * a boot of its own, a hang that only the next boot can tell of (tests/harness/run-reboot).
 */
#include <arch/hal.h>
#include <keep.h>
#include <log.h>

#include "kt.h"

/* How often a text stands among the kept lines of this boot. */
static ULONG CountKept(PCSTR Text)
{
    const VOID *Bank = KiKeptBank(FALSE);
    KI_KEEP_INFO Info;
    KI_KEEP_LINE Line;
    ULONG Count = 0;

    if (Bank == NULL || KiKeepExamine(Bank, &Info) != NULL)
    {
        return 0;
    }
    for (ULONG64 Position = Info.Next > KI_KEEP_SLOTS ? Info.Next - KI_KEEP_SLOTS : 0;
         Position < Info.Next; Position++)
    {
        Count += KiKeepRead(Bank, Position, &Line) && strcmp(Line.Text, Text) == 0;
    }
    return Count;
}

static VOID KeptAtOnce(VOID)
{
    CHAR Text[64];
    KIRQL OldIrql;
    ULONG Kept;

    RtlStringCbPrintfA(Text, sizeof(Text), "kept at HIGH_LEVEL, %llx", KtNow());
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    KiLog(KiLogInfo, "%s", Text);
    Kept = CountKept(Text);
    KeLowerIrql(OldIrql);
    KT_CHECK(Kept == 1, "%u", Kept);
}

static VOID RawIsNotKept(VOID)
{
    KiLogRaw("typed, not logged\n");
    KT_CHECK(CountKept("typed, not logged\n") == 0 && CountKept("typed, not logged.") == 0, "kept");
}

#define WRITER_LINES 100

static VOID LogMany(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG Line = 0; Line < WRITER_LINES && Line < KI_KEEP_SLOTS / KtProcessors() / 2; Line++)
    {
        KiLog(KiLogInfo, "kept line of CPU %u", Processor);
    }
}

/* All CPUs at once, fewer lines in all than there are slots: each is there and whole. */
static VOID ManyWriters(VOID)
{
    ULONG Expected = KI_KEEP_SLOTS / KtProcessors() / 2;
    KI_KEEP_INFO Info;
    LONG Lost = KiQueryLostLines();

    Expected = Expected < WRITER_LINES ? Expected : WRITER_LINES;
    KtParallel(LogMany, NULL);
    KT_REQUIRE(KiKeptBank(FALSE) != NULL, "no kept log");
    KT_CHECK(KiKeepExamine(KiKeptBank(FALSE), &Info) == NULL && Info.Damaged == 0, "%u damaged",
             Info.Damaged);
    for (ULONG Processor = 0; KiQueryLostLines() == Lost && Processor < KtProcessors(); Processor++)
    {
        CHAR Text[64];
        ULONG Kept;

        RtlStringCbPrintfA(Text, sizeof(Text), "kept line of CPU %u", Processor);
        Kept = CountKept(Text);
        KT_CHECK(Kept == Expected, "CPU %u: %u of %u", Processor, Kept, Expected);
    }
}

static VOID KeyboardIsFoundOrNamed(VOID)
{
    UCHAR Byte;

    if (HalpStartKeyboard())
    {
        KT_CHECK(!HalpReadKeyboard(&Byte), "a byte %02x before anybody types", Byte);
    }
}

/* On one processor nobody puts the line out: the host resets the machine and reads the next log. */
static VOID Hang(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    _disable();
    KiLog(KiLogWarning, "marker: the last line before a hang, %s", "seen by nobody");
    KtNote("hangs");
    for (;;)
    {
        YieldProcessor();
    }
}

static const KT_CASE Cases[] = {
    {"kept-at-once", KeptAtOnce, 0, FALSE},
    {"raw-is-not-kept", RawIsNotKept, 0, FALSE},
    {"kept-from-all-processors", ManyWriters, 0, FALSE},
    {"keyboard-found-or-named", KeyboardIsFoundOrNamed, 0, FALSE},
};

KT_DEFINE_SUITE(KtKeepSuite, "ke", Cases);

static const KT_CASE HangCases[] = {
    {"marker", Hang, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtHangSuite, "hang", HangCases);
