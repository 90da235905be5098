/* SPDX-License-Identifier: MIT */
/*
 * systemtime.c - setting the clock, and with it every timer that is due at a system time.
 *
 * The new offset is stored first; then each processor's heap is made anew under its lock, by the
 * offset that stands then. Whoever sets a timer reads the offset under that lock too: before us,
 * and we find the timer there; or after us, and he finds the new offset. Two who set the clock at
 * once need no more than that: whichever stored last looks at every heap after it.
 *
 * A heap made anew is one long hold, proportional to its timers. Clocks are not set often.
 */
#include "clock.h"
#include "spinlock.h"
#include "timer.h"
#include "twin.h"

static VOID KiMoveTimers(PKPRCB Home)
{
    PRTLP_HEAP_NODE Node;

    KiAcquireSpinLock(&Home->Timers.Lock);
    Node = RtlpUnravelHeap(&Home->Timers.Root);
    while (Node != NULL)
    {
        PRTLP_HEAP_NODE Next = Node->Sibling;
        PKTIMER Timer = CONTAINING_RECORD(Node, KTIMER, HeapNode);

        if (Timer->Absolute)
        {
            Node->Key = KiTimerKey(Timer);
        }
        RtlpInsertHeap(&Home->Timers.Root, Node);
        Node = Next;
    }
    KiUnlockTimers(Home, KeQueryInterruptTime());
}

VOID KiSetSystemTime(ULONGLONG SystemTime)
{
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KiChangeSystemTime(SystemTime); /* a full barrier: before any lock. pairs with: KiTimerDue */
    OldIrql = KiRaiseIrqlToDpcLevel();
    for (ULONG Index = 0; Index < KiProcessorCount; Index++)
    {
        if (!KI_TWIN(KiTwinTimerOwnOnly) || Index == KiGetCurrentPrcb()->Index)
        {
            KiMoveTimers(KiProcessorBlock[Index]);
        }
    }
    KiLowerIrql(OldIrql);
}
