"""Findings about nodes that were removed from the cluster, and are back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util import program
from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..node.registration import Registration


def findings(nodes: Iterable[Registration]) -> Iterator[Finding]:
    """
    Return which nodes a removal was to keep out, and are nodes all the same.

    A kubelet whose certificate is good makes its Node object again when it starts, without the
    taint by which it was locked out.
    """
    for node in nodes:
        if node.locked:
            if node.ready:  # one that is silent is what it is to be
                text = "its removal was begun, and it is Ready"
                yield _finding(node, text, node.locked, ("uncordon", "deploy-nodes"))
        elif node.removed:
            text = f"it was removed, or locked out, on {node.removed}, and is a node of the cluster"
            yield _finding(node, text, "what that removal recorded", ("deploy-nodes",))
        elif not (node.known or node.controls):
            yield Finding(
                "removed-node",
                "info",
                node.name,
                "a node that the configuration does not know: somebody else's, or one that was"
                " removed without a record and is back",
                _seen(node),
                f"where it is nobody's, {_end(node)}",
            )


def _finding(node: Registration, text: str, because: str, keeping: tuple[str, ...]) -> Finding:
    """
    Return that a node is back.

    :param keeping: tasks that make it a node again, for good.
    """
    tasks = ", then ".join(f"`{program.task(f'{task} --limit {node.name}')}`" for task in keeping)
    keep = f"; where it is to stay: {tasks}" if node.known else ""
    seen = f"{because}; {_seen(node)}"
    return Finding("removed-node", "high", node.name, text, seen, f"{_end(node)}{keep}")


def _seen(node: Registration) -> str:
    ready = "Ready" if node.ready else "not Ready"
    return f"a Node object since {node.since}, at {node.where}, {ready}"


def _end(node: Registration) -> str:
    ends = f"`{program.task(f'remove-node --limit {node.name}')}` ends it, with its host"
    if node.known:
        return ends
    return f"switch its host off, or put it into the configuration again: {ends}"
