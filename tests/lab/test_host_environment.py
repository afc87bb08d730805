"""Hosts as sites really have them: found before the first change, all at once, or of no matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .harness import eventually

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = pytest.mark.long

ASIDE = "/root/aside"
MANAGER = "/etc/systemd/system.conf.d/proxy.conf"
SUDOERS = "/etc/sudoers.d/zz-path"
PROXY = "http://192.0.2.1:3128"

# What is done to a host, what undoes it, and what preflight says of it.
TROUBLES = {
    "firewall": (
        "nft add table inet fw && nft 'add chain inet fw in "
        "{ type filter hook input priority 0; policy drop; }' && nft add rule inet fw in iif lo "
        "accept && nft add rule inet fw in ct state established,related accept && "
        "nft add rule inet fw in tcp dport 22 accept",
        "nft delete table inet fw",
        "warning",
        "its firewall (nft table inet fw) drops what no rule admits, and seems not to admit"
        " 10250/tcp (kubelet, from the control plane), 4789/udp (pods' VXLAN, from all nodes)",
    ),
    "resolver": (
        f"cp /etc/resolv.conf {ASIDE}.resolv && ln -sf /no/such /etc/resolv.conf",
        f"rm /etc/resolv.conf && cp {ASIDE}.resolv /etc/resolv.conf",
        "error",
        "/etc/resolv.conf leads to /no/such, which is not there",
    ),
    "networks": (
        "ip addr add 172.20.5.1/24 dev host0",
        "ip addr del 172.20.5.1/24 dev host0",
        "error",
        "its network 172.20.5.0/24 on host0 lies in pod_cidr",
    ),
    "read-only": (
        "mount --bind /usr /usr && mount -o remount,bind,ro /usr",
        "umount -l /usr",
        "error",
        "its file system is read-only at /usr/local/bin",
    ),
    "tools": (
        f"mkdir {ASIDE} && mv $(command -v flock) $(command -v tar) {ASIDE}/",
        f"mv {ASIDE}/* /usr/bin/ && rmdir {ASIDE}",
        "error",
        "it has no flock, tar, needed there",
    ),
    "proxy": (
        f"mkdir -p /etc/systemd/system.conf.d && printf '[Manager]\\nDefaultEnvironment="
        f"HTTPS_PROXY={PROXY}\\n' >{MANAGER} && systemctl daemon-reexec",
        f"rm {MANAGER} && systemctl daemon-reexec",
        "warning",
        f"a proxy: HTTPS_PROXY={PROXY}",
    ),
}


@contextmanager
def trouble(lab: Lab, host: str, name: str) -> Iterator[None]:
    before, after, _, _ = TROUBLES[name]
    lab.disturb(host, before)
    try:
        yield
    finally:
        eventually(lambda: lab.on(host, f"{after} && echo well"))


def findings(lab: Lab, host: str) -> list[dict[str, Any]]:
    (node,) = lab.plan("--limit", host, code=1)["nodes"]
    found: list[dict[str, Any]] = node["findings"]
    return found


def found_before_a_change(lab: Lab) -> set[tuple[str, str]]:
    """Return (level, text) of what a plan finds on n1; a deployment there stops at that."""
    seen = {(f["level"], f["text"]) for f in findings(lab, "n1")}
    starts = lab.starts("n1")
    config = lab.config({"n1": {"kubelet": {"max_pods": 77}}})
    done = lab.deploy("--limit", "n1", code=1, config=config)
    assert done.rows["n1"]["step"] == "preflight"
    assert lab.restarted(starts) == set()
    return seen


def test_all_troubles_are_found_in_one_probe(cluster: Lab) -> None:
    """And nothing is changed on the host meanwhile."""
    with ExitStack() as troubles:
        # The tools go before /usr can't be written in any more.
        for name in ("tools", "firewall", "resolver", "networks", "proxy", "read-only"):
            troubles.enter_context(trouble(cluster, "n1", name))
        seen = found_before_a_change(cluster)
    for _, _, level, text in TROUBLES.values():
        assert [1 for has, reported in seen if has == level and text in reported], (text, seen)
    cluster.deploy()


WINNERS = {
    "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": (
        "[Service]\\nExecStart=\\nExecStart=/usr/local/bin/kubelet\\n",
        "error",
        "overrides ExecStart of kubelet.service",
    ),
    "/run/systemd/system/service.d/x.conf": (
        "[Service]\\nRestart=no\\n",
        "warning",
        "Restart (always → no) of kube-proxy.service",
    ),
    "/etc/sysctl.d/zz-site.conf": (
        "net.ipv4.ip_forward = 0\\n",
        "warning",
        "sets net.ipv4.ip_forward to 0 where 1 is wanted",
    ),
    "/etc/containerd/conf.d/zz.toml": (
        'version = 2\\n[plugins."io.containerd.grpc.v1.cri"]\\nsandbox_image = "x:1"\\n',
        "error",
        'sandbox ("registry.k8s.io/pause:3.10.1" → "x:1")',
    ),
}
RUNTIME = (
    'version = 2\\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.other]\\n'
    'runtime_type = "io.containerd.runc.v2"\\n'
)


def test_what_wins_over_fabnodes_settings_is_named_before_anything_is_changed(
    cluster: Lab,
) -> None:
    for path, (text, _, _) in WINNERS.items():
        cluster.disturb("n1", f"mkdir -p {path.rpartition('/')[0]} && printf '{text}' >{path}")
    try:
        seen = found_before_a_change(cluster)
        checks = cluster.inv("verify", "--limit", "n1", "--no-network", "--json", code=1).document
    finally:
        cluster.on("n1", f"rm {' '.join(WINNERS)} && systemctl daemon-reload")
    overrides = [check for check in checks["checks"] if check["name"] == "overrides"]
    assert len(overrides) == len(WINNERS)
    for path, (_, level, text) in WINNERS.items():
        assert [1 for has, found in seen if has == level and path in found and text in found], seen
        assert [1 for check in overrides if path in check["detail"]]
    cluster.deploy()


def test_what_containerd_imports_is_left_alone_and_takes_effect(cluster: Lab) -> None:
    path = "/etc/containerd/conf.d/other.toml"
    cluster.on("n1", f"mkdir -p {path.rpartition('/')[0]} && printf '{RUNTIME}' >{path}")
    assert cluster.plan("--limit", "n1")["empty"]
    dump = "/usr/local/bin/containerd --config /etc/containerd/config.toml config dump"
    shown = cluster.on("n1", f"{dump} 2>/dev/null")
    assert "runtimes.other]" in shown
    assert "sandbox = 'registry.k8s.io/pause:3.10.1'" in shown
    checks = cluster.inv("verify", "--limit", "n1", "--no-network", "--json").document["checks"]
    assert [check["detail"] for check in checks if check["name"] == "site's own"] == [path]
    cluster.on("n1", f"rm {path}")


def test_a_host_without_awk_is_not_joined_again(cluster: Lab) -> None:
    cluster.disturb("n1", f"mkdir {ASIDE} && mv /usr/bin/awk {ASIDE}/")
    try:
        done = cluster.deploy("--limit", "n1", code=1)
        assert "it has no awk" in done.rows["n1"]["cause"]
        assert "gawk" in done.rows["n1"]["advice"]
    finally:
        cluster.on("n1", f"mv {ASIDE}/* /usr/bin/ && rmdir {ASIDE}")
    cluster.deploy()


@pytest.mark.sites
def test_bare_hosts_join_whatever_sudo_services_and_folders_they_have(cluster: Lab) -> None:
    """
    n2's sudo has a secure_path without /usr/local and its services a proxy; n3's /usr is read-only.

    Network plugins are containerd's children: n2 is Ready only where they go past the proxy.
    """
    cluster.lab("fresh", "--hosts", "n2,n3")
    cluster.disturb(
        "n2",
        f"printf 'Defaults secure_path=\"/sbin:/bin:/usr/sbin:/usr/bin\"\\n' >{SUDOERS} && "
        f"chmod 440 {SUDOERS} && visudo -c",
    )
    cluster.on("n3", "mkdir -p /usr/lib/modules")  # which the lab's hosts lack, and Calico mounts
    with trouble(cluster, "n2", "proxy"), trouble(cluster, "n3", "read-only"):
        config = cluster.config(paths={"programs": "/opt/bin"})
        done = cluster.deploy("--limit", "n2,n3", config=config)
        assert done.results == {"n2": "changed", "n3": "changed"}
        assert cluster.ready() >= {"n2", "n3"}
        shown = cluster.on("n2", "systemctl show -p Environment -p LimitNOFILESoft containerd")
        assert "NO_PROXY=" in shown
        assert "LimitNOFILESoft=1024" in shown
        pid = cluster.on("n2", "systemctl show -p MainPID --value kubelet").strip()
        environment = cluster.on("n2", f"tr '\\0' '\\n' </proc/{pid}/environ")
        assert f"HTTPS_PROXY={PROXY}" not in environment
        assert "containerd" in cluster.on("n3", "ls /opt/bin").split()
        assert cluster.plan("--limit", "n2,n3", config=config)["empty"]
    cluster.on("n2", f"rm {SUDOERS}")
    cluster.deploy()
