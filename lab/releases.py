"""Downloads from the projects' own release pages, never used unverified."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import urllib3

from .versions import Download

# A machine without internet should start building after seconds, not minutes.
TIMEOUT = urllib3.Timeout(connect=4, read=20)


class Unavailable(Exception):
    """The release page does not answer, or not with what was promised."""


def fetch(downloads: tuple[Download, ...], folder: Path, report: Callable[[str], None]) -> None:
    """
    Put the binaries of a release into ``folder``, executable.

    Raise `Unavailable` if any cannot be had or fails its sha256.
    """
    with urllib3.PoolManager(timeout=TIMEOUT, retries=urllib3.Retry(2, connect=0)) as http:
        for download in downloads:
            try:
                _fetch_one(http, download, folder, report)
            except urllib3.exceptions.HTTPError as error:
                host = urllib3.util.parse_url(download.url).host
                raise Unavailable(f"{host} does not answer") from error
            except (tarfile.TarError, KeyError) as error:
                raise Unavailable(f"{download.url}: {error}") from error


def _fetch_one(
    http: urllib3.PoolManager, download: Download, folder: Path, report: Callable[[str], None]
) -> None:
    name = download.url.rpartition("/")[2]
    wanted = expected_sha256(_get_text(http, download.checksums), name)
    place = folder / name
    found = hashlib.sha256()
    with (
        http.request("GET", download.url, preload_content=False) as answer,
        place.open("wb") as out,
    ):
        _check(answer, download.url)
        for block in answer.stream(1 << 20):
            found.update(block)
            out.write(block)
            report(f"{name} {out.tell() >> 20} MB")
    if found.hexdigest() != wanted:
        raise Unavailable(f"{download.url}: sha256 is {found.hexdigest()}, promised {wanted}")
    if download.members:
        _unpack(place, download.members, folder)
    else:
        place.chmod(0o755)


def _get_text(http: urllib3.PoolManager, url: str) -> str:
    answer = http.request("GET", url)
    _check(answer, url)
    return answer.data.decode()


def _check(answer: urllib3.BaseHTTPResponse, url: str) -> None:
    if answer.status != 200:
        raise Unavailable(f"{url}: HTTP {answer.status}")


def _unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in members:
            source = tar.extractfile(member)
            if source is None:
                raise Unavailable(f"{archive.name}: {member} is no file")
            target = folder / Path(member).name
            target.write_bytes(source.read())
            target.chmod(0o755)
    archive.unlink()


def expected_sha256(checksums: str, name: str) -> str:
    """Return the digest of file ``name`` from a checksum text, alone or sha256sum's lines."""
    for line in checksums.splitlines():
        words = line.split()
        if len(words) == 1 or (len(words) == 2 and words[1].lstrip("*") == name):
            return words[0].lower()
    raise Unavailable(f"no checksum for {name}")
