"""What a command loads before it does anything: what it needs, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .support import write_cluster

ROOT = Path(__file__).parents[1]
THIRD_PARTIES = {
    "cryptography",
    "fabric",
    "jinja2",
    "paramiko",
    "pydantic",
    "rich",
    "urllib3",
    "zstandard",
}

# Runs a command line in this process, and ends with what is loaded by then.
RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
print("\\nloaded", *sys.modules)
"""


def modules(*words: str, code: str = RUN) -> list[str]:
    """Return the modules that a command has loaded when it ends well."""
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("\nloaded ")[2].split()


def loaded(*words: str, code: str = RUN) -> set[str]:
    """Return the packages that a command has loaded when it ends well; of ours, the rooms."""
    names = modules(*words, code=code)
    rooms = {".".join(name.split(".")[:2]) for name in names if name.startswith("fabnode.")}
    return rooms | {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("program", ["invoke", "fabric"])
@pytest.mark.parametrize("kept", [True, False])
def test_what_a_command_in_a_clone_compiles_is_kept_unless_python_was_told_otherwise(
    tmp_path: Path, program: str, kept: bool
) -> None:
    """Invoke would have all of it compiled once more by each command."""
    for name in ("fabnode", "lab", "config", "templates"):
        ours = shutil.ignore_patterns("__pycache__", "recipes")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ours)
    for name in ("tasks.py", "fabfile.py"):
        shutil.copy(ROOT / name, tmp_path)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if not kept:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-m", program, "--list"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {path.name.partition(".")[0] for path in (tmp_path / "fabnode").rglob("*.pyc")}
    assert ("host_tasks" if program == "fabric" else "tasks") in found or not kept
    assert kept or not found


def test_a_command_seldom_looks_for_dead_cycles(tmp_path: Path) -> None:
    """Python's own threshold has it do so some hundred times while modules are imported."""
    count = "import gc\nstarts = []\ngc.callbacks.append(lambda phase, _: starts.append(phase))\n"
    code = count + RUN.replace('"\\nloaded"', '"\\nloaded", f"collections={len(starts) // 2}"')
    words = ("invoke", "config.check", "--config", str(write_cluster(tmp_path)))
    done = next(name for name in loaded(*words, code=code) if name.startswith("collections="))
    assert int(done.removeprefix("collections=")) < 80


def test_nor_does_it_at_its_end() -> None:
    """Python would once more, through all objects: a fifth of a command's processor time."""
    count = """
import atexit, gc
atexit.register(lambda: print("\\nloaded", f"frozen={gc.get_freeze_count()}"))
"""
    frozen = next(name for name in loaded("invoke", "--list", code=count + RUN) if "=" in name)
    assert int(frozen.removeprefix("frozen=")) > 10_000


@pytest.mark.parametrize(
    "words", [("invoke", "--list"), ("invoke", "--help", "plan"), ("fabnode", "--list")]
)
def test_listing_tasks_loads_none_of_what_they_do(words: tuple[str, ...]) -> None:
    """Each command begins so, and shells complete words with it."""
    found = loaded(*words)
    assert "fabnode.tasks" in found
    assert not found & THIRD_PARTIES
    rooms = {"fabnode.cli", "fabnode.util", "fabnode.library", "fabnode.tasks", "fabnode.__main__"}
    assert {name for name in found if name.startswith("fabnode.")} <= rooms


def test_listing_tasks_of_hosts_loads_no_step() -> None:
    """Fabric is a program of its own, and brings along paramiko and cryptography."""
    found = loaded("fabric", "--list")
    assert "fabnode.host_tasks" in found
    assert not found & {"jinja2", "pydantic", "rich", "urllib3", "zstandard"}
    rooms = {"fabnode.cli", "fabnode.util", "fabnode.library", "fabnode.host_tasks"}
    assert {name for name in found if name.startswith("fabnode.")} == rooms


def test_a_check_of_the_configuration_loads_nothing_that_reaches_a_host(tmp_path: Path) -> None:
    """It has settings to validate and a CA to read."""
    found = loaded("invoke", "config.check", "--config", str(write_cluster(tmp_path)))
    assert found & THIRD_PARTIES == {"cryptography", "pydantic"}
    assert not found & {f"fabnode.{room}" for room in ("deploy", "kube", "ssh", "steps")}


def test_a_check_loads_no_reader_of_what_the_configuration_does_not_have(tmp_path: Path) -> None:
    """Lists of hosts have formats, and `config.explain` has keys to explain."""
    found = modules("invoke", "config.check", "--config", str(write_cluster(tmp_path)))
    unneeded = {
        "fabnode.cni",
        "fabnode.config.explain",
        "fabnode.config.list_records",
        "fabnode.config.listing",
        "fabnode.config.node_lists",
        "fabnode.config.origins",
        "fabnode.config.starter",
    }
    assert not unneeded & set(found)


def test_nor_does_one_that_compares_images_with_the_pod_networks(tmp_path: Path) -> None:
    """Of archives it reads the names, and the manifest is a file: nothing is downloaded."""
    (tmp_path / "calico.yaml").write_text("{kind: ConfigMap, metadata: {name: x}}")
    (tmp_path / "images.tar").write_bytes(b"")
    settings = write_cluster(
        tmp_path,
        artifacts={"images": [str(tmp_path / "images.tar")]},
        calico={"manifest": str(tmp_path / "calico.yaml")},
    )
    found = loaded("invoke", "config.check", "--config", str(settings))
    assert "tarfile" in found, "archives were read"
    assert found & THIRD_PARTIES == {"cryptography", "pydantic"}
    assert not found & {f"fabnode.{room}" for room in ("deploy", "kube", "ssh", "steps")}


def test_the_release_data_are_shown_without_a_model_of_the_configuration() -> None:
    assert not loaded("invoke", "versions") & THIRD_PARTIES


def test_the_package_loads_what_is_asked_of_it() -> None:
    code = 'import sys, fabnode; fabnode.Problem; print("\\nloaded", *sys.modules)'
    found = loaded(code=code)
    assert not found & THIRD_PARTIES
    assert {name for name in found if name.startswith("fabnode.")} == {
        "fabnode.library",
        "fabnode.util",
    }


def test_a_deployment_loads_what_changes_nodes_with_the_first_change() -> None:
    """Most runs find nothing to change: they need no causes of illness, and nothing to apply."""
    rooms = "fabnode.cli.commands.deployment, fabnode.library.runs"
    code = f'import sys, {rooms}; print("\\nloaded", *sys.modules)'
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert {"fabnode.deploy.node_deployer", "fabnode.remote.probe"} <= found
    unneeded = {
        "fabnode.artifacts.bundle",
        "fabnode.deploy.diagnosis",
        "fabnode.deploy.evictions",
        "fabnode.deploy.run_rights",
        "fabnode.node.reset",
        "fabnode.remote.apply",
        "fabnode.remote.symptoms",
        "tomllib",
    }
    assert not found & unneeded
