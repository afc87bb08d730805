"""
Kubernetes' part of iptables' rules, and what has `iptables-restore` take it out. Pure.

A chain is Kubernetes' by its name. In a built-in chain a rule is, if it leads to such a chain or
bears the pod network's mark. Another's chain that leads to one is a conflict: it would be changed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

# kubernetes pkg/proxy/iptables, pkg/proxy/ipvs, pkg/kubelet/kubelet_network_linux.go
_KUBERNETES = re.compile(r"KUBE-[A-Z0-9-]{1,24}", re.ASCII)
# containernetworking/plugins plugins/meta/portmap: shared by all networks that have this plugin
_PORT_MAPS = re.compile(r"CNI-HOSTPORT-(?:DNAT|SNAT|MASQ|SETMARK)", re.ASCII)
_PORT_MAP = re.compile(r"CNI-(?:DN|SN)-[0-9a-f]{1,21}", re.ASCII)
_NETWORK = re.compile(r'^[ds]nat name: "([^"]*)"')
_HINTS = ("KUBE-", "CNI-", "cali")


@dataclass(frozen=True, slots=True)
class FilterPart:
    """
    What of one table is to go.

    :param rules: in chains that stay, as the program printed them. :param chains: that go whole.
    :param conflicts: rules of others' chains that lead to these.
    :param foreign: all other lines, in their order.
    """

    table: str
    rules: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to take out."""
        return bool(self.rules or self.chains)

    def restore_input(self) -> str:
        """Return what `iptables-restore --noflush` takes: jumps, then the chains' rules, chains."""
        lines = [f"*{self.table}"]
        lines += [f"-D {rule.removeprefix('-A ')}" for rule in self.rules]
        lines += [f"-F {chain}" for chain in self.chains]
        lines += [f"-X {chain}" for chain in self.chains]
        return "\n".join([*lines, "COMMIT", ""])


@dataclass(slots=True)
class _Table:
    chains: dict[str, str] = field(default_factory=dict)  # name → policy, `-` of users' own
    rules: list[str] = field(default_factory=list)


def parts(
    lines: Iterable[str], *, prefixes: Collection[str] = (), networks: Collection[str] = ()
) -> tuple[FilterPart, ...]:
    """
    Return for each table what in it is Kubernetes'.

    :param lines: of `iptables-save`. :param prefixes: beginnings of the pod network's chains.
    :param networks: names of CNI networks of the node, whose mapped ports go as well.
    """
    return tuple(
        _part(name, table, tuple(prefixes), frozenset(networks))
        for name, table in _tables(lines).items()
    )


def _tables(lines: Iterable[str]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    table = _Table()
    for line in lines:
        if line.startswith("*"):
            table = tables.setdefault(line[1:], _Table())
        elif line.startswith(":"):
            name, _, policy = line[1:].partition(" ")
            table.chains[name] = policy.split(" ")[0]
        elif line.startswith("-A "):
            table.rules.append(line)
    return tables


def _part(
    name: str, table: _Table, prefixes: tuple[str, ...], networks: frozenset[str]
) -> FilterPart:
    ours = {c for c, policy in table.chains.items() if policy == "-" and _is_ours(c, prefixes)}
    ours |= set(_port_maps(table, networks))
    rules: list[str] = []
    conflicts: list[str] = []
    foreign: list[str] = []
    for rule in table.rules:
        chain = rule.split(" ", 2)[1]
        if chain in ours:
            continue
        words = _words(rule)
        leads = _target(words) in ours
        if leads and (table.chains.get(chain, "-") != "-" or _PORT_MAPS.fullmatch(chain)):
            rules.append(rule)
        elif leads:
            conflicts.append(rule)
            foreign.append(rule)
        elif table.chains.get(chain, "-") != "-" and _bears_mark(words, prefixes):
            rules.append(rule)
        else:
            foreign.append(rule)
    others = [f":{c} {policy}" for c, policy in table.chains.items() if c not in ours]
    chains = tuple(c for c in table.chains if c in ours)
    return FilterPart(name, tuple(rules), chains, tuple(conflicts), (*others, *foreign))


def _is_ours(chain: str, prefixes: tuple[str, ...]) -> bool:
    return bool(_KUBERNETES.fullmatch(chain)) or (bool(prefixes) and chain.startswith(prefixes))


def _port_maps(table: _Table, networks: frozenset[str]) -> Iterator[str]:
    """Yield chains of mapped ports; those that all networks share only where no other has any."""
    owners: dict[str, set[str]] = {}
    for rule in table.rules:
        words = _words(rule)
        target = _target(words)
        if _PORT_MAP.fullmatch(target):
            owners.setdefault(target, set()).update(
                match[1] for word in words if (match := _NETWORK.match(word))
            )
    mine = {chain for chain, names in owners.items() if names and names <= networks}
    yield from mine
    others = [c for c in table.chains if _PORT_MAP.fullmatch(c) and c not in mine]
    if networks and not others:
        yield from (c for c in table.chains if _PORT_MAPS.fullmatch(c))


def _words(rule: str) -> list[str]:
    """Return a rule's words; none where it can't be about Kubernetes, or can't be read."""
    if not any(hint in rule for hint in _HINTS):
        return []
    try:
        return shlex.split(rule)
    except ValueError:
        return []


def _target(words: list[str]) -> str:
    for option, value in pairwise(words):
        if option in {"-j", "-g"}:
            return value
    return ""


def _bears_mark(words: list[str], prefixes: tuple[str, ...]) -> bool:
    """Say whether Felix wrote it: `--comment cali:` and 16 letters of a hash (felix/iptables)."""
    marks = [f"{prefix.rstrip('-')}:" for prefix in prefixes]
    return any(
        option == "--comment"
        and any(re.fullmatch(re.escape(m) + r"[\w-]{16}", value, re.ASCII) for m in marks)
        for option, value in pairwise(words)
    )
