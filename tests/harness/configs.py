# SPDX-License-Identifier: MIT
"""The test configurations: reads matrix.txt, selects from it, turns one into a command line."""
import fnmatch
import os
import re
import shlex
import time
from pathlib import Path

import qemu
import tables

HERE = Path(__file__).resolve().parent
TABLE = HERE / 'matrix.txt'
TWINS = qemu.TOP / 'kernel/ke/twin.h'
MACHINE = ('smp', 'image', 'machine', 'boot', 'firmware', 'memory', 'cpu', 'nic', 'icount',
           'tables', 'structure', 'grub', 'entry', 'com1', 'extra')
OTHER = ('tests', 'append', 'fault', 'timeout', 'tier', 'bugcheck', 'fails', 'log', 'may-skip',
         'kind', 'build', 'seeds', 'scenario', 'refuses', 'group', 'what')
RUNNERS = ('ping', 'screen', 'fault', 'reboot', 'bochs')     # kinds with a run-KIND of their own
GROUPS = ('machines', 'firmware', 'memory', 'devices', 'media', 'screens', 'power', 'bochs')
# What shows that a machine works.
SMOKE = 'ke/processor*,ke/time-*,ke/ipi*,ke/irql-L*,mm/*,kd/*,nic/*'
ALONE = 8               # from this many CPUs on, a run gets the host to itself


SEEDED = re.compile(r'(.+)-seed(\d+)')


class Config:
    """One configuration: a name and what its line says. A name that ends in -seedN runs with that
    seed."""

    def __init__(self, name, values):
        self.name, self.values = name, values

    def get(self, key, default=''):
        """What the line says about key."""
        return self.values.get(key, default)

    def seeded(self, seed):
        """The same with a seed of its own."""
        return Config('%s-seed%d' % (self.name, seed), self.values)

    def seeds(self):
        """It once for each of its seeds: the first is 1, the others are the time's."""
        count = int(self.get('seeds', '0'))
        now = int(time.time())
        chosen = [1] + list(range(now, now + count - 1)) if count else []
        return [self.seeded(seed) for seed in chosen] or [self]

    def cpus(self):
        """How many CPUs it boots."""
        return qemu.Guest(smp=self.get('smp', '1')).cpus()

    def builds(self):
        """The builds that it is for: broken twins exist in checked ones only."""
        return self.get('build', 'checked' if self.get('fault') else 'checked free').split()

    def group(self):
        """Its place in the table of machines, or ''."""
        by_kind = {'screen': 'screens', 'reboot': 'power', 'bochs': 'bochs'}
        return self.get('group') or by_kind.get(self.kind(), '')

    def describe(self):
        """What machine this is, in a few words."""
        if self.get('what'):
            return self.get('what')
        if self.get('tables'):
            return tables.FIXTURES[self.get('tables')].title
        if self.get('structure'):
            return 'boot structure: ' + self.get('structure').replace('-', ' ')
        media = {'kernel': '', 'iso': 'CD', 'usb': 'USB stick', 'nvme': 'NVMe disk'}
        firmware = {'uefi': 'UEFI'}.get(self.get('firmware'), '')
        smp = self.get('smp', '1')
        parts = [smp + (' CPU' if smp == '1' else ' CPUs') if smp.isdigit() else '-smp ' + smp,
                 self.get('machine', 'pc').replace(',', ', '), self.get('memory'),
                 self.get('cpu') and 'CPU ' + self.get('cpu'), firmware,
                 media.get(self.get('boot', 'kernel'), self.get('boot')),
                 self.get('nic') and 'NIC ' + self.get('nic'),
                 self.get('icount') and 'counted instructions', self.get('extra'),
                 self.kind() in RUNNERS and self.kind() + ' ' + self.get('scenario')]
        return ', '.join(part.strip() for part in parts if part)

    def alone(self):
        """True if nothing else should run beside it."""
        return self.cpus() >= ALONE

    def kind(self):
        """suite, death, twin, or one of RUNNERS: what its results mean."""
        if self.get('kind') in RUNNERS:
            return self.get('kind')
        if self.get('fails'):
            return 'twin'
        return 'death' if self.get('bugcheck') else 'suite'

    def command(self, tests=''):
        """The command line that runs it. tests replaces the line's own choice."""
        own = self.kind() in RUNNERS
        line = [str(HERE / ('run-' + self.kind() if own else 'run-guest')), '--name', self.name]
        for key in MACHINE:
            if self.get(key):
                line += ['--%s=%s' % (key, self.get(key))]
        append = ' '.join(filter(None, [self.get('append'),
                                        self.get('fault') and 'fault=' + self.get('fault')]))
        line += ['--append=' + append] if append else []
        line += ['--timeout', self.get('timeout')] if self.get('timeout') else []
        if own:
            line += ['--scenario', self.get('scenario')] if self.get('scenario') else []
            for result in self.get('fails').split():
                line += ['--expect-fail', result]
            line += ['--test', tests or self.get('tests')] if self.get('tests') else []
            return line + (['--expect-log', self.get('log')] if self.get('log') else [])
        seed = SEEDED.fullmatch(self.name)
        line += ['--seed=' + seed[2]] if seed else []
        line += ['--test', tests or self.get('tests', SMOKE)]
        line += ['--expect-bugcheck', self.get('bugcheck')] if self.get('bugcheck') else []
        for test in self.get('fails').split():
            line += ['--expect-fail', test]
        line += ['--expect-log', self.get('log')] if self.get('log') else []
        line += ['--expect-refusal', self.get('refuses')] if self.get('refuses') else []
        return line + (['--may-skip'] if self.get('may-skip') == 'yes' else [])


def counts(text):
    """'1 2 5-7' -> the strings 1 2 5 6 7; anything with properties stays one string."""
    out = []
    for word in text.split():
        span = re.fullmatch(r'(\d+)-(\d+)', word)
        out += map(str, range(int(span[1]), int(span[2]) + 1)) if span else [word]
    return out


def rows(table=TABLE):
    """The table's lines as (name pattern, values)."""
    for number, line in enumerate(Path(table).read_text().splitlines(), 1):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        values = dict(word.partition('=')[::2] for word in words[1:])
        unknown = [key for key in values if key not in MACHINE + OTHER]
        if unknown:
            raise SystemExit('%s:%d: unknown key %s' % (table, number, ' '.join(unknown)))
        if values.get('group', GROUPS[0]) not in GROUPS:
            raise SystemExit('%s:%d: unknown group %s' % (table, number, values['group']))
        if not re.fullmatch(r'[a-z0-9{}-]+', words[0]):
            raise SystemExit('%s:%d: %s: a name is of a-z, 0-9 and -' % (table, number, words[0]))
        yield words[0], values


def load(table=TABLE):
    """All configurations, in the table's order."""
    configs = []
    for pattern, values in rows(table):
        for smp in counts(values.get('smp', '1')):
            configs.append(Config(pattern.replace('{}', smp), {**values, 'smp': smp}))
    names = [config.name for config in configs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SystemExit('%s: named twice: %s' % (table, ' '.join(sorted(twice))))
    return configs


def find(name, table=TABLE):
    """The configuration of that name. suite-{} may have any number of CPUs, also one not listed;
    -seedN behind any name is a seed."""
    seed = SEEDED.fullmatch(name)
    if seed:
        return find(seed[1], table).seeded(int(seed[2]))
    for config in load(table):
        if config.name == name:
            return config
    for pattern, values in rows(table):
        number = re.fullmatch(re.escape(pattern).replace(r'\{\}', r'(\d+)'), name)
        if number and '{}' in pattern:
            return Config(name, {**values, 'smp': number[1]})
    raise SystemExit('no configuration is named %s: see tests/harness/matrix list' % name)


def machines(table=TABLE):
    """The names of those with a group, of every tier: make test-machines."""
    return [config.name for config in load(table) if config.group()
            and os.environ.get('BUILD', 'checked') in config.builds()]


def select(tier='test', smp='', glob='', table=TABLE):
    """(names, tests) to run.

    Without smp and glob: the tier's configurations, as they stand. With a glob that matches names
    of configurations: those. Otherwise the whole suite on `smp` CPUs, only the tests that glob
    matches; tests is then that glob.
    """
    configs = [c for c in load(table) if os.environ.get('BUILD', 'checked') in c.builds()]
    named = [one.name for config in configs if glob and fnmatch.fnmatch(config.name, glob)
             for one in config.seeds()]
    seed = SEEDED.fullmatch(glob)
    if seed and not named:
        named = [config.seeded(int(seed[2])).name for config in configs
                 if fnmatch.fnmatch(config.name, seed[1])]
    if named and glob != '*':
        return named, ''
    if smp or glob:
        listed = [config.get('smp') for config in configs if config.name.startswith('suite-')]
        return ['suite-' + number for number in counts(smp) or listed], glob
    chosen = [c for c in configs if tier == 'long' or c.get('tier', 'test') == 'test']
    return [one.name for c in sorted(chosen, key=Config.alone) for one in c.seeds()], ''


def check(table=TABLE):
    """What is wrong with the table beside the kernel: a list of sentences."""
    tested = {config.get('fault') for config in load(table)} - {''}
    twins = set(re.findall(r'Twin\(KiTwin\w+,\s*"([^"]+)"', TWINS.read_text()))
    return (['broken twin %s has no configuration that catches it' % name
             for name in sorted(twins - tested)] +
            ['fault=%s names no broken twin of %s' % (name, TWINS.relative_to(qemu.TOP))
             for name in sorted(tested - twins)])
