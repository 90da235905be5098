# SPDX-License-Identifier: MIT
"""Vectors that nobody asked for, sent to every CPU as a device's MSI would send them: unclaimed
ones, those of exceptions, the kernel's own again and again."""
import random

import outside

APC, DISPATCH, CLOCK, IPI, APIC_ERROR, SPURIOUS = 0x1F, 0x2F, 0xD1, 0xE1, 0xE2, 0xDF
UNWANTED = 2000             # duplicates in all


def count_all(guest, out, name, vectors):
    """Each vector once to each CPU; they are distinct, so the APIC merges none, and the guest must
    count exactly as many."""
    before = guest.counters()
    for cpu in range(len(before)):
        for vector in vectors:
            guest.probe.interrupt(cpu, vector)
    guest.wait_counters(
        lambda now: all(n['unclaimed'] - b['unclaimed'] >= len(vectors)
                        for n, b in zip(now, before)), name + ': all have arrived')
    guest.wait_progress()
    got = [n['unclaimed'] - b['unclaimed'] for n, b in zip(guest.counters(), before)]
    out.result(set(got) == {len(vectors)}, name)
    out.comment('%d sent to each CPU; counted: %s' % (len(vectors), got))


@outside.scenario('unclaimed-vectors')
def unclaimed(guest, out):
    """Row 1: every vector from 0x20 on without an owner, the spurious one too: counted, EOI."""
    desk = guest.desk()
    vectors = [v for v in range(0x20, 0x100) if v not in desk.owned()]
    for _ in range(3):
        count_all(guest, out, 'unclaimed/counted', vectors)
    guest.end_test()
    guest.finish()


@outside.scenario('exception-vectors')
def exceptions(guest, out):
    """Row 2: 0x10 to 0x1E as interrupts, so without error codes: told from exceptions, counted."""
    guest.desk()
    for _ in range(3):
        count_all(guest, out, 'exceptions/counted', range(0x10, APC))
    guest.end_test()
    guest.finish()


@outside.scenario('unwanted-ipis')
def unwanted(guest, out):
    """Row 3: the kernel's own vectors without a request, thousands, to CPUs at work: idempotent."""
    dice = random.Random(outside.seed())
    desk = guest.desk()
    owned = [v for v in desk.owned() if v not in (APIC_ERROR,)] + [APC, DISPATCH, CLOCK, IPI]
    before = guest.counters()
    for number in range(UNWANTED):
        guest.probe.interrupt(dice.randrange(len(before)), dice.choice(owned))
        if number % 500 == 0:
            guest.wait_progress()
    guest.probe.interrupt(0, APIC_ERROR)
    now = guest.wait_progress()
    clocks = sum(n['clocks'] - b['clocks'] for n, b in zip(now, before))
    out.result(True, 'unwanted/everybody-gets-on')
    out.comment('%d sent; %d clock interrupts counted meanwhile' % (UNWANTED, clocks))
    guest.end_test()
    guest.finish()
