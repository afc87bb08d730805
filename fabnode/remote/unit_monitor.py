"""Monitor of a started unit: whether it stays up while something is awaited of it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from ..node.unit_words import last_words
from ..ssh.errors import ApplyError
from ..util import program
from ..util.sanitize import clean, last_lines
from .script_assembly import assemble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..ssh.host import Host

_SHOW = "systemctl show -p ActiveState,SubState,NRestarts -- {units}"
_JOURNAL_LINES = 21
_NUMBER = re.compile(r"[0-9]{1,9}").fullmatch
_TOO_OFTEN = 2  # automatic restarts: once may be chance


class UnitMonitor:
    """
    Checks units whenever it is called, and raises once one of them dies again and again.

    What systemd had to restart before the first check is forgiven: units that need each other may
    take a few tries.

    :param unit: one that has to be up. :param others: units without which it does not work.
    """

    def __init__(self, host: Host, unit: str, others: Sequence[str] = ()) -> None:
        self._host = host
        self._units = (unit, *others)
        self._before: dict[str, int] = {}

    def __call__(self) -> None:
        """
        Check the units, in one round trip.

        :raises ApplyError: one is down, or was started again too often: with its last message.
        """
        command = _SHOW.format(units=shlex.join(self._units))
        shown = clean(self._host.root(command).stdout, lines=True).strip().split("\n\n")
        for unit, text in zip(self._units, shown, strict=False):
            lines = text.splitlines()
            self._check(unit, dict(line.split("=", 1) for line in lines if "=" in line))

    def _check(self, unit: str, state: Mapping[str, str]) -> None:
        restarts = int(number[0]) if (number := _NUMBER(state.get("NRestarts", ""))) else 0
        again = restarts - self._before.setdefault(unit, restarts)
        active = state.get("ActiveState", "unknown")
        if active not in {"failed", "inactive"} and again < _TOO_OFTEN:
            return
        script = f"{assemble('journal').decode()}read_journal {shlex.quote(unit)}"
        journal = last_lines(self._host.root(script).stdout, _JOURNAL_LINES)
        what = f"{unit} does not stay up: it is {active} ({state.get('SubState', '')})"
        raise ApplyError(
            self._host.name,
            f"{what}, started again {restarts} times{last_words(journal, unit)}",
            see(self._host.name, unit),
            action=f"start {unit}",
            detail=journal,
            unit=unit,
        )


def see(node: str, unit: str) -> str:
    """Return the command that shows more of a unit's journal."""
    return program.host_task(node, f"logs --unit {unit.removesuffix('.service')}")
