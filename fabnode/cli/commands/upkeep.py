"""`inv cordon`, `uncordon`, `drain`, `maintain`, `status`: options, tables, exit codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from ...deploy import cordon_plans, draining, maintenance, status_runs
from ...deploy.maintenance import Maintenance
from ...upkeep.departures import Permits, blocked
from ...util import program
from ...util.fan_out import Outcome
from .. import app, exits, plans
from ..drain_view import HEADS, document, drains_of, lines, prospect_document, prospect_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...config.configuration import Config
    from ...deploy.cordon_plans import CordonPlan
    from ...deploy.maintenance import Prospect
    from ...deploy.node_drainer import Preview
    from ...deploy.run import Run
    from ..options import Options


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator allows of pods, as the options of a command."""

    force: str = ""
    past_budget: str = ""
    delete_emptydir_data: bool = False

    def permits(self, config: Config) -> Permits:
        """Return what that means with a configuration; exit 2 for what names no pod."""
        return Permits(
            forced=_pods("--force", self.force),
            past_budget=_pods("--past-budget", self.past_budget),
            emptydir_data=self.delete_emptydir_data or config.maintenance.delete_emptydir_data,
        )


def drain(options: Options, allowed: Allowed, *, dry_run: bool) -> None:
    """Drain nodes, or print what would become of each pod; exit 1 where a pod would not go."""
    _need_limit(options)
    with app.run_of(options) as run:
        permits = allowed.permits(run.config)
        if dry_run:
            found = draining.preview(run, permits)
            plan = plans.Plan(
                show=lambda: _print_preview(found),
                document=lambda: {"nodes": document(found)},
                forbidden=any(_forbidden(outcome, outcome.value) for outcome in found.values()),
            )
            plans.show(run, plan, as_json=options.json)
            return
        with app.shown_if_interrupted(run, as_json=options.json):
            seen = draining.drain(run, permits)
            app.end(run, (), as_json=options.json, more={"drained": document(seen)})


def maintain(
    options: Options,
    allowed: Allowed,
    *,
    command: str,
    if_due: bool,
    kernel: str,
    network: bool,
    dry_run: bool,
) -> None:
    """Maintain nodes, or print what would be done; exit 1 where a pod would not go."""
    _need_limit(options)
    if command and (if_due or kernel):
        raise Exit("--if-due and --kernel are about a reboot, not --command", exits.BAD_INPUT)
    with app.run_of(options) as run:
        permits = allowed.permits(run.config)
        wanted = Maintenance(
            permits, command=command, if_due=if_due, kernel=kernel, network=network
        )
        if dry_run:
            found = maintenance.plan(run, wanted)
            plan = plans.Plan(
                show=lambda: _print_prospects(found),
                document=lambda: {"nodes": prospect_document(found)},
                forbidden=any(
                    _forbidden(outcome, outcome.value.drain if outcome.value else None)
                    for outcome in found.values()
                ),
            )
            plans.show(run, plan, as_json=options.json)
            return
        with app.shown_if_interrupted(run, as_json=options.json):
            seen = maintenance.maintain(run, wanted)
            app.end(run, (), as_json=options.json, more={"seen": prospect_document(seen)})


def cordon(options: Options, *, dry_run: bool = False) -> None:
    """Cordon nodes, with a record that it was us, or print what that would change."""
    _need_limit(options)
    with app.run_of(options) as run, app.shown_if_interrupted(run, as_json=options.json):
        if dry_run:
            _show_cordons(run, cordon_plans.plan_cordon(run), as_json=options.json)
            return
        draining.cordon(run)
        app.end(run, (), as_json=options.json)


def uncordon(options: Options, *, dry_run: bool = False) -> None:
    """Lift cordons that are ours, or print which; exit 1 where one is somebody else's."""
    _need_limit(options)
    with app.run_of(options) as run, app.shown_if_interrupted(run, as_json=options.json):
        if dry_run:
            _show_cordons(run, cordon_plans.plan_uncordon(run), as_json=options.json)
            return
        draining.uncordon(run)
        app.end(run, (), as_json=options.json)


def _show_cordons(run: Run, found: Mapping[str, Outcome[CordonPlan]], *, as_json: bool) -> None:
    def text(outcome: Outcome[CordonPlan]) -> str:
        return outcome.value.text if outcome.value else f"{outcome.error or outcome.skipped}"

    nodes = [
        {
            "node": name,
            "text": text(outcome),
            "changes": bool(outcome.value and outcome.value.changes),
            "ok": outcome.ok,
        }
        for name, outcome in found.items()
    ]
    plan = plans.Plan(
        show=lambda: app.print_text("\n".join(f"{n['node']}: {n['text']}" for n in nodes)),
        document=lambda: {"nodes": nodes},
        forbidden=not all(outcome.ok for outcome in found.values()),
    )
    plans.show(run, plan, as_json=as_json)


def status(options: Options) -> None:
    """Print what is in flight, by whom and since when."""
    with app.run_of(options) as run:
        found = status_runs.status(run)
        run.journal.detach_sinks()
        if options.json:
            app.print_json(app.plain(found))
            return
        app.print_text(found.run or "no run is changing this cluster")
        rows = [(each.node, each.cordon or "no", each.operation or "–") for each in found.nodes]
        app.print_table(("NODE", "CORDONED", "IN FLIGHT"), rows)
        if found.network:
            upgrade = program.task("upgrade")
            app.print_text(f"{found.network}; `{upgrade}` goes on")
        if found.unknown:
            app.print_text("not in the configuration (removed and back again, or somebody else's):")
        for text in found.unknown:
            app.print_text(f"  {text}")
        if found.unknown:
            remove = program.task("remove-node --limit NODE")
            app.print_text(f"  next, for one that is nobody's: configure it again, then `{remove}`")
        if found.proxies:
            forget = program.task(f"rbac.forget {','.join(found.proxies)}")
            app.print_text("kube-proxies that have rights, of nodes that are gone:")
            for text in found.proxies:
                app.print_text(f"  {text}")
            app.print_text(f"  next: `{forget}`")


def _print_preview(found: Mapping[str, Outcome[Preview]]) -> None:
    for node, outcome in found.items():
        if outcome.value is None:
            app.print_text(f"{node}: can't be checked: {outcome.error or outcome.skipped}")
        elif outcome.value.cordon:
            app.print_text(f"{node} is cordoned: {outcome.value.cordon}")
    _print_pods(found)


def _print_pods(found: Mapping[str, Outcome[Preview]]) -> None:
    if rows := lines(found):
        app.print_table(HEADS, rows)


def _print_prospects(found: Mapping[str, Outcome[Prospect]]) -> None:
    for line in prospect_lines(found):
        app.print_text(line)
    _print_pods(drains_of(found))


def _forbidden(outcome: Outcome[Any], drained: Preview | None) -> bool:
    """Return whether a node could not be looked at, or a pod of it would not go."""
    return outcome.value is None or bool(drained and blocked(drained.departures))


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
