"""
The files of an inventory: what Ansible would read of a file or folder, within limits.

Nothing is run: inventory scripts and plugins are named as unread.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ...util.problems import ConfigError, Problem
from . import ansible_ini, ansible_yaml, yaml_values
from .inventory import Inventory, Layer
from .values import Kind, Place, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_BYTES = 2 * 2**20
MAX_FILES = 1000
_MAX_DEPTH = 8
# What is looked at in a folder. Ansible takes any file for a list of hosts, keys and passwords that
# kubespray lays beside them as well, but no *.cfg: ansible.cfg may be one of them.
_INVENTORIES = ("", ".ini", ".yml", ".yaml", ".json", ".hosts", ".inventory")
_OTHER_FOLDERS = {"group_vars", "host_vars", "credentials", "artifacts"}
_OF_VARIABLES = ("", ".yml", ".yaml", ".json")  # in the order in which Ansible looks for them
_VAULT = b"$ANSIBLE_VAULT"


class Files:
    """Reads files, and counts them: their number and sizes are limited."""

    def __init__(self) -> None:
        self._left = MAX_FILES

    def text(self, path: Path) -> str:
        """Return a file's text. Raises ConfigError."""
        self._left -= 1
        if self._left < 0:
            raise ConfigError([_problem(path, f"is one of more than {MAX_FILES} files")])
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ConfigError([_problem(path, "is not a regular file")])
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            detail = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise ConfigError([_problem(path, f"can't be read: {detail}")]) from None
        return decoded(content, str(path))


def decoded(content: bytes, name: str) -> str:
    """Return what a file holds as text. Raises ConfigError: it is none, or too large."""
    if len(content) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 2**20} MiB"
        raise ConfigError([Problem(name, None, "", message)])
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(name, line, "", "is no text in UTF-8")]) from None


def read(
    path: Path, files: Files, complete: Callable[[Inventory], None] = lambda _: None
) -> Inventory:
    """
    Return the inventory of a file, with group_vars and host_vars beside it, or of a folder.

    Of a folder, files that are no inventories are passed over, and named: people keep others there.

    :param complete: adds the groups that a tool itself makes, before variables are read.
    :raises ConfigError: with all files that can't be read.
    """
    inventory = Inventory()
    problems: list[Problem] = []
    folder = path if path.is_dir() else path.parent
    sources = list(_sources(path, inventory)) if path.is_dir() else [path]
    for source in sources if not path.is_dir() else ():
        _gather(problems, lambda source=source: _source(source, files, inventory))  # type: ignore[misc]
    for source in sources if path.is_dir() else ():
        try:
            text = files.text(source)
            add(text, str(source), inventory.on_trial())  # nothing of what ends in an error
            add(text, str(source), inventory)
        except ConfigError as error:
            first = error.problems[0]
            why = f"it is no inventory: {first.message}"
            place = Place(first.file, first.line) if first.line else first.file
            inventory.unread.append((source.name, place, why))
    complete(inventory)
    for kind in ("group_vars", "host_vars"):
        _gather(problems, lambda kind=kind: _variables(folder / kind, files, inventory))  # type: ignore[misc]
    if problems:
        raise ConfigError(problems)
    if not inventory.hosts and not any(group != "ungrouped" for group in inventory.groups):
        raise ConfigError([_problem(path, "names no hosts and no groups: no inventory")])
    return inventory


def of_text(text: str, name: str) -> Inventory:
    """Return the inventory of a text. Raises ConfigError."""
    inventory = Inventory()
    add(text, name, inventory)
    return inventory


def _gather(problems: list[Problem], task: Callable[[], None]) -> None:
    try:
        task()
    except ConfigError as error:
        problems += error.problems


def _sources(folder: Path, inventory: Inventory, depth: int = 0) -> Iterator[Path]:
    for path in _entries(folder):
        if path.is_dir():
            if path.name not in _OTHER_FOLDERS and depth < _MAX_DEPTH:
                yield from _sources(path, inventory, depth + 1)
            continue
        runs = os.access(path, os.X_OK)
        if path.name.startswith(".") or not (runs or path.suffix in _INVENTORIES):
            continue
        if runs and path.suffix not in {".yml", ".yaml", ".json", ".ini"}:
            why = "it is executable, and so an inventory script to Ansible; fabnode runs none"
            inventory.unread.append((path.name, str(path), why))
        else:
            yield path


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError([_problem(folder, f"can't be read: {error.strerror}")]) from None


def _source(path: Path, files: Files, inventory: Inventory) -> None:
    text = files.text(path)
    add(text, str(path), inventory)


def add(text: str, name: str, inventory: Inventory) -> None:
    """Add the inventory of a text, in INI or YAML form. Raises ConfigError."""
    if ansible_ini.looks_like_ini(text) and not name.endswith((".yml", ".yaml", ".json")):
        ansible_ini.read(text, name, inventory)
        inventory.files.append(name)
        return
    for root in yaml_values.read(text, name)[:1]:
        if root.at("plugin"):
            why = "it configures an inventory plugin, which asks a cloud; fabnode runs none"
            inventory.unread.append((Path(name).name, root.place, why))
        elif isinstance(root.data, dict):
            ansible_yaml.read(root, inventory)
            inventory.files.append(name)
        else:
            hint = "an inventory names groups: `all: {hosts: {…}}`, or [group] in INI form"
            raise ConfigError([Problem(name, root.place.line, "", "is no inventory", hint)])


def _variables(folder: Path, files: Files, inventory: Inventory) -> None:
    """Read group_vars or host_vars; of what is for no group or host nothing is in force."""
    if not folder.is_dir():
        return
    groups = folder.name == "group_vars"
    known = {"all", *inventory.groups} if groups else set(inventory.hosts)
    problems: list[Problem] = []
    for name in sorted(known):
        if not name or "/" in name or name.startswith("."):
            continue
        found = [folder / f"{name}{suffix}" for suffix in _OF_VARIABLES]
        there = [path for path in found if path.exists()]
        for path in there[1:]:
            why = f"Ansible reads {there[0].name} alone, and passes over this one"
            inventory.unread.append((path.name, str(path), why))
        for path in _files(there[0]) if there else ():
            _gather(problems, lambda p=path, n=name: _file(p, n, groups, files, inventory))  # type: ignore[misc]
    for path in _entries(folder):
        if path.name not in {f"{name}{suffix}" for name in known for suffix in _OF_VARIABLES}:
            why = f"the inventory has no {'group' if groups else 'host'} of this name"
            if path.suffix in _INVENTORIES and not path.name.startswith("."):
                inventory.unread.append((path.name, str(path), why))
    if problems:
        raise ConfigError(problems)


def _files(path: Path, depth: int = 0) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for each in _entries(path) if depth < _MAX_DEPTH else ():
        if each.name.startswith(".") or each.name.endswith("~"):
            continue
        if each.is_dir() or each.suffix in _OF_VARIABLES:
            yield from _files(each, depth + 1)


def _file(path: Path, owner: str, groups: bool, files: Files, inventory: Inventory) -> None:
    text = files.text(path)
    if text.startswith(_VAULT.decode()):
        inventory.unread.append((path.name, str(path), "the whole file is encrypted by a vault"))
        return
    inventory.files.append(str(path))
    for name, value in ansible_yaml.variables(yaml_values.read(text, str(path)), str(path)).items():
        if groups:
            inventory.set_group(owner, name, value, Layer.GROUP_VARS)
        else:
            inventory.set_host(owner, name, value, Layer.HOST_VARS)


def secret_named(name: str) -> bool:
    """Say whether a variable of this name holds a secret, whatever its value."""
    words = name.lower().replace("-", "_")
    ends = ("_pass", "password", "passwd", "_token", "_secret", "secret_key", "certificate_key")
    return words.endswith(ends) or "password" in words or words in {"token", "pass"}


def hidden(value: Value) -> Value:
    """Return a secret in place of a value."""
    return Value(None, value.place, Kind.SECRET, of=value.of or (value,))


def _problem(path: Path, message: str) -> Problem:
    return Problem(str(path), None, "", message)
