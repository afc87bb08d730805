"""
Bootstrap tokens: one per node, valid for minutes.

A token is a Secret in kube-system (kubernetes `staging/src/k8s.io/cluster-bootstrap/token/api`).
Its requester shows up as `system:bootstrap:<id>`: since a token is made for one node and given to
that node alone, a signing request can be tied to the host that asked.
"""

from __future__ import annotations

import base64
import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..pki.csr_policy import Token

if TYPE_CHECKING:
    from .client import Api, Object

GROUP = "system:bootstrappers:fabnode"
NODE_ANNOTATION = "fabnode.io/node"
LABEL = "app.kubernetes.io/managed-by"
_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class BootstrapToken:
    """A token with its secret half, which never shows in a repr."""

    token: Token
    secret: str = field(repr=False)

    @property
    def value(self) -> str:
        """The bearer token: `<id>.<secret>`."""
        return f"{self.token.id}.{self.secret}"


def create(api: Api, node: str, *, minutes: int) -> BootstrapToken:
    """Create a token for one node, valid for `minutes` by the apiserver's clock."""
    token_id = "".join(secrets.choice(_ALPHABET) for _ in range(6))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    server_now = datetime.now(UTC) + timedelta(seconds=api.clock_offset or 0.0)
    expiration = server_now + timedelta(minutes=minutes)
    made = api.create(
        _SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {
                "name": f"bootstrap-token-{token_id}",
                "labels": {LABEL: "fabnode"},
                "annotations": {NODE_ANNOTATION: node},
            },
            "stringData": {
                "token-id": token_id,
                "token-secret": secret,
                "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "usage-bootstrap-authentication": "true",
                "auth-extra-groups": GROUP,
                "description": f"fabnode: for {node}, until it has joined",
            },
        },
    )
    return BootstrapToken(_token(made, token_id), secret)


def existing(api: Api) -> tuple[Token, ...]:
    """Return the tokens of fabnode that still exist (without their secrets)."""
    found = api.get(_SECRETS, labelSelector=f"{LABEL}=fabnode")
    return tuple(
        _token(item, base64.b64decode(item["data"]["token-id"]).decode())
        for item in found["items"]
        if item.get("type") == "bootstrap.kubernetes.io/token"
    )


def delete(api: Api, token: Token) -> None:
    """Delete a token, if it still exists."""
    api.delete(f"{_SECRETS}/bootstrap-token-{token.id}")


def _token(secret: Object, token_id: str) -> Token:
    metadata = secret["metadata"]
    return Token(
        id=token_id,
        node=(metadata.get("annotations") or {}).get(NODE_ANNOTATION, ""),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
    )
