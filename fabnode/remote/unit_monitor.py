"""Monitor of a started unit: whether it stays up while something is awaited of it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from ..ssh.errors import ApplyError
from ..util import program
from ..util.sanitize import clean, last_lines
from .script_assembly import assemble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..ssh.host import Host

_SHOW = "systemctl show -p ActiveState,SubState,NRestarts -- {units}"
_KLOG = re.compile(r"^[IWEF]\d{4} [\d:.]+ +\d+ \S+\] ")  # what Kubernetes' lines begin with
# A panic of Go's, klog's and logrus's fatal lines; as in scripts/shared/journal.sh.
_FATAL = re.compile(r"^(panic|fatal error): |^F\d{4} | level=(fatal|panic) ")
_ENDED = "Main process exited"
_JOURNAL_LINES = 21
# systemd's messages about a unit; before 249 with its description alone.
_OF_SYSTEMD = r"(Start|Stopp|Reload|Finish)(ing|ed) .*\.|Failed to start .*|{unit}: .*"
_NUMBER = re.compile(r"[0-9]{1,9}").fullmatch
_TOO_OFTEN = 2  # automatic restarts: once may be chance


class UnitMonitor:
    """
    Checks units whenever it is called, and raises once one of them dies again and again.

    What systemd had to restart before the first check is forgiven: units that need each other may
    take a few tries.

    :param unit: one that has to be up. :param others: units without which it is of no use.
    """

    def __init__(self, host: Host, unit: str, others: Sequence[str] = ()) -> None:
        self._host = host
        self._units = (unit, *others)
        self._before: dict[str, int] = {}

    def __call__(self) -> None:
        """
        Check the units, in one round trip.

        :raises ApplyError: one is down, or was started again too often: with its own last words.
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


def last_words(journal: str, unit: str) -> str:
    """
    Return a clause with the unit's own last words, not systemd's about it.

    Where it panicked these are what it panicked about, not the last line of the stack. A panic of
    an earlier process says nothing about the last one.
    """
    others = re.compile(_OF_SYSTEMD.format(unit=re.escape(unit))).fullmatch
    lines = journal.splitlines()
    ended = [index for index, line in enumerate(lines) if line.startswith(f"{unit}: {_ENDED}")]
    last_process = lines[ended[-2] + 1 :] if len(ended) > 1 else lines
    if fatal := [line for line in last_process if _FATAL.search(line)]:
        return f"; it ended with: {_KLOG.sub('', fatal[-1])}"
    own = [line for line in lines if line and not others(line)]
    return f"; its last line: {_KLOG.sub('', own[-1])}" if own else ""


def see(node: str, unit: str) -> str:
    """Return the command that shows more of a unit's journal."""
    return program.host_task(node, f"logs --unit {unit.removesuffix('.service')}")
