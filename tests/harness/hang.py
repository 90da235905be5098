# SPDX-License-Identifier: MIT
"""What every CPU of a hung guest is doing, asked over QEMU's QMP socket.

One line a CPU: where it is, whether it is halted or has interrupts off, its TPR and what its local
APIC holds pending. Then an NMI, in case the kernel can still say more for itself.
"""
import bisect
import re
import subprocess

import qmp


class Symbols:
    """Addresses to names, by nm."""

    def __init__(self, elf):
        try:
            text = subprocess.run(['nm', '-n', '--defined-only', str(elf)], capture_output=True,
                                  text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            text = ''
        rows = [row.split() for row in text.splitlines()]
        self.table = [(int(row[0], 16), row[2]) for row in rows
                      if len(row) == 3 and row[1] in 'tTwW']

    def name(self, address):
        """KiSpinUntilServed+0x12"""
        at = bisect.bisect(self.table, (address, '\x7f')) - 1
        if at < 0 or address - self.table[at][0] > 0x10000:
            return ''
        return '%s+0x%x' % (self.table[at][1], address - self.table[at][0])


def describe_cpu(number, registers, lapic, symbols):
    """One line about one CPU."""
    rip = re.search(r'[ER]IP=([0-9a-f]+) [ER]FL=([0-9a-f]+)', registers)
    if not rip:
        return 'CPU %d: no registers' % number
    address, flags = (int(text, 16) for text in rip.groups())
    halted = re.search(r'HLT=(\d)', registers)
    state = ['halted'] if halted and halted.group(1) == '1' else []
    if not flags & 0x200:
        state.append('interrupts off')
    tpr = re.search(r'TPR\s+(0x[0-9a-f]+)', lapic)
    state += ['TPR ' + tpr.group(1)] if tpr else []
    for name in ('ISR', 'IRR'):
        pending = re.search(r'^%s\s+(.*)$' % name, lapic, re.MULTILINE)
        if pending and pending.group(1).strip() != '(none)':
            state.append('%s %s' % (name, pending.group(1).strip()))
    return 'CPU %d at 0x%x %s (%s)' % (number, address, symbols.name(address), ', '.join(state))


def report(path, elf, cpus):
    """The lines that describe a hung guest; what cannot be asked is left out."""
    try:
        monitor = qmp.Monitor(path)
        monitor.execute('stop')
        registers = re.split(r'^CPU#\d+\s*$', monitor.human('info registers -a'),
                             flags=re.MULTILINE)[1:]
        symbols = Symbols(elf)
        lines = []
        for number in range(min(cpus, len(registers))):
            lapic = monitor.human('info lapic %d' % number)
            lines.append(describe_cpu(number, registers[number], lapic, symbols))
        monitor.execute('cont')
        monitor.execute('inject-nmi')
        return lines
    except (OSError, ValueError, qmp.Error) as error:
        return ['QEMU does not answer on its monitor: %s' % error]
