"""Hosts on which nothing can be begun: each is a failure with cause and next command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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

pytestmark = pytest.mark.long

STATE, LOCK = "/var/lib/fabnode", "/run/fabnode.lock"
ASIDE = "/root/aside"

# What is done to n1 before, what undoes it, and what must be said.
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


def assert_told(done: Done, said: str) -> None:
    """n1 failed: with step, cause and next command, in JSON and in the report; n2 is well."""
    row = done.rows["n1"]
    assert row["result"] == "failed", row
    assert said.lower() in row["cause"].lower(), row
    assert row["step"], row
    assert row["advice"], row
    assert row["cause"].split(":")[0] in done.err, "on the screen as well"
    assert done.results["n2"] == "unchanged", "others go on"
    assert results(done.state) == {"n1": "failed", "n2": "unchanged"}


@contextmanager
def trouble(lab: Lab, before: str, after: str) -> Iterator[None]:
    lab.disturb("n1", before)
    try:
        yield
    finally:
        eventually(lambda: lab.on("n1", f"{after} && echo well"))


def changed(lab: Lab, number: int) -> Path:
    """A setting of n1 has changed: `unchanged`, or exit 0, would be a lie."""
    return lab.config({"n1": {"kubelet": {"max_pods": number}}})


@pytest.mark.parametrize(("number", "title"), [*enumerate(TROUBLES, 70)])
def test_nothing_can_be_begun(cluster: Lab, number: int, title: str) -> None:
    before, after, said = TROUBLES[title]
    config = changed(cluster, number)
    starts = cluster.starts("n1")
    with trouble(cluster, before, after):
        done = cluster.deploy("--limit", "n1,n2", code=1, config=config)
        assert_told(done, said)
        assert cluster.restarted(starts) == set()
    assert cluster.deploy("--limit", "n1", config=config).results == {"n1": "changed"}


def test_connection_that_is_cut_before_the_first_action(cluster: Lab) -> None:
    """n1's plug is pulled while its lock is waited for, so that no action has begun."""
    config = changed(cluster, 69)
    cluster.disturb("n1", TROUBLES["its lock is held"][0])
    run = cluster.begin("deploy-nodes", "--json", "--limit", "n1,n2", config=config)
    assert run.begun("n1", "rbac")
    eventually(lambda: cluster.on("n1", "[ $(pgrep -cx flock) -ge 2 ] && echo waits", code=None))
    hosts.clear(cluster.layout, "n1")
    assert_told(run.wait().expect(1), "")
    cluster.lab("on", "n1")
    cluster.on("n1", f"rm -f {ASIDE}")
    assert cluster.deploy("--limit", "n1", config=config).results == {"n1": "changed"}
    cluster.deploy()


def test_csh_as_login_shell_is_as_good_as_any(cluster: Lab) -> None:
    """Hosts of the lab have none: a stand-in refuses what csh refuses, as tests/remote says."""
    stand_in = (Path(__file__).parents[1] / "ssh/like-csh").read_text()
    put = f"cat >/usr/local/bin/csh <<'END'\n{stand_in}END\nchmod 755 /usr/local/bin/csh"
    cluster.disturb("n1", f"{put}\nusermod -s /usr/local/bin/csh root")
    config = changed(cluster, 68)
    try:
        assert cluster.on("n1", "getent passwd root").strip().endswith("csh")
        done = cluster.deploy("--limit", "n1", config=config)
        assert done.results == {"n1": "changed"}
        cluster.fab("-H", "n1", "status", config=config)
    finally:
        cluster.on("n1", "usermod -s /bin/bash root; rm /usr/local/bin/csh")
    cluster.deploy()


def test_login_shell_that_is_none_is_told(cluster: Lab) -> None:
    """Wherever it is looked at or changed; and without progress there is no success."""
    cluster.disturb("n1", "usermod -s /usr/sbin/nologin root")
    try:
        done = cluster.deploy("--limit", "n1,n2", code=1)
        row = done.rows["n1"]
        assert (row["result"], row["step"]) == ("failed", "preflight")
        assert "not available" in row["cause"]
        cluster.inv("plan", "--limit", "n1", "--exit-code", code=1)
        cluster.inv("audit", "--limit", "n1", code=1)
        cluster.inv("certs", "--limit", "n1", code=1)
        cluster.inv("verify", "--limit", "n1", "--no-network", code=1)
        cluster.fab("-H", "n1", "logs", code=1)
        cluster.inv("rotate-certs", "--due", "--limit", "n1", code=1)
        cluster.inv("harden", "--yes", "--limit", "n1", code=1)
    finally:
        cluster.on("n1", "usermod -s /bin/bash root")
    cluster.deploy()


def test_report_of_certs_calls_no_node_unfinished(cluster: Lab) -> None:
    run = cluster.begin("certs")
    run.wait().expect(0)
    assert results(run.state) == dict.fromkeys(NODES, "unchanged")
