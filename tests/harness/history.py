# SPDX-License-Identifier: MIT
"""Histories of dispatcher objects, as the guest writes them among its results.

A history is one small run: who called what, when the call began and ended, what it returned.

    # history linear/L43-events 17 sync:0,sem:2/5 0:set(0)=0@0-1f 1:wait(0,2000)=timeout@3-8ac
    # histories linear/L43-events 18

First the case and the round; then the objects, numbered from 0, each with its first state; then
each call: thread, operation, objects and argument, result, begin and end in hexadecimal ns of one
clock. The second line ends a case and says how many rounds it had.

    object      first state       operations
    sync, note  0, 1              set reset clear pulse read; wait any all
    sem         count/limit       release(object,adjustment) read; wait any all
    mutex                         release read; wait any all
    queue                         head tail (object,entry) remove(object,limit) read

The argument of a wait is its time limit in ns, 0 for no waiting at all; `any(0+2,2000)` waits for
one of two objects, `all` for both. Results are numbers: a previous state, an object's place in
`any`, an entry of a queue; or the words timeout, limit (the semaphore's), notowner. And a thread
may have seen another one waiting: `look(1)=3` says that thread 1 was in the middle of its call 3,
waiting in the queues of all its objects.
"""
import re

LINE = re.compile(r'^# history (\S+) (\d+) (\S+) (.*)$')
END = re.compile(r'^# histories (\S+) (\d+)$')
CALL = re.compile(r'^(\d+):([a-z]+)\(([\d+]+)(?:,(\d+))?\)=(-?\d+|[a-z]+)@([0-9a-f]+)-([0-9a-f]+)$')
OBJECT = re.compile(r'^(?:(sync|note):([01])|sem:(\d+)/(\d+)|mutex|queue)$')
WORDS = ('timeout', 'limit', 'notowner')

EVENT = {'set', 'reset', 'clear', 'pulse', 'read', 'wait', 'any', 'all'}
OPERATIONS = {'sync': EVENT, 'note': EVENT, 'sem': {'release', 'read', 'wait', 'any', 'all'},
              'mutex': {'release', 'read', 'wait', 'any', 'all'},
              'queue': {'head', 'tail', 'remove', 'read'}}


class Call:
    """One operation of one thread."""

    def __init__(self, text):
        fields = CALL.match(text)
        if not fields:
            raise ValueError('not a call: ' + text)
        self.text = text
        self.thread, self.name = int(fields[1]), fields[2]
        self.objects = tuple(int(number) for number in fields[3].split('+'))
        self.argument = int(fields[4] or 0)
        self.result = fields[5] if fields[5] in WORDS else int(fields[5])
        self.start, self.end = int(fields[6], 16), int(fields[7], 16)
        if self.end < self.start:
            raise ValueError('it ends before it begins: ' + text)

    def overlaps(self, other):
        """True if neither was over when the other began."""
        return self.start <= other.end and other.start <= self.end


class Object:
    """One object: what kind, its first state, and a semaphore's limit."""

    def __init__(self, text):
        fields = OBJECT.match(text)
        if not fields:
            raise ValueError('not an object: ' + text)
        self.kind = text.partition(':')[0]
        self.first = int(fields[2] or fields[3] or 0)
        self.limit = int(fields[4] or 0)


class History:
    """One round of a case."""

    def __init__(self, line):
        fields = LINE.match(line)
        if not fields:
            raise ValueError('not a history')
        self.case, self.round = fields[1], int(fields[2])
        self.objects = [Object(text) for text in fields[3].split(',')]
        calls = [Call(text) for text in fields[4].split()]
        self.threads = [[] for _ in range(max((call.thread for call in calls), default=-1) + 1)]
        for call in calls:
            self.check(call)
            self.threads[call.thread].append(call)

    def check(self, call):
        """Raises ValueError if the call is not one that this history can hold."""
        earlier = self.threads[call.thread]
        if earlier and earlier[-1].end > call.start:
            raise ValueError('a thread does two things at once: ' + call.text)
        if call.name == 'look':
            return
        if max(call.objects) >= len(self.objects) or len(set(call.objects)) < len(call.objects):
            raise ValueError('which objects? ' + call.text)
        if len(call.objects) > 1 and call.name not in ('any', 'all'):
            raise ValueError('too many objects: ' + call.text)
        for number in call.objects:
            if call.name not in OPERATIONS[self.objects[number].kind]:
                raise ValueError('%s has no such operation: %s'
                                 % (self.objects[number].kind, call.text))

    def calls(self):
        """All calls, by when they began."""
        return sorted((call for calls in self.threads for call in calls),
                      key=lambda call: (call.start, call.thread))

    def concurrency(self):
        """How many pairs of calls of different threads overlap."""
        calls = self.calls()
        return sum(one.thread != other.thread and one.overlaps(other)
                   for place, one in enumerate(calls) for other in calls[:place])
