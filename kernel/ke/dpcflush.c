/* SPDX-License-Identifier: MIT */
/*
 * dpcflush.c - KeFlushQueuedDpcs: waits for everything that is queued now.
 *
 * A marker DPC goes to the tail of each queue, ordinary and threaded. When it runs, all that was
 * queued before it has been dequeued, and what one queue holds runs one after the other, so all of
 * it has returned. The caller waits for an event that the last marker sets; markers and event are
 * on its stack, which the last marker no longer touches once the wait is over (wait.c). Model:
 * tests/models/flush.pml. Law L29; regression R-e.
 */
#include "ki.h"
#include "twin.h"

#define FLUSH_BATCH 16 /* processors: their markers are on the stack */

/* Pending: markers that have not run; the markers, locked add. */
typedef struct _KI_FLUSH
{
    volatile LONG Pending;
    KEVENT Done;
    KDPC Markers[2 * FLUSH_BATCH];
} KI_FLUSH, *PKI_FLUSH;

static VOID KiFlushMarker(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PKI_FLUSH Flush = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedDecrement(&Flush->Pending) == 0)
    {
        KeSetEvent(&Flush->Done, IO_NO_INCREMENT, FALSE);
    }
}

static VOID KiQueueMarker(PKDPC Marker, ULONG Processor)
{
    Marker->Importance = MediumHighImportance; /* the tail, and now */
    Marker->Number = (USHORT)Processor;
    KeInsertQueueDpc(Marker, NULL, NULL);
}

/* The queues of Count processors. */
static VOID KiFlushProcessors(ULONG First, ULONG Count)
{
    BOOLEAN Threaded = !KI_TWIN(KiTwinFlushNoThreads);
    KI_FLUSH Flush;

    Flush.Pending = (LONG)(Threaded ? 2 * Count : Count);
    KeInitializeEvent(&Flush.Done, NotificationEvent, FALSE);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        KeInitializeDpc(&Flush.Markers[Index], KiFlushMarker, &Flush);
        KiQueueMarker(&Flush.Markers[Index], First + Index);
        if (Threaded)
        {
            KeInitializeThreadedDpc(&Flush.Markers[FLUSH_BATCH + Index], KiFlushMarker, &Flush);
            KiQueueMarker(&Flush.Markers[FLUSH_BATCH + Index], First + Index);
        }
    }
    KeWaitForSingleObject(&Flush.Done, Executive, KernelMode, FALSE, NULL);
}

VOID KeFlushQueuedDpcs(VOID)
{
    ULONG Count = KiProcessorCount;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        KI_ASSERT_VALUES(KiProcessorBlock[Index]->Threaded.Thread != KeGetCurrentThread(), Index,
                         0);
    }
    for (ULONG First = 0; First < Count; First += FLUSH_BATCH)
    {
        KiFlushProcessors(First, Count - First < FLUSH_BATCH ? Count - First : FLUSH_BATCH);
    }
}
