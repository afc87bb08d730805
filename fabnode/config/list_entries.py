"""
Hosts of a list as entries of nodes: keys by `fields`, values of the types that the keys have.

Tables know texts alone, and programs write numbers where fabnode wants text: a value becomes what
its key wants where that loses nothing, and is left to the validation of all entries where it does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..util.problems import KeyPath, plain
from . import host_list
from .list_records import field_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .list_records import Record
    from .listing import Listing

Schema = Mapping[str, Any]

_BETWEEN = re.compile(r"[\s,;]+")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}
_ADDRESSES: set[KeyPath] = {("address",), ("ip",)}


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A node's entry that a list holds.

    :param lines: key path below the entry → line in the list; `texts` as of a Document.
    :param keys: key path below the entry → what the list calls it, where that is another key;
        also of what this host does not have.
    """

    value: dict[str, object] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    keys: dict[KeyPath, str] = field(default_factory=dict)


class NodeKeys:
    """The keys of a node's entry, by the JSON Schema that editors get."""

    def __init__(self, schema: Schema) -> None:
        self._made = schema
        self._top = schema["$defs"]["NodeEntry"]
        self._known: dict[str, tuple[KeyPath, Schema] | None] = {}

    def names(self) -> list[str]:
        """Return the keys at the top of an entry."""
        return list(self._top["properties"])

    def find(self, key: str) -> tuple[KeyPath, Schema] | None:
        """Return the path that a dotted key means, and what may stand there; None: no such key."""
        if key not in self._known:
            self._known[key] = self._find(key)
        return self._known[key]

    def _find(self, key: str) -> tuple[KeyPath, Schema] | None:
        path: list[str] = []
        here, rest = self._top, key
        if not key:
            return None
        while rest:
            if properties := self.properties(here):
                name, _, rest = rest.partition(".")
                if name not in properties:
                    return None
                here = properties[name]
                path.append(name)
            elif (inner := self.inner(here)) is not None:
                return (*path, rest), inner  # names of labels and flags have dots in them
            else:
                return None
        return tuple(path), here

    def properties(self, here: Schema) -> Mapping[str, Schema]:
        """Return the keys of a section."""
        return next((s["properties"] for s in self._shapes(here) if "properties" in s), {})

    def inner(self, here: Schema) -> Schema | None:
        """Return what the values of a mapping with free keys may be; None: it is no such one."""
        for shape in self._shapes(here):
            if isinstance(found := shape.get("additionalProperties"), dict):
                return found
        return None

    def items(self, here: Schema) -> Schema | None:
        """Return what the items of a list may be; None: it is no list."""
        return next((s["items"] for s in self._shapes(here) if "items" in s), None)

    def types(self, here: Schema) -> set[str]:
        """Return the names of types in JSON Schema; none: any."""
        found: set[str] = set()
        for shape in self._shapes(here):
            kinds = shape.get("type", ())
            found |= {kinds} if isinstance(kinds, str) else set(kinds)
            found |= {"string"} if "const" in shape or "enum" in shape else set()
        return found - {"null"}

    def is_free(self, here: Schema) -> bool:
        """Return whether a value may be anything."""
        return not self.types(here) and not self.properties(here)

    def _shapes(self, here: Schema) -> Iterator[Schema]:
        if "$ref" in here:
            yield from self._shapes(self._made["$defs"][here["$ref"].rpartition("/")[2]])
        elif "anyOf" in here:
            for one in here["anyOf"]:
                yield from self._shapes(one)
        else:
            yield here


def entry(
    record: Record, listing: Listing, fields: Mapping[str, str] | None, known: NodeKeys
) -> Entry:
    """
    Return a host as a node's entry.

    :param fields: keys of nodes → keys of the list, all of which `known` has; None: the list has
        the keys of nodes itself.
    :raises InvalidValueError: a text is more than a name and an address.
    """
    made = _Making(record, listing, known)
    if isinstance(record.value, str):
        made.take_text(record.value)
    else:
        own = record.value if isinstance(record.value, dict) else {}
        for key, theirs in (fields or {key: key for key in own}).items():
            made.take(key, theirs)
        made.complete()
    return made.entry


class _Making:
    def __init__(self, record: Record, listing: Listing, known: NodeKeys) -> None:
        self.entry = Entry()
        self._record = record
        self._listing = listing
        self._known = known
        self.entry.lines[()] = listing.line(record.path)
        if not listing.table:
            self.entry.keys[()] = written(record.path)

    def take_text(self, text: str) -> None:
        at = self._record.path
        if self._record.name is None:
            name, address, ip = host_list.fields_of(text.split() or [""])
        else:
            name, address, ip = self._record.name, text, None
        self._set(("name",), name, at)
        self._set(("address",), _bare(address), at)
        if ip is not None:
            self._set(("ip",), ip, at)

    def take(self, key: str, theirs: str) -> None:
        found = self._known.find(key)
        if found is None:
            return
        path, here = found
        if not self._listing.table:
            self.entry.keys[path] = written((*self._record.path, theirs))
        elif theirs != key:
            self.entry.keys[path] = plain(theirs)
        values = [(at, value) for at, value in field_of(self._record, theirs) if value is not None]
        if not values:
            return
        at, value = values[0]
        if len(values) > 1:  # from each item of a list on the way
            value = [each for _, each in values]
        if value == "" and path[0] not in {"labels", "annotations"}:
            return
        self._put(path, _bare(value) if path in _ADDRESSES else value, at, here)

    def complete(self) -> None:
        """Add what an entry may leave out: where one of them is given, it says the other."""
        value = self.entry.value
        if "name" not in value and self._record.name is not None:
            self._set(("name",), self._record.name, self._record.path)
        if "address" not in value and isinstance(ip := _first(value.get("ip")), str):
            self._set(("address",), ip, self._record.path)
            self.entry.lines["address",] = self.entry.lines["ip",]

    def _set(self, path: KeyPath, value: object, at: KeyPath) -> None:
        """Set a value, in the mappings that it belongs to."""
        inside: dict[str, object] = self.entry.value
        line = self._listing.line(at)
        for depth, key in enumerate(path[:-1], 1):
            below = inside.get(str(key))
            if not isinstance(below, dict):
                below = {}
            inside[str(key)] = below
            inside = below
            self.entry.lines.setdefault(path[:depth], line)
        inside[str(path[-1])] = value
        self.entry.lines[path] = line
        if (written_there := self._listing.texts.get(at)) is not None:
            self.entry.texts[path] = written_there

    def _put(self, path: KeyPath, value: object, at: KeyPath, here: Schema) -> None:
        """Set a value as its key wants it, with a line for each part of it."""
        value = self._fitting(value, at, here)
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                below = self._known.properties(here).get(key) or self._known.inner(here) or {}
                if inner is not None or self._known.is_free(below):  # there a null means something
                    self._put((*path, key), inner, (*at, key), below)
            return
        if isinstance(value, list):
            items = self._known.items(here) or {}
            value = [self._fitting(item, (*at, index), items) for index, item in enumerate(value)]
            for index in range(len(value)):
                self.entry.lines[(*path, index)] = self._listing.line((*at, index))
        self._set(path, value, at)

    def _fitting(self, value: object, at: KeyPath, here: Schema) -> object:
        types = self._known.types(here)
        if isinstance(value, bool | int | float):
            kinds = {"boolean"} if isinstance(value, bool) else {"integer", "number"}
            if "array" in types and not types & kinds:
                return [self._fitting(value, at, self._known.items(here) or {})]
            if "string" in types and not types & kinds:
                return self._listing.texts.get(at, str(value))
            return value
        if not isinstance(value, str):
            return value
        if "string" in types:
            return value
        if "array" in types:
            return [each for each in _BETWEEN.split(value) if each]
        if "object" in types and "=" in value:
            pairs = (each.partition("=") for each in _BETWEEN.split(value) if each)
            return {key: content for key, _, content in pairs}
        any_type = not types and self._listing.table
        if _WHOLE.fullmatch(value) and ("integer" in types or any_type):
            return int(value)
        if value.lower() in _BOOLEANS and ("boolean" in types or any_type):
            return _BOOLEANS[value.lower()]
        return value


def written(path: KeyPath) -> str:
    """Return a path as people write it: `results[4].primary_ip4.address`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{plain(part)}" if text else plain(part)
    return text


def _first(value: object) -> object:
    """Return the first of one address or of two, in a list or with a comma between."""
    if isinstance(value, list):
        return value[0] if value else None
    return value.partition(",")[0].strip() if isinstance(value, str) else value


def _bare(value: object) -> object:
    """Return addresses without the lengths of their networks, which NetBox writes after them."""
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if not isinstance(value, str) or "/" not in value:
        return value
    if "," in value:
        return ",".join(str(_bare(each.strip())) for each in value.split(","))
    try:
        return str(ipaddress.ip_interface(value).ip)
    except ValueError:
        return value
