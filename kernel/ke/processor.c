/* SPDX-License-Identifier: MIT */
/*
 * processor.c - which processors there are, by index, by (group, number), by node.
 *
 * Indices are dense, in start order; 64 make a group. Processors are only ever added, during
 * start-up, so every answer stays true once start-up is over. One NUMA node, until firmware's SRAT
 * is read. Microsoft: "Supporting Systems That Have More Than 64 Processors".
 */
#include "ki.h"

#define CACHE_LINE_SIZE 64

PKPRCB KiProcessorBlock[MAXIMUM_PROCESSORS] KI_RO_AFTER_INIT;
volatile ULONG KiProcessorCount KI_RO_AFTER_INIT;

ULONG KeQueryActiveProcessorCountEx(USHORT GroupNumber)
{
    ULONG Count = ReadULongAcquire(&KiProcessorCount);
    ULONG First = (ULONG)GroupNumber * MAXIMUM_PROC_PER_GROUP;

    if (GroupNumber == ALL_PROCESSOR_GROUPS)
    {
        return Count;
    }
    if (First >= Count)
    {
        return 0;
    }
    return Count - First < MAXIMUM_PROC_PER_GROUP ? Count - First : MAXIMUM_PROC_PER_GROUP;
}

KAFFINITY KeQueryGroupAffinity(USHORT GroupNumber)
{
    ULONG Count = GroupNumber == ALL_PROCESSOR_GROUPS ? 0
                                                      : KeQueryActiveProcessorCountEx(GroupNumber);

    return Count == MAXIMUM_PROC_PER_GROUP ? ~(KAFFINITY)0 : ((KAFFINITY)1 << Count) - 1;
}

KAFFINITY KeQueryActiveProcessors(VOID)
{
    return KeQueryGroupAffinity(0);
}

ULONG KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors)
{
    if (ActiveProcessors != NULL)
    {
        *ActiveProcessors = KeQueryActiveProcessors();
    }
    return KeQueryActiveProcessorCountEx(0);
}

/* There is no hot-plug: what can ever be active is active. */
ULONG KeQueryMaximumProcessorCountEx(USHORT GroupNumber)
{
    return KeQueryActiveProcessorCountEx(GroupNumber);
}

ULONG KeQueryMaximumProcessorCount(VOID)
{
    return KeQueryMaximumProcessorCountEx(0);
}

USHORT KeQueryActiveGroupCount(VOID)
{
    return (USHORT)((ReadULongAcquire(&KiProcessorCount) + MAXIMUM_PROC_PER_GROUP - 1) /
                    MAXIMUM_PROC_PER_GROUP);
}

USHORT KeQueryMaximumGroupCount(VOID)
{
    return KeQueryActiveGroupCount();
}

ULONG KeGetCurrentProcessorIndex(VOID)
{
    return KI_CURRENT_PRCB->Index;
}

ULONG KeGetCurrentProcessorNumber(VOID)
{
    return KI_CURRENT_PRCB->GroupNumber;
}

/* Group and number follow from one read of the index, so they belong together even if the thread
 * moves in between. */
ULONG KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber)
{
    ULONG Index = KI_CURRENT_PRCB->Index;

    if (ProcNumber != NULL)
    {
        ProcNumber->Group = (USHORT)(Index / MAXIMUM_PROC_PER_GROUP);
        ProcNumber->Number = (UCHAR)(Index % MAXIMUM_PROC_PER_GROUP);
        ProcNumber->Reserved = 0;
    }
    return Index;
}

NTSTATUS KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcIndex >= ReadULongAcquire(&KiProcessorCount))
    {
        return STATUS_INVALID_PARAMETER;
    }
    ProcNumber->Group = (USHORT)(ProcIndex / MAXIMUM_PROC_PER_GROUP);
    ProcNumber->Number = (UCHAR)(ProcIndex % MAXIMUM_PROC_PER_GROUP);
    ProcNumber->Reserved = 0;
    return STATUS_SUCCESS;
}

ULONG KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber)
{
    ULONG Index = (ULONG)ProcNumber->Group * MAXIMUM_PROC_PER_GROUP + ProcNumber->Number;

    if (ProcNumber->Number >= MAXIMUM_PROC_PER_GROUP || ProcNumber->Reserved != 0 ||
        Index >= ReadULongAcquire(&KiProcessorCount))
    {
        return INVALID_PROCESSOR_INDEX;
    }
    return Index;
}

USHORT KeQueryHighestNodeNumber(VOID)
{
    return 0;
}

USHORT KeGetCurrentNodeNumber(VOID)
{
    return KI_CURRENT_PRCB->Node;
}

VOID KeQueryNodeActiveAffinity(USHORT NodeNumber, PGROUP_AFFINITY Affinity, PUSHORT Count)
{
    BOOLEAN Exists = NodeNumber <= KeQueryHighestNodeNumber();

    if (Affinity != NULL)
    {
        RtlZeroMemory(Affinity, sizeof(*Affinity));
        Affinity->Mask = Exists ? KeQueryGroupAffinity(0) : 0;
    }
    if (Count != NULL)
    {
        *Count = (USHORT)(Exists ? KeQueryActiveProcessorCountEx(0) : 0);
    }
}

ULONG KeGetRecommendedSharedDataAlignment(VOID)
{
    return CACHE_LINE_SIZE;
}
