"""Resets as text and as JSON: what would go, and what became of each thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..util import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..deploy.resetting import ResetResult, Resettable
    from ..util.fan_out import Outcome

_NAMED = 8  # lines of others' that are shown of each kind that is a list of names
_LISTS = ("interfaces", "mounts", "ipsets", "swap")


def plan_lines(found: Mapping[str, Outcome[Resettable]]) -> Iterator[str]:
    """Yield what a reset would do, host by host."""
    for node, outcome in found.items():
        if outcome.value is None:
            yield f"{node}: can't be surveyed: {outcome.error or outcome.skipped}"
            continue
        value = outcome.value
        yield f"{node}:"
        if value.survey.begun:
            yield f"  goes on: {value.survey.begun}"
        if not value.reset.changes:
            yield "  nothing of a node is there"
        for change in value.reset.changes:
            yield f"  {change.action} {change.kind} {change.name}: {change.why}"
        yield from _beside(value.others, value.reset.stays, value.reset.unknown)
        if value.copied:
            yield "  its own record is gone: this machine's copy is used"
        for refusal in value.reset.refusals:
            yield f"  refused: {refusal.text}"
            yield f"    next: {refusal.fix}"


def result_lines(done: Mapping[str, Outcome[ResetResult]]) -> Iterator[str]:
    """Yield what became of each host: gone, put back, and what was left untouched."""
    for node, outcome in done.items():
        if outcome.value is None:
            continue  # the end table says why
        value = outcome.value
        yield f"{node}:"
        yield from _list("gone", value.gone)
        yield from _list("put back", value.restored)
        yield from _beside(value.others, value.stays, value.unknown)
        for line in value.changed:
            yield f"  changed meanwhile, by somebody else: {line}"


def cluster_lines(left: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield what a reset leaves in the cluster, node by node."""
    for node, things in left.items():
        yield f"{node}: the cluster keeps {' and '.join(things)}: `{_removal(node)}` takes them"


def cluster_document(left: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return what a reset leaves in the cluster, for programs."""
    return {"in_cluster": {node: list(things) for node, things in left.items()}}


def _removal(node: str) -> str:
    return program.task(f"remove-node --limit {node}")


def _list(title: str, things: tuple[str, ...]) -> Iterator[str]:
    yield f"  {title}: {'nothing' if not things else ''}".rstrip()
    for thing in things:
        yield f"    {thing}"


def _beside(
    others: Mapping[str, tuple[str, ...]], stays: tuple[str, ...], unknown: tuple[str, ...]
) -> Iterator[str]:
    yield f"  not fabnode's, untouched:{'' if others else ' nothing'}"
    for kind, lines in others.items():
        shown = f"{len(lines)} lines"
        if kind in _LISTS:
            rest = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
            shown = ", ".join(lines[:_NAMED]) + rest
        yield f"    {kind}: {shown}"
    for text in stays:
        yield f"  stays: {text}"
    for text in unknown:
        yield f"  no record: {text}"


def plan_document(found: Mapping[str, Outcome[Resettable]]) -> dict[str, Any]:
    """Return what a reset would do, for programs."""
    return {"nodes": [_planned(node, outcome) for node, outcome in found.items()]}


def _planned(node: str, outcome: Outcome[Resettable]) -> dict[str, Any]:
    if outcome.value is None:
        return {"node": node, "error": str(outcome.error or outcome.skipped)}
    value = outcome.value
    return {
        "node": node,
        "changes": [change.to_json() for change in value.reset.changes],
        "refused": [{"text": each.text, "fix": each.fix} for each in value.reset.refusals],
        **_others(value.others, value.reset.stays, value.reset.unknown),
    }


def result_document(done: Mapping[str, Outcome[ResetResult]]) -> dict[str, Any]:
    """Return what became of each host, for programs."""
    return {"nodes": [_result(node, outcome) for node, outcome in done.items()]}


def _result(node: str, outcome: Outcome[ResetResult]) -> dict[str, Any]:
    if outcome.value is None:
        return {"node": node, "error": str(outcome.error or outcome.skipped)}
    value = outcome.value
    return {
        "node": node,
        "gone": list(value.gone),
        "put_back": list(value.restored),
        "changed_meanwhile": list(value.changed),
        **_others(value.others, value.stays, value.unknown),
    }


def _others(
    others: Mapping[str, tuple[str, ...]], stays: tuple[str, ...], unknown: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "others": {kind: list(lines) for kind, lines in others.items()},
        "stays": list(stays),
        "no_record": list(unknown),
    }
