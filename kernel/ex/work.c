/* SPDX-License-Identifier: MIT */
/*
 * work.c - work items: calls at PASSIVE_LEVEL, asked for at DISPATCH_LEVEL.
 *
 * PURPOSE
 *   A DPC may not wait, map memory or take long. What has to, it leaves to a system thread; and
 *   since few drivers have enough of it to keep a thread of their own, they share some.
 *
 * HOW IT WORKS
 *   Three queues, each a KQUEUE with threads of its own at a fixed priority, so urgent work does
 *   not stand behind a long disk operation. The KQUEUE sees to it that about as many of them run as
 *   there are processors; workpool.c, that there is always one more when all are blocked.
 *
 *   An item is (List.Flink): NULL while it is in no queue.
 *       queue   (NULL) -> (queued)     by exchange, so of two who queue it at once one is told
 *       take    (queued) -> (NULL)     by the worker; routine and parameter are copied first
 *   and then the routine is called. From the moment it is called the item is the routine's: it may
 *   free it, or queue it again and be called a second time, in parallel. A worker touches no item
 *   that it has called.
 *
 *   The routine has to leave the thread as it found it: alive (0xE9), at PASSIVE_LEVEL (0xE1), in
 *   the same critical and guarded regions (checked builds, 0x1).
 *
 * LOCKS AND IRQL
 *   The KQUEUE's own lock. <= DISPATCH_LEVEL to queue, PASSIVE_LEVEL to work.
 *
 * ORDERING
 *   What was written before an item was queued its routine sees: the queue's lock, or the hand-over
 *   to a waiting worker. The last look at the queue's state, and ExpWatchQueues: see workpool.c.
 *
 * FURTHER READING
 *   Microsoft: "System Worker Threads", "ExQueueWorkItem", "IoQueueWorkItem", "Bug Check 0xE4".
 *   docs/objects.md.
 */
#include "work.h"

#include <psp.h>
#include <twin.h>

/* WORKER_INVALID's first parameter. */
#define WORKER_QUEUED_TWICE 0x1
#define WORKER_NO_SUCH_QUEUE 0x6
#define WORKER_NO_ROUTINE 0x7

EXP_WORK_QUEUE ExpWorkQueues[MaximumWorkQueue] = {
    [CriticalWorkQueue] = {.Name = "critical worker", .Priority = 13, .Permanent = 2},
    [DelayedWorkQueue] = {.Name = "delayed worker", .Priority = 12, .Permanent = 2},
    [HyperCriticalWorkQueue] = {.Name = "hypercritical worker", .Priority = 15, .Permanent = 1},
};

VOID ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType)
{
    PKQUEUE Queue;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if ((ULONG)QueueType >= MaximumWorkQueue)
    {
        KeBugCheckEx(WORKER_INVALID, WORKER_NO_SUCH_QUEUE, (ULONG_PTR)WorkItem, QueueType, 0);
    }
    if (WorkItem->WorkerRoutine == NULL)
    {
        KeBugCheckEx(WORKER_INVALID, WORKER_NO_ROUTINE, (ULONG_PTR)WorkItem, QueueType, 0);
    }
    /* (NULL) -> (claimed): a KQUEUE may hand it to a worker without ever linking it. */
    if (InterlockedExchangePointer(&WorkItem->List.Flink, &WorkItem->List) != NULL)
    {
        KeBugCheckEx(WORKER_INVALID, WORKER_QUEUED_TWICE, (ULONG_PTR)WorkItem, QueueType, 0);
    }
    Queue = &ExpWorkQueues[QueueType].Queue;
    KeInsertQueue(Queue, &WorkItem->List); /* the item may be gone when this returns */
    if (KeReadStateQueue(Queue) != 0)
    {
        ExpWatchQueues();
    }
}

/* ------------------------------------------------------------------ Workers. */

static VOID ExpCheckReturn(PWORKER_THREAD_ROUTINE Routine, PVOID Parameter, PVOID Item,
                           SHORT KernelApcDisable, SHORT SpecialApcDisable)
{
    PKTHREAD Thread = KeGetCurrentThread();

    if (KeGetCurrentIrql() != PASSIVE_LEVEL)
    {
        KeBugCheckEx(WORKER_THREAD_RETURNED_AT_BAD_IRQL, (ULONG_PTR)Routine, KeGetCurrentIrql(),
                     (ULONG_PTR)Parameter, (ULONG_PTR)Item);
    }
#if DBG
    if (Thread->KernelApcDisable != KernelApcDisable ||
        Thread->SpecialApcDisable != SpecialApcDisable)
    {
        KeBugCheckEx(APC_INDEX_MISMATCH, (ULONG_PTR)Routine, 0,
                     ((ULONG_PTR)(USHORT)Thread->SpecialApcDisable << 16) |
                         (USHORT)Thread->KernelApcDisable,
                     0);
    }
#else
    UNREFERENCED_PARAMETER(Thread);
    UNREFERENCED_PARAMETER(KernelApcDisable);
    UNREFERENCED_PARAMETER(SpecialApcDisable);
#endif
}

static VOID ExpCallItem(PWORK_QUEUE_ITEM Item)
{
    PKTHREAD Thread = KeGetCurrentThread();
    SHORT KernelApcDisable = Thread->KernelApcDisable;
    SHORT SpecialApcDisable = Thread->SpecialApcDisable;
    PWORKER_THREAD_ROUTINE Routine = Item->WorkerRoutine;
    PVOID Parameter = Item->Parameter;

    if (!KI_TWIN(KiTwinWorkQueuedTooLong))
    {
        Item->List.Flink = NULL; /* (queued) -> (NULL) */
    }
    ((PETHREAD)Thread)->ActiveExWorker = TRUE;
    Routine(Parameter);
    ((PETHREAD)Thread)->ActiveExWorker = FALSE;
    if (KI_TWIN(KiTwinWorkQueuedTooLong))
    {
        Item->List.Flink = NULL;
    }
    ExpCheckReturn(Routine, Parameter, Item, KernelApcDisable, SpecialApcDisable);
}

/* TRUE if the calling worker is one too many: it is counted out, and ends. */
static BOOLEAN ExpLeavePool(PEXP_WORK_QUEUE WorkQueue)
{
    LONG Threads = ReadNoFence(&WorkQueue->Threads);

    while (Threads > WorkQueue->Permanent)
    {
        LONG Seen = InterlockedCompareExchange(&WorkQueue->Threads, Threads - 1, Threads);

        if (Seen == Threads)
        {
            return TRUE;
        }
        Threads = Seen;
    }
    return FALSE;
}

/* Idle threads are taken last come first, so those that time out are the ones too many. While there
 * are no more than the permanent ones nobody sets a timer: an idle machine has none. */
VOID ExpWorker(PVOID Context)
{
    LARGE_INTEGER IdleLimit = {.QuadPart = -EXP_IDLE_LIMIT};
    PEXP_WORK_QUEUE WorkQueue = Context;

    for (;;)
    {
        BOOLEAN Spare = ReadNoFence(&WorkQueue->Threads) > WorkQueue->Permanent;
        PLIST_ENTRY Entry = KeRemoveQueue(&WorkQueue->Queue, KernelMode, Spare ? &IdleLimit : NULL);

        if (Entry != (PLIST_ENTRY)(ULONG_PTR)STATUS_TIMEOUT)
        {
            ExpCallItem(CONTAINING_RECORD(Entry, WORK_QUEUE_ITEM, List));
        }
        else if (ExpLeavePool(WorkQueue))
        {
            return;
        }
    }
}
