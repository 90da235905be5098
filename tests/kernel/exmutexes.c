/* SPDX-License-Identifier: MIT */
/*
 * exmutexes.c - fast mutexes, guarded mutexes and run-down protection, step by step. Law L17 for
 * the mutexes: whoever waits gets in, in order of arrival.
 */
#include "exlocks.h"

/* ------------------------------------------------------------------ Fast mutexes. */

static FAST_MUTEX Mutex;

/* The order in which they got in; written by the owner. */
static ULONG Entered[MAXIMUM_ACTORS];
static volatile LONG EnteredCount;

static VOID AcquireMutex(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExAcquireFastMutex(&Mutex);
}

static VOID ReleaseMutex(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExReleaseFastMutex(&Mutex);
}

static VOID PassMutex(PACTOR Actor)
{
    ExAcquireFastMutex(&Mutex);
    Entered[EnteredCount] = Actor->Number;
    EnteredCount++;
    ExReleaseFastMutex(&Mutex);
}

static VOID FastMutexIrql(VOID)
{
    ExInitializeFastMutex(&Mutex);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= APC_LEVEL; Level++)
    {
        KIRQL Before;

        KeRaiseIrql(Level, &Before);
        ExAcquireFastMutex(&Mutex);
        CHECK_IRQL(APC_LEVEL);
        KT_CHECK(Mutex.Owner == KeGetCurrentThread(), "owner %p", Mutex.Owner);
        ExReleaseFastMutex(&Mutex);
        CHECK_IRQL(Level);
        KT_CHECK(ExTryToAcquireFastMutex(&Mutex), "count %d", Mutex.Count);
        CHECK_IRQL(APC_LEVEL);
        KT_CHECK(!ExTryToAcquireFastMutex(&Mutex), "twice: count %d", Mutex.Count);
        CHECK_IRQL(APC_LEVEL);
        ExReleaseFastMutex(&Mutex);
        CHECK_IRQL(Level);
        KeEnterCriticalRegion();
        ExAcquireFastMutexUnsafe(&Mutex);
        CHECK_IRQL(Level);
        ExReleaseFastMutexUnsafe(&Mutex);
        CHECK_IRQL(Level);
        KeLeaveCriticalRegion();
        KeLowerIrql(Before);
    }
    KT_CHECK(Mutex.Count == 1, "count %d", Mutex.Count);
}

static VOID FastMutexTry(VOID)
{
    ExInitializeFastMutex(&Mutex);
    HireActors(1, NULL);
    Do(0, AcquireMutex);
    for (ULONG Round = 0; Round < 1000; Round++)
    {
        KT_CHECK(!ExTryToAcquireFastMutex(&Mutex), "took a held mutex, round %u", Round);
    }
    CHECK_IRQL(PASSIVE_LEVEL);
    KT_CHECK(Mutex.Count == 0, "count %d", Mutex.Count);
    Do(0, ReleaseMutex);
    KT_CHECK(ExTryToAcquireFastMutex(&Mutex), "count %d", Mutex.Count);
    ExReleaseFastMutex(&Mutex);
    DismissActors(1);
}

#define WAITERS 5
#define RESCUE_AFTER KT_SECONDS(20)
#define RESCUE_AGAIN KT_SECONDS(3)

static BOOLEAN AllPassed(VOID)
{
    BOOLEAN All = TRUE;

    for (ULONG Number = 0; Number < WAITERS; Number++)
    {
        All = All && IsFinished(Number);
    }
    return All;
}

/* A release that wakes nobody is found when nothing moves any more; then the waiters are woken from
 * here, or the run would end with them. */
static VOID AwaitPassed(VOID)
{
    ULONG64 LastProgress = KtNow();
    LONG Seen = 0;

    while (!AllPassed())
    {
        if (Seen != EnteredCount)
        {
            Seen = EnteredCount;
            LastProgress = KtNow();
        }
        if (KtNow() > LastProgress + (KtHasFailed() ? RESCUE_AGAIN : RESCUE_AFTER))
        {
            KT_CHECK(FALSE, "nobody gets in: count %d, %d were in", Mutex.Count, EnteredCount);
            KeSetEvent(&Mutex.Event, IO_NO_INCREMENT, FALSE);
            LastProgress = KtNow();
        }
        KiYieldThread();
        YieldProcessor();
    }
}

static VOID FastMutexOrder(VOID)
{
    ExInitializeFastMutex(&Mutex);
    EnteredCount = 0;
    HireActors(WAITERS, NULL);
    ExAcquireFastMutex(&Mutex);
    for (ULONG Number = 0; Number < WAITERS; Number++)
    {
        Begin(Number, PassMutex);
        UNTIL(ReadAcquire(&Mutex.Count) == -(LONG)Number - 1 &&
              ReadAcquire(&Actors[Number].Thread.Thread.WaitState) == KI_WAIT_COMMITTED);
    }
    KT_CHECK(EnteredCount == 0, "%d went in too", EnteredCount);
    KT_CHECK(Mutex.Contention == WAITERS, "contention %d", Mutex.Contention);
    ExReleaseFastMutex(&Mutex);
    AwaitPassed();
    for (ULONG Number = 0; Number < WAITERS; Number++)
    {
        KT_CHECK(Entered[Number] == Number, "%u came in as number %u", Entered[Number], Number);
    }
    KT_CHECK(Mutex.Count == 1, "count %d", Mutex.Count);
    DismissActors(WAITERS);
}

#define VERIFIER(SubCode, Routine)                                                                 \
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, (SubCode), (Routine), &Mutex)

static VOID CallAcquire(PVOID Lock)
{
    ExAcquireFastMutex(Lock);
}

static VOID CallTry(PVOID Lock)
{
    KT_CHECK(!ExTryToAcquireFastMutex(Lock), "%p", Lock);
}

static VOID CallRelease(PVOID Lock)
{
    ExReleaseFastMutex(Lock);
}

static VOID CallAcquireUnsafe(PVOID Lock)
{
    ExAcquireFastMutexUnsafe(Lock);
}

static VOID CallReleaseUnsafe(PVOID Lock)
{
    ExReleaseFastMutexUnsafe(Lock);
}

static VOID FastMutexMistakes(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    SHORT Disable = Thread->KernelApcDisable;
    KIRQL OldIrql;

    ExInitializeFastMutex(&Mutex);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    VERIFIER(0x33, CallAcquire);
    VERIFIER(0x33, CallTry);
    VERIFIER(0x34, CallRelease);
    KeLowerIrql(OldIrql);
    VERIFIER(0x34, CallRelease);
    Thread->KernelApcDisable = 0;
    VERIFIER(0x39, CallAcquireUnsafe);
    VERIFIER(0x3A, CallReleaseUnsafe);
    Thread->KernelApcDisable = Disable;
    KT_CHECK(Mutex.Count == 1, "count %d", Mutex.Count);

    KeRaiseIrql(APC_LEVEL, &OldIrql);
    VERIFIER(0x1007, CallRelease);
    ExAcquireFastMutex(&Mutex);
    VERIFIER(0x1000, CallAcquire);
    ExReleaseFastMutex(&Mutex);
    HireActors(1, NULL);
    Do(0, AcquireMutex);
    VERIFIER(0x1004, CallRelease);
    Do(0, ReleaseMutex);
    KeLowerIrql(OldIrql);
    DismissActors(1);
    KT_CHECK(Mutex.Count == 1, "count %d", Mutex.Count);
}

/* ------------------------------------------------------------------ Guarded mutexes. */

static VOID AcquireGuarded(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    KeAcquireGuardedMutex(&Mutex);
}

static VOID ReleaseGuarded(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    KeReleaseGuardedMutex(&Mutex);
}

#define CHECK_GUARDED(Expected)                                                                    \
    CHECK_IRQL(PASSIVE_LEVEL);                                                                     \
    KT_CHECK(KeAreAllApcsDisabled() == (Expected), "special APC disable count %d",                 \
             KeGetCurrentThread()->SpecialApcDisable)

static VOID GuardedMutexRegion(VOID)
{
    KeInitializeGuardedMutex(&Mutex);
    CHECK_GUARDED(FALSE);
    KeAcquireGuardedMutex(&Mutex);
    CHECK_GUARDED(TRUE);
    KeReleaseGuardedMutex(&Mutex);
    CHECK_GUARDED(FALSE);
    KT_CHECK(KeTryToAcquireGuardedMutex(&Mutex), "count %d", Mutex.Count);
    CHECK_GUARDED(TRUE);
    KeReleaseGuardedMutex(&Mutex);
    KeEnterGuardedRegion();
    KeAcquireGuardedMutexUnsafe(&Mutex);
    KeReleaseGuardedMutexUnsafe(&Mutex);
    CHECK_GUARDED(TRUE);
    KeLeaveGuardedRegion();
    CHECK_GUARDED(FALSE);

    HireActors(2, NULL);
    Do(0, AcquireGuarded);
    KT_CHECK(!KeTryToAcquireGuardedMutex(&Mutex), "count %d", Mutex.Count);
    CHECK_GUARDED(FALSE);
    Begin(1, AcquireGuarded);
    UNTIL(ReadAcquire(&Mutex.Count) == -1);
    KT_CHECK(!IsFinished(1), "two owners, count %d", Mutex.Count);
    Do(0, ReleaseGuarded);
    Finish(1);
    KT_CHECK(Mutex.Owner == &Actors[1].Thread.Thread, "owner %p", Mutex.Owner);
    Do(1, ReleaseGuarded);
    KT_CHECK(Mutex.Count == 1, "count %d", Mutex.Count);
    DismissActors(2);
}

static VOID CallAcquireGuarded(PVOID Lock)
{
    KeAcquireGuardedMutex(Lock);
}

static VOID CallReleaseGuarded(PVOID Lock)
{
    KeReleaseGuardedMutex(Lock);
}

static VOID CallAcquireGuardedUnsafe(PVOID Lock)
{
    KeAcquireGuardedMutexUnsafe(Lock);
}

static VOID GuardedMutexMistakes(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KIRQL OldIrql;

    KeInitializeGuardedMutex(&Mutex);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    VERIFIER(0xE5, CallAcquireGuarded);
    VERIFIER(0xE5, CallReleaseGuarded);
    KeLowerIrql(OldIrql);
    VERIFIER(KI_ASSERTION_FAILED, CallAcquireGuardedUnsafe);
    VERIFIER(0x1007, CallReleaseGuarded);
    KeAcquireGuardedMutex(&Mutex);
    VERIFIER(0x1000, CallAcquireGuarded);
    Thread->SpecialApcDisable++; /* that acquisition's */
    KeReleaseGuardedMutex(&Mutex);
    CHECK_GUARDED(FALSE);
}

/* ------------------------------------------------------------------ Run-down protection. */

static EX_RUNDOWN_REF Rundown;

static VOID RundownStates(VOID)
{
    ExInitializeRundownProtection(&Rundown);
    for (ULONG Round = 0; Round < 3; Round++)
    {
        KT_CHECK(ExAcquireRundownProtection(&Rundown), "round %u: %llx", Round, Rundown.Count);
        KT_CHECK(ExAcquireRundownProtectionEx(&Rundown, 5), "round %u", Round);
        ExReleaseRundownProtectionEx(&Rundown, 2);
        ExReleaseRundownProtectionEx(&Rundown, 4);
        ExWaitForRundownProtectionRelease(&Rundown);
        KT_CHECK(!ExAcquireRundownProtection(&Rundown), "round %u: after the end", Round);
        KT_CHECK(!ExAcquireRundownProtectionEx(&Rundown, 7), "round %u: after the end", Round);
        ExWaitForRundownProtectionRelease(&Rundown); /* no effect */
        if (Round != 0)
        {
            ExRundownCompleted(&Rundown);
            KT_CHECK(!ExAcquireRundownProtection(&Rundown), "round %u: completed", Round);
        }
        ExReInitializeRundownProtection(&Rundown);
    }
    KT_CHECK(Rundown.Count == 0, "%llx", Rundown.Count);
}

static VOID WaitForRundown(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExWaitForRundownProtectionRelease(&Rundown);
}

/* The end begins while protections are out: no new ones, and the wait lasts as long as they do. A
 * wait that does not leaves a word that must not be released to. */
static VOID RundownWaits(VOID)
{
    ExInitializeRundownProtection(&Rundown);
    KT_CHECK(ExAcquireRundownProtectionEx(&Rundown, 3), "%llx", Rundown.Count);
    HireActors(1, NULL);
    Begin(0, WaitForRundown);
    UNTIL((Rundown.Count & 1) != 0);
    UNTIL(IsFinished(0) || ReadAcquire(&Actors[0].Thread.Thread.WaitState) == KI_WAIT_COMMITTED);
    KT_CHECK(!ExAcquireRundownProtection(&Rundown), "%llx", Rundown.Count);
    for (ULONG Left = 3; Left > 0 && !KtHasFailed(); Left--)
    {
        KT_CHECK(!IsFinished(0), "it has not waited for %u", Left);
        if (!KtHasFailed())
        {
            ExReleaseRundownProtection(&Rundown);
        }
    }
    DismissActors(1);
    KT_CHECK(Rundown.Count == 1, "%llx", Rundown.Count);
}

/* ------------------------------------------------------------------ Raising. */

static VOID RaiseStatus(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExRaiseStatus(STATUS_MUTANT_NOT_OWNED);
}

static VOID RaiseViolation(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExRaiseAccessViolation();
}

static VOID RaiseMisalignment(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExRaiseDatatypeMisalignment();
}

static VOID RaisingStops(VOID)
{
    KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, 0xC0000046, RaiseStatus, NULL);
    KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, 0xC0000005, RaiseViolation, NULL);
    KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, 0x80000002, RaiseMisalignment, NULL);
}

static const KT_CASE Cases[] = {
    {"fastmutex-irql", FastMutexIrql, 0, FALSE},
    {"fastmutex-try", FastMutexTry, 0, FALSE},
    {"fastmutex-L17-order", FastMutexOrder, 0, FALSE},
    {"fastmutex-mistakes-stop", FastMutexMistakes, 0, TRUE},
    {"guardedmutex-region", GuardedMutexRegion, 0, FALSE},
    {"guardedmutex-mistakes-stop", GuardedMutexMistakes, 0, TRUE},
    {"rundown-states", RundownStates, 0, FALSE},
    {"rundown-L87-waits", RundownWaits, 0, FALSE},
    {"raise-stops", RaisingStops, 0, TRUE},
};

KT_DEFINE_SUITE(KtExMutexSuite, "ex", Cases);
