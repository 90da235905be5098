/* SPDX-License-Identifier: MIT */
/*
 * device.c - device objects, the stacks they form, and the DPC that each contains.
 *
 * A device object is made with its driver's extension right behind it. A stack is a chain of them,
 * from the bus's object at the bottom upwards; StackSize says how many an IRP sent to this one can
 * pass. Who creates, attaches, detaches and deletes is the driver that owns the object; the links
 * change under IopDatabaseLock. A stack comes apart from the bottom up, while the upper drivers are
 * still on their way back from the remove request, so a deleted device's memory outlives it until
 * the device above has detached. Microsoft: "Device Objects and Device Stacks", "Removing a Device
 * in a Function Driver", "DpcForIsr Routines".
 */
#include "iop.h"

/* A device object with what only the I/O manager sees; the driver's extension follows. */
typedef struct DECLSPEC_ALIGN(16) _IOP_DEVICE
{
    DEVICE_OBJECT Object;
    BOOLEAN DeletePending; /* deleted, but for the device above; under IopDatabaseLock */
} IOP_DEVICE, *PIOP_DEVICE;

#define IOP_MAXIMUM_EXTENSION 0x10000u

FORCEINLINE PIOP_DEVICE IopDeviceOf(PDEVICE_OBJECT DeviceObject)
{
    return CONTAINING_RECORD(DeviceObject, IOP_DEVICE, Object);
}

/* IoCreateDevice - see io.h. STATUS_INVALID_PARAMETER for a DeviceName, or an extension of more
 * than 64 KiB less one. DeviceCharacteristics and Exclusive matter to user mode alone. */
NTSTATUS IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize,
                        PUNICODE_STRING DeviceName, ULONG DeviceType, ULONG DeviceCharacteristics,
                        BOOLEAN Exclusive, PDEVICE_OBJECT *DeviceObject)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(DeviceCharacteristics);
    UNREFERENCED_PARAMETER(Exclusive);
    KI_ASSERT_IRQL(PASSIVE_LEVEL);

    *DeviceObject = NULL;
    if (DeviceName != NULL || DeviceExtensionSize >= IOP_MAXIMUM_EXTENSION)
    {
        return STATUS_INVALID_PARAMETER;
    }

    PIOP_DEVICE Whole = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
                                        sizeof(IOP_DEVICE) + DeviceExtensionSize, IOP_TAG_DEVICE);

    if (Whole == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    PDEVICE_OBJECT Device = &Whole->Object;

    Device->DriverObject = DriverObject;
    Device->Flags = DO_DEVICE_INITIALIZING;
    Device->DeviceType = DeviceType;
    Device->StackSize = 1;
    if (DeviceExtensionSize != 0)
    {
        Device->DeviceExtension = Whole + 1;
    }

    /* At the end, so that the n-th device of a driver is the n-th it made. */
    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);

    PDEVICE_OBJECT *Link = &DriverObject->DeviceObject;

    while (*Link != NULL)
    {
        Link = &(*Link)->NextDevice;
    }
    *Link = Device;
    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);

    *DeviceObject = Device;
    return STATUS_SUCCESS;
}

/* IoDeleteDevice - see io.h. The device has been detached from the one below, and its DPC is in no
 * queue. Under another device it is only marked, and goes when that one detaches. */
VOID IoDeleteDevice(PDEVICE_OBJECT DeviceObject)
{
    PIOP_DEVICE Whole = IopDeviceOf(DeviceObject);
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KI_ASSERT_VALUES(DeviceObject->LowerDevice == NULL, DeviceObject, DeviceObject->LowerDevice);
    KI_ASSERT_VALUES(DeviceObject->Dpc.DpcData == NULL, DeviceObject, DeviceObject->Dpc.DpcData);
    KI_ASSERT_VALUES(!Whole->DeletePending, DeviceObject, DeviceObject->DriverObject);

    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);

    PDEVICE_OBJECT *Link = &DeviceObject->DriverObject->DeviceObject;
    BOOLEAN Free = DeviceObject->AttachedDevice == NULL;

    while (*Link != DeviceObject)
    {
        Link = &(*Link)->NextDevice;
    }
    *Link = DeviceObject->NextDevice;
    Whole->DeletePending = TRUE;
    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);

    if (Free)
    {
        ExFreePoolWithTag(Whole, IOP_TAG_DEVICE);
    }
}

_Requires_lock_held_(IopDatabaseLock)
static PDEVICE_OBJECT IopTopOfStackLocked(PDEVICE_OBJECT DeviceObject)
{
    while (DeviceObject->AttachedDevice != NULL)
    {
        DeviceObject = DeviceObject->AttachedDevice;
    }
    return DeviceObject;
}

PDEVICE_OBJECT IopGetTopOfStack(PDEVICE_OBJECT DeviceObject)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);

    PDEVICE_OBJECT Top = IopTopOfStackLocked(DeviceObject);

    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);
    return Top;
}

/* IoAttachDeviceToDeviceStack - see io.h. NULL, and nothing changed, if the device on top is still
 * being initialized, or if the stack would be deeper than an IRP can be. */
PDEVICE_OBJECT IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice)
{
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KI_ASSERT_VALUES(SourceDevice->LowerDevice == NULL, SourceDevice, SourceDevice->LowerDevice);

    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);

    PDEVICE_OBJECT Top = IopTopOfStackLocked(TargetDevice);

    if ((Top->Flags & DO_DEVICE_INITIALIZING) != 0 || Top->StackSize >= IRP_MAXIMUM_STACK)
    {
        Top = NULL;
    }
    else
    {
        SourceDevice->StackSize = (CHAR)(Top->StackSize + 1);
        SourceDevice->LowerDevice = Top;
        Top->AttachedDevice = SourceDevice;
    }
    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);
    return Top;
}

/* IoDetachDevice - see io.h. TargetDevice is the lower of the two; if it was deleted meanwhile,
 * this is its end. */
VOID IoDetachDevice(PDEVICE_OBJECT TargetDevice)
{
    PIOP_DEVICE Whole = IopDeviceOf(TargetDevice);
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);
    KI_ASSERT_VALUES(TargetDevice->AttachedDevice != NULL, TargetDevice, 0);
    TargetDevice->AttachedDevice->LowerDevice = NULL;
    TargetDevice->AttachedDevice = NULL;

    BOOLEAN Free = Whole->DeletePending;

    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);
    if (Free)
    {
        ExFreePoolWithTag(Whole, IOP_TAG_DEVICE);
    }
}

PDEVICE_OBJECT IopFindDevice(PCSTR DriverName, ULONG Index)
{
    PDRIVER_OBJECT Driver = IopFindDriver(DriverName);
    KIRQL OldIrql;

    if (Driver == NULL)
    {
        return NULL;
    }

    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);

    PDEVICE_OBJECT Device = Driver->DeviceObject;

    while (Device != NULL && Index != 0)
    {
        Device = Device->NextDevice;
        Index--;
    }
    if (Device != NULL)
    {
        Device = IopTopOfStackLocked(Device);
    }
    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);
    return Device;
}

/* ------------------------------------------------------------------ The DPC in a device object. */

/* Turns a DPC's four arguments into a DpcForIsr routine's. */
static VOID IopDeviceDpcRoutine(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                                PVOID SystemArgument2)
{
    PDEVICE_OBJECT DeviceObject = DeferredContext;

    DeviceObject->DpcRoutine(Dpc, DeviceObject, SystemArgument1, SystemArgument2);
}

/* IoInitializeDpcRequest - names the routine that IoRequestDpc queues. Once, before the device's
 * interrupt is connected. Any IRQL. */
VOID IoInitializeDpcRequest(PDEVICE_OBJECT DeviceObject, PIO_DPC_ROUTINE DpcRoutine)
{
    DeviceObject->DpcRoutine = DpcRoutine;
    KeInitializeDpc(&DeviceObject->Dpc, IopDeviceDpcRoutine, DeviceObject);
}

/* IoRequestDpc - queues the device's DPC from its ISR. A request made while it is queued is that
 * one, so the routine takes all the work there is. IRQL: the ISR's. */
VOID IoRequestDpc(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    KeInsertQueueDpc(&DeviceObject->Dpc, Irp, Context);
}
