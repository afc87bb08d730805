"""TLS contexts: certificates that kubelet, kubectl and curl accept, with every Python."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_connection, create_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.util.tls import client_context
from tests.support import authority, pem, private_pem

NOW = datetime.now(UTC)


def issue(
    name: str,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    extension: x509.ExtensionType,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return a certificate without key identifiers, as a few lines of a shell make it."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(minutes=5))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(extension, critical=False)
    )
    return builder.sign(issuer[1], hashes.SHA256()), key


ROOT = authority("root")
INTERMEDIATE = issue("intermediate", ROOT, x509.BasicConstraints(ca=True, path_length=None))
ADDRESS = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
SERVER = issue("server", INTERMEDIATE, ADDRESS)


def handshake(folder: Path, context: ssl.SSLContext, chain: bytes, name: str = "127.0.0.1") -> None:
    """Have a server show a chain to a client that has this context."""
    (folder / "server.pem").write_bytes(chain + private_pem(SERVER[1]))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")

    def serve() -> None:
        connection, _ = listener.accept()
        try:
            server.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()  # the client's verdict is what counts

    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with create_connection(listener.getsockname()) as raw:
                context.wrap_socket(raw, server_hostname=name).close()
        finally:
            thread.join(10)


WHOLE = pem(SERVER[0]) + pem(INTERMEDIATE[0])


@pytest.mark.parametrize(
    ("trusted", "chain"),
    [
        pytest.param(pem(ROOT[0]), WHOLE, id="a root, no key identifiers"),
        pytest.param(pem(INTERMEDIATE[0]), WHOLE, id="an intermediate as the trusted one"),
        pytest.param(pem(INTERMEDIATE[0]), pem(SERVER[0]), id="an intermediate, a leaf alone"),
        pytest.param(
            b"# the cluster's\n" + pem(ROOT[0]) + pem(INTERMEDIATE[0]),
            pem(SERVER[0]),
            id="a chain as the trusted ones, with text around it",
        ),
        pytest.param("# Prüfstelle 证书\n".encode() + pem(ROOT[0]), WHOLE, id="UTF-8 before it"),
        pytest.param("Süd\n".encode("latin-1") + pem(ROOT[0]), WHOLE, id="Latin-1 before it"),
        pytest.param(pem(ROOT[0]).replace(b"\n", b"\r\n"), WHOLE, id="lines of Windows"),
    ],
)
def test_what_kubectl_accepts_is_accepted(tmp_path: Path, trusted: bytes, chain: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(trusted)
    handshake(tmp_path, client_context(ca_pem=trusted), chain)
    handshake(tmp_path, client_context(ca_file=tmp_path / "ca.pem"), chain)


@pytest.mark.parametrize(
    ("trusted", "name", "cause"),
    [
        (pem(authority("other")[0]), "127.0.0.1", "unable to get|self.signed"),
        (pem(ROOT[0]), "127.0.0.2", "IP address mismatch"),
        (pem(ROOT[0]), "elsewhere", "Hostname mismatch"),
    ],
)
def test_another_ca_or_name_is_refused(
    tmp_path: Path, trusted: bytes, name: str, cause: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=cause):
        handshake(tmp_path, client_context(ca_pem=trusted), WHOLE, name)
