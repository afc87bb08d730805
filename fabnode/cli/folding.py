"""Warnings that are the same on many nodes, folded into one with the nodes' names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..journal.events import Event

HOLD = 2.0  # seconds that a warning waits for the same of other nodes
_NAMED = 3  # nodes that are named in place of one


def named(nodes: Sequence[str]) -> tuple[str, str]:
    """Return nodes as a heading, and a further line with their names where that is a number."""
    names = ", ".join(nodes)
    return (names, "") if len(nodes) <= _NAMED else (f"{len(nodes)} nodes", f"on {names}")


class FoldedWarnings:
    """Warnings of nodes, held for a moment; times are seconds since 1970."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], list[Event]] = {}

    def add(self, event: Event) -> None:
        """Hold a node's warning."""
        advice = str(event.data.get("advice", ""))
        self._held.setdefault((event.step, event.text, advice), []).append(event)

    def due(self, now: float | None = None) -> Iterator[Event]:
        """Yield each warning once, of those held long enough; without a time, of all."""
        for key, events in list(self._held.items()):
            if now is None or now - events[0].at >= HOLD:
                del self._held[key]
                nodes = dict.fromkeys(event.node or "" for event in events)
                head, rest = named(list(nodes))
                text = f"{events[0].text}\n{rest}" if rest else events[0].text
                yield replace(events[0], node=head, text=text)
