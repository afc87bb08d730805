"""
Turns of kubelets that restart: as few at once as `maintenance.batch` says, where that hurts.

Kubelets up to 1.34 call their node's pods not ready when they start, until each is probed again
(`crossings.unready_at_start` in config/versions.yml): restarted on all nodes at once, a Service
would have no endpoint for that time.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..kube.client import permitted
from ..kube.pods import pods_on
from ..releases import upgrade_effects
from ..util.pods import is_ready
from ..util.wait import Wait, unless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config.configuration import Config
    from ..journal.journal import Journal
    from ..kube.client import Api
    from ..releases.version import Release

STEP: Final = "ready"
_PROBED, _POLL = 60.0, 2.0  # seconds: that pods get to be ready again, and between two checks


class RestartTurns:
    """
    Turns of the kubelets of a run. Thread-safe.

    :param stopped: set when the user interrupts.
    """

    def __init__(
        self, config: Config, api: Api, journal: Journal, stopped: threading.Event
    ) -> None:
        self._api = api
        self._journal = journal
        self._stopped = stopped
        self._free = threading.Semaphore(config.maintenance.batch)
        self._configured = config.cluster.version

    @contextmanager
    def turn(self, node: str, *, restarts: bool, release: Release | None = None) -> Iterator[None]:
        """
        Hold a turn until the pods of a node that were ready are so again, or have gone.

        :param restarts: its kubelet runs, and is about to start again; else nothing is held.
        :param release: of the kubelet that starts; None: the configured one.
        """
        if not restarts or not upgrade_effects.unready_at_start(release or self._configured):
            yield
            return
        if not self._free.acquire(blocking=False):
            with self._journal.step(node, STEP, "waiting for its turn to restart the kubelet"):
                while not self._free.acquire(timeout=1):
                    if self._stopped.is_set():
                        raise KeyboardInterrupt
        try:
            before = self._ready_pods(node)
            yield
            self._await(node, before)
        finally:
            self._free.release()

    def _await(self, node: str, before: frozenset[str]) -> None:
        """Wait until pods are ready again; where that takes too long, say so and go on."""
        if not before - self._ready_pods(node):
            return
        with self._journal.step(node, STEP, "waiting for its pods to be probed") as log:
            wait = Wait(
                "its pods", _PROBED, _POLL, on_state=log.waiting, sleep=unless(self._stopped)
            )
            while late := before - self._ready_pods(node) - self._gone(node, before):
                if wait.over:
                    log.warn(f"{len(late)} of its pods were ready before, and are not yet")
                    return
                wait.report(f"{len(late)} are not ready yet")
                wait.pause()
            log.note("its pods are ready again")

    def _ready_pods(self, node: str) -> frozenset[str]:
        return frozenset(uid for uid, ready in self._pods(node).items() if ready)

    def _gone(self, node: str, before: frozenset[str]) -> frozenset[str]:
        return before - self._pods(node).keys()

    def _pods(self, node: str) -> dict[str, bool]:
        """Return whether each pod of a node is ready, by uid; none without the right to list."""
        found = permitted(lambda: pods_on(self._api, node)) or ()
        return {str(pod["metadata"]["uid"]): is_ready(pod) for pod in found}
