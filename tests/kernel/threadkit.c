/* SPDX-License-Identifier: MIT */
/* threadkit.c - threads for the tests and benchmarks, on stacks of their own. See threadkit.h. */
#include "threadkit.h"

#include <mi.h>

static VOID KtThreadMain(PVOID Context)
{
    PKT_THREAD Thread = Context;

    Thread->Routine(Thread->Context);
    KiTerminateThread();
}

BOOLEAN KtStartThread(PKT_THREAD Thread, ULONG Processor, KPRIORITY Priority,
                      KT_THREAD_ROUTINE *Routine, PVOID Context)
{
    Thread->StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);
    if (Thread->StackTop == NULL)
    {
        return FALSE;
    }
    Thread->Routine = Routine;
    Thread->Context = Context;
    KiInitializeThread(&Thread->Thread, Thread->StackTop, MI_KERNEL_STACK_SIZE, "test",
                       KtThreadMain, Thread, Priority, NULL);
    if (Processor != KT_ANY_PROCESSOR)
    {
        KiBindThread(&Thread->Thread, Processor);
    }
    KiStartThread(&Thread->Thread);
    return TRUE;
}
