/* SPDX-License-Identifier: MIT */
/*
 * spinhalt.c - who waits halted for a spin lock is woken for his turn. Law L17.
 *
 * The waiters wait at CLOCK_LEVEL, where no tick ends the halt by chance: only the interrupt that
 * the releaser sends does. One that is forgotten is rescued by the same interrupt, sent by the test,
 * so that a broken kernel fails the case and no more.
 */
#include <io.h>
#include <spinlock.h>

#include "trapkit.h"

#define LIMIT KT_SECONDS(10)
#define PATIENCE KT_SECONDS(3) /* from here on a waiter counts as forgotten */
#define ROUNDS 20
#define DEVICE_IRQL 7

static KSPIN_LOCK Lock DECLSPEC_ALIGN(64);
static KT_JOB Jobs[MAXIMUM_PROCESSORS];

static BOOLEAN LocksHalt(VOID)
{
    if (!KiLocksHalt)
    {
        KtSkip("waiters do not halt");
    }
    return KiLocksHalt;
}

static BOOLEAN IsAnnounced(ULONG Processor, PKSPIN_LOCK Awaited)
{
    return ReadPointerAcquire(&KiProcessorBlock[Processor]->Awaited.Lock) == (PKI_SPIN_LOCK)Awaited;
}

/* TRUE when that processor has said that it halts for that lock. */
static BOOLEAN AwaitAnnounced(ULONG Processor, PKSPIN_LOCK Awaited)
{
    ULONG64 End = KtNow() + LIMIT;

    while (!IsAnnounced(Processor, Awaited))
    {
        if (KtNow() > End)
        {
            KT_CHECK(FALSE, "CPU %u does not halt for %p", Processor, Awaited);
            return FALSE;
        }
        YieldProcessor();
    }
    KeStallExecutionProcessor(20); /* from saying so to the HLT */
    return TRUE;
}

/* Wakes all others until *Value is what it must be. */
static VOID Rescue(volatile LONG *Value, LONG Wanted)
{
    while (!KtWaitFor(Value, Wanted, KT_MILLISECONDS(20)))
    {
        for (ULONG Index = 1; Index < KtProcessors(); Index++)
        {
            HalpSendIpi(Index, IPI_VECTOR);
        }
    }
}

/* ------------------------------------------------------------------ One waiter. */

typedef struct _WAITER
{
    volatile LONG Waits; /* it is about to wait */
    volatile LONG Got;
} WAITER;

static WAITER Waiter;

static VOID WaitAtClockLevel(PVOID Context, ULONG Processor)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    KeRaiseIrql(CLOCK_LEVEL, &OldIrql);
    WriteRelease(&Waiter.Waits, TRUE);
    KeAcquireSpinLockAtDpcLevel(&Lock);
    WriteRelease(&Waiter.Got, TRUE);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    KeLowerIrql(OldIrql);
}

/* Halted: released when the waiter has said so; else after so many microseconds. */
static VOID HandOver(BOOLEAN Halted, ULONG Microseconds)
{
    BOOLEAN InTime;
    KIRQL OldIrql;

    Waiter.Waits = Waiter.Got = FALSE;
    KeAcquireSpinLock(&Lock, &OldIrql);
    KtStart(&Jobs[1], 1, WaitAtClockLevel, NULL);
    if (Halted)
    {
        AwaitAnnounced(1, &Lock);
    }
    else
    {
        KtWaitFor(&Waiter.Waits, TRUE, LIMIT);
        KeStallExecutionProcessor(Microseconds);
    }
    KeReleaseSpinLock(&Lock, OldIrql);
    InTime = KtWaitFor(&Waiter.Got, TRUE, PATIENCE);
    KT_CHECK(InTime, "nobody has woken CPU 1 for its turn");
    Rescue(&Waiter.Got, TRUE);
    KtJoin(&Jobs[1]);
    KT_CHECK(IsAnnounced(1, NULL), "CPU 1 still says that it halts");
}

static VOID WokenForItsTurn(VOID)
{
    KeInitializeSpinLock(&Lock);
    for (ULONG Round = 0; Round < ROUNDS && LocksHalt() && !KtHasFailed(); Round++)
    {
        HandOver(TRUE, 0);
    }
}

static VOID ReleasedWhileHalting(VOID)
{
    ULONG64 End = KtNow() + 3 * KtBudget();
    KT_RANDOM Random;

    KtSeed(&Random, 1);
    KeInitializeSpinLock(&Lock);
    for (ULONG Round = 0; (Round < ROUNDS || KtNow() < End) && LocksHalt() && !KtHasFailed();
         Round++)
    {
        HandOver(FALSE, (ULONG)(KtRandom(&Random) >> 32) % 200);
    }
}

/* ------------------------------------------------------------------ All others halt for one lock,
 * and get it one after another, each woken by the one before. */

static ULONG Order[MAXIMUM_PROCESSORS]; /* guarded by Lock */
static volatile LONG Passed;            /* the same */

static VOID PassAtClockLevel(PVOID Context, ULONG Processor)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(CLOCK_LEVEL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&Lock);
    Order[Passed] = Processor;
    WriteRelease(&Passed, Passed + 1);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    KeLowerIrql(OldIrql);
}

static VOID AllInTurn(VOID)
{
    LONG Others = (LONG)KtProcessors() - 1;
    BOOLEAN InTime;
    KIRQL OldIrql;

    if (!LocksHalt())
    {
        return;
    }
    KeInitializeSpinLock(&Lock);
    Passed = 0;
    KeAcquireSpinLock(&Lock, &OldIrql);
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KtStart(&Jobs[Index], Index, PassAtClockLevel, NULL);
        AwaitAnnounced(Index, &Lock); /* so they draw in this order */
    }
    KeReleaseSpinLock(&Lock, OldIrql);
    InTime = KtWaitFor(&Passed, Others, PATIENCE);
    KT_CHECK(InTime, "%d of %d had their turns", Passed, Others);
    Rescue(&Passed, Others);
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KtJoin(&Jobs[Index]);
        KT_CHECK(Order[Index - 1] == Index, "turn %u: CPU %u", Index - 1, Order[Index - 1]);
    }
}

/* ------------------------------------------------------------------ Halted in an ISR, upon a halted
 * waiter for another lock. */

static KSPIN_LOCK Inner DECLSPEC_ALIGN(64);
static volatile LONG InnerGot;

static BOOLEAN TakeInner(PKINTERRUPT Interrupt, PVOID Context)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(CLOCK_LEVEL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&Inner);
    InnerGot++;
    KeReleaseSpinLockFromDpcLevel(&Inner);
    KeLowerIrql(OldIrql);
    return TRUE;
}

static VOID TakeOuter(PVOID Context, ULONG Processor)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    KeAcquireSpinLock(&Lock, &OldIrql);
    WriteRelease(&Waiter.Got, TRUE);
    KeReleaseSpinLock(&Lock, OldIrql);
}

/* Both are held here; they are given back in one order or the other. */
static VOID Nest(ULONG Vector, BOOLEAN OuterFirst)
{
    BOOLEAN InTime;
    KIRQL OldIrql;

    Waiter.Got = InnerGot = 0;
    KeAcquireSpinLock(&Lock, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&Inner);
    KtStart(&Jobs[1], 1, TakeOuter, NULL);
    AwaitAnnounced(1, &Lock);
    HalpSendIpi(1, Vector);
    AwaitAnnounced(1, &Inner);
    if (OuterFirst)
    {
        KeReleaseSpinLockFromDpcLevel(&Lock);
        KeStallExecutionProcessor(50);
        KT_CHECK(!Waiter.Got, "CPU 1 goes on below its ISR");
    }
    KeReleaseSpinLockFromDpcLevel(&Inner);
    InTime = KtWaitFor(&InnerGot, 1, PATIENCE);
    KT_CHECK(InTime, "nobody has woken CPU 1 in its ISR");
    Rescue(&InnerGot, 1);
    if (!OuterFirst)
    {
        AwaitAnnounced(1, &Lock);
        KT_CHECK(!Waiter.Got, "CPU 1 goes on without the lock");
        KeReleaseSpinLockFromDpcLevel(&Lock);
    }
    KeLowerIrql(OldIrql);
    KT_CHECK(KtWaitFor(&Waiter.Got, TRUE, PATIENCE), "CPU 1 never gets the outer lock");
    Rescue(&Waiter.Got, TRUE);
    KtJoin(&Jobs[1]);
    KT_CHECK(IsAnnounced(1, NULL), "CPU 1 still says that it halts");
}

static VOID NestedInIsr(VOID)
{
    ULONG Vector = KtUnusedVector(DEVICE_IRQL, 0);
    PKINTERRUPT Interrupt;

    if (!LocksHalt())
    {
        return;
    }
    KeInitializeSpinLock(&Lock);
    KeInitializeSpinLock(&Inner);
    Interrupt = KtConnect(Vector, DEVICE_IRQL, NULL, LevelSensitive, FALSE, TakeInner, NULL);
    if (Interrupt == NULL)
    {
        return;
    }
    for (ULONG Round = 0; Round < ROUNDS && !KtHasFailed(); Round++)
    {
        Nest(Vector, Round % 2 == 0);
    }
    IoDisconnectInterrupt(Interrupt);
}

/* ------------------------------------------------------------------ Where nothing could end the
 * halt, a waiter spins. */

static const struct
{
    KIRQL Irql;
    BOOLEAN InterruptsOff;
} Deaf[] = {{DISPATCH_LEVEL, TRUE}, {IPI_LEVEL, FALSE}, {HIGH_LEVEL, FALSE}};

static VOID WaitDeaf(PVOID Context, ULONG Processor)
{
    ULONG Case = *(PULONG)Context;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Processor);
    KeRaiseIrql(Deaf[Case].Irql, &OldIrql);
    if (Deaf[Case].InterruptsOff)
    {
        _disable();
    }
    WriteRelease(&Waiter.Waits, TRUE);
    KeAcquireSpinLockAtDpcLevel(&Lock);
    WriteRelease(&Waiter.Got, TRUE);
    KT_CHECK(((__readeflags() & EFLAGS_IF) == 0) == Deaf[Case].InterruptsOff,
             "the wait changed the interrupt flag");
    KeReleaseSpinLockFromDpcLevel(&Lock);
    if (Deaf[Case].InterruptsOff)
    {
        _enable();
    }
    KeLowerIrql(OldIrql);
}

static VOID DeafWaitersSpin(VOID)
{
    KeInitializeSpinLock(&Lock);
    for (ULONG Case = 0; Case < RTL_NUMBER_OF(Deaf); Case++)
    {
        ULONG64 End;
        KIRQL OldIrql;

        Waiter.Waits = Waiter.Got = FALSE;
        KeAcquireSpinLock(&Lock, &OldIrql);
        KtStart(&Jobs[1], 1, WaitDeaf, &Case);
        KtWaitFor(&Waiter.Waits, TRUE, LIMIT);
        for (End = KtNow() + KT_MILLISECONDS(2); KtNow() < End;)
        {
            KT_CHECK(!IsAnnounced(1, &Lock), "case %u: halted where nothing would wake it", Case);
        }
        KeReleaseSpinLock(&Lock, OldIrql);
        KT_CHECK(KtWaitFor(&Waiter.Got, TRUE, LIMIT), "case %u: it never gets the lock", Case);
        KtJoin(&Jobs[1]);
    }
}

static const KT_CASE Cases[] = {
    {"spinhalt-L17-woken-for-its-turn", WokenForItsTurn, 2, FALSE},
    {"spinhalt-L17-released-while-halting", ReleasedWhileHalting, 2, FALSE},
    {"spinhalt-L17-all-in-turn", AllInTurn, 2, FALSE},
    {"spinhalt-L17-nested-in-isr", NestedInIsr, 2, FALSE},
    {"spinhalt-deaf-waiters-spin", DeafWaitersSpin, 2, FALSE},
};

KT_DEFINE_SUITE(KtSpinHaltSuite, "ke", Cases);
