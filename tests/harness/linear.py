#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Is there an order of instants that explains a history of dispatcher objects? TAP 13 on stdout.

usage: linear.py FILE...      files with the lines of history.py, for instance a guest's com2.tap

A concurrent object is right if each call can be given an instant between its beginning and its end
such that, one after the other in that order, the calls return what they did return (Herlihy and
Wing). The search is theirs (Wing and Gong), a walk over what may come next, with each state visited
once (Lowe). Calls that wait have two instants: one at which they are satisfied or join the object's
queue, and, if they joined, one at which a signaller satisfies them or they give up (Scherer and
Scott's dual data structures). So what is checked is all that the kernel promises for one object:

- a signal goes to who waits, first come first served, and nobody can come between;
- a wait gives up when its time is over, not before, and until then it was in the queue and no
  signal was due to it;
- a wait without a time limit looks at one instant and never joins the queue;
- a pulse reaches exactly who is in the queue at its instant;
- a wait for any of several objects looks at them one after the other, joining each queue; a wait
  for all is satisfied at one instant, and takes nothing before;
- a queue's entries come out in order, but which of its waiting threads gets one is left open;
- reading a state takes no lock: within a signal, a read may see the state before the waiters that
  it releases have taken it.
"""
import sys

import history
import tap

ALL = -1                # the key of a wait-all in an object's queue
FREE = (-1, 0)          # a mutex: owner, how often
EARLY = 200             # ns that a time-out may seem early: two units of the kernel's clock
MOST_STATES = 2000000   # visited in one search: far beyond any history of a few threads


class Undecided(Exception):
    """The search was given up."""


class World:
    """A state that is being changed.

    values: each object's; queues: who waits for it, as (thread, key), first come first; holders:
    the thread that is inside a signal of it, or -1; places: for each thread the number of its
    current call and how many of that call's steps it has taken.
    """

    def __init__(self, state):
        self.values, self.queues, self.holders, self.places = map(list, state)

    def state(self):
        """It, as something that can be remembered."""
        return tuple(self.values), tuple(self.queues), tuple(self.holders), tuple(self.places)

    def advance(self, thread):
        """The thread's call has taken one more step."""
        number, steps = self.places[thread]
        self.places[thread] = number, steps + 1

    def finish(self, thread):
        """The thread's call has got its result; it waits for nothing any more."""
        self.queues = [tuple(entry for entry in queue if entry[0] != thread)
                       for queue in self.queues]
        self.places[thread] = self.places[thread][0] + 1, 0


class Search:
    """One history's."""

    def __init__(self, subject):
        self.objects, self.threads = subject.objects, subject.threads
        self.furthest, self.visited = None, 0
        calls = subject.calls()
        reads = [call for call in calls if call.name == 'read']
        self.watched = {call for call in calls
                        if any(read.objects == call.objects and read.overlaps(call)
                               and read.thread != call.thread for read in reads)}

    def first(self):
        """The state before the first call."""
        start = {'mutex': FREE, 'queue': ()}
        count = len(self.objects)
        return (tuple(start.get(one.kind, one.first) for one in self.objects), ((),) * count,
                (-1,) * count, ((0, 0),) * len(self.threads))

    def call(self, thread, places):
        """The thread's current call; None when it has made its last."""
        number = places[thread][0]
        return self.threads[thread][number] if number < len(self.threads[thread]) else None

    def explained(self):
        """True if there is such an order. Raises Undecided."""
        seen, stack, most = set(), [self.first()], -1
        while stack:
            state = stack.pop()
            if state in seen:
                continue
            seen.add(state)
            done = sum(number for number, _ in state[3])
            if done > most:
                most, self.furthest = done, state
            if done == sum(map(len, self.threads)):
                return True
            self.visited = len(seen)
            if self.visited > MOST_STATES:
                raise Undecided
            stack.extend(self.successors(state))
        return False

    def successors(self, state):
        """What one more step of some call makes of the state: of a call that began before the first
        of those that still have a step to take was over."""
        calls = [self.call(thread, state[3]) for thread in range(len(self.threads))]
        deadline = min(call.end for call in calls if call)
        for thread, call in enumerate(calls):
            steps = state[3][thread][1]
            if call and self.earliest(call, steps) <= deadline:
                for world in self.step(World(state), thread, call, steps):
                    yield world.state()

    @staticmethod
    def stations(call):
        """How many steps a waiting call takes to be in all its queues."""
        return 1 if call.name == 'all' else len(call.objects)

    def earliest(self, call, steps):
        """When the call's next step can be at the earliest."""
        waits = call.name in ('wait', 'any', 'all', 'remove')
        if waits and steps == self.stations(call):
            return max(call.start, call.start + call.argument - EARLY)
        return call.start

    def step(self, world, thread, call, steps):
        """The worlds that the call's next step leads to."""
        if call.name == 'look':
            return self.look(world, thread, call)
        if call.name == 'read':
            return self.read(world, thread, call)
        if call.name == 'all':
            return self.wait_for_all(world, thread, call, steps)
        if call.name in ('wait', 'any', 'remove'):
            return self.wait(world, thread, call, steps)
        return self.signal(world, thread, call, steps)

    # ---------------------------------------------------------------- What the objects do.

    def signaled(self, world, number, thread):
        """True if the object would end the thread's wait now."""
        value = world.values[number]
        kind = self.objects[number].kind
        if kind == 'mutex':
            return value == FREE or value[0] == thread
        return bool(value) if kind == 'queue' else value > 0

    def consume(self, world, number, key, thread):
        """The side effect of a wait that ends by this object; returns what the wait does."""
        value = world.values[number]
        kind = self.objects[number].kind
        if kind == 'queue':
            world.values[number] = value[1:]
            return value[0]
        if kind == 'mutex':
            world.values[number] = thread, value[1] + 1
        elif kind != 'note':
            world.values[number] = value - 1
        return max(key, 0)

    def visible(self, world, number):
        """The object's signal state."""
        value = world.values[number]
        kind = self.objects[number].kind
        return 1 - value[1] if kind == 'mutex' else len(value) if kind == 'queue' else value

    # ---------------------------------------------------------------- Calls that wait, and read.

    @staticmethod
    def returns(world, thread, call, result):
        """The world in which the call has this result, if that is what it returned."""
        if call.result == result:
            world.finish(thread)
            yield world

    def read(self, world, thread, call):
        """One step: the state at an instant, whoever is inside a signal."""
        return self.returns(world, thread, call, self.visible(world, call.objects[0]))

    def look(self, world, thread, call):
        """One step: the other thread's call is in all its queues."""
        seen = self.call(call.objects[0], world.places)
        waiting = call.result, self.stations(seen) if seen else 0
        if world.places[call.objects[0]] == waiting:
            world.finish(thread)
            yield world

    def wait(self, world, thread, call, steps):
        """For one object, or any of several: a step for each, and one for giving up."""
        if steps == self.stations(call):
            return self.returns(world, thread, call, 'timeout')
        number = call.objects[steps]
        if world.holders[number] >= 0:
            return ()
        if self.signaled(world, number, thread):
            return self.returns(world, thread, call, self.consume(world, number, steps, thread))
        if call.argument:
            world.queues[number] += ((thread, steps),)
        elif steps + 1 == len(call.objects):
            return self.returns(world, thread, call, 'timeout')
        world.advance(thread)
        return (world,)

    def wait_for_all(self, world, thread, call, steps):
        """One step for all objects at once, and one for giving up."""
        if steps:
            return self.returns(world, thread, call, 'timeout')
        if any(world.holders[number] >= 0 for number in call.objects):
            return ()
        if all(self.signaled(world, number, thread) for number in call.objects):
            for number in call.objects:
                self.consume(world, number, ALL, thread)
            return self.returns(world, thread, call, 0)
        if not call.argument:
            return self.returns(world, thread, call, 'timeout')
        for number in call.objects:
            world.queues[number] += ((thread, ALL),)
        world.advance(thread)
        return (world,)

    # ---------------------------------------------------------------- Calls that signal.

    def signal(self, world, thread, call, steps):
        """The first step changes the state; then the waiters take it: in the same step, or if
        somebody reads meanwhile, in a step for each."""
        number = call.objects[0]
        if steps == 0:
            if world.holders[number] >= 0:
                return
            result, value = self.change(world, number, thread, call)
            if result != call.result:
                return
            if isinstance(result, str):
                world.finish(thread)
                yield world
                return
            world.values[number] = value
            world.holders[number] = thread
            world.advance(thread)
            if call in self.watched:
                yield world
                return
        yield from self.release(world, number, thread, call)

    def change(self, world, number, thread, call):
        """(result, new value) of a signalling call."""
        value, seen = world.values[number], self.visible(world, number)
        if call.name in ('set', 'pulse'):
            return seen, 1
        if call.name in ('reset', 'clear'):
            return (seen if call.name == 'reset' else 0), 0
        if call.name in ('head', 'tail'):
            entry = (call.argument,)
            return seen, entry + value if call.name == 'head' else value + entry
        if self.objects[number].kind == 'sem':
            if value + call.argument > self.objects[number].limit:
                return 'limit', value
            return seen, value + call.argument
        if value[0] != thread:
            return 'notowner', value
        return seen, (thread, value[1] - 1) if value[1] > 1 else FREE

    def release(self, world, number, thread, call):
        """Satisfies waiters while the object is signaled, first come first served."""
        worlds = self.satisfy(world, number)
        if worlds is None:
            if call.name == 'pulse':
                world.values[number] = 0
            world.holders[number] = -1
            world.finish(thread)
            yield world
            return
        for after in worlds:
            if call in self.watched:
                yield after
            else:
                yield from self.release(after, number, thread, call)

    def satisfy(self, world, number):
        """The worlds in which one more waiter has what it waits for; None if no waiter can."""
        worlds, found = [], False
        for waiter, key in world.queues[number]:
            call = self.call(waiter, world.places)
            wanted = call.objects if key == ALL else (number,)
            if not all(self.signaled(world, one, waiter) for one in wanted):
                continue
            found, after = True, World(world.state())
            for one in wanted:
                result = self.consume(after, one, key, waiter)
            worlds += self.returns(after, waiter, call, result)
            if self.objects[number].kind != 'queue':    # only its waiters come in any order
                break
        return worlds if found else None

    # ---------------------------------------------------------------- What to say if there is none.

    def explanation(self, subject):
        """The history as a table; a mark on what could be explained, and how it stood then."""
        done = self.furthest[3]
        number = {id(call): place for calls in self.threads for place, call in enumerate(calls)}
        lines = ['round %d cannot be explained; + marks the longest part that can, * what then '
                 'waits or is being done' % subject.round,
                 'objects: %s' % ' '.join('%d:%s' % (place, one.kind)
                                          for place, one in enumerate(self.objects))]
        for call in subject.calls():
            place, steps = done[call.thread]
            mark = '+' if number[id(call)] < place else '*' if number[id(call)] == place and steps \
                else ' '
            lines.append('%s %8x %8x  %s%s' % (mark, call.start, call.end, ' ' * 24 * call.thread,
                                               call.text.partition('@')[0]))
        lines.append('after it: %s' % ' '.join(
            '%d=%s%s' % (place, value, ' for ' + ','.join(str(entry[0]) for entry in queue)
                         if queue else '')
            for place, (value, queue) in enumerate(zip(self.furthest[0], self.furthest[1]))))
        return lines


class Case:
    """All histories of one case."""

    def __init__(self, name):
        self.name, self.rounds, self.calls, self.overlaps = name, 0, 0, 0
        self.announced = None
        self.problems = []

    def add(self, line):
        """One history."""
        self.rounds += 1
        try:
            subject = history.History(line)
            search = Search(subject)
            self.calls += len(subject.calls())
            self.overlaps += subject.concurrency()
            if not search.explained():
                self.problems += search.explanation(subject) + [line]
        except Undecided:
            self.problems += ['given up after %d states:' % MOST_STATES, line]
        except ValueError as error:
            self.problems += ['%s, in' % error, line]

    def finish(self):
        """After the last line."""
        if self.announced != self.rounds:
            self.problems.append('%s histories were announced, %d came'
                                 % ('no' if self.announced is None else self.announced,
                                    self.rounds))
        if not self.overlaps:
            self.problems.append('no two calls were ever concurrent: that proves nothing')


class Checker:
    """Takes a guest's lines; keeps a verdict for each case that has histories."""

    def __init__(self):
        self.cases = {}

    def feed(self, line):
        """True if the line is the checker's. Lines of histories are checked at once."""
        found = history.LINE.match(line) or history.END.match(line)
        if not found:
            return False
        case = self.cases.setdefault(found[1], Case(found[1]))
        if history.END.match(line):
            case.announced = int(found[2])
        else:
            case.add(line)
        return True

    def results(self):
        """(passed, name, lines about it) for each case, after the last line."""
        for case in self.cases.values():
            case.finish()
            text = ['%s: %d histories, %d calls, %d pairs of them concurrent'
                    % (case.name, case.rounds, case.calls, case.overlaps)]
            yield not case.problems, 'history/' + case.name.partition('/')[2], text + case.problems


MOST_LINES = 60         # about one case, in a report


def report(checker, out):
    """Writes a result for each case."""
    for passed, name, lines in checker.results():
        out.result(passed, name)
        for line in lines[:MOST_LINES]:
            out.comment(line.removeprefix('# '))


def failures(checker, out):
    """The names of the cases that failed, for a run in which some should; evidence as comments."""
    names = []
    for passed, name, lines in checker.results():
        for line in lines[:MOST_LINES]:
            out.comment('%s: %s' % (name, line.removeprefix('# ')))
        names += [] if passed else [name]
    return names


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    checker, out = Checker(), tap.Writer()
    for name in sys.argv[1:]:
        with open(name, encoding='utf-8', errors='replace') as lines:
            for line in lines:
                checker.feed(tap.clean(line))
    report(checker, out)
    return out.finish()


if __name__ == '__main__':
    sys.exit(main())
