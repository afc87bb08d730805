"""Signing requests judged or denied on demand: `inv approve-csr`, `inv csr.deny`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import pipeline
from ...journal.events import RUN
from ...steps.render import render
from .. import app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config.cluster import Cluster
    from ..app import Options

_ABOVE_PACKAGE = Path(__file__).resolve().parents[3]  # where `-m fabnode` finds it


def approve(options: Options, *, watch: bool, serving_only: bool, dry_run: bool) -> None:
    """
    Judge requests, and say so where there are none; with `watch`, until interrupted.

    Exit 1 where a host that had to be asked for its key could not be.

    :param serving_only: those for serving certificates alone, for which no host has to be asked.
    """
    if options.kubeconfig and not serving_only:
        raise Exit("--kubeconfig goes with --serving-only alone", app.BAD_INPUT)
    with app.run_of(options) as run:
        pipeline.approve(run, watch=watch, serving_only=serving_only, dry_run=dry_run)
        if not watch and all(event.step == RUN for event in run.journal.events):
            app.print_text("no request is pending")
        if not all(outcome.ok for outcome in run.outcomes.values()):
            raise Exit(code=app.FAILED)


def deny(options: Options, names: Sequence[str]) -> None:
    """Deny requests by name; exit 1 where one was left."""
    with app.run_of(options) as run:
        if not pipeline.deny(run, names):
            raise Exit(code=app.FAILED)


def approver_unit(cluster: Cluster, kubeconfig: Path) -> str:
    """
    Return a systemd unit that judges requests for as long as this machine runs.

    :param kubeconfig: of `inv rbac.approver`.
    """
    return render(
        "approve_csr/fabnode-approve-csr.service",
        python=sys.executable,
        project=str(_ABOVE_PACKAGE),
        config=str(cluster.source.resolve()),
        kubeconfig=str(kubeconfig.absolute()),
    ).decode()
