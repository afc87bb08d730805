"""Certificate that a TLS server presents, fetched without verifying it."""

from __future__ import annotations

import socket
import ssl

_TIMEOUT = 10.0


def presented(host: str, port: int) -> str:
    """Return the server's certificate, PEM. Raises OSError where it can't be reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=_TIMEOUT) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")
