/* SPDX-License-Identifier: MIT */
/* waitkit.c - see waitkit.h. */
#include "waitkit.h"

LARGE_INTEGER KtPoll = {.QuadPart = 0};

/* Until it is at rest, or *Over. */
static VOID AwaitBlockedUnless(PKTHREAD Tcb, volatile LONG *Over)
{
    ULONG64 End = KtNow() + WAIT_LIMIT;

    while (ReadAcquire(&Tcb->State) != Waiting || ReadAcquire(&Tcb->SwapState) != KiSwapSaved)
    {
        if (ReadAcquire(Over))
        {
            return;
        }
        if (KtNow() > End)
        {
            KT_CHECK(FALSE, "thread %p does not wait: state %d, wait %x", Tcb, Tcb->State,
                     Tcb->WaitState);
            return;
        }
        YieldProcessor();
    }
}

VOID KtAwaitBlocked(PKT_THREAD Thread)
{
    static volatile LONG Never;

    AwaitBlockedUnless(&Thread->Thread, &Never);
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

NTSTATUS KtWaitMany(WAIT_TYPE Type, ULONG Count, PVOID Objects[], PLARGE_INTEGER Timeout)
{
    return KeWaitForMultipleObjects(Count, Objects, Type, Executive, KernelMode, FALSE, Timeout,
                                    NULL);
}

NTSTATUS KtAskMany(WAIT_TYPE Type, ULONG Count, PVOID Objects[])
{
    return KtWaitMany(Type, Count, Objects, &KtPoll);
}

VOID KtCheckNobodyWaits(PVOID Object)
{
    PDISPATCHER_HEADER Header = Object;
    KIRQL OldIrql = KeAcquireSpinLockRaiseToDpc(&Header->Lock);
    BOOLEAN Empty = IsListEmpty(&Header->WaitListHead);
    ULONG WaitAllCount = Header->WaitAllCount;

    KeReleaseSpinLock(&Header->Lock, OldIrql);
    KT_CHECK(Empty && WaitAllCount == 0, "type %u: list %s, %u that wait for all", Header->Type,
             Empty ? "empty" : "not empty", WaitAllCount);
}

/* ------------------------------------------------------------------ Waiters. */

static VOID RunWaiter(PVOID Context)
{
    PKT_WAITER Waiter = Context;
    LARGE_INTEGER Timeout = Waiter->Timeout;
    ULONG64 Began;

    if (Timeout.QuadPart == 0)
    {
        Timeout = KtRelative(WAIT_LIMIT);
    }
    if (Waiter->Before != NULL)
    {
        Waiter->Before(Waiter);
    }
    Began = KtNow();
    Waiter->Status = KeWaitForMultipleObjects(Waiter->Count, Waiter->Objects, Waiter->Type,
                                              Executive, KernelMode, Waiter->Alertable, &Timeout,
                                              Waiter->Blocks);
    Waiter->Took = KtNow() - Began;
    if (Waiter->After != NULL)
    {
        Waiter->After(Waiter);
    }
    WriteRelease(&Waiter->Done, TRUE);
}

VOID KtStartWaiter(PKT_WAITER Waiter, ULONG Processor)
{
    Waiter->Done = FALSE;
    Waiter->Status = STATUS_PENDING;
    KtCreateThread(&Waiter->Thread, RunWaiter, Waiter, KI_DEFAULT_PRIORITY + 1, Processor);
    AwaitBlockedUnless(&Waiter->Thread.Thread, &Waiter->Done);
}

VOID KtFinishWaiter(PKT_WAITER Waiter, NTSTATUS Expected)
{
    KtJoinThread(&Waiter->Thread);
    KT_CHECK(Waiter->Status == Expected, "the wait returned %x, not %x", Waiter->Status, Expected);
}
