"""
Firewalls that drop what they do not admit: a node's ports, and packets that it forwards to pods.

The rules are read, not evaluated: a rule that may admit a packet, such as one for a source address,
counts as one that does. So a port is named only where nothing in the rules is about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..cni.protocol import Port

Rules = Iterable[tuple[str, str]]
"""Lines of rules, each with the program that printed it: `nft` or `iptables`."""

_NOISE = re.compile(
    r'log( prefix "[^"]*"| level \S+| flags \S+)*|comment "[^"]*"|'
    r'counter( packets \d+ bytes \d+)?|--comment ("[^"]*"|\S+)'
)
_TABLE = re.compile(r"table (\S+ \S+) \{")
_CHAIN = re.compile(r"chain (\S+) \{")
_JUMP = re.compile(r"(?:jump|goto|-j|-g) ([\w.\-]+)")
_ACCEPT = re.compile(r"\baccept\b|-j ACCEPT\b")
_DROP_ALL = re.compile(r"(drop|reject( with .*)?|-A \S+ -j (DROP|REJECT)( --reject-with \S+)?)")
_HOOK = re.compile(r"type \S+ hook (input|forward) priority [^;]+;(?: policy (\w+);)?")
_OUTPUT = re.compile(r"\boif(?:name)? (!= )?(\{[^}]*\}|\S+)")
# The table of iptables, in which pod networks put their own rules before all others.
_OF_IPTABLES = "nft table ip filter"
_POD = Port("", -1, "packets to pods")
_DESTINATION = re.compile(r"dports? (\{[^}]*\}|\S+)")
_PROTOCOL = re.compile(r"\b(tcp|udp|th)\b")
# Rules about something else than new connections from other machines.
_BESIDE = re.compile(
    r"\biif(name)? \"?lo\"?(\s|$)|-i lo\b|icmp|igmp|\bsport|--sports?|\bmark\b|pkttype|broadcast"
    r"|multicast|ct status|\besp\b|\bah\b|vrrp|ospf"
)
_STATE = re.compile(r"(?:ct state|--(?:ct)?state) (\{[^}]*\}|\S+)")
_IPIP = re.compile(r"\bipencap\b|\bipip\b|(?:protocol|-p|l4proto) 4\b")


@dataclass(slots=True)
class _Chain:
    rules: list[str] = field(default_factory=list)
    drops: bool = False  # what reaches its end
    hook: str = ""  # input or forward, of those that the kernel calls


@dataclass(frozen=True, slots=True)
class Gate:
    """A filter of what comes in: where it is, and the ports that no rule of it admits."""

    place: str
    missing: tuple[Port, ...]


def closed(rules: Rules, ports: Sequence[Port]) -> tuple[Gate, ...]:
    """Return the filters that seem not to admit some of these ports."""
    found = (
        Gate(place, tuple(port for port in ports if not _admitted(port, chains, chain)))
        for place, chains in _tables(rules).items()
        for chain in chains.values()
        if chain.hook == "input" and chain.drops
    )
    return tuple(gate for gate in found if gate.missing)


def unforwarded(rules: Rules, interfaces: Sequence[str]) -> tuple[str, ...]:
    """
    Return the filters that seem to forward nothing to pods: what one drops, no other brings back.

    :param interfaces: beginnings of the names of pods' interfaces.
    """
    return tuple(
        dict.fromkeys(
            place
            for place, chains in _tables(rules).items()
            for chain in chains.values()
            if chain.hook == "forward" and chain.drops and place != _OF_IPTABLES
            if not any(
                _leads_to(rule, interfaces) and _admits(rule, _POD)
                for rule in _reached(chains, chain)
            )
        )
    )


def _leads_to(rule: str, interfaces: Sequence[str]) -> bool:
    """Say whether a rule is about packets to these interfaces, among others or alone."""
    for other, spec in _OUTPUT.findall(rule):
        if not other and "@" not in spec and not any(name in spec for name in interfaces):
            return False
    return True


def _tables(rules: Rules) -> dict[str, dict[str, _Chain]]:
    """Return the chains of each table that IPv4 packets pass: those of IPv6 are not judged."""
    tables: dict[str, dict[str, _Chain]] = {}
    table = chain = ""
    for program, text in rules:
        line = " ".join(_NOISE.sub("", text).split())
        if program == "iptables":
            _read_iptables(line, tables.setdefault("iptables", {}))
        elif found := _TABLE.fullmatch(line):
            table, chain = f"nft table {found[1]}", ""
            tables[table] = {}
        elif found := _CHAIN.fullmatch(line):
            chain = found[1]
            tables.setdefault(table, {})[chain] = _Chain()
        elif line == "}":
            chain = ""
        elif chain:
            _read_nft(line, tables[table][chain])
    others = ("nft table ip6 ", "nft table arp ", "nft table bridge ", "nft table netdev ")
    return {place: chains for place, chains in tables.items() if not place.startswith(others)}


def _read_nft(line: str, chain: _Chain) -> None:
    if found := _HOOK.match(line):
        chain.hook, chain.drops = found[1], found[2] == "drop"
    else:
        _add(line, chain)


def _read_iptables(line: str, chains: dict[str, _Chain]) -> None:
    words = line.split()
    if len(words) < 2:
        return
    chain = chains.setdefault(words[1], _Chain())
    if words[0] == "-P":
        chain.hook = "input" if words[1] == "INPUT" else ""
        chain.drops = words[2:] == ["DROP"]
    elif words[0] == "-A":
        _add(line, chain)


def _add(line: str, chain: _Chain) -> None:
    if _DROP_ALL.fullmatch(line):
        chain.drops = True
    chain.rules.append(line)


def _admitted(port: Port, chains: Mapping[str, _Chain], base: _Chain) -> bool:
    return any(_admits(rule, port) for rule in _reached(chains, base))


def _reached(chains: Mapping[str, _Chain], base: _Chain) -> Iterator[str]:
    """Yield the rules of a chain and of all that it leads to."""
    todo, seen = [base], {id(base)}
    while todo:
        for rule in todo.pop().rules:
            yield rule
            for name in _JUMP.findall(rule):
                chain = chains.get(name)
                if chain and id(chain) not in seen:
                    seen.add(id(chain))
                    todo.append(chain)


def _admits(rule: str, port: Port) -> bool:
    if not _ACCEPT.search(rule) or _BESIDE.search(rule):
        return False
    if (state := _STATE.search(rule)) and "new" not in state[1].lower():
        return False
    if _IPIP.search(rule):
        return port.protocol == "ipip"
    protocols = set(_PROTOCOL.findall(rule)) - {"th"}
    if protocols and port.protocol not in protocols:
        return False
    destinations = _DESTINATION.findall(rule)
    return not destinations or any(_holds(spec, port.number) for spec in destinations)


def _holds(spec: str, number: int) -> bool:
    """Say whether `22`, `22,80`, `{ 22, 80 }`, `1000-2000` or `1000:2000` has this port."""
    for part in spec.strip("{}").split(","):
        low, _, high = part.strip().replace(":", "-", 1).partition("-")
        if not low.isdecimal():
            if part.strip().startswith("@"):
                return True  # a named set, whose ports stand elsewhere
            continue
        if int(low) <= number <= (int(high) if high.isdecimal() else int(low)):
            return True
    return False
