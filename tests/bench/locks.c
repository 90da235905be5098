/* SPDX-License-Identifier: MIT */
/*
 * locks.c - locks without a rival, counted in instructions, and with rivals, in wall time.
 *
 * Contention: for CONTEND_TIME some processors take and release one lock with a few instructions
 * inside and a few outside. What is reported is all acquisitions per second, and the slowest
 * processor's share of the fastest's, in thousandths. The processors that do not take part are
 * idle.
 */
#include "bench.h"

#include <arch/hal.h>
#include <spinlock.h>

#define CONTEND_TIME KT_MILLISECONDS(500)
#define CONTEND_RUNS 5

static KSPIN_LOCK Lock DECLSPEC_ALIGN(64);

static VOID SpinPair(VOID)
{
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KB_MEASURE("spin-pair",
               (KeAcquireSpinLock(&Lock, &OldIrql), KeReleaseSpinLock(&Lock, OldIrql)));
}

static VOID SpinPairAtDpcLevel(VOID)
{
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KB_MEASURE("spin-pair-dpc",
               (KeAcquireSpinLockAtDpcLevel(&Lock), KeReleaseSpinLockFromDpcLevel(&Lock)));
    KB_MEASURE("spin-pair-inline", (KiAcquireSpinLock(&Lock), KiReleaseSpinLock(&Lock)));
    KeLowerIrql(OldIrql);
}

static VOID QueuedPair(VOID)
{
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KB_MEASURE("queued-pair", (KeAcquireInStackQueuedSpinLock(&Lock, &Handle),
                               KeReleaseInStackQueuedSpinLock(&Handle)));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KB_MEASURE("queued-pair-dpc", (KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock, &Handle),
                                   KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle)));
    KeLowerIrql(OldIrql);
}

/* What the processors of a contention share. Count: its own processor; the rest is constant. */
typedef struct _CONTENTION
{
    ULONG Rivals;
    BOOLEAN Queued;
    ULONG64 Ticks;
    struct DECLSPEC_ALIGN(64)
    {
        volatile ULONG64 Count;
    } Of[MAXIMUM_PROCESSORS];
} CONTENTION;

static CONTENTION Contention;

/* Under the lock. */
static ULONG64 Shared DECLSPEC_ALIGN(64);

static VOID TakeOnce(BOOLEAN Queued)
{
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL OldIrql;

    if (Queued)
    {
        KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
        Shared++;
        KeReleaseInStackQueuedSpinLock(&Handle);
    }
    else
    {
        KeAcquireSpinLock(&Lock, &OldIrql);
        Shared++;
        KeReleaseSpinLock(&Lock, OldIrql);
    }
}

static VOID Contend(PVOID Context, ULONG Processor)
{
    ULONG64 Start = HalpQueryCounter();
    ULONG64 Count = 0;

    UNREFERENCED_PARAMETER(Context);
    if (Processor >= Contention.Rivals)
    {
        return;
    }
    while (HalpQueryCounter() - Start < Contention.Ticks)
    {
        TakeOnce(Contention.Queued);
        Count++;
    }
    Contention.Of[Processor].Count = Count;
}

/* One run; the acquisitions of all processors, and the slowest's of the fastest's in thousandths.
 * */
static ULONG64 RunContention(PULONG64 Fairness)
{
    ULONG64 Least = MAXULONG64, Most = 0, Sum = 0;

    KeInitializeSpinLock(&Lock);
    Shared = 0;
    KtParallel(Contend, NULL);
    for (ULONG Index = 0; Index < Contention.Rivals; Index++)
    {
        ULONG64 Count = Contention.Of[Index].Count;

        Least = Count < Least ? Count : Least;
        Most = Count > Most ? Count : Most;
        Sum += Count;
    }
    if (Sum != Shared)
    {
        KiLog(KiLogError, "contention: %llu acquisitions, %llu seen inside", Sum, Shared);
    }
    *Fairness = Most != 0 ? Least * 1000 / Most : 0;
    return Sum;
}

static VOID MeasureContention(PCSTR RateName, PCSTR FairnessName, ULONG Rivals, BOOLEAN Queued)
{
    ULONG64 Fairness[CONTEND_RUNS];

    if (Rivals > KtProcessors())
    {
        return;
    }
    Contention.Rivals = Rivals;
    Contention.Queued = Queued;
    Contention.Ticks = CONTEND_TIME * HalpCounterFrequency / KT_SECONDS(1);

    KbBegin(RateName, "per second", 1);
    for (ULONG Run = 0; Run < CONTEND_RUNS; Run++)
    {
        KbSample(RunContention(&Fairness[Run]) * KT_SECONDS(1) / CONTEND_TIME);
    }
    KbEnd();
    KbBegin(FairnessName, "per mille", 1);
    for (ULONG Run = 0; Run < CONTEND_RUNS; Run++)
    {
        KbSample(Fairness[Run]);
    }
    KbEnd();
}

static VOID ContendTicket(VOID)
{
    MeasureContention("ticket-2", "ticket-2-fair", 2, FALSE);
    MeasureContention("ticket-4", "ticket-4-fair", 4, FALSE);
    MeasureContention("ticket-16", "ticket-16-fair", 16, FALSE);
}

static VOID ContendQueued(VOID)
{
    MeasureContention("queued-2", "queued-2-fair", 2, TRUE);
    MeasureContention("queued-4", "queued-4-fair", 4, TRUE);
    MeasureContention("queued-16", "queued-16-fair", 16, TRUE);
}

static const KB_BENCH Benches[] = {
    {"spin-pair", SpinPair, 1},           {"spin-pair-dpc", SpinPairAtDpcLevel, 1},
    {"queued-pair", QueuedPair, 1},       {"contend-ticket", ContendTicket, 2},
    {"contend-queued", ContendQueued, 2},
};

KB_DEFINE_GROUP(KbLockGroup, Benches);
