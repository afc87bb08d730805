"""Files of others that override what fabnode sets, found by the probe's script on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node import config_files, unit_files
from fabnode.node.conventions import LOCAL_PROGRAMS
from fabnode.node.facts import Named, Watchlist
from fabnode.remote.limits import OTHERS
from fabnode.remote.probe import script
from fabnode.remote.probe_output import parse

from .local import BUSYBOX, SHELLS, WAYS, Tools, give_away, only_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fabnode.node.facts import Facts


@pytest.fixture(params=[*SHELLS, BUSYBOX])
def shell(request: pytest.FixtureRequest) -> list[str]:
    shell: list[str] = request.param
    return shell


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that takes the place of / where files of settings are searched."""
    root = tmp_path / "root"
    monkeypatch.setattr(unit_files, "FOLDERS", [f"{root}{path}" for path in unit_files.FOLDERS])
    monkeypatch.setattr(config_files, "SYSCTL_FILE", f"{root}/etc/sysctl.conf")
    for name in ("FSTAB", "NETWORK_MANAGER", "NETWORK_MANAGER_FILE", "NETWORKD"):
        monkeypatch.setattr(config_files, name, f"{root}{getattr(config_files, name)}")
    folders_of = ("SYSCTL", "MODPROBE", "NETWORK_MANAGER", "NETWORKD")
    for name in (f"{each}_FOLDERS" for each in folders_of):
        folders = [f"{root}{path}" for path in getattr(config_files, name)]
        monkeypatch.setattr(config_files, name, folders)
    return root


@pytest.fixture
def probe_host(shell: list[str], root: Path, tmp_path: Path) -> Callable[..., Facts]:
    tools = Tools(tmp_path / "tools")
    tools.add("systemctl")

    def run(**watch: Any) -> Facts:
        code = script(
            Watchlist(
                state=str(tmp_path / "state"),
                cni_conf=str(root / "etc/cni/net.d"),
                local_programs=tuple(f"{root}{each}" for each in LOCAL_PROGRAMS),
                **watch,
            ),
            "n",
        )
        done = tools.run([*shell, "-s"], code)
        assert (done.returncode, done.stderr) == (0, b"")
        return parse(done.stdout, nonce="n", sent=0, received=0)

    return run


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_drop_ins_are_found_in_each_folder_before_the_unit_exists(
    probe_host: Callable[..., Facts], root: Path
) -> None:
    text = "# a comment\n\n[Service]\n; another\nExecStart=\nExecStart=/x \\\n  --y=1\t2\n"
    lines = ("[Service]", "ExecStart=", "ExecStart=/x \\", "  --y=1 2")
    names = ("kube-proxy.service.d", "kube-.service.d", "service.d")
    paths = [
        write(Path(folder) / name / f"{name}.conf", text)
        for folder in unit_files.FOLDERS
        for name in names
    ]
    for name in (
        "kube-proxy.service.d/x.txt",
        "kubelet.service.d/x.conf",
        "proxy.service.d/x.conf",
    ):
        write(root / "etc/systemd/system" / name, text)
    facts = probe_host(units=("kube-proxy.service",))
    assert facts.config_files == dict.fromkeys(paths, lines)
    assert facts.path(paths[0]).kind == "file"
    assert facts.path(str(Path(paths[0]).parent)).kind == "directory"


@only_root
@pytest.mark.parametrize("whose", ["root's", "the link", "the file", "its folder"])
def test_a_drop_in_that_leads_into_somebodys_folder_is_named(
    probe_host: Callable[..., Facts], root: Path, whose: str
) -> None:
    drop_ins = root / "etc/systemd/system/a.service.d"
    drop_ins.mkdir(parents=True)
    target = Path(write(root / "elsewhere/post.conf", "[Service]\nExecStartPost=/x\n"))
    link = drop_ins / "post.conf"
    link.symlink_to(target)
    (drop_ins / "null.conf").symlink_to("/dev/null")
    others = {"the link": link, "the file": target, "its folder": target.parent}
    if whose in others:
        os.chown(others[whose], 65534, 65534, follow_symlinks=False)
    facts = probe_host(units=("a.service",))
    assert facts.untrusted == ({str(link)} if whose in others else frozenset())


UNIT = """[Service]
# ExecStartPre=HOME/unread/a
EnvironmentFile=-HOME/env/*.env
EnvironmentFile=HOME/env/none
ExecStartPre=-@"HOME/pre/run1" HOME/none --x=HOME/unread/b
ExecStartPre=+!/bin/sh -c 'test ! -e HOME/none || \\
  exec HOME/exec/run2 >/dev/null'
ExecStart=/usr/bin/sleep $X 9
 ExecStop = HOME/stop/run3; /usr/bin/true
"""
RUNS = ("pre/run1", "exec/run2", "stop/run3")


@only_root
@pytest.mark.parametrize(
    ("where", "way"),
    [("a.service", "file"), *(("a.service.d/x.conf", way) for way in (*WAYS, "roots", ""))],
)
def test_what_units_name_is_judged_by_who_may_change_it(
    probe_host: Callable[..., Facts], root: Path, tmp_path: Path, where: str, way: str
) -> None:
    by = write(root / "etc/systemd/system" / where, UNIT.replace("HOME", str(tmp_path)))
    for name in (*RUNS, "env/x.env", "unread/a", "unread/b"):
        give_away(Path(write(tmp_path / name, "")), way)
    runs = [Named(f"{tmp_path}/{name}", by, runs=True) for name in RUNS]
    # Where others may put further files, it is the folder.
    env = "env" if way in {"folder", "sticky"} else "env/x.env"
    goes_by = [Named(f"{tmp_path}/{env}", by, runs=False)]
    expected = () if way in {"roots", ""} else (*runs, *goes_by)
    found = probe_host(units=("a.service",)).of_others
    assert sorted(found, key=str) == sorted(expected, key=str)


@only_root
@pytest.mark.parametrize("way", [*WAYS, "roots", ""])
@pytest.mark.parametrize("deep", ["", "vendor~driver/"])
def test_what_lies_where_the_kubelets_settings_lead_is_judged(
    probe_host: Callable[..., Facts], tmp_path: Path, way: str, deep: str
) -> None:
    folder = tmp_path / "folder"
    file = Path(write(folder / f"{deep}file", ""))
    give_away(file, way)
    inner = file.parent if way in {"folder", "sticky"} else file
    if way == "way":  # a folder on the way to where the link leads
        inner = Path(f"{file.parent.parent}/file is there/bin")
    for runs in (True, False):
        found = probe_host(obeyed=(Named(str(folder), "setting", runs),)).of_others
        if way in {"roots", ""}:
            assert found == ()
        else:
            assert {(each.by, each.runs) for each in found} == {("setting", runs)}
            assert str(inner) in {each.path for each in found}


@only_root
def test_a_setting_that_names_a_file_or_what_is_not_there_is_judged(
    probe_host: Callable[..., Facts], tmp_path: Path
) -> None:
    file = Path(write(tmp_path / "etc/providers.yaml", ""))
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, 65534)
    paths = (str(file), str(tmp_path / "none"), str(tmp_path / "home/pods"))
    obeyed = tuple(Named(path, "setting", runs=False) for path in paths)
    assert probe_host(obeyed=obeyed).of_others == obeyed[2:]
    file.chmod(0o664)
    assert probe_host(obeyed=obeyed).of_others == (obeyed[0], obeyed[2])


@only_root
@pytest.mark.parametrize("way", [*WAYS, "roots", ""])
def test_programs_that_are_found_before_the_systems_are_judged(
    probe_host: Callable[..., Facts], root: Path, way: str
) -> None:
    folder = root / "usr/local/sbin"
    names = ("mount", "conntrack", "unheard-of")
    for name in names:
        give_away(Path(write(folder / name, "")), way)
    expected = {f"{folder}/{name}" for name in names[:2]}
    if way in {"folder", "sticky"}:
        expected = {str(folder)}
    found = probe_host().of_others
    assert {each.path for each in found} == (set() if way in {"roots", ""} else expected)
    assert {(each.by, each.runs) for each in found} <= {("PATH", True)}


@only_root
def test_a_unit_that_names_too_much_is_reported_in_as_many_words_as_are_read(
    probe_host: Callable[..., Facts], root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    lines = [f"ExecStartPre=/usr/bin/{n}\n" for n in range(200)]
    by = write(root / "etc/systemd/system/a.service", "".join([*lines, f"ExecStop={folder}/x\n"]))
    assert probe_host(units=("a.service",)).of_others == (Named(by, by, runs=False),)
    write(Path(by), "".join(f"ExecStartPre={folder}/{n}\n" for n in range(OTHERS + 2)))
    assert len(probe_host(units=("a.service",)).of_others) == OTHERS


def test_masks_and_strange_names_are_reported_as_they_are(
    probe_host: Callable[..., Facts], root: Path
) -> None:
    folder = root / "etc/systemd/system"
    drop_ins = folder / "a.service.d"
    drop_ins.mkdir(parents=True)
    for path in (folder / "b.service", drop_ins / "null.conf"):
        path.symlink_to("/dev/null")
    (drop_ins / "dangling.conf").symlink_to(root / "nothing")
    (drop_ins / "link.conf").symlink_to(write(root / "elsewhere", "[Service]\nUser=x\n"))
    strange = write(drop_ins / "$(id) * '.conf", "Restart=no\n" + "x" * 90_000)
    facts = probe_host(units=("a.service", "b.service"))
    assert facts.config_files == {
        str(folder / "b.service"): (),
        str(drop_ins / "null.conf"): (),
        str(drop_ins / "link.conf"): ("[Service]", "User=x"),
        strange: ("Restart=no", "x" * 4000),
    }


def test_of_settings_of_the_kernel_those_asked_for_are_read(
    probe_host: Callable[..., Facts], root: Path
) -> None:
    text = (
        "# x\nnet.ipv4.ip_forward = 0\nnet/ipv4/ip_forward=1\nvm.swappiness=1\n-kernel.x = 2\n"
        "net.ipv4.conf.all.forwarding=0\n"
    )
    lines = (
        *("net.ipv4.ip_forward = 0", "net/ipv4/ip_forward=1", "-kernel.x = 2"),
        "net.ipv4.conf.all.forwarding=0",
    )
    files = {
        write(root / "etc/sysctl.d/a.conf", text): lines,
        write(root / "usr/lib/sysctl.d/b.conf", "vm.swappiness = 1\n"): (),
        write(root / "etc/sysctl.conf", text): lines,
        write(root / "etc/fstab", "/dev/a / ext4 x 0 1\n/dev/b none swap sw 0 0\n"): (
            "/dev/b none swap sw 0 0",
        ),
        write(
            root / "usr/lib/modprobe.d/c.conf",
            "install br-netfilter /bin/false\nblacklist overlay\nblacklist overlayx\n"
            "options overlay x=1\n",
        ): ("install br-netfilter /bin/false", "blacklist overlay"),
    }
    watch = {"sysctls": ("net.ipv4.ip_forward", "kernel.x"), "modules": ("br_netfilter", "overlay")}
    assert probe_host(**watch).config_files == files


def test_what_containerd_imports_and_docker_takes_variables_from_is_read(
    probe_host: Callable[..., Facts], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = (f"{root}/etc/default/docker", f"{root}/etc/sysconfig/docker")
    monkeypatch.setattr(config_files, "CONTAINERD_IMPORTS", f"{root}/etc/containerd/conf.d")
    monkeypatch.setattr(config_files, "DOCKER_VARIABLES", variables)
    imported = write(root / "etc/containerd/conf.d/a.toml", '# x\nversion = 3\nroot = "/x"\n')
    write(root / "etc/containerd/conf.d/a.toml.bak", "version = 3\n")
    write(Path(variables[0]), "#DOCKER_OPTS=\nDOCKER_OPTS=-D\n")
    files = {imported: ("version = 3", 'root = "/x"')}
    facts = probe_host(units=("containerd.service",))
    assert facts.config_files == files
    assert facts.path(imported).kind == "file"
    assert facts.path(str(Path(imported).parent)).kind == "directory"
    seen = probe_host(units=("docker.service",)).config_files
    assert seen == {**files, variables[0]: ("DOCKER_OPTS=-D",)}


def test_of_networks_only_the_names_are_reported(
    probe_host: Callable[..., Facts], root: Path
) -> None:
    folder = root / "etc/cni/net.d"
    names = ("a.conf", "b.conflist", "c.json")
    paths = [write(folder / name, '{"token": "secret"}\n') for name in names]
    write(folder / "calico-kubeconfig", "secret\n")
    assert probe_host().config_files == dict.fromkeys(paths, ())


def test_what_else_manages_networks_is_seen_while_it_runs(
    probe_host: Callable[..., Facts], root: Path
) -> None:
    file = write(root / "etc/NetworkManager/conf.d/a.conf", "[keyfile]\nunmanaged-devices=cali*\n")
    match = "[Match]\nName=*\n[Network]\nDHCP=yes\n"
    network = write(root / "etc/systemd/network/50-all.network", match)
    assert probe_host().config_files == {}
    (root / "run/NetworkManager").mkdir(parents=True)
    write(root / "run/systemd/netif/state", "")
    seen = probe_host().config_files
    assert seen[f"{root}/run/NetworkManager"] == ()
    assert seen[file] == ("unmanaged-devices=cali*",)
    assert seen[network] == ("[Match]", "Name=*", "[Network]")


def test_swap_units_are_seen_with_who_made_them(
    probe_host: Callable[..., Facts], root: Path
) -> None:
    wanted = ("Documentation=man:zram-generator(8)", "What=/dev/zram0")
    text = "\n".join(("# made by zram-generator", "[Unit]", wanted[0], "[Swap]", wanted[1], ""))
    unit = write(root / "run/systemd/generator/dev-zram0.swap", text)
    assert probe_host().config_files[unit] == wanted
