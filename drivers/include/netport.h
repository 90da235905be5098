/* SPDX-License-Identifier: MIT */
/*
 * netport.h - the contract between a NIC driver (the port) and the responder above it (the class).
 *
 * It follows NT's class/port connection, as between a keyboard class driver and its port driver
 * (Microsoft: "IOCTL_INTERNAL_KEYBOARD_CONNECT", "CONNECT_DATA structure"): the class device lies
 * on top of the port's device stack, and once the stack has started the class sends a connect
 * request down it that exchanges two routines. From then on a frame is one direct call at
 * DISPATCH_LEVEL, without an IRP.
 *
 * Every request here is an IRP_MJ_INTERNAL_DEVICE_CONTROL sent at PASSIVE_LEVEL and completed
 * before the dispatch routine returns. NET_PORT_INFORMATION and NET_CONNECT_DATA travel as
 * Type3InputBuffer (METHOD_NEITHER), the others in the system buffer (METHOD_BUFFERED).
 */
#pragma once

#include <ntddk.h>

#define NET_MAC_LENGTH 6
#define NET_FRAME_HEADER 14    /* two addresses and a type                     */
#define NET_FRAME_MINIMUM 60   /* bytes, without the frame check sequence      */
#define NET_FRAME_MAXIMUM 1514 /* the same, for a payload of 1500              */

/*
 * Class routine: answers one received frame.
 *
 *   Context      NET_CONNECT_DATA.ReceiveContext
 *   Frame        Length bytes from the destination address on, without the frame check sequence
 *   Reply        the port's own transmit buffer, ReplySize bytes (>= NET_FRAME_MAXIMUM); the class
 *                may scribble on it whatever it returns
 *
 * Returns the length of the reply it built (NET_FRAME_MINIMUM..ReplySize), which the port then
 * transmits, or 0: nothing to send, and Frame is no longer needed either way.
 *
 * Called at DISPATCH_LEVEL with the port's ring lock held: it may not call the port back. Calls for
 * one connection may come from any processor, and a port with several queues may make them at the
 * same time.
 */
typedef _IRQL_requires_(DISPATCH_LEVEL)
ULONG NET_RECEIVE(PVOID Context, const UCHAR *Frame, ULONG Length, PUCHAR Reply, ULONG ReplySize);
typedef NET_RECEIVE *PNET_RECEIVE;

/*
 * Port routine: transmits a frame that answers nothing. The frame is copied. STATUS_SUCCESS (queued
 * to the hardware), STATUS_INVALID_PARAMETER (length), STATUS_DEVICE_BUSY (ring full: dropped and
 * counted), STATUS_DEVICE_NOT_CONNECTED (the device is gone or stopped).
 */
typedef _IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS NET_SEND(PVOID Context, const UCHAR *Frame, ULONG Length);
typedef NET_SEND *PNET_SEND;

/* What a class must know before the first frame arrives. */
typedef struct _NET_PORT_INFORMATION
{
    UCHAR MacAddress[NET_MAC_LENGTH];
    BOOLEAN LinkUp; /* at this instant */
} NET_PORT_INFORMATION, *PNET_PORT_INFORMATION;

typedef struct _NET_CONNECT_DATA
{
    PNET_RECEIVE Receive; /* from the class */
    PVOID ReceiveContext; /* from the class */
    PNET_SEND Send;       /* from the port  */
    PVOID SendContext;    /* from the port  */
} NET_CONNECT_DATA, *PNET_CONNECT_DATA;

/* STATUS_DEVICE_NOT_READY before the port has started. */
#define IOCTL_INTERNAL_NET_QUERY_PORT                                                              \
    CTL_CODE(FILE_DEVICE_PHYSICAL_NETCARD, 0x800, METHOD_NEITHER, FILE_ANY_ACCESS)

/* Receive may be called before this returns. STATUS_DEVICE_BUSY: a class is connected already. */
#define IOCTL_INTERNAL_NET_CONNECT                                                                 \
    CTL_CODE(FILE_DEVICE_PHYSICAL_NETCARD, 0x801, METHOD_NEITHER, FILE_ANY_ACCESS)

/* On return no Receive call is running or will be made. No data. */
#define IOCTL_INTERNAL_NET_DISCONNECT                                                              \
    CTL_CODE(FILE_DEVICE_PHYSICAL_NETCARD, 0x802, METHOD_NEITHER, FILE_ANY_ACCESS)

/* ------------------------------------------------------------------ Requests to the responder. */

/*
 * Sets the responder's address, in NET_ADDRESS; before or after the stack has started.
 * STATUS_INVALID_PARAMETER for an address no host may have (0/8, 127/8, 224/3, the subnet's own or
 * broadcast address) or a prefix above 32. The default is 10.0.2.15/24.
 */
typedef struct _NET_ADDRESS
{
    UCHAR Address[4]; /* as written: 10, 0, 2, 15 */
    UCHAR PrefixLength;
} NET_ADDRESS, *PNET_ADDRESS;

#define IOCTL_NET_SET_ADDRESS CTL_CODE(FILE_DEVICE_NETWORK, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

/*
 * What became of each frame handed to the responder. Every frame adds one to NetFramesReceived and
 * one to exactly one other counter, so
 *     NetFramesReceived == the sum of all the others
 * whenever no Receive call is in progress.
 */
typedef enum _NET_COUNTER
{
    NetFramesReceived,
    NetArpReplies,
    NetIcmpReplies,
    NetUdpReplies,
    NetDropFrameShort,       /* shorter than an Ethernet header */
    NetDropFrameDestination, /* sent neither to us nor, for ARP, to all */
    NetDropFrameSource,      /* from a group address */
    NetDropFrameType,        /* neither ARP nor IPv4 */
    NetDropReplySize,        /* the reply does not fit its buffer */
    NetDropArpShort,         /* truncated */
    NetDropArpFormat,        /* not Ethernet and IPv4 */
    NetDropArpOperation,     /* not a request */
    NetDropArpSender,        /* the sender is not the frame's source */
    NetDropArpTarget,        /* asks for another address */
    NetDropArpConflict,      /* the sender claims our address */
    NetDropIpShort,          /* truncated header */
    NetDropIpVersion,        /* not 4 */
    NetDropIpHeaderLength,   /* below 20 or past the end */
    NetDropIpTotalLength,    /* below the header or past the end */
    NetDropIpChecksum,
    NetDropIpFragment,
    NetDropIpTimeToLive,  /* 0 */
    NetDropIpDestination, /* for another address */
    NetDropIpSource,      /* from no single host */
    NetDropIpProtocol,    /* neither ICMP nor UDP */
    NetDropIcmpShort,     /* truncated */
    NetDropIcmpType,      /* not an echo request */
    NetDropIcmpChecksum,
    NetDropUdpShort,  /* truncated header */
    NetDropUdpLength, /* below 8 or past the end */
    NetDropUdpPort,   /* not 7 */
    NetDropUdpSource, /* from port 0 or 7 */
    NetDropUdpChecksum,
    NetCounterMaximum
} NET_COUNTER;

/* Names for people and scripts, by NET_COUNTER: "ip.checksum" (drivers/net/counters.c). */
extern const PCSTR NetCounterNames[NetCounterMaximum];

typedef struct _NET_STATISTICS
{
    ULONG64 Counters[NetCounterMaximum];
    NET_ADDRESS Address;
    UCHAR MacAddress[NET_MAC_LENGTH];
    BOOLEAN Connected;
} NET_STATISTICS, *PNET_STATISTICS;

/* Fills a NET_STATISTICS; IoStatus.Information is its size. STATUS_BUFFER_TOO_SMALL. */
#define IOCTL_NET_QUERY_STATISTICS                                                                 \
    CTL_CODE(FILE_DEVICE_NETWORK, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS)
