"""Kubelets whose restart takes pods out of endpoints restart in turns, and others all at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest

from fabnode.deploy import restart_turns
from fabnode.deploy.restart_turns import RestartTurns
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from tests.support import make_config

if TYPE_CHECKING:
    from fabnode.kube.client import Api


class Pods:
    """An API that has pods of each node: by uid, whether they are ready."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, bool]] = {"n1": {}, "n2": {}, "n3": {}}
        self.forbidden = False

    def get(self, _: str, *, fieldSelector: str) -> Any:  # noqa: N803
        if self.forbidden:
            raise ApiError(403, "Forbidden", "pods is forbidden")
        pods = self.of[fieldSelector.removeprefix("spec.nodeName=")]
        return {
            "items": [
                {
                    "metadata": {"uid": uid},
                    "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
                }
                for uid, ready in pods.items()
            ]
        }


class Scene:
    """:ivar most: how many held a turn at once. :ivar stopped: set when the user interrupts."""

    def __init__(self, version: str, batch: int = 1) -> None:
        config = make_config(cluster={"version": version}, maintenance={"batch": batch})
        self.pods = Pods()
        self.journal = Journal()
        self.stopped = threading.Event()
        self.turns = RestartTurns(config, cast("Api", self.pods), self.journal, self.stopped)
        self.most = self._now = 0
        self._lock = threading.Lock()

    def work(self, node: str, *, restarts: bool = True) -> None:
        with self.turns.turn(node, restarts=restarts):
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            threading.Event().wait(0.05)
            with self._lock:
                self._now -= 1

    def all(self, *, restarts: bool = True) -> int:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda node: self.work(node, restarts=restarts), ("n1", "n2", "n3")))
        return self.most

    def texts(self) -> list[str]:
        return [event.text for event in self.journal.events]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_turns, "_POLL", 0.01)


@pytest.mark.parametrize(
    ("version", "batch", "restarts", "most"),
    [
        ("1.34.3", 1, True, 1),
        ("1.34.3", 2, True, 2),
        ("1.34.3", 1, False, 3),
        ("1.35.0", 1, True, 3),
    ],
)
def test_how_many_restart_at_once(version: str, batch: int, restarts: bool, most: int) -> None:
    assert Scene(version, batch).all(restarts=restarts) == most


def test_a_turn_lasts_until_pods_that_were_ready_are_so_again() -> None:
    it = Scene("1.34.3")
    it.pods.of["n1"] = {"a": True, "b": False, "c": True}
    with it.turns.turn("n1", restarts=True):
        it.pods.of["n1"] = {"a": False, "b": False, "c": False}

        def probed() -> None:
            it.pods.of["n1"] = {"a": True, "b": False}  # c has gone

        threading.Timer(0.1, probed).start()
    assert it.pods.of["n1"]["a"]
    assert "its pods are ready again" in it.texts()


def test_pods_that_stay_away_are_named_and_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_turns, "_PROBED", 0.05)
    it = Scene("1.34.3")
    it.pods.of["n1"] = {"a": True}
    with it.turns.turn("n1", restarts=True):
        it.pods.of["n1"] = {"a": False}
    assert any("1 of its pods were ready before" in text for text in it.texts())
    it.work("n2")


def test_a_failure_gives_the_turn_back() -> None:
    it = Scene("1.34.3")
    with pytest.raises(ValueError, match="broken"), it.turns.turn("n1", restarts=True):
        raise ValueError("broken")
    it.work("n2")


def test_who_may_not_list_pods_goes_on_at_once() -> None:
    it = Scene("1.34.3")
    it.pods.forbidden = True
    assert it.all() == 1


def test_an_interrupt_ends_the_wait_for_a_turn() -> None:
    it = Scene("1.34.3")
    it.stopped.set()
    with (
        it.turns.turn("n1", restarts=True),
        pytest.raises(KeyboardInterrupt),
        it.turns.turn("n2", restarts=True),
    ):
        raise AssertionError("it has no turn")
