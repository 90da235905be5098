/* SPDX-License-Identifier: MIT */
/*
 * runner.c - runs the cases that a pattern selects and writes TAP 13.
 *
 * Results go to COM2, so that no log line ever splits one; with a single port they share COM1.
 * Failures are repeated in the log.
 */
#include "runner.h"

#include <arch/hal.h>
#include <start.h>
#include <twin.h>

#include "kt.h"

#define LOG_PORT 0
#define RESULT_PORT 1
#define MAXIMUM_EXPLANATIONS 8
#define EXPLANATION_SIZE 200

/* The running case. Failures: any processor, locked add; each draws a slot for its text. */
static volatile LONG KtFailures;
static CHAR KtExplanations[MAXIMUM_EXPLANATIONS][EXPLANATION_SIZE];
static PCSTR KtSkipReason;

static VOID KtWrite(PCSTR Text)
{
    HalpSerialWrite(HalpSerialPresent(RESULT_PORT) ? RESULT_PORT : LOG_PORT, Text, strlen(Text));
}

VOID KtPrint(PCSTR Format, ...)
{
    CHAR Line[320];
    va_list Arguments;

    va_start(Arguments, Format);
    RtlStringCbVPrintfA(Line, sizeof(Line), Format, Arguments);
    va_end(Arguments);
    KtWrite(Line);
}

VOID KtFail(PCSTR File, ULONG Line, PCSTR Condition, PCSTR Format, ...)
{
    LONG Slot = InterlockedIncrement(&KtFailures) - 1;
    CHAR Values[EXPLANATION_SIZE / 2];
    va_list Arguments;

    if (Slot >= MAXIMUM_EXPLANATIONS)
    {
        return;
    }
    va_start(Arguments, Format);
    RtlStringCbVPrintfA(Values, sizeof(Values), Format, Arguments);
    va_end(Arguments);
    RtlStringCbPrintfA(KtExplanations[Slot], EXPLANATION_SIZE, "%s:%u: CPU %u: %s: %s", File, Line,
                       KeGetCurrentProcessorIndex(), Condition, Values);
}

BOOLEAN KtHasFailed(VOID)
{
    return ReadAcquire(&KtFailures) != 0;
}

VOID KtNote(PCSTR Format, ...)
{
    CHAR Text[EXPLANATION_SIZE];
    va_list Arguments;

    va_start(Arguments, Format);
    RtlStringCbVPrintfA(Text, sizeof(Text), Format, Arguments);
    va_end(Arguments);
    KtPrint("# %s\n", Text);
}

VOID KtSkip(PCSTR Reason)
{
    KtSkipReason = Reason;
}

static VOID KtReportFailures(PCSTR Suite, PCSTR Case)
{
    LONG Shown = KtFailures < MAXIMUM_EXPLANATIONS ? KtFailures : MAXIMUM_EXPLANATIONS;

    KiLog(KiLogError, "test failed: %s/%s: %d checks", Suite, Case, KtFailures);
    for (LONG Index = 0; Index < Shown; Index++)
    {
        KtPrint("# %s\n", KtExplanations[Index]);
        KiLog(KiLogError, "  %s", KtExplanations[Index]);
    }
    if (Shown < KtFailures)
    {
        KtPrint("# and %d more\n", KtFailures - Shown);
    }
}

static PCSTR KtReasonToSkip(const KT_CASE *Case)
{
    if (Case->MinimumProcessors > KtProcessors())
    {
        return "needs more CPUs";
    }
    if (Case->CheckedOnly && !DBG)
    {
        return "needs a checked build";
    }
    return NULL;
}

/* What every case must leave behind: PASSIVE_LEVEL, interrupts on, no lock held. */
static VOID KtCheckAftermath(VOID)
{
    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK((__readeflags() & EFLAGS_IF) != 0, "interrupts off");
#if DBG
    KT_CHECK(KiGetCurrentPrcb()->HeldLockCount == 0, "%u locks held",
             KiGetCurrentPrcb()->HeldLockCount);
#endif
}

/* TRUE if it did not fail. */
static BOOLEAN KtRunCase(ULONG Number, PCSTR Suite, const KT_CASE *Case)
{
    PCSTR Name = Case->Name;

    KtFailures = 0;
    KtSkipReason = KtReasonToSkip(Case);
    if (KtSkipReason == NULL)
    {
        KiLog(KiLogTrace, "test: %s/%s", Suite, Name);
        KiArmTwin(TRUE);
        Case->Routine();
        KiArmTwin(FALSE);
        KtCheckAftermath();
    }
    if (KtHasFailed())
    {
        KtPrint("not ok %u - %s/%s\n", Number, Suite, Name);
        KtReportFailures(Suite, Name);
        return FALSE;
    }
    if (KtSkipReason != NULL)
    {
        KtPrint("ok %u - %s/%s # SKIP %s\n", Number, Suite, Name, KtSkipReason);
    }
    else
    {
        KtPrint("ok %u - %s/%s\n", Number, Suite, Name);
    }
    return TRUE;
}

/* An explicit suite is meant only by an alternative that begins with its name. */
static BOOLEAN KtIsMeant(const KT_SUITE *Suite, PCSTR Pattern)
{
    SIZE_T Length = strlen(Suite->Name);
    BOOLEAN Begins = TRUE;

    if (!Suite->Explicit)
    {
        return TRUE;
    }
    for (; *Pattern != '\0'; Pattern++)
    {
        if (Begins && strncmp(Pattern, Suite->Name, Length) == 0 && Pattern[Length] == '/')
        {
            return TRUE;
        }
        Begins = *Pattern == ',';
    }
    return FALSE;
}

BOOLEAN KtRunTests(PCSTR Pattern)
{
    ULONG Ran = 0, Failed = 0;

    KtStartWorkers();
    KtWrite("TAP version 13\n");
    for (ULONG Suite = 0; Suite < KtSuiteCount; Suite++)
    {
        for (ULONG Case = 0; Case < KtSuites[Suite]->Count; Case++)
        {
            CHAR Name[128];

            RtlStringCbPrintfA(Name, sizeof(Name), "%s/%s", KtSuites[Suite]->Name,
                               KtSuites[Suite]->Cases[Case].Name);
            if (KtIsMeant(KtSuites[Suite], Pattern) && KiMatchGlob(Pattern, Name))
            {
                Ran++;
                Failed += !KtRunCase(Ran, KtSuites[Suite]->Name, &KtSuites[Suite]->Cases[Case]);
            }
        }
    }
    KtPrint("1..%u%s\n", Ran, Ran == 0 ? " # SKIP no test matches" : "");
    KiLog(KiLogInfo, "tests: %u ran, %u failed, %u CPUs, seed=0x%llx", Ran, Failed, KtProcessors(),
          KiOptions.Seed);
    return Failed == 0 && Ran != 0;
}
