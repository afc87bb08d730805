"""Checks of the local files that a configuration names: present, readable, private, a CA."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from ..util import pem
from ..util.errors import FabnodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..util.problems import KeyPath
    from .configuration import Node
    from .cross_checks import Violations
    from .sections import (
        ArtifactSettings,
        BootstrapSettings,
        CalicoSettings,
        ClusterSettings,
        ExtensionSettings,
        SecretRef,
    )

_MAX_PEM = 2**20
_PUBLIC_PREFIX = 16
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


class NotACertificateError(FabnodeError):
    """A file can't be used as CA; the text is the reason."""


def read_ca(path: Path) -> bytes:
    """
    Return the unchanged content of a file of CA certificates (PEM).

    :raises NotACertificateError: where it holds anything else.
    """
    if fault := _fault(path):
        raise NotACertificateError(f"{path} {fault}")
    with path.open("rb") as file:
        content = file.read(_MAX_PEM + 1)
    check_ca(content, str(path))
    return content


def check_ca(content: bytes, where: str) -> None:
    """
    Check that this is one or more certificates of CAs, and nothing secret.

    :param where: what it is called in the reason.
    :raises NotACertificateError: where it is anything else.
    """
    if len(content) > _MAX_PEM:
        raise NotACertificateError(f"{where} is too large for certificates")
    if b"PRIVATE KEY-----" in content:
        raise NotACertificateError(
            f"{where} holds a private key, but this file is sent to every node"
        )
    # As kubelets read it: what they would not see, or refuse, is refused here.
    text = pem.certificates(content)
    if not text or text.count("BEGIN") < content.count(b"-----BEGIN CERTIFICATE-----"):
        why = pem.unread(content)
        raise NotACertificateError(f"{where} is not a PEM certificate" + (why and f": {why}"))
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise NotACertificateError(f"{where} is not a PEM certificate") from None
    for certificate in certificates:
        if not _may_sign(certificate):
            raise NotACertificateError(f"{where} holds a certificate that is not a CA's")


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return certificate.version is x509.Version.v1
    except ValueError:
        return False
    return constraints.value.ca


def needed(cluster: ClusterSettings) -> Violations:
    """Check the files that every task needs."""
    yield from _check_private_file(("cluster", "kubeconfig"), cluster.kubeconfig)


def bootstrap(settings: BootstrapSettings) -> Violations:
    """Check the file of the shared bootstrap token."""
    if settings.token and settings.token.file:
        yield from _check_file(("bootstrap", "token", "file"), settings.token.file)


def needed_by(node: Node) -> Violations:
    """Check the files that one node's settings need; key paths begin with the section."""
    for index, key in enumerate(node.ssh.keys):
        if _is_public_key(key):
            message = f"{key} is a public key"
            yield ("ssh", "keys", index), message, "name its private key: the file without .pub"
        else:
            yield from _check_private_file(("ssh", "keys", index), key)
    for name in ("password", "sudo_password"):
        secret: SecretRef | None = getattr(node.ssh, name)
        if secret and secret.file:
            yield from _check_file(("ssh", name, "file"), secret.file)
    proxy = node.kube_proxy
    if proxy.enabled and proxy.signing == "local" and proxy.ca_key:
        yield from _check_private_file(("kube_proxy", "ca_key"), proxy.ca_key)


def _is_public_key(path: Path) -> bool:
    """Return whether a file is a key's public half, as OpenSSH writes it."""
    try:
        with path.open("rb") as file:
            return file.read(_PUBLIC_PREFIX).startswith((b"ssh-", b"ecdsa-sha2-", b"sk-"))
    except OSError:
        return False


def fetching(settings: ArtifactSettings) -> Violations:
    """Check the CA files that download servers are verified with."""
    for name in ("mirrors_ca", "url_ca"):
        path: Path | None = getattr(settings, name)
        if path:
            yield from _check_file(("artifacts", name), path)


def extensions(settings: ExtensionSettings) -> Violations:
    """Check the files of the site's own steps."""
    for index, path in enumerate(settings.steps):
        fault = _fault(path) or others_may_change(path)
        if fault:
            yield ("extensions", "steps", index), f"{path} {fault}", ""


def others_may_change(path: Path) -> str | None:
    """
    Return how others than root and this user can replace a file's content, None where they can't.

    As for ssh's own files, the folders above count: who may write there may put another file in
    its place. In a sticky folder nobody can.
    """
    # From the outermost: a command is named only where nobody else may put a link in its way.
    real = path.resolve()
    above = dict.fromkeys((*reversed(path.absolute().parents), *reversed(real.parents)))
    for each in (*above, real):
        found = each.stat()
        mode = found.st_mode
        if found.st_uid not in {0, os.geteuid()}:
            return f"can be changed by others: {each} belongs to another user"
        sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
        if mode & _OTHERS_WRITE and not sticky:
            return f"can be changed by others: run `chmod go-w {each}`"
    return None


def closed(path: Path) -> str:
    """Return how a file is closed to others, by who may put something else in its place."""
    if others_may_change(path.absolute().parent):
        return "move it into a folder that nobody else can change, and close it there"
    return f"run `chmod 600 {path}`"


def artifacts(settings: ArtifactSettings, calico: CalicoSettings) -> Violations:
    """Check the files that only a deployment needs."""
    for name in ("binaries", "cni_plugins"):
        path: Path = getattr(settings, name)
        if fault := _fault(path, stat.S_ISDIR, "directory"):
            yield ("artifacts", name), f"{path} {fault}", ""
    for index, image in enumerate(settings.images):
        if image.is_dir():
            yield ("artifacts", "images", index), f"{image} holds no image archive", ""
        else:
            yield from _check_file(("artifacts", "images", index), image)
    if calico.enabled and isinstance(calico.manifest, Path):
        published = calico.published_manifest
        yield from (
            (key, message, published and f"its makers publish it at {published}")
            for key, message, _ in _check_file(("calico", "manifest"), calico.manifest)
        )
    if calico.enabled and calico.etcd:
        for name in ("ca", "cert"):
            yield from _check_file(("calico", "etcd", name), getattr(calico.etcd, name))
        yield from _check_private_file(("calico", "etcd", "key"), calico.etcd.key)


def _check_private_file(key: KeyPath, path: Path) -> Violations:
    """Check a file with a secret: there, and neither readable nor writable by others."""
    if fault := _fault(path):
        yield key, f"{path} {fault}", ""
    elif path.stat().st_mode & _OTHERS:
        yield key, f"{path}: others can read it", closed(path)


def _check_file(key: KeyPath, path: Path) -> Violations:
    if fault := _fault(path):
        yield key, f"{path} {fault}", ""


def _fault(
    path: Path, is_kind: Callable[[int], bool] = stat.S_ISREG, kind: str = "file"
) -> str | None:
    """Return why a path can't be read as a file of this kind, None where it can."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if not is_kind(found.st_mode):
        return f"is not a {kind}"
    return None if os.access(path, os.R_OK) else "can't be read: Permission denied"
