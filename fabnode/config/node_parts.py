"""Nodes of a document one by one, each with its lines: for what makes others of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..util.problems import KeyPath
    from .yaml_document import Document, Place

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodePart:
    """An entry of `nodes`; its paths begin below it, and are as those of a Document."""

    value: object
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    texts: Mapping[KeyPath, str] = field(default_factory=dict)
    places: Mapping[KeyPath, Place] = field(default_factory=dict)


def is_list(entry: object) -> bool:
    """Return whether an entry of `nodes` names a list of hosts elsewhere."""
    return isinstance(entry, dict) and "from" in entry


def parts_of(document: Document) -> list[NodePart]:
    """Return the entries of `nodes`; none where that is no list."""
    nodes = document.value.get("nodes")
    if not isinstance(nodes, list):
        return []
    lines, texts = _by_entry(document.lines), _by_entry(document.texts)
    places = _by_entry(document.places)
    return [
        NodePart(value, lines.get(index, {}), texts.get(index, {}), places.get(index, {}))
        for index, value in enumerate(nodes)
    ]


def with_parts(document: Document, parts: Iterable[NodePart]) -> Document:
    """Return the document with these entries as its `nodes`."""
    made = list(parts)
    return replace(
        document,
        value={**document.value, "nodes": [part.value for part in made]},
        lines=_whole(document.lines, [part.lines for part in made]),
        texts=_whole(document.texts, [part.texts for part in made]),
        places=_whole(document.places, [part.places for part in made]),
    )


def _of_entry(path: KeyPath) -> bool:
    return path[:1] == ("nodes",) and len(path) > 1


def _by_entry(by_path: Mapping[KeyPath, T]) -> dict[object, dict[KeyPath, T]]:
    found: dict[object, dict[KeyPath, T]] = {}
    for path, value in by_path.items():
        if _of_entry(path):
            found.setdefault(path[1], {})[path[2:]] = value
    return found


def _whole(
    by_path: Mapping[KeyPath, T], of_entries: Iterable[Mapping[KeyPath, T]]
) -> dict[KeyPath, T]:
    result = {path: value for path, value in by_path.items() if not _of_entry(path)}
    for index, entry in enumerate(of_entries):
        result |= {("nodes", index, *path): value for path, value in entry.items()}
    return result
