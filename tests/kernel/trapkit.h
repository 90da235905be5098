/* SPDX-License-Identifier: MIT */
/*
 * trapkit.h - vectors and the local APIC, for the tests of IRQL, interrupts and traps: taking a
 * vector over and giving it back, and what this processor's APIC holds.
 */
#pragma once

#include <arch/hal.h>
#include <interrupt.h>

#include "kt.h"

/* All vectors that can be sent and are no exception's, but for the spurious one. */
#define KT_FIRST_VECTOR APC_VECTOR
#define KT_LAST_VECTOR PROFILE_VECTOR

/* From here until KtGiveVectors, Routine handles every vector of that range but the spurious one.
 * Lines that interrupt by one of them are masked meanwhile. KtChainVector, from Routine, does what
 * the kernel needs done for its own: clock, DPCs, rendezvous. PASSIVE_LEVEL, one case at a time. */
VOID KtTakeVectors(HALP_VECTOR_ROUTINE *Routine);
VOID KtGiveVectors(VOID);
VOID KtChainVector(PKTRAP_FRAME Frame);

/* TRUE for the vectors that may arrive without the test's having sent them: clock, DISPATCH. */
BOOLEAN KtArrivesByItself(ULONG Vector);

/* The Nth device vector of that IRQL, counted from the top of its class, that no line has. */
ULONG KtUnusedVector(KIRQL Irql, ULONG Nth);

/* This processor's APIC: task priority (IRQL << 4); whether Vector is requested, that is, has
 * arrived and is held back; how many vectors are in service. Not to be preempted meanwhile. */
ULONG KtTaskPriority(VOID);
BOOLEAN KtIsRequested(ULONG Vector);
ULONG KtCountInService(VOID);

/* TRUE if the APIC ends SPURIOUS_VECTOR like any other when it was sent as an interrupt, as the SDM
 * has it; Bochs keeps it in service. The probe leaves nothing in service either way. */
BOOLEAN KtSpuriousVectorEnds(VOID);

/* Spins until Vector is requested; FALSE after some seconds. */
BOOLEAN KtWaitRequested(ULONG Vector);

/* A device interrupt without a line, for group 0's active processors. NULL, and the case has
 * failed, if it cannot be connected. */
PKINTERRUPT KtConnect(ULONG Vector, KIRQL SynchronizeIrql, PKSPIN_LOCK SpinLock,
                      KINTERRUPT_MODE Mode, BOOLEAN Shared, PKSERVICE_ROUTINE Routine,
                      PVOID Context);

/* Microseconds in so many TSC ticks, about. */
ULONG64 KtTicksToMicroseconds(ULONG64 Ticks);
