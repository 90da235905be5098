/* SPDX-License-Identifier: MIT */
/*
 * interlocklist.c - lists under a spin lock at any IRQL: interrupts are off while the lock is held,
 * so that an ISR may use the list too. Microsoft: "Singly and Doubly Linked Lists",
 * "ExInterlockedInsertHeadList". Law L82.
 */
#include <ex.h>
#include <ki.h>
#include <spinlock.h>

/* Returns whether interrupts were on. */
FORCEINLINE BOOLEAN ExpLockList(PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ArchDisableInterrupts();

    KiAcquireSpinLock(Lock);
    return Enabled;
}

FORCEINLINE VOID ExpUnlockList(PKSPIN_LOCK Lock, BOOLEAN Enabled)
{
    KiReleaseSpinLock(Lock);
    ArchRestoreInterrupts(Enabled);
}

/* NULL for the head itself: there was no entry. */
FORCEINLINE PLIST_ENTRY ExpEntryOrNull(PLIST_ENTRY ListHead, PLIST_ENTRY Entry)
{
    return Entry != ListHead ? Entry : NULL;
}

PLIST_ENTRY ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                        PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockList(Lock);
    PLIST_ENTRY First = ExpEntryOrNull(ListHead, ListHead->Flink);

    InsertHeadList(ListHead, ListEntry);
    ExpUnlockList(Lock, Enabled);
    return First;
}

PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                        PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockList(Lock);
    PLIST_ENTRY Last = ExpEntryOrNull(ListHead, ListHead->Blink);

    InsertTailList(ListHead, ListEntry);
    ExpUnlockList(Lock, Enabled);
    return Last;
}

PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockList(Lock);
    PLIST_ENTRY First = ExpEntryOrNull(ListHead, ListHead->Flink);

    if (First != NULL)
    {
        RemoveEntryList(First);
    }
    ExpUnlockList(Lock, Enabled);
    return First;
}

PSINGLE_LIST_ENTRY ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead,
                                              PSINGLE_LIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockList(Lock);
    PSINGLE_LIST_ENTRY First = ListHead->Next;

    ListEntry->Next = First;
    ListHead->Next = ListEntry;
    ExpUnlockList(Lock, Enabled);
    return First;
}

PSINGLE_LIST_ENTRY ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockList(Lock);
    PSINGLE_LIST_ENTRY First = ListHead->Next;

    if (First != NULL)
    {
        ListHead->Next = First->Next;
    }
    ExpUnlockList(Lock, Enabled);
    return First;
}
