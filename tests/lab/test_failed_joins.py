"""A join that fails leaves no token behind, neither at the API nor on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab import hosts

from .secrecy import Watcher, reported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .harness import Done, Lab

pytestmark = [pytest.mark.long, pytest.mark.sites]

BOOTSTRAP = "/etc/kubernetes/bootstrap.kubeconfig"
PLACES = "/etc /root /home /run /tmp /var/lib/fabnode /var/lib/kubelet /var/log"


def with_kubelet(lab: Lab, script: str, **changes: Any) -> Path:
    """Return a configuration in which the kubelet is this script."""
    folder = lab.scratch / f"bin-{abs(hash(script))}"
    folder.mkdir(exist_ok=True)
    for binary in (lab.layout.artifacts / "bin").iterdir():
        place = folder / binary.name
        if not place.exists():
            place.symlink_to(binary.resolve())
    (folder / "kubelet").unlink()
    (folder / "kubelet").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "kubelet").chmod(0o755)
    return lab.config(artifacts={"binaries": str(folder)}, **changes)


@pytest.fixture(scope="module")
def two_nodes(lab: Lab, joining: object) -> Lab:
    """Return two nodes that are what the configuration says, whatever n3 is."""
    if not lab.as_configured:
        lab.deploy("--limit", "n1,n2")
    return lab


@pytest.fixture
def bare(two_nodes: Lab) -> Iterator[Lab]:
    """Two nodes, and n3 bare: each test joins n3 alone, so that it need not be a node before."""
    two_nodes.lab("fresh", "--hosts", "n3")
    yield two_nodes
    two_nodes.as_configured = False


def tokens(lab: Lab) -> list[str]:
    """Return the names of the bootstrap tokens that the API knows."""
    secrets = lab.objects("secrets", "-n", "kube-system")
    kind = "bootstrap.kubernetes.io/token"
    return [s["metadata"]["name"] for s in secrets if s.get("type") == kind]


def assert_no_token_is_left(lab: Lab, done: Done, watcher: Watcher) -> None:
    (secret,) = watcher.tokens
    assert tokens(lab) == []
    assert reported(done.text, {secret}) == []
    assert lab.on("n3", f"ls {BOOTSTRAP}", code=None) == ""
    assert lab.on("n3", f"grep -rlsF -e {secret} {PLACES}", code=None) == ""


@pytest.mark.parametrize(
    ("script", "cause", "patience"),
    [
        ("echo no such flag >&2; exit 1", "does not stay up", 120),
        ("exec sleep 1000", "no certificate came to", 3),
    ],
    ids=["kubelet that ends", "kubelet that asks for nothing"],
)
def test_a_join_that_fails_leaves_no_token(
    bare: Lab, script: str, cause: str, patience: int
) -> None:
    config = with_kubelet(bare, script, timeouts={"join": patience})
    with Watcher(bare) as watcher:
        done = bare.deploy("--limit", "n3", code=1, config=config)
    assert cause in done.rows["n3"]["cause"]
    assert_no_token_is_left(bare, done, watcher)


def test_a_host_that_dies_while_it_joins_keeps_nothing_of_worth(bare: Lab) -> None:
    """Its disk still holds the token, which the API has forgotten; the next run removes that."""
    config = with_kubelet(bare, "exec sleep 1000", timeouts={"join": 300})
    with Watcher(bare) as watcher:
        run = bare.begin("deploy-nodes", "--json", "--limit", "n3", config=config)
        assert run.begun("n3", "kubelet", "join")
        assert len(tokens(bare)) == 1
        hosts.clear(bare.layout, "n3")
        done = run.wait().expect(1)
        assert done.rows["n3"]["step"] == "kubelet"
    assert tokens(bare) == []
    bare.lab("on", "n3")
    assert bare.deploy("--limit", "n3").results == {"n3": "changed"}
    assert_no_token_is_left(bare, done, watcher)
