# SPDX-License-Identifier: MIT
"""NMIs from outside, to every CPU at once, wherever each is."""
import outside

NMI_HARDWARE_FAILURE = 0x80


def nmis(guest, out, count):
    """Count NMIs, one after the other: each CPU counts each, and goes on."""
    before = guest.counters()
    for number in range(1, count + 1):
        guest.monitor.execute('inject-nmi')
        guest.wait(lambda n=number: all(guest.probe.read(cpu['nmis_at'], 8) >= cpu['nmis'] + n
                                        for cpu in before),
                   'NMI %d is counted by every CPU' % number)
    got = [n['nmis'] - b['nmis'] for n, b in zip(guest.counters(), before)]
    out.result(set(got) == {count}, 'nmi/counted')
    out.comment('%d sent; counted: %s' % (count, got))
    for _ in range(200):
        guest.monitor.execute('inject-nmi')
    guest.wait_progress(5)
    out.result(True, 'nmi/everybody-gets-on')
    places = guest.wait_log(r'NMI: \d+ on this CPU so far; the last came at IRQL \d+ in \w+\+0x')
    out.result(places is not None, 'nmi/reported')
    guest.end_test()
    guest.finish()


@outside.scenario('nmis')
def some(guest, out):
    """Row 16: 100 NMIs, to all CPUs at work: survived, counted, reported now and then."""
    nmis(guest, out, 100)


@outside.scenario('nmis-1000')
def many(guest, out):
    """Row 16: 1000 NMIs."""
    nmis(guest, out, 1000)


@outside.scenario('nmi-panic', append='nmi=panic')
def panic(guest, out):
    """Row 16: nmi=panic makes an NMI bug check 0x80; it shows where every CPU was."""
    guest.counters()
    guest.monitor.execute('inject-nmi')
    guest.bugcheck(NMI_HARDWARE_FAILURE)
    out.result(all('CPU %d IRQL' % cpu in guest.log() for cpu in range(4)), 'every CPU is shown')
