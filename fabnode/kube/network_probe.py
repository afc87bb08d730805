"""Network test of `inv verify`: pods on every node that reach each other, a Service and DNS."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..steps import verify
from ..util.wait import Wait, WaitTimeoutError
from .client import ApiError
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .client import Api, Object

_NAMESPACE = f"/api/v1/namespaces/{verify.PROBE_NAMESPACE}"
_PODS = f"{_NAMESPACE}/pods"
_POLL = 0.1


def try_network(
    api: Api, *, image: str, nodes: Sequence[str], timeout: float
) -> tuple[verify.Check, ...]:
    """
    Run a pod on every node that requests a pod on every node and a Service; return the checks.

    Whatever happens, all of it is removed at the end: with its namespace, unless that is a standing
    one, made ahead for a deployer that may not make namespaces. `timeout` in seconds bounds each of
    the waits (an empty namespace, servers running, clients done).
    """
    _prepare_namespace(api, timeout)
    try:
        return _run(api, image, nodes, timeout)
    finally:
        _clear(api)


def network_probe_left(api: Api) -> bool:
    """Return whether an earlier, interrupted probe left objects."""
    found = api.find(_NAMESPACE)
    if found is None or _leaving(found):
        return False
    standing = verify.STANDING in (found["metadata"].get("labels") or {})
    return not standing or bool(api.get(_PODS)["items"])


def _run(api: Api, image: str, nodes: Sequence[str], timeout: float) -> tuple[verify.Check, ...]:
    for item in verify.probe_objects(image, nodes):
        api.create(f"{_NAMESPACE}/{item['kind'].lower()}s", item)
    service = api.get(f"{_NAMESPACE}/services/echo")["spec"]["clusterIP"]
    pods = Watch(api, _PODS).start()
    try:
        try:
            addresses = pods.until(
                lambda found: _addresses(found, nodes), Wait("servers of the probe", timeout)
            )
        except WaitTimeoutError:
            return tuple(_not_running(api, nodes))
        for item in verify.client_pods(image, nodes, addresses, service):
            api.create(_PODS, item)
        names = {f"client-{i}": node for i, node in enumerate(nodes)}
        with suppress(WaitTimeoutError):  # whoever has not finished shows in its log, or has none
            pods.until(
                lambda found: _finished(found, names) or None, Wait("clients of the probe", timeout)
            )
    finally:
        pods.stop()
    checks: list[verify.Check] = []
    for pod, node in names.items():
        try:
            log = api.text(f"{_PODS}/{pod}/log", node=node)
        except ApiError as error:
            message = f"its log can't be read: {error}"
            checks.append(verify.Check(node, "network probe", False, message))
            continue
        checks += verify.probe_results(node, log, nodes)
    return tuple(checks)


def _addresses(pods: Mapping[str, Object], nodes: Sequence[str]) -> dict[str, str] | None:
    """Return node → address once every server pod runs."""
    found = {}
    for i, node in enumerate(nodes):
        status = (pods.get(f"server-{i}") or {}).get("status") or {}
        if status.get("phase") != "Running" or not status.get("podIP"):
            return None
        found[node] = status["podIP"]
    return found


def _finished(pods: Mapping[str, Object], names: Mapping[str, str]) -> bool:
    phases = {(pods.get(name) or {}).get("status", {}).get("phase") for name in names}
    return phases <= {"Succeeded", "Failed"}


def _not_running(api: Api, nodes: Sequence[str]) -> list[verify.Check]:
    checks = []
    for i, node in enumerate(nodes):
        status = api.get(f"{_PODS}/server-{i}").get("status") or {}
        waiting = [
            c["state"]["waiting"].get("message") or c["state"]["waiting"].get("reason")
            for c in status.get("containerStatuses") or ()
            if "waiting" in c.get("state", {})
        ]
        running = status.get("phase") == "Running"
        detail = "runs" if running else f"{status.get('phase')}: {'; '.join(map(str, waiting))}"
        checks.append(verify.Check(node, "probe pod", running, detail))
    return checks


def _prepare_namespace(api: Api, timeout: float) -> None:
    """Have an empty namespace: what a killed run left in it is waited out first."""
    _clear(api)
    wait = Wait("an empty namespace, with its default ServiceAccount", timeout, _POLL)
    while (found := api.find(_NAMESPACE)) and (_leaving(found) or api.get(_PODS)["items"]):
        _pause(wait)
    if not found:
        api.create("/api/v1/namespaces", verify.namespace())
    # Pods are refused until the namespace has its default ServiceAccount.
    while not api.find(f"{_NAMESPACE}/serviceaccounts/default"):
        _pause(wait)


def _clear(api: Api) -> None:
    """Remove everything of the probe; the namespace too, unless it is a standing one."""
    found = api.find(_NAMESPACE)
    if found is None:
        return
    if verify.STANDING not in (found["metadata"].get("labels") or {}):
        api.delete(_NAMESPACE)
        return
    api.delete(f"{_NAMESPACE}/services/echo")
    api.delete(_PODS)


def _leaving(namespace: Object) -> bool:
    return "deletionTimestamp" in namespace["metadata"]


def _pause(wait: Wait) -> None:
    if wait.over:
        raise wait.overdue()
    wait.pause()
