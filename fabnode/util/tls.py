"""TLS contexts that accept the certificates that kubelet, kubectl and curl accept."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_context(*, ca_pem: str | None = None, ca_file: Path | None = None) -> ssl.SSLContext:
    """
    Return a context that verifies a server's certificate and name.

    The verdict is the same with every Python. From 3.13 on, its defaults refuse what RFC 5280 asks
    of certificates and Go and curl do not, such as an Authority Key Identifier, which CAs made by
    hand often leave out; before 3.13, they refuse an intermediate CA as the trusted one, which Go
    accepts.

    :param ca_pem: the trusted CAs; without these and `ca_file`, those of the system.
    :raises ssl.SSLError: the CAs can't be parsed.
    :raises OSError: `ca_file` can't be read.
    """
    context = ssl.create_default_context(cadata=ca_pem, cafile=ca_file)
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context
