"""
Lock of a cluster: a Lease held by the one run that may change it.

It is renewed while the run goes on and removed at its end. A run that was killed leaves it: the
next one on the same machine sees that the process is gone and takes over at once, one on another
machine when the Lease was not renewed for its duration.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.errors import ClusterError
from ..util.wait import Wait
from ..util.whoami import whoami
from .client import ApiAwayError, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import Api, Object

NAMESPACE, NAME = "kube-system", "fabnode"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
_PATH = f"{_LEASES}/{NAME}"
_PROCESS = "fabnode.io/process"
_SECONDS = 15  # without a renewal it counts as abandoned
_RENEW = 5.0
_POLL = 0.5
_NOT_FOUND = 404


class LockedError(ClusterError):
    """Another run is changing this cluster."""

    advice = "wait for that run to end, then run the same command again"


@dataclass(frozen=True, slots=True)
class Process:
    """
    Identity of a process that other processes can check.

    :param place: the machine's present boot and the process namespace. :param born: start time.
    """

    place: str
    pid: int
    born: str

    def __str__(self) -> str:
        return f"{self.place} {self.pid} {self.born}"

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Return what `str` made; None for anything else."""
        place, _, rest = text.partition(" ")
        pid, _, born = rest.partition(" ")
        return cls(place, int(pid), born) if pid.isdecimal() and len(pid) < 10 else None

    @classmethod
    def own(cls) -> Process:
        """Return the current process."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = Path("/proc/self/ns/pid").readlink()
        return cls(f"{boot}/{space}", os.getpid(), _born(os.getpid()) or "")

    def gone(self, place: str) -> bool:
        """Return whether it has certainly ended, as seen from `place`; unknown from elsewhere."""
        return self.place == place and _born(self.pid) != self.born


class LeaseLock:
    """
    Acquired once, held until `release`, renewed by its own thread.

    :param on_wait: called with a text when another run seems to hold it.
    """

    def __init__(self, api: Api, on_wait: Callable[[str], None]) -> None:
        self._api = api
        self._on_wait = on_wait
        self._process = Process.own()
        self._over = threading.Event()
        self._held: Object | None = None
        self._refused = ""

    def take(self) -> None:
        """
        Acquire the Lease and keep it renewed.

        :raises LockedError: another run is alive, or took the Lease over.
        """
        if self._refused:
            raise LockedError(self._refused)  # for good: who asks again must not outlast the other
        if self._held is None:
            try:
                self._held = self._take()
            except LockedError as error:
                self._refused = str(error)
                raise
            threading.Thread(target=self._renew, name="run lock", daemon=True).start()

    def release(self) -> None:
        """Release the Lease, if held; an unavailable API does not prevent the run from ending."""
        self._over.set()
        if self._held is not None:
            with suppress(ApiError, ApiAwayError):
                live = self._api.find(_PATH)
                if live and self._is_ours(live):
                    self._api.delete(_PATH, version=live["metadata"]["resourceVersion"])

    def _take(self) -> Object:
        first, silent = "", _silence()
        while True:
            try:
                return self._api.create(_LEASES, self._lease())
            except ApiError as error:
                if not error.is_conflict:
                    raise
            live = self._api.find(_PATH)
            if live is None:
                continue
            version = live["metadata"]["resourceVersion"]
            if not first:
                first = version
                if not self._abandoned(live):
                    self._on_wait(f"{_holder(live)}; checking whether that run is still alive")
            if self._abandoned(live) or silent.over:
                try:
                    return self._api.replace(_PATH, self._lease(version))
                except ApiError as error:
                    if not error.is_conflict and error.status != _NOT_FOUND:
                        raise
                    first, silent = "", _silence()  # another one was quicker
            elif version != first:
                raise LockedError(_holder(live))
            silent.pause()

    def _abandoned(self, live: Object) -> bool:
        holder = Process.parse(_process_of(live))
        return holder is not None and holder.gone(self._process.place)

    def _is_ours(self, live: Object) -> bool:
        return _process_of(live) == str(self._process)

    def _renew(self) -> None:
        while not self._over.wait(_RENEW):
            with suppress(ApiAwayError):
                self._renew_once()

    def _renew_once(self) -> None:
        assert self._held is not None
        spec = {**self._held["spec"], "renewTime": _now()}
        try:
            self._held = self._api.replace(_PATH, {**self._held, "spec": spec})
        except ApiError:
            # Another run's, or our own renewal whose answer was lost.
            with suppress(ApiError):
                live = self._api.find(_PATH)
                if live and self._is_ours(live):
                    self._held = live
                elif live:
                    self._refused = f"{_holder(live)}; it took over from this run"
                    self._over.set()

    def _lease(self, version: str = "") -> Object:
        metadata: Object = {
            "name": NAME,
            "namespace": NAMESPACE,
            "annotations": {_PROCESS: str(self._process)},
        }
        if version:
            metadata["resourceVersion"] = version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": f"{whoami()} pid {os.getpid()}",
                "leaseDurationSeconds": _SECONDS,
                "acquireTime": _now(),
                "renewTime": _now(),
            },
        }


def holder(api: Api) -> str:
    """Return who works on a cluster and since when, in a line; empty: no run holds its Lease."""
    live = api.find(_PATH)
    return _holder(live) if live else ""


def _process_of(live: Object) -> str:
    return str((live["metadata"].get("annotations") or {}).get(_PROCESS, ""))


def _holder(live: Object) -> str:
    spec = live.get("spec") or {}
    holder, since = spec.get("holderIdentity") or "somebody", spec.get("acquireTime") or "?"
    return f"{holder} has been working on this cluster since {since[:19].replace('T', ' ')} UTC"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _born(pid: int) -> str | None:
    """Return when a process started (clock ticks since boot); None where none runs."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else fields[18]


def _silence() -> Wait:
    return Wait("a renewal by the other run", _SECONDS, _POLL)
