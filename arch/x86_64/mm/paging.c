/* SPDX-License-Identifier: MIT */
/*
 * paging.c - the four-level page tables, one page at a time.
 *
 * Tables are reached through the physical map once it exists, and at their own address before
 * (entry.asm's temporary map). Entries for the kernel half of the top level are all filled in when
 * the tables are first built, so every later change lies below an entry that all copies of the top
 * level share. Source: Intel SDM 3A 4.5 (4-level paging), 12.12 (PAT).
 */
#include "paging.h"

#include <arch/mmu.h>
#include <twin.h>

/* Physical address of the top level; set once. */
ULONG64 ArchKernelCr3 KI_RO_AFTER_INIT;

/* MM_PHYSICAL_MAP_BASE once that map is live, 0 on the temporary maps. */
static ULONG64 ArchTableWindow KI_RO_AFTER_INIT;

static ARCH_PAGE_TABLE_ALLOCATOR *ArchAllocateTable KI_RO_AFTER_INIT; /* NULL: early boot's */

VOID ArchSetPageTableAllocator(ARCH_PAGE_TABLE_ALLOCATOR *Allocator)
{
    ArchAllocateTable = Allocator;
}

VOID ArchSetTableWindow(ULONG64 Window)
{
    ArchTableWindow = Window;
}

static PULONG64 ArchTable(ULONG64 Physical)
{
    return (PULONG64)(ArchTableWindow + (Physical & PTE_ADDRESS));
}

FORCEINLINE ULONG ArchTableIndex(ULONG64 Va, ULONG Level)
{
    return (ULONG)(Va >> (PAGE_SHIFT + 9 * Level)) & 511;
}

ULONG64 ArchNewTable(VOID)
{
    ULONG64 Physical = ArchAllocateTable != NULL ? ArchAllocateTable() : ArchAllocateBootPage();

    if (Physical != 0)
    {
        RtlZeroMemory(ArchTable(Physical), PAGE_SIZE);
    }
    return Physical;
}

BOOLEAN ArchHasNoExecute(VOID)
{
    return (ArchFeatures.Extended1Edx & CPUID_EXT1_EDX_NX) != 0;
}

/* PAT index: 0 write-back, 3 uncached, 4 write-combining. The PAT bit of a 4 KiB page is bit 7. */
ULONG64 ArchPteFlags(ULONG Protection)
{
    ULONG64 Flags = PTE_PRESENT | PTE_GLOBAL | PTE_ACCESSED | PTE_DIRTY;

    KI_ASSERT_VALUES((Protection & (ARCH_PAGE_WRITE | ARCH_PAGE_EXECUTE)) !=
                         (ARCH_PAGE_WRITE | ARCH_PAGE_EXECUTE),
                     Protection, 0);
    if (Protection & ARCH_PAGE_WRITE)
    {
        Flags |= PTE_WRITE;
    }
    if (!(Protection & ARCH_PAGE_EXECUTE) && ArchHasNoExecute() &&
        !KI_BOOT_TWIN(KiTwinDataExecutable))
    {
        Flags |= PTE_NO_EXECUTE;
    }
    if (Protection & ARCH_PAGE_UNCACHED)
    {
        Flags |= PTE_CACHE_DISABLE | PTE_WRITE_THROUGH;
    }
    if (Protection & ARCH_PAGE_WRITE_COMBINED)
    {
        Flags |= ArchFeatures.Leaf1Edx & CPUID_1_EDX_PAT
                     ? PTE_PAT_4K
                     : PTE_CACHE_DISABLE | PTE_WRITE_THROUGH; /* bit 7 is reserved without a PAT */
    }
    return Flags;
}

/* The entry for Va at Level (0: 4 KiB), its upper tables made as needed if Create; NULL if one is
 * missing, or if a large page covers Va above that level. */
static PULONG64 ArchFindEntry(ULONG64 Root, ULONG64 Va, ULONG Level, BOOLEAN Create)
{
    PULONG64 Table = ArchTable(Root);

    for (ULONG Current = 3; Current > Level; Current--)
    {
        PULONG64 Entry = &Table[ArchTableIndex(Va, Current)];

        if (!(*Entry & PTE_PRESENT))
        {
            ULONG64 New = Create ? ArchNewTable() : 0;

            if (New == 0)
            {
                return NULL;
            }
            *Entry = New | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
        }
        else if (*Entry & PTE_LARGE)
        {
            return NULL;
        }
        Table = ArchTable(*Entry);
    }
    return &Table[ArchTableIndex(Va, Level)];
}

BOOLEAN ArchMapAtLevel(ULONG64 Root, ULONG64 Va, ULONG64 Physical, ULONG64 Flags, ULONG Level)
{
    PULONG64 Entry = ArchFindEntry(Root, Va, Level, TRUE);

    if (Entry == NULL)
    {
        return FALSE;
    }
    KI_ASSERT_VALUES(!(*Entry & PTE_PRESENT), Va, *Entry);
    *(volatile ULONG64 *)Entry = Physical | Flags | (Level != 0 ? PTE_LARGE : 0);
    return TRUE;
}

BOOLEAN ArchMapPage(PVOID VirtualAddress, ULONG64 Physical, ULONG Protection)
{
    return ArchMapAtLevel(ArchKernelCr3, (ULONG64)VirtualAddress, Physical,
                          ArchPteFlags(Protection), 0);
}

ULONG64 ArchUnmapPage(PVOID VirtualAddress)
{
    PULONG64 Entry = ArchFindEntry(ArchKernelCr3, (ULONG64)VirtualAddress, 0, FALSE);
    ULONG64 Physical;

    if (Entry == NULL || !(*Entry & PTE_PRESENT))
    {
        return ARCH_NOT_MAPPED;
    }
    Physical = *Entry & PTE_ADDRESS;
    *(volatile ULONG64 *)Entry = 0;
    return Physical;
}

BOOLEAN ArchProtectPage(PVOID VirtualAddress, ULONG Protection)
{
    PULONG64 Entry = ArchFindEntry(ArchKernelCr3, (ULONG64)VirtualAddress, 0, FALSE);

    if (Entry == NULL || !(*Entry & PTE_PRESENT))
    {
        return FALSE;
    }
    *(volatile ULONG64 *)Entry = (*Entry & PTE_ADDRESS) | ArchPteFlags(Protection);
    return TRUE;
}

ULONG64 ArchReadEntry(PVOID VirtualAddress)
{
    for (ULONG Level = 0; Level < 3; Level++)
    {
        PULONG64 Entry = ArchFindEntry(ArchKernelCr3, (ULONG64)VirtualAddress, Level, FALSE);

        if (Entry != NULL)
        {
            return *Entry;
        }
    }
    return 0;
}

ULONG64 ArchTranslate(PVOID VirtualAddress)
{
    ULONG64 Va = (ULONG64)VirtualAddress;

    for (ULONG Level = 0; Level < 3; Level++)
    {
        PULONG64 Entry = ArchFindEntry(ArchKernelCr3, Va, Level, FALSE);
        ULONG64 Mask = (PAGE_SIZE << (9 * Level)) - 1;

        if (Entry != NULL && (*Entry & PTE_PRESENT) && (Level == 0 || (*Entry & PTE_LARGE)))
        {
            return (*Entry & PTE_ADDRESS & ~Mask) | (Va & Mask);
        }
    }
    return ARCH_NOT_MAPPED;
}

ULONG ArchQueryCaching(PVOID VirtualAddress)
{
    PULONG64 Entry = ArchFindEntry(ArchKernelCr3, (ULONG64)VirtualAddress, 0, FALSE);

    if (Entry == NULL || !(*Entry & PTE_PRESENT))
    {
        return 0;
    }
    return (*Entry & PTE_PAT_4K ? ARCH_PAGE_WRITE_COMBINED : 0) |
           (*Entry & PTE_CACHE_DISABLE ? ARCH_PAGE_UNCACHED : 0);
}

VOID ArchFlushTlb(PVOID VirtualAddress, SIZE_T PageCount)
{
    for (SIZE_T Page = 0; Page < PageCount; Page++)
    {
        __invlpg((PUCHAR)VirtualAddress + Page * PAGE_SIZE);
    }
}

/* One table's entries for ArchVisitMappings; FALSE if the visitor has seen enough. Rights: what the
 * tables above allow, as a leaf's bits. */
static BOOLEAN ArchVisitTable(PULONG64 Table, ULONG Level, ULONG64 Base, ULONG64 Rights,
                              ARCH_VISIT_MAPPING *Visit, PVOID Context)
{
    for (ULONG Index = 0; Index < 512; Index++)
    {
        ULONG64 Entry = Table[Index];
        ULONG64 Va = Base | ((ULONG64)Index << (PAGE_SHIFT + 9 * Level));
        ULONG64 Allowed = (Rights & Entry & (PTE_WRITE | PTE_USER)) |
                          ((Rights | Entry) & PTE_NO_EXECUTE);

        if (Level == 3 && Index >= 256)
        {
            Va |= 0xFFFF000000000000ull;
        }
        if (!(Entry & PTE_PRESENT))
        {
            continue;
        }
        if (Level == 0 || (Entry & PTE_LARGE))
        {
            ULONG64 Size = PAGE_SIZE << (9 * Level);
            ULONG Protection = ((Allowed & PTE_WRITE) ? ARCH_PAGE_WRITE : 0) |
                               ((Allowed & PTE_NO_EXECUTE) ? 0 : ARCH_PAGE_EXECUTE) |
                               ((Allowed & PTE_USER) ? ARCH_PAGE_USER : 0);

            if (!Visit(Va, Entry & PTE_ADDRESS & ~(Size - 1), Size, Protection, Context))
            {
                return FALSE;
            }
        }
        else if (!ArchVisitTable(ArchTable(Entry), Level - 1, Va, Allowed, Visit, Context))
        {
            return FALSE;
        }
    }
    return TRUE;
}

VOID ArchVisitMappings(ARCH_VISIT_MAPPING *Visit, PVOID Context)
{
    ArchVisitTable(ArchTable(__readcr3()), 3, 0, PTE_WRITE | PTE_USER, Visit, Context);
}
