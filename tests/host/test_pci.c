/* SPDX-License-Identifier: MIT */
/*
 * test_pci.c - which functions a scan of PCI finds, and what base address registers mean.
 */
#include "test_pci.h"

/* ------------------------------------------------------------------ Scanning. */

static VOID AssertVisit(ULONG Index, ULONG Bus, ULONG Device, ULONG Function)
{
    assert_true(Index < VisitCount);
    assert_int_equal(Visits[Index].Bus, Bus);
    assert_int_equal(Visits[Index].Device, Device);
    assert_int_equal(Visits[Index].Function, Function);
}

static void ScanNothing(void **State)
{
    (void)State;
    IopPciScan(Visit, NULL);
    assert_int_equal(VisitCount, 0);
    assert_int_equal(ReadCount, 32);
}

static void ScanIdentity(void **State)
{
    FAKE_FUNCTION *Fake = AddFunction(0, 3, 0, 0x100E8086);

    (void)State;
    SetRegister(Fake, 0x08, 4, 0x02000103);
    Fake->Registers[0x3D] = 1;
    IopPciScan(Visit, NULL);
    assert_int_equal(VisitCount, 1);
    AssertVisit(0, 0, 3, 0);
    assert_int_equal(Visits[0].VendorId, 0x8086);
    assert_int_equal(Visits[0].DeviceId, 0x100E);
    assert_int_equal(Visits[0].BaseClass, 0x02);
    assert_int_equal(Visits[0].SubClass, 0x00);
    assert_int_equal(Visits[0].ProgIf, 0x01);
    assert_int_equal(Visits[0].HeaderType, 0);
    assert_int_equal(Visits[0].InterruptPin, 1);

    Fake->Registers[0x3D] = 9; /* there are four pins */
    VisitCount = 0;
    IopPciScan(Visit, NULL);
    assert_int_equal(Visits[0].InterruptPin, 0);
}

static void ScanMultifunction(void **State)
{
    FAKE_FUNCTION *First = AddFunction(0, 1, 0, 0x70008086);

    (void)State;
    AddFunction(0, 1, 1, 0x70108086);
    AddFunction(0, 1, 7, 0x71138086);
    AddFunction(0, 2, 1, 0x12345678); /* no function 0: does not exist */
    IopPciScan(Visit, NULL);
    assert_int_equal(VisitCount, 1);

    First->Registers[0x0E] = 0x80;
    VisitCount = 0;
    IopPciScan(Visit, NULL);
    assert_int_equal(VisitCount, 3);
    AssertVisit(0, 0, 1, 0);
    AssertVisit(1, 0, 1, 1);
    AssertVisit(2, 0, 1, 7);
}

static void ScanBehindBridges(void **State)
{
    (void)State;
    AddBridge(0, 2, 0, 3, 5);
    AddBridge(0, 4, 0, 1, 2);
    AddBridge(3, 0, 0, 5, 5);
    AddFunction(1, 7, 0, 0x100E8086);
    AddFunction(5, 0, 0, 0x10D38086);
    AddFunction(9, 0, 0, 0x10D38086); /* behind no bridge */
    IopPciScan(Visit, NULL);
    assert_int_equal(VisitCount, 5);
    AssertVisit(0, 0, 2, 0);
    AssertVisit(1, 0, 4, 0);
    AssertVisit(2, 1, 7, 0);
    AssertVisit(3, 3, 0, 0);
    AssertVisit(4, 5, 0, 0);
}

static void ScanLoops(void **State)
{
    (void)State;
    AddBridge(0, 1, 0, 1, 255);
    AddBridge(0, 2, 0, 1, 255); /* a second way to bus 1 */
    AddBridge(0, 3, 0, 0, 255); /* never numbered        */
    AddBridge(1, 0, 0, 0, 255); /* back to the root      */
    AddBridge(1, 1, 0, 1, 255); /* to itself             */
    AddBridge(1, 2, 0, 2, 255);
    AddBridge(2, 0, 0, 1, 255); /* back up               */
    AddBridge(2, 1, 0, 255, 2);
    IopPciScan(Visit, NULL);
    assert_int_equal(VisitCount, 8);
    AssertVisit(7, 2, 1, 0);
}

/* Every function of every bus a bridge: as many visits as there are functions, and not one more. */
static void ScanEverythingABridge(void **State)
{
    (void)State;
    EverythingIsABridge = TRUE;
    IopPciScan(Visit, NULL);
    assert_int_equal(VisitCount, 256 * 32 * 8);
}

/* ------------------------------------------------------------------ Base address registers. */

static IOP_PCI_BAR Bars[IOP_PCI_BARS];

static ULONG Decode(const ULONG Values[IOP_PCI_BARS], const ULONG Masks[IOP_PCI_BARS])
{
    memset(Bars, 0x55, sizeof(Bars));
    return IopPciDecodeBars(Values, Masks, Bars);
}

static VOID AssertBar(ULONG Index, ULONG Type, ULONG64 Start, ULONG Length)
{
    assert_int_equal(Bars[Index].Type, Type);
    if (Type != CmResourceTypeNull)
    {
        assert_int_equal(Bars[Index].Start, Start);
        assert_int_equal(Bars[Index].Length, Length);
    }
}

static void BarsOf82540(void **State)
{
    const ULONG Values[] = {0xFEBC0000, 0x0000C001, 0, 0, 0, 0};
    const ULONG Masks[] = {0xFFFE0000, 0xFFFFFFC1, 0, 0, 0, 0};

    (void)State;
    assert_int_equal(Decode(Values, Masks), 2);
    AssertBar(0, CmResourceTypeMemory, 0xFEBC0000, 0x20000);
    AssertBar(1, CmResourceTypePort, 0xC000, 0x40);
    for (ULONG Index = 2; Index < IOP_PCI_BARS; Index++)
    {
        AssertBar(Index, CmResourceTypeNull, 0, 0);
    }
}

static void BarsOf64Bits(void **State)
{
    const ULONG Values[] = {0xFE00000C, 0x00000040, 0, 0, 0xF0000004, 0};
    const ULONG Masks[] = {0xFFFF000C, 0xFFFFFFFF, 0, 0, 0xFFFFF004, 0xFFFFFFFF};

    (void)State;
    assert_int_equal(Decode(Values, Masks), 2);
    AssertBar(0, CmResourceTypeMemory, 0x40FE000000, 0x10000);
    assert_true(Bars[0].Wide);
    AssertBar(1, CmResourceTypeNull, 0, 0);
    AssertBar(4, CmResourceTypeMemory, 0xF0000000, 0x1000);
    AssertBar(5, CmResourceTypeNull, 0, 0);
}

static void BarsOfSixteenBitPorts(void **State)
{
    const ULONG Values[] = {0x0000C001, 0x0000FFF1, 0, 0, 0, 0};
    const ULONG Masks[] = {0x0000FFE1, 0x0000FFF1, 0, 0, 0, 0};

    (void)State;
    assert_int_equal(Decode(Values, Masks), 2);
    AssertBar(0, CmResourceTypePort, 0xC000, 0x20);
    AssertBar(1, CmResourceTypePort, 0xFFF0, 0x10);
}

static void BarsUnusable(void **State)
{
    static const struct
    {
        ULONG Values[IOP_PCI_BARS], Masks[IOP_PCI_BARS];
    } Cases[] = {
        {{0}, {0}},                         /* no such BAR                       */
        {{0}, {0xFFFE0000}},                /* firmware assigned none            */
        {{0x00000001}, {0xFFFFFFE1}},       /* the same, ports                   */
        {{0, 0}, {0xFFFF0004, 0xFFFFFFFF}}, /* the same, 64 bits                 */
        {{0xFEBC0000}, {0xFF0F0000}},       /* a mask with a hole                */
        {{0xFEBC1000}, {0xFFFE0000}},       /* not a multiple of the size        */
        {{0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
         {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}}, /* gone */
        {{0x00010001}, {0xFFFFFFE1}}, /* a port beyond 64 K                */
        {{0, 0, 0, 0, 0, 0xFE000004}, {0, 0, 0, 0, 0, 0xFFFF0004}}, /* no upper half         */
        {{0x00000004, 0x00000001}, {0x00000004, 0xFFFFFFFF}}, /* 4 GiB: too long to describe */
        {{0xFE000004, 0x00000001}, {0xFFFF0004, 0}}, /* an upper half that is not there   */
    };

    (void)State;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Cases); Index++)
    {
        assert_int_equal(Decode(Cases[Index].Values, Cases[Index].Masks), 0);
        for (ULONG Bar = 0; Bar < IOP_PCI_BARS; Bar++)
        {
            AssertBar(Bar, CmResourceTypeNull, 0, 0);
        }
    }
}

/* Whatever the registers hold, a usable range is a power of two, aligned, inside its space. */
static void BarsAtRandom(void **State)
{
    (void)State;
    for (ULONG Round = 0; Round < 200000; Round++)
    {
        ULONG Values[IOP_PCI_BARS], Masks[IOP_PCI_BARS];

        for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
        {
            Masks[Index] = MAXULONG << HostRandomBelow(32) | (ULONG)HostRandomBelow(8);
            Values[Index] = (ULONG)HostRandom() & (HostRandomBelow(2) ? Masks[Index] : MAXULONG);
        }
        Decode(Values, Masks);
        for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
        {
            const IOP_PCI_BAR *Bar = &Bars[Index];
            ULONG64 End = Bar->Start + Bar->Length - 1;

            if (Bar->Type == CmResourceTypeNull)
            {
                continue;
            }
            assert_true(Bar->Length >= 4 && (Bar->Length & (Bar->Length - 1)) == 0);
            assert_true(Bar->Start != 0 && Bar->Start % Bar->Length == 0 && End >= Bar->Start);
            assert_true(Bar->Type == CmResourceTypeMemory || End <= 0xFFFF);
            assert_true(Bar->Wide || End <= MAXULONG);
        }
    }
}

static void BarsReadAndRestored(void **State)
{
    FAKE_FUNCTION *Fake = AddFunction(2, 5, 1, 0x100E8086);
    IOP_PCI_FUNCTION Function = {.Bus = 2, .Device = 5, .Function = 1};
    FAKE_FUNCTION Before;

    (void)State;
    SetRegister(Fake, 0x04, 2, 0x0107);
    SetRegister(Fake, 0x10, 4, 0xFEBC0000);
    SetRegister(Fake, 0x14, 4, 0x0000C001);
    Fake->Writable[0x04] = Fake->Writable[0x05] = 0xFF;
    Fake->Writable[0x12] = 0xFE;
    Fake->Writable[0x13] = 0xFF;
    Fake->Writable[0x14] = 0xC0;
    Fake->Writable[0x15] = Fake->Writable[0x16] = Fake->Writable[0x17] = 0xFF;
    Before = *Fake;

    assert_int_equal(IopPciReadBars(&Function, Bars), 2);
    AssertBar(0, CmResourceTypeMemory, 0xFEBC0000, 0x20000);
    AssertBar(1, CmResourceTypePort, 0xC000, 0x40);
    assert_false(BarWrittenWhileDecoding);
    assert_memory_equal(&Fake->Registers[0x10], &Before.Registers[0x10], 24);
    assert_int_equal(IopPciRead(&Function, PCI_COMMAND, 2), 0x0100);
}

HOST_MAIN(CASE(ScanNothing), CASE(ScanIdentity), CASE(ScanMultifunction), CASE(ScanBehindBridges),
          CASE(ScanLoops), CASE(ScanEverythingABridge), CASE(BarsOf82540), CASE(BarsOf64Bits),
          CASE(BarsOfSixteenBitPorts), CASE(BarsUnusable), CASE(BarsAtRandom),
          CASE(BarsReadAndRestored))
