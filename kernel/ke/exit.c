/* SPDX-License-Identifier: MIT */
/*
 * exit.c - how a run ends: off, reset, halted, or by the emulator's exit port.
 *
 * Whatever way is tried says so in the log before it is tried, and if the machine is still there
 * after the time it is given, the next one is: a reset ends at the latest in a triple fault, all
 * else in a halt. The kept log is told how the boot ended, before it does.
 */
#include <arch/hal.h>

#include "keep.h"
#include "log.h"

#define SECOND_US 1000000

/* What was logged is to be seen before the machine is gone, also the characters that wait in the
 * port. In a bug check it is put out already; from under an IRQL, or with interrupts off, only the
 * kept log will show it. */
static VOID KiPutOutLog(VOID)
{
    if (KeGetCurrentIrql() == PASSIVE_LEVEL && (__readeflags() & EFLAGS_IF))
    {
        KiLogFlush();
    }
    HalpSerialSettle(0);
}

static VOID KiPowerOff(VOID)
{
    PCSTR Problem = HalpPowerOffObstacle();

    if (Problem == NULL)
    {
        KiLog(KiLogInfo, "power-off: by ACPI's soft-off");
        KiPutOutLog();
        Problem = HalpPowerOff();
    }
    KiLog(KiLogWarning, "power-off: %s: halted instead", Problem);
}

static VOID KiReboot(VOID)
{
    for (ULONG Rung = KiOptions.FirstRung; Rung < HalpRungs; Rung++)
    {
        PCSTR Problem = HalpRungProblem((HALP_RUNG)Rung);

        if (Problem != NULL)
        {
            KiLog(KiLogInfo, "reset: by %s: %s: skipped", HalpRungName((HALP_RUNG)Rung), Problem);
            continue;
        }
        KiLog(KiLogInfo, "reset: by %s", HalpRungName((HALP_RUNG)Rung));
        KiPutOutLog();
        HalpReset((HALP_RUNG)Rung);
        KiLog(KiLogWarning, "reset: by %s: the machine runs on", HalpRungName((HALP_RUNG)Rung));
    }
}

VOID KiEndRun(KI_EXIT How, ULONG Code)
{
    static const KI_KEEP_END Ends[] = {
        [KiExitNone] = KiKeepHalted,         [KiExitDebug] = KiKeepLeft,
        [KiExitPowerOff] = KiKeepPoweredOff, [KiExitHalt] = KiKeepHalted,
        [KiExitReboot] = KiKeepRebooted,
    };

    KiKeepEndOfBoot(Code == HALP_EXIT_BUGCHECK ? KiKeepBugCheck : Ends[How]);
    switch (How)
    {
    case KiExitDebug:
        HalpDebugExit(Code);
        KiLog(KiLogError, "exit=debug: this machine has no isa-debug-exit port; halted");
        break;
    case KiExitPowerOff:
        KiPowerOff();
        break;
    case KiExitReboot:
        KiReboot();
        break;
    default:
        break;
    }
    if (Code != HALP_EXIT_BUGCHECK)
    {
        KiKeepEndOfBoot(KiKeepHalted); /* whatever it should have been */
    }
    KiPutOutLog();
    KiLogDrain();
    HalpHalt();
}

/* The bug check's page stays up for the seconds of panic=. */
static DECLSPEC_NORETURN VOID KiEndBugCheck(VOID)
{
    KiKeepEndOfBoot(KiKeepBugCheck); /* now: whoever resets the machine meanwhile ends no hang */
    if (KiOptions.Panic == KiExitReboot)
    {
        KiLog(KiLogError, "panic=reboot: in %u s", KiOptions.PanicSeconds);
        for (ULONG Second = 0; Second < KiOptions.PanicSeconds; Second++)
        {
            HalpStall(SECOND_US);
        }
    }
    KiEndRun(KiOptions.Panic, HALP_EXIT_BUGCHECK);
}

VOID KiExit(ULONG Code)
{
    if (Code == HALP_EXIT_BUGCHECK && KiOptions.Panic != KiExitNone)
    {
        KiEndBugCheck();
    }
    KiEndRun(KiOptions.Exit, Code);
}
