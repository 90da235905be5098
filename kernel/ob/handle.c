/* SPDX-License-Identifier: MIT */
/*
 * handle.c - handles: numbers for references, and names that lead to them.
 *
 * PURPOSE
 *   A handle can be kept, passed on and closed twice by mistake, and none of that may reach the
 *   wrong object. So it is looked up, and a number that was closed is not soon a number again.
 *
 * HOW IT WORKS
 *   A handle is (generation, index) * 4; its two lowest bits mean nothing, as Microsoft leaves them
 *   to applications. The table is pages of entries, added as needed and never taken away. An entry:
 *       (free, g)    -> (object, g)        insert; the entry that has been free longest
 *       (object, g)  -> (free, g + 1)      close: from now on (g, index) is invalid
 *   A generation returns after 2^13 uses of one entry, and an entry after all other free ones.
 *
 *   A lookup finds the object and takes its reference under one hold of the lock: between the two a
 *   close on another processor could drop the last one, and the reference would come from none.
 *
 *   A name lives with the handles: it is entered with the first, under the same hold of the lock in
 *   which it was not found, and leaves with the last. One name, one object.
 *
 * LOCKS AND IRQL
 *   ObpHandleLock (KiRankHandles) guards all of it. Pool is lower in rank, so pages and names are
 *   allocated and freed without it. References are dropped without it: that may delete.
 *
 * FURTHER READING
 *   Microsoft: "Object Handles", "ObReferenceObjectByHandle", "ZwClose", "Object Names".
 *   docs/objects.md.
 */
#include "obp.h"

#include <ex.h>
#include <ntifs.h>
#include <psp.h>
#include <twin.h>

#define OBP_INDEX_SHIFT 2
#define OBP_INDEX_BITS 16
#define OBP_GENERATION_BITS 13
#define OBP_GENERATION_MASK ((1u << OBP_GENERATION_BITS) - 1)

C_ASSERT(1u << OBP_INDEX_BITS == OBP_MAXIMUM_HANDLES);

#define OBP_NO_ENTRY 0 /* the first entry is never used, so no handle is NULL */

typedef struct _OBP_HANDLE_ENTRY
{
    POBJECT_HEADER Header; /* NULL: free */
    union
    {
        ACCESS_MASK GrantedAccess;
        ULONG NextFree; /* index, or OBP_NO_ENTRY */
    };
    USHORT Generation;
    USHORT Attributes;
} OBP_HANDLE_ENTRY, *POBP_HANDLE_ENTRY;

C_ASSERT(sizeof(OBP_HANDLE_ENTRY) * OBP_HANDLES_PER_PAGE == PAGE_SIZE);

/* DISPATCH_LEVEL; guards what follows, and each object's HandleCount and Name. */
static KSPIN_LOCK ObpHandleLock = KI_RANKED_SPIN_LOCK(KiRankHandles);

static POBP_HANDLE_ENTRY ObpHandlePages[OBP_HANDLE_PAGES];
static ULONG ObpHandlePageCount;
static ULONG ObpFirstFree; /* taken from here, */
static ULONG ObpLastFree;  /* returned to here */
static ULONG ObpHandles;
static LIST_ENTRY ObpNames = {&ObpNames, &ObpNames};

/* ------------------------------------------------------------------ Entries. Under the lock. */

static POBP_HANDLE_ENTRY ObpEntry(ULONG Index)
{
    return &ObpHandlePages[Index / OBP_HANDLES_PER_PAGE][Index % OBP_HANDLES_PER_PAGE];
}

static VOID ObpFreeEntry(ULONG Index)
{
    POBP_HANDLE_ENTRY Entry = ObpEntry(Index);

    Entry->Header = NULL;
    Entry->NextFree = OBP_NO_ENTRY;
    if (ObpFirstFree == OBP_NO_ENTRY)
    {
        ObpFirstFree = Index;
    }
    else
    {
        ObpEntry(ObpLastFree)->NextFree = Index;
    }
    ObpLastFree = Index;
}

static HANDLE ObpMakeHandle(ULONG Index)
{
    ULONG Number = ((ULONG)ObpEntry(Index)->Generation << OBP_INDEX_BITS) | Index;

    return (HANDLE)((ULONG_PTR)Number << OBP_INDEX_SHIFT);
}

/* The entry's index, or OBP_NO_ENTRY if the handle is not valid. */
static ULONG ObpLookup(HANDLE Handle)
{
    ULONG_PTR Number = (ULONG_PTR)Handle >> OBP_INDEX_SHIFT;
    ULONG Index = (ULONG)(Number % OBP_MAXIMUM_HANDLES);
    ULONG_PTR Generation = Number / OBP_MAXIMUM_HANDLES;

    if (Index >= ObpHandlePageCount * OBP_HANDLES_PER_PAGE || ObpEntry(Index)->Header == NULL ||
        ObpEntry(Index)->Generation != Generation)
    {
        return OBP_NO_ENTRY;
    }
    return Index;
}

/* Adds a page of entries. FALSE if there is no memory or no place for one. Without the lock. */
static BOOLEAN ObpGrowTable(VOID)
{
    POBP_HANDLE_ENTRY Page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, OBP_TAG_HANDLES);
    BOOLEAN Grown = FALSE;
    KIRQL OldIrql;

    if (Page == NULL)
    {
        return FALSE;
    }
    KeAcquireSpinLock(&ObpHandleLock, &OldIrql);
    if (ObpHandlePageCount < OBP_HANDLE_PAGES)
    {
        ULONG First = ObpHandlePageCount * OBP_HANDLES_PER_PAGE;

        ObpHandlePages[ObpHandlePageCount++] = Page;
        for (ULONG Index = First; Index < First + OBP_HANDLES_PER_PAGE; Index++)
        {
            if (Index != OBP_NO_ENTRY)
            {
                ObpFreeEntry(Index);
            }
        }
        Grown = TRUE;
    }
    KeReleaseSpinLock(&ObpHandleLock, OldIrql);
    if (!Grown)
    {
        ExFreePoolWithTag(Page, OBP_TAG_HANDLES);
    }
    return Grown;
}

/* Takes the lock with an entry to be had; FALSE, without the lock, if there is none. */
static BOOLEAN ObpLockWithFreeEntry(PKIRQL OldIrql)
{
    KeAcquireSpinLock(&ObpHandleLock, OldIrql);
    while (ObpFirstFree == OBP_NO_ENTRY)
    {
        KeReleaseSpinLock(&ObpHandleLock, *OldIrql);
        if (!ObpGrowTable())
        {
            return FALSE;
        }
        KeAcquireSpinLock(&ObpHandleLock, OldIrql);
    }
    return TRUE;
}

/* ------------------------------------------------------------------ Names. */

static WCHAR ObpFold(WCHAR Character, BOOLEAN IgnoreCase)
{
    return IgnoreCase && Character >= 'a' && Character <= 'z' ? (WCHAR)(Character - 'a' + 'A')
                                                              : Character;
}

static BOOLEAN ObpNamesAreEqual(const OBP_NAME *First, const OBP_NAME *Second, BOOLEAN IgnoreCase)
{
    if (First->Length != Second->Length)
    {
        return FALSE;
    }
    for (ULONG Index = 0; Index < First->Length / sizeof(WCHAR); Index++)
    {
        if (ObpFold(First->Text[Index], IgnoreCase) != ObpFold(Second->Text[Index], IgnoreCase))
        {
            return FALSE;
        }
    }
    return TRUE;
}

/* Under the lock; NULL if no object has that name. */
static POBJECT_HEADER ObpFindName(const OBP_NAME *Name, BOOLEAN IgnoreCase)
{
    for (PLIST_ENTRY Link = ObpNames.Flink; Link != &ObpNames; Link = Link->Flink)
    {
        const OBP_NAME *Other = CONTAINING_RECORD(Link, OBP_NAME, Link);

        if (ObpNamesAreEqual(Name, Other, IgnoreCase))
        {
            return Other->Object;
        }
    }
    return NULL;
}

NTSTATUS ObpCaptureAttributes(const OBJECT_ATTRIBUTES *ObjectAttributes, PULONG Attributes)
{
    const ULONG Known = OBJ_CASE_INSENSITIVE | OBJ_OPENIF | OBJ_KERNEL_HANDLE;

    *Attributes = 0;
    if (ObjectAttributes == NULL)
    {
        return STATUS_SUCCESS;
    }
    if (ObjectAttributes->Length != sizeof(*ObjectAttributes) ||
        (ObjectAttributes->Attributes & ~Known) != 0)
    {
        return STATUS_INVALID_PARAMETER;
    }
    *Attributes = ObjectAttributes->Attributes;
    return STATUS_SUCCESS;
}

NTSTATUS ObpCaptureName(const OBJECT_ATTRIBUTES *ObjectAttributes, POBP_NAME *Name)
{
    const UNICODE_STRING *Given = ObjectAttributes != NULL ? ObjectAttributes->ObjectName : NULL;

    *Name = NULL;
    if (ObjectAttributes != NULL && ObjectAttributes->RootDirectory != NULL)
    {
        return STATUS_INVALID_HANDLE;
    }
    if (Given == NULL || Given->Length == 0)
    {
        return STATUS_SUCCESS;
    }
    if (Given->Buffer == NULL || Given->Length % sizeof(WCHAR) != 0 ||
        Given->Length > OBP_LONGEST_NAME)
    {
        return STATUS_OBJECT_NAME_INVALID;
    }
    *Name = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(OBP_NAME) + Given->Length, OBP_TAG_NAME);
    if (*Name == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    (*Name)->Length = Given->Length;
    RtlCopyMemory((*Name)->Text, Given->Buffer, Given->Length);
    return STATUS_SUCCESS;
}

VOID ObpFreeName(POBP_NAME Name)
{
    if (Name != NULL)
    {
        ExFreePoolWithTag(Name, OBP_TAG_NAME);
    }
}

/* ------------------------------------------------------------------ Opening and closing. */

/* What a caller who asks for DesiredAccess gets. */
static ACCESS_MASK ObpGrant(POBJECT_TYPE Type, ACCESS_MASK DesiredAccess)
{
    if (DesiredAccess & (MAXIMUM_ALLOWED | GENERIC_ALL))
    {
        DesiredAccess |= Type->AllAccess;
    }
    return DesiredAccess & ~(MAXIMUM_ALLOWED | GENERIC_ALL);
}

/* (free, g) -> (object, g) */
static HANDLE ObpFillEntry(POBJECT_HEADER Header, ACCESS_MASK DesiredAccess, ULONG Attributes)
{
    ULONG Index = ObpFirstFree;
    POBP_HANDLE_ENTRY Entry = ObpEntry(Index);

    ObpFirstFree = Entry->NextFree;
    ObReferenceObject(Header->Body);
    Header->HandleCount++;
    Entry->Header = Header;
    Entry->GrantedAccess = ObpGrant(Header->Type, DesiredAccess);
    Entry->Attributes = (USHORT)(Attributes & OBJ_KERNEL_HANDLE);
    ObpHandles++;
    return ObpMakeHandle(Index);
}

NTSTATUS ObpInsertObject(PVOID Object, POBP_NAME Name, ACCESS_MASK DesiredAccess, ULONG Attributes,
                         PHANDLE Handle, PVOID *Inserted)
{
    POBJECT_HEADER Header = ObpHeader(Object);
    POBJECT_HEADER Existing = NULL;
    NTSTATUS Status = STATUS_SUCCESS;
    HANDLE NewHandle = NULL;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    if (!ObpLockWithFreeEntry(&OldIrql))
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (Name != NULL)
    {
        Existing = ObpFindName(Name, (Attributes & OBJ_CASE_INSENSITIVE) != 0);
    }
    if (Existing != NULL)
    {
        Status = !(Attributes & OBJ_OPENIF)       ? STATUS_OBJECT_NAME_COLLISION
                 : Existing->Type != Header->Type ? STATUS_OBJECT_TYPE_MISMATCH
                                                  : STATUS_OBJECT_NAME_EXISTS;
        Header = Existing;
    }
    else if (Name != NULL)
    {
        Name->Object = Header;
        Header->Name = Name;
        InsertTailList(&ObpNames, &Name->Link);
    }
    if (NT_SUCCESS(Status))
    {
        NewHandle = ObpFillEntry(Header, DesiredAccess, Attributes);
    }
    KeReleaseSpinLock(&ObpHandleLock, OldIrql);

    *Handle = NewHandle;
    if (Inserted != NULL)
    {
        *Inserted = NT_SUCCESS(Status) ? Header->Body : NULL;
    }
    return Status;
}

NTSTATUS ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes, PVOID PassedAccessState,
                               ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                               KPROCESSOR_MODE AccessMode, PHANDLE Handle)
{
    UNREFERENCED_PARAMETER(AccessMode);

    *Handle = NULL;
    if (ObjectType != NULL && ObpHeader(Object)->Type != ObjectType)
    {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if ((HandleAttributes & ~OBJ_KERNEL_HANDLE) != 0 || PassedAccessState != NULL)
    {
        return STATUS_INVALID_PARAMETER;
    }
    return ObpInsertObject(Object, NULL, DesiredAccess, HandleAttributes, Handle, NULL);
}

NTSTATUS ZwClose(HANDLE Handle)
{
    POBJECT_HEADER Header;
    ULONG Index;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    if (Handle == ZwCurrentThread())
    {
        return STATUS_SUCCESS;
    }
    KeAcquireSpinLock(&ObpHandleLock, &OldIrql);
    Index = ObpLookup(Handle);
    if (Index == OBP_NO_ENTRY)
    {
        KeReleaseSpinLock(&ObpHandleLock, OldIrql);
        return STATUS_INVALID_HANDLE;
    }
    Header = ObpEntry(Index)->Header;
    /* (object, g) -> (free, g + 1) */
    ObpEntry(Index)->Generation = (ObpEntry(Index)->Generation + 1) & OBP_GENERATION_MASK;
    ObpFreeEntry(Index);
    ObpHandles--;
    if (--Header->HandleCount == 0 && Header->Name != NULL && Header->Name->Object != NULL)
    {
        RemoveEntryList(&Header->Name->Link);
        Header->Name->Object = NULL;
    }
    KeReleaseSpinLock(&ObpHandleLock, OldIrql);
    ObDereferenceObject(Header->Body);
    return STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ From handle to object. */

static NTSTATUS ObpReferenceCurrentThread(POBJECT_TYPE ObjectType, PVOID *Object,
                                          POBJECT_HANDLE_INFORMATION HandleInformation)
{
    PKTHREAD Thread = KeGetCurrentThread();

    if (ObjectType != NULL && ObjectType != *PsThreadType)
    {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (!PspIsThreadObject(Thread))
    {
        return STATUS_INVALID_HANDLE;
    }
    ObReferenceObject(Thread);
    *Object = Thread;
    if (HandleInformation != NULL)
    {
        HandleInformation->HandleAttributes = 0;
        HandleInformation->GrantedAccess = THREAD_ALL_ACCESS;
    }
    return STATUS_SUCCESS;
}

/* Under the lock. */
static NTSTATUS ObpCheckEntry(const OBP_HANDLE_ENTRY *Entry, ACCESS_MASK DesiredAccess,
                              POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode)
{
    if (ObjectType != NULL && Entry->Header->Type != ObjectType)
    {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (AccessMode != KernelMode &&
        (ObpGrant(Entry->Header->Type, DesiredAccess) & ~Entry->GrantedAccess) != 0)
    {
        return STATUS_ACCESS_DENIED;
    }
    return STATUS_SUCCESS;
}

/* The twin's window, and time for another thread to use it. */
static VOID ObpReferenceLate(POBJECT_HEADER Header)
{
    LARGE_INTEGER Window = {.QuadPart = -5 * 10000};

    KeDelayExecutionThread(KernelMode, FALSE, &Window);
    ObReferenceObject(Header->Body);
}

NTSTATUS ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                   POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                   PVOID *Object, POBJECT_HANDLE_INFORMATION HandleInformation)
{
    NTSTATUS Status = STATUS_INVALID_HANDLE;
    POBJECT_HEADER Header = NULL;
    ULONG Index;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    *Object = NULL;
    if (Handle == ZwCurrentThread())
    {
        return ObpReferenceCurrentThread(ObjectType, Object, HandleInformation);
    }
    KeAcquireSpinLock(&ObpHandleLock, &OldIrql);
    Index = ObpLookup(Handle);
    if (Index != OBP_NO_ENTRY)
    {
        const OBP_HANDLE_ENTRY *Entry = ObpEntry(Index);

        Status = ObpCheckEntry(Entry, DesiredAccess, ObjectType, AccessMode);
        if (NT_SUCCESS(Status))
        {
            Header = Entry->Header;
            if (!KI_TWIN(KiTwinObLateReference))
            {
                ObReferenceObject(Header->Body);
            }
            if (HandleInformation != NULL)
            {
                HandleInformation->HandleAttributes = Entry->Attributes;
                HandleInformation->GrantedAccess = Entry->GrantedAccess;
            }
        }
    }
    KeReleaseSpinLock(&ObpHandleLock, OldIrql);

    if (Header != NULL)
    {
        if (KI_TWIN(KiTwinObLateReference))
        {
            ObpReferenceLate(Header);
        }
        *Object = Header->Body;
    }
    return Status;
}

ULONG ObpQueryHandles(VOID)
{
    ULONG Count;
    KIRQL OldIrql;

    KeAcquireSpinLock(&ObpHandleLock, &OldIrql);
    Count = ObpHandles;
    KeReleaseSpinLock(&ObpHandleLock, OldIrql);
    return Count;
}
