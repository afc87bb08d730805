"""Ansible's inventories are read as Ansible reads them; what it evaluates is not evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabnode.config.imports import ansible_ini, inventory_files, kubespray, yaml_values
from fabnode.config.imports.inventory import Inventory
from fabnode.config.imports.references import followed
from fabnode.config.imports.values import Kind, Place, Value
from fabnode.util.problems import ConfigError

from .support import written

PLACE = Place("hosts", 1)


def ini(text: str) -> Inventory:
    inventory = Inventory()
    ansible_ini.read(text, "hosts", inventory)
    return inventory


def values(inventory: Inventory, host: str) -> dict[str, Any]:
    return {name: value.plain() for name, value in inventory.variables(host).items()}


def test_sections_hosts_ports_and_ranges() -> None:
    inventory = ini(
        "# ours\n[kube_node]  # workers\nnode[08:10] ansible_user=ops\nlast:2222\n"
        "ab-[a:c:2].example\n"
        "[k8s_cluster:children]\nkube_node\n[k8s_cluster:vars]\nkube_version = v1.30.4\n; end\n"
    )
    assert list(inventory.members("k8s_cluster")) == [
        *("node08", "node09", "node10", "last", "ab-a.example", "ab-c.example")
    ]
    assert values(inventory, "last") == {"kube_version": "v1.30.4", "ansible_port": 2222}
    assert inventory.hosts["node10"] == Place("hosts", 3)


@pytest.mark.parametrize(
    ("written_value", "expected"),
    [
        ("1.30", 1.3),
        ('"1.30"', "1.30"),
        ("TRUE", "TRUE"),
        ("True", True),
        ("['a', 'b']", ["a", "b"]),
        ("{'a': 1}", {"a": 1}),
        ("a#b", "a#b"),
        ("None", None),
        ("1_0", 10),
        ("{1, 2}", "{1, 2}"),
        ("b'x'", "b'x'"),
        ("1e999", "1e999"),
        ("", ""),
    ],
)
def test_values_of_groups_are_literals_or_text(written_value: str, expected: object) -> None:
    """As `findings/ansible-ini-quotes.sh` shows it."""
    inventory = ini(f"[kube_node]\nn1\n[kube_node:vars]\nx={written_value}\n")
    assert values(inventory, "n1") == {"x": expected}


def test_values_beside_hosts_are_split_as_a_shell_does() -> None:
    inventory = ini("""[kube_node]\nn1 a="1.30" b='"1.30"' c="x y" d=a=b # e=f\n""")
    assert values(inventory, "n1") == {"a": 1.3, "b": "1.30", "c": "x y", "d": "a=b"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[kube_node", "'[kube_node' is no section"),
        ("[kube_node:hostz]", "a section can't be of hostz"),
        ("n1 a='b", "can't be split into words"),
        ("n1 secret words", "no key=value"),
        ("node[1:", "a bracket has no other half"),
        ("node[5:1]", "ends before it begins"),
        ("node[01:003]", "different width"),
        ("node[1:99999]", "more than 5000"),
        ("node[1:3:0]", "a step that is none"),
        ("node[ab:c]", "is no range"),
    ],
)
def test_lines_that_are_none_are_named(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ini(f"[a]\n{line}\n")
    (problem,) = caught.value.problems
    assert message in problem.message
    assert (problem.file, problem.line) == ("hosts", 2)
    assert "secret" not in str(problem)


def test_precedence_is_ansibles(tmp_path: Path) -> None:
    """What a file says of any group gives way to group_vars/all; all/ hides all.yml."""
    written(
        tmp_path,
        {
            "hosts": "[kube_node]\nn1 e=host\nn2\n[kube_node:vars]\na=file\nb=file\nc=file\n"
            "e=file\n",
            "group_vars/all/one.yml": "a: all\nb: all\nd: all\n",
            "group_vars/all.yml": "z: hidden\n",
            "group_vars/kube_node.yml": "b: group\n",
            "group_vars/elsewhere.yml": "y: unread\n",
            "host_vars/n2.yaml": "d: own\n",
        },
    )
    inventory = inventory_files.read(tmp_path / "hosts", inventory_files.Files())
    assert values(inventory, "n1") == {
        "a": "all",
        "b": "group",
        "c": "file",
        "d": "all",
        "e": "host",
    }
    assert values(inventory, "n2")["d"] == "own"
    unread = {name: why for name, _, why in inventory.unread}
    assert "passes over" in unread["all.yml"]
    assert "no group of this name" in unread["elsewhere.yml"]


def test_deeper_groups_take_precedence() -> None:
    inventory = ini(
        "[b]\nn1\n[a]\nn1\n[top:children]\na\n[a:vars]\nx=a\ny=a\n[b:vars]\nx=b\ny=b\n"
        "[top:vars]\nx=top\n"
    )
    assert values(inventory, "n1") == {"x": "a", "y": "a"}  # a lies below top, b does not
    assert values(ini("[b]\nn1\n[a]\nn1\n[a:vars]\nx=a\n[b:vars]\nx=b\n"), "n1") == {"x": "b"}


def test_groups_that_contain_each_other_end() -> None:
    inventory = ini("[a]\nn1\n[a:children]\nb\n[b:children]\na\n[a:vars]\nx=1\n")
    assert values(inventory, "n1") == {"x": 1}
    assert list(inventory.members("b")) == ["n1"]


def test_a_folder_has_what_is_no_inventory_as_well(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "hosts.yaml": "kube_node:\n  hosts:\n    n1: {ansible_host: 192.0.2.1}\n    n[2:3]:\n",
            "patches/scheduler.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n",
            "aws.yml": "plugin: aws_ec2\nregions: [x]\n",
            "inventory.py": "#!/usr/bin/python3\n",
            "README.md": "n9\n",
            "credentials/kubeadm_certificate_key.creds": "0123456789abcdef\n",
            "credentials/password": "hunter2\n",
            "ansible.cfg": "[defaults]\nhost_key_checking=False\n",
            "old.cfg": "[kube_node]\nn8\n",
            "notes": "n7\nreplaced in spring\n",
        },
    )
    (tmp_path / "inventory.py").chmod(0o755)
    inventory = inventory_files.read(tmp_path, inventory_files.Files(), kubespray.complete)
    assert set(inventory.hosts) == {"n1", "n2", "n3"}
    named = {"scheduler.yaml", "aws.yml", "inventory.py", "notes"}
    assert {name for name, *_ in inventory.unread} == named
    assert list(inventory.members("k8s_cluster")) == ["n1", "n2", "n3"]


def yaml_value(text: str) -> Value:
    return yaml_values.read(text, "vars.yml")[0]


def test_tags_of_others_are_marked_and_make_nothing() -> None:
    read = yaml_value(
        "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6161\n"
        "b: !!python/object/apply:os.system [true]\n"
        "c: !unsafe '{{ x }}'\nd: '{{ x }}'\ne: !mine 1\nf: 2026-01-01\ng: 0o17\n"
    )
    kinds = {key: each.kind for key, each in read.keys.items()}
    assert kinds["a"] is Kind.SECRET
    assert kinds["b"] is kinds["e"] is Kind.FOREIGN
    assert kinds["c"] is Kind.PLAIN
    assert kinds["d"] is Kind.EXPRESSION
    assert read.plain()["f"] == "2026-01-01"
    assert "6161" not in repr(read)


def test_anchors_and_merge_keys_are_followed() -> None:
    read = yaml_value("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}\nc: {<<: [{k: 5}, *x]}\n")
    assert read.plain()["b"] == {"k": 1, "l": 3}
    assert read.plain()["c"] == {"k": 5, "l": 2}
    assert read.at("b", "k").place.line == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    ["a: &x [*x]", "[" * 60, "x: {{ y }}", "a: 'b", "\x00", "&a [" + "[]," * 5 + "]: 1"],
)
def test_bad_yaml_is_a_problem_with_its_file(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        yaml_values.read(text, "vars.yml")
    assert caught.value.problems[0].file == "vars.yml"


@pytest.mark.parametrize("text", ["a:\n  " + "[" * 60, "a:\n b: }"])
def test_a_fault_of_yaml_within_yaml_has_its_line_in_the_file(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        yaml_values.read(text, "vars.yml", first_line=9)
    assert caught.value.problems[0].line == 10


def test_much_of_little_is_refused() -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="more than 30000 values"):
        yaml_values.read("\n".join(lines), "vars.yml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ dir }}/ssl", "/etc/ssl"),
        ("{{dir}}", "/etc"),
        ("{{ inventory_hostname }}", "n1"),
        ("{{ chain }}", "/etc"),
        ("{{ number }}", 7),
        ("https://{{ inventory_hostname }}:{{ number }}", "https://n1:7"),
        ("{{ dir | upper }}", None),
        ("{{ lookup('file', '/etc/passwd') }}", None),
        ("{% if x %}a{% endif %}", None),
        ("{{ missing }}", None),
        ("{{ loop }}", None),
        ("{{ secret }}", None),
        ("a{{ secret }}", None),
    ],
)
def test_only_names_of_plain_variables_are_followed(text: str, expected: object) -> None:
    variables = {
        "dir": yaml_values.text_value("/etc", PLACE),
        "chain": yaml_values.text_value("{{ dir }}", PLACE),
        "loop": yaml_values.text_value("{{ loop }}", PLACE),
        "number": Value(7, PLACE),
        "secret": Value(None, PLACE, Kind.SECRET),
    }
    found = followed(yaml_values.text_value(text, PLACE), variables, "n1")
    if expected is None:
        assert found.odd is not Kind.PLAIN
    else:
        assert (found.plain(), found.odd) == (expected, Kind.PLAIN)


def test_references_that_multiply_end() -> None:
    variables = {
        f"v{n}": Value([yaml_values.text_value(f"{{{{ v{n + 1} }}}}", PLACE)] * 50, PLACE)
        for n in range(8)
    }
    found = followed(yaml_values.text_value("{{ v0 }}", PLACE), variables)
    assert found.odd is Kind.EXPRESSION
