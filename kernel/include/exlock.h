/* SPDX-License-Identifier: MIT */
/*
 * exlock.h - the executive's locks: fast and guarded mutexes, resources, push locks, run-down
 * protection, reader/writer spin locks; and raising a status. All but the spin locks wait, so they
 * are for threads at APC_LEVEL or below. The storage is the caller's, nonpaged. Part of ex.h.
 */
#pragma once

#include <ke.h>

/* ------------------------------------------------------------------ Fast mutexes and guarded
 * mutexes ("Fast Mutexes and Guarded Mutexes"). One owner, first come, first served; not recursive;
 * released by their owner. While a fast mutex is held the IRQL is APC_LEVEL; while a guarded mutex
 * is held its owner is in a guarded region. */

typedef struct _FAST_MUTEX
{
    volatile LONG Count;             /* 1 free; 0 held; -n held, and n wait: any thread, locked */
    struct _KTHREAD *volatile Owner; /* the owner writes it, while he is                        */
    volatile LONG Contention;        /* how often somebody waited: who waits, locked            */
    KEVENT Event;                    /* set to hand the mutex over                              */
    ULONG OldIrql;                   /* the owner's, of a fast mutex                            */
} FAST_MUTEX, *PFAST_MUTEX, KGUARDED_MUTEX, *PKGUARDED_MUTEX;

/* Makes a free mutex. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExInitializeFastMutex(_Out_ PFAST_MUTEX FastMutex);

/* Raises to APC_LEVEL and waits for the mutex. */
_IRQL_requires_max_(APC_LEVEL)
_IRQL_raises_(APC_LEVEL)
_Acquires_lock_(*FastMutex)
VOID ExAcquireFastMutex(_Inout_ PFAST_MUTEX FastMutex);

/* TRUE: acquired, at APC_LEVEL. FALSE: somebody has it; the IRQL is what it was. */
_IRQL_requires_max_(APC_LEVEL)
_Must_inspect_result_ BOOLEAN ExTryToAcquireFastMutex(_Inout_ PFAST_MUTEX FastMutex);

/* Releases it and restores the IRQL from before. */
_IRQL_requires_(APC_LEVEL)
_Releases_lock_(*FastMutex)
VOID ExReleaseFastMutex(_Inout_ PFAST_MUTEX FastMutex);

/* The pair for a caller at APC_LEVEL already, or in a critical region: the IRQL is not touched. */
_IRQL_requires_max_(APC_LEVEL)
_Acquires_lock_(*FastMutex)
VOID ExAcquireFastMutexUnsafe(_Inout_ PFAST_MUTEX FastMutex);
_IRQL_requires_max_(APC_LEVEL)
_Releases_lock_(*FastMutex)
VOID ExReleaseFastMutexUnsafe(_Inout_ PFAST_MUTEX FastMutex);

/* The same as a guarded region; the Unsafe pair is for a caller in one already. */
_IRQL_requires_max_(APC_LEVEL)
VOID KeInitializeGuardedMutex(_Out_ PKGUARDED_MUTEX Mutex);
_IRQL_requires_max_(APC_LEVEL)
_Acquires_lock_(*Mutex)
VOID KeAcquireGuardedMutex(_Inout_ PKGUARDED_MUTEX Mutex);
_IRQL_requires_max_(APC_LEVEL)
_Must_inspect_result_ BOOLEAN KeTryToAcquireGuardedMutex(_Inout_ PKGUARDED_MUTEX Mutex);
_IRQL_requires_max_(APC_LEVEL)
_Releases_lock_(*Mutex)
VOID KeReleaseGuardedMutex(_Inout_ PKGUARDED_MUTEX Mutex);
_IRQL_requires_max_(APC_LEVEL)
_Acquires_lock_(*FastMutex)
VOID KeAcquireGuardedMutexUnsafe(_Inout_ PKGUARDED_MUTEX FastMutex);
_IRQL_requires_max_(APC_LEVEL)
_Releases_lock_(*FastMutex)
VOID KeReleaseGuardedMutexUnsafe(_Inout_ PKGUARDED_MUTEX FastMutex);

/* ------------------------------------------------------------------ Resources ("Introduction to
 * ERESOURCE Routines"): many sharers or one exclusive owner; recursive; owners are known by thread.
 * Normal kernel APCs are disabled from before the acquisition until after the release. */

typedef ULONG_PTR ERESOURCE_THREAD, *PERESOURCE_THREAD;

typedef struct _OWNER_ENTRY
{
    ERESOURCE_THREAD OwnerThread;
    ULONG OwnerCount; /* acquisitions not yet released */
} OWNER_ENTRY, *POWNER_ENTRY;

#define EXP_FIRST_OWNERS 3

typedef struct _ERESOURCE
{
    KSPIN_LOCK SpinLock;            /* DISPATCH_LEVEL, unranked; guards the rest          */
    POWNER_ENTRY OwnerTable;        /* FirstOwners, or from the pool; owners come first   */
    ULONG TableSize;                /* entries in it                                      */
    ULONG ActiveEntries;            /* owners                                             */
    BOOLEAN OwnedExclusive;         /* the one owner excludes others                      */
    ULONG NumberOfSharedWaiters;    /* in SharedWaiters                                   */
    ULONG NumberOfExclusiveWaiters; /* in ExclusiveWaiters                                */
    ULONG ContentionCount;          /* how often somebody waited                          */
    LIST_ENTRY SharedWaiters;       /* first come first                                   */
    LIST_ENTRY ExclusiveWaiters;
    OWNER_ENTRY FirstOwners[EXP_FIRST_OWNERS];
} ERESOURCE, *PERESOURCE;

/* Names the calling thread as an owner. */
#define ExGetCurrentResourceThread() ((ERESOURCE_THREAD)KeGetCurrentThread())

/* Makes a free resource: STATUS_SUCCESS. Delete before its memory is freed, when nobody owns it or
 * waits; reinitialize does both in one, and resets its statistics. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS ExInitializeResourceLite(_Out_ PERESOURCE Resource);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS ExDeleteResourceLite(_Inout_ PERESOURCE Resource);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS ExReinitializeResourceLite(_Inout_ PERESOURCE Resource);

/*
 * Acquire it; TRUE: done. Wait FALSE: FALSE at once where the caller would have to wait. An owner
 * gets what it has again, and has to release each time; a sharer that asks for exclusive access
 * waits for its own release. When there are owners with shared access and others wait for
 * exclusive access, a new sharer waits for those (Shared, SharedWaitForExclusive) or goes in
 * before them (StarveExclusive); who shares already goes in, but with SharedWaitForExclusive.
 */
_IRQL_requires_max_(APC_LEVEL)
BOOLEAN ExAcquireResourceExclusiveLite(_Inout_ PERESOURCE Resource, BOOLEAN Wait);
_IRQL_requires_max_(APC_LEVEL)
BOOLEAN ExAcquireResourceSharedLite(_Inout_ PERESOURCE Resource, BOOLEAN Wait);
_IRQL_requires_max_(APC_LEVEL)
BOOLEAN ExAcquireSharedStarveExclusive(_Inout_ PERESOURCE Resource, BOOLEAN Wait);
_IRQL_requires_max_(APC_LEVEL)
BOOLEAN ExAcquireSharedWaitForExclusive(_Inout_ PERESOURCE Resource, BOOLEAN Wait);

/* Gives back one acquisition of the caller's / of the thread that ExGetCurrentResourceThread named.
 * Bug check 0xE3 if it has none. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExReleaseResourceLite(_Inout_ PERESOURCE Resource);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExReleaseResourceForThreadLite(_Inout_ PERESOURCE Resource, ERESOURCE_THREAD ResourceThreadId);

/* The exclusive owner's access, all acquisitions of it, becomes shared; who waits for shared access
 * goes in. */
_IRQL_requires_max_(APC_LEVEL)
VOID ExConvertExclusiveToSharedLite(_Inout_ PERESOURCE Resource);

/* Acquire and release with KeEnterCriticalRegion before and KeLeaveCriticalRegion after. The
 * returned pointer means nothing to drivers. */
_IRQL_requires_max_(APC_LEVEL)
PVOID ExEnterCriticalRegionAndAcquireResourceExclusive(_Inout_ PERESOURCE Resource);
_IRQL_requires_max_(APC_LEVEL)
PVOID ExEnterCriticalRegionAndAcquireResourceShared(_Inout_ PERESOURCE Resource);
_IRQL_requires_max_(APC_LEVEL)
PVOID ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(_Inout_ PERESOURCE Resource);
_IRQL_requires_max_(APC_LEVEL)
VOID ExReleaseResourceAndLeaveCriticalRegion(_Inout_ PERESOURCE Resource);

/* TRUE if the caller has exclusive access; how often the caller has acquired it, either way; how
 * many wait just now. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN ExIsResourceAcquiredExclusiveLite(_In_ PERESOURCE Resource);
_IRQL_requires_max_(DISPATCH_LEVEL)
ULONG ExIsResourceAcquiredSharedLite(_In_ PERESOURCE Resource);
#define ExIsResourceAcquiredLite ExIsResourceAcquiredSharedLite
_IRQL_requires_max_(DISPATCH_LEVEL)
ULONG ExGetExclusiveWaiterCount(_In_ PERESOURCE Resource);
_IRQL_requires_max_(DISPATCH_LEVEL)
ULONG ExGetSharedWaiterCount(_In_ PERESOURCE Resource);

/* ------------------------------------------------------------------ Push locks
 * ("ExInitializePushLock"): one word; many sharers or one exclusive owner; not recursive; the
 * caller is in a critical region. See kernel/ex/pushlock.c. */

typedef volatile ULONG_PTR EX_PUSH_LOCK, *PEX_PUSH_LOCK;

#define EX_DEFAULT_PUSH_LOCK_FLAGS 0

/* Makes a free one: a word of zeros. Any IRQL. */
VOID ExInitializePushLock(_Out_ PEX_PUSH_LOCK PushLock);

/* Flags: EX_DEFAULT_PUSH_LOCK_FLAGS. */
_IRQL_requires_max_(APC_LEVEL)
_Acquires_lock_(*PushLock)
VOID ExAcquirePushLockExclusiveEx(_Inout_ PEX_PUSH_LOCK PushLock, ULONG Flags);
_IRQL_requires_max_(APC_LEVEL)
_Acquires_lock_(*PushLock)
VOID ExAcquirePushLockSharedEx(_Inout_ PEX_PUSH_LOCK PushLock, ULONG Flags);
_IRQL_requires_max_(APC_LEVEL)
_Releases_lock_(*PushLock)
VOID ExReleasePushLockExclusiveEx(_Inout_ PEX_PUSH_LOCK PushLock, ULONG Flags);
_IRQL_requires_max_(APC_LEVEL)
_Releases_lock_(*PushLock)
VOID ExReleasePushLockSharedEx(_Inout_ PEX_PUSH_LOCK PushLock, ULONG Flags);

#define ExAcquirePushLockExclusive(Lock)                                                           \
    ExAcquirePushLockExclusiveEx((Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExAcquirePushLockShared(Lock) ExAcquirePushLockSharedEx((Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExReleasePushLockExclusive(Lock)                                                           \
    ExReleasePushLockExclusiveEx((Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExReleasePushLockShared(Lock) ExReleasePushLockSharedEx((Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)

/* ------------------------------------------------------------------ Run-down protection ("Run-Down
 * Protection"): an object that others use stays until they are done, and takes no new users once
 * its end has begun. */

typedef struct _EX_RUNDOWN_REF
{
    union
    {
        volatile ULONG_PTR Count; /* see kernel/ex/rundown.c */
        PVOID Ptr;
    };
} EX_RUNDOWN_REF, *PEX_RUNDOWN_REF;

/* Makes one that grants protection. Any IRQL. */
VOID ExInitializeRundownProtection(_Out_ PEX_RUNDOWN_REF RunRef);

/* TRUE: protected, once / Count times. FALSE: the run-down has begun. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ BOOLEAN ExAcquireRundownProtection(_Inout_ PEX_RUNDOWN_REF RunRef);
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ BOOLEAN ExAcquireRundownProtectionEx(_Inout_ PEX_RUNDOWN_REF RunRef,
                                                           ULONG Count);

/* Gives back one protection / Count of them; not necessarily by who acquired it. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExReleaseRundownProtection(_Inout_ PEX_RUNDOWN_REF RunRef);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExReleaseRundownProtectionEx(_Inout_ PEX_RUNDOWN_REF RunRef, ULONG Count);

/* Grants no more and returns when all that was granted has been given back. One caller at a time;
 * when the object is run down already, no effect. */
_IRQL_requires_max_(APC_LEVEL)
VOID ExWaitForRundownProtectionRelease(_Inout_ PEX_RUNDOWN_REF RunRef);

/* After the wait: says that the old object is gone / grants protection again, for a new one. */
_IRQL_requires_max_(APC_LEVEL)
VOID ExRundownCompleted(_Out_ PEX_RUNDOWN_REF RunRef);
_IRQL_requires_max_(APC_LEVEL)
VOID ExReInitializeRundownProtection(_Inout_ PEX_RUNDOWN_REF RunRef);

/* ------------------------------------------------------------------ Reader/writer spin locks
 * ("Reader-Writer Spin Locks"): many readers or one writer; while a writer waits no reader goes in.
 * Zero when new. Not recursive, for readers either. See kernel/ex/rwspinlock.c. */

typedef volatile LONG EX_SPIN_LOCK, *PEX_SPIN_LOCK;

/* Raise to DISPATCH_LEVEL, then acquire; return the IRQL for the release. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_IRQL_raises_(DISPATCH_LEVEL)
_IRQL_saves_
_Acquires_lock_(*SpinLock)
KIRQL ExAcquireSpinLockShared(_Inout_ PEX_SPIN_LOCK SpinLock);
_IRQL_requires_max_(DISPATCH_LEVEL)
_IRQL_raises_(DISPATCH_LEVEL)
_IRQL_saves_
_Acquires_lock_(*SpinLock)
KIRQL ExAcquireSpinLockExclusive(_Inout_ PEX_SPIN_LOCK SpinLock);

/* Release, then lower to OldIrql. */
_IRQL_requires_(DISPATCH_LEVEL)
_Releases_lock_(*SpinLock)
VOID ExReleaseSpinLockShared(_Inout_ PEX_SPIN_LOCK SpinLock, _IRQL_restores_ KIRQL OldIrql);
_IRQL_requires_(DISPATCH_LEVEL)
_Releases_lock_(*SpinLock)
VOID ExReleaseSpinLockExclusive(_Inout_ PEX_SPIN_LOCK SpinLock, _IRQL_restores_ KIRQL OldIrql);

/* The pairs for callers already at DISPATCH_LEVEL: the IRQL is not touched. */
_IRQL_requires_min_(DISPATCH_LEVEL)
_Acquires_lock_(*SpinLock)
VOID ExAcquireSpinLockSharedAtDpcLevel(_Inout_ PEX_SPIN_LOCK SpinLock);
_IRQL_requires_min_(DISPATCH_LEVEL)
_Acquires_lock_(*SpinLock)
VOID ExAcquireSpinLockExclusiveAtDpcLevel(_Inout_ PEX_SPIN_LOCK SpinLock);
_IRQL_requires_min_(DISPATCH_LEVEL)
_Releases_lock_(*SpinLock)
VOID ExReleaseSpinLockSharedFromDpcLevel(_Inout_ PEX_SPIN_LOCK SpinLock);
_IRQL_requires_min_(DISPATCH_LEVEL)
_Releases_lock_(*SpinLock)
VOID ExReleaseSpinLockExclusiveFromDpcLevel(_Inout_ PEX_SPIN_LOCK SpinLock);

/* TRUE: the caller, the only reader while no writer waited, is the writer now. FALSE: still a
 * reader. */
_IRQL_requires_min_(DISPATCH_LEVEL)
_Must_inspect_result_ BOOLEAN ExTryConvertSharedSpinLockExclusive(_Inout_ PEX_SPIN_LOCK SpinLock);

/* ------------------------------------------------------------------ Raising a status. There are no
 * structured exceptions here, so nothing can catch it: bug check 0x1E with the status. */
DECLSPEC_NORETURN VOID ExRaiseStatus(NTSTATUS Status);
DECLSPEC_NORETURN VOID ExRaiseAccessViolation(VOID);
DECLSPEC_NORETURN VOID ExRaiseDatatypeMisalignment(VOID);
