"""SSH connections of a run, which share ~/.ssh/config, known hosts, passwords and gateways."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import paramiko
from fabric import Config, Connection

from .error_mapping import MissingHostKeyError, mapping_errors
from .errors import HostError
from .known_hosts import KnownHosts, host_id
from .secret_prompts import LOGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ..config.cluster import Node

# What we let a server send before we take it: bounds memory; our own sending is bounded by what
# the server grants (OpenSSH: 2 MiB). Packets of 32 KiB are what OpenSSH takes at most.
_WINDOW = 2**21
_PACKET = 2**15
_GIVE_UP = 30  # seconds without an acknowledgement by the peer's kernel


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002
        hostname: str,  # noqa: ARG002
        key: paramiko.PKey,
    ) -> None:
        raise MissingHostKeyError(key)


@contextmanager
def _values_of_ssh_config(node: Node) -> Iterator[None]:
    """Name the file whose values Fabric reads with less grammar than ssh: findings/fabric-ssh-*."""
    try:
        yield
    except (ValueError, KeyError) as error:
        message = f"~/.ssh/config has a value for {node.address} that Fabric can't read: {error}"
        advice = (
            "write ports and times as plain numbers, ForwardAgent as yes or no, no comment behind"
        )
        raise HostError(node.name, message, advice) from error


class Access:
    """
    Opens connections for the nodes of one run; safe to share between threads.

    Gateways are connected to once and shared by all nodes behind them.

    :param passwords: of `ask_secrets`.
    :raises HostError: ~/.ssh/config can't be read.
    """

    def __init__(self, passwords: Mapping[tuple[str, str], str] | None = None) -> None:
        self.passwords = passwords or {}
        try:
            # Parses ~/.ssh/config and the system's, once.
            self._ssh_config = Config().base_ssh_config
        except (paramiko.ConfigParseError, OSError, UnicodeDecodeError) as error:
            raise HostError("", f"~/.ssh/config can't be read: {error}", "correct it") from error
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}
        self._gateways: dict[str, _Gateway] = {}
        # paramiko also logs what it raises, with tracebacks; fabnode reports errors itself.
        logging.getLogger("paramiko").addHandler(logging.NullHandler())

    def known_hosts(self, node: Node) -> KnownHosts:
        """Return the node's known_hosts files, read once per run. Raises HostError."""
        files = tuple(node.ssh.known_hosts)
        with self._lock, _files_of(node):
            if files not in self._known:
                self._known[files] = KnownHosts.read(files)
            return self._known[files]

    def record(self, node: Node, name: str, keys: Iterable[paramiko.PKey]) -> Path:
        """
        Trust `keys` for `name` from now on; return the file they were added to.

        :raises ValueError: another key is known.
        :raises HostError: the file can't be written.
        """
        files = tuple(node.ssh.known_hosts)
        with self._lock, _files_of(node):
            # Read again: another run, or an earlier node of this one, may have added to it.
            file = KnownHosts.read(files).record(name, keys)
            self._known.pop(files, None)
        return file

    def connection(self, node: Node) -> Connection:
        """Return a connection for the node, not open yet."""
        explicit = node.ssh.model_fields_set  # what only has its default yields to ~/.ssh/config
        with _values_of_ssh_config(node):
            connection = Connection(
                node.address,
                user=node.ssh.user if "user" in explicit else None,
                port=node.ssh.port if "port" in explicit else None,
                config=self._config(user=node.ssh.user, port=node.ssh.port),
                gateway=self._configured_gateway(node),
                connect_timeout=node.ssh.connect_timeout,
                connect_kwargs=self._keys(node),
            )
        password = self.passwords.get((node.name, LOGIN))
        if password is not None:
            connection.connect_kwargs["password"] = password
        return connection

    def open(self, connection: Connection, node: Node, what: str = "") -> None:
        """
        Open the connection, its gateways first.

        :param what: prefix of the address in errors (`the gateway `).
        :raises HostError: with the hop that failed in its text.
        """
        where = what + host_id(connection.host, connection.port)
        if isinstance(connection.gateway, Connection):
            connection.gateway = self._open_gateway(connection.gateway, node)
        with mapping_errors(node.name, where):
            self._secure(connection, node)
            try:
                connection.open()
            except BaseException as error:
                awaits_login = _awaits_login(connection)
                connection.client.close()  # Fabric leaves what never was open
                # Of several ways to read a key file paramiko reports the last, not the refusal.
                if type(error) is paramiko.SSHException and awaits_login:
                    raise paramiko.AuthenticationException(str(error)) from error
                raise

    def raw_stream(self, connection: Connection, node: Node) -> socket.socket | paramiko.Channel:
        """
        Return a bare byte stream to the connection's SSH port, through its gateways.

        :raises HostError: the same as `open`.
        """
        with mapping_errors(node.name, host_id(connection.host, connection.port)):
            if isinstance(connection.gateway, Connection):
                connection.gateway = self._open_gateway(connection.gateway, node)
            if connection.gateway:
                stream: paramiko.Channel = connection.open_gateway()
                return stream
            return socket.create_connection(
                (connection.host, connection.port), timeout=node.ssh.connect_timeout
            )

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

    def _config(self, **defaults: str | int) -> Config:
        return Config(ssh_config=self._ssh_config, lazy=True, overrides=defaults)

    def _configured_gateway(self, node: Node) -> Connection | None:
        """Return the node's configured gateway; None: as in ~/.ssh/config."""
        if not node.ssh.gateway:
            return None
        # Passwords are the nodes' own: a gateway lets in by key, agent or ~/.ssh/config.
        return Connection(
            node.ssh.gateway,
            config=self._config(),
            connect_timeout=node.ssh.connect_timeout,
            connect_kwargs=self._keys(node),
        )

    @staticmethod
    def _keys(node: Node) -> dict[str, Any]:
        # A fresh dictionary each time: Fabric changes the one it is given.
        return {"key_filename": [str(key) for key in node.ssh.keys]} if node.ssh.keys else {}

    def _secure(self, connection: Connection, node: Node) -> None:
        """Configure a connection: host key check, time limits, fast ciphers first."""
        name = host_id(connection.host, connection.port)
        trusted = self.known_hosts(node).keys(name)
        connection.client.set_missing_host_key_policy(_Refuse())
        for key in trusted:
            connection.client.get_host_keys().add(name, key.get_name(), key)
        limit = node.ssh.connect_timeout
        connection.connect_kwargs = {
            **connection.connect_kwargs,
            "transport_factory": _transport_factory([key.get_name() for key in trusted]),
            "banner_timeout": limit,
            "auth_timeout": limit,
            "channel_timeout": limit,
        }

    def _open_gateway(self, gateway: Connection, node: Node) -> Connection:
        """Return the one open connection to this gateway."""
        with self._lock:
            shared = self._gateways.setdefault(_chain(gateway), _Gateway(gateway))
        return shared.opened(lambda: self.open(shared.connection, node, "the gateway "))


class _Gateway:
    """A connection shared by threads; the first to use it opens it while the others wait."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._failures = 0
        self._error: HostError | None = None

    def opened(self, open_: Callable[[], None]) -> Connection:
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


def _chain(connection: Connection) -> str:
    own = f"{connection.user}@{connection.host}:{connection.port}"
    before = connection.gateway
    return f"{_chain(before)} {own}" if isinstance(before, Connection) else f"{before or ''} {own}"


@contextmanager
def _files_of(node: Node) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"{error.filename}: {error.strerror}"
        raise HostError(node.name, cause, "check ssh.known_hosts") from error


def _awaits_login(connection: Connection) -> bool:
    transport = connection.client.get_transport()
    return transport is not None and transport.is_active() and transport.initial_kex_done


def _transport_factory(known_types: list[str]) -> Callable[..., paramiko.Transport]:
    def transport(sock: Any, **options: Any) -> paramiko.Transport:
        made = paramiko.Transport(
            sock, default_window_size=_WINDOW, default_max_packet_size=_PACKET, **options
        )
        offered = made.get_security_options()
        # AES-GCM needs no second pass for a MAC: measured half as fast again. paramiko knows it
        # but puts it last; the others stay as they are for servers without it.
        offered.ciphers = sorted(offered.ciphers, key=lambda cipher: "-gcm" not in cipher)
        # Ask for a key of a type we know. paramiko by itself looks at the first known type only,
        # and takes a server that has another of the known ones for a changed one.
        offered.key_types = sorted(
            offered.key_types, key=lambda kind: _key_name(kind) not in known_types
        )
        made.set_keepalive(10)
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GIVE_UP * 1000)
            # Without it each command waits for delayed acknowledgements.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    return transport


def _key_name(signature: str) -> str:
    """Return the key type that a signature algorithm belongs to."""
    return "ssh-rsa" if signature.startswith("rsa-sha2-") else signature
