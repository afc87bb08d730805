"""The session of a run: what its parts ask of the API, and of each other."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.deploy import admission_policy, deployer_account
from fabnode.deploy import cluster_session as cluster_side
from fabnode.deploy.cluster_session import ClusterSession
from fabnode.deploy.errors import AccountPolicyError, MissingRightsError, OtherApproverError
from fabnode.journal.journal import Journal
from fabnode.kube import service_accounts
from fabnode.kube.client import ApiAwayError, ApiError
from tests.kube.test_csr_approver import request
from tests.support import authority, make_config, pem

if TYPE_CHECKING:
    from pathlib import Path

NOON = "2026-11-23T12:00:00Z"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
NODES = "/api/v1/nodes"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Api:
    """An apiserver in memory: collections by path, and what was asked of it besides reads."""

    clock_offset = 0.0
    server = "https://192.0.2.1:6443"

    def __init__(self, *_: object, **__: object) -> None:
        self.reported: list[str] = []
        self.refused = False
        self.fault: Exception | None = None
        self.collections: dict[str, list[dict[str, Any]]] = {}

    def get(self, path: str, **query: str) -> dict[str, Any]:
        if path == "/version":
            return {"gitVersion": "v1.37.2"}
        folder, _, name = path.rpartition("/")
        if folder.startswith("/apis/admission") and folder not in self.collections:
            raise ApiError(404, "NotFound", f"{path} not found")
        if folder in self.collections:
            return next(o for o in self.collections[folder] if o["metadata"]["name"] == name)
        return {"items": self.collections.get(path, []), "metadata": {"resourceVersion": "1"}}

    def find(self, path: str) -> dict[str, Any] | None:
        try:
            return self.get(path) if path.rpartition("/")[0] in self.collections else None
        except StopIteration:
            return None

    def text(self, path: str, *, node: str = "") -> str:
        self.reported.append(f"get {path} for {node}")
        if self.fault:
            raise self.fault
        return "ok"

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == REVIEWS:
            return {"status": {"allowed": not self.refused}}
        if path.endswith("/subjectaccessreviews"):
            return {"status": {"allowed": False}}
        self.reported.append(f"create {path}")
        return body | {"metadata": {**body["metadata"], "creationTimestamp": NOON}}

    def replace(self, path: str, _: dict[str, Any]) -> dict[str, Any]:
        self.reported.append(f"replace {path}")
        return {}

    def patch(self, path: str, _: dict[str, Any]) -> None:
        self.reported.append(f"patch {path}")

    def delete(self, path: str, **__: str) -> None:
        self.reported.append(f"delete {path}")
        folder, _, name = path.rpartition("/")
        kept = [o for o in self.collections.get(folder, ()) if o["metadata"].get("name") != name]
        self.collections[folder] = kept

    def stream(self, *_: object, **__: object) -> Iterator[dict[str, Any]]:
        raise ApiError(403, "Forbidden", "no watch in this test")


class Lock:
    def __init__(self, api: Api, _: object) -> None:
        self.reported = api.reported

    def take(self) -> None:
        self.reported.append("lock")

    def release(self) -> None:
        self.reported.append("unlock")


class Scene:
    """The session of a run on three nodes, without Calico."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        *,
        as_deployer: bool = False,
        **settings: Any,
    ) -> None:
        self.api = Api()
        user = "system:serviceaccount:kube-system:fabnode-deployer" if as_deployer else ""
        known = SimpleNamespace(service_account=user)
        monkeypatch.setattr(cluster_side, "load", lambda _: known)
        monkeypatch.setattr(cluster_side, "Api", lambda *_, **__: self.api)
        monkeypatch.setattr(cluster_side, "LeaseLock", Lock)
        self.config = make_config(tmp_path, calico={"enabled": False}, **settings)
        self.node = self.config.nodes[0]
        self.journal = Journal(None, [])
        self.session = ClusterSession(self.config, self.journal)

    def put(self, path: str, *items: dict[str, Any]) -> None:
        self.api.collections.setdefault(path, []).extend(items)

    @property
    def printed(self) -> list[str]:
        return [event.text for event in self.journal.events if event.text]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(monkeypatch, tmp_path)
    made.put(NODES, {"metadata": {"name": "n1"}})
    yield made
    made.session.close()


def token() -> dict[str, Any]:
    return {
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"annotations": {"fabnode.io/node": "n1"}, "creationTimestamp": NOON},
        "data": {"token-id": base64.b64encode(b"aaaaaa").decode()},
    }


def test_the_cluster_is_surveyed_in_the_background(scene: Scene) -> None:
    scene.put(SECRETS, token())
    scene.session.open(scene.config.nodes)
    snapshot = scene.session.snapshot
    assert str(snapshot.version) == "1.37.2"
    assert list(snapshot.nodes) == ["n1"]
    assert [(t.id, t.node) for t in snapshot.tokens] == [("aaaaaa", "n1")]
    assert snapshot.has_leases
    assert scene.api.reported == []


def test_a_change_takes_rights_and_the_lock_once_asked(scene: Scene) -> None:
    scene.session.open(scene.config.nodes)
    scene.session.guard.obtain()
    scene.session.close()
    assert scene.api.reported == ["lock", "unlock"]


def test_without_rights_the_lock_is_not_taken(scene: Scene) -> None:
    scene.api.refused = True
    scene.session.open(scene.config.nodes)
    with pytest.raises(MissingRightsError, match="no right to "):
        scene.session.guard.obtain()
    assert scene.api.reported == []


@pytest.mark.parametrize("refused", [True, False])
def test_what_the_api_forbids_names_all_rights_that_are_missing(
    as_deployer: Scene, refused: bool
) -> None:
    """One object's refusal says nothing of the others, nor what to do."""
    as_deployer.api.refused = refused
    expected = MissingRightsError if refused else ApiError
    for status, error in ((403, expected), (409, ApiError)):
        with pytest.raises(error) as caught, as_deployer.session.guard.explaining():
            raise ApiError(status, "Forbidden", "tiers is forbidden")
        if isinstance(caught.value, MissingRightsError):
            assert "no right to get nodes; list nodes" in str(caught.value)
            assert "run `inv rbac.deployer` again as administrator" in caught.value.advice


POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@pytest.fixture
def as_deployer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    """The scene, entered with the credentials of `inv rbac.deployer`."""
    made = Scene(monkeypatch, tmp_path, as_deployer=True)
    made.put(NODES, {"metadata": {"name": "n1"}})
    yield made
    made.session.close()


def put_policy(scene: Scene, **changes: Any) -> None:
    """Have the policy in the cluster that this configuration takes, with changes."""
    allowed = replace(deployer_account.allowed(scene.config, ()), **changes)
    policy, binding = admission_policy.objects(service_accounts.DEPLOYER, allowed)
    scene.put(POLICIES, policy)
    scene.put(BINDINGS, binding)


def test_the_policy_on_the_account_is_compared_before_the_first_change(
    as_deployer: Scene,
) -> None:
    put_policy(as_deployer)
    as_deployer.session.open(as_deployer.config.nodes)
    as_deployer.session.guard.obtain()
    assert as_deployer.api.reported == ["lock"]
    assert as_deployer.printed == []


def test_a_policy_that_would_refuse_our_requests_stops_the_run_before_its_first_change(
    as_deployer: Scene,
) -> None:
    put_policy(as_deployer, proxies=())
    as_deployer.session.open(as_deployer.config.nodes)
    for _ in range(2):  # each node asks
        with pytest.raises(AccountPolicyError, match="CN=system:kube-proxy") as caught:
            as_deployer.session.guard.obtain()
        assert "inv rbac.deployer" in caught.value.advice
    assert as_deployer.api.reported == []


def test_a_policy_that_limits_too_little_is_reported_once(as_deployer: Scene) -> None:
    put_policy(as_deployer, secrets=("other",))
    as_deployer.session.open(as_deployer.config.nodes)
    as_deployer.session.guard.obtain()
    as_deployer.session.guard.obtain()
    (printed,) = as_deployer.printed
    assert "spec.validations[0].expression" in printed
    assert "inv rbac.deployer" in printed


def test_the_policy_is_nothing_to_an_administrator(scene: Scene) -> None:
    scene.session.open(scene.config.nodes)
    assert scene.session.guard.policy_findings() == ()
    scene.session.guard.obtain()
    assert scene.printed == []


def test_what_a_killed_run_left_is_taken_back_with_leave(scene: Scene) -> None:
    scene.put(SECRETS, token())
    scene.session.open(scene.config.nodes)
    scene.session.admission.tidy(scene.node)
    assert scene.api.reported == ["lock", f"delete {SECRETS}/bootstrap-token-aaaaaa"]


def test_what_a_node_asked_for_with_the_token_of_a_killed_run_goes_with_it(scene: Scene) -> None:
    """Nobody will approve it; what is not plainly the node's own stays to be seen."""
    signed, denied = request("csr-signed", approved=True), request("csr-denied")
    signed["status"]["certificate"] = "LS0t"
    denied["status"] = {"conditions": [{"type": "Denied", "status": "True"}]}
    stranger = request("csr-stranger")
    stranger["spec"]["username"] = "system:bootstrap:bbbbbb"
    elsewhere = request("csr-other-signer")
    elsewhere["spec"]["signerName"] = "kubernetes.io/kube-apiserver-client"
    rogue = request("csr-rogue", common_name="system:node:n2")
    mine, unsigned = request("csr-mine"), request("csr-unsigned", approved=True)
    scene.put(REQUESTS, signed, denied, stranger, elsewhere, rogue, mine, unsigned)
    scene.put(SECRETS, token())
    scene.session.open(scene.config.nodes)
    scene.session.admission.tidy(scene.node)
    assert scene.api.reported == [
        "lock",
        f"delete {REQUESTS}/csr-mine",
        f"delete {REQUESTS}/csr-unsigned",
        f"delete {SECRETS}/bootstrap-token-aaaaaa",
    ]
    assert [text.partition(":")[0] for text in scene.printed] == [
        "removed csr-mine",
        "removed csr-unsigned",
    ]


def test_whoever_asks_more_than_a_kubelet_would_holds_nobody_up_and_stays_to_be_seen(
    scene: Scene,
) -> None:
    scene.put(REQUESTS, *(request(f"csr-{number}") for number in range(50)))
    scene.put(SECRETS, token())
    scene.session.open(scene.config.nodes)
    scene.session.admission.tidy(scene.node)
    assert scene.api.reported == ["lock", f"delete {SECRETS}/bootstrap-token-aaaaaa"]
    assert scene.printed == []


def test_where_nothing_was_left_nothing_is_taken(scene: Scene) -> None:
    scene.session.open(scene.config.nodes)
    scene.session.admission.tidy(scene.node)
    assert scene.api.reported == []


def test_a_token_that_was_handed_out_is_taken_back(scene: Scene) -> None:
    scene.session.open(scene.config.nodes)
    bearer = scene.session.admission.new_token(scene.node)
    scene.session.admission.tidy(scene.node)
    scene.session.admission.tidy(scene.node)
    name = f"bootstrap-token-{bearer.partition('.')[0]}"
    assert scene.api.reported == [f"create {SECRETS}", "lock", f"delete {SECRETS}/{name}"]


def test_the_token_of_a_join_that_was_not_proved_stays_as_the_record_of_it(scene: Scene) -> None:
    """And what it was signed for is what the next run has to compare."""
    scene.session.open(scene.config.nodes)
    bearer = scene.session.admission.new_token(scene.node)
    username = f"system:bootstrap:{bearer.partition('.')[0]}"
    signed = request("csr-signed", approved=True)
    signed["spec"]["username"] = username
    signed["status"]["certificate"] = "LS0t"
    scene.put(REQUESTS, signed)
    scene.session.judge.approver.consider(signed)
    scene.session.admission.tidy(scene.node, unproved=True)
    assert scene.api.reported == [f"create {SECRETS}"]


@pytest.mark.parametrize("approved", [False, True])
def test_the_token_of_a_join_without_a_certificate_is_taken_back(
    scene: Scene, approved: bool
) -> None:
    """What was approved and not signed is ended before."""
    scene.session.open(scene.config.nodes)
    bearer = scene.session.admission.new_token(scene.node)
    asked = request("csr-asked", approved=approved)
    asked["spec"]["username"] = f"system:bootstrap:{bearer.partition('.')[0]}"
    scene.put(REQUESTS, asked)
    if approved:
        scene.session.judge.approver.consider(asked)
    scene.session.admission.tidy(scene.node, unproved=True)
    ended = [f"delete {REQUESTS}/csr-asked"] if approved else []
    taken = ["lock", f"delete {SECRETS}/bootstrap-token-{bearer.partition('.')[0]}"]
    assert scene.api.reported == [f"create {SECRETS}", *ended, *taken]


def test_what_was_signed_with_a_token_that_was_left_is_to_be_compared(scene: Scene) -> None:
    signed, unsigned = request("csr-signed", approved=True), request("csr-unsigned", approved=True)
    signed["status"]["certificate"] = "LS0t"
    elsewhere = request("csr-n2", common_name="system:node:n2", approved=True)
    elsewhere["status"]["certificate"] = "LS0t"
    scene.put(REQUESTS, signed, unsigned, elsewhere)
    scene.put(SECRETS, token())
    scene.session.open(scene.config.nodes)
    (found,) = scene.session.certified.left_certified(scene.node)
    assert found.startswith(b"-----BEGIN CERTIFICATE REQUEST")
    assert scene.api.reported == ["lock"], "that it is no run's at work"


def test_without_a_token_that_was_left_nothing_is_to_be_compared(scene: Scene) -> None:
    signed = request("csr-signed", approved=True)
    signed["status"]["certificate"] = "LS0t"
    scene.put(REQUESTS, signed)
    scene.session.open(scene.config.nodes)
    assert scene.session.certified.left_certified(scene.node) == ()
    assert scene.api.reported == []


def test_an_impostor_loses_node_and_token(scene: Scene) -> None:
    scene.put(SECRETS, token())
    scene.session.open(scene.config.nodes)
    scene.session.admission.expel(scene.node)
    assert scene.api.reported == [
        f"patch {NODES}/n1",
        f"delete {NODES}/n1",
        "lock",
        f"delete {SECRETS}/bootstrap-token-aaaaaa",
    ]


def test_requests_are_denied_but_those_that_are_decided(scene: Scene) -> None:
    scene.put(REQUESTS, request("csr-1"), request("csr-2", approved=True))
    scene.session.admission.allow(scene.config.nodes)
    assert scene.session.judge.deny(["csr-1"])
    assert not scene.session.judge.deny(["csr-2", "csr-1"])
    assert scene.api.reported == [f"replace {REQUESTS}/csr-1/approval"] * 2
    assert scene.printed[0].startswith("denied csr-1, asked for by system:bootstrap:aaaaaa: ")
    assert scene.printed[1] == "csr-2 is already Approved: left unchanged"


def test_what_nobody_proves_is_reported_one_by_one_up_to_a_limit(scene: Scene) -> None:
    scene.put(REQUESTS, *(request(f"csr-{number}") for number in range(12)))
    scene.session.admission.allow(scene.config.nodes)
    scene.session.judge.judge()
    scene.session.close()
    warnings = [event.text for event in scene.journal.events if event.state == "warning"]
    assert len(warnings) == 11
    assert warnings[0].startswith("left csr-0 pending: ")
    assert warnings[-1].startswith("left 2 more requests pending; ")


def test_of_two_hosts_with_one_machine_id_both_are_named(scene: Scene) -> None:
    scene.session.open(scene.config.nodes)
    nodes = scene.session.nodes
    assert nodes.machine_ids("n2", "aa") == {}
    assert nodes.machine_ids("n3", "aa") == {"n2": "aa"}
    assert nodes.machine_ids("n2", "bb") == {}
    assert nodes.machine_ids("n3", "aa") == {}, "it was seen with another since"
    assert nodes.machine_ids("n3", "") == {}


def test_a_node_that_is_registered_under_its_machine_id_is_reported(scene: Scene) -> None:
    """What others were seen with in this run counts for nothing then, only what the API has."""
    info = {"nodeInfo": {"machineID": "bb"}}
    scene.put(NODES, {"metadata": {"name": "n2"}, "status": info})
    scene.session.open(scene.config.nodes)
    nodes = scene.session.nodes
    nodes.machine_ids("n3", "bb")
    assert nodes.machine_ids("n2", "bb")["n2"] == "bb"
    assert "n3" not in nodes.machine_ids("n2", "bb")


def test_nodes_are_found_by_their_address(scene: Scene) -> None:
    addresses = [
        {"type": "Hostname", "address": "192.0.2.11"},
        {"type": "InternalIP", "address": "192.0.2.99"},
    ]
    scene.put(NODES, {"metadata": {"name": "n2"}, "status": {"addresses": addresses}})
    scene.session.open(scene.config.nodes)
    assert scene.session.nodes.by_address("192.0.2.99") == ("n2",)
    assert scene.session.nodes.by_address("192.0.2.11") == ()


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        (None, True),
        (ApiError(403, "Forbidden", "we may not ask"), False),
        (ApiError(500, "InternalError", "the kubelet refused the apiserver"), False),
        (ApiError(404, "NotFound", "there is no such node"), False),
    ],
)
def test_whether_the_apiserver_gets_through_to_a_kubelet(
    scene: Scene, fault: Exception | None, answers: bool
) -> None:
    scene.session.open(scene.config.nodes)
    scene.api.fault = fault
    assert scene.session.nodes.kubelet_answers("n1") is answers
    assert scene.api.reported == ["get /api/v1/nodes/n1/proxy/healthz for n1"]


def test_an_api_that_is_away_is_no_kubelet_that_does_not_answer(scene: Scene) -> None:
    scene.session.open(scene.config.nodes)
    scene.api.fault = ApiAwayError("no route")
    with pytest.raises(ApiAwayError):
        scene.session.nodes.kubelet_answers("n1")


def test_a_node_was_registered_where_the_snapshot_has_it(scene: Scene) -> None:
    scene.session.open(scene.config.nodes)
    nodes = scene.session.nodes
    assert nodes.was_registered("n1")
    assert not nodes.was_registered("n2")


def test_the_control_planes_authorities_are_read_where_it_publishes_them(scene: Scene) -> None:
    folder = "/api/v1/namespaces/kube-system/configmaps"
    ca = pem(authority()[0]).decode()
    name = "extension-apiserver-authentication"
    scene.put(folder, {"metadata": {"name": name}, "data": {"client-ca-file": ca}})
    assert scene.session.authorities.client() == ca.encode()
    assert scene.session.authorities.pod() is None


def test_where_others_approve_first_certificates_nothing_is_judged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = scene.session.admission
    monkeypatch.setattr(admission, "other_approvers", lambda: ("auto-approve",))
    with pytest.raises(OtherApproverError, match="by auto-approve kube-controller-manager"):
        admission.refuse_other_approvers()
    assert not [event for event in scene.journal.events if event.state == "warning"]
    monkeypatch.setattr(admission, "other_approvers", lambda: None)
    admission.refuse_other_approvers()
    (warning,) = (event.text for event in scene.journal.events if event.state == "warning")
    assert "lacks the right to check whether something else approves" in warning
