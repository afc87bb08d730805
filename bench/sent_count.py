"""
Count what applies send, by the fabnode that is imported: bytes by kind of plan, as JSON.

Run by `bench.sent` in this checkout and in an earlier one. Programs and images are left out: their
bytes are the same in both.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from fabnode.deploy.node_planner import NodePlanner
from fabnode.node.plan import Change, Plan
from fabnode.node.resources import (
    ClientCertificate,
    File,
    Module,
    Sysctl,
    Trace,
    Unit,
    UnpinnedImage,
)
from fabnode.remote.apply_script import actions
from fabnode.remote.payload import stream
from fabnode.remote.payload_cache import GZIP, Packer
from fabnode.remote.survey import Observed, record_call

CONFIG = Change(File("/var/lib/kubelet/config.yaml", b"x" * 1500), "update", "")
KUBELET = Unit("kubelet.service", ("/var/lib/kubelet/config.yaml",))
STARTED = Change(KUBELET, "restart", "", stamp={"/var/lib/kubelet/config.yaml": "0" * 64})
JOIN = ClientCertificate("/pem", "kubelet.service", "/bootstrap", "/key", "", 60)
FIRST = (
    *(Change(Module(f"module_{number}"), "load", "") for number in range(8)),
    *(Change(Sysctl(f"net.setting_{number}", "1"), "set", "") for number in range(6)),
    *(Change(File(f"/etc/file_{number}", b"x" * 800), "create", "") for number in range(14)),
    CONFIG,
    STARTED,
    Change(JOIN, "join", ""),
)
PLANS = {
    "a kernel setting": (Change(Sysctl("vm.overcommit_memory", "1"), "set", ""),),
    "a file, and its unit restarts": (CONFIG, STARTED),
    "an image that may go": (Change(UnpinnedImage("x:1"), "unpin", ""),),
    "what ran before is kept": (Change(Trace("kept", "x", ("tag", "/etc/x")), "keep", ""),),
    "what ran before is forgotten": (Change(Trace("forgotten", "x", ()), "remove", ""),),
    "a reset's folders": (Change(Trace("tree", "x", ("/var/lib/kubelet", "-")), "remove", ""),),
}
# As many as a deployment observes, by the length of their names.
RECORD = record_call(
    Observed(
        tuple(f"/proc/sys/net/setting_{number}" for number in range(20)),
        tuple(f"service_{number}.service" for number in range(8)),
        tuple(f"/etc/kubernetes/file_{number}" for number in range(60)),
    )
)
# Before the planner knew when there is nothing to record, each change of a node carried that.
ALWAYS_RECORDS = "None" not in str(vars(NodePlanner)["record"].fget.__annotations__["return"])


def sent(changes: tuple[Change, ...], record: str) -> int:
    """Return the bytes of an apply; deployments end what is left of a reset as well."""
    deploys = not any(isinstance(change.resource, Trace) for change in changes)
    todo = actions(Plan("n1", changes), GZIP, record=record, remakes=deploys)
    with tempfile.TemporaryDirectory() as folder:
        return sum(map(len, stream(todo, Packer(Path(folder)), GZIP)))


if __name__ == "__main__":
    found = {"a first deployment": sent(FIRST, RECORD)}
    found |= {name: sent(plan, RECORD * ALWAYS_RECORDS) for name, plan in PLANS.items()}
    print(json.dumps(found))
