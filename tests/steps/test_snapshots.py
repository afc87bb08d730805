"""
What is rendered for each release line, held against files under `snapshots/`.

After a change that is meant: `SNAPSHOTS=write pytest tests/steps/test_snapshots.py`, then read the
diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fabfile import pipeline
from fabfile.model.facts import Facts
from fabfile.model.resources import File
from fabfile.model.versions import KUBERNETES
from tests.support import make_cluster

from .support import make_inputs

SNAPSHOTS = Path(__file__).parent / "snapshots"
HOSTS = {
    "cgroup2": Facts(known=True, cgroup=2, systemd_resolved=True),
    "cgroup1": Facts(known=True, cgroup=1),
}


def rendered(minor: int, facts: Facts) -> str:
    """Return every text file of a node, with path and mode; certificates cut to a word."""
    inputs = make_inputs(make_cluster(cluster={"version": f"1.{minor}.0"}), facts)
    parts = []
    for step in pipeline.NODE_STEPS:
        for resource in step.desired(inputs):
            if isinstance(resource, File):
                text = "(issued)\n" if resource.content is None else resource.content.decode()
                text = re.sub(r"-----BEGIN[\s\S]*-----\n", "(CA certificate)\n", text)
                text = re.sub(r"(authority-data: ).*", r"\1(CA certificate)", text)
                parts.append(f"=== {resource.path} {resource.mode:04o}\n{text}")
    return "\n".join(parts)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("minor", range(KUBERNETES.since, KUBERNETES.until or 0))
def test_rendered_files_are_as_recorded(minor: int, host: str) -> None:
    """Nothing that a node reads changes unseen, in any release line."""
    snapshot = SNAPSHOTS / f"1.{minor}-{host}.txt"
    found = rendered(minor, HOSTS[host])
    if os.environ.get("SNAPSHOTS") == "write":
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(found)
    assert found == snapshot.read_text()
