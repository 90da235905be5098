/* SPDX-License-Identifier: MIT */
/*
 * outside.c - keeps every processor busy with all that the kernel has, while somebody outside does
 * his worst, and then checks that nothing was lost.
 *
 * The explicit suite "outside" is one half of each scenario of tests/harness/run-fault. Each
 * processor has a thread that takes a lock, interrupts itself, has a DPC run on the next processor,
 * sets a timer, calls everybody, and waits for each of these: what is lost stops it, and what comes
 * twice is counted twice.
 */
#include "outside.h"

#include <arch/hal.h>
#include <interrupt.h>

#include "trapkit.h"

#define CLERK_PRIORITY HIGH_PRIORITY
#define LOOK_EVERY KT_MILLISECONDS(2)
#define LOST_AFTER KT_SECONDS(100)
#define TIMER_EVERY 4       /* turns */
#define CALL_EVERY 16       /* turns */
#define TIMER_DELAY 10000ll /* 100 ns units: 1 ms */
#define BUSY_IRQL 6

typedef struct DECLSPEC_ALIGN(64) _BUSY
{
    KT_THREAD Thread;
    ULONG Processor;
    KDPC Dpc; /* runs on the next processor, sets DpcRan   */
    KEVENT DpcRan;
    KTIMER Timer; /* with TimerDpc                             */
    KDPC TimerDpc;
    volatile ULONG64 Turns;  /* itself                                    */
    volatile LONG DpcRuns;   /* its DPC                                   */
    volatile LONG TimerRuns; /* its timer's DPC                          */
    LONG Timers;             /* itself                                    */
    volatile LONG Isrs;      /* the ISR, on its processor                 */
    volatile LONG Sent;      /* itself: how often it has interrupted itself */
} BUSY, *PBUSY;

static BUSY Busy[OUTSIDE_PROCESSORS];
static KSPIN_LOCK BusyLock;
static ULONG64 BusyGuarded;                  /* under BusyLock */
static volatile LONG BusyCalls, BusyCallers; /* any processor, locked */
static volatile LONG BusyOver;               /* the clerk */
static ULONG BusyVector;

static BOOLEAN BusyIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PBUSY Mine = &Busy[KeGetCurrentProcessorIndex()];

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    if (Mine->Isrs == Mine->Sent)
    {
        return FALSE; /* the second pass, or nobody has sent it */
    }
    Mine->Isrs++;
    return TRUE;
}

static VOID BusyDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PBUSY Mine = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Mine->DpcRuns);
    KeSetEvent(&Mine->DpcRan, IO_NO_INCREMENT, FALSE);
}

static VOID BusyTimerDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&((PBUSY)Context)->TimerRuns);
}

static ULONG_PTR BusyCall(ULONG_PTR Argument)
{
    UNREFERENCED_PARAMETER(Argument);
    InterlockedIncrement(&BusyCalls);
    return 0;
}

/* FALSE, and the case has failed, if what was asked for never comes. */
static BOOLEAN WaitFor(PVOID Object, PCSTR What)
{
    LARGE_INTEGER Limit = {.QuadPart = -(LONG64)LOST_AFTER};
    NTSTATUS Status = KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Limit);

    KT_CHECK(Status == STATUS_SUCCESS, "%s: lost", What);
    return Status == STATUS_SUCCESS;
}

static BOOLEAN TakeLock(VOID)
{
    KIRQL Old;

    KeAcquireSpinLock(&BusyLock, &Old);
    BusyGuarded++;
    KeReleaseSpinLock(&BusyLock, Old);
    return Old == PASSIVE_LEVEL;
}

/* The thread is bound to its processor. */
static BOOLEAN InterruptSelf(PBUSY Mine)
{
    Mine->Sent++;
    HalpSendIpi(Mine->Processor, BusyVector);
    if (!KtWaitFor(&Mine->Isrs, Mine->Sent, LOST_AFTER))
    {
        KT_CHECK(FALSE, "CPU %u: an interrupt was lost", Mine->Processor);
        return FALSE;
    }
    return TRUE;
}

static BOOLEAN RunDpc(PBUSY Mine)
{
    KT_CHECK(KeInsertQueueDpc(&Mine->Dpc, NULL, NULL), "CPU %u: the DPC is still queued",
             Mine->Processor);
    return WaitFor(&Mine->DpcRan, "a DPC");
}

static BOOLEAN RunTimer(PBUSY Mine)
{
    LARGE_INTEGER Due = {.QuadPart = -TIMER_DELAY};

    Mine->Timers++;
    KeSetTimer(&Mine->Timer, Due, &Mine->TimerDpc);
    return WaitFor(&Mine->Timer, "a timer");
}

static VOID BusyMain(PVOID Context)
{
    PBUSY Mine = Context;

    while (!ReadAcquire(&BusyOver) && !KtHasFailed()) /* pairs with: Busy */
    {
        BOOLEAN Passive = TakeLock();

        KT_CHECK(Passive && KeGetCurrentIrql() == PASSIVE_LEVEL, "CPU %u: IRQL %u", Mine->Processor,
                 KeGetCurrentIrql());
        if (!InterruptSelf(Mine) || !RunDpc(Mine) ||
            (Mine->Turns % TIMER_EVERY == 0 && !RunTimer(Mine)))
        {
            break;
        }
        if (Mine->Turns % CALL_EVERY == 0)
        {
            InterlockedIncrement(&BusyCallers);
            KeIpiGenericCall(BusyCall, 0);
        }
        Mine->Turns++;
    }
    if (KtHasFailed())
    {
        return;
    }
    KT_CHECK(KeGetCurrentProcessorIndex() == Mine->Processor, "CPU %u: it runs on CPU %u",
             Mine->Processor, KeGetCurrentProcessorIndex());
}

static VOID FillBusy(ULONG Processor, POUTSIDE_RECORD Record)
{
    Record->Turns = Busy[Processor].Turns;
    Record->Dpcs = (ULONG64)Busy[Processor].DpcRuns;
    Record->Timers = (ULONG64)Busy[Processor].TimerRuns;
    Record->Interrupts = (ULONG64)Busy[Processor].Isrs;
    if (Processor == 0)
    {
        KtFillNicDesk();
    }
}

static VOID StartBusy(VOID)
{
    for (ULONG Index = 0; Index < KtDesk.Processors; Index++)
    {
        PBUSY Mine = &Busy[Index];

        RtlZeroMemory(Mine, sizeof(*Mine));
        Mine->Processor = Index;
        KeInitializeEvent(&Mine->DpcRan, SynchronizationEvent, FALSE);
        KeInitializeTimerEx(&Mine->Timer, SynchronizationTimer);
        KeInitializeDpc(&Mine->Dpc, BusyDpc, Mine);
        KeSetTargetProcessorDpc(&Mine->Dpc, (CHAR)((Index + 1) % KtDesk.Processors));
        KeInitializeDpc(&Mine->TimerDpc, BusyTimerDpc, Mine);
    }
    for (ULONG Index = 0; Index < KtDesk.Processors; Index++)
    {
        KtCreateThread(&Busy[Index].Thread, BusyMain, &Busy[Index], KI_DEFAULT_PRIORITY, Index);
    }
}

/* Everything that was asked for came, once. */
static VOID CheckBooks(VOID)
{
    ULONG64 Turns = 0;

    KeFlushQueuedDpcs();
    for (ULONG Index = 0; Index < KtDesk.Processors; Index++)
    {
        PBUSY Mine = &Busy[Index];

        Turns += Mine->Turns;
        KT_CHECK((ULONG64)Mine->DpcRuns == Mine->Turns, "CPU %u: %llu turns, %d DPCs ran", Index,
                 Mine->Turns, Mine->DpcRuns);
        KT_CHECK(Mine->TimerRuns == Mine->Timers, "CPU %u: %d timers, %d expired", Index,
                 Mine->Timers, Mine->TimerRuns);
    }
    KT_CHECK(BusyGuarded == Turns, "%llu turns, the lock was taken %llu times", Turns, BusyGuarded);
    KT_CHECK(BusyCalls == BusyCallers * (LONG)KtProcessors(), "%d calls of all %u CPUs, %d came",
             BusyCallers, KtProcessors(), BusyCalls);
    KtNote("%llu turns", Turns);
}

/* An EOI too few leaves a vector in service, and one too many ends another's. */
static VOID CheckApic(PVOID Context, ULONG Processor)
{
    BOOLEAN Enabled = ArchDisableInterrupts();
    ULONG InService = KtCountInService();

    UNREFERENCED_PARAMETER(Context);
    ArchRestoreInterrupts(Enabled);
    KT_CHECK(InService == 0, "CPU %u: %u vectors in service", Processor, InService);
}

static VOID KeepDesk(VOID)
{
    while (ReadULongAcquire(&KtDesk.Wish) != OUTSIDE_END && !KtHasFailed())
    {
        KtAnswer(FillBusy);
        KtSleep(LOOK_EVERY);
    }
}

static VOID BusyUntilEnd(VOID)
{
    KPRIORITY Old = KeSetPriorityThread(KeGetCurrentThread(), CLERK_PRIORITY);
    PKINTERRUPT Interrupt;

    BusyGuarded = 0;
    BusyCalls = BusyCallers = BusyOver = 0;
    KeInitializeSpinLock(&BusyLock);
    BusyVector = KtUnusedVector(BUSY_IRQL, 0);
    Interrupt = KtConnect(BusyVector, BUSY_IRQL, NULL, Latched, FALSE, BusyIsr, NULL);
    KT_REQUIRE(Interrupt != NULL, "vector %02x", BusyVector);
    KtOpenNicDesk();
    KtOpenDesk();
    KtConnectEdus();
    StartBusy();
    KeepDesk();
    WriteRelease(&BusyOver, TRUE); /* pairs with: BusyMain */
    for (ULONG Index = 0; Index < KtDesk.Processors; Index++)
    {
        KtJoinThread(&Busy[Index].Thread);
    }
    KeSetPriorityThread(KeGetCurrentThread(), Old);
    KtDisconnectEdus();
    IoDisconnectInterrupt(Interrupt);
    if (!KtHasFailed())
    {
        KtCloseNicDesk();
        CheckBooks();
        KtParallel(CheckApic, NULL);
    }
}

static const KT_CASE Cases[] = {
    {"busy", BusyUntilEnd, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtOutsideSuite, "outside", Cases);
