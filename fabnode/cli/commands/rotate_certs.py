"""`inv rotate-certs`: selection of certificates, plans, exit codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import rotation
from ...library.results import plan_result
from ...pki.ca_rollover import DONE
from ...pki.renewal import KINDS, Renewal
from .. import app, exits, plans
from ..plan_view import plan_text

if TYPE_CHECKING:
    from ...deploy.rotation import Change
    from ...library.results import PlanResult
    from ..options import Options

_FRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Selection:
    """Selected certificates, as the options of the command."""

    only: str = ""
    issued_before: str = ""
    due: bool = False

    def renewal(self, now: datetime, margin: int) -> Renewal:
        """
        Return the renewal that the options select at this time; exit 2 for invalid options.

        :param margin: days left below which a certificate is due.
        """
        kinds = tuple(word.strip() for word in self.only.split(",") if word.strip()) or KINDS
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            known = ", ".join(KINDS)
            raise Exit(f"--only: {unknown[0]!r} is not one of {known}", exits.BAD_INPUT)
        return Renewal(
            kinds=tuple(kind for kind in KINDS if kind in kinds),
            issued_before=self._issued_before(now),
            ends_before=now + timedelta(days=margin) if self.due else None,
        )

    def _issued_before(self, now: datetime) -> datetime | None:
        if self.issued_before == "now":
            return None
        if not self.issued_before:
            return None if self.due else now - _FRESH
        try:
            found = datetime.fromisoformat(self.issued_before)
        except ValueError:
            message = (
                f"--issued-before: {self.issued_before!r} is not a time such as 2026-11-25T14:00"
            )
            raise Exit(message, exits.BAD_INPUT) from None
        return found if found.tzinfo else found.astimezone()  # in the user's time zone


def rotate(options: Options, selection: Selection, *, dry_run: bool) -> None:
    """Renew, or print what would be renewed."""
    selection.renewal(datetime.now(UTC), 0)  # invalid options end it before any prompt
    with app.run_of(options) as run:
        renewal = selection.renewal(datetime.now(UTC), run.config.verify.certificate_days)
        run = replace(run, only=rotation.steps(renewal.kinds))
        if dry_run:
            planned = plan_result(rotation.plan(run, renewal))
            plans.show_steps(run, planned, as_json=options.json)
            return
        with app.shown_if_interrupted(run, as_json=options.json):
            app.end(run, rotation.rotate(run, renewal), as_json=options.json)


def change_ca(options: Options, *, dry_run: bool) -> None:
    """Continue a change of the CA, or print its plan; exit 3 while it waits for the user."""
    with app.run_of(options) as run:
        run = replace(run, only=rotation.steps(KINDS))
        with app.shown_if_interrupted(run, as_json=options.json):
            change = rotation.plan_ca(run) if dry_run else rotation.change_ca(run)
        run.journal.detach_sinks()
        progress = {"stages": dict(change.stages), "waits_for": list(change.waits)}
        planned = plan_result(change.plan) if change.plan else None
        if not options.json:
            _print(change, planned)
        if planned:
            if options.json:
                app.print_json({**planned.to_dict(), **progress})
            if not planned.ok or len(change.stages) < len(run.nodes):
                raise Exit(code=exits.FAILED)
        else:
            app.end(run, change.checks, as_json=options.json, more=progress)
        if change.waits:
            raise Exit(code=exits.WOULD_CHANGE)


def _print(change: Change, planned: PlanResult | None) -> None:
    if planned:
        app.print_text(plan_text(planned))
    for name, stage in change.stages.items():
        app.print_text(f"{name}: {'complete' if stage == DONE else f'next: {stage}'}")
    for text in change.waits:
        app.print_text(f"waiting: {text}")
