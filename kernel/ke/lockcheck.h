/* SPDX-License-Identifier: MIT */
/*
 * lockcheck.h - what checked builds verify at each acquire and release; nothing in free builds.
 */
#pragma once

#include "ki.h"

typedef enum _KI_LOCK_KIND
{
    KiLockKindSpin,
    KiLockKindQueued,
    KiLockKindShared, /* these two: an EX_SPIN_LOCK, by a reader, by a writer */
    KiLockKindExclusive
} KI_LOCK_KIND;

#if DBG
VOID KiLockCheckBeforeAcquire(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind);
/* Caller: for the reports, who called the routine that acquires. */
VOID KiLockCheckAcquired(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind, PVOID Caller);
#define KiLockCheckAfterAcquire(SpinLock, Kind)                                                    \
    KiLockCheckAcquired((SpinLock), (Kind), __builtin_return_address(0))
VOID KiLockCheckBeforeRelease(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind);

/* The same for reader/writer locks, whose word has 32 bits. */
VOID KiLockCheckBeforeAcquireRw(volatile LONG *SpinLock);
#define KiLockCheckAfterAcquireRw(SpinLock, Kind)                                                  \
    KiLockCheckAcquired((PKSPIN_LOCK)(SpinLock), (Kind), __builtin_return_address(0))
VOID KiLockCheckBeforeReleaseRw(volatile LONG *SpinLock, KI_LOCK_KIND Kind);
/* The reader is the writer now. */
VOID KiLockCheckConverted(volatile LONG *SpinLock);
#else
#define KiLockCheckBeforeAcquireRw(SpinLock) ((void)0)
#define KiLockCheckAfterAcquireRw(SpinLock, Kind) ((void)0)
#define KiLockCheckBeforeReleaseRw(SpinLock, Kind) ((void)0)
#define KiLockCheckConverted(SpinLock) ((void)0)
#define KiLockCheckBeforeAcquire(SpinLock, Kind) ((void)0)
#define KiLockCheckAfterAcquire(SpinLock, Kind) ((void)0)
#define KiLockCheckBeforeRelease(SpinLock, Kind) ((void)0)
#endif
