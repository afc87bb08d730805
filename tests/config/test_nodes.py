"""A node's settings: the cluster's, its groups', its own; and how nodes are selected."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.config.configuration import Config, Group, Taint
from fabnode.util.problems import ConfigError
from tests.support import make_config

LIST = "tlsCipherSuites"


@pytest.fixture(scope="module")
def config() -> Config:
    """Three nodes: n1 in groups a and b, n2 in b, db-1 in none."""
    return make_config(
        ssh={"user": "ops", "password": {"env": "LOGIN"}, "gateway": "bastion"},
        kubelet={
            "max_pods": 100,
            "config": {"evictionHard": {"a": "1", "b": "1"}, LIST: ["1", "2"]},
        },
        kube_proxy={"subject": {"state": "S"}},
        groups={
            "a": {
                "labels": {"group": "a", "disk": "ssd"},
                "taints": ["from=a:NoSchedule"],
                "kubelet": {"max_pods": 90, "config": {"evictionHard": {"b": "2", "c": "2"}}},
                "ssh": {"port": 2222},
            },
            "b": {
                "labels": {"group": "b"},
                "taints": ["from=b:NoSchedule", "from=b:NoExecute"],
                "kubelet": {"max_pods": 80, "config": {LIST: ["3"]}},
                "max_parallel": 2,
            },
        },
        nodes=[
            {
                "name": "n1",
                "address": "192.0.2.1",
                "groups": ["a", "b"],
                "labels": {"own": "x"},
                "taints": ["own:NoExecute"],
                "ssh": {"password": {"file": __file__}, "gateway": None},
                "kubelet": {"config": {"evictionHard": {"c": "3"}}},
                "kube_proxy": {"subject": {"country": "CN"}},
            },
            {"name": "n2", "address": "192.0.2.2", "groups": ["b"]},
            {"name": "db-1", "address": "db-1.example.org", "ip": "192.0.2.3"},
        ],
    )


def test_scalars_of_the_later_layer_win(config: Config) -> None:
    assert [node.kubelet.max_pods for node in config.nodes] == [80, 80, 100]
    assert [node.ssh.port for node in config.nodes] == [2222, 22, 22]


def test_mappings_are_merged_deep_and_lists_replaced(config: Config) -> None:
    n1, n2, _ = config.nodes
    assert n1.kubelet.config == {
        "evictionHard": {"a": "1", "b": "2", "c": "3"},
        LIST: ["3"],
    }
    assert n2.kubelet.config == {"evictionHard": {"a": "1", "b": "1"}, LIST: ["3"]}
    assert (n1.kube_proxy.subject.state, n1.kube_proxy.subject.country) == ("S", "CN")


def entry(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "address": f"192.0.2.{name[1:]}", **settings}


def test_nodes_do_without_kube_proxy_by_a_word_or_by_its_switch() -> None:
    config = make_config(
        kube_proxy="none",
        groups={"old": {"kube_proxy": {"enabled": True, "mode": "nftables"}}},
        nodes=[
            entry("n1"),
            entry("n2", groups=["old"]),
            entry("n3", groups=["old"], kube_proxy="none"),
            entry("n4", groups=["old"], kube_proxy={"enabled": False}),
            entry("n5", kube_proxy={"mode": "ipvs"}),
        ],
    )
    assert [node.kube_proxy.enabled for node in config.nodes] == [False, True, False, False, False]
    assert config.nodes[1].kube_proxy.mode == "nftables"


def test_the_order_of_groups_is_the_nodes() -> None:
    groups = {"a": {"labels": {"x": "a"}}, "b": {"labels": {"x": "b"}}}
    node = {"name": "n1", "address": "192.0.2.1", "groups": ["b", "a"]}
    assert make_config(groups=groups, nodes=[node]).nodes[0].labels == {"x": "a"}


def test_labels_are_merged(config: Config) -> None:
    assert config.nodes[0].labels == {"group": "b", "disk": "ssd", "own": "x"}
    assert config.nodes[1].labels == {"group": "b"}


def test_annotations_are_merged_like_labels() -> None:
    groups = {"a": {"annotations": {"x": "a", "y": "a"}}}
    node = {"name": "n1", "address": "192.0.2.1", "groups": ["a"], "annotations": {"x": "own"}}
    merged = make_config(groups=groups, nodes=[node]).nodes[0].annotations
    assert merged == {"x": "own", "y": "a"}


def test_taints_are_added_and_one_of_the_same_key_and_effect_replaced(config: Config) -> None:
    assert config.nodes[0].taints == (
        Taint("from", "b", "NoSchedule"),
        Taint("from", "b", "NoExecute"),
        Taint("own", "", "NoExecute"),
    )
    assert [str(taint) for taint in config.nodes[0].taints] == [
        "from=b:NoSchedule",
        "from=b:NoExecute",
        "own:NoExecute",
    ]


def test_a_reference_to_a_secret_is_replaced_as_a_whole(config: Config) -> None:
    first, second = config.nodes[0].ssh.password, config.nodes[1].ssh.password
    assert first is not None
    assert second is not None
    assert (first.env, first.prompt) == (None, None)
    assert first.file is not None
    assert (second.env, second.file) == ("LOGIN", None)


def test_null_takes_back_what_may_be_absent(config: Config) -> None:
    assert [node.ssh.gateway for node in config.nodes] == [None, "bastion", "bastion"]


def test_settings_of_any_layer_count(config: Config) -> None:
    """`~/.ssh/config` yields to what is written, and wins over what only has its default."""
    assert config.nodes[0].ssh.model_fields_set == {"user", "password", "gateway", "port"}


def test_a_nodes_ip_is_its_address_unless_given(config: Config) -> None:
    assert [node.ip for node in config.nodes] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_groups_keep_their_own_bounds(config: Config) -> None:
    assert config.groups == {"a": Group("a"), "b": Group("b", 2)}


@pytest.mark.parametrize(
    ("limit", "names"),
    [
        (None, ["n1", "n2", "db-1"]),
        ("n2", ["n2"]),
        ("db-1,n1", ["n1", "db-1"]),
        (" n1 , n1,", ["n1"]),
        ("b", ["n1", "n2"]),
        ("a,n2", ["n1", "n2"]),
        ("n*", ["n1", "n2"]),
        ("*", ["n1", "n2", "db-1"]),
        ("[ab]", ["n1", "n2"]),
        ("192.0.2.2", ["n2"]),
        ("??-1", ["db-1"]),
    ],
)
def test_nodes_are_selected_in_the_order_of_the_configuration(
    config: Config, limit: str | None, names: list[str]
) -> None:
    assert [node.name for node in config.select(limit)] == names


@pytest.mark.parametrize(
    ("limit", "sentences"),
    [
        ("n3", ["no node or group is called 'n3'; known names: n1, n2, db-1, a, b"]),
        ("zzz*", ["no node or group is called 'zzz*'; known names: n1, n2, db-1, a, b"]),
        ("db1,n1", ["no node or group is called 'db1'; did you mean db-1?"]),
        ("", ["names no node; give names or groups"]),
        (",", ["names no node; give names or groups"]),
    ],
)
def test_a_word_that_means_no_node_is_an_error(
    config: Config, limit: str, sentences: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.select(limit)
    assert [problem_text(line) for line in str(caught.value).splitlines()] == sentences


def problem_text(line: str) -> str:
    return line.partition(": ")[2]


def test_a_group_without_members_selects_nobody_and_is_no_error() -> None:
    assert make_config(groups={"empty": {}}).select("empty") == ()


def test_a_node_is_found_by_its_name_or_the_nearest_is_named(config: Config) -> None:
    assert config.node("n2").address == "192.0.2.2"
    with pytest.raises(ConfigError, match=r"no node is called 'db1'; did you mean db-1\?$"):
        config.node("db1")
