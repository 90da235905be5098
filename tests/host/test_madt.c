/* SPDX-License-Identifier: MIT */
/*
 * test_madt.c - holds the MADT's reader to the specification on good tables; to the rules for
 * processors that are disabled, listed twice, without an id, or too many; and to a named problem at
 * the first entry that breaks the chain.
 */
#include "acpitable.h"

static HALP_MADT_INFO Madt;

static PCSTR ParseMadt(const VOID *Table, SIZE_T Length)
{
    PCSTR Problem;

    memset(&Madt, 0xA5, sizeof(Madt));
    Problem = HalpAcpiParseMadt(Table, Length, &Madt);
    assert_true(Madt.ProcessorCount <= HALP_MADT_MAXIMUM_PROCESSORS);
    assert_true(Madt.IoApicCount <= HALP_MADT_MAXIMUM_IO_APICS);
    assert_true(Madt.OverrideCount <= HALP_MADT_MAXIMUM_OVERRIDES);
    assert_true(Madt.NmiSourceCount <= HALP_MADT_MAXIMUM_NMIS);
    assert_true(Madt.LocalNmiCount <= HALP_MADT_MAXIMUM_NMIS);
    for (ULONG Index = 0; Index < Madt.ProcessorCount; Index++)
    {
        assert_true(Madt.Processors[Index].Flags & HALP_MADT_ENABLED);
        assert_int_not_equal(Madt.Processors[Index].ApicId, MAXULONG);
    }
    return Problem;
}

static VOID StartMadt(PTABLE Table)
{
    StartTable(Table, "APIC", 5);
    Put32(Table, 0xFEE00000);
    Put32(Table, 1);
}

static VOID PutLocalApic(PTABLE Table, UCHAR Uid, UCHAR ApicId, ULONG Flags)
{
    Put(Table, "\0\x08", 2);
    Put8(Table, Uid);
    Put8(Table, ApicId);
    Put32(Table, Flags);
}

static VOID PutX2Apic(PTABLE Table, ULONG Uid, ULONG ApicId, ULONG Flags)
{
    Put(Table, "\x09\x10\0\0", 4);
    Put32(Table, ApicId);
    Put32(Table, Flags);
    Put32(Table, Uid);
}

static VOID PutIoApic(PTABLE Table, UCHAR Id, ULONG Address, ULONG GsiBase)
{
    Put(Table, "\x01\x0C", 2);
    Put8(Table, Id);
    Put8(Table, 0);
    Put32(Table, Address);
    Put32(Table, GsiBase);
}

static VOID PutOverride(PTABLE Table, UCHAR Source, ULONG Gsi, USHORT Flags)
{
    Put(Table, "\x02\x0A\0", 3);
    Put8(Table, Source);
    Put32(Table, Gsi);
    Put16(Table, Flags);
}

static VOID PutNmiSource(PTABLE Table, ULONG Gsi, USHORT Flags)
{
    Put(Table, "\x03\x08", 2);
    Put16(Table, Flags);
    Put32(Table, Gsi);
}

static VOID PutLocalNmi(PTABLE Table, UCHAR Uid, UCHAR Lint, USHORT Flags)
{
    Put(Table, "\x04\x06", 2);
    Put8(Table, Uid);
    Put16(Table, Flags);
    Put8(Table, Lint);
}

static VOID PutX2ApicNmi(PTABLE Table, ULONG Uid, UCHAR Lint, USHORT Flags)
{
    Put(Table, "\x0A\x0C", 2);
    Put16(Table, Flags);
    Put32(Table, Uid);
    Put8(Table, Lint);
    Put(Table, "\0\0", 3);
}

/* One of each kind of entry. */
static VOID BuildMadt(PTABLE Table)
{
    StartMadt(Table);
    PutLocalApic(Table, 1, 0, 1);
    PutLocalApic(Table, 2, 6, 1);
    PutX2Apic(Table, 300, 0x12345, 1);
    PutIoApic(Table, 2, 0xFEC00000, 0);
    PutOverride(Table, 0, 2, 0);
    PutOverride(Table, 9, 9, 0x0D);
    PutNmiSource(Table, 23, 0x0F);
    PutLocalNmi(Table, 0xFF, 1, 0x05);
    PutX2ApicNmi(Table, 300, 0, 0x07);
    Put(Table, "\x05\x0C\0\0\0\0\0\0\x01\0\0\0", 12);
    Put(Table, "\x7F\x05xyz", 5);
}

static void AMadtIsRead(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildMadt(&Table);
    assert_null(RunTable(ParseMadt, &Table));
    assert_int_equal(Madt.LocalApicAddress, 0x100000000);
    assert_true(Madt.PcatCompatible);
    assert_int_equal(Madt.ProcessorCount, 3);
    assert_int_equal(Madt.Processors[0].ApicId, 0);
    assert_int_equal(Madt.Processors[0].AcpiUid, 1);
    assert_false(Madt.Processors[0].X2ApicEntry);
    assert_int_equal(Madt.Processors[1].ApicId, 6);
    assert_int_equal(Madt.Processors[2].ApicId, 0x12345);
    assert_int_equal(Madt.Processors[2].AcpiUid, 300);
    assert_true(Madt.Processors[2].X2ApicEntry);
    assert_int_equal(Madt.IoApicCount, 1);
    assert_int_equal(Madt.IoApics[0].Id, 2);
    assert_int_equal(Madt.IoApics[0].Address, 0xFEC00000);
    assert_int_equal(Madt.OverrideCount, 2);
    assert_int_equal(Madt.Overrides[0].Source, 0);
    assert_int_equal(Madt.Overrides[0].Gsi, 2);
    assert_int_equal(Madt.Overrides[1].Trigger, HalpMadtTriggerLevel);
    assert_int_equal(Madt.Overrides[1].Polarity, HalpMadtPolarityHigh);
    assert_int_equal(Madt.NmiSourceCount, 1);
    assert_int_equal(Madt.NmiSources[0].Gsi, 23);
    assert_int_equal(Madt.NmiSources[0].Polarity, HalpMadtPolarityLow);
    assert_int_equal(Madt.LocalNmiCount, 2);
    assert_true(Madt.LocalNmis[0].AllProcessors);
    assert_int_equal(Madt.LocalNmis[0].Lint, 1);
    assert_false(Madt.LocalNmis[1].AllProcessors);
    assert_int_equal(Madt.LocalNmis[1].AcpiUid, 300);
    assert_int_equal(Madt.LocalNmis[1].Polarity, HalpMadtPolarityLow);
    assert_int_equal(Madt.UnknownEntries, 1);
    assert_int_equal(Madt.ProcessorsDropped + Madt.DuplicateProcessors + Madt.InvalidProcessors +
                         Madt.DisabledProcessors,
                     0);
}

static void AnEmptyMadtIsRead(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartMadt(&Table);
    Table.Data[40] = 0; /* PCAT_COMPAT clear */
    assert_null(RunTable(ParseMadt, &Table));
    assert_int_equal(Madt.LocalApicAddress, 0xFEE00000);
    assert_false(Madt.PcatCompatible);
    assert_int_equal(Madt.ProcessorCount, 0);
    Table.Length = 43;
    assert_string_equal(RunTable(ParseMadt, &Table), "MADT: ends before its first entry");
}

static void ProcessorsThatCannotRunAreCounted(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartMadt(&Table);
    PutLocalApic(&Table, 0, 4, 0);       /* disabled */
    PutLocalApic(&Table, 1, 5, 2);       /* disabled, may be enabled later */
    PutX2Apic(&Table, 2, 600, 0);        /* disabled */
    PutLocalApic(&Table, 3, 0xFF, 1);    /* no id */
    PutX2Apic(&Table, 4, 0xFFFFFFFF, 1); /* no id */
    PutLocalApic(&Table, 5, 7, 1);
    PutX2Apic(&Table, 6, 7, 1);    /* duplicate */
    PutX2Apic(&Table, 7, 0xFF, 1); /* 255 is an id here */
    PutLocalApic(&Table, 8, 7, 1); /* duplicate */
    PutLocalApic(&Table, 9, 4, 1); /* not one: its first entry was disabled */
    assert_null(RunTable(ParseMadt, &Table));
    assert_int_equal(Madt.ProcessorCount, 3);
    assert_int_equal(Madt.Processors[0].ApicId, 7);
    assert_int_equal(Madt.Processors[0].AcpiUid, 5);
    assert_int_equal(Madt.Processors[1].ApicId, 0xFF);
    assert_int_equal(Madt.Processors[2].ApicId, 4);
    assert_int_equal(Madt.DisabledProcessors, 3);
    assert_int_equal(Madt.OnlineCapable, 1);
    assert_int_equal(Madt.InvalidProcessors, 2);
    assert_int_equal(Madt.DuplicateProcessors, 2);
}

static void MoreThanFitIsCounted(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartMadt(&Table);
    for (ULONG Index = 0; Index < 300; Index++)
    {
        PutX2Apic(&Table, Index, Index * 2, 1);
    }
    assert_null(RunTable(ParseMadt, &Table));
    assert_int_equal(Madt.ProcessorCount, 300);
    assert_int_equal(Madt.Processors[299].ApicId, 598);
    assert_int_equal(Madt.ProcessorsDropped, 0);

    StartMadt(&Table);
    for (ULONG Index = 0; Index < HALP_MADT_MAXIMUM_PROCESSORS + 3; Index++)
    {
        PutX2Apic(&Table, Index, Index, 1);
    }
    for (ULONG Index = 0; Index < 64; Index++)
    {
        PutIoApic(&Table, (UCHAR)Index, 0xFEC00000 + Index * 0x1000, Index * 24);
        PutOverride(&Table, (UCHAR)Index, Index, 0);
        PutNmiSource(&Table, Index, 0);
        PutLocalNmi(&Table, (UCHAR)Index, 1, 0);
    }
    PutX2Apic(&Table, 0, 5, 1); /* a duplicate is one even when the table is full */
    assert_null(RunTable(ParseMadt, &Table));
    assert_int_equal(Madt.ProcessorCount, HALP_MADT_MAXIMUM_PROCESSORS);
    assert_int_equal(Madt.ProcessorsDropped, 3);
    assert_int_equal(Madt.DuplicateProcessors, 1);
    assert_int_equal(Madt.IoApicCount, HALP_MADT_MAXIMUM_IO_APICS);
    assert_int_equal(Madt.IoApicsDropped, 64 - HALP_MADT_MAXIMUM_IO_APICS);
    assert_int_equal(Madt.IoApics[HALP_MADT_MAXIMUM_IO_APICS - 1].GsiBase, 15 * 24);
    assert_int_equal(Madt.OverrideCount, HALP_MADT_MAXIMUM_OVERRIDES);
    assert_int_equal(Madt.OverridesDropped, 64 - HALP_MADT_MAXIMUM_OVERRIDES);
    assert_int_equal(Madt.NmiSourceCount, HALP_MADT_MAXIMUM_NMIS);
    assert_int_equal(Madt.NmiSourcesDropped, 64 - HALP_MADT_MAXIMUM_NMIS);
    assert_int_equal(Madt.LocalNmiCount, HALP_MADT_MAXIMUM_NMIS);
    assert_int_equal(Madt.LocalNmisDropped, 64 - HALP_MADT_MAXIMUM_NMIS);
}

static void SignalFlagsAreDecoded(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    for (USHORT Flags = 0; Flags < 16; Flags++)
    {
        BOOLEAN Low = (Flags & 3) == 3;
        BOOLEAN Level = Flags >> 2 == 3;

        StartMadt(&Table);
        PutOverride(&Table, 5, 5, (USHORT)(Flags | 0xFFF0));
        PutNmiSource(&Table, 5, Flags);
        PutLocalNmi(&Table, 0, 1, Flags);
        PutX2ApicNmi(&Table, 0, 1, Flags);
        PutLocalNmi(&Table, 0, 2, Flags); /* there are two pins */
        assert_null(RunTable(ParseMadt, &Table));
        assert_int_equal(Madt.Overrides[0].Polarity == HalpMadtPolarityLow, Low);
        assert_int_equal(Madt.Overrides[0].Trigger == HalpMadtTriggerLevel, Level);
        assert_int_equal(Madt.NmiSources[0].Polarity == HalpMadtPolarityLow, Low);
        assert_int_equal(Madt.NmiSources[0].Trigger == HalpMadtTriggerLevel, Level);
        assert_int_equal(Madt.LocalNmis[0].Polarity == HalpMadtPolarityLow, Low);
        assert_int_equal(Madt.LocalNmis[0].Trigger == HalpMadtTriggerLevel, Level);
        assert_int_equal(Madt.LocalNmis[1].Polarity == HalpMadtPolarityLow, Low);
        assert_int_equal(Madt.LocalNmis[1].Trigger == HalpMadtTriggerLevel, Level);
        assert_int_equal(Madt.LocalNmiCount, 2);
        assert_int_equal(Madt.LocalNmisDropped, 1);
    }
}

static void NmisOfAllProcessorsAreTold(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartMadt(&Table);
    PutLocalNmi(&Table, 0xFE, 1, 0);
    PutX2ApicNmi(&Table, 0xFFFFFFFF, 1, 0);
    PutX2ApicNmi(&Table, 0xFF, 1, 0);
    assert_null(RunTable(ParseMadt, &Table));
    assert_false(Madt.LocalNmis[0].AllProcessors);
    assert_true(Madt.LocalNmis[1].AllProcessors);
    assert_false(Madt.LocalNmis[2].AllProcessors);
    assert_int_equal(Madt.LocalNmis[2].AcpiUid, 0xFF);
}

static void EachBadEntryHasANameAndEndsTheTable(void **State)
{
    static const UCHAR Minimums[][2] = {{0, 8}, {1, 12}, {2, 10}, {3, 8},
                                        {4, 6}, {5, 12}, {9, 16}, {10, 12}};
    static const UCHAR Empty[16];
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Minimums); Index++)
    {
        for (UCHAR Length = 0; Length < Minimums[Index][1]; Length++)
        {
            StartMadt(&Table);
            PutLocalApic(&Table, 0, 3, 1);
            Put8(&Table, Minimums[Index][0]);
            Put8(&Table, Length);
            Put(&Table, Empty, 16);
            PutLocalApic(&Table, 0, 4, 1);
            assert_string_equal(RunTable(ParseMadt, &Table),
                                (Length < 2) ? "MADT: an entry is shorter than its own header"
                                             : "MADT: an entry is shorter than its type requires");
            assert_int_equal(Madt.ProcessorCount, 1);
        }
    }
    StartMadt(&Table);
    PutLocalApic(&Table, 0, 3, 1);
    Put8(&Table, 0);
    assert_string_equal(RunTable(ParseMadt, &Table),
                        "MADT: an entry reaches past the end of the table");
    Put8(&Table, 3);
    assert_string_equal(RunTable(ParseMadt, &Table),
                        "MADT: an entry reaches past the end of the table");
    assert_int_equal(Madt.ProcessorCount, 1);
}

static void EntriesMayHaveAnyLengthFromTwo(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartMadt(&Table);
    Put(&Table, "\0\x0B\x01\x21\x01\0\0\0new", 11);
    PutLocalApic(&Table, 2, 0x22, 1);
    Put(&Table, "\x7F\x02", 2); /* the shortest there is */
    assert_null(RunTable(ParseMadt, &Table));
    assert_int_equal(Madt.ProcessorCount, 2);
    assert_int_equal(Madt.UnknownEntries, 1);
    assert_int_equal(Madt.Processors[0].ApicId, 0x21);
    assert_int_equal(Madt.Processors[1].ApicId, 0x22);
}

static void BadMadtsAreSurvived(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildMadt(&Table);
    AssertCutsAreSurvived(ParseMadt, &Table);
    AssertWrongBytesAreSurvived(ParseMadt, &Table);
}

static void RandomMadtsAreSurvived(void **State)
{
    static TABLE Table;
    ULONG Accepted = 0;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 20000; Round++)
    {
        StartMadt(&Table);
        for (ULONG Count = (ULONG)HostRandomBelow(12); Count != 0; Count--)
        {
            UCHAR Length = (UCHAR)(12 + HostRandomBelow(8));

            Put8(&Table, (UCHAR)HostRandomBelow(12));
            Put8(&Table, Length);
            while (Length-- != 2)
            {
                Put8(&Table, (UCHAR)HostRandom());
            }
        }
        Accepted += RunTable(ParseMadt, &Table) == NULL;
    }
    assert_in_range(Accepted, 5000, 19900);
}

HOST_MAIN(cmocka_unit_test(AMadtIsRead), cmocka_unit_test(AnEmptyMadtIsRead),
          cmocka_unit_test(ProcessorsThatCannotRunAreCounted),
          cmocka_unit_test(MoreThanFitIsCounted), cmocka_unit_test(SignalFlagsAreDecoded),
          cmocka_unit_test(NmisOfAllProcessorsAreTold),
          cmocka_unit_test(EachBadEntryHasANameAndEndsTheTable),
          cmocka_unit_test(EntriesMayHaveAnyLengthFromTwo), cmocka_unit_test(BadMadtsAreSurvived),
          cmocka_unit_test(RandomMadtsAreSurvived))
