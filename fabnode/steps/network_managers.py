"""Findings about programs that would manage the interfaces of the pod network beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from ..cni.registry import network
from ..node import config_files
from ..node.config_files import ConfigFiles
from .finding import Finding
from .inputs import Inputs


def findings(inputs: Inputs) -> Iterator[Finding]:
    """Yield which program takes interfaces of the pod network for its own."""
    pods, files = network(inputs.config), inputs.facts.config_files
    if not pods.runs_on_nodes:
        return
    if config_files.NETWORK_MANAGER in files:
        unmanaged = _unmanaged_devices(files)
        if managed := [name for name in pods.interfaces if not _left_alone(name, unmanaged)]:
            devices = ";".join(f"interface-name:{name}*" for name in pods.interfaces)
            yield Finding(
                "warning",
                f"NetworkManager may change interfaces and routes of {pods.name}:"
                f" {', '.join(managed)}",
                f"write `[keyfile]` and `unmanaged-devices={devices}` into"
                f" /etc/NetworkManager/conf.d/{pods.setting}.conf; then nmcli general reload",
            )
    taken: dict[str, list[str]] = {}
    for name in pods.interfaces:
        if path := _network_file(f"{name}x", files):
            taken.setdefault(path, []).append(name)
    for path, names in taken.items():
        yield Finding(
            "warning",
            f"{path} has systemd-networkd manage interfaces of {pods.name}: {', '.join(names)}",
            "give its [Match] a Name= that only the host's own interfaces have; then networkctl"
            " reload",
        )


def _unmanaged_devices(files: ConfigFiles) -> tuple[str, ...]:
    """Return the patterns of interfaces' names that NetworkManager leaves alone."""
    paths = config_files.in_order(config_files.NETWORK_MANAGER_FOLDERS, files)
    found: list[str] = []
    for path in (config_files.NETWORK_MANAGER_FILE, *paths):
        for line in files.get(path, ()):
            key, _, value = line.partition("=")
            given = [word.strip() for word in value.replace(",", ";").split(";")]
            found = [*found, *given] if key.strip().endswith("+") else given
    names = (word.removeprefix("interface-name:") for word in found)
    return tuple(name for name in names if name and ":" not in name)


def _left_alone(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, each) or fnmatchcase(f"{name}x", each) for each in patterns)


def _network_file(interface: str, files: ConfigFiles) -> str:
    """Return the file by which networkd manages an interface of pods; empty: it leaves it alone."""
    for path in config_files.in_order(config_files.NETWORKD_FOLDERS, files, ".network"):
        match, unmanaged = _match(files[path])
        if match and all(_fits(key, values, interface) for key, values in match.items()):
            return "" if unmanaged else path
    return ""


def _match(lines: Iterable[str]) -> tuple[dict[str, list[str]], bool]:
    """Return what a .network file matches by, and whether it leaves that alone."""
    section, match, unmanaged = "", dict[str, list[str]](), False
    for line in lines:
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            section = key
        elif section == "[Match]":
            match[key] = [*match.get(key, []), *value.split()]
        elif section == "[Link]" and key == "Unmanaged":
            unmanaged = value.lower() in {"yes", "true", "1", "on"}
    return match, unmanaged


def _fits(key: str, values: list[str], interface: str) -> bool:
    """Return whether a virtual Ethernet interface of this name fits a line of [Match]."""
    inverted = values[:1] and values[0].startswith("!")
    wanted = [value.removeprefix("!") for value in values]
    real = {"Name": interface, "Kind": "veth", "Driver": "veth", "Type": "ether"}.get(key, "")
    return bool(real) and any(fnmatchcase(real, each) for each in wanted) != bool(inverted)
