"""`inv audit` and `inv harden` as the user meets them: tables, plan, question, exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import hardening
from ...util import program
from .. import app, exits, findings_view, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...audit.finding import Finding
    from ...deploy.hardening import Audit
    from ...util.fan_out import Outcome
    from ..options import Options


def audit(options: Options) -> None:
    """Print what is wrong with hosts; exit 1 where one can't be examined, 3 if anything is."""
    with app.run_of(options) as run:
        found = hardening.audit(run)
        back = hardening.back_again(run)
        run.journal.detach_sinks()
        if options.json:
            app.print_json(findings_view.document(found) | findings_view.cluster_document(back))
        else:
            _print_findings(found, back)
        _end(found, anything=_wrong(found) or any(f.severity != "info" for f in back))


def harden(options: Options, *, dry_run: bool, yes: bool) -> None:
    """
    Print the plan that repairs hosts; carry it out once that is confirmed.

    Exit 1 where a host fails, 3 where something would change and nobody confirmed it.
    """
    with app.run_of(options) as run:
        found = hardening.audit(run)
        todo = any(o.value and not o.value.plan.empty for o in found.values())
        if not dry_run and todo and (yes or _confirmed(options, found)):
            if not options.json and yes:
                _print_plans(found)
            left = hardening.harden(run, found)
            run.journal.detach_sinks()
            if options.json:
                app.print_json(findings_view.document(left))
            else:
                app.print_text("\nleft to be done by hand:")
                _print_findings(left)
            _end(left, anything=False)
            return
        run.journal.detach_sinks()
        if options.json:
            app.print_json(findings_view.document(found, plans=True))
        else:
            _print_plans(found)
            if todo and not dry_run:
                app.print_text(f"nothing was changed: `{program.task('harden --yes')}` does this")
        _end(found, anything=todo and not dry_run)


def _confirmed(options: Options, found: Mapping[str, Outcome[Audit]]) -> bool:
    if options.json or not sys.stdin.isatty():
        return False
    _print_plans(found)
    return app.confirmed("do this?")


def _end(found: Mapping[str, Outcome[Audit]], *, anything: bool) -> None:
    if not all(outcome.ok for outcome in found.values()):
        raise Exit(code=exits.FAILED)
    if anything:
        raise Exit(code=exits.WOULD_CHANGE)


def _wrong(found: Mapping[str, Outcome[Audit]]) -> bool:
    """Return whether anything is wrong; what merely was not examined does not count."""
    return any(f.severity != "info" for o in found.values() if o.value for f in o.value.findings)


def _print_findings(found: Mapping[str, Outcome[Audit]], cluster: Iterable[Finding] = ()) -> None:
    width = table.width_of(sys.stdout)
    for paragraph in findings_view.paragraphs(found, width=width):
        app.print_text(paragraph)
    for paragraph in findings_view.cluster_paragraphs(cluster, width=width):
        app.print_text(paragraph)
    app.print_table(findings_view.HEADS, findings_view.summary_rows(found))
    for line in findings_view.good_lines(found):
        app.print_text(line)


def _print_plans(found: Mapping[str, Outcome[Audit]]) -> None:
    for node, outcome in found.items():
        if outcome.value is None:
            app.print_text(f"{node}: can't be examined: {outcome.error or outcome.skipped}")
            continue
        app.print_text(f"{node}:")
        if outcome.value.plan.empty:
            app.print_text("  nothing that harden can do")
        app.print_text("\n".join(findings_view.plan_lines(outcome.value)))
        app.print_text("\n".join(findings_view.left_lines(outcome.value.findings)))
