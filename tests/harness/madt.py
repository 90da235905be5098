#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes MADTs that no sane firmware would: GRUB installs one in place of the machine's own.

usage: madt.py NAME FILE        NAME is one of TABLES below
"""
import struct
import sys

LOCAL_APIC, IO_APIC = 0xFEE00000, 0xFEC00000
OVERRIDES = [(0, 2, 0), (5, 5, 0xD), (9, 9, 0xD), (10, 10, 0xD), (11, 11, 0xD)]   # as QEMU's own


def processor(apic_id, enabled=1, uid=None):
    """Type 0: a processor's local APIC."""
    return struct.pack('<BBBBI', 0, 8, (apic_id if uid is None else uid) & 0xFF, apic_id, enabled)


def x2apic(apic_id, enabled=1):
    """Type 9: a processor's local x2APIC."""
    return struct.pack('<BBHIII', 9, 16, 0, apic_id, enabled, apic_id)


def table(*processors):
    """A whole MADT for these processors, with QEMU's IOAPIC and overrides."""
    body = struct.pack('<II', LOCAL_APIC, 1) + b''.join(processors)
    body += struct.pack('<BBBBII', 1, 12, 0, 0, IO_APIC, 0)
    for source, gsi, flags in OVERRIDES:
        body += struct.pack('<BBBBIH', 2, 10, 0, source, gsi, flags)
    header = struct.pack('<4sIBB6s8sIII', b'APIC', 36 + len(body), 3, 0, b'INTLOK', b'FAKEMADT', 1,
                         1, 1)
    whole = bytearray(header + body)
    whole[9] = -sum(whole) & 0xFF
    return bytes(whole)


TABLES = {
    # A processor that is listed as enabled but does not exist, so it never answers.
    'phantom': table(processor(0), processor(1), processor(200)),
    # Ids twice, the id that means none, disabled ones, the boot processor listed last.
    'untidy': table(processor(1), processor(1), processor(255), processor(2, 0), x2apic(1),
                    x2apic(0xFFFFFFFF), processor(3, 2), processor(0)),
    # More than any kernel could start, most of them beyond what an xAPIC can address.
    'crowd': table(processor(0), processor(1), *[x2apic(1000 + n) for n in range(300)]),
    # The boot processor is not listed at all.
    'stranger': table(processor(1)),
    # A table whose last entry runs past its end.
    'cut': table(processor(0), processor(1))[:-4],
}


def main():
    name, path = sys.argv[1:]
    with open(path, 'wb') as file:
        file.write(TABLES[name])


if __name__ == '__main__':
    main()
