"""
An inventory of Ansible's: groups, hosts, and which value of a variable holds for a host.

The precedence is Ansible's own (its documentation, "Understanding variable precedence"): what an
inventory's file says of any group gives way to group_vars/all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from ...util.problems import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .values import Place, Value

MAX_HOSTS = 5000
_PRIORITY = "ansible_group_priority"


class Layer(IntEnum):
    """Where variables stand; a later one takes precedence."""

    GROUP_IN_FILE = 0
    GROUP_VARS_OF_ALL = 1
    GROUP_VARS = 2
    HOST_IN_FILE = 3
    HOST_VARS = 4
    EXTRA = 5  # what is given on the command line, for all hosts


@dataclass(slots=True)
class Group:
    """A group: its hosts and groups by name, each with where it is defined."""

    name: str
    hosts: dict[str, Place] = field(default_factory=dict)
    children: dict[str, Place] = field(default_factory=dict)
    variables: dict[Layer, dict[str, Value]] = field(default_factory=dict)


class Inventory:
    """
    Groups and hosts of one or more files.

    :ivar unread: settings that were found and are not in force, with the reason.
    """

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.hosts: dict[str, Place] = {}
        self.of_hosts: dict[str, dict[Layer, dict[str, Value]]] = {}
        self.files: list[str] = []
        self.unread: list[tuple[str, Place | str, str]] = []
        self._replaced: list[tuple[str, Value, Value]] = []

    def on_trial(self) -> Inventory:
        """Return another one that knows the same names, to see whether a file can be read."""
        trial = Inventory()
        trial.groups = {name: Group(name) for name in self.groups}
        trial.hosts = dict(self.hosts)
        return trial

    def group(self, name: str) -> Group:
        """Return the group of this name, a new one where there is none."""
        return self.groups.setdefault(name, Group(name))

    def add_host(self, name: str, place: Place, group: str = "all") -> None:
        """Put a host into a group. Raises ConfigError: there are too many."""
        self.hosts.setdefault(name, place)
        if len(self.hosts) > MAX_HOSTS:
            message = f"has more than {MAX_HOSTS} hosts"
            raise ConfigError([Problem(place.file, place.line, "", message)])
        self.group(group).hosts.setdefault(name, place)

    def set_group(self, group: str, name: str, value: Value, layer: Layer) -> None:
        """Set a variable of a group."""
        if layer is Layer.GROUP_VARS and group == "all":
            layer = Layer.GROUP_VARS_OF_ALL
        self._set(self.group(group).variables.setdefault(layer, {}), name, value)

    def set_host(self, host: str, name: str, value: Value, layer: Layer) -> None:
        """Set a variable of a host."""
        self._set(self.of_hosts.setdefault(host, {}).setdefault(layer, {}), name, value)

    def _set(self, variables: dict[str, Value], name: str, value: Value) -> None:
        if (before := variables.get(name)) is not None and before is not value:
            self._replaced.append((name, before, value))
        variables[name] = value

    def members(self, *groups: str) -> dict[str, Place]:
        """Return the hosts of groups and of groups within them, each with where it is defined."""
        found: dict[str, Place] = {}
        for group in self._below(groups):
            for host, place in group.hosts.items():
                found.setdefault(host, place)
        return found

    def _below(self, names: Iterable[str]) -> Iterator[Group]:
        seen: set[str] = set()
        waiting = [name for name in names if name in self.groups]
        while waiting:
            name = waiting.pop(0)
            if name not in seen:
                seen.add(name)
                yield self.group(name)
                waiting += [child for child in self.group(name).children if child in self.groups]

    def variables(self, host: str, *, also: Iterable[str] = ()) -> dict[str, Value]:
        """
        Return what holds for a host.

        :param also: groups that it is taken for a member of.
        """
        merged: dict[str, Value] = {}
        groups = self._in_order(host, set(also))
        for layer in (Layer.GROUP_IN_FILE, Layer.GROUP_VARS_OF_ALL, Layer.GROUP_VARS):
            for group in groups:
                merged |= group.variables.get(layer, {})
        own = self.of_hosts.get(host, {})
        for layer in (Layer.HOST_IN_FILE, Layer.HOST_VARS):
            merged |= own.get(layer, {})
        return merged | self.group("all").variables.get(Layer.EXTRA, {})

    def _in_order(self, host: str, also: set[str]) -> list[Group]:
        """Return a host's groups as Ansible merges them: by depth, priority and name."""
        direct = {name for name, group in self.groups.items() if host in group.hosts} | also
        found = {"all", *(name for name in direct if name in self.groups)}
        waiting = list(found)
        parents = self._parents()
        while waiting:
            for parent in parents.get(waiting.pop(), ()):
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        depths = self._depths(found, parents)
        groups = [self.group(name) for name in found]
        return sorted(groups, key=lambda each: (depths[each.name], _priority(each), each.name))

    def _parents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, group in self.groups.items():
            for child in group.children:
                found.setdefault(child, []).append(name)
        return found

    @staticmethod
    def _depths(names: set[str], parents: dict[str, list[str]]) -> dict[str, int]:
        """Return how deep groups lie below `all`, by their longest way; loops are cut off."""
        depths = {name: 0 if name == "all" else 1 for name in names}
        for _ in range(min(len(names), 50)):
            for name in names - {"all"}:
                above = [depths[parent] + 1 for parent in parents.get(name, ()) if parent in names]
                depths[name] = max([depths[name], *above])
        return depths

    def everything(self) -> Iterator[tuple[str, Value]]:
        """Yield all variables of all groups and hosts, those that others replace included."""
        for group in self.groups.values():
            for variables in group.variables.values():
                yield from variables.items()
        for layers in self.of_hosts.values():
            for variables in layers.values():
                yield from variables.items()
        for name, before, _ in self._replaced:
            yield name, before


def _priority(group: Group) -> int:
    for variables in group.variables.values():
        if (value := variables.get(_PRIORITY)) and isinstance(value.data, int):
            return value.data
    return 1
