"""A TLS server that stands for an apiserver, and an HTTP proxy before it."""

from __future__ import annotations

import ipaddress
import json
import select
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support import authority, pem, private_pem

if TYPE_CHECKING:
    from pathlib import Path


def serving_pair() -> bytes:
    """Return certificate and key of 127.0.0.1 and api.example, by the test CA."""
    issuer, signer = authority()
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([address, x509.DNSName("api.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "apiserver")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(signer, hashes.SHA256())
    )
    return pem(certificate) + private_pem(key)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # several threads of a test come at once


class Apiserver:
    """
    Answers `{"kind": "ok"}` to whoever it accepts, and 401 to others.

    :ivar accepts: tokens and common names of client certificates that are let in.
    :ivar body: answered in place of JSON, as `kind`, where it is not None.
    :ivar seen: the headers of each request, all of the same name together.
    """

    def __init__(self, folder: Path) -> None:
        self.accepts: set[str] = set()
        self.body: bytes | None = None
        self.kind = "text/html"
        self.seen: list[dict[str, list[str]]] = []
        self.port = 0
        apiserver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                names = {name: self.headers.get_all(name) or [] for name in self.headers}
                apiserver.seen.append(names)
                token = str(self.headers.get("Authorization", "")).removeprefix("Bearer ")
                subject = dict(
                    pair for (pair,) in (self.connection.getpeercert() or {}).get("subject", ())
                )
                who = {token, subject.get("commonName", "")}
                body = apiserver.body or json.dumps({"kind": "ok"}).encode()
                self.send_response(200 if who & apiserver.accepts else 401)
                self.send_header("Content-Length", str(len(body)))
                self.send_header(
                    "Content-Type", apiserver.kind if apiserver.body else "application/json"
                )
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        (folder / "serving.pem").write_bytes(serving_pair())
        (folder / "clients.pem").write_bytes(pem(authority()[0]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "serving.pem")
        context.load_verify_locations(folder / "clients.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Proxy:
    """An HTTP proxy for CONNECT. `seen`: heads of the requests that it got."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = client.recv(65536).decode()
            self.seen.append(head)
            host, _, port = head.split()[1].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5) as far:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                ends = {client: far, far: client}
                while True:
                    ready, _, _ = select.select(list(ends), [], [], 5)
                    for end in ready:
                        with suppress(OSError):
                            if data := end.recv(65536):
                                ends[end].sendall(data)
                                continue
                        return
