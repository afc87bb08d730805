"""Node objects at the API: wait for registration and Ready, labels and taints, duplicates."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from ..cni.registry import network
from ..kube import node_status
from ..kube.client import ApiError, permitted
from ..kube.pods import pods_on
from ..kube.watch import Watch
from ..steps.checks import schedulability
from ..upkeep.objects import full_name
from ..util import program
from ..util.object_lists import lean
from ..util.wait import Wait, Waiting, WaitTimeoutError, unobserved
from . import node_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ..config.configuration import Config, Node
    from ..kube.client import Api, Object
    from ..releases.version_change import Versions
    from .cluster_snapshot import ClusterSnapshot

R = TypeVar("R")

_POLL = 3.0  # seconds between inspections of a host that is waited for
_SETTLING, _SETTLING_POLL = 10.0, 0.5


class Nodes:
    """
    The cluster's Node objects; one watch serves all who wait for one of them.

    :param snapshot: returns the cluster as it was found; it may wait for that.
    """

    def __init__(self, config: Config, api: Api, snapshot: Callable[[], ClusterSnapshot]) -> None:
        self._config = config
        self._api = api
        self._snapshot = snapshot
        self._watch = Watch(api, node_status.NODES, lean)
        self._lock = threading.Lock()
        self._machine_ids: dict[str, str] = {}  # seen in this run, by node
        self._seen: dict[str, dict[str, None]] = {}  # nodes, by what they were seen with

    def begin_watch(self) -> None:
        """Follow the Node objects from now on, so that one can be waited for."""
        self._watch.start()

    def interrupt(self) -> None:
        """End all waiting for Node objects, by KeyboardInterrupt."""
        self._watch.interrupt()

    def close(self) -> None:
        """End the watch."""
        self._watch.stop()

    def current(self) -> dict[str, Object]:
        """Return the Node objects as they are now, by name."""
        return node_status.all_nodes(self._api)

    def settled(self, names: Collection[str]) -> dict[str, Object]:
        """Return the Node objects once Kubernetes has taken its own passing taints off these."""
        wait = Wait("taints of Ready nodes to go", _SETTLING, _SETTLING_POLL)
        while True:
            found = self.current()
            if wait.over or not any(schedulability.settles(found[n]) for n in names if n in found):
                return found
            wait.pause()

    def wait_registered(
        self,
        name: str,
        meanwhile: Callable[[], object],
        on_state: Callable[[Waiting], None] = unobserved,
    ) -> Object:
        """
        Wait for the Node object; return it. Raises WaitTimeoutError.

        :param meanwhile: called now and then; what it raises ends the waiting.
        :param on_state: gets the state of the wait when it changes.
        """
        wait = Wait(
            "its Node object",
            self._config.timeouts.join,
            _POLL,
            advice=program.host_task(name, "logs"),
            on_state=on_state,
        )
        return self._watch.follow(lambda found: found.get(name), wait, str, meanwhile)

    def wait_ready(
        self,
        name: str,
        since: float,
        meanwhile: Callable[[], object],
        on_state: Callable[[Waiting], None] = unobserved,
    ) -> Object:
        """
        Wait until the node reports Ready, and has reported since then (unix time by its own clock).

        Where fabnode installs no network, all but that will do (`awaits_network`).

        Raises WaitTimeoutError with the kubelet's message; others as in `wait_registered`.
        """
        last = ["its kubelet has not registered"]
        offline = [False]

        def found(objects: Mapping[str, Object]) -> Object | None:
            node = objects.get(name)
            if node is None:
                return None
            reason = node_status.not_ready(node, since)
            last[0] = reason or ""
            offline[0] = node_status.lacks_only_network(node)
            reported = reason != node_status.NOT_SINCE
            return None if reason and not (reported and self.awaits_network(node)) else node

        wait = Wait(
            "Ready",
            self._config.timeouts.ready,
            _POLL,
            advice=program.host_task(name, "logs"),
            on_state=on_state,
        )
        try:
            return self._watch.follow(found, wait, lambda: last[0], meanwhile)
        except WaitTimeoutError:
            if not offline[0]:
                raise
            # The kubelet knows only that there is no network; verify quotes why.
            verify = program.task(f"verify --limit {name} --no-network")
            raise wait.overdue(
                last[0], f"{verify} says why its pod network does not start"
            ) from None

    def awaits_network(self, live: Object) -> bool:
        """Say whether a node lacks nothing but a network that others are to bring."""
        return not network(self._config).name and node_status.lacks_only_network(live)

    def kubelet_answers(self, name: str) -> bool:
        """
        Say whether the apiserver gets through to a node's kubelet, as for `kubectl logs`.

        False as well without the right to ask. Raises ApiAwayError where nobody can be asked.
        """
        try:
            self._api.text(f"{node_status.NODES}/{name}/proxy/healthz", node=name)
        except ApiError:
            return False
        return True

    def label(self, node: Node, live: Object) -> str:
        """Set the Node's configured labels, annotations and taints; return what that changed."""
        path = f"{node_status.NODES}/{node.name}"
        while patch := node_metadata.patch(live, node):
            try:
                self._api.patch(path, patch)
            except ApiError as error:
                if not error.is_conflict:
                    raise
                live = self._api.get(path)  # its kubelet reported meanwhile
            else:
                return ", ".join(node_metadata.changes(live, node))
        return ""

    def label_changes(self, node: Node) -> tuple[str, ...]:
        """Return what `label` would change, as far as that was known when the run began."""
        return node_metadata.changes(self._snapshot().nodes.get(node.name), node)

    def was_registered(self, name: str) -> bool:
        """Return whether a node had a Node object when the run began."""
        return name in self._snapshot().nodes

    def upgrades(self, name: str, *, now: bool = False) -> bool:
        """
        Return whether an upgrade of a node is on its record.

        :param now: as it is now, not as it was when the run began.
        """
        from ..upkeep import operations  # few runs ask

        live = self._api.find(f"{node_status.NODES}/{name}") if now else None
        found = operations.read(live if now and live else self._snapshot().nodes.get(name) or {})
        return found is not None and any(each.what == "upgrade" for each in found.chain)

    def reported_versions(self, name: str) -> Versions:
        """Return the releases that a node reported when the run began."""
        return node_status.versions(self._snapshot().nodes.get(name) or {})

    def pods_that_leave(self, name: str) -> tuple[str, ...] | None:
        """
        Return the pods on a node, as `namespace/name`, that a drain would have leave.

        None: this account has no right to list them.
        """
        from ..upkeep import departures  # few runs change what takes a drain

        found = permitted(lambda: pods_on(self._api, name))
        if found is None:
            return None
        around, permits = departures.Surroundings(), departures.Permits()
        return tuple(
            full_name(pod)
            for pod in found
            if (pod.get("status") or {}).get("phase") not in departures.FINISHED
            and departures.departure(pod, around, permits).fate != "stays"
        )

    def remove(self, name: str) -> None:
        """Remove a Node object, if there is one: cordoned first, so that no pod comes to it."""
        path = f"{node_status.NODES}/{name}"
        if self._api.find(path):
            self._api.patch(path, {"spec": {"unschedulable": True}})
            self._api.delete(path)

    def machine_ids(self, name: str, machine_id: str) -> dict[str, str]:
        """
        Return the other nodes with this machine-id, known from the API or seen in this run.

        This one's own is among them where the API has it registered. If that is `machine_id`, only
        what the API has of others counts: of two hosts with one id, the newcomer is the clone.
        """
        live = self._snapshot().nodes.get(name)
        own = {} if live is None else {name: node_status.machine_id(live)}
        if not machine_id:
            return own
        named = list(self._registered.machine_ids.get(machine_id, ()))
        with self._lock:
            self._machine_ids[name] = machine_id
            seen = self._seen.setdefault(machine_id, {})
            seen[name] = None
            if own.get(name) != machine_id:
                now = self._machine_ids
                named = [n for n in (*named, *seen) if now.get(n, machine_id) == machine_id]
        return {other: machine_id for other in named if other != name} | own

    def by_address(self, *addresses: str) -> tuple[str, ...]:
        """Return the names of the nodes that the API has registered at one of these addresses."""
        found = self._registered.addresses
        return tuple(dict.fromkeys(name for at in addresses for name in found.get(at, ())))

    @cached_property
    def _registered(self) -> _Registered:
        """Of a thousand nodes, each asks for those like it: looked through once, not by each."""
        found = _Registered()
        for name, node in self._snapshot().nodes.items():
            found.machine_ids.setdefault(node_status.machine_id(node), []).append(name)
            for address in dict.fromkeys(node_status.internal_ips(node)):
                found.addresses.setdefault(address, []).append(name)
        return found


@dataclass(frozen=True, slots=True)
class _Registered:
    """Names of nodes as they were registered when the run began, by what nodes should not share."""

    machine_ids: dict[str, list[str]] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)
