"""Merging of nested mappings."""

from __future__ import annotations


def merge_deep(base: object, layer: object) -> object:
    """Merge two values of free form: mappings key by key, all else replaced."""
    if not isinstance(base, dict) or not isinstance(layer, dict):
        return layer
    return base | {key: merge_deep(base.get(key), value) for key, value in layer.items()}
