/* SPDX-License-Identifier: MIT */
/*
 * torturelocks.c - mutexes, and events and semaphores used as locks, under many threads that hold
 * them for long and short, are moved about, and pause. Laws L43, L49, L52, L55.
 *
 * Inside there is one thread at a time; it finds what the last one left, whole; and the visits that
 * the threads count themselves are those that the guarded words have counted.
 */
#include "crew.h"

#define PARTS 6
#define LEAST_VISITS 8
#define DEEPEST 3

typedef struct _SLEEPING_LOCK
{
    NTSTATUS (*Acquire)(PLARGE_INTEGER Timeout);
    VOID (*Release)(VOID);
    BOOLEAN Recursive;
} SLEEPING_LOCK;

static KMUTEX Mutex;
static KEVENT Event;
static KSEMAPHORE Semaphore;

/* Guarded by the lock under test. */
static volatile ULONG Holder; /* member + 1 */
static volatile ULONG64 Parts[PARTS];

static NTSTATUS AcquireMutex(PLARGE_INTEGER Timeout)
{
    return KeWaitForMutexObject(&Mutex, Executive, KernelMode, FALSE, Timeout);
}

static VOID ReleaseMutex(VOID)
{
    KeReleaseMutex(&Mutex, FALSE);
}

static NTSTATUS AcquireEvent(PLARGE_INTEGER Timeout)
{
    return KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, Timeout);
}

static VOID ReleaseEvent(VOID)
{
    LONG Old = KeSetEvent(&Event, EVENT_INCREMENT, FALSE);

    KT_CHECK(Old == 0, "the event was set while it was taken");
}

static NTSTATUS AcquireSemaphore(PLARGE_INTEGER Timeout)
{
    return KeWaitForSingleObject(&Semaphore, Executive, KernelMode, FALSE, Timeout);
}

static VOID ReleaseSemaphore(VOID)
{
    LONG Old = KeReleaseSemaphore(&Semaphore, SEMAPHORE_INCREMENT, 1, FALSE);

    KT_CHECK(Old == 0, "count %d while it was taken", Old);
}

static const SLEEPING_LOCK MutexLock = {AcquireMutex, ReleaseMutex, TRUE};
static const SLEEPING_LOCK EventLock = {AcquireEvent, ReleaseEvent, FALSE};
static const SLEEPING_LOCK SemaphoreLock = {AcquireSemaphore, ReleaseSemaphore, FALSE};

/* ------------------------------------------------------------------ One visit. */

/* Waits for ever, perhaps after one look or a short wait; not again and again: where a host cannot
 * run all processors at once, waits that all expire would be all that happens. */
static VOID AcquireSomehow(PCREW_MEMBER Member, const SLEEPING_LOCK *Lock)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)KT_MILLISECONDS(CrewDraw(Member, 3))};

    if (CrewDraw(Member, 2) == 0 || Lock->Acquire(&Timeout) == STATUS_TIMEOUT)
    {
        NTSTATUS Status = Lock->Acquire(NULL);

        KT_CHECK(Status == STATUS_SUCCESS, "status 0x%X", (ULONG)Status);
    }
}

static VOID StayInside(PCREW_MEMBER Member)
{
    ULONG64 Value = Parts[0];

    KT_CHECK(Holder == 0, "member %u is inside too", Holder - 1);
    Holder = Member->Number + 1;
    for (ULONG Part = 0; Part < PARTS; Part++)
    {
        KT_CHECK(Parts[Part] == Value, "part %u is %llu, not %llu", Part, Parts[Part], Value);
        Parts[Part] = Value + 1;
        if (Part == PARTS / 2)
        {
            CrewLinger(Member);
        }
    }
    if (CrewDraw(Member, 64) == 0)
    {
        KtSleep(KT_MILLISECONDS(1));
    }
    KT_CHECK(Holder == Member->Number + 1, "member %u came in", Holder - 1);
    Holder = 0;
}

static VOID Visit(PCREW_MEMBER Member)
{
    const SLEEPING_LOCK *Lock = Member->Crew->Context;
    ULONG Depth = Lock->Recursive ? 1 + CrewDraw(Member, DEEPEST) : 1;

    AcquireSomehow(Member, Lock);
    for (ULONG Level = 1; Level < Depth; Level++)
    {
        NTSTATUS Status = Lock->Acquire(NULL);

        KT_CHECK(Status == STATUS_SUCCESS, "status 0x%X", (ULONG)Status);
    }
    StayInside(Member);
    for (ULONG Level = 0; Level < Depth; Level++)
    {
        Lock->Release();
    }
    CrewLinger(Member);
}

static VOID TortureLock(PCSTR Name, const SLEEPING_LOCK *Lock)
{
    static CREW Crew;
    ULONG64 Visits = 0;

    RtlZeroMemory(&Crew, sizeof(Crew));
    Crew.Name = Name;
    Crew.Count = CrewSize(4, 16);
    Crew.Least = LEAST_VISITS;
    Crew.Turn = Visit;
    Crew.Context = (PVOID)Lock;
    Holder = 0;
    RtlZeroMemory((PVOID)Parts, sizeof(Parts));
    CrewRun(&Crew);
    for (ULONG Number = 0; Number < Crew.Count; Number++)
    {
        Visits += Crew.Members[Number].Turns;
    }
    KT_CHECK(Visits == Parts[0], "%llu visits outside, %llu inside", Visits, Parts[0]);
}

/* ------------------------------------------------------------------ The cases. */

static VOID TortureMutex(VOID)
{
    KeInitializeMutex(&Mutex, 0);
    TortureLock("mutex", &MutexLock);
    KT_CHECK(KeReadStateMutex(&Mutex) == 1, "state %d", KeReadStateMutex(&Mutex));
}

static VOID TortureEvent(VOID)
{
    KeInitializeEvent(&Event, SynchronizationEvent, TRUE);
    TortureLock("event", &EventLock);
    KT_CHECK(KeReadStateEvent(&Event) == 1, "state %d", KeReadStateEvent(&Event));
}

static VOID TortureSemaphore(VOID)
{
    KeInitializeSemaphore(&Semaphore, 1, 1);
    TortureLock("semaphore", &SemaphoreLock);
    KT_CHECK(KeReadStateSemaphore(&Semaphore) == 1, "count %d", KeReadStateSemaphore(&Semaphore));
}

static const KT_CASE Cases[] = {
    {"L49-L52-mutex", TortureMutex, 0, FALSE},
    {"L43-event-as-lock", TortureEvent, 0, FALSE},
    {"L55-semaphore-as-lock", TortureSemaphore, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtTortureLockSuite, "torture", Cases);
