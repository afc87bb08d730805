"""Inspection of nodes: plan, preflight, checks, facts, logs; and restart of one unit."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, TextIO

from invoke.exceptions import Exit

from ...deploy import pipeline, status_runs
from ...deploy.errors import PreflightError
from ...deploy.run import on_nodes
from ...library.results import VerifyResult, plan_result
from ...steps.checks.node_services import units
from ...steps.finding import Finding
from ...steps.verify import STEP
from ...util import program
from ...util.errors import FabnodeError
from .. import app, exits, plans
from ..folding import named

if TYPE_CHECKING:
    from ...deploy.node_deployer import NodeDeployer
    from ...deploy.run import Run
    from ..options import Options

_MAX_LINES = 10_000


def show_plan(options: Options, *, exit_code: bool) -> None:
    """Print the plan; exit 1 where a node can't be planned, 3 if asked and not empty."""
    with app.run_of(options) as run:
        planned = plan_result(pipeline.plan(run))
        plans.show_steps(run, planned, as_json=options.json)
        if exit_code and not planned.empty:
            raise Exit(code=exits.WOULD_CHANGE)


def findings(options: Options) -> None:
    """Print the findings of preflight; exit 1 where one prevents a deployment."""
    with app.run_of(options) as run:
        planned = plan_result(pipeline.plan(run))
        run.journal.detach_sinks()
        same: dict[str, list[str]] = {}
        for node in planned.nodes:
            if node.error:
                continue
            found = [f"{each.level}: {each.text}\n    next: {each.fix}" for each in node.findings]
            for text in found or ["nothing prevents a deployment"]:
                same.setdefault(text, []).append(node.node)
        for text, nodes in same.items():
            head, rest = named(nodes)
            app.print_text(f"{head}: {text}" + (f"\n    {rest}" if rest else ""))
        for error in planned.errors.values():
            raise error
        if not planned.ok:
            raise Exit(code=exits.FAILED)


def verify(options: Options, *, network: bool, title: str = STEP.name) -> None:
    """
    Print the results of checks, with `network` also of test pods; exit 1 where one failed.

    :param title: how progress and journal call what concerns the nodes together.
    """
    with app.run_of(options) as run:
        result = VerifyResult(tuple(pipeline.verify_nodes(run, network=network, title=title)))
        run.journal.detach_sinks()
        if options.json:
            app.print_json(result.to_dict())
        else:
            app.print_checks(result.checks)
        if not result.ok:
            raise Exit(code=exits.FAILED)


def status(options: Options) -> None:
    """Print the results of a node's checks, and what is in flight; exit 1 where a check failed."""
    with app.run_of(options) as run:
        checks = pipeline.verify_nodes(run, network=False, title="status")
        result = VerifyResult(tuple(checks))
        flight, unknown = None, ""
        try:
            flight = status_runs.status(run)
        except FabnodeError as error:
            unknown = f"it is not known what is in flight: {error.message}"
        run.journal.detach_sinks()
        if options.json:
            app.print_json(result.to_dict() | {"in_flight": app.plain(flight)})
        else:
            app.print_checks(result.checks)
            if flight:
                app.print_text(flight.run or "no run is changing this cluster")
            for each in flight.nodes if flight else ():
                cordon = f"cordoned ({each.cordon})" if each.cordon else "not cordoned"
                app.print_text(f"{each.node}: {cordon}; in flight: {each.operation or 'nothing'}")
            if unknown:
                app.print_text(unknown)
        if not result.ok:
            raise Exit(code=exits.FAILED)


def logs(options: Options, unit: str, lines: int) -> None:
    """Print the end of a unit's journal."""
    if not 0 < lines <= _MAX_LINES:
        raise Exit(f"--lines must be a number from 1 to {_MAX_LINES}", exits.BAD_INPUT)
    with app.run_of(options) as run:
        full = _unit(unit, run)
        command = f"journalctl --no-pager -o short-iso -n {lines} -u {shlex.quote(full)}"
        for name, outcome in on_nodes(run, lambda deployer: deployer.host.root(command)).items():
            if outcome.error:
                raise outcome.error
            if outcome.value:
                app.print_text(f"# {name}: {full}")
                _print_lines(outcome.value.stdout)
                _print_lines(outcome.value.stderr, sys.stderr)
            if not outcome.value or outcome.value.code:
                raise Exit(f"the journal of {full} on {name} can't be read", exits.FAILED)


def facts(options: Options) -> None:
    """Print a node's facts as a line of JSON, so that those of several nodes are JSON lines."""
    with app.run_of(options) as run:
        for name, outcome in on_nodes(run, lambda deployer: deployer.probe()).items():
            if outcome.error:
                raise outcome.error
            found = {"node": name, **app.plain(outcome.value)}
            app.print_text(json.dumps(found, sort_keys=True))


def restart(options: Options, unit: str) -> None:
    """
    Restart a unit on a node and wait until it runs.

    :raises PreflightError: others than root may change what it would start with.
    """

    def work(deployer: NodeDeployer) -> str:
        deployer.probe()
        findings, files = deployer.planner.of_others()
        again = program.task(f"deploy-nodes --limit {deployer.node.name}")
        changeable = [Finding("error", f"others than root may change {f}", again) for f in files]
        if findings or changeable:
            raise PreflightError([*findings, *changeable])
        result = deployer.host.root(command)
        if result.code:
            journal = deployer.host.root(f"journalctl --no-pager -n 20 -u {shlex.quote(name)}")
            _print_lines(journal.stdout)
            raise Exit(f"{name} does not start on {deployer.node.name}", exits.FAILED)
        return name

    with app.run_of(options) as run:
        name = _unit(unit, run)
        command = (
            f"systemctl restart {shlex.quote(name)} && systemctl is-active {shlex.quote(name)}"
        )
        for node, outcome in on_nodes(run, work).items():
            if outcome.error:
                raise outcome.error
            app.print_text(f"{node}: {name} restarted")


def _print_lines(output: bytes, to: TextIO | None = None) -> None:
    for line in output.decode(errors="replace").splitlines():
        app.print_text(line, file=to)


def _unit(name: str, run: Run) -> str:
    """Return the full name of one of fabnode's units; exit 2 for any other."""
    cluster = run.config.cluster
    known = [unit for node in run.nodes for unit in units(node, cluster)]
    full = f"{name.removesuffix('.service')}.service"
    if full not in known:
        short = (unit.removesuffix(".service") for unit in dict.fromkeys(known))
        raise Exit(f"{name!r} is not a unit of these nodes: {', '.join(short)}", exits.BAD_INPUT)
    return full
