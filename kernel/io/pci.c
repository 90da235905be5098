/* SPDX-License-Identifier: MIT */
/*
 * pci.c - the PCI bus driver: the device object at the bottom of each PCI device's stack.
 *
 * It answers what only the bus knows. IRP_MN_START_DEVICE lets the device decode its addresses and
 * drive its interrupt pin; IRP_MN_QUERY_INTERFACE(GUID_BUS_INTERFACE_STANDARD) gives the drivers
 * above access to configuration space. Bus mastering is the function driver's to turn on, after it
 * has reset the device: until then the device may still be following orders from firmware. For the
 * same reason enumeration turns it off on everything found. Microsoft: "Bus Drivers",
 * "BUS_INTERFACE_STANDARD structure".
 *
 * What firmware left writing to memory is stopped long before that, by IopPciSilence: a page that
 * the kernel hands out must not change under its owner.
 */
#include "iop.h"

#include <arch/mmu.h>

#define IOP_PCI_DRIVER_NAME "pci"
#define IOP_PCI_CONFIG_BYTES 4096u

const GUID GUID_BUS_INTERFACE_STANDARD = {
    0x496B8280, 0x6F25, 0x11D0, {0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F}};

BOOLEAN IopFirmwareIsEfi KI_RO_AFTER_INIT;

LIST_ENTRY IopPciDevices = {&IopPciDevices, &IopPciDevices};

/* ------------------------------------------------------------------ Configuration space for
 * drivers. */

/* The largest access that is aligned at Offset and no longer than Length. */
static ULONG IopPciAccessSize(ULONG Offset, ULONG Length)
{
    if ((Offset & 3) == 0 && Length >= 4)
    {
        return 4;
    }
    return (Offset & 1) == 0 && Length >= 2 ? 2 : 1;
}

static BOOLEAN IopPciIsConfigRange(ULONG DataType, ULONG Offset, ULONG Length)
{
    return DataType == PCI_WHICHSPACE_CONFIG && Offset <= IOP_PCI_CONFIG_BYTES &&
           Length <= IOP_PCI_CONFIG_BYTES - Offset;
}

static ULONG IopPciGetBusData(PVOID Context, ULONG DataType, PVOID Buffer, ULONG Offset,
                              ULONG Length)
{
    PIOP_PCI_DEVICE Device = Context;

    if (!IopPciIsConfigRange(DataType, Offset, Length))
    {
        return 0;
    }
    for (ULONG Done = 0; Done < Length;)
    {
        ULONG Size = IopPciAccessSize(Offset + Done, Length - Done);
        ULONG Value = IopPciRead(&Device->Function, Offset + Done, Size);

        RtlCopyMemory((PUCHAR)Buffer + Done, &Value, Size);
        Done += Size;
    }
    return Length;
}

static ULONG IopPciSetBusData(PVOID Context, ULONG DataType, PVOID Buffer, ULONG Offset,
                              ULONG Length)
{
    PIOP_PCI_DEVICE Device = Context;

    if (!IopPciIsConfigRange(DataType, Offset, Length))
    {
        return 0;
    }
    for (ULONG Done = 0; Done < Length;)
    {
        ULONG Size = IopPciAccessSize(Offset + Done, Length - Done);
        ULONG Value = 0;

        RtlCopyMemory(&Value, (PUCHAR)Buffer + Done, Size);
        IopPciWrite(&Device->Function, Offset + Done, Size, Value);
        Done += Size;
    }
    return Length;
}

static NTSTATUS IopPciQueryInterface(PIOP_PCI_DEVICE Device, PIO_STACK_LOCATION Stack)
{
    PBUS_INTERFACE_STANDARD Interface = (PBUS_INTERFACE_STANDARD)
                                            Stack->Parameters.QueryInterface.Interface;

    if (!RtlEqualMemory(Stack->Parameters.QueryInterface.InterfaceType,
                        &GUID_BUS_INTERFACE_STANDARD, sizeof(GUID)))
    {
        return STATUS_NOT_SUPPORTED;
    }
    if (Stack->Parameters.QueryInterface.Size < sizeof(BUS_INTERFACE_STANDARD))
    {
        return STATUS_BUFFER_TOO_SMALL;
    }
    Interface->Size = sizeof(BUS_INTERFACE_STANDARD);
    Interface->Version = 1;
    Interface->Context = Device;
    Interface->SetBusData = IopPciSetBusData;
    Interface->GetBusData = IopPciGetBusData;
    return STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ Starting and stopping. */

static VOID IopPciUpdateCommand(const IOP_PCI_FUNCTION *Function, ULONG Clear, ULONG Set)
{
    ULONG Command = IopPciRead(Function, PCI_COMMAND, 2);

    IopPciWrite(Function, PCI_COMMAND, 2, (Command & ~Clear) | Set);
}

/* Turns on what the resources name; a device that was given no interrupt must not drive its pin. */
static VOID IopPciStart(PIOP_PCI_DEVICE Device, const CM_RESOURCE_LIST *Resources)
{
    const CM_PARTIAL_RESOURCE_LIST *List = &Resources->List[0].PartialResourceList;
    ULONG Enable = PCI_DISABLE_LEVEL_INTERRUPT;

    for (ULONG Index = 0; Index < List->Count; Index++)
    {
        switch (List->PartialDescriptors[Index].Type)
        {
        case CmResourceTypeMemory:
            Enable |= PCI_ENABLE_MEMORY_SPACE;
            break;
        case CmResourceTypePort:
            Enable |= PCI_ENABLE_IO_SPACE;
            break;
        case CmResourceTypeInterrupt:
            Enable &= ~PCI_DISABLE_LEVEL_INTERRUPT;
            break;
        default:
            break;
        }
    }
    IopPciUpdateCommand(&Device->Function, PCI_DISABLE_LEVEL_INTERRUPT, Enable);
}

static VOID IopPciStop(PIOP_PCI_DEVICE Device)
{
    IopPciUpdateCommand(&Device->Function,
                        PCI_ENABLE_IO_SPACE | PCI_ENABLE_MEMORY_SPACE | PCI_ENABLE_BUS_MASTER,
                        PCI_DISABLE_LEVEL_INTERRUPT);
}

/* A request that the bus does not know keeps the status it came with. A removed device's object
 * stays: the device is still plugged in. */
static NTSTATUS IopPciDispatchPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIOP_PCI_DEVICE Device = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status = Irp->IoStatus.Status;

    switch (Stack->MinorFunction)
    {
    case IRP_MN_START_DEVICE:
        IopPciStart(Device, Stack->Parameters.StartDevice.AllocatedResources);
        Status = STATUS_SUCCESS;
        break;
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_REMOVE_DEVICE:
        IopPciStop(Device);
        Status = STATUS_SUCCESS;
        break;
    case IRP_MN_QUERY_INTERFACE:
        Status = IopPciQueryInterface(Device, Stack);
        break;
    default:
        break;
    }
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS IopPciDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->MajorFunction[IRP_MJ_PNP] = IopPciDispatchPnp;
    return STATUS_SUCCESS;
}

VOID IopPciDescribeResources(const IOP_PCI_DEVICE *Device, PCM_RESOURCE_LIST Resources)
{
    PCM_PARTIAL_RESOURCE_LIST List = &Resources->List[0].PartialResourceList;

    RtlZeroMemory(Resources, sizeof(*Resources));
    Resources->Count = 1;
    Resources->List[0].InterfaceType = PCIBus;
    Resources->List[0].BusNumber = Device->Function.Bus;
    List->Version = 1;
    List->Revision = 1;
    for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
    {
        const IOP_PCI_BAR *Bar = &Device->Bars[Index];

        if (Bar->Type != CmResourceTypeNull)
        {
            PCM_PARTIAL_RESOURCE_DESCRIPTOR Descriptor = &List->PartialDescriptors[List->Count++];

            Descriptor->Type = Bar->Type;
            Descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
            Descriptor->Flags = Bar->Type == CmResourceTypePort ? CM_RESOURCE_PORT_IO : 0;
            Descriptor->u.Generic.Start.QuadPart = (LONGLONG)Bar->Start;
            Descriptor->u.Generic.Length = Bar->Length;
        }
    }
}

/* ------------------------------------------------------------------ Enumeration. */

typedef struct _IOP_PCI_ENUMERATION
{
    PDRIVER_OBJECT DriverObject;
    IOP_PCI_WANTED *Wanted;
    ULONG Count;
} IOP_PCI_ENUMERATION, *PIOP_PCI_ENUMERATION;

/*
 * TRUE if the function must keep writing to memory though no driver of ours runs it: bridges pass
 * on what others write, a display may keep its frame in memory, an IOAPIC's interrupts are writes,
 * and behind a USB controller the BIOS may serve the keyboard.
 */
static BOOLEAN IopPciKeepsBusMaster(const IOP_PCI_FUNCTION *Function)
{
    switch (Function->BaseClass)
    {
    case PCI_CLASS_BRIDGE_DEV:
    case PCI_CLASS_DISPLAY_CTLR:
        return TRUE;
    case PCI_CLASS_BASE_SYSTEM_DEV:
        return Function->SubClass == PCI_SUBCLASS_SYS_INTERRUPT_CTLR;
    case PCI_CLASS_SERIAL_BUS_CTLR:
        return Function->SubClass == PCI_SUBCLASS_SB_USB && !IopFirmwareIsEfi;
    default:
        return FALSE;
    }
}

/* One function; Context counts those that were stopped. */
static VOID IopPciSilenceFunction(const IOP_PCI_FUNCTION *Function, PVOID Context)
{
    PULONG Stopped = Context;
    ULONG Command = IopPciRead(Function, PCI_COMMAND, 2);

    if (IopPciKeepsBusMaster(Function) || (Command & PCI_ENABLE_BUS_MASTER) == 0)
    {
        return;
    }
    IopPciWrite(Function, PCI_COMMAND, 2, Command & ~PCI_ENABLE_BUS_MASTER);
    if (IopPciRead(Function, PCI_COMMAND, 2) & PCI_ENABLE_BUS_MASTER)
    {
        KiLog(KiLogWarning, "pci %02X:%02X.%u: bus mastering cannot be turned off", Function->Bus,
              Function->Device, Function->Function);
        return;
    }
    (*Stopped)++;
    KiLog(KiLogTrace, "pci %02X:%02X.%u: %04X:%04X class %02X%02X: bus mastering turned off",
          Function->Bus, Function->Device, Function->Function, Function->VendorId,
          Function->DeviceId, Function->BaseClass, Function->SubClass);
}

VOID IopPciSilence(BOOLEAN FirmwareIsEfi)
{
    ULONG Stopped = 0;

    IopFirmwareIsEfi = FirmwareIsEfi;
    IopPciScan(IopPciSilenceFunction, &Stopped);
    if (Stopped != 0)
    {
        KiLog(KiLogInfo, "PCI: bus mastering, left on by firmware, turned off in %u functions",
              Stopped);
    }
}

/* Takes away the ranges that are memory: there a driver's writes would reach somebody's data, and
 * not the device. Returns how many are left. */
static ULONG IopPciRefuseRam(const IOP_PCI_FUNCTION *Function, IOP_PCI_BAR Bars[IOP_PCI_BARS])
{
    ULONG Left = 0;

    for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
    {
        PIOP_PCI_BAR Bar = &Bars[Index];

        if (Bar->Type == CmResourceTypeMemory && ArchTouchesRam(Bar->Start, Bar->Length))
        {
            KiLog(KiLogWarning, "pci %02X:%02X.%u: registers at %llx: that is memory: not used",
                  Function->Bus, Function->Device, Function->Function, Bar->Start);
            Bar->Type = CmResourceTypeNull;
        }
        Left += Bar->Type != CmResourceTypeNull;
    }
    return Left;
}

static VOID IopPciCreateDevice(PIOP_PCI_ENUMERATION Enumeration, const IOP_PCI_FUNCTION *Function)
{
    PDEVICE_OBJECT DeviceObject;
    NTSTATUS Status = IoCreateDevice(Enumeration->DriverObject, sizeof(IOP_PCI_DEVICE), NULL,
                                     FILE_DEVICE_UNKNOWN, 0, FALSE, &DeviceObject);

    if (!NT_SUCCESS(Status))
    {
        KiLog(KiLogError, "pci %02X:%02X.%u: no device object: status %08X", Function->Bus,
              Function->Device, Function->Function, Status);
        return;
    }

    PIOP_PCI_DEVICE Device = DeviceObject->DeviceExtension;

    Device->Self = DeviceObject;
    Device->Function = *Function;
    (VOID) IopPciReadBars(Function, Device->Bars);
    if (IopPciRefuseRam(Function, Device->Bars) == 0)
    {
        KiLog(KiLogWarning, "pci %02X:%02X.%u: firmware gave it no addresses", Function->Bus,
              Function->Device, Function->Function);
    }
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    InsertTailList(&IopPciDevices, &Device->Link);
}

static VOID IopPciVisit(const IOP_PCI_FUNCTION *Function, PVOID Context)
{
    PIOP_PCI_ENUMERATION Enumeration = Context;

    Enumeration->Count++;
    KiLog(KiLogTrace, "pci %02X:%02X.%u: %04X:%04X class %02X%02X%02X pin %u", Function->Bus,
          Function->Device, Function->Function, Function->VendorId, Function->DeviceId,
          Function->BaseClass, Function->SubClass, Function->ProgIf, Function->InterruptPin);

    if (!IopPciKeepsBusMaster(Function))
    {
        IopPciUpdateCommand(Function, PCI_ENABLE_BUS_MASTER, 0);
    }
    if (Function->HeaderType == 0 && Enumeration->Wanted(Function))
    {
        IopPciCreateDevice(Enumeration, Function);
    }
}

ULONG IopPciEnumerate(IOP_PCI_WANTED *Wanted)
{
    IOP_PCI_ENUMERATION Enumeration = {.Wanted = Wanted};

    if (NT_SUCCESS(
            IopLoadDriver(IOP_PCI_DRIVER_NAME, IopPciDriverEntry, &Enumeration.DriverObject)))
    {
        IopPciScan(IopPciVisit, &Enumeration);
    }
    return Enumeration.Count;
}
