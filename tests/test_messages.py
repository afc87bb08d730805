"""docs/troubleshooting.md has every check of verify and every class of failure, as the code has."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from fabnode.deploy import network_probe, verification
from fabnode.node.facts import Facts, PathFact
from fabnode.node.plan import ConflictError, make_plan
from fabnode.node.resources import File
from fabnode.steps import checks
from fabnode.steps.checks.check import Check
from fabnode.steps.checks.node_certificates import certificate_paths
from fabnode.steps.checks.node_services import override_checks
from fabnode.steps.finding import Finding
from fabnode.util.errors import FabnodeError
from fabnode.util.problems import ConfigError

from .library.error_tree import defined
from .produced import PRODUCED, recorded
from .support import make_config

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()

# Parts of other errors' sentences: caught where they are raised, or one step above.
INSIDE = {
    "BadCertificateError",
    "BadHostCertificateError",
    "CannotEditError",
    "ClientConfigError",
    "CommandError",
    "InvalidValueError",
    "LacksToolsError",
    "LoginRefusedError",
    "MalformedError",
    "MissingHostKeyError",
    "InvalidStepError",
    "NoHostsError",
    "NoUnitTextError",
    "NotACertificateError",
    "NotAnArchiveError",
    "NothingInCommonError",
    "RangeError",
    "RefusedError",
    "RevokedKeyError",
    "SecondFactorError",
    "ServerRefusedError",
    "UnfitError",
    "UnreadableError",
}
# Names of checks that are put together where they are made.
MADE = {
    *certificate_paths(make_config().nodes[0]),
    "a unit",
    "such as kubelet.service",
    "aggregated APIs",
    "kube-proxy health",
    "kubelet health",
    "pod on …",
    "Service VIP",
    "the pod network",
    "such as Calico",
}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    (section,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[1:]]


def words(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(words, values))
    return "…"


@cache
def texts(folder: str) -> str:
    """Return all texts that the modules of a folder hold, one a line."""
    found = []
    for path in (ROOT / folder).rglob("*.py"):
        if path != Path(__file__):
            found += [words(node) for node in ast.walk(ast.parse(path.read_text()))]
    return "\n".join(text for text in found if text != "…")


def longest(sentence: str) -> str:
    return max(sentence.split("…"), key=len).strip()


def test_each_class_of_failure_has_its_row_and_no_other() -> None:
    classes = {e.__name__ for e in defined() if issubclass(e, FabnodeError)}
    listed = [row[1].strip("`") for row in rows("Failures")]
    assert len(set(listed)) == len(listed)
    assert classes >= INSIDE
    assert set(listed) == classes - INSIDE - {"FabnodeError"}


def test_the_words_of_a_failure_are_the_codes() -> None:
    for sentence, *_ in rows("Failures"):
        if not sentence.startswith("("):
            assert longest(sentence) in texts("fabnode"), sentence


def test_each_failure_is_brought_out_by_a_test() -> None:
    """`tests/conftest.py` holds each of these tests to that, whenever it runs."""
    by_class = {name: (path, test) for path, by in PRODUCED.items() for name, test in by.items()}
    listed = {row[1].strip("`") for row in rows("Failures")}
    assert listed - by_class.keys() == set()
    assert by_class.keys() - listed == {"reachable"}
    for name, (path, test) in by_class.items():
        module = ast.parse((ROOT / "tests" / path).read_text())
        tests = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
        assert test.partition("[")[0] in tests, f"no test brings out {name}"


def test_only_what_fabnode_itself_makes_is_recorded() -> None:
    there = Facts(known=True, paths={"/etc/a": PathFact("directory")})
    with recorded() as seen:
        ConfigError([])
        Check(None, "made here", ok=False, detail="")
        with pytest.raises(ConflictError):
            make_plan("n1", [File("/etc/a", b"")], there)
        list(override_checks("n1", [Finding("error", "found", "fix")]))
    assert seen == {"ConflictError", "overrides"}


# Advice that helps nobody who does not know already; `that` is what a failure never spelled out.
EMPTY = re.compile(
    r"(please )?((fix|correct|mend|check) (that|it|this|the (host|password|cluster|network))"
    r"|run (it|the (same )?command) again|try again|see above)[ ,;]*"
    r"((and|then)[ ,]+(run|try) .* ?again)?"
)


def advices() -> list[tuple[str, str]]:
    """Return each advice that the code gives, with the module that gives it."""
    found = []
    for path in (ROOT / "fabnode").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            given: list[ast.expr] = []
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in {
                    "advice",
                    "fix",
                } or name.endswith(("_FIX", "_ADVICE")):
                    given = [value]
                case ast.Call(func=ast.Name(id="Finding"), args=[_, _, fix]):
                    given = [fix]
                case ast.Call(func=ast.Name(id=name), args=[_, *_, last]) if name.endswith("Error"):
                    given = [last]
            found += [(str(path), words(each)) for each in given]
    return [(path, text) for path, text in found if text not in {"", "…"}]


def test_no_advice_is_empty_words() -> None:
    given = advices()
    assert len(given) > 100
    assert [(path, text) for path, text in given if EMPTY.fullmatch(text)] == []
    for text in ("fix that and run the command again", "check the password", "try again"):
        assert EMPTY.fullmatch(text)


def test_each_failure_and_check_says_what_to_do() -> None:
    for row in rows("Failures"):
        assert len(row) == 4, row
    for row in rows("What verify checks"):
        assert len(row) == 3, row
    assert len(rows("Failures")) > 40


def test_each_check_has_its_row_and_no_other() -> None:
    made = set(MADE)
    found = iter_modules(checks.__path__, f"{checks.__name__}.")
    for module in (network_probe, verification, *(import_module(each.name) for each in found)):
        for call in ast.walk(ast.parse(Path(module.__file__ or "").read_text())):
            match call:
                case ast.Call(
                    func=ast.Name(id="Check") | ast.Attribute(attr="Check"), args=[_, name, *_]
                ):
                    if isinstance(name, ast.Name):
                        known = getattr(module, name.id, None)
                        made |= {known} if isinstance(known, str) else set()
                    else:
                        made.add(words(name).replace("… ", "the pod network "))
    made.add("reachable")
    listed = [name for row in rows("What verify checks") for name in row[0].split(", ")]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {name.replace("pod on the pod network", "pod on …") for name in made}
