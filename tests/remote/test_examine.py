"""What `inv audit` examines, run for real on this machine."""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fabnode.audit.answerer import serving
from fabnode.audit.credentials import public_der
from fabnode.audit.settings import Settings
from fabnode.node.examination import Evidence, Provenance, Serving
from fabnode.remote.audit_output import parse
from fabnode.remote.examine import script

from ..support import authority, pem
from .local import BUSYBOX, SHELLS, Tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

CERT = pem(authority()[0]).decode()
RULES = """\
-P INPUT ACCEPT
-N KUBE-SERVICES
-A INPUT -j ACCEPT
-A INPUT -j ACCEPT
-A PREROUTING -m comment --comment x -j KUBE-SERVICES
-A KUBE-SERVICES -j RETURN
"""


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    tools = Tools(tmp_path / "tools")
    units, pids, starts = (tmp_path / name for name in ("systemctl", "pids", "starts"))
    tools.add(
        "systemctl",
        f'case $* in *"-p MainPID --"*) cat {pids} ;; *ExecStart*)'
        f" for unit; do :; done; cat {starts}/$unit ;; *) cat {units} ;; esac 2>/dev/null; :",
    )
    tools.add("iptables", f"cat {tmp_path}/rules")
    (tmp_path / "rules").write_text(RULES)
    return tools


@pytest.fixture(params=[*SHELLS, BUSYBOX])
def shell(request: pytest.FixtureRequest) -> list[str]:
    shell: list[str] = request.param
    return shell


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to be searched that only root rules, like /etc."""
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@pytest.fixture
def output(shell: list[str], tools: Tools, root: Path, tmp_path: Path) -> Callable[[], bytes]:
    def run() -> bytes:
        code = script(
            "nonce",
            state=str(tmp_path / "state"),
            roots=[str(root)],
            users=[str(tmp_path / "units")],
            cni_bin=str(root / "cni"),
            cni_conf=str(root / "net.d"),
            runtime=[str(root / "sbin"), str(root / "bin")],
            systemd=[str(root / "systemd")],
            local=[str(root / "local/sbin"), str(root / "local/bin")],
        )
        result = tools.run([*shell, "-s"], code, timeout=120)
        assert (result.returncode, result.stderr) == (0, b"begin\tnonce\n")
        return result.stdout

    return run


@pytest.fixture
def parsed(root: Path, tmp_path: Path) -> Callable[[bytes], Evidence]:
    def run(printed: bytes) -> Evidence:
        return parse(printed, nonce="nonce", roots=[str(root)], state=str(tmp_path / "state"))

    return run


@pytest.fixture
def examine_host(
    output: Callable[[], bytes], parsed: Callable[[bytes], Evidence]
) -> Callable[[], Evidence]:
    def run() -> Evidence:
        return parsed(output())

    return run


def private(
    key: PrivateKeyTypes, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8
) -> str:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()


def der(key: PrivateKeyTypes) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


@pytest.mark.parametrize(("mode", "expected"), [(0o755, {}), (0o777, "it")])
def test_programs_of_units_that_others_may_write_are_named(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path, mode: int, expected: object
) -> None:
    program = root / "kubelet"
    program.write_text("#!/bin/sh\n")
    program.chmod(mode)
    starts = tmp_path / "starts"
    starts.mkdir()
    shown = f"ExecStart={{ path={program} ; argv[]={program} --v=2 ; ignore_errors=no ; }}\n"
    (starts / "kubelet.service").write_text(shown)
    named = {"kubelet.service": (str(program),)} if expected else {}
    assert examine_host().unguarded == named


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o757])
def test_what_a_runtime_runs_is_root_as_well(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path, mode: int
) -> None:
    """A shim, runc and the network's plugins are run at each pod's start, by no unit of theirs."""
    names = ("bin/containerd", "sbin/runc", "bin/containerd-shim-runc-v2", "bin/ctr", "cni/calico")
    for name in (*names, "cni/loopback"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(mode if name in names else 0o755)
    starts = tmp_path / "starts"
    starts.mkdir()
    shown = f"ExecStart={{ path={root}/bin/containerd ; argv[]=x ; ignore_errors=no ; }}\n"
    (starts / "containerd.service").write_text(shown)
    named = examine_host().unguarded.get("containerd.service", ())
    assert set(named) == (set() if mode == 0o755 else {f"{root}/{name}" for name in names})


def test_plugins_in_a_folder_of_others_are_whatever_they_wish(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path
) -> None:
    (root / "cni").mkdir()
    (root / "cni").chmod(0o777)
    starts = tmp_path / "starts"
    starts.mkdir()
    shown = "ExecStart={ path=/bin/sh ; argv[]=x ; ignore_errors=no ; }\n"
    (starts / "containerd.service").write_text(shown)
    assert examine_host().unguarded == {"containerd.service": (f"{root}/cni",)}


def test_a_runtimes_programs_beyond_the_most_are_reported(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path
) -> None:
    (root / "cni").mkdir()
    for number in range(21):
        (root / "cni" / f"p{number}").touch()
        (root / "cni" / f"p{number}").chmod(0o777)
    starts = tmp_path / "starts"
    starts.mkdir()
    shown = "ExecStart={ path=/bin/sh ; argv[]=x ; ignore_errors=no ; }\n"
    (starts / "containerd.service").write_text(shown)
    it = examine_host()
    assert len(it.unguarded["containerd.service"]) == 20
    assert "containerd.service: programs of others beyond the first 20" in it.limited


CONTAINERD = """
version = 2 # ROOT/unnamed/comment
imports = [
  "conf.d/*.toml", # 'ROOT/unnamed/second'
]
root = 'ROOT/data'
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dirs = [ "ROOT/cni.d",
    'ROOT/cni.e' ]
  conf_dir = "ROOT//net"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.x]
  runtime_type = "io.containerd.kata.v2"
  runtime_path = "ROOT/shims/kata"
  options = { BinaryName = "ROOT/crun", "Root" = "ROOT/runc.root" }
  base_runtime_spec = "ROOT/spec.json"
[plugins."io.containerd.nri.v1.nri"]
  plugin_path = "ROOT/nri"
[stream_processors."x"]
  path = "decoder"
"""
IMPORTED = "[plugins.x.runtimes.y.options]\n  options.BinaryName = 'ROOT/not-there-yet/y'\n"
RUNS = {"cni.d/a", "cni.e/b", "shims/kata", "crun", "nri/plugin", "bin/decoder", "bin/crictl"}
RUNS |= {"bin/containerd-shim-kata-v2"}
GOES_BY = {"data", "net/x.conflist", "runc.root", "spec.json"}


@pytest.mark.parametrize("others", [True, False])
def test_what_a_runtimes_configuration_names_is_judged(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path, others: bool
) -> None:
    """Also in what it imports, and where others may put what is not there yet."""
    for name in (*RUNS, *GOES_BY, "unnamed/comment", "unnamed/second"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if name in {"data", "runc.root"} else path.touch()
        path.chmod(0o777 if others or "unnamed" in name else 0o755)
    (root / "conf.d").mkdir()
    (root / "not-there-yet").mkdir()
    (root / "not-there-yet").chmod(0o777 if others else 0o755)
    (root / "config.toml").write_text(CONTAINERD.replace("ROOT", str(root)))
    (root / "conf.d/x.toml").write_text(IMPORTED.replace("ROOT", str(root)))
    start(tmp_path, "containerd.service", f"/bin/sh --config {root}/config.toml")
    it = examine_host()
    runs = {f"{root}/{name}" for name in (*RUNS, "not-there-yet/y") if others}
    assert set(it.unguarded.get("containerd.service", ())) == runs
    goes_by = {f"{root}/{name}" for name in GOES_BY if others}
    assert set(it.swayed.get("containerd.service", ())) == goes_by
    assert not it.limited


@pytest.mark.parametrize("path", ["", "PATH=/usr/sbin:/usr/bin"])
@pytest.mark.parametrize("unit", ["kubelet", "kube-proxy", "containerd"])
def test_programs_that_are_found_before_the_systems_are_judged(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path, unit: str, path: str
) -> None:
    """Whoever may change them is root as soon as a unit, or a plugin of its, calls them."""
    (root / "local/sbin").mkdir(parents=True)
    for name in ("mount", "conntrack", "crun", "unheard-of"):
        (root / "local/sbin" / name).touch()
        (root / "local/sbin" / name).chmod(0o775)
    start(tmp_path, f"{unit}.service", "/bin/sh /x", *([f"Environment={path}"] if path else []))
    found = examine_host().unguarded.get(f"{unit}.service", ())
    called = {f"{root}/local/sbin/{name}" for name in ("mount", "conntrack", "crun")}
    assert set(found) == (set() if path else called)


def start(tmp_path: Path, unit: str, command: str, *more: str) -> None:
    """Have systemd say that it starts a unit so. :param more: further lines of what it says."""
    (tmp_path / "starts").mkdir(exist_ok=True)
    (tmp_path / "pids").write_text("MainPID=0\n" * 7)
    program = command.split()[0]
    shown = f"ExecStart={{ path={program} ; argv[]={command} ; ignore_errors=no ; }}"
    (tmp_path / "starts" / unit).write_text("\n".join([shown, *more, ""]))


def test_configurations_of_runtimes_that_others_may_write_are_not_read(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path
) -> None:
    (root / "conf.d").mkdir()
    for name in ("config.toml", "daemon.json"):
        (root / name).write_text(f"root = '{root}/data'\nimports = ['{root}/conf.d/*']")
        (root / name).chmod(0o666)
    (root / "conf.d").chmod(0o777)
    start(tmp_path, "containerd.service", f"/bin/sh -c {root}/config.toml")
    start(tmp_path, "docker.service", f"/bin/sh --config-file={root}/daemon.json")
    (root / "data").mkdir(mode=0o777)
    it = examine_host()
    assert it.swayed == {"containerd.service": (f"{root}/config.toml",)}
    (root / "config.toml").chmod(0o644)
    assert set(examine_host().swayed["containerd.service"]) == {f"{root}/conf.d"}


def test_runtimes_of_docker_and_plugins_of_its_adapter_are_judged(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path
) -> None:
    names = ("nvidia", "init", "kata", "plugins/a", "adapter")
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
        (root / name).chmod(0o757)
    (root / "daemon.json").write_text(
        f'{{"init-path": "{root}/init", "runtimes": {{"n": {{"path":\n "{root}/nvidia"}}}}}}'
    )
    words = f"dockerd --config-file={root}/daemon.json --add-runtime k={root}/kata"
    start(tmp_path, "docker.service", f"/bin/sh {words}")
    adapter = f"{root}/adapter --cni-bin-dir={root}/plugins,{root}/none"
    start(tmp_path, "cri-dockerd.service", adapter)
    it = examine_host()
    docker = {f"{root}/{name}" for name in ("init", "nvidia", "kata")}
    assert set(it.unguarded["docker.service"]) == docker
    assert set(it.unguarded["cri-dockerd.service"]) == {f"{root}/plugins/a", f"{root}/adapter"}


@pytest.mark.parametrize("way", ["file", "folder", "not there", "link"])
def test_what_sets_a_units_environment_and_what_its_shell_runs_are_judged(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path, way: str
) -> None:
    """By its environment a program is given libraries and flags."""
    folder = root / "default"
    folder.mkdir()
    script, variables, glob = folder / "run.sh", folder / "kubelet", folder / "a.env"
    for path in (script, glob, *([] if way == "not there" else [variables])):
        path.touch()
    if way == "link":
        (root / "loose").mkdir()
        (root / "loose").chmod(0o777)
        for path in (script, variables):
            path.rename(root / "own")
            (root / "loose" / path.name).symlink_to("../own")
            path.symlink_to(root / "loose" / path.name)
    elif way == "file":
        script.chmod(0o777)
        variables.chmod(0o662)
        glob.chmod(0o662)
    else:
        folder.chmod(0o775)
    more = [
        f"ExecStopPost={{ path=/bin/sh ; argv[]=/bin/sh -c {script}; true ; ignore_errors=no ; }}",
        f"EnvironmentFiles={variables} (ignore_errors=yes)",
        f"EnvironmentFiles={folder}/*.env (ignore_errors=no)",
    ]
    start(tmp_path, "kube-proxy.service", "/bin/sh /x", *more)
    it = examine_host()
    assert it.unguarded == {"kube-proxy.service": (str(script),)}
    named = {"file": {variables, glob}, "link": {variables}}.get(way, {folder})
    assert set(it.swayed["kube-proxy.service"]) == set(map(str, named))


def test_units_that_others_may_write_are_reported(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path
) -> None:
    units = root / "systemd"
    (units / "x.service.d").mkdir(parents=True)
    for name in ("a.service", "b.service", "x.service.d/10.conf"):
        (units / name).touch()
    (units / "masked.service").symlink_to("/dev/null")
    (units / "gone.service").symlink_to(root / "gone.service")
    (units / "alias.service").symlink_to("b.service")
    assert examine_host().swayed == {}
    (units / "a.service").chmod(0o666)
    (units / "x.service.d").chmod(0o777)
    (root / "own").mkdir()
    (root / "own/c.service").touch()
    (root / "loose").mkdir()
    (root / "loose").chmod(0o777)
    (root / "loose/c.service").symlink_to("../own/c.service")
    (units / "c.service").symlink_to("../loose/c.service")
    named = {f"{units}/a.service", f"{units}/x.service.d", f"{root}/loose"}
    it = examine_host().swayed["systemd"]
    assert set(it) == {*named, f"{root}/loose/c.service"}


def test_systemctl_that_does_not_answer_is_no_host_without_a_kubelet(
    examine_host: Callable[[], Evidence], tmp_path: Path
) -> None:
    (tmp_path / "pids").write_text("MainPID=0\n" * 6)
    assert any("which programs run" in each for each in examine_host().limited)
    (tmp_path / "pids").write_text("MainPID=0\n" * 7)
    assert not any("which programs run" in each for each in examine_host().limited)


def test_where_processes_can_t_be_counted_nobody_s_use_is_known(
    examine_host: Callable[[], Evidence], root: Path, tools: Tools
) -> None:
    (root / "k.pem").write_text(private(ec.generate_private_key(ec.SECP256R1())))
    assert examine_host().users_known
    awk = shutil.which("awk")
    tools.add("awk", f'case $* in *NSpid*) exit 2 ;; esac; exec {awk} "$@"')
    assert not examine_host().users_known


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_keys_public_half_is_reported_and_nothing_else_of_it(
    parsed: Callable[[bytes], Evidence],
    output: Callable[[], bytes],
    root: Path,
    kind: str,
    form: str,
) -> None:
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "ec"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    text = private(key, getattr(serialization.PrivateFormat, form))
    (root / "a key.pem").write_text(f"{CERT}{text}")
    (root / "a key.pem").chmod(0o644)
    printed = output()
    file = parsed(printed).files[str(root / "a key.pem")]
    assert [public_der(public) for public in file.keys] == [der(key)]
    assert file.certificates == (CERT.strip(),)
    assert file.mode == 0o644
    # An RSA key begins with its modulus, which is public.
    for line in text.splitlines()[8 if kind == "rsa" else 1 : -1]:
        assert line.encode() not in printed


def test_a_key_that_cannot_be_read_is_reported_as_such(
    examine_host: Callable[[], Evidence], root: Path, tools: Tools
) -> None:
    tools.add("openssl", "exit 1")
    (root / "key").write_text(private(ed25519.Ed25519PrivateKey.generate()))
    assert examine_host().files[str(root / "key")].keys == ("",)


@pytest.mark.parametrize("form", ["yaml", "yaml in quotes", "json"])
def test_kubeconfigs(
    parsed: Callable[[bytes], Evidence], output: Callable[[], bytes], root: Path, form: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    data = base64.b64encode(private(key).encode()).decode()
    user = {
        "client-certificate-data": base64.b64encode(CERT.encode()).decode(),
        "client-key-data": data,
        "token": "d18f94b5fa585c7123f56803d925d2e7",
    }
    if form == "json":
        inner = ",".join(f'"{k}":"{v}"' for k, v in user.items())
        text = f'{{"kind":"Config","clusters":[],"users":[{{"name":"x","user":{{{inner}}}}}]}}'
    else:
        quote = "'" if "quotes" in form else ""
        inner = "".join(f"    {k}: {quote}{v}{quote}\n" for k, v in user.items())
        text = f"kind: Config\nclusters: []\nusers:\n- name: x\n  user:\n{inner}"
    (root / "config").write_text(text)
    printed = output()
    file = parsed(printed).files[str(root / "config")]
    assert file.kubeconfig
    assert [public_der(public) for public in file.keys] == [der(key)]
    assert file.certificates == (CERT.strip(),)
    assert file.tokens == ("static",)
    assert data[:40].encode() not in printed
    assert b"d18f94b5" not in printed


@pytest.mark.parametrize(
    ("token", "kind"),
    [("abcdef.0123456789abcdef", "bootstrap"), ("eyJhbGci.eyJpc3Mi.c2ln", "jwt"), ("x", "static")],
)
def test_tokens_are_counted_by_kind(
    examine_host: Callable[[], Evidence], root: Path, token: str, kind: str
) -> None:
    (root / "c").write_text(f"kind: Config\nclusters: []\nusers:\n- user: {{token: {token}}}\n")
    assert examine_host().files[str(root / "c")].tokens == (kind,)


def test_token_lists(examine_host: Callable[[], Evidence], root: Path) -> None:
    (root / "known_tokens.csv").write_text('d18f94b5,kubelet-bootstrap,10001,"x"\n')
    (root / "other.csv").write_text("a,b,c\n")
    files = examine_host().files
    assert files[str(root / "known_tokens.csv")].tokens == ("csv",)
    assert str(root / "other.csv") not in files


def test_who_can_reach_and_replace_a_file(
    examine_host: Callable[[], Evidence], root: Path, tmp_path: Path
) -> None:
    for name in ("open", "closed", "writable"):
        (root / name).mkdir()
        (root / name / "key").write_text(CERT)
    (root / "closed").chmod(0o700)
    (root / "writable").chmod(0o777)
    files = examine_host().files
    # pytest's own folders above are nobody's but ours.
    above = all(p.stat().st_mode & 0o001 for p in root.parents)
    assert files[str(root / "open/key")].reachable == above
    assert not files[str(root / "closed/key")].reachable
    assert not files[str(root / "writable/key")].controlled


def test_who_names_a_file(examine_host: Callable[[], Evidence], root: Path, tmp_path: Path) -> None:
    (root / "k.pem").write_text(CERT)
    (tmp_path / "units").mkdir()
    (tmp_path / "units/x.service").write_text(f"ExecStart=/x --key={root}/k.pem\n")
    assert examine_host().files[f"{root}/k.pem"].used_by == (f"{tmp_path}/units/x.service",)


def test_units_and_texts(examine_host: Callable[[], Evidence], root: Path, tmp_path: Path) -> None:
    unit, hidden = root / "kubelet.service", root / "drop in.conf"
    unit.write_text("[Service]\nExecStart=/usr/bin/kubelet\n")
    hidden = root / "secret.conf"
    hidden.write_text("[Service]\nExecStartPre=/x http://user:pass@proxy\n")
    (tmp_path / "systemctl").write_text(
        f"Id=kubelet.service\nActiveState=active\nFragmentPath={unit}\nDropInPaths={hidden}\n"
    )
    # The stand-in says the same to `--value`, where lines are paths.
    with (tmp_path / "systemctl").open("a") as file:
        file.write(f"{unit}\n{hidden}\n")
    it = examine_host()
    assert it.units["kubelet.service"].files == (str(unit), str(hidden))
    assert it.texts[str(unit)].content == unit.read_bytes()
    assert it.texts[str(hidden)].content is None
    (limit,) = (what for what in it.limited if str(hidden) in what)
    assert "it may hold a secret, so it stays on the host" in limit


class Programs:
    """Programs of units: kubelet, kube-proxy and docker, each as it runs or as its unit has it."""

    def __init__(self, tmp_path: Path, cwd: Path) -> None:
        self._tmp_path = tmp_path
        self._cwd = cwd
        self._pids = dict.fromkeys(("kubelet", "kube-proxy", "docker", *"abcd"), 0)
        self._processes: list[subprocess.Popen[bytes]] = []
        (tmp_path / "starts").mkdir()

    def start(self, unit: str, command: str, *, runs: bool) -> None:
        if runs:
            # A program of root's that takes any words, and ends with its input.
            words = ["/bin/sh", "-c", "read line", *command.split()]
            process = subprocess.Popen(words, cwd=self._cwd, stdin=subprocess.PIPE)
            self._processes.append(process)
            self._pids[unit] = process.pid
        reported = "".join(f"MainPID={pid}\n" for pid in self._pids.values())
        (self._tmp_path / "pids").write_text(reported)
        (self._tmp_path / f"starts/{unit}.service").write_text(
            f"ExecStart={{ path=/x ; argv[]={command} ; ignore_errors=no ; }}\n"
            f"WorkingDirectory=!{self._cwd}\n"
        )

    def end(self) -> None:
        for process in self._processes:
            process.communicate()


@pytest.fixture
def programs(tmp_path: Path, root: Path) -> Iterator[Programs]:
    cwd = root / "kube"
    (cwd / "conf").mkdir(parents=True)
    for name in ("ca.pem", "conf/ca.pem"):
        (cwd / name).write_text(CERT)
    made = Programs(tmp_path, cwd)
    yield made
    made.end()


@pytest.mark.parametrize("runs", [True, False])
def test_relative_paths_are_those_that_the_program_opens(
    examine_host: Callable[[], Evidence], programs: Programs, root: Path, runs: bool
) -> None:
    """In its configuration a kubelet's are relative to that file, the others' are not."""
    cwd = root / "kube"
    contents = {
        "kubelet": "clientCAFile: ./ca.pem\n",
        "kube-proxy": "kubeconfig: kubeconfig\n",
        "dockerd": '{\n\t"tlscert": "cert.pem"\n}\n',
    }
    for name, content in contents.items():
        (cwd / f"conf/{name}").write_text(content)
    for name in ("kubelet.pem", "kubeconfig", "cert.pem", "key.pem"):
        (cwd / name).write_text(CERT)
    kubelet = "kubelet --config=./conf//kubelet --tls-cert-file kubelet.pem"
    programs.start("kubelet", kubelet, runs=runs)
    programs.start("kube-proxy", "kube-proxy --config conf/kube-proxy", runs=runs)
    programs.start("docker", "dockerd --config-file=conf/dockerd --tlskey=key.pem", runs=runs)
    it = examine_host()
    for name, content in contents.items():
        assert it.programs[name].cwd == str(cwd)
        settings = Settings(it, name)
        assert settings.path == f"{cwd}/conf/{name}"
        assert it.texts[settings.path].content == content.encode()
    for name in ("conf/ca.pem", "kubelet.pem", "kubeconfig", "cert.pem", "key.pem"):
        assert it.anchors[f"{cwd}/{name}"].certificates == (CERT.strip(),), name
    assert f"{cwd}/ca.pem" not in it.anchors


@pytest.mark.parametrize("given", [True, False])
def test_the_kubelets_own_certificate_is_reported_and_its_key_is_not(
    output: Callable[[], bytes],
    parsed: Callable[[bytes], Evidence],
    programs: Programs,
    root: Path,
    given: bool,
) -> None:
    key = private(ec.generate_private_key(ec.SECP256R1()))
    folder = root / "kube/pki"
    folder.mkdir()
    (folder / "kubelet-server-1.pem").write_text(CERT + key)
    current = folder / "kubelet-server-current.pem"
    current.symlink_to(folder / "kubelet-server-1.pem")
    programs.start("kubelet", "kubelet" + " --cert-dir=pki" * given, runs=False)
    printed = output()
    assert key.splitlines()[1].encode() not in printed
    it = parsed(printed)
    if not given:
        assert str(current) not in it.anchors
        return
    assert it.anchors[str(current)].certificates == (CERT.strip(),)
    assert serving(it) == Serving(frozenset({ssl.PEM_cert_to_DER_cert(CERT)}), complete=True)


def test_a_relative_path_is_believed_no_more_than_another(
    examine_host: Callable[[], Evidence], programs: Programs, root: Path
) -> None:
    cwd = root / "kube"
    (cwd / "conf/c.yaml").write_text("clientCAFile: ca.pem\n")
    (cwd / "conf").chmod(0o777)
    programs.start(
        "kubelet", "kubelet --config=conf/c.yaml --client-ca-file=conf/ca.pem", runs=True
    )
    it = examine_host()
    text = it.texts[f"{cwd}/conf/c.yaml"]
    assert (text.content, text.controlled) == (None, False)
    assert it.anchors[f"{cwd}/conf/ca.pem"].provenance is Provenance.OTHERS_MAY_WRITE
    assert it.anchors[f"{cwd}/conf/ca.pem"].certificates == ()


def test_a_path_with_dots_that_lead_up_is_reported_as_unseen(
    examine_host: Callable[[], Evidence], programs: Programs, root: Path
) -> None:
    (root / "kube/c.yaml").write_text("readOnlyPort: 0\n")
    programs.start("kubelet", "kubelet --config=conf/../c.yaml", runs=True)
    it = examine_host()
    assert it.texts == {}
    assert any("conf/../c.yaml" in what for what in it.unseen)


def test_the_packet_filter(examine_host: Callable[[], Evidence]) -> None:
    it = examine_host()
    assert it.rules["filter"].count("-A INPUT -j ACCEPT") == 2
    assert not any("KUBE-SERVICES -j RETURN" in rule for rule in it.rules["nat"])
    assert it.proxied


def test_flushed(examine_host: Callable[[], Evidence], tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("-P INPUT ACCEPT\n")
    assert not examine_host().proxied


def test_a_filter_that_does_not_answer_is_reported(
    examine_host: Callable[[], Evidence], tools: Tools
) -> None:
    for status, listed in ((4, "limited"), (1, "unseen")):
        tools.add("iptables", f"exit {status}")
        it = examine_host()
        assert it.rules == {}
        assert any("filter" in what for what in getattr(it, listed))


def test_too_many_files_are_reported(examine_host: Callable[[], Evidence], root: Path) -> None:
    for number in range(110):
        (root / f"{number}.pem").write_text(CERT)
    it = examine_host()
    assert len(it.files) == 100
    assert any("100" in what for what in it.limited)


def test_strange_names_and_things_do_not_confuse(
    examine_host: Callable[[], Evidence], root: Path
) -> None:
    (root / "a\nb.pem").write_text(CERT)
    (root / "-n.pem").write_text(CERT)
    (root / "a'b\"$(x).pem").write_text(CERT)
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to(root)
    (root / "link.pem").symlink_to(root / "-n.pem")
    assert {Path(path).name for path in examine_host().files} == {"-n.pem", "a'b\"$(x).pem"}


def test_it_changes_nothing(output: Callable[[], bytes], root: Path, tmp_path: Path) -> None:
    (root / "k").write_text(CERT)
    before = sorted((p, p.lstat().st_mtime_ns) for p in root.rglob("*"))
    output()
    assert sorted((p, p.lstat().st_mtime_ns) for p in root.rglob("*")) == before
    assert not (tmp_path / "state").exists()
