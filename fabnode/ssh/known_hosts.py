"""known_hosts files: parsed as OpenSSH does, and extended atomically."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    load_ssh_public_identity,
)
from paramiko import SSHException
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from ..util.atomic_write import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from paramiko import PKey


# Of a line's first field: a marker, a hash, a pattern.
_SPECIAL = re.compile(r"[@|*?!]")


def host_id(host: str, port: int) -> str:
    """Return the name under which known_hosts files keep a server: in lowercase, as OpenSSH."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def fingerprint(key: PKey) -> str:
    """Return `SHA256:…` as `ssh-keygen -l` prints it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """
    Known_hosts files, later ones adding to earlier ones; files that are missing are empty.

    Plain names, patterns, hashed names, `@revoked` and `@cert-authority` are understood.

    :param lines: of all files, without comments.
    """

    files: tuple[Path, ...]
    lines: tuple[str, ...]
    _named: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _others: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find lines by the plain names in them: each of a thousand hosts asks for its own."""
        named: dict[str, list[int]] = {}
        others = []
        for number, line in enumerate(self.lines):
            names = line.split(None, 1)[0].lower()
            if _SPECIAL.search(names):
                others.append(number)
                continue
            for name in dict.fromkeys(names.split(",")):
                named.setdefault(name, []).append(number)
        object.__setattr__(self, "_named", {name: tuple(each) for name, each in named.items()})
        object.__setattr__(self, "_others", tuple(others))

    @classmethod
    def read(cls, files: Sequence[Path]) -> KnownHosts:
        """
        Read the files.

        :raises OSError: a file is there but can't be read.
        """
        paths = tuple(path.expanduser() for path in files)
        return cls(paths, tuple(line for path in paths for line in _lines(path)))

    def keys(self, name: str) -> list[PKey]:
        """Return the keys trusted for `name` (see `host_id`), without revoked ones."""
        revoked = self.revoked(name)
        return [key for key in self._marked("", name) if key not in revoked]

    def revoked(self, name: str) -> tuple[PKey, ...]:
        """
        Return the keys that are revoked for `name`: hosts' and CAs'.

        As with OpenSSH, whoever revokes a certificate revokes its key.
        """
        return self._marked("@revoked", name, or_of_certificate=True)

    def authorities(self, name: str) -> tuple[PKey, ...]:
        """Return the CAs whose certificates are trusted for `name`."""
        return self._marked("@cert-authority", name)

    def _marked(
        self, wanted: str, name: str, *, or_of_certificate: bool = False
    ) -> tuple[PKey, ...]:
        found: list[PKey] = []
        for number in sorted((*self._named.get(name.lower(), ()), *self._others)):
            line = self.lines[number]
            words = line.split()  # people align them with blanks and tabs
            marker = words.pop(0) if line.startswith("@") else ""
            if marker != wanted or not words or not _names(words[0], name):
                continue
            if or_of_certificate:
                words = _certified(words)
            if key := _key(words):
                found.append(key)
        return tuple(found)

    def record(self, name: str, keys: Iterable[PKey]) -> Path:
        """
        Add keys for `name` to the first file, which is replaced in one go, 0600, all else kept.

        A server that is known by one key gets no further one, of another type either: whoever
        answers for it could add a key of his own.

        :raises ValueError: another key is known already.
        """
        file = self.files[0]
        known = self.keys(name)
        new = [key for key in keys if key not in known]
        if new and known:
            raise ValueError(
                f"{name} is known with another {known[0].get_name()} key; if it was reinstalled,"
                f" run `ssh-keygen -R '{name}' -f {file}` first"
            )
        if new:
            old = file.read_text() if file.exists() else ""
            if old and not old.endswith("\n"):
                old += "\n"
            _replace(file, old + "".join(f"{name} {k.get_name()} {k.get_base64()}\n" for k in new))
        return file


def _key(words: Sequence[str]) -> PKey | None:
    """Return the key of names, type, base64 and comment; None: it is damaged or not usable here."""
    try:
        entry = HostKeyEntry.from_line(" ".join(words))
    except (InvalidHostKey, SSHException, ValueError):
        return None
    return None if entry is None else entry.key


def _certified(words: Sequence[str]) -> list[str]:
    """Return a line of known_hosts with the key that its certificate is for; any other as it is."""
    try:
        identity = load_ssh_public_identity(" ".join(words[1:3]).encode())
    except (ValueError, UnsupportedAlgorithm):
        return list(words)
    if not isinstance(identity, SSHCertificate):
        return list(words)
    text = identity.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return [words[0], *text.decode().split()]


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def _names(patterns: str, name: str) -> bool:
    """Return whether the first field of a known_hosts line matches `name`, in any case of it."""
    matched, lower = False, name.lower()
    for pattern in patterns.split(","):
        if pattern.startswith("|1|"):
            matched |= _is_hash(pattern, name)
        elif pattern.startswith("!"):
            if matches(pattern[1:].lower(), lower):
                return False
        elif "*" in pattern or "?" in pattern:
            matched |= matches(pattern.lower(), lower)
        else:
            matched |= pattern.lower() == lower
    return matched


def _is_hash(pattern: str, name: str) -> bool:
    """Return whether `|1|salt|hash` is OpenSSH's hash of `name`: HMAC-SHA1 in base64."""
    try:
        salt, digest = (base64.b64decode(part) for part in pattern[3:].split("|"))
    except ValueError:
        return False
    return hmac.digest(salt, name.encode(), "sha1") == digest


def matches(pattern: str, name: str) -> bool:
    """Return whether a pattern of * and ? matches; `[host]:port` is a plain name."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _replace(file: Path, text: str) -> None:
    target = Path(os.path.realpath(file))  # a known_hosts that is a symlink stays one
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_write(target, durable=True) as out:
        out.write(text.encode())
