/* SPDX-License-Identifier: MIT */
/* stubs.c - stand-ins. */
#include <ex.h>

#include "sched.h"
#include "wait.h"
#define WEAK __attribute__((weak))
WEAK VOID KiDeliverApcs(VOID)
{
    KI_CURRENT_PRCB->Due.Apc = FALSE;
}
WEAK VOID KiApcInterrupt(PKTRAP_FRAME Frame)
{
    UNREFERENCED_PARAMETER(Frame);
    KI_CURRENT_PRCB->ApcInterrupts++;
}
WEAK BOOLEAN KiApcIsDeliverable(PKTHREAD Thread)
{
    UNREFERENCED_PARAMETER(Thread);
    return FALSE;
}
WEAK VOID KiRundownApcs(PKTHREAD Thread)
{
    UNREFERENCED_PARAMETER(Thread);
}
WEAK BOOLEAN KiConsumeAlert(PKTHREAD Thread)
{
    UNREFERENCED_PARAMETER(Thread);
    return FALSE;
}
WEAK VOID KiSwapExtendedState(PKTHREAD Old, PKTHREAD New)
{
    UNREFERENCED_PARAMETER(Old);
    UNREFERENCED_PARAMETER(New);
}
WEAK VOID ExRaiseStatus(NTSTATUS Status)
{
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG64)Status, 0, 0, 0);
}
