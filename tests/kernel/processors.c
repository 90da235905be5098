/* SPDX-License-Identifier: MIT */
/* processors.c - who is there: counts, masks, numbers, and that work reaches every processor. */
#include "kt.h"

#include <arch/hal.h>

static ULONG BitCount(KAFFINITY Mask)
{
    ULONG Count = 0;

    for (; Mask != 0; Mask &= Mask - 1)
    {
        Count++;
    }
    return Count;
}

static VOID CountsAgree(VOID)
{
    KAFFINITY Mask = 0;
    ULONG All = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    ULONG Sum = 0;

    for (USHORT Group = 0; Group < KeQueryActiveGroupCount(); Group++)
    {
        KAFFINITY GroupMask = KeQueryGroupAffinity(Group);
        ULONG Count = KeQueryActiveProcessorCountEx(Group);

        KT_CHECK(BitCount(GroupMask) == Count, "group %u: mask %llx, count %u", Group, GroupMask,
                 Count);
        Sum += Count;
    }
    KT_CHECK(Sum == All, "groups have %u, all are %u", Sum, All);
    KT_CHECK(KeQueryActiveProcessorCount(&Mask) == KeQueryActiveProcessorCountEx(0) &&
                 Mask == KeQueryActiveProcessors(),
             "mask %llx", Mask);
    KT_CHECK(KeQueryActiveProcessorCountEx(KeQueryActiveGroupCount()) == 0,
             "a group that does not exist has processors");
    KT_CHECK(KeQueryGroupAffinity(KeQueryActiveGroupCount()) == 0, "... or a mask");
}

static VOID NumbersRoundTrip(VOID)
{
    PROCESSOR_NUMBER Number;

    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_CHECK(NT_SUCCESS(KeGetProcessorNumberFromIndex(Index, &Number)), "index %u", Index);
        KT_CHECK(Number.Group == Index / 64 && Number.Number == Index % 64, "index %u is %u:%u",
                 Index, Number.Group, Number.Number);
        KT_CHECK(KeGetProcessorIndexFromNumber(&Number) == Index, "index %u", Index);
    }
    KT_CHECK(KeGetProcessorNumberFromIndex(KtProcessors(), &Number) == STATUS_INVALID_PARAMETER,
             "index %u exists", KtProcessors());
    Number = (PROCESSOR_NUMBER){.Group = 0, .Number = 64};
    KT_CHECK(KeGetProcessorIndexFromNumber(&Number) == INVALID_PROCESSOR_INDEX, "0:64 exists");
}

typedef struct _WHO_CONTEXT
{
    volatile LONG Seen[MAXIMUM_PROCESSORS];
} WHO_CONTEXT;

static VOID WhoAmI(PVOID Context, ULONG Processor)
{
    WHO_CONTEXT *Who = Context;
    PROCESSOR_NUMBER Number;

    KT_CHECK(KeGetCurrentProcessorNumberEx(&Number) == Processor, "index %u, expected %u",
             KeGetCurrentProcessorNumberEx(NULL), Processor);
    KT_CHECK(Number.Group == Processor / 64 && Number.Number == Processor % 64, "%u:%u",
             Number.Group, Number.Number);
    KT_CHECK(KeGetCurrentProcessorNumber() == Processor % 64, "%u", KeGetCurrentProcessorNumber());
    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(KeGetCurrentNodeNumber() <= KeQueryHighestNodeNumber(), "node %u",
             KeGetCurrentNodeNumber());
    InterlockedIncrement(&Who->Seen[Processor]);
}

static VOID EachTakesWork(VOID)
{
    static WHO_CONTEXT Who;

    RtlZeroMemory(&Who, sizeof(Who));
    KtParallel(WhoAmI, &Who);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KtRunOn(Index, WhoAmI, &Who);
        KT_CHECK(Who.Seen[Index] == 2, "processor %u ran %d of 2", Index, Who.Seen[Index]);
    }
}

#define PARK_LIMIT 100000000ull /* 10 s, for a host that is busy */

static BOOLEAN HaveParked(LONG Count)
{
    for (ULONG64 End = KtNow() + PARK_LIMIT; KtNow() < End;)
    {
        if (HalpParkedProcessors() >= Count)
        {
            return HalpParkedProcessors() == Count;
        }
        YieldProcessor();
    }
    return FALSE;
}

/* What an AP does that comes when nobody expects it any more: numproc= leaves some that never came
 * at all. Each may come twice. */
static VOID LatePark(VOID)
{
    LONG Parked = HalpParkedProcessors();

    if (KiOptions.NumberOfProcessors != KtProcessors() || KtProcessors() == 1)
    {
        KtSkip("no numproc=, or none was ever started");
        return;
    }
    for (ULONG Index = KtProcessors(); Index < HalpProcessorsListed; Index++)
    {
        for (ULONG Time = 0; Time < 2; Time++)
        {
            Parked++;
            KT_REQUIRE(HalpStartUnlisted(HalpProcessorApicIds[Index]), "no trampoline");
            KT_CHECK(HaveParked(Parked), "APIC id %u: %d parked, not %d",
                     HalpProcessorApicIds[Index], HalpParkedProcessors(), Parked);
        }
    }
    KT_CHECK(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) == KtProcessors(), "they count");
}

static const KT_CASE Cases[] = {
    {"processor-L85-counts", CountsAgree, 0, FALSE},
    {"processor-numbers", NumbersRoundTrip, 0, FALSE},
    {"processor-each-takes-work", EachTakesWork, 0, FALSE},
    {"processor-late-parks", LatePark, 0, FALSE},
};

KT_DEFINE_SUITE(KtProcessorSuite, "ke", Cases);
