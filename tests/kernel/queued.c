/* SPDX-License-Identifier: MIT */
/*
 * queued.c - in-stack queued spin locks: exclusion under torture, first come first served, the
 * IRQL, and mistakes that a checked build reports. Laws L9-L12, L15, L17.
 *
 * Order is tested by construction: while one processor holds the lock the others are sent to it one
 * by one, in a shuffled order, each when the lock's word shows that the one before is in the queue.
 */
#include "spintorture.h"

#include <arch/hal.h>
#include <clock.h>

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

static const ORDER_KIND QueuedKind = {AcquireQueued, ReleaseQueued, FALSE};
static const ORDER_KIND TicketKind = {AcquirePlain, ReleasePlain, TRUE};

static VOID QueuedOrder(VOID)
{
    ServedInOrder(&QueuedKind);
}

static VOID TicketOrder(VOID)
{
    ServedInOrder(&TicketKind);
}

/* ---------------------------------------------------------- Whoever waits has raised his IRQL
 * before (L10): a DPC that becomes due meanwhile does not run on top of him. The holder is made up,
 * and lets go from this processor's clock interrupt; so it takes one processor only. */

#define TICK_TO_QUEUE 1
#define TICK_TO_SERVE 3

static struct
{
    const ORDER_KIND *Kind;
    KSPIN_LOCK Lock;
    KSPIN_LOCK_QUEUE Holder; /* of a queued lock */
    ULONG Processor;
    KDPC Dpc;
    LONG Ticks; /* since somebody waits */
    volatile LONG Runs;
    LONG RunsMeanwhile;
} Wait;

static VOID CountRun(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Wait.Runs++;
}

static VOID HoldByNobody(const ORDER_KIND *Kind)
{
    RtlZeroMemory(&Wait, sizeof(Wait));
    Wait.Kind = Kind;
    Wait.Processor = KeGetCurrentProcessorIndex();
    KeInitializeDpc(&Wait.Dpc, CountRun, NULL);
    if (Kind->Tickets)
    {
        ((PKI_SPIN_LOCK)&Wait.Lock)->Next = 1;
    }
    else
    {
        Wait.Lock = (KSPIN_LOCK)&Wait.Holder;
    }
}

static BOOLEAN SomebodyWaits(VOID)
{
    return Wait.Kind->Tickets ? ((PKI_SPIN_LOCK)&Wait.Lock)->Next == 2 : Wait.Holder.Next != NULL;
}

static VOID LetGo(VOID)
{
    if (Wait.Kind->Tickets)
    {
        ((PKI_SPIN_LOCK)&Wait.Lock)->Serving = 1;
    }
    else
    {
        Wait.Holder.Next->Lock = &Wait.Lock;
    }
}

static VOID LetGoFromClock(PKTRAP_FRAME Frame)
{
    KiClockInterrupt(Frame);
    if (KeGetCurrentProcessorIndex() != Wait.Processor || !SomebodyWaits())
    {
        return;
    }
    Wait.Ticks++;
    if (Wait.Ticks == TICK_TO_QUEUE)
    {
        KeInsertQueueDpc(&Wait.Dpc, NULL, NULL);
    }
    if (Wait.Ticks == TICK_TO_SERVE)
    {
        Wait.RunsMeanwhile = Wait.Runs;
        LetGo();
    }
}

static VOID WaitsRaised(const ORDER_KIND *Kind)
{
    KLOCK_QUEUE_HANDLE Handle;

    HoldByNobody(Kind);
    HalpSetVectorRoutine(CLOCK_VECTOR, LetGoFromClock);
    Kind->Acquire(&Wait.Lock, &Handle);
    HalpSetVectorRoutine(CLOCK_VECTOR, KiClockInterrupt);
    KT_CHECK(Wait.Ticks >= TICK_TO_SERVE, "it did not wait: %d ticks", Wait.Ticks);
    KT_CHECK(Wait.RunsMeanwhile == 0, "the DPC ran on top of a waiter, %d", Wait.RunsMeanwhile);
    KT_CHECK(Wait.Runs == 0, "the DPC ran on top of the holder, %d", Wait.Runs);
    Kind->Release(&Wait.Lock, &Handle);
    KT_CHECK(Wait.Runs == 1, "%d runs after the release", Wait.Runs);
    KT_CHECK(KeTestSpinLock(&Wait.Lock), "word %llx in the end", Wait.Lock);
}

static VOID QueuedWaitsRaised(VOID)
{
    WaitsRaised(&QueuedKind);
}

static VOID TicketWaitsRaised(VOID)
{
    WaitsRaised(&TicketKind);
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
    {"spin-L10-waits-raised", TicketWaitsRaised, 0, FALSE},
    {"queued-L10-waits-raised", QueuedWaitsRaised, 0, FALSE},
    {"queued-L10-raise-and-restore", AcquireRaisesAndReleaseRestores, 0, FALSE},
    {"queued-L10-at-dpc-level", AtDpcLevelLeavesTheIrql, 0, FALSE},
    {"queued-L11-mistakes-stop", MistakesStop, 0, TRUE},
    {"queued-L12-L17-order", QueuedOrder, 0, FALSE},
    {"spin-ticket-order", TicketOrder, 0, FALSE},
    {"queued-L9-L15-L17-torture", QueuedTorture, 0, FALSE},
};

KT_DEFINE_SUITE(KtQueuedSuite, "ke", Cases);
