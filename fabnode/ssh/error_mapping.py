"""Mapping of paramiko's and sockets' exceptions to HostErrors with cause and advice."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from ..util import program
from ..util.errors import HostError
from .authentication import LoginRefusedError
from .errors import (
    AnsweredError,
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

# What the kernel of a host sends, whatever runs there. That there is no route to a host, or that it
# is down, say others: the network before it, or this machine, which got no answer to ARP.
_KERNELS = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})
# The same in the words of a gateway's sshd (channels.c: strerror of its connect). All others, such
# as that the name is unknown there, tell nothing of the host.
_KERNELS_WORDS = ("connection refused", "connection reset")
_SILENCE_WORDS = ("timed out", "timeout", "no route to host", "unreachable", "host is down")


@contextmanager
def mapping_errors(node: str, where: str, *, proxied: bool = False) -> Iterator[None]:
    """
    Raise a HostError in place of any exception while connecting to `where`.

    :param proxied: by a command, which may end, or hang, without a word of the host.
    """
    try:
        yield
    except HostError:
        raise
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise host_error(node, where, error, proxied=proxied) from error


def host_error(node: str, where: str, error: Exception, *, proxied: bool = False) -> HostError:
    """Return the HostError for an exception met while connecting to `where`."""
    match error:
        case ServerRefusedError() if proxied and not error.heard:
            text = "its ProxyCommand ended without a word of the host"
            return _not_asked(node, f"{where}: {text}", "run that command by hand: it says why")
        case MissingHostKeyError():
            kind, print_ = error.key.get_name(), fingerprint(error.key)
            return UnknownHostKeyError(
                node, f"the host key of {where} is unknown ({kind} {print_})"
            )
        case ServerRefusedError() | NothingInCommonError():
            return AnsweredError(node, f"{where}: {error.message}", error.advice)
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
            return _not_asked(node, f"{where}: the name does not resolve")
        case NoValidConnectionsError():
            # Of several addresses, IPv4 and IPv6, one that answers is enough.
            met = error.errors.values()
            causes = ", ".join(sorted({_cause(each) for each in met}))
            answers = any(getattr(each, "errno", None) in _KERNELS for each in met)
            return (AnsweredError if answers else UnreachableError)(node, f"{where}: {causes}")
        case paramiko.ChannelException():
            return _behind_gateway(node, where, error)
        case OSError() if proxied:
            # Of the pipe to the command, or of its start: the host was not met.
            text = f"{where}: its ProxyCommand failed: {_cause(error)}"
            return _not_asked(node, text, "run that command by hand: it says why")
        case OSError():
            answers = error.errno in _KERNELS
            return (AnsweredError if answers else UnreachableError)(
                node, f"{where}: {_cause(error)}"
            )
        case _:
            # Among them: a server that sends no greeting in time, or hangs up in the middle.
            text = f"{where}: no SSH connection ({error or 'the server closed it'})"
            advice = "check that an SSH server listens there"
            # By TCP alone there is a connection by then: a kernel has answered.
            return _not_asked(node, text, advice) if proxied else AnsweredError(node, text, advice)


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error).lower()


def _behind_gateway(node: str, where: str, error: paramiko.ChannelException) -> HostError:
    """Return the HostError where a gateway does not get to a host; its words tell what it met."""
    if error.code == PROHIBITED:
        return _not_asked(
            node,
            f"{where}: the gateway forbids to connect to it",
            "allow it in the gateway's sshd_config: AllowTcpForwarding, PermitOpen and"
            " DisableForwarding rule it",
        )
    text, words = f"{where}: the gateway can't reach it ({error.text})", error.text.lower()
    if any(word in words for word in _KERNELS_WORDS):
        return AnsweredError(node, text)
    if any(word in words for word in _SILENCE_WORDS):
        return UnreachableError(node, text)
    return _not_asked(node, text)


def _not_asked(node: str, message: str, advice: str = "") -> HostError:
    error = UnreachableError(node, message, advice)
    error.not_asked = True
    return error
