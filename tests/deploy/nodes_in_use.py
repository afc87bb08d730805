"""A cluster in memory whose nodes have pods: evictions, budgets, cordons, with the real engine."""

from __future__ import annotations

import json
import threading
from copy import deepcopy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

from fabnode.deploy import cluster_session as session_module
from fabnode.deploy import node_drainer, proxy_binding
from fabnode.deploy import run as run_module
from fabnode.deploy.run import Run
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from tests.deploy.bindings import Bindings
from tests.support import make_config
from tests.upkeep import pods as made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from fabnode.config.configuration import Config, Node

Object = dict[str, Any]

CANNOT = "Cannot evict pod as it would violate the pod's disruption budget."
HELD = (429, {"message": CANNOT, "details": {"causes": [{"reason": "DisruptionBudget"}]}})
TAKEN = (201, {"status": "Success"})


class Api:
    """
    An apiserver in memory.

    :ivar made: admission policies and their bindings, by path.
    :ivar reported: what was changed, in order. :ivar tries: what was evicted as a dry run.
    :ivar answers: by pod, what its evictions get in order, the last one again and again.
    :ivar lasts: how many lists of pods one that was evicted is still in.
    :ivar dead: nodes whose kubelets end no pod: what is evicted there stays until it is deleted at
        once.
    :ivar on_change: called with each change, before it is made.
    """

    clock_offset = 0.0
    server = "https://192.0.2.1:6443"

    def __init__(self, version: str = "v1.37.2") -> None:
        self.version = version
        self.nodes = {name: made.node(name) for name in ("n1", "n2", "n3")}
        self.pods: list[Object] = []
        self.budgets: list[Object] = []
        self.events: list[Object] = []
        self.volumes: list[Object] = []
        self.owners = {"/apis/apps/v1/namespaces/shop/replicasets/web": {"metadata": {"uid": "o"}}}
        self.answers: dict[str, list[tuple[int, Object]]] = {}
        self.made: dict[str, Object] = {}
        self.lasts = 1
        self.dead: set[str] = set()
        self.reported: list[str] = []
        self.tries: list[str] = []
        self.refused: set[str] = set()
        self.on_change: Callable[[str], None] = lambda _: None
        self._lock = threading.RLock()

    def get(self, path: str, **query: str) -> Object:
        with self._lock:
            if path == "/version":
                return {"gitVersion": self.version}
            if path == "/api/v1/nodes":
                return _listed(self.nodes.values())
            if path == "/api/v1/pods":
                selector = query.get("fieldSelector", "")
                return _listed(self._seen(selector.removeprefix("spec.nodeName=")))
            if path.endswith("/poddisruptionbudgets"):
                return _listed(self.budgets)
            if path == "/api/v1/persistentvolumes":
                return _listed(self.volumes)
            if path == "/api/v1/namespaces/shop/pods":
                return _listed(self.pods)
            if path.endswith("/events"):
                return _listed(self.events)
            if found := self.owners.get(path):
                return deepcopy(found)
            raise ApiError(404, "NotFound", f"{path} not found")

    def find(self, path: str) -> Object | None:
        with self._lock:
            found = self.nodes.get(path.rpartition("/")[2])
            return deepcopy(found) if path.startswith("/api/v1/nodes/") else self.made.get(path)

    def create(self, path: str, body: Object) -> Object:
        if "/admissionregistration" in path:
            if path in self.refused:
                raise ApiError(403, "Forbidden", "no")
            self.made[f"{path}/{body['metadata']['name']}"] = body
            return body
        asked = body["spec"]["resourceAttributes"]
        right = f"{asked['verb']} {asked['resource']}"
        return {
            "status": {"allowed": not self.refused if right == "* *" else right not in self.refused}
        }

    def patch(self, path: str, body: Object) -> Object:
        with self._lock:
            name = path.rpartition("/")[2]
            record = body["metadata"]["annotations"]["fabnode.io/operation"]
            what = json.loads(record)["phase"] if record else "nothing"
            cordons = body.get("spec", {}).get("unschedulable", "as it is")
            self._change(f"patch {name}: {what}, unschedulable {cordons}")
            live = self.nodes[name]
            if live["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                raise ApiError(409, "Conflict", "the object has been modified")
            live["metadata"].setdefault("annotations", {})["fabnode.io/operation"] = record
            live["metadata"]["resourceVersion"] += "1"
            if "spec" in body:
                live["spec"] = body["spec"]
                fields: Object = {"f:spec": {"f:unschedulable": {}}}
                live["metadata"]["managedFields"] = [{"manager": "fabnode", "fieldsV1": fields}]
            return live

    def answer(self, path: str, body: Object, **query: str) -> tuple[int, Object]:
        with self._lock:
            name, options = body["metadata"]["name"], body["deleteOptions"]
            scripted = self.answers.get(name, [TAKEN])
            if query.get("dryRun") == "All" and options.get("dryRun") == ["All"]:
                self.tries.append(name)
                return scripted[0]
            assert "dryRun" not in query | options, "half a dry run is none"
            found = next((p for p in self.pods if p["metadata"]["name"] == name), None)
            if found is None or found["metadata"]["uid"] != options["preconditions"]["uid"]:
                return 404, {"message": "not found"}
            answer = scripted.pop(0) if len(scripted) > 1 else scripted[0]
            if answer == TAKEN:
                self._change(f"evict {name} ({body['apiVersion']})")
                self._end(found)
            return answer

    def delete(
        self, path: str, *, version: str = "", uid: str = "", grace: int | None = None
    ) -> None:
        with self._lock:
            name = path.rpartition("/")[2]
            found = next(p for p in self.pods if p["metadata"]["uid"] == uid)
            if grace == 0:
                self._change(f"delete {name} at once")
                self.pods.remove(found)
                return
            self._change(f"delete {name}")
            self._end(found)

    def stream(self, *_: object, **__: object) -> Iterator[Object]:
        raise ApiError(403, "Forbidden", "no watch in this test")

    def cordoned(self, name: str = "n1") -> bool:
        return bool(self.nodes[name]["spec"].get("unschedulable"))

    def _change(self, what: str) -> None:
        self.on_change(what)
        self.reported.append(what)

    def _end(self, pod: Object) -> None:
        pod["metadata"]["deletionTimestamp"] = "2026-11-29T12:00:00Z"
        pod["left"] = self.lasts

    def _seen(self, node: str) -> list[Object]:
        for pod in [p for p in self.pods if "left" in p]:
            if pod["spec"]["nodeName"] in self.dead:
                continue
            pod["left"] -= 1
            if pod["left"] < 0:
                self.pods.remove(pod)
        return [p for p in self.pods if node in ("", p["spec"]["nodeName"])]


def kubelet(
    active: str = "active", sub: str = "running", *, restarts: int = 0, up: int = 600
) -> bytes:
    """Return what systemd says of a kubelet, which was started `up` seconds ago."""
    return (
        f"ActiveState={active}\nSubState={sub}\nNRestarts={restarts}\n"
        f"ActiveEnterTimestampMonotonic={(1000 - up) * 10**6}\nUptime=1000\n"
    ).encode()


DEAD = kubelet("failed", "failed")
LOOPS = kubelet("activating", "auto-restart", restarts=7)


class Lock:
    """A Lease that anybody gets."""

    def __init__(self, api: Api, _: object) -> None:
        self._api = api

    def take(self) -> None:
        """Take it."""

    def release(self) -> None:
        """Give it back."""


class Scene:
    """Three nodes in use, and runs on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        settings = {
            "calico": {"enabled": False},
            "timeouts": {"drain": 3},
            "maintenance": {"retry": 1},
            **settings,
        }
        self.config: Config = make_config(**settings)
        self.api = Api()
        self.journal = Journal()
        monkeypatch.setattr(session_module, "load", lambda _: SimpleNamespace(service_account=""))
        monkeypatch.setattr(session_module, "Api", lambda *_, **__: self.api)
        monkeypatch.setattr(session_module, "LeaseLock", Lock)
        monkeypatch.setattr(run_module, "Access", MagicMock())
        monkeypatch.setattr(run_module, "Host", lambda node, _: _host(node))
        monkeypatch.setattr(node_drainer, "_POLL", 0.01)

    def run(self, *names: str, batch: int | None = 1) -> Run:
        """Return a run on these nodes (n1) with a journal of its own."""
        self.journal = Journal()
        wanted = names or ("n1",)
        nodes = tuple(node for node in self.config.nodes if node.name in wanted)
        return Run(self.config, nodes, self.journal, {}, max_parallel=3, batch=batch)

    def texts(self, state: str) -> list[str]:
        """Return the texts of the journal's events of one state."""
        return [event.text for event in self.journal.events if event.state == state]


def _host(node: Node) -> SimpleNamespace:
    """Return a host that nobody may ask anything."""
    return SimpleNamespace(node=node, name=node.name, close=lambda: None, interrupt=lambda: None)


def _listed(items: Any) -> Object:
    return {"items": deepcopy(list(items)), "metadata": {"resourceVersion": "1"}}


def with_binding(scene: Any, monkeypatch: pytest.MonkeyPatch, *names: str) -> Bindings:
    """Have the scene's apiserver answer about the binding of kube-proxies as well."""
    bindings = Bindings(*names)
    find, patch = scene.api.find, scene.api.patch

    def found(path: str) -> Any:
        return bindings.find(path) if path == proxy_binding.PATH else find(path)

    def patched(path: str, body: Any, **query: str) -> Any:
        return (
            bindings.patch(path, body, **query) if path == proxy_binding.PATH else patch(path, body)
        )

    monkeypatch.setattr(scene.api, "find", found)
    monkeypatch.setattr(scene.api, "patch", patched)
    return bindings


def local_volume(node: str) -> Object:
    """Return a volume that this node alone can have."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    terms = [{"matchExpressions": [expression]}]
    return {
        "metadata": {"name": f"pv-{node}"},
        "spec": {
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            "claimRef": {"namespace": "shop", "name": "data"},
        },
    }
