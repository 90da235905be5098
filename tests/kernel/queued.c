/* SPDX-License-Identifier: MIT */
/*
 * queued.c - in-stack queued spin locks: exclusion under torture, first come first served, the
 * IRQL, and mistakes that a checked build reports. Laws L9-L12, L15, L17.
 *
 * Order is tested by construction: while one processor holds the lock the others are sent to it one
 * by one, in a shuffled order, each when the lock's word shows that the one before is in the queue.
 */
#include "spintorture.h"

static VOID QueuedTorture(VOID)
{
    TortureRun(&TortureQueued);
}

/* ---------------------------------------------------------- Order (L12, L17). */

#define LIMIT KT_SECONDS(60)
#define ARRIVALS (2 * MAXIMUM_PROCESSORS)

/* The two families behind one face. */
typedef struct _ORDER_KIND
{
    VOID (*Acquire)(PKSPIN_LOCK Lock, PKLOCK_QUEUE_HANDLE Handle);
    VOID (*Release)(PKSPIN_LOCK Lock, PKLOCK_QUEUE_HANDLE Handle);
    BOOLEAN Tickets;
} ORDER_KIND;

typedef struct _ORDER
{
    const ORDER_KIND *Kind;
    KSPIN_LOCK Lock;
    ULONG Queue[MAXIMUM_PROCESSORS]; /* who is to queue, in this order                */
    ULONG Arrival[ARRIVALS];         /* who came in, in this order; guarded by Lock   */
    volatile LONG Arrivals;          /* the same                                      */
} ORDER, *PORDER;

static ORDER Order;
static KT_JOB Jobs[MAXIMUM_PROCESSORS];

static VOID PassThrough(PORDER This, ULONG Processor)
{
    KLOCK_QUEUE_HANDLE Handle;

    This->Kind->Acquire(&This->Lock, &Handle);
    This->Arrival[This->Arrivals] = Processor;
    WriteRelease(&This->Arrivals, This->Arrivals + 1);
    This->Kind->Release(&This->Lock, &Handle);
}

/* Twice: the second time it queues behind all who are waiting. */
static VOID PassTwice(PVOID Context, ULONG Processor)
{
    PassThrough(Context, Processor);
    PassThrough(Context, Processor);
}

static VOID ShuffleOthers(PORDER This, PKT_RANDOM Random)
{
    ULONG Others = KtProcessors() - 1;

    for (ULONG Index = 0; Index < Others; Index++)
    {
        ULONG Place = (ULONG)(KtRandom(Random) % (Index + 1));

        This->Queue[Index] = This->Queue[Place];
        This->Queue[Place] = Index + 1;
    }
}

/* TRUE if the word changed: somebody has queued himself. */
static BOOLEAN AwaitChange(volatile KSPIN_LOCK *Word, KSPIN_LOCK Before)
{
    ULONG64 End = KtNow() + LIMIT;

    while (*Word == Before && KtNow() < End)
    {
        YieldProcessor();
    }
    return *Word != Before;
}

static VOID QueueAndServe(PORDER This)
{
    ULONG Others = KtProcessors() - 1;
    KLOCK_QUEUE_HANDLE Handle;

    This->Arrivals = 0;
    This->Kind->Acquire(&This->Lock, &Handle);
    for (ULONG Index = 0; Index < Others; Index++)
    {
        KSPIN_LOCK Word = This->Lock;

        KtStart(&Jobs[Index], This->Queue[Index], PassTwice, This);
        KT_CHECK(AwaitChange(&This->Lock, Word), "CPU %u did not queue: word %llx",
                 This->Queue[Index], This->Lock);
    }
    KT_CHECK(This->Arrivals == 0, "%d came in while the lock was held", This->Arrivals);
    This->Kind->Release(&This->Lock, &Handle);
    PassThrough(This, 0);
    for (ULONG Index = 0; Index < Others; Index++)
    {
        KtJoin(&Jobs[Index]);
    }
}

static VOID CheckOrder(PORDER This)
{
    ULONG Others = KtProcessors() - 1;

    KT_CHECK(This->Arrivals == (LONG)(2 * Others + 1), "%d visits", This->Arrivals);
    for (ULONG Index = 0; Index < Others; Index++)
    {
        KT_CHECK(This->Arrival[Index] == This->Queue[Index],
                 "place %u of %u: CPU %u came in, CPU %u was next", Index, Others,
                 This->Arrival[Index], This->Queue[Index]);
    }
    KT_CHECK(KeTestSpinLock(&This->Lock), "word %llx in the end", This->Lock);
}

/* A ticket lock's counters wrap somewhere among the waiters. */
static VOID InitializeWord(PORDER This, PKT_RANDOM Random)
{
    KI_SPIN_LOCK Lock = {.Word = 0};

    if (This->Kind->Tickets)
    {
        Lock.Next = (KI_TICKET)(0 - 1 - KtRandom(Random) % KtProcessors());
        Lock.Serving = Lock.Next;
    }
    This->Lock = Lock.Word;
}

static VOID ServedInOrder(const ORDER_KIND *Kind)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_RANDOM Random;

    KtSeed(&Random, 12);
    RtlZeroMemory(&Order, sizeof(Order));
    Order.Kind = Kind;
    do
    {
        InitializeWord(&Order, &Random);
        ShuffleOthers(&Order, &Random);
        QueueAndServe(&Order);
        CheckOrder(&Order);
    } while (KtNow() < End && !KtHasFailed());
}

static VOID AcquireQueued(PKSPIN_LOCK Lock, PKLOCK_QUEUE_HANDLE Handle)
{
    KeAcquireInStackQueuedSpinLock(Lock, Handle);
}

static VOID ReleaseQueued(PKSPIN_LOCK Lock, PKLOCK_QUEUE_HANDLE Handle)
{
    UNREFERENCED_PARAMETER(Lock);
    KeReleaseInStackQueuedSpinLock(Handle);
}

static VOID AcquirePlain(PKSPIN_LOCK Lock, PKLOCK_QUEUE_HANDLE Handle)
{
    KeAcquireSpinLock(Lock, &Handle->OldIrql);
}

static VOID ReleasePlain(PKSPIN_LOCK Lock, PKLOCK_QUEUE_HANDLE Handle)
{
    KeReleaseSpinLock(Lock, Handle->OldIrql);
}

static VOID QueuedOrder(VOID)
{
    static const ORDER_KIND Kind = {AcquireQueued, ReleaseQueued, FALSE};

    ServedInOrder(&Kind);
}

static VOID TicketOrder(VOID)
{
    static const ORDER_KIND Kind = {AcquirePlain, ReleasePlain, TRUE};

    ServedInOrder(&Kind);
}

/* ---------------------------------------------------------- The IRQL and the word (L10). */

#define CHECK_IRQL(Expected)                                                                       \
    KT_CHECK(KeGetCurrentIrql() == (Expected), "IRQL %u, not %u", KeGetCurrentIrql(), (Expected))

static VOID AcquireRaisesAndReleaseRestores(VOID)
{
    KLOCK_QUEUE_HANDLE Handle;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= DISPATCH_LEVEL; Level++)
    {
        KIRQL Before;

        KeRaiseIrql(Level, &Before);
        KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
        CHECK_IRQL(DISPATCH_LEVEL);
        KT_CHECK(Lock == (KSPIN_LOCK)&Handle.LockQueue, "word %llx", Lock);
        KT_CHECK(Handle.OldIrql == Level, "saved %u, not %u", Handle.OldIrql, Level);
        KT_CHECK(!KeTestSpinLock(&Lock), "a held lock looks free: %llx", Lock);
        KeReleaseInStackQueuedSpinLock(&Handle);
        CHECK_IRQL(Level);

        KeAcquireInStackQueuedSpinLockForDpc(&Lock, &Handle);
        CHECK_IRQL(DISPATCH_LEVEL);
        KeReleaseInStackQueuedSpinLockForDpc(&Handle);
        CHECK_IRQL(Level);
        KT_CHECK(Lock == 0, "word %llx when free", Lock);
        KeLowerIrql(Before);
    }
}

static VOID AtDpcLevelLeavesTheIrql(VOID)
{
    KLOCK_QUEUE_HANDLE Handle;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    for (KIRQL Level = DISPATCH_LEVEL; Level <= HIGH_LEVEL; Level++)
    {
        KIRQL Before;

        KeRaiseIrql(Level, &Before);
        KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock, &Handle);
        CHECK_IRQL(Level);
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle);
        CHECK_IRQL(Level);
        KeLowerIrql(Before);
    }
}

/* ---------------------------------------------------------- Mistakes (L10, L11). */

#define WRONG_IRQL 0xE5

static VOID AcquireBelowDispatchLevel(PVOID Lock)
{
    KLOCK_QUEUE_HANDLE Handle;

    KeAcquireInStackQueuedSpinLockAtDpcLevel(Lock, &Handle);
}

static VOID AcquireTwice(PVOID Lock)
{
    KLOCK_QUEUE_HANDLE First, Second;

    KeAcquireInStackQueuedSpinLock(Lock, &First);
    KeAcquireInStackQueuedSpinLock(Lock, &Second);
}

static VOID ReleaseTwice(PVOID Lock)
{
    KLOCK_QUEUE_HANDLE Handle;

    KeAcquireInStackQueuedSpinLock(Lock, &Handle);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle);
    KeReleaseInStackQueuedSpinLock(&Handle);
}

static VOID MistakesStop(VOID)
{
    KSPIN_LOCK Lock = 0;
    KIRQL OldIrql;

    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, WRONG_IRQL, AcquireBelowDispatchLevel,
                     &Lock);
    KtExpectBugCheck(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)&Lock, AcquireTwice, &Lock);
    KeInitializeSpinLock(&Lock);
    KtExpectBugCheck(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)&Lock, ReleaseTwice, &Lock);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &OldIrql);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, WRONG_IRQL, AcquireTwice, &Lock);
    KeLowerIrql(OldIrql);
    KT_CHECK(Lock == 0, "word %llx in the end", Lock);
}

static const KT_CASE Cases[] = {
    {"queued-L10-raise-and-restore", AcquireRaisesAndReleaseRestores, 0, FALSE},
    {"queued-L10-at-dpc-level", AtDpcLevelLeavesTheIrql, 0, FALSE},
    {"queued-L11-mistakes-stop", MistakesStop, 0, TRUE},
    {"queued-L12-L17-order", QueuedOrder, 0, FALSE},
    {"spin-ticket-order", TicketOrder, 0, FALSE},
    {"queued-L9-L15-L17-torture", QueuedTorture, 0, FALSE},
};

KT_DEFINE_SUITE(KtQueuedSuite, "ke", Cases);
