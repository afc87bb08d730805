"""Monitor of a started unit: whether it stays up while something is awaited of it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from ..ssh.errors import ApplyError
from ..util import program
from ..util.sanitize import clean, last_lines

if TYPE_CHECKING:
    from ..ssh.host import Host

_SHOW = "systemctl show -p ActiveState,SubState,NRestarts -- {unit}"
_JOURNAL = "journalctl --no-pager -q -o cat -n 20 -u {unit} | cut -c 1-400"
_KLOG = re.compile(r"^[IWEF]\d{4} [\d:.]+ +\d+ \S+\] ")  # what Kubernetes' lines begin with
# systemd's messages about a unit; before 249 with its description alone.
_OF_SYSTEMD = r"(Start|Stopp|Reload|Finish)(ing|ed) .*\.|Failed to start .*|{unit}: .*"
_NUMBER = re.compile(r"[0-9]{1,9}").fullmatch
_TOO_OFTEN = 2  # automatic restarts: once may be chance


class UnitMonitor:
    """
    Checks a unit whenever it is called, and raises once the unit dies again and again.

    What systemd had to restart before the first check is forgiven: units that need each other may
    take a few tries.
    """

    def __init__(self, host: Host, unit: str) -> None:
        self._host = host
        self._unit = unit
        self._before: int | None = None

    def __call__(self) -> None:
        """
        Check the unit.

        :raises ApplyError: it is down, or was started again too often: with its own last words.
        """
        unit = shlex.quote(self._unit)
        lines = clean(self._host.root(_SHOW.format(unit=unit)).stdout, lines=True).splitlines()
        state = dict(line.split("=", 1) for line in lines if "=" in line)
        restarts = int(number[0]) if (number := _NUMBER(state.get("NRestarts", ""))) else 0
        if self._before is None:
            self._before = restarts
        again, active = restarts - self._before, state.get("ActiveState", "unknown")
        if active not in {"failed", "inactive"} and again < _TOO_OFTEN:
            return
        journal = last_lines(self._host.root(_JOURNAL.format(unit=unit)).stdout)
        what = f"{self._unit} does not stay up: it is {active} ({state.get('SubState', '')})"
        raise ApplyError(
            self._host.name,
            f"{what}, started again {restarts} times{last_words(journal, self._unit)}",
            see(self._host.name, self._unit),
            action=f"start {self._unit}",
            detail=journal,
        )


def last_words(journal: str, unit: str) -> str:
    """Return a clause with the unit's own last words, not systemd's about it."""
    others = re.compile(_OF_SYSTEMD.format(unit=re.escape(unit))).fullmatch
    own = [line for line in journal.splitlines() if line and not others(line)]
    return f"; its last line: {_KLOG.sub('', own[-1])}" if own else ""


def see(node: str, unit: str) -> str:
    """Return the command that shows more of a unit's journal."""
    return program.host_task(node, f"logs --unit {unit.removesuffix('.service')}")
