/* SPDX-License-Identifier: MIT */
/*
 * apcthreads.c - APCs for other threads: running on another processor, waiting, preempted, ending;
 * waits that go on behind them; waits within regions; a switch within an APC; alerts. Laws L79,
 * L80; regression R-k.
 */
#include "apckit.h"

/* The last processor: another than the test's, if there is another. */
static ULONG Elsewhere(VOID)
{
    return KtProcessors() - 1;
}

static BOOLEAN AwaitRuns(PKT_APC Apc, LONG Runs)
{
    if (KtAwait(&Apc->KernelRuns, Runs))
    {
        return TRUE;
    }
    KT_CHECK(FALSE, "%d runs, not %d", Apc->KernelRuns, Runs);
    KeRemoveQueueApc(&Apc->Apc); /* it is on a stack */
    return FALSE;
}

/* ------------------------------------------------------------------ Running elsewhere. */

/* The target makes no call and has no company: only vector 0x1F gets in. */
static VOID ToRunning(VOID)
{
    PKPRCB Prcb = KiProcessorBlock[Elsewhere()];
    ULONG64 Interrupts = Prcb->ApcInterrupts;
    KT_APC Special, Normal;
    KT_TARGET Target;

    if (!KtStartTarget(&Target, Elsewhere(), KtTargetSpins))
    {
        return;
    }
    KtInitializeSpecialApc(&Special, Target.Thread);
    KtInitializeNormalApc(&Normal, Target.Thread, NULL);
    for (LONG Round = 1; Round <= 100; Round++)
    {
        KT_CHECK(KtInsertApc(&Special) && KtInsertApc(&Normal), "not inserted");
        if (!AwaitRuns(&Special, Round) || !AwaitRuns(&Normal, Round))
        {
            break;
        }
        KT_CHECK(KtAwait(&Normal.NormalRuns, Round), "normal routine: %d of %d", Normal.NormalRuns,
                 Round);
        KT_CHECK(Special.Thread == Target.Thread && Normal.Thread == Target.Thread,
                 "ran in another thread");
        KT_CHECK(Special.KernelIrql == APC_LEVEL && Normal.NormalIrql == PASSIVE_LEVEL,
                 "special at IRQL %u, normal routine at %u", Special.KernelIrql, Normal.NormalIrql);
    }
    KT_CHECK(Prcb->ApcInterrupts != Interrupts, "no APC interrupt on CPU %u", Elsewhere());
    KtStopTarget(&Target);
    KtNote("%llu APC interrupts for 200 APCs", Prcb->ApcInterrupts - Interrupts);
}

/* ------------------------------------------------------------------ Preempted. */

typedef struct _PREEMPTION
{
    KT_APC Apc;
    LONG RunsWhilePreempted;
} PREEMPTION, *PPREEMPTION;

/* On the processor of the thread that the APC is for, and above it: that one cannot run. */
static VOID InsertFromAbove(PKT_TARGET Self)
{
    PPREEMPTION Preemption = Self->Context;
    KPRIORITY OldPriority = KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY);

    KtInsertApc(&Preemption->Apc);
    KeStallExecutionProcessor(200);
    Preemption->RunsWhilePreempted = Preemption->Apc.KernelRuns;
    KeSetPriorityThread(KeGetCurrentThread(), OldPriority);
}

static VOID ToPreempted(VOID)
{
    static KT_TARGET Below, Above;
    PREEMPTION Preemption = {.RunsWhilePreempted = -1};

    if (!KtStartTarget(&Below, Elsewhere(), KtTargetSpins))
    {
        return;
    }
    KtInitializeSpecialApc(&Preemption.Apc, Below.Thread);
    Above.Context = &Preemption;
    if (KtStartTarget(&Above, Elsewhere(), InsertFromAbove))
    {
        AwaitRuns(&Preemption.Apc, 1);
        KtStopTarget(&Above);
        KT_CHECK(Preemption.RunsWhilePreempted == 0, "%d runs of a thread that had no processor",
                 Preemption.RunsWhilePreempted);
        KT_CHECK(Preemption.Apc.Thread == Below.Thread, "ran in another thread");
    }
    KtStopTarget(&Below);
}

/* ------------------------------------------------------------------ Waiting. */

/* The wait is interrupted, goes on, and ends by what it is for. */
static VOID ToWaiting(VOID)
{
    KT_TARGET Target;
    KT_APC Apc;

    if (!KtStartTarget(&Target, Elsewhere(), KtTargetWaits))
    {
        return;
    }
    KtInitializeSpecialApc(&Apc, Target.Thread);
    for (LONG Round = 1; Round <= 20; Round++)
    {
        KT_CHECK(KtAwaitCommitted(Target.Thread), "round %d: it does not wait", Round);
        KtInsertApc(&Apc);
        if (!AwaitRuns(&Apc, Round))
        {
            break;
        }
        KT_CHECK(Apc.Thread == Target.Thread && Apc.KernelIrql == APC_LEVEL,
                 "ran in thread %p at IRQL %u", Apc.Thread, Apc.KernelIrql);
    }
    KT_CHECK(KtAwaitCommitted(Target.Thread), "it does not wait again");
    KT_CHECK(Target.Rounds == 0, "an APC ended the wait: %x", Target.Status);
    KtStopTarget(&Target);
    KT_CHECK(Target.Status == STATUS_SUCCESS, "the wait returned %x", Target.Status);
}

#define DELAY_MS 30

static VOID Delays(PKT_TARGET Target)
{
    LARGE_INTEGER Interval = {.QuadPart = -(LONGLONG)KT_MILLISECONDS(DELAY_MS)};
    ULONG64 Start = KtNow();
    NTSTATUS Status = KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE,
                                            &Interval);
    ULONG64 Took = KtNow() - Start;

    KT_CHECK(Took >= KT_MILLISECONDS(DELAY_MS), "a wait of %u ms took %llu us", DELAY_MS,
             Took / 10);
    WriteRelease(&Target->Status, Status);
    WriteRelease(&Target->Rounds, 1);
}

/* However often it is interrupted, a time-out comes: each time it waits for the rest only. */
static VOID TimeoutGoesOn(VOID)
{
    ULONG64 End = KtNow() + KT_APC_LIMIT;
    KT_TARGET Target;
    LONG Runs = 0;
    KT_APC Apc;

    if (!KtStartTarget(&Target, Elsewhere(), Delays))
    {
        return;
    }
    KtInitializeSpecialApc(&Apc, Target.Thread);
    while (ReadAcquire(&Target.Rounds) == 0 && KtNow() < End)
    {
        if (KtInsertApc(&Apc) && !AwaitRuns(&Apc, ++Runs))
        {
            break;
        }
    }
    KT_CHECK(Target.Rounds == 1, "the time-out never came; %d APCs", Runs);
    KtStopTarget(&Target);
    KT_CHECK(Target.Status == STATUS_TIMEOUT, "the wait returned %x", Target.Status);
    KtNote("%d APCs in a wait of %u ms", Runs, DELAY_MS);
}

/* Who has run an APC waits again behind those who came meanwhile. */
static VOID WaitsForContext(PKT_TARGET Target)
{
    LONG Status = KeWaitForSingleObject(Target->Context, Executive, KernelMode, FALSE, NULL);

    WriteRelease(&Target->Status, Status);
    InterlockedIncrement(&Target->Rounds);
}

static VOID WaitsAgainAtTheTail(VOID)
{
    KT_TARGET First = {0}, Second = {0};
    KEVENT Event;
    KT_APC Apc;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    First.Context = Second.Context = &Event;
    if (!KtStartTarget(&First, 0, WaitsForContext))
    {
        return;
    }
    KT_CHECK(KtAwaitCommitted(First.Thread), "the first does not wait");
    if (KtStartTarget(&Second, Elsewhere(), WaitsForContext))
    {
        KT_CHECK(KtAwaitCommitted(Second.Thread), "the second does not wait");
        KtInitializeSpecialApc(&Apc, First.Thread);
        KtInsertApc(&Apc);
        AwaitRuns(&Apc, 1);
        KT_CHECK(KtAwaitCommitted(First.Thread), "the first does not wait again");
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
        KT_CHECK(KtAwait(&Second.Rounds, 1), "the event released nobody");
        KT_CHECK(First.Rounds == 0, "the event released the first");
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
        KtStopTarget(&Second);
    }
    else
    {
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    }
    KtStopTarget(&First);
}

/* ---------------------------------------------------------------- Waiting within regions (L79). */

static VOID WaitsInCriticalRegion(PKT_TARGET Target)
{
    PKT_APC Normal = Target->Context;

    KeEnterCriticalRegion();
    WriteRelease(&Target->Status,
                 KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE, NULL));
    KT_CHECK(Normal->KernelRuns == 0, "a normal APC ran in a critical region");
    KeLeaveCriticalRegion();
    KT_CHECK(Normal->KernelRuns == 1 && Normal->NormalRuns == 1,
             "%d and %d runs behind the critical region", Normal->KernelRuns, Normal->NormalRuns);
}

static VOID ToWaitingInCriticalRegion(VOID)
{
    KT_APC Normal, Special;
    KT_TARGET Target;

    Target.Context = &Normal;
    RtlZeroMemory(&Normal, sizeof(Normal));
    if (!KtStartTarget(&Target, Elsewhere(), WaitsInCriticalRegion))
    {
        return;
    }
    KtInitializeNormalApc(&Normal, Target.Thread, NULL);
    KtInitializeSpecialApc(&Special, Target.Thread);
    KT_CHECK(KtAwaitCommitted(Target.Thread), "it does not wait");
    KtInsertApc(&Normal);
    KtInsertApc(&Special);
    if (AwaitRuns(&Special, 1)) /* this delivery has seen the normal one, too */
    {
        KT_CHECK(KtAwaitCommitted(Target.Thread), "it does not wait again");
        KT_CHECK(Normal.KernelRuns == 0, "a normal APC ran in a critical region");
    }
    KtStopTarget(&Target);
    KT_CHECK(Target.Status == STATUS_SUCCESS, "the wait returned %x", Target.Status);
    KT_CHECK(!KeRemoveQueueApc(&Normal.Apc), "it was still queued");
}

static VOID WaitsInGuardedRegion(PKT_TARGET Target)
{
    PKT_APC Apc = Target->Context;

    KeEnterGuardedRegion();
    WriteRelease(&Target->Status,
                 KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE, NULL));
    KT_CHECK(Apc->KernelRuns == 0, "an APC ran in a guarded region");
    KeLeaveGuardedRegion();
    KT_CHECK(Apc->KernelRuns == 1, "%d runs behind the guarded region", Apc->KernelRuns);
}

static VOID WaitsAtApcLevel(PKT_TARGET Target)
{
    PKT_APC Apc = Target->Context;
    KIRQL OldIrql;

    KeRaiseIrql(APC_LEVEL, &OldIrql);
    WriteRelease(&Target->Status,
                 KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE, NULL));
    KT_CHECK(KeGetCurrentIrql() == APC_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(Apc->KernelRuns == 0, "an APC ran at APC_LEVEL");
    KeLowerIrql(OldIrql);
    KT_CHECK(Apc->KernelRuns == 1, "%d runs below APC_LEVEL", Apc->KernelRuns);
}

static VOID ToWaitingUndelivered(VOID (*Body)(PKT_TARGET Target))
{
    KT_TARGET Target;
    KT_APC Apc;

    Target.Context = &Apc;
    RtlZeroMemory(&Apc, sizeof(Apc));
    if (!KtStartTarget(&Target, Elsewhere(), Body))
    {
        return;
    }
    KtInitializeSpecialApc(&Apc, Target.Thread);
    KT_CHECK(KtAwaitCommitted(Target.Thread), "it does not wait");
    KtInsertApc(&Apc);
    KT_CHECK(ReadAcquire(&Target.Thread->WaitState) == KI_WAIT_COMMITTED,
             "an APC that may not run ended the wait");
    KtStopTarget(&Target);
    KT_CHECK(Target.Status == STATUS_SUCCESS, "the wait returned %x", Target.Status);
    KT_CHECK(!KeRemoveQueueApc(&Apc.Apc), "it was still queued");
}

static VOID ToWaitingInGuardedRegion(VOID)
{
    ToWaitingUndelivered(WaitsInGuardedRegion);
}

static VOID ToWaitingAtApcLevel(VOID)
{
    ToWaitingUndelivered(WaitsAtApcLevel);
}

/* ---------------------------------------------------------------- A switch within an APC (R-k). */

static VOID WaitForContext(PKT_APC Apc)
{
    NTSTATUS Status = KeWaitForSingleObject(Apc->Context, Executive, KernelMode, FALSE, NULL);

    KT_CHECK(Status == STATUS_SUCCESS, "the wait returned %x", Status);
    KT_CHECK(KeGetCurrentIrql() == APC_LEVEL, "IRQL %u", KeGetCurrentIrql());
}

/* Has Thread wait in an APC that an interrupt brought it. Should it have been off its processor at
 * that moment the switch back brought it, and the next try does better. */
static BOOLEAN BlockInInterrupt(PKT_APC Blocking, PKEVENT Event, PKTHREAD Thread, PKPRCB Prcb)
{
    KtInitializeSpecialApc(Blocking, Thread);
    Blocking->OnKernel = WaitForContext;
    Blocking->Context = Event;
    for (LONG Try = 1; Try <= 10; Try++)
    {
        ULONG64 Interrupts = Prcb->ApcInterrupts;

        KtInsertApc(Blocking);
        if (!KtAwaitCommitted(Thread))
        {
            break;
        }
        if (Prcb->ApcInterrupts != Interrupts)
        {
            return TRUE;
        }
        KeSetEvent(Event, IO_NO_INCREMENT, FALSE);
        AwaitRuns(Blocking, Try);
        KeClearEvent(Event);
    }
    KT_CHECK(FALSE, "no interrupt brought the APC");
    return FALSE;
}

/* An APC that an interrupt delivered waits, in the interrupt. On the same processor the vector must
 * go on working for the next thread, which has nothing else to bring it its APC. */
static VOID SwitchWithinApc(VOID)
{
    PKPRCB Prcb = KiProcessorBlock[Elsewhere()];
    KT_TARGET First, Second;
    KT_APC Blocking, Next;
    LONG Before;
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    if (!KtStartTarget(&First, Elsewhere(), KtTargetSpins))
    {
        return;
    }
    if (BlockInInterrupt(&Blocking, &Event, First.Thread, Prcb) &&
        KtStartTarget(&Second, Elsewhere(), KtTargetSpins))
    {
        KtInitializeSpecialApc(&Next, Second.Thread);
        for (LONG Round = 1; Round <= 10; Round++)
        {
            KtInsertApc(&Next);
            if (!AwaitRuns(&Next, Round))
            {
                break;
            }
        }
        KtStopTarget(&Second);
    }
    Before = Blocking.KernelRuns;
    KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    AwaitRuns(&Blocking, Before + 1); /* it had waited for its event all the time */
    KtStopTarget(&First);
}

/* ------------------------------------------------------------------ The end of a thread. */

typedef struct _RUNDOWN
{
    KT_APC Held;      /* normal, held back by a critical region */
    KT_APC NoRoutine; /* the same, without a rundown routine */
} RUNDOWN, *PRUNDOWN;

static VOID EndsWithApcs(PKT_TARGET Target)
{
    PRUNDOWN Rundown = Target->Context;

    KtInitializeNormalApc(&Rundown->Held, KeGetCurrentThread(), NULL);
    KtInitializeNormalApc(&Rundown->NoRoutine, KeGetCurrentThread(), NULL);
    Rundown->NoRoutine.Apc.RundownRoutine = NULL;
    KeEnterCriticalRegion();
    KtInsertApc(&Rundown->Held);
    KtInsertApc(&Rundown->NoRoutine);
}

/* What was accepted and may not run is told to its owner; nothing more is accepted. */
static VOID RundownAtTheEnd(VOID)
{
    KT_TARGET Target;
    RUNDOWN Rundown;
    KT_APC TooLate;

    Target.Context = &Rundown;
    if (!KtStartTarget(&Target, Elsewhere(), EndsWithApcs))
    {
        return;
    }
    KtStopTarget(&Target);
    KT_CHECK(Rundown.Held.Rundowns == 1 && Rundown.Held.RundownIrql == PASSIVE_LEVEL &&
                 Rundown.Held.KernelRuns == 0 && Rundown.Held.NormalRuns == 0,
             "%d rundowns at IRQL %u, %d and %d runs", Rundown.Held.Rundowns,
             Rundown.Held.RundownIrql, Rundown.Held.KernelRuns, Rundown.Held.NormalRuns);
    KT_CHECK(Rundown.NoRoutine.KernelRuns == 1 && Rundown.NoRoutine.KernelIrql == APC_LEVEL &&
                 Rundown.NoRoutine.NormalRuns == 0,
             "%d kernel runs at IRQL %u, %d normal runs", Rundown.NoRoutine.KernelRuns,
             Rundown.NoRoutine.KernelIrql, Rundown.NoRoutine.NormalRuns);
    KT_CHECK(Rundown.Held.Thread == Target.Thread && Rundown.NoRoutine.Thread == Target.Thread,
             "run down by another thread");
    KtInitializeSpecialApc(&TooLate, Target.Thread);
    KT_CHECK(!KtInsertApc(&TooLate), "accepted by a thread that has ended");
}

/* ------------------------------------------------------------------ Alerts. */

static VOID WaitsAlertably(PKT_TARGET Target)
{
    WriteRelease(&Target->Status,
                 KeWaitForSingleObject(&Target->Event, Executive, KernelMode, TRUE, NULL));
    InterlockedIncrement(&Target->Rounds);
}

static VOID AlertEndsAlertableWait(VOID)
{
    KT_TARGET Target;

    if (!KtStartTarget(&Target, Elsewhere(), WaitsAlertably))
    {
        return;
    }
    KT_CHECK(KtAwaitCommitted(Target.Thread), "it does not wait");
    KiAlertThread(Target.Thread);
    KT_CHECK(KtAwait(&Target.Rounds, 1), "the alert did not end the wait");
    KT_CHECK(Target.Status == STATUS_ALERTED, "the wait returned %x", Target.Status);
    KtStopTarget(&Target);
}

/* One that is not alertable goes on; the alert is kept for the next that is, and ends only one. */
static VOID WaitsBothWays(PKT_TARGET Target)
{
    LARGE_INTEGER Now = {.QuadPart = -1};

    WriteRelease(&Target->Status,
                 KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE, NULL));
    KT_CHECK(Target->Status == STATUS_SUCCESS, "not alertable: %x", Target->Status);
    WriteRelease(&Target->Status,
                 KeWaitForSingleObject(&Target->Event, Executive, KernelMode, TRUE, NULL));
    KT_CHECK(Target->Status == STATUS_ALERTED, "alertable: %x", Target->Status);
    WriteRelease(&Target->Status,
                 KeWaitForSingleObject(&Target->Event, Executive, KernelMode, TRUE, &Now));
    KT_CHECK(Target->Status == STATUS_TIMEOUT, "the second alertable one: %x", Target->Status);
    InterlockedIncrement(&Target->Rounds);
}

static VOID AlertIsKept(VOID)
{
    KT_TARGET Target;

    if (!KtStartTarget(&Target, Elsewhere(), WaitsBothWays))
    {
        return;
    }
    KT_CHECK(KtAwaitCommitted(Target.Thread), "it does not wait");
    KiAlertThread(Target.Thread);
    KT_CHECK(ReadAcquire(&Target.Thread->WaitState) == KI_WAIT_COMMITTED,
             "it ended a wait that is not alertable");
    KeSetEvent(&Target.Event, IO_NO_INCREMENT, FALSE);
    KT_CHECK(KtAwait(&Target.Rounds, 1), "the alert was lost");
    KtStopTarget(&Target);
}

static const KT_CASE Cases[] = {
    {"apc-L80-to-running", ToRunning, 2, FALSE},
    {"apc-L79-to-preempted", ToPreempted, 0, FALSE},
    {"apc-L80-to-waiting", ToWaiting, 0, FALSE},
    {"apc-timeout-goes-on", TimeoutGoesOn, 0, FALSE},
    {"apc-waits-again-at-the-tail", WaitsAgainAtTheTail, 0, FALSE},
    {"apc-L79-waits-in-critical-region", ToWaitingInCriticalRegion, 0, FALSE},
    {"apc-L79-waits-in-guarded-region", ToWaitingInGuardedRegion, 0, FALSE},
    {"apc-L79-waits-at-apc-level", ToWaitingAtApcLevel, 0, FALSE},
    {"apc-R-k-switch-within", SwitchWithinApc, 2, FALSE},
    {"apc-rundown", RundownAtTheEnd, 0, FALSE},
    {"apc-alert-ends-wait", AlertEndsAlertableWait, 0, FALSE},
    {"apc-alert-is-kept", AlertIsKept, 0, FALSE},
};

KT_DEFINE_SUITE(KtApcThreadSuite, "ke", Cases);
