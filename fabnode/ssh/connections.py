"""SSH connections of a run, which share ~/.ssh/config, known hosts, passwords and gateways."""

from __future__ import annotations

import logging
import shlex
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
from fabric import Config, Connection
from paramiko.ssh_exception import NoValidConnectionsError

from ..config.secret_prompts import LOGIN
from ..util.errors import HostError
from .authentication import Login
from .client_config import ClientConfig, ClientConfigError, HostOptions, local_user, split_jump
from .error_mapping import mapping_errors
from .host_trust import HostTrust
from .known_hosts import KnownHosts, host_id
from .transport import transport_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..config.configuration import Node


_CONNECT_FAILED = 2  # RFC 4254 5.1
_MOST_HOPS = 16  # `Host *` with `ProxyJump gw-%h` names a new host for each


class _Check(paramiko.MissingHostKeyPolicy):
    """Asked about every key, since paramiko itself is told of none."""

    def __init__(self, trust: HostTrust) -> None:
        self._trust = trust

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002
        hostname: str,  # noqa: ARG002
        key: paramiko.PKey,
    ) -> None:
        self._trust.check(key)


Place = tuple[str, int]
# Of each hop to a host, the first one first: its user, what ssh's configuration says of it, and
# the node's known_hosts files and private keys that count for it.
_Route = tuple[tuple[str, HostOptions, tuple[Path, ...], tuple[Path, ...]], ...]
Stream = socket.socket | paramiko.Channel | paramiko.ProxyCommand


class HopConnection(Connection):  # type: ignore[misc]  # Fabric has no types
    """A connection with what ssh's configuration says of its host."""

    options: HostOptions = HostOptions("", "")  # Fabric sets only what its class has

    def open_gateway(self) -> paramiko.Channel:
        """
        Return a channel of the gateway's to the host.

        :raises paramiko.ChannelException: the gateway does not get there, or is gone itself.
        """
        try:
            found: paramiko.Channel = super().open_gateway()
        except paramiko.ChannelException:
            raise
        except (paramiko.SSHException, EOFError) as error:
            raise paramiko.ChannelException(_CONNECT_FAILED, str(error)) from error
        return found


@contextmanager
def _naming_ssh_config(node: str, host: str) -> Iterator[None]:
    try:
        yield
    except ClientConfigError as error:
        message = f"~/.ssh/config, for {host}: {error.message}"
        raise HostError(node, message, "correct it; `ssh -G HOST` shows how it is read") from error


class Access:
    """
    Opens connections for the nodes of one run; safe to share between threads.

    A gateway is connected to once and shared by all nodes behind it that would log in to it with
    the same keys and believe the same host keys of it.

    :param passwords: of `ask_secrets`.
    """

    def __init__(self, passwords: Mapping[tuple[str, str], str] | None = None) -> None:
        self.passwords = passwords or {}
        self._client_config = ClientConfig()
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}
        self._gateways: dict[_Route, _Gateway] = {}
        # paramiko also logs what it raises, with tracebacks; fabnode reports errors itself.
        logging.getLogger("paramiko").addHandler(logging.NullHandler())

    def known_hosts(self, node: Node, hop: HopConnection) -> KnownHosts:
        """Return the known_hosts files for a hop to a node, read once per run. Raises HostError."""
        files = _known_hosts_files(node, hop)
        with self._lock, _files_of(node):
            if files not in self._known:
                self._known[files] = KnownHosts.read(files)
            return self._known[files]

    def trust(self, node: Node, hop: HopConnection) -> HostTrust:
        """Return what known_hosts files say of a hop's server. Raises HostError."""
        host = hop.options.key_name or hop.host.lower()
        return HostTrust.of(self.known_hosts(node, hop), key_name(hop), host)

    def record(
        self, node: Node, hop: HopConnection, name: str, keys: Iterable[paramiko.PKey]
    ) -> Path:
        """
        Trust `keys` for `name` from now on; return the file they were added to.

        :raises ValueError: another key is known.
        :raises HostError: the file can't be written.
        """
        files = _known_hosts_files(node, hop)
        if not files:
            raise HostError(
                node.name, "UserKnownHostsFile names no file to record it in", "set ssh.known_hosts"
            )
        with self._lock, _files_of(node):
            # Read again: another run, or an earlier node of this one, may have added to it.
            file = KnownHosts.read(files).record(name, keys)
            self._known.pop(files, None)
        return file

    def connection(self, node: Node) -> HopConnection:
        """Return a connection for the node, not open yet. Raises HostError."""
        explicit = node.ssh.model_fields_set  # what only has its default yields to ~/.ssh/config
        with _naming_ssh_config(node.name, node.address):
            options = self._client_config.options(
                node.address,
                node.ssh.user if "user" in explicit else None,
                node.ssh.port if "port" in explicit else None,
                behind=bool(node.ssh.gateway),
            )
            # Passwords are the nodes' own: a gateway lets in by key, agent or ~/.ssh/config.
            gateway = (
                self._chain(node, (node.ssh.gateway,))
                if node.ssh.gateway
                else self._before(node, options, frozenset({(options.host, options.port)}))
            )
        password = self.passwords.get((node.name, LOGIN))
        return self._hop(node, options, options.user or node.ssh.user, gateway, password)

    def _before(
        self, node: Node, options: HostOptions, beyond: frozenset[Place]
    ) -> HopConnection | None:
        """Return the last jump host before a host. :param beyond: hosts reached through it."""
        return self._chain(node, options.jumps, beyond) if options.jumps else None

    def _chain(
        self, node: Node, jumps: Sequence[str], beyond: frozenset[Place] = frozenset()
    ) -> HopConnection | None:
        """Return the last of jump hosts, each behind the one before it."""
        gateway: HopConnection | None = None
        for number, jump in enumerate(jumps):
            user, host, port = split_jump(jump)
            options = self._client_config.options(host, user, port, behind=number > 0)
            if (place := (options.host, options.port)) in beyond or len(beyond) > _MOST_HOPS:
                raise ClientConfigError(f"jump host loop via {host}")
            if number == 0:
                gateway = self._before(node, options, beyond | {place})
            gateway = self._hop(node, options, options.user or local_user(), gateway, None)
        return gateway

    def _hop(
        self,
        node: Node,
        options: HostOptions,
        user: str,
        gateway: HopConnection | None,
        password: str | None,
    ) -> HopConnection:
        login = Login(user, options, node.ssh.keys, password)
        hop = HopConnection(
            options.host,
            user=user,
            port=options.port,
            # Fabric reads no configuration of its own: ClientConfig has. It is completed while it
            # is read, so that threads can't share one.
            config=Config(ssh_config=paramiko.SSHConfig(), lazy=True),
            gateway=gateway or False,
            connect_timeout=node.ssh.connect_timeout,
            connect_kwargs={"auth_strategy": login},
        )
        hop.options = options
        return hop

    def open(self, connection: HopConnection, node: Node, what: str = "") -> None:
        """
        Open the connection, its gateways first.

        :param what: prefix of the address in errors (`the gateway `).
        :raises HostError: with the hop that failed in its text.
        """
        where = what + key_name(connection)
        if isinstance(connection.gateway, HopConnection):
            connection.gateway = self._open_gateway(connection.gateway, node)
        with mapping_errors(node.name, where, proxied=_is_proxied(connection)):
            self._secure(connection, node)
            try:
                connection.open()
            except BaseException:
                connection.client.close()  # Fabric leaves what never was open
                raise

    def raw_stream(self, connection: HopConnection, node: Node) -> Stream:
        """
        Return a bare byte stream to the connection's SSH port, through its gateways.

        :raises HostError: the same as `open`.
        """
        with mapping_errors(node.name, host_id(connection.host, connection.port)):
            if isinstance(connection.gateway, HopConnection):
                connection.gateway = self._open_gateway(connection.gateway, node)
                stream: paramiko.Channel = connection.open_gateway()
                return stream
            return _stream(connection)

    def close(self) -> None:
        """Close the gateways. Nodes close their own connections before."""
        with self._lock:
            gateways, self._gateways = self._gateways, {}
        for gateway in gateways.values():
            gateway.connection.close()

    def __enter__(self) -> Access:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the gateways."""
        self.close()

    def _secure(self, connection: HopConnection, node: Node) -> None:
        """Configure a connection: host key check, time limits, fast ciphers first."""
        trust = self.trust(node, connection)
        connection.client.set_missing_host_key_policy(_Check(trust))
        if not connection.gateway:
            connection.connect_kwargs["sock"] = _stream(connection)
        limit = node.ssh.connect_timeout
        connection.connect_kwargs = {
            **connection.connect_kwargs,
            "transport_factory": transport_factory(trust),
            "banner_timeout": limit,
            "auth_timeout": limit,
            "channel_timeout": limit,
        }

    def _open_gateway(self, gateway: HopConnection, node: Node) -> HopConnection:
        """Return the one open connection to this gateway."""
        with self._lock:
            shared = self._gateways.setdefault(_route(gateway, node), _Gateway(gateway))
        try:
            return shared.opened(lambda: self.open(shared.connection, node, "the gateway "))
        except HostError as error:
            error.not_asked = True  # whatever it says is of the gateway
            raise


def key_name(hop: HopConnection) -> str:
    """Return the name under which known_hosts files have a hop's server."""
    return hop.options.key_name or host_id(hop.host, hop.port)


def _known_hosts_files(node: Node, hop: HopConnection) -> tuple[Path, ...]:
    return tuple(node.ssh.known_hosts) or hop.options.known_hosts


def _route(hop: HopConnection, node: Node) -> _Route:
    """Return all that decides whether a hop's connection may serve another node as well."""
    before = _route(hop.gateway, node) if isinstance(hop.gateway, HopConnection) else ()
    options = replace(hop.options, alias="")  # two names of one server do not differ by that
    files, keys = _known_hosts_files(node, hop), tuple(node.ssh.keys)
    return (*before, (hop.user, options, files, keys))


def _is_proxied(hop: HopConnection) -> bool:
    return not hop.gateway and bool(hop.options.proxy_command)


def _stream(hop: HopConnection) -> socket.socket | paramiko.ProxyCommand:
    """Return a stream to a server that is behind no gateway."""
    options = hop.options
    if options.proxy_command:
        # As with ssh, a shell reads the line and execs the program; here it is always /bin/sh.
        return paramiko.ProxyCommand(shlex.join(["/bin/sh", "-c", f"exec {options.proxy_command}"]))
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(options.family, 0)
    # paramiko would end with the first address that does not answer in time, or to whose family
    # there is no route, and forget that another had answered.
    met: dict[Any, Exception] = {}
    for found, kind, proto, _, target in socket.getaddrinfo(
        hop.host, hop.port, family, socket.SOCK_STREAM
    ):
        try:
            return _connected(socket.socket(found, kind, proto), target, hop)
        except OSError as error:
            met[target] = error
    if len(met) == 1:
        raise next(iter(met.values()))
    raise NoValidConnectionsError(met)


def _connected(made: socket.socket, target: Any, hop: HopConnection) -> socket.socket:
    try:
        made.settimeout(hop.connect_timeout)
        if hop.options.bind_address:
            made.bind((hop.options.bind_address, 0))
        made.connect(target)
    except OSError:
        made.close()
        raise
    return made


class _Gateway:
    """A connection shared by threads; the first to use it opens it while the others wait."""

    def __init__(self, connection: HopConnection) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._failures = 0
        self._error: HostError | None = None

    def opened(self, open_: Callable[[], None]) -> HopConnection:
        before = self._failures
        with self._lock:
            if self._failures > before and self._error is not None:
                # It was tried while we waited; trying again would make the last of many threads
                # wait for many time-outs.
                raise self._error
            if not self.connection.is_connected:
                try:
                    open_()
                except HostError as error:
                    self._failures += 1
                    self._error = error
                    raise
            return self.connection


@contextmanager
def _files_of(node: Node) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"{error.filename}: {error.strerror}"
        raise HostError(node.name, cause, "check ssh.known_hosts") from error
