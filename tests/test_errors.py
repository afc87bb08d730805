"""Exceptions have one root; commands end with its sentence and exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.exceptions import Exit

from fabnode.cli import app, exits
from fabnode.cli.options import Options
from fabnode.deploy.errors import PreflightError
from fabnode.journal.events import read
from fabnode.kube.client import ApiError
from fabnode.ssh.errors import ApplyError, UnreachableError
from fabnode.steps.finding import Finding
from fabnode.util.errors import ClusterError, FabnodeError, InputError
from fabnode.util.problems import ConfigError, InvalidValueError, Problem

from .library.error_tree import defined
from .support import write_cluster

# Control flow of one module: raised and caught in it, never seen outside.
LOCAL = {
    "fabnode.artifacts.bundle._RefusedError",
    "fabnode.artifacts.download._TransientError",
    "fabnode.config.imports.ansible_ini._LineError",
    "fabnode.kube.client._ForwardedError",
    "fabnode.releases.document._WrongError",
}


def test_all_exceptions_have_one_root() -> None:
    others = {e for e in defined() if not issubclass(e, FabnodeError)}
    assert {f"{e.__module__}.{e.__qualname__}" for e in others} == LOCAL
    assert len(defined()) > 40


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (FabnodeError("it failed"), 1, "it failed"),
        (FabnodeError("it failed", "do that"), 1, "it failed\nnext: do that"),
        (FabnodeError("bad key", exit_code=2), 2, "bad key"),
        (InputError("no such file", "name another"), 2, "no such file\nnext: name another"),
        (ClusterError("no answer"), 1, "no answer"),
        (
            ConfigError([Problem("c.yml", 3, "a.b", "is odd", "fix")]),
            2,
            "c.yml:3: a.b: is odd; fix",
        ),
        (UnreachableError("n1", "no answer", "start it"), 1, "no answer\nnext: start it"),
        (ApplyError("n1", "no", "fix it", action="a", detail="d"), 1, "no\nnext: fix it"),
        (ApiError(403, "Forbidden", "no such right"), 1, "no such right"),
        (
            PreflightError([Finding("error", "a", "b"), Finding("error", "c", "d")]),
            1,
            "a; c\nnext: b; d",
        ),
        (InvalidValueError("wants text", "such as x"), 1, "wants text\nnext: such as x"),
    ],
)
def test_commands_end_with_an_errors_sentence_and_exit_code(
    error: FabnodeError, code: int, text: str
) -> None:
    with pytest.raises(Exit) as stop, exits.errors_as_exits():
        raise error
    assert (stop.value.code, stop.value.message) == (code, text)


@pytest.mark.parametrize(
    ("error", "code"), [(InputError("bad"), 2), (ClusterError("away"), 1), (OSError("full"), 1)]
)
def test_the_journal_ends_with_the_exit_code_of_the_command(
    error: Exception, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    options = Options(str(write_cluster(tmp_path)), recorded=True, installs=False)
    with pytest.raises(type(error)), app.run_of(options):
        raise error
    (journal,) = tmp_path.glob("state/fabnode/runs/*/journal.jsonl")
    assert read(journal.read_text().splitlines())[-1].data == {"exit": code}
