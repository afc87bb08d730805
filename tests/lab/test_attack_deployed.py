"""
A user without rights, and a kubelet's own credentials, on nodes that fabnode deployed.

All is planted at once; then the nodes are audited, planned and deployed as ever. Nothing of root's
may be read, run, moved or silenced, and what is root's fault is found as it was before.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fabnode.util.own_names import NODE_RECORD
from tests import attacks

from .harness import NODES, eventually
from .test_changes import changes
from .workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Done, Lab

pytestmark = pytest.mark.attack

HOST = "n1"
UID = 4243
HOME = "/home/trudy"
PROXY_KEY = "/etc/kubernetes/pki/kube-proxy.pem"
CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
CANARY = "/root/canary"
CANARY_TEXT = "CANARY-9d27ce"
RULES = "iptables-save | grep -v '^[#:]' | sed 's/\\[[0-9:]*\\]//'"
CA_KEY = "/home/ops/ca-key.pem"

# What is root's alone on a node: no other user may read it.
SECRETS = (
    PROXY_KEY,
    CLIENT,
    "/var/lib/kubelet/pki/kubelet-server-current.pem",
    "/etc/kubernetes/kubelet.kubeconfig",
    "/var/lib/fabnode/digests",
    "/run/fabnode.lock",
    "/run/containerd/containerd.sock",
    CANARY,
    CA_KEY,
)


def process(name: str, *arguments: str) -> str:
    """Return shell that leaves a process of the user's under a name, with these arguments."""
    path = quote(f"{HOME}/bin/{name}")
    words = " ".join(quote(word) for word in arguments)
    start = f'setsid bash -c \'exec -a "$0" "$@"\' {quote(name)} {path} 600 {words}'
    # `sleep` takes nothing but numbers: the words come before it, as its argv[0].
    if arguments:
        start = f'setsid bash -c \'exec -a "$0" "$1" 600\' {quote(f"{name} " + words)} {path}'
    return f"mkdir -p {HOME}/bin; cp /bin/sleep {path}; {start} </dev/null >/dev/null 2>&1 &"


def holding(lock: str) -> str:
    """Return shell that holds a lock, if the user can open its file at all."""
    return f"setsid flock -n {lock} sleep 600 </dev/null >/dev/null 2>&1 &"


PLANTED = {
    "a kubelet with safe settings": process(
        "kubelet", "--anonymous-auth=false", "--read-only-port=0", "--config=/etc/shadow"
    ),
    "a kube-proxy": process("kube-proxy", "--masquerade-all=true", f"--config={CANARY}"),
    "an etcd": process("etcd"),
    "a containerd": process("containerd", "--config", CANARY),
    "a name that steers terminals": process("\x1b[31mkubelet"),
    "a name with a line end": process("kubelet\nkubelet"),
    "fabnode's lock": holding("/run/fabnode.lock"),
    "the packet filter's lock": holding("/run/xtables.lock"),
    "links with fabnode's name where all may write": "; ".join(
        f"ln -s {CANARY} {folder}/{name}"
        for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")
        for name in ("fabnode", "fabnode.lock", "fabnode.new")
    ),
    "a FIFO with fabnode's name": "mkfifo /tmp/.fabnode /var/tmp/.fabnode",
    "hundreds of certificates": f"mkdir -p {HOME}/flood; cd {HOME}/flood; for n in $(seq 300); do"
    " printf -- '-----BEGIN CERTIFICATE-----\\nQUJD\\n-----END CERTIFICATE-----\\n' >$n.pem; done",
    "a link to root's canary": f"ln -s {CANARY} {HOME}/canary.pem",
    "a profile": f"echo 'touch /root/ran-profile' | tee {HOME}/.profile {HOME}/.bashrc",
    "a folder with fabnode's state": f"mkdir -p {HOME}/var/lib/fabnode/quarantine/etc;"
    f" ln -s {CANARY} {HOME}/var/lib/fabnode/digests",
}

# Folders that hold what root runs or reads, where somebody gave rights away: host, deed, undo.
FOLDERS = (
    {
        "n1": ("/etc/containerd", f"chown {UID}"),
        "n2": ("/opt/cni/bin", "chmod o+w"),
        "n3": ("/etc/kubernetes", f"chown {UID}"),
    },
    {
        "n1": ("/var/lib/fabnode", "chmod 777"),
        "n2": ("/etc/cni/net.d", "chmod g+w"),
        "n3": ("/etc/sysctl.d", f"chown {UID}"),
    },
)


@dataclass
class Story:
    """What was seen after all was planted."""

    lab: Lab
    before: set[tuple[str, str]]
    audit: Done
    plan: dict[str, Any]
    deployed: Done
    last: Done
    rules: tuple[str, str]
    containers: tuple[dict[str, str], dict[str, str]]
    processes: tuple[int, int]
    restarted: set[str]

    @property
    def all(self) -> tuple[Done, ...]:
        return (self.audit, self.deployed, self.last)


def keys(done: Done) -> set[tuple[str, str]]:
    (entry,) = (node for node in done.document["nodes"] if node["node"] == HOST)
    return {(f["check"], f["subject"]) for f in entry["findings"] if f["severity"] != "info"}


def as_user(lab: Lab, script: str, code: int | None = 0) -> str:
    how = f"setpriv --reuid {UID} --regid {UID} --clear-groups"
    return lab.on(HOST, f"cd /; {how} sh -c {quote(script)}", code=code)


def alive(lab: Lab) -> int:
    return len(lab.on(HOST, f"pgrep -u {UID} -f 600", code=None).split())


@pytest.fixture(scope="module")
def nodes(lab: Lab, joining: object) -> Lab:
    lab.restore()
    return lab


@pytest.fixture(scope="module")
def story(nodes: Lab) -> Iterator[Story]:
    lab = nodes
    pods = Workload(lab)
    pods.start(HOST)
    ca_key = (lab.layout.pki / "ca-key.pem").read_text()
    lab.disturb(
        HOST,
        f"umask 077; echo {CANARY_TEXT} >{CANARY}; chmod 644 {PROXY_KEY};"
        # Root's own /home is a symlink, as on many hosts, and root's own fault lies in it.
        "umask 022; mv /home /srv/home; ln -s /srv/home /home; mkdir -p /home/ops;"
        f" umask 077; echo {quote(ca_key)} >{CA_KEY};"
        f" mkdir -p {HOME}; chmod 755 {HOME}; chown {UID}:{UID} {HOME}",
    )
    limit = ("--limit", HOST)
    before = keys(lab.inv("audit", "--json", *limit, code=3))
    for script in PLANTED.values():
        as_user(lab, script, code=None)
    attacks.tried(len(PLANTED))
    rules, containers, starts = lab.on(HOST, RULES), pods.containers(), lab.starts(HOST)
    running = alive(lab)
    audit = lab.inv("audit", "--json", *limit, code=3)
    plan = lab.plan(*limit)
    deployed = lab.deploy(*limit)
    last = lab.inv("audit", "--json", *limit, code=3)
    yield Story(
        *(lab, before, audit, plan, deployed, last),
        (rules, lab.on(HOST, RULES)),
        (containers, pods.containers()),
        (running, alive(lab)),
        lab.restarted(starts),
    )
    lab.on(
        HOST,
        f"pkill -9 -u {UID}; rm -rf {CANARY} {HOME} /home/ops /tmp/*fabnode* /tmp/.fabnode"
        " /var/tmp/*fabnode* /var/tmp/.fabnode /dev/shm/fabnode* /run/lock/fabnode*;"
        " rm /home; mv /srv/home /home",
        code=None,
    )


def test_what_is_wrong_is_found_as_before(story: Story) -> None:
    """Neither flood nor false process silences what root did wrong, or is blamed on root."""
    assert {("ca-key", CA_KEY), ("open-secret", PROXY_KEY)} <= story.before
    attacks.wrong([f"silenced: {key}" for key in story.before - keys(story.audit)])
    added = keys(story.audit) - story.before
    attacks.wrong([f"blamed: {key}" for key in added if key[0] != "unseen"])
    assert ("ca-key", CA_KEY) in keys(story.last)


def test_nothing_but_root_s_fault_is_changed(story: Story) -> None:
    assert changes(story.plan)[HOST] == [("mode", PROXY_KEY)]
    assert story.deployed.results[HOST] == "changed"
    assert story.restarted == set()
    assert story.containers[0] == story.containers[1]
    assert story.rules[0]
    assert story.rules[0] == story.rules[1]


def test_the_user_s_processes_are_left_alone(story: Story) -> None:
    before, after = story.processes
    assert before >= 6  # those with false names; locks that can't be opened hold nobody
    assert after == before


def test_nothing_of_root_s_is_read_out_or_written(story: Story) -> None:
    lab = story.lab
    assert lab.on(HOST, f"cat {CANARY}; stat -c %a {CANARY}") == f"{CANARY_TEXT}\n600\n"
    assert lab.on(HOST, "ls /root/ran-profile", code=None) == ""
    secret = (lab.layout.pki / "ca-key.pem").read_text().splitlines()[1]
    shadow = lab.on(HOST, "head -n 1 /etc/shadow").strip()
    for done in story.all:
        journal = [p.read_text() for p in done.state.rglob("*") if p.is_file()]
        for text in (done.text, *journal):
            for canary in (CANARY_TEXT, secret, shadow):
                assert canary not in text
        assert "\x1b" not in done.out


@pytest.mark.parametrize("path", SECRETS)
def test_a_user_opens_nothing_secret(story: Story, path: str) -> None:
    attacks.tried()
    story.lab.on(HOST, f"[ -e {path} ]")
    opened = as_user(story.lab, f"[ -r {path} ] || [ -w {path} ] && echo opened; true")
    attacks.wrong([path] if opened else [])


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://{}:10250/pods", "401"),
        ("https://{}:10250/run/work/web-n1/main", "401"),
        ("http://{}:10255/pods", "000"),
        ("http://{}:2375/info", "000"),
    ],
)
def test_a_user_is_answered_by_nobody(story: Story, url: str, answer: str) -> None:
    attacks.tried()
    address = story.lab.layout.host(HOST).address
    ask = f"curl -sk -o /dev/null -w '%{{http_code}}' --max-time 5 {url.format(address)}"
    assert as_user(story.lab, ask, code=None) == answer


@pytest.mark.parametrize("places", FOLDERS, ids=["first", "second"])
def test_folders_of_others_are_refused_before_anything_is_changed(
    nodes: Lab, places: dict[str, tuple[str, str]]
) -> None:
    """A plan that changes each node stops at the folder that others may change."""
    config = nodes.config(kubelet={"max_pods": 83})
    starts = nodes.starts()
    kept = {}
    for host, (path, deed) in places.items():
        kept[host] = nodes.on(host, f"stat -c '%u:%g %a' {path}").split()
        nodes.disturb(host, f"{deed} {path}")
    attacks.tried(len(places))
    try:
        done = nodes.deploy(code=1, config=config)
        for host, (path, _) in places.items():
            assert f"others than root may change what is in {path}" in done.rows[host]["cause"]
        assert nodes.restarted(starts) == set()
        if places["n3"][0] == "/etc/kubernetes":
            nodes.inv("audit", "--json", "--limit", "n3", code=3)
    finally:
        for host, (path, _) in places.items():
            owner, mode = kept[host]
            nodes.disturb(host, f"chown {owner} {path}; chmod {mode} {path}")


# What n1's kubelet may not do at the API, whatever it asks for.
REFUSED = {
    "label another node": ("label", "node", "n2", "a=b"),
    "annotate another node": ("annotate", "node", "n2", f"{NODE_RECORD}=[]"),
    "delete another node": ("delete", "node", "n2"),
    "take its own taints away": (
        *("patch", "node", HOST, "-p"),
        '{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}',
    ),
    "call itself a control plane": ("label", "node", HOST, "node-role.kubernetes.io/master="),
    "label itself where that is restricted": (
        *("label", "node", HOST),
        "node-restriction.kubernetes.io/a=b",
    ),
    "read tokens": ("get", "secrets", "-n", "kube-system"),
    "read fabnode's leases": ("get", "leases", "-n", "kube-system"),
    "become the deployer": ("auth", "can-i", "impersonate", "users"),
    "approve requests": ("auth", "can-i", "approve", "signers/kubernetes.io/kubelet-serving"),
}


@pytest.fixture(scope="module")
def kubelet(nodes: Lab) -> list[str]:
    """Return the kubectl command with the credentials of n1's kubelet."""
    document = yaml.safe_load(nodes.layout.kubeconfig.read_text())
    path = nodes.scratch / "kubelet.pem"
    path.write_text(nodes.on(HOST, f"cat {CLIENT}"))
    document["users"][0]["user"] = {"client-certificate": str(path), "client-key": str(path)}
    config = nodes.scratch / "kubelet.kubeconfig"
    config.write_text(yaml.safe_dump(document))
    return nodes.kubectl_command(config)


def ask(kubelet: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*kubelet, *words], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("title", REFUSED)
def test_a_kubelet_s_credentials_do_no_more_than_a_kubelet_s(
    kubelet: list[str], title: str
) -> None:
    attacks.tried()
    assert ask(kubelet, "get", "node", HOST).returncode == 0
    done = ask(kubelet, *REFUSED[title])
    refused = done.stdout.strip() == "no" or any(
        word in done.stderr for word in ("forbidden", "Forbidden", "not allowed")
    )
    attacks.wrong([] if done.returncode and refused else [f"{title}: {done}"])


def test_a_kubelet_that_claims_another_s_machine_id(nodes: Lab) -> None:
    """
    The other node is planned as before; the lie is named.

    A kubelet may patch its status; kubectl would have to read the subresource first, which no
    kubelet does, so the administrator writes here what a kubelet could.
    """
    nodes.on(HOST, "systemctl stop kubelet")
    stolen = nodes.on("n2", "cat /etc/machine-id").strip()
    patch = json.dumps({"status": {"nodeInfo": {"machineID": stolen}}})
    attacks.tried()
    try:
        nodes.kubectl("patch", "node", HOST, "--subresource=status", "-p", patch)
        nodes.inv("plan", "--exit-code", "--limit", "n2")
        printed = " ".join(nodes.fab("-H", "n2", "preflight").text.split())
        assert f"{HOST} reports the machine-id with which n2" in printed
    finally:
        nodes.on(HOST, "systemctl start kubelet")
    eventually(lambda: set(NODES) <= nodes.ready() or None)


def test_a_kubelet_that_forges_the_record_of_its_marks(nodes: Lab, kubelet: list[str]) -> None:
    """A label that an administrator set is not taken away for what the kubelet wrote."""
    nodes.kubectl("label", "node", HOST, "team=admins")
    forged = json.dumps({"labels": {"team": "admins"}, "annotations": {}, "taints": []})
    attacks.tried()
    try:
        done = ask(kubelet, "annotate", "--overwrite", "node", HOST, f"{NODE_RECORD}={forged}")
        assert done.returncode == 0, done
        nodes.deploy()
        (node,) = (n for n in nodes.objects("nodes") if n["metadata"]["name"] == HOST)
        assert node["metadata"]["labels"]["team"] == "admins"
    finally:
        nodes.kubectl("label", "node", HOST, "team-")
