/* SPDX-License-Identifier: MIT */
/*
 * interrupt.h - interrupt objects, for the I/O manager, the clock and the tests.
 */
#pragma once

#include <arch/hal.h>

#include "ki.h"

/* One connection of one ISR to one vector. */
struct _KINTERRUPT
{
    /* The chain: written under KiVectorLock, followed by the dispatcher without it. */
    struct _KINTERRUPT *volatile Next;

    /* Constant while connected. */
    PKSERVICE_ROUTINE ServiceRoutine;
    PVOID ServiceContext;
    PKSPIN_LOCK ActualLock; /* the caller's, or SpinLock below */
    ULONG Vector;
    KIRQL Irql;
    KIRQL SynchronizeIrql;
    KINTERRUPT_MODE Mode;
    BOOLEAN ShareVector;
    KAFFINITY ProcessorEnableMask; /* of group 0 */

    KSPIN_LOCK SpinLock; /* at SynchronizeIrql: the driver's data that the ISR shares */
};

#define KI_STORM_BACKOFF 1000000u /* 100 ns units: 100 ms until a masked line is tried again */

/* Connects a filled-in object; errors as for IoConnectInterrupt. PASSIVE_LEVEL. */
NTSTATUS KiConnectInterrupt(PKINTERRUPT Interrupt);
/* On return the ISR neither runs nor will. PASSIVE_LEVEL. */
VOID KiDisconnectInterrupt(PKINTERRUPT Interrupt);

/* How a device vector has fared; the tests and the monitor read it. */
typedef struct _KI_VECTOR_STATISTICS
{
    ULONG64 Interrupts;
    ULONG64 Unclaimed;
    ULONG Storms;
    BOOLEAN Masked;
    ULONG Target;
} KI_VECTOR_STATISTICS, *PKI_VECTOR_STATISTICS;

VOID KiQueryVector(ULONG Vector, PKI_VECTOR_STATISTICS Statistics);

/* The first object connected to the vector, or NULL; it lasts as long as its driver lets it. */
PKINTERRUPT KiFirstInterrupt(ULONG Vector);

/* Storms: TRUE if some line is masked for one; tries those whose back-off is over again. */
BOOLEAN KiStormsPending(VOID);
VOID KiRetryStormyLines(VOID);
