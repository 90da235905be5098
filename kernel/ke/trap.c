/* SPDX-License-Identifier: MIT */
/*
 * trap.c - interrupts that nobody owns, and those whose owner is the kernel itself.
 *
 * A stray vector is counted, never fatal. The spurious vector needs care: the APIC raises it
 * without setting its in-service bit, and then an EOI would end somebody else's interrupt; but
 * software or a device may send that very number, and then the bit is set and the EOI is due. The
 * bit tells. The same goes for vectors 0x10..0x1E, which are exceptions unless the bit says
 * otherwise.
 */
#include "trap.h"

#include <arch/hal.h>

#include "clock.h"
#include "scheduler.h"
#include "twin.h"

VOID KiUnclaimedVector(ULONG Vector)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    if (Prcb->UnclaimedCount++ == 0)
    {
        KiLog(KiLogWarning, "vector %02x arrived and nobody owns it; further ones are counted",
              Vector);
    }
}

VOID KiStrayInterrupt(ULONG Vector)
{
    if (HalpIsInService(Vector))
    {
        KI_CURRENT_PRCB->UnclaimedCount++;
        if (!KI_TWIN(KiTwinStrayNoEoi))
        {
            HalpEndOfInterrupt();
        }
    }
    else
    {
        KI_CURRENT_PRCB->SpuriousCount++;
        if (KI_TWIN(KiTwinSpuriousEoi))
        {
            HalpEndOfInterrupt();
        }
    }
}

static VOID KiApicErrorInterrupt(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG Error = HalpReadApicError();

    UNREFERENCED_PARAMETER(Frame);
    if (Prcb->ApicErrorCount++ == 0 || (Error & ~Prcb->ApicErrorsSeen) != 0)
    {
        KiLog(KiLogWarning, "APIC error: ESR %02x; further ones of that kind are counted", Error);
    }
    Prcb->ApicErrorsSeen |= Error;
}

VOID KiInitializeTraps(VOID)
{
    HalpInitializeVectors();
    HalpSetVectorRoutine(APC_VECTOR, KiApcInterrupt);
    HalpSetVectorRoutine(DISPATCH_VECTOR, KiDispatchInterrupt);
    HalpSetVectorRoutine(CLOCK_VECTOR, KiClockInterrupt);
    HalpSetVectorRoutine(IPI_VECTOR, KiIpiInterrupt);
    HalpSetVectorRoutine(APIC_ERROR_VECTOR, KiApicErrorInterrupt);
}
