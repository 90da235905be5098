/* SPDX-License-Identifier: MIT */
/*
 * reaper.c - what has to wait for PASSIVE_LEVEL: deletions asked for above it, and the stacks of
 * threads that have ended.
 *
 * A list that anybody can push onto without a lock, since the switch code does, and one work item
 * that empties it. The list's head says whether that work item is on its way:
 *     NULL -> entry         push: who does this queues the work item
 *     entry -> entry'       push: it is on its way
 *     BUSY -> entry         push: it is running and will look again
 *     entries -> BUSY       the reaper takes them all, to do them oldest first
 *     BUSY -> NULL          the reaper, by compare-exchange: there was nothing new; it ends
 * So it runs in one worker at a time and is queued only when it is in no queue. An exchange takes
 * the whole list, and a push depends on nothing but the head, so a head that went away and came
 * back (ABA) does no harm. pairs with: ObpDefer's compare-exchange.
 */
#include "obp.h"

#include <work.h>

static OBP_DEFERRED ObpBusy;

/* As above; any processor, by locked instructions. */
static PVOID volatile ObpDeferredList;

static WORK_QUEUE_ITEM ObpReaperItem;

VOID ObpDefer(POBP_DEFERRED Entry, VOID (*Routine)(POBP_DEFERRED Entry))
{
    PVOID First;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    Entry->Routine = Routine;
    do
    {
        First = ObpDeferredList;
        Entry->Next = First;
        /* pairs with: ObpReap */
    } while (InterlockedCompareExchangePointer(&ObpDeferredList, Entry, First) != First);
    if (First == NULL)
    {
        ExQueueWorkItem(&ObpReaperItem, HyperCriticalWorkQueue);
    }
}

/* The entries taken, oldest first. */
static POBP_DEFERRED ObpReverse(POBP_DEFERRED Entries)
{
    POBP_DEFERRED Reversed = NULL;

    while (Entries != NULL && Entries != &ObpBusy)
    {
        POBP_DEFERRED Next = Entries->Next;

        Entries->Next = Reversed;
        Reversed = Entries;
        Entries = Next;
    }
    return Reversed;
}

/* At PASSIVE_LEVEL, in a worker. */
static VOID ObpReap(PVOID Parameter)
{
    UNREFERENCED_PARAMETER(Parameter);
    do
    {
        POBP_DEFERRED Entry = ObpReverse(InterlockedExchangePointer(&ObpDeferredList, &ObpBusy));

        while (Entry != NULL)
        {
            POBP_DEFERRED Next = Entry->Next; /* the entry is gone once its routine is called */

            Entry->Routine(Entry);
            Entry = Next;
        }
    } while (InterlockedCompareExchangePointer(&ObpDeferredList, NULL, &ObpBusy) != &ObpBusy);
}

/* ------------------------------------------------------------------ Flushing: an entry of the
 * caller's own. When its turn has come, all that was there before it has been done. */

typedef struct _OBP_MARKER
{
    OBP_DEFERRED Deferred;
    KEVENT Reached;
} OBP_MARKER, *POBP_MARKER;

static VOID ObpReachMarker(POBP_DEFERRED Entry)
{
    KeSetEvent(&CONTAINING_RECORD(Entry, OBP_MARKER, Deferred)->Reached, IO_NO_INCREMENT, FALSE);
}

VOID ObpFlushDeferred(VOID)
{
    OBP_MARKER Marker;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KeInitializeEvent(&Marker.Reached, NotificationEvent, FALSE);
    ObpDefer(&Marker.Deferred, ObpReachMarker);
    KeWaitForSingleObject(&Marker.Reached, Executive, KernelMode, FALSE, NULL);
}

VOID ObpInitializeReaper(VOID)
{
    ExInitializeWorkItem(&ObpReaperItem, ObpReap, NULL);
}
