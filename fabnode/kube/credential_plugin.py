"""Credential plugins of kubeconfigs (`exec`): run as client-go runs them."""

from __future__ import annotations

import base64
import json
import math
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..util.errors import InputError
from ..util.sanitize import clean
from .login import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROUP = "client.authentication.k8s.io/"
VERSIONS = (f"{_GROUP}v1", f"{_GROUP}v1beta1")
MODES = ("Never", "IfAvailable", "Always")
_ALONE, _WITH_A_PERSON = 60, 600  # seconds that a plugin may take


class PluginError(InputError):
    """A credential plugin failed, or its answer can't be used."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """
    The `exec` section of a kubeconfig's user.

    :param env: additional environment variables. :param mode: one of `MODES`.
    :param cluster: what `provideClusterInfo` hands to it; None: nothing.
    :param hint: how to install it, as the kubeconfig says.
    """

    version: str
    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    mode: str
    cluster: Mapping[str, Any] | None = None
    hint: str = ""

    def run(self) -> Identity:
        """
        Return the identity that the plugin gives. A terminal is the plugin's own while it runs.

        :raises PluginError: in one clause.
        """
        interactive = self.mode != "Never" and os.isatty(0)  # which the plugin inherits
        if self.mode == "Always" and not interactive:
            raise PluginError("exec.interactiveMode is Always, and there is no terminal")
        spec: dict[str, Any] = {"interactive": interactive}
        if self.cluster is not None:
            spec["cluster"] = self.cluster
        info = {"apiVersion": self.version, "kind": "ExecCredential", "spec": spec}
        try:
            answer = subprocess.run(
                [self.command, *self.args],
                env={**os.environ, **self.env, "KUBERNETES_EXEC_INFO": json.dumps(info)},
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=_WITH_A_PERSON if interactive else _ALONE,
                check=True,
            ).stdout
        except OSError as error:
            hint = f"; {clean(self.hint)[:300]}" if self.hint else ""
            raise PluginError(f"exec: {self.command}: {error.strerror}{hint}") from error
        except subprocess.CalledProcessError as error:
            raise PluginError(f"exec: {self.command} failed with {error.returncode}") from error
        except subprocess.TimeoutExpired as error:
            message = f"exec: {self.command} did not end within {error.timeout:.0f} s"
            raise PluginError(message) from error
        return _identity(answer, self)


def _identity(answer: bytes, plugin: Plugin) -> Identity:
    name = plugin.command
    try:
        document = json.loads(answer)
        status = document["status"]
        version = document.get("apiVersion", plugin.version)
        values = [status.get(k) for k in ("token", "clientCertificateData", "clientKeyData")]
        expiry = status.get("expirationTimestamp")
        until = _seconds(expiry) if expiry else math.inf
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PluginError(f"exec: {name} printed no ExecCredential with a status") from error
    if version != plugin.version:
        asked = f"{plugin.version.removeprefix(_GROUP)} was asked for"
        raise PluginError(f"exec: {name} printed an ExecCredential of {version!r}; {asked}")
    if not all(isinstance(value, str | None) for value in values):
        raise PluginError(f"exec: {name} printed a status whose values are no text")
    token, certificate, key = values
    if not token and not certificate and not key:
        raise PluginError(f"exec: {name} printed neither a token nor a certificate")
    if bool(certificate) != bool(key):
        raise PluginError(f"exec: {name} printed a certificate or a key without the other")
    pair = f"{certificate}\n{key}".encode() if certificate else None
    return Identity(pair, token or None, until)


def _seconds(timestamp: str) -> float:
    """Return a time of RFC 3339 in seconds since 1970. Raises ValueError, TypeError."""
    moment = datetime.fromisoformat(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def cluster_info(
    cluster: Mapping[str, Any], ca_pem: bytes | None, config: Any
) -> Mapping[str, Any]:
    """
    Return what `provideClusterInfo` promises a plugin.

    :param cluster: the kubeconfig's. :param config: its extension for plugins.
    """
    info = {k: cluster[k] for k in ("server", "tls-server-name", "proxy-url") if k in cluster}
    if ca_pem:
        info["certificate-authority-data"] = base64.b64encode(ca_pem).decode()
    return info | ({"config": config} if config is not None else {})
