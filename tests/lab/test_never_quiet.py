"""Hosts on which nothing can be begun: each is a failure with cause and next command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.journal.events import read
from fabnode.journal.journal import FILE
from fabnode.journal.timeline import timeline
from lab import hosts

from .harness import NODES, eventually

if TYPE_CHECKING:
    from .harness import Done, Lab

pytestmark = [pytest.mark.long, pytest.mark.trouble]

STATE, LOCK = "/var/lib/fabnode", "/run/fabnode.lock"
ASIDE = "/root/aside"

# What is done to a host before, what undoes it, and what must be reported.
TROUBLES = {
    "its lock is held": (
        f"flock -o {LOCK} sleep 300 </dev/null >/dev/null 2>&1 & echo $! >{ASIDE}",
        f"kill $(cat {ASIDE}) && rm -f {ASIDE}",
        "another run of fabnode is changing this node",
    ),
    "its state can't be written": (
        f"mount --bind {STATE} {STATE} && mount -o remount,bind,ro {STATE}",
        f"umount {STATE}",
        "Read-only file system",
    ),
    "its state is a symlink": (
        f"mv {STATE} {ASIDE} && ln -s {ASIDE} {STATE}",
        f"rm {STATE} && mv {ASIDE} {STATE}",
        "symlink",
    ),
    "its disk is full at the first mkdir": (
        f"mount -t tmpfs -o mode=700,size=64k,nr_inodes=1 tmpfs {STATE}",
        f"umount {STATE}",
        "No space left on device",
    ),
    "it has no flock": (
        f"mkdir -p {ASIDE} && mv $(command -v flock) {ASIDE}/",
        f"mv {ASIDE}/flock /usr/bin/ && rmdir {ASIDE}",
        "flock",
    ),
    "it has no tar": (
        f"mkdir -p {ASIDE} && mv $(command -v tar) {ASIDE}/",
        f"mv {ASIDE}/tar /usr/bin/ && rmdir {ASIDE}",
        "tar",
    ),
    "it has no mkdir": (
        f"mkdir -p {ASIDE} && mv $(command -v mkdir) {ASIDE}/",
        f"mv {ASIDE}/mkdir /usr/bin/ && rmdir {ASIDE}",
        "mkdir",
    ),
}


def results(state: Path) -> dict[str, str]:
    """Return what the journal of a run says of each node, as its report does."""
    (folder,) = (state / "fabnode/runs").iterdir()
    with (folder / FILE).open() as lines:
        return {lane.row.node: lane.row.result for lane in timeline(read(lines)).nodes}


# What one deployment meets on two hosts at once; n2 is well in each.
ROUNDS = (
    {"n1": "its lock is held", "n3": "its state can't be written"},
    {"n1": "its state is a symlink", "n3": "its disk is full at the first mkdir"},
    {"n1": "it has no flock", "n3": "it has no tar"},
    {"n1": "it has no mkdir"},
)


def assert_failed(done: Done, causes: Mapping[str, str]) -> None:
    """These failed: with step, cause and next command, in JSON and in the report; n2 is well."""
    for node, text in causes.items():
        row = done.rows[node]
        assert row["result"] == "failed", row
        assert text.lower() in row["cause"].lower(), row
        assert row["step"], row
        assert row["advice"], row
        assert row["cause"].split(":")[0] in done.err, f"{node}: on the screen as well"
    expected = {"n2": "unchanged"} | dict.fromkeys(causes, "failed")
    assert done.results == expected, "others go on"
    assert results(done.state) == expected


@contextmanager
def trouble(lab: Lab, host: str, title: str) -> Iterator[None]:
    before, after, _ = TROUBLES[title]
    lab.disturb(host, before)
    try:
        yield
    finally:
        eventually(lambda: lab.on(host, f"{after} && echo well"))


def changed(lab: Lab, number: int, *names: str) -> Path:
    """A setting of these nodes has changed: `unchanged`, or exit 0, would be a lie."""
    return lab.config({name: {"kubelet": {"max_pods": number}} for name in names})


def test_nothing_can_be_begun(nodes: Lab) -> None:
    """Each trouble is named, nothing is changed meanwhile, and all is once they are gone."""
    assert sorted(title for troubles in ROUNDS for title in troubles.values()) == sorted(TROUBLES)
    config = changed(nodes, 70, "n1", "n3")
    starts = nodes.starts()
    for troubles in ROUNDS:
        with ExitStack() as stack:
            for host, title in troubles.items():
                stack.enter_context(trouble(nodes, host, title))
            done = nodes.deploy("--limit", ",".join(["n2", *troubles]), code=1, config=config)
            assert_failed(done, {host: TROUBLES[title][2] for host, title in troubles.items()})
            assert nodes.restarted(starts) == set(), troubles
    expected = {"n1": "changed", "n2": "unchanged", "n3": "changed"}
    assert nodes.deploy(config=config).results == expected


def test_connection_that_is_cut_before_the_first_action(nodes: Lab) -> None:
    """n1's plug is pulled while its lock is waited for, so that no action has begun."""
    config = changed(nodes, 69, "n1")
    nodes.disturb("n1", TROUBLES["its lock is held"][0])
    run = nodes.begin("deploy-nodes", "--json", "--limit", "n1,n2", config=config)
    assert run.begun("n1", "rbac")
    eventually(lambda: nodes.on("n1", "[ $(pgrep -cx flock) -ge 2 ] && echo waits", code=None))
    hosts.clear(nodes.layout, "n1")
    assert_failed(run.wait().expect(1), {"n1": ""})
    nodes.lab("on", "n1")
    nodes.on("n1", f"rm -f {ASIDE}")
    assert nodes.deploy("--limit", "n1", config=config).results == {"n1": "changed"}


def test_csh_as_login_shell_is_as_good_as_any(nodes: Lab) -> None:
    """Hosts of the lab have none: a stand-in refuses what csh refuses, as tests/remote says."""
    stand_in = (Path(__file__).parents[1] / "ssh/like-csh").read_text()
    put = f"cat >/usr/local/bin/csh <<'END'\n{stand_in}END\nchmod 755 /usr/local/bin/csh"
    nodes.disturb("n1", f"{put}\nusermod -s /usr/local/bin/csh root")
    config = changed(nodes, 68, "n1")
    try:
        assert nodes.on("n1", "getent passwd root").strip().endswith("csh")
        done = nodes.deploy("--limit", "n1", config=config)
        assert done.results == {"n1": "changed"}
        nodes.fab("-H", "n1", "status", config=config)
    finally:
        nodes.on("n1", "usermod -s /bin/bash root; rm /usr/local/bin/csh")


def test_login_shell_that_is_none_is_reported(nodes: Lab) -> None:
    """Wherever it is looked at or changed; and without progress there is no success."""
    nodes.disturb("n1", "usermod -s /usr/sbin/nologin root")
    try:
        done = nodes.deploy("--limit", "n1,n2", code=1)
        row = done.rows["n1"]
        assert (row["result"], row["step"]) == ("failed", "preflight")
        assert "not available" in row["cause"]
        nodes.inv("plan", "--limit", "n1", "--exit-code", code=1)
        nodes.inv("audit", "--limit", "n1", code=1)
        nodes.inv("certs", "--limit", "n1", code=1)
        nodes.inv("verify", "--limit", "n1", "--no-network", code=1)
        nodes.fab("-H", "n1", "logs", code=1)
        nodes.inv("rotate-certs", "--due", "--limit", "n1", code=1)
        nodes.inv("harden", "--yes", "--limit", "n1", code=1)
    finally:
        nodes.on("n1", "usermod -s /bin/bash root")


def test_report_of_certs_calls_no_node_unfinished(nodes: Lab) -> None:
    run = nodes.begin("certs")
    run.wait().expect(0)
    assert results(run.state) == dict.fromkeys(NODES, "unchanged")
