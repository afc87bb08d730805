"""What a user of a host prepares for `inv audit`: nothing of it is run or believed."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fabnode.node.examination import Anchor, Evidence, Provenance, Text
from fabnode.remote.audit_output import complaints, parse
from fabnode.remote.examine import script

from ..support import authority, pem, private_pem
from .local import SHELLS, Tools

MALLORY = 65534
CERT = pem(authority()[0]).decode()

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else"),
    pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv"),
]


@pytest.fixture(params=SHELLS[:1])
def shell(request: pytest.FixtureRequest) -> list[str]:
    shell: list[str] = request.param
    return shell


def genuine_control_plane() -> bool:
    done = subprocess.run(["pgrep", "-u", "0", "-x", "etcd|kube-.*"], check=False)
    return done.returncode == 0


class Scene:
    """A folder of root's, a home of mallory's, and an audit of both."""

    def __init__(self, tmp_path: Path, shell: list[str]) -> None:
        self.folder = tmp_path
        self._shell = shell
        self.etc, self.home = tmp_path / "etc", tmp_path / "home"
        self.etc.mkdir(mode=0o755)
        self.mallory = self.home / "mallory"
        self.mallory.mkdir(parents=True, mode=0o755)
        os.chown(self.mallory, MALLORY, MALLORY)
        for folder in (tmp_path, *tmp_path.parents):  # mallory has to get at her home
            if folder.stat().st_mode & 0o111 != 0o111 and str(folder) != "/":
                folder.chmod(folder.stat().st_mode | 0o111)
        self.roots = [str(self.etc), str(self.home)]
        self.tools = Tools(tmp_path / "tools")
        self.tools.add("iptables", "exit 1")
        self.systemctl()

    def systemctl(self, *, pids: str = "", starts: str = "", paths: str = "") -> None:
        """Have systemd report these; of units whose processes are not given, that none runs."""
        pids = "\n".join([*pids.split(), *["MainPID=0"] * (7 - len(pids.split()))])
        self.tools.add(
            "systemctl",
            f"case $* in *'-p MainPID --'*) echo '{pids}' ;; *ExecStart*) echo '{starts}' ;;"
            f" *--value*) echo '{paths}' ;; esac",
        )

    def as_mallory(self, *command: str) -> subprocess.Popen[bytes]:
        how = ["setpriv", f"--reuid={MALLORY}", f"--regid={MALLORY}", "--clear-groups"]
        return subprocess.Popen(
            [*how, *command], cwd=self.mallory, start_new_session=True, stdin=subprocess.DEVNULL
        )

    def plant(self, name: str, content: str = CERT) -> Path:
        path = self.mallory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        for one in (path, *path.parents):
            if one == self.mallory:
                break
            os.chown(one, MALLORY, MALLORY)
        return path

    def unit(self, settings: str) -> Text:
        """Return what an audit tells of a unit file of root's with these settings."""
        path = self.etc / "x.service"
        path.write_text(f"[Service]\n{settings}\n")
        self.systemctl(paths=str(path))
        return self.audit().texts[str(path)]

    def audit(self, *, loud: bool = False) -> Evidence:
        """Audit both. :param loud: whether the program may say that it could not do something."""
        state = str(self.folder / "state")
        code = script("n", state=state, roots=self.roots, users=[str(self.etc)])
        done = self.tools.run([*self._shell, "-s"], code, timeout=200)
        assert done.returncode == 0, done.stderr
        self.printed = len(done.stdout)
        self.complaints = complaints(done.stderr, nonce="n")
        assert loud or not self.complaints
        return parse(done.stdout, nonce="n", roots=self.roots, state=state)


@pytest.fixture
def scene(tmp_path: Path, shell: list[str]) -> Scene:
    return Scene(tmp_path, shell)


@pytest.fixture
def running(scene: Scene) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of mallory's under names of a cluster's programs."""
    processes = []
    for name in ("kubelet", "etcd", "kube-proxy"):
        binary = scene.mallory / name
        shutil.copy(shutil.which("sleep") or "", binary)
        os.chown(binary, MALLORY, MALLORY)
        processes.append(scene.as_mallory(str(binary), "600"))
    time.sleep(0.5)
    yield processes
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_process_of_any_name_is_neither_run_nor_believed(
    scene: Scene, running: list[subprocess.Popen[bytes]]
) -> None:
    it = scene.audit()
    assert it.programs == {}
    if not genuine_control_plane():  # as where a lab runs on this machine
        assert it.control_plane == ()


def test_a_units_process_that_is_not_roots_is_judged_by_its_unit(
    scene: Scene, running: list[subprocess.Popen[bytes]]
) -> None:
    pid = running[0].pid
    scene.systemctl(
        pids=f"MainPID={pid}\nMainPID=0\nMainPID=0\nMainPID=0\nMainPID=0\nMainPID=0\nMainPID=0",
        starts="{ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet --v=2 ; ignore_errors=no ; }",
    )
    it = scene.audit()
    assert it.programs["kubelet"].args == ("/usr/bin/kubelet", "--v=2")
    assert it.programs["kubelet"].running
    assert any("others than root control" in what for what in it.limited)


def test_a_users_process_that_runs_roots_program_is_none_of_roots(scene: Scene) -> None:
    """Its words are the user's, whoever wrote the program."""
    process = scene.as_mallory(shutil.which("sleep") or "", "600")
    while b"sleep" not in Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[0]:
        time.sleep(0.01)  # until then it is root's setpriv
    try:
        scene.systemctl(
            pids=f"MainPID={process.pid}\nMainPID=0\nMainPID=0",
            starts="{ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet --v=2 ; ignore_errors=no ; }",
        )
        it = scene.audit()
    finally:
        process.kill()
        process.wait()
    assert it.programs["kubelet"].args == ("/usr/bin/kubelet", "--v=2")
    assert any("others than root control" in what for what in it.limited)


def test_a_program_that_others_may_replace_is_no_quiet_matter(scene: Scene) -> None:
    """Root runs it, but what it is the next time, mallory decides: the audit is not clean."""
    binary = scene.mallory / "kubelet"
    shutil.copy(shutil.which("sleep") or "", binary)
    os.chown(binary, MALLORY, MALLORY)
    process = subprocess.Popen([binary, "600"])
    try:
        scene.systemctl(
            pids=f"MainPID={process.pid}\nMainPID=0\nMainPID=0\nMainPID=0",
            starts="{ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet --v=2 ; ignore_errors=no ; }",
        )
        it = scene.audit()
    finally:
        process.kill()
        process.wait()
    assert any("kubelet" in what and "others than root" in what for what in it.limited)


def test_a_units_process_that_is_roots_is_judged_by_its_command_line(scene: Scene) -> None:
    process = subprocess.Popen([shutil.which("sleep") or "", "600"])
    try:
        scene.systemctl(pids=f"MainPID={process.pid}\nMainPID=0\nMainPID=0\nMainPID=0")
        it = scene.audit()
    finally:
        process.kill()
        process.wait()
    assert it.programs["kubelet"].args[1:] == ("600",)
    assert not any("command line" in what for what in (*it.limited, *it.unseen))


def test_nothing_found_is_run_at_all() -> None:
    """A source of what is executed: the script has no place where that is something found."""
    assert "--version" not in script("n").decode()


def test_a_folder_with_a_line_end_in_its_name_injects_no_path(scene: Scene) -> None:
    victim = scene.etc / "ssh_host_key"
    victim.write_text("x")
    scene.plant(f"x\n{victim}")
    scene.plant("a\tb/k.pem")
    scene.plant("fine.pem")
    it = scene.audit()
    assert list(it.files) == [str(scene.mallory / "fine.pem")]
    assert any("line end" in what for what in it.limited)


def test_names_that_are_no_text_fail_nobodys_audit(scene: Scene) -> None:
    for name in (b"\xff.pem", b"\xfe.pem", b"\\xff.pem", "ключ.pem".encode()):
        path = scene.mallory / os.fsdecode(name)
        path.write_text(CERT)
        os.chown(path, MALLORY, MALLORY)
    it = scene.audit()
    assert len(it.files) == 3
    assert any("backslash" in what for what in it.limited)


def test_long_names_that_are_no_text_fail_nobodys_audit(scene: Scene) -> None:
    """A byte that is no UTF-8 takes four letters in what the host is read as."""
    folder = scene.mallory.joinpath(*[os.fsdecode(b"\xff" * 255)] * 5)
    folder.mkdir(parents=True)
    (folder / "k.pem").write_text(CERT)
    (file,) = scene.audit().files
    assert len(file) > 4096


def test_a_key_with_line_ends_in_its_comment_fails_nobodys_audit(scene: Scene) -> None:
    path = scene.mallory / "k"
    comment = "c\ncontrol\tetcd"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(make, check=True)
    os.chown(path, MALLORY, MALLORY)
    (key,) = scene.audit().files[str(path)].keys
    assert key.startswith("ssh-ed25519 ")


@pytest.mark.parametrize("data", ["abc", "QUJD=", "QQ==QQ==", "====", "A" * 20_000])
def test_a_kubeconfig_with_any_data_fails_nobodys_audit(scene: Scene, data: str) -> None:
    config = f"kind: Config\nclusters: []\nusers:\n- client-certificate-data: {data}\n"
    path = scene.plant("config", config)
    assert scene.audit().files[str(path)].certificates == ()


def test_a_kubeconfig_with_a_long_chain_is_seen(scene: Scene) -> None:
    data = base64.b64encode((CERT * 30).encode()).decode()
    assert len(data) > 2**14
    config = f"kind: Config\nclusters: []\nusers:\n- client-certificate-data: {data}\n"
    path = scene.plant("config", config)
    assert scene.audit().files[str(path)].certificates == (CERT.strip(),)


@pytest.mark.parametrize("status", [4, 124])
def test_whoever_holds_the_packet_filters_lock_is_no_quiet_matter(
    scene: Scene, status: int
) -> None:
    scene.tools.add("iptables", f"exit {status}")
    assert any("table nat" in what for what in scene.audit().limited)


@pytest.mark.parametrize("status", [4, 124])
def test_a_held_lock_of_the_other_iptables_leaves_it_open_whether_rules_are_gone(
    scene: Scene, status: int
) -> None:
    """Where kube-proxy writes by iptables-legacy, and a user holds that one's lock."""
    for name in ("iptables", "iptables-nft"):
        scene.tools.add(name, "echo '-P INPUT ACCEPT'")
    scene.tools.add("iptables-legacy", f"exit {status}")
    scene.tools.add(
        "grep", f'case $* in *ip_tables_names) ;; *) exec {shutil.which("grep")} "$@" ;; esac'
    )
    it = scene.audit()
    assert it.proxied is None
    assert any("kube-proxy's chains" in what for what in it.limited)
    # One that does not work here at all is not the one that kube-proxy uses.
    scene.tools.add("iptables-legacy", "exit 3")
    assert scene.audit().proxied is False


def test_what_a_user_owns_is_marked_as_such(scene: Scene) -> None:
    scene.plant("ca.pem")
    (scene.etc / "ca.pem").write_text(CERT)
    files = scene.audit().files
    assert files[str(scene.mallory / "ca.pem")].provenance is Provenance.OTHERS_MAY_WRITE
    own = files[str(scene.etc / "ca.pem")]
    assert own.provenance is Provenance.ROOT_ONLY
    assert own.blocks == len(own.certificates) == 1


def test_a_flood_in_a_home_hides_nothing_elsewhere_and_is_reported(scene: Scene) -> None:
    for number in range(60):
        scene.plant(f"{number}.pem")
    (scene.etc / "k.pem").write_text(CERT)
    later = scene.folder / "var"
    later.mkdir()
    (later / "k.pem").write_text(CERT)
    scene.roots = [str(scene.home), str(scene.etc), str(later)]
    it = scene.audit()
    assert {str(scene.etc / "k.pem"), str(later / "k.pem")} <= set(it.files)
    assert any(str(scene.mallory) in what for what in it.limited)


def test_a_search_that_its_owner_ends_is_no_quiet_matter(scene: Scene) -> None:
    """It runs with his rights, so he may send it a signal."""
    scene.tools.add("find", "exit 143")  # as of a SIGTERM; root's own as well
    ended = [what for what in scene.audit(loud=True).limited if "ended by a signal" in what]
    assert any(str(scene.mallory) in what or str(scene.home) in what for what in ended)


def test_roots_files_in_a_home_are_seen_all_the_same(scene: Scene) -> None:
    path = scene.mallory / "admin.conf"
    path.write_text(CERT)
    path.chmod(0o600)
    assert scene.audit().files[str(path)].provenance is Provenance.OTHERS_MAY_WRITE


def test_the_search_in_a_home_lends_its_owner_nothing(scene: Scene) -> None:
    """It runs with the owner's rights: who can trace it, has root's pipes, its program's input."""
    for number in range(3000):
        path = scene.mallory / f"{number}.pem"
        path.write_text(CERT)
        os.chown(path, MALLORY, MALLORY)
    for _ in range(10):  # on a busy machine she may come too late to see one
        with searches_seen_by_mallory() as seen:
            scene.audit()
        assert {fd for search in seen for fd in search} == set()
        if seen:
            return
    pytest.fail("no search was seen, so that nothing is shown")


@contextmanager
def searches_seen_by_mallory() -> Iterator[list[tuple[str, ...]]]:
    """Yield a list that gets one entry for each search with mallory's rights: its open files."""
    seen: list[tuple[str, ...]] = []
    reading, writing = os.pipe()
    mallory = os.fork()
    if not mallory:
        os.setgroups([])
        os.setresgid(MALLORY, MALLORY, MALLORY)
        os.setresuid(MALLORY, MALLORY, MALLORY)
        try:
            watch(writing)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        yield seen
    finally:
        os.kill(mallory, signal.SIGKILL)
        os.waitpid(mallory, 0)
        with os.fdopen(reading) as lines:
            seen += [tuple(line.split()[1:]) for line in lines]


def watch(report: int) -> None:
    """Report, for each process `find` with mallory's rights, the open files that she can reach."""
    reported: set[str] = set()
    while True:
        for process in Path("/proc").glob("[0-9]*"):
            pid = process.name
            try:
                status = (process / "status").read_text()
                if pid in reported or not re.search(rf"^Uid:\t\d+\t{MALLORY}\t", status, re.M):
                    continue
                if not status.startswith("Name:\tfind\n"):
                    continue
                reached = [str((process / "fd" / fd).readlink()) for fd in "01"]
            except PermissionError:
                reached = []
            except OSError:
                continue  # it has ended
            reported.add(pid)
            os.write(report, f"{pid} {' '.join(reached)}\n".encode())


def test_pipes_and_links_are_not_opened(scene: Scene) -> None:
    os.mkfifo(scene.mallory / "k.pem")
    (scene.mallory / "l.pem").symlink_to(scene.etc / "k.pem")
    (scene.etc / "k.pem").write_text(CERT)
    assert list(scene.audit().files) == [str(scene.etc / "k.pem")]


def test_a_configuration_of_a_users_is_not_read(scene: Scene) -> None:
    path = scene.plant("config.yaml", "readOnlyPort: 0\n")
    scene.systemctl(paths=str(path))
    it = scene.audit()
    assert it.texts[str(path)].content is None
    assert not it.texts[str(path)].controlled
    assert any(str(path) in what for what in it.limited)


def test_a_roots_link_to_a_users_file_is_not_read(scene: Scene) -> None:
    path = scene.plant("config.yaml", "readOnlyPort: 0\n")
    link = scene.etc / "config.yaml"
    link.symlink_to(path)
    scene.systemctl(paths=str(link))
    assert scene.audit().texts[str(link)].content is None


def test_a_roots_link_to_a_file_with_a_secret_is_not_called_others(scene: Scene) -> None:
    (scene.etc / "own.yaml").write_text("password: hunter2\n")
    link = scene.etc / "config.yaml"
    link.symlink_to(scene.etc / "own.yaml")
    scene.systemctl(paths=str(link))
    text = scene.audit().texts[str(link)]
    assert (text.content, text.controlled) == (None, True)


@pytest.mark.parametrize(
    "line",
    [
        "Environment=DB_PASSWORD=hunter2",
        "Environment=AWS_SECRET_ACCESS_KEY=hunter2",
        "Environment=API_TOKEN=hunter2",
        'Environment="A=b" \\\n  "X=hunter2"',
        # Within a line that goes on, systemd leaves comments out.
        "Environment=A=b \\\n# a note\nX=hunter2",
        "Environment=A=b \\\n  ; a note\n  # another\n  X=hunter2",
        "Environment=X=hunter2",
    ],
)
def test_what_sets_the_environment_stays(scene: Scene, line: str) -> None:
    text = scene.unit(f"{line}\nExecStart=/usr/bin/kubelet")
    assert b"hunter2" not in (text.content or b"")
    assert text.sha256 == ""


@pytest.mark.parametrize("comment", ["# db password=hunter2", "  ; token: hunter2"])
def test_a_comment_about_a_secret_hides_nothing_of_what_a_unit_does(
    scene: Scene, comment: str
) -> None:
    text = scene.unit(f"{comment}\nExecStartPost=-/usr/sbin/iptables -F FORWARD")
    assert b"hunter2" not in (text.content or b"")
    assert b"iptables -F FORWARD" in (text.content or b"")
    assert text.sha256 == ""


def test_only_roots_files_and_programs_say_what_is_in_use(scene: Scene) -> None:
    keys = [scene.etc / f"{n}.pem" for n in range(3)]
    for key in keys:
        key.write_text(CERT)
    crontab = scene.etc / "crontab-of-mallory"
    crontab.write_text(f"* * * * * cat {keys[0]}\n")
    os.chown(crontab, MALLORY, MALLORY)
    process = scene.as_mallory("sh", "-c", f"sleep 600; : {keys[1]}")
    rooted = subprocess.Popen(["sh", "-c", f"sleep 600; : {keys[2]}"], start_new_session=True)
    time.sleep(0.3)
    try:
        it = scene.audit()
    finally:
        for one in (process, rooted):
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()
    assert [bool(it.files[str(key)].used_by) for key in keys] == [False, False, True]
    assert it.users_known


@pytest.mark.parametrize("whose", ["roots", "mallorys"])
def test_a_link_that_settings_name_is_a_user_of_what_it_leads_to(scene: Scene, whose: str) -> None:
    """As kubelets name their newest certificate; a link in a user's folder counts for nothing."""
    held = scene.etc / "kubelet-client-2026.pem"
    held.write_text(CERT)
    link = (scene.etc if whose == "roots" else scene.mallory) / "newest.pem"
    link.symlink_to(held)
    path = scene.etc / "k.kubeconfig"
    path.write_text(kubeconfig(f"client-certificate: {link}"))
    scene.systemctl(starts=f"{{ path=/k ; argv[]=/k --kubeconfig={path} ; ignore_errors=no ; }}")
    used = scene.audit().files[str(held)].used_by
    assert used == ((str(link),) if whose == "roots" else ())


def test_a_kubelets_own_link_to_its_newest_certificate_is_a_user_of_it(scene: Scene) -> None:
    held = [scene.etc / f"kubelet-server-2026-11-{day}-10-00-00.pem" for day in (28, 29)]
    for path in held:
        path.write_text(CERT)
    link = scene.etc / "kubelet-server-current.pem"
    link.symlink_to(held[1])
    files = scene.audit().files
    assert [files[str(path)].used_by for path in held] == [(), (str(link),)]


@pytest.mark.parametrize("slow", ["sleep 9", "exit 137", "exit 2"])
def test_a_key_that_nobody_could_read_in_time_is_no_quiet_matter(scene: Scene, slow: str) -> None:
    """Who keeps the host busy would have it judged by its name."""
    key = ec.generate_private_key(ec.SECP256R1())
    path = scene.etc / "some.pem"
    path.write_bytes(private_pem(key))
    scene.tools.add("ssh-keygen", slow)
    assert scene.audit().limited == ()  # openssl could read it
    scene.tools.add("openssl", slow)
    it = scene.audit()
    assert it.files[str(path)].keys == ("",)
    assert it.files[str(path)].late
    assert any(str(path) in what for what in it.limited)


def test_who_uses_a_file_fails_closed(scene: Scene) -> None:
    (scene.etc / "k.pem").write_text(CERT)
    grep = shutil.which("grep")
    scene.tools.add("grep", f'case "$*" in *-oF*) exit 2 ;; esac; exec {grep} "$@"')
    assert not scene.audit().users_known


def test_a_root_that_is_a_link_is_followed_where_root_alone_rules_it(scene: Scene) -> None:
    data = scene.folder / "data"
    data.mkdir()
    (data / "k.pem").write_text(CERT)
    link = scene.folder / "link"
    link.symlink_to(data)
    scene.roots = [str(link)]
    assert list(scene.audit().files) == [str(link / "k.pem")]
    os.chown(link, MALLORY, MALLORY, follow_symlinks=False)
    it = scene.audit()
    assert it.files == {}
    assert any(str(link) in what for what in it.limited)


SHORT_LINES = "".join(
    "-----BEGIN CERTIFICATE-----\n" + "A\n" * 118 + "-----END CERTIFICATE-----\n" for _ in range(12)
)


def test_long_names_of_short_lines_cost_no_more_than_their_bytes(scene: Scene) -> None:
    """The answer as a whole has a limit; no user brings a host over it."""
    for number in range(12):
        scene.plant(f"{'d' * 200}/{'e' * 200}/{'f' * 200}/{number}.pem", SHORT_LINES)
    (scene.etc / "root.pem").write_text(CERT)
    it = scene.audit()
    assert scene.printed < 400_000
    assert str(scene.etc / "root.pem") in it.files


def test_a_folder_of_others_has_a_limit_of_bytes(scene: Scene) -> None:
    for number in range(15):
        scene.plant(f"{number}.pem", CERT + "x" * 40_000)
    (scene.etc / "root.pem").write_text(CERT)
    it = scene.audit()
    assert 2 < len(it.files) < 12
    assert any("more than is read" in limit for limit in it.limited)
    assert str(scene.etc / "root.pem") in it.files


def test_encrypted_keys_are_not_tried(scene: Scene) -> None:
    """Their maker chooses how long that takes."""
    for tool in ("ssh-keygen", "openssl"):
        scene.tools.add(tool)
    body = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    path = scene.plant("k.pem", body)
    assert scene.audit().files[str(path)].keys == ("",)
    assert not scene.tools.calls_of("openssl") + scene.tools.calls_of("ssh-keygen")


@pytest.mark.parametrize(
    "option",
    [
        "--token hunter2",
        '--password "hunter2"',
        "-u admin:hunter2 https://192.0.2.1/",
        "-c 'MYSQL_PWD=hunter2 true'",
        "-d pw=hunter2",
        "--auth hunter2",
        "--docker-creds=hunter2",
        "--pat=hunter2",
        "--basic-auth=admin:hunter2",
        "--api-key hunter2",
        "--secret-access-key hunter2",
        "--s3-secret-key hunter2",
        "--passphrase hunter2",
        "--encryption-key=hunter2",
        '"--token" "hunter2"',
    ],
)
def test_a_unit_with_a_secret_among_its_words_stays(scene: Scene, option: str) -> None:
    text = scene.unit(f"ExecStartPre=-/bin/true {option}\nExecStart=/usr/bin/kubelet")
    assert b"hunter2" not in (text.content or b"")


@pytest.mark.parametrize(
    "option",
    [
        "--anonymous-auth=false --authentication-token-webhook=true",
        "--token-auth-file=/etc/x --secure-port 1",
        "--kubeconfig=/etc/kubernetes/x.kubeconfig --tls-private-key-file=/k.pem",
        "-u kubelet --use-a=b:c",
        "--tls-private-key-file /k.pem --encryption-provider-config /e.yaml",
        '"--token-auth-file" "/etc/x"',
    ],
)
def test_a_unit_without_a_secret_is_sent(scene: Scene, option: str) -> None:
    assert scene.unit(f"ExecStart=/usr/bin/kubelet {option}").content


@pytest.mark.parametrize(
    "words",
    [
        "--token hunter2",
        "--log-opt splunk-token=hunter2",
        "--log-opt=splunk-token=hunter2",
        "--api-key hunter2",
        "--secret-key=hunter2",
        "--passphrase hunter2",
        "--docker-creds hunter2",
        "--psk=hunter2",
        "--registry-pat hunter2",
    ],
)
def test_a_secret_of_a_running_program_stays(scene: Scene, words: str) -> None:
    command = f"/usr/bin/dockerd {words} -H fd:// --token-file=/etc/x"
    scene.systemctl(
        pids="MainPID=0\nMainPID=0\nMainPID=0\nMainPID=0\nMainPID=0\nMainPID=0\nMainPID=0",
        starts=f"{{ path=/usr/bin/dockerd ; argv[]={command} ; ignore_errors=no ; }}",
    )
    args = scene.audit().programs["dockerd"].args
    assert "hunter2" not in " ".join(args)
    assert args[-3:] == ("-H", "fd://", "--token-file=/etc/x")


def obeying(scene: Scene, flags: str = "", yaml: str = "") -> dict[str, Anchor]:
    """Return what an audit tells of the files that a kubelet's settings name."""
    config = scene.etc / "kubelet.yaml"
    config.write_text(yaml)
    words = f"/usr/bin/kubelet --config={config} {flags}"
    scene.systemctl(
        starts=f"{{ path=/usr/bin/kubelet ; argv[]={words} ; ignore_errors=no ; }}",
        paths=str(config),
    )
    return dict(scene.audit().anchors)


@pytest.mark.parametrize("yaml", ["password: hunter2", "password:\n  hunter2", "psk: |\n  hunter2"])
def test_a_configuration_with_a_secret_stays(scene: Scene, yaml: str) -> None:
    obeying(scene, yaml=f"{yaml}\n")
    assert scene.audit().texts[str(scene.etc / "kubelet.yaml")].content is None
    obeying(scene, yaml="tokenAttributes: []\nmaxPods: 9\n")
    assert scene.audit().texts[str(scene.etc / "kubelet.yaml")].content


@pytest.mark.parametrize("comment", ["", "readOnlyPort: 0 ", "registryPullQPS: 'a # \"b' \t"])
def test_a_comment_about_a_secret_hides_no_setting(scene: Scene, comment: str) -> None:
    yaml = f"{comment}# token: hunter2\nauthorization:\n  mode: AlwaysAllow\n"
    obeying(scene, yaml=yaml)
    text = scene.audit().texts[str(scene.etc / "kubelet.yaml")]
    before = f"{comment.rstrip()}\n" * bool(comment)
    assert text.content == f"{before}authorization:\n  mode: AlwaysAllow\n".encode()
    assert text.sha256 == ""  # so that it is not edited by what is missing in it


@pytest.mark.parametrize(
    "value", ["'x # token: hunter2'", '"x\\" # token: hunter2"', "x#token=hunter2"]
)
def test_what_is_no_comment_is_no_comment(scene: Scene, value: str) -> None:
    obeying(scene, yaml=f"clusterDomain: {value}\nreadOnlyPort: 0\n")
    assert scene.audit().texts[str(scene.etc / "kubelet.yaml")].content is None


def kubeconfig(*more: str, ca: str = "") -> str:
    data = (
        f"    certificate-authority-data: {base64.b64encode(ca.encode()).decode()}\n" if ca else ""
    )
    lines = "".join(f"    {line}\n" for line in more)
    return (
        "kind: Config\nclusters:\n- cluster:\n    server: https://10.0.0.1:6443\n"
        f"{data}{lines}users:\n- name: u\n  user:\n    client-key: pki/own.key\n"
    )


@pytest.mark.parametrize(
    "way",
    [
        "--client-ca-file={}",
        "--client-ca-file {}",
        "--client_ca_file={}",
        "authentication:\n  x509:\n    clientCAFile: {}\n",
        'authentication: {{x509: {{"clientCAFile": "{}"}}}}\n',
        "staticPodPath: '{}'\n",
        "--bootstrap-kubeconfig={}",
    ],
)
def test_what_settings_name_is_reported_with_who_may_write_it(scene: Scene, way: str) -> None:
    """Wherever it lies, and through links; of what others may write, nothing is read."""
    outside = scene.folder / "opt"
    outside.mkdir()
    own, link = outside / "ca.pem", scene.etc / "link.pem"
    own.write_text(CERT)
    link.symlink_to(scene.plant("ca.pem"))
    loose = outside / "loose.pem"
    loose.write_text(CERT)
    loose.chmod(0o664)
    for path, alone in ((own, True), (link, False), (loose, False), (scene.mallory, False)):
        by_flag = way.startswith("--")
        named = way.format(path)
        seen = obeying(scene, flags=named if by_flag else "", yaml="" if by_flag else named)
        anchor = seen[str(path)]
        assert (anchor.provenance is Provenance.ROOT_ONLY) == alone
        assert (anchor.certificates, anchor.blocks) == (((CERT.strip(),), 1) if alone else ((), 0))


def test_of_a_kubeconfig_its_cas_and_what_it_names_are_reported(scene: Scene) -> None:
    path = scene.etc / "k.kubeconfig"
    key = scene.plant("own.key", "x")
    (scene.etc / "pki").symlink_to(scene.mallory)
    ca = scene.etc / "ca.pem"
    ca.write_text(CERT + CERT)
    path.write_text(kubeconfig(f"certificate-authority: {ca}", "#insecure-skip-tls-verify: true"))
    seen = obeying(scene, f"--kubeconfig={path}")
    assert seen[str(path)].names == {
        "certificate-authority": (str(ca),),
        "client-key": (f"{scene.etc}/pki/own.key",),
    }
    assert (seen[str(path)].certificates, seen[str(ca)].blocks) == ((), 2)
    assert seen[f"{scene.etc}/pki/own.key"].provenance is Provenance.OTHERS_MAY_WRITE
    key.unlink()
    path.write_text(kubeconfig("insecure-skip-tls-verify: True", ca=CERT).replace("https", "http"))
    seen = obeying(scene, f"--kubeconfig={path}")
    assert (seen[str(path)].certificates, seen[str(path)].blocks) == ((CERT.strip(),), 1)
    assert {"server", "insecure-skip-tls-verify"} <= set(seen[str(path)].names)
    assert f"{scene.etc}/pki/own.key" not in seen


def test_comments_behind_values_say_nothing(scene: Scene) -> None:
    path = scene.etc / "k.kubeconfig"
    path.write_text(
        kubeconfig("proxy-url: ''  # server: http://x", "x: y\t# insecure-skip-tls-verify: true")
    )
    config = (
        f"readOnlyPort: 0 # not clientCAFile: {path}x\nstaticPodPath: {scene.etc} # the usual\n"
    )
    (scene.etc / "k.kubeconfigx").touch()
    seen = obeying(scene, f"--kubeconfig={path}", config)
    assert set(seen) == {str(path), str(scene.etc)}
    assert set(seen[str(path)].names) == {"client-key"}
    path.write_text(kubeconfig("insecure-skip-tls-verify: true # for now"))
    assert "insecure-skip-tls-verify" in obeying(scene, f"--kubeconfig={path}")[str(path)].names


def test_of_what_settings_name_only_certificates_leave_the_host(scene: Scene) -> None:
    path = scene.etc / "both.pem"
    path.write_text(f"{CERT}-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
    anchor = obeying(scene, f"--client-ca-file={path}")[str(path)]
    assert (anchor.certificates, anchor.blocks) == ((CERT.strip(),), 2)
    path.write_text("root:hunter2:::\n")
    assert obeying(scene, f"--client-ca-file={path}")[str(path)].certificates == ()
    fifo = scene.etc / "fifo"
    os.mkfifo(fifo)
    assert obeying(scene, f"--client-ca-file={fifo}")[str(fifo)].blocks == 0


def test_more_than_settings_name_is_reported_as_a_limit(scene: Scene) -> None:
    names = [f"certificate-authority: {scene.etc}/{n}.pem" for n in range(50)]
    for n in range(50):
        (scene.etc / f"{n}.pem").write_text(CERT)
    path = scene.etc / "k.kubeconfig"
    path.write_text(kubeconfig(*names))
    obeying(scene, f"--kubeconfig={path}")
    assert any("files that settings name" in what for what in scene.audit().limited)
