"""
A power cut right after a run, for real: what the disk holds then is all that the run wrote.

The disk is a file with ext4 in it. Its content is what the file system has written so far: a copy
of it is what a machine finds that lost its power at that moment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.facts import Facts
from fabnode.node.plan import make_plan
from fabnode.node.resources import File, Unit
from fabnode.remote.apply import apply
from fabnode.remote.survey import Observed
from tests.support import wait_for

from .local import SHELLS
from .test_apply import KUBELET, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 64 * 2**20


def run(*words: str | Path) -> bool:
    done = subprocess.run([*map(str, words)], capture_output=True, check=False)
    return done.returncode == 0


class Disk:
    """A disk, mounted at `place`."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "disk.img", folder / "disk"
        self.place.mkdir()

    def mount(self) -> bool:
        return run("mount", "-o", "loop", self.image, self.place)

    def unmount(self) -> None:
        # An apply's heartbeat goes within a second, and has its working directory there.
        wait_for(lambda: run("umount", self.place))

    def lose_power(self) -> None:
        """Forget what was not written, and mount what was."""
        written = self.image.with_suffix(".written")
        shutil.copyfile(self.image, written)
        self.unmount()
        written.rename(self.image)
        assert self.mount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    with made.image.open("wb") as file:
        file.truncate(SIZE)
    if os.geteuid() or not run("mkfs.ext4", "-q", "-F", made.image) or not made.mount():
        pytest.skip("needs root, mkfs.ext4 and loop devices")
    yield made
    made.unmount()


@pytest.fixture(params=SHELLS[:1])
def node(request: pytest.FixtureRequest, disk: Disk) -> Node:
    made = Node(disk.place, request.param)
    assert run("sync", "-f", disk.place)
    return made


def test_all_of_a_run_survives_a_power_cut_right_after_it(node: Node, disk: Disk) -> None:
    program = File(node.path("usr/local/bin/kubelet"), os.urandom(300_000), 0o755)
    config = File(node.path("etc/kubelet.yaml"), b"maxPods: 77\n")
    unit = Unit(KUBELET, (program.path, config.path))
    plan = make_plan("n1", (program, config, unit), Facts())
    apply(node, plan, node.packer, record=Observed((), (), (config.path,)))
    records = ("baseline", "written", f"stamps/{KUBELET}")
    before = {name: (node.state / name).read_bytes() for name in records}
    assert all(before.values())
    disk.lose_power()
    for file in (program, config):
        assert Path(file.path).read_bytes() == file.content
    assert {name: (node.state / name).read_bytes() for name in records} == before
