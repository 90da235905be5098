/* SPDX-License-Identifier: MIT */
/*
 * exlists.c - interlocked and sequenced lists: what each call returns, and that many who push and
 * pop at once lose no entry and get none twice. Laws L81, L82.
 */
#include <arch/hal.h>
#include <twin.h>

#include "exlocks.h"

#define ENTRIES 24
#define HELD_AT_ONCE 4
#define CATCH_LIMIT KT_SECONDS(30)

/* ------------------------------------------------------------------ Alone. */

static VOID ListReturns(VOID)
{
    LIST_ENTRY Head, A, B, C;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    InitializeListHead(&Head);
    for (KIRQL Level = PASSIVE_LEVEL; Level <= HIGH_LEVEL; Level++)
    {
        KIRQL OldIrql;

        KeRaiseIrql(Level, &OldIrql);
        KT_CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == NULL, "IRQL %u", Level);
        KT_CHECK(ExInterlockedInsertHeadList(&Head, &B, &Lock) == NULL, "IRQL %u", Level);
        KT_CHECK(ExInterlockedInsertTailList(&Head, &C, &Lock) == &B, "IRQL %u", Level);
        KT_CHECK(ExInterlockedInsertHeadList(&Head, &A, &Lock) == &B, "IRQL %u", Level);
        KT_CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &A, "IRQL %u", Level);
        KT_CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &B, "IRQL %u", Level);
        KT_CHECK(ExInterlockedInsertTailList(&Head, &B, &Lock) == &C, "IRQL %u", Level);
        KT_CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &C, "IRQL %u", Level);
        KT_CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &B, "IRQL %u", Level);
        KT_CHECK(ExInterlockedInsertTailList(&Head, &A, &Lock) == NULL, "IRQL %u", Level);
        KT_CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &A, "IRQL %u", Level);
        CHECK_IRQL(Level);
        KeLowerIrql(OldIrql);
    }
    KT_CHECK(IsListEmpty(&Head), "%p", Head.Flink);
}

static VOID SingleListReturns(VOID)
{
    SINGLE_LIST_ENTRY Head = {NULL}, A, B;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    KT_CHECK(ExInterlockedPopEntryList(&Head, &Lock) == NULL, "%p", Head.Next);
    KT_CHECK(ExInterlockedPushEntryList(&Head, &A, &Lock) == NULL, "%p", Head.Next);
    KT_CHECK(ExInterlockedPushEntryList(&Head, &B, &Lock) == &A, "%p", Head.Next);
    KT_CHECK(ExInterlockedPopEntryList(&Head, &Lock) == &B, "%p", Head.Next);
    KT_CHECK(ExInterlockedPopEntryList(&Head, &Lock) == &A, "%p", Head.Next);
    KT_CHECK(ExInterlockedPopEntryList(&Head, &Lock) == NULL, "%p", Head.Next);
}

static VOID SequencedListReturns(VOID)
{
    SLIST_ENTRY Entries[5];
    SLIST_HEADER Head;
    PSLIST_ENTRY Entry;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    ExInitializeSListHead(&Head);
    KT_CHECK(ExInterlockedPopEntrySList(&Head, &Lock) == NULL, "%llx", Head.Region);
    KT_CHECK(ExInterlockedFlushSList(&Head) == NULL, "%llx", Head.Region);
    for (USHORT Index = 0; Index < RTL_NUMBER_OF(Entries); Index++)
    {
        Entry = ExInterlockedPushEntrySList(&Head, &Entries[Index], &Lock);
        KT_CHECK(Entry == (Index == 0 ? NULL : &Entries[Index - 1]), "%u: %p", Index, Entry);
        KT_CHECK(ExQueryDepthSList(&Head) == Index + 1, "%u", ExQueryDepthSList(&Head));
    }
    KT_CHECK(InterlockedPopEntrySList(&Head) == &Entries[4], "%llx", Head.Region);
    KT_CHECK(InterlockedPushEntrySList(&Head, &Entries[4]) == &Entries[3], "%llx", Head.Region);
    KT_CHECK(InterlockedPopEntrySList(&Head) == &Entries[4], "%llx", Head.Region);
    KT_CHECK(ExQueryDepthSList(&Head) == 4, "%u", ExQueryDepthSList(&Head));
    Entry = InterlockedFlushSList(&Head);
    for (ULONG Left = 4; Left > 0; Left--)
    {
        KT_CHECK(Entry == &Entries[Left - 1], "%u: %p", Left, Entry);
        Entry = Entry->Next;
    }
    KT_CHECK(Entry == NULL && ExQueryDepthSList(&Head) == 0, "%p, %u", Entry,
             ExQueryDepthSList(&Head));
}

static VOID InitializeMisaligned(PVOID Head)
{
    InitializeSListHead(Head);
}

static VOID MisalignedHeadStops(VOID)
{
    SLIST_HEADER Heads[2];

    KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, 0x80000002, InitializeMisaligned,
                     (PUCHAR)Heads + 8);
}

/* ------------------------------------------------------------------ Together. Whoever has an entry
 * has its Taken; an entry that two have, or that is lost, shows. */

typedef struct _ITEM
{
    SLIST_ENTRY Sequenced;
    LIST_ENTRY Double;
    volatile LONG Taken; /* by exchange */
} ITEM, *PITEM;

static struct
{
    BOOLEAN IsSequenced;
    KSPIN_LOCK Lock;
    LIST_ENTRY Head;
    SLIST_HEADER SequencedHead;
    ULONG64 End;
    volatile LONG64 Pops;
    ITEM Items[ENTRIES];
} Lists;

static VOID Put(PITEM Item, BOOLEAN AtTail)
{
    LONG Taken = InterlockedExchange(&Item->Taken, FALSE);

    KT_CHECK(Taken, "item %u put back twice", (ULONG)(Item - Lists.Items));
    if (Lists.IsSequenced)
    {
        InterlockedPushEntrySList(&Lists.SequencedHead, &Item->Sequenced);
    }
    else if (AtTail)
    {
        ExInterlockedInsertTailList(&Lists.Head, &Item->Double, &Lists.Lock);
    }
    else
    {
        ExInterlockedInsertHeadList(&Lists.Head, &Item->Double, &Lists.Lock);
    }
}

static PITEM Take(VOID)
{
    PVOID Entry = Lists.IsSequenced ? (PVOID)InterlockedPopEntrySList(&Lists.SequencedHead)
                                    : (PVOID)ExInterlockedRemoveHeadList(&Lists.Head, &Lists.Lock);
    PITEM Item;

    if (Entry == NULL)
    {
        return NULL;
    }
    Item = Lists.IsSequenced ? CONTAINING_RECORD(Entry, ITEM, Sequenced)
                             : CONTAINING_RECORD(Entry, ITEM, Double);
    KT_CHECK(!InterlockedExchange(&Item->Taken, TRUE), "item %u taken twice",
             (ULONG)(Item - Lists.Items));
    InterlockedIncrement64(&Lists.Pops);
    return Item;
}

/* Takes some, and puts them back in another order. */
static VOID Churn(PVOID Context, ULONG Processor)
{
    PITEM Mine[HELD_AT_ONCE];
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    while (KtNow() < Lists.End && !KtHasFailed())
    {
        ULONG Wanted = 1 + (ULONG)(KtRandom(&Random) % HELD_AT_ONCE);
        ULONG First, Count = 0;

        while (Count < Wanted && (Mine[Count] = Take()) != NULL)
        {
            Count++;
        }
        First = Count != 0 ? (ULONG)(KtRandom(&Random) % Count) : 0;
        for (ULONG Index = 0; Index < Count && !KtHasFailed(); Index++)
        {
            Put(Mine[(First + Index) % Count], Random.State % 2 != 0);
        }
    }
}

static VOID ChurnTogether(BOOLEAN IsSequenced)
{
    ULONG Left = 0;

    RtlZeroMemory(&Lists, sizeof(Lists));
    Lists.IsSequenced = IsSequenced;
    KeInitializeSpinLock(&Lists.Lock);
    InitializeListHead(&Lists.Head);
    InitializeSListHead(&Lists.SequencedHead);
    for (ULONG Index = 0; Index < ENTRIES; Index++)
    {
        Lists.Items[Index].Taken = TRUE;
        Put(&Lists.Items[Index], TRUE);
    }
    Lists.End = KtNow() + (KI_TWIN(KiTwinSlistNoSequence) ? CATCH_LIMIT : KtBudget());
    KtParallel(Churn, NULL);
    while (!KtHasFailed() && Left <= ENTRIES && Take() != NULL)
    {
        Left++;
    }
    KT_CHECK(KtHasFailed() || Left == ENTRIES, "%u of %u left", Left, ENTRIES);
    KT_CHECK(KtHasFailed() || ExQueryDepthSList(&Lists.SequencedHead) == 0, "depth %u",
             ExQueryDepthSList(&Lists.SequencedHead));
    KtNote("%s list: %lld pops", IsSequenced ? "sequenced" : "interlocked", Lists.Pops);
}

static VOID InterlockedListConserves(VOID)
{
    ChurnTogether(FALSE);
}

static VOID SequencedListConserves(VOID)
{
    ChurnTogether(TRUE);
}

static const KT_CASE Cases[] = {
    {"list-L82-returns", ListReturns, 0, FALSE},
    {"list-L82-single-returns", SingleListReturns, 0, FALSE},
    {"list-L82-conserves", InterlockedListConserves, 0, FALSE},
    {"slist-L81-returns", SequencedListReturns, 0, FALSE},
    {"slist-misaligned-stops", MisalignedHeadStops, 0, TRUE},
    {"slist-L81-conserves", SequencedListConserves, 0, FALSE},
};

KT_DEFINE_SUITE(KtExListSuite, "ex", Cases);
