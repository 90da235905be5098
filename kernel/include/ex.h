/* SPDX-License-Identifier: MIT */
/*
 * ex.h - executive services: the pool, work for system worker threads, locks (exlock.h), lists
 * (exlist.h).
 */
#pragma once

#include <ntdef.h>
#include <sal.h>

typedef ULONG64 POOL_FLAGS;

#define POOL_FLAG_UNINITIALIZED 0x0000000000000002ull
#define POOL_FLAG_CACHE_ALIGNED 0x0000000000000008ull
#define POOL_FLAG_NON_PAGED 0x0000000000000040ull

/* NumberOfBytes of nonpaged memory, zeroed unless POOL_FLAG_UNINITIALIZED, 16-byte aligned (64 with
 * POOL_FLAG_CACHE_ALIGNED, page-aligned from a page up) and within one page up to PAGE_SIZE. Tag is
 * four characters as in 'tseT', not 0. NULL if there is no memory, no size, no tag, no
 * POOL_FLAG_NON_PAGED, or a flag in the low half, the required one, that this kernel does not know;
 * those in the high half are optional and ignored. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);

/* Frees it; Tag must be the one it was allocated with (0 with ExFreePool: any). Bug check 0xC2
 * (BAD_POOL_CALLER) for a wrong tag, a double free or a pointer that is no allocation. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExFreePoolWithTag(PVOID P, ULONG Tag);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExFreePool(PVOID P);

/* ------------------------------------------------------------------ Work items ("System Worker
 * Threads"): a call at PASSIVE_LEVEL, asked for at DISPATCH_LEVEL. Device drivers use those of
 * io.h. */

/* At PASSIVE_LEVEL, in a system thread of the queue's priority. */
typedef VOID WORKER_THREAD_ROUTINE(PVOID Parameter);
typedef WORKER_THREAD_ROUTINE *PWORKER_THREAD_ROUTINE;

typedef struct _WORK_QUEUE_ITEM
{
    LIST_ENTRY List; /* Flink is NULL while it is in no queue */
    PWORKER_THREAD_ROUTINE WorkerRoutine;
    PVOID Parameter;
} WORK_QUEUE_ITEM, *PWORK_QUEUE_ITEM;

typedef enum _WORK_QUEUE_TYPE
{
    CriticalWorkQueue,      /* priority 13 */
    DelayedWorkQueue,       /* priority 12 */
    HyperCriticalWorkQueue, /* priority 15 */
    MaximumWorkQueue
} WORK_QUEUE_TYPE;

/* Any IRQL. */
#define ExInitializeWorkItem(Item, Routine, Context)                                               \
    ((Item)->WorkerRoutine = (Routine), (Item)->Parameter = (Context), (Item)->List.Flink = NULL,  \
     (VOID)0)

/* Has the item's routine called once. From then on the item is out of the queue, before the call,
 * so the routine may free it or queue it again. Bug check 0xE4 (WORKER_INVALID) for one that is
 * queued already (1), a queue that does not exist (6), no routine (7). */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExQueueWorkItem(_Inout_ PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType);

#include <exlist.h>
#include <exlock.h>
