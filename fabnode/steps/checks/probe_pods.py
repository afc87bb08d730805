"""The network probe's objects: its namespace, pods that answer, a Service, and pods that ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...util.families import FAMILY_NAMES, Family, family_of, in_url
from ...util.own_names import PROBE_NAMESPACE
from .check import Object

PROBE_PORT = 8080
STANDING = "fabnode.io/standing"  # labels a probe namespace that is kept between runs
_SERVICE = "echo"
_MANAGED = {"app.kubernetes.io/managed-by": "fabnode"}
_NOBODY = 65534
_SERVED = "/www"
# Each server answers with its node's name, with one packet as large as the pod's MTU lets it be
# (less IPv4's and TCP's headers, with timestamps), and with several KiB: what is one packet is not
# cut or joined by any hardware on the way, what is several is sent as on a busy day. By IPv6, whose
# header is 20 bytes longer, the first is one packet as large as can be, and a small one.
_SERVER = [
    "sh",
    "-c",
    'mtu=$(cat /sys/class/net/eth0/mtu) || mtu=1500; echo "$NODE" > index.html && '
    "head -c $((mtu - 52)) /dev/zero > packet && head -c 8192 /dev/zero > several && "
    f"exec httpd -f -p {PROBE_PORT} -h {_SERVED}",
]
# Ten tries a second apart: a Service's rules may be a moment behind its endpoints. A path that
# loses large packets loses them all: after two such targets no time is spent on more.
_CLIENT = [
    "sh",
    "-c",
    'lost=0; for pair in "$@"; do name=${pair%%=*}; url=${pair#*=}; n=0; '
    'until answer=$(timeout 2 wget -q -O - "$url" 2>&1) || [ $n -ge 10 ]; '
    "do n=$((n+1)); sleep 1; done; "
    '[ $n -lt 10 ] || { echo "$name failed $answer"; continue; }; echo "$name ok $answer"; '
    '[ "${name%%/*}" != service ] && [ $lost -lt 2 ] || continue; n=0; '
    "until timeout 3 wget -q -O /dev/null ${url}packet && "
    "timeout 3 wget -q -O /dev/null ${url}several || [ $n -ge 2 ]; do n=$((n+1)); done; "
    '[ $n -lt 2 ] && echo "$name:large ok" || '
    '{ lost=$((lost+1)); echo "$name:large failed"; }; done',
    "client",
]


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


def probe_objects(
    image: str, nodes: Sequence[str], families: Sequence[Family] = (4,)
) -> tuple[Object, ...]:
    """
    Return a namespace with one answering pod per node and a Service before them.

    :param families: of Services; with two, it gets an address of each.
    """
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
            **({"ipFamilyPolicy": "PreferDualStack"} if len(families) > 1 else {}),
        },
    }
    return (*servers, service)


def client_pods(
    image: str,
    nodes: Sequence[str],
    targets: Mapping[str, Sequence[str]],
    service_ips: Sequence[str],
) -> tuple[Object, ...]:
    """
    Return one pod per node that asks every server pod and the Service, and prints what it got.

    :param targets: node → its server pod's addresses. :param service_ips: the Service's; where
        there are two, each is asked by each.
    """
    named = [(name, ip) for name, ips in targets.items() for ip in ips]
    named += [("service", ip) for ip in service_ips]
    both = len(service_ips) > 1
    urls = [
        f"{target_name(name, family_of(ip), both=both)}=http://{in_url(ip)}:{PROBE_PORT}/"
        for name, ip in named
    ]
    return tuple(
        _pod(f"client-{i}", node, image, [*_CLIENT, *urls], app="client")
        for i, node in enumerate(nodes)
    )


def target_name(name: str, of_family: Family, *, both: bool) -> str:
    """Return what the log calls a target: no node's name has a slash in it."""
    return f"{name}/{FAMILY_NAMES[of_family]}" if both else name


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
                    "workingDir": _SERVED,
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
