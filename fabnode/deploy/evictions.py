"""
Eviction API: lists pods, reads their budgets, owners and volumes, evicts.

Which version an eviction has, and whether it can be tried without effect, is data of the releases.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..kube.client import ApiError, permitted
from ..kube.pods import PODS, pods_on
from ..releases.matrix import matrix
from ..upkeep import bound_volumes, budgets, local_data, readiness
from ..upkeep.budgets import Budget
from ..upkeep.departures import Surroundings
from ..upkeep.eviction_answers import Answer, answer
from .pod_owners import PodOwners

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..kube.client import Api, Object
    from ..releases.version import Release

_VOLUMES = "/api/v1/persistentvolumes"
_PARALLEL = 8
_SHOWN = 3  # pods of a budget that are not Ready


class Evictions:
    """
    Evictions at an apiserver of this release, and what there is to know before them. Thread-safe.

    :param server: the release of the apiserver, which serves them.
    """

    def __init__(self, api: Api, server: Release) -> None:
        known, minor = matrix().api, server.minor
        self._api = api
        self._eviction = "policy/v1" if minor in known["evictions in policy/v1"] else _BETA
        self._v1 = minor in known["policy/v1"]
        self._group = "policy/v1" if self._v1 else _BETA
        # Before it was one, a dry run evicted; in one release it left a mark on the pod.
        self.can_try = (
            minor in known["dry run of evictions"]
            and minor not in known["dry run of evictions marks pods"]
        )

    def pods(self, node: str) -> list[Object]:
        """Return all pods on a node."""
        return pods_on(self._api, node)

    def all_pods(self) -> list[Object]:
        """Return all pods of the cluster."""
        return _items(self._api.get(PODS))

    def surroundings(self, pods: Collection[Object]) -> Surroundings:
        """Return what these pods are to be judged by."""
        claimed = any(local_data.claims_of(pod) for pod in pods)
        owners = PodOwners(self._api)
        return Surroundings(
            budgets=self.budgets(),
            chains={str(pod["metadata"].get("uid")): owners.chain(pod) for pod in pods},
            claims=local_data.by_claim(_items(self._api.get(_VOLUMES))) if claimed else {},
        )

    def bound_to(self, name: str, nodes: Mapping[str, Object]) -> tuple[str, ...]:
        """Return the volumes that no other node can have, in words. :param nodes: all of them."""
        return bound_volumes.bound_to(name, nodes, _items(self._api.get(_VOLUMES)))

    def budgets(self) -> tuple[Budget, ...]:
        """Return all disruption budgets of the cluster."""
        found = _items(self._api.get(f"/apis/{self._group}/poddisruptionbudgets"))
        return tuple(Budget.parse(item, empty_selects_all=self._v1) for item in found)

    def evict(self, pod: Object, *, dry_run: bool = False) -> Answer:
        """Evict this very pod, and not one that has its name since; return what was answered."""
        metadata = pod["metadata"]
        options: Object = {"preconditions": {"uid": metadata["uid"]}}
        query = {}
        if dry_run:
            # Some webhooks read the one, some the other.
            options["dryRun"], query["dryRun"] = ["All"], "All"
        body = {
            "apiVersion": self._eviction,
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": options,
        }
        return answer(*self._api.answer(f"{_path(pod)}/eviction", body, **query))

    def tried(self, pods: Collection[Object]) -> dict[str, Answer]:
        """Return by uid what the API answers to the eviction of each, tried without effect."""
        with ThreadPoolExecutor(_PARALLEL) as pool:
            answers = pool.map(lambda pod: self.evict(pod, dry_run=True), pods)
            return {
                str(pod["metadata"]["uid"]): each for pod, each in zip(pods, answers, strict=True)
            }

    def delete(self, pod: Object, *, ended: bool = False) -> Answer:
        """
        Delete this very pod, whatever budgets it has.

        :param ended: it is proved that nothing of it runs: it goes at once, without its kubelet.
        """
        try:
            uid = str(pod["metadata"]["uid"])
            self._api.delete(_path(pod), uid=uid, grace=0 if ended else None)
        except ApiError as error:
            if error.is_conflict:
                return Answer("gone")
            return Answer("refused", str(error))
        return Answer("accepted")

    def not_ready(self, budget: Budget) -> tuple[str, ...]:
        """Return why pods of a budget are not Ready, some of them, a line each."""
        if not budget.selector:
            return ()
        selector = budgets.query(budget.selector)
        path = f"/api/v1/namespaces/{budget.namespace}/pods"
        found: list[str] = []
        for pod in _items(self._api.get(path, labelSelector=selector)):
            if readiness.why_unready(pod) and len(found) < _SHOWN:
                found.append(readiness.why_unready(pod, self._events(pod)))
        return tuple(found)

    def _events(self, pod: Object) -> list[Object]:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        about = f"involvedObject.uid={metadata['uid']}"
        found = permitted(lambda: self._api.get(path, fieldSelector=about))
        return [] if found is None else _items(found)  # the reason is shorter then


_BETA = "policy/v1beta1"


def _path(pod: Object) -> str:
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def _items(found: Object) -> list[Object]:
    items: Iterable[Object] = found.get("items") or ()
    return list(items)
