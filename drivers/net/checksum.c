/* SPDX-License-Identifier: MIT */
/*
 * checksum.c - the internet checksum's two loops (RFC 1071; the arithmetic is in net.h).
 *
 * Eight bytes at a time with an end-around carry cost four instructions a word. The tail is taken
 * in halves: every piece starts at an even offset, so each byte keeps its place in its 16-bit word,
 * and a last odd byte is the low half of a word whose high half is zero, as it lies in memory.
 */
#include "net.h"

ULONG64 NetSum(const UCHAR *Source, ULONG Length, ULONG64 Sum)
{
    const UCHAR *End = Source + (Length & ~7u);

    for (; Source != End; Source += 8)
    {
        Sum = NetSumAdd(Sum, NetGet64(Source));
    }

    if (Length & 4)
    {
        Sum = NetSumAdd(Sum, NetGet32(Source));
        Source += 4;
    }
    if (Length & 2)
    {
        Sum = NetSumAdd(Sum, NetGet16(Source));
        Source += 2;
    }
    if (Length & 1)
    {
        Sum = NetSumAdd(Sum, *Source);
    }
    return Sum;
}

ULONG64 NetCopyAndSum(UCHAR *Destination, const UCHAR *Source, ULONG Length, ULONG64 Sum)
{
    const UCHAR *End = Source + (Length & ~7u);

    for (; Source != End; Source += 8, Destination += 8)
    {
        ULONG64 Word = NetGet64(Source);

        NetPut64(Destination, Word);
        Sum = NetSumAdd(Sum, Word);
    }

    if (Length & 4)
    {
        ULONG Word = NetGet32(Source);

        NetPut32(Destination, Word);
        Sum = NetSumAdd(Sum, Word);
        Source += 4;
        Destination += 4;
    }
    if (Length & 2)
    {
        USHORT Word = NetGet16(Source);

        NetPut16(Destination, Word);
        Sum = NetSumAdd(Sum, Word);
        Source += 2;
        Destination += 2;
    }
    if (Length & 1)
    {
        *Destination = *Source;
        Sum = NetSumAdd(Sum, *Source);
    }
    return Sum;
}
