"""
Downloads: a complete file with the expected digest, or none.

A file is kept under its digest, so that it is fetched once. One that is cut off stays as it is and
is gone on with, by the next try or by the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from ..util.about import VERSION
from ..util.errors import FabnodeError
from ..util.tls import client_context
from ..util.wait import retry
from .cache_eviction import evict_old, mark_used

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = 5
_BLOCK = 2**20
_LARGEST_TEXT = 2**20
_DIGITS = {"sha256": 64, "sha512": 128}


class DownloadError(FabnodeError):
    """A file can't be downloaded, or has another digest; the text begins with its URL."""

    advice = "check the URL (artifacts.mirrors) and the network, then run the command again"


class _TransientError(Exception):
    """A failure that another attempt may not meet."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest: `kind` is sha256 or sha512, `hex` lowercase."""

    kind: str
    hex: str

    @classmethod
    def of(cls, text: str) -> Digest:
        """Return the digest with these digits; their number determines its kind."""
        digits = text.lower()
        for kind, count in _DIGITS.items():
            if len(digits) == count and re.fullmatch("[0-9a-f]+", digits):
                return cls(kind, digits)
        raise ValueError(f"{text[:40]!r} is neither a sha256 nor a sha512")

    def __str__(self) -> str:
        return f"{self.kind} {self.hex}"


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Limits at which a download is given up.

    :param timeout: of connecting, and between two packets.
    :param pauses: seconds before each further try.
    :param largest: bytes of one file.
    :param slowest: bytes that must come within each `patience` seconds.
    """

    timeout: urllib3.Timeout = field(default_factory=lambda: urllib3.Timeout(connect=10, read=30))
    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    largest: int = 2 * 2**30
    slowest: int = 2**15
    patience: float = 30.0


BRIEF = Limits(timeout=urllib3.Timeout(connect=5, read=30), pauses=(0.5,))
"""For servers that may be unreachable, which should be found out soon."""


class Downloader:
    """
    Downloads into a folder, where files are named by digest. Thread-safe.

    :param ca: PEM file of the CA that verifies servers; None: the system's.
    """

    def __init__(
        self, folder: Path, *, ca: Path | None = None, limits: Limits | None = None
    ) -> None:
        self._folder = folder
        self._limits = limits or Limits()
        self._ca = ca
        self._pools: dict[str, urllib3.PoolManager] = {}

    def cached(self, promised: Digest) -> Path | None:
        """Return the cached file with this digest, if it is unchanged, or None."""
        path = self._path(promised)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            found = hashlib.file_digest(file, promised.kind).hexdigest()
        return path if found == promised.hex else None

    def text(self, url: str) -> str:
        """Return a short text. Raises DownloadError."""

        def read() -> str:
            with self._open(url, {}) as answer:
                text: bytes = answer.read(_LARGEST_TEXT + 1)
            if len(text) > _LARGEST_TEXT:
                raise DownloadError(f"{url}: too long for a list of checksums")
            return text.decode("utf-8", "replace")

        return self._with_retries(url, read)

    def file(
        self, url: str, promised: Digest, on_bytes: Callable[[int, int], None] = lambda *_: None
    ) -> Path:
        """
        Return the file with this digest, downloaded from `url` unless it is cached.

        :param on_bytes: called with the bytes present and in total (0: unknown).
        :raises DownloadError: after all tries.
        """
        target = self._path(promised)
        if found := self.cached(promised):
            mark_used(found)
            return found
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        evict_old(self._folder)
        part = target.with_name(f"{target.name}.part")
        with part.open("a+b") as out:
            fcntl.flock(out, fcntl.LOCK_EX)  # another run may be fetching it
            if not self.cached(promised):
                self._with_retries(url, lambda: self._resume(url, out, promised, on_bytes))
                part.replace(target)
        return target

    def _path(self, promised: Digest) -> Path:
        return self._folder / f"{promised.kind}-{promised.hex}"

    def _with_retries(self, url: str, work: Callable[[], T]) -> T:
        try:
            return retry(work, self._limits.pauses, _TransientError)
        except _TransientError as error:
            tries = len(self._limits.pauses) + 1
            raise DownloadError(f"{url}: {error} ({tries} tries)") from error

    def _resume(
        self, url: str, out: BinaryIO, promised: Digest, on_bytes: Callable[[int, int], None]
    ) -> None:
        """Download what `out` lacks, and check its digest."""
        out.seek(0)
        found = hashlib.new(promised.kind)
        while block := out.read(_BLOCK):
            found.update(block)
        begun = out.tell()
        if begun and found.hexdigest() == promised.hex:
            return
        with self._open(url, {"Range": f"bytes={begun}-"} if begun else {}) as answer:
            if begun and not _continues(answer, begun):
                out.truncate(0)
                found, begun = hashlib.new(promised.kind), 0
                if answer.status != 200:
                    raise _TransientError("the server does not resume the download")
            size = begun + int(answer.headers.get("Content-Length") or 0)
            total = size if size > begun else 0
            for block in self._blocks(answer):
                found.update(block)
                out.write(block)
                if out.tell() > self._limits.largest:
                    out.truncate(0)
                    raise DownloadError(
                        f"{url}: not complete after {self._limits.largest >> 20} MiB"
                    )
                on_bytes(out.tell(), total)
        out.flush()
        if out.tell() < total:
            raise _TransientError(f"cut off after {out.tell()} of {total} bytes")
        if found.hexdigest() != promised.hex:
            out.truncate(0)
            if begun:  # what was there may have been another file's beginning
                raise _TransientError("its parts don't have the expected digest together")
            raise DownloadError(
                f"{url}: its {promised.kind} is {found.hexdigest()}, expected {promised.hex}"
            )

    def _blocks(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """Yield blocks as they arrive; too slow a server is given up like a silent one."""
        came, since = 0, time.monotonic()
        while block := answer.read1(_BLOCK):
            came += len(block)
            yield block
            now = time.monotonic()
            if now - since >= self._limits.patience:
                if came < self._limits.slowest:
                    raise _TransientError(f"only {came} bytes arrived within {now - since:.0f} s")
                came, since = 0, now

    @contextmanager
    def _open(self, url: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """GET, through redirects; only answers with content are yielded."""
        at = url
        try:
            for _ in range(_REDIRECTS + 1):
                answer = self._pool(at).request(
                    "GET",
                    at,
                    headers={
                        "User-Agent": f"fabnode/{VERSION}",
                        "Accept-Encoding": "identity",
                        **headers,
                    },
                    redirect=False,
                    retries=False,
                    timeout=self._limits.timeout,
                    preload_content=False,
                    decode_content=False,
                )
                with answer:
                    place = answer.get_redirect_location()
                    if not place:
                        _check(answer, url)
                        yield answer
                        return
                    at = _redirected(at, place)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _TransientError(_reason(error)) from error
        raise DownloadError(f"{url}: too many redirects")

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the connections to a server, through the proxy that the environment names."""
        parts = urlsplit(url)
        bypassed = proxy_bypass(parts.netloc)
        proxy = "" if bypassed else getproxies().get(parts.scheme, "")
        if proxy not in self._pools:
            tls = client_context(ca_file=self._ca)
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, ssl_context=tls, proxy_ssl_context=tls)
                if proxy
                else urllib3.PoolManager(ssl_context=tls)
            )
        return self._pools[proxy]


def promised(sums: str, name: str, kind: str) -> Digest | None:
    """Return a file's digest of this kind from a text of checksums: alone, or sha256sum's lines."""
    for line in sums.splitlines():
        words = line.split()
        if len(words) == 1 or (len(words) == 2 and words[1].lstrip("*").rpartition("/")[2] == name):
            try:
                digest = Digest.of(words[0])
            except ValueError:
                continue
            if digest.kind == kind:
                return digest
    return None


def _continues(answer: urllib3.BaseHTTPResponse, begun: int) -> bool:
    at = answer.headers.get("Content-Range", "")
    return answer.status == 206 and at.replace("=", " ").startswith(f"bytes {begun}-")


def _check(answer: urllib3.BaseHTTPResponse, url: str) -> None:
    if answer.status in _BUSY:
        raise _TransientError(f"HTTP {answer.status}")
    if answer.status not in {200, 206, 416}:
        raise DownloadError(f"{url}: HTTP {answer.status}")


def _redirected(url: str, place: str) -> str:
    target = urljoin(url, place)
    scheme = urlsplit(target).scheme
    if scheme not in {"http", "https"} or (url.startswith("https:") and scheme != "https"):
        raise DownloadError(f"{url}: it is redirected to {target[:200]}, which is not https")
    return target


def _reason(error: Exception) -> str:
    """Return urllib3's reason without its object's address."""
    return re.sub(r"^.*?object at 0x[0-9a-f]+>:?\s*|^.*?\(host=.*?\): ", "", str(error))[:300]
