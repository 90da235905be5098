/* SPDX-License-Identifier: MIT */
/*
 * window.c - device registers at an address that a firmware table gives.
 *
 * Such an address can be wrong in two ways that would do harm: beyond what the processor has lines
 * for, or in the middle of memory, where a write to a register would change somebody's data. Either
 * is refused with a warning, and the machine goes on without the device.
 */
#include "halp.h"

#include <arch/mmu.h>
#include <mm.h>

volatile VOID *HalpMapRegisters(PCSTR Name, ULONG64 Physical, SIZE_T Length)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = (LONGLONG)Physical};
    volatile VOID *Registers;

    if (Physical <= MAXULONG64 - Length && ArchTouchesRam(Physical, Length))
    {
        KiLog(KiLogWarning, "%s at %llx: that is memory: not used", Name, Physical);
        return NULL;
    }
    Registers = MmMapIoSpace(Address, Length, MmNonCached);
    if (Registers == NULL)
    {
        KiLog(KiLogWarning, "%s at %llx: cannot be reached: not used", Name, Physical);
    }
    return Registers;
}
