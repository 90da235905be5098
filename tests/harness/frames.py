# SPDX-License-Identifier: MIT
"""Ethernet, ARP, IPv4, ICMP and UDP frames: enough to make good ones, and to spoil them."""
import socket
import struct
import typing

BROADCAST = b'\xff' * 6
ETH_IP, ETH_ARP = 0x0800, 0x0806
ARP_REQUEST, ARP_REPLY = 1, 2
ICMP, TCP, UDP = 1, 6, 17
IDENTIFIER = 0x4b49             # of our echo requests


def checksum(data):
    """The Internet checksum; 0 over data that holds its own right checksum."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(destination, source, kind, payload):
    """A frame, padded with zeros to the 60 bytes that a wire carries at least."""
    return (destination + source + struct.pack('!H', kind) + payload).ljust(60, b'\0')


def arp(operation, sender_mac, sender, target_mac, target, hardware=1, lengths=(6, 4)):
    """An ARP packet for IPv4 over Ethernet."""
    return (struct.pack('!HHBBH', hardware, ETH_IP, *lengths, operation)
            + sender_mac + socket.inet_aton(sender) + target_mac + socket.inet_aton(target))


class Arp(typing.NamedTuple):
    """The fields of an ARP packet."""
    operation: int
    sender_mac: bytes
    sender_address: str
    target_mac: bytes
    target_address: str


def parse_arp(frame):
    """The Arp in a frame, None if it holds no well-formed one."""
    if len(frame) < 42 or frame[12:14] != b'\x08\x06' or frame[14:20] != b'\0\1\x08\0\6\4':
        return None
    return Arp(int.from_bytes(frame[20:22], 'big'), frame[22:28], socket.inet_ntoa(frame[28:32]),
               frame[32:38], socket.inet_ntoa(frame[38:42]))


def ip(source, destination, protocol, payload, **change):
    """An IPv4 packet. change: version_length, length, fragment, ttl, checksum, options."""
    options = change.get('options', b'')
    header = struct.pack('!BBHHHBBH4s4s', change.get('version_length', 0x45 + len(options) // 4),
                         0, change.get('length', 20 + len(options) + len(payload)),
                         0x1234, change.get('fragment', 0x4000), change.get('ttl', 64), protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination)) + options
    value = checksum(header) ^ change.get('checksum', 0)
    return header[:10] + struct.pack('!H', value) + header[12:] + payload


def icmp(kind, rest, spoil=0):
    """An ICMP message: rest is what follows the checksum; spoil is xored into the checksum."""
    bare = struct.pack('!BBH', kind, 0, 0) + rest
    return bare[:2] + struct.pack('!H', checksum(bare) ^ spoil) + bare[4:]


def pattern(sequence, size):
    """A payload that differs from one sequence number to the next."""
    return bytes((sequence * 7 + i) & 0xff for i in range(size))


def echo(source, destination, sequence, size, reply=False, **change):
    """An ICMP echo request, or the reply to it, as an IPv4 packet."""
    rest = struct.pack('!HH', IDENTIFIER, sequence & 0xffff) + pattern(sequence, size)
    return ip(source, destination, ICMP, icmp(0 if reply else 8, rest), **change)


def udp(source, destination, port, payload, spoil=0, length=None, from_port=5007):
    """A UDP datagram as an IPv4 packet. spoil is xored into the checksum."""
    length = 8 + len(payload) if length is None else length
    bare = struct.pack('!HHHH', from_port, port, length, 0) + payload
    pseudo = (socket.inet_aton(source) + socket.inet_aton(destination)
              + struct.pack('!HH', UDP, length))
    value = (checksum(pseudo + bare) or 0xffff) ^ spoil
    return ip(source, destination, UDP, bare[:6] + struct.pack('!H', value) + bare[8:])


def mac_text(mac):
    """52:54:00:12:34:56"""
    return ':'.join('%02x' % byte for byte in mac)
