"""Looking from the node: at its own ports, and at the apiserver's certificate."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ..support import authority, pem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from fabnode.ssh.host import Host
    from fabnode.ssh.port_checks import TlsResult

    from .conftest import Reach

    Tls = Callable[..., int]

SELF = "127.0.0.1"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer((SELF, 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def certificate(tmp_path: Path, *, name: str = SELF, days: int = 1, own: bool = False) -> Path:
    ca, ca_key = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if own else ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]),
            critical=False,
        )
        .sign(key if own else ca_key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(
        pem(made)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Tls]:
    listeners = []

    def start(**how: Any) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(tmp_path, **how))
        listener = socket.create_server((SELF, 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(client, server_side=True).close()
                except OSError:
                    client.close()

        threading.Thread(target=serve, daemon=True).start()
        return port_of(listener)

    yield start
    for listener in listeners:
        listener.close()


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def closed_port() -> int:
    with socket.create_server((SELF, 0)) as listener:
        return port_of(listener)


@pytest.mark.parametrize("forward", [True, False], ids=["forwarded", "by a command there"])
def test_a_port_of_the_node_answers(reach: Reach, web: int, forward: bool) -> None:
    host, _ = reach(forward=forward)
    answer = host.http_get(web, "/healthz")
    assert (answer.status, answer.body) == (200, b"ok")
    assert host.http_get(web, "/nothing").status == 404
    assert host.http_get(closed_port(), "/healthz", timeout=2).status == 0


def check(host: Host, port: int) -> TlsResult:
    return host.tls_to(SELF, port, pem(authority()[0]), SELF, timeout=5)


def test_a_certificate_of_the_ca_is_trusted(reach: Reach, tls: Tls) -> None:
    seen = check(reach()[0], tls())
    assert (seen.reachable, seen.trusted, seen.reason) == (True, True, "")


def test_of_several_cas_any_will_do(reach: Reach, tls: Tls) -> None:
    old, new = pem(authority()[0]), pem(authority("new-ca")[0])
    for bundle, trusted in ((new + old, True), (old + new, True), (new, False)):
        assert reach()[0].tls_to(SELF, tls(), bundle, SELF, timeout=5).trusted is trusted


def test_a_ca_with_an_umlaut_before_it_is_read(reach: Reach, tls: Tls) -> None:
    bundle = "# Prüfstelle\n".encode() + pem(authority()[0])
    assert reach()[0].tls_to(SELF, tls(), bundle, SELF, timeout=5).trusted


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"own": True}, "self-signed certificate"),
        ({"name": "192.0.2.1"}, "IP address mismatch"),
        ({"days": -1}, "certificate has expired"),
    ],
)
def test_a_certificate_that_is_wrong_is_reported(
    reach: Reach, tls: Tls, how: dict[str, Any], reason: str
) -> None:
    seen = check(reach()[0], tls(**how))
    assert (seen.reachable, seen.trusted) == (True, False)
    assert reason in seen.reason


def test_what_speaks_no_tls(reach: Reach, web: int) -> None:
    seen = check(reach()[0], web)
    assert (seen.reachable, seen.trusted) == (True, False)
    assert seen.reason.startswith("no TLS")


def test_nobody_listens(reach: Reach) -> None:
    seen = check(reach()[0], closed_port())
    assert (seen.reachable, seen.trusted) == (False, None)


def test_forbidden_forwarding_is_no_verdict(reach: Reach, tls: Tls) -> None:
    seen = check(reach(forward=False)[0], tls())
    assert (seen.reachable, seen.trusted) == (None, None)
    assert "forbids forwarding" in seen.reason


@pytest.fixture
def secure_web(tmp_path: Path) -> Iterator[int]:
    """A web server with a certificate that nobody vouches for, as a kubelet has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, own=True))
    server = http.server.ThreadingHTTPServer((SELF, 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def anonymous(host: Host, port: int, path: str, *, secure: bool) -> int | None:
    answer = host.anonymous_get(SELF, port, path, secure=secure, timeout=1)
    return answer.status if answer else None


def test_a_port_is_asked_without_credentials(reach: Reach, web: int, secure_web: int) -> None:
    host, _ = reach()
    assert anonymous(host, secure_web, "/healthz", secure=True) == 200
    assert anonymous(host, secure_web, "/pods", secure=True) == 404
    assert anonymous(host, web, "/healthz", secure=False) == 200


def test_what_proves_who_answered_is_returned(
    reach: Reach, web: int, secure_web: int, tmp_path: Path
) -> None:
    host, _ = reach()
    shown = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    answer = host.anonymous_get(SELF, secure_web, "/pods", secure=True, timeout=1)
    assert answer
    assert answer.certificate == shown.public_bytes(serialization.Encoding.DER)
    answer = host.anonymous_get(SELF, web, "/pods", secure=False, timeout=1)
    assert answer
    assert answer.certificate == b""


def test_who_does_not_answer_or_not_in_that_way_answers_nothing(
    reach: Reach, web: int, secure_web: int, tls: Tls
) -> None:
    host, _ = reach()
    assert anonymous(host, closed_port(), "/pods", secure=True) == 0
    assert anonymous(host, web, "/pods", secure=True) == 0
    assert anonymous(host, secure_web, "/pods", secure=False) == 0
    assert anonymous(host, tls(), "/pods", secure=True) == 0


def test_forbidden_forwarding_is_no_answer(reach: Reach, web: int) -> None:
    assert anonymous(reach(forward=False)[0], web, "/healthz", secure=False) is None
