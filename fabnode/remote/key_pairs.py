"""Certificates on a node with the public halves of their keys."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ssh.errors import HostMisbehavedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..ssh.host import Host

# For each path: its mode, its certificate blocks, and the public half of its key. ssh-keygen is
# there wherever OpenSSH's sshd is, reads PEM keys, and prints nothing of the private half.
_SCRIPT = """command -v ssh-keygen >/dev/null || echo lacks ssh-keygen
for path in {paths}; do
[ -f "$path" ] || continue
echo "path $(stat -L -c %a -- "$path") $path"
sed -n '/^-----BEGIN CERTIFICATE-----$/,/^-----END CERTIFICATE-----$/s/^/pem /p' "$path"
ssh-keygen -y -P '' -f "$path" 2>/dev/null | sed 's/^/key /'
done"""
_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Pair:
    """
    What a PEM file on a node holds.

    :param certificates: PEM. :param public_key: in OpenSSH's form; empty where it couldn't be read.
    :param fault: why its key can't be read, where that is the host's; empty: not known.
    """

    mode: int
    certificates: str
    public_key: str
    fault: str = ""


def read_pairs(host: Host, paths: Iterable[str]) -> dict[str, Pair]:
    """Return what the files hold that are there, by path. Raises HostError."""
    wanted = tuple(paths)
    script = _SCRIPT.format(paths=shlex.join(wanted))
    result = host.root(script, limit=_LIMIT)
    try:
        return parse(result.stdout.decode("ascii"), wanted)
    except (ValueError, KeyError) as error:
        raise HostMisbehavedError(host.name, "its answer is not a list of certificates") from error


def parse(output: str, wanted: Iterable[str]) -> dict[str, Pair]:
    """Read the script's output; a ValueError or KeyError on anything else."""
    allowed = set(wanted)
    modes: dict[str, int] = {}
    lines: dict[str, list[str]] = {}
    keys: dict[str, str] = {}
    path = fault = ""
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "path":
            mode, _, path = rest.partition(" ")
            if path not in allowed:
                raise ValueError(f"nobody asked for {path!r}")
            modes[path], lines[path] = int(mode, 8), []
        elif line == "lacks ssh-keygen":
            fault = (
                "it has no ssh-keygen, which reads it (package openssh-client or openssh-keygen)"
            )
        elif kind == "pem":
            lines[path].append(rest)
        elif kind == "key" and path:
            keys[path] = rest
        else:
            raise ValueError(f"unknown line {line!r}")
    return {
        found: Pair(mode, "\n".join(lines[found]), keys.get(found, ""), fault)
        for found, mode in modes.items()
    }
