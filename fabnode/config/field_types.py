"""
Types of the fields that are copied into a component's own configuration.

Its decoder insists on them: where a text stands for a number, the component does not start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from ..releases.matrix import FieldKind
from ..util.problems import KeyPath, shown

UNSET = object()
# time.ParseDuration, which metav1.Duration leaves it to; an empty text or no value is an error.
_DURATION = re.compile(r"0|[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)


def misfits(
    config: Mapping[str, object], types: Mapping[FieldKind, Iterable[str]]
) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield the fields whose values are of another type, each as (path, message, hint)."""
    for kind, fields in types.items():
        name, hint, fits = _KINDS[kind]
        for field in sorted(fields):
            path = tuple(field.split("."))
            value = value_at(config, path)
            if value is not UNSET and not fits(value):
                yield path, f"must be {name}, got {shown(value)}", hint


def value_at(config: object, path: tuple[str, ...]) -> object:
    """Return the value at a path; UNSET where there is none."""
    for key in path:
        if not isinstance(config, Mapping) or key not in config:
            return UNSET
        config = config[key]
    return config


def _is_boolean(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _is_number(value: object) -> bool:
    return _is_integer(value) or isinstance(value, float)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_duration(value: object) -> bool:
    return isinstance(value, str) and _DURATION.fullmatch(value) is not None


def _list_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: (
        value is None or (isinstance(value, (list, tuple)) and all(map(fits, value)))
    )


def _mapping_to(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: (
        value is None or (isinstance(value, Mapping) and all(map(fits, value.values())))
    )


# Kind → what it is called, how to write it, whether a value is one.
_KINDS: Mapping[FieldKind, tuple[str, str, Callable[[object], bool]]] = MappingProxyType(
    {
        "boolean": ("true or false", "write true or false, without quotes", _is_boolean),
        "integer": ("a whole number", "write digits alone, without quotes", _is_integer),
        "number": ("a number", "write it without quotes", _is_number),
        "text": ("text", "put it in quotes", _is_text),
        "duration": ("a duration", 'write number and unit as text: "90s", "5m"', _is_duration),
        "texts": ("a list of texts", 'write it as ["a", "b"]', _list_of(_is_text)),
        "integers": ("a list of whole numbers", "write it as [1, 2]", _list_of(_is_integer)),
        "mapping": (
            "a mapping to texts",
            'put its values in quotes: {cpu: "1"}',
            _mapping_to(_is_text),
        ),
        "switches": (
            "a mapping to true or false",
            "write it as {SomeFeature: true}",
            _mapping_to(_is_boolean),
        ),
    }
)
