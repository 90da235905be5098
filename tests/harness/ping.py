#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A host on the guest's Ethernet: ARP, ping, flood, and frames that no driver should trust.

QEMU's dgram network carries one Ethernet frame in one UDP datagram between two ports of 127.0.0.1
(qemu.py: network()), so an ordinary program can stand on the wire beside the guest. Every reply is
checked byte for byte: addresses, lengths, IP and ICMP checksums, payload. Standard library only.
"""
import argparse
import json
import socket
import statistics
import sys
import time

import malformed
from frames import (ARP_REPLY, ARP_REQUEST, BROADCAST, arp, checksum, echo, ethernet, mac_text,
                    parse_arp, ETH_ARP, ETH_IP)
from qemu import ECHO_PORT, GUEST_ADDRESS

OUR_MAC = bytes.fromhex('025450494e47')
OUR_ADDRESS = '10.0.2.50'


class Peer:
    """Our end of the wire, with enough of a host behind it to be talked to."""

    def __init__(self, port=ECHO_PORT, target=GUEST_ADDRESS):
        self.target = target
        self.target_mac = None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.socket.bind(('127.0.0.1', port + 2))
        self.socket.connect(('127.0.0.1', port + 1))

    def send(self, frame):
        """Sends one frame; False when QEMU is not there."""
        try:
            self.socket.send(frame)
            return True
        except ConnectionRefusedError:
            return False

    def receive(self, seconds):
        """The next frame for us within so many seconds, or None. Answers ARP for our address."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            self.socket.settimeout(max(left, 0.0001))
            try:
                frame = self.socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return None
            except ConnectionRefusedError:
                if left <= 0:
                    return None
                time.sleep(min(left, 0.05))
                continue
            if frame[:6] in (OUR_MAC, BROADCAST) and not self.answer_arp(frame):
                return frame

    def answer_arp(self, frame):
        """True if the frame was an ARP request: answered, if it asks for our address."""
        query = parse_arp(frame)
        if not query or query.operation != ARP_REQUEST:
            return False
        if query.target_address == OUR_ADDRESS:
            self.send(ethernet(query.sender_mac, OUR_MAC, ETH_ARP,
                               arp(ARP_REPLY, OUR_MAC, OUR_ADDRESS,
                                   query.sender_mac, query.sender_address)))
        return True

    def resolve(self, seconds=5.0):
        """Asks who has the target until it answers, well-formed, to us; its MAC, or None."""
        deadline = time.monotonic() + seconds
        ask = ethernet(BROADCAST, OUR_MAC, ETH_ARP,
                       arp(ARP_REQUEST, OUR_MAC, OUR_ADDRESS, bytes(6), self.target))
        while time.monotonic() < deadline:
            self.send(ask)
            frame = self.receive(min(0.25, max(deadline - time.monotonic(), 0.001)))
            reply = frame and parse_arp(frame)
            if (reply and reply.operation == ARP_REPLY and reply.sender_address == self.target
                    and reply.target_address == OUR_ADDRESS and reply.target_mac == OUR_MAC
                    and frame[6:12] == reply.sender_mac and frame[:6] == OUR_MAC):
                self.target_mac = reply.sender_mac
                return self.target_mac
        return None

    def request(self, sequence, size):
        """An echo request of ours, as a frame."""
        return ethernet(self.target_mac, OUR_MAC, ETH_IP,
                        echo(OUR_ADDRESS, self.target, sequence, size))


class Checker:
    """Says what is wrong with an echo reply; remembers IP headers that it has seen to be right."""

    def __init__(self, peer, size):
        self.size = size
        self.good_headers = set()
        self.ethernet = ethernet(OUR_MAC, peer.target_mac, ETH_IP, b'')[:14]
        self.addresses = socket.inet_aton(peer.target) + socket.inet_aton(OUR_ADDRESS)
        self.expected = {}

    def icmp(self, sequence):
        """The ICMP message that must come back for a sequence number."""
        if sequence not in self.expected:
            packet = echo(OUR_ADDRESS, OUR_ADDRESS, sequence, self.size, reply=True)
            self.expected[sequence] = packet[20:]
        return self.expected[sequence]

    def check(self, frame):
        """(sequence, complaint): complaint is '' for a perfect reply, sequence -1 for no reply."""
        if len(frame) < 42 or frame[12:14] != b'\x08\x00' or frame[23] != 1 or frame[34] != 0:
            return -1, ''
        sequence = int.from_bytes(frame[40:42], 'big')
        header = frame[14:34]
        if frame[:14] != self.ethernet:
            return sequence, 'Ethernet header %s' % frame[:14].hex()
        if header not in self.good_headers:
            complaint = self.header(header)
            if complaint:
                return sequence, complaint
            self.good_headers.add(header)
        expected = self.icmp(sequence)
        length = 34 + len(expected)
        if frame[34:length] != expected:
            return sequence, 'ICMP message differs from what was sent'
        if any(frame[length:]):
            return sequence, 'padding is not zero: memory leaks onto the wire'
        return sequence, ''

    def header(self, header):
        """What is wrong with an IP header, '' if nothing."""
        if header[0] != 0x45:
            return 'IP version and header length 0x%02x' % header[0]
        if int.from_bytes(header[2:4], 'big') != 28 + self.size:
            return 'IP length %d' % int.from_bytes(header[2:4], 'big')
        if checksum(header) != 0:
            return 'IP header checksum'
        if int.from_bytes(header[6:8], 'big') & 0xbfff:
            return 'reply is a fragment'
        if header[8] == 0:
            return 'TTL 0'
        return '' if header[12:20] == self.addresses else 'IP addresses'


class Tally:
    """What came back."""

    def __init__(self):
        self.sent = self.received = 0
        self.times = []                 # milliseconds
        self.complaints = []
        self.seconds = 0.0

    def lost(self):
        """Requests without a reply, in per cent."""
        return 100.0 * (self.sent - self.received) / self.sent if self.sent else 0.0

    def good(self):
        """Everything came back, and right."""
        return self.sent > 0 and self.received == self.sent and not self.complaints

    def data(self):
        """As plain values."""
        times = self.times or [0.0]
        return {'sent': self.sent, 'received': self.received, 'loss_percent': self.lost(),
                'seconds': self.seconds,
                'per_second': self.received / self.seconds if self.seconds else 0.0,
                'min_ms': min(times), 'avg_ms': statistics.fmean(times), 'max_ms': max(times),
                'p99_ms': sorted(times)[int(len(times) * 0.99)], 'complaints': self.complaints}


def ping(peer, count, window=1, interval=0.0, size=56, timeout=1.0, report=None):
    """Sends count echo requests, at most `window` unanswered at a time, one each `interval`."""
    tally, checker = Tally(), Checker(peer, size)
    pending = {}                        # sequence number -> when it was sent, oldest first
    start = due = time.perf_counter()
    while tally.sent < count or pending:
        now = time.perf_counter()
        may_send = tally.sent < count and len(pending) < window
        if may_send and now >= due:
            sequence = tally.sent & 0xffff
            frame = peer.request(sequence, size)
            pending[sequence] = time.perf_counter()
            peer.send(frame)
            tally.sent += 1
            due = max(due + interval, now)
            continue
        oldest = next(iter(pending), None)
        expiry = pending[oldest] + timeout if pending else now + timeout
        frame = peer.receive((min(due, expiry) if may_send else expiry) - now)
        arrived = time.perf_counter()
        if frame is None:
            if pending and arrived >= expiry:
                del pending[oldest]
                if report:
                    report('no answer to %d' % oldest)
            continue
        sequence, complaint = checker.check(frame)
        if complaint:
            tally.complaints.append('reply %d: %s' % (sequence, complaint))
        if sequence not in pending:
            if sequence >= 0:
                tally.complaints.append('reply %d came late, twice or unasked' % sequence)
            continue
        tally.times.append((arrived - pending.pop(sequence)) * 1000)
        tally.received += 1
        if report:
            report('%d bytes from %s: seq=%d ttl=%d time=%.3f ms%s' % (
                size + 8, peer.target, sequence, frame[22], tally.times[-1],
                ' WRONG: ' + complaint if complaint else ''))
    tally.seconds = time.perf_counter() - start
    return tally


def flood(peer, seconds, window=64, size=56):
    """Keeps `window` requests in the air for so many seconds, as fast as they come back."""
    tally, checker = Tally(), Checker(peer, size)
    frames = [peer.request(sequence, size) for sequence in range(window)]
    raw = peer.socket
    raw.settimeout(0.2)
    for frame in frames:
        peer.send(frame)
    tally.sent = window
    start = time.monotonic()
    deadline = start + seconds
    receive, send, check = raw.recv, raw.send, checker.check
    while time.monotonic() < deadline:
        try:
            for _ in range(256):
                frame = receive(2048)
                sequence, complaint = check(frame)
                if complaint:
                    tally.complaints.append(complaint)
                if sequence < 0:
                    peer.answer_arp(frame)
                elif sequence < window:
                    tally.received += 1
                    send(frames[sequence])
                    tally.sent += 1
        except TimeoutError:            # the air is empty: all of the window was lost
            for frame in frames:
                peer.send(frame)
            tally.sent += window
        except ConnectionRefusedError:
            break
    tally.seconds = time.monotonic() - start
    while peer.receive(0.2):            # those still in the air are neither lost nor counted
        tally.sent -= 1
    return tally


def send_malformed(peer, repeat=1):
    """Sends each malformed frame; returns the list of complaints and what each should count as."""
    complaints, counts = [], {}
    for case in malformed.cases(OUR_MAC, OUR_ADDRESS, peer.target_mac, peer.target):
        for _ in range(repeat):
            peer.send(case.frame)
        if case.counter:
            counts[case.counter] = counts.get(case.counter, 0) + repeat
        answer = peer.receive(0.05)
        if answer:
            complaints.append('%s was answered: %s' % (case.name, answer[:64].hex()))
    if not ping(peer, 10, size=56).good():
        complaints.append('the guest no longer answers a plain ping')
    return complaints, counts


def summary(tally, flooding):
    """The closing lines of ping."""
    data = tally.data()
    line = '%(sent)d sent, %(received)d received, %(loss_percent).1f %% lost' % data
    if flooding:
        return line + ', %(per_second).0f /s over %(seconds).1f s' % data
    return line + '\nround trip min/avg/max = %(min_ms).3f/%(avg_ms).3f/%(max_ms).3f ms' % data


def main():
    parser = argparse.ArgumentParser(description='Ping the guest of a running `make run`.')
    parser.add_argument('target', nargs='?', default=GUEST_ADDRESS)
    parser.add_argument('-c', '--count', type=int, default=5)
    parser.add_argument('-i', '--interval', type=float, default=None,
                        help='seconds between requests (default: 1, or 0 if --window is not 1)')
    parser.add_argument('-w', '--window', type=int, default=None,
                        help='requests in the air (default: 1; with --flood 64)')
    parser.add_argument('-s', '--size', type=int, default=56, help='payload bytes')
    parser.add_argument('-W', '--timeout', type=float, default=1.0, help='seconds for a reply')
    parser.add_argument('-p', '--port', type=int, default=ECHO_PORT,
                        help="the run's port number (default: %(default)s)")
    parser.add_argument('--wait', type=float, default=5.0, help='seconds for the guest to appear')
    parser.add_argument('--flood', action='store_true', help='as fast as replies come back')
    parser.add_argument('--seconds', type=float, default=5.0, help='how long --flood lasts')
    parser.add_argument('--malformed', action='store_true', help='send frames that must be dropped')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    args = parser.parse_args()
    if args.size < 16 or args.size > 1472:
        parser.error('--size is 16 to 1472')

    try:
        peer = Peer(args.port, args.target)
    except OSError as error:
        raise SystemExit('ping: port %d: %s (another ping running?)' % (args.port + 2, error))
    if not peer.resolve(args.wait):
        raise SystemExit('ping: no answer to ARP for %s: is `make run` up, past its boot?'
                         % args.target)
    if not args.json:
        print('%s is at %s' % (args.target, mac_text(peer.target_mac)))

    if args.malformed:
        complaints, counts = send_malformed(peer)
        if args.json:
            print(json.dumps({'expected_counters': counts, 'complaints': complaints}))
        else:
            for case in malformed.cases(OUR_MAC, OUR_ADDRESS, peer.target_mac, peer.target):
                print('%-22s expects %s' % (case.name, case.counter or 'the NIC to drop it'))
            print('\n'.join(complaints) or 'none was answered, and the guest still answers ping')
        return 1 if complaints else 0

    window = args.window or (64 if args.flood else 1)
    if args.flood:
        tally = flood(peer, args.seconds, window, args.size)
    else:
        interval = args.interval if args.interval is not None else (1.0 if window == 1 else 0.0)
        tally = ping(peer, args.count, window, interval, args.size, args.timeout,
                     None if args.json else print)
    if args.json:
        print(json.dumps(tally.data()))
    else:
        print('\n'.join(tally.complaints[:10] + [summary(tally, args.flood)]))
    return 0 if tally.received and not tally.complaints and (args.flood or tally.good()) else 1


if __name__ == '__main__':
    sys.exit(main())
