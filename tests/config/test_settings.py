# ruff: noqa: E501 - one line per case reads best
"""Every rule on settings: what a user writes, and the exact sentences that come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fabnode.config.loader import load
from fabnode.releases.matrix import matrix
from fabnode.util.problems import ConfigError
from tests.support import DOCUMENT, make_config, write_cluster

if TYPE_CHECKING:
    from pathlib import Path

NODE = {"name": "n1", "address": "192.0.2.11"}


def messages(directory: Path, **overrides: Any) -> list[str]:
    """Return what is wrong with DOCUMENT once `overrides` are merged in, without file and line."""
    with pytest.raises(ConfigError) as caught:
        load(write_cluster(directory, **overrides))
    prefix = f"{directory}/cluster.yml:"
    lines = str(caught.value).splitlines()
    assert all(line.startswith(prefix) for line in lines)
    return sorted(line.removeprefix(prefix).partition(": ")[2] for line in lines)


def nodes(**keys: Any) -> dict[str, Any]:
    return {"nodes": [{**NODE, **keys}]}


DNS_1123 = "must be a DNS-1123 name: lowercase letters, digits, - and ."
HTTPS = "must be an https URL without a path, such as https://10.0.0.1:6443"
NETWORK = "must be a network such as 10.68.0.0/16 or fd00:10:68::/108"
RELEASE = "must be a release such as 1.37.2"
SECRET = "must be one of {env: NAME}, {file: PATH} and {prompt: true}, never the secret itself"
LABEL = "letters, digits and -_. inside (at most 63)"
EFFECTS = "must be one of the effects NoSchedule, PreferNoSchedule or NoExecute"
LAST = (matrix().kubernetes.until or 0) - 1
KNOWN = f"is not supported by this fabnode; 1.8 to 1.{LAST} are; the nearest is"
UNTESTED = (
    "was not tested with Kubernetes 1.37; use Calico 3.33.x, or set calico.allow_untested: true"
)

ONE_VALUE: list[tuple[dict[str, Any], str]] = [
    (
        {"paths": {"state": "/etc"}},
        "paths.state: must be a folder on the node that is still there after a boot (not below /run, /tmp or the like), got '/etc'",
    ),
    (
        {"paths": {"state": "/var/lib/kubelet"}},
        "paths.state: must be a folder of fabnode's own, so named: /data/fabnode for example, got '/var/lib/kubelet'",
    ),
    (
        {"paths": {"cni_conf": "/var/run/cni"}},
        "paths.cni_conf: must be a folder on the node that is still there after a boot (not below /run, /tmp or the like), got '/var/run/cni'",
    ),
    (
        {"kubelet": {"extra_args": {"--v": 4}}},
        "kubelet.extra_args.--v: must be the name of a flag, without the dashes before it, got 4",
    ),
    (
        {"kubelet": {"extra_args": {"v": "4 --config=/x"}}},
        "kubelet.extra_args.v: must be a value without blanks, quotes, $, % or backslashes, got '4 --config=/x'",
    ),
    (
        {"host": {"sysctls": {"vm.max map": 1}}},
        "host.sysctls.vm.max map: must be the name of a kernel setting, such as vm.max_map_count, got 1",
    ),
    (
        {"host": {"drop_ins": ["kubelet.service.d/*.conf"]}},
        "host.drop_ins[0]: must be an absolute path on the node, which may have * and ? in it, got 'kubelet.service.d/*.conf'",
    ),
    # what other tools have in such places
    (
        {"nodes": {"n1": {"address": "192.0.2.11"}}},
        "nodes: must be a list, got a mapping; write a list of them: `- {name: node-1, address: 192.168.1.42}`, or `- {from: hosts.csv}` for those of a file",
    ),
    (
        {"nodes": ["192.0.2.11"]},
        "nodes[0]: must be a mapping, got '192.0.2.11'; write it as {name: node-1, address: 192.168.1.42}",
    ),
    (
        nodes(taints=[{"key": "a", "effect": "NoSchedule"}]),
        'nodes[n1].taints[0]: must be text, got a mapping; write it as text: "dedicated=batch:NoSchedule"',
    ),
    (
        nodes(taints="a=b:NoSchedule"),
        "nodes[n1].taints: must be a list, got 'a=b:NoSchedule'; write them as [\"dedicated=batch:NoSchedule\"]",
    ),
    (
        nodes(labels=["gpu=yes"]),
        "nodes[n1].labels: must be a mapping, got a list; write them as {disk: ssd, zone: b}",
    ),
    (
        {"calico": False},
        "calico: must be a mapping, got false; for a cluster that brings its own network write `calico: none`",
    ),
    (
        {"flannel": {}},
        "flannel: unknown key; for a cluster that brings its own network write `calico: none`",
    ),
    (
        {"groups": {"ssd": {"nodes": ["n1"]}}},
        "groups.ssd.nodes: unknown key; name the group in each node's `groups`",
    ),
    (
        {"ssh": {"become": True}},
        "ssh.become: unknown key; a user other than root uses sudo; its password is sudo_password",
    ),
    (
        nodes(address="ops@192.0.2.11:2222"),
        "nodes[n1].address: must be an IPv4 or IPv6 address, or a host name, got 'ops@192.0.2.11:2222';"
        " the user goes into `ssh: {user: ops}`; the port goes into `ssh: {port: 2222}`",
    ),
    (
        nodes(address="192.0.2.11/24"),
        "nodes[n1].address: must be an IPv4 or IPv6 address, or a host name, got '192.0.2.11/24';"
        " without the length of its network: 192.0.2.11",
    ),
    # what Kubernetes would set back
    (
        nodes(labels={"kubernetes.io/hostname": "other"}),
        "nodes[n1].labels.kubernetes.io/hostname: must be another key: the kubelet sets this one,"
        " and would set it back, got 'kubernetes.io/hostname'; choose a key of your own",
    ),
    (
        nodes(taints=["node.kubernetes.io/not-ready:NoExecute"]),
        "nodes[n1].taints[0]: must have another key: Kubernetes removes such a taint again,"
        " got 'node.kubernetes.io/not-ready:NoExecute'; choose a key of your own",
    ),
    (
        nodes(taints=["node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule"]),
        "nodes[n1].taints[0]: must have another key: Kubernetes removes such a taint again,"
        " got 'node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule'; set `kubelet.cloud_provider: external`",
    ),
    (
        {**nodes(taints=["a=b:NoSchedule"]), "kubelet": {"startup_taints": ["a:NoSchedule"]}},
        "kubelet.startup_taints[0]: a:NoSchedule is among the node's taints as well;"
        " each deployment would set it again: remove it from one of the two",
    ),
    (
        {"kubelet": {"startup_taints": ["a:NoSchedule", "a=b:NoSchedule"]}},
        "kubelet.startup_taints[1]: a:NoSchedule is given twice; remove one of them",
    ),
    (
        {"kubelet": {"startup_taints": "a:NoSchedule"}},
        "kubelet.startup_taints: must be a list, got 'a:NoSchedule';"
        ' write them as ["node.cilium.io/agent-not-ready:NoExecute"]',
    ),
    (
        {"kubelet": {"config": {"registerWithTaints": []}}},
        "kubelet.config.registerWithTaints: can't be set here: it is set by kubelet.startup_taints;"
        " remove it",
    ),
    # unknown keys, with the nearest that is known there
    ({"kubelt": {}}, "kubelt: unknown key; did you mean kubelet?"),
    ({"kubelet": {"maxpods": 1}}, "kubelet.maxpods: unknown key; did you mean max_pods?"),
    ({"kubelet": {"zzz": 1}}, "kubelet.zzz: unknown key"),
    (
        {"kube_proxy": {"subject": {"contry": "CN"}}},
        "kube_proxy.subject.contry: unknown key; did you mean country?",
    ),
    (nodes(adress="x"), "nodes[n1].adress: unknown key; did you mean address?"),
    (nodes(ssh={"prt": 22}), "nodes[n1].ssh.prt: unknown key; did you mean port?"),
    (
        nodes(kube_proxy={"subject": {"stat": "x"}}),
        "nodes[n1].kube_proxy.subject.stat: unknown key; did you mean state?",
    ),
    (
        {"groups": {"ssh": {"max_paralel": 3}}},
        "groups.ssh.max_paralel: unknown key; did you mean max_parallel?",
    ),
    # kinds of values
    ({"kubelet": {"max_pods": "many"}}, "kubelet.max_pods: must be a whole number, got 'many'"),
    ({"kubelet": {"max_pods": "110"}}, "kubelet.max_pods: must be a whole number, got '110'"),
    ({"kubelet": {"max_pods": True}}, "kubelet.max_pods: must be a whole number, got true"),
    ({"kubelet": {"max_pods": 1.5}}, "kubelet.max_pods: must be a whole number, got 1.5"),
    ({"kubelet": {"max_pods": None}}, "kubelet.max_pods: must be a whole number, got null"),
    ({"kubelet": {"max_pods": [110]}}, "kubelet.max_pods: must be a whole number, got a list"),
    ({"kubelet": {"max_pods": 0}}, "kubelet.max_pods: must be at least 1, got 0"),
    ({"kubelet": {"fail_swap_on": 1}}, "kubelet.fail_swap_on: must be true or false, got 1"),
    ({"kubelet": {"fail_swap_on": "on"}}, "kubelet.fail_swap_on: must be true or false, got 'on'"),
    ({"calico": {"mtu": 575}}, "calico.mtu: must be at least 576, got 575"),
    ({"calico": {"mtu": 65521}}, "calico.mtu: must be at most 65520, got 65521"),
    (
        {"runtime": {"handlers": {"Kata_1": {"type": "io.containerd.kata.v2"}}}},
        "runtime.handlers.Kata_1: must be a name of lowercase letters, digits and - (at most 63), got 'Kata_1'",
    ),
    (
        {"runtime": {"handlers": {"kata": {"type": "kata"}}}},
        "runtime.handlers.kata.type: must be a shim such as io.containerd.runc.v2, got 'kata'",
    ),
    (
        {"runtime": {"handlers": {"kata": {"type": "io.containerd.kata.v2", "options": {"a": {"b": 1}}}}}},
        "runtime.handlers.kata.options.a: must be true, false, a whole number, plain text (ASCII), or a list of these, got a mapping",
    ),
    ({"kubelet": []}, "kubelet: must be a mapping, got a list"),
    ({"kubelet": {"config": [1]}}, "kubelet.config: must be a mapping, got a list"),
    ({"groups": ["ssd"]}, "groups: must be a mapping, got a list"),
    ({"nodes": {"n1": NODE}}, "nodes: must be a list, got a mapping; write a list of them: `- {name: node-1, address: 192.168.1.42}`, or `- {from: hosts.csv}` for those of a file"),
    ({"nodes": ["n1"]}, "nodes[0]: must be a mapping, got 'n1'; write it as {name: node-1, address: 192.168.1.42}"),
    ({"nodes": []}, "nodes: is empty; at least one entry is needed"),
    ({"nodes": None}, "nodes: is empty; at least one entry is needed"),
    ({"artifacts": {"images": "a.tar"}}, "artifacts.images: must be a list, got 'a.tar'"),
    ({"artifacts": {"images": [1]}}, "artifacts.images[0]: must be a path, got 1"),
    ({"timeouts": {"api": 100_000}}, "timeouts.api: must be at most 86400, got 100000"),
    ({"ssh": {"port": 65536}}, "ssh.port: must be at most 65535, got 65536"),
    # Approved requests are forgotten after an hour, and with them that a token was used.
    ({"bootstrap": {"ttl_minutes": 61}}, "bootstrap.ttl_minutes: must be at most 60, got 61"),
    (
        {"kube_proxy": {"mode": "iptable"}},
        "kube_proxy.mode: must be iptables, ipvs or nftables, got 'iptable'; did you mean iptables?",
    ),
    ({"runtime": {"name": "rkt"}}, "runtime.name: must be containerd or docker, got 'rkt'"),
    ({"bootstrap": {"mode": "file"}}, "bootstrap.mode: must be token or token-file, got 'file'"),
    # what one value may be
    ({"cluster": {"name": "a b"}}, "cluster.name: must be a name of letters, digits, - _ and ., got 'a b'"),
    ({"cluster": {"name": ""}}, "cluster.name: must be text that is not empty and has no blanks around it, got ''"),
    ({"cluster": {"name": "a\nb"}}, "cluster.name: must be text without control characters, got 'a\N{REPLACEMENT CHARACTER}b'"),
    ({"cluster": {"version": "1.37"}}, f"cluster.version: {RELEASE}, got '1.37'"),
    ({"cluster": {"version": "1.37.2-rc.1"}}, f"cluster.version: {RELEASE}, got '1.37.2-rc.1'"),
    ({"cluster": {"version": 1.37}}, f"cluster.version: {RELEASE}, got 1.37; all three parts are needed"),
    ({"cluster": {"version": 137}}, f"cluster.version: {RELEASE}, got 137"),
    ({"cluster": {"apiserver": "http://10.0.0.1:6443"}}, f"cluster.apiserver: {HTTPS}, got 'http://10.0.0.1:6443'; write https://10.0.0.1:6443"),
    ({"cluster": {"apiserver": "https://10.0.0.1/api"}}, f"cluster.apiserver: {HTTPS}, got 'https://10.0.0.1/api'"),
    ({"cluster": {"apiserver": "https://a:b@10.0.0.1"}}, f"cluster.apiserver: {HTTPS}, got 'https://a:b@10.0.0.1'"),
    ({"cluster": {"apiserver": "https://10.0.0.1:70000"}}, f"cluster.apiserver: {HTTPS}, got 'https://10.0.0.1:70000'"),
    ({"cluster": {"apiserver": "https://10.0.0.1:0"}}, f"cluster.apiserver: {HTTPS}, got 'https://10.0.0.1:0'"),
    ({"cluster": {"apiserver": "https://"}}, f"cluster.apiserver: {HTTPS}, got 'https://'"),
    ({"cluster": {"apiserver": "https://[::1"}}, f"cluster.apiserver: {HTTPS}, got 'https://[::1'"),
    ({"cluster": {"apiserver": "10.0.0.1:6443"}}, f"cluster.apiserver: {HTTPS}, got '10.0.0.1:6443'; write https://10.0.0.1:6443"),
    ({"cluster": {"apiserver": []}}, "cluster.apiserver: is empty; at least one entry is needed"),
    ({"cluster": {"apiserver": 5}}, 'cluster.apiserver: must be text, got 5; put it in quotes: "5"'),
    ({"cluster": {"apiserver": {"a": "b"}}}, "cluster.apiserver: must be text, got a mapping; write one URL, or a list of them"),
    ({"cluster": {"apiserver": ["https://10.0.0.1", "http://10.0.0.2"]}}, f"cluster.apiserver[1]: {HTTPS}, got 'http://10.0.0.2'; write https://10.0.0.2:6443"),
    ({"cluster": {"apiserver": ["https://10.0.0.1", "https://[fd00::g]"]}}, f"cluster.apiserver[1]: {HTTPS}, got 'https://[fd00::g]'"),
    ({"cluster": {"apiserver": [f"https://10.0.1.{n}" for n in range(1, 18)]}}, "cluster.apiserver: must be at most 16 URLs, got a list; name the apiservers alone"),
    ({"cluster": {"pod_cidr": "172.20.0.0"}}, f"cluster.pod_cidr: {NETWORK}, got '172.20.0.0'"),
    ({"cluster": {"pod_cidr": "172.20.0.0/33"}}, f"cluster.pod_cidr: {NETWORK}, got '172.20.0.0/33'"),
    ({"cluster": {"pod_cidr": "fd00::/129"}}, f"cluster.pod_cidr: {NETWORK}, got 'fd00::/129'"),
    ({"cluster": {"pod_cidr": "172.20.1.0/16"}}, f"cluster.pod_cidr: {NETWORK}, got '172.20.1.0/16'; did you mean 172.20.0.0/16?"),
    ({"cluster": {"dns_address": "10.68.0"}}, "cluster.dns_address: must be an IPv4 or IPv6 address, got '10.68.0'"),
    ({"cluster": {"dns_domain": "Cluster.Local"}}, "cluster.dns_domain: must be a DNS domain such as cluster.local, got 'Cluster.Local'"),
    ({"ssh": {"user": "a b"}}, "ssh.user: must be a login name, got 'a b'"),
    ({"ssh": {"user": "-oProxy"}}, "ssh.user: must be a login name, got '-oProxy'"),
    ({"ssh": {"user": "a;b"}}, "ssh.user: must be a login name, got 'a;b'"),
    ({"ssh": {"user": "a\\"}}, "ssh.user: must be a login name, got 'a\\'"),
    ({"ssh": {"gateway": "ops@"}}, "ssh.gateway: must be [user@]host[:port] of a jump host, with an IPv6 address in brackets, got 'ops@'"),
    ({"ssh": {"gateway": "host:99999"}}, "ssh.gateway: must be [user@]host[:port] of a jump host, with an IPv6 address in brackets, got 'host:99999'"),
    ({"ssh": {"gateway": "-oX=y"}}, "ssh.gateway: must be [user@]host[:port] of a jump host, with an IPv6 address in brackets, got '-oX=y'"),
    ({"ssh": {"keys": ["~nobody-here/id"]}}, "ssh.keys[0]: must be a path, and no user of this machine has that home directory, got '~nobody-here/id'"),
    ({"runtime": {"root": "var/lib"}}, "runtime.root: must be an absolute path on the node, of letters, digits and ._+-, got 'var/lib'"),
    ({"runtime": {"root": "/"}}, "runtime.root: must be an absolute path on the node, of letters, digits and ._+-, got '/'"),
    ({"kubelet": {"root": "/var/../etc"}}, "kubelet.root: must be an absolute path on the node, of letters, digits and ._+-, got '/var/../etc'"),
    ({"kubelet": {"root": "/a b"}}, "kubelet.root: must be an absolute path on the node, of letters, digits and ._+-, got '/a b'"),
    ({"runtime": {"sandbox_image": "pause image"}}, "runtime.sandbox_image: must be an image such as registry.k8s.io/pause:3.10.1, got 'pause image'"),
    ({"calico": {"registry": "https://r"}}, "calico.registry: must be a registry such as registry.example.org, got 'https://r'"),
    ({"calico": {"manifest": "http://a.example/c.yaml"}}, "calico.manifest: must be a file or an https URL, got 'http://a.example/c.yaml'"),
    ({"calico": "nothing"}, "calico: must be none or a mapping, got 'nothing'"),
    ({"kube_proxy": "off"}, "kube_proxy: must be none or a mapping, got 'off'"),
    (nodes(kube_proxy="off"), "nodes[n1].kube_proxy: must be none or a mapping, got 'off'"),
    ({"groups": {"g": {"kube_proxy": False}}}, "groups.g.kube_proxy: must be a mapping, got false; for nodes without kube-proxy write `kube_proxy: none`"),
    (
        {"calico": {"etcd": {"endpoints": ["http://192.0.2.1:2379"], "ca": "a", "cert": "b", "key": "c"}}},
        "calico.etcd.endpoints[0]: must be an https URL with host and port, such as"
        " https://10.0.0.1:2379, got 'http://192.0.2.1:2379';"
        " without TLS anyone on the network could rewrite its policies",
    ),
    (
        {"calico": {"etcd": {"endpoints": ["https://192.0.2.1"], "ca": "a", "cert": "b", "key": "c"}}},
        "calico.etcd.endpoints[0]: must be an https URL with host and port, such as"
        " https://10.0.0.1:2379, got 'https://192.0.2.1'",
    ),
    ({"calico": {"manifest_sha256": "ABC"}}, "calico.manifest_sha256: must be 64 hexadecimal digits in lowercase, got 'ABC'"),
    ({"calico": {"version": "latest"}}, f"calico.version: {RELEASE}, got 'latest'"),
    (
        {"calico": {"ip_autodetection": "interfaces=eth0"}},
        "calico.ip_autodetection: must be first-found, kubernetes-internal-ip, can-reach=…, interface=…,"
        " skip-interface=… or cidr=…, got 'interfaces=eth0'; did you mean interface?",
    ),
    ({"kube_proxy": {"subject": {"country": "cn"}}}, "kube_proxy.subject.country: must be two capital letters, such as CN, got 'cn'"),
    ({"kube_proxy": {"subject": {"state": "x" * 65}}}, f"kube_proxy.subject.state: must be text of at most 64 characters, got '{'x' * 65}'"),
    (
        {"kube_proxy": {"subject": {"organization": "system:masters"}}},
        "kube_proxy.subject.organization: must be a name without a colon: groups"
        " with one are granted rights, got 'system:masters'",
    ),
    (
        {"kube_proxy": {"subject": {"organization": "kubeadm:cluster-admins"}}},
        "kube_proxy.subject.organization: must be a name without a colon: groups"
        " with one are granted rights, got 'kubeadm:cluster-admins'",
    ),
    # nodes
    (nodes(name="Node_1"), f"nodes[Node_1].name: {DNS_1123}, got 'Node_1'; for example node-1"),
    (nodes(name="-a"), f"nodes[-a].name: {DNS_1123}, got '-a'"),
    (nodes(name="a..b"), f"nodes[a..b].name: {DNS_1123}, got 'a..b'"),
    (nodes(name="ä"), f"nodes[ä].name: {DNS_1123}, got 'ä'"),
    (nodes(name=10), 'nodes[0].name: must be text, got 10; put it in quotes: "10"'),
    (
        nodes(name="a" * 64),
        f"nodes[{'a' * 64}].name: must have at most 63 characters: it becomes the label"
        f" kubernetes.io/hostname, got '{'a' * 64}'",
    ),
    (nodes(address="192.0.2.256"), "nodes[n1].address: must be an IPv4 or IPv6 address, or a host name, got '192.0.2.256'"),
    (nodes(address="a_b"), "nodes[n1].address: must be an IPv4 or IPv6 address, or a host name, got 'a_b'"),
    (nodes(address="::g"), "nodes[n1].address: must be an IPv4 or IPv6 address, or a host name, got '::g'"),
    (nodes(labels={"a b": "c"}), f"nodes[n1].labels.a b: must be a label key: {LABEL}, optionally after domain/, got 'a b'"),
    (nodes(labels={"a/b/c": "d"}), f"nodes[n1].labels.a/b/c: must be a label key: {LABEL}, optionally after domain/, got 'a/b/c'"),
    (nodes(labels={"a": "b c"}), f"nodes[n1].labels.a: must be a label value: {LABEL}, got 'b c'"),
    (nodes(labels={"a": "x" * 64}), f"nodes[n1].labels.a: must be a label value: {LABEL}, got '{'x' * 64}'"),
    (nodes(labels={"node-restriction.kubernetes.io/fabnode-record": "x"}), "nodes[n1].labels.node-restriction.kubernetes.io/fabnode-record: must be another key: fabnode stores its own record under this one, got 'node-restriction.kubernetes.io/fabnode-record'"),
    (nodes(annotations={"a b": "c"}), f"nodes[n1].annotations.a b: must be a label key: {LABEL}, optionally after domain/, got 'a b'"),
    (nodes(annotations={"a": 7}), 'nodes[n1].annotations.a: must be text, got 7; put it in quotes: "7"'),
    (nodes(labels={"a": True}), 'nodes[n1].labels.a: must be text, got true; put it in quotes: "true"'),
    (nodes(taints=["dedicated"]), "nodes[n1].taints[0]: must be a taint such as dedicated=batch:NoSchedule, got 'dedicated'"),
    (nodes(taints=["a b=c:NoExecute"]), "nodes[n1].taints[0]: must be a taint such as dedicated=batch:NoSchedule, got 'a b=c:NoExecute'"),
    (nodes(taints=["a=b:NoScheduled"]), f"nodes[n1].taints[0]: {EFFECTS}, got 'a=b:NoScheduled'; did you mean NoSchedule?"),
    ({"groups": {"a,b": {}}}, "groups.a,b: must be a name of letters, digits, - _ and . (at most 63), got 'a,b'"),
    # secrets are never written, and never repeated
    ({"ssh": {"password": "hunter2"}}, f"ssh.password: {SECRET}"),
    ({"ssh": {"password": 1234}}, f"ssh.password: {SECRET}"),
    ({"ssh": {"sudo_password": {}}}, f"ssh.sudo_password: {SECRET}"),
    ({"ssh": {"sudo_password": {"env": "A", "prompt": True}}}, f"ssh.sudo_password: {SECRET}"),
    ({"ssh": {"sudo_password": {"prompt": False}}}, "ssh.sudo_password.prompt: must be true"),
    ({"ssh": {"password": {"env": "A", "x": 1}}}, "ssh.password.x: unknown key"),
    (nodes(ssh={"password": "hunter2"}), f"nodes[n1].ssh.password: {SECRET}"),
    ({"groups": {"g": {"ssh": {"password": "hunter2"}}}}, f"groups.g.ssh.password: {SECRET}"),
    ({"bootstrap": {"mode": "token-file", "token": "hunter2"}}, f"bootstrap.token: {SECRET}"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "sentence"), ONE_VALUE)
def test_a_wrong_value_is_named_and_explained(
    tmp_path: Path, overrides: dict[str, Any], sentence: str
) -> None:
    assert messages(tmp_path, **overrides) == [sentence]


TOGETHER: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"artifacts": {"distribution": "relay", "relay_port": 10250}},
        ["artifacts.relay_port: 10250 is among the ports of Kubernetes' own programs; choose another port, such as 10280"],
    ),
    # further flags
    (
        {"kubelet": {"extra_args": {"config-dir": "/x", "node-ip": "192.0.2.1", "v": 4}}},
        [
            "kubelet.extra_args.config-dir: can't be set here: what is there would win over kubelet.config; remove it",
            "kubelet.extra_args.node-ip: is set by fabnode; remove it",
        ],
    ),
    (
        {"kubelet": {"extra_args": {"anonymous-auth": True}}},
        ["kubelet.extra_args.anonymous-auth: is set by fabnode; remove it; what may be changed of it is authentication.anonymous.enabled in kubelet.config"],
    ),
    (
        {"kube_proxy": {"extra_args": {"cleanup": True, "proxy-mode": "ipvs"}}},
        [
            "kube_proxy.extra_args.cleanup: can't be set here: it would do that, and end; remove it",
            "kube_proxy.extra_args.proxy-mode: is set by fabnode; remove it; what may be changed of it is mode in kube_proxy.config",
        ],
    ),
    # the site's own on hosts
    (
        {"host": {"sysctls": {"net.ipv4.ip_forward": 0}}},
        ["host.sysctls.net.ipv4.ip_forward: is set by fabnode; remove it"],
    ),
    # a shared token
    (
        {"bootstrap": {"mode": "token-file"}},
        ["bootstrap.mode: token-file needs bootstrap.token; set it to where the token is found: {file: PATH}, {env: NAME} or {prompt: true}"],
    ),
    (
        {"bootstrap": {"token": {"env": "TOKEN"}}},
        ["bootstrap.token: is not used with mode token, which issues a token for each node; remove it, or use `mode: token-file`"],
    ),
    # networks
    (
        {"cluster": {"pod_cidr": "10.64.0.0/12"}},
        ["cluster.pod_cidr: 10.64.0.0/12 overlaps service_cidr 10.68.0.0/16; choose a network for pods that nothing else uses"],
    ),
    (
        {"cluster": {"dns_address": "10.69.0.2"}},
        ["cluster.dns_address: 10.69.0.2 is outside service_cidr 10.68.0.0/16; use the address of the Service kube-dns, or a link-local one (169.254.0.0/16), as of NodeLocal DNSCache"],
    ),
    (
        {"cluster": {"dns_address": "10.68.0.1"}},
        ["cluster.dns_address: 10.68.0.1 is the address of the Service 'kubernetes'; use the address of the Service kube-dns, often the second of the network"],
    ),
    (
        {"cluster": {"dns_address": "10.68.0.0"}},
        ["cluster.dns_address: 10.68.0.0 is not a usable address of 10.68.0.0/16"],
    ),
    (
        {"cluster": {"dns_address": "10.68.255.255"}},
        ["cluster.dns_address: 10.68.255.255 is not a usable address of 10.68.0.0/16"],
    ),
    (
        {"cluster": {"apiserver": ["https://192.0.2.1:6443", "https://192.0.2.2:6443", "https://192.0.2.1:6443"]}},
        ["cluster.apiserver[2]: https://192.0.2.1:6443 is in the list already; name each apiserver once"],
    ),
    (
        {"cluster": {"apiserver": ["https://192.0.2.1", "https://192.0.2.2:6443"]}},
        ["cluster.apiserver[1]: https://192.0.2.2:6443 has port 6443, and https://192.0.2.1 has 443; the apiservers of one cluster listen on one port"],
    ),
    (
        {"cluster": {"apiserver": ["https://192.0.2.1:6443", "https://api.example.org:6443"]}},
        ["cluster.apiserver[1]: api.example.org is no address; in a list, write addresses: what nodes reach the API by must not wait for DNS; one URL alone may have a name"],
    ),
    (
        {"cluster": {"apiserver": ["https://192.0.2.1:6443", "https://127.0.0.1:6443"]}},
        ["cluster.apiserver[1]: 127.0.0.1 is each node itself; write the addresses by which nodes reach the apiservers"],
    ),
    (
        {"cluster": {"apiserver": ["https://192.0.2.1:6443", "https://10.68.0.1:6443"]}},
        ["cluster.apiserver[1]: 10.68.0.1 is inside service_cidr 10.68.0.0/16; the two must not overlap"],
    ),
    (
        {"cluster": {"apiserver": ["https://192.0.2.1", "https://192.0.2.2"], "version": "1.17.0"}, "calico": {"enabled": False}},
        ["cluster.apiserver: several apiservers need Kubernetes 1.18 or newer on nodes; kubelets of 1.17 can't be told by which name to verify an apiserver; name a load balancer's URL"],
    ),
    (
        {"cluster": {"apiserver": "https://10.68.0.1:443"}},
        ["cluster.apiserver: 10.68.0.1 is inside service_cidr 10.68.0.0/16; the two must not overlap"],
    ),
    (
        nodes(address="172.20.3.4"),
        ["nodes[n1].address: 172.20.3.4 is inside pod_cidr 172.20.0.0/16; the two must not overlap"],
    ),
    (
        nodes(address="10.68.3.4"),
        ["nodes[n1].address: 10.68.3.4 is inside service_cidr 10.68.0.0/16; the two must not overlap"],
    ),
    (
        {"cluster": {"pod_cidr": "172.20.0.0/27"}},
        ["cluster.pod_cidr: 172.20.0.0/27 is smaller than the blocks that Calico allocates; use /26 or larger"],
    ),
    # names
    (
        {"nodes": [NODE, {"name": "n1", "address": "192.0.2.12"}]},
        ["nodes[n1].name: two nodes are called 'n1'"],
    ),
    (
        {"nodes": [NODE, {"name": "n2", "address": "192.0.2.11"}]},
        ["nodes[n2].address: '192.0.2.11' is also the address of 'n1'"],
    ),
    (
        {"nodes": [NODE, NODE]},
        ["nodes[n1].name: two nodes are called 'n1'"],
    ),
    (
        {
            "nodes": [
                {"name": "a", "address": "A.example.", "ip": "192.0.2.1"},
                {"name": "b", "address": "a.example", "ip": "192.0.2.2"},
            ]
        },
        ["nodes[b].address: 'a.example' is also the address of 'a'"],
    ),
    (
        {
            "nodes": [
                {"name": "a", "address": "192.0.2.1"},
                {"name": "b", "address": "b.example", "ip": "192.0.2.1"},
            ]
        },
        ["nodes[b].ip: '192.0.2.1' is also the address of 'a'"],
    ),
    (
        {"nodes": [{"name": "a", "address": "a.example"}]},
        [
            "nodes[a].address: 'a.example' is a host name, but the kubelet needs an IPv4 address; "
            "add the address as `ip`"
        ],
    ),
    (
        {**nodes(groups=["sdd"]), "groups": {"ssd": {}}},
        ["nodes[n1].groups[0]: no group is called 'sdd'; did you mean ssd?"],
    ),
    (nodes(groups=["x"]), ["nodes[n1].groups[0]: no group is called 'x'; define it under groups"]),
    (
        {"groups": {"n1": {}}, **nodes()},
        ["nodes[n1].name: 'n1' is also the name of a group; rename one of the two"],
    ),
    # releases
    (
        {"cluster": {"version": "1.7.16"}, "calico": {"version": "3.29.1"}},
        [f"cluster.version: Kubernetes 1.7.16 {KNOWN} 1.8"],
    ),
    (
        {"cluster": {"version": f"1.{LAST + 1}.0"}},
        [f"cluster.version: Kubernetes 1.{LAST + 1}.0 {KNOWN} 1.{LAST}"],
    ),
    ({"cluster": {"version": "2.37.0"}}, [f"cluster.version: Kubernetes 2.37.0 {KNOWN} 1.{LAST}"]),
    (
        {"cluster": {"version": "1.9.11"}, "calico": {"version": "3.1.7"}},
        [
            "runtime.name: Kubernetes 1.9 can't use containerd;"
            " use docker, or Kubernetes 1.10 or newer"
        ],
    ),
    (
        {
            "cluster": {"version": "1.20.2"},
            "runtime": {"version": "2.4.2"},
            "calico": {"version": "3.18.6"},
        },
        [
            "runtime.version: containerd 2.4.2 speaks CRI v1, but the kubelet of Kubernetes 1.20"
            " v1alpha2; use containerd 1.7.x, or Kubernetes 1.23 or newer"
        ],
    ),
    (
        {"runtime": {"name": "docker", "version": "20.10.24"}},
        [
            "runtime.version: applies to containerd only;"
            " remove it: docker comes with the host's own packages"
        ],
    ),
    (
        {
            "cluster": {"version": "1.9.11"},
            "calico": {"version": "3.1.7"},
            "runtime": {"name": "docker"},
            "kubelet": {"config": {"evictionHard": {}}},
        },
        ["kubelet.config: Kubernetes 1.9 does not read a configuration file; remove it"],
    ),
    (
        {"kubelet": {"config": {"tlsCurvePreferences": []}}, "cluster": {"version": "1.35.2"}},
        ["kubelet.config.tlsCurvePreferences: Kubernetes 1.35 does not know this field; remove it"],
    ),
    (
        {"kubelet": {"config": {"maxPodz": 5}}},
        ["kubelet.config.maxPodz: no release of Kubernetes has such a field; did you mean maxPods?"],
    ),
    (
        {"kubelet": {"config": {"zzz": {"evictionHard": {}}}}},
        ["kubelet.config.zzz: no release of Kubernetes has such a field; remove it"],
    ),
    (
        {"kube_proxy": {"config": {"contrack": {"min": 0}}}},
        [
            "kube_proxy.config.contrack: no release of Kubernetes has such a field;"
            " did you mean conntrack?"
        ],
    ),
    (
        {"kubelet": {"config": {"authentication": {"webhook": {"cacheTtl": "1m"}}}}},
        [
            "kubelet.config.authentication.webhook.cacheTtl: no release of Kubernetes has such a"
            " field; did you mean cacheTTL?"
        ],
    ),
    (
        {"kube_proxy": {"config": {"ipvs": {"strictArp": True}}}},
        [
            "kube_proxy.config.ipvs.strictArp: no release of Kubernetes has such a field;"
            " did you mean strictARP?"
        ],
    ),
    (
        {"host": {"sysctls": {"net.ipv4.conf.all.forwarding": 0}}},
        [
            "host.sysctls.net.ipv4.conf.all.forwarding: is net.ipv4.ip_forward, which is set by"
            " fabnode; remove it"
        ],
    ),
    (
        {
            "host": {"sysctls": {"kernel.panic": 5, "vm.panic_on_oom": 0}},
            "kubelet": {"config": {"protectKernelDefaults": True}},
        },
        ["host.sysctls.kernel.panic: must be 10: kubelet.config.protectKernelDefaults; remove it"],
    ),
    (
        {"kubelet": {"config": {"enableSystemLogQuery": True}}, "cluster": {"version": "1.26.9"}},
        ["kubelet.config.enableSystemLogQuery: Kubernetes 1.26 does not know this field; remove it"],
    ),
    # Calico
    ({"calico": {"allow_untested": False}}, [f"calico.version: Calico 3.28.5 {UNTESTED}"]),
    (
        {"calico": {"allow_untested": False, "version": "3.99.0"}},
        [f"calico.version: Calico 3.99.0 {UNTESTED}"],
    ),
    (
        {"calico": {"allow_untested": False}, "cluster": {"version": "1.34.1"}},
        [
            "calico.version: Calico 3.28.5 was not tested with Kubernetes 1.34;"
            " use Calico 3.30.x, or set calico.allow_untested: true"
        ],
    ),
    (
        {"calico": {"version": "3.22.1"}, "cluster": {"version": "1.34.1"}},
        [
            "calico.version: Calico 3.22.1 can't run on Kubernetes 1.34: its PodDisruptionBudget"
            " uses policy/v1beta1, which is gone since 1.25; use Calico 3.30.x"
        ],
    ),
    (
        {"calico": {"version": "3.14.0"}},
        [
            "calico.version: Calico 3.14.0 can't run on Kubernetes 1.37: its custom resources use"
            " apiextensions.k8s.io/v1beta1, which is gone since 1.22; use Calico 3.33.x"
        ],
    ),
    (
        {"calico": {"version": "4.0.0"}},
        ["calico.version: Calico 4.0.0 is not supported by this fabnode; 2.x or 3.x is"],
    ),
    (
        {"calico": {"manifest": "https://a.example/calico.yaml"}},
        [
            "calico.manifest: a URL needs calico.manifest_sha256;"
            " set it to the sha256 of the file, so that no other file is applied"
        ],
    ),
    (
        {"calico": {"datastore": "etcd"}},
        ["calico.datastore: etcd needs calico.etcd; set endpoints, ca, cert and key"],
    ),
    (
        {"calico": {"etcd": {"endpoints": ["https://a.example:1"], "ca": "a", "cert": "b", "key": "c"}}},
        [
            "calico.etcd: is not used with datastore kubernetes;"
            " set calico.datastore: etcd, or remove calico.etcd"
        ],
    ),
    (
        {"calico": {"encapsulation": "Never"}},
        [
            "calico.encapsulation: with Never, pods of different nodes can't reach each other;"
            " use Always or CrossSubnet with backend vxlan"
        ],
    ),
    (
        {"calico": {"mtu": 1400, "components": "controllers"}},
        ["calico.mtu: is not used with `components: controllers`; set it where calico-node is configured"],
    ),
    (
        {"runtime": {"handlers": {"runc": {"type": "io.containerd.runc.v2"}}}},
        [
            "runtime.handlers.runc: is fabnode's own; choose another name, and make it"
            " `default_handler` where it should take its place"
        ],
    ),
    (
        {"runtime": {"default_handler": "nvidai", "handlers": {"nvidia": {"type": "io.containerd.runc.v2"}}}},
        ["runtime.default_handler: no handler is called 'nvidai'; did you mean nvidia?"],
    ),
    (
        {
            "runtime": {"name": "docker", "handlers": {"kata": {"type": "io.containerd.kata.v2"}}},
            "cluster": {"version": "1.20.2"},
            "calico": {"enabled": False},
        },
        ["runtime.handlers: applies to containerd only; docker's stand in `runtime.daemon: {runtimes: …}`"],
    ),
    # kube-proxy
    (
        {"kube_proxy": {"signing": "local"}},
        ["kube_proxy.signing: local needs kube_proxy.ca_key; set it to the CA's key, or use `signing: csr`"],
    ),
    (
        nodes(kube_proxy={"signing": "local"}),
        ["nodes[n1].kube_proxy.signing: local needs kube_proxy.ca_key; set it to the CA's key, or use `signing: csr`"],
    ),
    (
        {"groups": {"g": {"kube_proxy": {"signing": "local"}}}, **nodes(groups=["g"])},
        ["groups.g.kube_proxy.signing: local needs kube_proxy.ca_key; set it to the CA's key, or use `signing: csr`"],
    ),
    (
        {"kube_proxy": {"config": {"iptables": {"masqueradeAll": True}}}},
        [
            "kube_proxy.config.iptables.masqueradeAll: can't be set here: it hides the source"
            " of traffic, so that NetworkPolicies can't match it; remove it"
        ],
    ),
    (
        {"kube_proxy": {"config": {"udpIdleTimeout": "1s"}}},
        ["kube_proxy.config.udpIdleTimeout: Kubernetes 1.37 does not know this field; remove it"],
    ),
    # kubelet
    (
        {"kubelet": {"config": {"maxPods": 5}}},
        ["kubelet.config.maxPods: can't be set here: it is set by kubelet.max_pods; remove it"],
    ),
    (
        nodes(kubelet={"config": {"authentication": {"anonymous": {"enabled": True}}}}),
        [
            "nodes[n1].kubelet.config.authentication.anonymous: can't be set here: the API"
            " authenticates and authorizes every client of the kubelet; remove it"
        ],
    ),
    (
        {"kubelet": {"config": {"failCgroupV1": True}}, "cluster": {"version": "1.30.4"}},
        ["kubelet.config.failCgroupV1: Kubernetes 1.30 does not know this field; remove it"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "sentences"), TOGETHER)
def test_values_that_do_not_go_together_are_named(
    tmp_path: Path, overrides: dict[str, Any], sentences: list[str]
) -> None:
    assert messages(tmp_path, **overrides) == sentences


@pytest.mark.parametrize("key", ["version", "apiserver", "ca", "kubeconfig", "dns_address"])
def test_what_has_no_sensible_default_must_be_there(tmp_path: Path, key: str) -> None:
    kept = {name: value for name, value in DOCUMENT["cluster"].items() if name != key}
    text = str({**DOCUMENT, "cluster": kept})  # a Python dict of plain values is YAML
    with pytest.raises(ConfigError) as caught:
        load(write_cluster(tmp_path, text))
    assert str(caught.value) == f"{tmp_path}/cluster.yml:1: cluster.{key}: is missing"


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
cluster:
  version: 1.37.2
  apiserver: https://192.0.2.1:6443
  ca: ca.pem
  kubeconfig: absent.kubeconfig
  service_cidr: 10.68.0.0/16
  pod_cidr: 10.68.0.0/20
  dns_address: 10.0.0.2
ssh: {prot: 22}
kubelet:
  maxpods: 3
  maxpods: 4
calico: {allow_untested: true, backend: ipip}
nodes:
  - {name: n1, address: 192.0.2.1, groups: [nowhere]}
  - name: n1
    adress: 192.0.2.2
  - {name: n1, address: 192.0.2.3}
"""
    with pytest.raises(ConfigError) as caught:
        load(write_cluster(tmp_path, text))
    messages = str(caught.value).replace(f"{tmp_path}/", "")
    assert messages.splitlines() == [
        "cluster.yml:5: cluster.kubeconfig: absent.kubeconfig does not exist",
        "cluster.yml:7: cluster.pod_cidr: 10.68.0.0/20 overlaps service_cidr 10.68.0.0/16;"
        " choose a network for pods that nothing else uses",
        "cluster.yml:8: cluster.dns_address: 10.0.0.2 is outside service_cidr 10.68.0.0/16;"
        " use the address of the Service kube-dns, or a link-local one (169.254.0.0/16), as of NodeLocal DNSCache",
        "cluster.yml:9: ssh.prot: unknown key; did you mean port?",
        "cluster.yml:11: kubelet.maxpods: unknown key; did you mean max_pods?",
        "cluster.yml:12: kubelet.maxpods: appears twice: first in line 11",
        "cluster.yml:13: calico.backend: must be vxlan or bird, got 'ipip'",
        "cluster.yml:15: nodes[n1].groups[0]: no group is called 'nowhere'; define it under groups",
        "cluster.yml:16: nodes[n1].address: is missing",
        "cluster.yml:17: nodes[n1].adress: unknown key; did you mean address?",
        "cluster.yml:18: nodes[n1].name: two nodes are called 'n1'",
    ]


def test_a_setting_that_is_wrong_for_all_nodes_is_reported_once(tmp_path: Path) -> None:
    reported_lines = messages(tmp_path, kube_proxy={"signing": "local"})
    assert len(DOCUMENT["nodes"]) > 1
    assert len(reported_lines) == 1


def test_yaml_that_reads_no_as_false_is_explained_in_the_users_words(tmp_path: Path) -> None:
    text = str(DOCUMENT)[:-1] + ", 'kube_proxy': {'subject': {'country': NO}}}"
    with pytest.raises(ConfigError, match=r'must be text, got NO; put it in quotes: "NO"$'):
        load(write_cluster(tmp_path, text))


def test_sections_without_a_value_are_empty() -> None:
    config = make_config(
        ssh=None, artifacts=None, groups=None, kubelet={"config": None}, **nodes(labels=None)
    )
    assert config.ssh.user == "root"
    assert config.groups == {}
    assert config.nodes[0].kubelet.config == {}


@pytest.mark.parametrize(
    "overrides",
    [
        {"calico": {"encapsulation": "Never", "backend": "bird"}},
        {"calico": {"manifest": "https://a.example/c.yaml", "manifest_sha256": "0" * 64}},
        {"calico": {"allow_untested": False, "enabled": False}},
        {"calico": {"allow_untested": False, "version": "3.32.1"}, "cluster": {"version": "1.36.3"}},
        {"calico": {"ip_autodetection": "can-reach=192.0.2.1"}},
        {"cluster": {"version": "v1.30.14"}},
        {"cluster": {"apiserver": "https://api.example.org/"}},
        {"cluster": {"apiserver": ["https://api.example.org"]}},
        {"cluster": {"apiserver": ["https://192.0.2.1:6443", "https://192.0.2.2:6443"]}},
        {"cluster": {"name": "prod_1.eu"}},
        {"kube_proxy": {"signing": "local", "ca_key": "ca-key.pem"}},
        {"kube_proxy": {"mode": "nftables", "config": {"nftables": {"syncPeriod": "10s"}}}},
        {"kubelet": {"config": {"authentication": {"webhook": {"cacheTTL": "1m"}}}}},
        {"ssh": {"gateway": "ops@bastion.example.org:2222", "password": {"prompt": True}}},
        {"ssh": {"user": "DOM\\user", "gateway": "user@dom.example@bastion"}},
        {"ssh": {"user": "user@dom.example"}},
        {"ssh": {"user": "машина$"}},
        {"groups": {"unused": {}}},
        {"runtime": {"sandbox_image": "localhost:5000/a/pause@sha256:" + "a" * 64}},
        {"verify": {"image": "busybox"}},
        nodes(name="192.0.2.11"),
        nodes(address="Node-1.example.org", ip="192.0.2.1"),
        nodes(labels={"node-role.kubernetes.io/worker": "", "a": "b"}),
        nodes(taints=["dedicated:NoExecute", "a.example/b=c:PreferNoSchedule"]),
    ],
)  # fmt: skip
def test_what_is_right_is_taken(overrides: dict[str, Any]) -> None:
    assert make_config(**overrides).nodes
