"""Hosts of a first configuration with what they reported: names, addresses, architectures. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from ..artifacts import elf, programs
from ..config import fields
from ..config.starter import Known
from ..config.validators import is_address
from ..remote.host_identity import ARCHITECTURES
from ..util.families import FAMILY_NAMES, families_of, split_values
from ..util.words import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..config.host_list import Host
    from ..config.starter import Fact, Findings
    from ..remote.host_identity import HostIdentity
    from ..util.families import Family
    from .found_artifacts import Artifacts

_NAME: TypeAdapter[str] = TypeAdapter(fields.NodeName)
_MOST_NAMED = 5
# Names that images of systems come with: many hosts have them.
_NOBODYS = frozenset({"localhost", "localhost.localdomain", "debian", "ubuntu", "raspberrypi"})


def identified(
    hosts: Sequence[Host], found: Mapping[str, HostIdentity], *, keep_addresses: bool = False
) -> list[Host]:
    """
    Return hosts with the names and addresses that they reported, where nobody gave these.

    :param found: by name of the host, as it was given.
    :param keep_addresses: an address that was given as the name is meant as that.
    """
    own = ["" if keep_addresses else _own_name(each, found.get(each.name)) for each in hosts]
    given = {host.name for host in hosts}
    made = []
    for host, name in zip(hosts, own, strict=True):
        known = found.get(host.name)
        named = _addressed(host, known) if known else host
        if name and own.count(name) == 1 and name not in given - {host.name}:
            named = replace(named, name=name)
        elif known and (other := known.name.lower()) in given - {host.name}:
            doubt = f"{host.address} calls itself {other}, which is another host's name here."
            named = replace(named, doubts=(*named.doubts, doubt))
        made.append(named)
    return made


def _own_name(host: Host, known: HostIdentity | None) -> str:
    """Return the name of a host that was given by its address alone; empty: it has none to use."""
    if known is None or host.name != host.address or not is_address(host.address):
        return ""
    name = known.name.lower()
    try:
        return "" if name in _NOBODYS else _NAME.validate_python(name)
    except ValidationError:
        return ""


def _addressed(host: Host, known: HostIdentity) -> Host:
    """Return a host with one address of each family that nobody gave."""
    given = split_values(host.ip or (host.address if is_address(host.address) else ""))
    seen, unseen = list(host.seen), dict(host.unseen)
    for family in _lacking((*given, *seen)):
        addresses = known.of_family(family, (*given, *seen))
        if len(addresses) == 1:
            seen += addresses
            unseen.pop(family, None)
        elif addresses:
            several = ", ".join(addresses[:_MOST_NAMED])
            unseen[family] = f"it has several {FAMILY_NAMES[family]} addresses: {several}."
        else:
            unseen[family] = f"it has no {FAMILY_NAMES[family]} address of its own."
    return replace(host, seen=tuple(seen), unseen=unseen)


def _lacking(addresses: Collection[str]) -> list[Family]:
    have = families_of(addresses)
    return [family for family in FAMILY_NAMES if family not in have]


def with_architectures(
    findings: Findings,
    hosts: Iterable[tuple[str, HostIdentity]],
    parts: Artifacts | None,
) -> Findings:
    """
    Return findings with what programs hosts need.

    :param hosts: those that reported theirs, by the names that they have in the file.
    :param parts: what lies in a folder of artifacts; None: there is none.
    """
    names: dict[str, list[str]] = {}
    for name, known in hosts:
        names.setdefault(known.architecture, []).append(name)
    remarks = []
    able = [each for each in ARCHITECTURES.values() if each in names]
    there = _of_programs(parts)
    for machine, whose in names.items():
        named = _named(whose)
        if machine not in ARCHITECTURES.values():
            remarks.append(f"{named}: there are no programs for {machine}, amd64 and arm64 alone.")
        elif there and machine not in there:
            remarks.append(
                f"{named}: {machine}, and the kubelets in {parts.binaries if parts else ''} are for"
                f" {', '.join(sorted(there))}: put those of {machine} in a folder {machine} there."
            )
    settings: dict[str, Fact] = dict(findings.settings)
    if able and able != ["amd64"]:
        whole = "; ".join(f"{each}: {_named(names[each])}" for each in able)
        settings["artifacts.architectures"] = Known(able, f"Of the hosts: {whole}.")
    return replace(findings, settings=settings, remarks=(*findings.remarks, *remarks))


def _of_programs(parts: Artifacts | None) -> set[str]:
    """Return the architectures of the kubelets in a folder; none where there are none."""
    if parts is None or parts.binaries is None:
        return set()
    paths = (place / "kubelet" for place in programs.places(parts.binaries))
    found = {elf.architecture(path) for path in paths if path.is_file()}
    return found - {""}


def _named(names: Sequence[str]) -> str:
    more = f" and {counted(len(names) - _MOST_NAMED, 'more host')}" * (len(names) > _MOST_NAMED)
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
