#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes ACPI tables that no sane firmware would.

A fixture is a set of tables, good and bad. GRUB can put single tables in place of the machine's own
(`acpi --exclude=SIGNATURE`): grub_files() gives their bytes. The test loader (loader.asm) can hand
over a whole tree, from the RSDP on: tree() gives an image of memory at TREE_BASE. What only the
second way can do (root pointers, the RSDP, a FADT's checksum, which GRUB corrects) is in Fixture's
`root`.

usage: tables.py list                     the fixtures of the image's menu, and what one will see
       tables.py write DIRECTORY [NAME]   their files, or NAME's: NAME.SIGNATURE, and NAME.exclude
"""
import struct
import sys
import typing
from pathlib import Path

TREE_BASE = 0x120000        # between 1 MiB and the kernel: bootinfo.py calls it ACPI reclaimable
TREE_END = 0x180000

LOCAL_APIC, IO_APIC, HPET, ECAM = 0xFEE00000, 0xFEC00000, 0xFED00000, 0xB0000000
PM_TIMER, PM_CONTROL, PM_EVENT = 0x608, 0x604, 0x600    # where SeaBIOS puts QEMU's, pc and q35
OVERRIDES = [(0, 2, 0), (5, 5, 0xD), (9, 9, 0xD), (10, 10, 0xD), (11, 11, 0xD)]   # as QEMU's own
MEMORY, IO, PCI = 0, 1, 2   # address spaces of ACPI's generic addresses
IN_RAM = 0x8000000          # an address in the middle of a test guest's memory
BEYOND = 1 << 51            # an address that no processor has lines for


def checksum(table, at=9):
    """The table with its checksum byte set so that all bytes add up to zero."""
    table = bytearray(table)
    table[at] = 0
    table[at] = -sum(table) & 0xFF
    return bytes(table)


def make(signature, body, revision=1, length=None):
    """A table with its header; length: what the header says instead of the truth."""
    whole = struct.pack('<4sIBB6s8sIII', signature.encode(), 36 + len(body), revision, 0, b'INTLOK',
                        b'FAKETABL', 1, 1, 1) + body
    if length is not None:
        whole = whole[:4] + struct.pack('<I', length) + whole[8:]
    return checksum(whole)


def wrong_checksum(table):
    """The table, and nothing wrong with it but its checksum."""
    return table[:9] + bytes([table[9] ^ 0x55]) + table[10:]


# --------------------------------------------------------------------------------- MADT

def processor(apic_id, enabled=1, uid=None):
    """Type 0: a processor's local APIC."""
    return struct.pack('<BBBBI', 0, 8, (apic_id if uid is None else uid) & 0xFF, apic_id, enabled)


def x2apic(apic_id, enabled=1):
    """Type 9: a processor's local x2APIC."""
    return struct.pack('<BBHIII', 9, 16, 0, apic_id, enabled, apic_id)


def io_apic(address=IO_APIC, gsi=0, number=0):
    """Type 1."""
    return struct.pack('<BBBBII', 1, 12, number, 0, address, gsi)


def overrides(table=None):
    """Type 2, one for each ISA interrupt whose line is not its own number, edge and high."""
    return b''.join(struct.pack('<BBBBIH', 2, 10, 0, source, gsi, flags)
                    for source, gsi, flags in (OVERRIDES if table is None else table))


def madt(*entries, io_apics=None, length=None):
    """A whole MADT of these entries, with QEMU's IOAPIC and overrides."""
    body = struct.pack('<II', LOCAL_APIC, 1) + b''.join(entries)
    body += io_apic() + overrides() if io_apics is None else io_apics
    return make('APIC', body, 3, length)


TWO = (processor(0), processor(1))

# --------------------------------------------------------------------------------- FADT, HPET, MCFG


def generic(space, address, width=32):
    """ACPI's generic address structure."""
    return struct.pack('<BBBBQ', space, width, 0, 3 if width == 32 else 1, address)


def fadt(timer=PM_TIMER, control=PM_CONTROL, event=PM_EVENT, reset=(IO, 0xCF9, 0x0F),
         x_timer=None, revision=3):
    """A FADT with these ports. x_timer: the 64-bit field for the timer, as (space, address)."""
    body = struct.pack('<IIBBHIBBBB', 0, 0, 0, 1, 9, 0xB2, 2, 3, 0, 0)
    body += struct.pack('<IIIIIIII', event, 0, control, 0, 0, timer, 0, 0)
    body += struct.pack('<BBBBBBBB', 4, 2, 0, 4 if timer or x_timer else 0, 0, 0, 0, 0)
    body += struct.pack('<HHHHBBBBBHBI', 0, 0, 0, 0, 0, 0, 0, 0, 0x32, 3, 0, 1 << 10)
    body += generic(reset[0], reset[1], 8) + struct.pack('<BHB', reset[2], 0, 0)
    body += bytes(16 + 12 * 5)
    body += generic(*(x_timer or (IO, timer)))
    return make('FACP', body + bytes(24), revision)


def hpet(address=HPET, space=MEMORY, length=None):
    """An HPET table."""
    return make('HPET', struct.pack('<I', 0x8086A201) + generic(space, address, 0) +
                struct.pack('<BHB', 0, 0x80, 0), 1, length)


def mcfg(*regions, tail=b''):
    """An MCFG of regions (base, segment, first bus, last bus)."""
    return make('MCFG', bytes(8) + b''.join(
        struct.pack('<QHBBI', base, segment, first, last, 0)
        for base, segment, first, last in regions) + tail)


GOOD = {'APIC': madt(*TWO), 'FACP': fadt(), 'HPET': hpet()}

# --------------------------------------------------------------------------------- The tree


class Root(typing.NamedTuple):
    """What hangs above the tables; only the test loader can make anything but the default."""
    revision: int = 2               # of the RSDP
    rsdt: typing.Any = True         # True: as it should be; False: its address is 0; bytes: it
    xsdt: typing.Any = True
    extra: tuple = ()               # addresses that the root tables list before the good ones
    spoil: typing.Callable = None   # what is done to the RSDP's bytes
    shift: int = 0                  # bytes by which every table misses its alignment
    itself: bool = False            # the root tables list themselves and one another
    copies: int = 1                 # how often the root tables list the good ones


class Fixture(typing.NamedTuple):
    """A set of tables: GOOD with some replaced, or left out (None)."""
    title: str                      # what one will see
    replace: dict = {}
    root: Root = None


def root_table(signature, addresses):
    """An RSDT or XSDT."""
    form = '<I' if signature == 'RSDT' else '<Q'
    limit = 0xFFFFFFFF if signature == 'RSDT' else (1 << 64) - 1
    return make(signature, b''.join(struct.pack(form, address & limit) for address in addresses))


def rsdp(revision, rsdt, xsdt):
    """An RSDP of revision 0 (20 bytes) or 2 (36)."""
    first = checksum(struct.pack('<8sB6sBI', b'RSD PTR ', 0, b'INTLOK', revision, rsdt), 8)
    if revision < 2:
        return first
    return checksum(first + struct.pack('<IQB3x', 36, xsdt, 0), 32)


def tree(fixture):
    """(the RSDP, the bytes at TREE_BASE) of a fixture."""
    root = fixture.root or Root()
    tables = {**GOOD, **fixture.replace}
    memory = bytearray(TREE_END - TREE_BASE)
    place, addresses = 0x100 + root.shift, []

    def put(table):
        nonlocal place
        memory[place:place + len(table)] = table
        address = TREE_BASE + place
        place += (len(table) + 63) // 64 * 64
        return address

    for table in tables.values():
        if table is not None:
            addresses.append(put(table))
    listed = list(root.extra) + addresses * root.copies
    room = 36 + 8 * (len(listed) + 2)
    own = [TREE_BASE + place, TREE_BASE + place + (room + 63) // 64 * 64] if root.itself else []
    places = {}
    for signature, wanted in (('RSDT', root.rsdt), ('XSDT', root.xsdt)):
        table = wanted if isinstance(wanted, bytes) else root_table(signature, own + listed)
        places[signature] = put(table.ljust(room, b'\0')) if wanted is not False else 0
    pointer = rsdp(root.revision, places['RSDT'], places['XSDT'])
    return (root.spoil or bytes)(pointer), bytes(memory[:place])


def flip(at):
    """Changes one byte."""
    return lambda table: table[:at] + bytes([table[at] ^ 0x55]) + table[at + 1:]


ONE_CPU = 'one CPU; a warning names the %s'
FIXTURES = {
    # ---- MADT: processors
    'phantom': Fixture('a processor that never answers is left off after a second',
                       {'APIC': madt(*TWO, processor(200))}),
    'untidy': Fixture('duplicate, invalid and disabled processors are counted and left off',
                      {'APIC': madt(processor(1), processor(1), processor(255), processor(2, 0),
                                    x2apic(1), x2apic(0xFFFFFFFF), processor(3, 2),
                                    processor(0))}),
    'crowd': Fixture('300 processors that only x2APIC could reach are left off',
                     {'APIC': madt(*TWO, *[x2apic(1000 + n) for n in range(300)])}),
    'multitude': Fixture('processors beyond the number that this kernel runs on are left off',
                         {'APIC': madt(*TWO, *[x2apic(1000 + n) for n in range(1000)])}),
    'stranger': Fixture('the boot processor runs although no table lists it',
                        {'APIC': madt(processor(1))}),
    'mixed': Fixture('two CPUs, listed as x2APICs that they do not have',
                     {'APIC': madt(x2apic(0), x2apic(1))}),
    'nobody': Fixture('one CPU: no table lists any', {'APIC': madt()}),
    # ---- MADT: the table
    'cut': Fixture(ONE_CPU % 'table that is cut off', {'APIC': madt(*TWO)[:-4]}),
    'madt-checksum': Fixture(ONE_CPU % 'wrong checksum',
                             {'APIC': wrong_checksum(madt(*TWO))}),
    'madt-empty': Fixture(ONE_CPU % 'length of 0', {'APIC': madt(*TWO, length=0)}),
    'madt-huge': Fixture(ONE_CPU % 'length of 4 GiB', {'APIC': madt(*TWO, length=0xFFFFFFFF)}),
    'madt-headless': Fixture(ONE_CPU % 'table without room for its first field',
                             {'APIC': make('APIC', b'\0\0\0\0')}),
    'madt-entry-0': Fixture('two CPUs; a warning names the entry of length 0; no lines',
                            {'APIC': madt(*TWO, b'\x01\x00' + bytes(10))}),
    'madt-entry-short': Fixture('one CPU more; a warning names the entry that is too short',
                                {'APIC': madt(*TWO, b'\x00\x04\x01\x01')}),
    'madt-entry-past': Fixture('two CPUs; a warning names the entry that runs past the end',
                               {'APIC': madt(*TWO, io_apics=b'\x01\xff' + bytes(10))}),
    'no-madt': Fixture(ONE_CPU % 'missing MADT', {'APIC': None}),
    # ---- MADT: I/O APICs
    'ioapic-none': Fixture('no lines: no I/O APIC is listed', {'APIC': madt(*TWO, io_apics=b'')}),
    'ioapic-wild': Fixture('no lines: a warning names the I/O APIC that does not answer',
                           {'APIC': madt(*TWO, io_apics=io_apic(0xFEC80000) + overrides())}),
    'ioapic-in-ram': Fixture('no lines: a warning names the I/O APIC that is memory',
                             {'APIC': madt(*TWO, io_apics=io_apic(IN_RAM) + overrides())}),
    'ioapic-far-lines': Fixture('no lines: a warning names the I/O APIC with impossible numbers',
                                {'APIC': madt(*TWO, io_apics=io_apic(gsi=0xFFFFFFF0))}),
    'ioapic-twice': Fixture('lines work: the same I/O APIC is listed twice',
                            {'APIC': madt(*TWO, io_apics=io_apic() + io_apic() + overrides())}),
    'override-wild': Fixture('lines work: overrides lead to lines that do not exist',
                             {'APIC': madt(*TWO, io_apics=io_apic() + overrides(
                                 OVERRIDES + [(3, 0xFFFFFFFF, 0xF), (200, 4000, 0)] * 30))}),
    # ---- FADT
    'no-fadt': Fixture('no PM timer', {'FACP': None}),
    'fadt-checksum': Fixture('a warning names the FADT', {'FACP': wrong_checksum(fadt())}, Root()),
    'fadt-empty': Fixture('a warning names the FADT',
                          {'FACP': fadt()[:4] + bytes(4) + fadt()[8:]}, Root()),
    'fadt-short': Fixture('a warning names the FADT', {'FACP': make('FACP', bytes(20))}, Root()),
    'fadt-zero': Fixture('no PM timer: its ports are 0', {'FACP': fadt(0, 0, 0, (IO, 0, 0))}),
    'fadt-still': Fixture('a warning names the PM timer that does not count',
                          {'FACP': fadt(timer=0xE000)}),
    'fadt-wild': Fixture('a warning names the PM timer that cannot be reached',
                         {'FACP': fadt(x_timer=(MEMORY, BEYOND))}),
    'fadt-port': Fixture('a warning names the PM timer\'s impossible port',
                         {'FACP': fadt(x_timer=(IO, 0x123456))}),
    'fadt-reset': Fixture('a reset register in memory that is in use is not used',
                          {'FACP': fadt(reset=(MEMORY, IN_RAM, 0xFF))}),
    # ---- HPET
    'hpet-checksum': Fixture('a warning names the HPET table; the PM timer counts',
                             {'HPET': wrong_checksum(hpet())}),
    'hpet-empty': Fixture('a warning names the HPET table', {'HPET': hpet(length=0)}),
    'hpet-zero': Fixture('a warning names the HPET without an address', {'HPET': hpet(0)}),
    'hpet-wild': Fixture('a warning names the HPET that does not answer',
                         {'HPET': hpet(0xFE000000)}),
    'hpet-beyond': Fixture('a warning names the HPET that no processor could reach',
                           {'HPET': hpet(BEYOND)}),
    'hpet-in-ram': Fixture('a warning names the HPET that is memory', {'HPET': hpet(IN_RAM)}),
    'hpet-ports': Fixture('a warning names the HPET in port space', {'HPET': hpet(0x70, IO)}),
    # ---- MCFG (q35)
    'mcfg-good': Fixture('ports and ECAM', {'MCFG': mcfg((ECAM, 0, 0, 255))}),
    'mcfg-checksum': Fixture('a warning names the MCFG; the ports serve',
                             {'MCFG': wrong_checksum(mcfg((ECAM, 0, 0, 255)))}),
    'mcfg-segment': Fixture('the ports serve: the window is another segment\'s',
                            {'MCFG': mcfg((ECAM, 7, 0, 255))}),
    'mcfg-buses': Fixture('the ports serve: the window\'s last bus is below its first',
                          {'MCFG': mcfg((ECAM, 0, 9, 3))}),
    'mcfg-in-ram': Fixture('a warning names the window that disagrees with the ports',
                           {'MCFG': mcfg((IN_RAM, 0, 0, 255))}),
    'mcfg-beyond': Fixture('a warning names the window that disagrees with the ports',
                           {'MCFG': mcfg((BEYOND, 0, 0, 255))}),
    'mcfg-cut': Fixture('a warning names the MCFG whose last entry is cut off',
                        {'MCFG': mcfg((ECAM, 0, 0, 255), tail=b'\1\2\3')}),
    'mcfg-many': Fixture('ports and ECAM: most of 100 windows are left out',
                         {'MCFG': mcfg((ECAM, 0, 0, 255), *[(ECAM, 1 + n, 0, 255)
                                                           for n in range(100)])}),
    # ---- The way to the tables
    'good': Fixture('nothing wrong', {}, Root()),
    'rsdp-1': Fixture('an RSDP of ACPI 1.0, with an RSDT', {}, Root(revision=0, xsdt=False)),
    'rsdt-only': Fixture('an RSDP of ACPI 2.0 without an XSDT', {}, Root(xsdt=False)),
    'xsdt-only': Fixture('an RSDP of ACPI 2.0 without an RSDT', {}, Root(rsdt=False)),
    'xsdt-checksum': Fixture('the RSDT is read instead of the XSDT', {},
                             Root(xsdt=wrong_checksum(root_table('XSDT', [IN_RAM])))),
    'xsdt-empty': Fixture('the RSDT is read instead of the XSDT', {},
                          Root(xsdt=make('XSDT', b'', length=0))),
    'xsdt-huge': Fixture('the RSDT is read instead of the XSDT', {},
                         Root(xsdt=make('XSDT', bytes(64), length=0x7FFFFFFF))),
    'xsdt-bare': Fixture('one CPU: an XSDT that lists nothing', {}, Root(xsdt=make('XSDT', b''))),
    'xsdt-odd': Fixture('an XSDT whose last entry is cut off', {},
                        Root(xsdt=make('XSDT', struct.pack('<Q', TREE_BASE + 0x100) + b'\1\2\3'))),
    'no-root': Fixture('one CPU: neither RSDT nor XSDT', {}, Root(rsdt=False, xsdt=False)),
    'cyclic': Fixture('root tables that list themselves', {}, Root(itself=True)),
    'wild': Fixture('pointers to nowhere are passed over', {},
                    Root(extra=(0, 1, 0xFFFFFFFF, BEYOND, (1 << 52) - 1, 1 << 63, (1 << 64) - 1,
                                0xFEBFFFF0, IN_RAM, 0xFFFFFFF0))),
    'unaligned': Fixture('tables at odd addresses', {}, Root(shift=3)),
    'many-tables': Fixture('a warning: more tables than are read', {}, Root(copies=700)),
    'rsdp-signature': Fixture('one CPU: the RSDP has a wrong signature', {}, Root(spoil=flip(0))),
    'rsdp-checksum': Fixture('one CPU: the RSDP has a wrong checksum', {}, Root(spoil=flip(8))),
    'rsdp-extended': Fixture('one CPU: the RSDP has a wrong extended checksum', {},
                             Root(spoil=flip(32))),
    'rsdp-length': Fixture('one CPU: the RSDP has an impossible length', {}, Root(spoil=flip(21))),
}


# Those of the image's menu "Faults": one of each kind that shows on any PC.
MENU = ('phantom', 'untidy', 'crowd', 'stranger', 'cut', 'madt-empty', 'madt-entry-0', 'no-madt',
        'ioapic-none', 'ioapic-in-ram', 'override-wild', 'no-fadt', 'fadt-still', 'hpet-wild',
        'hpet-in-ram', 'mcfg-in-ram')


def grub_files(name):
    """{signature: bytes} of the tables that GRUB shall install (None: the machine's own is left
    out), or SystemExit if the fixture needs more."""
    fixture = FIXTURES[name]
    if fixture.root is not None:
        raise SystemExit('tables: %s needs boot=loader' % name)
    return fixture.replace


def write(directory, names):
    """The files that tools/make-iso reads."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        files = grub_files(name)
        (directory / (name + '.exclude')).write_text(','.join(files) + '\n')
        for signature, table in files.items():
            if table is not None:
                (directory / ('%s.%s' % (name, signature))).write_bytes(table)


def main():
    if sys.argv[1:] == ['list']:
        for name in MENU:
            print('%s\t%s' % (name, FIXTURES[name].title))
    elif len(sys.argv) > 2 and sys.argv[1] == 'write':
        write(sys.argv[2], sys.argv[3:] or MENU)
    else:
        raise SystemExit(__doc__)


if __name__ == '__main__':
    main()
