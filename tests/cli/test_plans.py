"""What commands that take things away do with a plan, by options and answers."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from invoke.exceptions import Exit

from fabnode.cli import app, exits, plans
from fabnode.cli.options import Options
from fabnode.deploy.resetting import ResetResult
from fabnode.util.errors import FabnodeError
from fabnode.util.fan_out import Outcome

if TYPE_CHECKING:
    from fabnode.deploy.run import Run

SHOWN = "what would go"
GONE = ResetResult(gone=("file /etc/x",), restored=(), changed=(), others={}, stays=(), unknown=())


def outcome(
    monkeypatch: pytest.MonkeyPatch,
    *,
    dry_run: bool = False,
    yes: bool = False,
    as_json: bool = False,
    todo: bool = True,
    forbidden: bool = False,
    answer: str | None = None,
    failing: bool = False,
) -> tuple[int, bool]:
    """Return the exit code and whether anything was carried out; the table's end is left out."""
    done: list[str] = []

    def carry_out() -> dict[str, Outcome[ResetResult]]:
        done.append("n1")
        error = FabnodeError("gone away", "look there")
        return {"n1": Outcome(error=error) if failing else Outcome(GONE)}

    def end(run: object, checks: object, *, as_json: bool) -> None:
        if failing:
            raise Exit(code=exits.FAILED)

    monkeypatch.setattr(app, "end", end)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: answer is not None))
    run = cast("Run", SimpleNamespace(journal=SimpleNamespace(detach_sinks=lambda: None)))
    plan = plans.Plan(lambda: app.print_text(SHOWN), lambda: {"shown": SHOWN}, forbidden)
    removal = plans.Removal("remove", "remove-node", ("n1",), todo, carry_out)
    options = Options(limit="n1", json=as_json)
    try:
        plans.confirm_and_remove(run, options, plan, removal, dry_run=dry_run, yes=yes)
    except Exit as stop:
        return stop.code, bool(done)
    return 0, bool(done)


@pytest.mark.parametrize(
    ("case", "code", "done"),
    [
        ({"yes": True}, 0, True),
        ({"yes": True, "failing": True}, exits.FAILED, True),
        ({"yes": True, "forbidden": True}, exits.FAILED, False),
        ({"yes": True, "todo": False}, 0, False),
        ({"yes": True, "dry_run": True}, 0, False),
        ({"dry_run": True, "forbidden": True}, exits.FAILED, False),
        ({}, exits.WOULD_CHANGE, False),
        ({"answer": "y"}, 0, True),
        ({"answer": ""}, exits.WOULD_CHANGE, False),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_only_what_is_confirmed_goes(
    case: dict[str, Any],
    code: int,
    done: bool,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Programs are never asked: --json needs --yes."""
    if as_json and "answer" in case:
        code, done = exits.WOULD_CHANGE, False
    assert outcome(monkeypatch, **case, as_json=as_json) == (code, done)
    seen = capsys.readouterr().out
    if as_json:
        assert set(json.loads(seen)) == ({"nodes"} if done else {"shown"})
    else:
        assert SHOWN in seen
        assert ("nothing was changed" in seen) == (code == exits.WOULD_CHANGE)
