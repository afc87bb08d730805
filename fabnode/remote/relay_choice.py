"""
Who gets which part from whom: decisions of the relay between hosts. Pure; the clock is passed in.

Each host asks again and again what to do next. Nothing here trusts what hosts say: a host that
claims to hold a part is asked for it, and who was given something else says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

HOSTS_EACH = 4  # that one serving host has to serve; as many serve at least as are sent to at once
FETCHES = 4  # connections by which a host fetches at once
TRANSFERS = 10  # connections that a serving host has at once
TOGETHER = 2**23  # bytes at most of small parts that travel by one connection
_MOST_TOGETHER = 16  # parts
STALLED = 30.0  # seconds without progress after which nobody waits for a host any more
_SLOWEST = 2**20  # bytes a second that a neighbour's link has, beside those
_STRIKES = 2  # of what may pass, such as a connection that broke
_ENOUGH = 2  # hosts that can't reach one, or that one can't reach, before it is given up
_SENT_AGAIN = 3  # times at most that the deployer sends a part to a host

Miss = Literal["unreachable", "broken", "wrong"]
"""Why a part did not come: nobody answers; an answer that ended early; other bytes than those."""


@dataclass(frozen=True, slots=True)
class Part:
    """
    A packed artifact, as it travels.

    :param sha256: of its packed form; `size` in bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Send:
    """The deployer sends these parts to this host, one after another."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """The host fetches these parts from a neighbour, by one connection."""

    parts: tuple[Part, ...]
    source: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Serve:
    """The host begins to serve what it will hold."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done at the moment."""


@dataclass(frozen=True, slots=True)
class Done:
    """The host has all its parts, or will get no more (`lacking`)."""

    lacking: tuple[Part, ...] = ()


Step: TypeAlias = Send | Fetch | Serve | Wait | Done


@dataclass(slots=True)
class _Way:
    source: str  # a neighbour; empty: the deployer
    first: str  # sha256 of the first part of those that come together
    since: float


@dataclass(slots=True)
class _Host:
    wanted: dict[str, Part]
    fetches: bool
    seen: float
    serves: Literal["", "starting", "made", "yes", "no"] = ""
    held: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    coming: dict[str, _Way] = field(default_factory=dict)  # by sha256
    sending: tuple[str, ...] = ()  # what is just being sent to it
    sent: Counter[str] = field(default_factory=Counter)
    unreached: set[str] = field(default_factory=set)  # neighbours that did not answer it
    strikes: Counter[str] = field(default_factory=Counter)  # of neighbours

    @property
    def lacks(self) -> Iterator[Part]:
        return (p for s, p in self.wanted.items() if s not in self.held)

    @property
    def passes_on(self) -> bool | None:
        """Whether what comes now will be passed on; None: that is not known yet."""
        return None if self.serves == "starting" else self.serves in ("made", "yes")

    @property
    def connections(self) -> set[tuple[str, str]]:
        """Neighbours that it fetches from just now, once for each connection."""
        return {(way.source, way.first) for way in self.coming.values() if way.source}


class Distribution:
    """
    State of a run's distribution.

    :param hosts: names of those that may come; they need not.
    :param streams: parts that the deployer sends at once, at most.
    """

    def __init__(self, hosts: Collection[str], streams: int) -> None:
        self._expected = set(hosts)
        self._streams = streams
        self._hosts: dict[str, _Host] = {}
        self._barred: set[str] = set()

    def enter(self, host: str, parts: Sequence[Part], now: float, *, fetches: bool) -> None:
        """
        Take up a host that needs these parts, in this order.

        :param fetches: it can fetch from others; otherwise the deployer sends all.
        """
        before = self._hosts.get(host)
        entered = _Host({part.sha256: part for part in parts}, fetches, now)
        if before:  # another plan of the same host
            entered.serves, entered.shared = before.serves, before.shared
            entered.unreached, entered.strikes = before.unreached, before.strikes
        self._hosts[host] = entered

    def leave(self, host: str) -> None:
        """Let a host go that has what it needs, needs nothing or failed; what it serves stays."""
        self._expected.discard(host)
        if found := self._hosts.get(host):
            found.wanted, found.coming, found.sending = {}, {}, ()

    def next(self, host: str, now: float) -> Step:
        """Return what this host, which is there and at work, is to do now."""
        own = self._hosts[host]
        own.seen = now
        lacking = [part for part in own.lacks if part.sha256 not in own.coming]
        if not lacking:
            return Wait() if own.coming else Done()
        if hopeless := tuple(p for p in lacking if own.sent[p.sha256] >= _SENT_AGAIN):
            return Done(hopeless)
        if own.sending:
            return self._fetch(host, lacking, now) or Wait()
        if self._has_to_serve(host, now):
            own.serves = "starting"
            return Serve()
        if fetch := self._fetch(host, lacking, now):
            return fetch
        unseen = [part for part in lacking if not self._comes(host, part, now)]
        if unseen and self._may_send(host, unseen[0], now):
            parts = _together(p for p in unseen if p is unseen[0] or self._may_send(host, p, now))
            self._begin(own, parts, "", now)
            own.sending = tuple(part.sha256 for part in parts)
            own.sent.update(own.sending)
            return Send(parts)
        return Wait()

    def _fetch(self, host: str, lacking: Sequence[Part], now: float) -> Fetch | None:
        own = self._hosts[host]
        shared = own.passes_on
        if shared is None or not own.fetches or len(own.connections) >= FETCHES:
            return None
        for number, part in enumerate(lacking):
            if source := self._source(host, part):
                there = self._hosts[source].shared
                parts = _together(p for p in lacking[number:] if p.sha256 in there)
                self._begin(own, parts, source, now)
                return Fetch(parts, source, shared)
        return None

    @staticmethod
    def _begin(own: _Host, parts: Sequence[Part], source: str, now: float) -> None:
        for part in parts:
            own.coming[part.sha256] = _Way(source, parts[0].sha256, now)

    def progressed(self, host: str, now: float, *, ended: bool = False) -> None:
        """Note that bytes went to a host; `ended`: what is being sent is through."""
        own = self._hosts[host]
        own.seen = now
        for sha256 in own.sending:
            if way := own.coming.get(sha256):
                way.since = now
        if ended:
            own.sending = ()

    def held(self, host: str, sha256: str, *, shared: bool) -> str | None:
        """
        Note that a host has a part, and whether it passes it on; return where it came from.

        None: it was not to get that part now, so that it counts for nothing.
        """
        own = self._hosts.get(host)
        if own is None or sha256 not in own.coming:
            return None
        source = own.coming.pop(sha256).source
        own.held.add(sha256)
        if shared and own.passes_on:
            own.shared.add(sha256)
        return source

    def missed(self, host: str, sha256: str, why: Miss) -> str | None:
        """Note that a part did not come; return from whom, as `held` does."""
        own = self._hosts.get(host)
        if own is None or sha256 not in own.coming:
            return None
        way = own.coming.pop(sha256)
        source = way.source
        if not source:
            return source
        if why == "wrong":
            self.bar(source)
        elif why == "unreachable":
            own.unreached.add(source)
            if len(own.unreached) >= _ENOUGH:
                own.fetches = False
            if sum(source in each.unreached for each in self._hosts.values()) >= _ENOUGH:
                self.bar(source)
        elif (source, way.first) not in own.connections:  # once for each
            own.strikes[source] += 1
        return source

    def passes_on(self, host: str) -> bool | None:
        """Return whether a host passes on what comes to it now; None: that is not known yet."""
        return self._hosts[host].passes_on

    def made(self, host: str) -> None:
        """Note that a host keeps from now on what it will serve."""
        if (own := self._hosts.get(host)) and own.serves == "starting":
            own.serves = "made"

    def serving(self, host: str) -> None:
        """Note that a host serves from now on."""
        if own := self._hosts.get(host):
            own.serves = "yes"

    def bar(self, host: str) -> None:
        """Ask nothing of a host any more: it does not serve, or lies."""
        self._barred.add(host)
        if own := self._hosts.get(host):
            own.serves = "no"

    @property
    def over(self) -> bool:
        """Whether no host lacks anything, nor may come to."""
        return not self._expected

    def _has_to_serve(self, host: str, now: float) -> bool:
        own = self._hosts[host]
        if own.serves or host in self._barred or not self._expected - {host}:
            return False
        at_work = sum(1 for each in self._hosts.values() if each.wanted)
        wanted = max(min(self._streams, at_work), -(-at_work // HOSTS_EACH))
        return len(self._servers(now)) < wanted

    def _servers(self, now: float) -> list[str]:
        """Return who serves or is about to, and is not known to hang."""
        return [
            name
            for name, each in self._hosts.items()
            if each.passes_on is not False and not self._hangs(each, now)
        ]

    @staticmethod
    def _hangs(host: _Host, now: float) -> bool:
        return bool(host.wanted) and now - host.seen > STALLED

    def _source(self, host: str, part: Part) -> str | None:
        """Return the neighbour with the least to do that has a part and may be asked by a host."""
        load = Counter(s for each in self._hosts.values() for s, _ in each.connections)
        able = [
            name
            for name in self._reachable(host)
            if part.sha256 in self._hosts[name].shared
            and self._hosts[name].serves == "yes"
            and load[name] < TRANSFERS
        ]
        return min(able, key=lambda name: load[name], default=None)

    def _reachable(self, host: str) -> list[str]:
        own = self._hosts[host]
        return [
            name
            for name, each in self._hosts.items()
            if name != host
            and each.passes_on is not False
            and name not in own.unreached
            and own.strikes[name] < _STRIKES
        ]

    def _comes(self, host: str, part: Part, now: float) -> bool:
        """Return whether a host does well to wait for a part: some neighbour has it, or gets it."""
        own = self._hosts[host]
        if not own.fetches:
            return False
        for name in self._reachable(host):
            each = self._hosts[name]
            if part.sha256 in each.shared:
                return True  # it has too much to do just now
            hopeless = self._late(each, part, now) or self._hangs(each, now)
            if part.sha256 in each.coming and not hopeless:
                return True
        return False

    @staticmethod
    def _late(host: _Host, part: Part, now: float) -> bool:
        """Return whether a part has been on its way to a host for longer than any link takes."""
        way = host.coming.get(part.sha256)
        # Those that come with it may come first.
        return way is not None and now - way.since > STALLED + (TOGETHER + part.size) / _SLOWEST

    def _may_send(self, host: str, part: Part, now: float) -> bool:
        """Return whether the deployer is to send a part to a host now, and not to a better one."""
        at_work = self._hosts.values()
        under_way = sum(1 for each in at_work if each.sending and not self._hangs(each, now))
        if under_way >= self._streams:
            return False
        own = self._hosts[host]
        if own.passes_on is not False or not own.fetches:
            return True
        # It reaches one that passes on what it gets, and that one wants this as well.
        return not any(
            part.sha256 in self._hosts[name].wanted
            and part.sha256 not in self._hosts[name].held
            and not self._hangs(self._hosts[name], now)
            and not self._late(self._hosts[name], part, now)
            for name in self._reachable(host)
        )


def _together(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return the first of these, and small ones after a small one: each way costs, too."""
    found: list[Part] = []
    total = 0
    for part in parts:
        if total + part.size > TOGETHER and found:
            continue
        found.append(part)
        total += part.size
        if total > TOGETHER or len(found) == _MOST_TOGETHER:
            break
    return tuple(found)
