"""Holds what ARCHITECTURE.md says about who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fabnode"

# What each room imports of the others, the lowest room first: none imports a later one. All rooms
# stand here, and nothing that is not used. Types alone (`if TYPE_CHECKING`) count as well.
ALLOWED: dict[str, set[str]] = {
    "util": set(),
    "journal": {"util"},
    "releases": {"util"},
    "pki": {"util"},
    "config": {"releases", "util"},
    "node": {"pki", "util"},
    "audit": {"node", "pki", "util"},
    "doctor": {"node", "pki", "util"},
    "ssh": {"config", "util"},
    "remote": {"node", "pki", "ssh", "util"},
    "cni": {"config", "pki", "releases", "util"},
    "upkeep": {"util"},
    "steps": {"cni", "config", "node", "pki", "releases", "util"},
    "kube": {"pki", "releases", "util"},
    "artifacts": {"cni", "config", "node", "releases", "util"},
    "deploy": {
        "artifacts",
        "audit",
        "cni",
        "config",
        "doctor",
        "journal",
        "kube",
        "node",
        "pki",
        "releases",
        "remote",
        "ssh",
        "steps",
        "upkeep",
        "util",
    },
    "library": {"artifacts", "config", "deploy", "journal", "node", "steps", "util"},
    "cli": {
        "artifacts",
        "audit",
        "config",
        "deploy",
        "doctor",
        "journal",
        "library",
        "pki",
        "releases",
        "ssh",
        "steps",
        "upkeep",
        "util",
    },
}

# What users meet: above all rooms, imported by none.
SURFACES = {"__main__.py", "host_tasks.py", "tasks.py"}

# What reads environment variables, as docs/library.md says; the command line's own aside.
READS_ENVIRONMENT = {
    "deploy/hooks.py",  # passed on to the site's own commands
    "kube/credential_plugin.py",  # passed on to credential plugins
    "config/secret_prompts.py",  # those that the configuration names
    "util/folders.py",  # XDG_CACHE_HOME, XDG_STATE_HOME
}

# The runs of `deploy`; its other modules are their parts and know of none.
RUNS = {
    *("cordon_plans", "status_runs"),
    *("approval", "doctor_runs", "draining", "forgetting", "hardening", "maintenance"),
    *("offline_removal", "pipeline", "removing", "resetting", "rotation", "run"),
    *("upgrading", "wave_runner"),
}

STEPS_SHARE = {
    "boot_overrides",
    "checks",
    "environment",
    "finding",
    "firewall",
    "host_ipv6",
    "inputs",
    "kernel",
    "network_managers",
    "program_owners",
    "registries",
    "render",
    "step",
    "takeover",
}


def names_of(node: ast.AST, path: Path) -> set[str]:
    """Return dotted names of all that an import statement names, relative ones made absolute."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
        return {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return set()


@cache
def imports(path: Path) -> set[str]:
    """Return dotted names of all that a module imports, wherever in it."""
    return set().union(*(names_of(node, path) for node in ast.walk(ast.parse(path.read_text()))))


def rooms(path: Path) -> set[str]:
    """Return the rooms that a module imports from; its own doesn't count."""
    found = {name.split(".")[1] for name in imports(path) if name.startswith("fabnode.")}
    return found - {path.relative_to(PACKAGE).parts[0]}


def modules(room: str) -> list[Path]:
    """Return a room's modules; a name that is no room is a mistake, not an empty room."""
    found = sorted((PACKAGE / room).rglob("*.py"))
    assert [path for path in found if path.name != "__init__.py"], f"no modules in {room}"
    return found


ALL = sorted(PACKAGE.rglob("*.py"))
IDS = [str(path.relative_to(PACKAGE)) for path in ALL]


def test_every_module_is_in_a_room() -> None:
    """A new room gets its place among the others with its first module."""
    assert {path.relative_to(PACKAGE).parts[0] for path in ALL} == (
        ALLOWED.keys() | SURFACES | {"__init__.py"}
    )


def test_no_room_may_import_a_higher_one() -> None:
    order = list(ALLOWED)
    for room, others in ALLOWED.items():
        assert others <= set(order[: order.index(room)]), room


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_only_what_lies_below(room: str) -> None:
    """A room imports itself and what stands above; what it no longer needs goes from there."""
    for path in modules(room):
        assert rooms(path) <= ALLOWED[room], path
    assert ALLOWED[room] == set().union(*map(rooms, modules(room)))


@pytest.mark.parametrize("name", ["no_such_room", "stesp"])
def test_a_misspelt_room_is_a_failure(name: str) -> None:
    with pytest.raises(AssertionError, match="no modules in"):
        modules(name)


STEPS = PACKAGE / "steps"
STEP_MODULES = [module for module in modules("steps") if module.stem != "order"]


@pytest.mark.parametrize("path", STEP_MODULES, ids=lambda p: p.stem)
def test_steps_do_not_import_each_other(path: Path) -> None:
    """A step uses what all steps may use, never another step."""
    places = {module.relative_to(STEPS).parts[0].removesuffix(".py") for module in modules("steps")}
    assert places >= STEPS_SHARE
    for name in imports(path):
        if name.startswith("fabnode.steps."):
            assert name.split(".")[2] in {*STEPS_SHARE, path.stem}, f"{path}: imports {name}"


@pytest.mark.parametrize("path", modules("deploy"), ids=lambda p: p.stem)
def test_parts_of_a_run_do_not_import_runs(path: Path) -> None:
    """What a run is made of does not know which run it serves; only hardening knows of audits."""
    assert {module.stem for module in modules("deploy")} >= RUNS
    if path.stem not in RUNS:
        assert not imports(path) & {f"fabnode.deploy.{run}" for run in RUNS}, path
    if path.stem != "hardening":
        assert "audit" not in rooms(path), path


@pytest.mark.parametrize("path", ALL, ids=IDS)
def test_each_kind_of_traffic_has_one_room(path: Path) -> None:
    """SSH is in ssh/, HTTP to the API in kube/, downloads in artifacts/, tasks in the surfaces."""
    room = path.relative_to(PACKAGE).parts[0]
    names = {name.split(".")[0] for name in imports(path)}
    if room != "ssh":
        assert not names & {"fabric", "paramiko"}, path
    if room not in {"kube", "artifacts"}:
        assert "urllib3" not in names, path
    if room not in SURFACES:
        assert not imports(path) & {"invoke.tasks", "invoke.collection", "invoke.program"}, path


@pytest.mark.parametrize(
    "path",
    [path for path in modules("cli") if path.parent.name == "cli" and path.stem != "app"],
    ids=lambda p: p.stem,
)
def test_views_import_other_rooms_for_their_types_only(path: Path) -> None:
    """What shows a run must not drag in what carries it out."""
    for node in ast.parse(path.read_text()).body:
        for name in names_of(node, path):
            if name.startswith("fabnode."):
                assert name.split(".")[1] in {"cli", "journal", "util"}, f"{path}: imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "fabnode").rglob("*.py")), ids=lambda p: p.stem)
def test_commands_print_through_one_function(path: Path) -> None:
    """`app.print_text` takes control characters out of what hosts, servers and files say."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    if path != ROOT / "fabnode/cli/app.py":
        assert not [call.lineno for call in calls if call.func.id == "print"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path", [path for path in ALL if path.relative_to(PACKAGE).parts[0] not in {"cli", *SURFACES}]
)
def test_only_the_command_line_has_a_screen_and_ends_the_process(path: Path) -> None:
    """The library prints nothing, asks nothing, and leaves the process to the program it is in."""
    tree = ast.parse(path.read_text())
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"exit", "input", "sys.exit", "os._exit", "getpass.getpass"}, path
    attributes = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"sys.stdin", "sys.stdout", "sys.stderr", "sys.argv"}, path
    environment = attributes & {"os.environ", "os.getenv"}
    assert not environment or str(path.relative_to(PACKAGE)) in READS_ENVIRONMENT, path


@pytest.mark.parametrize("module", ["fabnode.tasks", "lab.tasks"])
def test_tasks_are_listed_without_what_they_do(module: str) -> None:
    """Shells complete with it, and each command begins with it."""
    code = f"import sys, {module}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded & {"cryptography", "jinja2", "paramiko", "pydantic", "urllib3"}
