/* SPDX-License-Identifier: MIT */
/*
 * obp.h - the object manager's private side: what stands before an object, types, handles, and
 * work that must wait for PASSIVE_LEVEL.
 */
#pragma once

#include <ki.h>
#include <ob.h>

#define OBP_TAG_NAME 'mNbO'
#define OBP_TAG_HANDLES 'aHbO'

/* ------------------------------------------------------------------ Deferred work (reaper.c). */

/* Something that a system thread is to do at PASSIVE_LEVEL. It belongs to the reaper from ObpDefer
 * until Routine is called. */
typedef struct _OBP_DEFERRED
{
    struct _OBP_DEFERRED *Next;
    VOID (*Routine)(struct _OBP_DEFERRED *Entry);
} OBP_DEFERRED, *POBP_DEFERRED;

/* Has Routine(Entry) called soon. No lock is taken, no memory needed. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ObpDefer(_Inout_ POBP_DEFERRED Entry, VOID (*Routine)(POBP_DEFERRED Entry));

/* Returns when all that was deferred before the call has been done. Not from deferred work. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ObpFlushDeferred(VOID);

VOID ObpInitializeReaper(VOID);

/* ------------------------------------------------------------------ Objects (object.c). */

typedef struct _OBJECT_TYPE
{
    PCSTR Name;            /* constant */
    ULONG Tag;             /* constant */
    SIZE_T BodyBytes;      /* constant */
    ACCESS_MASK AllAccess; /* constant */
    BOOLEAN Waitable;      /* constant: the body begins with a DISPATCHER_HEADER              */
    VOID (*Delete)(PVOID); /* constant; may be NULL. At PASSIVE_LEVEL; the memory goes afterwards */
    volatile LONG64 Objects; /* how many there are: interlocked                                 */
} OBJECT_TYPE;

struct _OBP_NAME;

typedef struct _OBJECT_HEADER
{
    volatile LONG64
        PointerCount;       /* references, one for each handle among them; interlocked       */
    POBJECT_TYPE Type;      /* constant                                                      */
    ULONG HandleCount;      /* ObpHandleLock                                                 */
    struct _OBP_NAME *Name; /* ObpHandleLock; in the name table while HandleCount is not 0   */
    OBP_DEFERRED Deferred;  /* object.c: the deletion; before, thread.c: the end of a thread */
    UCHAR Body[] DECLSPEC_ALIGN(16);
} OBJECT_HEADER, *POBJECT_HEADER;

FORCEINLINE POBJECT_HEADER ObpHeader(PVOID Object)
{
    return CONTAINING_RECORD(Object, OBJECT_HEADER, Body);
}

/* A zeroed object with one reference, the caller's. STATUS_INSUFFICIENT_RESOURCES. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS ObpCreateObject(POBJECT_TYPE Type, _Out_ PVOID *Object);

/* ------------------------------------------------------------------ Handles, names (handle.c). */

/* Handles in the table are below OBP_MAXIMUM_HANDLES * 4 but for their generation. */
#define OBP_HANDLES_PER_PAGE 256
#define OBP_HANDLE_PAGES 256
#define OBP_MAXIMUM_HANDLES (OBP_HANDLES_PER_PAGE * OBP_HANDLE_PAGES)

/* An object's name, from pool. */
typedef struct _OBP_NAME
{
    LIST_ENTRY Link;       /* ObpHandleLock */
    POBJECT_HEADER Object; /* ObpHandleLock */
    USHORT Length;         /* bytes; constant */
    WCHAR Text[];          /* constant */
} OBP_NAME, *POBP_NAME;

#define OBP_LONGEST_NAME 512 /* bytes */

/*
 * A handle to Object, with a reference of its own. With a name, and if an object has that name
 * already: STATUS_OBJECT_NAME_COLLISION, or with OBJ_OPENIF in Attributes a handle to that object
 * and STATUS_OBJECT_NAME_EXISTS. Name (may be NULL) belongs to the object on STATUS_SUCCESS, else
 * to the caller still. *Inserted, if given, is the object behind the handle.
 * STATUS_INSUFFICIENT_RESOURCES if the table is full and cannot grow.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ObpInsertObject(PVOID Object, _In_opt_ POBP_NAME Name, ACCESS_MASK DesiredAccess,
                         ULONG Attributes, _Out_ PHANDLE Handle, _Out_opt_ PVOID *Inserted);

/* STATUS_INVALID_PARAMETER if ObjectAttributes, which may be NULL, is not one that is understood;
 * *Attributes: its flags. */
NTSTATUS ObpCaptureAttributes(_In_opt_ const OBJECT_ATTRIBUTES *ObjectAttributes,
                              _Out_ PULONG Attributes);

/* A copy of the name in ObjectAttributes for ObpInsertObject, NULL if there is none.
 * STATUS_OBJECT_NAME_INVALID, STATUS_INVALID_HANDLE (a root directory),
 * STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS ObpCaptureName(_In_opt_ const OBJECT_ATTRIBUTES *ObjectAttributes, _Out_ POBP_NAME *Name);
VOID ObpFreeName(_In_opt_ POBP_NAME Name);

/* Number of open handles. */
ULONG ObpQueryHandles(VOID);

/* ------------------------------------------------------------------ Start-up: on a thread, before
 * anything here is used; the reaper's work is done once there are workers (work.h). */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ObpInitialize(VOID);
