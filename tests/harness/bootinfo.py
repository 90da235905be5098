# SPDX-License-Identifier: MIT
"""Makes Multiboot2 structures, sound and not, and the QEMU arguments that boot the kernel with one.

The test loader (loader.asm) enters the kernel as GRUB would, but the memory map, the RSDP and every
byte of the structure are ours. A structure is named by what is wrong with it: STRUCTURES.
"""
import struct
import subprocess
from pathlib import Path

import tables

HERE = Path(__file__).resolve().parent
PARAMETERS = 0x110000               # as in loader.asm
STRUCTURE = 0x110100
MAGIC = 0x36D76289
K, M, G = 1 << 10, 1 << 20, 1 << 30
USABLE, RESERVED, RECLAIM, NVS, DEFECTIVE = 1, 2, 3, 4, 5
COMMAND_LINE, MEMORY_MAP, RSDP_1, RSDP_2 = 1, 6, 14, 15
LOW = [(0, 0x9FC00, USABLE), (0x9FC00, 0x400, RESERVED), (0xF0000, 0x10000, RESERVED)]
HIGH = [(0xFEC00000, 0x1400000, RESERVED)]
OURS = [(PARAMETERS, tables.TREE_END - PARAMETERS, RECLAIM)]


def tag(kind, body, size=None):
    """One tag, padded; size: what it says instead of the truth."""
    whole = struct.pack('<II', kind, 8 + len(body) if size is None else size) + body
    return whole + bytes(-len(whole) % 8)


def memory_map(entries, entry_size=24):
    """The tag of a memory map of (start, length, type)."""
    mask = (1 << 64) - 1
    return tag(MEMORY_MAP, struct.pack('<II', entry_size, 0) + b''.join(
        struct.pack('<QQII', start & mask, length & mask, kind, 0)
        for start, length, kind in entries))


def usable(ram):
    """The usable ranges above 1 MiB as QEMU's pc has them: below 3 GiB, and from 4 GiB on."""
    low = min(ram, 3 * G)
    return [(M, low - M, USABLE)] + ([(4 * G, ram - low, USABLE)] if ram > low else [])


def fragments(ram):
    """More ranges than the kernel keeps: the upper half in pieces of 64 KiB, every second one."""
    return (LOW + [(M, ram // 2 - M, USABLE)] +
            [(start, 64 * K, USABLE) for start in range(ram // 2, ram, 128 * K)] + HIGH)


MAPS = {
    'sorted': lambda ram: LOW + usable(ram) + HIGH,
    'unsorted': lambda ram: (LOW + usable(ram) + HIGH)[::-1],
    'overlapping': lambda ram: LOW + usable(ram) + [
        (M, 32 * M, USABLE), (20 * M, 8 * M, USABLE), (40 * M, 4 * M, RESERVED),
        (42 * M, 4 * M, NVS), (43 * M, M, DEFECTIVE), (48 * M, M, USABLE), (48 * M, M, RECLAIM),
        (0, 4 * M - 1, USABLE)] + HIGH,
    'unaligned': lambda ram: [(1, 0x9FBFE, USABLE), (0x9FBFF, 0x401, RESERVED)] + [
        (M + 1, 31 * M - 2, USABLE), (32 * M + 5, 5, USABLE), (32 * M + 4095, 2, USABLE),
        (33 * M + 7, ram - 33 * M - 8, USABLE), (64 * M + 4095, 2, RESERVED)],
    'crossing': lambda ram: LOW + [(M, ram + G - M, USABLE), (3 * G, G, RESERVED)],
    'empty': lambda ram: [(0, 0, USABLE), (5 * M, 0, RESERVED), (1 << 63, 0, DEFECTIVE)] * 20 +
    LOW + usable(ram) + HIGH,
    'wrapping': lambda ram: LOW + usable(ram) + [
        (-4096, 8192, RESERVED), (-1, -1, RESERVED), (ram, -1, RESERVED)],
    'beyond': lambda ram: LOW + usable(ram) + [
        (1 << 44, 1 << 30, USABLE), (1 << 51, 1 << 40, USABLE), (1 << 62, 1 << 62, USABLE),
        ((1 << 47) - 8192, 16384, RECLAIM), (-8192, 8192, NVS)] + HIGH,
    'strange-types': lambda ram: LOW + usable(ram) + [
        (40 * M, M, 0), (42 * M, M, 7), (44 * M, M, 12), (46 * M, M, 0xFFFFFFFF),
        (48 * M, M, DEFECTIVE)] + HIGH,
    'image-reserved': lambda ram: LOW + usable(ram) + [(2 * M, 6 * M, RESERVED)] + HIGH,
    'fragments': fragments,
    'no-low': lambda ram: usable(ram) + HIGH,
    'splinters': lambda ram: LOW + [(start, M, USABLE) for start in range(16 * M, 64 * M, 2 * M)],
    'nothing': lambda ram: [(0, 4 * G, RESERVED)],
}

# name: (what makes the tags of a good list of tags, what EAX holds, what the size field says)
BROKEN = {
    'magic': (lambda tags: tags, 0x2BADB002, None),
    'no-map': (lambda tags: [t for t in tags if t[0] != MEMORY_MAP], MAGIC, None),
    'tag-empty': (lambda tags: [tag(99, b'', 0)] + tags, MAGIC, None),
    'tag-past-end': (lambda tags: tags[:1] + [tag(99, b'', 0x10000)], MAGIC, None),
    'size-0': (lambda tags: tags, MAGIC, 0),
    'size-huge': (lambda tags: tags, MAGIC, 0xFFFFFFFF),
    'map-short': (lambda tags: [tag(MEMORY_MAP, b'\x18\0\0\0')], MAGIC, None),
    'map-entries': (lambda tags: [memory_map(LOW, 8)], MAGIC, None),
    'unknown-tags': (lambda tags: [tag(0x7FFFFFFF, bytes(3)), tag(100, b'')] * 50 + tags, MAGIC,
                     None),
}
STRUCTURES = sorted(MAPS) + sorted(BROKEN)


def megabytes(text):
    """QEMU's -m, in bytes."""
    return int(text.rstrip('MG')) * (G if text.endswith('G') else M)


def structure(name, ram, append, pointer):
    """(EAX, the structure's bytes)."""
    spoil, magic, size = BROKEN.get(name, (lambda tags: tags, MAGIC, None))
    tags = spoil([tag(COMMAND_LINE, append.encode() + b'\0'),
                  memory_map(MAPS.get(name, MAPS['sorted'])(ram) + OURS),
                  tag(RSDP_2 if len(pointer) > 20 else RSDP_1, pointer)])
    body = b''.join(tags) + tag(0, b'')
    return magic, struct.pack('<II', 8 + len(body) if size is None else size, 0) + body


def entry(kernel):
    """An ELF file's entry address."""
    with open(kernel, 'rb') as file:
        return struct.unpack('<Q', file.read(32)[24:])[0]


def arguments(guest, kernel, scratch):
    """QEMU's arguments that boot kernel with guest's structure and ACPI tables."""
    scratch = Path(scratch)
    files = {name: scratch / ('loader.' + name) for name in ('o', 'elf', 'info', 'acpi')}
    subprocess.run(['nasm', '-f', 'elf32', '-o', files['o'], HERE / 'loader.asm'], check=True)
    subprocess.run(['ld', '-m', 'elf_i386', '-Ttext-segment=0x100000', '-z', 'noexecstack',
                    '-e', 'start', '-o', files['elf'], files['o']], check=True)
    pointer, tree = tables.tree(tables.FIXTURES[guest.tables or 'good'])
    magic, info = structure(guest.structure, megabytes(guest.memory), guest.append, pointer)
    files['info'].write_bytes(struct.pack('<III', entry(kernel), magic, STRUCTURE).ljust(
        STRUCTURE - PARAMETERS, b'\0') + info)
    files['acpi'].write_bytes(tree)
    return ['-kernel', str(files['elf']), '-device', 'loader,file=%s' % kernel,
            '-device', 'loader,force-raw=on,addr=%d,file=%s' % (PARAMETERS, files['info']),
            '-device', 'loader,force-raw=on,addr=%d,file=%s' % (tables.TREE_BASE, files['acpi'])]
