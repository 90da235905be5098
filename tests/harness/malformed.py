# SPDX-License-Identifier: MIT
"""Frames that the guest must drop, count, and not answer. `ping.py --malformed` sends them.

Each names the counter that it adds one to, as the guest's test wire/L40-nothing-lost prints it; ''
where the NIC itself drops the frame before the driver sees it.
"""
import struct
import typing

from frames import (ARP_REQUEST, BROADCAST, ETH_ARP, ETH_IP, ICMP, TCP, arp, echo, ethernet, icmp,
                    ip, udp)

OTHER_MAC = bytes.fromhex('525400abcdef')
OTHER_ADDRESS = '10.0.2.77'


class Case(typing.NamedTuple):
    """One bad frame."""
    name: str
    counter: str
    frame: bytes


def cases(our_mac, ours, guest_mac, guest):
    """All bad frames from us to the guest."""
    def to_guest(packet, kind=ETH_IP):
        return ethernet(guest_mac, our_mac, kind, packet)

    def ask(**change):
        change = {'sender_mac': our_mac, 'sender': ours, 'target_mac': bytes(6), 'target': guest,
                  'operation': ARP_REQUEST, **change}
        return ethernet(BROADCAST, our_mac, ETH_ARP, arp(**change))

    good = echo(ours, guest, 1, 56)
    return [
        # Ethernet. QEMU pads what is shorter than 60 bytes, as a wire would.
        Case('runt', 'ip.version', guest_mac + our_mac + b'\x08\x00'),
        Case('oversize', '', to_guest(echo(ours, guest, 1, 1600))),
        Case('unknown ethertype', 'eth.unknown', to_guest(good, 0x88b5)),
        Case('802.3 length', 'eth.unknown', to_guest(good, 46)),
        Case('not our MAC', '', ethernet(OTHER_MAC, our_mac, ETH_IP, good)),
        # ARP
        Case('ARP operation', 'arp.unknown', ask(operation=9)),
        Case('ARP hardware type', 'arp.malformed', ask(hardware=6)),
        Case('ARP address lengths', 'arp.malformed', ask(lengths=(8, 4))),
        Case('ARP not our address', 'arp.not_us', ask(target=OTHER_ADDRESS)),
        # IPv4
        Case('IP version', 'ip.version', to_guest(echo(ours, guest, 1, 56, version_length=0x65))),
        Case('IP header too short', 'ip.header',
             to_guest(echo(ours, guest, 1, 56, version_length=0x44))),
        Case('IP header past the end', 'ip.header',
             to_guest(ip(ours, guest, ICMP, b'', version_length=0x4f, length=40))),
        Case('IP checksum', 'ip.checksum', to_guest(echo(ours, guest, 1, 56, checksum=0x0100))),
        Case('IP length past the end', 'ip.length', to_guest(echo(ours, guest, 1, 56, length=900))),
        Case('IP length below header', 'ip.length', to_guest(echo(ours, guest, 1, 56, length=12))),
        Case('first fragment', 'ip.fragment', to_guest(echo(ours, guest, 1, 56, fragment=0x2000))),
        Case('later fragment', 'ip.fragment', to_guest(echo(ours, guest, 1, 56, fragment=0x0010))),
        Case('IP not our address', 'ip.not_us', to_guest(echo(ours, OTHER_ADDRESS, 1, 56))),
        Case('IP from broadcast', 'ip.source', to_guest(echo('255.255.255.255', guest, 1, 56))),
        Case('IP from multicast', 'ip.source', to_guest(echo('224.0.0.1', guest, 1, 56))),
        Case('TCP', 'ip.protocol', to_guest(ip(ours, guest, TCP, bytes(20)))),
        # ICMP
        Case('ICMP checksum', 'icmp.checksum',
             to_guest(ip(ours, guest, ICMP, icmp(8, struct.pack('!HH', 1, 1) + b'x' * 56, 0x55)))),
        Case('ICMP too short', 'icmp.length', to_guest(ip(ours, guest, ICMP, icmp(8, b'')))),
        Case('ICMP unknown type', 'icmp.unknown',
             to_guest(ip(ours, guest, ICMP, icmp(99, bytes(4))))),
        # UDP
        Case('UDP truncated', 'udp.length', to_guest(udp(ours, guest, 7, b'hello', length=500))),
        Case('UDP length below 8', 'udp.length', to_guest(udp(ours, guest, 7, b'hello', length=7))),
        Case('UDP checksum', 'udp.checksum', to_guest(udp(ours, guest, 7, b'hello', spoil=0x3300))),
        Case('UDP port closed', 'udp.port', to_guest(udp(ours, guest, 4321, b'hello'))),
        Case('UDP echo to echo', 'udp.source', to_guest(udp(ours, guest, 7, b'hi', from_port=7))),
    ]
