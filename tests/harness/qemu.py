#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The QEMU command line, in one place: every run of the kernel under QEMU is built here.

As a library: Guest says what machine and what boot; command() turns it into an argument list;
status_name() reads QEMU's exit status. As a program it runs one guest on this terminal, or prints
the command (--print). The kernel's log is on COM1, its TAP on COM2.
"""
import argparse
import dataclasses
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import bootinfo

TOP = Path(__file__).resolve().parents[2]

# What the guest wrote to the isa-debug-exit port, as QEMU's exit status (value * 2 + 1).
PASS, FAIL, BUGCHECK, UNSUPPORTED = 33, 35, 37, 39
TIMEOUT = 124
REFUSED = 125           # ours: the guest said that it cannot boot, and was ended
STATUS = {
    PASS: 'all tests passed',
    FAIL: 'a test failed',
    BUGCHECK: 'bugcheck',
    UNSUPPORTED: 'unsupported',
    TIMEOUT: 'timed out',
    REFUSED: 'said that it cannot boot',
    0: 'the guest reset or powered off (a triple fault resets)',
    1: 'QEMU could not start',
}

GUEST_ADDRESS = '10.0.2.15'
GUEST_MACS = ['52:54:00:12:34:56', '52:54:00:12:34:57']
ECHO_PORT = 5007        # host UDP port forwarded to the guest's echo port; the peer's two follow it

OVMF = [                # (code, variables), Debian and Ubuntu first
    ('/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'),
    ('/usr/share/OVMF/OVMF_CODE.fd', '/usr/share/OVMF/OVMF_VARS.fd'),
    ('/usr/share/edk2/x64/OVMF_CODE.4m.fd', '/usr/share/edk2/x64/OVMF_VARS.4m.fd'),
    ('/usr/share/edk2/ovmf/OVMF_CODE.fd', '/usr/share/edk2/ovmf/OVMF_VARS.fd'),
]


@dataclasses.dataclass
class Guest:
    """One machine and how it boots. Strings are QEMU's own spelling."""
    boot: str = 'kernel'            # kernel (PVH, -kernel), loader (bootinfo.py), or an ISO as
                                    # iso (a CD), usb (a stick) or nvme
    image: str = ''                 # '' = build/$BUILD/interlock.elf or .iso
    append: str = ''                # kernel options; an ISO carries its own
    firmware: str = 'bios'          # bios (SeaBIOS) or uefi (OVMF; needs an ISO)
    machine: str = 'pc'             # pc, q35, with properties: q35,hpet=off
    smp: str = '1'                  # 4, or 6,sockets=2,cores=3,threads=1
    memory: str = '256M'
    cpu: str = 'max'
    nic: str = 'e1000'              # e1000, e1000e, none
    net: str = 'user'               # user, peer (raw Ethernet) or both; see network()
    port: int = ECHO_PORT
    accel: str = ''                 # '' = $ACCEL, or what this host can do
    icount: str = ''                # e.g. shift=0,sleep=off: one host thread, counted instructions
    tables: str = ''                # ACPI tables of tables.py: by GRUB, or by boot=loader
    structure: str = ''             # boot=loader: the structure of bootinfo.py (default: sorted)
    grub: str = ''                  # an ISO's: commands for GRUB before the kernel, as in grub.cfg
    entry: str = ''                 # an ISO's: the menu entry, as tools/make-iso takes it
    com1: str = ''                  # none: the machine has no first serial port
    extra: str = ''                 # more QEMU arguments, as a shell would split them

    def cpus(self):
        """How many CPUs the guest starts with."""
        return int(re.match(r'(?:cpus=)?(\d+)', self.smp).group(1))


def add_arguments(parser):
    """Gives an argument parser one option for each field of Guest."""
    group = parser.add_argument_group('machine')
    for field in dataclasses.fields(Guest):
        choices = {'boot': ('kernel', 'loader', 'iso', 'usb', 'nvme'), 'firmware': ('bios', 'uefi'),
                   'net': ('user', 'both', 'peer')}.get(field.name)
        group.add_argument('--' + field.name, default=field.default, type=field.type,
                           choices=choices, metavar=None if choices else field.name.upper(),
                           help='default: %s' % (field.default or 'none'))


def from_arguments(args):
    """The Guest that options added by add_arguments() describe."""
    return Guest(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Guest)})


def output_directory():
    """build/$BUILD, where the kernel and its ISO are."""
    return TOP / 'build' / os.environ.get('BUILD', 'checked')


def image(guest):
    """The file that the guest boots from, as a path."""
    name = 'interlock.elf' if guest.boot in ('kernel', 'loader') else 'interlock.iso'
    return Path(guest.image) if guest.image else output_directory() / name


def make_iso(guest, iso, *more, kernel=None):
    """Writes the image at iso: no menu, the guest's options on the kernel's command line; more is
    what else tools/make-iso takes."""
    made = subprocess.run([str(TOP / 'tools/make-iso'), '--timeout', '0', '--append', guest.append,
                           *map(str, more), str(kernel or output_directory() / 'interlock.elf'),
                           str(iso)], check=False)
    if made.returncode:
        raise SystemExit('tools/make-iso failed')


def accelerator(wanted=''):
    """kvm or tcg. KVM needs a CPU with hardware virtualization too: emulated KVM is slower."""
    wanted = wanted or os.environ.get('ACCEL', '') or 'auto'
    if wanted != 'auto':
        return wanted
    try:
        capable = re.search(r'\b(vmx|svm)\b', Path('/proc/cpuinfo').read_text())
    except OSError:
        capable = None
    return 'kvm' if capable and os.access('/dev/kvm', os.R_OK | os.W_OK) else 'tcg'


def firmware(guest, scratch):
    """Arguments for OVMF with its own copy of the variables; nothing for SeaBIOS."""
    if guest.firmware == 'bios':
        return []
    found = [pair for pair in OVMF if all(map(os.path.exists, pair))]
    if not found:
        raise SystemExit('no OVMF firmware found: tools/packages install run')
    code, template = found[0]
    variables = Path(scratch) / 'OVMF_VARS.fd'
    shutil.copyfile(template, variables)
    return ['-drive', 'if=pflash,format=raw,unit=0,readonly=on,file=' + code,
            '-drive', 'if=pflash,format=raw,unit=1,file=%s' % variables]


def network(guest):
    """The NICs and what each is plugged into.

    user: QEMU's user network, closed; peer: a raw Ethernet peer, which is a pair of UDP ports on
    127.0.0.1, one datagram a frame (QEMU's end is port + 1, ping.py's port + 2); both: two NICs,
    one on each, the user network with host UDP port `port` forwarded to the guest's UDP echo. The
    two are not joined by a hub: there the user network would pass the peer's frames on to the
    host's network, and restricted (restrict=on) it drops the guest's UDP replies.
    """
    if guest.nic == 'none':
        return ['-nic', 'none']
    both = guest.net == 'both'
    forward = 'hostfwd=udp:127.0.0.1:%d-%s:7' % (guest.port, GUEST_ADDRESS)
    backends = {'user': 'user,id=user0,' + (forward if both else 'restrict=on'),
                'peer': 'dgram,id=peer0,local.type=inet,local.host=127.0.0.1,local.port=%d,'
                        'remote.type=inet,remote.host=127.0.0.1,remote.port=%d'
                        % (guest.port + 1, guest.port + 2)}
    arguments = []
    for number, net in enumerate(['user', 'peer'] if both else [guest.net]):
        # Without its boot ROM the NIC costs no time before the kernel.
        arguments += ['-netdev', backends[net], '-device', '%s,netdev=%s0,mac=%s,romfile='
                      % (guest.nic, net, GUEST_MACS[number])]
    return arguments


def boot(guest, scratch):
    """Arguments that name the boot medium."""
    path = str(image(guest))
    if guest.boot == 'loader':
        return bootinfo.arguments(guest, path, scratch)
    if guest.boot == 'kernel':
        return ['-kernel', path] + (['-append', guest.append] if guest.append else [])
    if guest.boot == 'iso':
        return ['-cdrom', path]
    device = {'usb': ['-device', 'qemu-xhci', '-device', 'usb-storage,drive=disk'],
              'nvme': ['-device', 'nvme,serial=1,drive=disk']}[guest.boot]
    return ['-drive', 'if=none,id=disk,format=raw,readonly=on,file=' + path] + device


def command(guest, scratch, serial, display='none'):
    """The QEMU argument list. scratch: a directory for its files; serial: COM1, COM2, as -serial
    takes them, or nothing: neither is there."""
    if guest.firmware == 'uefi' and guest.boot in ('kernel', 'loader'):
        raise SystemExit('UEFI needs an ISO: QEMU loads no ELF kernel through OVMF')
    arguments = [os.environ.get('QEMU', 'qemu-system-x86_64'),
                 '-machine', guest.machine, '-accel', accelerator(guest.accel), '-cpu', guest.cpu,
                 '-smp', guest.smp, '-m', guest.memory, '-display', display, '-no-reboot',
                 '-device', 'isa-debug-exit,iobase=0xf4,iosize=4']
    if guest.icount:
        arguments += ['-icount', guest.icount]
    arguments += firmware(guest, scratch) + boot(guest, scratch) + network(guest)
    for port in (guest.com1 or serial[0], serial[1]) if serial else ():
        arguments += ['-serial', port]
    return arguments + shlex.split(guest.extra)


def free_port(start=ECHO_PORT):
    """The first UDP port of 127.0.0.1 from `start` on, in tens, that is free with the next two."""
    for first in range(start, 65000, 10):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(('127.0.0.1', first + offset))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise SystemExit('no free UDP ports on 127.0.0.1')


def status_name(status):
    """What QEMU's exit status says about the guest."""
    if status < 0:
        return 'QEMU was ended by signal %d' % -status
    return STATUS.get(status, 'exit status %d' % status)


def main():
    parser = argparse.ArgumentParser(description='Run one guest, its log on this terminal.')
    add_arguments(parser)
    parser.add_argument('--tap', default='null', help='COM2, as -serial takes it (default: null)')
    parser.add_argument('--timeout', type=float, help='seconds')
    parser.add_argument('--print', action='store_true', help='print the command, run nothing')
    args = parser.parse_args()
    scratch = output_directory() / 'qemu'
    scratch.mkdir(parents=True, exist_ok=True)
    line = command(from_arguments(args), scratch, ('mon:stdio', args.tap))
    if args.print:
        print(shlex.join(line))
        return 0
    try:
        status = subprocess.run(line, timeout=args.timeout, check=False).returncode
    except subprocess.TimeoutExpired:
        status = TIMEOUT
    print('%d: %s' % (status, status_name(status)), file=sys.stderr)
    return status


if __name__ == '__main__':
    sys.exit(main())
