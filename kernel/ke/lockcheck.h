/* SPDX-License-Identifier: MIT */
/*
 * lockcheck.h - what checked builds verify at each acquire and release; nothing in free builds.
 */
#pragma once

#include "ki.h"

typedef enum _KI_LOCK_KIND
{
    KiLockKindSpin,
    KiLockKindQueued
} KI_LOCK_KIND;

#if DBG
VOID KiLockCheckBeforeAcquire(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind);
/* Caller: for the reports, who called the routine that acquires. */
VOID KiLockCheckAcquired(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind, PVOID Caller);
#define KiLockCheckAfterAcquire(SpinLock, Kind)                                                    \
    KiLockCheckAcquired((SpinLock), (Kind), __builtin_return_address(0))
VOID KiLockCheckBeforeRelease(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind);
#else
#define KiLockCheckBeforeAcquire(SpinLock, Kind) ((void)0)
#define KiLockCheckAfterAcquire(SpinLock, Kind) ((void)0)
#define KiLockCheckBeforeRelease(SpinLock, Kind) ((void)0)
#endif
