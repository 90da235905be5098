# SPDX-License-Identifier: MIT
"""Machine checks, by the human monitor's mce command: CPU, bank, status, global status, address,
miscellaneous."""
import outside

MACHINE_CHECK_EXCEPTION = 0x9C
VALID, UNCORRECTED, ENABLED = 1 << 63, 1 << 61, 1 << 60
MISC, ADDRESS, CORRUPT = 1 << 59, 1 << 58, 1 << 57
IN_PROGRESS, RESTARTABLE = 4, 1


def inject(guest, cpu, bank, status, globally, address, misc, broadcast=''):
    """Has CPU report that error, or with '-b' all of them; what QEMU objects to is a Failure."""
    said = guest.monitor.human('mce %s %d %d %#x %#x %#x %#x'
                               % (broadcast, cpu, bank, status, globally, address, misc))
    if said.strip():
        raise outside.Failure('QEMU: ' + said.strip())


@outside.scenario('machine-check')
def fatal(guest, out):
    """Row 17: an uncorrected error: bug check 0x9C with bank and status, all CPUs stopped."""
    guest.counters()
    status = VALID | UNCORRECTED | ENABLED | MISC | ADDRESS | CORRUPT | 0x1234
    inject(guest, 2, 5, status, IN_PROGRESS, 0xABCDE000, 0x77)
    guest.bugcheck(MACHINE_CHECK_EXCEPTION,
                   r'CPU 2 bank 5 status be00000000001234 address abcde000 misc 77')
    out.result(r'(0x5, 0x' in guest.log() and ', 0xBE000000, 0x1234)' in guest.log(),
               'the parameters are bank, record and the halves of the status')
    stopped = all('CPU %d IRQL' % cpu in guest.log() for cpu in range(4))
    out.result(stopped and 'did not stop' not in guest.log(), 'all CPUs have stopped')


@outside.scenario('machine-check-all')
def everywhere(guest, out):
    """Row 17: an uncorrected error that all CPUs see at once, as Intel's do: one report."""
    guest.counters()
    inject(guest, 1, 4, VALID | UNCORRECTED | ENABLED | 0x7, IN_PROGRESS, 0, 0, '-b')
    guest.bugcheck(MACHINE_CHECK_EXCEPTION, r'machine check: fatal: CPU \d bank')


@outside.scenario('corrected-error')
def corrected(guest, out):
    """Row 17: a corrected error is logged with bank and status, and nothing else happens."""
    guest.counters()
    inject(guest, 1, 3, VALID | ENABLED | ADDRESS | 0x9F, 0, 0x12345000, 0)
    guest.wait_log(r'machine check: corrected by the hardware: CPU 1 bank 3 status '
                   r'940000000000009f address 12345000')
    out.result(True, 'corrected/logged')
    guest.wait_progress()
    out.result(guest.log().count('corrected by the hardware') == 1, 'corrected/once')
    guest.end_test()
    guest.finish()


@outside.scenario('error-before-start', extra='-S')
def before(guest, out):
    """Row 17: what a bank held before the start is logged, cleared, and no reason to stop."""
    inject(guest, 0, 4, VALID | ENABLED | 0x42, 0, 0, 0)
    guest.monitor.execute('cont')
    guest.wait_log(r'machine check: left from before this start: CPU 0 bank 4 status '
                   r'9000000000000042')
    out.result(True, 'before/logged')
    guest.wait_progress()
    out.result('corrected by the hardware' not in guest.log(), 'before/cleared')
    guest.end_test()
    guest.finish()
