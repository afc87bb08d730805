"""Pods that a user runs, one on each node, in a namespace of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fabnode.util.families import in_url

from .harness import LONG, NODES, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from .harness import Lab

NAMESPACE = "work"
_DENY_ALL = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
_SERVE = (
    'mkdir -p /tmp/www && echo "$NODE" > /tmp/www/index.html && echo serving on "$NODE" '
    "&& exec httpd -f -p 8080 -h /tmp/www"
)


class Workload:
    """
    Pods `web-<node>` that answer with their node's name on port 8080.

    All waiting is as long as the patience of the lab makes it: emulated machines take their time.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._slowness = min(5.0, lab.patience / LONG)

    def _eventually(self, condition: Callable[[], bool]) -> None:
        eventually(condition, 60 * self._slowness)

    def start(self, *nodes: str) -> None:
        """Make what is missing, and wait until all run."""
        items = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            *(_pod(node) for node in nodes or NODES),
        ]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self._remove_pods_of_former_nodes()

        def applied() -> bool:  # a new namespace has its ServiceAccount a moment later
            self._lab.kubectl("apply", "-f", "-", stdin=text)
            return True

        self._eventually(applied)
        names = [f"pod/web-{node}" for node in nodes or NODES]
        self.kubectl(
            "wait", "--for=condition=Ready", f"--timeout={180 * self._slowness:.0f}s", *names
        )

    def _remove_pods_of_former_nodes(self) -> None:
        """Delete pods of Node objects that are gone: they look Ready until they are collected."""
        made = {
            node["metadata"]["name"]: node["metadata"]["creationTimestamp"]
            for node in self._lab.objects("nodes")
        }
        for pod in self._lab.objects("pods", "-n", NAMESPACE):
            node = pod["spec"].get("nodeName", "")
            if pod["metadata"]["creationTimestamp"] < made.get(node, "9"):
                self.kubectl("delete", "pod", pod["metadata"]["name"], "--force")

    def kubectl(self, *words: str, stdin: str | None = None, code: int | None = 0) -> str:
        """Run kubectl in the namespace."""
        return self._lab.kubectl("-n", NAMESPACE, *words, stdin=stdin, code=code)

    def containers(self) -> dict[str, str]:
        """Return pod → the id of its container: another one means that it did not keep running."""
        return {
            pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["containerID"]
            for pod in self._lab.objects("pods", "-n", NAMESPACE)
        }

    def ask(self, source: str, target: str) -> str:
        """Have the pod on one node ask the one on another; return its answer or nothing."""
        pod = json.loads(self.kubectl("get", "pod", f"web-{target}", "-o", "json"))
        return self.fetch(source, f"http://{pod['status']['podIP']}:8080/")

    def fetch(self, source: str, url: str) -> str:
        """Have the pod on one node fetch a URL; return what it got or nothing."""
        command = f"timeout {3 * self._slowness:.0f} wget -q -O - {url} || true"
        return self.kubectl("exec", f"web-{source}", "--", "sh", "-c", command).strip()

    def prove_policies(self, *ways: tuple[str, str]) -> None:
        """See pods reach each other; a NetworkPolicy cut it, and its removal restore it."""
        self._eventually(lambda: all(self.ask(a, b) == b for a, b in ways))
        self.kubectl("apply", "-f", "-", stdin=_DENY_ALL)
        self._eventually(lambda: not any(self.ask(a, b) for a, b in ways))
        self.kubectl("delete", "networkpolicy", "deny-all")
        self._eventually(lambda: all(self.ask(a, b) == b for a, b in ways))

    def service(self) -> str:
        """Make a Service before all pods; return its URL by its address."""
        port = {"port": 80, "targetPort": 8080}
        item = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [port]},
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps(item))
        found = json.loads(self.kubectl("get", "service", "web", "-o", "json"))
        return f"http://{in_url(found['spec']['clusterIP'])}/"


def _pod(node: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"web-{node}", "namespace": NAMESPACE, "labels": {"app": "web"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": "docker.io/library/busybox:1.35.0",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", _SERVE],
                    "env": [{"name": "NODE", "value": node}],
                }
            ],
        },
    }
