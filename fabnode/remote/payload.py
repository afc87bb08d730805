"""
What an apply sends: a tar of scripts and members, each followed by an empty `NAME.ok`.

Before that of a packed artifact comes `NAME.sha256`, of what it is packed as.
"""

from __future__ import annotations

import os
import tarfile
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .apply_script import Member
from .relay_choice import Done, Fetch, Part, Send
from .script_assembly import joined, needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .apply_script import Actions
    from .payload_cache import Packed, Packer
    from .relay_choice import Miss, Step

_BLOCK = 2**20
_SHARED_BLOCK = 2**18  # so that a slow uplink is seen to make progress
_PIECE = 2**20  # of a part: orders for others go between two
_FOLLOW = "begin_following\n"  # before the actions


class Course(Protocol):
    """One host's part in a run's distribution; used by the thread that applies its plan."""

    @property
    def token(self) -> str:
        """What proves to neighbours that this host belongs to the run."""

    @property
    def folder(self) -> str:
        """Where this host serves parts from, if it does."""

    @property
    def passes_on(self) -> bool | None:
        """Whether the host serves what comes to it now; None: that is not known yet."""

    def enter(self, parts: Sequence[Part]) -> None:
        """Take part, with what the host needs, in its order."""

    def begun(self) -> None:
        """Note that the host follows orders from now on."""

    def next(self) -> Step:
        """Return what is to be done now."""

    def progressed(self, *, ended: bool = False) -> None:
        """Note that bytes of parts went to the host, or their last."""

    def held(self, sha256: str, *, shared: bool) -> None:
        """Note what the host says: it has a part."""

    def missed(self, sha256: str, why: Miss, text: str) -> None:
        """Note what the host says: a part did not come."""

    def way(self, host: str) -> tuple[str, str]:
        """Return where a neighbour serves, `ADDRESS:PORT`, and the own address to ask it from."""


def stream(todo: Actions, packer: Packer, suffix: str) -> Iterator[bytes]:
    """Yield a tar of the scripts and the members, in the order in which they are needed."""
    yield from _plain(Member("apply.sh", joined(needed(todo.script))))
    yield from _plain(Member("actions", todo.script.encode()))
    for member in todo.members:
        source = member.source
        if isinstance(source, Path):
            yield from _packed(member.name, packer.packed(source, member.sha256, suffix))
        else:
            yield from _plain(member)
    yield _END


def relayed(todo: Actions, packer: Packer, suffix: str, course: Course) -> Iterator[bytes]:
    """
    Yield the same where hosts pass on parts: all else at once, then parts, and orders for them.

    Yields an empty block where there is nothing to be sent at the moment. Ends once the host has
    all its parts, or where one does not come by any way.
    """
    total = 0
    for block in _relayed(todo, packer, suffix, course):
        if not block and (missing := -total % tarfile.RECORDSIZE):
            # tar takes whole records alone: what was sent last would wait for what comes next.
            filler = _header("filler", missing - tarfile.BLOCKSIZE) + b"\0" * missing
            total += missing
            yield filler[:missing]
        total += len(block)
        yield block


def _relayed(todo: Actions, packer: Packer, suffix: str, course: Course) -> Iterator[bytes]:
    script = _FOLLOW + todo.script
    yield from _plain(Member("apply.sh", joined(needed(script))))
    yield from _plain(Member("token", course.token.encode() + b"\n"))
    yield from _plain(Member("actions", script.encode()))
    names: dict[Part, list[str]] = {}
    files: dict[Part, Path] = {}
    contents: dict[Part, str] = {}
    for member in todo.members:
        source = member.source
        if not isinstance(source, Path):
            yield from _plain(member)
            continue
        packed = packer.packed(source, member.sha256, suffix)
        part = Part(packed.sha256, packed.size)
        files[part], contents[part] = packed.path, member.sha256
        names.setdefault(part, []).append(member.name)
    course.enter(tuple(names))
    numbers = count(1)

    def order(word: str, parts: Sequence[Part], *more: str, shared: bool) -> Iterator[bytes]:
        folder = f"{course.folder}/parts" if shared else "-"
        lots = (f"{p.sha256}:{p.size}:{_count(p)}:{','.join(names[p])}" for p in parts)
        text = " ".join((word, folder, *more, *lots))
        yield from _plain(Member(f"o{next(numbers)}", f"{text}\n".encode()))

    sent: Send | None = None
    pieces: Iterator[Iterator[bytes]] = iter(())
    while not isinstance(step := course.next(), Done):
        if isinstance(step, Fetch):
            # All orders that there are: none of them waits for a piece to be sent.
            yield from order("fetch", step.parts, *course.way(step.source), shared=step.shared)
            continue
        if isinstance(step, Send):
            sent = step
            pieces = chain.from_iterable(_pieces(p.sha256, files[p]) for p in step.parts)
        if sent and (piece := next(pieces, None)):
            for block in piece:
                yield block
                course.progressed()
        elif sent and (shared := course.passes_on) is not None:
            course.progressed(ended=True)
            yield from order("take", sent.parts, shared=shared)
            sent = None
        else:
            yield b""
    packer.doubt(contents[part] for part in step.lacking)
    yield _END


def _count(part: Part) -> int:
    """Return the number of pieces in which a part is sent."""
    return max(1, -(-part.size // _PIECE))


def _pieces(name: str, path: Path) -> Iterator[Iterator[bytes]]:
    """Yield members `NAME.1`, `NAME.2`, … with the content of a file, one piece each."""
    with path.open("rb") as content:
        for number in count(1):
            piece = content.read(_PIECE)
            if not piece and number > 1:
                return
            yield _in_blocks(f"{name}.{number}", piece)


def _in_blocks(name: str, content: bytes) -> Iterator[bytes]:
    yield _header(name, len(content))
    for start in range(0, len(content), _SHARED_BLOCK):
        yield content[start : start + _SHARED_BLOCK]
    yield _end_of(name, len(content))


_END = b"\0" * (2 * tarfile.BLOCKSIZE)


def _plain(member: Member) -> Iterator[bytes]:
    source = member.source
    assert isinstance(source, bytes)
    yield _header(member.name, len(source))
    yield source + _end_of(member.name, len(source))


def _packed(name: str, packed: Packed) -> Iterator[bytes]:
    with packed.path.open("rb") as content:
        size = os.fstat(content.fileno()).st_size  # whatever it is by now: its digest decides
        yield _header(name, size)
        while chunk := content.read(_BLOCK):
            yield chunk
    digest = f"{packed.sha256}\n".encode()
    yield _padding(size) + _header(f"{name}.sha256", len(digest))
    yield digest + _end_of(name, len(digest))


def _end_of(name: str, size: int) -> bytes:
    return _padding(size) + _header(f"{name}.ok", 0)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info.tobuf(tarfile.GNU_FORMAT)
