"""Whether a server is the one that known_hosts files mean: by its key, or by a certificate."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from ..util.errors import FabnodeError
from .known_hosts import fingerprint, matches

if TYPE_CHECKING:
    from paramiko.pkey import PublicBlob

    from .known_hosts import KnownHosts

_RSA_SIGNATURES = (b"rsa-sha2-512", b"rsa-sha2-256")  # as OpenSSH: SHA-1 proves nothing


class MissingHostKeyError(FabnodeError, paramiko.SSHException):
    """No known_hosts file has this key."""

    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__("unknown host key")
        self.key = key


class RevokedKeyError(FabnodeError, paramiko.SSHException):
    """A known_hosts file marks this key, or the CA of its certificate, as @revoked."""

    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__(f"{key.get_name()} {fingerprint(key)}")


class BadHostCertificateError(FabnodeError, paramiko.SSHException):
    """A CA that known_hosts files trust has signed a certificate that is not good here."""


@dataclass(frozen=True, slots=True)
class HostTrust:
    """
    What known_hosts files say of one server.

    :param name: under which they have it. :param host: the name that its certificate must have.
    :param authorities: keys whose certificates it may show.
    """

    name: str
    host: str
    keys: tuple[paramiko.PKey, ...]
    authorities: tuple[paramiko.PKey, ...]
    revoked: tuple[paramiko.PKey, ...]

    @classmethod
    def of(cls, known: KnownHosts, name: str, host: str) -> HostTrust:
        """
        Return what the files say.

        As with OpenSSH, a CA of a host is that of all its ports; and so is what was revoked for it.
        """
        authorities = known.authorities(name) or known.authorities(host)
        revoked = tuple(dict.fromkeys((*known.revoked(name), *known.revoked(host))))
        keys = tuple(key for key in known.keys(name) if key not in revoked)
        return cls(name, host, keys, authorities, revoked)

    def check(self, key: paramiko.PKey) -> None:
        """
        Return where a key is trusted that a server has proved to have.

        :raises paramiko.SSHException: one of this module's, or paramiko's for a changed key.
        """
        if key in self.revoked:
            raise RevokedKeyError(key)
        if key.public_blob is not None and self._is_certified(key, key.public_blob):
            return
        if key in self.keys:
            return
        if self.keys:
            same = [known for known in self.keys if known.get_name() == key.get_name()]
            raise paramiko.BadHostKeyException(self.name, key, (same or self.keys)[0])
        raise MissingHostKeyError(key)

    def _is_certified(self, key: paramiko.PKey, shown: PublicBlob) -> bool:
        """Return whether a certificate makes a key trusted; False: its CA is none of ours."""
        blob: bytes = shown.key_blob
        text = f"{shown.key_type} {base64.b64encode(blob).decode()}"
        try:
            certificate = load_ssh_public_identity(text.encode())
            if not isinstance(certificate, SSHCertificate):
                return False
            signer = _openssh(certificate.signature_key())
            holder = _openssh(certificate.public_key())
        except (ValueError, UnsupportedAlgorithm):
            return False
        if signer in {_text(ca) for ca in self.revoked}:
            raise RevokedKeyError(key)
        if signer not in {_text(ca) for ca in self.authorities} or holder != _text(key):
            return False
        if fault := self._fault(certificate, blob):
            raise BadHostCertificateError(fault)
        return True

    def _fault(self, certificate: SSHCertificate, blob: bytes) -> str:
        """Return why a certificate of a trusted CA is not good; empty where it is."""
        try:
            certificate.verify_cert_signature()
        except InvalidSignature:
            return "its signature is wrong"
        signer = certificate.signature_key()
        if isinstance(signer, RSAPublicKey) and not _by_sha2(blob, signer.key_size // 8):
            return "it is signed with SHA-1"
        if certificate.type is not SSHCertificateType.HOST:
            return "it is a user's, not a host's"
        if certificate.critical_options:
            return "it has critical options, which hosts' certificates must not have"
        now = time.time()
        if now < certificate.valid_after:
            return "it is not valid yet"
        if now >= certificate.valid_before:
            return "it has expired"
        names = [name.decode(errors="replace") for name in certificate.valid_principals]
        if not names:
            return "it names no host (ssh-keygen -n)"
        if not any(matches(name, self.host) for name in names):
            return f"it is for {', '.join(names[:5])}"
        return ""


def _openssh(key: object) -> str:
    # Each kind of key that a certificate may hold has this method.
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()  # type: ignore[attr-defined,no-any-return]


def _text(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


def _by_sha2(blob: bytes, size: int) -> bool:
    """Return whether a certificate ends with an RSA signature over a SHA-2."""
    return any(
        blob[-(8 + len(name) + size) :].startswith(len(name).to_bytes(4, "big") + name)
        for name in _RSA_SIGNATURES
    )
