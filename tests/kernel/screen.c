/* SPDX-License-Identifier: MIT */
/*
 * screen.c - how the screen's memory is cached, on every processor; and what run-screen looks at:
 * a page of all characters and colours, and a bug check while the log is held up.
 */
#include <arch/hal.h>
#include <arch/intrin.h>
#include <arch/mmu.h>
#include <kd.h>
#include <log.h>

#include "kt.h"

#define MSR_PAT 0x277u
#define PAT_WRITE_COMBINING 1u
#define PAT_ENTRY 4u /* what ARCH_PAGE_WRITE_COMBINED selects */

#define CPUID_PAT (1u << 16)

static BOOLEAN HasPat(VOID)
{
    ULONG Info[4];

    __cpuidex(Info, 1, 0);
    return (Info[3] & CPUID_PAT) != 0;
}

static VOID ReadPat(PVOID Context, ULONG Processor)
{
    ((PULONG64)Context)[Processor] = __readmsr(MSR_PAT);
}

/* A page has one cache type only if every processor's PAT says the same of its entry. */
static VOID PatOnEveryProcessor(VOID)
{
    static ULONG64 Values[MAXIMUM_PROCESSORS];

    if (!HasPat())
    {
        KtSkip("no PAT");
        return;
    }
    KtParallel(ReadPat, Values);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_CHECK(Values[Index] == Values[0], "CPU %u has PAT %llx, CPU 0 %llx", Index,
                 Values[Index], Values[0]);
        KT_CHECK((Values[Index] >> (8 * PAT_ENTRY) & 0xFF) == PAT_WRITE_COMBINING,
                 "CPU %u has PAT %llx", Index, Values[Index]);
    }
}

/* Every page of the screen is mapped where it lies, in the way that wc= asks for. */
static VOID ScreenIsMapped(VOID)
{
    ULONG Wanted = ARCH_PAGE_UNCACHED;
    HALP_SCREEN_INFORMATION Screen;

    HalpQueryScreen(&Screen);
    if (Screen.Type == BootFramebufferNone)
    {
        KtSkip("no screen");
        return;
    }
    if (Screen.Type == BootFramebufferLinear && KiOptions.WriteCombining != KiSwitchOff && HasPat())
    {
        Wanted = ARCH_PAGE_WRITE_COMBINED;
    }
    for (SIZE_T Offset = 0; Offset < Screen.Bytes && !KtHasFailed(); Offset += PAGE_SIZE)
    {
        PVOID Address = (PUCHAR)Screen.Address + Offset;

        KT_CHECK(ArchTranslate(Address) == Screen.Physical + Offset, "byte %llx is at %llx", Offset,
                 ArchTranslate(Address));
        KT_CHECK(ArchQueryCaching(Address) == Wanted, "byte %llx: %x, not %x", Offset,
                 ArchQueryCaching(Address), Wanted);
    }
    KtNote("%ux%u characters, %s", Screen.Columns, Screen.Rows,
           Wanted == ARCH_PAGE_WRITE_COMBINED ? "write-combined" : "uncached");
}

static const KT_CASE Cases[] = {
    {"pat-on-every-processor", PatOnEveryProcessor, 0, FALSE},
    {"screen-mapped-as-asked", ScreenIsMapped, 0, FALSE},
};

KT_DEFINE_SUITE(KtScreenSuite, "kd", Cases);

/* ------------------------------------------------------------------ The page of run-screen. */

static VOID Swallow(ULONG Processor, KIRQL Irql, PCSTR Text)
{
    UNREFERENCED_PARAMETER(Processor);
    UNREFERENCED_PARAMETER(Irql);
    UNREFERENCED_PARAMETER(Text);
}

static VOID PutCharacter(PKDP_GRID Grid, UCHAR Color, CHAR Character)
{
    KdpPutText(Grid, Color, &Character, 1);
}

static VOID PutString(PKDP_GRID Grid, UCHAR Color, PCSTR Text)
{
    KdpPutText(Grid, Color, Text, strlen(Text));
}

/* Every character, every pair of colours, a tab, a row that wraps. The same at each boot. */
static VOID Page(VOID)
{
    PKDP_GRID Grid;
    UCHAR Plain = HALP_COLOR(HALP_GREY, HALP_BLACK);

    KiSetLogSink(Swallow); /* for good: what is logged later would spoil the page */
    Grid = KdpBeginPage(Plain);
    if (Grid == NULL)
    {
        KtSkip("no screen");
        return;
    }
    PutString(Grid, Plain, "Every character:\n");
    for (ULONG Code = ' '; Code <= HALP_OTHER_CHARACTER; Code++)
    {
        PutCharacter(Grid, Plain, (CHAR)Code);
        PutString(Grid, Plain, Code % 32 == 31 ? "\n" : "");
    }
    PutString(Grid, Plain, "Every colour:\n");
    for (ULONG Color = 0; Color < 128; Color++)
    {
        PutString(Grid, (UCHAR)Color, " Ag");
        PutString(Grid, Plain, Color % 16 == 15 ? "\n" : "");
    }
    PutString(Grid, Plain, "a\ttab, and a row that wraps:\n");
    for (ULONG Column = 0; Column < Grid->Columns + 8; Column++)
    {
        PutCharacter(Grid, HALP_COLOR(HALP_YELLOW, HALP_BLUE), (CHAR)('0' + Column % 10));
    }
    KdpShowPage();
}

static const KT_CASE PageCases[] = {
    {"page", Page, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtScreenPageSuite, "screen", PageCases);

/* ------------------------------------------------------------------ The log's writer stopped. */

static volatile LONG WriterIsHeld;

static VOID HoldForEver(ULONG Processor, KIRQL Irql, PCSTR Text)
{
    static KEVENT Never;

    UNREFERENCED_PARAMETER(Processor);
    UNREFERENCED_PARAMETER(Irql);
    UNREFERENCED_PARAMETER(Text);
    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    InterlockedExchange(&WriterIsHeld, TRUE);
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}

/* The log's writer has the drain flag and never gives it back: the page comes all the same. */
static VOID WhileTheLogIsHeld(VOID)
{
    KiSetLogSink(HoldForEver);
    KiLog(KiLogInfo, "the last line");
    KT_REQUIRE(KtWaitFor(&WriterIsHeld, TRUE, KT_SECONDS(20)), "the log's thread did not come");
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 0x1234, 0xFFFFFFFFFFFFFFFF, 0, 4);
}

/* The screen's memory is not there any more: the report is, on the serial port. */
static VOID WithoutTheScreen(VOID)
{
    HALP_SCREEN_INFORMATION Screen;

    HalpQueryScreen(&Screen);
    KT_REQUIRE(Screen.Address != NULL, "no screen");
    KiSetLogSink(Swallow); /* the log's thread would die of it first */
    ArchUnmapPage(Screen.Address);
    ArchFlushTlb(Screen.Address, 1);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 0, 0, 0, 0);
}

static const KT_CASE DeathCases[] = {
    {"without-the-screen", WithoutTheScreen, 0, FALSE},
    {"while-the-log-is-held", WhileTheLogIsHeld, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtDeathScreenSuite, "death", DeathCases);
