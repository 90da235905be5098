/* SPDX-License-Identifier: MIT */
/*
 * ob.c - objects: counted exactly, deleted once and at PASSIVE_LEVEL; handles: valid or refused;
 * names: one name, one object.
 */
#include "objkit.h"

/* ------------------------------------------------------------------ A type of our own. */

typedef struct _OB_BODY
{
    struct _OB_WATCH *Watch;
} OB_BODY, *POB_BODY;

/* What a deletion was like. */
typedef struct _OB_WATCH
{
    volatile LONG Deletions;
    KIRQL Irql;
    PKTHREAD Thread;
    BOOLEAN DereferenceAgain;
    KEVENT Deleted;
} OB_WATCH, *POB_WATCH;

static VOID DereferenceOnceMore(PVOID Context)
{
    ObDereferenceObject(Context);
}

static VOID DeleteBody(PVOID Object)
{
    POB_WATCH Watch = ((POB_BODY)Object)->Watch;

    if (Watch->DereferenceAgain)
    {
        KtExpectBugCheck(REFERENCE_BY_POINTER, KT_ANY, DereferenceOnceMore, Object);
    }
    Watch->Irql = KeGetCurrentIrql();
    Watch->Thread = KeGetCurrentThread();
    InterlockedIncrement(&Watch->Deletions);
    KeSetEvent(&Watch->Deleted, IO_NO_INCREMENT, FALSE);
}

static OBJECT_TYPE TestType = {
    .Name = "Test",
    .Tag = TAG_OBJECT,
    .BodyBytes = sizeof(OB_BODY),
    .Delete = DeleteBody,
};

static PVOID CreateBody(POB_WATCH Watch)
{
    PVOID Object = NULL;
    NTSTATUS Status = ObpCreateObject(&TestType, &Object);

    KT_CHECK(NT_SUCCESS(Status), "status %x", Status);
    RtlZeroMemory(Watch, sizeof(*Watch));
    KeInitializeEvent(&Watch->Deleted, NotificationEvent, FALSE);
    if (Object != NULL)
    {
        ((POB_BODY)Object)->Watch = Watch;
    }
    return Object;
}

static VOID CheckDeletedOnce(POB_WATCH Watch)
{
    KtAwait(&Watch->Deleted);
    ObpFlushDeferred();
    KT_CHECK(Watch->Deletions == 1, "%d deletions", Watch->Deletions);
    KT_CHECK(Watch->Irql == PASSIVE_LEVEL, "deleted at IRQL %u", Watch->Irql);
    KT_CHECK(TestType.Objects == 0, "%lld objects left", TestType.Objects);
}

/* ------------------------------------------------------------------ Counts. */

static VOID LastReferenceDeletes(VOID)
{
    OB_WATCH Watch;
    PVOID Object = CreateBody(&Watch);

    KT_REQUIRE(Object != NULL, "no object");
    KT_CHECK(ObReferenceObject(Object) == 2, "count");
    KT_CHECK(NT_SUCCESS(ObReferenceObjectByPointer(Object, 0, &TestType, KernelMode)), "own type");
    KT_CHECK(NT_SUCCESS(ObReferenceObjectByPointer(Object, 0, NULL, KernelMode)), "any type");
    KT_CHECK(ObReferenceObjectByPointer(Object, 0, *PsThreadType, KernelMode) ==
                 STATUS_OBJECT_TYPE_MISMATCH,
             "a thread?");
    KT_CHECK(ObDereferenceObject(Object) == 3, "count");
    KT_CHECK(ObDereferenceObject(Object) == 2, "count");
    KT_CHECK(ObDereferenceObject(Object) == 1, "count");
    KT_CHECK(Watch.Deletions == 0, "deleted too early");
    KT_CHECK(ObDereferenceObject(Object) == 0, "count");
    KT_CHECK(Watch.Deletions == 1 && Watch.Thread == KeGetCurrentThread(),
             "not deleted on the spot: %d", Watch.Deletions);
    CheckDeletedOnce(&Watch);
}

static VOID DeletedBelowDispatch(VOID)
{
    OB_WATCH Watch;
    PVOID Object = CreateBody(&Watch);
    KIRQL OldIrql;

    KT_REQUIRE(Object != NULL, "no object");
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ObDereferenceObject(Object);
    KT_CHECK(Watch.Thread != KeGetCurrentThread(), "deleted at DISPATCH_LEVEL");
    KeLowerIrql(OldIrql);
    CheckDeletedOnce(&Watch);

    Object = CreateBody(&Watch);
    KT_REQUIRE(Object != NULL, "no object");
    ObDereferenceObjectDeferDelete(Object);
    CheckDeletedOnce(&Watch);
    KT_CHECK(Watch.Thread != KeGetCurrentThread(), "not deferred");
}

static VOID DropInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ObDereferenceObject(Context);
}

#define DPC_OBJECTS 32

static VOID DroppedInDpcs(VOID)
{
    POB_WATCH Watches = ExAllocatePool2(POOL_FLAG_NON_PAGED, DPC_OBJECTS * sizeof(*Watches),
                                        TAG_OBJECT);
    KDPC Dpcs[DPC_OBJECTS];
    ULONG Made = 0;

    KT_REQUIRE(Watches != NULL, "no memory");
    for (; Made < DPC_OBJECTS; Made++)
    {
        PVOID Object = CreateBody(&Watches[Made]);

        if (Object == NULL)
        {
            break;
        }
        KeInitializeDpc(&Dpcs[Made], DropInDpc, Object);
        KeSetTargetProcessorDpc(&Dpcs[Made], (CHAR)(Made % KtProcessors()));
        KeInsertQueueDpc(&Dpcs[Made], NULL, NULL);
    }
    KeFlushQueuedDpcs();
    ObpFlushDeferred();
    for (ULONG Index = 0; Index < Made; Index++)
    {
        KT_CHECK(Watches[Index].Deletions == 1 && Watches[Index].Irql == PASSIVE_LEVEL,
                 "object %u: %d deletions, IRQL %u", Index, Watches[Index].Deletions,
                 Watches[Index].Irql);
    }
    ExFreePoolWithTag(Watches, TAG_OBJECT);
}

#define FIRE_REFERENCES 200

static VOID DropMany(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Index = 0; Index < FIRE_REFERENCES; Index++)
    {
        ObDereferenceObject(Context);
    }
}

static VOID TakeMany(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Index = 0; Index < FIRE_REFERENCES; Index++)
    {
        ObReferenceObject(Context);
    }
}

/* All processors take, then all drop: the count must come back to exactly one. */
static VOID CountsHoldUnderFire(VOID)
{
    OB_WATCH Watch;
    PVOID Object = CreateBody(&Watch);
    LONG64 Count;

    KT_REQUIRE(Object != NULL, "no object");
    KtParallel(TakeMany, Object);
    Count = ObpHeader(Object)->PointerCount;
    KT_CHECK(Count == 1 + (LONG64)KtProcessors() * FIRE_REFERENCES, "%lld references", Count);
    KtParallel(DropMany, Object);
    Count = ObpHeader(Object)->PointerCount;
    KT_CHECK(Count == 1, "%lld references left", Count);
    KT_CHECK(Watch.Deletions == 0, "deleted with a reference left");
    while (ObDereferenceObject(Object) > 0)
    {
    }
    CheckDeletedOnce(&Watch);
}

/* The processors race for the last reference: one of them deletes. */
static VOID DropOne(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Processor);
    ObDereferenceObject(Context);
}

static VOID OneLastDereference(VOID)
{
    for (ULONG Round = 0; Round < 20 && !KtHasFailed(); Round++)
    {
        OB_WATCH Watch;
        PVOID Object = CreateBody(&Watch);

        KT_REQUIRE(Object != NULL, "no object");
        for (ULONG Index = 1; Index < KtProcessors(); Index++)
        {
            ObReferenceObject(Object);
        }
        KtParallel(DropOne, Object);
        CheckDeletedOnce(&Watch);
    }
}

static VOID TooManyDereferencesStop(VOID)
{
    OB_WATCH Watch;
    PVOID Object = CreateBody(&Watch);

    KT_REQUIRE(Object != NULL, "no object");
    Watch.DereferenceAgain = TRUE;
    ObDereferenceObject(Object);
    CheckDeletedOnce(&Watch);
}

static const KT_CASE Cases[] = {
    {"last-reference-deletes", LastReferenceDeletes, 0, FALSE},
    {"deleted-below-dispatch", DeletedBelowDispatch, 0, FALSE},
    {"dropped-in-dpcs", DroppedInDpcs, 0, FALSE},
    {"L87-counts-hold-under-fire", CountsHoldUnderFire, 0, FALSE},
    {"L87-one-last-dereference", OneLastDereference, 0, FALSE},
    {"too-many-dereferences-stop", TooManyDereferencesStop, 0, TRUE},
};

KT_DEFINE_SUITE(KtObjectSuite, "ob", Cases);
