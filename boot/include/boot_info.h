/* SPDX-License-Identifier: MIT */
/*
 * boot_info.h - what the loader told us, in one form for every loader.
 *
 * Multiboot2 (GRUB) and PVH (QEMU -kernel) each fill one BOOT_INFO; after that nothing knows which
 * of them it was, except the log. All addresses are physical. The structure is fixed in size and
 * self-contained: strings are copied in, so the loader's own memory is free once it is filled.
 */
#pragma once

#include <ntdef.h>

#define BOOT_MAXIMUM_RANGES 128
#define BOOT_MAXIMUM_MODULES 16
#define BOOT_COMMAND_LINE_SIZE 1024
#define BOOT_LOADER_NAME_SIZE 64
#define BOOT_RSDP_SIZE 36

typedef enum _BOOT_MEMORY_TYPE
{
    BootMemoryReserved, /* also everything that no range names */
    BootMemoryUsable,
    BootMemoryAcpiReclaim,
    BootMemoryAcpiNvs,
    BootMemoryDefective
} BOOT_MEMORY_TYPE;

/* [Start, End), page aligned after BootNormalizeMemoryMap; before it, any bytes at all. */
typedef struct _BOOT_MEMORY_RANGE
{
    ULONG64 Start;
    ULONG64 End;
    BOOT_MEMORY_TYPE Type;
} BOOT_MEMORY_RANGE, *PBOOT_MEMORY_RANGE;

typedef struct _BOOT_MODULE
{
    ULONG64 Start;
    ULONG64 End;
    CHAR Name[64];
} BOOT_MODULE, *PBOOT_MODULE;

typedef enum _BOOT_FRAMEBUFFER_TYPE
{
    BootFramebufferNone,
    BootFramebufferLinear,
    BootFramebufferText
} BOOT_FRAMEBUFFER_TYPE;

typedef struct _BOOT_FRAMEBUFFER
{
    BOOT_FRAMEBUFFER_TYPE Type;
    ULONG64 Address;
    ULONG Pitch; /* bytes a row */
    ULONG Width; /* pixels, or characters in text mode */
    ULONG Height;
    UCHAR BitsPerPixel;
    UCHAR RedShift, RedSize; /* where a colour lies in a pixel: first bit, number of bits */
    UCHAR GreenShift, GreenSize;
    UCHAR BlueShift, BlueSize;
    PCSTR Problem; /* why what the loader described is not used; NULL if it is, or there is none */
} BOOT_FRAMEBUFFER, *PBOOT_FRAMEBUFFER;

typedef enum _BOOT_PROTOCOL
{
    BootProtocolMultiboot2,
    BootProtocolPvh
} BOOT_PROTOCOL;

typedef struct _BOOT_INFO
{
    BOOT_PROTOCOL Protocol;
    BOOLEAN Efi; /* firmware is UEFI: no VGA text, no BIOS areas to scan */
    ULONG RangeCount;
    BOOT_MEMORY_RANGE Ranges[BOOT_MAXIMUM_RANGES];
    BOOLEAN UnusableDropped; /* an unusable range did not fit: no later usable one is believed */
    ULONG RangesDropped;     /* ranges that did not fit: reported, their memory unused */
    ULONG ModuleCount;
    BOOT_MODULE Modules[BOOT_MAXIMUM_MODULES];
    ULONG ModulesDropped;
    ULONG64 RsdpAddress;        /* 0: not given as an address */
    UCHAR Rsdp[BOOT_RSDP_SIZE]; /* the loader's copy of it ... */
    ULONG RsdpLength;           /* ... and its length: 20 (v1), 36 (v2), 0 none */
    BOOT_FRAMEBUFFER Framebuffer;
    ULONG64 KeptLog; /* where the log that survives a warm reset lies; 0: nowhere */
    CHAR CommandLine[BOOT_COMMAND_LINE_SIZE];
    BOOLEAN CommandLineTruncated;
    CHAR LoaderName[BOOT_LOADER_NAME_SIZE];
} BOOT_INFO, *PBOOT_INFO;

/*
 * Each parser reads the loader's structure, which lies readable at Data or is reached through Map;
 * fills *Info; and returns NULL, or a static English sentence saying what is wrong with
 * the structure. They trust nothing in it: every length is checked against what is left.
 */
PCSTR BootParseMultiboot2(const VOID *Data, ULONG Size, PBOOT_INFO Info);

/* PVH's structure holds physical pointers; Map turns one into readable memory of Length bytes, or
 * returns NULL. */
typedef const VOID *BOOT_MAP_ROUTINE(ULONG64 Physical, ULONG64 Length);
PCSTR BootParsePvh(ULONG64 StartInfo, BOOT_MAP_ROUTINE *Map, PBOOT_INFO Info);

/*
 * BootProbeVgaText - whether a VGA is there and shows 80 columns of text at 0xB8000.
 *
 * For loaders that say nothing about the screen. It asks the VGA's own ports, which read as all
 * ones, or do not keep what is written, where there is none; the screen's memory is not touched.
 * Fills *Framebuffer and returns TRUE if so. Source: IBM VGA registers, as in any VGA's datasheet:
 * Miscellaneous Output, Sequencer, Graphics 6, CRT Controller 1.
 */
BOOLEAN BootProbeVgaText(PBOOT_FRAMEBUFFER Framebuffer);

/* Sorts by address, clips usable ranges inwards to whole pages and others outwards, lets the
 * unusable win where ranges overlap, merges neighbours of one type, drops the empty. */
VOID BootNormalizeMemoryMap(PBOOT_INFO Info);

/* Sets KeptLog to a place for BOOT_KEPT_LOG_SIZE bytes that is the same at the next boot; it still
 * is usable memory afterwards, to be reserved before anybody is given memory. Map normalized. */
#define BOOT_KEPT_LOG_SIZE 0x40000ull
VOID BootChooseKeptLog(PBOOT_INFO Info);

/* Takes [Start, End) out of the usable memory (widened to pages) as reserved. A full table drops
 * what can be spared, at last its smallest usable ranges (RangesDropped); FALSE if even that makes
 * no room: then the whole usable range is given up instead. Map stays normalized. */
BOOLEAN BootReserveRange(PBOOT_INFO Info, ULONG64 Start, ULONG64 End);
