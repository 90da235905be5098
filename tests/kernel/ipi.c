/* SPDX-License-Identifier: MIT */
/*
 * ipi.c - a rendezvous brings all processors together, whoever calls it, at whatever IRQL below
 * IPI_LEVEL, however many call at once; and a TLB shootdown leaves no old translation anywhere.
 * Law L83; regressions R-m, R-p.
 */
#include "trapkit.h"

#include <arch/mmu.h>
#include <ex.h>
#include <mm.h>
#include <space.h>

#define MEETING_LIMIT KT_SECONDS(60)

/* ------------------------------------------------------------------ L83. */

typedef struct _MEETING
{
    volatile LONG Inside;
    volatile LONG Runs;
    volatile LONG RunsOf[MAXIMUM_PROCESSORS];
} MEETING, *PMEETING;

/* All must be inside before any leaves. */
static ULONG_PTR Meet(ULONG_PTR Argument)
{
    PMEETING Meeting = (PMEETING)Argument;
    ULONG Processor = KeGetCurrentProcessorIndex();

    KT_CHECK(KeGetCurrentIrql() == IPI_LEVEL, "the worker runs at IRQL %u", KeGetCurrentIrql());
    InterlockedIncrement(&Meeting->RunsOf[Processor]);
    InterlockedIncrement(&Meeting->Inside);
    KT_CHECK(KtWaitFor(&Meeting->Inside, (LONG)KtProcessors(), MEETING_LIMIT),
             "%d of %u CPUs are inside", Meeting->Inside, KtProcessors());
    InterlockedIncrement(&Meeting->Runs);
    return 0x100000000ull + Processor;
}

static VOID CallMeeting(ULONG Processor, KIRQL Level)
{
    static MEETING Meeting; /* one at a time */
    ULONG_PTR Result;
    KIRQL Old;

    RtlZeroMemory(&Meeting, sizeof(Meeting));
    KeRaiseIrql(Level, &Old);
    Result = KeIpiGenericCall(Meet, (ULONG_PTR)&Meeting);
    KT_CHECK(KeGetCurrentIrql() == Level, "IRQL %u after, %u before", KeGetCurrentIrql(), Level);
    KT_CHECK(Meeting.Runs == (LONG)KtProcessors(), "returned when %d of %u were done", Meeting.Runs,
             KtProcessors());
    KeLowerIrql(Old);
    KT_CHECK(Result == 0x100000000ull + Processor, "CPU %u got the value %llx", Processor, Result);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_CHECK(Meeting.RunsOf[Index] == 1, "CPU %u ran %d times", Index, Meeting.RunsOf[Index]);
    }
}

static VOID CallFromHere(PVOID Context, ULONG Processor)
{
    static const KIRQL Levels[] = {PASSIVE_LEVEL, DISPATCH_LEVEL, 7, SYNCH_LEVEL, CLOCK_LEVEL};

    UNREFERENCED_PARAMETER(Context);
    CallMeeting(Processor, Levels[Processor % RTL_NUMBER_OF(Levels)]);
}

static VOID AllAreInside(VOID)
{
    CallMeeting(KeGetCurrentProcessorIndex(), PASSIVE_LEVEL);
    CallMeeting(KeGetCurrentProcessorIndex(), DISPATCH_LEVEL);
    CallMeeting(KeGetCurrentProcessorIndex(), IPI_LEVEL - 1);
    for (ULONG Index = 0; Index < KtProcessors() && !KtHasFailed(); Index++)
    {
        KtRunOn(Index, CallFromHere, NULL);
    }
}

static VOID CallInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    CallMeeting(KeGetCurrentProcessorIndex(), DISPATCH_LEVEL);
    InterlockedIncrement((volatile LONG *)Context);
}

static VOID CalledInDpc(VOID)
{
    volatile LONG Done = 0;

    for (ULONG Index = 0; Index < KtProcessors() && Index < 4; Index++)
    {
        PROCESSOR_NUMBER Number;
        KDPC Dpc;

        KeGetProcessorNumberFromIndex(Index, &Number);
        KeInitializeDpc(&Dpc, CallInDpc, (PVOID)&Done);
        KeSetTargetProcessorDpcEx(&Dpc, &Number);
        KeInsertQueueDpc(&Dpc, NULL, NULL);
        KeFlushQueuedDpcs();
        KT_CHECK(Done == (LONG)Index + 1, "%d of %u calls", Done, Index + 1);
    }
}

/* No worker begins before all processors are in: some others count, often with interrupts off, and
 * from when a worker begins they stand still until their own worker has run. */

#define COUNTERS 3
#define STILL_CALLS 8
#define DEAF_BEATS 10000

typedef struct _STILLNESS
{
    volatile LONG Stop;
    volatile LONG Beats[COUNTERS + 1]; /* by processor; 0 calls */
    volatile LONG Left[COUNTERS + 1];  /* its worker is done    */
} STILLNESS, *PSTILLNESS;

static VOID Beat(PVOID Context, ULONG Processor)
{
    PSTILLNESS Stillness = Context;

    while (!ReadAcquire(&Stillness->Stop))
    {
        _disable();
        for (ULONG Count = 0; Count < DEAF_BEATS; Count++)
        {
            InterlockedIncrement(&Stillness->Beats[Processor]);
        }
        _enable();
    }
}

static ULONG_PTR ListenForBeats(ULONG_PTR Argument)
{
    PSTILLNESS Stillness = (PSTILLNESS)Argument;
    ULONG Processor = KeGetCurrentProcessorIndex();
    LONG Before[COUNTERS + 1];

    for (ULONG Index = 1; Index <= COUNTERS; Index++)
    {
        Before[Index] = Stillness->Beats[Index];
    }
    if (Processor == 0) /* the caller is the one who could be too early */
    {
        KeStallExecutionProcessor(2000);
    }
    for (ULONG Index = 1; Index <= COUNTERS; Index++)
    {
        LONG Beats = Stillness->Beats[Index];

        KT_CHECK(Beats == Before[Index] || Stillness->Left[Index], "CPU %u went on for %d beats",
                 Index, Beats - Before[Index]);
    }
    if (Processor <= COUNTERS)
    {
        WriteRelease(&Stillness->Left[Processor], TRUE);
    }
    return 0;
}

static VOID NothingElseRuns(VOID)
{
    ULONG Counters = KtProcessors() - 1 < COUNTERS ? KtProcessors() - 1 : COUNTERS;
    STILLNESS Stillness = {0};
    KT_JOB Jobs[COUNTERS];

    for (ULONG Index = 1; Index <= Counters; Index++)
    {
        KtStart(&Jobs[Index - 1], Index, Beat, &Stillness);
    }
    for (ULONG Call = 0; Call < STILL_CALLS && !KtHasFailed(); Call++)
    {
        for (ULONG Index = 1; Index <= Counters; Index++)
        {
            Stillness.Left[Index] = FALSE;
            KtWaitFor(&Stillness.Beats[Index], Stillness.Beats[Index] + 1, MEETING_LIMIT);
        }
        KeIpiGenericCall(ListenForBeats, (ULONG_PTR)&Stillness);
    }
    WriteRelease(&Stillness.Stop, TRUE);
    for (ULONG Index = 1; Index <= Counters; Index++)
    {
        KT_CHECK(Stillness.Beats[Index] != 0, "CPU %u did not count", Index);
        KtJoin(&Jobs[Index - 1]);
    }
}

/* ------------------------------------------------------------------ R-m: everybody calls at once,
 * in the middle of DPC storms, flushes, shootdowns, and others that hold spin locks or have their
 * interrupts off (R-p). */

#define DPCS_EACH 3

typedef struct DECLSPEC_ALIGN(64) _CALLER
{
    KDPC Dpcs[DPCS_EACH];
    volatile LONG Inserted, Ran;
    ULONG Calls, Flushes, Shootdowns, Rounds;
} CALLER, *PCALLER;

typedef struct _CROWD
{
    KSPIN_LOCK Locks[2];      /* held with interrupts on, off */
    volatile LONG Guarded[2]; /* under its lock */
    volatile LONG Acquisitions;
    volatile LONG WorkerRuns;
    ULONG64 End;
    CALLER Callers[];
} CROWD, *PCROWD;

static VOID CountDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&((PCALLER)Context)->Ran);
}

static ULONG_PTR CountWorker(ULONG_PTR Argument)
{
    InterlockedIncrement(&((PCROWD)Argument)->WorkerRuns);
    return KeGetCurrentProcessorIndex();
}

/* For some microseconds. A lock that is spun for with interrupts off is also held with interrupts
 * off, always: a holder that could be called to a rendezvous would wait there for its waiters. */
static VOID HoldLock(PCROWD Crowd, BOOLEAN InterruptsOff)
{
    KIRQL Old = KeRaiseIrqlToDpcLevel();
    BOOLEAN Enabled = InterruptsOff ? ArchDisableInterrupts() : FALSE;

    KeAcquireSpinLockAtDpcLevel(&Crowd->Locks[InterruptsOff]);
    Crowd->Guarded[InterruptsOff]++;
    KeStallExecutionProcessor(5);
    KeReleaseSpinLockFromDpcLevel(&Crowd->Locks[InterruptsOff]);
    ArchRestoreInterrupts(Enabled);
    KeLowerIrql(Old);
    InterlockedIncrement(&Crowd->Acquisitions);
}

static VOID InsertDpcs(PCALLER Caller, PKT_RANDOM Random)
{
    for (ULONG Index = 0; Index < DPCS_EACH; Index++)
    {
        PROCESSOR_NUMBER Number;

        KeGetProcessorNumberFromIndex((ULONG)(KtRandom(Random) % KtProcessors()), &Number);
        KeSetTargetProcessorDpcEx(&Caller->Dpcs[Index], &Number);
        if (KeInsertQueueDpc(&Caller->Dpcs[Index], NULL, NULL))
        {
            InterlockedIncrement(&Caller->Inserted);
        }
    }
}

static VOID MapAndUnmap(VOID)
{
    PHYSICAL_ADDRESS Apic = {.QuadPart = 0xFEE00000};
    PVOID Address = MmMapIoSpace(Apic, 2 * PAGE_SIZE, MmNonCached);

    KT_CHECK(Address != NULL, "no address space");
    if (Address != NULL)
    {
        MmUnmapIoSpace(Address, 2 * PAGE_SIZE);
    }
}

static VOID CallEverybody(PCROWD Crowd, PCALLER Caller, ULONG Processor, PKT_RANDOM Random)
{
    KIRQL Old;
    ULONG_PTR Result;

    KeRaiseIrql((KIRQL)(KtRandom(Random) % IPI_LEVEL), &Old);
    Result = KeIpiGenericCall(CountWorker, (ULONG_PTR)Crowd);
    KeLowerIrql(Old);
    KT_CHECK(Result == Processor, "CPU %u got the value %llu", Processor, Result);
    Caller->Calls++;
}

/* Each kind once in a random order, then again while there is time. */
static VOID ActInCrowd(PVOID Context, ULONG Processor)
{
    PCROWD Crowd = Context;
    PCALLER Caller = &Crowd->Callers[Processor];
    KT_RANDOM Random;

    KtSeed(&Random, Processor);
    Caller->Rounds = (ULONG)KtRandom(&Random);
    for (ULONG Acts = 0; (Acts < 5 || KtNow() < Crowd->End) && !KtHasFailed(); Acts++)
    {
        InsertDpcs(Caller, &Random);
        switch (Caller->Rounds++ % 5)
        {
        case 0:
            CallEverybody(Crowd, Caller, Processor, &Random);
            break;
        case 1:
            KeFlushQueuedDpcs();
            Caller->Flushes++;
            break;
        case 2:
            MapAndUnmap();
            Caller->Shootdowns++;
            break;
        case 3:
            HoldLock(Crowd, FALSE);
            break;
        default:
            HoldLock(Crowd, TRUE);
            break;
        }
    }
}

static VOID CheckCrowd(PCROWD Crowd)
{
    ULONG Calls = 0, Shootdowns = 0;

    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        PCALLER Caller = &Crowd->Callers[Index];

        KT_CHECK(Caller->Inserted == Caller->Ran, "CPU %u: %d DPCs ran of %d", Index, Caller->Ran,
                 Caller->Inserted);
        KT_CHECK(Caller->Calls != 0 && Caller->Flushes != 0 && Caller->Shootdowns != 0,
                 "CPU %u: %u calls, %u flushes, %u shootdowns", Index, Caller->Calls,
                 Caller->Flushes, Caller->Shootdowns);
        Calls += Caller->Calls;
        Shootdowns += Caller->Shootdowns;
    }
    KT_CHECK(Crowd->WorkerRuns == (LONG)(Calls * KtProcessors()), "%d workers ran in %u calls",
             Crowd->WorkerRuns, Calls);
    KT_CHECK(Crowd->Guarded[0] + Crowd->Guarded[1] == Crowd->Acquisitions,
             "%d and %d of %d acquisitions counted", Crowd->Guarded[0], Crowd->Guarded[1],
             Crowd->Acquisitions);
    KtNote("%u calls, %u shootdowns, %d acquisitions", Calls, Shootdowns, Crowd->Acquisitions);
}

static VOID AllAtOnce(VOID)
{
    SIZE_T Size = FIELD_OFFSET(CROWD, Callers) + KtProcessors() * sizeof(CALLER);
    PCROWD Crowd = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, Size, 'tseT');

    KT_REQUIRE(Crowd != NULL, "no memory");
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        for (ULONG Dpc = 0; Dpc < DPCS_EACH; Dpc++)
        {
            KeInitializeDpc(&Crowd->Callers[Index].Dpcs[Dpc], CountDpc, &Crowd->Callers[Index]);
        }
    }
    Crowd->End = KtNow() + KtBudget();
    KtParallel(ActInCrowd, Crowd);
    KeFlushQueuedDpcs();
    CheckCrowd(Crowd);
    ExFreePoolWithTag(Crowd, 'tseT');
}

/* ------------------------------------------------------------------ Shootdown: one address,
 * another frame behind it in each round. Readers read between the two steps of a round, so they
 * have the old translation in their TLB when it is changed. */

#define READER_ROUNDS 6
#define PAGE_WORDS (PAGE_SIZE / sizeof(ULONG64))

typedef struct _REMAPPING
{
    volatile ULONG64 *Address;
    PVOID Frames[2];
    volatile LONG Round; /* published by the writer: read what belongs to it */
    volatile LONG Read;  /* readers that have                                */
    volatile LONG Stop;
} REMAPPING, *PREMAPPING;

static ULONG64 WordOf(LONG Round, ULONG Word)
{
    return ((ULONG64)Round << 32) | Word;
}

static VOID ReadPage(PREMAPPING Remapping, LONG Round)
{
    for (ULONG Word = 0; Word < PAGE_WORDS; Word += 37)
    {
        KT_CHECK(Remapping->Address[Word] == WordOf(Round, Word), "round %d: word %u is %llx",
                 Round, Word, Remapping->Address[Word]);
    }
}

static VOID ReadEachRound(PREMAPPING Remapping)
{
    LONG Round = 0;

    while (!ReadAcquire(&Remapping->Stop))
    {
        LONG Now = ReadAcquire(&Remapping->Round);

        if (Now != Round)
        {
            Round = Now;
            ReadPage(Remapping, Round);
            InterlockedIncrement(&Remapping->Read);
        }
        YieldProcessor();
    }
}

/* Puts the round's frame behind the address; the flush is what is being tested. */
static BOOLEAN Remap(PREMAPPING Remapping, LONG Round)
{
    PULONG64 Frame = Remapping->Frames[Round % 2];
    BOOLEAN Mapped;
    KIRQL Old;

    for (ULONG Word = 0; Word < PAGE_WORDS; Word++)
    {
        Frame[Word] = WordOf(Round, Word);
    }
    KeAcquireSpinLock(&MiSystemPteLock, &Old);
    ArchUnmapPage((PVOID)Remapping->Address);
    Mapped = ArchMapPage((PVOID)Remapping->Address, (ULONG64)MmGetPhysicalAddress(Frame).QuadPart,
                         ARCH_PAGE_READ);
    KeReleaseSpinLock(&MiSystemPteLock, Old);
    KiFlushTlbRange((PVOID)Remapping->Address, 1);
    return Mapped;
}

static VOID RemapEachRound(PREMAPPING Remapping)
{
    for (LONG Round = 1; Round <= READER_ROUNDS && !KtHasFailed(); Round++)
    {
        KT_CHECK(Remap(Remapping, Round), "no page table");
        Remapping->Read = 0;
        WriteRelease(&Remapping->Round, Round);
        ReadPage(Remapping, Round);
        KT_CHECK(KtWaitFor(&Remapping->Read, (LONG)KtProcessors() - 1, MEETING_LIMIT), "%d readers",
                 Remapping->Read);
    }
    WriteRelease(&Remapping->Stop, TRUE);
}

static VOID ReadOrRemap(PVOID Context, ULONG Processor)
{
    if (Processor == 0)
    {
        RemapEachRound(Context);
    }
    else
    {
        ReadEachRound(Context);
    }
}

/* The last page of the IO region: MmMapIoSpace gives it out last of all. */
static VOID NoOldTranslation(VOID)
{
    REMAPPING Remapping = {
        .Address = (volatile ULONG64 *)(MM_IO_SPACE_BASE + MM_IO_SPACE_SIZE - 2 * PAGE_SIZE)};
    KIRQL Old;

    KT_REQUIRE(ArchTranslate((PVOID)Remapping.Address) == ARCH_NOT_MAPPED, "in use");
    for (ULONG Index = 0; Index < 2; Index++)
    {
        Remapping.Frames[Index] = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, 'tseT');
        KT_REQUIRE(Remapping.Frames[Index] != NULL, "no memory");
    }
    KtParallel(ReadOrRemap, &Remapping);
    KeAcquireSpinLock(&MiSystemPteLock, &Old);
    ArchUnmapPage((PVOID)Remapping.Address);
    KeReleaseSpinLock(&MiSystemPteLock, Old);
    KiFlushTlbRange((PVOID)Remapping.Address, 1);
    for (ULONG Index = 0; Index < 2; Index++)
    {
        ExFreePoolWithTag(Remapping.Frames[Index], 'tseT');
    }
}

static const KT_CASE Cases[] = {
    {"ipi-L83-all-are-inside", AllAreInside, 0, FALSE},
    {"ipi-L83-nothing-else-runs", NothingElseRuns, 2, FALSE},
    {"ipi-L83-called-in-a-dpc", CalledInDpc, 0, FALSE},
    {"ipi-Rm-all-call-at-once", AllAtOnce, 0, FALSE},
    {"ipi-Rp-no-old-translation", NoOldTranslation, 0, FALSE},
};

KT_DEFINE_SUITE(KtIpiSuite, "ke", Cases);
