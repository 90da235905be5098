/* SPDX-License-Identifier: MIT */
/*
 * queue.c - KQUEUE: the order of entries and of waiters, the limit on how many threads run and what
 * lifts it, threads that leave, rundown, and that no entry is lost or given twice.
 */
#include <scheduler.h>

#include "kt.h"

#define NOTHING(Status) ((PLIST_ENTRY)(ULONG_PTR)(ULONG)(Status))

#define WORKERS 8
#define LIMIT KT_SECONDS(60)

static KQUEUE Queue;
static LARGE_INTEGER Zero;

/* A thread of the pool that the queue is for. */
typedef struct _WORKER
{
    KT_THREAD Thread;
    ULONG Index;
    VOID (*Routine)(struct _WORKER *Worker);
    PVOID Context;
    KT_RANDOM Random;
} WORKER, *PWORKER;

static WORKER Workers[WORKERS];

static VOID WorkerMain(PVOID Context)
{
    PWORKER Worker = Context;

    Worker->Routine(Worker);
}

static VOID Employ(ULONG Index, VOID (*Routine)(PWORKER Worker), PVOID Context)
{
    Workers[Index].Index = Index;
    Workers[Index].Routine = Routine;
    Workers[Index].Context = Context;
    KtSeed(&Workers[Index].Random, Index);
    KtCreateThread(&Workers[Index].Thread, WorkerMain, &Workers[Index], KI_DEFAULT_PRIORITY,
                   KT_ANYWHERE);
}

static VOID AwaitWorkers(ULONG First, ULONG End)
{
    for (ULONG Index = First; Index < End; Index++)
    {
        KtJoinThread(&Workers[Index].Thread);
    }
}

/* Gives way until *Value is Wanted at least; FALSE if that takes too long. */
static BOOLEAN Await(volatile LONG *Value, LONG Wanted)
{
    ULONG64 End = KtNow() + LIMIT;

    while (ReadAcquire(Value) < Wanted)
    {
        if (KtNow() >= End)
        {
            return FALSE;
        }
        KiYieldThread();
    }
    return TRUE;
}

/* A wait for nothing but time. */
static VOID Sleep(ULONG64 Units)
{
    LARGE_INTEGER Interval = {.QuadPart = -(LONGLONG)Units};

    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

/* What a worker takes, and what it is to do with it. */
typedef struct _JOB
{
    LIST_ENTRY Entry;
    KEVENT Gate;           /* if Blocks: waits for it first  */
    BOOLEAN Blocks;        /* constant while queued          */
    volatile LONG Resumed; /* the gate was passed            */
    volatile LONG Release; /* set by the test: it may finish */
    volatile LONG Taken;   /* by how many workers            */
    volatile LONG Owner;   /* index of the last one          */
    volatile LONG Queued;  /* who inserts it: 0 -> 1; who takes it: 1 -> 0 */
} JOB, *PJOB;

static VOID InitializeJob(PJOB Job, BOOLEAN Blocks)
{
    RtlZeroMemory(Job, sizeof(*Job));
    KeInitializeEvent(&Job->Gate, NotificationEvent, FALSE);
    Job->Blocks = Blocks;
}

/* The queue's two lists and its count, at one instant. */
static ULONG ListLength(PLIST_ENTRY Head)
{
    ULONG Length = 0;
    KIRQL OldIrql = KeAcquireSpinLockRaiseToDpc(&Queue.Header.Lock);

    for (PLIST_ENTRY Entry = Head->Flink; Entry != Head; Entry = Entry->Flink)
    {
        Length++;
    }
    KeReleaseSpinLock(&Queue.Header.Lock, OldIrql);
    return Length;
}

static BOOLEAN AwaitLength(PLIST_ENTRY Head, ULONG Wanted)
{
    ULONG64 End = KtNow() + LIMIT;

    while (ListLength(Head) != Wanted)
    {
        if (KtNow() >= End)
        {
            KT_CHECK(FALSE, "%u in the list, not %u", ListLength(Head), Wanted);
            return FALSE;
        }
        KiYieldThread();
    }
    return TRUE;
}

#define AWAIT_WAITERS(Count) AwaitLength(&Queue.Header.WaitListHead, Count)

/* ------------------------------------------------------------------ One thread. */

static VOID EntriesInOrder(VOID)
{
    LARGE_INTEGER Short = {.QuadPart = -(LONGLONG)KT_MILLISECONDS(5)};
    JOB Jobs[3];
    PLIST_ENTRY Entry;
    ULONG64 Start;
    KIRQL OldIrql;

    KeInitializeQueue(&Queue, 1);
    KT_CHECK(KeInsertQueue(&Queue, &Jobs[1].Entry) == 0, "it was empty");
    KT_CHECK(KeInsertQueue(&Queue, &Jobs[2].Entry) == 1, "one was in it");
    KT_CHECK(KeInsertHeadQueue(&Queue, &Jobs[0].Entry) == 2, "two were in it");
    KT_CHECK(KeReadStateQueue(&Queue) == 3, "%d entries", KeReadStateQueue(&Queue));
    for (ULONG Index = 0; Index < 3; Index++)
    {
        Entry = KeRemoveQueue(&Queue, KernelMode, Index == 0 ? NULL : &Zero);
        KT_CHECK(Entry == &Jobs[Index].Entry, "entry %u is %p", Index, Entry);
        KT_CHECK(Queue.CurrentCount == 1, "%u run", Queue.CurrentCount);
    }
    Entry = KeRemoveQueue(&Queue, KernelMode, &Zero);
    KT_CHECK(Entry == NOTHING(STATUS_TIMEOUT), "%p from an empty queue", Entry);
    Start = KtNow();
    Entry = KeRemoveQueue(&Queue, KernelMode, &Short);
    KT_CHECK(Entry == NOTHING(STATUS_TIMEOUT), "%p from an empty queue", Entry);
    KT_CHECK(KtNow() - Start >= KT_MILLISECONDS(5), "after %llu units", KtNow() - Start);
    KT_CHECK(IsListEmpty(&Queue.Header.WaitListHead), "a block is left in the list");

    KeInsertQueue(&Queue, &Jobs[0].Entry);
    OldIrql = KeRaiseIrqlToDpcLevel();
    Entry = KeRemoveQueue(&Queue, KernelMode, &Zero);
    KeLowerIrql(OldIrql);
    KT_CHECK(Entry == &Jobs[0].Entry, "%p at DISPATCH_LEVEL", Entry);
    KT_CHECK(Queue.CurrentCount == 1, "%u run", Queue.CurrentCount);
    KT_CHECK(KeRundownQueue(&Queue) == NULL, "something was left");
}

static VOID RundownReturnsEntries(VOID)
{
    JOB Jobs[2];
    PLIST_ENTRY First;

    KeInitializeQueue(&Queue, 0);
    KT_CHECK(Queue.MaximumCount == KtProcessors(), "limit %u", Queue.MaximumCount);
    KeInsertQueue(&Queue, &Jobs[0].Entry);
    KeInsertQueue(&Queue, &Jobs[1].Entry);
    First = KeRundownQueue(&Queue);
    KT_REQUIRE(First == &Jobs[0].Entry, "%p", First);
    KT_CHECK(First->Flink == &Jobs[1].Entry && Jobs[1].Entry.Flink == First &&
                 First->Blink == &Jobs[1].Entry && Jobs[1].Entry.Blink == First,
             "the two are not a circle");
    KT_CHECK(KeReadStateQueue(&Queue) == 0, "%d entries", KeReadStateQueue(&Queue));
    KT_CHECK(KeRemoveQueue(&Queue, KernelMode, NULL) == NOTHING(STATUS_ABANDONED),
             "it can be waited for");
    KT_CHECK(KeGetCurrentThread()->Queue == NULL, "the thread is still associated");
}

/* ------------------------------------------------------------------ Several threads. */

static VOID DoJob(PWORKER Worker, PJOB Job)
{
    WriteRelease(&Job->Owner, (LONG)Worker->Index);
    InterlockedIncrement(&Job->Taken);
    if (Job->Blocks)
    {
        KeWaitForSingleObject(&Job->Gate, Executive, KernelMode, FALSE, NULL);
        InterlockedIncrement(&Job->Resumed);
    }
    while (!ReadAcquire(&Job->Release))
    {
        KiYieldThread(); /* not a wait: it does not free its place */
    }
}

/* Until the queue is run down. */
static VOID DoJobs(PWORKER Worker)
{
    PLIST_ENTRY Entry;

    while ((Entry = KeRemoveQueue(&Queue, KernelMode, NULL)) != NOTHING(STATUS_ABANDONED))
    {
        DoJob(Worker, CONTAINING_RECORD(Entry, JOB, Entry));
    }
}

static VOID EndWorkers(ULONG Count)
{
    KT_CHECK(KeRundownQueue(&Queue) == NULL, "entries are left");
    AwaitWorkers(0, Count);
    KT_CHECK(IsListEmpty(&Queue.Header.WaitListHead) && IsListEmpty(&Queue.ThreadListHead),
             "threads are left");
}

static VOID LastComeFirstServed(VOID)
{
    JOB Jobs[4];

    KeInitializeQueue(&Queue, 4);
    for (ULONG Index = 0; Index < 4; Index++)
    {
        Employ(Index, DoJobs, NULL);
        AWAIT_WAITERS(Index + 1);
    }
    for (LONG Index = 0; Index < 4; Index++)
    {
        InitializeJob(&Jobs[Index], FALSE);
        KT_CHECK(KeInsertQueue(&Queue, &Jobs[Index].Entry) == 0, "the queue is not empty");
        KT_CHECK(KeReadStateQueue(&Queue) == 0, "it was not handed over");
        KT_REQUIRE(Await(&Jobs[Index].Taken, 1), "job %d was not taken", Index);
        KT_CHECK(Jobs[Index].Owner == 3 - Index, "job %d: worker %d", Index, Jobs[Index].Owner);
    }
    for (ULONG Index = 0; Index < 4; Index++)
    {
        WriteRelease(&Jobs[Index].Release, TRUE);
    }
    AWAIT_WAITERS(4);
    EndWorkers(4);
}

/* ------------------------------------------------------------------ The limit. */

#define LIMIT_RUNNING 2
#define LIMIT_JOBS 64

static volatile LONG NowRunning, MostRunning, Finished;

static VOID RunOne(PWORKER Worker)
{
    UNREFERENCED_PARAMETER(Worker);
    while (KeRemoveQueue(&Queue, KernelMode, NULL) != NOTHING(STATUS_ABANDONED))
    {
        LONG Now = InterlockedIncrement(&NowRunning);

        KT_CHECK(Now <= LIMIT_RUNNING, "%d run at once", Now);
        if (Now > MostRunning)
        {
            MostRunning = Now;
        }
        for (ULONG Pause = 0; Pause < 10; Pause++)
        {
            KeStallExecutionProcessor(20);
            KiYieldThread();
        }
        InterlockedDecrement(&NowRunning);
        InterlockedIncrement(&Finished);
    }
}

/* All wait, so all of them could begin at once; none blocks, so no more than two may. */
static VOID NoMoreThanTheLimit(VOID)
{
    static JOB Jobs[LIMIT_JOBS];
    KIRQL OldIrql;

    NowRunning = MostRunning = Finished = 0;
    KeInitializeQueue(&Queue, LIMIT_RUNNING);
    for (ULONG Index = 0; Index < WORKERS; Index++)
    {
        Employ(Index, RunOne, NULL);
    }
    AWAIT_WAITERS(WORKERS);
    OldIrql = KeRaiseIrqlToDpcLevel();
    for (ULONG Index = 0; Index < LIMIT_JOBS; Index++)
    {
        KeInsertQueue(&Queue, &Jobs[Index].Entry);
    }
    KeLowerIrql(OldIrql);
    KT_CHECK(Await(&Finished, LIMIT_JOBS), "%d of %u done", Finished, LIMIT_JOBS);
    AWAIT_WAITERS(WORKERS);
    KT_CHECK(Queue.CurrentCount == 0, "%u run", Queue.CurrentCount);
    KtNote("at most %d ran at once", MostRunning);
    EndWorkers(WORKERS);
}

/* One may run. It blocks, and the next runs; it resumes, and both do; then nobody begins until both
 * are done. */
static VOID BlockedThreadFreesItsPlace(VOID)
{
    JOB Blocker, Second, Third;

    InitializeJob(&Blocker, TRUE);
    InitializeJob(&Second, FALSE);
    InitializeJob(&Third, FALSE);
    KeInitializeQueue(&Queue, 1);
    for (ULONG Index = 0; Index < 3; Index++)
    {
        Employ(Index, DoJobs, NULL);
    }
    AWAIT_WAITERS(3);
    KeInsertQueue(&Queue, &Blocker.Entry);
    KeInsertQueue(&Queue, &Second.Entry);
    KT_CHECK(Await(&Blocker.Taken, 1), "the first was not taken");
    KT_CHECK(Await(&Second.Taken, 1), "nobody was released for one that blocks");
    KT_CHECK(Queue.CurrentCount == 1, "%u run", Queue.CurrentCount);

    KeSetEvent(&Blocker.Gate, IO_NO_INCREMENT, FALSE);
    KT_CHECK(Await(&Blocker.Resumed, 1), "it did not resume");
    KT_CHECK(Queue.CurrentCount == 2, "%u run", Queue.CurrentCount);
    KeInsertQueue(&Queue, &Third.Entry);
    KT_CHECK(KeReadStateQueue(&Queue) == 1, "a third was begun");
    WriteRelease(&Blocker.Release, TRUE);
    AWAIT_WAITERS(2);
    KT_CHECK(Third.Taken == 0 && KeReadStateQueue(&Queue) == 1,
             "a third was begun while one still runs");
    WriteRelease(&Second.Release, TRUE);
    KT_CHECK(Await(&Third.Taken, 1), "the third was not taken");
    KT_CHECK(Queue.CurrentCount == 1, "%u run", Queue.CurrentCount);
    WriteRelease(&Third.Release, TRUE);
    AWAIT_WAITERS(3);
    KT_CHECK(Queue.CurrentCount == 0, "%u run", Queue.CurrentCount);
    EndWorkers(3);
}

/* ------------------------------------------------------------------ Threads that leave. */

static KQUEUE OtherQueue;

/* Takes one job, and ends; or takes from another queue and goes on without a wait: then only that
 * frees its place. */
static VOID TakeOneAndLeave(PWORKER Worker)
{
    PKQUEUE Next = Worker->Context;
    PJOB Job = CONTAINING_RECORD(KeRemoveQueue(&Queue, KernelMode, NULL), JOB, Entry);

    DoJob(Worker, Job);
    if (Next != NULL)
    {
        PLIST_ENTRY Entry = KeRemoveQueue(Next, KernelMode, &Zero);

        KT_CHECK(Entry == NOTHING(STATUS_TIMEOUT), "%p", Entry);
        KT_CHECK(Next->CurrentCount == 1, "%u run", Next->CurrentCount);
        KT_CHECK(Worker->Thread.Thread.Queue == Next, "queue %p", Worker->Thread.Thread.Queue);
        while (!ReadAcquire(&Job->Resumed))
        {
            KiYieldThread();
        }
    }
}

static VOID LeaverFreesItsPlace(PKQUEUE Next)
{
    JOB First, Second;

    InitializeJob(&First, FALSE);
    InitializeJob(&Second, FALSE);
    WriteRelease(&Second.Release, TRUE);
    KeInitializeQueue(&Queue, 1);
    KeInitializeQueue(&OtherQueue, 1);
    Employ(0, DoJobs, NULL);
    AWAIT_WAITERS(1);
    Employ(1, TakeOneAndLeave, Next);
    AWAIT_WAITERS(2);
    KeInsertQueue(&Queue, &First.Entry);
    KeInsertQueue(&Queue, &Second.Entry);
    KT_CHECK(Await(&First.Taken, 1) && First.Owner == 1, "the last to come was not served");
    KT_CHECK(Second.Taken == 0, "two run");
    WriteRelease(&First.Release, TRUE);
    KT_CHECK(Await(&Second.Taken, 1), "its place was not freed");
    WriteRelease(&First.Resumed, TRUE);
    AwaitWorkers(1, 2);
    KT_CHECK(KeRundownQueue(&OtherQueue) == NULL, "entries are left");
    EndWorkers(1);
}

static VOID LeaverIsNotCounted(VOID)
{
    LeaverFreesItsPlace(NULL);
}

static VOID ChangerIsNotCounted(VOID)
{
    LeaverFreesItsPlace(&OtherQueue);
}

/* ------------------------------------------------------------------ Rundown. */

#define POISON 0xA5

#define TAKERS 4 /* an even number: they wait for one another in pairs */

static volatile LONG Abandoned, Takers, Turns, StopWaiting;
static KEVENT Turn[TAKERS];

/* Takes one, and then begins and ends waits for its neighbour as fast as it can: each time it looks
 * for its queue. */
static VOID TakeOneAndWaitOften(PWORKER Worker)
{
    PLIST_ENTRY Entry = KeRemoveQueue(&Queue, KernelMode, NULL);
    LONG Me;

    UNREFERENCED_PARAMETER(Worker);
    if (Entry == NOTHING(STATUS_ABANDONED))
    {
        InterlockedIncrement(&Abandoned);
        return;
    }
    Me = InterlockedIncrement(&Takers) - 1;
    while (!ReadAcquire(&StopWaiting))
    {
        InterlockedIncrement(&Turns);
        KeSetEvent(&Turn[Me ^ 1], IO_NO_INCREMENT, FALSE);
        KeWaitForSingleObject(&Turn[Me], Executive, KernelMode, FALSE, NULL);
    }
    KeSetEvent(&Turn[Me ^ 1], IO_NO_INCREMENT, FALSE);
}

static VOID CheckPoison(VOID)
{
    PUCHAR Bytes = (PUCHAR)&Queue;

    for (ULONG Index = 0; Index < sizeof(Queue); Index++)
    {
        KT_CHECK(Bytes[Index] == POISON, "byte %u of the queue was written", Index);
    }
}

/* Half of them work and wait elsewhere, half wait for the queue. When the rundown has returned,
 * nobody touches the queue any more. */
static VOID RundownLetsGo(VOID)
{
    JOB Jobs[TAKERS];

    Abandoned = Takers = Turns = StopWaiting = 0;
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KeInitializeEvent(&Turn[Index], SynchronizationEvent, FALSE);
    }
    KeInitializeQueue(&Queue, WORKERS);
    for (ULONG Index = 0; Index < WORKERS; Index++)
    {
        Employ(Index, TakeOneAndWaitOften, NULL);
    }
    AWAIT_WAITERS(WORKERS);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KeInsertQueue(&Queue, &Jobs[Index].Entry);
    }
    KT_CHECK(Await(&Turns, 50), "%d turns", Turns);
    KT_CHECK(KeRundownQueue(&Queue) == NULL, "entries are left");
    RtlFillMemory(&Queue, sizeof(Queue), POISON);
    KT_CHECK(Await(&Abandoned, WORKERS - TAKERS), "%d waits ended", Abandoned);
    KT_CHECK(Await(&Turns, Turns + 50), "%d turns", Turns);
    WriteRelease(&StopWaiting, TRUE);
    AwaitWorkers(0, WORKERS);
    KT_CHECK(Abandoned == WORKERS - TAKERS && Takers == TAKERS, "%d waits ended", Abandoned);
    CheckPoison();
}

static VOID RundownAgainAndAgain(VOID)
{
    ULONG64 End = KtNow() + KtBudget();
    ULONG Rounds = 0;

    do
    {
        RundownLetsGo();
        Rounds++;
    } while (KtNow() < End && !KtHasFailed());
    KtNote("%u rounds", Rounds);
}

/* ------------------------------------------------------------------ APCs. */

static volatile LONG ApcRuns;

static VOID CountApc(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext,
                     PVOID *SystemArgument1, PVOID *SystemArgument2)
{
    UNREFERENCED_PARAMETER(Apc);
    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    InterlockedIncrement(&ApcRuns);
}

/* An APC runs in the middle of the wait, and the wait goes on. */
static VOID ApcDoesNotEndTheWait(VOID)
{
    KAPC Apc;
    JOB Job;

    ApcRuns = 0;
    InitializeJob(&Job, FALSE);
    WriteRelease(&Job.Release, TRUE);
    KeInitializeQueue(&Queue, 1);
    Employ(0, DoJobs, NULL);
    AWAIT_WAITERS(1);
    KeInitializeApc(&Apc, &Workers[0].Thread.Thread, OriginalApcEnvironment, CountApc, NULL, NULL,
                    KernelMode, NULL);
    KT_CHECK(KeInsertQueueApc(&Apc, NULL, NULL, IO_NO_INCREMENT), "not queued");
    KT_CHECK(Await(&ApcRuns, 1), "the APC did not run");
    AWAIT_WAITERS(1);
    KT_CHECK(Queue.CurrentCount == 0, "%u run", Queue.CurrentCount);
    KeInsertQueue(&Queue, &Job.Entry);
    KT_CHECK(Await(&Job.Taken, 1), "the wait ended with the APC");
    AWAIT_WAITERS(1);
    EndWorkers(1);
}

/* ------------------------------------------------------------------ Conservation: each insertion
 * is taken once, whatever times out, blocks, or puts back what it took. */

#define STORM_JOBS 24
#define STORM_LIMIT 3

static JOB Storm[STORM_JOBS];
static volatile LONG64 Inserted, Taken, TimedOut;
static volatile LONG StormStop;

static VOID InsertSomeJob(PKT_RANDOM Random)
{
    ULONG64 Draw = KtRandom(Random);
    PJOB Job = &Storm[Draw % STORM_JOBS];

    if (InterlockedCompareExchange(&Job->Queued, 1, 0) != 0)
    {
        return;
    }
    InterlockedIncrement64(&Inserted);
    if ((Draw >> 32) % 4 == 0)
    {
        KeInsertHeadQueue(&Queue, &Job->Entry);
    }
    else
    {
        KeInsertQueue(&Queue, &Job->Entry);
    }
}

static VOID TakeInTheStorm(PWORKER Worker)
{
    static const LONGLONG Timeouts[] = {0, -1, -(LONGLONG)KT_MILLISECONDS(1)};
    PLIST_ENTRY Entry;

    for (;;)
    {
        ULONG64 Draw = KtRandom(&Worker->Random);
        LARGE_INTEGER Timeout = {.QuadPart = Timeouts[Draw % 3]};

        Entry = KeRemoveQueue(&Queue, KernelMode, Draw % 4 == 3 ? NULL : &Timeout);
        if (Entry == NOTHING(STATUS_ABANDONED))
        {
            return;
        }
        if (Entry == NOTHING(STATUS_TIMEOUT))
        {
            InterlockedIncrement64(&TimedOut);
        }
        else
        {
            PJOB Job = CONTAINING_RECORD(Entry, JOB, Entry);

            InterlockedIncrement64(&Taken);
            Entry->Flink = Entry->Blink = NULL;
            KT_CHECK(InterlockedExchange(&Job->Queued, 0) == 1, "job %u was taken twice",
                     (ULONG)(Job - Storm));
        }
        switch ((Draw >> 16) % 8)
        {
        case 0:
            Sleep(1); /* blocks, and another begins */
            break;
        case 1:
            KiYieldThread();
            break;
        case 2:
        case 3:
            if (!ReadAcquire(&StormStop))
            {
                InsertSomeJob(&Worker->Random);
            }
            break;
        default:
            break;
        }
    }
}

static VOID InsertInTheStorm(PWORKER Worker)
{
    while (!ReadAcquire(&StormStop))
    {
        for (ULONG Step = 0; Step < 8; Step++)
        {
            InsertSomeJob(&Worker->Random);
        }
        Sleep(KtRandom(&Worker->Random) % 2);
    }
}

static ULONG CountCircle(PLIST_ENTRY First)
{
    ULONG Count = 0;

    if (First != NULL)
    {
        PLIST_ENTRY Entry = First;

        do
        {
            Count++;
            Entry = Entry->Flink;
        } while (Entry != First && Count <= STORM_JOBS);
    }
    return Count;
}

/* What the APCs do is nothing; but each ends a wait, which then begins again. */
static VOID InterruptWaits(KAPC *Apcs, ULONG Count)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        KeInsertQueueApc(&Apcs[Index], NULL, NULL, IO_NO_INCREMENT);
    }
}

static VOID NoneLostNoneTwice(VOID)
{
    static KAPC Apcs[WORKERS];
    ULONG64 End;
    ULONG Left;

    RtlZeroMemory(Storm, sizeof(Storm));
    Inserted = Taken = TimedOut = StormStop = ApcRuns = 0;
    KeInitializeQueue(&Queue, STORM_LIMIT);
    for (ULONG Index = 0; Index < WORKERS; Index++)
    {
        Employ(Index, Index < WORKERS - 2 ? TakeInTheStorm : InsertInTheStorm, NULL);
        KeInitializeApc(&Apcs[Index], &Workers[Index].Thread.Thread, OriginalApcEnvironment,
                        CountApc, NULL, NULL, KernelMode, NULL);
    }
    End = KtNow() + KtBudget();
    while ((KtNow() < End || ReadAcquire64(&Taken) < STORM_JOBS) && KtNow() < End + LIMIT)
    {
        InterruptWaits(Apcs, WORKERS - 2);
        Sleep(1);
    }
    WriteRelease(&StormStop, TRUE);
    AwaitWorkers(WORKERS - 2, WORKERS);
    Left = CountCircle(KeRundownQueue(&Queue));
    AwaitWorkers(0, WORKERS - 2);
    KT_CHECK(Inserted == Taken + Left, "%lld inserted, %lld taken, %u left", Inserted, Taken, Left);
    KT_CHECK(Taken >= STORM_JOBS, "only %lld were taken", Taken);
    KT_CHECK(IsListEmpty(&Queue.Header.WaitListHead) && IsListEmpty(&Queue.ThreadListHead) &&
                 Queue.CurrentCount == 0,
             "threads are left, %u running", Queue.CurrentCount);
    KtNote("%lld taken, %lld time-outs, %d APCs", Taken, TimedOut, ApcRuns);
}

static const KT_CASE Cases[] = {
    {"queue-order", EntriesInOrder, 0, FALSE},
    {"queue-rundown-returns-entries", RundownReturnsEntries, 0, FALSE},
    {"queue-last-come-first-served", LastComeFirstServed, 0, FALSE},
    {"queue-limit", NoMoreThanTheLimit, 0, FALSE},
    {"queue-blocked-frees-its-place", BlockedThreadFreesItsPlace, 0, FALSE},
    {"queue-leaver-is-not-counted", LeaverIsNotCounted, 0, FALSE},
    {"queue-changer-is-not-counted", ChangerIsNotCounted, 0, FALSE},
    {"queue-rundown-lets-go", RundownAgainAndAgain, 0, FALSE},
    {"queue-apc-does-not-end-it", ApcDoesNotEndTheWait, 0, FALSE},
    {"queue-L70-none-lost-none-twice", NoneLostNoneTwice, 0, FALSE},
};

KT_DEFINE_SUITE(KtQueueSuite, "ke", Cases);
