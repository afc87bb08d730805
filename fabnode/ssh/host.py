"""Host: the SSH connection to one node; commands as root, and port checks from the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config.secret_prompts import SUDO
from ..util.errors import HostError
from .errors import ConnectionLostError
from .exec import Command, Result, Session
from .port_checks import (
    AnonymousAnswer,
    HttpAnswer,
    TlsResult,
    anonymous_over,
    http_over,
    tls_over,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import paramiko

    from ..config.configuration import Node
    from .connections import Access

_ROOT = "root"
_PATIENCE = 30.0  # seconds a loaded host may take to start a shell, or sudo to answer


class Host:
    """
    A node's connection; opened when first needed. Each thread has its own.

    :param access: shared by the connections of a run.
    """

    def __init__(self, node: Node, access: Access) -> None:
        self.node = node
        self._access = access
        self._connection = access.connection(node)
        self._interrupted = False

    @property
    def name(self) -> str:
        """The node's name in the configuration."""
        return self.node.name

    @property
    def command_timeout(self) -> float:
        """Seconds a command may take by default."""
        return self.node.ssh.command_timeout

    def open(self) -> None:
        """
        Connect and authenticate, unless that is done.

        :raises HostError: UnreachableError, UnknownHostKeyError, ChangedHostKeyError,
            AuthenticationError.
        """
        if not self._connection.is_connected:
            self._access.open(self._connection, self.node)

    def root(
        self,
        script: str,
        *,
        stdin: Iterable[bytes] = (),
        timeout: float | None = None,
        on_line: Callable[[bytes], None] | None = None,
        limit: int = 4 * 2**20,
    ) -> Result:
        """
        Run `sh -c script` as root and return how it ended; its exit status is the caller's matter.

        :param script: short and free of secrets; what is long or secret goes in by `stdin`.
        :param timeout: seconds, ssh.command_timeout by default. The command is ended on the node.
        :param on_line: called with each line of output as it comes, without its end.
        :param limit: bytes of output after which the host counts as broken.
        :raises HostError: see `errors`; a command that merely fails raises nothing.
        """
        command = Command(
            script,
            stdin=stdin,
            sudo=self._connection_user() != _ROOT,
            password=self._access.passwords.get((self.name, SUDO)),
            timeout=timeout or self.command_timeout,
            limit=limit,
            on_line=on_line,
        )
        return self._run(command, max(_PATIENCE, self.node.ssh.connect_timeout))

    def as_login_user(self, script: str, *, stdin: Iterable[bytes], limit: int) -> Result:
        """
        Run `sh -c script` as the user who logs in, with no more rights; see `root`.

        :raises HostError: see `errors`; a command that merely fails raises nothing.
        """
        command = Command(script, stdin, timeout=self.command_timeout, limit=limit)
        return self._run(command, self.node.ssh.connect_timeout)

    def _run(self, command: Command, patience: float) -> Result:
        try:
            return Session(self.name, command, patience).run(self._transport())
        except HostError:
            if self._interrupted:
                raise KeyboardInterrupt from None
            raise

    def http_get(
        self, port: int, path: str, timeout: float = 5, *, address: str = "127.0.0.1"
    ) -> HttpAnswer:
        """
        GET `http://address:port/path` on the node itself.

        :raises HostError: the node is gone. A port where nobody answers is status 0.
        """
        return http_over(self, self._transport(), (address, port), path, timeout)

    def anonymous_get(
        self, address: str, port: int, path: str, *, secure: bool, timeout: float = 5
    ) -> AnonymousAnswer | None:
        """
        GET `http(s)://address:port/path` from the node, without credentials.

        The certificate that answers is not verified, but returned. None: sshd forbids to ask.

        :raises HostError: the node is gone.
        """
        return anonymous_over(
            self._transport(), (address, port), path, secure=secure, timeout=timeout
        )

    def tls_to(
        self, address: str, port: int, ca_pem: bytes, server_name: str, timeout: float = 10
    ) -> TlsResult:
        """
        Open a TLS connection from the node to `address` and check the certificate against the CA.

        :raises HostError: the node is gone. What is wrong at the remote end stands in the result.
        """
        return tls_over(self._transport(), (address, port), ca_pem, server_name, timeout)

    def interrupt(self) -> None:
        """End what runs on the host: it raises KeyboardInterrupt, and so does the next use."""
        self._interrupted = True
        self.close()

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        self._connection.close()

    def __enter__(self) -> Host:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def _connection_user(self) -> str:
        return str(self._connection.user)

    def _transport(self) -> paramiko.Transport:
        if self._interrupted:
            raise KeyboardInterrupt
        self.open()
        transport: paramiko.Transport | None = self._connection.transport
        if transport is None:
            raise ConnectionLostError(self.name, "the connection broke")
        return transport
