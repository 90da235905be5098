# SPDX-License-Identifier: MIT
"""Bochs as the second machine: its configuration, its process, what it says about the guest.

Bochs interprets one instruction after the other, checks more than QEMU does, and knows x2APIC. Its
clock counts instructions, so the same image with the same options runs the same way each time.
"""
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import hang
import qemu

BINARY = 'bochs-bin'            # /usr/bin/bochs is a script around it
SHARE = Path('/usr/share/bochs')
MODEL = 'corei7_skylake_x'      # with x2APIC, SMEP, SMAP; ryzen is one without x2APIC
IPS = 10_000_000                # a second of the guest's is so many instructions of each CPU

# What Bochs logs as errors. Each line that none of these matches fails a run.
FORGIVEN = re.compile('|'.join((
    r'\[(BIOS|VBIOS|GUI|TERM|SOUND|WAVE\w*|ALSA\w*) *\]',
    # IA32_MCG_CAP and IA32_BIOS_SIGN_ID: its CPUID promises machine check banks and Intel's
    # microcode, its processors have neither.
    r'(RD|WR)MSR: Unknown register 0x(179|8b)$',
)))
WHERE = re.compile(r'^\((\d+)\)\.? ?(?:\[\d+\] )?\[0x[0-9a-f]+\] [0-9a-f]+:([0-9a-f]+) (.*?)\r?$',
                   re.MULTILINE)


def missing():
    """What is not installed, in words; '' if all is."""
    needed = (BINARY, SHARE / 'BIOS-bochs-latest', SHARE / 'VGABIOS-lgpl-latest')
    absent = [str(path) for path in needed if not shutil.which(path) and not os.path.exists(path)]
    return 'no %s: tools/packages install test' % ' '.join(absent) if absent else ''


def unsupported(guest):
    """The first thing about a Guest that Bochs cannot do, '' if it can do all."""
    default = qemu.Guest()
    for name in ('firmware', 'machine', 'icount', 'accel'):
        if getattr(guest, name) != getattr(default, name):
            return '%s=%s' % (name, getattr(guest, name))
    return 'nic=' + guest.nic if guest.nic not in ('e1000', 'none') else ''


def configuration(guest, iso, directory, port=0):
    """The text of a bochsrc. port: of the raw Ethernet peer (ping.py), if there is one.

    The display has no graphics modes: with them the VGA BIOS would offer the terminal's 256 colours
    at most, and GRUB 2.06 writes past the end of its information structure when it passes on a
    palette. The terminal itself stays blank, and unlike VNC it listens on no port.
    """
    model = MODEL if guest.cpu == qemu.Guest().cpu else guest.cpu
    megabytes = re.fullmatch(r'(\d+)([MG]?)', guest.memory)
    size = int(megabytes[1]) * (1024 if megabytes[2] == 'G' else 1)
    lines = [
        'cpu: count=%s, ips=%d, model=%s, reset_on_triple_fault=0' % (guest.smp, IPS, model),
        'memory: guest=%d, host=%d' % (size, min(size, 1024)),
        'romimage: file=%s, options=fastboot' % (SHARE / 'BIOS-bochs-latest'),
        'vgaromimage: file=%s' % (SHARE / 'VGABIOS-lgpl-latest'),
        'vga: extension=none',
        'display_library: term',
        'ata0-master: type=cdrom, path=%s, status=inserted' % iso,
        'boot: cdrom',
        'com1: enabled=1, mode=file, dev=%s' % (directory / 'com1.log'),
        'com2: enabled=1, mode=file, dev=%s' % (directory / 'com2.tap'),
        'log: %s' % (directory / 'bochs.log'),
        'panic: action=fatal',
        'error: action=report',
        'info: action=report, ' + ', '.join('cpu%x=ignore, apic%x=ignore' % (number, number)
                                            for number in range(guest.cpus())),
        'clock: sync=none, time0=1790000000',
        'speaker: enabled=0',
    ]
    if guest.nic == 'e1000':
        backend = 'ethmod=socket, ethdev=%d' % (port + 1) if port else 'ethmod=null'
        lines.append('e1000: enabled=1, mac=%s, %s' % (qemu.GUEST_MACS[0], backend))
    return '\n'.join(lines + [line.strip() for line in guest.extra.split(';') if line]) + '\n'


class Machine:
    """One running Bochs. `with Machine(...)` starts it, and ends it at the latest on leaving."""

    def __init__(self, guest, iso, directory, port=0):
        self.directory = Path(directory)
        self.text = configuration(guest, iso, self.directory, port)
        self.process = self.terminal = None
        self.said = b''

    def __enter__(self):
        rc, commands = self.directory / 'bochsrc', self.directory / 'bochs.commands'
        rc.write_text(self.text)
        commands.write_text('c\n')      # Debian's Bochs is the debugger: it waits to be let go
        self.terminal, other = pty.openpty()
        self.process = subprocess.Popen(
            [BINARY, '-q', '-unlock', '-f', str(rc), '-rc', str(commands)], stdin=other,
            stdout=other, stderr=other, start_new_session=True, cwd=self.directory,
            env={**os.environ, 'TERM': 'vt100', 'LINES': '25', 'COLUMNS': '80'})
        os.close(other)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)

    def drain(self, seconds):
        """Takes what Bochs writes to its terminal for so long; False once it has ended."""
        ready, _, _ = select.select([self.terminal], [], [], seconds)
        if ready:
            with contextlib.suppress(OSError):      # the other side is closed
                self.said = (self.said + os.read(self.terminal, 65536))[-100000:]
        return self.process.poll() is None

    def where(self, elf, seconds=10):
        """One line a CPU about where it is, from the debugger that an interrupt wakes."""
        self.said = b''
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + seconds
        while (b'<bochs:' not in self.said and time.monotonic() < deadline
               and self.drain(0.2)):
            pass
        symbols = hang.Symbols(elf)
        return ['CPU %s at 0x%s %s: %s' % (number, address.lstrip('0'),
                                          symbols.name(int(address, 16)), rest.strip())
                for number, address, rest in WHERE.findall(self.said.decode('utf-8', 'replace'))]


def complaints(directory):
    """The errors and panics of Bochs's log that a sound guest does not cause."""
    path = Path(directory) / 'bochs.log'
    lines = path.read_text('utf-8', 'replace').splitlines() if path.exists() else []
    return [line for line in lines
            if re.match(r'\d+[ep]\[', line) and not FORGIVEN.search(line)]
