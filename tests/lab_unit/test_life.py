"""A whole lab, small: it comes, stays, is mended, and goes without a trace."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabnode.util.wait import Wait
from lab import cgroups, cluster, controlplane, hosts, network, processes, support, versions
from lab import state as state_files
from lab.errors import LabError
from lab.layout import Layout
from lab.progress import Progress
from lab.state import State

pytestmark = pytest.mark.lab

ONE_NODE = State(1, versions.KUBERNETES, jump=False, subnet="")


def need_support() -> None:
    reason = support.why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(f"CI must carry a lab: {reason}")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def name() -> str:
    return f"t{os.getpid() % 100000}"


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    need_support()
    folder = tmp_path_factory.mktemp("project")
    yield folder
    cluster.down(folder, name, Progress())


@pytest.fixture(scope="module")
def layout(parent: Path, name: str) -> Layout:
    return cluster.up(parent, name, ONE_NODE, Progress())


def pids(layout: Layout) -> dict[str, int | None]:
    names = (*controlplane.components(), "n1")
    return {name: processes.find(layout.record(name)) for name in names}


def on_host(layout: Layout, command: str) -> str:
    node = layout.node(1)
    options = {"StrictHostKeyChecking": "yes", "UserKnownHostsFile": layout.known_hosts}
    words = ["ssh", "-i", str(layout.key), *(f"-o{key}={value}" for key, value in options.items())]
    done = subprocess.run(
        [*words, f"{node.user}@{node.address}", command], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def kubectl(layout: Layout, *words: str) -> str:
    command = [str(layout.kubectl), "--kubeconfig", str(layout.kubeconfig), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_controllers_are_at_work_once_it_is_up(layout: Layout) -> None:
    """Otherwise the first certificates would wait for them, and the etcd that a test kills, too."""
    assert kubectl(layout, "get", "serviceaccount/default", "-o", "name") != ""


def test_a_real_api_server_answers_and_has_no_node_yet(layout: Layout) -> None:
    assert kubectl(layout, "get", "nodes", "-o", "name") == ""


def test_the_host_is_a_machine_of_its_own(layout: Layout) -> None:
    assert on_host(layout, "hostname; cat /proc/1/comm").split() == ["n1", "systemd"]
    assert on_host(layout, "cat /etc/machine-id") != Path("/etc/machine-id").read_text().strip()


def test_the_host_may_write_what_a_node_must(layout: Layout) -> None:
    on_host(layout, "sysctl -q -w net.ipv4.ip_forward=1")
    on_host(layout, "cd /sys/fs/cgroup; mkdir memory/of-a-pod || mkdir of-a-pod")


def test_secrets_are_the_owner_s_alone(layout: Layout) -> None:
    secret = [layout.kubeconfig, layout.sudo_password, layout.key, layout.folder / "ssh/host-n1"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_a_second_up_changes_nothing_and_says_so(layout: Layout, parent: Path, name: str) -> None:
    before, out = pids(layout), io.StringIO()
    cluster.up(parent, name, ONE_NODE, Progress(out))
    assert pids(layout) == before
    assert "nothing to do" in out.getvalue()


def test_what_died_is_started_again_and_the_rest_left_alone(
    layout: Layout, parent: Path, name: str
) -> None:
    on_host(layout, "echo kept > /root/mark")
    before = pids(layout)
    for dead in ("etcd", "n1"):
        pid = before[dead]
        assert pid
        os.kill(pid, signal.SIGKILL)
        Wait(f"the end of {dead}", 30).until(lambda: not pids(layout)[dead])  # noqa: B023 (at once)
    cluster.up(parent, name, ONE_NODE, Progress())
    after = pids(layout)
    assert all(after.values())
    assert {part for part in after if after[part] != before[part]} == {"etcd", "n1"}
    assert on_host(layout, "cat /root/mark") == "kept"


def test_a_fresh_host_is_bare(layout: Layout, parent: Path, name: str) -> None:
    on_host(layout, "echo gone > /root/mark")
    state = state_files.load(name, parent)
    assert state is not None
    cluster.fresh(layout, state[1], ["n1"], Progress())
    assert on_host(layout, "ls /root/mark 2>/dev/null || echo bare") == "bare"


def test_a_host_switched_off_is_off_and_comes_back(layout: Layout) -> None:
    base = Path((layout.host_folder("n1") / "base").read_text()).parent
    hosts.switch_off(layout, "n1")
    assert not hosts.running(layout, "n1")
    assert cgroups.members(layout.cgroup("n1")) == set()
    hosts.boot(layout, layout.node(1), base, lambda _: None)
    assert on_host(layout, "echo back") == "back"


def test_a_host_that_reboots_comes_back_in_another_boot(layout: Layout) -> None:
    boot = "cat /proc/sys/kernel/random/boot_id"
    own = on_host(layout, boot)
    assert own != processes.BOOT_ID.read_text().strip(), "not that of this machine"
    on_host(layout, "echo kept > /root/mark; echo gone > /run/mark")
    pid = pids(layout)["n1"]
    hosts.execute(layout, "n1", "systemctl", "--no-block", "reboot")

    def back() -> bool:
        try:
            return on_host(layout, boot) != own
        except subprocess.CalledProcessError:
            return False

    Wait("the host to be back", 120, 0.2).until(back)
    assert on_host(layout, "cat /root/mark; cat /run/mark 2>/dev/null || echo gone") == "kept\ngone"
    assert pids(layout)["n1"] == pid, "it is on all the time"
    hosts.clear(layout, "n1")
    assert cgroups.members(layout.cgroup("n1")) == set()
    base = Path((layout.host_folder("n1") / "base").read_text()).parent
    hosts.boot(layout, layout.node(1), base, lambda _: None)


def test_another_lab_s_bridge_is_not_touched(layout: Layout, tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="choose another name"):
        cluster.up(tmp_path, name, ONE_NODE, Progress())
    assert not list(tmp_path.iterdir())
    cluster.down(tmp_path, name, Progress())
    assert all(pids(layout).values())
    assert network.ready(layout)


def test_a_lab_that_begins_takes_no_network_of_another(layout: Layout) -> None:
    assert layout.subnet in network.networks()
    assert layout.subnet not in network.networks(besides=layout.bridge)
    same = Layout("other", layout.folder, layout.subnet)
    with pytest.raises(LabError, match=r"lab\.down"):
        network.refuse_taken(same)
    network.refuse_taken(layout)


def test_down_leaves_no_trace_even_if_the_folder_was_lost(
    layout: Layout, parent: Path, name: str
) -> None:
    (layout.folder / "state.json").unlink()
    for record in (layout.folder / "run").iterdir():
        record.unlink()
    cluster.down(parent, name, Progress())
    assert not layout.folder.exists()
    assert not network.owned(layout)
    assert cgroups.named(layout.cgroup("")) == set()
    assert str(layout.folder) not in Path("/proc/self/mounts").read_text()
    assert str(layout.folder).encode() not in b"".join(
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )
