"""Rollout of the pod network: applies its objects once, waits until it runs on the nodes."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ..artifacts import cni_manifest
from ..cni.protocol import Diagnosis
from ..cni.registry import network
from ..kube.client import ApiError, permitted
from ..util import program
from ..util.errors import ClusterError
from ..util.wait import Wait, Waiting, unobserved
from . import network_before

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ..cni.protocol import Rollout, Turn
    from ..config.configuration import Config
    from ..journal.journal import Journal
    from ..kube.client import Api, Object
    from ..kube.server_side_apply import ObjectChange

_POLL = 0.5  # three calls of an apiserver that just then has all its pods to see to
_STUCK_CHECK = 5.0  # seconds between two checks whether anything moves
_RELEASES = 5  # tries, where its controllers release the same
_SETTLING, _SETTLING_POLL = 20.0, 1.0
# Seconds of failing starts alone: kubelets have tried four times by then (after 10, 20, 40 s more).
_PATIENCE = 120.0


class PodNetwork:
    """The pod network of a run's cluster; one that fabnode doesn't install is never waited for."""

    def __init__(self, config: Config, api: Api, journal: Journal) -> None:
        self._config = config
        self._cni = network(config)
        self._api = api
        self._journal = journal
        self._lock = threading.Lock()
        self._objects: tuple[Object, ...] | None = None

    @property
    def name(self) -> str:
        """Its name; empty where fabnode installs none."""
        return self._cni.name

    def objects(self) -> tuple[Object, ...]:
        """Return its objects, made once; none where fabnode installs none."""
        with self._lock:
            if self._objects is None:
                self._objects = cni_manifest.objects(self._config)
                if secret := self._cni.secret(self._objects):
                    self._journal.secret(secret)
        return self._objects

    def images(self) -> list[str]:
        """Return the images that its pods run."""
        return self._cni.images(self.objects())

    def rollout(self, changes: Collection[ObjectChange]) -> Rollout | None:
        """Return how applying changes would replace pods that run; None: not at all."""
        templates = [
            change.object
            for change in changes
            if change.action == "update"
            and any(field.startswith("spec.template") for field in change.fields)
        ]
        return self._cni.rollout(self._api, templates) if templates else None

    def turn(self, rollout: Rollout, minors: Collection[int]) -> Turn:
        """Return when it is to be rolled in an upgrade; see `Cni.turn`."""
        return self._cni.turn(rollout, minors)

    def by_hand(self, changes: Collection[ObjectChange]) -> tuple[ObjectChange, ...]:
        """Return changes after which its pods run on until somebody deletes them."""
        objects = self._cni.by_hand([change.object for change in changes])
        pairs = zip(changes, objects, strict=True)
        return tuple(replace(change, object=item) for change, item in pairs)

    def older_pods(self, names: Collection[str]) -> Mapping[str, str]:
        """Return by node the path of its pod there, where that is of a template of before."""
        return self._cni.older_pods(self._api, names)

    def rolling(self, names: Collection[str]) -> str:
        """Return that its pods are being replaced, by whom, and where not yet; empty: no."""
        live = permitted(lambda: self._cni.workload(self._api))
        found = network_before.read(live) if live else None
        if not live or not found or not network_before.is_rolling([live]):
            return ""
        left = sorted(permitted(lambda: self.older_pods(names)) or ())
        rest = f": {', '.join(left)} left" if left else ""
        return f"{self.name} is rolled, one node at a time, {found.text}{rest}"

    def held(self, node: str) -> str:
        """Return what it holds for a node beside the cluster's objects; see `Cni.held`."""
        return permitted(lambda: self._cni.held(self._api, node)) or ""

    def release(self, node: str) -> str:
        """
        Release what it holds for a node that is gone, with all of its pods; return what.

        What this account may not release, or somebody releases meanwhile, its own controllers do.
        """
        for _ in range(_RELEASES):
            try:
                return self._cni.release(self._api, node)
            except ApiError as error:
                if error.is_forbidden:
                    self._journal.warn(
                        f"{node}: {self.name}'s addresses are left to its own controllers: {error}"
                    )
                    return ""
                if not error.is_conflict:
                    raise
        return ""

    def replace_pod(self, path: str) -> None:
        """
        Have one of its pods start again as its template is now.

        :raises ClusterError: no right to.
        """
        name = path.rpartition("/")[2]
        try:
            self._api.delete(path)
        except ApiError as error:
            if not error.is_forbidden:
                raise
            again = f"`{program.task('rbac.deployer')}` as administrator gives that right"
            raise ClusterError(f"{name} can't be replaced: {error}", again) from error

    def wait_ready(
        self, names: Collection[str], on_state: Callable[[Waiting], None] = unobserved
    ) -> None:
        """
        Wait until it runs on these nodes.

        :raises WaitTimeoutError: with what is missing, at the end of the time, or earlier where
            nothing but failing starts was seen for a while.
        """
        wait = Wait(self.name, self._cni.timeout, _POLL, on_state=on_state)
        ended = Wait(self.name, _PATIENCE)
        check = Wait(self.name, _STUCK_CHECK)
        while missing := self.missing(names):
            wait.report(missing)
            if check.over:
                check = Wait(self.name, _STUCK_CHECK)
                if not self._cni.is_stuck(self._api, names):
                    ended = Wait(self.name, _PATIENCE)
            if wait.over or ended.over:
                found = self.diagnosis(names, missing)
                raise (wait if wait.over else ended).overdue(found.cause, found.advice)
            wait.pause()

    def missing(self, names: Collection[str]) -> str | None:
        """Return what of it is not ready on these nodes, or None."""
        return self._cni.not_ready(self._api, names)

    def settled(self, names: Collection[str]) -> str | None:
        """
        Return what is not ready on these nodes and stays so for a moment, or None.

        Pods of a host or a kubelet that has just started count as not ready until their first
        probe, and as ready until the kubelet has reported that.
        """
        wait = Wait(self.name, _SETTLING, _SETTLING_POLL)
        while missing := self.missing(names):
            if wait.over or self._cni.is_stuck(self._api, names):
                break
            wait.pause()
        return missing

    def renew_pods(self, nodes: Collection[Object], before: Callable[[], None]) -> tuple[str, ...]:
        """
        Have its pods start again on nodes that registered again; return the names of these pods.

        :param before: obtains leave to change the cluster.
        :raises ClusterError: no right to, and without it the node's pods reach nobody.
        """
        paths = self._cni.outdated(self._api, nodes)
        names = tuple(path.rpartition("/")[2] for path in paths)
        if names:
            before()
        for path, name in zip(paths, names, strict=True):
            try:
                self._api.delete(path)
            except ApiError as error:
                if not error.is_forbidden:
                    raise
                raise ClusterError(
                    f"{name} is older than its node's Node object and has to restart: {error}",
                    f"kubectl -n kube-system delete pod {name}",
                ) from error
        return names

    def own_pod(self, pods: Collection[Object]) -> Object | None:
        """Return the pod by which it gives a node its network, of all pods there; None: none."""
        return self._cni.own_pod(pods)

    def renew(self, pod: Object) -> None:
        """Have one of its pods start again."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._api.delete(path, uid=metadata["uid"])

    @property
    def conf_name(self) -> str:
        """Name of its file among those of which runtimes take the first; empty: not known."""
        return self._cni.conf_name if self._cni.runs_on_nodes else ""

    @property
    def own_plugins(self) -> tuple[str, ...]:
        """CNI programs that it brings to nodes itself."""
        return self._cni.leftovers.own_plugins if self._cni.runs_on_nodes else ()

    def elsewhere(self, names: Collection[str]) -> str:
        """Return what of it is not ready on other nodes than these; empty: nothing."""
        return self._cni.elsewhere(self._api, names)

    def followed(self) -> tuple[Object, ...]:
        """Return what to apply of what it made itself; nothing without the right to read it."""
        return permitted(lambda: self._cni.followed(self._api)) or ()

    def drift(self, applied: Collection[Object] = ()) -> Diagnosis | None:
        """Return how what it uses differs from the configuration, or that this can't be read."""
        try:
            return self._cni.drift(self._api, applied)
        except ApiError as error:
            if not error.is_forbidden:
                raise
            return Diagnosis(
                f"{self.name}'s pool is not compared with the configuration: {error}",
                f"`{program.task('rbac.deployer')}` as administrator",
                known=False,
            )

    def cut_off(self) -> Diagnosis | None:
        """Return why pods would be cut off by its objects; None without the right to read it."""
        return permitted(lambda: self._cni.cut_off(self._api))

    def knows_apiserver(self) -> bool:
        """Return whether its pods know the apiserver without Services; False: no, or unknown."""
        return bool(permitted(lambda: self._cni.knows_apiserver(self._api)))

    def diagnosis(self, names: Collection[str], missing: str) -> Diagnosis:
        """
        Return why it is not ready on these nodes.

        :param missing: what is known already; an older account may read no more than that.
        """
        try:
            found = self._cni.diagnosis(self._api, names)
        except ApiError as error:
            if not error.is_forbidden:
                raise
            again = f"`{program.task('rbac.deployer')}` as administrator shows more"
            return Diagnosis(missing, f"kubectl -n kube-system describe pods; {again}")
        return Diagnosis(found.cause or missing, found.advice)

    def running(self, names: Collection[str]) -> str:
        """Return what runs on these nodes when nothing is missing."""
        return self._cni.running(names)
