/* SPDX-License-Identifier: MIT */
/*
 * ke.h - the kernel proper: IRQL, spin locks, DPCs, interrupt synchronization, processors, time.
 *
 * Each declaration names its caller's IRQL in its annotation and, in its comment, parameters with
 * units, return values and errors, and the title of the Microsoft page when that is not simply the
 * routine's name. What differs from Microsoft's behaviour is in docs/routines.md.
 */
#pragma once

#include <arch/intrin.h>
#include <bugcodes.h>
#include <interlocked.h>
#include <ntdef.h>
#include <rtl.h>
#include <sal.h>

/* ------------------------------------------------------------------ IRQL ("Managing Hardware
 * Priorities"). The value is the processor's CR8. */

typedef UCHAR KIRQL, *PKIRQL;

#define PASSIVE_LEVEL 0
#define LOW_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2
#define CMCI_LEVEL 5
#define SYNCH_LEVEL 12
#define CLOCK_LEVEL 13
#define IPI_LEVEL 14
#define POWER_LEVEL 14
#define DRS_LEVEL 14
#define PROFILE_LEVEL 15
#define HIGH_LEVEL 15

/* The current processor's IRQL. Any IRQL. */
FORCEINLINE KIRQL KeGetCurrentIrql(VOID)
{
    return (KIRQL)__readcr8();
}

/* Raises to NewIrql (>= current, else bug check 0x9 in checked builds) and returns the old level
 * in *OldIrql, for KeLowerIrql. Any IRQL. */
_IRQL_raises_(NewIrql)
VOID KeRaiseIrql(KIRQL NewIrql, _Out_ _IRQL_saves_ PKIRQL OldIrql);

/* Restores the level that the immediately preceding raise returned; a higher one is bug check 0xA
 * in checked builds. DPCs that became due meanwhile have run when this returns below
 * DISPATCH_LEVEL. Any IRQL. */
VOID KeLowerIrql(_IRQL_restores_ KIRQL NewIrql);

/* Raises to DISPATCH_LEVEL; returns the old level. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_IRQL_raises_(DISPATCH_LEVEL)
_IRQL_saves_
KIRQL KeRaiseIrqlToDpcLevel(VOID);

/* Raises to SYNCH_LEVEL; returns the old level. Exported, undocumented, real meaning. */
_IRQL_requires_max_(SYNCH_LEVEL)
_IRQL_raises_(SYNCH_LEVEL)
_IRQL_saves_
KIRQL KeRaiseIrqlToSynchLevel(VOID);

/* ------------------------------------------------------------------ Processors ("Supporting
 * Systems That Have More Than 64 Processors"). */

#define MAXIMUM_PROCESSORS 256
#define MAXIMUM_PROC_PER_GROUP 64
#define MAXIMUM_GROUPS (MAXIMUM_PROCESSORS / MAXIMUM_PROC_PER_GROUP)
#define ALL_PROCESSOR_GROUPS 0xFFFF
#define INVALID_PROCESSOR_INDEX 0xFFFFFFFFu

typedef ULONG_PTR KAFFINITY, *PKAFFINITY;

typedef struct _GROUP_AFFINITY
{
    KAFFINITY Mask;
    USHORT Group;
    USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;

typedef struct _PROCESSOR_NUMBER
{
    USHORT Group;
    UCHAR Number;
    UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

/* Number of active processors in group 0; *ActiveProcessors, if given, their mask. Any IRQL. */
ULONG KeQueryActiveProcessorCount(_Out_opt_ PKAFFINITY ActiveProcessors);

/* Number of active processors in GroupNumber, or in all with ALL_PROCESSOR_GROUPS; 0 for a group
 * that does not exist. Any IRQL. */
ULONG KeQueryActiveProcessorCountEx(USHORT GroupNumber);

/* Mask of the active processors of group 0. Bits may have gaps. Any IRQL. */
KAFFINITY KeQueryActiveProcessors(VOID);

/* The most processors this boot can ever have, in group 0 / in GroupNumber. Any IRQL. */
ULONG KeQueryMaximumProcessorCount(VOID);
ULONG KeQueryMaximumProcessorCountEx(USHORT GroupNumber);

/* Number of groups in use; the most there can be. Any IRQL. */
USHORT KeQueryActiveGroupCount(VOID);
USHORT KeQueryMaximumGroupCount(VOID);

/* Mask of the active processors of GroupNumber; 0 if there is no such group. Any IRQL. */
KAFFINITY KeQueryGroupAffinity(USHORT GroupNumber);

/* This processor's number within its group. Stable only at >= DISPATCH_LEVEL. Any IRQL. */
ULONG KeGetCurrentProcessorNumber(VOID);

/* This processor's system-wide index, 0..n-1; *ProcNumber, if given, its group and number. */
ULONG KeGetCurrentProcessorNumberEx(_Out_opt_ PPROCESSOR_NUMBER ProcNumber);
ULONG KeGetCurrentProcessorIndex(VOID);

/* Index <-> (group, number). STATUS_INVALID_PARAMETER / INVALID_PROCESSOR_INDEX if there is no
 * such active processor. Any IRQL. */
NTSTATUS KeGetProcessorNumberFromIndex(ULONG ProcIndex, _Out_ PPROCESSOR_NUMBER ProcNumber);
ULONG KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber);

/* NUMA ("NUMA Support"): highest node number, this processor's node, a node's processors. */
USHORT KeQueryHighestNodeNumber(VOID);
USHORT KeGetCurrentNodeNumber(VOID);
VOID KeQueryNodeActiveAffinity(USHORT NodeNumber, _Out_opt_ PGROUP_AFFINITY Affinity,
                               _Out_opt_ PUSHORT Count);

/* Bytes between data of different processors that share no cache line. Any IRQL. */
ULONG KeGetRecommendedSharedDataAlignment(VOID);

/* ------------------------------------------------------------------ Spin locks ("Introduction to
 * Spin Locks"). Hold for at most 25 us; touch nothing pageable; do not acquire twice. */

typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;

/* Makes a lock free. Once, before first use; any IRQL. */
VOID KeInitializeSpinLock(_Out_ PKSPIN_LOCK SpinLock);

/* Raises to DISPATCH_LEVEL, then acquires; returns the IRQL for KeReleaseSpinLock. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_IRQL_raises_(DISPATCH_LEVEL)
_IRQL_saves_
_Acquires_lock_(*SpinLock)
KIRQL KeAcquireSpinLockRaiseToDpc(_Inout_ PKSPIN_LOCK SpinLock);

/* As above; *OldIrql is written after the acquisition, so it may not be shared by two locks. */
#define KeAcquireSpinLock(SpinLock, OldIrql) (*(OldIrql) = KeAcquireSpinLockRaiseToDpc(SpinLock))

/* Releases, then lowers to NewIrql. */
_IRQL_requires_(DISPATCH_LEVEL)
_Releases_lock_(*SpinLock)
VOID KeReleaseSpinLock(_Inout_ PKSPIN_LOCK SpinLock, _IRQL_restores_ KIRQL NewIrql);

/* The pair for callers already at DISPATCH_LEVEL or above: the IRQL is not touched. */
_IRQL_requires_min_(DISPATCH_LEVEL)
_Acquires_lock_(*SpinLock)
VOID KeAcquireSpinLockAtDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);

_IRQL_requires_min_(DISPATCH_LEVEL)
_Releases_lock_(*SpinLock)
VOID KeReleaseSpinLockFromDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);

/* For routines that run both as ordinary and as threaded DPC: raises to DISPATCH_LEVEL from below,
 * otherwise leaves the IRQL. Microsoft: "KeAcquireSpinLockForDpc". */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Acquires_lock_(*SpinLock)
KIRQL KeAcquireSpinLockForDpc(_Inout_ PKSPIN_LOCK SpinLock);

_IRQL_requires_max_(DISPATCH_LEVEL)
_Releases_lock_(*SpinLock)
VOID KeReleaseSpinLockForDpc(_Inout_ PKSPIN_LOCK SpinLock, _IRQL_restores_ KIRQL OldIrql);

/* TRUE and the lock, or FALSE at once. */
_IRQL_requires_min_(DISPATCH_LEVEL)
_Must_inspect_result_ BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);

/* FALSE iff the lock is held at this instant; acquires nothing. Any IRQL. */
BOOLEAN KeTestSpinLock(PKSPIN_LOCK SpinLock);

/* In-stack queued spin locks ("Queued Spin Locks"): first come, first served, and each waiter spins
 * on its own cache line. One handle per acquisition, on the stack; never mix the two families on
 * one lock. */
typedef struct _KSPIN_LOCK_QUEUE
{
    struct _KSPIN_LOCK_QUEUE *volatile Next;
    PKSPIN_LOCK volatile Lock;
} KSPIN_LOCK_QUEUE, *PKSPIN_LOCK_QUEUE;

typedef struct _KLOCK_QUEUE_HANDLE
{
    KSPIN_LOCK_QUEUE LockQueue;
    KIRQL OldIrql;
} KLOCK_QUEUE_HANDLE, *PKLOCK_QUEUE_HANDLE;

_IRQL_requires_max_(DISPATCH_LEVEL)
_IRQL_raises_(DISPATCH_LEVEL)
_Acquires_lock_(*SpinLock)
VOID KeAcquireInStackQueuedSpinLock(_Inout_ PKSPIN_LOCK SpinLock,
                                    _Out_ PKLOCK_QUEUE_HANDLE LockHandle);

_IRQL_requires_(DISPATCH_LEVEL)
VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle);

_IRQL_requires_min_(DISPATCH_LEVEL)
VOID KeAcquireInStackQueuedSpinLockAtDpcLevel(_Inout_ PKSPIN_LOCK SpinLock,
                                              _Out_ PKLOCK_QUEUE_HANDLE LockHandle);

_IRQL_requires_min_(DISPATCH_LEVEL)
VOID KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle);

_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeAcquireInStackQueuedSpinLockForDpc(_Inout_ PKSPIN_LOCK SpinLock,
                                          _Out_ PKLOCK_QUEUE_HANDLE LockHandle);

_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle);

/* ------------------------------------------------------------------ DPCs ("Introduction to DPC
 * Objects"). */

struct _KDPC;
struct _KI_DPC_QUEUE;

/* At DISPATCH_LEVEL, on the processor whose queue held the DPC, in an arbitrary thread. */
typedef _IRQL_requires_(DISPATCH_LEVEL)
VOID KDEFERRED_ROUTINE(struct _KDPC *Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                       PVOID SystemArgument2);
typedef KDEFERRED_ROUTINE *PKDEFERRED_ROUTINE;

typedef enum _KDPC_IMPORTANCE
{
    LowImportance,
    MediumImportance,
    HighImportance,
    MediumHighImportance
} KDPC_IMPORTANCE;

/* Opaque to drivers. Everything but DpcData belongs to whoever inserts; see kernel/ke/dpc.c. */
typedef struct _KDPC
{
    UCHAR Type; /* DpcObject or ThreadedDpcObject; constant */
    UCHAR Importance;
    volatile USHORT Number; /* target processor index, or KI_DPC_UNTARGETED */
    LIST_ENTRY DpcListEntry;
    PKDEFERRED_ROUTINE DeferredRoutine;
    PVOID DeferredContext;
    PVOID SystemArgument1;
    PVOID SystemArgument2;
    struct _KI_DPC_QUEUE *volatile DpcData; /* the queue it is in; NULL when in none */
} KDPC, *PKDPC, *PRKDPC;

/* Makes an untargeted DPC of medium importance. Any IRQL. */
VOID KeInitializeDpc(_Out_ PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext);

/* Makes a threaded DPC, untargeted: it runs in a thread of priority 31 of its processor, at
 * PASSIVE_LEVEL, one after the other; ordinary DPCs preempt it. The same rules hold for its routine
 * as for any DPC's: on other systems it may run at DISPATCH_LEVEL. All routines for DPCs take it.
 * Importance High means the head of the queue, all others its tail. Any IRQL. Microsoft:
 * "Introduction to Threaded DPCs". */
VOID KeInitializeThreadedDpc(_Out_ PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine,
                             PVOID DeferredContext);

/* Queues the DPC. TRUE if this call queued it; FALSE if it was queued already, and then nothing
 * changes, the arguments included. Any IRQL. */
BOOLEAN KeInsertQueueDpc(_Inout_ PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2);

/* TRUE exactly when this call took the DPC out of its queue, so that queueing never runs. Any
 * IRQL. */
BOOLEAN KeRemoveQueueDpc(_Inout_ PRKDPC Dpc);

/* How soon the next insertion runs. No effect while queued. Any IRQL. */
VOID KeSetImportanceDpc(_Inout_ PRKDPC Dpc, KDPC_IMPORTANCE Importance);

/* Where the next insertion runs: a processor of group 0; a number that is not active is ignored.
 * Any IRQL. */
VOID KeSetTargetProcessorDpc(_Inout_ PRKDPC Dpc, CHAR Number);

/* The same for any group; STATUS_INVALID_PARAMETER if there is no such active processor. */
NTSTATUS KeSetTargetProcessorDpcEx(_Inout_ PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber);

/* Waits until every DPC queued before the call, on any processor, threaded ones included, has
 * returned. Not from a threaded DPC. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID KeFlushQueuedDpcs(VOID);

/* TRUE while this processor runs an ordinary DPC's routine. Any IRQL. */
BOOLEAN KeIsExecutingDpc(VOID);

/* The DPC watchdog: a DPC that runs for too long, or DPCs without a pause for too long, stop the
 * machine with DPC_WATCHDOG_VIOLATION. All in clock ticks. */
typedef struct _KDPC_WATCHDOG_INFORMATION
{
    ULONG DpcTimeLimit;     /* what one DPC may take; 0: any time          */
    ULONG DpcTimeCount;     /* what is left of it to the current DPC       */
    ULONG DpcWatchdogLimit; /* the same for DPCs one after the other       */
    ULONG DpcWatchdogCount;
    ULONG Reserved;
} KDPC_WATCHDOG_INFORMATION, *PKDPC_WATCHDOG_INFORMATION;

/* STATUS_UNSUCCESSFUL if this processor is not running a DPC. */
_IRQL_requires_min_(DISPATCH_LEVEL)
NTSTATUS KeQueryDpcWatchdogInformation(_Out_ PKDPC_WATCHDOG_INFORMATION WatchdogInformation);

/* TRUE: a loop at DISPATCH_LEVEL should make a pause - lower the IRQL; in a DPC, leave the rest to
 * a thread. */
_IRQL_requires_min_(DISPATCH_LEVEL)
LOGICAL KeShouldYieldProcessor(VOID);

/* A DPC on every processor at once. Exported, undocumented, real meaning. Routine runs once on each
 * active processor, at DISPATCH_LEVEL, with DeferredContext Context; it must call
 * KeSignalCallDpcDone once, last of all, and the call returns when all have. Calls by several
 * threads take turns. */
_IRQL_requires_max_(APC_LEVEL)
VOID KeGenericCallDpc(PKDEFERRED_ROUTINE Routine, PVOID Context);

/* For its routine: done. SystemArgument1: the routine's. */
_IRQL_requires_(DISPATCH_LEVEL)
VOID KeSignalCallDpcDone(PVOID SystemArgument1);

/* For its routine: returns when all processors have called, TRUE on exactly one of them. May be
 * called again. SystemArgument2: the routine's. */
_IRQL_requires_(DISPATCH_LEVEL)
LOGICAL KeSignalCallDpcSynchronize(PVOID SystemArgument2);

/* ------------------------------------------------------------------ Interrupts ("Introduction to
 * Interrupt Service Routines"). Connecting is in io.h. */

typedef struct _KINTERRUPT *PKINTERRUPT;

typedef enum _KINTERRUPT_MODE
{
    LevelSensitive,
    Latched
} KINTERRUPT_MODE;

/* TRUE if the device had interrupted and is quiet now. At the interrupt's SynchronizeIrql, with
 * its spin lock held. */
typedef BOOLEAN KSERVICE_ROUTINE(PKINTERRUPT Interrupt, PVOID ServiceContext);
typedef KSERVICE_ROUTINE *PKSERVICE_ROUTINE;

typedef BOOLEAN KSYNCHRONIZE_ROUTINE(PVOID SynchronizeContext);
typedef KSYNCHRONIZE_ROUTINE *PKSYNCHRONIZE_ROUTINE;

/* Calls the routine at SynchronizeIrql under the interrupt's lock, on this processor; returns what
 * it returned. IRQL <= the interrupt's SynchronizeIrql. */
BOOLEAN KeSynchronizeExecution(_Inout_ PKINTERRUPT Interrupt,
                               PKSYNCHRONIZE_ROUTINE SynchronizeRoutine, PVOID SynchronizeContext);

/* The same exclusion as a pair; returns the IRQL for the release. */
_IRQL_saves_
KIRQL KeAcquireInterruptSpinLock(_Inout_ PKINTERRUPT Interrupt);
VOID KeReleaseInterruptSpinLock(_Inout_ PKINTERRUPT Interrupt, _IRQL_restores_ KIRQL OldIrql);

/* Calls the worker at IPI_LEVEL on every processor at once: all are inside before any begins, and
 * the call returns when all are done. Returns what the worker returned on this processor. IRQL <
 * IPI_LEVEL, interrupts on, and no lock held that another processor may spin for at IPI_LEVEL. */
typedef ULONG_PTR KIPI_BROADCAST_WORKER(ULONG_PTR Argument);
typedef KIPI_BROADCAST_WORKER *PKIPI_BROADCAST_WORKER;
ULONG_PTR KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context);

/* ------------------------------------------------------------------ Time. */

/* Counts of a fixed-rate counter since boot, monotone across processors; *PerformanceFrequency, if
 * given, its counts per second. Any IRQL. */
LARGE_INTEGER KeQueryPerformanceCounter(_Out_opt_ PLARGE_INTEGER PerformanceFrequency);

/* 100 ns units since boot. Any IRQL. Microsoft: "KeQueryInterruptTime", and ...Precise with the
 * performance counter's value at the same instant. */
ULONGLONG KeQueryInterruptTime(VOID);
ULONGLONG KeQueryInterruptTimePrecise(_Out_ PULONG64 QpcTimeStamp);

/* 100 ns units since 1 January 1601, from the CMOS clock at boot. Any IRQL. */
VOID KeQuerySystemTime(_Out_ PLARGE_INTEGER CurrentTime);

/* Clock ticks since boot, of KeQueryTimeIncrement() 100 ns units each. Any IRQL. */
VOID KeQueryTickCount(_Out_ PLARGE_INTEGER TickCount);
ULONG KeQueryTimeIncrement(VOID);

/* Busy-waits that many microseconds; more than 50 is bad manners. Any IRQL. */
VOID KeStallExecutionProcessor(ULONG MicroSeconds);

/* ------------------------------------------------------------------ The end. */

/* Stops the machine with one report. Any IRQL. */
DECLSPEC_NORETURN VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1,
                                    ULONG_PTR BugCheckParameter2, ULONG_PTR BugCheckParameter3,
                                    ULONG_PTR BugCheckParameter4);
DECLSPEC_NORETURN VOID KeBugCheck(ULONG BugCheckCode);

#define YieldProcessor() _mm_pause()

#include <kethread.h>
#include <kewait.h>
