"""The hosts in a list: found by a path, whatever shape the program gave it that wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..util.problems import InvalidValueError, nearest, plain, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..util.problems import KeyPath
    from .listing import Listing

_SHOWN = 12  # keys or values named in a message
_INDEX = re.compile(r"\[([0-9]*)\]")
_OF_TERRAFORM = {"sensitive", "type", "value"}


@dataclass(frozen=True, slots=True)
class Record:
    """
    A host as a list has it.

    :param path: where in the list. :param name: its key, where the list is a mapping; else None.
    :param value: a mapping of whatever the list calls it, or a text with name, address or both.
    """

    path: KeyPath
    name: str | None
    value: object


class NoHostsError(InvalidValueError):
    """A list in which nothing is found that the configuration names; `path` is where it looked."""

    def __init__(self, message: str, advice: str, path: KeyPath = ()) -> None:
        super().__init__(message, advice)
        self.path = path


def records(listing: Listing, path: str) -> list[Record]:
    """
    Return the hosts at a path: the items of a list, or the entries of a mapping from names.

    :param path: keys with dots between; a list on the way stands for all its items. Empty: the
        whole document.
    :raises NoHostsError: nothing is there, or no hosts.
    """
    steps = _steps(path)
    places = list(values_at(listing.value, (), steps))
    if not places:
        raise _nothing_at(listing.value, path, steps)
    indexes = sum(step.isdigit() for step in steps.split("."))
    found: list[Record] = []
    for at, value in places:
        # A list on the way has the hosts themselves at its end: {name: …}, not name → entry.
        of_list = sum(isinstance(key, int) for key in at) > indexes
        if isinstance(value, dict) and of_list:
            found.append(Record(at, None, value))
        else:
            found += _records_of(at, value)
    return found


def values_at(value: object, at: KeyPath, steps: str) -> Iterator[tuple[KeyPath, object]]:
    """
    Yield each value at the end of a path, with where it is.

    Keys may have dots in them, and Terraform's outputs are looked into.
    """
    if not steps:
        yield _unwrapped(value, at)
        return
    if isinstance(value, list):
        index, _, rest = steps.partition(".")
        if index.isdigit():
            if int(index) < len(value):
                yield from values_at(value[int(index)], (*at, int(index)), rest)
            return
        for number, item in enumerate(value):
            yield from values_at(item, (*at, number), steps)
    elif isinstance(value, dict):
        key = _key_of(value, steps)
        if key is not None:
            yield from values_at(value[key], (*at, key), steps[len(key) + 1 :])
        elif _is_wrapped(value):
            yield from values_at(value["value"], (*at, "value"), steps)


def field_of(record: Record, key: str) -> list[tuple[KeyPath, object]]:
    """Return the values that a host has for a key of its list, each with where it is."""
    value = record.value
    steps = key if isinstance(value, dict) and key in value else _steps(key)
    return list(values_at(value, record.path, steps))


def chosen(
    listing: Listing, found: Sequence[Record], only: Mapping[str, Sequence[object]]
) -> list[Record]:
    """
    Return the hosts that have one of the given values in each of the given fields.

    :raises NoHostsError: none of them has such a field, or one of the values.
    """
    kept = list(found)
    for key, wanted in only.items():
        words = {_word(listing, (), each) for each in wanted}
        seen: set[str] = set()
        there = []
        for record in kept:
            values = set(_words_at(listing, record, key))
            seen |= values
            if values & words:
                there.append(record)
        if kept and not there:
            what = f"no host has {key}: {' or '.join(sorted(words))}"
            known = sorted(seen)
            hint = f"its values are: {some(known)}" if known else f"it has: {some(keys_of(found))}"
            raise NoHostsError(what, hint)
        kept = there
    return kept


def keys_of(found: Sequence[Record]) -> list[str]:
    """Return what hosts have, in the order of its first appearance."""
    each = (record.value for record in found if isinstance(record.value, dict))
    return list(dict.fromkeys(key for value in each for key in value))


def some(words: Sequence[str]) -> str:
    """Return the first of many words, for a sentence."""
    shown_words = ", ".join(plain(word, 40) for word in words[:_SHOWN])
    return f"{shown_words}, …" if len(words) > _SHOWN else shown_words


def _steps(path: str) -> str:
    """Return a path with dots alone: `.Reservations[].Instances[0]` as jq and JMESPath have it."""
    dotted = _INDEX.sub(lambda found: f".{found[1]}" if found[1] else "", path)
    return dotted.removeprefix("$").strip(".")


def _key_of(value: Mapping[str, object], steps: str) -> str | None:
    """Return the key that a path begins with: the longest, for keys have dots themselves."""
    key = steps
    while key:
        if key in value:
            return key
        key = key.rpartition(".")[0]
    return None


def _is_wrapped(value: Mapping[str, object]) -> bool:
    """Say whether a value is an output of `terraform output -json`, with what it is about it."""
    return {"sensitive", "value"} <= value.keys() <= _OF_TERRAFORM


def _unwrapped(value: object, at: KeyPath) -> tuple[KeyPath, object]:
    if isinstance(value, dict) and _is_wrapped(value):
        return (*at, "value"), value["value"]
    return at, value


def _records_of(at: KeyPath, value: object) -> Iterator[Record]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield _record((*at, index), None, item)
    elif isinstance(value, dict):
        inner = [each for each in value.values() if isinstance(each, dict)]
        if inner and len(inner) == len(value) and all(map(_is_wrapped, inner)):
            hint = f"name one of them by `path`: {some(list(value))}"
            raise NoHostsError("holds outputs of Terraform, not hosts", hint, at)
        for key, item in value.items():
            yield _record((*at, key), key, item)
    else:
        raise NoHostsError(f"must be a list of hosts, or a mapping, got {shown(value)}", "", at)


def _record(at: KeyPath, name: str | None, item: object) -> Record:
    if item is None and name is not None:
        return Record(at, name, {})  # `node-1:` and nothing below, as inventories have it
    if not isinstance(item, dict | str):
        hint = "name the list by `path`, as in path: results" if name is not None else ""
        raise NoHostsError(f"must be a host: a mapping or text, got {shown(item)}", hint, at)
    return Record(at, name, item)


def _nothing_at(value: object, path: str, steps: str) -> NoHostsError:
    """Say how far a path leads."""
    way, rest = "", steps
    while rest:
        rest = rest.rpartition(".")[0]
        if not rest or any(True for _ in values_at(value, (), rest)):
            break
    way = rest
    here = [each for _, each in values_at(value, (), way)]
    known = keys_of([Record((), None, each) for each in here])
    word = steps[len(way) :].strip(".").partition(".")[0]
    hint = nearest(word, known) or (f"it has: {some(known)}" if known else "")
    inside = f" in {plain(way)}" if way else ""
    return NoHostsError(f"has nothing at the path {plain(path)}: no {plain(word)}{inside}", hint)


def _words_at(listing: Listing, record: Record, key: str) -> Iterator[str]:
    for at, value in field_of(record, key):
        for index, each in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(each, str) and listing.table:
                yield from (each, *re.split(r"\s*[,;]\s*", each))
            elif not isinstance(each, dict | list) and each is not None:
                yield _word(listing, (*at, index) if isinstance(value, list) else at, each)


def _word(listing: Listing, at: KeyPath, value: object) -> str:
    """Return a value as text: numbers as they were written, true and false in lowercase."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else listing.texts.get(at, str(value))
