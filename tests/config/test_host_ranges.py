"""One entry for many nodes: names and addresses in step, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fabnode.config import host_list, listed_hosts, origins
from fabnode.config.loader import load, read_spread
from fabnode.util.problems import ConfigError
from tests.support import DUAL, make_config, write_cluster

if TYPE_CHECKING:
    from pathlib import Path


def pairs(*entries: dict[str, Any]) -> list[tuple[str, str]]:
    return [(node.name, node.address) for node in make_config(nodes=list(entries)).nodes]


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("n[1-3]", "192.0.2.[11-13]", "n1=192.0.2.11 n2=192.0.2.12 n3=192.0.2.13"),
        ("n-[09-11]", "192.0.2.[9-11]", "n-09=192.0.2.9 n-10=192.0.2.10 n-11=192.0.2.11"),
        ("n[9-10]", "192.0.2.[9-10]", "n9=192.0.2.9 n10=192.0.2.10"),
        ("n[0-1]", "192.0.2.[1-2]", "n0=192.0.2.1 n1=192.0.2.2"),
        ("n[7-7]", "192.0.2.[1-1]", "n7=192.0.2.1"),
        (
            "r[1-2]-n[1-2]",
            "192.0.[2-3].[8-9]",
            "r1-n1=192.0.2.8 r1-n2=192.0.2.9 r2-n1=192.0.3.8 r2-n2=192.0.3.9",
        ),
        (
            "r[1-2]-n[1-2]",
            "192.0.2.[6-9]",
            "r1-n1=192.0.2.6 r1-n2=192.0.2.7 r2-n1=192.0.2.8 r2-n2=192.0.2.9",
        ),
    ],
)
def test_names_and_addresses_run_in_step(name: str, address: str, expected: str) -> None:
    found = pairs({"name": name, "address": address})
    assert " ".join("=".join(each) for each in found) == expected


def test_each_node_has_what_the_entry_says_and_others_stay_in_order() -> None:
    entry = {"name": "n[1-2]", "address": "n[1-2].example.org", "ip": "192.0.2.[1-2]"}
    more = {"labels": {"disk": "ssd"}, "kubelet": {"max_pods": 60}}
    first, last = {"name": "a", "address": "192.0.2.8"}, {"name": "z", "address": "192.0.2.9"}
    config = make_config(nodes=[first, {**entry, **more}, last])
    assert [node.name for node in config.nodes] == ["a", "n1", "n2", "z"]
    assert [node.ip for node in config.nodes[1:3]] == ["192.0.2.1", "192.0.2.2"]
    assert [node.kubelet.max_pods for node in config.nodes] == [110, 60, 60, 110]
    assert config.nodes[2].labels == {"disk": "ssd"}


@pytest.mark.parametrize(
    "ip",
    [
        "192.0.2.[11-12],2001:db8::[11-12]",
        "192.0.2.[11-12], 2001:db8::[11-12]",
        ["192.0.2.[11-12]", "2001:db8::[11-12]"],
    ],
)
@pytest.mark.parametrize("address", ["192.0.2.[11-12]", "2001:db8::[11-12]", "n[1-2].example.org"])
def test_both_addresses_run_in_step(ip: Any, address: str) -> None:
    entry: Any = {"name": "n[1-2]", "address": address, "ip": ip}
    changes: Any = {**DUAL, "nodes": [entry]}
    found = [(node.name, node.ips) for node in make_config(**changes).nodes]
    assert found == [(f"n{n}", (f"192.0.2.1{n}", f"2001:db8::1{n}")) for n in (1, 2)]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"ip": "192.0.2.[1-3],2001:db8::[1-2]"}, "ip: stands for 2, but the name for 3"),
        ({"ip": "192.0.2.[1-3],2001:db8::1"}, "ip: is one for 3 nodes; give it a range"),
        ({"name": "n[3-1]"}, "name: ends before it begins: [3-1]; write [1-3]"),
        ({"address": "192.0.2.[13-11]"}, "address: ends before it begins: [13-11]"),
        ({"name": "n[001-3]"}, "name: has zeros at one end alone: [001-3]"),
        ({"name": "n[1-003]"}, "name: has zeros at one end alone: [1-003]"),
        ({"address": "192.0.2.[11-14]"}, "address: stands for 4, but the name for 3"),
        (
            {"name": "r[1-2]-n[1-3]", "address": "192.0.[1-3].[1-2]"},
            "address: stands for 3 times 2, but the name for 2 times 3",
        ),
        ({"ip": "192.0.2.[1-2]"}, "ip: stands for 2, but the name for 3"),
        ({"address": "192.0.2.11"}, "address: is one for 3 nodes; give it a range"),
        ({"name": "n1"}, "name: has no range, but address has one"),
        ({"name": "n[a-c]"}, "name: has a range that is none: [a-c]; write a range as [01-40]"),
        ({"name": "n[1,3]"}, "name: has a range that is none: [1,3]"),
        ({"name": "n[1:3]"}, "name: has a range that is none: [1:3]"),
        ({"name": "n[]"}, "name: has a range that is none: []"),
        ({"name": "n[1-3"}, "name: has a bracket without its other half: 'n[1-3'"),
        ({"name": "n[1-999999999]"}, "name: stands for more than 5000 nodes"),
        ({"name": "n[1-99]x[1-99]"}, "name: stands for more than 5000 nodes"),
    ],
)
def test_a_bad_range_is_one_sentence_with_its_line(
    tmp_path: Path, entry: dict[str, str], sentence: str
) -> None:
    whole = {"name": "n[1-3]", "address": "192.0.2.[11-13]", **entry}
    path = write_cluster(tmp_path, nodes=[{"name": "a", "address": "192.0.2.9"}, whole])
    with pytest.raises(ConfigError) as refused:
        load(path)
    (problem,) = refused.value.problems
    key = sentence.partition(":")[0]
    line = 1 + max(n for n, text in enumerate(path.read_text().splitlines()) if f" {key}: " in text)
    assert str(problem).startswith(f"{path}:{line}: nodes[")
    assert f"].{sentence}" in str(problem)


def test_two_that_overlap_are_found_as_any_two_nodes_are(tmp_path: Path) -> None:
    entries = [
        {"name": "n[1-2]", "address": "192.0.2.[1-2]"},
        {"name": "m[1-2]", "address": "192.0.2.[2-3]"},
    ]
    with pytest.raises(ConfigError, match=r"nodes\[m1\]\.address: '192.0.2.2' is also the address"):
        load(write_cluster(tmp_path, nodes=entries))


def test_where_a_value_comes_from_is_the_entrys_line(tmp_path: Path) -> None:
    entry = {"name": "n[1-3]", "address": "192.0.2.[1-3]", "kubelet": {"max_pods": 60}}
    path = write_cluster(tmp_path, nodes=[entry])
    config = load(path)
    found = origins.settings_of(config, read_spread(path), config.node("n3"))
    (setting,) = [each for each in found if each.key == "kubelet.max_pods"]
    lines = path.read_text().splitlines()
    assert (setting.value, setting.origin.layer) == (60, "node")
    assert "max_pods: 60" in lines[(setting.origin.line or 0) - 1]


@pytest.mark.parametrize(
    ("line", "hosts"),
    [
        ("n-[1-2] 192.0.2.[1-2]", [("n-1", "192.0.2.1", None), ("n-2", "192.0.2.2", None)]),
        ("192.0.2.[1-2] n-[1-2]", [("n-1", "192.0.2.1", None), ("n-2", "192.0.2.2", None)]),
        ("n-[08-09]", [("n-08", "n-08", None), ("n-09", "n-09", None)]),
        ("192.0.2.[7-7]", [("192.0.2.7", "192.0.2.7", None)]),
        ("n[1-1] 192.0.2.[1-1] fd00::[1-1]", [("n1", "192.0.2.1", "192.0.2.1,fd00::1")]),
    ],
)
def test_a_line_of_hosts_may_stand_for_many(line: str, hosts: list[tuple[str, ...]]) -> None:
    found = host_list.parse([(1, line)], "hosts")
    assert [(each.name, each.address, each.ip) for each in found] == hosts


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("n-[1-3] 192.0.2.[1-2]", "'192.0.2.[1-2]' stands for 2, but the name for 3; both need"),
        ("n-[3-1]", "'n-[3-1]' ends before it begins: [3-1]; write [1-3]"),
        ("n1 192.0.2.[1-2]", "'n1' has no range, but address has one; write the name as"),
        ("n-[1-2] 192.0.2.1", "'192.0.2.1' is one for 2 nodes; give it a range"),
        ("n-[1-2] a[1-2] b[1-2] c[1-2]", "'n-1 a1 b1 c1' is more than a name and an address"),
        ("n1 [fd00::1]", "'[fd00::1]' has an address in brackets: [fd00::1]; write an IPv6"),
        ("n-[1-9999] 192.0.2.[1-2]", "'n-[1-9999]' stands for more than 5000 nodes"),
    ],
)
def test_a_bad_line_of_many_is_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        host_list.parse([(7, line)], "hosts")
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"hosts:7: {sentence}")


def test_a_table_of_hosts_may_stand_for_many() -> None:
    table = b"name,address,ip\nn[1-2],192.0.2.[1-2],fd00::[1-2]\nx,192.0.2.9,\n"
    found = listed_hosts.parse(table, "h.csv", "csv")
    assert [(each.name, each.ip) for each in found] == [
        ("n1", "fd00::1"),
        ("n2", "fd00::2"),
        ("x", None),
    ]
    with pytest.raises(ConfigError, match=r"h\.csv:2: address: stands for 3, but the name for 2"):
        listed_hosts.parse(b"name,address\nn[1-2],192.0.2.[1-3]\n", "h.csv", "csv")


def test_a_name_that_is_no_text_is_not_taken_for_a_range(tmp_path: Path) -> None:
    path = write_cluster(tmp_path, nodes=[{"name": ["n[1-2]"], "address": "192.0.2.1"}])
    with pytest.raises(ConfigError, match="name: must be text"):
        load(path)
