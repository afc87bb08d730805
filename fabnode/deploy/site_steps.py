"""
The site's own steps: Python files in `extensions.steps`, inserted into the order of steps.

They are the operator's code and run in this process. What is wrong with one is bad input.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, get_args

from ..artifacts import store
from ..config.file_checks import others_may_change
from ..config.yaml_document import read
from ..node.facts import UNKNOWN
from ..node.plan import ConflictError
from ..node.resources import Absent, Binary, Directory, File, Module, Resource, Sysctl, Unit
from ..steps.inputs import Inputs, Issued
from ..steps.order import STEPS, node_steps
from ..steps.step import Scope, Step
from ..util.errors import FabnodeError
from ..util.problems import ConfigError, Problem, either, nearest
from . import hooks
from .desired_state import desired_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..config.configuration import Config
    from ..config.sections import HookSettings
    from ..util.problems import KeyPath

    Violation = tuple[KeyPath, str, str]

OwnResource = File | Directory | Binary | Absent | Module | Sysctl | Unit


class OwnStepError(FabnodeError):
    """A step of the site's own failed to return what a node must have."""

    advice = "correct that file, and run the same command again"


def steps_of(config: Config) -> tuple[Step, ...]:
    """
    Return all steps of a deployment in order, the site's own among them.

    :raises ConfigError: a file is no step, or a hook names no step.
    """
    steps = list(STEPS)
    violations: list[Violation] = []
    for index, path in enumerate(config.extensions.steps):
        try:
            _insert(steps, _load(path))
        except InvalidStepError as fault:
            violations.append((("extensions", "steps", index), f"{path}: {fault}", fault.advice))
    if not violations:
        for index, hook in enumerate(config.extensions.hooks):
            found = _misplaced(hook, steps, config.source.absolute().parent)
            violations += [(("extensions", "hooks", index, *key), *texts) for key, texts in found]
    if violations:
        raise ConfigError(_problems(config.source, violations))
    return tuple(steps)


def check_desired(config: Config, steps: Sequence[Step]) -> None:
    """
    Evaluate the site's own steps for each node, as before its first probe.

    :param steps: what `steps_of` returned.
    :raises ConfigError: one fails, returns what no step may, or differs from another step.
    """
    if not config.extensions.steps:
        return
    artifacts = store.expected(config).of(UNKNOWN)
    first_of: dict[tuple[str, str], str] = {}  # problem → the first node that has it
    for node in config.nodes:
        inputs = Inputs(config, node, UNKNOWN, artifacts, Issued(), datetime.now(UTC))
        try:
            desired_state(node_steps(steps), inputs)
        except (OwnStepError, ConflictError) as error:
            first_of.setdefault((error.message, error.advice), node.name)
    if first_of:
        where: KeyPath = ("extensions", "steps")
        violations = [
            (where, f"{text} (for {n})", advice) for (text, advice), n in first_of.items()
        ]
        raise ConfigError(_problems(config.source, violations))


def _problems(source: Path, violations: list[Violation]) -> list[Problem]:
    """Return them with lines, which a loaded configuration no longer holds."""
    document = read(source)
    return [document.problem(*violation) for violation in violations]


class InvalidStepError(FabnodeError):
    """What is wrong with a file, as the end of a sentence."""


def _load(path: Path) -> Step:
    """Run a file, and return its STEP, which names the file in whatever it raises."""
    if fault := others_may_change(path):
        raise InvalidStepError(fault)
    # Compiled here, so that no __pycache__ appears beside it.
    module = ModuleType(f"fabnode_site_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - the operator's own
    except Exception as error:
        raise InvalidStepError(_cause(error)) from error
    except SystemExit as error:
        raise InvalidStepError("it exits") from error
    step = getattr(module, "STEP", None)
    if not isinstance(step, Step):
        raise InvalidStepError("it defines no STEP", "STEP = Step(…), as docs/extending.md shows")
    if step.scope is not Scope.NODE or step.desired is None:
        raise InvalidStepError(f"{step.name} is of scope {step.scope}; a site's own act on nodes")
    return replace(step, desired=_checked(path, step.name, step.desired))


def _insert(steps: list[Step], step: Step) -> None:
    """Insert a step of the site's own after the one that it names, by default after all others."""
    known = [each.name for each in node_steps(steps)]
    if step.name in [each.name for each in steps]:
        raise InvalidStepError(f"there is a step {step.name} already", "choose another name")
    for name in (*([step.after] if step.after else []), *step.requires):
        if name not in known:
            hint = nearest(name, known) or f"there are {', '.join(known)}"
            raise InvalidStepError(f"no node step before it is called {name!r}", hint)
    before = step.after or known[-1]
    at = [each.name for each in steps].index(before)
    # Several that follow the same one stay in the order of the list.
    while at + 1 < len(steps) and step.after and steps[at + 1].after == step.after:
        at += 1
    steps.insert(at + 1, step)


def _checked(
    path: Path, name: str, desired: Callable[[Inputs], tuple[Resource, ...]]
) -> Callable[[Inputs], tuple[Resource, ...]]:
    """Wrap a step's function: what it raises, or returns wrongly, names step and file."""

    def wanted(inputs: Inputs) -> tuple[Resource, ...]:
        try:
            found = tuple(desired(inputs))
        except Exception as error:
            raise OwnStepError(f"step {name} ({path}): {_cause(error)}") from error
        for resource in found:
            if not isinstance(resource, OwnResource):
                allowed = either([kind.__name__ for kind in get_args(OwnResource)])
                text = f"desired returns a {type(resource).__name__}; each must be a {allowed}"
                raise OwnStepError(f"step {name} ({path}): {text}")
            if isinstance(resource, File) and not isinstance(resource.content, bytes):
                text = f"the content of {resource.path} must be bytes"
                raise OwnStepError(f"step {name} ({path}): {text}")
        return found

    return wanted


def _cause(error: Exception) -> str:
    line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}{line}"


def _misplaced(
    hook: HookSettings, steps: list[Step], folder: Path
) -> Iterator[tuple[KeyPath, tuple[str, str]]]:
    """Yield what is wrong with where and what a hook runs."""
    order, name = hooks.point(hook)
    acting = [step.name for step in node_steps(steps)]
    if name not in [step.name for step in steps]:
        known = [step.name for step in steps]
        hint = nearest(name, known) or f"there are {', '.join(known)}"
        yield (order,), (f"no step is called {name!r}", hint)
    elif hook.where == "host" and name not in acting:
        yield (order,), (f"{name} does not act on hosts", f"on a host: {either(acting)}")
    elif hook.where == "deployer" and (order, name) not in hooks.DEPLOYER_POINTS:
        points = either([" ".join(each) for each in hooks.DEPLOYER_POINTS])
        yield (order,), (f"the deployer can't run anything {order} {name}", f"it can {points}")
    if hook.where == "deployer":
        program = hook.run[0]
        path = folder / program
        if "/" not in program:
            if shutil.which(program) is None:
                yield ("run",), (f"there is no program {program!r} on this machine", "")
        elif not path.is_file() or not os.access(path, os.X_OK):
            yield ("run",), (f"{path} is not an executable file", f"run `chmod +x {path}`")
        elif fault := others_may_change(path):
            yield ("run",), (f"{path} {fault}", "")
