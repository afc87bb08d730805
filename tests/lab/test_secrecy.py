"""Tokens, private keys and passwords stay where they belong."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from .harness import NODES, eventually
from .secrecy import Watcher, password, private_keys, reported

if TYPE_CHECKING:
    from .conftest import Joining
    from .harness import Lab

# Where keys, tokens or copies of them could be on a node. Pods' own volumes are Kubernetes'.
_PLACES = (
    "/etc /opt /root /home /run /tmp /usr/local /var/lib/fabnode /var/lib/kubelet/pki /var/log"
)
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")


@pytest.fixture
def secrets(joining: Joining, cluster: Lab) -> set[str]:
    """Everything secret that the first deployment had to do with."""
    tokens = joining.watcher.tokens
    assert len(tokens) == len(NODES), "each node has a bootstrap token of its own"
    keys = private_keys(cluster)
    assert len(keys) == 3 * len(NODES), "client, serving and kube-proxy's key, on each node"
    return tokens | keys | {password(cluster)}


def test_no_secret_in_any_process_list(joining: Joining, secrets: set[str]) -> None:
    """Neither as an argument nor in the environment, on the deployer's side or on the hosts'."""
    seen = joining.watcher.lines
    text = "\n".join(seen)
    for expected in ("deploy-nodes", "sudo -S", "systemctl", "/usr/local/bin/kubelet --config"):
        assert expected in text, "the watcher sees both sides"
    guilty = {line[:300] for line in seen if reported(line, secrets)}
    assert guilty == set()


def test_no_secret_in_what_is_printed_or_kept(
    joining: Joining, cluster: Lab, secrets: set[str]
) -> None:
    cluster.inv("verify", "--no-network")
    facts = cluster.fab("-H", ",".join(NODES), "facts").text
    assert reported(joining.plan + joining.done.text + facts, secrets) == []
    assert not _TOKEN.search(joining.plan + joining.done.out + facts)
    files = [path for path in cluster.scratch.rglob("*") if path.is_file()]
    journals = [path for path in files if path.name == "journal.jsonl"]
    assert journals
    assert any("kubelet" in path.read_text() for path in journals)
    for path in files:
        if path.name != "secrets.json":  # the watcher's own
            assert reported(path.read_text(errors="replace"), secrets) == [], path


def test_journals_are_their_owners_alone(joining: Joining) -> None:
    found = list((joining.done.state / "fabnode").rglob("*"))
    assert found
    for path in found:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("node", NODES)
def test_no_secret_in_a_hosts_logs(cluster: Lab, secrets: set[str], node: str) -> None:
    log = cluster.on(node, "journalctl --no-pager -q -o cat; cat /var/log/*.log 2>/dev/null; true")
    assert "kubelet" in log
    assert reported(log, secrets) == []


@pytest.mark.parametrize("node", NODES)
def test_files_with_secrets_are_roots_alone(
    cluster: Lab, joining: Joining, secrets: set[str], node: str
) -> None:
    words = "|".join(["PRIVATE KEY", *joining.watcher.tokens, password(cluster)])
    listing = cluster.on(
        node,
        f"grep -rlsIE -e '{words}' {_PLACES} | sort -u | xargs -r stat -L -c '%a %u %n'",
    )
    found = {line.split(" ", 2)[2]: line.split(" ")[:2] for line in listing.splitlines()}
    assert "/etc/kubernetes/pki/kube-proxy.pem" in found
    assert any(path.startswith("/var/lib/kubelet/pki/kubelet-client-") for path in found)
    assert {path: how for path, how in found.items() if how != ["600", "0"]} == {}
    held = cluster.on(node, f"grep -rlsIE -e '{'|'.join(joining.watcher.tokens)}' {_PLACES}; true")
    assert held == "", "tokens are gone once the node has joined"


def test_nothing_is_left_of_a_deployer_that_was_killed(cluster: Lab) -> None:
    """It dies while a token is on its way; it and its files die with it, on both sides."""
    cluster.lab("fresh", "--hosts", "n3")
    with Watcher(cluster) as watcher:
        run = cluster.begin("deploy-nodes", "--limit", "n3")
        assert run.begun("n3", "kubelet")
        tokens = eventually(lambda: watcher.tokens)
        run.kill(signal.SIGKILL)
        run.wait()
        places = f"grep -rlsIE -e '{'|'.join(tokens)}' {_PLACES}; true"
        eventually(lambda: cluster.on("n3", places) == "")
        again = cluster.begin("deploy-nodes", "--limit", "n3")
        again.wait().expect(0)
        tokens |= watcher.tokens
    assert len(tokens) == 2
    assert cluster.on("n3", places) == ""
    label = "app.kubernetes.io/managed-by=fabnode"
    assert cluster.objects("secrets", "-n", "kube-system", "-l", label) == []
    secrets = tokens | private_keys(cluster) | {password(cluster)}
    # This test's own looks for the token (`places`) are no leak of fabnode's.
    lines = [line for line in watcher.lines if "grep -rlsIE" not in line]
    assert {line[:300] for line in lines if reported(line, secrets)} == set()
    for done in (run, again):
        kept = [path for path in done.state.rglob("*") if path.is_file()]
        for path in (*kept, done.output.with_suffix(".out"), done.output.with_suffix(".err")):
            assert reported(path.read_text(errors="replace"), secrets) == [], path
    # What the deployer had put aside for itself (TMPDIR) is our own output alone.
    assert {path.suffix for path in run.output.parent.iterdir()} == {".out", ".err"}
    assert reported(cluster.on("n3", "journalctl --no-pager -q -o cat"), secrets) == []
