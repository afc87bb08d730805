"""A lab made ready for the tests: nodes in one form, the images, DNS."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from fabnode.util.merging import merge_deep

from ..errors import LabError
from ..layout import DNS_ADDRESS, Layout
from ..progress import Progress
from ..shell import run
from .selection import Form

PROJECT = Path(__file__).parents[2]
INV = Path(sys.executable).with_name("inv")


def configuration(lab: Mapping[str, Any], form: Form, archives: Sequence[Path]) -> dict[str, Any]:
    """Return the lab's configuration of fabnode, changed to this form, with more images."""
    images = [*lab["artifacts"]["images"], *(str(path) for path in archives)]
    changes = {**form.changes, "artifacts": {"images": images}}
    return cast("dict[str, Any]", merge_deep(dict(lab), changes))


def dns_manifest(template: str) -> str:
    """Return Kubernetes' own manifest of CoreDNS, as its scripts fill it in."""
    values = {
        "$DNS_DOMAIN": "cluster.local",
        "$DNS_MEMORY_LIMIT": "170Mi",
        "$DNS_SERVER_IP": DNS_ADDRESS,
    }
    for name, value in values.items():
        template = template.replace(name, value)
    return template


def prepare(
    layout: Layout, form: Form, archives: Sequence[Path], e2e: Path, progress: Progress
) -> None:
    """
    Deploy nodes in this form by an ordinary run, bring up DNS, and verify all of it.

    :raises LabError: a command failed.
    """
    place = layout.folder / f"{form.name}.yml"
    lab = yaml.safe_load(layout.configuration.read_text())
    whole = configuration(lab, form, archives)
    place.write_text(yaml.safe_dump(whole, sort_keys=False))
    kubectl = kubectl_words(layout)
    with progress.work(f"nodes: {form.name}"):
        inv("deploy-nodes", config=place)
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as manifest:
        manifest.write(dns_manifest((e2e / "coredns.yaml.sed").read_text()))
        manifest.flush()
        run(*kubectl, "apply", "-f", manifest.name)
    dns = ("-n", "kube-system", "deployment/coredns")
    with progress.work("DNS"):
        run(*kubectl, "rollout", "status", *dns, "--timeout=300s")
    with progress.work("verify"):
        inv("verify", config=place)


def inv(*words: str, config: Path) -> None:
    """
    Run fabnode with a configuration; the user's own state stays as it is.

    :raises LabError: it did not end well.
    """
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "FABNODE_CONFIG": str(config), "XDG_STATE_HOME": state}
        done = subprocess.run(
            [str(INV), *words],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        printed = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        raise LabError(f"`inv {' '.join(words)}` ended with {done.returncode}:\n{printed}")


def kubectl_words(layout: Layout) -> list[str]:
    """Return a kubectl command for the lab's cluster, of its administrator."""
    return [str(layout.kubectl), "--kubeconfig", str(layout.kubeconfig)]
