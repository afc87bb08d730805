"""What doctor prints: the first cause first, what explains what, and nothing that a host steers."""

from __future__ import annotations

from fabnode.cli.doctor_view import document, fixes, paragraphs
from fabnode.deploy.doctor_runs import Diagnosis
from fabnode.doctor.cause import Cause, Deploy, Fix, UnitAct, common
from fabnode.util.fan_out import Outcome

DISABLED = Cause(
    "kubelet-disabled",
    "kubelet.service is disabled, so it does not start at boot",
    "kubelet.service is inactive (dead)",
    Fix("systemctl enable --now kubelet.service", (UnitAct("enable", "kubelet.service"), Deploy())),
)
DOWN = Cause("kubelet-down", "kubelet.service is inactive (dead)", "", Fix("restart it"))
CUT_OFF = Cause("api-unreached", "no way to the API", "line\x1b[2J\nn9: well", Fix("a firewall"))

UNSEEN: Outcome[Diagnosis] = Outcome(error=OSError("no look"))
FOUND = {
    "n1": Outcome(Diagnosis((DISABLED, DOWN))),
    "n2": Outcome(Diagnosis(())),
    "n3": UNSEEN,
}


def test_causes_are_paragraphs_and_what_is_explained_is_one_line() -> None:
    assert list(paragraphs(FOUND, (), width=None)) == [
        "n1: kubelet.service is disabled, so it does not start at boot [kubelet-disabled]\n"
        "    seen: kubelet.service is inactive (dead)\n"
        "    fix (--fix does it): systemctl enable --now kubelet.service",
        "n1: kubelet.service is inactive (dead) [kubelet-down], explained by kubelet-disabled",
        "n3: can't be checked: no look",
        "nothing is wrong with n2",
    ]


def test_what_nodes_share_comes_first_and_is_fixed_on_none() -> None:
    found = {name: Outcome(Diagnosis((CUT_OFF, DISABLED))) for name in ("n1", "n2")}
    shared = common({name: o.value.causes for name, o in found.items() if o.value})
    shown = list(paragraphs(found, shared, width=None))
    assert shown[0] == (
        "n1, n2 share this, so that none of them is to blame: no way to the API [api-unreached]"
    )
    assert not any("--fix does it" in text for text in shown)
    assert fixes(found, shared) == {"n1": [], "n2": []}
    assert [c["safe"] for c in document(found, shared)["nodes"][0]["causes"]] == [False, False]


def test_what_was_not_read_is_named_and_no_node_called_sound_for_it() -> None:
    found = {
        "n1": Outcome(Diagnosis((), unseen=("pods",))),
        "n2": Outcome(Diagnosis((), unseen=("pods",))),
        "n3": Outcome(Diagnosis(())),
        "n4": Outcome(Diagnosis((), unseen=("signing requests", "pods"))),
    }
    assert list(paragraphs(found, (), width=None)) == [
        "nothing is wrong with n3",
        "n1, n2: not all could be read: this account has no right to list pods",
        "n4: not all could be read: this account has no right to list signing requests, pods",
    ]
    assert [each["unseen"] for each in document(found, ())["nodes"]][2:] == [
        [],
        ["signing requests", "pods"],
    ]
    assert [o.value.incomplete for o in found.values() if o.value] == [False, False, False, True]


def test_a_host_begins_no_line_of_its_own() -> None:
    (shown, *_) = paragraphs({"n1": Outcome(Diagnosis((CUT_OFF,)))}, (), width=None)
    assert "    seen: line [2J n9: well" in shown
    assert "\x1b" not in shown


def test_long_lines_are_folded() -> None:
    shown = "\n".join(paragraphs(FOUND, (), width=50))
    assert max(map(len, shown.splitlines())) <= 50


def test_what_a_fix_would_do() -> None:
    assert fixes(FOUND, ()) == {"n1": ["systemctl enable --now kubelet.service", "deploy to it"]}


def test_programs_get_the_same() -> None:
    first, well, unseen = document(FOUND, ())["nodes"]
    assert first["causes"][0] == {
        "key": "kubelet-disabled",
        "text": DISABLED.text,
        "seen": DISABLED.seen,
        "fix": DISABLED.fix.text,
        "safe": True,
        "explained_by": "",
    }
    assert first["causes"][1]["explained_by"] == "kubelet-disabled"
    assert well == {"node": "n2", "unseen": [], "causes": []}
    assert unseen == {"node": "n3", "error": "no look"}
