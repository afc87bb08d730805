"""Facts and symptoms of a node that may be ill, in one round trip."""

from __future__ import annotations

import secrets
import shlex
from typing import TYPE_CHECKING

from ..node.host_tools import ODD_TOOLS
from ..ssh.errors import HostMisbehavedError
from .limits import JOURNAL_LETTERS, JOURNAL_LINES, JOURNAL_READ, LISTENERS, NAMES, MalformedError
from .probe import probe_and
from .script_assembly import assemble
from .symptoms_output import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..node.facts import Facts, Watchlist
    from ..node.symptoms import ProbeTargets, Symptoms
    from ..ssh.host import Host

_LIMIT = 4 * 2**20


def probe_symptoms(host: Host, watch: Watchlist, place: ProbeTargets) -> tuple[Facts, Symptoms]:
    """
    Probe a node, in one round trip. Changes nothing on it but the probe's record of digests.

    :raises HostError: it can't be reached, or its output is not as expected.
    """
    nonce = secrets.token_hex(8)
    facts, output = probe_and(host, watch, script(place, nonce).decode(), _LIMIT)
    try:
        return facts, parse(output, nonce=nonce, place=place)
    except MalformedError as error:
        raise HostMisbehavedError(
            host.name, f"its answer is malformed: {error}", ODD_TOOLS
        ) from error


def script(place: ProbeTargets, nonce: str) -> bytes:
    """Return the program that looks for symptoms."""
    lists = {
        "services": place.services,
        "doctor_ports": [str(port) for port in place.ports],
        "folders": place.folders,
        "confs": (place.confs,),
        "plugins": (place.plugins,),
        "socket": (place.socket,),
        "asked_name": (place.asked_name,),
    }
    lines = [f"nonce={nonce} most_read={JOURNAL_READ}"]
    lines.append(f"most_journal={JOURNAL_LINES} most_letters={JOURNAL_LETTERS}")
    lines.append(f"most_names={NAMES} most_listeners={LISTENERS}")
    lines += [f"{name}={_quoted(entries)}" for name, entries in lists.items()]
    lines.append(f"client={shlex.quote(chr(10).join(place.client))}")
    return "\n".join([*lines, ""]).encode() + assemble("doctor")


def _quoted(entries: Iterable[str]) -> str:
    unique = tuple(dict.fromkeys(entries))
    assert not any("\n" in entry for entry in unique), "one entry is one line"
    return shlex.quote("\n".join(unique))
