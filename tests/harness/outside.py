# SPDX-License-Identifier: MIT
"""A running guest and what a fault from outside needs to know of it; the list of such faults.

A scenario is a function in tests/harness/faults/*.py, under @outside.scenario('NAME', ...): it gets
a Guest that is booting and does to it what machines do to kernels. Everything it says is a result
of the Guest's Writer; everything it waits for has a limit, after which the wait is a Failure that
names what did not come.

Guest and host meet at the desk: one page of the guest's memory that tests/kernel/outside.c fills
in, at the address that the log names. The host reads and writes it by qtest. A question is a number
that the host writes and the guest writes back, once the page holds the answer: no sleeping, no
guessing.
"""
import contextlib
import dataclasses
import os
import re
import shlex
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import qemu
import qmp
import tap

STOP = re.compile(r'\*\*\* STOP: (0x[0-9A-Fa-f]+)')
DESK = re.compile(r'outside: desk at ([0-9a-f]+)\.')
STEP = 0.005                    # seconds between two looks at something
SCENARIOS = {}


class Failure(Exception):
    """What a scenario waited for, or needed, did not come."""


class Scenario:
    """A function, and the guest that it wants."""

    def __init__(self, function, test, append, extra, serial, before, net):
        self.function, self.test, self.append = function, test, append
        self.extra, self.serial, self.before, self.net = extra, serial, before, net


def scenario(name, test='outside/busy', append='', extra='', serial=('file:LOG', 'file:RESULTS'),
             before=None, net='user'):
    """Makes a function a scenario. test: what the guest runs meanwhile, '' for nothing; append:
    more kernel options; extra: more QEMU arguments; serial: COM1 and COM2 as -serial takes them.
    In both LOG and RESULTS stand for the files of those names, PRIVATE for a directory with a short
    path. before: a context manager that is entered with that directory before QEMU starts, and
    whose value is the guest's `peer`. net: peer for a ping.Peer at machine.port."""
    def register(function):
        if name in SCENARIOS:
            raise SystemExit('two scenarios are named ' + name)
        SCENARIOS[name] = Scenario(function, test, append, extra, serial, before, net)
        return function
    return register


class Desk:
    """The page where guest and host meet; the layout is that of tests/kernel/outside.h."""

    HEADER, RECORD = struct.Struct('<QIIIIII32s'), struct.Struct('<12Q')
    EDU, FIRST_RECORD = struct.Struct('<IIQQ'), 128
    NAMES = ('turns', 'dpcs', 'timers', 'interrupts', 'spurious', 'unclaimed', 'nmis',
             'apic_errors', 'clocks', 'nmis_at', 'switches', 'storms')
    MAGIC = 0x4B5345444C54494E              # 'NITLDESK', little endian
    ASKED, WISH = 24, 16
    NOTHING, END = 0, 1                     # wishes
    DEAF = 1                                # an argument: the edus' ISR claims nothing

    def __init__(self, probe, address):
        self.probe, self.address = probe, address
        self.questions = 0

    def wish(self, what, argument=0):
        """Tells the guest's test what to do from now on."""
        self.probe.write(self.address + self.WISH + 4, argument)
        self.probe.write(self.address + self.WISH, what)

    def header(self):
        """(magic, CPUs, state, wish, argument, asked, answered, owned vectors)."""
        return self.HEADER.unpack(self.probe.dump(self.address, self.HEADER.size))

    def owned(self):
        """The set of the vectors that have an owner."""
        bits = int.from_bytes(self.header()[7], 'little')
        return {vector for vector in range(256) if bits >> vector & 1}

    def edus(self):
        """For each connected edu device: (GSI, vector, calls of its ISR, claims)."""
        return list(self.EDU.iter_unpack(self.probe.dump(self.address + self.HEADER.size,
                                                         2 * self.EDU.size)))

    def ask(self):
        """Puts the next question; answered() says whether it has its answer."""
        self.questions += 1
        self.probe.write(self.address + self.ASKED, self.questions)

    def answered(self):
        """True once the records are newer than the last question."""
        return self.header()[6] == self.questions

    def records(self):
        """The counters, a dictionary for each CPU."""
        count = self.header()[1]
        data = self.probe.dump(self.address + self.FIRST_RECORD, count * self.RECORD.size)
        return [dict(zip(self.NAMES, values)) for values in self.RECORD.iter_unpack(data)]


class Guest:
    """A QEMU process with its monitor, its probe, its log and its results."""

    def __init__(self, machine, what, directory, timeout, out):
        self.machine, self.what, self.out = machine, what, out
        self.directory, self.timeout = Path(directory), timeout
        self.log_file, self.tap_file = self.directory / 'com1.log', self.directory / 'com2.tap'
        self.said = self.directory / 'qemu.out'
        self.process = self.monitor = self.probe = self.table = self.peer = None
        self.line, self.status = [], None
        self.results = tap.Reader()

    # ---------------------------------------------------------------- Its life.

    @contextlib.contextmanager
    def running(self):
        """Boots it; ends it whatever happens. Sockets have short paths: not below the output."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in (self.log_file, self.tap_file, self.said):
            path.write_bytes(b'')
        if self.machine.boot != 'kernel':
            self.machine.image = str(self.directory / 'test.iso')
            qemu.make_iso(self.machine, self.machine.image)
        with tempfile.TemporaryDirectory(prefix='interlock-') as private, \
                (self.what.before or contextlib.nullcontext)(private) as self.peer:
            names = {'PRIVATE': private, 'LOG': self.log_file, 'RESULTS': self.tap_file}
            *serial, self.machine.extra = [
                re.sub('|'.join(names), lambda name: str(names[name[0]]), text)
                for text in (*self.what.serial, self.machine.extra)]
            self.line = qemu.command(self.machine, self.directory, serial)
            self.line += ['-monitor', 'none', '-qmp', 'unix:%s/qmp,server=on,wait=off' % private,
                          '-qtest', 'unix:%s/qtest,server=on,wait=off' % private,
                          '-qtest-log', '/dev/null']
            with open(self.said, 'wb') as said:
                self.process = subprocess.Popen(self.line, stdin=subprocess.DEVNULL, stdout=said,
                                                stderr=subprocess.STDOUT)
                try:
                    self.monitor = qmp.Monitor(private + '/qmp')
                    self.probe = qmp.Probe(private + '/qtest')
                    yield self
                finally:
                    with contextlib.suppress(OSError):
                        self.process.kill()
                    self.process.wait()
        for name in ('test.iso', 'OVMF_VARS.fd'):
            (self.directory / name).unlink(missing_ok=True)

    def again(self):
        """Another guest of the same kind, which is not running yet; its files follow ours."""
        return Guest(dataclasses.replace(self.machine), self.what, self.directory / 'again',
                     self.timeout, self.out)

    def ended(self):
        """True once QEMU has gone."""
        return self.process.poll() is not None

    def finish(self, status=qemu.PASS, limit=None):
        """Waits for the guest's own end. Its results become ours, and boot/exit-status is one more:
        the status that was promised."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.status = self.process.wait(limit or self.timeout)
        if status == qemu.PASS:
            for line in self.tap_text().splitlines():
                if self.results.feed(line) == 'result':
                    self.out.repeat(self.results.results[-1])
                elif line.startswith('#'):
                    self.out.comment(line[2:])
            self.results.finish()
        self.out.result(self.status == status, 'boot/exit-status')
        if self.status != status:
            self.out.comment('QEMU ended with %s, promised was %d'
                             % ('no status: it still runs' if self.status is None
                                else qemu.status_name(self.status), status))

    # ---------------------------------------------------------------- What it says.

    def log(self):
        """COM1 so far."""
        return tap.clean(self.log_file.read_text('utf-8', 'replace'))

    def tap_text(self):
        """COM2 so far."""
        return tap.clean(self.tap_file.read_text('utf-8', 'replace'))

    def wait(self, condition, what, limit=None):
        """Waits until condition() is true; its value. The guest's end before it is a Failure too:
        the condition has one more look, since a log may end with what it wants."""
        deadline = time.monotonic() + (limit or self.timeout)
        while True:
            ended = self.ended()
            value = condition()
            if value:
                return value
            if ended:
                raise Failure('QEMU ended (%s) before %s'
                              % (qemu.status_name(self.process.returncode), what))
            if time.monotonic() > deadline:
                raise Failure('%s: not within %.0f s' % (what, limit or self.timeout))
            time.sleep(STEP)

    def wait_log(self, pattern, limit=None):
        """Waits for the log to match; the match."""
        return self.wait(lambda: re.search(pattern, self.log(), re.MULTILINE),
                         'the log matches "%s"' % pattern, limit)

    def bugcheck(self, code, pattern=''):
        """Promised outcome: exactly one report, of this code, matching the pattern, and QEMU's
        status says so."""
        self.finish(qemu.BUGCHECK)
        codes = [int(text, 16) for text in STOP.findall(self.log())]
        self.out.result(codes == [code], 'stop-0x%X, once' % code)
        if codes != [code]:
            self.out.comment('reports: ' + (' '.join(map(hex, codes)) or 'none'))
        if pattern:
            self.out.result(bool(re.search(pattern, self.log(), re.MULTILINE)),
                            'the report matches ' + pattern)

    # ---------------------------------------------------------------- The desk.

    def desk(self):
        """The desk, once the guest's test has set it up."""
        if self.table is None:
            found = self.wait(lambda: DESK.search(self.log() + self.tap_text()),
                              'the guest names its desk')
            self.table = Desk(self.probe, int(found[1], 16))
            self.wait(lambda: self.table.header()[0] == Desk.MAGIC, 'the desk is set up')
        return self.table

    def counters(self):
        """What the guest counts, a dictionary for each CPU, newer than this call."""
        desk = self.desk()
        desk.ask()
        self.wait(desk.answered, 'the guest answers question %d' % desk.questions)
        return desk.records()

    def wait_counters(self, enough, what, limit=None):
        """Asks again and again until enough(counters); the counters."""
        def look():
            now = self.counters()
            return now if enough(now) else None
        return self.wait(look, what, limit)

    def wait_progress(self, least=1, limit=None):
        """Waits until every CPU has done some more turns, DPCs and timers than it has now."""
        before = self.counters()
        return self.wait_counters(
            lambda now: all(n[key] >= b[key] + least for n, b in zip(now, before)
                            for key in ('turns', 'dpcs', 'timers')),
            'every CPU gets on', limit)

    def end_test(self):
        """Tells the guest's test to end, check its own invariants, and exit."""
        self.desk().wish(Desk.END)

    # ---------------------------------------------------------------- After a failure.

    def diagnose(self):
        """Everything that helps to see why."""
        said = self.said.read_text('utf-8', 'replace').strip()
        if said:
            self.out.comment('QEMU says: ' + '\n'.join(said.splitlines()[-10:]))
        self.out.comment('the log (%s) ends:' % self.log_file)
        for text in self.log().splitlines()[-40:]:
            self.out.comment('| ' + text)
        self.out.comment('QEMU was: ' + shlex.join(self.line))


def seed():
    """The run's seed, for random.Random."""
    return int(os.environ.get('SEED', '1'), 0)
