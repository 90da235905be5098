/* SPDX-License-Identifier: MIT */
/*
 * deathobjects.c - ends that stop the machine for good: a thread that owns a mutex, a work item
 * that returns raised, an object dereferenced once too often. See death.c.
 */
#include "objkit.h"

static VOID EndOwning(PVOID Context)
{
    static KMUTEX Mutex;

    UNREFERENCED_PARAMETER(Context);
    KeInitializeMutex(&Mutex, 0);
    KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
}

static VOID ReturnRaised(PVOID Parameter)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Parameter);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
}

static VOID MustNotComeBack(VOID)
{
    LARGE_INTEGER Limit = {.QuadPart = -KT_LOST_AFTER};

    KeDelayExecutionThread(KernelMode, FALSE, &Limit);
    KT_CHECK(FALSE, "the machine did not stop");
}

static VOID ThreadEndsOwning(VOID)
{
    KtSpawn(EndOwning, NULL);
    MustNotComeBack();
}

static VOID WorkReturnsRaised(VOID)
{
    static WORK_QUEUE_ITEM Item;

    ExInitializeWorkItem(&Item, ReturnRaised, NULL);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
    MustNotComeBack();
}

static VOID DereferencedOnceMore(VOID)
{
    HANDLE Handle;
    PVOID Event;

    ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE);
    ObReferenceObjectByHandle(Handle, 0, NULL, KernelMode, &Event, NULL);
    ObDereferenceObject(Event);
    ObDereferenceObject(Event); /* the handle's reference, and so the object */
    ZwClose(Handle);
    MustNotComeBack();
}

static const KT_CASE Cases[] = {
    {"thread-ends-owning", ThreadEndsOwning, 0, FALSE},
    {"work-returns-raised", WorkReturnsRaised, 0, FALSE},
    {"dereferenced-once-more", DereferencedOnceMore, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtDeathObjectSuite, "death", Cases);
