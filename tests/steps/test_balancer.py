"""A node's own way to several apiservers: what it gets, what follows, and what one URL leaves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fabnode.node import layout
from fabnode.node.conventions import BALANCER_SERVICE
from fabnode.node.facts import Facts, PathFact, UnitFact
from fabnode.node.plan import make_plan
from fabnode.node.resources import Absent, File, RemovedUnit, Unit
from fabnode.pki.certificates import CertificateFile
from fabnode.steps import balancer, bootstrap_kubeconfig, kubelet, proxy
from fabnode.steps.checks import node_services
from fabnode.steps.order import NODE_STEPS
from tests.support import DUAL, IPV6, certificate, make_config

from .support import make_inputs

if TYPE_CHECKING:
    from fabnode.config.configuration import Config
    from fabnode.steps.inputs import Inputs

ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
URLS = [f"https://{address}:6443" for address in ADDRESSES]
LOCAL = "https://127.0.0.1:6444"
NAME = "kubernetes.default.svc"
CERTIFICATE = layout.kubelet_client_certificate("/var/lib/kubelet")


def several(*urls: str, **overrides: Any) -> Config:
    return make_config(cluster={"apiserver": list(urls or URLS)}, **overrides)


def texts(inputs: Inputs) -> dict[str, str]:
    """Return the text files of a node by path."""
    return {
        r.path: r.content.decode()
        for step in NODE_STEPS
        for r in step.resources(inputs)
        if isinstance(r, File) and r.content is not None
    }


def joined(config: Config, content: bytes = b"", server: str = LOCAL) -> Inputs:
    """Return a joined node whose kubelet has this kubeconfig."""
    digest = hashlib.sha256(content).hexdigest()
    facts = Facts(
        known=True,
        paths={layout.KUBELET_KUBECONFIG: PathFact("file", 0o600, sha256=digest)},
        certificates={CERTIFICATE: CertificateFile.of(certificate("system:node:n1"))},
        authorities={layout.KUBELET_KUBECONFIG: layout.CA},
        servers={layout.KUBELET_KUBECONFIG: server},
    )
    return replace(make_inputs(config, facts), now=datetime.now(UTC))


def kubelets(inputs: Inputs) -> File | None:
    """Return the kubelet's own kubeconfig, where it is to be written."""
    found = (r for r in kubelet.desired(inputs) if isinstance(r, File))
    return next((r for r in found if r.path == layout.KUBELET_KUBECONFIG), None)


def test_all_apiservers_stand_in_the_balancers_configuration() -> None:
    text = texts(make_inputs(several()))[layout.BALANCER_CONFIG]
    for address in ADDRESSES:
        assert f"  server {address} {address}:6443\n" in text
    assert "bind 127.0.0.1:6444\n" in text
    assert f"verify required ca-file {layout.CA} verifyhost {NAME}" in text
    assert "option httpchk GET /readyz" in text


def test_apiservers_of_ipv6_stand_in_brackets_each_once_and_by_one_name() -> None:
    """HAProxy 2.6 takes names with colons, and reads what follows the last one as the port."""
    urls = ["https://[2001:DB8:0::2]:6443", "https://[2001:db8::1]:6443", "https://192.0.2.3:6443"]
    overrides = {**DUAL, "cluster": {**DUAL["cluster"], "apiserver": urls}}
    text = texts(make_inputs(make_config(**overrides)))[layout.BALANCER_CONFIG]
    servers = sorted(line for line in text.splitlines() if line.startswith("  server "))
    assert servers == [
        "  server 192.0.2.3 192.0.2.3:6443",
        "  server 2001:db8::1 [2001:db8::1]:6443",
        "  server 2001:db8::2 [2001:db8::2]:6443",
    ]
    assert "bind 127.0.0.1:6444\n" in text  # which hosts of IPv6 alone have as well
    assert f"verifyhost {NAME} check-sni {NAME} " in text


def test_another_spelling_of_an_address_changes_no_balancer() -> None:
    one, other = (
        texts(
            make_inputs(make_config(**{**IPV6, "cluster": {**IPV6["cluster"], "apiserver": urls}}))
        )
        for urls in (
            ["https://[2001:db8::1]:6443", "https://[2001:db8::2]:6443"],
            ["https://[2001:db8:0::2]:6443", "https://[2001:DB8::1]:6443"],
        )
    )
    assert one == other


def test_the_balancer_starts_before_what_goes_by_it() -> None:
    names = [step.name for step in NODE_STEPS]
    assert names.index("balancer") < names.index("bootstrap-kubeconfig") < names.index("kubelet")
    found = texts(make_inputs(several()))
    for unit in (layout.KUBELET_UNIT, layout.PROXY_UNIT):
        after = next(line for line in found[unit].splitlines() if line.startswith("After="))
        assert BALANCER_SERVICE in after
        assert after.replace("After", "Wants") in found[unit]


def test_the_balancer_has_no_rights() -> None:
    unit = texts(make_inputs(several()))[layout.BALANCER_UNIT]
    for line in ("DynamicUser=yes", "CapabilityBoundingSet=", "NoNewPrivileges=yes"):
        assert f"{line}\n" in unit


def test_nodes_do_not_all_begin_with_the_same_apiserver() -> None:
    nodes = [{"name": f"n{n}", "address": f"192.0.2.{10 + n}"} for n in range(1, 31)]
    config = several(nodes=nodes)
    inputs = make_inputs(config)
    firsts = set()
    for node in config.nodes:
        text = texts(replace(inputs, node=node))[layout.BALANCER_CONFIG]
        servers = [line.split()[1] for line in text.splitlines() if line.startswith("  server ")]
        assert sorted(servers) == sorted(ADDRESSES)
        firsts.add(servers[0])
    assert firsts == set(ADDRESSES)


def test_the_order_of_the_list_means_nothing() -> None:
    one, other = (texts(make_inputs(several(*urls))) for urls in (URLS, URLS[::-1]))
    assert one == other


def test_kubeconfigs_name_the_balancer_and_verify_by_name() -> None:
    inputs = make_inputs(several())
    shown = (
        texts(inputs)[layout.PROXY_KUBECONFIG],
        bootstrap_kubeconfig.content(inputs, "id.secret").decode(),
    )
    for text in shown:
        (cluster,) = yaml.safe_load(text)["clusters"]
        assert cluster["cluster"]["server"] == LOCAL
        assert cluster["cluster"]["tls-server-name"] == NAME


def test_the_kubelets_own_kubeconfig_gets_the_name_that_it_leaves_out() -> None:
    """As the kubelet writes it, it would verify 127.0.0.1 once it starts again."""
    config = several()
    written = kubelets(joined(config))
    assert written
    assert written.content
    assert written.why == f"apiservers are verified by the name {NAME}"
    (cluster,) = yaml.safe_load(written.content)["clusters"]
    assert cluster["cluster"] == {
        "certificate-authority": layout.CA,
        "server": LOCAL,
        "tls-server-name": NAME,
    }
    assert kubelets(joined(config, written.content)) is None
    assert kubelet.completed_later(make_inputs(config))
    assert not kubelet.completed_later(make_inputs())


def test_the_kubelets_own_kubeconfig_follows_to_and_fro() -> None:
    to = kubelets(joined(several(), server=URLS[0]))
    assert to
    assert to.why == f"server {URLS[0]} → {LOCAL}"
    fro = kubelets(joined(make_config(), server=LOCAL))
    assert fro
    assert b"tls-server-name" not in (fro.content or b"")
    assert fro.why.startswith(f"server {LOCAL} → ")


@pytest.mark.parametrize("other", [URLS[:2], [*URLS[:2], "https://192.0.2.9:6443"]])
def test_another_list_changes_the_balancer_alone(other: list[str]) -> None:
    """Neither kubelet nor kube-proxy nor the runtime is started again, nor any pod."""
    now, then = texts(make_inputs(several())), texts(make_inputs(several(*other)))
    differing = {path for path in now if now[path] != then[path]}
    assert differing == {layout.BALANCER_CONFIG}
    for step in (kubelet, proxy):
        wanted = [r for r in step.desired(make_inputs(several())) if isinstance(r, Unit)]
        assert layout.BALANCER_CONFIG not in wanted[0].reads


def test_with_one_apiserver_there_is_no_balancer() -> None:
    inputs = make_inputs(make_config(cluster={"apiserver": URLS[:1]}))
    assert texts(inputs) == texts(make_inputs(make_config(cluster={"apiserver": URLS[0]})))
    wanted = balancer.desired(inputs)
    assert [type(r) for r in wanted] == [RemovedUnit, Absent]
    assert make_plan("n1", wanted, Facts(known=True)).empty


def test_what_is_left_of_a_balancer_is_removed_by_name() -> None:
    facts = Facts(
        known=True,
        paths={
            layout.BALANCER_UNIT: PathFact("file", 0o644),
            layout.BALANCER_CONFIG: PathFact("file", 0o644),
        },
        units={BALANCER_SERVICE: UnitFact("loaded", "active", "running", "enabled")},
    )
    plan = make_plan("n1", balancer.desired(make_inputs()), facts)
    assert [(c.action, c.name) for c in plan.changes] == [
        ("remove", layout.BALANCER_CONFIG),
        ("remove", BALANCER_SERVICE),
    ]


def test_a_balancer_goes_once_nobody_needs_it_any_more() -> None:
    inputs = joined(make_config())
    ours = UnitFact("loaded", "active", "running", "enabled", stamp={layout.BALANCER_UNIT: "0"})
    running = {BALANCER_SERVICE: ours}
    inputs = replace(inputs, facts=replace(inputs.facts, units=running))
    wanted = [r for step in NODE_STEPS for r in step.resources(inputs)]
    changes = [c.name for c in make_plan("n1", wanted, inputs.facts).changes]
    assert changes.index(BALANCER_SERVICE) > changes.index("kubelet.service")
    assert changes.index(BALANCER_SERVICE) > changes.index("kube-proxy.service")


def test_a_unit_of_that_name_that_is_somebody_elses_stays() -> None:
    theirs = UnitFact("loaded", "active", "running", "enabled")
    inputs = make_inputs(facts=Facts(known=True, units={BALANCER_SERVICE: theirs}))
    assert balancer.desired(inputs) == ()


def test_a_balancer_that_should_run_is_checked() -> None:
    node = several().nodes[0]
    assert BALANCER_SERVICE in node_services.units(node, several().cluster)
    assert BALANCER_SERVICE not in node_services.units(node, make_config().cluster)
