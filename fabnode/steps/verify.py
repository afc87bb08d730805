"""Step verify: checks of observations from host and API, and pods that test the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..node import layout
from ..node.conventions import KUBELET_SERVICE, PROXY_SERVICE
from ..node.facts import Facts
from ..pki.certificates import BadCertificateError, problem, read
from .step import Scope, Step

UNITS = (KUBELET_SERVICE, PROXY_SERVICE)  # beside the runtime's own
MAX_HEARTBEAT = 60.0  # seconds; kubelets renew their Lease every 10
PROBE_NAMESPACE = "fabnode-verify"
PROBE_PORT = 8080
STANDING = "fabnode.io/standing"  # labels a probe namespace that is kept between runs
_SERVICE = "echo"
_MANAGED = {"app.kubernetes.io/managed-by": "fabnode"}

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """
    One thing that was checked: on a node, or (`node` None) of the cluster.

    :param detail: what was seen, good or bad.
    """

    node: str | None
    name: str
    ok: bool
    detail: str


def units(runtime: str, minor: int) -> tuple[str, ...]:
    """Return the services that make a node, with this runtime and this Kubernetes."""
    return (*layout.runtime_units(runtime, minor), *UNITS)


def unit_checks(node: str, facts: Facts, units: Sequence[str]) -> Iterator[Check]:
    """Units are exactly active and running: `inactive` contains `active`, which fooled others."""
    for name in units:
        unit = facts.unit(name)
        restarts = f", restarted {unit.restarts} times by systemd" if unit.restarts else ""
        yield Check(node, name, unit.running, f"{unit.active} ({unit.sub}){restarts}")


def certificate_checks(
    node: str, facts: Facts, paths: Mapping[str, str], ca_pem: bytes, now: datetime, margin: int
) -> Iterator[Check]:
    """
    Certificates hold against the CA and last.

    :param paths: title → path on the node.
    :param margin: days that must be left.
    """
    for title, path in paths.items():
        held = facts.certificate(path)
        if not held.pem:
            yield Check(node, title, False, f"no certificate at {path}")
            continue
        try:
            left = read(held).days_left(now)
        except BadCertificateError as error:
            yield Check(node, title, False, f"{path}: {error}")
            continue
        fault = problem(held, ca_pem, now)
        near = f", fewer than {margin} (verify.certificate_days)" if left < margin else ""
        detail = fault.text if fault else f"{left:.0f} days left{near}"
        yield Check(node, title, fault is None and left >= margin, detail)


def certificate_paths(kubelet_root: str) -> dict[str, str]:
    """Return title → path of every certificate that a node holds."""
    return {
        "kubelet client certificate": layout.kubelet_client_certificate(kubelet_root),
        "kubelet serving certificate": layout.kubelet_serving_certificate(kubelet_root),
        "kube-proxy certificate": layout.PROXY_PEM,
    }


def version_check(node: str, node_object: Object, wanted: str, runtime: str) -> Check:
    """The kubelet that runs is the one that is configured, and so is its runtime."""
    info = node_object["status"]["nodeInfo"]
    seen = f"{info['kubeletVersion']}, {info['containerRuntimeVersion']}"
    same_runtime = info["containerRuntimeVersion"].startswith(f"{runtime}://")
    return Check(node, "version", info["kubeletVersion"] == f"v{wanted}" and same_runtime, seen)


def probe_objects(image: str, nodes: Sequence[str]) -> tuple[Object, ...]:
    """Return a namespace with one answering pod per node and a Service before them."""
    servers = [
        _pod(f"server-{i}", node, image, _SERVER, app=_SERVICE) for i, node in enumerate(nodes)
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _SERVICE, "namespace": PROBE_NAMESPACE},
        "spec": {
            "selector": {"app": _SERVICE},
            "ports": [{"port": PROBE_PORT, "targetPort": PROBE_PORT}],
        },
    }
    return (*servers, service)


def namespace(*, standing: bool = False) -> Object:
    """
    Return the namespace of the network probe.

    Pod Security (kubernetes, on by default since 1.23) admits none but `restricted` pods in it, so
    that the right to create pods here is not the right to be root on a node.

    :param standing: it is kept between runs, for an account that may not create namespaces.
    """
    labels = {**_MANAGED, "pod-security.kubernetes.io/enforce": "restricted"}
    if standing:
        labels[STANDING] = "true"
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": PROBE_NAMESPACE, "labels": labels},
    }


def client_pods(
    image: str, nodes: Sequence[str], targets: Mapping[str, str], service_ip: str
) -> tuple[Object, ...]:
    """
    Return one pod per node that asks every server pod and the Service, and prints what it got.

    :param targets: node → its server pod's address.
    """
    urls = [f"{name}=http://{_host(ip)}:{PROBE_PORT}/" for name, ip in targets.items()]
    urls.append(f"service=http://{_host(service_ip)}:{PROBE_PORT}/")
    return tuple(
        _pod(f"client-{i}", node, image, [*_CLIENT, *urls], app="client")
        for i, node in enumerate(nodes)
    )


_ANSWER = 200  # characters: its node's kubelet may hand us anything for a log


def probe_results(node: str, log: str, targets: Sequence[str]) -> tuple[Check, ...]:
    """Read a client pod's log: `<target> ok|failed <what was answered>` lines."""
    seen = {}
    for line in log.splitlines():
        target, _, rest = line.partition(" ")
        outcome, _, answer = rest.partition(" ")
        seen[target] = (outcome == "ok", answer.strip()[:_ANSWER])
    checks = []
    for target in (*targets, "service"):
        ok, answer = seen.get(target, (False, "no answer within 10 s"))
        title = "Service VIP" if target == "service" else f"pod on {target}"
        checks.append(Check(node, title, ok, f"answered by {answer}" if ok else answer))
    return tuple(checks)


_SERVED = "/www"
# Each server answers with its node's name. busybox httpd serves one file.
_SERVER = [
    "sh",
    "-c",
    f'echo "$NODE" > {_SERVED}/index.html && exec httpd -f -p {PROBE_PORT} -h {_SERVED}',
]
# Ten tries a second apart: a Service's rules may be a moment behind its endpoints.
_CLIENT = [
    "sh",
    "-c",
    'for pair in "$@"; do name=${pair%%=*}; url=${pair#*=}; n=0; '
    'until answer=$(timeout 2 wget -q -O - "$url" 2>&1) || [ $n -ge 10 ]; '
    "do n=$((n+1)); sleep 1; done; "
    '[ $n -lt 10 ] && echo "$name ok $answer" || echo "$name failed $answer"; done',
    "client",
]


_NOBODY = 65534


def _pod(name: str, node: str, image: str, command: list[str], *, app: str) -> Object:
    """
    Return a pod that Pod Security's `restricted` admits.

    Apiservers drop the fields that they don't know yet (seccompProfile before 1.19, runAsGroup
    before 1.10).
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": PROBE_NAMESPACE,
            "labels": {"app": app, **_MANAGED},
        },
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _NOBODY,
                "runAsGroup": _NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "www", "emptyDir": {}}],
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command,
                    "env": [{"name": "NODE", "value": node}],
                    "volumeMounts": [{"name": "www", "mountPath": _SERVED}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


STEP = Step("verify", "Check nodes, and the network with pods.", Scope.CHECK)
