/* SPDX-License-Identifier: MIT */
/*
 * exlocktorture.c - each of the executive's locks under more threads than there are processors.
 * Laws L9, L15, L16, L17.
 *
 * Visitors go in, alone or as sharers, as chance will have it. Alone they find nobody else inside
 * and the guarded parts equal, and change them one by one; sharers find no owner and parts that do
 * not change. Inside a lock that allows it they give their processor away, so that others run into
 * them. In the end the visits counted outside are those counted inside, and everybody got in often
 * enough.
 */
#include "exlocks.h"

#define PARTS 6
#define MAXIMUM_VISITORS 40
#define MINIMUM_VISITS 4
#define CATCH_LIMIT KT_SECONDS(30) /* a lock that is no lock is caught long before */

struct _VISITOR;

typedef struct _KIND
{
    PCSTR Name;
    VOID (*Initialize)(VOID);
    VOID (*Acquire)(struct _VISITOR *Visitor, BOOLEAN Exclusive);
    VOID (*Release)(struct _VISITOR *Visitor, BOOLEAN Exclusive);
    KIRQL Irql; /* inside */
    BOOLEAN Shares;
    BOOLEAN Busted; /* violations are what is looked for */
} KIND;

typedef struct DECLSPEC_ALIGN(64) _VISITOR
{
    KT_THREAD Thread;
    KT_RANDOM Random;
    ULONG64 Alone; /* visits */
    ULONG64 Shared;
    KIRQL OldIrql;
} VISITOR, *PVISITOR;

static struct
{
    const KIND *Kind;
    KEVENT Start; /* all visitors exist: none is done before the last is there */
    ULONG64 End;
    volatile LONG Violations;
    volatile LONG MostSharers; /* seen at once; raised without order: a note */

    FAST_MUTEX Mutex DECLSPEC_ALIGN(64);
    ERESOURCE Resource;
    EX_PUSH_LOCK PushLock;
    EX_SPIN_LOCK SpinLock;

    /* Guarded by the lock. */
    volatile LONG Owners DECLSPEC_ALIGN(64); /* by locked add: what should be 0 or 1 */
    volatile LONG Sharers;
    volatile ULONG64 Parts[PARTS];

    VISITOR Visitors[MAXIMUM_VISITORS];
} Torture; /* one at a time */

#define TORTURE_CHECK(Condition, Format, ...)                                                      \
    do                                                                                             \
    {                                                                                              \
        if (!(Condition))                                                                          \
        {                                                                                          \
            InterlockedIncrement(&Torture.Violations);                                             \
            if (!Torture.Kind->Busted)                                                             \
            {                                                                                      \
                KtFail(__FILE__, __LINE__, #Condition, Format, __VA_ARGS__);                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static ULONG VisitorCount(VOID)
{
    ULONG Wanted = 2 * KtProcessors() + 3;

    return Wanted < MAXIMUM_VISITORS ? Wanted : MAXIMUM_VISITORS;
}

/* ------------------------------------------------------------------ One visit. */

static VOID Dawdle(PVISITOR Visitor)
{
    ULONG64 Chance = KtRandom(&Visitor->Random) % 16;

    if (Chance == 0 && Torture.Kind->Irql < DISPATCH_LEVEL)
    {
        KiYieldThread();
    }
    else if (Chance == 1)
    {
        KeStallExecutionProcessor(5);
    }
}

static VOID VisitAlone(PVISITOR Visitor)
{
    ULONG64 Value = Torture.Parts[0];
    LONG Owners = InterlockedIncrement(&Torture.Owners);

    TORTURE_CHECK(Owners == 1 && Torture.Sharers == 0, "%d owners, %d sharers", Owners,
                  Torture.Sharers);
    for (ULONG Part = 0; Part < PARTS; Part++)
    {
        TORTURE_CHECK(Torture.Parts[Part] == Value, "part %u is %llu, not %llu", Part,
                      Torture.Parts[Part], Value);
    }
    for (ULONG Part = 0; Part < PARTS; Part++)
    {
        Torture.Parts[Part] = Value + 1;
        Dawdle(Visitor);
    }
    InterlockedDecrement(&Torture.Owners);
    Visitor->Alone++;
}

static VOID VisitShared(PVISITOR Visitor)
{
    LONG Sharers = InterlockedIncrement(&Torture.Sharers);
    ULONG64 Value = Torture.Parts[0];

    TORTURE_CHECK(Torture.Owners == 0, "%d owners, %d sharers", Torture.Owners, Sharers);
    for (ULONG Part = 0; Part < PARTS; Part++)
    {
        TORTURE_CHECK(Torture.Parts[Part] == Value, "part %u is %llu, not %llu", Part,
                      Torture.Parts[Part], Value);
        Dawdle(Visitor);
    }
    if (Sharers > Torture.MostSharers)
    {
        Torture.MostSharers = Sharers;
    }
    InterlockedDecrement(&Torture.Sharers);
    Visitor->Shared++;
}

static VOID Visit(PVISITOR Visitor)
{
    const KIND *Kind = Torture.Kind;
    BOOLEAN Exclusive = !Kind->Shares || KtRandom(&Visitor->Random) % 3 == 0;

    Kind->Acquire(Visitor, Exclusive);
    TORTURE_CHECK(KeGetCurrentIrql() == Kind->Irql, "IRQL %u inside", KeGetCurrentIrql());
    if (Exclusive)
    {
        VisitAlone(Visitor);
    }
    else
    {
        VisitShared(Visitor);
    }
    Kind->Release(Visitor, Exclusive);
    TORTURE_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u outside", KeGetCurrentIrql());
}

static BOOLEAN HasEnough(PVISITOR Visitor)
{
    return KtNow() >= Torture.End && Visitor->Alone + Visitor->Shared >= MINIMUM_VISITS;
}

static VOID VisitorMain(PVOID Context)
{
    PVISITOR Visitor = Context;

    KeWaitForSingleObject(&Torture.Start, Executive, KernelMode, FALSE, NULL);
    while (!HasEnough(Visitor) && ReadAcquire(&Torture.Violations) == 0)
    {
        Visit(Visitor);
    }
}

/* ------------------------------------------------------------------ The run. */

static VOID CheckCounts(VOID)
{
    ULONG64 Alone = 0, Shared = 0, Least = ~0ull, Most = 0;

    for (ULONG Index = 0; Index < VisitorCount(); Index++)
    {
        PVISITOR Visitor = &Torture.Visitors[Index];
        ULONG64 Visits = Visitor->Alone + Visitor->Shared;

        Alone += Visitor->Alone;
        Shared += Visitor->Shared;
        Least = Visits < Least ? Visits : Least;
        Most = Visits > Most ? Visits : Most;
    }
    KT_CHECK(Alone == Torture.Parts[0], "%llu visits outside, %llu inside", Alone,
             Torture.Parts[0]);
    KtNote("%s: %llu owners, %llu sharers, up to %d at once; one thread %llu to %llu",
           Torture.Kind->Name, Alone, Shared, Torture.MostSharers, Least, Most);
}

static ULONG Run(const KIND *Kind)
{
    RtlZeroMemory(&Torture, sizeof(Torture));
    Torture.Kind = Kind;
    Kind->Initialize();
    KeInitializeEvent(&Torture.Start, NotificationEvent, FALSE);
    for (ULONG Index = 0; Index < VisitorCount(); Index++)
    {
        PVISITOR Visitor = &Torture.Visitors[Index];

        KtSeed(&Visitor->Random, Index);
        KtCreateThread(&Visitor->Thread, VisitorMain, Visitor, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    }
    Torture.End = KtNow() + (Kind->Busted ? CATCH_LIMIT : KtBudget());
    KeSetEvent(&Torture.Start, IO_NO_INCREMENT, FALSE);
    for (ULONG Index = 0; Index < VisitorCount(); Index++)
    {
        KtJoinThread(&Torture.Visitors[Index].Thread);
    }
    if (Torture.Violations == 0)
    {
        CheckCounts();
    }
    return (ULONG)Torture.Violations;
}

/* ------------------------------------------------------------------ The kinds. */

static VOID InitializeNothing(VOID)
{
}

static VOID InitializeMutexes(VOID)
{
    ExInitializeFastMutex(&Torture.Mutex);
}

static VOID AcquireFast(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Exclusive);
    if (KtRandom(&Visitor->Random) % 4 != 0 || !ExTryToAcquireFastMutex(&Torture.Mutex))
    {
        ExAcquireFastMutex(&Torture.Mutex);
    }
}

static VOID ReleaseFast(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    UNREFERENCED_PARAMETER(Exclusive);
    ExReleaseFastMutex(&Torture.Mutex);
}

static VOID AcquireFastUnsafe(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    UNREFERENCED_PARAMETER(Exclusive);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Torture.Mutex);
}

static VOID ReleaseFastUnsafe(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    UNREFERENCED_PARAMETER(Exclusive);
    ExReleaseFastMutexUnsafe(&Torture.Mutex);
    KeLeaveCriticalRegion();
}

static VOID AcquireGuarded(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Exclusive);
    if (KtRandom(&Visitor->Random) % 4 != 0 || !KeTryToAcquireGuardedMutex(&Torture.Mutex))
    {
        KeAcquireGuardedMutex(&Torture.Mutex);
    }
}

static VOID ReleaseGuarded(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    UNREFERENCED_PARAMETER(Exclusive);
    KeReleaseGuardedMutex(&Torture.Mutex);
}

static VOID InitializeResource(VOID)
{
    ExInitializeResourceLite(&Torture.Resource);
}

/* As a sharer, by any of the three; some come in as owners and convert. */
static VOID ShareResource(PVISITOR Visitor)
{
    switch (KtRandom(&Visitor->Random) % 8)
    {
    case 0:
        ExAcquireSharedStarveExclusive(&Torture.Resource, TRUE);
        return;
    case 1:
        ExAcquireSharedWaitForExclusive(&Torture.Resource, TRUE);
        return;
    case 2:
        ExAcquireResourceExclusiveLite(&Torture.Resource, TRUE);
        ExConvertExclusiveToSharedLite(&Torture.Resource);
        return;
    case 3:
        if (ExAcquireResourceSharedLite(&Torture.Resource, FALSE))
        {
            return;
        }
        break;
    default:
        break;
    }
    ExAcquireResourceSharedLite(&Torture.Resource, TRUE);
}

static VOID AcquireResource(PVISITOR Visitor, BOOLEAN Exclusive)
{
    KeEnterCriticalRegion();
    if (Exclusive)
    {
        ExAcquireResourceExclusiveLite(&Torture.Resource, TRUE);
    }
    else
    {
        ShareResource(Visitor);
    }
    ExAcquireResourceSharedLite(&Torture.Resource, TRUE); /* again */
}

static VOID ReleaseResource(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    TORTURE_CHECK(ExIsResourceAcquiredExclusiveLite(&Torture.Resource) == Exclusive, "it is %u",
                  Torture.Resource.OwnedExclusive);
    ExReleaseResourceLite(&Torture.Resource);
    ExReleaseResourceLite(&Torture.Resource);
    KeLeaveCriticalRegion();
}

static VOID AcquirePush(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    KeEnterCriticalRegion();
    if (Exclusive)
    {
        ExAcquirePushLockExclusive(&Torture.PushLock);
    }
    else
    {
        ExAcquirePushLockShared(&Torture.PushLock);
    }
}

static VOID ReleasePush(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    if (Exclusive)
    {
        ExReleasePushLockExclusive(&Torture.PushLock);
    }
    else
    {
        ExReleasePushLockShared(&Torture.PushLock);
    }
    KeLeaveCriticalRegion();
}

/* An owner may come in as a sharer who converts. */
static VOID AcquireRw(PVISITOR Visitor, BOOLEAN Exclusive)
{
    while (Exclusive && KtRandom(&Visitor->Random) % 4 == 0)
    {
        Visitor->OldIrql = ExAcquireSpinLockShared(&Torture.SpinLock);
        if (ExTryConvertSharedSpinLockExclusive(&Torture.SpinLock))
        {
            return;
        }
        ExReleaseSpinLockShared(&Torture.SpinLock, Visitor->OldIrql);
    }
    Visitor->OldIrql = Exclusive ? ExAcquireSpinLockExclusive(&Torture.SpinLock)
                                 : ExAcquireSpinLockShared(&Torture.SpinLock);
}

static VOID ReleaseRw(PVISITOR Visitor, BOOLEAN Exclusive)
{
    if (Exclusive)
    {
        ExReleaseSpinLockExclusive(&Torture.SpinLock, Visitor->OldIrql);
    }
    else
    {
        ExReleaseSpinLockShared(&Torture.SpinLock, Visitor->OldIrql);
    }
}

static VOID Nothing(PVISITOR Visitor, BOOLEAN Exclusive)
{
    UNREFERENCED_PARAMETER(Visitor);
    UNREFERENCED_PARAMETER(Exclusive);
}

static VOID TortureFast(VOID)
{
    static const KIND Kind = {
        "fast mutex", InitializeMutexes, AcquireFast, ReleaseFast, APC_LEVEL, FALSE, FALSE};

    Run(&Kind);
    KT_CHECK(Torture.Mutex.Count == 1, "count %d", Torture.Mutex.Count);
}

static VOID TortureFastUnsafe(VOID)
{
    static const KIND Kind = {"fast mutex, unsafe",
                              InitializeMutexes,
                              AcquireFastUnsafe,
                              ReleaseFastUnsafe,
                              PASSIVE_LEVEL,
                              FALSE,
                              FALSE};

    Run(&Kind);
    KT_CHECK(Torture.Mutex.Count == 1, "count %d", Torture.Mutex.Count);
}

static VOID TortureGuarded(VOID)
{
    static const KIND Kind = {"guarded mutex",
                              InitializeMutexes,
                              AcquireGuarded,
                              ReleaseGuarded,
                              PASSIVE_LEVEL,
                              FALSE,
                              FALSE};

    Run(&Kind);
    KT_CHECK(Torture.Mutex.Count == 1, "count %d", Torture.Mutex.Count);
}

static VOID TortureResource(VOID)
{
    static const KIND Kind = {
        "resource", InitializeResource, AcquireResource, ReleaseResource, PASSIVE_LEVEL, TRUE,
        FALSE};

    Run(&Kind);
    KT_CHECK(Torture.Resource.ActiveEntries == 0, "%u owners", Torture.Resource.ActiveEntries);
    ExDeleteResourceLite(&Torture.Resource);
}

static VOID TorturePush(VOID)
{
    static const KIND Kind = {
        "push lock", InitializeNothing, AcquirePush, ReleasePush, PASSIVE_LEVEL, TRUE, FALSE};

    Run(&Kind);
    KT_CHECK(Torture.PushLock == 0, "word %llx", Torture.PushLock);
}

static VOID TortureRw(VOID)
{
    static const KIND Kind = {"reader/writer spin lock",
                              InitializeNothing,
                              AcquireRw,
                              ReleaseRw,
                              DISPATCH_LEVEL,
                              TRUE,
                              FALSE};

    Run(&Kind);
}

static VOID TortureCatchesBusted(VOID)
{
    static const KIND Kind = {"no lock", InitializeNothing, Nothing, Nothing, PASSIVE_LEVEL, TRUE,
                              TRUE};
    ULONG Violations = Run(&Kind);

    KT_CHECK(Violations != 0, "%u violations of no lock at all", Violations);
}

/* ----------------------------------------------------------------- Run-down under fire: users come
 * and go while an object is made and unmade. */

#define GENERATIONS 20

static struct
{
    EX_RUNDOWN_REF Ref;
    volatile LONG Alive; /* the object's: the test, between its lives                  */
    volatile LONG Users; /* inside, locked                                            */
    volatile LONG Stop;
    volatile LONG Uses;
    volatile LONG Refusals;
} Object;

static VOID UseObject(PVOID Context)
{
    PVISITOR Visitor = Context;

    while (!ReadAcquire(&Object.Stop))
    {
        if (!ExAcquireRundownProtection(&Object.Ref))
        {
            InterlockedIncrement(&Object.Refusals);
            KiYieldThread();
            continue;
        }
        InterlockedIncrement(&Object.Users);
        KT_CHECK(ReadAcquire(&Object.Alive), "protected, but gone: %llx", Object.Ref.Count);
        if (KtRandom(&Visitor->Random) % 4 == 0)
        {
            KiYieldThread();
        }
        KT_CHECK(ReadAcquire(&Object.Alive), "gone under protection: %llx", Object.Ref.Count);
        InterlockedIncrement(&Object.Uses);
        InterlockedDecrement(&Object.Users);
        ExReleaseRundownProtection(&Object.Ref);
    }
}

static VOID LiveAndDie(ULONG Generation)
{
    LONG Uses = Object.Uses;

    WriteRelease(&Object.Alive, TRUE);
    if (Generation == 0)
    {
        ExInitializeRundownProtection(&Object.Ref);
    }
    else
    {
        ExReInitializeRundownProtection(&Object.Ref);
    }
    UNTIL(ReadAcquire(&Object.Uses) >= Uses + 10);
    ExWaitForRundownProtectionRelease(&Object.Ref);
    KT_CHECK(Object.Users == 0, "%d users of what is gone", Object.Users);
    WriteRelease(&Object.Alive, FALSE);
    Uses = Object.Refusals;
    UNTIL(ReadAcquire(&Object.Refusals) > Uses);
}

static VOID RundownUnderFire(VOID)
{
    ULONG Count = KtProcessors() + 2 < MAXIMUM_VISITORS ? KtProcessors() + 2 : MAXIMUM_VISITORS;

    RtlZeroMemory(&Object, sizeof(Object));
    ExInitializeRundownProtection(&Object.Ref);
    ExRundownCompleted(&Object.Ref);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        KtSeed(&Torture.Visitors[Index].Random, Index);
        KtCreateThread(&Torture.Visitors[Index].Thread, UseObject, &Torture.Visitors[Index],
                       KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    }
    for (ULONG Generation = 0; Generation < GENERATIONS && !KtHasFailed(); Generation++)
    {
        LiveAndDie(Generation);
    }
    WriteRelease(&Object.Stop, TRUE);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        KtJoinThread(&Torture.Visitors[Index].Thread);
    }
    KtNote("run-down: %d uses, %d refusals", Object.Uses, Object.Refusals);
}

static const KT_CASE Cases[] = {
    {"exlocks-torture-catches-busted", TortureCatchesBusted, 0, FALSE},
    {"fastmutex-L9-L15-L17-torture", TortureFast, 0, FALSE},
    {"fastmutex-L9-torture-unsafe", TortureFastUnsafe, 0, FALSE},
    {"guardedmutex-L9-L15-L17-torture", TortureGuarded, 0, FALSE},
    {"resource-L9-L15-L17-torture", TortureResource, 0, FALSE},
    {"pushlock-L9-L15-L17-torture", TorturePush, 0, FALSE},
    {"rwspin-L9-L15-L16-torture", TortureRw, 0, FALSE},
    {"rundown-L87-under-fire", RundownUnderFire, 0, FALSE},
};

KT_DEFINE_SUITE(KtExTortureSuite, "ex", Cases);
