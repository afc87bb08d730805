"""Holds what ARCHITECTURE.md says about who may import whom."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FABFILE = ROOT / "fabfile"

# What each room, a folder or a module of its own, may import of the others. All of them stand here,
# and nothing that is not used. Types alone (`if TYPE_CHECKING`) count as well.
ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "option": set(),
    "trust": {"model"},
    "steps": {"model", "trust"},
    "audit": {"model", "trust"},
    "host": {"model"},
    "kube": {"model", "steps", "trust"},
    "parts": {"model"},
    "artifacts": {"model", "parts", "steps"},
    "calico_files": {"artifacts", "model", "parts", "steps", "trust"},
    "run": {"audit", "hardening", "host", "model", "pipeline", "sides"},  # types only, see below
    "sides": {"artifacts", "calico_files", "host", "kube", "model", "run", "steps", "trust"},
    "pipeline": {"artifacts", "host", "kube", "model", "run", "sides", "steps", "trust"},
    "rotation": {"kube", "pipeline", "run", "sides", "steps", "trust"},
    "hardening": {"audit", "host", "model", "pipeline", "run", "sides"},
    "surface": {
        "artifacts",
        "host",
        "kube",
        "model",
        "parts",
        "pipeline",
        "run",
        "sides",
        "steps",
    },
    "commands": {
        "artifacts",
        "calico_files",
        "hardening",
        "host",
        "kube",
        "model",
        "parts",
        "pipeline",
        "rotation",
        "run",
        "sides",
        "steps",
        "surface",
        "trust",
    },
    "__init__": {"commands", "option", "pipeline", "steps", "surface"},
}
SHARED_BY_STEPS = {"inputs", "layout", "registries", "render"}


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
    """Return a room's modules; a name that is no room is a mistake, not an empty room."""
    folder = FABFILE / room
    found = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    assert found, f"{room}: an empty room"
    assert all(path.is_file() for path in found), f"{room}: no such room"
    return found


def imported(room: str) -> dict[str, Path]:
    """Return the other rooms that a room imports, each with a module that does."""
    names = ((name, path) for path in modules(room) for name in imports(path))
    found = {name.split(".")[1]: path for name, path in names if name.startswith("fabfile.")}
    return {other: path for other, path in found.items() if other != room}


def test_every_module_is_in_a_room() -> None:
    """A new room gets its place among the others with its first module."""
    listed = {path for room in ALLOWED for path in modules(room)}
    assert listed == set(FABFILE.rglob("*.py"))


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_only_what_lies_below(room: str) -> None:
    """A room imports itself and what stands above; what it no longer needs goes from there."""
    found = imported(room)
    assert not {other: path for other, path in found.items() if other not in ALLOWED[room]}
    unused = ALLOWED[room] - set(found)
    assert not unused, "ALLOWED lists more than is imported"


def test_imports_go_in_no_circle() -> None:
    """What `run` imports for types alone closes none."""
    below = {room: others if room != "run" else set() for room, others in ALLOWED.items()}
    assert set(TopologicalSorter(below).static_order()) == set(ALLOWED)


@pytest.mark.parametrize("name", ["no_such_room", "modle"])
def test_a_misspelt_room_is_a_failure(name: str) -> None:
    with pytest.raises(AssertionError, match="no such room"):
        modules(name)


@pytest.mark.parametrize("path", modules("steps"), ids=lambda p: p.stem)
def test_steps_do_not_import_each_other(path: Path) -> None:
    """A step uses what all steps may use, never another step."""
    shared = SHARED_BY_STEPS | {path.stem}
    assert {module.stem for module in modules("steps")} >= SHARED_BY_STEPS
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
