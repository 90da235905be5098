/* SPDX-License-Identifier: MIT */
/*
 * torturesched.c - threads that hop between processors, and threads whose priorities others change
 * wherever they are: running, ready, waiting. Laws L8, L74, L76, L77; regression R-h.
 *
 * A hopper looks where it is with the IRQL raised, where it cannot be moved, and whether it is
 * alone there. A thread whose priority is changed must go on making turns.
 */
#include "crew.h"

static CREW Crew;

/* ------------------------------------------------------------------ Hoppers. */

#define LEAST_HOPS 8

static volatile LONG Inside[MAXIMUM_PROCESSORS]; /* threads that are there at DISPATCH_LEVEL */

static GROUP_AFFINITY OneProcessor(ULONG Processor)
{
    GROUP_AFFINITY Affinity = {0};
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    Affinity.Group = Number.Group;
    Affinity.Mask = (KAFFINITY)1 << Number.Number;
    return Affinity;
}

static BOOLEAN IsWithin(const GROUP_AFFINITY *Affinity)
{
    PROCESSOR_NUMBER Number;

    KeGetCurrentProcessorNumberEx(&Number);
    return Number.Group == Affinity->Group && (Affinity->Mask >> Number.Number & 1) != 0;
}

/* At DISPATCH_LEVEL: a processor runs one thread, and this one stays. */
static VOID LookAround(PCREW_MEMBER Member)
{
    ULONG Processor = KeGetCurrentProcessorIndex();

    KT_CHECK(InterlockedIncrement(&Inside[Processor]) == 1, "%d threads on CPU %u",
             Inside[Processor], Processor);
    KT_CHECK(KeGetCurrentThread() == &Member->Thread.Thread, "another thread");
    KeStallExecutionProcessor(CrewDraw(Member, 8));
    KT_CHECK(KeGetCurrentProcessorIndex() == Processor, "moved to CPU %u at DISPATCH_LEVEL",
             KeGetCurrentProcessorIndex());
    InterlockedDecrement(&Inside[Processor]);
}

/* Two processors, or one. */
static GROUP_AFFINITY DrawAffinity(PCREW_MEMBER Member)
{
    GROUP_AFFINITY Affinity = OneProcessor(CrewDraw(Member, KtProcessors()));
    GROUP_AFFINITY Other = OneProcessor(CrewDraw(Member, KtProcessors()));

    if (Other.Group == Affinity.Group && CrewDraw(Member, 3) == 0)
    {
        Affinity.Mask |= Other.Mask;
    }
    return Affinity;
}

static VOID HopNow(PCREW_MEMBER Member, PGROUP_AFFINITY Affinity)
{
    KIRQL OldIrql;

    KeSetSystemGroupAffinityThread(Affinity, NULL);
    KT_CHECK(IsWithin(Affinity), "on CPU %u", KeGetCurrentProcessorIndex());
    CrewLinger(Member);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KT_CHECK(IsWithin(Affinity), "on CPU %u", KeGetCurrentProcessorIndex());
    LookAround(Member);
    KeLowerIrql(OldIrql);
}

static VOID HopWhenLowered(PCREW_MEMBER Member, PGROUP_AFFINITY Affinity)
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeSetSystemGroupAffinityThread(Affinity, NULL);
    LookAround(Member);
    KeLowerIrql(OldIrql);
    KT_CHECK(IsWithin(Affinity), "on CPU %u", KeGetCurrentProcessorIndex());
}

static VOID Hop(PCREW_MEMBER Member)
{
    GROUP_AFFINITY Affinity = DrawAffinity(Member);

    if (CrewDraw(Member, 3) == 0)
    {
        HopWhenLowered(Member, &Affinity);
    }
    else
    {
        HopNow(Member, &Affinity);
    }
    if (CrewDraw(Member, 4) == 0)
    {
        KtSleep(KT_MILLISECONDS(1) / 4);
        KT_CHECK(IsWithin(&Affinity), "woke on CPU %u", KeGetCurrentProcessorIndex());
    }
    if (CrewDraw(Member, 8) == 0)
    {
        KeRevertToUserAffinityThread();
    }
}

static VOID Hoppers(VOID)
{
    RtlZeroMemory(&Crew, sizeof(Crew));
    Crew.Name = "hoppers";
    Crew.Count = CrewSize(4, CREW_MOST);
    Crew.Least = LEAST_HOPS;
    Crew.Fixed = TRUE;
    Crew.Turn = Hop;
    CrewRun(&Crew);
}

/* ------------------------------------------------------------------ Priority flips. */

#define LEAST_TURNS 8
#define FLIPPERS 2
#define HIGHEST_FLIPPED 30 /* who flips, and the runner, are above */

static KSEMAPHORE Gate;

static VOID Work(PCREW_MEMBER Member)
{
    LARGE_INTEGER Patience = {.QuadPart = -(LONGLONG)KT_MILLISECONDS(2)};

    switch (CrewDraw(Member, 5))
    {
    case 0:
        KeStallExecutionProcessor(CrewDraw(Member, 50));
        break;
    case 1:
        KtSleep(CrewDraw(Member, 2000));
        break;
    case 2:
        KeWaitForSingleObject(&Gate, Executive, KernelMode, FALSE, &Patience);
        break;
    case 3:
        KeReleaseSemaphore(&Gate, (KPRIORITY)CrewDraw(Member, 8), 1, FALSE);
        break;
    default:
        KtYield();
        break;
    }
}

static VOID Flip(PCREW_MEMBER Member)
{
    PCREW_MEMBER Worker = &Crew.Members[CrewDraw(Member, Crew.Leaders)];
    KPRIORITY Priority = 1 + (KPRIORITY)CrewDraw(Member, HIGHEST_FLIPPED);
    KPRIORITY Old;

    if (Member->Turns == 0)
    {
        KeSetPriorityThread(KeGetCurrentThread(), HIGH_PRIORITY);
    }
    Old = KeSetPriorityThread(&Worker->Thread.Thread, Priority);
    KT_CHECK(Old >= 1 && Old <= HIGHEST_FLIPPED, "old priority %d", Old);
    if (CrewDraw(Member, 4) == 0)
    {
        KeSetBasePriorityThread(&Worker->Thread.Thread, (LONG)CrewDraw(Member, 13) - 6);
    }
    KtSleep(CrewDraw(Member, 4) == 0 ? KT_MILLISECONDS(1) : 500);
}

static VOID WorkOrFlip(PCREW_MEMBER Member)
{
    if (Member->Number < Crew.Leaders)
    {
        Work(Member);
    }
    else
    {
        Flip(Member);
    }
}

static VOID PriorityFlips(VOID)
{
    RtlZeroMemory(&Crew, sizeof(Crew));
    Crew.Name = "priority flips";
    Crew.Count = CrewSize(6, CREW_MOST);
    Crew.Leaders = Crew.Count - FLIPPERS;
    Crew.Least = LEAST_TURNS;
    Crew.Turn = WorkOrFlip;
    KeInitializeSemaphore(&Gate, 0, MAXLONG);
    CrewRun(&Crew);
}

static const KT_CASE Cases[] = {
    {"L74-L76-hoppers", Hoppers, 0, FALSE},
    {"L77-priority-flips", PriorityFlips, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtTortureSchedulerSuite, "torture", Cases);
