"""What a reset removes of the kernel's network: rules, sets, tables, routes and interfaces."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .host_traces import is_set, is_within, our_interfaces, our_routes, our_tables, word_after
from .plan import Change
from .reset_case import TUNNEL, Case, trace_change
from .resources import Trace


def network_changes(case: Case) -> Iterator[Change]:
    """Yield what removes the rules, sets, routes and interfaces of pods and Services."""
    for program, parts in case.filters.items():
        for part in filter(None, parts):
            name = f"{program} {part.table}"
            why = f"{_counted(part.chains)}, {len(part.rules)} rules that lead there"
            content = part.restore_input().encode()
            yield trace_change(Trace("rules", name, (program,), content), "remove", why)
    known = set(case.before.sets if case.before else ())
    for name in case.now.sets:
        if name not in known and is_set(name, case.scope):
            yield trace_change(Trace("set", name, (name,)), "remove", "an ipset of the rules")
    for name in our_tables(case.survey, case.scope):
        yield trace_change(Trace("table", name, tuple(name.split())), "remove", "an nft table")
    for family, line in our_routes(case.survey, case.scope):
        words = (family, *_route_words(line))
        yield trace_change(Trace("route", line, words), "remove", "the pod network's")
    for address, name in _tunnel_addresses(case):
        trace = Trace("address", f"{address} on {name}", (address, name))
        yield trace_change(trace, "remove", "the pod network's; the interface is its module's")
    for name, kind in our_interfaces(case.survey, case.scope).items():
        trace = Trace("interface", name, (name, kind))
        yield trace_change(trace, "remove", f"{kind}, the pod network's or kube-proxy's")


def _tunnel_addresses(case: Case) -> Iterator[tuple[str, str]]:
    known = set(case.before.addresses if case.before else ())
    for line in case.now.addresses:
        words = line.split()
        if words[1:3] != [TUNNEL, "inet"] or line in known:
            continue
        if is_within(words[3], case.scope.pod_cidrs):
            yield words[3], TUNNEL


def _route_words(line: str) -> tuple[str, ...]:
    words = line.split()
    head = words[:2] if words[0] == "blackhole" else words[:1]
    pairs = [
        word
        for key in ("via", "dev", "table", "proto")
        if (value := word_after(key, words))
        for word in (key, value)
    ]
    return (*head, *pairs)


def _counted(chains: Collection[str]) -> str:
    return f"{len(chains)} chain{'' if len(chains) == 1 else 's'}"
