"""Addresses that Calico holds for a node, with its datastore kubernetes: what goes with that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .protocol import Object, Reader

RESOURCES = ("blockaffinities", "ipamblocks", "ipamhandles")
_GROUP = "/apis/crd.projectcalico.org/v1"


@dataclass(frozen=True, slots=True)
class Held:
    """
    What is held for a node.

    :param blocks: paths of blocks of which nobody else uses an address, with their versions.
    :param lent: likewise, of those with addresses of other nodes' pods: they lose their owner.
    :param affinities, handles: paths.
    """

    blocks: tuple[tuple[str, str], ...] = ()
    lent: tuple[tuple[str, str], ...] = ()
    affinities: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not (self.blocks or self.lent or self.affinities)


def held(api: Reader, node: str) -> Held:
    """Return what is held for a node that runs no pods any more."""
    affinities = [
        _path("blockaffinities", item)
        for item in _items(api, "blockaffinities")
        if _spec(item).get("node") == node
    ]
    blocks = [b for b in _items(api, "ipamblocks") if _spec(b).get("affinity") == f"host:{node}"]
    lent = [block for block in blocks if set(_users(block)) - {node}]
    gone = [block for block in blocks if block not in lent]
    cidrs = {str(_spec(block).get("cidr")) for block in gone}
    ids = {handle for block in gone for handle in _handles(block)}
    handles = [
        _path("ipamhandles", item)
        for item in (_items(api, "ipamhandles") if ids else ())
        if _spec(item).get("handleID") in ids and set(_spec(item).get("block") or ()) <= cidrs
    ]
    return Held(
        tuple(_versioned(block) for block in gone),
        tuple(_versioned(block) for block in lent),
        tuple(affinities),
        tuple(handles),
    )


def _users(block: Object) -> Iterator[str]:
    """Yield the node of each address of a block that is in use."""
    for attribute in _used(block):
        yield str((attribute.get("secondary") or {}).get("node", ""))


def _handles(block: Object) -> Iterator[str]:
    for attribute in _used(block):
        if handle := attribute.get("handle_id"):
            yield str(handle)


def _used(block: Object) -> Iterator[dict[str, Any]]:
    spec = _spec(block)
    attributes = spec.get("attributes") or ()
    for index in spec.get("allocations") or ():
        if isinstance(index, int) and 0 <= index < len(attributes):
            yield attributes[index]


def _items(api: Reader, kind: str) -> Iterable[Object]:
    return (api.find(f"{_GROUP}/{kind}") or {}).get("items") or ()


def _spec(item: Object) -> dict[str, Any]:
    return item.get("spec") or {}


def _path(kind: str, item: Object) -> str:
    return f"{_GROUP}/{kind}/{item['metadata']['name']}"


def _versioned(block: Object) -> tuple[str, str]:
    return _path("ipamblocks", block), str(block["metadata"]["resourceVersion"])
