# SPDX-License-Identifier: MIT
"""Histories that the checker must accept, or must not; and a small machine that makes more.

The machine is written without a look at the checker: objects with a list of who waits, threads that
take one step at a time in an order drawn by lot. What it records is right by construction. With a
fault built in, some of it is wrong.
"""
import random

# name, right?, objects, calls
SAMPLES = [
    ('a set that is taken later', True, 'sync:0',
     '0:set(0)=0@0-5 1:wait(0,0)=0@6-7 1:wait(0,0)=timeout@8-9'),
    ('a set that is taken twice', False, 'sync:0',
     '0:set(0)=0@0-5 1:wait(0,0)=0@6-7 1:wait(0,0)=0@8-9'),
    ('a notification is never used up', True, 'note:0',
     '0:set(0)=0@0-5 1:wait(0,0)=0@6-7 1:wait(0,0)=0@8-9 0:reset(0)=1@a-b'),
    ('a lost wake-up', False, 'sync:0', '1:wait(0,1000)=timeout@0-420 0:set(0)=0@10-20 '
     '0:read(0)=1@470-471'),
    ('a time-out that came too soon', False, 'sync:0', '1:wait(0,1000)=timeout@0-100'),
    ('a waiter who was seen and not woken', False, 'sync:0', '1:wait(0,1000)=timeout@0-420 '
     '0:look(1)=0@10-11 0:set(0)=0@12-13 0:read(0)=1@14-15'),
    ('a waiter who was seen and woken', True, 'sync:0', '1:wait(0,9)=0@0-60 0:look(1)=0@10-11 '
     '0:set(0)=0@12-13 0:read(0)=0@14-15'),
    ('a waiter who was seen later', True, 'sync:0', '1:wait(0,9)=timeout@0-60 1:wait(0,9)=0@61-90 '
     '0:set(0)=0@12-13 0:wait(0,0)=0@14-15 0:look(1)=1@62-63 0:set(0)=0@64-65'),
    ('who came second is served first', False, 'sync:0', '0:look(1)=0@0-1 '
     '1:wait(0,1000)=timeout@0-420 '
     '2:wait(0,9)=0@2-50 0:set(0)=0@10-12'),
    ('a signal that no waiter got', False, 'sync:0',
     '1:wait(0,99)=timeout@0-60 0:set(0)=0@10-20 0:read(0)=0@70-71'),
    ('a time-out that came first', True, 'sync:0',
     '1:wait(0,99)=timeout@0-20 0:set(0)=0@10-20 0:read(0)=1@70-71'),
    ('a previous state that was not', False, 'note:0', '0:set(0)=1@0-1'),
    ('first come, first served', True, 'sync:0', '0:wait(0,9)=0@0-20 1:wait(0,9)=timeout@1-40 '
     '2:set(0)=0@18-19'),
    ('one set, two waiters woken', False, 'sync:0',
     '0:wait(0,9)=0@0-20 1:wait(0,9)=0@1-40 2:set(0)=0@18-19'),
    ('a poll cannot come between', False, 'sync:0',
     '0:wait(0,9)=0@0-20 0:wait(0,0)=timeout@21-22 1:set(0)=0@10-12 2:wait(0,0)=0@30-31'),
    ('a notification releases all', True, 'note:0',
     '0:wait(0,9)=0@0-20 1:wait(0,9)=0@1-40 2:set(0)=0@18-19 2:reset(0)=1@20-21'),
    ('a pulse releases all that wait', True, 'note:0',
     '0:wait(0,9)=0@0-20 1:wait(0,9)=0@1-40 2:pulse(0)=0@18-19 2:read(0)=0@20-21'),
    ('a pulse leaves nothing behind', False, 'note:0',
     '2:pulse(0)=0@18-19 2:wait(0,0)=0@20-21'),
    ('a pulse for nobody is lost', False, 'note:0',
     '2:pulse(0)=0@10-11 0:wait(0,9)=0@12-20'),
    ('a pulse of a synchronization event releases one', False, 'sync:0',
     '0:wait(0,9)=0@0-20 1:wait(0,9)=0@1-20 2:pulse(0)=0@18-19'),
    ('a read sees into a signal', True, 'sync:0',
     '0:wait(0,9)=0@0-20 1:set(0)=0@10-12 2:read(0)=1@11-12 2:read(0)=0@13-14'),
    ('a read after a signal does not', False, 'sync:0', '2:look(0)=0@8-9 '
     '0:wait(0,9)=0@0-20 0:read(0)=0@21-22 1:set(0)=0@10-12 2:read(0)=1@13-14'),
    ('a semaphore counts', True, 'sem:1/3', '0:release(0,2)=1@0-1 0:release(0,1)=limit@2-3 '
     '1:wait(0,0)=0@4-5 1:wait(0,0)=0@6-7 1:wait(0,0)=0@8-9 1:wait(0,0)=timeout@a-b'),
    ('a semaphore past its limit changes', False, 'sem:1/3',
     '0:release(0,3)=limit@0-1 0:read(0)=3@2-3'),
    ('a semaphore refuses what fits', False, 'sem:1/3', '0:release(0,2)=limit@0-1'),
    ('a semaphore counted twice', False, 'sem:0/3', '0:release(0,2)=0@0-1 1:wait(0,9)=0@2-9 '
     '2:wait(0,9)=0@2-9 3:wait(0,9)=0@2-9'),
    ('one release, two waiters', True, 'sem:0/3', '1:wait(0,9)=0@0-9 2:wait(0,9)=0@0-9 '
     '0:release(0,2)=0@4-5 0:read(0)=0@a-b'),
    ('a mutex is taken again', True, 'mutex', '0:wait(0,0)=0@0-1 0:wait(0,0)=0@2-3 '
     '0:read(0)=-1@4-5 0:release(0)=-1@6-7 1:wait(0,0)=timeout@8-9 0:release(0)=0@a-b '
     '1:wait(0,0)=0@c-d'),
    ('two owners', False, 'mutex', '0:wait(0,0)=0@0-1 1:wait(0,0)=0@0-1 0:release(0)=0@2-3'),
    ('a mutex is handed over', True, 'mutex', '0:wait(0,0)=0@0-1 1:wait(0,9)=0@2-9 '
     '0:release(0)=0@5-6 2:wait(0,0)=timeout@7-8'),
    ('a mutex is snatched', False, 'mutex', '0:wait(0,0)=0@0-1 1:wait(0,9)=timeout@2-20 '
     '3:wait(0,9)=0@4-9 0:release(0)=0@10-11 2:wait(0,0)=0@12-13'),
    ('a stranger is refused', True, 'mutex', '0:wait(0,0)=0@0-1 1:release(0)=notowner@2-3 '
     '0:read(0)=0@4-5'),
    ('entries in order', True, 'queue', '0:tail(0,5)=0@0-1 0:tail(0,6)=1@2-3 0:head(0,7)=2@4-5 '
     '1:remove(0,0)=7@6-7 1:remove(0,0)=5@8-9 1:remove(0,0)=6@a-b 1:remove(0,0)=timeout@c-d'),
    ('entries out of order', False, 'queue', '0:tail(0,5)=0@0-1 0:tail(0,6)=1@2-3 '
     '1:remove(0,0)=6@6-7'),
    ('an entry for two', False, 'queue', '0:tail(0,5)=0@0-9 1:remove(0,9)=5@0-9 '
     '2:remove(0,9)=5@0-9'),
    ('an entry for whichever waits', True, 'queue', '1:remove(0,9)=timeout@0-50 '
     '2:remove(0,9)=5@10-30 0:tail(0,5)=0@20-21'),
    ('an entry is lost', False, 'queue', '0:tail(0,5)=0@0-1 1:remove(0,0)=timeout@2-3'),
    ('any of two', True, 'sync:0,sem:1/2', '0:any(0+1,9)=1@0-1 0:any(0+1,9)=0@2-9 1:set(0)=0@3-4 '
     '0:any(0+1,0)=timeout@a-b'),
    ('any takes one alone', False, 'sync:1,sem:1/2', '0:any(0+1,9)=0@0-1 0:read(1)=0@2-3'),
    ('any takes the first', False, 'sync:1,sem:1/2', '0:any(0+1,9)=1@0-1'),
    ('any looks at one after the other', True, 'sync:0,sync:0', '0:any(0+1,0)=1@0-9 '
     '1:set(0)=0@4-5 1:set(1)=0@6-7'),
    ('all of two', True, 'sync:1,sem:0/2', '0:all(0+1,9)=0@0-9 1:read(0)=1@2-3 '
     '1:release(1,1)=0@4-5 0:read(0)=0@a-b'),
    ('all takes nothing before', False, 'sync:1,sem:0/2',
     '0:all(0+1,9)=timeout@0-9 1:read(0)=0@a-b'),
    ('all leaves what it cannot use to others', True, 'sync:1,sem:0/2',
     '0:all(0+1,9)=timeout@0-9 1:wait(0,0)=0@4-5'),
    ('all without one of them', False, 'sync:1,sem:0/2', '0:all(0+1,9)=0@0-9'),
]

MALFORMED = [
    ('no such operation', 'sync:0', '0:release(0,1)=0@0-1'),
    ('no such object', 'sync:0', '0:set(1)=0@0-1'),
    ('an end before the beginning', 'sync:0', '0:set(0)=0@2-1'),
    ('two things at once', 'sync:0', '0:set(0)=0@0-5 0:set(0)=1@3-9'),
    ('an object of no kind', 'door:0', '0:set(0)=0@0-1'),
    ('a call that is cut short', 'sync:0', '0:set(0)=0@0'),
]


def line(number, objects, calls, case='linear/sample'):
    """A history as the guest writes it."""
    return '# history %s %d %s %s' % (case, number, objects, calls)


class Machine:
    """Threads, and objects that do what they should, or have one fault.

    faults: lost: a wake-up now and then; twice: a signal is kept although a waiter got it; barge:
    who comes last is served first; stale: a signaller says the opposite of the previous state
    """

    def __init__(self, seed, fault=''):
        self.lot, self.fault = random.Random(seed), fault
        self.kinds = [self.lot.choice(('sync', 'note', 'sem', 'mutex')) for _ in range(2)]
        self.state = [1 if kind == 'mutex' else 0 for kind in self.kinds]
        self.owner = [None] * 2
        self.waiting = [[], []]
        self.time, self.text = 0, []
        self.left = [self.lot.randint(4, 8) for _ in range(self.lot.randint(2, 4))]
        self.made = [0] * len(self.left)
        self.doing = [None] * len(self.left)        # (call's text, start, object, limit, result)

    def tick(self):
        """The clock's next value; now and then it stands still."""
        self.time += self.lot.choice((0, 50, 100, 150))
        return self.time

    def history(self):
        """Runs to the end; the line."""
        while any(self.left) or any(self.doing):
            self.turn(self.lot.randrange(len(self.left)))
        objects = ','.join({'sem': 'sem:0/3', 'mutex': 'mutex'}.get(kind, kind + ':0')
                           for kind in self.kinds)
        return line(0, objects, ' '.join(self.text))

    def turn(self, me):
        """One step of one thread: it begins a call, does it, gives up waiting, or ends it."""
        call = self.doing[me]
        if call is None and self.left[me]:
            self.left[me] -= 1
            self.look(me)
            number = self.lot.randrange(2)
            names = {'sync': 'set reset pulse wait wait wait', 'note': 'set reset pulse wait wait',
                     'sem': 'release wait wait', 'mutex': 'wait release'}[self.kinds[number]]
            self.doing[me] = {'name': self.lot.choice(names.split()), 'number': number,
                              'limit': self.lot.choice((0, 3000)), 'start': self.tick(),
                              'result': None}
        elif call and call['result'] is not None:
            argument = {'wait': ',%d' % call['limit'], 'release': ',1'}.get(call['name'], '')
            if self.kinds[call['number']] == 'mutex' and call['name'] == 'release':
                argument = ''
            self.text.append('%d:%s(%d%s)=%s@%x-%x' % (me, call['name'], call['number'], argument,
                                                      call['result'], call['start'], self.tick()))
            self.doing[me] = None
            self.made[me] += 1
        elif call and (me, call) in self.waiting[call['number']]:
            if self.tick() - call['start'] >= call['limit']:
                self.waiting[call['number']].remove((me, call))
                call['result'] = 'timeout'
        elif call:
            self.act(me, call)

    def look(self, me):
        """Whether another thread is seen to wait; that too is a call."""
        other = self.lot.randrange(len(self.left))
        call = self.doing[other]
        if call and (other, call) in self.waiting[call['number']]:
            start = self.tick()
            self.text.append('%d:look(%d)=%d@%x-%x' % (me, other, self.made[other], start,
                                                       self.tick()))
            self.made[me] += 1

    def take(self, me, call):
        """The wait of a thread ends, if the object is signaled for it."""
        number, kind = call['number'], self.kinds[call['number']]
        if self.state[number] <= 0 and self.owner[number] != me:
            return False
        if kind == 'mutex':
            self.owner[number] = me
        if kind != 'note' and not (self.fault == 'twice' and self.lot.random() < 0.3):
            self.state[number] -= 1
        call['result'] = 0
        return True

    def act(self, me, call):
        """The instant at which a call happens."""
        number, kind, name = call['number'], self.kinds[call['number']], call['name']
        before = self.state[number]
        if name == 'wait':
            if not self.take(me, call):
                if call['limit']:
                    self.waiting[number].append((me, call))
                else:
                    call['result'] = 'timeout'
            return
        if kind == 'mutex' and self.owner[number] != me:
            call['result'] = 'notowner'
            return
        if kind == 'sem' and before == 3:
            call['result'] = 'limit'
            return
        call['result'] = before
        if self.fault == 'stale' and kind in ('sync', 'note') and self.lot.random() < 0.2:
            call['result'] = 1 - before
        self.state[number] = before + 1 if kind in ('sem', 'mutex') else int(name != 'reset')
        if kind == 'mutex' and before == 0:
            self.owner[number] = None
        self.serve(number)
        if name == 'pulse':
            self.state[number] = 0

    def serve(self, number):
        """Gives the signal to who waits."""
        order = list(self.waiting[number])
        if self.fault == 'barge':
            order.reverse()
        for waiter, call in order:
            if self.fault == 'lost' and self.lot.random() < 0.3:
                continue
            if self.take(waiter, call):
                self.waiting[number].remove((waiter, call))
