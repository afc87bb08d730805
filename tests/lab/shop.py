"""A namespace of a user's on the lab, and what its nodes are asked by the account that drains."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from .harness import NODES, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Done, Lab

SPACE = "shop"
IMAGE = "docker.io/library/busybox:1.35.0"
RECORD = "fabnode.io/operation"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def container(**more: Any) -> dict[str, Any]:
    command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    return {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        **more,
    }


def deployment(name: str, replicas: int, **more: Any) -> dict[str, Any]:
    labels = {"app": name}
    ready = {"exec": {"command": ["sh", "-c", ":"]}, "periodSeconds": 1}
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": 1,
        "containers": [container(readinessProbe=ready)],
        **more,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def budget(name: str, **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": spec.pop("app", name)}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": selector, **spec},
    }


def pod(name: str, node: str, **more: Any) -> dict[str, Any]:
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "containers": [container()],
        **more,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }


def local_volume(claim: str, node: str, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a volume that is a folder of a node's, called `shop-CLAIM`, and the claim to it."""
    where = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{SPACE}-{claim}", "labels": {"of": SPACE}},
        "spec": {
            **common,
            "capacity": {"storage": "1Mi"},
            "claimRef": {"namespace": SPACE, "name": claim},
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}},
        },
    }
    wanted = {"volumeName": f"{SPACE}-{claim}", "resources": {"requests": {"storage": "1Mi"}}}
    return volume, {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim},
        "spec": {**common, **wanted},
    }


def stateful_set(name: str, claim: str) -> dict[str, Any]:
    """Return a StatefulSet of one pod that adds a line to `starts` in its volume as it starts."""
    made = deployment(name, 1)
    script = "echo start >> /data/starts; trap 'exit 0' TERM; while :; do sleep 0.2; done"
    main = container(
        command=["sh", "-c", script], volumeMounts=[{"name": "data", "mountPath": "/data"}]
    )
    made["kind"] = "StatefulSet"
    made["spec"]["template"]["spec"] = {
        "terminationGracePeriodSeconds": 1,
        "containers": [main],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
    }
    return made


class Shop:
    """A namespace of a user's, and the account that may drain."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        credentials = self.allow()
        whole = yaml.safe_load(lab.configuration.read_text())
        whole["cluster"]["kubeconfig"] = str(credentials)
        whole["maintenance"] = {"retry": 1}
        self._whole = whole
        self.config = self.configured(lab.scratch / "drainer.yml")
        lab.kubectl("create", "namespace", SPACE)

    def allow(self) -> Path:
        """Make the account that deploys one that drains as well; return its kubeconfig."""
        credentials = self.lab.scratch / "drainer.kubeconfig"
        words = ("--with-drain", "--out", str(credentials))
        self.lab.inv("rbac.deployer", *words, config=self.lab.layout.configuration)
        return credentials

    def configured(self, path: Path, **timeouts: int) -> Path:
        path.write_text(yaml.safe_dump({**self._whole, "timeouts": timeouts}, sort_keys=False))
        return path

    def make(self, *items: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})

        def applied() -> bool:  # a new namespace has its ServiceAccount a moment later
            self.kubectl("apply", "-f", "-", stdin=text)
            return True

        eventually(applied)

    def kubectl(self, *words: str, stdin: str | None = None, code: int | None = 0) -> str:
        return self.lab.kubectl("-n", SPACE, *words, stdin=stdin, code=code)

    def rolled_out(self, *names: str) -> None:
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s")

    def pods(self, node: str = "", app: str = "") -> list[str]:
        """Return the names of pods, of a node, of an app, that are not ending."""
        return [
            item["metadata"]["name"]
            for item in self.lab.objects("pods", "-n", SPACE)
            if "deletionTimestamp" not in item["metadata"]
            and item["spec"].get("nodeName", "") == (node or item["spec"].get("nodeName", ""))
            and item["metadata"]["labels"].get("app") == (app or item["metadata"]["labels"]["app"])
        ]

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lab.kubectl("get", "node", name, "-o", "json"))
        return found

    def cordoned(self) -> set[str]:
        return {n for n in NODES if self.node(n)["spec"].get("unschedulable")}

    def record(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.node(name)["metadata"]["annotations"][RECORD]))

    def inv(self, *words: str, code: int = 0, config: Path | None = None) -> Done:
        return self.lab.inv(*words, code=code, config=config or self.config)

    def drain(self, *words: str, code: int = 0, config: Path | None = None) -> Done:
        return self.inv("drain", *words, code=code, config=config)

    def preview(self, node: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """Return what `inv drain --dry-run --json` says of our pods on a node, by name."""
        done = self.drain("--limit", node, "--dry-run", "--json", code=code)
        (found,) = done.document["nodes"]
        own = [each for each in found["pods"] if each["pod"].startswith(f"{SPACE}/")]
        return {each["pod"].partition("/")[2]: each for each in own}

    def clear(self) -> None:
        self.kubectl("delete", "deployments,statefulsets,replicasets,pdb", "--all", "--wait=false")
        now = ("--all", "--force", "--grace-period=0", "--wait=false")
        self.kubectl("delete", "pods", *now)
        self.kubectl("delete", "pvc", "--all", "--wait=false")
        self.lab.kubectl("delete", "pv", "-l", f"of={SPACE}", "--wait=false")
        for name in NODES:
            self.lab.kubectl("uncordon", name)
            self.lab.kubectl("annotate", "node", name, f"{RECORD}-")
            self.lab.kubectl("label", "node", name, f"{EXCLUDED}-")

        def empty() -> bool:
            self.kubectl("delete", "pods", *now)
            return self.lab.objects("pods,pvc", "-n", SPACE) == []

        eventually(empty, 240)

    def close(self) -> None:
        """Take all of it away, and deploy as before."""
        self.clear()
        self.lab.kubectl("delete", "namespace", SPACE)
        self.lab.become_deployer()
