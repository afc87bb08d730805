"""`inv certs`: list of every certificate of nodes and apiserver, with faults and days left."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy.certificate_inventory import (
    certificates_json,
    cluster_certificates,
    node_certificates,
)
from ...deploy.run import on_nodes
from ...journal.expiry import CERTIFICATES, MARGIN
from ...pki.inventory import CertificateRow
from .. import app, exits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...deploy.run import Run
    from ..options import Options


def show(options: Options, margin: int | None) -> None:
    """
    Print every certificate; exit 1 where one has a fault, 3 where one is due.

    :param margin: days that must be left; None: as configured.
    """
    if margin is not None and margin < 0:
        raise Exit("--margin must be a number of days, 0 or more", exits.BAD_INPUT)
    with app.run_of(options) as run:
        if margin is None:
            margin = run.config.verify.certificate_days
        with run.journal.step(None, "certs") as log:
            rows = _collected(run)
            log.note(
                f"{len(rows)} certificates",
                **{CERTIFICATES: certificates_json(rows), MARGIN: margin},
            )
        run.journal.detach_sinks()
        if options.json:
            app.print_json({"margin": margin, "certificates": app.plain(rows)})
        else:
            _print_certificates(rows, margin)
        if any(found.faults for found in rows):
            raise Exit(code=exits.FAILED)
        if any(found.near(margin) for found in rows):
            raise Exit(code=exits.WOULD_CHANGE)


def _collected(run: Run) -> list[CertificateRow]:
    """Return a row for each certificate, and one with the fault for each node that failed."""
    now = datetime.now(UTC)
    rows = cluster_certificates(run.config, now)
    for name, outcome in on_nodes(run, partial(node_certificates, now)).items():
        if outcome.value is None:
            fault = str(outcome.error or outcome.skipped)
            rows.append(CertificateRow(name, "all", "", "", "", None, (fault,)))
        else:
            rows += outcome.value
    return rows


def _print_certificates(rows: Sequence[CertificateRow], margin: int) -> None:
    lines = []
    for found in rows:
        days = "" if found.days_left is None else f"{found.days_left:.0f}"
        near = f"due: ends in less than {margin} days" if found.near(margin) else "ok"
        state = "; ".join(found.faults) or near
        cells = (found.where, found.name, found.subject, found.issuer, days, found.mode, state)
        lines.append(cells)
    heads = ("NODE", "CERTIFICATE", "SUBJECT", "ISSUER", "DAYS", "MODE", "STATE")
    app.print_table(heads, lines)
