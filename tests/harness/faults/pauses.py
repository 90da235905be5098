# SPDX-License-Identifier: MIT
"""Time that the guest does not see pass: a virtual machine that is paused, an emulator that is
stopped like any process."""
import os
import signal
import time

import outside

PAUSE = 5               # seconds


def check(guest, out, name):
    """Nobody has raised an alarm, everybody goes on."""
    guest.wait_progress(5)
    out.result(True, name + '/everybody-gets-on')
    out.result('***' not in guest.log(), name + '/no-alarm')


@outside.scenario('paused')
def paused(guest, out):
    """Row 15: stop and cont, three times: timers expire once, no watchdog, time never goes back."""
    guest.wait_progress()
    for _ in range(3):
        guest.monitor.execute('stop')
        time.sleep(1)           # the guest's clocks stand still: nothing is hidden by this
        guest.monitor.execute('cont')
        check(guest, out, 'paused')
    guest.end_test()
    guest.finish()


@outside.scenario('stopped-emulator')
def stopped(guest, out):
    """Row 34: SIGSTOP to QEMU for five seconds: no false alarm, the gap is reported."""
    guest.wait_progress()
    os.kill(guest.process.pid, signal.SIGSTOP)
    time.sleep(PAUSE)
    os.kill(guest.process.pid, signal.SIGCONT)
    check(guest, out, 'stopped')
    gap = guest.wait_log(r'clock: an interrupt is (\d+) ms late')
    out.result(int(gap[1]) >= 1000, 'stopped/gap-reported')
    out.comment('the guest saw a gap of %s ms' % gap[1])
    guest.end_test()
    guest.finish()
