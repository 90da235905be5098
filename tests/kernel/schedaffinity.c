/* SPDX-License-Identifier: MIT */
/*
 * schedaffinity.c - a thread runs where it may: on one of its processors when the call that says so
 * returns, at DISPATCH_LEVEL when the IRQL falls, and wherever it is woken or taken from. Law L74.
 */
#include "schedkit.h"

static BOOLEAN IsWithin(const GROUP_AFFINITY *Affinity)
{
    PROCESSOR_NUMBER Number;

    KeGetCurrentProcessorNumberEx(&Number);
    return Number.Group == Affinity->Group && (Affinity->Mask >> Number.Number & 1) != 0;
}

#define CHECK_WITHIN(Affinity)                                                                     \
    KT_CHECK(IsWithin(Affinity), "on CPU %u, not in %u:%llx", KeGetCurrentProcessorIndex(),        \
             (Affinity)->Group, (Affinity)->Mask)

/* In a thread that may run anywhere. */
static VOID InThread(VOID (*Routine)(PVOID Context))
{
    static KT_THREAD Thread;

    KtCreateThread(&Thread, Routine, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(&Thread);
}

/* ------------------------------------------------------------------ At once, and when lowered. */

#define HOPS 3 /* to each processor */

static VOID HopEverywhere(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG Hop = 0; Hop < HOPS * KtProcessors(); Hop++)
    {
        GROUP_AFFINITY Affinity = SchedOneProcessor(Hop * 3 % KtProcessors());

        KeSetSystemGroupAffinityThread(&Affinity, NULL);
        CHECK_WITHIN(&Affinity);
    }
    KeRevertToUserAffinityThread();
}

static VOID ObeyedWhenItReturns(VOID)
{
    InThread(HopEverywhere);
}

static VOID HopRaised(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG Hop = 0; Hop < HOPS * KtProcessors(); Hop++)
    {
        GROUP_AFFINITY Affinity = SchedOneProcessor((Hop + 1) * 5 % KtProcessors());
        ULONG Before;
        KIRQL OldIrql;

        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        Before = KeGetCurrentProcessorIndex();
        KeSetSystemGroupAffinityThread(&Affinity, NULL);
        KT_CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL, "IRQL %u", KeGetCurrentIrql());
        KT_CHECK(KeGetCurrentProcessorIndex() == Before, "moved at DISPATCH_LEVEL");
        KeLowerIrql(OldIrql);
        CHECK_WITHIN(&Affinity);
    }
    KeRevertToUserAffinityThread();
}

static VOID DeferredAtDispatchLevel(VOID)
{
    InThread(HopRaised);
}

/* ------------------------------------------------------------------ What it was before. */

static VOID CheckAffinity(KAFFINITY Mask, BOOLEAN System)
{
    PKTHREAD Thread = KeGetCurrentThread();

    KT_CHECK(Thread->Affinity.Mask == Mask, "affinity %llx, not %llx", Thread->Affinity.Mask, Mask);
    KT_CHECK(Thread->SystemAffinityActive == System, "system affinity %u",
             Thread->SystemAffinityActive);
    CHECK_WITHIN(&Thread->Affinity);
}

#define FIRST ((KAFFINITY)1)
#define SECOND ((KAFFINITY)2)

static VOID SetAndRevert(PVOID Context)
{
    KAFFINITY Own = KeGetCurrentThread()->UserAffinity.Mask, Previous;

    UNREFERENCED_PARAMETER(Context);
    Previous = KeSetSystemAffinityThreadEx(FIRST);
    KT_CHECK(Previous == 0, "previous %llx where there was none", Previous);
    CheckAffinity(FIRST, TRUE);
    Previous = KeSetSystemAffinityThreadEx(SECOND);
    KT_CHECK(Previous == FIRST, "previous %llx", Previous);
    CheckAffinity(SECOND, TRUE);
    Previous = KeSetSystemAffinityThreadEx(FIRST | SECOND);
    KT_CHECK(Previous == SECOND, "previous %llx", Previous);
    CheckAffinity(FIRST | SECOND, TRUE);
    KeRevertToUserAffinityThreadEx(FIRST);
    CheckAffinity(FIRST, TRUE);
    KeRevertToUserAffinityThreadEx(0);
    CheckAffinity(Own, FALSE);

    KeSetSystemAffinityThread(SECOND);
    CheckAffinity(SECOND, TRUE);
    KeRevertToUserAffinityThread();
    CheckAffinity(Own, FALSE);
    KeRevertToUserAffinityThread();
    CheckAffinity(Own, FALSE);
    Previous = KeSetSystemAffinityThreadEx(FIRST);
    KT_CHECK(Previous == 0, "previous %llx after a revert", Previous);
    KeRevertToUserAffinityThreadEx(Previous);
    CheckAffinity(Own, FALSE);
}

static VOID PreviousAndRevert(VOID)
{
    InThread(SetAndRevert);
}

/* ------------------------------------------------------------------ What names no processor. */

static VOID SetInvalid(PVOID Context)
{
    KAFFINITY Own = KeGetCurrentThread()->UserAffinity.Mask;
    KAFFINITY Active = KeQueryActiveProcessors();

    UNREFERENCED_PARAMETER(Context);
    KeSetSystemAffinityThreadEx(0);
    CheckAffinity(Own, FALSE);
    KeSetSystemAffinityThread(0);
    CheckAffinity(Own, FALSE);
    KeSetSystemAffinityThreadEx(FIRST);
    KeSetSystemAffinityThreadEx(0);
    CheckAffinity(FIRST, TRUE);
    if (~Active != 0)
    {
        KeSetSystemAffinityThreadEx(~Active);
        CheckAffinity(FIRST, TRUE);
        KeSetSystemAffinityThreadEx(~Active | FIRST);
        CheckAffinity(FIRST, TRUE);
        KeRevertToUserAffinityThreadEx(~Active);
        CheckAffinity(FIRST, TRUE);
    }
    KeRevertToUserAffinityThread();
    CheckAffinity(Own, FALSE);
}

static VOID InvalidHasNoEffect(VOID)
{
    InThread(SetInvalid);
}

/* ------------------------------------------------------------------ The group variants. */

static BOOLEAN IsZero(const GROUP_AFFINITY *Affinity)
{
    return Affinity->Mask == 0 && Affinity->Group == 0 && Affinity->Reserved[0] == 0 &&
           Affinity->Reserved[1] == 0 && Affinity->Reserved[2] == 0;
}

static VOID SetInvalidGroups(const GROUP_AFFINITY *Standing)
{
    GROUP_AFFINITY Bad[] = {
        {.Mask = 0},
        {.Mask = 1, .Group = KeQueryActiveGroupCount()},
        {.Mask = 1, .Group = 0xFFFF},
        {.Mask = 1, .Reserved = {0, 0, 1}},
    };

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Bad); Index++)
    {
        GROUP_AFFINITY Previous;

        RtlFillMemory(&Previous, sizeof(Previous), 0xA5);
        KeSetSystemGroupAffinityThread(&Bad[Index], &Previous);
        KT_CHECK(IsZero(&Previous), "case %u: previous %u:%llx", Index, Previous.Group,
                 Previous.Mask);
        CheckAffinity(Standing->Mask, TRUE);
    }
}

static VOID SetGroups(PVOID Context)
{
    GROUP_AFFINITY Own = KeGetCurrentThread()->UserAffinity, Previous, Ignored;
    GROUP_AFFINITY Last = SchedOneProcessor(KtProcessors() - 1), First = SchedOneProcessor(0);

    UNREFERENCED_PARAMETER(Context);
    RtlFillMemory(&Previous, sizeof(Previous), 0xA5);
    KeSetSystemGroupAffinityThread(&Last, &Previous);
    KT_CHECK(IsZero(&Previous), "previous %u:%llx where there was none", Previous.Group,
             Previous.Mask);
    CHECK_WITHIN(&Last);
    SetInvalidGroups(&Last);
    KeSetSystemGroupAffinityThread(&First, &Previous);
    KT_CHECK(Previous.Group == Last.Group && Previous.Mask == Last.Mask, "previous %u:%llx",
             Previous.Group, Previous.Mask);
    CHECK_WITHIN(&First);
    KeRevertToUserGroupAffinityThread(&Previous);
    CHECK_WITHIN(&Last);
    RtlZeroMemory(&Ignored, sizeof(Ignored));
    KeRevertToUserGroupAffinityThread(&Ignored);
    CHECK_WITHIN(&Own);
    CheckAffinity(Own.Mask, FALSE);
}

static VOID GroupVariants(VOID)
{
    InThread(SetGroups);
}

/* ------------------------------------------------------------------ Woken, and taken. */

#define WAKES 8

static KEVENT Wake;
static volatile LONG Woken;

static VOID WakeWithin(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (LONG Round = 0; Round < WAKES; Round++)
    {
        GROUP_AFFINITY Affinity = SchedOneProcessor((ULONG)(Round + 1) % KtProcessors());

        KeSetSystemGroupAffinityThread(&Affinity, NULL);
        KtWait(&Wake);
        CHECK_WITHIN(&Affinity);
        InterlockedIncrement(&Woken);
    }
}

static VOID WokenWhereItMayRun(VOID)
{
    static KT_THREAD Thread;

    KeInitializeEvent(&Wake, SynchronizationEvent, FALSE);
    Woken = 0;
    KtCreateThread(&Thread, WakeWithin, NULL, DIRECTOR_PRIORITY, KT_ANYWHERE);
    for (LONG Round = 0; Round < WAKES; Round++)
    {
        SchedAwaitBlocked(&Thread);
        KeSetEvent(&Wake, IO_NO_INCREMENT, FALSE);
        KT_CHECK(KtWaitFor(&Woken, Round + 1, SCHED_LIMIT), "not woken");
    }
    KtJoinThread(&Thread);
}

static volatile LONG Told; /* the processor that it has run on, + 1 */

static VOID TellWhere(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    WriteRelease(&Told, (LONG)KeGetCurrentProcessorIndex() + 1);
}

/* It waits behind a better one while another processor is idle, and looks. */
static VOID NotTakenByOthers(VOID)
{
    static KT_THREAD Thread;
    static HOG Hog;
    ULONG Processor = KtProcessors() - 1;

    Told = 0;
    HogStart(&Hog, KI_DEFAULT_PRIORITY + 4, Processor);
    HogAwait(&Hog);
    KtCreateThread(&Thread, TellWhere, NULL, KI_DEFAULT_PRIORITY, Processor);
    SchedAwaitReady(&Thread);
    for (ULONG Look = 0; Look < WAKES; Look++)
    {
        KtSleep(KT_MILLISECONDS(1)); /* CPU 0 idles, and looks */
    }
    KT_CHECK(Told == 0, "ran on CPU %d past a better thread", Told - 1);
    HogJoin(&Hog);
    KtJoinThread(&Thread);
    KT_CHECK(Told == (LONG)Processor + 1, "ran on CPU %d, not %u", Told - 1, Processor);
}

static const KT_CASE Cases[] = {
    {"sched-L74-obeyed-when-it-returns", ObeyedWhenItReturns, 2, FALSE},
    {"sched-L74-deferred-at-dispatch", DeferredAtDispatchLevel, 2, FALSE},
    {"sched-L74-previous-and-revert", PreviousAndRevert, 2, FALSE},
    {"sched-L74-invalid-has-no-effect", InvalidHasNoEffect, 0, FALSE},
    {"sched-L74-groups", GroupVariants, 0, FALSE},
    {"sched-L74-woken-where-it-may-run", WokenWhereItMayRun, 0, FALSE},
    {"sched-L74-not-taken-by-others", NotTakenByOthers, 2, FALSE},
};

KT_DEFINE_SUITE(KtSchedulerAffinitySuite, "ke", Cases);
