"""Signing requests that no library would make: DER by hand, several PEM blocks, two answers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

EXTENSIONS = "1.2.840.113549.1.9.14"
MICROSOFT = "1.3.6.1.4.1.311.2.1.14"  # another name of it, which Go does not know
_SUBJECT_ALTERNATIVE_NAME, _BASIC_CONSTRAINTS = "2.5.29.17", "2.5.29.19"
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"


@cache
def key() -> ec.EllipticCurvePrivateKey:
    """Return the forger's key."""
    return ec.generate_private_key(ec.SECP256R1())


def der(tag: int, *parts: bytes) -> bytes:
    """Return one value in DER."""
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def oid(dotted: str) -> bytes:
    """Return an object identifier in DER."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    found = bytes([first * 40 + second])
    for arc in rest:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.insert(0, 0x80 | arc & 0x7F)
        found += bytes(digits)
    return der(6, found)


def general(name: str) -> x509.GeneralName:
    """Return an address, or else a DNS name, as stands in a request."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def attribute(kind: str, names: Sequence[str]) -> bytes:
    """Return a request for extensions, in an attribute of that kind: these names, or harmless."""
    if names:
        value = x509.SubjectAlternativeName([general(name) for name in names]).public_bytes()
        extension = der(0x30, oid(_SUBJECT_ALTERNATIVE_NAME), der(4, value))
    else:
        extension = der(0x30, oid(_BASIC_CONSTRAINTS), der(4, der(0x30)))
    return der(0x30, oid(kind), der(0x31, der(0x30, extension)))


def subject(name: str, *organizations: str) -> bytes:
    """Return a subject in DER; without organizations it has the nodes' own."""
    parts = [(NameOID.ORGANIZATION_NAME, o) for o in organizations or ("system:nodes",)]
    parts.append((NameOID.COMMON_NAME, name))
    attributes = [x509.NameAttribute(kind, value, _validate=False) for kind, value in parts]
    return x509.Name(attributes).public_bytes()


def request(name: str, *attributes: bytes, subject_der: bytes = b"") -> bytes:
    """Return a request with a good signature and exactly these attributes, PEM."""
    public = key().public_key()
    info = der(
        0x30,
        der(2, b"\0"),
        subject_der or subject(name),
        public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        der(0xA0, *attributes),
    )
    signature = key().sign(info, ec.ECDSA(hashes.SHA256()))
    algorithm = der(0x30, oid(_ECDSA_WITH_SHA256))
    return armoured(der(0x30, info, algorithm, der(3, b"\0", signature)))


def armoured(data: bytes) -> bytes:
    """Return DER as the PEM block of a request."""
    body = base64.encodebytes(data)
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"


def two_faced(node: str, wanted: str, names: Sequence[str]) -> dict[str, bytes]:
    """
    Return requests that mean one thing to OpenSSL's heirs and another to Go, which signs.

    :param node, names: what they seem to ask for. :param wanted: the name they are after.
    """
    mine = attribute(EXTENSIONS, names)
    own, other = request(f"system:node:{node}", mine), request(f"system:node:{wanted}", mine)
    return {
        "a block behind text": b"x" + own + other,
        "a block behind a blank": b" " + own + other,
        "two blocks": own + other,
        "a block with headers": own.replace(b"REQUEST-----\n", b"REQUEST-----\nA: b\n\n", 1),
        "a block of the old name": own.replace(b"CERTIFICATE REQ", b"NEW CERTIFICATE REQ") + other,
        "names under another name": request(
            f"system:node:{node}", attribute(MICROSOFT, names), attribute(EXTENSIONS, [wanted])
        ),
        "no names under another name": request(
            f"system:node:{node}", attribute(MICROSOFT, []), attribute(EXTENSIONS, [wanted])
        ),
        "names twice": request(f"system:node:{node}", mine, attribute(EXTENSIONS, [wanted])),
    }
