"""`inv reset` as the user meets it: plan, question, three lists, exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import resetting
from ...util import program
from .. import app, exits, reset_view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...deploy.resetting import Resettable
    from ...util.fan_out import Outcome
    from ..options import Options


def reset(options: Options, pods: str, *, dry_run: bool, yes: bool) -> None:
    """
    Print what a reset would do; do it once that is confirmed.

    Exit 1 where a host fails or is refused, 3 where something would change and nobody confirmed it.

    :param pods: patterns of pods that may be ended, with commas between.
    """
    if not options.limit:
        raise Exit("--limit is missing: which nodes are to be reset", exits.BAD_INPUT)
    patterns = tuple(each.strip() for each in pods.split(",") if each.strip())
    with app.run_of(options) as run:
        found = resetting.plan(run, patterns)
        ready = all(o.value and not o.value.reset.refusals for o in found.values())
        todo = any(o.value and o.value.reset.changes for o in found.values())
        if ready and todo and not dry_run and (yes or _confirmed(options, found)):
            if not options.json and yes:
                _print_plan(found)
            with app.shown_if_interrupted(run, as_json=options.json):
                done = resetting.carry_out(run, found, patterns)
            if options.json:
                run.journal.detach_sinks()
                app.print_json(reset_view.result_document(done))
                if not all(outcome.ok for outcome in done.values()):
                    raise Exit(code=exits.FAILED)
                return
            app.print_text("\n".join(["", *reset_view.result_lines(done)]))
            app.end(run, (), as_json=False)
            return
        run.journal.detach_sinks()
        if options.json:
            app.print_json(reset_view.plan_document(found))
        else:
            _print_plan(found)
        if not ready:
            raise Exit(code=exits.FAILED)
        if todo and not dry_run:
            if not options.json:
                command = program.task(f"reset --limit {options.limit} --yes")
                app.print_text(f"nothing was changed: `{command}` does this")
            raise Exit(code=exits.WOULD_CHANGE)


def _confirmed(options: Options, found: Mapping[str, Outcome[Resettable]]) -> bool:
    if options.json or not sys.stdin.isatty():
        return False
    _print_plan(found)
    return app.confirmed(f"reset {', '.join(found)}?")


def _print_plan(found: Mapping[str, Outcome[Resettable]]) -> None:
    app.print_text("\n".join(reset_view.plan_lines(found)))
