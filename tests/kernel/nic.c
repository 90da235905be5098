/* SPDX-License-Identifier: MIT */
/*
 * nic.c - the network driver: its ISR and DPC share a state area, and nothing may ever be lost or
 * torn, on whatever processors the two run.
 *
 * The device interrupts by itself (ICS), so this needs no traffic; wire.c has the tests that do.
 */
#include "nic.h"

#include <interrupt.h>
#include <twin.h>

#include "kt.h"

#define LINE_ROUNDS 64
#define AREA_FIRES 200
#define QUIET_US 20000
#define LINK_CAUSE 2 /* the bit number of E1000_CAUSE_LSC */
#define HAND_SHAKE_LIMIT KT_SECONDS(10)

static PDEVICE_OBJECT KtNic(VOID)
{
    PDEVICE_OBJECT Device = IopFindDevice("e1000", 0);

    if (Device == NULL)
    {
        KtSkip("no e1000 here");
    }
    return Device;
}

VOID KtNicControl(PDEVICE_OBJECT Device, ULONG Code, PVOID Buffer, ULONG Length)
{
    NTSTATUS Status = IopDeviceControl(Device, Code, Buffer, Length);

    KT_CHECK(NT_SUCCESS(Status), "control %08x: status %08x", Code, (ULONG)Status);
}

VOID KtNicQuery(PDEVICE_OBJECT Device, PE1000_STATISTICS Statistics)
{
    RtlZeroMemory(Statistics, sizeof(*Statistics));
    KtNicControl(Device, IOCTL_E1000_QUERY_STATISTICS, Statistics, sizeof(*Statistics));
}

/* Whatever an ISR has seen, a DPC has consumed: with the driver's locks right this comes true. */
static BOOLEAN KtNicIsIdle(const E1000_STATISTICS *S)
{
    return S->InterruptsSeen == S->InterruptsConsumed &&
           S->DpcRuns == S->DpcQueued + S->DpcRequeued + S->DpcByTimer;
}

/* What has happened. The timer's DPCs have not: a card that is polled is never without them. */
static ULONG64 KtNicWork(const E1000_STATISTICS *S)
{
    return S->IsrCalls + S->DpcRuns - S->DpcByTimer + S->RxFrames;
}

VOID KtNicSettle(PDEVICE_OBJECT Device, PE1000_STATISTICS Statistics)
{
    ULONG64 End = KtNow() + HAND_SHAKE_LIMIT;
    ULONG64 Before;

    KtNicQuery(Device, Statistics);
    do
    {
        Before = KtNicWork(Statistics);
        KeStallExecutionProcessor(QUIET_US);
        KtNicQuery(Device, Statistics);
    } while ((Before != KtNicWork(Statistics) || !KtNicIsIdle(Statistics)) && KtNow() < End);
}

VOID KtCheckBooks(const E1000_STATISTICS *S)
{
    ULONG64 Dropped = 0;

    for (ULONG Kind = 0; Kind < E1000RxDropMaximum; Kind++)
    {
        Dropped += S->RxDropped[Kind];
    }
    KT_CHECK(S->TornStates == 0, "%llu torn states", S->TornStates);
    KT_CHECK(S->IsrCalls == S->IsrClaimed + S->IsrUnclaimed, "%llu calls, %llu + %llu", S->IsrCalls,
             S->IsrClaimed, S->IsrUnclaimed);
    KT_CHECK(S->InterruptsSeen == S->InterruptsConsumed, "seen %llu, consumed %llu",
             S->InterruptsSeen, S->InterruptsConsumed);
    for (ULONG Bit = 0; Bit < E1000_CAUSE_BITS; Bit++)
    {
        KT_CHECK(S->CausesSeen[Bit] == S->CausesConsumed[Bit], "cause %u: seen %llu, consumed %llu",
                 Bit, S->CausesSeen[Bit], S->CausesConsumed[Bit]);
    }
    KT_CHECK(S->DpcRuns == S->DpcQueued + S->DpcRequeued + S->DpcByTimer,
             "%llu runs, %llu + %llu + %llu queued", S->DpcRuns, S->DpcQueued, S->DpcRequeued,
             S->DpcByTimer);
    KT_CHECK(S->RxFrames == S->RxDelivered + Dropped, "%llu frames, %llu + %llu", S->RxFrames,
             S->RxDelivered, Dropped);
    KT_CHECK(S->RxDelivered == S->RxReplies + S->RxNoReply, "%llu delivered, %llu + %llu",
             S->RxDelivered, S->RxReplies, S->RxNoReply);
    KT_CHECK(S->RxReplies + S->TxSends == S->TxQueued, "%llu + %llu to send, %llu queued",
             S->RxReplies, S->TxSends, S->TxQueued);
    KT_CHECK(S->TxQueued == S->TxCompleted + S->TxAborted + S->TxInFlight,
             "%llu queued, %llu + %llu + %llu", S->TxQueued, S->TxCompleted, S->TxAborted,
             S->TxInFlight);
}

static VOID Started(VOID)
{
    PDEVICE_OBJECT Device = KtNic();
    E1000_STATISTICS Statistics;

    if (Device == NULL)
    {
        return;
    }
    KtNicSettle(Device, &Statistics);
    KT_CHECK(Statistics.Irql == Statistics.Vector >> 4, "vector %02x at IRQL %u", Statistics.Vector,
             Statistics.Irql);
    KT_CHECK(Statistics.LinkUp && !Statistics.Vanished, "link %u, vanished %u", Statistics.LinkUp,
             Statistics.Vanished);
    KT_CHECK(Statistics.Polling || Statistics.IsrClaimed >= 1,
             "the proof's interrupt is not counted");
    KtCheckBooks(&Statistics);
}

/* Fires one link-status cause and waits until a DPC has consumed it. */
static BOOLEAN KtFireAndWait(PDEVICE_OBJECT Device)
{
    ULONG Causes = E1000_CAUSE_LSC;
    ULONG64 End = KtNow() + HAND_SHAKE_LIMIT;
    E1000_STATISTICS Before, Now;

    KtNicQuery(Device, &Before);
    KtNicControl(Device, IOCTL_E1000_FIRE_CAUSES, &Causes, sizeof(Causes));
    do
    {
        KtNicQuery(Device, &Now);
        if (Now.CausesConsumed[LINK_CAUSE] > Before.CausesConsumed[LINK_CAUSE])
        {
            return TRUE;
        }
    } while (KtNow() < End);
    return FALSE;
}

/* Each interrupt raised with a handshake is seen once and consumed once, wherever the line goes. */
static VOID LineOverEveryProcessor(VOID)
{
    PDEVICE_OBJECT Device = KtNic();
    ULONG Processors = KeQueryActiveProcessorCountEx(0);
    ULONG64 All = KeQueryActiveProcessors();
    E1000_STATISTICS Before, After;

    if (Device == NULL)
    {
        return;
    }
    KtNicSettle(Device, &Before);
    if (Before.Polling)
    {
        KtSkip("the card is polled: it has no line");
        return;
    }
    for (ULONG Round = 0; Round < LINE_ROUNDS || Round < Processors; Round++)
    {
        PKINTERRUPT Interrupt = KiFirstInterrupt(Before.Vector);

        KT_REQUIRE(NT_SUCCESS(KiRetargetInterrupt(Interrupt, Round % Processors)), "CPU %u",
                   Round % Processors);
        KT_REQUIRE(KtFireAndWait(Device), "interrupt %u, on CPU %u, was lost", Round,
                   Round % Processors);
    }
    KiRetargetInterrupt(KiFirstInterrupt(Before.Vector), 0);
    KtNicSettle(Device, &After);
    KT_CHECK(After.InterruptsSeen - Before.InterruptsSeen >= LINE_ROUNDS, "%llu seen of %u",
             After.InterruptsSeen - Before.InterruptsSeen, LINE_ROUNDS);
    if (Processors < 63)
    {
        KT_CHECK(After.IsrProcessors == All, "the ISR ran on %llx of %llx", After.IsrProcessors,
                 All);
    }
    KtCheckBooks(&After);
}

#if DBG
/* Waits, bounded, until the ISR has seen that many link causes. */
static VOID KtAwaitCauses(PDEVICE_OBJECT Device, ULONG64 Wanted)
{
    ULONG64 End = KtNow() + HAND_SHAKE_LIMIT;
    E1000_STATISTICS Statistics;

    do
    {
        KeStallExecutionProcessor(QUIET_US); /* asking takes the lock that keeps the ISR out */
        KtNicQuery(Device, &Statistics);
    } while (Statistics.CausesSeen[LINK_CAUSE] < Wanted && KtNow() < End);
}

#endif

E1000_TWIN KtNicTwin(VOID)
{
    static const struct
    {
        ULONG Kernel;
        E1000_TWIN Driver;
    } Twins[] = {
        {KiTwinNicNoLock, E1000TwinNoLock},     {KiTwinNicNoRaise, E1000TwinNoRaise},
        {KiTwinNicBlind, E1000TwinBlindWatch},  {KiTwinNicAllOnes, E1000TwinAllOnesOurs},
        {KiTwinNicTrusts, E1000TwinTrustsRing}, {KiTwinNicResets, E1000TwinResetsAtOnce},
        {KiTwinNicNoBudget, E1000TwinNoBudget}, {KiTwinNicClaimsAll, E1000TwinClaimsAll},
    };

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Twins); Index++)
    {
        if (KI_TWIN(Twins[Index].Kernel))
        {
            return Twins[Index].Driver;
        }
    }
    return E1000TwinNone;
}

/*
 * The DPC takes the state area apart while, in the middle of it, another interrupt is made to
 * arrive: on another processor, if there is one. Under the interrupt spin lock the ISR waits. The
 * broken twins fail here: without the lock at two or more processors, without the IRQL at any.
 */
static VOID StateArea(VOID)
{
#if DBG
    PDEVICE_OBJECT Device = KtNic();
    ULONG Twin = KtNicTwin();
    ULONG Target = KeQueryActiveProcessorCountEx(0) - 1;
    E1000_DELAY Delay = {
        .Microseconds = E1000_DELAY_MAXIMUM, .Seed = (ULONG)KiOptions.Seed, .Fires = AREA_FIRES};
    E1000_DELAY None = {0};
    ULONG64 HuntEnd = KtNow() + KT_SECONDS(20);
    E1000_STATISTICS Before, After;

    if (Device == NULL)
    {
        return;
    }
    KtNicQuery(Device, &Before);
    if (Before.Polling)
    {
        KtSkip("the card is polled: it has no ISR");
        return;
    }
    if (Twin == E1000TwinNoRaise)
    {
        Target = 0; /* the line's own processor, where this twin deadlocks with itself */
    }
    KtNicControl(Device, IOCTL_E1000_SET_DPC_TARGET, &Target, sizeof(Target));
    KtNicControl(Device, IOCTL_E1000_SET_TWIN, &Twin, sizeof(Twin));
    /* A broken driver is hunted: a host that does not run both CPUs at once hides it. */
    do
    {
        KtNicSettle(Device, &Before);
        KtNicControl(Device, IOCTL_E1000_SET_DELAY, &Delay, sizeof(Delay));
        KtFireAndWait(Device);
        KtAwaitCauses(Device, Before.CausesSeen[LINK_CAUSE] + AREA_FIRES + 1);
        KtNicSettle(Device, &After);
        KtNicControl(Device, IOCTL_E1000_SET_DELAY, &None, sizeof(None));
        KtCheckBooks(&After);
        Delay.Seed++;
    } while (Twin != E1000TwinNone && Target != 0 && !KtHasFailed() && KtNow() < HuntEnd);
    KT_CHECK(After.CausesSeen[LINK_CAUSE] > Before.CausesSeen[LINK_CAUSE] + AREA_FIRES,
             "%llu causes of %u", After.CausesSeen[LINK_CAUSE] - Before.CausesSeen[LINK_CAUSE],
             AREA_FIRES + 1);
    KtNote("%llu interrupts, %llu DPC runs, ISR on CPU 0, DPC on CPU %u",
           After.InterruptsSeen - Before.InterruptsSeen, After.DpcRuns - Before.DpcRuns, Target);
    Twin = E1000TwinNone;
    KtNicControl(Device, IOCTL_E1000_SET_TWIN, &Twin, sizeof(Twin));
#endif
}

static const KT_CASE Cases[] = {
    {"started", Started, 0, FALSE},
    {"L40-line-over-every-processor", LineOverEveryProcessor, 0, FALSE},
    {"L35-state-area", StateArea, 0, TRUE},
};

KT_DEFINE_SUITE(KtNicSuite, "nic", Cases);
