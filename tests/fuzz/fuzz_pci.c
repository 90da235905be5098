/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pci.c - PCI configuration space: any functions with any registers.
 *
 * Input: records of a place (device and function, then the bus), registers from 0x00 to 0x3F, and
 * for each of those bytes which bits a write changes; then six base addresses, each with a mask.
 * Oracle: each function is visited once, and only if something answers there; a base address that
 * is used is a power of two long, aligned, in its space, and written only while the device does not
 * decode; afterwards the registers hold what they held; every candidate line of an interrupt pin
 * exists and is named once.
 */
#include "../host/test_pci.h"
#include "fuzz.h"

#define MAXIMUM_FUNCTIONS 24
#define REGISTERS 0x40
#define RECORD (2 + 2 * REGISTERS)

static VOID CheckVisits(VOID)
{
    for (ULONG Index = 0; Index < VisitCount; Index++)
    {
        FAKE_FUNCTION *Fake = FindFake(Visits[Index].Bus, Visits[Index].Device,
                                       Visits[Index].Function);

        FUZZ_REQUIRE(Fake != NULL && Visits[Index].InterruptPin <= 4);
        for (ULONG Other = 0; Other < Index; Other++)
        {
            FUZZ_REQUIRE(memcmp(&Visits[Index], &Visits[Other], 3) != 0);
        }
    }
}

static VOID CheckBar(const IOP_PCI_BAR *Bar)
{
    ULONG64 Last = Bar->Start + Bar->Length - 1;

    if (Bar->Type == CmResourceTypeNull)
    {
        return;
    }
    FUZZ_REQUIRE(Bar->Type == CmResourceTypeMemory || Bar->Type == CmResourceTypePort);
    FUZZ_REQUIRE(Bar->Length >= 4 && (Bar->Length & (Bar->Length - 1)) == 0);
    FUZZ_REQUIRE(Bar->Start != 0 && Bar->Start % Bar->Length == 0 && Last >= Bar->Start);
    FUZZ_REQUIRE(Bar->Type == CmResourceTypeMemory || Last <= 0xFFFF);
    FUZZ_REQUIRE(Bar->Wide || Last <= MAXULONG);
}

static VOID CheckBars(const IOP_PCI_FUNCTION *Function)
{
    FAKE_FUNCTION *Fake = FindFake(Function->Bus, Function->Device, Function->Function);
    FAKE_FUNCTION Before = *Fake;
    IOP_PCI_BAR Bars[IOP_PCI_BARS];
    ULONG Usable = 0;
    UCHAR Stuck = Before.Registers[4] & ~Before.Writable[4] & 7; /* decoding that cannot be ended */

    memset(Bars, 0x55, sizeof(Bars));
    BarWrittenWhileDecoding = FALSE;
    ULONG Count = IopPciReadBars(Function, Bars);

    for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
    {
        CheckBar(&Bars[Index]);
        Usable += Bars[Index].Type != CmResourceTypeNull;
        FUZZ_REQUIRE(Index == 0 || !Bars[Index - 1].Wide ||
                     Bars[Index].Type == CmResourceTypeNull); /* an upper half is none itself */
    }
    FUZZ_REQUIRE(Count == Usable);
    FUZZ_REQUIRE(!BarWrittenWhileDecoding || Stuck != 0);
    FUZZ_REQUIRE(memcmp(Fake->Registers + 0x10, Before.Registers + 0x10, 0x18) == 0);
    FUZZ_REQUIRE((Fake->Registers[4] & Before.Writable[4] & 7) == 0);
}

static VOID CheckLines(const IOP_PCI_FUNCTION *Function)
{
    HALP_LINE_CANDIDATE Found[HALP_MAXIMUM_CANDIDATES];
    ULONG Count = HalpPciInterruptCandidates(Function->Bus, Function->Device, Function->Function,
                                             Function->InterruptPin, Found);

    FUZZ_REQUIRE(Count <= HALP_MAXIMUM_CANDIDATES);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        FUZZ_REQUIRE(HalpLineExists(Found[Index].Line.Gsi) && Found[Index].Rule != NULL);
        FUZZ_REQUIRE(Found[Index].Line.Polarity != HalpPolarityDefault);
        for (ULONG Other = 0; Other < Index; Other++)
        {
            FUZZ_REQUIRE(Found[Other].Line.Gsi != Found[Index].Line.Gsi ||
                         Found[Other].Line.Polarity != Found[Index].Line.Polarity);
        }
    }
}

/* Values and masks that no register would give together. */
static VOID CheckDecoding(FUZZ_INPUT Input)
{
    ULONG Values[IOP_PCI_BARS], Masks[IOP_PCI_BARS];
    IOP_PCI_BAR Bars[IOP_PCI_BARS];

    for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
    {
        Values[Index] = (ULONG)FuzzTake(&Input, 4);
        Masks[Index] = (ULONG)FuzzTake(&Input, 4);
    }
    memset(Bars, 0x55, sizeof(Bars));
    IopPciDecodeBars(Values, Masks, Bars);
    for (ULONG Index = 0; Index < IOP_PCI_BARS; Index++)
    {
        CheckBar(&Bars[Index]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    NewMachine(NULL);
    for (; Size >= RECORD && FakeCount < MAXIMUM_FUNCTIONS; Data += RECORD, Size -= RECORD)
    {
        FAKE_FUNCTION *Fake;

        if (FindFake(Data[1], Data[0] >> 3, Data[0] & 7) == NULL)
        {
            Fake = AddFunction(Data[1], Data[0] >> 3, Data[0] & 7, 0);
            memcpy(Fake->Registers, Data + 2, REGISTERS);
            memcpy(Fake->Writable, Data + 2 + REGISTERS, REGISTERS);
        }
    }
    CheckDecoding((FUZZ_INPUT){Data, Size});
    IopPciScan(Visit, NULL);
    FUZZ_REQUIRE(VisitCount <= FakeCount);
    CheckVisits();
    for (ULONG Index = 0; Index < VisitCount; Index++)
    {
        if (Visits[Index].InterruptPin != 0)
        {
            CheckLines(&Visits[Index]);
        }
        if (Visits[Index].HeaderType == 0)
        {
            CheckBars(&Visits[Index]);
        }
    }
    return 0;
}
