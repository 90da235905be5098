/* SPDX-License-Identifier: MIT */
/*
 * apc.c - APCs that a thread sends itself: when they run, at which level, in which order, with
 * which arguments, and what insert and remove say; regions; what a checked build reports. Laws L51,
 * L79, L80. Other threads are in apcthreads.c, storms in apcstorm.c.
 */
#include "apckit.h"

/* Defines CaseOutside: Case, begun outside all regions and ended where it began. */
#define OUTSIDE_REGIONS(Case)                                                                      \
    static VOID Case##Outside(VOID)                                                                \
    {                                                                                              \
        SHORT Depth = KtLeaveRegions();                                                            \
        Case();                                                                                    \
        KtEnterRegions(Depth);                                                                     \
    }

#define CHECK_RUNS(Which, Kernel, Normal)                                                          \
    KT_CHECK((Which)->KernelRuns == (Kernel) && (Which)->NormalRuns == (Normal),                   \
             "%d kernel and %d normal runs, not %d and %d", (Which)->KernelRuns,                   \
             (Which)->NormalRuns, (Kernel), (Normal))

/* The APC is on the test's stack: it must not outlive a case that has failed. */
static VOID Withdraw(PKT_APC Apc)
{
    KT_CHECK(!KeRemoveQueueApc(&Apc->Apc), "it was still queued");
}

/* ------------------------------------------------------------------ One APC. */

static VOID SpecialToSelf(VOID)
{
    KT_APC Apc;

    KtInitializeSpecialApc(&Apc, KeGetCurrentThread());
    KT_CHECK(KeInsertQueueApc(&Apc.Apc, &Apc, (PVOID)7, 0), "not inserted");
    CHECK_RUNS(&Apc, 1, 0); /* L80: it has run */
    KT_CHECK(Apc.KernelIrql == APC_LEVEL, "ran at IRQL %u", Apc.KernelIrql);
    KT_CHECK(Apc.Thread == KeGetCurrentThread(), "ran in thread %p", Apc.Thread);
    KT_CHECK(Apc.Argument1 == &Apc && Apc.Argument2 == (PVOID)7, "arguments %p %p", Apc.Argument1,
             Apc.Argument2);
    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    Withdraw(&Apc);

    /* A critical region does not hold it back. */
    KeEnterCriticalRegion();
    KT_CHECK(KtInsertApc(&Apc), "not inserted again");
    CHECK_RUNS(&Apc, 2, 0);
    KeLeaveCriticalRegion();
    Withdraw(&Apc);
}

static VOID NormalToSelf(VOID)
{
    PVOID Context = (PVOID)0x1234;
    KT_APC Apc;

    KtInitializeNormalApc(&Apc, KeGetCurrentThread(), Context);
    KT_CHECK(KeInsertQueueApc(&Apc.Apc, (PVOID)1, (PVOID)2, 0), "not inserted");
    CHECK_RUNS(&Apc, 1, 1);
    KT_CHECK(Apc.KernelIrql == APC_LEVEL && Apc.NormalIrql == PASSIVE_LEVEL,
             "kernel routine at IRQL %u, normal routine at %u", Apc.KernelIrql, Apc.NormalIrql);
    KT_CHECK(Apc.NormalContext == Context && Apc.Argument1 == (PVOID)1 && Apc.Argument2 == (PVOID)2,
             "context %p arguments %p %p", Apc.NormalContext, Apc.Argument1, Apc.Argument2);
    Withdraw(&Apc);
}

OUTSIDE_REGIONS(NormalToSelf)

/* L79: nothing is delivered at APC_LEVEL or above, and all of it when the level falls. */
static VOID MaskedByIrql(VOID)
{
    for (KIRQL Level = APC_LEVEL; Level <= DISPATCH_LEVEL; Level++)
    {
        KT_APC Special, Normal;
        KIRQL OldIrql;

        KtInitializeSpecialApc(&Special, KeGetCurrentThread());
        KtInitializeNormalApc(&Normal, KeGetCurrentThread(), NULL);
        KeRaiseIrql(Level, &OldIrql);
        KtInsertApc(&Normal);
        KtInsertApc(&Special);
        CHECK_RUNS(&Special, 0, 0);
        CHECK_RUNS(&Normal, 0, 0);
        if (Level == DISPATCH_LEVEL)
        {
            KeLowerIrql(APC_LEVEL);
            CHECK_RUNS(&Special, 0, 0);
        }
        KeLowerIrql(OldIrql);
        CHECK_RUNS(&Special, 1, 0);
        CHECK_RUNS(&Normal, 1, 1);
        Withdraw(&Special);
        Withdraw(&Normal);
    }
}

OUTSIDE_REGIONS(MaskedByIrql)

static VOID InsertTwice(VOID)
{
    KT_APC Apc;
    KIRQL OldIrql;

    KtInitializeSpecialApc(&Apc, KeGetCurrentThread());
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KT_CHECK(KeInsertQueueApc(&Apc.Apc, (PVOID)1, (PVOID)2, 0), "the first insertion failed");
    KT_CHECK(!KeInsertQueueApc(&Apc.Apc, (PVOID)3, (PVOID)4, 0), "inserted twice");
    KeLowerIrql(OldIrql);
    CHECK_RUNS(&Apc, 1, 0);
    KT_CHECK(Apc.Argument1 == (PVOID)1 && Apc.Argument2 == (PVOID)2, "arguments %p %p",
             Apc.Argument1, Apc.Argument2);
}

static VOID InsertAgain(PKT_APC Apc)
{
    if (Apc->KernelRuns < 3)
    {
        KT_CHECK(KtInsertApc(Apc), "its kernel routine could not insert it again");
    }
}

static VOID Requeue(VOID)
{
    KT_APC Apc;

    KtInitializeSpecialApc(&Apc, KeGetCurrentThread());
    Apc.OnKernel = InsertAgain;
    KtInsertApc(&Apc);
    CHECK_RUNS(&Apc, 4, 0);
    Withdraw(&Apc);
}

static VOID Remove(VOID)
{
    KT_APC First, Second;
    KIRQL OldIrql;

    KtInitializeSpecialApc(&First, KeGetCurrentThread());
    KtInitializeSpecialApc(&Second, KeGetCurrentThread());
    KT_CHECK(!KeRemoveQueueApc(&First.Apc), "removed though it was never queued");
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KtInsertApc(&First);
    KtInsertApc(&Second);
    KT_CHECK(KeRemoveQueueApc(&First.Apc), "not removed");
    KT_CHECK(!KeRemoveQueueApc(&First.Apc), "removed twice");
    KT_CHECK(KeGetCurrentThread()->KernelApcPending, "nothing is pending though one is left");
    KeLowerIrql(OldIrql);
    CHECK_RUNS(&First, 0, 0);
    CHECK_RUNS(&Second, 1, 0);
    KT_CHECK(!KeRemoveQueueApc(&Second.Apc), "removed though it had run");

    /* The last one removed: nothing is pending, and the next is delivered all the same. */
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KtInsertApc(&First);
    KT_CHECK(KeRemoveQueueApc(&First.Apc), "not removed");
    KT_CHECK(!KeGetCurrentThread()->KernelApcPending, "pending though the list is empty");
    KeLowerIrql(OldIrql);
    KtInsertApc(&First);
    CHECK_RUNS(&First, 1, 0);
}

/* ------------------------------------------------------------------ Several. */

/* Special ones before normal ones, each kind first come first. */
static VOID Order(VOID)
{
    static const BOOLEAN Special[] = {FALSE, TRUE, FALSE, TRUE, TRUE, FALSE};
    static const LONG Expected[] = {4, 1, 5, 2, 3, 6};
    KT_APC Apcs[RTL_NUMBER_OF(Special)];
    KIRQL OldIrql;

    KtResetApcOrder();
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Special); Index++)
    {
        if (Special[Index])
        {
            KtInitializeSpecialApc(&Apcs[Index], KeGetCurrentThread());
        }
        else
        {
            KtInitializeNormalApc(&Apcs[Index], KeGetCurrentThread(), NULL);
        }
        KtInsertApc(&Apcs[Index]);
    }
    KeLowerIrql(OldIrql);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Special); Index++)
    {
        KT_CHECK(Apcs[Index].Order == Expected[Index], "APC %u ran as number %d, not %d", Index,
                 Apcs[Index].Order, Expected[Index]);
        Withdraw(&Apcs[Index]);
    }
}

OUTSIDE_REGIONS(Order)

/* On top of a normal routine: a special APC, but no other normal one. */
typedef struct _NEST
{
    KT_APC Outer, Inner, Special;
} NEST, *PNEST;

static VOID InsertOnTop(PKT_APC Outer)
{
    PNEST Nest = CONTAINING_RECORD(Outer, NEST, Outer);

    KtInsertApc(&Nest->Inner);
    CHECK_RUNS(&Nest->Inner, 0, 0);
    KtInsertApc(&Nest->Special);
    CHECK_RUNS(&Nest->Special, 1, 0);
    CHECK_RUNS(&Nest->Inner, 0, 0);

    /* Nor does the end of a region let it in. */
    KeEnterCriticalRegion();
    KeLeaveCriticalRegion();
    CHECK_RUNS(&Nest->Inner, 0, 0);
}

static VOID NormalDoesNotNest(VOID)
{
    NEST Nest;

    KtInitializeNormalApc(&Nest.Outer, KeGetCurrentThread(), NULL);
    KtInitializeNormalApc(&Nest.Inner, KeGetCurrentThread(), NULL);
    KtInitializeSpecialApc(&Nest.Special, KeGetCurrentThread());
    Nest.Outer.OnNormal = InsertOnTop;
    KtInsertApc(&Nest.Outer);
    CHECK_RUNS(&Nest.Outer, 1, 1);
    CHECK_RUNS(&Nest.Inner, 1, 1); /* behind the first, before the insertion returned */
    Withdraw(&Nest.Inner);
    Withdraw(&Nest.Special);
}

OUTSIDE_REGIONS(NormalDoesNotNest)

/* A kernel routine may take the normal routine away. */
static VOID CancelRoutine(PKAPC Apc, PKNORMAL_ROUTINE *Normal, PVOID *NormalContext,
                          PVOID *SystemArgument1, PVOID *SystemArgument2)
{
    UNREFERENCED_PARAMETER(Apc);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument2);
    *Normal = NULL;
    InterlockedIncrement(*SystemArgument1);
}

static VOID NeverRoutine(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KT_CHECK(FALSE, "called though its kernel routine had taken it away");
}

static VOID KernelRoutineCancels(VOID)
{
    LONG Runs = 0;
    KAPC Apc;

    KeInitializeApc(&Apc, KeGetCurrentThread(), OriginalApcEnvironment, CancelRoutine, NULL,
                    NeverRoutine, KernelMode, NULL);
    KeInsertQueueApc(&Apc, &Runs, NULL, 0);
    KeInsertQueueApc(&Apc, &Runs, NULL, 0); /* the first is no longer in progress */
    KT_CHECK(Runs == 2, "%d runs", Runs);
}

OUTSIDE_REGIONS(KernelRoutineCancels)

/* ------------------------------------------------------------------ Regions (L79). */

static VOID CriticalRegion(VOID)
{
    KT_APC Apc;

    KtInitializeNormalApc(&Apc, KeGetCurrentThread(), NULL);
    KeEnterCriticalRegion();
    KeEnterCriticalRegion();
    KtInsertApc(&Apc);
    CHECK_RUNS(&Apc, 0, 0);
    KeLeaveCriticalRegion();
    CHECK_RUNS(&Apc, 0, 0);
    KeLeaveCriticalRegion();
    CHECK_RUNS(&Apc, 1, 1);
    Withdraw(&Apc);
}

OUTSIDE_REGIONS(CriticalRegion)

static VOID GuardedRegion(VOID)
{
    KT_APC Special, Normal;

    KtInitializeSpecialApc(&Special, KeGetCurrentThread());
    KtInitializeNormalApc(&Normal, KeGetCurrentThread(), NULL);
    KeEnterGuardedRegion();
    KeEnterGuardedRegion();
    KtInsertApc(&Special);
    KtInsertApc(&Normal);
    KeLeaveGuardedRegion();
    KeEnterCriticalRegion();
    CHECK_RUNS(&Special, 0, 0);
    CHECK_RUNS(&Normal, 0, 0);
    KeLeaveGuardedRegion();
    CHECK_RUNS(&Special, 1, 0); /* the critical region holds back the other only */
    CHECK_RUNS(&Normal, 0, 0);
    KeLeaveCriticalRegion();
    CHECK_RUNS(&Normal, 1, 1);

    /* The other way round: the guarded region is the last to be left. */
    KeEnterCriticalRegion();
    KeEnterGuardedRegion();
    KtInsertApc(&Normal);
    KeLeaveCriticalRegion();
    CHECK_RUNS(&Normal, 1, 1);
    KeLeaveGuardedRegion();
    CHECK_RUNS(&Normal, 2, 2);
    Withdraw(&Special);
    Withdraw(&Normal);
}

OUTSIDE_REGIONS(GuardedRegion)

/* Left at APC_LEVEL, a region's APCs run when the level falls. */
static VOID LeftRaised(VOID)
{
    KT_APC Apc;
    KIRQL OldIrql;

    KtInitializeNormalApc(&Apc, KeGetCurrentThread(), NULL);
    KeEnterCriticalRegion();
    KtInsertApc(&Apc);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KeLeaveCriticalRegion();
    CHECK_RUNS(&Apc, 0, 0);
    KeLowerIrql(OldIrql);
    CHECK_RUNS(&Apc, 1, 1);
    Withdraw(&Apc);
}

OUTSIDE_REGIONS(LeftRaised)

#define CHECK_DISABLED(Normal, All)                                                                \
    KT_CHECK(KeAreApcsDisabled() == (Normal) && KeAreAllApcsDisabled() == (All),                   \
             "disabled: normal %u, all %u", KeAreApcsDisabled(), KeAreAllApcsDisabled())

static VOID Questions(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    SHORT Before = Thread->SpecialApcDisable;
    KIRQL OldIrql;

    CHECK_DISABLED(FALSE, FALSE);
    KeEnterCriticalRegion();
    CHECK_DISABLED(TRUE, FALSE);
    KeEnterGuardedRegion();
    KeLeaveCriticalRegion();
    CHECK_DISABLED(TRUE, TRUE);
    KeLeaveGuardedRegion();
    CHECK_DISABLED(FALSE, FALSE);
    for (KIRQL Level = APC_LEVEL; Level <= DISPATCH_LEVEL; Level++)
    {
        KeRaiseIrql(Level, &OldIrql);
        CHECK_DISABLED(FALSE, TRUE);
        KeLowerIrql(OldIrql);
    }
    for (SHORT Depth = 1; Depth <= 100; Depth++)
    {
        KeEnterCriticalRegion();
        KeEnterGuardedRegion();
        KT_CHECK(Thread->KernelApcDisable == -Depth && Thread->SpecialApcDisable == Before - Depth,
                 "counts %d %d at depth %d", Thread->KernelApcDisable, Thread->SpecialApcDisable,
                 Depth);
    }
    for (SHORT Depth = 1; Depth <= 100; Depth++)
    {
        KeLeaveGuardedRegion();
        KeLeaveCriticalRegion();
    }
    CHECK_DISABLED(FALSE, FALSE);
}

OUTSIDE_REGIONS(Questions)

/* L51: the owner of a mutex takes no normal APCs, however often it owns it, and special ones as
 * ever. */
static VOID MutexOwner(VOID)
{
    KT_APC Special, Normal;
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    KtInitializeSpecialApc(&Special, KeGetCurrentThread());
    KtInitializeNormalApc(&Normal, KeGetCurrentThread(), NULL);
    for (ULONG Times = 0; Times < 2; Times++)
    {
        KT_CHECK(KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL) ==
                     STATUS_SUCCESS,
                 "not acquired");
    }
    KT_CHECK(KeAreApcsDisabled() && !KeAreAllApcsDisabled(), "the owner is in no critical region");
    KtInsertApc(&Normal);
    KtInsertApc(&Special);
    CHECK_RUNS(&Special, 1, 0);
    CHECK_RUNS(&Normal, 0, 0);
    KeReleaseMutex(&Mutex, FALSE);
    CHECK_RUNS(&Normal, 0, 0);
    KeReleaseMutex(&Mutex, FALSE);
    CHECK_RUNS(&Normal, 1, 1);
    CHECK_DISABLED(FALSE, FALSE);
    Withdraw(&Normal);
    Withdraw(&Special);
}

OUTSIDE_REGIONS(MutexOwner)

/* ---------------------------------------------------------------- What a checked build reports. */

static VOID StayRaised(PKT_APC Apc)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Apc);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
}

static VOID StayInCriticalRegion(PKT_APC Apc)
{
    UNREFERENCED_PARAMETER(Apc);
    KeEnterCriticalRegion();
}

static VOID StayInGuardedRegion(PKT_APC Apc)
{
    UNREFERENCED_PARAMETER(Apc);
    KeEnterGuardedRegion();
}

static VOID InsertIt(PVOID Context)
{
    KtInsertApc(Context);
}

static VOID Leave(PVOID Context)
{
    ((VOID(*)(VOID))Context)();
}

static VOID EnterTooHigh(PVOID Context)
{
    KeRaiseIrqlToDpcLevel();
    ((VOID(*)(VOID))Context)();
}

static VOID Contracts(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KT_APC Apc;

    KtInitializeSpecialApc(&Apc, Thread);
    Apc.OnKernel = StayRaised;
    KtExpectBugCheck(IRQL_UNEXPECTED_VALUE, (DISPATCH_LEVEL << 16) | (APC_LEVEL << 8) | 0, InsertIt,
                     &Apc);

    KtInitializeSpecialApc(&Apc, Thread);
    Apc.OnKernel = StayInGuardedRegion;
    KtExpectBugCheck(APC_INDEX_MISMATCH, KT_ANY, InsertIt, &Apc);
    KeLeaveGuardedRegion();

    KtInitializeNormalApc(&Apc, Thread, NULL);
    Apc.OnNormal = StayRaised;
    KtExpectBugCheck(IRQL_UNEXPECTED_VALUE, (DISPATCH_LEVEL << 16) | (PASSIVE_LEVEL << 8) | 1,
                     InsertIt, &Apc);
    Thread->KernelApcInProgress = FALSE; /* its delivery never came back */

    KtInitializeNormalApc(&Apc, Thread, NULL);
    Apc.OnNormal = StayInCriticalRegion;
    KtExpectBugCheck(APC_INDEX_MISMATCH, KT_ANY, InsertIt, &Apc);
    Thread->KernelApcInProgress = FALSE;
    KeLeaveCriticalRegion();

    KtExpectBugCheck(APC_INDEX_MISMATCH, KT_ANY, Leave, (PVOID)KeLeaveCriticalRegion);
    KtExpectBugCheck(APC_INDEX_MISMATCH, KT_ANY, Leave, (PVOID)KeLeaveGuardedRegion);
    KT_CHECK(Thread->KernelApcDisable == 0 && Thread->SpecialApcDisable == 0, "counts %d %d",
             Thread->KernelApcDisable, Thread->SpecialApcDisable);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, EnterTooHigh,
                     (PVOID)KeEnterCriticalRegion);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, EnterTooHigh,
                     (PVOID)KeEnterGuardedRegion);

    KeEnterGuardedRegion();
    KtExpectBugCheck(KERNEL_APC_PENDING_DURING_EXIT, 0, (VOID(*)(PVOID))KiRundownApcs, Thread);
    KeLeaveGuardedRegion();
    KtInitializeSpecialApc(&Apc, Thread);
    KtInsertApc(&Apc);
    CHECK_RUNS(&Apc, 1, 0); /* all is as before */
}

OUTSIDE_REGIONS(Contracts)

static const KT_CASE Cases[] = {
    {"apc-L80-special-to-self", SpecialToSelf, 0, FALSE},
    {"apc-L80-normal-to-self", NormalToSelfOutside, 0, FALSE},
    {"apc-L79-masked-by-irql", MaskedByIrqlOutside, 0, FALSE},
    {"apc-insert-twice", InsertTwice, 0, FALSE},
    {"apc-requeues-itself", Requeue, 0, FALSE},
    {"apc-remove", Remove, 0, FALSE},
    {"apc-order", OrderOutside, 0, FALSE},
    {"apc-L79-normal-does-not-nest", NormalDoesNotNestOutside, 0, FALSE},
    {"apc-kernel-routine-cancels", KernelRoutineCancelsOutside, 0, FALSE},
    {"region-L79-critical", CriticalRegionOutside, 0, FALSE},
    {"region-L79-guarded", GuardedRegionOutside, 0, FALSE},
    {"region-L79-left-raised", LeftRaisedOutside, 0, FALSE},
    {"region-L79-questions", QuestionsOutside, 0, FALSE},
    {"apc-L51-mutex-owner", MutexOwnerOutside, 0, FALSE},
    {"apc-contracts", ContractsOutside, 0, TRUE},
};

KT_DEFINE_SUITE(KtApcSuite, "ke", Cases);
