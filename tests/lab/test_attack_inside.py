"""
A user without rights, and a process in a pod, against root's `inv audit` and `inv harden`.

n2 is a node as kubeasz makes them, with its faults. Every scenario plants what its user may plant;
then the host is audited, hardened, and audited once more with its kubelet stopped. Of each
scenario it is asserted that nothing of root's was run, moved, read out or silenced.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests import attacks

from .harness import eventually
from .intruder import HOME, NAME, UID, certificate, key, pem, security_key, telltale, write
from .workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Joining
    from .harness import Done, Lab

pytestmark = pytest.mark.attack

HOST = "n2"
SSL = "/etc/kubernetes/ssl"
QUARANTINE = "/var/lib/fabnode/quarantine"
SSHD_KEY = "/etc/ssh/ssh_host_ed25519_key"
MASTERS = "system:masters"
SAFE = "--anonymous-auth=false --authorization-mode=Webhook --read-only-port=0"
FORGED = f"\ncritical  {HOST}: /etc/shadow [ca-key]"
MOVED = (f"{SSL}/ca-key.pem", "/root/.kube/config")
# An audit of one host takes seconds; what blocks or floods it must not make that minutes.
IN_TIME = 150.0


@dataclass(frozen=True)
class Scenario:
    """
    One attempt.

    :param plant: shell that the user runs on the host. :param admin: shell that root ran before.
    :param pod: shell that runs in a pod on the host; `plant` stays empty then.
    :param secret: what must never leave the host, or be printed. :param kept: files that must stay
        as they are. :param moved: root's files that have to be moved all the same.
    :param blamed: (check, subject) that must not be found. :param unnamed: a path that no repair
        may name. :param marker: what exists if root ran the user's program.
    """

    plant: str = ""
    admin: str = ""
    pod: str = ""
    secret: str = ""
    kept: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    blamed: tuple[str, str] = ("", "")
    unnamed: str = ""
    marker: str = ""


def named(name: str, arguments: str = "", marker: str = "", count: int = 1) -> str:
    """Return shell that runs a program under this name, as a process of the user's."""
    path = quote(f"{HOME}/{marker or 'bin'}/{name}")
    program = telltale(f"/root/{marker or 'ran-by-root'}")
    start = (
        f"for n in $(seq {count}); do setsid {path} {arguments} </dev/null >/dev/null 2>&1 & done"
    )
    return f"{write(path, program, '755')}; {start}"


def running(name: str, arguments: str = "", count: int = 1) -> Scenario:
    """Return the scenario of processes with a false name, whose program tells if root ran it."""
    marker = f"ran-{zlib.crc32(f'{name} {arguments} {count}'.encode())}"
    return Scenario(plant=named(name, arguments, marker, count), marker=f"/root/{marker}")


def in_pod(
    name: str, arguments: str = SAFE, count: int = 1, blamed: tuple[str, str] = ("", "")
) -> Scenario:
    """Return the scenario of processes with a false name in a container."""
    marker = f"ran-pod-{name}"
    data = base64.b64encode(telltale(f"/srv/{marker}")).decode()
    shell = (
        f"echo {data} | base64 -d >/tmp/{name}; chmod 755 /tmp/{name}; for n in $(seq {count});"
        f" do /tmp/{name} {arguments} </dev/null >/dev/null 2>&1 & done"
    )
    return Scenario(pod=shell, marker=f"/srv/{marker}", blamed=blamed)


def in_pods_file(path: str, content: bytes) -> str:
    """Return shell for a pod that writes a file of its own, or of its own on the host."""
    return f"echo {base64.b64encode(content).decode()} | base64 -d >{path}"


# Answers whatever it is asked with 200, from the moment when nobody else has the port.
TAKES_A_PORT = """
use IO::Socket::INET;
while (1) {
  my $s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1);
  select(undef, undef, undef, 0.01), next unless $s;
  while (my $c = $s->accept) {
    sysread $c, my $asked, 4096;
    print $c "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}";
    close $c;
  }
}
"""


def takes_port(port: int) -> str:
    """Return shell that listens on a port as soon as that is free."""
    program = f"{HOME}/takes-{port}.pl"
    return (
        f"{write(program, TAKES_A_PORT.encode())}; setsid perl {program} {port} >/dev/null 2>&1 &"
    )


def scenarios(lab: Lab) -> dict[str, Scenario]:
    """Return all attempts, made with what a user can read on this host."""
    sshd = serialization.load_ssh_public_key(lab.on(HOST, f"ssh-keygen -y -f {SSHD_KEY}").encode())
    kubelet = x509.load_pem_x509_certificate(lab.on(HOST, f"cat {SSL}/kubelet.pem").encode())
    authority = (lab.layout.pki / "ca.pem").read_bytes()
    own, other = key(), key()
    canary = "CANARY-{}-4f1d".format
    linked = pem(other).decode().splitlines()[2]

    # Any user can read the CA's key on a host that is as kubeasz makes them.
    signer = (authority, (lab.layout.pki / "ca-key.pem").read_bytes())
    readable = f"grep -q 'PRIVATE KEY' {SSL}/ca-key.pem"
    second, first, admins, named_in_lines = key(), key(), key(), key()

    def masters(public: Any) -> bytes:
        return certificate(public, "admin", organization=MASTERS)

    def signed(public: Any, name: str = "admin") -> bytes:
        return certificate(public, name, organization=MASTERS, signer=signer)

    return {
        # --- processes with false names --------------------------------------------------------
        "a kubelet": running("kubelet"),
        "a kubelet with safe settings": running("kubelet", SAFE),
        "thirty kubelets": running("kubelet", "--hostname-override=x", 30),
        "a kubelet with a newline in its name": running("kubelet\nx"),
        "a kube-proxy that masquerades nothing": running("kube-proxy", "--masquerade-all=false"),
        "an etcd": running("etcd"),
        "an apiserver": running("kube-apiserver"),
        "a controller manager": running("kube-controller"),
        "a scheduler": running("kube-scheduler"),
        "a dockerd that listens": Scenario(
            plant=named("dockerd", "-H tcp://0.0.0.0:2375"), blamed=("docker-tcp", "")
        ),
        "a kubelet in a pod": in_pod("kubelet"),
        "an etcd in a pod": in_pod("etcd"),
        "an apiserver in a pod": in_pod("kube-apiserver"),
        "fifty kube-proxies in a pod": in_pod("kube-proxy", "--masquerade-all=false", 50),
        "a dockerd in a pod": in_pod("dockerd", "-H tcp://0.0.0.0:2375", blamed=("docker-tcp", "")),
        # --- paths that root is to read ------------------------------------------------------
        "a root's file as configuration": Scenario(
            admin=f"umask 077; echo {canary('config')} >/root/plain",
            plant=named("kubelet", "--config=/root/plain"),
            secret=canary("config"),
        ),
        "shadow as configuration": Scenario(
            admin=f"echo {canary('shadow')}:x:1:0:9:7::: >>/etc/shadow",
            plant=named("kubelet", "--config=/etc/shadow"),
            secret=canary("shadow"),
        ),
        "an environment as configuration": running("kubelet", "--config=/proc/1/environ"),
        "a FIFO as configuration": Scenario(
            plant=f"mkfifo {HOME}/fifo; " + named("kubelet", f"--config={HOME}/fifo")
        ),
        "a huge file as configuration": Scenario(
            plant=f"truncate -s 4T {HOME}/huge; " + named("kubelet", f"--config={HOME}/huge")
        ),
        "a configuration with anchors": Scenario(
            plant=f"printf 'a: &a [1]\\nb: [*a, *a, *a]\\n' >{HOME}/anchors.yaml; "
            + named("kubelet", f"--config={HOME}/anchors.yaml"),
            unnamed=f"{HOME}/anchors.yaml",
        ),
        "a link to root's key": Scenario(
            admin=write("/root/linked/own.pem", pem(other), "600"),
            plant=f"ln -s /root/linked/own.pem {HOME}/link.pem",
            secret=linked,
            kept=("/root/linked/own.pem",),
        ),
        "a file that becomes a link to root's key": Scenario(
            plant=write(f"{HOME}/race.pem", certificate(own.public_key(), "race"))
            + f"; cp {HOME}/race.pem {HOME}/race.keep; "
            + f"setsid timeout 150 sh -c 'while :; do ln -sf /root/linked/own.pem {HOME}/race.pem;"
            + f" cp --remove-destination {HOME}/race.keep {HOME}/race.pem; done' >/dev/null 2>&1 &",
            secret=linked,
        ),
        "a file that becomes a FIFO": Scenario(
            plant=f"setsid timeout 150 sh -c 'while :; do rm -f {HOME}/pipe.pem;"
            f" mkfifo {HOME}/pipe.pem; rm -f {HOME}/pipe.pem;"
            f" cp {HOME}/race.keep {HOME}/pipe.pem; done' >/dev/null 2>&1 &"
        ),
        "a folder that leads to sshd's": Scenario(
            plant=f"ln -s /etc/ssh {HOME}/ssh", kept=(SSHD_KEY,), blamed=("", SSHD_KEY)
        ),
        # --- a pod's files, as they lie on the host -------------------------------------------
        "a pod's certificate for sshd's key in its termination log": Scenario(
            pod=in_pods_file("/dev/termination-log", masters(sshd)), blamed=("", SSHD_KEY)
        ),
        "a pod's key in its hosts file": Scenario(
            pod=in_pods_file("/etc/hosts", pem(own) + masters(own.public_key())),
            kept=("/etc/ssh/ssh_config",),
        ),
        "a pod that prints a certificate": Scenario(
            pod=in_pods_file("/proc/1/fd/1", masters(kubelet.public_key())),
            kept=(f"{SSL}/kubelet-key.pem",),
            blamed=("admin-credentials", f"{SSL}/kubelet-key.pem"),
        ),
        "a pod's path with a line end": Scenario(
            pod="mkdir -p '/tmp/x\n/etc/ssh'; "
            + in_pods_file(f"'/tmp/x\n{SSHD_KEY}'", pem(own) + masters(sshd)),
            kept=(SSHD_KEY,),
            blamed=("", SSHD_KEY),
        ),
        "a pod's command line that names root's files": in_pod("sleeper", " ".join(MOVED)),
        # --- ports of the kubelet's ----------------------------------------------------------
        "a pod that listens on the kubelet's port": Scenario(
            pod="httpd -p 10250 -h /tmp", blamed=("foreign-listener", "port 10250")
        ),
        "the read-only port once it is free": Scenario(plant=takes_port(10255)),
        # --- names -----------------------------------------------------------------------------
        "a path below a folder with a line end": Scenario(
            plant=write(quote(f"{HOME}/x\n{SSHD_KEY}"), pem(own)),
            kept=(SSHD_KEY,),
            blamed=("", SSHD_KEY),
        ),
        "a token file below a folder with a line end": Scenario(
            admin=write("/root/tokens.csv", b"# not,a,token\n", "600"),
            plant=write(quote(f"{HOME}/y\n/root/tokens.csv"), b"abc,user,1\n"),
            kept=("/root/tokens.csv",),
            blamed=("", "/root/tokens.csv"),
        ),
        "a folder with a line end before a device": Scenario(
            plant=write(quote(f"{HOME}/z\n/dev/null"), pem(own)), blamed=("", "/dev/null")
        ),
        "a folder with a tab": Scenario(
            plant=write(quote(f"{HOME}/t\t{SSHD_KEY}"), pem(own)), blamed=("", SSHD_KEY)
        ),
        "a name that steers terminals": Scenario(
            plant=write(quote(f"{HOME}/\x1b[2Jgone.pem"), pem(own)), secret="\x1b[2Jgone"
        ),
        "a name that is an option": Scenario(plant=write(quote(f"{HOME}/o/-rf.pem"), pem(own))),
        "a name with patterns": Scenario(plant=write(quote(f"{HOME}/*?[a-z]*.pem"), pem(own))),
        # --- certificates ------------------------------------------------------------------------
        "an administrator's certificate for sshd's key": Scenario(
            plant=write(f"{HOME}/a.pem", masters(sshd)), kept=(SSHD_KEY,), blamed=("", SSHD_KEY)
        ),
        "an administrator's certificate for the kubelet's key": Scenario(
            plant=write(f"{HOME}/k.pem", masters(kubelet.public_key())),
            kept=(f"{SSL}/kubelet-key.pem",),
            blamed=("admin-credentials", f"{SSL}/kubelet-key.pem"),
        ),
        "an administrator's certificate for root's other key": Scenario(
            admin=write("/opt/kube/other.pem", pem(other), "600"),
            plant=write(f"{HOME}/o.pem", masters(other.public_key())),
            kept=("/opt/kube/other.pem",),
        ),
        "an authority's certificate for root's other key": Scenario(
            plant=write(
                f"{HOME}/ca2.pem", certificate(other.public_key(), "kubernetes", authority=True)
            ),
            kept=("/opt/kube/other.pem",),
        ),
        # --- certificates that are made with the CA's key ---------------------------------------
        "the CA's certificate for a key of root's": Scenario(
            admin=write("/opt/kube/served.pem", pem(second), "600"),
            plant=f"{readable}; " + write(f"{HOME}/signed/a.pem", signed(second.public_key())),
            kept=("/opt/kube/served.pem",),
        ),
        "the CA's certificates for the kubelet's key, among others": Scenario(
            plant=f"{readable}; "
            + write(
                f"{HOME}/signed/all.pem",
                authority
                + certificate(kubelet.public_key(), "ca", authority=True, signer=signer)
                + signed(kubelet.public_key()),
            ),
            kept=(f"{SSL}/kubelet-key.pem",),
        ),
        "the CA's certificate for one of two keys in a file": Scenario(
            admin=write(
                "/root/bundle.pem", pem(first) + pem(admins) + signed(admins.public_key()), "600"
            ),
            plant=f"{readable}; " + write(f"{HOME}/signed/one.pem", signed(first.public_key())),
            moved=("/root/bundle.pem",),
        ),
        "a copy of root's certificate": Scenario(plant=f"cp {SSL}/kubelet.pem {HOME}/copy.pem"),
        "a certificate whose name is lines of a report": Scenario(
            admin=write("/opt/kube/named.pem", pem(named_in_lines), "600"),
            plant=write(
                f"{HOME}/lines.pem",
                certificate(named_in_lines.public_key(), f"x{FORGED}", organization=MASTERS),
            ),
            secret=FORGED,
            kept=("/opt/kube/named.pem",),
        ),
        "the cluster's CA with another": Scenario(
            plant=write(
                f"{HOME}/ca.pem",
                authority + certificate(own.public_key(), "mine", authority=True),
            ),
            unnamed=f"{HOME}/ca.pem",
        ),
        "the cluster's CA alone": Scenario(
            plant=write(f"{HOME}/only/ca.pem", authority), unnamed=f"{HOME}/only/ca.pem"
        ),
        "a certificate without an end": Scenario(
            plant=write(f"{HOME}/half.pem", b"-----BEGIN CERTIFICATE-----\n" + b"QUJD\n" * 9000)
        ),
        "a key that is one long line": Scenario(
            plant=write(f"{HOME}/long.pem", b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 60_000)
        ),
        "the user's own key": Scenario(
            plant=write(f"{HOME}/own.pem", pem(own) + masters(own.public_key()), "600"),
            kept=(f"{HOME}/own.pem",),
        ),
        "a key on a security token": Scenario(
            plant=write(f"{HOME}/id_ed25519_sk", security_key(), "600")
        ),
        "the user's own token list": Scenario(
            plant=write(f"{HOME}/token.csv", b"0123456789abcdef,user,1\n"),
            kept=(f"{HOME}/token.csv",),
        ),
        # --- kubeconfigs ------------------------------------------------------------------------
        "a kubeconfig that runs a program": Scenario(
            plant=named("helper", "", "ran-plugin")
            + "; "
            + write(
                f"{HOME}/.kube/config",
                json.dumps(
                    {
                        "kind": "Config",
                        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1"}}],
                        "users": [
                            {
                                "name": "u",
                                "user": {"exec": {"command": f"{HOME}/ran-plugin/helper"}},
                            }
                        ],
                    },
                    indent=1,
                ).encode(),
            ),
            marker="/root/ran-plugin",
        ),
        "a kubeconfig with a token of its own": Scenario(
            plant=write(
                f"{HOME}/kube.yaml",
                f"kind: Config\nclusters: []\nusers:\n- token: {canary('token')}\n".encode(),
            ),
            secret=canary("token"),
        ),
        # --- floods ---------------------------------------------------------------------------
        "hundreds of keys": Scenario(
            plant=write(f"{HOME}/flood/0.pem", pem(own))
            + f"; for n in $(seq 600); do cp {HOME}/flood/0.pem {HOME}/flood/$n.pem; done"
        ),
        "names beyond what a command line takes": Scenario(
            plant=f"l=$(printf %0220d 0); mkdir -p {HOME}/n/$l/$l; "
            f"for n in $(seq 300); do cp {HOME}/race.keep {HOME}/n/$l/$l/$n.pem; done"
        ),
        "thousands of files": Scenario(
            plant=f"mkdir -p {HOME}/many; cd {HOME}/many; seq 4000 | xargs touch"
        ),
        "a deep tree": Scenario(
            plant=f"cd {HOME}; for n in $(seq 60); do mkdir d; cd d; cp {HOME}/own.pem a.pem; done"
        ),
        "a command line without end": running("kubelet", f"--x={'y' * 20_000}"),
        # --- who uses what ---------------------------------------------------------------------
        "a command line that names root's files": Scenario(plant=named("sleeper", " ".join(MOVED))),
        "a crontab that names root's files": Scenario(
            admin=f"mkdir -p /var/spool/cron/crontabs; cd /var/spool/cron/crontabs;"
            f" echo '* * * * * cat {' '.join(MOVED)}' >{NAME}; chown {UID} {NAME}; chmod 600 {NAME}"
        ),
        "a key that root's program uses": Scenario(
            admin=write("/opt/kube/used.pem", pem(own) + masters(own.public_key()), "600")
            + "; setsid tail -f /opt/kube/used.pem </dev/null >/dev/null 2>&1 &",
            kept=("/opt/kube/used.pem",),
        ),
        # --- secrets of units --------------------------------------------------------------------
        **{
            f"a unit's {name}": Scenario(
                admin="mkdir -p /etc/systemd/system/kube-proxy.service.d;"
                f" printf '[Service]\\nEnvironment={name}={canary(name)}\\n'"
                f" >/etc/systemd/system/kube-proxy.service.d/{name}.conf; systemctl daemon-reload",
                secret=canary(name),
            )
            for name in ("DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "API_TOKEN", "KeyMaterial")
        },
    }


@dataclass
class Story:
    """What was seen: before anything was planted, then of every command after."""

    lab: Lab
    attempts: dict[str, Scenario]
    before: set[tuple[str, str]]
    audit: Done
    plan: Done
    harden: Done
    after: Done
    without_kubelet: Done
    digests: dict[str, str]
    containers: dict[str, str]
    pods: Workload

    @property
    def all(self) -> tuple[Done, ...]:
        return (self.audit, self.plan, self.harden, self.after, self.without_kubelet)


def findings(done: Done) -> list[dict[str, Any]]:
    (entry,) = (node for node in done.document["nodes"] if node["node"] == HOST)
    found: list[dict[str, Any]] = entry["findings"]
    return found


def keys(done: Done) -> set[tuple[str, str]]:
    return {(finding["check"], finding["subject"]) for finding in findings(done)}


def digests(lab: Lab, attempts: dict[str, Scenario]) -> dict[str, str]:
    """Return path → digest of all files that must stay as they are."""
    paths = {path for attempt in attempts.values() for path in attempt.kept}
    return {path: lab.on(HOST, f"sha256sum <{quote(path)}", code=None) for path in sorted(paths)}


def as_user(lab: Lab, script: str) -> None:
    lab.on(HOST, f"cd /; setpriv --reuid {UID} --regid {UID} --clear-groups sh -c {quote(script)}")


@pytest.fixture(scope="module")
def story(lab: Lab, joining: Joining) -> Iterator[Story]:
    lab.lab("fresh", "--hosts", HOST)
    lab.lab("kubeasz", HOST)
    pods = Workload(lab)
    pods.start(HOST)
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    config = lab.config(artifacts=nowhere)
    limit = ("--limit", HOST)
    before = keys(lab.inv("audit", "--json", *limit, config=config, code=3))
    attempts = scenarios(lab)
    user = f"{NAME}:x:{UID}:{UID}::{HOME}:/bin/sh"
    lab.on(HOST, f"echo {user} >>/etc/passwd; mkdir -p {HOME}; chown {UID}:{UID} {HOME}")
    for attempt in attempts.values():
        if attempt.admin:
            lab.on(HOST, attempt.admin)
        if attempt.plant:
            as_user(lab, attempt.plant)
        if attempt.pod:
            pods.kubectl("exec", f"web-{HOST}", "--", "sh", "-c", attempt.pod)
    attacks.tried(len(attempts))
    unchanged, containers = digests(lab, attempts), pods.containers()
    audit = lab.inv("audit", "--json", *limit, config=config, code=3)
    plan = lab.inv("harden", "--dry-run", *limit, config=config)
    harden = lab.inv("harden", "--yes", "--json", *limit, config=config)
    after = lab.inv("audit", "--json", *limit, config=config, code=3)
    lab.on(HOST, "systemctl stop kubelet")
    without = lab.inv("audit", "--json", *limit, config=config, code=3)
    lab.on(HOST, "systemctl start kubelet")
    # It is asked by way of the kubelet, which has to be up again first.
    eventually(lambda: pods.ask(HOST, HOST))
    yield Story(
        *(lab, attempts, before, audit, plan, harden, after, without, unchanged, containers, pods)
    )
    lab.on(HOST, f"pkill -9 -u {UID}; pkill -f '[t]ail -f /opt/kube/used.pem'", code=None)
    lab.lab("fresh", "--hosts", HOST)


def texts(story: Story) -> Iterator[tuple[str, str]]:
    """Yield all that left the host, with where it was seen."""
    for done in story.all:
        yield " ".join(done.words), done.text
        for path in sorted(path for path in done.state.rglob("*") if path.is_file()):
            yield str(path), path.read_text()


def test_each_attempt_gained_nothing(story: Story) -> None:
    """Nothing was run, moved, read out, accused by false evidence, or named in a repair."""
    assert len(story.attempts) >= 40
    now = digests(story.lab, story.attempts)
    seen = list(texts(story))
    wrong = []
    for name, attempt in story.attempts.items():
        if attempt.marker and story.lab.on(HOST, f"ls {attempt.marker}", code=None):
            wrong.append(f"{name}: root ran it")
        wrong += [
            f"{name}: {path} changed" for path in attempt.kept if now[path] != story.digests[path]
        ]
        if attempt.secret:
            wrong += [
                f"{name}: read out in {where}" for where, text in seen if attempt.secret in text
            ]
        check, subject = attempt.blamed
        if check or subject:
            wrong += [
                f"{name}: blamed {found}"
                for done in (story.audit, story.after, story.without_kubelet)
                for found in keys(done)
                if (not check or found[0] == check) and (not subject or found[1] == subject)
            ]
        if attempt.unnamed:
            places = "/etc/systemd/system /etc/kubernetes /var/lib/kubelet/config.yaml"
            command = f"grep -rlF {quote(attempt.unnamed)} {places} 2>/dev/null"
            if story.lab.on(HOST, command, code=None):
                wrong.append(f"{name}: a configuration names it")
    attacks.wrong(wrong)


def test_nothing_that_was_wrong_before_is_silenced(story: Story) -> None:
    """Whatever a user plants, root's faults are found as they were, and mended."""
    attacks.wrong([f"silenced: {found}" for found in sorted(story.before - keys(story.audit))])
    moved = (*MOVED, *others_moved(story))
    attacks.wrong([f"not moved: {path}" for path in moved if not aside(story.lab, path)])


def others_moved(story: Story) -> list[str]:
    """Return what scenarios name of root's that has to be moved."""
    return [path for attempt in story.attempts.values() for path in attempt.moved]


def aside(lab: Lab, path: str) -> bool:
    return bool(lab.on(HOST, f"ls {QUARANTINE}{path}", code=None))


def test_who_takes_the_read_only_port_fails_no_repair(story: Story) -> None:
    """Harden closed it; a user opened it at once, and answers there as the kubelet did."""
    assert ("read-only-port", "kubelet") in keys(story.audit)
    after = keys(story.after)
    attacks.wrong([str(key) for key in after if key == ("read-only-port", "kubelet")])
    assert ("foreign-listener", "port 10255") in after


def test_nothing_but_the_host_s_own_keys_lies_in_the_quarantine(story: Story) -> None:
    moved = story.lab.on(HOST, f"find {QUARANTINE} -type f ! -name NOTE").split()
    strange = [path for path in moved if not path.startswith(f"{QUARANTINE}/etc/kubernetes/")]
    known = {f"{QUARANTINE}{path}" for path in (*MOVED, *others_moved(story))}
    attacks.wrong([path for path in strange if path not in known])


def test_every_command_ends_in_time(story: Story) -> None:
    attacks.wrong([f"{d.words}: {d.seconds:.0f} s" for d in story.all if d.seconds > IN_TIME])


def test_limits_that_were_reached_are_reported_with_a_severity(story: Story) -> None:
    """The user's floods cost the user's own files only, and that is no reason for exit 0."""
    unseen = [f for f in findings(story.audit) if f["check"] == "unseen"]
    assert unseen
    assert {"medium"} <= {f["severity"] for f in unseen}


def test_pods_went_on_and_what_is_printed_is_printable(story: Story) -> None:
    assert story.pods.containers() == story.containers
    for done in story.all:
        assert "\x1b" not in done.text


def test_nothing_is_built_on_a_client_ca_that_the_user_may_write(story: Story) -> None:
    """It says who everybody is: Webhook would ask whether these may do what they like."""
    lab, ca, config = story.lab, f"{HOME}/only/ca.pem", "/var/lib/kubelet/config.yaml"
    change = f"s,clientCAFile: .*,clientCAFile: {ca},; s,mode: Webhook,mode: AlwaysAllow,"
    lab.on(HOST, f"cp -a {config} {config}.before; sed -i {quote(change)} {config}")
    limit = ("--limit", HOST)
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    settings = lab.config(artifacts=nowhere)
    audit = lab.inv("audit", "--json", *limit, config=settings, code=3)
    plan = lab.inv("harden", "--dry-run", *limit, config=settings)
    lab.on(HOST, f"mv {config}.before {config}")
    found = {f["check"]: f for f in findings(audit)}
    (ours,) = [f for f in findings(audit) if f["subject"] == ca and f["severity"] == "high"]
    assert ours["check"] == "foreign-client-ca"
    assert not found["always-allow"]["harden"]
    assert ca in found["always-allow"]["by_hand"]
    assert "+  mode: Webhook" not in plan.out
    attacks.tried(1)


def test_who_answers_in_the_kubelet_s_place_is_not_believed(story: Story) -> None:
    """A user while the kubelet is down; a pod in the host's network, as root, when it is up."""
    lab, limit = story.lab, ("--limit", HOST)
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    config = lab.config(artifacts=nowhere)
    lab.on(HOST, "pkill -f '[t]akes-10255'; systemctl stop kubelet")
    key_pair = f"-keyout {HOME}/tls.pem -out {HOME}/tls.crt"
    as_user(
        lab,
        f"cd {HOME}; openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=kubelet {key_pair}"
        f" 2>/dev/null; setsid openssl s_server -accept 10250 -www -key {HOME}/tls.pem"
        f" -cert {HOME}/tls.crt </dev/null >/dev/null 2>&1 &",
    )
    eventually(lambda: lab.on(HOST, "ss -Hltn 'sport = :10250'", code=None))
    down = lab.inv("audit", "--json", *limit, config=config, code=3)
    lab.on(HOST, "pkill -f '[s]_server -accept 10250'; systemctl start kubelet")
    eventually(lambda: story.pods.ask(HOST, HOST))
    item = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "in-the-hosts-network"},
        "spec": {
            "nodeName": HOST,
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": "docker.io/library/busybox:1.35.0",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["httpd", "-f", "-p", "10255", "-h", "/etc"],
                }
            ],
        },
    }
    story.pods.kubectl("apply", "-f", "-", stdin=json.dumps(item))
    eventually(lambda: lab.on(HOST, "ss -Hltn 'sport = :10255'", code=None))
    up = lab.inv("audit", "--json", *limit, config=config, code=3)
    story.pods.kubectl("delete", "pod", "in-the-hosts-network", "--force")
    attacks.tried(2)
    assert {("foreign-listener", "port 10250")} <= keys(down)
    assert ("foreign-listener", "port 10255") in keys(up)
    opened = {("anonymous-kubelet", "kubelet"), ("read-only-port", "kubelet")}
    attacks.wrong([f"believed: {key}" for key in opened & (keys(down) | keys(up))])
    assert ("foreign-listener", "port 10250") not in keys(up)


_STRANGER = "somebody-elses"
_ANSWERS_TLS = (
    f"cd /tmp; openssl req -x509 -newkey rsa:2048 -nodes -subj /CN={_STRANGER} -keyout tls.pem"
    " -out tls.crt; exec openssl s_server -accept 8443 -www -key tls.pem -cert tls.crt"
)


@pytest.mark.sites
def test_a_service_on_the_nodes_address_does_not_answer_for_the_kubelet(story: Story) -> None:
    """Its owner needs no privilege. The pod has the host's files only to have openssl at hand."""
    lab, limit, name = story.lab, ("--limit", HOST), "in-the-kubelets-place"
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    config = lab.config(artifacts=nowhere)
    address = str(lab.layout.host(HOST).address)
    container = {
        "name": "main",
        "image": "docker.io/library/busybox:1.35.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["busybox", "chroot", "/host", "sh", "-c", _ANSWERS_TLS],
        "stdin": True,  # at whose end it would end
        "volumeMounts": [{"name": "host", "mountPath": "/host"}],
    }
    items = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "nodeName": HOST,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {
                "selector": {"app": name},
                "externalIPs": [address],
                "ports": [{"port": 10250, "targetPort": 8443}],
            },
        },
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    shown = (
        f"timeout 5 openssl s_client -connect {address}:10250 </dev/null 2>/dev/null"
        f" | grep {_STRANGER}"
    )  # the kubelet would let it wait
    story.pods.kubectl("apply", "-f", "-", stdin=listed)
    try:
        eventually(lambda: lab.on(HOST, shown, code=None))
        audit = lab.inv("audit", "--json", *limit, config=config, code=3)
    finally:
        story.pods.kubectl("delete", "service", name)
        story.pods.kubectl("delete", "pod", name, "--force")
    eventually(lambda: not lab.on(HOST, shown, code=None))
    attacks.tried(1)
    assert ("foreign-listener", "port 10250") in keys(audit)
    attacks.wrong(["believed"] if ("anonymous-kubelet", "kubelet") in keys(audit) else [])


# Takes every port from which a connection could begin, on the two addresses where the kubelet is
# asked from; prints a line once it has them.
_ALL_PORTS = """
use Socket;
my ($from, $to, @at) = @ARGV;
my @held;
for my $at (@at) {
    for my $port ($from .. $to) {
        socket(my $s, PF_INET, SOCK_STREAM, 0) or last;
        push @held, $s if bind($s, sockaddr_in($port, inet_aton($at)));
    }
}
print scalar(@held), "\\n";
close STDOUT;
sleep 600;
"""


def test_who_keeps_sshd_from_asking_the_kubelet_makes_no_host_sound(story: Story) -> None:
    """Without a port to connect from, nobody is asked: that is no answer, and is reported."""
    lab, limit = story.lab, ("--limit", HOST)
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    config = lab.config(artifacts=nowhere)
    lab.on(HOST, f"cat >{HOME}/ports.pl <<'EOF'\n{_ALL_PORTS}EOF")
    low, high = map(int, lab.on(HOST, "cat /proc/sys/net/ipv4/ip_local_port_range").split())
    middle = (low + high) // 2
    # Fewer, so that two processes can hold them all.
    lab.on(HOST, f"echo {low} {low + 2000} >/proc/sys/net/ipv4/ip_local_port_range")
    assert middle > low + 2000
    address = lab.layout.host(HOST).address
    as_user(
        lab,
        f"cd {HOME}; ulimit -n 8000; setsid perl ports.pl {low} {low + 2000} 127.0.0.1 {address}"
        " 0.0.0.0 </dev/null >ports.out 2>&1 &",
    )
    eventually(lambda: lab.on(HOST, f"cat {HOME}/ports.out").strip())
    try:
        audit = lab.inv("audit", "--json", *limit, config=config, code=3)
    finally:
        lab.on(HOST, "pkill -9 -f '[p]orts.pl'", code=None)
        lab.on(HOST, f"echo {low} {high} >/proc/sys/net/ipv4/ip_local_port_range")
    unseen = [f for f in findings(audit) if f["check"] == "unseen" and f["severity"] == "medium"]
    attacks.wrong(
        [] if any(":10250" in f["text"] for f in unseen) else ["whom it answers: silence"]
    )
    attacks.tried(1)


def test_harden_starts_no_program_that_a_user_may_write(story: Story) -> None:
    lab, limit = story.lab, ("--limit", HOST)
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    config = lab.config(artifacts=nowhere)
    shown = lab.on(HOST, "systemctl show -p ExecStart kubelet | sed 's/.*path=\\([^ ]*\\) .*/\\1/'")
    program = shown.strip()
    yaml = "/var/lib/kubelet/config.yaml"
    lab.on(HOST, f"cp -a {yaml} {yaml}.before; sed -i 's/mode: Webhook/mode: AlwaysAllow/' {yaml}")
    lab.on(HOST, f"chown {UID} {program}")
    try:
        audit = lab.inv("audit", "--json", *limit, config=config, code=3)
        plan = lab.inv("harden", "--dry-run", *limit, config=config)
    finally:
        lab.on(HOST, f"chown 0 {program}; mv {yaml}.before {yaml}")
    found = {(f["check"], f["subject"]): f for f in findings(audit)}
    wrong = [] if found[("others-may-write", program)]["severity"] == "critical" else ["silence"]
    wrong += ["it would be started"] if "restart    kubelet.service" in plan.out else []
    assert not found[("always-allow", "kubelet")]["harden"]
    attacks.wrong(wrong)
    attacks.tried(1)


def test_a_user_s_program_among_the_system_s_is_not_run_and_no_unit_started_to_find_it(
    story: Story,
) -> None:
    """Units look for programs in /usr/local first: started again, the kubelet would find it."""
    lab, limit = story.lab, ("--limit", HOST)
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    config = lab.config(artifacts=nowhere)
    yaml, program, ran = "/var/lib/kubelet/config.yaml", "/usr/local/bin/ssh-keygen", "/root/ran"
    lab.on(HOST, f"cp -a {yaml} {yaml}.before; sed -i 's/mode: Webhook/mode: AlwaysAllow/' {yaml}")
    lab.on(HOST, f"{write(program, telltale(ran), '755')}; chown {UID}:{UID} {program}")
    try:
        audit = lab.inv("audit", "--json", *limit, config=config, code=3)
        plan = lab.inv("harden", "--dry-run", *limit, config=config)
    finally:
        lab.on(HOST, f"rm {program}; mv {yaml}.before {yaml}")
    found = {(f["check"], f["subject"]): f for f in findings(audit)}
    wrong = ["root ran it"] if lab.on(HOST, f"ls {ran}", code=None) else []
    wrong += [] if ("others-may-write", program) in found else ["silence"]
    wrong += ["it would be started"] if "restart    kubelet.service" in plan.out else []
    always = found[("always-allow", "kubelet")]
    assert not always["harden"]
    assert program in always["by_hand"]
    attacks.wrong(wrong)
    attacks.tried(1)


def test_the_node_works_after_all_that(story: Story, tmp_path: Path) -> None:
    assert story.pods.ask(HOST, HOST) == HOST
