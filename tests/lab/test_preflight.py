"""What makes a host unfit is found before anything is changed on it, and reported with its fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from .harness import NODES

if TYPE_CHECKING:
    from .conftest import Joining
    from .harness import Lab


@dataclass(frozen=True)
class Case:
    """
    A host in a state that no node may be in.

    :param deed: brings it there; `undo` leads back.
    :param said: what is reported of it; `fix` is part of the way out.
    """

    host: str
    deed: str
    undo: str
    printed: str
    fix: str


CLIENT_PEM = "$(readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem)"

CASES = {
    "clock": Case(
        "n2",
        "cp /bin/date /root/date && "
        "printf '#!/bin/sh\\nexec /root/date -d +5min \"$@\"\\n' >/root/late && "
        "chmod +x /root/late && mount --bind /root/late /bin/date",
        "umount /bin/date",
        "s ahead of the apiserver's",
        "time service",
    ),
    "swap": Case(
        "n2",
        "sed 's/^SwapTotal:.*/SwapTotal: 1048576 kB/' /proc/meminfo >/root/meminfo;"
        "mount --bind /root/meminfo /proc/meminfo",
        "umount /proc/meminfo",
        "it has 1024 MiB of swap",
        "swapoff -a",
    ),
    "port": Case(
        "n2",
        "systemctl stop kube-proxy && systemd-run -q --unit squatter "
        "systemd-socket-activate -l 10256 /bin/cat && "
        "until ss -Hltn | grep -q :10256; do sleep 0.1; done",
        "systemctl stop squatter; systemctl start kube-proxy",
        "port 10256 of the kube-proxy is taken by another process",
        "move it to another port",
    ),
    "no way to the apiserver": Case(
        "n2",
        "iptables -I OUTPUT -p tcp --dport 6443 -j REJECT",
        "iptables -D OUTPUT -p tcp --dport 6443 -j REJECT",
        "it can't use the apiserver",
        "the network between node and control plane",
    ),
    "clone": Case(
        "n3",
        "echo {machine_id_of_n1} >/root/machine-id; mount --bind /root/machine-id /etc/machine-id",
        "umount /etc/machine-id",
        "it has the same machine-id as n1",
        "empty /etc/machine-id",
    ),
    "kubelet of another cluster": Case(
        "n3",
        f"echo '{{other_certificate}}' >/root/other.pem; mount --bind /root/other.pem {CLIENT_PEM}",
        f"umount {CLIENT_PEM}",
        "its kubelet belongs to another cluster",
        "remove it from the other cluster first",
    ),
    "kubeadm": Case(
        "n3",
        "touch /etc/kubernetes/kubelet.conf",
        "rm /etc/kubernetes/kubelet.conf",
        "its kubelet was set up by kubeadm",
        "kubeadm reset",
    ),
}


@dataclass(frozen=True)
class Refused:
    """A plan, and a deployment, of hosts that must not be touched."""

    plan: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    writes: list[str]
    restarted: set[str]
    files: dict[str, str]
    files_before: dict[str, str]
    mended: dict[str, str]


def files(lab: Lab) -> dict[str, str]:
    """Return what is in the managed places of each node: digest, mode and time of each file."""
    listing = (
        "find /etc/kubernetes /etc/containerd /etc/systemd/system /usr/local/bin /opt/cni/bin "
        "-type f ! -name kubelet.conf -printf '%p %m %T@\\n' | sort"
    )
    return {node: lab.on(node, listing) for node in NODES}


@pytest.fixture(scope="module")
def refused(lab: Lab, joining: Joining) -> Refused:
    """All cases at once, with a setting changed that a deployment would otherwise bring about."""
    lab.restore()
    config = lab.config(
        {node: {"kubelet": {"fail_swap_on": True, "max_pods": 91}} for node in ("n2", "n3")}
    )
    known = {
        "machine_id_of_n1": lab.on("n1", "cat /etc/machine-id").strip(),
        "other_certificate": (lab.layout.pki / "etcd-ca.pem").read_text(),
    }
    try:
        for case in CASES.values():
            lab.disturb(case.host, case.deed.format(**known) if "{" in case.deed else case.deed)
        before, starts, writes = files(lab), lab.starts("n1", "n3"), len(lab.writes())
        plan = lab.plan(code=1, config=config)
        done = lab.deploy(code=1, config=config)
        written, restarted, after = lab.writes(writes), lab.restarted(starts), files(lab)
    finally:
        for case in CASES.values():
            lab.disturb(case.host, case.undo)
    return Refused(plan, done.rows, written, restarted, after, before, lab.deploy().results)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_reported_with_its_fix(refused: Refused, case: Case) -> None:
    row = refused.rows[case.host]
    assert row["result"] == "failed"
    assert row["step"] == "preflight"
    assert case.printed in row["cause"]
    assert case.fix in row["advice"]
    (planned,) = (node for node in refused.plan["nodes"] if node["node"] == case.host)
    (finding,) = (f for f in planned["findings"] if case.printed in f["text"])
    assert finding["level"] == "error"
    assert case.fix in finding["fix"]


def test_nothing_is_changed_on_such_hosts_and_others_go_on(refused: Refused) -> None:
    assert refused.rows["n1"]["result"] == "unchanged"
    assert refused.files == refused.files_before
    assert refused.restarted == set()
    assert refused.writes == []


def test_once_fixed_all_is_well(refused: Refused) -> None:
    assert refused.mended == {"n1": "unchanged", "n2": "unchanged", "n3": "unchanged"}
