"""X.509 certificates: parsing, checks against a CA bundle, requests, signing with a CA key."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..util.errors import FabnodeError
from ..util.sanitize import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST = 2**16  # bytes of a certificate's PEM; one of a cluster has some 2000
_MOST_IN_CHAIN = 5
_UNREADABLE = "not a readable certificate"


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    A parsed certificate.

    :param subject, issuer: RFC 4514 strings to be shown: one line, long ones are cut.
    :param common_name: of the subject; empty where it has none.
    :param public_key: SubjectPublicKeyInfo, DER. :param authority: it may sign others.
    :param names: DNS names and IP addresses that it is good for, as a server's.
    """

    subject: str
    issuer: str
    common_name: str
    organizations: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    public_key: bytes
    authority: bool = False
    names: frozenset[str] = frozenset()

    def days_left(self, now: datetime) -> float:
        """Return the days until it ends; negative once it has."""
        return (self.not_after - now) / timedelta(days=1)


class BadCertificateError(FabnodeError, ValueError):
    """A certificate or key is unreadable or invalid."""


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """
    The certificates in a file of a host, parsed once: what judges them parses nothing again.

    :param pem: its certificate blocks; empty where it holds none.
    :param certificate: the first of them; None where it can't be read.
    :param parsed: the same, as cryptography has it, to verify signatures with.
    """

    pem: str = ""
    certificate: Certificate | None = field(default=None, repr=False, compare=False)
    parsed: x509.Certificate | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, pem: str) -> CertificateFile:
        """Parse the first certificate; whatever else a host sends there makes it unreadable."""
        if len(pem.partition("-----END")[0]) > _LARGEST:
            return cls(pem)
        try:
            parsed = _parse(pem)
        except BadCertificateError:
            return cls(pem)
        return cls(pem, _certificate(parsed), parsed)


NO_CERTIFICATE = CertificateFile()
Pem = str | bytes | CertificateFile


class ProblemKind(Enum):
    """Kinds of problems of a certificate, given a CA bundle and a time."""

    UNREADABLE = auto()
    FOREIGN_CA = auto()
    NOT_YET_VALID = auto()
    EXPIRED = auto()
    CA_EXPIRED = auto()


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a certificate. Code compares `kind`; `text` is for users."""

    kind: ProblemKind
    text: str

    def __str__(self) -> str:
        return self.text


def read(pem: Pem) -> Certificate:
    """Return the first certificate of a PEM text or a file. Raises BadCertificateError."""
    if isinstance(pem, CertificateFile) and pem.certificate:
        return pem.certificate
    return _certificate(_load(pem))


def _certificate(cert: x509.Certificate) -> Certificate:
    return Certificate(
        subject=_shown(cert.subject),
        issuer=_shown(cert.issuer),
        common_name=next(iter(_values(cert.subject, NameOID.COMMON_NAME)), ""),
        organizations=_values(cert.subject, NameOID.ORGANIZATION_NAME),
        not_before=cert.not_valid_before_utc,
        not_after=cert.not_valid_after_utc,
        public_key=public_bytes(cert),
        authority=_authority(cert),
        names=_alternative_names(cert),
    )


def _shown(name: x509.Name) -> str:
    """
    Return a name as reports have it: RFC 4514, on one line of a bounded length.

    Whoever made the certificate chose the name: a newline in it would begin a line of the report.
    """
    text = name.rfc4514_string()
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return cut(text)


def _escaped(char: str) -> str:
    return "".join(f"\\{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _alternative_names(cert: x509.Certificate) -> frozenset[str]:
    try:
        found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = found.get_values_for_type(x509.DNSName)
        addresses = found.get_values_for_type(x509.IPAddress)
    except Exception:  # a host's bytes: what can't be read names nothing
        return frozenset()
    return frozenset((*dns, *map(str, addresses)))


def problem(pem: Pem, ca_pem: bytes, now: datetime) -> Problem | None:
    """Return the first of `problems`, or None when the certificate is good."""
    return next(iter(problems(pem, ca_pem, now)), None)


def problems(pem: Pem, ca_pem: bytes, now: datetime) -> tuple[Problem, ...]:
    """
    Return all problems of a certificate with this CA bundle at this time.

    A foreign CA comes before expiry: time can't make a foreign certificate valid.
    """
    try:
        cert = _load(pem)
    except BadCertificateError as error:
        return (Problem(ProblemKind.UNREADABLE, str(error)),)
    found = []
    authorities = _authorities(cert, pem, ca_pem, now)
    if not authorities:
        issuer = _shown(cert.issuer)
        found.append(Problem(ProblemKind.FOREIGN_CA, f"signed by another CA ({issuer})"))
    if now < cert.not_valid_before_utc:
        start = _utc(cert.not_valid_before_utc)
        found.append(Problem(ProblemKind.NOT_YET_VALID, f"not valid before {start}"))
    if now >= cert.not_valid_after_utc:
        end = _utc(cert.not_valid_after_utc)
        found.append(Problem(ProblemKind.EXPIRED, f"expired on {end}"))
    if authorities and all(now >= ca.not_valid_after_utc for ca in authorities):
        end = _utc(authorities[0].not_valid_after_utc)
        found.append(Problem(ProblemKind.CA_EXPIRED, f"its CA expired on {end}"))
    return tuple(found)


def _authorities(
    cert: x509.Certificate, pem: Pem, ca_pem: bytes, now: datetime
) -> list[x509.Certificate]:
    """Return the CAs of a bundle that a certificate leads to, by intermediates behind it if any."""
    between = [
        ca for ca in _intermediates(pem) if ca.not_valid_before_utc <= now < ca.not_valid_after_utc
    ]
    ends = [cert]
    for _ in range(len(between) + 1):
        if found := [ca for ca in _bundle(ca_pem) if any(_issued_by(end, ca) for end in ends)]:
            return found
        ends = [ca for ca in between if any(_issued_by(end, ca) for end in ends)]
    return []


def _intermediates(pem: Pem) -> list[x509.Certificate]:
    """Return the CAs that follow the first certificate; a host's file may hold anything."""
    text = pem.pem if isinstance(pem, CertificateFile) else pem
    data = text.encode() if isinstance(text, str) else text
    _, *further = data.split(b"-----BEGIN CERTIFICATE-----")[1 : _MOST_IN_CHAIN + 1] or [b""]
    found = []
    for body in further:
        if len(body) <= _LARGEST:
            with suppress(BadCertificateError):
                found.append(_parse(b"-----BEGIN CERTIFICATE-----" + body))
    return [ca for ca in found if _authority(ca)]


def _utc(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def split(bundle_pem: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a bundle one by one, PEM, in their order, each once."""
    encoding = serialization.Encoding.PEM
    return tuple(dict.fromkeys(c.public_bytes(encoding) for c in _bundle(bundle_pem)))


def issued_by(pem: Pem, ca_pem: bytes) -> bool:
    """Return whether this CA signed a certificate; False for unreadable ones."""
    try:
        cert = _load(pem)
    except BadCertificateError:
        return False
    return any(_issued_by(cert, ca) for ca in _bundle(ca_pem))


@lru_cache(maxsize=16)
def _bundle(ca_pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the CAs of a bundle; a run asks thousands of times for the same few."""
    return tuple(x509.load_pem_x509_certificates(ca_pem))


@lru_cache(maxsize=4096)
def _issued_by(cert: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(ca)
    except Exception:  # a host's bytes, as above: what can't be checked does not hold
        return False
    return True


def public_bytes(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """Return the public key of a certificate or a request as SubjectPublicKeyInfo, DER."""
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_key(key_pem: bytes) -> bytes:
    """Return the public half of a private key (PEM, no password) as SubjectPublicKeyInfo, DER."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadCertificateError("it is not an unencrypted private key in PEM") from None
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def openssh_public_bytes(text: str) -> bytes:
    """
    Return a public key in OpenSSH's form as SubjectPublicKeyInfo, DER; empty where it is invalid.

    The text is a host's. What the library raises for one is not documented: NotImplementedError
    for a compressed point, for example.
    """
    try:
        key = serialization.load_ssh_public_key(text.encode())
        return key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except Exception:
        return b""


def public_key_bytes(der: bytes) -> bytes:
    """Return a host's SubjectPublicKeyInfo, DER, as we would write it; empty: it is invalid."""
    try:
        return serialization.load_der_public_key(der).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except Exception:
        return b""


def belongs(certificate_pem: bytes, request_pem: bytes) -> bool:
    """Return whether a certificate is for the request's key; False for unreadable ones."""
    try:
        certificate = _load(certificate_pem)
    except BadCertificateError:
        return False
    return public_bytes(certificate) == public_bytes(x509.load_pem_x509_csr(request_pem))


_SUBJECT = {
    "country": NameOID.COUNTRY_NAME,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
}


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A fresh key and the signing request made with it, both PEM. The key is a secret."""

    key_pem: bytes
    request_pem: bytes

    def __repr__(self) -> str:
        return "KeyedRequest(…)"


def new_request(common_name: str, subject: Mapping[str, str]) -> KeyedRequest:
    """
    Make an EC P-256 key and a PKCS#10 request for a client certificate.

    :param subject: the further parts by the names of the configuration (`organization`, …);
        empty ones are left out.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = distinguished_name(common_name, subject)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return KeyedRequest(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        request.public_bytes(serialization.Encoding.PEM),
    )


def distinguished_name(common_name: str, subject: Mapping[str, str]) -> x509.Name:
    """Return the subject of `new_request`: the common name comes last."""
    parts = [x509.NameAttribute(oid, subject[n]) for n, oid in _SUBJECT.items() if subject.get(n)]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def sign_client(request_pem: bytes, ca_pem: bytes, ca_key_pem: bytes, *, days: int = 365) -> bytes:
    """
    Sign a request for a client certificate with a CA key that is on the deployer; return PEM.

    Of a bundle, that CA signs whose key it is. Raises BadCertificateError when the key can't be
    read or is none of theirs.
    """
    request = x509.load_pem_x509_csr(request_pem)
    try:
        key = serialization.load_pem_private_key(ca_key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = "the CA key can't be read: it must be an unencrypted private key in PEM"
        raise BadCertificateError(message) from error
    authorities = x509.load_pem_x509_certificates(ca_pem)
    ca = next((ca for ca in authorities if ca.public_key() == key.public_key()), None)
    if ca is None:
        raise BadCertificateError("the CA key does not belong to the CA certificate")
    kinds = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
    if not isinstance(key, kinds):
        raise BadCertificateError("the CA key is neither RSA, nor EC, nor Ed25519")
    # Ed25519 has its own digest, the others take one.
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(min(now + timedelta(days=days), ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, algorithm)
        .public_bytes(serialization.Encoding.PEM)
    )


def _load(pem: Pem) -> x509.Certificate:
    if not isinstance(pem, CertificateFile):
        return _parse(pem)
    if pem.parsed is None:
        raise BadCertificateError(_UNREADABLE)
    return pem.parsed


def _parse(pem: str | bytes) -> x509.Certificate:
    data = pem.encode() if isinstance(pem, str) else pem
    try:
        cert = x509.load_pem_x509_certificate(data)
        # What is asked of it later is parsed only then: it must not fail there.
        _ = cert.subject, cert.issuer, cert.not_valid_before_utc, cert.not_valid_after_utc
        cert.subject.rfc4514_string(), cert.issuer.rfc4514_string()
        public_bytes(cert)
    except Exception as error:  # a host's bytes: however parsing fails, it is none
        raise BadCertificateError(_UNREADABLE) from error
    return cert


def _authority(cert: x509.Certificate) -> bool:
    try:
        return bool(cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (
        Exception
    ):  # there is none, they come twice, or they can't be read: it says no such thing
        return False


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(attribute.value) for attribute in name.get_attributes_for_oid(oid))
