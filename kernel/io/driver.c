/* SPDX-License-Identifier: MIT */
/*
 * driver.c - driver objects: one for each loaded driver, made before its DriverEntry runs.
 *
 * Drivers are linked into the kernel, so loading one is calling it. A driver object lives for ever;
 * one whose initialization failed is taken back. Microsoft: "Introduction to Driver Objects",
 * "Writing a DriverEntry Routine".
 */
#include "iop.h"

/* A driver object with what only the I/O manager sees. */
typedef struct _IOP_DRIVER
{
    LIST_ENTRY Link; /* in IopDrivers */
    DRIVER_OBJECT Object;
} IOP_DRIVER, *PIOP_DRIVER;

KSPIN_LOCK IopDatabaseLock = KI_RANKED_SPIN_LOCK(KiRankIopDevices);

/* Loaded drivers, in load order; under IopDatabaseLock. */
static LIST_ENTRY IopDrivers = {&IopDrivers, &IopDrivers};

PDRIVER_OBJECT IopFindDriver(PCSTR Name)
{
    PDRIVER_OBJECT Found = NULL;
    KIRQL OldIrql;

    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);
    for (PLIST_ENTRY Entry = IopDrivers.Flink; Entry != &IopDrivers; Entry = Entry->Flink)
    {
        PIOP_DRIVER Driver = CONTAINING_RECORD(Entry, IOP_DRIVER, Link);

        if (strcmp(Driver->Object.DriverName, Name) == 0)
        {
            Found = &Driver->Object;
            break;
        }
    }
    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);
    return Found;
}

static PIOP_DRIVER IopCreateDriver(PCSTR Name, PDRIVER_INITIALIZE DriverInit)
{
    PIOP_DRIVER Driver = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(IOP_DRIVER), IOP_TAG_DRIVER);

    if (Driver != NULL)
    {
        PDRIVER_OBJECT Object = &Driver->Object;

        Object->DriverName = Name;
        Object->DriverInit = DriverInit;
        Object->DriverExtension = &Object->Extension;
        Object->Extension.DriverObject = Object;
        for (ULONG Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        {
            Object->MajorFunction[Major] = IopInvalidDeviceRequest;
        }
    }
    return Driver;
}

/* Devices that a driver makes in its DriverEntry are ready when that returns; those of AddDevice it
 * marks ready itself. */
static VOID IopMarkDevicesReady(PDRIVER_OBJECT DriverObject)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);
    for (PDEVICE_OBJECT Device = DriverObject->DeviceObject; Device != NULL;
         Device = Device->NextDevice)
    {
        Device->Flags &= ~DO_DEVICE_INITIALIZING;
    }
    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);
}

/* IopLoadDriver - see iop.h. There is no registry: RegistryPath is an empty string. */
NTSTATUS IopLoadDriver(PCSTR Name, PDRIVER_INITIALIZE DriverInit, PDRIVER_OBJECT *DriverObject)
{
    static UNICODE_STRING NoRegistry;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);

    *DriverObject = IopFindDriver(Name);
    if (*DriverObject != NULL)
    {
        return STATUS_SUCCESS;
    }

    PIOP_DRIVER Driver = IopCreateDriver(Name, DriverInit);

    if (Driver == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    NTSTATUS Status = DriverInit(&Driver->Object, &NoRegistry);

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    if (!NT_SUCCESS(Status))
    {
        KiLog(KiLogError, "io: the driver \"%s\" failed to initialize: status %08X", Name, Status);
        KI_ASSERT_VALUES(Driver->Object.DeviceObject == NULL, Driver, Driver->Object.DeviceObject);
        ExFreePoolWithTag(Driver, IOP_TAG_DRIVER);
        return Status;
    }

    IopMarkDevicesReady(&Driver->Object);
    KeAcquireSpinLock(&IopDatabaseLock, &OldIrql);
    InsertTailList(&IopDrivers, &Driver->Link);
    KeReleaseSpinLock(&IopDatabaseLock, OldIrql);
    *DriverObject = &Driver->Object;
    return STATUS_SUCCESS;
}
