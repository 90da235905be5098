# SPDX-License-Identifier: MIT
"""TAP 13, read and written: the one format of every test result here.

Reader takes lines apart and remembers what is wrong with a stream as a whole; Writer numbers
results and writes the plan. Flat `suite/case` names; indented lines are diagnostics.
"""
import re
import sys

RESULT = re.compile(r'^(not )?ok\b[ \t]*(\d+)?[ \t]*(?:- )?(.*)$')
PLAN = re.compile(r'^1\.\.(\d+)[ \t]*(#.*)?$')
DIRECTIVE = re.compile(r'(?:^|\s)#\s*(skip|todo)\S*\s*(.*)$', re.IGNORECASE)
VERSION = re.compile(r'^(TAP version|KTAP version) \d+')
ESCAPE = re.compile(r'\x1b\[[0-9;=?]*[A-Za-z]|\r')


def clean(line):
    """A line without what only a terminal needs."""
    return ESCAPE.sub('', line).rstrip('\n')


class Result:
    """One test's verdict."""

    def __init__(self, passed, name, directive='', reason=''):
        self.passed, self.name = passed, name
        self.directive, self.reason = directive, reason

    def failed(self):
        """True for a plain `not ok`: a TODO may fail."""
        return not self.passed and self.directive != 'todo'


class Reader:
    """Takes a stream's lines; results, the plan and every defect of the stream are kept."""

    def __init__(self):
        self.results = []
        self.plan = None
        self.problems = []

    def feed(self, line):
        """Returns what the line is: version, plan, result, bail, comment, blank or junk."""
        line = clean(line)
        if not line.strip():
            return 'blank'
        if line[0] in '# \t':
            return 'comment'
        if VERSION.match(line):
            return 'version'
        plan = PLAN.match(line)
        if plan:
            if self.plan is not None:
                self.problems.append('a second plan: %s' % line)
            self.plan = int(plan.group(1))
            return 'plan'
        if line.startswith('Bail out!'):
            self.problems.append(line)
            return 'bail'
        result = RESULT.match(line)
        if not result:
            return 'junk'
        directive = DIRECTIVE.search(result.group(3))
        name = DIRECTIVE.sub('', result.group(3)).strip()
        number = len(self.results) + 1
        if result.group(2) and int(result.group(2)) != number:
            self.problems.append('result %s where %d was due: %s' % (result.group(2), number, name))
        self.results.append(Result(not result.group(1), name,
                                   directive.group(1).lower() if directive else '',
                                   directive.group(2) if directive else ''))
        return 'result'

    def finish(self):
        """To be called after the last line: checks results against the plan."""
        if self.plan is None:
            self.problems.append('the stream has no plan: truncated after %d results'
                                 % len(self.results))
        elif self.plan != len(self.results):
            self.problems.append('the plan says %d results, %d came'
                                 % (self.plan, len(self.results)))

    def failures(self):
        """Names of the tests that failed."""
        return [result.name for result in self.results if result.failed()]


class Writer:
    """Writes a stream to stdout, each line at once."""

    def __init__(self):
        self.count = self.failed = 0
        print('TAP version 13', flush=True)

    def result(self, passed, name, directive=''):
        """One verdict."""
        self.count += 1
        self.failed += not passed and not directive.lower().startswith('todo')
        print('%s %d - %s%s' % ('ok' if passed else 'not ok', self.count, name,
                                ' # ' + directive if directive else ''), flush=True)
        return passed

    def repeat(self, result):
        """A Result of another stream, under our number."""
        self.result(result.passed, result.name,
                    ('%s %s' % (result.directive.upper(), result.reason)).strip())

    @staticmethod
    def comment(text):
        """A diagnostic of one or more lines."""
        for line in str(text).splitlines() or ['']:
            print(('# ' + line).rstrip(), flush=True)

    def finish(self):
        """The plan; returns the exit status for the program."""
        print('1..%d' % self.count, flush=True)
        sys.stdout.flush()
        return 1 if self.failed or not self.count else 0
