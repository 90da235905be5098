/* SPDX-License-Identifier: MIT */
/* waitkit.c - see waitkit.h. */
#include "waitkit.h"

LARGE_INTEGER KtPoll = {.QuadPart = 0};

VOID KtAwaitBlocked(PKT_THREAD Thread)
{
    ULONG64 End = KtNow() + WAIT_LIMIT;
    PKTHREAD Tcb = &Thread->Thread;

    while (ReadAcquire(&Tcb->State) != Waiting || ReadAcquire(&Tcb->SwapState) != KiSwapSaved)
    {
        if (KtNow() > End)
        {
            KT_CHECK(FALSE, "thread %p does not wait: state %d, wait %x", Tcb, Tcb->State,
                     Tcb->WaitState);
            return;
        }
        YieldProcessor();
    }
}

LARGE_INTEGER KtRelative(ULONG64 Units)
{
    LARGE_INTEGER Time = {.QuadPart = -(LONGLONG)Units};

    return Time;
}

NTSTATUS KtWait(PVOID Object)
{
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
}

NTSTATUS KtAsk(PVOID Object)
{
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &KtPoll);
}
