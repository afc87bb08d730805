"""Step verify: checks of observations from host and API, and pods that test the network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

from ..config.configuration import Node
from ..config.sections import ClusterSettings
from ..node import layout
from ..node.conventions import (
    BALANCER_SERVICE,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    KUBELET_SERVICE,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    PROXY_SERVICE,
)
from ..node.facts import Facts
from ..pki import renewal
from ..pki.certificates import BadCertificateError, problem, read
from ..pki.csr_policy import Candidate, missing_names, serving_names
from ..releases import compatibility
from ..util import program
from ..util.families import NAMES, Family, families_of, family, in_url
from ..util.families import listed as listed_families
from ..util.own_names import PROBE_NAMESPACE
from .finding import Finding
from .step import Scope, Step

MAX_HEARTBEAT = 60.0  # seconds; kubelets renew their Lease every 10
_LOOPING = 5  # automatic restarts of a unit that has not been up for two minutes
_YOUNG = 120.0
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
    :param advice: one next step, where it is not good.
    :param warning: one that is not good does not fail the run.
    """

    node: str | None
    name: str
    ok: bool
    detail: str
    advice: str = ""
    warning: bool = False

    @property
    def failed(self) -> bool:
        """Whether this fails a run."""
        return not self.ok and not self.warning


def units(node: Node, cluster: ClusterSettings) -> tuple[str, ...]:
    """Return the services that make a node, in this cluster."""
    proxy = (PROXY_SERVICE,) if node.kube_proxy.enabled else ()
    adapter = compatibility.needs_cri_dockerd(cluster.version.minor)
    balancer = (BALANCER_SERVICE,) if cluster.balanced else ()
    runtime = layout.runtime_units(node.runtime.name, cri_dockerd=adapter)
    return (*runtime, *balancer, KUBELET_SERVICE, *proxy)


def unit_checks(node: str, facts: Facts, units: Sequence[str]) -> Iterator[Check]:
    """
    Units are exactly active and running, and stay up.

    `inactive` contains `active`, which fooled others.
    """
    for name in units:
        unit = facts.unit(name)
        restarts = f", restarted {unit.restarts} times by systemd" if unit.restarts else ""
        since = facts.uptime - unit.started
        loops = unit.restarts >= _LOOPING and 0 <= since < _YOUNG
        if loops:
            restarts += f", the last time {since:.0f} s ago"
        advice = program.host_task(node, f"logs --unit {name.removesuffix('.service')}")
        yield Check(
            node, name, unit.running and not loops, f"{unit.active} ({unit.sub}){restarts}", advice
        )


def certificate_checks(
    node: str,
    facts: Facts,
    paths: Mapping[str, str],
    ca_pem: bytes,
    now: datetime,
    margin: int,
    serving: Collection[str] = (),
) -> Iterator[Check]:
    """
    Certificates hold against the CA and last, and the serving one has the node's names.

    :param paths: title → path on the node.
    :param margin: days that must be left.
    :param serving: names and addresses by which the apiserver may come to the kubelet.
    """
    deploy = program.task(f"deploy-nodes --limit {node}")
    for title, path in paths.items():
        held = facts.certificate(path)
        if not held.pem:
            yield Check(node, title, False, f"no certificate at {path}", deploy)
            continue
        try:
            left = read(held).days_left(now)
        except BadCertificateError as error:
            yield Check(node, title, False, f"{path}: {error}", deploy)
            continue
        fault = problem(held, ca_pem, now)
        near = f", fewer than {margin} (verify.certificate_days)" if left < margin else ""
        lacking = missing_names(held, serving) if title == SERVING_TITLE else ()
        if fault:
            yield Check(node, title, False, fault.text, deploy)
        elif lacking:
            detail = f"it is not for {', '.join(lacking)}: `kubectl logs` and the like fail there"
            yield Check(node, title, False, detail, deploy)
        else:
            renew = program.task(f"rotate-certs --limit {node}")
            yield Check(node, title, not near, f"{left:.0f} days left{near}", renew)


def override_checks(
    node: str, found: Iterable[Finding], sites_own: Sequence[str] = ()
) -> Iterator[Check]:
    """Nothing on the host overrides what fabnode sets but the site's own files, which are shown."""
    if sites_own:
        yield Check(node, "site's own", True, ", ".join(sites_own))
    for each in found:
        warning = each.level == "warning"
        yield Check(node, "overrides", False, each.text, each.fix, warning=warning)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where on the node a daemon answers."""

    address: str
    port: int


def proxy_checks(node: Node, facts: Facts) -> Iterator[Check]:
    """Say what is not checked of a node without kube-proxy, and that none runs there."""
    if node.kube_proxy.enabled:
        return
    unit = facts.unit(PROXY_SERVICE)
    deploy = program.task(f"deploy-nodes --limit {node.name}")
    if unit.active == "active":
        detail = "it still runs, though kube_proxy is none"
        yield Check(node.name, PROXY, False, detail, deploy)
    else:
        detail = "none, as configured: its health, mode and certificate are not checked"
        yield Check(node.name, PROXY, True, detail)


def endpoints(node: Node) -> dict[str, Endpoint]:
    """Return check → where it is answered, as configured; one that is turned off is not there."""
    kubelet, proxy = node.kubelet.config, node.kube_proxy.config
    health = Endpoint(
        _reached(str(kubelet.get("healthzBindAddress", ""))),
        _port(kubelet.get("healthzPort", KUBELET_HEALTH_PORT)),
    )
    found = {KUBELET_HEALTH: health}
    if node.kube_proxy.enabled:
        found |= {
            PROXY_HEALTH: _endpoint(proxy.get("healthzBindAddress"), PROXY_HEALTH_PORT),
            PROXY_MODE: _endpoint(proxy.get("metricsBindAddress"), PROXY_METRICS_PORT),
        }
    return {title: endpoint for title, endpoint in found.items() if endpoint.port}


def _endpoint(given: object, default: int) -> Endpoint:
    """Return where `address:port` is reached; the port may be left out, as with kube-proxy."""
    if given is None:
        return Endpoint(_LOOPBACK, default)
    address, colon, port = str(given).rpartition(":")
    if not colon or str(given).endswith("]"):
        return Endpoint(_reached(str(given)), default if given else 0)
    return Endpoint(_reached(address), _port(port))


def _port(given: object) -> int:
    text = str(given)
    return int(text) if text.isascii() and text.isdigit() else 0


def _reached(bound: str) -> str:
    """Return an address at which the node reaches what is bound to this one."""
    address = bound.strip("[]")
    return _LOOPBACK if address in _EVERYWHERE else address


_LOOPBACK = "127.0.0.1"
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
PROXY = "kube-proxy"
KUBELET_HEALTH, PROXY_HEALTH, PROXY_MODE = "kubelet health", "kube-proxy health", "kube-proxy mode"
BALANCER = "way to the apiservers"
SERVING_TITLE = "kubelet serving certificate"
_TITLES = {
    renewal.CLIENT: "kubelet client certificate",
    renewal.SERVING: SERVING_TITLE,
    renewal.PROXY: "kube-proxy certificate",
}


def certificates(node: Node) -> dict[str, str]:
    """Return kind → path of every certificate that a node holds."""
    return layout.certificates(node.kubelet.root, proxy=node.kube_proxy.enabled)


def certificate_paths(node: Node) -> dict[str, str]:
    """Return title → path of every certificate that a node holds."""
    return {_TITLES[kind]: path for kind, path in certificates(node).items()}


def version_check(node: str, node_object: Object, wanted: str, runtime: str) -> Check:
    """The kubelet that runs is the one that is configured, and so is its runtime."""
    info = node_object["status"]["nodeInfo"]
    seen = f"{info['kubeletVersion']}, {info['containerRuntimeVersion']}"
    same_runtime = info["containerRuntimeVersion"].startswith(f"{runtime}://")
    good = info["kubeletVersion"] == f"v{wanted}" and same_runtime
    detail = seen if good else f"{seen}; configured are v{wanted} and {runtime}"
    return Check(node, "version", good, detail, program.task(f"plan --limit {node}"))


def serving_addresses(node: Node, live: Object | None) -> tuple[str, ...]:
    """Return the names and addresses by which the apiserver may come to a node's kubelet."""
    dns, addresses = serving_names(Candidate(node.name, *node.ips))
    reported = ((live or {}).get("status") or {}).get("addresses") or ()
    found = (each["address"] for each in reported if each.get("type") in _ASKED_BY)
    return tuple(dict.fromkeys((*dns, *addresses, *found)))


_ASKED_BY = {"Hostname", "InternalIP"}
_OF_CLOUD = "node.cloudprovider.kubernetes.io/"
_UNINITIALIZED = f"{_OF_CLOUD}uninitialized"
_KUBERNETES = "node.kubernetes.io/"
_CORDON = f"{_KUBERNETES}unschedulable"
# Taints that Kubernetes removes by itself, a moment after their reason has gone.
_PASSING = {f"node.kubernetes.io/{name}" for name in ("not-ready", "unreachable")} | {
    "node.kubernetes.io/network-unavailable"
}
# Those that tell of a condition of the Node.
_TOLD = _PASSING | {f"{_KUBERNETES}{name}-pressure" for name in ("disk", "memory", "pid")}
READY = "Ready"
SCHEDULABLE = "schedulable"
DNS = "DNS address"


def schedulable_check(
    node: Node, live: Object, own: str = "", *, locked_out: bool = False
) -> Check:
    """
    An ordinary pod could run there: no cordon, and no taints but those of the configuration.

    A Node object that is being deleted is as good as gone, however Ready it is.

    A node waits for its cloud controller manager where one is configured, or for whoever takes its
    startup taints off: that is a warning.

    :param own: who owns the cordon, where it is fabnode's.
    :param locked_out: a removal of it has begun.
    """
    spec = live.get("spec") or {}
    strange = _strange(node, live)
    unawaited = [taint for taint in strange if not _awaited(node, taint)]
    metadata = live["metadata"]
    leaves = "deletionTimestamp" in metadata
    keepers = ", ".join(metadata.get("finalizers") or ())
    seen = [f"its Node object was deleted, and stays until {keepers} is through"] if leaves else []
    seen += [f"cordoned ({own})" if own else "cordoned"] if spec.get("unschedulable") else []
    seen += [f"tainted {taint['key']}:{taint['effect']}" for taint in strange]
    seen += ["locked out: a removal of it has begun"] if locked_out else []
    if locked_out:
        advice = program.of_locked_out(node.name)
    elif leaves:
        advice = f"find out who deleted it; once it is gone, {program.task('deploy-nodes')}"
    elif own:
        advice = program.task(f"uncordon --limit {node.name}")
    elif spec.get("unschedulable"):
        advice = f"kubectl uncordon {node.name}, once whoever cordoned it agrees"
    else:
        advice = "; ".join(_untaint(node, taint) for taint in (unawaited or strange)[:1])
    warning = not unawaited and not spec.get("unschedulable") and not leaves
    detail = ", ".join(seen) or "yes"
    return Check(node.name, SCHEDULABLE, not seen, detail, advice, warning=bool(seen) and warning)


def strange_taints(node: Node, live: Object) -> tuple[tuple[str, str], ...]:
    """
    Return taints that keep pods away and are not configured, each with what to do about it.

    Those that Kubernetes sets for a reason that its conditions tell are no others'.
    """
    found = (taint for taint in _strange(node, live) if taint["key"] not in _TOLD)
    return tuple((f"{taint['key']}:{taint['effect']}", _untaint(node, taint)) for taint in found)


def _strange(node: Node, live: Object) -> list[Object]:
    ours = {(taint.key, taint.value, taint.effect) for taint in node.taints}
    return [
        taint
        for taint in (live.get("spec") or {}).get("taints") or ()
        if taint["effect"] in {"NoSchedule", "NoExecute"}
        and (taint["key"], taint.get("value", ""), taint["effect"]) not in ours
        and taint["key"] != _CORDON
    ]


def _starts_with(node: Node, taint: Object) -> bool:
    return (taint["key"], taint["effect"]) in {(t.key, t.effect) for t in node.startup_taints}


def _awaited(node: Node, taint: Object) -> bool:
    """Return whether somebody is expected to take a taint off."""
    initializes = node.kubelet.cloud_provider is not None
    return _starts_with(node, taint) or (initializes and taint["key"] == _UNINITIALIZED)


def _untaint(node: Node, taint: Object) -> str:
    key, effect, name = taint["key"], taint["effect"], node.name
    if _starts_with(node, taint):
        return f"check that the program that takes this startup taint off runs on {name}"
    if key.startswith(_OF_CLOUD):
        return "check that the cloud provider's controller manager runs: it removes this taint"
    if key.startswith(_KUBERNETES):
        return f"kubectl describe node {name} shows the reason"
    return f"kubectl taint nodes {name} {key}:{effect}-, or add it to the node's `taints`"


def dns_checks(services: Iterable[Object], dns_addresses: Sequence[str]) -> Iterator[Check]:
    """
    Yield a check where pods are given another address for DNS than the cluster's Service has.

    :param services: those labelled k8s-app=kube-dns; a cluster without them is not judged, nor is a
        cache on every node, which has a link-local address.
    """
    found = {
        str(item["metadata"]["name"]): [str(a) for a in spec.get("clusterIPs") or (own,)]
        for item in services
        if (own := (spec := item.get("spec") or {}).get("clusterIP")) not in {None, "", "None"}
    }
    known = {address for addresses in found.values() for address in addresses}
    wrong = [at for at in dns_addresses if at not in known and not ip_address(at).is_link_local]
    if not known or not wrong:
        return
    listed = "; ".join(f"the Service {name} has {', '.join(at)}" for name, at in found.items())
    detail = f"pods ask {' and '.join(wrong)} (cluster.dns_address), but {listed}"
    advice = "correct cluster.dns_address; pods keep the old address until they start again"
    yield Check(None, DNS, False, detail, advice)


def service_range(addresses: Sequence[str], service_cidrs: Sequence[str]) -> Iterator[Check]:
    """
    Yield a check where a Service's address is outside of the range; several are possible.

    A Service that prefers both families has one of each that the apiserver has.
    """
    advice = "compare cluster.service_cidr and cluster.dns_address with the apiserver's range"
    good = True
    for address in addresses:
        if not any(ip_address(address) in ip_network(cidr) for cidr in service_cidrs):
            listed = " and ".join(service_cidrs)
            detail = f"a Service got {address}, outside of service_cidr {listed}"
            yield Check(None, "Service range", False, detail, advice)
            good = False
    if good and (lacking := set(families_of(service_cidrs)) - set(families_of(addresses))):
        detail = f"a Service that asks for both families got no {listed_families(lacking)} address"
        yield Check(None, "Service range", False, detail, advice)


def settles(live: Object) -> bool:
    """Return whether a Node is Ready and has a taint that Kubernetes is about to remove."""
    conditions = (live.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    taints = (live.get("spec") or {}).get("taints") or ()
    return ready and any(taint["key"] in _PASSING for taint in taints)


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
        f"{_asked(name, family(ip), both=both)}=http://{in_url(ip)}:{PROBE_PORT}/"
        for name, ip in named
    ]
    return tuple(
        _pod(f"client-{i}", node, image, [*_CLIENT, *urls], app="client")
        for i, node in enumerate(nodes)
    )


def _asked(name: str, of_family: Family, *, both: bool) -> str:
    """Return what the log calls a target: no node's name has a slash in it."""
    return f"{name}/{NAMES[of_family]}" if both else name


SERVICE_VIP = "Service VIP"
_SILENT = "no answer within 10 s"
_ANSWER = 200  # characters: its node's kubelet may hand us anything for a log


def probe_results(
    node: str,
    log: str,
    targets: Sequence[str],
    *,
    service: bool = True,
    families: Sequence[Family] = (4,),
) -> tuple[Check, ...]:
    """
    Read a client pod's log: `<target>[/<family>][:large] ok|failed <what was answered>` lines.

    :param targets: nodes whose pods are judged; `service`: and the Service.
    :param families: by which each was asked; with two, each is a check.
    """
    seen = {}
    for line in log.splitlines():
        target, _, rest = line.partition(" ")
        outcome, _, answer = rest.partition(" ")
        seen[target] = (outcome == "ok", answer.strip()[:_ANSWER])
    checks = []
    both = len(families) > 1
    asked = [
        (target, f" ({NAMES[one]})" if both else "", _asked(target, one, both=both))
        for target in (*targets, *(["service"] if service else ()))
        for one in families
    ]
    for target, by, name in asked:
        ok, answer = seen.get(name, (False, _SILENT))
        title = f"{SERVICE_VIP}{by}" if target == "service" else f"pod on {target}{by}"
        advice = (
            program.host_task(node, "logs --unit kube-proxy")
            if target == "service"
            else f"let the pod network's packets pass between {node} and {target} (docs/network.md)"
        )
        detail = f"answered by {answer}" if ok else answer or _SILENT
        checks.append(Check(node, title, ok, detail, advice))
    names = [name for target, _, name in asked if target != "service"]
    answered = [name for name in names if seen.get(name, (False, ""))[0]]
    if answered:
        checks.append(_large_packets(node, seen, answered))
    return tuple(checks)


def _large_packets(
    node: str, seen: Mapping[str, tuple[bool, str]], answered: Sequence[str]
) -> Check:
    """Judge the answers as large as a packet can be, and of several KiB, of pods that answer."""
    lost = [name for name in answered if not seen.get(f"{name}:large", (True, ""))[0]]
    tried = [name for name in answered if f"{name}:large" in seen]
    if lost:
        detail = (
            f"lost on the way from {', '.join(lost)}, while small ones arrive: the path carries"
            " less than the MTU of the pods"
        )
    else:
        detail = f"from {', '.join(tried)}" if tried else "not tried"
    advice = "lower the MTU of the pod network, or raise that of the path (docs/network.md)"
    return Check(node, LARGE, bool(tried) and not lost, detail, advice)


def log_check(node: str, error: str, advice: str, *, unreachable: bool) -> Check:
    """Return the check that says why the log of a probe's pod can't be read."""
    detail = f"the log of its pod can't be read: {error}"
    if unreachable:
        port = f"{KUBELET_PORT}/tcp"
        detail = f"{port} does not answer the apiserver; {detail}"
        advice = f"let the control plane pass to {port} of {node}"
    return Check(node, "network probe", False, detail, advice)


APISERVER = "apiserver to pods"
# README and docs/network.md say what it must reach, and why.
_ROUTES = (
    "give the control plane's machines routes to the nodes' pods, or make them tainted nodes of the"
    " cluster (docs/network.md)"
)


def apiserver_check(found: Mapping[str, str]) -> Check:
    """
    Judge whether the apiserver reaches pods, as for webhooks and aggregated APIs.

    A warning: nodes and their pods work without, and are not to blame.

    :param found: node → why its pod did not answer the apiserver; empty: it did.
    """
    lost = {node: why for node, why in found.items() if why}
    if not lost:
        return Check(None, APISERVER, True, f"those on {', '.join(found)} answer it")
    detail = (
        f"it does not reach those on {', '.join(lost)} ({next(iter(lost.values()))}): admission"
        " webhooks, aggregated APIs such as metrics-server, and `pods/proxy` fail there"
    )
    return Check(None, APISERVER, False, detail, _ROUTES, warning=True)


LARGE = "large packets"
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


STEP = Step("verify", "Check nodes, and the network with pods.", Scope.CHECK)
