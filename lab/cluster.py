"""A whole lab, up and down: the order of things on one screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from . import cache, cgroups, controlplane, hosts, network, support, sysctls, versions
from . import state as states
from .defaults import FAMILIES
from .errors import LabError, LabInputError
from .layout import MAX_CONTROL_PLANES, MAX_NODES, Host, Layout, check_name, folder_for, free_subnet
from .outputs import complete, write_outputs
from .parts import Parts, provide
from .progress import Progress
from .shell import run
from .state import State

T = TypeVar("T")

AT_ONCE = 5
ANY_SUBNET = IPv4Network("10.99.0.0/24")


def up(parent: Path, name: str, wanted: State, progress: Progress) -> Layout:
    """
    Make a lab be as asked for, whatever is there of it; return its layout.

    Parts that run as asked are left alone, dead ones are started again, hosts
    beyond ``wanted.nodes`` are removed.
    """
    check(name, wanted)
    with _locked(name):
        layout, state = _begun(parent, name, wanted)
        if stands(layout, state):
            progress.say(f"lab {name} is up as asked: nothing to do")
            return layout
        if reason := support.why_not(parent, vm=wanted.vm):
            raise LabError(reason)
        layout, state = _take_place(parent, name, wanted)
        parts = provide(state, progress)
        if sysctls.raise_inotify(state.nodes, alone=not network.other_labs(layout)):
            progress.say(f"raised {sysctls.INOTIFY} to {sysctls.INOTIFY_WANTED}")
        _remove_others(layout, state)
        write_outputs(layout, state, parts)
        start(layout, state, state.hosts(layout), parts, progress)
    return layout


def start(
    layout: Layout, state: State, wanted: list[Host], parts: Parts, progress: Progress
) -> None:
    """Start the control plane and boot hosts, at the same time."""
    release = versions.control_plane(state.kubernetes)

    def control_plane_up() -> None:
        with progress.work("control plane") as report:
            programs = (parts.etcd, parts.control_plane)
            controlplane.up(layout, *programs, release, report, state.control_planes)

    with ThreadPoolExecutor(1) as pool:
        control = pool.submit(control_plane_up)
        boot(layout, wanted, parts.base, progress)
        control.result()


def boot(layout: Layout, wanted: list[Host], base: Path, progress: Progress) -> None:
    """Boot hosts, a few at a time; all are tried before a failure is raised."""
    off = [host for host in wanted if not hosts.running(layout, host.name)]
    if not off:
        return
    with progress.work(f"boot {len(off)} hosts") as report:
        ready = 0

        def one(host: Host) -> None:
            nonlocal ready
            hosts.boot(layout, host, base, progress.say)
            ready += 1
            report(f"{ready} up")

        _all(one, off)


def down(parent: Path, name: str, progress: Progress) -> None:
    """Take a lab away: processes, mounts, cgroups, bridge, folder. Nothing there is fine."""
    check_name(name)
    with _locked(name):
        found = states.load(name, parent)
        folder = folder_for(name, parent)
        layout = found[0] if found else Layout(name, folder, ANY_SUBNET)
        if found is None and not network.owned(layout):
            progress.say(f"there is no lab {name} of this folder")
            return
        network.refuse_foreign(layout)
        with progress.work(f"take down lab {name}"):
            _end_all(layout)
            if found and not network.other_labs(layout):
                sysctls.restore(found[1].sysctls)
            network.down(layout)
            cache.remove(folder)


def fresh(layout: Layout, state: State, names: list[str], progress: Progress) -> None:
    """
    Make hosts bare again, and forget their nodes.

    Without names: all hosts, and an empty cluster as well, with the same keys.
    """
    with _locked(layout.name):
        parts = provide(state, progress)
        wanted = [layout.host(name) for name in names] or state.hosts(layout)
        if names:
            run(
                str(layout.kubectl),
                "--kubeconfig",
                str(layout.kubeconfig),
                "delete",
                "node",
                "--ignore-not-found",
                *(state.node_name(host) for host in wanted),
            )
        else:
            controlplane.forget(layout)
        _all(lambda host: hosts.remove(layout, host.name), wanted)
        start(layout, state, wanted, parts, progress)


def stands(layout: Layout, state: State) -> bool:
    """Return whether a lab runs just as asked for."""
    names = {host.name for host in state.hosts(layout)}
    return (
        states.load(layout.name, layout.folder.parent) == (layout, state)
        and complete(layout)
        and network.ready(layout)
        and _present(layout) == names
        and all(hosts.running(layout, name) for name in names)
        and all(controlplane.running(layout, state.control_planes).values())
        and controlplane.ready(layout)
    )


def check(name: str, wanted: State) -> None:
    """Raise unless a lab can be as asked for."""
    check_name(name)
    if not 1 <= wanted.nodes <= MAX_NODES:
        raise LabInputError(f"a lab has 1 to {MAX_NODES} nodes, not {wanted.nodes}")
    if not 1 <= wanted.control_planes <= MAX_CONTROL_PLANES:
        raise LabInputError(
            f"a lab has 1 to {MAX_CONTROL_PLANES} control planes, not {wanted.control_planes}"
        )
    known = versions.known_kubernetes()
    if wanted.kubernetes not in known:
        raise LabInputError(
            f"nodes of Kubernetes {wanted.kubernetes} can't be here, only of {', '.join(known)}"
        )
    if wanted.runtime not in versions.RUNTIMES:
        raise LabInputError(f"a runtime is {' or '.join(versions.RUNTIMES)}, not {wanted.runtime}")
    if wanted.suite not in versions.SUITES:
        raise LabInputError(
            f"a host's Debian is {' or '.join(versions.SUITES)}, not {wanted.suite}"
        )
    if wanted.family not in FAMILIES:
        raise LabInputError(f"a family is {', '.join(FAMILIES)}, not {wanted.family!r}")
    if wanted.family != FAMILIES[0] and wanted.runtime == versions.DOCKER:
        raise LabInputError("a lab with docker is of ipv4: leave out --family or --runtime docker")
    if wanted.vm and wanted.runtime == versions.DOCKER:
        raise LabInputError("virtual hosts have no docker: leave out --vm or --runtime docker")
    for package in wanted.packages:
        if not re.fullmatch("[a-z0-9][a-z0-9+.-]+", package):
            raise LabInputError(f"{package!r} is no name of a Debian package")
    if (wanted.runtime == versions.DOCKER) != versions.has_dockershim(wanted.kubernetes):
        other = next(each for each in versions.RUNTIMES if each != wanted.runtime)
        raise LabInputError(
            f"Kubernetes {wanted.kubernetes} does not go with this lab's {wanted.runtime}: "
            f"add --runtime {other}"
        )


def _begun(parent: Path, name: str, wanted: State) -> tuple[Layout, State]:
    """Return the lab that is there, as it is wanted now, or a new one."""
    found = states.load(name, parent)
    if found is None:
        subnet = free_subnet(network.networks())
        layout = Layout(name, folder_for(name, parent), subnet, wanted.family)
        return layout, replace(wanted, subnet=str(subnet), sysctls=sysctls.current())
    layout, state = found
    if _made_of(state) != _made_of(wanted):
        raise LabError(f"lab {name} has {_made_of(state)}: `inv lab.down` it first")
    return layout, replace(wanted, subnet=state.subnet, sysctls=state.sysctls)


def _made_of(state: State) -> str:
    """Return what of a lab never changes while it stands."""
    packages = f" with {', '.join(state.packages)}" if state.packages else ""
    virtual = "virtual " if state.vm else ""
    several = f" with {state.control_planes} API servers" if state.control_planes > 1 else ""
    several += f" by {state.family}" if state.family != FAMILIES[0] else ""
    return (
        f"Kubernetes {state.kubernetes}{several} and {state.runtime} on {virtual}hosts of Debian"
        f" {state.suite}{packages}"
    )


def _end_all(layout: Layout) -> None:
    """End every process of a lab and unmount its disks."""
    _all(lambda host: hosts.clear(layout, host), _present(layout))
    controlplane.down(layout)


def _take_place(parent: Path, name: str, wanted: State) -> tuple[Layout, State]:
    """Reserve a lab's names and its subnet, which all other labs then see."""
    layout, state = _begun(parent, name, wanted)
    network.refuse_foreign(layout)
    if states.load(name, parent) is None and network.owned(layout):
        _end_all(layout)  # its folder was deleted while it ran
        network.down(layout)
    with network.choosing():
        layout, state = _begun(parent, name, wanted)
        network.refuse_taken(layout)
        states.save(layout, state)
        network.claim(layout)
        network.up(layout, state.control_planes)
    return layout, state


def _present(layout: Layout) -> set[str]:
    """Return the names of all hosts of which anything is left, on disk or running."""
    prefix = layout.cgroup("")
    on_disk = {path.name for path in (layout.folder / "hosts").glob("*")}
    return on_disk | {name.removeprefix(prefix) for name in cgroups.named(prefix)} - {"control"}


def _remove_others(layout: Layout, state: State) -> None:
    names = {host.name for host in state.hosts(layout)}
    _all(lambda name: hosts.remove(layout, name), _present(layout) - names)


def _all(work: Callable[[T], None], items: Iterable[T]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(work, item) for item in items]
    failures = [error for future in futures if (error := future.exception())]
    if failures:
        raise failures[0]


def _locked(name: str) -> AbstractContextManager[None]:
    return cache.locked(cache.root() / f"lab-{name}.lock")
