"""Nodes from lists: what is taken of them, where each value comes from, and what is refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.config import origins
from fabnode.config.loader import load, read_spread
from fabnode.config.schema import schema
from fabnode.util.problems import ConfigError
from tests.support import DUAL, IPV6, write_cluster

if TYPE_CHECKING:
    from fabnode.config.configuration import Node

GROUPS: dict[str, Any] = {"a": {}, "b": {}}


def cluster(folder: Path, content: object, source: object, **beside: object) -> Path:
    """Write a list as `list.EXT` or what its format says, and a configuration that names it."""
    name = source if isinstance(source, str) else source["file"]  # type: ignore[index]
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    (folder / name).write_text(text)
    return write_cluster(folder, nodes=[{"from": source, **beside}], groups=GROUPS)


def nodes(folder: Path, content: object, source: object, **beside: object) -> list[Node]:
    return list(load(cluster(folder, content, source, **beside)).nodes)


def refused(folder: Path, content: object, source: object, **beside: object) -> list[str]:
    path = cluster(folder, content, source, **beside)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.exit_code == 2
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def shown(found: list[Node]) -> str:
    return " ".join(f"{node.name}={node.address}" for node in found)


# Shapes of a document ------------------------------------------------------------------------

N1 = {"name": "n1", "address": "192.0.2.1"}
N2 = {"name": "n2", "address": "192.0.2.2"}
BOTH = "n1=192.0.2.1 n2=192.0.2.2"


def output(value: object) -> dict[str, object]:
    return {"sensitive": False, "type": ["list", "string"], "value": value}


@pytest.mark.parametrize(
    ("document", "more"),
    [
        ([N1, N2], {}),
        ({"n1": "192.0.2.1", "n2": "192.0.2.2"}, {}),
        ({"n1": {"address": "192.0.2.1"}, "n2": {"ip": "192.0.2.2"}}, {}),
        ({"x": N1, "y": N2}, {}),  # a name of its own is more than the key
        (["n1 192.0.2.1", "192.0.2.2 n2"], {}),
        (["n[1-2] 192.0.2.[1-2]"], {}),
        ([{"name": "n[1-2]", "address": "192.0.2.[1-2]"}], {}),
        ({"a": {"b": [N1, N2]}}, {"path": "a.b"}),
        ({"a.b": [N1, N2], "a": {"c": 1}}, {"path": "a.b"}),
        ({"a.b": {"c": [N1, N2]}}, {"path": "a.b.c"}),
        ({"a": [{"b": [N1]}, {"b": [N2]}]}, {"path": "a.b"}),
        ({"a": [{"b": [N1]}, {"b": [N2]}]}, {"path": ".a[].b[]"}),
        ({"a": [{"b": [3]}, {"b": [N1, N2]}]}, {"path": "a[1].b"}),
        ({"a": [{"n1": "192.0.2.1", "n2": "192.0.2.2"}]}, {"path": "a.0"}),
        ({"a": [{"host": N1}, {"host": N2}]}, {"path": "a.host"}),
        (output([N1, N2]), {}),
        ({"a": output([N1, N2]), "b": output(1)}, {"path": "a"}),
        ({"a": output([N1, N2])}, {"path": "a.value"}),
        ({"a": output({"b": [N1, N2]})}, {"path": "a.b"}),
        ([N1, {**N2, "state": "up"}, {"name": "n3"}], {"fields": ["name", "address"],
                                                       "only": {"name": ["n1", "n2"]}}),
    ],
)  # fmt: skip
def test_hosts_are_found_in_each_shape(tmp_path: Path, document: object, more: Any) -> None:
    assert shown(nodes(tmp_path, document, {"file": "list.json", **more})) == BOTH


@pytest.mark.parametrize(
    "host",
    [
        "n1 192.0.2.1 2001:db8::1",
        "n1 192.0.2.1,2001:db8::1",
        {"name": "n1", "ip": "192.0.2.1,2001:db8::1"},
        {"name": "n1", "ip": ["192.0.2.1", "2001:db8::1"]},
        {"name": "n1", "ip": "192.0.2.1/24, 2001:DB8:0::1/64"},
        {"name": "n1", "ip": ["192.0.2.1/24", "2001:db8::1/64"]},
        {"name": "n1", "address": "192.0.2.1/24", "ip": "192.0.2.1,2001:db8::1"},
    ],
)
def test_a_host_may_have_an_address_of_each_family(tmp_path: Path, host: object) -> None:
    (tmp_path / "l.json").write_text(json.dumps([host]))
    path = write_cluster(tmp_path, **{**DUAL, "nodes": [{"from": "l.json"}]})
    (node,) = load(path).nodes
    assert (node.name, node.address, node.ips) == ("n1", "192.0.2.1", ("192.0.2.1", "2001:db8::1"))


def test_netbox_writes_the_length_of_ipv6_networks_as_well(tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(json.dumps([{"name": "n1", "address": "2001:db8::1/64"}]))
    (node,) = load(write_cluster(tmp_path, **{**IPV6, "nodes": [{"from": "l.json"}]})).nodes
    assert node.ips == ("2001:db8::1",)


def test_yaml_is_read_as_json_is(tmp_path: Path) -> None:
    text = "hosts:\n  n1: {address: 192.0.2.1}\n  n2: &x {address: 192.0.2.2}\n"
    assert shown(nodes(tmp_path, text, {"file": "list.yaml", "path": "hosts"})) == BOTH


def test_a_host_of_an_inventory_may_have_nothing_but_its_name(tmp_path: Path) -> None:
    fault = refused(tmp_path, "n1.example.org:\n", {"file": "l.yml", "fields": {"ip": "ip"}})
    assert fault == ["cluster.yml:17: nodes[0].from.fields.ip: no host in l.yml has 'ip'; it has: "]


@pytest.mark.parametrize(
    ("document", "more", "message"),
    [
        ({"a": [N1]}, {"path": "b"}, "l.json:1: has nothing at the path b: no b; it has: a"),
        (
            {"a": {"hosts": [N1]}},
            {"path": "a.host"},
            "l.json:1: has nothing at the path a.host: no host in a; did you mean hosts?",
        ),
        ([N1], {"path": "[3]"}, "l.json:1: has nothing at the path [3]: no 3"),
        ({"a": 3}, {"path": "a"}, "l.json:2: must be a list of hosts, or a mapping, got 3"),
        ([N1, [N2]], {}, "l.json:6: must be a host: a mapping or text, got a list"),
        (
            {"count": 1, "results": [N1]},
            {},
            "l.json:2: must be a host: a mapping or text, got 1; name the list by `path`, as in",
        ),
        (
            {"nodes": output([N1]), "vpc": output("x")},
            {},
            "l.json:1: holds outputs of Terraform, not hosts; name one of them by `path`: nodes, v",
        ),
        (["a b c"], {}, "l.json:2: 'a b c' is more than a name and an address; one host a line"),
        ([{**N1, "mgmt": 1, "os": 2}], {}, "l.json:5: has keys that no node has: mgmt, os; `fields`"
         " says which of its keys to take, and all others are passed over: fields: {name: mgmt,"),
        ([{"name": "n1", "adress": "192.0.2.1"}], {}, "l.json:4: has keys that no node has: adress;"
         " did you mean address?"),
        ([N1], {"fields": {"adress": "x"}}, "cluster.yml:17: nodes[0].from.fields.adress: is no key"
         " of a node; did you mean address?"),
        ([N1], {"fields": {"address": "adress"}}, "cluster.yml:17: nodes[0].from.fields.address: no"
         " host in l.json has 'adress'; did you mean address?"),
        ([N1], {"only": {"state": "up"}}, "l.json:1: no host has state: up; it has: name, address"),
        ([{**N1, "state": 3}], {"fields": ["name"], "only": {"state": ["up", True]}},
         "l.json:1: no host has state: true or up; its values are: 3"),
        ([N1] * 5001, {}, "l.json:1: holds more than 5000 hosts; take some by `only`"),
        ("", {}, "l.json: is empty"),
        ("{", {}, "l.json:1: is not valid JSON: a key in double quotes is missing"),
    ],
)  # fmt: skip
def test_a_list_without_hosts_is_one_sentence(
    tmp_path: Path, document: object, more: Any, message: str
) -> None:
    (fault,) = refused(tmp_path, document, {"file": "l.json", **more})
    assert fault.startswith(message)


# Keys and values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "attribute", "value"),
    [
        ({"ip": "192.0.2.1/24"}, "address", "192.0.2.1"),
        ({"address": "192.0.2.9/31", "ip": "192.0.2.1"}, "address", "192.0.2.9"),
        ({"address": "n1.example.org", "ip": "192.0.2.1"}, "address", "n1.example.org"),
        ({"groups": "a b"}, "groups", ("a", "b")),
        ({"groups": "b;a"}, "groups", ("b", "a")),
        ({"groups": ["b"]}, "groups", ("b",)),
        ({"groups": None}, "groups", ()),
        ({"groups": ""}, "groups", ()),
        ({"labels": {"x": 7, "y": True, "z": 1.10, "n": None, "e": ""}}, "labels",
         {"x": "7", "y": "true", "z": "1.1", "e": ""}),
        ({"labels": "x=1, y="}, "labels", {"x": "1", "y": ""}),
        ({"labels.topology.kubernetes.io/zone": "b"}, "labels",
         {"topology.kubernetes.io/zone": "b"}),
        ({"labels.x": "1", "labels": {"y": "2"}}, "labels", {"x": "1", "y": "2"}),
        ({"taints": "k=v:NoSchedule"}, "taint_texts", ["k=v:NoSchedule"]),
        ({"ssh": {"port": 2222, "gateway": None}}, "ssh.port", 2222),
        ({"ssh.port": "2222"}, "ssh.port", 2222),
        ({"ssh.user": "ops"}, "ssh.user", "ops"),
        ({"host.sysctls.vm.max_map_count": 262144}, "host.sysctls", {"vm.max_map_count": "262144"}),
        ({"kubelet.fail_swap_on": "False"}, "kubelet.fail_swap_on", False),
        ({"kubelet.config.maxOpenFiles": 10}, "kubelet.config", {"maxOpenFiles": 10}),
        ({"kubelet.config": {"evictionHard": None}}, "kubelet.config", {"evictionHard": None}),
        ({"kube_proxy": "none"}, "kube_proxy.enabled", False),
        ({"ssh.password.env": "PW"}, "ssh.password.env", "PW"),
        ({"kubelet.startup_taints": "k:NoSchedule"}, "kubelet.startup_taints", ("k:NoSchedule",)),
    ],
)  # fmt: skip
def test_a_value_becomes_what_its_key_wants(
    tmp_path: Path, host: dict[str, object], attribute: str, value: object
) -> None:
    entry = {"name": "n1", **({} if {"address", "ip"} & host.keys() else N1), **host}
    (node,) = nodes(tmp_path, [entry], "l.json")
    found: Any = node
    if attribute == "taint_texts":
        found = [str(taint) for taint in node.taints]
    else:
        for part in attribute.split("."):
            found = getattr(found, part)
    assert found == value


def test_cells_are_numbers_and_booleans_where_these_are_wanted(tmp_path: Path) -> None:
    text = (
        "name,address,ssh.port,kubelet.fail_swap_on,kubelet.config.maxOpenFiles,labels.rack\n"
        "n1,192.0.2.1,2222,FALSE,10,07\n"
    )
    (node,) = nodes(tmp_path, text, "l.csv")
    assert (node.ssh.port, node.kubelet.fail_swap_on) == (2222, False)
    assert (node.kubelet.config, node.labels) == ({"maxOpenFiles": 10}, {"rack": "07"})


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"address": "x y"}, "nodes[n1].address ([0].address): must be an IPv4 or IPv6 address"),
        ({"ssh": {"prot": 1}}, "nodes[n1].ssh.prot ([0].ssh): unknown key; did you mean port?"),
        ({"ssh.port": "ssh"}, "nodes[n1].ssh.port ([0].ssh.port): must be a whole number, got 'ss"),
        ({"groups": ["a", "c"]}, "nodes[n1].groups[1] ([0].groups): no group is called 'c'"),
        ({"labels": ["x"]}, "nodes[n1].labels ([0].labels): must be a mapping, got a list"),
        ({"address": {"v4": 1}}, "nodes[n1].address ([0].address): must be text, got a mapping"),
        ({"ssh.password": "hunter2"}, "nodes[n1].ssh.password ([0].ssh.password): must be one of"),
        ({"kubelet.config.maxPods": 3}, "nodes[n1].kubelet.config.maxPods ([0].kubelet.config.max"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_as_in_the_file_itself(
    tmp_path: Path, host: dict[str, object], message: str
) -> None:
    (fault,) = refused(tmp_path, [{**N1, **host}], "l.json")
    place, _, rest = fault.partition(": ")
    assert place.startswith("l.json:")
    assert rest.startswith(message)
    assert "hunter2" not in fault


def test_what_a_host_lacks_is_named_in_the_lists_words(tmp_path: Path) -> None:
    source = {"file": "l.json", "fields": {"name": "n", "address": "net.v4"}}
    document = [{"n": "n1", "net": {"v4": "192.0.2.1"}}, {"n": "n2", "net": None}]
    assert refused(tmp_path, document, source) == [
        "l.json:8: nodes[n2].address ([1].net.v4): is missing"
    ]


def test_a_problem_is_in_the_line_of_its_row_and_names_its_column(tmp_path: Path) -> None:
    text = '# hosts\n\nhost;mgmt\nn1;192.0.2.1\n"n\n2";192.0.2.2\nn3;192.0.2.1\nn1;192.0.2.4\n'
    source = {"file": "l.csv", "fields": {"name": "host", "address": "mgmt"}}
    assert refused(tmp_path, text, source) == [
        "l.csv:5: nodes[n�2].name (host): must be text without control characters, got 'n�2'",
        "l.csv:7: nodes[n3].address (mgmt): '192.0.2.1' is also the address of 'n1'",
        "l.csv:8: nodes[n1].name (host): two nodes are called 'n1'",
    ]


def test_ranges_of_a_list_are_refused_in_its_line(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, "a 192.0.2.9\nn[1-3] 192.0.2.[1-2]\n", "l.txt")
    assert fault.startswith(
        "l.txt:2: nodes[n[1-3]].address ([1]): stands for 2, but the name for 3"
    )


def test_two_lists_with_one_host_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("n1 192.0.2.1\n")
    (tmp_path / "b.txt").write_text("n2 192.0.2.2\nn1 192.0.2.3\n")
    path = write_cluster(tmp_path, nodes=[{"from": "a.txt"}, {"from": "b.txt"}])
    with pytest.raises(ConfigError, match=r"b\.txt:2: nodes\[n1\]\.name .*two nodes are called"):
        load(path)


def test_problems_of_several_files_stand_together_by_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("n1 192.0.2.1\nN2 192.0.2.2\n")
    bad = {"name": "N3", "address": "192.0.2.3"}
    path = write_cluster(tmp_path, nodes=[bad, {"from": "a.txt"}, {"name": "n4", "address": "x y"}])
    with pytest.raises(ConfigError) as caught:
        load(path)
    files = [problem.file.rpartition("/")[2] for problem in caught.value.problems]
    assert files == ["cluster.yml", "cluster.yml", "a.txt"]


# What stands beside `from` -------------------------------------------------------------------


def test_the_lists_own_values_go_over_what_stands_beside(tmp_path: Path) -> None:
    beside = {
        "groups": ["a"],
        "labels": {"x": "1", "y": "1"},
        "ssh": {"user": "ops", "port": 22, "password": {"env": "ONE"}},
        "kube_proxy": "none",
    }
    own = {"groups": "b", "labels.y": "2", "ssh": {"port": 2222, "password": {"file": "pw"}}}
    (tmp_path / "pw").touch(0o600)
    first, second = nodes(tmp_path, [N1, {**N2, **own}], "l.json", **beside)
    assert (first.groups, second.groups) == (("a",), ("b",))
    assert second.labels == {"x": "1", "y": "2"}
    assert (second.ssh.user, second.ssh.port) == ("ops", 2222)
    assert second.ssh.password
    assert second.ssh.password.env is None
    assert not first.kube_proxy.enabled
    assert not second.kube_proxy.enabled


def test_each_value_says_which_line_of_which_file_it_is_from(tmp_path: Path) -> None:
    text = "name,address,groups,ssh.port\nn1,192.0.2.1,,\nn2,192.0.2.2,b,2222\n"
    path = cluster(tmp_path, text, "l.csv", groups=["a"], ssh={"user": "ops"}, labels={"x": "1"})
    config, document = load(path), read_spread(path)
    of = {
        node.name: {
            each.key: str(each.origin).replace(f"{tmp_path}/", "")
            for each in origins.settings_of(config, document, node)
        }
        for node in config.nodes
    }
    lines = path.read_text().splitlines()
    user, groups, label = (
        f"cluster.yml:{1 + next(n for n, line in enumerate(lines) if text in line)}"
        for text in ("    user: ops", "  groups:", "    x: '1'")
    )
    assert [of["n1"][key] for key in ("name", "groups", "ssh.user", "ssh.port", "labels.x")] == [
        "l.csv:2", groups, user, "default", label
    ]  # fmt: skip
    assert [of["n2"][key] for key in ("ip", "groups", "ssh.user", "ssh.port", "labels.x")] == [
        "l.csv:3, as address", "l.csv:3", user, "l.csv:3", label
    ]  # fmt: skip


def test_other_entries_keep_their_places_and_lines(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("n1 192.0.2.1\nn2 192.0.2.2\n")
    (tmp_path / "empty.json").write_text("[]")
    first = {"name": "first", "address": "192.0.2.8", "labels": {"x": "1"}}
    ranged = {"name": "r[1-2]", "address": "192.0.2.[5-6]", "ssh": {"port": 7}}
    path = write_cluster(tmp_path, nodes=[first, {"from": "l.txt"}, {"from": "empty.json"}, ranged])
    config, document = load(path), read_spread(path)
    assert [node.name for node in config.nodes] == ["first", "n1", "n2", "r1", "r2"]
    for node, key, line in (("first", "labels.x", "    x: '1'"), ("r2", "ssh.port", "port: 7")):
        found = origins.settings_of(config, document, config.node(node))
        (origin,) = [each.origin for each in found if each.key == key]
        assert origin.file == str(path)
        assert line in path.read_text().splitlines()[(origin.line or 0) - 1]
    assert [node.name for node in config.select("n*,first")] == ["first", "n1", "n2"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"from": {}}, "from: needs one of file and command"),
        ({"from": {"file": "x.csv", "command": ["x"]}}, "from: needs one of file and command"),
        ({"from": 3}, "from: must be a mapping, got 3"),
        ({"from": None}, "from: needs one of file and command"),
        ({"from": {"file": "l"}}, "from: l: the end of its name says no format; name it by `form"),
        ({"from": "none.csv"}, "from.file: none.csv: no such file"),
        ({"from": "dir.csv"}, "from.file: dir.csv: is not a regular file"),
        ({"from": "big.csv"}, "from.file: big.csv: is larger than 4 MiB: not a list of hosts"),
        ({"from": {"file": "l.csv", "feilds": {}}}, "from.feilds: unknown key; did you mean field"),
        ({"from": {"file": "l.csv", "format": "xml"}}, "from.format: must be csv, json, yaml or t"),
        ({"from": {"file": "l.csv", "only": {"a": [{}]}}}, "from.only.a[0]: must be text, a numb"),
        ({"from": {"file": "l.csv", "only": {"a": []}}}, "from.only.a: is empty"),
        ({"from": {"command": "terraform output"}}, "from.command: must be a list, got 'terraform"),
        ({"from": {"command": []}}, "from.command: is empty"),
        ({"from": "l.csv", "name": "x"}, "name: can't stand beside `from`; the list has it for"),
        ({"from": "l.csv", "ip": "x"}, "ip: can't stand beside `from`"),
        ({"from": "l.csv", "label": {}}, "label: unknown key; did you mean labels?"),
        ({"from": "l.csv", "ssh": {"port": "x"}}, "ssh.port: must be a whole number, got 'x'"),
        ({"from": "l.csv", "groups": ["q q"]}, "groups[0]: must be a name of letters"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_refused_in_its_own_line(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    (tmp_path / "l.csv").write_text("name,address\nn1,192.0.2.1\n")
    (tmp_path / "dir.csv").mkdir()
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate(2**30)
    path = write_cluster(tmp_path, nodes=[N1, entry])
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    place, _, text = str(problem).replace(f"{tmp_path}/", "").partition(": ")
    assert text.partition(".")[2].startswith(message)
    lines = path.read_text().splitlines()
    assert place.startswith("cluster.yml:")
    last = problem.key.rpartition(".")[2]
    there = lines[(problem.line or 0) - 1].strip()
    assert there.startswith((last, f"- {last}", "- from", "- " if last.endswith("]") else last))


def test_without_nodes_elsewhere_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"cluster\.yml:\d+: nodes: is empty; at least one entry"):
        load(write_cluster(tmp_path, nodes=[{"from": "l.json"}]))


# Hostile lists -------------------------------------------------------------------------------

_KEYS = sorted(schema()["$defs"]["NodeEntry"]["properties"])
_DOTTED = [f"{key}.{name}" for key in ("ssh", "labels", "kubelet.config") for name in ("port", "x")]
_NAMES = st.sampled_from([*_KEYS, *_DOTTED, "", ".", "value", "sensitive"]) | st.text(max_size=5)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(["n1", "192.0.2.1", "192.0.2.1/24", "n[1-2]", "a=b", "a,b", "none", "{}"])
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
_HOSTS = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=4) | _VALUES, max_size=3)
_LIMITS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def survives(name: str, content: bytes, more: dict[str, Any], beside: dict[str, Any]) -> None:
    """Load a configuration with this list: a Config, or problems that can be printed."""
    with tempfile.TemporaryDirectory() as directory:
        path = cluster(Path(directory), "", {"file": name, **more}, **beside)
        (path.parent / name).write_bytes(content)
        fault = ""
        try:
            load(path)
        except ConfigError as error:
            assert error.problems  # noqa: PT017 - a ConfigError is one of the good ends
            fault = str(error)
        assert all(line.isprintable() for line in fault.split("\n"))


@_LIMITS
@given(
    hosts=_HOSTS | _VALUES,
    path=st.sampled_from([None, "a", "[0]", "value", ".", "a.b[]"]),
    fields=st.none()
    | st.dictionaries(st.sampled_from([*_KEYS, *_DOTTED]), _NAMES.filter(str.strip), max_size=3),
    only=st.dictionaries(st.sampled_from(["name", "x"]), st.sampled_from(["n1", 1]), max_size=1),
    beside=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=1),
)
def test_no_document_does_more_than_be_refused(
    hosts: object, path: str | None, fields: Any, only: Any, beside: Any
) -> None:
    more = {"path": path, "fields": fields, "only": only}
    survives("l.json", json.dumps(hosts).encode(), more, beside)


@_LIMITS
@given(st.text("n1,;\t\"#\n\r=[-] .x'", max_size=60), st.sampled_from(_KEYS + _DOTTED))
def test_no_table_does_more_than_be_refused(text: str, key: str) -> None:
    survives("l.csv", f"name,address,{key}\n{text}".encode(), {}, {})


@_LIMITS
@given(st.binary(max_size=120), st.sampled_from(["l.csv", "l.json", "l.yml", "l.txt"]))
def test_no_bytes_do_more_than_be_refused(content: bytes, name: str) -> None:
    survives(name, content, {}, {})
