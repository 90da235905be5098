/* SPDX-License-Identifier: MIT */
/*
 * start.c - every processor from its first C instruction to its idle loop.
 *
 * Blocks and stacks for all are made before the first INIT is sent, from each one's node. An AP
 * that reports (mp/start.c) waits for its number: numbers are given in firmware's order to those
 * that came, so they are dense whoever stayed away. Then all of them set themselves up at once.
 *     (claimed)  -> (numbered)   boot processor, release: Index and the PRCB's place are known
 *     (numbered) -> (ready)      the AP, locked add: it can be interrupted and called upon
 * and when all numbered ones are ready the count of processors goes from 1 to that many.
 */
#include "start.h"

#include <arch/hal.h>
#include <ex.h>
#include <mi.h>

#include "scheduler.h"
#include "spinlock.h"

#define TAG_PROCESSOR 'corP'
#define READY_LIMIT_US 10000000
#define READY_STEP_US 20

static HALP_START_SLOT KiStartSlots[MAXIMUM_PROCESSORS];
static KTHREAD KiIdleThreads[MAXIMUM_PROCESSORS];

/* APs that are numbered and set up: locked add by each, read by the boot processor. */
static volatile LONG KiProcessorsReady;

KI_START_TIMES KiStartTimes;

static PCSTR const KiIdleName = "idle";

VOID KiPrepareProcessor(PKI_PROCESSOR Processor, ULONG Index)
{
    PKPRCB Prcb = &Processor->Prcb;

    Prcb->Self = Prcb;
    Prcb->Index = Index;
    Prcb->Group = (USHORT)(Index / MAXIMUM_PROC_PER_GROUP);
    Prcb->GroupNumber = (UCHAR)(Index % MAXIMUM_PROC_PER_GROUP);
    KiInitializeDpcQueue(Prcb);
    KiInitializeReadyQueues(Prcb);
    KiInitializeTimers(Prcb);
}

/* The boot processor has a canary since its first instruction, and routines that never return count
 * on it; the others get their idle thread's. */
static VOID KiShareCanary(PKI_PROCESSOR Processor, PKTHREAD Thread)
{
    if (Processor->Pcr.StackCanary == 0)
    {
        Processor->Pcr.StackCanary = Thread->StackCanary;
    }
    Thread->StackCanary = Processor->Pcr.StackCanary;
}

/* The thread that a processor starts on, and falls back to. */
static VOID KiPrepareIdleThread(PKPRCB Prcb, PKTHREAD Thread, PVOID StackTop)
{
    KiInitializeThreadObject(Thread, StackTop, MI_KERNEL_STACK_SIZE, KiIdleName);
    Thread->State = Running;
    Thread->SwapState = KiSwapInUse;
    Thread->Priority = KI_IDLE_PRIORITY;
    KiShareCanary(CONTAINING_RECORD(Prcb, KI_PROCESSOR, Prcb), Thread);
    Prcb->IdleThread = Thread;
    Prcb->CurrentThread = Thread;
}

/* Stacks and idle thread; FALSE if there is no memory. */
static BOOLEAN KiPrepareStacks(PHALP_START_SLOT Slot, PKTHREAD Thread)
{
    PKI_PROCESSOR Processor = Slot->Processor;
    USHORT Node = Processor->Prcb.Node;

    Processor->Pcr.IsrStack = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, Node);
    Processor->Pcr.DpcStack = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, Node);
    Slot->StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, Node);
    if (Processor->Pcr.IsrStack == NULL || Processor->Pcr.DpcStack == NULL ||
        Slot->StackTop == NULL)
    {
        return FALSE;
    }
    for (ULONG Index = 0; Index < ARCH_IST_STACKS; Index++)
    {
        Slot->IstStacks[Index] = MiAllocateKernelStack(ARCH_IST_STACK_SIZE, Node);
        if (Slot->IstStacks[Index] == NULL)
        {
            return FALSE;
        }
    }
    KiPrepareIdleThread(&Processor->Prcb, Thread, Slot->StackTop);
    return TRUE;
}

static BOOLEAN KiPrepareSlot(ULONG Index)
{
    PHALP_START_SLOT Slot = &KiStartSlots[Index];
    PKI_PROCESSOR Processor;

    Slot->ApicId = HalpProcessorApicIds[Index];
    if (Index == 0)
    {
        Processor = CONTAINING_RECORD(KiProcessorBlock[0], KI_PROCESSOR, Prcb);
    }
    else
    {
        Processor = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
                                    sizeof(*Processor), TAG_PROCESSOR);
    }
    if (Processor == NULL)
    {
        return FALSE;
    }
    Processor->Pcr.ApicId = Slot->ApicId;
    Slot->Processor = Processor;
    return KiPrepareStacks(Slot, &KiIdleThreads[Index]);
}

/* How many to start: what firmware lists, what the options allow, what memory is enough for. */
static ULONG KiPrepareSlots(VOID)
{
    ULONG Wanted = HalpProcessorsListed;

    if (KiOptions.NumberOfProcessors != 0 && KiOptions.NumberOfProcessors < Wanted)
    {
        Wanted = KiOptions.NumberOfProcessors;
        KiLog(KiLogInfo, "option: %u of %u CPUs", Wanted, HalpProcessorsListed);
    }
    for (ULONG Index = 0; Index < Wanted; Index++)
    {
        if (!KiPrepareSlot(Index))
        {
            if (Index == 0)
            {
                KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, Wanted, 0, 0, 0);
            }
            KiLog(KiLogWarning, "memory for %u CPUs only", Index);
            return Index;
        }
    }
    return Wanted;
}

/* Numbers those that came, in firmware's order; returns how many CPUs there are. */
static ULONG KiNumberProcessors(ULONG Wanted)
{
    ULONG Count = 1;

    for (ULONG Index = 1; Index < Wanted; Index++)
    {
        PHALP_START_SLOT Slot = &KiStartSlots[Index];

        if (ReadAcquire(&Slot->State) == HALP_SLOT_CLAIMED)
        {
            KiPrepareProcessor(Slot->Processor, Count);
            Slot->Processor->Prcb.StartSlot = Slot;
            KiProcessorBlock[Count] = &Slot->Processor->Prcb;
            WriteRelease(&Slot->Processor->Prcb.Numbered, TRUE); /* pairs with: the AP's wait */
            Count++;
        }
    }
    return Count;
}

static VOID KiAwaitReady(ULONG Count)
{
    for (ULONG Waited = 0; ReadAcquire(&KiProcessorsReady) != (LONG)Count - 1;
         Waited += READY_STEP_US)
    {
        if (Waited >= READY_LIMIT_US)
        {
            KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, READY_LIMIT_US, 0, 0,
                         (ULONG_PTR)KiProcessorsReady + 1);
        }
        HalpStall(READY_STEP_US);
    }
}

VOID KiStartAllProcessors(VOID)
{
    ULONG64 Start, Sent;
    ULONG Wanted, Count;

    HalpListProcessors();
    Start = HalpQueryCounter();
    Wanted = KiPrepareSlots();
    KiProcessorBlock[0]->StartSlot = &KiStartSlots[0];
    ArchSetIstStacks(KiStartSlots[0].Processor, KiStartSlots[0].IstStacks);
    Sent = HalpQueryCounter();
    KiStartTimes.Sent = __rdtsc();
    HalpStartProcessors(KiStartSlots, Wanted);
    Count = KiNumberProcessors(Wanted);
    KiAwaitReady(Count);
    ArchReportProcessors(Count);
    WriteULongRelease(&KiProcessorCount, Count);
    KiChooseLockWait();
    KiStartTimes.Online = __rdtsc();
    KiLog(KiLogInfo, "%u CPUs online of %u listed; prepared in %llu us, started in %llu us", Count,
          HalpProcessorsListed, (Sent - Start) * 1000000 / HalpCounterFrequency,
          (HalpQueryCounter() - Sent) * 1000000 / HalpCounterFrequency);
}

VOID KiApplicationProcessorStartup(PKI_PROCESSOR Processor)
{
    PKPRCB Prcb = &Processor->Prcb;

    while (!ReadAcquire(&Prcb->Numbered)) /* pairs with: KiNumberProcessors */
    {
        YieldProcessor();
    }
    ArchInitializeProcessor(Processor, Prcb->StartSlot->IstStacks);
    WriteRelease(&Prcb->CanTakeNmi, TRUE); /* pairs with: KiFreezeOthers */
    ArchInitializeFeatures();
    HalpInitializeLocalApic(FALSE);
    InterlockedIncrement(&KiProcessorsReady); /* pairs with: KiAwaitReady */
    KiIdleLoop();
}

/* On the idle thread's own stack from here on; the loader's is not used again. */
static VOID KiOnIdleStack(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KiIdleLoop();
}

VOID KiEnterIdleThread(VOID (*Work)(PVOID Context), PVOID Context)
{
    static KTHREAD BootThread;
    PVOID StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);

    if (StackTop == NULL)
    {
        KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, MI_KERNEL_STACK_SIZE, 0, 0, 0);
    }
    KiInitializeThread(&BootThread, StackTop, MI_KERNEL_STACK_SIZE, "boot", Work, Context,
                       KI_DEFAULT_PRIORITY, NULL);
    KiBindThread(&BootThread, 0);
    KiStartThread(&BootThread);
    ArchCallOnStack(NULL, KiOnIdleStack, KiStartSlots[0].StackTop);
    __builtin_unreachable();
}
