/* SPDX-License-Identifier: MIT */
/*
 * test_pci_start.c - the I/O manager starts a made-up PC's devices: stacks are built, given
 * resources line by line, and taken apart when nothing works.
 */
#include "test_pci_start.h"

static const CM_PARTIAL_RESOURCE_DESCRIPTOR *FindResource(const CM_RESOURCE_LIST *List, UCHAR Type)
{
    const CM_PARTIAL_RESOURCE_LIST *Partial = &List->List[0].PartialResourceList;

    assert_int_equal(List->Count, 1);
    for (ULONG Index = 0; Index < Partial->Count; Index++)
    {
        if (Partial->PartialDescriptors[Index].Type == Type)
        {
            return &Partial->PartialDescriptors[Index];
        }
    }
    return NULL;
}

static void TheSecondLineIsTheOne(void **State)
{
    FUNCTION *Nic = AddNic(3, NIC_ID);
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *Raw, *Translated;

    (void)State;
    StartAnswer[0] = STATUS_DEVICE_CONFIGURATION_ERROR;
    IopInitialize();
    assert_int_equal(StartCount, 2);
    for (ULONG Start = 0; Start < StartCount; Start++)
    {
        Raw = FindResource(&StartRaw[Start], CmResourceTypeInterrupt);
        Translated = FindResource(&StartTranslated[Start], CmResourceTypeInterrupt);
        assert_int_equal(Raw->u.Interrupt.Vector, 20 + Start);
        assert_int_equal(Raw->u.Interrupt.Level, 20 + Start);
        assert_int_equal(Translated->u.Interrupt.Vector, 0x60 + Start);
        assert_int_equal(Translated->u.Interrupt.Level, 6);
        assert_int_equal(Translated->u.Interrupt.Affinity, 0xF);
        assert_int_equal(Translated->Flags, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE);
        assert_int_equal(Translated->ShareDisposition, CmResourceShareShared);

        Translated = FindResource(&StartTranslated[Start], CmResourceTypeMemory);
        assert_int_equal(Translated->u.Memory.Start.QuadPart, 0xFEB60000);
        assert_int_equal(Translated->u.Memory.Length, 0x20000);
        Translated = FindResource(&StartTranslated[Start], CmResourceTypePort);
        assert_int_equal(Translated->u.Port.Start.QuadPart, 0xC000);
        assert_int_equal(Translated->u.Port.Length, 0x40);

        /* Memory and ports, no bus mastering, the pin free. */
        assert_int_equal(StartCommand[Start], 0x0003);
    }
    assert_int_equal(CommandOf(Nic), 0x0003);

    PDEVICE_OBJECT Top = IopFindDevice("e1000", 0);

    assert_ptr_equal(Top, IopFindDevice("net", 0));
    assert_ptr_equal(Top, IopFindDevice("pci", 0));
    assert_int_equal(Top->StackSize, 3);
    assert_string_equal(Top->DriverObject->DriverName, "net");
    assert_null(IopFindDevice("e1000", 1));
    assert_null(IopFindDevice("broken", 0));
}

static void TheAddressComesBeforeTheStart(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    IopInitialize();
    assert_int_equal(AddressCount, 1);
    assert_int_equal(StartsBeforeAddress, 0);
    assert_memory_equal(AddressSeen.Address, KiOptions.IpAddress, 4);
    assert_int_equal(AddressSeen.PrefixLength, 22);
}

static void NoLineMeansPolling(void **State)
{
    FUNCTION *Nic = AddNic(3, NIC_ID);

    (void)State;
    StartAnswer[0] = StartAnswer[1] = StartAnswer[2] = STATUS_DEVICE_CONFIGURATION_ERROR;
    IopInitialize();
    assert_int_equal(StartCount, 4);
    assert_null(FindResource(&StartTranslated[3], CmResourceTypeInterrupt));
    assert_null(FindResource(&StartRaw[3], CmResourceTypeInterrupt));
    assert_int_equal(CommandOf(Nic), 0x0403);
    assert_non_null(IopFindDevice("net", 0));
}

static void ADriverMayRefuseToPoll(void **State)
{
    FUNCTION *Nic = AddNic(3, NIC_ID);

    (void)State;
    StartAnswer[0] = StartAnswer[1] = StartAnswer[2] = STATUS_DEVICE_CONFIGURATION_ERROR;
    StartAnswer[3] = STATUS_NOT_SUPPORTED;
    IopInitialize();
    assert_int_equal(StartCount, 4);
    assert_null(IopFindDevice("net", 0));
    assert_null(IopFindDevice("e1000", 0));
    assert_non_null(IopFindDevice("pci", 0));
    assert_int_equal(CommandOf(Nic), 0x0400);
}

static void OtherFailuresAreFinal(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    StartAnswer[0] = STATUS_DEVICE_NOT_READY;
    IopInitialize();
    assert_int_equal(StartCount, 1);
    assert_null(IopFindDevice("e1000", 0));
}

static void AFailingUpperDriverTakesTheStackDown(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    ClassAddAnswer = STATUS_INSUFFICIENT_RESOURCES;
    IopInitialize();
    assert_int_equal(StartCount, 0);
    assert_null(IopFindDevice("e1000", 0));
}

static void AMissingDriverIsNoDisaster(void **State)
{
    (void)State;
    AddFunction(2, 0x00FF1AF4, 0);
    AddNic(3, NIC_ID);
    IopInitialize();
    assert_int_equal(StartCount, 1);
    assert_non_null(IopFindDevice("net", 0));
}

/* A line that has a vector keeps it, whatever its IRQL; a full class gives way to the next; and
 * without any free vector a line is not offered. */
static void VectorsComeFromTheTable(void **State)
{
    static const ULONG Lines[] = {20, 21}, Vectors[] = {0xA7, 0x70};

    (void)State;
    AddNic(3, NIC_ID);
    VectorLines[0xA7] = (HALP_LINE){20, LevelSensitive, HalpActiveHigh};
    for (ULONG Vector = 0x50; Vector < 0x80; Vector++)
    {
        VectorLines[Vector] = (HALP_LINE){100 + Vector, LevelSensitive, HalpActiveLow};
    }
    VectorLines[0x70].Gsi = 0;
    StartAnswer[0] = StartAnswer[1] = STATUS_DEVICE_CONFIGURATION_ERROR;
    IopInitialize();
    assert_int_equal(StartCount, 3);
    for (ULONG Start = 0; Start < 2; Start++)
    {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *Raw, *Translated;

        Raw = FindResource(&StartRaw[Start], CmResourceTypeInterrupt);
        Translated = FindResource(&StartTranslated[Start], CmResourceTypeInterrupt);
        assert_int_equal(Raw->u.Interrupt.Vector, Lines[Start]);
        assert_int_equal(Translated->u.Interrupt.Vector, Vectors[Start]);
        assert_int_equal(Translated->u.Interrupt.Level, VECTOR_IRQL(Vectors[Start]));
    }
    assert_null(FindResource(&StartTranslated[2], CmResourceTypeInterrupt));
    assert_int_equal(VectorLines[0xA7].Polarity, HalpActiveLow);
}

static void EveryNetworkCardStarts(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    AddNic(4, NIC_ID);
    AddNic(5, NIC_ID);
    StartAnswer[0] = STATUS_DEVICE_NOT_READY; /* the first does not work */
    IopInitialize();
    assert_int_equal(StartCount, 3);
    assert_int_equal(FindResource(&StartRaw[1], CmResourceTypeMemory)->u.Memory.Start.QuadPart,
                     0xFEB40000);
    assert_non_null(IopFindDevice("net", 0));
    assert_non_null(IopFindDevice("net", 1));
    assert_null(IopFindDevice("net", 2));
}

static void OtherDevicesStartBesidesIt(void **State)
{
    FUNCTION *Edu = AddFunction(2, 0x11E81234, 0x00FF0010);

    (void)State;
    AddNic(3, NIC_ID);
    KiOptions.Nic = KiNicPoll;
    IopInitialize();
    assert_int_equal(StartCount, 2);
    assert_non_null(FindResource(&StartRaw[0], CmResourceTypeInterrupt)); /* edu: nic= is not its */
    assert_null(FindResource(&StartRaw[1], CmResourceTypeInterrupt));
    assert_int_equal(CommandOf(Edu), 0); /* no addresses, so nothing to decode */
    assert_int_equal(AddressCount, 1);
}

static void TheOptionChoosesTheCard(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    KiOptions.Nic = KiNicNone;
    strcpy(KiOptions.NicName, "none");
    IopInitialize();
    assert_int_equal(StartCount, 0);
    assert_null(IopFindDevice("pci", 0));
    assert_int_equal(CommandOf(&Functions[0]), 0x0003);

    KiOptions.Nic = KiNicE1000e;
    strcpy(KiOptions.NicName, "e1000e");
    IopInitialize();
    assert_int_equal(StartCount, 0);

    KiOptions.Nic = KiNicE1000;
    strcpy(KiOptions.NicName, "e1000");
    IopInitialize();
    assert_int_equal(StartCount, 1);
}

static const struct
{
    ULONG Class;
    BOOLEAN Keeps, KeepsUnderEfi;
} BusMasters[] = {
    {0x01018000, FALSE, FALSE}, /* IDE              */
    {0x02000000, FALSE, FALSE}, /* an unknown NIC   */
    {0x06010000, TRUE, TRUE},   /* ISA bridge       */
    {0x03000000, TRUE, TRUE},   /* VGA              */
    {0x08002000, TRUE, TRUE},   /* IOAPIC           */
    {0x08010000, FALSE, FALSE}, /* DMA controller   */
    {0x0C033000, TRUE, FALSE},  /* xHCI             */
    {0x0C050000, FALSE, FALSE}, /* SMBus            */
};

static VOID AddBusMasters(VOID)
{
    FunctionCount = 0;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(BusMasters); Index++)
    {
        AddFunction(Index, 0x12345678, BusMasters[Index].Class);
    }
}

static VOID AssertBusMasters(BOOLEAN Efi)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(BusMasters); Index++)
    {
        BOOLEAN Keeps = Efi ? BusMasters[Index].KeepsUnderEfi : BusMasters[Index].Keeps;

        assert_int_equal(CommandOf(&Functions[Index]), Keeps ? 0x0007 : 0x0003);
    }
}

static void BusMasteringIsTakenFromStrangers(void **State)
{
    (void)State;
    for (ULONG Efi = FALSE; Efi <= TRUE; Efi++)
    {
        IopFirmwareIsEfi = (BOOLEAN)Efi;
        AddBusMasters();
        IopInitialize();
        AssertBusMasters((BOOLEAN)Efi);
    }
}

/* Before there is memory to hand out, so before there are drivers or device objects; and of a
 * function that had none, nothing is written. */
static void BusMasteringIsTakenFirst(void **State)
{
    (void)State;
    for (ULONG Efi = FALSE; Efi <= TRUE; Efi++)
    {
        AddBusMasters();
        IopPciSilence((BOOLEAN)Efi);
        AssertBusMasters((BOOLEAN)Efi);
        assert_int_equal(IopFirmwareIsEfi, Efi);
        IopPciSilence((BOOLEAN)Efi);
        AssertBusMasters((BOOLEAN)Efi);
    }
    assert_int_equal(StartCount, 0);
    assert_null(IopFindDevice("pci", 0));
}

/* Firmware put the registers over memory: the driver is not told of them, and nothing decodes. */
static void RegistersInMemoryAreRefused(void **State)
{
    FUNCTION *Nic = AddNic(3, NIC_ID);
    const ULONG Bar = (ULONG)RAM_END - 0x20000;

    (void)State;
    memcpy(&Nic->Registers[0x10], &Bar, sizeof(Bar));
    IopInitialize();
    assert_int_equal(StartCount, 1);
    assert_null(FindResource(&StartTranslated[0], CmResourceTypeMemory));
    assert_non_null(FindResource(&StartTranslated[0], CmResourceTypePort));
    assert_int_equal(StartCommand[0], 0x0001);
}

HOST_MAIN(CASE(TheSecondLineIsTheOne), CASE(TheAddressComesBeforeTheStart),
          CASE(NoLineMeansPolling), CASE(ADriverMayRefuseToPoll), CASE(OtherFailuresAreFinal),
          CASE(AFailingUpperDriverTakesTheStackDown), CASE(AMissingDriverIsNoDisaster),
          CASE(VectorsComeFromTheTable), CASE(EveryNetworkCardStarts),
          CASE(OtherDevicesStartBesidesIt), CASE(TheOptionChoosesTheCard),
          CASE(BusMasteringIsTakenFromStrangers), CASE(BusMasteringIsTakenFirst),
          CASE(RegistersInMemoryAreRefused))
