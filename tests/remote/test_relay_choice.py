"""Who gets what from whom, decided for hosts of every kind, and simulated to the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabnode.remote.relay_choice import (
    FETCHES,
    HOSTS_EACH,
    STALLED,
    TOGETHER,
    TRANSFERS,
    Distribution,
    Done,
    Fetch,
    Part,
    Send,
    Serve,
    Wait,
)

# Too large to travel together.
A, B, C = (Part(letter * 64, TOGETHER + size) for letter, size in (("a", 10), ("b", 20), ("c", 30)))
SMALL = tuple(Part(f"{number:064x}", 10) for number in range(3))


def entered(*hosts: str, parts: tuple[Part, ...] = (A, B), streams: int = 1) -> Distribution:
    """Hosts that all can fetch; the first serves, and no other but for a reason."""
    found = Distribution(hosts, streams)
    for host in hosts:
        found.enter(host, parts, 0.0, fetches=True)
    if len(hosts) > 1:
        assert found.next(hosts[0], 0.0) == Serve()
        found.serving(hosts[0])
    return found


def give(choice: Distribution, host: str, part: Part, *, shared: bool = True) -> None:
    """Have the deployer send this part, which has to be the next."""
    assert choice.passes_on(host) is shared
    assert choice.next(host, 0.0) == Send((part,))
    choice.progressed(host, 0.0, ended=True)
    assert choice.held(host, part.sha256, shared=shared) == ""


def test_a_host_alone_is_sent_all_and_serves_nobody() -> None:
    choice = entered("n1")
    give(choice, "n1", A, shared=False)
    give(choice, "n1", B, shared=False)
    assert choice.next("n1", 0.0) == Done()


def test_the_second_host_waits_for_the_first_and_fetches_from_it() -> None:
    choice = entered("n1", "n2")
    assert choice.next("n2", 0.0) == Wait()
    give(choice, "n1", A)
    assert choice.next("n2", 0.0) == Fetch((A,), "n1", False)
    assert choice.next("n2", 0.0) == Wait()
    assert choice.held("n2", A.sha256, shared=False) == "n1"
    give(choice, "n1", B)
    assert choice.next("n2", 0.0) == Fetch((B,), "n1", False)
    choice.held("n2", B.sha256, shared=False)
    assert choice.next("n2", 0.0) == choice.next("n1", 0.0) == Done()


def test_a_server_that_never_confirms_a_part_keeps_it_from_nobody() -> None:
    choice = entered("n1", "n2")
    later = 0.0
    while (step := choice.next("n2", later)) == Wait():
        if isinstance(choice.next("n1", later), Send):  # which it takes, and says nothing
            choice.progressed("n1", later, ended=True)
        later += 5.0
        assert later < STALLED + 60
    assert isinstance(step, Send)
    assert choice.next("n2", later) != Done()


def test_nothing_is_asked_of_a_host_before_it_serves() -> None:
    choice = Distribution(["n1", "n2"], 1)
    for host in ("n1", "n2"):
        choice.enter(host, [A], 0.0, fetches=True)
    assert choice.next("n1", 0.0) == Serve()
    assert choice.next("n1", 0.0) == Send((A,)), "it need not wait for its server"
    assert choice.passes_on("n1") is None
    choice.progressed("n1", 0.0, ended=True)
    choice.made("n1")
    assert choice.passes_on("n1")
    assert choice.held("n1", A.sha256, shared=True) == ""
    assert choice.next("n2", 0.0) == Wait(), "nobody listens there yet"
    choice.serving("n1")
    assert choice.next("n2", 0.0) == Fetch((A,), "n1", False)


def test_another_takes_the_place_of_one_that_does_not_come_to_serve() -> None:
    choice = Distribution(["n1", "n2"], 1)
    for host in ("n1", "n2"):
        choice.enter(host, [A], 0.0, fetches=True)
    assert choice.next("n1", 0.0) == Serve()
    assert choice.next("n2", 0.0) == Wait()
    choice.bar("n1")
    assert choice.next("n1", 0.0) == Send((A,))
    assert choice.passes_on("n1") is False
    assert choice.next("n2", 0.0) == Serve()


def test_small_parts_travel_together() -> None:
    choice = entered("n1", "n2", parts=(SMALL[0], A, *SMALL[1:]))
    assert choice.next("n1", 0.0) == Send(SMALL)
    choice.progressed("n1", 0.0, ended=True)
    assert choice.next("n2", 0.0) == Wait()
    for part in SMALL:
        choice.held("n1", part.sha256, shared=True)
    assert choice.next("n2", 0.0) == Fetch(SMALL, "n1", False)
    assert choice.next("n1", 0.0) == Send((A,))


def test_parts_that_come_together_fail_together_once() -> None:
    choice = entered("n1", "n2", parts=SMALL)
    assert choice.next("n1", 0.0) == Send(SMALL)
    choice.progressed("n1", 0.0, ended=True)
    for part in SMALL:
        choice.held("n1", part.sha256, shared=True)
    assert choice.next("n2", 0.0) == Fetch(SMALL, "n1", False)
    assert choice.held("n2", SMALL[0].sha256, shared=False) == "n1"
    for part in SMALL[1:]:
        assert choice.missed("n2", part.sha256, "broken") == "n1"
    assert choice.next("n2", 0.0) == Fetch(SMALL[1:], "n1", False), "one connection broke, not two"


def test_there_is_a_server_for_each_four_hosts() -> None:
    names = [f"n{number}" for number in range(2 * HOSTS_EACH + 1)]
    choice = entered(*names, parts=(A,))
    servers = 1
    for name in names[1:]:
        if choice.next(name, 0.0) == Serve():
            choice.serving(name)
            servers += 1
    assert servers == 3


def test_as_many_serve_as_are_sent_to_at_once_and_each_gets_another_part() -> None:
    choice = entered("n1", "n2", "n3", parts=(A, B, C), streams=2)
    assert choice.next("n1", 0.0) == Send((A,))
    assert choice.next("n2", 0.0) == Serve()
    choice.serving("n2")
    assert choice.next("n2", 0.0) == Send((B,))
    assert choice.next("n3", 0.0) == Wait()
    choice.progressed("n1", 0.0, ended=True)
    choice.held("n1", A.sha256, shared=True)
    assert choice.next("n2", 0.0) == Fetch((A,), "n1", True), "while it is sent another part"
    assert choice.next("n2", 0.0) == Wait()


def test_a_host_that_cannot_fetch_is_sent_all() -> None:
    choice = Distribution(["n1", "n2"], 2)
    choice.enter("n1", [A], 0.0, fetches=True)
    choice.enter("n2", [A], 0.0, fetches=False)
    assert choice.next("n1", 0.0) == Serve()
    choice.serving("n1")
    assert choice.next("n1", 0.0) == Send((A,))
    choice.bar("n2")
    assert choice.next("n2", 0.0) == Send((A,))


def test_the_uplink_has_its_limit() -> None:
    choice = Distribution(["n1", "n2"], 1)
    for host in ("n1", "n2"):
        choice.enter(host, [A], 0.0, fetches=False)
    choice.bar("n1")
    choice.bar("n2")
    assert choice.next("n1", 0.0) == Send((A,))
    assert choice.next("n2", 0.0) == Wait()
    choice.progressed("n1", 0.0, ended=True)
    assert choice.next("n2", 0.0) == Send((A,))


def test_one_that_sent_other_bytes_is_asked_for_nothing_more() -> None:
    choice = entered("n1", "n2", "n3", parts=(A,))
    give(choice, "n1", A)
    assert choice.next("n2", 0.0) == Fetch((A,), "n1", False)
    assert choice.missed("n2", A.sha256, "wrong") == "n1"
    assert choice.next("n2", 0.0) == Serve()
    choice.serving("n2")
    assert choice.next("n3", 0.0) == Wait(), "n2 will be the one that is sent it"
    give(choice, "n2", A)
    assert choice.next("n3", 0.0) == Fetch((A,), "n2", False)


def test_a_host_behind_a_firewall_gets_a_stream_of_its_own() -> None:
    choice = entered("n1", "n2", "n3", streams=2)
    for host in ("n2", "n3"):
        choice.bar(host)  # as servers
    give(choice, "n1", A)
    assert choice.next("n2", 0.0) == Fetch((A,), "n1", False)
    choice.missed("n2", A.sha256, "unreachable")
    assert choice.next("n1", 0.0) == Send((B,))
    assert choice.next("n2", 0.0) == Send((A,)), "while the others go on"
    assert choice.next("n3", 0.0) == Fetch((A,), "n1", False)


def test_who_answers_two_hosts_nothing_is_given_up() -> None:
    choice = entered("n1", "n2", "n3", "n4", parts=(A,))
    give(choice, "n1", A)
    for host in ("n2", "n3"):
        assert choice.next(host, 0.0) == Fetch((A,), "n1", False)
    for host in ("n2", "n3"):
        choice.missed(host, A.sha256, "unreachable")
    assert choice.next("n4", 0.0) == Serve()


def test_a_connection_that_broke_is_tried_once_more() -> None:
    choice = entered("n1", "n2", parts=(A,))
    give(choice, "n1", A)
    for _ in range(2):
        assert choice.next("n2", 0.0) == Fetch((A,), "n1", False)
        choice.missed("n2", A.sha256, "broken")
    assert choice.next("n2", 0.0) == Send((A,))


def test_nobody_waits_for_a_stream_that_stands_still() -> None:
    choice = entered("n1", "n2", parts=(A,))
    assert choice.next("n1", 0.0) == Send((A,))
    assert choice.next("n2", STALLED - 1) == Wait()
    choice.progressed("n1", STALLED - 1)
    assert choice.next("n2", STALLED + 1) == Wait()
    later = 2 * STALLED + 1
    assert choice.next("n2", later) == Serve()
    choice.serving("n2")
    assert choice.next("n2", later) == Send((A,))


def test_nobody_waits_for_a_host_that_left() -> None:
    choice = entered("n1", "n2", parts=(A,))
    assert choice.next("n1", 0.0) == Send((A,))
    choice.leave("n1")
    assert choice.next("n2", 0.0) == Send((A,))


def test_what_left_hosts_serve_is_still_fetched() -> None:
    choice = entered("n1", "n2", parts=(A,))
    give(choice, "n1", A)
    choice.leave("n1")
    assert choice.next("n2", 0.0) == Fetch((A,), "n1", False)
    assert not choice.over
    choice.leave("n2")
    assert choice.over


def test_what_a_host_says_out_of_turn_counts_for_nothing() -> None:
    choice = entered("n1", "n2", parts=(A,))
    assert choice.held("n2", A.sha256, shared=True) is None
    assert choice.held("n1", B.sha256, shared=True) is None
    assert choice.held("nobody", A.sha256, shared=True) is None
    assert choice.missed("n2", A.sha256, "wrong") is None
    assert choice.next("n2", 0.0) == Wait()


def test_a_part_that_never_arrives_ends_that_host_alone() -> None:
    choice = entered("n1", "n2", parts=(A,))
    for _ in range(3):
        assert choice.next("n1", 0.0) == Send((A,))
        choice.progressed("n1", 0.0, ended=True)
        choice.missed("n1", A.sha256, "wrong")
    assert choice.next("n1", 0.0) == Done((A,))


# --- simulated to the end ------------------------------------------------------------------------


@dataclass
class World:
    """Hosts with faults, a clock, and what came of a distribution."""

    choice: Distribution
    hosts: list[str]
    random: Random
    streams: int
    mute: set[str] = field(default_factory=set)  # nobody reaches them
    liars: set[str] = field(default_factory=set)
    dumb: set[str] = field(default_factory=set)  # they can't serve
    dies: set[str] = field(default_factory=set)  # servers that end in the middle
    sent: Counter[Part] = field(default_factory=Counter)
    under_way: list[tuple[str, tuple[Part, ...], str, bool]] = field(default_factory=list)
    sending: set[str] = field(default_factory=set)
    done: dict[str, Done] = field(default_factory=dict)

    def step(self, host: str, now: float) -> None:
        match self.choice.next(host, now):
            case Serve():
                if host in self.dumb:
                    self.choice.bar(host)
                else:
                    self.choice.serving(host)
            case Send(parts):
                self.sent.update(parts)
                self.sending.add(host)
                assert len(self.sending) <= self.streams
                self.under_way.append((host, parts, "", bool(self.choice.passes_on(host))))
            case Fetch(parts, source, shared):
                assert source != host
                self.under_way.append((host, parts, source, shared))
                loads = Counter(s for _, _, s, _ in self.under_way if s)
                assert max(loads.values()) <= TRANSFERS
                assert sum(h == host and bool(s) for h, _, s, _ in self.under_way) <= FETCHES
            case Done() as done:
                self.done[host] = done
                self.choice.leave(host)
            case _:
                pass

    def finish_one(self, now: float) -> None:
        index = self.random.randrange(len(self.under_way))
        host, parts, source, shared = self.under_way.pop(index)
        if not source:
            self.sending.remove(host)
            self.choice.progressed(host, now, ended=True)
        dies = source in self.dies and self.random.random() < 0.5
        for part in parts:
            if source in self.mute or (source and host in self.mute):
                self.choice.missed(host, part.sha256, "unreachable")
            elif source in self.liars:
                self.choice.missed(host, part.sha256, "wrong")
            elif dies:
                self.choice.missed(host, part.sha256, "broken")
                self.choice.bar(source)
            else:
                assert self.choice.held(host, part.sha256, shared=shared) == source

    def run(self) -> None:
        now = 0.0
        for _ in range(20_000):
            now += 0.01
            waiting = [host for host in self.hosts if host not in self.done]
            if not waiting:
                return
            for host in waiting:
                self.step(host, now)
            if self.under_way and self.random.random() < 0.7:
                self.finish_one(now)
        pytest.fail("it does not come to an end")


PARTS = tuple(Part(f"{n:064x}", TOGETHER if n % 3 else TOGETHER // 5) for n in range(8))
HOSTS = st.integers(1, 12).map(lambda count: [f"n{number}" for number in range(count)])


@settings(max_examples=150, deadline=None)
@given(hosts=HOSTS, streams=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_each_part_leaves_the_deployer_once(hosts: list[str], streams: int, seed: int) -> None:
    choice = Distribution(hosts, streams)
    for host in hosts:
        choice.enter(host, PARTS, 0.0, fetches=True)
    world = World(choice, hosts, Random(seed), streams)
    world.run()
    assert world.sent == Counter(PARTS)
    assert set(world.done.values()) == {Done()}
    assert choice.over


@settings(max_examples=300, deadline=None)
@given(data=st.data(), hosts=HOSTS, streams=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_all_get_all_whatever_fails(
    data: st.DataObject, hosts: list[str], streams: int, seed: int
) -> None:
    some = st.sets(st.sampled_from(hosts))
    choice = Distribution(hosts, streams)
    unable = data.draw(some)
    for host in hosts:
        wanted = data.draw(st.lists(st.sampled_from(PARTS), unique=True))
        choice.enter(host, wanted, 0.0, fetches=host not in unable)
    world = World(choice, hosts, Random(seed), streams)
    for name in ("mute", "liars", "dumb", "dies"):
        setattr(world, name, data.draw(some))
    world.run()
    assert set(world.done.values()) <= {Done()}
    assert max(world.sent.values(), default=0) <= len(hosts)
