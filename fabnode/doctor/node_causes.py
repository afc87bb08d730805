"""Causes in the Node object, the pods' network and the pods of a node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..util import program
from ..util.sanitize import clean, cut
from . import service_causes
from .cause import Cause, Deploy, Fix, RestartPod
from .host_causes import STALE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cause import Act
    from .evidence import Evidence
    from .service_log import Service

_PRESSURES: Final = {
    "DiskPressure": ("disk-pressure", "little room on its disk"),
    "MemoryPressure": ("memory-pressure", "little memory"),
    "PIDPressure": ("task-pressure", "too many processes"),
}
_NO_NETWORK: Final = re.compile(r"NetworkPluginNotReady|NetworkReady=false|cni plugin not init")
_SANDBOX_IMAGE: Final = (
    r"failed to (get|pull|start) (sandbox|pause)[^:]*image.*|failed to get sandbox image.*"
)
_SANDBOX: Final = r"(?i)failed to create (pod )?sandbox.*"
_UNINITIALIZED: Final = "node.cloudprovider.kubernetes.io/uninitialized"
_LONGEST = 300


# The second is wanted, and probed, where pods have IPv6.
_FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


def node(evidence: Evidence, kubelet: Service) -> Iterator[Cause]:
    """Yield what is wrong by the Node object."""
    seen, wanted, facts = evidence.node, evidence.wanted, evidence.host.facts
    deploy = Fix(program.task(f"deploy-nodes --limit {wanted.name}"), (Deploy(),))
    if not seen.known:
        yield Cause(
            "api-away",
            "the API can't be asked, so that only its host is known",
            seen.fault,
            Fix(seen.advice or "see that the apiserver runs"),
        )
        return
    if not seen.registered:
        if seen.removed:
            remove = program.task(f"remove-node --limit {wanted.name}")
            yield Cause(
                "locked-out",
                f"it was removed on {seen.removed}, and is not to be a node",
                "what that removal recorded; the API has no Node of this name",
                Fix(f"{remove} ends it, with its host; {deploy.text} has it back"),
            )
        if kubelet.settled and not kubelet.crashes and not evidence.host.access:
            yield Cause(
                "deleted",
                "its Node object is gone, while its kubelet runs: it registers only as it starts",
                "the API has no Node of this name",
                deploy,
            )
        yield Cause("unregistered", "the API has no Node of this name", "", deploy)
        return
    if seen.leaving:
        yield Cause(
            "leaving",
            f"its Node object was deleted, and stays until {seen.leaving} is through",
            "deletionTimestamp and finalizers",
            Fix(f"find out who deleted it; once it is gone, {deploy.text}"),
        )
    if seen.machine_id and facts.machine_id and seen.machine_id != facts.machine_id:
        yield Cause(
            "other-machine",
            "another machine reports under its name",
            f"the Node has machine-id {seen.machine_id}, the host {facts.machine_id}",
            Fix(
                "find the other host (`kubectl get node -o wide`), and stop its kubelet or give it"
                " a name of its own"
            ),
        )
    gone = [at for at in filter(None, (wanted.ip, wanted.second_ip)) if at not in facts.addresses]
    if facts.addresses and gone:
        yield Cause(
            "address-gone",
            f"the host does not have its configured address {' and '.join(gone)}",
            f"it has {', '.join(facts.addresses[:6])}",
            Fix(f"give it back, or correct the node's `ip`, then {deploy.text}"),
        )
    if seen.skew:
        yield Cause(
            "skew",
            seen.skew,
            f"it reports {seen.kubelet}",
            Fix(program.task(f"upgrade --limit {wanted.name}")),
        )
    yield from _readiness(evidence)
    yield from _use(evidence)


def _readiness(evidence: Evidence) -> Iterator[Cause]:
    seen, name = evidence.node, evidence.wanted.name
    logs = program.host_task(name, "logs")
    for kind, (key, text) in _PRESSURES.items():
        found = seen.conditions.get(kind)
        if found and found.status == "True":
            free = evidence.host.symptoms.memory
            shown = f"; {free // 2**20} MiB of memory are available" if "mem" in key else ""
            yield Cause(
                key,
                f"its kubelet reports {kind}: {text}, so that it evicts pods and takes none",
                _shown(found.message) + shown,
                Fix(
                    f"on {name}: `du -xh --max-depth=2 / | sort -h | tail`, `ps aux --sort=-rss |"
                    " head` and evictionHard in the kubelet's configuration"
                ),
            )
    if seen.heartbeat_age > STALE:
        never = seen.heartbeat_age == float("inf")
        text = "never reported" if never else f"last reported {seen.heartbeat_age:.0f} s ago"
        yield Cause("not-reporting", f"its kubelet {text}", "its Lease", Fix(logs))
    ready = seen.conditions.get("Ready")
    if ready is None or ready.status == "True":
        return
    message = _shown(ready.message or ready.reason)
    if _NO_NETWORK.search(ready.message):
        text = "its pods have no network: no configuration of a CNI is in use"
        fix = program.task(f"verify --limit {name} --no-network")
        yield Cause("no-network", text, message, Fix(fix))
    yield Cause("not-ready", f"its Ready is {ready.status}", message, Fix(logs))


def _use(evidence: Evidence) -> Iterator[Cause]:
    """Yield why a Ready node gets no pods."""
    seen, name = evidence.node, evidence.wanted.name
    if seen.locked_out:
        text = "it is locked out: a removal of it has begun"
        seen_by = seen.cordon or "its taint"
        yield Cause("locked-out", text, seen_by, Fix(program.of_locked_out(name)))
    if seen.cordon:
        fix = _uncordons(name, seen.operation)
        yield Cause("cordoned", f"it is cordoned, and takes no pods: {seen.cordon}", "", Fix(fix))
    if seen.excluded:
        yield Cause(
            "excluded",
            "load balancers of a cloud leave it out: others lifted the cordon that came with that",
            "its label node.kubernetes.io/exclude-from-external-load-balancers, and the record of"
            " what was begun",
            Fix(program.task(f"uncordon --limit {name}")),
        )
    by = f"written by {seen.tainted_by}" if seen.tainted_by else "its Node object"
    for taint, advice in seen.taints:
        cloud = taint.startswith(_UNINITIALIZED)
        text = (
            "no cloud controller manager has initialized it"
            if cloud
            else f"it is tainted {taint}, which keeps pods away"
        )
        yield Cause("uninitialized" if cloud else "tainted", text, by, Fix(advice))
    if seen.most_pods and seen.pods >= seen.most_pods:
        yield Cause(
            "pods-full",
            f"it has as many pods as it takes: {seen.pods} of {seen.most_pods}",
            "its pods, and maxPods of its kubelet",
            Fix("move pods to other nodes, or raise kubelet.max_pods and deploy"),
        )


def _uncordons(name: str, operation: str) -> str:
    """Return how a cordon ends: never by itself, for somebody wanted it."""
    back = program.task(f"uncordon --limit {name}")
    if operation in {"maintain", "upgrade"}:
        return f"{program.task(f'{operation} --limit {name}')} goes on; {back} takes it back"
    return back if operation else f"kubectl uncordon {name}, once whoever cordoned it agrees"


def network(
    evidence: Evidence, kubelet: Service, runtime: Service, proxy: Service
) -> Iterator[Cause]:
    """Yield what keeps pods from starting there, or from their network."""
    host, seen, wanted = evidence.host, evidence.host.symptoms, evidence.wanted
    deploy = Fix(program.task(f"deploy-nodes --limit {wanted.name}"), (Deploy(),))
    renew = _renewed(evidence)
    others = [path for path in host.lost if not path.endswith(("/kubelet", "/containerd"))]
    if others:
        text = (
            f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} not there, or can't be run"
        )
        yield Cause("program-lost", text, "looked for by its path", deploy)
    off = [key for key in _FORWARDING if host.facts.sysctls.get(key) == "0"]
    if off:
        yield Cause(
            "forwarding-off",
            "it forwards no packets, so that its pods reach nobody outside",
            f"{' and '.join(off)} is 0",
            deploy,
        )
    if wanted.conf_name and not host.access:
        first = seen.confs[0] if seen.confs else ""
        if first and first != wanted.conf_name:
            yield Cause(
                "other-network",
                f"{wanted.cni_conf}/{first} comes before {wanted.conf_name}: pods get their"
                " network from that",
                f"there are {', '.join(seen.confs[:5])}",
                Fix(
                    f"remove {wanted.cni_conf}/{first} on {wanted.name}, unless it hands pods on"
                    " (as Multus does); pods that it gave a network have to start again"
                ),
            )
        if wanted.conf_name not in seen.confs and evidence.node.registered:
            yield Cause(
                "network-config",
                f"{wanted.cni_conf}/{wanted.conf_name} is not there",
                f"there are {', '.join(seen.confs[:5])}" if seen.confs else "the folder is empty",
                renew,
            )
        missing = [name for name in wanted.own_plugins if name not in seen.plugins]
        if missing and evidence.node.registered:
            yield Cause(
                "plugin-lost",
                f"{wanted.cni_bin} has no {', '.join(missing)}",
                "looked for by their paths",
                renew,
            )
    if wanted.proxy:
        yield from service_causes.service(evidence, proxy, "proxy")
    if evidence.node.known and evidence.node.network:
        verify = program.task(f"verify --limit {wanted.name} --no-network")
        advice = evidence.node.network_advice or verify
        yield Cause("network-pod", evidence.node.network, "the API", Fix(advice))
    quotes = (each.quote(_SANDBOX_IMAGE, of_pods=True) for each in (runtime, kubelet))
    quoted = next(filter(None, quotes), "")
    held = host.facts.images
    absent = held is not None and wanted.sandbox_image not in held
    ours = absent and wanted.sandbox_image in host.facts.image_archives
    if ours or (quoted and (absent or held is None)):
        yield Cause(
            "sandbox-image",
            f"the image of pods' sandboxes, {wanted.sandbox_image}, is not there",
            quoted or "the runtime's list of images",
            deploy if absent else Fix(deploy.text),
        )
    elif quoted := kubelet.quote(_SANDBOX, of_pods=True):
        yield Cause(
            "pods-fail",
            "new pods do not start there",
            quoted,
            Fix(program.host_task(wanted.name, "logs")),
        )


def _renewed(evidence: Evidence) -> Fix:
    """Return how the network's own pod, which brings its files, starts again."""
    name, uid = evidence.node.network_pod
    acts: tuple[Act, ...] = (RestartPod(name, uid),) if name else ()
    namespace, _, pod = name.partition("/")
    command = (
        f"kubectl -n {namespace} delete pod {pod}" if name else "start the network's pod there"
    )
    return Fix(f"{command}: it brings them as it starts", acts)


def _shown(text: str) -> str:
    return cut(clean(text), _LONGEST)
