/* SPDX-License-Identifier: MIT */
/*
 * work.c - work items run once each, at PASSIVE_LEVEL, at their queue's priority, whoever queued
 * them and from where; they belong to their routine once it is called; blocked workers are not the
 * end.
 */
#include "objkit.h"

#include <io.h>
#include <work.h>

static const KPRIORITY Priorities[MaximumWorkQueue] = {
    [CriticalWorkQueue] = 13,
    [DelayedWorkQueue] = 12,
    [HyperCriticalWorkQueue] = 15,
};

/* ------------------------------------------------------------------ One call. */

typedef struct _ONE_CALL
{
    WORK_QUEUE_ITEM Item;
    KIRQL Irql;
    KPRIORITY Priority;
    volatile LONG Calls;
    KEVENT Called;
} ONE_CALL, *PONE_CALL;

static VOID CallOnce(PVOID Parameter)
{
    PONE_CALL Call = Parameter;

    Call->Irql = KeGetCurrentIrql();
    Call->Priority = KeGetCurrentThread()->BasePriority;
    InterlockedIncrement(&Call->Calls);
    KeSetEvent(&Call->Called, IO_NO_INCREMENT, FALSE);
}

static VOID RunsAtPassive(VOID)
{
    for (ULONG Queue = 0; Queue < MaximumWorkQueue; Queue++)
    {
        for (KIRQL Irql = PASSIVE_LEVEL; Irql <= DISPATCH_LEVEL; Irql++)
        {
            ONE_CALL Call = {.Calls = 0};
            KIRQL OldIrql;

            KeInitializeEvent(&Call.Called, NotificationEvent, FALSE);
            ExInitializeWorkItem(&Call.Item, CallOnce, &Call);
            KeRaiseIrql(Irql, &OldIrql);
            ExQueueWorkItem(&Call.Item, (WORK_QUEUE_TYPE)Queue);
            KeLowerIrql(OldIrql);
            KtAwait(&Call.Called);
            KT_CHECK(Call.Calls == 1 && Call.Irql == PASSIVE_LEVEL, "%d calls, IRQL %u", Call.Calls,
                     Call.Irql);
            KT_CHECK(Call.Priority == Priorities[Queue], "queue %u: priority %d", Queue,
                     Call.Priority);
        }
    }
}

/* ------------------------------------------------------------------ Items that their routine frees
 * or queues again. */

typedef struct _CHAIN
{
    WORK_QUEUE_ITEM Item;
    WORK_QUEUE_TYPE Queue;
    LONG Left;
    PKEVENT Ended;
} CHAIN, *PCHAIN;

static VOID NextLink(PVOID Parameter)
{
    PCHAIN Chain = Parameter;

    if (--Chain->Left != 0)
    {
        ExQueueWorkItem(&Chain->Item, Chain->Queue);
    }
    else
    {
        PKEVENT Ended = Chain->Ended;

        ExFreePoolWithTag(Chain, TAG_OBJECT);
        KeSetEvent(Ended, IO_NO_INCREMENT, FALSE);
    }
}

static VOID QueueAgainAndFree(VOID)
{
    for (ULONG Queue = 0; Queue < MaximumWorkQueue; Queue++)
    {
        PCHAIN Chain = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Chain), TAG_OBJECT);
        KEVENT Ended;

        KT_REQUIRE(Chain != NULL, "no memory");
        KeInitializeEvent(&Ended, NotificationEvent, FALSE);
        ExInitializeWorkItem(&Chain->Item, NextLink, Chain);
        Chain->Queue = (WORK_QUEUE_TYPE)Queue;
        Chain->Left = 100;
        Chain->Ended = &Ended;
        ExQueueWorkItem(&Chain->Item, Chain->Queue);
        KtAwait(&Ended);
    }
}

/* ------------------------------------------------------------------ Many. */

typedef struct _FLOOD
{
    volatile LONG Queued;
    volatile LONG Called;
    volatile LONG AllQueued;
    KEVENT Done;
} FLOOD, *PFLOOD;

typedef struct _FLOOD_ITEM
{
    WORK_QUEUE_ITEM Item;
    PFLOOD Flood;
} FLOOD_ITEM, *PFLOOD_ITEM;

static VOID CountCall(PFLOOD Flood)
{
    LONG Called = InterlockedIncrement(&Flood->Called);

    if (ReadAcquire(&Flood->AllQueued) && Called == Flood->Queued)
    {
        KeSetEvent(&Flood->Done, IO_NO_INCREMENT, FALSE);
    }
}

static VOID FloodRoutine(PVOID Parameter)
{
    PFLOOD_ITEM Item = Parameter;
    PFLOOD Flood = Item->Flood;

    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    ExFreePoolWithTag(Item, TAG_OBJECT);
    CountCall(Flood);
}

static VOID QueueOne(PFLOOD Flood, ULONG64 Choice)
{
    PFLOOD_ITEM Item = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Item), TAG_OBJECT);

    if (Item != NULL)
    {
        Item->Flood = Flood;
        ExInitializeWorkItem(&Item->Item, FloodRoutine, Item);
        InterlockedIncrement(&Flood->Queued);
        ExQueueWorkItem(&Item->Item, (WORK_QUEUE_TYPE)(Choice % MaximumWorkQueue));
    }
}

static VOID BeginFlood(PFLOOD Flood)
{
    RtlZeroMemory(Flood, sizeof(*Flood));
    KeInitializeEvent(&Flood->Done, NotificationEvent, FALSE);
    InterlockedIncrement(&Flood->Queued); /* our own call, below */
}

/* Called == Queued exactly once all are: no sooner, and no item twice. */
static VOID EndFlood(PFLOOD Flood)
{
    InterlockedExchange(&Flood->AllQueued, TRUE);
    CountCall(Flood);
    KtAwait(&Flood->Done);
    KT_CHECK(Flood->Called == Flood->Queued, "%d queued, %d called", Flood->Queued, Flood->Called);
    KtNote("%d items", Flood->Queued);
}

static VOID FloodFrom(PVOID Context, ULONG Processor)
{
    ULONG64 End = KtNow() + KtBudget() / 2;
    KT_RANDOM Random;

    KtSeed(&Random, Processor);
    for (ULONG Count = 0; Count < 50 || (KtNow() < End && Count < 5000); Count++)
    {
        ULONG64 Choice = KtRandom(&Random);
        KIRQL OldIrql;

        KeRaiseIrql((KIRQL)(Choice >> 8) % (DISPATCH_LEVEL + 1), &OldIrql);
        QueueOne(Context, Choice);
        KeLowerIrql(OldIrql);
    }
}

static VOID FloodConserved(VOID)
{
    FLOOD Flood;

    BeginFlood(&Flood);
    KtParallel(FloodFrom, &Flood);
    EndFlood(&Flood);
}

static VOID QueueInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument2);
    QueueOne(Context, (ULONG64)Argument1);
}

static VOID QueuedInDpcs(VOID)
{
    KDPC Dpcs[16];
    FLOOD Flood;

    BeginFlood(&Flood);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Dpcs); Index++)
    {
        KeInitializeDpc(&Dpcs[Index], QueueInDpc, &Flood);
        KeSetTargetProcessorDpc(&Dpcs[Index], (CHAR)(Index % KtProcessors()));
    }
    for (ULONG64 Round = 0; Round < 20; Round++)
    {
        for (ULONG Index = 0; Index < RTL_NUMBER_OF(Dpcs); Index++)
        {
            KeInsertQueueDpc(&Dpcs[Index], (PVOID)(Round + Index), NULL);
        }
        KeFlushQueuedDpcs();
    }
    EndFlood(&Flood);
    KT_CHECK(Flood.Queued == 20 * RTL_NUMBER_OF(Dpcs) + 1, "%d queued", Flood.Queued);
}

/* ------------------------------------------------------------------ Blocked workers. */

#define BLOCKED_ITEMS 10

typedef struct _BLOCK
{
    WORK_QUEUE_ITEM Items[BLOCKED_ITEMS + 1];
    KEVENT Release;
    volatile LONG Blocked;
    volatile LONG Released;
    KEVENT Done;
} BLOCK, *PBLOCK;

static VOID BlockWorker(PVOID Parameter)
{
    PBLOCK Block = Parameter;

    InterlockedIncrement(&Block->Blocked);
    KtAwait(&Block->Release);
    if (InterlockedIncrement(&Block->Released) == BLOCKED_ITEMS)
    {
        KeSetEvent(&Block->Done, IO_NO_INCREMENT, FALSE);
    }
}

static VOID ReleaseWorkers(PVOID Parameter)
{
    KeSetEvent(&((PBLOCK)Parameter)->Release, IO_NO_INCREMENT, FALSE);
}

/* The last item would release all others, and has to find a thread. */
static VOID BlockedWorkersAreReplaced(VOID)
{
    PEXP_WORK_QUEUE WorkQueue = &ExpWorkQueues[DelayedWorkQueue];
    PBLOCK Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Block), TAG_OBJECT);

    KT_REQUIRE(Block != NULL, "no memory");
    KeInitializeEvent(&Block->Release, NotificationEvent, FALSE);
    KeInitializeEvent(&Block->Done, NotificationEvent, FALSE);
    for (ULONG Index = 0; Index < BLOCKED_ITEMS; Index++)
    {
        ExInitializeWorkItem(&Block->Items[Index], BlockWorker, Block);
        ExQueueWorkItem(&Block->Items[Index], DelayedWorkQueue);
    }
    ExInitializeWorkItem(&Block->Items[BLOCKED_ITEMS], ReleaseWorkers, Block);
    ExQueueWorkItem(&Block->Items[BLOCKED_ITEMS], DelayedWorkQueue);
    KtAwait(&Block->Done);
    KT_CHECK(Block->Blocked == BLOCKED_ITEMS, "%d blocked", Block->Blocked);
    KT_CHECK(WorkQueue->Threads <= (LONG)WorkQueue->Queue.MaximumCount + EXP_MAXIMUM_BLOCKED,
             "%d threads", WorkQueue->Threads);
    KtNote("%d threads", WorkQueue->Threads);
    /* The last to be released may still be in its KeSetEvent, but touches the block no more. */
    ExFreePoolWithTag(Block, TAG_OBJECT);
}

/* ------------------------------------------------------------------ Drivers' work items. */

typedef struct _IO_CALLS
{
    PIO_WORKITEM WorkItem;
    PDEVICE_OBJECT Device; /* what came in */
    LONG Left;
    volatile LONG Calls;
    KEVENT Done;
} IO_CALLS, *PIO_CALLS;

static VOID IoCallAgain(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    PIO_CALLS Calls = Context;

    Calls->Device = DeviceObject;
    Calls->Calls++;
    if (--Calls->Left != 0)
    {
        IoQueueWorkItem(Calls->WorkItem, IoCallAgain, DelayedWorkQueue, Calls);
    }
    else
    {
        IoFreeWorkItem(Calls->WorkItem);
        KeSetEvent(&Calls->Done, IO_NO_INCREMENT, FALSE);
    }
}

static VOID IoCallEx(PVOID IoObject, PVOID Context, PIO_WORKITEM IoWorkItem)
{
    PIO_CALLS Calls = Context;

    KT_CHECK(IoWorkItem == Calls->WorkItem, "another item");
    Calls->Device = IoObject;
    Calls->Calls++;
    IoUninitializeWorkItem(IoWorkItem);
    KeSetEvent(&Calls->Done, IO_NO_INCREMENT, FALSE);
}

static VOID DriversItems(VOID)
{
    DEVICE_OBJECT Device;
    IO_CALLS Calls = {.Left = 50};

    KeInitializeEvent(&Calls.Done, SynchronizationEvent, FALSE);
    Calls.WorkItem = IoAllocateWorkItem(&Device);
    KT_REQUIRE(Calls.WorkItem != NULL, "no memory");
    IoQueueWorkItem(Calls.WorkItem, IoCallAgain, DelayedWorkQueue, &Calls);
    KtAwait(&Calls.Done);
    KT_CHECK(Calls.Calls == 50 && Calls.Device == &Device, "%d calls", Calls.Calls);

    Calls.WorkItem = ExAllocatePool2(POOL_FLAG_NON_PAGED, IoSizeofWorkItem(), TAG_OBJECT);
    KT_REQUIRE(Calls.WorkItem != NULL, "no memory");
    IoInitializeWorkItem(&Device, Calls.WorkItem);
    IoQueueWorkItemEx(Calls.WorkItem, IoCallEx, CriticalWorkQueue, &Calls);
    KtAwait(&Calls.Done);
    KT_CHECK(Calls.Calls == 51 && Calls.Device == &Device, "%d calls", Calls.Calls);
    ExFreePoolWithTag(Calls.WorkItem, TAG_OBJECT);
}

/* ------------------------------------------------------------------ Misuse. */

static VOID EndWorker(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID TryToEndWorker(PVOID Parameter)
{
    PONE_CALL Call = Parameter;

    KtExpectBugCheck(ACTIVE_EX_WORKER_THREAD_TERMINATION, (ULONG_PTR)KeGetCurrentThread(),
                     EndWorker, NULL);
    CallOnce(Call);
}

static VOID QueueDelayed(PVOID Context)
{
    ExQueueWorkItem(Context, DelayedWorkQueue);
}

static VOID QueueNowhere(PVOID Context)
{
    ExQueueWorkItem(Context, (WORK_QUEUE_TYPE)MaximumWorkQueue);
}

static VOID QueueDriversItem(PVOID Context)
{
    IoQueueWorkItem(Context, IoCallAgain, DelayedWorkQueue, NULL);
}

static VOID FreeDriversItem(PVOID Context)
{
    IoFreeWorkItem(Context);
}

typedef struct _MISUSE
{
    PIO_WORKITEM WorkItem;
    IO_CALLS Calls;
    volatile LONG Raised;
    volatile LONG Done;
} MISUSE, *PMISUSE;

/* With every processor at DISPATCH_LEVEL no worker runs, so what is queued stays so. */
static VOID MisuseWhileQueued(PVOID Context, ULONG Processor)
{
    PMISUSE Misuse = Context;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    InterlockedIncrement(&Misuse->Raised);
    if (Processor == 0)
    {
        while (ReadAcquire(&Misuse->Raised) != (LONG)KtProcessors())
        {
            YieldProcessor();
        }
        IoQueueWorkItem(Misuse->WorkItem, IoCallAgain, DelayedWorkQueue, &Misuse->Calls);
        KtExpectBugCheck(WORKER_INVALID, 0x1, QueueDriversItem, Misuse->WorkItem);
        KtExpectBugCheck(WORKER_INVALID, 0x2, FreeDriversItem, Misuse->WorkItem);
        InterlockedExchange(&Misuse->Done, TRUE);
    }
    while (!ReadAcquire(&Misuse->Done))
    {
        YieldProcessor();
    }
    KeLowerIrql(OldIrql);
}

static VOID MisuseStops(VOID)
{
    MISUSE Misuse = {.Calls = {.Left = 1}};
    ONE_CALL Call = {.Calls = 0};
    WORK_QUEUE_ITEM Item;

    ExInitializeWorkItem(&Item, NULL, NULL);
    KtExpectBugCheck(WORKER_INVALID, 0x7, QueueDelayed, &Item);
    ExInitializeWorkItem(&Item, CallOnce, NULL);
    KtExpectBugCheck(WORKER_INVALID, 0x6, QueueNowhere, &Item);
    Item.List.Flink = &Item.List; /* as if it were in a queue */
    KtExpectBugCheck(WORKER_INVALID, 0x1, QueueDelayed, &Item);

    KeInitializeEvent(&Call.Called, NotificationEvent, FALSE);
    ExInitializeWorkItem(&Call.Item, TryToEndWorker, &Call);
    ExQueueWorkItem(&Call.Item, CriticalWorkQueue);
    KtAwait(&Call.Called);

    KeInitializeEvent(&Misuse.Calls.Done, SynchronizationEvent, FALSE);
    Misuse.WorkItem = Misuse.Calls.WorkItem = IoAllocateWorkItem(NULL);
    KT_REQUIRE(Misuse.WorkItem != NULL, "no memory");
    KtParallel(MisuseWhileQueued, &Misuse);
    KtAwait(&Misuse.Calls.Done);
    KT_CHECK(Misuse.Calls.Calls == 1, "%d calls", Misuse.Calls.Calls);
}

static const KT_CASE Cases[] = {
    {"work-runs-at-passive", RunsAtPassive, 0, FALSE},
    {"work-queued-again-and-freed", QueueAgainAndFree, 0, FALSE},
    {"work-flood-conserved", FloodConserved, 0, FALSE},
    {"work-queued-in-dpcs", QueuedInDpcs, 0, FALSE},
    {"work-blocked-replaced", BlockedWorkersAreReplaced, 0, FALSE},
    {"work-drivers-items", DriversItems, 0, FALSE},
    {"work-misuse-stops", MisuseStops, 0, TRUE},
};

KT_DEFINE_SUITE(KtWorkSuite, "ex", Cases);
