"""Host keys on offer: shown, compared, and recorded once somebody has vouched for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import paramiko
from fabric import Connection
from paramiko.ssh_exception import IncompatiblePeer

from .errors import ChangedHostKey, HostMisbehaved
from .explain import explaining
from .known_hosts import fingerprint, host_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from ..model.config import Node
    from .access import Access

# One of each kind of key that servers have; a handshake shows one, so each takes its own.
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")


@dataclass(frozen=True, slots=True)
class Offer:
    """
    The keys of one server: the node, or a gateway on the way to it.

    :param name: as known_hosts files keep it.
    :param keys: what it shows, each with its type and fingerprint.
    :param state: `known` before; `offered` where that is still to be decided; `recorded` now, in
        `file`; `declined`.
    """

    name: str
    keys: tuple[paramiko.PKey, ...]
    state: Literal["known", "offered", "recorded", "declined"]
    file: Path | None = None

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Type and fingerprint of each key, as `ssh-keygen -l` names them."""
        return tuple(f"{key.get_name()} {fingerprint(key)}" for key in self.keys)


def trust(
    access: Access,
    node: Node,
    confirm: Callable[[Offer], bool],
    fingerprints: Collection[str] = (),
) -> tuple[Offer, ...]:
    """
    Have the keys of the node, and of the gateways before it, recorded in its first known_hosts.

    Keys that are known already are left alone. Those behind a gateway that was declined are not
    looked at.

    :param confirm: asked for every server that is unknown, unless fingerprints are given.
    :param fingerprints: `SHA256:…`; only a key that matches one is recorded.
    :raises ChangedHostKey: a server shows a key other than the recorded one, or none that matches.
    :raises HostError: it can't be reached.
    """
    offers: list[Offer] = []
    for connection in _way(access.connection(node)):
        name = host_id(connection.host, connection.port)
        shown = _shown(access, connection, node, name)
        known = access.known_hosts(node).keys(name)
        if any(key in known for key in shown):
            offers.append(Offer(name, shown, "known"))
            continue
        if known:
            raise _changed(node, name, shown, "known_hosts holds another")
        chosen = shown
        if fingerprints:
            chosen = tuple(key for key in shown if fingerprint(key) in fingerprints)
            if not chosen:
                raise _changed(node, name, shown, "none of those given")
        elif not confirm(Offer(name, shown, "offered")):
            offers.append(Offer(name, shown, "declined"))
            break
        offers.append(Offer(name, chosen, "recorded", access.record(node, name, chosen)))
    return tuple(offers)


def _way(connection: Connection) -> list[Connection]:
    """Return the gateways, outermost first, and the node's own connection."""
    before = connection.gateway
    return [*(_way(before) if isinstance(before, Connection) else []), connection]


def _shown(
    access: Access, connection: Connection, node: Node, name: str
) -> tuple[paramiko.PKey, ...]:
    keys: list[paramiko.PKey] = []
    for kind in _KINDS:
        stream = access.through(connection, node)
        transport = paramiko.Transport(stream)
        try:
            transport.get_security_options().key_types = [kind]
            with explaining(node.name, name):
                try:
                    transport.start_client(timeout=node.ssh.connect_timeout)
                except IncompatiblePeer:  # it has no key of this kind
                    continue
                keys.append(transport.get_remote_server_key())
        finally:
            transport.close()
    if not keys:
        raise HostMisbehaved(node.name, f"{name} shows no host key of a kind we know")
    return tuple(keys)


def _changed(node: Node, name: str, shown: tuple[paramiko.PKey, ...], why: str) -> ChangedHostKey:
    told = ", ".join(fingerprint(key) for key in shown)
    return ChangedHostKey(
        node.name,
        f"{name} shows {told}: {why}",
        f"if it was installed anew, run `ssh-keygen -R '{name}'` and try again; otherwise somebody"
        " may stand in between",
    )
