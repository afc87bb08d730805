"""Collections of API objects that may be large, read by pages: of Nodes, of Leases, of pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

PAGE = 500  # objects; client-go's own lists have pages of so many
_WORTH = 10  # requests that a page costs as much as, for both sides
# The largest parts of a Node object, which grow with its images and its volumes.
_UNREAD = frozenset({"images", "volumesAttached", "volumesInUse"})


class _Reads(Protocol):
    def get(self, path: str, **query: str) -> Object: ...


def lean(node: Object) -> Object:
    """Return a Node object without what nobody here reads, to be kept; never to be written back."""
    status = node.get("status") if isinstance(node, dict) else None
    if not isinstance(status, dict):
        return node
    return {**node, "status": {key: status[key] for key in status if key not in _UNREAD}}


def cheaper_listed(asked: int, nodes: int) -> bool:
    """
    Return whether one list costs less than to ask for what so many nodes have, one by one.

    :param nodes: for how many nodes there is such an object.
    """
    return asked > _WORTH * max(1, -(-nodes // PAGE))


def listed(
    api: _Reads, path: str, keep: Callable[[Object], Object] | None = None, **query: str
) -> Object:
    """
    Return all objects of a collection as they were at one moment, in the shape of a List.

    :param keep: makes of each object what is kept of it, before the next page is read.
    :param query: of the request, selectors for example.
    :raises ApiError: the API refuses; 410 where a page comes when the API has forgotten that
        moment, after 5 minutes by default (etcd's compaction, --etcd-compaction-interval).
    """
    whole = page = api.get(path, limit=str(PAGE), **query)
    items: list[Object] = []
    while True:
        found = page.get("items") or []
        if not isinstance(found, list):
            found = [found]  # no object, as whoever reads it sees
        items += map(keep, found) if keep else found
        metadata = page.get("metadata")
        following = metadata.get("continue") if isinstance(metadata, dict) else None
        if not isinstance(following, str) or not following:
            return {**whole, "items": items}
        page = api.get(path, limit=str(PAGE), **query, **{"continue": following})
