"""
Expressions in variables, where they are nothing but the names of other plain variables.

`{{ kube_config_dir }}/ssl` is followed; filters, lookups, conditions and all else are not: nothing
is evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .values import Kind, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"\{\{-?\s*([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}", re.ASCII)
_MARKS = ("{{", "{%", "{#")
_MOST_STEPS = 8
_MOST_VALUES = 2000
_LONGEST = 4096


def followed(value: Value, variables: Mapping[str, Value], host: str = "") -> Value:
    """
    Return a value with the names in it replaced by what they stand for.

    :param host: what `inventory_hostname` stands for.
    :returns: the value as it is, marked as an expression, where that is not all there is to it.
    """
    if value.odd is not Kind.EXPRESSION:
        return value
    return _Follower(variables, host).value(value, _MOST_STEPS) or value


@dataclass(slots=True)
class _Follower:
    variables: Mapping[str, Value]
    host: str
    left: int = _MOST_VALUES

    def value(self, value: Value, steps: int) -> Value | None:
        """Return the value, or None where it, or something within it, is another expression."""
        self.left -= 1
        if self.left < 0:
            return None
        if isinstance(value.data, dict):
            pairs = {key: self.value(each, steps) for key, each in value.data.items()}
            made = {key: each for key, each in pairs.items() if each}
            return Value(made, value.place, value.kind) if len(made) == len(pairs) else None
        if isinstance(value.data, list):
            found = [each for item in value.data if (each := self.value(item, steps))]
            return Value(found, value.place, value.kind) if len(found) == len(value.data) else None
        if value.kind is not Kind.EXPRESSION:
            return value
        if steps == 0 or not isinstance(value.data, str) or len(value.data) > _LONGEST:
            return None
        text = value.data.strip()
        if whole := _NAME.fullmatch(text):
            target = self._target(whole[1], value, steps)
            return target and Value(target.data, value.place, target.kind, target.written)
        return self._text(text, value, steps)

    def _text(self, text: str, value: Value, steps: int) -> Value | None:
        parts: list[str] = []
        for position, part in enumerate(_NAME.split(text)):
            if position % 2 == 0:
                if any(mark in part for mark in _MARKS):
                    return None
                parts.append(part)
                continue
            target = self._target(part, value, steps)
            if (
                target is None
                or target.kind is not Kind.PLAIN
                or isinstance(target.data, dict | list)
            ):
                return None
            parts.append(str(target.data))
        made = "".join(parts)
        return Value(made, value.place, Kind.PLAIN, made) if len(made) <= _LONGEST else None

    def _target(self, name: str, value: Value, steps: int) -> Value | None:
        if name == "inventory_hostname" and self.host:
            return Value(self.host, value.place, Kind.PLAIN, self.host)
        target = self.variables.get(name)
        return self.value(target, steps - 1) if target else None
