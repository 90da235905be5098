/* SPDX-License-Identifier: MIT */
/*
 * power.c - switching off, and other ways to end a run; and what machine this is.
 *
 * Power-off is ACPI's soft-off: the sleep type of _S5 (s5.c) goes into the PM1 control registers,
 * with the bit that makes it happen (ACPI Specification 6.5, 4.8.3.2.1, 16.1.6; the method _PTS,
 * which is AML, is not run). All that can be known beforehand is found at start-up, so that a bug
 * check needs no memory and no lock. What is not known for certain is not written: then there is a
 * reason, and the machine halts.
 */
#include "halp.h"

#include <io.h>

#include <mm.h>

#define DEBUG_EXIT_PORT 0xF4

#define PM1_SCI_ENABLED 0x0001u /* ACPI mode */
#define PM1_SLEEP_TYPE_SHIFT 10
#define PM1_SLEEP_TYPE_MASK (7u << PM1_SLEEP_TYPE_SHIFT)
#define PM1_SLEEP_ENABLE 0x2000u

#define ACPI_MODE_WAIT_US 3000000 /* firmware does it in SMM, and some takes its time */
#define POWER_OFF_WAIT_US 5000000
#define POWER_STEP_US 1000

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

/* A PM1 control register. Memory is NULL if it is a port; Register's Address 0: there is none. */
typedef struct _HALP_PM1
{
    const HALP_ACPI_REGISTER *Register;
    volatile USHORT *Memory;
    UCHAR SleepType;
} HALP_PM1, *PHALP_PM1;

/* Set by HalpPreparePowerOff; constant afterwards. */
static HALP_PM1 HalpPm1[2] KI_RO_AFTER_INIT;
static PCSTR HalpPowerOffProblem = "no FADT";

/* Makes a register usable; what is wrong with it, or NULL. */
static PCSTR HalpPreparePm1(PHALP_PM1 Pm1, const HALP_ACPI_REGISTER *Register)
{
    Pm1->Register = Register;
    if (Register->Address == 0)
    {
        return NULL;
    }
    if (Register->Space == HALP_ACPI_SPACE_MEMORY)
    {
        Pm1->Memory = HalpMapRegisters("ACPI: FADT: PM1 control register", Register->Address,
                                       sizeof(USHORT));
        return Pm1->Memory == NULL ? "a PM1 control register cannot be mapped" : NULL;
    }
    return Register->Address >= MAXUSHORT ? "a PM1 control register's port is above 65534" : NULL;
}

static PCSTR HalpFindPowerOff(VOID)
{
    const HALP_FADT_INFO *Fadt = &HalpAcpi.Fadt;
    UCHAR Types[2];
    ULONG Length;
    PVOID Dsdt;
    PCSTR Problem;

    if (Fadt->HardwareReduced)
    {
        return "hardware-reduced ACPI has no PM1 control registers";
    }
    if (Fadt->Pm1aControl.Address == 0)
    {
        return "the FADT names no PM1 control register";
    }
    if (Fadt->DsdtAddress == 0)
    {
        return "the FADT names no DSDT";
    }
    Dsdt = HalpMapTable(Fadt->DsdtAddress, &Length);
    if (Dsdt == NULL)
    {
        return "the DSDT cannot be read";
    }
    Problem = HalpAcpiFindS5(Dsdt, Length, Types);
    MmUnmapIoSpace(Dsdt, Length);
    HalpPm1[0].SleepType = Types[0];
    HalpPm1[1].SleepType = Types[1];
    Problem = Problem != NULL ? Problem : HalpPreparePm1(&HalpPm1[0], &Fadt->Pm1aControl);
    return Problem != NULL ? Problem : HalpPreparePm1(&HalpPm1[1], &Fadt->Pm1bControl);
}

VOID HalpPreparePowerOff(VOID)
{
    if (!HalpAcpi.HaveFadt)
    {
        return;
    }
    HalpPowerOffProblem = HalpFindPowerOff();
    if (HalpPowerOffProblem != NULL)
    {
        KiLog(KiLogTrace, "power-off: %s", HalpPowerOffProblem);
    }
    else
    {
        KiLog(KiLogTrace, "power-off: soft-off is type %u and %u, PM1 at %llx and %llx",
              HalpPm1[0].SleepType, HalpPm1[1].SleepType, HalpPm1[0].Register->Address,
              HalpPm1[1].Register->Address);
    }
}

static USHORT HalpReadPm1(const HALP_PM1 *Pm1)
{
    return Pm1->Memory != NULL ? READ_REGISTER_USHORT(Pm1->Memory)
                               : __inword((USHORT)Pm1->Register->Address);
}

static VOID HalpWritePm1(const HALP_PM1 *Pm1, ULONG Value)
{
    if (Pm1->Register->Address == 0)
    {
        return;
    }
    if (Pm1->Memory != NULL)
    {
        WRITE_REGISTER_USHORT(Pm1->Memory, (USHORT)Value);
    }
    else
    {
        __outword((USHORT)Pm1->Register->Address, (USHORT)Value);
    }
}

static ULONG HalpSleepValue(const HALP_PM1 *Pm1)
{
    ULONG Value = Pm1->Register->Address != 0 ? HalpReadPm1(Pm1) : 0;

    Value &= ~(PM1_SLEEP_TYPE_MASK | PM1_SLEEP_ENABLE);
    return Value | (ULONG)Pm1->SleepType << PM1_SLEEP_TYPE_SHIFT;
}

/* While firmware owns the registers (legacy mode), it is asked to let go of them. FALSE: it did not
 * answer. */
static BOOLEAN HalpEnterAcpiMode(VOID)
{
    const HALP_FADT_INFO *Fadt = &HalpAcpi.Fadt;

    if (Fadt->SmiCommandPort == 0 || Fadt->SmiCommandPort > MAXUSHORT ||
        Fadt->AcpiEnableValue == 0 || (HalpReadPm1(&HalpPm1[0]) & PM1_SCI_ENABLED))
    {
        return TRUE;
    }
    __outbyte((USHORT)Fadt->SmiCommandPort, Fadt->AcpiEnableValue);
    for (ULONG Waited = 0; Waited < ACPI_MODE_WAIT_US; Waited += POWER_STEP_US)
    {
        if (HalpReadPm1(&HalpPm1[0]) & PM1_SCI_ENABLED)
        {
            return TRUE;
        }
        HalpStall(POWER_STEP_US);
    }
    return FALSE;
}

PCSTR HalpPowerOffObstacle(VOID)
{
    return HalpPowerOffProblem;
}

PCSTR HalpPowerOff(VOID)
{
    ULONG Values[2];

    if (HalpPowerOffProblem != NULL)
    {
        return HalpPowerOffProblem;
    }
    if (!HalpEnterAcpiMode())
    {
        return "firmware did not switch to ACPI mode within 3 s";
    }
    for (ULONG Index = 0; Index < 2; Index++)
    {
        Values[Index] = HalpSleepValue(&HalpPm1[Index]);
        HalpWritePm1(&HalpPm1[Index], Values[Index]);
    }
    for (ULONG Index = 0; Index < 2; Index++)
    {
        HalpWritePm1(&HalpPm1[Index], Values[Index] | PM1_SLEEP_ENABLE);
    }
    HalpStall(POWER_OFF_WAIT_US);
    return "the machine is still on after 5 s";
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
