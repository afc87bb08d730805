"""Who a host is, as it reports to whoever may log in: its name, architecture and addresses."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ssh.errors import HostMisbehavedError
from ..util.families import family_of
from ..util.sanitize import clean, last_lines
from .script_assembly import assemble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..ssh.host import Host
    from ..util.families import Family

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Go, and so Kubernetes, calls what `uname -m` prints."""

_MACHINE = re.compile(r"[a-z0-9_]{1,32}").fullmatch
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?").fullmatch
_DEVICE = re.compile(r"\bdev (\S{1,15})")
_MOST = 256  # lines of each kind
# Interfaces that are pods', containers' or virtual machines'; docker's own bridges among them.
_INNER = re.compile(
    r"lo$|br-[0-9a-f]{12}$|(cali|tunl|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|docker|veth|cni"
    r"|flannel|cilium|lxc|kube-|nodelocaldns|virbr|podman|weave)"
).match
# Flags of addresses that go, are not there yet, or belong to whoever holds a service just now.
_PASSING = frozenset(
    {"temporary", "secondary", "deprecated", "tentative", "dadfailed", "optimistic"}
)


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """
    What a host reports of itself.

    :param machine: as `uname -m` has it. :param name: its host name.
    :param addresses: pairs of an interface and a lasting address of its own, of its outside.
    :param defaults: interfaces of default routes.
    """

    machine: str
    name: str
    addresses: tuple[tuple[str, str], ...] = ()
    defaults: frozenset[str] = frozenset()

    @property
    def architecture(self) -> str:
        """As programs for it are called; as `uname -m` has it where there are none."""
        return ARCHITECTURES.get(self.machine, self.machine)

    def of_family(self, family: Family, beside: Sequence[str]) -> tuple[str, ...]:
        """
        Return which of its addresses may be its node's in a family.

        Those on the interface that has one of the known ones count, or else those on interfaces of
        default routes, or else all.

        :param beside: addresses of it that are known.
        """
        own = [pair for pair in self.addresses if family_of(pair[1]) == family]
        at = {interface for interface, address in self.addresses if address in beside}
        for interfaces in (at, self.defaults):
            if found := tuple(a for interface, a in own if interface in interfaces):
                return found
        return tuple(address for _, address in own)


def read(host: Host) -> HostIdentity:
    """
    Ask a host who it is, as the user who logs in. Changes nothing.

    :raises HostError: it can't be reached, or its output is not as expected.
    """
    result = host.as_login_user("exec sh -s", stdin=[assemble("identity")], limit=2**17)
    return parse(host.name, result.stdout)


def parse(node: str, output: bytes) -> HostIdentity:
    """Parse the output of `scripts/identity`. Raises HostMisbehavedError."""
    found: dict[str, list[str]] = {}
    for line in clean(output, lines=True).splitlines():
        key, _, value = line.partition(" ")
        held = found.setdefault(key, [])
        if len(held) < _MOST:
            held.append(value.strip())
    machine, name = (next(iter(found.get(key, ())), "") for key in ("machine", "name"))
    if not _MACHINE(machine) or not _NAME(name):
        raise HostMisbehavedError(node, f"it does not tell its name: {last_lines(output, 1)!r}")
    defaults = (_DEVICE.search(line) for line in found.get("default", ()))
    return HostIdentity(
        machine,
        name,
        tuple(dict.fromkeys(_addresses(found.get("address", ())))),
        frozenset(match[1] for match in defaults if match),
    )


def _addresses(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield interface and address of lines such as `2: eth0    inet 192.0.2.1/24 scope global`."""
    for line in lines:
        words = line.split()
        if len(words) < 4 or words[2] not in ("inet", "inet6") or _PASSING & set(words[4:]):
            continue
        interface = words[1].partition("@")[0]
        if _INNER(interface):
            continue
        try:
            address = ipaddress.ip_interface(words[3]).ip
        except ValueError:
            continue
        if not (address.is_link_local or address.is_loopback or address.is_multicast):
            yield interface, str(address)
