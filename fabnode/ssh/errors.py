"""
Errors of SSH connections and commands on nodes, each with cause and advice.

`message` is the cause, `advice` what to do next; `str()` of an error is both.
"""

from __future__ import annotations

from ..util import program
from ..util.errors import HostError


class UnreachableError(HostError):
    """No SSH server answers at the node's address."""

    advice = "check that the host is on and that address, port and gateway are right"


class AnsweredError(UnreachableError):
    """
    Whatever has the node's address answers, and there is no SSH connection all the same.

    Its kernel refuses or resets connections, it hangs up, it speaks something else: it is on.
    """

    advice = "check that its SSH server runs, and that address, port and gateway are right"


class UnknownHostKeyError(HostError):
    """No known_hosts file has the host key."""

    def __init__(self, node: str, message: str) -> None:
        super().__init__(
            node,
            message,
            f"compare and record it with `{program.task(f'hosts.trust --limit {node}')}`",
        )


class ChangedHostKeyError(HostError):
    """The host key differs from the recorded one: another machine, or an interception."""


class RevokedHostKeyError(HostError):
    """The host key was revoked: whoever has it may be anyone."""

    advice = "have new host keys made there, and never remove that line to get in"


class HostCertificateError(HostError):
    """A trusted CA has signed the host's certificate, which is not good for this host or now."""

    advice = "have it signed again, for the name or address in the configuration (ssh-keygen -h -n)"


class AuthenticationError(HostError):
    """The host key matches, but authentication failed."""


class SudoRefusedError(HostError):
    """The login succeeded, but sudo does not grant root."""


class CommandTimeoutError(HostError):
    """A command exceeded its time limit; it was ended on the node as well."""

    advice = "raise ssh.command_timeout if the host is merely slow"


class ConnectionLostError(HostError):
    """The connection broke while a command ran."""

    advice = "run the same command again; it resumes where this run stopped"


class HostMisbehavedError(HostError):
    """The node's answer is not one of a healthy node."""

    advice = "check on its console what else prints there: a shell profile, or a forced command"


class ApplyError(HostError):
    """
    An action failed on the node; earlier ones are done, later ones are not.

    :param action: what was being done.
    :param detail: the last lines of its output.
    :param unit: the unit that does not stay up, where that is it.
    """

    def __init__(
        self, node: str, message: str, advice: str, *, action: str, detail: str, unit: str = ""
    ) -> None:
        super().__init__(node, message, advice)
        self.action = action
        self.detail = detail
        self.unit = unit
