"""What applying objects would change, as it is told."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, cast

from fabfile.kube.api import Api
from fabfile.kube.manifests import Manifests

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "namespace": "kube-system"},
}


def encoded(**values: str) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def short(value: str) -> str:
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:12]}"


class Server:
    """An apiserver that has one Secret or none, and merges nothing."""

    def __init__(self, live: dict[str, Any] | None) -> None:
        self.live = live

    def get(self, _path: str) -> dict[str, Any]:
        return {"resources": [{"name": "secrets", "kind": "Secret", "namespaced": True}]}

    def find(self, _path: str) -> dict[str, Any] | None:
        return self.live

    def patch(self, _path: str, body: dict[str, Any], *_: object, **__: str) -> dict[str, Any]:
        return body


def planned(live: dict[str, str] | None, wanted: dict[str, str]) -> list[tuple[str, ...]]:
    found = None if live is None else {**SECRET, "data": live}
    changes = Manifests(cast("Api", Server(found))).plan([{**SECRET, "data": wanted}])
    assert not any(value in repr(changes) for value in wanted.values()), "a secret is shown"
    return [(change.action, change.title, *change.fields) for change in changes]


def test_a_secret_is_told_by_digests_alone() -> None:
    key, new = encoded(key="old", ca="ca"), encoded(key="new", ca="ca")
    title = "Secret kube-system/s"
    assert planned(None, key) == [
        ("create", title, f"data.key {short('old')}", f"data.ca {short('ca')}")
    ]
    assert planned(key, new) == [("update", title, f"data.key {short('old')} → {short('new')}")]
    assert planned(encoded(gone="x") | key, key) == [
        ("update", title, f"data.gone {short('x')} → none")
    ]
    assert planned(key, key) == []
