"""`inv upgrade`: options, what would be done, exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...deploy import upgrading
from ...deploy.upgrading import Upgrade
from ...upkeep.departures import blocked
from ...util.fan_out import Outcome
from .. import app, plans
from ..drain_view import HEADS, drains_of, lines, preview_document, without_kubelet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...deploy.network_upgrade import NetworkProspect
    from ...deploy.upgrading import Prospect, UpgradePlan
    from ..options import Options
    from .upkeep import Allowed


def upgrade(options: Options, allowed: Allowed, *, network: bool, dry_run: bool) -> None:
    """Upgrade nodes, or print what would be done; exit 1 where one can't be upgraded as it is."""
    with app.run_of(options) as run:
        wanted = Upgrade(allowed.permits(run.config), network=network)
        if dry_run:
            found = upgrading.plan(run, wanted)
            plan = plans.Plan(
                show=lambda: _print(found),
                document=lambda: _plan_document(found),
                forbidden=any(_forbidden(outcome) for outcome in found.nodes.values()),
            )
            plans.show(run, plan, as_json=options.json)
            return
        with app.shown_if_interrupted(run, as_json=options.json):
            seen = upgrading.upgrade(run, wanted)
            app.end(
                run,
                (),
                as_json=options.json,
                more={"seen": _document(seen.nodes), "network": _network(seen)},
            )


def _print(found: UpgradePlan) -> None:
    network = _network_line(found.network)
    for change in found.objects:
        fields = f" ({', '.join(change.fields)})" if change.fields else ""
        app.print_text(f"cluster: {change.action} {change.title}{fields}")
    if network and not found.network.turn.last:
        app.print_text(network)
    for name, outcome in found.nodes.items():
        for line in _lines(outcome):
            app.print_text(f"{name}: {line}")
    if network and found.network.turn.last:
        app.print_text(network)
    if rows := lines(drains_of(found.nodes)):
        app.print_table(HEADS, rows)


def _plan_document(found: UpgradePlan) -> dict[str, Any]:
    """Return what programs get of a plan."""
    return {
        "nodes": _document(found.nodes),
        "network": _network(found),
        "cluster": [
            {"object": change.title, "action": change.action, "fields": list(change.fields)}
            for change in found.objects
        ],
    }


def _network_line(network: NetworkProspect) -> str:
    if not network.text:
        return ""
    when = "after all nodes" if network.turn.last else "before any node is worked on"
    of = f" on {', '.join(network.pods)}" if network.pods else ""
    return f"cluster: {network.text}{of} ({when})"


def _network(found: UpgradePlan) -> dict[str, Any] | None:
    """Return the JSON of the pod network; None: nothing changes."""
    network = found.network
    if not network.text:
        return None
    return {
        "text": network.text,
        "objects": [change.title for change in network.changes],
        "pods_on": list(network.pods),
        "last": network.turn.last,
        "warning": network.turn.warning,
        "advice": network.turn.advice,
    }


def _lines(outcome: Outcome[Prospect]) -> list[str]:
    """Return what would be done with a node, what that does, and what forbids it."""
    seen = outcome.value
    if seen is None:
        return [f"can't be checked: {outcome.error or outcome.skipped}"]
    if seen.empty:
        return ["nothing to change"]
    found = [f"goes on: {seen.goes_on}"] if seen.goes_on else []
    acts = ("drain" if seen.drain else "cordon", "change", "verify", "uncordon")
    found.append(f"{', '.join(seen.texts)} ({', '.join(acts)})")
    if seen.planned.labels:
        found.append(f"its Node object: {', '.join(seen.planned.labels)}")
    found += [f"on this machine: {hook.title}" for hook in seen.planned.hooks]
    found += [f"what that does: {effect}" for effect in seen.effects]
    if seen.no_kubelet:
        found.append(without_kubelet(seen.no_kubelet))
    if seen.way_back:
        found.append(f"if that fails: {seen.way_back}")
    if seen.drain and seen.drain.cordon:
        found.append(f"it is cordoned: {seen.drain.cordon}")
    change = seen.planned.change
    if change.refusal:
        found.append(f"refused: {change.refusal}; {change.advice}")
    for finding in seen.planned.findings:
        found.append(f"{finding.level}: {finding.text}; {finding.fix}")
    return found


def _document(found: Mapping[str, Outcome[Prospect]]) -> list[dict[str, Any]]:
    """Return the JSON: per node what would be done, or why that is not known."""
    return [
        {
            "node": node,
            "releases": list(outcome.value.planned.change.texts),
            "effects": list(outcome.value.effects),
            "refusal": outcome.value.planned.change.refusal,
            "goes_on": outcome.value.goes_on,
            "way_back": outcome.value.way_back,
            "no_kubelet": outcome.value.no_kubelet,
            "plan": outcome.value.planned.plan.to_json(),
            "labels": list(outcome.value.planned.labels),
            "hooks": [hook.title for hook in outcome.value.planned.hooks],
            "findings": [app.plain(finding) for finding in outcome.value.planned.findings],
            "drain": preview_document(outcome.value.drain) if outcome.value.drain else None,
        }
        if outcome.value
        else {"node": node, "error": str(outcome.error or outcome.skipped)}
        for node, outcome in found.items()
    ]


def _forbidden(outcome: Outcome[Prospect]) -> bool:
    """Return whether a node can't be upgraded as it is."""
    seen = outcome.value
    return (
        seen is None
        or bool(seen.planned.change.refusal)
        or any(finding.level == "error" for finding in seen.planned.findings)
        or bool(seen.drain and blocked(seen.drain.departures))
    )
