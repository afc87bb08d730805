"""A first configuration loads, or its only problems are the keys that it marks as not known."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.config.host_list import Host, numbered, parse, refuse_twins, split
from fabnode.config.loader import load
from fabnode.config.starter import (
    REQUIRED,
    ExistingNode,
    Fact,
    Findings,
    Known,
    Missing,
    Network,
    Offered,
    judged,
    local,
    write,
)
from fabnode.releases.matrix import matrix
from fabnode.util.problems import ConfigError
from tests.support import write_cluster

FOUND: dict[str, Fact] = {
    "version": Known("1.36.3", "What the apiserver runs."),
    "apiserver": Known("https://192.0.2.1:6443", "Of the kubeconfig."),
    "ca": Known("ca.pem", "Of the kubeconfig."),
    "service_cidr": Known("10.68.0.0/16", "Of the ServiceCIDR kubernetes."),
    "pod_cidr": Known("172.20.0.0/16", "Of Calico's only IPPool."),
    "dns_address": Known("10.68.0.2", "Of the Service kube-system/kube-dns."),
}
HOSTS = [Host("n1", "192.0.2.11"), Host("n2", "n2.example.org", "192.0.2.12")]


def findings(cluster: dict[str, Fact] | None = None, **others: object) -> Findings:
    given: dict[str, object] = {"network": Network(), **others}
    return Findings(
        kubeconfig="admin.kubeconfig",
        origin="the kubeconfig's context admin@kubernetes",
        cluster=FOUND if cluster is None else cluster,
        **given,  # type: ignore[arg-type]
    )


def text_of(found: Findings, hosts: list[Host] = HOSTS) -> str:
    return write(found, hosts, command="inv config.init", example="inv config.example")


def sentences(text: str) -> str:
    """Return a text with the lines of each comment joined."""
    return re.sub(r"\n *#", "", text)


def problems(folder: Path, text: str) -> set[str]:
    """Return the keys that the loader has something against."""
    try:
        load(write_cluster(folder, text))
    except ConfigError as error:
        return {problem.key or str(problem) for problem in error.problems}
    return set()


def marked(text: str) -> set[str]:
    """Return the keys that are commented out, each below a comment that says why."""
    found = re.findall(r"^ *# .*\n *# ([a-z_]+):$", text, re.MULTILINE)
    return {key if key in {"nodes", "ip"} else f"cluster.{key}" for key in found}


def test_what_is_all_known_is_a_valid_configuration(tmp_path: Path) -> None:
    text = text_of(findings())
    config = load(write_cluster(tmp_path, text))
    assert str(config.cluster.version) == "1.36.3"
    assert config.cluster.kubeconfig == tmp_path / "admin.kubeconfig"
    assert str(config.runtime.version).startswith("2.")
    assert (str(config.calico.version), config.calico.allow_untested) == ("3.32.1", False)
    assert [(n.name, n.address, n.ip) for n in config.nodes] == [
        ("n1", "192.0.2.11", "192.0.2.11"),
        ("n2", "n2.example.org", "192.0.2.12"),
    ]
    assert marked(text) == set()
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 40


@pytest.mark.parametrize("count", range(len(REQUIRED) + 1))
def test_every_combination_of_facts_has_no_problem_but_those_it_marks(
    count: int, tmp_path: Path
) -> None:
    for lacking in combinations(REQUIRED, count):
        facts = {k: Missing("no right to ask (403).") if k in lacking else FOUND[k] for k in FOUND}
        for hosts in (HOSTS, []):
            text = text_of(findings(facts), hosts)
            wanted = {f"cluster.{key}" for key in lacking} | (set() if hosts else {"nodes"})
            assert problems(tmp_path, text) == wanted == marked(text)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("apiserver", "https://rancher.example/k8s/c-1", "must be an https URL without a path"),
        ("apiserver", "https://10.68.0.1", "is inside service_cidr"),
        ("version", "1.99.0", "is not supported by this fabnode"),
        ("service_cidr", "fd00::/129", "must be a network such as"),
        ("pod_cidr", "10.68.128.0/17", "overlaps service_cidr"),
        ("dns_address", "10.1.1.1", "outside service_cidr"),
        ("dns_address", "10.68.0.1", "address of the Service 'kubernetes'"),
    ],
)
def test_what_the_loader_would_refuse_is_not_written(
    key: str, value: str, why: str, tmp_path: Path
) -> None:
    facts = {**FOUND, key: Known(value, "the cluster")}
    text = text_of(findings(facts))
    assert why in sentences(text)
    assert problems(tmp_path, text) == marked(text) == {f"cluster.{key}"}


def test_a_guess_gives_way_to_what_was_found() -> None:
    facts = {**FOUND, "service_cidr": Known("10.68.0.0/24", "guessed", doubtful=True)}
    facts["dns_address"] = Known("10.68.9.2", "Of the Service")
    found = judged(facts)
    assert isinstance(found["service_cidr"], Missing)
    assert found["dns_address"] == facts["dns_address"]


@pytest.mark.parametrize("minor", range(8, 38))
def test_runtime_and_calico_fit_every_release(minor: int, tmp_path: Path) -> None:
    assert minor in matrix().kubernetes
    facts = {**FOUND, "version": Known(f"1.{minor}.0", "What the apiserver runs.")}
    assert problems(tmp_path, text_of(findings(facts))) == set()


@pytest.mark.parametrize(
    ("network", "wanted", "remark"),
    [
        (Network(other="the DaemonSet kube-system/cilium"), "none", "DaemonSet kube-system/cilium"),
        (Network(calico="3.31.2"), "{version: 3.31.2, manifest: artifacts/calico.yaml}", "fabnode"),
        (Network(unseen="no right (403)"), "{version: 3.32.1, manifest", "To be checked: whether"),
        (Network(calico="3.28.5"), "allow_untested: true}", "was not tested with Kubernetes 1.36"),
    ],
)
def test_a_pod_network_that_is_there_is_not_replaced(
    network: Network, wanted: str, remark: str, tmp_path: Path
) -> None:
    facts = {**FOUND, "version": Known("1.35.1" if network.calico == "3.31.2" else "1.36.3", "x")}
    text = text_of(findings(facts, network=network))
    assert remark in sentences(text)
    (line,) = [line for line in text.splitlines() if line.startswith("calico: ")]
    assert wanted in line
    assert problems(tmp_path, text) == set()


def test_nodes_there_are_comments_and_never_hosts(tmp_path: Path) -> None:
    nodes = tuple(
        ExistingNode(f"old-{n}", {"disk": "ssd"}, ("dedicated=batch:NoSchedule",))
        for n in range(52)
    )
    text = text_of(findings(nodes=nodes))
    line = "# - old-0: labels disk=ssd; taints dedicated=batch:NoSchedule"
    assert line in text.splitlines()
    assert "# - and 2 more" in text.splitlines()
    assert "old-51" not in text
    assert len(load(write_cluster(tmp_path, text)).nodes) == 2
    unknown = text_of(findings(nodes=Missing("this account may not read Nodes (403).")))
    assert "already is not known: this account may not read Nodes (403)." in sentences(unknown)


def test_a_kube_proxy_of_the_clusters_own_is_named(tmp_path: Path) -> None:
    text = text_of(findings(own_kube_proxy=True))
    assert "# kube_proxy: none" in text.splitlines()
    assert problems(tmp_path, text) == set()


def test_a_host_whose_address_nobody_knows_is_marked(tmp_path: Path) -> None:
    host = Host("n3", "n3.example.org", why="this machine knows no IPv4 address of it.")
    text = text_of(findings(), [*HOSTS, host])
    assert marked(text) == {"ip"}
    assert problems(tmp_path, text) == {"nodes[n3].address"}


# --- of IPv6, and of both families ----------------------------------------------------------------

BOTH: dict[str, Fact] = {
    **FOUND,
    "service_cidr": Known("10.68.0.0/16,fd00:10:68::/108", "Of the ServiceCIDR kubernetes."),
    "pod_cidr": Known("172.20.0.0/16,fd00:172:20::/56", "Of Calico's IPPools."),
}
SIX: dict[str, Fact] = {
    **FOUND,
    "apiserver": Known("https://[2001:db8::1]:6443", "Of the kubeconfig."),
    "service_cidr": Known("fd00:10:68::/108", "Of the ServiceCIDR kubernetes."),
    "pod_cidr": Known("fd00:172:20::/56", "Of Calico's only IPPool."),
    "dns_address": Known("fd00:10:68::2", "Of the Service kube-system/kube-dns."),
}
OF_BOTH = [
    Host("n1", "192.0.2.11", "192.0.2.11,2001:db8::11"),
    Host("n2", "n2.example.org", seen=("192.0.2.12", "2001:db8::12")),
    Host("n3", "2001:db8::13", seen=("192.0.2.13",)),
    Host("n4", "fe80::14%eth0", "2001:db8::14", seen=("192.0.2.14",)),
]


@pytest.mark.parametrize("facts", [BOTH, SIX, FOUND])
def test_hosts_get_the_addresses_that_services_want(facts: dict[str, Fact], tmp_path: Path) -> None:
    text = text_of(findings(facts), OF_BOTH)
    families = {"10.68.0.0/16": 4, "fd00:10:68::/108": 6}
    wanted = {family for cidr, family in families.items() if cidr in facts["service_cidr"].value}  # type: ignore[union-attr]
    if 4 in wanted and 6 not in wanted:
        assert "2001:db8::14 is left out of ip, for Services are of IPv4 alone." in sentences(text)
    config = load(write_cluster(tmp_path, text))
    assert marked(text) == set()
    for number, node in enumerate(config.nodes, 1):
        own = {4: f"192.0.2.1{number}", 6: f"2001:db8::1{number}"}
        assert set(node.ips) == {own[family] for family in wanted}
    if len(wanted) == 2:  # the kubelet serves on what was given
        assert config.nodes[3].ips == ("2001:db8::14", "192.0.2.14")


@pytest.mark.parametrize(
    ("facts", "host", "reason"),
    [
        (BOTH, Host("n1", "192.0.2.11"), "no IPv6 address of it is known. Write both, as 192.0.2."),
        (BOTH, Host("n1", "2001:db8::11"), "no IPv4 address of it is known. Write both, as 2001:"),
        (SIX, Host("n1", "192.0.2.11"), "ip is not known: no IPv6 address of it is known."),
        (FOUND, Host("n1", "2001:db8::11"), "ip is not known: no IPv4 address of it is known."),
        (SIX, Host("n1", "fe80::1%eth0"), "ip is not known: no IPv6 address of it is known."),
    ],
)
def test_a_host_without_an_address_of_a_family_is_marked(
    facts: dict[str, Fact], host: Host, reason: str, tmp_path: Path
) -> None:
    text = text_of(findings(facts), [host])
    assert reason in sentences(text)
    assert marked(text) == {"ip"}
    assert problems(tmp_path, text) == {"nodes[n1].address"}


@pytest.mark.parametrize(
    ("changes", "key", "why"),
    [
        ({"pod_cidr": FOUND["pod_cidr"]}, "pod_cidr", "is of IPv4, and service_cidr of IPv4 and"),
        ({"service_cidr": FOUND["service_cidr"]}, "pod_cidr", "is of IPv4 and IPv6, and service_"),
        (
            {"service_cidr": Known("10.68.0.0/16", "guessed", doubtful=True)},
            "service_cidr",
            "10.68.0.0/16 was found, but is of IPv4 and IPv6",
        ),
        (
            {"pod_cidr": Known("172.20.0.0/16,fd00:10:68::/64", "guessed", doubtful=True)},
            "pod_cidr",
            "overlaps service_cidr fd00:10:68::/108",
        ),
        ({"dns_address": Known("fd00:99::2", "x")}, "dns_address", "outside service_cidr fd00:10"),
        ({"version": Known("1.20.3", "x")}, "service_cidr", "need Kubernetes 1.21 or newer"),
        ({"apiserver": Known("https://[fd00:10:68::1]", "x")}, "apiserver", "is inside service"),
        ({"apiserver": Known("https://[fe80::1]:6443", "x")}, "apiserver", "is a link-local"),
        ({"service_cidr": Known("10.68.0.0/16,10.69.0.0/16", "x")}, "service_cidr", "two values"),
        ({"service_cidr": Known("fd00::1/108", "x")}, "service_cidr", "must be a network such as"),
    ],
)
def test_families_that_do_not_agree_are_not_written(
    changes: dict[str, Fact], key: str, why: str, tmp_path: Path
) -> None:
    text = text_of(findings({**BOTH, **changes}), OF_BOTH)
    assert why in sentences(text)
    assert problems(tmp_path, text) == marked(text) == {f"cluster.{key}"}


@pytest.mark.parametrize(
    ("minor", "facts"),
    [*((minor, BOTH) for minor in range(21, 38)), *((minor, SIX) for minor in range(18, 38))],
)
def test_calico_fits_families_of_every_release(
    minor: int, facts: dict[str, Fact], tmp_path: Path
) -> None:
    text = text_of(findings({**facts, "version": Known(f"1.{minor}.0", "x")}), OF_BOTH)
    assert problems(tmp_path, text) == set()
    assert ("backend: bird, encapsulation: Never" in text) is (minor < 21)


@pytest.mark.parametrize(
    ("network", "wanted", "remark"),
    [
        (Network(calico="3.20.2"), "backend: bird, encapsulation: Never", "carries no IPv6, so"),
        (
            Network(offered=Offered("artifacts/calico.yaml", "3.20.2")),
            "{version: 3.23.0, manifest: artifacts/calico.yaml}",
            "VXLAN of Calico 3.20.2 carries no IPv6; put the one below there.",
        ),
        (
            Network(offered=Offered("artifacts/calico.yaml", "3.24.5")),
            "{version: 3.24.5, manifest: artifacts/calico.yaml, allow_untested: true}",
            "",
        ),
    ],
)
def test_a_calico_that_carries_no_ipv6_in_tunnels_is_named(
    network: Network, wanted: str, remark: str, tmp_path: Path
) -> None:
    facts = {**BOTH, "version": Known("1.21.1", "x")}
    text = text_of(findings(facts, network=network), OF_BOTH)
    assert remark in sentences(text)
    (line,) = [line for line in text.splitlines() if line.startswith("calico: ")]
    assert wanted in line
    assert problems(tmp_path, text) == set()


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
# Of all of Unicode; st.characters() first makes tables of it, which takes a busy machine long.
CHARACTERS = st.integers(0, 0x10FFFF).map(chr)
ANYTHING = st.text(
    st.one_of(
        st.sampled_from("\n\r\x85\u2028\u2029\x00\x7f\ufeff\ufffe\ud800\t #:{}[]\"'\\-,&*!|>%@`"),
        CHARACTERS,
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(words=st.lists(ANYTHING, min_size=9, max_size=9))
def test_nothing_from_a_cluster_breaks_out_of_a_comment(words: list[str], tmp_path: Path) -> None:
    """Neither names nor values: the keys are those of an honest cluster, and the nodes as well."""
    name, key, value, taint, why, source, context, network, version = words
    found = Findings(
        kubeconfig="admin.kubeconfig",
        origin=context,
        cluster={**FOUND, "pod_cidr": Missing(why), "version": Known("1.36.3", source)},
        network=Network(other=network, calico=version, unseen=why),
        nodes=(ExistingNode(name, {key: value}, (taint,)),),
    )
    text = text_of(found)
    document = yaml.safe_load(text)
    assert document.keys() == {"cluster", "runtime", "calico", "nodes"}
    assert document["cluster"].keys() == {*REQUIRED, "kubeconfig"} - {"pod_cidr"}
    assert len(document["nodes"]) == 2
    assert problems(tmp_path, text) == {"cluster.pod_cidr"}


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(key=st.sampled_from(REQUIRED), value=ANYTHING)
def test_a_value_is_written_as_it_is_or_not_at_all(key: str, value: str, tmp_path: Path) -> None:
    text = text_of(findings({**FOUND, key: Known(value, "the cluster")}))
    document = yaml.safe_load(text)
    assert document["cluster"].get(key, value) == value
    wanted = set() if key in document["cluster"] else {f"cluster.{key}"}
    assert marked(text) == wanted
    assert problems(tmp_path, text) <= wanted | {"cluster.ca"}


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(path=st.text(CHARACTERS.filter(lambda char: not "\ud800" <= char <= "\udfff"), min_size=1))
def test_paths_are_written_so_that_they_are_read_as_they_are(path: str) -> None:
    text = text_of(
        Findings(kubeconfig=path, origin="c", cluster=FOUND, network=Network()),
    )
    assert yaml.safe_load(text)["cluster"]["kubeconfig"] == path


def test_paths_are_relative_where_they_lie_below() -> None:
    assert local(Path("/site/config/admin.kubeconfig"), Path("/site/config")) == "admin.kubeconfig"
    assert local(Path("/root/.kube/config"), Path("/site/config")) == "/root/.kube/config"


def test_hosts_of_a_file_and_of_an_option() -> None:
    text = "\ufeff# ours\nnode-1 192.0.2.1  # rack 3\n\n192.0.2.2\r\n\tnode-3\n192.0.2.4 node-4\n"
    found = parse(numbered(text), "hosts")
    assert [(host.name, host.address) for host in found] == [
        ("node-1", "192.0.2.1"),
        ("192.0.2.2", "192.0.2.2"),
        ("node-3", "node-3"),
        ("node-4", "192.0.2.4"),
    ]
    assert [host.needs_ip for host in found] == [False, False, True, False]
    assert parse(split("node-1 192.0.2.1,192.0.2.2,, node-3"), "--hosts") == found[:3]


def test_lines_that_are_no_host_are_named_all() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(numbered("a b c\nok 192.0.2.1\nNode_1\nn2 fd00::g\nn3 ops@192.0.2.3\n"), "hosts")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("hosts:1: 'a b c' is more than a name and an address; one host")
    assert lines[1].startswith("hosts:3: 'Node_1': must be a DNS-1123 name")
    assert lines[1].endswith("for example node-1")
    assert lines[2].startswith(
        "hosts:4: 'fd00::g': must be an IPv4 or IPv6 address, or a host name"
    )
    assert "the user goes into `ssh: {user: ops}`" in lines[3]
    assert len(lines) == 4


@pytest.mark.parametrize(
    "second", [Host("n1", "192.0.2.2"), Host("n2", "192.0.2.1"), Host("n2", "x", "192.0.2.1")]
)
def test_two_hosts_of_one_name_or_address_are_refused(second: Host) -> None:
    first = Host("n1", "192.0.2.1")
    refuse_twins([first, Host("n3", "n3", "192.0.2.3")])
    with pytest.raises(ConfigError, match=f"two hosts have .*: n1 and {second.name}"):
        refuse_twins([first, second])
