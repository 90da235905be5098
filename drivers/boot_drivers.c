/* SPDX-License-Identifier: MIT */
/* boot_drivers.c - the two tables that boot_drivers.h describes. */
#include <boot_drivers.h>

const BOOT_DRIVER BootDrivers[] = {
    {"e1000", E1000DriverEntry},
    {"net", NetDriverEntry},
};

const ULONG BootDriverCount = RTL_NUMBER_OF(BootDrivers);

const BOOT_DEVICE_MATCH BootDeviceMatches[] = {
    {"PCI\\VEN_8086&DEV_100E", "e1000", "net"}, /* 82540EM */
};

const ULONG BootDeviceMatchCount = RTL_NUMBER_OF(BootDeviceMatches);
