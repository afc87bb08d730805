"""
Hooks: the site's own commands before and after steps; which are due on a node, and running them.

A host's hooks are part of its plan and its stream. The deployer's run on this machine, between the
steps that it has in hand. Each hook that goes with a change has a marker on the node, from before
the first change until the hook has succeeded: an interrupted run, or a hook that fails, leaves
it due for the next run.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from ..node.plan import Change
from ..node.resources import Command
from ..steps import preflight, ready, verify
from ..util import program
from ..util.errors import FabnodeError
from ..util.sanitize import last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.configuration import Config, Node
    from ..config.sections import HookSettings
    from ..node.facts import Facts
    from ..node.plan import Plan
    from ..node.resources import Resource

# Where the deployer has a node in hand: (before or after, step).
DEPLOYER_POINTS = (
    ("after", preflight.STEP.name),
    ("before", ready.STEP.name),
    ("after", ready.STEP.name),
    ("before", verify.STEP.name),
    ("after", verify.STEP.name),
)

_SHOWN = 20  # lines of output
_READ = 2**14  # bytes of output


class HookError(FabnodeError):
    """A command of the site's own failed on this machine."""


def point(hook: HookSettings) -> tuple[str, str]:
    """Return where a hook belongs: before or after, and the step's name."""
    return ("before" if hook.before else "after", hook.step)


def marker(hook: HookSettings, config: Config) -> str:
    """Return the path on a node that is there while the hook is due."""
    identity = "\0".join((*point(hook), hook.where, *hook.run))
    return f"{config.paths.state}/hooks/{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def environment(hook: HookSettings, config: Config, node: Node) -> dict[str, str]:
    """Return what a hook finds in its environment. Nothing of it comes from a host."""
    return {
        "FABNODE_ADDRESS": node.address,
        "FABNODE_CLUSTER": config.cluster.name,
        "FABNODE_GROUPS": ",".join(node.groups),
        "FABNODE_HOOK": " ".join(point(hook)),
        "FABNODE_NODE": node.name,
        "FABNODE_NODE_IP": node.ip,
        **({"FABNODE_NODE_SECOND_IP": node.second_ip} if node.second_ip else {}),
    }


def stays_due(hook: HookSettings) -> bool:
    """Whether it has to succeed once there was a change; before the first one it is just tried."""
    return hook.when == "changed" and point(hook) != DEPLOYER_POINTS[0]


def command(hook: HookSettings, config: Config, node: Node) -> Command:
    """Return a hook as the resource that stands for it on a node."""
    pairs = tuple(environment(hook, config, node).items())
    return Command(hook.title, hook.run, marker(hook, config), pairs, hook.timeout)


def left_due(hook: HookSettings, config: Config, facts: Facts) -> bool:
    """Whether an earlier run made the hook due, and it has not succeeded since."""
    return facts.path(marker(hook, config)).kind != "absent"


def with_hooks(
    plan: Plan,
    step_of: Mapping[Resource, str],
    *,
    hooks: Sequence[HookSettings],
    steps: Sequence[str],
    commands: Mapping[HookSettings, Command],
    config: Config,
    facts: Facts,
) -> Plan:
    """
    Return the plan with the hosts' hooks that are due, each before or after its step's changes.

    :param steps: names of the node steps that are carried out, in order.
    :param commands: the host's hooks. :param hooks: all of them, in the configuration's order.
    """
    names = [step_of[change.resource] for change in plan.changes]
    placed: list[tuple[int, Change]] = []
    # What follows a step comes before what precedes the next one.
    for hook in sorted(hooks, key=lambda hook: hook.before is not None):
        if hook.where != "host" or hook.step not in steps:
            continue
        if hook.step in names:
            why = f"{hook.step} changes"
            first = names.index(hook.step)
            last = len(names) - names[::-1].index(hook.step)
            at = first if hook.before else last
        elif left_due(hook, config, facts):
            why = "it did not succeed when it was due"
            later = steps[steps.index(hook.step) :]
            at = next((n for n, name in enumerate(names) if name in later), len(names))
        else:
            continue
        placed.append((at, Change(commands[hook], "run", why)))
    changes: list[Change] = []
    for index in range(len(plan.changes) + 1):
        changes += [change for at, change in placed if at == index]
        changes += plan.changes[index : index + 1]
    ran = tuple(c.resource.marker for c in changes if isinstance(c.resource, Command))
    later_on = [marker(h, config) for h in hooks if h.where == "deployer" and stays_due(h)]
    due = (*ran, *later_on) if changes else ()
    return replace(plan, changes=tuple(changes), due=due)


def due_here(
    hooks: Sequence[HookSettings], config: Config, facts: Facts, *, changed: bool
) -> tuple[HookSettings, ...]:
    """Return the deployer's hooks that are due for a node."""
    return tuple(
        hook
        for hook in hooks
        if hook.where == "deployer"
        if changed or hook.when == "always" or left_due(hook, config, facts)
    )


def run_here(hook: HookSettings, config: Config, node: Node) -> str:
    """
    Run a hook on this machine, in the configuration's folder; return the end of its output.

    :raises HookError: it could not be started, failed, or took too long.
    """
    folder = config.source.absolute().parent
    variables = {**os.environ, **environment(hook, config, node)}
    first, *arguments = hook.run
    argv = [str(folder / first) if "/" in first else first, *arguments]
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise _failed(hook, node, f"can't be started: {error.strerror}", "") from error
        try:
            code = process.wait(hook.timeout)
        except subprocess.TimeoutExpired:
            raise _failed(
                hook, node, f"did not end within {hook.timeout} s", _end_of(output)
            ) from None
        finally:
            with suppress(ProcessLookupError):
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        text = _end_of(output)
    if code:
        last = text.rpartition("\n")[2]
        raise _failed(hook, node, f"ended with status {code}{f': {last}' if last else ''}", text)
    return text


def _failed(hook: HookSettings, node: Node, what: str, output: str) -> HookError:
    advice = f"correct the hook, then run `{program.task('deploy-nodes')} --limit {node.name}`"
    error = HookError(f"{hook.title}: it {what}", advice)
    error.detail = output
    return error


def _end_of(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _READ))
    return last_lines(output.read().decode("utf-8", "replace").rstrip("\n"), _SHOWN)
