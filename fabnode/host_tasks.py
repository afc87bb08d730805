"""
What `fab` offers for single hosts, named as in the configuration: `fab -H n1,n2 status`.

Each task is a step or an inspection of one node; the work is done by `cli.commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from .cli import commands, exits
from .cli.argtypes import whole
from .cli.options import HELP, Options

# Steps of scope node in their order, each with its help. To list them, what they want of a node is
# not loaded, nor all that this takes; tests/steps/test_order.py holds these to `steps/order.py`.
_STEPS = {
    "prepare": "Load kernel modules, set sysctls.",
    "runtime": "Set up containerd or docker; load images.",
    "balancer": "Balance the node's way to several apiservers.",
    "bootstrap-kubeconfig": "Issue a bootstrap token for the node.",
    "kubelet": "Install the kubelet and have it join.",
    "proxy-cert": "Issue kube-proxy's certificate.",
    "proxy": "Install and run kube-proxy.",
    "images": "Load the image archives that joining didn't need.",
}

_UNIT = "kubelet, kube-proxy, the runtime's or apiserver-balancer."
_DRY_RUN = "Show what would change; change nothing."


def _task(
    name: str | None = None, /, *, positional: Sequence[str] = (), **options: str
) -> Callable[[Callable[..., None]], Task[Callable[..., None]]]:
    """
    Make a function a task, without short flags; its errors end in a sentence and an exit code.

    :param options: what those of its options mean that all tasks don't have.
    """

    def made(body: Callable[..., None]) -> Task[Callable[..., None]]:
        guarded = exits.errors_as_exits()(body)
        shown = {"config": HELP["config"], **options}
        return Task(guarded, name=name, positional=positional, auto_shortflags=False, help=shown)

    return made


def _node(c: Context) -> str:
    """Return the name that `-H` gave; its address is the configuration's, not the name's."""
    name = getattr(c, "original_host", "")
    if not name:
        raise Exit(
            "no host given: fab -H NAME …, by its name in the configuration", exits.BAD_INPUT
        )
    return str(name)


def _step_task(step: str, text: str) -> Task[Callable[..., None]]:
    """Make a task of a node step."""

    def body(c: Context, config: str = "", dry_run: bool = False) -> None:
        joins = commands.deployment.may_join(step)
        _carry_out(c, step, config, dry_run=dry_run, joins=joins)

    body.__doc__ = text
    return _task(step, dry_run=_DRY_RUN)(body)


def _carry_out(c: Context, step: str, config: str, *, dry_run: bool, joins: bool) -> None:
    """Carry out one step: the same plan and change as in deploy-nodes, this step's part."""
    options = Options(
        config, _node(c), only=(step,), joins=joins and not dry_run, recorded=not dry_run
    )
    if dry_run:
        commands.inspection.show_plan(options, exit_code=False)
        return
    commands.deployment.deploy(options)


@_task("step", positional=["name"], name="The step's name, as its STEP has it.", dry_run=_DRY_RUN)
def own_step(c: Context, name: str, config: str = "", dry_run: bool = False) -> None:
    """
    Carry out a step of your own.

    Those of extensions.steps; fabnode's have tasks of their name. Example: fab -H n1 step swap
    """
    _carry_out(c, name, config, dry_run=dry_run, joins=True)


@_task("preflight")
def preflight_task(c: Context, config: str = "") -> None:
    """Show what prevents a deployment, with its fix."""
    commands.inspection.findings(Options(config, _node(c), only=()))


@_task(json=HELP["json"])
def status(c: Context, config: str = "", json: bool = False) -> None:
    """
    Show health, Ready and what is in flight.

    The cordon's owner, an interrupted operation and the run that changes the cluster now are those
    that `inv status` shows of all nodes.
    """
    commands.inspection.status(Options(config, _node(c), json, installs=False))


@_task(
    json=HELP["json"],
    fix="Apply the safe fixes; diagnose again.",
    dry_run="With --fix: show what would be done; change nothing.",
)
def doctor(
    c: Context, config: str = "", fix: bool = False, dry_run: bool = False, json: bool = False
) -> None:
    """
    Say why the node doesn't work, and what fixes it.

    Example: fab -H n1 doctor --fix
    """
    fixes = fix and not dry_run
    options = Options(config, _node(c), json, joins=fixes, recorded=fixes, installs=fixes)
    commands.doctor.doctor(options, fix=fix, dry_run=dry_run)


@_task(unit=_UNIT, lines="How many lines.")
def logs(
    c: Context, unit: str = "kubelet", lines: int = whole("--lines", 50), config: str = ""
) -> None:
    """
    Show the end of a unit's journal.

    Example: fab -H n1 logs --unit kube-proxy --lines 100
    """
    commands.inspection.logs(Options(config, _node(c), installs=False), unit, lines)


@_task()
def facts(c: Context, config: str = "") -> None:
    """
    Print what one probe reports, as a line of JSON.

    Of secrets only digests. Example: fab -H n1 facts
    """
    commands.inspection.facts(Options(config, _node(c), json=True, installs=False))


@_task(json=HELP["json"])
def diff(c: Context, config: str = "", json: bool = False) -> None:
    """
    Show drift of the host; exit 3 if there is any.

    Example: fab -H n1,n2 diff
    """
    commands.inspection.show_plan(Options(config, _node(c), json), exit_code=True)


@_task(unit=_UNIT)
def restart(c: Context, unit: str = "kubelet", config: str = "") -> None:
    """
    Restart a unit and wait until it runs.

    Example: fab -H n1 restart --unit kube-proxy
    """
    commands.inspection.restart(Options(config, _node(c), installs=False), unit)


_NO_NETWORK = "Skip the pods that try the network before others come."
_YES = "Do it without asking."


@_task(
    pods="Pods that may be ended, besides DaemonSets': NAMESPACE/NAME or globs.",
    yes=_YES,
    dry_run="Show what would be removed, put back and left; change nothing.",
    json=HELP["json"],
)
def reset(
    c: Context,
    config: str = "",
    pods: str = "",
    dry_run: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """
    Restore the host to how it was before.

    Example: fab -H n1 reset --dry-run
    """
    options = Options(config, _node(c), json, recorded=not dry_run, installs=False)
    commands.reset.reset(options, pods, dry_run=dry_run, yes=yes)


def _in_use(c: Context, config: str, *, json: bool, dry_run: bool = False) -> Options:
    """Return the options of work on one node that has pods; its host gets no artifacts."""
    return Options(config, _node(c), json, recorded=not dry_run, installs=False, in_use=True)


def _of_api(c: Context, config: str, *, json: bool, dry_run: bool = False) -> Options:
    """Return them for work that concerns the API alone."""
    return replace(_in_use(c, config, json=json, dry_run=dry_run), api_only=True)


def _allowed(force: str, past_budget: str, delete_emptydir_data: bool) -> commands.upkeep.Allowed:
    return commands.upkeep.Allowed(force, past_budget, delete_emptydir_data)


_PODS = {key: HELP[key.replace("_", "-")] for key in ("force", "past_budget")} | {
    "delete_emptydir_data": HELP["delete-emptydir-data"],
    "json": HELP["json"],
}
_CORDON = "Show what would become of the cordon; change nothing."


@_task(dry_run=_CORDON, json=HELP["json"])
def cordon(c: Context, config: str = "", dry_run: bool = False, json: bool = False) -> None:
    """Keep new pods off the node, by a cordon of fabnode's."""
    commands.upkeep.cordon(_of_api(c, config, json=json, dry_run=dry_run), dry_run=dry_run)


@_task(dry_run=_CORDON, json=HELP["json"])
def uncordon(c: Context, config: str = "", dry_run: bool = False, json: bool = False) -> None:
    """Lift the node's cordon where it is fabnode's own."""
    commands.upkeep.uncordon(_of_api(c, config, json=json, dry_run=dry_run), dry_run=dry_run)


@_task(dry_run="Show what would become of each pod; change nothing.", **_PODS)
def drain(
    c: Context,
    config: str = "",
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Have the node's pods leave; say which won't, why.

    Example: fab -H n1 drain --dry-run
    """
    options = _of_api(c, config, json=json, dry_run=dry_run)
    allowed = _allowed(force, past_budget, delete_emptydir_data)
    commands.upkeep.drain(options, allowed, dry_run=dry_run)


@_task(
    dry_run="Show what would be done, and what would become of each pod; change nothing.",
    command="Run this on the host as root, in place of a reboot; a shell reads it.",
    if_due="Only where the host says that a reboot is due.",
    kernel="Kernel release that has to run after the reboot (default: the host's default kernel).",
    no_network=_NO_NETWORK,
    **_PODS,
)
def maintain(
    c: Context,
    config: str = "",
    command: str = "",
    if_due: bool = False,
    kernel: str = "",
    no_network: bool = False,
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Drain the node, reboot it, prove it healthy.

    Example: fab -H n1 maintain --if-due
    """
    commands.upkeep.maintain(
        _in_use(c, config, json=json, dry_run=dry_run),
        _allowed(force, past_budget, delete_emptydir_data),
        command=command,
        if_due=if_due,
        kernel=kernel,
        network=not no_network,
        dry_run=dry_run,
    )


@_task(
    dry_run="Show what would change, and what that does to the pods; change nothing.",
    no_network=_NO_NETWORK,
    **_PODS,
)
def upgrade(
    c: Context,
    config: str = "",
    no_network: bool = False,
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """
    Bring the node to what is configured, or back.

    Example: fab -H n1 upgrade --dry-run
    """
    commands.upgrade.upgrade(
        replace(_in_use(c, config, json=json, dry_run=dry_run), installs=True, joins=True),
        _allowed(force, past_budget, delete_emptydir_data),
        network=not no_network,
        dry_run=dry_run,
    )


@_task(
    dry_run="Show what would go from cluster and host, and which pods; change nothing.",
    offline="Its host does not answer: what the cluster has of it, as far as that goes.",
    host_is_off="With --offline: the host is off, so that its pods may be declared dead.",
    yes=_YES,
    **_PODS,
)
def remove_node(
    c: Context,
    config: str = "",
    force: str = "",
    past_budget: str = "",
    delete_emptydir_data: bool = False,
    offline: bool = False,
    host_is_off: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """
    Take the node out of the cluster; reset its host.

    Example: fab -H n7 remove-node --dry-run
    """
    commands.removal.remove_node(
        _in_use(c, config, json=json, dry_run=dry_run),
        _allowed(force, past_budget, delete_emptydir_data),
        offline=offline,
        host_is_off=host_is_off,
        dry_run=dry_run,
        yes=yes,
    )


ns = Collection(
    preflight_task,
    own_step,
    status,
    doctor,
    logs,
    facts,
    diff,
    restart,
    reset,
    cordon,
    uncordon,
    drain,
    maintain,
    upgrade,
    remove_node,
)
for _step, _help in _STEPS.items():
    ns.add_task(_step_task(_step, _help))
ns.configure({"run": {"in_stream": False}})
