"""Wrong input ends with exit code 2 and a sentence, and nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab


@pytest.fixture(autouse=True)
def _nothing_changes(cluster: Lab) -> Iterator[None]:
    starts, writes = cluster.starts("n1"), len(cluster.writes())
    yield
    assert cluster.writes(writes) == []
    assert cluster.restarted(starts) == set()


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["deploy-nodes", "--limit", "n11"], "n11"),
        (["deploy-nodes", "--limit", "n1,,nosuch"], "nosuch"),
        (["deploy-nodes", "--max-parallel", "-1"], "--max-parallel"),
        (["deploy-nodes", "--batch", "two"], "two"),
        (["deploy-nodes", "--config", "/nonexistent/cluster.yml"], "/nonexistent/cluster.yml"),
        (["plan", "--limit", "n[12"], "n[12"),
        (["csr.deny", "--names", ","], "--names"),
        (["csr.deny", "--names", "no-such-request"], "no-such-request"),
        (["report", "--run", "/nonexistent"], "/nonexistent"),
        (["hosts.trust", "--limit", "nosuch"], "nosuch"),
        (["rbac.deployer", "--hours", "0"], "--hours"),
        (["certs", "--margin", "-3"], "--margin"),
        (["rotate-certs", "--only", "clients"], "clients"),
        (["rotate-certs", "--issued-before", "noon"], "noon"),
        (["rotate-certs", "--ca", "--due"], "--ca"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_words(cluster: Lab, words: list[str], printed: str) -> None:
    done = cluster.inv(*words, code=1 if "no-such-request" in words else 2)
    assert printed in done.err
    assert len(done.err.strip().splitlines()) <= 3, done.err


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["-H", "nobody", "status"], "nobody"),
        (["status"], "-H"),
        (["-H", "n1", "logs", "--unit", "sshd"], "kube-proxy"),
        (["-H", "n1", "logs", "--lines", "-5"], "--lines"),
        (["-H", "n1", "restart", "--unit", "ssh; reboot"], "kube-proxy"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_words_to_fab(cluster: Lab, words: list[str], printed: str) -> None:
    done = cluster.fab(*words, code=2)
    assert printed in done.err


@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        ({"kubelett": {}}, ["kubelett", "kubelet"]),
        ({"kubelet": {"max_pod": 3}}, ["max_pod", "max_pods"]),
        ({"cluster": {"dns_address": "10.1.1.1"}}, ["dns_address", "10.1.1.1"]),
        ({"cluster": {"pod_cidr": "10.68.0.0/16"}}, ["pod_cidr"]),
        ({"cluster": {"kubeconfig": "/nonexistent"}}, ["kubeconfig", "/nonexistent"]),
        ({"cluster": {"version": "1.12.0"}}, ["version"]),
        ({"calico": {"version": "3.20.0"}}, ["calico"]),
        ({"calico": {"manifest": "/etc/hostname"}}, ["calico.manifest", "/etc/hostname"]),
        ({"artifacts": {"binaries": "/etc"}}, ["artifacts.binaries", "kubelet"]),
        ({"artifacts": {"images": ["/etc/hostname"]}}, ["/etc/hostname"]),
        ({"ssh": {"keys": ["/nonexistent/key"]}}, ["/nonexistent/key"]),
        ({"ssh": {"sudo_password": "hunter2"}}, ["sudo_password"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_settings(cluster: Lab, changes: dict[str, Any], printed: list[str]) -> None:
    config = cluster.config(**changes)
    for task in ("plan", "deploy-nodes"):
        done = cluster.inv(task, code=2, config=config)
        for word in printed:
            assert word in done.err
        assert "hunter2" not in done.text


def test_two_nodes_of_one_name_or_address(cluster: Lab) -> None:
    path = cluster.config()
    document = yaml.safe_load(path.read_text())
    document["nodes"][1]["name"] = "n1"
    document["nodes"][2]["address"] = document["nodes"][0]["address"]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    done = cluster.inv("deploy-nodes", code=2, config=path)
    assert "n1" in done.err
    assert document["nodes"][0]["address"] in done.err


def test_missing_password_is_asked_for_in_words(cluster: Lab) -> None:
    """Nobody is there to type it."""
    config = cluster.config({"n2": {"ssh": {"sudo_password": {"prompt": True}}}})
    assert "n2" in cluster.inv("deploy-nodes", code=2, config=config).err
