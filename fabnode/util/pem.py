"""PEM files, read as Go's programs (kubelet, kubectl) read them."""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from dataclasses import dataclass

# A block begins and ends at the beginning of a line; headers, a blank line, then base64.
_BLOCK = re.compile(
    rb"(?:\A|\n)-----BEGIN ([A-Z0-9 ]+)-----[ \t\r]*\n"
    rb"((?:[^-:\n][^:\n]*:[^\n]*\n)*+)((?:[^-:\n][^:\n]*\n|\n)*+)"
    rb"-----END \1-----[ \t\r]*(?=\n|\Z)"
)
_BLANKS = re.compile(rb"\s+")
_CERTIFICATE = "CERTIFICATE"


@dataclass(frozen=True, slots=True)
class Block:
    """A PEM block. `headers`: it has some, as encrypted keys of old have."""

    label: str
    headers: bool
    der: bytes

    @property
    def pem(self) -> bytes:
        """The block alone, without headers."""
        text = base64.encodebytes(self.der).replace(b"\n", b"")
        lines = b"\n".join(text[i : i + 64] for i in range(0, len(text), 64))
        label = self.label.encode()
        return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label, lines, label)


def blocks(content: bytes) -> list[Block]:
    """
    Return the blocks of a file. Text around them, in any encoding, and CRLF don't matter.

    What Go does not see is not seen: a block behind a byte order mark or blanks, broken base64.
    """
    found = []
    for label, headers, body in _BLOCK.findall(content):
        try:
            der = base64.b64decode(_BLANKS.sub(b"", body), validate=True)
        except binascii.Error:
            continue
        found.append(Block(label.decode(), bool(headers), der))
    return found


def certificates(content: bytes) -> str:
    """Return a file's certificates, and nothing else of it, as PEM; empty where it has none."""
    return "".join(
        ssl.DER_cert_to_PEM_cert(block.der)
        for block in blocks(content)
        if block.label == _CERTIFICATE and not block.headers
    )


def unread(content: bytes) -> str:
    """Return why a file has no certificate that can be read; empty where no reason is known."""
    if content.startswith(b"\xef\xbb\xbf"):
        return "a byte order mark stands before it: `sed -i '1s/^\\xEF\\xBB\\xBF//' FILE`"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is UTF-16: `iconv -f UTF-16 -t UTF-8`"
    if content.startswith(b"0\x82"):
        return "it is DER: `openssl x509 -inform der`"
    if b"-----BEGIN TRUSTED CERTIFICATE-----" in content:
        return "it is OpenSSL's own form, TRUSTED CERTIFICATE: `openssl x509 -in FILE`"
    if re.search(rb"^[ \t]+-----BEGIN", content, re.MULTILINE):
        return "blanks stand before BEGIN"
    return ""
