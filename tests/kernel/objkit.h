/* SPDX-License-Identifier: MIT */
/* objkit.h - what the tests of objects, threads and work items share. */
#pragma once

#include "kt.h"

#include <ntifs.h>
#include <obp.h>

#define TAG_OBJECT 'bOtK'

/* No wait of a test is longer: a wake-up was lost, and the test says so. 100 ns units. */
#define KT_LOST_AFTER (60 * 10000000ll)

/* Waits for an object; fails the case if it does not come. */
FORCEINLINE BOOLEAN KtAwait(PVOID Object)
{
    LARGE_INTEGER Limit = {.QuadPart = -KT_LOST_AFTER};
    NTSTATUS Status = KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Limit);

    KT_CHECK(Status == STATUS_SUCCESS, "status %x", Status);
    return Status == STATUS_SUCCESS;
}

/* Starts a thread; returns its object with a reference, as Microsoft's pages do it, or NULL. */
FORCEINLINE PVOID KtSpawn(PKSTART_ROUTINE Routine, PVOID Context)
{
    HANDLE Handle;
    PVOID Thread = NULL;
    NTSTATUS Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine,
                                           Context);

    KT_CHECK(NT_SUCCESS(Status), "status %x", Status);
    if (NT_SUCCESS(Status))
    {
        Status = ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode,
                                           &Thread, NULL);
        KT_CHECK(NT_SUCCESS(Status), "status %x", Status);
        Status = ZwClose(Handle);
        KT_CHECK(NT_SUCCESS(Status), "status %x", Status);
    }
    return Thread;
}

/* Waits for its end and lets go of it. */
FORCEINLINE VOID KtJoinSpawned(PVOID Thread)
{
    if (Thread != NULL)
    {
        KtAwait(Thread);
        ObDereferenceObject(Thread);
    }
}
