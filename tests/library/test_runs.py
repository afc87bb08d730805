"""Runs as functions: results, events, secrets, journals; two nodes and an API in memory."""

from __future__ import annotations

import json
import logging
import re
import stat
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

import pytest

import fabnode
from fabnode import (
    ConfigError,
    Event,
    HostError,
    InputError,
    SecretRequest,
    deploy_nodes,
    load_config,
    plan,
    verify,
)
from fabnode.cli import app
from fabnode.cli.commands import inspection
from fabnode.cli.options import Options
from fabnode.deploy import pipeline
from fabnode.journal.events import read
from fabnode.node import layout
from fabnode.ssh.errors import ConnectionLostError
from tests.deploy.test_never_quiet import Everything, Points, joined
from tests.support import write_cluster

from .examples import examples

if TYPE_CHECKING:
    from pathlib import Path

    from fabnode.config.configuration import Config

NODES = [{"name": "n1", "address": "192.0.2.1"}, {"name": "n2", "address": "192.0.2.2"}]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "fabnode" / "runs"


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, state: Path) -> Everything:
    return Everything(monkeypatch, Points())


def configured(folder: Path, **changes: Any) -> Path:
    return write_cluster(folder, **{"calico": {"enabled": False}, "nodes": NODES, **changes})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(configured(tmp_path), artifacts=False)


def journal_of(folder: Path | None) -> list[Event]:
    assert folder
    return read((folder / "journal.jsonl").read_text().splitlines())


def test_a_deployment_and_another_one(
    scene: Everything, config: Config, state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[Event] = []
    first = deploy_nodes(config, on_event=events.append)
    assert first.ok
    assert first.changed
    assert [(row.node, row.result) for row in first.nodes] == [("n1", "changed"), ("n2", "changed")]
    assert [(check.node, check.ok) for check in first.checks] == [("n1", True), ("n2", True)]
    assert first.errors == {}
    assert first.journal
    assert first.journal.parent == state
    reported = journal_of(first.journal)
    assert [(e.step, e.state, e.text) for e in reported] == [
        (e.step, e.state, e.text) for e in events
    ]
    assert reported[0].data["fabnode"] == fabnode.__version__
    assert reported[0].data["kubernetes"] == "1.37.2"
    assert (reported[0].text, reported[-1].data) == ("fabnode.deploy_nodes", {"exit": 0})
    second = deploy_nodes(config)
    assert second.ok
    assert not second.changed
    assert capfd.readouterr() == ("", "")
    with pytest.raises(FrozenInstanceError):
        second.nodes = ()  # type: ignore[misc]


def test_a_plan_says_what_and_why_and_no_secrets(scene: Everything, config: Config) -> None:
    joined(scene)
    assert plan(config).empty
    paths = scene.hosts["n1"].facts.paths
    assert isinstance(paths, dict)
    paths.pop(layout.KUBELET_CONFIG)
    planned = plan(config)
    assert planned.ok
    assert not planned.empty
    n1, n2 = planned.nodes
    assert n2.empty
    assert ("kubelet", "create", "file", layout.KUBELET_CONFIG) in {
        (change.step, change.action, change.kind, change.name) for change in n1.changes
    }
    assert all(change.why for change in n1.changes)
    assert n1.restarts == ("kubelet.service",)
    (limited,) = plan(config, limit="n2").nodes
    assert limited == n2


def test_plan_and_command_print_the_same(
    scene: Everything, config: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = Options(str(config.source), json=True, installs=False)
    inspection.show_plan(options, exit_code=False)
    assert json.loads(capsys.readouterr().out) == plan(config).to_dict()
    inspection.verify(options, network=False)
    assert json.loads(capsys.readouterr().out) == verify(config, network=False).to_dict()
    joined(scene)
    with app.run_of(options) as run:
        app.end(run, pipeline.deploy(run), as_json=True)
    printed = json.loads(capsys.readouterr().out)
    returned = deploy_nodes(config).to_dict()
    for row in (*printed["nodes"], *returned["nodes"]):
        assert row.pop("seconds") >= 0
    assert printed == returned


def test_a_node_that_fails_is_part_of_the_result(
    monkeypatch: pytest.MonkeyPatch, state: Path, config: Config
) -> None:
    lost = ConnectionLostError("n1", "the connection broke")
    Everything(monkeypatch, Points(at=0, error=lost))
    result = deploy_nodes(config)
    assert not result.ok
    assert [row.result for row in result.nodes] == ["failed", "changed"]
    assert result.nodes[0].cause == "the connection broke"
    assert result.nodes[0].advice == lost.advice
    assert result.errors == {"n1": lost}
    assert isinstance(result.errors["n1"], HostError)
    assert journal_of(result.journal)[-1].data == {"exit": 1}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionLostError("n1", "it broke", "try again"), "it broke; try again"),
        (OSError("no room"), "no room"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_node_that_cannot_be_planned_is_part_of_the_result(
    monkeypatch: pytest.MonkeyPatch, config: Config, error: Exception, text: str
) -> None:
    joined(Everything(monkeypatch, Points()))
    Everything(monkeypatch, Points(at=0, error=error))
    planned = plan(config, limit="n1")
    assert (planned.ok, planned.empty, planned.errors) == (False, False, {"n1": error})
    assert planned.to_dict()["nodes"] == [{"node": "n1", "error": text}]


def test_what_fails_for_the_cluster_has_a_row_of_its_own(scene: Everything, config: Config) -> None:
    scene.cluster_error = ("roles", HostError("", "it says no"))
    result = deploy_nodes(config)
    assert not result.ok
    assert result.cluster
    assert (result.cluster.result, result.rows[0]) == ("failed", result.cluster)
    assert {row.node for row in result.nodes} == {"n1", "n2"}


def test_a_subscriber_that_raises_stops_no_run_and_is_not_hidden(
    scene: Everything, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Event] = []

    def subscriber(event: Event) -> None:
        got.append(event)
        if len(got) == 3:
            raise ValueError("no room")

    with caplog.at_level(logging.ERROR, "fabnode"):
        result = deploy_nodes(config, on_event=subscriber)
    assert result.ok
    assert len(got) == 3
    (record,) = caplog.records
    assert record.exc_info
    assert str(record.exc_info[1]) == "no room"
    (warning,) = (event for event in journal_of(result.journal) if event.state == "warning")
    assert "subscriber" in warning.text
    assert warning.text.endswith("ValueError: no room")


def test_an_interrupt_in_a_subscriber_is_passed_on(
    scene: Everything, config: Config, state: Path
) -> None:
    def interrupt(_: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy_nodes(config, on_event=interrupt)


def test_secrets_come_from_the_function_and_reach_no_event(
    scene: Everything, tmp_path: Path
) -> None:
    password = {"user": "ops", "sudo_password": {"prompt": True}}
    config = load_config(configured(tmp_path, ssh=password), artifacts=False)
    asked: list[SecretRequest] = []
    events: list[Event] = []

    def vault(request: SecretRequest) -> str:
        asked.append(request)
        return "correct horse"

    def subscriber(event: Event) -> None:
        events.append(event)
        if len(events) == 1:
            raise RuntimeError("correct horse")

    with pytest.raises(InputError, match="can't be asked for here"):
        plan(config)
    result = deploy_nodes(config, ask_secret=vault, on_event=subscriber)
    assert asked == [SecretRequest("ssh.sudo_password", "ops", "sudo password of ops: ")]
    assert result.journal
    assert "correct horse" not in (result.journal / "journal.jsonl").read_text()
    assert stat.S_IMODE(result.journal.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"limit": "nobody"}, "no node or group is called 'nobody'"),
        ({"max_parallel": 0}, "must be 1 or more"),
        ({"batch": -1}, "must be 1 or more"),
    ],
)
def test_bad_input_is_raised(
    scene: Everything, config: Config, wrong: dict[str, Any], text: str, state: Path
) -> None:
    with pytest.raises(InputError, match=text) as caught:
        deploy_nodes(config, **wrong)
    assert caught.value.exit_code == 2
    assert not state.exists()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"bundle": "/nowhere.zst"}, "/nowhere.zst: No such file"),
        ({"bundle_sha256": "a" * 64}, "bundle_sha256 needs a bundle"),
        ({"bundle": "x", "bundle_sha256": "ab"}, "'ab' is not one; expected 64"),
        ({"bundle": "x", "bundle_sha256": ""}, "'' is not one; expected 64"),
        ({}, "artifacts"),
    ],
)
def test_a_configuration_that_cannot_be_loaded(
    tmp_path: Path, wrong: dict[str, Any], text: str
) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        load_config(configured(tmp_path), **wrong)


def test_a_configuration_is_read_from_text_or_path(tmp_path: Path) -> None:
    path = configured(tmp_path)
    assert load_config(str(path), artifacts=False) == load_config(path, artifacts=False)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.yml")
    assert caught.value.problems[0].file == str(tmp_path / "none.yml")


@pytest.mark.parametrize("number", range(len(examples())))
def test_examples_run(
    number: int, scene: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nodes in memory; the longest one runs on the lab too, in tests/lab/test_installed.py."""
    folder = tmp_path / "config"
    binaries = folder / "artifacts" / "bin"
    binaries.mkdir(parents=True)
    (folder / "artifacts" / "cni").mkdir()
    for name in ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc"):
        (binaries / name).touch()
    configured(folder, groups={"ssd": {}}, ssh={"user": "ops", "sudo_password": {"prompt": True}})
    if "ask_secret" not in examples()[number]:
        configured(folder, groups={"ssd": {}})
    monkeypatch.chdir(tmp_path)
    code = examples()[number].replace("node-1", "n1")
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, f"example {number}", "exec"), names)
    if "deploy_nodes(" in code:
        assert names["deployed"].ok
        assert names["checked"].ok
        assert len(names["planned"].nodes) == 1
    if "exit_code" in code:
        assert names["code"] == 0
