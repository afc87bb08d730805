"""Kubelet of a host as its service manager sees it: whether it runs, or ends again and again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..node.conventions import KUBELET_SERVICE
from ..ssh.errors import HostMisbehavedError
from ..util.sanitize import clean, last_lines

if TYPE_CHECKING:
    from ..ssh.host import Host

STOPPED: Final = frozenset({"inactive", "failed"})
_PROPERTIES = "ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic"
_SHOW = (
    f"timeout 20 systemctl show -p {_PROPERTIES} -- {KUBELET_SERVICE};"
    " echo Uptime=$(cut -d . -f 1 /proc/uptime)"
)
_WORD = re.compile(r"[a-z][a-z-]{0,30}").fullmatch
_NUMBER = re.compile(r"[0-9]{1,18}").fullmatch
_OFTEN = 2  # automatic restarts: once may be chance
_SETTLED = 20.0  # seconds after which one that started again is not about to end at once


@dataclass(frozen=True, slots=True)
class KubeletState:
    """
    A host's kubelet.

    :param active, sub: systemd's ActiveState and SubState.
    :param restarts: how often systemd has started it again; None: a systemd that does not tell.
    :param up: seconds since it was started last, where it runs.
    """

    active: str
    sub: str
    restarts: int | None
    up: float

    @property
    def stopped(self) -> bool:
        """Whether it does not run, and nobody starts it again."""
        return self.active in STOPPED

    @property
    def fault(self) -> str:
        """Why it works on no pod, in a clause; empty: it runs."""
        if self.stopped:
            return f"its kubelet does not run ({self.active})"
        often = self.restarts is None or self.restarts >= _OFTEN
        # Between two starts, or in the moment that one of these lasts.
        again = self.sub == "auto-restart" or (self.restarts is not None and self.up < _SETTLED)
        return "its kubelet ends again and again" if often and again else ""


def read(host: Host) -> KubeletState:
    """
    Ask a host for its kubelet, in one round trip. Changes nothing.

    :raises HostError: it can't be reached, or its output is not as expected.
    """
    return parse(host.name, host.root(_SHOW).stdout)


def parse(node: str, output: bytes) -> KubeletState:
    """Parse what systemd shows of it. Raises HostMisbehavedError."""
    lines = clean(output, lines=True).splitlines()
    found = {key: value for key, _, value in (line.partition("=") for line in lines)}
    active, sub = found.get("ActiveState", ""), found.get("SubState", "")
    if not _WORD(active) or not _WORD(sub):
        text = f"it says nothing of {KUBELET_SERVICE}: {last_lines(output, 1)!r}"
        raise HostMisbehavedError(node, text)
    restarts, began, now = (
        int(found[key]) if _NUMBER(found.get(key, "")) else None
        for key in ("NRestarts", "ActiveEnterTimestampMonotonic", "Uptime")
    )
    up = float("inf") if began is None or now is None else now - began / 1e6
    return KubeletState(active, sub, restarts, up)
