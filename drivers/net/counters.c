/* SPDX-License-Identifier: MIT */
/*
 * counters.c - the names of the responder's counters, which scripts know: layer, dot, what it was.
 */
#include "net.h"

const PCSTR NetCounterNames[NetCounterMaximum] = {
    [NetFramesReceived] = "net.received",  [NetArpReplies] = "arp.replies",
    [NetIcmpReplies] = "icmp.replies",     [NetUdpReplies] = "udp.replies",
    [NetDropFrameShort] = "eth.short",     [NetDropFrameDestination] = "eth.not_us",
    [NetDropFrameSource] = "eth.source",   [NetDropFrameType] = "eth.unknown",
    [NetDropReplySize] = "net.reply_size", [NetDropArpShort] = "arp.short",
    [NetDropArpFormat] = "arp.malformed",  [NetDropArpOperation] = "arp.unknown",
    [NetDropArpSender] = "arp.sender",     [NetDropArpTarget] = "arp.not_us",
    [NetDropArpConflict] = "arp.conflict", [NetDropIpShort] = "ip.short",
    [NetDropIpVersion] = "ip.version",     [NetDropIpHeaderLength] = "ip.header",
    [NetDropIpTotalLength] = "ip.length",  [NetDropIpChecksum] = "ip.checksum",
    [NetDropIpFragment] = "ip.fragment",   [NetDropIpTimeToLive] = "ip.ttl",
    [NetDropIpDestination] = "ip.not_us",  [NetDropIpSource] = "ip.source",
    [NetDropIpProtocol] = "ip.protocol",   [NetDropIcmpShort] = "icmp.length",
    [NetDropIcmpType] = "icmp.unknown",    [NetDropIcmpChecksum] = "icmp.checksum",
    [NetDropUdpShort] = "udp.short",       [NetDropUdpLength] = "udp.length",
    [NetDropUdpPort] = "udp.port",         [NetDropUdpSource] = "udp.source",
    [NetDropUdpChecksum] = "udp.checksum",
};
