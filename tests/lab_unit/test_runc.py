"""The runc wrapper: it takes away what the machine may not grant, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.rootfs import RUNC

WITHOUT, WITH = "000001fffeffffff", "000001ffffffffff"


def run(tmp_path: Path, spec: dict[str, Any], bounding: str, *arguments: str) -> list[str]:
    """Run the wrapper with a real runc that prints its arguments, and a given bounding set."""
    real = tmp_path / "real"
    real.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    real.chmod(0o755)
    status = tmp_path / "status"
    status.write_text(f"CapEff:\t{WITH}\nCapBnd:\t{bounding}\nCapAmb:\t0\n")
    text = RUNC.read_text()
    text = text.replace("/usr/sbin/runc", str(real)).replace("/proc/self/status", str(status))
    wrapper = tmp_path / "runc"
    wrapper.write_text(text)
    (tmp_path / "config.json").write_text(json.dumps(spec))
    done = subprocess.run(
        ["sh", str(wrapper), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def spec(*capabilities: str, adjust: int = -998) -> dict[str, Any]:
    lists = {kind: list(capabilities) for kind in ("bounding", "effective")}
    return {"process": {"oomScoreAdj": adjust, "capabilities": lists, "args": ["sh"]}}


@pytest.mark.parametrize(
    "capabilities",
    [
        ("CAP_SYS_RESOURCE",),
        ("CAP_SYS_RESOURCE", "CAP_CHOWN"),
        ("CAP_CHOWN", "CAP_SYS_RESOURCE"),
        ("CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_KILL"),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_capability_and_the_negative_score_go(
    tmp_path: Path, capabilities: tuple[str, ...], separators: tuple[str, str]
) -> None:
    given = spec(*capabilities)
    arguments = ("--root", "/r", "create", "--bundle", str(tmp_path), "id")
    assert run(tmp_path, given, WITHOUT, *arguments) == list(arguments)
    left = [name for name in capabilities if name != "CAP_SYS_RESOURCE"]
    wanted = spec(*left, adjust=0)
    (tmp_path / "config.json").write_text(json.dumps(given, separators=separators))
    subprocess.run(["sh", str(tmp_path / "runc"), *arguments], check=True, capture_output=True)
    assert json.loads((tmp_path / "config.json").read_text()) == wanted


def test_an_exec_probe_is_treated_alike(tmp_path: Path) -> None:
    file = str(tmp_path / "config.json")
    run(tmp_path, spec("CAP_SYS_RESOURCE"), WITHOUT, "exec", "--process", file, "id")
    assert json.loads(Path(file).read_text()) == spec(adjust=0)


def test_a_positive_score_stays(tmp_path: Path) -> None:
    run(tmp_path, spec("CAP_KILL", adjust=998), WITHOUT, "create", "--bundle", str(tmp_path), "id")
    assert json.loads((tmp_path / "config.json").read_text()) == spec("CAP_KILL", adjust=998)


def test_where_the_capability_is_granted_nothing_changes(tmp_path: Path) -> None:
    given = spec("CAP_SYS_RESOURCE")
    run(tmp_path, given, WITH, "create", "--bundle", str(tmp_path), "id")
    assert json.loads((tmp_path / "config.json").read_text()) == given


def test_other_commands_pass_through(tmp_path: Path) -> None:
    assert run(tmp_path, {}, WITHOUT, "state", "an id") == ["state", "an id"]
