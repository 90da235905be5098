/* SPDX-License-Identifier: MIT */
/*
 * rundown.c - run-down protection: a count of users that, once its end has begun, only falls.
 *
 * The word is (n, 0), n protections granted; (block, 1), the run-down waits for the protections
 * that were out when it began, counted in the waiter's block; or (0, 1), run down.
 *     acquire k   (n, 0) -> (n + k, 0), or FALSE
 *     release k   (n, 0) -> (n - k, 0); or block.Count - k, and who brings it to 0 sets the event
 *     wait        (0, 0) -> (0, 1); or (n, 0) -> (block, 1), block.Count = n, wait for the event,
 *                 -> (0, 1)
 * Bit and count change in one compare-exchange, so each protection is either granted before the
 * run-down began, and waited for, or not granted. The block is the waiter's stack: the last touch
 * is the event's, and others leave it alone after a subtraction that does not give 0. All three
 * are full barriers: what users did is done when the wait returns.
 * Microsoft: "Run-Down Protection". docs/exlocks.md.
 */
#include <ex.h>
#include <ki.h>
#include <twin.h>

#define RUNNING_DOWN 0x1ull
#define ONE_USER 0x2ull
#define USER_SHIFT 1

typedef struct _EXP_RUNDOWN_BLOCK
{
    volatile LONG64 Count; /* the waiter, before it can be found; then who releases, locked */
    KEVENT Event;
} EXP_RUNDOWN_BLOCK, *PEXP_RUNDOWN_BLOCK;

FORCEINLINE ULONG_PTR ExpReadUsers(PEX_RUNDOWN_REF RunRef)
{
    return __atomic_load_n(&RunRef->Count, __ATOMIC_ACQUIRE); /* pairs with: ExpChangeUsers */
}

FORCEINLINE BOOLEAN ExpChangeUsers(PEX_RUNDOWN_REF RunRef, ULONG_PTR Old, ULONG_PTR New)
{
    return __atomic_compare_exchange_n(&RunRef->Count, &Old, New, FALSE, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

VOID ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    RunRef->Count = 0;
}

BOOLEAN ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    ULONG_PTR Word;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    do
    {
        Word = ExpReadUsers(RunRef);
        if (Word & RUNNING_DOWN)
        {
            return FALSE;
        }
    } while (!ExpChangeUsers(RunRef, Word, Word + Count * ONE_USER));
    return TRUE;
}

BOOLEAN ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    return ExAcquireRundownProtectionEx(RunRef, 1);
}

/* The run-down has begun: one of those it waits for. */
static VOID ExpReleaseToBlock(PEXP_RUNDOWN_BLOCK Block, ULONG Count)
{
    LONG64 Left = InterlockedExchangeAdd64(&Block->Count, -(LONG64)Count) - Count;

    KI_ASSERT_VALUES(Left >= 0, Block, Left);
    if (Left == 0)
    {
        KeSetEvent(&Block->Event, EVENT_INCREMENT, FALSE);
    }
}

VOID ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    ULONG_PTR Word;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    do
    {
        Word = ExpReadUsers(RunRef);
        KI_ASSERT_VALUES(Word != RUNNING_DOWN, RunRef, Count);
        if (Word & RUNNING_DOWN)
        {
            ExpReleaseToBlock((PEXP_RUNDOWN_BLOCK)(Word & ~RUNNING_DOWN), Count);
            return;
        }
        KI_ASSERT_VALUES(Word >> USER_SHIFT >= Count, RunRef, Word);
    } while (!ExpChangeUsers(RunRef, Word, Word - Count * ONE_USER));
}

VOID ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    ExReleaseRundownProtectionEx(RunRef, 1);
}

VOID ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)
{
    EXP_RUNDOWN_BLOCK Block;
    ULONG_PTR Word;

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KeInitializeEvent(&Block.Event, SynchronizationEvent, FALSE);
    do
    {
        Word = ExpReadUsers(RunRef);
        if (Word == RUNNING_DOWN)
        {
            return;
        }
        KI_ASSERT_VALUES(!(Word & RUNNING_DOWN), RunRef, Word); /* somebody else's wait */
        Block.Count = (LONG64)(Word >> USER_SHIFT);
    } while (
        !ExpChangeUsers(RunRef, Word, Word == 0 ? RUNNING_DOWN : (ULONG_PTR)&Block | RUNNING_DOWN));
    if (Word != 0)
    {
        if (!KI_TWIN(KiTwinRundownNoWait))
        {
            KeWaitForSingleObject(&Block.Event, WrRundown, KernelMode, FALSE, NULL);
        }
        /* pairs with: ExpReadUsers */
        __atomic_store_n(&RunRef->Count, RUNNING_DOWN, __ATOMIC_RELEASE);
    }
}

VOID ExRundownCompleted(PEX_RUNDOWN_REF RunRef)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    RunRef->Count = RUNNING_DOWN;
}

VOID ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KI_ASSERT_VALUES(RunRef->Count == RUNNING_DOWN, RunRef, RunRef->Count);
    RunRef->Count = 0;
}
