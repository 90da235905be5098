/* SPDX-License-Identifier: MIT */
/*
 * start.c - starting the other processors, all at once.
 *
 * PURPOSE
 *   Bring every processor that firmware lists to the kernel, in about the time that one takes, and
 *   survive those that do not come, come late, or come twice.
 *
 * HOW IT WORKS
 *   Each AP gets an INIT of its own, then all wait the same 10 ms, then each gets a STARTUP of its
 *   own; who has not been seen 200 us later gets a second. Nothing is broadcast: that would wake
 *   processors that firmware disabled or keeps for itself. An AP takes the slot with its own APIC
 *   id:
 *       (offered)  -> (claimed)    by the AP, compare-exchange in trampoline.asm
 *       (offered)  -> (closed)     by us, compare-exchange, when the time is over
 *   so exactly one side wins, and an AP that loses parks itself. A slot's stack and block are never
 *   reused: a late AP may already run on them.
 *
 * LOCKS AND IRQL
 *   The boot processor alone, PASSIVE_LEVEL, interrupts on or off. The data block is constant while
 *   APs run, but for the count of parked ones (locked increment).
 *
 * ORDERING
 *   The INIT and STARTUP writes come after all stores to the data block and the slots (x86 keeps
 *   stores in order; x2APIC: HalpApicCommand fences). pairs with: the AP's first instruction.
 *
 * FURTHER READING
 *   Intel SDM 3A 9.4.4. MultiProcessor Specification B.4. docs/boot.md.
 */
#include "../hal/halp.h"
#include "../mm/paging.h"

#include <arch/mmu.h>
#include <twin.h>

#define STARTUP_VECTOR(Page) ((ULONG)((Page) >> PAGE_SHIFT))
#define INIT_WAIT_US 10000
#define STARTUP_WAIT_US 200
#define ANSWER_STEP_US 50
#define ANSWER_LIMIT_MS 1000

/* The page after the code; offsets are repeated in trampoline.asm (DATA_...). */
typedef struct _HALP_TRAMPOLINE_DATA
{
    ULONG Cr3;
    ULONG Cr4;
    ULONG64 Efer;
    PHALP_START_SLOT Slots;
    ULONG64 SlotCount;
    ULONG64 Entry;
    ULONG64 KernelCr3;
    volatile LONG Parked;
    ULONG Reserved;
    USHORT GdtLimit;
    ULONG GdtBase __attribute__((packed));
    USHORT Reserved2;
    ULONG Far32Offset;
    USHORT Far32Selector;
    USHORT Reserved3;
    ULONG Far64Offset;
    USHORT Far64Selector;
    USHORT Reserved4;
    ULONG64 Gdt[4];
} HALP_TRAMPOLINE_DATA, *PHALP_TRAMPOLINE_DATA;

C_ASSERT(offsetof(HALP_TRAMPOLINE_DATA, Parked) == 48);
C_ASSERT(offsetof(HALP_TRAMPOLINE_DATA, GdtLimit) == 56);
C_ASSERT(offsetof(HALP_TRAMPOLINE_DATA, GdtBase) == 58);
C_ASSERT(offsetof(HALP_TRAMPOLINE_DATA, Far32Offset) == 64);
C_ASSERT(offsetof(HALP_TRAMPOLINE_DATA, Far64Offset) == 72);

extern UCHAR HalpTrampolineStart[], HalpTrampolineEnd[];
extern UCHAR HalpTrampolineProtected[], HalpTrampolineLong[]; /* offsets, not addresses */
extern UCHAR HalpProcessorEntry[];

/* The APs' own tables: the two low pages, and the kernel's half shared with the kernel's. 0 if a
 * page is missing. */
static ULONG64 HalpBuildTrampolineTables(VOID)
{
    ULONG64 Root = ArchNewTable();
    ULONG64 Code = ArchTrampolinePages;

    if (Root == 0 || Root >= 0x100000000ull)
    {
        return 0;
    }
    RtlCopyMemory(ArchPhysicalToVirtual(Root), ArchPhysicalToVirtual(ArchKernelCr3), PAGE_SIZE);
    if (!ArchMapAtLevel(Root, Code, Code, ArchPteFlags(ARCH_PAGE_EXECUTE) & ~PTE_GLOBAL, 0) ||
        !ArchMapAtLevel(Root, Code + PAGE_SIZE, Code + PAGE_SIZE,
                        ArchPteFlags(ARCH_PAGE_WRITE) & ~PTE_GLOBAL, 0))
    {
        return 0;
    }
    return Root;
}

/* Written once by HalpPrepareTrampoline; NULL: there is no trampoline. */
static PHALP_TRAMPOLINE_DATA HalpTrampoline;

static PHALP_TRAMPOLINE_DATA HalpPrepareTrampoline(PHALP_START_SLOT Slots, ULONG Count)
{
    ULONG64 Page = ArchTrampolinePages;
    PHALP_TRAMPOLINE_DATA Data;
    ULONG64 Root;

    if (Page == 0)
    {
        KiLog(KiLogWarning, "no two free pages below 640 KiB: other processors stay off");
        return NULL;
    }
    Root = HalpBuildTrampolineTables();
    if (Root == 0)
    {
        KiLog(KiLogWarning, "no page tables below 4 GiB: other processors stay off");
        return NULL;
    }
    Data = ArchPhysicalToVirtual(Page + PAGE_SIZE);
    RtlZeroMemory(Data, PAGE_SIZE);
    RtlCopyMemory(ArchPhysicalToVirtual(Page), HalpTrampolineStart,
                  HalpTrampolineEnd - HalpTrampolineStart);
    Data->Cr3 = (ULONG)Root;
    Data->Cr4 = (ULONG)(CR4_PAE | CR4_PGE);
    Data->Efer = __readmsr(MSR_EFER) & (EFER_LME | EFER_NXE);
    Data->Slots = Slots;
    Data->SlotCount = Count - 1;
    Data->Entry = (ULONG64)HalpProcessorEntry;
    Data->KernelCr3 = KI_BOOT_TWIN(KiTwinApKeepsLowTables) ? Root : ArchKernelCr3;
    Data->Gdt[1] = 0x00209A0000000000ull; /* 0x08: 64-bit code */
    Data->Gdt[2] = 0x00CF9A000000FFFFull; /* 0x10: 32-bit code */
    Data->Gdt[3] = 0x00CF92000000FFFFull; /* 0x18: data        */
    Data->GdtLimit = sizeof(Data->Gdt) - 1;
    Data->GdtBase = (ULONG)(Page + PAGE_SIZE + offsetof(HALP_TRAMPOLINE_DATA, Gdt));
    Data->Far32Offset = (ULONG)(Page + (ULONG64)HalpTrampolineProtected);
    Data->Far32Selector = 0x10;
    Data->Far64Offset = (ULONG)(Page + (ULONG64)HalpTrampolineLong);
    Data->Far64Selector = 0x08;
    HalpTrampoline = Data;
    return Data;
}

static VOID HalpCommandUnseen(PHALP_START_SLOT Slots, ULONG Count, ULONG Command)
{
    for (ULONG Index = 1; Index < Count; Index++)
    {
        if (ReadAcquire(&Slots[Index].State) == HALP_SLOT_OFFERED)
        {
            HalpApicCommand(Slots[Index].ApicId, Command);
        }
    }
}

static BOOLEAN HalpAllClaimed(PHALP_START_SLOT Slots, ULONG Count)
{
    for (ULONG Index = 1; Index < Count; Index++)
    {
        if (ReadAcquire(&Slots[Index].State) == HALP_SLOT_OFFERED)
        {
            return FALSE;
        }
    }
    return TRUE;
}

VOID HalpStartProcessors(PHALP_START_SLOT Slots, ULONG Count)
{
    ULONG64 End;
    ULONG Startup;

    /* Not on offer: whoever comes with the boot processor's id parks. */
    Slots[0].State = HALP_SLOT_CLAIMED;
    if (Count <= 1 || HalpPrepareTrampoline(Slots, Count) == NULL)
    {
        for (ULONG Index = 1; Index < Count; Index++)
        {
            Slots[Index].State = HALP_SLOT_CLOSED;
        }
        return;
    }

    Startup = APIC_ICR_STARTUP | APIC_ICR_ASSERT | STARTUP_VECTOR(ArchTrampolinePages);
    HalpCommandUnseen(Slots, Count, APIC_ICR_INIT | APIC_ICR_ASSERT);
    HalpStall(INIT_WAIT_US);
    HalpCommandUnseen(Slots, Count, Startup);
    HalpStall(STARTUP_WAIT_US);
    HalpCommandUnseen(Slots, Count, Startup);

    End = HalpQueryCounter() + HalpCounterFrequency * ANSWER_LIMIT_MS / 1000;
    while (HalpQueryCounter() < End)
    {
        if (HalpAllClaimed(Slots, Count))
        {
            break;
        }
        HalpStall(ANSWER_STEP_US);
    }
    if (ReadAcquire(&HalpIcrTimeouts) != 0) /* pairs with: the increments in apic.c */
    {
        KiLog(KiLogWarning, "APIC: the command register stayed busy %d times", HalpIcrTimeouts);
    }
    for (ULONG Index = 1; Index < Count; Index++)
    {
        if (InterlockedCompareExchange(&Slots[Index].State, HALP_SLOT_CLOSED, HALP_SLOT_OFFERED) ==
            HALP_SLOT_OFFERED)
        {
            KiLog(KiLogWarning, "CPU with APIC id %u did not answer within %u ms: left off",
                  Slots[Index].ApicId, ANSWER_LIMIT_MS);
        }
    }
}

LONG HalpParkedProcessors(VOID)
{
    return HalpTrampoline != NULL ? ReadNoFence(&HalpTrampoline->Parked) : 0;
}

BOOLEAN HalpStartUnlisted(ULONG ApicId)
{
    if (HalpTrampoline == NULL)
    {
        return FALSE;
    }
    HalpApicCommand(ApicId, APIC_ICR_INIT | APIC_ICR_ASSERT);
    HalpStall(INIT_WAIT_US);
    HalpApicCommand(ApicId,
                    APIC_ICR_STARTUP | APIC_ICR_ASSERT | STARTUP_VECTOR(ArchTrampolinePages));
    return TRUE;
}
