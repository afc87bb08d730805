"""Aggregated APIs whose backend is down: until it is back, deleted namespaces stay Terminating."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.sanitize import clean, cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .client import Api, Object

_PATH = "/apis/apiregistration.k8s.io/v1/apiservices"
_LONGEST = 300


def find_down(api: Api) -> dict[str, str]:
    """
    Return the reason by name of each APIService that is not available.

    :raises ApiError: 403 without the right to list them.
    """
    return down(api.get(_PATH)["items"])


def down(items: Iterable[Object]) -> dict[str, str]:
    """Return the reason by name of those APIServices that are not available."""
    found = {item["metadata"]["name"]: _available(item) for item in items}
    return {
        name: cut(clean(f"{condition.get('reason')}: {condition.get('message')}"), _LONGEST)
        for name, condition in found.items()
        if condition.get("status") == "False"
    }


def _available(item: Object) -> Mapping[str, str]:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == "Available"), {})
