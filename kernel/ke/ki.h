/* SPDX-License-Identifier: MIT */
/*
 * ki.h - the kernel's private side: per-processor data, lock ranks, assertions, and the routines
 * that one part of the kernel offers another. Drivers never see it.
 */
#pragma once

#include <arch/pcr.h>
#include <arch/trap.h>
#include <boot_info.h>
#include <ke.h>
#include <options.h>
#include <rtl.h>

/* ------------------------------------------------------------------ Assertions. Checked builds
 * (DBG = 1) stop with DRIVER_VERIFIER_DETECTED_VIOLATION or the code that the rule itself has. */

/* A broken invariant of our own: 0xC4, sub-code KI_ASSERTION_FAILED, the two values, the line. */
#define KI_ASSERTION_FAILED 0xFFFF0001u

#if DBG
#define KI_ASSERT_VALUES(Condition, Value1, Value2)                                                \
    do                                                                                             \
    {                                                                                              \
        if (!(Condition))                                                                          \
        {                                                                                          \
            KiAssertionFailed(#Condition, __FILE__, __LINE__, (ULONG_PTR)(Value1),                 \
                              (ULONG_PTR)(Value2));                                                \
        }                                                                                          \
    } while (0)
#else
#define KI_ASSERT_VALUES(Condition, Value1, Value2) ((void)0)
#endif
#define KI_ASSERT(Condition) KI_ASSERT_VALUES(Condition, 0, 0)

/* The caller's IRQL contract: 0xC4 with sub-code 0xE5 ("API called at the wrong IRQL"). */
#if DBG
#define KI_ASSERT_IRQL_MAX(Level) KiAssertIrql(PASSIVE_LEVEL, (Level), __func__)
#define KI_ASSERT_IRQL_MIN(Level) KiAssertIrql((Level), HIGH_LEVEL, __func__)
#define KI_ASSERT_IRQL(Level) KiAssertIrql((Level), (Level), __func__)
#else
#define KI_ASSERT_IRQL_MAX(Level) ((void)0)
#define KI_ASSERT_IRQL_MIN(Level) ((void)0)
#define KI_ASSERT_IRQL(Level) ((void)0)
#endif

DECLSPEC_NORETURN VOID KiAssertionFailed(PCSTR Condition, PCSTR File, ULONG Line, ULONG_PTR Value1,
                                         ULONG_PTR Value2);
VOID KiAssertIrql(KIRQL Minimum, KIRQL Maximum, PCSTR Routine);

/* ------------------------------------------------------------------ Lock ranks: the lock hierarchy
 * as code. A processor that holds a ranked lock may take only locks of higher rank; 0 is a driver's
 * own lock, unranked. Each line: the lock, the IRQL it is held at, what it guards. */
typedef enum _KI_LOCK_RANK
{
    KiRankNone,
    KiRankTestOuter,  /* DISPATCH; tests only                                            */
    KiRankTestInner,  /* DISPATCH; tests only                                            */
    KiRankIopDevices, /* DISPATCH; driver and device lists                               */
    KiRankPool,       /* DISPATCH; a pool size class                                     */
    KiRankSystemPtes, /* DISPATCH; kernel page tables and address space                  */
    KiRankPageFrames, /* DISPATCH; a node's page frames                                  */
    KiRankHandles,    /* DISPATCH; the handle table                                      */
    KiRankTimers,     /* DISPATCH; one processor's timers                                */
    KiRankWaitAll,    /* DISPATCH; wait-all waiters and who signals what they wait for   */
    KiRankDispatcher, /* DISPATCH; one dispatcher object                                 */
    KiRankApc,        /* DISPATCH; one thread's APC list                                 */
    KiRankThread,     /* DISPATCH; one thread's priority and affinity                    */
    KiRankReady,      /* DISPATCH; one processor's ready threads                         */
    KiRankRendezvous, /* CLOCK_LEVEL, interrupts on; one rendezvous at a time            */
    KiRankVectors,    /* HIGH_LEVEL; the vector table's chains                           */
    KiRankPciConfig,  /* HIGH_LEVEL; the CF8/CFC pair                                    */
    KiRankIoApic,     /* interrupts off; IOAPIC index/data pairs, line states            */
    KiRankDpcQueue,   /* interrupts off; one processor's DPC queue. Last: any IRQL inserts */
} KI_LOCK_RANK;

/* A lock word's three views; see kernel/ke/spinlock.c. */
#if DBG
typedef USHORT KI_TICKET;
#else
typedef ULONG KI_TICKET;
#endif

typedef union _KI_SPIN_LOCK
{
    KSPIN_LOCK Word;
    struct
    {
        KI_TICKET Next;    /* any CPU, by locked add                           */
        KI_TICKET Serving; /* written by the holder alone, with release order  */
#if DBG
        volatile USHORT Owner; /* holder: CPU index + 1; 0 while free     */
        USHORT Rank;           /* set when initialized                    */
#endif
    };
} KI_SPIN_LOCK, *PKI_SPIN_LOCK;

C_ASSERT(sizeof(KI_SPIN_LOCK) == sizeof(KSPIN_LOCK));

#if DBG
#define KI_RANKED_SPIN_LOCK(LockRank) ((KSPIN_LOCK)(LockRank) << 48)
#else
#define KI_RANKED_SPIN_LOCK(LockRank) ((KSPIN_LOCK)(LockRank)&0) /* free: no rank is kept */
#endif

FORCEINLINE VOID KiInitializeRankedSpinLock(PKSPIN_LOCK SpinLock, KI_LOCK_RANK Rank)
{
    *SpinLock = KI_RANKED_SPIN_LOCK(Rank);
}

/* The turn that a processor waits for halted (spinhalt.c): itself, interrupts off; read by who
 * releases. */
typedef struct _KI_AWAITED_TICKET
{
    KI_SPIN_LOCK *volatile Lock;
    volatile KI_TICKET Ticket;
} KI_AWAITED_TICKET;

/* ------------------------------------------------------------------ Threads. */

/*
 * Where a thread is: always in exactly one place. Changes, with who makes them:
 *     Initialized   -> DeferredReady  its creator
 *     DeferredReady -> Ready          who readies it, under its Lock and its new processor's
 *                                     Ready.Lock: in that processor's queue
 *     Ready         -> Standby        the processor that takes it, under its queue's lock: in no
 *                                     queue; Processor is now the taker
 *     Standby       -> Running        the same, under its own Ready.Lock
 *     Running       -> Waiting        itself, when its wait is committed; or
 *                   -> DeferredReady  itself, preempted or giving way; or
 *                   -> Terminated     itself. Under its processor's Ready.Lock
 *     Waiting       -> DeferredReady  who ended its wait (wait.c): the one winner
 */
typedef enum _KTHREAD_STATE
{
    Initialized,
    Ready,
    Running,
    Standby,
    Terminated,
    Waiting,
    DeferredReady
} KTHREAD_STATE;

/*
 * Whether a processor still uses a thread's stack, so that nobody else may run it yet (switch.c):
 *     (InUse)   -> (Saved)    the processor that has switched away, and the thread is at rest; or
 *     (InUse)   -> (Claimed)  who readies it first: then the processor that has switched away
 *     (Claimed) -> (Saved)    queues it, and nobody ever waits
 *     (Saved)   -> (InUse)    the processor that took it from a queue
 */
typedef enum _KI_SWAP_STATE
{
    KiSwapSaved,
    KiSwapInUse,
    KiSwapClaimed
} KI_SWAP_STATE;

/*
 * How a wait stands: the one word that decides how it ends (wait.c).
 *     (-)         -> (Preparing)              the thread, before its first block is linked
 *     (Preparing) -> (Committed)              the thread: from now on it has to be woken
 *     (Preparing | Committed) -> (Satisfied + k)   who holds object k's lock and finds it signaled
 *     (Preparing | Committed) -> (TimedOut)        the time-out's processor
 *     (Committed) -> (Apc | Alerted)               who queues the APC, who alerts; or the thread
 *                                                  itself, that finds it done already
 * Whoever makes the last change from Committed readies the thread.
 */
#define KI_WAIT_PREPARING 0x1000
#define KI_WAIT_COMMITTED 0x1001
#define KI_WAIT_TIMED_OUT 0x1002
#define KI_WAIT_APC 0x1003
#define KI_WAIT_ALERTED 0x1004
#define KI_WAIT_AT_LIMIT 0x1005  /* a mutant owned too often already */
#define KI_WAIT_SATISFIED 0x2000 /* + the object's index; a wait-all uses index 0 */

typedef struct _KTHREAD
{
    DISPATCHER_HEADER Header; /* signaled once it has terminated */

    /* Its stack and its switches. */
    PVOID KernelStack;        /* RSP while saved: the processor that switches away (switch.asm)  */
    volatile LONG SwapState;  /* KI_SWAP_STATE                                                   */
    volatile LONG State;      /* KTHREAD_STATE: see above                                        */
    volatile ULONG Processor; /* where it runs, stands by or is queued: under that processor's
                                 Ready.Lock; else where it ran last                             */
    ULONG64 StackCanary;      /* in the PCR while it runs: stackcheck.c; constant                 */
    PVOID InitialStack;       /* top; constant */
    SIZE_T StackBytes;        /* constant */
    PCSTR Name;               /* constant */
    PVOID ExtendedState;      /* registers to save and load with it, or NULL; itself (xstate.c)  */
    ULONG64 ContextSwitches;  /* times it was switched to: its processor, under Ready.Lock       */
    struct _KI_LANDING_PAD *LandingPad; /* checked builds: expect.c; itself */

    /* Scheduling. Guarded by Lock, and for a thread that is ready, standing by or running also by
     * its processor's Ready.Lock: others change it under both and read it under either; the
     * processor that runs it needs its own lock only. Affinity: changed by the running thread
     * itself. */
    KSPIN_LOCK Lock;
    LIST_ENTRY QueueEntry; /* in its ready queue; while DeferredReady in a list of its waker's */
    SCHAR Priority;
    SCHAR BasePriority;
    BOOLEAN AtFront; /* preempted: its quantum goes on; switch.c, sched.c                 */
    LONG Quantum;    /* ticks left: its processor, while it runs or is queued there           */
    ULONG IdealProcessor;
    GROUP_AFFINITY Affinity;     /* where it may run */
    GROUP_AFFINITY UserAffinity; /* what it goes back to */
    BOOLEAN SystemAffinityActive;

    /* Waiting: itself, before it commits; others read it afterwards. */
    volatile LONG WaitState;
    BOOLEAN WaitNext; /* a Wait = TRUE call has raised the IRQL: itself */
    BOOLEAN Alertable;
    BOOLEAN Alerted; /* ApcLock */
    KIRQL WaitIrql;  /* the IRQL that the wait returns to */
    UCHAR WaitReason;
    UCHAR WaitType;
    UCHAR WaitCount;     /* blocks in WaitBlockList */
    SCHAR WaitIncrement; /* priority boost: who ended the wait, before it readies the thread    */
    PKWAIT_BLOCK WaitBlockList;
    KWAIT_BLOCK WaitBlock[THREAD_WAIT_OBJECTS];
    KTIMER Timer;              /* the time-out; type KI_TIMEOUT_OBJECT (timer.c) */
    LIST_ENTRY MutantListHead; /* mutexes it owns: itself */

    /* KQUEUE: the one it is associated with, and the entry handed to it. queue.c. */
    struct _KQUEUE *Queue; /* itself; QueueListEntry under the queue's lock */
    LIST_ENTRY QueueListEntry;
    PLIST_ENTRY QueueItem;

    /* APCs (apc.c). */
    KSPIN_LOCK ApcLock;
    LIST_ENTRY ApcListHead;               /* ApcLock: special ones first                          */
    volatile BOOLEAN KernelApcPending;    /* ApcLock: the list is not empty                       */
    volatile BOOLEAN KernelApcInProgress; /* a normal routine is running: itself                */
    BOOLEAN ApcQueueable;                 /* ApcLock: FALSE before it starts and when it ends     */
    volatile SHORT KernelApcDisable;      /* < 0 in critical regions: itself                      */
    volatile SHORT SpecialApcDisable;     /* < 0 in guarded regions: itself                       */

    PVOID StartRoutine; /* KiInitializeThread's */
    PVOID StartContext;
    VOID(*Reaper)
    (struct _KTHREAD *Thread); /* NULL, or called when it has ended and no processor
                                                uses its stack: at DISPATCH_LEVEL. Constant */
} KTHREAD;

#define KI_DEFAULT_PRIORITY 8
#define KI_QUANTUM 2 /* ticks */
#define KI_IDLE_PRIORITY (-1)

/* The header's type of a thread's own time-out timer: it ends a wait and signals nothing. */
#define KI_TIMEOUT_OBJECT 10

/* ------------------------------------------------------------------ Per-processor data. */

#define KI_DPC_UNTARGETED 0xFFFF
#define KI_MAXIMUM_DPC_QUEUE_DEPTH 4 /* requests an interrupt for Low and remote Medium */
#define KI_MINIMUM_DPC_RATE 3        /* per tick: below it, Low is drained at once      */

/* One processor's DPC queue. Everything is guarded by Lock, held with interrupts off, and so is
 * the processor's Due.Dpc. */
typedef struct _KI_DPC_QUEUE
{
    KSPIN_LOCK Lock;
    LIST_ENTRY List;
    ULONG Depth;
    ULONG Processor;    /* index of the processor that drains it; constant */
    BOOLEAN Idle;       /* its processor has no tick: see idle.c */
    ULONG64 QueueCount; /* successful inserts, ever */
} KI_DPC_QUEUE, *PKI_DPC_QUEUE;

/* One processor's threaded DPCs (threadeddpc.c). Queue.Lock guards Queue and Awake; Thread is
 * constant once it runs. */
typedef struct _KI_THREADED_DPCS
{
    KI_DPC_QUEUE Queue; /* Idle is not used                                        */
    BOOLEAN Awake;      /* the thread has been called and has not found it empty since */
    KDPC Wake;          /* an ordinary DPC, to this processor: sets Event            */
    KEVENT Event;
    PKTHREAD Thread;
    ULONG64 RunCount; /* its thread only */
} KI_THREADED_DPCS, *PKI_THREADED_DPCS;

/*
 * What a processor has to do before it goes on below DISPATCH_LEVEL (Apc: below APC_LEVEL), a flag
 * each. Whoever lowers the IRQL, and the way out of an interrupt, looks at all of them at once
 * (KiLowerIrql, trap.asm, idle.c) and calls KiServeDue. Set by others, they come with an interrupt.
 */
typedef union _KI_DUE
{
    struct
    {
        volatile BOOLEAN Dpc;   /* under the DPC queue's lock (dpc.c)                           */
        volatile BOOLEAN Timer; /* set by its own clock or under the timer lock, which clears it */
        volatile BOOLEAN
            Schedule;         /* under Ready.Lock (sched.c)                                   */
        volatile BOOLEAN Apc; /* its own processor only (apc.c)                               */
    };
    volatile ULONG Any;
} KI_DUE;

#define KI_DUE_DISPATCH 0x00FFFFFFu /* all but Apc */

C_ASSERT(sizeof(KI_DUE) == sizeof(ULONG));

/* One processor's ready threads. Guarded by Lock; Summary and Wanted are also read without it, by
 * processors that look for work. */
typedef struct _KI_READY_QUEUES
{
    KSPIN_LOCK Lock;
    volatile ULONG Summary;    /* bit p: List[p] is not empty */
    LONG RunningPriority;      /* of the thread that runs here; KI_IDLE_PRIORITY: none */
    volatile KAFFINITY Wanted; /* at least the processors that the threads in it may run on: grows
                                  with each, starts anew with the first */
    BOOLEAN QuantumEnded;      /* the running thread's; set by its clock */
    LIST_ENTRY List[MAXIMUM_PRIORITY];
    ULONG64 Acquisitions; /* of Lock, for the benchmarks ...                                 */
    ULONG64 Acquirers;    /* ... and by whom, modulo 64; both are theirs to clear, under Lock */
} KI_READY_QUEUES, *PKI_READY_QUEUES;

/* One processor's timers (timer.c). Guarded by Lock; NextDue is also read by its clock
 * interrupt. */
typedef struct _KI_TIMERS
{
    KSPIN_LOCK Lock;
    PRTLP_HEAP_NODE Root;     /* the first that is due */
    volatile ULONG64 NextDue; /* its Key; MAXULONG64: none */
    ULONG64 Expirations;
} KI_TIMERS, *PKI_TIMERS;

#define KI_MAXIMUM_HELD_LOCKS 16

typedef struct _KI_HELD_LOCK
{
    PKSPIN_LOCK Lock;
    ULONG64 AcquireTime; /* TSC */
    PVOID Caller;
    UCHAR Kind; /* KI_LOCK_KIND */
} KI_HELD_LOCK;

typedef struct DECLSPEC_ALIGN(64) _KPRCB
{
    /* Constant after start-up; read by anyone. */
    struct _KPRCB *Self;
    ULONG Index;
    USHORT Group;
    UCHAR GroupNumber;
    USHORT Node;
    PKTHREAD IdleThread;
    struct _HALP_START_SLOT *StartSlot; /* its stacks; start.c                  */
    volatile LONG Numbered;             /* written once by the boot processor   */
    volatile LONG CanTakeNmi;           /* its IDT is loaded; once, by itself   */

    /* This processor only. */
    PKTHREAD CurrentThread DECLSPEC_ALIGN(64); /* changes at DISPATCH_LEVEL                     */
    KI_DUE Due;
    volatile BOOLEAN DpcRoutineActive; /* TRUE while DPCs run; set and cleared at DISPATCH        */
    PKDPC volatile RunningDpc;         /* for reports: the DPC being run                          */
    ULONG64 DpcCount;                  /* DPCs run                                                */
    ULONG DpcRate;                     /* DPCs in the last tick; written by the clock             */
    ULONG64 DpcCountAtTick;
    ULONG64 WatchedDpc;  /* DpcCount when DpcTicks began (watchdog.c): its clock */
    ULONG DpcTicks;      /* ticks that have seen this DPC: its clock             */
    ULONG DispatchTicks; /* ticks in a row at >= DISPATCH_LEVEL: its clock       */
    ULONG64 ClockInterrupts;
    ULONG64 NextTick;   /* interrupt time of the next tick; its clock and idle loop */
    ULONG64 ClockArmed; /* interrupt time the APIC timer is set to; MAXULONG64: not set */
    ULONG64 ContextSwitches;
    ULONG64 InterruptCount; /* device interrupts taken */
    ULONG64 SpuriousCount;  /* true spurious interrupts */
    ULONG64 UnclaimedCount; /* vectors that nobody owns */
    ULONG64 NmiCount;
    ULONG64 NmiRip;        /* where the last NMI came (nmi.c): its handler         */
    ULONG64 NmisReported;  /* NmiCount at the last report                          */
    ULONG64 NmiReportTime; /* interrupt time of it                                 */
    KIRQL NmiIrql;         /* as NmiRip                                            */
    ULONG64
    ErrorPollTime;      /* interrupt time of the next look at the machine-check banks: its clock */
    ULONG64 ClockSeen;  /* interrupt time at its last clock interrupt           */
    ULONG64 ClockGaps;  /* clock interrupts that came late by a second or more  */
    ULONG64 ClockSteps; /* clock interrupts that found the time gone back       */
    ULONG64 GapReportTime; /* interrupt time when one of these was last reported   */
    ULONG64 ApcInterrupts;
    ULONG64 ApicErrorCount;
    ULONG ApicErrorsSeen; /* bits of its ESR that were logged */
    ULONG64 IdleHalts;
#if DBG
    ULONG HeldLockCount; /* locks held by this processor, innermost last; IRQL >= DISPATCH */
    KI_HELD_LOCK HeldLocks[KI_MAXIMUM_HELD_LOCKS];
    ULONG64 LongestHold; /* TSC ticks */
    PVOID LongestHoldCaller;
#endif

    /* Other processors, under the queue's lock. */
    KI_DPC_QUEUE Dpc DECLSPEC_ALIGN(64);
    KI_THREADED_DPCS Threaded;
    KDPC CallDpc; /* who holds the generic call's lock (genericdpc.c) */

    /* Other processors, each under its own lock. */
    KI_READY_QUEUES Ready DECLSPEC_ALIGN(64);
    KI_TIMERS Timers DECLSPEC_ALIGN(64);

    /* Other processors: the rendezvous initiator; see ipi.c. */
    struct _KI_RENDEZVOUS *volatile Rendezvous DECLSPEC_ALIGN(64);

    /* This processor; read by others when they release a lock. */
    KI_AWAITED_TICKET Awaited DECLSPEC_ALIGN(64);

    /* Bug check: written by this processor in its NMI handler, read by the reporting one. */
    volatile LONG Frozen;
    KTRAP_FRAME FreezeFrame;
    PKTRAP_FRAME FreezeFrameAddress;
} KPRCB, *PKPRCB;

typedef struct _KI_PROCESSOR
{
    KPCR Pcr;
    KPRCB Prcb;
} KI_PROCESSOR, *PKI_PROCESSOR;

/* Reads or writes one field of this processor's PRCB in one gs: instruction, so a thread that
 * migrates cannot read half of it here and half there. */
#define KI_CURRENT_PRCB ((__seg_gs KPRCB *)FIELD_OFFSET(KI_PROCESSOR, Prcb))

/* This processor's PRCB. Stable at >= DISPATCH_LEVEL or with interrupts off. */
FORCEINLINE PKPRCB KiGetCurrentPrcb(VOID)
{
    return KI_CURRENT_PRCB->Self;
}

/* Indexed by processor; NULL for one that never started. Written once each, before the processor
 * counts as active. KiProcessorCount only grows during start-up. */
extern PKPRCB KiProcessorBlock[MAXIMUM_PROCESSORS];
extern volatile ULONG KiProcessorCount;

/* ------------------------------------------------------------------ IRQL, inline (irql.c has the
 * theory). */

/* Raises to DISPATCH_LEVEL from there or below; no write if there is nothing to raise. */
FORCEINLINE KIRQL KiRaiseIrqlToDpcLevel(VOID)
{
    KIRQL OldIrql = KeGetCurrentIrql();

    if (OldIrql < DISPATCH_LEVEL)
    {
        __writecr8(DISPATCH_LEVEL);
    }
    return OldIrql;
}

/* Does what is due. Called after this processor's IRQL fell to Irql, below DISPATCH_LEVEL, and one
 * of its Due flags was seen (due.c). */
VOID KiServeAfterLower(KIRQL Irql);

/* Lowers, then looks for what is due: in that order. */
FORCEINLINE VOID KiLowerIrql(KIRQL NewIrql)
{
    if (NewIrql >= DISPATCH_LEVEL)
    {
        if (NewIrql != KeGetCurrentIrql())
        {
            __writecr8(NewIrql);
        }
        return;
    }
    __writecr8(NewIrql);
    if (KI_CURRENT_PRCB->Due.Any != 0)
    {
        KiServeAfterLower(NewIrql);
    }
}

/* ------------------------------------------------------------------ Protections . */

/* On a variable that start-up writes and nobody afterwards: its page becomes read-only. It begins
 * as zero. Not for what a late AP may write (mp/start.c). */
#define KI_RO_AFTER_INIT __attribute__((section(".bss.ro_after_init")))

/* ------------------------------------------------------------------ Options of this boot. */
extern KI_OPTIONS KiOptions;

/* ------------------------------------------------------------------ Start-up (init.c). */

/* Where the boot code hands over, on the boot processor. */
DECLSPEC_NORETURN VOID KiSystemStartup(PBOOT_INFO BootInfo);
/* Where an AP arrives from the trampoline, on its idle thread's stack, interrupts off. */
DECLSPEC_NORETURN VOID KiApplicationProcessorStartup(PKI_PROCESSOR Processor);

/* ------------------------------------------------------------------ DPCs (dpc.c). */
VOID KiInitializeDpcQueue(PKPRCB Prcb);
/* Runs this processor's queue empty. At DISPATCH_LEVEL, interrupts on, not in a DPC. */
VOID KiRetireDpcList(VOID);
/* Makes the threads that run threaded DPCs, one a processor (threadeddpc.c). All processors are
 * active; PASSIVE_LEVEL, once. Until then threaded DPCs stay queued. */
VOID KiStartDpcThreads(VOID);

/* ------------------------------------------------------------------ The DPC watchdog (watchdog.c).
 */

/* Ticks; 0 is no limit. Written by tests only, while no other processor runs anything. */
extern volatile ULONG KiDpcTimeLimit;     /* for one DPC                             */
extern volatile ULONG KiDpcWatchdogLimit; /* for a stretch at DISPATCH_LEVEL or above */
/* Bug check 0x133 if this processor is over a limit. From its clock interrupt, once a tick, which
 * came in at PreviousIrql. */
VOID KiWatchDpcs(PKPRCB Prcb, KIRQL PreviousIrql);

/* ------------------------------------------------------------------ What is due (due.c). */

/* Timers, DPCs, another thread, APCs: does all that is due below Irql, which this processor is
 * about to return to. At DISPATCH_LEVEL, interrupts on, on a thread's stack; returns there, perhaps
 * on another processor. From the way out of an interrupt (trap.asm) and KiServeAfterLower. */
VOID KiServeDue(KIRQL Irql);
#if DBG
/* The broken twin apc-eoi-late is active: for trap.asm. Written with KiActiveTwin. */
extern BOOLEAN KiApcEoiLate;
#endif

/* ------------------------------------------------------------------ Threads (thread.c, switch.c,
 * ready.c, sched.c, idle.c). */

DECLSPEC_NORETURN VOID KiIdleLoop(VOID);

/* Makes a thread that will run StartRoutine(StartContext) at PASSIVE_LEVEL, in a critical region,
 * on the stack given; StartRoutine must not return (it ends in KiTerminateThread). It is inert
 * until KiStartThread. Priority 1..31; Affinity NULL: the creator's group. */
VOID KiInitializeThread(PKTHREAD Thread, PVOID StackTop, SIZE_T StackBytes, PCSTR Name,
                        VOID (*StartRoutine)(PVOID Context), PVOID StartContext, KPRIORITY Priority,
                        const GROUP_AFFINITY *Affinity);
/* Initialized -> ready. IRQL <= DISPATCH_LEVEL. */
VOID KiStartThread(PKTHREAD Thread);
/* Both, for a thread of the kernel's own that never ends, on a stack of its own: FALSE if there is
 * no memory for that. At PASSIVE_LEVEL. */
BOOLEAN KiRunThread(PKTHREAD Thread, PCSTR Name, VOID (*StartRoutine)(PVOID Context),
                    KPRIORITY Priority);
/* Ends the calling thread: signals it and never returns. PASSIVE_LEVEL, APC list empty. When its
 * stack is no longer in use, its Reaper is called. */
DECLSPEC_NORETURN VOID KiTerminateThread(VOID);

/* The running thread's restriction to one processor and back: for tests and per-processor threads.
 * As KeSetSystemGroupAffinityThread, by index. IRQL < DISPATCH_LEVEL. */
VOID KiSetThreadProcessor(ULONG Processor);
/* The same for a thread that has not been started. */
VOID KiBindThread(PKTHREAD Thread, ULONG Processor);

/* The name of the thread that runs on a processor, perhaps another one. IRQL <= DISPATCH_LEVEL. */
PCSTR KiQueryRunningName(PKPRCB Prcb);

/* ------------------------------------------------------------------ Canaries (stackcheck.c). */

/* A new thread's canary: never 0, lowest byte 0. Any IRQL. */
ULONG64 KiNewStackCanary(VOID);

/* ------------------------------------------------------------------ Rendezvous (ipi.c). */

/* Drops the range from every processor's TLB. Interrupts on, IRQL <= DISPATCH_LEVEL, no lock held
 * of rank above KiRankRendezvous. */
VOID KiFlushTlbRange(PVOID VirtualAddress, SIZE_T PageCount);

/* ------------------------------------------------------------------ Interrupt objects
 * (interrupt.c). */

/* Moves a line to another processor of its mask. STATUS_INVALID_PARAMETER if it is not in it. */
NTSTATUS KiRetargetInterrupt(PKINTERRUPT Interrupt, ULONG Processor);

/* ------------------------------------------------------------------ The log (log.c). */
typedef enum _KI_LOG_LEVEL
{
    KiLogError,
    KiLogWarning,
    KiLogInfo,
    KiLogTrace,
    KiLogUnformatted /* KiLogRaw's alone */
} KI_LOG_LEVEL;

/* One line to the log. Any IRQL, any context but an NMI's. */
VOID KiLog(KI_LOG_LEVEL Level, PCSTR Format, ...) __attribute__((format(printf, 2, 3)));
/* Puts out what is in the ring, if nobody else is doing so. PASSIVE_LEVEL. */
VOID KiLogDrain(VOID);
/* Returns when all that was logged before is out. PASSIVE_LEVEL. */
VOID KiLogFlush(VOID);
/* TRUE if there is a line that nobody is putting out. */
BOOLEAN KiLogIsWaiting(VOID);
/* From a bug check, where every other processor has stopped: puts out the rest of the ring and
 * from then on writes straight to the sinks. */
VOID KiLogEmergency(VOID);

/* ------------------------------------------------------------------ Traps (trap.c): where the
 * machine layer calls up. This, KiSystemStartup, KiApplicationProcessorStartup, KiServeDue (from
 * the interrupt exit), KiThreadStartup (a new thread's first routine), KiLog and the bug checks are
 * all the upcalls there are. */

/* An NMI: freezes this processor during a bug check, else it is counted. On the NMI stack. */
VOID KiNonMaskableInterrupt(PKTRAP_FRAME Frame);
/* An interrupt vector without an owner: counted. At the vector's IRQL. */
VOID KiUnclaimedVector(ULONG Vector);
/* A vector that arrived although nobody owns it, or the spurious one. Interrupts off. */
VOID KiStrayInterrupt(ULONG Vector);

/* ------------------------------------------------------------------ Bug checks (bugcheck.c). */

/* KeBugCheckEx with the registers of the trap that led to it. */
DECLSPEC_NORETURN VOID KiBugCheckFrame(ULONG Code, ULONG_PTR Parameter1, ULONG_PTR Parameter2,
                                       ULONG_PTR Parameter3, ULONG_PTR Parameter4,
                                       PKTRAP_FRAME Frame);

/* ------------------------------------------------------------------ The end (exit.c). */

/* How the run ends, by the options exit= and, after a bug check, panic=: Code is one of
 * HALP_EXIT_... Any IRQL; at PASSIVE_LEVEL what was logged is put out first. */
DECLSPEC_NORETURN VOID KiExit(ULONG Code);
/* The same by the caller's choice. KiExitNone halts; Code is for KiExitDebug. */
DECLSPEC_NORETURN VOID KiEndRun(KI_EXIT How, ULONG Code);
