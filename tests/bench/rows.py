# SPDX-License-Identifier: MIT
"""The table's rows: what each is called, what Linux takes, what the goal is.

A key says how it was measured (run): insn and wallN are series of the guest's on one and on N CPUs,
bootN and countN a start of N CPUs in time and in instructions.
"""
import dataclasses


@dataclasses.dataclass
class Row:
    """One row. A goal is the most that is allowed, or with at_least the least."""
    key: str
    title: str
    unit: str
    linux: str = ''
    goal: float = None
    at_least: bool = False
    bench: str = ''                 # the guest's benchmark, where the key does not name it
    needs: str = ''                 # another row, without whose goal this one's means nothing

    def __post_init__(self):
        if not self.bench:
            self.bench = self.key.rpartition('/')[2]

    def meets(self, value):
        """Whether that is within the goal."""
        return value >= self.goal if self.at_least else value <= self.goal

    def met(self, results):
        """Whether the goal is met by these results, by key; None without a goal or a result."""
        if self.goal is None or self.key not in results:
            return None
        other = next((row for row in ROWS if row.key == self.needs), None)
        return (self.meets(results[self.key].middle) and
                (other is None or other.met(results) is not False))

    def goal_text(self):
        """The goal with its direction."""
        return '' if self.goal is None else '%s %s' % ('>=' if self.at_least else '<=',
                                                       '{:,g}'.format(self.goal))


# Series whose benchmark has another name.
BENCHES = {'spin-pair-inline': 'spin-pair-dpc', 'queued-pair-dpc': 'queued-pair',
           'irql-pair': 'irql', 'pool-pair': 'pool', 'query-counter': 'counter',
           'query-interrupt-time': 'counter', 'self-to-isr': 'self-to-dpc',
           'self-to-dpc-and-back': 'self-to-dpc', 'isr-to-dpc': 'self-to-dpc',
           'cr8-read': 'cr8', 'cr8-write': 'cr8', 'cli-sti': 'cr8', 'memory-used': 'memory',
           'thread-any8-wait': 'thread-wait', 'thread-timer-pair': 'thread-timer',
           'thread-timer-pair-of-100': 'thread-timer'}


def series(mode, name, title, unit, linux='', goal=None):
    return Row('%s/%s' % (mode, name), title, unit, linux, goal, False, BENCHES.get(name, name))


def instructions(name, title, linux='', goal=None):
    return series('insn', name, title, 'insn', linux, goal)


def nanoseconds(cpus, name, title, linux='', goal=None):
    return series('wall%d' % cpus, name, title, 'ns', linux, goal)


def contention(kind, cpus, goal=None, fair=None, linux=''):
    bench = 'contend-' + kind
    # A high rate is worth nothing if it is that of the few CPUs that happened to run.
    key = 'wall16/%s-%d' % (kind, cpus)
    return [Row(key, '%s lock, %d CPUs contend' % (kind, cpus), '/s', linux, goal, True, bench,
                key + '-fair'),
            Row(key + '-fair', '    slowest CPU of the fastest', 'per mille', '', fair, True,
                bench)]


def threads(cpus):
    """Giving the processor away, in time."""
    rows = [nanoseconds(cpus, 'thread-yield', 'thread switch by yielding, on one CPU of %d' % cpus),
            nanoseconds(cpus, 'thread-event', 'thread to thread by events, one way')]
    if cpus > 1:
        rows += [nanoseconds(cpus, 'thread-event-across', '... from one CPU to another'),
                 nanoseconds(cpus, 'thread-event-anywhere', '... bound to none')]
    return rows + [
        nanoseconds(cpus, 'thread-create', 'thread made, run, ended, joined'),
        series('wall%d' % cpus, 'thread-jitter', 'thread late behind a timer of 1 ms', 'us')]


def pairs(cpus, name, where, shared):
    """What disjoint pairs of threads that wake each other have to do with each other; shared: how
    many CPUs may take a ready lock of a pair that is not theirs."""
    bench = 'thread-pairs' + name
    key = 'wall%d/%s' % (cpus, bench)
    return [Row(key + '-locks', 'thread pairs, %d, each on %s: ready locks per hand-over'
                % (cpus // 2, where), 'locks', bench=bench),
            Row(key + '-outside', '    CPUs that take a ready lock of another pair', 'CPUs', '',
                shared, bench=bench),
            Row(key + '-waitall', '    acquisitions of the wait-all lock', '', '', 0, bench=bench)]


def start(cpus, goal=None, linux=''):
    return [Row('boot%d/firmware' % cpus, 'start of %d CPUs: exec to kernel' % cpus, 'ms'),
            Row('boot%d/kernel' % cpus, '    kernel to first INIT', 'ms'),
            Row('boot%d/aps' % cpus, '    first INIT to all online', 'ms'),
            Row('boot%d/online' % cpus, '    exec to all online', 'ms', linux, goal)]


def counts(cpus):
    return [Row('count%d/boot_all' % cpus, 'start of %d CPUs: boot CPU, kernel entry on' % cpus,
                'insn'),
            Row('count%d/boot_start' % cpus, '    boot CPU, first INIT on', 'insn')]


ROWS = [
    instructions('spin-pair', 'KeAcquireSpinLock + KeReleaseSpinLock', '34', 16),
    instructions('spin-pair-dpc', '... AtDpcLevel + FromDpcLevel', '20', 10),
    instructions('spin-pair-inline', '... the same inline, in the kernel itself'),
    instructions('queued-pair', 'in-stack queued lock, pair'),
    instructions('queued-pair-dpc', '... AtDpcLevel pair'),
    instructions('irql-pair', 'KeRaiseIrql + KeLowerIrql'),
    instructions('dpc-to-running', 'DPC: queued to running', '214', 100),
    instructions('dpc-each-of-100', 'DPC: each of 100 queued and run', '136', 50),
    instructions('dpc-passive', 'DPC: queued at PASSIVE_LEVEL, there and back'),
    instructions('self-to-handler', 'interrupt to oneself, to its handler', '192', 90),
    instructions('self-to-isr', '... to an ISR behind an interrupt object'),
    instructions('self-to-dpc-and-back', '... ISR, its DPC, and back in the thread', '583', 280),
    instructions('isr-to-dpc', 'ISR to its DPC', '223', 110),
    instructions('pool-pair', 'ExAllocatePool2 + ExFreePoolWithTag, 64 bytes'),
    instructions('query-counter', 'KeQueryPerformanceCounter'),
    instructions('query-interrupt-time', 'KeQueryInterruptTime'),
    instructions('thread-yield', 'thread switch by yielding, one CPU', '1,598', 300),
    instructions('thread-event', 'thread to thread by events, one way', '2,501', 700),
    instructions('thread-semaphore', '... by semaphores'),
    instructions('thread-mutex', '... by a mutex: released, waited for'),
    instructions('thread-any8', '... by events, one of them one of eight'),
    instructions('thread-dpc-wake', 'thread woken by a DPC: KeSetEvent to running'),
    instructions('thread-create', 'thread made, run, ended, joined'),
    instructions('thread-yield-alone', 'thread yields, nobody to give way to'),
    instructions('thread-set', 'KeSetEvent, nobody waits'),
    instructions('thread-wait', 'KeWaitForSingleObject, signaled'),
    instructions('thread-any8-wait', 'KeWaitForMultipleObjects, any, the last of eight signaled'),
    instructions('thread-mutex-pair', 'KMUTEX waited for + released, free'),
    instructions('thread-fast-mutex', 'ExAcquireFastMutex + ExReleaseFastMutex, free'),
    instructions('thread-timer-pair', 'KeSetTimer + KeCancelTimer'),
    instructions('thread-timer-pair-of-100', '... beside 99 others'),
    *threads(1), *threads(2), *threads(4),
    *pairs(4, '', 'one CPU', 0), *pairs(8, '', 'one CPU', 0),
    # A CPU that waits is idle, and looks into all queues for work.
    *pairs(4, '-across', 'two CPUs', None), *pairs(8, '-across', 'two CPUs', None),
    nanoseconds(1, 'cr8-read', 'CR8 read, 1 CPU'),
    nanoseconds(1, 'cr8-write', 'CR8 write'),
    nanoseconds(1, 'cli-sti', 'CLI + STI'),
    nanoseconds(1, 'query-counter', 'KeQueryPerformanceCounter'),
    nanoseconds(1, 'spin-pair', 'KeAcquireSpinLock + KeReleaseSpinLock'),
    nanoseconds(1, 'spin-pair-dpc', '... AtDpcLevel + FromDpcLevel'),
    nanoseconds(1, 'dpc-to-running', 'DPC: queued to running'),
    nanoseconds(1, 'self-to-dpc-and-back', 'interrupt to oneself, ISR, DPC, and back'),
    nanoseconds(4, 'dpc-remote-idle', 'DPC to an idle CPU and its answer, 4 CPUs'),
    nanoseconds(4, 'dpc-remote-busy', '... to a busy CPU'),
    nanoseconds(4, 'tlb-shootdown', 'call 3 others and wait (TLB shootdown)'),
    nanoseconds(4, 'call-all', 'KeIpiGenericCall on 4 CPUs: all at once'),
    nanoseconds(16, 'tlb-shootdown', 'call 15 others and wait (TLB shootdown)', '77,000', 38000),
    nanoseconds(16, 'call-all', 'KeIpiGenericCall on 16 CPUs: all at once'),
    *contention('ticket', 2),
    *contention('ticket', 4),
    *contention('ticket', 16, 200000, 900, '10,000'),
    *contention('queued', 2),
    *contention('queued', 4),
    *contention('queued', 16, 200000, 900, '10,000'),
    *start(1), *start(2), *start(4), *start(8), *start(16, 600, '4,100'),
    *counts(1), *counts(2), *counts(4), *counts(8), *counts(16),
    Row('count/growth_boot_all', 'boot CPU, kernel entry on: 16 CPUs to 2', 'times', '', 1.5),
    Row('count/growth_boot_start', 'boot CPU, first INIT on: 16 CPUs to 2', 'times', '', 1.5),
    Row('count/each_ap', 'each AP, in all starts', 'insn'),
    Row('count/ap_spread', '    the most to the least', 'per cent', '', 5),
    Row('ping/1-1', 'ICMP echo, 1 outstanding, 1 CPU', '/s', '44,000', 60000, True),
    Row('ping/1-1-cost', '    host CPU time of the emulator, each', 'us'),
    Row('ping/4-1', 'ICMP echo, 1 outstanding, 4 CPUs', '/s', '44,000', 60000, True),
    Row('ping/4-1-cost', '    host CPU time of the emulator, each', 'us'),
    Row('ping/1-64', 'ICMP echo, 64 outstanding, 1 CPU', '/s', '80,000', 120000, True),
    Row('ping/1-64-cost', '    host CPU time of the emulator, each', 'us'),
    Row('ping/4-64', 'ICMP echo, 64 outstanding, 4 CPUs', '/s', '53,000', 120000, True),
    Row('ping/4-64-cost', '    host CPU time of the emulator, each', 'us'),
    Row('idle/16', 'idle, 16 CPUs, of a host core', 'per cent', '< 1', 1),
    Row('image/loaded', 'image, bytes loaded', 'KiB', '', 300),
    Row('image/kernel', '    without its tests and benchmarks', 'KiB'),
    series('wall16', 'memory-used', 'memory used, 16 CPUs', 'bytes', '', 16 * 1024 * 1024),
]
