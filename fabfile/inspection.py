"""Looking at nodes without changing them: plan, status, facts, journal; and restarting one unit."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from . import pipeline, surface
from .certificates import collect
from .host.access import Access
from .host.errors import HostError
from .host.text import clean
from .host.trust import Offer, trust
from .run.expiry import CERTIFICATES, MARGIN
from .run.plantext import plan_json, plan_text
from .sides.verification import told
from .steps import verify
from .steps.render import render

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .model.config import Cluster
    from .sides.node import NodeSide
    from .surface import Options
    from .trust.inventory import CertificateRow

_MAX_LINES = 10_000


def show_plan(options: Options, *, exit_code: bool) -> None:
    """Print what a deployment would do; exit 1 where a node can't be planned, 3 as asked."""
    with surface.run_of(options) as run:
        planned = pipeline.plan(run)
        run.journal.leave_screen()
        if options.json:
            surface.print_json(plan_json(planned))
        else:
            print(plan_text(planned))
        if any(not o.ok or _has_errors(o.value) for o in planned.nodes.values()):
            raise Exit(code=surface.FAILED)
        if exit_code and not planned.empty:
            raise Exit(code=surface.WOULD_CHANGE)


def findings(options: Options) -> None:
    """Print what preflight finds; exit 1 where something stands in the way."""
    with surface.run_of(options) as run:
        planned = pipeline.plan(run)
        run.journal.leave_screen()
        for name, outcome in planned.nodes.items():
            if outcome.error:
                raise outcome.error
            found = outcome.value.findings if outcome.value else ()
            for finding in found:
                print(f"{name}: {finding.level}: {finding.text}\n    next: {finding.fix}")
            if not found:
                print(f"{name}: nothing stands in the way")
        if any(_has_errors(outcome.value) for outcome in planned.nodes.values()):
            raise Exit(code=surface.FAILED)


def status(options: Options) -> None:
    """Print a node's checks, without the pods that try the network."""
    with surface.run_of(options) as run:
        checks = pipeline.verify_nodes(run, network=False)
        run.journal.leave_screen()
        if options.json:
            surface.print_json({"checks": [surface.as_dict(check) for check in checks]})
        else:
            surface.print_checks(checks)
        if not all(check.ok for check in checks):
            raise Exit(code=surface.FAILED)


def logs(options: Options, unit: str, lines: int) -> None:
    """Print the end of a unit's journal."""
    if not 0 < lines <= _MAX_LINES:
        raise Exit(f"--lines wants a number from 1 to {_MAX_LINES}", surface.BAD_INPUT)
    with surface.run_of(options) as run:
        full = _unit(unit, run)
        command = f"journalctl --no-pager -o short-iso -n {lines} -u {shlex.quote(full)}"
        for name, outcome in pipeline.on_nodes(run, lambda side: side.host.root(command)).items():
            if outcome.error:
                raise outcome.error
            if outcome.value:
                text = outcome.value.stdout.decode(errors="replace")
                print(f"# {name}: {full}")
                print("\n".join(clean(line) for line in text.splitlines()))


def facts(options: Options) -> None:
    """Print a node's facts as JSON."""
    with surface.run_of(options) as run:
        for outcome in pipeline.on_nodes(run, lambda side: side.look()).values():
            if outcome.error:
                raise outcome.error
            print(json.dumps(_plain(outcome.value), indent=2, sort_keys=True))


def restart(options: Options, unit: str) -> None:
    """Restart a unit on a node and wait until it runs."""

    def work(side: NodeSide) -> str:
        result = side.host.root(command)
        if result.code:
            journal = side.host.root(f"journalctl --no-pager -n 20 -u {shlex.quote(name)}")
            print(
                "\n".join(
                    clean(line) for line in journal.stdout.decode(errors="replace").splitlines()
                )
            )
            raise Exit(f"{name} does not start on {side.node.name}", surface.FAILED)
        return name

    with surface.run_of(options) as run:
        name = _unit(unit, run)
        command = (
            f"systemctl restart {shlex.quote(name)} && systemctl is-active {shlex.quote(name)}"
        )
        for node, outcome in pipeline.on_nodes(run, work).items():
            if outcome.error:
                raise outcome.error
            print(f"{node}: {name} restarted")


def _unit(name: str, run: pipeline.Run) -> str:
    """Return a unit's full name, if it is one that these nodes have."""
    minor = run.cluster.cluster.version.minor
    known = [unit for node in run.nodes for unit in verify.units(node.runtime.name, minor)]
    full = f"{name.removesuffix('.service')}.service"
    if full not in known:
        short = (unit.removesuffix(".service") for unit in dict.fromkeys(known))
        raise Exit(f"{name!r} is none of {', '.join(short)}", surface.BAD_INPUT)
    return full


def _has_errors(plan: Any) -> bool:
    return any(finding.level == "error" for finding in plan.findings)


def _plain(value: Any) -> Any:
    """Return dataclasses, mappings, sets and bytes as what JSON knows; contents as their size."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, frozenset | set):
        return sorted(value)
    if hasattr(value, "items"):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value]


def approver_unit(cluster: Cluster) -> str:
    """Return a systemd unit that judges requests for as long as this machine runs."""
    project = Path(__file__).resolve().parents[1]
    return render(
        "approve_csr/fabnode-approve-csr.service",
        python=sys.executable,
        project=project,
        config=cluster.source.resolve(),
    ).decode()


def certs(options: Options, margin: int | None) -> None:
    """
    Print every certificate; exit 1 where one is wrong, 3 where one is near its end.

    :param margin: days that must be left; None: as configured.
    """
    if margin is not None and margin < 0:
        raise Exit("--margin wants a number of days from 0 on", surface.BAD_INPUT)
    with surface.run_of(options) as run:
        if margin is None:
            margin = run.cluster.verify.certificate_days
        with run.journal.step(None, "certs") as log:
            rows = collect(run)
            log.note(f"{len(rows)} certificates", **{CERTIFICATES: told(rows), MARGIN: margin})
        run.journal.leave_screen()
        if options.json:
            surface.print_json({"margin": margin, "certificates": [_plain(r) for r in rows]})
        else:
            _print_certificates(rows, margin)
        if any(found.faults for found in rows):
            raise Exit(code=surface.FAILED)
        if any(found.near(margin) for found in rows):
            raise Exit(code=surface.WOULD_CHANGE)


def _print_certificates(rows: Sequence[CertificateRow], margin: int) -> None:
    lines = []
    for found in rows:
        days = "" if found.days_left is None else f"{found.days_left:.0f}"
        near = f"nearer to its end than {margin} days" if found.near(margin) else "ok"
        state = "; ".join(found.faults) or near
        row = (found.where, found.name, found.subject, found.issuer, days, found.mode, state)
        lines.append(row)
    heads = ("NODE", "CERTIFICATE", "SUBJECT", "ISSUER", "DAYS", "MODE", "STATE")
    surface.print_table(heads, lines)


def trust_hosts(options: Options, fingerprints: Collection[str]) -> None:
    """Show host keys and record those that match a fingerprint given, or that the user confirms."""
    cluster = surface.configuration(options.config)
    nodes = cluster.select(options.limit or None)
    if not fingerprints and not sys.stdin.isatty():
        raise Exit(
            "nobody to ask: give the expected --fingerprint SHA256:…, once per host",
            surface.BAD_INPUT,
        )
    failed = False
    with Access() as access:
        for node in nodes:
            try:
                offers = trust(access, node, _confirm, fingerprints)
            except HostError as error:
                print(f"{node.name}: {error}")
                failed = True
                continue
            for offer in offers:
                where = f" in {offer.file}" if offer.file else ""
                print(f"{node.name}: {offer.name} {offer.state}{where}")
                print("\n".join(f"  {shown}" for shown in offer.fingerprints))
                failed |= offer.state == "declined"
    if failed:
        raise Exit(code=surface.FAILED)


def _confirm(offer: Offer) -> bool:
    print(f"{offer.name} is unknown. It shows these keys; compare them with the host's own")
    print("(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on its console):")
    print("\n".join(f"  {shown}" for shown in offer.fingerprints))
    return input("record them? [y/N] ").strip().lower() in {"y", "yes"}
