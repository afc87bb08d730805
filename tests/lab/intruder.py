"""What a user without rights, or a process in a pod, plants on a host before root inspects it."""

from __future__ import annotations

import base64
import datetime
import struct
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

NAME = "mallory"
HOME = f"/home/{NAME}"
UID = 4242


def telltale(marker: str) -> bytes:
    """
    Return a program (ELF, amd64, 200 bytes) that creates the file `marker` if it may, then waits.

    Root may create it anywhere, the user only where it does no harm: so the file proves who ran it.
    """
    path = marker.encode() + b"\0"
    code = bytes.fromhex(
        "b802000000"  # mov eax, 2 (open)
        "488d3d15000000"  # lea rdi, [path]
        "be41000000"  # mov esi, O_WRONLY | O_CREAT
        "baa4010000"  # mov edx, 0644
        "0f05"  # syscall
        "b822000000"  # mov eax, 34 (pause)
        "0f05"  # syscall
        "ebf7"  # again
    )
    base, head = 0x400000, 120
    size = head + len(code) + len(path)
    elf = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 64, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return elf + segment + code + path


def key() -> ec.EllipticCurvePrivateKey:
    """Return a new key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as ssh-keygen and openssl read it."""
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def security_key() -> bytes:
    """Return a key on a security token, as `ssh-keygen -t ed25519-sk` leaves it on disk."""

    def text(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    public = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    shown = text(b"sk-ssh-ed25519@openssh.com") + text(public) + text(b"ssh:")
    handle = b"\x01" + text(b"handle") + text(b"") + text(NAME.encode())
    private = b"abcdabcd" + shown + handle
    private += bytes(range(1, 1 + -len(private) % 8))
    head = text(b"none") + text(b"none") + text(b"") + struct.pack(">I", 1)
    data = base64.encodebytes(b"openssh-key-v1\0" + head + text(shown) + text(private))
    name = b"OPENSSH PRIVATE KEY"
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (name, data, name)


def certificate(
    public: CertificatePublicKeyTypes,
    name: str,
    *,
    organization: str = "",
    authority: bool = False,
    signer: tuple[bytes, bytes] | None = None,
) -> bytes:
    """
    Return a certificate for anybody's public key, PEM.

    :param signer: certificate and key, PEM, of the CA that signs it; None: nobody that counts does.
    """
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    signing = key()
    if signer:
        issuer = x509.load_pem_x509_certificate(signer[0]).subject
        loaded = serialization.load_pem_private_key(signer[1], password=None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signing = loaded
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write(path: str, content: bytes, mode: str = "644") -> str:
    """Return the shell command that writes a file; `path` is quoted by the caller."""
    data = base64.b64encode(content).decode()
    return f'mkdir -p "$(dirname {path})" && echo {data} | base64 -d >{path} && chmod {mode} {path}'
