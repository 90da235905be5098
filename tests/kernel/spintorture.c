/* SPDX-License-Identifier: MIT */
/*
 * spintorture.c - the torture's body. Laws L9, L10, L15, L17.
 *
 * Visitors go in, find the guarded word whole (L15) and nobody else there (L9), change it part by
 * part, and leave; the IRQL is what it must be inside and afterwards (L10). While inside they send
 * themselves the device's interrupt, whose ISR queues a DPC that wants the same lock: with a right
 * lock it waits for the release. In the end the visits that were counted outside are those that
 * were counted inside.
 *
 * Everybody must get in often enough (L17). A lock that stops handing over would hang the run, so
 * processor 0's clock interrupt, which comes also to one that spins, counts ticks without a visit;
 * STALL_TICKS of them are bug check 0x101 with the words of the locks.
 */
#include "spintorture.h"

#include <arch/hal.h>
#include <clock.h>
#include <interrupt.h>
#include <twin.h>

#include "trapkit.h"

#define PARTS 8
#define DEVICE_IRQL 6
#define MINIMUM_VISITS 4        /* of each processor's thread */
#define MINIMUM_DPCS_BY_TICK 12 /* of all together: they come upon a thread anywhere */
#define WRAP_AFTER 8            /* acquisitions until the tickets of a new lock wrap */
#define LONGEST_STAY_US 16
#define CATCH_LIMIT KT_SECONDS(30) /* a lock that is no lock is caught long before */
#define STALL_TICKS 320            /* 5 s */

typedef enum _VISITOR_ORIGIN
{
    FromThread,
    FromDpc,
    FromIsr,
    OriginCount
} VISITOR_ORIGIN;

typedef struct _VISITOR
{
    KT_RANDOM Random;
    ULONG64 Visits; /* this processor, this origin only */
} VISITOR, *PVISITOR;

typedef struct DECLSPEC_ALIGN(64) _TORTURE_CPU
{
    VISITOR Visitors[OriginCount];
    ULONG64 Interrupts;  /* the ISR only */
    ULONG64 VisitsAtDpc; /* the clock only: the thread's visits when it last queued the DPC, so that
                            DPCs alone never keep the thread out */
    volatile ULONG DpcsByTick; /* the clock only: how often it did */
    KDPC Dpc;
} TORTURE_CPU, *PTORTURE_CPU;

typedef struct _TORTURE
{
    const TORTURE_KIND *Kind;
    struct _KINTERRUPT Interrupt;
    volatile LONG Violations;
    volatile LONG Stop;
    ULONG64 End;

    KSPIN_LOCK Lock DECLSPEC_ALIGN(64);

    /* Guarded by Lock, or whatever stands for it. */
    volatile ULONG Holder DECLSPEC_ALIGN(64); /* processor + 1 */
    volatile ULONG64 Parts[PARTS];

    /* Processor 0's clock interrupt only. */
    ULONG64 LastSeen DECLSPEC_ALIGN(64);
    ULONG TicksWithoutVisit;

    TORTURE_CPU Cpus[MAXIMUM_PROCESSORS];
} TORTURE;

static TORTURE Torture; /* one at a time */

#define TORTURE_CHECK(Condition, Format, ...)                                                      \
    do                                                                                             \
    {                                                                                              \
        if (!(Condition))                                                                          \
        {                                                                                          \
            InterlockedIncrement(&Torture.Violations);                                             \
            if (!Torture.Kind->Busted)                                                             \
            {                                                                                      \
                KtFail(__FILE__, __LINE__, #Condition, Format, __VA_ARGS__);                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static BOOLEAN IsOver(VOID)
{
    return ReadAcquire(&Torture.Stop) || ReadAcquire(&Torture.Violations) != 0;
}

/* ------------------------------------------------------------------ One visit. */

static VOID StayInside(ULONG Processor, PVISITOR Visitor)
{
    ULONG Disturbance = (ULONG)(KtRandom(&Visitor->Random) % (PARTS * 4));
    ULONG64 Value;

    TORTURE_CHECK(Torture.Holder == 0, "CPU %u is inside too, at IRQL %u", Torture.Holder - 1,
                  KeGetCurrentIrql());
    Torture.Holder = Processor + 1;
    Value = Torture.Parts[0];
    for (ULONG Part = 0; Part < PARTS; Part++)
    {
        TORTURE_CHECK(Torture.Parts[Part] == Value, "part %u is %llu, not %llu", Part,
                      Torture.Parts[Part], Value);
    }
    for (ULONG Part = 0; Part < PARTS; Part++)
    {
        Torture.Parts[Part] = Value + 1;
        if (Part == Disturbance)
        {
            HalpSendIpi(Processor, Torture.Interrupt.Vector);
            KeStallExecutionProcessor((ULONG)(Visitor->Random.State % LONGEST_STAY_US));
        }
    }
    TORTURE_CHECK(Torture.Holder == Processor + 1, "CPU %u came in", Torture.Holder - 1);
    Torture.Holder = 0;
    Visitor->Visits++;
}

/* One of the kind's pairs that may be called at this IRQL. */
static const TORTURE_PAIR *ChoosePair(KIRQL Irql, PKT_RANDOM Random)
{
    const TORTURE_KIND *Kind = Torture.Kind;
    const TORTURE_PAIR *Pair;

    do
    {
        Pair = &Kind->Pairs[KtRandom(Random) % Kind->PairCount];
    } while (Irql < Pair->Lowest || Irql > Pair->Highest);
    return Pair;
}

static VOID Visit(ULONG Processor, VISITOR_ORIGIN Origin)
{
    PVISITOR Visitor = &Torture.Cpus[Processor].Visitors[Origin];
    KIRQL Before = KeGetCurrentIrql();
    KIRQL Inside = Before > Torture.Kind->Irql ? Before : Torture.Kind->Irql;
    const TORTURE_PAIR *Pair = ChoosePair(Before, &Visitor->Random);
    TORTURE_SAVED Saved;

    Pair->Acquire(&Torture, &Saved);
    TORTURE_CHECK(KeGetCurrentIrql() == Inside, "IRQL %u inside, from %u", KeGetCurrentIrql(),
                  Before);
    StayInside(Processor, Visitor);
    Pair->Release(&Torture, &Saved);
    TORTURE_CHECK(KeGetCurrentIrql() == Before, "IRQL %u afterwards, not %u", KeGetCurrentIrql(),
                  Before);
}

/* ------------------------------------------------------------------ Who visits. */

static VOID VisitFromDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (!IsOver())
    {
        Visit(KeGetCurrentProcessorIndex(), FromDpc);
    }
}

static BOOLEAN VisitFromIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    ULONG Processor = KeGetCurrentProcessorIndex();
    PTORTURE_CPU Cpu = &Torture.Cpus[Processor];

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    Cpu->Interrupts++;
    if (!IsOver())
    {
        KeInsertQueueDpc(&Cpu->Dpc, NULL, NULL);
        if (Torture.Kind->HeldInIsr)
        {
            StayInside(Processor, &Cpu->Visitors[FromIsr]);
        }
        else if (Torture.Kind->FromIsr)
        {
            Visit(Processor, FromIsr);
        }
    }
    return TRUE;
}

static BOOLEAN HasEnough(ULONG Processor)
{
    PTORTURE_CPU Cpu = &Torture.Cpus[Processor];

    return Cpu->Visitors[FromThread].Visits >= MINIMUM_VISITS &&
           Cpu->DpcsByTick * KtProcessors() >= MINIMUM_DPCS_BY_TICK && KtNow() >= Torture.End;
}

static VOID VisitFromThread(PVOID Context, ULONG Processor)
{
    static const KIRQL Levels[] = {PASSIVE_LEVEL, PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL};
    PKT_RANDOM Random = &Torture.Cpus[Processor].Visitors[FromThread].Random;

    UNREFERENCED_PARAMETER(Context);
    for (ULONG Turn = 0; !HasEnough(Processor) && !IsOver(); Turn++)
    {
        KIRQL Level = Levels[KtRandom(Random) % RTL_NUMBER_OF(Levels)];
        KIRQL OldIrql;

        KeRaiseIrql(Level, &OldIrql);
        Visit(Processor, FromThread);
        KeLowerIrql(OldIrql);
        if (Turn % 8 == 0)
        {
            KeInsertQueueDpc(&Torture.Cpus[Processor].Dpc, NULL, NULL);
        }
        if (Turn % 4 == MINIMUM_VISITS - 2)
        {
            ULONG Other = (ULONG)(KtRandom(Random) % KtProcessors());

            HalpSendIpi(Turn % 8 == MINIMUM_VISITS - 2 ? Processor : Other,
                        Torture.Interrupt.Vector);
        }
    }
}

/* ------------------------------------------------------------------ The watch. */

/* Processor 0, each tick. */
static VOID LookForVisits(VOID)
{
    if (Torture.LastSeen != Torture.Parts[0])
    {
        Torture.LastSeen = Torture.Parts[0];
        Torture.TicksWithoutVisit = 0;
        return;
    }
    if (++Torture.TicksWithoutVisit == STALL_TICKS)
    {
        KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, STALL_TICKS, Torture.Lock, Torture.Interrupt.SpinLock,
                     0);
    }
}

static VOID WatchFromClock(PKTRAP_FRAME Frame)
{
    ULONG Processor = KeGetCurrentProcessorIndex();
    PTORTURE_CPU Cpu = &Torture.Cpus[Processor];

    KiClockInterrupt(Frame);
    if (!IsOver() && Cpu->Visitors[FromThread].Visits != Cpu->VisitsAtDpc)
    {
        Cpu->VisitsAtDpc = Cpu->Visitors[FromThread].Visits;
        KeInsertQueueDpc(&Cpu->Dpc, NULL, NULL); /* wherever the thread is */
        Cpu->DpcsByTick++;
    }
    if (Processor == 0)
    {
        LookForVisits();
    }
}

/* ------------------------------------------------------------------ The run. */

static VOID InitializeWords(const TORTURE_KIND *Kind)
{
    KI_SPIN_LOCK Lock = {.Word = 0};

    if (Kind->Tickets) /* so that the counters wrap early in the run */
    {
        Lock.Next = (KI_TICKET)-WRAP_AFTER;
        Lock.Serving = Lock.Next;
    }
    Torture.Lock = Lock.Word;
    Torture.Interrupt.SpinLock = Lock.Word;
}

/* A broken lock is hunted until it is caught. */
static BOOLEAN LockTwinIsOn(VOID)
{
    return KI_TWIN(KiTwinTicketNoAtomic) || KI_TWIN(KiTwinRaiseAfterDraw);
}

static NTSTATUS Prepare(const TORTURE_KIND *Kind)
{
    RtlZeroMemory(&Torture, sizeof(Torture));
    Torture.Kind = Kind;
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        PTORTURE_CPU Cpu = &Torture.Cpus[Processor];
        PROCESSOR_NUMBER Number;

        for (ULONG Origin = 0; Origin < OriginCount; Origin++)
        {
            KtSeed(&Cpu->Visitors[Origin].Random, Processor * OriginCount + Origin);
        }
        KeInitializeDpc(&Cpu->Dpc, VisitFromDpc, NULL);
        KeGetProcessorNumberFromIndex(Processor, &Number);
        KeSetTargetProcessorDpcEx(&Cpu->Dpc, &Number);
    }
    Torture.Interrupt.ServiceRoutine = VisitFromIsr;
    Torture.Interrupt.ActualLock = &Torture.Interrupt.SpinLock;
    Torture.Interrupt.Vector = KtUnusedVector(DEVICE_IRQL, 0);
    Torture.Interrupt.Irql = DEVICE_IRQL;
    Torture.Interrupt.SynchronizeIrql = DEVICE_IRQL;
    Torture.Interrupt.Mode = LevelSensitive;
    Torture.Interrupt.ProcessorEnableMask = KeQueryActiveProcessors();
    InitializeWords(Kind);
    return KiConnectInterrupt(&Torture.Interrupt);
}

static VOID CheckCounts(VOID)
{
    ULONG64 Total = 0, Least = ~0ull, Most = 0;

    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        PTORTURE_CPU Cpu = &Torture.Cpus[Processor];
        ULONG64 Visits = Cpu->Visitors[FromThread].Visits;

        KT_CHECK(Cpu->Visitors[FromDpc].Visits != 0, "no DPC of CPU %u came in", Processor);
        KT_CHECK(Cpu->Interrupts != 0, "CPU %u had no interrupt", Processor);
        Least = Visits < Least ? Visits : Least;
        Most = Visits > Most ? Visits : Most;
        for (ULONG Origin = 0; Origin < OriginCount; Origin++)
        {
            Total += Cpu->Visitors[Origin].Visits;
        }
    }
    KT_CHECK(Total == Torture.Parts[0], "%llu visits outside, %llu inside", Total,
             Torture.Parts[0]);
    KtNote("%s: %llu visits; threads of one CPU %llu to %llu", Torture.Kind->Name, Total, Least,
           Most);
}

ULONG TortureRun(const TORTURE_KIND *Kind)
{
    NTSTATUS Status = Prepare(Kind);

    if (!NT_SUCCESS(Status))
    {
        KtFail(__FILE__, __LINE__, "connected", "status %x", (ULONG)Status);
        return 0;
    }
    HalpSetVectorRoutine(CLOCK_VECTOR, WatchFromClock);
    Torture.End = KtNow() + (Kind->Busted || LockTwinIsOn() ? CATCH_LIMIT : KtBudget());
    KtParallel(VisitFromThread, NULL);
    KeFlushQueuedDpcs(); /* the interrupts that were sent have come; their DPCs are queued */
    KeFlushQueuedDpcs();
    WriteRelease(&Torture.Stop, TRUE);
    HalpSetVectorRoutine(CLOCK_VECTOR, KiClockInterrupt);
    KiDisconnectInterrupt(&Torture.Interrupt);
    if (Torture.Violations == 0)
    {
        CheckCounts();
    }
    return (ULONG)Torture.Violations;
}

/* ------------------------------------------------------------------ The kinds. */

static VOID AcquirePlain(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeAcquireSpinLock(&This->Lock, &Saved->OldIrql);
}

static VOID ReleasePlain(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeReleaseSpinLock(&This->Lock, Saved->OldIrql);
}

static VOID AcquirePlainAtDpcLevel(PTORTURE This, PTORTURE_SAVED Saved)
{
    UNREFERENCED_PARAMETER(Saved);
    KeAcquireSpinLockAtDpcLevel(&This->Lock);
}

static VOID ReleasePlainFromDpcLevel(PTORTURE This, PTORTURE_SAVED Saved)
{
    UNREFERENCED_PARAMETER(Saved);
    KeReleaseSpinLockFromDpcLevel(&This->Lock);
}

static VOID AcquirePlainForDpc(PTORTURE This, PTORTURE_SAVED Saved)
{
    Saved->OldIrql = KeAcquireSpinLockForDpc(&This->Lock);
}

static VOID ReleasePlainForDpc(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeReleaseSpinLockForDpc(&This->Lock, Saved->OldIrql);
}

static const TORTURE_PAIR PlainPairs[] = {
    {AcquirePlain, ReleasePlain, PASSIVE_LEVEL, DISPATCH_LEVEL},
    {AcquirePlainAtDpcLevel, ReleasePlainFromDpcLevel, DISPATCH_LEVEL, DISPATCH_LEVEL},
    {AcquirePlainForDpc, ReleasePlainForDpc, PASSIVE_LEVEL, DISPATCH_LEVEL},
};

static VOID AcquireByTrying(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeRaiseIrql(DISPATCH_LEVEL, &Saved->OldIrql);
    while (!KeTryToAcquireSpinLockAtDpcLevel(&This->Lock))
    {
        YieldProcessor();
    }
}

static VOID ReleaseTried(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeReleaseSpinLockFromDpcLevel(&This->Lock);
    KeLowerIrql(Saved->OldIrql);
}

static const TORTURE_PAIR TryPairs[] = {
    {AcquireByTrying, ReleaseTried, PASSIVE_LEVEL, DISPATCH_LEVEL},
};

static VOID AcquireRaised(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeRaiseIrql(DEVICE_IRQL, &Saved->OldIrql);
    KeAcquireSpinLockAtDpcLevel(&This->Lock);
}

static VOID ReleaseRaised(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeReleaseSpinLockFromDpcLevel(&This->Lock);
    KeLowerIrql(Saved->OldIrql);
}

static const TORTURE_PAIR RaisedPairs[] = {
    {AcquireRaised, ReleaseRaised, PASSIVE_LEVEL, DEVICE_IRQL},
};

static VOID AcquireInterrupt(PTORTURE This, PTORTURE_SAVED Saved)
{
    Saved->OldIrql = KeAcquireInterruptSpinLock(&This->Interrupt);
}

static VOID ReleaseInterrupt(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeReleaseInterruptSpinLock(&This->Interrupt, Saved->OldIrql);
}

static const TORTURE_PAIR InterruptPairs[] = {
    {AcquireInterrupt, ReleaseInterrupt, PASSIVE_LEVEL, DEVICE_IRQL},
};

static VOID AcquireQueued(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeAcquireInStackQueuedSpinLock(&This->Lock, &Saved->Handle);
}

static VOID ReleaseQueued(PTORTURE This, PTORTURE_SAVED Saved)
{
    UNREFERENCED_PARAMETER(This);
    KeReleaseInStackQueuedSpinLock(&Saved->Handle);
}

static VOID AcquireQueuedAtDpcLevel(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&This->Lock, &Saved->Handle);
}

static VOID ReleaseQueuedFromDpcLevel(PTORTURE This, PTORTURE_SAVED Saved)
{
    UNREFERENCED_PARAMETER(This);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Saved->Handle);
}

static VOID AcquireQueuedForDpc(PTORTURE This, PTORTURE_SAVED Saved)
{
    KeAcquireInStackQueuedSpinLockForDpc(&This->Lock, &Saved->Handle);
}

static VOID ReleaseQueuedForDpc(PTORTURE This, PTORTURE_SAVED Saved)
{
    UNREFERENCED_PARAMETER(This);
    KeReleaseInStackQueuedSpinLockForDpc(&Saved->Handle);
}

static const TORTURE_PAIR QueuedPairs[] = {
    {AcquireQueued, ReleaseQueued, PASSIVE_LEVEL, DISPATCH_LEVEL},
    {AcquireQueuedAtDpcLevel, ReleaseQueuedFromDpcLevel, DISPATCH_LEVEL, DISPATCH_LEVEL},
    {AcquireQueuedForDpc, ReleaseQueuedForDpc, PASSIVE_LEVEL, DISPATCH_LEVEL},
};

/* Sees the lock free, dawdles, takes it: whoever looks meanwhile takes it too. */
static VOID AcquireBusted(PTORTURE This, PTORTURE_SAVED Saved)
{
    volatile KSPIN_LOCK *Word = &This->Lock;
    ULONG Processor;

    KeRaiseIrql(DISPATCH_LEVEL, &Saved->OldIrql);
    Processor = KeGetCurrentProcessorIndex();
    while (*Word != 0 && !IsOver())
    {
        YieldProcessor();
    }
    KeStallExecutionProcessor((ULONG)(This->Parts[0] * 7 + Processor * 13 + KiOptions.Seed) % 32);
    *Word = 1;
}

static VOID ReleaseBusted(PTORTURE This, PTORTURE_SAVED Saved)
{
    *(volatile KSPIN_LOCK *)&This->Lock = 0;
    KeLowerIrql(Saved->OldIrql);
}

static const TORTURE_PAIR BustedPairs[] = {
    {AcquireBusted, ReleaseBusted, PASSIVE_LEVEL, DISPATCH_LEVEL},
};

/* A lock that does not raise the IRQL cannot wait either: it may have interrupted the holder. */
static VOID AcquireUnraised(PTORTURE This, PTORTURE_SAVED Saved)
{
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Saved);
}

static const TORTURE_PAIR UnraisedPairs[] = {
    {AcquireUnraised, AcquireUnraised, PASSIVE_LEVEL, DISPATCH_LEVEL},
};

#define PAIRS(Pairs) RTL_NUMBER_OF(Pairs), Pairs

const TORTURE_KIND TorturePlain = {"plain", DISPATCH_LEVEL,   FALSE, FALSE, TRUE,
                                   FALSE,   PAIRS(PlainPairs)};
const TORTURE_KIND TortureTry = {"try", DISPATCH_LEVEL, FALSE, FALSE, TRUE, FALSE, PAIRS(TryPairs)};
const TORTURE_KIND TortureRaised = {"raised", DEVICE_IRQL,       TRUE, FALSE, TRUE,
                                    FALSE,    PAIRS(RaisedPairs)};
const TORTURE_KIND TortureInterrupt = {"interrupt", DEVICE_IRQL,          TRUE, TRUE, TRUE,
                                       FALSE,       PAIRS(InterruptPairs)};
const TORTURE_KIND TortureQueued = {"queued", DISPATCH_LEVEL,    FALSE, FALSE, FALSE,
                                    FALSE,    PAIRS(QueuedPairs)};
const TORTURE_KIND TortureBusted = {"busted", DISPATCH_LEVEL,    FALSE, FALSE, FALSE,
                                    TRUE,     PAIRS(BustedPairs)};
const TORTURE_KIND TortureUnraised = {"unraised", PASSIVE_LEVEL,       FALSE, FALSE, FALSE,
                                      TRUE,       PAIRS(UnraisedPairs)};
