/* SPDX-License-Identifier: MIT */
/*
 * keep.c - the format of the kept log: lines in memory that is read again after a reset.
 *
 * PURPOSE
 *   What a machine said before it hung is worth most when nothing was put out any more. So each
 *   line is also written where the next boot finds it, and nothing there is believed unchecked: it
 *   may be the garbage of a cold start, an older kernel's, or half of a line.
 *
 * HOW IT WORKS
 *   Each slot is whole by itself: position, contents, and a checksum over both, which begins with
 *   its boot's salt. A slot that was being written when the machine stopped, one that two writers a
 *   whole bank apart met in, and one left by an earlier boot all fail it, and cost that line only.
 *   Position p lies in slot p modulo the number of slots; no index is kept that could be wrong.
 *
 *       header   magic, version, sizes, generation, salt, checksum; how the boot ended
 *       slot     position + 1 (0: empty), time, processor, IRQL, level, length, checksum, text
 *
 * LOCKS AND IRQL
 *   None, and any. A writer writes its slot and nothing else.
 *
 * ORDERING
 *   None is needed: a checksum does not care what was written first. Each store is followed by
 *   CLFLUSH of its lines, for a reset may drop the caches instead of writing them back.
 *
 * FURTHER READING
 *   docs/keptlog.md. SDM 2, CLFLUSH; SDM 3A, 9.1 (caches after RESET and INIT).
 */
#include "keep.h"

#include <arch/intrin.h>
#include <rtl.h>

#define KEEP_MAGIC 0x6770654B6B636C49ull /* "IlckKepg" */
#define KEEP_VERSION 1u
#define KEEP_LINE_SIZE 64u
#define KEEP_END_MAGIC 0x00646E45u /* "End" */
#define KEEP_HIGHEST_GENERATION 0xFFFFFFFFFFFFull
#define KEEP_HASH_START 0xCBF29CE484222325ull
#define KEEP_HASH_PRIME 0x100000001B3ull

typedef struct _KI_KEEP_HEADER
{
    ULONG64 Magic;
    ULONG Version;
    ULONG SlotSize;
    ULONG Slots;
    ULONG Reserved;
    ULONG64 Generation;
    ULONG64 Salt;
    ULONG64 Checksum; /* of all that stands before it */
    ULONG64 End;      /* 0, or by KiKeepEndWord: once, by who ends the boot */
} KI_KEEP_HEADER, *PKI_KEEP_HEADER;

typedef struct _KI_KEEP_SLOT
{
    ULONG64 Stamp; /* position + 1; 0: empty. All of it: the line's writer */
    ULONG64 Time;
    USHORT Processor;
    UCHAR Irql;
    UCHAR Level;
    ULONG Length; /* of Text, without a terminator, which is not stored */
    ULONG Checksum;
    CHAR Text[KI_KEEP_TEXT_SIZE];
} KI_KEEP_SLOT, *PKI_KEEP_SLOT;

C_ASSERT(sizeof(KI_KEEP_HEADER) <= KI_KEEP_SLOT_SIZE);
C_ASSERT(sizeof(KI_KEEP_SLOT) == KI_KEEP_SLOT_SIZE);

const CHAR KiKeepNothing[] = "there is none";

/* FNV-1a, 64 bits. */
static ULONG64 KiKeepHash(ULONG64 Hash, const VOID *Data, SIZE_T Length)
{
    const UCHAR *Bytes = Data;

    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        Hash = (Hash ^ Bytes[Index]) * KEEP_HASH_PRIME;
    }
    return Hash;
}

static VOID KiKeepWriteBack(const VOID *Start, SIZE_T Length)
{
    for (SIZE_T Offset = 0; Offset < Length; Offset += KEEP_LINE_SIZE)
    {
        _mm_clflush((const UCHAR *)Start + Offset);
    }
    _mm_mfence(); /* the lines are in memory before what follows; pairs with: the reset */
}

static ULONG64 KiKeepHeaderChecksum(const KI_KEEP_HEADER *Header)
{
    return KiKeepHash(KEEP_HASH_START, Header, FIELD_OFFSET(KI_KEEP_HEADER, Checksum));
}

/* A slot's checksum: Length must have been checked. */
static ULONG KiKeepSlotChecksum(const KI_KEEP_SLOT *Slot, ULONG64 Salt)
{
    ULONG64 Hash = KiKeepHash(KEEP_HASH_START ^ Salt, Slot, FIELD_OFFSET(KI_KEEP_SLOT, Checksum));

    Hash = KiKeepHash(Hash, Slot->Text, Slot->Length);
    return (ULONG)(Hash ^ (Hash >> 32));
}

static ULONG64 KiKeepEndWord(ULONG64 Salt, KI_KEEP_END End)
{
    return (Salt << 32 | KEEP_END_MAGIC) + End;
}

static KI_KEEP_SLOT *KiKeepSlot(const VOID *Bank, ULONG64 Position)
{
    return (KI_KEEP_SLOT *)Bank + 1 + Position % KI_KEEP_SLOTS;
}

VOID KiKeepFormat(PVOID Bank, ULONG64 Generation, ULONG64 Salt)
{
    PKI_KEEP_HEADER Header = Bank;

    /* Without its header first: a reset in between leaves no half of a log that looks like one. */
    Header->Magic = 0;
    KiKeepWriteBack(Header, sizeof(*Header));
    RtlZeroMemory(Bank, KI_KEEP_BANK_SIZE);
    KiKeepWriteBack(Bank, KI_KEEP_BANK_SIZE);
    *Header = (KI_KEEP_HEADER){.Magic = KEEP_MAGIC,
                               .Version = KEEP_VERSION,
                               .SlotSize = KI_KEEP_SLOT_SIZE,
                               .Slots = KI_KEEP_SLOTS,
                               .Generation = Generation & KEEP_HIGHEST_GENERATION,
                               .Salt = Salt};
    Header->Checksum = KiKeepHeaderChecksum(Header);
    KiKeepWriteBack(Header, sizeof(*Header));
}

static VOID KiKeepMakePrintable(PSTR Text)
{
    for (; *Text != '\0'; Text++)
    {
        if (*Text < ' ' || *Text > '~')
        {
            *Text = '.';
        }
    }
}

/* Works on a copy, for the slot may be written at the same time, or be anything. */
BOOLEAN KiKeepRead(const VOID *Bank, ULONG64 Position, PKI_KEEP_LINE Line)
{
    KI_KEEP_SLOT Slot = *KiKeepSlot(Bank, Position);

    if (Slot.Stamp != Position + 1 || Slot.Length >= sizeof(Slot.Text) ||
        Slot.Checksum != KiKeepSlotChecksum(&Slot, ((const KI_KEEP_HEADER *)Bank)->Salt))
    {
        return FALSE;
    }
    Line->Position = Position;
    Line->Time = Slot.Time;
    Line->Processor = Slot.Processor;
    Line->Irql = Slot.Irql;
    Line->Level = Slot.Level;
    RtlCopyMemory(Line->Text, Slot.Text, Slot.Length);
    Line->Text[Slot.Length] = '\0';
    KiKeepMakePrintable(Line->Text);
    return TRUE;
}

static PCSTR KiKeepHeaderProblem(const KI_KEEP_HEADER *Header)
{
    if (Header->Magic != KEEP_MAGIC)
    {
        return KiKeepNothing;
    }
    if (Header->Version != KEEP_VERSION)
    {
        return "it is of another version";
    }
    if (Header->SlotSize != KI_KEEP_SLOT_SIZE || Header->Slots != KI_KEEP_SLOTS)
    {
        return "its sizes are not this kernel's";
    }
    if (Header->Checksum != KiKeepHeaderChecksum(Header))
    {
        return "its header's checksum is wrong";
    }
    return Header->Generation > KEEP_HIGHEST_GENERATION ? "its generation is absurd" : NULL;
}

static KI_KEEP_END KiKeepReadEnd(const KI_KEEP_HEADER *Header)
{
    for (KI_KEEP_END End = KiKeepNotEnded + 1; End < KiKeepEnds; End++)
    {
        if (Header->End == KiKeepEndWord(Header->Salt, End))
        {
            return End;
        }
    }
    return KiKeepNotEnded;
}

PCSTR KiKeepExamine(const VOID *Bank, PKI_KEEP_INFO Info)
{
    const KI_KEEP_HEADER Header = *(const KI_KEEP_HEADER *)Bank;
    PCSTR Problem = KiKeepHeaderProblem(&Header);
    KI_KEEP_LINE Line;

    RtlZeroMemory(Info, sizeof(*Info));
    if (Problem != NULL)
    {
        return Problem;
    }
    Info->Generation = Header.Generation;
    Info->End = KiKeepReadEnd(&Header);
    for (ULONG Index = 0; Index < KI_KEEP_SLOTS; Index++)
    {
        ULONG64 Stamp = KiKeepSlot(Bank, Index)->Stamp;

        if (Stamp == 0)
        {
            continue;
        }
        if ((Stamp - 1) % KI_KEEP_SLOTS != Index || !KiKeepRead(Bank, Stamp - 1, &Line))
        {
            Info->Damaged++;
            continue;
        }
        Info->Lines++;
        Info->Next = Stamp > Info->Next ? Stamp : Info->Next;
    }
    return NULL;
}

VOID KiKeepStore(PVOID Bank, ULONG64 Position, ULONG64 Time, ULONG Processor, UCHAR Irql,
                 UCHAR Level, PCSTR Text)
{
    PKI_KEEP_SLOT Slot = KiKeepSlot(Bank, Position);
    SIZE_T Length = strlen(Text);

    if (Length != 0 && Text[Length - 1] == '\n') /* DbgPrint's callers end their lines themselves */
    {
        Length--;
    }
    Slot->Stamp = Position + 1;
    Slot->Time = Time;
    Slot->Processor = (USHORT)Processor;
    Slot->Irql = Irql;
    Slot->Level = Level;
    Slot->Length = (ULONG)(Length < sizeof(Slot->Text) ? Length : sizeof(Slot->Text) - 1);
    RtlCopyMemory(Slot->Text, Text, Slot->Length);
    Slot->Checksum = KiKeepSlotChecksum(Slot, ((PKI_KEEP_HEADER)Bank)->Salt);
    KiKeepWriteBack(Slot, sizeof(*Slot));
}

VOID KiKeepMarkEnd(PVOID Bank, KI_KEEP_END End)
{
    PKI_KEEP_HEADER Header = Bank;

    Header->End = KiKeepEndWord(Header->Salt, End);
    KiKeepWriteBack(Header, sizeof(*Header));
}
