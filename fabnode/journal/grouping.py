"""Grouping of equal failures, warnings and changes of several nodes, for reports. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .summary import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .events import Event
    from .summary import NodeResult


@dataclass(frozen=True, slots=True)
class Group:
    """
    A failure, warning or change that several nodes share.

    :param detail: output of the first of them.
    """

    state: str
    step: str
    text: str
    advice: str
    nodes: tuple[str, ...]
    detail: str = ""


def failures(rows: Iterable[NodeResult]) -> tuple[Group, ...]:
    """Return why nodes failed or were skipped, grouped."""
    bad = {row.node: row for row in rows if row.result in ("failed", "skipped")}
    groups = _groups((r.result, r.step, r.cause, r.advice, r.node) for r in bad.values())
    return tuple(replace(group, detail=bad[group.nodes[0]].detail) for group in groups)


def warnings(events: Iterable[Event]) -> tuple[Group, ...]:
    """Return the warnings, grouped."""
    return _groups(
        ("warning", e.step, e.text, str(e.data.get("advice", "")), e.node or CLUSTER)
        for e in events
        if e.state == "warning"
    )


def changes(events: Iterable[Event]) -> tuple[Group, ...]:
    """Return the changes, also of steps that failed later, per step and set of nodes."""
    single = _groups(
        ("changed", event.step, change, "", event.node or CLUSTER)
        for event in events
        if event.state in ("changed", "failed")
        for change in _listed(event)
    )
    together: dict[tuple[str, tuple[str, ...]], Group] = {}
    for group in single:
        key = (group.step, group.nodes)
        before = together.get(key)
        text = f"{before.text}\n{group.text}" if before else group.text
        together[key] = replace(group, text=text)
    return tuple(together.values())


def _listed(event: Event) -> list[str]:
    """Return the changes that an event lists, or else its text if its state is `changed`."""
    listed = event.data.get("changes")
    if isinstance(listed, list) and listed:
        return [str(change) for change in listed]
    return [event.text] if event.state == "changed" and event.text else []


def _groups(entries: Iterable[tuple[str, str, str, str, str]]) -> tuple[Group, ...]:
    """
    Group entries (state, step, text, advice, node) that differ only in the node's own name.

    The text of the first stands for all.
    """
    first: dict[tuple[str, ...], tuple[str, str]] = {}
    nodes: dict[tuple[str, ...], dict[str, None]] = {}
    for state, step, text, advice, node in entries:
        own_name = re.compile(rf"(?<![\w.-]){re.escape(node)}(?![\w-])")
        key = (state, step, own_name.sub("\0", text), own_name.sub("\0", advice))
        first.setdefault(key, (text, advice))
        nodes.setdefault(key, {})[node] = None
    return tuple(
        Group(key[0], key[1], text, advice, tuple(sorted(nodes[key], key=_by_number)))
        for key, (text, advice) in first.items()
    )


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sort key for natural order: n2 before n10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
