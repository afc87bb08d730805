"""Mapping of paramiko's and sockets' exceptions to HostErrors with cause and advice."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from ..util import program
from ..util.errors import HostError
from .authentication import LoginRefusedError
from .errors import (
    AuthenticationError,
    ChangedHostKeyError,
    HostCertificateError,
    RevokedHostKeyError,
    UnknownHostKeyError,
    UnreachableError,
)
from .host_trust import BadHostCertificateError, MissingHostKeyError, RevokedKeyError
from .known_hosts import fingerprint
from .transport import NothingInCommonError, ServerRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROHIBITED = 1  # RFC 4254 5.1, SSH_OPEN_ADMINISTRATIVELY_PROHIBITED; 2 is "connect failed"


@contextmanager
def mapping_errors(node: str, where: str) -> Iterator[None]:
    """Raise a HostError in place of any exception while connecting to `where`."""
    try:
        yield
    except HostError:
        raise
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise host_error(node, where, error) from error


def host_error(node: str, where: str, error: Exception) -> HostError:
    """Return the HostError for an exception met while connecting to `where`."""
    match error:
        case MissingHostKeyError():
            kind, print_ = error.key.get_name(), fingerprint(error.key)
            return UnknownHostKeyError(
                node, f"the host key of {where} is unknown ({kind} {print_})"
            )
        case ServerRefusedError() | NothingInCommonError():
            return UnreachableError(node, f"{where}: {error.message}", error.advice)
        case RevokedKeyError():
            return RevokedHostKeyError(
                node, f"the host key of {where}, {error.message}, is marked @revoked in known_hosts"
            )
        case BadHostCertificateError():
            return HostCertificateError(
                node, f"the host certificate of {where} is invalid: {error.message}"
            )
        case paramiko.BadHostKeyException():
            return ChangedHostKeyError(
                node,
                f"the host key of {where} is {fingerprint(error.key)}, but"
                f" known_hosts has {fingerprint(error.expected_key)}",
                f"if it was reinstalled, run `ssh-keygen -R '{where.split()[-1]}'` and then"
                f" `{program.task(f'hosts.trust --limit {node}')}`; otherwise someone may be"
                " intercepting the connection",
            )
        case LoginRefusedError():
            return AuthenticationError(node, f"{where} {error.message}", error.advice)
        case paramiko.AuthenticationException():
            return AuthenticationError(
                node,
                f"{where} rejects the user with these keys and password ({error})",
                "check ssh.user and ssh.keys (or `ssh-add -l`) in the configuration",
            )
        case socket.gaierror():
            return UnreachableError(node, f"{where}: the name does not resolve")
        case NoValidConnectionsError():
            causes = ", ".join(
                sorted({str(getattr(e, "strerror", None) or e) for e in error.errors.values()})
            )
            return UnreachableError(node, f"{where}: {causes.lower()}")
        case paramiko.ChannelException():
            if error.code == PROHIBITED:
                return UnreachableError(
                    node,
                    f"{where}: the gateway forbids to connect to it",
                    "allow it in the gateway's sshd_config: AllowTcpForwarding, PermitOpen and"
                    " DisableForwarding rule it",
                )
            return UnreachableError(node, f"{where}: the gateway can't reach it ({error.text})")
        case TimeoutError():
            return UnreachableError(node, f"{where}: no answer in time")
        case OSError():
            return UnreachableError(node, f"{where}: {error.strerror or error}".lower())
        case _:
            # Among them: a server that sends no greeting in time, or hangs up in the middle.
            return UnreachableError(
                node,
                f"{where}: no SSH connection ({error or 'the server closed it'})",
                "check that an SSH server listens there",
            )
