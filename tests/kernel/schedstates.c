/* SPDX-License-Identifier: MIT */
/*
 * schedstates.c - a thread is in exactly one place, runs on one processor at a time, and is never
 * lost, whatever others do to it meanwhile. Laws L76, L77; regressions R-h, R-i.
 *
 * A crew of threads waits, wakes, yields, hops between processors and changes one another's
 * priorities. One member looks at all others, each under its lock and its processor's, and at all
 * ready queues: states, queues and counters must agree at each look. Each thread also counts
 * itself in and out, so that one that ran twice at a time would meet itself.
 */
#include <spinlock.h>

#include "crew.h"
#include "schedkit.h"

static CREW Crew;

/* ------------------------------------------------------------------ Looking. */

#define LONGEST_QUEUE 256

typedef struct _LOOK
{
    LONG State;
    LONG SwapState;
    LONG Priority;
    ULONG Processor;
    BOOLEAN Current; /* its processor says that it runs it */
    LONG Running;    /* what its processor says of the priority that runs */
    BOOLEAN MayRun;  /* on that processor */
    ULONG Queued;    /* times that it is in that processor's queue of its priority */
    BOOLEAN Idle;
} LOOK, *PLOOK;

static ULONG CountInQueue(PKPRCB Prcb, PKTHREAD Thread)
{
    PLIST_ENTRY Head = &Prcb->Ready.List[Thread->Priority];
    ULONG Count = 0, Length = 0;

    for (PLIST_ENTRY Entry = Head->Flink; Entry != Head && Length < LONGEST_QUEUE;
         Entry = Entry->Flink, Length++)
    {
        Count += Entry == &Thread->QueueEntry;
    }
    return Count;
}

/* Both locks: the thread cannot be queued, taken, switched to or from. */
static VOID TakeLook(PKTHREAD Thread, PLOOK Look)
{
    KIRQL OldIrql = KeAcquireSpinLockRaiseToDpc(&Thread->Lock);
    PKPRCB Prcb;

    for (;;)
    {
        Prcb = KiProcessorBlock[Thread->Processor];
        KiAcquireSpinLock(&Prcb->Ready.Lock);
        if (Thread->Processor == Prcb->Index)
        {
            break;
        }
        KiReleaseSpinLock(&Prcb->Ready.Lock);
    }
    Look->State = Thread->State;
    Look->SwapState = Thread->SwapState;
    Look->Priority = Thread->Priority;
    Look->Processor = Thread->Processor;
    Look->Current = Prcb->CurrentThread == Thread;
    Look->Running = Prcb->Ready.RunningPriority;
    Look->MayRun = Thread->Affinity.Group == Prcb->Group &&
                   (Thread->Affinity.Mask >> Prcb->GroupNumber & 1) != 0;
    Look->Queued = Look->State == Ready ? CountInQueue(Prcb, Thread) : 0;
    KiReleaseSpinLock(&Prcb->Ready.Lock);
    KeReleaseSpinLock(&Thread->Lock, OldIrql);
}

static VOID Judge(PKTHREAD Thread, const LOOK *Look)
{
    KT_CHECK(Look->Current == (Look->State == Running), "%p: state %d, current on CPU %u: %u",
             Thread, Look->State, Look->Processor, Look->Current);
    switch (Look->State)
    {
    case Ready:
        KT_CHECK(Look->SwapState == KiSwapSaved, "%p is ready, swap state %d", Thread,
                 Look->SwapState);
        KT_CHECK(Look->Queued == 1, "%p of priority %d is %u times in CPU %u's queue", Thread,
                 Look->Priority, Look->Queued, Look->Processor);
        KT_CHECK(Look->MayRun, "%p waits for CPU %u, where it may not run", Thread,
                 Look->Processor);
        break;
    case Standby:
        KT_CHECK(Look->SwapState == KiSwapSaved, "%p stands by, swap state %d", Thread,
                 Look->SwapState);
        break;
    case Running:
        KT_CHECK(Look->SwapState != KiSwapSaved, "%p runs, and is saved", Thread);
        KT_CHECK(Look->Running == Look->Priority, "%p runs at %d, CPU %u says %d", Thread,
                 Look->Priority, Look->Processor, Look->Running);
        break;
    case DeferredReady:
        KT_CHECK(Look->SwapState != KiSwapInUse, "%p is given away, swap state %d", Thread,
                 Look->SwapState);
        break;
    default:
        KT_CHECK(Look->State == Waiting || Look->State == Initialized || Look->State == Terminated,
                 "%p: state %d", Thread, Look->State);
        break;
    }
}

/* What one processor has: counted under its lock, judged afterwards. */
typedef struct _QUEUES
{
    ULONG Strangers; /* of another processor, priority or state, or on their stacks */
    ULONG IdleThreads;
    ULONG WrongBits;
    LONG CurrentState;
    LONG CurrentSwapState;
    LONG CurrentPriority;
    LONG Running;
    BOOLEAN CurrentIsIdle;
} QUEUES, *PQUEUES;

static VOID LookAtQueue(PKPRCB Prcb, LONG Priority, PQUEUES Queues)
{
    PLIST_ENTRY Head = &Prcb->Ready.List[Priority];
    ULONG Length = 0;

    for (PLIST_ENTRY Entry = Head->Flink; Entry != Head && Length < LONGEST_QUEUE;
         Entry = Entry->Flink, Length++)
    {
        PKTHREAD Thread = CONTAINING_RECORD(Entry, KTHREAD, QueueEntry);

        Queues->IdleThreads += Thread == Prcb->IdleThread;
        Queues->Strangers += Thread->State != Ready || Thread->Processor != Prcb->Index ||
                             Thread->Priority != Priority || Thread->SwapState != KiSwapSaved;
    }
    Queues->WrongBits += (Prcb->Ready.Summary >> Priority & 1) != (Length != 0);
}

static VOID LookAtProcessor(PKPRCB Prcb)
{
    QUEUES Queues = {0};
    KIRQL OldIrql = KeAcquireSpinLockRaiseToDpc(&Prcb->Ready.Lock);

    for (LONG Priority = 0; Priority < MAXIMUM_PRIORITY; Priority++)
    {
        LookAtQueue(Prcb, Priority, &Queues);
    }
    Queues.CurrentState = Prcb->CurrentThread->State;
    Queues.CurrentSwapState = Prcb->CurrentThread->SwapState;
    Queues.CurrentPriority = Prcb->CurrentThread->Priority;
    Queues.CurrentIsIdle = Prcb->CurrentThread == Prcb->IdleThread;
    Queues.Running = Prcb->Ready.RunningPriority;
    KeReleaseSpinLock(&Prcb->Ready.Lock, OldIrql);

    KT_CHECK(Queues.IdleThreads == 0, "CPU %u's idle thread is queued", Prcb->Index);
    KT_CHECK(Queues.Strangers == 0, "CPU %u's queues hold %u strangers", Prcb->Index,
             Queues.Strangers);
    KT_CHECK(Queues.WrongBits == 0, "CPU %u's summary has %u wrong bits", Prcb->Index,
             Queues.WrongBits);
    KT_CHECK(Queues.CurrentState == Running && Queues.CurrentSwapState != KiSwapSaved,
             "CPU %u runs a thread of state %d, swap state %d", Prcb->Index, Queues.CurrentState,
             Queues.CurrentSwapState);
    KT_CHECK(Queues.Running == (Queues.CurrentIsIdle ? KI_IDLE_PRIORITY : Queues.CurrentPriority),
             "CPU %u runs priority %d and says %d", Prcb->Index, Queues.CurrentPriority,
             Queues.Running);
}

/* The idle threads are looked at with their processors only: they have no place of their own. */
static VOID LookAtAll(PCREW_MEMBER Member)
{
    for (ULONG Number = 0; Number < Crew.Leaders && !KtHasFailed(); Number++)
    {
        PKTHREAD Thread = &Crew.Members[Number].Thread.Thread;
        LOOK Look;

        TakeLook(Thread, &Look);
        Judge(Thread, &Look);
    }
    LookAtProcessor(KiProcessorBlock[CrewDraw(Member, KtProcessors())]);
}

/* ------------------------------------------------------------------ What is looked at. */

#define LEAST_TURNS 8
#define FLIPPERS 2
#define WATCHERS 1
#define HIGHEST_FLIPPED 30

static KSEMAPHORE Gate;
static volatile LONG Inside[CREW_MOST]; /* itself: whether it runs its turn */

static VOID Hop(PCREW_MEMBER Member)
{
    GROUP_AFFINITY Affinity = SchedOneProcessor(CrewDraw(Member, KtProcessors()));

    KeSetSystemGroupAffinityThread(&Affinity, NULL);
    if (CrewDraw(Member, 4) == 0)
    {
        KeRevertToUserAffinityThread();
    }
}

static VOID DoSomething(PCREW_MEMBER Member)
{
    LARGE_INTEGER Patience = KtRelative(KT_MILLISECONDS(2));

    switch (CrewDraw(Member, 7))
    {
    case 0:
        KeStallExecutionProcessor(CrewDraw(Member, 60));
        break;
    case 1:
        KtSleep(CrewDraw(Member, 2000));
        break;
    case 2:
        KeWaitForSingleObject(&Gate, Executive, KernelMode, FALSE, &Patience);
        break;
    case 3:
        KeReleaseSemaphore(&Gate, (KPRIORITY)CrewDraw(Member, 8), 1, FALSE);
        break;
    case 4:
        ZwYieldExecution();
        break;
    default:
        Hop(Member);
        break;
    }
}

/* Its own counter: whoever runs this thread is the only one. */
static VOID CountedTurn(PCREW_MEMBER Member)
{
    LONG Entered = InterlockedIncrement(&Inside[Member->Number]);

    KT_CHECK(Entered == 1, "member %u runs on %d processors", Member->Number, Entered);
    DoSomething(Member);
    InterlockedDecrement(&Inside[Member->Number]);
}

static VOID FlipPriority(PCREW_MEMBER Member)
{
    PCREW_MEMBER Worker = &Crew.Members[CrewDraw(Member, Crew.Leaders)];

    if (Member->Turns == 0)
    {
        SchedSetPriority(HIGH_PRIORITY);
    }
    for (ULONG Flip = 0; Flip < 4; Flip++)
    {
        KPRIORITY Old = KeSetPriorityThread(&Worker->Thread.Thread,
                                            1 + (KPRIORITY)CrewDraw(Member, HIGHEST_FLIPPED));

        KT_CHECK(Old >= 1 && Old <= HIGHEST_FLIPPED, "old priority %d", Old);
    }
    KtSleep(500);
}

static VOID WatchOthers(PCREW_MEMBER Member)
{
    if (Member->Turns == 0)
    {
        SchedSetPriority(HIGH_PRIORITY);
    }
    LookAtAll(Member);
    KtSleep(200);
}

static VOID TakeAnyTurn(PCREW_MEMBER Member)
{
    if (Member->Number < Crew.Leaders)
    {
        CountedTurn(Member);
    }
    else if (Member->Number < Crew.Leaders + FLIPPERS)
    {
        FlipPriority(Member);
    }
    else
    {
        WatchOthers(Member);
    }
}

static VOID OnePlaceEach(VOID)
{
    RtlZeroMemory(&Crew, sizeof(Crew));
    RtlZeroMemory((PVOID)Inside, sizeof(Inside));
    Crew.Name = "states";
    Crew.Count = CrewSize(4 + FLIPPERS + WATCHERS, 16);
    Crew.Leaders = Crew.Count - FLIPPERS - WATCHERS;
    Crew.Least = LEAST_TURNS;
    Crew.Turn = TakeAnyTurn;
    KeInitializeSemaphore(&Gate, 0, MAXLONG);
    CrewRun(&Crew);
}

/* ------------------------------------------------------------------ The priority of a thread that
 * another processor takes from a queue meanwhile. */

#define THEFTS 40
#define LONGEST_LEAD_US 64

static HOG Robbed[MAXIMUM_PROCESSORS];
static HOG Stolen;

/* Ready on processor 0, which the director keeps, until processor 1 is let go. */
static VOID StealAndChange(KPRIORITY Priority, ULONG LeadUs)
{
    ULONG64 End = KtNow() + SCHED_LIMIT;
    LOOK Look;

    HogStart(&Robbed[1], DIRECTOR_PRIORITY - 1, 1);
    HogAwait(&Robbed[1]);
    HogStart(&Stolen, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    HogStop(&Robbed[1]);
    KeStallExecutionProcessor(LeadUs);
    KeSetPriorityThread(&Stolen.Thread.Thread, Priority);
    do
    {
        TakeLook(&Stolen.Thread.Thread, &Look);
        Judge(&Stolen.Thread.Thread, &Look);
        KT_CHECK(Look.Priority == Priority, "priority %d, not %d", Look.Priority, Priority);
    } while (!ReadAcquire(&Stolen.Started) && KtNow() < End && !KtHasFailed());
    TakeLook(&Stolen.Thread.Thread, &Look);
    Judge(&Stolen.Thread.Thread, &Look);
    HogJoin(&Stolen);
    HogJoin(&Robbed[1]);
}

/* The processor that runs it must know its priority. */
static VOID PriorityWhileStolen(VOID)
{
    KPRIORITY OldPriority = SchedSetPriority(DIRECTOR_PRIORITY);
    KT_RANDOM Random;

    KtSeed(&Random, 2);
    for (ULONG Index = 2; Index < KtProcessors(); Index++)
    {
        HogStart(&Robbed[Index], DIRECTOR_PRIORITY - 1, Index);
        HogAwait(&Robbed[Index]);
    }
    for (ULONG Theft = 0; Theft < THEFTS && !KtHasFailed(); Theft++)
    {
        StealAndChange(KI_DEFAULT_PRIORITY + (Theft % 2 == 0 ? 2 : -2),
                       (ULONG)(KtRandom(&Random) >> 32) % LONGEST_LEAD_US);
    }
    for (ULONG Index = 2; Index < KtProcessors(); Index++)
    {
        HogJoin(&Robbed[Index]);
    }
    SchedSetPriority(OldPriority);
}

/* ------------------------------------------------------------------ Woken while it still leaves:
 * its processor is on its stack until it is saved, and others are idle. */

#define WAKES 200
#define LEAVING_ENOUGH 20 /* met in the act: then it may end */
#define LEAVING_LIMIT                                                                              \
    KT_MILLISECONDS(500) /* on a host with a single processor free it may never be met */

static KT_THREAD Leaver;
static KEVENT Back;
static volatile LONG Returned;
static volatile LONG StaysBack; /* the director */

static VOID LeaveAndReturn(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!ReadAcquire(&StaysBack))
    {
        KtWait(&Back);
        InterlockedIncrement(&Returned);
    }
}

static VOID WokenWhileLeaving(VOID)
{
    KPRIORITY OldPriority = SchedSetPriority(DIRECTOR_PRIORITY);
    PKTHREAD Thread = &Leaver.Thread;
    ULONG64 Stop = KtNow() + LEAVING_LIMIT;
    LONG Leaving = 0, Wake;

    Returned = StaysBack = 0;
    KeInitializeEvent(&Back, SynchronizationEvent, FALSE);
    KtCreateThread(&Leaver, LeaveAndReturn, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    for (Wake = 0; Wake < WAKES || (Leaving < LEAVING_ENOUGH && KtNow() < Stop); Wake++)
    {
        for (ULONG64 End = KtNow() + SCHED_LIMIT;
             ReadAcquire(&Thread->WaitState) != KI_WAIT_COMMITTED && KtNow() < End;)
        {
            YieldProcessor();
        }
        Leaving += ReadAcquire(&Thread->SwapState) == KiSwapInUse;
        KeSetEvent(&Back, IO_NO_INCREMENT, FALSE);
        if (!KtWaitFor(&Returned, Wake + 1, SCHED_LIMIT))
        {
            KT_CHECK(FALSE, "wake %d: lost in state %d, swap state %d", Wake, Thread->State,
                     Thread->SwapState);
            KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, SCHED_LIMIT, (ULONG_PTR)Thread,
                         (ULONG_PTR)Thread->State, (ULONG_PTR)Thread->SwapState);
        }
    }
    WriteRelease(&StaysBack, TRUE);
    KeSetEvent(&Back, IO_NO_INCREMENT, FALSE);
    KtJoinThread(&Leaver);
    KtNote("%d of %d were still leaving", Leaving, Wake);
    SchedSetPriority(OldPriority);
}

static const KT_CASE Cases[] = {
    {"sched-L76-L77-R-h-R-i-one-place-each", OnePlaceEach, 0, FALSE},
    {"sched-L76-priority-while-stolen", PriorityWhileStolen, 2, FALSE},
    {"sched-L77-woken-while-leaving", WokenWhileLeaving, 2, FALSE},
};

KT_DEFINE_SUITE(KtSchedulerStateSuite, "ke", Cases);
