"""
Nodes that others made: everything planted is found, mended as far as promised, and no pod restarts.

n1 is fabnode's, n2 was made as in 2017 (settings by flags), n3 as kubeasz makes nodes today.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lab.kubeasz import STATIC_TOKEN

from .harness import Done, eventually
from .workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Joining
    from .harness import Lab

SSL = "/etc/kubernetes/ssl"
QUARANTINE = "/var/lib/fabnode/quarantine"
KUBELET_UNIT = "/etc/systemd/system/kubelet.service"
DOCKER_UNIT = "/etc/systemd/system/docker.service"

# A unit that flushes, listens to everybody, and dies; and swap, which the machine may have none of.
BAD_DOCKER = f"""
cat >{DOCKER_UNIT} <<'END'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStartPre=/sbin/iptables -t raw -F
ExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2375
Restart=always
RestartSec=1
END
systemctl daemon-reload && systemctl start --no-block docker
printf 'Filename Type Size Used Priority\\n/swapfile file 1024 0 -2\\n' >/root/swaps
mount --bind /root/swaps /proc/swaps
"""
# Seconds since kube-proxy's start: until some have passed, nobody misses its rules.
UP_FOR = (
    "since=$(systemctl show -p ActiveEnterTimestampMonotonic --value kube-proxy);"
    " awk -v since=$since '{ print $1 - since / 1e6 }' /proc/uptime"
)
TOKENS = (
    f"echo '{STATIC_TOKEN},kubelet-bootstrap,10001,x' >{SSL}/token.csv; chmod 600 {SSL}/token.csv"
)

EVERYWHERE = {
    ("ca-key", f"{SSL}/ca-key.pem"),
    ("admin-credentials", "/root/.kube/config"),
    ("open-secret", f"{SSL}/ca-key.pem"),
    ("open-secret", f"{SSL}/kubelet-key.pem"),
    ("static-token", "/etc/kubernetes/bootstrap.kubeconfig"),
    ("anonymous-kubelet", "kubelet"),
    ("always-allow", "kubelet"),
    ("read-only-port", "kubelet"),
    ("masquerade-all", "kube-proxy"),
    ("rules-at-start", KUBELET_UNIT),
    ("duplicate-rules", "iptables filter"),
}
MENDED = {
    "n2": EVERYWHERE
    | {
        ("admin-credentials", f"{SSL}/admin-key.pem"),
        ("open-secret", f"{SSL}/admin-key.pem"),
        ("token-file", f"{SSL}/token.csv"),
        ("flushed-rules", "iptables nat"),
    },
    "n3": EVERYWHERE,
}
BY_HAND = {
    "n2": {"long-certificate"},
    "n3": {
        "long-certificate",
        "hidden-swap",
        "docker-tcp",
        "flush-at-start",
        "restart-loop",
    },
}
PUT_ASIDE = {
    "n2": {
        f"{SSL}/ca-key.pem",
        f"{SSL}/admin-key.pem",
        f"{SSL}/token.csv",
        "/root/.kube/config",
        "/etc/kubernetes/bootstrap.kubeconfig",
    },
    "n3": {f"{SSL}/ca-key.pem", "/root/.kube/config", "/etc/kubernetes/bootstrap.kubeconfig"},
}
OTHERS = tuple(MENDED)


@dataclass
class Story:
    """What was seen, in order: before, the plan, refused, mended, and once more."""

    lab: Lab
    config: Path
    pods: Workload
    containers: dict[str, str]
    rules: dict[str, list[str]]
    first: Done
    plan: Done
    unconfirmed: Done
    starts: dict[str, str]
    done: Done
    second: Done
    all: list[Done] = field(default_factory=list)

    def findings(self, done: Done, node: str) -> list[dict[str, Any]]:
        (found,) = (entry for entry in done.document["nodes"] if entry["node"] == node)
        findings: list[dict[str, Any]] = found["findings"]
        return findings

    def keys(self, done: Done, node: str, *, harden: bool | None = None) -> set[tuple[str, str]]:
        return {
            (finding["check"], finding["subject"])
            for finding in self.findings(done, node)
            if harden is None or finding["harden"] == harden
        }


def input_rules(lab: Lab, host: str) -> list[str]:
    return [rule for rule in lab.on(host, "iptables -S INPUT").splitlines() if "4194" in rule]


@pytest.fixture(scope="module")
def story(lab: Lab, joining: Joining) -> Iterator[Story]:
    lab.restore()
    lab.lab("fresh", "--hosts", ",".join(OTHERS))
    lab.lab("kubeasz", "n2", "--shape", "chapter")
    lab.lab("kubeasz", "n3")
    pods = Workload(lab)
    pods.start(*OTHERS)
    lab.on("n2", TOKENS)
    lab.on("n3", BAD_DOCKER)
    eventually(lambda: int(lab.on("n3", "systemctl show -p NRestarts --value docker")) >= 3)
    eventually(lambda: float(lab.on("n2", UP_FOR)) > 20)
    rules = {host: input_rules(lab, host) for host in OTHERS}
    containers = pods.containers()
    lab.on("n2", "iptables -t nat -F")
    # Nothing here needs what a deployment would bring to nodes.
    nowhere = {"binaries": "no/such/folder", "cni_plugins": "no/such/folder", "images": []}
    config = lab.config(artifacts=nowhere)
    first = lab.inv("audit", "--json", config=config, code=3)
    plan = lab.inv("harden", "--dry-run", config=config)
    starts = lab.starts(*OTHERS)
    unconfirmed = lab.inv("harden", config=config, code=3)
    assert lab.restarted(starts) == set()
    done = lab.inv("harden", "--yes", "--json", config=config)
    second = lab.inv("audit", "--json", config=config, code=3)
    it = Story(lab, config, pods, containers, rules, first, plan, unconfirmed, starts, done, second)
    it.all = [first, plan, unconfirmed, done, second]
    yield it
    lab.on("n3", f"umount /proc/swaps; systemctl stop docker; rm {DOCKER_UNIT}", code=None)
    lab.lab("fresh", "--hosts", ",".join(OTHERS))


def test_nothing_is_wrong_with_a_node_that_fabnode_made(story: Story) -> None:
    assert story.findings(story.first, "n1") == []
    assert story.findings(story.second, "n1") == []


@pytest.mark.parametrize("node", OTHERS)
def test_every_planted_fault_is_found_and_nothing_else(story: Story, node: str) -> None:
    assert story.keys(story.first, node, harden=True) == MENDED[node]
    by_hand = story.keys(story.first, node, harden=False)
    assert {check for check, _ in by_hand} == BY_HAND[node]
    for finding in story.findings(story.first, node):
        assert finding["fix"]
        assert finding["harden"] or finding["by_hand"]


def test_the_worst_is_judged_worst(story: Story) -> None:
    critical = {
        f["check"] for f in story.findings(story.first, "n3") if f["severity"] == "critical"
    }
    assert critical == {
        "ca-key",
        "admin-credentials",
        "anonymous-kubelet",
        "always-allow",
        "docker-tcp",
    }


def test_the_kubelet_was_really_asked(story: Story) -> None:
    for node in OTHERS:
        seen = {f["check"]: f["seen"] for f in story.findings(story.first, node)}
        assert ":10250/pods answers 200" in seen["anonymous-kubelet"]
        assert ":10255/pods answers 200" in seen["read-only-port"]


def test_the_plan_is_shown_with_its_lines_and_nothing_is_done(story: Story) -> None:
    for text in (story.plan.out, story.unconfirmed.out):
        assert "quarantine /etc/kubernetes/ssl/ca-key.pem" in text
        assert "-    enabled: true" in text
        assert "-  --anonymous-auth=true \\" in text
        assert "+  --anonymous-auth=false \\" in text
    assert "inv harden --yes" in story.unconfirmed.out


@pytest.mark.parametrize("node", OTHERS)
def test_a_second_audit_shows_only_what_was_announced_as_left(story: Story, node: str) -> None:
    left = story.keys(story.second, node)
    aside = {subject for check, subject in left if check == "quarantined"}
    assert aside == {QUARANTINE + path for path in PUT_ASIDE[node]}
    others = {key for key in left if key[0] != "quarantined"}
    reported = story.keys(story.first, node, harden=False)
    for check, subject in others:  # a certificate may lie in fewer files than before
        paths = set(subject.split(", "))
        assert any(check == c and paths <= set(s.split(", ")) for c, s in reported), subject
    assert {check for check, _ in others} == BY_HAND[node]
    assert story.keys(story.done, node) == left


def test_no_container_was_restarted_and_pods_answer(story: Story) -> None:
    assert story.pods.containers() == story.containers
    for node in OTHERS:
        assert story.pods.ask(node, node) == node
    assert set(OTHERS) <= story.lab.ready()


def test_only_kubelet_and_kube_proxy_were_restarted(story: Story) -> None:
    wanted = {f"{node} {unit}.service" for node in OTHERS for unit in ("kubelet", "kube-proxy")}
    assert story.lab.restarted(story.starts) == wanted


@pytest.mark.parametrize("node", OTHERS)
def test_the_kubelet_answers_nobody_any_more(story: Story, node: str) -> None:
    address = story.lab.layout.host(node).address
    ask = "curl -sk -o /dev/null -w '%{http_code}' --max-time 5"
    assert story.lab.on(node, f"{ask} https://{address}:10250/pods", code=None) == "401"
    assert story.lab.on(node, f"{ask} http://{address}:10255/pods", code=None) == "000"


@pytest.mark.parametrize("node", OTHERS)
def test_rules_are_there_once_and_in_their_order(story: Story, node: str) -> None:
    assert len(story.rules[node]) == 12
    assert input_rules(story.lab, node) == story.rules[node][:4]
    nat = story.lab.on(node, "iptables -t nat -S PREROUTING")
    assert "-j KUBE-SERVICES" in nat


@pytest.mark.parametrize("node", OTHERS)
def test_files_lie_in_the_quarantine_with_a_note(story: Story, node: str) -> None:
    for path in PUT_ASIDE[node]:
        assert story.lab.on(node, f"stat -c %a {QUARANTINE}{path}").strip() == "600"
        story.lab.on(node, f"[ ! -e {path} ]")
    assert story.lab.on(node, f"stat -c %a {QUARANTINE}").strip() == "700"
    assert "shred -u" in story.lab.on(node, f"cat {QUARANTINE}/NOTE")
    assert story.lab.on(node, f"stat -c %a {SSL}/kubelet-key.pem").strip() == "600"


def test_nothing_secret_was_printed(story: Story) -> None:
    key = (story.lab.layout.pki / "ca-key.pem").read_text().splitlines()[1]
    journals = [
        path.read_text() for done in story.all for path in done.state.rglob("*") if path.is_file()
    ]
    for text in [*(done.text for done in story.all), *journals]:
        assert key not in text
        assert STATIC_TOKEN not in text
        assert "PRIVATE KEY" not in text


def test_harden_again_changes_nothing(story: Story) -> None:
    starts = story.lab.starts(*OTHERS)
    printed = story.lab.inv("harden", "--yes", config=story.config).out
    assert printed.count("nothing that harden can do") == 3
    assert story.lab.restarted(starts) == set()


def test_a_host_that_is_off_fails_alone(story: Story) -> None:
    config = story.lab.config({"n1": {"address": "203.0.113.9", "ssh": {"connect_timeout": 1}}})
    done = story.lab.inv("audit", "--json", "--limit", "n1,n3", config=config, code=1)
    entries = {entry["node"]: entry for entry in done.document["nodes"]}
    assert entries["n1"]["error"]
    assert entries["n3"]["findings"]
