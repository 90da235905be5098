/* SPDX-License-Identifier: MIT */
/*
 * workpool.c - how many worker threads there are.
 *
 * Work may wait for other work: if every worker is blocked, the one item that would release them
 * must still find a thread. ExQueueWorkItem runs at DISPATCH_LEVEL and cannot make one, and it
 * cannot know that a worker which runs now will block later. So a thread watches: as long as any
 * queue holds an entry it looks at all of them every EXP_WATCH_INTERVAL, and where an entry could
 * run - fewer than MaximumCount workers do - but no worker is there to take it, it adds one. It
 * stops at MaximumCount running and EXP_MAXIMUM_BLOCKED blocked ones. With all queues empty it
 * waits for its event, and the machine has no timer on its account.
 *
 * ExpWatching says that the thread will look again without being told:
 *     FALSE -> TRUE    who has queued an item and found it still there; he sets the event
 *     TRUE  -> FALSE   the thread, when it has found all queues empty; then it looks once more
 * Both are exchanges, full barriers: either the inserter sees FALSE, or the thread's last look sees
 * his entry. pairs with: ExpWatchQueues, ExpWatch.
 */
#include "work.h"

#include <psp.h>

#define EXP_WATCH_INTERVAL (10 * 10000ll) /* 100 ns units */
#define EXP_WATCH_PRIORITY LOW_REALTIME_PRIORITY

static volatile LONG ExpWatching;

/* A synchronization event. */
static KEVENT ExpWorkIsLeft;

VOID ExpWatchQueues(VOID)
{
    if (InterlockedExchange(&ExpWatching, TRUE) == FALSE) /* pairs with: ExpWatch */
    {
        KeSetEvent(&ExpWorkIsLeft, IO_NO_INCREMENT, FALSE);
    }
}

/* ------------------------------------------------------------------ Adding a thread. */

static BOOLEAN ExpAddWorker(PEXP_WORK_QUEUE WorkQueue)
{
    PETHREAD Thread;

    if (!NT_SUCCESS(
            PspCreateThread(WorkQueue->Name, ExpWorker, WorkQueue, WorkQueue->Priority, &Thread)))
    {
        return FALSE;
    }
    InterlockedIncrement(&WorkQueue->Threads);
    KiStartThread(&Thread->Tcb);
    return TRUE;
}

/* TRUE if an entry could run but there is nobody for it. */
static BOOLEAN ExpLacksWorker(PKQUEUE Queue)
{
    BOOLEAN Lacks;
    KIRQL OldIrql;

    KeAcquireSpinLock(&Queue->Header.Lock, &OldIrql);
    Lacks = Queue->Header.SignalState != 0 && Queue->CurrentCount < Queue->MaximumCount &&
            IsListEmpty(&Queue->Header.WaitListHead);
    KeReleaseSpinLock(&Queue->Header.Lock, OldIrql);
    return Lacks;
}

static VOID ExpBalanceQueue(PEXP_WORK_QUEUE WorkQueue)
{
    LONG Limit = (LONG)WorkQueue->Queue.MaximumCount + EXP_MAXIMUM_BLOCKED;

    if (!ExpLacksWorker(&WorkQueue->Queue))
    {
        return;
    }
    if (ReadNoFence(&WorkQueue->Threads) >= Limit)
    {
        if (!WorkQueue->Exhausted)
        {
            KiLog(KiLogWarning, "ex: %d threads (%s), all blocked; %d work items wait",
                  WorkQueue->Threads, WorkQueue->Name, KeReadStateQueue(&WorkQueue->Queue));
            WorkQueue->Exhausted = TRUE;
        }
        return;
    }
    WorkQueue->Exhausted = FALSE;
    ExpAddWorker(WorkQueue); /* without memory the entry waits for the next look */
}

/* ------------------------------------------------------------------ Watching. */

static BOOLEAN ExpIsWorkLeft(VOID)
{
    for (ULONG Type = 0; Type < MaximumWorkQueue; Type++)
    {
        if (KeReadStateQueue(&ExpWorkQueues[Type].Queue) != 0)
        {
            return TRUE;
        }
    }
    return FALSE;
}

static VOID ExpWatch(PVOID Context)
{
    LARGE_INTEGER Interval = {.QuadPart = -EXP_WATCH_INTERVAL};

    UNREFERENCED_PARAMETER(Context);
    for (;;)
    {
        while (ExpIsWorkLeft())
        {
            KeDelayExecutionThread(KernelMode, FALSE, &Interval); /* most is taken meanwhile */
            for (ULONG Type = 0; Type < MaximumWorkQueue; Type++)
            {
                ExpBalanceQueue(&ExpWorkQueues[Type]);
            }
        }
        InterlockedExchange(&ExpWatching, FALSE); /* pairs with: ExpWatchQueues */
        if (!ExpIsWorkLeft())
        {
            KeWaitForSingleObject(&ExpWorkIsLeft, Executive, KernelMode, FALSE, NULL);
        }
    }
}

VOID ExpInitializeWorkQueues(VOID)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KeInitializeEvent(&ExpWorkIsLeft, SynchronizationEvent, FALSE);
    for (ULONG Type = 0; Type < MaximumWorkQueue; Type++)
    {
        KeInitializeQueue(&ExpWorkQueues[Type].Queue, 0);
    }
}

VOID ExpInitializeWorkers(VOID)
{
    NTSTATUS Status;
    PETHREAD Thread;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    for (ULONG Type = 0; Type < MaximumWorkQueue; Type++)
    {
        for (LONG Count = 0; Count < ExpWorkQueues[Type].Permanent; Count++)
        {
            if (!ExpAddWorker(&ExpWorkQueues[Type]))
            {
                KeBugCheckEx(PHASE1_INITIALIZATION_FAILED, Type, (ULONG_PTR)Count, 0, 0);
            }
        }
    }
    Status = PspCreateThread("worker balance", ExpWatch, NULL, EXP_WATCH_PRIORITY, &Thread);
    if (!NT_SUCCESS(Status))
    {
        KeBugCheckEx(PHASE1_INITIALIZATION_FAILED, (ULONG_PTR)Status, 0, 0, 0);
    }
    KiStartThread(&Thread->Tcb);
}
