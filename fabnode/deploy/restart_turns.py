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

from ..kube import node_status
from ..kube.client import permitted
from ..kube.pods import pods_on
from ..releases import upgrade_effects
from ..util import program
from ..util.errors import FabnodeError
from ..util.pods import is_ready
from ..util.wait import Wait, unless
from ..util.words import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..config.configuration import Config
    from ..journal.journal import Journal
    from ..kube.client import Api
    from ..releases.version import Release
    from .node_registry import Nodes

STEP: Final = "ready"
_PROBED, _POLL = 60.0, 2.0  # seconds: that pods get to be ready again, and between two checks


class TurnsStoppedError(FabnodeError):
    """A kubelet was not restarted, because another one's restart failed."""

    def __init__(self, node: str, cause: BaseException) -> None:
        why = cause.message if isinstance(cause, FabnodeError) else str(cause)
        super().__init__(
            f"its kubelet was not restarted, because that of {node} failed: {why}",
            f"{program.task(f'doctor --limit {node}')} says what it lacks; once it is Ready, the"
            " same command goes on",
        )


class TooManyUnreadyError(FabnodeError):
    """A kubelet was not restarted: its pods would be away beside those of nodes that are down."""

    def __init__(self, down: Collection[str], size: int, setting: str) -> None:
        names = sorted(down)
        are = "is" if len(names) == 1 else "are"
        doctor = program.task(f"doctor --limit {','.join(names)}")
        super().__init__(
            f"its kubelet was not restarted: {', '.join(names)} {are} not Ready, and at most"
            f" {counted(size, 'node')} may be away at once ({setting})",
            f"{doctor} says what they lack; a larger {setting} allows more",
        )


class RestartTurns:
    """
    Turns of the kubelets of a run. Thread-safe.

    A node that is not Ready counts as one whose turn it is, since its pods are away as well; and
    the first turn that fails is the last one: what broke that node would break the next.

    :param nodes: the cluster's. :param stopped: set when the user interrupts.
    """

    def __init__(
        self, config: Config, api: Api, journal: Journal, stopped: threading.Event, nodes: Nodes
    ) -> None:
        self._api = api
        self._journal = journal
        self._stopped = stopped
        self._nodes = nodes
        self._size, self._setting = config.maintenance.batch, "maintenance.batch"
        self._patience = config.timeouts.ready
        self._configured = config.cluster.version
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._failed: tuple[str, BaseException] | None = None
        self._expected: frozenset[str] = frozenset()

    def expect(self, names: Collection[str], size: int | None = None) -> None:
        """
        Learn the nodes of the run: one of these that is down is waited for.

        :param size: how many may be away at once; None: as is configured.
        """
        self._expected = frozenset(names)
        if size:
            self._size, self._setting = size, "maintenance.batch, or --batch"

    @contextmanager
    def turn(self, node: str, *, restarts: bool, release: Release | None = None) -> Iterator[None]:
        """
        Hold a turn until the pods of a node that were ready are so again, or have gone.

        :param restarts: its kubelet runs, and is about to start again; else nothing is held.
        :param release: of the kubelet that starts; None: the configured one.
        :raises TurnsStoppedError: an earlier turn failed; nothing was restarted.
        :raises TooManyUnreadyError: as many nodes are down already; nothing was restarted.
        """
        if not restarts or not upgrade_effects.unready_at_start(release or self._configured):
            yield
            return
        self._take(node)
        try:
            before = self._ready_pods(node)
            yield
            self._await(node, before)
        except Exception as error:
            with self._changed:
                self._failed = self._failed or (node, error)
            raise
        finally:
            with self._changed:
                self._held.discard(node)
                self._changed.notify_all()

    def _take(self, node: str) -> None:
        """Return once the node has a turn; raises what `turn` raises."""
        if self._taken(node):
            return
        text = "waiting for its turn to restart the kubelet"
        with self._journal.step(node, STEP, text) as log:
            wait = Wait("its turn", self._patience, on_state=log.waiting)
            while not self._taken(node):
                if self._stopped.is_set():
                    raise KeyboardInterrupt
                with self._changed:
                    self._changed.wait(1)
                    held = sorted(self._held)
                if held:  # whose turns end by themselves
                    wait = Wait("its turn", self._patience, on_state=log.waiting)
                    wait.report(f"{', '.join(held)} before it")
                elif down := self._down():
                    if wait.over or not down & self._expected:
                        raise TooManyUnreadyError(down, self._size, self._setting)
                    wait.report(f"not Ready: {', '.join(sorted(down))}")

    def _taken(self, node: str) -> bool:
        """Take a turn if there is one; raises TurnsStoppedError."""
        with self._changed:
            if self._failed and self._failed[0] != node:
                raise TurnsStoppedError(*self._failed)
            if len(self._held) >= self._size:
                return False
        down = self._down()
        with self._changed:
            # One that is down itself takes nothing away that is there.
            if node not in down and len(self._held | down) >= self._size:
                return False
            self._held.add(node)
            return True

    def _down(self) -> frozenset[str]:
        """Return the nodes that are not Ready, but those that have joined since the run began."""
        return frozenset(
            name
            for name, live in self._nodes.current().items()
            if node_status.not_ready(live)
            and self._nodes.was_registered(name)
            and not self._nodes.awaits_network(live)
        )

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
