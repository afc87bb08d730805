"""`inv cordon`, `uncordon`, `drain`, `status`: options, tables, exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import draining
from ...upkeep.departures import Permits, blocked
from .. import app, exits
from ..drain_view import HEADS, document, lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...deploy.node_drainer import Preview
    from ...util.fan_out import Outcome
    from ..options import Options


def drain(
    options: Options, *, force: str, past_budget: str, delete_emptydir_data: bool, dry_run: bool
) -> None:
    """Drain nodes, or print what would become of each pod; exit 1 where a pod would not go."""
    _need_limit(options)
    forced, past = _pods("--force", force), _pods("--past-budget", past_budget)
    with app.run_of(options) as run:
        permits = Permits(
            forced=forced,
            past_budget=past,
            emptydir_data=delete_emptydir_data or run.config.maintenance.delete_emptydir_data,
        )
        if dry_run:
            found = draining.preview(run, permits)
            run.journal.detach_sinks()
            _show(found, as_json=options.json)
            return
        with app.shown_if_interrupted(run, as_json=options.json):
            seen = draining.drain(run, permits)
            app.end(run, (), as_json=options.json, more={"drained": document(seen)})


def cordon(options: Options) -> None:
    """Cordon nodes, with a record that it was us."""
    _need_limit(options)
    with app.run_of(options) as run, app.shown_if_interrupted(run, as_json=options.json):
        draining.cordon(run)
        app.end(run, (), as_json=options.json)


def uncordon(options: Options) -> None:
    """Lift cordons that are ours; exit 1 where one is somebody else's."""
    _need_limit(options)
    with app.run_of(options) as run, app.shown_if_interrupted(run, as_json=options.json):
        draining.uncordon(run)
        app.end(run, (), as_json=options.json)


def status(options: Options) -> None:
    """Print what is in flight, by whom and since when."""
    with app.run_of(options) as run:
        found = draining.status(run)
        run.journal.detach_sinks()
        if options.json:
            app.print_json(app.plain(found))
            return
        app.print_text(found.run or "no run is changing this cluster")
        rows = [(each.node, each.cordon or "no", each.operation or "–") for each in found.nodes]
        app.print_table(("NODE", "CORDONED", "IN FLIGHT"), rows)


def _show(found: Mapping[str, Outcome[Preview]], *, as_json: bool) -> None:
    if as_json:
        app.print_json({"nodes": document(found)})
    else:
        for node, outcome in found.items():
            if outcome.value is None:
                app.print_text(f"{node}: can't be looked at: {outcome.error or outcome.skipped}")
            elif outcome.value.cordon:
                app.print_text(f"{node} is cordoned: {outcome.value.cordon}")
        app.print_table(HEADS, lines(found))
    good = all(o.value and not blocked(o.value.departures) for o in found.values())
    if not good:
        raise Exit(code=exits.FAILED)


def _need_limit(options: Options) -> None:
    if not options.limit:
        raise Exit("--limit is missing: which nodes ('*' for all of them)", exits.BAD_INPUT)


def _pods(option: str, text: str) -> frozenset[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        namespace, _, pod = name.partition("/")
        if not namespace or not pod or "/" in pod:
            raise Exit(f"{option}: {name!r} is not NAMESPACE/POD", exits.BAD_INPUT)
    return frozenset(names)
