/* SPDX-License-Identifier: MIT */
/*
 * test_pvh.c - holds boot/pvh.c to Xen's start_info.h on good structures, to a named error or a
 * counted loss on bad ones, and to following no pointer out of the memory it is given. Physical
 * memory here is a list of pieces, each on the heap in its exact size, and every map is checked.
 */
#include "host.h"

#include <boot_info.h>

#define START_INFO 0x1000
#define MODULE_LIST 0x2000
#define MODULE_NAME 0x3000
#define COMMAND_LINE 0x4000
#define MEMORY_MAP 0x100000000ull /* pointers are 64 bits wide */
#define RSDP 0xF5AB0

#define MAXIMUM_PIECES 8

typedef struct _PIECE
{
    ULONG64 Physical;
    ULONG64 Length;
    PUCHAR Data;
} PIECE;

/* BOOT_MAP_ROUTINE has no context: the memory of the current test. */
static PIECE Pieces[MAXIMUM_PIECES];
static ULONG PieceCount;
static ULONG MapsLeft; /* the map after this many fails */

static const VOID *Map(ULONG64 Physical, ULONG64 Length)
{
    assert_int_not_equal(Physical, 0);
    assert_true(Length <= MAXULONG64 - Physical);
    if (MapsLeft-- == 0)
    {
        MapsLeft = 0;
        return NULL;
    }
    for (ULONG Index = 0; Index < PieceCount; Index++)
    {
        const PIECE *Piece = &Pieces[Index];
        ULONG64 Offset = Physical - Piece->Physical;

        if (Physical >= Piece->Physical && Offset <= Piece->Length &&
            Length <= Piece->Length - Offset)
        {
            return Piece->Data + Offset;
        }
    }
    return NULL;
}

static PUCHAR AddPiece(ULONG64 Physical, const VOID *Data, ULONG64 Length)
{
    assert_true(PieceCount < MAXIMUM_PIECES);
    Pieces[PieceCount] = (PIECE){Physical, Length, HostCopy(Data, Length)};
    return Pieces[PieceCount++].Data;
}

static VOID FreePieces(VOID)
{
    while (PieceCount != 0)
    {
        free(Pieces[--PieceCount].Data);
    }
}

static VOID Set32(PUCHAR Place, ULONG Value)
{
    memcpy(Place, &Value, sizeof(Value));
}

static VOID Set64(PUCHAR Place, ULONG64 Value)
{
    memcpy(Place, &Value, sizeof(Value));
}

/* Offsets in hvm_start_info. */
enum
{
    Magic = 0,
    Version = 4,
    ModuleCount = 12,
    ModuleListAddress = 16,
    CommandLineAddress = 24,
    RsdpAddress = 32,
    MemoryMapAddress = 40,
    MemoryMapEntries = 48
};

static VOID SetEntry(PUCHAR Place, ULONG64 Address, ULONG64 Length, ULONG Type)
{
    memset(Place, 0, 24);
    Set64(Place, Address);
    Set64(Place + 8, Length);
    Set32(Place + 16, Type);
}

/* What QEMU passes with -append and -initrd. Returns the start information. */
static PUCHAR BuildQemu(VOID)
{
    static const CHAR Command[] = "numproc=2 exit=debug";
    UCHAR Start[56] = {0}, Modules[32] = {0}, Entries[3 * 24];

    FreePieces();
    MapsLeft = MAXULONG;
    Set32(Start + Magic, 0x336EC578);
    Set32(Start + Version, 1);
    Set32(Start + ModuleCount, 1);
    Set64(Start + ModuleListAddress, MODULE_LIST);
    Set64(Start + CommandLineAddress, COMMAND_LINE);
    Set64(Start + RsdpAddress, RSDP);
    Set64(Start + MemoryMapAddress, MEMORY_MAP);
    Set32(Start + MemoryMapEntries, 3);
    Set64(Modules, 0x7000000);
    Set64(Modules + 8, 0x1234);
    Set64(Modules + 16, MODULE_NAME);
    SetEntry(Entries, 0, 0x9FC00, 1);
    SetEntry(Entries + 24, 0xF0000, 0x10000, 2);
    SetEntry(Entries + 48, 0x100000, 0x7EE0000, 1);
    AddPiece(MODULE_LIST, Modules, sizeof(Modules));
    AddPiece(MODULE_NAME, "echo.sys", 9);
    AddPiece(COMMAND_LINE, Command, sizeof(Command));
    AddPiece(MEMORY_MAP, Entries, sizeof(Entries));
    return AddPiece(START_INFO, Start, sizeof(Start));
}

static PCSTR Parse(PBOOT_INFO Info)
{
    PCSTR Problem;

    memset(Info, 0xA5, sizeof(*Info));
    Problem = BootParsePvh(START_INFO, Map, Info);
    assert_true(Info->RangeCount <= BOOT_MAXIMUM_RANGES);
    assert_true(Info->ModuleCount <= BOOT_MAXIMUM_MODULES);
    assert_non_null(memchr(Info->CommandLine, 0, sizeof(Info->CommandLine)));
    for (ULONG Index = 0; Index < Info->ModuleCount; Index++)
    {
        assert_non_null(memchr(Info->Modules[Index].Name, 0, sizeof(Info->Modules[Index].Name)));
        assert_true(Info->Modules[Index].Start <= Info->Modules[Index].End);
    }
    return Problem;
}

static void WhatQemuPassesIsRead(void **State)
{
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    BuildQemu();
    assert_null(Parse(&Info));
    assert_int_equal(Info.Protocol, BootProtocolPvh);
    assert_false(Info.Efi);
    assert_string_equal(Info.CommandLine, "numproc=2 exit=debug");
    assert_false(Info.CommandLineTruncated);
    assert_int_equal(Info.RsdpAddress, RSDP);
    assert_int_equal(Info.RsdpLength, 0);
    assert_int_equal(Info.ModuleCount, 1);
    assert_int_equal(Info.Modules[0].Start, 0x7000000);
    assert_int_equal(Info.Modules[0].End, 0x7001234);
    assert_string_equal(Info.Modules[0].Name, "echo.sys");
    assert_int_equal(Info.RangeCount, 3);
    assert_int_equal(Info.Ranges[0].End, 0x9FC00);
    assert_int_equal(Info.Ranges[1].Type, BootMemoryReserved);
    assert_int_equal(Info.Ranges[2].Start, 0x100000);
    assert_int_equal(Info.Ranges[2].Type, BootMemoryUsable);
    assert_int_equal(Info.Framebuffer.Type, BootFramebufferNone);
    FreePieces();
}

static void AbsentPartsAreAbsent(void **State)
{
    static BOOT_INFO Info;
    PUCHAR Start = BuildQemu();
    UNREFERENCED_PARAMETER(State);

    Set32(Start + ModuleCount, 0);
    Set64(Start + ModuleListAddress, 0);
    Set64(Start + CommandLineAddress, 0);
    Set64(Start + RsdpAddress, 0);
    assert_null(Parse(&Info));
    assert_string_equal(Info.CommandLine, "");
    assert_false(Info.CommandLineTruncated);
    assert_int_equal(Info.ModuleCount, 0);
    assert_int_equal(Info.ModulesDropped, 0);
    assert_int_equal(Info.RsdpAddress, 0);
    FreePieces();
}

static void EachUnusableStructureHasAName(void **State)
{
    static BOOT_INFO Info;
    PUCHAR Start;
    UNREFERENCED_PARAMETER(State);

    assert_string_equal(BootParsePvh(0, Map, &Info),
                        "PVH: the start information lies outside memory");
    BuildQemu();
    assert_string_equal(BootParsePvh(0x999000, Map, &Info),
                        "PVH: the start information lies outside memory");
    assert_string_equal(BootParsePvh(MAXULONG64 - 20, Map, &Info),
                        "PVH: the start information lies outside memory");
    Start = BuildQemu();
    Start[Magic]++;
    assert_string_equal(Parse(&Info), "PVH: the start information has the wrong magic number");
    Start = BuildQemu();
    Start[Version] = 0;
    assert_string_equal(Parse(&Info), "PVH: the loader is too old to give a memory map");
    Start = BuildQemu();
    Set32(Start + MemoryMapEntries, 0);
    assert_string_equal(Parse(&Info), "PVH: the loader gave no memory map");
    Start = BuildQemu();
    Set32(Start + MemoryMapEntries, 4);
    assert_string_equal(Parse(&Info), "PVH: the memory map leads out of memory");
    Start = BuildQemu();
    Set32(Start + MemoryMapEntries, 4096);
    assert_string_equal(Parse(&Info), "PVH: the memory map leads out of memory");
    Set32(Start + MemoryMapEntries, 4097);
    assert_string_equal(Parse(&Info), "PVH: the memory map claims an absurd number of entries");
    Set32(Start + MemoryMapEntries, MAXULONG);
    assert_string_equal(Parse(&Info), "PVH: the memory map claims an absurd number of entries");
    Start = BuildQemu();
    Set64(Start + MemoryMapAddress, 0);
    assert_string_equal(Parse(&Info), "PVH: the memory map leads out of memory");
    Start = BuildQemu();
    Set64(Start + MemoryMapAddress, MAXULONG64 - 30);
    assert_string_equal(Parse(&Info), "PVH: the memory map leads out of memory");
    FreePieces();
}

static void EveryTruncationHasAName(void **State)
{
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Length = 1; Length < 56; Length++)
    {
        PUCHAR Whole = BuildQemu();
        PIECE *Start = &Pieces[PieceCount - 1];

        Start->Data = HostCopy(Whole, Length);
        Start->Length = Length;
        free(Whole);
        assert_string_equal(Parse(&Info), (Length < 40)
                                              ? "PVH: the start information lies outside memory"
                                              : "PVH: the start information is cut off");
    }
    FreePieces();
}

static void CommandLinesAreCutAndTerminated(void **State)
{
    CHAR Long[BOOT_COMMAND_LINE_SIZE + 4];
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    memset(Long, 'x', sizeof(Long));
    for (ULONG Length = BOOT_COMMAND_LINE_SIZE - 3; Length < sizeof(Long); Length++)
    {
        PUCHAR Start = BuildQemu();

        Long[Length] = '\0';
        AddPiece(0x50000, Long, Length + 1);
        Long[Length] = 'x';
        Set64(Start + CommandLineAddress, 0x50000);
        assert_null(Parse(&Info));
        assert_int_equal(Info.CommandLineTruncated, Length >= BOOT_COMMAND_LINE_SIZE);
        assert_int_equal(strlen(Info.CommandLine),
                         (Length < BOOT_COMMAND_LINE_SIZE) ? Length : BOOT_COMMAND_LINE_SIZE - 1);
    }
    /* No terminator before memory ends: what there is, marked as cut. */
    AddPiece(0x60000, "abc", 3);
    Set64(Pieces[4].Data + CommandLineAddress, 0x60000);
    assert_null(Parse(&Info));
    assert_string_equal(Info.CommandLine, "abc");
    assert_true(Info.CommandLineTruncated);
    FreePieces();
}

static void ModulesOutOfReachAreCounted(void **State)
{
    static BOOT_INFO Info;
    UCHAR Modules[(BOOT_MAXIMUM_MODULES + 5) * 32] = {0};
    PUCHAR Start = BuildQemu();
    UNREFERENCED_PARAMETER(State);

    Set32(Start + ModuleCount, MAXULONG); /* the list has one */
    assert_null(Parse(&Info));
    assert_int_equal(Info.ModuleCount, 1);
    assert_int_equal(Info.ModulesDropped, MAXULONG - 1);

    for (ULONG Index = 0; Index < BOOT_MAXIMUM_MODULES + 5; Index++)
    {
        Set64(Modules + Index * 32, (Index + 1) << 12);
        Set64(Modules + Index * 32 + 8, Index);
    }
    Set64(Modules + 8, MAXULONG64); /* the first wraps, and has a name */
    Set64(Modules + 16, MODULE_NAME);
    Start = BuildQemu();
    AddPiece(0x50000, Modules, sizeof(Modules));
    Set64(Start + ModuleListAddress, 0x50000);
    Set32(Start + ModuleCount, BOOT_MAXIMUM_MODULES + 5);
    assert_null(Parse(&Info));
    assert_int_equal(Info.ModuleCount, BOOT_MAXIMUM_MODULES);
    assert_int_equal(Info.ModulesDropped, 5);
    assert_int_equal(Info.Modules[0].Start, 0x2000);
    assert_int_equal(Info.Modules[0].End, 0x2001);
    assert_string_equal(Info.Modules[0].Name, "");
    Set32(Start + ModuleCount, 2); /* the list has more */
    assert_null(Parse(&Info));
    assert_int_equal(Info.ModuleCount, 1);
    assert_int_equal(Info.ModulesDropped, 1);
    FreePieces();
}

static void EveryMapMayFail(void **State)
{
    static BOOT_INFO Info;
    ULONG Failures = 0;
    ULONG Maps = 0;
    UNREFERENCED_PARAMETER(State);

    BuildQemu();
    Parse(&Info);
    Maps = MAXULONG - MapsLeft;
    assert_in_range(Maps, 10, 1000);
    for (ULONG Good = 0; Good < Maps; Good++)
    {
        BuildQemu();
        MapsLeft = Good;
        Failures += Parse(&Info) != NULL;
    }
    assert_int_equal(Failures, Maps); /* once failed, always failed: the memory map comes last */
    FreePieces();
}

static void EveryByteMayBeWrong(void **State)
{
    static BOOT_INFO Info;
    ULONG Refused = 0;
    UNREFERENCED_PARAMETER(State);

    BuildQemu();
    for (ULONG Index = 0; Index < PieceCount; Index++)
    {
        for (ULONG64 Place = 0; Place < Pieces[Index].Length; Place++)
        {
            UCHAR Saved = Pieces[Index].Data[Place];

            for (ULONG Value = 0; Value < 256; Value++)
            {
                Pieces[Index].Data[Place] = (UCHAR)Value;
                MapsLeft = MAXULONG;
                Refused += Parse(&Info) != NULL;
            }
            Pieces[Index].Data[Place] = Saved;
        }
    }
    assert_in_range(Refused, 1000, 20000);
    FreePieces();
}

HOST_MAIN(cmocka_unit_test(WhatQemuPassesIsRead), cmocka_unit_test(AbsentPartsAreAbsent),
          cmocka_unit_test(EachUnusableStructureHasAName),
          cmocka_unit_test(EveryTruncationHasAName),
          cmocka_unit_test(CommandLinesAreCutAndTerminated),
          cmocka_unit_test(ModulesOutOfReachAreCounted), cmocka_unit_test(EveryMapMayFail),
          cmocka_unit_test(EveryByteMayBeWrong))
