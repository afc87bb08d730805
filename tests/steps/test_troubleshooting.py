"""docs/troubleshooting.md names every finding of preflight, by its words in the code."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fabnode.node.facts import Facts, Named, PathFact
from fabnode.pki.certificates import CertificateFile
from fabnode.releases.version import Release
from fabnode.steps import (
    boot_overrides,
    containerd_imports,
    docker_flags,
    environment,
    host_ipv6,
    network_managers,
    preflight,
    program_owners,
    takeover,
    unit_overrides,
)
from tests.support import make_config

from . import (
    test_boot_overrides,
    test_containerd_imports,
    test_docker_flags,
    test_environment,
    test_families,
    test_preflight,
    test_program_owners,
    test_unit_overrides,
)
from .support import make_inputs
from .test_preflight import AROUND, CLIENT, GOOD, NAMESAKE, OTHER_NODE, OURS

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
ROW = re.compile(r"^\| (error|warning|error or warning) \| (.+?) \| .+ \| .+ \|$", re.MULTILINE)

MODULES = (
    preflight,
    environment,
    host_ipv6,
    unit_overrides,
    boot_overrides,
    containerd_imports,
    docker_flags,
    network_managers,
    program_owners,
    takeover,
)

# No release that fabnode knows has given cgroup v1 up so far.
NOT_YET = {("error", "it has cgroup v1, which Kubernetes … no longer supports")}


def words(node: ast.expr, function: ast.AST) -> str:
    """Return a text as the page writes it: `…` for what differs from host to host."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(words(value, function) for value in values)
        case ast.Name(id=name):
            (value,) = (
                each.value
                for each in ast.walk(function)
                if isinstance(each, ast.Assign)
                and any(isinstance(t, ast.Name) and t.id == name for t in each.targets)
            )
            return words(value, function)
        case ast.Call(func=ast.Name(id=name)):
            (made,) = ast.parse(inspect.getsource(getattr(preflight, name))).body
            (returned,) = (each for each in ast.walk(made) if isinstance(each, ast.Return))
            assert returned.value
            return words(returned.value, made)
    return "…"


def levels(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(level)):
            return level
    return "error or warning"


def findings(module: ModuleType) -> set[tuple[str, str]]:
    """Return level and words of each finding that a module makes."""
    tree = ast.parse(inspect.getsource(module))
    return {
        (levels(call.args[0]), words(call.args[1], function))
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Finding"
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_each_finding_has_its_row(module: ModuleType) -> None:
    made = findings(module)
    assert made
    assert made - set(ROW.findall(PAGE.read_text())) == set()


def test_no_row_is_about_a_finding_that_is_gone() -> None:
    rows = ROW.findall(PAGE.read_text())
    assert len(set(rows)) == len(rows)
    assert set(rows) == set().union(*map(findings, MODULES))


def produced() -> set[str]:
    """Return the texts of the findings that the tables of cases, and these few more, bring out."""
    texts: set[str] = set()

    def judge(facts: dict[str, Any], around: dict[str, Any], **overrides: Any) -> None:
        inputs = make_inputs(make_config(**overrides), replace(GOOD, **facts))
        inputs = replace(inputs, now=datetime.now(UTC))
        if facts.get("arch"):
            inputs = replace(inputs, artifacts=replace(inputs.artifacts, arch="amd64"))
        seen = preflight.findings(inputs, replace(AROUND, **around))
        texts.update(finding.text for finding in seen)

    (cases,) = test_preflight.test_each_trouble_is_found_with_its_fix.pytestmark
    for facts, around, overrides, *_ in cases.args[1]:
        judge(facts, around, **overrides)
    (cases,) = test_environment.test_each_trouble_is_found_with_its_fix.pytestmark
    for facts, overrides, *_ in cases.args[1]:
        judge(
            facts,
            {"server_version": Release(1, 30, 4)} if "cluster" in overrides else {},
            **overrides,
        )
    (cases,) = test_families.test_what_of_a_host_keeps_pods_from_ipv6_is_found.pytestmark
    for facts, overrides, *_ in cases.args[1]:
        judge(facts, {}, **overrides)
    for text, version, *_ in test_containerd_imports.CASES:
        texts.update(finding.text for finding in test_containerd_imports.found(text, version))
    for files, daemon, *_ in test_docker_flags.CASES:
        texts.update(finding.text for finding in test_docker_flags.found(files, daemon))
    for files, *_ in test_boot_overrides.CASES:
        texts.update(finding.text for finding in test_boot_overrides.found(files))
    for files, *_ in test_unit_overrides.CASES:
        texts.update(finding.text for finding in test_unit_overrides.found(files))
    for seen, *_ in test_program_owners.CASES:
        texts.update(text for _, text, _ in test_program_owners.found(seen))
    texts.update(finding.text for finding in test_program_owners.not_kept())
    named = tuple(Named("/p", by, runs) for by in ("a setting", "PATH") for runs in (True, False))
    for lacking in (frozenset[str](), frozenset({"find"})):
        facts = Facts(of_others=named, lacking=lacking)
        texts.update(test_program_owners.texts(facts, rewritten=True))
    texts.update(finding.text for finding in test_unit_overrides.changeable(1000, 0o644))
    pull = {"distribution": "pull", "url": "https://files.example.org"}
    twins = {"machine_ids": {"n1": "a" * 32, "n2": "a" * 32}}
    held = {"certificates": {CLIENT: CertificateFile.of(OURS)}}
    judge({}, {}, artifacts=pull)
    judge({"arch": "arm64"}, {})
    judge({"paths": {"/etc": PathFact("directory", 0o757)}}, {})
    judge(held, twins)
    for other in (NAMESAKE, OTHER_NODE):
        judge({"certificates": {CLIENT: CertificateFile.of(other)}}, {})
    return texts


def test_each_finding_is_brought_out_by_some_host() -> None:
    texts = produced()
    for _, finding in set().union(*map(findings, MODULES)) - NOT_YET:
        pattern = ".+".join(map(re.escape, finding.split("…")))
        assert any(re.fullmatch(pattern, text) for text in texts), finding
