"""The relay: its hosts' courses, its servers' threads, and what it says at the end."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from fabnode.deploy import relay as relays
from fabnode.deploy.part_travel import travel
from fabnode.deploy.relay import Relay
from fabnode.journal.journal import Journal
from fabnode.node.facts import Facts
from fabnode.node.plan import Change, Plan
from fabnode.node.resources import Binary, Image
from fabnode.remote.relay_choice import Done, Fetch, Part, Send, Wait
from fabnode.ssh.errors import ConnectionLostError
from tests.support import DUAL, IPV6, make_config, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fabnode.deploy.relay import HostCourse
    from fabnode.remote.relay_server import Offer
    from fabnode.ssh.host import Host

A = Part("a" * 64, 3_000_000)


class Servers:
    """What stands for `serve`: it is up at once, or ends as a test says."""

    def __init__(self) -> None:
        self.offers: list[Offer] = []
        self.ended: list[str] = []
        self.end: str | BaseException = ""

    def serve(
        self,
        host: Host,
        offer: Offer,
        on_made: Callable[[], None],
        on_up: Callable[[str], None],
        wanted: Callable[[], bool],
    ) -> str:
        self.offers.append(offer)
        if isinstance(self.end, BaseException):
            raise self.end
        if self.end:
            return self.end
        on_made()
        on_up("script")
        wait_for(lambda: not wanted())
        self.ended.append(host.name)
        return ""


class Named:
    """A host, as far as its name."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    made = Servers()
    monkeypatch.setattr(relays, "serve", made.serve)
    return made


@pytest.fixture
def journal() -> Journal:
    return Journal(None, [])


@pytest.fixture
def relay(servers: Servers, journal: Journal, tmp_path: Path) -> Iterator[Relay]:
    config = make_config(tmp_path, artifacts={"distribution": "relay", "uplink_streams": 1})
    with Relay(config, journal, config.nodes[:2]) as it:
        yield it


def course(relay: Relay, name: str, *tools: str) -> HostCourse:
    host = cast("Host", Named(name))
    made = relay.course(host, Facts(tools=frozenset(tools or ("curl",))))
    assert made
    made.enter([A])
    made.begun()
    return made


def step(course: HostCourse) -> Any:
    """Return the next step that is no wait."""
    found: list[Any] = []

    def asked() -> bool:
        found.append(course.next())
        return bool(found[-1] != Wait())

    wait_for(asked)
    return found[-1]


def notes(journal: Journal) -> list[str]:
    return [event.text for event in journal.events]


def passed_on(relay: Relay) -> tuple[HostCourse, HostCourse]:
    """Have the deployer send n1 a part, and n2 fetch it."""
    first, second = course(relay, "n1"), course(relay, "n2")
    assert step(first) == Send((A,))  # which may be while its server only starts:
    wait_for(lambda: first.passes_on is True)  # payload orders no sharing before that, either
    first.progressed(ended=True)
    first.held(A.sha256, shared=True)
    assert step(second) == Fetch((A,), "n1", False)
    return first, second


def test_a_host_serves_the_other_and_the_end_says_what_was_sent(
    relay: Relay, servers: Servers, journal: Journal
) -> None:
    first, second = passed_on(relay)
    assert second.way("n1") == ("192.0.2.11:10280", "192.0.2.12")
    second.held(A.sha256, shared=False)
    assert (first.passed, second.passed) == (0, A.size)
    assert first.next() == second.next() == Done()
    wait_for(lambda: servers.ended == ["n1"])
    (offer,) = servers.offers
    assert (offer.address, list(offer.peers)) == ("192.0.2.11", ["192.0.2.12"])
    assert first.folder == offer.folder
    relay.__exit__()
    assert notes(journal) == [
        "parts for 2 hosts: 3 MB sent from here, 3 MB passed on from host to host"
    ]
    assert relay.course(cast("Host", Named("n1")), Facts()) is None, "nobody is left to share"


def relay_of(tmp_path: Path, journal: Journal, *ips: str) -> Relay:
    """Return a relay of nodes with these addresses, where the cluster has both families."""
    nodes = [
        {"name": f"n{n}", "address": f"n{n}.example.org", "ip": ip} for n, ip in enumerate(ips, 1)
    ]
    changes = IPV6 if "192" not in ips[0] else DUAL
    relays = {"distribution": "relay", "uplink_streams": 1}
    config = make_config(tmp_path, **{**changes, "nodes": nodes, "artifacts": relays})
    return Relay(config, journal, config.nodes)


@pytest.mark.parametrize(
    ("ips", "ways"),
    [
        (
            ["2001:db8::11", "2001:db8::12"],
            ("[2001:db8::11]:10280", "2001:db8::12"),
        ),
        (
            ["192.0.2.11,2001:db8::11", "192.0.2.12,2001:db8::12"],
            ("192.0.2.11:10280", "192.0.2.12"),
        ),
        (
            ["2001:db8::11,192.0.2.11", "2001:db8::12,192.0.2.12"],
            ("[2001:db8::11]:10280", "2001:db8::12"),
        ),
        (  # of nodes that differ, as most of them have it
            ["192.0.2.11,2001:db8::11", "2001:db8::12,192.0.2.12", "2001:db8::13,192.0.2.13"],
            ("[2001:db8::11]:10280", "2001:db8::12"),
        ),
        (
            ["2001:db8::11,192.0.2.11", "192.0.2.12,2001:db8::12"],
            ("[2001:db8::11]:10280", "2001:db8::12"),
        ),
    ],
)
def test_parts_go_by_the_family_that_nodes_have_first(
    servers: Servers, journal: Journal, tmp_path: Path, ips: list[str], ways: tuple[str, str]
) -> None:
    with relay_of(tmp_path, journal, *ips) as relay:
        _, second = passed_on(relay)
        assert second.way("n1") == ways
        for name in ("n1", "n2", "n3")[: len(ips)]:
            relay.leave(name)
    (offer,) = servers.offers
    assert offer.endpoint == ways[0]
    assert offer.peers[0] == ways[1]
    assert len(offer.peers) == len(ips) - 1


def test_a_host_without_an_address_of_that_family_gets_its_stream_and_is_named(
    servers: Servers, journal: Journal, tmp_path: Path
) -> None:
    """No configuration has such nodes; whoever uses fabnode as a library may."""
    config = make_config(tmp_path, **DUAL, artifacts={"distribution": "relay"})
    nodes = [
        replace(node, ip=ip, second_ip="")
        for node, ip in zip(config.nodes, ("192.0.2.11", "2001:db8::12"), strict=False)
    ]
    with Relay(config, journal, nodes) as relay:
        second = course(relay, "n2")
        assert step(second) == Send((A,))
        first = course(relay, "n1")
        assert step(first) == Send((A,))
        for name in ("n1", "n2"):
            relay.leave(name)
    assert [offer.address for offer in servers.offers] == ["192.0.2.11"]
    assert notes(journal)[0] == (
        "n2 has no IPv4 address, by which parts are passed on: it gets its parts from here"
    )


def test_its_token_is_in_no_journal(relay: Relay, journal: Journal) -> None:
    journal.info(f"x {relay.token}")
    assert relay.token not in str(journal.events)


def test_nothing_happens_before_a_host_follows_orders(relay: Relay) -> None:
    made = relay.course(cast("Host", Named("n1")), Facts(tools=frozenset({"curl"})))
    assert made
    made.enter([A])
    assert made.next() == Wait()


@pytest.mark.parametrize(
    ("why", "text", "note"),
    [
        (
            "wrong",
            "its sha256 is b",
            "n2 got other bytes from n1 than promised: refused; n1 passes",
        ),
        ("unreachable", "curl: (28) …", "n2 does not reach n1 at TCP 10280"),
        ("broken", "curl: (18) …", "n2 did not get a whole part from n1: curl: (18) …"),
    ],
)
def test_what_went_wrong_is_named_once(
    relay: Relay, journal: Journal, why: Any, text: str, note: str
) -> None:
    _, second = passed_on(relay)
    second.missed(A.sha256, why, text)
    second.missed("0" * 64, why, text)
    relay.__exit__()
    assert notes(journal)[0].startswith(note)
    assert len([line for line in notes(journal) if "n1" in line]) == 1


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("it has no systemd-run", "n1 passes nothing on: it has no systemd-run"),
        (ConnectionLostError("n1", "the connection broke"), "n1 passes nothing on: "),
        (ZeroDivisionError("odd"), "n1 passes nothing on: ZeroDivisionError: odd"),
    ],
)
def test_a_host_that_cannot_serve_gets_its_stream_and_is_named(
    relay: Relay, servers: Servers, journal: Journal, end: Any, text: str
) -> None:
    servers.end = end
    first = course(relay, "n1")
    assert step(first) == Send((A,))
    relay.__exit__()
    assert notes(journal)[0].startswith(text)


def test_a_host_without_curl_and_wget_gets_its_stream_and_is_named(
    relay: Relay, journal: Journal
) -> None:
    first, second = course(relay, "n1"), course(relay, "n2", "zstd")
    assert step(first) == Send((A,))
    first.progressed(ended=True)
    assert step(second) == Send((A,))
    relay.__exit__()
    assert notes(journal)[0] == "n2 has neither curl nor wget: it gets its parts from here"


def test_servers_end_with_the_last_node_whatever_became_of_it(
    relay: Relay, servers: Servers
) -> None:
    before = set(threading.enumerate())
    first = course(relay, "n1")
    assert step(first) == Send((A,))
    relay.leave("n1")
    assert servers.ended == []
    relay.leave("n2")
    wait_for(lambda: servers.ended == ["n1"])
    wait_for(lambda: set(threading.enumerate()) <= before)


# --- what plans say -------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "part"
    path.write_bytes(b"x" * 2_000_000)
    return path


def plans(source: Path, *names: str) -> dict[str, Plan]:
    binary = Change(Binary("/k", source, "a" * 64), "create", "it is missing")
    image = Change(Image(("x:1",), source, "b" * 64), "load", "it is missing")
    kept = replace(binary, action="mode")
    return {
        "n0": Plan("n0", (kept,)),
        **{name: Plan(name, (binary, image)) for name in names},
    }


def test_plans_without_parts_say_nothing_of_them(source: Path, tmp_path: Path) -> None:
    assert travel(make_config(tmp_path).artifacts, plans(source), {}) == ""


def test_plans_say_how_parts_travel(source: Path, tmp_path: Path) -> None:
    settings = make_config(tmp_path).artifacts
    of_two, tools = plans(source, "n1", "n2"), {"n1": frozenset({"curl"})}
    whole = "2 hosts: 8 MB of programs and images"
    assert travel(settings, of_two, tools) == f"{whole}, packed and sent to each from here"
    relay = settings.model_copy(update={"distribution": "relay"})
    assert travel(relay, of_two, tools) == (
        f"{whole}; packed, each of 2 parts (4 MB) is sent from here once and passed on from host to"
        " host, TCP 10280; without curl and wget, and so sent all from here: n2"
    )
    assert "from here once" not in travel(relay, plans(source, "n1"), tools)
    pull = settings.model_copy(update={"distribution": "pull", "url": "https://x"})
    assert travel(pull, of_two, tools) == f"{whole}, which the hosts fetch from https://x"
