"""
Facts of any source as a first configuration and a report of three lists.

What the configuration would refuse is not written: it is left open, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from ...util.families import split_values
from ...util.merging import merge_deep
from ...util.problems import InvalidValueError
from .. import fields, starter
from ..host_addresses import host_addresses
from ..host_list import Host
from ..schema import OVERRIDDEN, FileShape, NodeEntry, overrides
from ..starter import Findings, Known, Missing
from ..validators import is_address, is_ipv6
from . import settle
from .facts import Facts, Machine, Open, Taken, Without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_NAME: TypeAdapter[str] = TypeAdapter(fields.NodeName)
_ADDRESS: TypeAdapter[str] = TypeAdapter(fields.HostAddress)
_OF_CLUSTER = "cluster."
_SEVERAL = (
    "All of the control plane: this line in place of the one above has each node go to whichever is"
    " well; hosts need the package haproxy (docs/several-apiservers.md):"
)
_MAPPINGS = ("kubelet.config", "kube_proxy.config", "kubelet.extra_args", "images.registries")


@dataclass(frozen=True, slots=True)
class Report:
    """What was taken, what has no counterpart, and what needs a decision."""

    taken: tuple[Taken, ...]
    without: tuple[Without, ...]
    decisions: tuple[Open, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """The CA and the kubeconfig, which no source holds: given ones, or where they lie."""

    ca: starter.Fact
    kubeconfig: str | Missing
    apiserver: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is written, and what is reported."""

    findings: Findings
    hosts: tuple[Host, ...]
    report: Report


def of(
    facts: Facts,
    access: Access,
    hosts: Sequence[Host] = (),
    *,
    looked_up: Callable[[Sequence[Host]], list[Host]] = list,
) -> Outcome:
    """
    Return what comes of facts.

    :param hosts: named beside them, for sources without hosts.
    :param looked_up: adds what addresses of hosts' names are known.
    """
    machines = [machine for machine in facts.machines if machine.worker]
    common, own = _shared([machine for machine in machines if not machine.control] or machines)
    taken = [*facts.taken, *common]
    left = [*facts.open, *(each for machine in machines for each in machine.open)]
    left = list(dict.fromkeys(left))
    cluster, settings = _facts(taken, left)
    if access.apiserver and isinstance(cluster.get("apiserver", Missing("")), Missing):
        cluster["apiserver"] = Known(access.apiserver, "Of the kubeconfig.")
    cluster["ca"] = access.ca
    cluster = starter.judged(_off_loopback(cluster))
    doubts = {each.key.removeprefix(_OF_CLUSTER): each.doubt for each in taken if each.doubt}
    cluster = {
        key: replace(fact, source=f"{fact.source}; {doubts[key]}")
        if isinstance(fact, Known) and fact.doubtful and key in doubts
        else fact
        for key, fact in cluster.items()
    }
    rows = [*(_host(machine, own.get(machine.name, [])) for machine in machines), *hosts]
    findings = Findings(
        kubeconfig=access.kubeconfig,
        origin=f"{facts.tool}'s {facts.sources[0] if facts.sources else 'files'}",
        cluster=cluster,
        network=facts.network,
        own_kube_proxy=facts.own_kube_proxy,
        settings={key: fact for key, fact in settings.items() if key != "calico.enabled"},
        remarks=tuple(_remark(each) for each in left if not _stands(each, cluster, settings)),
    )
    findings, rows = settle.settled(findings, looked_up(_without_twins(rows, cluster)))
    written = _in_force(taken, findings)
    for machine, row in zip(machines, rows, strict=False):
        if row.left_out:
            continue
        written += [each for each in own.get(machine.name, []) if each not in written]
        written.append(Taken(f"nodes[{row.name}]", row.address, machine.place, machine.name))
    control = [
        Without(f"host {machine.name}", machine.place, "the control plane's, and no worker")
        for machine in facts.machines
        if not machine.worker
    ]
    without = (*control, *facts.without)
    report = Report(tuple(written), without, _decisions(findings, left, rows))
    return Outcome(findings, tuple(rows), report)


def _stands(
    found: Open, cluster: Mapping[str, starter.Fact], settings: Mapping[str, starter.Fact]
) -> bool:
    """Say whether something open stands at its key; of one mapping only the first does."""
    facts = [*cluster.values(), *settings.values()]
    return any(isinstance(fact, Missing) and found.why in fact.why for fact in facts)


def _remark(found: Open) -> str:
    return f"{found.place}: {found.why}." if found.place else f"{found.why}."


def _off_loopback(cluster: dict[str, starter.Fact]) -> dict[str, starter.Fact]:
    """Take no apiserver that on a node is that node itself."""
    fact = cluster.get("apiserver")
    host = urlsplit(str(fact.value)).hostname or "" if isinstance(fact, Known) else ""
    if isinstance(fact, Known) and (host == "localhost" or host.startswith("127.")):
        why = f"{fact.source} has {fact.value}, which on a node is that node itself."
        return {**cluster, "apiserver": Missing(why)}
    return cluster


def _shared(machines: Sequence[Machine]) -> tuple[list[Taken], dict[str, list[Taken]]]:
    """Return what all hosts share, and what each has of its own."""
    own = {machine.name: _combined(machine.taken) for machine in machines}
    keys = dict.fromkeys(each.key for found in own.values() for each in found)
    common: list[Taken] = []
    for key in keys:
        if key.partition(".")[0] not in OVERRIDDEN:
            continue  # labels and taints are each node's
        each = {name: next((t for t in found if t.key == key), None) for name, found in own.items()}
        if None in each.values():
            continue
        counts = Counter(_comparable(t.value) for t in each.values() if t)
        most = counts.most_common(1)[0][0]
        chosen = next(t for t in each.values() if t and _comparable(t.value) == most)
        common.append(chosen)
        for name in own:
            own[name] = [t for t in own[name] if t.key != key or _comparable(t.value) != most]
    return common, own


def _combined(found: Iterable[Taken]) -> list[Taken]:
    """Return settings with those within one mapping, such as `kubelet.config`, as one."""
    made: dict[str, Taken] = {}
    for each in found:
        key, value = _as_mapping(each)
        if before := made.get(key):
            joined = merge_deep(before.value, value)
            names = f"{before.name}, {each.name}" if isinstance(value, dict) else each.name
            made[key] = replace(before, value=joined, name=names)
        else:
            made[key] = replace(each, key=key, value=value)
    return list(made.values())


def _as_mapping(found: Taken) -> tuple[str, Any]:
    for key in _MAPPINGS:
        if found.key.startswith(f"{key}."):
            value = found.value
            for part in reversed(found.key.removeprefix(f"{key}.").split(".")):
                value = {part: value}
            return key, value
    return found.key, found.value


def _comparable(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _facts(
    taken: Sequence[Taken], left: Sequence[Open]
) -> tuple[dict[str, starter.Fact], dict[str, starter.Fact]]:
    """Return the cluster's settings and those of other sections; what is not valid is missing."""
    cluster: dict[str, starter.Fact] = {}
    settings: dict[str, starter.Fact] = {}
    for each in _combined(taken):
        source = f"{each.place}: {each.name}" if each.place else each.name
        if each.key.startswith(_OF_CLUSTER):
            cluster[each.key.removeprefix(_OF_CLUSTER)] = Known(
                each.value, source, bool(each.doubt), list(each.several) or None, _SEVERAL
            )
        elif why := _refusal(each.key, each.value):
            settings[each.key] = Missing(f"{source}: it {why}")
        elif not _is_default(each.key, each.value):
            doubt = each.doubt or _relative(each)
            text = f"{source}; {doubt}" if doubt else source
            settings[each.key] = Known(each.value, text, bool(doubt))
    for open_ in left:
        why = f"{open_.place}: {open_.why}" if open_.place else open_.why
        if open_.key.startswith(_OF_CLUSTER):
            cluster.setdefault(open_.key.removeprefix(_OF_CLUSTER), Missing(f"{why}."))
        elif "." in open_.key:
            key = next((k for k in _MAPPINGS if open_.key.startswith(f"{k}.")), open_.key)
            settings.setdefault(key, Missing(f"{why}."))
    return cluster, settings


def _relative(found: Taken) -> str:
    """Return what to check of a path that another file named."""
    if found.key != "ssh.keys" or all(path.startswith(("/", "~")) for path in found.value):
        return ""
    return "paths here are relative to this file."


@cache
def _adapter(section: str) -> TypeAdapter[Any]:
    kind: Any = FileShape.model_fields[section].annotation
    return TypeAdapter(overrides(kind))


def _refusal(key: str, value: Any) -> str:
    """Return why a section's model refuses a value; empty where it takes it."""
    section, _, name = key.partition(".")
    try:
        _adapter(section).validate_python({name: value})
    except ValidationError as error:
        return _why(error)
    return ""


def _why(error: ValidationError) -> str:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    return cause.message if isinstance(cause, InvalidValueError) else "can't be used as it is"


def _is_default(key: str, value: Any) -> bool:
    """Say whether a setting is what holds without it."""
    section, _, name = key.partition(".")
    kind = FileShape.model_fields[section].annotation
    info = kind.model_fields.get(name) if isinstance(kind, type) and section != "cluster" else None
    return info is not None and info.default == value and value is not None


def _host(machine: Machine, own: Sequence[Taken]) -> Host:
    """Return an entry of `nodes`."""
    doubts, left_out = list(machine.doubts), ""
    name = machine.name
    if why := _invalid(_NAME, name):
        lower = name.lower().replace("_", "-")
        if is_ipv6(name):
            left_out = f"{name} ({machine.place}) is an IPv6 address, and no name of a node."
        elif _invalid(_NAME, lower):
            left_out = f"{name} ({machine.place}) is no name of a node: it {why}."
        else:
            doubts.append(f"{name} ({machine.place}) is no name of a node; {lower} may be it.")
            name = lower
    if why := _invalid(_ADDRESS, machine.address):
        left_out = left_out or f"its address ({machine.place}) {why}."
    if machine.control:
        left_out = (
            f"{machine.name} ({machine.place}) is of the control plane as well. fabnode's steps"
            " replace what its kubelet runs, the static pods of a control plane included; take the"
            " # away only where you know that this host is a worker alone."
        )
    settings = _nested(each for each in own if not _refused_of_node(each, doubts))
    return Host(
        name,
        machine.address,
        machine.ip if machine.ip != machine.address else None,
        why="" if is_address(machine.address) else f"{machine.address} is a name.",
        settings=settings,
        doubts=tuple(doubts),
        left_out=left_out,
        seen=(machine.address,) if machine.ip and is_address(machine.address) else (),
    )


def _refused_of_node(found: Taken, doubts: list[str]) -> bool:
    section, _, name = found.key.partition(".")
    if name:
        why = _refusal(found.key, found.value)
    else:
        try:
            value = {"name": "x", "address": "192.0.2.1", section: found.value}
            NodeEntry.model_validate(value)
            why = ""
        except ValidationError as error:
            why = _why(error)
    if why:
        doubts.append(f"{found.key} ({found.place}: {found.name}) is left out: it {why}.")
    return bool(why)


def _invalid(adapter: TypeAdapter[str], text: str) -> str:
    try:
        adapter.validate_python(text)
    except ValidationError as error:
        return _why(error)
    return ""


def _nested(own: Iterable[Taken]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in own:
        section, _, name = each.key.partition(".")
        if name:
            found.setdefault(section, {})[name] = each.value
        else:
            found[section] = each.value
    return found


def _without_twins(rows: Sequence[Host], cluster: Mapping[str, starter.Fact]) -> list[Host]:
    """Leave hosts out that share a name or address with one before, or lie in other networks."""
    seen: dict[str, Host] = {}
    made = []
    for host in rows:
        words = {host.name, host.address, *_ips(host)}
        other = next((seen[word.lower()] for word in words if word.lower() in seen), None)
        if other and not host.left_out:
            why = f"{host.name} shares a name or an address with {other.name}."
            host = replace(host, left_out=why)
        elif not host.left_out:
            seen |= {word.lower(): host for word in words}
        if not host.left_out and (network := _network_of(host, cluster)):
            why = f"its address lies in {network}, which is for pods or Services."
            host = replace(host, left_out=why)
        made.append(host)
    return made


def _network_of(host: Host, cluster: Mapping[str, starter.Fact]) -> str:
    own = [ip_address(each) for each in (host.address, *_ips(host)) if is_address(each)]
    for key in ("service_cidr", "pod_cidr"):
        fact = cluster.get(key)
        for text in split_values(str(fact.value)) if isinstance(fact, Known) else ():
            network = ip_network(text)
            if any(address in network for address in own):
                return text
    return ""


def _ips(host: Host) -> tuple[str, ...]:
    return split_values(host.ip or "")


def _in_force(taken: Sequence[Taken], findings: Findings) -> list[Taken]:
    """Return what was taken of these, without what the configuration would refuse."""
    refused = {key for key, fact in _all(findings).items() if isinstance(fact, Missing)}
    return [each for each in taken if _as_mapping(each)[0] not in refused]


def _all(findings: Findings) -> dict[str, starter.Fact]:
    found = {f"{_OF_CLUSTER}{key}": fact for key, fact in findings.cluster.items()}
    if isinstance(findings.kubeconfig, Missing):
        found["cluster.kubeconfig"] = findings.kubeconfig
    return {**found, **findings.settings}


def _decisions(findings: Findings, left: Sequence[Open], hosts: Sequence[Host]) -> tuple[Open, ...]:
    found: list[Open] = []
    facts = _all(findings)
    for key, fact in facts.items():
        if isinstance(fact, Missing):
            found.append(Open(key, fact.why.rstrip(".")))
        elif fact.doubtful:
            found.append(Open(key, f"to be checked: {fact.value}: {fact.source.rstrip('.')}"))
    found += [each for each in left if not any(each.why in other.why for other in found)]
    if findings.network.unseen:
        why = f"whether there is a pod network: {findings.network.unseen.rstrip('.')}"
        found.append(Open("calico", why))
    if findings.own_kube_proxy:
        why = "the cluster runs kube-proxy by a DaemonSet; the file names both ways"
        found.append(Open("kube_proxy", why))
    families = starter.service_families(findings.cluster["service_cidr"])
    for host in hosts:
        found += [Open(f"nodes[{host.name}]", doubt.rstrip(".")) for doubt in host.doubts]
        if host.left_out:
            found.append(Open(f"nodes[{host.name}]", f"left out: {host.left_out.rstrip('.')}"))
        else:
            ip = host_addresses(host, families)
            whys = filter(None, (ip.why, ip.left_out))
            found += [Open(f"nodes[{host.name}].ip", why.rstrip(".")) for why in whys]
    if all(host.left_out for host in hosts):
        found.append(Open("nodes", "no worker is left" if hosts else "no hosts were named"))
    return tuple(dict.fromkeys(found))
