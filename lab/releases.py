"""Downloads from the projects' own release pages, never used unverified."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import urllib3

from fabnode.artifacts.download import Downloader, DownloadError, Limits, promised

from .versions import Download

# A machine without internet should start building after seconds, not minutes.
LIMITS = Limits(timeout=urllib3.Timeout(connect=4, read=20), pauses=(0.5,))


class UnavailableError(Exception):
    """The release page does not answer, or not with what was promised."""


def fetch(downloads: tuple[Download, ...], folder: Path, report: Callable[[str], None]) -> None:
    """
    Put the binaries of a release into ``folder``, executable.

    Raise `UnavailableError` if any cannot be had or fails its sha256.
    """
    downloaded = folder / ".downloads"
    downloader = Downloader(downloaded, limits=LIMITS)
    try:
        for download in downloads:
            _fetch_one(downloader, download, folder, report)
    except DownloadError as error:
        raise UnavailableError(str(error)) from error
    except (tarfile.TarError, KeyError) as error:
        raise UnavailableError(f"{download.url}: {error}") from error
    finally:
        shutil.rmtree(downloaded, ignore_errors=True)


def _fetch_one(
    downloader: Downloader, download: Download, folder: Path, report: Callable[[str], None]
) -> None:
    name = download.url.rpartition("/")[2]
    digest = promised(downloader.text(download.checksums), name, "sha256")
    if digest is None:
        raise UnavailableError(f"{download.checksums}: no checksum for {name}")
    found = downloader.file(
        download.url, digest, lambda there, _: report(f"{name} {there >> 20} MB")
    )
    place = folder / name
    found.rename(place)
    if download.members:
        _unpack(place, download.members, folder)
    else:
        place.chmod(0o755)


def _unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in members:
            source = tar.extractfile(member)
            if source is None:
                raise UnavailableError(f"{archive.name}: {member} is no file")
            target = folder / Path(member).name
            target.write_bytes(source.read())
            target.chmod(0o755)
    archive.unlink()
