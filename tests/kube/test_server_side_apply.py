"""What applying objects would change, as it is reported."""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import Any, cast

import pytest

from fabnode.kube.client import APPLY_PATCH, MERGE_PATCH, Api
from fabnode.kube.server_side_apply import Manifests, Way, way
from fabnode.releases.version import Release
from fabnode.util.merging import merge_deep

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


def test_a_secret_is_shown_by_digests_alone() -> None:
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


BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "b", "labels": {"app": "fabnode"}},
    "subjects": [{"kind": "Group", "name": "g"}],
}
_PATH = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


class OldServer:
    """An apiserver without server-side apply, and before 1.13 without a dry run."""

    def __init__(self, *, dry_run: bool) -> None:
        self.live: dict[str, Any] | None = None
        self.dry_run = dry_run

    def get(self, _path: str) -> dict[str, Any]:
        kind = {"name": "clusterrolebindings", "kind": "ClusterRoleBinding", "namespaced": False}
        return {"resources": [kind]}

    def find(self, path: str) -> dict[str, Any] | None:
        assert path == f"{_PATH}/b"
        return copy.deepcopy(self.live)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == _PATH
        self.live = self._defaulted(body)
        return self.live

    def patch(self, path: str, body: Any, kind: str, **query: str) -> dict[str, Any]:
        assert (path, kind) == (f"{_PATH}/b", MERGE_PATCH)
        assert kind != APPLY_PATCH
        made = self._defaulted(cast("Any", merge_deep(self.live, body)))
        if query == {"dryRun": "All"}:
            assert self.dry_run, "it would have been changed by a plan"
            return made
        assert query == {}
        self.live = made
        return made

    @staticmethod
    def _defaulted(body: dict[str, Any]) -> dict[str, Any]:
        made = copy.deepcopy(body)
        for subject in made["subjects"]:
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
        made["metadata"].setdefault("annotations", {"others": "say"})
        return made


@pytest.mark.parametrize("how", ["merge", "compare"])
def test_an_apiserver_without_server_side_apply_gets_the_same(how: Way) -> None:
    server = OldServer(dry_run=how == "merge")
    manifests = Manifests(cast("Api", server), way=how)

    def planned() -> list[tuple[str, ...]]:
        changes = manifests.plan([BINDING])
        before = copy.deepcopy(server.live)
        reported = [(change.action, *change.fields) for change in changes]
        assert server.live == before, "planning changed it"
        manifests.apply(changes)
        return reported

    assert planned() == [("create",)]
    assert planned() == []
    assert server.live
    server.live["subjects"][0]["name"] = "somebody"
    server.live["metadata"]["labels"] = {"other": "kept"}
    assert sorted(planned()[0]) == ["metadata.labels.app", "subjects[0].name", "update"]
    assert planned() == []
    assert server.live["metadata"]["labels"] == {"other": "kept", "app": "fabnode"}
    assert server.live["metadata"]["annotations"] == {"others": "say"}


def test_each_release_is_brought_objects_by_what_it_can() -> None:
    ways = {minor: way(Release(1, minor, 0)) for minor in (8, 12, 13, 15, 16, 20, 37)}
    assert ways == {
        8: "compare",
        12: "compare",
        13: "merge",
        15: "merge",
        16: "apply",
        20: "apply",
        37: "apply",
    }
