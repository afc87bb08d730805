"""The wheel: complete, installable, and the same tasks from it as from a clone."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.metadata import parse_email
from packaging.requirements import Requirement

from fabnode import __version__

from .installed import ROOT, Installed, install
from .library.examples import example
from .support import write_cluster

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("installed"))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no clone")
@pytest.mark.parametrize(
    "name",
    ["deployer.kubeconfig", "approver.kubeconfig", "config/deployer.kubeconfig", "ca-key.pem"],
)
def test_what_commands_write_beside_the_project_is_no_part_of_it(name: str) -> None:
    """Whoever has such a file has the cluster, or may approve its certificates."""
    done = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", name], check=False)
    assert done.returncode == 0


def tasks(listing: str) -> dict[str, str]:
    """Return the tasks of a `--list --list-format json`, each with its help."""

    def walk(collection: dict[str, Any], prefix: str) -> dict[str, str]:
        found = {prefix + task["name"]: task["help"] for task in collection["tasks"]}
        for inner in collection["collections"]:
            found |= walk(inner, f"{prefix}{inner['name']}.")
        return found

    return walk(json.loads(listing), "")


def in_clone(program: str, folder: Path = ROOT) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", program, "--list", "--list-format", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return tasks(done.stdout)


def test_pins_are_the_dependencies() -> None:
    """What is pinned for a clone is what the wheel asks for, and within what it allows."""
    pinned = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().split()]
    allowed = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    assert {pin.name for pin in pinned} == allowed.keys()
    for pin in pinned:
        (version,) = pin.specifier
        assert version.operator == "=="
        assert version.version in allowed[pin.name], pin


def test_the_pythons_that_are_claimed_are_those_that_were_run() -> None:
    """The oldest is what installation asks for; docs/tested.md says when each was run."""
    prefix = "Programming Language :: Python :: "
    claimed = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert PROJECT["requires-python"] == f">={claimed[0]}"
    (row,) = re.findall(r"^\| Python \|(.*?)\|", (ROOT / "docs/tested.md").read_text(), re.M)
    assert re.findall(r"\b3\.\d+\b", row) == claimed
    (offered,) = re.findall(r"^PYTHONS \?= (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert set(claimed) <= set(offered.split())


def test_the_wheel_holds_everything(installed: Installed) -> None:
    """All that git tracks of package, templates and data; nothing of tests, lab or a user's own."""
    tracked = subprocess.run(
        ["git", "ls-files", "fabnode", "templates", "config/*.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {name if name.startswith("fabnode/") else f"fabnode/data/{name}" for name in tracked}
    with zipfile.ZipFile(installed.wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata, _ = parse_email(wheel.read(path))
    assert "fabnode/py.typed" in held
    assert held == wanted
    assert metadata["version"] == __version__
    asked = {Requirement(line) for line in metadata["requires_dist"]}
    assert asked == set(map(Requirement, PROJECT["dependencies"]))


def test_fabnode_offers_what_inv_offers(installed: Installed, tmp_path: Path) -> None:
    """In an empty folder; a clone has the lab's tasks besides."""
    listed = installed.run("fabnode", "--list", "--list-format", "json", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr
    of_clone = in_clone("invoke")
    found = tasks(listed.stdout)
    assert found.pop("init") == found["config.init"]  # what one types first
    assert found == {k: v for k, v in of_clone.items() if not k.startswith("lab.")}
    assert any(name.startswith("lab.") for name in of_clone)


def test_the_command_prints_its_version(installed: Installed, tmp_path: Path) -> None:
    command = [str(installed.bin / "fabnode"), "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"fabnode {__version__}\n"


def test_advice_names_the_installed_command(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("fabnode", "report", folder=tmp_path, XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "no run is recorded yet\nnext: fabnode deploy-nodes\n"


def test_in_somebody_elses_tasks(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(example("add_collection"))
    (tmp_path / "fabfile.py").write_text(example("host_tasks"))
    own = installed.run(
        "invoke", "--list", folder=tmp_path
    )  # JSON would name inner collections null
    assert own.returncode == 0, own.stderr
    ours = {f"nodes.{name}" for name in in_clone("invoke") if not name.startswith("lab.")}
    assert set(re.findall(r"^  (\S+)", own.stdout, re.MULTILINE)) == ours
    hosts = installed.run("fabric", "--list", "--list-format", "json", folder=tmp_path)
    assert hosts.returncode == 0, hosts.stderr
    assert tasks(hosts.stdout) == in_clone("fabric")


@pytest.mark.parametrize("folder", ["docs", "tests/lab"])
def test_fab_and_inv_work_in_subfolders_of_a_clone(folder: str) -> None:
    for program in ("fabric", "invoke"):
        assert in_clone(program, ROOT / folder) == in_clone(program)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["config.check"], "valid"),
        (["versions.of", "1.37"], "containerd"),
        (["approve-csr", "--print-unit"], "-m fabnode approve-csr"),
    ],
)
def test_templates_and_releases_come_along(
    words: list[str], sentence: str, installed: Installed, tmp_path: Path
) -> None:
    config = write_cluster(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = installed.run("fabnode", *words, folder=empty, FABNODE_CONFIG=str(config))
    assert done.returncode == 0, done.stderr
    assert sentence in done.stdout


def test_a_unit_of_an_installed_fabnode_starts_there(installed: Installed, tmp_path: Path) -> None:
    """It goes by the environment that printed it, not by where a clone would be."""
    config = write_cluster(tmp_path)
    words = ("approve-csr", "--print-unit", "--config", str(config))
    done = installed.run("fabnode", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    settings = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    python = shlex.split(settings["ExecStart"])[0]
    listed = subprocess.run(
        [python, "-m", "fabnode", "--version"],
        cwd=settings["WorkingDirectory"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == f"fabnode {__version__}\n"
    assert Path(settings["WorkingDirectory"]).is_relative_to(installed.bin.parent)
