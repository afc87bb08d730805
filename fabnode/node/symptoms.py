"""What a probe of an ill host reports beside Facts, and what it reads for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Runtime = Literal["answers", "refuses", "hangs", "unknown"]


@dataclass(frozen=True, slots=True)
class Line:
    """
    A line of a unit's journal.

    :param at: unix time by the host's clock.
    :param cut: it was longer than what is read of a line, and the rest may begin a text of others.
    """

    at: float
    text: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class UnitSeen:
    """
    A service beside what Facts say of it.

    :param result: systemd's word for how it ended (`exit-code`, `oom-kill`, …).
    :param status: exit status of its last process; 203 where it could not be executed.
    :param process: state of its main process as /proc has it (`S`, `T` stopped, `D` …).
    :param journal: its last lines, oldest first.
    :param older: its journal has older lines than these, or may have.
    """

    result: str = ""
    status: int = 0
    process: str = ""
    journal: tuple[Line, ...] = ()
    older: bool = False


@dataclass(frozen=True, slots=True)
class Listening:
    """A TCP port of a node's software, and the program that has it."""

    port: int
    program: str


@dataclass(frozen=True, slots=True)
class ProbeTargets:
    """
    Where symptoms are looked for.

    :param services: systemd units. :param ports: TCP. :param folders: that must be there and
        writable. :param confs, plugins: folders of the pods' network. :param socket: the runtime's.
    :param client: words of a command that has the runtime answer. :param asked_name: a host's name
        to resolve there; empty: none.
    """

    services: tuple[str, ...]
    ports: tuple[int, ...]
    folders: tuple[str, ...]
    confs: str
    plugins: str
    socket: str
    client: tuple[str, ...]
    asked_name: str = ""


@dataclass(frozen=True, slots=True)
class Symptoms:
    """
    What a probe of an ill host reports beside Facts.

    :param now: unix time by its clock. :param units: by name.
    :param listening: on the ports that kubelet and kube-proxy want.
    :param confs, plugins: names of files that configure the pods' network, and of CNI programs.
    :param memory: bytes available. :param tasks, most_tasks: threads there are and may be.
    :param missing, unwritable: folders that are not there, or can't be written.
    :param socket: whether the runtime's socket is there. :param runtime: what its client gets.
    :param resolves: whether the apiserver's name resolves there; None: it has none.
    """

    now: float = 0.0
    units: Mapping[str, UnitSeen] = field(default_factory=dict)
    listening: tuple[Listening, ...] = ()
    confs: tuple[str, ...] = ()
    plugins: frozenset[str] = frozenset()
    memory: int = 0
    tasks: int = 0
    most_tasks: int = 0
    missing: tuple[str, ...] = ()
    unwritable: tuple[str, ...] = ()
    socket: bool = True
    runtime: Runtime = "unknown"
    resolves: bool | None = None

    def unit(self, name: str) -> UnitSeen:
        """Return what was seen of a unit."""
        return self.units.get(name, _NOTHING)


_NOTHING = UnitSeen()
