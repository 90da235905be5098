/* SPDX-License-Identifier: MIT */
/*
 * init.c - the kernel's own address space, built before anything else owns memory.
 *
 * From the loader's memory map it maps all RAM once, read/write and never executable, and the image
 * section by section with the rights each needs; where the image shows through the physical map,
 * its text and read-only data are read-only there too. The temporary maps of entry.asm go away with
 * the switch of CR3, and with them the identity map. Page tables come from the end of the highest
 * usable range below 4 GiB, where the temporary maps reach.
 */
#include "paging.h"

#include <arch/mmu.h>
#include <twin.h>

#define LARGE_PAGE_SIZE 0x200000ull
#define HUGE_PAGE_SIZE 0x40000000ull
#define FOUR_GIB 0x100000000ull
#define LOW_MEMORY_END 0x9F000ull
#define TRAMPOLINE_SIZE (2 * PAGE_SIZE)

extern UCHAR KiImagePhysicalStart[], KiImagePhysicalEnd[];
extern UCHAR KiImageTextStart[], KiImageTextEnd[];
extern UCHAR KiImageRodataStart[], KiImageRodataEnd[];
extern UCHAR KiImageDataStart[], KiImageDataEnd[];

ULONG64 ArchTrampolinePages KI_RO_AFTER_INIT;

/* The boot page allocator's range: pages are taken from the end downwards. */
static ULONG64 ArchBootPagesStart, ArchBootPagesNext, ArchBootPagesEnd;

/* The memory map as firmware gave it: what is RAM, whoever uses it. */
static BOOT_MEMORY_RANGE ArchRam[BOOT_MAXIMUM_RANGES] KI_RO_AFTER_INIT;
static ULONG ArchRamCount KI_RO_AFTER_INIT;

ULONG64 ArchAllocateBootPage(VOID)
{
    if (ArchBootPagesNext <= ArchBootPagesStart)
    {
        return 0;
    }
    ArchBootPagesNext -= PAGE_SIZE;
    return ArchBootPagesNext;
}

static VOID ArchChooseBootPages(PBOOT_INFO BootInfo)
{
    for (ULONG Index = 0; Index < BootInfo->RangeCount; Index++)
    {
        PBOOT_MEMORY_RANGE Range = &BootInfo->Ranges[Index];
        ULONG64 End = Range->End < FOUR_GIB ? Range->End : FOUR_GIB;

        if (Range->Type == BootMemoryUsable && Range->Start < End &&
            End - Range->Start >= LARGE_PAGE_SIZE)
        {
            ArchBootPagesStart = Range->Start;
            ArchBootPagesNext = ArchBootPagesEnd = End;
        }
    }
}

/* Firmware's map may name addresses that do not exist, or that the physical map has no room for:
 * what lies there is nobody's. */
static VOID ArchClipRanges(PBOOT_INFO BootInfo)
{
    ULONG64 Limit = ArchPhysicalLimit();
    ULONG64 Lost = 0;

    Limit = Limit < MM_PHYSICAL_MAP_SIZE ? Limit : MM_PHYSICAL_MAP_SIZE;
    for (ULONG Index = 0; Index < BootInfo->RangeCount; Index++)
    {
        PBOOT_MEMORY_RANGE Range = &BootInfo->Ranges[Index];

        if (Range->End <= Limit || Range->Type == BootMemoryReserved)
        {
            continue;
        }
        if (Range->Type == BootMemoryUsable)
        {
            Lost += Range->End - (Range->Start > Limit ? Range->Start : Limit);
        }
        if (Range->Start >= Limit)
        {
            Range->Type = BootMemoryReserved;
        }
        else
        {
            Range->End = Limit;
        }
    }
    if (Lost != 0)
    {
        KiLog(KiLogWarning, "memory map: %llu KiB above %llx cannot be addressed: unused",
              Lost / 1024, Limit);
    }
}

/* Two pages in a row, usable, below 640 KiB and not the first page: the highest there are. */
static VOID ArchReserveTrampoline(PBOOT_INFO BootInfo)
{
    for (ULONG Index = 0; Index < BootInfo->RangeCount; Index++)
    {
        PBOOT_MEMORY_RANGE Range = &BootInfo->Ranges[Index];
        ULONG64 End = Range->End < LOW_MEMORY_END ? Range->End : LOW_MEMORY_END;
        ULONG64 Start = Range->Start != 0 ? Range->Start : PAGE_SIZE;

        if (Range->Type == BootMemoryUsable && Start < End && End - Start >= TRAMPOLINE_SIZE)
        {
            ArchTrampolinePages = End - TRAMPOLINE_SIZE;
        }
    }
    if (ArchTrampolinePages != 0)
    {
        BootReserveRange(BootInfo, ArchTrampolinePages, ArchTrampolinePages + TRAMPOLINE_SIZE);
    }
}

static VOID ArchReserveLoaded(PBOOT_INFO BootInfo)
{
    BootReserveRange(BootInfo, 0, PAGE_SIZE);
    BootReserveRange(BootInfo, (ULONG64)KiImagePhysicalStart, (ULONG64)KiImagePhysicalEnd);
    for (ULONG Index = 0; Index < BootInfo->ModuleCount; Index++)
    {
        BootReserveRange(BootInfo, BootInfo->Modules[Index].Start, BootInfo->Modules[Index].End);
    }
    if (BootInfo->KeptLog != 0)
    {
        BootReserveRange(BootInfo, BootInfo->KeptLog, BootInfo->KeptLog + BOOT_KEPT_LOG_SIZE);
    }
    ArchReserveTrampoline(BootInfo);
}

static VOID ArchMapOrStop(ULONG64 Va, ULONG64 Physical, ULONG Protection, ULONG Level)
{
    ULONG64 Flags = ArchPteFlags(Protection);

    if (KI_BOOT_TWIN(KiTwinTextWritable) && (Protection & ARCH_PAGE_EXECUTE))
    {
        Flags |= PTE_WRITE;
    }
    if (!ArchMapAtLevel(ArchKernelCr3, Va, Physical, Flags, Level))
    {
        KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, Va, Physical, Protection, Level);
    }
}

/* The image's read-only part, as physical addresses: its alias in the physical map is read-only. */
static BOOLEAN ArchIsImageReadOnly(ULONG64 Physical)
{
    return Physical >= (ULONG64)KiImageTextStart - MM_IMAGE_BASE &&
           Physical < (ULONG64)KiImageRodataEnd - MM_IMAGE_BASE;
}

static BOOLEAN ArchTouchesImage(ULONG64 Start, ULONG64 Size)
{
    return Start < (ULONG64)KiImagePhysicalEnd && Start + Size > (ULONG64)KiImagePhysicalStart;
}

/* The largest page that starts at Physical, ends by End and does not touch the image. */
static ULONG ArchPageLevel(ULONG64 Physical, ULONG64 End)
{
    if ((ArchFeatures.Extended1Edx & CPUID_EXT1_EDX_1GB) && Physical % HUGE_PAGE_SIZE == 0 &&
        End - Physical >= HUGE_PAGE_SIZE && !ArchTouchesImage(Physical, HUGE_PAGE_SIZE))
    {
        return 2;
    }
    if (Physical % LARGE_PAGE_SIZE == 0 && End - Physical >= LARGE_PAGE_SIZE &&
        !ArchTouchesImage(Physical, LARGE_PAGE_SIZE))
    {
        return 1;
    }
    return 0;
}

static VOID ArchMapRam(ULONG64 Start, ULONG64 End)
{
    while (Start < End)
    {
        ULONG Level = ArchPageLevel(Start, End);
        ULONG Protection = ArchIsImageReadOnly(Start) ? ARCH_PAGE_READ : ARCH_PAGE_WRITE;

        ArchMapOrStop(MM_PHYSICAL_MAP_BASE + Start, Start, Protection, Level);
        Start += PAGE_SIZE << (9 * Level);
    }
}

static VOID ArchMapImage(const UCHAR *Start, const UCHAR *End, ULONG Protection)
{
    for (ULONG64 Va = (ULONG64)Start; Va < (ULONG64)End; Va += PAGE_SIZE)
    {
        ArchMapOrStop(Va, Va - MM_IMAGE_BASE, Protection, 0);
    }
}

/* The top-level entries of the regions that are mapped later, so that the APs' copy of the top
 * level never goes stale; the physical map and the image are whole before that copy is made. */
static VOID ArchFillTopLevel(VOID)
{
    PULONG64 Top = (PULONG64)ArchKernelCr3;

    for (ULONG Index = 256; Index < 512; Index++)
    {
        ULONG64 Table = 0;
        ULONG64 Va = 0xFFFF000000000000ull | ((ULONG64)Index << 39);

        if (Va == MM_PHYSICAL_MAP_BASE || Va == MM_IO_SPACE_BASE || Va == MM_STACK_SPACE_BASE ||
            Index == 511)
        {
            Table = ArchNewTable();
        }
        if (Table != 0)
        {
            Top[Index] = Table | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
        }
    }
}

VOID ArchInitializeMemory(PBOOT_INFO BootInfo)
{
    ArchClipRanges(BootInfo);
    for (ULONG Index = 0; Index < BootInfo->RangeCount; Index++)
    {
        if (BootInfo->Ranges[Index].Type == BootMemoryUsable ||
            BootInfo->Ranges[Index].Type == BootMemoryAcpiReclaim ||
            BootInfo->Ranges[Index].Type == BootMemoryAcpiNvs)
        {
            ArchRam[ArchRamCount++] = BootInfo->Ranges[Index];
        }
    }
    ArchReserveLoaded(BootInfo);
    ArchChooseBootPages(BootInfo);

    if (ArchBootPagesEnd == 0)
    {
        KiLog(KiLogError, "memory map: no usable range of 2 MiB below 4 GiB");
    }
    ArchKernelCr3 = ArchNewTable();
    if (ArchKernelCr3 == 0)
    {
        KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, BootInfo->RangeCount, 0, 0, 0);
    }
    ArchFillTopLevel();
    if (KI_BOOT_TWIN(KiTwinIdentityMap))
    {
        ArchMapOrStop(0, 0, ARCH_PAGE_WRITE, 1);
    }
    ArchMapImage(KiImageTextStart, KiImageTextEnd, ARCH_PAGE_EXECUTE);
    ArchMapImage(KiImageRodataStart, KiImageRodataEnd, ARCH_PAGE_READ);
    ArchMapImage(KiImageDataStart, KiImageDataEnd, ARCH_PAGE_WRITE);
    for (ULONG Index = 0; Index < ArchRamCount; Index++)
    {
        ArchMapRam(ArchRam[Index].Start, ArchRam[Index].End);
    }

    __writecr3(ArchKernelCr3);
    ArchSetTableWindow(MM_PHYSICAL_MAP_BASE);
}

BOOLEAN ArchTouchesRam(ULONG64 Physical, ULONG64 Length)
{
    ULONG64 End = Physical + Length;

    if (Length != 0 && End < Physical)
    {
        return TRUE;
    }
    for (ULONG Index = 0; Index < ArchRamCount; Index++)
    {
        if (ArchRam[Index].Start < End && ArchRam[Index].End > Physical)
        {
            return TRUE;
        }
    }
    return FALSE;
}

/* Closes the boot page allocator: the memory manager takes over what it has not handed out. */
VOID ArchCloseBootPages(PBOOT_INFO BootInfo)
{
    BootReserveRange(BootInfo, ArchBootPagesNext, ArchBootPagesEnd);
    ArchBootPagesStart = ArchBootPagesNext;
}
