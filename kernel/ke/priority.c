/* SPDX-License-Identifier: MIT */
/*
 * priority.c - a thread's priority, set by others or by itself.
 *
 * The base is what boosts are added to and decay to; the run-time priority is what the scheduler
 * looks at. 1..15 and 16..31 are different countries: a base stays in its own. Microsoft:
 * "KeSetPriorityThread", "KeSetBasePriorityThread".
 */
#include "switch.h"

#define SATURATION 16 /* an increment this large means the end of the range */

KPRIORITY KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority)
{
    KPRIORITY Old;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KI_ASSERT_VALUES(Priority >= 1 && Priority <= HIGH_PRIORITY, Priority, Thread);
    OldIrql = KeAcquireSpinLockRaiseToDpc(&Thread->Lock);
    Old = Thread->Priority;
    Thread->BasePriority = (SCHAR)Priority;
    KiChangePriority(Thread, Priority);
    KeReleaseSpinLock(&Thread->Lock, OldIrql);
    return Old;
}

KPRIORITY KeQueryPriorityThread(PKTHREAD Thread)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    return *(volatile SCHAR *)&Thread->Priority;
}

LONG KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment)
{
    LONG Lowest, Highest, Base, OldIncrement;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    OldIrql = KeAcquireSpinLockRaiseToDpc(&Thread->Lock);
    OldIncrement = Thread->BasePriority - KI_DEFAULT_PRIORITY;
    Lowest = Thread->BasePriority < LOW_REALTIME_PRIORITY ? 1 : LOW_REALTIME_PRIORITY;
    Highest = Thread->BasePriority < LOW_REALTIME_PRIORITY ? LOW_REALTIME_PRIORITY - 1
                                                           : HIGH_PRIORITY;
    if (Increment >= SATURATION || Increment <= -SATURATION)
    {
        Base = Increment > 0 ? Highest : Lowest;
    }
    else
    {
        Base = KI_DEFAULT_PRIORITY + Increment;
        Base = Base < Lowest ? Lowest : Base > Highest ? Highest : Base;
    }
    Thread->BasePriority = (SCHAR)Base;
    KiChangePriority(Thread, Base);
    KeReleaseSpinLock(&Thread->Lock, OldIrql);
    return OldIncrement;
}
