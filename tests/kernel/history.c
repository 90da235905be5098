/* SPDX-License-Identifier: MIT */
/*
 * history.c - makes rounds and has them written out. See history.h.
 *
 * A call's begin and end enclose it: the first is read before anything of the call happens, and the
 * last after everything that it stored is visible to all processors. The threads start a round
 * together and run it without a word to one another but the objects'. Between two calls one may
 * look whether another thread is waiting, which tells the host what a wait's beginning alone
 * cannot: that it has joined the queue.
 *
 * The threads have a real-time priority: no boost, and whoever gives way lets all others run.
 */
#include "history.h"

#include <arch/hal.h>

#include "runner.h"

#define CALLS 48 /* of one thread in a round; the last look at the objects needs most */
#define ROUNDS 120
#define FEWEST_ROUNDS 20
#define NORMAL_BUDGET KT_MILLISECONDS(200)
#define PRIORITY LOW_REALTIME_PRIORITY
#define NO_CALL MAXULONG
#define LOOK_LIMIT 2000                /* 200 us */
#define LONGEST_NAP 3000               /* 300 us */
#define STEP_LIMIT KT_MILLISECONDS(10) /* a wake-up that a broken twin loses costs this much */
#define QUEUE_CONCURRENCY (HISTORY_THREADS * 2)

typedef struct _HISTORY_ENTRY
{
    LIST_ENTRY Link;
    LONG Number;
} HISTORY_ENTRY, *PHISTORY_ENTRY;

/* One thread's; the last is the runner's own, which looks at the objects after each round. */
typedef struct DECLSPEC_ALIGN(64) _HISTORY_THREAD
{
    KT_THREAD Thread;
    KT_RANDOM Random;
    KEVENT Go;
    ULONG Number;
    ULONG Steps;            /* of this round's program: the runner, before it */
    volatile ULONG Current; /* the call that it is in, or NO_CALL: itself */
    ULONG Count;
    LONG Depth[HISTORY_OBJECTS]; /* of ownership */
    HISTORY_CALL Calls[CALLS];
    HISTORY_ENTRY Entries[HISTORY_PROGRAM];
} HISTORY_THREAD, *PHISTORY_THREAD;

typedef union _HISTORY_OBJECT
{
    DISPATCHER_HEADER Header;
    KEVENT Event;
    KSEMAPHORE Semaphore;
    KMUTEX Mutex;
    KQUEUE Queue;
} HISTORY_OBJECT, *PHISTORY_OBJECT;

static struct
{
    const HISTORY_KINDS *Kinds;
    HISTORY_OBJECT Objects[HISTORY_OBJECTS];
    HISTORY_THREAD Threads[HISTORY_THREADS + 1];
    KEVENT Done;
    volatile LONG Round; /* the runner; 0: the threads are to end */
    volatile LONG Arrived, Running;
} History;

static HISTORY_KIND KindOf(ULONG Object)
{
    return History.Kinds->Objects[Object].Kind;
}

static ULONG FirstOf(ULONG Mask)
{
    return (ULONG)__builtin_ctz(Mask);
}

/* ------------------------------------------------------------------ One call. */

static ULONG64 Stamp(VOID)
{
    ULONG64 Now;

    KeMemoryBarrier(); /* stores, then the clock. pairs with: itself, in each other thread's log */
    Now = HalpQueryCounter();
    _mm_lfence(); /* and nothing is loaded before it has been */
    return Now;
}

#if DBG
typedef struct _RELEASE
{
    PHISTORY_OBJECT Object;
    LONG Adjustment; /* 0: a mutex */
    LONG Previous;
} RELEASE, *PRELEASE;

static VOID ReleaseOnPad(PVOID Context)
{
    PRELEASE Release = Context;

    Release->Previous = Release->Adjustment != 0
                            ? KeReleaseSemaphore(&Release->Object->Semaphore, IO_NO_INCREMENT,
                                                 Release->Adjustment, FALSE)
                            : KeReleaseMutex(&Release->Object->Mutex, FALSE);
}

/* A release that may be refused: the status that it raises ends in a bug check. */
static LONG ReleaseObject(PHISTORY_OBJECT Object, LONG Adjustment)
{
    RELEASE Release = {Object, Adjustment, 0};
    KI_LANDING_PAD Pad;
    KIRQL OldIrql;
    ULONG Code;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Code = KiExpectBugCheck(&Pad, ReleaseOnPad, &Release);
    KeLowerIrql(OldIrql);
    if (Code == 0)
    {
        return Release.Previous;
    }
    KT_CHECK(Code == KMODE_EXCEPTION_NOT_HANDLED, "bug check 0x%X", Code);
    switch ((NTSTATUS)Pad.Parameters[0])
    {
    case STATUS_SEMAPHORE_LIMIT_EXCEEDED:
        return RESULT_LIMIT;
    case STATUS_MUTANT_NOT_OWNED:
        return RESULT_NOT_OWNER;
    default:
        KtFail(__FILE__, __LINE__, "status", "0x%llX", Pad.Parameters[0]);
        return 0;
    }
}
#else
static LONG ReleaseObject(PHISTORY_OBJECT Object, LONG Adjustment)
{
    return Adjustment != 0
               ? KeReleaseSemaphore(&Object->Semaphore, IO_NO_INCREMENT, Adjustment, FALSE)
               : KeReleaseMutex(&Object->Mutex, FALSE);
}
#endif

static LONG ReadObject(ULONG Object)
{
    PHISTORY_OBJECT At = &History.Objects[Object];

    switch (KindOf(Object))
    {
    case HistorySemaphore:
        return KeReadStateSemaphore(&At->Semaphore);
    case HistoryMutex:
        return KeReadStateMutex(&At->Mutex);
    case HistoryQueue:
        return KeReadStateQueue(&At->Queue);
    default:
        return KeReadStateEvent(&At->Event);
    }
}

static LARGE_INTEGER TimeoutOf(const HISTORY_CALL *Call)
{
    LARGE_INTEGER Timeout = {.QuadPart = -Call->Argument / 100};

    return Timeout;
}

static LONG RemoveEntry(PKQUEUE Queue, const HISTORY_CALL *Call)
{
    LARGE_INTEGER Timeout = TimeoutOf(Call);
    PLIST_ENTRY Entry = KeRemoveQueue(Queue, KernelMode, &Timeout);

    if (Entry == (PLIST_ENTRY)(ULONG_PTR)STATUS_TIMEOUT)
    {
        return RESULT_TIMEOUT;
    }
    return CONTAINING_RECORD(Entry, HISTORY_ENTRY, Link)->Number;
}

static NTSTATUS WaitForSeveral(PHISTORY_THREAD Thread, const HISTORY_CALL *Call)
{
    LARGE_INTEGER Timeout = TimeoutOf(Call);
    PVOID Objects[HISTORY_OBJECTS];
    ULONG Count = 0;

    for (ULONG Object = 0; Object < HISTORY_OBJECTS; Object++)
    {
        if (Call->Objects & (1u << Object))
        {
            Objects[Count++] = &History.Objects[Object];
        }
    }
    if (Call->Operation == HistoryAll && Thread->Number % 2 != 0) /* the opposite order */
    {
        PVOID First = Objects[0];

        Objects[0] = Objects[Count - 1];
        Objects[Count - 1] = First;
    }
    return KeWaitForMultipleObjects(Count, Objects,
                                    Call->Operation == HistoryAll ? WaitAll : WaitAny, Executive,
                                    KernelMode, FALSE, &Timeout, NULL);
}

static LONG WaitFor(PHISTORY_THREAD Thread, const HISTORY_CALL *Call)
{
    LARGE_INTEGER Timeout = TimeoutOf(Call);
    NTSTATUS Status;

    Status = Call->Operation == HistoryWait
                 ? KeWaitForSingleObject(&History.Objects[FirstOf(Call->Objects)], Executive,
                                         KernelMode, FALSE, &Timeout)
                 : WaitForSeveral(Thread, Call);
    KT_CHECK(Status == STATUS_TIMEOUT || (Status >= STATUS_WAIT_0 && Status < HISTORY_OBJECTS),
             "status 0x%X", (ULONG)Status);
    return Status == STATUS_TIMEOUT ? RESULT_TIMEOUT : (LONG)Status;
}

static LONG Perform(PHISTORY_THREAD Thread, const HISTORY_CALL *Call)
{
    PHISTORY_OBJECT Object = &History.Objects[FirstOf(Call->Objects)];

    switch (Call->Operation)
    {
    case HistorySet:
        return KeSetEvent(&Object->Event, IO_NO_INCREMENT, FALSE);
    case HistoryReset:
        return KeResetEvent(&Object->Event);
    case HistoryClear:
        KeClearEvent(&Object->Event);
        return 0;
    case HistoryPulse:
        return KePulseEvent(&Object->Event, IO_NO_INCREMENT, FALSE);
    case HistoryRead:
        return ReadObject(FirstOf(Call->Objects));
    case HistoryRelease:
        return ReleaseObject(Object, (LONG)Call->Argument);
    case HistoryHead:
        return KeInsertHeadQueue(&Object->Queue, &Thread->Entries[Call->Argument % 16].Link);
    case HistoryTail:
        return KeInsertQueue(&Object->Queue, &Thread->Entries[Call->Argument % 16].Link);
    case HistoryRemove:
        return RemoveEntry(&Object->Queue, Call);
    default:
        return WaitFor(Thread, Call);
    }
}

/* What the thread owns after the call. */
static VOID NoteOwnership(PHISTORY_THREAD Thread, const HISTORY_CALL *Call)
{
    LONG Place = 0;

    if (Call->Operation == HistoryRelease && Call->Result > RESULT_NOT_OWNER)
    {
        Thread->Depth[FirstOf(Call->Objects)]--;
    }
    if ((Call->Operation != HistoryWait && Call->Operation != HistoryAny &&
         Call->Operation != HistoryAll) ||
        Call->Result < 0)
    {
        return;
    }
    for (ULONG Object = 0; Object < HISTORY_OBJECTS; Object++)
    {
        if (Call->Objects & (1u << Object))
        {
            Thread->Depth[Object] += Call->Operation == HistoryAll || Place == Call->Result;
            Place++;
        }
    }
}

static VOID MakeCall(PHISTORY_THREAD Thread, HISTORY_OPERATION Operation, ULONG Objects,
                     LONG64 Argument)
{
    PHISTORY_CALL Call = &Thread->Calls[Thread->Count];

    Call->Operation = Operation;
    Call->Objects = Objects;
    Call->Argument = Argument;
    WriteULongRelease(&Thread->Current, Thread->Count); /* pairs with: LookAt */
    Call->Start = Stamp();
    Call->Result = Perform(Thread, Call);
    Call->End = Stamp();
    WriteULongRelease(&Thread->Current, NO_CALL);
    NoteOwnership(Thread, Call);
    Thread->Count++;
}

/* ------------------------------------------------------------------ A look at another thread. */

/* Committed means: in every queue, and not yet satisfied; and it is that call's wait if the call is
 * the same before and after. */
static BOOLEAN IsSeenWaiting(PHISTORY_THREAD Other, ULONG Current)
{
    return ReadAcquire(&Other->Thread.Thread.WaitState) == KI_WAIT_COMMITTED &&
           ReadULongAcquire(&Other->Current) == Current;
}

/* For as long as the other one is in some call, but not for ever. */
static VOID LookAt(PHISTORY_THREAD Thread, ULONG Number)
{
    PHISTORY_CALL Call = &Thread->Calls[Thread->Count];
    PHISTORY_THREAD Other = &History.Threads[Number];
    ULONG64 End = KtNow() + LOOK_LIMIT;

    do
    {
        ULONG Current = ReadULongAcquire(&Other->Current); /* pairs with: MakeCall */

        if (Current == NO_CALL)
        {
            return;
        }
        Call->Start = Stamp();
        if (IsSeenWaiting(Other, Current))
        {
            Call->End = Stamp();
            Call->Operation = HistoryLook;
            Call->Objects = Number;
            Call->Result = (LONG)Current;
            Thread->Count++;
            return;
        }
        KtYield();
    } while (KtNow() < End);
}

/* ------------------------------------------------------------------ A thread's program, drawn as
 * it goes. */

static ULONG Draw(PHISTORY_THREAD Thread, ULONG Count)
{
    return (ULONG)((KtRandom(&Thread->Random) >> 32) % Count);
}

static LONG64 DrawLimit(PHISTORY_THREAD Thread)
{
    static const LONG Limits[] = {0, 0, 30000, 100000, 400000, 2000000}; /* ns */

    return Limits[Draw(Thread, RTL_NUMBER_OF(Limits))];
}

static HISTORY_OPERATION DrawOperation(PHISTORY_THREAD Thread, HISTORY_KIND Kind)
{
    static const HISTORY_OPERATION OfEvents[] = {HistorySet,   HistorySet,   HistorySet,
                                                 HistoryReset, HistoryClear, HistoryPulse};
    static const HISTORY_OPERATION OfQueues[] = {HistoryTail, HistoryHead, HistoryRemove,
                                                 HistoryRemove};

    if (History.Kinds->Reads && Draw(Thread, 8) == 0)
    {
        return HistoryRead;
    }
    if (Kind == HistoryQueue)
    {
        return OfQueues[Draw(Thread, RTL_NUMBER_OF(OfQueues))];
    }
    if (Draw(Thread, 2) == 0)
    {
        return HistoryWait;
    }
    return Kind == HistorySemaphore || Kind == HistoryMutex
               ? HistoryRelease
               : OfEvents[Draw(Thread, RTL_NUMBER_OF(OfEvents))];
}

static LONG64 DrawArgument(PHISTORY_THREAD Thread, HISTORY_OPERATION Operation, HISTORY_KIND Kind,
                           ULONG Step)
{
    switch (Operation)
    {
    case HistoryWait:
    case HistoryRemove:
        return DrawLimit(Thread);
    case HistoryHead:
    case HistoryTail:
        return Thread->Entries[Step].Number;
    case HistoryRelease:
        return Kind == HistorySemaphore ? 1 + Draw(Thread, 2) : 0;
    default:
        return 0;
    }
}

static VOID CallOne(PHISTORY_THREAD Thread, ULONG Step)
{
    ULONG Object = Draw(Thread, History.Kinds->ObjectCount);
    HISTORY_KIND Kind = KindOf(Object);
    HISTORY_OPERATION Operation = DrawOperation(Thread, Kind);

    /* Where a status can be raised, a stranger's release is a test too. */
    if (Operation == HistoryRelease && Kind == HistoryMutex && Thread->Depth[Object] == 0 &&
        (!DBG || Draw(Thread, 4) != 0))
    {
        Operation = HistoryWait;
    }
    MakeCall(Thread, Operation, 1u << Object, DrawArgument(Thread, Operation, Kind, Step));
}

static VOID CallSeveral(PHISTORY_THREAD Thread)
{
    static const ULONG Masks[] = {3, 5, 6, 7};

    MakeCall(Thread, History.Kinds->Several, Masks[Draw(Thread, RTL_NUMBER_OF(Masks))],
             DrawLimit(Thread));
}

/* A short while, so that the others catch up, perhaps while this one owns something: a host that
 * cannot run all processors at once would run one program after the other. */
static VOID Linger(PHISTORY_THREAD Thread)
{
    switch (Draw(Thread, 6))
    {
    case 0:
        KtYield();
        break;
    case 1:
        KeStallExecutionProcessor(Draw(Thread, 16));
        break;
    case 2:
        KtSleep(1 + Draw(Thread, LONGEST_NAP));
        break;
    default:
        break;
    }
}

static VOID RunProgram(PHISTORY_THREAD Thread)
{
    for (ULONG Step = 0; Step < Thread->Steps; Step++)
    {
        Linger(Thread);
        if (Draw(Thread, 3) == 0)
        {
            LookAt(Thread,
                   (Thread->Number + 1 + Draw(Thread, HISTORY_THREADS - 1)) % HISTORY_THREADS);
        }
        if (History.Kinds->Several != HistoryWait && Draw(Thread, 3) == 0)
        {
            CallSeveral(Thread);
        }
        else
        {
            CallOne(Thread, Step);
        }
    }
    for (ULONG Object = 0; Object < History.Kinds->ObjectCount; Object++)
    {
        while (KindOf(Object) == HistoryMutex && Thread->Depth[Object] > 0)
        {
            MakeCall(Thread, HistoryRelease, 1u << Object, 0);
        }
    }
}

/* ------------------------------------------------------------------ The threads. */

static VOID WaitInSteps(PKEVENT Event)
{
    LARGE_INTEGER Step = {.QuadPart = -(LONGLONG)STEP_LIMIT};

    KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, &Step);
}

/* Returns the next round's number, all threads at once; 0: no more. */
static LONG AwaitRound(PHISTORY_THREAD Thread, LONG Last)
{
    LONG Round;

    while ((Round = ReadAcquire(&History.Round)) == Last)
    {
        WaitInSteps(&Thread->Go);
    }
    if (Round != 0)
    {
        InterlockedIncrement(&History.Arrived);
        while (ReadAcquire(&History.Arrived) != HISTORY_THREADS)
        {
            KtYield();
        }
    }
    return Round;
}

static VOID ThreadMain(PVOID Context)
{
    PHISTORY_THREAD Thread = Context;
    LONG Round = -1;

    while ((Round = AwaitRound(Thread, Round)) != 0)
    {
        RunProgram(Thread);
        if (InterlockedDecrement(&History.Running) == 0)
        {
            KeSetEvent(&History.Done, IO_NO_INCREMENT, FALSE);
        }
    }
}

/* ------------------------------------------------------------------ Writing it out. */

static VOID PrintRound(LONG Round)
{
    ULONG64 Base = MAXULONG64;

    for (ULONG Thread = 0; Thread <= HISTORY_THREADS; Thread++)
    {
        PHISTORY_THREAD This = &History.Threads[Thread];

        if (This->Count != 0 && This->Calls[0].Start < Base)
        {
            Base = This->Calls[0].Start;
        }
    }
    HistoryPrintHead(History.Kinds, Round);
    for (ULONG Thread = 0; Thread <= HISTORY_THREADS; Thread++)
    {
        for (ULONG Call = 0; Call < History.Threads[Thread].Count; Call++)
        {
            HistoryPrintCall(Thread, &History.Threads[Thread].Calls[Call], Base);
        }
    }
    KtPrint("\n");
}

/* ------------------------------------------------------------------ The runner. */

static VOID InitializeObject(ULONG Object)
{
    PHISTORY_OBJECT At = &History.Objects[Object];
    LONG First = History.Kinds->Objects[Object].First;

    switch (KindOf(Object))
    {
    case HistorySemaphore:
        KeInitializeSemaphore(&At->Semaphore, First, HistoryLimit(History.Kinds, Object));
        break;
    case HistoryMutex:
        KeInitializeMutex(&At->Mutex, 0);
        break;
    case HistoryQueue:
        KeInitializeQueue(&At->Queue, QUEUE_CONCURRENCY);
        break;
    default:
        KeInitializeEvent(&At->Event,
                          KindOf(Object) == HistoryNotification ? NotificationEvent
                                                                : SynchronizationEvent,
                          First != 0);
        break;
    }
}

/* The state in which the round has left each object; queues are emptied and let go. */
static VOID LookAtObjects(PHISTORY_THREAD Runner)
{
    for (ULONG Object = 0; Object < History.Kinds->ObjectCount; Object++)
    {
        MakeCall(Runner, HistoryRead, 1u << Object, 0);
        if (KindOf(Object) == HistoryQueue)
        {
            do
            {
                MakeCall(Runner, HistoryRemove, 1u << Object, 0);
            } while (Runner->Calls[Runner->Count - 1].Result != RESULT_TIMEOUT &&
                     Runner->Count < CALLS - 2 * HISTORY_OBJECTS);
            KeRundownQueue(&History.Objects[Object].Queue);
        }
    }
}

static VOID RunRound(LONG Round)
{
    PHISTORY_THREAD Runner = &History.Threads[HISTORY_THREADS];

    for (ULONG Object = 0; Object < History.Kinds->ObjectCount; Object++)
    {
        InitializeObject(Object);
    }
    Runner->Count = 0;
    for (ULONG Thread = 0; Thread < HISTORY_THREADS; Thread++)
    {
        History.Threads[Thread].Count = 0;
        History.Threads[Thread].Steps = Thread < 2 + Draw(Runner, HISTORY_THREADS - 1)
                                            ? 4 + Draw(Runner, HISTORY_PROGRAM - 3)
                                            : 0;
    }
    History.Arrived = 0;
    History.Running = HISTORY_THREADS;
    WriteRelease(&History.Round, Round);
    for (ULONG Thread = 0; Thread < HISTORY_THREADS; Thread++)
    {
        KeSetEvent(&History.Threads[Thread].Go, IO_NO_INCREMENT, FALSE);
    }
    while (ReadAcquire(&History.Running) != 0)
    {
        WaitInSteps(&History.Done);
    }
    LookAtObjects(Runner);
    PrintRound(Round);
}

static LONG Rounds(VOID)
{
    LONG Count = (LONG)(ROUNDS * KtBudget() / NORMAL_BUDGET);

    return Count > FEWEST_ROUNDS ? Count : FEWEST_ROUNDS;
}

static VOID StartThread(PHISTORY_THREAD Thread, ULONG Number)
{
    RtlZeroMemory(Thread, sizeof(*Thread));
    Thread->Number = Number;
    Thread->Current = NO_CALL;
    KtSeed(&Thread->Random, Number);
    KeInitializeEvent(&Thread->Go, SynchronizationEvent, FALSE);
    for (ULONG Entry = 0; Entry < HISTORY_PROGRAM; Entry++)
    {
        Thread->Entries[Entry].Number = (LONG)(Number * 16 + Entry);
    }
    if (Number != HISTORY_THREADS)
    {
        KtCreateThread(&Thread->Thread, ThreadMain, Thread, PRIORITY, KT_ANYWHERE);
    }
}

VOID HistoryRun(const HISTORY_KINDS *Kinds)
{
    KPRIORITY OldPriority = KeSetPriorityThread(KeGetCurrentThread(), PRIORITY);
    LONG Round = 0;

    History.Kinds = Kinds;
    History.Round = -1;
    KeInitializeEvent(&History.Done, SynchronizationEvent, FALSE);
    for (ULONG Thread = 0; Thread <= HISTORY_THREADS; Thread++)
    {
        StartThread(&History.Threads[Thread], Thread);
    }
    while (Round < Rounds() && !KtHasFailed())
    {
        RunRound(++Round);
    }
    KtPrint("# histories %s %d\n", Kinds->Name, Round);
    WriteRelease(&History.Round, 0);
    for (ULONG Thread = 0; Thread < HISTORY_THREADS; Thread++)
    {
        KeSetEvent(&History.Threads[Thread].Go, IO_NO_INCREMENT, FALSE);
        KtJoinThread(&History.Threads[Thread].Thread);
    }
    KeSetPriorityThread(KeGetCurrentThread(), OldPriority);
}
