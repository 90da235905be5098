/* SPDX-License-Identifier: MIT */
/*
 * slist.c - sequenced lists: a stack whose head, 16 bytes, changes by one compare-exchange.
 *
 * (first, depth, sequence):
 *     push     (f, d, q) -> (e, d + 1, q + 1), e.Next = f before it
 *     pop      (f, d, q) -> (f.Next, d - 1, q + 1), f.Next read before it
 *     flush    (f, d, q) -> (NULL, 0, q + 1)
 * Between the read of f.Next and the exchange, f may have been taken out, others too, and f pushed
 * again: the same first, perhaps the same depth, and another Next. The sequence is different then:
 * it has 48 bits, and nobody sleeps through 2^48 changes. The head is read in two halves; if they
 * do not belong together the exchange fails. f may be somebody else's by the time f.Next is read:
 * so its memory must stay mapped, as the pool's does, and the value is used only if the exchange
 * says that f was first all the time. The exchange is a full barrier.
 * Microsoft: "Singly and Doubly Linked Lists". Intel SDM 2A CMPXCHG16B. Law L81.
 */
#include <ex.h>
#include <ki.h>
#include <twin.h>

#define DEPTH_MASK 0xFFFFull
#define ONE_CHANGE 0x10000ull

FORCEINLINE ULONGLONG ExpNextState(ULONGLONG State, ULONGLONG Depth)
{
    ULONGLONG Sequence = KI_TWIN(KiTwinSlistNoSequence) ? State : State + ONE_CHANGE;

    return (Sequence & ~DEPTH_MASK) | (Depth & DEPTH_MASK);
}

FORCEINLINE BOOLEAN ExpChangeHead(PSLIST_HEADER ListHead, SLIST_HEADER Old, PSLIST_ENTRY First,
                                  ULONGLONG Depth)
{
    return _InterlockedCompareExchange128((volatile LONG64 *)ListHead, (LONG64)First,
                                          (LONG64)ExpNextState(Old.Alignment, Depth),
                                          (LONG64 *)&Old);
}

FORCEINLINE SLIST_HEADER ExpReadHead(PSLIST_HEADER ListHead)
{
    SLIST_HEADER Head;

    Head.Alignment = ListHead->Alignment;
    Head.Region = ListHead->Region;
    return Head;
}

VOID InitializeSListHead(PSLIST_HEADER SListHead)
{
    if ((ULONG_PTR)SListHead % sizeof(SLIST_HEADER) != 0)
    {
        ExRaiseDatatypeMisalignment();
    }
    SListHead->Alignment = 0;
    SListHead->Region = 0;
}

PSLIST_ENTRY ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    SLIST_HEADER Head;

    do
    {
        Head = ExpReadHead(ListHead);
        ListEntry->Next = (PSLIST_ENTRY)Head.Region;
    } while (!ExpChangeHead(ListHead, Head, ListEntry, Head.Alignment + 1));
    return (PSLIST_ENTRY)Head.Region;
}

PSLIST_ENTRY ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)
{
    PSLIST_ENTRY First, Next;
    SLIST_HEADER Head;

    do
    {
        Head = ExpReadHead(ListHead);
        First = (PSLIST_ENTRY)Head.Region;
        if (First == NULL)
        {
            return NULL;
        }
        Next = First->Next;
        KI_TWIN_DELAY(KiTwinSlistNoSequence);
    } while (!ExpChangeHead(ListHead, Head, Next, Head.Alignment - 1));
    return First;
}

PSLIST_ENTRY ExpInterlockedFlushSList(PSLIST_HEADER ListHead)
{
    SLIST_HEADER Head;

    do
    {
        Head = ExpReadHead(ListHead);
        if (Head.Region == 0)
        {
            return NULL;
        }
    } while (!ExpChangeHead(ListHead, Head, NULL, 0));
    return (PSLIST_ENTRY)Head.Region;
}
