"""What `make conformance` selects, reads off ginkgo's report, and takes as known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import versions
from lab.conformance import __main__ as program
from lab.conformance import cluster, images, report, routes, selection, suite
from lab.conformance.report import Known, Outcome, Run
from lab.errors import LabError, LabInputError
from lab.layout import Layout, free_subnet

FORMS = {form.name for form in selection.FORMS}
KNOWN = Known("[sig-network] known", "the test's", "it assumes | no\noverlay", ("a",))


def spec(state: str, *texts: str, kind: str = "It", message: str = "") -> dict[str, Any]:
    """Return a test of a report, in the shape of ginkgo's `types.SpecReport`."""
    *containers, leaf = texts
    found: dict[str, Any] = {
        "ContainerHierarchyTexts": containers or None,
        "LeafNodeText": leaf,
        "LeafNodeType": kind,
        "State": state,
        "RunTime": 2_500_000_000,
    }
    return found | ({"Failure": {"Message": message}} if message else {})


REPORT: list[dict[str, Any]] = [
    {
        "SpecReports": [
            spec("passed", "", kind="SynchronizedBeforeSuite"),
            spec("passed", "[sig-network] DNS", "should resolve [Conformance]"),
            spec("skipped", "[sig-apps] Job", "should run"),
            spec("failed", "[sig-node] Pods", "should end", message="timed\n  out"),
            spec("interrupted", "[sig-node] Pods", "should begin"),
            spec("failed", "", kind="SynchronizedAfterSuite", message="no"),
        ]
    },
    {"SpecReports": None},
]


def run_of(*tests: Outcome, form: str = "a") -> Run:
    return Run(form, "part", "abc1234", "2026-11-30", 90.0, tests)


def test_a_report_tells_what_ran_and_how_it_ended() -> None:
    assert report.tests(REPORT) == (
        Outcome("[sig-network] DNS should resolve [Conformance]", "passed", 2.5),
        Outcome("[sig-node] Pods should end", "failed", 2.5, "timed\n  out"),
        Outcome("[sig-node] Pods should begin", "interrupted", 2.5),
        Outcome("[SynchronizedAfterSuite]", "failed", 2.5, "no"),
    )


@pytest.mark.parametrize(
    ("state", "form", "code"),
    [
        ("passed", "a", 0),
        ("failed", "a", 0),
        ("timedout", "a", 0),
        ("failed", "b", 1),
    ],
)
def test_a_known_failure_is_one_in_its_forms_alone(state: str, form: str, code: int) -> None:
    run = run_of(Outcome(KNOWN.test, state, 1), form=form)
    assert program.judge([run], [KNOWN]) == code


@pytest.mark.parametrize("state", ["failed", "panicked", "timedout", "interrupted", "aborted"])
def test_any_other_end_than_passed_is_a_failure_that_is_named(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(Outcome("[sig-node] new", state, 1), Outcome("[sig-node] good", "passed", 1))
    assert program.judge([run], [KNOWN]) == 1
    assert f"{state}, and not in known.yml: [sig-node] new (a, part)" in capsys.readouterr().out


def test_nothing_run_is_no_success() -> None:
    assert program.judge([], []) == 1


def test_a_known_failure_that_passes_by_now_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    passes = run_of(Outcome(KNOWN.test, "passed", 1))
    assert report.mended([passes], [KNOWN]) == [KNOWN]
    assert report.mended([passes, run_of(Outcome(KNOWN.test, "failed", 1))], [KNOWN]) == []
    assert report.mended([run_of(Outcome(KNOWN.test, "passed", 1), form="b")], [KNOWN]) == []
    program.judge([passes], [KNOWN])
    assert "take it out of known.yml" in capsys.readouterr().out


def test_the_table_has_the_counts_and_whose_each_failure_is() -> None:
    failures = (
        Outcome(KNOWN.test, "failed", 1),
        Outcome("[x] new | old", "failed", 1, "timed\n out"),
    )
    runs = [
        run_of(*failures, Outcome("[x] good", "passed", 1)),
        run_of(Outcome(KNOWN.test, "passed", 1), form="b"),
    ]
    text = report.table(runs, [KNOWN])
    assert "| a | part | 3 | 1 | 1 | 1 | 2 | abc1234, 2026-11-30 |" in text
    assert "| b | part | 1 | 1 | 0 | 0 | 2 | abc1234, 2026-11-30 |" in text
    assert "3 different tests, 2 of them passed somewhere." in text
    assert "| [sig-network] known | a | the test's | it assumes \\| no overlay |" in text
    assert "| [x] new \\| old | a | not known | timed out |" in text


def test_the_list_of_known_failures_is_sound() -> None:
    known = report.known_failures(program.KNOWN.read_text())
    assert all(entry.test.startswith("[sig-") and entry.whose and entry.why for entry in known)
    assert {form for entry in known for form in entry.forms} <= FORMS
    assert len({entry.test for entry in known}) == len(known)


@pytest.mark.parametrize("text", ["- {test: a, whose: b}", "- {test: a, whoes: b, why: c}", "- a"])
def test_a_misspelled_list_of_known_failures_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="known failures"):
        report.known_failures(text)


def test_what_is_asked_for_by_name_is_run_and_a_wrong_name_is_bad_input() -> None:
    assert [part.name for part in selection.parts("netpol")] == ["netpol"]
    assert selection.parts("") == list(selection.PARTS)
    assert not any(form.vm for form in selection.forms(""))
    assert selection.forms("cgroup-v2")[0].vm
    with pytest.raises(LabInputError, match="'netpool' is none of net-conf, "):
        selection.parts("netpool")


def selected(part: str, name: str) -> bool:
    """Return whether ginkgo would run a test of this name."""
    (found,) = selection.parts(part)
    skipped = (*selection.NEVER, *found.skip)
    return any(re.search(each, name) for each in found.focus) and not any(
        re.search(each, name) for each in skipped
    )


@pytest.mark.parametrize(
    ("part", "name", "runs"),
    [
        ("net-conf", "[sig-network] DNS should resolve [Conformance]", True),
        ("net-conf", "[sig-network] DNS should resolve partial names", False),
        ("node-storage", "[sig-storage] Secrets should be consumable [Conformance]", True),
        ("node-storage", "[sig-node] NoExecuteTaintManager [Serial] evicts [Conformance]", False),
        ("netpol", "[sig-network] Netpol NetworkPolicy should deny ingress", True),
        ("netpol", "[sig-network] Netpol [Feature:SCTPConnectivity] should deny", False),
        ("more", "[sig-network] Services should be rejected when no endpoints exist", True),
        ("more", "[sig-network] Services should serve endpoints [Conformance]", False),
        ("more", "[sig-network] Networking should provide Internet connection [Feature:X]", False),
        ("more", "[sig-network] Services should serve … on Type LoadBalancer", False),
    ],
)
def test_which_tests_a_part_runs(part: str, name: str, runs: bool) -> None:
    assert selected(part, name) is runs


def test_ginkgo_gets_all_of_the_selection(tmp_path: Path) -> None:
    layout = Layout("conf", tmp_path, free_subnet([]))
    (part,) = selection.parts("more")
    words = suite.command(tmp_path, layout, part, tmp_path / "out")
    own, tests = words[: words.index("--")], words[words.index("--") :]
    assert {f"--focus={each}" for each in part.focus} <= set(own)
    assert {f"--skip={each}" for each in (*selection.NEVER, *part.skip)} <= set(own)
    assert f"--procs={selection.PROCESSES}" in own
    assert f"--kubeconfig={layout.kubeconfig}" in tests


def test_tests_that_ended_are_counted_among_those_that_are_skipped(tmp_path: Path) -> None:
    """As ginkgo 2.32 prints them with two processes."""
    output = tmp_path / "output.log"
    output.write_text("Will run 3 of 9 specs\nSSS•SS•S\n------\n• [FAILED] [9.3 seconds]\n")
    assert suite._count_ended(output) == 3


def test_a_part_without_a_report_was_not_run(tmp_path: Path) -> None:
    place = tmp_path / "iptables-vxlan/netpol"
    place.mkdir(parents=True)
    assert suite.load(place) is None
    about = {"commit": "abc1234", "date": "2026-11-30", "seconds": 1.5}
    (place / suite.ABOUT).write_text(json.dumps(about))
    (place / suite.REPORT).write_text(json.dumps(REPORT))
    run = suite.load(place)
    assert run is not None
    assert (run.form, run.part, run.commit, len(run.passed), len(run.failed)) == (
        "iptables-vxlan",
        "netpol",
        "abc1234",
        1,
        3,
    )


def test_a_form_changes_the_labs_configuration_and_adds_images() -> None:
    lab: dict[str, Any] = {
        "artifacts": {"bin": "b", "images": ["a.tar"]},
        "calico": {"backend": "vxlan", "encapsulation": "Always"},
        "kube_proxy": {"config": {"conntrack": {}}},
    }
    (form,) = selection.forms("nftables-crosssubnet")
    whole = cluster.configuration(lab, form, [Path("/x/b.tar")])
    assert whole["artifacts"] == {"bin": "b", "images": ["a.tar", "/x/b.tar"]}
    assert whole["kube_proxy"] == {"config": {"conntrack": {}}, "mode": "nftables"}
    assert whole["calico"] == {"backend": "vxlan", "encapsulation": "CrossSubnet"}
    assert lab["artifacts"]["images"] == ["a.tar"]


def test_dns_gets_the_labs_names() -> None:
    filled = cluster.dns_manifest("clusterIP: $DNS_SERVER_IP\nmemory: $DNS_MEMORY_LIMIT\n")
    assert yaml.safe_load(filled) == {"clusterIP": "10.68.0.2", "memory": "170Mi"}


def test_routes_lead_to_the_host_of_each_block() -> None:
    blocks = [
        {"spec": {"cidr": "172.20.40.128/26", "node": "n2"}},
        {"spec": {"cidr": "172.20.1.0/26", "node": "n1"}},
        {"spec": {"cidr": "172.20.9.0/26", "node": "gone"}},
    ]
    hosts = {"n1": "10.99.0.11", "n2": "10.99.0.12"}
    assert routes.wanted(blocks, hosts) == {
        "172.20.1.0/26": "10.99.0.11",
        "172.20.40.128/26": "10.99.0.12",
    }


def test_images_of_the_tests_hide_no_program_and_have_each_name_once(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "etc/nginx").mkdir(parents=True)
    for name in ("usr/bin/curl", "usr/bin/nc.openbsd", "etc/nginx/nginx.conf", "etc/passwd"):
        (tmp_path / name).write_text("")
    (tmp_path / "bin").symlink_to("usr/bin")
    every = list(images.all_images(tmp_path, Path("/e2e"), Path("/dns")))
    names = [name for image in every for name in (image.reference, *image.others)]
    assert len(set(names)) == len(names)
    assert f"registry.k8s.io/coredns/coredns:v{versions.COREDNS}" in names
    for image in every:
        paths = [path for path, _ in (*image.files, *image.links, *image.texts)]
        assert len(set(paths)) == len(paths), image.reference
        if "usr/bin/curl" in paths:
            assert not any(path.startswith(("bin/", "sbin/", "lib/")) for path in paths)
    (setuid,) = (image for image in every if image.setuid)
    assert set(setuid.setuid) <= {path for path, _ in setuid.files}
