"""Findings and repairs as people and programs read them."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..journal.redact import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..audit.finding import Finding, Severity
    from ..deploy.hardening import Audit
    from ..node.plan import Plan
    from ..util.fan_out import Outcome

_COUNTED: tuple[Severity, ...] = ("critical", "high", "medium", "low")
HEADS = ("NODE", *(severity.upper() for severity in _COUNTED), "HARDEN MENDS")


def lines(found: Mapping[str, Outcome[Audit]]) -> list[tuple[str, ...]]:
    """Return how many findings each node has, for a table of HEADS."""
    told: list[tuple[str, ...]] = []
    for node, outcome in found.items():
        if outcome.value is None:
            told.append((node, "failed", *("" for _ in HEADS[2:])))
            continue
        findings = outcome.value.findings
        counts = Counter(finding.severity for finding in findings)
        mended = sum(bool(finding.repairs) for finding in findings)
        told.append((node, *(str(counts[s] or "") for s in _COUNTED), str(mended or "")))
    return told


def paragraphs(found: Mapping[str, Outcome[Audit]], *, width: int) -> Iterator[str]:
    """Yield a paragraph for each finding, and for each host that could not be looked at."""
    for node, outcome in found.items():
        if outcome.value is None:
            error = outcome.error or outcome.skipped
            yield _wrapped(f"failed    {node}", [clean(str(error))], width)
            continue
        for finding in outcome.value.findings:
            head = f"{finding.severity:9} {node}: {clean(finding.subject)} [{finding.check}]"
            told = [finding.text, finding.seen and f"seen: {finding.seen}", _fix(finding)]
            yield _wrapped(head, [clean(line) for line in told if line], width)


def _wrapped(head: str, told: list[str], width: int) -> str:
    indent = " " * 10
    wrapped = [
        textwrap.fill(
            line,
            width,
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        for line in told
    ]
    return "\n".join([head, *wrapped])


def _fix(finding: Finding) -> str:
    if finding.repairs:
        return f"fix: inv harden, or: {finding.fix}"
    return f"fix by hand: {finding.fix}" + (f" ({finding.by_hand})" if finding.by_hand else "")


def document(found: Mapping[str, Outcome[Audit]], *, plans: bool = False) -> dict[str, Any]:
    """Return it all for programs; with `plans`, what harden would do as well."""
    nodes = []
    for node, outcome in found.items():
        if outcome.value is None:
            nodes.append({"node": node, "error": str(outcome.error or outcome.skipped)})
            continue
        entry: dict[str, Any] = {
            "node": node,
            "findings": [_finding(finding) for finding in outcome.value.findings],
        }
        if plans:
            entry["plan"] = outcome.value.plan.to_json()["changes"]
        nodes.append(entry)
    return {"nodes": nodes}


def _finding(finding: Finding) -> dict[str, Any]:
    told = {
        name: clean(getattr(finding, name))
        for name in ("check", "severity", "subject", "text", "seen", "fix", "by_hand")
    }
    shown: dict[str, Any] = {**told, "harden": bool(finding.repairs)}
    if finding.provenance:
        shown["provenance"] = finding.provenance.value
    return shown


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan's changes and their diffs."""
    for change in plan.changes:
        yield f"    {change.action:10} {clean(change.name)}: {clean(change.why)}"
        if change.diff:
            yield from (f"      {line}" for line in change.diff.splitlines()[2:])
