#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Turns a console font into the kernel's table of glyphs.

usage: tools/font.py FONT > font.c

FONT is an 8x16 PC Screen Font of either version with a Unicode table, gzipped or not, such as
Debian's fonts-spleen has. The table holds the printable characters of ASCII and, last, what stands
for all others. The harness reads screens back with the same glyphs, by load().
"""
import gzip
import struct
import sys
from pathlib import Path

DEBIAN = '/usr/share/consolefonts/spleen-8x16.psfu.gz'
WIDTH, HEIGHT = 8, 16
FIRST, LAST = 0x20, 0x7E
OTHER = LAST + 1                        # the table's last place: a box
BOX = bytes([0, 0, 0] + [0x7E] + [0x42] * 8 + [0x7E] + [0, 0, 0])


class BadFont(Exception):
    """What is wrong with a font file."""


def characters(data, at, count, end, separator, decode):
    """{code point: glyph number} from a Unicode table; sequences of several are passed over."""
    table = {}
    for glyph in range(count):
        stop = data.find(end, at)
        while decode == 'utf-16-le' and stop >= 0 and (stop - at) % 2:
            stop = data.find(end, stop + 1)
        if stop < 0:
            raise BadFont('its Unicode table is cut short')
        for character in data[at:stop].split(separator)[0].decode(decode, 'replace'):
            table.setdefault(ord(character), glyph)
        at = stop + len(end)
    return table


def parse(data):
    """(glyphs, {code point: glyph number}) of a PSF file's bytes."""
    if data[:4] == b'\x72\xb5\x4a\x86':
        start, flags, count, size, height, width = struct.unpack_from('<6I', data, 8)
        ends = (b'\xff', b'\xfe', 'utf-8')
        unicode = flags & 1
    elif data[:2] == b'\x36\x04':
        start, count, width = 4, 512 if data[2] & 1 else 256, WIDTH
        size = height = data[3]
        ends = (b'\xff\xff', b'\xfe\xff', 'utf-16-le')
        unicode = data[2] & 6
    else:
        raise BadFont('it is no PC Screen Font')
    if (width, height, size) != (WIDTH, HEIGHT, HEIGHT):
        raise BadFont('its glyphs are %dx%d, not %dx%d' % (width, height, WIDTH, HEIGHT))
    end = start + count * size
    if end > len(data):
        raise BadFont('it is cut short')
    glyphs = [data[at:at + size] for at in range(start, end, size)]
    table = characters(data, end, count, *ends) if unicode else {n: n for n in range(count)}
    return glyphs, table


def load(path=DEBIAN):
    """The table: one glyph of 16 bytes for each character from FIRST to LAST, and the box."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b'\x1f\x8b':
            data = gzip.decompress(data)
        glyphs, table = parse(data)
        return [glyphs[table[code]] for code in range(FIRST, OTHER)] + [BOX]
    except (OSError, EOFError, struct.error, BadFont) as error:
        raise SystemExit('font.py: cannot use %s: %s (tools/packages install build)'
                         % (path, error)) from error
    except KeyError as error:
        raise SystemExit('font.py: %s has no glyph for %r' % (path, chr(error.args[0]))) from error


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print('/* Made by tools/font.py from %s. */' % Path(sys.argv[1]).name)
    print('const unsigned char HalpFont[%d][%d] = {' % (OTHER - FIRST + 1, HEIGHT))
    for code, glyph in enumerate(load(sys.argv[1]), FIRST):
        print('    {%s}, /* 0x%02X */' % (', '.join('0x%02X' % row for row in glyph), code))
    print('};')
    return 0


if __name__ == '__main__':
    sys.exit(main())
