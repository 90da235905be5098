/* SPDX-License-Identifier: MIT */
/*
 * reset.c - the reset ladder: four ways to reset a PC, from the one that firmware names to the one
 * that every processor has.
 *
 * Each rung is tried alone and given time, and its caller (kernel/ke/exit.c) names it in the log
 * before. They work from a bug check, where a stopped processor may hold any lock: whatever needs
 * memory or a lock is prepared at start-up. Sources: ACPI Specification 6.5, 4.8.3.6 (reset
 * register) and 5.2.3.2 (its addresses); Intel PCH datasheets, "Reset Control Register"; IBM PC AT
 * keyboard controller, command FE; SDM 3A, 6.15 (shutdown after a triple fault).
 */
#include "halp.h"

#include <io.h>

#include <mm.h>

#define RESET_WAIT_US 200000

#define RESET_CONTROL 0xCF9
#define RESET_SYSTEM 0x02 /* a whole reset, not INIT ... */
#define RESET_START 0x04  /* ... on the edge of this     */
#define RESET_FULL 0x08   /* with power taken away       */

#define KEYBOARD_STATUS 0x64
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_INPUT_FULL 0x02
#define KEYBOARD_PULSE_RESET 0xFE
#define KEYBOARD_WAIT_US 50000
#define KEYBOARD_STEP_US 50

#define PCI_ADDRESS 0xCF8
#define PCI_DATA 0xCFC
#define PCI_ENABLE 0x80000000u

/* The reset register, if it lies in memory: mapped once at start-up. */
static volatile UCHAR *HalpResetRegister KI_RO_AFTER_INIT;

VOID HalpPrepareReset(VOID)
{
    const HALP_ACPI_REGISTER *Register = &HalpAcpi.Fadt.Reset;

    if (Register->Address != 0 && Register->Space == HALP_ACPI_SPACE_MEMORY)
    {
        HalpResetRegister = HalpMapRegisters("ACPI: FADT: reset register", Register->Address, 1);
    }
}

/* Without the lock over the two ports: who holds it may have been stopped. */
static VOID HalpPciReset(ULONG64 Register, UCHAR Value)
{
    ULONG Device = (ULONG)(Register >> 32), Function = (ULONG)(Register >> 16 & 7);
    ULONG Offset = (ULONG)(Register & 0xFF);

    __outdword(PCI_ADDRESS, PCI_ENABLE | Device << 11 | Function << 8 | (Offset & ~3u));
    __outbyte((USHORT)(PCI_DATA + (Offset & 3)), Value);
}

static VOID HalpAcpiReset(VOID)
{
    const HALP_ACPI_REGISTER *Register = &HalpAcpi.Fadt.Reset;
    UCHAR Value = HalpAcpi.Fadt.ResetValue;

    switch (Register->Space)
    {
    case HALP_ACPI_SPACE_MEMORY:
        WRITE_REGISTER_UCHAR(HalpResetRegister, Value);
        break;
    case HALP_ACPI_SPACE_IO:
        __outbyte((USHORT)Register->Address, Value);
        break;
    default:
        HalpPciReset(Register->Address, Value);
        break;
    }
}

static VOID HalpCf9Reset(VOID)
{
    __outbyte(RESET_CONTROL, RESET_SYSTEM);
    HalpStall(KEYBOARD_STEP_US);
    __outbyte(RESET_CONTROL, RESET_SYSTEM | RESET_START);
    HalpStall(RESET_WAIT_US);
    __outbyte(RESET_CONTROL, RESET_SYSTEM | RESET_FULL);
    HalpStall(KEYBOARD_STEP_US);
    __outbyte(RESET_CONTROL, RESET_SYSTEM | RESET_FULL | RESET_START);
}

/* Also if the controller never takes its last byte: there is nothing to lose. */
static VOID HalpKeyboardReset(VOID)
{
    for (ULONG Waited = 0; Waited < KEYBOARD_WAIT_US; Waited += KEYBOARD_STEP_US)
    {
        if (!(__inbyte(KEYBOARD_STATUS) & KEYBOARD_INPUT_FULL))
        {
            break;
        }
        HalpStall(KEYBOARD_STEP_US);
    }
    __outbyte(KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
}

/* An interrupt table without entries: the breakpoint faults, and so does the fault. */
static VOID HalpTripleFault(VOID)
{
    struct __attribute__((packed))
    {
        USHORT Limit;
        ULONG64 Base;
    } NoIdt = {0, 0};

    __asm__ volatile("lidt %0" ::"m"(NoIdt));
    __asm__ volatile("int3");
}

PCSTR HalpRungName(HALP_RUNG Rung)
{
    static const PCSTR Names[HalpRungs] = {
        [HalpRungAcpi] = "ACPI's reset register",
        [HalpRungCf9] = "port CF9",
        [HalpRungKeyboard] = "the keyboard controller's pulse",
        [HalpRungFault] = "a triple fault",
    };

    return Names[Rung];
}

PCSTR HalpRungProblem(HALP_RUNG Rung)
{
    PCSTR Problem = NULL;

    if (Rung == HalpRungAcpi)
    {
        Problem = HalpAcpi.HaveFadt ? HalpAcpiResetProblem(&HalpAcpi.Fadt.Reset) : "no FADT";
        if (Problem == NULL && HalpAcpi.Fadt.Reset.Space == HALP_ACPI_SPACE_MEMORY &&
            HalpResetRegister == NULL)
        {
            Problem = "the reset register cannot be mapped";
        }
    }
    else if (Rung == HalpRungKeyboard && __inbyte(KEYBOARD_STATUS) == MAXUCHAR)
    {
        Problem = "there is none";
    }
    return Problem;
}

VOID HalpReset(HALP_RUNG Rung)
{
    static VOID (*const Ways[HalpRungs])(VOID) = {
        [HalpRungAcpi] = HalpAcpiReset,
        [HalpRungCf9] = HalpCf9Reset,
        [HalpRungKeyboard] = HalpKeyboardReset,
        [HalpRungFault] = HalpTripleFault,
    };

    Ways[Rung]();
    HalpStall(RESET_WAIT_US);
}
