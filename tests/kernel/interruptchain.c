/* SPDX-License-Identifier: MIT */
/*
 * interruptchain.c - several ISRs on one vector: who is called, in which order, when it ends; what
 * becomes of interrupts that nobody claims; and disconnecting in the middle of it all. Laws L37,
 * L38, L39.
 */
#include "trapkit.h"

#include <ex.h>
#include <io.h>

#define IRQL 6
#define ARRIVAL_LIMIT KT_SECONDS(10)
#define LINKS 3
#define MAXIMUM_CALLS 256

/* ------------------------------------------------------------------ L37: a chain whose ISRs answer
 * from a script, and a record of the calls. The chain is only ever walked on one processor. */

typedef struct _LINK
{
    PKINTERRUPT Interrupt;
    PCSTR Script; /* a character for each call: y claims, n does not; the last one repeats */
    ULONG Calls;
} LINK, *PLINK;

static LINK Links[LINKS];
static CHAR Called[MAXIMUM_CALLS + 1]; /* A, B, C */
static volatile LONG CalledCount;

static BOOLEAN AnswerByScript(PKINTERRUPT Interrupt, PVOID Context)
{
    PLINK Link = Context;
    SIZE_T Last = strlen(Link->Script) - 1;
    LONG Slot = CalledCount;
    CHAR Answer = Link->Script[Link->Calls < Last ? Link->Calls : Last];

    UNREFERENCED_PARAMETER(Interrupt);
    Link->Calls++;
    if (Slot < MAXIMUM_CALLS)
    {
        Called[Slot] = (CHAR)('A' + (Link - Links));
    }
    WriteRelease(&CalledCount, Slot + 1);
    return Answer == 'y';
}

static ULONG64 UnclaimedOf(ULONG Vector)
{
    KI_VECTOR_STATISTICS Statistics;

    KiQueryVector(Vector, &Statistics);
    return Statistics.Unclaimed;
}

/* One interrupt on the chain: which ISRs are called, in Expected's order, and whether it counts as
 * claimed. It interrupts this very thread, so once the first call is seen all have been made. */
static VOID ExpectCalls(ULONG Vector, const PCSTR Scripts[LINKS], PCSTR Expected, BOOLEAN Claimed)
{
    ULONG64 Unclaimed = UnclaimedOf(Vector);

    for (ULONG Index = 0; Index < LINKS; Index++)
    {
        Links[Index].Script = Scripts[Index];
        Links[Index].Calls = 0;
    }
    RtlZeroMemory(Called, sizeof(Called));
    CalledCount = 0;
    HalpSendIpi(KeGetCurrentProcessorIndex(), Vector);
    KT_CHECK(KtWaitFor(&CalledCount, 1, ARRIVAL_LIMIT), "no ISR is called");
    KT_CHECK(strcmp(Called, Expected) == 0, "called %s, expected %s", Called, Expected);
    KT_CHECK(UnclaimedOf(Vector) == Unclaimed + !Claimed, "%s: unclaimed %llu, expected %u",
             Expected, UnclaimedOf(Vector) - Unclaimed, !Claimed);
}

static BOOLEAN ConnectChain(ULONG Vector, KINTERRUPT_MODE Mode)
{
    BOOLEAN Connected = TRUE;

    for (ULONG Index = 0; Index < LINKS; Index++)
    {
        Links[Index].Script = "n";
        Links[Index].Interrupt = KtConnect(Vector, IRQL, NULL, Mode, TRUE, AnswerByScript,
                                           &Links[Index]);
        Connected &= Links[Index].Interrupt != NULL;
    }
    return Connected;
}

static VOID DisconnectChain(VOID)
{
    for (ULONG Index = 0; Index < LINKS; Index++)
    {
        IoDisconnectInterrupt(Links[Index].Interrupt);
    }
}

static VOID LevelStopsAtTheFirst(VOID)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);

    KT_REQUIRE(ConnectChain(Vector, LevelSensitive), "not connected");
    ExpectCalls(Vector, (PCSTR[]){"y", "y", "y"}, "A", TRUE);
    ExpectCalls(Vector, (PCSTR[]){"n", "y", "y"}, "AB", TRUE);
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "y"}, "ABC", TRUE);
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "n"}, "ABC", FALSE);
    DisconnectChain();
}

/* Each pass in which somebody claimed is followed by another. */
static VOID EdgeGoesRound(VOID)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);

    KT_REQUIRE(ConnectChain(Vector, Latched), "not connected");
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "n"}, "ABC", FALSE);
    ExpectCalls(Vector, (PCSTR[]){"yn", "n", "n"}, "ABCABC", TRUE);
    ExpectCalls(Vector, (PCSTR[]){"n", "yn", "n"}, "ABCABC", TRUE);
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "yn"}, "ABCABC", TRUE);
    ExpectCalls(Vector, (PCSTR[]){"yn", "nyn", "nnyn"}, "ABCABCABCABC", TRUE);
    ExpectCalls(Vector, (PCSTR[]){"yyn", "yn", "n"}, "ABCABCABC", TRUE);
    DisconnectChain();
}

/* An ISR that never says no must not hang the processor. */
static VOID EdgeIsBounded(VOID)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);

    KT_REQUIRE(ConnectChain(Vector, Latched), "not connected");
    Links[0].Script = "y";
    CalledCount = 0;
    HalpSendIpi(KeGetCurrentProcessorIndex(), Vector);
    KT_CHECK(KtWaitFor(&CalledCount, 1, ARRIVAL_LIMIT), "no ISR is called");
    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL && CalledCount % LINKS == 0, "%d calls",
             CalledCount);
    KtNote("an edge chain is walked %d times at most", CalledCount / LINKS);
    DisconnectChain();
}

/* The order is that of connecting, also after one in the middle left and came again. */
static VOID InConnectOrder(VOID)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);

    KT_REQUIRE(ConnectChain(Vector, LevelSensitive), "not connected");
    IoDisconnectInterrupt(Links[1].Interrupt);
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "n"}, "AC", FALSE);
    Links[1].Interrupt = KtConnect(Vector, IRQL, NULL, LevelSensitive, TRUE, AnswerByScript,
                                   &Links[1]);
    KT_REQUIRE(Links[1].Interrupt != NULL, "not connected");
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "n"}, "ACB", FALSE);
    IoDisconnectInterrupt(Links[0].Interrupt);
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "n"}, "CB", FALSE);
    Links[0].Interrupt = KtConnect(Vector, IRQL, NULL, LevelSensitive, TRUE, AnswerByScript,
                                   &Links[0]);
    KT_REQUIRE(Links[0].Interrupt != NULL, "not connected");
    ExpectCalls(Vector, (PCSTR[]){"n", "n", "n"}, "CBA", FALSE);
    DisconnectChain();
}

/* ------------------------------------------------------------------ L38, without a line: there is
 * nothing to mask, so all are counted. interruptline.c has the storm. */

#define UNCLAIMED_ROUNDS 300 /* more than make a storm */

static BOOLEAN DeclineAndCount(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    InterlockedIncrement((volatile LONG *)Context);
    return FALSE;
}

static VOID UnclaimedAreCounted(VOID)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);
    volatile LONG Count = 0;
    KI_VECTOR_STATISTICS Before, After;
    PKINTERRUPT Interrupt = KtConnect(Vector, IRQL, NULL, LevelSensitive, FALSE, DeclineAndCount,
                                      (PVOID)&Count);

    KT_REQUIRE(Interrupt != NULL, "not connected");
    KiQueryVector(Vector, &Before);
    for (LONG Round = 1; Round <= UNCLAIMED_ROUNDS && !KtHasFailed(); Round++)
    {
        HalpSendIpi(KeGetCurrentProcessorIndex(), Vector);
        KT_CHECK(KtWaitFor(&Count, Round, ARRIVAL_LIMIT), "%d of %d", Count, Round);
    }
    IoDisconnectInterrupt(Interrupt);
    KiQueryVector(Vector, &After);
    KT_CHECK(Count == UNCLAIMED_ROUNDS && After.Unclaimed - Before.Unclaimed == UNCLAIMED_ROUNDS &&
                 After.Interrupts - Before.Interrupts == UNCLAIMED_ROUNDS,
             "%d ISR calls, %llu interrupts, %llu unclaimed", Count,
             After.Interrupts - Before.Interrupts, After.Unclaimed - Before.Unclaimed);
    KT_CHECK(!After.Masked && After.Storms == Before.Storms, "a storm without a line");
}

/* ------------------------------------------------------------------ L39: processor 0 connects and
 * disconnects; some others send the vector to it and to one another, all the time. They are few
 * whatever there is: an ISR's lock is first come, first served, and on an emulator with many more
 * processors than its host has, each hand-over may take a time slice. */

#define ALIVE 0x0A11F1EDu
#define DEAD 0xDEADDEADu
#define ISR_PAUSES 200
#define MAXIMUM_SENDERS 2

typedef struct _MORTAL
{
    volatile ULONG State;
    volatile LONG Inside;
    volatile LONG Calls;
} MORTAL, *PMORTAL;

typedef struct _UNDER_FIRE
{
    ULONG Vector;
    BOOLEAN Shared; /* between two others: the first declines, the last claims */
    volatile LONG Stop;
    volatile LONG Sent;
    ULONG Rounds, Called;
    ULONG Targets[MAXIMUM_SENDERS + 1]; /* processor 0, then the senders */
    ULONG TargetCount;
} UNDER_FIRE, *PUNDER_FIRE;

static UNDER_FIRE Fire;

/* Slow, so that disconnecting finds it running. */
static BOOLEAN MortalIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PMORTAL Mortal = Context;

    UNREFERENCED_PARAMETER(Interrupt);
    InterlockedIncrement(&Mortal->Inside);
    for (ULONG Pause = 0; Pause < ISR_PAUSES; Pause++)
    {
        KT_CHECK(Mortal->State == ALIVE, "the ISR runs after disconnecting: state %x",
                 Mortal->State);
        YieldProcessor();
    }
    Mortal->Calls++;
    InterlockedDecrement(&Mortal->Inside);
    return FALSE;
}

static BOOLEAN Decline(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    return FALSE;
}

static BOOLEAN Claim(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    return TRUE;
}

static VOID SendToTargets(PVOID Context, ULONG Processor)
{
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    while (!ReadAcquire(&Fire.Stop))
    {
        HalpSendIpi(Fire.Targets[KtRandom(&Random) % Fire.TargetCount], Fire.Vector);
        InterlockedIncrement(&Fire.Sent);
        for (ULONG Pause = (ULONG)KtRandom(&Random) % 200; Pause != 0; Pause--)
        {
            YieldProcessor();
        }
    }
}

/* Connected, fired at, disconnected, and poisoned at once. */
static VOID DisconnectAndPoison(PMORTAL Mortal, PKINTERRUPT Interrupt)
{
    LONG Sent = Fire.Sent;

    HalpSendIpi(KeGetCurrentProcessorIndex(), Fire.Vector);
    KtWaitFor(&Fire.Sent, Sent + 3, KT_SECONDS(1));
    IoDisconnectInterrupt(Interrupt);
    Mortal->State = DEAD;
    KT_CHECK(Mortal->Inside == 0, "%d ISRs run after disconnecting", Mortal->Inside);
}

/* The last of the chain claims. From the flush to the end of the disconnecting every interrupt
 * finds it, whether it comes by the mortal one or not. */
static VOID DisconnectTheMiddle(PMORTAL Mortal, PKINTERRUPT Middle)
{
    PKINTERRUPT Last = KtConnect(Fire.Vector, IRQL, NULL, LevelSensitive, TRUE, Claim, NULL);
    ULONG64 Unclaimed;

    KT_REQUIRE(Last != NULL, "not connected");
    KeFlushQueuedDpcs(); /* those that came before it are done */
    Unclaimed = UnclaimedOf(Fire.Vector);
    DisconnectAndPoison(Mortal, Middle);
    KT_CHECK(UnclaimedOf(Fire.Vector) == Unclaimed, "%llu interrupts missed the chain's end",
             UnclaimedOf(Fire.Vector) - Unclaimed);
    IoDisconnectInterrupt(Last);
}

static VOID LiveAndDie(VOID)
{
    PMORTAL Mortal = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Mortal), 'tseT');
    PKINTERRUPT Interrupt;

    KT_REQUIRE(Mortal != NULL, "no memory");
    Mortal->State = ALIVE;
    Interrupt = KtConnect(Fire.Vector, IRQL, NULL, LevelSensitive, Fire.Shared, MortalIsr, Mortal);
    KT_REQUIRE(Interrupt != NULL, "not connected");
    if (Fire.Shared)
    {
        DisconnectTheMiddle(Mortal, Interrupt);
    }
    else
    {
        DisconnectAndPoison(Mortal, Interrupt);
    }
    KeStallExecutionProcessor(50); /* whoever is still in there has time to see it */
    Fire.Called += Mortal->Calls != 0;
    Fire.Rounds++;
    ExFreePoolWithTag(Mortal, 'tseT');
}

/* Processor 0 and some others, one after another from a random one on. */
static VOID ChooseTargets(VOID)
{
    ULONG Others = KtProcessors() - 1;
    KT_RANDOM Random;
    ULONG Start;

    KtSeed(&Random, 0);
    Start = (ULONG)(KtRandom(&Random) % Others);
    Fire.TargetCount = 1 + (Others < MAXIMUM_SENDERS ? Others : MAXIMUM_SENDERS);
    for (ULONG Index = 1; Index < Fire.TargetCount; Index++)
    {
        Fire.Targets[Index] = 1 + (Start + Index) % Others;
    }
}

static VOID FireAtIt(BOOLEAN Shared)
{
    KT_JOB Jobs[MAXIMUM_SENDERS];
    ULONG64 End = KtNow() + KtBudget();

    RtlZeroMemory(&Fire, sizeof(Fire));
    Fire.Vector = KtUnusedVector(IRQL, 0);
    Fire.Shared = Shared;
    ChooseTargets();
    for (ULONG Index = 1; Index < Fire.TargetCount; Index++)
    {
        KtStart(&Jobs[Index - 1], Fire.Targets[Index], SendToTargets, NULL);
    }
    do
    {
        LiveAndDie();
    } while ((KtNow() < End || Fire.Rounds < 3) && !KtHasFailed());
    WriteRelease(&Fire.Stop, TRUE);
    for (ULONG Index = 1; Index < Fire.TargetCount; Index++)
    {
        KtJoin(&Jobs[Index - 1]);
    }
    KT_CHECK(Fire.Called != 0, "the ISR was called in none of %u rounds", Fire.Rounds);
    KtNote("%u rounds, called in %u, %d interrupts sent", Fire.Rounds, Fire.Called, Fire.Sent);
}

static VOID AloneUnderFire(VOID)
{
    FireAtIt(FALSE);
}

static VOID MiddleUnderFire(VOID)
{
    PKINTERRUPT First = KtConnect(KtUnusedVector(IRQL, 0), IRQL, NULL, LevelSensitive, TRUE,
                                  Decline, NULL);

    KT_REQUIRE(First != NULL, "not connected");
    FireAtIt(TRUE);
    IoDisconnectInterrupt(First);
}

static const KT_CASE Cases[] = {
    {"interrupt-L37-level-stops-at-the-first", LevelStopsAtTheFirst, 0, FALSE},
    {"interrupt-L37-edge-goes-round", EdgeGoesRound, 0, FALSE},
    {"interrupt-L37-edge-is-bounded", EdgeIsBounded, 0, FALSE},
    {"interrupt-L37-in-connect-order", InConnectOrder, 0, FALSE},
    {"interrupt-L38-unclaimed-are-counted", UnclaimedAreCounted, 0, FALSE},
    {"interrupt-L39-disconnect-under-fire", AloneUnderFire, 2, FALSE},
    {"interrupt-L39-leave-a-chain-under-fire", MiddleUnderFire, 2, FALSE},
};

KT_DEFINE_SUITE(KtInterruptChainSuite, "ke", Cases);
