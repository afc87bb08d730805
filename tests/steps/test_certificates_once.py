"""Of each certificate that a host holds, one plan parses it once and checks its signature once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from fabnode.node import layout
from fabnode.node.plan import compare
from fabnode.pki import certificates
from fabnode.pki.renewal import KINDS, Renewal
from fabnode.releases.version import Release
from fabnode.remote.probe_output import parse
from fabnode.steps import preflight
from fabnode.steps.checks import node_certificates
from fabnode.steps.inputs import Inputs
from fabnode.steps.order import NODE_STEPS
from tests.support import certificate, make_config

from .support import NOW, artifacts, make_inputs

AROUND = preflight.Surroundings(Release(1, 37, 2), 0.0, "", {"n1": "0a" * 16, "n2": "0a" * 16})


def probed(held: dict[str, str]) -> bytes:
    """Return a probe's output of a node that holds these certificates."""
    lines = [
        "clock\t1000.5",
        "kernel\t6.1.0",
        f"machine_id\t{'0a' * 16}",
        f"path\t8180\t0\t0\t9\t{layout.PROXY_PEM}",
    ]
    lines += [f"path\t8180\t0\t0\t9\t{layout.KUBELET_KUBECONFIG}"]
    lines += [f"authority\t{layout.CA}\t{layout.KUBELET_KUBECONFIG}"]
    for path, text in held.items():
        lines += [f"certificate\t{line}\t{path}" for line in text.strip().split("\n")]
    return "".join(f"{line}\n" for line in [*lines, "end\tn"]).encode()


@pytest.mark.parametrize("renewal", [Renewal(), Renewal(KINDS)])
def test_a_plan_parses_each_certificate_once(
    monkeypatch: pytest.MonkeyPatch, renewal: Renewal
) -> None:
    config = make_config()
    names = {
        layout.kubelet_client_certificate("/var/lib/kubelet"): "system:node:n1",
        layout.kubelet_serving_certificate("/var/lib/kubelet"): "system:node:n1",
        layout.PROXY_PEM: "system:kube-proxy",
    }
    held = {path: certificate(name, "k8s") for path, name in names.items()}
    parsed: Counter[bytes] = Counter()

    def counted(load: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def once_more(data: bytes) -> Any:
            parsed[data.strip()] += 1
            return load(data)

        return once_more

    certificates._bundle.cache_clear()
    certificates._issued_by.cache_clear()
    for name in ("load_pem_x509_certificate", "load_pem_x509_certificates"):
        monkeypatch.setattr(x509, name, counted(getattr(x509, name)))
    facts = parse(probed(held), nonce="n", sent=990.0, received=991.0)
    base = make_inputs(config)
    inputs = Inputs(config, base.node, facts, artifacts(config), base.issued, NOW, renewal)
    found = preflight.findings(inputs, AROUND)
    assert any("machine-id" in finding.text for finding in found)
    compare(tuple(r for step in NODE_STEPS for r in step.resources(inputs)), facts)
    paths = node_certificates.certificate_paths(config.nodes[0])
    checks = list(node_certificates.certificate_checks("n1", facts, paths, config.ca_pem, NOW, 30))
    assert len(checks) == len(held)
    wanted = [text.strip().encode() for text in [*held.values(), config.ca_pem.decode()]]
    assert parsed == Counter(wanted)
    assert certificates._issued_by.cache_info().misses == len(held)
