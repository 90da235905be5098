/* SPDX-License-Identifier: MIT */
/*
 * pciscan.c - reading PCI configuration space: which functions exist, and which addresses they
 * answer to.
 *
 * The registers are what firmware and hardware left there, and neither is trusted: a bridge that
 * leads back, a base address beyond the end of the address space and a device that stopped
 * answering all end in a function or a range that is not used. Nothing here but HalpPciRead and
 * HalpPciWrite touches the machine, so it is tested on the host against made-up buses. Source: PCI
 * Local Bus 3.0, 6.1 and 6.2.5.
 */
#include "iop.h"

#define IOP_PCI_BUSES 256u
#define IOP_PCI_DEVICES 32u
#define IOP_PCI_FUNCTIONS 8u

#define PCI_VENDOR_ID 0x00
#define PCI_DEVICE_ID 0x02
#define PCI_PROG_IF 0x09
#define PCI_SUB_CLASS 0x0A
#define PCI_BASE_CLASS 0x0B
#define PCI_HEADER_TYPE 0x0E
#define PCI_BASE_ADDRESS 0x10
#define PCI_SECONDARY_BUS 0x19
#define PCI_INTERRUPT_PIN 0x3D

#define PCI_INVALID_VENDOR 0xFFFFu
#define PCI_MULTIFUNCTION 0x80u
#define PCI_BRIDGE_TYPE 0x01
#define PCI_ADDRESS_IO_SPACE 0x1u
#define PCI_ADDRESS_TYPE 0x6u
#define PCI_ADDRESS_TYPE_64BIT 0x4u
#define PCI_ADDRESS_IO_MASK (~0x3ull)
#define PCI_ADDRESS_MEMORY_MASK (~0xFull)
#define PCI_HIGHEST_PORT 0xFFFFull

ULONG IopPciRead(const IOP_PCI_FUNCTION *Function, ULONG Offset, ULONG Size)
{
    return HalpPciRead(Function->Bus, Function->Device, Function->Function, Offset, Size);
}

VOID IopPciWrite(const IOP_PCI_FUNCTION *Function, ULONG Offset, ULONG Size, ULONG Value)
{
    HalpPciWrite(Function->Bus, Function->Device, Function->Function, Offset, Size, Value);
}

/* ------------------------------------------------------------------ Functions. */

/* Buses seen so far and not yet scanned. A bus is noted once, and only from a bus below it, so the
 * scan ends after at most 256. */
typedef struct _IOP_PCI_BUS_SET
{
    BOOLEAN Noted[IOP_PCI_BUSES];
} IOP_PCI_BUS_SET, *PIOP_PCI_BUS_SET;

/* Reads a function's identity; FALSE if nothing answers there. */
static BOOLEAN IopPciIdentify(PIOP_PCI_FUNCTION Function, PBOOLEAN Multifunction)
{
    Function->VendorId = (USHORT)IopPciRead(Function, PCI_VENDOR_ID, 2);
    if (Function->VendorId == PCI_INVALID_VENDOR || Function->VendorId == 0)
    {
        return FALSE;
    }

    ULONG HeaderType = IopPciRead(Function, PCI_HEADER_TYPE, 1);
    ULONG Pin = IopPciRead(Function, PCI_INTERRUPT_PIN, 1);

    Function->DeviceId = (USHORT)IopPciRead(Function, PCI_DEVICE_ID, 2);
    Function->ProgIf = (UCHAR)IopPciRead(Function, PCI_PROG_IF, 1);
    Function->SubClass = (UCHAR)IopPciRead(Function, PCI_SUB_CLASS, 1);
    Function->BaseClass = (UCHAR)IopPciRead(Function, PCI_BASE_CLASS, 1);
    Function->HeaderType = (UCHAR)(HeaderType & ~PCI_MULTIFUNCTION);
    Function->InterruptPin = (UCHAR)(Pin <= 4 ? Pin : 0);
    *Multifunction = (HeaderType & PCI_MULTIFUNCTION) != 0;
    return TRUE;
}

/* Notes the bus behind a bridge. One that firmware did not number (0), or numbered no higher than
 * the bus the bridge is on, is not followed. */
static VOID IopPciNoteBridge(const IOP_PCI_FUNCTION *Bridge, PIOP_PCI_BUS_SET Buses)
{
    ULONG Secondary = IopPciRead(Bridge, PCI_SECONDARY_BUS, 1);

    if (Secondary > Bridge->Bus)
    {
        Buses->Noted[Secondary] = TRUE;
    }
    else
    {
        KiLog(KiLogWarning, "pci %02X:%02X.%u: a bridge to bus %u, which is not above it: ignored",
              Bridge->Bus, Bridge->Device, Bridge->Function, Secondary);
    }
}

static VOID IopPciScanDevice(ULONG Bus, ULONG Device, PIOP_PCI_BUS_SET Buses, IOP_PCI_VISIT *Visit,
                             PVOID Context)
{
    ULONG Functions = 1;

    for (ULONG Number = 0; Number < Functions; Number++)
    {
        IOP_PCI_FUNCTION Function = {
            .Bus = (UCHAR)Bus, .Device = (UCHAR)Device, .Function = (UCHAR)Number};
        BOOLEAN Multifunction;

        if (!IopPciIdentify(&Function, &Multifunction))
        {
            continue;
        }
        if (Number == 0 && Multifunction)
        {
            Functions = IOP_PCI_FUNCTIONS;
        }
        if (Function.HeaderType == PCI_BRIDGE_TYPE)
        {
            IopPciNoteBridge(&Function, Buses);
        }
        Visit(&Function, Context);
    }
}

VOID IopPciScan(IOP_PCI_VISIT *Visit, PVOID Context)
{
    IOP_PCI_BUS_SET Buses = {.Noted = {[0] = TRUE}};

    /* What a bus adds lies above it, so one pass upwards meets every bus. */
    for (ULONG Bus = 0; Bus < IOP_PCI_BUSES; Bus++)
    {
        if (Buses.Noted[Bus])
        {
            for (ULONG Device = 0; Device < IOP_PCI_DEVICES; Device++)
            {
                IopPciScanDevice(Bus, Device, &Buses, Visit, Context);
            }
        }
    }
}

/* ------------------------------------------------------------------ Base address registers. */

/* Address and size, or FALSE: firmware assigned none, the mask is no power of two's (no hardware
 * answers so), the address is not a multiple of the size, the range passes Highest, or it is too
 * long for a resource descriptor. */
static BOOLEAN IopPciRange(ULONG64 Start, ULONG64 Mask, ULONG64 Highest, PIOP_PCI_BAR Bar)
{
    ULONG64 Length = ~Mask + 1;

    if (Start == 0 || Length == 0 || (Length & (Length - 1)) != 0 || Length > MAXULONG ||
        (Start & (Length - 1)) != 0 || Start > Highest || Length - 1 > Highest - Start)
    {
        return FALSE;
    }
    Bar->Start = Start;
    Bar->Length = (ULONG)Length;
    return TRUE;
}

static BOOLEAN IopPciDecodePort(ULONG Value, ULONG Mask, PIOP_PCI_BAR Bar)
{
    /* A device need not implement the upper 16 bits: there are only 64 K ports. */
    ULONG64 PortMask = (Mask & PCI_ADDRESS_IO_MASK) | ~PCI_HIGHEST_PORT;

    return (Mask & PCI_ADDRESS_IO_MASK) != 0 &&
           IopPciRange(Value & PCI_ADDRESS_IO_MASK, PortMask, PCI_HIGHEST_PORT, Bar);
}

static BOOLEAN IopPciDecodeMemory(ULONG64 Value, ULONG64 Mask, ULONG64 Highest, PIOP_PCI_BAR Bar)
{
    return (Mask & PCI_ADDRESS_MEMORY_MASK) != 0 &&
           IopPciRange(Value & PCI_ADDRESS_MEMORY_MASK, Mask & PCI_ADDRESS_MEMORY_MASK, Highest,
                       Bar);
}

ULONG IopPciDecodeBars(const ULONG Values[IOP_PCI_BARS], const ULONG Masks[IOP_PCI_BARS],
                       IOP_PCI_BAR Bars[IOP_PCI_BARS])
{
    ULONG Usable = 0;

    RtlZeroMemory(Bars, IOP_PCI_BARS * sizeof(IOP_PCI_BAR));
    for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
    {
        PIOP_PCI_BAR Bar = &Bars[Index];
        UCHAR Type = CmResourceTypeNull;

        if ((Masks[Index] & PCI_ADDRESS_IO_SPACE) != 0)
        {
            if (IopPciDecodePort(Values[Index], Masks[Index], Bar))
            {
                Type = CmResourceTypePort;
            }
        }
        else if ((Masks[Index] & PCI_ADDRESS_TYPE) != PCI_ADDRESS_TYPE_64BIT)
        {
            if (IopPciDecodeMemory(Values[Index], Masks[Index] | ~(ULONG64)MAXULONG, MAXULONG, Bar))
            {
                Type = CmResourceTypeMemory;
            }
        }
        else if (Index + 1 < IOP_PCI_BARS)
        {
            Bar->Wide = TRUE;
            if (IopPciDecodeMemory(Values[Index] | (ULONG64)Values[Index + 1] << 32,
                                   Masks[Index] | (ULONG64)Masks[Index + 1] << 32, MAXULONG64, Bar))
            {
                Type = CmResourceTypeMemory;
            }
        }

        Bar->Type = Type;
        Usable += Type != CmResourceTypeNull;
        Index += Bar->Wide;
    }
    return Usable;
}

ULONG IopPciReadBars(const IOP_PCI_FUNCTION *Function, IOP_PCI_BAR Bars[IOP_PCI_BARS])
{
    ULONG Values[IOP_PCI_BARS], Masks[IOP_PCI_BARS];
    ULONG Command = IopPciRead(Function, PCI_COMMAND, 2);

    /* With decoding off the device does not answer, for a moment, at all ones. */
    IopPciWrite(Function, PCI_COMMAND, 2,
                Command & ~(PCI_ENABLE_IO_SPACE | PCI_ENABLE_MEMORY_SPACE | PCI_ENABLE_BUS_MASTER));
    for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
    {
        ULONG Offset = PCI_BASE_ADDRESS + 4 * Index;

        Values[Index] = IopPciRead(Function, Offset, 4);
        IopPciWrite(Function, Offset, 4, MAXULONG);
        Masks[Index] = IopPciRead(Function, Offset, 4);
        IopPciWrite(Function, Offset, 4, Values[Index]);
    }
    return IopPciDecodeBars(Values, Masks, Bars);
}
