"""Network test of `inv verify`: pods on every node that reach each other, a Service and DNS."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from ..kube.client import ApiError, KubeletError
from ..kube.watch import Watch
from ..steps.checks import probe_answers, probe_pods, service_addresses
from ..steps.checks.check import Check
from ..util import program
from ..util.errors import ClusterError
from ..util.families import families_of, family_of, first_of_family
from ..util.own_names import PROBE_NAMESPACE
from ..util.pods import has_ended, problem
from ..util.wait import Wait, WaitTimeoutError
from . import network_policies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..kube.client import Api, Object

_NAMESPACE = f"/api/v1/namespaces/{PROBE_NAMESPACE}"
_PODS = f"{_NAMESPACE}/pods"
_POLL = 0.1
_PARALLEL = 8
_REACHES = 3.0  # seconds that a pod gets to answer the apiserver
_OTHERS = 10.0  # seconds that nodes which are not judged get to start a pod
# The pod's own image; that of sandboxes comes with other words.
_PULL_FAILED = re.compile(r"\b(ErrImagePull|ImagePullBackOff|ErrImageNeverPull)\b")
_STUCK = 15.0  # seconds after which a namespace that its controller can't remove is given up


class ProbeRefusedError(ClusterError):
    """The cluster does not admit the pods of the probe."""

    advice = f"exempt the namespace {PROBE_NAMESPACE} from that policy, webhook or quota"

    def __init__(self, error: ApiError) -> None:
        super().__init__(f"the cluster does not admit the pods of the probe: {error}")


def try_network(
    api: Api,
    *,
    image: str,
    nodes: Sequence[str],
    others: Sequence[str] = (),
    pod_cidrs: Sequence[str],
    service_cidrs: Sequence[str],
    timeout: float,
    progress: Callable[[str], None],
) -> tuple[Check, ...]:
    """
    Run a pod on every node that requests a pod on every node and a Service; return the checks.

    :param others: further nodes that these must reach, and that must reach them; one on which no
        pod starts is a warning.
    :param pod_cidrs: where addresses of pods must lie, one in each. :param service_cidrs: those of
        Services.
    :param progress: gets what is waited for.

    Whatever happens, all of it is removed at the end: with its namespace, unless that is a standing
    one, made ahead for a deployer that may not make namespaces. `timeout` in seconds bounds each of
    the waits (an empty namespace, servers running, clients done).
    """
    progress("waiting for an empty namespace for pods that try the network")
    _prepare_namespace(api, timeout)
    try:
        return tuple(_run(api, image, nodes, others, pod_cidrs, service_cidrs, timeout, progress))
    finally:
        _clear(api)


def network_probe_left(api: Api) -> bool:
    """Return whether an earlier, interrupted probe left objects."""
    found = api.find(_NAMESPACE)
    if found is None or _leaving(found):
        return False
    standing = probe_pods.STANDING in (found["metadata"].get("labels") or {})
    return not standing or bool(api.get(_PODS)["items"])


def _run(
    api: Api,
    image: str,
    nodes: Sequence[str],
    others: Sequence[str],
    pod_cidrs: Sequence[str],
    service_cidrs: Sequence[str],
    timeout: float,
    progress: Callable[[str], None],
) -> list[Check]:
    every = (*nodes, *others)
    families = families_of(service_cidrs)
    _create(api, probe_pods.probe_objects(image, every, families))
    service = _service_addresses(api.get(f"{_NAMESPACE}/services/echo")["spec"])
    pods = Watch(api, _PODS).start()
    asking = ThreadPoolExecutor(1)
    checks: list[Check] = list(service_addresses.service_range(service, service_cidrs))
    try:
        progress("waiting for pods that try the network: one on every node starts")
        try:
            addresses = pods.until(
                lambda found: {} if _one_ended(found, nodes) else _addresses(found, every, nodes),
                Wait("servers of the probe", timeout),
            )
        except WaitTimeoutError:
            return _late(_not_running(api, every, nodes), timeout)
        if not addresses:
            return _not_running(api, every, nodes)
        with suppress(WaitTimeoutError):  # who has none then is no part of the test
            addresses = pods.until(
                lambda found: _addresses(found, every, every), Wait("other servers", _OTHERS)
            )
        if len(addresses) < len(every):
            found = _not_running(api, every, nodes)
            checks += [replace(check, warning=True) for check in found if not check.ok]
        tried = tuple(addresses)
        checks += [_address_check(node, addresses[node], pod_cidrs) for node in nodes]
        # A family of which they have no address is a failed check already.
        common = [one for one in families if first_of_family(service, one)] or families_of(service)
        addresses = {
            node: [at for at in ips if family_of(at) in common] for node, ips in addresses.items()
        }
        # Meanwhile: an apiserver without a route takes its time.
        reached = asking.submit(_reached, api, [*enumerate(nodes)])
        _create(api, probe_pods.client_pods(image, tried, addresses, service))
        names = {f"client-{i}": node for i, node in enumerate(tried)}
        progress("waiting for pods that try the network: each requests all others")
        try:
            pods.until(
                lambda found: _finished(found, names) or None, Wait("clients of the probe", timeout)
            )
            late = False
        except WaitTimeoutError:  # whoever has not finished shows in its log, or has none
            late = True
    finally:
        pods.stop()
        asking.shutdown(wait=False)
    tries: list[Check] = []
    with ThreadPoolExecutor(_PARALLEL) as pool:
        logs = pool.map(lambda pod: _log(api, pod, names[pod]), names)
    for node, log in zip(names.values(), logs, strict=True):
        if isinstance(log, Check):
            check = log if node in nodes else replace(log, warning=True)
            checks += _late([check], timeout) if late else [check]
        elif node in nodes:
            tries += probe_answers.probe_results(node, log, tried, families=common)
        else:
            tries += probe_answers.probe_results(node, log, nodes, service=False, families=common)
    checks += reached.result()
    # Asked while the namespace is there: some sites put policies into each new one.
    failed = any(not check.ok for check in tries)
    return checks + network_policies.named(tries, network_policies.found(api) if failed else ())


def _late(checks: Sequence[Check], timeout: float) -> list[Check]:
    """Return the checks of pods that were waited for, each that failed with how long that was."""
    waited = f"after {timeout:g} s (timeouts.probe)"
    return [c if c.ok else replace(c, detail=f"{c.detail}, {waited}") for c in checks]


def _create(api: Api, objects: Sequence[Object]) -> None:
    for item in objects:
        try:
            api.create(f"{_NAMESPACE}/{item['kind'].lower()}s", item)
        except ApiError as error:
            raise ProbeRefusedError(error) from error


def _service_addresses(spec: Object) -> list[str]:
    """Return a Service's addresses; before 1.20 there is one."""
    return [str(at) for at in spec.get("clusterIPs") or [spec["clusterIP"]]]


def _address_check(node: str, addresses: Sequence[str], pod_cidrs: Sequence[str]) -> Check:
    outside = [
        cidr
        for cidr in pod_cidrs
        if not any(ip_address(address) in ip_network(cidr) for address in addresses)
    ]
    listed = " and ".join(addresses)
    good = not outside
    detail = listed if good else f"{listed} is outside of pod_cidr {' and '.join(outside)}"
    advice = "compare the address pools of the pod network with cluster.pod_cidr"
    return Check(node, "pod address", good, detail, "" if good else advice)


def _reached(api: Api, servers: Sequence[tuple[int, str]]) -> list[Check]:
    """
    Return the check of whether the apiserver reaches the server pods; none without that right.

    :param servers: number and node of each; it answers with the node's name.
    """

    def ask(server: tuple[int, str]) -> str | None:
        number, node = server
        path = f"{_PODS}/server-{number}:{probe_pods.PROBE_PORT}/proxy/"
        try:
            answer = api.text(path, node=node, seconds=_REACHES)
        except KubeletError as error:
            return str(error).partition(": ")[2]
        except ApiError as error:
            return None if error.is_forbidden else f"HTTP {error.status} from somebody else"
        return "" if answer.strip() == node else "somebody else answered"

    with ThreadPoolExecutor(_PARALLEL) as pool:
        answers = zip(servers, pool.map(ask, servers), strict=True)
    known = {node: answer for (_, node), answer in answers if answer is not None}
    return [probe_answers.apiserver_check(known)] if known else []


def _log(api: Api, pod: str, node: str) -> str | Check:
    """Return what a client pod printed, or the check that tells why that can't be had."""
    try:
        return api.text(f"{_PODS}/{pod}/log", node=node)
    except ApiError as error:
        unreachable = isinstance(error, KubeletError) and error.unreachable
        return probe_answers.log_check(node, str(error), error.advice, unreachable=unreachable)


def _addresses(
    pods: Mapping[str, Object], every: Sequence[str], nodes: Sequence[str]
) -> dict[str, list[str]] | None:
    """Return node → addresses of the server pods that run, once those of `nodes` all do."""
    found = {}
    for i, node in enumerate(every):
        status = (pods.get(f"server-{i}") or {}).get("status") or {}
        if status.get("phase") == "Running" and status.get("podIP"):
            several = [str(each["ip"]) for each in status.get("podIPs") or () if each.get("ip")]
            found[node] = several or [str(status["podIP"])]
    return found if set(nodes) <= found.keys() else None


def _one_ended(pods: Mapping[str, Object], nodes: Sequence[str]) -> bool:
    """Return whether one of the server pods, which run until they are deleted, has ended."""
    return any(has_ended(pods.get(f"server-{i}") or {}) for i, _ in enumerate(nodes))


def _finished(pods: Mapping[str, Object], names: Mapping[str, str]) -> bool:
    phases = {(pods.get(name) or {}).get("status", {}).get("phase") for name in names}
    return phases <= {"Succeeded", "Failed"}


def _not_running(api: Api, every: Sequence[str], nodes: Sequence[str]) -> list[Check]:
    """Return a check for each pod of the servers; of other than these nodes, a warning."""
    pods = {pod["metadata"]["name"]: pod for pod in api.get(_PODS)["items"]}
    try:
        events = api.get(f"{_NAMESPACE}/events", fieldSelector="type=Warning")["items"]
    except ApiError as error:
        if not error.is_forbidden:  # an older account may not read them
            raise
        events = []
    return _started(pods, events, every, nodes)


def _started(
    pods: Mapping[str, Object],
    events: Sequence[Object],
    every: Sequence[str],
    nodes: Sequence[str],
) -> list[Check]:
    """Return the checks of `_not_running`, from pods by name and the namespace's warnings."""
    checks = []
    for i, node in enumerate(every):
        name = f"server-{i}"
        pod = pods.get(name) or {}
        status = pod.get("status") or {}
        running = status.get("phase") == "Running" and bool(status.get("podIP"))
        of_pod = [event for event in events if event["involvedObject"].get("name") == name]
        detail = "runs" if running else problem(pod, of_pod)
        advice = "" if running else program.host_task(node, "logs --unit kubelet")
        if _PULL_FAILED.search(detail):
            advice = "name in verify.image an image that hosts can pull, or artifacts.images brings"
        check = Check(node, "probe pod", running, detail, advice, node not in nodes)
        checks.append(check)
    return checks


def _prepare_namespace(api: Api, timeout: float) -> None:
    """Have an empty namespace: what a killed run left in it is waited out first."""
    _clear(api)
    wait = Wait("an empty namespace, with its default ServiceAccount", timeout, _POLL)
    stuck = Wait("", _STUCK)
    while (found := api.find(_NAMESPACE)) and (_leaving(found) or api.get(_PODS)["items"]):
        cause = _kept_by(found)
        if wait.over or (cause and stuck.over):
            raise wait.overdue(cause, _KEPT if cause else "")
        wait.pause()
    if not found:
        api.create("/api/v1/namespaces", probe_pods.namespace())
    # Pods are refused until the namespace has its default ServiceAccount.
    while not api.find(f"{_NAMESPACE}/serviceaccounts/default"):
        if wait.over:
            raise wait.overdue(
                "there is none", "check that kube-controller-manager runs: it makes them"
            )
        wait.pause()


_KEPT = "kubectl get apiservices shows which API is down; fix it, or delete its APIService"


def _kept_by(namespace: Object) -> str:
    """Return why the controller of namespaces can't remove this one, with its message."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    found = [
        str(c.get("message"))
        for c in conditions
        if c.get("status") == "True" and str(c.get("type")) in _FAILURES
    ]
    return f"the namespace of an earlier probe stays Terminating: {'; '.join(found)}" * bool(found)


# kubernetes pkg/controller/namespace/deletion: what it can't get over by waiting for pods to end
_FAILURES = {
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
}


def _clear(api: Api) -> None:
    """
    Remove everything of the probe; the namespace too, unless it is a standing one.

    A namespace's controller deletes its pods some time later: a drain that comes next is to see
    that they end.
    """
    found = api.find(_NAMESPACE)
    if found is None:
        return
    api.delete(_PODS)
    if probe_pods.STANDING in (found["metadata"].get("labels") or {}):
        api.delete(f"{_NAMESPACE}/services/echo")
    else:
        api.delete(_NAMESPACE)


def _leaving(namespace: Object) -> bool:
    return "deletionTimestamp" in namespace["metadata"]
