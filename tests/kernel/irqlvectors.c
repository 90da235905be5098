/* SPDX-License-Identifier: MIT */
/*
 * irqlvectors.c - every vector, at every IRQL, from here and from elsewhere: while this processor's
 * IRQL is at its class or above it is held back, and afterwards it arrives, once, in order, soon.
 * Laws L2, L3; regression R-k.
 */
#include "trapkit.h"

#include <ex.h>
#include <mi.h>

#define LEVELS (HIGH_LEVEL + 1)
#define ARRIVAL_LIMIT KT_SECONDS(10)
#define LOOKS 8 /* times that a vector held back is looked for */
#define TAG_VECTORS 'tceV'

/* What has arrived on one processor: written by its own interrupts; Level by its own test code. */
typedef struct DECLSPEC_ALIGN(64) _ARRIVALS
{
    volatile LONG Level; /* nothing of this class or below may arrive */
    volatile LONG Total;
    volatile LONG Count[VECTOR_COUNT];
    volatile ULONG64 When[VECTOR_COUNT]; /* TSC */
    volatile UCHAR Order[VECTOR_COUNT];  /* the first so many since Total was reset */
    ULONG64 LongestDelay;                /* TSC ticks from lowering to arrival */
} ARRIVALS, *PARRIVALS;

static PARRIVALS Arrivals;

static PARRIVALS ArrivalsHere(VOID)
{
    return &Arrivals[KeGetCurrentProcessorIndex()];
}

/* ------------------------------------------------------------------ The handler. */

static BOOLEAN IsOnIsrStack(PVOID Address)
{
    PKI_PROCESSOR Here = CONTAINING_RECORD(KiGetCurrentPrcb(), KI_PROCESSOR, Prcb);

    return (PUCHAR)Address < (PUCHAR)Here->Pcr.IsrStack &&
           (PUCHAR)Address >= (PUCHAR)Here->Pcr.IsrStack - MI_KERNEL_STACK_SIZE;
}

/* APC and DISPATCH have had their EOI (R-k) and stay on the stack they interrupted; all others have
 * their EOI to come and a stack of their own. */
static VOID CheckSurroundings(PKTRAP_FRAME Frame, PARRIVALS Here)
{
    ULONG Vector = (ULONG)Frame->Vector;
    BOOLEAN Software = Vector == APC_VECTOR || Vector == DISPATCH_VECTOR;
    LONG Class = VECTOR_IRQL(Vector);

    KT_CHECK(Class > Here->Level, "vector %02x arrived at IRQL %d", Vector, Here->Level);
    KT_CHECK((LONG)Frame->PreviousIrql < Class, "vector %02x interrupted IRQL %llu", Vector,
             Frame->PreviousIrql);
    KT_CHECK(KeGetCurrentIrql() == Class, "vector %02x runs at IRQL %u", Vector,
             KeGetCurrentIrql());
    KT_CHECK(IsOnIsrStack(&Software) == (!Software || IsOnIsrStack(Frame)),
             "vector %02x runs on stack %p", Vector, (PVOID)&Software);
    KT_CHECK((__readeflags() & EFLAGS_IF) != 0, "vector %02x runs with interrupts off", Vector);
    KT_CHECK(HalpIsInService(Vector) == !Software, "vector %02x: in service %u", Vector,
             HalpIsInService(Vector));
}

static VOID RecordArrival(PKTRAP_FRAME Frame)
{
    PARRIVALS Here = ArrivalsHere();
    ULONG Vector = (ULONG)Frame->Vector;
    LONG Slot = InterlockedIncrement(&Here->Total) - 1;

    if (Slot < VECTOR_COUNT)
    {
        Here->Order[Slot] = (UCHAR)Vector;
    }
    Here->When[Vector] = __rdtsc();
    CheckSurroundings(Frame, Here);
    KtChainVector(Frame);
    InterlockedIncrement(&Here->Count[Vector]);
}

/* ------------------------------------------------------------------ One vector at a time. */

static VOID CheckHeldBack(PARRIVALS Here, ULONG Vector, LONG Before)
{
    KT_CHECK(KtWaitRequested(Vector), "vector %02x was sent and is not requested", Vector);
    for (ULONG Look = 0; Look < LOOKS; Look++)
    {
        KT_CHECK(KtIsRequested(Vector) && Here->Count[Vector] == Before,
                 "vector %02x is not held back at IRQL %d", Vector, Here->Level);
        YieldProcessor();
    }
}

/* Since: when it was let in; 0 if its delay says nothing. */
static VOID CheckArrived(PARRIVALS Here, ULONG Vector, LONG Before, ULONG64 Since)
{
    KT_CHECK(KtWaitFor(&Here->Count[Vector], Before + 1, ARRIVAL_LIMIT),
             "vector %02x does not arrive", Vector);
    KT_CHECK(Here->Count[Vector] == Before + 1 || KtArrivesByItself(Vector),
             "vector %02x arrived %d times", Vector, Here->Count[Vector] - Before);
    if (Since != 0 && Here->When[Vector] - Since > Here->LongestDelay)
    {
        Here->LongestDelay = Here->When[Vector] - Since;
    }
}

static VOID TryVector(PARRIVALS Here, ULONG Processor, KIRQL Level, ULONG Vector)
{
    LONG Before;
    ULONG64 Since;
    KIRQL Old;

    KeRaiseIrql(Level, &Old);
    Here->Level = Level;
    Before = Here->Count[Vector];
    Since = __rdtsc();
    HalpSendIpi(Processor, Vector);
    if (VECTOR_IRQL(Vector) > Level)
    {
        CheckArrived(Here, Vector, Before, Since);
    }
    else
    {
        CheckHeldBack(Here, Vector, Before);
    }
    Here->Level = PASSIVE_LEVEL;
    Since = __rdtsc();
    KeLowerIrql(Old);
    if (VECTOR_IRQL(Vector) <= Level)
    {
        CheckArrived(Here, Vector, Before, Since);
    }
}

static VOID TryEachAtEach(PVOID Context, ULONG Processor)
{
    PARRIVALS Here = ArrivalsHere();

    UNREFERENCED_PARAMETER(Context);
    for (ULONG Level = PASSIVE_LEVEL; Level < LEVELS; Level++)
    {
        for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR && !KtHasFailed(); Vector++)
        {
            if (Vector != SPURIOUS_VECTOR)
            {
                TryVector(Here, Processor, (KIRQL)Level, Vector);
            }
        }
    }
    KT_CHECK(KtCountInService() == 0, "%u vectors stay in service", KtCountInService());
}

/* ------------------------------------------------------------------ Many at once. */

#define BATCH 12
#define BATCH_ROUNDS 60

/* Everything in Order between From and To is in falling order. */
static VOID CheckOrder(PARRIVALS Here)
{
    LONG Total = Here->Total < VECTOR_COUNT ? Here->Total : VECTOR_COUNT;
    ULONG Last = VECTOR_COUNT;

    for (LONG Slot = 0; Slot < Total; Slot++)
    {
        ULONG Vector = Here->Order[Slot];

        if (!KtArrivesByItself(Vector))
        {
            KT_CHECK(Vector < Last, "vector %02x came after %02x", Vector, Last);
            Last = Vector;
        }
    }
}

/* How many of the vectors that were sent (Sent[v]) have a class above Level. */
static LONG CountAbove(const BOOLEAN Sent[VECTOR_COUNT], ULONG Level)
{
    LONG Count = 0;

    for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
    {
        Count += Sent[Vector] && VECTOR_IRQL(Vector) > Level;
    }
    return Count;
}

static LONG CountArrived(PARRIVALS Here, const BOOLEAN Sent[VECTOR_COUNT])
{
    LONG Count = 0;

    for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
    {
        Count += Sent[Vector] && Here->Count[Vector] != 0;
    }
    return Count;
}

static BOOLEAN WaitArrived(PARRIVALS Here, const BOOLEAN Sent[VECTOR_COUNT], LONG Wanted)
{
    ULONG64 End = KtNow() + ARRIVAL_LIMIT;

    while (CountArrived(Here, Sent) < Wanted)
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
        YieldProcessor();
    }
    return TRUE;
}

/* From HIGH_LEVEL, with everything in Sent requested: down in random steps. Clock and DISPATCH come
 * by themselves too, so they are never in Sent. */
static VOID LowerStepwise(PARRIVALS Here, const BOOLEAN Sent[VECTOR_COUNT], PKT_RANDOM Random)
{
    ULONG Level = HIGH_LEVEL;

    while (Level != PASSIVE_LEVEL)
    {
        Level -= 1 + KtRandom(Random) % Level;
        Here->Level = (LONG)Level;
        KeLowerIrql((KIRQL)Level);
        KT_CHECK(WaitArrived(Here, Sent, CountAbove(Sent, Level)), "lowered to %u: %d of %d came",
                 Level, CountArrived(Here, Sent), CountAbove(Sent, Level));
        KT_CHECK(CountArrived(Here, Sent) == CountAbove(Sent, Level),
                 "lowered to %u: %d came, expected %d", Level, CountArrived(Here, Sent),
                 CountAbove(Sent, Level));
    }
}

static VOID ResetArrivals(PARRIVALS Here)
{
    for (ULONG Vector = 0; Vector < VECTOR_COUNT; Vector++)
    {
        Here->Count[Vector] = 0;
    }
    Here->Total = 0;
}

static VOID TryBatches(PVOID Context, ULONG Processor)
{
    PARRIVALS Here = ArrivalsHere();
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    for (ULONG Round = 0; Round < BATCH_ROUNDS && !KtHasFailed(); Round++)
    {
        BOOLEAN Sent[VECTOR_COUNT] = {FALSE};
        KIRQL Old;

        KeRaiseIrql(HIGH_LEVEL, &Old);
        Here->Level = HIGH_LEVEL;
        ResetArrivals(Here);
        for (ULONG Index = 0; Index < BATCH; Index++)
        {
            ULONG Vector = KT_FIRST_VECTOR +
                           KtRandom(&Random) % (KT_LAST_VECTOR - KT_FIRST_VECTOR + 1);

            if (Vector != SPURIOUS_VECTOR && !KtArrivesByItself(Vector))
            {
                Sent[Vector] = TRUE;
                HalpSendIpi(Processor, Vector);
                KT_CHECK(KtWaitRequested(Vector), "vector %02x is not requested", Vector);
            }
        }
        LowerStepwise(Here, Sent, &Random);
        CheckOrder(Here);
    }
}

/* ------------------------------------------------------------------ From elsewhere: processor 0 is
 * the target, and each other one sends it everything, at IRQLs First, First + Stride and so on;
 * with few processors at all of them. */

typedef struct _BARRAGE
{
    LONG First, Stride;
    volatile LONG Wanted; /* IRQL + 1 that the target is ready at */
    volatile LONG Sent;   /* IRQL + 1 that the sender has sent at */
} BARRAGE, *PBARRAGE;

static BOOLEAN IsSent(ULONG Vector)
{
    return Vector != SPURIOUS_VECTOR && !KtArrivesByItself(Vector);
}

static VOID SendBarrages(PVOID Context, ULONG Processor)
{
    PBARRAGE Barrage = Context;

    UNREFERENCED_PARAMETER(Processor);
    for (LONG Round = Barrage->First + 1; Round <= LEVELS; Round += Barrage->Stride)
    {
        if (!KtWaitFor(&Barrage->Wanted, Round, ARRIVAL_LIMIT * 3))
        {
            return; /* the target says why */
        }
        for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
        {
            if (IsSent(Vector))
            {
                HalpSendIpi(0, Vector);
            }
        }
        WriteRelease(&Barrage->Sent, Round);
    }
}

/* All that Level holds back is requested, and nothing of it has arrived. */
static VOID CheckAllHeldBack(PARRIVALS Here, KIRQL Level)
{
    for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
    {
        if (IsSent(Vector) && VECTOR_IRQL(Vector) <= Level)
        {
            CheckHeldBack(Here, Vector, 0);
        }
    }
}

static VOID TakeBarrage(PBARRAGE Barrage, KIRQL Level, const BOOLEAN Sent[VECTOR_COUNT])
{
    PARRIVALS Here = ArrivalsHere();
    ULONG64 Since;
    KIRQL Old;

    KeRaiseIrql(Level, &Old);
    Here->Level = Level;
    ResetArrivals(Here);
    WriteRelease(&Barrage->Wanted, Level + 1);
    KT_CHECK(KtWaitFor(&Barrage->Sent, Level + 1, ARRIVAL_LIMIT), "the sender is stuck");
    KT_CHECK(WaitArrived(Here, Sent, CountAbove(Sent, Level)), "at IRQL %u %d of %d came", Level,
             CountArrived(Here, Sent), CountAbove(Sent, Level));
    CheckAllHeldBack(Here, Level);
    Here->Total = 0;
    Here->Level = PASSIVE_LEVEL;
    Since = __rdtsc();
    KeLowerIrql(Old);
    for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
    {
        if (Sent[Vector])
        {
            CheckArrived(Here, Vector, 0, VECTOR_IRQL(Vector) <= Level ? Since : 0);
        }
    }
    CheckOrder(Here);
}

static VOID TakeBarrages(VOID)
{
    BOOLEAN Sent[VECTOR_COUNT] = {FALSE};

    for (ULONG Vector = KT_FIRST_VECTOR; Vector <= KT_LAST_VECTOR; Vector++)
    {
        Sent[Vector] = IsSent(Vector);
    }
    for (ULONG Sender = 1; Sender < KtProcessors() && !KtHasFailed(); Sender++)
    {
        LONG Stride = 1 + (LONG)KtProcessors() / 4;
        BARRAGE Barrage = {(LONG)Sender % Stride, Stride, 0, 0};
        KT_JOB Job;

        KtStart(&Job, Sender, SendBarrages, &Barrage);
        for (LONG Level = Barrage.First; Level < LEVELS; Level += Stride)
        {
            TakeBarrage(&Barrage, (KIRQL)Level, Sent);
        }
        KtJoin(&Job);
    }
}

/* ------------------------------------------------------------------ The cases. */

static BOOLEAN TakeAll(VOID)
{
    Arrivals = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
                               KtProcessors() * sizeof(ARRIVALS), TAG_VECTORS);
    KT_CHECK(Arrivals != NULL, "no memory");
    if (Arrivals != NULL)
    {
        KtTakeVectors(RecordArrival);
    }
    return Arrivals != NULL;
}

static VOID GiveAll(VOID)
{
    ULONG64 Longest = 0;

    KtGiveVectors();
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        Longest = Arrivals[Index].LongestDelay > Longest ? Arrivals[Index].LongestDelay : Longest;
    }
    if (Longest != 0)
    {
        KtNote("longest delay %llu us", KtTicksToMicroseconds(Longest));
    }
    ExFreePoolWithTag(Arrivals, TAG_VECTORS);
}

static VOID EachVectorAtEachLevel(VOID)
{
    if (TakeAll())
    {
        KtParallel(TryEachAtEach, NULL);
        GiveAll();
    }
}

static VOID HighestFirst(VOID)
{
    if (TakeAll())
    {
        KtParallel(TryBatches, NULL);
        GiveAll();
    }
}

static VOID FromElsewhere(VOID)
{
    if (TakeAll())
    {
        TakeBarrages();
        GiveAll();
    }
}

static const KT_CASE Cases[] = {
    {"irql-L2-each-vector-at-each-level", EachVectorAtEachLevel, 0, FALSE},
    {"irql-L2-from-another-cpu", FromElsewhere, 2, FALSE},
    {"irql-L3-highest-first", HighestFirst, 0, FALSE},
};

KT_DEFINE_SUITE(KtIrqlVectorSuite, "ke", Cases);
