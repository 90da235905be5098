/* SPDX-License-Identifier: MIT */
/*
 * death.c - what must stop the machine does, with the right code and exactly one report.
 *
 * Each case ends its boot, so each is a boot of its own (tests/harness/matrix.txt), which names the
 * bug check and what else the report must show. A case that returns has failed.
 */
#include <arch/hal.h>
#include <arch/mmu.h>

#include "kt.h"

/* An address that is never mapped, above the first page so that it is no null pointer. */
#define NOWHERE ((volatile ULONG *)(MM_IO_SPACE_BASE - 0x10000))

static VOID MustNotReturn(VOID)
{
    KT_CHECK(FALSE, "the machine did not stop");
}

static VOID ReadNowhere(VOID)
{
    (void)*NOWHERE;
    MustNotReturn();
}

static VOID ReadNowhereAtDispatch(VOID)
{
    KeRaiseIrqlToDpcLevel();
    (void)*NOWHERE;
    MustNotReturn();
}

static const ULONG ReadOnly = 1;

static VOID WriteReadOnlyData(VOID)
{
    *(volatile ULONG *)(ULONG_PTR)&ReadOnly = 2;
    MustNotReturn();
}

static VOID WriteText(VOID)
{
    *(volatile UCHAR *)(ULONG_PTR)WriteText = 0xCC;
    MustNotReturn();
}

/* The same bytes through the physical map: they are read-only there too. */
static VOID WriteTextAlias(VOID)
{
    PHYSICAL_ADDRESS Physical = MmGetPhysicalAddress((PVOID)(ULONG_PTR)WriteText);

    *(volatile UCHAR *)ArchPhysicalToVirtual((ULONG64)Physical.QuadPart) = 0xCC;
    MustNotReturn();
}

static VOID ExecuteData(VOID)
{
    static UCHAR Return[16] = {0xC3};

    ((VOID(*)(VOID))(ULONG_PTR)Return)();
    MustNotReturn();
}

static VOID DivideByZero(VOID)
{
    volatile LONG Seven = 7, Zero = 0;

    KtNote("%d", Seven / Zero);
    MustNotReturn();
}

static VOID UndefinedInstruction(VOID)
{
    __builtin_trap();
}

/* Each level keeps a kilobyte; the limit is far beyond any stack. */
static DECLSPEC_NOINLINE ULONG Recurse(volatile ULONG *Limit, ULONG Depth)
{
    volatile UCHAR Page[1024];

    Page[Depth % sizeof(Page)] = (UCHAR)Depth;
    return Depth == *Limit ? 0 : Recurse(Limit, Depth + 1) + Page[Depth % sizeof(Page)];
}

static VOID StackOverflow(VOID)
{
    volatile ULONG Limit = 1000000;

    KtNote("%u", Recurse(&Limit, 0));
    MustNotReturn();
}

static VOID DieHere(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, Processor, 0, 0, 0);
}

static VOID AllAtOnce(VOID)
{
    KtParallel(DieHere, NULL);
}

/* The others spin with interrupts off, where only an NMI reaches them. */
static VOID SpinDeaf(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Processor);
    _disable();
    InterlockedIncrement((volatile LONG *)Context);
    for (;;)
    {
        YieldProcessor();
    }
}

static VOID WhileOthersAreDeaf(VOID)
{
    static KT_JOB Jobs[MAXIMUM_PROCESSORS];
    static volatile LONG Deaf;

    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KtStart(&Jobs[Index], Index, SpinDeaf, (PVOID)&Deaf);
    }
    KtWaitFor(&Deaf, (LONG)KtProcessors() - 1, KT_SECONDS(20));
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)Deaf, 0, 0, 0);
}

static VOID DieInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, KeIsExecutingDpc(), 0, 0, 0);
}

static DECLSPEC_NOINLINE VOID QueueAndDie(VOID)
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, DieInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    MustNotReturn();
}

/* The backtrace crosses from the DPC stack to the thread's. */
static VOID InDpc(VOID)
{
    QueueAndDie();
    MustNotReturn();
}

#define DEATH_VECTOR 0x9D

static VOID DieInHandler(PKTRAP_FRAME Frame)
{
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, Frame->Vector, 0, 0, 0);
}

static DECLSPEC_NOINLINE VOID InterruptMyself(VOID)
{
    HalpSetVectorRoutine(DEATH_VECTOR, DieInHandler);
    HalpSendIpi(0, DEATH_VECTOR);
    KeStallExecutionProcessor(1000000);
    MustNotReturn();
}

/* The backtrace crosses from the ISR stack to the thread's. */
static VOID InIsr(VOID)
{
    InterruptMyself();
    MustNotReturn();
}

static VOID LowerUpwards(VOID)
{
    KeLowerIrql(DISPATCH_LEVEL);
    MustNotReturn();
}

/* Somebody logs while he is stopped: his unfinished line must not swallow the report. */
/* Each is raised before any begins: the log's thread would never leave a processor that it got. */
static VOID LogForEver(PVOID Context, ULONG Processor)
{
    volatile LONG *Logging = Context;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    InterlockedIncrement(Logging);
    while (ReadAcquire(Logging) < (LONG)KtProcessors()) /* pairs with: the others' increments */
    {
        YieldProcessor();
    }
    for (ULONG Line = 0;; Line++)
    {
        KiLog(KiLogTrace - 1, "line %u of CPU %u, %s", Line, Processor, "as long as it may be");
    }
}

static VOID WhileOthersLog(VOID)
{
    static KT_JOB Jobs[MAXIMUM_PROCESSORS];
    static volatile LONG Logging;
    KIRQL OldIrql;

    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        KtStart(&Jobs[Index], Index, LogForEver, (PVOID)&Logging);
    }
    KtWaitFor(&Logging, (LONG)KtProcessors() - 1, KT_SECONDS(20));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    InterlockedIncrement(&Logging);
    KeStallExecutionProcessor(2000);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)Logging, 0, 0, 0);
}

static const KT_CASE Cases[] = {
    {"read-nowhere", ReadNowhere, 0, FALSE},
    {"read-nowhere-at-dispatch", ReadNowhereAtDispatch, 0, FALSE},
    {"write-read-only-data", WriteReadOnlyData, 0, FALSE},
    {"write-text", WriteText, 0, FALSE},
    {"write-text-alias", WriteTextAlias, 0, FALSE},
    {"execute-data", ExecuteData, 0, FALSE},
    {"divide-by-zero", DivideByZero, 0, FALSE},
    {"undefined-instruction", UndefinedInstruction, 0, FALSE},
    {"stack-overflow", StackOverflow, 0, FALSE},
    {"all-at-once", AllAtOnce, 0, FALSE},
    {"while-others-are-deaf", WhileOthersAreDeaf, 2, FALSE},
    {"in-dpc", InDpc, 0, FALSE},
    {"in-isr", InIsr, 0, FALSE},
    {"lower-upwards", LowerUpwards, 0, TRUE},
    {"while-others-log", WhileOthersLog, 2, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtDeathSuite, "death", Cases);
