/* SPDX-License-Identifier: MIT */
/*
 * resource.c - resources: shared or exclusive access by owners who are known, and may come again.
 *
 * PURPOSE
 *   The lock for data that is read often and held long: who owns it can be asked, an owner may
 *   acquire it again, an exclusive owner may go on as a sharer, and each caller chooses how he
 *   stands to those who wait.
 *
 * HOW IT WORKS
 *   A table of owners, each with the number of his acquisitions; whether the one owner excludes;
 *   and two lists of those who wait, exclusive and shared, first come first.
 *       free          -> any owner
 *       exclusive     -> the same owner again
 *       shared        -> who shares already, again; a new sharer, if nobody waits for exclusive
 *                        access (or by StarveExclusive even then; WaitForExclusive waits then even
 *                        if he shares already)
 *   and everybody else waits, or is told FALSE. When the last owner leaves, those who come next are
 *   made owners before they are woken, so nobody overtakes them:
 *       after an exclusive owner    all who wait to share; if there are none, the first who waits
 *                                   for exclusive access
 *       after the last sharer       the first who waits for exclusive access; if there is none, all
 *                                   who wait to share
 *   The two kinds take turns: neither starves the other. A conversion lets in all who wait to
 *   share.
 *
 *   The table's first entries are in the resource. It grows by doubling, from the pool, outside the
 *   lock and before anybody becomes an owner or waits to be one:
 *       max(owners, 1) + shared waiters <= table size
 *   always, so that a release never has to allocate.
 *
 * LOCKS AND IRQL
 *   SpinLock guards everything, for the time of a search through the owners. Acquiring at APC_LEVEL
 *   or below, releasing at DISPATCH_LEVEL or below, normal APCs disabled in between: one that runs
 *   on an owner that is about to release could wait for its own thread. A waiter's block is on his
 *   stack: it is unlinked under the lock, and the last touch is its event's.
 *
 * ORDERING
 *   The spin lock's.
 *
 * FURTHER READING
 *   Microsoft: "Introduction to ERESOURCE Routines", "ExAcquireResourceSharedLite".
 *   docs/exlocks.md.
 */
#include <ex.h>
#include <ki.h>
#include <twin.h>

#include "verify.h"

#define VERIFIER_ACQUIRE_WITH_APCS 0x37u
#define VERIFIER_RELEASE_WITH_APCS 0x38u
#define VERIFIER_SELF_DEADLOCK 0x1000u

#define TABLE_TAG 'wORE'
/* How long an acquisition that must succeed asks for memory. */
#define TABLE_TRIES 1000
#define TABLE_RETRY_100NS (-100000LL) /* 10 ms from now */

typedef enum _EXP_ACCESS
{
    ExpExclusive,
    ExpShared,
    ExpStarveExclusive,
    ExpWaitForExclusive
} EXP_ACCESS;

/* On the stack of who waits; under the resource's lock until it is unlinked. */
typedef struct _EXP_RESOURCE_WAIT
{
    LIST_ENTRY Link;
    ERESOURCE_THREAD Thread;
    KEVENT Event;
} EXP_RESOURCE_WAIT, *PEXP_RESOURCE_WAIT;

/* ------------------------------------------------------------------ The owners. Under the lock. */

static POWNER_ENTRY ExpFindOwner(PERESOURCE Resource, ERESOURCE_THREAD Thread)
{
    for (ULONG Index = 0; Index < Resource->ActiveEntries; Index++)
    {
        if (Resource->OwnerTable[Index].OwnerThread == Thread)
        {
            return &Resource->OwnerTable[Index];
        }
    }
    return NULL;
}

static VOID ExpAddOwner(PERESOURCE Resource, ERESOURCE_THREAD Thread)
{
    POWNER_ENTRY Owner = ExpFindOwner(Resource, Thread);

    if (Owner == NULL)
    {
        KI_ASSERT_VALUES(Resource->ActiveEntries < Resource->TableSize, Resource,
                         Resource->TableSize);
        Owner = &Resource->OwnerTable[Resource->ActiveEntries++];
        Owner->OwnerThread = Thread;
        Owner->OwnerCount = 0;
    }
    Owner->OwnerCount++;
}

/* One acquisition less; TRUE if it was the last of the last owner. */
static BOOLEAN ExpDropOwner(PERESOURCE Resource, POWNER_ENTRY Owner)
{
    if (--Owner->OwnerCount != 0)
    {
        return FALSE;
    }
    *Owner = Resource->OwnerTable[--Resource->ActiveEntries];
    return Resource->ActiveEntries == 0;
}

static BOOLEAN ExpTableIsFull(PERESOURCE Resource)
{
    return Resource->ActiveEntries + Resource->NumberOfSharedWaiters >= Resource->TableSize;
}

/* Doubles the table, if its size is still Seen. Not under the lock. FALSE if there is no memory. */
static BOOLEAN ExpGrowTable(PERESOURCE Resource, ULONG Seen)
{
    POWNER_ENTRY Unused, Table;
    KIRQL OldIrql;

    Table = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * Seen * sizeof(*Table), TABLE_TAG);
    if (Table == NULL)
    {
        return FALSE;
    }
    Unused = Table;
    KeAcquireSpinLock(&Resource->SpinLock, &OldIrql);
    if (Resource->TableSize == Seen)
    {
        RtlCopyMemory(Table, Resource->OwnerTable, Resource->ActiveEntries * sizeof(*Table));
        Unused = Resource->OwnerTable;
        Resource->OwnerTable = Table;
        Resource->TableSize = 2 * Seen;
    }
    KeReleaseSpinLock(&Resource->SpinLock, OldIrql);
    if (Unused != Resource->FirstOwners)
    {
        ExFreePoolWithTag(Unused, TABLE_TAG);
    }
    return TRUE;
}

/* ----------------------------------------------------------------- Who comes next. Under the lock.
 */

/* Makes the first of List an owner and moves him to Released. */
static VOID ExpLetIn(PERESOURCE Resource, PLIST_ENTRY List, PLIST_ENTRY Released)
{
    PEXP_RESOURCE_WAIT Block = CONTAINING_RECORD(RemoveHeadList(List), EXP_RESOURCE_WAIT, Link);

    ExpAddOwner(Resource, Block->Thread);
    InsertTailList(Released, &Block->Link);
}

static VOID ExpLetSharersIn(PERESOURCE Resource, PLIST_ENTRY Released)
{
    Resource->OwnedExclusive = FALSE;
    while (!IsListEmpty(&Resource->SharedWaiters))
    {
        Resource->NumberOfSharedWaiters--;
        ExpLetIn(Resource, &Resource->SharedWaiters, Released);
    }
}

/* The last owner has left. */
static VOID ExpHandOver(PERESOURCE Resource, PLIST_ENTRY Released)
{
    BOOLEAN SharersTurn = Resource->OwnedExclusive && Resource->NumberOfSharedWaiters != 0;

    if (SharersTurn || Resource->NumberOfExclusiveWaiters == 0)
    {
        ExpLetSharersIn(Resource, Released);
        return;
    }
    Resource->NumberOfExclusiveWaiters--;
    Resource->OwnedExclusive = TRUE;
    ExpLetIn(Resource, &Resource->ExclusiveWaiters, Released);
}

/* Not under the lock: whoever is woken may be gone with his stack. */
static VOID ExpWake(PLIST_ENTRY Released)
{
    while (!IsListEmpty(Released))
    {
        PEXP_RESOURCE_WAIT Block = CONTAINING_RECORD(RemoveHeadList(Released), EXP_RESOURCE_WAIT,
                                                     Link);

        KeSetEvent(&Block->Event, EVENT_INCREMENT, FALSE);
    }
}

/* ------------------------------------------------------------------ Acquiring. */

static BOOLEAN ExpMayEnter(PERESOURCE Resource, POWNER_ENTRY Mine, EXP_ACCESS Access)
{
    BOOLEAN NobodyWaits = Resource->NumberOfExclusiveWaiters == 0 || KI_TWIN(KiTwinResourceBarges);

    if (Resource->ActiveEntries == 0)
    {
        return TRUE;
    }
    if (Resource->OwnedExclusive)
    {
        return Mine != NULL;
    }
    switch (Access)
    {
    case ExpShared:
        return Mine != NULL || NobodyWaits;
    case ExpStarveExclusive:
        return TRUE;
    case ExpWaitForExclusive:
        return NobodyWaits;
    default:
        return FALSE;
    }
}

static VOID ExpEnter(PERESOURCE Resource, EXP_ACCESS Access)
{
    if (Resource->ActiveEntries == 0)
    {
        Resource->OwnedExclusive = Access == ExpExclusive;
    }
    ExpAddOwner(Resource, ExGetCurrentResourceThread());
}

static VOID ExpEnqueue(PERESOURCE Resource, PEXP_RESOURCE_WAIT Block, EXP_ACCESS Access)
{
    KeInitializeEvent(&Block->Event, SynchronizationEvent, FALSE);
    Block->Thread = ExGetCurrentResourceThread();
    Resource->ContentionCount++;
    if (Access == ExpExclusive)
    {
        InsertTailList(&Resource->ExclusiveWaiters, &Block->Link);
        Resource->NumberOfExclusiveWaiters++;
    }
    else
    {
        InsertTailList(&Resource->SharedWaiters, &Block->Link);
        Resource->NumberOfSharedWaiters++;
    }
}

/* The caller may become an owner or a shared waiter, which takes an entry that is not there. Who
 * waits for exclusive access will be the only owner, and an owner who comes again has his entry. */
static BOOLEAN ExpNeedsEntry(PERESOURCE Resource, EXP_ACCESS Access)
{
    if (Access == ExpExclusive || !ExpTableIsFull(Resource))
    {
        return FALSE;
    }
    return Access == ExpWaitForExclusive ||
           ExpFindOwner(Resource, ExGetCurrentResourceThread()) == NULL;
}

/* Sees to that entry; the lock is held on entry and on return, not between. FALSE, unless Wait, if
 * there is no memory. */
static BOOLEAN ExpReserveEntry(PERESOURCE Resource, EXP_ACCESS Access, BOOLEAN Wait, PKIRQL OldIrql)
{
    LARGE_INTEGER Interval = {.QuadPart = TABLE_RETRY_100NS};
    ULONG Tries = 0;

    while (ExpNeedsEntry(Resource, Access))
    {
        ULONG Seen = Resource->TableSize;
        BOOLEAN Grown;

        KeReleaseSpinLock(&Resource->SpinLock, *OldIrql);
        Grown = ExpGrowTable(Resource, Seen);
        if (!Grown && Wait)
        {
            if (++Tries == TABLE_TRIES)
            {
                ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
            }
            KeDelayExecutionThread(KernelMode, FALSE, &Interval);
        }
        KeAcquireSpinLock(&Resource->SpinLock, OldIrql);
        if (!Grown && !Wait)
        {
            return FALSE;
        }
    }
    return TRUE;
}

#if DBG
/* Whoever shares and waits for exclusive access waits for himself. */
static BOOLEAN ExpWaitsForItself(PERESOURCE Resource, EXP_ACCESS Access, BOOLEAN Wait)
{
    return Wait && Access == ExpExclusive && ExIsResourceAcquiredSharedLite(Resource) != 0 &&
           !ExIsResourceAcquiredExclusiveLite(Resource);
}
#endif

static BOOLEAN ExpAcquire(PERESOURCE Resource, EXP_ACCESS Access, BOOLEAN Wait)
{
    EXP_RESOURCE_WAIT Block;
    POWNER_ENTRY Mine;
    BOOLEAN Entered;
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    EXP_VERIFY_NO_APCS(VERIFIER_ACQUIRE_WITH_APCS, Resource);
    EXP_VERIFY(!ExpWaitsForItself(Resource, Access, Wait), VERIFIER_SELF_DEADLOCK, Resource, 0);
    KeAcquireSpinLock(&Resource->SpinLock, &OldIrql);
    if (!ExpReserveEntry(Resource, Access, Wait, &OldIrql))
    {
        Wait = FALSE; /* what needs no entry is still possible */
    }
    Mine = ExpFindOwner(Resource, ExGetCurrentResourceThread());
    Entered = ExpMayEnter(Resource, Mine, Access) && (Mine != NULL || !ExpTableIsFull(Resource));
    if (Entered)
    {
        ExpEnter(Resource, Access);
    }
    else if (Wait)
    {
        ExpEnqueue(Resource, &Block, Access);
    }
    KeReleaseSpinLock(&Resource->SpinLock, OldIrql);
    if (!Entered && Wait)
    {
        KeWaitForSingleObject(&Block.Event, WrResource, KernelMode, FALSE, NULL);
    }
    return Entered || Wait;
}

BOOLEAN ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquire(Resource, ExpExclusive, Wait);
}

BOOLEAN ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquire(Resource, ExpShared, Wait);
}

BOOLEAN ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquire(Resource, ExpStarveExclusive, Wait);
}

BOOLEAN ExAcquireSharedWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquire(Resource, ExpWaitForExclusive, Wait);
}

/* ------------------------------------------------------------------ Releasing, converting. */

static VOID ExpRelease(PERESOURCE Resource, ERESOURCE_THREAD Thread)
{
    LIST_ENTRY Released;
    POWNER_ENTRY Owner;
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    InitializeListHead(&Released);
    KeAcquireSpinLock(&Resource->SpinLock, &OldIrql);
    Owner = ExpFindOwner(Resource, Thread);
    if (Owner == NULL)
    {
        KeReleaseSpinLock(&Resource->SpinLock, OldIrql);
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG_PTR)Resource, Thread,
                     (ULONG_PTR)Resource->OwnerTable, 0);
    }
    if (ExpDropOwner(Resource, Owner))
    {
        ExpHandOver(Resource, &Released);
    }
    KeReleaseSpinLock(&Resource->SpinLock, OldIrql);
    ExpWake(&Released);
}

static VOID ExpReleaseOwn(PERESOURCE Resource)
{
    EXP_VERIFY(KeAreApcsDisabled(), VERIFIER_RELEASE_WITH_APCS,
               KI_CURRENT_PRCB->CurrentThread->KernelApcDisable, Resource);
    ExpRelease(Resource, ExGetCurrentResourceThread());
}

VOID ExReleaseResourceForThreadLite(PERESOURCE Resource, ERESOURCE_THREAD ResourceThreadId)
{
    ExpRelease(Resource, ResourceThreadId);
}

VOID ExReleaseResourceLite(PERESOURCE Resource)
{
    ExpReleaseOwn(Resource);
}

VOID ExConvertExclusiveToSharedLite(PERESOURCE Resource)
{
    LIST_ENTRY Released;
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    InitializeListHead(&Released);
    KeAcquireSpinLock(&Resource->SpinLock, &OldIrql);
    if (!Resource->OwnedExclusive || ExpFindOwner(Resource, ExGetCurrentResourceThread()) == NULL)
    {
        KeReleaseSpinLock(&Resource->SpinLock, OldIrql);
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG_PTR)Resource, ExGetCurrentResourceThread(),
                     (ULONG_PTR)Resource->OwnerTable, 0);
    }
    ExpLetSharersIn(Resource, &Released);
    KeReleaseSpinLock(&Resource->SpinLock, OldIrql);
    ExpWake(&Released);
}

/* ------------------------------------------------------------------ With the critical region. */

PVOID ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExpAcquire(Resource, ExpExclusive, TRUE);
    return KeGetCurrentThread();
}

PVOID ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExpAcquire(Resource, ExpShared, TRUE);
    return KeGetCurrentThread();
}

PVOID ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExpAcquire(Resource, ExpWaitForExclusive, TRUE);
    return KeGetCurrentThread();
}

VOID ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource)
{
    ExpReleaseOwn(Resource);
    KeLeaveCriticalRegion();
}

/* ------------------------------------------------------------------ Questions. */

ULONG ExIsResourceAcquiredSharedLite(PERESOURCE Resource)
{
    POWNER_ENTRY Mine;
    KIRQL OldIrql;
    ULONG Count;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    KeAcquireSpinLock(&Resource->SpinLock, &OldIrql);
    Mine = ExpFindOwner(Resource, ExGetCurrentResourceThread());
    Count = Mine != NULL ? Mine->OwnerCount : 0;
    KeReleaseSpinLock(&Resource->SpinLock, OldIrql);
    return Count;
}

/* Nobody but the caller can make this true of him, or untrue. */
BOOLEAN ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource)
{
    return ExIsResourceAcquiredSharedLite(Resource) != 0 && Resource->OwnedExclusive;
}

ULONG ExGetExclusiveWaiterCount(PERESOURCE Resource)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return *(volatile ULONG *)&Resource->NumberOfExclusiveWaiters;
}

ULONG ExGetSharedWaiterCount(PERESOURCE Resource)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return *(volatile ULONG *)&Resource->NumberOfSharedWaiters;
}

/* ------------------------------------------------------------------ Making and unmaking. */

NTSTATUS ExInitializeResourceLite(PERESOURCE Resource)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    RtlZeroMemory(Resource, sizeof(*Resource));
    KeInitializeSpinLock(&Resource->SpinLock);
    Resource->OwnerTable = Resource->FirstOwners;
    Resource->TableSize = RTL_NUMBER_OF(Resource->FirstOwners);
    InitializeListHead(&Resource->SharedWaiters);
    InitializeListHead(&Resource->ExclusiveWaiters);
    return STATUS_SUCCESS;
}

#define ASSERT_UNUSED()                                                                            \
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);                                                            \
    KI_ASSERT_VALUES(Resource->ActiveEntries == 0, Resource, Resource->ActiveEntries)

NTSTATUS ExDeleteResourceLite(PERESOURCE Resource)
{
    ASSERT_UNUSED();
    if (Resource->OwnerTable != Resource->FirstOwners)
    {
        ExFreePoolWithTag(Resource->OwnerTable, TABLE_TAG);
        Resource->OwnerTable = Resource->FirstOwners;
    }
    Resource->TableSize = 0;
    return STATUS_SUCCESS;
}

/* The table that it has grown stays. */
NTSTATUS ExReinitializeResourceLite(PERESOURCE Resource)
{
    ASSERT_UNUSED();
    Resource->ContentionCount = 0;
    return STATUS_SUCCESS;
}
