/* SPDX-License-Identifier: MIT */
/*
 * test_pci_intx.c - which interrupt lines an INTx pin may reach, by which rule. The routing facts
 * in the cases were measured on QEMU.
 */
#include "test_pci.h"

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
    static const UCHAR Expected[][3] = {{1, 1, 21},  {2, 1, 22},  {3, 1, 23},  {4, 1, 20},
                                        {5, 1, 21},  {24, 1, 20}, {2, 2, 23},  {2, 4, 21},
                                        {25, 1, 16}, {26, 1, 16}, {29, 1, 16}, {31, 1, 16},
                                        {31, 2, 17}, {28, 4, 19}, {30, 1, 20}, {30, 4, 23}};
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
            FAKE_FUNCTION *Fake = AddFunction((ULONG)HostRandomBelow(5), (ULONG)HostRandomBelow(4),
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

HOST_MAIN(CASE(RoutePiix3), CASE(RoutePiix3Override), CASE(RoutePiix3Off), CASE(RouteIch9),
          CASE(RouteIch9Board), CASE(RouteBehindBridges), CASE(RouteMultifunctionBridge),
          CASE(RouteOrphan), CASE(RouteEverythingABridge), CASE(RouteLineRegister),
          CASE(RouteUserOption), CASE(RouteFewLines), CASE(RouteNoPin), CASE(RouteEveryRule),
          CASE(ConfigurationAtRandom))
