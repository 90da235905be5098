/* SPDX-License-Identifier: MIT */
/* outsidedesk.c - the desk's keeper. See outside.h. */
#include "outside.h"

#include <interrupt.h>
#include <mm.h>

OUTSIDE_DESK KtDesk;

/* The table in vectors.c: what differs from the entry of a vector that cannot have an owner has
 * one. */
extern HALP_VECTOR_ROUTINE *HalpVectorRoutines[VECTOR_COUNT];

static VOID ListOwnedVectors(VOID)
{
    for (ULONG Vector = 0; Vector < VECTOR_COUNT; Vector++)
    {
        if (HalpVectorRoutines[Vector] != HalpVectorRoutines[0])
        {
            KtDesk.Owned[Vector / 8] |= (UCHAR)(1u << Vector % 8);
        }
    }
}

VOID KtOpenDesk(VOID)
{
    ULONG Processors = KtProcessors();
    ULONG64 Address;

    RtlZeroMemory(&KtDesk, sizeof(KtDesk));
    KtDesk.Processors = Processors < OUTSIDE_PROCESSORS ? Processors : OUTSIDE_PROCESSORS;
    ListOwnedVectors();
    KtDesk.Magic = OUTSIDE_MAGIC;
    Address = (ULONG64)MmGetPhysicalAddress((PVOID)&KtDesk).QuadPart;
    KiLog(KiLogInfo, "outside: desk at %llx.", Address);
    KtNote("outside: desk at %llx.", Address); /* the log may be what the scenario disturbs */
}

static ULONG64 CountStorms(VOID)
{
    KI_VECTOR_STATISTICS Statistics;
    ULONG64 Storms = 0;

    for (ULONG Vector = DEVICE_VECTOR_FIRST; Vector <= DEVICE_VECTOR_LAST; Vector++)
    {
        KiQueryVector(Vector, &Statistics);
        Storms += Statistics.Storms;
    }
    return Storms;
}

VOID KtAnswer(VOID (*Fill)(ULONG Processor, POUTSIDE_RECORD Record))
{
    ULONG Question = ReadULongAcquire(&KtDesk.Asked);

    if (Question == KtDesk.Answered)
    {
        return;
    }
    for (ULONG Processor = 0; Processor < KtDesk.Processors; Processor++)
    {
        POUTSIDE_RECORD Record = &KtDesk.Records[Processor];
        PKPRCB Prcb = KiProcessorBlock[Processor];

        Record->Spurious = Prcb->SpuriousCount;
        Record->Unclaimed = Prcb->UnclaimedCount;
        Record->Nmis = Prcb->NmiCount;
        Record->NmisAt = (ULONG64)MmGetPhysicalAddress(&Prcb->NmiCount).QuadPart;
        Record->ApicErrors = Prcb->ApicErrorCount;
        Record->Clocks = Prcb->ClockInterrupts;
        Record->Switches = Prcb->ContextSwitches;
        Record->Storms = Processor == 0 ? CountStorms() : 0;
        if (Fill != NULL)
        {
            Fill(Processor, Record);
        }
    }
    WriteULongRelease(&KtDesk.Answered, Question); /* pairs with: the host's read of Answered */
}
