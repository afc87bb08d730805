"""Commands that list hosts: how they run, how often, and what becomes of those that fail."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from fabnode.cli.commands import configuration
from fabnode.config.list_content import CommandError, Outputs
from fabnode.config.loader import load, read_spread
from fabnode.util.problems import ConfigError
from tests.support import write_cluster


def script(folder: Path, text: str, name: str = "hosts") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"./{name}"


def message(folder: Path, text: str, **source: Any) -> str:
    """Return what is reported of a command that fails, and that nothing else is."""
    command = [script(folder, text)]
    path = write_cluster(folder, nodes=[{"from": {"command": command, **source}}])
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert refused.value.exit_code == 2
    return str(refused.value).replace(f"{folder}/", "")


def test_a_command_runs_beside_the_configuration_as_whoever_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell reads its arguments, and its input is empty."""
    monkeypatch.setenv("ADDRESS", "192.0.2.1")
    monkeypatch.chdir("/")
    folder = tmp_path / "config"
    folder.mkdir()
    script(folder, 'cat; test "$1" = "\\$(x) *" && echo "{\\"$(basename $PWD)\\": \\"$ADDRESS\\"}"')
    source = {"command": ["./hosts", "$(x) *"]}
    (node,) = load(write_cluster(folder, nodes=[{"from": source}])).nodes
    assert (node.name, node.address) == ("config", "192.0.2.1")


def test_a_command_runs_once_for_all_entries_that_name_it(tmp_path: Path) -> None:
    document = {"a": {"n1": "192.0.2.1"}, "b": {"n2": "192.0.2.2"}}
    (tmp_path / "document").write_text(json.dumps(document))
    command = [script(tmp_path, "echo >> ran; exec cat document")]
    entries = [{"from": {"command": command, "path": path}} for path in document]
    path = write_cluster(tmp_path, nodes=entries)
    outputs = Outputs()
    assert len(load(path, outputs=outputs).nodes) == 2
    read_spread(path, outputs)
    assert (tmp_path / "ran").read_text() == "\n"
    load(path)
    assert (tmp_path / "ran").read_text() == "\n\n"


def test_a_call_of_the_command_line_runs_it_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`config.show` reads the file for values and for lines, `fab -H n1,n2` for each host."""
    command = [script(tmp_path, "echo >> ran; echo n1 192.0.2.1")]
    source = {"command": command, "format": "text"}
    path = str(write_cluster(tmp_path, nodes=[{"from": source}]))
    configuration.show_node(path, "n1")
    shown = capsys.readouterr().out
    configuration.check(path)
    assert re.search(r"^address +192\.0\.2\.1 +output of \./hosts \(.+\.yml:\d+\):1$", shown, re.M)
    assert (tmp_path / "ran").read_text() == "\n"


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("exit 3", "./hosts ended with status 3"),
        ("echo no >&2; exit 1", "./hosts ended with status 1: no"),
        ("printf 'a\\033[2J\\n\\nb\\r\\n' >&2; exit 1", "./hosts ended with status 1: a [2J / b"),
        ("printf 'w\\n\\033[31m│\\033[0m Error: x\\n│\\n│ a\\n│ b\\n│ c\\n╵\\n' >&2; exit 1",
         "./hosts ended with status 1: Error: x / a / b / c"),
        ("seq 1000000 >&2; exit 1", "./hosts ended with status 1: 999998 / 999999 / 1000000"),
        ("kill -9 $$", "./hosts ended with signal 9"),
        ("yes", "./hosts prints more than 4 MiB: no list of hosts"),
    ],
)  # fmt: skip
def test_a_command_that_fails_is_a_sentence_with_its_last_words(
    tmp_path: Path, text: str, reported: str
) -> None:
    assert message(tmp_path, text).endswith(f": nodes[0].from.command: {reported}")


def test_a_command_that_prints_something_else_is_told_of_format(tmp_path: Path) -> None:
    reported = message(tmp_path, "echo n1 192.0.2.1")
    assert "is not valid JSON" in reported
    assert reported.endswith("`format` says so: csv, json, text or yaml")
    assert "`format`" not in message(tmp_path, "echo n1 192.0.2.1", format="json")


def test_a_command_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    begun = time.monotonic()
    reported = message(tmp_path, "echo waiting >&2; sleep 61 & echo $! > pid; wait", timeout=1)
    assert reported.endswith("did not end within 1 s: waiting; allow it more by `timeout`")
    assert time.monotonic() - begun < 30
    child = (tmp_path / "pid").read_text().strip()
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: str) -> bool:
    """Return whether a process is there; one that nobody waits for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    """As the master connection of ssh, which keeps standard error open."""
    command = (script(tmp_path, "setsid sleep 31 & echo $! > pid; echo n1"),)
    begun = time.monotonic()
    try:
        assert Outputs().of(command, tmp_path, 60) == b"n1\n"
        assert time.monotonic() - begun < 25
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("command", "reported"),
    [
        (["./none"], "./none can't be started: No such file or directory; install it, or name it"),
        (["./plain"], "./plain can't be started: Permission denied"),
        (["./broken"], "./broken can't be started: No such file or directory"),
    ],
)
def test_a_command_that_is_none_is_a_sentence(
    tmp_path: Path, command: list[str], reported: str
) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "broken").write_text("#!/none\n")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(CommandError) as refused:
        Outputs().of(tuple(command), tmp_path, 60)
    error = refused.value
    assert f"{command[0]} {error.message}; {error.advice}".startswith(reported)


def test_what_it_prints_is_named_without_its_arguments(tmp_path: Path) -> None:
    """An argument may hold a token."""
    command = [script(tmp_path, 'echo "[3]"'), "--token", "hunter2"]
    path = write_cluster(tmp_path, nodes=[{"from": {"command": command}}])
    with pytest.raises(ConfigError) as refused:
        load(path)
    reported = str(refused.value).replace(f"{tmp_path}/", "")
    assert reported == (
        "output of ./hosts (cluster.yml:13):1: must be a host: a mapping or text, got 3"
    )
