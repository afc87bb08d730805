"""Kubeconfig files for nodes and accounts, with a token or a client certificate."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

from ..util.yaml_io import dump


def kubeconfig(
    *,
    cluster: str,
    server: str,
    ca: bytes | str,
    user: str,
    credentials: dict[str, str],
    server_name: str = "",
) -> bytes:
    """
    Return a kubeconfig with one cluster, one user and one context.

    :param ca: PEM, which is embedded, or the path of a file on the machine.
    :param credentials: the `user` entry: `token`, or `client-certificate` and `client-key`.
    :param server_name: that the server's certificate must hold; empty: the host of its URL.
    """
    parts = (cluster, server, ca, user, tuple(credentials.items()), server_name)
    return _text(*parts) if "token" in credentials else _shared(*parts)


def _text(
    cluster: str,
    server: str,
    ca: bytes | str,
    user: str,
    credentials: tuple[tuple[str, str], ...],
    server_name: str,
) -> bytes:
    authority = (
        {"certificate-authority": ca}
        if isinstance(ca, str)
        else {"certificate-authority-data": base64.b64encode(ca).decode()}
    )
    named = {"tls-server-name": server_name} if server_name else {}
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {**authority, "server": server, **named},
            }
        ],
        "users": [{"name": user, "user": dict(credentials)}],
        "contexts": [{"name": "default", "context": {"cluster": cluster, "user": user}}],
        "current-context": "default",
    }
    return dump(document).encode()


# What names files alone is the same on all nodes. A token is a secret, which is not kept.
_shared = lru_cache(256)(_text)
