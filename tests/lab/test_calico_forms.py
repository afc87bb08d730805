"""Calico in its other forms, each on hosts that are bare again: they come last."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .harness import eventually
from .workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Done, Lab

pytestmark = pytest.mark.sites

SECRET = "calico-etcd-secrets"


@dataclass
class Form:
    """A lab on which Calico is to have another form, deployed as the account made for that form."""

    lab: Lab
    config: Path

    def deploy(self, *words: str, code: int = 0) -> Done:
        return self.lab.deploy(*words, config=self.config, code=code)

    def plan(self, *words: str, code: int = 0) -> dict[str, Any]:
        return self.lab.plan(*words, config=self.config, code=code)


def fresh(lab: Lab, calico: object, nodes: int) -> Form:
    """Return bare hosts and an empty cluster, of which so many hosts are configured."""
    lab.lab("fresh")
    return form(lab, calico, nodes)


def form(lab: Lab, calico: object, nodes: int) -> Form:
    """Return a configuration of that form, with the rights of that form and no others."""
    document = yaml.safe_load(lab.layout.configuration.read_text())
    document["calico"] = document["calico"] | calico if isinstance(calico, dict) else calico
    document["nodes"] = document["nodes"][:nodes]
    admin = lab.scratch / "form-admin.yml"
    admin.write_text(yaml.safe_dump(document, sort_keys=False))
    credentials = lab.scratch / "form.kubeconfig"
    lab.inv("rbac.deployer", "--hours", "1", "--out", str(credentials), config=admin)
    document["cluster"]["kubeconfig"] = str(credentials)
    own = lab.scratch / "form.yml"
    own.write_text(yaml.safe_dump(document, sort_keys=False))
    return Form(lab, own)


def etcd(lab: Lab) -> dict[str, Any]:
    """Return settings for the lab's etcd, which lets in nobody without a certificate."""
    return {
        "datastore": "etcd",
        "manifest": str(lab.layout.artifacts / "calico-etcd.yaml"),
        "etcd": {
            "endpoints": [lab.layout.etcd],
            "ca": str(lab.layout.pki / "etcd-ca.pem"),
            "cert": str(lab.layout.pki / "calico-etcd-client.pem"),
            "key": str(lab.layout.pki / "calico-etcd-client-key.pem"),
        },
    }


def confine_calico(lab: Lab) -> None:
    """Have etcd let Calico's certificate into its own prefix only, as docs/network.md advises."""
    context = ssl.create_default_context(cafile=str(lab.layout.pki / "etcd-ca.pem"))
    certificate, key = (lab.layout.pki / f"apiserver-etcd-client{end}.pem" for end in ("", "-key"))
    context.load_cert_chain(certificate, key)

    def ask(what: str, **body: Any) -> None:
        url = f"{lab.layout.etcd}/v3/auth/{what}"
        request = urllib.request.Request(url, json.dumps(body).encode())
        urllib.request.urlopen(request, context=context, timeout=10).close()

    first, end = (base64.b64encode(key).decode() for key in (b"/calico", b"/calicp"))
    ask("role/add", name="calico")
    perm = {"permType": "READWRITE", "key": first, "range_end": end}
    ask("role/grant", name="calico", perm=perm)
    users = {"root": "root", "kube-apiserver-etcd-client": "root", "calico": "calico"}
    for user, role in users.items():
        ask("user/add", name=user, options={"no_password": True})
        ask("user/grant", user=user, role=role)
    ask("enable")


@pytest.fixture(scope="module")
def with_etcd(lab: Lab) -> Form:
    """Two bare hosts whose Calico is to keep its data in etcd, in its own part of it."""
    form = fresh(lab, etcd(lab), 2)
    confine_calico(lab)
    return form


def test_calico_keeps_its_data_in_etcd(with_etcd: Form) -> None:
    lab, key = with_etcd.lab, lab_key(with_etcd.lab)
    digest = subprocess.run(["sha256sum"], input=key, capture_output=True, check=True).stdout
    planned = with_etcd.plan("--exit-code", code=3)
    (secret,) = (change for change in planned["cluster"] if SECRET in change["object"])
    assert f"data.etcd-key sha256:{digest.decode()[:12]}" in secret["fields"]
    done = with_etcd.deploy()
    assert all(check["ok"] for check in done.document["checks"])
    assert lab.ready() == {"n1", "n2"}
    assert "projectcalico" not in lab.kubectl("get", "crd", "-o", "name")
    for text in (json.dumps(planned), done.text, *map(str, journal(done))):
        for secret_text in (key.decode(), base64.b64encode(key).decode(), key.decode()[40:80]):
            assert secret_text not in text
    assert with_etcd.plan("--exit-code")["empty"]


def test_policies_hold_with_etcd(with_etcd: Form) -> None:
    pods = Workload(with_etcd.lab)
    pods.start("n1", "n2")
    pods.prove_policies(("n1", "n2"), ("n2", "n1"))


def test_the_etcd_key_is_on_hosts_only_where_calico_itself_puts_it(with_etcd: Form) -> None:
    """Its CNI plugin, which the runtime starts on the host, asks etcd with it."""
    first = lab_key(with_etcd.lab).decode().splitlines()[1]
    for node in ("n1", "n2"):
        found = with_etcd.lab.on(
            node, f"grep -rlF {first} /etc /root /home /opt /usr/local /var/lib/fabnode || true"
        )
        assert found.split() == ["/etc/cni/net.d/calico-tls/etcd-key"]


@pytest.mark.parametrize(("prefix", "status"), [("/calico/", 0), ("/registry/", 7)])
def test_what_lies_on_a_host_opens_no_more_than_calicos_part(
    with_etcd: Form, prefix: str, status: int
) -> None:
    """With Calico's own copy of the key, in etcd's own words: 7 is "permission denied"."""
    key = prefix.encode()
    wanted = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(key)]) + key[:-1] + b"0"
    body = base64.b64encode(b"\0" + len(wanted).to_bytes(4, "big") + wanted).decode()
    files = "/etc/cni/net.d/calico-tls/etcd"
    printed = with_etcd.lab.on(
        "n1",
        f"echo {body} | base64 -d | curl -s --http2 -D - -o /dev/null --data-binary @- "
        f"--cacert {files}-ca --cert {files}-cert --key {files}-key "
        "-H 'content-type: application/grpc' -H 'te: trailers' "
        f"{with_etcd.lab.layout.etcd}/etcdserverpb.KV/Range",
    )
    assert f"grpc-status: {status}" in printed.lower()


def test_a_renewed_certificate_reaches_the_pods_that_show_it(with_etcd: Form) -> None:
    lab = with_etcd.lab
    settings = etcd(lab)
    renewed = lab.scratch / "renewed.pem"
    renewed.write_text(f"{(lab.layout.pki / 'calico-etcd-client.pem').read_text()}# renewed\n")
    settings["etcd"]["cert"] = str(renewed)
    again, before = form(lab, settings, 2), calico_pods(lab)
    planned = again.plan("--exit-code", code=3)
    (secret,) = (change for change in planned["cluster"] if SECRET in change["object"])
    assert [field.split()[0] for field in secret["fields"]] == ["data.etcd-cert"]
    done = again.deploy()
    assert all(check["ok"] for check in done.document["checks"])
    assert len(before) == 3
    eventually(lambda: calico_pods(lab).isdisjoint(before))


def calico_pods(lab: Lab) -> set[str]:
    return {pod["metadata"]["uid"] for pod in lab.objects("pods", "-n", "kube-system")}


def lab_key(lab: Lab) -> bytes:
    return (lab.layout.pki / "calico-etcd-client-key.pem").read_bytes()


def journal(done: Done) -> list[str]:
    """Return all that a run left in its folder."""
    return [path.read_text() for path in done.state.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def with_bgp(lab: Lab) -> Form:
    """Two bare hosts on one network, so that BGP needs no encapsulation."""
    return fresh(lab, {"backend": "bird", "encapsulation": "Never"}, 2)


def test_pods_reach_each_other_by_bgp_alone(with_bgp: Form) -> None:
    done = with_bgp.deploy()
    assert all(check["ok"] for check in done.document["checks"])
    status = ("exec", "daemonset/calico-node", "--", "sv", "status", "bird")
    assert with_bgp.lab.kubectl("-n", "kube-system", *status).startswith("run: bird:")
    pods = Workload(with_bgp.lab)
    pods.start("n1", "n2")
    pods.prove_policies(("n1", "n2"), ("n2", "n1"))
    other = str(with_bgp.lab.layout.host("n2").address)
    assert f"via {other} dev host0" in with_bgp.lab.on("n1", "ip route show proto bird")
    assert with_bgp.lab.on("n1", "ls /sys/class/net | grep -E 'vxlan|tunl' || true") == ""


@pytest.fixture(scope="module")
def without(lab: Lab) -> Form:
    """One bare host whose cluster brings its own network."""
    return fresh(lab, "none", 1)


BRIDGE = """
{"cniVersion": "0.4.0", "name": "own", "plugins": [
  {"type": "bridge", "bridge": "own0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "172.20.99.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
"""


def test_without_calico_a_node_joins_and_waits_for_its_network(without: Form) -> None:
    lab = without.lab
    done = without.deploy()
    assert done.results == {"n1": "changed"}
    assert "NotReady until a CNI is installed" in done.text
    assert lab.ready() == set()
    assert "calico" not in lab.kubectl("get", "all,clusterroles,crd", "-A", "-o", "name")
    (ready,) = (c for c in done.document["checks"] if c["name"] == "Ready")
    assert ready["ok"]
    assert ready["detail"] == "joined; NotReady until a CNI is installed"
    lab.inv("verify", config=without.config)
    assert without.deploy().results == {"n1": "unchanged"}


def test_and_is_like_any_other_once_it_has_one(without: Form) -> None:
    lab = without.lab
    lab.on("n1", f"cat >/etc/cni/net.d/10-own.conflist <<'EOF'\n{BRIDGE}\nEOF")
    eventually(lambda: lab.ready() == {"n1"})
    checks = lab.inv("verify", "--json", config=without.config).document["checks"]
    assert {"Service VIP", "pod on n1"} <= {check["name"] for check in checks}
    assert all(check["ok"] for check in checks)


def test_the_controllers_come_alone(without: Form) -> None:
    """As in the chapter, whose calico-node is a unit of systemd's."""
    lab = without.lab
    chapter = form(lab, etcd(lab) | {"components": "controllers"}, 1)
    done = chapter.deploy()
    assert all(check["ok"] for check in done.document["checks"])
    pods = lab.objects("pods", "-n", "kube-system")
    assert [pod["metadata"]["labels"]["k8s-app"] for pod in pods] == ["calico-kube-controllers"]
    assert pods[0]["spec"]["hostNetwork"]
    assert pods[0]["status"]["podIP"] == str(lab.layout.host("n1").address)
    assert lab.objects("daemonsets", "-A") == []
    (role,) = (r for r in lab.objects("clusterroles") if r["metadata"]["name"].startswith("calico"))
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}
