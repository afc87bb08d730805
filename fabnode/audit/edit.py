"""
Minimal edits of kubelet and kube-proxy files that fabnode did not write: a flag or a YAML value.

Each change is read back, so that what can't be done surely is refused.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import yaml

from ..util.errors import FabnodeError
from ..util.yaml_io import RefusedError, parse
from .settings import flags

_MOST = 5000  # keys, values and brackets: what is composed in Python takes its time


class CannotEditError(FabnodeError):
    """A file that is not understood well enough to be edited; the text is the reason."""


def set_value(text: str, keys: tuple[str, ...], value: bool | int | str) -> str:
    """Return a YAML text with the value at `keys` set. Raises CannotEditError."""
    try:
        before = parse(text, most=_MOST)
        # In Python, whose marks count letters.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RefusedError as error:
        raise CannotEditError(str(error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CannotEditError("it is not one YAML document") from error
    if not isinstance(before, dict) or not isinstance(root, yaml.MappingNode):
        raise CannotEditError("it is not one YAML mapping")
    new = _changed(text, root, keys, value)
    try:
        after = parse(new, most=2 * _MOST)
    except (yaml.YAMLError, ValueError) as error:
        raise CannotEditError("its YAML is laid out in an unusual way") from error
    if after != _expected(before, keys, value):
        raise CannotEditError("its YAML is laid out in an unusual way")
    return new


def _changed(
    text: str, node: yaml.MappingNode, keys: tuple[str, ...], value: bool | int | str
) -> str:
    """Return the text with one scalar replaced or one entry put in."""
    key, *rest = keys
    found = [(k, v) for k, v in node.value if k.value == key]
    if len(found) > 1:
        raise CannotEditError(f"it names {key} more than once")
    if found and rest and isinstance(found[0][1], yaml.MappingNode) and found[0][1].value:
        return _changed(text, found[0][1], tuple(rest), value)
    entry = _written(value)
    for name in reversed(rest):
        entry = f"{{{name}: {entry}}}"
    if found:
        old = found[0][1]
        if old.start_mark.index == old.end_mark.index:  # nothing after the colon
            at = found[0][0].end_mark.index
            return f"{text[:at]}: {entry}{text[at:].removeprefix(':')}"
        return text[: old.start_mark.index] + entry + text[old.end_mark.index :]
    if not node.value:
        raise CannotEditError("it is an empty mapping")
    first = node.value[0][0].start_mark
    then = ", " if node.flow_style else "\n" + " " * first.column
    return f"{text[: first.index]}{key}: {entry}{then}{text[first.index :]}"


def _expected(before: dict[str, Any], keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    wanted = copy.deepcopy(before)
    inner = wanted
    for key in keys[:-1]:
        if not isinstance(inner.get(key), dict):
            inner[key] = {}
        inner = inner[key]
    inner[keys[-1]] = value
    return wanted


def _written(value: bool | int | str) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z/][\w/.-]*", value, re.ASCII)
    return str(value) if plain else json.dumps(value)  # which YAML reads as well


def set_flag(text: str, program: str, flag: str, value: bool | int | str) -> str:
    """
    Return a unit file whose command line has a flag set, in place or added.

    :raises CannotEditError: it has no place for that.
    """
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    if not re.fullmatch(r"[\w./:-]+", shown, re.ASCII):
        raise CannotEditError(f"{shown!r} would have to be quoted")
    start, end = _command(text, program)
    command = text[start:end]
    if "'" in command or '"' in command:
        raise CannotEditError("its command line has quotes")
    pattern = re.compile(rf"(?<=\s)(--?{re.escape(flag)})(=\S*|(?=\s|$)(\s+[^-\s\\]\S*)?)")
    if pattern.search(command):
        command = pattern.sub(rf"\1={shown}", command)
    else:
        executable = re.match(r"\S+", command)
        assert executable
        command = f"{executable[0]} --{flag}={shown}{command[executable.end() :]}"
    new = text[:start] + command + text[end:]
    if flags(words(new, program)).get(flag) != shown:
        raise CannotEditError("its command line is laid out in an unusual way")
    return new


def words(text: str, program: str) -> list[str]:
    """Return the command line of a unit file's ExecStart. Raises CannotEditError."""
    start, end = _command(text, program)
    return re.sub(r"\\\n(\s*[#;].*\n)*", " ", text[start:end]).split()


def _command(text: str, program: str) -> tuple[int, int]:
    """Return where the one command line of the program begins and ends."""
    lines = list(
        re.finditer(
            r"^ExecStart[ \t]*=[ \t]*[-@:+!]*(?=\S)(?:[^\\\n]|\\.|\\\n)*", text, re.MULTILINE
        )
    )
    if len(lines) != 1:
        raise CannotEditError(f"it has {len(lines)} lines ExecStart=")
    found = lines[0]
    begin = re.match(r"ExecStart[ \t]*=[ \t]*[-@:+!]*", found[0])
    assert begin
    start = found.start() + begin.end()
    executable = re.match(r"\S+", text[start : found.end()])
    if not executable or executable[0].rpartition("/")[2] != program:
        raise CannotEditError(f"its ExecStart is not {program} itself")
    return start, found.end()


def replace_line(text: str, old: str, new: str) -> str:
    """Return a text with every such line replaced. Raises CannotEditError where there is none."""
    lines = text.split("\n")
    if old not in lines:
        raise CannotEditError("the line is not there any more")
    return "\n".join(new if line == old else line for line in lines)
