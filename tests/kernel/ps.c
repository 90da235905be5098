/* SPDX-License-Identifier: MIT */
/*
 * ps.c - system threads begin as documented, end for all who wait, and leave nothing behind.
 */
#include "objkit.h"

#include <mi.h>
#include <psp.h>
#include <work.h>

/* ------------------------------------------------------------------ The beginning. */

typedef struct _PS_BEGINNING
{
    PVOID Self; /* its context */
    KIRQL Irql;
    BOOLEAN ApcsDisabled;
    BOOLEAN AllApcsDisabled;
    KPRIORITY Priority;
    HANDLE ThreadId;
    PETHREAD Thread;
    volatile LONG Done;
} PS_BEGINNING, *PPS_BEGINNING;

static VOID Begin(PVOID Context)
{
    PPS_BEGINNING Beginning = Context;

    Beginning->Self = Context;
    Beginning->Irql = KeGetCurrentIrql();
    Beginning->ApcsDisabled = KeAreApcsDisabled();
    Beginning->AllApcsDisabled = KeAreAllApcsDisabled();
    Beginning->Priority = KeQueryPriorityThread(KeGetCurrentThread());
    Beginning->ThreadId = PsGetCurrentThreadId();
    Beginning->Thread = PsGetCurrentThread();
    Beginning->Done = TRUE;
    PsTerminateSystemThread(STATUS_SUCCESS);
    KT_CHECK(FALSE, "it came back");
}

static VOID BeginAsDocumented(VOID)
{
    PS_BEGINNING Beginning = {.Done = FALSE};
    OBJECT_ATTRIBUTES Attributes;
    CLIENT_ID ClientId;
    HANDLE Handle;
    NTSTATUS Status;
    PVOID Thread;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, &Attributes, NULL, &ClientId, Begin,
                                  &Beginning);
    KT_REQUIRE(NT_SUCCESS(Status), "status %x", Status);
    Status = ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode,
                                       &Thread, NULL);
    KT_REQUIRE(NT_SUCCESS(Status), "status %x", Status);
    ZwClose(Handle);
    Status = KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    KT_CHECK(Status == STATUS_SUCCESS, "status %x", Status);

    KT_CHECK(Beginning.Done && Beginning.Self == &Beginning, "it did not run");
    KT_CHECK(Beginning.Irql == PASSIVE_LEVEL, "IRQL %u", Beginning.Irql);
    KT_CHECK(Beginning.ApcsDisabled && !Beginning.AllApcsDisabled, "not in a critical region");
    KT_CHECK(Beginning.Priority >= 8 && Beginning.Priority <= 15, "priority %d",
             Beginning.Priority);
    KT_CHECK(Beginning.Thread == Thread, "another thread");
    KT_CHECK(Beginning.ThreadId == ClientId.UniqueThread &&
                 PsGetThreadId(Thread) == ClientId.UniqueThread,
             "id %p, not %p", Beginning.ThreadId, ClientId.UniqueThread);
    KT_CHECK((ULONG_PTR)ClientId.UniqueThread % 4 == 0 && ClientId.UniqueThread != NULL, "id %p",
             ClientId.UniqueThread);
    KT_CHECK(ClientId.UniqueThread != PsGetCurrentThreadId(), "our own id");
    ObDereferenceObject(Thread);
}

static VOID BadParametersAreRefused(VOID)
{
    LONG64 Before = (*PsThreadType)->Objects;
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name = {2, 2, (PWCH)(ULONG_PTR)u"x"};
    HANDLE Handle = (HANDLE)1;

    InitializeObjectAttributes(&Attributes, &Name, 0, NULL, NULL);
    KT_CHECK(PsCreateSystemThread(&Handle, 0, &Attributes, NULL, NULL, Begin, NULL) ==
                     STATUS_INVALID_PARAMETER &&
                 Handle == NULL,
             "a name");
    InitializeObjectAttributes(&Attributes, NULL, OBJ_OPENIF, NULL, NULL);
    KT_CHECK(PsCreateSystemThread(&Handle, 0, &Attributes, NULL, NULL, Begin, NULL) ==
                 STATUS_INVALID_PARAMETER,
             "open if");
    KT_CHECK(PsCreateSystemThread(&Handle, 0, NULL, (HANDLE)4, NULL, Begin, NULL) ==
                 STATUS_INVALID_HANDLE,
             "a process");
    KT_CHECK((*PsThreadType)->Objects == Before, "something is left");
}

/* ------------------------------------------------------------------ The current thread. */

static VOID FindMyself(PVOID Context)
{
    PVOID Object = NULL;
    HANDLE Handle;

    UNREFERENCED_PARAMETER(Context);
    KT_CHECK(NT_SUCCESS(ObReferenceObjectByHandle(ZwCurrentThread(), THREAD_ALL_ACCESS,
                                                  *PsThreadType, KernelMode, &Object, NULL)) &&
                 Object == PsGetCurrentThread(),
             "%p", Object);
    KT_CHECK(ObReferenceObjectByHandle(ZwCurrentThread(), 0, *ExEventObjectType, KernelMode,
                                       &Object, NULL) == STATUS_OBJECT_TYPE_MISMATCH,
             "an event?");
    ObDereferenceObject(PsGetCurrentThread());
    KT_CHECK(NT_SUCCESS(ZwClose(ZwCurrentThread())), "not closed");
    KT_CHECK(NT_SUCCESS(ObOpenObjectByPointer(PsGetCurrentThread(), OBJ_KERNEL_HANDLE, NULL,
                                              SYNCHRONIZE, *PsThreadType, KernelMode, &Handle)),
             "not opened");
    KT_CHECK(NT_SUCCESS(ZwClose(Handle)), "not closed");
}

static VOID CurrentThreadHandle(VOID)
{
    KtJoinSpawned(KtSpawn(FindMyself, NULL));
}

/* ------------------------------------------------------------------ The end. */

#define JOINERS 6

typedef struct _PS_JOIN
{
    PVOID Target;
    KEVENT Go;
    volatile LONG Waiting;
    volatile LONG Ended;
    volatile LONG Joined;
} PS_JOIN, *PPS_JOIN;

static VOID EndWhenTold(PVOID Context)
{
    PPS_JOIN Join = Context;

    KtAwait(&Join->Go);
    InterlockedIncrement(&Join->Ended);
}

static VOID JoinTarget(PVOID Context)
{
    PPS_JOIN Join = Context;

    InterlockedIncrement(&Join->Waiting);
    if (KtAwait(Join->Target))
    {
        KT_CHECK(ReadAcquire(&Join->Ended) == 1, "signaled before it ended");
        InterlockedIncrement(&Join->Joined);
    }
}

static VOID AllJoinersReleased(VOID)
{
    LARGE_INTEGER Now = {.QuadPart = 0};
    PVOID Joiners[JOINERS];
    PS_JOIN Join = {.Waiting = 0};

    KeInitializeEvent(&Join.Go, NotificationEvent, FALSE);
    Join.Target = KtSpawn(EndWhenTold, &Join);
    KT_REQUIRE(Join.Target != NULL, "no thread");
    KT_CHECK(KeWaitForSingleObject(Join.Target, Executive, KernelMode, FALSE, &Now) ==
                 STATUS_TIMEOUT,
             "signaled while it runs");
    for (ULONG Index = 0; Index < JOINERS; Index++)
    {
        Joiners[Index] = KtSpawn(JoinTarget, &Join);
    }
    while (ReadAcquire(&Join.Waiting) != JOINERS && !KtHasFailed())
    {
        KeDelayExecutionThread(KernelMode, FALSE, &(LARGE_INTEGER){.QuadPart = -10000});
    }
    KeSetEvent(&Join.Go, IO_NO_INCREMENT, FALSE);
    for (ULONG Index = 0; Index < JOINERS; Index++)
    {
        KtJoinSpawned(Joiners[Index]);
    }
    KT_CHECK(Join.Joined == JOINERS, "%d joined", Join.Joined);
    for (ULONG Again = 0; Again < 3; Again++)
    {
        KT_CHECK(KeWaitForSingleObject(Join.Target, Executive, KernelMode, FALSE, &Now) ==
                     STATUS_SUCCESS,
                 "no longer signaled");
    }
    KtJoinSpawned(Join.Target);
}

static VOID Return(PVOID Context)
{
    if (Context != NULL)
    {
        InterlockedIncrement((volatile LONG *)Context);
    }
}

static VOID ReturnBadly(PVOID Context)
{
    InterlockedIncrement((volatile LONG *)Context);
    PsTerminateSystemThread(STATUS_CANCELLED);
}

static VOID EndsEitherWay(VOID)
{
    volatile LONG Ran = 0;
    PVOID First = KtSpawn(Return, (PVOID)&Ran);
    PVOID Second = KtSpawn(ReturnBadly, (PVOID)&Ran);

    KT_REQUIRE(First != NULL && Second != NULL, "no threads");
    KtAwait(First);
    KtAwait(Second);
    KT_CHECK(Ran == 2, "%d ran", Ran);
    KT_CHECK(((PETHREAD)First)->ExitStatus == STATUS_SUCCESS &&
                 ((PETHREAD)Second)->ExitStatus == STATUS_CANCELLED,
             "%x, %x", ((PETHREAD)First)->ExitStatus, ((PETHREAD)Second)->ExitStatus);
    ObDereferenceObject(First);
    ObDereferenceObject(Second);
}

/* ------------------------------------------------------------------ Nothing is left: memory,
 * objects and handles, once nothing is on its way. The pool of workers may grow meanwhile, and then
 * those threads are not ours. */

typedef struct _PS_COUNTS
{
    MI_STATISTICS Memory;
    LONG64 Workers;
    LONG64 Threads; /* but the workers */
    ULONG Handles;
} PS_COUNTS, *PPS_COUNTS;

static LONG64 CountWorkers(VOID)
{
    LONG64 Workers = 0;

    for (ULONG Queue = 0; Queue < MaximumWorkQueue; Queue++)
    {
        Workers += ReadAcquire(&ExpWorkQueues[Queue].Threads);
    }
    return Workers;
}

static LONG64 CountThreads(VOID)
{
    return (*PsThreadType)->Objects - CountWorkers();
}

/* Some stacks are kept for reuse: as many as there may be, from here on. */
#define KEPT_STACKS 16

static VOID FillKeptStacks(VOID)
{
    PVOID Stacks[KEPT_STACKS + 1];

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Stacks); Index++)
    {
        Stacks[Index] = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);
        KT_CHECK(Stacks[Index] != NULL, "no memory");
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Stacks); Index++)
    {
        if (Stacks[Index] != NULL)
        {
            MiFreeKernelStack(Stacks[Index], MI_KERNEL_STACK_SIZE);
        }
    }
}

/* A signaled thread may not be off its stack yet: the reaper gets it soon. */
static VOID Count(PPS_COUNTS Counts, LONG64 ThreadsWanted)
{
    for (ULONG64 End = KtNow() + KT_LOST_AFTER; KtNow() < End;)
    {
        ObpFlushDeferred();
        if (CountThreads() <= ThreadsWanted)
        {
            break;
        }
        KeDelayExecutionThread(KernelMode, FALSE, &(LARGE_INTEGER){.QuadPart = -10000});
    }
    FillKeptStacks();
    MiQueryStatistics(&Counts->Memory);
    Counts->Workers = CountWorkers();
    Counts->Threads = CountThreads();
    Counts->Handles = ObpQueryHandles();
}

#define WORKER_BYTES 0x1000 /* of pool, more than one can need */
#define WORKER_PAGES 8
#define SLACK_PAGES 16 /* slabs, page tables */

static VOID CheckNothingLeft(const PS_COUNTS *Before)
{
    ULONG64 PagesBefore = Before->Memory.FreePages + Before->Memory.PoolPages;
    ULONG64 NewWorkers, PagesAfter;
    PS_COUNTS After;

    Count(&After, Before->Threads);
    NewWorkers = After.Workers > Before->Workers ? (ULONG64)(After.Workers - Before->Workers) : 0;
    PagesAfter = After.Memory.FreePages + After.Memory.PoolPages;
    KT_CHECK(After.Threads <= Before->Threads, "%lld threads, %lld before", After.Threads,
             Before->Threads);
    KT_CHECK(After.Handles == Before->Handles, "%u handles, %u before", After.Handles,
             Before->Handles);
    KT_CHECK(After.Memory.PoolBytesInUse <=
                 Before->Memory.PoolBytesInUse + NewWorkers * WORKER_BYTES,
             "%llu bytes of pool, %llu before", After.Memory.PoolBytesInUse,
             Before->Memory.PoolBytesInUse);
    KT_CHECK(PagesAfter + SLACK_PAGES + NewWorkers * WORKER_PAGES >= PagesBefore,
             "%llu pages, %llu before", PagesAfter, PagesBefore);
}

#define CYCLES 200
#define BATCH 8

static VOID RunBatches(ULONG Cycles)
{
    for (ULONG Cycle = 0; Cycle < Cycles && !KtHasFailed(); Cycle += BATCH)
    {
        PVOID Threads[BATCH];

        for (ULONG Index = 0; Index < BATCH; Index++)
        {
            Threads[Index] = KtSpawn(Return, NULL);
        }
        for (ULONG Index = 0; Index < BATCH; Index++)
        {
            KtJoinSpawned(Threads[Index]);
        }
    }
}

/* The first batches fill what is kept for reuse: stacks, slabs, page tables. */
static VOID CyclesLeaveNothing(VOID)
{
    LONG64 Threads = CountThreads();
    PS_COUNTS Before;

    RunBatches(4 * BATCH);
    Count(&Before, Threads);
    RunBatches(CYCLES);
    CheckNothingLeft(&Before);
}

/* Nobody waits, nobody keeps a handle: the threads are their own last users. */
static VOID OrphansLeaveNothing(VOID)
{
    LONG64 Threads = CountThreads();
    volatile LONG Ran = 0;
    PS_COUNTS Before;

    RunBatches(4 * BATCH);
    Count(&Before, Threads);
    for (LONG Index = 0; Index < 40; Index++)
    {
        HANDLE Handle;
        NTSTATUS Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Return,
                                               (PVOID)&Ran);

        KT_CHECK(NT_SUCCESS(Status) && NT_SUCCESS(ZwClose(Handle)), "status %x", Status);
    }
    while (ReadAcquire(&Ran) != 40 && !KtHasFailed())
    {
        KeDelayExecutionThread(KernelMode, FALSE, &(LARGE_INTEGER){.QuadPart = -10000});
    }
    CheckNothingLeft(&Before);
}

static VOID CreateAndJoin(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    RunBatches(2 * BATCH);
}

static VOID CyclesEverywhere(VOID)
{
    LONG64 Threads = CountThreads();
    PS_COUNTS Before;

    RunBatches(4 * BATCH);
    KtParallel(CreateAndJoin, NULL);
    Count(&Before, Threads);
    KtParallel(CreateAndJoin, NULL);
    CheckNothingLeft(&Before);
}

/* ------------------------------------------------------------------ Without memory. */

#define MOST_MEMORY (1ull << 30) /* bytes that one case may use up */

/* Takes all stacks there are; they are linked through their lowest bytes. */
static PSINGLE_LIST_ENTRY TakeAllStacks(VOID)
{
    PSINGLE_LIST_ENTRY Stacks = NULL;
    PUCHAR Top;

    while ((Top = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0)) != NULL)
    {
        PSINGLE_LIST_ENTRY Stack = (PSINGLE_LIST_ENTRY)(Top - MI_KERNEL_STACK_SIZE);

        Stack->Next = Stacks;
        Stacks = Stack;
    }
    return Stacks;
}

static PSINGLE_LIST_ENTRY TakeBlocks(PSINGLE_LIST_ENTRY Blocks, SIZE_T Bytes)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1ll & 0x7FFFFFFFFFFFFFFFll};
    PSINGLE_LIST_ENTRY Block;

    while ((Block = MmAllocateContiguousMemory(Bytes, Highest)) != NULL)
    {
        Block->Next = Blocks;
        Blocks = Block;
    }
    return Blocks;
}

static VOID FailsWithoutMemory(VOID)
{
    PSINGLE_LIST_ENTRY Blocks = NULL, Stacks;
    LONG64 Threads = CountThreads();
    HANDLE Handle = (HANDLE)1;
    PS_COUNTS Before;
    NTSTATUS Status;

    RunBatches(BATCH);
    Count(&Before, Threads);
    if (Before.Memory.TotalPages * PAGE_SIZE > MOST_MEMORY)
    {
        KtSkip("too much memory to use up");
        return;
    }
    for (SIZE_T Bytes = 4 << 20; Bytes >= MI_KERNEL_STACK_SIZE; Bytes >>= 1)
    {
        Blocks = TakeBlocks(Blocks, Bytes);
    }
    Stacks = TakeAllStacks();
    Status = PsCreateSystemThread(&Handle, 0, NULL, NULL, NULL, Return, NULL);
    while (Stacks != NULL)
    {
        PSINGLE_LIST_ENTRY Next = Stacks->Next;

        MiFreeKernelStack((PUCHAR)Stacks + MI_KERNEL_STACK_SIZE, MI_KERNEL_STACK_SIZE);
        Stacks = Next;
    }
    while (Blocks != NULL)
    {
        PSINGLE_LIST_ENTRY Next = Blocks->Next;

        MmFreeContiguousMemory(Blocks);
        Blocks = Next;
    }
    KT_CHECK(Status == STATUS_INSUFFICIENT_RESOURCES && Handle == NULL, "status %x, handle %p",
             Status, Handle);
    CheckNothingLeft(&Before);
    KtJoinSpawned(KtSpawn(Return, NULL));
}

/* ------------------------------------------------------------------ The kernel's own threads. */

static VOID EndForeign(PVOID Context)
{
    NTSTATUS Status = PsTerminateSystemThread(STATUS_SUCCESS);

    UNREFERENCED_PARAMETER(Context);
    KT_CHECK(Status == STATUS_INVALID_PARAMETER, "status %x", Status);
    KT_CHECK(PsGetCurrentThreadId() == NULL, "it has an id");
}

static VOID ForeignThreadsAreLeftAlone(VOID)
{
    PKT_THREAD Thread = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Thread), TAG_OBJECT);

    KT_REQUIRE(Thread != NULL, "no memory");
    KtCreateThread(Thread, EndForeign, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(Thread);
    ExFreePoolWithTag(Thread, TAG_OBJECT);
}

/* ------------------------------------------------------------------ Ends that stop the machine. */

static VOID EndMyself(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID EndWithMutex(PVOID Context)
{
    KMUTEX Mutex;

    UNREFERENCED_PARAMETER(Context);
    KeInitializeMutex(&Mutex, 0);
    KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
    KtExpectBugCheck(THREAD_TERMINATE_HELD_MUTEX, (ULONG_PTR)KeGetCurrentThread(), EndMyself, NULL);
    KeReleaseMutex(&Mutex, FALSE);
}

static VOID EndInRegion(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeEnterCriticalRegion();
    KtExpectBugCheck(KERNEL_APC_PENDING_DURING_EXIT, 0, EndMyself, NULL);
    KeLeaveCriticalRegion();
    KeEnterGuardedRegion();
    KtExpectBugCheck(KERNEL_APC_PENDING_DURING_EXIT, 0, EndMyself, NULL);
    KeLeaveGuardedRegion();
}

static VOID EndRaised(PVOID Context)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, EndMyself, NULL);
    KeLowerIrql(OldIrql);
}

static VOID OwnersMayNotEnd(VOID)
{
    KtJoinSpawned(KtSpawn(EndWithMutex, NULL));
}

static VOID RegionsMustBeLeft(VOID)
{
    KtJoinSpawned(KtSpawn(EndInRegion, NULL));
    KtJoinSpawned(KtSpawn(EndRaised, NULL));
}

static const KT_CASE Cases[] = {
    {"begins-as-documented", BeginAsDocumented, 0, FALSE},
    {"bad-parameters-refused", BadParametersAreRefused, 0, FALSE},
    {"current-thread-handle", CurrentThreadHandle, 0, FALSE},
    {"L72-all-joiners-released", AllJoinersReleased, 0, FALSE},
    {"ends-either-way", EndsEitherWay, 0, FALSE},
    {"L87-cycles-leave-nothing", CyclesLeaveNothing, 0, FALSE},
    {"L87-orphans-leave-nothing", OrphansLeaveNothing, 0, FALSE},
    {"L87-cycles-everywhere", CyclesEverywhere, 2, FALSE},
    {"fails-without-memory", FailsWithoutMemory, 0, FALSE},
    {"foreign-threads-left-alone", ForeignThreadsAreLeftAlone, 0, FALSE},
    {"L53-owners-may-not-end", OwnersMayNotEnd, 0, TRUE},
    {"regions-must-be-left", RegionsMustBeLeft, 0, TRUE},
};

KT_DEFINE_SUITE(KtThreadObjectSuite, "ps", Cases);
