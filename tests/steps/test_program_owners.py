"""Programs that root runs and that others may have written: an error, and no chown of root's."""

from __future__ import annotations

import pytest

from fabnode.node.facts import Facts, PathFact
from fabnode.node.resources import Retired
from fabnode.steps import kubelet, runtime
from fabnode.steps.program_owners import files, findings
from tests.support import make_config

from .support import make_inputs

CTR, KUBELET, RETIRED = (f"/usr/local/bin/{name}" for name in ("ctr", "kubelet", "kube-proxy"))
OTHERS = "others than root may change"
CASES = [
    (Facts(paths={CTR: PathFact("file", 0o755, 1001, 1001)}), f"{OTHERS} {CTR}", f"rm {CTR}"),
    (Facts(paths={KUBELET: PathFact("file", 0o775)}), f"{OTHERS} {KUBELET}", f"rm {KUBELET}"),
    (Facts(paths={RETIRED: PathFact("file", 0o757)}), f"{OTHERS} {RETIRED}", f"rm {RETIRED}"),
    (
        Facts(
            paths={
                "/usr/local/bin": PathFact("directory", 0o2775, 0, 50),
                CTR: PathFact("file", 0o755, 1001, 1001),
            }
        ),
        f"{OTHERS} {CTR}",
        f"fix /usr/local/bin, which others may exchange, and rm {CTR}",
    ),
    (
        Facts(untrusted=frozenset({"/etc/systemd/system/kubelet.service.d/a.conf"})),
        "/etc/systemd/system/kubelet.service.d/a.conf, which root's programs use, is not root's",
        "namei -l /etc/systemd/system/kubelet.service.d/a.conf",
    ),
    (Facts(untrusted=frozenset({CTR})), f"{CTR}, a program that root runs", f"namei -l {CTR}"),
]


def found(facts: Facts) -> list[tuple[str, str, str]]:
    inputs = make_inputs(make_config(), facts)
    resources = (*runtime.desired(inputs), *kubelet.desired(inputs), Retired(RETIRED, (), "none"))
    return [(each.level, each.text, each.fix) for each in findings(facts, resources)]


@pytest.mark.parametrize(("facts", "text", "fix"), CASES)
def test_a_program_that_is_not_roots_alone_is_an_error(facts: Facts, text: str, fix: str) -> None:
    ((level, said, advised),) = found(facts)
    assert (level, said.startswith(text), advised.lstrip("`").startswith(fix)) == (
        "error",
        True,
        True,
    )


def test_what_root_installed_is_none() -> None:
    installed = {path: PathFact("file", 0o755) for path in (CTR, KUBELET, RETIRED)}
    assert found(Facts(paths=installed)) == []
    assert found(Facts()) == []


def test_files_that_others_may_change_are_told_from_roots() -> None:
    unit, config = "/etc/systemd/system/kubelet.service", "/etc/kubernetes/kubelet.yaml"
    facts = Facts(
        paths={
            unit: PathFact("file", 0o664),
            config: PathFact("file", 0o644, 1001),
            "/etc/kubernetes/pki/ca.pem": PathFact("file", 0o644),
            CTR: PathFact("file", 0o757),  # no file of a deployment's text
            KUBELET: PathFact("symlink", 0o777),
        }
    )
    resources = kubelet.desired(make_inputs(make_config(), facts))
    assert files(facts, resources) == (config, unit, KUBELET)
    assert files(Facts(), resources) == ()
