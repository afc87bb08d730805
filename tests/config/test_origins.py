"""Each value of a node with the line it comes from, and no secret among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabnode.config import yaml_document
from fabnode.config.loader import load
from fabnode.config.origins import HIDDEN, Setting, settings_of
from tests.support import write_cluster

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
cluster: {version: 1.37.2, apiserver: "https://192.0.2.1:6443", ca: ca.pem,
  kubeconfig: admin.kubeconfig, service_cidr: 10.68.0.0/16,
  pod_cidr: 172.20.0.0/16, dns_address: 10.68.0.2}
calico: {allow_untested: true}
"""
TEXT = (
    HEAD
    + """\
ssh:
  port: 22
  user: ops
  gateway: bastion
kubelet:
  config:
    evictionHard: {memory.available: 1Gi}
    tlsCipherSuites: [A, B]
images: {registry: r.example.org}
groups:
  ssd:
    labels: {disk: ssd, zone: a}
    taints: ["own=a:NoSchedule", "from=ssd:NoSchedule"]
    kube_proxy: none
    kubelet:
      config: {evictionHard: {nodefs.available: 5%}}
  far:
    ssh: {port: 2222}
    labels: {zone: b}
    kube_proxy: {enabled: true}
nodes:
  - name: n1
    address: 192.0.2.11
    groups: [ssd, far]
    ssh: {password: {env: LOGIN}, gateway: null}
    taints: ["own=b:NoSchedule"]
  - name: n2
    address: n2.example.org
    ip: 192.0.2.12
    groups: [ssd]
    kubelet:
      config: {tlsCipherSuites: [C]}
      extra_args: {some-token: hunter2, proxy: "http://u:hunter2@p:1"}
    kube_proxy: {subject: {state: S}}
    runtime:
      handlers:
        kata: {type: io.containerd.kata.v2, options: {ApiKey: hunter2, Passwords: [hunter2]}}
"""
)


def settings(folder: Path, node: str, text: str = TEXT) -> dict[str, Setting]:
    path = write_cluster(folder, text)
    config = load(path)
    found = settings_of(config, yaml_document.read(path), config.node(node))
    return {each.key: each for each in found}


@pytest.mark.parametrize(
    ("node", "key", "value", "line", "layer"),
    [
        ("n1", "name", "n1", "  - name: n1", "node"),
        ("n1", "ip", "192.0.2.11", "    address: 192.0.2.11", "node"),
        ("n2", "ip", "192.0.2.12", "    ip: 192.0.2.12", "node"),
        ("n1", "ssh.port", 2222, "    ssh: {port: 2222}", "group far"),
        ("n2", "ssh.port", 22, "  port: 22", "cluster"),
        ("n1", "ssh.user", "ops", "  user: ops", "cluster"),
        ("n1", "ssh.gateway", None, "    ssh: {password: {env: LOGIN}, gateway: null}", "node"),
        ("n2", "ssh.gateway", "bastion", "  gateway: bastion", "cluster"),
        ("n1", "ssh.command_timeout", 300, "", "default"),
        (
            "n1",
            "ssh.password",
            {"env": "LOGIN"},
            "    ssh: {password: {env: LOGIN}, gateway: null}",
            "node",
        ),
        ("n1", "labels.disk", "ssd", "    labels: {disk: ssd, zone: a}", "group ssd"),
        ("n1", "labels.zone", "b", "    labels: {zone: b}", "group far"),
        ("n1", "annotations", {}, "", "default"),
        # One mapping, each of its entries from another place; lists are replaced as a whole.
        (
            "n1",
            "kubelet.config.evictionHard.memory.available",
            "1Gi",
            "    evictionHard: {memory.available: 1Gi}",
            "cluster",
        ),
        (
            "n1",
            "kubelet.config.evictionHard.nodefs.available",
            "5%",
            "      config: {evictionHard: {nodefs.available: 5%}}",
            "group ssd",
        ),
        (
            "n1",
            "kubelet.config.tlsCipherSuites",
            ["A", "B"],
            "    tlsCipherSuites: [A, B]",
            "cluster",
        ),
        (
            "n2",
            "kubelet.config.tlsCipherSuites",
            ["C"],
            "      config: {tlsCipherSuites: [C]}",
            "node",
        ),
        # The switch that is written as a word, and a group's that turns it on again.
        ("n2", "kube_proxy.enabled", False, "    kube_proxy: none", "group ssd"),
        ("n1", "kube_proxy.enabled", True, "    kube_proxy: {enabled: true}", "group far"),
        ("n2", "kube_proxy.subject.state", "S", "    kube_proxy: {subject: {state: S}}", "node"),
        ("n2", "kube_proxy.subject.organization", "k8s", "", "default"),
    ],
)
def test_a_value_and_its_line(
    tmp_path: Path, node: str, key: str, value: object, line: str, layer: str
) -> None:
    found = settings(tmp_path, node)[key]
    origin = found.origin
    assert found.value == value
    assert " ".join(filter(None, [origin.layer, origin.group])) == layer
    assert (origin.line and TEXT.splitlines()[origin.line - 1]) == (line or None)
    assert origin.file == (str(tmp_path / "cluster.yml") if line else "")


def test_taints_come_from_where_their_value_was_given(tmp_path: Path) -> None:
    path = write_cluster(tmp_path, TEXT)
    config = load(path)
    found = settings_of(config, yaml_document.read(path), config.node("n1"))
    taints = [(each.value, each.origin.layer) for each in found if each.key == "taints"]
    assert taints == [("own=b:NoSchedule", "node"), ("from=ssd:NoSchedule", "group")]


def test_an_image_in_a_registry_of_the_sites_says_so(tmp_path: Path) -> None:
    image = settings(tmp_path, "n1")["runtime.sandbox_image"]
    line = TEXT.splitlines().index("images: {registry: r.example.org}") + 1
    assert image.value == "r.example.org/pause:3.10.1"
    assert str(image.origin) == f"default, in images.registry {tmp_path}/cluster.yml:{line}"


def test_no_secret_is_shown_wherever_a_site_has_put_it(tmp_path: Path) -> None:
    found = settings(tmp_path, "n2")
    assert "hunter2" not in str(found)
    assert found["kubelet.extra_args.some-token"].value == HIDDEN
    assert found["kubelet.extra_args.proxy"].value == f"http://{HIDDEN}@p:1"
    assert found["runtime.handlers.kata.options.ApiKey"].value == HIDDEN
    assert found["runtime.handlers.kata.options.Passwords"].value == [HIDDEN]
    assert found["runtime.handlers.kata.type"].value == "io.containerd.kata.v2"


def test_every_setting_that_a_node_may_override_is_there(tmp_path: Path) -> None:
    from fabnode.config.schema import OVERRIDDEN

    found = settings(tmp_path, "n1")
    for name, model in OVERRIDDEN.items():
        for key in model.model_fields:
            assert any(f"{each}.".startswith(f"{name}.{key}.") for each in found), f"{name}.{key}"
