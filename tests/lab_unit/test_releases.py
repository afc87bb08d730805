"""Downloads are used only when their sha256 is what the release page promised."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import releases
from lab.versions import Download


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        pass


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    served = tmp_path / "served"
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    serve = partial(server.serve_forever, poll_interval=0.01)
    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    server.server_close()


def fetch(download: Download, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    releases.fetch((download,), folder, lambda _: None)


def test_a_binary_is_fetched_and_executable(page: tuple[str, Path], tmp_path: Path) -> None:
    url, served = page
    (served / "kubelet").write_bytes(b"program")
    (served / "kubelet.sha256").write_text(hashlib.sha256(b"program").hexdigest())
    fetch(Download(f"{url}/kubelet", f"{url}/kubelet.sha256"), tmp_path / "out")
    assert (tmp_path / "out/kubelet").read_bytes() == b"program"
    assert (tmp_path / "out/kubelet").stat().st_mode & 0o777 == 0o755


def test_an_archive_gives_its_wanted_members_and_nothing_else(
    page: tuple[str, Path], tmp_path: Path
) -> None:
    url, served = page
    with tarfile.open(served / "it.tgz", "w:gz") as tar:
        for name in ("./bridge", "./vlan"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"code"))
    digest = hashlib.sha256((served / "it.tgz").read_bytes()).hexdigest()
    (served / "SUMS").write_text(f"{'0' * 64}  other.tgz\n{digest} *it.tgz\n")
    fetch(Download(f"{url}/it.tgz", f"{url}/SUMS", ("./bridge",)), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bridge"]


@pytest.mark.parametrize("checksums", ["0" * 64, f"{'0' * 64}  kubelet", "", "<html>"])
def test_a_file_that_is_not_what_was_promised_is_refused(
    page: tuple[str, Path], tmp_path: Path, checksums: str
) -> None:
    url, served = page
    (served / "kubelet").write_bytes(b"program")
    (served / "sums").write_text(checksums)
    with pytest.raises(releases.UnavailableError):
        fetch(Download(f"{url}/kubelet", f"{url}/sums"), tmp_path / "out")


def test_a_page_that_is_not_there_is_unavailable(page: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = page
    with pytest.raises(releases.UnavailableError, match="HTTP 404"):
        fetch(Download(f"{url}/kubelet", f"{url}/kubelet.sha256"), tmp_path / "out")


def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(releases.UnavailableError):
        fetch(Download("http://127.0.0.1:9/x", "http://127.0.0.1:9/x.sha256"), tmp_path / "out")
