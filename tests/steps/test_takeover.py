"""Takeover of nodes that other tools made: what is theirs, and what the plan does with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from fabnode.node import layout
from fabnode.node.facts import Facts, PathFact
from fabnode.node.other_credentials import PAIR, found
from fabnode.node.plan import Change, ConflictError, make_plan
from fabnode.node.resources import Superseded
from fabnode.pki.certificates import CertificateFile
from fabnode.steps import kubelet
from tests.support import authority, certificate, make_config, pem

from .support import make_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "/var/lib/kubelet"
CLIENT = layout.kubelet_client_certificate(ROOT)
OURS, KUBEADM = layout.KUBELET_KUBECONFIG, layout.KUBEADM_KUBECONFIG
FILE = PathFact("file", 0o600)
HELD = CertificateFile.of(certificate("system:node:n1"))


def facts(
    *paths: str,
    held: Mapping[str, CertificateFile] | None = None,
    clients: Mapping[str, str] | None = None,
) -> Facts:
    return Facts(
        known=True,
        paths=dict.fromkeys(paths, FILE),
        certificates=held or {},
        clients=clients or {},
        authorities={OURS: pem(authority()[0]).decode()},
    )


JOINED = facts(OURS, CLIENT, held={CLIENT: HELD}, clients={OURS: CLIENT})


@pytest.mark.parametrize(
    ("seen", "paths"),
    [
        (facts(), []),
        (JOINED, []),
        (facts(OURS), []),
        (facts(OURS, held={OURS: HELD}), [OURS]),
        (facts(OURS, held={OURS: HELD, CLIENT: HELD}), [OURS]),  # rotated meanwhile
        (facts(OURS, clients={OURS: "/data/old/pki/kubelet-client-current.pem"}), [OURS]),
        (facts(KUBEADM, held={CLIENT: HELD}, clients={KUBEADM: CLIENT}), [KUBEADM]),
        (facts(OURS, KUBEADM, held={OURS: HELD}), [OURS, KUBEADM]),
    ],
)
def test_what_is_another_tools(seen: Facts, paths: list[str]) -> None:
    assert [credentials.path for credentials in found(seen, ROOT)] == paths


def test_what_came_back_to_our_path_is_still_another_tools() -> None:
    back = replace(FILE, sha256="ab" * 32)
    seen = facts(
        OURS, KUBEADM, CLIENT, held={CLIENT: HELD}, clients={OURS: CLIENT, KUBEADM: CLIENT}
    )
    copied = replace(seen, paths={**seen.paths, OURS: back, KUBEADM: back})
    assert [credentials.path for credentials in found(seen, ROOT)] == [KUBEADM]
    assert [credentials.path for credentials in found(copied, ROOT)] == [OURS, KUBEADM]
    changes = planned(copied)
    assert [c.name for c in changes if c.action == "quarantine"] == [OURS, KUBEADM]
    assert "join" in {change.action for change in changes}


def planned(seen: Facts) -> tuple[Change, ...]:
    inputs = replace(make_inputs(make_config(), seen), now=datetime.now(UTC))
    return make_plan("n1", kubelet.desired(inputs), seen).changes


def test_all_of_them_goes_to_the_quarantine_before_the_kubelet_starts() -> None:
    changes = planned(facts(OURS, *PAIR, CLIENT, held={OURS: HELD, CLIENT: HELD}))
    names = [change.name for change in changes]
    quarantined = [c for c in changes if c.action == "quarantine"]
    assert [c.name for c in quarantined] == [OURS, *PAIR]
    assert "certificate CN=system:node:n1" in quarantined[0].why
    assert names.index(CLIENT) < names.index(OURS) < names.index("kubelet.service")
    (joining,) = [c for c in changes if c.action == "join"]
    assert joining.why.startswith(f"node taken over: its kubelet uses {OURS}, certificate CN=")


def test_what_is_left_over_beside_a_node_that_has_joined_only_goes() -> None:
    changes = planned(replace(JOINED, paths={**JOINED.paths, KUBEADM: FILE}))
    assert "join" not in {change.action for change in changes}
    (moved,) = [c for c in changes if isinstance(c.resource, Superseded)]
    assert moved.name == KUBEADM


def test_a_node_that_has_joined_has_nothing_to_be_taken_over() -> None:
    assert not [c for c in planned(JOINED) if isinstance(c.resource, Superseded)]


@pytest.mark.parametrize("kind", ["symlink", "other", "directory"])
def test_what_is_no_file_is_in_the_way(kind: str) -> None:
    with pytest.raises(ConflictError, match="a file is expected there"):
        planned(replace(facts(), paths={OURS: PathFact(kind)}))
