"""A plan as people read it. Contents of secrets never get here: plans hold digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..library.results import PlannedNode, PlanResult


def plan_text(plan: PlanResult) -> str:
    """Format a plan: per node what changes and why, then the API's objects."""
    lines: list[str] = []
    same = 0
    for node in plan.nodes:
        if node.error:
            lines.append(f"{node.node}: can't be planned: {node.error}")
        elif node.empty and not node.findings and not node.hooks:
            same += 1
        else:
            lines += [f"{node.node}:", *_node_lines(node)]
    if plan.cluster or plan.drift:
        lines.append("cluster:")
    if plan.drift:
        lines.append(f"  warning:  {plan.drift.text}; next: {plan.drift.advice}")
    if plan.cluster:
        for change in plan.cluster:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            lines.append(f"  {change.action:8} {change.object}{fields}")
    if same:
        lines.append(f"{same} nodes would not change" if same > 1 else "1 node would not change")
    if plan.empty:
        lines.append("nothing to change")
    return "\n".join(lines)


def _node_lines(node: PlannedNode) -> list[str]:
    lines = [f"  {f.level + ':':9} {f.text}; {f.fix}" for f in node.findings]
    step = ""
    for change in node.changes:
        if change.step != step:
            step = change.step
            lines.append(f"  {step}")
        lines.append(f"    {change.action:8} {change.name}: {change.why}")
        if change.diff:
            lines += [f"      {line}" for line in change.diff.splitlines()[2:]]
    if node.labels:
        lines.append(f"  label      {', '.join(node.labels)}")
    lines += [f"  here       {hook}" for hook in node.hooks]
    return lines or ["  nothing to change"]
