/* SPDX-License-Identifier: MIT */
/*
 * parallel.c - work for other processors, time and chance, for the tests.
 *
 * Each processor has a worker, a thread bound to it, which takes one job at a time. KtParallel's
 * start is a barrier, so that what follows overlaps from the first instruction.
 */
#include <mi.h>

#include "runner.h"

#define JOIN_LIMIT KT_SECONDS(120)
#define JOIN_STEP KT_MILLISECONDS(100)

ULONG KtProcessors(VOID)
{
    return KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
}

ULONG64 KtNow(VOID)
{
    return KeQueryInterruptTime();
}

ULONG64 KtBudget(VOID)
{
    return KT_MILLISECONDS(KiOptions.BudgetMilliseconds);
}

BOOLEAN KtWaitFor(volatile LONG *Value, LONG Wanted, ULONG64 Limit)
{
    ULONG64 End = KtNow() + Limit;

    while (ReadAcquire(Value) < Wanted)
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
        YieldProcessor();
    }
    return TRUE;
}

/* xorshift64* (G. Marsaglia, S. Vigna): the state is never zero. */
VOID KtSeed(PKT_RANDOM Random, ULONG64 Stream)
{
    Random->State = (KiOptions.Seed ^ (Stream * 0x9E3779B97F4A7C15ull)) | 1;
    for (ULONG Warm = 0; Warm < 8; Warm++)
    {
        KtRandom(Random);
    }
}

ULONG64 KtRandom(PKT_RANDOM Random)
{
    Random->State ^= Random->State >> 12;
    Random->State ^= Random->State << 25;
    Random->State ^= Random->State >> 27;
    return Random->State * 0x2545F4914F6CDD1Dull;
}

/* A processor's worker. Job: stored by who starts one, before Wake; cleared by the worker. */
typedef struct _KT_WORKER
{
    KTHREAD Thread;
    KEVENT Wake;
    PKT_JOB volatile Job;
} KT_WORKER, *PKT_WORKER;

static KT_WORKER KtWorkers[MAXIMUM_PROCESSORS];

static VOID KtWorkerMain(PVOID Context)
{
    PKT_WORKER Worker = Context;

    for (;;)
    {
        PKT_JOB Job;

        KeWaitForSingleObject(&Worker->Wake, Executive, KernelMode, FALSE, NULL);
        Job = ReadPointerAcquire(&Worker->Job); /* pairs with: KtStart */
        WritePointerRelease(&Worker->Job, NULL);
        Job->Routine(Job->Context, Job->Processor);
        KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "a job left IRQL %u", KeGetCurrentIrql());
        WriteRelease(&Job->Done, TRUE); /* KtJoin's caller may reuse it from here on */
    }
}

VOID KtStartWorkers(VOID)
{
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        PKT_WORKER Worker = &KtWorkers[Index];
        PVOID StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);

        if (StackTop == NULL)
        {
            KeBugCheckEx(MEMORY_MANAGEMENT, Index, 0, 0, 0);
        }
        KeInitializeEvent(&Worker->Wake, SynchronizationEvent, FALSE);
        KiInitializeThread(&Worker->Thread, StackTop, MI_KERNEL_STACK_SIZE, "test worker",
                           KtWorkerMain, Worker, KI_DEFAULT_PRIORITY, NULL);
        KiBindThread(&Worker->Thread, Index);
        KiStartThread(&Worker->Thread);
    }
}

VOID KtStart(PKT_JOB Job, ULONG Processor, KT_PARALLEL_ROUTINE *Routine, PVOID Context)
{
    PKT_WORKER Worker = &KtWorkers[Processor];

    Job->Routine = Routine;
    Job->Context = Context;
    Job->Processor = Processor;
    WriteRelease(&Job->Done, FALSE);
    while (ReadPointerAcquire(&Worker->Job) != NULL)
    {
        YieldProcessor(); /* the last job is being taken */
    }
    WritePointerRelease(&Worker->Job, Job); /* pairs with: KtWorkerMain */
    KeSetEvent(&Worker->Wake, IO_NO_INCREMENT, FALSE);
}

VOID KtJoin(PKT_JOB Job)
{
    if (!KtWaitFor(&Job->Done, TRUE, JOIN_LIMIT))
    {
        KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, JOIN_LIMIT, 0,
                     (ULONG_PTR)KiProcessorBlock[Job->Processor], Job->Processor);
    }
}

static VOID KtThreadMain(PVOID Context)
{
    PKT_THREAD Thread = Context;

    Thread->Routine(Thread->Context);
    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "a thread left IRQL %u", KeGetCurrentIrql());
    KiTerminateThread();
}

static VOID KtReapThread(PKTHREAD Thread)
{
    WriteRelease(&CONTAINING_RECORD(Thread, KT_THREAD, Thread)->Reaped, TRUE);
}

VOID KtCreateThread(PKT_THREAD Thread, VOID (*Routine)(PVOID Context), PVOID Context,
                    KPRIORITY Priority, ULONG Processor)
{
    PVOID StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);

    if (StackTop == NULL)
    {
        KeBugCheckEx(MEMORY_MANAGEMENT, MI_KERNEL_STACK_SIZE, 0, 0, 0);
    }
    Thread->Routine = Routine;
    Thread->Context = Context;
    Thread->Reaped = FALSE;
    KiInitializeThread(&Thread->Thread, StackTop, MI_KERNEL_STACK_SIZE, "test", KtThreadMain,
                       Thread, Priority, NULL);
    Thread->Thread.Reaper = KtReapThread;
    if (Processor != KT_ANYWHERE)
    {
        KiBindThread(&Thread->Thread, Processor);
    }
    KiStartThread(&Thread->Thread);
}

VOID KtJoinThread(PKT_THREAD Thread)
{
    LARGE_INTEGER Step = {.QuadPart = -(LONGLONG)JOIN_STEP};

    /* A broken twin that loses the wake-up, or the signal, costs a step, not the run. */
    while (!ReadAcquire(&Thread->Reaped) &&
           KeWaitForSingleObject(&Thread->Thread, Executive, KernelMode, FALSE, &Step) ==
               STATUS_TIMEOUT)
    {
    }
    if (!KtWaitFor(&Thread->Reaped, TRUE, JOIN_LIMIT))
    {
        KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, JOIN_LIMIT, 0, (ULONG_PTR)Thread, 0);
    }
    MiFreeKernelStack(Thread->Thread.InitialStack, MI_KERNEL_STACK_SIZE);
}

VOID KtSleep(ULONG64 Units)
{
    LARGE_INTEGER Interval = {.QuadPart = -(LONGLONG)Units};

    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

VOID KtYield(VOID)
{
    LARGE_INTEGER Interval = {.QuadPart = 0};

    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

VOID KtRunOn(ULONG Processor, KT_PARALLEL_ROUTINE *Routine, PVOID Context)
{
    KT_JOB Job;

    if (Processor == KeGetCurrentProcessorIndex())
    {
        Routine(Context, Processor);
        return;
    }
    KtStart(&Job, Processor, Routine, Context);
    KtJoin(&Job);
}

typedef struct _KT_GANG
{
    KT_PARALLEL_ROUTINE *Routine;
    PVOID Context;
    LONG Count;
    volatile LONG Arrived;
} KT_GANG, *PKT_GANG;

static VOID KtGangMember(PVOID Context, ULONG Processor)
{
    PKT_GANG Gang = Context;

    InterlockedIncrement(&Gang->Arrived);
    while (ReadAcquire(&Gang->Arrived) != Gang->Count)
    {
        YieldProcessor();
    }
    Gang->Routine(Gang->Context, Processor);
}

VOID KtParallel(KT_PARALLEL_ROUTINE *Routine, PVOID Context)
{
    static KT_JOB Jobs[MAXIMUM_PROCESSORS]; /* one case at a time */
    KT_GANG Gang = {Routine, Context, (LONG)KtProcessors(), 0};
    ULONG Self = KeGetCurrentProcessorIndex();

    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        if (Index != Self)
        {
            KtStart(&Jobs[Index], Index, KtGangMember, &Gang);
        }
    }
    KtGangMember(&Gang, Self);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        if (Index != Self)
        {
            KtJoin(&Jobs[Index]);
        }
    }
}

#if DBG
VOID KtExpectBugCheck(ULONG Code, ULONG_PTR Parameter1, VOID (*Routine)(PVOID Context),
                      PVOID Context)
{
    KI_LANDING_PAD Pad;
    ULONG Found = KiExpectBugCheck(&Pad, Routine, Context);

    KT_CHECK(Found == Code, "expected bug check 0x%X, got 0x%X (0 is none)", Code, Found);
    if (Found == Code && Parameter1 != KT_ANY)
    {
        KT_CHECK(Pad.Parameters[0] == Parameter1, "expected parameter 1 0x%llX, got 0x%llX",
                 Parameter1, Pad.Parameters[0]);
    }
}
#endif
