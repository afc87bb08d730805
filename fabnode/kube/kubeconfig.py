"""
kubeconfig files: the current context as credentials of a TLS connection.

What kubectl honours is honoured or refused by the name of its field, never passed over: a field
that is ignored may give more rights than its writer meant, or lead elsewhere. docs/access.md
lists them.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from ..pki.certificates import BadCertificateError, public_key, read
from ..util import pem
from ..util.errors import InputError
from ..util.problems import either, nearest
from ..util.sanitize import clean, cut
from ..util.tls import client_context
from ..util.yaml_io import parse
from .credential_plugin import MODES, VERSIONS, Plugin, PluginError, cluster_info
from .login import Identity, Login

_TOKEN_FILE_SECONDS = 60  # as client-go; whoever rotates tokens counts on it
_PLUGIN_CONFIG = "client.authentication.k8s.io/exec"

# By section, as in the file. What has no bearing on whom fabnode talks to, and as whom, is idle.
HONOURED = {
    "cluster": (
        "server",
        "tls-server-name",
        "certificate-authority",
        "certificate-authority-data",
        "proxy-url",
    ),
    "user": (
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "token",
        "tokenFile",
        "as",
        "as-uid",
        "as-groups",
        "as-user-extra",
        "exec",
    ),
    "exec": (
        "apiVersion",
        "command",
        "args",
        "env",
        "interactiveMode",
        "provideClusterInfo",
        "installHint",
    ),
    "context": ("cluster", "user"),
}
IDLE = {
    "cluster": ("disable-compression", "extensions"),
    "user": ("extensions",),
    "exec": (),
    "context": ("namespace", "extensions"),
}
REFUSED = {
    "cluster": {
        "insecure-skip-tls-verify": "name the CA instead: whoever answers would get the token"
    },
    "user": {
        "username": "Kubernetes 1.19 removed passwords",
        "password": "Kubernetes 1.19 removed passwords",
        "auth-provider": "kubectl 1.26 removed it; use `exec`",
    },
    "exec": {},
    "context": {},
}

_Section = dict[str, Any]


class KubeconfigError(InputError):
    """A kubeconfig can't be used; the text names the file, the field and what is wrong."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    Address of the API and the client's credentials. All but `server` are optional.

    :param ca_pem: None: the system's CAs. :param tls_server_name: that the certificate must name.
    :param proxy: URL of the HTTP proxy to go through.
    :param impersonation: headers, for an identity other than the login's own.
    :param context: name of the context they are of; `ca_file`: where the file has the CA's path.
    :param others: URLs of the same API, for while `server` does not answer.
    """

    server: str
    ca_pem: bytes | None = None
    tls_server_name: str | None = None
    login: Login = field(default_factory=lambda: Login(Identity()))
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    impersonation: tuple[tuple[str, str], ...] = ()
    context: str = ""
    ca_file: Path | None = None
    others: tuple[str, ...] = ()

    @property
    def service_account(self) -> str:
        """The user name that counts, where it is a ServiceAccount's; else empty."""
        user = dict(self.impersonation).get("Impersonate-User")
        subject = _subject(self.login.current().token or "") if user is None else user
        return subject if subject.startswith("system:serviceaccount:") else ""


def _subject(token: str) -> str:
    """Return whose token it is, where it is a JWT; others only their issuer understands."""
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return ""
    return str(claims.get("sub", "")) if isinstance(claims, dict) else ""


def load(path: Path) -> Credentials:
    """
    Read the current context of a kubeconfig; `exec` plugins are run.

    :raises KubeconfigError: also for what is refused, such as plain http: a deployer that does not
        know whom it talks to would hand tokens to anyone.
    """
    try:
        return _File(path, parse(path.read_bytes())).credentials()
    except OSError as error:
        raise KubeconfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        message = f"{path}: not a usable kubeconfig: {cut(clean(str(error)))}"
        raise KubeconfigError(message) from error


def ssl_context(credentials: Credentials, identity: Identity) -> ssl.SSLContext:
    """Return a TLS context that verifies the server and has the client certificate."""
    context = client_context(ca_pem=credentials.ca_pem)
    if identity.client_pem:
        # The ssl module reads keys from files only. An anonymous memory file never reaches a disk.
        handle = os.memfd_create("client", os.MFD_CLOEXEC)
        try:
            os.write(handle, identity.client_pem)
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    return context


class _File:
    """A kubeconfig file, its errors with the path before them."""

    def __init__(self, path: Path, document: Any) -> None:
        self._path = path
        self._base = path.absolute().parent
        self._document: _Section = document if isinstance(document, dict) else {}

    def credentials(self) -> Credentials:
        current = self._document.get("current-context")
        if not current or not isinstance(current, str):
            raise self._unusable("current-context is not set; run `kubectl config use-context`")
        context = self._entry("context", current)
        cluster_name, user_name = (
            self._text(context, key, f"context {current}") for key in ("cluster", "user")
        )
        if not (cluster_name and user_name):
            lacking = "user" if cluster_name else "cluster"
            raise self._unusable(f"context {current}: {lacking} is missing")
        cluster, where = self._entry("cluster", cluster_name), f"cluster {cluster_name}"
        user = self._entry("user", user_name)
        ca = self._ca(cluster, where)
        named = self._text(cluster, "certificate-authority", where)
        login = self._login(user, f"user {user_name}", cluster, ca)
        return Credentials(
            server=self._server(cluster, where),
            ca_pem=ca,
            tls_server_name=self._text(cluster, "tls-server-name", where) or None,
            login=login,
            proxy=self._proxy(cluster, where),
            impersonation=self._impersonation(user, f"user {user_name}"),
            context=current,
            ca_file=self._base / named if named else None,
        )

    def _server(self, cluster: _Section, where: str) -> str:
        server = self._text(cluster, "server", where)
        try:
            url = urlsplit(server)
            _ = url.port  # which raises where it is none
            usable = url.scheme == "https" and url.hostname and "@" not in url.netloc
        except ValueError:
            usable = False
        if not usable:
            raise self._error(f"{where}: server {server!r} is not an https:// URL")
        return server.rstrip("/")

    def _proxy(self, cluster: _Section, where: str) -> str | None:
        proxy = self._text(cluster, "proxy-url", where)
        if not proxy:
            return None
        try:
            url = urlsplit(proxy)
            _ = url.port
        except ValueError:
            raise self._error(f"{where}: proxy-url is not a URL") from None
        if url.scheme == "socks5":
            raise self._error(f"{where}: proxy-url: socks5 is refused: use an http:// proxy")
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise self._error(f"{where}: proxy-url is not an http:// or https:// URL")
        return proxy

    def _ca(self, cluster: _Section, where: str) -> bytes | None:
        content = self._content(cluster, "certificate-authority", where)
        if content is None:
            return None
        trusted = pem.certificates(content).encode()
        if not trusted:
            why = pem.unread(content) or "it holds no certificate in PEM"
            raise self._error(f"{where}: certificate-authority: {why}")
        try:
            client_context(ca_pem=trusted)
        except ssl.SSLError:
            raise self._error(f"{where}: certificate-authority: not a certificate") from None
        return trusted

    def _impersonation(self, user: _Section, where: str) -> tuple[tuple[str, str], ...]:
        name = self._text(user, "as", where)
        uid = self._text(user, "as-uid", where)
        groups = self._texts(user, "as-groups", where)
        extra = user.get("as-user-extra") or {}
        if not isinstance(extra, dict):
            raise self._error(f"{where}: as-user-extra is not a mapping")
        values = [(key, v) for key in extra for v in self._texts(extra, key, where)]
        if (uid or groups or extra) and not name:
            raise self._error(f"{where}: as-uid, as-groups and as-user-extra need `as`")
        headers = [("Impersonate-User", name)] if name else []
        headers += [("Impersonate-Uid", uid)] if uid else []
        headers += [("Impersonate-Group", group) for group in groups]
        headers += [(f"Impersonate-Extra-{key}", value) for key, value in values]
        if not all(text.isprintable() and text.isascii() for pair in headers for text in pair):
            raise self._error(f"{where}: `as…`: only printable ASCII can be sent in a header")
        return tuple(headers)

    def _login(self, user: _Section, where: str, cluster: _Section, ca: bytes | None) -> Login:
        if "exec" in user:
            if user.get("token") or user.get("tokenFile"):
                raise self._error(f"{where}: exec and a token are both set; leave one")
            pair = self._pair(user, where)
            plugin = self._plugin(user["exec"], where, cluster, ca)

            def run() -> Identity:
                try:
                    found = plugin.run()
                except PluginError as error:
                    raise self._error(f"{where}: {error}") from error
                given = self._checked(found.client_pem, f"{where}: exec") or pair
                return replace(found, client_pem=given)

            return Login(run(), run)

        def read_identity() -> Identity:
            token, until = self._token(user, where)
            return Identity(self._pair(user, where), token, until)

        found = read_identity()
        if not (found.token or found.client_pem):
            raise self._error(f"{where}: it has no token, no client-certificate and no exec")
        return Login(found, read_identity)

    def _token(self, user: _Section, where: str) -> tuple[str | None, float]:
        """Return the bearer token, and when to read it again."""
        token, file = self._text(user, "token", where), self._text(user, "tokenFile", where)
        if not file:
            return self._sendable(token, where, "token"), float("inf")
        until = time.time() + _TOKEN_FILE_SECONDS
        try:
            token = (self._base / file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            if not token:
                why = error.strerror if isinstance(error, OSError) else "it is no text"
                raise self._error(f"{where}: tokenFile {self._base / file}: {why}") from error
        return self._sendable(token, where, "tokenFile"), until

    def _sendable(self, token: str, where: str, field: str) -> str | None:
        if field == "tokenFile" and not token:
            raise self._error(f"{where}: tokenFile: the file is empty")
        if not token.isprintable():
            raise self._error(f"{where}: {field} is not one line of text")
        return token or None

    def _pair(self, user: _Section, where: str) -> bytes | None:
        """Return the client certificate with its key."""
        certificate = self._content(user, "client-certificate", where)
        key = self._content(user, "client-key", where)
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            lacking = "client-certificate" if certificate is None else "client-key"
            raise self._error(f"{where}: {lacking} is missing")
        return self._checked(certificate + b"\n" + key, where)

    def _checked(self, pair: bytes | None, where: str) -> bytes | None:
        """Return certificates and key, and nothing else, where they belong together."""
        if pair is None:
            return None
        certificates = pem.certificates(pair).encode()
        if not certificates:
            raise self._error(f"{where}: client-certificate: it holds no certificate in PEM")
        keys = [block for block in pem.blocks(pair) if block.label.endswith("PRIVATE KEY")]
        if not keys:
            raise self._error(f"{where}: client-key: it holds no private key in PEM")
        if keys[0].headers or keys[0].label.startswith("ENCRYPTED"):
            raise self._error(
                f"{where}: client-key: it is encrypted, which kubectl refuses as well"
            )
        try:
            fits = public_key(keys[0].pem) == read(certificates).public_key
        except BadCertificateError as error:
            raise self._error(f"{where}: client-certificate or client-key: {error}") from error
        if not fits:
            raise self._error(f"{where}: client-key is not the key of client-certificate")
        return certificates + keys[0].pem

    def _plugin(self, entry: object, where: str, cluster: _Section, ca: bytes | None) -> Plugin:
        section, where = self._section("exec", entry, f"{where}: exec"), f"{where}: exec"
        version = self._text(section, "apiVersion", where)
        if version not in VERSIONS:
            raise self._error(f"{where}: apiVersion must be {either(VERSIONS)}, not {version!r}")
        command = self._text(section, "command", where)
        if not command:
            raise self._error(f"{where}: command is missing")
        mode = self._text(section, "interactiveMode", where) or "IfAvailable"
        if mode not in MODES:
            raise self._error(f"{where}: interactiveMode must be {either(MODES)}, not {mode!r}")
        if "/" in command:  # otherwise it is looked for in PATH
            command = str(self._base / command)
        env = section.get("env") or []
        if not isinstance(env, list) or not all(isinstance(item, dict) for item in env):
            raise self._error(f"{where}: env is not a list of names and values")
        info = None
        if section.get("provideClusterInfo"):
            extensions = cluster.get("extensions") or []
            named = {e.get("name"): e.get("extension") for e in extensions if isinstance(e, dict)}
            info = cluster_info(cluster, ca, named.get(_PLUGIN_CONFIG))
        return Plugin(
            version,
            command,
            self._texts(section, "args", where),
            {
                self._text(item, "name", f"{where}: env"): self._text(item, "value", where)
                for item in env
            },
            mode,
            info,
            self._text(section, "installHint", where),
        )

    def _entry(self, kind: str, name: str) -> _Section:
        """Return what the list of clusters, users or contexts holds under a name."""
        listed = self._document.get(f"{kind}s") or []
        if not isinstance(listed, list):
            raise self._unusable(f"{kind}s is not a list")
        found = [entry for entry in listed if isinstance(entry, dict) and entry.get("name") == name]
        if len(found) > 1:  # kubectl refuses it; other clients take the first, or the last
            raise self._unusable(f"it has {len(found)} {kind}s named {name}; leave one of them")
        if found:
            return self._section(kind, found[0].get(kind) or {}, f"{kind} {name}")
        raise self._unusable(
            f"there is no {kind} {name} in it; where KUBECONFIG names several files, make one of"
            " them: `kubectl config view --flatten --minify > FILE`"
        )

    def _section(self, kind: str, section: object, where: str) -> _Section:
        """Return a section all of whose fields are honoured or idle."""
        if not isinstance(section, dict):
            raise self._error(f"{where} is not a mapping")
        known = (*HONOURED[kind], *IDLE[kind])
        for name, value in section.items():
            if name in known:
                continue
            if name not in REFUSED[kind]:
                hint = nearest(str(name), known) or "no field of kubeconfigs has this name"
                raise self._error(f"{where}: {name}: unknown field; {hint}")
            if value:
                raise self._error(f"{where}: {name} is refused; {REFUSED[kind][name]}")
        return section

    def _content(self, section: _Section, key: str, where: str) -> bytes | None:
        """Return `<key>-data` decoded, or the file that `<key>` names; None: neither is set."""
        data, name = self._text(section, f"{key}-data", where), self._text(section, key, where)
        if data and name:
            raise self._error(f"{where}: {key} and {key}-data are both set; leave one")
        if data:
            try:
                return base64.b64decode("".join(data.split()), validate=True)
            except (binascii.Error, ValueError):
                raise self._error(f"{where}: {key}-data is not base64") from None
        if name:
            try:
                return (self._base / name).read_bytes()
            except OSError as error:
                text = f"{where}: {key} {self._base / name}: {error.strerror}"
                raise self._error(text) from error
        return None

    def _text(self, section: _Section, key: str, where: str) -> str:
        """Return a field of text; empty where it is not set."""
        value = section.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._error(f"{where}: {key} is not text: write it in quotes")
        return value

    def _texts(self, section: _Section, key: str, where: str) -> tuple[str, ...]:
        values = section.get(key) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._error(f"{where}: {key} is not a list of texts")
        return tuple(values)

    def _error(self, text: str) -> KubeconfigError:
        return KubeconfigError(f"{self._path}: {clean(text)}")

    def _unusable(self, text: str) -> KubeconfigError:
        return KubeconfigError(f"{self._path}: not a usable kubeconfig: {clean(text)}")
