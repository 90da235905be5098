/* SPDX-License-Identifier: MIT */
/*
 * trapstray.c - interrupts that nobody asked for are counted, get the EOI that is due and no other,
 * and do no harm: the spurious vector, vectors in exceptions' clothing, unclaimed ones, repeated
 * ones, NMIs.
 *
 * The true spurious interrupt comes when the TPR is raised between the APIC's offer and the
 * processor's acknowledgement, which no emulator does on request. What the processor then sees is
 * the vector without an in-service bit, and that an INT instruction gives it just as well.
 */
#include "trapkit.h"

#include <ex.h>

#define ARRIVAL_LIMIT KT_SECONDS(10)
#define STRAY_VECTOR 0xD5 /* of the clock's class; nobody's */

/* ------------------------------------------------------------------ Strays. */

/* Waits for this processor's count of unclaimed vectors. */
static BOOLEAN WaitUnclaimed(ULONG64 Wanted)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 End = KtNow() + ARRIVAL_LIMIT;

    while (*(volatile ULONG64 *)&Prcb->UnclaimedCount < Wanted)
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
        YieldProcessor();
    }
    return TRUE;
}

/* Sends Vector to this processor at Level, where it must wait if its class says so, and lowers. */
static VOID TakeStray(ULONG Vector, KIRQL Level)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Unclaimed, Spurious = Prcb->SpuriousCount;
    KIRQL Old;

    KeRaiseIrql(Level, &Old);
    Unclaimed = Prcb->UnclaimedCount;
    HalpSendIpi(Prcb->Index, Vector);
    if (VECTOR_IRQL(Vector) <= Level)
    {
        KT_CHECK(KtWaitRequested(Vector), "vector %02x at IRQL %u is not requested", Vector, Level);
        KT_CHECK(Prcb->UnclaimedCount == Unclaimed, "vector %02x arrived at IRQL %u", Vector,
                 Level);
    }
    KeLowerIrql(Old);
    KT_CHECK(WaitUnclaimed(Unclaimed + 1), "vector %02x at IRQL %u does not arrive", Vector, Level);
    KT_CHECK(Prcb->UnclaimedCount == Unclaimed + 1 && Prcb->SpuriousCount == Spurious,
             "vector %02x: counted %llu times, %llu as spurious", Vector,
             Prcb->UnclaimedCount - Unclaimed, Prcb->SpuriousCount - Spurious);
    KT_CHECK(KtCountInService() == 0 && !KtIsRequested(Vector), "vector %02x: no EOI", Vector);
    KT_CHECK(KeGetCurrentIrql() == Old, "vector %02x left IRQL %u", Vector, KeGetCurrentIrql());
}

/* After an EOI too many or too few, the interrupts below would come at the wrong time or never. */
static VOID CheckDeliveryIntact(VOID)
{
    TakeStray(STRAY_VECTOR, DISPATCH_LEVEL);
    TakeStray(STRAY_VECTOR, HIGH_LEVEL);
}

static VOID TakeSpurious(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Level = PASSIVE_LEVEL; Level <= HIGH_LEVEL && !KtHasFailed(); Level++)
    {
        TakeStray(SPURIOUS_VECTOR, (KIRQL)Level);
    }
    CheckDeliveryIntact();
}

static VOID InjectedSpurious(VOID)
{
    if (!KtSpuriousVectorEnds())
    {
        KtSkip("this APIC does not end its spurious vector");
        return;
    }
    KtParallel(TakeSpurious, NULL);
}

static VOID TakeExceptionNumbers(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Vector = 0x10; Vector < APC_VECTOR && !KtHasFailed(); Vector++)
    {
        TakeStray(Vector, PASSIVE_LEVEL);
        TakeStray(Vector, APC_LEVEL);
        TakeStray(Vector, HIGH_LEVEL);
    }
    CheckDeliveryIntact();
}

static VOID ExceptionNumbers(VOID)
{
    KtParallel(TakeExceptionNumbers, NULL);
}

static VOID TakeUnowned(PVOID Context, ULONG Processor)
{
    static const UCHAR Vectors[] = {0x20, 0x2E, 0x30, 0x37, 0x3F, 0xC0, 0xD0, 0xEF, 0xF0, 0xFF};

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Vectors) && !KtHasFailed(); Index++)
    {
        TakeStray(Vectors[Index], PASSIVE_LEVEL);
        TakeStray(Vectors[Index], HIGH_LEVEL);
    }
}

static VOID Unowned(VOID)
{
    KtParallel(TakeUnowned, NULL);
}

/* ------------------------------------------------------------------ On top of another interrupt an
 * injected spurious vector must end itself, not the other. */

#define UNDER_VECTOR 0xC8 /* nobody's */

static volatile LONG NestedChecks;

static VOID SendSpuriousInside(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Unclaimed = Prcb->UnclaimedCount;

    if (Frame->Vector != UNDER_VECTOR)
    {
        KtChainVector(Frame);
        return;
    }
    HalpSendIpi(Prcb->Index, SPURIOUS_VECTOR);
    KT_CHECK(WaitUnclaimed(Unclaimed + 1), "no spurious vector on top of %02x", UNDER_VECTOR);
    _disable(); /* the clock would be in service too */
    KT_CHECK(HalpIsInService(UNDER_VECTOR) && KtCountInService() == 1,
             "vector %02x: in service %u, with it %u", UNDER_VECTOR, HalpIsInService(UNDER_VECTOR),
             KtCountInService());
    _enable();
    InterlockedIncrement(&NestedChecks);
}

/* Runs Inside, which counts one check, as the handler of UNDER_VECTOR. */
static VOID CheckInside(HALP_VECTOR_ROUTINE *Inside)
{
    NestedChecks = 0;
    KtTakeVectors(Inside);
    HalpSendIpi(KeGetCurrentProcessorIndex(), UNDER_VECTOR);
    KT_CHECK(KtWaitFor(&NestedChecks, 1, ARRIVAL_LIMIT), "vector %02x", UNDER_VECTOR);
    KtGiveVectors();
    KT_CHECK(KtCountInService() == 0, "%u vectors stay in service", KtCountInService());
}

static VOID SpuriousOnTop(VOID)
{
    if (!KtSpuriousVectorEnds())
    {
        KtSkip("this APIC does not end its spurious vector");
        return;
    }
    CheckInside(SendSpuriousInside);
}

/* ---------------------------------------------------------- The true spurious interrupt: no
 * in-service bit of its own, so an EOI would end the interrupt below it. */

static VOID BeSpuriousInside(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Unclaimed, Spurious;

    if (Frame->Vector != UNDER_VECTOR)
    {
        KtChainVector(Frame);
        return;
    }
    _disable(); /* so that what is counted is ours */
    Unclaimed = Prcb->UnclaimedCount;
    Spurious = Prcb->SpuriousCount;
    ArchSoftwareInterrupt(SPURIOUS_VECTOR);
    KT_CHECK(Prcb->SpuriousCount == Spurious + 1 && Prcb->UnclaimedCount == Unclaimed,
             "%llu more spurious, %llu more unclaimed", Prcb->SpuriousCount - Spurious,
             Prcb->UnclaimedCount - Unclaimed);
    KT_CHECK(HalpIsInService(UNDER_VECTOR), "vector %02x was ended by it", UNDER_VECTOR);
    _enable();
    InterlockedIncrement(&NestedChecks);
}

static VOID TrueSpurious(VOID)
{
    CheckInside(BeSpuriousInside);
}

/* ------------------------------------------------------------------ The kernel's own vectors, sent
 * though nothing is wanted: each is idempotent. */

#define REPEATS 40

static VOID SendUnwanted(PVOID Context, ULONG Processor)
{
    static const UCHAR Vectors[] = {APC_VECTOR, DISPATCH_VECTOR, CLOCK_VECTOR, IPI_VECTOR};
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    for (ULONG Round = 0; Round < REPEATS; Round++)
    {
        ULONG Target = (ULONG)(KtRandom(&Random) % KtProcessors());

        HalpSendIpi(Target, Vectors[KtRandom(&Random) % RTL_NUMBER_OF(Vectors)]);
    }
}

static VOID CountInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement((volatile LONG *)Context);
}

static ULONG_PTR CountInCall(ULONG_PTR Argument)
{
    InterlockedIncrement((volatile LONG *)Argument);
    return 0;
}

static VOID UnwantedAreIdempotent(VOID)
{
    volatile LONG DpcRuns = 0, Calls = 0;
    KDPC Dpc;

    KtParallel(SendUnwanted, NULL);
    KeInitializeDpc(&Dpc, CountInDpc, (PVOID)&DpcRuns);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    KeIpiGenericCall(CountInCall, (ULONG_PTR)&Calls);
    KT_CHECK(DpcRuns == 1 && Calls == (LONG)KtProcessors(), "%d DPC runs, %d calls", DpcRuns,
             Calls);
}

/* ------------------------------------------------------------------ NMIs. */

#define NMI_FLOOD 1000

typedef struct _NMI_TORTURE
{
    KSPIN_LOCK Lock;
    volatile LONG Stop;
    volatile LONG Guarded; /* under Lock */
    volatile LONG Acquisitions;
    volatile LONG DpcRuns;
    volatile LONG DpcInserts;
    volatile LONG Interrupts[MAXIMUM_PROCESSORS];
    KDPC Dpcs[MAXIMUM_PROCESSORS];
} NMI_TORTURE, *PNMI_TORTURE;

static PNMI_TORTURE Torture;

static VOID CountInterrupt(PKTRAP_FRAME Frame)
{
    InterlockedIncrement(&Torture->Interrupts[KeGetCurrentProcessorIndex()]);
    KtChainVector(Frame);
}

static VOID UseEverything(ULONG Processor)
{
    KIRQL Old;

    KeAcquireSpinLock(&Torture->Lock, &Old);
    Torture->Guarded++;
    KeReleaseSpinLock(&Torture->Lock, Old);
    InterlockedIncrement(&Torture->Acquisitions);
    if (KeInsertQueueDpc(&Torture->Dpcs[Processor], NULL, NULL))
    {
        InterlockedIncrement(&Torture->DpcInserts);
    }
    HalpSendIpi(Processor, STRAY_VECTOR);
}

static VOID SendNmiToOthers(VOID)
{
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        HalpSendNmi(Index);
    }
}

static ULONG64 NmisOf(ULONG Processor)
{
    return *(volatile ULONG64 *)&KiProcessorBlock[Processor]->NmiCount;
}

/* One NMI to all others, and each has counted it: exactly it, if no other can be on its way. */
static VOID SendAndAwaitNmi(BOOLEAN Alone)
{
    ULONG64 Before[MAXIMUM_PROCESSORS];
    ULONG64 End = KtNow() + ARRIVAL_LIMIT * 3;

    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        Before[Index] = NmisOf(Index);
    }
    SendNmiToOthers();
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        while (NmisOf(Index) == Before[Index] && KtNow() < End)
        {
            YieldProcessor();
        }
        KT_CHECK(NmisOf(Index) == Before[Index] + 1 || (!Alone && NmisOf(Index) > Before[Index]),
                 "CPU %u counted %llu of 1 NMI", Index, NmisOf(Index) - Before[Index]);
    }
}

static VOID FloodWithNmis(VOID)
{
    ULONG64 Own = NmisOf(0), End = KtNow() + KtBudget();
    ULONG Exact = 0;

    do
    {
        SendAndAwaitNmi(TRUE);
        Exact++;
    } while (KtNow() < End && !KtHasFailed());
    for (ULONG Count = 0; Count < NMI_FLOOD; Count++)
    {
        SendNmiToOthers();
    }
    SendAndAwaitNmi(FALSE);
    KT_CHECK(NmisOf(0) == Own, "%llu NMIs came to their sender", NmisOf(0) - Own);
    KtNote("%u NMIs one at a time, then %u at once", Exact, NMI_FLOOD);
}

static VOID TakeNmis(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    if (Processor == 0)
    {
        FloodWithNmis();
        WriteRelease(&Torture->Stop, TRUE);
        return;
    }
    do
    {
        UseEverything(Processor);
    } while (!ReadAcquire(&Torture->Stop));
}

static VOID CheckTorture(VOID)
{
    KeFlushQueuedDpcs();
    KT_CHECK(Torture->Guarded == Torture->Acquisitions, "%d of %d acquisitions counted",
             Torture->Guarded, Torture->Acquisitions);
    KT_CHECK(Torture->DpcRuns == Torture->DpcInserts, "%d of %d DPCs ran", Torture->DpcRuns,
             Torture->DpcInserts);
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KT_CHECK(Torture->Interrupts[Index] != 0, "CPU %u took no interrupt", Index);
    }
}

static VOID NmisAnywhere(VOID)
{
    Torture = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Torture), 'tseT');
    KT_REQUIRE(Torture != NULL, "no memory");
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KeInitializeDpc(&Torture->Dpcs[Index], CountInDpc, (PVOID)&Torture->DpcRuns);
    }
    KtTakeVectors(CountInterrupt);
    KtParallel(TakeNmis, NULL);
    KtGiveVectors();
    CheckTorture();
    ExFreePoolWithTag(Torture, 'tseT');
}

static const KT_CASE Cases[] = {
    {"trap-injected-spurious-vector", InjectedSpurious, 0, FALSE},
    {"trap-injected-spurious-on-top", SpuriousOnTop, 0, FALSE},
    {"trap-true-spurious-on-top", TrueSpurious, 0, FALSE},
    {"trap-exception-numbers-as-interrupts", ExceptionNumbers, 0, FALSE},
    {"trap-unowned-vectors", Unowned, 0, FALSE},
    {"trap-unwanted-ipis-are-idempotent", UnwantedAreIdempotent, 0, FALSE},
    {"trap-nmi-anywhere", NmisAnywhere, 2, FALSE},
};

KT_DEFINE_SUITE(KtTrapSuite, "ke", Cases);
