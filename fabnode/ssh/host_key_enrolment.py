"""Enrolment of host keys: fetched, compared by the user or a fingerprint, recorded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from .connections import HopConnection, key_name
from .error_mapping import mapping_errors
from .errors import ChangedHostKeyError, HostMisbehavedError
from .host_trust import MissingHostKeyError, RevokedKeyError
from .known_hosts import fingerprint
from .transport import Transport, transport_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..config.configuration import Node
    from .connections import Access
    from .host_trust import HostTrust

# Signature algorithms, one for each type of key that servers have, preferred ones first.
_ALGORITHMS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
# Where OpenSSH keeps a host key, by the first part of its type.
_FILES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa", "ssh-dss": "dsa"}


@dataclass(frozen=True, slots=True)
class Offer:
    """
    The keys of one server: the node, or a gateway on the way to it.

    :param name: as known_hosts files keep it.
    :param keys: the keys in question: for `offered` the one that is to be compared, for `recorded`
        those that were compared, for `known` the one that proved it.
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

    @property
    def commands(self) -> tuple[str, ...]:
        """Commands that print each key's fingerprint on the server itself."""
        names = [_FILES.get(key.get_name(), key.get_name().split("-")[0]) for key in self.keys]
        return tuple(f"ssh-keygen -lf /etc/ssh/ssh_host_{name}_key.pub" for name in names)


def enrol(
    access: Access,
    node: Node,
    confirm: Callable[[Offer], bool],
    fingerprints: Mapping[str, Collection[str]] | None = None,
) -> tuple[Offer, ...]:
    """
    Record the host keys of a node and its gateways in its first known_hosts file.

    Nothing ties the keys that one server shows on several connections together: somebody in
    between may let one connection pass and answer another himself. So only what is compared is
    recorded: the one key that `confirm` is shown, or those that match a fingerprint of this very
    server's: another's key, whoever holds it, is none of its keys. A server that
    is known by any key gets no further one. Those behind a gateway that was declined are not
    looked at.

    :param confirm: asked for every server that is unknown, unless fingerprints are given.
    :param fingerprints: name → `SHA256:…`, of the node or of a server as known_hosts files keep it;
        only a key that matches one of its server's is recorded, and only such a one is well known.
    :raises ChangedHostKeyError: a server shows another key than the recorded one, or none that
        matches.
    :raises HostError: it can't be reached.
    """
    offers: list[Offer] = []
    hops = _hops(access.connection(node))
    for connection in hops:
        name = key_name(connection)
        given = _given(fingerprints or {}, name, node.name if connection is hops[-1] else "")
        trust = access.trust(node, connection)
        if trust.authorities and (key := _certified(access, connection, node, trust)):
            offers.append(_as_given(Offer(name, (key,), "known"), given, node))
            continue
        if trust.keys:
            offer = _recognised(access, connection, node, name, trust.keys)
            offers.append(_as_given(offer, given, node))
            continue
        if fingerprints and not given:
            raise HostMisbehavedError(
                node.name,
                f"{name} is unknown, and none of the fingerprints given is for it",
                f"give its own as well: --fingerprint '{name}=SHA256:…'",
            )
        shown = _shown(access, connection, node, name)
        if fingerprints:
            keys = tuple(shown)
            chosen = tuple(key for key in keys if fingerprint(key) in given)
            if keys and not chosen:
                raise _changed(node, name, keys, "none of the given fingerprints")
        else:
            chosen = tuple(islice(shown, 1))
        if not chosen:
            raise HostMisbehavedError(node.name, f"{name} presents no host key of a supported type")
        with mapping_errors(node.name, name):
            for key in chosen:
                if key in trust.revoked:
                    raise RevokedKeyError(key)
        if not fingerprints and not confirm(Offer(name, chosen, "offered")):
            offers.append(Offer(name, chosen, "declined"))
            break
        try:
            file = access.record(node, connection, name, chosen)
        except ValueError as error:  # another run has recorded another key meanwhile
            raise _changed(node, name, chosen, str(error)) from error
        offers.append(Offer(name, chosen, "recorded", file))
    return tuple(offers)


def _given(fingerprints: Mapping[str, Collection[str]], *names: str) -> frozenset[str]:
    return frozenset(each for name in names for each in fingerprints.get(name, ()))


def _as_given(offer: Offer, given: Collection[str], node: Node) -> Offer:
    """Return what is known of a server; ChangedHostKeyError where other fingerprints were given."""
    if given and not any(fingerprint(key) in given for key in offer.keys):
        why = "it is known by that key, which is none of the given fingerprints"
        raise _changed(node, offer.name, offer.keys, why)
    return offer


def _recognised(
    access: Access, connection: HopConnection, node: Node, name: str, known: Sequence[paramiko.PKey]
) -> Offer:
    """Return the known key that a server proves; ChangedHostKeyError where it proves none."""
    wanted = tuple(dict.fromkeys(_algorithm(key) for key in known))
    seen: list[paramiko.PKey] = []
    # Types that it is not known by are asked for only to report what it shows instead.
    for key in _shown(access, connection, node, name, dict.fromkeys((*wanted, *_ALGORITHMS))):
        if key in known:
            return Offer(name, (key,), "known")
        seen.append(key)
    raise _changed(node, name, tuple(seen), "known_hosts has a different one")


def _certified(
    access: Access, connection: HopConnection, node: Node, trust: HostTrust
) -> paramiko.PKey | None:
    """Return the key that a server has a certificate of a trusted CA for; None: it has none."""
    transport = transport_factory(trust)(access.raw_stream(connection, node))
    try:
        with mapping_errors(node.name, trust.name):
            transport.start_client(timeout=node.ssh.connect_timeout)
            key = transport.get_remote_server_key()
            try:
                trust.check(key)
            except (MissingHostKeyError, paramiko.BadHostKeyException):
                return None  # what it shows is judged as without a CA
            return key
    finally:
        transport.close()


def _algorithm(key: paramiko.PKey) -> str:
    return "rsa-sha2-512" if key.get_name() == "ssh-rsa" else key.get_name()


def _hops(connection: HopConnection) -> list[HopConnection]:
    """Return the gateways, outermost first, and the node's own connection."""
    before = connection.gateway
    return [*(_hops(before) if isinstance(before, HopConnection) else []), connection]


def _shown(
    access: Access,
    connection: HopConnection,
    node: Node,
    name: str,
    algorithms: Iterable[str] = _ALGORITHMS,
) -> Iterator[paramiko.PKey]:
    """Yield the server's key for each algorithm; a handshake shows one, so each takes its own."""
    for algorithm in algorithms:
        stream = access.raw_stream(connection, node)
        transport = Transport(stream)
        try:
            options = transport.get_security_options()
            if algorithm not in options.key_types:  # known_hosts may hold types of old
                continue
            options.key_types = [algorithm]
            with mapping_errors(node.name, name):
                try:
                    transport.start_client(timeout=node.ssh.connect_timeout)
                except IncompatiblePeer:  # it has no key of this type
                    continue
                key = transport.get_remote_server_key()
        finally:
            transport.close()
        yield key


def _changed(
    node: Node, name: str, shown: tuple[paramiko.PKey, ...], why: str
) -> ChangedHostKeyError:
    fingerprints = ", ".join(fingerprint(key) for key in shown) or "no host key of a supported type"
    return ChangedHostKeyError(
        node.name,
        f"{name} presents {fingerprints}: {why}",
        f"if it was reinstalled, run `ssh-keygen -R '{name}'` and try again; otherwise someone may"
        " be intercepting the connection",
    )
