/* SPDX-License-Identifier: MIT */
/*
 * delay.c - waiting for time alone, and giving way.
 *
 * A delay is a wait without objects: nothing can satisfy it, so it ends by its time-out, or by an
 * alert. An APC interrupts it too; then it is begun again for what is left of it, counted from the
 * first call. The time-out is taken back after each, so the thread's timer is free when the next
 * wait needs it.
 */
#include "wait.h"

NTSTATUS ZwYieldExecution(VOID)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    return KiYieldThread() ? STATUS_SUCCESS : STATUS_NO_YIELD_PERFORMED;
}

/* One wait of the running thread, until Due or until something else ends it: KI_WAIT_... */
static LONG KiDelayOnce(PKTHREAD Thread, LARGE_INTEGER Due)
{
    LONG Outcome;

    WriteRelease(&Thread->WaitState, KI_WAIT_PREPARING); /* pairs with: KiDecideWait */
    KiSetTimeout(Thread, Due);
    Outcome = KiCommitWait(Thread);
    KiCancelTimeout(Thread);
    return Outcome;
}

NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                PLARGE_INTEGER Interval)
{
    PKTHREAD Thread = KeGetCurrentThread();
    LARGE_INTEGER Left = *Interval;
    ULONG64 Deadline = KiWaitDeadline(&Left);
    NTSTATUS Status = STATUS_SUCCESS;
    LONG Outcome;

    UNREFERENCED_PARAMETER(WaitMode);
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    if (Left.QuadPart == 0)
    {
        ZwYieldExecution();
        return STATUS_SUCCESS;
    }
    KiBeginWait(Thread, NULL, DelayExecution, Alertable, &Left);
    do
    {
        Outcome = KiDelayOnce(Thread, Left);
        if (Outcome == KI_WAIT_APC)
        {
            KiBeginWaitAgain(Thread, &Left, Deadline);
        }
    } while (Outcome == KI_WAIT_APC && Left.QuadPart != 0);
    if (Outcome == KI_WAIT_ALERTED)
    {
        KiConsumeAlert(Thread);
        Status = STATUS_ALERTED;
    }
    KiLowerIrql(Thread->WaitIrql);
    return Status;
}
