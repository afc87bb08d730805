"""Wherever the deployer is stopped, running it again ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from .harness import NODES, eventually

if TYPE_CHECKING:
    from .conftest import Joining
    from .harness import Lab

pytestmark = [pytest.mark.long, pytest.mark.chaos]

KILLS = 10
VICTIMS = ("n2", "n3")
SEED = 20260914


def test_ten_kills_at_random_moments_converge(cluster: Lab, joining: Joining) -> None:
    """
    Two hosts on their way from bare to Ready, the deployer killed again and again.

    A moment is a number of events into a run: unlike seconds it means the same on a slow machine.
    Once a run gets through, the hosts are made bare again.
    """
    del joining
    chance = random.Random(SEED)
    starts = cluster.starts("n1")
    cluster.lab("fresh", "--hosts", ",".join(VICTIMS))
    kills = 0
    moments: list[int] = []
    while kills < KILLS:
        run = cluster.begin("deploy-nodes")
        moment = chance.randrange(1, 100)
        if run.until(partial(at_least, moment)):
            run.kill(signal.SIGKILL)
        done = run.wait()
        if done.code == -signal.SIGKILL:
            kills += 1
            moments.append(moment)
            for node in VICTIMS:  # each notices by itself that nobody listens any more
                eventually(partial(tidy, cluster, node))
        else:
            done.expect(0)
            cluster.lab("fresh", "--hosts", ",".join(VICTIMS))
    done = cluster.deploy()
    assert set(done.results) == set(NODES), moments
    assert cluster.ready() == set(NODES)
    assert cluster.restarted(starts) == set(), "n1 was left alone all the while"
    assert_nothing_is_left(cluster)
    assert cluster.deploy().results == dict.fromkeys(NODES, "unchanged")


def at_least(count: int, events: list[dict[str, Any]]) -> bool:
    return len(events) >= count


def tidy(lab: Lab, node: str) -> bool:
    """Say whether a host is free of half-written files, tokens, and what was sent to it."""
    left = (
        "ls -d /etc/kubernetes/bootstrap.kubeconfig /var/lib/fabnode/apply.* 2>/dev/null;"
        "find /etc /usr/local /opt /var/lib/fabnode -name '.*.fabnode' 2>/dev/null"
    )
    return lab.on(node, left, code=None) == ""


def asked(request: dict[str, Any]) -> str:
    """Return whose request it is, and what became of it."""
    meta, spec = request["metadata"], request["spec"]
    reported = [meta["name"], meta["creationTimestamp"], spec["signerName"], spec["username"]]
    return f"{' '.join(reported)}: {request['status'].get('conditions')}"


def assert_nothing_is_left(lab: Lab) -> None:
    """No token, file, request or namespace tells that anything ever went wrong."""
    lab.inv("plan", "--deep", "--exit-code")
    assert all(check["ok"] for check in lab.inv("verify", "--json").document["checks"])
    for node in NODES:
        assert tidy(lab, node)
        kept = lab.on(node, "ls /var/lib/fabnode").split()
        assert set(kept) <= {"baseline", "digests", "images", "stamps", "written"}, kept
    tokens = lab.objects(
        "secrets", "-n", "kube-system", "-l", "app.kubernetes.io/managed-by=fabnode"
    )
    assert tokens == []
    requests = lab.objects("csr")
    assert [asked(r) for r in requests if not r["status"].get("certificate")] == []
    assert [name for r in requests if (name := r["metadata"]["name"]).startswith("fabnode-")] == []
    eventually(lambda: lab.objects("pods,services", "-n", "fabnode-verify") == [])
    assert lab.kubectl("-n", "kube-system", "get", "lease", "fabnode", "--ignore-not-found") == ""


def test_ctrl_c_ends_in_one_line_and_leaves_nothing_half_written(cluster: Lab) -> None:
    cluster.lab("fresh", "--hosts", "n3")
    run = cluster.begin("deploy-nodes")
    assert run.begun("n3", "runtime")
    run.kill(signal.SIGINT)
    done = run.wait(60).expect(130)
    assert done.err.strip() == "interrupted; the same command continues from here"
    eventually(lambda: tidy(cluster, "n3"))
    whole = cluster.on("n1", "sha256sum /usr/local/bin/*").splitlines()
    there = cluster.on("n3", "sha256sum /usr/local/bin/* 2>/dev/null; true").splitlines()
    assert set(there) <= set(whole)
    assert cluster.deploy().results.keys() == set(NODES)
    assert_nothing_is_left(cluster)


def test_ctrl_c_takes_back_the_token_and_shows_what_was_reached(cluster: Lab) -> None:
    cluster.lab("fresh", "--hosts", "n3")
    run = cluster.begin("deploy-nodes")
    assert run.begun("n3", "ready")
    run.kill(signal.SIGINT)
    done = run.wait(60).expect(130)
    rows = [line.split() for line in done.out.splitlines() if line.startswith("n3 ")]
    assert rows[-1][1:] == ["unfinished", "ready", "interrupted"]
    secrets = "app.kubernetes.io/managed-by=fabnode"
    assert cluster.objects("secrets", "-n", "kube-system", "-l", secrets) == []
    assert cluster.deploy().results.keys() == set(NODES)
    assert_nothing_is_left(cluster)
