"""A host with others' rules, interfaces and mounts becomes a node, and what it was before."""

from __future__ import annotations

import json
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fabnode.cni.calico import Calico
from fabnode.node.surroundings import SETTINGS
from lab.versions import PAUSE_IMAGE

from .harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab

pytestmark = pytest.mark.life


NODE = "n3"
FORWARD = "/proc/sys/net/ipv4/ip_forward"

# What docker, a VPN and an administrator have on a host, here by the kernel's own means.
OTHERS = """
set -e
ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up
ip link add wg0 type bridge && ip addr add 10.99.7.1/24 dev wg0 && ip link set wg0 up
ip route add 10.98.0.0/16 dev wg0
ip rule add from 10.99.7.0/24 table 123 priority 1000
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A DOCKER -i docker0 -j RETURN
iptables -N DOCKER-USER
iptables -A FORWARD -j DOCKER-USER
iptables -A DOCKER-USER -m comment --comment "see KUBE-FORWARD and cali-FORWARD" -j RETURN
iptables -A INPUT -s 10.99.7.0/24 -p udp -m udp --dport 51820 -j ACCEPT
ip6tables -A INPUT -p tcp -m tcp --dport 9 -j DROP
nft 'table inet admin { set bad { type ipv4_addr; elements = { 203.0.113.9 }; }
 chain in { type filter hook input priority 10; policy accept; ip saddr @bad drop; }
}'
ipset create admin-net hash:net && ipset add admin-net 198.51.100.0/24
mkdir -p /srv/data/inner /srv/bound && echo precious >/srv/data/inner/file
mount -t tmpfs -o size=1m admin /srv/bound && echo more >/srv/bound/file
ip netns add vpn
mkdir -p /etc/cni/net.d /opt/cni/bin
echo '{}' >/etc/cni/net.d/87-podman-bridge.conflist; echo mine >/opt/cni/bin/mine
echo 'runtime-endpoint: unix:///run/crio/crio.sock' >/etc/crictl.yaml
mkdir -p /etc/containerd; echo '# mine' >/etc/containerd/config.toml
chmod 640 /etc/crictl.yaml /etc/containerd/config.toml
sysctl -qw net.ipv4.ip_forward=0
"""

# All of a host that a deployment, or what it starts, may change; without what differs by itself.
SNAPSHOT = r"""
echo == interfaces; ip -o link show | awk '{ print $2 }'
ip -o addr show | awk '{ print $2, $3, $4 }'
echo == routes; ip -4 route show table all; ip -6 route show table all | grep -v fe80
ip rule show; ip -6 rule show
# Built-in chains that came with a first rule, and have none any more, are no matter.
for program in iptables ip6tables; do
	for back in nft legacy; do
		echo "== $program $back"
		$program-$back-save 2>/dev/null |
			sed -e 's/ \[[0-9]*:[0-9]*\]$//' -e '/^[#*]/d' -e '/^COMMIT/d' -e '/^:[A-Z]* ACCEPT$/d'
	done
done
echo == nft; nft list tables | grep -vE ' (filter|nat|mangle|raw)$'; nft -s list table inet admin
echo == ipset; ipset list | grep -v -e '^References' -e '^Size in'
echo == mounts; awk '{ print $4, $5, $6 }' /proc/self/mountinfo
echo == settings; grep -Hs '' SETTINGS
echo == units; systemctl list-unit-files --no-pager --no-legend -t service | awk '{ print $1, $2 }'
systemctl list-units --no-pager --no-legend -t service --state active | awk '{ print $1 }'
systemctl list-units --no-pager --no-legend --state failed
echo == netns; ls /run/netns
echo == processes; ps -eo comm= | sort -u | grep -E 'kube|containerd|calico|felix|pause' || :
echo == files
find /etc /opt /usr/local /usr/libexec /srv /root -xdev ! -type d -printf '%p %m %U %l\n' | sort
find /etc /opt /usr/local /srv -xdev -type f -exec sha256sum {} + | sort -k 2
find /etc /opt /usr/local /usr/libexec /srv /var/lib /var/log /run -xdev -maxdepth 2 -type d \
	-printf '%p %m %U\n' | sort
find /sys/fs/cgroup -maxdepth 2 -name 'kube*' 2>/dev/null
"""
# What other programs of the host write meanwhile.
MOVING = ("/run/systemd", "/run/user", "/var/log/journal", "/run/log", "/etc/.pwd.lock")


def snapshot(lab: Lab) -> list[str]:
    """Return all that is compared of the host, line by line."""
    settings = " ".join((*SETTINGS, *Calico.leftovers.settings))
    printed = lab.on(NODE, SNAPSHOT.replace("SETTINGS", settings))
    return [line for line in printed.splitlines() if not line.startswith(MOVING)]


def differences(before: list[str], after: list[str]) -> list[str]:
    """Return the lines that came (`+`) or went (`-`)."""
    return [
        *(f"- {line}" for line in before if line not in after),
        *(f"+ {line}" for line in after if line not in before),
    ]


def assert_same(before: list[str], after: list[str]) -> None:
    """Fail with all that differs."""
    found = differences(before, after)
    assert not found, "\n".join(found)


def _pod(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 0, **spec},
    }


def run_pods(lab: Lab) -> None:
    """Run a pod whose volumes are folders of the host's, one of them by a path inside it."""
    container = {
        "name": "keep",
        "image": PAUSE_IMAGE,
        "ports": [{"containerPort": 80, "hostPort": 8099}],
        "volumeMounts": [
            {"name": "host", "mountPath": "/whole"},
            {"name": "host", "mountPath": "/part", "subPath": "inner"},
            {"name": "bound", "mountPath": "/bound"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "memory", "mountPath": "/memory"},
        ],
    }
    volumes = [
        {"name": "host", "hostPath": {"path": "/srv/data"}},
        {"name": "bound", "hostPath": {"path": "/srv/bound"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
    ]

    pod = _pod("keeper", containers=[container], volumes=volumes)
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    lab.kubectl("wait", "--for=condition=Ready", "--timeout=180s", "pod/keeper")


def deploy(lab: Lab) -> None:
    """Deploy; the pods that proved the network have gone when it returns."""
    lab.deploy()
    eventually(lambda: not lab.objects("pods", "-n", "fabnode-verify"), 180)


@pytest.fixture(scope="module")
def before(lab: Lab) -> Iterator[list[str]]:
    """The bare host with what is others', made a node that runs pods; how it was before that."""
    lab.lab("fresh", "--hosts", NODE)
    lab.on(NODE, OTHERS)
    seen = snapshot(lab)
    deploy(lab)
    yield seen
    lab.lab("fresh", "--hosts", NODE)


def reset(lab: Lab, *words: str, code: int = 0) -> dict[str, Any]:
    """Run `inv reset` on the host, and return its part of the document."""
    done = lab.inv("reset", "--limit", NODE, "--json", *words, code=code)
    (node,) = done.document["nodes"]
    found: dict[str, Any] = node
    return found


def test_a_deployment_records_the_host_beforehand_in_both_places(
    lab: Lab, before: list[str]
) -> None:
    assert lab.on(NODE, "stat -c %a:%u /var/lib/fabnode/baseline").strip() == "600:0"
    record = lab.on(NODE, "cat /var/lib/fabnode/baseline")
    assert f"setting\t{FORWARD}:0\n" in record
    seen = [line for line in record.splitlines() if not line.startswith(("asked\t", "path\t"))]
    assert [line for line in seen if "cali" in line and "see KUBE-FORWARD" not in line] == []
    copies = list(lab.scratch.glob(f"state/*/fabnode/baselines/{NODE}-*.txt"))
    assert record in [copy.read_text() for copy in copies]


def only_pods_that_exist(lab: Lab) -> bool:
    """Return whether the host has nothing of pods that the API does not know."""
    pods = lab.objects("pods", "-A", "--field-selector", f"spec.nodeName={NODE}")
    known = {pod["metadata"]["uid"] for pod in pods}
    return set(lab.on(NODE, "ls /var/lib/kubelet/pods").split()) <= known


def test_pods_of_others_are_named_and_nothing_is_done(lab: Lab, before: list[str]) -> None:
    run_pods(lab)
    # Those of the verification go a moment after it, their interfaces and mounts once their objects
    # have gone; the kubelet removes a pod's folder last.
    eventually(partial(only_pods_that_exist, lab))
    there = snapshot(lab)
    found = reset(lab, "--yes", code=1)
    (refusal,) = found["refused"]
    assert "pods run there: default/keeper" in refusal["text"]
    assert "default/keeper" in refusal["fix"]
    moved = [line for line in differences(there, snapshot(lab)) if "/var/log/pods/" not in line]
    assert moved == []  # the kubelet takes away logs of pods that have gone
    assert lab.ready() >= {NODE}


def test_without_a_yes_it_is_the_plan(lab: Lab, before: list[str]) -> None:
    found = reset(lab, "--pods", "*/*", code=3)
    kinds = [change["kind"] for change in found["changes"]]
    assert kinds[:5] == ["service", "service", "containers", "sandboxes", "service"]
    assert {"mounts", "rules", "interface", "tree", "file", "previous", "setting"} <= set(kinds)
    # Rules are counted, and Felix goes on changing them meanwhile.
    again = reset(lab, "--pods", "*/*", "--dry-run")
    names = [[(c["kind"], c["name"]) for c in each["changes"]] for each in (found, again)]
    assert names[0] == names[1]
    assert lab.ready() >= {NODE}


def test_the_host_is_as_it_was_and_what_is_others_is_untouched(lab: Lab, before: list[str]) -> None:
    # What somebody changes after the deployment is theirs as well.
    lab.on(NODE, "iptables -I INPUT -p tcp --dport 7 -j DROP; ip link add tun9 type bridge")
    found = reset(lab, "--pods", "*/*", "--yes")
    lab.on(NODE, "iptables -D INPUT -p tcp --dport 7 -j DROP; ip link delete tun9")
    assert found["changed_meanwhile"] == []
    assert f"setting {FORWARD}: 1 → 0" in found["put_back"]
    assert [thing for thing in found["put_back"] if "previous /etc/containerd/config.toml" in thing]
    assert {"wg0", "docker0", "tun9"} <= set(found["others"]["interfaces"])
    assert "nft table inet admin" in found["others"]
    assert_same(before, snapshot(lab))
    assert lab.on(NODE, "cat /srv/data/inner/file /srv/bound/file") == "precious\nmore\n"


def test_a_second_reset_finds_nothing(lab: Lab, before: list[str]) -> None:
    found = reset(lab)
    assert found["changes"] == []
    assert found["refused"] == []
    assert lab.on(NODE, "ls -d /var/lib/fabnode", code=None) == ""


def test_a_host_that_was_reset_joins_again(lab: Lab, before: list[str]) -> None:
    lab.kubectl("delete", "node", NODE, "--ignore-not-found")
    deploy(lab)
    assert NODE in lab.ready()
    assert all(check["ok"] for check in lab.inv("verify", "--json").document["checks"])


def test_it_joins_another_cluster_under_another_name_without_a_trace_of_the_first(
    lab: Lab, before: list[str], another_lab: Lab
) -> None:
    reset(lab, "--pods", "*/*", "--yes")
    lab.kubectl("delete", "node", NODE, "--ignore-not-found")
    whole = yaml.safe_load(another_lab.configuration.read_text())
    whole["ssh"] = yaml.safe_load(lab.configuration.read_text())["ssh"]
    whole["nodes"] = [{"name": "m3", "address": str(lab.layout.host(NODE).address)}]
    config = another_lab.scratch / "another.yml"
    config.write_text(yaml.safe_dump(whole, sort_keys=False))
    done = another_lab.inv("deploy-nodes", "--json", config=config)
    assert done.results == {"m3": "changed"}
    assert another_lab.ready() == {"m3"}
    found = another_lab.inv("verify", "--json", config=config).document["checks"]
    assert [check for check in found if not check["ok"]] == []
    first = f"-e {lab.layout.apiserver} -e {lab.layout.name}-ca -e system:node:{NODE}"
    places = "/etc /var/lib/kubelet /var/lib/fabnode /var/lib/cni /var/lib/calico /opt"
    traces = f"grep -rlsI --exclude-dir=pods {first} {places}"
    assert lab.on(NODE, traces, code=None) == ""
    ours = (lab.layout.pki / "ca.pem").read_text().splitlines()[5]
    assert lab.on(NODE, f"grep -rlsF -- '{ours}' {places}", code=None) == ""
    assert another_lab.plan(config=config)["nodes"][0]["changes"] == []
    gone = another_lab.inv(
        "reset", "--limit", "m3", "--pods", "*/*", "--yes", "--json", config=config
    )
    assert gone.document["nodes"][0]["changed_meanwhile"] == []
    assert_same(before, snapshot(lab))
    deploy(lab)


def test_a_reset_that_was_cut_off_goes_on(lab: Lab, before: list[str]) -> None:
    lab.as_configured = False
    running = lab.begin("reset", "--limit", NODE, "--pods", "*/*", "--yes")
    gone = "[ -e /usr/local/bin/kubelet ] || [ ! -e /var/lib/fabnode/baseline ] || echo some"
    eventually(lambda: lab.on(NODE, gone, code=None).strip() == "some")
    assert running.process.poll() is None
    running.kill(signal.SIGKILL)
    running.process.wait()

    def again() -> bool:
        done = lab.begin("reset", "--limit", NODE, "--pods", "*/*", "--yes", "--json").wait()
        return done.code == 0

    eventually(again)
    assert_same(before, snapshot(lab))


def test_a_host_without_a_record_says_what_it_does_not_know(lab: Lab, before: list[str]) -> None:
    lab.kubectl("delete", "node", NODE, "--ignore-not-found")
    deploy(lab)
    lab.on(NODE, "rm -r /var/lib/fabnode/baseline /var/lib/fabnode/before")
    found = reset(lab, "--pods", "*/*", "--yes")
    (text,) = found["no_record"]
    assert text.startswith("nobody recorded this host before its first change")
    assert [text for text in found["stays"] if text.startswith("/run/nri: nobody recorded")]
    left = differences(before, snapshot(lab))
    # The file of the administrator's that was replaced, values and modes of before, what stays.
    known = ("/etc/containerd", "/proc/sys", "/run/nri", "/var/lib/kubelet", "/var/lib/containerd")
    other = [line for line in left if not any(path in line for path in known)]
    assert not other, "\n".join(other)
    assert f"+ {FORWARD}:1" in left
