"""Calico's objects at the API: made once, compared, and waited for on the nodes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..artifacts import calico_manifest
from ..steps import calico
from ..util.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..config.cluster import Cluster
    from ..journal.journal import Journal
    from ..kube.client import Api, Object

_POLL = 0.25
_PODS = "/api/v1/namespaces/kube-system/pods"
_DAEMONSET = f"/apis/apps/v1/namespaces/{calico.NAMESPACE}/daemonsets/{calico.DAEMONSET}"
_CONTROLLERS = f"/apis/apps/v1/namespaces/{calico.NAMESPACE}/deployments/{calico.CONTROLLERS}"


class Calico:
    """The network that a run installs, where the configuration says so."""

    def __init__(self, cluster: Cluster, api: Api, journal: Journal) -> None:
        self._cluster = cluster
        self._api = api
        self._journal = journal
        self._lock = threading.Lock()
        self._objects: tuple[Object, ...] | None = None

    def objects(self) -> tuple[Object, ...]:
        """Return Calico's objects, made once; none where fabnode doesn't install it."""
        with self._lock:
            if self._objects is None:
                self._objects = calico_manifest.objects(self._cluster)
                if key := calico.etcd_key(self._objects):
                    self._journal.secret(key)
        return self._objects

    def wait_ready(self, names: Collection[str]) -> None:
        """Wait until Calico runs on these nodes. Raises WaitTimeoutError with what is missing."""
        wait = Wait(
            "Calico",
            self._cluster.timeouts.calico,
            _POLL,
            advice="kubectl -n kube-system describe pods",
        )
        while missing := self.missing(names):
            if wait.over:
                raise wait.overdue(missing)
            wait.pause()

    def missing(self, names: Collection[str]) -> str | None:
        """Say what of Calico is not ready on these nodes, or None."""
        controllers = self._api.find(_CONTROLLERS)
        if self._cluster.calico.components == "controllers":
            return calico.not_ready(None, (), controllers, ())
        pods = self._api.get(_PODS, labelSelector=f"k8s-app={calico.DAEMONSET}")["items"]
        return calico.not_ready(self._api.find(_DAEMONSET), pods, controllers, names)
