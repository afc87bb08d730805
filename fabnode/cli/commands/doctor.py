"""`inv doctor`: what is wrong with nodes, why, and what fixes it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import doctor_runs
from .. import app, doctor_view, exits, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...deploy.doctor_runs import Diagnosis
    from ...util.fan_out import Outcome
    from ..options import Options


def doctor(options: Options, *, fix: bool, dry_run: bool) -> None:
    """
    Print what is wrong with nodes; with `fix`, do what is safe and probe again.

    Exit 3 where something is wrong, or could not be read; after fixes 1 where something still is.
    """
    with app.run_of(options) as run:
        found = doctor_runs.diagnose(run)
        if fix and not dry_run and any(o.value and o.value.causes for o in found.values()):
            if not options.json:
                _print(found)
            with app.shown_if_interrupted(run, as_json=options.json):
                left = doctor_runs.cure(run, found)
                more = {
                    "found": doctor_view.document(found, doctor_runs.shared(found)),
                    "left": doctor_view.document(left, doctor_runs.shared(left)),
                }
                app.end(run, (), as_json=options.json, more=more)
            return
        run.journal.detach_sinks()
        if options.json:
            app.print_json(doctor_view.document(found, doctor_runs.shared(found)))
        else:
            _print(found, would=fix)
        if not all(outcome.ok for outcome in found.values()):
            raise Exit(code=exits.FAILED)
        if any(o.value and (o.value.causes or o.value.incomplete) for o in found.values()):
            raise Exit(code=exits.WOULD_CHANGE)


def _print(found: Mapping[str, Outcome[Diagnosis]], *, would: bool = False) -> None:
    shared = doctor_runs.shared(found)
    for paragraph in doctor_view.paragraphs(found, shared, width=table.width_of(sys.stdout)):
        app.print_text(paragraph)
    if not would:
        return
    for name, lines in doctor_view.fixes(found, shared).items():
        app.print_text(f"{name}: --fix would: {'; '.join(lines) or 'change nothing'}")
