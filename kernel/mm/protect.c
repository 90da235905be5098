/* SPDX-License-Identifier: MIT */
/*
 * protect.c - the end of start-up: what only start-up writes becomes read-only, and the kernel
 * looks at every mapping it has made.
 *
 * PURPOSE
 *   A mapping with one right too many works like any other, until somebody uses that right. So the
 *   kernel does not trust the code that made the mappings: it reads the tables, in each build, on
 *   each start.
 *
 * HOW IT WORKS
 *   Variables marked KI_RO_AFTER_INIT (the IDT, options, features, the tables that firmware filled)
 *   lie together in whole pages. Their pages become read-only where they are and in the physical
 *   map, the other way to the same bytes. Then the walk; no mapping may be
 *       writable and executable              W^X
 *       executable, and not the image's text
 *       in the lower half                    no identity map, and nothing at address 0
 *       for user code                        there is none
 *       writable, and the image's text, constants or sealed variables: not even an alias
 *   Without the no-execute bit everything is executable, and the first two are not asked.
 *
 * LOCKS AND IRQL
 *   PASSIVE_LEVEL, once. Entries change under MiSystemPteLock, the shootdown comes after it: see
 *   space.c. The walk takes no lock: tables are never freed, and a mapping that comes or goes
 *   meanwhile is seen or not.
 *
 * ORDERING
 *   No processor starts after this (a late one parks in the trampoline), so none can miss the
 *   shootdown: each CPU counts as active before the boot thread runs.
 *
 * FURTHER READING
 *   docs/protections.md. Intel SDM 3A 4.6 (access rights). Microsoft: "Bug Check 0x1A".
 */
#include "mi.h"
#include "space.h"

#include <ki.h>
#include <twin.h>

extern UCHAR KiImageTextStart[], KiImageTextEnd[], KiImageRodataEnd[];
extern UCHAR KiImageSealedStart[], KiImageSealedEnd[];

static VOID MiChangeRights(ULONG64 Base, ULONG64 PageCount, ULONG Protection)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
    for (ULONG64 Page = 0; Page < PageCount; Page++)
    {
        PVOID Address = (PVOID)(Base + Page * PAGE_SIZE);

        if (!ArchProtectPage(Address, Protection))
        {
            KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x3, (ULONG_PTR)Address, PageCount, Base);
        }
    }
    KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
}

VOID MiProtectPages(PVOID Base, ULONG64 PageCount, ULONG Protection)
{
    MiChangeRights((ULONG64)Base, PageCount, Protection);
    if (KI_TWIN(KiTwinProtectNoShootdown))
    {
        ArchFlushTlb(Base, PageCount);
        return;
    }
    KiFlushTlbRange(Base, PageCount);
}

static VOID MiProtectSealed(ULONG Protection)
{
    ULONG64 PageCount = (ULONG64)(KiImageSealedEnd - KiImageSealedStart) >> PAGE_SHIFT;

    MiProtectPages(KiImageSealedStart, PageCount, Protection);
}

/* The same bytes in the physical map, as far as they are there: a loader may call the memory that
 * it gave the image reserved. */
static VOID MiProtectSealedAlias(ULONG Protection)
{
    for (PUCHAR Page = KiImageSealedStart; Page < KiImageSealedEnd; Page += PAGE_SIZE)
    {
        PVOID Alias = ArchPhysicalToVirtual((ULONG64)Page - MM_IMAGE_BASE);

        if (ArchTranslate(Alias) != ARCH_NOT_MAPPED)
        {
            MiProtectPages(Alias, 1, Protection);
        }
    }
}

/* Twins of what the walk would find come after it, so that the tests have something to find. */
static VOID MiUnprotect(VOID)
{
    if (KI_BOOT_TWIN(KiTwinSealUndone))
    {
        MiProtectSealed(ARCH_PAGE_WRITE);
    }
    if (KI_BOOT_TWIN(KiTwinSealAliasUndone))
    {
        MiProtectSealedAlias(ARCH_PAGE_WRITE);
    }
    if (KI_BOOT_TWIN(KiTwinNullMapped))
    {
        ArchMapPage(NULL, MiAllocatePageFrame(0), ARCH_PAGE_WRITE);
    }
}

/* Text and constants follow one another. */
static BOOLEAN MiTouchesReadOnly(ULONG64 Physical, ULONG64 Size)
{
    ULONG64 First = Physical + MM_IMAGE_BASE, End = First + Size;

    return (First < (ULONG64)KiImageRodataEnd && End > (ULONG64)KiImageTextStart) ||
           (First < (ULONG64)KiImageSealedEnd && End > (ULONG64)KiImageSealedStart);
}

/* What is wrong with a mapping; 0: nothing. */
static ULONG MiJudgeMapping(ULONG64 Va, ULONG64 Physical, ULONG64 Size, ULONG Rights)
{
    BOOLEAN Executable = (Rights & ARCH_PAGE_EXECUTE) && ArchHasNoExecute();

    if ((Rights & ARCH_PAGE_WRITE) && Executable)
    {
        return MI_MAPPING_WRITABLE_EXECUTABLE;
    }
    if (Executable && (Va < (ULONG64)KiImageTextStart || Va + Size > (ULONG64)KiImageTextEnd))
    {
        return MI_MAPPING_EXECUTABLE;
    }
    if (Va < MM_PHYSICAL_MAP_BASE)
    {
        return MI_MAPPING_LOW;
    }
    if (Rights & ARCH_PAGE_USER)
    {
        return MI_MAPPING_USER;
    }
    if ((Rights & ARCH_PAGE_WRITE) && MiTouchesReadOnly(Physical, Size))
    {
        return MI_MAPPING_WRITES_IMAGE;
    }
    return 0;
}

static BOOLEAN MiCheckMapping(ULONG64 VirtualAddress, ULONG64 Physical, ULONG64 Size, ULONG Rights,
                              PVOID Context)
{
    PMI_MAPPING_COUNTS Counts = Context;
    ULONG Wrong = MiJudgeMapping(VirtualAddress, Physical, Size, Rights);

    if (Wrong != 0 && !KI_TWIN(KiTwinWalkBlind))
    {
        KeBugCheckEx(MEMORY_MANAGEMENT, Wrong, VirtualAddress, Physical, Size);
    }
    Counts->Mappings++;
    Counts->ExecutableBytes += (Rights & ARCH_PAGE_EXECUTE) ? Size : 0;
    Counts->WritableBytes += (Rights & ARCH_PAGE_WRITE) ? Size : 0;
    return TRUE;
}

VOID MiCheckMappings(PMI_MAPPING_COUNTS Counts)
{
    RtlZeroMemory(Counts, sizeof(*Counts));
    ArchVisitMappings(MiCheckMapping, Counts);
}

static VOID MiReportProtections(const MI_MAPPING_COUNTS *Counts)
{
    ARCH_PROTECTIONS Has;

    ArchQueryProtections(&Has);
    KiLog(Has.NoExecute ? KiLogInfo : KiLogWarning,
          "protected:%s%s%s%s%s; %llu mappings, %llu KiB executable, %llu KiB writable, %s; "
          "%llu KiB sealed",
          Has.WriteProtect ? " WP" : "", Has.NoExecute ? " NX" : "", Has.Smep ? " SMEP" : "",
          Has.Smap ? " SMAP" : "", Has.Umip ? " UMIP" : "", Counts->Mappings,
          Counts->ExecutableBytes / 1024, Counts->WritableBytes / 1024,
          Has.NoExecute ? "none both" : "all executable: this CPU has no NX",
          (ULONG64)(KiImageSealedEnd - KiImageSealedStart) / 1024);
}

VOID MiProtectKernel(VOID)
{
    MI_MAPPING_COUNTS Counts;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    MiProtectSealed(ARCH_PAGE_READ);
    MiProtectSealedAlias(ARCH_PAGE_READ);
    MiCheckMappings(&Counts);
    MiReportProtections(&Counts);
    MiUnprotect();
}
