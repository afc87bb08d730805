"""Releases compare as numbers, and the data about them agrees with itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.releases import compatibility
from fabnode.releases.component_options import component_options
from fabnode.releases.document import made
from fabnode.releases.matrix import BUILT, FILE, Component, Known, Matrix, matrix
from fabnode.releases.version import MinorRange, Release
from fabnode.util.problems import ConfigError
from fabnode.util.yaml_io import parse

from .built import built

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINORS = range(matrix().kubernetes.since, matrix().kubernetes.until or 0)
LAST = MINORS[-1]


def test_a_release_is_read_and_written() -> None:
    assert str(Release.parse("v1.37.2")) == str(Release.parse("1.37.2")) == "1.37.2"
    assert Release.parse("1.37.2").series == "1.37"


@pytest.mark.parametrize(
    "text",
    ["1.37", "1.37.2.1", "1.37.x", "01.2.3", "1.2.3-rc.1", "1.2.3 ", "", "1.٣.2", "1.2.99999"],
)
def test_anything_else_is_no_release(text: str) -> None:
    with pytest.raises(ValueError, match="is not a release such as"):
        Release.parse(text)


def test_releases_compare_as_numbers() -> None:
    assert Release.parse("1.9.10") < Release.parse("1.10.0") < Release.parse("1.10.1")


def test_a_span_ends_before_its_end() -> None:
    assert [minor for minor in range(40) if minor in MinorRange(30, 33)] == [30, 31, 32]
    assert 99 in MinorRange(30)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (MinorRange(), "always"),
        (MinorRange(10), "from 1.10"),
        (MinorRange(0, 24), "up to 1.23"),
        (MinorRange(10, 24), "1.10–1.23"),
        (MinorRange(11, 12), "1.11"),
    ],
)
def test_a_span_is_formatted(span: MinorRange, text: str) -> None:
    assert str(span) == text


# --- the file ------------------------------------------------------------------------------------


def everything(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every mapping of the file with its place."""
    if isinstance(value, dict):
        yield path, value
        for key, one in value.items():
            yield from everything(one, f"{path}.{key}")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from everything(one, f"{path}[{index}]")


def test_every_span_of_the_file_is_one() -> None:
    for path, entry in everything(parse(FILE.read_bytes())):
        for since, until in (("since", "until"), ("flag_since", "flag_until")):
            if since in entry and until in entry:
                assert entry[since] < entry[until], path
        if "deprecated" in entry and "until" in entry:
            assert entry.get("since", 0) <= entry["deprecated"] < entry["until"], path


def test_every_datum_names_its_source() -> None:
    for path, entry in everything(parse(FILE.read_bytes())):
        if entry.keys() & {"since", "until", "deprecated", "flag"} and path not in {
            ".kubernetes",
            *(f".containerd.{line}.fits" for line in matrix().containerd),
        }:
            assert entry.get("source"), path


def wrong(change: Any) -> str:
    document = parse(FILE.read_bytes())
    change(document)
    with pytest.raises(ConfigError) as reported:
        made(Matrix, document, "versions.yml")
    return str(reported.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["kubelet"]["flags"]["--v"].update(sicne=3),
            "kubelet.flags.--v.sicne: unknown key",
        ),
        (
            lambda d: d["kubelet"]["config_file"].update(since="ten"),
            "kubelet.config_file.since: must be a whole number",
        ),
        (
            lambda d: d["kubelet"]["config_file"].update(since=True),
            "kubelet.config_file.since: must be a whole number",
        ),
        (lambda d: d["kubelet"]["settings"]["address"].pop("source"), "address.source: is missing"),
        (lambda d: d["kubelet"]["settings"].update(address=[]), "address: must be a mapping"),
        (lambda d: d["containerd"]["2.4"].update(cri=["v2"]), "2.4.cri.0: must be one of v1alpha1"),
        (lambda d: d["containerd"]["2.4"].update(cri="v1"), "2.4.cri: must be a list"),
        (lambda d: d["containerd"]["2.4"].update(newest="2.4"), "newest: '2.4' is not a release"),
        (lambda d: d["runtimes"].update(podman={"source": "none"}), "runtimes.podman: must be one"),
        (lambda d: d.pop("calico"), "calico: is missing"),
    ],
)
def test_a_mistake_in_the_file_is_found_when_it_is_read(change: Any, message: str) -> None:
    assert f"versions.yml: {message}" in wrong(change) or f".{message}" in wrong(change)


def test_what_every_command_loads_is_the_file() -> None:
    """Run `python -m tests.releases.built` after an edit."""
    assert json.loads(BUILT.read_bytes()) == built()


def test_an_edited_file_is_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is known is taken by its digest alone, not by its name or time."""
    edited = tmp_path / "versions.yml"
    text = FILE.read_text()
    edited.write_text(text.replace("kubernetes: {since: 8,", "kubernetes: {since: 9,", 1))
    monkeypatch.setattr("fabnode.releases.matrix.FILE", edited)
    matrix.cache_clear()
    try:
        assert matrix().kubernetes.since == 9
        edited.write_text(text)
        matrix.cache_clear()
        assert matrix().kubernetes.since == 8
    finally:
        matrix.cache_clear()


def test_what_is_repaired_by_hand_is_something_that_is_set() -> None:
    kubelet = matrix().kubelet
    for title, entry in kubelet.by_hand.items():
        assert (entry.setting in kubelet.settings) != (entry.flag in kubelet.flags), title


@pytest.mark.parametrize("minor", MINORS)
def test_no_release_is_listed_twice_or_not_at_all(minor: int) -> None:
    """Whatever has a field or a flag is options by exactly one of the two."""
    for component in (matrix().kubelet, matrix().kube_proxy):
        for path, setting in component.settings.items():
            options = component_options(component, minor, flags={}, settings={path: "x"})
            in_file = minor in component.config_file and minor in setting
            assert bool(options.fields) is in_file, path
            assert bool(options.flags) is (not in_file and setting.flag is not None), path


@pytest.mark.parametrize("minor", MINORS)
def test_nothing_is_passed_that_a_release_refuses(minor: int) -> None:
    """Nor options that it warns about, except flags that have no alternative."""
    unavoidable = {
        "--cadvisor-port": {10},
        "--network-plugin": {21, 22, 23},
        "--cni-conf-dir": {21, 22, 23},
        "--cni-bin-dir": {21, 22, 23},
    }
    for component in (matrix().kubelet, matrix().kube_proxy):
        for name, flag in component.flags.items():
            if flag.passed(minor):
                assert minor in flag, name
                assert not flag.warned(minor) or minor in unavoidable[name], name


def test_every_minor_has_a_runtime_a_csr_api_and_a_skew_rule() -> None:
    for minor in MINORS:
        assert any(minor in matrix().runtimes[name] for name in ("containerd", "docker"))
        assert any(minor in matrix().api[f"certificates/{v}"] for v in ("v1", "v1beta1"))
        assert compatibility.skew(minor) in {2, 3}
        assert compatibility.cri(minor)
        if minor in matrix().runtimes["containerd"]:
            line = compatibility.best_containerd(minor)
            assert compatibility.containerd(minor, Release.parse(f"{line}.0")) is None


def test_the_newest_release_of_a_line_is_of_that_line() -> None:
    for line, known in matrix().containerd.items():
        assert known.newest.series == line


# --- what fits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calico", "kubernetes", "possible"),
    [
        ("3.14.1", 21, True),
        ("3.14.1", 22, False),
        ("3.15.0", 15, False),
        ("3.22.0", 24, True),
        ("3.22.0", 25, False),
        ("3.23.0", 20, True),
        ("3.28.0", 20, False),
        ("3.23.0", 21, True),
        ("3.28.5", 37, True),
        ("2.6.2", 8, True),
        ("2.6.2", 16, False),
        ("3.7.0", 16, False),
        ("3.8.0", 16, True),
    ],
)
def test_calico_cannot_run_where_its_apis_are_not(
    calico: str, kubernetes: int, *, possible: bool
) -> None:
    why = compatibility.calico_impossible(Release.parse(calico).series, kubernetes)
    assert (why is None) is possible


def test_calico_with_etcd_needs_no_custom_resources() -> None:
    assert compatibility.calico_impossible("3.28", 20, "kubernetes")
    assert compatibility.calico_impossible("3.28", 20, "etcd") is None


@pytest.mark.parametrize(
    ("line", "kubernetes", "tested"),
    [
        ("3.28", 27, True),
        ("3.28", 30, True),
        ("3.28", 31, False),
        ("3.32", 36, True),
        ("3.32", 37, False),
        ("3.99", 36, False),
        ("3.18", 20, True),
    ],
)
def test_what_was_tested_by_its_makers_is_known(
    line: str, kubernetes: int, *, tested: bool
) -> None:
    assert (kubernetes in compatibility.calico_tested(line)) is tested


def test_the_newest_tested_calico_is_suggested() -> None:
    assert compatibility.calico_for(20) == "3.21"
    assert compatibility.calico_for(30) == "3.29"
    assert compatibility.calico_for(35) == "3.33"
    assert compatibility.calico_for(37) == "3.33"


def test_no_tested_pair_is_impossible() -> None:
    for line, known in matrix().calico.tested.items():
        for minor in MINORS:
            if minor in known:
                assert compatibility.calico_impossible(line, minor) is None, (line, minor)


@pytest.mark.parametrize(
    ("minor", "line"), [(10, "1.7"), (20, "1.7"), (25, "1.7"), (26, "2.4"), (37, "2.4")]
)
def test_the_newest_containerd_that_its_makers_recommend_is_meant(minor: int, line: str) -> None:
    assert compatibility.best_containerd(minor) == line


def refused(misfit: compatibility.Misfit | None) -> str:
    assert misfit, "it was let pass"
    return f"{misfit.why}; {misfit.nearest}"


@pytest.mark.parametrize(
    ("misfit", "reported"),
    [
        (
            compatibility.kubernetes(Release(1, LAST + 1, 0)),
            f"Kubernetes 1.{LAST + 1}.0 is not supported by this fabnode; 1.8 to 1.{LAST} are; "
            f"the nearest is 1.{LAST}",
        ),
        (
            compatibility.kubernetes(Release(1, 7, 16)),
            f"Kubernetes 1.7.16 is not supported by this fabnode;"
            f" 1.8 to 1.{LAST} are; the nearest is 1.8",
        ),
        (
            compatibility.runtime(9, "containerd"),
            "Kubernetes 1.9 can't use containerd; use docker, or Kubernetes 1.10 or newer",
        ),
        (
            compatibility.containerd(20, Release(2, 1, 0)),
            "containerd 2.1.0 speaks CRI v1, but the kubelet of Kubernetes 1.20 v1alpha2; "
            "use containerd 1.7.x, or Kubernetes 1.23 or newer",
        ),
        (
            compatibility.containerd(30, Release(1, 5, 18)),
            "containerd 1.5.18 speaks CRI v1alpha2, but the kubelet of Kubernetes 1.30 v1; "
            "use containerd 1.6.x, or Kubernetes 1.25 or older",
        ),
        (
            compatibility.containerd(37, Release(3, 0, 0)),
            "containerd 3.0.0 is not supported by this fabnode; the nearest is 2.4.x",
        ),
        (
            compatibility.proxy_mode(28, "nftables"),
            "Kubernetes 1.28 has no mode nftables; "
            "use iptables or ipvs, or Kubernetes 1.29 or newer",
        ),
        (
            compatibility.calico(Release(3, 28, 5), 20),
            "Calico 3.28.5 can't run on Kubernetes 1.20: before 1.21 its custom resources are "
            "rejected for their nulls (with etcd it runs); use Calico 3.21.x",
        ),
        (
            compatibility.calico(Release(3, 14, 2), 22),
            "Calico 3.14.2 can't run on Kubernetes 1.22: its custom resources use "
            "apiextensions.k8s.io/v1beta1, which is gone since 1.22; use Calico 3.21.x",
        ),
        (
            compatibility.calico(Release(3, 22, 1), 37, allow_untested=True),
            "Calico 3.22.1 can't run on Kubernetes 1.37: its PodDisruptionBudget uses "
            "policy/v1beta1, which is gone since 1.25; use Calico 3.33.x",
        ),
        (
            compatibility.calico(Release(3, 18, 6), 24),
            "Calico 3.18.6 was not tested with Kubernetes 1.24; "
            "use Calico 3.24.x, or set calico.allow_untested: true",
        ),
        (
            compatibility.calico(Release(4, 0, 0), 30),
            "Calico 4.0.0 is not supported by this fabnode; 2.x or 3.x is",
        ),
    ],
)
def test_what_can_not_be_is_refused_with_the_nearest_that_can(
    misfit: compatibility.Misfit | None, reported: str
) -> None:
    assert refused(misfit) == reported


def test_what_can_be_is_let_pass() -> None:
    assert compatibility.kubernetes(Release(1, 8, 4)) is None
    assert compatibility.runtime(8, "docker") is None
    assert compatibility.runtime(37, "docker") is None
    assert compatibility.containerd(20, Release(1, 6, 39)) is None
    assert compatibility.proxy_mode(37, "ipvs") is None
    assert compatibility.calico(Release(3, 18, 6), 20) is None


def test_docker_is_spoken_to_by_the_kubelet_up_to_1_23_and_by_cri_dockerd_since() -> None:
    assert compatibility.shim(23) == compatibility.DOCKERSHIM
    assert compatibility.shim(24) == compatibility.CRI_DOCKERD


def test_a_warning_is_known_from_its_first_release_on() -> None:
    known = Known(since=10, until=24, deprecated=21, source="RN-1.21")
    assert [minor for minor in (9, 20, 21, 23, 24) if known.warned(minor)] == [21, 23]


@pytest.mark.parametrize("component", [matrix().kubelet, matrix().kube_proxy])
def test_a_field_is_either_in_all_releases_or_in_some(component: Component) -> None:
    """Those that fabnode sets itself are among them, or its own files would be refused."""
    sometimes = {name.split(".")[0] for name in (*component.settings, *component.fields)}
    assert not sometimes & component.always
