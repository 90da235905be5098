/* SPDX-License-Identifier: MIT */
/*
 * event.c - events as objects: by handle and by name, and waiting by handle.
 *
 * The object's body is a KEVENT. A new one is made before its name is looked for; if the name is
 * taken, the new one is dropped again. Microsoft: "ZwCreateEvent", "ZwSetEvent",
 * "ZwWaitForSingleObject", "IoCreateNotificationEvent", "Event Objects".
 */
#include "obp.h"

#include <ntifs.h>

static OBJECT_TYPE ObpEventType = {
    .Name = "Event",
    .Tag = 'evEO',
    .BodyBytes = sizeof(KEVENT),
    .AllAccess = EVENT_ALL_ACCESS,
    .Waitable = TRUE,
};

static POBJECT_TYPE ObpEventTypePointer = &ObpEventType;

POBJECT_TYPE *ExEventObjectType = &ObpEventTypePointer;

/* Makes or opens one. *Event, if given, is the object behind the handle. */
static NTSTATUS ObpOpenEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess,
                             POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType,
                             BOOLEAN InitialState, PVOID *Event)
{
    POBP_NAME Name = NULL;
    ULONG Attributes;
    NTSTATUS Status;
    PVOID New;

    *EventHandle = NULL;
    Status = ObpCaptureAttributes(ObjectAttributes, &Attributes);
    if (NT_SUCCESS(Status) && EventType != NotificationEvent && EventType != SynchronizationEvent)
    {
        Status = STATUS_INVALID_PARAMETER;
    }
    if (NT_SUCCESS(Status))
    {
        Status = ObpCaptureName(ObjectAttributes, &Name);
    }
    if (NT_SUCCESS(Status))
    {
        Status = ObpCreateObject(&ObpEventType, &New);
    }
    if (!NT_SUCCESS(Status))
    {
        ObpFreeName(Name);
        return Status;
    }
    KeInitializeEvent(New, EventType, InitialState);
    Status = ObpInsertObject(New, Name, DesiredAccess, Attributes, EventHandle, Event);
    if (Status != STATUS_SUCCESS)
    {
        ObpFreeName(Name);
    }
    ObDereferenceObject(New);
    return Status;
}

NTSTATUS ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess,
                       POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType,
                       BOOLEAN InitialState)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    return ObpOpenEvent(EventHandle, DesiredAccess, ObjectAttributes, EventType, InitialState,
                        NULL);
}

static PKEVENT ObpOpenNamedEvent(PUNICODE_STRING EventName, PHANDLE EventHandle,
                                 EVENT_TYPE EventType)
{
    OBJECT_ATTRIBUTES ObjectAttributes;
    PVOID Event = NULL;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    InitializeObjectAttributes(&ObjectAttributes, EventName, OBJ_OPENIF | OBJ_KERNEL_HANDLE, NULL,
                               NULL);
    if (!NT_SUCCESS(ObpOpenEvent(EventHandle, EVENT_ALL_ACCESS, &ObjectAttributes, EventType, TRUE,
                                 &Event)))
    {
        return NULL;
    }
    return Event;
}

PKEVENT IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return ObpOpenNamedEvent(EventName, EventHandle, NotificationEvent);
}

PKEVENT IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return ObpOpenNamedEvent(EventName, EventHandle, SynchronizationEvent);
}

NTSTATUS ZwSetEvent(HANDLE EventHandle, PLONG PreviousState)
{
    LONG Previous;
    PVOID Event;
    NTSTATUS Status = ObReferenceObjectByHandle(EventHandle, EVENT_MODIFY_STATE, &ObpEventType,
                                                KernelMode, &Event, NULL);

    if (!NT_SUCCESS(Status))
    {
        return Status;
    }
    Previous = KeSetEvent(Event, EVENT_INCREMENT, FALSE);
    if (PreviousState != NULL)
    {
        *PreviousState = Previous;
    }
    ObDereferenceObject(Event);
    return STATUS_SUCCESS;
}

NTSTATUS ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    PVOID Object;
    NTSTATUS Status = ObReferenceObjectByHandle(Handle, SYNCHRONIZE, NULL, KernelMode, &Object,
                                                NULL);

    if (!NT_SUCCESS(Status))
    {
        return Status;
    }
    Status = STATUS_OBJECT_TYPE_MISMATCH;
    if (ObpHeader(Object)->Type->Waitable)
    {
        Status = KeWaitForSingleObject(Object, UserRequest, KernelMode, Alertable, Timeout);
    }
    ObDereferenceObject(Object);
    return Status;
}
