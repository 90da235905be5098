/* SPDX-License-Identifier: MIT */
/*
 * iop.h - the I/O manager's private side: what its files share, and what start-up and tests call.
 */
#pragma once

#include <arch/hal.h>
#include <ex.h>
#include <io.h>
#include <ki.h>
#include <mm.h>

#define IOP_TAG_IRP 'prIi'
#define IOP_TAG_DRIVER 'rDIi'
#define IOP_TAG_DEVICE 'eDIi'
#define IOP_TAG_BUFFER 'uBIi'

/* ------------------------------------------------------------------ For start-up and tests. */

/* Finds the PCI devices, loads the drivers they need, starts them. Boot processor, once, with every
 * processor online. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID IopInitialize(VOID);

/* The top of the stack that holds the Index-th device of DriverName's driver, or NULL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PDEVICE_OBJECT IopFindDevice(PCSTR DriverName, ULONG Index);

/*
 * Sends an IRP_MJ_INTERNAL_DEVICE_CONTROL with Buffer, of Length bytes, as its SystemBuffer, for
 * input and output both; returns its final status. STATUS_INSUFFICIENT_RESOURCES if there is no
 * memory for the IRP.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS IopDeviceControl(PDEVICE_OBJECT DeviceObject, ULONG IoControlCode, PVOID Buffer,
                          ULONG Length);

/* ------------------------------------------------------------------ IRPs (irp.c). */

/* Sends an IRP that Request describes to DeviceObject and returns its final status; it starts out
 * as InitialStatus, which is what a driver that does not know the request leaves. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS IopCallSynchronously(PDEVICE_OBJECT DeviceObject, const IO_STACK_LOCATION *Request,
                              PVOID SystemBuffer, NTSTATUS InitialStatus);

/* Every major function that a driver does not fill in. */
DRIVER_DISPATCH IopInvalidDeviceRequest;

/* ------------------------------------------------------------------ Drivers and devices (driver.c,
 * device.c). */

/* Guards the list of drivers, each driver's list of devices, and the links between the devices of a
 * stack. KiRankIopDevices, DISPATCH_LEVEL. */
extern KSPIN_LOCK IopDatabaseLock;

/* The driver of that name, loaded now if it was not. On failure no driver object is left; the
 * status is what the driver's own initialization returned, or STATUS_INSUFFICIENT_RESOURCES. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS IopLoadDriver(PCSTR Name, PDRIVER_INITIALIZE DriverInit,
                       _Out_ PDRIVER_OBJECT *DriverObject);

/* The driver of that name if it is loaded, or NULL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PDRIVER_OBJECT IopFindDriver(PCSTR Name);

/* The highest device of the stack that DeviceObject is in. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PDEVICE_OBJECT IopGetTopOfStack(PDEVICE_OBJECT DeviceObject);

/* ------------------------------------------------------------------ PCI functions (pciscan.c). */

#define IOP_PCI_BARS 6

typedef struct _IOP_PCI_FUNCTION
{
    UCHAR Bus;
    UCHAR Device;
    UCHAR Function;
    UCHAR HeaderType; /* without the multi-function bit */
    USHORT VendorId;
    USHORT DeviceId;
    UCHAR BaseClass;
    UCHAR SubClass;
    UCHAR ProgIf;
    UCHAR InterruptPin; /* 1..4, 0 none */
} IOP_PCI_FUNCTION, *PIOP_PCI_FUNCTION;

/* Calls Visit for each function on bus 0 and behind the bridges that lead from it, lower buses
 * first, each function once whatever the bridges claim. */
typedef VOID IOP_PCI_VISIT(const IOP_PCI_FUNCTION *Function, PVOID Context);
VOID IopPciScan(IOP_PCI_VISIT *Visit, PVOID Context);

ULONG IopPciRead(const IOP_PCI_FUNCTION *Function, ULONG Offset, ULONG Size);
VOID IopPciWrite(const IOP_PCI_FUNCTION *Function, ULONG Offset, ULONG Size, ULONG Value);

typedef struct _IOP_PCI_BAR
{
    UCHAR Type;   /* CmResourceTypeMemory, ...Port, or ...Null: there is nothing to use */
    BOOLEAN Wide; /* 64 bits, so the next register is its upper half                   */
    ULONG64 Start;
    ULONG Length;
} IOP_PCI_BAR, *PIOP_PCI_BAR;

/*
 * Makes sense of a function's base address registers: Values as they read, Masks as they read after
 * all ones were written. What firmware left unassigned, what lies outside the address space and
 * what no hardware answers comes out as CmResourceTypeNull. Returns how many are usable.
 */
ULONG IopPciDecodeBars(const ULONG Values[IOP_PCI_BARS], const ULONG Masks[IOP_PCI_BARS],
                       IOP_PCI_BAR Bars[IOP_PCI_BARS]);

/* Reads and sizes the base address registers of a function whose driver is about to be started.
 * Leaves it decoding nothing and mastering no bus. */
ULONG IopPciReadBars(const IOP_PCI_FUNCTION *Function, IOP_PCI_BAR Bars[IOP_PCI_BARS]);

/* Configuration registers that more than one file uses. */
#define PCI_COMMAND 0x04
#define PCI_ENABLE_IO_SPACE 0x0001u
#define PCI_ENABLE_MEMORY_SPACE 0x0002u
#define PCI_ENABLE_BUS_MASTER 0x0004u
#define PCI_DISABLE_LEVEL_INTERRUPT 0x0400u

#define PCI_CLASS_NETWORK_CTLR 0x02
#define PCI_CLASS_DISPLAY_CTLR 0x03
#define PCI_CLASS_BRIDGE_DEV 0x06
#define PCI_CLASS_BASE_SYSTEM_DEV 0x08
#define PCI_SUBCLASS_SYS_INTERRUPT_CTLR 0x00
#define PCI_CLASS_SERIAL_BUS_CTLR 0x0C
#define PCI_SUBCLASS_SB_USB 0x03

/* ------------------------------------------------------------------ The PCI bus driver (pci.c). */

#define PCIBus 5 /* Microsoft: "INTERFACE_TYPE enumeration" */
#define CM_RESOURCE_PORT_IO 0x01

/* TRUE if UEFI firmware booted us: then no BIOS stands behind the USB controllers. Written by
 * IopPciSilence; constant afterwards. */
extern BOOLEAN IopFirmwareIsEfi;

/*
 * Turns bus mastering off in every function but those that must keep it (bridges, displays,
 * interrupt controllers; on BIOS machines USB controllers, behind which the BIOS serves the
 * keyboard), so that no order from firmware's time writes to a page that is somebody else's now. To
 * be called before the first page is handed out, when configuration space is reached by the ports
 * alone: a machine without them is silenced by IopPciEnumerate. PCI Local Bus 3.0, 6.2.2.
 *
 * IRQL: any; boot processor, once.
 */
VOID IopPciSilence(BOOLEAN FirmwareIsEfi);

/* What the bus driver keeps of each device it made: the device object's extension. */
typedef struct _IOP_PCI_DEVICE
{
    LIST_ENTRY Link;     /* in IopPciDevices; constant once enumerated */
    PDEVICE_OBJECT Self; /* the physical device object                 */
    IOP_PCI_FUNCTION Function;
    IOP_PCI_BAR Bars[IOP_PCI_BARS];
} IOP_PCI_DEVICE, *PIOP_PCI_DEVICE;

/* Every PCI device that has a physical device object, in the order they were found. Written by
 * IopPciEnumerate on the boot processor; constant afterwards. */
extern LIST_ENTRY IopPciDevices;

/* TRUE if some driver wants the function. */
typedef BOOLEAN IOP_PCI_WANTED(const IOP_PCI_FUNCTION *Function);

/* Loads the bus driver, silences every function that must not write to memory behind our back, and
 * makes a device object for each that is wanted. Returns the number of functions found. */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG IopPciEnumerate(IOP_PCI_WANTED *Wanted);

/* Adds a device's memory and port ranges to an empty resource list. */
VOID IopPciDescribeResources(const IOP_PCI_DEVICE *Device, PCM_RESOURCE_LIST Resources);
