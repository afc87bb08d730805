"""
Base64 prefixes of client certificate requests with a given subject and an EC P-256 key.

In DER everything up to the point on the curve follows from the subject, except for the outer
length, which differs by the length of the signature. So an admission policy, which can compare text
but not parse it, can recognise the subject of a request.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from .certificates import distinguished_name, new_request

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD = b"-----BEGIN CERTIFICATE REQUEST-----\n"
FIRST_BLOCK = len(_HEAD) // 3 * 4
"""Letters of `spec.request` that begin its first block; from there on none may begin another."""

_LINE = 64
_POINT = bytes.fromhex("03420004")  # BIT STRING of an uncompressed point on P-256
_ALGORITHM = 12  # bytes of ecdsa-with-SHA256 as DER
_BIT_STRING = 3  # bytes before the signature
_OUTER = 56  # characters: the line before the request, and its first 4 bytes
_VERSION = bytes.fromhex("020100")
_KEY = 91  # bytes of a public key on P-256, with what says that
_ATTRIBUTES = 2  # bytes: there are none
_SIGNATURES = range(60, 73)  # bytes of an ECDSA signature on P-256; shorter than 66 is never seen


def request_prefixes(common_name: str, subject: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the possible beginnings of `spec.request` (PEM in base64) of such a request.

    Each ends behind the subject.

    :param subject: as `new_request` takes it.
    """
    info = x509.load_pem_x509_csr(new_request(common_name, subject).request_pem)
    body = info.tbs_certrequest_bytes
    fixed = body[: body.index(_POINT) + len(_POINT)]
    lengths = (len(body) + _ALGORITHM + _BIT_STRING + length for length in _SIGNATURES)
    return tuple(dict.fromkeys(_encoded(b"\x30" + _der_length(n) + fixed) for n in lengths))


@dataclass(frozen=True, slots=True)
class Beginnings:
    """
    The possible beginnings of requests of which only the beginning of the CN is known.

    :param heads: up to the length of the whole, all equally long. :param rests: what follows these.
    """

    heads: tuple[str, ...]
    rests: tuple[str, ...]


def beginning_with(start: str, subject: Mapping[str, str], longest: int) -> Beginnings:
    """
    Return the beginnings of `spec.request` where the CN is `start` and 1 to `longest` characters.

    Everything before the CN is fixed by the length of these, the end of the subject too: nothing
    but that CN follows in it. Of `start`, as text in base64 tells it, the last character may be
    another.
    """
    heads: dict[str, None] = {}
    rests: dict[str, None] = {}
    for count in range(1, longest + 1):
        name = distinguished_name(start + "x" * count, subject).public_bytes()
        inside = len(_VERSION) + len(name) + _KEY + _ATTRIBUTES
        head = b"\x30" + _der_length(inside)
        known = head + _VERSION + name[: len(name) - count]
        for length in _SIGNATURES:
            whole = len(head) + inside + _ALGORITHM + _BIT_STRING + length
            text = _determined(b"\x30" + _der_length(whole) + known)
            heads[text[:_OUTER]] = None
            rests[text[_OUTER:]] = None
    return Beginnings(tuple(heads), tuple(rests))


def _determined(der: bytes) -> str:
    """Return the text as far as no character of it depends on what follows."""
    pem = _pem(base64.b64encode(der + b"\0\0")[: len(der) * 8 // 6])
    return base64.b64encode(pem + b"\0\0").decode()[: len(pem) * 8 // 6]


def second_block_marks() -> tuple[str, ...]:
    """Return the base64 forms of `-----BEGIN`, one for each of the three alignments."""
    marker = b"-----BEGIN"
    return tuple(
        base64.b64encode(marker[start : start + (len(marker) - start) // 3 * 3]).decode()
        for start in range(3)
    )


def _encoded(der: bytes) -> str:
    pem = _pem(base64.b64encode(der[: len(der) // 3 * 3]))
    return base64.b64encode(pem[: len(pem) // 3 * 3]).decode()


def _pem(text: bytes) -> bytes:
    return _HEAD + b"\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))


def _der_length(count: int) -> bytes:
    if count < 0x80:
        return bytes([count])
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets
