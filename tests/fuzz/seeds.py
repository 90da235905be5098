#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the inputs that a fuzzer starts from: what a good machine says, and the fixtures that
the other tests have of bad ones.

usage: seeds.py DIRECTORY       one folder a target, one file an input
"""
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'harness'))
import frames                                                    # noqa: E402
import malformed                                                 # noqa: E402

MAP = [(0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (0xF0000, 0x10000, 2), (0x100000, 0x7EE0000, 1),
       (0x7FE0000, 0x20000, 3), (0xFFFC0000, 0x40000, 2), (1 << 32, 1 << 31, 1)]
COMMANDS = [
    'numproc=4 test=dpc/*,irql/* bench=* seed=0x1f exit=debug log=trace console=fb verifier=std',
    'trace=on nic=e1000e nic.gsi=16 ip=192.168.1.200/16 x2apic=off tsc=unstable fault=dpc-lost',
    'budget=2000 idle=10 maxcpus=7 onecpu nosmp lockhalt=off console=fb,serial exit=poweroff',
    'numproc=257 numproc=-1 seed=0x10000000000000000 ip=1.2.3.256/8 ip=127.0.0.1/8 nic= quiet',
    'numproc ' + 'a' * 300 + ' =4', 'log=info\tlog=error\nlog=warning exit=halt exit=reboot',
    'wc=off keep=100 panic=30 reset=cf9 panic=reboot keep=off reset=8042 poison=on nmi=panic',
    'nic=none nic=poll nic=e1000 ip=10.0.2.15/33 console=,fb trace=off x2apic=on',
]


def table(signature, body, revision=1):
    """A table with its header; the checksum is made by whoever needs it right."""
    whole = bytearray(struct.pack('<4sIBB6s8sIII', signature, 36 + len(body), revision, 0,
                                  b'INTLOK', b'FUZZSEED', 1, 1, 1) + body)
    whole[9] = -sum(whole) & 0xFF
    return bytes(whole)


def processor(apic_id, enabled=1):
    """A MADT's entry of type 0."""
    return struct.pack('<BBBBI', 0, 8, apic_id & 0xFF, apic_id, enabled)


def x2apic(apic_id, enabled=1):
    """A MADT's entry of type 9."""
    return struct.pack('<BBHIII', 9, 16, 0, apic_id, enabled, apic_id)


def madt(*entries):
    """A MADT with these entries, an IOAPIC and overrides."""
    body = struct.pack('<II', 0xFEE00000, 1) + b''.join(entries)
    body += struct.pack('<BBBBII', 1, 12, 0, 0, 0xFEC00000, 0)
    for source, gsi, flags in ((0, 2, 0), (5, 5, 0xD), (9, 9, 0xD)):
        body += struct.pack('<BBBBIH', 2, 10, 0, source, gsi, flags)
    return table(b'APIC', body, 3)


def gas(space, width, address):
    """A Generic Address Structure."""
    return struct.pack('<BBBBQ', space, width, 0, 1, address)


def fadt(revision):
    """A FADT as long as its revision makes it."""
    body = bytearray(268 - 36)
    struct.pack_into('<IIBBHIBBBB', body, 0, 0x2000, 0x3000, 0, 0, 9, 0xB2, 0xF1, 0xF0, 0, 0)
    struct.pack_into('<IIIIIIII', body, 20, 0x600, 0, 0x604, 0, 0, 0x608, 0xAFE0, 0)
    struct.pack_into('<BBBBBB', body, 52, 4, 2, 0, 4, 4, 0)
    struct.pack_into('<HBI', body, 73, 3, 0, 0x4A5)
    body[80:92] = gas(1, 8, 0xCF9)
    body[92] = 0x0F
    struct.pack_into('<QQ', body, 96, 0, 0x3000)
    body[136:148] = gas(1, 16, 0x604)
    body[172:184] = gas(1, 32, 0x608)
    return table(b'FACP', bytes(body)[:{1: 80, 3: 208, 5: 232}[revision]], revision)


UNTIDY = madt(processor(1), processor(1), processor(255), processor(2, 0), x2apic(1),
              x2apic(0xFFFFFFFF), processor(3, 2), processor(0))
MADTS = [UNTIDY, madt(processor(0), processor(1), processor(200)), madt(processor(1)),
         madt(processor(0), *[x2apic(1000 + n) for n in range(40)]),
         madt(processor(0), processor(1))[:-4]]
HPET = table(b'HPET', struct.pack('<IBBBBQBHB', 0x8086A201, 0, 64, 0, 0, 0xFED00000, 0, 100, 0))
DMAR = table(b'DMAR', bytes([38, 3]) + bytes(10))
MCFG = table(b'MCFG', bytes(8) + struct.pack('<QHBBI', 0xB0000000, 0, 0, 255, 0) * 2)


def acpi():
    """A memory at 0xE0000: RSDP, XSDT, RSDT, tables."""
    base = 0xE0000
    tables = [UNTIDY, fadt(3), HPET, MCFG, DMAR, fadt(1)]
    for wide in (True, False):
        place, places, body = 0x200, [], b''
        for one in tables:
            places.append(base + place)
            body += one + bytes(-len(one) % 16)
            place += len(one) + -len(one) % 16
        root = table(b'XSDT' if wide else b'RSDT',
                     b''.join(struct.pack('<Q' if wide else '<I', at) for at in places))
        rsdp = bytearray(struct.pack('<8sB6sBIIQB3s', b'RSD PTR ', 0, b'INTLOK', 2 * wide,
                                     base + 0x40, 36, base + 0x40 if wide else 0, 0, b''))
        rsdp[8] = -sum(rsdp[:20]) & 0xFF
        rsdp[32] = -sum(rsdp) & 0xFF
        memory = (bytes(rsdp).ljust(0x40, b'\0') + root).ljust(0x200, b'\0') + body
        for flags in (0x00, 0x01, 0x03, 0x05, 0x0B, 0x13, 0x21):
            yield bytes([flags]) + memory


def acpitable():
    """Each table alone, as it is and to be mended."""
    tables = [(0, one) for one in MADTS]
    tables += [(1, fadt(revision)) for revision in (1, 3, 5)] + [(2, HPET), (3, MCFG), (4, DMAR)]
    nmis = struct.pack('<BBBHB', 4, 6, 255, 0, 1) + struct.pack('<BBHIB3s', 10, 12, 5, 1, 0, b'')
    nmis += struct.pack('<BBHI', 3, 8, 13, 2) + struct.pack('<BBHQ', 5, 12, 0, 1 << 33)
    tables.append((0, table(b'APIC', struct.pack('<II', 0xFEE00000, 0) + nmis + b'\x7f\2')))
    for reader, one in tables:
        yield bytes([reader]) + one
        yield bytes([reader | 0x80]) + one


def memmap():
    """Maps, then reservations."""
    def record(start, length, kind):
        return struct.pack('<BQQ', kind, start & (2**64 - 1), length & (2**64 - 1))
    plain = b''.join(record(*one) for one in MAP)
    taken = record(0x200000, 0x80123, 0x40) + record(0, 0x1000, 0x40)
    yield plain
    yield plain + taken
    yield b''.join(record(*one) for one in reversed(MAP)) + record(0x8000, 0x100, 4)
    yield record(-0x3000, 0x4000, 1) + record(-1, 2, 2) + record(0, -1, 5)
    yield b''.join(record(n * 0x3000 + n % 5, 0x1800, n % 6) for n in range(160)) + taken
    # A full table loses a reserved range, in part, and gets room again: then comes memory there.
    full = b''.join(record(n * 0x1000, 0x1000, 1 + n % 2) for n in range(128))
    yield full + record(120 * 0x1000, 20 * 0x1000, 2) + record(130 * 0x1000, 8 * 0x1000, 1)
    yield b''.join(record(n * 0x2000, 0x1000, 1) for n in range(128)) + record(0x800, 8, 2) + taken


def tag(kind, payload):
    """One of Multiboot2's, padded."""
    whole = struct.pack('<II', kind, 8 + len(payload)) + payload
    return whole + bytes(-len(whole) % 8)


def multiboot2():
    """What GRUB gives, on BIOS and on UEFI; parts of it wrong."""
    memory = struct.pack('<II', 24, 0) + b''.join(struct.pack('<QQII', *one, 0) for one in MAP)
    rgb = struct.pack('<QIIIBBH6B', 0x80000000, 4096, 1024, 768, 32, 1, 0, 16, 8, 8, 8, 0, 8)
    text = struct.pack('<QIIIBBH', 0xB8000, 160, 80, 25, 16, 2, 0)
    first = [tag(1, COMMANDS[0].encode() + b'\0'), tag(2, b'GRUB 2.06\0'),
             tag(3, struct.pack('<II', 0x800000, 0x801234) + b'echo.sys\0'), tag(6, memory)]
    rsdp = b'RSD PTR \0INTLOK\2'.ljust(36, b'\1')
    ends = tag(0, b'')
    for tags in (first + [tag(8, rgb), tag(12, bytes(8)), tag(14, rsdp[:20]), tag(15, rsdp)],
                 first + [tag(8, text), tag(14, rsdp[:20])],
                 [tag(6, memory[:-3])], [tag(6, struct.pack('<II', 40, 0) + memory[8:])],
                 [tag(1, b'x' * 1100), tag(6, memory)] + [first[2]] * 18, [tag(8, rgb[:9])],
                 [tag(6, struct.pack('<II', 4, 0))], first[:3]):
        yield bytes(8) + b''.join(tags) + ends
    yield bytes(8) + tag(6, memory)
    yield bytes(8) + tag(6, memory)[:-9]
    for length in (23, 27, 29):                 # the last tag, its colours or more cut off
        yield bytes(8) + tag(6, memory) + struct.pack('<II', 8, 8 + length) + rgb[:length]


def pvh():
    """What QEMU gives to -kernel."""
    base = 0x1000
    def start(version=1, modules=1, module_list=base + 64, text=base + 96, entries=len(MAP)):
        return struct.pack('<IIIIQQQQII', 0x336EC578, version, 0, modules, module_list, text,
                           0xF5AB0, base + 256, entries, 0).ljust(64, b'\0')
    rest = struct.pack('<QQQQ', 0x700000, 0x1234, base + 96, 0) + b'numproc=2 exit=debug\0'
    rest = rest.ljust(192, b'\0') + b''.join(struct.pack('<QQII', *one, 0) for one in MAP)
    yield start() + rest
    for change in (dict(version=0), dict(modules=40), dict(module_list=0), dict(text=0),
                   dict(text=base + 400), dict(entries=0), dict(entries=5000), dict(entries=9)):
        yield start(**change) + rest
    yield start()[:40]


def pci():
    """A root bus with a bridge, a NIC behind it, and a device that ignores its command."""
    def function(bus, device, number, identity, kind, header, bars, masks, pin=1):
        registers = bytearray(64)
        writable = bytearray(64)
        struct.pack_into('<I', registers, 0, identity)
        struct.pack_into('<H', registers, 4, 7)
        struct.pack_into('<I', registers, 8, kind << 8)
        registers[14] = header
        for index, (bar, mask) in enumerate(zip(bars, masks)):
            struct.pack_into('<I', registers, 16 + 4 * index, bar)
            struct.pack_into('<I', writable, 16 + 4 * index, mask)
        if header & 0x7F == 1:
            registers[0x18:0x1B] = bytes([bus, bus + 1, 255])
        registers[0x3D] = pin
        struct.pack_into('<H', writable, 4, 0x407)
        return bytes([device << 3 | number, bus]) + bytes(registers) + bytes(writable)
    host = function(0, 0, 0, 0x29C08086, 0x060000, 0, [], [], 0)
    bridge = function(0, 1, 0, 0x00011B36, 0x060400, 0x81, [], [])
    wide = function(1, 0, 0, 0x10D38086, 0x020000, 0, [0xFE00000C, 1, 0xC001, 0, 0xF0000000, 0],
                    [0xFFFF0000, 0xFFFFFFFF, 0xFFFFFFE0, 0, 0xFFFFF000, 0])
    old = function(0, 2, 0, 0x100E8086, 0x020000, 0x80, [0xFEBC0000, 0xC001],
                   [0xFFFE0000, 0xFFC0])
    isa = function(0, 31, 0, 0x29188086, 0x060100, 0x80, [], [])
    yield host + bridge + wide + old + isa
    yield host + old
    yield struct.pack('<12I', 0xFEBC1000, 0xFFFE0000, 0xFE00000C, 0xFFFF000C, 1, 0xFFFFFFFF, 0xC011,
                      0xFFE1, 0xFEB00000, 0xFFF00000, 0xFE000004, 0xFFFF0004)
    yield function(0, 0, 0, 0x12378086, 0x060000, 0, [], []) + function(
        0, 1, 0, 0x70008086, 0x060100, 0x80, [], []) + old
    yield bridge + function(1, 0, 0, 0x00011B36, 0x060400, 1, [], []) + function(
        2, 0, 0, 0x00011B36, 0x060400, 1, [], [])


def net():
    """The frames that the guest drops in the ping tests, and those that it answers."""
    ours, theirs = bytes.fromhex('525400123456'), bytes.fromhex('020000aabbcc')
    us, them = '10.0.2.15', '10.0.2.2'
    for case in malformed.cases(theirs, them, ours, us):
        yield b'\0' + case.frame
    for length in (0, 1, 56, 1472):
        yield b'\0' + frames.ethernet(ours, theirs, frames.ETH_IP,
                                      frames.echo(them, us, 1, length))
        yield b'\x1f' + frames.ethernet(ours, theirs, frames.ETH_IP,
                                        frames.udp(them, us, 7, bytes(length)))
    ask = frames.arp(sender_mac=theirs, sender=them, target_mac=bytes(6), target=us,
                     operation=frames.ARP_REQUEST)
    yield b'\0' + frames.ethernet(frames.BROADCAST, theirs, frames.ETH_ARP, ask)


def s5():
    """DSDTs: what QEMU has, longer encodings, two that differ, packages that end too early."""
    name = b'\x08_S5_'
    plain = name + b'\x12\x06\x04\x00\x00\x00\x00'
    bytes_ = b'\x08\\_S5_\x12\x0a\x04\x0a\x05\x0a\x05\x0a\x00\x0a\x00'
    words = name + b'\x12\x0e\x04\x0b\x05\x00\x0c\x07\x00\x00\x00\x00\x00'
    long_ = name + b'\x12\x48\x00\x02\x0a\x05\x0a\x07'
    padding = b'\x10\x05_SB_' * 3
    for body in (plain, bytes_, words, long_, padding + bytes_ + padding, plain + bytes_,
                 bytes_ + bytes_, name + b'\x12\x3f\x04\x00', name + b'\x12\xc8\x00\x00\x01\x02',
                 name + b'\x12\x06\x02\x0a\x09\x0a\x09', name + b'\x12\x05\x01\x0a\x05',
                 name + b'\x14', name, b'_S5_' + plain[5:], b'',
                 bytes_[:-3], words[:-6], long_[:9]):
        yield b'\x80' + table(b'DSDT', body, 2)
        yield b'\x00' + table(b'DSDT', body, 2)


def options():
    """Command lines, good and bad."""
    for line in COMMANDS:
        yield line.encode()


TARGETS = {routine.__name__: routine
           for routine in (acpi, acpitable, memmap, multiboot2, net, options, pci, pvh, s5)}


def main():
    directory = Path(sys.argv[1])
    for name, routine in TARGETS.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(routine()):
            (directory / name / ('seed-%02d' % number)).write_bytes(data)


if __name__ == '__main__':
    main()
