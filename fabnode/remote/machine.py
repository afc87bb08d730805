"""Asks a host which machine it is, in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..node.machine_ids import MachineIds
from ..ssh.errors import HostMisbehavedError
from ..util.sanitize import clean, last_lines
from .script_assembly import assemble

if TYPE_CHECKING:
    from ..ssh.host import Host

_LIMIT = 2**14


def read(host: Host) -> MachineIds:
    """
    Return the ids of the machine that a host is. Changes nothing.

    :raises HostError: it can't be reached, or its output is not as expected.
    """
    result = host.root("exec sh -s", stdin=[assemble("machine")], limit=_LIMIT)
    for line in clean(result.stdout, lines=True).splitlines():
        match line.split("\t"):
            case ["ids", machine, boot, hardware]:
                return MachineIds.of(machine, boot, hardware)
    said = last_lines(result.stderr or result.stdout, 1)
    raise HostMisbehavedError(host.name, f"it does not say which machine it is: {said!r}")
