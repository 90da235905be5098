/* SPDX-License-Identifier: MIT */
/*
 * fadt.c - reads the FADT: where the power-management timer, the power-off and reset registers and
 * the DSDT are (ACPI Specification 6.5, 5.2.9).
 *
 * The table grew with each revision, and firmware does not always give the length that its revision
 * implies. So the length alone decides: a field that does not lie wholly in the table is absent.
 */
#include "acpi.h"

#include <rtl.h>

#define HALP_FADT_V1_LENGTH 116
#define HALP_FADT_TIMER_32BIT 0x100u
#define HALP_FADT_RESET_SUPPORTED 0x400u
#define HALP_FADT_HARDWARE_REDUCED 0x100000u
#define HALP_PM_TIMER_LENGTH 4
#define HALP_HIGHEST_PORT 0xFFFFu

typedef struct __attribute__((packed)) _HALP_GENERIC_ADDRESS
{
    UCHAR Space;
    UCHAR BitWidth;
    UCHAR BitOffset;
    UCHAR AccessSize;
    ULONG64 Address;
} HALP_GENERIC_ADDRESS;

typedef struct __attribute__((packed)) _HALP_FADT_TABLE
{
    HALP_ACPI_HEADER Header;
    ULONG FirmwareControl;
    ULONG Dsdt;
    UCHAR Reserved1;
    UCHAR PreferredProfile;
    USHORT SciInterrupt;
    ULONG SmiCommand;
    UCHAR AcpiEnable;
    UCHAR AcpiDisable;
    UCHAR S4BiosRequest;
    UCHAR PstateControl;
    ULONG Pm1aEvent;
    ULONG Pm1bEvent;
    ULONG Pm1aControl;
    ULONG Pm1bControl;
    ULONG Pm2Control;
    ULONG PmTimer;
    ULONG Gpe0;
    ULONG Gpe1;
    UCHAR Pm1EventLength;
    UCHAR Pm1ControlLength;
    UCHAR Pm2ControlLength;
    UCHAR PmTimerLength;
    UCHAR Gpe0Length;
    UCHAR Gpe1Length;
    UCHAR Gpe1Base;
    UCHAR CstateControl;
    USHORT C2Latency;
    USHORT C3Latency;
    USHORT FlushSize;
    USHORT FlushStride;
    UCHAR DutyOffset;
    UCHAR DutyWidth;
    UCHAR DayAlarm;
    UCHAR MonthAlarm;
    UCHAR Century;
    USHORT BootArchitecture;
    UCHAR Reserved2;
    ULONG Flags;
    HALP_GENERIC_ADDRESS Reset; /* from here on: revision 2 and later, by Length */
    UCHAR ResetValue;
    USHORT ArmBootArchitecture;
    UCHAR MinorRevision;
    ULONG64 XFirmwareControl;
    ULONG64 XDsdt;
    HALP_GENERIC_ADDRESS XPm1aEvent;
    HALP_GENERIC_ADDRESS XPm1bEvent;
    HALP_GENERIC_ADDRESS XPm1aControl;
    HALP_GENERIC_ADDRESS XPm1bControl;
    HALP_GENERIC_ADDRESS XPm2Control;
    HALP_GENERIC_ADDRESS XPmTimer;
} HALP_FADT_TABLE;

C_ASSERT(FIELD_OFFSET(HALP_FADT_TABLE, Reset) == HALP_FADT_V1_LENGTH);
C_ASSERT(FIELD_OFFSET(HALP_FADT_TABLE, XPmTimer) == 208);

/* A field of Size bytes, or zero if the table ends before the field does. */
static ULONG64 HalpAcpiReadField(const VOID *Table, ULONG Offset, ULONG Size)
{
    const HALP_ACPI_HEADER *Header = Table;
    ULONG64 Value = 0;

    if (Offset + Size <= Header->Length)
    {
        RtlCopyMemory(&Value, (const UCHAR *)Table + Offset, Size);
    }
    return Value;
}

#define HALP_FADT_FIELD(Table, Name)                                                               \
    HalpAcpiReadField((Table), FIELD_OFFSET(HALP_FADT_TABLE, Name),                                \
                      RTL_FIELD_SIZE(HALP_FADT_TABLE, Name))

static HALP_ACPI_REGISTER HalpAcpiReadRegister(const VOID *Table, ULONG Offset)
{
    const HALP_ACPI_HEADER *Header = Table;
    HALP_ACPI_REGISTER Register = {0};

    if (Offset + sizeof(HALP_GENERIC_ADDRESS) <= Header->Length)
    {
        const HALP_GENERIC_ADDRESS *Field = (const VOID *)((const UCHAR *)Table + Offset);

        Register = (HALP_ACPI_REGISTER){Field->Space, Field->BitWidth, Field->BitOffset,
                                        Field->AccessSize, Field->Address};
    }
    return Register;
}

/* A register that has an old field, a bare port number, and a new one, which may be absent, empty,
 * or in a space that makes no sense: then the old one counts. */
static HALP_ACPI_REGISTER HalpAcpiReadPort(const VOID *Table, ULONG NewOffset, ULONG64 OldPort,
                                           UCHAR BitWidth)
{
    HALP_ACPI_REGISTER Register = HalpAcpiReadRegister(Table, NewOffset);

    if (Register.Address == 0 || Register.Space > HALP_ACPI_SPACE_IO)
    {
        Register = (HALP_ACPI_REGISTER){HALP_ACPI_SPACE_IO, BitWidth, 0, 0, OldPort};
    }
    return Register;
}

/* The power-management timer and control registers. */
static VOID HalpAcpiReadPmRegisters(const VOID *Table, ULONG Flags, PHALP_FADT_INFO Info)
{
    Info->HardwareReduced = (Flags & HALP_FADT_HARDWARE_REDUCED) != 0;
    if (Info->HardwareReduced)
    {
        return;
    }
    Info->Pm1aControl = HalpAcpiReadPort(Table, FIELD_OFFSET(HALP_FADT_TABLE, XPm1aControl),
                                         HALP_FADT_FIELD(Table, Pm1aControl), 16);
    Info->Pm1bControl = HalpAcpiReadPort(Table, FIELD_OFFSET(HALP_FADT_TABLE, XPm1bControl),
                                         HALP_FADT_FIELD(Table, Pm1bControl), 16);
    if (HALP_FADT_FIELD(Table, PmTimerLength) == HALP_PM_TIMER_LENGTH)
    {
        Info->PmTimer = HalpAcpiReadPort(Table, FIELD_OFFSET(HALP_FADT_TABLE, XPmTimer),
                                         HALP_FADT_FIELD(Table, PmTimer), 32);
        Info->PmTimer32Bit = (Flags & HALP_FADT_TIMER_32BIT) != 0;
    }
}

static VOID HalpAcpiReadReset(const VOID *Table, ULONG Flags, PHALP_FADT_INFO Info)
{
    HALP_ACPI_REGISTER Reset = HalpAcpiReadRegister(Table, FIELD_OFFSET(HALP_FADT_TABLE, Reset));

    if ((Flags & HALP_FADT_RESET_SUPPORTED) && Reset.Space <= HALP_ACPI_SPACE_PCI)
    {
        Info->Reset = Reset;
        Info->ResetValue = (UCHAR)HALP_FADT_FIELD(Table, ResetValue);
    }
}

PCSTR HalpAcpiParseFadt(const VOID *Table, SIZE_T Length, PHALP_FADT_INFO Info)
{
    const HALP_ACPI_HEADER *Header = Table;
    PCSTR Problem = HalpAcpiValidateTable(Table, Length, "FACP");
    ULONG Flags;

    RtlZeroMemory(Info, sizeof(*Info));
    if (Problem != NULL)
    {
        return Problem;
    }
    Flags = (ULONG)HALP_FADT_FIELD(Table, Flags);
    Info->Revision = Header->Revision;
    Info->SciInterrupt = (USHORT)HALP_FADT_FIELD(Table, SciInterrupt);
    Info->CenturyIndex = (UCHAR)HALP_FADT_FIELD(Table, Century);
    Info->SmiCommandPort = (ULONG)HALP_FADT_FIELD(Table, SmiCommand);
    Info->AcpiEnableValue = (UCHAR)HALP_FADT_FIELD(Table, AcpiEnable);
    Info->BootArchitecture = (Header->Revision >= 2)
                                 ? (USHORT)HALP_FADT_FIELD(Table, BootArchitecture)
                                 : HALP_FADT_LEGACY_DEVICES | HALP_FADT_8042;
    Info->DsdtAddress = HALP_FADT_FIELD(Table, XDsdt);
    if (Info->DsdtAddress == 0)
    {
        Info->DsdtAddress = HALP_FADT_FIELD(Table, Dsdt);
    }
    HalpAcpiReadPmRegisters(Table, Flags, Info);
    HalpAcpiReadReset(Table, Flags, Info);
    return (Header->Length < HALP_FADT_V1_LENGTH) ? "FADT: shorter than revision 1" : NULL;
}

PCSTR HalpAcpiResetProblem(const HALP_ACPI_REGISTER *Register)
{
    if (Register->Address == 0)
    {
        return "firmware names no reset register";
    }
    if (Register->BitOffset != 0 || (Register->BitWidth != 8 && Register->BitWidth != 0))
    {
        return "the reset register is not one of 8 bits";
    }
    switch (Register->Space)
    {
    case HALP_ACPI_SPACE_MEMORY:
        return NULL;
    case HALP_ACPI_SPACE_IO:
        return Register->Address > HALP_HIGHEST_PORT ? "the reset register's port is above 65535"
                                                     : NULL;
    case HALP_ACPI_SPACE_PCI: /* bus 0; device, function, offset in words 2, 1 and 0 */
        return Register->Address >> 32 > 31 || (Register->Address >> 16 & 0xFFFF) > 7 ||
                       (Register->Address & 0xFFFF) > 0xFF
                   ? "the reset register's PCI address is none"
                   : NULL;
    default:
        return "the reset register lies in a space that cannot hold it";
    }
}
