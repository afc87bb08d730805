"""What is in flight that no Node object tells: by the deployer's records, and the hosts'."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from fabnode.deploy import status_runs, unfinished
from fabnode.ssh.errors import UnreachableError

from .nodes_in_use import Scene

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "remove-node by a@b since 2026-11-30 08:00:00 UTC"


class Asked(Scene):
    """:ivar said: what each host has recorded. :ivar asked: hosts that were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        super().__init__(monkeypatch)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        self.said: dict[str, str | Exception] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(status_runs, "Access", MagicMock())
        monkeypatch.setattr(status_runs, "Host", self._host)

    def status(self) -> dict[str, str]:
        found = status_runs.status(self.run("n1", "n2", "n3"))
        return {each.node: each.operation for each in found.nodes}

    def _host(self, node: Any, _: object) -> Any:
        def root(command: str) -> SimpleNamespace:
            assert command in {
                unfinished.read_command("/var/lib/fabnode"),
                unfinished.kept_command("/var/lib/fabnode"),
            }
            self.asked.append(node.name)
            said = self.said.get(node.name, "")
            if isinstance(said, Exception):
                raise said
            return SimpleNamespace(stdout=said.encode())

        made = MagicMock()
        made.__enter__.return_value = SimpleNamespace(root=root)
        made.__exit__.return_value = False
        return made


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    return Asked(monkeypatch, tmp_path)


def test_a_removal_past_its_node_object_stands_with_its_deployer(scene: Asked) -> None:
    del scene.api.nodes["n3"]
    unfinished.begin(scene.run("n3").config, "n3", TEXT)
    assert scene.status() == {
        "n1": "",
        "n2": "",
        "n3": f"no Node object; unfinished: {TEXT}: inv remove-node --limit n3 goes on",
    }
    assert scene.asked == []


def test_another_deployer_learns_it_of_the_host(scene: Asked) -> None:
    """Of a node that is no use, whether its Node object is there or not."""
    del scene.api.nodes["n3"]
    scene.api.nodes["n2"]["status"]["conditions"][0]["status"] = "Unknown"
    scene.said = {"n2": f"reset{TEXT[11:]}\n", "n3": "x\x1b[2J" * 200}
    found = scene.status()
    assert found["n2"] == f"unfinished: reset{TEXT[11:]}: inv reset --limit n2 goes on"
    assert found["n3"].startswith("no Node object; unfinished: x")
    assert "\x1b" not in found["n3"]
    assert sorted(scene.asked) == ["n2", "n3"]


def test_a_host_that_can_not_be_asked_is_said(scene: Asked) -> None:
    del scene.api.nodes["n3"]
    scene.said["n3"] = UnreachableError("n3", "no answer")
    assert "(its host does not say whether a reset is unfinished: " in scene.status()["n3"]


def test_nodes_that_are_ready_are_asked_nothing(scene: Asked) -> None:
    assert scene.status() == {"n1": "", "n2": "", "n3": ""}
    assert scene.asked == []


def test_a_node_that_is_in_use_again_has_no_unfinished_reset(scene: Asked) -> None:
    """It was deployed since, by another deployer."""
    unfinished.begin(scene.run("n1").config, "n1", f"reset{TEXT[11:]}")
    assert scene.status()["n1"] == ""


def test_a_node_of_the_same_name_in_another_cluster_has_its_own_record(scene: Asked) -> None:
    del scene.api.nodes["n3"]
    config = replace(scene.run("n3").config, ca_pem=b"another cluster's")
    unfinished.begin(config, "n3", TEXT)
    assert scene.status()["n3"] == "no Node object"
    assert unfinished.find(config, "n3") == TEXT
    unfinished.end(scene.run("n3").config, "n3")
    assert unfinished.find(config, "n3") == TEXT
    unfinished.end(config, "n3")
    assert unfinished.find(config, "n3") == ""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("nothing is kept\n", False),
        ("", True),
        (UnreachableError("n1", "no answer"), True),
    ],
)
def test_what_a_host_keeps_no_more_is_not_in_flight(
    scene: Asked, said: str | Exception, *, shown: bool
) -> None:
    """Another deployer has finished that upgrade."""
    config = scene.run("n1").config
    unfinished.keep(config, "n1", "upgrade by a@b")
    scene.said["n1"] = said
    found = "unfinished: upgrade by a@b: inv upgrade --limit n1 goes on" if shown else ""
    assert scene.status()["n1"] == found
    assert scene.asked == ["n1"]
    assert bool(unfinished.kept(config, "n1")) is shown


def test_the_command_about_what_is_kept(tmp_path: Path) -> None:
    def answer() -> str:
        command = unfinished.kept_command(str(tmp_path))
        return subprocess.run(
            ["sh", "-c", command], capture_output=True, check=True, text=True
        ).stdout

    assert answer().strip() == unfinished.NOT_KEPT
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "tag").touch()
    assert answer() == ""
