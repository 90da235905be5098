/* SPDX-License-Identifier: MIT */
/* mutex.c - mutexes and mutants: laws L49 to L54. */
#include "waitkit.h"

static KMUTEX Mutex;

/* ------------------------------------------------------------------ L49: one owner, n for n. */

static VOID Recurses(VOID)
{
    KeInitializeMutex(&Mutex, 0);
    KT_CHECK(KeReadStateMutex(&Mutex) == 1, "new: %d", KeReadStateMutex(&Mutex));
    for (LONG Depth = 0; Depth < 5; Depth++)
    {
        KT_CHECK(KtAsk(&Mutex) == STATUS_SUCCESS && KeReadStateMutex(&Mutex) == -Depth,
                 "depth %d: state %d", Depth, KeReadStateMutex(&Mutex));
    }
    for (LONG Depth = 4; Depth >= 0; Depth--)
    {
        LONG Previous = KeReleaseMutex(&Mutex, FALSE);

        KT_REQUIRE(Previous == -Depth && KeReadStateMutex(&Mutex) == 1 - Depth,
                   "depth %d: state %d, before it %d", Depth, KeReadStateMutex(&Mutex), Previous);
    }
}

#define OWNERS 6

/* With their boosts too: on one processor they keep one another boosted above the case. */
#define BELOW_THE_CASE (KI_DEFAULT_PRIORITY - 2)

static struct
{
    volatile LONG Inside; /* by the owner; plain on purpose */
    LONG Sum;             /* by the owner; plain on purpose */
    volatile LONG Rounds; /* locked add */
    volatile LONG Stop;
    KT_THREAD Threads[OWNERS];
} Fight;

static VOID OwnRepeatedly(PVOID Context)
{
    KT_RANDOM Random;

    KtSeed(&Random, (ULONG_PTR)Context);
    do
    {
        LONG Depth = 1 + (LONG)(KtRandom(&Random) % 3);

        for (LONG Index = 0; Index < Depth; Index++)
        {
            KtWait(&Mutex);
        }
        KT_CHECK(++Fight.Inside == 1, "%d owners", Fight.Inside);
        if (KtRandom(&Random) % 2 == 0)
        {
            KiYieldThread();
        }
        Fight.Sum++;
        Fight.Inside--;
        for (LONG Index = 0; Index < Depth; Index++)
        {
            KeReleaseMutex(&Mutex, FALSE);
        }
        InterlockedIncrement(&Fight.Rounds);
    } while (!ReadAcquire(&Fight.Stop));
}

static VOID OneOwner(VOID)
{
    ULONG64 End = KtNow() + KtBudget(), Limit = KtNow() + WAIT_LIMIT;
    LONG Seen = 0;

    RtlZeroMemory(&Fight, sizeof(Fight));
    KeInitializeMutex(&Mutex, 0);
    for (ULONG Index = 0; Index < OWNERS; Index++)
    {
        KtCreateThread(&Fight.Threads[Index], OwnRepeatedly, (PVOID)(ULONG_PTR)Index,
                       BELOW_THE_CASE, KT_ANYWHERE);
    }
    while (KtNow() < End || Fight.Rounds == 0)
    {
        KtSleep(KT_MILLISECONDS(5));
        if (Fight.Rounds != Seen)
        {
            Seen = Fight.Rounds;
            Limit = KtNow() + WAIT_LIMIT;
        }
        KT_CHECK(KtNow() < Limit, "stuck after %d rounds", Seen);
        if (KtHasFailed())
        {
            break;
        }
    }
    WriteRelease(&Fight.Stop, TRUE);
    for (ULONG Index = 0; Index < OWNERS; Index++)
    {
        KtJoinThread(&Fight.Threads[Index]);
    }
    KT_CHECK(Fight.Sum == Fight.Rounds, "%d rounds, the sum is %d", Fight.Rounds, Fight.Sum);
    KT_CHECK(KeReadStateMutex(&Mutex) == 1, "state %d at the end", KeReadStateMutex(&Mutex));
}

/* ------------------------------------------------------------------ L50: only its owner. */

static VOID Release(PVOID Context)
{
    KeReleaseMutex(Context, FALSE);
}

static VOID TryToRelease(PVOID Context)
{
    KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_MUTANT_NOT_OWNED, Release, Context);
}

static VOID OnlyItsOwnerReleases(VOID)
{
    KT_THREAD Other;

    KeInitializeMutex(&Mutex, 0);
    TryToRelease(&Mutex);
    KT_CHECK(KeReadStateMutex(&Mutex) == 1, "state %d", KeReadStateMutex(&Mutex));
    KtWait(&Mutex);
    KtCreateThread(&Other, TryToRelease, &Mutex, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(&Other);
    KT_CHECK(KeReadStateMutex(&Mutex) == 0, "state %d", KeReadStateMutex(&Mutex));
    KT_CHECK(KeReleaseMutex(&Mutex, FALSE) == 0, "the owner's release");
}

/* ------------------------------------------------------------------ L51: normal APCs are off
 * exactly while a mutex is owned, however often. */

static VOID DisablesApcs(VOID)
{
    SHORT Before = KeGetCurrentThread()->KernelApcDisable;
    KMUTEX Second;

    KeInitializeMutex(&Mutex, 0);
    KeInitializeMutex(&Second, 0);
    KtWait(&Mutex);
    KtWait(&Mutex);
    KT_CHECK(KeGetCurrentThread()->KernelApcDisable == Before - 1, "%d after the first, from %d",
             KeGetCurrentThread()->KernelApcDisable, Before);
    KtWait(&Second);
    KT_CHECK(KeGetCurrentThread()->KernelApcDisable == Before - 2, "%d after the second, from %d",
             KeGetCurrentThread()->KernelApcDisable, Before);
    KeReleaseMutex(&Mutex, FALSE);
    KT_CHECK(KeGetCurrentThread()->KernelApcDisable == Before - 2, "still owned");
    KeReleaseMutex(&Mutex, FALSE);
    KeReleaseMutex(&Second, FALSE);
    KT_CHECK(KeGetCurrentThread()->KernelApcDisable == Before, "%d after both, from %d",
             KeGetCurrentThread()->KernelApcDisable, Before);
}

/* ------------------------------------------------------------------ L52: the first waiter owns it
 * at once; nobody overtakes. */

#define WAITERS 5

static struct
{
    volatile LONG Drawn; /* places in Order that were given */
    volatile LONG Order[WAITERS];
    volatile LONG Owned; /* how many are in Order */
    KEVENT Leave;        /* lets the owner release */
    KT_THREAD Threads[WAITERS];
} Line;

static VOID OwnOnce(PVOID Context)
{
    LONG Self = (LONG)(ULONG_PTR)Context;

    KtWait(&Mutex);
    Line.Order[InterlockedIncrement(&Line.Drawn) - 1] = Self;
    InterlockedIncrement(&Line.Owned); /* pairs with: who waits for Owned */
    KtWait(&Line.Leave);
    KeReleaseMutex(&Mutex, FALSE);
}

static VOID HandsOverInOrder(VOID)
{
    Line.Drawn = Line.Owned = 0;
    KeInitializeMutex(&Mutex, 0);
    KeInitializeEvent(&Line.Leave, SynchronizationEvent, FALSE);
    KtWait(&Mutex);
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtCreateThread(&Line.Threads[Index], OwnOnce, (PVOID)(ULONG_PTR)Index, KI_DEFAULT_PRIORITY,
                       KT_ANYWHERE);
        KtAwaitBlocked(&Line.Threads[Index]);
    }
    KT_CHECK(KeReleaseMutex(&Mutex, FALSE) == 0, "the release");
    for (LONG Index = 0; Index < WAITERS; Index++)
    {
        KT_CHECK(KeReadStateMutex(&Mutex) == 0, "free with waiters");
        KT_CHECK(KtAsk(&Mutex) == STATUS_TIMEOUT, "overtook waiter %d", Index);
        KT_CHECK(KtWaitFor(&Line.Owned, Index + 1, WAIT_LIMIT), "waiter %d never owned it", Index);
        KT_CHECK(Line.Order[Index] == Index, "owner %d is waiter %d", Index, Line.Order[Index]);
        KeSetEvent(&Line.Leave, IO_NO_INCREMENT, FALSE);
    }
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtJoinThread(&Line.Threads[Index]);
    }
    KT_CHECK(KeReadStateMutex(&Mutex) == 1, "state %d at the end", KeReadStateMutex(&Mutex));
}

/* It is not free for a moment even if its first waiter cannot run yet. */
static VOID NobodyOvertakes(VOID)
{
    KIRQL OldIrql;

    Line.Drawn = Line.Owned = 0;
    KeInitializeMutex(&Mutex, 0);
    KeInitializeEvent(&Line.Leave, SynchronizationEvent, TRUE);
    KtWait(&Mutex);
    KtCreateThread(&Line.Threads[0], OwnOnce, NULL, KI_DEFAULT_PRIORITY + 1, 0);
    KtAwaitBlocked(&Line.Threads[0]);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeReleaseMutex(&Mutex, FALSE);
    KT_CHECK(KeReadStateMutex(&Mutex) == 0 && Mutex.OwnerThread == &Line.Threads[0].Thread,
             "state %d, its owner is %p", KeReadStateMutex(&Mutex), Mutex.OwnerThread);
    if (KtAsk(&Mutex) != STATUS_TIMEOUT)
    {
        KT_CHECK(FALSE, "overtook the waiter");
        KeReleaseMutex(&Mutex, FALSE);
    }
    KeLowerIrql(OldIrql);
    KtJoinThread(&Line.Threads[0]);
    KT_CHECK(Line.Owned == 1 && KeReadStateMutex(&Mutex) == 1, "state %d at the end",
             KeReadStateMutex(&Mutex));
}

/* ------------------------------------------------------------------ L53: an owner that ends. */

static KMUTANT Mutant;

static VOID OwnAndEnd(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtWait(&Mutant);
    KtWait(&Mutant);
}

static VOID OwnerThatEndsAbandons(VOID)
{
    PVOID Objects[2] = {NULL, &Mutant};
    KT_THREAD Owner;
    KEVENT Never;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    Objects[0] = &Never;
    KeInitializeMutant(&Mutant, FALSE);
    KtCreateThread(&Owner, OwnAndEnd, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(&Owner);
    KT_CHECK(KeReadStateMutex(&Mutant) == 1, "state %d", KeReadStateMutex(&Mutant));
    KT_CHECK(KeWaitForMultipleObjects(2, Objects, WaitAny, Executive, KernelMode, FALSE, NULL,
                                      NULL) == STATUS_ABANDONED_WAIT_0 + 1,
             "not told that it was abandoned");
    KT_CHECK(KtAsk(&Mutant) == STATUS_SUCCESS, "told twice");
    KeReleaseMutant(&Mutant, IO_NO_INCREMENT, FALSE, FALSE);
    KeReleaseMutant(&Mutant, IO_NO_INCREMENT, FALSE, FALSE);
    KT_CHECK(KtAsk(&Mutant) == STATUS_SUCCESS, "free again");
    KeReleaseMutant(&Mutant, IO_NO_INCREMENT, FALSE, FALSE);
}

static VOID EndOwning(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtWait(&Mutex);
    KiTerminateThread();
}

static VOID DieOwning(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtExpectBugCheck(THREAD_TERMINATE_HELD_MUTEX, (ULONG_PTR)KeGetCurrentThread(), EndOwning, NULL);
    KeReleaseMutex(&Mutex, FALSE);
}

static VOID OwnerMayNotEnd(VOID)
{
    KT_THREAD Owner;

    KeInitializeMutex(&Mutex, 0);
    KtCreateThread(&Owner, DieOwning, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(&Owner);
}

/* ------------------------------------------------------------------ L54: the recursion's limit,
 * with the count set near it. */

static VOID OwnOnceMore(PVOID Context)
{
    KtWait(Context);
}

static VOID OwnOnceMoreOfTwo(PVOID Context)
{
    KEVENT Never;
    PVOID Objects[2] = {&Never, Context};

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    KeWaitForMultipleObjects(2, Objects, WaitAny, Executive, KernelMode, FALSE, NULL, NULL);
}

static VOID RecursionHasALimit(VOID)
{
    KeInitializeMutex(&Mutex, 0);
    KtWait(&Mutex);
    Mutex.Header.SignalState = MINLONG + 1;
    KT_CHECK(KtWait(&Mutex) == STATUS_SUCCESS, "the last one");
    KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_MUTANT_LIMIT_EXCEEDED, OwnOnceMore,
                     &Mutex);
    KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_MUTANT_LIMIT_EXCEEDED,
                     OwnOnceMoreOfTwo, &Mutex);
    KT_CHECK(Mutex.Header.SignalState == MINLONG, "state %x", Mutex.Header.SignalState);
    Mutex.Header.SignalState = 0;
    KT_CHECK(KeReleaseMutex(&Mutex, FALSE) == 0, "the release");
}

static const KT_CASE Cases[] = {
    {"mutex-L49-recurses", Recurses, 0, FALSE},
    {"mutex-L49-one-owner", OneOwner, 0, FALSE},
    {"mutex-L50-only-its-owner-releases", OnlyItsOwnerReleases, 0, TRUE},
    {"mutex-L51-disables-apcs", DisablesApcs, 0, FALSE},
    {"mutex-L52-hands-over-in-order", HandsOverInOrder, 0, FALSE},
    {"mutex-L52-nobody-overtakes", NobodyOvertakes, 0, FALSE},
    {"mutex-L53-owner-that-ends-abandons", OwnerThatEndsAbandons, 0, FALSE},
    {"mutex-L53-owner-may-not-end", OwnerMayNotEnd, 0, TRUE},
    {"mutex-L54-recursion-has-a-limit", RecursionHasALimit, 0, TRUE},
};

KT_DEFINE_SUITE(KtMutexSuite, "ke", Cases);
