"""Examination of a host for `inv audit`: runs `scripts/examine`, and requests to its kubelet."""

from __future__ import annotations

import secrets
import shlex
from typing import TYPE_CHECKING

from ..audit.evidence import Asked
from ..audit.services import DOCKER_SOCKET
from ..node.conventions import KUBELET_PORT, KUBELET_READ_ONLY_PORT, SERVICES, STATE
from ..node.host_tools import FAULT_QUOTED, ODD_TOOLS
from ..ssh.errors import HostMisbehavedError
from ..util.sanitize import last_lines
from .audit_output import parse
from .limits import MalformedError, assignments
from .script_assembly import assemble
from .search_roots import ROOTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..audit.evidence import Evidence
    from ..ssh.host import Host

# Ours, and what other installers call theirs.
UNITS = (*SERVICES, "cri-dockerd.service", "calico-node.service", DOCKER_SOCKET)

# Who may name them, beside programs that run.
USERS = (
    "/etc/systemd/system",
    "/lib/systemd/system",
    "/etc/crontab",
    "/etc/cron.d",
    "/var/spool/cron",
    "/etc/cni/net.d",
    "/etc/kubernetes/manifests",
    "/etc/default",
    "/etc/sysconfig",
)

_LIMIT = 4 * 2**20
_ASK = 5.0


def examine(host: Host, *, state: str, cni_conf: str) -> Evidence:
    """
    Examine the host, in one round trip. Changes nothing on it.

    :param state: fabnode's directory. :param cni_conf: that of the pods' network, searched as well.

    :raises HostError: it can't be reached, or does not answer as a host does.
    """
    nonce = secrets.token_hex(8)
    # Of the kubelet's own folder the rest is volumes of pods.
    roots = _with(ROOTS, cni_conf, f"{host.node.kubelet.root}/pki")
    users = _with(USERS, cni_conf)
    program = script(nonce, state=state, roots=roots, users=users)
    result = host.root("exec sh -s", stdin=[program], limit=_LIMIT)
    if result.code:
        output = last_lines(result.stderr, 3) or f"status {result.code}"
        raise HostMisbehavedError(host.name, f"examining it failed: {output}", FAULT_QUOTED)
    try:
        return parse(result.stdout, nonce=nonce, roots=roots, state=state)
    except MalformedError as error:
        raise HostMisbehavedError(
            host.name, f"its answer is malformed: {error}", ODD_TOOLS
        ) from error


def _with(known: tuple[str, ...], *folders: str) -> tuple[str, ...]:
    """Return the known folders, and those of the others that lie in none of them."""
    further = (each for each in folders if not f"{each}/".startswith(tuple(f"{k}/" for k in known)))
    return (*known, *further)


def ask(host: Host) -> Asked:
    """Ask the host's kubelet for its pods, as somebody without credentials would."""
    return Asked(
        pods=_status(host, KUBELET_PORT, secure=True),
        read_only=_status(host, KUBELET_READ_ONLY_PORT, secure=False),
    )


def _status(host: Host, port: int, *, secure: bool) -> int | None:
    """Return what the kubelet answers on its own address or, where it serves all, on loopback."""
    status: int | None = None
    for address in dict.fromkeys((host.node.ip, "127.0.0.1")):
        status = host.anonymous_get(address, port, "/pods", secure=secure, timeout=_ASK)
        if status:
            break
    return status


def script(
    nonce: str,
    *,
    state: str = STATE,
    roots: Iterable[str] = ROOTS,
    users: Iterable[str] = USERS,
) -> bytes:
    """Return the script that examines."""
    head = [
        f"nonce={nonce} state={shlex.quote(state)}",
        f"units={shlex.quote(chr(10).join(UNITS))}",
        f"roots={shlex.quote(chr(10).join(roots))}",
        f"users={shlex.quote(chr(10).join(users))}",
        assignments(),
        "",
    ]
    return "\n".join(head).encode() + assemble("examine")
