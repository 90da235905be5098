/* SPDX-License-Identifier: MIT */
/*
 * spin.c - spin locks: exclusion under torture, the IRQL, what try and test say, mistakes that a
 * checked build reports, and counters that wrap. Laws L9-L11, L13-L15, L17.
 */
#include "spintorture.h"

/* ------------------------------------------------------------------ Torture. */

static VOID PlainTorture(VOID)
{
    TortureRun(&TorturePlain);
}

static VOID TryTorture(VOID)
{
    TortureRun(&TortureTry);
}

static VOID RaisedTorture(VOID)
{
    TortureRun(&TortureRaised);
}

static VOID InterruptTorture(VOID)
{
    TortureRun(&TortureInterrupt);
}

static VOID TortureCatchesBusted(VOID)
{
    ULONG Violations = TortureRun(&TortureBusted);

    KT_CHECK(Violations != 0, "%u violations by a lock that does not exclude", Violations);
}

static VOID TortureCatchesUnraised(VOID)
{
    ULONG Violations = TortureRun(&TortureUnraised);

    KT_CHECK(Violations != 0, "%u violations by a lock that does not raise", Violations);
}

/* ------------------------------------------------------------------ The IRQL (L10). */

#define CHECK_IRQL(Expected)                                                                       \
    KT_CHECK(KeGetCurrentIrql() == (Expected), "IRQL %u, not %u", KeGetCurrentIrql(), (Expected))

static VOID AcquireRaisesAndReleaseRestores(VOID)
{
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= DISPATCH_LEVEL; Level++)
    {
        KIRQL Before, Saved;

        KeRaiseIrql(Level, &Before);
        Saved = 0xFF;
        KeAcquireSpinLock(&Lock, &Saved);
        CHECK_IRQL(DISPATCH_LEVEL);
        KT_CHECK(Saved == Level, "saved %u, not %u", Saved, Level);
        KeReleaseSpinLock(&Lock, Saved);
        CHECK_IRQL(Level);

        Saved = KeAcquireSpinLockForDpc(&Lock);
        CHECK_IRQL(DISPATCH_LEVEL);
        KT_CHECK(Saved == Level, "ForDpc saved %u, not %u", Saved, Level);
        KeReleaseSpinLockForDpc(&Lock, Saved);
        CHECK_IRQL(Level);
        KeLowerIrql(Before);
    }
}

static VOID AtDpcLevelLeavesTheIrql(VOID)
{
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    for (KIRQL Level = DISPATCH_LEVEL; Level <= HIGH_LEVEL; Level++)
    {
        KIRQL Before;

        KeRaiseIrql(Level, &Before);
        KeAcquireSpinLockAtDpcLevel(&Lock);
        CHECK_IRQL(Level);
        KeReleaseSpinLockFromDpcLevel(&Lock);
        CHECK_IRQL(Level);
        KeLowerIrql(Before);
    }
}

static VOID AcquireAtDpcLevel(PVOID Lock)
{
    KeAcquireSpinLockAtDpcLevel(Lock);
}

static VOID AcquireAndRelease(PVOID Lock)
{
    KIRQL OldIrql;

    KeAcquireSpinLock((PKSPIN_LOCK)Lock, &OldIrql);
    KeReleaseSpinLock(Lock, OldIrql);
}

static VOID ReleaseAfterLower(PVOID Lock)
{
    KIRQL OldIrql;

    KeAcquireSpinLock((PKSPIN_LOCK)Lock, &OldIrql);
    __writecr8(OldIrql);
    KeReleaseSpinLock(Lock, OldIrql);
}

#define WRONG_IRQL 0xE5

static VOID WrongIrqlStops(VOID)
{
    KSPIN_LOCK Lock = 0;
    KIRQL OldIrql;

    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, WRONG_IRQL, AcquireAtDpcLevel, &Lock);
    KT_CHECK(Lock == 0, "word %llx", Lock);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, WRONG_IRQL, ReleaseAfterLower, &Lock);
    KeInitializeSpinLock(&Lock);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &OldIrql);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, WRONG_IRQL, AcquireAndRelease, &Lock);
    KeLowerIrql(OldIrql);
}

/* ------------------------------------------------------------------ Mistakes (L11). */

static VOID AcquireTwice(PVOID Lock)
{
    KIRQL First, Second;

    KeAcquireSpinLock((PKSPIN_LOCK)Lock, &First);
    KeAcquireSpinLock((PKSPIN_LOCK)Lock, &Second);
}

static VOID AcquireTwiceAtDpcLevel(PVOID Lock)
{
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(Lock);
    KeAcquireSpinLockAtDpcLevel(Lock);
}

static VOID RecursionStops(VOID)
{
    KSPIN_LOCK Lock = 0;

    KtExpectBugCheck(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)&Lock, AcquireTwice, &Lock);
    KeInitializeSpinLock(&Lock);
    KtExpectBugCheck(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)&Lock, AcquireTwiceAtDpcLevel, &Lock);
}

static VOID ReleaseFromDpcLevel(PVOID Lock)
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeReleaseSpinLockFromDpcLevel(Lock);
}

static VOID ReleaseTwice(PVOID Lock)
{
    KIRQL OldIrql;

    KeAcquireSpinLock((PKSPIN_LOCK)Lock, &OldIrql);
    KeReleaseSpinLockFromDpcLevel(Lock);
    KeReleaseSpinLock(Lock, OldIrql);
}

static VOID DoubleReleaseStops(VOID)
{
    KSPIN_LOCK Lock = 0;

    KtExpectBugCheck(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)&Lock, ReleaseFromDpcLevel, &Lock);
    KtExpectBugCheck(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)&Lock, ReleaseTwice, &Lock);
    KT_CHECK(KeTestSpinLock(&Lock), "word %llx after one release too many", Lock);
}

/* ------------------------------------------------------------------ A holder elsewhere. */

typedef struct _HOLDER
{
    KSPIN_LOCK Lock;
    volatile LONG Holds;
    volatile LONG LetGo;
} HOLDER, *PHOLDER;

static VOID HoldUntilTold(PVOID Context, ULONG Processor)
{
    PHOLDER Holder = Context;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Processor);
    KeAcquireSpinLock(&Holder->Lock, &OldIrql);
    WriteRelease(&Holder->Holds, TRUE);
    KT_CHECK(KtWaitFor(&Holder->LetGo, TRUE, KT_SECONDS(60)), "nobody said %s", "let go");
    KeReleaseSpinLock(&Holder->Lock, OldIrql);
}

static VOID StartHolder(PKT_JOB Job, PHOLDER Holder)
{
    RtlZeroMemory(Holder, sizeof(*Holder));
    KtStart(Job, 1, HoldUntilTold, Holder);
    KT_CHECK(KtWaitFor(&Holder->Holds, TRUE, KT_SECONDS(60)), "CPU 1 never got it: %llx",
             Holder->Lock);
}

static VOID StopHolder(PKT_JOB Job, PHOLDER Holder)
{
    WriteRelease(&Holder->LetGo, TRUE);
    KtJoin(Job);
}

static VOID ForeignReleaseStops(VOID)
{
    HOLDER Holder;
    KSPIN_LOCK Word;
    KT_JOB Job;

    StartHolder(&Job, &Holder);
    Word = Holder.Lock;
    KtExpectBugCheck(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)&Holder.Lock, ReleaseFromDpcLevel,
                     &Holder.Lock);
    KT_CHECK(Holder.Lock == Word, "word %llx, not %llx", Holder.Lock, Word);
    StopHolder(&Job, &Holder);
}

/* The holder lets go only after the call has returned: one that spins never does. */
static VOID TryAndTestWhileHeldElsewhere(VOID)
{
    HOLDER Holder;
    KSPIN_LOCK Word;
    KIRQL OldIrql;
    KT_JOB Job;

    StartHolder(&Job, &Holder);
    Word = Holder.Lock;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG Round = 0; Round < 1000; Round++)
    {
        KT_CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&Holder.Lock), "took a held lock, round %u",
                 Round);
        KT_CHECK(!KeTestSpinLock(&Holder.Lock), "a held lock looks free, round %u", Round);
    }
    KT_CHECK(Holder.Lock == Word, "word %llx, not %llx", Holder.Lock, Word);
    KeLowerIrql(OldIrql);
    StopHolder(&Job, &Holder);
    KT_CHECK(KeTestSpinLock(&Holder.Lock), "word %llx after the release", Holder.Lock);
}

/* ------------------------------------------------------------------ Try and test (L13, L14). */

static VOID TrySaysWhetherItIsFree(VOID)
{
    KSPIN_LOCK Lock, Word;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KT_CHECK(KeTryToAcquireSpinLockAtDpcLevel(&Lock), "FALSE for a free lock, %llx", Lock);
    CHECK_IRQL(DISPATCH_LEVEL);
    Word = Lock;
    KT_CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&Lock), "TRUE for a held lock, %llx", Lock);
    CHECK_IRQL(DISPATCH_LEVEL);
    KT_CHECK(Lock == Word, "word %llx, not %llx", Lock, Word);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    KT_CHECK(KeTryToAcquireSpinLockAtDpcLevel(&Lock), "FALSE after the release, %llx", Lock);
    KeReleaseSpinLock(&Lock, OldIrql);
}

static VOID TestChangesNothing(VOID)
{
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= HIGH_LEVEL; Level++)
    {
        KSPIN_LOCK Word = Lock;
        KIRQL OldIrql;

        KeRaiseIrql(Level, &OldIrql);
        KT_CHECK(KeTestSpinLock(&Lock), "FALSE for a free lock at IRQL %u", Level);
        CHECK_IRQL(Level);
        KT_CHECK(Lock == Word, "word %llx, not %llx", Lock, Word);
        if (Level >= DISPATCH_LEVEL)
        {
            KeAcquireSpinLockAtDpcLevel(&Lock);
            Word = Lock;
            KT_CHECK(!KeTestSpinLock(&Lock), "TRUE for a held lock at IRQL %u", Level);
            CHECK_IRQL(Level);
            KT_CHECK(Lock == Word, "word %llx, not %llx", Lock, Word);
            KeReleaseSpinLockFromDpcLevel(&Lock);
        }
        KeLowerIrql(OldIrql);
    }
}

/* All try at once, again and again, for one free lock: one of them gets it. */
typedef struct _RACE
{
    KSPIN_LOCK Lock;
    volatile LONG Started;
    volatile LONG Taken;
    volatile LONG Finished;
    volatile LONG Stop; /* written by processor 0, read after all have finished */
    ULONG64 End;
} RACE, *PRACE;

static VOID RaceForLock(PVOID Context, ULONG Processor)
{
    PRACE Race = Context;
    LONG Count = (LONG)KtProcessors();
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (LONG Round = 1; !Race->Stop; Round++)
    {
        BOOLEAN Mine;

        InterlockedIncrement(&Race->Started);
        KT_CHECK(KtWaitFor(&Race->Started, Count * Round, KT_SECONDS(60)), "round %d", Round);
        Mine = KeTryToAcquireSpinLockAtDpcLevel(&Race->Lock);
        InterlockedExchangeAdd(&Race->Taken, Mine);
        if (Processor == 0 && (KtNow() >= Race->End || KtHasFailed()))
        {
            Race->Stop = TRUE;
        }
        InterlockedIncrement(&Race->Finished);
        KT_CHECK(KtWaitFor(&Race->Finished, Count * Round, KT_SECONDS(60)), "round %d", Round);
        KT_CHECK(Race->Taken == Round, "%d got it in %d rounds", Race->Taken, Round);
        if (Mine)
        {
            KeReleaseSpinLockFromDpcLevel(&Race->Lock);
        }
    }
    KeLowerIrql(OldIrql);
}

static VOID OneOfThoseWhoTryGetsIt(VOID)
{
    RACE Race = {.End = KtNow() + KtBudget()};

    KtParallel(RaceForLock, &Race);
}

/* ------------------------------------------------------------------ Counters that wrap. */

#define TURNS_PAST_WRAP 70000u

/* In checked builds, where the counters have 16 bits, once round and more from zero; in all builds
 * across the wrap of whatever width they have. */
static VOID CountersWrap(VOID)
{
    KI_SPIN_LOCK Lock = {.Word = 0};
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG Turn = 0; Turn < TURNS_PAST_WRAP && !KtHasFailed(); Turn++)
    {
        if (Turn % 2 == 0)
        {
            KeAcquireSpinLockAtDpcLevel(&Lock.Word);
        }
        else
        {
            KT_CHECK(KeTryToAcquireSpinLockAtDpcLevel(&Lock.Word), "turn %u: word %llx", Turn,
                     Lock.Word);
        }
        KT_CHECK(!KeTestSpinLock(&Lock.Word), "turn %u: word %llx", Turn, Lock.Word);
        KeReleaseSpinLockFromDpcLevel(&Lock.Word);
        if (Turn == TURNS_PAST_WRAP / 2)
        {
            KT_CHECK(Lock.Next == Lock.Serving, "word %llx", Lock.Word);
            Lock.Next = Lock.Serving = (KI_TICKET) - (LONG)(TURNS_PAST_WRAP / 4);
        }
    }
    KT_CHECK(KeTestSpinLock(&Lock.Word), "word %llx", Lock.Word);
    KeLowerIrql(OldIrql);
}

static const KT_CASE Cases[] = {
    {"spin-L10-raise-and-restore", AcquireRaisesAndReleaseRestores, 0, FALSE},
    {"spin-L10-at-dpc-level", AtDpcLevelLeavesTheIrql, 0, FALSE},
    {"spin-L10-wrong-irql-stops", WrongIrqlStops, 0, TRUE},
    {"spin-L11-recursion-stops", RecursionStops, 0, TRUE},
    {"spin-L11-double-release-stops", DoubleReleaseStops, 0, TRUE},
    {"spin-L11-foreign-release-stops", ForeignReleaseStops, 2, TRUE},
    {"spin-L13-try", TrySaysWhetherItIsFree, 0, FALSE},
    {"spin-L13-never-spins", TryAndTestWhileHeldElsewhere, 2, FALSE},
    {"spin-L13-one-of-many", OneOfThoseWhoTryGetsIt, 0, FALSE},
    {"spin-L14-test", TestChangesNothing, 0, FALSE},
    {"spin-counters-wrap", CountersWrap, 0, FALSE},
    {"spin-L9-torture-catches-busted", TortureCatchesBusted, 2, FALSE},
    {"spin-L9-torture-catches-unraised", TortureCatchesUnraised, 0, FALSE},
    {"spin-L9-L15-L17-torture-plain", PlainTorture, 0, FALSE},
    {"spin-L9-L13-torture-try", TryTorture, 0, FALSE},
    {"spin-L9-L15-L17-torture-raised", RaisedTorture, 0, FALSE},
    {"spin-L9-L15-L17-torture-interrupt", InterruptTorture, 0, FALSE},
};

KT_DEFINE_SUITE(KtSpinSuite, "ke", Cases);
