/* SPDX-License-Identifier: MIT */
/*
 * pvh.c - reads the start information of the PVH protocol, by which QEMU boots an ELF file given
 * with -kernel (Xen's public header arch-x86/hvm/start_info.h; QEMU passes version 1).
 *
 * Everything but the first structure hangs on physical pointers, so each piece is mapped and copied
 * before it is looked at, and no more is mapped than what is known to belong to it.
 */
#include "bootp.h"

#include <rtl.h>

#define BOOT_PVH_MAGIC 0x336EC578u
#define BOOT_PVH_VERSION_WITH_MEMORY_MAP 1

/* Firmware maps have some ten entries; a count above this is garbage that must not cost minutes. */
#define BOOT_PVH_MAXIMUM_ENTRIES 4096

typedef struct _BOOT_PVH_START_INFO
{
    ULONG Magic;
    ULONG Version;
    ULONG Flags;
    ULONG ModuleCount;
    ULONG64 ModuleList;
    ULONG64 CommandLine; /* 0: none */
    ULONG64 Rsdp;        /* 0: none */
    ULONG64 MemoryMap;   /* from here on: version 1 */
    ULONG MemoryMapEntries;
    ULONG Reserved;
} BOOT_PVH_START_INFO;

#define BOOT_PVH_VERSION_0_SIZE FIELD_OFFSET(BOOT_PVH_START_INFO, MemoryMap)

typedef struct _BOOT_PVH_MODULE
{
    ULONG64 Address;
    ULONG64 Size;
    ULONG64 CommandLine;
    ULONG64 Reserved;
} BOOT_PVH_MODULE;

typedef struct _BOOT_PVH_MEMORY_ENTRY
{
    ULONG64 Address;
    ULONG64 Size;
    ULONG Type;
    ULONG Reserved;
} BOOT_PVH_MEMORY_ENTRY;

C_ASSERT(sizeof(BOOT_PVH_START_INFO) == 56);
C_ASSERT(sizeof(BOOT_PVH_MODULE) == 32);
C_ASSERT(sizeof(BOOT_PVH_MEMORY_ENTRY) == 24);

static BOOLEAN BootCopyPhysical(PVOID Destination, ULONG64 Physical, SIZE_T Length,
                                BOOT_MAP_ROUTINE *Map)
{
    const VOID *Source;

    if (Physical == 0 || Physical > MAXULONG64 - Length)
    {
        return FALSE;
    }
    Source = Map(Physical, Length);
    if (Source == NULL)
    {
        return FALSE;
    }
    RtlCopyMemory(Destination, Source, Length);
    return TRUE;
}

/* The string's length is unknown until its terminator is seen, so it is mapped byte by byte. TRUE
 * if it did not fit or leads out of memory. */
static BOOLEAN BootCopyPhysicalString(PSTR Destination, ULONG DestinationSize, ULONG64 Physical,
                                      BOOT_MAP_ROUTINE *Map)
{
    CHAR Character;

    for (ULONG Length = 0; Length < DestinationSize; Length++)
    {
        Destination[Length] = '\0';
        if (!BootCopyPhysical(&Character, Physical + Length, 1, Map))
        {
            return TRUE;
        }
        if (Character == '\0')
        {
            return FALSE;
        }
        if (Length < DestinationSize - 1)
        {
            Destination[Length] = Character;
        }
    }
    return TRUE;
}

static PCSTR BootReadPvhMemoryMap(const BOOT_PVH_START_INFO *Start, BOOT_MAP_ROUTINE *Map,
                                  PBOOT_INFO Info)
{
    BOOT_PVH_MEMORY_ENTRY Entry;

    if (Start->MemoryMapEntries > BOOT_PVH_MAXIMUM_ENTRIES)
    {
        return "PVH: the memory map claims an absurd number of entries";
    }
    for (ULONG64 Index = 0; Index < Start->MemoryMapEntries; Index++)
    {
        if (!BootCopyPhysical(&Entry, Start->MemoryMap + Index * sizeof(Entry), sizeof(Entry), Map))
        {
            return "PVH: the memory map leads out of memory";
        }
        BootAddRange(Info, Entry.Address, Entry.Size, BootMemoryTypeFromFirmware(Entry.Type));
    }
    return NULL;
}

/* A module that cannot be read is only counted: the kernel runs without it. */
static VOID BootReadPvhModules(const BOOT_PVH_START_INFO *Start, BOOT_MAP_ROUTINE *Map,
                               PBOOT_INFO Info)
{
    for (ULONG64 Index = 0; Index < Start->ModuleCount; Index++)
    {
        BOOT_PVH_MODULE Entry;
        PBOOT_MODULE Module;

        if (Info->ModuleCount == BOOT_MAXIMUM_MODULES ||
            !BootCopyPhysical(&Entry, Start->ModuleList + Index * sizeof(Entry), sizeof(Entry),
                              Map))
        {
            Info->ModulesDropped += (ULONG)(Start->ModuleCount - Index);
            return;
        }
        Module = BootAddModule(Info, Entry.Address, Entry.Address + Entry.Size);
        if (Module != NULL)
        {
            BootCopyPhysicalString(Module->Name, sizeof(Module->Name), Entry.CommandLine, Map);
        }
    }
}

static PCSTR BootReadStartInfo(ULONG64 StartInfo, BOOT_MAP_ROUTINE *Map, BOOT_PVH_START_INFO *Start)
{
    if (!BootCopyPhysical(Start, StartInfo, BOOT_PVH_VERSION_0_SIZE, Map))
    {
        return "PVH: the start information lies outside memory";
    }
    if (Start->Magic != BOOT_PVH_MAGIC)
    {
        return "PVH: the start information has the wrong magic number";
    }
    if (Start->Version < BOOT_PVH_VERSION_WITH_MEMORY_MAP)
    {
        return "PVH: the loader is too old to give a memory map";
    }
    if (!BootCopyPhysical(Start, StartInfo, sizeof(*Start), Map))
    {
        return "PVH: the start information is cut off";
    }
    return NULL;
}

PCSTR BootParsePvh(ULONG64 StartInfo, BOOT_MAP_ROUTINE *Map, PBOOT_INFO Info)
{
    BOOT_PVH_START_INFO Start;
    PCSTR Problem;

    RtlZeroMemory(Info, sizeof(*Info));
    Info->Protocol = BootProtocolPvh;
    Problem = BootReadStartInfo(StartInfo, Map, &Start);
    if (Problem != NULL)
    {
        return Problem;
    }
    Info->RsdpAddress = Start.Rsdp;
    if (Start.CommandLine != 0)
    {
        Info->CommandLineTruncated = BootCopyPhysicalString(
            Info->CommandLine, sizeof(Info->CommandLine), Start.CommandLine, Map);
    }
    BootReadPvhModules(&Start, Map, Info);
    Problem = BootReadPvhMemoryMap(&Start, Map, Info);
    if (Problem == NULL && Info->RangeCount == 0)
    {
        Problem = "PVH: the loader gave no memory map";
    }
    return Problem;
}
