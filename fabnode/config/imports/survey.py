"""
What an inventory's variables say of its workers, by a table of one tool's names against our keys.

Each variable that stands in a file ends in one of three lists, once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...util.problems import InvalidValueError
from ..schema import OVERRIDDEN
from .facts import Facts, Ledger, Open, Taken, Without
from .inventory_files import hidden, secret_named
from .references import followed
from .values import Kind, Value

if TYPE_CHECKING:
    from ..starter import Network
    from .facts import Machine
    from .inventory import Inventory

OF_NODES = frozenset({*OVERRIDDEN, "labels", "annotations", "taints"})
"""Sections and keys that nodes may have of their own."""

NOT_EVALUATED = "is an expression for Ansible to evaluate, and fabnode evaluates none"
_ODD = {
    Kind.EXPRESSION: NOT_EVALUATED,
    Kind.SECRET: "is encrypted or a password, and is not read",
    Kind.FOREIGN: "has a YAML tag of another tool's, and is not read",
}
UNKNOWN = "fabnode has no such setting"
"""Why a setting has no counterpart that no table names."""

DEFAULT = "it says what holds without it"


class UnfitError(InvalidValueError):
    """A value that has no form in our configuration; the text completes "it …"."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    Our key for a variable.

    :param made: our value of it, None where it says what holds anyway; raises UnfitError.
    """

    key: str
    made: Callable[[Value], Any] = Value.plain


Reasons = Sequence[tuple[str, str]]
"""Patterns of names (whole, from the first that fits), each with why they have no counterpart."""


class Survey:
    """
    The variables of workers, and what becomes of them.

    :param workers: names of hosts; where there are none, what a host in `groups` would have counts.
    """

    def __init__(self, inventory: Inventory, workers: Sequence[str], groups: Sequence[str]) -> None:
        self.inventory = inventory
        self.workers = list(workers)
        self.ledger = Ledger()
        self._of_groups = inventory.variables("", also=groups)
        self._raw = {host: inventory.variables(host) for host in workers}
        self._followed: dict[tuple[int, str], Value] = {}
        self.own: dict[str, tuple[list[Taken], list[Open]]] = {host: ([], []) for host in workers}

    def value(self, host: str, name: str) -> Value | None:
        """Return a variable of a worker, or of a group's member where `host` is empty."""
        variables = self._raw[host] if host else self._of_groups
        value = variables.get(name)
        if value is None:
            return None
        if value.odd is not Kind.EXPRESSION:
            return hidden(value) if secret_named(name) else value
        key = (id(value), host)
        if key not in self._followed:
            self._followed[key] = replace(followed(value, variables, host), of=(value,))
        return self._followed[key]

    def raw(self, host: str, name: str) -> Value | None:
        """Return a variable as it stands in the file, to account for it."""
        return (self._raw[host] if host else self._of_groups).get(name)

    def first(self, host: str, *names: str) -> tuple[str, Value] | None:
        """Return the first of these variables that a worker has, and that is not empty."""
        found: tuple[str, Value] | None = None
        for name in names:
            value, raw = self.value(host, name), self.raw(host, name)
            if value is None or raw is None or value.empty:
                continue
            if found:
                self.ledger.drop(name, raw, f"{found[0]} takes its place")
            else:
                found = (name, value)
                self.ledger.use(raw)
        return found

    def common(self, name: str, key: str = "") -> Value | None:
        """
        Return the value that all workers have of a variable; None where they differ, or have none.

        :param key: ours, that is left open where they differ.
        """
        hosts = self.workers or [""]
        values = [value for host in hosts if (value := self.value(host, name))]
        if not values:
            return None
        raws = dict.fromkeys(raw for host in hosts if (raw := self.raw(host, name)))
        first = replace(values[0], of=tuple(raws))
        if len({_same(value) for value in values}) > 1 or len(values) < len(hosts):
            if key:
                places = sorted({str(raw.place) for raw in raws})
                why = f"{name} is not the same for all workers: {', '.join(places[:4])}"
                self.ledger.leave_open(key, why, first, name)
            return None
        return first

    def apply(self, rules: Mapping[str, Rule]) -> None:
        """Take what the rules name."""
        for name, rule in rules.items():
            if rule.key.partition(".")[0] in OF_NODES:
                for host in self.workers or [""]:
                    self._of_node(host, name, rule)
            elif value := self.common(name, rule.key):
                self._of_cluster(name, rule, value)

    def _of_cluster(self, name: str, rule: Rule, value: Value) -> None:
        if value.empty:
            self.ledger.drop(name, value, "it is empty")
            return
        made = self.made(rule, value, name)
        if made is None:
            self.ledger.drop(name, value, DEFAULT)
        elif isinstance(made, Open):
            self.ledger.leave_open(made.key, made.why, value, name)
        else:
            self.ledger.take(rule.key, made, value, name)

    def _of_node(self, host: str, name: str, rule: Rule) -> None:
        value, raw = self.value(host, name), self.raw(host, name)
        if value is None or raw is None:
            return
        if value.empty:
            self.ledger.drop(name, raw, "it is empty")
            return
        made = self.made(rule, value, name)
        if made is None:
            self.ledger.drop(name, raw, DEFAULT)
            return
        self.ledger.use(raw)
        if not isinstance(made, Open):
            self.note(host, Taken(rule.key, made, value.place, name))
        else:
            self.note(host, made)

    def note(self, host: str, what: Taken | Open) -> None:
        """Note what a worker has of its own, or the whole cluster where there is none."""
        taken, left = self.own[host] if host else (self.ledger.taken, self.ledger.open)
        if isinstance(what, Taken):
            taken.append(what)
        else:
            left.append(what)

    def made(self, rule: Rule, value: Value, name: str) -> Any:
        """Return what a rule makes of a value, or an Open."""
        if (odd := value.odd) is not Kind.PLAIN:
            return Open(rule.key, f"{name} {_ODD[odd]}", value.place, name)
        try:
            return rule.made(value)
        except UnfitError as error:
            return Open(rule.key, f"{name}: {error}", value.place, name)

    def finish(self, reasons: Reasons) -> None:
        """Name all variables that nothing was made of."""
        in_force = {
            id(value)
            for variables in [*self._raw.values(), self._of_groups]
            for value in variables.values()
        }
        for name, value in self.inventory.everything():
            if self.ledger.seen(value):
                continue
            why = reason(name, reasons)
            if why == UNKNOWN and value.kind is Kind.SECRET:
                why = "a secret, which is not read"
            elif why == UNKNOWN and id(value) not in in_force:
                why = "it is in force on no worker: another value takes precedence, or other hosts"
            self.ledger.drop(name, value, why)
        self.ledger.without += [Without(*unread) for unread in self.inventory.unread]

    def facts(
        self,
        tool: str,
        machines: Iterable[Machine],
        *,
        network: Network,
        ca: str,
        kubeconfig: str,
        own_kube_proxy: bool = False,
    ) -> Facts:
        """Return what was found so far, with what else the inventory says; as `Facts` names it."""
        return Facts(
            tool=tool,
            sources=tuple(self.inventory.files),
            taken=tuple(self.ledger.taken),
            open=tuple(self.ledger.open),
            without=tuple(self.ledger.without),
            machines=tuple(machines),
            network=network,
            own_kube_proxy=own_kube_proxy,
            ca=ca,
            kubeconfig=kubeconfig,
        )


def reason(name: str, reasons: Reasons) -> str:
    """Return why a setting has no counterpart."""
    return next((why for pattern, why in reasons if re.fullmatch(pattern, name)), UNKNOWN)


def _same(value: Value) -> str:
    return f"{value.kind} {json.dumps(value.plain(), sort_keys=True, default=str)}"
