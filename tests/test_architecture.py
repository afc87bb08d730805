"""Holds what ARCHITECTURE.md says about who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FABFILE = ROOT / "fabfile"

# What each room may import of the others. Types alone (`if TYPE_CHECKING`) count as well.
ALLOWED = {
    "model": set(),
    "trust": {"model"},
    "steps": {"model", "trust"},
    "audit": {"model", "trust"},
    "run": {"audit", "hardening", "host", "model", "pipeline", "sides"},  # types only, see below
    "host": {"model"},
    "kube": {"model", "trust", "steps"},
    "parts": {"model"},
    "sides": {"artifacts", "calico_files", "host", "kube", "model", "run", "steps", "trust"},
}


def imports(path: Path) -> set[str]:
    """Return dotted names of all that a module imports, relative ones made absolute."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def modules(room: str) -> list[Path]:
    return sorted((FABFILE / room).rglob("*.py"))


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_only_what_lies_below(room: str) -> None:
    """A room imports itself and what ARCHITECTURE.md allows."""
    for path in modules(room):
        for name in imports(path):
            if name.startswith("fabfile."):
                other = name.split(".")[1]
                assert other == room or other in ALLOWED[room], f"{path}: imports {name}"


@pytest.mark.parametrize("path", modules("steps"), ids=lambda p: p.stem)
def test_steps_do_not_import_each_other(path: Path) -> None:
    """A step uses what all steps may use, never another step."""
    shared = {"inputs", "layout", "registries", "render", path.stem}
    for name in imports(path):
        if name.startswith("fabfile.steps."):
            assert name.split(".")[2] in shared, f"{path}: imports {name}"


@pytest.mark.parametrize("path", sorted(FABFILE.rglob("*.py")), ids=lambda p: str(p.name))
def test_each_kind_of_traffic_has_one_room(path: Path) -> None:
    """SSH is in host/, HTTP to the API in kube/, downloads in parts/, tasks in the surfaces."""
    room = path.relative_to(FABFILE).parts[0]
    names = {name.split(".")[0] for name in imports(path)}
    if room != "host":
        assert not names & {"fabric", "paramiko"}, path
    if room not in {"kube", "parts"}:
        assert "urllib3" not in names, path
    if room != "__init__.py":
        assert "invoke.tasks" not in imports(path), path


@pytest.mark.parametrize("path", sorted(FABFILE.rglob("*.py")), ids=lambda p: str(p.name))
def test_what_users_meet_is_imported_by_surfaces_only(path: Path) -> None:
    """Commands are called by surfaces alone; what does the work knows of neither."""
    room = path.relative_to(FABFILE).parts[0]
    if room not in {"__init__.py", "commands"}:
        assert not [name for name in imports(path) if name.startswith("fabfile.commands")], path
    if room not in {"__init__.py", "commands", "surface.py"}:
        assert "fabfile.surface" not in imports(path), path


def test_run_imports_other_rooms_for_their_types_only() -> None:
    """What shows a run must not drag in what carries it out."""
    for path in modules("run"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                pytest.fail(f"{path}: imports {node.module} at run time")
