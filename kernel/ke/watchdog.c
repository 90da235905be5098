/* SPDX-License-Identifier: MIT */
/*
 * watchdog.c - DPCs that do not end.
 *
 * Each processor counts its own clock ticks: how many have found the same DPC running, and how many
 * in a row have interrupted code at DISPATCH_LEVEL or above. A tick that it has not seen does not
 * count, so a virtual machine that was paused, or a host that is late, raises no alarm: it is time
 * that this processor has spent. A count of n means that at least n - 1 whole ticks have passed.
 *
 * What is not seen: a processor that stays at CLOCK_LEVEL or above, or with interrupts off, for
 * there its clock is held back too; the next rendezvous reports it (ipi.c, bug check 0x101). ISRs
 * below CLOCK_LEVEL count for the second limit, and for the DPC that they interrupt. Time in
 * threaded DPCs is a thread's, and does not count. Law L34.
 */
#include "ki.h"

/* 20 seconds and 120 seconds. */
#define DPC_TIME_LIMIT 1280
#define DPC_WATCHDOG_LIMIT 7680

/* What DPC_WATCHDOG_VIOLATION's first parameter says. */
#define SINGLE_DPC 0
#define CUMULATIVE 1

volatile ULONG KiDpcTimeLimit = DPC_TIME_LIMIT;
volatile ULONG KiDpcWatchdogLimit = DPC_WATCHDOG_LIMIT;

VOID KiWatchDpcs(PKPRCB Prcb, KIRQL PreviousIrql)
{
    ULONG TimeLimit = KiDpcTimeLimit;
    ULONG WatchdogLimit = KiDpcWatchdogLimit;

    if (!Prcb->DpcRoutineActive || Prcb->DpcCount != Prcb->WatchedDpc)
    {
        Prcb->WatchedDpc = Prcb->DpcCount;
        Prcb->DpcTicks = 0;
    }
    Prcb->DpcTicks += Prcb->DpcRoutineActive;
    Prcb->DispatchTicks = PreviousIrql < DISPATCH_LEVEL ? 0 : Prcb->DispatchTicks + 1;

    if (TimeLimit != 0 && Prcb->DpcTicks > TimeLimit)
    {
        KeBugCheckEx(DPC_WATCHDOG_VIOLATION, SINGLE_DPC, Prcb->DpcTicks, TimeLimit, 0);
    }
    if (WatchdogLimit != 0 && Prcb->DispatchTicks > WatchdogLimit)
    {
        KeBugCheckEx(DPC_WATCHDOG_VIOLATION, CUMULATIVE, WatchdogLimit, 0, 0);
    }
}

static ULONG KiTicksLeft(ULONG Limit, ULONG Count)
{
    return Count < Limit ? Limit - Count : 0;
}

NTSTATUS KeQueryDpcWatchdogInformation(PKDPC_WATCHDOG_INFORMATION WatchdogInformation)
{
    PKPRCB Prcb;

    if (!KeIsExecutingDpc())
    {
        return STATUS_UNSUCCESSFUL;
    }
    Prcb = KiGetCurrentPrcb();
    RtlZeroMemory(WatchdogInformation, sizeof(*WatchdogInformation));
    WatchdogInformation->DpcTimeLimit = KiDpcTimeLimit;
    WatchdogInformation->DpcTimeCount = KiTicksLeft(
        KiDpcTimeLimit, Prcb->DpcCount == Prcb->WatchedDpc ? Prcb->DpcTicks : 0);
    WatchdogInformation->DpcWatchdogLimit = KiDpcWatchdogLimit;
    WatchdogInformation->DpcWatchdogCount = KiTicksLeft(KiDpcWatchdogLimit, Prcb->DispatchTicks);
    return STATUS_SUCCESS;
}

/* The stretch has lasted for a whole tick, or a thread that should run is held up by it; or DPCs or
 * timers are, and the caller is not one of them. */
LOGICAL KeShouldYieldProcessor(VOID)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    KI_ASSERT_IRQL_MIN(DISPATCH_LEVEL);
    return Prcb->DispatchTicks > 1 || Prcb->Due.Schedule ||
           (!Prcb->DpcRoutineActive && (Prcb->Due.Any & KI_DUE_DISPATCH) != 0);
}
