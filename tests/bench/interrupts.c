/* SPDX-License-Identifier: MIT */
/*
 * interrupts.c - interrupts to oneself, through the whole path and part of it, and calls to all
 * others.
 *
 * A self-interrupt is sent with interrupts off and arrives when they go on. Two handlers take it: a
 * bare one, installed in the vector table as the clock's is, and an ISR behind an interrupt object,
 * which notes the time and queues a DPC, as a driver's does.
 */
#include "bench.h"

#include <arch/hal.h>
#include <interrupt.h>

#define BARE_VECTOR 0xB0
#define OBJECT_VECTOR 0xB1
#define ARRIVAL_LIMIT KT_SECONDS(2)

/* This processor only: when each stage began, and that the last one has. */
static volatile ULONG64 HandlerAt, DpcAt;
static volatile LONG Arrived;

static VOID BareHandler(PKTRAP_FRAME Frame)
{
    HandlerAt = __rdtsc();
    UNREFERENCED_PARAMETER(Frame);
    WriteRelease(&Arrived, TRUE);
}

static VOID Deferred(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    DpcAt = __rdtsc();
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    WriteRelease(&Arrived, TRUE);
}

static BOOLEAN Service(PKINTERRUPT Interrupt, PVOID Context)
{
    HandlerAt = __rdtsc();
    UNREFERENCED_PARAMETER(Interrupt);
    KeInsertQueueDpc(Context, NULL, NULL);
    return TRUE;
}

/* Sends the vector to this processor and waits for Arrived; the TSC before and after. */
static VOID InterruptSelf(ULONG Vector, PULONG64 Before, PULONG64 After)
{
    Arrived = FALSE;
    *Before = __rdtsc();
    _disable();
    HalpSendIpiSelf(Vector);
    _enable();
    while (!ReadAcquire(&Arrived))
    {
        YieldProcessor();
    }
    *After = __rdtsc();
}

static VOID SelfToHandler(VOID)
{
    HalpSetVectorRoutine(BARE_VECTOR, BareHandler);
    KbBegin("self-to-handler", "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        ULONG64 Before, After;

        InterruptSelf(BARE_VECTOR, &Before, &After);
        KbSample(HandlerAt - Before - KbEmptyTicks);
    }
    KbEnd();
}

typedef enum _STAGE
{
    ToService,
    ServiceToDpc,
    ThereAndBack
} STAGE;

static VOID MeasureStage(PCSTR Name, STAGE Stage)
{
    KbBegin(Name, "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        ULONG64 Before, After;

        InterruptSelf(OBJECT_VECTOR, &Before, &After);
        switch (Stage)
        {
        case ToService:
            KbSample(HandlerAt - Before - KbEmptyTicks);
            break;
        case ServiceToDpc:
            KbSample(DpcAt - HandlerAt - KbEmptyTicks);
            break;
        case ThereAndBack:
            KbSample(After - Before - KbEmptyTicks);
            break;
        }
    }
    KbEnd();
}

static VOID SelfToDpc(VOID)
{
    static struct _KINTERRUPT Object;
    static KDPC Dpc;
    NTSTATUS Status;

    KeInitializeDpc(&Dpc, Deferred, NULL);
    RtlZeroMemory(&Object, sizeof(Object));
    Object.ServiceRoutine = Service;
    Object.ServiceContext = &Dpc;
    Object.ActualLock = &Object.SpinLock;
    Object.Vector = OBJECT_VECTOR;
    Object.Irql = VECTOR_IRQL(OBJECT_VECTOR);
    Object.SynchronizeIrql = Object.Irql;
    Object.Mode = LevelSensitive;
    Object.ProcessorEnableMask = 1;
    Status = KiConnectInterrupt(&Object);
    if (!NT_SUCCESS(Status))
    {
        KiLog(KiLogError, "bench: vector %02x: status %08x", OBJECT_VECTOR, (ULONG)Status);
        return;
    }
    MeasureStage("self-to-isr", ToService);
    MeasureStage("isr-to-dpc", ServiceToDpc);
    MeasureStage("self-to-dpc-and-back", ThereAndBack);
    KiDisconnectInterrupt(&Object);
}

/* ------------------------------------------------------------------ All others. */

static ULONG_PTR NoWork(ULONG_PTR Context)
{
    return Context;
}

static VOID CallAll(VOID)
{
    KbBegin("call-all", "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KB_START();
        KeIpiGenericCall(NoWork, 0);
        KB_STOP();
    }
    KbEnd();
}

static VOID Shootdown(VOID)
{
    static UCHAR Page[PAGE_SIZE] DECLSPEC_ALIGN(PAGE_SIZE);

    KbBegin("tlb-shootdown", "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KB_START();
        KiFlushTlbRange(Page, 1);
        KB_STOP();
    }
    KbEnd();
}

static const KB_BENCH Benches[] = {
    {"self-to-handler", SelfToHandler, 1},
    {"self-to-dpc", SelfToDpc, 1},
    {"call-all", CallAll, 2},
    {"tlb-shootdown", Shootdown, 2},
};

KB_DEFINE_GROUP(KbInterruptGroup, Benches);
