/* SPDX-License-Identifier: MIT */
/*
 * test_pci.c - PCI on made-up machines: which functions a scan finds, what base address registers
 * mean, and which lines an INTx pin may reach.
 *
 * The code under test reaches the machine through HalpPciRead and its kin; here those read tables.
 * A table is a list of functions with 256 bytes of registers each and a mask of the bits that a
 * write changes. Routing facts in the cases were measured on QEMU.
 */
#include "host.h"

#include "iop.h"

/* ------------------------------------------------------------------ The machine. */

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

static int NewMachine(void **State)
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

static FAKE_FUNCTION *AddBridge(ULONG Bus, ULONG Device, ULONG Function, ULONG Secondary,
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

/* ------------------------------------------------------------------ Scanning. */

static VOID Visit(const IOP_PCI_FUNCTION *Function, PVOID Context)
{
    (void)Context;
    assert_true(VisitCount < MAXIMUM_VISITS);
    Visits[VisitCount++] = *Function;
}

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
        {{0}, {0}},                                     /* not implemented                   */
        {{0}, {0xFFFE0000}},                            /* firmware assigned none            */
        {{0x00000001}, {0xFFFFFFE1}},                   /* the same, ports                   */
        {{0, 0}, {0xFFFF0004, 0xFFFFFFFF}},             /* the same, 64 bits                 */
        {{0xFEBC0000}, {0xFF0F0000}},                   /* a mask with a hole                */
        {{0xFEBC1000}, {0xFFFE0000}},                   /* not a multiple of the size        */
        {{0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
         {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}}, /* gone */
        {{0x00010001}, {0xFFFFFFE1}},                   /* a port beyond 64 K                */
        {{0, 0, 0, 0, 0, 0xFE000004}, {0, 0, 0, 0, 0, 0xFFFF0004}}, /* no upper half         */
        {{0x00000004, 0x00000001}, {0x00000004, 0xFFFFFFFF}}, /* 4 GiB: too long to describe */
        {{0xFE000004, 0x00000001}, {0xFFFF0004, 0}},    /* an upper half that is not there   */
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

/* ------------------------------------------------------------------ Interrupt lines. */

static HALP_LINE_CANDIDATE Candidates[HALP_MAXIMUM_CANDIDATES];
static ULONG CandidateCount;

static VOID Route(ULONG Bus, ULONG Device, ULONG Pin)
{
    CandidateCount = HalpPciInterruptCandidates(Bus, Device, 0, Pin, Candidates);
    assert_true(CandidateCount <= HALP_MAXIMUM_CANDIDATES);
    for (ULONG Index = 0; Index < CandidateCount; Index++)
    {
        const HALP_LINE *Line = &Candidates[Index].Line;

        assert_int_equal(Line->Mode, LevelSensitive);
        assert_true(Line->Polarity == HalpActiveHigh || Line->Polarity == HalpActiveLow);
        assert_true(HalpLineExists(Line->Gsi));
        assert_non_null(Candidates[Index].Rule);
        for (ULONG Other = 0; Other < Index; Other++)
        {
            assert_false(Candidates[Other].Line.Gsi == Line->Gsi &&
                         Candidates[Other].Line.Polarity == Line->Polarity);
        }
    }
}

static VOID AssertCandidate(ULONG Index, ULONG Gsi, HALP_POLARITY Polarity, PCSTR Rule)
{
    assert_true(Index < CandidateCount);
    assert_int_equal(Candidates[Index].Line.Gsi, Gsi);
    assert_int_equal(Candidates[Index].Line.Polarity, Polarity);
    assert_string_equal(Candidates[Index].Rule, Rule);
}

static VOID BuildI440Fx(VOID)
{
    static const UCHAR Routes[] = {10, 10, 11, 11};
    FAKE_FUNCTION *Host = AddFunction(0, 0, 0, 0x12378086);
    FAKE_FUNCTION *Isa = AddFunction(0, 1, 0, 0x70008086);

    SetRegister(Host, 0x2C, 4, 0x11001AF4);
    memcpy(&Isa->Registers[0x60], Routes, sizeof(Routes));
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Routes); Index++)
    {
        IsaLines[Routes[Index]].Mode = LevelSensitive;
    }
}

static FAKE_FUNCTION *BuildQ35(BOOLEAN Qemu)
{
    FAKE_FUNCTION *Host = AddFunction(0, 0, 0, 0x29C08086);
    FAKE_FUNCTION *Lpc = AddFunction(0, 31, 0, 0x29188086);

    SetRegister(Host, 0x2C, 4, Qemu ? 0x11001AF4 : 0x50441458);
    for (ULONG Index = 0; Index < 4; Index++)
    {
        Lpc->Registers[0x60 + Index] = Lpc->Registers[0x68 + Index] = (UCHAR)(10 + Index % 2);
        Lpc->Writable[0x60 + Index] = Lpc->Writable[0x68 + Index] = 0xFF;
    }
    return Lpc;
}

static void RoutePiix3(void **State)
{
    static const UCHAR Expected[][2] = {{3, 11}, {4, 11}, {5, 10}, {6, 10}, {7, 11}};

    (void)State;
    BuildI440Fx();
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Expected); Index++)
    {
        Route(0, Expected[Index][0], 1);
        AssertCandidate(0, Expected[Index][1], HalpActiveHigh, "PIIX3 PIRQ route");
    }
    Route(0, 4, 2); /* pin B is one PIRQ further: PIRQA */
    AssertCandidate(0, 10, HalpActiveHigh, "PIIX3 PIRQ route");
    assert_int_equal(WriteCount, 0);
}

static void RoutePiix3Override(void **State)
{
    (void)State;
    BuildI440Fx();
    IsaLines[11] = (HALP_LINE){19, LevelSensitive, HalpActiveLow};
    Route(0, 3, 1);
    AssertCandidate(0, 19, HalpActiveLow, "PIIX3 PIRQ route");
}

static void RoutePiix3Off(void **State)
{
    (void)State;
    BuildI440Fx();
    FindFake(0, 1, 0)->Registers[0x62] = 0x80;
    Route(0, 3, 1);
    AssertCandidate(0, 16, HalpActiveHigh, "probe");
}

static void RouteIch9(void **State)
{
    static const UCHAR Expected[][3] = {
        {1, 1, 21},  {2, 1, 22},  {3, 1, 23},  {4, 1, 20},  {5, 1, 21},  {24, 1, 20}, {2, 2, 23},
        {2, 4, 21},  {25, 1, 16}, {26, 1, 16}, {29, 1, 16}, {31, 1, 16}, {31, 2, 17}, {28, 4, 19},
        {30, 1, 20}, {30, 4, 23}};
    FAKE_FUNCTION *Lpc = BuildQ35(TRUE);

    (void)State;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Expected); Index++)
    {
        Route(0, Expected[Index][0], Expected[Index][1]);
        AssertCandidate(0, Expected[Index][2], HalpActiveHigh, "ICH9 wiring");
        AssertCandidate(1, Expected[Index][2], HalpActiveLow, "ICH9 wiring");
    }
    for (ULONG Index = 0; Index < 4; Index++)
    {
        assert_int_equal(Lpc->Registers[0x60 + Index], 0x80);
        assert_int_equal(Lpc->Registers[0x68 + Index], 0x80);
    }
}

static void RouteIch9Board(void **State)
{
    (void)State;
    BuildQ35(FALSE);
    Route(0, 25, 1);
    AssertCandidate(0, 16, HalpActiveLow, "ICH9 wiring");
    AssertCandidate(1, 16, HalpActiveHigh, "ICH9 wiring");
}

static void RouteBehindBridges(void **State)
{
    (void)State;
    BuildQ35(TRUE);
    AddBridge(0, 4, 0, 1, 3);
    AddBridge(1, 2, 0, 3, 3);
    AddBridge(0, 30, 0, 4, 4);
    AddBridge(0, 3, 0, 8, 9); /* leads past all of them */

    Route(1, 1, 1); /* bridge pin (0 + 1) = B; slot 4, B: 20 + 5 mod 4 */
    AssertCandidate(0, 21, HalpActiveHigh, "ICH9 wiring");
    Route(3, 3, 2); /* (1 + 3) = A; (0 + 2) = C; slot 4, C: 20 + 6 mod 4 */
    AssertCandidate(0, 22, HalpActiveHigh, "ICH9 wiring");
    Route(4, 5, 1); /* (0 + 5) = B on device 30 */
    AssertCandidate(0, 21, HalpActiveHigh, "ICH9 wiring");
}

static void RouteMultifunctionBridge(void **State)
{
    FAKE_FUNCTION *First = AddFunction(0, 28, 0, 0x00011B36);

    (void)State;
    BuildQ35(TRUE);
    First->Registers[0x0E] = 0x80;
    AddBridge(0, 28, 5, 7, 7);
    Route(7, 0, 3); /* device 0 turns nothing */
    AssertCandidate(0, 18, HalpActiveHigh, "ICH9 wiring");
}

/* A bus that no chain of bridges reaches, also because the chain is a loop, has no chipset rule. */
static void RouteOrphan(void **State)
{
    (void)State;
    BuildQ35(TRUE);
    AddBridge(0, 1, 0, 0, 255);
    AddBridge(0, 2, 0, 1, 255);
    AddBridge(1, 0, 0, 1, 255);
    AddBridge(1, 1, 0, 0, 255);
    AddBridge(0, 3, 0, 9, 8);
    Route(9, 0, 1);
    AssertCandidate(0, 16, HalpActiveHigh, "probe");
    assert_int_equal(CandidateCount, 16);
}

static void RouteEverythingABridge(void **State)
{
    (void)State;
    EverythingIsABridge = TRUE;
    Route(255, 31, 4);
    assert_true(CandidateCount >= 16);
}

static void RouteLineRegister(void **State)
{
    FAKE_FUNCTION *Nic = AddFunction(0, 3, 0, 0x100E8086);

    (void)State;
    Nic->Registers[0x3C] = 11;
    Route(0, 3, 1);
    AssertCandidate(0, 11, HalpActiveHigh, "Interrupt Line register");
    AssertCandidate(1, 16, HalpActiveLow, "probe");
    AssertCandidate(9, 16, HalpActiveHigh, "probe, other polarity");
    assert_int_equal(CandidateCount, 17);

    IsaLines[11] = (HALP_LINE){11, LevelSensitive, HalpActiveLow};
    Route(0, 3, 1);
    AssertCandidate(0, 11, HalpActiveLow, "Interrupt Line register");

    Nic->Registers[0x3C] = 18;
    Route(0, 3, 1);
    AssertCandidate(0, 18, HalpActiveLow, "Interrupt Line register");
    AssertCandidate(1, 18, HalpActiveHigh, "Interrupt Line register");
    assert_int_equal(CandidateCount, 16);

    Nic->Registers[0x3C] = 0;
    Route(0, 3, 1);
    AssertCandidate(0, 16, HalpActiveLow, "probe");
    Nic->Registers[0x3C] = 0xFF;
    Route(0, 3, 1);
    AssertCandidate(0, 16, HalpActiveLow, "probe");
    LineCount = 300; /* 255 would be a line */
    Route(0, 3, 1);
    AssertCandidate(0, 16, HalpActiveLow, "probe");
    LineCount = 24;
    Nic->Registers[0x3C] = 77; /* no such line */
    Route(0, 3, 1);
    AssertCandidate(0, 16, HalpActiveLow, "probe");
}

static void RouteUserOption(void **State)
{
    (void)State;
    BuildQ35(TRUE);
    KiOptions.NicGsi = 17;
    Route(0, 2, 1);
    AssertCandidate(0, 17, HalpActiveHigh, "nic.gsi option");
    AssertCandidate(1, 17, HalpActiveLow, "nic.gsi option");
    AssertCandidate(2, 22, HalpActiveHigh, "ICH9 wiring");
    assert_int_equal(CandidateCount, 16);

    KiOptions.NicGsi = 22; /* what the chipset says anyway: named once */
    Route(0, 2, 1);
    AssertCandidate(0, 22, HalpActiveHigh, "nic.gsi option");
    AssertCandidate(2, 16, HalpActiveHigh, "probe");

    IsaLines[9] = (HALP_LINE){9, LevelSensitive, HalpActiveLow};
    KiOptions.NicGsi = 9;
    Route(0, 2, 1);
    AssertCandidate(0, 9, HalpActiveLow, "nic.gsi option");
    AssertCandidate(1, 22, HalpActiveHigh, "ICH9 wiring");

    KiOptions.NicGsi = 1000;
    Route(0, 2, 1);
    AssertCandidate(0, 22, HalpActiveHigh, "ICH9 wiring");
}

static void RouteFewLines(void **State)
{
    (void)State;
    BuildI440Fx();
    LineCount = 16;
    Route(0, 3, 1);
    assert_int_equal(CandidateCount, 1);
    LineCount = 0;
    Route(0, 3, 1);
    assert_int_equal(CandidateCount, 0);
}

static void RouteNoPin(void **State)
{
    (void)State;
    BuildI440Fx();
    Route(0, 3, 0);
    assert_int_equal(CandidateCount, 0);
    Route(0, 3, 5);
    assert_int_equal(CandidateCount, 0);
}

/* The worst case fits the list: nothing that some rule names is lost. */
static void RouteEveryRule(void **State)
{
    FAKE_FUNCTION *Nic = AddFunction(0, 3, 0, 0x100E8086);

    (void)State;
    BuildQ35(TRUE);
    LineCount = 64;
    KiOptions.NicGsi = 40;
    Nic->Registers[0x3C] = 50;
    Route(0, 3, 1);
    assert_int_equal(CandidateCount, 2 + 2 + 16);
}

/* Random registers on a few buses: the scan and the routing end, inside their tables. */
static void ConfigurationAtRandom(void **State)
{
    for (ULONG Round = 0; Round < 300; Round++)
    {
        NewMachine(State);
        for (ULONG Index = 0; Index < 24; Index++)
        {
            FAKE_FUNCTION *Fake =
                AddFunction((ULONG)HostRandomBelow(5), (ULONG)HostRandomBelow(4),
                            (ULONG)HostRandomBelow(8), (ULONG)HostRandom());

            for (ULONG Byte = 4; Byte < 64; Byte++)
            {
                Fake->Registers[Byte] = (UCHAR)HostRandom();
            }
            Fake->Registers[0x0E] &= 0x83;
            Fake->Registers[0x19] &= 7;
        }
        IopPciScan(Visit, NULL);
        assert_true(VisitCount <= 24);
        for (ULONG Index = 0; Index < VisitCount; Index++)
        {
            Route(Visits[Index].Bus, Visits[Index].Device, Visits[Index].InterruptPin);
        }
    }
}

#define CASE(Name) cmocka_unit_test_setup(Name, NewMachine)

HOST_MAIN(CASE(ScanNothing), CASE(ScanIdentity), CASE(ScanMultifunction), CASE(ScanBehindBridges),
          CASE(ScanLoops), CASE(ScanEverythingABridge), CASE(BarsOf82540), CASE(BarsOf64Bits),
          CASE(BarsOfSixteenBitPorts), CASE(BarsUnusable), CASE(BarsAtRandom),
          CASE(BarsReadAndRestored), CASE(RoutePiix3), CASE(RoutePiix3Override),
          CASE(RoutePiix3Off), CASE(RouteIch9), CASE(RouteIch9Board), CASE(RouteBehindBridges),
          CASE(RouteMultifunctionBridge), CASE(RouteOrphan), CASE(RouteEverythingABridge),
          CASE(RouteLineRegister), CASE(RouteUserOption), CASE(RouteFewLines), CASE(RouteNoPin),
          CASE(RouteEveryRule), CASE(ConfigurationAtRandom))
