"""`inv versions` tells what holds, in tables that fit and in JSON, and refuses what can't be."""

from __future__ import annotations

import pytest

from fabnode.cli.commands import versions
from fabnode.cli.commands.versions import Combination
from fabnode.cli.table import table
from fabnode.releases.matrix import matrix
from fabnode.util.problems import ConfigError

MINORS = range(matrix().kubernetes.since, matrix().kubernetes.until or 0)


def texts(minor: int) -> dict[str, str]:
    return {f"{d.topic}: {d.item}": d.value for d in versions.details(minor)}


def test_the_overview_has_a_row_for_every_release_and_fits_a_pipe() -> None:
    rows = versions.overview()
    assert [row["release"] for row in rows] == [f"1.{minor}" for minor in MINORS]
    text = table(versions.HEADS, versions.lines(rows), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert (
        "1.20     file    1.3–1.7     dockershim   v1, v1beta1  iptables, ipvs  3.18–3.21" in text
    )


@pytest.mark.parametrize("minor", MINORS)
def test_every_fact_of_every_release_has_a_source(minor: int) -> None:
    data = versions.details(minor)
    assert all(d.topic and d.item and d.value and d.source for d in data)
    keys = [(d.topic, d.item) for d in data]
    assert len(keys) == len(set(keys)), "texts twice"


def test_facts_of_a_release_match_what_it_gets() -> None:
    old, middle, new = texts(8), texts(20), texts(37)
    assert old["kubelet: readOnlyPort"] == "--read-only-port"
    assert middle["kubelet: readOnlyPort"] == "field"
    assert old["kubelet: --cadvisor-port"] == "passed"
    assert "kubelet: --cadvisor-port" not in middle
    assert middle["kubelet: containerRuntimeEndpoint"] == "--container-runtime-endpoint"
    assert new["kubelet: containerRuntimeEndpoint"] == "field"
    assert old["proxy mode: ipvs"] == "possible, by the gate SupportIPVSProxyMode"
    assert new["proxy mode: ipvs"] == "deprecated"
    assert (
        texts(10)["kubelet: --cadvisor-port"]
        == "passed although deprecated: there is no alternative"
    )


def refused(kubernetes: str, **combination: str) -> str:
    with pytest.raises(ConfigError) as error:
        versions.check(versions.parse(kubernetes), Combination(**combination))
    return str(error.value)


@pytest.mark.parametrize(
    ("kubernetes", "combination", "sentences"),
    [
        (f"1.{MINORS[-1] + 1}.1", {}, [f"the nearest is 1.{MINORS[-1]}"]),
        ("1", {}, ["'1' is not a release of Kubernetes; give one such as 1.20 or 1.20.2"]),
        ("1.20", {"runtime": "dokcer"}, ["'dokcer' is not a runtime; did you mean docker?"]),
        ("1.20", {"containerd": "2"}, ["'2' is not a release such as 1.37.2; all three parts"]),
        ("1.9.11", {"containerd": "1.7.33"}, ["use docker, or Kubernetes 1.10 or newer"]),
        ("1.20", {"calico": "3.18.6", "datastore": "etcdd"}, ["did you mean etcd?"]),
        ("1.20", {"proxy_mode": "nftable"}, ["did you mean nftables?"]),
        (
            "1.20.2",
            {"containerd": "2.1.0", "calico": "3.28.5", "proxy_mode": "nftables"},
            [
                "use containerd 1.7.x, or Kubernetes 1.23 or newer",
                "use Calico 3.21.x",
                "use iptables or ipvs, or Kubernetes 1.29 or newer",
            ],
        ),
    ],
)
def test_impossible_combinations_are_refused(
    kubernetes: str, combination: dict[str, str], sentences: list[str]
) -> None:
    lines = refused(kubernetes, **combination).splitlines()
    assert len(lines) == len(sentences)
    for line, sentence in zip(lines, sentences, strict=True):
        assert sentence in line


def test_what_can_be_is_let_pass() -> None:
    combination = Combination(containerd="1.7.33", calico="3.18.6", proxy_mode="ipvs")
    versions.check(versions.parse("v1.20.2"), combination)
    versions.check(versions.parse("1.23"), Combination(runtime="docker"))


@pytest.mark.parametrize("minor", MINORS)
def test_what_goes_with_a_release_is_a_few_lines(minor: int) -> None:
    found = versions.fitting(minor)
    assert list(found) == ["containerd", "docker", "Calico", "kube-proxy", "apiserver"]
    assert all(found.values())


def test_what_goes_with_1_33() -> None:
    assert versions.fitting(33) | {"containerd": ""} == {
        "containerd": "",
        "docker": "by cri-dockerd",
        "Calico": "3.30–3.31 (tested by its makers)",
        "kube-proxy": "iptables, ipvs, nftables",
        "apiserver": "of the same minor, or up to 3 newer",
    }
    assert versions.fitting(33)["containerd"].startswith("1.6–")
    assert versions.fitting(9)["containerd"] == "–"
