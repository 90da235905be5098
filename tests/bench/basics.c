/* SPDX-License-Identifier: MIT */
/* basics.c - the small things that everything else is made of: CR8, STI, the counter, the pool. */
#include "bench.h"

#define BENCH_TAG 'hcnB'
#define POOL_BYTES 64

static VOID Cr8(VOID)
{
    KB_MEASURE("cr8-read", (VOID)KeGetCurrentIrql());
    KB_MEASURE("cr8-write", __writecr8(PASSIVE_LEVEL));
    KB_MEASURE("cli-sti", (_disable(), _enable()));
}

static VOID RaiseAndLower(VOID)
{
    KIRQL OldIrql;

    KB_MEASURE("irql-pair", (KeRaiseIrql(DISPATCH_LEVEL, &OldIrql), KeLowerIrql(OldIrql)));
}

static VOID Counter(VOID)
{
    KB_MEASURE("query-counter", KeQueryPerformanceCounter(NULL));
    KB_MEASURE("query-interrupt-time", KeQueryInterruptTime());
}

static VOID Pool(VOID)
{
    KB_MEASURE("pool-pair",
               ExFreePoolWithTag(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED,
                                                 POOL_BYTES, BENCH_TAG),
                                 BENCH_TAG));
}

static const KB_BENCH Benches[] = {
    {"cr8", Cr8, 1},
    {"irql", RaiseAndLower, 1},
    {"counter", Counter, 1},
    {"pool", Pool, 1},
};

KB_DEFINE_GROUP(KbBasicGroup, Benches);
