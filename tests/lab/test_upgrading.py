"""Nodes in use are upgraded for real: one by one, without a lost request, or they go back."""

from __future__ import annotations

import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab import builds, versions
from lab.progress import Progress

from .harness import NODES, eventually
from .shop import RECORD, Shop, budget, deployment
from .visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Done, Lab

pytestmark = pytest.mark.life

OLD, NEW = "1.36.3", versions.KUBERNETES


def kubelets(lab: Lab) -> dict[str, str]:
    """Return what each node reports that it runs."""
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"].removeprefix("v")
        for node in lab.objects("nodes")
    }


def of_all(version: str) -> dict[str, str]:
    return dict.fromkeys(NODES, version)


def programs(lab: Lab, node: str) -> str:
    """Return the digests of what an upgrade replaces on a node."""
    return lab.on(node, "sha256sum /usr/local/bin/kube* /etc/kubernetes/*.y*ml")


# Machine code of amd64: an instruction that there is none of; and pause(), for ever.
CRASHES = b"\x0f\x0b"
IDLES = b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7"


def spoiled(program: bytes, code: bytes) -> bytes:
    """
    Return a program that has another beginning: it is of the same release, and does something else.

    :param program: an ELF file of 64 bits; its tables are those of the format's specification.
    """
    entry, table = struct.unpack_from("<QQ", program, 24)
    size, count = struct.unpack_from("<HH", program, 54)
    for number in range(count):
        at = table + number * size
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", program, at)
        if kind == 1 and address <= entry < address + length:
            start = entry - address + offset
            return program[:start] + code + program[start + len(code) :]
    raise AssertionError("no part of the program has its beginning")


class Cluster:
    """
    Three older nodes beside a control plane of the newest release, with a user's pods.

    :ivar older: their configuration; `newer`: that of the newest release, in the same account.
    """

    def __init__(self, lab: Lab, folder: Path, old: str = OLD) -> None:
        self.lab = lab
        lab.lab("fresh")
        lab.become_deployer()  # the account went with the rest of the cluster
        programs = builds.provide(versions.kubernetes_node(old), Progress())
        for path in (*(lab.layout.artifacts / "bin").iterdir(), *programs.iterdir()):
            (folder / path.name).unlink(missing_ok=True)
            (folder / path.name).symlink_to(path)
        self.older = lab.config(cluster={"version": old}, artifacts={"binaries": str(folder)})
        lab.deploy(config=self.older)
        self.shop = Shop(lab)
        self.newer = self.shop.config

    def changed(self, **changes: Any) -> Path:
        """Return the configuration of the newest release with other sections in it."""
        whole = yaml.safe_load(self.newer.read_text())
        path = self.lab.scratch / "changed.yml"
        path.write_text(yaml.safe_dump({**whole, **changes}, sort_keys=False))
        return path

    def with_spoiled(self, key: str, part: str, code: bytes, folder: Path) -> Path:
        """
        Return that configuration with a program that does something else than its own does.

        :param key: of `artifacts`: whose folder has the program.
        """
        whole = yaml.safe_load(self.newer.read_text())
        for path in Path(whole["artifacts"][key]).iterdir():
            (folder / path.name).symlink_to(path)
        content = spoiled((folder / part).read_bytes(), code)
        (folder / part).unlink()
        (folder / part).write_bytes(content)
        (folder / part).chmod(0o755)
        return self.changed(
            artifacts={**whole["artifacts"], key: str(folder)}, timeouts={"ready": 45}
        )

    def upgrade(self, *words: str, code: int = 0, config: Path | None = None) -> Any:
        return self.lab.inv("upgrade", "--json", *words, code=code, config=config or self.newer)


@pytest.fixture(scope="module")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(lab, tmp_path_factory.mktemp("bin"))
    yield made
    made.shop.close()


@pytest.fixture(scope="module")
def visitors(cluster: Cluster) -> Visitors:
    return Visitors(cluster.shop)


@pytest.mark.usefixtures("visitors")
def test_no_deployment_upgrades_nodes_that_have_pods(cluster: Cluster) -> None:
    before = {node: programs(cluster.lab, node) for node in NODES}
    starts = cluster.lab.starts(*NODES)
    done = cluster.lab.deploy("--limit", "n2,n3", code=1, config=cluster.newer)
    for node in ("n2", "n3"):
        assert f"kubelet {OLD} → {NEW}, and " in done.rows[node]["cause"]
        assert f"inv upgrade --limit {node}" in done.rows[node]["advice"]
    assert {node: programs(cluster.lab, node) for node in NODES} == before
    assert cluster.lab.restarted(starts) == set()


@pytest.mark.usefixtures("visitors")
def test_a_dry_run_shows_what_would_change_and_changes_nothing(cluster: Cluster) -> None:
    before = {node: programs(cluster.lab, node) for node in NODES}
    writes = len(cluster.lab.writes())
    shown = cluster.lab.inv("upgrade", "--limit", "n2", "--dry-run", config=cluster.newer).out
    assert f"n2: kubelet {OLD} → {NEW}, " in shown
    assert "(drain, change, verify, uncordon)" in shown
    assert "shop/front-" in shown
    assert [write for write in cluster.lab.writes(writes) if "/nodes/" in write] == []
    assert {node: programs(cluster.lab, node) for node in NODES} == before


class Canary:
    """Three nodes before an upgrade that goes wrong on n2, and what has to hold after it."""

    def __init__(self, cluster: Cluster, visitors: Visitors) -> None:
        self.cluster, self.visitors = cluster, visitors
        self.before = {node: programs(cluster.lab, node) for node in NODES}
        self.starts = cluster.lab.starts("n3")

    def fails(self, config: Path, cause: str) -> None:
        """Upgrade, and see that go wrong as `went_back` has it."""
        self.went_back(self.cluster.upgrade("--limit", "n2,n3", code=1, config=config), cause)

    def went_back(self, done: Done, cause: str) -> None:
        """See n2 back at what it ran, n3 untouched, and no request lost."""
        cluster = self.cluster
        assert done.results == {"n2": "failed", "n3": "skipped"}
        assert cause in done.rows["n2"]["cause"], done.rows["n2"]
        assert "it runs what it ran before, and takes pods again" in done.rows["n2"]["cause"]
        assert kubelets(cluster.lab) == of_all(OLD)
        assert {node: programs(cluster.lab, node) for node in NODES} == self.before
        assert cluster.lab.restarted(self.starts) == set()
        assert cluster.shop.cordoned() == set()
        assert RECORD not in cluster.shop.node("n2")["metadata"].get("annotations", {})
        assert cluster.lab.on("n2", "ls /var/lib/fabnode/kept", code=None) == ""
        served, lost = self.visitors.since_then()
        assert lost == 0, f"{lost} requests of {served + lost} were lost"
        # What it runs is in order: a run with its own configuration changes nothing but stamps.
        planned = cluster.lab.plan("--limit", "n2", config=cluster.older)
        assert planned["nodes"][0]["changes"] == []


def test_a_canary_that_fails_goes_back_and_the_others_are_untouched(
    cluster: Cluster, visitors: Visitors
) -> None:
    """The newer kubelet refuses its configuration, and does not start."""
    broken = cluster.changed(kubelet={"config": {"featureGates": {"NoGateOfThisName": True}}})
    Canary(cluster, visitors).fails(broken, "kubelet")


@pytest.mark.parametrize(
    ("key", "part", "code", "cause"),
    [
        pytest.param("binaries", "kubelet", CRASHES, "kubelet", id="a kubelet that crashes"),
        pytest.param("binaries", "kubelet", IDLES, "Ready", id="a kubelet that never reports"),
        pytest.param("binaries", "kube-proxy", IDLES, "kube-proxy", id="no network of Services"),
        pytest.param("cni_plugins", "loopback", CRASHES, "", id="no network of pods"),
    ],
)
def test_a_canary_whose_program_does_not_work_goes_back(
    cluster: Cluster,
    visitors: Visitors,
    tmp_path: Path,
    key: str,
    part: str,
    code: bytes,
    cause: str,
) -> None:
    broken = cluster.with_spoiled(key, part, code, tmp_path)
    Canary(cluster, visitors).fails(broken, cause)


def test_a_canary_whose_kubelet_dies_on_trial_goes_back(
    cluster: Cluster, visitors: Visitors
) -> None:
    """A pod has come by then, and no kubelet ends it: the runtime does, on the way back."""
    late = deployment("late", 1, nodeSelector={"kubernetes.io/hostname": "n2"})
    canary = Canary(cluster, visitors)
    config = cluster.changed(maintenance={"soak": 150})
    run = cluster.lab.begin("upgrade", "--limit", "n2,n3", "--json", config=config)
    assert run.begun("n2", "soak", "healthy"), run.printed()
    cluster.shop.make(late)
    cluster.shop.rolled_out("late")
    (before,) = cluster.shop.pods("n2", "late")
    cluster.lab.on("n2", "systemctl stop kubelet.service")
    canary.went_back(run.wait(cluster.lab.patience), "not Ready any more")
    cluster.shop.rolled_out("late")
    assert before not in cluster.shop.pods("n2", "late"), "it was ended, and another one came"
    cluster.shop.kubectl("delete", "deployment", "late")


def test_a_canary_whose_host_dies_stays_cordoned_and_the_others_are_untouched(
    cluster: Cluster, visitors: Visitors
) -> None:
    """It is switched off while it is changed; the same command goes on when it is back."""
    canary = Canary(cluster, visitors)
    run = cluster.lab.begin("upgrade", "--limit", "n2,n3", "--json", config=cluster.newer)
    assert run.begun("n2", "kubelet", ""), run.printed()
    cluster.lab.lab("off", "n2", "--plug")
    try:
        done = run.wait(cluster.lab.patience)
        assert done.code == 1
        assert done.results == {"n2": "failed", "n3": "skipped"}
        assert cluster.shop.cordoned() == {"n2"}
        assert programs(cluster.lab, "n3") == canary.before["n3"]
        assert cluster.lab.restarted(canary.starts) == set()
        assert "n2" in cluster.lab.inv("status", config=cluster.newer).out
        assert visitors.since_then()[1] == 0
    finally:
        cluster.lab.lab("on", "n2")
    assert cluster.upgrade("--limit", "n2").results == {"n2": "changed"}
    assert kubelets(cluster.lab) == {**of_all(OLD), "n2": NEW}
    assert cluster.shop.cordoned() == set()


def test_an_upgrade_that_is_killed_goes_on(cluster: Cluster) -> None:
    """The deployer dies while pods leave, while the node is changed, and while it is proved."""
    cluster.shop.make(deployment("web", 4), budget("web", maxUnavailable=1))
    cluster.shop.rolled_out("web")

    def killed(step: str, text: str, phase: str) -> None:
        run = cluster.lab.begin("upgrade", "--limit", "n1", config=cluster.newer)
        assert run.begun("n1", step, text), run.printed()
        run.kill(signal.SIGKILL)
        run.wait()
        assert cluster.shop.cordoned() == {"n1"}
        assert cluster.shop.record("n1")["phase"] == phase
        assert f"upgrade ({phase}) by" in cluster.lab.inv("status", config=cluster.newer).out

    # The visitor has no controller; it is the only one of its kind, and its answers are kept.
    cluster.shop.kubectl("delete", "pod", "visitor", "--ignore-not-found", "--now")
    killed("drain", "evicting", "draining")
    killed("kubelet", "", "changing")
    killed("verify", "", "proving")
    done = cluster.upgrade("--limit", "n1")
    assert done.results == {"n1": "changed"}
    assert kubelets(cluster.lab)["n1"] == NEW
    assert cluster.shop.cordoned() == set()
    cluster.shop.rolled_out("web")


def test_nodes_are_upgraded_one_after_another_and_no_request_is_lost(cluster: Cluster) -> None:
    cluster.shop.clear()
    visitors = Visitors(cluster.shop)
    done = cluster.upgrade()
    assert done.results == {"n1": "unchanged", "n2": "unchanged", "n3": "changed"}
    assert kubelets(cluster.lab) == of_all(NEW)
    served, lost = visitors.since_then()
    assert served > 50
    assert lost == 0, f"{lost} requests of {served + lost} were lost"
    assert cluster.shop.cordoned() == set()
    cluster.lab.inv("verify", config=cluster.newer)


def test_a_second_upgrade_finds_nothing(cluster: Cluster) -> None:
    starts = cluster.lab.starts(*NODES)
    assert cluster.upgrade().results == dict.fromkeys(NODES, "unchanged")
    shown = cluster.lab.inv("upgrade", "--dry-run", config=cluster.newer).out
    assert all(f"{node}: nothing to change" in shown for node in NODES)
    assert cluster.lab.restarted(starts) == set()
    eventually(lambda: cluster.lab.ready() == set(NODES))
