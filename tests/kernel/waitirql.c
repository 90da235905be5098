/* SPDX-License-Identifier: MIT */
/* waitirql.c - where a thread may only ask, and where not even that: laws L31, L68 and L69. */
#include "waitkit.h"

/* ------------------------------------------------------------------ L68: who only asks. */

static struct
{
    KEVENT Set, Clear;
    KSEMAPHORE Semaphore;
    KMUTEX Mutex;
    KDPC Dpc;
    volatile LONG Asked;
} Questions;

static VOID Ask(KIRQL Level)
{
    PVOID Both[2] = {&Questions.Clear, &Questions.Set};
    PVOID Free[2] = {&Questions.Set, &Questions.Semaphore};

    KT_CHECK(KtAsk(&Questions.Set) == STATUS_SUCCESS, "IRQL %u: a set event", Level);
    KT_CHECK(KtAsk(&Questions.Clear) == STATUS_TIMEOUT, "IRQL %u: a clear event", Level);
    KT_CHECK(KtAsk(&Questions.Semaphore) == STATUS_SUCCESS &&
                 KtAsk(&Questions.Semaphore) == STATUS_TIMEOUT,
             "IRQL %u: a semaphore of one", Level);
    KT_CHECK(KeReleaseSemaphore(&Questions.Semaphore, IO_NO_INCREMENT, 1, FALSE) == 0,
             "IRQL %u: the count", Level);
    KT_CHECK(KtAskMany(WaitAny, 2, Both) == STATUS_WAIT_0 + 1, "IRQL %u: any", Level);
    KT_CHECK(KtAskMany(WaitAll, 2, Both) == STATUS_TIMEOUT, "IRQL %u: all of two", Level);
    KT_CHECK(KtAskMany(WaitAll, 2, Free) == STATUS_WAIT_0, "IRQL %u: all", Level);
    KT_CHECK(KeReleaseSemaphore(&Questions.Semaphore, IO_NO_INCREMENT, 1, FALSE) == 0,
             "IRQL %u: all took no count", Level);
    KT_CHECK(KeGetCurrentIrql() == Level, "IRQL %u, before it %u", KeGetCurrentIrql(), Level);
    InterlockedIncrement(&Questions.Asked);
}

static VOID AskInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Ask(DISPATCH_LEVEL);
}

static VOID AskedAnywhere(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();

    RtlZeroMemory(&Questions, sizeof(Questions));
    KeInitializeEvent(&Questions.Set, NotificationEvent, TRUE);
    KeInitializeEvent(&Questions.Clear, SynchronizationEvent, FALSE);
    KeInitializeSemaphore(&Questions.Semaphore, 1, 1);
    KeInitializeMutex(&Questions.Mutex, 0);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= DISPATCH_LEVEL; Level++)
    {
        ULONG64 Switches;
        KIRQL OldIrql;

        KeRaiseIrql(Level, &OldIrql);
        Switches = Thread->ContextSwitches;
        Ask(Level);
        KT_CHECK(KtAsk(&Questions.Mutex) == STATUS_SUCCESS, "IRQL %u: a mutex", Level);
        KT_CHECK(KeReleaseMutex(&Questions.Mutex, FALSE) == 0, "IRQL %u: its release", Level);
        KT_CHECK(Level < DISPATCH_LEVEL || Thread->ContextSwitches == Switches,
                 "switched at DISPATCH_LEVEL");
        KeLowerIrql(OldIrql);
    }
    KeInitializeDpc(&Questions.Dpc, AskInDpc, NULL);
    KeInsertQueueDpc(&Questions.Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Questions.Asked, DISPATCH_LEVEL + 2, WAIT_LIMIT), "the DPC never asked");
    KtCheckNobodyWaits(&Questions.Set);
    KtCheckNobodyWaits(&Questions.Clear);
    KtCheckNobodyWaits(&Questions.Semaphore);
}

/* ------------------------------------------------------------------ L69, L31: who may not wait.
 * The objects are signaled, so a kernel that forgets to look lets the caller go. */

typedef enum _KIND
{
    Single,
    Any,
    All,
    MaximumKind
} KIND;

typedef struct _RAISED_WAIT
{
    KIND Kind;
    KIRQL Irql;
    PLARGE_INTEGER Timeout;
} RAISED_WAIT, *PRAISED_WAIT;

static KEVENT Signaled[2];

static VOID WaitRaised(PVOID Context)
{
    PVOID Objects[2] = {&Signaled[0], &Signaled[1]};
    PRAISED_WAIT Wait = Context;
    KIRQL OldIrql = KeGetCurrentIrql();

    if (OldIrql < Wait->Irql)
    {
        KeRaiseIrql(Wait->Irql, &OldIrql);
    }
    if (Wait->Kind == Single)
    {
        KeWaitForSingleObject(&Signaled[0], Executive, KernelMode, FALSE, Wait->Timeout);
    }
    else
    {
        KtWaitMany(Wait->Kind == Any ? WaitAny : WaitAll, 2, Objects, Wait->Timeout);
    }
    KeLowerIrql(OldIrql);
}

static VOID StopsWhenRaised(VOID)
{
    LARGE_INTEGER Short = KtRelative(KT_MILLISECONDS(1));

    KeInitializeEvent(&Signaled[0], NotificationEvent, TRUE);
    KeInitializeEvent(&Signaled[1], NotificationEvent, TRUE);
    for (KIND Kind = Single; Kind < MaximumKind; Kind++)
    {
        RAISED_WAIT ForEver = {Kind, DISPATCH_LEVEL, NULL};
        RAISED_WAIT Limited = {Kind, DISPATCH_LEVEL, &Short};
        RAISED_WAIT Asks = {Kind, SYNCH_LEVEL, &KtPoll};
        RAISED_WAIT High = {Kind, HIGH_LEVEL, NULL};

        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x121, WaitRaised, &ForEver);
        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x122, WaitRaised, &Limited);
        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x120, WaitRaised, &Asks);
        KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x120, WaitRaised, &High);
        KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    }
}

static struct
{
    KDPC Dpc;
    volatile LONG Done;
} Deferred;

static VOID WaitInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LARGE_INTEGER Short = KtRelative(KT_MILLISECONDS(1));

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (KIND Kind = Single; Kind < MaximumKind; Kind++)
    {
        RAISED_WAIT ForEver = {Kind, DISPATCH_LEVEL, NULL};
        RAISED_WAIT Limited = {Kind, DISPATCH_LEVEL, &Short};

        KtExpectBugCheck(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)KeGetCurrentThread(), WaitRaised,
                         &ForEver);
        KtExpectBugCheck(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)KeGetCurrentThread(), WaitRaised,
                         &Limited);
    }
    WriteRelease(&Deferred.Done, TRUE);
}

static VOID StopsInDpc(VOID)
{
    KeInitializeEvent(&Signaled[0], NotificationEvent, TRUE);
    KeInitializeEvent(&Signaled[1], NotificationEvent, TRUE);
    Deferred.Done = FALSE;
    KeInitializeDpc(&Deferred.Dpc, WaitInDpc, NULL);
    KeInsertQueueDpc(&Deferred.Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Deferred.Done, TRUE, WAIT_LIMIT), "the DPC never ran");
}

static const KT_CASE Cases[] = {
    {"wait-L68-asked-anywhere", AskedAnywhere, 0, FALSE},
    {"wait-L69-stops-when-raised", StopsWhenRaised, 0, TRUE},
    {"wait-L31-stops-in-dpc", StopsInDpc, 0, TRUE},
};

KT_DEFINE_SUITE(KtWaitIrqlSuite, "ke", Cases);
