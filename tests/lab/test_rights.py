"""The deployer's own account: enough for everything, nothing besides, and never two at once."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from fabnode.artifacts import cni_manifest
from fabnode.config import loader
from fabnode.deploy import run_rights
from fabnode.kube import bootstrap_tokens, csr, rbac_rules
from fabnode.kube.client import Api, ApiError
from fabnode.kube.kubeconfig import load
from fabnode.pki import proxy_names
from fabnode.pki.certificates import new_request
from fabnode.pki.legacy_signers import APISERVER_CLIENT
from fabnode.steps import rbac
from fabnode.steps.checks import probe_pods
from fabnode.util.own_names import PROBE_NAMESPACE

from .harness import NODES, eventually
from .requester import Request, requester, serving, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .harness import Lab

ACCOUNT = "system:serviceaccount:kube-system:fabnode-deployer"


def test_nothing_is_deployed_as_system_masters(cluster: Lab) -> None:
    credentials = cluster.scratch / "deployer.kubeconfig"
    assert credentials.stat().st_mode & 0o077 == 0
    kubectl = [*cluster.kubectl_command(credentials), "auth"]

    def ask(*words: str) -> str:
        done = subprocess.run([*kubectl, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    known = json.loads(ask("whoami", "-o", "json"))["status"]["userInfo"]
    assert known["username"] == ACCOUNT
    assert "system:masters" not in known["groups"]
    for forbidden in (
        ["delete", "deployments", "-A"],
        ["list", "secrets", "-n", "default"],
        ["create", "pods", "-n", "kube-system"],
        ["impersonate", "users"],
        ["create", "serviceaccounts", "--subresource=token", "-n", "kube-system"],
        ["update", "leases", "-n", "kube-node-lease"],
    ):
        assert ask("can-i", *forbidden) == "no", forbidden


class Holder:
    """Somebody who got hold of the deployer's kubeconfig, made without Calico's rights."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.kubeconfig = lab.scratch / "stolen.kubeconfig"
        config = lab.config(calico={"enabled": False})
        document = yaml.safe_load(config.read_text())
        document["cluster"]["kubeconfig"] = str(lab.layout.kubeconfig)
        config.write_text(yaml.safe_dump(document))
        self.reported = lab.inv("rbac.deployer", "--out", str(self.kubeconfig), config=config).out

    def api(self) -> Api:
        return Api(load(self.kubeconfig), patience=30)

    def refused(self, path: str, body: dict[str, Any]) -> str:
        """Insist that creating this is forbidden; return why."""
        with pytest.raises(ApiError) as caught:
            self.api().create(path, body)
        assert caught.value.status in (403, 422), caught.value
        return str(caught.value)


@pytest.fixture(scope="class")
def holder(nodes: Lab) -> Iterator[Holder]:
    """Yield one; afterwards the account has what the lab's configuration takes."""
    made = Holder(nodes)
    yield made
    again = str(nodes.scratch / "again")
    nodes.inv("rbac.deployer", "--out", again, config=nodes.layout.configuration)
    eventually(lambda: missing(nodes) == [])


SECRETS = "/api/v1/namespaces/kube-system/secrets"


def a_secret(kind: str, **metadata: Any) -> dict[str, Any]:
    metadata.setdefault("generateName", "tried-")
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata}


def token_secret(**data: str) -> dict[str, Any]:
    """Return a bootstrap token as fabnode makes it, with other data."""
    made = a_secret(
        "bootstrap.kubernetes.io/token",
        name="bootstrap-token-aaaaaa",
        labels={"app.kubernetes.io/managed-by": "fabnode"},
    )
    del made["metadata"]["generateName"]
    whole = {
        "token-id": "aaaaaa",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": bootstrap_tokens.GROUP,
        **data,
    }
    return {**made, "stringData": whole}


def a_request(pem: bytes, signer: str = APISERVER_CLIENT) -> dict[str, Any]:
    return {
        **csr.V1.kind,
        "metadata": {"generateName": "tried-"},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": signer,
            "usages": ["client auth", "digital signature"],
        },
    }


class TestStolenKubeconfig:
    """One holder tries all of it, with the account as it was made once."""

    def test_the_account_can_do_what_is_documented(self, holder: Holder) -> None:
        """No more of it is as good as administrator, with the policy but not Calico's rights."""
        assert "which is equivalent to administrator" not in holder.reported
        assert "read every Secret in kube-system" in holder.reported
        assert "impersonate any node" in holder.reported
        assert "traffic" not in holder.reported

    def test_no_certificate_in_another_name(self, holder: Holder) -> None:
        """The first way to be administrator: a client certificate of somebody who is, or nearly."""
        controller = "system:kube-controller-manager"
        path = csr.REQUESTS
        own = new_request("system:kube-proxy", {"organization": "k8s"}).request_pem
        foreign = new_request(controller, {}).request_pem
        for pem in (foreign, own + foreign, own.replace(b"\n", b"!\n", 3) + foreign):
            assert "kube-proxy's certificate" in holder.refused(path, a_request(pem))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, controller)])
        key = rsa.generate_private_key(65537, 2048)
        made = (
            x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        )
        pem = made.public_bytes(serialization.Encoding.PEM)
        assert "kube-proxy's certificate" in holder.refused(path, a_request(pem))
        # Nor by a detour: asked for by another approver, approved by the account.
        admin = Api(load(holder.lab.layout.kubeconfig), patience=30)
        other = admin.create(path, a_request(foreign))
        try:
            with pytest.raises(ApiError, match="only requests of joining hosts"):
                csr.approve(holder.api(), other, "tried")
        finally:
            admin.delete(f"{path}/{other['metadata']['name']}")

    def test_certificates_for_kube_proxies_of_nodes_alone(self, holder: Holder) -> None:
        """By the beginning of the CN, whatever node's name follows."""
        subject = {"organization": "k8s", "organizational_unit": "System"}
        path = csr.REQUESTS
        for name in ("system:kube-controller-manager", "system:kube-pro:n1", "system:node:n1"):
            pem = new_request(name, subject).request_pem
            assert "kube-proxy's certificate" in holder.refused(path, a_request(pem))
        masters = new_request(proxy_names.own("n1"), {"organization": "system:masters"}).request_pem
        assert holder.refused(path, a_request(masters))
        for node in ("n", "n1", "node-4711.example.org", "n" * 46, "n" * 63):
            made = new_request(proxy_names.own(node), subject).request_pem
            found = holder.api().create(path, a_request(made))
            holder.api().delete(f"{path}/{found['metadata']['name']}")

    def test_no_role_but_that_of_kube_proxies_by_their_binding(self, holder: Holder) -> None:
        path = f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{rbac.PROXIES}"
        with pytest.raises(ApiError) as caught:
            holder.api().delete(path)
        assert caught.value.status == 403
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
        change = {"roleRef": {**role, "name": "cluster-admin"}}
        with pytest.raises(ApiError) as caught:
            holder.api().patch(path, change)
        assert caught.value.status in {403, 422}

    def test_no_token_of_a_service_account(self, holder: Holder) -> None:
        """The second way: a token of a ServiceAccount that controls others, by a Secret for it."""
        account = {"kubernetes.io/service-account.name": "default"}
        secret = a_secret("kubernetes.io/service-account-token", annotations=account)
        assert "only bootstrap tokens" in holder.refused(SECRETS, secret)
        assert "only bootstrap tokens" in holder.refused(SECRETS, a_secret("Opaque"))
        groups = {"auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token"}
        assert "only bootstrap tokens" in holder.refused(SECRETS, token_secret(**groups))
        signs = {"usage-bootstrap-signing": "true"}
        assert "only bootstrap tokens" in holder.refused(SECRETS, token_secret(**signs))
        admin = Api(load(holder.lab.layout.kubeconfig), patience=30)
        path = f"{SECRETS}/{admin.create(SECRETS, a_secret('Opaque'))['metadata']['name']}"
        try:
            with pytest.raises(ApiError, match="only bootstrap tokens"):
                holder.api().delete(path)
        finally:
            admin.delete(path)
        # What fabnode makes is let through; to read all Secrets there remains, as documented.
        made = bootstrap_tokens.create(holder.api(), "n1", minutes=1)
        assert any(item["type"] != "x" for item in holder.api().get(SECRETS)["items"])
        bootstrap_tokens.delete(holder.api(), made.token)

    def test_no_privileged_pod(self, holder: Holder) -> None:
        """The third way: a pod that is root on a node, the control plane's too."""
        pods = f"/api/v1/namespaces/{PROBE_NAMESPACE}/pods"
        server, _ = probe_pods.probe_objects("docker.io/library/busybox:1.35.0", ["n1"])
        changes: tuple[dict[str, Any], ...] = (
            {"hostNetwork": True},
            {"hostPID": True},
            {"volumes": [{"name": "www", "hostPath": {"path": "/"}}]},
            {"securityContext": {}},
            {"containers": [{**server["spec"]["containers"][0], "securityContext": {}}]},
        )
        for change in changes:
            pod = {**server, "spec": {**server["spec"], **change}}
            assert "PodSecurity" in holder.refused(pods, pod)
        namespace = f"/api/v1/namespaces/{PROBE_NAMESPACE}"
        with pytest.raises(ApiError):
            holder.api().patch(namespace, {"metadata": {"labels": {}}})
        holder.api().create(pods, server)  # its own are let through
        holder.api().delete(pods)

    def test_no_pod_that_reaches_storage_or_displaces_others(self, holder: Holder) -> None:
        """Pod Security's `restricted` admits them; the controller manager makes their claims."""
        pods = f"/api/v1/namespaces/{PROBE_NAMESPACE}/pods"
        server, _ = probe_pods.probe_objects("docker.io/library/busybox:1.35.0", ["n1"])
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Ki"}}}
        volumes: tuple[dict[str, Any], ...] = (
            {"ephemeral": {"volumeClaimTemplate": {"spec": {**claim, "volumeName": "others"}}}},
            {"persistentVolumeClaim": {"claimName": "others"}},
            {"csi": {"driver": "example.com"}},
        )
        changes: tuple[dict[str, Any], ...] = (
            *({"volumes": [{"name": "www", **volume}]} for volume in volumes),
            {"priorityClassName": "system-node-critical"},
            {"resourceClaims": [{"name": "gpu", "resourceClaimName": "others"}]},
            {"nodeName": ""},
        )
        for change in changes:
            pod = {**server, "spec": {**server["spec"], **change}}
            assert "only pods as the network probe's" in holder.refused(pods, pod), change
        kept = {**server["metadata"], "finalizers": ["example.com/kept"]}
        refused = holder.refused(pods, {**server, "metadata": kept})
        assert "only pods as the network probe's" in refused

    def test_nobody_else_by_its_bindings(self, holder: Holder) -> None:
        """They stay when the account is taken away."""
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group"}
        for name in (rbac.PROXIES, "fabnode:node-bootstrapper", "fabnode:node-client-renewal"):
            before = holder.api().get(f"{path}/{name}")
            for others in ("system:authenticated", "system:unauthenticated"):
                subjects = [*before["subjects"], {**group, "name": others}]
                with pytest.raises(ApiError, match="fabnode's own bindings are for") as caught:
                    holder.api().patch(f"{path}/{name}", {"subjects": subjects})
                assert caught.value.status in {403, 422}
        admin = Api(load(holder.lab.layout.kubeconfig), patience=30)
        binding = admin.get(f"{path}/{rbac.PROXIES}")
        add = {"kind": "User", "apiGroup": group["apiGroup"], "name": proxy_names.own("n9")}
        # What is there by others stays, and keeps nobody from binding nodes.
        subjects = [*binding["subjects"], {**group, "name": "example:others"}]
        admin.patch(f"{path}/{rbac.PROXIES}", {"subjects": subjects})
        try:
            holder.api().patch(f"{path}/{rbac.PROXIES}", {"subjects": [*subjects, add]})
        finally:
            admin.patch(f"{path}/{rbac.PROXIES}", {"subjects": binding["subjects"]})

    def test_no_service_but_the_probes(self, holder: Holder) -> None:
        """The fourth way: a Service that takes traffic from every node, or opens ports on it."""
        services = f"/api/v1/namespaces/{PROBE_NAMESPACE}/services"
        (service,) = probe_pods.probe_objects("", [])
        changes: tuple[dict[str, Any], ...] = (
            {"externalIPs": ["192.0.2.1"]},
            {"type": "NodePort"},
            {"type": "LoadBalancer"},
            {"type": "ExternalName", "externalName": "example.org"},
            {"selector": {}},
            {"selector": {"app": "client"}},
        )
        for change in changes:
            tried = {**service, "spec": {**service["spec"], **change}}
            assert "only the network probe's Service" in holder.refused(services, tried)
        other = {**service, "metadata": {**service["metadata"], "name": "other"}}
        assert "only the network probe's Service" in holder.refused(services, other)
        holder.api().create(services, service)  # its own is let through
        holder.api().delete(f"{services}/{service['metadata']['name']}")

    def test_the_policy_is_out_of_the_accounts_reach(self, holder: Holder) -> None:
        group = "/apis/admissionregistration.k8s.io/v1"
        for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
            with pytest.raises(ApiError) as caught:
                holder.api().delete(f"{group}/{kind}/fabnode-deployer")
            assert caught.value.status == 403


@pytest.fixture
def account_again(cluster: Lab) -> Iterator[None]:
    """Afterwards the account has what the lab's configuration takes, policy included."""
    yield
    again = str(cluster.scratch / "again")
    cluster.inv("rbac.deployer", "--out", again, config=cluster.layout.configuration)
    eventually(lambda: missing(cluster) == [])


def is_forbidden(account: Api, path: str) -> bool:
    try:
        account.get(path)
    except ApiError as error:
        return error.status == 403
    return False


def findings(planned: dict[str, Any], node: str) -> list[str]:
    """Return what preflight says of the policy on the account."""
    (found,) = (each for each in planned["nodes"] if each["node"] == node)
    texts = [f"{finding['level']} {finding['text']}" for finding in found["findings"]]
    return [text for text in texts if "AdmissionPolicy" in text]


def test_a_policy_for_another_configuration_is_named_before_anything_is_changed(
    cluster: Lab, account_again: None
) -> None:
    """A node got another subject after `inv rbac.deployer`, which would fail halfway."""
    subject = {"kube_proxy": {"subject": {"organization": "others"}}}
    config = cluster.config({"n3": subject})
    before, starts = len(cluster.writes()), cluster.starts("n3")
    planned = cluster.plan("--limit", "n3", config=config, code=1)
    (reported,) = findings(planned, "n3")
    assert reported.startswith("error the ValidatingAdmissionPolicy fabnode-deployer refuses what")
    assert "organization=others" in reported
    done = cluster.inv("deploy-nodes", "--limit", "n3", config=config, code=1)
    printed = " ".join(done.text.split())
    assert "requests for a certificate with CN=system:kube-proxy, organization=others" in printed
    assert "as administrator, run `inv rbac.deployer` with this configuration" in printed
    assert cluster.writes(before) == []
    assert cluster.restarted(starts) == set()


def test_a_policy_that_limits_too_little_is_a_warning(
    cluster: Lab, account_again: None, roles: dict[str, Any]
) -> None:
    """Gone, bound to nothing, unreadable for an older account; as it should be, no report."""
    change = cluster.config({"n1": {"labels": {"policy": "seen"}}})
    # As the apiserver has it, with its own defaults, it is what the configuration takes.
    assert findings(cluster.plan("--limit", "n1", config=change), "n1") == []
    (binding,) = (
        item
        for item in cluster.objects("validatingadmissionpolicybindings")
        if item["metadata"]["name"] == "fabnode-deployer"
    )
    cluster.kubectl("delete", "validatingadmissionpolicybinding", binding["metadata"]["name"])
    (reported,) = findings(cluster.plan("--limit", "n1", config=change), "n1")
    assert reported.startswith(
        "warning the ValidatingAdmissionPolicy fabnode-deployer has no binding"
    )
    cluster.kubectl("delete", "validatingadmissionpolicy", binding["spec"]["policyName"])
    (reported,) = findings(cluster.plan("--limit", "n1", config=change), "n1")
    assert reported.startswith("warning there is no ValidatingAdmissionPolicy fabnode-deployer")
    assert findings(cluster.plan("--limit", "n1"), "n1") == [], "nothing would change"
    take_away(cluster, roles[""], run_rights.OWN_POLICY[0], "get")
    account = api(cluster)
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/fabnode-deployer"
    eventually(lambda: is_forbidden(account, path), 10)
    done = cluster.deploy("--limit", "n1", config=change)
    assert done.results["n1"] == "changed"
    assert "has no right to read the ValidatingAdmissionPolicy" in " ".join(done.err.split())


def test_an_account_of_an_older_fabnode_goes_on_with_the_name_of_all(
    cluster: Lab, account_again: None, roles: dict[str, Any]
) -> None:
    """It may not bind a node's own name: certificates are issued as before, which is reported."""
    renew = ("rotate-certs", "--only", "proxy", "--issued-before", "now", "--limit", "n2")
    take_away(cluster, roles[""], run_rights.PROXY_NAMES[0], "patch")
    account = api(cluster)
    eventually(lambda: rbac_rules.missing(account, run_rights.PROXY_NAMES[:1]), 10)
    cluster.kubectl("delete", "clusterrolebinding", "fabnode:kube-proxies")
    done = cluster.inv(*renew)
    assert cluster.proxy_name("n2") == "system:kube-proxy"
    assert "kube-proxies get certificates in the one name system:kube-proxy" in done.text
    assert "inv rbac.deployer" in done.text
    cluster.inv("verify", "--limit", "n2")
    # Once the account may, what is good stays as it is until it is due.
    again = str(cluster.scratch / "now-it-may")
    cluster.inv("rbac.deployer", "--out", again, config=cluster.layout.configuration)
    eventually(lambda: rbac_rules.missing(account, run_rights.PROXY_NAMES) == [], 10)
    starts = cluster.starts()
    cluster.deploy()
    assert cluster.restarted(starts) == set()
    assert cluster.proxies_bound() == {"n1", "n3"}
    assert cluster.proxy_name("n2") == "system:kube-proxy"
    cluster.inv(*renew)
    assert cluster.proxy_name("n2") == "system:kube-proxy:n2"
    assert cluster.proxies_bound() == set(NODES)


def test_the_approvers_account_approves_serving_certificates_alone(cluster: Lab) -> None:
    credentials = cluster.scratch / "approver.kubeconfig"
    words = ["rbac.approver", "--out", str(credentials)]
    cluster.inv(*words, config=cluster.layout.configuration)
    api = Api(load(credentials), patience=30)
    eventually(lambda: rbac_rules.missing(api, run_rights.SERVING_ONLY) == [] or None)
    beyond = [right for right in needed(cluster) if right not in run_rights.SERVING_ONLY]
    allowed = {right.describe(verb) for right in beyond for verb in right.verbs} - set(
        rbac_rules.missing(api, beyond)
    )
    known = {right.describe(verb) for right in run_rights.SERVING_ONLY for verb in right.verbs}
    assert allowed <= known


@pytest.fixture
def other_approver(cluster: Lab) -> Iterator[str]:
    """The much copied binding by which kube-controller-manager approves whatever is asked for."""
    name = "auto-approve-csrs-for-group"
    role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
    words = ["clusterrolebinding", name]
    cluster.kubectl("create", *words, f"--clusterrole={role}", "--group=system:bootstrappers")
    yield name
    cluster.kubectl("delete", *words)


def test_another_approver_is_named_before_anything_is_changed(
    cluster: Lab, other_approver: str
) -> None:
    before = len(cluster.writes())
    renewal = ("rotate-certs", "--limit", "n1", "--only", "client", "--issued-before", "now")
    for words in (renewal, ("approve-csr",)):
        done = cluster.inv(*words, code=1)
        reported = " ".join(done.text.split())
        assert f"ClusterRoleBinding {other_approver}" in reported
        assert "delete it, or bind it" in reported
    assert not [write for write in cluster.writes(before) if "reviews" not in write]
    # Nodes that have joined are handed no token: nothing of theirs is at stake.
    assert cluster.deploy().results == dict.fromkeys(NODES, "unchanged")


def test_what_another_approver_approved_is_reported(cluster: Lab) -> None:
    with requester(cluster) as rogue:
        run = cluster.begin("approve-csr", "--watch")
        assert run.until(lambda events: bool(events))
        name = rogue.make(Request(name="system:node:n2"))
        assert name
        assert run.until(lambda events: f"left {name} pending" in verdicts(events).get(name, ""))
        cluster.kubectl("certificate", "approve", name)
        assert run.until(lambda events: "by another approver" in verdicts(events).get(name, ""))
        reported = verdicts(run.events())[name]
        run.kill(signal.SIGINT)
        run.wait()
    assert "KubectlApprove" in reported
    assert "its subject is" in reported


def test_the_approver_service_approves_serving_certificates_and_nothing_else(
    cluster: Lab,
) -> None:
    """By its own account, without SSH, as its unit has it run."""
    credentials = cluster.scratch / "service.kubeconfig"
    cluster.inv("rbac.approver", "--out", str(credentials), config=cluster.layout.configuration)
    config = cluster.config(ssh={"user": "nobody", "port": 1})
    with requester(cluster) as rogue:
        words = ("--watch", "--serving-only", "--kubeconfig", str(credentials))
        run = cluster.begin("approve-csr", *words, config=config)
        client = rogue.make(Request())
        good, bad = rogue.make(serving(cluster)), rogue.make(serving(cluster, names=("n2",)))
        assert good
        assert bad
        assert run.until(lambda events: {good, bad} <= verdicts(events).keys())
        reported = verdicts(run.events())
        run.kill(signal.SIGINT)
        run.wait()
        assert rogue.states()[good].startswith("Approved")
        assert rogue.states()[bad] == rogue.states()[str(client)] == "Pending"
    assert reported[good].startswith("approved serving request")
    assert client not in reported


@pytest.fixture
def roles(cluster: Lab) -> Iterator[dict[str, dict[str, Any]]]:
    """The account's roles by namespace; as they were again afterwards."""
    found = cluster.objects(
        "clusterroles,roles", "-A", "--field-selector=metadata.name=fabnode:deployer"
    )
    yield {item["metadata"].get("namespace", ""): item for item in found}
    cluster.inv(
        "rbac.deployer",
        "--out",
        str(cluster.scratch / "again"),
        config=cluster.layout.configuration,
    )
    eventually(lambda: missing(cluster) == [])


def missing(lab: Lab) -> list[str]:
    """Ask the apiserver, as the account, what it lacks."""
    return rbac_rules.missing(api(lab), needed(lab))


def needed(lab: Lab) -> tuple[rbac_rules.Right, ...]:
    """Return what the lab's configuration takes, as `inv rbac.deployer` grants it."""
    config = loader.load(lab.layout.configuration)
    return run_rights.needed(config, network=cni_manifest.objects(config, for_names=True))


def api(lab: Lab) -> Api:
    return Api(load(lab.scratch / "deployer.kubeconfig"), patience=30)


def take_away(lab: Lab, role: dict[str, Any], right: rbac_rules.Right, verb: str) -> None:
    """Leave a role without one verb on one resource."""
    kind, name = role["kind"].lower(), role["metadata"]["name"]
    where = ["-n", role["metadata"]["namespace"]] if "namespace" in role["metadata"] else []
    role["rules"] = without(role, right, verb)
    patch = json.dumps({"rules": role["rules"]})
    lab.kubectl(*where, "patch", kind, name, "--type=merge", "-p", patch)


def test_each_right_that_is_missing_is_named(cluster: Lab, roles: dict[str, Any]) -> None:
    """One by one, by the code that a run asks."""
    account, admin = api(cluster), Api(load(cluster.layout.kubeconfig), patience=30)
    whole = (*run_rights.BASE, run_rights.TOKENS, *run_rights.PROXY_REQUESTS)
    for right in whole:
        for verb in right.verbs:
            role = roles[right.namespace]
            path = f"/apis/rbac.authorization.k8s.io/v1/{place(role)}/fabnode:deployer"
            admin.patch(path, {"rules": without(role, right, verb)})
            if not covered(right, verb, whole):
                reported = right.describe(verb)
                eventually(partial(is_missing, account, right, reported), 10)
            admin.patch(path, {"rules": role["rules"]})


def is_missing(account: Api, right: rbac_rules.Right, reported: str) -> bool:
    return reported in rbac_rules.missing(account, [right])


def covered(right: rbac_rules.Right, verb: str, whole: Sequence[rbac_rules.Right]) -> bool:
    """Say whether another right gives the same."""
    return any(
        other != right
        and (other.namespace, other.group, other.resource)
        == (right.namespace, right.group, right.resource)
        and verb in other.verbs
        and not other.names
        for other in whole
    )


def place(role: dict[str, Any]) -> str:
    """Return the part of a path that names the collection."""
    if "namespace" in role["metadata"]:
        return f"namespaces/{role['metadata']['namespace']}/roles"
    return "clusterroles"


def without(role: dict[str, Any], right: rbac_rules.Right, verb: str) -> list[dict[str, Any]]:
    """Return a role's rules without one verb on one resource."""
    rules = []
    for rule in role["rules"]:
        same = rule["resources"] == [right.resource] and rule["apiGroups"] == [right.group]
        if same and tuple(rule.get("resourceNames", ())) == right.names:
            rule = {**rule, "verbs": [v for v in rule["verbs"] if v != verb]}
        rules.append(rule)
    return [rule for rule in rules if rule["verbs"]]


# What is taken away at once, as (namespace, resource, verb), and what a run says of it.
TAKEN_AWAY = (
    {
        ("kube-system", "secrets", "create"): "create secrets in kube-system",
        ("", "signers", "approve"): "approve signers.certificates.k8s.io (kubernetes.io/kube-apis",
        ("", "nodes", "patch"): "patch nodes",
        ("kube-system", "leases", "create"): "create leases.coordination.k8s.io in kube-system",
    },
    {("", "nodes", "list"): 'cannot list resource "nodes"'},
)


@pytest.mark.parametrize("taken", TAKEN_AWAY, ids=["to change", "to read"])
def test_run_without_rights_names_each_and_changes_nothing(
    cluster: Lab, roles: dict[str, Any], taken: dict[tuple[str, str, str], str]
) -> None:
    """Any one that is missing is enough, as the test before this one shows."""
    for namespace, resource, verb in taken:
        (right, *_) = (
            r
            for r in (*run_rights.BASE, run_rights.TOKENS, *run_rights.PROXY_REQUESTS)
            if (r.namespace, r.resource) == (namespace, resource) and verb in r.verbs
        )
        take_away(cluster, roles[namespace], right, verb)
    eventually(lambda: len(missing(cluster)) >= len(taken))
    config = cluster.config(kubelet={"max_pods": 91})
    before, starts = len(cluster.writes()), cluster.starts()
    digests = {
        node: cluster.on(node, "find /etc/kubernetes /usr/local/bin -type f | xargs sha256sum")
        for node in NODES
    }
    done = cluster.inv("deploy-nodes", config=config, code=1)
    for printed in taken.values():
        assert printed in " ".join(done.text.split()), done.text
    assert cluster.writes(before) == []
    assert cluster.restarted(starts) == set()
    assert digests == {
        node: cluster.on(node, "find /etc/kubernetes /usr/local/bin -type f | xargs sha256sum")
        for node in NODES
    }


def other_change(lab: Lab, value: str) -> Path:
    """Return a configuration that changes something small on n1: a label."""
    return lab.config({"n1": {"labels": {"run": value}}})


def hold(lab: Lab, **spec: Any) -> None:
    """Take the Lease as a run on another machine would."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "fabnode",
            "namespace": "kube-system",
            "annotations": {"fabnode.io/process": "another-boot/pid:[1] 77 1234"},
        },
        "spec": {"holderIdentity": "ann@elsewhere pid 77", "leaseDurationSeconds": 15, **spec},
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(lease))


def test_unchanged_run_goes_on_beside_another(cluster: Lab) -> None:
    hold(cluster)
    try:
        writes = len(cluster.writes())
        assert cluster.deploy().results == dict.fromkeys(NODES, "unchanged")
        assert cluster.writes(writes + 0) == []
    finally:
        cluster.kubectl("-n", "kube-system", "delete", "lease", "fabnode")


def test_second_deployer_says_who_is_at_work(nodes: Lab) -> None:
    """Two real ones: the first is held up while it changes n3."""
    config = nodes.config({"n3": {"kubelet": {"max_pods": 89}}})
    change = other_change(nodes, "second")
    nodes.as_configured = False
    first = nodes.begin("deploy-nodes", "--limit", "n3", config=config)
    assert first.begun("n3", "kubelet")
    first.kill(signal.SIGSTOP)  # it lives, and would renew its Lease
    try:
        nodes.kubectl("-n", "kube-system", "annotate", "lease", "fabnode", "seen=yes")
        second = nodes.begin("deploy-nodes", "--limit", "n1", config=change)
        assert second.until(lambda events: any("still alive" in e.get("text", "") for e in events))
        nodes.kubectl("-n", "kube-system", "annotate", "lease", "fabnode", "seen-")
        done = second.wait().expect(1)
    finally:
        first.kill(signal.SIGCONT)
    assert f"pid {first.process.pid} has been working on this cluster since" in " ".join(
        done.text.split()
    )
    assert "next: wait for that run to end" in done.text
    first.wait().expect(0)


def test_lease_of_a_run_that_died_elsewhere_is_taken_over(nodes: Lab) -> None:
    hold(nodes)
    done = nodes.deploy("--limit", "n1", config=other_change(nodes, "third"))
    assert done.results["n1"] == "changed"
    assert 15 < done.seconds < 120
    assert (
        nodes.kubectl(
            "-n",
            "kube-system",
            "get",
            "lease",
            "--field-selector=metadata.name=fabnode",
            "-o",
            "name",
        )
        == ""
    )


def test_lease_of_a_run_that_was_killed_here_holds_nobody_up(nodes: Lab) -> None:
    config = nodes.config({"n2": {"kubelet": {"max_pods": 88}}})
    run = nodes.begin("deploy-nodes", "--limit", "n2", config=config)
    nodes.as_configured = False
    assert run.begun("n2", "kubelet")
    run.kill(signal.SIGKILL)
    run.wait()
    assert "pid" in nodes.kubectl("-n", "kube-system", "get", "lease", "fabnode", "-o", "yaml")
    change = other_change(nodes, "fourth")
    again = nodes.begin("deploy-nodes", "--json", "--limit", "n1", config=change)
    again.wait().expect(0)
    reported = [e["text"] for e in again.events() if "still alive" in e.get("text", "")]
    assert reported == []
