/* SPDX-License-Identifier: MIT */
/*
 * boot_drivers.h - the drivers linked into the kernel, and which devices they are for.
 *
 * What a registry and INF files say elsewhere is two tables here. For each driver in BootDrivers
 * the I/O manager makes a driver object and calls DriverInit once. For each PCI function it
 * enumerates it makes a physical device object and then:
 *
 *   1. takes the first entry of BootDeviceMatches whose HardwareId is one of the function's ids;
 *      without one the function gets no stack;
 *   2. calls AddDevice of FunctionDriver with the physical device, then of UpperDriver, if any,
 *      with the same physical device: each attaches itself on top of the stack (function, upper);
 *   3. sends IOCTL_NET_SET_ADDRESS with the kernel's ip= to the top of each stack with UpperDriver
 *      "net" (see netport.h): before the start, so that no other address is ever announced;
 *   4. sends IRP_MN_START_DEVICE to the top of the stack, with raw and translated resources. If it
 *      fails with STATUS_DEVICE_CONFIGURATION_ERROR and the interrupt line was a guess, the same
 *      stack gets the request again with the next candidate line.
 *
 * A hardware id has the form PCI\VEN_vvvv&DEV_dddd (Microsoft: "Identifiers for PCI Devices"),
 * digits in upper case, compared whole. Only devices that the driver was tested with are listed: an
 * unknown id is left alone.
 */
#pragma once

#include <ntddk.h>

typedef struct _BOOT_DRIVER
{
    PCSTR Name; /* the driver object's DriverName */
    PDRIVER_INITIALIZE DriverInit;
} BOOT_DRIVER, *PBOOT_DRIVER;

typedef struct _BOOT_DEVICE_MATCH
{
    PCSTR HardwareId;
    PCSTR FunctionDriver; /* a Name of BootDrivers */
    PCSTR UpperDriver;    /* the same, or NULL     */
} BOOT_DEVICE_MATCH, *PBOOT_DEVICE_MATCH;

extern const BOOT_DRIVER BootDrivers[];
extern const ULONG BootDriverCount;

extern const BOOT_DEVICE_MATCH BootDeviceMatches[];
extern const ULONG BootDeviceMatchCount;

DRIVER_INITIALIZE NetDriverEntry;
DRIVER_INITIALIZE E1000DriverEntry;
