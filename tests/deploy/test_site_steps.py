"""Steps of a site's own: where they go, what they may want, and what is wrong with a file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.config.file_checks import others_may_change
from fabnode.deploy.site_steps import OwnStepError, steps_of
from fabnode.node.plan import ConflictError
from fabnode.steps.order import STEPS
from fabnode.util.problems import ConfigError
from tests.steps.support import make_inputs
from tests.support import make_config

from .test_never_quiet import Everything, Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fabnode.config.configuration import Config

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"
NODES = [{"name": f"n{number}", "address": f"192.0.2.{number}"} for number in (1, 2)]

SYSCTL = """
from fabnode import Step, Sysctl
STEP = Step("{name}", "Help.", desired=lambda inputs: (Sysctl("{key}", "1"),), {more})
"""


def example(name: str) -> str:
    """Return a file of the docs, which its comment names."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (found,) = (block for block in blocks if f"# site/{name}\n" in block)
    return found


def site(folder: Path, *files: str, hooks: Sequence[dict[str, Any]] = ()) -> Config:
    """Return a cluster with steps of its own, from these contents."""
    paths = []
    for number, content in enumerate(files):
        path = folder / f"own{number}.py"
        path.write_text(content)
        path.chmod(0o644)
        paths.append(path.name)
    return make_config(
        folder,
        calico={"enabled": False},
        nodes=NODES,
        extensions={"steps": paths, "hooks": list(hooks)},
    )


def sysctl(name: str, key: str = "vm.swappiness", more: str = "") -> str:
    return SYSCTL.format(name=name, key=key, more=more)


@pytest.mark.parametrize(
    ("files", "order"),
    [
        ([sysctl("a")], ["images", "a", "ready"]),
        ([sysctl("a"), sysctl("b")], ["images", "a", "b", "ready"]),
        ([sysctl("a", more='after="prepare"')], ["prepare", "a", "runtime"]),
        ([sysctl(n, more='after="prepare"') for n in "ab"], ["prepare", "a", "b", "runtime"]),
        ([sysctl("a"), sysctl("b", more='after="a"')], ["images", "a", "b", "ready"]),
    ],
)
def test_a_step_goes_where_it_says(tmp_path: Path, files: list[str], order: list[str]) -> None:
    names = [step.name for step in steps_of(site(tmp_path, *files))]
    at = names.index(order[0])
    assert names[at : at + len(order)] == order
    assert [name for name in names if len(name) > 1] == [step.name for step in STEPS]


def test_without_extensions_the_steps_are_fabnodes_own(tmp_path: Path) -> None:
    assert steps_of(site(tmp_path)) == STEPS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it defines no STEP; STEP = Step(…), as docs/extending.md shows"),
        ("STEP = 'kubelet'", "it defines no STEP"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def x(:", "SyntaxError: invalid syntax (line 1)"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named"),
        ("raise SystemExit(0)", "it exits"),
        ("\0", "null bytes"),
        (sysctl("kubelet"), "there is a step kubelet already; choose another name"),
        (sysctl("A"), "ValueError: 'A' is not a step name"),
        (sysctl("a", more='after="kubelett"'), "is called 'kubelett'; did you mean kubelet?"),
        (sysctl("a", more='after="verify"'), "no node step before it is called 'verify'"),
        (sysctl("a", more='requires=("x",)'), "no node step before it is called 'x'; there are"),
    ],
)
def test_a_file_that_is_no_step_is_bad_input(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        steps_of(site(tmp_path, content))
    (problem,) = refused.value.problems
    assert reason in str(problem)
    assert str(problem).startswith(f"{tmp_path}/cluster.yml:{problem.line}: extensions.steps[0]: ")
    assert problem.line
    assert f"{tmp_path}/own0.py" in str(problem)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_change_is_not_run(tmp_path: Path, mode: int) -> None:
    ran = tmp_path / "ran"
    cluster = site(tmp_path, f"open({str(ran)!r}, 'w')")
    (tmp_path / "own0.py").chmod(mode)
    with pytest.raises(ConfigError, match=r"can be changed by others: run `chmod go-w .*own0.py`"):
        steps_of(cluster)
    with pytest.raises(ConfigError, match="can be changed by others"):
        make_config(tmp_path, extensions={"steps": ["own0.py"]})
    assert not ran.exists()


def test_a_folder_where_others_may_write_counts_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    cluster = site(folder, sysctl("a"))
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match=r"can be changed by others: run `chmod go-w .*open`"):
        steps_of(cluster)
    folder.chmod(0o1777)  # there nobody can replace the files of others
    steps_of(cluster)


def test_the_folder_of_a_link_counts_as_the_folder_of_what_it_leads_to(tmp_path: Path) -> None:
    """Who may exchange the link chooses what is run."""
    folder, shared = tmp_path / "real", tmp_path / "shared"
    folder.mkdir()
    shared.mkdir()
    (folder / "own0.py").touch(0o644)
    link = shared / "own0.py"
    link.symlink_to(folder / "own0.py")
    assert others_may_change(link) is None
    shared.chmod(0o777)
    assert others_may_change(link) == f"can be changed by others: run `chmod go-w {shared}`"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_no_command_is_named_for_a_path_below_a_folder_of_another_users(tmp_path: Path) -> None:
    """That user may put a link there before somebody follows the advice."""
    theirs = tmp_path / "theirs"
    (theirs / "steps").mkdir(parents=True)
    own = theirs / "steps" / "own0.py"
    own.write_text("")
    own.chmod(0o666)
    os.chown(theirs, 65534, 65534)
    assert others_may_change(own) == f"can be changed by others: {theirs} belongs to another user"


def test_a_missing_file_names_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cluster.yml:\d+: extensions.steps\[0\]: .* not exist"):
        make_config(tmp_path, extensions={"steps": ["nowhere.py"]})


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("None", "TypeError: 'NoneType' object is not iterable"),
        ("('vm.swappiness',)", "desired returns a str; each must be a File, Directory, Binary"),
        ("(fabnode.File('/etc/x', 'text'),)", "the content of /etc/x must be bytes"),
    ],
)
def test_what_a_step_can_t_say_names_step_and_file(
    tmp_path: Path, returned: str, reason: str
) -> None:
    content = f"import fabnode\nSTEP = fabnode.Step('own', 'Help.', desired=lambda _: {returned})"
    step = next(s for s in steps_of(site(tmp_path, content)) if s.name == "own")
    with pytest.raises(OwnStepError) as failed:
        step.resources(make_inputs())
    assert str(failed.value).startswith(f"step own ({tmp_path}/own0.py): {reason}")


def test_the_example_of_the_docs_is_planned_made_true_and_then_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = site(tmp_path, example("keepalive.py"))
    scene = Everything(monkeypatch, Points(), cluster)
    planned = scene.planned()
    assert [c.name for c in planned if c.step == "keepalive"] == [
        "/etc/sysctl.d/91-keepalive.conf",
        "net.ipv4.tcp_keepalive_time",
    ]
    steps = list(dict.fromkeys(change.step for change in planned))
    assert steps[:3] == ["prepare", "keepalive", "runtime"]
    scene.deployed()
    assert scene.hosts["n1"].facts.sysctls["net.ipv4.tcp_keepalive_time"] == "240"
    assert scene.planned() == []
    assert not list(tmp_path.rglob("__pycache__"))


def test_what_two_steps_want_differently_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = site(tmp_path, sysctl("own", key="net.ipv4.ip_forward").replace('"1"', '"0"'))
    scene = Everything(monkeypatch, Points(), config)
    run = scene.deployed()
    for outcome in run.outcomes.values():
        assert isinstance(outcome.error, ConflictError)
        assert "steps prepare and own differ on net.ipv4.ip_forward" in str(outcome.error)
