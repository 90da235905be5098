/* SPDX-License-Identifier: MIT */
/*
 * clock.c - the one clock interrupt: a busy processor's tick, and the next timer that is due.
 *
 * PURPOSE
 *   A processor that runs something needs to be looked at now and then; one that does not should
 *   sleep until it is wanted. Timers need an interrupt when they are due, and none otherwise.
 *
 * HOW IT WORKS
 *   The APIC timer is one-shot. Per processor there are three points of interrupt time, MAXULONG64
 *   meaning never:
 *       NextTick         when it ticks next; never, once a tick has found it idle and not in a DPC
 *       Timers.NextDue   when its first timer is due (timer.c)
 *       ClockArmed       when the APIC timer will go off
 *   with ClockArmed <= min(NextTick, NextDue) whenever nothing is due and nobody is at work on it.
 *   Only that matters: an interrupt too early finds nothing due and arms for the next point, while
 *   an APIC timer that is written at each change would cost more than what it is set for. So a
 *   timer that is cancelled, or one set for later than the next tick, writes nothing; and a
 *   processor that goes idle and returns within its tick, as one does that works for a device,
 *   writes nothing either. KiArmClock is all there is to it.
 *
 *   A tick: watches DPCs (watchdog.c), measures the DPC rate, asks for DPCs that nobody has asked
 *   for, takes one from the running thread's quantum, looks for hardware errors that raise no
 *   exception, and sees that the log gets out. An idle
 *   processor that runs a DPC ticks until it has none at a tick. The boot processor's also reads a
 *   counter that would wrap, and tries lines that were masked for a storm; those two chores it has
 *   even while idle, and then arms for them.
 *
 *   An interrupt that comes much later than its processor armed for says that the processor, or
 *   the whole machine, stood still: a paused virtual machine, firmware at work. That is counted and
 *   reported, and so is a counter that went back. Nothing else follows: watchdogs count ticks that
 *   were seen, and a timer that is due expires once, however late.
 *
 * LOCKS AND IRQL
 *   CLOCK_LEVEL, no lock but the DPC queue's. All of it is the processor's own, but for NextDue:
 *   written under the timers' lock, perhaps by another processor, which then interrupts this one.
 *
 * ORDERING
 *   Due.Timer, Due.Schedule and Ready.QuantumEnded are also written by others, under locks that an
 *   interrupt cannot take, since the thread that it interrupts may hold them. A plain byte store of
 *   TRUE is enough: nobody else stores but TRUE, except this processor itself where it serves the
 *   flag. It clears first and looks at what the flag is for afterwards, so this interrupt comes
 *   either before the look, which then sees all, or after the clearing, and is not forgotten. Flags
 *   that share a word are separate bytes, and x86 stores bytes without touching their neighbours.
 *   QuantumEnded is stored before Schedule, and the two are read here, so program order is enough.
 *   pairs with: KiExpireTimers, KiReschedule.
 *
 * FURTHER READING
 *   Intel SDM 3A 11.5.4 (APIC timer). docs/time.md.
 */
#include "clock.h"

#include <arch/hal.h>

#include "interrupt.h"
#include "nmi.h"

/* No further ahead than this: HalpArmClock's delay is bounded, and so is the APIC timer's count. */
#define LONGEST_SLEEP 300000000ull /* 100 ns units: 30 s */

/* An interrupt so late, in 100 ns units, is reported; a report at most so often. */
#define LONG_GAP 10000000
#define GAP_REPORT_EVERY 100000000

/* The machine-check banks are read so often, in 100 ns units. */
#define ERROR_POLL_EVERY 50000000

/* What is added to a delay, so that the APIC timer, by its own rate, does not go off before the
 * counter says that it should: 0.024 % and a microsecond. Too late by so little is unavoidable; too
 * early would mean another interrupt. */
#define SLACK(Delay) (((Delay) >> 12) + 10)

VOID KiInitializeClock(PKPRCB Prcb)
{
    Prcb->NextTick = MAXULONG64;
    Prcb->ClockArmed = MAXULONG64;
}

/* Makes sure of an interrupt at that time or before. */
static VOID KiArmClockFor(PKPRCB Prcb, ULONG64 Time)
{
    ULONG64 Now, Delay;

    if (Prcb->ClockArmed <= Time)
    {
        return;
    }
    Now = KeQueryInterruptTime();
    Delay = Time > Now ? Time - Now : 0;
    if (Delay > LONGEST_SLEEP)
    {
        Delay = LONGEST_SLEEP;
        if (Prcb->ClockArmed <= Now + Delay)
        {
            return;
        }
    }
    Prcb->ClockArmed = Now + Delay;
    HalpArmClock(Delay + SLACK(Delay));
}

VOID KiArmClock(PKPRCB Prcb)
{
    ULONG64 Time = Prcb->NextTick;

    /* Timers that are due already are about to be served, and KiExpireTimers ends here again. */
    if (!Prcb->Due.Timer && Prcb->Timers.NextDue < Time)
    {
        Time = Prcb->Timers.NextDue;
    }
    if (Prcb->Index == 0 && Prcb->NextTick == MAXULONG64)
    {
        ULONG64 Chore = KiStormsPending() ? KI_STORM_BACKOFF : HalpCounterKeepAlive;

        if (Chore != 0 && KeQueryInterruptTime() + Chore < Time)
        {
            Time = KeQueryInterruptTime() + Chore;
        }
    }
    if (Time != MAXULONG64)
    {
        KiArmClockFor(Prcb, Time);
    }
}

VOID KiStartTick(PKPRCB Prcb)
{
    if (Prcb->NextTick == MAXULONG64)
    {
        Prcb->NextTick = KeQueryInterruptTime() + KI_TICK_LENGTH;
        KiArmClockFor(Prcb, Prcb->NextTick);
    }
}

/* A queue that nobody asked to drain is drained at the tick: the common exit looks at Due. */
static VOID KiRequestOverdueDpcs(PKPRCB Prcb)
{
    _disable();
    KeAcquireSpinLockAtDpcLevel(&Prcb->Dpc.Lock);
    if (Prcb->Dpc.Depth != 0)
    {
        Prcb->Due.Dpc = TRUE;
    }
    KeReleaseSpinLockFromDpcLevel(&Prcb->Dpc.Lock);
    _enable();
}

/* A thread that is just being switched away may be charged after somebody has given it a new
 * quantum: it loses a tick, or its successor is looked at early. */
static VOID KiChargeQuantum(PKPRCB Prcb)
{
    PKTHREAD Thread = Prcb->CurrentThread;

    if (Thread != Prcb->IdleThread && --Thread->Quantum <= 0)
    {
        Prcb->Ready.QuantumEnded = TRUE;
        Prcb->Due.Schedule = TRUE;
    }
}

/* Looks for what nothing interrupts for. */
static VOID KiLookForErrors(PKPRCB Prcb, ULONG64 Now)
{
    if (KiHasUnreportedNmis(Prcb))
    {
        KiReportNmis(Prcb);
    }
    if (Now >= Prcb->ErrorPollTime)
    {
        Prcb->ErrorPollTime = Now + ERROR_POLL_EVERY;
        ArchPollMachineChecks();
    }
}

static DECLSPEC_NOINLINE VOID KiReportGap(PKPRCB Prcb, ULONG64 Now, LONG64 Late)
{
    Prcb->ClockGaps += Late > 0;
    Prcb->ClockSteps += Late < 0;
    if (Prcb->GapReportTime != 0 && Now - Prcb->GapReportTime < GAP_REPORT_EVERY)
    {
        return;
    }
    Prcb->GapReportTime = Now;
    if (Late > 0)
    {
        KiLog(KiLogInfo,
              "clock: an interrupt is %lld ms late: this CPU, or the machine, stood still",
              Late / 10000);
    }
    else
    {
        KiLog(KiLogWarning, "clock: the %s went back %lld us: its time is not to be trusted",
              HalpCounterName, -Late / 10);
    }
}

/* Now, by what it was when this processor last looked, and by when it wanted to look next. */
static VOID KiWatchTime(PKPRCB Prcb, ULONG64 Now)
{
    if (Now < Prcb->ClockSeen)
    {
        KiReportGap(Prcb, Now, (LONG64)(Now - Prcb->ClockSeen));
    }
    else if (Prcb->ClockArmed != MAXULONG64 && Now > Prcb->ClockArmed + LONG_GAP)
    {
        KiReportGap(Prcb, Now, (LONG64)(Now - Prcb->ClockArmed));
    }
    Prcb->ClockSeen = Now;
}

static VOID KiTick(PKPRCB Prcb, ULONG64 Now)
{
    if (Prcb->Dpc.Idle && !Prcb->DpcRoutineActive)
    {
        Prcb->NextTick = MAXULONG64;
        return;
    }
    /* In step, unless this processor was away for longer than a tick. */
    Prcb->NextTick += KI_TICK_LENGTH;
    if (Prcb->NextTick <= Now)
    {
        Prcb->NextTick = Now + KI_TICK_LENGTH;
    }
    Prcb->DpcRate = (ULONG)(Prcb->DpcCount - Prcb->DpcCountAtTick);
    Prcb->DpcCountAtTick = Prcb->DpcCount;
    KiRequestOverdueDpcs(Prcb);
    KiChargeQuantum(Prcb);
    KiLookForErrors(Prcb, Now);
    if (KiLogIsWaiting())
    {
        KiLogKick();
    }
}

VOID KiClockInterrupt(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Now = KeQueryInterruptTime();

    KiWatchTime(Prcb, Now);
    Prcb->ClockArmed = MAXULONG64;
    Prcb->ClockInterrupts++;
    if (Now >= Prcb->NextTick)
    {
        KiWatchDpcs(Prcb, (KIRQL)Frame->PreviousIrql);
        KiTick(Prcb, Now);
    }
    if (Now >= Prcb->Timers.NextDue)
    {
        Prcb->Due.Timer = TRUE; /* see ORDERING */
    }
    if (Prcb->Index == 0)
    {
        KiRetryStormyLines();
    }
    KiArmClock(Prcb);
}
