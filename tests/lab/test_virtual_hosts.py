"""
Hosts with a kernel, cgroups and a disk of their own: `make vm-test`.

Two virtual machines of Debian 12, whose Calico speaks BGP and wraps in IPIP, and two of Debian 13
with the lab's VXLAN. What containers can't do is here: cgroup v2, ipvs, IPIP, AppArmor, reboots,
power cuts, a full disk.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lab import hosts

from .harness import eventually
from .test_proxy_modes import TRACES
from .workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Done, Lab

pytestmark = pytest.mark.vm

NODES = ("n1", "n2")
IPIP = {"backend": "bird", "encapsulation": "Always"}
BOTH = pytest.mark.parametrize("virtual_lab", ["bookworm", "trixie"], indirect=True)
DEBIAN_12 = pytest.mark.parametrize("virtual_lab", ["bookworm"], indirect=True)

# Emulated machines take minutes for what others do in seconds.
PATIENCE = 900.0


@dataclass(frozen=True)
class Virtual:
    """Two virtual machines that were deployed once, with pods of a user's on them."""

    lab: Lab
    config: Path
    joined: Done
    pods: Workload

    def deploy(self, code: int = 0) -> Done:
        return self.lab.deploy(config=self.config, code=code)

    def is_good(self) -> bool:
        checks = self.lab.inv("verify", "--json", config=self.config).document["checks"]
        return all(check["ok"] for check in checks)

    def settle(self) -> None:
        """Insist that nodes are as configured, Ready, proved by pods, and that users' pods run."""
        self.lab.inv("plan", "--deep", "--exit-code", config=self.config)
        # Calico's own probes take some time after a boot, which a verification does not wait for.
        eventually(self.is_good, PATIENCE)
        self.pods.start(*NODES)
        eventually(lambda: self.pods.ask("n1", "n2") == "n2", PATIENCE)


@pytest.fixture(scope="module")
def virtual(virtual_lab: Lab) -> Virtual:
    """Two nodes."""
    lab = virtual_lab
    if lab.objects("nodes"):
        lab.lab("fresh")
    calico = IPIP if "bookworm" in lab.on("n1", "cat /etc/os-release") else {}
    lab.become_deployer(calico=calico)
    config = lab.config(calico=calico)
    joined = lab.deploy(config=config)
    pods = Workload(lab)
    pods.start(*NODES)
    return Virtual(lab, config, joined, pods)


def boot_of(lab: Lab, node: str) -> str:
    return lab.on(node, "cat /proc/sys/kernel/random/boot_id").strip()


def ready_since_boot(lab: Lab, node: str, before: str) -> bool:
    """Say whether a node is Ready, as its kubelet says that runs since another boot."""
    now = boot_of(lab, node)
    info = json.loads(lab.kubectl("get", "node", node, "-o", "json"))["status"]["nodeInfo"]
    return now != before and info["bootID"] == now and node in lab.ready()


@BOTH
def test_a_host_is_a_machine_of_its_own(virtual_lab: Lab) -> None:
    for node in NODES:
        assert virtual_lab.on(node, "systemd-detect-virt").strip() in ("qemu", "kvm")
        assert virtual_lab.on(node, "uname -r").strip() != platform.release()
        assert virtual_lab.on(node, "stat -fc %T /sys/fs/cgroup").strip() == "cgroup2fs"


@BOTH
def test_the_pipeline_with_verify(virtual: Virtual) -> None:
    assert virtual.joined.results == dict.fromkeys(NODES, "changed")
    checks = virtual.joined.document["checks"]
    assert [check for check in checks if not check["ok"]] == []
    assert {f"pod on {name}" for name in NODES} <= {check["name"] for check in checks}
    assert virtual.deploy().results == dict.fromkeys(NODES, "unchanged")


@BOTH
def test_pods_are_in_cgroups_that_systemd_rules(virtual: Virtual) -> None:
    lab = virtual.lab
    for node in NODES:
        assert "cgroupDriver: systemd" in lab.on(node, "cat /etc/kubernetes/kubelet.yaml")
        slices = lab.on(node, "systemctl list-units --plain --no-legend 'kubepods*.slice'")
        assert "kubepods-besteffort-pod" in slices
        controllers = lab.on(node, "cat /sys/fs/cgroup/kubepods.slice/cgroup.controllers")
        assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(controllers.split())


@BOTH
def test_apparmor_confines_pods(virtual: Virtual) -> None:
    for node in NODES:
        assert virtual.lab.on(node, "cat /sys/module/apparmor/parameters/enabled").strip() == "Y"
        confined = virtual.pods.kubectl("exec", f"web-{node}", "--", "cat", "/proc/1/attr/current")
        assert confined.strip("\0\n ") == "cri-containerd.apparmor.d (enforce)"


def put_routes_of_calicos_bird(lab: Lab) -> None:
    """
    Send pods' packets into the tunnel, as Calico's own bird does with each route it learns.

    The lab's is Debian's, which can't set a route's tunnel. A table that is asked first has the
    same routes, so bird's own stay as they are.
    """
    addresses = {name: str(lab.layout.host(name).address) for name in NODES}
    blocks = [
        (affinity["spec"]["cidr"], affinity["spec"]["node"])
        for affinity in lab.objects("blockaffinities.crd.projectcalico.org")
    ]
    for node in NODES:
        routes = "".join(
            f"ip route replace {block} via {addresses[owner]} dev tunl0 onlink table 100;"
            for block, owner in blocks
            if owner != node
        )
        lab.on(node, f"ip rule del table 100; {routes} ip rule add to 172.20.0.0/16 table 100")


def tunnelled(lab: Lab, node: str) -> int:
    return int(lab.on(node, "cat /sys/class/net/tunl0/statistics/tx_packets"))


@DEBIAN_12
def test_calico_with_ipip(virtual: Virtual) -> None:
    lab, pods = virtual.lab, virtual.pods
    for node in NODES:
        assert "ipip" in lab.on(node, "lsmod"), "loaded by fabnode, and named for the next boot"
        assert "mtu 1480" in lab.on(node, "ip link show tunl0")
    eventually(lambda: pods.ask("n1", "n2") == "n2", PATIENCE)
    put_routes_of_calicos_bird(lab)
    before = tunnelled(lab, "n1")
    eventually(lambda: pods.ask("n1", "n2") == "n2" and pods.ask("n2", "n1") == "n1", PATIENCE)
    assert tunnelled(lab, "n1") > before
    checks = lab.inv("verify", "--json", config=virtual.config).document["checks"]
    assert [check for check in checks if not check["ok"]] == []
    pods.prove_policies(("n1", "n2"), ("n2", "n1"))


@DEBIAN_12
def test_kube_proxy_in_ipvs_mode_and_the_ways_to_and_from_it(virtual: Virtual) -> None:
    lab, pods = virtual.lab, virtual.pods
    url, containers = pods.service(), pods.containers()
    for mode in ("ipvs", "nftables", "ipvs", "iptables"):
        settings = {"n2": {"kube_proxy": {"mode": mode}}}
        config = lab.config(nodes=settings, calico=IPIP)
        assert lab.deploy("--limit", "n2", config=config).results == {"n2": "changed"}
        assert lab.on("n2", "curl -s http://127.0.0.1:10249/proxyMode") == mode
        eventually(lambda: pods.fetch("n2", url) in NODES, PATIENCE)
        traces = "".join(f"{see} && echo {each};" for each, see in TRACES.items())
        assert lab.on("n2", traces, None).split() == [mode]
    assert pods.containers() == containers


@BOTH
def test_after_a_reboot_everything_is_back_without_a_hand(virtual: Virtual) -> None:
    lab = virtual.lab
    virtual.deploy()  # whatever a test before it has left
    before = {node: boot_of(lab, node) for node in NODES}
    for node in NODES:
        lab.on(node, "systemctl --no-block reboot", None)
    for node in NODES:
        eventually(partial(ready_since_boot, lab, node, before[node]), PATIENCE)
    virtual.settle()
    assert virtual.deploy().results == dict.fromkeys(NODES, "unchanged")


@DEBIAN_12
@pytest.mark.parametrize(
    ("step", "next_run"),
    [("runtime", "changed"), ("kubelet", "changed"), ("ready", "unchanged")],
)
def test_a_power_cut_in_the_middle_of_an_apply(step: str, next_run: str, virtual: Virtual) -> None:
    """
    Whatever the disk had got of it: one run makes a node of the host.

    What waits to be Ready has all that it needs on its disk, and joins by itself.
    """
    lab = virtual.lab
    lab.lab("fresh", "--hosts", "n2")
    run = lab.begin("deploy-nodes", "--json", config=virtual.config)
    assert run.begun("n2", step, seconds=PATIENCE)
    hosts.clear(lab.layout, "n2")
    done = run.wait(lab.patience).expect(1)
    assert done.results == {"n1": "unchanged", "n2": "failed"}
    lab.lab("on", "n2")
    assert virtual.deploy().results == {"n1": "unchanged", "n2": next_run}
    virtual.settle()


@DEBIAN_12
def test_a_power_cut_right_after_a_deployment(virtual: Virtual) -> None:
    """What a run says to be done is on the disk."""
    lab = virtual.lab
    config = lab.config(calico=IPIP, kubelet={"max_pods": 77})
    assert lab.deploy(config=config).results == dict.fromkeys(NODES, "changed")
    before = boot_of(lab, "n2")
    hosts.clear(lab.layout, "n2")
    lab.lab("on", "n2")
    eventually(partial(ready_since_boot, lab, "n2", before), PATIENCE)
    lab.inv("plan", "--deep", "--exit-code", config=config)
    assert virtual.deploy().results == dict.fromkeys(NODES, "changed")


@DEBIAN_12
def test_a_disk_that_fills(virtual: Virtual) -> None:
    lab = virtual.lab
    config = lab.config(calico=IPIP, kubelet={"max_pods": 78})
    fill = "fallocate -l $(df --output=avail -B1 / | tail -1) /var/tmp/a; cat /dev/zero >/var/tmp/b"
    starts = lab.starts("n2")
    lab.disturb("n2", f"{fill} 2>/dev/null; sync; test $(df --output=avail / | tail -1) = 0")
    try:
        done = lab.deploy("--limit", "n2", config=config, code=1)
        row = done.rows["n2"]
        assert row["result"] == "failed"
        assert "free" in row["cause"] or "no space left" in row["cause"].lower()
        assert row["advice"]
        assert lab.restarted(starts) == set()
    finally:
        lab.disturb("n2", "rm -f /var/tmp/a /var/tmp/b")
    assert lab.deploy("--limit", "n2", config=config).results == {"n2": "changed"}
    assert virtual.deploy().results["n2"] == "changed"
