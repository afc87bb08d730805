"""Wherever the deployer of an upgrade is killed, the same command ends it as if it had not been."""

from __future__ import annotations

import random
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab import builds, versions
from lab.progress import Progress

from .harness import NODES, eventually
from .shop import RECORD
from .test_killed import assert_nothing_is_left, at_least, tidy
from .visitors import Visitors

if TYPE_CHECKING:
    from pathlib import Path

    from .shop import Shop

pytestmark = [pytest.mark.long, pytest.mark.chaos]

KILLS = 20
VICTIMS = ("n2", "n3")
SEED = 20261130
LAST = 110  # events of such an upgrade, about: beyond it a run gets through
OLD, NEW = "1.36.3", versions.KUBERNETES


class Way:
    """
    Nodes on their way to one release, by as many runs as it takes.

    What a node was given is not to be given again, nor is a node that is through to be touched.
    """

    def __init__(self, shop: Shop, release: str, config: Path) -> None:
        self.release, self.config = release, config
        self._shop = shop
        self._installed: dict[str, str] = {}
        self._through: dict[str, str] = {}

    def look(self) -> None:
        """Compare the nodes with what was seen of them before, on this way."""
        lab = self._shop.lab
        for node in VICTIMS:
            live = self._shop.node(node)
            if node in self._through:
                # Its kubelet did not start again, and it takes pods.
                assert lab.starts(node)[f"{node} kubelet.service"] == self._through[node]
                assert not live["spec"].get("unschedulable")
            program = lab.on(node, "stat -c '%i %Z' /usr/local/bin/kubelet")
            if lab.on(node, "/usr/local/bin/kubelet --version").split()[-1] != f"v{self.release}":
                continue
            assert self._installed.setdefault(node, program) == program, "it was installed again"
            done = RECORD not in live["metadata"].get("annotations", {})
            if done and live["status"]["nodeInfo"]["kubeletVersion"] == f"v{self.release}":
                self._through[node] = lab.starts(node)[f"{node} kubelet.service"]

    def ended(self) -> None:
        """See that both nodes are through, and that nothing is left of the upgrade."""
        self.look()
        assert self._through.keys() == set(VICTIMS)
        assert self._shop.cordoned() == set()
        for node in VICTIMS:
            assert self._shop.lab.on(node, "ls /var/lib/fabnode/kept", code=None) == ""


def test_twenty_kills_at_random_moments_of_upgrades(
    open_shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """
    Two nodes go from one release to another and back, visited all the while.

    A moment is a number of events into a run: unlike seconds it means the same on a slow machine.
    """
    lab = open_shop.lab
    chance = random.Random(SEED)
    starts = lab.starts("n1")
    visitors = Visitors(open_shop)
    ways = {OLD: older(open_shop, tmp_path_factory.mktemp("bin")), NEW: open_shop.config}
    wanted, kills, moments = OLD, 0, []
    way = Way(open_shop, wanted, ways[wanted])
    while kills < KILLS or wanted == OLD:
        run = lab.begin("upgrade", "--limit", ",".join(VICTIMS), config=way.config)
        moment = chance.randrange(1, LAST)
        if kills < KILLS and run.until(partial(at_least, moment)):
            run.kill(signal.SIGKILL)
        done = run.wait()
        if done.code == -signal.SIGKILL:
            kills += 1
            moments.append(moment)
            for node in VICTIMS:  # each notices by itself that nobody listens any more
                eventually(partial(tidy, lab, node), 120)
            way.look()
        else:
            done.expect(0)
            way.ended()
            wanted = OLD if wanted == NEW else NEW
            way = Way(open_shop, wanted, ways[wanted])
    words = ("upgrade", "--json", "--limit", ",".join(VICTIMS))
    lab.inv(*words, config=way.config)
    way.ended()
    done = lab.inv(*words, config=way.config)
    assert done.results == dict.fromkeys(VICTIMS, "unchanged"), moments
    way.ended()
    served, lost = visitors.since_then()
    assert served > 100
    assert lost == 0, f"{lost} requests of {served + lost} were lost; killed at {moments}"
    assert lab.ready() == set(NODES)
    assert lab.restarted(starts) == set(), "n1 was left alone all the while"
    assert_nothing_is_left(lab)


def older(shop: Shop, folder: Path) -> Path:
    """Return the configuration of the older release, with programs of its own."""
    made = builds.provide(versions.node(OLD), Progress())
    for path in (*(shop.lab.layout.artifacts / "bin").iterdir(), *made.iterdir()):
        (folder / path.name).unlink(missing_ok=True)
        (folder / path.name).symlink_to(path)
    whole: dict[str, Any] = yaml.safe_load(shop.config.read_text())
    whole["cluster"]["version"] = OLD
    whole["artifacts"]["binaries"] = str(folder)
    path = shop.lab.scratch / "older.yml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    return path
