"""`inv remove-node`: what would go from cluster and host, and what has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from ...deploy import removing
from ...upkeep.departures import blocked
from ...util.fan_out import Outcome
from ...util.words import counted
from .. import app, exits, plans, reset_view
from ..drain_view import HEADS, bound_lines, drains_of, lines, preview_document
from .offline_removal import remove_offline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...deploy.removing import Removal
    from ..options import Options
    from .upkeep import Allowed


def remove_node(
    options: Options,
    allowed: Allowed,
    *,
    offline: bool,
    host_is_off: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """
    Print what a removal would do; do it once that is confirmed.

    Exit 1 where a node fails or can't be removed as it is, 3 where something would be removed and
    nobody confirmed it.
    """
    if not options.limit:
        raise Exit("--limit is missing: which nodes are to be removed", exits.BAD_INPUT)
    if host_is_off and not offline:
        raise Exit("--host-is-off goes with --offline", exits.BAD_INPUT)
    with app.run_of(options) as run:
        if offline:
            remove_offline(run, options, host_is_off=host_is_off, dry_run=dry_run, yes=yes)
            return
        permits = allowed.permits(run.config)
        found = removing.plan(run, permits)
        plan = plans.Plan(
            show=lambda: _print(found),
            document=lambda: _document(found),
            forbidden=any(_forbidden(outcome) for outcome in found.values()),
        )
        removal = plans.Removal(
            verb="remove",
            task="remove-node",
            nodes=tuple(found),
            todo=any(o.value and not o.value.empty for o in found.values()),
            carry_out=lambda: removing.remove(run, found, permits),
        )
        plans.confirm_and_remove(run, options, plan, removal, dry_run=dry_run, yes=yes)


def _print(found: Mapping[str, Outcome[Removal]]) -> None:
    for name, outcome in found.items():
        if outcome.value:
            for line in _of_cluster(outcome.value):
                app.print_text(f"{name}: {line}")
    app.print_text("\n".join(reset_view.plan_lines(_hosts(found))))
    if rows := lines(drains_of(found)):
        app.print_table(HEADS, rows)


def _of_cluster(seen: Removal) -> list[str]:
    """Return what the cluster has of a node, and loses."""
    found = [f"goes on: {seen.goes_on}"] if seen.goes_on else []
    found += bound_lines(seen.volumes)
    things = ["its Node object"] if seen.registered else []
    if seen.requests:
        things.append(counted(len(seen.requests), "signing request"))
    if seen.proxy:
        things.append("its kube-proxy's rights")
    if seen.addresses:
        things.append(seen.addresses)
    had = " and ".join(filter(None, (", ".join(things[:-1]), *things[-1:])))
    if not had:
        return [*found, "the cluster has nothing of it"]
    if seen.no_kubelet:
        # In the order in which it is done.
        found.append(
            f"{seen.no_kubelet}, so its pods are evicted, then ended by the runtime, and removed"
            " from the cluster once none of their processes is left"
        )
    drained = "cordoned" if seen.no_kubelet else "drained"
    return [*found, f"{drained}, stopped; then {had}, and what is on its host, go"]


def _hosts(found: Mapping[str, Outcome[Removal]]) -> dict[str, Outcome[Any]]:
    return {
        name: Outcome(outcome.value.host) if outcome.value else outcome
        for name, outcome in found.items()
    }


def _document(found: Mapping[str, Outcome[Removal]]) -> dict[str, Any]:
    """Return the JSON: of each node its host's part, its Node object and its pods."""
    nodes = reset_view.plan_document(_hosts(found))["nodes"]
    for each in nodes:
        if seen := found[each["node"]].value:
            each["registered"] = seen.registered
            each["requests"] = list(seen.requests)
            each["addresses"] = seen.addresses
            each["proxy"] = seen.proxy
            each["goes_on"] = seen.goes_on
            each["no_kubelet"] = seen.no_kubelet
            each["volumes"] = list(seen.volumes)
            each["drain"] = preview_document(seen.drain) if seen.drain else None
    return {"nodes": nodes}


def _forbidden(outcome: Outcome[Removal]) -> bool:
    """Return whether a node can't be removed as it is."""
    seen = outcome.value
    return (
        seen is None
        or bool(seen.host.reset.refusals)
        or bool(seen.drain and blocked(seen.drain.departures))
    )
