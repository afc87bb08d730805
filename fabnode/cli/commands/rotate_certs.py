"""`inv rotate-certs` as the user meets it: which certificates are meant, plans, exit codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import rotation
from ...library.results import plan_result
from ...pki.ca_rollover import DONE
from ...pki.renewal import KINDS, Renewal
from .. import app
from ..plan_view import plan_text

if TYPE_CHECKING:
    from ...deploy.rotation import Change
    from ...library.results import PlanResult
    from ..app import Options

_FRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which certificates are meant, in the words of the command line."""

    only: str = ""
    issued_before: str = ""
    due: bool = False

    def renewal(self, now: datetime, margin: int) -> Renewal:
        """Return what that means now. Exits with 2 where it means nothing."""
        kinds = tuple(word.strip() for word in self.only.split(",") if word.strip()) or KINDS
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            known = ", ".join(KINDS)
            raise Exit(f"--only: {unknown[0]!r} is none of {known}", app.BAD_INPUT)
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
            message = f"--issued-before: {self.issued_before!r} is no time; 2026-11-25T14:00 is one"
            raise Exit(message, app.BAD_INPUT) from None
        return found if found.tzinfo else found.astimezone()  # as the user's clock has it


def rotate(options: Options, wish: Wish, *, dry_run: bool) -> None:
    """Renew, or print what would be renewed."""
    wish.renewal(datetime.now(UTC), 0)  # what means nothing is told before anything is asked
    with app.run_of(options) as run:
        renewal = wish.renewal(datetime.now(UTC), run.cluster.verify.certificate_days)
        run = replace(run, only=rotation.steps(renewal.kinds))
        if dry_run:
            planned = plan_result(rotation.plan(run, renewal))
            run.journal.detach_sinks()
            if options.json:
                app.print_json(planned.to_dict())
            else:
                app.print_text(plan_text(planned))
            if not planned.ok:
                raise Exit(code=app.FAILED)
            return
        app.end(run, rotation.rotate(run, renewal), as_json=options.json)


def change_ca(options: Options, *, dry_run: bool) -> None:
    """Go on with a change of the CA, or print what would be done; exit 3 while it waits."""
    with app.run_of(options) as run:
        run = replace(run, only=rotation.steps(KINDS))
        change = rotation.plan_ca(run) if dry_run else rotation.change_ca(run)
        run.journal.detach_sinks()
        told = {"stages": dict(change.stages), "waits_for": list(change.waits)}
        planned = plan_result(change.plan) if change.plan else None
        if not options.json:
            _print(change, planned)
        if planned:
            if options.json:
                app.print_json({**planned.to_dict(), **told})
            if not planned.ok or len(change.stages) < len(run.nodes):
                raise Exit(code=app.FAILED)
        else:
            app.end(run, change.checks, as_json=options.json, more=told)
        if change.waits:
            raise Exit(code=app.WOULD_CHANGE)


def _print(change: Change, planned: PlanResult | None) -> None:
    if planned:
        app.print_text(plan_text(planned))
    for name, stage in change.stages.items():
        app.print_text(f"{name}: {'as cluster.ca says' if stage == DONE else f'next: {stage}'}")
    for text in change.waits:
        app.print_text(f"waiting: {text}")
