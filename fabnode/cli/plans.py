"""Commands that plan first: the plan shown, or confirmed and carried out; their exit codes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from ..util import program
from . import app, exits, reset_view
from .plan_view import plan_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..deploy.run import Run
    from ..library.results import PlanResult
    from ..util.fan_out import Outcome
    from .options import Options


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command would do with nodes, and how that is shown."""

    show: Callable[[], None]  # to people
    document: Callable[[], Mapping[str, Any]]  # for programs
    forbidden: bool  # some node can't be changed as it is


@dataclass(frozen=True, slots=True)
class Removal:
    """What removes parts of nodes, once it is confirmed."""

    verb: str  # in the question
    task: str  # the command, without its options
    nodes: tuple[str, ...]
    todo: bool  # there is something to remove
    carry_out: Callable[[], Mapping[str, Outcome[Any]]]
    lines: Callable[[Mapping[str, Outcome[Any]]], Iterable[str]] = reset_view.result_lines
    document: Callable[[Mapping[str, Outcome[Any]]], Mapping[str, Any]] = reset_view.result_document


def show_steps(run: Run, planned: PlanResult, *, as_json: bool) -> None:
    """Print a plan of steps; exit 1 where a node can't be planned."""
    run.journal.detach_sinks()
    if as_json:
        app.print_json(planned.to_dict())
    else:
        app.print_text(plan_text(planned))
    if not planned.ok:
        raise Exit(code=exits.FAILED)


def show(run: Run, plan: Plan, *, as_json: bool) -> None:
    """Print a plan that nobody is asked about; exit 1 where a node can't be changed as it is."""
    run.journal.detach_sinks()
    if as_json:
        app.print_json(plan.document())
    else:
        plan.show()
    if plan.forbidden:
        raise Exit(code=exits.FAILED)


def confirm_and_remove(
    run: Run, options: Options, plan: Plan, removal: Removal, *, dry_run: bool, yes: bool
) -> None:
    """
    Print a plan; carry it out once that is confirmed, and print what has gone.

    Exit 1 where a node fails or is refused, 3 where something would go and nobody confirmed it.
    """
    wanted = removal.todo and not dry_run
    if wanted and not plan.forbidden and (yes or _confirmed(options, plan, removal)):
        if yes and not options.json:
            plan.show()
        with app.shown_if_interrupted(run, as_json=options.json):
            done = removal.carry_out()
        _end(run, removal, done, as_json=options.json)
        return
    show(run, plan, as_json=options.json)
    if wanted:
        if not options.json:
            command = program.task(f"{removal.task} --limit {options.limit} --yes")
            app.print_text(f"nothing was changed: `{command}` does this")
        raise Exit(code=exits.WOULD_CHANGE)


def _confirmed(options: Options, plan: Plan, removal: Removal) -> bool:
    if options.json or not sys.stdin.isatty():
        return False
    plan.show()
    return app.confirmed(f"{removal.verb} {', '.join(removal.nodes)}?")


def _end(run: Run, removal: Removal, done: Mapping[str, Outcome[Any]], *, as_json: bool) -> None:
    if not as_json:
        app.print_text("\n".join(["", *removal.lines(done)]))
        app.end(run, (), as_json=False)
        return
    run.journal.detach_sinks()
    app.print_json(removal.document(done))
    if not all(outcome.ok for outcome in done.values()):
        raise Exit(code=exits.FAILED)
