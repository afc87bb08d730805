"""One tuple gives the order of the steps, what `fab` offers of them, and what the docs say."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from fabnode import host_tasks
from fabnode import steps as room
from fabnode.steps import preflight
from fabnode.steps.order import NODE_STEPS, STEPS, with_required
from fabnode.steps.step import Scope, Step

COMMANDS = Path(__file__).parents[2] / "docs" / "commands.md"


def test_every_module_with_a_step_stands_in_the_order_once() -> None:
    modules = [
        import_module(f"{room.__name__}.{found.name}") for found in iter_modules(room.__path__)
    ]
    assert all(hasattr(module, "STEP") for module in modules if hasattr(module, "desired"))
    made = [step for module in modules if (step := getattr(module, "STEP", None))]
    assert len(made) == len(STEPS)
    assert set(made) == set(STEPS)
    assert len({step.name for step in STEPS}) == len(STEPS)


def test_a_module_is_called_as_its_step() -> None:
    """But that of the pod network: programs that read journals know its step as calico."""
    for step in STEPS:
        name = "pod_network" if step.name == "calico" else step.name.replace("-", "_")
        assert import_module(f"{room.__name__}.{name}").STEP is step


def test_what_a_step_requires_comes_before_it() -> None:
    names = [step.name for step in STEPS]
    for step in STEPS:
        for required in step.requires:
            assert names.index(required) < names.index(step.name)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ([], []),
        (["prepare"], ["prepare"]),
        (["kubelet"], ["bootstrap-kubeconfig", "kubelet"]),
        (["proxy", "runtime"], ["runtime", "proxy-cert", "proxy"]),
        (["proxy", "proxy-cert"], ["proxy-cert", "proxy"]),
    ],
)
def test_a_step_alone_brings_what_it_requires(names: list[str], taken: list[str]) -> None:
    assert [step.name for step in with_required(names)] == taken


@pytest.mark.parametrize("name", ["kubelett", "verify", "rbac"])
def test_only_node_steps_can_be_taken_alone(name: str) -> None:
    with pytest.raises(KeyError):
        with_required([name])


def test_fab_offers_each_node_step_with_its_help() -> None:
    """In their order; `host_tasks` names them without loading them."""
    tasks = host_tasks.ns.tasks
    steps = [preflight.STEP, *NODE_STEPS]
    named = [name for name in tasks if name in {step.name for step in STEPS}]
    assert named == [step.name for step in steps]
    assert [tasks[step.name].__doc__ for step in NODE_STEPS] == [step.help for step in NODE_STEPS]


def test_docs_name_the_steps_that_fab_offers_in_order() -> None:
    (row,) = re.findall(r"^\| `fab -H n1 (preflight`.*?) \|", COMMANDS.read_text(), re.MULTILINE)
    assert re.findall(r"([a-z-]+)`", row) == [s.name for s in (preflight.STEP, *NODE_STEPS)]


def test_the_readme_gives_the_order() -> None:
    text = (COMMANDS.parents[1] / "README.md").read_text()
    chain = text[text.index("`preflight` (") : text.index("→ `verify`") + len("→ `verify`")]
    found = re.findall(r"(?:^|→\s*)`([a-z-]+)`", chain)
    assert found == [step.name for step in STEPS]


@pytest.mark.parametrize("name", ["", "Kubelet", "a_b", "-a", "a--b", "a" * 41, "a b", "é"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a step name"):
        Step(name, "Help.", desired=lambda _: ())


def test_what_a_step_wants_goes_with_where_it_acts() -> None:
    with pytest.raises(ValueError, match="`desired` belongs to steps of scope node"):
        Step("swap", "Help.")
    with pytest.raises(ValueError, match="`desired` belongs to steps of scope node"):
        Step("swap", "Help.", Scope.CHECK, desired=lambda _: ())
