/* SPDX-License-Identifier: MIT */
/*
 * multiboot2.c - reads the information structure of a Multiboot2 loader (GRUB): a chain of tags,
 * each with its type and size and padded to eight bytes (Multiboot2 Specification 2.0, 3.6).
 *
 * A chain that cannot be followed or that holds no memory map is an error with a name. A tag that
 * is only odd in itself (an absurd framebuffer, a short RSDP, an unterminated string) is passed
 * over or cut: the machine can do without what it would have said.
 */
#include "bootp.h"

#include <rtl.h>

#define BOOT_MB2_ALIGNMENT 8

enum
{
    BootMb2End = 0,
    BootMb2CommandLine = 1,
    BootMb2LoaderName = 2,
    BootMb2Module = 3,
    BootMb2MemoryMap = 6,
    BootMb2Framebuffer = 8,
    BootMb2Efi32SystemTable = 11,
    BootMb2Efi64SystemTable = 12,
    BootMb2RsdpV1 = 14,
    BootMb2RsdpV2 = 15,
    BootMb2EfiMemoryMap = 17,
    BootMb2EfiBootServices = 18,
    BootMb2Efi32ImageHandle = 19,
    BootMb2Efi64ImageHandle = 20
};

enum
{
    BootMb2ColorIndexed = 0,
    BootMb2ColorRgb = 1,
    BootMb2ColorText = 2
};

/* No display is larger; a number above is garbage. */
#define BOOT_LARGEST_DIMENSION 16384

#define BOOT_VGA_MEMORY 0xA0000ull
#define BOOT_VGA_MEMORY_END 0xC0000ull

/* The layouts, packed because nothing promises that they are aligned. */
typedef struct __attribute__((packed)) _BOOT_MB2_HEADER
{
    ULONG TotalSize;
    ULONG Reserved;
} BOOT_MB2_HEADER;

typedef struct __attribute__((packed)) _BOOT_MB2_TAG
{
    ULONG Type;
    ULONG Size; /* with this header, without the padding */
} BOOT_MB2_TAG;

typedef struct __attribute__((packed)) _BOOT_MB2_MODULE
{
    ULONG Start;
    ULONG End;
} BOOT_MB2_MODULE;

typedef struct __attribute__((packed)) _BOOT_MB2_MEMORY_MAP
{
    ULONG EntrySize; /* may grow in a later version: the step from entry to entry */
    ULONG EntryVersion;
} BOOT_MB2_MEMORY_MAP;

typedef struct __attribute__((packed)) _BOOT_MB2_MEMORY_ENTRY
{
    ULONG64 Start;
    ULONG64 Length;
    ULONG Type;
} BOOT_MB2_MEMORY_ENTRY;

typedef struct __attribute__((packed)) _BOOT_MB2_FRAMEBUFFER
{
    ULONG64 Address;
    ULONG Pitch;
    ULONG Width;
    ULONG Height;
    UCHAR BitsPerPixel;
    UCHAR Color;
    USHORT Reserved;
} BOOT_MB2_FRAMEBUFFER;

typedef struct __attribute__((packed)) _BOOT_MB2_RGB
{
    UCHAR RedShift, RedSize;
    UCHAR GreenShift, GreenSize;
    UCHAR BlueShift, BlueSize;
} BOOT_MB2_RGB;

/* A tag's contents, after its header. */
typedef struct _BOOT_PAYLOAD
{
    const UCHAR *Data;
    ULONG Length;
} BOOT_PAYLOAD;

/* Copies a string that may lack its terminator. TRUE if it did not fit. */
static BOOLEAN BootCopyString(PSTR Destination, ULONG DestinationSize, BOOT_PAYLOAD String)
{
    ULONG Length = 0;

    while (Length < String.Length && Length < DestinationSize - 1 && String.Data[Length] != '\0')
    {
        Destination[Length] = (CHAR)String.Data[Length];
        Length++;
    }
    Destination[Length] = '\0';
    return Length < String.Length && String.Data[Length] != '\0';
}

static VOID BootReadModule(BOOT_PAYLOAD Payload, PBOOT_INFO Info)
{
    const BOOT_MB2_MODULE *Tag = (const VOID *)Payload.Data;
    PBOOT_MODULE Module;

    if (Payload.Length < sizeof(*Tag))
    {
        Info->ModulesDropped++;
        return;
    }
    Module = BootAddModule(Info, Tag->Start, Tag->End);
    if (Module != NULL)
    {
        BOOT_PAYLOAD Name = {Payload.Data + sizeof(*Tag), Payload.Length - sizeof(*Tag)};
        BootCopyString(Module->Name, sizeof(Module->Name), Name);
    }
}

static PCSTR BootReadMemoryMap(BOOT_PAYLOAD Payload, PBOOT_INFO Info)
{
    const BOOT_MB2_MEMORY_MAP *Map = (const VOID *)Payload.Data;

    if (Payload.Length < sizeof(*Map))
    {
        return "multiboot2: the memory map tag is too short";
    }
    if (Map->EntrySize < sizeof(BOOT_MB2_MEMORY_ENTRY))
    {
        return "multiboot2: the memory map's entries are too small";
    }
    for (ULONG Offset = sizeof(*Map); Payload.Length - Offset >= Map->EntrySize;
         Offset += Map->EntrySize)
    {
        const BOOT_MB2_MEMORY_ENTRY *Entry = (const VOID *)(Payload.Data + Offset);

        BootAddRange(Info, Entry->Start, Entry->Length, BootMemoryTypeFromFirmware(Entry->Type));
    }
    return NULL;
}

/* Whether a row of pixels or characters fits its pitch, and the frame its addresses: NULL, or what
 * is wrong. */
static PCSTR BootFrameProblem(const BOOT_MB2_FRAMEBUFFER *Tag, ULONG BytesPerPixel)
{
    ULONG64 Bytes = (ULONG64)Tag->Pitch * Tag->Height;

    if (Tag->Address == 0)
    {
        return "its address is 0";
    }
    if (Tag->Width == 0 || Tag->Height == 0)
    {
        return "it has no size";
    }
    if (Tag->Width > BOOT_LARGEST_DIMENSION || Tag->Height > BOOT_LARGEST_DIMENSION)
    {
        return "it is larger than any screen";
    }
    if (Tag->Pitch < Tag->Width * BytesPerPixel)
    {
        return "its rows are longer than its pitch";
    }
    if (Tag->Pitch > 2 * BOOT_LARGEST_DIMENSION * BytesPerPixel)
    {
        return "its pitch is absurd";
    }
    return Tag->Address > MAXULONG64 - Bytes ? "it reaches past the last address" : NULL;
}

static BOOLEAN BootIsVgaMemory(ULONG64 Address, ULONG64 Length)
{
    return Address >= BOOT_VGA_MEMORY && Address < BOOT_VGA_MEMORY_END &&
           Length <= BOOT_VGA_MEMORY_END - Address;
}

static BOOLEAN BootIsChannelSane(UCHAR Shift, UCHAR Size, UCHAR BitsPerPixel)
{
    return Size != 0 && Shift + Size <= BitsPerPixel;
}

static PCSTR BootReadRgb(BOOT_PAYLOAD Payload, UCHAR BitsPerPixel, PBOOT_FRAMEBUFFER Framebuffer)
{
    const BOOT_MB2_RGB *Rgb = (const VOID *)(Payload.Data + sizeof(BOOT_MB2_FRAMEBUFFER));

    if (Payload.Length < sizeof(BOOT_MB2_FRAMEBUFFER) + sizeof(*Rgb))
    {
        return "the tag ends before its colours";
    }
    if (!BootIsChannelSane(Rgb->RedShift, Rgb->RedSize, BitsPerPixel) ||
        !BootIsChannelSane(Rgb->GreenShift, Rgb->GreenSize, BitsPerPixel) ||
        !BootIsChannelSane(Rgb->BlueShift, Rgb->BlueSize, BitsPerPixel))
    {
        return "a colour lies outside the pixel";
    }
    Framebuffer->RedShift = Rgb->RedShift;
    Framebuffer->RedSize = Rgb->RedSize;
    Framebuffer->GreenShift = Rgb->GreenShift;
    Framebuffer->GreenSize = Rgb->GreenSize;
    Framebuffer->BlueShift = Rgb->BlueShift;
    Framebuffer->BlueSize = Rgb->BlueSize;
    return NULL;
}

/* The frame's type and, if it cannot be used, why. Palettes are not supported. */
static PCSTR BootJudgeFrame(BOOT_PAYLOAD Payload, PBOOT_FRAMEBUFFER Framebuffer,
                            BOOT_FRAMEBUFFER_TYPE *Type)
{
    const BOOT_MB2_FRAMEBUFFER *Tag = (const VOID *)Payload.Data;
    PCSTR Problem;

    switch (Tag->Color)
    {
    case BootMb2ColorText:
        *Type = BootFramebufferText;
        Problem = BootFrameProblem(Tag, sizeof(USHORT));
        if (Problem == NULL && !BootIsVgaMemory(Tag->Address, (ULONG64)Tag->Pitch * Tag->Height))
        {
            Problem = "its characters lie outside the VGA's memory";
        }
        return Problem;
    case BootMb2ColorRgb:
        *Type = BootFramebufferLinear;
        if (Tag->BitsPerPixel != 15 && Tag->BitsPerPixel != 16 && Tag->BitsPerPixel != 24 &&
            Tag->BitsPerPixel != 32)
        {
            return "its pixels have neither 15, 16, 24 nor 32 bits";
        }
        Problem = BootFrameProblem(Tag, (Tag->BitsPerPixel + 7) / 8);
        return Problem != NULL ? Problem : BootReadRgb(Payload, Tag->BitsPerPixel, Framebuffer);
    case BootMb2ColorIndexed:
        return "its colours are a palette";
    default:
        return "its kind of colours is unknown";
    }
}

/* What cannot be used keeps its numbers for the log and the type None. */
static VOID BootReadFramebuffer(BOOT_PAYLOAD Payload, PBOOT_FRAMEBUFFER Framebuffer)
{
    const BOOT_MB2_FRAMEBUFFER *Tag = (const VOID *)Payload.Data;
    BOOT_FRAMEBUFFER_TYPE Type = BootFramebufferNone;

    RtlZeroMemory(Framebuffer, sizeof(*Framebuffer));
    if (Payload.Length < sizeof(*Tag))
    {
        Framebuffer->Problem = "the tag is too short";
        return;
    }
    Framebuffer->Address = Tag->Address;
    Framebuffer->Pitch = Tag->Pitch;
    Framebuffer->Width = Tag->Width;
    Framebuffer->Height = Tag->Height;
    Framebuffer->BitsPerPixel = Tag->BitsPerPixel;
    Framebuffer->Problem = BootJudgeFrame(Payload, Framebuffer, &Type);
    if (Framebuffer->Problem == NULL)
    {
        Framebuffer->Type = Type;
    }
}

/* Firmware of ACPI 2.0 and later gives GRUB both forms, in either order: the longer wins. */
static VOID BootReadRsdp(BOOT_PAYLOAD Payload, ULONG MaximumLength, PBOOT_INFO Info)
{
    static const ULONG Lengths[] = {36, 20};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Lengths); Index++)
    {
        ULONG Length = Lengths[Index];

        if (Length <= MaximumLength && Length <= Payload.Length && Length > Info->RsdpLength)
        {
            RtlCopyMemory(Info->Rsdp, Payload.Data, Length);
            Info->RsdpLength = Length;
            return;
        }
    }
}

static PCSTR BootReadTag(ULONG Type, BOOT_PAYLOAD Payload, PBOOT_INFO Info)
{
    switch (Type)
    {
    case BootMb2CommandLine:
        Info->CommandLineTruncated = BootCopyString(Info->CommandLine, sizeof(Info->CommandLine),
                                                    Payload);
        break;
    case BootMb2LoaderName:
        BootCopyString(Info->LoaderName, sizeof(Info->LoaderName), Payload);
        break;
    case BootMb2Module:
        BootReadModule(Payload, Info);
        break;
    case BootMb2MemoryMap:
        return BootReadMemoryMap(Payload, Info);
    case BootMb2Framebuffer:
        BootReadFramebuffer(Payload, &Info->Framebuffer);
        break;
    case BootMb2RsdpV1:
        BootReadRsdp(Payload, 20, Info);
        break;
    case BootMb2RsdpV2:
        BootReadRsdp(Payload, 36, Info);
        break;
    case BootMb2Efi32SystemTable:
    case BootMb2Efi64SystemTable:
    case BootMb2EfiMemoryMap:
    case BootMb2EfiBootServices:
    case BootMb2Efi32ImageHandle:
    case BootMb2Efi64ImageHandle:
        Info->Efi = TRUE;
        break;
    default:
        break;
    }
    return NULL;
}

/* Follows the chain to its end tag. Offset stays at most Size + 7, so nothing here overflows. */
static PCSTR BootReadTags(const UCHAR *Data, ULONG Size, PBOOT_INFO Info)
{
    ULONG64 Offset = sizeof(BOOT_MB2_HEADER);

    while (Offset + sizeof(BOOT_MB2_TAG) <= Size)
    {
        const BOOT_MB2_TAG *Tag = (const VOID *)(Data + Offset);

        if (Tag->Size < sizeof(*Tag))
        {
            return "multiboot2: a tag is smaller than its own header";
        }
        if (Tag->Size > Size - Offset)
        {
            return "multiboot2: a tag reaches past the end of the information";
        }
        if (Tag->Type == BootMb2End)
        {
            return NULL;
        }

        BOOT_PAYLOAD Payload = {Data + Offset + sizeof(*Tag), Tag->Size - sizeof(*Tag)};
        PCSTR Problem = BootReadTag(Tag->Type, Payload, Info);
        if (Problem != NULL)
        {
            return Problem;
        }
        Offset += ALIGN_UP_BY(Tag->Size, BOOT_MB2_ALIGNMENT);
    }
    return "multiboot2: the information has no end tag";
}

PCSTR BootParseMultiboot2(const VOID *Data, ULONG Size, PBOOT_INFO Info)
{
    const BOOT_MB2_HEADER *Header = Data;
    PCSTR Problem;

    RtlZeroMemory(Info, sizeof(*Info));
    Info->Protocol = BootProtocolMultiboot2;
    if (Size < sizeof(*Header) || Header->TotalSize < sizeof(*Header))
    {
        return "multiboot2: the information is smaller than its own header";
    }
    if (Header->TotalSize > Size)
    {
        return "multiboot2: the information is larger than the memory it lies in";
    }
    Problem = BootReadTags(Data, Header->TotalSize, Info);
    if (Problem == NULL && Info->RangeCount == 0)
    {
        Problem = "multiboot2: the loader gave no memory map";
    }
    return Problem;
}
