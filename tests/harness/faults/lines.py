# SPDX-License-Identifier: MIT
"""Interrupt lines that misbehave: stuck, storming, shared, and never asked for. QEMU's edu device
raises its line when register 60h is written and lowers it at 64h."""
import outside

RAISE, ACKNOWLEDGE = 0x60, 0x64
SHARED = '-device edu,addr=3 -device edu,addr=7'    # the same line on i440fx: (slot - 1) mod 4


def registers(guest, slot):
    """The physical address of an edu's registers."""
    for device in guest.monitor.execute('query-pci')[0]['devices']:
        if device['slot'] == slot:
            return device['regions'][0]['address']
    raise outside.Failure('no device in slot %d' % slot)


def wait_edus(guest, condition, what):
    """Waits until condition(edus) is true; the edus."""
    def look():
        edus = guest.desk().edus()
        return edus if condition(edus) else None
    return guest.wait(look, what)


def storms(guest):
    """How often lines have been masked for a storm."""
    return guest.counters()[0]['storms']


def check_works(guest, out, name, slots):
    """Each device raises its line 20 times, one after the other, and its ISR claims each."""
    for number, slot in enumerate(slots):
        base = registers(guest, slot)
        for _ in range(20):
            claims = guest.desk().edus()[number][3]
            guest.probe.write(base + RAISE, 1)
            wait_edus(guest, lambda edus, n=number, c=claims: edus[n][3] > c,
                      'the ISR of slot %d claims' % slot)
    out.result(True, name)


@outside.scenario('stuck-line', extra=SHARED)
def stuck(guest, out):
    """Rows 6, 7: a shared line that nobody lowers: masked, named, tried again; others go on."""
    guest.wait_log('edu in slot 7 is on GSI')
    desk = guest.desk()
    check_works(guest, out, 'line/works-before', (3, 7))
    desk.wish(desk.NOTHING, desk.DEAF)
    before = desk.edus()
    guest.probe.write(registers(guest, 3) + RAISE, 1)
    guest.wait_log(r'interrupt storm: GSI %d .*line masked' % before[0][0])
    out.result(True, 'line/masked-and-named')
    guest.wait_progress()
    out.result(True, 'line/others-go-on')
    times = guest.wait(lambda: storms(guest) >= 4 and storms(guest), 'the line is tried again')
    calls = [edu[2] - b[2] for edu, b in zip(desk.edus(), before)]
    out.result(min(calls) >= 100 * 3 and max(calls) - min(calls) <= 1, 'line/all-ISRs-called')
    out.comment('masked %d times; the ISRs of slots 3 and 7 were called %s times' % (times, calls))
    guest.probe.write(registers(guest, 3) + ACKNOWLEDGE, 1)
    desk.wish(desk.NOTHING)
    check_works(guest, out, 'line/works-again', (3, 7))
    guest.end_test()
    guest.finish()


@outside.scenario('interrupt-storm', extra='-device edu,addr=3')
def storm(guest, out):
    """Row 6: a device that raises again as fast as it is served: nothing else is lost."""
    guest.wait_log('edu in slot 3 is on GSI')
    desk, base = guest.desk(), registers(guest, 3)
    before = desk.edus()[0]
    for _ in range(3000):
        guest.probe.write(base + RAISE, 1)
    guest.wait_progress()
    claims = desk.edus()[0][3] - before[3]
    out.result(claims > 0 and storms(guest) == 0, 'storm/served-not-masked')
    out.comment('raised 3000 times, claimed %d times' % claims)
    check_works(guest, out, 'storm/works-after', (3,))
    guest.end_test()
    guest.finish()


@outside.scenario('nobody-s-line', extra='-device edu,addr=4')
def nobodys(guest, out):
    """Row 8: a device without a driver raises its line: masked by default, nothing arrives."""
    guest.desk()
    base = registers(guest, 4)
    before = guest.counters()
    guest.probe.write(base + RAISE, 1)
    guest.wait_progress(20)
    raised = guest.probe.read(base + 0x24)
    now = guest.counters()
    quiet = all(n[key] == b[key] for n, b in zip(now, before)
                for key in ('unclaimed', 'spurious', 'storms'))
    out.result(raised == 1, 'line/is-up')
    out.result(quiet, 'line/nothing-arrives')
    guest.end_test()
    guest.finish()
