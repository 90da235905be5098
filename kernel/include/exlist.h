/* SPDX-License-Identifier: MIT */
/*
 * exlist.h - lists that need no lock of the caller's around them ("Singly and Doubly Linked
 * Lists"). Do not mix these calls with others on one list. Any IRQL. Part of ex.h.
 */
#pragma once

#include <ke.h>

/* ------------------------------------------------------------------ Lists under a spin lock, which
 * is for these routines alone, initialized by KeInitializeSpinLock. Entries and head: nonpaged. */

/* Put ListEntry first / last; return what was first / last before, NULL for an empty list. */
PLIST_ENTRY ExInterlockedInsertHeadList(_Inout_ PLIST_ENTRY ListHead, _Inout_ PLIST_ENTRY ListEntry,
                                        _Inout_ PKSPIN_LOCK Lock);
PLIST_ENTRY ExInterlockedInsertTailList(_Inout_ PLIST_ENTRY ListHead, _Inout_ PLIST_ENTRY ListEntry,
                                        _Inout_ PKSPIN_LOCK Lock);

/* Takes out the first entry; NULL for an empty list. */
PLIST_ENTRY ExInterlockedRemoveHeadList(_Inout_ PLIST_ENTRY ListHead, _Inout_ PKSPIN_LOCK Lock);

/* The same for singly linked lists, whose head is a SINGLE_LIST_ENTRY with Next NULL. */
PSINGLE_LIST_ENTRY ExInterlockedPushEntryList(_Inout_ PSINGLE_LIST_ENTRY ListHead,
                                              _Inout_ PSINGLE_LIST_ENTRY ListEntry,
                                              _Inout_ PKSPIN_LOCK Lock);
PSINGLE_LIST_ENTRY ExInterlockedPopEntryList(_Inout_ PSINGLE_LIST_ENTRY ListHead,
                                             _Inout_ PKSPIN_LOCK Lock);

/* ----------------------------------------------------------------- Sequenced lists: last in, first
 * out, by one compare-exchange of the whole head. See kernel/ex/slist.c. */

typedef struct DECLSPEC_ALIGN(16) _SLIST_ENTRY
{
    struct _SLIST_ENTRY *volatile Next; /* who pushes it, before */
} SLIST_ENTRY, *PSLIST_ENTRY;

typedef union DECLSPEC_ALIGN(16) _SLIST_HEADER
{
    struct
    {
        volatile ULONGLONG Alignment; /* depth in the low 16 bits, sequence above */
        volatile ULONGLONG Region;    /* the first entry */
    };
} SLIST_HEADER, *PSLIST_HEADER;

/* Makes an empty list. A head that is not aligned to 16 bytes raises
 * STATUS_DATATYPE_MISALIGNMENT. */
VOID InitializeSListHead(_Out_ PSLIST_HEADER SListHead);
#define ExInitializeSListHead InitializeSListHead

/* Pushes the entry; returns what was first before, or NULL. */
PSLIST_ENTRY ExpInterlockedPushEntrySList(_Inout_ PSLIST_HEADER ListHead,
                                          _Inout_ PSLIST_ENTRY ListEntry);
#define InterlockedPushEntrySList(Head, Entry) ExpInterlockedPushEntrySList((Head), (Entry))
#define ExInterlockedPushEntrySList(Head, Entry, Lock)                                             \
    ((void)(Lock), ExpInterlockedPushEntrySList((Head), (Entry)))

/* Takes out the first entry; NULL for an empty list. Memory that has been an entry stays mapped as
 * long as the list is in use: somebody may look at it just after it was taken out. */
PSLIST_ENTRY ExpInterlockedPopEntrySList(_Inout_ PSLIST_HEADER ListHead);
#define InterlockedPopEntrySList(Head) ExpInterlockedPopEntrySList(Head)
#define ExInterlockedPopEntrySList(Head, Lock) ((void)(Lock), ExpInterlockedPopEntrySList(Head))

/* Takes out all; returns the first, linked by Next, or NULL. */
PSLIST_ENTRY ExpInterlockedFlushSList(_Inout_ PSLIST_HEADER ListHead);
#define InterlockedFlushSList(Head) ExpInterlockedFlushSList(Head)
#define ExInterlockedFlushSList(Head) ExpInterlockedFlushSList(Head)

/* Number of entries just now, modulo 65536. */
FORCEINLINE USHORT ExQueryDepthSList(_In_ PSLIST_HEADER SListHead)
{
    return (USHORT)SListHead->Alignment;
}
