/* SPDX-License-Identifier: MIT */
/*
 * mmspace.c - device registers are reached where MmMapIoSpace says, contiguous memory keeps its
 * limits, and the page tables as a whole let nothing be both written and executed, the kernel's
 * text and constants written by no alias, and no stack overrun unnoticed. ARCHITECTURE 7.
 */
#include "kt.h"

#include <arch/hal.h>
#include <arch/mmu.h>
#include <io.h>
#include <mi.h>

/* ------------------------------------------------------------------ Device registers. */

#define MSR_APIC_BASE 0x1Bu
#define APIC_BASE_EXTD (1ull << 10)
#define APIC_BASE_ADDRESS 0xFFFFFF000ull
#define APIC_VERSION_OFFSET 0x30
#define IOAPIC_ADDRESS 0xFEC00000ull /* the first one's on every PC */
#define IOAPIC_REGISTER_VERSION 1

static ULONG ReadRegister(ULONG64 Physical, SIZE_T Bytes)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = (LONGLONG)Physical};
    volatile ULONG *Register = MmMapIoSpace(Address, Bytes, MmNonCached);
    ULONG Value;

    KT_CHECK(Register != NULL, "%llx cannot be mapped", Physical);
    if (Register == NULL)
    {
        return 0;
    }
    KT_CHECK(MmGetPhysicalAddress((PVOID)Register).QuadPart == Address.QuadPart,
             "mapped %llx, found %llx", Physical, MmGetPhysicalAddress((PVOID)Register).QuadPart);
    Value = READ_REGISTER_ULONG(Register);
    MmUnmapIoSpace((PVOID)Register, Bytes);
    KT_CHECK(MmGetPhysicalAddress((PVOID)Register).QuadPart == 0, "still mapped");
    return Value;
}

/* Integrated APICs have versions 0x10 to 0x15 (SDM 3A 11.4.8). */
static VOID LocalApicMapped(VOID)
{
    ULONG64 Base = __readmsr(MSR_APIC_BASE);
    ULONG Version;

    if (Base & APIC_BASE_EXTD)
    {
        KtSkip("x2APIC: the page is gone");
        return;
    }
    Version = ReadRegister((Base & APIC_BASE_ADDRESS) + APIC_VERSION_OFFSET, 4);
    KT_CHECK((Version & 0xFF) >= 0x10 && (Version & 0xFF) <= 0x15, "version register %08x",
             Version);
}

static VOID IoApicMapped(VOID)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = IOAPIC_ADDRESS};
    PUCHAR Registers;
    ULONG Version;

    if (HalpLineCount() == 0)
    {
        KtSkip("no IOAPIC");
        return;
    }
    Registers = MmMapIoSpace(Address, 0x20, MmNonCached);
    KT_REQUIRE(Registers != NULL, "cannot be mapped");
    BOOLEAN Enabled = ArchDisableInterrupts(); /* index and data belong together */
    WRITE_REGISTER_ULONG((volatile ULONG *)Registers, IOAPIC_REGISTER_VERSION);
    Version = READ_REGISTER_ULONG((volatile ULONG *)(Registers + 0x10));
    ArchRestoreInterrupts(Enabled);
    MmUnmapIoSpace(Registers, 0x20);
    KT_CHECK(((Version >> 16) & 0xFF) + 1 <= HalpLineCount() && (Version & 0xFF) != 0,
             "version register %08x, %u lines", Version, HalpLineCount());
}

static VOID IoSpaceRefusals(VOID)
{
    PHYSICAL_ADDRESS Zero = {.QuadPart = 0}, Top = {.QuadPart = -1};
    PHYSICAL_ADDRESS TooHigh = {.QuadPart = 1ll << 52};

    KT_CHECK(MmMapIoSpace(Zero, 0, MmNonCached) == NULL, "no bytes");
    KT_CHECK(MmMapIoSpace(Top, 2, MmNonCached) == NULL, "a range that wraps");
    KT_CHECK(MmMapIoSpace(TooHigh, 1, MmNonCached) == NULL, "beyond any processor");
    KT_CHECK(MmMapIoSpace(Zero, 1ull << 60, MmNonCached) == NULL, "more than there is");
}

/* Where a device's registers may lie: nowhere that is memory, not even between two ends that are
 * not. */
static VOID RamIsKnown(VOID)
{
    ULONG64 Hole = 0xA0000; /* up to 1 MiB, on every PC */
    ULONG64 Mine = (ULONG64)MmGetPhysicalAddress(&Hole).QuadPart;

    KT_CHECK(ArchTouchesRam(Mine, 1), "%llx, of this stack, is no memory", Mine);
    KT_CHECK(!ArchTouchesRam(IOAPIC_ADDRESS, PAGE_SIZE), "the IOAPIC is memory");
    KT_CHECK(ArchTouchesRam(Hole, IOAPIC_ADDRESS - Hole), "no memory between %llx and the IOAPIC",
             Hole);
    KT_CHECK(ArchTouchesRam(MAXULONG64, 2), "a range that wraps was not refused");
}

/* ------------------------------------------------------------------ Contiguous memory. */

#define LIMIT_16M 0xFFFFFFull

static VOID TryContiguous(SIZE_T Bytes, ULONG64 Low, ULONG64 High, ULONG64 Boundary)
{
    PHYSICAL_ADDRESS LowAddress = {.QuadPart = (LONGLONG)Low};
    PHYSICAL_ADDRESS HighAddress = {.QuadPart = (LONGLONG)High};
    PHYSICAL_ADDRESS BoundaryAddress = {.QuadPart = (LONGLONG)Boundary};
    PUCHAR Memory = MmAllocateContiguousMemorySpecifyCache(Bytes, LowAddress, HighAddress,
                                                           BoundaryAddress, MmCached);
    ULONG64 First;

    KT_REQUIRE(Memory != NULL, "%llx bytes in %llx..%llx, boundary %llx", Bytes, Low, High,
               Boundary);
    First = (ULONG64)MmGetPhysicalAddress(Memory).QuadPart;
    KT_CHECK(BYTE_OFFSET(Memory) == 0 && First >= Low && First + Bytes - 1 <= High,
             "%llx bytes at %llx, allowed %llx..%llx", Bytes, First, Low, High);
    KT_CHECK(Boundary == 0 || First / Boundary == (First + Bytes - 1) / Boundary,
             "%llx bytes at %llx cross a multiple of %llx", Bytes, First, Boundary);
    for (SIZE_T Offset = 0; Offset < Bytes; Offset += PAGE_SIZE)
    {
        ULONG64 Physical = (ULONG64)MmGetPhysicalAddress(Memory + Offset).QuadPart;

        KT_CHECK(Physical == First + Offset, "page %llx at %llx, expected %llx", Offset, Physical,
                 First + Offset);
        Memory[Offset] = 0xC5;
    }
    MmFreeContiguousMemory(Memory);
}

/* Blocks of three pages in a row, with a boundary at each fourth: two in three would cross it. */
#define CROSSING_BLOCKS 12

static VOID NoneCrossesBoundary(VOID)
{
    const ULONG64 Boundary = 4 * PAGE_SIZE, Bytes = 3 * PAGE_SIZE;
    PHYSICAL_ADDRESS Zero = {.QuadPart = 0}, Top = {.QuadPart = 0xFFFFFFFF};
    PHYSICAL_ADDRESS BoundaryAddress = {.QuadPart = (LONGLONG)Boundary};
    PVOID Blocks[CROSSING_BLOCKS];

    for (ULONG Index = 0; Index < CROSSING_BLOCKS; Index++)
    {
        ULONG64 First;

        Blocks[Index] = MmAllocateContiguousMemorySpecifyCache(Bytes, Zero, Top, BoundaryAddress,
                                                               MmCached);
        KT_REQUIRE(Blocks[Index] != NULL, "block %u", Index);
        First = (ULONG64)MmGetPhysicalAddress(Blocks[Index]).QuadPart;
        KT_CHECK(First / Boundary == (First + Bytes - 1) / Boundary,
                 "%llx bytes at %llx cross a multiple of %llx", Bytes, First, Boundary);
    }
    for (ULONG Index = 0; Index < CROSSING_BLOCKS; Index++)
    {
        MmFreeContiguousMemory(Blocks[Index]);
    }
}

static VOID ContiguousKeepsLimits(VOID)
{
    MI_STATISTICS Before, After;

    MiQueryStatistics(&Before);
    TryContiguous(1, 0, ~0ull >> 1, 0);
    TryContiguous(5 * PAGE_SIZE, 0, ~0ull >> 1, 0);
    TryContiguous(0x10000, 0, LIMIT_16M, 0);
    TryContiguous(0x10000, 0, 0xFFFFFFFF, 0x10000);
    TryContiguous(0x4000, 0, 0xFFFFFFFF, 0x4000);
    if (Before.TotalPages * PAGE_SIZE > 2 * LIMIT_16M) /* so that there is some above 16 MiB */
    {
        TryContiguous(PAGE_SIZE, 0x1000000, 0x1FFFFFF, PAGE_SIZE);
        TryContiguous(0x100000, LIMIT_16M + 1, 0xFFFFFFFF, 0x100000);
    }
    NoneCrossesBoundary();
    MiQueryStatistics(&After);
    KT_CHECK(After.FreePages == Before.FreePages, "%lld pages leaked",
             Before.FreePages - After.FreePages);
}

static VOID ContiguousRefusals(VOID)
{
    PHYSICAL_ADDRESS Page = {.QuadPart = PAGE_SIZE - 1}, Half = {.QuadPart = PAGE_SIZE / 2};
    PHYSICAL_ADDRESS Zero = {.QuadPart = 0}, Top = {.QuadPart = 0x7FFFFFFFFFFFFFFF};

    KT_CHECK(MmAllocateContiguousMemory(0, Top) == NULL, "no bytes");
    KT_CHECK(MmAllocateContiguousMemory(2 * PAGE_SIZE, Page) == NULL, "two pages in one");
    KT_CHECK(MmAllocateContiguousMemory(1ull << 50, Top) == NULL, "a pebibyte");
    KT_CHECK(MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, Zero, Top, Half, MmCached) == NULL,
             "a page that crosses no half page");
    KT_CHECK(MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, Top, Top, Zero, MmCached) == NULL,
             "beyond all memory");
}

/* ------------------------------------------------------------------ The page tables. */

extern UCHAR KiImageTextStart[], KiImageTextEnd[], KiImageRodataStart[], KiImageRodataEnd[];

typedef struct _WALK
{
    ULONG64 TextPhysical, RodataPhysicalEnd; /* text and rodata follow one another */
    ULONG Leaves, Executable;
} WALK, *PWALK;

static BOOLEAN CheckMapping(ULONG64 VirtualAddress, ULONG64 Physical, ULONG64 Size, ULONG Rights,
                            PVOID Context)
{
    BOOLEAN Writable = (Rights & ARCH_PAGE_WRITE) != 0;
    BOOLEAN Executable = (Rights & ARCH_PAGE_EXECUTE) && ArchHasNoExecute();
    PWALK Walk = Context;
    BOOLEAN ReadOnly = Physical < Walk->RodataPhysicalEnd && Physical + Size > Walk->TextPhysical;

    Walk->Leaves++;
    Walk->Executable += Executable;
    KT_CHECK(!(Writable && Executable), "%llx is writable and executable", VirtualAddress);
    KT_CHECK(VirtualAddress >= MM_PHYSICAL_MAP_BASE, "%llx is mapped in the lower half",
             VirtualAddress);
    KT_CHECK(!(Writable && ReadOnly), "%llx writes to the kernel's text or constants at %llx",
             VirtualAddress, Physical);
    KT_CHECK(!Executable || (VirtualAddress >= (ULONG64)KiImageTextStart &&
                             VirtualAddress + Size <= (ULONG64)KiImageTextEnd),
             "%llx is executable and not the kernel's text", VirtualAddress);
    return !KtHasFailed();
}

static VOID NoAliasWritesText(VOID)
{
    WALK Walk = {ArchTranslate(KiImageTextStart), 0, 0, 0};

    Walk.RodataPhysicalEnd = Walk.TextPhysical + (ULONG64)(KiImageRodataEnd - KiImageTextStart);
    KT_CHECK(ArchTranslate(KiImageRodataStart) ==
                 Walk.TextPhysical + (ULONG64)(KiImageRodataStart - KiImageTextStart),
             "text and constants are not one range");
    ArchVisitMappings(CheckMapping, &Walk);
    KT_CHECK(Walk.Leaves > 10 && (Walk.Executable != 0 || !ArchHasNoExecute()),
             "%u mappings, %u executable", Walk.Leaves, Walk.Executable);
    KtNote("%u mappings, %u executable", Walk.Leaves, Walk.Executable);
}

static VOID LowPagesUnmapped(VOID)
{
    static const ULONG64 Low[] = {0, 0x1000, 0x7C00, 0x100000, 0x200000, 0x40000000};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Low); Index++)
    {
        KT_CHECK(MmGetPhysicalAddress((PVOID)Low[Index]).QuadPart == 0 &&
                     ArchTranslate((PVOID)Low[Index]) == ARCH_NOT_MAPPED,
                 "%llx is mapped", Low[Index]);
    }
}

static VOID CheckGuarded(PCSTR Name, ULONG Processor, PVOID Top, SIZE_T Bytes)
{
    PUCHAR Base = (PUCHAR)Top - Bytes;

    KT_CHECK(ArchTranslate(Base) != ARCH_NOT_MAPPED &&
                 ArchTranslate((PUCHAR)Top - 1) != ARCH_NOT_MAPPED,
             "CPU %u: the %s stack at %p is not mapped", Processor, Name, (PVOID)Base);
    KT_CHECK(ArchTranslate(Base - 1) == ARCH_NOT_MAPPED && ArchTranslate(Top) == ARCH_NOT_MAPPED,
             "CPU %u: the %s stack at %p has no guard page", Processor, Name, (PVOID)Base);
}

static VOID StacksAreGuarded(VOID)
{
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        PKI_PROCESSOR Processor = CONTAINING_RECORD(KiProcessorBlock[Index], KI_PROCESSOR, Prcb);

        CheckGuarded("ISR", Index, Processor->Pcr.IsrStack, MI_KERNEL_STACK_SIZE);
        CheckGuarded("DPC", Index, Processor->Pcr.DpcStack, MI_KERNEL_STACK_SIZE);
        CheckGuarded("thread's", Index, Processor->Prcb.IdleThread->InitialStack,
                     Processor->Prcb.IdleThread->StackBytes);
        for (ULONG Ist = 0; Ist < ARCH_IST_STACKS; Ist++)
        {
            CheckGuarded("exception", Index, (PVOID)Processor->Pcr.Tss.Ist[Ist],
                         ARCH_IST_STACK_SIZE);
        }
    }
}

static const KT_CASE Cases[] = {
    {"iospace-local-apic", LocalApicMapped, 0, FALSE},
    {"iospace-ioapic", IoApicMapped, 0, FALSE},
    {"iospace-refusals", IoSpaceRefusals, 0, FALSE},
    {"iospace-ram-is-known", RamIsKnown, 0, FALSE},
    {"contiguous-keeps-limits", ContiguousKeepsLimits, 0, FALSE},
    {"contiguous-refusals", ContiguousRefusals, 0, FALSE},
    {"tables-no-alias-writes-text", NoAliasWritesText, 0, FALSE},
    {"tables-low-pages-unmapped", LowPagesUnmapped, 0, FALSE},
    {"tables-all-stacks-guarded", StacksAreGuarded, 0, FALSE},
};

KT_DEFINE_SUITE(KtSpaceSuite, "mm", Cases);
