/* SPDX-License-Identifier: MIT */
/* workers.c - see workers.h. */
#include "workers.h"

#include <ex.h>
#include <mi.h>

#define TAG_WORKER 'kroW'
#define LIMIT KT_SECONDS(60)

static PKT_WORKER Workers[KT_WORKERS];

static VOID WorkerLoop(PVOID Context)
{
    PKT_WORKER Worker = Context;

    for (;;)
    {
        KeWaitForSingleObject(&Worker->Start, Executive, KernelMode, FALSE, NULL);
        Worker->Routine(Worker);
        KeSetEvent(&Worker->Done, IO_NO_INCREMENT, FALSE);
    }
}

static PKT_WORKER CreateWorker(ULONG Index)
{
    PKT_WORKER Worker = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Worker), TAG_WORKER);
    PVOID Stack = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);

    if (Worker == NULL || Stack == NULL)
    {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, Index, (ULONG_PTR)Worker, (ULONG_PTR)Stack, 0);
    }
    Worker->Index = Index;
    KeInitializeEvent(&Worker->Start, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Worker->Done, SynchronizationEvent, FALSE);
    KiInitializeThread(&Worker->Thread, Stack, MI_KERNEL_STACK_SIZE, "worker", WorkerLoop, Worker,
                       KI_DEFAULT_PRIORITY, NULL);
    KiStartThread(&Worker->Thread);
    return Worker;
}

PKT_WORKER KtEmploy(ULONG Index, VOID (*Routine)(PKT_WORKER Worker), PVOID Context)
{
    if (Workers[Index] == NULL)
    {
        Workers[Index] = CreateWorker(Index);
    }
    Workers[Index]->Routine = Routine;
    Workers[Index]->Context = Context;
    KtSeed(&Workers[Index]->Random, Index);
    KeSetEvent(&Workers[Index]->Start, IO_NO_INCREMENT, FALSE);
    return Workers[Index];
}

VOID KtAwaitWorker(PKT_WORKER Worker)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)LIMIT};
    NTSTATUS Status = KeWaitForSingleObject(&Worker->Done, Executive, KernelMode, FALSE, &Timeout);

    KT_CHECK(Status == STATUS_SUCCESS, "worker %u does not end: %x", Worker->Index, Status);
}

VOID KtSleep(ULONG64 Units)
{
    LARGE_INTEGER Interval = {.QuadPart = -(LONGLONG)Units};

    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

BOOLEAN KtSleepFor(volatile LONG *Value, LONG Wanted)
{
    ULONG64 End = KtNow() + LIMIT;

    while (ReadAcquire(Value) < Wanted)
    {
        if (KtNow() >= End)
        {
            return FALSE;
        }
        KtSleep(KT_MILLISECONDS(1));
    }
    return TRUE;
}
