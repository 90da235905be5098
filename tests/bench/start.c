/* SPDX-License-Identifier: MIT */
/*
 * start.c - when this boot came where, on the TSC, which began at 0 when the machine did; and what
 * memory it holds. The host turns the first into the time since it started the emulator: it knows
 * when it has read the last line.
 */
#include <mi.h>
#include <start.h>

#include "bench.h"

static VOID Start(VOID)
{
    KbReport("boot-entered", "tsc", KiStartTimes.Entered);
    KbReport("boot-sent", "tsc", KiStartTimes.Sent);
    KbReport("boot-online", "tsc", KiStartTimes.Online);
    KbReport("boot-now", "tsc", __rdtsc());
}

static VOID Memory(VOID)
{
    MI_STATISTICS Statistics;

    MiQueryStatistics(&Statistics);
    KbReport("memory-used", "bytes", (Statistics.TotalPages - Statistics.FreePages) * PAGE_SIZE);
}

static const KB_BENCH Benches[] = {
    {"boot", Start, 1},
    {"memory", Memory, 1},
};

KB_DEFINE_GROUP(KbStartGroup, Benches);
