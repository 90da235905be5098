/* SPDX-License-Identifier: MIT */
/*
 * bench.h - measurements that run inside the kernel.
 *
 * A benchmark is a routine; like a test it runs in the boot thread at
 * PASSIVE_LEVEL while all other processors are idle, and leaves the machine that way. It reports
 * series of values, each as one JSON object on a line of COM2:
 *     {"bench":"spin-pair","unit":"tsc","per":8,"min":112,"median":112,"max":340,"n":101}
 * A value is for `per` operations. Time is in TSC ticks, less the cost of the empty measurement;
 * when QEMU counts instructions (-icount shift=0), a tick is an instruction.
 */
#pragma once

#include "../kernel/kt.h"

typedef struct _KB_BENCH
{
    PCSTR Name; /* what bench= matches */
    VOID (*Routine)(VOID);
    ULONG MinimumProcessors; /* with fewer it does not run */
} KB_BENCH, *PKB_BENCH;

typedef struct _KB_GROUP
{
    const KB_BENCH *Benches;
    ULONG Count;
} KB_GROUP, *PKB_GROUP;

#define KB_DEFINE_GROUP(Symbol, Benches) const KB_GROUP Symbol = {Benches, RTL_NUMBER_OF(Benches)}

/* A series: begun, given up to KB_MAXIMUM_SAMPLES values, then written out. One at a time. */
#define KB_MAXIMUM_SAMPLES 201
#define KB_ROUNDS 101
VOID KbBegin(PCSTR Name, PCSTR Unit, ULONG Per);
VOID KbSample(ULONG64 Value);
VOID KbEnd(VOID);

/* One value, as a series of one. */
VOID KbReport(PCSTR Name, PCSTR Unit, ULONG64 Value);

/* Ticks of an empty measurement: what KB_TIME has to take off. */
extern ULONG64 KbEmptyTicks;

/* The time of what stands between the two, as a sample. */
#define KB_START() ULONG64 KbStarted = __rdtsc()
#define KB_STOP() KbSample(__rdtsc() - KbStarted - KbEmptyTicks)

#define KB_TWICE(Statement)                                                                        \
    Statement;                                                                                     \
    Statement
#define KB_EIGHT(Statement) KB_TWICE(KB_TWICE(KB_TWICE(Statement)))

/* A series of KB_ROUNDS, each of eight times Statement in a row. */
#define KB_MEASURE(Name, Statement)                                                                \
    do                                                                                             \
    {                                                                                              \
        KbBegin(Name, "tsc", 8);                                                                   \
        for (ULONG KbRound = 0; KbRound < KB_ROUNDS; KbRound++)                                    \
        {                                                                                          \
            KB_START();                                                                            \
            KB_EIGHT(Statement);                                                                   \
            KB_STOP();                                                                             \
        }                                                                                          \
        KbEnd();                                                                                   \
    } while (0)
