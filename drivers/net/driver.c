/* SPDX-License-Identifier: MIT */
/*
 * driver.c - the responder as a driver: an upper device on each NIC's stack.
 *
 * PnP start goes down first; on the way back the responder asks the port for its address, connects,
 * and announces itself. Frames then arrive by direct call (NetReceive); everything else that comes
 * down the stack is passed on.
 */
#include "net.h"

#define NET_TAG 'kteN'

typedef struct _NET_EXTENSION
{
    /* Written by AddDevice, constant after. */
    PDEVICE_OBJECT LowerDevice;
    ULONG InterfaceCount;
    PNET_INTERFACE Interfaces; /* one for each processor, by index: see net.h */

    /* Written by PnP and control requests, which the I/O manager sends one at a time at
     * PASSIVE_LEVEL. */
    NET_ADDRESS Address;
    PNET_SEND Send; /* NULL: not connected */
    PVOID SendContext;
} NET_EXTENSION, *PNET_EXTENSION;

DRIVER_INITIALIZE NetDriverEntry;
static DRIVER_ADD_DEVICE NetAddDevice;
static DRIVER_DISPATCH NetDispatchPnp;
static DRIVER_DISPATCH NetDispatchControl;
static DRIVER_DISPATCH NetDispatchPass;
static NET_RECEIVE NetReceive;

/* The responder's NET_RECEIVE. */
static ULONG NetReceive(PVOID Context, const UCHAR *Frame, ULONG Length, PUCHAR Reply,
                        ULONG ReplySize)
{
    PNET_EXTENSION Extension = Context;

    return NetProcessFrame(&Extension->Interfaces[KeGetCurrentProcessorIndex()], Frame, Length,
                           Reply, ReplySize);
}

/* Sends one internal control request to the device below and returns its status. */
_IRQL_requires_(PASSIVE_LEVEL)
static NTSTATUS NetCallPort(PNET_EXTENSION Extension, ULONG ControlCode, PVOID Buffer, ULONG Length)
{
    PIRP Irp = IoAllocateIrp((CHAR)(Extension->LowerDevice->StackSize + 1), FALSE);
    PIO_STACK_LOCATION Location;
    NTSTATUS Status;

    if (Irp == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    IoSetNextIrpStackLocation(Irp);
    Location = IoGetCurrentIrpStackLocation(Irp);
    Location->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    Location->Parameters.DeviceIoControl.IoControlCode = ControlCode;
    Location->Parameters.DeviceIoControl.InputBufferLength = Length;
    Location->Parameters.DeviceIoControl.Type3InputBuffer = Buffer;
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    Status = IoForwardIrpSynchronously(Extension->LowerDevice, Irp) ? Irp->IoStatus.Status
                                                                    : STATUS_UNSUCCESSFUL;
    IoFreeIrp(Irp);
    return Status;
}

/* Tells the link who has our address; a neighbour with a stale entry corrects it. */
static VOID NetAnnounce(PNET_EXTENSION Extension)
{
    UCHAR Frame[NET_FRAME_MINIMUM];
    ULONG Length = ArpBuildAnnouncement(&Extension->Interfaces[0], Frame);
    NTSTATUS Status = Extension->Send(Extension->SendContext, Frame, Length);

    if (!NT_SUCCESS(Status))
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_WARNING_LEVEL,
                   "net: address not announced (status %08x)\n", (ULONG)Status);
    }
}

static VOID NetLogAddress(PNET_EXTENSION Extension)
{
    const UCHAR *Octets = Extension->Address.Address;

    DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_INFO_LEVEL,
               "net: answering ARP, ping and UDP echo at %u.%u.%u.%u/%u\n", Octets[0], Octets[1],
               Octets[2], Octets[3], Extension->Address.PrefixLength);
}

/* Connects to the started port below. */
static NTSTATUS NetConnect(PNET_EXTENSION Extension)
{
    NET_CONNECT_DATA Connect = {.Receive = NetReceive, .ReceiveContext = Extension};
    NET_PORT_INFORMATION Port = {.LinkUp = FALSE};
    NTSTATUS Status;

    Status = NetCallPort(Extension, IOCTL_INTERNAL_NET_QUERY_PORT, &Port, sizeof(Port));
    if (!NT_SUCCESS(Status))
    {
        return Status;
    }

    /* Before the connection exists, so no frame is judged by a half-known identity. */
    for (ULONG i = 0; i < Extension->InterfaceCount; i++)
    {
        RtlCopyMemory(Extension->Interfaces[i].MacAddress, Port.MacAddress, NET_MAC_LENGTH);
    }

    Status = NetCallPort(Extension, IOCTL_INTERNAL_NET_CONNECT, &Connect, sizeof(Connect));
    if (!NT_SUCCESS(Status))
    {
        return Status;
    }

    Extension->SendContext = Connect.SendContext;
    Extension->Send = Connect.Send;
    NetLogAddress(Extension);
    NetAnnounce(Extension);
    return STATUS_SUCCESS;
}

static VOID NetDisconnect(PNET_EXTENSION Extension)
{
    if (Extension->Send != NULL)
    {
        NetCallPort(Extension, IOCTL_INTERNAL_NET_DISCONNECT, NULL, 0);
        Extension->Send = NULL;
    }
}

/* IOCTL_NET_SET_ADDRESS. */
static NTSTATUS NetControlSetAddress(PNET_EXTENSION Extension, const NET_ADDRESS *Address)
{
    for (ULONG i = 0; i < Extension->InterfaceCount; i++)
    {
        if (!NetSetAddress(&Extension->Interfaces[i], Address))
        {
            return STATUS_INVALID_PARAMETER;
        }
    }

    Extension->Address = *Address;
    if (Extension->Send != NULL)
    {
        NetLogAddress(Extension);
        NetAnnounce(Extension);
    }
    return STATUS_SUCCESS;
}

/* IOCTL_NET_QUERY_STATISTICS. Each counter is read whole; the set is exact when no frame is being
 * processed. */
static VOID NetControlQuery(PNET_EXTENSION Extension, PNET_STATISTICS Statistics)
{
    RtlZeroMemory(Statistics, sizeof(*Statistics));

    for (ULONG i = 0; i < Extension->InterfaceCount; i++)
    {
        for (ULONG Counter = 0; Counter < NetCounterMaximum; Counter++)
        {
            Statistics->Counters[Counter] += (ULONG64)ReadNoFence64(
                (const volatile LONG64 *)&Extension->Interfaces[i].Counters[Counter]);
        }
    }

    Statistics->Address = Extension->Address;
    RtlCopyMemory(Statistics->MacAddress, Extension->Interfaces[0].MacAddress, NET_MAC_LENGTH);
    Statistics->Connected = Extension->Send != NULL;
}

static NTSTATUS NetComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

/* IRP_MJ_INTERNAL_DEVICE_CONTROL. */
static NTSTATUS NetDispatchControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PNET_EXTENSION Extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    PVOID Buffer = Irp->AssociatedIrp.SystemBuffer;

    switch (Location->Parameters.DeviceIoControl.IoControlCode)
    {
    case IOCTL_NET_SET_ADDRESS:
        if (Location->Parameters.DeviceIoControl.InputBufferLength < sizeof(NET_ADDRESS))
        {
            return NetComplete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        }
        return NetComplete(Irp, NetControlSetAddress(Extension, Buffer), 0);

    case IOCTL_NET_QUERY_STATISTICS:
        if (Location->Parameters.DeviceIoControl.OutputBufferLength < sizeof(NET_STATISTICS))
        {
            return NetComplete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        }
        NetControlQuery(Extension, Buffer);
        return NetComplete(Irp, STATUS_SUCCESS, sizeof(NET_STATISTICS));

    default:
        return NetDispatchPass(DeviceObject, Irp);
    }
}

/* IRP_MJ_PNP. */
static NTSTATUS NetDispatchPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PNET_EXTENSION Extension = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction)
    {
    case IRP_MN_START_DEVICE:
        Status = IoForwardIrpSynchronously(Extension->LowerDevice, Irp) ? Irp->IoStatus.Status
                                                                        : STATUS_UNSUCCESSFUL;
        if (NT_SUCCESS(Status))
        {
            Status = NetConnect(Extension);
        }
        return NetComplete(Irp, Status, 0);

    case IRP_MN_STOP_DEVICE:
        NetDisconnect(Extension);
        return NetDispatchPass(DeviceObject, Irp);

    case IRP_MN_REMOVE_DEVICE:
        NetDisconnect(Extension);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        Status = NetDispatchPass(DeviceObject, Irp);
        IoDetachDevice(Extension->LowerDevice);
        ExFreePoolWithTag(Extension->Interfaces, NET_TAG);
        IoDeleteDevice(DeviceObject);
        return Status;

    default:
        return NetDispatchPass(DeviceObject, Irp);
    }
}

/* Every other request: the device below may know it. */
static NTSTATUS NetDispatchPass(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PNET_EXTENSION Extension = DeviceObject->DeviceExtension;

    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(Extension->LowerDevice, Irp);
}

static NTSTATUS NetAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject)
{
    static const NET_ADDRESS DefaultAddress = {{10, 0, 2, 15}, 24};
    ULONG Processors = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    PDEVICE_OBJECT DeviceObject;
    PNET_EXTENSION Extension;
    NTSTATUS Status;

    Status = IoCreateDevice(DriverObject, sizeof(NET_EXTENSION), NULL, FILE_DEVICE_NETWORK, 0,
                            FALSE, &DeviceObject);
    if (!NT_SUCCESS(Status))
    {
        return Status;
    }

    Extension = DeviceObject->DeviceExtension;
    Extension->Interfaces = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
                                            Processors * sizeof(NET_INTERFACE), NET_TAG);
    if (Extension->Interfaces == NULL)
    {
        IoDeleteDevice(DeviceObject);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    Extension->InterfaceCount = Processors;
    NetControlSetAddress(Extension, &DefaultAddress);

    Extension->LowerDevice = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Extension->LowerDevice == NULL)
    {
        ExFreePoolWithTag(Extension->Interfaces, NET_TAG);
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }

    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

NTSTATUS NetDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);

    for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
    {
        DriverObject->MajorFunction[i] = NetDispatchPass;
    }

    DriverObject->MajorFunction[IRP_MJ_PNP] = NetDispatchPnp;
    DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = NetDispatchControl;
    DriverObject->DriverExtension->AddDevice = NetAddDevice;
    return STATUS_SUCCESS;
}
