"""
The lab that these tests share: three hosts, made nodes once, put right again after each test.

`FABNODE_TEST_LAB=NAME` runs the tests on a lab of that name and keeps it, with its nodes where no
test needs bare hosts: that saves time while a test is written. Otherwise a lab `test` comes and
goes, or one for each of pytest-xdist's workers. What needs other hosts or another release has a
lab of its own, called by a letter more, as each fixture says: `NAMEd`, `NAMEs`, …
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import network, state, support
from lab.cluster import ANY_SUBNET
from lab.errors import LabError
from lab.hosts import running
from lab.layout import Layout, folder_for
from tests.labs import KEPT, invoke

from .harness import LONG, NODES, PROJECT, Done, Lab
from .secrecy import Watcher
from .shop import Shop
from .workload import Workload

NEED_BARE = {"test_joining", "test_secrecy"}

# What only looks comes first; what takes hosts apart comes last.
ORDER = (
    "test_docker",
    "test_older_nodes",
    "test_other_hosts",
    "test_several_apiservers",
    "test_several_apiservers_ipv6",
    "test_first_configuration",
    "test_families",
    "test_joining",
    "test_secrecy",
    "test_unchanged",
    "test_surfaces",
    "test_input",
    "test_deployers_environment",
    "test_rights",
    "test_older_ways",
    "test_attack_requests",
    "test_attack_hosts",
    "test_attack_deployed",
    "test_token_file",
    "test_changes",
    "test_rotation",
    "test_proxy_modes",
    "test_installed",
    "test_drift",
    "test_cluster_moved",
    "test_site_settings",
    "test_cis",
    "test_apiserver_to_pods",
    "test_parts",
    "test_relay",
    "test_preflight",
    "test_trust",
    "test_api_trouble",
    "test_host_trouble",
    "test_never_quiet",
    "test_host_environment",
    "test_failed_joins",
    "test_takeover",
    "test_reset",
    "test_audit",
    "test_attack_inside",
    "test_doctor",
    "test_draining",
    "test_maintaining",
    "test_upgrading",
    "test_upgrading_oldest",
    "test_upgrading_network",
    "test_upgrading_runtime",
    "test_removing",
    "test_killed",
    "test_upgrading_killed",
    "test_changed_ca",
    "test_calico_forms",
    "test_virtual_hosts",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here, and put it in order, after the tests that need no lab."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.lab)
    items.sort(key=lambda item: _rank(item, here))


def _rank(item: pytest.Item, here: Path) -> int:
    return ORDER.index(item.path.stem) + 1 if item.path.is_relative_to(here) else 0


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three bare hosts and an empty cluster."""
    with _standing("", tmp_path_factory.mktemp("lab"), "--nodes", str(len(NODES))) as it:
        need_bare = {item.path.stem for item in request.session.items} & NEED_BARE
        if it.objects("nodes") and (need_bare or KEPT not in os.environ):
            it.lab("fresh")
        yield it


@pytest.fixture(scope="module")
def docker_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two hosts with docker beside a control plane of 1.20.2: the chapter's own shape."""
    face = ("--kubernetes", "1.20.2", "--runtime", "docker")
    with _standing("d", tmp_path_factory.mktemp("docker"), "--nodes", "2", *face) as it:
        yield it


@pytest.fixture(scope="module")
def older_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One host for a node of 1.36.3, beside the control plane of the newest release."""
    face = ("--kubernetes", "1.36.3")
    with _standing("o", tmp_path_factory.mktemp("older"), "--nodes", "1", *face) as it:
        yield it


@pytest.fixture(scope="module")
def another_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A control plane beside the other's, with one host, which stays bare."""
    with _standing("x", tmp_path_factory.mktemp("another"), "--nodes", "1") as it:
        yield it


@pytest.fixture(scope="module")
def trixie_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three hosts of Debian 13 that have other tools installed beside the usual ones."""
    face = ("--suite", "trixie", "--packages", "rust-coreutils,sudo-rs,tcsh")
    with _standing("h", tmp_path_factory.mktemp("trixie"), "--nodes", str(len(NODES)), *face) as it:
        yield it


@pytest.fixture(scope="module")
def several_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three hosts, and three apiservers of one etcd without a load balancer."""
    face = ("--control-planes", "3")
    scratch = tmp_path_factory.mktemp("several")
    with _standing("s", scratch, "--nodes", str(len(NODES)), *face) as it:
        yield it


@pytest.fixture(scope="module")
def several_ipv6_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three hosts and three apiservers, all of IPv6 alone."""
    face = ("--nodes", str(len(NODES)), "--control-planes", "3", "--family", "ipv6")
    with _standing("z", tmp_path_factory.mktemp("several-ipv6"), *face) as it:
        yield it


@pytest.fixture(scope="module")
def first_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three bare hosts and an empty cluster, for configurations that a command writes."""
    scratch = tmp_path_factory.mktemp("first")
    with _standing("f", scratch, "--nodes", str(len(NODES))) as it:
        yield it


@pytest.fixture(scope="module", params=["dual", "ipv6"])
def family_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Three hosts of both families, and of IPv6 alone, each beside a control plane like it."""
    suffix = {"dual": "q", "ipv6": "y"}[request.param]
    face = ("--nodes", str(len(NODES)), "--family", request.param)
    with _standing(suffix, tmp_path_factory.mktemp(request.param), *face) as it:
        yield it


# What a deployment of emulated machines takes at most, and then as long again.
VIRTUAL_SECONDS = 3600.0


@pytest.fixture(scope="module")
def virtual_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Two virtual machines of a Debian, which the test names."""
    face = ("--vm", "--nodes", "2", "--suite", request.param)
    suffix = {"bookworm": "v", "trixie": "w"}[request.param]
    scratch = tmp_path_factory.mktemp(request.param)
    with _standing(suffix, scratch, *face, patience=VIRTUAL_SECONDS) as it:
        yield it


@contextmanager
def _standing(suffix: str, scratch: Path, *options: str, patience: float = LONG) -> Iterator[Lab]:
    """Yield a lab that is up with these options, and take it down again unless it is kept."""
    if reason := support.why_not(PROJECT, vm="--vm" in options):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    name = (os.environ.get(KEPT) or _free_name(suffix)) + suffix
    try:
        invoke("lab.up", "--name", name, *options)
        found = state.load(name, PROJECT)
        assert found
        yield Lab(found[0], scratch, patience)
    finally:
        if KEPT not in os.environ:
            invoke("lab.down", "--name", name)


def _free_name(suffix: str) -> str:
    """
    Return a name for this process's lab.

    Each worker of pytest-xdist has a lab of its own; names that another checkout's lab has, which
    may run or be left of a killed run, are passed over.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for number in range(worker, 100, workers):
        name = f"test{number or ''}"
        folder = folder_for(name + suffix, PROJECT)
        if network.foreign_owner(Layout(name + suffix, folder, ANY_SUBNET)) is None:
            return name
    raise LabError("too many labs of tests stand on this machine: `ip link show type bridge`")


@dataclass(frozen=True)
class Joining:
    """The first deployment: the plan before, the run itself, and what was seen meanwhile."""

    plan: str
    done: Done
    watcher: Watcher


@pytest.fixture(scope="session")
def joining(lab: Lab) -> Joining:
    """Three bare hosts deployed, and watched while that happens."""
    plan = lab.inv("plan", "--json").out
    with Watcher(lab) as watcher:
        done = lab.deploy()
    return Joining(plan, done, watcher)


@pytest.fixture
def cluster(lab: Lab, joining: Joining) -> Lab:
    """Three Ready nodes that are what the lab's configuration says."""
    lab.restore()
    return lab


@pytest.fixture(scope="module")
def nodes(lab: Lab, joining: Joining) -> Lab:
    """
    Three Ready nodes, as configured when a module first asks for them, and not restored since.

    For tests of which none needs a node as configured that another of them changes.
    """
    lab.restore()
    return lab


@pytest.fixture
def workload(cluster: Lab) -> Workload:
    """A pod of a user's on each node."""
    pods = Workload(cluster)
    pods.start()
    return pods


@pytest.fixture(scope="module")
def open_shop(nodes: Lab) -> Iterator[Shop]:
    """Return a namespace of a user's, and the account that may drain."""
    made = Shop(nodes)
    yield made
    made.close()


@pytest.fixture
def shop(open_shop: Shop) -> Iterator[Shop]:
    """Return that namespace, empty, and no node cordoned."""
    yield open_shop
    open_shop.clear()


@pytest.fixture
def cluster_without_n3(lab: Lab, joining: Joining) -> Lab:
    """Two Ready nodes; n3 is bare, or cut off on its way to a node, and switched off."""
    if running(lab.layout, "n3"):
        lab.restore()
        lab.lab("fresh", "--hosts", "n3")
        lab.lab("off", "n3")
    return lab
