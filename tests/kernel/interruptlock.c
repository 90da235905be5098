/* SPDX-License-Identifier: MIT */
/*
 * interruptlock.c - an ISR, KeSynchronizeExecution, KeAcquireInterruptSpinLock and every other ISR
 * that shares the lock exclude one another, on one processor and between processors; a higher DIRQL
 * interrupts a lower one and nothing else does. Laws L35, L42.
 */
#include "trapkit.h"

#include <ex.h>
#include <io.h>

#define ARRIVAL_LIMIT KT_SECONDS(10)

/* ------------------------------------------------------------------ L35: two interrupts with one
 * lock, of IRQLs 5 and 9, so both synchronize at 9. */

#define LOW_IRQL 5
#define HIGH_IRQL 9
#define STATE_WORDS 8
#define MINIMUM_OF_EACH 3

typedef enum _VISITOR
{
    VisitorLowIsr,
    VisitorHighIsr,
    VisitorSynchronized,
    VisitorHolder,
    VisitorKinds
} VISITOR;

typedef struct _STATE_AREA
{
    KSPIN_LOCK Lock;
    PKINTERRUPT Low, High;
    ULONG LowVector, HighVector;
    volatile LONG Inside;             /* must be 1 for each visitor */
    volatile LONG Words[STATE_WORDS]; /* all equal while nobody is inside */
    volatile LONG Visits[VisitorKinds];
    ULONG64 End;
} STATE_AREA, *PSTATE_AREA;

/* Changes all words, slowly enough for another visitor to be seen. */
static VOID VisitState(PSTATE_AREA Area, VISITOR Visitor)
{
    LONG Others = InterlockedIncrement(&Area->Inside) - 1;
    LONG Value = Area->Words[0];

    KT_CHECK(Others == 0, "visitor %d found %d others inside", Visitor, Others);
    KT_CHECK(KeGetCurrentIrql() == HIGH_IRQL, "visitor %d at IRQL %u", Visitor, KeGetCurrentIrql());
    for (ULONG Word = 0; Word < STATE_WORDS; Word++)
    {
        KT_CHECK(Area->Words[Word] == Value, "visitor %d: word %u is %d, word 0 %d", Visitor, Word,
                 Area->Words[Word], Value);
        Area->Words[Word] = Value + 1;
        for (ULONG Pause = 0; Pause < 20; Pause++)
        {
            YieldProcessor();
        }
    }
    Area->Visits[Visitor]++;
    InterlockedDecrement(&Area->Inside);
}

static BOOLEAN LowIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    VisitState(Context, VisitorLowIsr);
    return TRUE;
}

static BOOLEAN HighIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    VisitState(Context, VisitorHighIsr);
    return TRUE;
}

static BOOLEAN VisitSynchronized(PVOID Context)
{
    VisitState(Context, VisitorSynchronized);
    return TRUE;
}

static VOID VisitHolding(PSTATE_AREA Area, PKINTERRUPT Interrupt)
{
    KIRQL Old = KeAcquireInterruptSpinLock(Interrupt);

    VisitState(Area, VisitorHolder);
    KeReleaseInterruptSpinLock(Interrupt, Old);
}

static BOOLEAN VisitedEnough(PSTATE_AREA Area)
{
    for (ULONG Kind = 0; Kind < VisitorKinds; Kind++)
    {
        if (ReadNoFence(&Area->Visits[Kind]) < MINIMUM_OF_EACH)
        {
            return FALSE;
        }
    }
    return TRUE;
}

static VOID VisitAtRandom(PVOID Context, ULONG Processor)
{
    PSTATE_AREA Area = Context;
    KT_RANDOM Random;
    ULONG Rounds = Processor;

    KtSeed(&Random, Processor);
    do
    {
        ULONG Target = (ULONG)(KtRandom(&Random) % KtProcessors());
        PKINTERRUPT Interrupt = KtRandom(&Random) % 2 ? Area->Low : Area->High;

        switch (Rounds++ % VisitorKinds)
        {
        case VisitorLowIsr:
            HalpSendIpi(Target, Area->LowVector);
            break;
        case VisitorHighIsr:
            HalpSendIpi(Target, Area->HighVector);
            break;
        case VisitorSynchronized:
            KeSynchronizeExecution(Interrupt, VisitSynchronized, Area);
            break;
        default:
            VisitHolding(Area, Interrupt);
            break;
        }
    } while ((KtNow() < Area->End || !VisitedEnough(Area)) && !KtHasFailed());
}

static VOID CheckVisits(PSTATE_AREA Area)
{
    LONG Sum = 0;

    for (ULONG Kind = 0; Kind < VisitorKinds; Kind++)
    {
        KT_CHECK(Area->Visits[Kind] >= MINIMUM_OF_EACH, "kind %u visited %d times", Kind,
                 Area->Visits[Kind]);
        Sum += Area->Visits[Kind];
    }
    for (ULONG Word = 0; Word < STATE_WORDS; Word++)
    {
        KT_CHECK(Area->Words[Word] == Sum, "word %u is %d after %d visits", Word, Area->Words[Word],
                 Sum);
    }
    KtNote("%d visits", Sum);
}

static VOID ExcludeOneAnother(VOID)
{
    static STATE_AREA Area;

    RtlZeroMemory(&Area, sizeof(Area));
    Area.LowVector = KtUnusedVector(LOW_IRQL, 0);
    Area.HighVector = KtUnusedVector(HIGH_IRQL, 0);
    Area.Low = KtConnect(Area.LowVector, HIGH_IRQL, &Area.Lock, LevelSensitive, FALSE, LowIsr,
                         &Area);
    Area.High = KtConnect(Area.HighVector, HIGH_IRQL, &Area.Lock, LevelSensitive, FALSE, HighIsr,
                          &Area);
    KT_REQUIRE(Area.Low != NULL && Area.High != NULL, "not connected");
    Area.End = KtNow() + KtBudget();
    KtParallel(VisitAtRandom, &Area);
    IoDisconnectInterrupt(Area.Low);
    IoDisconnectInterrupt(Area.High);
    CheckVisits(&Area);
}

/* ------------------------------------------------------------------ L42: nesting on one processor;
 * each processor in turn. */

#define MIDDLE_IRQL 7

typedef enum _NESTED
{
    NestedLow,
    NestedMiddle,
    NestedSecondMiddle, /* another vector of the middle one's class */
    NestedHigh,
    NestedKinds
} NESTED;

typedef struct _NEST
{
    ULONG Vectors[NestedKinds];
    PKINTERRUPT Interrupts[NestedKinds];
    volatile LONG Runs[NestedKinds];
    volatile LONG Inside[NestedKinds];
} NEST, *PNEST;

static NEST Nest;

static VOID SendNested(NESTED Kind)
{
    HalpSendIpi(KeGetCurrentProcessorIndex(), Nest.Vectors[Kind]);
}

/* Kind is requested here and does not come in. */
static VOID CheckStaysOut(NESTED Kind, LONG Runs)
{
    KT_CHECK(KtWaitRequested(Nest.Vectors[Kind]), "kind %d is not requested", Kind);
    KT_CHECK(Nest.Runs[Kind] == Runs && Nest.Inside[Kind] == 0, "kind %d came in", Kind);
}

static BOOLEAN HighNested(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KT_CHECK(Nest.Inside[NestedMiddle] == 1, "the high ISR did not interrupt the middle one");
    InterlockedIncrement(&Nest.Runs[NestedHigh]);
    return TRUE;
}

static BOOLEAN SecondMiddleNested(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KT_CHECK(Nest.Inside[NestedMiddle] == 0, "an ISR interrupted another of its class");
    InterlockedIncrement(&Nest.Runs[NestedSecondMiddle]);
    return TRUE;
}

/* The higher comes in; its own class and the lower wait. */
static BOOLEAN MiddleNested(PKINTERRUPT Interrupt, PVOID Context)
{
    LONG Low = Nest.Runs[NestedLow], Second = Nest.Runs[NestedSecondMiddle];

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KT_CHECK(Nest.Inside[NestedLow] == 1, "the middle ISR did not interrupt the low one");
    Nest.Inside[NestedMiddle]++;
    SendNested(NestedLow);
    SendNested(NestedSecondMiddle);
    SendNested(NestedHigh);
    KT_CHECK(KtWaitFor(&Nest.Runs[NestedHigh], Nest.Runs[NestedMiddle] + 1, ARRIVAL_LIMIT),
             "the high ISR does not come in");
    KT_CHECK(KtWaitRequested(Nest.Vectors[NestedLow]) && Nest.Runs[NestedLow] == Low,
             "the low ISR came in");
    CheckStaysOut(NestedSecondMiddle, Second);
    Nest.Inside[NestedMiddle]--;
    InterlockedIncrement(&Nest.Runs[NestedMiddle]);
    return TRUE;
}

/* Every other time it was the middle one that sent this. */
static BOOLEAN LowNested(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    if (Nest.Runs[NestedLow] % 2 == 0)
    {
        Nest.Inside[NestedLow]++;
        SendNested(NestedMiddle);
        KT_CHECK(
            KtWaitFor(&Nest.Runs[NestedSecondMiddle], Nest.Runs[NestedLow] / 2 + 1, ARRIVAL_LIMIT),
            "the middle ISRs do not come in");
        Nest.Inside[NestedLow]--;
    }
    InterlockedIncrement(&Nest.Runs[NestedLow]);
    return TRUE;
}

static VOID NestHere(PVOID Context, ULONG Processor)
{
    LONG Before = Nest.Runs[NestedLow];

    UNREFERENCED_PARAMETER(Context);
    SendNested(NestedLow);
    KT_CHECK(KtWaitFor(&Nest.Runs[NestedLow], Before + 2, ARRIVAL_LIMIT),
             "CPU %u: the low ISR ran %d of 2 times", Processor, Nest.Runs[NestedLow] - Before);
    KT_CHECK(KtCountInService() == 0, "CPU %u: %u vectors stay in service", Processor,
             KtCountInService());
}

/* Connects the four kinds; FALSE, and the case has failed, if that cannot be. */
static BOOLEAN ConnectNest(const KIRQL Irqls[NestedKinds], KIRQL LowSynchronizeIrql,
                           const PKSERVICE_ROUTINE Routines[NestedKinds])
{
    BOOLEAN Connected = TRUE;

    RtlZeroMemory(&Nest, sizeof(Nest));
    for (ULONG Kind = 0; Kind < NestedKinds; Kind++)
    {
        KIRQL SynchronizeIrql = Kind == NestedLow ? LowSynchronizeIrql : Irqls[Kind];

        Nest.Vectors[Kind] = KtUnusedVector(Irqls[Kind], Kind == NestedSecondMiddle);
        Nest.Interrupts[Kind] = KtConnect(Nest.Vectors[Kind], SynchronizeIrql, NULL, LevelSensitive,
                                          FALSE, Routines[Kind], &Nest.Vectors[Kind]);
        Connected &= Nest.Interrupts[Kind] != NULL;
    }
    return Connected;
}

static VOID DisconnectNest(VOID)
{
    for (ULONG Kind = 0; Kind < NestedKinds; Kind++)
    {
        IoDisconnectInterrupt(Nest.Interrupts[Kind]);
    }
}

static VOID HigherInterruptsLower(VOID)
{
    static const PKSERVICE_ROUTINE Routines[NestedKinds] = {LowNested, MiddleNested,
                                                            SecondMiddleNested, HighNested};
    static const KIRQL Irqls[NestedKinds] = {LOW_IRQL, MIDDLE_IRQL, MIDDLE_IRQL, HIGH_IRQL};

    KT_REQUIRE(ConnectNest(Irqls, LOW_IRQL, Routines), "not connected");
    for (ULONG Index = 0; Index < KtProcessors() && !KtHasFailed(); Index++)
    {
        KtRunOn(Index, NestHere, NULL);
    }
    DisconnectNest();
}

/* ------------------------------------------------------------------ A SynchronizeIrql above the
 * interrupt's own IRQL holds back what lies between them while the ISR runs, and no longer. */

/* The contexts are elements of Nest.Vectors. */
static BOOLEAN ArriveBesideRaised(PKINTERRUPT Interrupt, PVOID Context)
{
    ULONG Kind = (ULONG)((PULONG)Context - Nest.Vectors);

    UNREFERENCED_PARAMETER(Interrupt);
    KT_CHECK(Nest.Inside[NestedLow] == (Kind == NestedHigh), "kind %u came too %s", Kind,
             Nest.Inside[NestedLow] ? "early" : "late");
    InterlockedIncrement(&Nest.Runs[Kind]);
    return TRUE;
}

static BOOLEAN RunRaised(PKINTERRUPT Interrupt, PVOID Context)
{
    LONG Rounds = Nest.Runs[NestedLow];

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KT_CHECK(KeGetCurrentIrql() == HIGH_IRQL, "the ISR runs at IRQL %u", KeGetCurrentIrql());
    Nest.Inside[NestedLow] = 1;
    SendNested(NestedMiddle);
    SendNested(NestedSecondMiddle);
    SendNested(NestedHigh);
    KT_CHECK(KtWaitFor(&Nest.Runs[NestedHigh], Rounds + 1, ARRIVAL_LIMIT), "nothing comes in");
    CheckStaysOut(NestedMiddle, Rounds);
    CheckStaysOut(NestedSecondMiddle, Rounds);
    Nest.Inside[NestedLow] = 0;
    InterlockedIncrement(&Nest.Runs[NestedLow]);
    return TRUE;
}

static VOID RaiseHere(PVOID Context, ULONG Processor)
{
    LONG Rounds = Nest.Runs[NestedLow];

    UNREFERENCED_PARAMETER(Context);
    SendNested(NestedLow);
    for (ULONG Kind = 0; Kind < NestedKinds; Kind++)
    {
        KT_CHECK(KtWaitFor(&Nest.Runs[Kind], Rounds + 1, ARRIVAL_LIMIT),
                 "CPU %u: kind %u does not arrive", Processor, Kind);
    }
    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u afterwards", KeGetCurrentIrql());
}

static VOID SynchronizeIrqlMasks(VOID)
{
    static const PKSERVICE_ROUTINE Routines[NestedKinds] = {RunRaised, ArriveBesideRaised,
                                                            ArriveBesideRaised, ArriveBesideRaised};
    static const KIRQL Irqls[NestedKinds] = {LOW_IRQL, MIDDLE_IRQL, HIGH_IRQL, HIGH_IRQL + 1};

    KT_REQUIRE(ConnectNest(Irqls, HIGH_IRQL, Routines), "not connected");
    for (ULONG Index = 0; Index < KtProcessors() && !KtHasFailed(); Index++)
    {
        KtRunOn(Index, RaiseHere, NULL);
    }
    DisconnectNest();
}

static const KT_CASE Cases[] = {
    {"interrupt-L35-exclude-one-another", ExcludeOneAnother, 0, FALSE},
    {"interrupt-L42-higher-interrupts-lower", HigherInterruptsLower, 0, FALSE},
    {"interrupt-L42-synchronize-irql-masks", SynchronizeIrqlMasks, 0, FALSE},
};

KT_DEFINE_SUITE(KtInterruptLockSuite, "ke", Cases);
