/* SPDX-License-Identifier: MIT */
/*
 * interruptconnect.c - connecting: what is refused and leaves nothing behind, what a shared vector
 * needs, the extended form, and KeSynchronizeExecution's promise. Laws L36, L41.
 */
#include <ntddk.h>

#include <mi.h>

#include "trapkit.h"

#define IRQL 5
#define ARRIVAL_LIMIT KT_SECONDS(10)

/* An ISR that claims and counts. */
static BOOLEAN Claim(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    InterlockedIncrement((volatile LONG *)Context);
    return TRUE;
}

static VOID ExpectCalled(ULONG Vector, volatile LONG *Count)
{
    LONG Before = *Count;

    HalpSendIpi(KeGetCurrentProcessorIndex(), Vector);
    KT_CHECK(KtWaitFor(Count, Before + 1, ARRIVAL_LIMIT) && *Count == Before + 1,
             "vector %02x: the ISR ran %d times", Vector, *Count - Before);
}

/* ------------------------------------------------------------------ Refusals. */

typedef struct _CONNECTION
{
    ULONG Vector;
    KIRQL Irql, SynchronizeIrql;
    PKSERVICE_ROUTINE Routine;
    KAFFINITY Mask;
    BOOLEAN FloatingSave;
} CONNECTION, *PCONNECTION;

static NTSTATUS Connect(const CONNECTION *Connection, PKINTERRUPT *Interrupt)
{
    static volatile LONG Count;

    return IoConnectInterrupt(Interrupt, Connection->Routine, (PVOID)&Count, NULL,
                              Connection->Vector, Connection->Irql, Connection->SynchronizeIrql,
                              Latched, FALSE, Connection->Mask, Connection->FloatingSave);
}

static VOID ExpectRefused(const CONNECTION *Connection, ULONG Line)
{
    PKINTERRUPT Interrupt = (PKINTERRUPT)1;
    MI_STATISTICS Before, After;
    NTSTATUS Status;

    MiQueryStatistics(&Before);
    Status = Connect(Connection, &Interrupt);
    MiQueryStatistics(&After);
    KT_CHECK(Status == STATUS_INVALID_PARAMETER, "row %u: status %x", Line, Status);
    KT_CHECK(Interrupt == NULL, "row %u: object %p", Line, Interrupt);
    KT_CHECK(After.PoolBytesInUse == Before.PoolBytesInUse, "row %u: %lld bytes leaked", Line,
             After.PoolBytesInUse - Before.PoolBytesInUse);
    if (NT_SUCCESS(Status))
    {
        IoDisconnectInterrupt(Interrupt);
    }
}

static VOID BadParametersRefused(VOID)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);
    KAFFINITY Nobody = ~KeQueryActiveProcessors();
    const CONNECTION Bad[] = {
        {DEVICE_VECTOR_FIRST - 1, 3, 3, Claim, 1, FALSE},
        {DEVICE_VECTOR_LAST + 1, 12, 12, Claim, 1, FALSE},
        {0, 0, 0, Claim, 1, FALSE},
        {0x100 + Vector, IRQL, IRQL, Claim, 1, FALSE},
        {CLOCK_VECTOR, CLOCK_LEVEL, CLOCK_LEVEL, Claim, 1, FALSE},
        {DISPATCH_VECTOR, DISPATCH_LEVEL, DISPATCH_LEVEL, Claim, 1, FALSE},
        {Vector, IRQL - 1, IRQL, Claim, 1, FALSE},
        {Vector, IRQL + 1, IRQL + 1, Claim, 1, FALSE},
        {Vector, IRQL, IRQL - 1, Claim, 1, FALSE},
        {Vector, IRQL, SYNCH_LEVEL + 1, Claim, 1, FALSE},
        {Vector, IRQL, HIGH_LEVEL, Claim, 1, FALSE},
        {Vector, IRQL, IRQL, Claim, 0, FALSE},
        {Vector, IRQL, IRQL, Claim, Nobody, FALSE},
        {Vector, IRQL, IRQL, NULL, 1, FALSE},
        {Vector, IRQL, IRQL, Claim, 1, TRUE},
    };

    for (ULONG Row = 0; Row < RTL_NUMBER_OF(Bad); Row++)
    {
        ExpectRefused(&Bad[Row], Row);
    }
}

static VOID GoodParametersTaken(VOID)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);
    const CONNECTION Good[] = {
        {Vector, IRQL, IRQL, Claim, 1, FALSE},
        {Vector, IRQL, SYNCH_LEVEL, Claim, ~(KAFFINITY)0, FALSE},
        {KtUnusedVector(4, 0), 4, 4, Claim, 1, FALSE},
        {KtUnusedVector(11, 0), 11, 11, Claim, 1, FALSE},
    };

    for (ULONG Row = 0; Row < RTL_NUMBER_OF(Good); Row++)
    {
        PKINTERRUPT Interrupt;
        NTSTATUS Status = Connect(&Good[Row], &Interrupt);

        KT_CHECK(NT_SUCCESS(Status) && Interrupt != NULL, "row %u: status %x", Row, Status);
        if (NT_SUCCESS(Status))
        {
            IoDisconnectInterrupt(Interrupt);
        }
    }
}

/* ------------------------------------------------------------------ Sharing. */

typedef struct _SHARING
{
    BOOLEAN Shared;
    KINTERRUPT_MODE Mode;
} SHARING;

/* With First on the vector, may Second join it? */
static VOID TrySharing(SHARING First, SHARING Second)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);
    volatile LONG FirstCount = 0, SecondCount = 0;
    BOOLEAN Allowed = First.Shared && Second.Shared && First.Mode == Second.Mode;
    PKINTERRUPT One, Two = (PKINTERRUPT)1;
    NTSTATUS Status;

    One = KtConnect(Vector, IRQL, NULL, First.Mode, First.Shared, Claim, (PVOID)&FirstCount);
    KT_REQUIRE(One != NULL, "vector %02x", Vector);
    Status = IoConnectInterrupt(&Two, Claim, (PVOID)&SecondCount, NULL, Vector, IRQL, IRQL,
                                Second.Mode, Second.Shared, 1, FALSE);
    KT_CHECK(Status == (Allowed ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER) &&
                 (Two != NULL) == Allowed,
             "first (%u, %u), second (%u, %u): status %x", First.Shared, First.Mode, Second.Shared,
             Second.Mode, Status);
    if (First.Mode == LevelSensitive)
    {
        ExpectCalled(Vector, &FirstCount); /* the first is none the worse */
        KT_CHECK(SecondCount == 0, "the refused or second ISR ran %d times", SecondCount);
    }
    if (NT_SUCCESS(Status))
    {
        IoDisconnectInterrupt(Two);
    }
    IoDisconnectInterrupt(One);
}

static VOID UsedVectorRefused(VOID)
{
    for (ULONG Case = 0; Case < 16; Case++)
    {
        SHARING First = {(Case & 1) != 0, (Case & 2) ? Latched : LevelSensitive};
        SHARING Second = {(Case & 4) != 0, (Case & 8) ? Latched : LevelSensitive};

        TrySharing(First, Second);
    }
}

/* ------------------------------------------------------------------ The extended form. */

static IO_CONNECT_INTERRUPT_PARAMETERS ExtendedParameters(PKINTERRUPT *Interrupt, ULONG Vector,
                                                          volatile LONG *Count)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters = {.Version = CONNECT_FULLY_SPECIFIED};

    Parameters.FullySpecified.InterruptObject = Interrupt;
    Parameters.FullySpecified.ServiceRoutine = Claim;
    Parameters.FullySpecified.ServiceContext = (PVOID)Count;
    Parameters.FullySpecified.Vector = Vector;
    Parameters.FullySpecified.Irql = IRQL;
    Parameters.FullySpecified.SynchronizeIrql = IRQL;
    Parameters.FullySpecified.InterruptMode = LevelSensitive;
    Parameters.FullySpecified.ProcessorEnableMask = 1;
    return Parameters;
}

static VOID ConnectExtended(ULONG Version, USHORT Group, NTSTATUS Expected)
{
    ULONG Vector = KtUnusedVector(IRQL, 0);
    volatile LONG Count = 0;
    PKINTERRUPT Interrupt = NULL;
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters = ExtendedParameters(&Interrupt, Vector, &Count);
    NTSTATUS Status;

    Parameters.Version = Version;
    Parameters.FullySpecified.Group = Group;
    Status = IoConnectInterruptEx(&Parameters);
    KT_CHECK(Status == Expected, "version %x, group %u: status %x", Version, Group, Status);
    if (NT_SUCCESS(Status))
    {
        IO_DISCONNECT_INTERRUPT_PARAMETERS Disconnect = {.Version = Version};

        ExpectCalled(Vector, &Count);
        Disconnect.ConnectionContext.InterruptObject = Interrupt;
        IoDisconnectInterruptEx(&Disconnect);
    }
    else
    {
        KT_CHECK(Interrupt == NULL, "version %x: object %p", Version, Interrupt);
    }
    if (Expected == STATUS_NOT_SUPPORTED)
    {
        KT_CHECK(Parameters.Version == CONNECT_FULLY_SPECIFIED_GROUP, "version %x told for %x",
                 Parameters.Version, Version);
    }
}

static VOID ExtendedForm(VOID)
{
    ConnectExtended(CONNECT_FULLY_SPECIFIED, 0, STATUS_SUCCESS);
    ConnectExtended(CONNECT_FULLY_SPECIFIED, 7, STATUS_SUCCESS); /* has no Group yet */
    ConnectExtended(CONNECT_FULLY_SPECIFIED_GROUP, 0, STATUS_SUCCESS);
    ConnectExtended(CONNECT_FULLY_SPECIFIED_GROUP, 1, STATUS_INVALID_PARAMETER);
    ConnectExtended(CONNECT_LINE_BASED, 0, STATUS_NOT_SUPPORTED);
    ConnectExtended(0, 0, STATUS_NOT_SUPPORTED);
    ConnectExtended(99, 0, STATUS_NOT_SUPPORTED);
}

/* ------------------------------------------------------------------ KeSynchronizeExecution. */

typedef struct _SYNCHRONIZED
{
    ULONG Processor;
    KIRQL Irql;
    BOOLEAN Answer;
    ULONG Runs;
} SYNCHRONIZED, *PSYNCHRONIZED;

static BOOLEAN Synchronized(PVOID Context)
{
    PSYNCHRONIZED Here = Context;

    Here->Runs++;
    KT_CHECK(KeGetCurrentProcessorIndex() == Here->Processor, "called on CPU %u, runs on %u",
             Here->Processor, KeGetCurrentProcessorIndex());
    KT_CHECK(KeGetCurrentIrql() == Here->Irql, "IRQL %u, expected %u", KeGetCurrentIrql(),
             Here->Irql);
    KT_CHECK((__readeflags() & EFLAGS_IF) != 0, "interrupts off");
    return Here->Answer;
}

static VOID SynchronizeFromEachLevel(PVOID Context, ULONG Processor)
{
    PKINTERRUPT Interrupt = Context;
    const KIRQL SynchronizeIrql = IRQL + 3;

    for (KIRQL Level = PASSIVE_LEVEL; Level <= SynchronizeIrql; Level++)
    {
        static const BOOLEAN Answers[] = {FALSE, TRUE, 0x5A}; /* a BOOLEAN is a byte: unchanged */

        for (ULONG Index = 0; Index < RTL_NUMBER_OF(Answers); Index++)
        {
            SYNCHRONIZED Here = {Processor, SynchronizeIrql, Answers[Index], 0};
            BOOLEAN Result;
            KIRQL Old;

            KeRaiseIrql(Level, &Old);
            Result = KeSynchronizeExecution(Interrupt, Synchronized, &Here);
            KT_CHECK(Result == Here.Answer && Here.Runs == 1, "returned %x of %x, ran %u times",
                     Result, Here.Answer, Here.Runs);
            KT_CHECK(KeGetCurrentIrql() == Level, "IRQL %u after, %u before", KeGetCurrentIrql(),
                     Level);
            KeLowerIrql(Old);
        }
    }
}

static VOID SynchronizesHere(VOID)
{
    PKINTERRUPT Interrupt = KtConnect(KtUnusedVector(IRQL, 0), IRQL + 3, NULL, Latched, FALSE,
                                      Claim, NULL);

    KT_REQUIRE(Interrupt != NULL, "IRQL %u", IRQL);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KtRunOn(Index, SynchronizeFromEachLevel, Interrupt);
    }
    IoDisconnectInterrupt(Interrupt);
}

static VOID SynchronizeTooHigh(PVOID Context)
{
    SYNCHRONIZED Here = {KeGetCurrentProcessorIndex(), IRQL, TRUE, 0};
    KIRQL Old;

    KeRaiseIrql(IRQL + 1, &Old);
    KeSynchronizeExecution(Context, Synchronized, &Here);
}

static VOID AcquireTooHigh(PVOID Context)
{
    KIRQL Old;

    KeRaiseIrql(IRQL + 1, &Old);
    KeAcquireInterruptSpinLock(Context);
}

static VOID SynchronizingTooHighStops(VOID)
{
    PKINTERRUPT Interrupt = KtConnect(KtUnusedVector(IRQL, 0), IRQL, NULL, Latched, FALSE, Claim,
                                      NULL);

    KT_REQUIRE(Interrupt != NULL, "IRQL %u", IRQL);
    KtExpectBugCheck(IRQL_NOT_GREATER_OR_EQUAL, IRQL + 1, SynchronizeTooHigh, Interrupt);
    KtExpectBugCheck(IRQL_NOT_GREATER_OR_EQUAL, IRQL + 1, AcquireTooHigh, Interrupt);
    IoDisconnectInterrupt(Interrupt);
}

static const KT_CASE Cases[] = {
    {"interrupt-bad-parameters-refused", BadParametersRefused, 0, FALSE},
    {"interrupt-good-parameters-taken", GoodParametersTaken, 0, FALSE},
    {"interrupt-L41-used-vector-refused", UsedVectorRefused, 0, FALSE},
    {"interrupt-extended-form", ExtendedForm, 0, FALSE},
    {"interrupt-L36-synchronizes-here", SynchronizesHere, 0, FALSE},
    {"interrupt-L36-too-high-stops", SynchronizingTooHighStops, 0, TRUE},
};

KT_DEFINE_SUITE(KtInterruptConnectSuite, "ke", Cases);
