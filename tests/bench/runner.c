/* SPDX-License-Identifier: MIT */
/* runner.c - runs the benchmarks that a pattern selects, and writes what they report. */
#include "bench.h"

#include <arch/hal.h>
#include <start.h>

#include "../kernel/runner.h"

#define GROUPS(Group)                                                                              \
    Group(KbBasicGroup) Group(KbLockGroup) Group(KbDpcGroup) Group(KbInterruptGroup)               \
        Group(KbThreadGroup) Group(KbTimerGroup) Group(KbPairGroup) Group(KbMutexGroup)            \
            Group(KbStartGroup)

#define DECLARE(Group) extern const KB_GROUP Group;
#define REFER(Group) &Group,

GROUPS(DECLARE)

static const KB_GROUP *const KbGroups[] = {GROUPS(REFER)};

ULONG64 KbEmptyTicks;

/* The series being taken. */
static struct
{
    PCSTR Name;
    PCSTR Unit;
    ULONG Per;
    ULONG Count;
    ULONG64 Values[KB_MAXIMUM_SAMPLES];
} KbSeries;

VOID KbBegin(PCSTR Name, PCSTR Unit, ULONG Per)
{
    KbSeries.Name = Name;
    KbSeries.Unit = Unit;
    KbSeries.Per = Per;
    KbSeries.Count = 0;
}

/* A difference below zero (less than the empty measurement) counts as zero. */
VOID KbSample(ULONG64 Value)
{
    if (KbSeries.Count < KB_MAXIMUM_SAMPLES)
    {
        KbSeries.Values[KbSeries.Count++] = (LONG64)Value < 0 ? 0 : Value;
    }
}

/* Insertion sort: there are few, and nothing is being timed any more. */
static VOID KbSort(VOID)
{
    for (ULONG Index = 1; Index < KbSeries.Count; Index++)
    {
        ULONG64 Value = KbSeries.Values[Index];
        ULONG Place = Index;

        for (; Place > 0 && KbSeries.Values[Place - 1] > Value; Place--)
        {
            KbSeries.Values[Place] = KbSeries.Values[Place - 1];
        }
        KbSeries.Values[Place] = Value;
    }
}

VOID KbEnd(VOID)
{
    ULONG Count = KbSeries.Count;

    if (Count == 0)
    {
        return;
    }
    KbSort();
    KtPrint("{\"bench\":\"%s\",\"unit\":\"%s\",\"per\":%u,\"min\":%llu,\"median\":%llu,"
            "\"max\":%llu,\"n\":%u}\n",
            KbSeries.Name, KbSeries.Unit, KbSeries.Per, KbSeries.Values[0],
            KbSeries.Values[Count / 2], KbSeries.Values[Count - 1], Count);
}

VOID KbReport(PCSTR Name, PCSTR Unit, ULONG64 Value)
{
    KbBegin(Name, Unit, 1);
    KbSample(Value);
    KbEnd();
}

/* The smallest of many: what two readings of the TSC cost with nothing between them. */
static VOID KbMeasureEmpty(VOID)
{
    KbEmptyTicks = 0;
    KbBegin("empty", "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KB_START();
        KB_STOP();
    }
    KbEnd();
    KbEmptyTicks = KbSeries.Values[0];
}

VOID KtRunBenchmarks(PCSTR Pattern)
{
    KtPrint("{\"machine\":{\"build\":\"%s\",\"cpus\":%u,\"hz\":%llu}}\n", DBG ? "checked" : "free",
            KtProcessors(), HalpCounterFrequency);
    KtStartWorkers();
    KbMeasureEmpty();
    for (ULONG Group = 0; Group < RTL_NUMBER_OF(KbGroups); Group++)
    {
        for (ULONG Index = 0; Index < KbGroups[Group]->Count; Index++)
        {
            const KB_BENCH *Bench = &KbGroups[Group]->Benches[Index];

            if (KtProcessors() >= Bench->MinimumProcessors && KiMatchGlob(Pattern, Bench->Name))
            {
                KiLog(KiLogTrace, "bench: %s", Bench->Name);
                Bench->Routine();
            }
        }
    }
    KtPrint("{\"done\":true}\n");
}
