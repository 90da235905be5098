/* SPDX-License-Identifier: MIT */
/*
 * pci.c - PCI configuration space: ports CF8/CFC first, memory (ECAM) for what they do not reach.
 *
 * Every PC answers the ports, and they need no table; MCFG, which says where the memory window is,
 * can be absent or wrong. So the first 256 bytes of a function go through the ports, and the window
 * serves offsets from 256 on (PCI Express), only after it has named the same functions on bus 0 as
 * the ports did. Where there are no ports the window serves everything. A bus's window is mapped
 * when something first asks for it.
 *
 * The ports are a pair, address then data, so they need a lock; it is held at HIGH_LEVEL because
 * any IRQL may ask. Sources: PCI Local Bus 3.0, 3.2.2.3.2 ("Software Generation of Configuration
 * Transactions"); PCI Express Base, "PCI Express Enhanced Configuration Access Mechanism".
 */
#include "halp.h"

#include <io.h>
#include <mm.h>

#define CONFIG_ADDRESS 0xCF8
#define CONFIG_DATA 0xCFC
#define CONFIG_ENABLE 0x80000000u

#define HALP_PCI_BUSES 256u
#define HALP_PCI_DEVICES 32u
#define HALP_PCI_FUNCTIONS 8u
#define HALP_PORT_SPACE 256u
#define HALP_ECAM_SPACE 4096u
#define HALP_ECAM_BUS_BYTES 0x100000ull

/* Guards the port pair; KiRankPciConfig, HIGH_LEVEL. */
static KSPIN_LOCK HalpPciLock = KI_RANKED_SPIN_LOCK(KiRankPciConfig);

/* Written by HalpProbePci and HalpInitializePci, constant afterwards. */
static BOOLEAN HalpPortsPresent KI_RO_AFTER_INIT;
static BOOLEAN HalpEcamTrusted KI_RO_AFTER_INIT;

/* The mapped window of each bus, NULL until it is asked for; written once, by compare-exchange. */
static PVOID volatile HalpEcamWindow[HALP_PCI_BUSES];

static ULONG HalpAllOnes(ULONG Size)
{
    return Size == 4 ? MAXULONG : (1u << (8 * Size)) - 1;
}

/* The address of a function's register in its bus's window, or NULL if it cannot be had. */
static PVOID HalpEcamAddress(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset)
{
    /* pairs with: the compare-exchange below */
    PVOID Window = ReadPointerAcquire(&HalpEcamWindow[Bus]);

    if (Window == NULL)
    {
        ULONG64 Base;

        /* MmMapIoSpace's own limit: whoever asks from above finds only buses seen before. */
        if (KeGetCurrentIrql() > DISPATCH_LEVEL || !HalpQueryMcfg(Bus, &Base))
        {
            return NULL;
        }
        Window = (PVOID)HalpMapRegisters("PCI: MCFG's window", Base, HALP_ECAM_BUS_BYTES);
        if (Window == NULL)
        {
            return NULL;
        }

        /* If another processor was first, its window is as good; this one stays mapped, because
         * unmapping takes a rendezvous, which not every caller may start. */
        PVOID Earlier = InterlockedCompareExchangePointer(&HalpEcamWindow[Bus], Window, NULL);

        if (Earlier != NULL)
        {
            Window = Earlier;
        }
    }
    return (PUCHAR)Window + (Device << 15 | Function << 12 | Offset);
}

static ULONG HalpEcamRead(PVOID Register, ULONG Size)
{
    switch (Size)
    {
    case 1:
        return READ_REGISTER_UCHAR(Register);
    case 2:
        return READ_REGISTER_USHORT(Register);
    default:
        return READ_REGISTER_ULONG(Register);
    }
}

static VOID HalpEcamWrite(PVOID Register, ULONG Size, ULONG Value)
{
    switch (Size)
    {
    case 1:
        WRITE_REGISTER_UCHAR(Register, (UCHAR)Value);
        break;
    case 2:
        WRITE_REGISTER_USHORT(Register, (USHORT)Value);
        break;
    default:
        WRITE_REGISTER_ULONG(Register, Value);
        break;
    }
}

/* Takes the port pair and points it at the register; returns the IRQL to give back. */
static KIRQL HalpSelectRegister(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset)
{
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&HalpPciLock);
    __outdword(CONFIG_ADDRESS,
               CONFIG_ENABLE | Bus << 16 | Device << 11 | Function << 8 | (Offset & ~3u));
    return OldIrql;
}

static VOID HalpDeselectRegister(KIRQL OldIrql)
{
    KeReleaseSpinLockFromDpcLevel(&HalpPciLock);
    KeLowerIrql(OldIrql);
}

static ULONG HalpPortRead(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size)
{
    KIRQL OldIrql = HalpSelectRegister(Bus, Device, Function, Offset);
    USHORT Port = (USHORT)(CONFIG_DATA + (Offset & 3));
    ULONG Value;

    switch (Size)
    {
    case 1:
        Value = __inbyte(Port);
        break;
    case 2:
        Value = __inword(Port);
        break;
    default:
        Value = __indword(Port);
        break;
    }
    HalpDeselectRegister(OldIrql);
    return Value;
}

static VOID HalpPortWrite(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size,
                          ULONG Value)
{
    KIRQL OldIrql = HalpSelectRegister(Bus, Device, Function, Offset);
    USHORT Port = (USHORT)(CONFIG_DATA + (Offset & 3));

    switch (Size)
    {
    case 1:
        __outbyte(Port, (UCHAR)Value);
        break;
    case 2:
        __outword(Port, (USHORT)Value);
        break;
    default:
        __outdword(Port, Value);
        break;
    }
    HalpDeselectRegister(OldIrql);
}

static BOOLEAN HalpIsRegister(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size)
{
    return Bus < HALP_PCI_BUSES && Device < HALP_PCI_DEVICES && Function < HALP_PCI_FUNCTIONS &&
           Offset < HALP_ECAM_SPACE && (Size == 1 || Size == 2 || Size == 4) &&
           (Offset & (Size - 1)) == 0;
}

/* HalpPciRead - see hal.h. A register that does not exist reads as all ones, as the bus itself
 * answers for a device that does not. Offsets from 256 on: the first access to a bus comes from
 * <= DISPATCH_LEVEL, or finds nothing. */
ULONG HalpPciRead(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size)
{
    if (!HalpIsRegister(Bus, Device, Function, Offset, Size))
    {
        KI_ASSERT_VALUES(Size == 1 || Size == 2 || Size == 4, Offset, Size);
        return HalpAllOnes(Size);
    }
    if (HalpPortsPresent && Offset < HALP_PORT_SPACE)
    {
        return HalpPortRead(Bus, Device, Function, Offset, Size);
    }

    PVOID Register = HalpEcamTrusted ? HalpEcamAddress(Bus, Device, Function, Offset) : NULL;

    return Register == NULL ? HalpAllOnes(Size) : HalpEcamRead(Register, Size);
}

/* HalpPciWrite - see hal.h; a register that does not exist swallows the value. */
VOID HalpPciWrite(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size, ULONG Value)
{
    if (!HalpIsRegister(Bus, Device, Function, Offset, Size))
    {
        KI_ASSERT_VALUES(Size == 1 || Size == 2 || Size == 4, Offset, Size);
        return;
    }
    if (HalpPortsPresent && Offset < HALP_PORT_SPACE)
    {
        HalpPortWrite(Bus, Device, Function, Offset, Size, Value);
        return;
    }

    PVOID Register = HalpEcamTrusted ? HalpEcamAddress(Bus, Device, Function, Offset) : NULL;

    if (Register != NULL)
    {
        HalpEcamWrite(Register, Size, Value);
    }
}

/* HalpProbePci - see hal.h. The address port of a host bridge holds what was written to it; nothing
 * else at CF8 does. */
VOID HalpProbePci(VOID)
{
    ULONG Saved = __indword(CONFIG_ADDRESS);

    __outdword(CONFIG_ADDRESS, CONFIG_ENABLE);
    HalpPortsPresent = __indword(CONFIG_ADDRESS) == CONFIG_ENABLE;
    __outdword(CONFIG_ADDRESS, Saved);
}

/* TRUE if the window of bus 0 shows the devices that the ports show, or, where there are no ports,
 * at least a host bridge. */
static BOOLEAN HalpProbeEcam(VOID)
{
    for (ULONG Device = 0; Device < HALP_PCI_DEVICES; Device++)
    {
        PVOID Register = HalpEcamAddress(0, Device, 0, 0);

        if (Register == NULL)
        {
            return FALSE;
        }

        ULONG Id = READ_REGISTER_ULONG(Register);

        if (!HalpPortsPresent)
        {
            return Id != 0 && Id != MAXULONG;
        }
        if (Id != HalpPortRead(0, Device, 0, 0, 4))
        {
            return FALSE;
        }
    }
    return TRUE;
}

/* HalpInitializePci - decides how configuration space is reached and says so. Boot processor, once,
 * PASSIVE_LEVEL, after HalpProbePci and HalpInitializeAcpi and with MmMapIoSpace working. */
VOID HalpInitializePci(VOID)
{
    ULONG64 Base = 0;
    BOOLEAN Named = HalpQueryMcfg(0, &Base);

    HalpEcamTrusted = Named && HalpProbeEcam();

    if (HalpEcamTrusted)
    {
        KiLog(KiLogInfo, "PCI: %sECAM at 0x%llX", HalpPortsPresent ? "ports CF8/CFC, " : "", Base);
    }
    else if (Named)
    {
        KiLog(KiLogWarning, "PCI: MCFG's window at 0x%llX disagrees with the ports: not used",
              Base);
    }
    if (!HalpEcamTrusted)
    {
        KiLog(KiLogInfo, "PCI: %s", HalpPortsPresent ? "ports CF8/CFC" : "none");
    }
}
