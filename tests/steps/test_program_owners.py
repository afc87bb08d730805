"""Programs that root runs and that others may have written: an error, and no chown of root's."""

from __future__ import annotations

import pytest

from fabnode.node.facts import Facts, Named, PathFact, UnitFact
from fabnode.node.plan import Change, Plan
from fabnode.node.resources import Absent, File, RemovedUnit, Retired
from fabnode.steps import kubelet, runtime
from fabnode.steps.finding import Finding
from fabnode.steps.program_owners import files, findings, named, unkept
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
    ((level, message, advised),) = found(facts)
    assert (level, message.startswith(text), advised.lstrip("`").startswith(fix)) == (
        "error",
        True,
        True,
    )


def test_what_root_installed_is_none() -> None:
    installed = {path: PathFact("file", 0o755) for path in (CTR, KUBELET, RETIRED)}
    assert found(Facts(paths=installed)) == []
    assert found(Facts()) == []


UNIT = "/etc/systemd/system/kubelet.service"
DROP_IN = f"{UNIT}.d/root.conf"
OF_A_PACKAGE = "/usr/lib/systemd/system/kubelet.service.d/root.conf"
REC, ENV = "/home/m/rec", "/home/m/env"


def texts(facts: Facts, *, rewritten: bool) -> list[str]:
    resources = kubelet.desired(make_inputs(make_config(), facts))
    return [each.text for each in named(facts, resources, rewritten=rewritten)]


@pytest.mark.parametrize("rewritten", [True, False])
def test_what_a_drop_in_names_and_others_may_change_is_an_error(rewritten: bool) -> None:
    of_others = (Named(REC, DROP_IN, runs=True), Named(ENV, DROP_IN, runs=False))
    facts = Facts(config_files={UNIT: (), DROP_IN: ("[Service]",)}, of_others=of_others)
    program, environment = texts(facts, rewritten=rewritten)
    assert program.startswith(f"{DROP_IN} names {REC}, a program that root runs: others than root")
    assert environment.startswith(f"{DROP_IN} names {ENV}, which root's programs use: others")


def test_what_a_masked_drop_in_names_is_none() -> None:
    masked = {UNIT: (), DROP_IN: (), OF_A_PACKAGE: ("[Service]",)}
    facts = Facts(config_files=masked, of_others=(Named(REC, OF_A_PACKAGE, runs=True),))
    assert texts(facts, rewritten=False) == []
    del masked[DROP_IN]
    assert len(texts(facts, rewritten=False)) == 1


def test_what_a_unit_names_that_is_rewritten_counts_until_then() -> None:
    of_others = (Named(REC, UNIT, runs=True), Named(KUBELET, UNIT, runs=True))
    facts = Facts(config_files={UNIT: ("[Service]",)}, of_others=of_others)
    assert texts(facts, rewritten=True) == []
    (text,) = texts(facts, rewritten=False)  # KUBELET is judged by itself
    assert REC in text


def test_programs_before_the_systems_are_reported_once() -> None:
    local, program = "/usr/local/sbin", "/usr/local/sbin/iptables"
    of_others = tuple(Named(each, "PATH", runs=True) for each in (local, program))
    folder, one = texts(Facts(of_others=of_others), rewritten=True)
    assert folder.startswith(f"units find {local} in their PATH before the system's programs")
    assert one.startswith(f"units find {program} in their PATH before the system's programs")
    known = {local: PathFact("directory", 0o2775, 0, 50)}  # an error of its own
    assert texts(Facts(of_others=of_others, paths=known), rewritten=True) == [one]


def not_kept() -> list[Finding]:
    """Return what is found of a plan that replaces and removes all kinds of things."""
    paths = {
        "/etc/link": PathFact("symlink", 0o777),
        "/etc/fifo": PathFact("other", 0o644),
        "/etc/folder": PathFact("directory", 0o755),
        "/etc/open": PathFact("file", 0o646),
        "/etc/theirs": PathFact("file", 0o600, uid=1000),
        "/etc/secret": PathFact("file", 0o666),
        "/bin/program": PathFact("file", 0o777),
        "/etc/mine": PathFact("file", 0o644),
    }
    changes = [Change(Absent(path), "remove", "") for path in list(paths)[:5]]
    changes += [
        Change(RemovedUnit("a.service", "/etc/open", ""), "remove", ""),
        Change(File("/etc/secret", b"", secret=True), "update", ""),
        Change(Retired("/bin/program", (), ""), "remove", ""),
        Change(File("/etc/mine", b""), "update", ""),
    ]
    return list(unkept(Facts(known=True, paths=paths), Plan("n1", tuple(changes))))


def test_what_an_upgrade_cannot_keep_is_named_with_what_to_do() -> None:
    """A link is kept as a link; of programs preflight tells in any case."""
    found = not_kept()
    assert [(f.level, f.text.partition(" kept")[0]) for f in found] == [
        ("error", "what is at /etc/fifo can't be"),
        ("error", "what is at /etc/folder can't be"),
        ("error", "others than root may change /etc/open, so that it is not"),
        ("error", "others than root may change /etc/theirs, so that it is not"),
    ]
    assert "move it away" in found[0].fix
    assert all("install -m" in f.fix for f in found[2:])


def test_files_that_others_may_change_are_distinguished_from_roots() -> None:
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


@pytest.mark.parametrize(("load", "counts"), [("masked", False), ("loaded", True)])
def test_the_link_by_which_a_unit_is_masked_leads_nowhere(load: str, counts: bool) -> None:
    unit = "/etc/systemd/system/kubelet.service"
    facts = Facts(
        paths={unit: PathFact("symlink")},
        units={"kubelet.service": UnitFact(load, "inactive", "dead", load)},
    )
    resources = kubelet.desired(make_inputs(make_config(), facts))
    assert files(facts, resources) == ((unit,) if counts else ())
