/* SPDX-License-Identifier: MIT */
/*
 * threads.c - what it costs to give a processor away: by yielding, and by waking each other.
 *
 * Two threads of their own, each bound to a processor, while the benchmark's own thread waits for
 * both. One of them measures, the other answers. A hand-over is one thread's wake-up of the other
 * with its own wait; there and back are two of them.
 */
#include <scheduler.h>

#include "threads.h"

static KEVENT There, Back, Begun;
static volatile LONG Stop;

VOID KbWait(PVOID Object)
{
    KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
}

VOID KbRunPair(ULONG FirstProcessor, ULONG SecondProcessor, KPRIORITY Priority,
               KB_THREAD_ROUTINE *Measure, KB_THREAD_ROUTINE *Answer, PVOID Context)
{
    static KT_THREAD First, Second;

    KeInitializeEvent(&Begun, NotificationEvent, FALSE);
    Stop = FALSE;
    KtCreateThread(&Second, Answer, Context, Priority, SecondProcessor);
    KtCreateThread(&First, Measure, Context, Priority, FirstProcessor);
    KtJoinThread(&First);
    KtJoinThread(&Second);
}

/* A series of KB_ROUNDS, each of eight exchanges: sixteen hand-overs. */
#define MEASURE_EXCHANGES(Name, Statement)                                                         \
    do                                                                                             \
    {                                                                                              \
        KbBegin(Name, "tsc", 16);                                                                  \
        for (ULONG KbRound = 0; KbRound < KB_ROUNDS; KbRound++)                                    \
        {                                                                                          \
            KB_START();                                                                            \
            KB_EIGHT(Statement);                                                                   \
            KB_STOP();                                                                             \
        }                                                                                          \
        KbEnd();                                                                                   \
    } while (0)

#define EXCHANGES (KB_ROUNDS * 8)

/* ------------------------------------------------------------------ Yielding. */

static VOID YieldAndMeasure(PVOID Name)
{
    KbWait(&Begun);
    MEASURE_EXCHANGES(Name, KiYieldThread());
    WriteRelease(&Stop, TRUE);
}

static VOID YieldUntilStopped(PVOID Name)
{
    UNREFERENCED_PARAMETER(Name);
    KeSetEvent(&Begun, IO_NO_INCREMENT, FALSE);
    while (!ReadAcquire(&Stop))
    {
        KiYieldThread();
    }
}

static VOID SwitchByYield(VOID)
{
    KbRunPair(0, 0, KI_DEFAULT_PRIORITY, YieldAndMeasure, YieldUntilStopped, "thread-yield");
}

/* Nobody to give way to. */
static VOID YieldAlone(VOID)
{
    KB_MEASURE("thread-yield-alone", KiYieldThread());
}

/* ------------------------------------------------------------------ Events. */

static VOID Ping(PVOID Name)
{
    MEASURE_EXCHANGES(Name, (KeSetEvent(&There, IO_NO_INCREMENT, FALSE), KbWait(&Back)));
}

static VOID Pong(PVOID Name)
{
    UNREFERENCED_PARAMETER(Name);
    for (ULONG Round = 0; Round < EXCHANGES; Round++)
    {
        KbWait(&There);
        KeSetEvent(&Back, IO_NO_INCREMENT, FALSE);
    }
}

static VOID PingPong(ULONG SecondProcessor, PCSTR Name)
{
    KeInitializeEvent(&There, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Back, SynchronizationEvent, FALSE);
    KbRunPair(0, SecondProcessor, KI_DEFAULT_PRIORITY, Ping, Pong, (PVOID)(ULONG_PTR)Name);
}

static VOID PingPongHere(VOID)
{
    PingPong(0, "thread-event");
}

static VOID PingPongAcross(VOID)
{
    PingPong(1, "thread-event-across");
}

static VOID PingPongAnywhere(VOID)
{
    KeInitializeEvent(&There, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Back, SynchronizationEvent, FALSE);
    KbRunPair(KT_ANYWHERE, KT_ANYWHERE, KI_DEFAULT_PRIORITY, Ping, Pong, "thread-event-anywhere");
}

/* ------------------------------------------------------------------ Semaphores. */

static KSEMAPHORE SemaphoreThere, SemaphoreBack;

static VOID Produce(PVOID Name)
{
    MEASURE_EXCHANGES(Name, (KeReleaseSemaphore(&SemaphoreThere, IO_NO_INCREMENT, 1, FALSE),
                             KbWait(&SemaphoreBack)));
}

static VOID Consume(PVOID Name)
{
    UNREFERENCED_PARAMETER(Name);
    for (ULONG Round = 0; Round < EXCHANGES; Round++)
    {
        KbWait(&SemaphoreThere);
        KeReleaseSemaphore(&SemaphoreBack, IO_NO_INCREMENT, 1, FALSE);
    }
}

static VOID SemaphoreHandOver(VOID)
{
    KeInitializeSemaphore(&SemaphoreThere, 0, 1);
    KeInitializeSemaphore(&SemaphoreBack, 0, 1);
    KbRunPair(0, 0, KI_DEFAULT_PRIORITY, Produce, Consume, "thread-semaphore");
}

/* ------------------------------------------------------------------ A mutex that is always waited
 * for: each release hands it over, and each acquisition waits. At a real-time priority, because the
 * boost that comes with a release would have the new owner preempt the old one. */

static KMUTEX Mutex;

static VOID HandOverAndMeasure(PVOID Name)
{
    KbWait(&Mutex);
    KeSetEvent(&Begun, IO_NO_INCREMENT, FALSE);
    KiYieldThread(); /* the other one waits for the mutex now */
    MEASURE_EXCHANGES(Name, (KeReleaseMutex(&Mutex, FALSE), KbWait(&Mutex)));
    KeReleaseMutex(&Mutex, FALSE);
}

static VOID HandOver(PVOID Name)
{
    UNREFERENCED_PARAMETER(Name);
    KbWait(&Begun);
    KbWait(&Mutex);
    for (ULONG Round = 0; Round < EXCHANGES; Round++)
    {
        KeReleaseMutex(&Mutex, FALSE);
        KbWait(&Mutex);
    }
    KeReleaseMutex(&Mutex, FALSE);
}

static VOID MutexHandOver(VOID)
{
    KeInitializeMutex(&Mutex, 0);
    KbRunPair(0, 0, LOW_REALTIME_PRIORITY, HandOverAndMeasure, HandOver, "thread-mutex");
}

/* ------------------------------------------------------------------ Any of eight. */

#define ANY 8

static KEVENT Events[ANY];

static VOID WaitForAny(VOID)
{
    KWAIT_BLOCK Blocks[ANY];
    PVOID Objects[ANY];

    for (ULONG Index = 0; Index < ANY; Index++)
    {
        Objects[Index] = &Events[Index];
    }
    KeWaitForMultipleObjects(ANY, Objects, WaitAny, Executive, KernelMode, FALSE, NULL, Blocks);
}

static VOID InitializeEvents(VOID)
{
    for (ULONG Index = 0; Index < ANY; Index++)
    {
        KeInitializeEvent(&Events[Index], SynchronizationEvent, FALSE);
    }
}

/* The last one sets them in turn, so the waiter has from none to seven others behind it. */
static VOID SetOneOfEight(PVOID Name)
{
    ULONG Next = 0;

    MEASURE_EXCHANGES(Name,
                      (KeSetEvent(&Events[Next++ % ANY], IO_NO_INCREMENT, FALSE), KbWait(&Back)));
}

static VOID WaitForOneOfEight(PVOID Name)
{
    UNREFERENCED_PARAMETER(Name);
    for (ULONG Round = 0; Round < EXCHANGES; Round++)
    {
        WaitForAny();
        KeSetEvent(&Back, IO_NO_INCREMENT, FALSE);
    }
}

static VOID AnyOfEight(VOID)
{
    InitializeEvents();
    KeInitializeEvent(&Back, SynchronizationEvent, FALSE);
    KbRunPair(0, 0, KI_DEFAULT_PRIORITY, SetOneOfEight, WaitForOneOfEight, "thread-any8");
}

/* ------------------------------------------------------------------ From a DPC to a thread that it
 * wakes, of higher priority than the one it interrupted. */

static KDPC Dpc;
static ULONG64 SetAt; /* the DPC; read by the thread that it wakes */

static VOID WakeFromDpc(PKDPC Unused, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Unused);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    SetAt = __rdtsc();
    KeSetEvent(&There, IO_NO_INCREMENT, FALSE);
}

static VOID WakeAndMeasure(PVOID Name)
{
    KeSetPriorityThread(KeGetCurrentThread(), KI_DEFAULT_PRIORITY + 2);
    KbBegin(Name, "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KbWait(&There);
        KbSample(__rdtsc() - SetAt - KbEmptyTicks);
    }
    KbEnd();
    WriteRelease(&Stop, TRUE);
}

static VOID QueueUntilStopped(PVOID Name)
{
    UNREFERENCED_PARAMETER(Name);
    while (!ReadAcquire(&Stop))
    {
        KeInsertQueueDpc(&Dpc, NULL, NULL);
    }
}

static VOID DpcToThread(VOID)
{
    KeInitializeEvent(&There, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Dpc, WakeFromDpc, NULL);
    KbRunPair(0, 0, KI_DEFAULT_PRIORITY, WakeAndMeasure, QueueUntilStopped, "thread-dpc-wake");
    KeFlushQueuedDpcs();
}

/* ------------------------------------------------------------------ Without a switch. */

static VOID SetWithoutWaiter(VOID)
{
    KeInitializeEvent(&There, NotificationEvent, FALSE);
    KB_MEASURE("thread-set", KeSetEvent(&There, IO_NO_INCREMENT, FALSE));
}

static VOID WaitForSignaled(VOID)
{
    KeInitializeEvent(&There, NotificationEvent, TRUE);
    KB_MEASURE("thread-wait", KbWait(&There));
    InitializeEvents();
    KeInitializeEvent(&Events[ANY - 1], NotificationEvent, TRUE);
    KB_MEASURE("thread-any8-wait", WaitForAny());
}

static VOID MutexPair(VOID)
{
    KeInitializeMutex(&Mutex, 0);
    KB_MEASURE("thread-mutex-pair", (KbWait(&Mutex), KeReleaseMutex(&Mutex, FALSE)));
}

static VOID Nothing(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
}

static VOID CreateAndJoin(VOID)
{
    static KT_THREAD Thread;

    KbBegin("thread-create", "tsc", 1);
    for (ULONG Round = 0; Round < KB_ROUNDS; Round++)
    {
        KB_START();
        KtCreateThread(&Thread, Nothing, NULL, KI_DEFAULT_PRIORITY, 0);
        KtJoinThread(&Thread);
        KB_STOP();
    }
    KbEnd();
}

static const KB_BENCH Benches[] = {
    {"thread-yield", SwitchByYield, 1},
    {"thread-yield-alone", YieldAlone, 1},
    {"thread-event", PingPongHere, 1},
    {"thread-event-across", PingPongAcross, 2},
    {"thread-event-anywhere", PingPongAnywhere, 2},
    {"thread-semaphore", SemaphoreHandOver, 1},
    {"thread-mutex", MutexHandOver, 1},
    {"thread-mutex-pair", MutexPair, 1},
    {"thread-any8", AnyOfEight, 1},
    {"thread-dpc-wake", DpcToThread, 1},
    {"thread-set", SetWithoutWaiter, 1},
    {"thread-wait", WaitForSignaled, 1},
    {"thread-create", CreateAndJoin, 1},
};

KB_DEFINE_GROUP(KbThreadGroup, Benches);
