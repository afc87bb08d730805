"""fabnode as somebody else has it: its wheel in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Installed:
    """
    A fresh environment.

    :param wheel: what was built and installed.
    :param bin: the folder of its programs.
    """

    wheel: Path
    bin: Path

    def run(
        self, program: str, *words: str, folder: Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python program of the environment in a folder, past our own sources."""
        ours = {"PYTHONPATH", "FABNODE_CONFIG"}
        return subprocess.run(
            [str(self.bin / "python"), "-P", "-m", program, *words],
            cwd=folder,
            env={k: v for k, v in os.environ.items() if k not in ours} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


def install(folder: Path) -> Installed:
    """
    Build the wheel, and install it in a fresh environment.

    Its dependencies are those that run these tests: installing them again would need the network
    and prove only that pip works. That the wheel names all of them is held by `test_packaging.py`.
    """
    _call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"))
    (wheel,) = (folder / "dist").glob("*.whl")
    home = folder / "venv"
    venv.create(home)
    python = str(home / "bin/python")
    _call(
        *(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"),
        *("install", "--quiet", "--no-deps", "--no-index", str(wheel)),
    )
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(wheel, home / "bin")


def _call(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
