# SPDX-License-Identifier: MIT
"""Memory that forgets: one bit of the kernel's image is turned over while all CPUs work, once a
boot. Fault list row 33.

No kernel survives them all. What is asked is what becomes of each: masked (the guest's own checks
pass), detected (a bug check, or a check that fails), a hang, or a reset. The table is the result.
"""
import collections
import contextlib
import random
import struct
import subprocess

import outside
import qemu
import qmp

COUNT = 48
HANG = 20                   # seconds without the end of the run
FATES = ('masked', 'bug check', 'failed check', 'hang', 'reset')
EXITS = {qemu.PASS: 'masked', qemu.BUGCHECK: 'bug check', qemu.FAIL: 'failed check', 0: 'reset'}


def segments(elf):
    """The kernel's loadable segments, as (what they may be, physical address, bytes)."""
    header = elf[:64]
    start, = struct.unpack_from('<Q', header, 32)
    size, count = struct.unpack_from('<HH', header, 54)
    found = []
    for number in range(count):
        kind, flags, _, _, physical, _, length, _ = struct.unpack_from('<IIQQQQQQ', elf,
                                                                       start + number * size)
        if kind == 1 and length:
            rights = ''.join(letter for letter, bit in (('r', 4), ('w', 2), ('x', 1))
                             if flags & bit)
            found.append((rights, physical, length))
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


@outside.scenario('bit-flips')
def campaign(guest, out):
    """Row 33: single bits of the kernel's image turned over, a boot each: what follows."""
    dice = random.Random(outside.seed())
    places = segments(qemu.image(guest.machine).read_bytes())
    tally = {rights: collections.Counter() for rights, _, _ in places}
    for number in range(COUNT):
        rights, start, length = places[number % len(places)]
        address, bit = start + dice.randrange(length), dice.randrange(8)
        with contextlib.ExitStack() as stack:
            one = guest if number == 0 else stack.enter_context(guest.again().running())
            fate = flip(one, address, bit)
        tally[rights][fate] += 1
        out.comment('%s %#x bit %d: %s' % (rights, address, bit, fate))
    out.comment('%-8s' % 'segment' + ''.join('%14s' % fate for fate in FATES))
    for rights, counts in tally.items():
        out.comment('%-8s' % rights + ''.join('%14d' % counts[fate] for fate in FATES))
    known = sum(counts[fate] for counts in tally.values() for fate in FATES)
    out.result(known == COUNT, 'flips/each-classified')
