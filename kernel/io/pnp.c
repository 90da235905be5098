/* SPDX-License-Identifier: MIT */
/*
 * pnp.c - Plug and Play: which drivers a device gets, its resources, and the proof of its line.
 *
 * PURPOSE
 *   A driver learns where its device is from one request, IRP_MN_START_DEVICE, whose resource lists
 *   name its addresses and its interrupt. Whoever sends that request has to know them. Addresses
 *   are in the device's own registers; the interrupt line is not, and without firmware's AML it can
 *   only be guessed. So a guess is never trusted: the driver proves it or the next one is tried.
 *
 * HOW IT WORKS
 *   Enumeration makes a device object for each PCI function that boot_drivers.h lists (pci.c). Then
 *   for each of them
 *       the function driver's AddDevice, then the upper driver's: each lies down on the stack;
 *       for each candidate line, likeliest first (HalpPciInterruptCandidates):
 *           a vector for it, which fixes the IRQL; resource lists, raw and translated;
 *           IRP_MN_START_DEVICE to the top of the stack: the bus turns the device on, the function
 *           driver connects its ISR, makes its device interrupt, and sees whether the ISR runs;
 *           STATUS_DEVICE_CONFIGURATION_ERROR means it did not: next line. Anything else is final;
 *       no line left: once more without an interrupt, and the driver polls or refuses.
 *   A stack that does not start is sent IRP_MN_REMOVE_DEVICE and comes apart. (not started) ->
 *   (started by rule r) | (started, polled) | (removed): the log names the outcome.
 *   The options: nic=none leaves network cards alone, nic=poll offers no line at all, nic=e1000 and
 *   its like name the driver, nic.gsi=N is the first candidate. Every network card is told the
 *   one address there is to give (ip=) before it starts, so it never announces another.
 *
 * LOCKS AND IRQL
 *   Everything runs on the boot processor at PASSIVE_LEVEL with no lock held. During a proof the
 *   candidate line is unmasked and its interrupts arrive on any processor; a wrong line may belong
 *   to a device that nobody drives, and then the kernel's storm guard masks it.
 *
 * ORDERING
 *   Bus mastering is off in every device before the first is started, and turned on by its own
 *   driver after the reset, so nothing writes to memory that firmware thought it owned. A PCI
 *   device decodes only from IRP_MN_START_DEVICE on.
 *
 * FURTHER READING
 *   Microsoft: "Starting a Device in a Function Driver", "IRP_MN_START_DEVICE", "CM_RESOURCE_LIST
 *   structure", "Raw and Translated Resources". Intel 317453, 13.4.19 (ICS: how a NIC interrupts
 *   itself). arch/x86_64/hal/intx.c has the rules, drivers/e1000/init.c the proof.
 */
#include "iop.h"

#include <boot_drivers.h>
#include <netport.h>

#define IOP_NET_DRIVER_NAME "net"

/* "PCI\VEN_vvvv&DEV_dddd" and its terminator. */
#define IOP_HARDWARE_ID_SIZE 22

/* IRQLs a line may get, best first: DIRQLs above and below stay free for devices that are more
 * urgent, or less. */
static const KIRQL IopLineIrqls[] = {6, 7, 5};

/* ------------------------------------------------------------------ Which drivers. */

static const BOOT_DEVICE_MATCH *IopFindMatch(const IOP_PCI_FUNCTION *Function)
{
    CHAR HardwareId[IOP_HARDWARE_ID_SIZE];

    RtlStringCbPrintfA(HardwareId, sizeof(HardwareId), "PCI\\VEN_%04X&DEV_%04X", Function->VendorId,
                       Function->DeviceId);
    for (ULONG Index = 0; Index < BootDeviceMatchCount; Index++)
    {
        if (strcmp(BootDeviceMatches[Index].HardwareId, HardwareId) == 0)
        {
            return &BootDeviceMatches[Index];
        }
    }
    return NULL;
}

static BOOLEAN IopIsNetworkCard(const IOP_PCI_FUNCTION *Function)
{
    return Function->BaseClass == PCI_CLASS_NETWORK_CTLR;
}

/* TRUE if nic= lets this driver have a network card. */
static BOOLEAN IopNicOptionAllows(PCSTR DriverName)
{
    switch (KiOptions.Nic)
    {
    case KiNicNone:
        return FALSE;
    case KiNicE1000:
    case KiNicE1000e:
        return strcmp(DriverName, KiOptions.NicName) == 0;
    default:
        return TRUE;
    }
}

static BOOLEAN IopIsWanted(const IOP_PCI_FUNCTION *Function)
{
    const BOOT_DEVICE_MATCH *Match = IopFindMatch(Function);
    BOOLEAN Wanted = Match != NULL;

    if (IopIsNetworkCard(Function))
    {
        Wanted = Wanted && IopNicOptionAllows(Match->FunctionDriver);
        if (!Wanted)
        {
            KiLog(KiLogInfo, "pci %02X:%02X.%u: network card %04X:%04X left alone: %s",
                  Function->Bus, Function->Device, Function->Function, Function->VendorId,
                  Function->DeviceId, Match == NULL ? "no driver for it" : "by the option nic=");
        }
    }
    return Wanted;
}

static VOID IopLoadBootDrivers(VOID)
{
    PDRIVER_OBJECT DriverObject;

    for (ULONG Index = 0; Index < BootDriverCount; Index++)
    {
        /* One that fails has been reported; devices that need it will say so. */
        (VOID) IopLoadDriver(BootDrivers[Index].Name, BootDrivers[Index].DriverInit, &DriverObject);
    }
}

static NTSTATUS IopAddDevice(PCSTR DriverName, PDEVICE_OBJECT PhysicalDevice)
{
    PDRIVER_OBJECT DriverObject = IopFindDriver(DriverName);

    if (DriverObject == NULL || DriverObject->DriverExtension->AddDevice == NULL)
    {
        return STATUS_NO_SUCH_DEVICE;
    }
    return DriverObject->DriverExtension->AddDevice(DriverObject, PhysicalDevice);
}

static NTSTATUS IopBuildStack(PDEVICE_OBJECT PhysicalDevice, const BOOT_DEVICE_MATCH *Match)
{
    NTSTATUS Status = IopAddDevice(Match->FunctionDriver, PhysicalDevice);

    if (NT_SUCCESS(Status) && Match->UpperDriver != NULL)
    {
        Status = IopAddDevice(Match->UpperDriver, PhysicalDevice);
    }
    return Status;
}

/* ------------------------------------------------------------------ Requests to a stack. */

static VOID IopAddInterrupt(PCM_RESOURCE_LIST Resources, KINTERRUPT_MODE Mode, ULONG Level,
                            ULONG Vector)
{
    PCM_PARTIAL_RESOURCE_LIST List = &Resources->List[0].PartialResourceList;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Descriptor = &List->PartialDescriptors[List->Count++];

    Descriptor->Type = CmResourceTypeInterrupt;
    Descriptor->ShareDisposition = CmResourceShareShared;
    Descriptor->Flags = Mode == Latched ? CM_RESOURCE_INTERRUPT_LATCHED
                                        : CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
    Descriptor->u.Interrupt.Level = (USHORT)Level;
    Descriptor->u.Interrupt.Group = 0;
    Descriptor->u.Interrupt.Vector = Vector;
    Descriptor->u.Interrupt.Affinity = KeQueryActiveProcessors();
}

/* Starts the stack with the device's addresses and, unless Line is NULL, that line. */
static NTSTATUS IopSendStart(PIOP_PCI_DEVICE Device, const HALP_LINE *Line, ULONG Vector)
{
    CM_RESOURCE_LIST Raw, Translated;
    IO_STACK_LOCATION Request = {
        .MajorFunction = IRP_MJ_PNP,
        .MinorFunction = IRP_MN_START_DEVICE,
        .Parameters.StartDevice = {.AllocatedResources = &Raw,
                                   .AllocatedResourcesTranslated = &Translated},
    };

    IopPciDescribeResources(Device, &Raw);
    Translated = Raw; /* bus addresses are physical addresses on a PC */
    if (Line != NULL)
    {
        IopAddInterrupt(&Raw, Line->Mode, Line->Gsi, Line->Gsi);
        IopAddInterrupt(&Translated, Line->Mode, VECTOR_IRQL(Vector), Vector);
    }
    return IopCallSynchronously(IopGetTopOfStack(Device->Self), &Request, NULL,
                                STATUS_NOT_SUPPORTED);
}

/* Takes the stack apart; the physical device stays, and is off. */
static VOID IopSendRemove(PIOP_PCI_DEVICE Device)
{
    IO_STACK_LOCATION Request = {.MajorFunction = IRP_MJ_PNP,
                                 .MinorFunction = IRP_MN_REMOVE_DEVICE};

    (VOID)
        IopCallSynchronously(IopGetTopOfStack(Device->Self), &Request, NULL, STATUS_NOT_SUPPORTED);
}

static VOID IopSendAddress(PIOP_PCI_DEVICE Device)
{
    NET_ADDRESS Address = {.PrefixLength = KiOptions.IpPrefixLength};
    NTSTATUS Status;

    RtlCopyMemory(Address.Address, KiOptions.IpAddress, sizeof(Address.Address));
    Status = IopDeviceControl(IopGetTopOfStack(Device->Self), IOCTL_NET_SET_ADDRESS, &Address,
                              sizeof(Address));
    if (!NT_SUCCESS(Status))
    {
        KiLog(KiLogWarning, "net: the address of the option ip= was refused: status %08X", Status);
    }
}

/* ------------------------------------------------------------------ Finding the line. */

/* A vector for the line, the one it has or a new one; 0 if none is free. */
static ULONG IopAssignVector(const HALP_LINE *Line)
{
    ULONG Vector = 0;

    for (ULONG Index = 0; Vector == 0 && Index < RTL_NUMBER_OF(IopLineIrqls); Index++)
    {
        Vector = HalpAssignVector(Line, IopLineIrqls[Index]);
    }
    return Vector;
}

/* Offers the candidates one after the other; STATUS_DEVICE_CONFIGURATION_ERROR if none is it. */
static NTSTATUS IopStartByLine(PIOP_PCI_DEVICE Device)
{
    const IOP_PCI_FUNCTION *Function = &Device->Function;
    HALP_LINE_CANDIDATE Candidates[HALP_MAXIMUM_CANDIDATES];
    ULONG Count = HalpPciInterruptCandidates(Function->Bus, Function->Device, Function->Function,
                                             Function->InterruptPin, Candidates);

    for (ULONG Index = 0; Index < Count; Index++)
    {
        const HALP_LINE *Line = &Candidates[Index].Line;
        ULONG Vector = IopAssignVector(Line);
        NTSTATUS Status;

        if (Vector == 0)
        {
            continue;
        }
        Status = IopSendStart(Device, Line, Vector);
        if (NT_SUCCESS(Status))
        {
            KiLog(KiLogInfo,
                  "pci %02X:%02X.%u: GSI %u by rule \"%s\", level, active %s; vector %02X, IRQL %u",
                  Function->Bus, Function->Device, Function->Function, Line->Gsi,
                  Candidates[Index].Rule, Line->Polarity == HalpActiveLow ? "low" : "high", Vector,
                  VECTOR_IRQL(Vector));
        }
        if (Status != STATUS_DEVICE_CONFIGURATION_ERROR)
        {
            return Status;
        }
    }
    return STATUS_DEVICE_CONFIGURATION_ERROR;
}

static NTSTATUS IopStartByPolling(PIOP_PCI_DEVICE Device)
{
    NTSTATUS Status = IopSendStart(Device, NULL, 0);

    if (NT_SUCCESS(Status))
    {
        KiLog(KiLogWarning, "pci %02X:%02X.%u: started without an interrupt: polled",
              Device->Function.Bus, Device->Function.Device, Device->Function.Function);
    }
    return Status;
}

/* Builds the device's stack and starts it; TRUE if it runs. */
static BOOLEAN IopStartDevice(PIOP_PCI_DEVICE Device)
{
    const BOOT_DEVICE_MATCH *Match = IopFindMatch(&Device->Function);
    NTSTATUS Status = IopBuildStack(Device->Self, Match);

    if (NT_SUCCESS(Status))
    {
        if (Match->UpperDriver != NULL && strcmp(Match->UpperDriver, IOP_NET_DRIVER_NAME) == 0)
        {
            IopSendAddress(Device);
        }
        Status = STATUS_DEVICE_CONFIGURATION_ERROR;
        if (KiOptions.Nic != KiNicPoll || !IopIsNetworkCard(&Device->Function))
        {
            Status = IopStartByLine(Device);
        }
        if (Status == STATUS_DEVICE_CONFIGURATION_ERROR)
        {
            Status = IopStartByPolling(Device);
        }
    }
    if (!NT_SUCCESS(Status))
    {
        KiLog(KiLogError, "pci %02X:%02X.%u: driver \"%s\" not started: status %08X",
              Device->Function.Bus, Device->Function.Device, Device->Function.Function,
              Match->FunctionDriver, Status);
        IopSendRemove(Device);
    }
    return NT_SUCCESS(Status);
}

VOID IopInitialize(VOID)
{
    BOOLEAN HaveNetwork = FALSE;
    ULONG Functions;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);

    IopLoadBootDrivers();
    Functions = IopPciEnumerate(IopIsWanted);
    KiLog(KiLogInfo, "pci: %u functions", Functions);
    for (PLIST_ENTRY Entry = IopPciDevices.Flink; Entry != &IopPciDevices; Entry = Entry->Flink)
    {
        PIOP_PCI_DEVICE Device = CONTAINING_RECORD(Entry, IOP_PCI_DEVICE, Link);

        HaveNetwork |= IopStartDevice(Device) && IopIsNetworkCard(&Device->Function);
    }
    if (!HaveNetwork)
    {
        KiLog(KiLogInfo, "net: no network card is running");
    }
}
