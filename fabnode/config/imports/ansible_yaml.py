"""Ansible's YAML inventories, and its files of variables: Values to an Inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...util.problems import ConfigError, Problem, plain
from .host_patterns import spread
from .inventory import Inventory, Layer
from .values import Place, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS = ("hosts", "children", "vars")
_MOST_DEEP = 30


def read(root: Value, inventory: Inventory) -> None:
    """
    Add what a YAML inventory says.

    :raises ConfigError: groups or hosts are no mappings, or a name stands for no host.
    """
    for name, value in root.keys.items():
        _check(name, value)
    for name, value in root.keys.items():
        _group(name, value, inventory, 0)


def _check(name: str, found: Value) -> None:
    if not found.empty and not isinstance(found.data, dict):
        hint = "a group is a mapping with hosts, children and vars"
        raise ConfigError([_problem(found.place, name, "is no group", hint)])


def _group(name: str, found: Value, inventory: Inventory, depth: int) -> None:
    if depth > _MOST_DEEP:
        raise ConfigError([_problem(found.place, name, "is a group too deep within groups")])
    _check(name, found)
    group = inventory.group(name)
    for part, value in found.keys.items():
        if part not in _PARTS:
            # Ansible warns, and passes over it.
            inventory.unread.append(
                (f"{name}.{part}", value.place, "Ansible reads hosts, children and vars of a group")
            )
            continue
        pairs = _pairs(value, f"{name}.{part}")
        for key, each in pairs.items():
            if part == "hosts":
                _host(key, each, name, inventory)
            elif part == "children":
                group.children.setdefault(key, each.place)
                _group(key, each, inventory, depth + 1)
            else:
                inventory.set_group(name, key, each, Layer.GROUP_IN_FILE)


def _pairs(value: Value, key: str) -> Mapping[str, Value]:
    if isinstance(value.data, str) and key.endswith(".hosts"):
        return {value.data: Value(None, value.place)}  # Ansible takes `hosts: n1` as well
    if not value.empty and not isinstance(value.data, dict):
        hint = "write names with a colon: `node-1:`"
        raise ConfigError([_problem(value.place, key, "must be a mapping", hint)])
    return value.keys


def _host(pattern: str, found: Value, group: str, inventory: Inventory) -> None:
    try:
        names, port = spread(pattern)
    except ValueError as error:
        raise ConfigError([_problem(found.place, f"{group}.hosts", str(error))]) from None
    if not found.empty and not isinstance(found.data, dict):
        hint = "write its variables below it, as ansible_host: 192.0.2.1"
        key = f"{group}.hosts.{pattern}"
        raise ConfigError([_problem(found.place, key, "must be a mapping", hint)])
    for name in names:
        inventory.add_host(name, found.place, group)
        if port:
            value = Value(port, found.place, written=str(port))
            inventory.set_host(name, "ansible_port", value, Layer.HOST_IN_FILE)
        for key, value in found.keys.items():
            inventory.set_host(name, key, value, Layer.HOST_IN_FILE)


def variables(documents: list[Value], file: str) -> Mapping[str, Value]:
    """
    Return the variables of a file of group_vars or host_vars.

    :raises ConfigError: it holds something else.
    """
    if not documents:
        return {}
    first = documents[0]
    if len(documents) > 1:
        message = "holds several documents, and Ansible reads files of one"
        raise ConfigError([Problem(file, documents[1].place.line, "", message)])
    if not first.empty and not isinstance(first.data, dict):
        message = "must be a mapping of variables"
        raise ConfigError([Problem(file, first.place.line, "", message)])
    return first.keys


def _problem(place: Place, key: str, message: str, hint: str = "") -> Problem:
    return Problem(place.file, place.line, plain(key), message, hint)
