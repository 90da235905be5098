/* SPDX-License-Identifier: MIT */
/*
 * driver.c - the 82540EM driver as the I/O manager sees it: entry, AddDevice, dispatch.
 *
 * A function driver: its device lies on the bus's device object and under the responder's. Start is
 * done by the bus first (the request goes down and comes back), then here, with the resources that
 * came with the request.
 */
#include "e1000.h"

DRIVER_INITIALIZE E1000DriverEntry;
static DRIVER_ADD_DEVICE E1000AddDevice;
static DRIVER_DISPATCH E1000DispatchPnp;
static DRIVER_DISPATCH E1000DispatchControl;
static DRIVER_DISPATCH E1000DispatchPass;

static NTSTATUS E1000Complete(PIRP Irp, NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

/* Asks the bus for its configuration space routines. */
static NTSTATUS E1000QueryBusInterface(PE1000_EXTENSION Extension)
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
    Location->MajorFunction = IRP_MJ_PNP;
    Location->MinorFunction = IRP_MN_QUERY_INTERFACE;
    Location->Parameters.QueryInterface.InterfaceType = &GUID_BUS_INTERFACE_STANDARD;
    Location->Parameters.QueryInterface.Size = sizeof(BUS_INTERFACE_STANDARD);
    Location->Parameters.QueryInterface.Version = 1;
    Location->Parameters.QueryInterface.Interface = (PINTERFACE)&Extension->Bus;
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    Status = IoForwardIrpSynchronously(Extension->LowerDevice, Irp) ? Irp->IoStatus.Status
                                                                    : STATUS_UNSUCCESSFUL;
    IoFreeIrp(Irp);
    return Status;
}

/* IRP_MN_START_DEVICE. */
static NTSTATUS E1000PnpStart(PE1000_EXTENSION Extension, PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status;

    Status = IoForwardIrpSynchronously(Extension->LowerDevice, Irp) ? Irp->IoStatus.Status
                                                                    : STATUS_UNSUCCESSFUL;
    if (NT_SUCCESS(Status))
    {
        Status = E1000QueryBusInterface(Extension);
    }
    if (NT_SUCCESS(Status))
    {
        KeWaitForSingleObject(&Extension->ControlMutex, Executive, KernelMode, FALSE, NULL);
        Status = E1000StartDevice(Extension, Location->Parameters.StartDevice.AllocatedResources,
                                  Location->Parameters.StartDevice.AllocatedResourcesTranslated);
        KeReleaseMutex(&Extension->ControlMutex, FALSE);
    }
    return E1000Complete(Irp, Status);
}

/* IRP_MN_STOP_DEVICE, and the first half of removal. */
static VOID E1000PnpStop(PE1000_EXTENSION Extension)
{
    KeWaitForSingleObject(&Extension->ControlMutex, Executive, KernelMode, FALSE, NULL);
    E1000StopDevice(Extension);
    Extension->Started = FALSE;
    KeReleaseMutex(&Extension->ControlMutex, FALSE);

    /* A detachment that is on its way has nothing left to do, but uses the extension. */
    KeWaitForSingleObject(&Extension->DetachIdle, Executive, KernelMode, FALSE, NULL);
}

/* IRP_MJ_PNP. */
static NTSTATUS E1000DispatchPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PE1000_EXTENSION Extension = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction)
    {
    case IRP_MN_START_DEVICE:
        return E1000PnpStart(Extension, Irp);

    case IRP_MN_STOP_DEVICE:
        E1000PnpStop(Extension);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return E1000DispatchPass(DeviceObject, Irp);

    case IRP_MN_REMOVE_DEVICE:
        E1000PnpStop(Extension);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        Status = E1000DispatchPass(DeviceObject, Irp);
        IoDetachDevice(Extension->LowerDevice);
        IoFreeWorkItem(Extension->DetachItem);
        IoDeleteDevice(DeviceObject);
        return Status;

    default:
        return E1000DispatchPass(DeviceObject, Irp);
    }
}

/* IRP_MJ_INTERNAL_DEVICE_CONTROL. */
static NTSTATUS E1000DispatchControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    return E1000Complete(Irp, E1000Control(DeviceObject->DeviceExtension, Irp));
}

/* Every other request: the bus may know it. */
static NTSTATUS E1000DispatchPass(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PE1000_EXTENSION Extension = DeviceObject->DeviceExtension;

    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(Extension->LowerDevice, Irp);
}

static NTSTATUS E1000AddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    PE1000_EXTENSION Extension;
    NTSTATUS Status;

    Status = IoCreateDevice(DriverObject, sizeof(E1000_EXTENSION), NULL,
                            FILE_DEVICE_PHYSICAL_NETCARD, 0, FALSE, &DeviceObject);
    if (!NT_SUCCESS(Status))
    {
        return Status;
    }

    Extension = DeviceObject->DeviceExtension;
    Extension->PhysicalDevice = PhysicalDeviceObject;
    KeInitializeSpinLock(&Extension->InterruptLock);
    KeInitializeSpinLock(&Extension->RingLock);
    KeInitializeDpc(&Extension->Dpc, E1000DpcForIsr, Extension);
    KeInitializeDpc(&Extension->TimerDpc, E1000TimerDpc, Extension);
    KeInitializeTimer(&Extension->Timer);
    KeInitializeMutex(&Extension->ControlMutex, 0);
    KeInitializeEvent(&Extension->DetachIdle, NotificationEvent, TRUE);

    Extension->DetachItem = IoAllocateWorkItem(DeviceObject);
    if (Extension->DetachItem == NULL)
    {
        IoDeleteDevice(DeviceObject);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    Extension->LowerDevice = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Extension->LowerDevice == NULL)
    {
        IoFreeWorkItem(Extension->DetachItem);
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }

    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

NTSTATUS E1000DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);

    for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
    {
        DriverObject->MajorFunction[i] = E1000DispatchPass;
    }

    DriverObject->MajorFunction[IRP_MJ_PNP] = E1000DispatchPnp;
    DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = E1000DispatchControl;
    DriverObject->DriverExtension->AddDevice = E1000AddDevice;
    return STATUS_SUCCESS;
}
