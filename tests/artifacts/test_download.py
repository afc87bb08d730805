"""Downloads from a server that lies: what was promised, or a sentence that says what was not."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode import __version__
from fabnode.artifacts.download import Digest, Downloader, DownloadError, Limits, promised
from tests.support import authority, pem, private_pem

from . import server as lies
from .server import Server, serving

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())
SHA512 = Digest("sha512", hashlib.sha512(CONTENT).hexdigest())
LIMITS = Limits(
    timeout=urllib3.Timeout(connect=2, read=0.5),
    pauses=(0, 0),
    largest=8 * 2**20,
    slowest=1000,
    patience=0.3,
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as it:
        it.files["/kubelet"] = CONTENT
        yield it


@pytest.fixture
def downloader(tmp_path: Path) -> Downloader:
    return Downloader(tmp_path / "cache", limits=LIMITS)


def fetch(server: Server, downloader: Downloader, digest: Digest = SHA256) -> bytes:
    return downloader.file(f"{server.url}/kubelet", digest).read_bytes()


def left(tmp_path: Path) -> list[str]:
    """Return the names of what is in the cache, and is not empty."""
    return [p.name for p in (tmp_path / "cache").iterdir() if p.stat().st_size]


@pytest.mark.parametrize("digest", [SHA256, SHA512])
def test_a_file_is_fetched_once(server: Server, downloader: Downloader, digest: Digest) -> None:
    assert fetch(server, downloader, digest) == CONTENT
    assert fetch(server, downloader, digest) == CONTENT
    assert server.seen == [("/kubelet", "")]
    assert downloader.cached(digest)


def test_requests_say_which_fabnode_they_are_from(server: Server, downloader: Downloader) -> None:
    agents: list[str | None] = []

    def reported(answer: lies.Answer) -> None:
        agents.append(answer.headers["User-Agent"])
        lies.missing(answer)

    server.lies["/kubelet"] = [reported]
    with pytest.raises(DownloadError, match="404"):
        fetch(server, downloader)
    assert agents == [f"fabnode/{__version__}"]


@pytest.mark.parametrize("lie", [lies.busy, lies.broken, lies.hang_up, lies.silent, lies.dribbling])
def test_what_may_pass_is_tried_again(
    server: Server, downloader: Downloader, lie: lies.Lie
) -> None:
    server.lies["/kubelet"] = [lie, lie]
    assert fetch(server, downloader) == CONTENT
    assert len(server.seen) == 3


def test_a_cut_stream_is_gone_on_with_where_it_stopped(
    server: Server, downloader: Downloader
) -> None:
    server.lies["/kubelet"] = [lies.cut]
    assert fetch(server, downloader) == CONTENT
    assert server.seen == [("/kubelet", ""), ("/kubelet", f"bytes={len(CONTENT) // 2}-")]


def test_the_next_run_goes_on_where_one_was_killed(server: Server, tmp_path: Path) -> None:
    server.lies["/kubelet"] = [lies.cut, lies.missing]
    with pytest.raises(DownloadError, match="404"):
        fetch(server, Downloader(tmp_path / "cache", limits=LIMITS))
    assert fetch(server, Downloader(tmp_path / "cache", limits=LIMITS)) == CONTENT
    assert server.seen[-1] == ("/kubelet", f"bytes={len(CONTENT) // 2}-")


@pytest.mark.parametrize("lie", [lies.no_ranges, lies.wrong_range, lies.no_such_range])
def test_a_server_without_ranges_is_asked_for_the_whole(
    server: Server, downloader: Downloader, lie: lies.Lie
) -> None:
    server.lies["/kubelet"] = [lies.cut, lie]
    assert fetch(server, downloader) == CONTENT


def test_parts_of_different_files_are_not_put_together(
    server: Server, downloader: Downloader
) -> None:
    def older(answer: lies.Answer) -> None:
        answer.send_response(200)
        answer.body(b"older" * 100, length=len(CONTENT))
        answer.close_connection = True

    server.lies["/kubelet"] = [older]
    assert fetch(server, downloader) == CONTENT


def test_a_wrong_file_is_refused_and_nothing_of_it_kept(
    server: Server, downloader: Downloader, tmp_path: Path
) -> None:
    server.lies["/kubelet"] = [lies.other]
    with pytest.raises(DownloadError) as caught:
        fetch(server, downloader)
    assert str(caught.value).startswith(f"{server.url}/kubelet: its sha256 is ")
    assert SHA256.hex in str(caught.value)
    assert left(tmp_path) == []
    assert downloader.cached(SHA256) is None
    assert fetch(server, downloader) == CONTENT


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(server: Server, downloader: Downloader, code: int) -> None:
    server.lies["/kubelet"] = [lambda answer: answer.status(code)]
    with pytest.raises(DownloadError, match=f"{server.url}/kubelet: HTTP {code}"):
        fetch(server, downloader)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("lie", "cause"),
    [
        (lies.broken, "HTTP 500"),
        (lies.cut, "cut off|IncompleteRead|Connection broken"),
        (lies.hang_up, "closed connection|Connection"),
        (lies.silent, "timed out"),
        (lies.dribbling, "only .* bytes arrived"),
    ],
)
def test_what_does_not_pass_ends_after_some_tries(
    server: Server, downloader: Downloader, lie: lies.Lie, cause: str
) -> None:
    server.lies["/kubelet"] = [lie] * 10
    with pytest.raises(DownloadError, match=cause) as caught:
        fetch(server, downloader)
    assert "(3 tries)" in str(caught.value)
    assert str(caught.value).startswith(f"{server.url}/kubelet: ")


def test_a_body_without_end_is_given_up(
    server: Server, downloader: Downloader, tmp_path: Path
) -> None:
    server.lies["/kubelet"] = [lies.endless]
    with pytest.raises(DownloadError, match="not complete after 8 MiB"):
        fetch(server, downloader)
    assert left(tmp_path) == []


def test_a_redirect_is_followed(server: Server, downloader: Downloader) -> None:
    server.lies["/kubelet"] = [lies.redirect("/elsewhere")]
    server.files["/elsewhere"] = CONTENT
    assert fetch(server, downloader) == CONTENT


def test_a_redirect_without_end_is_given_up(server: Server, downloader: Downloader) -> None:
    server.lies["/kubelet"] = [lies.redirect("/kubelet")] * 20
    with pytest.raises(DownloadError, match="too many redirects"):
        fetch(server, downloader)


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/kubelet", "file:///etc/passwd"])
def test_a_redirect_out_of_http_is_refused(
    server: Server, downloader: Downloader, place: str
) -> None:
    server.lies["/kubelet"] = [lies.redirect(place)]
    with pytest.raises(DownloadError, match="which is not https"):
        fetch(server, downloader)


@pytest.fixture
def proved(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server with a certificate of a CA that only `mirrors_ca` knows."""
    ca, ca_key = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mirror")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    (tmp_path / "ca.pem").write_bytes(pem(ca))
    (tmp_path / "server.pem").write_bytes(pem(certificate) + private_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with serving(context) as it:
        it.files["/kubelet"] = CONTENT
        yield it, tmp_path / "ca.pem"


def test_a_mirror_is_proved_by_the_ca_that_is_configured(
    proved: tuple[Server, Path], tmp_path: Path
) -> None:
    server, ca = proved
    with pytest.raises(DownloadError, match="certificate verify failed"):
        fetch(server, Downloader(tmp_path / "cache", limits=LIMITS))
    assert fetch(server, Downloader(tmp_path / "cache", ca=ca, limits=LIMITS)) == CONTENT


def test_a_redirect_from_https_to_plain_http_is_refused(
    proved: tuple[Server, Path], server: Server, tmp_path: Path
) -> None:
    """A published checksum that came so would prove nothing."""
    mirror, ca = proved
    mirror.lies["/sums"] = [lies.redirect(f"{server.url}/kubelet")]
    with pytest.raises(DownloadError, match="which is not https"):
        Downloader(tmp_path / "cache", ca=ca, limits=LIMITS).text(f"{mirror.url}/sums")
    assert server.seen == []


def test_nobody_listening_is_a_sentence(downloader: Downloader) -> None:
    with pytest.raises(DownloadError, match=r"^http://127.0.0.1:9/x: .*refused.*\(3 tries\)$"):
        downloader.file("http://127.0.0.1:9/x", SHA256)


def test_several_threads_that_want_one_file_fetch_it_once(
    server: Server, downloader: Downloader
) -> None:
    found: list[bytes] = []
    work = [
        threading.Thread(target=lambda: found.append(fetch(server, downloader))) for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert found == [CONTENT] * 4
    assert len(server.seen) == 1


def test_progress_shows_what_is_there_and_what_will_be(
    server: Server, downloader: Downloader
) -> None:
    reported: list[tuple[int, int]] = []
    downloader.file(f"{server.url}/kubelet", SHA256, lambda *news: reported.append(news))
    assert reported[-1] == (len(CONTENT), len(CONTENT))


def test_a_list_of_checksums_has_an_end(server: Server, downloader: Downloader) -> None:
    server.lies["/sums"] = [lies.endless]
    with pytest.raises(DownloadError, match="too long for a list of checksums"):
        downloader.text(f"{server.url}/sums")


A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (A, A),
        (f"{A}\n", A),
        (f"{B}  other.tgz\n{A}  it.tgz\n", A),
        (f"{B}  other.tgz\n{A} *it.tgz\n", A),
        (f"{A}  ./_output/it.tgz\n", A),
        (A.upper(), A),
        (f"{A}  another-it.tgz\n", None),
        (f"{B}  other.tgz\n", None),
        ("", None),
        ("<html>not found</html>", None),
        ("a" * 63, None),
        ("a" * 128, None),  # a sha512 where a sha256 was looked for
    ],
)
def test_a_digest_is_found_in_a_list_of_checksums(text: str, found: str | None) -> None:
    digest = promised(text, "it.tgz", "sha256")
    assert (digest.hex if digest else None) == found


def test_what_nobody_used_for_a_month_is_forgotten(
    server: Server, downloader: Downloader, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    old = time.time() - 31 * 24 * 3600
    for name in ("sha256-old", "sha256-old.part", "sha256-young"):
        (folder / name).write_bytes(b"x")
        if "old" in name:
            os.utime(folder / name, (old, old))
    (folder / "folder").mkdir()
    (folder / "folder/file").write_bytes(b"x")
    os.utime(folder / "folder", (old, old))
    fetch(server, downloader)
    kept = {path.name for path in folder.iterdir()}
    assert kept == {"sha256-young", f"sha256-{SHA256.hex}"}
    os.utime(folder / f"sha256-{SHA256.hex}", (old, old))
    fetch(server, downloader)
    fetch(server, downloader, SHA512)
    assert downloader.cached(SHA256), "it was used"
