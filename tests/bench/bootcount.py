# SPDX-License-Identifier: MIT
"""Counts the instructions that each CPU executes while the kernel starts, and leaves out waiting.

QEMU's -icount has one clock for all CPUs, so it cannot say who executed what. Its trace can: -d
exec names the CPU and the translated block for each block that runs, -d in_asm lists each block's
instructions when it is translated, and -d nochain keeps blocks from running on untraced. So the
kernel is started under the trace, with nothing added to it, and each CPU's instructions are summed
by address. A repeated string instruction counts once for each repetition, as it does under -icount.

Waiting is as long as the host makes it and is no work, so these are left out and counted apart:
everything within HalpStall; the start-up step that calibrates the clocks, which polls timers for a
given time; the turns of a loop around PAUSE of at most LOOP instructions. What stays is work, and
the odd look at whether others are done.
"""
import bisect
import collections
import re
import subprocess

TRACE = re.compile(r'Trace (\d+): \S+ \[[0-9a-f]+/([0-9a-f]+)/')
INSTRUCTION = re.compile(r'0x([0-9a-f]+):  (?:[0-9a-f]{2} )+ *(\S+)')
LOOP = 8
STALL = 'HalpStall'
CALIBRATION, PREPARATION = 'HalpInitializeTime', 'KiStartAllProcessors'
FIRST_INIT, LAST_ONLINE, AP_READY = 'HalpStartProcessors', 'KiEnterIdleThread', 'KiIdleLoop'
RANGES = '0x1000+0x9f000,0x200000+0x200000,0xffffffff80000000+0x7fe00000'


class Symbols:
    """Which routine an address is in."""

    def __init__(self, kernel):
        names = subprocess.run(['nm', '-n', kernel], stdout=subprocess.PIPE, text=True, check=True)
        rows = [line.split() for line in names.stdout.splitlines()]
        rows = [(int(row[0], 16), row[2]) for row in rows if row[1] in 'tT']
        self.starts = [row[0] for row in rows]
        self.names = [row[1] for row in rows]
        self.address = {name: start for start, name in rows}

    def routine(self, address):
        """Its name, or '' below the kernel."""
        place = bisect.bisect_right(self.starts, address) - 1
        return self.names[place] if place >= 0 else ''


class Cpu:
    """One CPU's counts, by phase."""

    def __init__(self):
        self.phase = ''
        self.work = collections.Counter()
        self.waited = collections.Counter()
        self.pause = None           # the last PAUSE's block, and the work since
        self.since = 0

    def enter(self, phase):
        """From here on the counts are another phase's."""
        self.phase, self.pause = phase, None

    def add(self, pc, size, pauses, stalled):
        """One block has run."""
        if stalled:
            self.waited[self.phase] += size
            return
        self.work[self.phase] += size
        self.since += size
        if pauses:
            if self.pause == pc and self.since <= LOOP:
                self.work[self.phase] -= self.since
                self.waited[self.phase] += self.since
            self.pause, self.since = pc, 0


class Trace:
    """Reads a trace. The boot processor's phases are early (from the kernel's first instruction),
    clocks, prepare, start (from the first INIT) and online; an AP's are start (from its first
    instruction after that INIT) and idle."""

    BOOT = {CALIBRATION: 'clocks', PREPARATION: 'prepare', FIRST_INIT: 'start',
            LAST_ONLINE: 'online'}

    def __init__(self, symbols):
        self.symbols = symbols
        self.cpus = collections.defaultdict(Cpu)
        self.blocks = {}            # address: its instructions
        self.block = None           # the one being listed
        self.boot = {symbols.address[name]: phase for name, phase in self.BOOT.items()}
        self.ready = symbols.address[AP_READY]

    def feed(self, line):
        """One line."""
        found = TRACE.match(line)
        if found:
            self.ran(int(found.group(1)), int(found.group(2), 16))
        elif line.startswith('IN:'):
            self.block = []
        elif self.block is not None:
            found = INSTRUCTION.match(line)
            if found:
                if not self.block:
                    self.blocks[int(found.group(1), 16)] = self.block
                self.block.append(found.group(2))

    def ran(self, number, pc):
        """A block has run."""
        cpu = self.cpus[number]
        if number == 0 and (pc in self.boot or not cpu.phase):
            cpu.enter(self.boot.get(pc, 'early' if pc >= 0x200000 else ''))
        elif number and not cpu.phase and self.cpus[0].phase in ('start', 'online'):
            cpu.enter('start')
        elif number and pc == self.ready:
            cpu.enter('idle')
        block = self.blocks.get(pc, ())
        cpu.add(pc, len(block), 'pause' in block, self.symbols.routine(pc) == STALL)

    def complete(self):
        """Whether every CPU has come to its end."""
        return (self.cpus[0].phase == 'online' and
                all(cpu.phase == 'idle' for number, cpu in self.cpus.items() if number))


def count(command, kernel):
    """Runs QEMU by that command, with the trace on its standard error; the instructions of the boot
    processor in all (less the clocks' step), from the first INIT on, and of each AP."""
    trace = Trace(Symbols(kernel))
    command = command + ['-d', 'nochain,exec,in_asm', '-dfilter', RANGES]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, errors='replace') as process:
        for line in process.stderr:
            trace.feed(line)
            if line.startswith('Trace') and trace.complete():
                break
        process.kill()
    boot = trace.cpus.pop(0).work
    return {'boot_all': boot['early'] + boot['prepare'] + boot['start'],
            'boot_prepare': boot['prepare'], 'boot_start': boot['start'],
            'each_ap': sorted(cpu.work['start'] for cpu in trace.cpus.values())}
