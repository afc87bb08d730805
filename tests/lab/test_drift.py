"""What was changed on a host by hand shows in the plan, and a deployment repairs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from .harness import UNITS
from .test_changes import changes

if TYPE_CHECKING:
    from .conftest import Joining
    from .harness import Lab


@dataclass(frozen=True)
class Case:
    """
    Something that somebody did on a host.

    :param plan: the (action, name) that undoes it.
    :param restart: the unit that has to restart for it, without `.service`.
    :param sound: a script that succeeds once all is well.
    """

    host: str
    deed: str
    plan: tuple[str, str]
    sound: str
    restart: str = ""


CASES = {
    "edited configuration": Case(
        "n1",
        "sed -i s/maxPods:.*/maxPods:\\ 13/ /etc/kubernetes/kubelet.yaml",
        ("update", "/etc/kubernetes/kubelet.yaml"),
        "grep -q 'maxPods: 110' /etc/kubernetes/kubelet.yaml",
        "kubelet",
    ),
    "key open to all": Case(
        "n1",
        "chmod 644 /etc/kubernetes/pki/kube-proxy.pem",
        ("mode", "/etc/kubernetes/pki/kube-proxy.pem"),
        "[ $(stat -c %a /etc/kubernetes/pki/kube-proxy.pem) = 600 ]",
    ),
    "edited unit file": Case(
        "n1",
        "sed -i s/--v=2/--v=4/ /etc/systemd/system/kube-proxy.service",
        ("update", "/etc/systemd/system/kube-proxy.service"),
        "systemctl show -p ExecStart kube-proxy | grep -q -e --v=2",
        "kube-proxy",
    ),
    "file replaced by a symlink": Case(
        "n2",
        "mv /etc/sysctl.d/99-fabnode.conf /root/ && "
        "ln -s /root/99-fabnode.conf /etc/sysctl.d/99-fabnode.conf",
        ("update", "/etc/sysctl.d/99-fabnode.conf"),
        "[ ! -L /etc/sysctl.d/99-fabnode.conf ] && [ -f /root/99-fabnode.conf ]",
    ),
    "disabled unit": Case(
        "n3",
        "systemctl disable -q kubelet",
        ("enable", "kubelet.service"),
        "systemctl is-enabled -q kubelet",
    ),
    "disabled unit that has to be restarted": Case(
        "n2",
        "systemctl disable -q kube-proxy",
        ("restart", "kube-proxy.service"),
        "systemctl is-enabled -q kube-proxy",
        "kube-proxy",
    ),
    "stopped unit": Case(
        "n2",
        "systemctl stop kubelet",
        ("start", "kubelet.service"),
        "systemctl is-active -q kubelet",
        "kubelet",
    ),
    "file of another owner": Case(
        "n2",
        "chown daemon /etc/kubernetes/kube-proxy.yaml",
        ("update", "/etc/kubernetes/kube-proxy.yaml"),
        "[ $(stat -c %U /etc/kubernetes/kube-proxy.yaml) = root ]",
        "kube-proxy",
    ),
    "missing image": Case(
        "n2",
        "ctr -n k8s.io images rm docker.io/library/busybox:1.35.0",
        ("import", "docker.io/library/busybox:1.35.0"),
        "ctr -n k8s.io images ls -q | grep -q busybox:1.35.0",
    ),
    "image that the kubelet may collect": Case(
        "n3",
        "ctr -n k8s.io images label docker.io/library/busybox:1.35.0 io.cri-containerd.pinned=",
        ("pin", "docker.io/library/busybox:1.35.0"),
        "ctr -n k8s.io images ls -q 'labels.\"io.cri-containerd.pinned\"==pinned' | "
        "grep -q busybox",
    ),
    "other binary": Case(
        "n3",
        "cp /usr/local/bin/kube-proxy /root/ && echo x >>/root/kube-proxy && "
        "mv /root/kube-proxy /usr/local/bin/",
        ("update", "/usr/local/bin/kube-proxy"),
        "/usr/local/bin/kube-proxy --version",
        "kube-proxy",
    ),
    "kernel setting": Case(
        "n3",
        "echo 0 >/proc/sys/net/ipv4/ip_forward",
        ("set", "net.ipv4.ip_forward"),
        "[ $(cat /proc/sys/net/ipv4/ip_forward) = 1 ]",
    ),
    "leftover bootstrap kubeconfig": Case(
        "n3",
        "echo token >/etc/kubernetes/bootstrap.kubeconfig",
        ("remove", "/etc/kubernetes/bootstrap.kubeconfig"),
        "[ ! -e /etc/kubernetes/bootstrap.kubeconfig ]",
    ),
    "removed certificate": Case(
        "n3",
        "rm /etc/kubernetes/pki/kube-proxy.pem",
        ("create", "/etc/kubernetes/pki/kube-proxy.pem"),
        "[ $(stat -c %a /etc/kubernetes/pki/kube-proxy.pem) = 600 ]",
        "kube-proxy",
    ),
}


@dataclass(frozen=True)
class Repaired:
    """What was seen of all cases, done at once on three hosts and repaired by one run."""

    plan: dict[str, Any]
    diff: str
    restarted: set[str]
    lab: Lab


@pytest.fixture(scope="module")
def repaired(lab: Lab, joining: Joining) -> Repaired:
    lab.restore()
    starts = lab.starts()
    for case in CASES.values():
        lab.disturb(case.host, case.deed)
    diff = lab.fab("-H", "n1", "diff", code=3).out
    plan = lab.plan("--exit-code", code=3)
    lab.deploy()
    return Repaired(plan, diff, lab.restarted(starts), lab)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_drift_is_planned_and_repaired(repaired: Repaired, case: Case) -> None:
    assert case.plan in changes(repaired.plan)[case.host]
    repaired.lab.on(case.host, case.sound)


def test_only_units_that_read_what_changed_are_restarted(repaired: Repaired) -> None:
    wanted = {f"{case.host} {case.restart}.service" for case in CASES.values() if case.restart}
    assert repaired.restarted == wanted
    for node in repaired.plan["nodes"]:
        assert {f"{node['node']} {unit}" for unit in node["restarts"]} == {
            key for key in wanted if key.startswith(node["node"])
        }


def test_plan_names_nothing_else(repaired: Repaired) -> None:
    for node, found in changes(repaired.plan).items():
        cases = {case.plan for case in CASES.values() if case.host == node}
        units = {(action, f"{unit}") for action in ("start", "restart") for unit in UNITS}
        assert set(found) - units == {plan for plan in cases if plan[1] not in UNITS} | {
            plan for plan in cases if plan[0] == "enable"
        }


def test_diff_shows_the_edited_lines(repaired: Repaired) -> None:
    assert "-maxPods: 13" in repaired.diff
    assert "+maxPods: 110" in repaired.diff
    assert "BEGIN" not in repaired.diff


def test_nothing_is_left_to_repair(repaired: Repaired) -> None:
    repaired.lab.inv("plan", "--deep", "--exit-code")
