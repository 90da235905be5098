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

/* ------------------------------------------------------------------ Threads. For now each
 * processor has one: its idle thread. */
typedef struct _KTHREAD
{
    PCSTR Name;
    PVOID InitialStack; /* top of its kernel stack */
    SIZE_T StackBytes;
    ULONG Processor;                    /* where it runs; own CPU only */
    struct _KI_LANDING_PAD *LandingPad; /* checked builds: see expect.c; this thread only */
} KTHREAD, *PKTHREAD;

/* ------------------------------------------------------------------ Per-processor data. */

#define KI_DPC_UNTARGETED 0xFFFF
#define KI_MAXIMUM_DPC_QUEUE_DEPTH 4 /* requests an interrupt for Low and remote Medium */
#define KI_MINIMUM_DPC_RATE 3        /* per tick: below it, Low is drained at once      */

/* One processor's DPC queue. Everything is guarded by Lock, held with interrupts off; Requested is
 * also read without it by its own processor (dpc.c says why that is enough). */
typedef struct _KI_DPC_QUEUE
{
    KSPIN_LOCK Lock;
    LIST_ENTRY List;
    ULONG Depth;
    ULONG Processor; /* index of the processor that drains it; constant */
    BOOLEAN Requested;
    BOOLEAN Idle;       /* its processor has no tick: see idle.c */
    ULONG64 QueueCount; /* successful inserts, ever */
} KI_DPC_QUEUE, *PKI_DPC_QUEUE;

#define KI_MAXIMUM_HELD_LOCKS 16

typedef struct _KI_HELD_LOCK
{
    PKSPIN_LOCK Lock;
    ULONG64 AcquireTime; /* TSC */
    PVOID Caller;
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
    struct _HALP_START_SLOT *StartSlot; /* an AP's; start.c                     */
    volatile LONG Numbered;             /* written once by the boot processor   */
    volatile LONG CanTakeNmi;           /* its IDT is loaded; once, by itself   */

    /* This processor only. */
    PKTHREAD CurrentThread DECLSPEC_ALIGN(64);
    volatile BOOLEAN DpcRoutineActive; /* TRUE while DPCs run; set and cleared at DISPATCH        */
    PKDPC volatile RunningDpc;         /* for reports: the DPC being run                          */
    ULONG64 DpcCount;                  /* DPCs run                                                */
    ULONG DpcRate;                     /* DPCs in the last tick; written by the clock             */
    ULONG64 DpcCountAtTick;
    ULONG64 ClockInterrupts;
    ULONG64 InterruptCount; /* device interrupts taken */
    ULONG64 SpuriousCount;  /* true spurious interrupts */
    ULONG64 UnclaimedCount; /* vectors that nobody owns */
    ULONG64 NmiCount;
    ULONG64 ApcInterrupts;
    ULONG64 ApicErrorCount;
    ULONG64 IdleHalts;
#if DBG
    ULONG HeldLockCount; /* locks held by this processor, innermost last; IRQL >= DISPATCH */
    KI_HELD_LOCK HeldLocks[KI_MAXIMUM_HELD_LOCKS];
    ULONG64 LongestHold; /* TSC ticks */
    PVOID LongestHoldCaller;
#endif

    /* Other processors, under the queue's lock. */
    KI_DPC_QUEUE Dpc DECLSPEC_ALIGN(64);

    /* Other processors: the rendezvous initiator; see ipi.c. */
    struct _KI_RENDEZVOUS *volatile Rendezvous DECLSPEC_ALIGN(64);

    /* Work for this processor's idle thread: posted by anyone by compare-exchange from NULL, taken
     * by the owner at PASSIVE_LEVEL; see idle.c. */
    struct _KI_WORK *volatile Work DECLSPEC_ALIGN(64);

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

/* Runs what became due. Called after this processor's IRQL fell to Irql, below DISPATCH_LEVEL, and
 * its Requested flag was seen (dpc.c). */
VOID KiDrainAfterLower(KIRQL Irql);

/* Lowers, then looks for DPCs: in that order. */
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
    if (KI_CURRENT_PRCB->Dpc.Requested)
    {
        KiDrainAfterLower(NewIrql);
    }
}

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

/* ------------------------------------------------------------------ The idle loop and test work
 * (idle.c). */
typedef struct _KI_WORK
{
    VOID (*Routine)(PVOID Context);
    PVOID Context;
    volatile LONG Done;
} KI_WORK, *PKI_WORK;

DECLSPEC_NORETURN VOID KiIdleLoop(VOID);
/* Hands Work to a processor's idle thread, which runs it at PASSIVE_LEVEL and then sets Done; FALSE
 * if that processor has work already. Work stays valid until Done. */
BOOLEAN KiPostWork(ULONG Processor, PKI_WORK Work);

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
    KiLogTrace
} KI_LOG_LEVEL;

/* One line to the log. Any IRQL, any context but an NMI's. */
VOID KiLog(KI_LOG_LEVEL Level, PCSTR Format, ...) __attribute__((format(printf, 2, 3)));
/* Puts out what is in the ring, if nobody else is doing so. PASSIVE_LEVEL. */
VOID KiLogDrain(VOID);
/* TRUE if there is a line that nobody is putting out. */
BOOLEAN KiLogIsWaiting(VOID);
/* From a bug check, where every other processor has stopped: puts out the rest of the ring and
 * from then on writes straight to the sinks. */
VOID KiLogEmergency(VOID);

/* ------------------------------------------------------------------ Traps (trap.c): where the
 * machine layer calls up. This, KiSystemStartup, KiApplicationProcessorStartup, KiRetireDpcList
 * (from the interrupt exit), KiLog and the bug checks are all the upcalls there are. */

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
/* How the run ends, by the exit= option: Code is one of HALP_EXIT_... */
DECLSPEC_NORETURN VOID KiExit(ULONG Code);
