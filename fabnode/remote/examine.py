"""Examination of a host for `inv audit`: runs `scripts/examine`, and requests to its kubelet."""

from __future__ import annotations

import ipaddress
import secrets
import shlex
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..node.conventions import (
    DOCKER_SOCKET,
    KUBELET_PORT,
    KUBELET_READ_ONLY_PORT,
    LOCAL_PROGRAMS,
    SERVICES,
    STATE,
    SYSTEM_PROGRAMS,
)
from ..node.examination import Asked, Serving
from ..node.host_tools import FAULT_QUOTED, ODD_TOOLS
from ..ssh.errors import HostMisbehavedError
from ..util.sanitize import last_lines
from .audit_output import complaints, parse
from .limits import MalformedError, assignments
from .script_assembly import assemble
from .search_roots import ROOTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..node.examination import Evidence, Listener
    from ..ssh.host import Host
    from ..ssh.port_checks import AnonymousAnswer

_Doubt = Literal["stranger", "redirected", "unproven"]

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

# Where runtimes find the programs that they run, unless their units have a PATH: systemd's.
_RUNTIME = (*LOCAL_PROGRAMS, *SYSTEM_PROGRAMS[:2])

# Units of all programs, and what makes further ones at a boot.
_SYSTEMD = (
    *(
        f"{at}/systemd/{what}"
        for what in ("system", "system-generators")
        for at in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
    ),
)

_LIMIT = 4 * 2**20
_ASK = 5.0
_OK = 200
_ALL = ("0.0.0.0", "::")  # noqa: S104 - what others bind


def examine(host: Host, *, state: str, cni_conf: str, cni_bin: str) -> Evidence:
    """
    Examine the host, in one round trip. Changes nothing on it.

    :param state: fabnode's directory. :param cni_conf: that of the pods' network, searched as well.
    :param cni_bin: that of its plugins, which are run as root.

    :raises HostError: it can't be reached, or its output is not as expected.
    """
    nonce = secrets.token_hex(8)
    # Of the kubelet's own folder the rest is volumes of pods.
    roots = _with(ROOTS, cni_conf, f"{host.node.kubelet.root}/pki")
    users = _with(USERS, cni_conf)
    listening = asked_sockets(host.node.ip)
    program = script(
        nonce,
        state=state,
        roots=roots,
        users=users,
        asked=listening,
        cni_bin=cni_bin,
        cni_conf=cni_conf,
    )
    result = host.root("exec sh -s", stdin=[program], limit=_LIMIT)
    if result.code:
        printed = result.stderr.rpartition(f"begin\t{nonce}\n".encode())[2]
        output = last_lines(printed, 3) or f"status {result.code}"
        raise HostMisbehavedError(host.name, f"examining it failed: {output}", FAULT_QUOTED)
    try:
        found = parse(result.stdout, nonce=nonce, roots=roots, state=state, asked=listening)
    except MalformedError as error:
        raise HostMisbehavedError(
            host.name, f"its answer is malformed: {error}", ODD_TOOLS
        ) from error
    undone = complaints(result.stderr, nonce=nonce)
    return replace(found, limited=(*found.limited, *undone))


def _with(known: tuple[str, ...], *folders: str) -> tuple[str, ...]:
    """Return the known folders, and those of the others that lie in none of them."""
    further = (each for each in folders if not f"{each}/".startswith(tuple(f"{k}/" for k in known)))
    return (*known, *further)


def ask(host: Host, listeners: frozenset[Listener] | None, own: Serving) -> Asked:
    """
    Ask the host's kubelet for its pods, as somebody without credentials would.

    Its ports are open to every user of the host where it does not listen itself, and pods and
    Services may have what is sent there sent to them: what another program answers is none of its
    answers.

    :param listeners: who listens on its ports, see `Evidence`.
    :param own: the certificates by which it is known.
    """
    pods = _status(host, KUBELET_PORT, listeners, own)
    read_only = _status(host, KUBELET_READ_ONLY_PORT, listeners, None)
    each = {KUBELET_PORT: pods, KUBELET_READ_ONLY_PORT: read_only}
    open_ports = {each.port for each in listeners or ()}

    def ports(why: _Doubt) -> tuple[int, ...]:
        return tuple(port for port, answer in each.items() if why in answer.doubts)

    return Asked(
        pods.status,
        read_only.status,
        strangers=ports("stranger"),
        silent=tuple(
            port
            for port, answer in each.items()
            if answer.status is None and port in open_ports and not answer.doubts
        ),
        redirected=ports("redirected"),
        unproven=ports("unproven"),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """
    What the kubelet answers on one port. None: it is not known.

    :param doubts: why an answer that came there does not count as its own.
    """

    status: int | None
    doubts: frozenset[_Doubt] = frozenset()


def _status(
    host: Host, port: int, listeners: frozenset[Listener] | None, own: Serving | None
) -> _Answer:
    """
    Return what the kubelet answers on its own address or, where it serves all, on loopback.

    That nobody answers is believed only where nobody listens: whoever keeps the host's ports or its
    processors busy makes connections fail.

    :param own: the certificates that it may show; None where it shows none.
    """
    doubts: set[_Doubt] = set()
    if any(each.port == port and not each.kubelets for each in listeners or ()):
        doubts.add("stranger")
    status: int | None = None
    for address in _addresses(host.node.ip):
        answer = host.anonymous_get(address, port, "/pods", secure=own is not None, timeout=_ASK)
        if answer is None or not answer.status:
            status = answer.status if answer else None
        elif listeners is None:
            return _Answer(None, frozenset(doubts))
        elif not is_kubelets(listeners, port, address):
            doubts.add("stranger")
        elif doubt := _doubt(answer, own):
            doubts.add(doubt)
        else:
            return _Answer(answer.status, frozenset(doubts))
    listened = listeners is None or any(each.port == port for each in listeners)
    return _Answer(None if doubts or listened else status, frozenset(doubts))


def _doubt(answer: AnonymousAnswer, own: Serving | None) -> _Doubt | None:
    """Return why the answer may be another's, though the kubelet holds the socket; or None."""
    if own is None:
        # Nothing proves who answers without TLS. But who listens there shows everybody its pods,
        # and answers nothing else: that it does is true, whoever reported it.
        return None if answer.status == _OK else "unproven"
    if answer.certificate in own.known:
        return None
    return "redirected" if own.complete else "unproven"


def is_kubelets(listeners: Iterable[Listener], port: int, address: str) -> bool:
    """Return whether the kubelet, and nobody else, gets the connections to an address."""
    here = [each for each in listeners if each.port == port]
    # One that listens on this very address comes before those that do on all.
    exact = [each for each in here if each.address == address]
    reached = exact or [each for each in here if each.address in _ALL]
    return bool(reached) and all(each.kubelets for each in reached)


def _addresses(ip: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((ip, "127.0.0.1")))


def asked_sockets(
    ip: str, ports: Iterable[int] = (KUBELET_PORT, KUBELET_READ_ONLY_PORT)
) -> dict[str, tuple[str, int]]:
    """Return the sockets that matter where these ports are asked, as /proc/net/tcp has them."""
    places = {_in_hex(address): address for address in (*_ALL, *_addresses(ip))}
    for address in _addresses(ip):
        if ":" not in address:  # a socket of IPv6 may listen on it as well
            places[_in_hex(f"::ffff:{address}")] = address
    return {f"{words}:{port:04X}": (at, port) for words, at in places.items() for port in ports}


def _in_hex(address: str) -> str:
    """Return an address as /proc/net/tcp writes it: words of 32 bits, least byte first."""
    packed = ipaddress.ip_address(address).packed
    return "".join(f"{word:08X}" for word in struct.unpack(f"<{len(packed) // 4}I", packed))


def script(
    nonce: str,
    *,
    state: str = STATE,
    roots: Iterable[str] = ROOTS,
    users: Iterable[str] = USERS,
    asked: Iterable[str] = (),
    cni_bin: str = "/opt/cni/bin",
    cni_conf: str = "/etc/cni/net.d",
    runtime: Iterable[str] = _RUNTIME,
    systemd: Iterable[str] = _SYSTEMD,
    local: Iterable[str] = LOCAL_PROGRAMS,
) -> bytes:
    """
    Return the script that examines.

    :param asked: the keys of `asked_sockets`. :param cni_bin, cni_conf: see `examine`.
    :param runtime: folders of containerd's shims, runc and ctr.
    :param systemd: folders of units and generators. :param local: folders of programs that come
        before the system's.
    """
    head = [
        f"nonce={nonce} state={shlex.quote(state)}",
        f"units={shlex.quote(chr(10).join(UNITS))}",
        f"roots={shlex.quote(chr(10).join(roots))}",
        f"users={shlex.quote(chr(10).join(users))}",
        f"asked={shlex.quote(chr(10).join(asked))}",
        f"cni_bin={shlex.quote(cni_bin)}",
        f"cni_conf={shlex.quote(cni_conf)}",
        f"runtime_folders={shlex.quote(chr(10).join(runtime))}",
        f"local_folders={shlex.quote(chr(10).join(local))}",
        f"system_folders={shlex.quote(chr(10).join(SYSTEM_PROGRAMS))}",
        f"systemd_folders={shlex.quote(chr(10).join(systemd))}",
        assignments(),
        "",
    ]
    return "\n".join(head).encode() + assemble("examine")
