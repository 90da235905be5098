/* SPDX-License-Identifier: MIT */
/*
 * pushlock.c - push locks: shared or exclusive access for the price of one word.
 *
 * PURPOSE
 *   Many sharers or one exclusive owner. While nobody waits, each end is one compare-exchange and
 *   the lock is all there is; whoever has to wait brings the rest on his stack.
 *
 * HOW IT WORKS
 *   The word, by its low bits:
 *       (0)                  free
 *       (HELD)               exclusive, nobody waits
 *       (n, HELD)            n sharers, nobody waits; n > 0
 *       (top, HELD, WAITING) somebody waits; top is the block pushed last, and from there Older
 *                            leads to the one pushed first
 *   A block is (exclusive or shared, Sharers). In the oldest one Sharers is how many sharers are
 *   still inside; 0 if the lock is held exclusively.
 *       acquire exclusive    (0) -> (HELD), or push
 *       acquire shared       (0) -> (1, HELD); (n, HELD) -> (n + 1, HELD); or push
 *       push                 (n, HELD) -> (me, HELD, WAITING), me.Sharers = n, me is the oldest;
 *                            (top, ...) -> (me, ...), me.Older = top. Then wait for my event
 *       release exclusive    (HELD) -> (0), or hand over
 *       release shared       (n, HELD) -> (n - 1, HELD), (1, HELD) -> (0); or oldest.Sharers - 1,
 *                            and who brings it to 0 hands over
 *       hand over            the oldest waiter, or if he shares, he and all sharers next to him up
 *                            to the first who does not, k of them:
 *                              others are left     oldest of them.Sharers = k (0 for exclusive)
 *                              none is left        (top, ...) -> (HELD) or (k, HELD)
 *                            and then their events are set
 *   The lock stays held during a hand-over, so nobody takes it meanwhile; others may only push, and
 *   then the compare-exchange that would lose them fails. Only one thread at a time hands over:
 *   the exclusive owner, or the last sharer. So the list has one editor, and those who are let in
 *   are unlinked before the first of them is woken: a block is somebody's stack.
 *   Nobody overtakes who waits: the lock goes in the order of arrival, neighbouring sharers
 *   together.
 *
 *   Finding the oldest by Older would take a walk over all for each release. A walk leaves Newer
 *   in each block it comes by, and the answer, Oldest, where it began, and ends at the first block
 *   that has an answer. The one nearest to the top is always right: every removal begins with a
 *   walk and corrects the answer where that walk began. Sharers may walk at the same time; they
 *   store the same values.
 *
 * LOCKS AND IRQL
 *   IRQL <= APC_LEVEL, in a critical region: a normal APC that wants the lock of the thread it runs
 *   on would wait for ever. No spin lock, and no loop that another thread's progress does not
 *   explain. Not recursive: a second shared acquisition waits behind an exclusive waiter who waits
 *   for the first.
 *
 * ORDERING
 *   A block is written before the compare-exchange that publishes it, and read after a load of the
 *   word that finds it; whoever is woken has the event's barriers between. Sharers' last reads and
 *   writes of the list come before their locked subtraction, the editor's after the one that gave
 *   0. pairs with: each other, as named.
 *
 * FURTHER READING
 *   Microsoft: "ExInitializePushLock". Model: tests/models/pushlock.pml. docs/exlocks.md.
 */
#include <ex.h>
#include <ki.h>
#include <twin.h>

#include "verify.h"

#define HELD 0x1ull
#define WAITING 0x2ull
#define FLAGS 0xFull
#define ONE_SHARER 0x10ull
#define SHARER_SHIFT 4

/* On the stack of who waits. Older and Exclusive: its owner, before it can be found. */
typedef struct DECLSPEC_ALIGN(16) _EXP_PUSH_BLOCK
{
    struct _EXP_PUSH_BLOCK *Older;
    struct _EXP_PUSH_BLOCK *volatile Newer;  /* whoever walks by: always the same value         */
    struct _EXP_PUSH_BLOCK *volatile Oldest; /* the owner of the first block; else who walks    */
    volatile LONG64 Sharers; /* of the oldest: pushed or handed over with; sharers count it down */
    BOOLEAN Exclusive;
    KEVENT Event;
} EXP_PUSH_BLOCK, *PEXP_PUSH_BLOCK;

C_ASSERT(__alignof__(EXP_PUSH_BLOCK) > FLAGS);

FORCEINLINE ULONG_PTR ExpReadWord(PEX_PUSH_LOCK PushLock)
{
    return __atomic_load_n(PushLock, __ATOMIC_ACQUIRE); /* pairs with: ExpChangeWord */
}

/* Old -> New; FALSE if the word is no longer Old. */
FORCEINLINE BOOLEAN ExpChangeWord(PEX_PUSH_LOCK PushLock, ULONG_PTR Old, ULONG_PTR New)
{
    return __atomic_compare_exchange_n(PushLock, &Old, New, FALSE, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

FORCEINLINE PEXP_PUSH_BLOCK ExpTopOf(ULONG_PTR Word)
{
    return (PEXP_PUSH_BLOCK)(Word & ~FLAGS);
}

static PEXP_PUSH_BLOCK ExpFindOldest(PEXP_PUSH_BLOCK Top)
{
    PEXP_PUSH_BLOCK Block = Top;

    while (Block->Oldest == NULL)
    {
        Block->Older->Newer = Block;
        Block = Block->Older;
    }
    Top->Oldest = Block->Oldest;
    return Top->Oldest;
}

/* Pushes a block and waits to be let in; FALSE if the word is no longer Word. */
static DECLSPEC_NOINLINE BOOLEAN ExpPushAndWait(PEX_PUSH_LOCK PushLock, ULONG_PTR Word,
                                                BOOLEAN Exclusive)
{
    EXP_PUSH_BLOCK Block;

    Block.Newer = NULL;
    Block.Exclusive = Exclusive;
    if (Word & WAITING)
    {
        Block.Older = ExpTopOf(Word);
        Block.Oldest = NULL;
        Block.Sharers = 0;
    }
    else
    {
        Block.Older = NULL;
        Block.Oldest = &Block;
        Block.Sharers = (LONG64)(Word >> SHARER_SHIFT);
    }
    KeInitializeEvent(&Block.Event, SynchronizationEvent, FALSE);
    if (!ExpChangeWord(PushLock, Word, (ULONG_PTR)&Block | HELD | WAITING))
    {
        return FALSE;
    }
    KeWaitForSingleObject(&Block.Event, WrPushLock, KernelMode, FALSE, NULL);
    return TRUE;
}

/* The newest of those that go in together with Oldest; *Sharers is how many of them share. */
static PEXP_PUSH_BLOCK ExpChooseRun(PEXP_PUSH_BLOCK Oldest, PEXP_PUSH_BLOCK Top, PULONG64 Sharers)
{
    PEXP_PUSH_BLOCK Last = Oldest;

    *Sharers = 0;
    if (Oldest->Exclusive)
    {
        return Oldest;
    }
    *Sharers = 1;
    while (Last != Top && !Last->Newer->Exclusive)
    {
        Last = Last->Newer;
        ++*Sharers;
    }
    return Last;
}

/* Each of them may be gone with its stack as soon as its event is set. */
static VOID ExpWakeRun(PEXP_PUSH_BLOCK Oldest, PEXP_PUSH_BLOCK Last)
{
    PEXP_PUSH_BLOCK Block = Oldest;
    BOOLEAN IsLast;

    do
    {
        PEXP_PUSH_BLOCK Newer = Block->Newer;

        IsLast = Block == Last;
        KeSetEvent(&Block->Event, EVENT_INCREMENT, FALSE);
        Block = Newer;
    } while (!IsLast);
}

/* By the exclusive owner, or the last sharer, while somebody waits. */
static DECLSPEC_NOINLINE VOID ExpHandOver(PEX_PUSH_LOCK PushLock)
{
    PEXP_PUSH_BLOCK Top, Oldest, Last;
    ULONG64 Sharers;
    ULONG_PTR Word;

    do
    {
        Word = ExpReadWord(PushLock);
        Top = ExpTopOf(Word);
        Oldest = ExpFindOldest(Top);
        Last = ExpChooseRun(Oldest, Top, &Sharers);
        if (Last != Top)
        {
            Last->Newer->Sharers = (LONG64)Sharers;
            Top->Oldest = Last->Newer;
            break;
        }
    } while (!ExpChangeWord(PushLock, Word, HELD | (Sharers << SHARER_SHIFT)));
    ExpWakeRun(Oldest, Last);
}

/* ------------------------------------------------------------------ The routines. */

#define ASSERT_NO_APCS()                                                                           \
    KI_ASSERT_IRQL_MAX(APC_LEVEL);                                                                 \
    KI_ASSERT_VALUES(KeAreApcsDisabled(), PushLock, *PushLock)

VOID ExInitializePushLock(PEX_PUSH_LOCK PushLock)
{
    *PushLock = 0;
}

VOID ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    ULONG_PTR Word = 0;

    UNREFERENCED_PARAMETER(Flags);
    ASSERT_NO_APCS();
    if (ExpChangeWord(PushLock, 0, HELD))
    {
        return;
    }
    do
    {
        Word = ExpReadWord(PushLock);
    } while (Word == 0 ? !ExpChangeWord(PushLock, 0, HELD) : !ExpPushAndWait(PushLock, Word, TRUE));
}

VOID ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    UNREFERENCED_PARAMETER(Flags);
    ASSERT_NO_APCS();
    if (ExpChangeWord(PushLock, HELD, 0))
    {
        return;
    }
    KI_ASSERT_VALUES(ExpReadWord(PushLock) & WAITING, PushLock, ExpReadWord(PushLock));
    ExpHandOver(PushLock);
}

/* Sharers may join: nobody waits, and it is free or shared. */
FORCEINLINE BOOLEAN ExpMayShare(ULONG_PTR Word)
{
    return !(Word & WAITING) && Word != HELD;
}

VOID ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    ULONG_PTR Word;

    UNREFERENCED_PARAMETER(Flags);
    ASSERT_NO_APCS();
    do
    {
        Word = ExpReadWord(PushLock);
    } while (ExpMayShare(Word) ? !ExpChangeWord(PushLock, Word, (Word + ONE_SHARER) | HELD)
                               : !ExpPushAndWait(PushLock, Word, FALSE));
}

VOID ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    PEXP_PUSH_BLOCK Oldest;
    ULONG_PTR Word;

    UNREFERENCED_PARAMETER(Flags);
    ASSERT_NO_APCS();
    for (Word = ExpReadWord(PushLock); !(Word & WAITING); Word = ExpReadWord(PushLock))
    {
        KI_ASSERT_VALUES(Word >> SHARER_SHIFT != 0, PushLock, Word);
        if (ExpChangeWord(PushLock, Word, Word == (ONE_SHARER | HELD) ? 0 : Word - ONE_SHARER))
        {
            return;
        }
    }
    Oldest = ExpFindOldest(ExpTopOf(Word));
    if (InterlockedDecrement64(&Oldest->Sharers) == 0 || KI_TWIN(KiTwinPushAnySharer))
    {
        ExpHandOver(PushLock);
    }
}
