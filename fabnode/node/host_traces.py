"""
Which parts of a host are a node's, and which are others': by name, by kind and by the record.

What the record of the host before its first change has is never a node's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import pairwise

from . import packet_filter
from .packet_filter import FilterPart
from .surroundings import Surroundings, Survey

_OF_PROXY = {r"kube-ipvs0": "dummy"}
_OF_PROXY_SETS = (r"KUBE-(?:6-)?[A-Z0-9-]{1,31}",)
_OF_PROXY_TABLES = ("ip kube-proxy", "ip6 kube-proxy")
NETNS = re.compile(r"(?:/var)?/run/netns/cni-[0-9a-f-]{8,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scope:
    """
    What a deployment of this configuration has on a host, or starts.

    :param made: files that nobody but a node's components, or an interrupted run, makes.
    :param files: that the steps write, and `made`.
    :param folders: that they make, and those made for them.
    :param trees: folders that hold nothing but what a node's components wrote; `usual`: those of
        which that is so although nobody recorded the host before.
    :param mounts: folders below which they mount. :param modules: that they load.
    :param settings: files of kernel settings that they write.
    :param chains, networks, interfaces, sets, tables: see `cni.protocol.Leftovers`.
    :param pod_cidrs: networks of pods. :param route_protocols: of the pod network's routes there.
    :param ctr, crictl: containerd's programs, and one that speaks CRI to it.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    trees: tuple[str, ...]
    mounts: tuple[str, ...]
    modules: frozenset[str]
    settings: tuple[str, ...]
    made: frozenset[str]
    pod_cidrs: tuple[IPv4Network | IPv6Network, ...]
    state: str
    runtime_root: str
    ctr: str
    crictl: str
    usual: frozenset[str] = frozenset()
    chains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    interfaces: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    route_protocols: frozenset[str] = frozenset()


def filter_parts(now: Surroundings, scope: Scope) -> dict[str, tuple[FilterPart, ...]]:
    """Return what of each program's tables is Kubernetes'."""
    return {
        program: packet_filter.parts(lines, prefixes=scope.chains, networks=scope.networks)
        for program, lines in now.filters.items()
    }


def our_interfaces(survey: Survey, scope: Scope) -> dict[str, str]:
    """Return the interfaces that go, each with its kind: name and kind are right, and it is new."""
    known = survey.before.interfaces if survey.before else {}
    patterns = {**_OF_PROXY, **scope.interfaces}
    return {
        name: kind
        for name, line in survey.now.interfaces.items()
        for pattern, kind in patterns.items()
        if name not in known and re.fullmatch(pattern, name) and re.search(rf"\b{kind}\b", line)
    }


def our_tables(survey: Survey, scope: Scope) -> tuple[str, ...]:
    """Return the tables of nft that kube-proxy or the pod network made."""
    known = survey.before.tables() if survey.before else {}
    wanted = (*_OF_PROXY_TABLES, *scope.tables)
    return tuple(name for name in survey.now.tables() if name in wanted and name not in known)


def our_routes(survey: Survey, scope: Scope) -> tuple[tuple[str, str], ...]:
    """Return the routes of the pod network, by destination and protocol, with their family."""
    families = [str(family) for family in sorted({cidr.version for cidr in scope.pod_cidrs})]
    known = {
        (family, line)
        for family in families
        for line in (survey.before.routes.get(family, ()) if survey.before else ())
    }
    found = []
    for family in families:
        for line in survey.now.routes.get(family, ()):
            words = line.split()
            kind = words[1:] if words[:1] == ["blackhole"] else words
            protocol = word_after("proto", words)
            if (family, line) in known or not kind or protocol not in scope.route_protocols:
                continue
            if is_within(kind[0], scope.pod_cidrs):
                found.append((family, line))
    return tuple(found)


def foreign(survey: Survey, scope: Scope) -> dict[str, tuple[str, ...]]:
    """
    Return what of the host is not fabnode's, by kind, to be compared before and after a reset.

    nft shows tables of iptables, too, which are compared as that shows them.
    """
    now = survey.now
    interfaces = our_interfaces(survey, scope)
    all_parts = filter_parts(now, scope)
    tables = now.tables()
    mine = {*our_tables(survey, scope), *tables_of_iptables(all_parts)}
    folders = scope.mounts
    routes = set(our_routes(survey, scope))
    kinds: dict[str, tuple[str, ...]] = {
        "interfaces": tuple(n for n in now.interfaces if n not in interfaces),
        "mounts": tuple(
            f"{m.place} ({m.kind})"
            for m in now.mounts
            if not is_below(m.place, folders) and not NETNS.fullmatch(m.place)
        ),
        "swap": now.swaps,
        "users": now.users,
        "ipsets": tuple(n for n in now.sets if not is_set(n, scope)),
        "routes": tuple(
            f"{line}"
            for family, lines in now.routes.items()
            for line in lines
            if (family, line) not in routes and word_after("dev", line.split()) not in interfaces
        ),
        "routing rules": tuple(line for lines in now.rules.values() for line in lines),
    }
    for program, parts in all_parts.items():
        for part in parts:
            kinds[f"{program} {part.table}"] = part.foreign
    for name, lines in tables.items():
        if name not in mine:
            kinds[f"nft table {name}"] = lines
    return {kind: lines for kind, lines in kinds.items() if lines}


def tables_of_iptables(parts: Mapping[str, tuple[FilterPart, ...]]) -> set[str]:
    """Return the tables of nft's that iptables keeps its own in, as nft names them."""
    return {
        f"{'ip6' if program.startswith('ip6') else 'ip'} {part.table}"
        for program, found in parts.items()
        if program.endswith("-nft")
        for part in found
    }


def is_below(place: str, folders: Collection[str]) -> bool:
    """Return whether a path lies in one of these folders, at any depth."""
    return any(place.startswith(f"{folder}/") for folder in folders)


def is_set(name: str, scope: Scope) -> bool:
    """Return whether an ipset is kube-proxy's or the pod network's."""
    return any(re.fullmatch(pattern, name) for pattern in (*_OF_PROXY_SETS, *scope.sets))


def is_within(address: str, networks: Collection[IPv4Network | IPv6Network]) -> bool:
    """Return whether an address, or the first of a network, lies in one of these networks."""
    try:
        found = ip_address(address.partition("/")[0])
    except ValueError:
        return False
    return any(found in network for network in networks)


def word_after(key: str, words: list[str]) -> str:
    """Return the word behind a key in a line of `ip`; empty: the key is not there."""
    return next((b for a, b in pairwise(words) if a == key), "")
