"""The Lease of a run: one holder, given back, and taken over only from runs that are gone."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from fabnode.kube import lease_lock
from fabnode.kube.client import ApiError
from fabnode.kube.lease_lock import LeaseLock, LockedError, Process


class Api:
    """An apiserver that holds one Lease, or none."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self._versions = itertools.count(1)

    def find(self, path: str) -> dict[str, Any] | None:
        return self.lease

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.lease:
            raise ApiError(409, "AlreadyExists", "it exists")
        return self._keep(body)

    def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if not self.lease:
            raise ApiError(404, "NotFound", "it has none")
        self._compare(body["metadata"]["resourceVersion"])
        return self._keep(body)

    def delete(self, path: str, *, version: str = "") -> None:
        self._compare(version)
        self.lease = None

    def _compare(self, version: str) -> None:
        if self.lease and self.lease["metadata"]["resourceVersion"] != version:
            raise ApiError(409, "Conflict", "it has changed")

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        metadata = {**body["metadata"], "resourceVersion": str(next(self._versions))}
        self.lease = {**body, "metadata": metadata}
        return self.lease


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_lock, "_POLL", 0.01)


def lock(api: Api, reported: list[str] | None = None) -> LeaseLock:
    return LeaseLock(api, (reported if reported is not None else []).append)  # type: ignore[arg-type]


def held_by(api: Api, process: Process) -> None:
    """Let the Lease be another run's."""
    other = lock(api)
    other._process = process
    other.take()
    other._over.set()  # it renews no more


def elsewhere() -> Process:
    return replace(Process.own(), place="another machine")


def dead() -> Process:
    """A process of this machine that has ended."""
    child = subprocess.Popen(["true"])
    child.wait()
    return replace(Process.own(), pid=child.pid)


def test_taken_once_and_given_back() -> None:
    api = Api()
    ours = lock(api)
    ours.take()
    ours.take()
    assert api.lease
    assert str(Process.own()) in str(api.lease)
    ours.release()
    assert api.lease is None


def test_nothing_is_written_by_a_run_that_changes_nothing() -> None:
    api = Api()
    lock(api).release()
    assert api.lease is None


def test_killed_run_of_this_machine_holds_nobody_up() -> None:
    api, reported = Api(), list[str]()
    held_by(api, dead())
    lock(api, reported).take()
    assert reported == []
    assert str(Process.own()) in str(api.lease)


def test_number_given_to_another_process_meanwhile_is_not_taken_for_the_run() -> None:
    api = Api()
    held_by(api, replace(Process.own(), born="1"))
    lock(api).take()


def test_living_run_is_named_with_the_way_out() -> None:
    api = Api()
    held_by(api, elsewhere())

    def renew(_: str) -> None:
        assert api.lease
        api.replace("", api.lease)

    ours = LeaseLock(api, renew)  # type: ignore[arg-type]
    for _ in range(2):  # other threads of the run ask as well
        with pytest.raises(
            LockedError, match=r"pid \d+ has been working on this cluster since 20"
        ) as error:
            ours.take()
        assert "wait for that run" in error.value.advice
    assert "another machine" in str(api.lease)


def test_run_that_renews_no_more_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_lock, "_SECONDS", 0.05)
    api, reported = Api(), list[str]()
    held_by(api, elsewhere())
    lock(api, reported).take()
    assert len(reported) == 1
    assert "another machine" not in str(api.lease)


def test_strange_lease_is_waited_for_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_lock, "_SECONDS", 0.05)
    api = Api()
    api._keep({"metadata": {"name": "fabnode"}})
    lock(api).take()


def test_renewal_goes_on_after_an_answer_that_was_lost() -> None:
    api = Api()
    ours = lock(api)
    ours.take()
    assert api.lease
    api.replace("", api.lease)  # done, but the answer was lost
    ours._renew_once()
    ours._renew_once()
    ours.release()
    assert api.lease is None


def test_run_that_lost_its_lease_changes_nothing_more() -> None:
    api = Api()
    ours = lock(api)
    ours.take()
    assert api.lease
    process = {lease_lock._PROCESS: str(elsewhere())}
    api._keep({**api.lease, "metadata": {**api.lease["metadata"], "annotations": process}})
    ours._renew_once()
    with pytest.raises(LockedError, match="took over"):
        ours.take()
    ours.release()
    assert api.lease, "it is not ours to give back"
