"""Findings about what the next boot would change: kernel settings, modules, swap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import basename, dirname
from shlex import quote

from ..node import config_files, layout, unit_files
from ..node.config_files import FSTAB, ConfigFiles
from ..node.resources import File, Module, Resource, Sysctl
from .finding import Finding
from .inputs import Inputs


def findings(inputs: Inputs, resources: Iterable[Resource]) -> Iterator[Finding]:
    """Yield which files of others win over these resources when the host boots."""
    resources = tuple(resources)
    yield from _sysctls(inputs, resources)
    yield from _modules(inputs, resources)
    yield from _swap(inputs)


def _sysctls(inputs: Inputs, resources: tuple[Resource, ...]) -> Iterator[Finding]:
    ours = {
        each.path: tuple((each.content or b"").decode().splitlines())
        for each in resources
        if isinstance(each, File) and dirname(each.path) in config_files.SYSCTL_FOLDERS
    }
    last = config_files.sysctls({**inputs.facts.config_files, **ours})
    for wanted in (each for each in resources if isinstance(each, Sysctl)):
        name = config_files.sysctl_name(wanted.key)
        path, value, by = last.get(name, ("", wanted.value, name))
        if path not in ours and value.split() != wanted.value.split():
            shown = wanted.key if by == name else f"{wanted.key} (as {by})"
            yield Finding(
                "warning" if inputs.joined else "error",
                f"{path} sets {shown} to {value or 'nothing'} where {wanted.value} is wanted:"
                " it has the last word at the next boot, or with `sysctl --system`",
                f"take that line out of {path} (files are read in the order of their names, and"
                f" {layout.SYSCTL_CONF} is fabnode's)",
            )


def _modules(inputs: Inputs, resources: tuple[Resource, ...]) -> Iterator[Finding]:
    needed = {each.name: each.why for each in resources if isinstance(each, Module)}
    for name, path, words in config_files.refused_modules(inputs.facts.config_files):
        if name in needed and name not in inputs.facts.built_in:
            yield Finding(
                "warning" if inputs.joined else "error",
                f"{path} keeps the module {name} from being loaded at boot ({words}), needed for"
                f" {needed[name]}",
                f"take that out of {path}",
            )


def _swap(inputs: Inputs) -> Iterator[Finding]:
    if inputs.facts.swap or not inputs.node.kubelet.fail_swap_on:
        return
    files = inputs.facts.config_files
    if swaps := config_files.swaps_at_boot(files):
        yield Finding(
            "warning" if inputs.joined else "error",
            f"{FSTAB} turns swap on at the next boot ({', '.join(swaps)}), with which the kubelet"
            " won't start",
            f"take it out of {FSTAB}, or set kubelet.fail_swap_on: false",
        )
    if units := generated_swaps(files):
        yield Finding(
            "warning" if inputs.joined else "error",
            f"systemd turns swap on at the next boot ({', '.join(units)}), with which the kubelet"
            " won't start",
            f"{mask(units)}, or set kubelet.fail_swap_on: false",
        )


def generated_swaps(files: ConfigFiles) -> tuple[str, ...]:
    """
    Return the swap units that no line of fstab is behind and that nobody has masked.

    zram-generator makes them, and systemd-gpt-auto-generator for partitions of the type swap.
    """
    names = {basename(path) for path in files if path.endswith(".swap")}
    found = ((name, unit_files.unit_file(name, files)) for name in sorted(names))
    return tuple(
        name
        for name, path in found
        if dirname(path).startswith("/run/systemd/generator")
        and ("SourcePath", FSTAB) not in unit_files.settings(files[path])
    )


def mask(units: Iterable[str]) -> str:
    """Return the command that keeps swap units from being started again."""
    return f"systemctl mask --now {' '.join(map(quote, units))}"
