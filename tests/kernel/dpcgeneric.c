/* SPDX-License-Identifier: MIT */
/*
 * dpcgeneric.c - KeGenericCallDpc: once on every processor, together at the barrier, one winner,
 * and the call returns when all are done; from everywhere at once, among rendezvous and flushes.
 * Law L33; regression R-f; torture T9.
 */
#include "kt.h"

#define ROUNDS 20

/* One call. Runs: each its own. The rest: any processor, locked add. */
typedef struct _CALL
{
    volatile LONG Runs[MAXIMUM_PROCESSORS];
    volatile LONG Arrived[ROUNDS];
    volatile LONG Winners[ROUNDS];
    volatile LONG Done;
    LONG Rounds;
} CALL, *PCALL;

static CALL Calls[MAXIMUM_PROCESSORS];

static VOID MeetAndLeave(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PCALL Call = Context;
    ULONG Processor = KeGetCurrentProcessorIndex();
    LONG Count = (LONG)KtProcessors();

    UNREFERENCED_PARAMETER(Dpc);
    KT_CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL && KeIsExecutingDpc(), "IRQL %u, DPC %u",
             KeGetCurrentIrql(), KeIsExecutingDpc());
    InterlockedIncrement(&Call->Runs[Processor]);
    for (LONG Round = 0; Round < Call->Rounds; Round++)
    {
        InterlockedIncrement(&Call->Arrived[Round]);
        if (KeSignalCallDpcSynchronize(Argument2))
        {
            InterlockedIncrement(&Call->Winners[Round]);
        }
        KT_CHECK(Call->Arrived[Round] == Count, "round %d: %d of %d are there", Round,
                 Call->Arrived[Round], Count);
    }
    KeStallExecutionProcessor(Processor * 7 % 64);
    InterlockedIncrement(&Call->Done);
    KeSignalCallDpcDone(Argument1);
}

static VOID MakeCall(PCALL Call, LONG Rounds)
{
    RtlZeroMemory((PVOID)Call, sizeof(*Call));
    Call->Rounds = Rounds;
    KeGenericCallDpc(MeetAndLeave, Call);
    KT_CHECK(Call->Done == (LONG)KtProcessors(), "%d are done on return", Call->Done);
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        KT_CHECK(Call->Runs[Processor] == 1, "%d runs on CPU %u", Call->Runs[Processor], Processor);
    }
    for (LONG Round = 0; Round < Rounds; Round++)
    {
        KT_CHECK(Call->Winners[Round] == 1, "round %d: %d winners", Round, Call->Winners[Round]);
    }
}

static VOID OnceOnEach(VOID)
{
    KIRQL OldIrql;

    MakeCall(&Calls[0], 0);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    MakeCall(&Calls[0], 0);
    KT_CHECK(KeGetCurrentIrql() == APC_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KeLowerIrql(OldIrql);
}

static VOID MeetAgainAndAgain(VOID)
{
    MakeCall(&Calls[0], ROUNDS);
    MakeCall(&Calls[0], ROUNDS);
}

/* ------------------------------------------------------------------ From everywhere. */

static volatile LONG Rendezvous;
static ULONG64 End;

static ULONG_PTR CountRendezvous(ULONG_PTR Argument)
{
    UNREFERENCED_PARAMETER(Argument);
    InterlockedIncrement(&Rendezvous);
    return 0;
}

static VOID NothingMuch(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeStallExecutionProcessor((ULONG)(ULONG_PTR)Context);
}

static VOID CallFromEverywhere(PVOID Context, ULONG Processor)
{
    KDPC Ordinary, Threaded;
    KT_RANDOM Random;
    LONG Made = 0;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    KeInitializeDpc(&Ordinary, NothingMuch, (PVOID)5);
    KeInitializeThreadedDpc(&Threaded, NothingMuch, (PVOID)5);
    do
    {
        ULONG64 Draw = KtRandom(&Random);

        KeSetTargetProcessorDpc(&Ordinary, (CHAR)(Draw % KtProcessors() % 64));
        KeSetTargetProcessorDpc(&Threaded, (CHAR)((Draw >> 8) % KtProcessors() % 64));
        KeInsertQueueDpc(&Ordinary, NULL, NULL);
        KeInsertQueueDpc(&Threaded, NULL, NULL);
        MakeCall(&Calls[Processor], (LONG)(Draw >> 16) & 3);
        if ((Draw >> 32) % 4 == 0)
        {
            KeIpiGenericCall(CountRendezvous, 0);
            Made++;
        }
        if ((Draw >> 40) % 4 == 0)
        {
            KeFlushQueuedDpcs();
        }
    } while (KtNow() < End && !KtHasFailed());
    KeFlushQueuedDpcs(); /* the DPCs are on this stack */
    InterlockedExchangeAdd((volatile LONG *)Context, Made);
}

static VOID FromEverywhere(VOID)
{
    volatile LONG Made = 0;

    Rendezvous = 0;
    End = KtNow() + KtBudget();
    KtParallel(CallFromEverywhere, (PVOID)&Made);
    KT_CHECK(Rendezvous == Made * (LONG)KtProcessors(), "%d rendezvous, %d calls", Rendezvous,
             Made);
}

static const KT_CASE Cases[] = {
    {"dpcgeneric-L33-R-f-once-on-each", OnceOnEach, 0, FALSE},
    {"dpcgeneric-L33-meet-again", MeetAgainAndAgain, 2, FALSE},
    {"dpcgeneric-L33-from-everywhere", FromEverywhere, 0, FALSE},
};

KT_DEFINE_SUITE(KtDpcGenericSuite, "ke", Cases);
