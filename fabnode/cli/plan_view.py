"""A plan as people and programs read it. Contents of secrets never get here: plans hold digests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..deploy.node_deployer import NodePlan
    from ..deploy.pipeline import ClusterPlan


def plan_text(plan: ClusterPlan) -> str:
    """Return the plan as lines: per node what changes and why, then the API's objects."""
    lines: list[str] = []
    same = 0
    for name, outcome in plan.nodes.items():
        if outcome.value is None:
            lines.append(f"{name}: can't be planned: {outcome.error or outcome.skipped}")
        elif outcome.value.empty and not outcome.value.findings:
            same += 1
        else:
            lines += [f"{name}:", *_node_lines(outcome.value)]
    if plan.objects:
        lines.append("cluster:")
        for change in plan.objects:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            lines.append(f"  {change.action:8} {change.title}{fields}")
    if same:
        lines.append(f"{same} would stay as they are" if same > 1 else "1 would stay as it is")
    if plan.empty:
        lines.append("nothing to change")
    return "\n".join(lines)


def plan_json(plan: ClusterPlan) -> dict[str, Any]:
    """Return the plan for programs; `empty` says that nothing would change."""
    return {
        "empty": plan.empty,
        "nodes": [
            _node_json(o.value) if o.value else {"node": name, "error": str(o.error or o.skipped)}
            for name, o in plan.nodes.items()
        ],
        "cluster": [
            {"action": c.action, "object": c.title, "fields": list(c.fields)} for c in plan.objects
        ],
    }


def _node_lines(planned: NodePlan) -> list[str]:
    lines = [f"  {f.level + ':':9} {f.text}; {f.fix}" for f in planned.findings]
    step = ""
    for change in planned.plan.changes:
        if (now := planned.step_of[change.resource]) != step:
            step = now
            lines.append(f"  {step}")
        lines.append(f"    {change.action:8} {change.name}: {change.why}")
        if change.diff:
            lines += [f"      {line}" for line in change.diff.splitlines()[2:]]
    if planned.labels:
        lines.append(f"  label      {', '.join(planned.labels)}")
    return lines or ["  nothing to change"]


def _node_json(planned: NodePlan) -> dict[str, Any]:
    told = planned.plan.to_json()
    for entry, change in zip(told["changes"], planned.plan.changes, strict=True):
        entry["step"] = planned.step_of[change.resource]
    findings = [{"level": f.level, "text": f.text, "fix": f.fix} for f in planned.findings]
    return {**told, "labels": list(planned.labels), "findings": findings}
