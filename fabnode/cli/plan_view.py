"""A plan as text. Contents of secrets never get here: plans hold digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .folding import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..library.results import PlannedNode, PlanResult
    from ..steps.finding import Finding


def plan_text(plan: PlanResult) -> str:
    """
    Format a plan: per node what changes and why, then the API's objects.

    What preflight finds on several nodes stands once, with their names, before them.
    """
    found: dict[Finding, list[str]] = {}
    for node in plan.nodes:
        for finding in node.findings:
            found.setdefault(finding, []).append(node.node)
    shared = {finding: names for finding, names in found.items() if len(names) > 1}
    lines: list[str] = []
    for text, names in _by_text(plan).items():
        head, rest = named(names)
        lines += [f"{head}: {text}", *([f"  {rest}"] if rest else [])]
    for finding, names in shared.items():
        head, rest = named(names)
        lines += [f"{head}:", *([f"  {rest}"] if rest else []), _finding_line(finding)]
    same = 0
    for node in plan.nodes:
        if node.error:
            lines.append(f"{node.node}: can't be planned: {node.error}")
        elif node.empty and not set(node.findings) - shared.keys() and not node.hooks:
            same += node.ok  # of one that is refused, the finding and the end say so
        else:
            own = [finding for finding in node.findings if finding not in shared]
            lines += [f"{node.node}:", *_node_lines(node, own)]
    if plan.cluster or plan.drift:
        lines.append("cluster:")
    if plan.drift:
        lines.append(f"  warning:  {plan.drift.text}; next: {plan.drift.advice}")
    if plan.rollout:
        lines.append(f"  rollout  {plan.rollout}")
    if plan.cluster:
        for change in plan.cluster:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            lines.append(f"  {change.action:8} {change.object}{fields}")
    if plan.parts:
        lines.append(f"parts for {plan.parts}")
    if same:
        lines.append(f"{same} nodes would not change" if same > 1 else "1 node would not change")
    if plan.empty and plan.ok:
        lines.append("nothing to change")
    # The findings stand first, and a plan of bare hosts is hundreds of lines long.
    if refused := [n.node for n in plan.nodes if any(f.level == "error" for f in n.findings)]:
        head, rest = named(refused)
        lines += [f"{head}: nothing is changed there until the errors above are fixed"]
        lines += [f"  {rest}"] if rest else []
    return "\n".join(lines)


def _by_text(plan: PlanResult) -> dict[str, list[str]]:
    """Return which nodes keep certificates, by which and why."""
    found: dict[str, list[str]] = {}
    for node in plan.nodes:
        for text in node.kept:
            found.setdefault(text, []).append(node.node)
    return found


def _finding_line(finding: Finding) -> str:
    return f"  {finding.level + ':':9} {finding.text}; {finding.fix}"


def _node_lines(node: PlannedNode, findings: Sequence[Finding]) -> list[str]:
    lines = [_finding_line(finding) for finding in findings]
    step = ""
    for change in node.changes:
        if change.step != step:
            step = change.step
            lines.append(f"  {step}")
        lines.append(f"    {change.action:8} {change.name}: {change.why}")
        if change.diff:
            lines += [f"      {line}" for line in change.diff.splitlines()[2:]]
    if node.labels:
        lines.append(f"  Node       {', '.join(node.labels)}")
    lines += [f"  here       {hook}" for hook in node.hooks]
    return lines or ["  nothing to change"]
