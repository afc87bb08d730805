"""fabnode as somebody else has it: its wheel in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from importlib import metadata
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


def transplant(installed: Installed, root: Path, home: str) -> str:
    """
    Put fabnode with this machine's Python into another machine's file system.

    Whatever is copied is a Python prefix of its own; the libraries that it loads come along where
    the other machine has none, and its `ldconfig` has to be told of them.

    :param root: where that file system is here. :param home: the prefix there.
    :return: the Python program's path there.
    """
    prefix = root / home.lstrip("/")
    binary = Path(sys.executable).resolve()
    library = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    unneeded = ("test*", "*-packages", "__pycache__", "config-*", "idlelib", "_tkinter*", "tkinter")
    stdlib = sysconfig.get_path("stdlib")
    shutil.copytree(stdlib, library, ignore=shutil.ignore_patterns(*unneeded))
    (own,) = installed.bin.parent.glob("lib/python*/site-packages")
    packages = library / "site-packages"
    shutil.copytree(
        own, packages, ignore=shutil.ignore_patterns("*.pth", "pip", "pip-*", "__pycache__")
    )
    for name in _needed():
        for file in metadata.files(name) or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, packages / file)
    (prefix / "bin").mkdir()
    python = shutil.copy(binary, prefix / "bin")
    loading = [str(binary), *map(str, library.rglob("*.so"))]
    reported = subprocess.run(["ldd", *loading], capture_output=True, text=True, check=False).stdout
    for path in {Path(found) for found in re.findall(r"=> (/\S+)", reported)}:
        if not path.is_relative_to(prefix) and not (root / str(path).lstrip("/")).exists():
            shutil.copy(path, prefix / "lib")
    return f"{home}/bin/{Path(python).name}"


def _needed() -> set[str]:
    """Return the names of all packages that fabnode needs, those that they need included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    left, found = list(project["dependencies"]), set[str]()
    while left:
        text = left.pop()
        name = re.split(r"[^\w.-]", text)[0].lower()
        if name in found or "extra ==" in text:
            continue
        try:
            left += metadata.requires(name) or ()
        except metadata.PackageNotFoundError:  # not of this platform
            continue
        found.add(name)
    return found


def _call(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
