"""A host that serves parts to its neighbours, for as long as the deployer keeps a channel open."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING, Protocol

from ..util.families import family_of, in_url
from ..util.sanitize import clean, last_lines
from .script_assembly import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..ssh.exec import Result

SECONDS = 3600  # after which a server ends whatever happens: its unit's RuntimeMaxSec
_LONGEST = 300


class _Target(Protocol):
    @property
    def name(self) -> str: ...

    def root(
        self,
        script: str,
        *,
        stdin: Iterable[bytes],
        timeout: float,
        on_line: Callable[[bytes], None],
        limit: int,
    ) -> Result: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """
    What a host serves, and to whom.

    :param name: of the run, on hosts; a word. :param token: what receivers have to name.
    :param address: its own, on which alone it listens.
    :param peers: addresses of receivers, of the same family; all others are refused.
    :param state: fabnode's folder on the host.
    """

    name: str
    token: str
    address: str
    port: int
    peers: Sequence[str]
    state: str

    @property
    def folder(self) -> str:
        """Its folder on the host; parts lie in `parts` below."""
        return folder(self.state, self.name)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"{in_url(self.address)}:{self.port}"


def folder(state: str, name: str) -> str:
    """Return the folder from where a host serves in a run of this name."""
    return str(PurePosixPath(state) / f"relay.{name}")


def serve(
    host: _Target,
    offer: Offer,
    on_made: Callable[[], None],
    on_up: Callable[[str], None],
    wanted: Callable[[], bool],
) -> str:
    """
    Have a host serve until it is `wanted` no more; return why it ended before, or never began.

    :param on_made: called once the host can keep parts to be served.
    :param on_up: called once it listens, with what keeps strangers out: `kernel`, where systemd
        sets the kernel's filter beside the server's own check of each peer, or `script`.
    :raises HostError: the connection or the host failed.
    """
    refused: list[str] = []

    def on_line(line: bytes) -> None:
        match line.decode("utf-8", "replace").split("\t"):
            case ["made"]:
                on_made()
            case ["serving", ("kernel" | "script") as keeper]:
                on_up(keeper)
            case ["refused", *why]:
                refused.append(clean(" ".join(why))[:_LONGEST])
            case _:
                refused.append("it answered something else than a server")

    def input_() -> Iterator[bytes]:
        yield program(offer)
        while wanted() and not refused:
            yield b""

    result = host.root(
        "exec sh -s", stdin=input_(), timeout=SECONDS + 60, on_line=on_line, limit=2**16
    )
    if refused:
        return refused[0]
    if not wanted():
        return ""
    output = last_lines(result.stderr, 1) or f"status {result.code}"
    return f"its server ended: {output}"


def program(offer: Offer) -> bytes:
    """Return the program that serves: values, then the text of `scripts/relay`."""
    six = family_of(offer.address) == 6
    values: Mapping[str, object] = {
        "state": offer.state,
        "folder": offer.folder,
        "unit": f"fabnode-relay-{offer.name}.service",
        "endpoint": offer.endpoint,
        "protocol": "AF_INET6" if six else "AF_INET",
        "table": "tcp6" if six else "tcp",
        "seconds": SECONDS,
        "peers": " ".join(offer.peers),
        "peers_seen": " ".join(map(seen, offer.peers)),
        "listening": f"{seen(offer.address)}:{offer.port:04X}",
        "promised": hashlib.sha256(offer.token.encode()).hexdigest(),
        "answer": assemble("answer").decode(),
    }
    lines = "".join(f"{name}={quote(str(value))}\n" for name, value in values.items())
    return lines.encode() + assemble("serve") + b"serve_parts\n"


def seen(address: str) -> str:
    """
    Return an address as /proc/net/tcp and tcp6 show it on little-endian machines: `0B63630A`.

    Both write words of 32 bits (linux net/ipv4/tcp_ipv4.c, net/ipv6/tcp_ipv6.c, `get_tcp6_sock`).
    """
    packed = ip_address(address).packed
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(word[::-1].hex() for word in words).upper()
