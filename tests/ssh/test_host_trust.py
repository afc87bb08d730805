"""Host certificates are accepted as OpenSSH accepts them, and revoked keys by nobody."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import paramiko
import pytest

from fabnode.ssh.connections import Access
from fabnode.ssh.errors import HostCertificateError, RevokedHostKeyError, UnknownHostKeyError
from fabnode.ssh.host import Host
from fabnode.ssh.host_key_enrolment import enrol
from fabnode.ssh.host_trust import BadHostCertificateError, HostTrust, RevokedKeyError
from fabnode.ssh.known_hosts import KnownHosts

from .conftest import NodeOf, Serve
from .server import key


def keygen(*words: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two CAs (ca, rsa), another one (other), and a host's key (host)."""
    folder = tmp_path_factory.mktemp("pki")
    for name, kind in (
        ("ca", "ed25519"),
        ("rsa", "rsa"),
        ("other", "ed25519"),
        ("host", "ed25519"),
    ):
        keygen("-t", kind, "-N", "", "-f", str(folder / name))
    return folder


def sign(pki: Path, *options: str, ca: str = "ca") -> Path:
    """Have a CA certify the host's key; return the file of the key."""
    host = pki / "host"
    keygen("-s", str(pki / ca), "-I", "x", *options, str(host.with_suffix(".pub")))
    return host


def shown(host: Path) -> paramiko.PKey:
    """Return the key as a client has it that was shown its certificate."""
    text = Path(f"{host}-cert.pub").read_text().split()[1]
    return paramiko.Ed25519Key(paramiko.Message(base64.b64decode(text)))


def trust(pki: Path, *lines: str, name: str = "n1", host: str = "n1") -> HostTrust:
    """Return what known_hosts files say; FILE.pub in them stands for that key."""
    filled = []
    for line in lines:
        *head, file = line.split()
        filled.append(" ".join([*head, *(pki / file).read_text().split()[:2]]))
    return HostTrust.of(KnownHosts((pki / "x",), tuple(filled)), name, host)


@pytest.mark.parametrize(
    ("line", "name", "options"),
    [
        ("@cert-authority n1 ca.pub", "n1", ("-h", "-n", "n1,n2")),
        ("@cert-authority *.example,n? ca.pub", "n1", ("-h", "-n", "n*")),
        ("@cert-authority [n1]:2222 ca.pub", "[n1]:2222", ("-h", "-n", "n1")),
        ("@cert-authority n1 ca.pub", "[n1]:2222", ("-h", "-n", "n1")),
        ("@cert-authority n1 ca.pub", "n1", ("-h", "-n", "n1", "-V", "-1d:+1d")),
        ("@cert-authority n1 rsa.pub", "n1", ("-h", "-n", "n1")),
    ],
)
def test_certificates_of_a_trusted_ca_are_accepted(
    pki: Path, line: str, name: str, options: tuple[str, ...]
) -> None:
    host = sign(pki, *options, ca=line.split()[-1].removesuffix(".pub"))
    trust(pki, line, name=name).check(shown(host))


@pytest.mark.parametrize(
    ("ca", "options", "fault"),
    [
        ("ca", ("-h", "-n", "n2"), "it is for n2"),
        ("ca", ("-h",), "it names no host"),
        ("ca", ("-n", "n1"), "it is a user's"),
        ("ca", ("-h", "-n", "n1", "-V", "-2d:-1d"), "it has expired"),
        ("ca", ("-h", "-n", "n1", "-V", "+1d:+2d"), "it is not valid yet"),
        ("ca", ("-h", "-n", "n1", "-O", "critical:x@y=1"), "critical options"),
        ("rsa", ("-h", "-n", "n1", "-t", "ssh-rsa"), "SHA-1"),
    ],
)
def test_certificates_that_openssh_would_refuse_are_refused(
    pki: Path, ca: str, options: tuple[str, ...], fault: str
) -> None:
    host = sign(pki, *options, ca=ca)
    with pytest.raises(BadHostCertificateError, match=fault):
        trust(pki, f"@cert-authority n1 {ca}.pub", "n1 host.pub").check(shown(host))


def test_a_certificate_that_was_changed_is_refused(pki: Path) -> None:
    key = shown(sign(pki, "-h", "-n", "n2"))
    assert key.public_blob
    key.public_blob.key_blob = key.public_blob.key_blob.replace(b"n2", b"n1")
    with pytest.raises(BadHostCertificateError, match="its signature is wrong"):
        trust(pki, "@cert-authority n1 ca.pub").check(key)


def test_a_certificate_of_another_key_is_none(pki: Path) -> None:
    certified = shown(sign(pki, "-h", "-n", "n1"))
    other = paramiko.Ed25519Key.from_private_key_file(str(pki / "other"))
    other.public_blob = certified.public_blob  # type: ignore[assignment]  # the stubs have it None
    with pytest.raises(paramiko.SSHException, match="unknown host key"):
        trust(pki, "@cert-authority n1 ca.pub").check(other)


def test_a_certificate_of_another_ca_leaves_the_plain_key(pki: Path) -> None:
    key = shown(sign(pki, "-h", "-n", "n1", ca="other"))
    with pytest.raises(paramiko.SSHException, match="unknown host key"):
        trust(pki, "@cert-authority n1 ca.pub").check(key)
    trust(pki, "@cert-authority n1 ca.pub", "n1 host.pub").check(key)


@pytest.mark.parametrize("lines", [("@revoked * ca.pub",), ("@revoked n1 host.pub", "n1 host.pub")])
def test_revoked_keys_and_cas_are_refused(pki: Path, lines: tuple[str, ...]) -> None:
    key = shown(sign(pki, "-h", "-n", "n1"))
    with pytest.raises(RevokedKeyError):
        trust(pki, "@cert-authority n1 ca.pub", *lines).check(key)


def test_whoever_revokes_a_certificate_revokes_its_key(pki: Path) -> None:
    """What a stolen host's ssh_host_ed25519_key-cert.pub holds, pasted behind @revoked."""
    key = shown(sign(pki, "-h", "-n", "n1"))
    with pytest.raises(RevokedKeyError):
        trust(pki, "@cert-authority n1 ca.pub", "@revoked * host-cert.pub").check(key)
    with pytest.raises(RevokedKeyError):
        trust(pki, "n1 host.pub", "@revoked n1 host-cert.pub").check(key)
    # Behind no marker it is nobody's key.
    assert trust(pki, "n1 host-cert.pub").keys == ()


@pytest.mark.parametrize("whose", ["n1", "n?", "*", "[n1]:2222"])
@pytest.mark.parametrize("what", ["ca.pub", "host.pub"])
def test_what_is_revoked_for_a_host_is_revoked_on_all_its_ports(
    pki: Path, whose: str, what: str
) -> None:
    key = shown(sign(pki, "-h", "-n", "n1"))
    lines = ("@cert-authority n1 ca.pub", "[n1]:2222 host.pub")
    trust(pki, *lines, name="[n1]:2222").check(key)
    with pytest.raises(RevokedKeyError):
        trust(pki, *lines, f"@revoked {whose} {what}", name="[n1]:2222").check(key)


def write_known_hosts(node_file: Path, pki: Path, line: str) -> None:
    *head, file = line.split()
    node_file.write_text(" ".join([*head, *(pki / file).read_text().split()[:2]]) + "\n")


def test_a_server_shows_its_certificate_where_its_ca_is_known(
    serve: Serve, node_of: NodeOf, pki: Path
) -> None:
    host = sign(pki, "-h", "-n", "127.0.0.1")
    server = serve(host_keys=("ed25519-plain",), certified=(str(host),))
    node = node_of(server)
    write_known_hosts(node.ssh.known_hosts[0], pki, "@cert-authority 127.0.0.* ca.pub")
    with Access() as access, Host(node, access) as opened:
        assert opened.root("echo in").stdout == b"in\n"
    (offer,) = enrol(Access(), node, lambda _: pytest.fail("asked"))
    assert offer.state == "known"


def test_a_certificate_for_another_name_is_named(serve: Serve, node_of: NodeOf, pki: Path) -> None:
    server = serve(certified=(str(sign(pki, "-h", "-n", "elsewhere")),))
    node = node_of(server)
    write_known_hosts(node.ssh.known_hosts[0], pki, "@cert-authority * ca.pub")
    message = r"certificate of \[127\.0\.0\.1\]:\d+ is invalid: it is for elsewhere; have it signed"
    with pytest.raises(HostCertificateError, match=message), Access() as access:
        Host(node, access).open()
    with pytest.raises(HostCertificateError, match="elsewhere"):
        enrol(Access(), node, lambda _: True)


def test_a_revoked_key_is_reported_and_never_recorded(serve: Serve, node_of: NodeOf) -> None:
    server = serve()
    node = node_of(server)
    revoked = f"@revoked * {key('host').get_name()} {key('host').get_base64()}\n"
    node.ssh.known_hosts[0].write_text(revoked)
    with pytest.raises(RevokedHostKeyError, match="is marked @revoked"), Access() as access:
        Host(node, access).open()
    for fingerprints in ({}, {node.name: (f"SHA256:{_print(key('host'))}",)}):
        with pytest.raises(RevokedHostKeyError):
            enrol(Access(), node, lambda _: True, fingerprints)
    assert node.ssh.known_hosts[0].read_text() == revoked


def _print(held: paramiko.PKey) -> str:
    return held.fingerprint.removeprefix("SHA256:")


def test_a_plain_key_is_unknown_where_only_a_ca_is_known(
    serve: Serve, node_of: NodeOf, pki: Path
) -> None:
    node = node_of(serve())
    write_known_hosts(node.ssh.known_hosts[0], pki, "@cert-authority * ca.pub")
    with pytest.raises(UnknownHostKeyError), Access() as access:
        Host(node, access).open()
