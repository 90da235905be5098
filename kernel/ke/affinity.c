/* SPDX-License-Identifier: MIT */
/*
 * affinity.c - where the running thread may run.
 *
 * A thread has an affinity of its own and, over it, at most one system affinity at a time, which a
 * driver sets and takes back around work that belongs to a processor. Only the thread itself
 * changes either, so the affinity of a thread that does not run is constant. If the processor it is
 * on is not in the new one, the scheduler is asked to move it, and does so as soon as the IRQL is
 * below DISPATCH_LEVEL. Microsoft: "KeSetSystemAffinityThreadEx", "KeSetSystemGroupAffinityThread".
 */
#include "switch.h"

static VOID KiSetAffinity(PKTHREAD Thread, const GROUP_AFFINITY *Affinity, BOOLEAN System)
{
    KIRQL OldIrql = KeAcquireSpinLockRaiseToDpc(&Thread->Lock);

    Thread->SystemAffinityActive = System;
    KiChangeAffinity(Thread, Affinity);
    KeReleaseSpinLock(&Thread->Lock, OldIrql);
}

/* FALSE if it names no active processor. */
static BOOLEAN KiCleanAffinity(const GROUP_AFFINITY *Given, PGROUP_AFFINITY Affinity)
{
    Affinity->Group = Given->Group;
    Affinity->Mask = Given->Mask & KeQueryGroupAffinity(Given->Group);
    RtlZeroMemory(Affinity->Reserved, sizeof(Affinity->Reserved));
    return Affinity->Mask != 0 && Given->Reserved[0] == 0 && Given->Reserved[1] == 0 &&
           Given->Reserved[2] == 0;
}

VOID KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity)
{
    PKTHREAD Thread = KeGetCurrentThread();
    GROUP_AFFINITY Previous = {0}, Clean;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (KiCleanAffinity(Affinity, &Clean))
    {
        if (Thread->SystemAffinityActive)
        {
            Previous = Thread->Affinity;
        }
        KiSetAffinity(Thread, &Clean, TRUE);
    }
    if (PreviousAffinity != NULL)
    {
        *PreviousAffinity = Previous;
    }
}

VOID KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity)
{
    PKTHREAD Thread = KeGetCurrentThread();
    GROUP_AFFINITY Clean;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (PreviousAffinity->Mask == 0)
    {
        KiSetAffinity(Thread, &Thread->UserAffinity, FALSE);
    }
    else if (KiCleanAffinity(PreviousAffinity, &Clean))
    {
        KiSetAffinity(Thread, &Clean, TRUE);
    }
}

KAFFINITY KeSetSystemAffinityThreadEx(KAFFINITY Affinity)
{
    GROUP_AFFINITY Wanted = {.Mask = Affinity}, Previous;

    KeSetSystemGroupAffinityThread(&Wanted, &Previous);
    return Previous.Mask;
}

VOID KeSetSystemAffinityThread(KAFFINITY Affinity)
{
    KeSetSystemAffinityThreadEx(Affinity);
}

VOID KeRevertToUserAffinityThreadEx(KAFFINITY Affinity)
{
    GROUP_AFFINITY Previous = {.Mask = Affinity};

    KeRevertToUserGroupAffinityThread(&Previous);
}

VOID KeRevertToUserAffinityThread(VOID)
{
    KeRevertToUserAffinityThreadEx(0);
}

static GROUP_AFFINITY KiOneProcessor(ULONG Processor)
{
    GROUP_AFFINITY Affinity = {.Mask = (KAFFINITY)1 << Processor % MAXIMUM_PROC_PER_GROUP,
                               .Group = (USHORT)(Processor / MAXIMUM_PROC_PER_GROUP)};

    return Affinity;
}

VOID KiSetThreadProcessor(ULONG Processor)
{
    GROUP_AFFINITY Affinity = KiOneProcessor(Processor);

    KeSetSystemGroupAffinityThread(&Affinity, NULL);
}

VOID KiBindThread(PKTHREAD Thread, ULONG Processor)
{
    KI_ASSERT_VALUES(Thread->State == Initialized, Thread, Thread->State);
    Thread->Affinity = Thread->UserAffinity = KiOneProcessor(Processor);
    Thread->Processor = Thread->IdealProcessor = Processor;
}
