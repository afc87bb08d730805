"""Each cause is found by its evidence and named first; a sound node has none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fabnode.config.apiservers import BALANCER
from fabnode.doctor.cause import Approve, Deploy, RestartPod, UnitAct, roots
from fabnode.doctor.evidence import Condition, Request
from fabnode.doctor.judge import causes
from fabnode.node import layout
from fabnode.node.conventions import BALANCER_SERVICE
from fabnode.node.facts import PathFact, Space, UnitFact
from fabnode.node.symptoms import Line, Listening, UnitSeen
from fabnode.pki.certificates import CertificateFile
from tests.support import authority, certificate

from .support import (
    CA,
    CALL,
    CLIENT,
    FACTS,
    KUBELET,
    LOOPS,
    NOW,
    PAUSE,
    PROXY,
    RUNS,
    RUNTIME,
    STOPPED,
    UP,
    ill,
    journal,
    logs,
)

if TYPE_CHECKING:
    from fabnode.doctor.evidence import Evidence

E_ = 'E1129 12:00:00.000000     99 run.go:72] "command failed" err="'
UNKNOWN = {"Ready": Condition("Unknown", "NodeStatusUnknown", "Kubelet stopped posting status.")}
SILENT = {"conditions": UNKNOWN, "heartbeat_age": 200.0}
LOST: dict[str, object] = {"certificates": {}}
NO_NETWORK = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
    " message:Network plugin returns error: cni plugin not initialized"
)


def crashing(text: str, node: dict[str, object] | None = None) -> Evidence:
    return ill(
        units={KUBELET: LOOPS},
        services={KUBELET: journal(f"{E_}{text}")},
        node={**SILENT, **(node or {})},
    )


def runtime_crashing(text: str) -> Evidence:
    return ill(
        units={RUNTIME: LOOPS, KUBELET: LOOPS},
        services={
            RUNTIME: journal(text),
            KUBELET: journal(f"{E_}failed to run Kubelet: validate service connection: dial unix"),
        },
        symptoms={"runtime": "refuses", "socket": False},
        node=SILENT,
    )


def client(common_name: str = "system:node:n1", **how: object) -> dict[str, object]:
    held = CertificateFile.of(certificate(common_name, **how))  # type: ignore[arg-type]
    return {"certificates": {CLIENT: held}}


def request(state: str, *, issued: bool = False, kind: str = "client") -> dict[str, object]:
    return {"requests": (Request("csr-x", kind, state, issued, 30.0),)}  # type: ignore[arg-type]


ALERT = "[ALERT]    (1234) : config"
FATAL = f"{ALERT} : Fatal errors found in configuration."


def balancer(
    fact: UnitFact,
    seen: UnitSeen | None = None,
    *,
    drift: tuple[str, ...] = (),
    node: dict[str, object] | None = None,
) -> Evidence:
    """Return a node with several apiservers whose balancer is in this state."""
    return ill(
        host={"drift": drift},
        wanted={"balanced": True, "server": BALANCER},
        facts={"servers": {layout.KUBELET_KUBECONFIG: BALANCER}},
        units={BALANCER_SERVICE: fact},
        services={BALANCER_SERVICE: seen or UnitSeen("success", 0, "S")},
        node=SILENT if node is None else node,
    )


FIRST: dict[str, tuple[str, Evidence]] = {
    "nobody answers, the kubelet is silent": (
        "host-down",
        ill(host={"access": "unreachable", "fault": "timed out"}, node=SILENT),
    ),
    "nobody answers, the kubelet reports": (
        "ssh-away",
        ill(host={"access": "unreachable", "fault": "timed out"}),
    ),
    "SSH is refused, the kubelet is silent": (
        "ssh-refused",
        ill(host={"access": "answers", "fault": "connection refused"}, node=SILENT),
    ),
    "SSH is refused, the kubelet reports": (
        "ssh-away",
        ill(host={"access": "answers", "fault": "connection refused"}),
    ),
    "another host key": ("host-key", ill(host={"access": "host-key", "fault": "it changed"})),
    "no login": ("login-refused", ill(host={"access": "login", "fault": "no key"})),
    "no sudo": ("sudo-refused", ill(host={"access": "sudo", "fault": "not in sudoers"})),
    "a look that does not end": ("host-hangs", ill(host={"access": "hangs"}, node=SILENT)),
    "odd tools": ("host-misbehaves", ill(host={"access": "misbehaves", "fault": "cut off"})),
    "the API is away": ("api-away", ill(node={"known": False, "fault": "refused"})),
    "a clock behind": (
        "clock-wrong",
        ill(
            facts={"clock_offset": -9000.0},
            services={
                KUBELET: logs(f"{CALL}x509: certificate has expired or is not yet valid: now")
            },
            node=SILENT,
        ),
    ),
    "the apiserver's certificate is not valid there": (
        "clock-wrong",
        ill(
            services={
                KUBELET: logs(f"{CALL}x509: certificate has expired or is not yet valid: now")
            }
        ),
    ),
    "a disk of no room": (
        "disk-full",
        ill(
            facts={"space": {"/var/lib/containerd": Space(4096, 10**6)}},
            units={RUNTIME: LOOPS, KUBELET: LOOPS},
            services={RUNTIME: journal("containerd: mkdir x: no space left on device")},
            node=SILENT,
        ),
    ),
    "a disk of no room for its word": (
        "disk-full",
        ill(services={KUBELET: logs("write /var/lib/kubelet/x: no space left on device")}),
    ),
    "no inodes": (
        "inodes-used-up",
        ill(
            facts={"space": {"/var/lib/kubelet": Space(2**30, 3)}},
            services={KUBELET: logs("write /var/lib/kubelet/x: no space left on device")},
            node=SILENT,
        ),
    ),
    "a file system that is btrfs": (
        "cordoned",
        ill(
            facts={"space": {"/var/lib/kubelet": Space(2**30, None, "btrfs")}},
            node={"cordon": "somebody else's"},
        ),
    ),
    "read-only": (
        "read-only",
        ill(
            symptoms={"unwritable": ("/var/lib/kubelet",)},
            units={KUBELET: LOOPS},
            services={KUBELET: journal("mkdir /var/lib/kubelet: read-only file system")},
        ),
    ),
    "its folder is gone": (
        "folder-lost",
        ill(symptoms={"missing": ("/var/lib/kubelet",)}, facts=LOST, units={KUBELET: LOOPS}),
    ),
    "no more processes": ("tasks-used-up", ill(symptoms={"tasks": 32760}, node=SILENT)),
    "no resolv.conf": (
        "no-resolv-conf",
        ill(
            facts={"resolv_conf": None, "resolv_link": "/run/x"},
            services={KUBELET: logs("Failed to create sandbox for pod: open /etc/resolv.conf")},
        ),
    ),
    "runtime masked": (
        "runtime-masked",
        ill(units={RUNTIME: replace(STOPPED, load="masked", enabled="masked"), KUBELET: LOOPS}),
    ),
    "runtime without its program": (
        "runtime-program",
        ill(
            units={RUNTIME: LOOPS},
            services={RUNTIME: UnitSeen("exit-code", 203)},
            host={"lost": ("/usr/local/bin/containerd",)},
        ),
    ),
    "runtime's settings": (
        "runtime-setting",
        runtime_crashing("containerd: failed to load TOML: /etc/containerd/config.toml: bad"),
    ),
    "runtime panics": ("runtime-crashes", runtime_crashing("panic: runtime error: index")),
    "runtime stopped": (
        "runtime-down",
        ill(
            units={RUNTIME: STOPPED},
            symptoms={"runtime": "refuses"},
            node={"conditions": {"Ready": Condition("False", "", "container runtime is down")}},
        ),
    ),
    "runtime disabled": (
        "runtime-disabled",
        ill(units={RUNTIME: replace(STOPPED, enabled="disabled")}),
    ),
    "runtime frozen": (
        "runtime-frozen",
        ill(
            services={RUNTIME: UnitSeen("success", 0, "T")},
            symptoms={"runtime": "hangs"},
            host={"health": "no answer"},
        ),
    ),
    "runtime without its socket": (
        "runtime-socket",
        ill(symptoms={"socket": False, "runtime": "refuses"}),
    ),
    "runtime hangs": (
        "runtime-silent",
        ill(symptoms={"runtime": "hangs"}, facts={"images": None}),
    ),
    "kubelet masked": (
        "kubelet-masked",
        ill(units={KUBELET: replace(STOPPED, load="masked", enabled="masked")}, node=SILENT),
    ),
    "kubelet without its program": (
        "kubelet-program",
        ill(
            units={KUBELET: LOOPS},
            services={KUBELET: UnitSeen("exit-code", 203)},
            host={"lost": ("/usr/local/bin/kubelet",)},
            node=SILENT,
        ),
    ),
    "no kubelet at all": (
        "kubelet-program",
        ill(
            units={KUBELET: replace(STOPPED, load="not-found", enabled="")},
            facts={**LOST, "paths": {}},
            node={"registered": False, "heartbeat_age": float("inf")},
        ),
    ),
    "another drop-in": (
        "overridden",
        ill(
            units={KUBELET: LOOPS},
            services={KUBELET: journal(f'{E_}failed to load kubelet config file, path: /x"')},
            host={"overrides": (("10-kubeadm.conf sets ExecStart", "rm it"),)},
            node=SILENT,
        ),
    ),
    "a masked balancer": ("balancer-masked", balancer(replace(STOPPED, load="masked"))),
    "a balancer without its program": (
        "balancer-program",
        balancer(LOOPS, journal("exec failed", status=203)),
    ),
    "a balancer that can't use its configuration": (
        "balancer-setting",
        balancer(LOOPS, journal(f"{ALERT} : parsing [x.cfg:3] : unknown keyword 'a'", FATAL)),
    ),
    "a balancer by another configuration": (
        "balancer-setting",
        balancer(RUNS, logs(), drift=(f"{layout.BALANCER_CONFIG} (it differs)",)),
    ),
    "a frozen balancer": ("balancer-frozen", balancer(RUNS, replace(logs(), process="T"))),
    "a balancer that crashes": ("balancer-crashes", balancer(LOOPS, journal("no"))),
    "a disabled balancer": ("balancer-disabled", balancer(replace(STOPPED, enabled="disabled"))),
    "a stopped balancer": ("balancer-down", balancer(STOPPED)),
    "a flag": ("kubelet-flag", crashing("failed to parse kubelet flag: unknown flag: --nonsense")),
    "a field of another type": (
        "kubelet-field",
        crashing(
            "failed to load kubelet config file, path: /etc/kubernetes/kubelet.yaml, error: json:"
            " cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type"
        ),
    ),
    "swap": ("swap-on", crashing("failed to run Kubelet: running with swap on is not supported")),
    "cgroup v1": (
        "cgroup-v1",
        crashing("kubelet is configured to not run on a host using cgroup v1. cgroup v1 support"),
    ),
    "drivers": (
        "cgroup-driver",
        crashing('misconfiguration: kubelet cgroup driver: \\"systemd\\" is different from'),
    ),
    "a state file": (
        "state-file",
        crashing(
            "could not restore state from checkpoint: checkpoint is corrupted, please drain this"
            ' node and delete the CPU manager checkpoint file \\"/var/lib/kubelet/cpu_manager_state'
        ),
    ),
    "a port in its own words": (
        "port-taken",
        crashing("listen tcp 192.0.2.11:10250: bind: address already in use"),
    ),
    "a port": (
        "port-taken",
        ill(units={KUBELET: LOOPS}, symptoms={"listening": (Listening(10250, "nc"),)}),
    ),
    "a program of others": (
        "others-write",
        ill(units={PROXY: STOPPED}, host={"of_others": (("others may change it", "rm it"),)}),
    ),
    "a file of others": (
        "others-write",
        ill(units={PROXY: STOPPED}, host={"files_of_others": ("/etc/kubernetes/kubelet.yaml",)}),
    ),
    "a name in its own words": (
        "name-unresolved",
        ill(
            wanted={"apiserver": "https://Api.example:6443"},
            services={
                KUBELET: logs(
                    'kubelet_node_status.go:107] "Unable to register node with API server"'
                    ' err="Post \\"https://api.example:6443/api/v1/nodes\\": dial tcp:'
                    ' lookup api.example on 192.0.2.53:53: no such host" node="n1"'
                )
            },
            node=SILENT,
        ),
    ),
    "a name": (
        "name-unresolved",
        ill(
            host={"api_reached": False, "api_fault": "name or service not known"},
            symptoms={"resolves": False},
            node=SILENT,
        ),
    ),
    "a proxy": (
        "proxy-set",
        ill(
            services={
                KUBELET: logs(f"{CALL}proxyconnect tcp: dial tcp 192.0.2.1:3128: i/o timeout")
            },
            node=SILENT,
        ),
    ),
    "another server": (
        "server-differs",
        ill(
            facts={"servers": {layout.KUBELET_KUBECONFIG: "https://192.0.2.99:6443"}},
            services={KUBELET: logs("dial tcp 192.0.2.99:6443: connect: no route to host")},
            node=SILENT,
        ),
    ),
    "another CA": (
        "ca-differs",
        ill(
            facts={"paths": {**FACTS.paths, layout.CA: PathFact("file", content=b"other")}},
            services={
                KUBELET: logs(
                    "tls: failed to verify certificate: x509: certificate signed"
                    " by unknown authority"
                )
            },
            node=SILENT,
        ),
    ),
    "a firewall on the way": (
        "api-unreached",
        ill(
            host={"api_reached": False, "api_fault": "no answer"},
            services={KUBELET: logs("dial tcp 192.0.2.1:6443: i/o timeout")},
            node=SILENT,
        ),
    ),
    "another apiserver": (
        "api-unproved",
        ill(host={"api_reached": True, "api_fault": "self-signed certificate"}, node=SILENT),
    ),
    "a dead token": (
        "token-refused",
        ill(
            facts={
                **LOST,
                "paths": {**FACTS.paths, layout.BOOTSTRAP_KUBECONFIG: PathFact("file", 0o600)},
            },
            services={KUBELET: logs("cannot create certificate signing request: Unauthorized")},
            node={"registered": False, "heartbeat_age": float("inf")},
        ),
    ),
    "a request that waits": ("request-waits", ill(facts=LOST, node=request("Pending"))),
    "a request that was denied, and the next": (
        "request-denied",
        ill(
            facts=LOST,
            node={
                "requests": (
                    Request("csr-new", "client", "Pending", False, 20.0),
                    Request("csr-old", "client", "Denied", False, 30.0),
                )
            },
        ),
    ),
    "a request that waits long after another was denied": (
        "request-waits",
        ill(
            facts=LOST,
            node={
                "requests": (
                    Request("csr-new", "client", "Pending", False, 20.0),
                    Request("csr-old", "client", "Denied", False, 3000.0),
                )
            },
        ),
    ),
    "a request that was denied": ("request-denied", ill(facts=LOST, node=request("Denied"))),
    "no signer": ("request-unsigned", ill(facts=LOST, node=request("Approved"))),
    "an expired certificate": (
        "client-unusable",
        ill(
            facts=client(days=0),
            units={KUBELET: LOOPS},
            services={
                KUBELET: journal(
                    f"{E_}part of the existing bootstrap client certificate in"
                    " /etc/kubernetes/kubelet.kubeconfig is expired: 2026"
                )
            },
            node=SILENT,
        ),
    ),
    "a certificate of another CA": (
        "client-unusable",
        ill(facts=client(by=authority("another-ca")), services={KUBELET: logs("Unauthorized")}),
    ),
    "a certificate that is not accepted": (
        "client-unusable",
        ill(services={KUBELET: logs('Unable to register node with API server err="Unauthorized"')}),
    ),
    "a certificate of another node": (
        "client-of-another",
        ill(
            facts=client("system:node:n7"),
            services={KUBELET: logs('nodes "n1" is forbidden: node "n7" is not allowed to modify')},
            node={"registered": False, "heartbeat_age": float("inf")},
        ),
    ),
    "no certificate": (
        "client-lost",
        ill(
            facts=LOST,
            units={KUBELET: LOOPS},
            services={
                KUBELET: journal(
                    f"{E_}unable to load bootstrap kubeconfig: stat /etc/x: no"
                    " such file or directory"
                )
            },
            node=SILENT,
        ),
    ),
    "a webhook": (
        "webhook-refuses",
        ill(
            services={KUBELET: logs('Internal error occurred: failed calling webhook "a.b": dial')},
            node=SILENT,
        ),
    ),
    "a refusal": (
        "api-refuses",
        ill(services={KUBELET: logs('leases "n1" is forbidden: User "system:node:n1" cannot get')}),
    ),
    "kubelet crashes": ("kubelet-crashes", crashing("something nobody has seen before")),
    "kubelet disabled": (
        "kubelet-disabled",
        ill(units={KUBELET: replace(STOPPED, enabled="disabled")}, node=SILENT),
    ),
    "kubelet stopped": ("kubelet-down", ill(units={KUBELET: STOPPED}, node=SILENT)),
    "kubelet frozen": (
        "kubelet-frozen",
        ill(
            services={KUBELET: UnitSeen("success", 0, "T")},
            host={"health": "no answer"},
            node={"reaches_kubelet": False, **SILENT},
        ),
    ),
    "kubelet unwell": ("kubelet-silent", ill(host={"health": "500 nodeagent"})),
    "no Node": ("deleted", ill(node={"registered": False, "heartbeat_age": float("inf")})),
    "a Node that leaves": ("leaving", ill(node={"leaving": "example.com/keeper"})),
    "another machine": ("other-machine", ill(node={"machine_id": "bb"})),
    "another address": ("address-gone", ill(wanted={"ip": "192.0.2.99"})),
    "too old": ("skew", ill(node={"skew": "its kubelet 1.33.0 is more than 3 minors behind"})),
    "another network first": (
        "other-network",
        ill(symptoms={"confs": ("00-other.conf", "10-calico.conflist")}),
    ),
    "no runc": (
        "program-lost",
        ill(
            host={"lost": ("/usr/local/bin/runc",)},
            services={KUBELET: logs('Failed to create sandbox for pod: exec: "runc": not found')},
        ),
    ),
    "no sandbox image": (
        "sandbox-image",
        ill(
            facts={"images": frozenset()},
            services={
                KUBELET: logs("Failed to create sandbox for pod"),
                RUNTIME: logs(f'failed to get sandbox image "{PAUSE}": failed to pull'),
            },
        ),
    ),
    "no forwarding": (
        "forwarding-off",
        ill(
            facts={"sysctls": {"net.ipv4.ip_forward": "0"}},
            node={"network": "calico-node on n1: not ready"},
        ),
    ),
    "kube-proxy crashes": (
        "proxy-crashes",
        ill(units={PROXY: LOOPS}, services={PROXY: journal("F1129 1:00 1 server.go] x509")}),
    ),
    "kube-proxy stopped": ("proxy-down", ill(units={PROXY: STOPPED})),
    "no CNI configuration": (
        "network-config",
        ill(
            symptoms={"confs": ()},
            node={"conditions": {"Ready": Condition("False", "KubeletNotReady", NO_NETWORK)}},
        ),
    ),
    "no CNI program": ("plugin-lost", ill(symptoms={"plugins": frozenset({"loopback"})})),
    "calico-node": (
        "network-pod",
        ill(
            node={
                "network": "calico-node on n1: ImagePullBackOff",
                "conditions": {"Ready": Condition("False", "KubeletNotReady", NO_NETWORK)},
            }
        ),
    ),
    "pods that do not start": (
        "pods-fail",
        ill(services={KUBELET: logs('"Failed to create sandbox for pod" err="x"')}),
    ),
    "little disk": (
        "disk-pressure",
        ill(
            node={
                "conditions": {
                    "Ready": Condition("True"),
                    "DiskPressure": Condition("True", "KubeletHasDiskPressure", "pressure"),
                }
            }
        ),
    ),
    "little memory": (
        "memory-pressure",
        ill(node={"conditions": {"MemoryPressure": Condition("True", "", "little")}}),
    ),
    "too many tasks": (
        "task-pressure",
        ill(node={"conditions": {"PIDPressure": Condition("True", "", "many")}}),
    ),
    "silence that nothing explains": ("not-reporting", ill(node=SILENT)),
    "the kubelet's own word": (
        "not-ready",
        ill(node={"conditions": {"Ready": Condition("False", "", "PLEG is not healthy")}}),
    ),
    "a removal": ("locked-out", ill(node={"cordon": "ours: remove", "locked_out": True})),
    "a node that was removed": (
        "locked-out",
        ill(node={"registered": False, "heartbeat_age": float("inf"), "removed": "2026-11-29"}),
    ),
    "a cordon": ("cordoned", ill(node={"cordon": "somebody else's, written by kubectl"})),
    "a cordon that others lifted": ("excluded", ill(node={"excluded": True})),
    "no cloud": (
        "uninitialized",
        ill(node={"taints": (("node.cloudprovider.kubernetes.io/uninitialized:NoSchedule", "x"),)}),
    ),
    "a taint": ("tainted", ill(node={"taints": (("gpu:NoSchedule", "kubectl taint"),)})),
    "full of pods": ("pods-full", ill(node={"pods": 110})),
    "a serving certificate": (
        "serving-waits",
        ill(node={**request("Pending", kind="serving"), "reaches_kubelet": False}),
    ),
    "no way to the kubelet": ("kubelet-unreached", ill(node={"reaches_kubelet": False})),
    "nothing but drift": (
        "drift",
        ill(
            host={"drift": ("/etc/kubernetes/kubelet.yaml (content)",)},
            node={"conditions": {}},
        ),
    ),
}


def test_a_sound_node_has_no_cause() -> None:
    assert causes(ill()) == ()


def test_a_runtime_that_answers_one_of_two_questions_is_merely_slow() -> None:
    assert causes(ill(symptoms={"runtime": "refuses"})) == ()


def test_drift_of_a_node_that_is_well_is_no_illness() -> None:
    assert causes(ill(host={"drift": ("/etc/kubernetes/kubelet.yaml (content)",)})) == ()


@pytest.mark.parametrize("case", FIRST)
def test_the_cause_is_named_first(case: str) -> None:
    key, evidence = FIRST[case]
    found = causes(evidence)
    assert found[0].key == key, [cause.key for cause in found]
    assert all(cause.text and cause.fix.text for cause in found)


def test_each_cause_stands_in_the_table_of_cases() -> None:
    from fabnode.doctor.cause import EXPLAINS

    only_beside_others = {"unregistered", "no-network", "proxy-masked"}
    assert {key for key, _ in FIRST.values()} | only_beside_others == set(EXPLAINS)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (
            "cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type",
            "maxPods",
        ),
        ('strict decoding error: unknown field \\"podPidLimit\\"', "podPidLimit"),
        (
            "invalid configuration: evictionPressureTransitionPeriod must be",
            "evictionPressureTransitionPeriod",
        ),
        ("unrecognized feature gate: Nonsense", "Nonsense"),
        ("yaml: line 4: mapping values are not allowed", ""),
    ],
)
def test_the_field_that_a_kubelet_can_not_use_is_named(text: str, field: str) -> None:
    found = causes(crashing(f"failed to load kubelet config file, path: /x, error: {text}"))[0]
    assert found.key == "kubelet-field"
    assert found.text.endswith(f": its field {field}" if field else "kubelet.yaml")


@pytest.mark.parametrize(
    ("case", "acts"),
    [
        ("kubelet stopped", (UnitAct("restart", KUBELET),)),
        ("kubelet disabled", (UnitAct("enable", KUBELET),)),
        ("kubelet masked", (UnitAct("unmask", KUBELET), Deploy())),
        ("kubelet frozen", (UnitAct("resume", KUBELET),)),
        ("runtime without its socket", (UnitAct("restart", RUNTIME),)),
        ("a field of another type", (Deploy(),)),
        ("an expired certificate", (Deploy(),)),
        ("a certificate of another CA", ()),
        ("a certificate of another node", ()),
        ("no CNI configuration", (RestartPod("kube-system/calico-node-x", "uid"),)),
        ("a serving certificate", (Approve(),)),
        ("a cordon", ()),
        ("a disk of no room", ()),
        ("a state file", ()),
        ("swap", ()),
        ("a webhook", ()),
        ("a firewall on the way", ()),
    ],
)
def test_what_is_safe_is_an_act_and_what_is_not_is_none(
    case: str, acts: tuple[object, ...]
) -> None:
    assert causes(FIRST[case][1])[0].fix.acts == acts


@pytest.mark.parametrize(
    ("operation", "fix"),
    [
        ("", "kubectl uncordon n1, once"),
        ("drain", "inv uncordon --limit n1"),
        ("upgrade", "inv upgrade --limit n1 goes on; inv uncordon"),
    ],
)
def test_no_cordon_is_lifted_by_itself(operation: str, fix: str) -> None:
    found = causes(ill(node={"cordon": "somebody's", "operation": operation}))[0]
    assert found.fix.acts == ()
    assert found.fix.text.startswith(fix)


def test_nothing_of_a_node_comes_back_that_is_locked_out() -> None:
    out = {"locked_out": True, "taints": (("fabnode.io/removed:NoSchedule", "kubectl taint"),)}
    found = causes(ill(units={KUBELET: STOPPED}, node={**SILENT, **out}))
    assert {"locked-out", "kubelet-down"} <= {cause.key for cause in found}
    assert [act for cause in found for act in cause.fix.acts] == []


def test_a_node_that_was_removed_is_not_registered_again_by_itself() -> None:
    """Its host may be anybody's by now; that its Node object is gone is what was wanted."""
    gone = {"registered": False, "heartbeat_age": float("inf")}
    plain = causes(ill(node=gone))
    assert [act for cause in plain for act in cause.fix.acts]
    found = causes(ill(node={**gone, "removed": "2026-11-29"}))
    assert found[0].text == "it was removed on 2026-11-29, and is not to be a node"
    assert [act for cause in found for act in cause.fix.acts] == []
    assert [cause.key for cause in roots(found)] == ["locked-out"]


def test_a_balancer_by_another_configuration_is_no_illness_where_the_node_reports() -> None:
    drift = (f"{layout.BALANCER_CONFIG} (it differs)",)
    assert causes(balancer(RUNS, logs(), drift=drift, node={})) == ()
    (first, *_) = causes(balancer(RUNS, logs(), drift=drift))
    assert first.fix.acts == (Deploy(),)
    assert first.seen == drift[0]
    refused = f"{ALERT} : parsing [x.cfg:3] : unknown keyword 'a'"
    (first, *_) = causes(balancer(LOOPS, journal(refused, FATAL)))
    assert first.seen == "parsing [x.cfg:3] : unknown keyword 'a'"


def test_what_a_kubelet_logged_before_it_was_started_again_does_not_count() -> None:
    logged = logs('Unable to register node err="Unauthorized"', ago=100.0)
    young = replace(RUNS, started=UP - 20.0)
    again = causes(ill(services={KUBELET: logged}, units={KUBELET: young}, node=SILENT))
    assert [cause.key for cause in again] == ["not-reporting", "not-ready"]
    assert causes(ill(services={KUBELET: logged}, node=SILENT))[0].key == "client-unusable"


def test_what_kept_a_kubelet_from_the_api_is_over_once_it_has_reported() -> None:
    logged = logs('failed calling webhook "a.b": dial tcp', ago=40.0)
    assert causes(ill(services={KUBELET: logged}, node={"heartbeat_age": 20.0})) == ()
    assert (
        causes(ill(services={KUBELET: logged}, node={"heartbeat_age": 50.0}))[0].key
        == "webhook-refuses"
    )


def test_what_a_network_plugin_gets_is_not_the_kubelets() -> None:
    logged = (
        'Failed to create sandbox: plugin type="calico": connection is unauthorized: Unauthorized'
    )
    assert causes(ill(services={KUBELET: logs(logged)}))[0].key == "pods-fail"


# As kubelet 1.37.2 and containerd 2.3.4 write about a container whose command is this text.
_ABOUT_PODS = (
    'E1130 03:43:00.1 99 pod_workers.go:1338] "Error syncing pod, skipping" err="failed to \\"Start'
    'Container\\" for \\"main\\" with RunContainerError: \\"exec: \\\\\\"{}\\\\\\"\\""'
    ' pod="shop/a" podUID="b"',
    'E1130 03:43:00.1 99 log.go:32] "StartContainer from runtime service failed" err="rpc error:'
    ' exec: \\"{}\\": no such file" containerID="c"',
    'E1130 03:43:00.1 99 remote_runtime.go:193] "RunPodSandbox failed" err="{}"',
    'time="2026-11-30T03:43:00Z" level=error msg="StartContainer for \\"c\\" failed" error="{}"',
    'level=error msg="StartContainer for \\"{}\\" failed"',
)
_FORGED = (
    "dial tcp: lookup $(id): no such host",
    "dial tcp: lookup 192.0.2.1: no such host",
    "could not restore state from checkpoint: x, please drain this node and delete the CPU manager"
    ' checkpoint file \\"/tmp/x; id\\"',
    "no space left on device",
    "running with swap on is not supported",
    "failed to load kubelet config file",
    'Get \\"https://192.0.2.1:6443/\\": x509: certificate has expired or is not yet valid',
    'failed calling webhook \\"shop\\"',
    "nodes is forbidden: x",
    "Unauthorized",
    'Get \\"https://192.0.2.1:6443/\\": proxyconnect tcp: x',
    "expected cgroupsPath to be of format x",
    "listen tcp :10250: bind: address already in use",
)


@pytest.mark.parametrize("line", _ABOUT_PODS)
@pytest.mark.parametrize("text", _FORGED)
def test_what_a_pods_owner_writes_is_no_cause(text: str, line: str) -> None:
    line = line.format(text)
    logged = {KUBELET: logs(line), RUNTIME: logs(line)}
    assert {cause.key for cause in causes(ill(services=logged))} <= {"pods-fail"}
    ended = {KUBELET: replace(journal(line), status=0, result="success")}
    found = causes(ill(units={KUBELET: STOPPED}, services=ended, node=SILENT))
    assert found[0].key == "kubelet-down"
    assert found[0].fix.acts


@pytest.mark.parametrize("text", _FORGED)
def test_what_a_pods_probe_prints_is_no_cause(text: str) -> None:
    """journald takes the indent from klog's texts of several lines."""
    header = (
        'I1130 03:43:00.1 99 prober.go:120] "Probe failed" probeType="Readiness" pod="a/b" output=<'
    )
    forged = f'E1130 03:43:00.2 99 kubelet_node_status.go:1] "Unable to register" err="{text}"'
    lines = tuple(
        Line(NOW - 5 + number / 1000, line)
        for number, line in enumerate((header, text, ">", forged, text, ">"))
    )
    assert causes(ill(services={KUBELET: UnitSeen("success", 0, "S", lines)})) == ()
    later = Line(NOW - 3, f"{CALL}proxyconnect tcp: dial tcp 192.0.2.1:3128: i/o timeout")
    own = UnitSeen("success", 0, "S", (*lines, later))
    assert causes(ill(services={KUBELET: own}, node=SILENT))[0].key == "proxy-set"


@pytest.mark.parametrize("text", _FORGED)
@pytest.mark.parametrize(
    ("lines", "older"),
    [
        pytest.param(['x" command=["'], False, id="what follows a line that was cut"),
        pytest.param([], True, id="what follows a line that was not read"),
    ],
)
def test_a_text_whose_beginning_is_not_seen_is_no_cause(
    lines: list[str], older: bool, text: str
) -> None:
    seen = [Line(NOW - 5, line, cut=True) for line in lines]
    seen += [Line(NOW - 5 + number / 2, text) for number in range(5)]
    service = UnitSeen("success", 0, "S", tuple(seen), older)
    assert causes(ill(services={KUBELET: service})) == ()
    own = Line(NOW - 1, f"{CALL}proxyconnect tcp: dial tcp 192.0.2.1:3128: i/o timeout")
    service = replace(service, journal=(*seen, own))
    assert causes(ill(services={KUBELET: service}, node=SILENT))[0].key == "proxy-set"


@pytest.mark.parametrize(
    "line",
    [
        'E1130 03:43:00.1 99 server.go:343] "Unable to authenticate the request due to an error"'
        ' err="verifying certificate SN=1, SKID=, AKID= failed: {}"',
        "E1130 03:43:00.1 99 log.go:245] http: TLS handshake error from 192.0.2.9:40000: {}",
        "http: TLS handshake error from 192.0.2.9:40000: {}",
    ],
)
@pytest.mark.parametrize("text", _FORGED)
def test_what_a_client_of_the_kubelets_has_it_log_is_no_cause(text: str, line: str) -> None:
    logged = {KUBELET: logs(line.format(text))}
    assert causes(ill(services=logged)) == ()
    assert causes(ill(services=logged, node=SILENT))[0].key == "not-reporting"


def test_a_line_that_is_too_long_counts_as_far_as_it_was_read() -> None:
    line = Line(NOW - 5, f"{E_}failed to load kubelet config file, path: /etc/x", cut=True)
    seen = UnitSeen("exit-code", 1, "", (line,))
    assert causes(ill(units={KUBELET: LOOPS}, services={KUBELET: seen}))[0].key == "kubelet-field"


def test_certificates_that_a_kubelet_complains_of_outside_of_calls_are_no_cause() -> None:
    logged = logs("x509: certificate has expired or is not yet valid: current time is after then")
    assert [each.key for each in causes(ill(services={KUBELET: logged}, node=SILENT))] == [
        "not-reporting",
        "not-ready",
    ]


def test_where_the_api_says_nothing_no_service_is_enabled() -> None:
    """A removal may have begun; only the API knows."""
    off = replace(STOPPED, enabled="disabled")
    masked = replace(STOPPED, load="masked", enabled="masked")
    for unit in (off, masked):
        found = causes(ill(units={KUBELET: unit}, node={"known": False, "fault": "away"}))
        acts = [act for cause in found for act in cause.fix.acts]
        assert not set(acts) - {UnitAct("restart", KUBELET)}, (
            "which systemd refuses of a masked one"
        )
        assert unit is masked or acts == []
    stopped = causes(ill(units={KUBELET: STOPPED}, node={"known": False, "fault": "away"}))
    assert any(cause.fix.acts for cause in stopped)


@pytest.mark.parametrize(
    "path", ["/tmp/x; id", "/var/lib/kubelet/../x_state", "/var/lib/kubelet/$(id)_state"]
)
def test_no_path_of_a_journal_goes_into_a_command(path: str) -> None:
    found = causes(
        crashing(
            "could not restore state from checkpoint: x, please drain this node and delete the CPU"
            f' manager checkpoint file \\"{path}\\"'
        )
    )
    assert found[0].key == "state-file"
    assert found[0].fix.text == (
        "`inv maintain --limit n1 --command 'mv /var/lib/kubelet/cpu_manager_state"
        " /var/lib/kubelet/cpu_manager_state.kept && systemctl restart kubelet.service'`, which"
        " drains it first"
    )


def test_a_runtime_that_has_the_sandboxes_image_is_not_believed_to_lack_it() -> None:
    logged = {RUNTIME: logs(f'msg="RunPodSandbox" error="failed to pull sandbox image {PAUSE}"')}
    assert causes(ill(services=logged)) == ()
    unknown = causes(ill(services=logged, facts={"images": None}))
    assert [act for cause in unknown for act in cause.fix.acts] == []


def test_a_kubelet_that_reports_is_not_restarted_for_what_answers_in_its_place() -> None:
    found = causes(ill(host={"health": "404 page not found"}))[0]
    assert (found.key, found.fix.acts) == ("kubelet-silent", ())
    assert "while it still reports" in found.seen
    assert causes(ill(host={"health": "no answer"}, node={"heartbeat_age": 40.0}))[0].fix.acts


def test_nothing_starts_that_others_may_have_written() -> None:
    program = (("others than root may change kube-proxy", "rm it"),)
    for units in ({PROXY: STOPPED}, {KUBELET: STOPPED}, {RUNTIME: STOPPED}):
        found = causes(ill(units=units, host={"of_others": program}))
        assert [act for cause in found for act in cause.fix.acts] == []
        assert found[0].fix.text == "rm it"
        found = causes(ill(units=units, host={"files_of_others": ("/etc/kubernetes/x",)}))
        assert [act for cause in found for act in cause.fix.acts] == [Deploy()]


def test_what_a_kubelet_logged_long_ago_does_not_count() -> None:
    logged = logs('Unable to register node err="Unauthorized"', ago=600.0)
    assert causes(ill(services={KUBELET: logged})) == ()


def test_what_ended_one_that_died_long_ago_still_counts() -> None:
    died = replace(STOPPED, active="failed", sub="failed")
    logged = journal(f"{E_}running with swap on is not supported", ago=90_000.0)
    found = causes(ill(units={KUBELET: died}, services={KUBELET: logged}, node=SILENT))
    assert found[0].key == "swap-on"


@pytest.mark.parametrize("ago", [1.0, -3.0], ids=["before the look", "during the look"])
def test_a_service_that_is_just_up_between_two_ends_is_one_that_crashes(ago: float) -> None:
    up = replace(RUNS, started=UP - ago, restarts=9)
    lines = tuple(Line(NOW - 3, f"{E_}unknown flag: --nonsense") for _ in range(2))
    found = causes(ill(units={KUBELET: up}, services={KUBELET: UnitSeen("success", 0, "S", lines)}))
    assert [cause.key for cause in found][:2] == ["kubelet-flag", "kubelet-crashes"]


def test_who_has_the_kubelets_port_is_named() -> None:
    evidence = ill(
        units={KUBELET: LOOPS},
        symptoms={"listening": (Listening(10250, "netcat"),)},
        services={KUBELET: journal("listen tcp 192.0.2.11:10250: bind: address already in use")},
    )
    assert "taken by netcat" in causes(evidence)[0].text


def test_a_ca_is_compared_with_the_configurations() -> None:
    same = {"paths": {**FACTS.paths, layout.CA: PathFact("file", content=CA)}}
    assert causes(ill(facts=same)) == ()
    gone = {"paths": {**FACTS.paths, layout.CA: PathFact("absent")}}
    assert causes(ill(facts=gone))[0].key == "ca-differs"


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (SILENT, "neither its SSH server nor its kubelet answers"),
        ({"known": False, "fault": "refused"}, "whether its kubelet reports is unknown"),
    ],
)
def test_what_is_reported_of_a_kubelet_is_what_the_api_has(
    node: dict[str, object], text: str
) -> None:
    found = causes(ill(host={"access": "unreachable", "fault": "timed out"}, node=node))
    (down,) = (cause for cause in found if cause.key == "host-down")
    assert text in down.text


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (SILENT, "its kubelet does not report"),
        ({"known": False, "fault": "refused"}, "whether its kubelet reports is unknown"),
    ],
)
def test_a_host_that_refuses_connections_is_not_said_to_be_down(
    node: dict[str, object], text: str
) -> None:
    """It is on: its SSH server, or its address, is what is wrong."""
    seen = {"access": "answers", "fault": "connection refused", "advice": "check its SSH server"}
    found = causes(ill(host=seen, node=node))
    (refused,) = (cause for cause in found if cause.key == "ssh-refused")
    assert refused.text == f"what has its address is on, but takes no SSH connection; {text}"
    assert refused.seen.startswith("connection refused")
    assert refused.fix.text == "check its SSH server"
    assert "host-down" not in {cause.key for cause in found}
