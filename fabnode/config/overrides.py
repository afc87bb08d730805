"""Merging of overrides: the cluster's settings, then the groups' in order, then the node's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_origin

from ..util.merging import merge_deep
from .sections import Section, Switchable

if TYPE_CHECKING:
    from collections.abc import Iterable


def merge_section(model: type[Section], layers: Iterable[object]) -> dict[str, object]:
    """
    Merge settings of one section, later over earlier: mappings deep, all else replaced.

    Layers that are not mappings count as empty. A reference to a secret is one value and replaced:
    merging `{env: A}` and `{file: b}` would yield neither.
    """
    result: dict[str, object] = {}
    for layer in layers:
        if issubclass(model, Switchable) and layer == "none":
            layer = {"enabled": False}  # as its model reads it
        if isinstance(layer, dict):
            result = _merge_layer(model, result, layer)
    return result


def _merge_layer(
    model: type[Section], base: dict[str, object], layer: dict[str, object]
) -> dict[str, object]:
    result = dict(base)
    for key, value in layer.items():
        info = model.model_fields.get(key)
        kind = info.annotation if info else None
        if isinstance(kind, type) and issubclass(kind, Section):
            result[key] = merge_section(kind, [result.get(key), value])
        elif get_origin(kind) is Mapping:
            result[key] = merge_deep(result.get(key), {} if value is None else value)
        else:
            result[key] = value
    return result
