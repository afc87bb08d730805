"""Change of the pod network's objects, and the gate that holds it until nodes have the images."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..artifacts.image_supply import other_versions
from ..kube.client import permitted
from ..steps import pod_network
from ..util.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..cni.protocol import Rollout
    from ..journal.journal import Journal
    from ..kube.client import Object
    from ..kube.server_side_apply import ObjectChange
    from .cluster_session import ClusterSession


class ImageGate:
    """
    Gate that opens once the nodes of a run have the images that the pod network is to run.

    A node that joins waits for the network itself: once no node that has begun is still without
    images, it opens the gate for those that have not begun, or neither would ever go on.

    :param names: the nodes of the run.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._awaited = set(names)
        self._begun: set[str] = set()
        self._arrived: set[str] = set()
        self._joining = False
        self._closed = False
        self._state = threading.Condition()

    def begin(self, name: str) -> None:
        """Record that work on a node has begun."""
        with self._state:
            self._begun.add(name)

    def arrive(self, name: str, *, joining: bool = False) -> None:
        """Record that a node has its images. :param joining: it can't go on without the network."""
        with self._state:
            self._arrived.add(name)
            self._joining |= joining
            self._end(name)

    def end(self, name: str) -> None:
        """Record that a node's work has ended, successfully or not."""
        with self._state:
            self._end(name)

    def close(self, *, interrupted: bool = False) -> None:
        """
        End the wait: no more nodes begin.

        :param interrupted: nothing is to be changed any more, so that no node counts.
        """
        with self._state:
            self._closed = True
            if interrupted:
                self._arrived.clear()
            self._state.notify_all()

    def wait(self) -> frozenset[str]:
        """Wait until the gate opens; return the nodes that have their images."""
        with self._state:
            self._state.wait_for(self._is_open)
            return frozenset(self._arrived)

    def _end(self, name: str) -> None:
        self._awaited.discard(name)
        self._state.notify_all()

    def _is_open(self) -> bool:
        left = self._awaited & self._begun if self._joining else self._awaited
        return self._closed or not left


class NetworkChange:
    """
    The pod network's part of a run.

    :param names: the nodes of the run.
    :param held_images: references of the images that nodes get from the deployer.
    :param wanted: whether the run is about the pod network at all.
    """

    def __init__(
        self,
        session: ClusterSession,
        journal: Journal,
        names: Iterable[str],
        held_images: Collection[str],
        *,
        wanted: bool,
    ) -> None:
        self._session = session
        self._journal = journal
        self._configured = frozenset(node.name for node in session.config.nodes)
        self._names = frozenset(names)
        self._left_out = self._configured - self._names
        self._wanted = wanted
        self._held = held_images
        self._changes: tuple[ObjectChange, ...] | None = None
        self._followed: tuple[ObjectChange, ...] = ()
        self._rollout: Rollout | None = None

    def prepare(self) -> None:
        """
        Make the network's objects, before anything is changed.

        A run of some of the nodes compares them as well: what it leaves out it must not change.

        :raises ClusterError: pods on nodes that the run leaves out would be replaced, or pods
            would be cut off from each other.
        """
        if not self._wanted:
            return
        network = self._session.network
        objects = network.objects()
        for text in other_versions(network.images(), self._held):
            self._journal.warn(text)
        if objects and (cut_off := network.cut_off()) and self.plan():
            raise ClusterError(f"{cut_off.cause}: nothing was changed", cut_off.advice)
        if objects and self._left_out:
            self.plan()
            # Those that no configuration names as well, as control planes that are nodes.
            if self._rollout and (others := sorted(self._rollout.placed - self._names)):
                raise ClusterError(
                    f"{self._rollout.text}, and on {', '.join(others)} too, which this run leaves"
                    " out: nothing was changed",
                    "run it for all nodes; or configure what runs there now",
                )

    def plan(self) -> tuple[ObjectChange, ...]:
        """Return what would change, compared once per run."""
        if self._changes is None and self._wanted:
            with self._session.guard.explaining():
                self._changes = self._session.manifests.plan(self._session.network.objects())
                self._rollout = self._session.network.rollout(self._changes)
            self._followed = self._of_its_own()
            self._changes += self._followed
            if self._rollout and self._rollout.older:
                self._journal.warn(f"{self._rollout.text}: a downgrade")
            if self._rollout and self._rollout.new_images and not self._left_out:
                self._warn_of_strangers(self._rollout)
        return self._changes or ()

    def _warn_of_strangers(self, rollout: Rollout) -> None:
        """Warn of nodes outside the configuration, which nobody brings the new images."""
        if names := sorted(rollout.placed - self._configured):
            self._journal.warn(
                f"{rollout.text}, and on {', '.join(names)} too, which the configuration does not"
                " have: they pull the new images themselves, and where they can't, are left"
                " without a pod network"
            )

    def _of_its_own(self) -> tuple[ObjectChange, ...]:
        """
        Return changes of what the network made itself, which concern all nodes at once.

        Without the right to change it, it is drift, with the command.
        """
        if self._left_out:
            return ()
        objects = self._session.network.followed()
        return (permitted(lambda: self._session.manifests.plan(objects)) or ()) if objects else ()

    @property
    def followed(self) -> list[Object]:
        """What is applied of what the network made itself."""
        return [change.object for change in self._followed]

    @property
    def rollout(self) -> Rollout | None:
        """How running pods are replaced by what was planned; None: they are not."""
        return self._rollout

    def apply(self, gate: ImageGate) -> None:
        """
        Apply the objects; where running pods get new images, once these are on all nodes.

        :raises ClusterError: a node with such a pod did not get its images.
        """
        if not self._wanted or not self._session.network.name:
            return
        with self._journal.step(None, pod_network.STEP.name, "comparing its objects") as log:
            if not (changes := self.plan()):
                return
            if self._rollout and self._rollout.new_images:
                log.progress("waiting until the nodes have its images")
                if without := sorted(self._rollout.nodes & self._configured - gate.wait()):
                    raise ClusterError(
                        f"not changed: {', '.join(without)} did not get the new images, and"
                        " would be left without a pod network",
                        "see to these nodes, and run the same command again",
                    )
            self._session.guard.obtain()
            with self._session.guard.explaining():
                self._session.manifests.apply(changes)
            rolled = f"{self._rollout.text}; " if self._rollout else ""
            log.changed(f"{rolled}{len(changes)} objects applied")
