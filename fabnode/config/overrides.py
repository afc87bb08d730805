"""A node's settings: the cluster's, its groups' in their order, its own; the later wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_origin

from .sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterable


def merged(model: type[Section], layers: Iterable[object]) -> dict[str, object]:
    """
    Merge settings of one section, later over earlier: mappings deep, all else replaced.

    Layers that are no mappings count as empty. A reference to a secret is one value: it is
    replaced, for merging `{env: A}` and `{file: b}` would make neither.
    """
    result: dict[str, object] = {}
    for layer in layers:
        if isinstance(layer, dict):
            result = _over(model, result, layer)
    return result


def _over(
    model: type[Section], base: dict[str, object], layer: dict[str, object]
) -> dict[str, object]:
    result = dict(base)
    for key, value in layer.items():
        info = model.model_fields.get(key)
        kind = info.annotation if info else None
        if isinstance(kind, type) and issubclass(kind, Section):
            result[key] = merged(kind, [result.get(key), value])
        elif get_origin(kind) is Mapping:
            result[key] = deep(result.get(key), {} if value is None else value)
        else:
            result[key] = value
    return result


def deep(base: object, layer: object) -> object:
    """Merge two values of free form: mappings key by key, all else replaced."""
    if not isinstance(base, dict) or not isinstance(layer, dict):
        return layer
    return base | {key: deep(base.get(key), value) for key, value in layer.items()}
