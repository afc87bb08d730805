"""Hosts on the lab whose root is hostile: forged and endless answers, paths that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from fabnode.kube.client import Api
from fabnode.kube.csr import REQUESTS
from fabnode.kube.kubeconfig import load
from tests import attacks

from .harness import NODES, eventually
from .requester import Request

if TYPE_CHECKING:
    from .harness import Done, Lab

pytestmark = [pytest.mark.attack, pytest.mark.trouble]

ROGUE = "n3"
BOOTSTRAP = "/etc/kubernetes/bootstrap.kubeconfig"
GOOD = tuple(node for node in NODES if node != ROGUE)

# Stand-ins for what runs on the host, first in everybody's PATH there.
_SHELL = '#!/bin/bash\n[ "$1" = -s ] || exec /bin/sh "$@"\ncat >/dev/null &\n'
_STAT = '#!/bin/sh\n[ "$1" = -f ] || exec /bin/stat "$@"\n'
FORGERIES = {
    "noise before anything": (
        "timeout",
        "#!/bin/sh\nexec yes",
        "prints too much before the command starts",
    ),
    "silence": ("timeout", "#!/bin/sh\nexec sleep 99", "did not end within 4 s"),
    "an endless answer": ("sh", f"{_SHELL}exec yes $'hostname\\tn1'", "and was cut off"),
    "an endless line": ("sh", f"{_SHELL}exec tr '\\0' x </dev/zero", "and was cut off"),
    "an endless drip": ("sh", f"{_SHELL}while echo; do sleep 0.1; done", "did not end within 4 s"),
    "half an answer": ("sh", f"{_SHELL}printf 'clock\\t1\\n'", "cut off"),
    "rubbish": ("sh", f"{_SHELL}head -c 9999 /dev/urandom", "its answer is malformed"),
    "a number that is none": ("stat", f"{_STAT}echo many", "not a whole number"),
    "a huge number": ("stat", f"{_STAT}printf '9%.0s' $(seq 9999)", "not a whole number"),
    "facts nobody asked for": ("date", "#!/bin/sh\nprintf '1\\nroot\\tyes'", "unexpected line"),
    "a clock of the far future": ("date", "#!/bin/sh\necho 99999999999.5", "clock"),
    "a failure": ("sh", f"{_SHELL}exit 3", "probing it failed: status 3"),
}


@pytest.fixture
def disguise(cluster: Lab) -> Iterator[None]:
    """Whatever the test puts in front of the host's own commands goes again."""
    names = " ".join({f"/usr/local/bin/{name}" for name, _, _ in FORGERIES.values()})
    yield
    cluster.on(ROGUE, f"rm -f {names} /usr/local/bin/modprobe")


def put(lab: Lab, name: str, script: str) -> None:
    lab.on(
        ROGUE,
        f"cat >/usr/local/bin/{name} <<'END'\n{script}\nEND\n/bin/chmod 755 /usr/local/bin/{name}",
    )


def impatient(lab: Lab, seconds: int = 4) -> Path:
    return lab.config(ssh={"command_timeout": seconds, "connect_timeout": 3})


def row_of(done: Done) -> dict[str, str]:
    """Return the rogue's row of the end table: clear words, and nothing that steers a terminal."""
    row: dict[str, str] = done.rows[ROGUE]
    assert row["result"] == "failed"
    for text in (row["cause"], row["advice"], done.err.replace("\n", "")):
        assert text.isprintable(), text
    assert row["cause"]
    assert len(row["cause"]) < 700
    assert row["advice"]
    return row


@pytest.mark.parametrize("title", FORGERIES)
def test_forged_answer(cluster: Lab, disguise: None, title: str) -> None:
    """It ends in time, with a sentence, for that host alone."""
    name, script, printed = FORGERIES[title]
    put(cluster, name, script)
    attacks.tried()
    limit = "n1,n3"
    # What is cut off by its size has the time that a busy machine takes to send so much.
    config = impatient(cluster, 4 if "within 4 s" in printed else 40)
    done = cluster.inv("deploy-nodes", "--json", "--limit", limit, code=1, config=config)
    assert printed in row_of(done)["cause"]
    assert done.results["n1"] == "unchanged"
    assert done.seconds < 60


def test_escape_codes_in_facts_reach_no_terminal(cluster: Lab) -> None:
    evil = "\\033]0;owned\\007\\033[2J\\302\\233 31m\\342\\200\\256"
    release = "/etc/os-release"  # a symlink, as a rule
    cluster.on(
        ROGUE, f"mv {release} /root/; printf 'ID=debian\\nVERSION_ID=\"12{evil}\"' >{release}"
    )
    attacks.tried(4)
    try:
        for words in (["facts"], ["status"], ["preflight"], ["diff"]):
            run = cluster.begin("-H", ROGUE, *words, program="fabric")
            done = run.wait()
            assert "Traceback" not in done.text
            assert done.text.replace("\n", "").isprintable(), words
            assert "owned" in done.text or words != ["facts"]  # it was read
    finally:
        cluster.on(ROGUE, f"mv -f /root/os-release {release}")


def test_a_failure_described_at_length_is_reported_in_one_line(
    cluster: Lab, disguise: None
) -> None:
    """The words of what fails on the host go into the report, but no more than a line of them."""
    flood = "#!/bin/sh\nprintf '\\033[31m'; head -c 300000 /dev/zero | tr '\\0' x; exit 1"
    cluster.disturb(ROGUE, "rm /etc/modules-load.d/fabnode.conf")
    put(cluster, "chown", flood)
    attacks.tried()
    try:
        done = cluster.deploy("--limit", ROGUE, code=1, config=impatient(cluster))
        row_of(done)
        assert len(done.text) < 20_000
    finally:
        cluster.on(ROGUE, "rm -f /usr/local/bin/chown")
    cluster.deploy("--limit", ROGUE)


PRECIOUS = "/root/precious"


def test_managed_paths_that_lead_elsewhere(cluster: Lab) -> None:
    """Symlinks, hard links, FIFOs in place of files are replaced, and not written through."""
    cluster.disturb(
        ROGUE,
        f"echo mine >{PRECIOUS}; chmod 640 {PRECIOUS}; cd /etc/kubernetes;"
        f"ln -sf {PRECIOUS} kubelet.yaml; rm kube-proxy.yaml; mkfifo kube-proxy.yaml;"
        f"ln -f {PRECIOUS} /etc/modules-load.d/fabnode.conf;"
        f"ln -sf {PRECIOUS} /run/fabnode.lock; cd /var/lib/fabnode;"
        f"rm -f digests images; ln -s {PRECIOUS} digests; mkfifo images;"
        f"ln -s {PRECIOUS} images.new",
    )
    attacks.tried(7)
    done = cluster.deploy()
    assert done.results == {"n1": "unchanged", "n2": "unchanged", ROGUE: "changed"}
    assert cluster.on(ROGUE, f"cat {PRECIOUS}; stat -c %a {PRECIOUS}") == "mine\n640\n"
    assert (
        cluster.on(ROGUE, "find /etc/kubernetes /var/lib/fabnode /run/fabnode.lock -type l") == ""
    )
    assert cluster.deploy().results[ROGUE] == "unchanged"


@pytest.mark.parametrize(
    ("spoil", "mend", "printed"),
    [
        (
            "mv /etc/kubernetes /root/k; ln -s /root/k /etc/kubernetes",
            "rm /etc/kubernetes; mv /root/k /etc/kubernetes",
            "/etc/kubernetes is a symlink, but a directory is needed there",
        ),
        (
            "mv /opt/cni /root/c; ln -s /root/c /opt/cni",
            "rm /opt/cni; mv /root/c /opt/cni",
            "/opt/cni is a symlink, but a directory is needed there",
        ),
        (
            "mv /var/lib/fabnode /root/f; ln -s /root/f /var/lib/fabnode",
            "rm /var/lib/fabnode; mv /root/f /var/lib/fabnode",
            "/var/lib/fabnode is a symlink, but a directory is needed there",
        ),
        (
            "cd /etc/kubernetes; mv kubelet.yaml /root/y; mkdir kubelet.yaml",
            "cd /etc/kubernetes; rmdir kubelet.yaml; mv /root/y kubelet.yaml",
            "kubelet.yaml is a directory, but a file is needed there",
        ),
    ],
    ids=["/etc/kubernetes", "/opt/cni", "/var/lib/fabnode", "a directory for a file"],
)
def test_directories_that_lead_elsewhere(cluster: Lab, spoil: str, mend: str, printed: str) -> None:
    """Nothing is changed on such a host, and what is in the way is reported."""
    config = cluster.config({ROGUE: {"kubelet": {"max_pods": 87}}})
    cluster.disturb(ROGUE, spoil)
    attacks.tried()
    starts = cluster.starts()
    try:
        done = cluster.deploy("--limit", ROGUE, code=1, config=config)
        assert printed in row_of(done)["cause"]
    finally:
        cluster.disturb(ROGUE, mend)
    assert cluster.restarted(starts) == set()


DROP_IN = "/etc/systemd/system/kubelet.service.d"


def slow(seconds: int) -> str:
    """Return what makes the kubelet take a while to start, so that there is time in the middle."""
    return (
        f"mkdir -p {DROP_IN}; "
        f"printf '[Service]\\nExecStartPre=/bin/sleep {seconds}\\n' >{DROP_IN}/slow.conf"
    )


def test_another_host_key_in_the_middle_of_a_run(cluster: Lab) -> None:
    """Nothing more goes to that host, now or later; the others are not held up."""
    keys = "/etc/ssh/ssh_host_ed25519_key"
    config = cluster.config(
        {n: {"kubelet": {"max_pods": 86}} for n in ("n2", ROGUE)}, ssh={"command_timeout": 60}
    )
    cluster.disturb(
        ROGUE,
        f"{slow(15)}; systemctl daemon-reload",
    )
    attacks.tried(2)
    try:
        run = cluster.begin("deploy-nodes", "--json", config=config)
        assert run.begun(ROGUE, "kubelet", "restart")
        cluster.on(
            ROGUE,
            f"cp -p {keys} /root/key; rm {keys}; ssh-keygen -q -t ed25519 -N '' -f {keys};"
            "systemctl kill -s KILL ssh; systemctl restart ssh;"
            "loginctl list-sessions --no-legend | while read -r id _; do"
            " loginctl kill-session -s KILL $id; done",
        )
        done = run.wait().expect(1)
        assert row_of(done)["step"] == "kubelet"
        assert done.results["n2"] == "changed"
        again = cluster.deploy("--limit", ROGUE, code=1, config=config)
        assert "known_hosts has SHA256:" in row_of(again)["cause"]
        assert "someone may be intercepting" in row_of(again)["advice"]
    finally:
        cluster.on(
            ROGUE,
            f"cp -p /root/key {keys}; rm -r {DROP_IN};"
            "systemctl daemon-reload; systemctl restart ssh",
        )
    eventually(lambda: cluster.deploy().results.keys() == set(NODES) or None)


def test_token_used_by_somebody_quicker_than_the_host(cluster: Lab) -> None:
    """
    Root on a joining host gives its token away, and the other one asks first.

    The certificate that is issued is that host's, as it may be; but the host doesn't hold its key,
    and the run says so, takes the token back and leaves no Node of that name.
    """
    cluster.lab("fresh", "--hosts", ROGUE)
    cluster.on(
        ROGUE,
        slow(12),
    )
    config = cluster.config(timeouts={"join": 20})
    run = cluster.begin("deploy-nodes", "--json", "--limit", ROGUE, config=config)
    thief, requester = take_token(cluster)
    made = thief.create(REQUESTS, Request(name=f"system:node:{ROGUE}").document)
    attacks.tried()
    attacks.judged(2)
    done = run.wait().expect(1)
    row = row_of(done)
    assert "no certificate for the key that was certified" in row["cause"], row
    assert "bootstrap token" in row["advice"]
    live = {node["metadata"]["name"] for node in cluster.objects("nodes")}
    assert ROGUE not in live
    label = "app.kubernetes.io/managed-by=fabnode"
    assert cluster.objects("secrets", "-n", "kube-system", "-l", label) == []
    assert cluster.on(ROGUE, f"ls {BOOTSTRAP}", code=None) == ""
    name = made["metadata"]["name"]
    assert cluster.kubectl("get", "csr", name, "-o", "jsonpath={.spec.username}")
    # Whoever asks from now on gets nothing.
    cluster.kubectl("delete", "csr", "-l", "fabnode.io/attack=yes")
    cluster.on(ROGUE, f"rm -r {DROP_IN}; systemctl daemon-reload")
    assert cluster.deploy().results[ROGUE] == "changed"
    remove_requests(cluster, requester)


def take_token(lab: Lab) -> tuple[Api, str]:
    """Wait for the rogue's token; return the API as its holder is let in, and the holder's name."""
    found = eventually(lambda: lab.on(ROGUE, f"cat {BOOTSTRAP} 2>/dev/null", code=None), 300)
    user = yaml.safe_load(found)["users"][0]["user"]
    thief = lab.scratch / "thief.kubeconfig"
    document = yaml.safe_load(lab.layout.kubeconfig.read_text())
    document["users"][0]["user"] = user
    thief.write_text(yaml.safe_dump(document))
    requester = f"system:bootstrap:{user['token'].partition('.')[0]}"
    return Api(load(thief), patience=30), requester


def remove_requests(lab: Lab, requester: str) -> None:
    """Remove what was asked for with a token: it is left to be seen."""
    for request in lab.objects("csr"):
        if request["spec"]["username"] == requester:
            lab.kubectl("delete", "csr", request["metadata"]["name"])


def test_another_approver_that_appears_during_a_join(cluster: Lab) -> None:
    """
    A role binding that was not there when the run looked has whatever is asked for approved.

    Root on the joining host asks in another node's name, and gets that. Nobody can prevent it any
    more; the run says who holds what, and leaves the host no node.
    """
    cluster.lab("fresh", "--hosts", ROGUE)
    cluster.on(ROGUE, slow(12))
    config = cluster.config(timeouts={"join": 30})
    run = cluster.begin("deploy-nodes", "--json", "--limit", ROGUE, config=config)
    thief, requester = take_token(cluster)
    binding = ("clusterrolebinding", "appeared")
    role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
    everybody = "--group=system:bootstrappers"
    cluster.kubectl("create", *binding, f"--clusterrole={role}", everybody)
    attacks.tried()
    attacks.judged(2)
    try:
        made = thief.create(REQUESTS, Request(name="system:node:n2").document)
        name = made["metadata"]["name"]
        path = "jsonpath={.status.certificate}"
        assert eventually(lambda: cluster.kubectl("get", "csr", name, "-o", path))
        done = run.wait().expect(1)
    finally:
        cluster.kubectl("delete", *binding)
    print(done.text)
    row = row_of(done)
    texts = [event.get("text", "") for event in run.events()]
    assert any(name in text and "by another approver" in text for text in texts), texts
    assert ROGUE not in {node["metadata"]["name"] for node in cluster.objects("nodes")}, row
    cluster.kubectl("delete", "csr", "-l", "fabnode.io/attack=yes")
    cluster.on(ROGUE, f"rm -r {DROP_IN}; systemctl daemon-reload")
    assert cluster.deploy().results[ROGUE] == "changed"
    remove_requests(cluster, requester)
