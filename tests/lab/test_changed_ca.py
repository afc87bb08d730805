"""
A changed CA, all the way: the nodes' half by `inv rotate-certs --ca`, the other half as an operator
does it. No pod of a user's notices, and a run that is killed goes on when it is run again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from lab import pki, processes
from lab.controlplane import components

from .harness import NODES, eventually
from .test_rotation import PAIRS, alive

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Done, Lab
    from .workload import Workload

pytestmark = pytest.mark.sites

CHANGED = dict.fromkeys(NODES, "changed")
CONTROL = [name for name in components() if name != "etcd"]


def config(lab: Lab, *authorities: bytes) -> Path:
    """Put these into `cluster.ca`."""
    bundle = lab.scratch / f"bundle-{len(authorities)}.pem"
    bundle.write_bytes(b"".join(authorities))
    return lab.config(cluster={"ca": str(bundle)})


def restart(lab: Lab, *components: str) -> None:
    """Restart components of the control plane, with what lies in the pki folder now."""
    for name in components:
        processes.stop(lab.layout.record(name))
    lab.lab("up", "--nodes", str(len(NODES)))


def pods_trust(lab: Lab, authority: bytes) -> bool:
    found = lab.kubectl("get", "configmap", "-A", "-o", "json")
    return found.count(authority.decode().strip().replace("\n", "\\n")) >= len(
        lab.objects("namespaces")
    )


def rotate(lab: Lab, where: Path, *words: str, code: int) -> Done:
    return lab.inv("rotate-certs", "--ca", "--json", *words, code=code, config=where)


def issuers(lab: Lab, where: Path) -> dict[str, set[str]]:
    """Return the issuers of the nodes' certificates, and what is wrong with any of them."""
    rows: list[dict[str, Any]] = (
        lab.begin("certs", "--json", config=where).wait().document["certificates"]
    )
    nodes = [row for row in rows if row["where"] != "cluster"]
    assert len(nodes) == len(NODES) * len(PAIRS)
    return {
        "issuers": {row["issuer"] for row in nodes},
        "faults": {fault for row in rows for fault in row["faults"]},
    }


def waits_for(lab: Lab, where: Path, what: str) -> bool:
    """Return whether the next stage of a rotation waits for this before all else."""
    first: str = rotate(lab, where, code=3).document["waits_for"][0]
    return what in first


def trusted(lab: Lab) -> set[str]:
    """Return what nodes hold as CA."""
    return {lab.on(node, "cat /etc/kubernetes/pki/ca.pem") for node in NODES}


def test_old_and_new_then_new_certificates_then_the_old_one_out(
    workload: Workload, cluster: Lab
) -> None:
    lab, layout = cluster, cluster.layout
    old, new = (layout.pki / "ca.pem").read_bytes(), pki.new_authority(layout)
    pods = alive(workload)
    lab.as_configured = False

    # The new one alone would cut every node off.
    refused = rotate(lab, config(lab, new), code=1)
    assert all("which cluster.ca does not contain" in refused.rows[node]["cause"] for node in NODES)
    assert trusted(lab) == {old.decode()}

    # Both. Then it waits for the apiserver to accept clients of the new one.
    both = config(lab, new, old)
    shown = rotate(lab, both, "--dry-run", code=0).document
    assert shown["stages"] == dict.fromkeys(NODES, "bundle")
    assert all(
        [c["name"] for c in node["changes"] if c["action"] == "update"]
        == ["/etc/kubernetes/pki/ca.pem", "/etc/kubernetes/kube-proxy.kubeconfig"]
        for node in shown["nodes"]
    )
    assert trusted(lab) == {old.decode()}
    done = rotate(lab, both, code=3)
    assert done.results == CHANGED
    assert "kube-apiserver does not accept clients of" in done.document["waits_for"][0]
    assert trusted(lab) == {(new + old).decode()}
    assert alive(workload) == pods

    # It does; then the controller manager has to sign with it.
    pki.trust(layout, new, old)
    restart(lab, "kube-apiserver")
    # A controller manager whose apiserver was away may take longer to sign than is waited for.
    eventually(partial(waits_for, lab, both, "certificates are signed by"), 180)
    assert issuers(lab, both) == {"issuers": {f"CN={layout.name}-ca"}, "faults": set()}
    pki.promote(layout)
    restart(lab, "kube-controller-manager")

    # Killed in the middle of it, and run again.
    running = lab.begin("rotate-certs", "--ca", "--batch", "1", config=both)
    assert running.begun("n2", "kubelet")
    running.kill()
    running.wait()
    assert len(issuers(lab, both)["issuers"]) >= 1
    done = rotate(lab, both, code=3)
    assert done.results["n3"] == "changed"
    assert set(done.document["stages"].values()) == {"done"}
    assert issuers(lab, both) == {"issuers": {f"CN={layout.name}-ca-2"}, "faults": set()}
    assert "kube-apiserver's own certificate" in " ".join(done.document["waits_for"])
    assert alive(workload) == pods
    assert lab.ready() == set(NODES)

    # Too early: the apiserver still shows a certificate of the old one.
    early = rotate(lab, config(lab, new), code=3).document
    assert "kube-apiserver's own certificate" in early["waits_for"][0]
    assert trusted(lab) == {(new + old).decode()}

    # The control plane's own certificates, and those who talk to it from within pods.
    eventually(partial(pods_trust, lab, new))
    pki.issue_again(layout)
    restart(lab, *CONTROL)
    lab.kubectl(
        "-n",
        "kube-system",
        "rollout",
        "restart",
        "ds/calico-node",
        "deploy/calico-kube-controllers",
    )
    for what in ("ds/calico-node", "deploy/calico-kube-controllers"):
        lab.kubectl("-n", "kube-system", "rollout", "status", what, "--timeout=300s")

    # The old one out: the lab's own configuration names the new one by now.
    lab.become_deployer()
    own = lab.configuration
    done = rotate(lab, own, code=0)
    assert done.results == CHANGED
    assert done.document["waits_for"] == []
    assert trusted(lab) == {new.decode()}
    pki.trust(layout, new)
    restart(lab, *CONTROL)
    assert rotate(lab, own, code=0).results == dict.fromkeys(NODES, "unchanged")
    lab.inv("plan", "--exit-code")
    lab.inv("verify")
    assert issuers(lab, own) == {"issuers": {f"CN={layout.name}-ca-2"}, "faults": set()}
    assert alive(workload) == pods
    assert workload.ask("n1", "n3") == "n3"
    lab.as_configured = True
