"""TLS contexts that accept the certificates that kubelet, kubectl and curl accept."""

from __future__ import annotations

import ssl
from pathlib import Path

from . import pem


def client_context(*, ca_pem: bytes | None = None, ca_file: Path | None = None) -> ssl.SSLContext:
    """
    Return a context that verifies a server's certificate and name.

    The verdict is the same with every Python. From 3.13 on, its defaults refuse what RFC 5280 asks
    of certificates and Go and curl do not, such as an Authority Key Identifier, which CAs made by
    hand often leave out; before 3.13, they refuse an intermediate CA as the trusted one, which Go
    accepts.

    :param ca_pem: the trusted CAs, with whatever text stands around them; without these and
        `ca_file`, those of the system.
    :raises ssl.SSLError: the CAs can't be parsed, or there is none.
    :raises OSError: `ca_file` can't be read.
    """
    trusted = None if ca_pem is None else pem.certificates(ca_pem)
    if trusted == "":  # which Python would take for the system's CAs
        raise ssl.SSLError("no certificate")
    context = ssl.create_default_context(cadata=trusted, cafile=ca_file)
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context
