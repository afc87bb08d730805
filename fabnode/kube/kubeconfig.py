"""kubeconfig files: the current context as credentials of a TLS connection."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..util.errors import InputError
from ..util.tls import client_context
from ..util.yaml_io import parse


class KubeconfigError(InputError):
    """A kubeconfig can't be used; the text names the file and what is missing."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    Address of the API and the client's credentials. All but `server` are optional.

    :param ca_pem: None: the system's CAs.
    """

    server: str
    ca_pem: bytes | None
    tls_server_name: str | None
    client_pem: bytes | None = field(repr=False)
    token: str | None = field(repr=False)

    @property
    def service_account(self) -> str:
        """The user name in the token, where it is a ServiceAccount's (a JWT); else empty."""
        _, _, rest = (self.token or "").partition(".")
        payload = rest.partition(".")[0]
        try:
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except ValueError:  # some other token, which only its issuer understands
            return ""
        subject = str(claims.get("sub", "")) if isinstance(claims, dict) else ""
        return subject if subject.startswith("system:serviceaccount:") else ""


def load(path: Path) -> Credentials:
    """
    Read the current context of a kubeconfig; `exec` plugins are run.

    Raises KubeconfigError. `insecure-skip-tls-verify` and plain http are refused: a deployer that
    does not know whom it talks to would hand tokens to anyone.
    """
    try:
        document = parse(path.read_text())
        context = _named(document, "contexts", "context", document["current-context"])
        cluster = _named(document, "clusters", "cluster", context["cluster"])
        user = _named(document, "users", "user", context["user"])
        server = str(cluster["server"])
    except OSError as error:
        raise KubeconfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        message = f"{path}: not a usable kubeconfig ({type(error).__name__}: {error})"
        raise KubeconfigError(message) from error
    if cluster.get("insecure-skip-tls-verify"):
        raise KubeconfigError(f"{path}: insecure-skip-tls-verify is refused; name the CA instead")
    if not server.startswith("https://"):
        raise KubeconfigError(f"{path}: server {server!r} is not an https:// URL")
    base = path.parent
    ca = _inline_or_file(cluster, "certificate-authority", base)
    client_pem, token = _identity(user, base, path)
    return Credentials(
        server=server.rstrip("/"),
        ca_pem=ca or None,
        tls_server_name=cluster.get("tls-server-name"),
        client_pem=client_pem,
        token=token,
    )


def ssl_context(credentials: Credentials) -> ssl.SSLContext:
    """Return a TLS context that verifies the server and has the client certificate."""
    context = client_context(ca_pem=credentials.ca_pem)
    if credentials.client_pem:
        # The ssl module reads keys from files only. An anonymous memory file never reaches a disk.
        handle = os.memfd_create("client", os.MFD_CLOEXEC)
        try:
            os.write(handle, credentials.client_pem)
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    return context


def _identity(user: dict[str, Any], base: Path, path: Path) -> tuple[bytes | None, str | None]:
    """Return the client certificate with its key, and the bearer token; either may be None."""
    if plugin := user.get("exec"):
        status = _run_plugin(plugin, path)
        certificate = status.get("clientCertificateData", "")
        key = status.get("clientKeyData", "")
        return f"{certificate}\n{key}".encode() if certificate else None, status.get("token")
    certificate_pem = _inline_or_file(user, "client-certificate", base)
    key_pem = _inline_or_file(user, "client-key", base)
    token = user.get("token")
    if not token and (token_file := user.get("tokenFile")):
        token = (base / token_file).read_text().strip()
    pem = certificate_pem + b"\n" + key_pem if certificate_pem and key_pem else None
    return pem, token


def _run_plugin(plugin: dict[str, Any], path: Path) -> dict[str, str]:
    """Run a client-go credential plugin (client.authentication.k8s.io ExecCredential)."""
    extra = {item["name"]: item["value"] for item in plugin.get("env") or ()}
    info = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": {}}
    try:
        answer = subprocess.run(
            [plugin["command"], *(plugin.get("args") or ())],
            env={**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdout=subprocess.PIPE,
            timeout=60,
            check=True,
        )
        status: dict[str, str] = json.loads(answer.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        message = f"{path}: the credential plugin {plugin['command']} failed ({error})"
        raise KubeconfigError(message) from error
    return status


def _named(document: dict[str, Any], section: str, kind: str, name: str) -> dict[str, Any]:
    for entry in document[section]:
        if entry["name"] == name:
            found: dict[str, Any] = entry[kind] or {}
            return found
    raise KeyError(f"{section}: {name}")


def _inline_or_file(entry: dict[str, Any], key: str, base: Path) -> bytes:
    """Return `<key>-data` decoded, or the file that `<key>` names (relative to the kubeconfig)."""
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data)
    if name := entry.get(key):
        try:
            return (base / str(name)).read_bytes()
        except OSError as error:
            raise KubeconfigError(f"{base / str(name)}: {error.strerror}") from error
    return b""
