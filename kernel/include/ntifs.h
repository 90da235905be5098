/* SPDX-License-Identifier: MIT */
/*
 * ntifs.h - what Microsoft's header of this name adds for drivers that work with handles: objects
 * opened by address, events by handle, waits by handle.
 */
#pragma once

#include <ntddk.h>

/* A handle to an object that the caller has a reference to. PassedAccessState is NULL. Errors:
 * STATUS_OBJECT_TYPE_MISMATCH, STATUS_INVALID_PARAMETER (attributes),
 * STATUS_INSUFFICIENT_RESOURCES. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ObOpenObjectByPointer(_In_ PVOID Object, ULONG HandleAttributes,
                               _In_opt_ PVOID PassedAccessState, ACCESS_MASK DesiredAccess,
                               _In_opt_ POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                               _Out_ PHANDLE Handle);

/* Makes an event. With the name of one that exists: STATUS_OBJECT_NAME_COLLISION, or, with
 * OBJ_OPENIF, a handle to that one and STATUS_OBJECT_NAME_EXISTS, a success. Other errors:
 * STATUS_INVALID_PARAMETER (attributes, EventType), STATUS_OBJECT_NAME_INVALID,
 * STATUS_INVALID_HANDLE (a root directory), STATUS_INSUFFICIENT_RESOURCES. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ZwCreateEvent(_Out_ PHANDLE EventHandle, ACCESS_MASK DesiredAccess,
                       _In_opt_ POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType,
                       BOOLEAN InitialState);

/* Sets it; *PreviousState, if given, what it was. STATUS_INVALID_HANDLE,
 * STATUS_OBJECT_TYPE_MISMATCH. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ZwSetEvent(HANDLE EventHandle, _Out_opt_ PLONG PreviousState);

/* KeWaitForSingleObject by handle. Besides its results: STATUS_INVALID_HANDLE,
 * STATUS_OBJECT_TYPE_MISMATCH (nothing to wait for). */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, _In_opt_ PLARGE_INTEGER Timeout);
