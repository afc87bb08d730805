"""Cordons of a run: set with a record of their owner, lifted only where they are ours."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ..kube import node_status
from ..kube.client import ApiError
from ..upkeep import operations
from ..util import program
from ..util.errors import FabnodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..kube.client import Api, Object
    from ..upkeep.operations import Operation
    from .change_guard import ChangeGuard


class NotANodeError(FabnodeError):
    """There is no Node object of this name."""

    def __init__(self, name: str) -> None:
        command = program.task(f"deploy-nodes --limit {name}")
        super().__init__("the cluster has no Node object of this name", f"{command} makes it one")


class ForeignCordonError(FabnodeError):
    """A node was cordoned by somebody else; fabnode does not lift that."""

    def __init__(self, name: str, who: str) -> None:
        by = f" (the field was written by {who})" if who else ""
        super().__init__(
            f"it was cordoned by somebody else{by}, and stays so",
            f"kubectl uncordon {name}, once whoever cordoned it agrees",
        )


class Cordons:
    """
    The Node objects of a run as far as cordons go. Thread-safe.

    :ivar left: what is recorded on nodes that are cordoned by us now, as far as this run knows.
    """

    def __init__(self, api: Api, guard: ChangeGuard) -> None:
        self._api = api
        self._guard = guard
        self._lock = threading.Lock()
        self.left: dict[str, Operation] = {}

    def live(self, name: str) -> Object:
        """
        Return a Node object as it is now.

        :raises NotANodeError: there is none.
        """
        if (found := self._api.find(f"{node_status.NODES}/{name}")) is None:
            raise NotANodeError(name)
        return found

    def all_live(self) -> dict[str, Object]:
        """Return all Node objects as they are now, by name."""
        return node_status.all_nodes(self._api)

    def begin(self, name: str, wanted: Operation) -> tuple[Operation, bool]:
        """
        Cordon a node and record why, or go on with what is recorded there.

        :returns: the operation as it is recorded, and whether it was cordoned just now.
        """
        before = self.live(name)
        operation = operations.begun(before, wanted)
        self._put(name, before, operation)
        return operation, not operations.is_cordoned(before)

    def record(self, name: str, operation: Operation) -> Operation:
        """
        Record how far an operation is, before its next phase begins.

        :returns: the operation as it goes on: where others have lifted the cordon under which it
            began, the node is cordoned again, by it.
        """
        live = self.live(name)
        operation = operations.held(live, operation)
        self._put(name, live, operation)
        return operation

    def open(self, name: str, operation: Operation) -> tuple[Operation, bool]:
        """
        Have a node that an operation cordoned take pods, and keep the operation's record.

        :returns: the operation as it goes on, and whether the node takes pods: others may have
            cordoned it meanwhile.
        """
        opened = replace(operation, excluded=False)

        def patch(live: Object) -> Object | None:
            return operations.open_patch(live, operation, opened)

        takes_pods = self._lift(name, operation, patch)
        self.forget(name)
        return opened, takes_pods

    def end(self, name: str, operation: Operation) -> bool:
        """
        End an operation: a node that it cordoned takes pods again, any other is as before.

        :returns: whether the node takes pods: others may have lifted its cordon meanwhile, and set
            one of theirs.
        """
        takes_pods = self._lift(name, operation, lambda live: operations.end_patch(live, operation))
        self.forget(name)
        return takes_pods

    def _lift(
        self, name: str, operation: Operation, patch: Callable[[Object], Object | None]
    ) -> bool:
        """Patch a Node, which lifts the operation's own cordon; return whether it takes pods."""
        stays = False

        def seen(live: Object) -> Object | None:
            nonlocal stays
            lifts = operation.cordons and operations.is_own_cordon(live)
            stays = operations.is_cordoned(live) and not lifts
            return patch(live)

        self._write(name, self.live(name), seen)
        return not stays

    def taint(self, name: str, key: str, *effects: str, value: str = "") -> None:
        """Have a node bear taints of this key, one of each effect, and no others of it."""

        def patch(live: Object) -> Object | None:
            return operations.taint_patch(live, key, effects, value)

        self._write(name, self.live(name), patch)

    def forget(self, name: str) -> None:
        """Forget a cordon that has gone with its Node object."""
        with self._lock:
            self.left.pop(name, None)

    def lift(self, name: str) -> str:
        """
        Lift a cordon of ours; return what was ended, in a line; empty: there was nothing.

        :raises ForeignCordonError: the cordon is somebody else's.
        """
        live = self.live(name)
        if operations.is_cordoned(live) and not operations.is_own_cordon(live):
            raise ForeignCordonError(name, operations.cordoned_by(live))
        ended = operations.ends_with(live)
        return ended if self._write(name, live, operations.uncordon_patch) else ""

    def _write(self, name: str, live: Object, patch: Callable[[Object], Object | None]) -> bool:
        """Patch a Node as it was seen, and again as it is where its kubelet wrote meanwhile."""
        while wanted := patch(live):
            self._guard.obtain()
            try:
                self._api.patch(f"{node_status.NODES}/{name}", wanted)
            except ApiError as error:
                if not error.is_conflict:
                    raise
                live = self.live(name)
            else:
                return True
        return False

    def _put(self, name: str, live: Object, operation: Operation) -> None:
        self._write(name, live, lambda live: operations.begin_patch(live, operation))
        with self._lock:
            self.left[name] = operation
