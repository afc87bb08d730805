"""Nodes are made ill for real, one cause after another: the doctor names it first, and mends it."""

from __future__ import annotations

import base64
import datetime
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.node import layout as on_host
from fabnode.node.conventions import BALANCER_SERVICE
from lab import processes

from .harness import NODES, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Lab

pytestmark = pytest.mark.life

CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
KUBELET_YAML = "/etc/kubernetes/kubelet.yaml"
BOOTSTRAP = "/etc/kubernetes/bootstrap.kubeconfig"
RELOADED = "systemctl daemon-reload; systemctl restart --no-block kubelet"
RESTARTED = "systemctl restart --no-block kubelet"
STATE = "/var/lib/kubelet/cpu_manager_state"
ASIDE = f"mv {STATE} {STATE}.kept && systemctl restart kubelet.service"
DROP_IN = "/etc/systemd/system/kubelet.service.d"
PAUSE = "registry.k8s.io/pause:3.10.1"
# As a program that has the kubelet's port; Debian's smallest system has perl.
THIEF = (
    "use Socket; socket(S,PF_INET,SOCK_STREAM,0); setsockopt(S,SOL_SOCKET,SO_REUSEADDR,1);"
    " bind(S,sockaddr_in(10250,INADDR_ANY)) or die; listen(S,1); sleep 900"
)

Deed = str | Callable[["Lab", str], None]


@dataclass(frozen=True)
class Trouble:
    """
    One thing that makes a node ill.

    :param key: the cause that has to be named first. :param make: how, as root or from outside.
    :param undo: the fix that is printed, by hand; empty: `--fix` does it.
    :param shows: part of the text or the evidence of the first cause.
    :param admin: it takes an administrator to see.
    """

    key: str
    make: Deed
    undo: Deed = ""
    shows: str = ""
    node: str = "n1"
    admin: bool = False
    changes: dict[str, Any] = field(default_factory=dict)


def do(lab: Lab, node: str, deed: Deed) -> None:
    lab.as_configured = False
    if callable(deed):
        deed(lab, node)
    elif deed:
        lab.on(node, deed)


def kubectl(*words: str) -> Deed:
    def deed(lab: Lab, node: str) -> None:
        lab.kubectl(*(word.format(node=node) for word in words))

    return deed


def by_admin(*words: str) -> Deed:
    """Cordons are of an account that may drain."""

    def deed(lab: Lab, node: str) -> None:
        named = (word.format(node=node) for word in words)
        lab.inv(*named, config=lab.layout.configuration)

    return deed


def fabnode(*words: str) -> Deed:
    def deed(lab: Lab, node: str) -> None:
        lab.inv(*(word.format(node=node) for word in words))

    return deed


DEPLOYED = fabnode("deploy-nodes", "--json", "--limit", "{node}")


def joins_again(lab: Lab, node: str) -> None:
    lab.on(node, f"systemctl stop kubelet && rm {CLIENT}")
    do(lab, node, DEPLOYED)


def drained_until_others_end_it(lab: Lab, node: str) -> None:
    words = ("drain", "--limit", node, "--delete-emptydir-data")
    lab.inv(*words, config=lab.layout.configuration)
    lab.kubectl("uncordon", node)


def setting(key: str, value: str) -> str:
    """Return a script that changes a field of the kubelet's configuration."""
    without = f"/^{key}:/ {{ skip = 1; next }} skip && /^[ -]/ {{ next }} {{ skip = 0; print }}"
    change = f"awk '{without}' {KUBELET_YAML} > /root/new && echo '{key}: {value}' >> /root/new"
    return f"{change} && cat /root/new > {KUBELET_YAML} && rm /root/new; {RESTARTED}"


def pair(lab: Lab, node: str, *, common_name: str, ca: str, days: int) -> str:
    """Return a certificate and a key for a kubelet, as PEM; `days` from now it ends."""
    authority = x509.load_pem_x509_certificate((lab.layout.pki / f"{ca}.pem").read_bytes())
    key = serialization.load_pem_private_key((lab.layout.pki / f"{ca}-key.pem").read_bytes(), None)
    own = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(name))
        .issuer_name(authority.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    text = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (made.public_bytes(serialization.Encoding.PEM) + text).decode()


def given(common_name: str = "system:node:{node}", ca: str = "ca", days: int = 300) -> Deed:
    """Give a kubelet another client certificate."""

    def deed(lab: Lab, node: str) -> None:
        name = common_name.format(node=node)
        text = pair(lab, node, common_name=name, ca=ca, days=days)
        encoded = base64.b64encode(text.encode()).decode()
        other = "/var/lib/kubelet/pki/kubelet-client-other.pem"
        link = f"ln -sfn {other} {CLIENT}"
        lab.on(
            node, f"echo {encoded} | base64 -d > {other}; chmod 600 {other}; {link}; {RESTARTED}"
        )

    return deed


def bootstraps(lab: Lab, node: str, token: str) -> None:
    """Have a kubelet join again, with a token of somebody's."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [
            {
                "name": "k",
                "cluster": {
                    "server": lab.layout.apiserver,
                    "certificate-authority": "/etc/kubernetes/pki/ca.pem",
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    encoded = base64.b64encode(json.dumps(kubeconfig).encode()).decode()
    lost = f"rm -f {CLIENT} /etc/kubernetes/kubelet.kubeconfig"
    lab.on(node, f"{lost}; echo {encoded} | base64 -d > {BOOTSTRAP}; {RESTARTED}")


def dead_token(lab: Lab, node: str) -> None:
    bootstraps(lab, node, "abcdef.0123456789abcdef")


def asks(lab: Lab, node: str) -> None:
    """Have a kubelet ask for a certificate that nobody approves."""
    lab.kubectl("-n", "kube-system", "create", "serviceaccount", "joiner", code=None)
    role = "--clusterrole=system:node-bootstrapper"
    whom = "--serviceaccount=kube-system:joiner"
    lab.kubectl("create", "clusterrolebinding", "joiner", role, whom, code=None)
    lab.kubectl("delete", "csr", "--all")
    bootstraps(lab, node, lab.kubectl("-n", "kube-system", "create", "token", "joiner").strip())
    eventually(lambda: requests(lab))


def requests(lab: Lab) -> list[str]:
    return [item["metadata"]["name"] for item in lab.objects("csr")]


def denied(lab: Lab, node: str) -> None:
    asks(lab, node)
    lab.kubectl("certificate", "deny", *requests(lab))


def manager(lab: Lab, number: signal.Signals) -> None:
    found = processes.find(lab.layout.record("kube-controller-manager"))
    assert found
    processes.send(found, number)


def unsigned(lab: Lab, node: str) -> None:
    manager(lab, signal.SIGSTOP)
    asks(lab, node)
    lab.kubectl("certificate", "approve", *requests(lab))


def signed(lab: Lab, node: str) -> None:
    manager(lab, signal.SIGCONT)
    do(lab, node, DEPLOYED)


def webhook(lab: Lab, node: str) -> None:
    hook = {
        "name": "nodes.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
        "clientConfig": {"service": {"namespace": "default", "name": "nobody"}},
        "rules": [
            {
                "apiGroups": ["", "coordination.k8s.io"],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["nodes", "nodes/status", "leases"],
            }
        ],
        "matchConditions": [
            {"name": "one", "expression": f"request.userInfo.username == 'system:node:{node}'"}
        ],
    }
    item = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "guard"},
        "webhooks": [hook],
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(item))


def leaves(lab: Lab, node: str) -> None:
    patch = '{"metadata": {"finalizers": ["example.com/keeper"]}}'
    lab.kubectl("patch", "node", node, "--type=merge", "-p", patch)
    lab.kubectl("delete", "node", node, "--wait=false")


def let_go(lab: Lab, node: str) -> None:
    patch = '{"metadata": {"finalizers": null}}'
    lab.kubectl("patch", "node", node, "--type=merge", "-p", patch)
    do(lab, node, DEPLOYED)


def full(lab: Lab, node: str) -> None:
    """Let a kubelet take no more pods than it has."""
    pods = lab.objects("pods", "-A", f"--field-selector=spec.nodeName={node}")
    do(lab, node, setting("maxPods", str(len(pods))))


def blocked(chain: str, port: int, how: str = "DROP") -> tuple[str, str]:
    rule = f"{chain} -p tcp --dport {port} -m comment --comment doctor -j {how}"
    return f"iptables -w -I {rule}", f"iptables -w -D {rule}"


def off(lab: Lab, node: str) -> None:
    lab.lab("off", node, "--plug")


def on(lab: Lab, node: str) -> None:
    lab.lab("on", node)


SWAPS = r"printf 'Filename\tType\tSize\tUsed\tPriority\n/swap file 1024 0 -2\n' > /run/swaps"
# The lab lets its kubelets run with the swap of the machine.
FAILS = f"sed -i 's/^failSwapOn: {{}}/failSwapOn: {{}}/' {KUBELET_YAML}"
SMALL = "systemctl stop containerd; mount -t tmpfs -o size={} none /var/lib/containerd"
ROOMY = (
    "systemctl stop containerd; umount /var/lib/containerd; systemctl restart containerd kubelet"
)
TO_API, TO_API_AGAIN = blocked("OUTPUT", 6443, "REJECT")
FROM_API, FROM_API_AGAIN = blocked("INPUT", 10250)
UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"

TROUBLES = {
    # The kubelet as a service.
    "stopped": Trouble("kubelet-down", "systemctl stop kubelet"),
    "disabled": Trouble("kubelet-disabled", "systemctl disable --now kubelet"),
    "masked": Trouble(
        "kubelet-masked",
        "systemctl stop kubelet; rm /etc/systemd/system/kubelet.service; systemctl mask kubelet",
    ),
    "frozen": Trouble("kubelet-frozen", "systemctl kill -s STOP kubelet"),
    "no program": Trouble("kubelet-program", f"chmod 644 /usr/local/bin/kubelet; {RESTARTED}"),
    "a flag": Trouble(
        "kubelet-flag",
        "sed -i 's/--v=2/--nonsense=2/' /etc/systemd/system/kubelet.service; " + RELOADED,
        shows="--nonsense",
    ),
    "a field": Trouble("kubelet-field", setting("maxPods", "many"), shows="maxPods"),
    "a drop-in": Trouble(
        "overridden",
        f"mkdir -p {DROP_IN}; printf '[Service]\\nExecStart=\\nExecStart=/usr/local/bin/kubelet"
        f" --config=/nowhere\\n' > {DROP_IN}/10-kubeadm.conf; {RELOADED}",
        undo=f"rm {DROP_IN}/10-kubeadm.conf; {RELOADED}",
        shows="10-kubeadm.conf",
    ),
    "swap": Trouble(
        "swap-on",
        f"{SWAPS}; mount --bind /run/swaps /proc/swaps; {FAILS.format('false', 'true')};"
        f" {RESTARTED}",
        undo=f"umount /proc/swaps; {FAILS.format('true', 'false')}; {RESTARTED}",
    ),
    "a state file": Trouble(
        "state-file",
        "systemctl stop kubelet; echo '{}' > /var/lib/kubelet/cpu_manager_state;"
        " systemctl start --no-block kubelet",
        undo=by_admin(
            *("maintain", "--limit", "{node}", "--delete-emptydir-data"), "--command", ASIDE
        ),
        shows="cpu_manager_state",
    ),
    "a port": Trouble(
        "port-taken",
        f"systemctl stop kubelet; systemd-run --unit=thief perl -e '{THIEF}'; sleep 1;"
        " systemctl start --no-block kubelet",
        undo="systemctl stop thief",
        shows="perl",
    ),
    # Its credentials and requests.
    "no certificate": Trouble("client-lost", f"rm {CLIENT}; {RESTARTED}"),
    "an expired certificate": Trouble("client-unusable", given(days=-2), shows="expired"),
    "another CA's certificate": Trouble(
        "client-unusable", given(ca="etcd-ca"), undo=joins_again, shows="another CA"
    ),
    "another node's certificate": Trouble(
        "client-of-another", given("system:node:n9"), undo=joins_again, shows="n9"
    ),
    "a dead token": Trouble("token-refused", dead_token),
    "a request that waits": Trouble("request-waits", asks, shows="csr"),
    "a request that was denied": Trouble("request-denied", denied),
    "a request that nobody signs": Trouble("request-unsigned", unsigned, undo=signed),
    # Its way to the API.
    "another CA": Trouble(
        "ca-differs",
        f"sed -n '/BEGIN/,/END/p' {CLIENT} | sed '/PRIVATE/,/PRIVATE/d'"
        f" > /etc/kubernetes/pki/ca.pem; {RESTARTED}",
    ),
    "another server": Trouble(
        "server-differs",
        "sed -i 's#server: .*#server: https://192.0.2.99:6443#'"
        f" /etc/kubernetes/kubelet.kubeconfig; {RESTARTED}",
        shows="192.0.2.99",
    ),
    "a firewall": Trouble("api-unreached", TO_API, undo=TO_API_AGAIN),
    "a proxy": Trouble(
        "proxy-set",
        f"mkdir -p {DROP_IN}; printf '[Service]\\nEnvironment=HTTPS_PROXY=http://127.0.0.1:9\\n'"
        f" > {DROP_IN}/proxy.conf; {RELOADED}",
        undo=f"rm {DROP_IN}/proxy.conf; {RELOADED}",
        shows="127.0.0.1:9",
    ),
    "a webhook": Trouble(
        "webhook-refuses",
        webhook,
        undo=kubectl("delete", "validatingwebhookconfiguration", "guard"),
        shows="nodes.example.com",
    ),
    # Its Node object.
    "no Node": Trouble("deleted", kubectl("delete", "node", "{node}")),
    "a Node that leaves": Trouble("leaving", leaves, undo=let_go, shows="example.com/keeper"),
    "another machine": Trouble(
        "other-machine",
        "cp /etc/machine-id /run/kept-id; echo 0123456789abcdef0123456789abcdef > /etc/machine-id",
        undo="cp /run/kept-id /etc/machine-id",
    ),
    "another address": Trouble(
        "address-gone", "true", undo="true", changes={"n1": {"ip": "192.0.2.77"}}
    ),
    # The runtime.
    "no runtime": Trouble("runtime-down", "systemctl stop containerd"),
    "a runtime that is disabled": Trouble("runtime-disabled", "systemctl disable --now containerd"),
    "a runtime that is masked": Trouble(
        "runtime-masked",
        "systemctl stop containerd; rm /etc/systemd/system/containerd.service;"
        " systemctl mask containerd",
    ),
    "a runtime's program": Trouble(
        "runtime-program",
        "chmod 644 /usr/local/bin/containerd; systemctl restart --no-block containerd",
    ),
    "a runtime's settings": Trouble(
        "runtime-setting",
        "echo '[[[' >> /etc/containerd/config.toml; systemctl restart --no-block containerd",
    ),
    "a runtime that is frozen": Trouble("runtime-frozen", "systemctl kill -s STOP containerd"),
    "a runtime's socket": Trouble("runtime-socket", "rm /run/containerd/containerd.sock"),
    # The host.
    "a full disk": Trouble(
        "disk-full",
        f"{SMALL.format('64k')}; head -c 64k /dev/zero > /var/lib/containerd/fill;"
        " systemctl start --no-block containerd",
        undo=ROOMY,
        shows="/var/lib/containerd",
    ),
    "no inodes": Trouble(
        "inodes-used-up",
        f"{SMALL.format('64m,nr_inodes=3')}; systemctl start --no-block containerd",
        undo=ROOMY,
    ),
    "read-only": Trouble(
        "read-only",
        f"mount -o remount,bind,ro /var/lib/kubelet; {RESTARTED}",
        undo=f"mount -o remount,bind,rw /var/lib/kubelet; {RESTARTED}",
        shows="/var/lib/kubelet",
    ),
    "no resolv.conf": Trouble(
        "no-resolv-conf",
        "cp /etc/resolv.conf /run/kept-resolv; rm /etc/resolv.conf",
        undo="cp /run/kept-resolv /etc/resolv.conf",
    ),
    "no ssh": Trouble(
        "ssh-away", "systemctl stop ssh.socket ssh", undo="systemctl start ssh", node="n3"
    ),
    "no login": Trouble(
        "login-refused",
        "mv /etc/ssh/lab_key.pub /etc/ssh/kept",
        undo="mv /etc/ssh/kept /etc/ssh/lab_key.pub",
    ),
    "no sudo": Trouble(
        "sudo-refused",
        "echo 'ops ALL=(ALL) !ALL' > /etc/sudoers.d/zz-no; chmod 440 /etc/sudoers.d/zz-no",
        undo="rm /etc/sudoers.d/zz-no",
        node="n2",
    ),
    "another host key": Trouble(
        "host-key",
        "mkdir /run/keys; mv /etc/ssh/ssh_host_* /run/keys;"
        " ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh",
        undo="rm /etc/ssh/ssh_host_*; mv /run/keys/* /etc/ssh; rmdir /run/keys;"
        " systemctl restart ssh",
        node="n3",
    ),
    "a host that is off": Trouble("host-down", off, undo=on, node="n3"),
    # The pods' network.
    "no CNI configuration": Trouble(
        "network-config", "rm /etc/cni/net.d/10-calico.conflist", admin=True
    ),
    "another CNI": Trouble(
        "other-network",
        "cp /etc/cni/net.d/10-calico.conflist /etc/cni/net.d/00-other.conflist",
        undo="rm /etc/cni/net.d/00-other.conflist",
        shows="00-other.conflist",
    ),
    "a CNI program": Trouble("plugin-lost", "rm /opt/cni/bin/calico", shows="calico", admin=True),
    "a shim": Trouble("program-lost", "rm /usr/local/bin/containerd-shim-runc-v2", shows="shim"),
    "a sandbox image": Trouble(
        "sandbox-image", f"/usr/local/bin/ctr -n k8s.io images rm {PAUSE}", shows=PAUSE
    ),
    "no forwarding": Trouble("forwarding-off", "sysctl -w net.ipv4.ip_forward=0"),
    "no kube-proxy": Trouble("proxy-down", "systemctl stop kube-proxy"),
    "a kube-proxy that crashes": Trouble(
        "proxy-crashes",
        "echo 'mode: [' >> /etc/kubernetes/kube-proxy.yaml;"
        " systemctl restart --no-block kube-proxy",
    ),
    # Ready, and of no use.
    "our cordon": Trouble(
        "cordoned",
        by_admin("cordon", "--limit", "{node}"),
        undo=by_admin("uncordon", "--limit", "{node}"),
        shows="ours: cordon",
    ),
    "another's cordon": Trouble(
        "cordoned",
        kubectl("cordon", "{node}"),
        undo=kubectl("uncordon", "{node}"),
        shows="written by kubectl",
    ),
    "our drain, that another ended": Trouble(
        "excluded",
        drained_until_others_end_it,
        undo=by_admin("uncordon", "--limit", "{node}"),
        shows="exclude-from-external-load-balancers",
    ),
    "a taint": Trouble(
        "tainted",
        kubectl("taint", "node", "{node}", "gpu=yes:NoSchedule"),
        undo=kubectl("taint", "node", "{node}", "gpu-"),
        shows="gpu:NoSchedule",
    ),
    "no cloud": Trouble(
        "uninitialized",
        kubectl("taint", "node", "{node}", f"{UNINITIALIZED}=true:NoSchedule"),
        undo=kubectl("taint", "node", "{node}", f"{UNINITIALIZED}-"),
    ),
    "little disk": Trouble(
        "disk-pressure", setting("evictionHard", "{nodefs.available: 99%}"), undo=DEPLOYED
    ),
    "little memory": Trouble(
        "memory-pressure", setting("evictionHard", "{memory.available: 99%}"), undo=DEPLOYED
    ),
    "full of pods": Trouble("pods-full", full, undo=DEPLOYED, admin=True),
    "a serving certificate": Trouble(
        "serving-waits", f"rm /var/lib/kubelet/pki/kubelet-server-current.pem; {RESTARTED}"
    ),
    "no way to the kubelet": Trouble(
        "kubelet-unreached", FROM_API, undo=FROM_API_AGAIN, admin=True
    ),
}


CONFIGURED = on_host.BALANCER_CONFIG
BALANCED = f"systemctl restart --no-block {BALANCER_SERVICE}"

# Of nodes that reach several apiservers.
OF_SEVERAL = {
    "a stopped balancer": Trouble("balancer-down", f"systemctl stop {BALANCER_SERVICE}"),
    "a disabled balancer": Trouble(
        "balancer-disabled", f"systemctl disable --now {BALANCER_SERVICE}"
    ),
    "a masked balancer": Trouble(
        "balancer-masked",
        f"systemctl stop {BALANCER_SERVICE}; rm {on_host.BALANCER_UNIT};"
        f" systemctl mask {BALANCER_SERVICE}",
    ),
    "a frozen balancer": Trouble("balancer-frozen", f"systemctl kill -s STOP {BALANCER_SERVICE}"),
    "a balancer's program": Trouble(
        "balancer-program",
        f"chmod 644 {on_host.BALANCER_PATH}; {BALANCED}",
        undo=f"chmod 755 {on_host.BALANCER_PATH}; {BALANCED}",
    ),
    "a balancer's settings": Trouble(
        "balancer-setting", f"echo nonsense >> {CONFIGURED}; {BALANCED}", shows="nonsense"
    ),
    "a balancer to nobody": Trouble(
        "balancer-setting", f"sed -i 's/:6443$/:1/' {CONFIGURED}; {BALANCED}", shows=CONFIGURED
    ),
}


@pytest.fixture(scope="module")
def ward(nodes: Lab) -> Lab:
    """Three Ready nodes with which nothing is wrong."""
    eventually(lambda: looked(nodes, "*", 0), 120)
    return nodes


def looked(lab: Lab, limit: str, code: int | None = None, config: Path | None = None) -> Any:
    """Return what the doctor prints for programs, whatever it finds; None: with another code."""
    done = lab.begin("doctor", "--json", "--limit", limit, config=config).wait(lab.patience)
    assert "Traceback" not in done.text, done.text
    assert done.code in {0, 3}, done.text
    return done.document if code in {None, done.code} else None


def first(lab: Lab, node: str, config: Path | None = None) -> dict[str, Any]:
    """Return the cause that is named first; empty: nothing is wrong."""
    (entry,) = looked(lab, node, config=config)["nodes"]
    causes: list[dict[str, Any]] = entry.get("causes") or [{}]
    return causes[0]


@contextmanager
def mended_after(lab: Lab, node: str, undo: Deed) -> Iterator[None]:
    """A node that is ill in here is well after; one that stays ill fails no test but its own."""
    try:
        try:
            yield
        finally:
            do(lab, node, undo)
        eventually(lambda: looked(lab, node, 0) is not None, 240)
    except AssertionError:
        lab.lab("fresh", "--hosts", node)
        lab.kubectl("delete", "node", node, "--ignore-not-found")
        lab.inv("deploy-nodes", "--limit", node)
        raise


@pytest.mark.parametrize("name", TROUBLES)
def test_the_cause_is_named_first_and_put_right(ward: Lab, name: str) -> None:
    named_and_mended(ward, TROUBLES[name])


def named_and_mended(ward: Lab, trouble: Trouble) -> None:
    """Make a node ill, until the doctor names that first; and well again as it says."""
    node = trouble.node
    config = ward.layout.configuration if trouble.admin else None
    if trouble.changes:
        config = ward.config(trouble.changes)
    seen: list[Any] = []

    def named() -> bool:
        seen.append(first(ward, node, config))
        found = seen[-1]
        assert found.get("key") == trouble.key, found
        assert trouble.shows in f"{found['text']} {found['seen']}", found
        return True

    with mended_after(ward, node, trouble.undo):
        do(ward, node, trouble.make)
        eventually(named, 90)
        assert seen[-1]["safe"] == (not trouble.undo), seen[-1]
        if not trouble.undo:
            ward.inv("doctor", "--json", "--fix", "--limit", node, config=config)


def test_what_several_nodes_share_is_not_mended_on_each(ward: Lab) -> None:
    """The apiserver is cut off from two of three: no kubelet there is to blame."""
    for node in NODES[:2]:
        do(ward, node, TO_API)
    try:

        def shared() -> bool:
            (one,) = looked(ward, "*")["shared"]
            return (one["key"], one["nodes"]) == ("api-unreached", list(NODES[:2]))

        eventually(shared)
        done = ward.inv("doctor", "--fix", code=1)
        assert "n1, n2 share this, so that none of them is to blame" in done.out
    finally:
        for node in NODES[:2]:
            do(ward, node, TO_API_AGAIN)
    eventually(lambda: looked(ward, "*", 0) is not None)


def test_without_the_api_the_host_still_tells(ward: Lab) -> None:
    whole = yaml.safe_load(ward.layout.kubeconfig.read_text())
    whole["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    nowhere = ward.scratch / "nowhere.kubeconfig"
    nowhere.write_text(json.dumps(whole))
    nowhere.chmod(0o600)
    config = ward.config(cluster={"kubeconfig": str(nowhere)})
    do(ward, "n1", "systemctl stop kubelet")
    try:
        (entry,) = looked(ward, "n1", config=config)["nodes"]
        assert [c["key"] for c in entry["causes"]] == ["api-away", "kubelet-down"]
    finally:
        do(ward, "n1", "systemctl start kubelet")
    eventually(lambda: looked(ward, "n1", 0) is not None)


def test_a_dry_run_changes_nothing(ward: Lab) -> None:
    do(ward, "n1", "systemctl stop kubelet")
    before, writes = ward.starts("n1"), len(ward.writes())
    done = ward.inv("doctor", "--fix", "--dry-run", "--limit", "n1", code=3)
    assert "n1: --fix would: systemctl restart kubelet.service" in done.out
    assert ward.starts("n1") == before
    assert ward.writes(writes) == []
    ward.fab("-H", "n1", "doctor", "--fix")
    assert looked(ward, "n1", 0) is not None


@pytest.fixture(scope="module")
def ward_of_several(several_lab: Lab) -> Lab:
    """Three Ready nodes that reach three apiservers, each by a balancer of its own."""
    several_lab.restore()
    eventually(lambda: looked(several_lab, "*", 0), 120)
    return several_lab


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_what_is_wrong_with_a_balancer_is_named_first_and_put_right(
    ward_of_several: Lab, name: str
) -> None:
    named_and_mended(ward_of_several, OF_SEVERAL[name])
