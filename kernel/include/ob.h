/* SPDX-License-Identifier: MIT */
/*
 * ob.h - objects that are counted, and handles to them. ("Managing Kernel Objects"; see also
 * docs/objects.md.)
 *
 * An object lives as long as somebody has a reference to it; a handle is a reference with a number
 * instead of an address. All handles here are kernel handles: there are no user processes.
 */
#pragma once

#include <kewait.h>
#include <ntdef.h>
#include <sal.h>

/* ------------------------------------------------------------------ Access rights ("ACCESS_MASK").
 * A kernel-mode caller is granted what he asks for; a handle remembers what that was. */

typedef ULONG ACCESS_MASK, *PACCESS_MASK;

#define DELETE 0x00010000u
#define READ_CONTROL 0x00020000u
#define SYNCHRONIZE 0x00100000u
#define STANDARD_RIGHTS_REQUIRED 0x000F0000u
#define MAXIMUM_ALLOWED 0x02000000u
#define GENERIC_ALL 0x10000000u

#define EVENT_QUERY_STATE 0x0001u
#define EVENT_MODIFY_STATE 0x0002u
#define EVENT_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x3u)

#define THREAD_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0xFFFFu)

/* ------------------------------------------------------------------ Attributes of what is created
 * or opened. */

#define OBJ_CASE_INSENSITIVE 0x00000040u /* names: ASCII letters only     */
#define OBJ_OPENIF 0x00000080u           /* open it if it exists already  */
#define OBJ_KERNEL_HANDLE 0x00000200u    /* every handle here is one      */

typedef struct _OBJECT_ATTRIBUTES
{
    ULONG Length;
    HANDLE RootDirectory; /* NULL: there are no directories, a name is one string */
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;

typedef const OBJECT_ATTRIBUTES *PCOBJECT_ATTRIBUTES;

#define InitializeObjectAttributes(Target, Name, Flags, Root, Descriptor)                          \
    do                                                                                             \
    {                                                                                              \
        (Target)->Length = sizeof(OBJECT_ATTRIBUTES);                                              \
        (Target)->RootDirectory = (Root);                                                          \
        (Target)->ObjectName = (Name);                                                             \
        (Target)->Attributes = (Flags);                                                            \
        (Target)->SecurityDescriptor = (Descriptor);                                               \
        (Target)->SecurityQualityOfService = NULL;                                                 \
    } while (0)

/* ------------------------------------------------------------------ Objects. */

typedef struct _OBJECT_TYPE *POBJECT_TYPE;

/* The types that callers name: *PsThreadType, *ExEventObjectType. Constant. */
extern POBJECT_TYPE *PsThreadType;
extern POBJECT_TYPE *ExEventObjectType;

/* One reference more; returns the new count, for information only. The caller has a reference, or
 * something that keeps one, already. Bug check 0x18 if there was none left. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG_PTR ObReferenceObject(_In_ PVOID Object);

/* The same if Object is of ObjectType (NULL: any); else STATUS_OBJECT_TYPE_MISMATCH. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS ObReferenceObjectByPointer(_In_ PVOID Object, ACCESS_MASK DesiredAccess,
                                    _In_opt_ POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode);

/* One reference less; returns the new count. The last one deletes the object: now at PASSIVE_LEVEL,
 * soon, in a system thread, above. Bug check 0x18 (REFERENCE_BY_POINTER) if there was none. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG_PTR ObDereferenceObject(_In_ PVOID Object);

/* The same, and if it is the last one the object is deleted in a system thread: for a caller that
 * holds what the deletion would want. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ObDereferenceObjectDeferDelete(_In_ PVOID Object);

/* ------------------------------------------------------------------ Handles. */

typedef struct _OBJECT_HANDLE_INFORMATION
{
    ULONG HandleAttributes;
    ACCESS_MASK GrantedAccess;
} OBJECT_HANDLE_INFORMATION, *POBJECT_HANDLE_INFORMATION;

/* The calling thread, wherever a handle is asked for. Closing it has no effect. */
#define ZwCurrentThread() ((HANDLE)(LONG_PTR)-2)
#define NtCurrentThread() ZwCurrentThread()
/* The calling thread's process: there is one. */
#define ZwCurrentProcess() ((HANDLE)(LONG_PTR)-1)
#define NtCurrentProcess() ZwCurrentProcess()

/*
 * The object behind a handle, with a reference for the caller: *Object, NULL on failure.
 * STATUS_INVALID_HANDLE, also for a handle that has been closed; STATUS_OBJECT_TYPE_MISMATCH if
 * ObjectType is given and is not the object's; STATUS_ACCESS_DENIED if AccessMode is UserMode and
 * the handle was not granted all of DesiredAccess.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                   _In_opt_ POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                   _Out_ PVOID *Object,
                                   _Out_opt_ POBJECT_HANDLE_INFORMATION HandleInformation);

/* Ends a handle, and with the last one an object's name. STATUS_INVALID_HANDLE. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ZwClose(HANDLE Handle);

/* ------------------------------------------------------------------ Events by name. */

/* Creates the event of that name, set, or opens it if there is one, whatever its kind; NULL if
 * there is no memory or the name is not valid. The event is good until *EventHandle is closed. */
_IRQL_requires_(PASSIVE_LEVEL)
PKEVENT IoCreateNotificationEvent(_In_ PUNICODE_STRING EventName, _Out_ PHANDLE EventHandle);
_IRQL_requires_(PASSIVE_LEVEL)
PKEVENT IoCreateSynchronizationEvent(_In_ PUNICODE_STRING EventName, _Out_ PHANDLE EventHandle);
