/* SPDX-License-Identifier: MIT */
/*
 * lockcheck.c - what a checked build knows about held locks: the order by rank, reported before
 * anybody waits and never for a right order; the two families mixed on one lock; the list of held
 * locks, which interrupts stack on; hold times. Laws L11, L18; the catalogue of SEMANTICS 15.1, for
 * locks with ranks.
 */
#include <io.h>
#include <symbols.h>

#include "trapkit.h"

#if DBG
#define HELD_LOCKS() (KiGetCurrentPrcb()->HeldLockCount)
#else
#define HELD_LOCKS() 0u
#endif

#define HIERARCHY_VIOLATION 0x1001
#define MIXED_ACQUIRE 0x1008
#define MIXED_RELEASE 0x1009

/* ---------------------------------------------------------- Order (L18). */

static KSPIN_LOCK Outer, Inner, SecondInner;

static VOID InitializeRanked(VOID)
{
    KiInitializeRankedSpinLock(&Outer, KiRankTestOuter);
    KiInitializeRankedSpinLock(&Inner, KiRankTestInner);
    KiInitializeRankedSpinLock(&SecondInner, KiRankTestInner);
}

static VOID TakeBoth(PKSPIN_LOCK First, PKSPIN_LOCK Second)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(First, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(Second);
    KeReleaseSpinLockFromDpcLevel(Second);
    KeReleaseSpinLock(First, OldIrql);
}

static VOID InnerThenOuter(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    TakeBoth(&Inner, &Outer);
}

static VOID InnerThenSecondInner(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    TakeBoth(&Inner, &SecondInner);
}

/* A lock without a rank between the two does not hide the order. */
static VOID InnerUnrankedOuter(PVOID Context)
{
    KSPIN_LOCK Unranked = 0;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    KeAcquireSpinLock(&Inner, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&Unranked);
    KeAcquireSpinLockAtDpcLevel(&Outer);
}

static VOID WrongOrderStops(VOID)
{
    VOID (*const Wrong[])(PVOID) = {InnerThenOuter, InnerThenSecondInner, InnerUnrankedOuter};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Wrong); Index++)
    {
        InitializeRanked();
        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, HIERARCHY_VIOLATION, Wrong[Index],
                         NULL);
        KT_CHECK(KeTestSpinLock(&Outer) && KeTestSpinLock(&SecondInner),
                 "case %u: the second lock was touched: %llx, %llx", Index, Outer, SecondInner);
    }
}

typedef struct _OUTER_HOLDER
{
    volatile LONG Holds;
    volatile LONG LetGo;
} OUTER_HOLDER, *POUTER_HOLDER;

static VOID HoldOuter(PVOID Context, ULONG Processor)
{
    POUTER_HOLDER Holder = Context;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Processor);
    KeAcquireSpinLock(&Outer, &OldIrql);
    WriteRelease(&Holder->Holds, TRUE);
    KT_CHECK(KtWaitFor(&Holder->LetGo, TRUE, KT_SECONDS(60)), "nobody said %s", "let go");
    KeReleaseSpinLock(&Outer, OldIrql);
}

/* A-B on one processor, B-A on another: the second would wait for ever; it is reported instead. */
static VOID ReportedBeforeDeadlock(VOID)
{
    OUTER_HOLDER Holder = {FALSE, FALSE};
    KT_JOB Job;

    InitializeRanked();
    KtStart(&Job, 1, HoldOuter, &Holder);
    KT_CHECK(KtWaitFor(&Holder.Holds, TRUE, KT_SECONDS(60)), "CPU 1 never got it: %llx", Outer);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, HIERARCHY_VIOLATION, InnerThenOuter, NULL);
    WriteRelease(&Holder.LetGo, TRUE);
    KtJoin(&Job);
}

/* Right orders, with locks that have no rank before, between and after, released in any order. */
static VOID TakeInOrder(PVOID Context, ULONG Processor)
{
    PKSPIN_LOCK Unranked = Context;
    ULONG64 End = KtNow() + KtBudget() / 4;

    UNREFERENCED_PARAMETER(Processor);
    do
    {
        KIRQL OldIrql;

        TakeBoth(&Outer, &Inner);
        TakeBoth(&Outer, &SecondInner);
        KeAcquireSpinLock(&Unranked[0], &OldIrql);
        KeAcquireSpinLockAtDpcLevel(&Outer);
        KeAcquireSpinLockAtDpcLevel(&Unranked[1]);
        KeAcquireSpinLockAtDpcLevel(&Inner);
        KT_CHECK(!DBG || HELD_LOCKS() == 4, "%u locks held, not 4", HELD_LOCKS());
        KeReleaseSpinLockFromDpcLevel(&Outer);
        KeReleaseSpinLockFromDpcLevel(&Unranked[1]);
        KeReleaseSpinLockFromDpcLevel(&Inner);
        KeReleaseSpinLock(&Unranked[0], OldIrql);
        KT_CHECK(HELD_LOCKS() == 0, "%u locks held in the end", HELD_LOCKS());
    } while (KtNow() < End && !KtHasFailed());
}

static VOID RightOrderPasses(VOID)
{
    KSPIN_LOCK Unranked[2] = {0, 0};

    InitializeRanked();
    KtParallel(TakeInOrder, Unranked);
}

/* Drivers' locks have no rank: their order is not known, so neither is a wrong one. */
static VOID UnrankedLocksHaveNoOrder(VOID)
{
    KSPIN_LOCK First = 0, Second = 0;

    TakeBoth(&First, &Second);
    TakeBoth(&Second, &First);
}

/* ---------------------------------------------------------- Families. */

static VOID AcquirePlain(PVOID Lock)
{
    KIRQL OldIrql;

    KeAcquireSpinLock((PKSPIN_LOCK)Lock, &OldIrql);
}

static VOID AcquireQueued(PVOID Lock)
{
    KLOCK_QUEUE_HANDLE Handle;

    KeAcquireInStackQueuedSpinLock(Lock, &Handle);
}

static VOID QueuedReleasedAsPlain(PVOID Lock)
{
    KLOCK_QUEUE_HANDLE Handle;

    KeAcquireInStackQueuedSpinLock(Lock, &Handle);
    KeReleaseSpinLock(Lock, Handle.OldIrql);
}

static VOID PlainReleasedAsQueued(PVOID Lock)
{
    KLOCK_QUEUE_HANDLE Handle = {.LockQueue = {NULL, Lock}};

    KeAcquireSpinLock((PKSPIN_LOCK)Lock, &Handle.OldIrql);
    KeReleaseInStackQueuedSpinLock(&Handle);
}

/* The words are as another processor's acquisition, or an earlier one, leaves them. */
static VOID MixedFamiliesStop(VOID)
{
    KSPIN_LOCK_QUEUE Elsewhere = {NULL, NULL};
    KI_SPIN_LOCK Held = {.Word = 0}, Used = {.Word = 0};
    KSPIN_LOCK Lock;

    Lock = (KSPIN_LOCK)&Elsewhere;
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, MIXED_ACQUIRE, AcquirePlain, &Lock);
    KT_CHECK(Lock == (KSPIN_LOCK)&Elsewhere, "word %llx was touched", Lock);
    Held.Next = 1;
    Lock = Held.Word;
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, MIXED_ACQUIRE, AcquireQueued, &Lock);
    KT_CHECK(Lock == Held.Word, "word %llx was touched", Lock);
    Used.Next = Used.Serving = 1;
    Lock = Used.Word;
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, MIXED_ACQUIRE, AcquireQueued, &Lock);
    KT_CHECK(Lock == Used.Word, "word %llx was touched", Lock);

    Lock = 0;
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, MIXED_RELEASE, QueuedReleasedAsPlain,
                     &Lock);
    Lock = 0;
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, MIXED_RELEASE, PlainReleasedAsQueued,
                     &Lock);
}

/* ---------------------------------------------------------- Interrupts stack their locks on
 * the holder's, and take them off again. */

#define LOWER_IRQL 5
#define HIGHER_IRQL 8

typedef struct _STACKING
{
    ULONG LowerVector, HigherVector;
    KDPC Dpc;
    volatile LONG LowerSaw, HigherSaw; /* locks held inside, and 1 */
} STACKING, *PSTACKING;

static VOID DoNothing(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static VOID Provoke(ULONG Vector, volatile LONG *Saw)
{
    HalpSendIpi(KeGetCurrentProcessorIndex(), Vector);
    KT_CHECK(KtWaitFor(Saw, 1, KT_SECONDS(5)), "vector %02x did not come", Vector);
}

static BOOLEAN HigherIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PSTACKING Stacking = Context;

    UNREFERENCED_PARAMETER(Interrupt);
    WriteRelease(&Stacking->HigherSaw, (LONG)HELD_LOCKS() + 1);
    return TRUE;
}

static BOOLEAN LowerIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PSTACKING Stacking = Context;

    UNREFERENCED_PARAMETER(Interrupt);
    KeInsertQueueDpc(&Stacking->Dpc, NULL, NULL);
    Provoke(Stacking->HigherVector, &Stacking->HigherSaw);
    WriteRelease(&Stacking->LowerSaw, (LONG)HELD_LOCKS() + 1);
    return TRUE;
}

static VOID InterruptsStackTheirLocks(VOID)
{
    static STACKING Stacking;
    PKINTERRUPT Lower, Higher;
    KIRQL OldIrql;

    RtlZeroMemory(&Stacking, sizeof(Stacking));
    InitializeRanked();
    KeInitializeDpc(&Stacking.Dpc, DoNothing, NULL);
    Stacking.LowerVector = KtUnusedVector(LOWER_IRQL, 0);
    Stacking.HigherVector = KtUnusedVector(HIGHER_IRQL, 0);
    Lower = KtConnect(Stacking.LowerVector, LOWER_IRQL, NULL, LevelSensitive, FALSE, LowerIsr,
                      &Stacking);
    Higher = KtConnect(Stacking.HigherVector, HIGHER_IRQL, NULL, LevelSensitive, FALSE, HigherIsr,
                       &Stacking);

    KeAcquireSpinLock(&Outer, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&Inner);
    Provoke(Stacking.LowerVector, &Stacking.LowerSaw);
    KT_CHECK(!DBG || Stacking.HigherSaw == 4 + 1, "%d locks in the higher ISR, and 1",
             Stacking.HigherSaw);
    KT_CHECK(!DBG || Stacking.LowerSaw == 3 + 1, "%d locks in the lower ISR, and 1",
             Stacking.LowerSaw);
    KT_CHECK(!DBG || HELD_LOCKS() == 2, "%u locks after the interrupts", HELD_LOCKS());
    KeReleaseSpinLockFromDpcLevel(&Inner);
    KeReleaseSpinLock(&Outer, OldIrql);

    IoDisconnectInterrupt(Higher);
    IoDisconnectInterrupt(Lower);
}

/* ---------------------------------------------------------- Hold times. */

#define HOLD_US 2000

#if DBG
/* At HIGH_LEVEL, where nobody else on this processor can hold anything longer. */
static DECLSPEC_NOINLINE ULONG64 HoldForLong(PKSPIN_LOCK Lock)
{
    ULONG64 Start;

    KeAcquireSpinLockAtDpcLevel(Lock);
    Start = __rdtsc();
    KeStallExecutionProcessor(HOLD_US);
    Start = __rdtsc() - Start;
    KeReleaseSpinLockFromDpcLevel(Lock);
    return Start;
}
#endif

static VOID HoldTimeIsRecorded(VOID)
{
#if DBG
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Before, Inside, Recorded, Outside, Offset;
    KSPIN_LOCK Lock = 0;
    PVOID Caller;
    PCSTR Name;
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    Before = Prcb->LongestHold;
    Prcb->LongestHold = 0;
    Outside = __rdtsc();
    Inside = HoldForLong(&Lock);
    Outside = __rdtsc() - Outside;
    Recorded = Prcb->LongestHold;
    Caller = Prcb->LongestHoldCaller;
    Prcb->LongestHold = Before > Recorded ? Before : Recorded;
    KeLowerIrql(OldIrql);

    KT_CHECK(Recorded >= Inside && Recorded <= Outside, "%llu ticks, not %llu to %llu", Recorded,
             Inside, Outside);
    Name = KiFindSymbol((ULONG64)Caller, &Offset);
    KT_CHECK(Name != NULL && strcmp(Name, "HoldForLong") == 0, "held by %s",
             Name != NULL ? Name : "?");
#endif
}

static const KT_CASE Cases[] = {
    {"lockcheck-L18-wrong-order-stops", WrongOrderStops, 0, TRUE},
    {"lockcheck-L18-before-deadlock", ReportedBeforeDeadlock, 2, TRUE},
    {"lockcheck-L18-right-order-passes", RightOrderPasses, 0, FALSE},
    {"lockcheck-unranked-has-no-order", UnrankedLocksHaveNoOrder, 0, FALSE},
    {"lockcheck-mixed-families-stop", MixedFamiliesStop, 0, TRUE},
    {"lockcheck-interrupts-stack", InterruptsStackTheirLocks, 0, FALSE},
    {"lockcheck-hold-time", HoldTimeIsRecorded, 0, TRUE},
};

KT_DEFINE_SUITE(KtLockCheckSuite, "ke", Cases);
