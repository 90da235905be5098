# SPDX-License-Identifier: MIT
"""Vectors that nobody asked for, sent to every CPU as a device's MSI would send them: unclaimed
ones, those of exceptions, the kernel's own again and again. Fault list rows 1, 2, 3."""
import outside

APC, DISPATCH, SPURIOUS = 0x1F, 0x2F, 0xDF


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
