"""Names and addresses of labs: they must fit the kernel's limits and never meet."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab.errors import LabInputError
from lab.layout import MAX_NODES, Layout, check_name, folder_for, free_subnet

LAYOUT = Layout("w2", Path("/p/.lab-w2"), IPv4Network("10.99.7.0/24"))


def test_the_second_and_third_node_are_reached_as_users_who_are_not_root() -> None:
    assert [node.user for node in LAYOUT.nodes(5)] == ["root", "ops", "dev", "root", "root"]


def test_every_host_has_an_address_of_its_own_in_the_subnet() -> None:
    hosts = [*LAYOUT.nodes(MAX_NODES), LAYOUT.jump()]
    addresses = {host.address for host in hosts} | {LAYOUT.gateway}
    assert len(addresses) == MAX_NODES + 2
    assert all(address in LAYOUT.subnet for address in addresses)
    assert LAYOUT.subnet.broadcast_address not in addresses


def test_a_host_is_found_by_its_name() -> None:
    assert LAYOUT.host("n12") == LAYOUT.node(12)
    assert LAYOUT.host("jump") == LAYOUT.jump()


@pytest.mark.parametrize("name", ["", "n0", "n", "n01", "x1", "n9999", "n1\n", "../n1"])
def test_a_host_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(LabInputError, match=r"lab\.status"):
        LAYOUT.host(name)


@pytest.mark.parametrize("name", ["a", "lab", "w2", "abcdefg"])
def test_interface_names_made_from_a_good_name_fit_the_kernel(name: str) -> None:
    check_name(name)
    layout = Layout(name, Path("/x"), LAYOUT.subnet)
    last = layout.node(MAX_NODES).name
    for interface in (layout.bridge, f"vb-{layout.machine(last)}", f"vb-{layout.machine('jump')}"):
        assert len(interface) <= 15  # IFNAMSIZ - 1


@pytest.mark.parametrize("name", ["", "abcdefgh", "Lab", "2w", "a-b", "a/b", "a b", "w2\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(LabInputError):
        check_name(name)


def test_the_default_lab_has_the_plain_folder(tmp_path: Path) -> None:
    assert folder_for("lab", tmp_path) == tmp_path / ".lab"
    assert folder_for("w2", tmp_path) == tmp_path / ".lab-w2"


def test_a_subnet_that_overlaps_any_network_of_the_machine_is_not_taken() -> None:
    taken = [IPv4Network("10.99.0.0/24"), IPv4Network("10.99.1.128/25"), IPv4Network("10.0.0.0/16")]
    assert free_subnet(taken) == IPv4Network("10.99.2.0/24")
