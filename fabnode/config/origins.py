"""Where each setting of a node comes from: its own entry, a group, the cluster's, or a default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from .configuration import Taint
from .schema import OVERRIDDEN
from .sections import SecretRef

if TYPE_CHECKING:
    from ..util.problems import KeyPath
    from .configuration import Config, Node
    from .yaml_document import Document

HIDDEN = "<not shown>"

# No setting of fabnode's holds a secret; those passed on as they are (flags, daemon.json) may.
_SECRET_KEY = re.compile(r"passw|pwd|passphrase|secret|token|api-?key|private-?key", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True, slots=True)
class Origin:
    """
    The place that a value was read from.

    :param layer: `default`, `cluster` (for all nodes), `group` or `node`.
    :param group: the group's name, where a group sets it.
    :param line: counted from 1, in `file`; None for a default.
    :param note: what else the value follows from; may be empty.
    """

    layer: str
    group: str = ""
    file: str = ""
    line: int | None = None
    note: str = ""

    def __str__(self) -> str:
        if self.line is None:
            place = "default"
        else:
            owner = f" (group {self.group})" if self.group else ""
            place = f"{self.file}:{self.line}{owner}"
        return f"{place}, {self.note}" if self.note else place


@dataclass(frozen=True, slots=True)
class Setting:
    """
    A setting as it holds for one node.

    :param key: dotted, as `ssh.port`.
    :param value: as JSON knows it; a secret's is where the secret is found.
    """

    key: str
    value: object
    origin: Origin


def settings_of(config: Config, document: Document, node: Node) -> list[Setting]:
    """
    Return all that holds for a node, in the order of the file's keys.

    :param document: what `config` was made of.
    """
    return list(_Origins(config, document, node).settings())


class _Origins:
    def __init__(self, config: Config, document: Document, node: Node) -> None:
        self._config = config
        self._document = document
        self._node = node
        self._own: KeyPath = ("nodes", config.nodes.index(node))
        # The layer that wins comes first.
        self._groups: list[KeyPath] = [("groups", name) for name in reversed(node.groups)]

    def settings(self) -> Iterator[Setting]:
        node = self._node
        yield self._setting(("name",), node.name)
        yield self._setting(("address",), node.address)
        if (*self._own, "ip") in self._document.lines:
            yield self._setting(("ip",), ",".join(node.ips))
        else:
            yield Setting("ip", node.ip, self._at((*self._own, "address"), note="as address"))
        yield self._setting(("groups",), list(node.groups))
        for key, pairs in (("labels", node.labels), ("annotations", node.annotations)):
            for path, value in _leaves((key,), pairs):
                yield self._setting(path, value)
        yield from self._taints()
        for name in OVERRIDDEN:
            for path, value in _leaves((name,), getattr(node, name)):
                yield self._setting(path, value)

    def _taints(self) -> Iterator[Setting]:
        if not self._node.taints:
            yield self._setting(("taints",), [])
        for taint in self._node.taints:
            yield Setting("taints", str(taint), self._origin_of_taint(taint))

    def _origin_of_taint(self, taint: Taint) -> Origin:
        for owner in (self._own, *self._groups):
            given = self._document.get((*owner, "taints"))
            texts = given if isinstance(given, list) else []
            for index in reversed(range(len(texts))):  # the last of a key and effect counts
                if Taint.parse(str(texts[index])) == taint:
                    return self._at((*owner, "taints", index))
        return Origin("default")

    def _setting(self, path: KeyPath, value: object) -> Setting:
        return Setting(".".join(map(str, path)), value, self._origin(path))

    def _origin(self, path: KeyPath) -> Origin:
        note = ""
        if path == ("runtime", "sandbox_image") and self._config.images.registry:
            note = f"in images.registry {self._at(('images', 'registry'))}"
        everywhere: list[KeyPath] = [()] if path[0] in OVERRIDDEN else []
        for owner in (self._own, *self._groups, *everywhere):
            section = (*owner, path[0])
            if path[1:] == ("enabled",) and self._document.get(section) == "none":
                return self._at(section)
            if (*owner, *path) in self._document.lines:
                return self._at((*owner, *path), note)
        return Origin("default", note=note)

    def _at(self, path: KeyPath, note: str = "") -> Origin:
        layer, group = "cluster", ""
        if path[0] == "nodes":
            layer = "node"
        elif path[0] == "groups":
            layer, group = "group", str(path[1])
        return Origin(layer, group, self._document.file(path), self._document.line(path), note)


def _leaves(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, object]]:
    """Yield what stands at the ends of sections and mappings; an empty mapping is an end."""
    if isinstance(value, SecretRef):
        yield path, _plain(value)  # where it is found, and never what it is
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves((*path, name), getattr(value, name))
    elif isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves((*path, key), inner)
    else:
        yield path, _without_secrets(path, _plain(value))


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in value.model_fields_set}
        return {name: _plain(inner) for name, inner in given.items() if inner is not None}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _without_secrets(path: KeyPath, value: object) -> object:
    """Return a value without texts whose key is a secret's, and without users of URLs."""
    if isinstance(value, str):
        # Labels are no secrets, whatever they are called: everybody reads them.
        hidden = path[0] != "labels" and any(_SECRET_KEY.search(str(key)) for key in path)
        return HIDDEN if hidden else _USER_IN_URL.sub(HIDDEN, value)
    if isinstance(value, list):
        return [_without_secrets(path, inner) for inner in value]
    if isinstance(value, dict):
        return {key: _without_secrets((*path, key), inner) for key, inner in value.items()}
    return value
