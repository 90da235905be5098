# SPDX-License-Identifier: MIT
"""A network card that fails: its interrupt lost, its rings overwritten, its wire flooded, its link
flapping, the card gone, its line shared. A broken twin of the driver goes through the same and must
be caught at the point where it breaks."""
import base64
import contextlib
import time

import outside
import ping

RING = 256                              # descriptors
STATUS, ICS, TCTL = 0x0008, 0x00C8, 0x0400
RDBAL, RDH, RDT, TDH, TDT = 0x2800, 0x2810, 0x2818, 0x3810, 0x3818
LSC, RXO, RXT0 = 1 << 2, 1 << 6, 1 << 7
DONE, END, ERROR = 1 << 32, 1 << 33, 1 << 40        # of a receive descriptor's second word
NOWHERE = 0xFFFFFFFFF000                            # no RAM, no device
IOAPIC = 0xFEC00000
ACTIVE_LOW, LEVEL, MASKED = 1 << 13, 1 << 15, 1 << 16   # of a redirection entry
EJECT = 0xAE08                                      # PIIX4's, a bit for each slot of bus 0
COMMAND, BAR2 = 0x04, 0x18
MEMORY = 2
SOON, LATE = 4, 20                      # seconds: a watch's look and more; any wait of ours


class Nic:
    """The guest's card: our end of its wire, its registers, its driver's counters."""

    def __init__(self, guest):
        self.guest, self.probe = guest, guest.probe
        self.peer = ping.Peer(guest.machine.port)
        self.text = int(guest.wait_log(r'outside: network desk at ([0-9a-f]+)')[1], 16)
        guest.desk()
        if not self.peer.resolve(guest.timeout):
            raise outside.Failure('no answer to ARP')
        device = self.find(0x8086, 0x100E)
        self.slot, self.base = device['slot'], device['regions'][0]['address']

    def find(self, vendor, number):
        """What query-pci says of a device on bus 0."""
        for device in self.guest.monitor.execute('query-pci')[0]['devices']:
            if (device['id']['vendor'], device['id']['device']) == (vendor, number):
                return device
        raise outside.Failure('no PCI device %04x:%04x' % (vendor, number))

    def counters(self):
        """The driver's and the responder's counters, newer than this call."""
        self.guest.counters()
        return self.said()

    def said(self):
        """The counters as of the last answer."""
        text = self.probe.dump(self.text, 4096).split(b'\0')[0].decode()
        return {name: int(value) for name, value in map(str.split, text.splitlines())}

    def wait(self, enough, what, limit=LATE):
        """Asks until enough(counters); the counters."""
        def look():
            now = self.counters()
            return now if enough(now) else None
        return self.guest.wait(look, what, limit)

    @contextlib.contextmanager
    def stopped(self):
        """While the guest does not run: what is done in here happens at one instant."""
        self.guest.monitor.execute('stop')
        yield
        self.guest.monitor.execute('cont')

    def register(self, offset, value=None):
        """Reads or writes a register of the card."""
        if value is None:
            return self.probe.read(self.base + offset)
        return self.probe.write(self.base + offset, value)

    def descriptor(self, index, result=None, address=None):
        """Overwrites a receive descriptor. Stop the guest first."""
        at = self.register(RDBAL) + index % RING * 16
        if address is not None:
            self.probe.write(at, address, 8)
        if result is not None:
            self.probe.write(at + 8, result, 8)

    def drain(self):
        """Takes what is on the wire: answers to earlier pings, frames that a card sent twice."""
        while self.peer.receive(0.1):
            pass

    def answers(self, limit=SOON):
        """Pings until an answer comes: after how many seconds; None if none comes."""
        self.drain()
        start = time.monotonic()
        while time.monotonic() - start < limit:
            if ping.ping(self.peer, 1, timeout=0.25).received:
                return time.monotonic() - start
        return None

    def good(self, count=100):
        """True if so many pings all come back, as they should."""
        self.drain()
        tally = ping.ping(self.peer, count, window=8, timeout=self.guest.timeout)
        for complaint in tally.complaints[:5]:
            self.guest.out.comment(complaint)
        return tally.good()

    def recovers(self, out, name, limit=LATE):
        """A result: it answers again."""
        seconds = self.answers(limit)
        out.result(seconds is not None and self.good(), name)
        out.comment('first answer after %s s' % (seconds and round(seconds, 2)))

    def change_line(self, clear=0, put=0):
        """Changes bits of the card's line in the IOAPIC, behind the kernel's back."""
        line = self.counters()['nic.gsi']
        with self.stopped():
            selected = self.probe.read(IOAPIC)
            self.probe.write(IOAPIC, 0x10 + 2 * line)
            self.probe.write(IOAPIC + 0x10, self.probe.read(IOAPIC + 0x10) & ~clear | put)
            self.probe.write(IOAPIC, selected)

    def mask_line(self):
        """Masks it."""
        self.change_line(put=MASKED)


def finish(guest, nic, out):
    """The guest checks its books: every interrupt, frame and buffer is accounted for."""
    out.comment(' '.join('%s=%d' % pair for pair in nic.counters().items()
                         if pair[1] and pair[0].startswith('nic.')))
    guest.end_test()
    guest.finish()


def caught(guest, out, name, wrong):
    """A broken twin's result: it was seen to break. How it ends is of no interest."""
    out.result(wrong, name)
    guest.process.kill()


# -------------------------------------------------------------------- Row 5.

@outside.scenario('nic-lost-interrupt', net='peer')
def lost(guest, out):
    """Row 5: the card's line is masked: the watch finds the frames, counts, and ends up polling."""
    nic = Nic(guest)
    out.result(nic.good(), 'nic/works-before')
    nic.mask_line()
    seconds = nic.answers(LATE)
    out.result(seconds is not None, 'nic/lost-interrupt-found')
    out.comment('first answer after %.2f s' % (seconds or LATE))
    out.result(nic.counters()['nic.lost'] >= 1, 'nic/lost-interrupt-counted')
    guest.wait(lambda: nic.answers(1) is not None and nic.counters()['nic.polling'],
               'the driver polls', LATE)
    out.result(nic.good(500), 'nic/polls')
    guest.wait_progress()
    finish(guest, nic, out)


# -------------------------------------------------------------------- Row 8.

@outside.scenario('nic-wrong-trigger', net='peer')
def wrong_trigger(guest, out):
    """Row 8: the card's level line becomes an edge line of the other polarity: a cause that comes
    while the line is still high makes no edge. Whatever is lost so, the watch finds."""
    nic = Nic(guest)
    out.result(nic.good(), 'nic/works-before')
    nic.change_line(clear=LEVEL, put=ACTIVE_LOW)
    for burst in range(5):
        ping.flood(nic.peer, 0.5)
        nic.recovers(out, 'nic/answers-after-burst-%d' % (burst + 1))
    guest.wait_progress()
    finish(guest, nic, out)


@outside.scenario('nic-watch-blind', net='peer')
def blind(guest, out):
    """The twin that does not look never receives again."""
    nic = Nic(guest)
    nic.mask_line()
    caught(guest, out, 'nic/lost-for-good', nic.answers(SOON) is None)


# -------------------------------------------------------------------- Row 26.

def damage(nic, result=None, address=None):
    """The next receive descriptor, overwritten; then a receive interrupt, so that it is read."""
    with nic.stopped():
        nic.descriptor(nic.register(RDH), result, address)
        if result is not None:
            nic.register(ICS, RXT0)


def damage_all(nic, result):
    """The same, for the whole ring."""
    with nic.stopped():
        for index in range(RING):
            nic.descriptor(index, result)
        nic.register(ICS, RXT0)


def resets_in_time(before, after):
    """At most one reset a second between two answers."""
    return (after['nic.resets'] - before['nic.resets']
            <= (after['nic.time'] - before['nic.time']) / 1000 + 1)


def damage_often(nic):
    """The whole ring, again and again for more than a second; counters before and after."""
    before = now = nic.counters()
    for _ in range(6):
        drops = now['nic.corrupt']
        damage_all(nic, DONE | END)
        now = nic.wait(lambda c, d=drops: c['nic.corrupt'] > d, 'the damage is counted')
    return before, now


@outside.scenario('nic-ring-corrupt', net='peer')
def corrupt(guest, out):
    """Row 26: descriptors overwritten: the frame is dropped and counted, the ring soon in step."""
    nic = Nic(guest)
    begin = before = nic.counters()
    for name, counter, result, address in (
            ('length-0', 'nic.corrupt', DONE | END, None),
            ('length-65535', 'nic.corrupt', DONE | END | 65535, None),
            ('length-1600', 'nic.oversize', DONE | END | 1600, None),
            ('errors', 'nic.error', DONE | END | ERROR | 60, None),
            ('no-end', 'nic.fragment', DONE | 60, None),
            ('done-too-early', 'nic.rx_delivered', DONE | END | 60, None),
            ('address', 'nic.corrupt', None, NOWHERE)):
        damage(nic, result, address)
        if address is not None:
            nic.peer.send(nic.peer.request(0, 56))
        nic.wait(lambda c, key=counter, b=before: c[key] > b[key], name + ' is counted')
        nic.recovers(out, 'nic/descriptor-' + name)
        before = nic.counters()
    out.result(resets_in_time(*damage_often(nic)), 'nic/few-resets-in-a-row')
    nic.recovers(out, 'nic/ring-overwritten-often')
    out.result(resets_in_time(begin, nic.counters()), 'nic/few-resets')
    guest.wait_progress()
    finish(guest, nic, out)


@outside.scenario('nic-ring-registers', net='peer')
def registers(guest, out):
    """Row 26: heads and tails that are not where the driver left them: found, and reset."""
    nic = Nic(guest)
    begin = before = nic.counters()
    for name, register, value in (('rx-head', RDH, 0xFFFF), ('rx-head-within', RDH, None),
                                  ('rx-tail', RDT, 0x1234), ('tx-head', TDH, 0x8000),
                                  ('tx-tail', TDT, 0xFFFF)):
        with nic.stopped():
            nic.register(register, (nic.register(RDH) + 100) % RING if value is None else value)
        nic.wait(lambda c, b=before: c['nic.resets'] > b['nic.resets'], name + ' is found')
        nic.recovers(out, 'nic/register-' + name)
        before = nic.counters()
    out.result(resets_in_time(begin, nic.counters()), 'nic/few-resets')
    guest.wait_progress()
    finish(guest, nic, out)


@outside.scenario('nic-trusts-ring', net='peer')
def trusts(guest, out):
    """The twin that believes descriptors hands 65535 bytes of a 2048 byte buffer on."""
    nic = Nic(guest)
    before = nic.counters()
    damage(nic, DONE | END | 65535)
    now = nic.wait(lambda c: c['nic.rx_frames'] > before['nic.rx_frames'], 'the frame is seen')
    caught(guest, out, 'nic/believed', now['nic.rx_delivered'] > before['nic.rx_delivered']
           and now['nic.corrupt'] == before['nic.corrupt'])


@outside.scenario('nic-resets-at-once', net='peer')
def resets(guest, out):
    """The twin that resets its rings each time does so more often than once a second."""
    caught(guest, out, 'nic/too-many-resets', not resets_in_time(*damage_often(Nic(guest))))


# -------------------------------------------------------------------- Row 27.

def budgets(nic):
    """A ring full of bad frames at one instant: how often the DPC has queued itself for them."""
    before = nic.counters()
    damage_all(nic, DONE | END | ERROR | 60)
    now = nic.wait(lambda c: c['nic.error'] >= before['nic.error'] + RING, 'all are counted')
    return now['nic.dpc_requeued'] - before['nic.dpc_requeued']


@outside.scenario('nic-burst', net='peer')
def burst(guest, out):
    """Row 27: runts, jumbo frames, a full ring, 100000 frames at once, a transmitter that hangs."""
    nic = Nic(guest)
    before = nic.counters()
    for size in (15, 42, 59, 1519, 1523, 1600, 2049, 4000, 9000, 16000):
        nic.peer.send(nic.peer.target_mac + ping.OUR_MAC + b'\x88\xb5' + bytes(size - 14))
    nic.wait(lambda c: c['nic.rx_long'] >= before['nic.rx_long'] + 6, 'long frames are counted')
    out.result(nic.good(), 'nic/runts-and-jumbos')

    nic.register(ICS, RXO)
    nic.wait(lambda c: c['nic.rx_overruns'] > before['nic.rx_overruns'], 'an overrun is counted')
    out.result(nic.good(), 'nic/overrun')

    again = budgets(nic)
    out.result(again >= 3, 'nic/budget')
    out.comment('the DPC queued itself %d times for %d frames' % (again, RING))
    nic.recovers(out, 'nic/after-full-ring')

    before = nic.counters()
    start = time.monotonic()
    frames = [nic.peer.request(number, 56) for number in range(64)]
    for number in range(100000):
        nic.peer.send(frames[number & 63])
        if number % 20000 == 10000:
            guest.wait_progress()
    out.comment('sent in %.1f s' % (time.monotonic() - start))
    guest.wait_progress()
    nic.recovers(out, 'nic/burst')
    now = nic.counters()
    out.result(now['nic.rx_frames'] - before['nic.rx_frames'] >= 1000, 'nic/burst-arrives')
    out.comment('%d frames came in; dropped for want of a transmit buffer: %d; %d pauses' % tuple(
        now[name] - before[name] for name in ('nic.rx_frames', 'nic.tx_full', 'nic.rx_pauses')))

    before = now
    nic.register(TCTL, 0)
    for number in range(2 * RING):
        nic.peer.send(nic.peer.request(number, 56))
        time.sleep(0.0005)
    nic.wait(lambda c: c['nic.tx_full'] > before['nic.tx_full'], 'the transmit ring is full')
    nic.wait(lambda c: c['nic.tx_aborted'] > before['nic.tx_aborted'], 'the hang is found')
    nic.recovers(out, 'nic/transmit-hang')
    out.result(resets_in_time(before, nic.counters()), 'nic/few-resets')
    finish(guest, nic, out)


SLOW = 0x100                            # the desk's argument: a DPC takes a millisecond


@outside.scenario('nic-never-silent', net='peer')
def never_silent(guest, out):
    """Row 27: a ring that is full each time the slow driver looks: its CPU's threads get on."""
    nic = Nic(guest)
    desk, at = guest.desk(), nic.register(RDBAL)
    ring = nic.probe.dump(at, 16 * RING)
    bad = (DONE | END | ERROR | 60).to_bytes(8, 'little')
    full = base64.b64encode(b''.join(ring[i:i + 8] + bad for i in range(0, 16 * RING, 16))).decode()
    desk.wish(desk.NOTHING, SLOW)
    before, first = guest.counters(), nic.counters()

    def fill():
        """Some rings full; true once there were pauses and every CPU got on."""
        for number in range(200):
            nic.probe.ask('b64write', hex(at), hex(16 * RING), full)
            if number == 0:
                nic.register(ICS, RXT0)
        if desk.answered():
            now, counters = desk.records(), nic.said()
            desk.ask()
            return counters['nic.rx_pauses'] > first['nic.rx_pauses'] and all(
                n[key] >= b[key] + 10 for n, b in zip(now, before)
                for key in ('turns', 'dpcs', 'timers'))
        return False
    guest.wait(fill, 'pauses, and every CPU gets on while the ring is full')
    desk.wish(desk.NOTHING, 0)
    out.result(True, 'nic/pauses')
    nic.recovers(out, 'nic/after-full-rings')
    finish(guest, nic, out)


@outside.scenario('nic-no-budget', net='peer')
def no_budget(guest, out):
    """The twin without a budget takes the whole ring in one DPC."""
    caught(guest, out, 'nic/all-in-one', budgets(Nic(guest)) == 0)


# -------------------------------------------------------------------- Row 28.

FLAPS = 100


@outside.scenario('nic-link-flap', net='peer', extra='-global e1000.autonegotiation=off')
def flap(guest, out):
    """Row 28: the link goes down and up 100 times while frames go in and out."""
    nic = Nic(guest)
    before = nic.counters()
    frames = [nic.peer.request(sequence, 1000) for sequence in range(16)]
    for number in range(2 * FLAPS):
        guest.monitor.execute('set_link', name='peer0', up=number % 2 == 1)
        for frame in frames:
            nic.peer.send(frame)
        if number < FLAPS:              # each is seen, and then as fast as they come
            nic.wait(lambda c, n=number: c['nic.link'] == n % 2, 'change %d is seen' % number)
    nic.recovers(out, 'nic/link-up-again')
    now = nic.wait(lambda c: c['nic.tx_in_flight'] == 0, 'the transmit ring is empty')
    changes = now['nic.link_changes'] - before['nic.link_changes']
    out.result(changes >= FLAPS, 'nic/link-changes-seen')
    out.comment('%d changes of link seen, %d frames in' % (
        changes, now['nic.rx_frames'] - before['nic.rx_frames']))
    finish(guest, nic, out)


# -------------------------------------------------------------------- Row 29.

ONES = '-object memory-backend-ram,id=ones,size=128K -device ivshmem-plain,memdev=ones'


def all_ones(nic):
    """A memory full of ones takes the place of the card's registers while its line is up."""
    memory = nic.find(0x1AF4, 0x1110)
    at = [region['address'] for region in memory['regions'] if region['bar'] == 2][0]
    with nic.stopped():
        nic.register(ICS, LSC)
        for slot, enable in ((memory['slot'], True), (nic.slot, False)):
            command = nic.probe.config(0, slot, 0, COMMAND, size=2) & ~MEMORY
            nic.probe.config(0, slot, 0, COMMAND, command | (MEMORY if enable else 0), size=2)
        nic.probe.ask('memset', hex(at), hex(0x20000), hex(0xFF))
        nic.probe.config(0, memory['slot'], 0, BAR2, nic.base)
        nic.probe.config(0, memory['slot'], 0, BAR2 + 4, 0)


def gone(guest, nic, before, out):
    """What must follow from a card that is gone."""
    guest.wait_log('e1000: the device no longer answers', LATE)
    guest.wait_log('e1000: detached: its interrupt is disconnected', LATE)
    now = nic.wait(lambda c: c['nic.detached'], 'the driver says so')
    out.result("stay the card's" not in guest.log(), 'nic/memory-freed')
    out.result(now['nic.vanished'] == 1, 'nic/detached')
    out.result(now['nic.isr_claimed'] == before['nic.isr_claimed'], 'nic/claims-nothing')
    guest.wait_progress(10)
    out.result(True, 'nic/others-go-on')
    finish(guest, nic, out)


@outside.scenario('nic-all-ones', net='peer', extra=ONES)
def vanish(guest, out):
    """Row 29: every register reads as all ones, with the line up: not claimed, detached."""
    nic = Nic(guest)
    before = nic.counters()
    all_ones(nic)
    out.result(nic.probe.read(nic.base + STATUS) == 0xFFFFFFFF, 'nic/reads-all-ones')
    gone(guest, nic, before, out)


@outside.scenario('nic-all-ones-ours', net='peer', extra=ONES)
def claims_ones(guest, out):
    """The twin that claims all ones: its line storms, and the guard believes that it is served."""
    nic = Nic(guest)
    all_ones(nic)
    with contextlib.suppress(outside.Failure):
        guest.wait_progress(10, SOON)
        guest.wait_log('e1000: detached', SOON)
        caught(guest, out, 'nic/stuck-or-claiming',
               nic.counters()['nic.isr_claimed'] > 1000)
        return
    caught(guest, out, 'nic/stuck-or-claiming', True)


@outside.scenario('nic-unplugged', net='peer')
def unplug(guest, out):
    """Row 29: the card is pulled out: an empty slot, registers that read as zeros."""
    nic = Nic(guest)
    before = nic.counters()
    cards = [item['name'] for item in guest.monitor.execute(
        'qom-list', path='/machine/peripheral-anon') if item['type'] == 'child<e1000>']
    guest.monitor.execute('device_del', id='/machine/peripheral-anon/' + cards[0])
    guest.probe.port_write(EJECT, 1 << nic.slot)
    guest.monitor.wait_event('DEVICE_DELETED')
    out.comment('STATUS reads as %08x' % nic.probe.read(nic.base + STATUS))
    gone(guest, nic, before, out)


# -------------------------------------------------------------------- Row 30.

EDU = '-device edu,addr=7'              # on i440fx the same line as the card's slot, 3


RAISE, ACKNOWLEDGE, RINGS = 0x60, 0x64, 40


@outside.scenario('nic-shared-line', net='peer', extra=EDU)
def shared(guest, out):
    """Row 30: another device on the card's line: each ISR claims its own; when that device never
    lets go, the line is masked, and the watch finds the card's frames."""
    nic, desk = Nic(guest), guest.desk()
    edu = nic.find(0x1234, 0x11E8)['regions'][0]['address']
    before, (gsi, vector, _, claims) = nic.counters(), desk.edus()[0]
    out.result(gsi == before['nic.gsi'], 'nic/line-is-shared')
    for number in range(RINGS):
        for sequence in range(4):
            nic.peer.send(nic.peer.request(sequence, 56))
        nic.probe.write(edu + RAISE, 1)
        guest.wait(lambda n=number: desk.edus()[0][3] > claims + n, 'ring %d is claimed' % number)
    out.result(desk.edus()[0][3] == claims + RINGS, 'nic/other-device-served')
    out.result(nic.answers() is not None and nic.good(), 'nic/pings-served')
    now = nic.counters()
    out.result(now['nic.isr_unclaimed'] > before['nic.isr_unclaimed'], 'nic/leaves-others-alone')
    out.result(now['nic.lost'] == 0, 'nic/none-lost')
    out.comment('vector %02x: the card claimed %d, left %d' % (
        vector, now['nic.isr_claimed'], now['nic.isr_unclaimed']))

    desk.wish(desk.NOTHING, desk.DEAF)
    nic.probe.write(edu + RAISE, 1)
    guest.wait_log('interrupt storm: GSI %d .*line masked' % gsi)
    guest.wait_progress()
    out.result(nic.answers(LATE) is not None, 'nic/masked-line-survived')
    nic.probe.write(edu + ACKNOWLEDGE, 1)
    out.result(nic.answers(LATE) is not None and nic.good(), 'nic/neighbour-gone')
    finish(guest, nic, out)


@outside.scenario('nic-claims-others', net='peer', extra=EDU)
def greedy(guest, out):
    """The twin that claims every interrupt on its line: the storm guard believes it is served."""
    nic, desk = Nic(guest), guest.desk()
    desk.wish(desk.NOTHING, desk.DEAF)
    nic.probe.write(nic.find(0x1234, 0x11E8)['regions'][0]['address'] + RAISE, 1)
    with contextlib.suppress(outside.Failure):
        guest.wait_log('interrupt storm', SOON)
        caught(guest, out, 'nic/storm-goes-on', False)
        return
    caught(guest, out, 'nic/storm-goes-on', True)
