"""Kubelets whose restart takes pods out of endpoints restart in turns, and others all at once."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from fabnode.deploy import restart_turns
from fabnode.deploy.restart_turns import RestartTurns, TooManyUnreadyError, TurnsStoppedError
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from tests.support import make_config, wait_for

if TYPE_CHECKING:
    from fabnode.deploy.node_registry import Nodes
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


def node(name: str, *, ready: bool) -> Any:
    conditions = [{"type": "Ready", "status": str(ready), "message": "no reason"}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


class Scene:
    """:ivar most: how many held a turn at once. :ivar stopped: set when the user interrupts."""

    def __init__(self, version: str, batch: int = 1, patience: float = 300) -> None:
        config = make_config(
            cluster={"version": version},
            maintenance={"batch": batch},
            timeouts={"ready": patience},
        )
        self.pods = Pods()
        self.journal = Journal()
        self.stopped = threading.Event()
        self.down: dict[str, bool] = {}  # nodes that are not Ready: did they join in this run
        nodes = SimpleNamespace(
            current=lambda: {
                name: node(name, ready=name not in self.down) for name in (*self.pods.of, "n4")
            },
            was_registered=lambda name: not self.down.get(name),
            awaits_network=lambda _: False,
        )
        self.turns = RestartTurns(
            config, cast("Api", self.pods), self.journal, self.stopped, cast("Nodes", nodes)
        )
        self.turns.expect(["n1", "n2", "n3"])
        self.most = self._now = 0
        self.wanted = 1
        self._lock = threading.Lock()

    def work(self, node: str, *, restarts: bool = True) -> None:
        with self.turns.turn(node, restarts=restarts):
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            wait_for(lambda: self.most >= self.wanted)  # as many as may, however long that takes
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
    it = Scene(version, batch)
    it.wanted = most
    assert it.all(restarts=restarts) == most


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


def test_the_first_turn_that_fails_is_the_last_one() -> None:
    """Of those that wait, and those that come later; what broke one would break them all."""
    it = Scene("1.34.3")

    def breaks(pool: ThreadPoolExecutor) -> None:
        with it.turns.turn("n1", restarts=True):
            others.append(pool.submit(it.work, "n2"))
            wait_for(lambda: any("waiting for its turn" in text for text in it.texts()))
            raise ValueError("broken")

    others: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="broken"):
        breaks(pool)
    error = others[0].exception()
    assert isinstance(error, TurnsStoppedError)
    assert str(error) == ("its kubelet was not restarted, because that of n1 failed: broken")
    assert "inv doctor --limit n1" in error.advice
    with pytest.raises(TurnsStoppedError):
        it.work("n3")
    it.work("n3", restarts=False)
    it.work("n1")  # which is tried again


@pytest.mark.parametrize(("batch", "fits"), [(1, False), (2, True)])
def test_a_node_that_is_down_counts_like_one_that_restarts(batch: int, fits: bool) -> None:
    it = Scene("1.34.3", batch)
    it.down["n4"] = False
    if fits:
        it.work("n1")
        return
    with pytest.raises(TooManyUnreadyError) as raised:
        it.work("n1")
    assert str(raised.value) == (
        "its kubelet was not restarted: n4 is not Ready, and at most 1 node may be away at once"
        " (maintenance.batch)"
    )


def test_as_many_are_away_as_this_run_was_allowed() -> None:
    """By `--batch`, which waves of an upgrade go by as well."""
    it = Scene("1.34.3")
    it.down["n4"] = False
    it.turns.expect(["n1"], 2)
    it.work("n1")
    it.down["n3"] = False
    with pytest.raises(TooManyUnreadyError) as raised:
        it.work("n1")
    assert "(maintenance.batch, or --batch)" in str(raised.value)


def test_a_node_that_is_down_itself_takes_nothing_away() -> None:
    it = Scene("1.34.3")
    it.down |= {"n1": False, "n2": False}
    it.work("n1")


def test_nodes_that_have_just_joined_were_never_there_to_be_away() -> None:
    it = Scene("1.34.3")
    it.down["n2"] = True
    it.work("n1")


def test_a_node_of_the_run_that_is_down_is_waited_for() -> None:
    it = Scene("1.34.3")
    it.down["n2"] = False
    threading.Timer(0.3, it.down.clear).start()
    it.work("n1")
    assert not it.down


def test_it_is_waited_for_as_long_as_for_ready() -> None:
    it = Scene("1.34.3", patience=1)
    it.down["n2"] = False
    with pytest.raises(TooManyUnreadyError):
        it.work("n1")


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
