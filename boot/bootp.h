/* SPDX-License-Identifier: MIT */
/*
 * bootp.h - what the loader parsers share: adding a range or a module to BOOT_INFO.
 */
#pragma once

#include <boot_info.h>

/* Adds Length bytes at Start, in any order and overlap. If the table is full even after it has been
 * normalized, the range is counted in RangesDropped, and none of its memory will be usable. */
VOID BootAddRange(PBOOT_INFO Info, ULONG64 Start, ULONG64 Length, BOOT_MEMORY_TYPE Type);

/* The next free module with its addresses set and no name; NULL, and counted in ModulesDropped, if
 * there is none left or End lies below Start. */
PBOOT_MODULE BootAddModule(PBOOT_INFO Info, ULONG64 Start, ULONG64 End);

/* A memory type as E820, multiboot2 and PVH all number it; what they do not define is reserved. */
BOOT_MEMORY_TYPE BootMemoryTypeFromFirmware(ULONG Type);
