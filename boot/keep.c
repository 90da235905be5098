/* SPDX-License-Identifier: MIT */
/*
 * keep.c - finds the place of the kept log: memory that the next boot of this machine finds again.
 *
 * A warm reset leaves RAM as it is, but firmware and loader use some of it anew. They work at its
 * two ends: firmware unpacks itself in the first 32 MiB, and allocates, as GRUB does, from the top
 * of the largest range below 4 GiB downwards. So the place is the first of a few fixed addresses
 * between the two that is usable memory. Fixed, so that it comes out equal however the map's
 * borders move from boot to boot, and early enough that nothing else has been given memory yet.
 */
#include "bootp.h"

#define MIB(Count) ((ULONG64)(Count) << 20)

/* Best first: the lower ones are for machines that have no more, the higher ones for a hole. */
static const ULONG64 BootKeptLogPlaces[] = {
    MIB(64), MIB(48),  MIB(40),  MIB(32),  MIB(24),  MIB(20),  MIB(16),   MIB(80),
    MIB(96), MIB(128), MIB(192), MIB(256), MIB(384), MIB(512), MIB(1024),
};

static BOOLEAN BootIsUsable(const BOOT_INFO *Info, ULONG64 Start, ULONG64 End)
{
    for (ULONG Index = 0; Index < Info->ModuleCount; Index++)
    {
        if (Info->Modules[Index].Start < End && Info->Modules[Index].End > Start)
        {
            return FALSE;
        }
    }
    for (ULONG Index = 0; Index < Info->RangeCount; Index++)
    {
        const BOOT_MEMORY_RANGE *Range = &Info->Ranges[Index];

        if (Range->Type == BootMemoryUsable && Range->Start <= Start && Range->End >= End)
        {
            return TRUE;
        }
    }
    return FALSE;
}

VOID BootChooseKeptLog(PBOOT_INFO Info)
{
    Info->KeptLog = 0;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(BootKeptLogPlaces); Index++)
    {
        ULONG64 Place = BootKeptLogPlaces[Index];

        if (BootIsUsable(Info, Place, Place + BOOT_KEPT_LOG_SIZE))
        {
            Info->KeptLog = Place;
            return;
        }
    }
}
