/* SPDX-License-Identifier: MIT */
/*
 * thread.c - system threads: made, started, ended, and what becomes of them.
 *
 * PURPOSE
 *   A KTHREAD is what is scheduled; here it gets a stack, an owner and an end. A thread cannot free
 *   the stack it stands on, nor can anybody else while it stands there, so its end takes three.
 *
 * HOW IT WORKS
 *   The thread's object has one reference that is the thread's own. Its way:
 *       created      object, stack, handle; anything that fails undoes what was there
 *       running      StartRoutine, in a critical region
 *       ending       the thread itself (KiTerminateThread): its APCs are run down, the object is
 *                    signaled, the processor given away for good
 *       off stack    the next thread on that processor, from the switch: PspThreadEnded hands the
 *                    object to the reaper. First moment at which nobody uses the stack
 *       reaped       the reaper, at PASSIVE_LEVEL: frees the stack, drops the thread's reference
 *       deleted      whoever has the last reference, perhaps long after: joiners' and handles'
 *                    references keep the object, signaled, but not the stack
 *   A joiner may return from its wait before the thread is off its stack: being signaled says that
 *   the thread's work is done, not that its memory is free.
 *
 *   KTHREADs that were not made here (idle threads, and those of who calls KiInitializeThread on
 *   memory of his own) have no object header. They are told by their Reaper, and left alone.
 *
 * LOCKS AND IRQL
 *   PASSIVE_LEVEL but for PspThreadEnded, which is part of the switch: DISPATCH_LEVEL, no lock,
 *   only the reaper's lock-free list.
 *
 * ORDERING
 *   The reaper sees the stack unused: the switch's exchange to KiSwapSaved comes before the push
 *   that hands it over. pairs with: ObpReap's exchange.
 *
 * FURTHER READING
 *   Microsoft: "System Threads", "PsCreateSystemThread", "PsTerminateSystemThread", "Waiting for a
 *   thread". docs/objects.md. Laws L53, L72.
 */
#include "psp.h"

#include <ex.h>
#include <mi.h>
#include <scheduler.h>
#include <twin.h>

#define PSP_FIRST_THREAD_ID 8

static VOID PspDeleteThread(PVOID Object);

static OBJECT_TYPE PspThreadType = {
    .Name = "Thread",
    .Tag = 'erhT',
    .BodyBytes = sizeof(ETHREAD),
    .AllAccess = THREAD_ALL_ACCESS,
    .Waitable = TRUE,
    .Delete = PspDeleteThread,
};

static POBJECT_TYPE PspThreadTypePointer = &PspThreadType;

POBJECT_TYPE *PsThreadType = &PspThreadTypePointer;

/* Advanced by interlocked add; 64 bits, so no number returns. */
static volatile LONG64 PspNextThreadId;

/* ------------------------------------------------------------------ The end. */

/* What the thread has entered and not left; a mutex it owns is KiTerminateThread's to report. */
static VOID PspCheckRegions(PKTHREAD Thread)
{
#if DBG
    if (IsListEmpty(&Thread->MutantListHead) &&
        (Thread->KernelApcDisable != -1 || Thread->SpecialApcDisable != 0))
    {
        KeBugCheckEx(KERNEL_APC_PENDING_DURING_EXIT, 0,
                     (ULONG_PTR)(LONG_PTR)Thread->KernelApcDisable, KeGetCurrentIrql(),
                     (ULONG_PTR)(LONG_PTR)Thread->SpecialApcDisable);
    }
#else
    UNREFERENCED_PARAMETER(Thread);
#endif
}

/* The reaper, at PASSIVE_LEVEL. */
static VOID PspReapThread(POBP_DEFERRED Entry)
{
    PETHREAD Thread = (PETHREAD)CONTAINING_RECORD(Entry, OBJECT_HEADER, Deferred)->Body;

    KI_ASSERT_VALUES(Thread->Tcb.State == Terminated && Thread->Tcb.SwapState == KiSwapSaved,
                     Thread, Thread->Tcb.SwapState);
    MiFreeKernelStack(Thread->Tcb.InitialStack, Thread->Tcb.StackBytes);
    ObDereferenceObject(Thread);
}

/* The switch code, at DISPATCH_LEVEL, on the next thread's stack: this one's is free. */
static VOID PspThreadEnded(PKTHREAD Thread)
{
    if (KI_TWIN(KiTwinPsReapEarly))
    {
        return;
    }
    ObpDefer(&ObpHeader(Thread)->Deferred, PspReapThread);
}

BOOLEAN PspIsThreadObject(const KTHREAD *Thread)
{
    return Thread->Reaper == PspThreadEnded;
}

/* The calling thread's. */
static DECLSPEC_NORETURN VOID PspExitThread(PETHREAD Thread, NTSTATUS ExitStatus)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    if (Thread->ActiveExWorker)
    {
        KeBugCheckEx(ACTIVE_EX_WORKER_THREAD_TERMINATION, (ULONG_PTR)Thread, 0, 0, 0);
    }
    PspCheckRegions(&Thread->Tcb);
    Thread->ExitStatus = ExitStatus;
    if (KI_TWIN(KiTwinPsReapEarly))
    {
        ObpDefer(&ObpHeader(Thread)->Deferred, PspReapThread);
        KI_TWIN_DELAY(KiTwinPsReapEarly);
    }
    KiTerminateThread();
}

/* The last reference is gone, and with it the thread's own: it has been reaped, or was never
 * started. */
static VOID PspDeleteThread(PVOID Object)
{
    PETHREAD Thread = Object;

    KI_ASSERT_VALUES(Thread->Tcb.State == Terminated || Thread->Tcb.State == Initialized, Thread,
                     Thread->Tcb.State);
    UNREFERENCED_PARAMETER(Thread);
}

NTSTATUS PsTerminateSystemThread(NTSTATUS ExitStatus)
{
    PKTHREAD Thread = KeGetCurrentThread();

    if (!PspIsThreadObject(Thread))
    {
        return STATUS_INVALID_PARAMETER;
    }
    PspExitThread((PETHREAD)Thread, ExitStatus);
}

/* ------------------------------------------------------------------ The beginning. */

static DECLSPEC_NORETURN VOID PspThreadStartup(PVOID Context)
{
    PETHREAD Thread = Context;

    Thread->StartRoutine(Thread->StartContext);
    PspExitThread(Thread, STATUS_SUCCESS);
}

NTSTATUS PspCreateThread(PCSTR Name, PKSTART_ROUTINE StartRoutine, PVOID StartContext,
                         KPRIORITY Priority, PETHREAD *Thread)
{
    NTSTATUS Status;
    PETHREAD New;
    PVOID Object, StackTop;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    *Thread = NULL;
    StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, KeGetCurrentNodeNumber());
    if (StackTop == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Status = ObpCreateObject(&PspThreadType, &Object);
    if (!NT_SUCCESS(Status))
    {
        MiFreeKernelStack(StackTop, MI_KERNEL_STACK_SIZE);
        return Status;
    }
    New = Object;
    New->StartRoutine = StartRoutine;
    New->StartContext = StartContext;
    New->Cid.UniqueProcess = PSP_SYSTEM_PROCESS_ID;
    New->Cid.UniqueThread = (HANDLE)(ULONG_PTR)InterlockedExchangeAdd64(&PspNextThreadId, 4);
    KiInitializeThread(&New->Tcb, StackTop, MI_KERNEL_STACK_SIZE, Name, PspThreadStartup, New,
                       Priority, NULL);
    New->Tcb.Reaper = PspThreadEnded;
    *Thread = New;
    return STATUS_SUCCESS;
}

/* Undoes PspCreateThread. */
static VOID PspDiscardThread(PETHREAD Thread)
{
    MiFreeKernelStack(Thread->Tcb.InitialStack, Thread->Tcb.StackBytes);
    ObDereferenceObject(Thread);
}

NTSTATUS PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess,
                              POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                              PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine, PVOID StartContext)
{
    ULONG Attributes;
    NTSTATUS Status;
    PETHREAD Thread;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    *ThreadHandle = NULL;
    Status = ObpCaptureAttributes(ObjectAttributes, &Attributes);
    if (!NT_SUCCESS(Status) || (Attributes & OBJ_OPENIF) != 0 ||
        (ObjectAttributes != NULL && ObjectAttributes->ObjectName != NULL))
    {
        return STATUS_INVALID_PARAMETER;
    }
    if (ProcessHandle != NULL && ProcessHandle != NtCurrentProcess())
    {
        return STATUS_INVALID_HANDLE;
    }
    Status = PspCreateThread("system", StartRoutine, StartContext, KI_DEFAULT_PRIORITY, &Thread);
    if (!NT_SUCCESS(Status))
    {
        return Status;
    }
    Status = ObpInsertObject(Thread, NULL, DesiredAccess, OBJ_KERNEL_HANDLE, ThreadHandle, NULL);
    if (!NT_SUCCESS(Status))
    {
        PspDiscardThread(Thread);
        return Status;
    }
    if (ClientId != NULL)
    {
        *ClientId = Thread->Cid;
    }
    KiStartThread(&Thread->Tcb); /* it may be over, and deleted, when this returns */
    return STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ Numbers. */

HANDLE PsGetThreadId(PETHREAD Thread)
{
    return PspIsThreadObject(&Thread->Tcb) ? Thread->Cid.UniqueThread : NULL;
}

HANDLE PsGetCurrentThreadId(VOID)
{
    return PsGetThreadId(PsGetCurrentThread());
}

VOID PspInitialize(VOID)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    PspNextThreadId = PSP_FIRST_THREAD_ID;
}
