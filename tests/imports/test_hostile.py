"""Whatever a source holds: a report and a valid file, or a ConfigError that names it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.config import loader
from fabnode.config.imports import kubeasz, kubespray, outcome, recognise
from fabnode.config.imports.facts import Facts
from fabnode.util.problems import ConfigError

from .support import ACCESS, text_of, unmarked
from .test_documents import K0S, V1BETA3

LIMITS = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SECRET = "hunter2"
NAMES = st.sampled_from(
    [
        *sorted({*kubespray.RULES, *kubeasz.RULES}),
        *("kube_service_addresses", "kube_pods_subnet", "kube_service_addresses_ipv6"),
        *("kube_pods_subnet_ipv6", "ipv4_stack", "ipv6_stack", "ip", "ip6"),
        *("ansible_host", "ansible_user", "ansible_port", "ip", "ansible_ssh_common_args"),
        *("enable_nodelocaldns", "nodelocaldns_ip", "skydns_server", "dns_domain", "cluster_name"),
        *("loadbalancer_apiserver", "kube_apiserver_port", "kube_network_plugin", "k8s_nodename"),
    ]
)
ODD = st.text(
    st.sampled_from("\n\r\x85\u2028\x00\ufeff\t #:{}[]\"'\\-,&*!|>%@`$()=aA1.é\ud800"), max_size=30
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ODD
    | st.sampled_from(
        [
            *("{{ x }}", "{{ inventory_hostname }}", "1.30.4", "v1.35.1", "10.0.0.0/8", "fd00::/8"),
            *(
                "10.233.0.0/18",
                "10.233.0.1",
                "external",
                "docker",
                "ipvs",
                "nftables",
                "a=b:NoExecute",
            ),
        ]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD | NAMES, inner, max_size=3),
    max_leaves=8,
)


def read(path: Path) -> Facts | ConfigError:
    try:
        return recognise.read(path)
    except ConfigError as error:
        return error


def survives(files: dict[str, bytes], source: str, names: Iterable[str] = ()) -> None:
    """Hold what comes of files to what is promised; `names` are listed, whatever they say."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_bytes(content)
        facts = read(folder / source)
        if isinstance(facts, ConfigError):
            assert facts.problems
            for problem in facts.problems:
                assert problem.file
                assert str(problem).isprintable()
            assert SECRET not in str(facts)
            return
        found = outcome.of(facts, ACCESS)
        text = text_of(found)
        yaml.safe_load(text)
        keys = {key for key in unmarked(text) if not key.startswith("nodes")}
        assert keys == set(), loader.problems_of(text)
        assert SECRET not in text + repr(found.report)
        listed = repr((found.report, found.findings, found.hosts))
        assert [name for name in names if name not in listed] == []


@LIMITS
@given(
    everywhere=st.dictionaries(NAMES, VALUES, max_size=6),
    own=st.dictionaries(NAMES, VALUES, max_size=4),
)
def test_any_variables_of_kubespray(everywhere: dict[str, object], own: dict[str, object]) -> None:
    inventory = {
        "kube_control_plane": {"hosts": {"c": {"ansible_host": "192.0.2.1"}}},
        "kube_node": {
            "hosts": {
                "w1": {"ansible_host": "192.0.2.2", **own},
                "w2": {"ansible_host": "192.0.2.3", "ansible_password": SECRET},
            }
        },
        "k8s_cluster": {"children": {"kube_node": {}}, "vars": everywhere},
    }
    dumped = yaml.safe_dump(inventory, allow_unicode=True).encode("utf-8", "replace")
    survives({"hosts.yml": dumped}, "hosts.yml", {*everywhere, *own})


@LIMITS
@given(everywhere=st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_config_of_kubeasz(everywhere: dict[str, object]) -> None:
    hosts = (
        "[kube_master]\n192.0.2.1\n[kube_node]\n192.0.2.2\n[all:vars]\nSERVICE_CIDR=10.68.0.0/16\n"
        f"CLUSTER_CIDR=172.20.0.0/16\nansible_become_password={SECRET}\n"
    )
    config = yaml.safe_dump(everywhere, allow_unicode=True).encode("utf-8", "replace")
    survives({"hosts": hosts.encode(), "config.yml": config}, "", everywhere)


@LIMITS
@given(text=st.text(st.sampled_from("[]:=#;'\"\\ \n\tabkube_node{}%,1\x00é"), max_size=200))
def test_any_lines_of_ini(text: str) -> None:
    survives({"hosts": f"[kube_node]\nw\n[k8s_cluster]\n{text}".encode()}, "hosts")


@LIMITS
@given(content=st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    survives({"hosts": content}, "hosts")


def mutated(text: str, at: int, length: int, inserted: str) -> bytes:
    at %= len(text)
    return (text[:at] + inserted + text[at + length :]).encode("utf-8", "replace")


@LIMITS
@given(
    text=st.sampled_from([K0S.replace("hunter2@", "x@"), V1BETA3.replace("hunter2hunter2hu", "x")]),
    at=st.integers(0, 5000),
    length=st.integers(0, 40),
    inserted=st.sampled_from(
        ["", "\n", ": ", "[", "*a", "&a ", "!!python/name:x ", "- ", "null", "{"]
    ),
)
def test_any_damage_to_documents(text: str, at: int, length: int, inserted: str) -> None:
    survives({"x.yaml": mutated(text, at, length, inserted)}, "x.yaml")
