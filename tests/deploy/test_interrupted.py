"""Ctrl-C: nodes' work ends and cleans up, and what was reached with each node is printed."""

from __future__ import annotations

import json
import signal
import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from fabnode.cli import app
from fabnode.deploy import pipeline
from fabnode.deploy.node_registry import Nodes
from fabnode.util.wait import Wait
from tests.support import make_config

from .test_never_quiet import Everything, Points

if TYPE_CHECKING:
    from types import SimpleNamespace


class Interrupted(Everything):
    """Three nodes, one at a time: n1 is done, n2 waits for Ready when the user interrupts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nodes = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2, 3)]
        super().__init__(monkeypatch, Points(), make_config(calico={"enabled": False}, nodes=nodes))
        self.tidied: list[str] = []

    def _api(self) -> SimpleNamespace:
        session = super()._api()
        watched = Nodes(self.config, MagicMock(), MagicMock())
        ready = session.nodes.wait_ready

        def wait_ready(name: str, *args: Any) -> Any:
            if name != "n2":
                return ready(name, *args)
            main = threading.main_thread().ident or 0
            threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
            return watched.wait_ready(name, *args)

        def tidy(node: Any, **_: Any) -> None:
            self.tidied.append(node.name)

        session.nodes.wait_ready = wait_ready
        session.admission.tidy = tidy
        session.interrupt = watched.interrupt
        return session


@pytest.mark.parametrize("as_json", [True, False])
def test_what_was_reached_is_shown_and_tokens_are_taken_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    scene = Interrupted(monkeypatch)
    run = scene.run()
    object.__setattr__(run, "max_parallel", 1)
    with pytest.raises(KeyboardInterrupt), app.shown_if_interrupted(run, as_json=as_json):
        pipeline.deploy(run)
    assert scene.tidied == ["n1", "n2"]
    out = capsys.readouterr().out
    expected = [
        ("n1", "changed", ""),
        ("n2", "unfinished", "interrupted"),
        ("n3", "unfinished", "not begun"),
    ]
    if as_json:
        rows = json.loads(out)["nodes"]
        assert [(row["node"], row["result"], row["cause"]) for row in rows] == expected
        assert rows[1]["step"] == "ready"
        return
    for node, result, why in expected:
        (line,) = (line for line in out.splitlines() if line.startswith(f"{node} "))
        assert line.split()[1] == result
        assert line.endswith(why)


def test_who_waits_for_a_node_object_is_interrupted() -> None:
    nodes = Nodes(make_config(), MagicMock(), MagicMock())
    threading.Timer(0.05, nodes.interrupt).start()
    wait = Wait("an end", 5)
    with pytest.raises(KeyboardInterrupt):
        nodes.wait_registered("n1", lambda: None)
    assert not wait.over
    with pytest.raises(KeyboardInterrupt):
        nodes.wait_registered("n1", lambda: None)
