"""Kubeconfig files for nodes and accounts, with a token or a client certificate."""

from __future__ import annotations

import base64
from typing import Any

from ..util.yaml_io import dump


def kubeconfig(
    *, cluster: str, server: str, ca: bytes | str, user: str, credentials: dict[str, str]
) -> bytes:
    """
    Return a kubeconfig with one cluster, one user and one context.

    :param ca: PEM, which is embedded, or the path of a file on the machine.
    :param credentials: the `user` entry: `token`, or `client-certificate` and `client-key`.
    """
    authority = (
        {"certificate-authority": ca}
        if isinstance(ca, str)
        else {"certificate-authority-data": base64.b64encode(ca).decode()}
    )
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {**authority, "server": server},
            }
        ],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "default", "context": {"cluster": cluster, "user": user}}],
        "current-context": "default",
    }
    return dump(document).encode()
