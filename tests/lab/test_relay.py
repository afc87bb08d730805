"""Bare hosts that pass on their parts to each other, and what happens where they can't, or lie."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from .harness import NODES, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Joining
    from .harness import Done, Lab, Running

pytestmark = pytest.mark.sites

PORT = 10280
LISTENS = f"ss -Hltn 'sport = :{PORT}'"
LEFT = f"""{LISTENS}; ls -d /var/lib/fabnode/relay.* 2>/dev/null
systemctl list-units --all --plain --no-legend 'fabnode-relay-*'"""
# What the server process may do: its users, its capabilities, whether it may get more.
RIGHTS = """systemctl show -p MainPID --value 'fabnode-relay-*.service' | while read -r pid; do
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs):' /proc/$pid/status; done"""
REACH = """units=$(systemctl list-units --plain --no-legend 'fabnode-relay-*' | cut -d' ' -f1)
for unit in $units; do
pid=$(systemctl show -p MainPID --value $unit)
nsenter -t $pid -m setpriv --reuid $(stat -c %u /proc/$pid) --clear-groups sh -c '
ls /var/lib/fabnode; cat /etc/shadow; touch /var/lib/fabnode/x /usr/x /tmp/../root/x' 2>&1; done"""
# As long as it runs, whatever this host serves is something else of the same size.
LIE = """while [ -d /run ] && [ ! -e /run/honest ]; do
for part in /var/lib/fabnode/relay.*/parts/*; do
case $part in *.lie) continue ;; esac
[ -s "$part" ] && [ ! -e "$part.lie" ] || continue
head -c $(stat -c %s "$part") /dev/zero >"$part.lie" && chmod 444 "$part.lie"
ln -f "$part.lie" "$part"; done; sleep 0.01; done >/dev/null 2>&1 &"""


@pytest.fixture
def bare(lab: Lab, joining: Joining) -> Lab:
    """Three bare hosts, which the cluster knew as nodes once."""
    lab.lab("fresh", "--hosts", ",".join(NODES))
    return lab


@pytest.fixture
def relay(lab: Lab) -> Path:
    return lab.config(artifacts={"distribution": "relay"})


def moved(run: Running | Done) -> dict[str, tuple[int, int]]:
    """Return by node how many bytes the deployer sent it, and neighbours passed on to it."""
    (journal,) = (run.state / "fabnode/runs").glob("*/journal.jsonl")
    found = dict.fromkeys(NODES, (0, 0))
    for line in journal.read_text().splitlines():
        event = json.loads(line)
        data = event.get("data") or {}
        if event["node"] in found and "bytes" in data:
            sent, passed = found[event["node"]]
            found[event["node"]] = (sent + data["bytes"], passed + data.get("passed", 0))
    return found


def warnings(done: Running | Done) -> list[str]:
    (journal,) = (done.state / "fabnode/runs").glob("*/journal.jsonl")
    events = map(json.loads, journal.read_text().splitlines())
    return [e["text"] for e in events if e["state"] in ("warning", "info") and "text" in e]


def assert_nothing_is_left(lab: Lab) -> None:
    for node in NODES:
        assert lab.on(node, LEFT, code=None) == "", node


def serving(lab: Lab) -> list[str]:
    return [node for node in NODES if lab.on(node, LISTENS, code=None)]


def test_parts_are_sent_once_and_served_by_what_can_do_nothing_else(bare: Lab, relay: Path) -> None:
    run = bare.begin("deploy-nodes", "--json", config=relay)
    server, *_ = eventually(lambda: serving(bare))
    rights = bare.on(server, RIGHTS)
    seen = bare.on(server, REACH, code=None)
    done = run.wait(bare.patience).expect(0)
    assert done.results == dict.fromkeys(NODES, "changed")
    print(moved(done), warnings(done))
    sent = sum(each for each, _ in moved(done).values())
    passed = sum(each for _, each in moved(done).values())
    assert 1.8 < passed / sent < 2.1, moved(done)
    assert any("passed on from host to host" in text for text in warnings(done))
    lines = dict(line.split(":", 1) for line in rights.splitlines())
    assert set(lines["CapEff"].strip()) == set(lines["CapBnd"].strip()) == {"0"}
    assert lines["NoNewPrivs"].strip() == "1"
    assert all(int(uid) > 60_000 for uid in lines["Uid"].split())
    assert seen.splitlines()[0].startswith("relay."), seen
    assert seen.count("Permission denied") + seen.count("Read-only file system") >= 3, seen
    assert_nothing_is_left(bare)
    assert bare.deploy(config=relay).results == dict.fromkeys(NODES, "unchanged")
    assert_nothing_is_left(bare)


def test_a_host_behind_a_firewall_gets_its_own_stream(bare: Lab, relay: Path) -> None:
    for chain, port in (("INPUT", "dport"), ("OUTPUT", "dport")):
        bare.on("n3", f"iptables -w -I {chain} -p tcp --{port} {PORT} -j DROP")
    done = bare.deploy(config=relay)
    print(moved(done), warnings(done))
    assert done.results == dict.fromkeys(NODES, "changed")
    of_all = moved(done)
    assert of_all["n3"][1] == 0
    assert max(of_all["n1"][1], of_all["n2"][1]) > 0, "the others go on as before"
    assert any("n3" in text and f"TCP {PORT}" in text for text in warnings(done))
    assert_nothing_is_left(bare)


def test_a_lying_neighbour_is_named_and_what_it_gives_is_refused(bare: Lab, relay: Path) -> None:
    for node in NODES:
        bare.on(node, LIE)
    done = bare.deploy(config=relay)
    for node in NODES:  # what the liar itself put there in the last moment
        bare.on(node, "touch /run/honest; sleep 1; rm -rf /var/lib/fabnode/relay.*")
    print(moved(done), warnings(done))
    assert done.results == dict.fromkeys(NODES, "changed")
    assert any("got other bytes from" in text for text in warnings(done))
    assert_nothing_is_left(bare)


def test_a_server_that_dies_in_the_middle_costs_its_own_node_alone(bare: Lab, relay: Path) -> None:
    run = bare.begin("deploy-nodes", "--json", config=relay)
    server, *_ = eventually(lambda: serving(bare))
    bare.lab("off", server, "--plug")
    done = run.wait(bare.patience).expect(1)
    bare.lab("on", server)
    print(moved(done), warnings(done))
    others = dict.fromkeys(set(NODES) - {server}, "changed")
    assert done.results == {server: "failed", **others}
    assert bare.deploy(config=relay).results[server] == "changed"
    assert_nothing_is_left(bare)


def test_when_the_deployer_is_killed_nobody_serves_any_more(bare: Lab, relay: Path) -> None:
    run = bare.begin("deploy-nodes", "--json", config=relay)
    eventually(lambda: serving(bare))
    run.kill(signal.SIGKILL)
    run.wait(bare.patience)

    def gone() -> Any:
        assert_nothing_is_left(bare)
        return True

    eventually(gone, 30)
    assert bare.deploy(config=relay).results == dict.fromkeys(NODES, "changed")
