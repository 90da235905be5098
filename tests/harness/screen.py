# SPDX-License-Identifier: MIT
"""Reads a guest's screen: a picture taken by QEMU back into text, by the kernel's own font.

Golden pictures are PNG files, written and read here as far as they need be: 8 bits a channel, no
interlace.
"""
import struct
import sys
import zlib
from pathlib import Path

import qemu

sys.path.insert(0, str(qemu.TOP / 'tools'))
import font     # noqa: E402 (the path comes first)

VGA_TEXT, VGA_COLUMNS, VGA_ROWS = 0xB8000, 80, 25
PNG = b'\x89PNG\r\n\x1a\n'


class Picture:
    """Width, height, and three bytes a pixel."""

    def __init__(self, width, height, data):
        self.width, self.height, self.data = width, height, data

    @staticmethod
    def from_ppm(data):
        """What QMP's screendump writes: P6, width, height, 255, pixels."""
        kind, width, height, depth, pixels = data.split(maxsplit=4)[:4] + [b'']
        if kind != b'P6' or depth != b'255':
            raise ValueError('no P6 picture of 8 bits a channel')
        width, height = int(width), int(height)
        pixels = data[len(data) - width * height * 3:]
        return Picture(width, height, pixels)

    @staticmethod
    def from_png(data):
        """A PNG file that png() has written."""
        width, height = struct.unpack_from('>2I', data, 16)
        at, packed = len(PNG), b''
        while at < len(data):
            length, kind = struct.unpack_from('>I4s', data, at)
            if kind == b'IDAT':
                packed += data[at + 8:at + 8 + length]
            at += 12 + length
        raw, row = zlib.decompress(packed), width * 3 + 1
        if any(raw[line * row] for line in range(height)):
            raise ValueError('the PNG has filtered rows')
        return Picture(width, height, b''.join(raw[line * row + 1:(line + 1) * row]
                                               for line in range(height)))

    def png(self):
        """As a PNG file's bytes."""
        def chunk(kind, data):
            return (struct.pack('>I', len(data)) + kind + data
                    + struct.pack('>I', zlib.crc32(kind + data)))
        row = self.width * 3
        raw = b''.join(b'\0' + self.data[line * row:(line + 1) * row]
                       for line in range(self.height))
        return (PNG + chunk(b'IHDR', struct.pack('>2I5B', self.width, self.height, 8, 2, 0, 0, 0))
                + chunk(b'IDAT', zlib.compress(raw, 9)) + chunk(b'IEND', b''))

    def differing(self, other, tolerance):
        """How many pixels differ by more than tolerance in a channel; all, if the sizes do."""
        if (self.width, self.height) != (other.width, other.height):
            return self.width * self.height
        if self.data == other.data:
            return 0
        bad = {at // 3 for at, (one, two) in enumerate(zip(self.data, other.data))
               if abs(one - two) > tolerance}
        return len(bad)

    def cell(self, row, column, scale):
        """A character's 16 rows of bits, foreground 1, and its two colours. The background is the
        colour of its last pixel, where no glyph of the font reaches."""
        left, top = column * font.WIDTH * scale, row * font.HEIGHT * scale
        rows, color = [], None
        back = None
        for line in range(font.HEIGHT - 1, -1, -1):
            at = ((top + line * scale) * self.width + left) * 3
            pixels = [self.data[at + x * scale * 3:at + x * scale * 3 + 3]
                      for x in range(font.WIDTH)]
            if back is None:
                back = pixels[-1]
            bits = 0
            for pixel in pixels:
                bits = bits << 1 | (pixel != back)
                color = pixel if pixel != back else color
            rows.append(bits)
        return bytes(reversed(rows)), tuple(color or back), tuple(back)

    def text(self, scale=1):
        """The screen as lines of text; what is no character of the font becomes a question mark in
        braces, which no pattern expects."""
        known = {glyph: chr(code) for code, glyph in enumerate(font.load(), font.FIRST)}
        known[font.BOX] = '\u25a1'
        lines = []
        for row in range(self.height // (font.HEIGHT * scale)):
            cells = (self.cell(row, column, scale)[0]
                     for column in range(self.width // (font.WIDTH * scale)))
            lines.append(''.join(known.get(bits, '{?}') for bits in cells))
        return lines


def vga_text(data):
    """Lines of text from VGA text memory: a character, then its colour."""
    return [data[at:at + 2 * VGA_COLUMNS:2].decode('cp437').replace('\0', ' ')
            for at in range(0, 2 * VGA_COLUMNS * VGA_ROWS, 2 * VGA_COLUMNS)]


def take(monitor, directory):
    """A picture of the screen, by QMP."""
    path = Path(directory) / 'screen.ppm'
    monitor.execute('screendump', filename=str(path))
    picture = Picture.from_ppm(path.read_bytes())
    path.unlink()
    return picture


def take_vga(monitor, directory):
    """The lines of VGA text, by QMP."""
    path = Path(directory) / 'vga.text'
    monitor.execute('pmemsave', val=VGA_TEXT, size=2 * VGA_COLUMNS * VGA_ROWS, filename=str(path))
    data = path.read_bytes()
    path.unlink()
    return vga_text(data)
