/* SPDX-License-Identifier: MIT */
/*
 * processor.c - one processor's descriptor tables: GDT, TSS, IDT, and GS.
 *
 * Each processor has its own GDT and TSS inside its control region; the IDT is one for all, built
 * by the boot processor and read-only after start-up. #DF, NMI and #MC get stacks of their
 * own by IST, because they can arrive when the current stack is not usable; nothing else does, for
 * IST stacks do not nest. There is no user mode, so GS always holds the control region: no SWAPGS.
 */
#include "cpu.h"

#include <twin.h>

#define GDT_CODE 0x00209A0000000000ull
#define GDT_DATA 0x0000920000000000ull
#define GDT_TSS_AVAILABLE 0x89ull
#define GATE_INTERRUPT 0x8Eu /* present, DPL 0, 64-bit interrupt gate: enters with interrupts off */
#define STUB_SIZE 16

typedef struct __attribute__((packed)) _ARCH_TABLE_POINTER
{
    USHORT Limit;
    ULONG64 Base;
} ARCH_TABLE_POINTER;

typedef struct _ARCH_GATE
{
    USHORT OffsetLow;
    USHORT Selector;
    UCHAR Ist;
    UCHAR Type;
    USHORT OffsetMiddle;
    ULONG OffsetHigh;
    ULONG Reserved;
} ARCH_GATE;

extern UCHAR KiVectorStubs[VECTOR_COUNT * STUB_SIZE]; /* trap.asm */

static ARCH_GATE ArchIdt[VECTOR_COUNT] DECLSPEC_ALIGN(64) KI_RO_AFTER_INIT;

VOID ArchInitializeIdt(VOID)
{
    for (ULONG Vector = 0; Vector < VECTOR_COUNT; Vector++)
    {
        ULONG64 Stub = (ULONG64)&KiVectorStubs[Vector * STUB_SIZE];
        ARCH_GATE *Gate = &ArchIdt[Vector];

        Gate->OffsetLow = (USHORT)Stub;
        Gate->OffsetMiddle = (USHORT)(Stub >> 16);
        Gate->OffsetHigh = (ULONG)(Stub >> 32);
        Gate->Selector = SELECTOR_CODE;
        Gate->Type = GATE_INTERRUPT;
        Gate->Ist = 0;
        Gate->Reserved = 0;
    }
    ArchIdt[2].Ist = IST_NMI;
    ArchIdt[8].Ist = IST_DOUBLE_FAULT;
    ArchIdt[18].Ist = IST_MACHINE_CHECK;
}

VOID ArchLoadIdt(VOID)
{
    ARCH_TABLE_POINTER Pointer = {sizeof(ArchIdt) - 1, (ULONG64)ArchIdt};

    __asm__ volatile("lidt %0" ::"m"(Pointer) : "memory");
}

static VOID ArchLoadGdt(PKPCR Pcr)
{
    ARCH_TABLE_POINTER Pointer = {sizeof(Pcr->Gdt) - 1, (ULONG64)Pcr->Gdt};
    ULONG64 Tss = (ULONG64)&Pcr->Tss;

    Pcr->Gdt[0] = 0;
    Pcr->Gdt[SELECTOR_CODE / 8] = GDT_CODE;
    Pcr->Gdt[SELECTOR_DATA / 8] = GDT_DATA;
    Pcr->Gdt[SELECTOR_TSS / 8] = (sizeof(ARCH_TSS) - 1) | ((Tss & 0xFFFFFF) << 16) |
                                 (GDT_TSS_AVAILABLE << 40) | ((Tss >> 24 & 0xFF) << 56);
    Pcr->Gdt[SELECTOR_TSS / 8 + 1] = Tss >> 32;

    __asm__ volatile("lgdt %0" ::"m"(Pointer) : "memory");
    /* The loader's code selector is 0x08 with the same meaning, so CS need not be reloaded. */
    /* GS keeps its null selector: loading one would clear the base, which is set already. */
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %0, %%fs" ::"r"(SELECTOR_DATA)
                     : "memory");
    __asm__ volatile("ltr %w0" ::"r"(SELECTOR_TSS) : "memory");
}

VOID ArchSetIstStacks(PKI_PROCESSOR Processor, PVOID IstStacks[ARCH_IST_STACKS])
{
    for (ULONG Index = 0; Index < ARCH_IST_STACKS; Index++)
    {
        Processor->Pcr.Tss.Ist[Index] = (ULONG64)IstStacks[Index];
    }
}

VOID ArchInitializeProcessor(PKI_PROCESSOR Processor, PVOID IstStacks[ARCH_IST_STACKS])
{
    PKPCR Pcr = &Processor->Pcr;

    Pcr->Self = Pcr;
    Pcr->InterruptNesting = 0;
    RtlZeroMemory(&Pcr->Tss, sizeof(Pcr->Tss));
    Pcr->Tss.IoMapBase = sizeof(ARCH_TSS);
    ArchSetIstStacks(Processor, IstStacks);

    ArchLoadGdt(Pcr);
    /* The entry code has set GS already; firmware's other base goes too. */
    __writemsr(MSR_GS_BASE, (ULONG64)Pcr);
    __writemsr(MSR_KERNEL_GS_BASE, (ULONG64)Pcr);
    ArchLoadIdt();
}

VOID ArchInitializeBootProcessor(PKI_PROCESSOR Processor, PVOID IstStacks[ARCH_IST_STACKS])
{
    ArchInitializeIdt();
    ArchInitializeProcessor(Processor, IstStacks);
    ArchDetectFeatures(TRUE);
    ArchInitializeMachineChecks();
}

/* The twins of the exception stacks take them away here: the IDT is older than the options. */
VOID ArchProtectBootProcessor(VOID)
{
    ArchSetControlRegisters();
    ArchPatchEntry();
    if (KI_BOOT_TWIN(KiTwinNmiNoStack))
    {
        ArchIdt[2].Ist = 0;
    }
    if (KI_BOOT_TWIN(KiTwinMachineCheckNoStack))
    {
        ArchIdt[18].Ist = 0;
    }
}

VOID ArchInitializeFeatures(VOID)
{
    ArchDetectFeatures(FALSE);
    ArchInitializeMachineChecks();
    ArchSetControlRegisters();
}
