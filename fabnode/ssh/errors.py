"""
What can go wrong between the deployer and a node, each told in one sentence.

`message` is the cause, `advice` what to do next; `str()` of an error is both.
"""

from __future__ import annotations

from ..util import program
from ..util.errors import FabnodeError
from ..util.sanitize import clean, cut

_LONGEST = 600  # characters of a cause


class HostError(FabnodeError):
    """
    A node could not be worked on.

    :param node: the node's name in the configuration.
    :param message: one clause; cleaned of control characters, and cut to a length, here.
    """

    def __init__(self, node: str, message: str, advice: str = "") -> None:
        super().__init__(cut(clean(message), _LONGEST), advice)
        self.node = node

    def __str__(self) -> str:
        """Return the message, and the advice where there is one."""
        return f"{self.message}; {self.advice}" if self.advice else self.message


class Unreachable(HostError):
    """No SSH server answers at the node's address."""

    advice = "check that the host is on and that address, port and gateway are right"


class UnknownHostKey(HostError):
    """The host key stands in no known_hosts file."""

    def __init__(self, node: str, message: str) -> None:
        super().__init__(
            node,
            message,
            f"compare and record it with `{program.task(f'hosts.trust --limit {node}')}`",
        )


class ChangedHostKey(HostError):
    """The host key differs from the recorded one: another machine, or somebody in between."""


class AuthenticationFailed(HostError):
    """The server is the right one but lets us not in."""


class SudoRefused(HostError):
    """Logged in, but not as root, and sudo won't make it so."""


class CommandTimeout(HostError):
    """A command took longer than it may; it was ended on the node as well."""

    advice = "raise ssh.command_timeout if the host is merely slow"


class ConnectionLost(HostError):
    """The connection broke while a command ran."""

    advice = "run the same command again; it goes on where this one stopped"


class HostMisbehaved(HostError):
    """The node answered something that no healthy node answers."""

    advice = (
        "see on its console what answers there: a shell profile, or what is put before commands"
    )


class ApplyFailed(HostError):
    """
    An action failed on the node; what came before it is done, what comes after is not.

    :param action: what was being done.
    :param detail: the last lines of what the node said about it; may have several lines.
    """

    def __init__(self, node: str, message: str, advice: str, *, action: str, detail: str) -> None:
        super().__init__(node, message, advice)
        self.action = action
        self.detail = detail
