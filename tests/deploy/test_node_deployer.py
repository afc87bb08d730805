"""One node of a run: how it is joined, kept, renewed and refused, against a node in memory."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import MagicMock

import pytest

from fabnode.artifacts.store import ArtifactStore
from fabnode.deploy import host_changes, unfinished
from fabnode.deploy import node_planner as planner_module
from fabnode.deploy.certified_keys import Holder
from fabnode.deploy.errors import (
    ImpostorError,
    NotCertifiedError,
    PreflightError,
    RenewalError,
    UnprovedError,
)
from fabnode.deploy.node_deployer import NodeDeployer
from fabnode.journal.journal import Journal
from fabnode.journal.summary import rows
from fabnode.kube.client import ApiAwayError
from fabnode.node import layout
from fabnode.node.resources import ClientCertificate
from fabnode.pki import proxy_names
from fabnode.pki.certificates import CertificateFile, new_request, sign_client
from fabnode.pki.renewal import CLIENT, KEEP, KINDS, PROXY, SERVING, Renewal
from fabnode.releases.version import Release
from fabnode.releases.version_change import Versions
from fabnode.remote import apply as apply_module
from fabnode.remote import apply_script
from fabnode.remote.apply_protocol import ApplyEvent
from fabnode.remote.unit_monitor import UnitMonitor
from fabnode.ssh.errors import ApplyError, ConnectionLostError, HostMisbehavedError
from fabnode.steps import kubelet, preflight, prepare, proxy, proxy_cert
from fabnode.steps.checks import node_certificates
from fabnode.steps.finding import Finding
from fabnode.steps.order import NODE_STEPS
from tests.steps.support import artifacts
from tests.support import (
    authority,
    certificate,
    make_config,
    pem,
    private_pem,
    serving_certificate,
)

from .machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fabnode.config.configuration import Node
    from fabnode.deploy.cluster_session import ClusterSession
    from fabnode.node.plan import Plan
    from fabnode.remote.apply import Applied
    from fabnode.ssh.host import Host
    from fabnode.steps.step import Step


class Scene:
    """A NodeDeployer with a node and an API that record what is asked of them."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        steps: Sequence[Step] = NODE_STEPS,
        **settings: Any,
    ) -> None:
        self.reported: list[str] = []
        self.config = make_config(**settings)
        self.node = self.config.nodes[0]
        self.machine = Machine(self.node, self.reported)
        self.api = self._api()
        self.steps = steps
        monkeypatch.setattr(planner_module, "probe", self.machine.probe)
        self.change: Callable[..., Applied] = self.machine.change
        monkeypatch.setattr(apply_module, "apply", lambda *args, **kw: self.change(*args, **kw))
        monkeypatch.setattr(preflight, "findings", lambda *_: ())
        self.deployer = self.another()

    def another(self, journal: Journal | None = None) -> NodeDeployer:
        """Return the deployer of the same node in another run."""
        return NodeDeployer(
            # What a deployment asks of them, and no more.
            cast("Host", self.machine),
            cast("ClusterSession", self.api),
            journal or Journal(None, []),
            ArtifactStore({"amd64": artifacts(self.config)}),
            MagicMock(),
            steps=self.steps,
            all_steps=NODE_STEPS,
        )

    def _api(self) -> SimpleNamespace:
        def recorded(
            name: str, answer: Callable[..., object] = lambda *_: None
        ) -> Callable[..., object]:
            def call(*args: object, **named: object) -> object:
                shown = [str(arg) for arg in args if isinstance(arg, str | float | bool)]
                shown += [name for name, value in named.items() if value]
                self.reported.append(f"api: {name}{' ' if shown else ''}{' '.join(shown)}")
                return answer(*args)

            return call

        live = {"metadata": {"name": "n1"}}

        def proxy_pem(node: Node) -> bytes:
            request = new_request(proxy_names.own(node.name), proxy_cert.subject(node))
            ca, key = authority()
            return sign_client(request.request_pem, pem(ca), private_pem(key))

        self.holder = Holder.HOST
        self.certified = False
        self.gone = self.upgrading = False
        self.lost, self.binds = False, True
        self.turns: list[bool] = []
        self.runs = Versions(None)
        self.pods: tuple[str, ...] | None = ()
        self.left: tuple[bytes, ...] = ()
        self.policy: tuple[Finding, ...] = ()
        return SimpleNamespace(
            config=self.config,
            snapshot=SimpleNamespace(
                version=self.config.cluster.version, clock_offset=0.0, other_approvers=()
            ),
            await_api=recorded("await"),
            guard=SimpleNamespace(
                obtain=recorded("guard"),
                policy_findings=recorded("policy", lambda *_: self.policy),
            ),
            nodes=SimpleNamespace(
                wait_registered=recorded("wait registered", lambda *_: live),
                wait_ready=recorded("wait ready", lambda *_: live),
                awaits_network=lambda _: False,
                was_registered=lambda _: not self.gone,
                upgrades=lambda _, now=False: self.upgrading,
                label=recorded("label", lambda *_: ""),
                label_changes=lambda _: (),
                machine_ids=lambda *_: {},
                by_address=lambda *_: (),
                reported_versions=lambda _: self.runs,
                pods_that_leave=lambda _: self.pods,
            ),
            restarts=SimpleNamespace(turn=self._turn),
            admission=SimpleNamespace(
                new_token=recorded("token", lambda _: "aaaaaa.0123456789abcdef"),
                wait_serving=recorded("wait serving"),
                tidy=recorded("tidy"),
                expel=recorded("expel"),
            ),
            certified=SimpleNamespace(
                show_key=recorded("show key"),
                left_certified=recorded("left certified", lambda _: self.left),
                was_certified=recorded("was certified", lambda _: self.certified),
                holder=recorded("holder", lambda *_: self.holder),
            ),
            proxy_identities=SimpleNamespace(
                lost=lambda _: self.lost,
                readmit=recorded("let in"),
                restore=recorded("bind again", lambda _: self.binds),
            ),
            proxy_certificates=SimpleNamespace(
                issue=recorded("proxy certificate", proxy_pem),
            ),
        )

    @contextmanager
    def _turn(self, node: str, *, restarts: bool) -> Iterator[None]:
        assert node == "n1"
        self.turns.append(restarts)
        yield

    def deploy(self) -> bool:
        """Deploy as a run of its own would; forget what was reported before."""
        self.reported.clear()
        deployer = self.another()
        return deployer.deploy(before_change=lambda: self.reported.append("rights")).changed

    def renew(self, renewal: Renewal) -> bool:
        self.reported.clear()
        deployer = self.another()
        deployer.current_facts()  # as the stages of a changed CA do before
        return deployer.renew(renewal, before_change=lambda: self.reported.append("rights"))

    def plan_of(self, renewal: Renewal = KEEP) -> Plan:
        return self.another().plan(renewal).plan

    @property
    def summary(self) -> list[str]:
        """What was reported, in three words each."""
        return [" ".join(text.split()[:3]) for text in self.reported]

    @property
    def changes(self) -> list[str]:
        """Each change of the host, as the list of what it changed."""
        return [text for text in self.reported if text.startswith("host: change")]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    return lambda **settings: Scene(monkeypatch, **settings)


@pytest.fixture
def shared(scene: Callable[..., Scene], tmp_path: Path) -> Scene:
    """A node of a cluster whose hosts join with the token of a token file."""
    file = tmp_path / "token"
    file.write_text("0123456789abcdef0123456789abcdef")
    file.chmod(0o600)
    return scene(bootstrap={"mode": "token-file", "token": {"file": str(file)}})


def test_a_bare_host_joins(scene: Callable[..., Scene]) -> None:
    """Rights before the token, the key compared before the node counts, the token taken back."""
    bare = scene()
    assert bare.deploy()
    assert [text.removesuffix(" n1") for text in bare.summary if "change" not in text] == [
        "host: probe",
        "api: left certified",
        "api: guard",
        "rights",
        "api: let in",
        "api: token",
        "api: proxy certificate",
        "host: read certificate",
        "api: holder",
        "api: wait registered",
        "api: label",
        "api: wait ready",
        "api: wait serving",
        "host: await file",
        "api: tidy",
    ]


def test_a_node_that_is_right_is_left_alone(scene: Callable[..., Scene]) -> None:
    joined = scene()
    joined.deploy()
    assert joined.deploy() is False
    assert joined.machine.reported[0] == "host: probe"
    assert not joined.changes
    assert "api: guard" not in joined.reported
    assert joined.reported[-1] == "api: tidy"


TAG = "2026-11-29T10:00:00Z a@b"


@pytest.fixture
def left_over(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Scene]:
    """Return a joined node of which an upgrade was cut off, and its cordon lifted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def made(**settings: Any) -> Scene:
        joined = scene(**settings)
        steps, joined.steps = joined.steps, NODE_STEPS
        joined.deploy()
        joined.steps = steps
        path = layout.kept_tag(joined.config.paths.state)
        joined.machine.put(path)
        fact = replace(joined.machine.facts.path(path), content=f"{TAG}\n".encode())
        paths = {**joined.machine.facts.paths, path: fact}
        joined.machine.facts = replace(joined.machine.facts, paths=paths)

        def carry_out(*args: Any) -> None:
            (change,) = args[3].changes
            joined.reported.append(f"host: {change.kind}, {args[5]}")
            joined.machine.lose(path)

        monkeypatch.setattr(host_changes, "carry_out", carry_out)
        unfinished.keep(joined.config, "n1", "upgrade")
        return joined

    return made


FORGOTTEN = "host: forgotten, what it ran before an upgrade is forgotten"


@pytest.mark.parametrize("drifted", [False, True])
def test_what_ran_before_an_upgrade_is_forgotten_once_all_is_as_configured(
    left_over: Callable[..., Scene], drifted: bool
) -> None:
    """Else a later upgrade that fails goes back to it, over all releases in between."""
    node = left_over()
    if drifted:
        node.machine.lose(layout.KUBELET_CONFIG)
    (finding,) = node.another().plan().findings
    assert finding.level == "warning"
    assert finding.text == (
        "its host keeps what ran before an upgrade by a@b since 2026-11-29 10:00:00 UTC, which is"
        " not proved: this forgets it, once the node is Ready with all that is configured"
    )
    assert "inv upgrade --limit n1 proves the node first" in finding.fix
    assert FORGOTTEN not in node.reported, "a plan changes nothing"
    assert node.deploy()
    summary = node.summary
    assert summary.index("host: forgotten, what") > summary.index("api: wait ready")
    assert unfinished.kept(node.config, "n1") == ""
    assert node.deploy() is False
    assert node.another().plan().findings == ()


def test_what_an_upgrade_that_is_on_the_record_goes_on_with_is_not_forgotten(
    left_over: Callable[..., Scene],
) -> None:
    node = left_over()
    node.upgrading = True
    (finding,) = node.another().plan().findings
    assert finding.text.endswith("which is not proved")
    assert finding.fix == "inv upgrade --limit n1 goes on with it"
    assert node.deploy() is False
    assert FORGOTTEN not in node.reported
    assert unfinished.kept(node.config, "n1") == "upgrade"


def test_a_part_of_a_deployment_forgets_nothing(left_over: Callable[..., Scene]) -> None:
    node = left_over(steps=(kubelet.STEP,))
    node.deploy()
    assert FORGOTTEN not in node.reported


def test_what_an_upgrade_keeps_after_the_probe_is_known_until_it_is_proved(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It was probed before that: the host kept nothing then."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    joined = scene()
    joined.deploy()
    deployer = joined.another()
    deployer.probe()
    unfinished.keep(joined.config, "n1", "upgrade")
    deployer.deploy(before_change=lambda: None, seen_within=120, upgrades=True)
    assert unfinished.kept(joined.config, "n1") == "upgrade"
    joined.deploy()
    assert unfinished.kept(joined.config, "n1") == "", "the host keeps nothing"


@pytest.mark.parametrize("whole", [False, True])
def test_a_reset_that_was_cut_off_is_over_once_its_host_is_a_node(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: bool
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    node = scene(steps=NODE_STEPS if whole else (prepare.STEP,))
    unfinished.begin(node.config, "n1", "reset by a@b since 2026-11-30 08:00:00 UTC")
    assert node.deploy()
    assert bool(unfinished.find(node.config, "n1")) == (not whole)
    assert node.machine.remakes == whole


@pytest.mark.parametrize("recorded", [False, True])
def test_a_reset_that_changed_nothing_is_over_on_a_node_of_which_nothing_differs(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorded: bool
) -> None:
    """It was cut off, or refused, right after its record; nothing is left for a deployment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    node = scene(steps=NODE_STEPS)
    node.deploy()
    unfinished.begin(node.config, "n1", "reset by a@b since 2026-11-30 08:00:00 UTC")
    path = layout.reset_record(node.config.paths.state)
    if recorded:
        node.machine.put(path)

    def carry_out(*args: Any) -> None:
        (change,) = args[3].changes
        assert apply_script.actions(args[3], ".gz").script.count("end_reset") == 1
        node.reported.append(f"host: {change.kind}, {args[5]}")
        node.machine.lose(path)

    monkeypatch.setattr(host_changes, "carry_out", carry_out)
    assert node.deploy() is recorded
    assert unfinished.find(node.config, "n1") == ""
    said = "host: reset, a reset that was not done is over: it is a node"
    assert (said in node.reported) is recorded
    assert node.deploy() is False


def test_a_host_is_recorded_where_no_deployment_was_before(scene: Callable[..., Scene]) -> None:
    """What records it is a good part of what is sent."""
    node = scene()
    assert node.deploy()
    assert node.machine.recorded
    for mark in (layout.MODULES_CONF, layout.SYSCTL_CONF):
        node.machine.lose(mark)
        assert node.deploy()
        assert not node.machine.recorded


def test_an_upgrade_forgets_what_ran_before_by_itself(left_over: Callable[..., Scene]) -> None:
    node = left_over()
    node.another().deploy(before_change=lambda: None, upgrades=True)
    assert FORGOTTEN not in node.reported
    assert node.another().plan(upgrades=True).findings == ()


@pytest.mark.parametrize("binds", [True, False])
def test_a_name_that_lost_its_rights_is_bound_again_and_nothing_restarts(
    scene: Callable[..., Scene], binds: bool
) -> None:
    joined = scene()
    joined.deploy()
    joined.lost, joined.binds = True, binds
    assert joined.another().plan().own_name
    assert joined.deploy() is binds
    assert not joined.changes
    guards = [text for text in joined.reported if text in {"api: guard", "api: bind again"}]
    assert guards == ["api: guard", "api: bind again"]


def test_one_that_is_certified_anew_is_bound_with_that(scene: Callable[..., Scene]) -> None:
    joined = scene()
    joined.lost = True
    assert joined.another().plan().own_name
    joined.deploy()
    assert "api: bind again" not in joined.reported


def test_a_plan_with_changes_says_what_the_policy_on_the_account_would_refuse(
    scene: Callable[..., Scene],
) -> None:
    node = scene()
    node.policy = (Finding("error", "it refuses that", "inv rbac.deployer"),)
    assert node.another().plan().findings == node.policy
    node.deploy()
    node.reported.clear()
    assert node.another().plan().findings == ()
    assert "api: policy" not in node.reported, "nothing is asked about what is not needed"


def test_with_a_shared_token_rotation_begins_once_it_has_joined(shared: Scene) -> None:
    assert shared.deploy()
    _, second = shared.changes
    assert layout.KUBELET_CONFIG in second
    assert shared.plan_of().empty


@pytest.mark.parametrize("kinds", [(CLIENT,), (SERVING,), (PROXY,), KINDS])
def test_a_renewal_is_of_what_was_asked_for(
    scene: Callable[..., Scene], kinds: tuple[str, ...]
) -> None:
    node = scene()
    node.deploy()
    paths = node_certificates.certificates(node.node)
    before = dict(node.machine.facts.certificates)
    assert node.renew(Renewal(kinds))
    after = node.machine.facts.certificates
    assert {kind for kind, path in paths.items() if before[path] != after[path]} == set(kinds)
    assert node.plan_of().empty
    assert ("api: token" in node.summary) == (CLIENT in kinds)


def test_a_renewal_of_nothing_changes_nothing(scene: Callable[..., Scene]) -> None:
    node = scene()
    node.deploy()
    assert node.renew(Renewal()) is False


def test_a_renewal_that_is_refused_has_no_plan(scene: Callable[..., Scene]) -> None:
    node = scene()
    planned = node.another().plan(Renewal(KINDS))
    assert planned.empty
    assert [f.level for f in planned.findings] == ["error"]
    assert "in more than certificates" in planned.findings[0].text
    with pytest.raises(PreflightError, match="in more than certificates"):
        node.renew(Renewal(KINDS))
    assert not node.plan_of().empty


def test_a_renewal_that_renews_nothing_has_its_reasons(scene: Callable[..., Scene]) -> None:
    node = scene()
    node.deploy()
    renewal = Renewal(KINDS, issued_before=datetime.now(UTC) - timedelta(hours=1))
    planned = node.another().plan(renewal)
    assert planned.empty
    assert [text.partition(": issued ")[0] for text in planned.kept] == [
        "client, serving, proxy: left as they are"
    ]
    journal = Journal()
    deployer = node.another(journal)
    assert not deployer.renew(renewal, before_change=lambda: None)
    (row,) = rows(journal.events)
    assert row.result == "unchanged"
    assert row.cause.endswith("`--issued-before now` renews it")


def test_with_a_shared_token_a_renewal_ends_with_rotation(shared: Scene) -> None:
    shared.deploy()
    assert shared.renew(Renewal((CLIENT,)))
    assert len(shared.changes) == 2
    assert shared.plan_of().empty


def test_a_renewal_is_no_deployment(scene: Callable[..., Scene]) -> None:
    node = scene()
    node.deploy()
    node.machine.lose(layout.KUBELET_CONFIG)
    with pytest.raises(PreflightError, match=f"more than certificates: {layout.KUBELET_CONFIG}"):
        node.renew(Renewal((CLIENT,)))
    assert not node.changes


def test_a_renewal_by_the_wrong_ca_is_reported(scene: Callable[..., Scene]) -> None:
    node = scene()
    node.deploy()
    new = pem(authority("new-ca")[0])
    with pytest.raises(RenewalError, match=r"its client certificate came from .*test-ca"):
        node.renew(Renewal((CLIENT,), authority=new))


def test_a_certificate_that_stays_is_reported(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = scene()
    node.deploy()
    monkeypatch.setattr(node.machine, "_change", lambda *_: None)
    with pytest.raises(RenewalError, match="its proxy certificate is still the old one"):
        node.renew(Renewal((PROXY,)))


ENDS = [
    ConnectionLostError("n1", "the connection broke"),
    HostMisbehavedError("n1", "it answers nonsense"),
    ApplyError("n1", "no certificate came", "probe", action="join", detail=""),
    RuntimeError("nobody foresaw this"),
]


def test_what_is_not_signed_is_ended_while_the_kubelet_still_waits_for_it(
    scene: Callable[..., Scene],
) -> None:
    """Signed a little later, it would be nobody's, and look like an impostor's."""
    node = scene()

    def change(
        host: object,
        plan: Plan,
        packer: object,
        on_event: Callable[[ApplyEvent], None],
        /,
        **_: object,
    ) -> Applied:
        (join,) = (c for c in plan.changes if isinstance(c.resource, ClientCertificate))
        on_event(ApplyEvent("start", join))
        on_event(ApplyEvent("fail", join))
        node.reported.append("host: its old credentials are back")
        raise ApplyError("n1", "no certificate came", "probe", action="join", detail="")

    node.change = change
    with pytest.raises(ApplyError):
        node.deploy()
    after = node.reported.index("host: its old credentials are back")
    assert "api: was certified" in node.reported[:after]
    assert not [text for text in node.reported if "expel" in text]


def ending(node: Scene, error: Exception) -> None:
    """Have the host end its change in this way, wherever it was."""

    def change(*_: object, **__: object) -> Applied:
        raise error

    node.change = change


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_however_a_join_ends_an_impostor_is_expelled(
    scene: Callable[..., Scene], error: Exception
) -> None:
    """The certificate was signed before the host dropped the connection: who has it is seen."""
    robbed = scene()
    robbed.certified, robbed.holder = True, Holder.OTHERS
    ending(robbed, error)
    with pytest.raises(ImpostorError):
        robbed.deploy()
    assert [text for text in robbed.reported if "probe" not in text][-6:-1] == [
        "api: was certified",
        "host: read certificate",
        "api: holder",
        "api: expel",
        "host: rm -f /var/lib/kubelet/pki/kubelet-clien",
    ]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_what_is_not_proved_is_reported_and_left_for_the_next_run(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The host is gone with the certificate: that is reported, and its token stays on record."""
    gone = scene()
    gone.certified = True
    ending(gone, error)

    def root(*_: object, **__: object) -> None:
        raise ConnectionLostError("n1", "no answer in time")

    monkeypatch.setattr(gone.machine, "root", root)
    with pytest.raises(
        UnprovedError, match="whether the certificate issued for it is on"
    ) as reported:
        gone.deploy()
    assert str(error).split(";")[0] in str(reported.value)
    assert gone.reported[-1] == "api: tidy unproved"
    assert "api: expel" not in gone.reported


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_a_join_that_ends_without_a_certificate_ends_as_itself(
    scene: Callable[..., Scene], error: Exception
) -> None:
    node = scene()
    ending(node, error)
    with pytest.raises(type(error)):
        node.deploy()
    assert "api: was certified" in node.reported  # which ends what was approved and not signed
    assert "api: expel" not in node.reported


def test_a_join_whose_key_was_proved_leaves_nothing(scene: Callable[..., Scene]) -> None:
    node = scene()
    node.certified = True
    ending(node, ENDS[2])
    with pytest.raises(ApplyError):
        node.deploy()
    assert node.reported[-1] == "api: tidy"


def test_the_next_run_compares_what_the_one_before_could_not(scene: Callable[..., Scene]) -> None:
    node = scene()
    node.deploy()
    held = node.machine.facts.certificates[node.machine._client]
    stranger = new_request("system:node:n1", {"organization": "system:nodes"})
    node.left = (stranger.request_pem,)
    with pytest.raises(ImpostorError, match="in an interrupted run"):
        node.deploy()
    assert "api: expel" in node.reported
    assert not node.changes
    ca, key = authority()
    signed = sign_client(stranger.request_pem, pem(ca), private_pem(key)).decode()
    mine = CertificateFile.of(signed)
    node.machine.facts = replace(
        node.machine.facts,
        certificates={**node.machine.facts.certificates, node.machine._client: mine},
    )
    assert held != mine
    assert node.deploy() is False
    assert "api: expel" not in node.reported


def test_an_impostor_is_expelled(scene: Callable[..., Scene]) -> None:
    robbed = scene()
    robbed.holder = Holder.OTHERS
    with pytest.raises(ImpostorError):
        robbed.deploy()
    assert robbed.reported[-4:] == [
        "api: holder",
        "api: expel",
        "host: rm -f /var/lib/kubelet/pki/kubelet-clien",
        "api: tidy unproved",
    ]
    assert "join" in robbed.changes[0]
    assert "join" in [change.action for change in robbed.plan_of().changes]  # with a new proof


def test_where_nothing_was_certified_nobody_is_accused_and_the_node_stays(
    scene: Callable[..., Scene],
) -> None:
    """Its kubelet renewed by credentials that it had before: no request was ours."""
    went_on = scene()
    went_on.holder = Holder.NOBODY
    with pytest.raises(NotCertifiedError, match="credentials that it had before"):
        went_on.deploy()
    assert went_on.reported[-2:] == ["api: holder", "api: tidy unproved"]
    assert "api: expel" not in went_on.reported


def test_a_node_of_another_tool_is_taken_over_once(scene: Callable[..., Scene]) -> None:
    node = scene()
    node.deploy()
    held = CertificateFile.of(certificate("system:node:n1", days=3650))
    facts, kubeconfig = node.machine.facts, layout.KUBELET_KUBECONFIG
    node.machine.facts = replace(
        facts,
        certificates={**facts.certificates, kubeconfig: held},
        clients={},
    )
    (planned,) = [c for c in node.plan_of().changes if c.action == "quarantine"]
    assert planned.name == kubeconfig
    assert node.deploy()
    assert "api: token" in node.summary
    assert "api: holder" in node.reported
    assert "api: expel" not in node.reported
    assert node.plan_of().empty


def test_a_serving_certificate_requested_before_the_run_is_not_requested_again(
    scene: Callable[..., Scene],
) -> None:
    """A kubelet that ran, without a client certificate of ours, asked for it; then nobody does."""
    node = scene()
    node.deploy()
    facts, paths = node.machine.facts, node_certificates.certificates(node.node)
    kept = {p: c for p, c in facts.certificates.items() if p not in {paths[CLIENT], paths[SERVING]}}
    node.machine.facts = replace(facts, certificates=kept)
    assert node.deploy()
    assert paths[SERVING] in node.machine.facts.certificates
    assert not [text for text in node.reported if text.startswith("api: wait serving")]


def test_a_joined_host_whose_node_object_is_missing_registers_again(
    scene: Callable[..., Scene],
) -> None:
    """A kubelet registers when it starts, and never again."""
    node = scene()
    node.deploy()
    node.gone = True
    assert node.plan_of().empty  # its kubelet has started just now, and may still register
    facts = node.machine.facts
    node.machine.facts = replace(facts, uptime=100.0)
    plan = node.plan_of()
    assert [(c.action, c.name, c.why) for c in plan.changes] == [
        ("restart", unit, "its Node object is missing") for unit in (kubelet.UNIT, proxy.UNIT)
    ]
    assert node.deploy()
    after = [
        text for text in node.reported if "wait" in text or "label" in text or "change" in text
    ]
    assert after[1] == "api: wait registered n1"
    assert after[2].startswith("api: label")
    assert after[3].startswith("api: wait ready n1")
    assert "api: token" not in node.reported


def test_a_serving_certificate_without_the_nodes_address_is_requested_again(
    scene: Callable[..., Scene],
) -> None:
    node = scene()
    node.deploy()
    path = layout.kubelet_serving_certificate(node.node.kubelet.root)
    old = CertificateFile.of(serving_certificate("n1", "n1", "192.0.2.99"))
    facts = node.machine.facts
    node.machine.facts = replace(facts, certificates={**facts.certificates, path: old})
    (restarted,) = node.plan_of().changes  # the old one stays until there is another
    assert (restarted.action, restarted.name) == ("restart", kubelet.UNIT)
    assert restarted.why == "its serving certificate is not for 192.0.2.11"
    assert node.deploy()
    assert any(text.startswith("api: wait serving") for text in node.reported)
    assert node.plan_of().empty
    assert node.deploy() is False


def looping(node: Scene, unit: str) -> ApplyError:
    return ApplyError("n1", f"{unit} does not stay up", "x", action="", detail="", unit=unit)


@pytest.mark.parametrize(
    ("unit", "step"),
    [
        ("kube-proxy.service", "proxy"),
        ("containerd.service", "runtime"),
        ("other.service", "ready"),
    ],
)
def test_a_unit_that_keeps_a_node_from_ready_is_its_own_steps_failure(
    scene: Callable[..., Scene], unit: str, step: str
) -> None:
    node = scene()
    monitored: list[tuple[str, ...]] = []

    def wait_ready(_name: str, _since: float, up: UnitMonitor, *_: object) -> None:
        monitored.append(up._units)
        raise looping(node, unit)

    node.api.nodes.wait_ready = wait_ready
    journal = Journal()
    with pytest.raises(ApplyError):
        node.another(journal).deploy(before_change=lambda: None)
    assert set(monitored[0]) == {"kubelet.service", "kube-proxy.service", "containerd.service"}
    (row,) = rows(journal.events)
    assert (row.result, row.step) == ("failed", step)


@pytest.mark.parametrize(
    ("unit", "step"), [("kube-proxy.service", "proxy"), ("kubelet.service", "kubelet")]
)
def test_a_unit_that_does_not_stay_up_while_others_start_is_its_own_steps_failure(
    scene: Callable[..., Scene], unit: str, step: str
) -> None:
    node = scene()

    def change(
        _: object, plan: Plan, __: object, on_event: Callable[..., None], **___: object
    ) -> Applied:
        for each in plan.changes:
            on_event(ApplyEvent("start", each))
            on_event(ApplyEvent("done", each, 0.1))
        raise looping(node, unit)

    node.change = change
    journal = Journal()
    with pytest.raises(ApplyError):
        node.another(journal).deploy(before_change=lambda: None)
    (row,) = rows(journal.events)
    assert (row.result, row.step) == ("failed", step)


def test_a_unit_that_systemd_starts_again_is_waited_for(scene: Callable[..., Scene]) -> None:
    """kube-proxy ends itself when its Node's address changes."""
    node = scene()
    node.deploy()
    facts = node.machine.facts
    late = replace(facts.unit(proxy.UNIT), active="activating", sub="auto-restart")
    node.machine.facts = replace(facts, units={**facts.units, proxy.UNIT: late})
    node.reported.clear()
    node.another().facts_of_started_units()
    assert node.reported == ["host: probe", "host: await file", "host: probe"]
    node.machine.facts = facts
    node.reported.clear()
    node.another().facts_of_started_units()
    assert node.reported == ["host: probe"]


def test_the_kubelets_own_kubeconfig_follows_the_apiservers_address(
    scene: Callable[..., Scene],
) -> None:
    node = scene()
    node.deploy()
    held = node.machine.facts.certificates
    moved = scene(cluster={"apiserver": "https://vip.example:6443"})
    moved.machine.facts = node.machine.facts
    (changed,) = [c for c in moved.plan_of().changes if c.name == layout.KUBELET_KUBECONFIG]
    assert changed.why == "server https://192.0.2.1:6443 → https://vip.example:6443"
    assert moved.deploy()
    assert "api: token" not in moved.reported
    assert moved.machine.facts.certificates == held
    written = moved.machine.facts.path(layout.KUBELET_KUBECONFIG)
    assert b"https://vip.example:6443" in (written.content or b"")
    assert held[layout.kubelet_client_certificate(moved.node.kubelet.root)].pem
    servers = {layout.KUBELET_KUBECONFIG: "https://vip.example:6443"}
    moved.machine.facts = replace(moved.machine.facts, servers=servers)
    assert moved.plan_of().empty


def test_a_node_that_joins_by_its_balancer_is_completed_once_it_has_joined(
    scene: Callable[..., Scene],
) -> None:
    """A kubelet takes over its server, and not the name to verify it by."""
    urls = [f"https://192.0.2.{n}:6443" for n in (1, 2, 3)]
    node = scene(cluster={"apiserver": urls})
    assert node.deploy()
    first, second = (text for text in node.reported if text.startswith("host: change"))
    assert "start apiserver-balancer.service" in first
    assert first.index("apiserver-balancer.service") < first.index("kubelet.service")
    wanted = [f"update {layout.KUBELET_KUBECONFIG}", "restart kubelet.service"]
    assert second.removeprefix("host: change ").split(", ")[-2:] == wanted
    written = node.machine.facts.path(layout.KUBELET_KUBECONFIG).content or b""
    assert b"tls-server-name: kubernetes.default.svc" in written
    assert b"https://127.0.0.1:6444" in written
    assert node.plan_of().empty
    fewer = scene(cluster={"apiserver": urls[:2]})
    fewer.machine.facts = node.machine.facts
    assert [c.name for c in fewer.plan_of().changes] == [
        layout.BALANCER_CONFIG,
        "apiserver-balancer.service",
    ]


def test_a_join_by_a_balancer_that_was_cut_off_is_completed_without_another_token(
    scene: Callable[..., Scene],
) -> None:
    node = scene(cluster={"apiserver": [f"https://192.0.2.{n}:6443" for n in (1, 2)]})
    change, calls = node.machine.change, []

    def first_alone(*args: Any, **named: Any) -> Any:
        calls.append(args)
        if len(calls) > 1:
            raise ConnectionError("killed")
        return change(*args, **named)

    node.change = first_alone
    with pytest.raises(ConnectionError):
        node.deploy()
    node.change = change
    assert node.deploy()
    assert "api: token" not in node.reported
    written = node.machine.facts.path(layout.KUBELET_KUBECONFIG).content or b""
    assert b"tls-server-name" in written
    assert node.plan_of().empty


@pytest.mark.parametrize(
    ("runs", "pods", "refusal"),
    [
        ("1.30.14 containerd 2.3.4", ("shop/a", "shop/b"), "and 2 pods run there: it has to be"),
        ("1.37.2 containerd 1.7.33", ("shop/a",), "containerd 1.7.33 → containerd 2.3.4"),
        ("1.30.14 containerd 2.3.4", None, "pods may run there (this account can't list them)"),
        ("1.30.14 containerd 2.3.4", (), ""),  # a drained one
        ("1.38.0 containerd 2.3.4", (), "an older kubelet may not read its state files"),
        ("1.37.1 containerd 2.3.4", ("shop/a",), ""),  # a patch of the kubelet
    ],
)
def test_a_node_with_pods_is_upgraded_by_no_deployment(
    scene: Callable[..., Scene], runs: str, pods: tuple[str, ...] | None, refusal: str
) -> None:
    it = scene(cluster={"version": "1.37.2"}, runtime={"version": "2.3.4"})
    it.deploy()
    kubelet, runtime, release = runs.split()
    it.runs = Versions(Release.parse(kubelet), runtime, Release.parse(release))
    it.pods = pods
    programs = it.config.paths.programs
    it.machine.lose(f"{programs}/kubelet")
    it.machine.lose(f"{programs}/containerd")
    if not refusal:
        assert it.deploy()
        return
    found = it.another().plan().findings
    assert [f.level for f in found] == ["error"]
    assert refusal in found[0].text
    assert "upgrade --limit n1" in found[0].fix
    with pytest.raises(PreflightError, match=r"has to be drained before|may not read its state"):
        it.deploy()
    assert not it.changes


def test_an_upgrade_brings_an_older_minor_once_all_pods_have_left(
    scene: Callable[..., Scene],
) -> None:
    it = scene(cluster={"version": "1.37.2"})
    it.deploy()
    it.runs, it.pods = Versions(Release.parse("1.38.0")), ()
    it.machine.lose(f"{it.config.paths.programs}/kubelet")
    assert it.another().deploy(before_change=lambda: None, upgrades=True).changed
    it.machine.lose(f"{it.config.paths.programs}/kubelet")
    it.pods = ("shop/a",)
    with pytest.raises(PreflightError, match="has to be drained before"):
        it.another().deploy(before_change=lambda: None, upgrades=True)


def test_another_runtime_is_brought_by_no_deployment(scene: Callable[..., Scene]) -> None:
    it = scene(cluster={"version": "1.37.2"}, runtime={"version": "2.3.4"})
    it.deploy()
    it.runs = Versions(Release.parse("1.37.2"), "docker", Release.parse("28.0.1"))
    it.pods = ()
    it.machine.lose(f"{it.config.paths.programs}/kubelet")
    with pytest.raises(PreflightError, match="docker is not changed to containerd"):
        it.deploy()


def test_what_another_kubelet_reported_before_the_restart_is_no_proof(
    scene: Callable[..., Scene],
) -> None:
    """A change may take its time; until its restart the one of before reports."""
    it = scene()
    it.deploy()
    it.machine.facts = replace(it.machine.facts, units={})
    change = it.machine.change

    def started(*args: Any, **more: Any) -> Applied:
        return replace(change(*args, **more), started={kubelet.UNIT: 4102444800.0})

    it.change = started
    it.deploy()
    assert "api: wait ready n1 4102444800.0" in it.reported


def test_a_kubelet_that_runs_is_restarted_in_its_turn_and_one_that_joins_needs_none(
    scene: Callable[..., Scene],
) -> None:
    it = scene()
    it.deploy()
    assert it.turns == [False]
    it.machine.lose(layout.KUBELET_CONFIG)
    it.deploy()
    it.machine.lose(layout.PROXY_CONFIG)
    it.deploy()
    assert it.turns == [False, True, False]


def test_a_lost_containerd_is_put_back_whoever_runs_there(scene: Callable[..., Scene]) -> None:
    """Its release is not configured: nothing says that it would be another."""
    it = scene(cluster={"version": "1.37.2"})
    it.deploy()
    it.runs = Versions(Release.parse("1.37.2"), "containerd", Release.parse("2.4.2"))
    it.pods = ("shop/a",)
    it.machine.lose(f"{it.config.paths.programs}/containerd")
    assert it.deploy()


def runs_another_containerd(it: Scene, *, altered: bool = False) -> None:
    """Have a containerd that is none of the artifacts', and runs; altered: since it started."""
    path, facts = f"{it.config.paths.programs}/containerd", it.machine.facts
    unit = facts.unit(layout.CONTAINERD)
    started = replace(unit, stamp={**unit.stamp, path: ("0" if altered else "f") * 64})
    it.machine.facts = replace(
        facts,
        paths={**facts.paths, path: replace(facts.path(path), sha256="f" * 64)},
        units={**facts.units, layout.CONTAINERD: started},
    )


@pytest.mark.parametrize(
    ("runtime", "text"),
    [
        ({}, "containerd 2.4.2 → the containerd of the artifacts"),
        ({"version": "2.4.2"}, "containerd 2.4.2 → another containerd 2.4.2"),
    ],
)
def test_another_containerd_than_the_one_that_runs_is_an_upgrade(
    scene: Callable[..., Scene], runtime: dict[str, str], text: str
) -> None:
    """Whatever `runtime.version` says, or leaves out: it may be of any release."""
    it = scene(cluster={"version": "1.37.2"}, runtime=runtime)
    it.deploy()
    it.runs = Versions(Release.parse("1.37.2"), "containerd", Release.parse("2.4.2"))
    it.pods = ("shop/a",)
    runs_another_containerd(it)
    with pytest.raises(PreflightError, match="has to be drained before") as raised:
        it.deploy()
    assert text in str(raised.value)
    runs_another_containerd(it, altered=True)  # what runs is not that file: it is put right
    assert it.deploy()
    runs_another_containerd(it)
    it.pods = ()
    assert it.deploy()


def test_a_way_of_containerd_that_is_not_supported_is_none_for_an_empty_node_either(
    scene: Callable[..., Scene],
) -> None:
    it = scene(cluster={"version": "1.37.2"}, runtime={"version": "2.4.2"})
    it.deploy()
    it.runs = Versions(Release.parse("1.37.2"), "containerd", Release.parse("1.7.33"))
    it.pods = ()
    runs_another_containerd(it)
    with pytest.raises(PreflightError, match=r"1\.7 can't be upgraded to 2\.4 directly"):
        it.deploy()
    # On a bare host, whatever its former Node object tells, there is nothing to upgrade.
    units = {**it.machine.facts.units}
    del units[layout.CONTAINERD]
    it.machine.facts = replace(it.machine.facts, units=units)
    assert it.deploy()


def test_a_step_that_leaves_kubelet_and_runtime_alone_is_no_upgrade(
    scene: Callable[..., Scene],
) -> None:
    it = scene(cluster={"version": "1.37.2"}, steps=(proxy_cert.STEP, proxy.STEP))
    it.runs, it.pods = Versions(Release.parse("1.30.14"), "containerd"), ("shop/a",)
    assert it.deploy()


def test_a_step_alone_touches_nothing_else(scene: Callable[..., Scene]) -> None:
    node = scene(steps=(proxy_cert.STEP, proxy.STEP))
    assert node.deploy()
    (change,) = node.changes
    assert layout.PROXY_PEM in change
    assert kubelet.UNIT not in change
    assert not [text for text in node.reported if text.startswith(("api: wait", "api: tidy"))]


def test_what_overrides_settings_is_found_while_the_api_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The doctor asks for it, and names what is wrong with the host all the same."""

    def away(_: str) -> bool:
        raise ApiAwayError("it did not answer")

    scene = Scene(monkeypatch)
    scene.deploy()
    scene.api.nodes.was_registered = away
    deployer = scene.another()
    deployer.probe()
    assert deployer.overrides() == ()
