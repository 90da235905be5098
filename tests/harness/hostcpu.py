# SPDX-License-Identifier: MIT
"""What an idle guest costs its host: QEMU's processor time between two lines of the guest's.

The guest writes "# idle begins" and "# idle ends" among its results (tests/kernel/idle.c).
"""
import os
import re
import time
from pathlib import Path

MARK = re.compile(r'^# idle (begins|ends)$')


class Meter:
    """Watches one process."""

    def __init__(self):
        self.process, self.begin, self.spans = 0, None, []
        self.last = None        # while the guest is idle: QEMU may be gone when its last line comes

    def watch(self, process):
        """The process: QEMU's id."""
        self.process = process

    def sample(self):
        """(seconds of the clock, seconds of processor time, user and system), just now."""
        try:
            fields = Path('/proc/%d/stat' % self.process).read_text().rpartition(')')[2].split()
        except OSError:
            return None
        used = (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        return time.monotonic(), used

    def tick(self):
        """Now and then while the process runs."""
        if self.begin:
            self.last = self.sample() or self.last

    def feed(self, line):
        """Each line that the guest writes."""
        mark = MARK.match(line)
        if mark and mark[1] == 'begins':
            self.begin = self.sample()
        elif mark and self.begin:
            end = self.sample() or self.last
            if end:
                self.spans.append((end[0] - self.begin[0], end[1] - self.begin[1]))
            self.begin = self.last = None

    def report(self):
        """A line for each time that the guest was idle."""
        return ['QEMU used %.2f s of host CPU in %.1f s of an idle guest: %.1f %% of a core'
                % (used, seconds, 100 * used / seconds if seconds else 0)
                for seconds, used in self.spans]
