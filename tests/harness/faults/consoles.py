# SPDX-License-Identifier: MIT
"""Serial lines that nobody reads, and one that somebody floods.

A line that nobody reads is a pipe of one page, full before the kernel has said much: QEMU then has
no room for the UART's characters, and the guest sees a transmitter that is never empty.
"""
import contextlib
import fcntl
import os
import re

import outside
import qemu
import qmp

PIPE = 'pipe:PRIVATE/line'      # PRIVATE/line.in and PRIVATE/line.out
COM1_STATUS, HOLDING_EMPTY = 0x3FD, 0x20
APIC_ERROR = 0xE2           # a vector whose first arrival is logged
SMALLEST = 4096                 # bytes: a pipe of one page
FILLING = b'~'                  # what is in it already, and in no line of the log


@contextlib.contextmanager
def unread(directory):
    """The two ends of a line that QEMU is about to open. Nobody reads what the guest writes, and
    there is no room for a single character."""
    for end in ('in', 'out'):
        os.mkfifo('%s/line.%s' % (directory, end))
    link = os.open('%s/line.out' % directory, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(link, fcntl.F_SETPIPE_SZ, SMALLEST)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(link, FILLING)
    try:
        yield link
    finally:
        os.close(link)


def read_line(link):
    """What the line holds now."""
    with contextlib.suppress(BlockingIOError):
        return os.read(link, 65536)
    return b''


@outside.scenario('unread-log', append='log=trace', serial=(PIPE, 'file:RESULTS'), before=unread)
def log(guest, out):
    """Row 31: nobody reads COM1: the tests run, and the guest ends by itself."""
    guest.wait_progress(20)
    guest.end_test()
    guest.finish()
    out.result(not read_line(guest.peer).strip(FILLING), 'unread/nothing-got-out')


@outside.scenario('unread-report', test='death/in-dpc', append='log=trace',
                  serial=(PIPE, 'file:RESULTS'), before=unread)
def report(guest, out):
    """Row 31: nobody reads COM1: a bug check's report is lost, but it ends the run."""
    guest.finish(qemu.BUGCHECK)
    out.result(not read_line(guest.peer).strip(FILLING), 'unread/nothing-got-out')


@outside.scenario('unread-then-read', append='log=trace', serial=(PIPE, 'file:RESULTS'),
                  before=unread)
def resumed(guest, out):
    """Row 31: somebody reads at last: the log goes on and says how much is missing."""
    guest.wait_progress(20)
    said = b''

    def look():
        nonlocal said
        said += read_line(guest.peer)
        return re.search(rb'# serial: \d\d+ characters dropped', said)

    def has_room():
        return look() or guest.probe.port_read(COM1_STATUS, 1) & HOLDING_EMPTY
    guest.wait(has_room, 'the UART has room again')
    guest.probe.interrupt(0, APIC_ERROR)        # something to log
    guest.wait(look, 'the log says what is missing')
    out.result(True, 'resumed/says-what-is-missing')
    guest.end_test()
    guest.finish()


LINE = '-chardev socket,id=com%d,path=PRIVATE/com%d,server=on,wait=off,logfile=%s '


@outside.scenario('serial-flood', serial=('chardev:com1', 'chardev:com2'),
                  before=contextlib.nullcontext,
                  extra=LINE % (1, 1, 'LOG') + LINE % (2, 2, 'RESULTS'))
def flood(guest, out):
    """Row 31: both lines get all that they take while the guest works: nothing is disturbed."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(qmp.connect('%s/com%d' % (guest.peer, number)))
                 for number in (1, 2)]
        sent = [0, 0]
        guest.wait_progress()
        for number, line in enumerate(lines):
            line.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while sent[number] < 1 << 20:
                    sent[number] += line.send(b'flood\r\n\0\xff\x03' * 400)
        guest.wait_progress(20)
        out.result(min(sent) > 1024, 'flood/everybody-gets-on')
        out.comment('COM1 and COM2 were sent %s bytes' % sent)
        guest.end_test()
        guest.finish()
