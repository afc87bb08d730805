"""Watch on a collection of API objects, shared by all threads that wait for one of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from ..util.object_lists import listed
from ..util.wait import WaitTimeoutError
from .client import Api, ApiError, ApiWrongError, Object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..util.wait import Wait

T = TypeVar("T")

_WATCH_SECONDS = 300
_GONE = 410
_RELIST_PAUSE = 0.5


class Watch:
    """
    The objects of one collection, kept current by a background thread from `start` to `stop`.

    `until` waits for a condition over them. When the API refuses or stays unavailable, the
    waiters get that error raised.

    :param keep: makes of each object what is kept of it.
    """

    def __init__(self, api: Api, path: str, keep: Callable[[Object], Object] | None = None) -> None:
        self._api = api
        self._path = path
        self._keep = keep
        self._objects: dict[str, Object] = {}
        self._changed = threading.Condition()
        self._listed = False
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._listeners: list[Callable[[Object], None]] = []

    def start(self) -> Watch:
        """Begin; returns at once."""
        threading.Thread(target=self._run, name=f"watch {self._path}", daemon=True).start()
        return self

    def stop(self) -> None:
        """Let the thread end with its next event or its request's end (it is a daemon)."""
        self._stopping.set()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in all who wait, and in all who will."""
        with self._changed:
            self._error = KeyboardInterrupt()
            self._changed.notify_all()

    def on_change(self, listener: Callable[[Object], None]) -> None:
        """Call `listener` with each object that is added or modified, in the watch's thread."""
        self._listeners.append(listener)

    def until(self, found: Callable[[Mapping[str, Object]], T | None], wait: Wait) -> T:
        """
        Return what `found(objects by name)` returns once that is not None.

        Raises WaitTimeoutError at the deadline, or the API's error when the watch fails.
        """
        with self._changed:
            while True:
                if self._error:
                    raise self._error
                if self._listed and (result := found(self._objects)) is not None:
                    return result
                if wait.over:
                    raise wait.overdue()
                self._changed.wait(max(0.0, wait.left))

    def follow(
        self,
        found: Callable[[Mapping[str, Object]], T | None],
        wait: Wait,
        state: Callable[[], str],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> T:
        """
        Wait as `until` does, and report to the wait at each of its intervals.

        :param state: returns the last state seen, for reports and a time-out.
        :param meanwhile: called after each report; what it raises ends the waiting.
        :raises WaitTimeoutError: with that state.
        """
        while True:
            try:
                return self.until(found, wait.part())
            except WaitTimeoutError:
                if wait.over:
                    raise wait.overdue(state()) from None
            wait.report(state())
            meanwhile()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    version = self._list()
                except ApiError as error:
                    if error.status != _GONE:
                        raise
                    # A page came so late that the API has forgotten its list: list again, as
                    # client-go does.
                    self._stopping.wait(_RELIST_PAUSE)
                else:
                    self._follow(version)
        except Exception as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _list(self) -> str:
        answer = listed(self._api, self._path, self._keep)
        items = answer.get("items") or []
        if not all(_name(item) for item in items) or not _version(answer):
            raise ApiWrongError(f"the API's answer for {self._path} is not a list of objects")
        with self._changed:
            self._objects = {item["metadata"]["name"]: item for item in items}
            self._listed = True
            self._changed.notify_all()
        for item in items:
            self._notify(item)
        return str(answer["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> None:
        """Follow from `version` until the API wants a new list."""
        while not self._stopping.is_set():
            try:
                events = self._api.stream(
                    self._path, seconds=_WATCH_SECONDS, resourceVersion=version
                )
                for event in events:
                    if self._stopping.is_set():
                        return
                    kind, item, version = _parts(event)
                    if kind == "ERROR":
                        return
                    self._take(kind, item)
            except ApiError as error:
                if error.status == _GONE:
                    return
                raise
            # A stream that ends at once must not become a busy loop.
            self._stopping.wait(_RELIST_PAUSE)

    def _take(self, kind: str, item: Object) -> None:
        if kind == "BOOKMARK":
            return
        name = item["metadata"]["name"]
        with self._changed:
            if kind == "DELETED":
                self._objects.pop(name, None)
            else:
                self._objects[name] = self._keep(item) if self._keep else item
            self._changed.notify_all()
        if kind != "DELETED":
            self._notify(item)

    def _notify(self, item: Object) -> None:
        for listener in self._listeners:
            listener(item)


def _parts(event: object) -> tuple[str, Object, str]:
    """
    Return an event's type, its object and that one's version.

    :raises ApiWrongError: it is no event.
    """
    match event:
        case {"type": "ERROR"}:
            return "ERROR", {}, ""
        case {"type": str(kind), "object": dict(item)} if version := _version(item):
            if kind == "BOOKMARK" or _name(item):
                return kind, item, version
    raise ApiWrongError("the API's watch sent something that is not an event")


def _name(item: object) -> str:
    match item:
        case {"metadata": {"name": str(name)}}:
            return name
    return ""


def _version(item: object) -> str:
    match item:
        case {"metadata": {"resourceVersion": str(version)}}:
            return version
    return ""
