/* SPDX-License-Identifier: MIT */
/*
 * intx.c - which interrupt line may a PCI device's INTx pin reach?
 *
 * The answer is in firmware's AML, which this kernel does not run. What can be known without it: a
 * bridge rotates the pins of what lies behind it, and two chipsets are wired one way only. After
 * those come what firmware wrote into the device, and then every line that PCI devices use. None of
 * this is certain, so each answer is a candidate, with the rule that named it: the bus tries them
 * in this order, and the driver proves one by interrupting itself.
 *
 * A wrong polarity makes a quiet line look busy for ever. Real boards pull PCI lines low; QEMU's
 * are active high (its AML says so, and KVM's IOAPIC obeys), so QEMU is told apart by the subsystem
 * id of its host bridge, and the other polarity follows as a later candidate. An ISA line has the
 * polarity that the MADT gives it.
 *
 * Sources: PCI-to-PCI Bridge 1.2, 9.1 ("Interrupt Routing"); 82371AB/SB (PIIX) data sheet, PIRQRC;
 * ICH9 data sheet, PIRQ[n]_ROUT and D31IR..D25IR.
 */
#include <arch/hal.h>
#include <ki.h>

#define PCI_DEVICES 32u
#define PCI_FUNCTIONS 8u
#define PCI_ID 0x00 /* vendor in the low word, device in the high one */
#define PCI_HEADER_TYPE 0x0E
#define PCI_HEADER_MULTIFUNCTION 0x80u
#define PCI_HEADER_BRIDGE 0x01u
#define PCI_SECONDARY_BUS 0x19
#define PCI_SUBORDINATE_BUS 0x1A
#define PCI_SUBSYSTEM_ID 0x2C
#define PCI_INTERRUPT_LINE 0x3C
#define PCI_NO_FUNCTION 0xFFFFFFFFu

#define PCI_LINE_UNKNOWN 0xFFu

#define ID_I440FX 0x12378086u
#define ID_PIIX3 0x70008086u
#define ID_Q35 0x29C08086u
#define ID_ICH9_LPC 0x29188086u
#define SUBSYSTEM_QEMU 0x11001AF4u

#define PIIX3_DEVICE 1u
#define ICH9_LPC_DEVICE 31u
#define PIRQ_A_ROUT 0x60u /* four registers, one a PIRQ; PIIX and ICH alike */
#define PIRQ_E_ROUT 0x68u /* ICH: four more                                  */
#define PIRQ_ROUT_OFF 0x80u

#define ISA_LINES 16u
#define GSI_PIRQ_A 16u /* the eight PIRQs of a chipset with an IOAPIC, and of most boards */
#define GSI_PIRQ_E 20u
#define GSI_PIRQ_H 23u

/* An INTx pin as the root bus sees it: pins count from 0 here. */
typedef struct _HALP_ROOT_PIN
{
    ULONG Device;
    ULONG Pin;
} HALP_ROOT_PIN, *PHALP_ROOT_PIN;

typedef struct _HALP_CANDIDATES
{
    PHALP_LINE_CANDIDATE Entries;
    ULONG Count;
    HALP_POLARITY Preferred; /* of lines that are no ISA lines */
} HALP_CANDIDATES, *PHALP_CANDIDATES;

/* ------------------------------------------------------------------ The way down to a device. */

/* Finds the bridge on Bus behind which Target lies; its device number, or PCI_DEVICES if there is
 * none. *Secondary is the bus right behind it: above Bus, so a walk down always ends. */
static ULONG HalpFindBridge(ULONG Bus, ULONG Target, PULONG Secondary)
{
    for (ULONG Device = 0; Device < PCI_DEVICES; Device++)
    {
        for (ULONG Function = 0; Function < PCI_FUNCTIONS; Function++)
        {
            if (HalpPciRead(Bus, Device, Function, PCI_ID, 4) == PCI_NO_FUNCTION)
            {
                if (Function == 0)
                {
                    break;
                }
                continue;
            }

            ULONG HeaderType = HalpPciRead(Bus, Device, Function, PCI_HEADER_TYPE, 1);

            if ((HeaderType & ~PCI_HEADER_MULTIFUNCTION) == PCI_HEADER_BRIDGE)
            {
                *Secondary = HalpPciRead(Bus, Device, Function, PCI_SECONDARY_BUS, 1);
                if (*Secondary > Bus && *Secondary <= Target &&
                    Target <= HalpPciRead(Bus, Device, Function, PCI_SUBORDINATE_BUS, 1))
                {
                    return Device;
                }
            }
            if (Function == 0 && (HeaderType & PCI_HEADER_MULTIFUNCTION) == 0)
            {
                break;
            }
        }
    }
    return PCI_DEVICES;
}

/*
 * Follows a pin up to bus 0. A device behind a bridge drives the bridge's pin (pin + device) mod 4;
 * the bridge is then the device, one bus up. FALSE if no chain of bridges leads from bus 0 to Bus.
 */
static BOOLEAN HalpFindRootPin(ULONG Bus, ULONG Device, ULONG Pin, PHALP_ROOT_PIN Root)
{
    UCHAR Path[256]; /* bridge devices from bus 0 down: buses only grow, so it cannot overflow */
    ULONG Depth = 0;

    for (ULONG Current = 0; Current != Bus;)
    {
        ULONG Bridge = HalpFindBridge(Current, Bus, &Current);

        if (Bridge == PCI_DEVICES)
        {
            return FALSE;
        }
        Path[Depth++] = (UCHAR)Bridge;
    }

    Root->Device = Device;
    Root->Pin = Pin;
    while (Depth != 0)
    {
        Root->Pin = (Root->Pin + Root->Device) % 4;
        Root->Device = Path[--Depth];
    }
    return TRUE;
}

/* ------------------------------------------------------------------ The list. */

/* Adds a level-triggered line, unless it is there already or no IOAPIC has it. */
static VOID HalpAddLine(PHALP_CANDIDATES List, ULONG Gsi, HALP_POLARITY Polarity, PCSTR Rule)
{
    if (!HalpLineExists(Gsi))
    {
        return;
    }
    for (ULONG Index = 0; Index < List->Count; Index++)
    {
        const HALP_LINE *Line = &List->Entries[Index].Line;

        if (Line->Gsi == Gsi && Line->Polarity == Polarity)
        {
            return;
        }
    }
    if (List->Count < HALP_MAXIMUM_CANDIDATES)
    {
        PHALP_LINE_CANDIDATE Entry = &List->Entries[List->Count++];

        Entry->Line.Gsi = Gsi;
        Entry->Line.Mode = LevelSensitive;
        Entry->Line.Polarity = Polarity;
        Entry->Rule = Rule;
    }
}

/* An ISA line that a PCI device uses: level-triggered whatever the line's own default, and active
 * as the MADT says, or else high, as ISA lines are. */
static VOID HalpAddIsaLine(PHALP_CANDIDATES List, ULONG Irq, PCSTR Rule)
{
    HALP_LINE Line = HalpIsaLine(Irq);

    HalpAddLine(List, Line.Gsi, Line.Polarity == HalpActiveLow ? HalpActiveLow : HalpActiveHigh,
                Rule);
}

static HALP_POLARITY HalpOpposite(HALP_POLARITY Polarity)
{
    return Polarity == HalpActiveHigh ? HalpActiveLow : HalpActiveHigh;
}

/* A line that is no ISA line, both ways up, the likelier first. */
static VOID HalpAddPciLine(PHALP_CANDIDATES List, ULONG Gsi, PCSTR Rule)
{
    HalpAddLine(List, Gsi, List->Preferred, Rule);
    HalpAddLine(List, Gsi, HalpOpposite(List->Preferred), Rule);
}

/* A line known by its GSI alone. */
static VOID HalpAddGsi(PHALP_CANDIDATES List, ULONG Gsi, PCSTR Rule)
{
    for (ULONG Irq = 0; Irq < ISA_LINES; Irq++)
    {
        if (HalpIsaLine(Irq).Gsi == Gsi)
        {
            HalpAddIsaLine(List, Irq, Rule);
            return;
        }
    }
    HalpAddPciLine(List, Gsi, Rule);
}

/* ------------------------------------------------------------------ The rules. */

/*
 * i440FX with PIIX3: the four PIRQs go round the slots, one further each, and each is routed to the
 * ISA line in its register; the IOAPIC has no other input for it.
 */
static VOID HalpAddPiix3Line(PHALP_CANDIDATES List, const HALP_ROOT_PIN *Root)
{
    if (HalpPciRead(0, 0, 0, PCI_ID, 4) != ID_I440FX ||
        HalpPciRead(0, PIIX3_DEVICE, 0, PCI_ID, 4) != ID_PIIX3)
    {
        return;
    }

    ULONG Pirq = (Root->Device + Root->Pin + 3) % 4; /* slot 1, pin A: PIRQA */
    ULONG Route = HalpPciRead(0, PIIX3_DEVICE, 0, PIRQ_A_ROUT + Pirq, 1);

    if ((Route & PIRQ_ROUT_OFF) == 0)
    {
        HalpAddIsaLine(List, Route % ISA_LINES, "PIIX3 PIRQ route");
    }
}

/*
 * q35 with ICH9: PIRQA..H are lines 16..23. Devices 25 to 29 and 31 are the chipset's own, pin by
 * pin on A..D after reset; device 30 is its PCI bridge, on E..H; the slots go round E..H.
 *
 * A PIRQ whose ROUT register names an ISA line interrupts there as well, a line that nobody would
 * quiet: those routes serve the 8259, and are turned off before any of the lines is used.
 */
static VOID HalpAddIch9Line(PHALP_CANDIDATES List, const HALP_ROOT_PIN *Root)
{
    ULONG Gsi;

    if (HalpPciRead(0, 0, 0, PCI_ID, 4) != ID_Q35 ||
        HalpPciRead(0, ICH9_LPC_DEVICE, 0, PCI_ID, 4) != ID_ICH9_LPC)
    {
        return;
    }
    for (ULONG Index = 0; Index < 4; Index++)
    {
        HalpPciWrite(0, ICH9_LPC_DEVICE, 0, PIRQ_A_ROUT + Index, 1, PIRQ_ROUT_OFF);
        HalpPciWrite(0, ICH9_LPC_DEVICE, 0, PIRQ_E_ROUT + Index, 1, PIRQ_ROUT_OFF);
    }

    if (Root->Device == 30)
    {
        Gsi = GSI_PIRQ_E + Root->Pin;
    }
    else if (Root->Device >= 25)
    {
        Gsi = GSI_PIRQ_A + Root->Pin;
    }
    else
    {
        Gsi = GSI_PIRQ_E + (Root->Device + Root->Pin) % 4;
    }
    HalpAddPciLine(List, Gsi, "ICH9 wiring");
}

/* What firmware left for a system on the 8259, or, with a number beyond it, for one on the IOAPIC.
 * 0 and 255 mean nothing was routed. */
static VOID HalpAddRegisterLine(PHALP_CANDIDATES List, ULONG Bus, ULONG Device, ULONG Function)
{
    static const CHAR Rule[] = "Interrupt Line register";
    ULONG Line = HalpPciRead(Bus, Device, Function, PCI_INTERRUPT_LINE, 1);

    if (Line == 0 || Line == PCI_LINE_UNKNOWN)
    {
        return;
    }
    if (Line < ISA_LINES)
    {
        HalpAddIsaLine(List, Line, Rule);
    }
    else
    {
        HalpAddPciLine(List, Line, Rule);
    }
}

/*
 * HalpPciInterruptCandidates - see hal.h. PASSIVE_LEVEL, while no line of the device is in use.
 */
ULONG HalpPciInterruptCandidates(ULONG Bus, ULONG Device, ULONG Function, ULONG Pin,
                                 HALP_LINE_CANDIDATE Candidates[HALP_MAXIMUM_CANDIDATES])
{
    HALP_CANDIDATES List = {.Entries = Candidates, .Count = 0};
    HALP_ROOT_PIN Root;

    if (Pin < 1 || Pin > 4)
    {
        return 0;
    }
    List.Preferred = HalpPciRead(0, 0, 0, PCI_SUBSYSTEM_ID, 4) == SUBSYSTEM_QEMU ? HalpActiveHigh
                                                                                 : HalpActiveLow;

    if (KiOptions.NicGsi != KI_NIC_GSI_UNKNOWN)
    {
        HalpAddGsi(&List, KiOptions.NicGsi, "nic.gsi option");
    }
    if (HalpFindRootPin(Bus, Device, Pin - 1, &Root))
    {
        HalpAddPiix3Line(&List, &Root);
        HalpAddIch9Line(&List, &Root);
    }
    HalpAddRegisterLine(&List, Bus, Device, Function);

    for (ULONG Gsi = GSI_PIRQ_A; Gsi <= GSI_PIRQ_H; Gsi++)
    {
        HalpAddLine(&List, Gsi, List.Preferred, "probe");
    }
    for (ULONG Gsi = GSI_PIRQ_A; Gsi <= GSI_PIRQ_H; Gsi++)
    {
        HalpAddLine(&List, Gsi, HalpOpposite(List.Preferred), "probe, other polarity");
    }
    return List.Count;
}
