/* SPDX-License-Identifier: MIT */
/*
 * kewait.h - dispatcher objects: events, mutexes, semaphores, timers, queues, and waiting for them.
 *
 * "A set of kernel-mode threads can synchronize access to shared data or resources by waiting for
 * one of the kernel's dispatcher objects": Microsoft, "Kernel Dispatcher Objects". Every structure
 * here is opaque to drivers: they provide the storage, nonpaged, and call. A wait is for the
 * address of the object. Part of ke.h.
 */
#pragma once

#include <ke.h>

typedef struct _KTHREAD *PKTHREAD, *PRKTHREAD;
struct _KWAIT_BLOCK;

typedef LONG KPRIORITY;
typedef CHAR KPROCESSOR_MODE;

typedef enum _MODE
{
    KernelMode,
    UserMode,
    MaximumMode
} MODE;

/* ------------------------------------------------------------------ What every object begins with.
 * Each has its own lock; there is none over all of them. */

typedef enum _KOBJECTS
{
    EventNotificationObject = 0,
    EventSynchronizationObject = 1,
    MutantObject = 2,
    ProcessObject = 3,
    QueueObject = 4,
    SemaphoreObject = 5,
    ThreadObject = 6,
    TimerNotificationObject = 8,
    TimerSynchronizationObject = 9,
    ApcObject = 18,
    DpcObject = 19,
    DeviceQueueObject = 20,
    ThreadedDpcObject = 26
} KOBJECTS;

typedef struct _DISPATCHER_HEADER
{
    KSPIN_LOCK Lock;           /* DISPATCH_LEVEL, KiRankDispatcher; guards what follows       */
    UCHAR Type;                /* KOBJECTS; constant                                          */
    USHORT WaitAllCount;       /* wait-all blocks in the list                                 */
    volatile LONG SignalState; /* > 0: signaled; KeReadState... read it without the lock    */
    LIST_ENTRY WaitListHead;   /* KWAIT_BLOCK.WaitListEntry, first come first                 */
} DISPATCHER_HEADER, *PDISPATCHER_HEADER;

/* ------------------------------------------------------------------ Events ("Event Objects"). */

typedef enum _EVENT_TYPE
{
    NotificationEvent,   /* releases all waiters and stays set    */
    SynchronizationEvent /* releases one and is reset by doing so */
} EVENT_TYPE;

typedef struct _KEVENT
{
    DISPATCHER_HEADER Header;
} KEVENT, *PKEVENT, *PRKEVENT;

/* State: TRUE is set. Any IRQL. */
VOID KeInitializeEvent(_Out_ PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State);

/* Sets it; returns the previous state (0: it was not set). Increment: what the priority of those
 * released is raised by. Wait TRUE: the very next call is a KeWait..., and until then the IRQL is
 * DISPATCH_LEVEL; then IRQL <= APC_LEVEL only. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeSetEvent(_Inout_ PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);

/* Resets it; returns the previous state. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeResetEvent(_Inout_ PRKEVENT Event);

/* Resets it. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeClearEvent(_Inout_ PRKEVENT Event);

/* Sets it, releases who waits at that instant, resets it, in one step; returns the previous state.
 * A waiter that is executing a kernel APC misses it. Microsoft: "KePulseEvent". */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KePulseEvent(_Inout_ PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);

/* Its state just now. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeReadStateEvent(_In_ PRKEVENT Event);

/* ------------------------------------------------------------------ Mutexes ("Mutex Objects"). */

typedef struct _KMUTANT
{
    DISPATCHER_HEADER Header;   /* SignalState: 1 free, 0 owned once, -n owned n + 1 times        */
    LIST_ENTRY MutantListEntry; /* in the owner's list; the owner alone                           */
    struct _KTHREAD *OwnerThread; /* under Header.Lock                                            */
    BOOLEAN Abandoned;            /* under Header.Lock                                            */
    UCHAR ApcDisable;             /* 1 for a mutex, whose owner takes no normal APCs; constant    */
} KMUTANT, *PKMUTANT, *PRKMUTANT, KMUTEX, *PKMUTEX, *PRKMUTEX;

/* Makes a free mutex. Level is ignored. Any IRQL. */
VOID KeInitializeMutex(_Out_ PRKMUTEX Mutex, ULONG Level);

/* Gives up one ownership; returns the previous signal state: 0 means that it is free now. A caller
 * that is not the owner raises STATUS_MUTANT_NOT_OWNED. Wait as in KeSetEvent. At the IRQL it was
 * acquired at, if that was DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeReleaseMutex(_Inout_ PRKMUTEX Mutex, BOOLEAN Wait);

/* 1: free. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeReadStateMutex(_In_ PRKMUTEX Mutex);

/* Mutants: mutexes that may be abandoned and leave APCs alone. Exported, undocumented, real
 * meaning. Abandoned: the owner is gone, and the next wait says so. */
VOID KeInitializeMutant(_Out_ PRKMUTANT Mutant, BOOLEAN InitialOwner);
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeReleaseMutant(_Inout_ PRKMUTANT Mutant, KPRIORITY Increment, BOOLEAN Abandoned,
                     BOOLEAN Wait);

/* ------------------------------------------------------------------ Semaphores ("Semaphore
 * Objects"). */

typedef struct _KSEMAPHORE
{
    DISPATCHER_HEADER Header; /* SignalState: the count */
    LONG Limit;               /* constant               */
} KSEMAPHORE, *PKSEMAPHORE, *PRKSEMAPHORE;

/* Count: the first; Limit: the highest, at least 1. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID KeInitializeSemaphore(_Out_ PRKSEMAPHORE Semaphore, LONG Count, LONG Limit);

/* Adds Adjustment (> 0) to the count; returns the previous one. Past the limit the count stays and
 * STATUS_SEMAPHORE_LIMIT_EXCEEDED is raised. Increment and Wait as in KeSetEvent; with Wait TRUE
 * at PASSIVE_LEVEL only. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeReleaseSemaphore(_Inout_ PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment,
                        BOOLEAN Wait);

/* The count just now. Any IRQL. */
LONG KeReadStateSemaphore(_In_ PRKSEMAPHORE Semaphore);

/* ------------------------------------------------------------------ Timers ("Timer Objects"). */

typedef enum _TIMER_TYPE
{
    NotificationTimer,
    SynchronizationTimer
} TIMER_TYPE;

typedef struct _KTIMER
{
    DISPATCHER_HEADER Header;
    RTLP_HEAP_NODE HeapNode;  /* Key: when it expires, in 100 ns units of interrupt time         */
    volatile ULONG Processor; /* whose timers it belongs to: that processor's timer lock guards */
    BOOLEAN Inserted;         /* everything here; see kernel/ke/timer.c                         */
    BOOLEAN Absolute;         /* due at a system time: moves when the clock is set              */
    ULONG Period;             /* ms; 0: once                                                    */
    ULONG TolerableDelay;     /* ms                                                             */
    ULONG64 DueTime; /* as it was asked for: system time if Absolute, else interrupt time */
    struct _KDPC *Dpc;
} KTIMER, *PKTIMER, *PRKTIMER;

/* Makes a notification timer / one of Type, not signaled, not set. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeInitializeTimer(_Out_ PKTIMER Timer);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeInitializeTimerEx(_Out_ PKTIMER Timer, TIMER_TYPE Type);

/* Sets it: not signaled until DueTime (100 ns units: negative relative to now, else absolute system
 * time), and then every Period ms if that is not 0; Dpc, if given, is queued each time. TRUE if it
 * was set already: that setting, and its DPC, are cancelled. TolerableDelay (ms): how much later
 * than due it may expire, to expire together with others. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeSetTimer(_Inout_ PKTIMER Timer, LARGE_INTEGER DueTime, struct _KDPC *Dpc);
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeSetTimerEx(_Inout_ PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, struct _KDPC *Dpc);
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeSetCoalescableTimer(_Inout_ PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period,
                              ULONG TolerableDelay, struct _KDPC *Dpc);

/* TRUE if it was set: it is not signaled and queues no DPC any more. Waits for nothing: a DPC that
 * an earlier period has queued may be on its way or running (KeFlushQueuedDpcs waits for that). */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeCancelTimer(_Inout_ PKTIMER Timer);

/* TRUE: signaled. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeReadStateTimer(_In_ PKTIMER Timer);

/* ------------------------------------------------------------------ Waits. */

typedef enum _KWAIT_REASON
{
    Executive,
    FreePage,
    PageIn,
    PoolAllocation,
    DelayExecution,
    Suspended,
    UserRequest,
    WrExecutive,
    WrQueue = 15,
    WrResource = 27,
    WrPushLock = 28,
    WrMutex = 29,
    WrFastMutex = 34,
    WrGuardedMutex = 35,
    WrRundown = 36
} KWAIT_REASON;

typedef enum _WAIT_TYPE
{
    WaitAll,
    WaitAny
} WAIT_TYPE;

#define THREAD_WAIT_OBJECTS 3
#define MAXIMUM_WAIT_OBJECTS 64

/* One thread's place in one object's list. Under the object's lock. */
typedef struct _KWAIT_BLOCK
{
    LIST_ENTRY WaitListEntry;
    struct _KTHREAD *Thread;
    PDISPATCHER_HEADER Object;
    UCHAR WaitType; /* WAIT_TYPE */
    UCHAR WaitKey;  /* the object's index in the wait */
    BOOLEAN Linked;
} KWAIT_BLOCK, *PKWAIT_BLOCK, *PRKWAIT_BLOCK;

/*
 * Returns when Object is signaled, with the side effect that its kind has (a synchronization event
 * is reset, a semaphore counted down, a mutex owned): STATUS_SUCCESS, or STATUS_ABANDONED_WAIT_0
 * for an abandoned mutant; or after Timeout (100 ns units, negative relative, else absolute system
 * time; NULL for ever; 0 does not wait): STATUS_TIMEOUT; or, if Alertable, STATUS_ALERTED. Kernel
 * APCs run meanwhile and do not end it. WaitMode is KernelMode; there is no other here.
 * IRQL <= APC_LEVEL; <= DISPATCH_LEVEL if *Timeout is 0. Raises STATUS_MUTANT_LIMIT_EXCEEDED.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS KeWaitForSingleObject(_In_ PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                               BOOLEAN Alertable, _In_opt_ PLARGE_INTEGER Timeout);

#define KeWaitForMutexObject KeWaitForSingleObject

/*
 * The same for Count objects. WaitAny: until one is signaled; returns STATUS_WAIT_0 + the lowest
 * such index, with side effects on that one alone. WaitAll: until all are at one instant; then all
 * side effects happen together, and none before. WaitBlockArray: Count blocks of nonpaged memory,
 * may be NULL for up to THREAD_WAIT_OBJECTS. More than MAXIMUM_WAIT_OBJECTS, or more than
 * THREAD_WAIT_OBJECTS without an array: bug check 0xC. Microsoft: "KeWaitForMultipleObjects".
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType,
                                  KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                  BOOLEAN Alertable, _In_opt_ PLARGE_INTEGER Timeout,
                                  _Out_opt_ PKWAIT_BLOCK WaitBlockArray);

/* Waits for *Interval to pass: STATUS_SUCCESS; or STATUS_ALERTED. An interval of 0 gives way to
 * another ready thread, if there is one. */
_IRQL_requires_max_(APC_LEVEL)
NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                _In_ PLARGE_INTEGER Interval);

/* ------------------------------------------------------------------ Queues ("KeInitializeQueue").
 * Entries for a pool of threads, of which about MaximumCount are to be running at a time. */

typedef struct _KQUEUE
{
    DISPATCHER_HEADER Header;  /* SignalState: entries in the list                             */
    LIST_ENTRY EntryListHead;  /* Header.Lock                                                  */
    ULONG CurrentCount;        /* associated threads that are not waiting; Header.Lock         */
    ULONG MaximumCount;        /* constant                                                     */
    LIST_ENTRY ThreadListHead; /* threads associated with it; Header.Lock                      */
    BOOLEAN Abandoned;         /* run down; Header.Lock                                        */
} KQUEUE, *PKQUEUE, *PRKQUEUE;

/* Count: how many threads may run at a time; 0: as many as there are processors. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID KeInitializeQueue(_Out_ PRKQUEUE Queue, ULONG Count);

/* Puts Entry at the tail / head, or hands it to a waiting thread; returns the previous number of
 * entries. Entry must not be in a queue already. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeInsertQueue(_Inout_ PRKQUEUE Queue, _Inout_ PLIST_ENTRY Entry);
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeInsertHeadQueue(_Inout_ PRKQUEUE Queue, _Inout_ PLIST_ENTRY Entry);

/* Takes the first entry, waiting for one if needed; Timeout as in KeWaitForSingleObject. The
 * address is STATUS_TIMEOUT or STATUS_ABANDONED (the queue has been run down) if there is none;
 * never STATUS_USER_APC here. From now on the caller counts among the queue's threads, until it
 * takes from another queue, ends, or the queue is run down. IRQL <= APC_LEVEL; <= DISPATCH_LEVEL
 * if *Timeout is 0. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PLIST_ENTRY KeRemoveQueue(_Inout_ PRKQUEUE Queue, KPROCESSOR_MODE WaitMode,
                          _In_opt_ PLARGE_INTEGER Timeout);

/* Ends all waits for it, and its association with any thread, and returns its entries, a circular
 * list without a head, or NULL. Its memory may be freed then, if nobody calls for it any more. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PLIST_ENTRY KeRundownQueue(_Inout_ PRKQUEUE Queue);

/* Number of entries. */
_IRQL_requires_max_(DISPATCH_LEVEL)
LONG KeReadStateQueue(_In_ PRKQUEUE Queue);
