/* SPDX-License-Identifier: MIT */
/*
 * memory.c - memory and string primitives.
 *
 * The compiler calls the mem* routines on its own account (structure copies, initializers), so this
 * file must be built with -fno-tree-loop-distribute-patterns: otherwise it recognizes the loops
 * below as memcpy and memset and turns each routine into a call of itself. No vector registers
 * exist in the kernel; eight bytes a step, four steps a turn, is the fastest plain C.
 */
#include <rtl.h>

/* Eight bytes at any address, of any type: x86 loads and stores need no alignment, but the language
 * must be told about both. */
typedef ULONG64 RTLP_WORD __attribute__((may_alias, aligned(1)));

/* Ascending copy. Also right for overlapping memory if Destination is below Source: each turn reads
 * all it needs before it writes, and writes only below what it has yet to read. */
FORCEINLINE VOID RtlpCopyAscending(PUCHAR Destination, const UCHAR *Source, SIZE_T Length)
{
    for (; Length >= 4 * sizeof(RTLP_WORD); Length -= 4 * sizeof(RTLP_WORD))
    {
        const RTLP_WORD *From = (const RTLP_WORD *)Source;
        RTLP_WORD *To = (RTLP_WORD *)Destination;
        ULONG64 Word0 = From[0], Word1 = From[1], Word2 = From[2], Word3 = From[3];

        To[0] = Word0;
        To[1] = Word1;
        To[2] = Word2;
        To[3] = Word3;
        Source += 4 * sizeof(RTLP_WORD);
        Destination += 4 * sizeof(RTLP_WORD);
    }
    for (; Length >= sizeof(RTLP_WORD); Length -= sizeof(RTLP_WORD))
    {
        *(RTLP_WORD *)Destination = *(const RTLP_WORD *)Source;
        Source += sizeof(RTLP_WORD);
        Destination += sizeof(RTLP_WORD);
    }
    for (; Length != 0; Length--)
    {
        *Destination++ = *Source++;
    }
}

/* The mirror image, for an overlapping Destination above Source. */
FORCEINLINE VOID RtlpCopyDescending(PUCHAR Destination, const UCHAR *Source, SIZE_T Length)
{
    for (; Length >= sizeof(RTLP_WORD); Length -= sizeof(RTLP_WORD))
    {
        SIZE_T Offset = Length - sizeof(RTLP_WORD);
        *(RTLP_WORD *)(Destination + Offset) = *(const RTLP_WORD *)(Source + Offset);
    }
    while (Length != 0)
    {
        Length--;
        Destination[Length] = Source[Length];
    }
}

void *memcpy(void *Destination, const void *Source, size_t Length)
{
    RtlpCopyAscending(Destination, Source, Length);
    return Destination;
}

void *memmove(void *Destination, const void *Source, size_t Length)
{
    /* Unsigned, the distance is huge when Destination is below Source, so this one test is false
     * exactly when Destination lies inside the source. */
    if ((ULONG_PTR)Destination - (ULONG_PTR)Source >= Length)
    {
        RtlpCopyAscending(Destination, Source, Length);
    }
    else
    {
        RtlpCopyDescending(Destination, Source, Length);
    }
    return Destination;
}

void *memset(void *Destination, int Fill, size_t Length)
{
    ULONG64 Pattern = (UCHAR)Fill * 0x0101010101010101ull;
    PUCHAR Next = Destination;

    for (; Length >= 4 * sizeof(RTLP_WORD); Length -= 4 * sizeof(RTLP_WORD))
    {
        RTLP_WORD *To = (RTLP_WORD *)Next;

        To[0] = Pattern;
        To[1] = Pattern;
        To[2] = Pattern;
        To[3] = Pattern;
        Next += 4 * sizeof(RTLP_WORD);
    }
    for (; Length >= sizeof(RTLP_WORD); Length -= sizeof(RTLP_WORD))
    {
        *(RTLP_WORD *)Next = Pattern;
        Next += sizeof(RTLP_WORD);
    }
    for (; Length != 0; Length--)
    {
        *Next++ = (UCHAR)Fill;
    }
    return Destination;
}

SIZE_T RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length)
{
    const UCHAR *First = Source1;
    const UCHAR *Second = Source2;
    SIZE_T Equal = 0;

    for (; Length - Equal >= sizeof(RTLP_WORD); Equal += sizeof(RTLP_WORD))
    {
        ULONG64 Difference = *(const RTLP_WORD *)(First + Equal) ^
                             *(const RTLP_WORD *)(Second + Equal);

        if (Difference != 0)
        {
            /* Little endian: the lowest set bit lies in the first byte that differs. */
            return Equal + ((ULONG)__builtin_ctzll(Difference) >> 3);
        }
    }
    while (Equal < Length && First[Equal] == Second[Equal])
    {
        Equal++;
    }
    return Equal;
}

int memcmp(const void *Source1, const void *Source2, size_t Length)
{
    SIZE_T Equal = RtlCompareMemory(Source1, Source2, Length);

    if (Equal == Length)
    {
        return 0;
    }
    return ((const UCHAR *)Source1)[Equal] - ((const UCHAR *)Source2)[Equal];
}

size_t strlen(const char *String)
{
    SIZE_T Length = 0;

    while (String[Length] != '\0')
    {
        Length++;
    }
    return Length;
}

int strcmp(const char *String1, const char *String2)
{
    SIZE_T Index = 0;

    while (String1[Index] == String2[Index] && String1[Index] != '\0')
    {
        Index++;
    }
    return (UCHAR)String1[Index] - (UCHAR)String2[Index];
}

int strncmp(const char *String1, const char *String2, size_t Length)
{
    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        if (String1[Index] != String2[Index] || String1[Index] == '\0')
        {
            return (UCHAR)String1[Index] - (UCHAR)String2[Index];
        }
    }
    return 0;
}
