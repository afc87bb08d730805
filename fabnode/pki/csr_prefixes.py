"""
Base64 prefixes of client certificate requests with a given subject and an EC P-256 key.

In DER everything up to the point on the curve follows from the subject, except for the outer
length, which differs by the length of the signature. So an admission policy, which can compare text
but not parse it, can recognise the subject of a request.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography import x509

from .certificates import new_request

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD = b"-----BEGIN CERTIFICATE REQUEST-----\n"
_LINE = 64
_POINT = bytes.fromhex("03420004")  # BIT STRING of an uncompressed point on P-256
_ALGORITHM = 12  # bytes of ecdsa-with-SHA256 as DER
_BIT_STRING = 3  # bytes before the signature
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


def second_block_marks() -> tuple[str, ...]:
    """Return the base64 forms of `-----BEGIN`, one for each of the three alignments."""
    marker = b"-----BEGIN"
    return tuple(
        base64.b64encode(marker[start : start + (len(marker) - start) // 3 * 3]).decode()
        for start in range(3)
    )


def _encoded(der: bytes) -> str:
    text = base64.b64encode(der[: len(der) // 3 * 3])
    lines = b"\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
    pem = _HEAD + lines
    return base64.b64encode(pem[: len(pem) // 3 * 3]).decode()


def _der_length(count: int) -> bytes:
    if count < 0x80:
        return bytes([count])
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets
