"""
The relay of a run: hosts that pass on parts to each other, and what came of it.

Nodes' threads ask `Distribution` what to do; hosts that serve have a thread each, which holds the
channel that keeps their server alive.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from ..remote.relay_choice import Distribution, Done, Serve, Wait
from ..remote.relay_server import Offer, folder, serve
from ..util.errors import FabnodeError
from ..util.families import FAMILY_NAMES, first_of_family, in_url, shared_family
from ..util.words import counted, megabytes
from .part_travel import FETCHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..config.configuration import Config, Node
    from ..journal.journal import Journal
    from ..node.facts import Facts
    from ..remote.relay_choice import Miss, Part, Step
    from ..ssh.host import Host

R = TypeVar("R")

_UP = 20.0  # seconds until a server listens
_END = 10.0  # seconds that servers have for their end


@dataclass(slots=True)
class Moved:
    """Bytes of parts that came to a host."""

    sent: int = 0  # by the deployer
    passed: int = 0  # by neighbours


class Relay:
    """
    A piece of work on several nodes, which may all need parts; their courses share it. Thread-safe.

    Use as a context manager: at the end nobody serves any more, and what came of it is reported.
    """

    def __init__(self, config: Config, journal: Journal, nodes: Iterable[Node]) -> None:
        self._journal = journal
        ips = {node.name: node.ips for node in nodes}
        self._family = shared_family(ips.values())
        self._addresses = {name: first_of_family(own, self._family) for name, own in ips.items()}
        self._state = config.paths.state
        self._port = config.artifacts.relay_port
        self._name = secrets.token_hex(4)
        self.token = secrets.token_hex(16)
        journal.secret(self.token)
        self._choice = Distribution(list(ips), config.artifacts.uplink_streams)
        self._lock = threading.Lock()
        self._over = False
        self._threads: list[threading.Thread] = []
        self._moved: dict[str, Moved] = {}
        self._notes: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Nobody serves yet."""
        return self

    def course(self, host: Host, facts: Facts) -> HostCourse | None:
        """Return the part of one host, which is used by one thread; None: nobody shares in it."""
        if self._over:
            return None
        lacks = "" if FETCHERS & facts.tools else "neither curl nor wget"
        if not self._addresses[host.name]:
            self.update(lambda choice: choice.bar(host.name))
            lacks = f"no {FAMILY_NAMES[self._family]} address, by which parts are passed on"
        return HostCourse(self, host, lacks)

    def leave(self, name: str) -> None:
        """Let a node go, whatever became of it; the last one ends all servers."""
        with self._lock:
            self._choice.leave(name)
            self._over |= self._choice.over

    def __exit__(self, *_: object) -> None:
        """End all servers, wait for that, and say what came of the relay."""
        with self._lock:
            self._over = True
            threads = list(self._threads)
        deadline = time.monotonic() + _END
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for text, times in self._notes.items():
            self._journal.warn(text if times == 1 else f"{text} ({times} times)")
        if self._moved:
            sent = sum(each.sent for each in self._moved.values())
            passed = sum(each.passed for each in self._moved.values())
            self._journal.info(
                f"parts for {counted(len(self._moved), 'host')}: {megabytes(sent)} sent from here,"
                f" {megabytes(passed)} passed on from host to host"
            )

    @property
    def folder(self) -> str:
        """Where hosts of this run serve from."""
        return folder(self._state, self._name)

    def endpoint(self, name: str) -> str:
        """Return where a node serves."""
        return f"{in_url(self.address(name))}:{self._port}"

    def address(self, name: str) -> str:
        """Return the address by which others of the run reach a node; empty: it has none."""
        return self._addresses[name]

    def ask(self, question: Callable[[Distribution], R]) -> R:
        """Ask something about a host, such as its next step."""
        with self._lock:
            return question(self._choice)

    def update(self, change: Callable[[Distribution], object]) -> None:
        """Change what is known of a host."""
        with self._lock:
            change(self._choice)

    def note(self, text: str) -> None:
        """Keep a sentence for the end of the run, where it is reported once."""
        with self._lock:
            self._notes[text] += 1

    def arrived(self, name: str, part: Part, *, shared: bool) -> bool:
        """Note that a host has a part; return whether it came from a neighbour."""
        with self._lock:
            source = self._choice.held(name, part.sha256, shared=shared)
            if source is None:
                return False
            moved = self._moved.setdefault(name, Moved())
            if source:
                moved.passed += part.size
            else:
                moved.sent += part.size
            return bool(source)

    def missed(self, name: str, part: Part, why: Miss, text: str) -> None:
        """Note that a part did not come to a host."""
        with self._lock:
            source = self._choice.missed(name, part.sha256, why)
        if source is None:
            return
        if not source:
            self.note(f"{name}: a part that was sent did not arrive as it was: {text}")
        elif why == "wrong":
            self.note(
                f"{name} got other bytes from {source} than promised: refused; {source} passes on"
                " nothing more in this run"
            )
        elif why == "unreachable":
            by = f"TCP {self._port}" + (" by IPv6" if self._family == 6 else "")
            self.note(f"{name} does not reach {source} at {by}: it gets its parts elsewhere")
        else:
            self.note(f"{name} did not get a whole part from {source}: {text or 'it ended early'}")

    def start_server(self, host: Host) -> None:
        """Have a host serve, in a thread of its own."""
        own = self.address(host.name)
        peers = [each for name, each in self._addresses.items() if each and name != host.name]
        offer = Offer(self._name, self.token, own, self._port, peers, self._state)
        began = time.monotonic()
        up = threading.Event()

        def on_made() -> None:
            self.update(lambda choice: choice.made(host.name))

        def on_up(_: str) -> None:
            up.set()
            self.update(lambda choice: choice.serving(host.name))

        def wanted() -> bool:
            return not self._over and (up.is_set() or time.monotonic() - began < _UP)

        def attend() -> None:
            try:
                why = serve(host, offer, on_made, on_up, wanted)
                if not up.is_set():
                    why = why or f"its server did not listen within {_UP:.0f} s"
            except (FabnodeError, KeyboardInterrupt) as error:
                why = str(error)
            except Exception as error:  # it must not end without a word
                why = f"{type(error).__name__}: {error}"
            with self._lock:
                self._choice.bar(host.name)
                ended = self._over
            if not ended:
                self.note(f"{host.name} passes nothing on: {why}")

        thread = threading.Thread(target=attend, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()


class HostCourse:
    """One host's part in a relay: what `remote.payload` asks and tells."""

    def __init__(self, relay: Relay, host: Host, lacks: str) -> None:
        self._relay = relay
        self._host = host
        self._lacks = lacks  # why it can't fetch; empty: it can
        self._begun = False
        self.passed = 0  # bytes that came from neighbours
        self._parts: dict[str, Part] = {}

    @property
    def token(self) -> str:
        """What proves to neighbours that it belongs to the run."""
        return self._relay.token

    @property
    def passes_on(self) -> bool | None:
        """Whether this host passes on what comes to it; None: that is not known yet."""
        return self._relay.ask(lambda choice: choice.passes_on(self._host.name))

    @property
    def folder(self) -> str:
        """Where this host serves from."""
        return self._relay.folder

    def enter(self, parts: Sequence[Part]) -> None:
        """Take part, with what the host needs."""
        self._parts = {part.sha256: part for part in parts}
        if parts and self._lacks:
            self._relay.note(f"{self._host.name} has {self._lacks}: it gets its parts from here")
        name, fetches = self._host.name, not self._lacks
        now = time.monotonic()
        self._relay.update(lambda choice: choice.enter(name, parts, now, fetches=fetches))

    def begun(self) -> None:
        """Note that the host follows orders."""
        self._begun = True

    def next(self) -> Step:
        """Return what is to be done now."""
        if self._parts and not self._begun:
            return Wait()
        name, now = self._host.name, time.monotonic()
        step = self._relay.ask(lambda choice: choice.next(name, now))
        if isinstance(step, Serve):
            self._relay.start_server(self._host)
            return Wait()
        if isinstance(step, Done):
            self._relay.leave(name)
        return step

    def progressed(self, *, ended: bool = False) -> None:
        """Note that bytes of parts went to the host."""
        name, now = self._host.name, time.monotonic()
        self._relay.update(lambda choice: choice.progressed(name, now, ended=ended))

    def held(self, sha256: str, *, shared: bool) -> None:
        """Note that the host has a part."""
        part = self._parts.get(sha256)
        if part and self._relay.arrived(self._host.name, part, shared=shared):
            self.passed += part.size

    def missed(self, sha256: str, why: Miss, text: str) -> None:
        """Note that a part did not come to the host."""
        if part := self._parts.get(sha256):
            self._relay.missed(self._host.name, part, why, text)

    def way(self, host: str) -> tuple[str, str]:
        """Return where a neighbour serves, and the address that it knows this host by."""
        return self._relay.endpoint(host), self._relay.address(self._host.name)
