"""`inv reset`: what a reset would do, and what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import resetting
from .. import app, exits, plans, reset_view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...deploy.resetting import Resettable
    from ...util.fan_out import Outcome
    from ..options import Options


def reset(options: Options, pods: str, *, dry_run: bool, yes: bool) -> None:
    """
    Print what a reset would do; do it once that is confirmed.

    Exit 1 where a host fails or is refused, 3 where something would change and nobody confirmed it.

    :param pods: patterns of pods that may be ended, with commas between.
    """
    if not options.limit:
        raise Exit("--limit is missing: which nodes are to be reset", exits.BAD_INPUT)
    patterns = tuple(each.strip() for each in pods.split(",") if each.strip())
    with app.run_of(options) as run:
        found = resetting.plan(run, patterns)
        left = resetting.in_cluster(run)
        lines = tuple(reset_view.cluster_lines(left))
        document = reset_view.cluster_document(left)
        plan = plans.Plan(
            show=lambda: _print_plan(found, lines),
            document=lambda: reset_view.plan_document(found) | document,
            forbidden=any(not o.value or o.value.reset.refusals for o in found.values()),
        )
        removal = plans.Removal(
            verb="reset",
            task="reset",
            nodes=tuple(found),
            todo=any(o.value and o.value.reset.changes for o in found.values()),
            carry_out=lambda: resetting.carry_out(run, found, patterns),
            lines=lambda done: (*reset_view.result_lines(done), *lines),
            document=lambda done: reset_view.result_document(done) | document,
        )
        plans.confirm_and_remove(run, options, plan, removal, dry_run=dry_run, yes=yes)


def _print_plan(found: Mapping[str, Outcome[Resettable]], cluster: Sequence[str]) -> None:
    app.print_text("\n".join((*reset_view.plan_lines(found), *cluster)))
