/* SPDX-License-Identifier: MIT */
/*
 * object.c - objects: made, counted, deleted.
 *
 * PURPOSE
 *   Something that several parts of the system use, and that goes when the last of them lets go of
 *   it: whoever that is, on whatever processor, at whatever IRQL up to DISPATCH_LEVEL.
 *
 * HOW IT WORKS
 *   A header lies before each object: (PointerCount, HandleCount). A handle counts in both.
 *       create        (1, 0)
 *       reference     (n, h) -> (n + 1, h)    n > 0: a reference comes from one, never from none
 *       dereference   (n, h) -> (n - 1, h)
 *       open, close   (n, h) <-> (n + 1, h + 1)    handle.c
 *   Who brings PointerCount to 0 is alone with the object: the change is one locked instruction, so
 *   exactly one caller sees 0, and nobody else can have a reference to begin from. He deletes it:
 *   the type's routine, then the memory. That wants PASSIVE_LEVEL - a thread's stack, a driver's
 *   buffers - so at a higher IRQL the deletion goes to the reaper; the header has the place for it,
 *   and no memory is needed.
 *
 *   A reference taken from 0 or below, a count that falls below 0, and one that falls to 0 while
 *   there are handles, are somebody's bug: 0x18. The poison that checked builds leave in freed pool
 *   is a negative count, so one that comes too late is caught as well.
 *
 * LOCKS AND IRQL
 *   No lock. HandleCount and Name are handle.c's, under its lock.
 *
 * ORDERING
 *   The locked decrement is a full barrier: what the other users did to the object before they let
 *   go of it has happened when the last one deletes it. pairs with: ObpRelease, on every processor.
 *
 * FURTHER READING
 *   Microsoft: "Life Cycle of an Object", "ObReferenceObject", "ObDereferenceObject",
 *   "ObDereferenceObjectDeferDelete", "Bug Check 0x18". docs/objects.md. Law L87.
 */
#include "obp.h"

#include <ex.h>
#include <twin.h>
#include <work.h>

NTSTATUS ObpCreateObject(POBJECT_TYPE Type, PVOID *Object)
{
    POBJECT_HEADER Header;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    Header = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Header) + Type->BodyBytes, Type->Tag);
    if (Header == NULL)
    {
        *Object = NULL;
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Header->PointerCount = 1;
    Header->Type = Type;
    InterlockedIncrement64(&Type->Objects);
    *Object = Header->Body;
    return STATUS_SUCCESS;
}

/* The count is 0: nobody else has a way to the object. */
static VOID ObpDeleteObject(POBJECT_HEADER Header)
{
    POBJECT_TYPE Type = Header->Type;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    if (Type->Delete != NULL)
    {
        Type->Delete(Header->Body);
    }
    ObpFreeName(Header->Name);
    InterlockedDecrement64(&Type->Objects);
    ExFreePoolWithTag(Header, Type->Tag);
}

static VOID ObpDeleteDeferred(POBP_DEFERRED Entry)
{
    ObpDeleteObject(CONTAINING_RECORD(Entry, OBJECT_HEADER, Deferred));
}

/* ------------------------------------------------------------------ References. */

static DECLSPEC_NORETURN VOID ObpBadCount(POBJECT_HEADER Header, LONG64 Count)
{
    KeBugCheckEx(REFERENCE_BY_POINTER, (ULONG_PTR)Header->Type, (ULONG_PTR)Header->Body, 0,
                 (ULONG_PTR)Count);
}

LONG_PTR ObReferenceObject(PVOID Object)
{
    POBJECT_HEADER Header = ObpHeader(Object);
    LONG64 Count = InterlockedIncrement64(&Header->PointerCount);

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (Count <= 1)
    {
        ObpBadCount(Header, Count);
    }
    return Count;
}

NTSTATUS ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess,
                                    POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode)
{
    UNREFERENCED_PARAMETER(DesiredAccess);
    UNREFERENCED_PARAMETER(AccessMode);

    if (ObjectType != NULL && ObpHeader(Object)->Type != ObjectType)
    {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    ObReferenceObject(Object);
    return STATUS_SUCCESS;
}

/* (n, h) -> (n - 1, h); the new count. */
static LONG64 ObpRelease(POBJECT_HEADER Header)
{
    LONG64 Count;

    if (KI_TWIN(KiTwinObCountNotAtomic))
    {
        Count = Header->PointerCount - 1;
        KI_TWIN_DELAY(KiTwinObCountNotAtomic);
        Header->PointerCount = Count;
    }
    else
    {
        Count = InterlockedDecrement64(&Header->PointerCount); /* pairs with: ObpRelease */
    }
    if (Count < 0 || (Count == 0 && Header->HandleCount != 0))
    {
        ObpBadCount(Header, Count);
    }
    return Count;
}

LONG_PTR ObDereferenceObject(PVOID Object)
{
    POBJECT_HEADER Header = ObpHeader(Object);
    LONG64 Count;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    Count = ObpRelease(Header);
    if (Count == 0)
    {
        if (KeGetCurrentIrql() == PASSIVE_LEVEL)
        {
            ObpDeleteObject(Header);
        }
        else
        {
            ObpDefer(&Header->Deferred, ObpDeleteDeferred);
        }
    }
    return Count;
}

VOID ObDereferenceObjectDeferDelete(PVOID Object)
{
    POBJECT_HEADER Header = ObpHeader(Object);

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (ObpRelease(Header) == 0)
    {
        ObpDefer(&Header->Deferred, ObpDeleteDeferred);
    }
}

/* The reaper's list is a work item's business, so work can be queued from here on. */
VOID ObpInitialize(VOID)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    ExpInitializeWorkQueues();
    ObpInitializeReaper();
}
