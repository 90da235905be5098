/* SPDX-License-Identifier: MIT */
/*
 * exrwspin.c - reader/writer spin locks: every state of the word for those who ask without waiting,
 * and who waits for whom. Law L16; L9 to L11 for what they share with other spin locks.
 */
#include <rwspinlock.h>
#include <twin.h>

#include "exlocks.h"

static EX_SPIN_LOCK Lock;

#define CHECK_FREE() KT_CHECK(IsFree(Lock), "word %x", (ULONG)Lock)

static BOOLEAN IsFree(LONG Word)
{
    return ExpRwReaders((ULONG)Word) == 0 && ExpRwServing((ULONG)Word) == ExpRwNext((ULONG)Word);
}

static LONG MakeWord(ULONG Readers, ULONG Serving, ULONG Next)
{
    return (LONG)(Readers | (Serving % EXP_RW_TICKETS << EXP_RW_SERVING_SHIFT) |
                  (Next % EXP_RW_TICKETS << EXP_RW_NEXT_SHIFT));
}

/* ------------------------------------------------------------------ Alone. */

static VOID AcquireRaisesAndReleaseRestores(VOID)
{
    Lock = 0;
    for (KIRQL Level = PASSIVE_LEVEL; Level <= DISPATCH_LEVEL; Level++)
    {
        KIRQL Before, Saved;

        KeRaiseIrql(Level, &Before);
        Saved = ExAcquireSpinLockShared(&Lock);
        CHECK_IRQL(DISPATCH_LEVEL);
        KT_CHECK(Saved == Level, "saved %u, not %u", Saved, Level);
        ExReleaseSpinLockShared(&Lock, Saved);
        CHECK_IRQL(Level);
        Saved = ExAcquireSpinLockExclusive(&Lock);
        CHECK_IRQL(DISPATCH_LEVEL);
        KT_CHECK(Saved == Level, "saved %u, not %u", Saved, Level);
        ExReleaseSpinLockExclusive(&Lock, Saved);
        CHECK_IRQL(Level);
        KeLowerIrql(Before);
    }
    for (KIRQL Level = DISPATCH_LEVEL; Level <= HIGH_LEVEL; Level++)
    {
        KIRQL Before;

        KeRaiseIrql(Level, &Before);
        ExAcquireSpinLockSharedAtDpcLevel(&Lock);
        CHECK_IRQL(Level);
        ExReleaseSpinLockSharedFromDpcLevel(&Lock);
        ExAcquireSpinLockExclusiveAtDpcLevel(&Lock);
        CHECK_IRQL(Level);
        ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
        CHECK_IRQL(Level);
        KeLowerIrql(Before);
    }
    CHECK_FREE();
}

/* Through all tickets and more, so that both counters wrap: a carry of one would change the other.
 */
static VOID TicketsWrap(VOID)
{
    KIRQL OldIrql;

    Lock = 0;
    for (ULONG Turn = 0; Turn < 3 * EXP_RW_TICKETS && !KtHasFailed(); Turn++)
    {
        OldIrql = ExAcquireSpinLockExclusive(&Lock);
        KT_CHECK(Lock == MakeWord(0, Turn, Turn + 1), "turn %u: word %x", Turn, (ULONG)Lock);
        ExReleaseSpinLockExclusive(&Lock, OldIrql);
        KT_CHECK(Lock == MakeWord(0, Turn + 1, Turn + 1), "turn %u: word %x", Turn, (ULONG)Lock);
        OldIrql = ExAcquireSpinLockShared(&Lock);
        KT_CHECK(Lock == MakeWord(1, Turn + 1, Turn + 1), "turn %u: word %x", Turn, (ULONG)Lock);
        ExReleaseSpinLockShared(&Lock, OldIrql);
    }
    CHECK_FREE();
}

#define MOST_READERS 4
#define MOST_WRITERS 4

/* One reader is this processor, and there are so many other readers and waiting writers. */
static VOID ConvertWith(ULONG Readers, ULONG Writers, ULONG Serving)
{
    BOOLEAN Alone = Readers == 0 && Writers == 0;
    LONG Expected;

    Lock = MakeWord(0, Serving, Serving);
    ExAcquireSpinLockSharedAtDpcLevel(&Lock);
    Lock = MakeWord(1 + Readers, Serving, Serving + Writers);
    Expected = Alone ? MakeWord(0, Serving, Serving + 1) : Lock;
    KT_CHECK(ExTryConvertSharedSpinLockExclusive(&Lock) == Alone, "%u readers, %u writers, word %x",
             Readers, Writers, (ULONG)Lock);
    KT_CHECK(Lock == Expected, "word %x, not %x", (ULONG)Lock, (ULONG)Expected);
    if (Alone)
    {
        ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
        KT_CHECK(Lock == MakeWord(0, Serving + 1, Serving + 1), "word %x", (ULONG)Lock);
    }
    else
    {
        ExReleaseSpinLockSharedFromDpcLevel(&Lock);
        KT_CHECK(Lock == MakeWord(Readers, Serving, Serving + Writers), "word %x", (ULONG)Lock);
    }
}

static VOID ConvertsOnlyAlone(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG Serving = 0; Serving < EXP_RW_TICKETS && !KtHasFailed(); Serving++)
    {
        for (ULONG Readers = 0; Readers <= MOST_READERS; Readers++)
        {
            for (ULONG Writers = 0; Writers <= MOST_WRITERS; Writers++)
            {
                ConvertWith(Readers, Writers, Serving);
            }
        }
    }
    KeLowerIrql(OldIrql);
}

/* ------------------------------------------------------------------ Mistakes. */

static VOID ShareTwice(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockShared(&Lock);
    ExAcquireSpinLockShared(&Lock);
}

static VOID ShareAndOwn(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockShared(&Lock);
    ExAcquireSpinLockExclusive(&Lock);
}

static VOID OwnAndShare(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockExclusive(&Lock);
    ExAcquireSpinLockShared(&Lock);
}

static VOID OwnTwice(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockExclusive(&Lock);
    ExAcquireSpinLockExclusive(&Lock);
}

static VOID ReleaseUnowned(PVOID Context)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExReleaseSpinLockSharedFromDpcLevel(&Lock);
}

static VOID ShareAndReleaseOwned(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockShared(&Lock);
    ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
}

static VOID OwnAndReleaseShared(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockExclusive(&Lock);
    ExReleaseSpinLockSharedFromDpcLevel(&Lock);
}

static VOID ShareBelowDispatchLevel(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockSharedAtDpcLevel(&Lock);
}

static VOID OwnBelowDispatchLevel(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExAcquireSpinLockExclusiveAtDpcLevel(&Lock);
}

static VOID OwnAndRelease(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExReleaseSpinLockExclusive(&Lock, ExAcquireSpinLockExclusive(&Lock));
}

static VOID MistakesStop(VOID)
{
    static const struct
    {
        ULONG Code;
        ULONG_PTR Parameter1; /* 0: the lock */
        VOID (*Routine)(PVOID Context);
    } Mistakes[] = {
        {SPIN_LOCK_ALREADY_OWNED, 0, ShareTwice},
        {SPIN_LOCK_ALREADY_OWNED, 0, ShareAndOwn},
        {SPIN_LOCK_ALREADY_OWNED, 0, OwnAndShare},
        {SPIN_LOCK_ALREADY_OWNED, 0, OwnTwice},
        {SPIN_LOCK_NOT_OWNED, 0, ReleaseUnowned},
        {DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1009, ShareAndReleaseOwned},
        {DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1009, OwnAndReleaseShared},
        {DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, ShareBelowDispatchLevel},
        {DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, OwnBelowDispatchLevel},
    };
    KIRQL OldIrql;

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Mistakes); Index++)
    {
        Lock = 0;
        KtExpectBugCheck(Mistakes[Index].Code,
                         Mistakes[Index].Parameter1 != 0 ? Mistakes[Index].Parameter1
                                                         : (ULONG_PTR)&Lock,
                         Mistakes[Index].Routine, NULL);
    }
    Lock = 0;
    KeRaiseIrql(DISPATCH_LEVEL + 1, &OldIrql);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, OwnAndRelease, NULL);
    KeLowerIrql(OldIrql);
    CHECK_FREE();
}

/* ------------------------------------------------------------------ Together: each on a processor
 * of its own, at DISPATCH_LEVEL until it is told to go. */

#define REACTION KT_MILLISECONDS(20)    /* how long a reader is watched not to go in    */
#define REACTION_OF_TWIN KT_SECONDS(10) /* he goes in: it only ends when he has         */
#define LIMIT KT_SECONDS(60)

typedef struct _PARTY
{
    KT_JOB Job;
    BOOLEAN Writes;
    volatile LONG Asks; /* he is about to acquire */
    volatile LONG Inside;
    volatile LONG Go; /* written by the test */
} PARTY, *PPARTY;

static VOID PartyMain(PVOID Context, ULONG Processor)
{
    PPARTY Party = Context;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Processor);
    WriteRelease(&Party->Asks, TRUE);
    OldIrql = Party->Writes ? ExAcquireSpinLockExclusive(&Lock) : ExAcquireSpinLockShared(&Lock);
    WriteRelease(&Party->Inside, TRUE);
    KT_CHECK(KtWaitFor(&Party->Go, TRUE, LIMIT), "nobody said %s", "go");
    WriteRelease(&Party->Inside, FALSE);
    if (Party->Writes)
    {
        ExReleaseSpinLockExclusive(&Lock, OldIrql);
    }
    else
    {
        ExReleaseSpinLockShared(&Lock, OldIrql);
    }
}

static VOID SendIn(PPARTY Party, ULONG Processor, BOOLEAN Writes)
{
    RtlZeroMemory(Party, sizeof(*Party));
    Party->Writes = Writes;
    KtStart(&Party->Job, Processor, PartyMain, Party);
    KT_CHECK(KtWaitFor(&Party->Asks, TRUE, LIMIT), "CPU %u does not start", Processor);
}

static VOID AwaitInside(PPARTY Party)
{
    KT_CHECK(KtWaitFor(&Party->Inside, TRUE, LIMIT), "word %x", (ULONG)Lock);
}

static VOID AwaitWriters(ULONG Count)
{
    ULONG64 End = KtNow() + LIMIT;
    ULONG Word;

    do
    {
        Word = (ULONG)Lock;
    } while ((ExpRwNext(Word) - ExpRwServing(Word)) % EXP_RW_TICKETS != Count && KtNow() < End);
    KT_CHECK(KtNow() < End, "word %x", (ULONG)Lock);
}

static VOID Release(PPARTY Party)
{
    WriteRelease(&Party->Go, TRUE);
}

static VOID ReadersOverlap(VOID)
{
    static PARTY Reader;
    KIRQL OldIrql;

    Lock = 0;
    OldIrql = ExAcquireSpinLockShared(&Lock);
    SendIn(&Reader, 1, FALSE);
    AwaitInside(&Reader);
    KT_CHECK(Lock == MakeWord(2, 0, 0), "word %x", (ULONG)Lock);
    Release(&Reader);
    ExReleaseSpinLockShared(&Lock, OldIrql);
    KtJoin(&Reader.Job);
    CHECK_FREE();
}

/* A reader is inside, a writer waits; then a second reader asks. He goes in after the writer. */
static VOID WaitingWriterKeepsReadersOut(VOID)
{
    static PARTY Writer, Reader;
    ULONG64 Reaction = KI_TWIN(KiTwinRwReaderJoins) ? REACTION_OF_TWIN : REACTION;
    KIRQL OldIrql;

    Lock = 0;
    OldIrql = ExAcquireSpinLockShared(&Lock);
    SendIn(&Writer, 1, TRUE);
    AwaitWriters(1);
    SendIn(&Reader, 2, FALSE);
    KT_CHECK(!KtWaitFor(&Reader.Inside, TRUE, Reaction), "past a waiting writer: %x", (ULONG)Lock);
    KT_CHECK(!Writer.Inside, "with a reader: %x", (ULONG)Lock);
    if (KtHasFailed())
    {
        Release(&Reader); /* he overtook: the writer waits for him too */
    }
    ExReleaseSpinLockShared(&Lock, OldIrql);
    AwaitInside(&Writer);
    KT_CHECK(!Reader.Inside, "with a writer: %x", (ULONG)Lock);
    Release(&Writer);
    if (!KtHasFailed())
    {
        AwaitInside(&Reader);
    }
    Release(&Reader);
    KtJoin(&Writer.Job);
    KtJoin(&Reader.Job);
    CHECK_FREE();
}

/* A writer is inside, two more wait: served in order, and a reader after them all. */
static VOID WritersInOrder(VOID)
{
    static PARTY First, Second, Reader;
    KIRQL OldIrql;

    Lock = MakeWord(0, EXP_RW_TICKETS - 2, EXP_RW_TICKETS - 2);
    OldIrql = ExAcquireSpinLockExclusive(&Lock);
    SendIn(&First, 1, TRUE);
    AwaitWriters(2);
    SendIn(&Reader, 3, FALSE);
    SendIn(&Second, 2, TRUE);
    AwaitWriters(3);
    KT_CHECK(!First.Inside && !Second.Inside && !Reader.Inside, "two inside: %x", (ULONG)Lock);
    ExReleaseSpinLockExclusive(&Lock, OldIrql);
    AwaitInside(&First);
    KT_CHECK(!Second.Inside && !Reader.Inside, "two inside: %x", (ULONG)Lock);
    Release(&First);
    AwaitInside(&Second);
    KT_CHECK(!Reader.Inside, "two inside: %x", (ULONG)Lock);
    Release(&Second);
    AwaitInside(&Reader);
    Release(&Reader);
    KtJoin(&First.Job);
    KtJoin(&Second.Job);
    KtJoin(&Reader.Job);
    CHECK_FREE();
}

static const KT_CASE Cases[] = {
    {"rwspin-L10-raise-and-restore", AcquireRaisesAndReleaseRestores, 0, FALSE},
    {"rwspin-L16-tickets-wrap", TicketsWrap, 0, FALSE},
    {"rwspin-L16-converts-only-alone", ConvertsOnlyAlone, 0, FALSE},
    {"rwspin-L11-mistakes-stop", MistakesStop, 0, TRUE},
    {"rwspin-L16-readers-overlap", ReadersOverlap, 2, FALSE},
    {"rwspin-L16-writer-keeps-readers-out", WaitingWriterKeepsReadersOut, 3, FALSE},
    {"rwspin-L16-writers-in-order", WritersInOrder, 4, FALSE},
};

KT_DEFINE_SUITE(KtExRwSpinSuite, "ex", Cases);
