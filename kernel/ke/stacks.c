/* SPDX-License-Identifier: MIT */
/*
 * stacks.c - whose stack an address is on, for the report of a bug check. The guard page below a
 * stack counts as its own, so that an overflow names the stack that was too small. Reads what is
 * constant once a processor runs, and takes no lock.
 */
#include "stacks.h"

#include <arch/hal.h>
#include <mi.h>

static PCSTR const KiIstNames[ARCH_IST_STACKS] = {"double-fault", "NMI", "machine-check"};

/* TRUE if Address lies on that stack or in the guard page below it. The page above is the next
 * stack's. */
static BOOLEAN KiIsOnStack(ULONG64 Address, PVOID Top, SIZE_T Bytes, PKI_STACK_PLACE Place)
{
    ULONG64 End = (ULONG64)Top, Base = End - Bytes;

    if (Top == NULL || Address < Base - PAGE_SIZE || Address >= End)
    {
        return FALSE;
    }
    Place->Base = Base;
    Place->End = End;
    return TRUE;
}

static BOOLEAN KiFindProcessorStack(ULONG64 Address, PKPRCB Prcb, PKI_STACK_PLACE Place)
{
    PKI_PROCESSOR Processor = CONTAINING_RECORD(Prcb, KI_PROCESSOR, Prcb);
    PKTHREAD Thread = Prcb->CurrentThread;

    Place->Processor = Prcb->Index;
    Place->Kind = "ISR";
    if (KiIsOnStack(Address, Processor->Pcr.IsrStack, MI_KERNEL_STACK_SIZE, Place))
    {
        return TRUE;
    }
    Place->Kind = "DPC";
    if (KiIsOnStack(Address, Processor->Pcr.DpcStack, MI_KERNEL_STACK_SIZE, Place))
    {
        return TRUE;
    }
    for (ULONG Index = 0; Prcb->StartSlot != NULL && Index < ARCH_IST_STACKS; Index++)
    {
        Place->Kind = KiIstNames[Index];
        if (KiIsOnStack(Address, Prcb->StartSlot->IstStacks[Index], ARCH_IST_STACK_SIZE, Place))
        {
            return TRUE;
        }
    }
    Place->Kind = Thread == Prcb->IdleThread ? "idle thread's" : "thread's";
    return Thread != NULL && KiIsOnStack(Address, Thread->InitialStack, Thread->StackBytes, Place);
}

BOOLEAN KiFindStack(ULONG64 Address, PKI_STACK_PLACE Place)
{
    for (ULONG Index = 0; Index < MAXIMUM_PROCESSORS; Index++)
    {
        PKPRCB Prcb = ReadPointerAcquire(&KiProcessorBlock[Index]);

        if (Prcb != NULL && KiFindProcessorStack(Address, Prcb, Place))
        {
            return TRUE;
        }
    }
    return FALSE;
}
