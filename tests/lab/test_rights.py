"""The deployer's own account: enough for everything, nothing besides, and never two at once."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from fabfile import calico_files
from fabfile.kube import rights
from fabfile.kube.api import Api
from fabfile.kube.credentials import load
from fabfile.model import loading

from .harness import NODES, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .harness import Lab

ACCOUNT = "system:serviceaccount:kube-system:fabnode-deployer"


def test_nothing_is_deployed_as_system_masters(cluster: Lab) -> None:
    credentials = cluster.scratch / "deployer.kubeconfig"
    assert credentials.stat().st_mode & 0o077 == 0
    kubectl = [str(cluster.layout.kubectl), f"--kubeconfig={credentials}", "auth"]

    def ask(*words: str) -> str:
        done = subprocess.run([*kubectl, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    known = json.loads(ask("whoami", "-o", "json"))["status"]["userInfo"]
    assert known["username"] == ACCOUNT
    assert "system:masters" not in known["groups"]
    for forbidden in (
        ["delete", "deployments", "-A"],
        ["list", "secrets", "-n", "default"],
        ["create", "pods", "-n", "kube-system"],
        ["impersonate", "users"],
        ["create", "serviceaccounts", "--subresource=token", "-n", "kube-system"],
        ["update", "leases", "-n", "kube-node-lease"],
    ):
        assert ask("can-i", *forbidden) == "no", forbidden


@pytest.fixture
def roles(cluster: Lab) -> Iterator[dict[str, dict[str, Any]]]:
    """The account's roles by namespace; as they were again afterwards."""
    found = cluster.objects(
        "clusterroles,roles", "-A", "--field-selector=metadata.name=fabnode:deployer"
    )
    yield {item["metadata"].get("namespace", ""): item for item in found}
    cluster.inv(
        "rbac.deployer",
        "--out",
        str(cluster.scratch / "again"),
        config=cluster.layout.configuration,
    )
    eventually(lambda: missing(cluster) == [])


def missing(lab: Lab) -> list[str]:
    """Ask the apiserver, as the account, what it lacks."""
    return rights.missing(api(lab), needed(lab))


def needed(lab: Lab) -> tuple[rights.Right, ...]:
    """Return what the lab's configuration takes, as `inv rbac.deployer` grants it."""
    cluster = loading.load(lab.layout.configuration)
    return rights.needed(calico=calico_files.objects(cluster, for_names=True))


def api(lab: Lab) -> Api:
    return Api(load(lab.scratch / "deployer.kubeconfig"), patience=30)


def take_away(lab: Lab, role: dict[str, Any], right: rights.Right, verb: str) -> None:
    """Leave a role without one verb on one resource."""
    kind, name = role["kind"].lower(), role["metadata"]["name"]
    where = ["-n", role["metadata"]["namespace"]] if "namespace" in role["metadata"] else []
    patch = json.dumps({"rules": without(role, right, verb)})
    lab.kubectl(*where, "patch", kind, name, "--type=merge", "-p", patch)


def test_each_right_that_is_missing_is_told(cluster: Lab, roles: dict[str, Any]) -> None:
    """One by one, by the code that a run asks."""
    account, admin = api(cluster), Api(load(cluster.layout.kubeconfig), patience=30)
    whole = rights.BASE
    for right in whole:
        for verb in right.verbs:
            role = roles[right.namespace]
            path = f"/apis/rbac.authorization.k8s.io/v1/{place(role)}/fabnode:deployer"
            admin.patch(path, {"rules": without(role, right, verb)})
            if not covered(right, verb, whole):
                told = right.told(verb)
                eventually(lambda t=told, r=right: t in rights.missing(account, [r]), 10)
            admin.patch(path, {"rules": role["rules"]})


def covered(right: rights.Right, verb: str, whole: Sequence[rights.Right]) -> bool:
    """Say whether another right gives the same."""
    return any(
        other != right
        and (other.namespace, other.group, other.resource)
        == (right.namespace, right.group, right.resource)
        and verb in other.verbs
        and not other.names
        for other in whole
    )


def place(role: dict[str, Any]) -> str:
    """Return the part of a path that names the collection."""
    if "namespace" in role["metadata"]:
        return f"namespaces/{role['metadata']['namespace']}/roles"
    return "clusterroles"


def without(role: dict[str, Any], right: rights.Right, verb: str) -> list[dict[str, Any]]:
    """Return a role's rules without one verb on one resource."""
    rules = []
    for rule in role["rules"]:
        same = rule["resources"] == [right.resource] and rule["apiGroups"] == [right.group]
        if same and tuple(rule.get("resourceNames", ())) == right.names:
            rule = {**rule, "verbs": [v for v in rule["verbs"] if v != verb]}
        rules.append(rule)
    return [rule for rule in rules if rule["verbs"]]


@pytest.mark.parametrize(
    ("namespace", "resource", "verb", "said"),
    [
        ("kube-system", "secrets", "create", "create secrets in kube-system"),
        ("", "signers", "approve", "approve signers.certificates.k8s.io (kubernetes.io/kube-apis"),
        ("", "nodes", "patch", "patch nodes"),
        ("", "nodes", "list", 'cannot list resource "nodes"'),
        ("kube-system", "leases", "create", "create leases.coordination.k8s.io in kube-system"),
    ],
)
def test_run_without_a_right_says_so_and_changes_nothing(
    cluster: Lab, roles: dict[str, Any], namespace: str, resource: str, verb: str, said: str
) -> None:
    (right, *_) = (
        r
        for r in rights.BASE
        if (r.namespace, r.resource) == (namespace, resource) and verb in r.verbs
    )
    take_away(cluster, roles[namespace], right, verb)
    eventually(lambda: missing(cluster) or None)
    config = cluster.config(kubelet={"max_pods": 91})
    before, starts = len(cluster.writes()), cluster.starts()
    digests = {
        node: cluster.on(node, "find /etc/kubernetes /usr/local/bin -type f | xargs sha256sum")
        for node in NODES
    }
    done = cluster.inv("deploy-nodes", config=config, code=1)
    assert said in " ".join(done.text.split()), done.text
    assert cluster.writes(before) == []
    assert cluster.restarted(starts) == set()
    assert digests == {
        node: cluster.on(node, "find /etc/kubernetes /usr/local/bin -type f | xargs sha256sum")
        for node in NODES
    }


@pytest.fixture
def other_change(cluster: Lab) -> Path:
    """A configuration that changes something small on n1: a label."""
    return cluster.config({"n1": {"labels": {"run": "second"}}})


def hold(lab: Lab, **spec: Any) -> None:
    """Take the Lease as a run on another machine would."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "fabnode",
            "namespace": "kube-system",
            "annotations": {"fabnode.io/process": "another-boot/pid:[1] 77 1234"},
        },
        "spec": {"holderIdentity": "ann@elsewhere pid 77", "leaseDurationSeconds": 15, **spec},
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(lease))


def test_second_deployer_says_who_is_at_work(cluster: Lab, other_change: Path) -> None:
    """Two real ones: the first is held up while it changes n3."""
    config = cluster.config({"n3": {"kubelet": {"max_pods": 89}}})
    cluster.as_configured = False
    first = cluster.begin("deploy-nodes", config=config)
    assert first.begun("n3", "kubelet")
    first.kill(signal.SIGSTOP)  # it lives, and would renew its Lease
    try:
        cluster.kubectl("-n", "kube-system", "annotate", "lease", "fabnode", "seen=yes")
        second = cluster.begin("deploy-nodes", config=other_change)
        assert second.until(lambda events: any("still alive" in e.get("text", "") for e in events))
        cluster.kubectl("-n", "kube-system", "annotate", "lease", "fabnode", "seen-")
        done = second.wait().expect(1)
    finally:
        first.kill(signal.SIGCONT)
    assert f"pid {first.process.pid} works on this cluster since" in " ".join(done.text.split())
    assert "next: wait for that one to end" in done.text
    first.wait().expect(0)


def test_unchanged_run_goes_on_beside_another(cluster: Lab) -> None:
    hold(cluster)
    try:
        writes = len(cluster.writes())
        assert cluster.deploy().results == dict.fromkeys(NODES, "unchanged")
        assert cluster.writes(writes + 0) == []
    finally:
        cluster.kubectl("-n", "kube-system", "delete", "lease", "fabnode")


def test_lease_of_a_run_that_died_elsewhere_is_taken_over(cluster: Lab, other_change: Path) -> None:
    hold(cluster)
    done = cluster.deploy(config=other_change)
    assert done.results["n1"] == "changed"
    assert 15 < done.seconds < 60
    assert (
        cluster.kubectl(
            "-n",
            "kube-system",
            "get",
            "lease",
            "--field-selector=metadata.name=fabnode",
            "-o",
            "name",
        )
        == ""
    )


def test_lease_of_a_run_that_was_killed_here_holds_nobody_up(
    cluster: Lab, other_change: Path
) -> None:
    run = cluster.begin(
        "deploy-nodes", config=cluster.config({"n2": {"kubelet": {"max_pods": 88}}})
    )
    cluster.as_configured = False
    assert run.begun("n2", "kubelet")
    run.kill(signal.SIGKILL)
    run.wait()
    assert "pid" in cluster.kubectl("-n", "kube-system", "get", "lease", "fabnode", "-o", "yaml")
    again = cluster.begin("deploy-nodes", "--json", config=other_change)
    again.wait().expect(0)
    told = [e["text"] for e in again.events() if "still alive" in e.get("text", "")]
    assert told == []
