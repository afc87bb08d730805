"""The lab's tasks, mounted as `lab.…` in the root tasks.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

import lab
from fabnode.cli.argtypes import whole

from . import defaults
from .defaults import DEFAULT_NAME
from .errors import LabError, LabInputError
from .progress import Progress

if TYPE_CHECKING:
    from .layout import Layout
    from .state import State

PROJECT = Path(__file__).parent.parent


@task(
    help={
        "nodes": "how many hosts that may become nodes (3)",
        "kubernetes": f"release of the nodes ({defaults.KUBERNETES})",
        "runtime": "containerd, or docker on hosts that have it (containerd)",
        "name": "several labs live side by side; 1 to 7 lower-case letters or digits",
        "jump": "add a jump host; the configuration then goes through it",
        "suite": f"the hosts' Debian: {' or '.join(defaults.SUITES)} ({defaults.DEBIAN})",
        "packages": "comma-separated: what of Debian's the hosts have beside what a lab needs",
        "control_planes": "how many API servers, of one etcd; hosts then have HAProxy (1)",
        "family": f"of hosts, pods and Services: {', '.join(defaults.FAMILIES)} (ipv4)",
        "vm": "hosts are virtual machines: a kernel, cgroups (version 2) and a disk of their own",
    }
)
def up(
    _: Context,
    nodes: int = whole("--nodes", 3),
    kubernetes: str = defaults.KUBERNETES,
    runtime: str = defaults.RUNTIMES[0],
    name: str = DEFAULT_NAME,
    jump: bool = False,
    suite: str = defaults.DEBIAN,
    packages: str = "",
    vm: bool = False,
    control_planes: int = whole("--control-planes", 1),
    family: str = defaults.FAMILIES[0],
) -> None:
    """
    Bring up a control plane and bare hosts here.

    Nodes of 1.36 join a newer control plane; 1.20.2 with docker is a cluster of its own kind.
    Examples: inv lab.up --kubernetes 1.20.2 --runtime docker --nodes 2 --name old
    inv lab.up --suite trixie --packages sudo-rs,tcsh
    inv lab.up --vm --nodes 2
    inv lab.up --control-planes 3
    inv lab.up --family dual
    """
    with _sentences():
        more = tuple(sorted({package for package in packages.split(",") if package}))
        wanted = lab.state.State(
            nodes, kubernetes, jump, "", runtime, suite, more, vm, control_planes, family=family
        )
        layout = lab.cluster.up(PROJECT, name, wanted, Progress())
        shown = _shown(layout.folder)
        print(f"configuration  {shown}/cluster.yml   (export FABNODE_CONFIG={shown}/cluster.yml)")
        print(f"look around    {shown}/bin/kubectl --kubeconfig {shown}/admin.kubeconfig get nodes")
        print(f"               inv lab.status{_option(name)}, inv lab.ssh n1{_option(name)}")


@task(help={"name": "which lab"})
def down(_: Context, name: str = DEFAULT_NAME) -> None:
    """
    Take the lab away; the cache stays.

    Processes, mounts, bridge, cgroups and folder go.
    """
    with _sentences():
        lab.cluster.down(PROJECT, name, Progress())


@task(help={"name": "which lab"})
def status(_: Context, name: str = DEFAULT_NAME) -> None:
    """
    Show what of the lab runs.

    Exit 1 unless all of it does.
    """
    with _sentences():
        layout, state = _lab(name)
        print(f"lab {name}: Kubernetes {state.kubernetes}, {layout.apiserver}, {layout.folder}")
        rows = [
            (each, "", on)
            for each, on in lab.controlplane.running(layout, state.control_planes).items()
        ]
        for host in state.hosts(layout):
            login = f"{host.user}@{host.address}"
            rows.append((host.name, login, lab.hosts.running(layout, host.name)))
        for what, login, on in rows:
            print(f"  {what:<24} {'running' if on else 'off':<8} {login}".rstrip())
        if not all(on for *_, on in rows):
            several = state.control_planes
            more = f" --control-planes {several}" if several > 1 else ""
            if state.family != defaults.FAMILIES[0]:
                more += f" --family {state.family}"
            again = f"inv lab.up --nodes {state.nodes}{more}{_option(name)}"
            raise Exit(f"parts are off: `{again}`", code=1)


@task(
    positional=["host"],
    help={
        "host": "n1, n2, … or jump",
        "command": "run this instead of a shell",
        "user": "log in as this user, not as the one fabnode uses",
        "name": "which lab",
    },
)
def ssh(_: Context, host: str, command: str = "", user: str = "", name: str = DEFAULT_NAME) -> None:
    """Log in to a host of the lab."""
    with _sentences():
        layout, _state = _lab(name)
        target = layout.host(host)
        words = lab.login.command(layout, target, user or target.user)
        try:
            os.execvp("ssh", [*words, command] if command else words)  # noqa: S606 - no shell meant
        except FileNotFoundError:
            raise LabError("ssh is missing: install openssh-client") from None


@task(
    positional=["host"],
    help={
        "host": "n1, n2, … or jump",
        "plug": "pull the plug instead of shutting down",
        "name": "which lab",
    },
)
def off(_: Context, host: str, plug: bool = False, name: str = DEFAULT_NAME) -> None:
    """
    Switch a host off.

    In order, or with --plug as by pulling its plug. Example: inv lab.off n2 --plug
    """
    with _sentences():
        layout, _state = _lab(name)
        target = layout.host(host).name
        if plug:
            lab.hosts.clear(layout, target)
        else:
            lab.hosts.switch_off(layout, target)


@task(positional=["host"], help={"host": "n1, n2, … or jump", "name": "which lab"})
def on(_: Context, host: str, name: str = DEFAULT_NAME) -> None:
    """Switch a host on again, with the disk it had."""
    with _sentences():
        layout, state = _lab(name)
        base = lab.parts.provide(state, Progress()).base
        lab.cluster.boot(layout, [layout.host(host)], base, Progress())


@task(
    help={
        "hosts": "comma-separated; all of them, and an empty cluster, if left out",
        "name": "which lab",
    }
)
def fresh(_: Context, hosts: str = "", name: str = DEFAULT_NAME) -> None:
    """
    Make hosts bare again.

    All of them (then the cluster is emptied, too), or those of --hosts n1,n2.
    """
    with _sentences():
        layout, state = _lab(name)
        names = [host for host in hosts.split(",") if host]
        lab.cluster.fresh(layout, state, names, Progress())


@task(
    name="kubeasz",
    positional=["host"],
    help={
        "host": "n1, n2, …: a bare one",
        "shape": "3.7, chapter or kubespray: settings in files, as flags, or as by kubeadm",
        "name": "which lab",
    },
)
def kubeasz_node(_: Context, host: str, shape: str = "3.7", name: str = DEFAULT_NAME) -> None:
    """
    Make a bare host a node with the faults of others.

    As kubeasz makes them, for `inv audit` and `inv harden`, and to be taken over by
    `inv deploy-nodes`; as kubespray does, without faults. Example: inv lab.kubeasz n1
    """
    with _sentences():
        layout, state = _lab(name)
        if state.family != defaults.FAMILIES[0]:
            raise LabInputError("such a node is of ipv4, as this lab is not")
        lab.kubeasz.make(layout, state, layout.host(host), shape, Progress())


@task(
    help={
        "kubernetes": "only what a lab with nodes of this release is made of",
        "runtime": "of that lab (containerd)",
        "older-nodes": "of `make test-releases` too",
        "older-runtimes": "of `make test-life` too: each containerd that there is a way from",
    }
)
def fetch(
    _: Context,
    kubernetes: str = "",
    runtime: str = defaults.RUNTIMES[0],
    older_nodes: bool = False,
    older_runtimes: bool = False,
) -> None:
    """
    Download, or else build, what labs are made of.

    Without options: all that `make test` needs. Example: inv lab.fetch --kubernetes 1.36.3
    """
    with _sentences():
        reason = lab.support.why_not(PROJECT)
        if reason and os.environ.get("CI"):
            raise LabError(f"CI must carry a lab: {reason}")
        if reason:
            print(f"No lab here: {reason}.")
            return
        if kubernetes:
            wanted = lab.state.State(1, kubernetes, jump=False, subnet="", runtime=runtime)
            lab.cluster.check(DEFAULT_NAME, wanted)
            lab.parts.provide(wanted, Progress())
        else:
            lab.parts.provide_all(
                Progress(), older_nodes=older_nodes, older_runtimes=older_runtimes
            )


def _lab(name: str) -> tuple[Layout, State]:
    found = lab.state.load(name, PROJECT)
    if found is None:
        raise LabError(f"there is no lab {name}: `inv lab.up{_option(name)}` makes it")
    return found


def _option(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


@contextmanager
def _sentences() -> Iterator[None]:
    """End what a user can cause in one sentence: exit 2 for bad input, 1 for failed work."""
    try:
        yield
    except LabInputError as error:
        raise Exit(str(error), code=2) from None
    except LabError as error:
        raise Exit(str(error), code=1) from None


ns = Collection("lab")
for each in (up, down, status, ssh, off, on, fresh, kubeasz_node, fetch):
    ns.add_task(each)
