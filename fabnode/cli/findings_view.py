"""Findings of an audit and plans of repairs, as tables, paragraphs and JSON."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..journal.redact import clean
from ..util import program
from ..util.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..audit.finding import Finding, Severity
    from ..deploy.hardening import Audit
    from ..util.fan_out import Outcome

_COUNTED: tuple[Severity, ...] = ("critical", "high", "medium", "low")
_BLANKS = re.compile(r"\s{2,}|[^\S ]")
HEADS = ("NODE", *(severity.upper() for severity in _COUNTED), "HARDEN FIXES")


def summary_rows(found: Mapping[str, Outcome[Audit]]) -> list[tuple[str, ...]]:
    """Return the number of findings of each node, as rows below HEADS."""
    rows: list[tuple[str, ...]] = []
    for node, outcome in found.items():
        if outcome.value is None:
            rows.append((node, "failed", *("" for _ in HEADS[2:])))
            continue
        findings = outcome.value.findings
        counts = Counter(finding.severity for finding in findings)
        fixable = sum(bool(finding.repairs) for finding in findings)
        rows.append((node, *(str(counts[s] or "") for s in _COUNTED), str(fixable or "")))
    return rows


def paragraphs(found: Mapping[str, Outcome[Audit]], *, width: int | None) -> Iterator[str]:
    """Yield a paragraph for each finding, and for each host that could not be examined."""
    for node, outcome in found.items():
        if outcome.value is None:
            error = outcome.error or outcome.skipped
            yield _wrapped(f"failed    {node}", [clean(str(error))], width)
            continue
        for finding in outcome.value.findings:
            yield _paragraph(node, finding, width)


def cluster_paragraphs(found: Iterable[Finding], *, width: int | None) -> Iterator[str]:
    """Yield a paragraph for each finding about the cluster's nodes, as the API has them."""
    for finding in found:
        yield _paragraph("cluster", finding, width)


def _paragraph(where: str, finding: Finding, width: int | None) -> str:
    head = f"{finding.severity:9} {where}: {_line(finding.subject)} [{finding.check}]"
    texts = [finding.text, finding.seen and f"seen: {finding.seen}", _fix(finding)]
    return _wrapped(head, [_line(line) for line in texts if line], width)


def good_lines(found: Mapping[str, Outcome[Audit]]) -> Iterator[str]:
    """Yield on which nodes nothing is wrong, and how much of each was not examined."""
    good: list[str] = []
    partly: list[tuple[str, int]] = []
    for node, outcome in found.items():
        if outcome.value is None or any(f.severity != "info" for f in outcome.value.findings):
            continue
        if unseen := sum(f.check == "unseen" for f in outcome.value.findings):
            partly.append((node, unseen))
        else:
            good.append(node)
    if good:
        yield f"nothing is wrong on {', '.join(good)}"
    for node, unseen in partly:
        yield (
            f"nothing is wrong in what was examined on {node}; {counted(unseen, 'thing')} not"
            " examined: see info above"
        )


def _line(text: str) -> str:
    """
    Return a text as one line: what a host's users wrote must not begin one of its own.

    Nor must it by blanks that reach to a terminal's edge: rows of them are spelled out.
    """
    return _BLANKS.sub(lambda row: "".join(map(_spelled, row[0])), clean(text).replace("\n", " "))


def _spelled(blank: str) -> str:
    return f"\\x{ord(blank):02x}" if ord(blank) < 256 else f"\\u{ord(blank):04x}"


def _wrapped(head: str, texts: list[str], width: int | None) -> str:
    indent = " " * 10
    if width is None:
        return "\n".join([head, *(indent + line for line in texts)])
    head = textwrap.fill(head, width, subsequent_indent=indent, break_on_hyphens=False)
    wrapped = [
        textwrap.fill(
            line,
            width,
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        for line in texts
    ]
    return "\n".join([head, *wrapped])


def _fix(finding: Finding) -> str:
    if finding.repairs:
        return f"fix: {program.task('harden')}, or: {finding.fix}"
    return f"fix by hand: {finding.fix}" + (f" ({finding.by_hand})" if finding.by_hand else "")


def left_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield what a plan leaves to people, how that was seen, and why it does."""
    for finding in findings:
        if not finding.repairs and finding.severity != "info":
            yield f"  by hand: {_line(finding.subject)}: {_line(finding.text)}"
            if finding.seen:
                yield f"           seen: {_line(finding.seen)}"
            yield f"           {_line(_fix(finding))}"


def document(found: Mapping[str, Outcome[Audit]], *, plans: bool = False) -> dict[str, Any]:
    """Return the findings as JSON-like data; with `plans`, what harden would do as well."""
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


def cluster_document(found: Iterable[Finding]) -> dict[str, Any]:
    """Return the findings about the cluster's nodes as JSON-like data."""
    return {"cluster": [_finding(finding) for finding in found]}


def _finding(finding: Finding) -> dict[str, Any]:
    rows = {
        name: clean(getattr(finding, name))
        for name in ("check", "severity", "subject", "text", "seen", "fix", "by_hand")
    }
    shown: dict[str, Any] = {**rows, "harden": bool(finding.repairs)}
    if finding.provenance:
        shown["provenance"] = finding.provenance.value
    return shown


def plan_lines(seen: Audit) -> Iterator[str]:
    """Yield what would be repaired, and the diffs of it."""
    for change in seen.plan.changes:
        yield f"    {change.action:10} {_line(change.name)}: {_line(change.why)}"
        if change.diff:
            yield from (f"      {line}" for line in change.diff.splitlines()[2:])
