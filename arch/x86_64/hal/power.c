/* SPDX-License-Identifier: MIT */
/*
 * power.c - ways to end a run: the emulator's exit port, reset, halt; and what machine this is.
 *
 * Reset is a ladder, each step tried and given time before the next: ACPI's reset register, the
 * chipset's CF9, the keyboard controller, a triple fault. Power-off needs values from AML, which
 * this kernel does not interpret, so it halts and says so.
 */
#include "halp.h"

#include <io.h>

#include <mm.h>

#define DEBUG_EXIT_PORT 0xF4
#define RESET_CF9 0xCF9
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_PULSE_RESET 0xFE
#define RESET_WAIT_US 100000

VOID HalpDebugExit(ULONG Code)
{
    __outdword(DEBUG_EXIT_PORT, Code);
}

VOID HalpHalt(VOID)
{
    for (;;)
    {
        _disable();
        __halt();
    }
}

/* The reset register, if it lies in memory: mapped at start-up, for a bug check takes no locks. */
static volatile UCHAR *HalpResetRegister;

VOID HalpPrepareReset(VOID)
{
    const HALP_ACPI_REGISTER *Register = &HalpAcpi.Fadt.Reset;

    if (Register->Address != 0 && Register->Space == HALP_ACPI_SPACE_MEMORY)
    {
        HalpResetRegister = HalpMapRegisters("ACPI: FADT: reset register", Register->Address, 1);
    }
}

static VOID HalpAcpiReset(VOID)
{
    const HALP_ACPI_REGISTER *Register = &HalpAcpi.Fadt.Reset;

    if (HalpResetRegister != NULL)
    {
        WRITE_REGISTER_UCHAR(HalpResetRegister, HalpAcpi.Fadt.ResetValue);
    }
    else if (Register->Address != 0 && Register->Space == HALP_ACPI_SPACE_IO)
    {
        __outbyte((USHORT)Register->Address, HalpAcpi.Fadt.ResetValue);
    }
    HalpStall(RESET_WAIT_US);
}

VOID HalpReboot(VOID)
{
    struct __attribute__((packed))
    {
        USHORT Limit;
        ULONG64 Base;
    } NoIdt = {0, 0};

    HalpAcpiReset();
    __outbyte(RESET_CF9, 0x02);
    __outbyte(RESET_CF9, 0x06);
    HalpStall(RESET_WAIT_US);
    __outbyte(KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
    HalpStall(RESET_WAIT_US);
    __asm__ volatile("lidt %0" ::"m"(NoIdt));
    __asm__ volatile("int3");
}

VOID HalpPowerOff(VOID)
{
    KiLog(KiLogWarning, "power-off needs ACPI's AML, which this kernel lacks: halting");
}

BOOLEAN HalpIsUnderHypervisor(VOID)
{
    ULONG Info[4];

    __cpuidex(Info, 1, 0);
    return Info[2] >> 31;
}

PCSTR HalpHypervisorName(VOID)
{
    ULONG Info[4];
    CHAR Name[13] = {0};

    if (!HalpIsUnderHypervisor())
    {
        return "bare metal";
    }
    __cpuidex(Info, 0x40000000u, 0);
    RtlCopyMemory(Name, &Info[1], 12);
    if (strcmp(Name, "TCGTCGTCGTCG") == 0)
    {
        return "TCG";
    }
    if (strcmp(Name, "KVMKVMKVM") == 0)
    {
        return "KVM";
    }
    if (strcmp(Name, "VMwareVMware") == 0)
    {
        return "VMware";
    }
    if (strcmp(Name, "Microsoft Hv") == 0)
    {
        return "Hyper-V";
    }
    return "a hypervisor";
}
