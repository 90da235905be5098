/* SPDX-License-Identifier: MIT */
/*
 * test_pci.h - made-up PCI buses for tests.
 *
 * The code under test reaches the machine through HalpPciRead and its kin; here those read tables:
 * a list of functions with 256 bytes of registers each and a mask of the bits that a write changes.
 * Included by one file of each test program.
 */
#pragma once

#include "host.h"

#include "iop.h"

#define MAXIMUM_FAKES 64
#define MAXIMUM_VISITS 70000

typedef struct _FAKE_FUNCTION
{
    ULONG Bus, Device, Function;
    UCHAR Registers[256];
    UCHAR Writable[256];
} FAKE_FUNCTION;

static FAKE_FUNCTION Fakes[MAXIMUM_FAKES];
static ULONG FakeCount;
static BOOLEAN EverythingIsABridge; /* each function of each bus is one, to the next bus */
static BOOLEAN BarWrittenWhileDecoding;
static ULONG ReadCount;
static ULONG WriteCount;

static ULONG LineCount;
static HALP_LINE IsaLines[16];
KI_OPTIONS KiOptions;

static IOP_PCI_FUNCTION Visits[MAXIMUM_VISITS];
static ULONG VisitCount;

static FAKE_FUNCTION *FindFake(ULONG Bus, ULONG Device, ULONG Function)
{
    for (ULONG Index = 0; Index < FakeCount; Index++)
    {
        FAKE_FUNCTION *Fake = &Fakes[Index];

        if (Fake->Bus == Bus && Fake->Device == Device && Fake->Function == Function)
        {
            return Fake;
        }
    }
    return NULL;
}

static ULONG BridgeRegister(ULONG Bus, ULONG Offset)
{
    switch (Offset)
    {
    case 0x0E:
        return 0x81;
    case 0x19:
        return (Bus + 1) & 0xFF;
    case 0x1A:
        return 0xFF;
    default:
        return 0x12;
    }
}

ULONG HalpPciRead(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size)
{
    FAKE_FUNCTION *Fake = FindFake(Bus, Device, Function);
    ULONG Value = MAXULONG;

    assert_true(Bus < 256 && Device < 32 && Function < 8 && Offset + Size <= 256);
    assert_true(Size == 1 || Size == 2 || Size == 4);
    assert_int_equal(Offset & (Size - 1), 0);

    ReadCount++;
    if (Fake != NULL)
    {
        memcpy(&Value, &Fake->Registers[Offset], Size);
    }
    else if (EverythingIsABridge)
    {
        Value = BridgeRegister(Bus, Offset);
    }
    return Size == 4 ? Value : Value & ((1u << (8 * Size)) - 1);
}

VOID HalpPciWrite(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size, ULONG Value)
{
    FAKE_FUNCTION *Fake = FindFake(Bus, Device, Function);

    assert_true(Offset + Size <= 256);
    WriteCount++;
    if (Fake == NULL)
    {
        return;
    }
    if (Offset >= 0x10 && Offset < 0x28 && (Fake->Registers[4] & 7) != 0)
    {
        BarWrittenWhileDecoding = TRUE;
    }
    for (ULONG Byte = 0; Byte < Size; Byte++)
    {
        UCHAR Mask = Fake->Writable[Offset + Byte];
        UCHAR *Register = &Fake->Registers[Offset + Byte];

        *Register = (UCHAR)((*Register & ~Mask) | ((Value >> (8 * Byte)) & Mask));
    }
}

HALP_LINE HalpIsaLine(ULONG Irq)
{
    assert_true(Irq < 16);
    return IsaLines[Irq];
}

BOOLEAN HalpLineExists(ULONG Gsi)
{
    return Gsi < LineCount;
}

VOID KiLog(KI_LOG_LEVEL Level, PCSTR Format, ...)
{
    (void)Level;
    (void)Format;
}

DECLSPEC_NORETURN VOID KiAssertionFailed(PCSTR Condition, PCSTR File, ULONG Line, ULONG_PTR Value1,
                                         ULONG_PTR Value2)
{
    (void)Value1;
    (void)Value2;
    _fail(File, (int)Line);
    printf("# %s\n", Condition);
    __builtin_trap();
}

static inline int NewMachine(void **State)
{
    (void)State;
    memset(Fakes, 0, sizeof(Fakes));
    memset(&KiOptions, 0, sizeof(KiOptions));
    FakeCount = VisitCount = ReadCount = WriteCount = 0;
    EverythingIsABridge = BarWrittenWhileDecoding = FALSE;
    KiOptions.NicGsi = KI_NIC_GSI_UNKNOWN;
    LineCount = 24;
    for (ULONG Irq = 0; Irq < 16; Irq++)
    {
        IsaLines[Irq] = (HALP_LINE){Irq, Latched, HalpActiveHigh};
    }
    IsaLines[0].Gsi = 2;
    return 0;
}

static VOID SetRegister(FAKE_FUNCTION *Fake, ULONG Offset, ULONG Size, ULONG Value)
{
    memcpy(&Fake->Registers[Offset], &Value, Size);
}

static FAKE_FUNCTION *AddFunction(ULONG Bus, ULONG Device, ULONG Function, ULONG Id)
{
    FAKE_FUNCTION *Fake = &Fakes[FakeCount++];

    assert_true(FakeCount <= MAXIMUM_FAKES);
    Fake->Bus = Bus;
    Fake->Device = Device;
    Fake->Function = Function;
    SetRegister(Fake, 0x00, 4, Id);
    return Fake;
}

static inline FAKE_FUNCTION *AddBridge(ULONG Bus, ULONG Device, ULONG Function, ULONG Secondary,
                                       ULONG Subordinate)
{
    FAKE_FUNCTION *Fake = AddFunction(Bus, Device, Function, 0x00011B36);

    Fake->Registers[0x0B] = 0x06;
    Fake->Registers[0x0A] = 0x04;
    Fake->Registers[0x0E] = 0x01;
    Fake->Registers[0x18] = (UCHAR)Bus;
    Fake->Registers[0x19] = (UCHAR)Secondary;
    Fake->Registers[0x1A] = (UCHAR)Subordinate;
    return Fake;
}

static VOID Visit(const IOP_PCI_FUNCTION *Function, PVOID Context)
{
    (void)Context;
    assert_true(VisitCount < MAXIMUM_VISITS);
    Visits[VisitCount++] = *Function;
}

#define CASE(Name) cmocka_unit_test_setup(Name, NewMachine)
