/* SPDX-License-Identifier: MIT */
/*
 * ktthread.c - threads for the tests.
 *
 * A thread's memory is given back only when no processor stands on its stack any more, which is a
 * moment after it has become signaled.
 */
#include <mi.h>

#include "kt.h"

#define JOIN_STEP KT_MILLISECONDS(100)
#define JOIN_LIMIT KT_SECONDS(180)
#define POOL_TAG 'hTtK'

static VOID KtThreadMain(PVOID Context)
{
    PKT_THREAD Thread = Context;

    Thread->Routine(Thread->Context);
    KiTerminateThread();
}

BOOLEAN KtCreateThread(PKT_THREAD Thread, VOID (*Routine)(PVOID Context), PVOID Context,
                       KPRIORITY Priority, KAFFINITY AffinityMask)
{
    GROUP_AFFINITY Affinity = {.Mask = AffinityMask};

    Thread->Routine = Routine;
    Thread->Context = Context;
    Thread->Thread = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(KTHREAD), POOL_TAG);
    Thread->StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, KeGetCurrentNodeNumber());
    if (Thread->Thread == NULL || Thread->StackTop == NULL)
    {
        KtFail(__FILE__, __LINE__, "a thread", "no memory");
        if (Thread->Thread != NULL)
        {
            ExFreePoolWithTag(Thread->Thread, POOL_TAG);
        }
        if (Thread->StackTop != NULL)
        {
            MiFreeKernelStack(Thread->StackTop, MI_KERNEL_STACK_SIZE);
        }
        return FALSE;
    }
    KiInitializeThread(Thread->Thread, Thread->StackTop, MI_KERNEL_STACK_SIZE, "test", KtThreadMain,
                       Thread, Priority, AffinityMask != 0 ? &Affinity : NULL);
    KiStartThread(Thread->Thread);
    return TRUE;
}

/* In steps, so that a broken twin that loses a wake-up costs a step and not the run. */
static BOOLEAN KtWaitForEnd(PKTHREAD Thread)
{
    LARGE_INTEGER Step = {.QuadPart = -(LONGLONG)JOIN_STEP};
    ULONG64 End = KtNow() + JOIN_LIMIT;

    while (KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, &Step) == STATUS_TIMEOUT)
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
    }
    return TRUE;
}

VOID KtJoinThread(PKT_THREAD Thread)
{
    if (!KtWaitForEnd(Thread->Thread))
    {
        KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, JOIN_LIMIT, (ULONG_PTR)Thread->Thread,
                     (ULONG_PTR)Thread->Thread->State, (ULONG_PTR)Thread->Thread->WaitState);
    }
    while (ReadAcquire(&Thread->Thread->SwapState) != KiSwapSaved)
    {
        YieldProcessor();
    }
    MiFreeKernelStack(Thread->StackTop, MI_KERNEL_STACK_SIZE);
    ExFreePoolWithTag(Thread->Thread, POOL_TAG);
    Thread->Thread = NULL;
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
