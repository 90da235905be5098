/* SPDX-License-Identifier: MIT */
/*
 * torturemix.c - everything at once: threads that come and go, DPCs that signal, waits for one, any
 * and all of some objects that everybody shares, priorities and processors by lot. Laws L47, L55,
 * L67, L70 to L72, L76.
 *
 * Conserved: semaphores count what was put in less what was taken; every thread that was started
 * ran to its end once; each DPC that was queued woke its thread; nobody is left in any object's
 * list.
 */
#include "crew.h"

#define LEAST_TURNS 10
#define SHARED 3

typedef struct DECLSPEC_ALIGN(64) _MIXER
{
    KT_THREAD Child;
    KDPC Dpc;
    KEVENT FromDpc;
    ULONG64 Put[SHARED], Taken[SHARED]; /* counts of the shared semaphores: itself */
    ULONG64 Started;                    /* children: itself */
    ULONG64 Ended;                      /* the child; one at a time */
} MIXER, *PMIXER;

static CREW Crew;
static MIXER Mixers[CREW_MOST];
static KSEMAPHORE Shared[SHARED];
static KMUTEX Mutex;
static KEVENT Notification;

static VOID ChildMain(PVOID Context)
{
    PMIXER Mixer = Context;
    LARGE_INTEGER Short = {.QuadPart = -1000};

    KeSetEvent(&Notification, EVENT_INCREMENT, FALSE);
    KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
    KeReleaseMutex(&Mutex, FALSE);
    KeDelayExecutionThread(KernelMode, FALSE, &Short);
    Mixer->Ended++;
}

static VOID BearChild(PCREW_MEMBER Member, PMIXER Mixer)
{
    KPRIORITY Priority = 4 + (KPRIORITY)CrewDraw(Member, 8);

    Mixer->Started++;
    KtCreateThread(&Mixer->Child, ChildMain, Mixer, Priority, KT_ANYWHERE);
    KtJoinThread(&Mixer->Child);
    KT_CHECK(Mixer->Ended == Mixer->Started, "%llu children started, %llu ended", Mixer->Started,
             Mixer->Ended);
}

static VOID SetFromDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PMIXER Mixer = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&Mixer->FromDpc, EVENT_INCREMENT, FALSE);
}

static VOID BeWokenByDpc(PCREW_MEMBER Member, PMIXER Mixer)
{
    PROCESSOR_NUMBER Number;
    NTSTATUS Status;

    KeGetProcessorNumberFromIndex(CrewDraw(Member, KtProcessors()), &Number);
    KeSetTargetProcessorDpcEx(&Mixer->Dpc, &Number);
    KeSetImportanceDpc(&Mixer->Dpc,
                       CrewDraw(Member, 2) == 0 ? MediumHighImportance : HighImportance);
    KT_CHECK(KeInsertQueueDpc(&Mixer->Dpc, NULL, NULL), "it was queued");
    Status = KeWaitForSingleObject(&Mixer->FromDpc, Executive, KernelMode, FALSE, NULL);
    KT_CHECK(Status == STATUS_SUCCESS, "status 0x%X", (ULONG)Status);
}

static VOID TakeAny(PCREW_MEMBER Member, PMIXER Mixer)
{
    PVOID Objects[SHARED] = {&Shared[0], &Shared[1], &Shared[2]};
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)CrewDraw(Member, 3) * 3000};
    NTSTATUS Status = KeWaitForMultipleObjects(SHARED, Objects, WaitAny, Executive, KernelMode,
                                               FALSE, &Timeout, NULL);

    if (Status != STATUS_TIMEOUT)
    {
        KT_CHECK(Status >= STATUS_WAIT_0 && Status < SHARED, "status 0x%X", (ULONG)Status);
        Mixer->Taken[Status % SHARED]++;
    }
}

/* Two of them and the mutex. */
static VOID TakeAll(PCREW_MEMBER Member, PMIXER Mixer)
{
    ULONG First = CrewDraw(Member, SHARED), Second = (First + 1) % SHARED;
    PVOID Objects[] = {&Shared[First], &Mutex, &Shared[Second]};
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)CrewDraw(Member, 3) * 3000};
    NTSTATUS Status = KeWaitForMultipleObjects(RTL_NUMBER_OF(Objects), Objects, WaitAll, Executive,
                                               KernelMode, FALSE, &Timeout, NULL);

    if (Status != STATUS_TIMEOUT)
    {
        KT_CHECK(Status == STATUS_SUCCESS, "status 0x%X", (ULONG)Status);
        Mixer->Taken[First]++;
        Mixer->Taken[Second]++;
        KeReleaseMutex(&Mutex, FALSE);
    }
}

static VOID Put(PCREW_MEMBER Member, PMIXER Mixer)
{
    ULONG Which = CrewDraw(Member, SHARED);
    LONG Count = 1 + (LONG)CrewDraw(Member, 2);

    KeReleaseSemaphore(&Shared[Which], SEMAPHORE_INCREMENT, Count, FALSE);
    Mixer->Put[Which] += (ULONG64)Count;
}

static VOID AwaitNotification(PCREW_MEMBER Member)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)KT_MILLISECONDS(1)};

    KeWaitForSingleObject(&Notification, Executive, KernelMode, FALSE, &Timeout);
    if (CrewDraw(Member, 2) == 0)
    {
        KeClearEvent(&Notification);
    }
    else
    {
        KePulseEvent(&Notification, EVENT_INCREMENT, FALSE);
    }
}

static VOID Mix(PCREW_MEMBER Member)
{
    PMIXER Mixer = &Mixers[Member->Number];

    switch (CrewDraw(Member, 8))
    {
    case 0:
        BearChild(Member, Mixer);
        break;
    case 1:
        BeWokenByDpc(Member, Mixer);
        break;
    case 2:
        TakeAll(Member, Mixer);
        break;
    case 3:
    case 4:
        TakeAny(Member, Mixer);
        break;
    case 5:
        AwaitNotification(Member);
        break;
    case 6:
        KeSetPriorityThread(KeGetCurrentThread(), 1 + (KPRIORITY)CrewDraw(Member, 15));
        break;
    default:
        Put(Member, Mixer);
        break;
    }
    CrewLinger(Member);
}

static VOID CheckObject(PDISPATCHER_HEADER Header, PCSTR Name)
{
    KT_CHECK(IsListEmpty(&Header->WaitListHead) && Header->WaitAllCount == 0,
             "%s: somebody is left in its list", Name);
}

static VOID CheckConservation(VOID)
{
    for (ULONG Which = 0; Which < SHARED; Which++)
    {
        ULONG64 Left = 0;

        for (ULONG Number = 0; Number < Crew.Count; Number++)
        {
            Left += Mixers[Number].Put[Which] - Mixers[Number].Taken[Which];
        }
        KT_CHECK((ULONG64)KeReadStateSemaphore(&Shared[Which]) == Left,
                 "semaphore %u: count %d, %llu left", Which, KeReadStateSemaphore(&Shared[Which]),
                 Left);
        CheckObject(&Shared[Which].Header, "a semaphore");
    }
    KT_CHECK(KeReadStateMutex(&Mutex) == 1, "mutex %d", KeReadStateMutex(&Mutex));
    CheckObject(&Mutex.Header, "the mutex");
    CheckObject(&Notification.Header, "the event");
}

static VOID Everything(VOID)
{
    RtlZeroMemory(&Crew, sizeof(Crew));
    RtlZeroMemory(Mixers, sizeof(Mixers));
    Crew.Name = "mix";
    Crew.Count = CrewSize(4, 16);
    Crew.Least = LEAST_TURNS;
    Crew.Turn = Mix;
    KeInitializeMutex(&Mutex, 0);
    KeInitializeEvent(&Notification, NotificationEvent, FALSE);
    for (ULONG Which = 0; Which < SHARED; Which++)
    {
        KeInitializeSemaphore(&Shared[Which], 0, MAXLONG);
    }
    for (ULONG Number = 0; Number < Crew.Count; Number++)
    {
        KeInitializeDpc(&Mixers[Number].Dpc, SetFromDpc, &Mixers[Number]);
        KeInitializeEvent(&Mixers[Number].FromDpc, SynchronizationEvent, FALSE);
    }
    CrewRun(&Crew);
    KeFlushQueuedDpcs();
    CheckConservation();
}

static const KT_CASE Cases[] = {
    {"L76-mix", Everything, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtTortureMixSuite, "torture", Cases);
