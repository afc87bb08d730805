"""Survey: observes a host for a reset with `scripts/survey`, in one round trip."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..node import layout
from ..node.host_tools import FAULT_QUOTED, ODD_TOOLS
from ..ssh.errors import HostMisbehavedError
from ..util.sanitize import last_lines
from .limits import (
    RECORD_BYTES,
    RECORD_LINES,
    SANDBOXES,
    SURVEY_LETTERS,
    SURVEY_LINES,
    MalformedError,
)
from .script_assembly import assemble
from .survey_output import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..node.surroundings import Survey
    from ..ssh.host import Host

_LIMIT = 24 * 2**20
_MARK = "# Managed by fabnode."  # the first line of units, see templates/


@dataclass(frozen=True, slots=True)
class Observed:
    """
    What is observed of a host's surroundings.

    :param settings: files of kernel settings. :param units: services. :param paths: files and
        folders that a deployment writes, or what it starts.
    """

    settings: tuple[str, ...]
    units: tuple[str, ...]
    paths: tuple[str, ...]

    def assignments(self) -> str:
        """Return the variables that `shared/surroundings` needs, as lines of shell."""
        lists = {
            "observed_settings": self.settings,
            "observed_units": self.units,
            "observed_paths": self.paths,
        }
        lines = [f"{name}={_quoted(entries)}" for name, entries in lists.items()]
        lines.append(f"most_lines={SURVEY_LINES} most_letters={SURVEY_LETTERS}")
        return "\n".join([*lines, "mountinfo=/proc/self/mountinfo", ""])


def record_call(observed: Observed) -> str:
    """Return the lines of an apply's actions that record the host before its first change."""
    limit = f"most_bytes={RECORD_BYTES}\n"
    return f"{observed.assignments()}{limit}{shlex.join(['record_baseline', *MARKS])}"


# Of which any shows that a deployment was there: the first that one writes.
MARKS = (layout.MODULES_CONF, layout.SYSCTL_CONF)


def survey(host: Host, observed: Observed, *, state: str, programs: str) -> Survey:
    """
    Observe the host. Changes nothing on it.

    :param state: fabnode's directory there.
    :param programs: that of containerd, its shim and its clients.
    :raises HostError: it can't be reached, or its output is not as expected.
    """
    nonce = secrets.token_hex(8)
    program = script(observed, nonce, state=state, programs=programs)
    result = host.root("exec sh -s", stdin=[program], limit=_LIMIT)
    if result.code:
        output = last_lines(result.stderr, 3) or f"status {result.code}"
        raise HostMisbehavedError(host.name, f"surveying it failed: {output}", FAULT_QUOTED)
    try:
        return parse(result.stdout, nonce=nonce)
    except MalformedError as error:
        raise HostMisbehavedError(
            host.name, f"its answer is malformed: {error}", ODD_TOOLS
        ) from error


def script(observed: Observed, nonce: str, *, state: str, programs: str) -> bytes:
    """Return the script that surveys."""
    plain = {
        "nonce": nonce,
        "state": state,
        "socket": layout.CONTAINERD_SOCKET,
        "ctr": f"{programs}/ctr",
        "crictl": f"{programs}/crictl",
        "shim": f"{programs}/containerd-shim-runc-v2",
        "unit_folder": layout.UNITS,
        "mark": _MARK,
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in plain.items()]
    lines.append(f"marks={_quoted(MARKS)}")
    lines.append(f"most_sandboxes={SANDBOXES} most_record={RECORD_LINES}")
    return "\n".join([*lines, observed.assignments()]).encode() + assemble("survey")


def _quoted(entries: Iterable[str]) -> str:
    unique = tuple(dict.fromkeys(entries))
    assert not any("\n" in entry for entry in unique), "one entry is one line"
    return shlex.quote("\n".join(unique))
