/* SPDX-License-Identifier: MIT */
/* exshared.c - resources and push locks, step by step: who goes in, who waits, who comes next. */
#include "exlocks.h"

/* ------------------------------------------------------------------ Resources. */

static ERESOURCE Resource;

static VOID Share(PACTOR Actor)
{
    Actor->Result = ExAcquireResourceSharedLite(&Resource, TRUE);
}

static VOID Own(PACTOR Actor)
{
    Actor->Result = ExAcquireResourceExclusiveLite(&Resource, TRUE);
}

static VOID TryToShare(PACTOR Actor)
{
    Actor->Result = ExAcquireResourceSharedLite(&Resource, FALSE);
}

static VOID TryToOwn(PACTOR Actor)
{
    Actor->Result = ExAcquireResourceExclusiveLite(&Resource, FALSE);
}

static VOID TryToShareStarving(PACTOR Actor)
{
    Actor->Result = ExAcquireSharedStarveExclusive(&Resource, FALSE);
}

static VOID TryToShareWaiting(PACTOR Actor)
{
    Actor->Result = ExAcquireSharedWaitForExclusive(&Resource, FALSE);
}

static VOID ShareWaiting(PACTOR Actor)
{
    Actor->Result = ExAcquireSharedWaitForExclusive(&Resource, TRUE);
}

static VOID Leave(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExReleaseResourceLite(&Resource);
}

static VOID Convert(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExConvertExclusiveToSharedLite(&Resource);
}

static VOID AskExclusive(PACTOR Actor)
{
    Actor->Result = ExIsResourceAcquiredExclusiveLite(&Resource);
}

static VOID AskCount(PACTOR Actor)
{
    Actor->Result = (BOOLEAN)ExIsResourceAcquiredSharedLite(&Resource);
}

static BOOLEAN Ask(ULONG Number, VOID (*Step)(PACTOR Actor))
{
    Do(Number, Step);
    return Actors[Number].Result;
}

static VOID LeaveAltogether(ULONG Number)
{
    while (Ask(Number, AskCount) != 0)
    {
        Do(Number, Leave);
    }
}

static VOID SetStage(ULONG Count)
{
    ExInitializeResourceLite(&Resource);
    HireActors(Count, NULL);
}

static VOID ClearStage(ULONG Count)
{
    DismissActors(Count);
    KT_CHECK(Resource.ActiveEntries == 0, "%u owners left", Resource.ActiveEntries);
    KT_CHECK(ExGetSharedWaiterCount(&Resource) + ExGetExclusiveWaiterCount(&Resource) == 0,
             "%u and %u wait", ExGetSharedWaiterCount(&Resource),
             ExGetExclusiveWaiterCount(&Resource));
    ExDeleteResourceLite(&Resource);
}

/* By one thread: recursion of both kinds, mixed; questions; the upgrade that is refused. */
static VOID ResourceRecursion(VOID)
{
    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    for (ULONG Depth = 1; Depth <= 5; Depth++)
    {
        KT_CHECK(Depth % 2 != 0 ? ExAcquireResourceExclusiveLite(&Resource, TRUE)
                                : ExAcquireResourceSharedLite(&Resource, TRUE),
                 "depth %u", Depth);
        KT_CHECK(ExIsResourceAcquiredSharedLite(&Resource) == Depth, "%u, not %u",
                 ExIsResourceAcquiredSharedLite(&Resource), Depth);
        KT_CHECK(ExIsResourceAcquiredExclusiveLite(&Resource), "depth %u", Depth);
    }
    KT_CHECK(ExAcquireSharedStarveExclusive(&Resource, FALSE), "%u", Resource.ActiveEntries);
    KT_CHECK(ExAcquireSharedWaitForExclusive(&Resource, FALSE), "%u", Resource.ActiveEntries);
    for (ULONG Depth = 7; Depth > 0; Depth--)
    {
        KT_CHECK(ExIsResourceAcquiredExclusiveLite(&Resource), "depth %u", Depth);
        ExReleaseResourceLite(&Resource);
    }
    KT_CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource), "%u", Resource.ActiveEntries);

    KT_CHECK(ExAcquireResourceSharedLite(&Resource, FALSE), "%u", Resource.ActiveEntries);
    KT_CHECK(ExAcquireResourceSharedLite(&Resource, TRUE), "%u", Resource.ActiveEntries);
    KT_CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource), "%u", Resource.ActiveEntries);
    KT_CHECK(!ExAcquireResourceExclusiveLite(&Resource, FALSE), "a sharer was let in alone");
    KT_CHECK(ExIsResourceAcquiredSharedLite(&Resource) == 2, "%u",
             ExIsResourceAcquiredSharedLite(&Resource));
    ExReleaseResourceForThreadLite(&Resource, ExGetCurrentResourceThread());
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();

    ExEnterCriticalRegionAndAcquireResourceExclusive(&Resource);
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    ExEnterCriticalRegionAndAcquireResourceShared(&Resource);
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(&Resource);
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    KT_CHECK(Resource.ActiveEntries == 0, "%u", Resource.ActiveEntries);
    KT_CHECK(NT_SUCCESS(ExReinitializeResourceLite(&Resource)), "%u", Resource.ActiveEntries);
    KT_CHECK(NT_SUCCESS(ExDeleteResourceLite(&Resource)), "%u", Resource.ActiveEntries);
}

/* What each kind of request gets from another thread, without waiting. */
static VOID ResourceExclusion(VOID)
{
    SetStage(2);
    KT_CHECK(Ask(0, TryToOwn), "a free resource");
    KT_CHECK(Ask(0, AskExclusive), "not its owner");
    KT_CHECK(!Ask(1, AskExclusive) && Ask(1, AskCount) == 0, "an owner who is not");
    KT_CHECK(!Ask(1, TryToOwn), "two owners");
    KT_CHECK(!Ask(1, TryToShare), "an owner and a sharer");
    KT_CHECK(!Ask(1, TryToShareStarving), "an owner and a sharer");
    KT_CHECK(!Ask(1, TryToShareWaiting), "an owner and a sharer");
    Do(0, Leave);
    KT_CHECK(Ask(0, TryToShare), "a free resource");
    KT_CHECK(!Ask(1, TryToOwn), "a sharer and an owner");
    KT_CHECK(Ask(1, TryToShare) && Ask(1, TryToShareStarving) && Ask(1, TryToShareWaiting),
             "sharers exclude one another");
    KT_CHECK(Ask(1, AskCount) == 3, "%u", Actors[1].Result);
    for (ULONG Count = 3; Count > 0; Count--)
    {
        ExReleaseResourceForThreadLite(&Resource, (ERESOURCE_THREAD)&Actors[1].Thread.Thread);
    }
    KT_CHECK(Ask(1, AskCount) == 0, "%u", Actors[1].Result);
    Do(0, Leave);
    ClearStage(2);
}

/* While somebody shares and somebody waits for exclusive access. */
static VOID ResourceStarvation(VOID)
{
    SetStage(4);
    Do(0, Share);
    Begin(1, Own);
    UNTIL(ExGetExclusiveWaiterCount(&Resource) == 1);
    KT_CHECK(!Ask(2, TryToShare), "it overtook who waits for exclusive access");
    KT_CHECK(!Ask(2, TryToShareWaiting), "it overtook who waits for exclusive access");
    KT_CHECK(Ask(2, TryToShareStarving), "it did not overtake");
    KT_CHECK(Ask(0, TryToShare), "a sharer again");
    KT_CHECK(!Ask(0, TryToShareWaiting), "it did not wait for who waits");
    KT_CHECK(!Ask(3, TryToOwn), "a sharer and an owner");
    if (KtHasFailed()) /* the story cannot go on */
    {
        LeaveAltogether(0);
        LeaveAltogether(2);
        Finish(1);
        LeaveAltogether(1);
        ClearStage(4);
        return;
    }
    Begin(3, ShareWaiting);
    UNTIL(ExGetSharedWaiterCount(&Resource) == 1);
    Do(0, Leave);
    Do(2, Leave);
    KT_CHECK(!IsFinished(1) && !IsFinished(3), "a sharer is still there");
    Do(0, Leave);
    Finish(1);
    KT_CHECK(Ask(1, AskExclusive), "%u", Resource.ActiveEntries);
    KT_CHECK(!IsFinished(3), "an owner and a sharer");
    Do(1, Leave);
    Finish(3);
    KT_CHECK(Actors[3].Result, "it waited and was told FALSE");
    Do(3, Leave);
    ClearStage(4);
}

/* The two kinds take turns: after an owner all sharers, after the sharers one owner. */
static VOID ResourceTurns(VOID)
{
    SetStage(6);
    Do(0, Own);
    Begin(1, Own);
    UNTIL(ExGetExclusiveWaiterCount(&Resource) == 1);
    Begin(2, Own);
    UNTIL(ExGetExclusiveWaiterCount(&Resource) == 2);
    Begin(3, Share);
    Begin(4, Share);
    Begin(5, Share);
    UNTIL(ExGetSharedWaiterCount(&Resource) == 3);
    Do(0, Leave);
    Finish(3);
    Finish(4);
    Finish(5);
    KT_CHECK(Resource.ActiveEntries == 3 && !IsFinished(1), "%u inside", Resource.ActiveEntries);
    Do(3, Leave);
    Do(4, Leave);
    Begin(4, Share);
    UNTIL(ExGetSharedWaiterCount(&Resource) == 1);
    Do(5, Leave);
    Finish(1);
    KT_CHECK(Resource.OwnedExclusive && !IsFinished(2) && !IsFinished(4), "%u inside",
             Resource.ActiveEntries);
    Do(1, Leave);
    Finish(4);
    KT_CHECK(!Resource.OwnedExclusive && !IsFinished(2), "%u inside", Resource.ActiveEntries);
    Do(4, Leave);
    Finish(2);
    Do(2, Leave);
    ClearStage(6);
}

static VOID ResourceConversion(VOID)
{
    SetStage(4);
    Do(0, Own);
    Do(0, Own);
    Begin(1, Share);
    Begin(2, Share);
    UNTIL(ExGetSharedWaiterCount(&Resource) == 2);
    Begin(3, Own);
    UNTIL(ExGetExclusiveWaiterCount(&Resource) == 1);
    Do(0, Convert);
    Finish(1);
    Finish(2);
    KT_CHECK(!Ask(0, AskExclusive) && Ask(0, AskCount) == 2, "%u", Actors[0].Result);
    KT_CHECK(!IsFinished(3), "an owner and sharers");
    Do(1, Leave);
    Do(2, Leave);
    Do(0, Leave);
    KT_CHECK(!IsFinished(3), "an owner and a sharer");
    Do(0, Leave);
    Finish(3);
    Do(3, Leave);
    ClearStage(4);
}

/* More sharers than the resource has room for, at once and after an owner. */
static VOID ResourceTable(VOID)
{
    SetStage(MAXIMUM_ACTORS);
    for (ULONG Round = 0; Round < 2; Round++)
    {
        ULONG First = Round; /* the owner whom the others wait for, in the second round */

        if (Round != 0)
        {
            Do(0, Own);
        }
        for (ULONG Number = First; Number < MAXIMUM_ACTORS; Number++)
        {
            Begin(Number, Share);
        }
        if (Round != 0)
        {
            UNTIL(ExGetSharedWaiterCount(&Resource) == MAXIMUM_ACTORS - 1);
            KT_CHECK(Resource.ActiveEntries == 1, "%u owners", Resource.ActiveEntries);
            Do(0, Leave);
        }
        for (ULONG Number = First; Number < MAXIMUM_ACTORS; Number++)
        {
            Finish(Number);
        }
        KT_CHECK(Resource.ActiveEntries == MAXIMUM_ACTORS - First, "%u owners",
                 Resource.ActiveEntries);
        for (ULONG Number = First; Number < MAXIMUM_ACTORS; Number++)
        {
            KT_CHECK(Ask(Number, AskCount) == 1, "actor %u: %u", Number, Actors[Number].Result);
            Do(Number, Leave);
        }
    }
    KT_CHECK(Resource.OwnerTable != Resource.FirstOwners, "size %u", Resource.TableSize);
    ClearStage(MAXIMUM_ACTORS);
}

static VOID CallOwn(PVOID Lock)
{
    ExAcquireResourceExclusiveLite(Lock, TRUE);
}

static VOID CallShare(PVOID Lock)
{
    ExAcquireResourceSharedLite(Lock, TRUE);
}

static VOID CallLeave(PVOID Lock)
{
    ExReleaseResourceLite(Lock);
}

static VOID CallConvert(PVOID Lock)
{
    ExConvertExclusiveToSharedLite(Lock);
}

static VOID CallDelete(PVOID Lock)
{
    ExDeleteResourceLite(Lock);
}

#define VERIFIER(SubCode, Routine)                                                                 \
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, (SubCode), (Routine), &Resource)

static VOID ResourceMistakes(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    SHORT Disable = Thread->KernelApcDisable;
    KIRQL OldIrql;

    ExInitializeResourceLite(&Resource);
    Thread->KernelApcDisable = 0;
    VERIFIER(0x37, CallOwn);
    VERIFIER(0x37, CallShare);
    VERIFIER(0x38, CallLeave);
    Thread->KernelApcDisable = -1;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    VERIFIER(0xE5, CallOwn);
    VERIFIER(0xE5, CallConvert);
    KeLowerIrql(OldIrql);
    KtExpectBugCheck(RESOURCE_NOT_OWNED, (ULONG_PTR)&Resource, CallLeave, &Resource);
    KtExpectBugCheck(RESOURCE_NOT_OWNED, (ULONG_PTR)&Resource, CallConvert, &Resource);
    KT_CHECK(ExAcquireResourceSharedLite(&Resource, FALSE), "%u", Resource.ActiveEntries);
    VERIFIER(0x1000, CallOwn);
    KtExpectBugCheck(RESOURCE_NOT_OWNED, (ULONG_PTR)&Resource, CallConvert, &Resource);
    VERIFIER(KI_ASSERTION_FAILED, CallDelete);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExReleaseResourceLite(&Resource); /* at DISPATCH_LEVEL too */
    KeLowerIrql(OldIrql);
    ExDeleteResourceLite(&Resource);
    Thread->KernelApcDisable = Disable;
}

/* ------------------------------------------------------------------ Push locks. */

static EX_PUSH_LOCK PushLock;

#define PUSH_WAITING 2ull

static VOID PushShare(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExAcquirePushLockShared(&PushLock);
}

static VOID PushOwn(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExAcquirePushLockExclusive(&PushLock);
}

static VOID PushLeaveShared(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExReleasePushLockShared(&PushLock);
}

static VOID PushLeaveOwned(PACTOR Actor)
{
    UNREFERENCED_PARAMETER(Actor);
    ExReleasePushLockExclusive(&PushLock);
}

/* The word changes when somebody pushes himself, and only then while nobody leaves. */
static VOID BeginToWait(ULONG Number, VOID (*Step)(PACTOR Actor))
{
    ULONG_PTR Before = PushLock;

    Begin(Number, Step);
    UNTIL(PushLock != Before);
    KT_CHECK((PushLock & PUSH_WAITING) != 0, "word %llx", PushLock);
}

static VOID PushLockWord(VOID)
{
    KeEnterCriticalRegion();
    ExInitializePushLock(&PushLock);
    ExAcquirePushLockExclusive(&PushLock);
    KT_CHECK(PushLock == 1, "word %llx", PushLock);
    ExReleasePushLockExclusive(&PushLock);
    KT_CHECK(PushLock == 0, "word %llx", PushLock);
    ExAcquirePushLockShared(&PushLock);
    KT_CHECK(PushLock == 0x11, "word %llx", PushLock);
    HireActors(1, NULL);
    Do(0, PushShare); /* readers overlap */
    KT_CHECK(PushLock == 0x21, "word %llx", PushLock);
    ExReleasePushLockShared(&PushLock);
    KT_CHECK(PushLock == 0x11, "word %llx", PushLock);
    Do(0, PushLeaveShared);
    KT_CHECK(PushLock == 0, "word %llx", PushLock);
    DismissActors(1);
    KeLeaveCriticalRegion();
}

/* Owner 0; then wait, in this order: sharers 1 and 2, owner 3, sharer 4, owners 5 and 6. */
static VOID PushLockOrder(VOID)
{
    ExInitializePushLock(&PushLock);
    HireActors(7, NULL);
    Do(0, PushOwn);
    BeginToWait(1, PushShare);
    BeginToWait(2, PushShare);
    BeginToWait(3, PushOwn);
    BeginToWait(4, PushShare);
    BeginToWait(5, PushOwn);
    Do(0, PushLeaveOwned);
    Finish(1);
    Finish(2);
    BeginToWait(6, PushOwn);
    KT_CHECK(!IsFinished(3) && !IsFinished(4), "who comes later is inside: %llx", PushLock);
    Do(2, PushLeaveShared);
    KT_CHECK(!IsFinished(3), "an owner and a sharer: %llx", PushLock);
    Do(1, PushLeaveShared);
    Finish(3);
    KT_CHECK(!IsFinished(4) && !IsFinished(5), "who comes later is inside: %llx", PushLock);
    Do(3, PushLeaveOwned);
    Finish(4);
    KT_CHECK(!IsFinished(5), "an owner and a sharer: %llx", PushLock);
    Do(4, PushLeaveShared);
    Finish(5);
    KT_CHECK(!IsFinished(6), "two owners: %llx", PushLock);
    Do(5, PushLeaveOwned);
    Finish(6);
    KT_CHECK(PushLock == 1, "word %llx", PushLock);
    Do(6, PushLeaveOwned);
    KT_CHECK(PushLock == 0, "word %llx", PushLock);
    DismissActors(7);
}

/* A release that hands over has done so when it returns: the word says who is inside. */
static VOID PushLockLastSharer(VOID)
{
    ExInitializePushLock(&PushLock);
    HireActors(4, NULL);
    Do(0, PushShare);
    Do(1, PushShare);
    Do(2, PushShare);
    BeginToWait(3, PushOwn);
    for (ULONG Number = 0; Number < 2 && !KtHasFailed(); Number++)
    {
        Do(Number, PushLeaveShared);
        KT_CHECK((PushLock & PUSH_WAITING) != 0, "an owner goes in, %u sharers inside: %llx",
                 2 - Number, PushLock);
    }
    if (!KtHasFailed())
    {
        Do(2, PushLeaveShared);
    }
    Finish(3);
    Do(3, PushLeaveOwned);
    KT_CHECK(PushLock == 0, "word %llx", PushLock);
    DismissActors(4);
}

static VOID CallPushOwn(PVOID Lock)
{
    ExAcquirePushLockExclusive((PEX_PUSH_LOCK)Lock);
}

static VOID CallPushLeaveOwned(PVOID Lock)
{
    ExReleasePushLockExclusive((PEX_PUSH_LOCK)Lock);
}

static VOID CallPushLeaveShared(PVOID Lock)
{
    ExReleasePushLockShared((PEX_PUSH_LOCK)Lock);
}

#define PUSH_STOPS(SubCode, Routine)                                                               \
    KtExpectBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, (SubCode), (Routine), (PVOID)&PushLock)

static VOID PushLockMistakes(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    SHORT Disable = Thread->KernelApcDisable;
    KIRQL OldIrql;

    ExInitializePushLock(&PushLock);
    Thread->KernelApcDisable = 0;
    PUSH_STOPS(KI_ASSERTION_FAILED, CallPushOwn);
    Thread->KernelApcDisable = -1;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    PUSH_STOPS(0xE5, CallPushOwn);
    KeLowerIrql(OldIrql);
    PUSH_STOPS(KI_ASSERTION_FAILED, CallPushLeaveOwned);
    PUSH_STOPS(KI_ASSERTION_FAILED, CallPushLeaveShared);
    ExAcquirePushLockExclusive(&PushLock);
    PUSH_STOPS(KI_ASSERTION_FAILED, CallPushLeaveShared);
    ExReleasePushLockExclusive(&PushLock);
    ExAcquirePushLockShared(&PushLock);
    PUSH_STOPS(KI_ASSERTION_FAILED, CallPushLeaveOwned);
    ExReleasePushLockShared(&PushLock);
    KT_CHECK(PushLock == 0, "word %llx", PushLock);
    Thread->KernelApcDisable = Disable;
}

static const KT_CASE Cases[] = {
    {"resource-recursion", ResourceRecursion, 0, FALSE},
    {"resource-L9-exclusion", ResourceExclusion, 0, FALSE},
    {"resource-starvation", ResourceStarvation, 0, FALSE},
    {"resource-L17-turns", ResourceTurns, 0, FALSE},
    {"resource-conversion", ResourceConversion, 0, FALSE},
    {"resource-table-grows", ResourceTable, 0, FALSE},
    {"resource-mistakes-stop", ResourceMistakes, 0, TRUE},
    {"pushlock-word", PushLockWord, 0, FALSE},
    {"pushlock-L17-order", PushLockOrder, 0, FALSE},
    {"pushlock-L9-last-sharer", PushLockLastSharer, 0, FALSE},
    {"pushlock-mistakes-stop", PushLockMistakes, 0, TRUE},
};

KT_DEFINE_SUITE(KtExSharedSuite, "ex", Cases);
