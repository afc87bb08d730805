"""A host in trouble fails alone, is named with cause and next command, and is made good later."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lab import hosts

from .harness import NODES, eventually

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = [pytest.mark.long, pytest.mark.trouble]


def test_unit_that_does_not_start_shows_its_journal_at_once(cluster: Lab) -> None:
    """And the others are not held up; the timeout for joining would be two minutes."""
    bad = {"evictionHard": {"memory.available": "plenty"}}
    config = cluster.config(
        {"n1": {"kubelet": {"max_pods": 95}}, "n2": {"kubelet": {"config": bad}}}
    )
    cluster.as_configured = False
    starts = cluster.starts("n3")
    run = cluster.begin("deploy-nodes", config=config)
    done = run.wait().expect(1)
    shown = " ".join(done.out.split())
    assert "kubelet.service does not stay up" in shown  # whether it dies early or late
    assert "quantities must match the regular expression" in shown, "the kubelet's own words"
    assert "next: fab -H n2 logs --unit kubelet" in shown
    (failed,) = (e for e in run.events() if e.get("node") == "n2" and e["state"] == "failed")
    assert failed["step"] == "kubelet"
    assert "quantities must match" in failed["data"]["detail"], "its journal"
    assert done.seconds < 90
    assert cluster.restarted(starts) == set()
    results = {line.split()[0]: line.split()[1] for line in table(done.out)}
    assert results["n1"] == "changed"
    assert results["n2"] == "failed"
    assert results["n3"] == "unchanged"
    assert cluster.deploy().results == {"n1": "changed", "n2": "changed", "n3": "unchanged"}


def silent(lab: Lab, node: str, script: str) -> bool:
    """Whether a script succeeds on a host and prints nothing."""
    return lab.on(node, script) == ""


def table(out: str) -> list[str]:
    """Return the lines of the end table that name a node; a table of checks may follow it."""
    end = re.split(r"^NODE ", out, flags=re.MULTILINE)[1].partition("\n\n")[0]
    return [line for line in end.splitlines() if line.split(" ")[0] in NODES]


def test_full_disks_fail_alone_and_leave_nothing_half_written(cluster: Lab) -> None:
    proxy = "/usr/local/bin/kube-proxy"
    tiny = "mount -t tmpfs -o mode=755,size={} tmpfs {}"
    # n2 lacks room for what arrives, n3 for where it belongs.
    cluster.disturb("n2", f"mv {proxy} /root/; {tiny.format('2m', '/var/lib/fabnode')}")
    cluster.disturb("n3", f"{tiny.format('60m', '/usr/local/bin')}")
    starts = cluster.starts("n1")
    try:
        done = cluster.deploy(code=1)
        left = "find /usr/local/bin /etc /var/lib/fabnode -name '.*.fabnode' -o -name 'apply.*'"
        for node in ("n2", "n3"):
            row = done.rows[node]
            assert row["result"] == "failed"
            assert "no space left" in row["cause"].lower(), row
            assert row["advice"]
            # What watched over the deployer's life may take a second to end.
            eventually(partial(silent, cluster, node, left))
        assert cluster.on("n2", f"ls {proxy}", code=None) == ""
        whole = cluster.on("n1", "sha256sum /usr/local/bin/*").splitlines()
        there = cluster.on("n3", "sha256sum /usr/local/bin/*").splitlines()
        assert set(there) < set(whole), "what is there is whole"
        assert done.results["n1"] == "unchanged"
        assert cluster.restarted(starts) == set()
    finally:
        for node, place in (("n2", "/var/lib/fabnode"), ("n3", "/usr/local/bin")):
            eventually(partial(silent, cluster, node, f"umount {place}"))
    cluster.deploy()
    cluster.inv("plan", "--deep", "--exit-code")


def test_host_that_dies_midway_fails_alone(cluster: Lab) -> None:
    """Its plug is pulled while it is sent the runtime; another bare host joins meanwhile."""
    cluster.lab("fresh", "--hosts", "n2,n3")
    starts = cluster.starts("n1")
    run = cluster.begin("deploy-nodes", "--json")
    assert run.begun("n3", "runtime")
    hosts.clear(cluster.layout, "n3")
    done = run.wait().expect(1)
    assert done.results == {"n1": "unchanged", "n2": "changed", "n3": "failed"}
    assert done.rows["n3"]["step"] == "runtime"
    assert done.rows["n3"]["cause"]
    assert "again" in done.rows["n3"]["advice"]
    assert cluster.restarted(starts) == set()
    assert "n2" in cluster.ready()


def test_host_that_is_off_is_named_with_the_next_command(cluster_without_n3: Lab) -> None:
    lab = cluster_without_n3
    starts = lab.starts("n1", "n2")
    done = lab.begin("deploy-nodes").wait().expect(1)
    (row,) = (line for line in table(done.out) if line.startswith("n3"))
    assert "failed" in row
    assert "preflight" in row
    assert "next:" in done.out
    assert "check that the host is on" in " ".join(done.out.split())
    assert [line.split()[1] for line in table(done.out)] == ["unchanged", "unchanged", "failed"]
    assert lab.restarted(starts) == set()
    planned = lab.plan("--exit-code", code=1)
    assert not planned["empty"]
    (n3,) = (node for node in planned["nodes"] if node["node"] == "n3")
    assert "no route to host" in n3["error"] or "no answer" in n3["error"]


def test_host_switched_on_again_is_added_and_the_others_left_alone(
    cluster_without_n3: Lab,
) -> None:
    lab = cluster_without_n3
    lab.lab("on", "n3")
    starts = lab.starts("n1", "n2")
    assert lab.deploy().results == {"n1": "unchanged", "n2": "unchanged", "n3": "changed"}
    assert lab.restarted(starts) == set()
    assert lab.ready() == set(NODES)
    lab.inv("plan", "--deep", "--exit-code")
