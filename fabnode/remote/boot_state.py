"""
Boot of a host: which one it is, which kernel runs, which is to run after the next, what is due.

Whether a reboot is due, the host says: by the marks that its packages leave, by its own program for
it, and by a default kernel that is not the one that runs. The last needs no other package, and is
compared always: marks may be missing where a kernel came in by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ssh.errors import ConnectionLostError, HostMisbehavedError
from ..util.sanitize import clean, cut, last_lines
from .script_assembly import assemble

if TYPE_CHECKING:
    from ..ssh.host import Host

_BOOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_KERNEL = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._+~]{0,127}").fullmatch
_MACHINE = re.compile(r"[0-9a-f]{32}").fullmatch
_NUMBER = re.compile(r"[0-9]{1,12}").fullmatch
_MOST_REASONS, _LONGEST = 4, 200
_ASKED_SECONDS = 120.0  # what asks the package manager may take its time


@dataclass(frozen=True, slots=True)
class BootState:
    """
    The boot of a host, as the host reports it.

    :param boot: its boot id. :param booted: when that was, seconds since 1970 by its own clock.
    :param running: the kernel that runs. :param installed: the one that its boot loader takes next;
        empty: unknown.
    :param marks: why a reboot is due, as the host says.
    :param now: when it said so, by that clock. :param machine: its machine-id; empty: unknown.
    """

    boot: str
    booted: float
    running: str
    installed: str
    marks: tuple[str, ...] = ()
    now: float = 0.0
    machine: str = ""

    @property
    def due(self) -> str:
        """Why a reboot is due, in a line; empty: it is not."""
        reasons = list(self.marks)
        if self.installed and self.installed != self.running:
            reasons.insert(0, f"kernel {self.installed} is installed, {self.running} runs")
        return "; ".join(reasons)


def read(host: Host) -> BootState:
    """
    Ask a host for its boot, in one round trip. Changes nothing.

    :raises HostError: it can't be reached, or its output is not as expected.
    """
    program = assemble("boot")
    result = host.root("exec sh -s", stdin=[program], timeout=_ASKED_SECONDS, limit=2**16)
    return parse(host.name, result.stdout)


def parse(node: str, output: bytes) -> BootState:
    """Parse the output of `scripts/boot`. Raises HostMisbehavedError."""
    found: dict[str, list[str]] = {}
    for line in clean(output, lines=True).splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value.strip())
    keys = ("boot", "booted", "running", "installed", "now", "machine")
    boot, booted, running, installed, now, machine = (
        next(iter(found.get(key, ())), "") for key in keys
    )
    if not _BOOT(boot) or not _KERNEL(running) or not _NUMBER(booted) or not _NUMBER(now):
        raise HostMisbehavedError(node, f"it names no boot: {last_lines(output, 1)!r}")
    marks = tuple(cut(mark, _LONGEST) for mark in found.get("due", ())[:_MOST_REASONS])
    return BootState(
        boot,
        float(booted),
        running,
        installed if _KERNEL(installed) else "",
        marks,
        float(now),
        machine if _MACHINE(machine) else "",
    )


def reboot(host: Host) -> str:
    """
    Have a host reboot; return what it says against it, empty: nothing.

    That the connection breaks is as it should be.
    """
    try:
        result = host.root("systemctl --no-block reboot")
    except ConnectionLostError:
        return ""
    finally:
        host.close()
    return last_lines(result.stderr, 3) or f"status {result.code}" if result.code else ""
