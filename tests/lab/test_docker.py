"""
The chapter's own shape on real parts, from bare hosts to working nodes.

1.20.2 with dockershim, the hosts' own docker, one static token for all, nodes named by their
addresses, and Calico's data in etcd.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .complaints import complaints

if TYPE_CHECKING:
    from .harness import Done, Lab

pytestmark = pytest.mark.releases

HOSTS = ("n1", "n2")
PAIRS = (
    "/var/lib/kubelet/pki/kubelet-client-current.pem",
    "/var/lib/kubelet/pki/kubelet-server-current.pem",
    "/etc/kubernetes/pki/kube-proxy.pem",
)
UNITS = ("docker.service", "kubelet.service", "kube-proxy.service")


@pytest.fixture(scope="module")
def joined(docker_lab: Lab) -> Done:
    return docker_lab.deploy()


def names(lab: Lab) -> list[str]:
    return [str(lab.layout.host(host).address) for host in HOSTS]


def starts(lab: Lab) -> dict[str, list[str]]:
    command = f"systemctl show -p InvocationID --value {' '.join(UNITS)}"
    return {host: lab.on(host, command).split() for host in HOSTS}


def test_bare_hosts_become_ready_nodes_named_by_their_addresses(
    joined: Done, docker_lab: Lab
) -> None:
    assert joined.results == dict.fromkeys(names(docker_lab), "changed")
    assert docker_lab.ready() == set(names(docker_lab))
    for node in docker_lab.objects("nodes"):
        info = node["status"]["nodeInfo"]
        assert info["kubeletVersion"] == "v1.20.2"
        assert info["containerRuntimeVersion"].startswith("docker://20.10.")


def test_verify_proves_all_of_it(joined: Done, docker_lab: Lab) -> None:
    checks = docker_lab.inv("verify", "--json").document["checks"]
    assert [check for check in checks if not check["ok"]] == []
    seen = {(check["node"], check["name"]) for check in checks}
    assert (None, "Calico") in seen
    for node in names(docker_lab):
        wanted = {f"pod on {other}" for other in names(docker_lab)} | {"Service VIP", *UNITS}
        assert {(node, name) for name in wanted} <= seen


def test_calico_keeps_nothing_at_the_api(joined: Done, docker_lab: Lab) -> None:
    """Its data is in etcd: nobody defined Calico's resources at the API."""
    assert "crd.projectcalico.org" not in docker_lab.kubectl("api-resources")


@pytest.mark.usefixtures("joined")
@pytest.mark.parametrize("unit", ["kubelet", "kube-proxy"])
def test_1_20_complains_about_nothing_that_is_rendered(docker_lab: Lab, unit: str) -> None:
    assert complaints(docker_lab, "n1", unit) == []


def test_nothing_is_done_twice(joined: Done, docker_lab: Lab) -> None:
    before = starts(docker_lab)
    again = docker_lab.deploy()
    assert again.results == dict.fromkeys(names(docker_lab), "unchanged")
    assert starts(docker_lab) == before


def running(lab: Lab, host: str) -> set[str]:
    """Containers of pods that stay: those of a network probe live on for 2 s without their pod."""
    stay = "--filter label=io.kubernetes.pod.namespace=kube-system"
    return set(lab.on(host, f"docker ps -q --no-trunc {stay}").split())


def test_certificates_are_renewed_with_the_shared_token_and_containers_live_on(
    joined: Done, docker_lab: Lab
) -> None:
    def pairs() -> set[str]:
        paths = " ".join(PAIRS)
        reported = [docker_lab.on(host, f"sha256sum {paths}") for host in HOSTS]
        return {line for lines in reported for line in lines.splitlines()}

    before, containers = pairs(), {host: running(docker_lab, host) for host in HOSTS}
    done = docker_lab.inv("rotate-certs", "--issued-before", "now", "--json")
    assert done.results == dict.fromkeys(names(docker_lab), "changed")
    assert before & pairs() == set()
    for host in HOSTS:
        assert containers[host]
        assert running(docker_lab, host) >= containers[host]
    assert docker_lab.deploy().results == dict.fromkeys(names(docker_lab), "unchanged")


def test_docker_restarts_for_its_configuration_and_containers_live_on(
    joined: Done, docker_lab: Lab
) -> None:
    before, node = running(docker_lab, "n1"), names(docker_lab)[0]
    assert before
    config = docker_lab.config(runtime={"daemon": {"max-concurrent-downloads": 4}})
    (planned,) = docker_lab.plan("--limit", node, config=config)["nodes"]
    assert planned["restarts"] == ["docker.service"]
    docker_lab.deploy("--limit", node, config=config)
    settings = json.loads(docker_lab.on("n1", "cat /etc/docker/daemon.json"))
    assert settings["max-concurrent-downloads"] == 4
    assert running(docker_lab, "n1") >= before
    assert docker_lab.ready() == set(names(docker_lab))


def test_a_docker_that_does_not_come_up_gets_its_configuration_back(
    joined: Done, docker_lab: Lab
) -> None:
    """A directive that dockerd does not know: preflight leaves `runtime.daemon` to docker."""
    before, node = running(docker_lab, "n1"), names(docker_lab)[0]
    file = docker_lab.on("n1", "cat /etc/docker/daemon.json")
    config = docker_lab.config(runtime={"daemon": {"no-such-directive": True}})
    failed = docker_lab.deploy("--limit", node, config=config, code=1)
    assert "docker.service has its previous files again, and runs" in failed.text
    assert "no-such-directive" in failed.text.partition("its last line:")[2].partition("next:")[0]
    assert f"fab -H {node} logs --unit docker" in failed.text
    assert docker_lab.on("n1", "cat /etc/docker/daemon.json") == file
    assert docker_lab.on("n1", "systemctl is-active docker").strip() == "active"
    assert docker_lab.on("n1", "find /etc/docker -name '.*fabnode*'") == ""
    assert running(docker_lab, "n1") >= before
    docker_lab.deploy("--limit", node)
    assert docker_lab.ready() == set(names(docker_lab))


def test_logs_of_docker_are_at_hand(joined: Done, docker_lab: Lab) -> None:
    printed = docker_lab.fab("-H", names(docker_lab)[0], "logs", "--unit", "docker").out
    assert "docker.service" in printed
    assert "dockerd" in printed
