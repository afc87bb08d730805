"""
What the CIS benchmark's section on workers asks for, looked at on a node that was deployed.

Numbers are those of CIS Kubernetes 1.12. With `kubelet.hardened`, where Kubernetes' own default is
another; 4.2.7 and 4.2.9 are left out on purpose: node names are the configuration's, and serving
certificates are signed by the cluster's CA and rotated.
"""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.node import layout

from .harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab

pytestmark = pytest.mark.sites

NODE = "n1"
AS_DEFAULT = "ECDHE-ECDSA-AES128-GCM-SHA256"
REFUSED = "ECDHE-ECDSA-AES128-SHA"  # CBC, which Go's default still takes with TLS 1.2

# path → the most open mode that it may have
FILES = {
    layout.KUBELET_UNIT: 0o600,  # 4.1.1, and 4.1.2: the owner
    layout.PROXY_UNIT: 0o600,
    layout.PROXY_KUBECONFIG: 0o600,  # 4.1.3, 4.1.4
    layout.PROXY_CONFIG: 0o600,
    layout.PROXY_PEM: 0o600,
    layout.KUBELET_KUBECONFIG: 0o600,  # 4.1.5, 4.1.6
    layout.CA: 0o644,  # 4.1.7, 4.1.8
    layout.KUBELET_CONFIG: 0o600,  # 4.1.9, 4.1.10
}


@pytest.fixture(scope="module")
def hardened(lab: Lab, nodes: Lab) -> Iterator[Lab]:
    """Nodes with `kubelet.hardened`."""
    config = nodes.config(kubelet={"hardened": True})
    nodes.deploy(config=config)
    yield nodes
    nodes.restore()


@pytest.mark.parametrize(("path", "most"), FILES.items())
def test_files_are_roots_and_no_more_open_than_the_benchmark_says(
    nodes: Lab, path: str, most: int
) -> None:
    mode, owner = nodes.on(NODE, f"stat -L -c '%a %U:%G' {path}").split()
    assert owner == "root:root"
    assert int(mode, 8) & ~most == 0, f"{path} is {mode}"


@pytest.fixture(scope="module")
def settings(hardened: Lab) -> dict[str, Any]:
    """What the kubelet says that it runs with."""
    answer = hardened.kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/configz")
    return dict(json.loads(answer)["kubeletconfig"])


def test_a_running_kubelet_has_what_the_benchmark_wants(settings: dict[str, Any]) -> None:
    assert settings["authentication"]["anonymous"]["enabled"] is False  # 4.2.1
    assert settings["authorization"]["mode"] == "Webhook"  # 4.2.2
    assert settings["authentication"]["x509"]["clientCAFile"] == layout.CA  # 4.2.3
    assert not settings.get("readOnlyPort")  # 4.2.4
    assert settings["streamingConnectionIdleTimeout"] not in {"0s", "0"}  # 4.2.5
    assert settings["makeIPTablesUtilChains"] is True  # 4.2.6
    assert settings["eventRecordQPS"] > 0  # 4.2.8
    assert settings["rotateCertificates"] is True  # 4.2.10
    assert settings["serverTLSBootstrap"] is True  # 4.2.11: signed, and rotated
    assert settings["tlsCipherSuites"]  # 4.2.12
    assert all("_GCM_" in suite for suite in settings["tlsCipherSuites"])
    assert settings["podPidsLimit"] == 4096  # 4.2.13
    assert settings["seccompDefault"] is True  # 4.2.14


def test_kube_proxys_metrics_are_for_the_host_alone(nodes: Lab) -> None:
    """4.3.1, by what listens."""
    listening = nodes.on(NODE, "ss -Htln 'sport = :10249'").split()
    assert "127.0.0.1:10249" in listening


def test_a_hardened_kubelet_refuses_weak_ciphers(hardened: Lab) -> None:
    assert handshake(hardened, AS_DEFAULT) == AS_DEFAULT
    assert handshake(hardened, REFUSED) is None


def handshake(lab: Lab, cipher: str) -> str | None:
    """Return the cipher that the kubelet and a client with TLS 1.2 and this one alone agree on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    address = (str(lab.layout.host(NODE).address), 10250)
    try:
        with (
            socket.create_connection(address, timeout=30) as connection,
            context.wrap_socket(connection) as encrypted,
        ):
            chosen = encrypted.cipher()
    except ssl.SSLError:
        return None
    return chosen[0] if chosen else None


def test_a_pod_has_a_limit_of_processes_and_a_seccomp_profile(hardened: Lab) -> None:
    words = ("run", "cis", "--image=docker.io/library/busybox:1.35.0", "--restart=Never")
    place = {"spec": {"nodeName": NODE}}
    command = ("--", "sleep", "600")
    hardened.kubectl(*words, f"--overrides={json.dumps(place)}", *command)
    try:
        phase = ("get", "pod", "cis", "-o", "jsonpath={.status.phase}")
        eventually(lambda: hardened.kubectl(*phase) == "Running" or None, 120)
        assert "Seccomp:\t2" in hardened.kubectl("exec", "cis", "--", "cat", "/proc/1/status")
        uid = hardened.kubectl("get", "pod", "cis", "-o", "jsonpath={.metadata.uid}")
        # The cgroup of the pod, whatever the driver makes of its uid.
        group = f"*pod{uid.replace('-', '?')}*"
        limits = hardened.on(
            NODE,
            f"find /sys/fs/cgroup -type d -path '{group}' -prune -exec cat '{{}}/pids.max' ';'",
        )
        assert "4096" in limits.split()
    finally:
        hardened.kubectl("delete", "pod", "cis", "--now")


def test_a_kubelet_that_is_not_hardened_takes_them(nodes: Lab) -> None:
    """Else the test of a hardened one shows nothing. It comes last: it ends the hardening."""
    nodes.restore()
    assert handshake(nodes, REFUSED) == REFUSED
