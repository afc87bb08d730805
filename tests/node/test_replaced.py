"""What a plan takes the place of is what a host keeps before an upgrade."""

from __future__ import annotations

from pathlib import Path

from fabnode.node.plan import Change, Plan
from fabnode.node.replaced import replaced
from fabnode.node.resources import Absent, Binary, File, RemovedUnit, Retired, Unit


def test_a_set_holds_what_is_replaced_removed_and_new() -> None:
    """An upgrade that fails leaves no kube-proxy behind that nobody had, nor takes one away."""
    plan = Plan(
        "n1",
        (
            Change(Binary("/bin/kubelet", Path("k"), "0" * 64), "update", ""),
            Change(File("/etc/replaced.pem", b"", secret=True), "update", ""),
            Change(File("/etc/new.pem", b"", secret=True), "create", ""),
            Change(File("/etc/mode.yaml", b""), "mode", ""),
            Change(Unit("kubelet.service"), "restart", ""),
            Change(Unit("new.service"), "enable", ""),
            Change(RemovedUnit("kube-proxy.service", "/etc/p.service", ""), "remove", ""),
            Change(Absent("/etc/proxy.yaml"), "remove", ""),
            Change(Absent("/var/kubelet.pem", remade_by="kubelet.service"), "remove", ""),
            Change(Retired("/bin/kube-proxy", ("--cleanup",), ""), "remove", ""),
        ),
    )
    units, files = replaced(plan)
    assert units == ["kube-proxy.service", "kubelet.service", "new.service"]
    assert files == [
        "/bin/kubelet",
        "/etc/new.pem",
        "/etc/mode.yaml",
        "/etc/p.service",
        "/etc/proxy.yaml",
        "/bin/kube-proxy",
    ]
