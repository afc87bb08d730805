"""
Values of dataclasses from plain documents: mappings, lists and scalars, as YAML and JSON have them.

A document of the project's own is read thus: strictly, and with no more than Python brings along. A
configuration, which is to be explained to its author, is `config/`'s affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..util.problems import ConfigError, Problem
from .version import Release

T = TypeVar("T")


def made(kind: type[T], value: object, file: str) -> T:
    """
    Return a document as a value of this dataclass.

    :param file: what problems name.
    :raises ConfigError: it does not have that shape; the first place where it differs.
    """
    try:
        return _value(kind, value, ())  # type: ignore[no-any-return]
    except _WrongError as error:
        raise ConfigError([Problem(file, None, ".".join(error.path), error.message)]) from None


class _WrongError(Exception):
    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def _value(kind: Any, value: object, path: tuple[str, ...]) -> Any:
    if kind in (str, int, bool, NoneType):
        if type(value) is not kind:  # true is an int as well
            raise _WrongError(path, f"must be {_NAMES[kind]}")
        return value
    if kind is Release:
        try:
            return Release.parse(_value(str, value, path))
        except ValueError as error:
            raise _WrongError(path, str(error)) from None
    if is_dataclass(kind):
        return _instance(kind, value, path)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in inner:
            raise _WrongError(path, f"must be one of {', '.join(map(str, inner))}")
        return value
    if origin in (Union, UnionType):  # with None, always
        return None if value is None else _value(inner[0], value, path)
    if origin is Mapping:
        return {
            _value(inner[0], key, (*path, str(key))): _value(inner[1], one, (*path, str(key)))
            for key, one in _expect(dict, value, path).items()
        }
    items = enumerate(_expect(list, value, path))
    return origin(_value(inner[0], one, (*path, str(index))) for index, one in items)


_NAMES = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}


def _expect(kind: type[T], value: object, path: tuple[str, ...]) -> T:
    if not isinstance(value, kind):
        raise _WrongError(path, f"must be {_NAMES[kind]}")
    return value


def _instance(kind: Any, value: object, path: tuple[str, ...]) -> Any:
    given = _expect(dict, value, path)
    kinds, required = _shape(kind)
    for key in given.keys() - kinds.keys():
        raise _WrongError((*path, str(key)), "unknown key")
    for key in required - given.keys():
        raise _WrongError((*path, key), "is missing")
    return kind(**{key: _value(kinds[key], one, (*path, key)) for key, one in given.items()})


@cache
def _shape(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types of a dataclass's fields, and the names of those without a default."""
    required = (
        each.name
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    )
    return get_type_hints(kind), frozenset(required)
