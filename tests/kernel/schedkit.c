/* SPDX-License-Identifier: MIT */
/* schedkit.c - see schedkit.h. */
#include "schedkit.h"

static VOID HogMain(PVOID Context)
{
    PHOG Hog = Context;

    WriteRelease(&Hog->Started, TRUE);
    while (!ReadAcquire(&Hog->Stop))
    {
        Hog->Turns++;
        YieldProcessor();
    }
}

VOID HogStart(PHOG Hog, KPRIORITY Priority, ULONG Processor)
{
    Hog->Started = Hog->Stop = FALSE;
    Hog->Turns = 0;
    KtCreateThread(&Hog->Thread, HogMain, Hog, Priority, Processor);
}

BOOLEAN HogAwait(PHOG Hog)
{
    BOOLEAN Started = KtWaitFor(&Hog->Started, TRUE, SCHED_LIMIT);

    KT_CHECK(Started, "a thread of priority %d has not run: state %d, CPU %u",
             Hog->Thread.Thread.Priority, Hog->Thread.Thread.State, Hog->Thread.Thread.Processor);
    return Started;
}

VOID HogStop(PHOG Hog)
{
    WriteRelease(&Hog->Stop, TRUE);
}

VOID HogJoin(PHOG Hog)
{
    HogStop(Hog);
    KtJoinThread(&Hog->Thread);
}

KPRIORITY SchedSetPriority(KPRIORITY Priority)
{
    return KeSetPriorityThread(KeGetCurrentThread(), Priority);
}

GROUP_AFFINITY SchedOneProcessor(ULONG Processor)
{
    GROUP_AFFINITY Affinity = {0};
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    Affinity.Group = Number.Group;
    Affinity.Mask = (KAFFINITY)1 << Number.Number;
    return Affinity;
}

BOOLEAN SchedAwaitReady(PKT_THREAD Thread)
{
    ULONG64 End = KtNow() + SCHED_LIMIT;

    while (ReadAcquire(&Thread->Thread.State) != Ready)
    {
        if (KtNow() > End)
        {
            KT_CHECK(FALSE, "thread %p is not ready: state %d", &Thread->Thread,
                     Thread->Thread.State);
            return FALSE;
        }
        YieldProcessor();
    }
    return TRUE;
}

BOOLEAN SchedAwaitBlocked(PKT_THREAD Thread)
{
    ULONG64 End = KtNow() + SCHED_LIMIT;

    while (ReadAcquire(&Thread->Thread.State) != Waiting ||
           ReadAcquire(&Thread->Thread.SwapState) != KiSwapSaved)
    {
        if (KtNow() > End)
        {
            KT_CHECK(FALSE, "thread %p does not wait: state %d", &Thread->Thread,
                     Thread->Thread.State);
            return FALSE;
        }
        KtSleep(KT_MILLISECONDS(1) / 4);
    }
    return TRUE;
}
