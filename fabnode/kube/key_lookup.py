"""Lookup of the keys that wait on hosts, for the approver: parallel, one at a time per host."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..pki.csr_policy import HostKey

if TYPE_CHECKING:
    from collections.abc import Callable

    Then = Callable[[HostKey], None]

_AT_ONCE = 8


class KeyLookup:
    """
    Asks hosts for the key that waits there.

    Whoever wants to know while a host is being asked shares the next answer, so that a flood of
    requests in one node's name is no flood of questions to its host.

    What a host answers may make its reading raise anything: that is this host's fault, stated in
    its place, and nobody else's answer waits for it.

    :param read: asks one host; called by one thread at a time for each node.
    """

    def __init__(self, read: Callable[[str], HostKey]) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="asking")
        self._changed = threading.Condition()
        self._waiting: dict[str, list[Then]] = {}
        self._error: Exception | None = None

    def ask(self, node: str) -> HostKey:
        """Return the answer of one host, for whom there is nothing else to do meanwhile."""
        try:
            return self._read(node)
        except Exception as error:
            return HostKey(
                fault=f"its answer can't be read ({type(error).__name__}: {error})"[:300]
            )

    def want(self, node: str, then: Callable[[HostKey], None]) -> None:
        """Call `then` with an answer that is newer than this call; returns at once."""
        with self._changed:
            if self._error:
                raise self._error
            asked = node in self._waiting
            self._waiting.setdefault(node, []).append(then)
        if not asked:
            self._pool.submit(self._ask, node)

    def settle(self) -> None:
        """Wait until all lookups have ended; raise the error of one that failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._waiting)
            if self._error:
                raise self._error

    def close(self) -> None:
        """Start no further lookups."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, node: str) -> None:
        try:
            while asked := self._next(node):
                key = self.ask(node)
                for then in asked:
                    then(key)
        except Exception as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self, node: str) -> list[Then]:
        """Return and clear the callbacks waiting for this node; with none, end its lookup."""
        with self._changed:
            asked = self._waiting[node]
            self._waiting[node] = []
            if not asked:
                del self._waiting[node]
                self._changed.notify_all()
            return asked
