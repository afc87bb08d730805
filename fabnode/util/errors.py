"""The root of fabnode's exceptions, and subclasses that several rooms raise."""

from __future__ import annotations

from .sanitize import clean, cut

_LONGEST = 600  # characters of a cause


class FabnodeError(Exception):
    """
    Root of all exceptions that fabnode defines.

    :ivar message: one sentence: the cause.
    :ivar advice: the next step, a command where there is one; may be empty.
    :ivar detail: output of a host or server on the failure, several lines; may be empty.
    :ivar concludes: it names an earlier failure and what became of that; it is the one to show.
    :ivar exit_code: exit code of a command that ends with this: 1 failure, 2 bad input.
    """

    advice = ""
    detail = ""
    concludes = False
    exit_code = 1

    def __init__(self, message: str, advice: str = "", *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice or self.advice
        self.exit_code = self.exit_code if exit_code is None else exit_code


class InputError(FabnodeError):
    """Bad input: configuration, files it names, options, passwords. Nothing was changed."""

    exit_code = 2


class ClusterError(FabnodeError):
    """The cluster's API is unavailable, refuses, or is in a state in which a run must not go on."""


class HostError(FabnodeError):
    """
    A node could not be worked on.

    :param node: the node's name in the configuration.
    :param message: one clause; cleaned of control characters, and cut to a length, here.
    :ivar not_asked: what failed lies before the host (a gateway, a name that does not resolve), so
        that it says nothing about the host.
    """

    not_asked = False

    def __init__(self, node: str, message: str, advice: str = "") -> None:
        super().__init__(cut(clean(message), _LONGEST), advice)
        self.node = node

    def __str__(self) -> str:
        """Return the message, and the advice where there is one."""
        return f"{self.message}; {self.advice}" if self.advice else self.message
