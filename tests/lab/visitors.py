"""A Service of two replicas, and who asks it all the time: whether requests are lost is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .harness import eventually
from .shop import budget, container, deployment, pod

if TYPE_CHECKING:
    from .shop import Shop

SERVE = "mkdir -p /tmp/www; echo here > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"


class Visitors:
    """
    A Service before two replicas on n2 and n3, and a pod on n1 that asks it all the time.

    The replicas do what a user's have to do to lose nothing: they go on answering for a moment
    after they were told to stop, until no node sends them anything.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        serving = container(
            command=["sh", "-c", SERVE],
            readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            lifecycle={"preStop": {"exec": {"command": ["sleep", "8"]}}},
        )
        terms = [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2", "n3"]}]
        required = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
        own = {"labelSelector": {"matchLabels": {"app": "front"}}}
        spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", **own}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "front"},
            "spec": {"selector": {"app": "front"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        front = deployment(
            "front",
            2,
            containers=[serving],
            terminationGracePeriodSeconds=12,
            affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
            topologySpreadConstraints=[{**spread, "whenUnsatisfiable": "ScheduleAnyway"}],
        )
        shop.make(service, front, budget("front", minAvailable=1))
        shop.rolled_out("front")
        found = json.loads(shop.kubectl("get", "service", "front", "-o", "json"))
        # From a pod that is gone no answer comes however long one waits; on a busy machine it does.
        ask = f"timeout 20 wget -q -O /dev/null http://{found['spec']['clusterIP']}/"
        loop = f"while :; do if {ask}; then echo served; else echo lost; fi; sleep 0.2; done"
        eventually(lambda: all(shop.pods(node, "front") for node in ("n2", "n3")))
        shop.make(pod("visitor", "n1", containers=[container(command=["sh", "-c", loop])]))
        eventually(lambda: "served" in self.seen()[-5:])
        self._before = len(self.seen())

    def seen(self) -> list[str]:
        return self._shop.kubectl("logs", "visitor", code=None).split()

    def since_then(self) -> tuple[int, int]:
        """Return how many requests were served, and how many lost, since this began."""
        seen = self.seen()[self._before :]
        return seen.count("served"), seen.count("lost")
