# SPDX-License-Identifier: MIT
"""Memory that forgets: one bit of the kernel's image is turned over while all CPUs work, once a
boot.

No kernel survives them all. What is asked is what becomes of each: masked (the guest's own checks
pass), detected (a bug check, or a check that fails), a hang, or a reset. The table is the result.
"""
import collections
import contextlib
import random
import re
import subprocess

import outside
import qemu
import qmp

COUNT = 60
HANG = 20                   # seconds without the end of the run
APIC_ERROR = 0xE2           # a vector whose first arrival is logged
IMAGE_BASE = 0xFFFFFFFF80000000
KINDS = {'t': 'code', 'r': 'constants', 'd': 'data', 'b': 'data'}
OWN = re.compile(r'(Ki|Ke|Ex|Ob|Ps|Io|Mi|Mm|Halp|Arch)[A-Z]')
FATES = ('masked', 'bug check', 'failed check', 'hang', 'reset')
EXITS = {qemu.PASS: 'masked', qemu.BUGCHECK: 'bug check', qemu.FAIL: 'failed check', 0: 'reset'}


def targets(elf):
    """The kernel's own symbols by what they are: {kind: [(name, physical address, bytes)]}."""
    found = {kind: [] for kind in KINDS.values()}
    lines = subprocess.run(['nm', '-S', '--defined-only', str(elf)], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[2].lower() in KINDS and OWN.match(words[3]):
            found[KINDS[words[2].lower()]].append((words[3], int(words[0], 16) - IMAGE_BASE,
                                                   int(words[1], 16)))
    return found


def flip(guest, address, bit):
    """Turns the bit over, then has the guest work on, and end; what became of it."""
    with contextlib.suppress(outside.Failure, qmp.Error, OSError):
        guest.wait_progress()
        guest.probe.write(address, guest.probe.read(address, 1) ^ 1 << bit, 1)
        guest.wait_progress(5, HANG)
        guest.end_test()
    try:
        status = guest.process.wait(HANG)
        return EXITS.get(status, qemu.status_name(status))
    except subprocess.TimeoutExpired:
        return 'hang'


@outside.scenario('wild-log')
def wild_log(guest, out):
    """A pointer of the log is damaged, which reporting and ending the boot both need: it ends."""
    guest.wait_progress()
    (_, address, _), = [one for one in targets(qemu.image(guest.machine))['data']
                        if one[0] == 'KiThisBank']
    guest.probe.write(address, 0x0800000000000000, 8)       # not canonical
    guest.probe.interrupt(0, APIC_ERROR)                    # something to log
    guest.finish(qemu.BUGCHECK)
    out.result(guest.log().count('the report of this bug check failed itself') == 1,
               'wild/report-failed-once')


@outside.scenario('bit-flips')
def campaign(guest, out):
    """Row 33: single bits of the kernel's image turned over, a boot each: what follows."""
    dice = random.Random(outside.seed())
    symbols = targets(qemu.image(guest.machine))
    tally = {kind: collections.Counter() for kind in symbols}
    for number in range(COUNT):
        kind = list(symbols)[number % len(symbols)]
        name, start, length = dice.choice(symbols[kind])
        offset, bit = dice.randrange(length), dice.randrange(8)
        with contextlib.ExitStack() as stack:
            one = guest if number == 0 else stack.enter_context(guest.again().running())
            fate = flip(one, start + offset, bit)
        tally[kind][fate] += 1
        out.comment('%s %s+%#x bit %d: %s' % (kind, name, offset, bit, fate))
    out.comment('%-10s' % '' + ''.join('%14s' % fate for fate in FATES))
    for kind, counts in tally.items():
        out.comment('%-10s' % kind + ''.join('%14d' % counts[fate] for fate in FATES))
    known = sum(counts[fate] for counts in tally.values() for fate in FATES)
    out.result(known == COUNT, 'flips/each-classified')
