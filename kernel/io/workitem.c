/* SPDX-License-Identifier: MIT */
/*
 * workitem.c - drivers' work items: an executive one with the driver's routine and object.
 *
 * (Queued) says that the item is in a queue:
 *     0 -> 1   IoQueueWorkItem, by exchange: an item queued twice is found at any moment
 *     1 -> 0   the worker, when it has read everything, before the driver's routine: from then on
 *              the item is the routine's, to free or to queue again
 * The device object is not counted here: a driver waits for its work items before it deletes it.
 * Microsoft: "IoAllocateWorkItem", "IoQueueWorkItemEx", "Bug Check 0xE4".
 */
#include "iop.h"

#define IOP_TAG_WORKITEM 'kWIi'

/* WORKER_INVALID's first parameter. */
#define WORKER_QUEUED_TWICE 0x1
#define WORKER_FREED_WHILE_QUEUED 0x2

typedef struct _IO_WORKITEM
{
    WORK_QUEUE_ITEM Item;
    PVOID Object; /* constant */
    PIO_WORKITEM_ROUTINE Routine;
    PIO_WORKITEM_ROUTINE_EX ExtendedRoutine; /* if Routine is NULL */
    PVOID Context;
    volatile LONG Queued;
} IO_WORKITEM;

/* In a worker, at PASSIVE_LEVEL. */
static VOID IopRunWorkItem(PVOID Parameter)
{
    PIO_WORKITEM WorkItem = Parameter;
    IO_WORKITEM Call = *WorkItem;

    InterlockedExchange(&WorkItem->Queued, 0); /* pairs with: IopQueueWorkItem */
    if (Call.Routine != NULL)
    {
        Call.Routine(Call.Object, Call.Context);
    }
    else
    {
        Call.ExtendedRoutine(Call.Object, Call.Context, WorkItem);
    }
}

ULONG IoSizeofWorkItem(VOID)
{
    return sizeof(IO_WORKITEM);
}

VOID IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    RtlZeroMemory(IoWorkItem, sizeof(*IoWorkItem));
    IoWorkItem->Object = IoObject;
    ExInitializeWorkItem(&IoWorkItem->Item, IopRunWorkItem, IoWorkItem);
}

static VOID IopRetireWorkItem(PIO_WORKITEM WorkItem)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (ReadAcquire(&WorkItem->Queued) != 0)
    {
        KeBugCheckEx(WORKER_INVALID, WORKER_FREED_WHILE_QUEUED, (ULONG_PTR)WorkItem,
                     WorkItem->Routine != NULL ? (ULONG_PTR)WorkItem->Routine
                                               : (ULONG_PTR)WorkItem->ExtendedRoutine,
                     0);
    }
}

VOID IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem)
{
    IopRetireWorkItem(IoWorkItem);
}

PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject)
{
    PIO_WORKITEM WorkItem = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*WorkItem),
                                            IOP_TAG_WORKITEM);

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (WorkItem != NULL)
    {
        IoInitializeWorkItem(DeviceObject, WorkItem);
    }
    return WorkItem;
}

VOID IoFreeWorkItem(PIO_WORKITEM IoWorkItem)
{
    IopRetireWorkItem(IoWorkItem);
    ExFreePoolWithTag(IoWorkItem, IOP_TAG_WORKITEM);
}

static VOID IopQueueWorkItem(PIO_WORKITEM WorkItem, PIO_WORKITEM_ROUTINE Routine,
                             PIO_WORKITEM_ROUTINE_EX ExtendedRoutine, WORK_QUEUE_TYPE QueueType,
                             PVOID Context)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (InterlockedExchange(&WorkItem->Queued, 1) != 0) /* pairs with: IopRunWorkItem */
    {
        KeBugCheckEx(WORKER_INVALID, WORKER_QUEUED_TWICE, (ULONG_PTR)WorkItem, QueueType, 0);
    }
    WorkItem->Routine = Routine;
    WorkItem->ExtendedRoutine = ExtendedRoutine;
    WorkItem->Context = Context;
    ExQueueWorkItem(&WorkItem->Item, QueueType);
}

VOID IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine,
                     WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    IopQueueWorkItem(IoWorkItem, WorkerRoutine, NULL, QueueType, Context);
}

VOID IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine,
                       WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    IopQueueWorkItem(IoWorkItem, NULL, WorkerRoutine, QueueType, Context);
}
