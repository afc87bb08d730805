"""`inv remove-node --offline`: what would become of nodes without their hosts, and what did."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...deploy import offline_removal
from ...util.fan_out import Outcome
from ...util.words import counted
from .. import app, plans
from ..drain_view import bound_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...deploy.offline_removal import LockedOut, OfflineRemoval
    from ...deploy.run import Run
    from ..options import Options


def remove_offline(
    run: Run, options: Options, *, host_is_off: bool, dry_run: bool, yes: bool
) -> None:
    """
    Print what a removal would do; do it once that is confirmed, and print how far it went.

    Exit 1 where a node is alive, or could be locked out alone.
    """
    found = offline_removal.plan(run, host_is_off=host_is_off)
    plan = plans.Plan(
        show=partial(_print, found, host_is_off=host_is_off),
        document=lambda: {"nodes": [_document(*item) for item in found.items()]},
        forbidden=any(not o.value or bool(o.value.alive) for o in found.values()),
    )
    removal = plans.Removal(
        verb="remove, without its host,",
        task="remove-node --offline" + (" --host-is-off" if host_is_off else ""),
        nodes=tuple(found),
        todo=any(o.value and not o.value.empty for o in found.values()),
        carry_out=partial(offline_removal.remove, run, host_is_off=host_is_off),
        lines=result_lines,
        document=result_document,
    )
    plans.confirm_and_remove(run, options, plan, removal, dry_run=dry_run, yes=yes)


def result_lines(done: Mapping[str, Outcome[LockedOut]]) -> list[str]:
    """Return how far each removal went, and what its host can still do."""
    lines = []
    for node, outcome in done.items():
        if outcome.value is None:
            continue  # the end table says why
        lines.append(f"{node}: {outcome.value.level}")
        lines += [f"  gone: {thing}" for thing in outcome.value.gone]
        lines += [f"  left: {text}" for text in outcome.value.left]
    return lines


def result_document(done: Mapping[str, Outcome[LockedOut]]) -> dict[str, Any]:
    """Return the same as JSON."""
    return {
        "nodes": [
            {"node": node, **app.plain(outcome.value)}
            if outcome.value
            else {"node": node, "error": str(outcome.error or outcome.skipped)}
            for node, outcome in done.items()
        ]
    }


def _print(found: Mapping[str, Outcome[OfflineRemoval]], *, host_is_off: bool) -> None:
    for node, outcome in found.items():
        for line in _lines(outcome, host_is_off=host_is_off):
            app.print_text(f"{node}: {line}")


def _lines(outcome: Outcome[OfflineRemoval], *, host_is_off: bool) -> list[str]:
    seen = outcome.value
    if seen is None:
        return [f"can't be checked: {outcome.error or outcome.skipped}"]
    if seen.alive:
        return [f"refused: it is not offline: {seen.alive}"]
    if seen.empty:
        return ["the cluster has nothing of it"]
    never = seen.last_sign == float("inf")
    sign = "never reported" if never else f"last reported {seen.last_sign:.0f} s ago"
    lines = [f"its kubelet {sign}"] if seen.registered else []
    lines += [seen.instead] if seen.instead else []
    parts = [
        "tainted and cordoned" if seen.registered else "",
        f"{counted(seen.requests, 'signing request')} removed" if seen.requests else "",
        f"{counted(seen.tokens, 'bootstrap token')} removed" if seen.tokens else "",
        "its kube-proxy's rights revoked" if seen.proxy else "",
    ]
    lines.append(f"locked out: {', '.join(filter(None, parts)) or 'nothing would let it in'}")
    lines += bound_lines(seen.volumes)
    pods = counted(len(seen.pods), "pod")
    shown = ", ".join(seen.pods)
    if seen.pods and not host_is_off:
        lines.append(f"not removed: {pods} may run there, and would be declared dead: {shown}")
        return lines
    if seen.pods:
        lines.append(f"declared dead: {pods}: {shown}")
    parts = ["its Node object and Lease" if seen.registered else "", seen.addresses]
    lines.append(f"removed: {' and '.join(filter(None, parts)) or 'nothing else is there'}")
    return lines


def _document(node: str, outcome: Outcome[OfflineRemoval]) -> dict[str, Any]:
    if outcome.value is None:
        return {"node": node, "error": str(outcome.error or outcome.skipped)}
    seen = app.plain(outcome.value)
    if outcome.value.last_sign == float("inf"):
        seen["last_sign"] = None
    return {"node": node, **seen}
