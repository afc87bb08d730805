"""Evidence of a sound node, and ways to make it ill."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fabnode.doctor.evidence import Condition, Evidence, HostSeen, NodeSeen, Wanted
from fabnode.node import layout
from fabnode.node.facts import Facts, PathFact, Space, UnitFact
from fabnode.node.symptoms import Line, Symptoms, UnitSeen
from fabnode.pki.certificates import CertificateFile
from tests.support import authority, certificate, pem

NOW = time.time() + 60.0  # after certificates of no days have ended
UP = 5000.0  # seconds that the host runs
CLIENT = layout.kubelet_client_certificate("/var/lib/kubelet")
CA = pem(authority()[0])
SERVER = "https://192.0.2.1:6443"
CALL = (
    'E1130 03:43:00.1 99 reflector.go:205] "Failed to watch" err="failed to list *v1.Node: Get'
    f' \\"{SERVER}/api/v1/nodes\\": '
)
PAUSE = "registry.k8s.io/pause:3.10.1"
RUNS = UnitFact("loaded", "active", "running", "enabled", started=100.0)
LOOPS = replace(RUNS, active="activating", sub="auto-restart", restarts=7)
STOPPED = replace(RUNS, active="inactive", sub="dead")
KUBELET, RUNTIME, PROXY = "kubelet.service", "containerd.service", "kube-proxy.service"

WANTED = Wanted(
    name="n1",
    ip="192.0.2.11",
    apiserver=SERVER,
    ca_pem=CA,
    conf_name="10-calico.conflist",
    own_plugins=("calico", "calico-ipam"),
    sandbox_image=PAUSE,
)
FACTS = Facts(
    known=True,
    hostname="n1",
    machine_id="aa",
    uptime=UP,
    addresses=("192.0.2.11", "127.0.0.1"),
    resolv_conf="nameserver 192.0.2.53\n",
    space={"/var/lib/kubelet": Space(2**34, 10**6, "ext2/ext3")},
    sysctls={"net.ipv4.ip_forward": "1"},
    paths={
        layout.CA: PathFact("file", 0o644, content=CA),
        layout.KUBELET_KUBECONFIG: PathFact("file", 0o600),
    },
    units={KUBELET: RUNS, RUNTIME: RUNS, PROXY: RUNS},
    certificates={CLIENT: CertificateFile.of(certificate("system:node:n1"))},
    servers={layout.KUBELET_KUBECONFIG: SERVER},
    images=frozenset({PAUSE}),
)
SYMPTOMS = Symptoms(
    now=NOW,
    units=dict.fromkeys((KUBELET, RUNTIME, PROXY), UnitSeen("success", 0, "S")),
    confs=("10-calico.conflist",),
    plugins=frozenset({"calico", "calico-ipam", "loopback"}),
    memory=2**31,
    tasks=200,
    most_tasks=32768,
    runtime="answers",
)
NODE = NodeSeen(
    conditions={"Ready": Condition("True", "KubeletReady", "kubelet is posting ready status")},
    heartbeat_age=4.0,
    machine_id="aa",
    addresses=("192.0.2.11",),
    kubelet="v1.37.2",
    pods=3,
    most_pods=110,
    network_pod=("kube-system/calico-node-x", "uid"),
    reaches_kubelet=True,
)


def ill(
    *,
    facts: Mapping[str, Any] | None = None,
    symptoms: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
    node: Mapping[str, Any] | None = None,
    units: Mapping[str, UnitFact] | None = None,
    services: Mapping[str, UnitSeen] | None = None,
    wanted: Mapping[str, Any] | None = None,
) -> Evidence:
    """Return the evidence of a node that is sound but for this."""
    found = replace(FACTS, units={**FACTS.units, **(units or {})})
    seen = replace(SYMPTOMS, units={**SYMPTOMS.units, **(services or {})})
    return Evidence(
        wanted=replace(WANTED, **(wanted or {})),
        host=HostSeen(
            facts=replace(found, **(facts or {})),
            symptoms=replace(seen, **(symptoms or {})),
            **{"api_reached": True, **(host or {})},
        ),
        node=replace(NODE, **(node or {})),
        now=NOW,
    )


def journal(*lines: str, ago: float = 5.0, status: int = 1, result: str = "exit-code") -> UnitSeen:
    """Return a service whose journal ends with these lines, a second apart."""
    count = len(lines)
    at = [NOW - ago - (count - number) for number in range(count)]
    return UnitSeen(result, status, "", tuple(Line(a, t) for a, t in zip(at, lines, strict=True)))


def logs(*lines: str, ago: float = 5.0) -> UnitSeen:
    """Return a service that runs, and has logged this."""
    return replace(journal(*lines, ago=ago), result="success", status=0, process="S")
