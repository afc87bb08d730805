"""`inv approve-csr`, `inv csr.deny`: certificate signing requests, approved or denied."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from ...deploy import approval
from ...journal.events import RUN
from ...steps.render import render
from .. import app, exits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...config.configuration import Config
    from ...journal.events import Event
    from ..options import Options

_ABOVE_PACKAGE = Path(__file__).resolve().parents[3]  # working directory for `python -m fabnode`


def approve(options: Options, *, watch: bool, serving_only: bool, dry_run: bool) -> None:
    """
    Judge pending requests, with `watch` until interrupted.

    Exit 1 where a host whose key was needed could not be reached.

    :param serving_only: only requests for serving certificates, which need no access to hosts.
    """
    if options.kubeconfig and not serving_only:
        raise Exit("--kubeconfig needs --serving-only", exits.BAD_INPUT)
    if options.json and watch:
        raise Exit("--json goes without --watch, which never ends", exits.BAD_INPUT)
    with app.run_of(options) as run:
        approval.approve(run, watch=watch, serving_only=serving_only, dry_run=dry_run)
        if options.json:
            app.print_json({"requests": verdicts(run.journal.events)})
        elif not watch and all(event.step == RUN for event in run.journal.events):
            app.print_text("no request is pending")
        if not all(outcome.ok for outcome in run.outcomes.values()):
            raise Exit(code=exits.FAILED)


def verdicts(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return what was recorded of each request: `approved` is whether it was, or would be."""
    return [
        {
            "node": event.node,
            "approved": event.state == "changed",
            "text": event.text,
            **{key: event.data.get(key, "") for key in ("request", "requester", "kind", "advice")},
        }
        for event in events
        if "request" in event.data
    ]


def deny(options: Options, names: Sequence[str]) -> None:
    """Deny requests by name; exit 1 where one was not denied."""
    with app.run_of(options) as run:
        if not approval.deny(run, names):
            raise Exit(code=exits.FAILED)


def approver_unit(config: Config, kubeconfig: Path) -> str:
    """
    Return a systemd unit that runs `approve-csr --watch --serving-only` on this machine.

    :param kubeconfig: of `inv rbac.approver`.
    """
    return render(
        "approve_csr/fabnode-approve-csr.service",
        python=sys.executable,
        project=str(_ABOVE_PACKAGE),
        config=str(config.source.resolve()),
        kubeconfig=str(kubeconfig.absolute()),
    ).decode()
