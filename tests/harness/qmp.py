# SPDX-License-Identifier: MIT
"""Talks to a running QEMU: QMP commands and events, the human monitor, and the qtest protocol.

QMP sees the machine from its operator's chair: stop, continue, NMIs, links, hot unplug, pictures of
the screen. qtest is a probe on its buses: it reads and writes guest memory, I/O ports and the
address of APIC messages, beside the guest that runs. Both are line protocols over UNIX sockets.
Every wait has a limit; what QEMU refuses is an Error with its words.
"""
import json
import socket
import time

LIMIT = 20              # seconds for any answer


class Error(Exception):
    """What QEMU answered instead of doing it."""


def connect(path, limit=LIMIT):
    """A connection to a socket that QEMU may still be about to make."""
    deadline = time.monotonic() + limit
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(str(path))
            link.settimeout(limit)
            return link
        except OSError:
            link.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class Monitor:
    """A QMP connection: -qmp unix:PATH,server=on,wait=off."""

    def __init__(self, path):
        self.link = connect(path)
        self.stream = self.link.makefile('rw')
        self.events = []                            # those that came and nobody waited for
        self.read()                                 # the greeting
        self.execute('qmp_capabilities')

    def limit(self, seconds):
        """How long to wait from here on for anything."""
        self.link.settimeout(seconds)

    def read(self):
        """The next message."""
        line = self.stream.readline()
        if not line:
            raise Error('QEMU closed its monitor')
        return json.loads(line)

    def execute(self, command, **arguments):
        """Runs one command and returns its result. In an argument's name _ stands for -."""
        arguments = {name.replace('_', '-'): value for name, value in arguments.items()}
        self.stream.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        self.stream.flush()
        while True:
            reply = self.read()
            if 'event' in reply:
                self.events.append(reply)
            elif 'error' in reply:
                raise Error('%s: %s' % (command, reply['error']['desc']))
            else:
                return reply['return']

    def human(self, line):
        """Runs one command of the human monitor; its text."""
        return self.execute('human-monitor-command', command_line=line)

    def wait_event(self, name):
        """The first event of that name since the last wait for it."""
        while True:
            for event in self.events:
                if event['event'] == name:
                    self.events.remove(event)
                    return event
            message = self.read()
            if 'event' in message:
                self.events.append(message)


class Probe:
    """A qtest connection: -qtest unix:PATH,server=on,wait=off -qtest-log /dev/null."""

    APIC_MESSAGES = 0xFEE00000

    def __init__(self, path):
        self.stream = connect(path).makefile('rwb')

    def ask(self, *words):
        """One request; the words of its answer after OK."""
        self.stream.write((' '.join(str(word) for word in words) + '\n').encode())
        self.stream.flush()
        while True:
            reply = self.stream.readline().decode().split()
            if not reply:
                raise Error('QEMU closed its qtest socket')
            if reply[0] == 'OK':
                return reply[1:]
            if reply[0] != 'IRQ':                   # IRQ lines come unasked
                raise Error('qtest %s: %s' % (words[0], ' '.join(reply)))

    def read(self, address, size=4):
        """A number from physical memory or a device there."""
        return int(self.ask('read' + 'bwlq'[(1, 2, 4, 8).index(size)], hex(address))[0], 16)

    def write(self, address, value, size=4):
        """A number to physical memory or a device there."""
        self.ask('write' + 'bwlq'[(1, 2, 4, 8).index(size)], hex(address), hex(value))

    def dump(self, address, length):
        """Bytes of physical memory."""
        return bytes.fromhex(self.ask('read', hex(address), hex(length))[0][2:])

    def port_read(self, port, size=4):
        """A number from an I/O port."""
        return int(self.ask('in' + 'bwl'[(1, 2, 4).index(size)], hex(port))[0], 16)

    def port_write(self, port, value, size=4):
        """A number to an I/O port."""
        self.ask('out' + 'bwl'[(1, 2, 4).index(size)], hex(port), hex(value))

    def interrupt(self, apic_id, vector):
        """Raises a vector on one CPU, by the message that a device's MSI would send."""
        self.write(self.APIC_MESSAGES | apic_id << 12, vector)

    def config(self, bus, device, function, offset, value=None, size=4):
        """Reads or writes PCI configuration space. The guest's own accesses use the same two ports:
        stop it first."""
        self.port_write(0xCF8, 1 << 31 | bus << 16 | device << 11 | function << 8 | offset & 0xFC)
        if value is None:
            return self.port_read(0xCFC + (offset & 3), size)
        return self.port_write(0xCFC + (offset & 3), value, size)
