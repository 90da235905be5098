/* SPDX-License-Identifier: MIT */
/*
 * test_multiboot2.c - holds boot/multiboot2.c to the Multiboot2 specification on good structures,
 * to a named error on each kind of bad one, and to reading nothing beyond the structure whatever
 * its bytes are: every truncation, every value of every byte, and random chains.
 */
#include "host.h"

#include <boot_info.h>

#define BLOB_SIZE 0x10000

typedef struct _BLOB
{
    ULONG Length; /* also its first word */
    UCHAR Data[BLOB_SIZE];
} BLOB, *PBLOB;

static VOID Put(PBLOB Blob, const VOID *Data, ULONG Length)
{
    assert_true(Blob->Length + Length <= BLOB_SIZE);
    memcpy(Blob->Data + Blob->Length, Data, Length);
    Blob->Length += Length;
}

static VOID Put32(PBLOB Blob, ULONG Value)
{
    Put(Blob, &Value, sizeof(Value));
}

static VOID Put64(PBLOB Blob, ULONG64 Value)
{
    Put(Blob, &Value, sizeof(Value));
}

static VOID Start(PBLOB Blob)
{
    Blob->Length = 0;
    Put64(Blob, 0);
}

/* A whole tag; pads before it, so that the last one ends without padding. */
static VOID PutTag(PBLOB Blob, ULONG Type, const VOID *Payload, ULONG Length)
{
    static const UCHAR Padding[8];

    Put(Blob, Padding, (8 - Blob->Length % 8) % 8);
    Put32(Blob, Type);
    Put32(Blob, Length + 8);
    Put(Blob, Payload, Length);
}

static VOID PutEntry(PBLOB Blob, ULONG64 Address, ULONG64 Length, ULONG Type)
{
    Put64(Blob, Address);
    Put64(Blob, Length);
    Put32(Blob, Type);
    Put32(Blob, 0);
}

static VOID PutMemoryMap(PBLOB Blob)
{
    BLOB Map = {0};

    Put32(&Map, 24);
    Put32(&Map, 0);
    PutEntry(&Map, 0, 0x9FC00, 1);
    PutEntry(&Map, 0x100000000, 0x80000000, 1);
    PutEntry(&Map, 0xF0000, 0x10000, 2);
    PutEntry(&Map, 0x100000, 0x7EE0000, 1);
    PutEntry(&Map, 0x7FE0000, 0x10000, 3);
    PutTag(Blob, 6, Map.Data, Map.Length);
}

static VOID PutModule(PBLOB Blob, ULONG First, ULONG End, PCSTR Name)
{
    BLOB Module = {0};

    Put32(&Module, First);
    Put32(&Module, End);
    Put(&Module, Name, (ULONG)strlen(Name) + 1);
    PutTag(Blob, 3, Module.Data, Module.Length);
}

/* A framebuffer tag's contents, field by field, with what a usual one has. */
typedef struct _FRAME
{
    ULONG64 Address;
    ULONG Pitch, Width, Height;
    UCHAR BitsPerPixel, Color;
    UCHAR Rgb[6];
    ULONG Cut; /* bytes to leave out at its end */
} FRAME;

static const FRAME UsualFrame = {0xFD000000, 4096, 1024, 768, 32, 1, {16, 8, 7, 9, 1, 6}, 0};

static VOID PutFramebuffer(PBLOB Blob, const FRAME *Frame)
{
    BLOB Tag = {0};

    Put64(&Tag, Frame->Address);
    Put32(&Tag, Frame->Pitch);
    Put32(&Tag, Frame->Width);
    Put32(&Tag, Frame->Height);
    Put(&Tag, &Frame->BitsPerPixel, 1);
    Put(&Tag, &Frame->Color, 1);
    Put(&Tag, "\0", 2);
    Put(&Tag, Frame->Rgb, sizeof(Frame->Rgb));
    PutTag(Blob, 8, Tag.Data, Tag.Length - Frame->Cut);
}

static VOID End(PBLOB Blob)
{
    PutTag(Blob, 0, "", 0);
    memcpy(Blob->Data, &Blob->Length, sizeof(Blob->Length));
}

/* Every string terminated, every count within its array: true after any parse, good or bad. */
static VOID AssertWellFormed(const BOOT_INFO *Info)
{
    assert_true(Info->RangeCount <= BOOT_MAXIMUM_RANGES);
    assert_true(Info->ModuleCount <= BOOT_MAXIMUM_MODULES);
    assert_true(Info->RsdpLength == 0 || Info->RsdpLength == 20 || Info->RsdpLength == 36);
    assert_non_null(memchr(Info->CommandLine, 0, sizeof(Info->CommandLine)));
    assert_non_null(memchr(Info->LoaderName, 0, sizeof(Info->LoaderName)));
    for (ULONG Index = 0; Index < Info->ModuleCount; Index++)
    {
        assert_non_null(memchr(Info->Modules[Index].Name, 0, sizeof(Info->Modules[Index].Name)));
        assert_true(Info->Modules[Index].Start <= Info->Modules[Index].End);
    }
    if (Info->Framebuffer.Type == BootFramebufferLinear)
    {
        assert_true(Info->Framebuffer.Pitch / (Info->Framebuffer.BitsPerPixel / 8) >=
                    Info->Framebuffer.Width);
        assert_true(Info->Framebuffer.Width != 0 && Info->Framebuffer.Height != 0);
    }
}

/* Parses the first Size bytes of the blob, which end where the readable memory ends. */
static PCSTR ParseFirst(const BLOB *Blob, ULONG Size, PBOOT_INFO Info)
{
    PVOID Copy = HostCopy(Blob->Data, Size);
    PCSTR Problem;

    memset(Info, 0xA5, sizeof(*Info));
    Problem = BootParseMultiboot2(Copy, Size, Info);
    free(Copy);
    AssertWellFormed(Info);
    return Problem;
}

static PCSTR Parse(const BLOB *Blob, PBOOT_INFO Info)
{
    return ParseFirst(Blob, Blob->Length, Info);
}

static VOID PutRsdp(PBLOB Blob, ULONG Type, UCHAR Fill, ULONG Length)
{
    UCHAR Rsdp[64];

    memset(Rsdp, Fill, sizeof(Rsdp));
    PutTag(Blob, Type, Rsdp, Length);
}

/* What GRUB gives on a UEFI machine, roughly. */
static VOID BuildFull(PBLOB Blob)
{
    Start(Blob);
    PutTag(Blob, 1, "numproc=4 test=dpc/*", 21);
    PutTag(Blob, 2, "GRUB 2.06", 10);
    PutModule(Blob, 0x800000, 0x801234, "echo.sys");
    PutMemoryMap(Blob);
    PutFramebuffer(Blob, &UsualFrame);
    PutTag(Blob, 12, "\0\0\0\0\0\0\0", 8);
    PutTag(Blob, 99, "unknown", 7);
    PutRsdp(Blob, 14, 1, 20);
    PutRsdp(Blob, 15, 2, 36);
    End(Blob);
}

static void AFullStructureIsRead(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    BuildFull(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_int_equal(Info.Protocol, BootProtocolMultiboot2);
    assert_true(Info.Efi);
    assert_string_equal(Info.CommandLine, "numproc=4 test=dpc/*");
    assert_false(Info.CommandLineTruncated);
    assert_string_equal(Info.LoaderName, "GRUB 2.06");
    assert_int_equal(Info.ModuleCount, 1);
    assert_int_equal(Info.Modules[0].Start, 0x800000);
    assert_int_equal(Info.Modules[0].End, 0x801234);
    assert_string_equal(Info.Modules[0].Name, "echo.sys");
    assert_int_equal(Info.RangeCount, 5);
    assert_int_equal(Info.Ranges[1].Start, 0x100000000);
    assert_int_equal(Info.Ranges[1].End, 0x180000000);
    assert_int_equal(Info.Ranges[1].Type, BootMemoryUsable);
    assert_int_equal(Info.Ranges[2].Type, BootMemoryReserved);
    assert_int_equal(Info.Ranges[4].Type, BootMemoryAcpiReclaim);
    assert_int_equal(Info.RsdpLength, 36);
    assert_int_equal(Info.Rsdp[35], 2);
    assert_int_equal(Info.RsdpAddress, 0);
    assert_int_equal(Info.Framebuffer.Type, BootFramebufferLinear);
    assert_int_equal(Info.Framebuffer.Address, 0xFD000000);
    assert_int_equal(Info.Framebuffer.Pitch, 4096);
    assert_int_equal(Info.Framebuffer.Width, 1024);
    assert_int_equal(Info.Framebuffer.Height, 768);
    assert_int_equal(Info.Framebuffer.BitsPerPixel, 32);
    assert_int_equal(Info.Framebuffer.RedShift, 16);
    assert_int_equal(Info.Framebuffer.RedSize, 8);
    assert_int_equal(Info.Framebuffer.GreenShift, 7);
    assert_int_equal(Info.Framebuffer.GreenSize, 9);
    assert_int_equal(Info.Framebuffer.BlueShift, 1);
    assert_int_equal(Info.Framebuffer.BlueSize, 6);
}

static void TheSmallestStructureIsRead(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    Start(&Blob);
    PutMemoryMap(&Blob);
    End(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_false(Info.Efi);
    assert_string_equal(Info.CommandLine, "");
    assert_string_equal(Info.LoaderName, "");
    assert_int_equal(Info.ModuleCount, 0);
    assert_int_equal(Info.RsdpLength, 0);
    assert_int_equal(Info.Framebuffer.Type, BootFramebufferNone);
}

static void EachBrokenChainHasAName(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    ULONG Value;
    UNREFERENCED_PARAMETER(State);

    Start(&Blob);
    End(&Blob);
    assert_string_equal(Parse(&Blob, &Info), "multiboot2: the loader gave no memory map");
    assert_string_equal(ParseFirst(&Blob, 7, &Info),
                        "multiboot2: the information is smaller than its own header");
    assert_string_equal(ParseFirst(&Blob, Blob.Length - 1, &Info),
                        "multiboot2: the information is larger than the memory it lies in");
    Value = 7;
    memcpy(Blob.Data, &Value, sizeof(Value));
    assert_string_equal(Parse(&Blob, &Info),
                        "multiboot2: the information is smaller than its own header");
    Value = 8;
    memcpy(Blob.Data, &Value, sizeof(Value));
    assert_string_equal(Parse(&Blob, &Info), "multiboot2: the information has no end tag");
    assert_string_equal(ParseFirst(&Blob, 8, &Info), "multiboot2: the information has no end tag");

    for (Value = 0; Value < 8; Value++)
    {
        Start(&Blob);
        PutMemoryMap(&Blob);
        Put32(&Blob, 1);
        Put32(&Blob, Value);
        End(&Blob);
        assert_string_equal(Parse(&Blob, &Info),
                            "multiboot2: a tag is smaller than its own header");
    }
    static const ULONG TooLong[] = {17, 24, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFFF};
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(TooLong); Index++)
    {
        Start(&Blob);
        PutMemoryMap(&Blob);
        Put32(&Blob, 1);
        Put32(&Blob, TooLong[Index]);
        End(&Blob);
        assert_string_equal(Parse(&Blob, &Info),
                            "multiboot2: a tag reaches past the end of the information");
    }
}

static void MemoryMapEntriesMayGrow(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    for (ULONG EntrySize = 0; EntrySize <= 64; EntrySize++)
    {
        BLOB Map = {0};
        UCHAR Extra[64] = {0};

        Put32(&Map, EntrySize);
        Put32(&Map, 0);
        for (ULONG64 Index = 0; Index < 3; Index++)
        {
            ULONG Before = Map.Length;
            Put64(&Map, Index << 32);
            Put64(&Map, 0x1000);
            Put32(&Map, 1);
            Put(&Map, Extra, (EntrySize > 20) ? EntrySize - (Map.Length - Before) : 0);
        }
        Start(&Blob);
        PutTag(&Blob, 6, Map.Data, Map.Length);
        End(&Blob);
        if (EntrySize < 20)
        {
            assert_string_equal(Parse(&Blob, &Info),
                                "multiboot2: the memory map's entries are too small");
            continue;
        }
        assert_null(Parse(&Blob, &Info));
        assert_int_equal(Info.RangeCount, 3);
        assert_int_equal(Info.Ranges[2].Start, 0x200000000);
        assert_int_equal(Info.Ranges[2].End, 0x200001000);
    }
}

static void AShortMemoryMapHasAName(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    ULONG Header[2] = {24, 0};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Length = 0; Length < 8; Length++)
    {
        Start(&Blob);
        PutTag(&Blob, 6, Header, Length);
        End(&Blob);
        assert_string_equal(Parse(&Blob, &Info), "multiboot2: the memory map tag is too short");
    }
    /* An entry that is not all there is no entry. */
    Start(&Blob);
    PutTag(&Blob, 6, Header, 8);
    End(&Blob);
    assert_string_equal(Parse(&Blob, &Info), "multiboot2: the loader gave no memory map");
}

static void EveryEfiTagSaysUefi(void **State)
{
    static const UCHAR EfiTypes[] = {11, 12, 17, 18, 19, 20};
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Type = 1; Type < 40; Type++)
    {
        if (Type == 6)
        {
            continue;
        }
        Start(&Blob);
        PutMemoryMap(&Blob);
        PutTag(&Blob, Type, "\0\0\0\0\0\0\0", 8);
        End(&Blob);
        assert_null(Parse(&Blob, &Info));
        assert_int_equal(Info.Efi, memchr(EfiTypes, (int)Type, sizeof(EfiTypes)) != NULL);
    }
}

static void TheLongerRsdpWins(void **State)
{
    static const struct
    {
        ULONG Type1, Length1, Type2, Length2, Expected;
        UCHAR ExpectedFill;
    } Cases[] = {
        {14, 20, 15, 36, 36, 2}, {15, 36, 14, 20, 36, 1}, {14, 36, 99, 0, 20, 1},
        {15, 20, 99, 0, 20, 1},  {15, 35, 99, 0, 20, 1},  {14, 19, 99, 0, 0, 0},
        {15, 0, 14, 20, 20, 2},  {15, 60, 99, 0, 36, 1},  {14, 20, 14, 20, 20, 1},
        {15, 19, 15, 19, 0, 0},
    };
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Cases); Index++)
    {
        Start(&Blob);
        PutMemoryMap(&Blob);
        PutRsdp(&Blob, Cases[Index].Type1, 1, Cases[Index].Length1);
        PutRsdp(&Blob, Cases[Index].Type2, 2, Cases[Index].Length2);
        End(&Blob);
        assert_null(Parse(&Blob, &Info));
        assert_int_equal(Info.RsdpLength, Cases[Index].Expected);
        assert_int_equal(Info.Rsdp[0], Cases[Index].ExpectedFill);
        assert_int_equal(Info.Rsdp[19], Cases[Index].ExpectedFill);
    }
}

static void StringsAreCutAndTerminated(void **State)
{
    CHAR Long[BOOT_COMMAND_LINE_SIZE + 10];
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    memset(Long, 'x', sizeof(Long));
    for (ULONG Length = BOOT_COMMAND_LINE_SIZE - 3; Length < sizeof(Long); Length++)
    {
        ULONG Kept = (Length < BOOT_COMMAND_LINE_SIZE) ? Length : BOOT_COMMAND_LINE_SIZE - 1;

        for (ULONG Terminated = 0; Terminated < 2; Terminated++)
        {
            Long[Length - 1] = 'x';
            Start(&Blob);
            PutMemoryMap(&Blob);
            PutTag(&Blob, 1, Long, Length);
            if (Terminated)
            {
                Blob.Data[Blob.Length - 1] = '\0';
            }
            End(&Blob);
            assert_null(Parse(&Blob, &Info));
            ULONG Text = Length - Terminated;
            assert_int_equal(strlen(Info.CommandLine), (Text < Kept) ? Text : Kept);
            assert_int_equal(Info.CommandLineTruncated, Text >= BOOT_COMMAND_LINE_SIZE);
        }
    }
    Start(&Blob);
    PutMemoryMap(&Blob);
    PutTag(&Blob, 1, "", 0);
    PutTag(&Blob, 2, Long, 200);
    End(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_string_equal(Info.CommandLine, "");
    assert_int_equal(strlen(Info.LoaderName), BOOT_LOADER_NAME_SIZE - 1);

    /* What follows the terminator is not text; of two tags the last one counts. */
    Long[1] = '\0';
    Start(&Blob);
    PutMemoryMap(&Blob);
    PutTag(&Blob, 1, "longer", 6);
    PutTag(&Blob, 1, Long, sizeof(Long));
    End(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_string_equal(Info.CommandLine, "x");
    assert_false(Info.CommandLineTruncated);
}

static void AModuleNameEndsWithItsTag(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    Start(&Blob);
    PutMemoryMap(&Blob);
    PutTag(&Blob, 3, "\0\0\x10\0\0\0\x20\0unended.", 16);
    PutTag(&Blob, 0x65646F63, "", 0); /* "code", right behind the name */
    PutTag(&Blob, 3, "\0\0\x10\0\0\0\x20", 8);
    End(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_int_equal(Info.ModuleCount, 2);
    assert_string_equal(Info.Modules[0].Name, "unended.");
    assert_int_equal(Info.Modules[1].Start, 0x100000);
    assert_int_equal(Info.Modules[1].End, 0x200000);
    assert_string_equal(Info.Modules[1].Name, "");
}

static void ModulesAreCountedAndCut(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    CHAR Name[100];
    UNREFERENCED_PARAMETER(State);

    memset(Name, 'n', sizeof(Name) - 1);
    Name[sizeof(Name) - 1] = '\0';
    Start(&Blob);
    PutMemoryMap(&Blob);
    PutTag(&Blob, 3, "\0\0\0\0\0\0", 7);     /* shorter than a module */
    PutModule(&Blob, 0x2000, 0x1000, "bad"); /* inverted */
    PutModule(&Blob, 0x2000, 0x2000, Name);  /* empty, with a long name */
    for (ULONG Index = 1; Index < BOOT_MAXIMUM_MODULES + 3; Index++)
    {
        PutModule(&Blob, Index << 12, (Index << 12) + 1, "m");
    }
    End(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_int_equal(Info.ModuleCount, BOOT_MAXIMUM_MODULES);
    assert_int_equal(Info.ModulesDropped, 2 + 3);
    assert_int_equal(strlen(Info.Modules[0].Name), sizeof(Info.Modules[0].Name) - 1);
    assert_int_equal(Info.Modules[1].Start, 0x1000);
    assert_string_equal(Info.Modules[1].Name, "m");
}

static BOOT_FRAMEBUFFER_TYPE FrameType(FRAME Frame)
{
    static BLOB Blob;
    static BOOT_INFO Info;

    Start(&Blob);
    PutMemoryMap(&Blob);
    PutFramebuffer(&Blob, &Frame);
    End(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_int_equal(Info.Framebuffer.Type == BootFramebufferNone,
                     Info.Framebuffer.Problem != NULL); /* what is refused is refused by name */
    return Info.Framebuffer.Type;
}

/* The usual frame with some fields changed. */
#define FRAME_WITH(...)                                                                            \
    ({                                                                                             \
        FRAME Frame_ = UsualFrame;                                                                 \
        FRAME *F = &Frame_;                                                                        \
        __VA_ARGS__;                                                                               \
        FrameType(Frame_);                                                                         \
    })

static void SaneFramebuffersAreTaken(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(FrameType(UsualFrame), BootFramebufferLinear);
    assert_int_equal(FRAME_WITH(F->Pitch = 5000), BootFramebufferLinear);
    assert_int_equal(FRAME_WITH(F->BitsPerPixel = 24, F->Pitch = 3072), BootFramebufferLinear);
    assert_int_equal(FRAME_WITH(F->BitsPerPixel = 16, F->Pitch = 2048, F->Rgb[0] = 8),
                     BootFramebufferLinear);
    assert_int_equal(
        FRAME_WITH(F->BitsPerPixel = 15, F->Pitch = 2048, F->Rgb[0] = 7, F->Rgb[3] = 8),
        BootFramebufferLinear);
    assert_int_equal(FRAME_WITH(F->Address = 0x4000000000), BootFramebufferLinear);
    assert_int_equal(FRAME_WITH(F->Rgb[0] = 20, F->Rgb[1] = 10), BootFramebufferLinear);
    assert_int_equal(FRAME_WITH(F->Width = F->Height = 16384, F->Pitch = 2 * 4 * 16384,
                                F->Address = MAXULONG64 - 0x80000000),
                     BootFramebufferLinear);
    assert_int_equal(FRAME_WITH(F->Color = 2, F->BitsPerPixel = 16, F->Address = 0xB8000,
                                F->Width = 80, F->Height = 25, F->Pitch = 160),
                     BootFramebufferText);
    assert_int_equal(FRAME_WITH(F->Color = 2, F->BitsPerPixel = 16, F->Address = 0xB8000,
                                F->Width = 80, F->Height = 25, F->Pitch = 160, F->Cut = 6),
                     BootFramebufferText);
}

static void AbsurdFramebuffersAreNone(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(FRAME_WITH(F->Pitch = 4095), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->BitsPerPixel = 24, F->Pitch = 3071), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Width = 0), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Height = 0), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Pitch = 0), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Address = 0), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Width = 0x40000000), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Height = 0xFFFFFFFF), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Pitch = 0xFFFFFFFF), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Address = MAXULONG64 - 4096), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->BitsPerPixel = 8, F->Color = 0), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Color = 3), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Rgb[0] = 25), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Rgb[3] = 0), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Rgb[5] = 33), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Color = 2, F->Pitch = 2 * 1024 - 1), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->BitsPerPixel = 16, F->Pitch = 2047, F->Rgb[0] = 8),
                     BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->BitsPerPixel = 48), BootFramebufferNone);
    for (ULONG64 Address = 0x90000; Address <= 0x200000; Address += 0x10000)
    {
        BOOLEAN Vga = Address == 0xA0000 || Address == 0xB0000;

        assert_int_equal(FRAME_WITH(F->Color = 2, F->Address = Address, F->Width = 80,
                                    F->Height = 25, F->Pitch = 160),
                         Vga ? BootFramebufferText : BootFramebufferNone);
    }
    assert_int_equal(FRAME_WITH(F->Width = 16385, F->Pitch = 4 * 16385), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Height = 16385), BootFramebufferNone);
    assert_int_equal(FRAME_WITH(F->Pitch = 2 * 4 * 16384 + 1), BootFramebufferNone);
    for (ULONG Cut = 1; Cut <= 30; Cut++)
    {
        assert_int_equal(FRAME_WITH(F->Cut = Cut), BootFramebufferNone);
    }
    for (ULONG Bits = 0; Bits < 256; Bits++)
    {
        BOOLEAN Known = Bits == 24 || Bits == 32;

        assert_int_equal(FRAME_WITH(F->BitsPerPixel = (UCHAR)Bits, F->Pitch = 32768) ==
                             BootFramebufferLinear,
                         Known);
    }
}

/* The colours of a frame that is cut off before them must not be read from the next tag. */
static void ColoursEndWithTheirTag(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    static const UCHAR Filler[0x800];
    FRAME Frame = UsualFrame;
    UNREFERENCED_PARAMETER(State);

    Frame.Cut = sizeof(Frame.Rgb);
    Start(&Blob);
    PutMemoryMap(&Blob);
    PutFramebuffer(&Blob, &Frame);
    PutTag(&Blob, 0x08080810, Filler, sizeof(Filler)); /* its first bytes: 16 8 8 8, 8 8 */
    End(&Blob);
    assert_null(Parse(&Blob, &Info));
    assert_int_equal(Info.Framebuffer.Type, BootFramebufferNone);
}

static void EveryTruncationHasAName(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    UNREFERENCED_PARAMETER(State);

    BuildFull(&Blob);
    for (ULONG Size = 0; Size < Blob.Length; Size++)
    {
        if (Size >= 4)
        {
            memcpy(Blob.Data, &Blob.Length, 4);
            assert_non_null(ParseFirst(&Blob, Size, &Info));
            memcpy(Blob.Data, &Size, 4);
        }
        assert_non_null(ParseFirst(&Blob, Size, &Info));
    }
}

static void EveryByteMayBeWrong(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    ULONG Refused = 0;
    UNREFERENCED_PARAMETER(State);

    BuildFull(&Blob);
    for (ULONG Place = 0; Place < Blob.Length; Place++)
    {
        UCHAR Saved = Blob.Data[Place];

        for (ULONG Value = 0; Value < 256; Value++)
        {
            Blob.Data[Place] = (UCHAR)Value;
            Refused += Parse(&Blob, &Info) != NULL;
        }
        Blob.Data[Place] = Saved;
    }
    assert_in_range(Refused, 1000, 256 * Blob.Length - 1000);
}

static void RandomChainsAreSurvived(void **State)
{
    static BLOB Blob;
    static BOOT_INFO Info;
    ULONG Accepted = 0;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 20000; Round++)
    {
        Start(&Blob);
        PutMemoryMap(&Blob);
        for (ULONG Count = (ULONG)HostRandomBelow(6); Count != 0; Count--)
        {
            UCHAR Payload[80];

            for (ULONG Index = 0; Index < sizeof(Payload); Index++)
            {
                Payload[Index] = (UCHAR)(HostRandom() & HostRandom());
            }
            PutTag(&Blob, (ULONG)HostRandomBelow(22), Payload,
                   (ULONG)HostRandomBelow(sizeof(Payload)));
        }
        End(&Blob);
        Accepted += Parse(&Blob, &Info) == NULL;
    }
    assert_in_range(Accepted, 1000, 19900);
}

HOST_MAIN(cmocka_unit_test(AFullStructureIsRead), cmocka_unit_test(TheSmallestStructureIsRead),
          cmocka_unit_test(EachBrokenChainHasAName), cmocka_unit_test(MemoryMapEntriesMayGrow),
          cmocka_unit_test(AShortMemoryMapHasAName), cmocka_unit_test(EveryEfiTagSaysUefi),
          cmocka_unit_test(TheLongerRsdpWins), cmocka_unit_test(StringsAreCutAndTerminated),
          cmocka_unit_test(AModuleNameEndsWithItsTag), cmocka_unit_test(ModulesAreCountedAndCut),
          cmocka_unit_test(SaneFramebuffersAreTaken), cmocka_unit_test(AbsurdFramebuffersAreNone),
          cmocka_unit_test(ColoursEndWithTheirTag), cmocka_unit_test(EveryTruncationHasAName),
          cmocka_unit_test(EveryByteMayBeWrong), cmocka_unit_test(RandomChainsAreSurvived))
