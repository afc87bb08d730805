"""The probe's script, run for real on this machine."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node import layout
from fabnode.node.facts import DefaultRoute, HostNetwork, Listener, Mount, Watchlist
from fabnode.node.host_tools import NEEDED
from fabnode.remote.probe import script
from fabnode.remote.probe_output import LacksToolsError, parse

from .local import BUSYBOX, SHELLS, WAYS, Tools, give_away, only_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fabnode.node.facts import Facts

CERT = "-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    tools = Tools(tmp_path / "tools")
    tools.add("systemctl")
    tools.add("ctr")
    tools.add("modprobe", "exit 1")
    return tools


@pytest.fixture(params=[*SHELLS, BUSYBOX])
def shell(request: pytest.FixtureRequest) -> list[str]:
    shell: list[str] = request.param
    return shell


@pytest.fixture
def output(shell: list[str], tools: Tools, tmp_path: Path) -> Callable[..., bytes]:
    """Run the probe under each shell and return what it printed."""

    def run(**watch: Any) -> bytes:
        code = script(Watchlist(state=str(tmp_path / "state"), **watch), "nonce")
        result = tools.run([*shell, "-s"], code)
        assert (result.returncode, result.stderr) == (0, b"")
        return result.stdout

    return run


@pytest.fixture
def probe_host(output: Callable[..., bytes]) -> Callable[..., Facts]:
    """Run the probe and return the facts."""

    def run(**watch: Any) -> Facts:
        sent = time.time()
        printed = output(**watch)
        return parse(printed, nonce="nonce", sent=sent, received=time.time())

    return run


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def later(shell: list[str], tools: Tools) -> None:
    """Have the probe run ten seconds later: what is recorded must be older than a moment."""
    if shell[0] == "busybox":
        pytest.skip("it has a date of its own")
    tools.add("date", 'exec /bin/date -d "+10 seconds" "$@"')


def test_this_machine(probe_host: Callable[..., Facts]) -> None:
    facts = probe_host(free=("/", "/no/such/folder"))
    assert facts.kernel == platform.release()
    assert facts.hostname == platform.node()
    assert abs(facts.clock_offset) < 5
    assert facts.uptime > 0
    assert facts.memory > 2**20
    near, far = facts.space["/"], facts.space["/no/such/folder"]
    assert near.free == pytest.approx(far.free, rel=0.1)
    assert near.free > 2**20
    assert near.kind == far.kind
    assert "127.0.0.1" in facts.addresses or not facts.addresses
    assert facts.resolv_conf == Path("/etc/resolv.conf").read_text()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_listeners_are_reported_where_a_port_of_interest_is_taken(
    probe_host: Callable[..., Facts], tools: Tools, family: socket.AddressFamily
) -> None:
    tools.add("ss", 'echo "LISTEN 0 128 *:22 *:*"')
    with socket.create_server(("", 0), family=family) as taken:
        port = taken.getsockname()[1]
        assert probe_host(ports=(10250, port)).listeners == (Listener(22, ""),)
        assert tools.calls_of("ss") == ["ss -Hltn -p"]
    tools.forget()
    assert probe_host(ports=(port,)).listeners == probe_host().listeners == ()
    assert tools.calls_of("ss") == []


def test_paths_are_reported_as_they_are(probe_host: Callable[..., Facts], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o750)
    text, large, secret = root / "a text", root / "large", root / "secret"
    text.write_bytes(b"caf\xc3\xa9\n\n'\"$x")
    large.write_bytes(b"x" * 300_000)
    secret.write_text("s")
    secret.chmod(0o600)
    link, fifo, empty = root / "link", root / "fifo", root / "empty"
    link.symlink_to(text)
    os.mkfifo(fifo)
    empty.touch()
    gone = root / "gone"
    facts = probe_host(
        text=tuple(map(str, (text, large, link, fifo, empty, gone))),
        opaque=(str(secret), str(root)),
    )
    found = {Path(path).name: fact for path, fact in facts.paths.items()}
    assert {name: fact.kind for name, fact in found.items()} == {
        "a text": "file",
        "large": "file",
        "secret": "file",
        "root": "directory",
        "link": "symlink",
        "fifo": "other",
        "empty": "file",
    }
    assert found["a text"].content == text.read_bytes()
    assert found["empty"].content == b""
    assert found["large"].content is None
    assert found["secret"].content is None
    for path in (text, large, secret, empty):
        assert found[path.name].sha256 == sha(path)
        assert found[path.name].size == path.stat().st_size
    assert found["secret"].mode == 0o600
    assert (found["root"].mode, found["root"].uid) == (0o750, os.getuid())


def test_folders_are_followed_to_where_they_are(
    probe_host: Callable[..., Facts], tmp_path: Path
) -> None:
    real, link = tmp_path / "far" / "real", tmp_path / "link"
    real.mkdir(parents=True)
    real.parent.chmod(0o777)
    link.symlink_to(real)
    file, file_link = tmp_path / "elsewhere" / "file", tmp_path / "file-link"
    file.parent.mkdir()
    file.touch()
    file_link.symlink_to(file)
    facts = probe_host(folders=(str(link), str(tmp_path), "/"), opaque=(str(file_link),))
    kinds = {path: fact.kind for path, fact in facts.paths.items()}
    assert kinds[str(link)] == kinds[str(file_link)] == "symlink"
    assert kinds[str(real)] == kinds[str(real.parent)] == kinds["/"] == "directory"
    assert facts.path(str(real.parent)).mode == 0o777
    assert str(file.parent) not in kinds


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_record_that_others_could_write_is_not_believed(
    probe_host: Callable[..., Facts], later: None, tmp_path: Path
) -> None:
    file, state = tmp_path / "file", tmp_path / "state"
    file.write_text("x")
    state.mkdir()
    probe_host(opaque=(str(file),))
    record = state / "digests"
    record.write_text(record.read_text().replace(sha(file), "ab" * 32))
    (state / "stamps").mkdir()
    (state / "stamps" / "a.service").write_text(f"{'ab' * 32} /x\n")
    (state / "images").write_text(f"{'ab' * 32} docker.io/library/x:1\n")
    seen = probe_host(opaque=(str(file),), units=("a.service",))
    assert seen.path(str(file)).sha256 == "ab" * 32
    assert seen.unit("a.service").stamp
    assert seen.image_archives
    for owner, mode in ((65534, 0o755), (0, 0o775), (0, 0o702)):
        os.chown(state, owner, owner)
        state.chmod(mode)
        seen = probe_host(opaque=(str(file),), units=("a.service",))
        assert seen.path(str(file)).sha256 == sha(file)
        assert not seen.unit("a.service").stamp
        assert not seen.image_archives


def test_a_record_is_not_believed_where_nothing_could_be_searched(
    probe_host: Callable[..., Facts],
    later: None,
    shell: list[str],
    tools: Tools,
    tmp_path: Path,
) -> None:
    """A host without find shows nothing of others', as an honest one."""
    if shell[0] == "busybox":
        pytest.skip("it has a find of its own")
    file, state = tmp_path / "file", tmp_path / "state"
    file.write_text("x")
    state.mkdir()
    probe_host(opaque=(str(file),))
    record = state / "digests"
    record.write_text(record.read_text().replace(sha(file), "ab" * 32))
    for why in ("exit 127", "kill -9 $$"):
        tools.add("find", why)
        assert probe_host(opaque=(str(file),)).path(str(file)).sha256 == sha(file)
    tools.remove("find")
    assert probe_host(opaque=(str(file),)).path(str(file)).sha256 == "ab" * 32


def test_what_stands_in_os_release_is_not_run(
    shell: list[str], tools: Tools, tmp_path: Path
) -> None:
    release = tmp_path / "os-release"
    release.write_text(
        f'NAME=$(touch {tmp_path}/ran)\nID=debian\nVERSION_ID="12"\n'
        f"ID_LIKE=x\ntouch {tmp_path}/ran\nexit 1\n"
    )
    code = script(Watchlist(state=str(tmp_path / "state")), "n").decode()
    code = code.replace("/etc/os-release", str(release))
    printed = tools.run([*shell, "-s"], code.encode()).stdout
    facts = parse(printed, nonce="n", sent=0, received=0)
    assert (facts.os_id, facts.os_version) == ("debian", "12")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", ["new content", "same size and mtime", "replaced"])
def test_only_what_changed_is_hashed_again(
    probe_host: Callable[..., Facts], later: None, tmp_path: Path, how: str
) -> None:
    (tmp_path / "state").mkdir()
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    watch = {"opaque": (str(one), str(two))}
    before = probe_host(**watch)
    record = tmp_path / "state" / "digests"
    # A digest that hashing would never give shows that the record is trusted.
    record.write_text(record.read_text().replace(sha(one), "ab" * 32))
    assert probe_host(**watch).paths[str(one)].sha256 == "ab" * 32
    times = two.stat()
    if how == "replaced":
        other = tmp_path / "other"
        other.write_text("3")
        other.rename(two)
    else:
        two.write_text("3" if "same" in how else "333")
    if "same" in how:
        os.utime(two, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = probe_host(**watch)
    assert after.paths[str(two)].sha256 == sha(two) != before.paths[str(two)].sha256
    assert after.paths[str(one)].sha256 == "ab" * 32
    assert probe_host(**watch, deep=True).paths[str(one)].sha256 == sha(one)
    assert probe_host(**watch).paths[str(one)].sha256 == sha(one)


def test_what_changed_just_now_is_not_recorded(
    probe_host: Callable[..., Facts], tmp_path: Path
) -> None:
    # Its next change may fall into the same tick of the file system's clock.
    (tmp_path / "state").mkdir()
    file = tmp_path / "file"
    file.write_text("x")
    probe_host(opaque=(str(file),))
    record = tmp_path / "state" / "digests"
    assert not record.exists() or str(file) not in record.read_text()


def test_nothing_is_written_where_fabnode_has_not_been(
    probe_host: Callable[..., Facts], later: None, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    probe_host(opaque=(str(file),))
    assert not (tmp_path / "state").exists()


def test_the_record_is_for_root_only(
    probe_host: Callable[..., Facts], later: None, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    file = tmp_path / "file"
    file.write_text("x")
    probe_host(opaque=(str(file),))
    assert (tmp_path / "state" / "digests").stat().st_mode & 0o777 == 0o600


def test_no_key_leaves_the_node(output: Callable[..., bytes], tmp_path: Path) -> None:
    pem, config, broken = tmp_path / "both.pem", tmp_path / "k.kubeconfig", tmp_path / "broken.pem"
    pem.write_text(KEY + CERT + KEY + CERT)
    broken.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n" + KEY)
    config.write_text(
        "clusters:\n- cluster:\n    server: https://192.0.2.1:6443\n"
        "users:\n- user:\n    client-key-data: U0VDUkVU\n    token: SECRETSECRET\n"
    )
    printed = output(
        certificates=(str(pem), str(broken), "/no/such.pem"), servers=(str(config), str(pem))
    )
    assert b"SECRET" not in printed
    assert b"U0VDUkVU" not in printed
    facts = parse(printed, nonce="nonce", sent=0, received=0)
    assert {path: found.pem for path, found in facts.certificates.items()} == {
        str(pem): CERT + CERT,
        str(broken): "",
    }
    assert facts.servers == {str(config): "https://192.0.2.1:6443"}


def test_pairs_that_others_could_write_are_reported(
    output: Callable[..., bytes], tmp_path: Path
) -> None:
    """A kubelet goes by a link: what it leads to counts."""
    paths = []
    for name, mode in {"own": 0o644, "group's": 0o620, "all's": 0o602}.items():
        pair, link = tmp_path / f"{name} 1.pem", tmp_path / f"{name} current.pem"
        pair.write_text(CERT + KEY)
        pair.chmod(mode)
        link.symlink_to(pair)
        paths.append(str(link))
    facts = parse(output(certificates=tuple(paths)), nonce="nonce", sent=0, received=0)
    assert facts.loose == set(paths[1:])


def test_the_ca_that_a_kubeconfig_trusts_is_reported(
    output: Callable[..., bytes], tmp_path: Path
) -> None:
    named, inside = tmp_path / "named", tmp_path / "inside"
    named.write_text("clusters:\n- cluster:\n    certificate-authority: /etc/ca.pem\n")
    data = base64.b64encode(CERT.encode()).decode()
    inside.write_text(f"clusters:\n- cluster:\n    certificate-authority-data: {data}\n")
    printed = output(servers=(str(named), str(inside)))
    facts = parse(printed, nonce="nonce", sent=0, received=0)
    assert facts.authorities == {str(named): "/etc/ca.pem", str(inside): CERT}
    assert facts.certificates == {}


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        "users:\n- user:\n    client-key-data: SECRETSECRET\n",
        "    token: SECRETSECRET\n",
        '{"auths": {"r": {"auth": "SECRETSECRET"}}}\n',
        'password = "SECRETSECRET"\n',
    ],
)
def test_a_text_that_holds_a_secret_stays_on_the_host(
    output: Callable[..., bytes], tmp_path: Path, secret: str
) -> None:
    """Another tool's kube-proxy.kubeconfig holds a key, at the path of ours, which holds none."""
    before, theirs, after = (tmp_path / name for name in ("a text", "theirs", "z"))
    before.write_text("client-key: /etc/kubernetes/pki/kube-proxy.pem\ntokenTTL: 1h\n")
    theirs.write_text(secret)
    after.write_text("x")
    printed = output(text=(str(before), str(theirs), str(after)))
    assert b"SECRET" not in printed
    assert base64.b64encode(secret.encode()).strip(b"=")[:-2] not in printed
    facts = parse(printed, nonce="nonce", sent=0, received=0)
    assert facts.path(str(theirs)).sha256 == sha(theirs)
    assert {Path(path).name: fact.content for path, fact in facts.paths.items()} == {
        "a text": before.read_bytes(),
        "theirs": None,
        "z": b"x",
    }


def test_the_client_certificate_that_a_kubeconfig_names_is_reported(
    output: Callable[..., bytes], tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("users:\n- user:\n    client-certificate: /etc/n1.pem\n    client-key: /k\n")
    facts = parse(output(servers=(str(config),)), nonce="nonce", sent=0, received=0)
    assert facts.clients == {str(config): "/etc/n1.pem"}


def test_units_and_their_stamps(
    probe_host: Callable[..., Facts], tools: Tools, tmp_path: Path
) -> None:
    tools.add(
        "systemctl",
        "printf 'Id=a.service\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\n'\n"
        "printf '\\nId=other-name.service\\nActiveState=failed\\nNeedDaemonReload=yes\\n'",
    )
    stamps = tmp_path / "state" / "stamps"
    stamps.mkdir(parents=True)
    (stamps / "a.service").write_text(f"{'ab' * 32} /etc/a b\n")
    facts = probe_host(units=("a.service", "b.service"))
    assert facts.unit("a.service").running
    assert facts.unit("a.service").stamp == {"/etc/a b": "ab" * 32}
    assert (facts.unit("b.service").active, facts.unit("b.service").reload) == ("failed", True)


def test_drop_ins_of_other_names_of_a_unit_are_read(
    probe_host: Callable[..., Facts], tools: Tools, tmp_path: Path
) -> None:
    """What systemd reads lies where it says: in a folder of an alias' name, among others."""
    folder = tmp_path / "alias.service.d"
    folder.mkdir()
    (first := folder / "a.conf").write_text("# not this\n[Service]\nExecStart=\n")
    (second := folder / "b.conf").write_text("[Service]\nUser=nobody\n")
    tools.add(
        "systemctl",
        f"printf 'Id=a.service\\nDropInPaths={first} {second} /gone.conf\\n'\n"
        f"printf '\\nId=b.service\\nDropInPaths={second}\\n'",
    )
    (tmp_path / "state" / "stamps").mkdir(parents=True)
    facts = probe_host(units=("a.service", "b.service"))
    assert facts.unit("a.service").drop_ins == (str(first), str(second), "/gone.conf")
    assert facts.config_files[str(first)] == ("[Service]", "ExecStart=")
    assert facts.config_files[str(second)] == ("[Service]", "User=nobody")
    assert facts.path(str(folder)).kind == "directory"
    assert facts.path(str(first)).kind == "file"


def test_systemd_is_asked_only_about_units_it_may_know(
    probe_host: Callable[..., Facts], tools: Tools
) -> None:
    probe_host(units=("nobody-ever-heard-of.service",))
    assert not [call for call in tools.calls_of("systemctl") if "show -p" in call]
    known = next(Path("/usr/lib/systemd/system").glob("*.service")).name
    probe_host(units=("nobody-ever-heard-of.service", known))
    (call,) = [call for call in tools.calls_of("systemctl") if "show -p" in call]
    assert call.endswith(f"-- nobody-ever-heard-of.service {known}")


MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /sys rw,nosuid,noexec shared:2 master:9 - sysfs sysfs rw
24 22 254:2 / /usr rw,relatime - ext4 /dev/vda2 rw
25 24 254:3 / /usr/local rw,noexec shared:4 - ext4 /dev/vda3 rw
26 24 254:4 / /usr/local rw,nodev shared:5 - ext4 /dev/vda4 rw
27 22 254:5 / /var/lib rw,noexec,nodev shared:6 - ext4 /dev/vda5 rw
28 22 254:6 / /opt\\040two rw,noexec shared:7 - ext4 /dev/vda6 rw
"""


@pytest.mark.parametrize(
    ("path", "options", "shared"),
    [
        ("/etc", {"rw", "relatime"}, True),
        ("/usr/local/bin", {"rw", "nodev"}, True),  # mounted twice: the last one counts
        ("/usr/lib", {"rw", "relatime"}, False),
        ("/usr", {"rw", "relatime"}, False),
        ("/usrx", {"rw", "relatime"}, True),
        ("/var/lib/kubelet", {"rw", "noexec", "nodev"}, True),
        ("/sys/fs", {"rw", "nosuid", "noexec"}, True),
        ("/opt", {"rw", "relatime"}, True),
    ],
)
def test_the_mount_that_a_folder_is_on(
    shell: list[str], tools: Tools, tmp_path: Path, path: str, options: set[str], shared: bool
) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTS)
    code = script(Watchlist(mounts=("/", path), state=str(tmp_path / "state")), "nonce")
    code = code.replace(b"/proc/1/mountinfo", bytes(file))
    done = tools.run([*shell, "-s"], code)
    facts = parse(done.stdout, nonce="nonce", sent=0, received=0)
    assert facts.mounts[path] == Mount(frozenset(options), shared)
    assert facts.mounts["/"] == Mount(frozenset({"rw", "relatime"}), shared=True)


@pytest.mark.parametrize("booted", [True, False])
def test_whether_systemd_is_the_init(
    shell: list[str], tools: Tools, tmp_path: Path, booted: bool
) -> None:
    folder = tmp_path / "systemd"
    if booted:
        folder.mkdir()
    code = script(Watchlist(state=str(tmp_path / "state")), "nonce")
    done = tools.run([*shell, "-s"], code.replace(b"/run/systemd/system ", bytes(folder) + b" "))
    facts = parse(done.stdout, nonce="nonce", sent=0, received=0)
    assert facts.booted is booted
    assert facts.kmsg is Path("/dev/kmsg").exists()


def test_features_of_the_kernel(probe_host: Callable[..., Facts]) -> None:
    loaded = next(iter(Path("/sys/module").iterdir())).name
    facts = probe_host(
        modules=(loaded, "no_such_module_at_all"),
        sysctls=("kernel.ostype", "no.such.key", "kernel.pid_max"),
    )
    assert facts.modules == {loaded}
    assert facts.missing_modules == {"no_such_module_at_all"}
    highest = Path("/proc/sys/kernel/pid_max").read_text().strip()
    assert len(highest) > 1
    assert facts.sysctls == {"kernel.ostype": "Linux", "kernel.pid_max": highest}
    assert facts.missing_sysctls == {"no.such.key"}


def test_a_module_that_can_be_loaded_is_neither_present_nor_missing(
    probe_host: Callable[..., Facts], tools: Tools, shell: list[str]
) -> None:
    if shell[0] == "busybox":
        pytest.skip("it has a modprobe of its own")
    tools.add("modprobe")
    facts = probe_host(modules=("no_such_module_at_all",))
    assert facts.modules == facts.missing_modules == frozenset()


def test_hostile_names_are_only_data(probe_host: Callable[..., Facts], tmp_path: Path) -> None:
    name = str(tmp_path / "x'; touch $(echo owned) `id` #")
    Path(name).write_text("fine")
    facts = probe_host(text=(name,))
    assert facts.paths[name].content == b"fine"
    assert not list(tmp_path.glob("**/owned"))


def test_this_machine_has_mtus(probe_host: Callable[..., Facts]) -> None:
    """Of its loopback, at least; interfaces of pods are not listed."""
    assert probe_host().mtus["lo"] == int(Path("/sys/class/net/lo/mtu").read_text())


def test_images_are_those_of_the_runtime_that_is_asked_about(
    probe_host: Callable[..., Facts], tools: Tools
) -> None:
    tools.add("docker", "printf 'calico/node:v3\\nregistry.k8s.io/pause:3\\n'")
    assert probe_host(store="docker").images == frozenset(
        {"calico/node:v3", "registry.k8s.io/pause:3"}
    )
    tools.add("docker", "exit 1")
    assert probe_host(store="docker").images is None  # it doesn't answer


def programs_without(folder: Path, lacking: set[str]) -> Path:
    """Return a folder with all programs that a node needs but these."""
    folder.mkdir()
    for tool in {*NEEDED} - lacking:
        (folder / tool).symlink_to(shutil.which(tool) or "/bin/true")
    return folder


def test_a_host_that_lacks_tools_is_not_taken_for_an_empty_one(
    shell: list[str], tools: Tools, tmp_path: Path
) -> None:
    """Without awk no certificate can be read; what else is missing is reported with it."""
    if shell[0] == "busybox":
        pytest.skip("it has all of them")
    here = programs_without(tmp_path / "bin", {"awk", "tar", "systemctl"})
    code = script(Watchlist(state=str(tmp_path / "state")), "n")
    path = f"{tools.folder}:{here}"
    command = [shutil.which(shell[0]) or "", *shell[1:], "-s"]
    done = subprocess.run(
        command, input=code, capture_output=True, env={"PATH": path}, timeout=60, check=True
    )
    with pytest.raises(LacksToolsError, match=r"^it has no awk, tar, which fabnode needs"):
        parse(done.stdout, nonce="n", sent=0, received=0)


def test_tools_that_are_needed_later_are_reported(
    shell: list[str], tools: Tools, tmp_path: Path
) -> None:
    if shell[0] == "busybox":
        pytest.skip("it has all of them")
    here = programs_without(tmp_path / "bin", {"find", "flock", "tar", "systemctl"})
    code = script(Watchlist(modules=("no_such_module_at_all",), state=str(tmp_path / "state")), "n")
    command = [shutil.which(shell[0]) or "", *shell[1:], "-s"]
    tools.remove("modprobe")
    done = subprocess.run(
        command,
        input=code,
        capture_output=True,
        env={"PATH": f"{tools.folder}:{here}"},
        timeout=60,
        check=True,
    )
    facts = parse(done.stdout, nonce="n", sent=0, received=0)
    assert facts.lacking == {"find", "flock", "tar", "modprobe"}
    assert facts.missing_modules == frozenset()
    assert not facts.tools


def replaced(code: bytes, old: str, new: Path | str) -> bytes:
    assert old.encode() in code
    return code.replace(old.encode(), str(new).encode())


@pytest.mark.parametrize(
    ("own", "resolved", "text", "link", "needs_resolved"),
    [
        ("nameserver 192.0.2.3\n", "nameserver 192.0.2.3\n", "nameserver 192.0.2.3\n", "", False),
        ("nameserver 127.0.0.53\n", "nameserver 192.0.2.3\n", "nameserver 127.0.0.53\n", "", True),
        ("nameserver 127.0.0.1\n", "nameserver 192.0.2.3\n", "nameserver 127.0.0.1\n", "", True),
        ("nameserver 127.0.0.1\n", "nameserver ::1\n", "nameserver 127.0.0.1\n", "", False),
        ("nameserver 127.0.0.1\n", None, "nameserver 127.0.0.1\n", "", False),
        (None, None, None, "", False),
        (None, "nameserver 192.0.2.3\n", None, "", True),
        (Path("/no/such/file"), None, None, "/no/such/file", False),
        (Path("/no/such/file"), "nameserver 192.0.2.3\n", None, "/no/such/file", True),
    ],
)
def test_resolv_conf_as_it_is(
    shell: list[str],
    tools: Tools,
    tmp_path: Path,
    own: str | Path | None,
    resolved: str | None,
    text: str | None,
    link: str,
    needs_resolved: bool,
) -> None:
    here, there = tmp_path / "own", tmp_path / "resolved"
    if isinstance(own, Path):
        here.symlink_to(own)
    elif own is not None:
        here.write_text(own)
    if resolved is not None:
        there.write_text(resolved)
    code = script(Watchlist(state=str(tmp_path / "state")), "n")
    code = replaced(code, "/etc/resolv.conf", here)
    code = replaced(code, "/run/systemd/resolve/resolv.conf", there)
    done = tools.run([*shell, "-s"], code)
    assert done.stderr == b""
    facts = parse(done.stdout, nonce="n", sent=0, received=0)
    assert (facts.resolv_conf, facts.resolv_link) == (text, link)
    assert facts.systemd_resolved == needs_resolved


def test_routes_and_networks_are_values(shell: list[str], tools: Tools, tmp_path: Path) -> None:
    if shell[0] == "busybox":
        pytest.skip("it has an ip of its own")
    tools.add("ip", "echo '2: stor0@if3    inet 172.20.5.1/24 brd 172.20.5.255 scope global stor0'")
    table = tmp_path / "route"
    rest = "0\t0\t0"
    table.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        f"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t{rest}\n"
        f"eth1\t000814AC\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t{rest}\n"
        f"cali1\t010814AC\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t{rest}\n"
    )
    code = replaced(script(Watchlist(state=str(tmp_path / "s")), "n"), "/proc/net/route", table)
    facts = parse(tools.run([*shell, "-s"], code).stdout, nonce="n", sent=0, received=0)
    assert facts.networks == (
        HostNetwork("stor0", IPv4Network("172.20.5.0/24"), IPv4Address("172.20.5.1")),
        HostNetwork("eth1", IPv4Network("172.20.8.0/24"), None, direct=False),
    )


def test_default_routes_of_ipv6_are_reported_with_who_made_them(
    shell: list[str], tools: Tools, tmp_path: Path
) -> None:
    nothing = "0" * 32
    settings, table = tmp_path / "conf", tmp_path / "ipv6_route"
    for name, value in (("all", ""), ("eth0", "1"), ("eth1", "2")):
        (settings / name).mkdir(parents=True)
        (settings / name / "accept_ra").write_text(f"{value}\n")
    (settings / "all" / "disable_ipv6").write_text("0\n")
    rest = f"{nothing} 00 fe80000000000000000000000000000f 00000400 00000001 00000000"
    table.write_text(
        f"{nothing} 00 {rest} 00450003     eth0\n"
        f"{nothing} 00 {rest} 00000003     eth1\n"
        f"{nothing} 00 {rest} 00200200       lo\n"
        f"fd000000000000000000000000000000 40 {rest} 00000001     eth0\n"
    )
    code = script(Watchlist(state=str(tmp_path / "s")), "n")
    for here, there in (("/proc/sys/net/ipv6/conf", settings), ("/proc/net/ipv6_route", table)):
        code = replaced(code, here, there)
    facts = parse(tools.run([*shell, "-s"], code).stdout, nonce="n", sent=0, received=0)
    assert facts.ipv6 == "on"
    assert facts.ipv6_defaults == (
        DefaultRoute("eth0", advertised=True, accept_ra=1),
        DefaultRoute("eth1", advertised=False, accept_ra=2),
    )
    (settings / "all" / "disable_ipv6").write_text("1\n")
    facts = parse(tools.run([*shell, "-s"], code).stdout, nonce="n", sent=0, received=0)
    assert facts.ipv6 == "off"
    (settings / "all" / "disable_ipv6").unlink()
    facts = parse(tools.run([*shell, "-s"], code).stdout, nonce="n", sent=0, received=0)
    assert (facts.ipv6, facts.ipv6_defaults) == ("absent", ())


def test_proxies_of_services_come_without_their_credentials(
    probe_host: Callable[..., Facts], tools: Tools
) -> None:
    tools.add(
        "systemctl",
        "[ $1 != show-environment ] || printf '%s\\n' LANG=C 'HTTPS_PROXY=http://me:pw@192.0.2.1:3128'"
        " \"no_proxy=\\$'a,b'\" PROXY_COMMAND=x",
    )
    assert probe_host().proxies == {"HTTPS_PROXY": "http://192.0.2.1:3128", "no_proxy": "a,b"}


@pytest.mark.parametrize("hook", ["input", "forward"])
def test_rules_of_a_firewall_that_admits_all_are_not_reported(
    probe_host: Callable[..., Facts], tools: Tools, hook: str
) -> None:
    tools.add(
        "nft",
        "case $2 in chains) cat <<'E'\n"
        f"table inet fw {{\n\tchain in {{\n\t\ttype filter hook {hook} priority 0; policy POLICY;\n"
        "\t}\n}\nE\n;; *) echo 'table inet fw {';"
        f" echo 'type filter hook {hook}; policy POLICY;';; esac",
    )
    assert probe_host().firewall == ()
    stand_in = tools.folder / "nft"
    stand_in.write_text(stand_in.read_text().replace("POLICY", "drop"))
    assert probe_host().firewall == (
        ("nft", "table inet fw {"),
        ("nft", f"type filter hook {hook}; policy drop;"),
    )
    assert "nft list table inet fw" in tools.calls


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_folders_that_can_not_be_written_in(
    probe_host: Callable[..., Facts], shell: list[str], tmp_path: Path
) -> None:
    if shell[0] == "busybox":
        pytest.skip("its test -w asks the mode alone, so a failed change tells it")
    fixed, free = tmp_path / "fixed", tmp_path / "free"
    fixed.mkdir()
    free.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(fixed)], check=True)
    try:
        facts = probe_host(
            writable=(str(fixed), str(fixed / "below"), str(free), str(free / "below"))
        )
    finally:
        subprocess.run(["umount", str(fixed)], check=True)
    assert facts.readonly == {str(fixed), str(fixed / "below")}


def test_controllers_of_this_kernel(probe_host: Callable[..., Facts]) -> None:
    assert {"cpu", "memory"} <= probe_host().controllers


@only_root
@pytest.mark.parametrize("way", [*WAYS, "roots", ""])
def test_a_client_that_others_may_have_written_is_named_and_not_run(
    probe_host: Callable[..., Facts],
    tools: Tools,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    monkeypatch.setattr(layout, "CONTAINERD_SOCKET", str(tmp_path / "s"))
    ctr = tools.folder / "ctr"
    tools.add("ctr", "echo docker.io/library/x:1")
    (tools.folder / "calls.log").touch()
    give_away(ctr, way)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        facts = probe_host(ctr=str(ctr))
    if way in {"roots", ""}:
        assert facts.untrusted == frozenset()
        assert facts.images == frozenset({"docker.io/library/x:1"})
    else:
        assert facts.untrusted == {str(ctr)}
        assert facts.images is None
        assert tools.calls_of("ctr") == []
