"""Which tool a file or folder is of, by what it holds, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...util.problems import ConfigError, Problem, either
from . import (
    ansible_ini,
    ansible_yaml,
    inventory_files,
    k0sctl,
    kubeadm,
    kubeasz,
    kubespray,
    plain_ansible,
    yaml_values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .facts import Facts
    from .inventory import Inventory
    from .values import Value

TOOLS = ("kubeasz", "kubespray", "ansible", "k0sctl", "kubeadm")
STANDARD_INPUT = "standard input"
_CONFIG = "config.yml"  # of kubeasz, beside its hosts


def read(path: Path, tool: str = "", groups: Sequence[str] = ()) -> Facts:
    """
    Return what a file or folder says of a cluster.

    :param tool: one of TOOLS; empty: the one that its content shows.
    :param groups: of Ansible's workers, where these are called as nobody would guess.
    :raises ConfigError: it can't be read, or is of no tool that is known, or not of this one.
    """
    files = inventory_files.Files()
    if not path.exists():
        raise ConfigError([Problem(str(path), None, "", "no such file or folder")])
    if path.is_dir():
        return _folder(path, tool, groups, files)
    return _of_text(files.text(path), path, tool, groups, files)


def read_text(content: bytes, tool: str = "", groups: Sequence[str] = ()) -> Facts:
    """
    Return what standard input says of a cluster.

    :raises ConfigError: as `read`.
    """
    text = inventory_files.decoded(content, STANDARD_INPUT)
    return _of_text(text, None, tool, groups, inventory_files.Files())


def _folder(path: Path, tool: str, groups: Sequence[str], files: inventory_files.Files) -> Facts:
    hosts = path / "hosts"
    if tool in {"", "kubeasz"} and hosts.is_file() and (path / _CONFIG).is_file():
        return _of_text(files.text(hosts), hosts, tool, groups, files)
    if tool in {"k0sctl", "kubeadm"}:
        message = f"is a folder, and {tool}'s configuration is a file"
        raise ConfigError([Problem(str(path), None, "", message, "name the file")])
    return _of_inventory(inventory_files.read(path, files, kubespray.complete), tool, groups)


def _of_text(
    text: str, path: Path | None, tool: str, groups: Sequence[str], files: inventory_files.Files
) -> Facts:
    name = str(path) if path else STANDARD_INPUT
    ini = ansible_ini.looks_like_ini(text)
    documents = [] if ini and tool not in {"k0sctl", "kubeadm"} else yaml_values.read(text, name)
    if tool == "k0sctl" or (not tool and k0sctl.matches(documents)):
        return k0sctl.facts(documents, name)
    if tool == "kubeadm" or (not tool and kubeadm.matches(documents)):
        return kubeadm.facts(documents, name)
    if not ini and not tool:
        _refuse_others(documents, name)
    if path is None:
        inventory = inventory_files.of_text(text, name)
        kubespray.complete(inventory)
    else:
        inventory = inventory_files.read(path, files, kubespray.complete)
        _add_config(path, tool, inventory, files)
    return _of_inventory(inventory, tool, groups)


def _add_config(path: Path, tool: str, inventory: Inventory, files: inventory_files.Files) -> None:
    config = path.parent / _CONFIG
    if config.is_file() and (tool == "kubeasz" or (not tool and kubeasz.matches(inventory))):
        documents = yaml_values.read(files.text(config), str(config))
        kubeasz.add_config(ansible_yaml.variables(documents, str(config)), inventory)
        inventory.files.append(str(config))


def _of_inventory(inventory: Inventory, tool: str, groups: Sequence[str]) -> Facts:
    if groups or tool == "ansible":
        return plain_ansible.facts(inventory, groups)
    if tool == "kubeasz" or (not tool and kubeasz.matches(inventory)):
        return kubeasz.facts(inventory)
    if tool == "kubespray" or (not tool and kubespray.matches(inventory)):
        return kubespray.facts(inventory)
    return plain_ansible.facts(inventory, groups)


def _refuse_others(documents: Sequence[Value], name: str) -> None:
    """Refuse YAML that is no inventory. Raises ConfigError: it says what it is, where known."""
    root = documents[0] if documents else None
    if root is None:
        raise ConfigError([Problem(name, None, "", "holds nothing")])
    keys = root.keys.keys()
    line = root.place.line
    if {"cluster", "nodes"} <= keys:
        raise ConfigError([Problem(name, line, "", "is a configuration of fabnode's already")])
    if {"K8S_VER", "CLUSTER_NAME"} & keys:
        hint = "name the folder: clusters/NAME"
        raise ConfigError([Problem(name, line, "", "is kubeasz's config.yml without hosts", hint)])
    hint = f"fabnode reads files of {either(TOOLS)}; name the one with --tool, where it is one"
    groups = [value for value in root.keys.values() if value.empty or _is_group(value)]
    if not keys or len(groups) < len(keys) or root.at("kind"):
        raise ConfigError([Problem(name, line, "", "is of no tool that is known here", hint)])


def _is_group(value: Value) -> bool:
    return bool(value.keys) and bool({"hosts", "children", "vars"} & value.keys.keys())
