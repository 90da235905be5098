/* SPDX-License-Identifier: MIT */
/*
 * expect.h - landing pads: a test calls what must end in a bug check, and lives to tell (checked
 * builds).
 *
 * While a thread has a pad, a bug check it causes comes back to the pad instead of stopping the
 * machine. It is for violations that are found before any harm is done: a wrong IRQL, a lock taken
 * twice. The pad restores the registers, the IRQL and the list of held locks.
 */
#pragma once

#include "ki.h"

#if DBG

typedef struct _KI_LANDING_PAD
{
    ARCH_JUMP Jump;
    KIRQL Irql;
    ULONG HeldLockCount;
    LONG InterruptNesting; /* an ISR or DPC that interrupts the thread does not land on it */
    BOOLEAN DpcRoutineActive;
    ULONG Code;
    ULONG_PTR Parameters[4];
} KI_LANDING_PAD, *PKI_LANDING_PAD;

/* Arms Pad and calls Routine(Context); returns the bug check's code, or 0 if there was none. */
ULONG KiExpectBugCheck(PKI_LANDING_PAD Pad, VOID (*Routine)(PVOID Context), PVOID Context);

/* From the bug check: goes to the current thread's pad if it has one, else returns. */
VOID KiLandIfExpected(ULONG Code, const ULONG_PTR Parameters[4]);

#endif
