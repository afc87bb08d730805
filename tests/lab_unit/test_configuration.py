"""The configuration a lab writes is one that fabnode takes, and says what the hosts are."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from fabnode.config.configuration import Config
from fabnode.config.loader import load
from lab import cluster, configuration, disks, pki, state, versions
from lab.errors import LabInputError
from lab.layout import Layout
from lab.state import State


def written(tmp_path: Path, *, jump: bool) -> tuple[Layout, Config]:
    layout = Layout("t", tmp_path, IPv4Network("10.99.9.0/24"))
    pki.make(layout)
    pki.make_ssh_key(layout.key, "test")
    for place in (layout.kubeconfig, layout.sudo_password, layout.known_hosts):
        pki.write_secret(place, b"x\n")
    for inside in ("bin", "cni", "images"):
        (layout.artifacts / inside).mkdir(parents=True)
    image = layout.artifacts / "images/pause.tar"
    for place in (image, layout.artifacts / "calico.yaml"):
        place.write_text("")
    state = State(4, "1.37.2", jump=jump, subnet="")
    text = configuration.cluster(layout, layout.nodes(4), state, [image])
    layout.configuration.write_text(text)
    return layout, load(layout.configuration)


def test_fabnode_takes_it_as_it_is(tmp_path: Path) -> None:
    _, cluster = written(tmp_path, jump=False)
    assert [node.name for node in cluster.nodes] == ["n1", "n2", "n3", "n4"]
    assert str(cluster.nodes[0].address) == "10.99.9.11"


def test_the_users_are_those_of_the_hosts(tmp_path: Path) -> None:
    _, cluster = written(tmp_path, jump=False)
    assert [node.ssh.user for node in cluster.nodes] == ["root", "ops", "dev", "root"]
    assert [node.ssh.sudo_password is not None for node in cluster.nodes] == [False, True] + [
        False
    ] * 2


@pytest.mark.parametrize("jump", [True, False])
def test_the_jump_host_is_the_gateway_when_there_is_one(tmp_path: Path, jump: bool) -> None:
    _, cluster = written(tmp_path, jump=jump)
    assert all((node.ssh.gateway is not None) == jump for node in cluster.nodes)


def test_known_hosts_holds_the_key_the_host_will_show(tmp_path: Path) -> None:
    layout, _ = written(tmp_path, jump=False)
    line = disks.known_host(layout, layout.node(1))
    assert line.startswith("10.99.9.11,n1 ssh-ed25519 ")
    assert line == disks.known_host(layout, layout.node(1))
    public = (layout.folder / "ssh/host-n1.pub").read_text()
    assert line.split()[2] == public.split()[1]


def test_a_host_s_network_file_sorts_before_systemd_s_own(tmp_path: Path) -> None:
    layout = Layout("t", tmp_path, IPv4Network("10.99.9.0/24"))
    own = disks.own_files(layout, layout.node(1))
    (network,) = [Path(path) for path in own if path.endswith(".network")]
    assert network.name < "80-container-host0.network"
    assert "Address=10.99.9.11/24" in own[str(network)]


def test_a_state_is_remembered(tmp_path: Path) -> None:
    assert state.load("t", tmp_path) is None
    layout = Layout("t", tmp_path / ".lab-t", IPv4Network("10.99.9.0/24"))
    wanted = State(3, "1.37.2", jump=True, subnet="10.99.9.0/24", sysctls={"kernel/panic": "0"})
    state.save(layout, wanted)
    assert state.load("t", tmp_path) == (layout, wanted)
    assert [host.name for host in wanted.hosts(layout)] == ["n1", "n2", "n3", "jump"]


@pytest.mark.parametrize(
    ("release", "runtime", "printed"),
    [
        ("1.30.14", "containerd", "can't be here, only of 1.37.2, 1.36.3, 1.34.4, 1.20.2"),
        ("1.20.2", "containerd", "add --runtime docker"),
        ("1.37.2", "docker", "add --runtime containerd"),
        ("1.37.2", "rkt", "containerd or docker, not rkt"),
    ],
)
def test_what_does_not_go_together_is_refused(release: str, runtime: str, printed: str) -> None:
    with pytest.raises(LabInputError, match=printed):
        cluster.check("t", State(1, release, jump=False, subnet="", runtime=runtime))


def test_nodes_of_an_older_minor_join_the_newest_control_plane() -> None:
    assert versions.control_plane("1.36.3") == versions.KUBERNETES
    assert versions.node("1.36.3").binaries == ("kube-proxy", "kubelet")
    assert versions.control_plane("1.20.2") == "1.20.2"
    assert versions.node("1.20.2") == versions.kubernetes("1.20.2")


def test_several_api_servers_are_listed(tmp_path: Path) -> None:
    layout, _ = written(tmp_path, jump=False)
    several = State(2, "1.37.2", jump=False, subnet="", control_planes=3)
    layout.configuration.write_text(configuration.cluster(layout, layout.nodes(2), several, []))
    assert load(layout.configuration).cluster.apiservers == (
        "https://10.99.9.1:6443",
        "https://10.99.9.3:6443",
        "https://10.99.9.4:6443",
    )
