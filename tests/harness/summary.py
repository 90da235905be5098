# SPDX-License-Identifier: MIT
"""What a whole test run did, in one paragraph, from the TAP that it left behind."""
import re
import textwrap

import configs
import tap


class Outcome:
    """One saved stream."""

    def __init__(self, path):
        self.name = path.stem
        reader = tap.Reader()
        text = path.read_text('utf-8', 'replace')
        for line in text.splitlines():
            reader.feed(line)
        self.results = reader.results
        took = re.search(r'^# took ([0-9.]+) s, exit status (-?\d+)', text, re.MULTILINE)
        self.seconds = float(took[1]) if took else 0.0
        self.sound = bool(took and took[2] == '0')


def several(number, noun):
    """1 boot, 2 boots"""
    return '%d %s%s' % (number, noun, '' if number == 1 else 's')


def guests(outcomes, table):
    """Sentences about the guest runs."""
    runs = []
    for outcome in outcomes:
        if outcome.name.startswith('guest.'):
            runs.append((configs.find(outcome.name[6:], table), outcome))
    if not runs:
        return []
    suites = [(c, o) for c, o in runs if c.kind() == 'suite']
    names = {result.name for _, o in suites for result in o.results
             if not result.name.startswith('boot/') and result.directive != 'skip'}
    counts = sorted({c.cpus() for c, _ in runs})
    machines = sorted({c.get('machine', 'pc').split(',')[0] for c, _ in runs})
    media = sorted({c.get('boot', 'kernel') + (' under UEFI' if c.get('firmware') == 'uefi' else '')
                    for c, _ in runs})
    text = ['In guests: %s in %s, %s from %s.' % (
        several(sum(len(o.results) for _, o in runs), 'result'), several(len(runs), 'boot'),
        several(len(names), 'different test'), several(len(suites), 'configuration')),
        'CPUs: %s; machines: %s; booted from: %s.' % (
            ' '.join(map(str, counts)), ', '.join(machines), ', '.join(media))]
    for kind, words in (('death', 'Death tests that stopped as promised: %d of %d.'),
                        ('twin', 'Broken twins that were caught: %d of %d.'),
                        ('ping', 'Pinged from outside: %d of %d.'),
                        ('screen', 'Screens looked at: %d of %d.'),
                        ('fault', 'Faults from outside that ended as promised: %d of %d.'),
                        ('reboot', 'Restarts and ends of power: %d of %d.'),
                        ('bochs', 'Runs on the second emulator: %d of %d.')):
        those = [o for c, o in runs if c.kind() == kind]
        if those:
            text.append(words % (sum(o.sound for o in those), len(those)))
    return text


def machines(files, table=configs.TABLE):
    """One line for each configuration with a group: name, what it is, result, seconds."""
    outcomes = {outcome.name: outcome for outcome in map(Outcome, files)}
    lines = []
    for group in configs.GROUPS:
        chosen = [config for config in configs.load(table) if config.group() == group]
        known = [(config, outcomes['guest.' + config.name]) for config in chosen
                 if 'guest.' + config.name in outcomes]
        if not known:
            continue
        passed = sum(outcome.sound for _, outcome in known)
        lines.append('\n%s: %d of %d' % (group, passed, len(known)))
        for config, outcome in known:
            skipped = any(r.directive == 'skip' and r.name.startswith('boot/')
                          for r in outcome.results)
            result = 'skip' if skipped else 'pass' if outcome.sound else 'FAIL'
            what = textwrap.shorten(config.describe(), 64, placeholder=' ...')
            lines.append('  %-22s %-64s %s %6.1f s' % (config.name, what, result, outcome.seconds))
    return '\n'.join(lines)


def paragraph(files, table=configs.TABLE):
    """The summary of the saved TAP files; its last line is the total."""
    outcomes = [Outcome(path) for path in files]
    results = [result for outcome in outcomes for result in outcome.results]
    failed = sum(result.failed() for result in results)
    skipped = sum(result.directive == 'skip' for result in results)
    hosts = [o for o in outcomes if not o.name.startswith('guest.')]
    text = guests(outcomes, table)
    if hosts:
        text.insert(0, 'On the host: %s from %s.' % (
            several(sum(len(o.results) for o in hosts), 'result'), several(len(hosts), 'program')))
    unsound = [o.name for o in outcomes if not o.sound]
    if unsound:
        text.append('Failed: %s.' % ', '.join(unsound))
    slow = sorted(outcomes, key=lambda o: -o.seconds)[:3]
    text.append('Slowest: %s.' % ', '.join('%s %.0f s' % (o.name, o.seconds) for o in slow))
    passed = len(results) - failed - skipped
    return '\n%s\ntotal: %d passed, %d failed, %d skipped' % (
        textwrap.fill(' '.join(text), 100, break_on_hyphens=False), passed, failed, skipped)
