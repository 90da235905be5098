/* SPDX-License-Identifier: MIT */
/*
 * fuzz_net.c - Ethernet, ARP, IPv4, ICMP and UDP: any frame, and what would be sent back.
 *
 * Input: a byte that says what to mend, then the frame. Mending lets mutations through the checks
 * that they could not guess: our addresses, the checksums. Oracle: the model of the host tests,
 * the same protocols written a second time, wants the same verdict and the same bytes; a reply is
 * never longer than its request, or than the shortest frame, goes to who asked, and its checksums
 * hold.
 */
#include "../host/test_net.h"
#include "fuzz.h"

#define MEND_DESTINATION 0x01
#define MEND_IP_ADDRESSES 0x02
#define MEND_IP 0x04
#define MEND_PAYLOAD 0x08
#define SMALL_REPLY 0x10 /* the reply's buffer is of the frame's size */

/* The IPv4 header's length if it, and Room bytes after it, lie in the frame; else 0. */
static ULONG IpHeader(const UCHAR *Frame, ULONG Length, ULONG Room)
{
    ULONG Header = Length >= 34 ? 4 * (Frame[14] & 15u) : 0;

    return Header >= 20 && 14 + Header + Room <= Length ? Header : 0;
}

static VOID MendPayload(UCHAR *Frame, ULONG Length)
{
    ULONG Header = IpHeader(Frame, Length, 8);
    ULONG Total = Header != 0 ? NaiveGet16(Frame + 16) : 0;
    UCHAR *Payload = Frame + 14 + Header;

    if (Header == 0 || Total < Header + 8 || 14 + Total > Length)
    {
        return;
    }
    if (Frame[23] == 1)
    {
        SealIcmp(Payload, Total - Header);
    }
    else if (Frame[23] == 17 && NaiveGet16(Payload + 4) >= 8 &&
             NaiveGet16(Payload + 4) <= Total - Header)
    {
        SealUdp(Frame);
    }
}

static VOID Mend(UCHAR *Frame, ULONG Length, ULONG What)
{
    if ((What & MEND_DESTINATION) && Length >= 6)
    {
        memcpy(Frame, OurMac, 6);
    }
    if ((What & MEND_IP_ADDRESSES) && Length >= 34)
    {
        memcpy(Frame + 26, PeerIp, 4);
        memcpy(Frame + 30, OurIp, 4);
    }
    if (What & MEND_PAYLOAD)
    {
        MendPayload(Frame, Length);
    }
    if ((What & MEND_IP) && IpHeader(Frame, Length, 0) != 0)
    {
        SealIp(Frame);
    }
}

static VOID CheckReply(const UCHAR *Frame, ULONG Length, const UCHAR *Reply, ULONG ReplyLength)
{
    ULONG Total = NaiveGet16(Reply + 16);

    FUZZ_REQUIRE(ReplyLength >= NET_FRAME_MINIMUM);
    FUZZ_REQUIRE(ReplyLength <= (Length > NET_FRAME_MINIMUM ? Length : NET_FRAME_MINIMUM));
    FUZZ_REQUIRE(memcmp(Reply, Frame + 6, 6) == 0 && memcmp(Reply + 6, OurMac, 6) == 0);
    if (NaiveGet16(Reply + 12) != 0x0800)
    {
        return;
    }
    FUZZ_REQUIRE(Reply[14] == 0x45 && Total >= 28 && 14 + Total <= ReplyLength);
    FUZZ_REQUIRE(NaiveSum(Reply + 14, 20, 0) == 0xFFFF);
    FUZZ_REQUIRE(Reply[23] == 1
                     ? NaiveSum(Reply + 34, Total - 20, 0) == 0xFFFF
                     : NaiveUdpSum(Reply + 26, Reply + 30, Reply + 34, Total - 20) == 0xFFFF);
    for (ULONG Index = 14 + Total; Index < ReplyLength; Index++)
    {
        FUZZ_REQUIRE(Reply[Index] == 0); /* padding tells nothing of older frames */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static UCHAR Frame[NET_FRAME_MAXIMUM];
    static UCHAR Reply[NET_FRAME_MAXIMUM];
    ULONG What, Length, ReplySize, ReplyLength;
    const VERDICT *Verdict;

    if (Size < 1)
    {
        return 0;
    }
    What = Data[0];
    Length = Size - 1 < sizeof(Frame) ? (ULONG)Size - 1 : (ULONG)sizeof(Frame);
    memcpy(Frame, Data + 1, Length);
    Mend(Frame, Length, What);

    ReplySize = (What & SMALL_REPLY) ? Length : NET_FRAME_MAXIMUM;
    SetUp(NULL);
    Verdict = RunSized(Frame, Length, ReplySize);
    if (Verdict->Length != 0)
    {
        ReplyLength = NetProcessFrame(&Interface, Frame, Length, Reply, ReplySize);
        FUZZ_REQUIRE(ReplyLength == Verdict->Length);
        CheckReply(Frame, Length, Reply, ReplyLength);
    }
    return 0;
}
