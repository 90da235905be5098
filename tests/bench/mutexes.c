/* SPDX-License-Identifier: MIT */
/* mutexes.c - mutexes that are no dispatcher objects, without a rival. */
#include "threads.h"

static FAST_MUTEX FastMutex;

static VOID FastMutexPair(VOID)
{
    ExInitializeFastMutex(&FastMutex);
    KB_MEASURE("thread-fast-mutex",
               (ExAcquireFastMutex(&FastMutex), ExReleaseFastMutex(&FastMutex)));
}

static const KB_BENCH Benches[] = {
    {"thread-fast-mutex", FastMutexPair, 1},
};

KB_DEFINE_GROUP(KbMutexGroup, Benches);
