"""Probe: observes a node with `scripts/probe` in one round trip."""

from __future__ import annotations

import secrets
import shlex
import time
from typing import TYPE_CHECKING

from ..node import config_files, copies, layout, unit_files
from ..node.conventions import SYSTEM_PROGRAMS
from ..node.host_tools import FAULT_QUOTED, NEEDED, NEEDED_TO_PROBE, ODD_TOOLS, packages
from ..ssh.errors import HostMisbehavedError
from ..util.errors import HostError
from ..util.sanitize import last_lines
from .limits import (
    COPIED_BYTES,
    COPIES,
    EXAMINE_LIMITS,
    OTHERS,
    STATIC_PODS,
    TEXT_SIZE,
    MalformedError,
)
from .probe_output import LacksToolsError, parse
from .script_assembly import assemble

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..node.facts import Facts, Watchlist
    from ..ssh.host import Host

TOOLS = (
    "zstd",
    "nft",
    "ipset",
    "conntrack",
    "iptables",
    "ip",
    "ss",
    "socat",
    layout.BALANCER_PROGRAM,
    "runc",
    "curl",
    "wget",
    "ssh-keygen",
)


def probe(host: Host, watch: Watchlist) -> Facts:
    """
    Probe the node. Changes nothing on it but its own record of digests.

    :raises HostError: the node can't be reached, or its output is not as expected.
    """
    return probe_and(host, watch, "", 0)[0]


def probe_and(host: Host, watch: Watchlist, more: str, limit: int) -> tuple[Facts, bytes]:
    """
    Probe the node, and run another program after that in the same round trip.

    :param more: its text; it prints to the end of the stream. :param limit: bytes that it may
        print.
    :returns: the facts, and what that program printed.
    :raises HostError: as `probe` does; what the other one prints is the caller's to judge.
    """
    nonce = secrets.token_hex(8)
    mark = f"\1{nonce}\n"
    received: list[float] = []

    def note(_: bytes) -> None:
        if not received:
            received.append(time.time())

    program = script(watch, nonce)
    if more:
        # Each in a shell of its own: both have the same names.
        between = f")\nprintf '\\001%s\\n' {nonce}\n(\n".encode()
        program = b"(\n" + program + between + more.encode() + b"\n)\n"
    sent = time.time()
    result = host.root("exec sh -s", stdin=[program], on_line=note, limit=_limit(watch) + limit)
    if result.code:
        output_end = last_lines(result.stderr, 3) or f"status {result.code}"
        raise HostMisbehavedError(host.name, f"probing it failed: {output_end}", FAULT_QUOTED)
    output, _, rest = result.stdout.partition(mark.encode())
    try:
        facts = parse(output, nonce=nonce, sent=sent, received=received[0] if received else sent)
        if path := copies.unasked(facts, watch):
            raise MalformedError(f"a copy that nobody asked about: {path[:60]!r}")
    except LacksToolsError as error:
        raise HostError(host.name, str(error), f"install there: {packages(error.tools)}") from error
    except MalformedError as error:
        raise HostMisbehavedError(
            host.name, f"its answer is malformed: {error}", ODD_TOOLS
        ) from error
    return facts, rest


def script(watch: Watchlist, nonce: str) -> bytes:
    """Return the script that probes what is watched."""
    lists = {
        "text": watch.text,
        "opaque": watch.opaque,
        "folders": watch.folders,
        "certificates": watch.certificates,
        "servers": watch.servers,
        "units": watch.units,
        "unit_folders": unit_files.FOLDERS,
        "drop_ins": [name for unit in watch.units for name in unit_files.drop_in_folders(unit)],
        "config_folders": (*config_files.SYSCTL_FOLDERS, *config_files.MODPROBE_FOLDERS),
        "config_files": (
            *((config_files.SYSCTL_FILE, config_files.FSTAB) if watch.sysctls else ()),
            *(config_files.DOCKER_VARIABLES if layout.DOCKER in watch.units else ()),
        ),
        "network_manager_files": (
            config_files.NETWORK_MANAGER,
            config_files.NETWORK_MANAGER_FILE,
        ),
        "network_manager_folders": config_files.NETWORK_MANAGER_FOLDERS,
        "networkd_folders": config_files.NETWORKD_FOLDERS,
        "sysctls": watch.sysctls,
        "sysctl_words": config_files.sysctl_words(watch.sysctls),
        "modules": watch.modules,
        "free": watch.free,
        "tools": TOOLS,
        "needed": NEEDED,
        "needed_here": NEEDED_TO_PROBE,
        "writable": watch.writable,
        "mounts": watch.mounts,
        "obeyed": [
            f"{'unguarded' if each.runs else 'swayed'}\t{each.by}\t{each.path}"
            for each in watch.obeyed
        ],
        "local_folders": watch.local_programs,
        "system_folders": SYSTEM_PROGRAMS,
        "programs": [
            "|".join((each.path, *(f"{size}:{sha256}" for size, sha256 in each.contents)))
            for each in watch.programs
        ],
        "copy_folders": watch.copy_folders,
        "ports": [f"{port:04X}" for port in watch.ports],
    }
    head = [f"nonce={nonce} deep={int(watch.deep)} store={watch.store}"]
    head.append(f"state={shlex.quote(watch.state)} ctr={shlex.quote(watch.ctr)}")
    head.append(f"containerd_socket={shlex.quote(layout.CONTAINERD_SOCKET)}")
    head.append(f"cni_conf={shlex.quote(watch.cni_conf)}")
    head.append(f"containerd_imports={shlex.quote(config_files.CONTAINERD_IMPORTS)}")
    head.append(f"network_manager={shlex.quote(config_files.NETWORK_MANAGER)}")
    head.append(f"networkd={shlex.quote(config_files.NETWORKD)}")
    head.append(f"most_text_size={TEXT_SIZE} most_static_pods={STATIC_PODS}")
    limits = EXAMINE_LIMITS
    head.append(f"most_arg_length={limits.arg_length} most_executables={limits.executables}")
    head.append(f"most_others={OTHERS} most_copies={COPIES} most_copied_bytes={COPIED_BYTES}")
    head.append("booted=/run/systemd/system mountinfo=/proc/1/mountinfo")
    head.append(f"static_pod_folder={shlex.quote(layout.STATIC_PODS)}")
    head += [f"{name}={_quoted(entries)}" for name, entries in lists.items()]
    return "\n".join([*head, ""]).encode() + assemble("probe")


def _quoted(entries: Iterable[str]) -> str:
    unique = tuple(dict.fromkeys(entries))
    assert not any("\n" in entry for entry in unique), "one entry is one line"
    return shlex.quote("\n".join(unique))


def _limit(watch: Watchlist) -> int:
    # Text comes in base64; the rest is lists.
    return 8 * 2**20 + len(watch.text) * (TEXT_SIZE * 4 // 3 + 100)
